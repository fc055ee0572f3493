//! What a run may still open once it has read its settings.

use std::path::Path;

use expression_engine::Error;
use expression_engine::error::Result;
use expression_engine::files::{end_of_links, folder_of};

use crate::board::Board;
use crate::camera::{Source, Spec};
use crate::sandbox::{InForce, Sandbox};
use crate::telemetry::TelemetryOptions;

/// Returns the sandbox of a run. `opened` is its source, if it was opened already.
pub fn of_run(
    board: &Board,
    spec: &Spec,
    opened: Option<&dyn Source>,
    bundle: &Path,
    journal: Option<&Path>,
    watching: &TelemetryOptions,
) -> Sandbox {
    let mut sandbox = Sandbox { read: vec![bundle.to_owned()], ..Sandbox::default() };
    sandbox.devices = board.gpio.is_some() || board.display.is_some();
    match spec {
        Spec::V4l2 { .. } => sandbox.devices = true,
        Spec::Command { .. } | Spec::Media { .. } => sandbox.programs = true,
        Spec::Y4m { file } => sandbox.read.extend(file.clone().filter(|file| !is_anonymous(file))),
        Spec::Dir { .. } | Spec::Images { .. } => {}
    }
    sandbox.read.extend(opened.map(Source::files).unwrap_or_default());
    if let Some(path) = journal {
        let folder = folder_of(path);
        // A folder that does not exist cannot be named. What is wrong with it, the journal reports.
        let _ = std::fs::create_dir_all(folder);
        sandbox.write.push(folder.to_owned());
        // If the journal is a link, SQLite makes it, and puts its log, in the folder that the link leads to.
        sandbox.write.extend(end_of_links(path).map(|file| folder_of(&file).to_owned()));
        sandbox.write.dedup();
    }
    watch(&mut sandbox, watching);
    sandbox
}

/// Whether a path leads to something that has no place in the file system, such as the pipe of `y4m:<(PROGRAM)` in a shell. No rule can
/// name it, and it can be opened without one.
fn is_anonymous(path: &Path) -> bool {
    path.exists() && path.canonicalize().is_err()
}

/// Adds what preview, metrics, health and broker need.
fn watch(sandbox: &mut Sandbox, watching: &TelemetryOptions) {
    // The socket is made there, in place of one that a killed run left behind.
    #[cfg(feature = "http")]
    sandbox.sockets.extend(watching.health.as_deref().and_then(Path::parent).map(Path::to_owned));
    #[cfg(feature = "preview")]
    sandbox.listen.extend(watching.preview.map(|address| address.port()));
    #[cfg(feature = "metrics")]
    sandbox.listen.extend(watching.metrics.map(|address| address.port()));
    #[cfg(feature = "mqtt")]
    if let Some(options) = &watching.mqtt {
        sandbox.connect.push(options.address.port);
        // The system's authorities are read when the connection is prepared, and names as often as it is made.
        sandbox.names = options.address.tls || options.address.host.parse::<std::net::IpAddr>().is_err();
    }
    let _ = (sandbox, watching);
}

/// Confines the program, and logs how far.
///
/// # Errors
/// Returns an error if the kernel refuses the rules.
pub fn enter(sandbox: &Sandbox) -> Result<()> {
    let in_force = sandbox
        .enter()
        .map_err(|error| Error::failure(format!("cannot enter the sandbox: {error}; --no-sandbox runs without it")))?;
    match in_force {
        InForce::Nothing(_) => tracing::warn!("{in_force}"),
        _ => tracing::info!("{in_force}"),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn each_source_and_sink_asks_for_what_it_needs() {
        let board = Board::open("generic-x86-64").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let journal = folder.path().join("new/journal.db");
        let of = |spec: &str, journal: Option<&Path>, watching: &TelemetryOptions| {
            of_run(&board, &spec.parse().unwrap(), None, Path::new("bundle"), journal, watching)
        };
        let nothing = TelemetryOptions::default();
        let camera = of("v4l2:/dev/video0", Some(&journal), &nothing);
        assert_eq!((camera.devices, camera.programs), (true, false));
        assert_eq!((camera.read, camera.write), (vec!["bundle".into()], vec![folder.path().join("new")]));
        assert!(folder.path().join("new").is_dir());
        let (link, other) = (folder.path().join("link"), folder.path().join("other"));
        std::os::unix::fs::symlink(other.join("journal.db"), &link).unwrap();
        // The file that a link leads to is made by the run, too.
        assert_eq!(of("dir:a", Some(&link), &nothing).write, [folder.path().to_owned(), other]);
        let file = of("y4m:film.y4m", None, &nothing);
        assert_eq!((file.devices, &file.read[1..], file.write.len()), (false, &[PathBuf::from("film.y4m")][..], 0));
        let (socket, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        let anonymous = of(&format!("y4m:/proc/self/fd/{}", socket.as_raw_fd()), None, &nothing);
        assert_eq!(anonymous.read, [PathBuf::from("bundle")]);
        assert!(of("command:rpicam-vid", None, &nothing).programs && of("rtsp://camera/1", None, &nothing).programs);
    }

    #[cfg(all(feature = "mqtt", feature = "preview"))]
    #[test]
    fn ports_are_those_of_the_flags() {
        use crate::telemetry::mqtt::{Address, BrokerOptions};
        let of = |url: &str| {
            let watching = TelemetryOptions {
                preview: Some("127.0.0.1:8080".parse().unwrap()),
                health: Some("/run/edge-runtime/health.sock".into()),
                mqtt: Some(BrokerOptions::new(Address::parse(url).unwrap())),
                ..TelemetryOptions::default()
            };
            let mut sandbox = Sandbox::default();
            watch(&mut sandbox, &watching);
            assert_eq!(sandbox.sockets, [PathBuf::from("/run/edge-runtime")]);
            (sandbox.listen, sandbox.connect, sandbox.names)
        };
        assert_eq!(of("mqtt://192.0.2.1"), (vec![8080], vec![1883], false));
        assert_eq!(of("mqtt://broker:1234"), (vec![8080], vec![1234], true));
    }
}
