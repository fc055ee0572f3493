//! `host-trainer label`

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use expression_engine::files;
use expression_engine::line::tell;

use crate::assets;
use crate::error::{Context, Error};
use crate::interrupt;
use crate::label::{Server, Suggester};

/// Label faces on a page in the browser with keys 1 to 8, and write a data set with votes.
///
/// FACES is a folder of face pictures, such as `edge-runtime log faces` writes, or a journal, whose faces are exported to
/// JOURNAL-faces first (by edge-runtime, which must be installed). The page is served to this machine only and loads nothing
/// from elsewhere. Each vote is on the disk before it counts: votes.jsonl holds every vote, votes.csv their sums in FER+'s
/// columns. Train with --data labelled:FACES. Press Ctrl-C to stop; the next start continues from there.
///
/// For a phone, forward the port: `adb reverse tcp:8090 tcp:8090`, or an SSH tunnel.
#[derive(clap::Args)]
pub struct Cmd {
    /// Folder of face pictures, or a journal.
    #[arg(value_name = "FACES")]
    faces: PathBuf,
    /// Bundle for suggestions, which are shown only on demand. By default they are what the board's model said when it kept
    /// the face.
    #[arg(long, value_name = "DIR")]
    bundle: Option<PathBuf>,
    /// Port on 127.0.0.1.
    #[arg(long, value_name = "PORT", default_value_t = 8090)]
    port: u16,
    /// Program edge-runtime, which exports the faces of a journal.
    /// By default the one beside host-trainer, or else the one on the PATH.
    #[arg(long, value_name = "PROGRAM")]
    edge_runtime: Option<PathBuf>,
}

/// How often it looks for Ctrl-C.
const TICK: Duration = Duration::from_millis(100);

impl Cmd {
    /// Serves the page until Ctrl-C.
    ///
    /// # Errors
    /// Returns an error if the folder or the journal has no faces, the bundle is refused, or the port is taken.
    pub fn run(&self) -> crate::Result<()> {
        if !self.faces.exists() {
            let advice = "give a folder of face pictures or a journal";
            return Err(Error::BadInput(format!("{}: no such file or folder; {advice}", self.faces.display())));
        }
        let suggester = Suggester::new(self.bundle.as_deref())?;
        let folder = if self.faces.is_dir() { self.faces.clone() } else { self.exported()? };
        let server = Server::start(&folder, suggester, self.port)?;
        crate::error::print(&format!("label: http://{}/", server.address()))?;
        tell("open this address in a browser; press Ctrl-C to stop");
        while interrupt::check().is_ok() {
            std::thread::sleep(TICK);
        }
        Ok(())
    }

    /// The folder that a journal's faces were exported to.
    fn exported(&self) -> crate::Result<PathBuf> {
        let journal = &self.faces;
        if !is_sqlite(journal)? {
            let advice = "give a folder of face pictures or a journal";
            return Err(Error::BadInput(format!("{}: not a journal; {advice}", journal.display())));
        }
        let mut folder = journal.clone().into_os_string();
        folder.push("-faces");
        let folder = PathBuf::from(folder);
        let program = assets::edge_runtime(self.edge_runtime.as_deref());
        let mut export = Command::new(&program);
        export.args(["log", "faces", "--journal"]).arg(journal).arg("-o").arg(&folder);
        let output = export.stdout(Stdio::inherit()).stderr(Stdio::piped()).output().map_err(|error| {
            let advice = "install edge-runtime, name it with --edge-runtime, or give a folder that `log faces` wrote";
            Error::BadInput(format!("cannot start {}: {error}; {advice}", program.display()))
        })?;
        // Its error becomes that of this program.
        let said = String::from_utf8_lossy(&output.stderr);
        let (errors, talk): (Vec<&str>, Vec<&str>) = said.lines().partition(|line| line.starts_with("error: "));
        talk.iter().for_each(tell);
        if output.status.success() {
            return Ok(folder);
        }
        let reason = errors.last().and_then(|line| line.strip_prefix("error: "));
        let reason = reason.map_or_else(|| format!("edge-runtime ended with {}", output.status), str::to_owned);
        Err(Error::BadInput(format!("{}: its faces could not be exported: {reason}", journal.display())))
    }
}

fn is_sqlite(path: &Path) -> crate::Result<bool> {
    let mut head = Vec::new();
    let read = files::open_regular(path).and_then(|file| file.take(16).read_to_end(&mut head));
    read.with_context(|| format!("cannot read {}", path.display()))?;
    Ok(head == *b"SQLite format 3\0")
}
