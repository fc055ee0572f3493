//! An engine in a process of its own: `bench-guest` or `tests/peers/peer.py`, which take turns as they are asked to.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, anyhow, ensure};

/// An engine with its net, which has been run.
pub struct Engine {
    name: String,
    process: Child,
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    /// The logits of all faces of a call.
    pub logits: Vec<f64>,
}

/// What a turn took.
pub struct Turn {
    /// Processor time of all threads, in nanoseconds.
    pub used: f64,
    /// Wall time of each call, in nanoseconds.
    pub calls: Vec<f64>,
}

impl Engine {
    /// Starts a process.
    ///
    /// # Errors
    /// Returns an error if the process cannot be started, or says why it cannot run the net.
    pub fn start(name: &str, command: &mut Command) -> Result<Engine> {
        let process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut process = process.with_context(|| format!("{name} could not be started"))?;
        let requests = process.stdin.take();
        let answers = BufReader::new(process.stdout.take().context("stdout is a pipe")?);
        let mut engine = Engine { name: name.to_owned(), process, requests, answers, logits: Vec::new() };
        let first = engine.answer()?;
        if let Some(reason) = first.strip_prefix("cannot: ") {
            return Err(anyhow!("{}", reason.trim()));
        }
        engine.logits = numbers(&first).with_context(|| format!("{name} wrote {first:?}"))?;
        Ok(engine)
    }

    /// Takes a turn: `seconds S` or `calls N`.
    ///
    /// # Errors
    /// Returns an error if the process has ended.
    pub fn turn(&mut self, request: &str) -> Result<Turn> {
        let requests = self.requests.as_mut().context("the process is running")?;
        writeln!(requests, "{request}")
            .and_then(|()| requests.flush())
            .with_context(|| format!("{} ended", self.name))?;
        let answer = self.answer()?;
        let times = numbers(&answer).filter(|times| times.len() > 1);
        let times = times.with_context(|| format!("{} answered {answer:?}", self.name))?;
        Ok(Turn { used: times[0], calls: times[1..].to_vec() })
    }

    /// Ends the process and waits for it.
    pub fn finish(mut self) -> Result<()> {
        drop(self.requests.take());
        let status = self.process.wait()?;
        ensure!(status.success(), "{}: {status}", self.name);
        Ok(())
    }

    fn answer(&mut self) -> Result<String> {
        let mut line = String::new();
        let read = self.answers.read_line(&mut line)?;
        ensure!(read > 0, "{} ended without an answer", self.name);
        Ok(line)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if self.requests.is_some() {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }
}

fn numbers(line: &str) -> Option<Vec<f64>> {
    line.split_whitespace().map(|word| word.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Result<Engine> {
        Engine::start("example", Command::new("sh").args(["-c", script]))
    }

    #[test]
    fn turns_are_taken_and_reasons_are_told() {
        let mut engine = shell("echo 1.5 -2; while read kind amount; do echo $amount 7 8; done").unwrap();
        assert_eq!(engine.logits, [1.5, -2.0]);
        let turn = engine.turn("calls 2").unwrap();
        assert_eq!((turn.used, turn.calls), (2.0, vec![7.0, 8.0]));
        engine.finish().unwrap();
        let refused = |script| shell(script).err().unwrap().to_string();
        assert_eq!(refused("echo cannot: No module named ncnn"), "No module named ncnn");
        assert_eq!(refused("exit 1"), "example ended without an answer");
        assert!(refused("echo hello").contains("hello"));
        assert!(shell("echo 1").unwrap().turn("calls 1").is_err());
    }
}
