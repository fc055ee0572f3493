//! How the boards of a fleet are.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::HumanBytes;
use serde::Serialize;
use serde_json::Value;

use super::file::Member;
use crate::deploy::{Action, Ssh};

/// Characters of a hash that a table shows.
const HASH: usize = 12;

/// How a board is.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Status {
    /// Its name.
    pub board: String,
    /// Why it could not be asked.
    pub unreachable: Option<String>,
    /// The version that `deploy` put there, by its hash.
    pub deployed: Option<String>,
    /// The one before.
    pub previous: Option<String>,
    /// What systemd says of the service: `active enabled`.
    pub service: Option<String>,
    /// What its `/health` answers; `None` if no service answers.
    pub health: Option<Value>,
}

/// Asks boards how they are, `parallel` at a time. The answers are in the order of the boards.
pub fn status(members: &[&Member], parallel: usize, patience: Duration) -> Vec<Status> {
    let waiting = Mutex::new(members.iter().enumerate());
    let answers = Mutex::new(vec![Status::default(); members.len()]);
    std::thread::scope(|scope| {
        for _ in 0..parallel.clamp(1, members.len().max(1)) {
            scope.spawn(|| {
                loop {
                    let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some((index, member)) = next else { return };
                    let status = Status::ask(member, patience);
                    answers.lock().unwrap_or_else(PoisonError::into_inner)[index] = status;
                }
            });
        }
    });
    answers.into_inner().unwrap_or_else(PoisonError::into_inner)
}

impl Status {
    fn ask(member: &Member, patience: Duration) -> Status {
        let ssh = Ssh { patience, ..member.ssh.clone() };
        match ssh.perform(&Action::Status, &|_| {}) {
            Ok(lines) => Status::parse(&member.name, &lines),
            Err(failure) => {
                Status { board: member.name.clone(), unreachable: Some(failure.reason), ..Status::default() }
            }
        }
    }

    fn parse(board: &str, lines: &[String]) -> Status {
        let mut status = Status { board: board.to_owned(), ..Status::default() };
        for line in lines {
            let (key, rest) = line.split_once(' ').unwrap_or((line, ""));
            let id = || rest.split(' ').next().filter(|id| *id != "none").map(str::to_owned);
            match key {
                "current" => status.deployed = id(),
                "previous" => status.previous = id(),
                "service" => status.service = Some(rest.to_owned()),
                "health" => status.health = serde_json::from_str(rest).ok(),
                _ => {}
            }
        }
        status
    }

    /// Whether the board can be reached and says that it is well.
    pub fn is_well(&self) -> bool {
        self.health.as_ref().is_some_and(|health| health["healthy"] == true)
    }

    fn cells(&self) -> [String; 10] {
        let (nothing, text) = (Value::Null, |value: &Value| value.as_str().unwrap_or("-").to_owned());
        let health = self.health.as_ref().unwrap_or(&nothing);
        let number = |key: &str| health[key].as_f64().map_or("-".to_owned(), |value| format!("{value:.1}"));
        let state = match (&self.unreachable, &self.health) {
            (Some(_), _) => "unreachable",
            (_, Some(health)) if health["healthy"] == true => "well",
            (_, Some(_)) => "ill",
            _ => "no answer",
        };
        let problem = self.unreachable.clone().or_else(|| {
            let error = &health["last_error"];
            let line = error["line"].as_str()?;
            Some(format!("{} {line}", error["time"].as_str().unwrap_or_default()))
        });
        [
            self.board.clone(),
            state.to_owned(),
            self.deployed.clone().unwrap_or_else(|| text(&health["version"])),
            health["model"].as_str().map_or("-".to_owned(), |model| model.chars().take(HASH).collect()),
            health["uptime_s"].as_u64().map_or("-".to_owned(), uptime),
            number("frames_per_second"),
            health["faces_today"].as_u64().map_or("-".to_owned(), |faces| faces.to_string()),
            number("celsius"),
            health["journal"]["bytes"].as_u64().map_or("-".to_owned(), |bytes| HumanBytes(bytes).to_string()),
            problem.unwrap_or_else(|| "-".to_owned()),
        ]
        .map(|cell| cell.replace(char::is_control, " "))
    }
}

/// A table of the boards, a row each under a row of headings.
pub fn table(boards: &[Status]) -> String {
    let headings =
        ["board", "state", "version", "model", "up", "frames/s", "faces today", "°C", "journal", "last error"];
    let rows: Vec<[String; 10]> =
        [headings.map(str::to_owned)].into_iter().chain(boards.iter().map(Status::cells)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let line = |row: &[String; 10]| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn uptime(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_what_the_board_said() {
        let lines = [
            "current 0123456789abcdef board=generic-x86-64 bundle=b state=up@2026-11-27T00:00:00Z",
            "previous none",
            "service active enabled",
            r#"health {"healthy":true,"version":"0.1.0","model":"aaaabbbbccccdddd","uptime_s":7500,"frames_per_second":24.96,"faces_today":7,"celsius":51.3,"journal":{"bytes":2048},"last_error":{"time":"T","line":"camera lost"}}"#,
        ];
        let well = Status::parse("kitchen-1", &lines.map(str::to_owned));
        assert!(well.is_well());
        assert_eq!((well.previous.as_deref(), well.service.as_deref()), (None, Some("active enabled")));
        let gone = Status { board: "b".into(), unreachable: Some("no route\nto host".into()), ..Status::default() };
        let table = table(&[well, gone]);
        let rows: Vec<Vec<&str>> =
            table.lines().map(|row| row.split("  ").filter(|c| !c.is_empty()).map(str::trim).collect()).collect();
        let expected = [
            "kitchen-1",
            "well",
            "0123456789abcdef",
            "aaaabbbbcccc",
            "2 h",
            "25.0",
            "7",
            "51.3",
            "2.00 KiB",
            "T camera lost",
        ];
        assert_eq!(rows[1], expected, "{table}");
        assert_eq!(rows[2], ["b", "unreachable", "-", "-", "-", "-", "-", "-", "-", "no route to host"]);
    }
}
