//! `fleet.toml`: the boards of a fleet, and how each is reached and filled. docs/fleet.md explains each key.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::time::Duration;

use expression_engine::files;
use serde::{Deserialize, Serialize};

use crate::deploy::{Board, HealthCheck, Ssh, is_host, port_of_host};
use crate::error::Error;
use crate::toml_error::{explained, nearest};

/// Seconds that a service must stay up, unless the file says otherwise.
const SETTLE: u16 = 10;
/// Seconds within which it must be well.
const HEALTH: u16 = 60;

/// A fleet.
#[derive(Debug)]
pub struct Fleet {
    /// The file.
    pub path: PathBuf,
    /// Its boards, by name.
    pub members: Vec<Member>,
}

/// A board of a fleet.
#[derive(Debug, Clone)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// The groups that it belongs to.
    pub groups: Vec<String>,
    /// How to reach it.
    pub ssh: Ssh,
    /// Built-in board or path of a board file.
    pub board: String,
    /// The program; by default the one that `cargo xtask build` makes.
    pub binary: Option<PathBuf>,
    /// The bundle; by default the shipped one.
    pub bundle: Option<PathBuf>,
    /// Whether the service is restarted and watched.
    pub service: bool,
    /// Seconds that it must stay up.
    pub settle: u16,
    /// What it must then say of itself.
    pub health: Option<HealthCheck>,
    /// Where Prometheus reaches its metrics.
    pub metrics: Option<String>,
}

/// What can be set for all boards, for a group and for a board. What is nearer to the board counts.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    host: Option<String>,
    groups: Option<Vec<String>>,
    user: Option<String>,
    port: Option<Port>,
    jump: Option<String>,
    identity: Option<String>,
    ssh_config: Option<PathBuf>,
    ssh_options: Option<Vec<String>>,
    board: Option<String>,
    binary: Option<PathBuf>,
    bundle: Option<PathBuf>,
    service: Option<bool>,
    settle: Option<Seconds>,
    health: Option<Seconds>,
    ignore: Option<Vec<Part>>,
    metrics: Option<Metrics>,
    root: Option<String>,
}

/// A part of a board that may fail without a version being blamed.
#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Part {
    Camera,
    Journal,
}

/// Untagged, so that serde uses our message.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged, expecting = "port: expected a number from 1 to 65535")]
enum Port {
    Number(NonZeroU16),
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged, expecting = "expected seconds, a whole number from 0 to 65535")]
enum Seconds {
    Number(u16),
}

impl Seconds {
    fn or(seconds: Option<Seconds>, default: u16) -> u16 {
        seconds.map_or(default, |Seconds::Number(number)| number)
    }
}

/// A port of the board's host, or another address.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "metrics: expected a port, or \"ADDRESS:PORT\"")]
enum Metrics {
    Port(u16),
    Address(String),
}

/// The most bytes of a fleet's file: room for tens of thousands of boards.
const MAX_FILE: u64 = 4 << 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    defaults: Settings,
    #[serde(default)]
    groups: BTreeMap<String, Settings>,
    #[serde(default)]
    boards: BTreeMap<String, Settings>,
}

impl Fleet {
    /// Reads a fleet.
    ///
    /// # Errors
    /// Returns [`Error::BadInput`] if the file cannot be read or something in it is wrong.
    pub fn open(path: &Path) -> crate::Result<Fleet> {
        let text = files::read_text(path, MAX_FILE)?;
        Fleet::parse(path, &text)
    }

    /// Reads the text of a fleet. Paths in it are relative to the folder of `path`.
    ///
    /// # Errors
    /// Returns [`Error::BadInput`] if something in it is wrong.
    pub fn parse(path: &Path, text: &str) -> crate::Result<Fleet> {
        let wrong = |reason: String| Error::BadInput(format!("{}: {reason}", path.display()));
        let file: File = toml::from_str(text).map_err(|error| wrong(explained(&error, text)))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let shared = [("defaults", &file.defaults)].into_iter();
        let shared = shared.chain(file.groups.iter().map(|(name, settings)| (name.as_str(), settings)));
        for (name, settings) in shared {
            if settings.host.is_some() || settings.groups.is_some() {
                return Err(wrong(format!("{name}: host and groups belong to a board; move them to [boards.NAME]")));
            }
        }
        let names = file.groups.keys().chain(file.boards.keys());
        if let Some(name) = names.into_iter().find(|name| !is_name(name)) {
            return Err(wrong(format!("invalid name {name:?}: give at most 64 letters, digits, dots, - and _")));
        }
        let resolve = |(name, own): (&String, &Settings)| {
            member(name, own, &file, folder).map_err(|reason| wrong(format!("boards.{name}: {reason}")))
        };
        let members: Vec<Member> = file.boards.iter().map(resolve).collect::<crate::Result<_>>()?;
        let mut known = BTreeMap::new();
        for member in &members {
            if let Some(other) = known.insert((&member.ssh.host, &member.ssh.arguments), &member.name) {
                let host = &member.ssh.host;
                return Err(wrong(format!("boards.{other} and boards.{} are both {host}; remove one", member.name)));
            }
        }
        if members.is_empty() {
            return Err(wrong("no boards; add one as [boards.NAME] with its host".into()));
        }
        Ok(Fleet { path: path.to_owned(), members })
    }

    /// The boards of these groups; all if no group is given.
    ///
    /// # Errors
    /// Returns [`Error::BadInput`] if no board belongs to a group.
    pub fn select(&self, groups: &[String]) -> crate::Result<Vec<&Member>> {
        for group in groups {
            if !self.members.iter().any(|member| member.groups.contains(group)) {
                let known = self.members.iter().flat_map(|member| member.groups.iter().map(String::as_str));
                let hint = nearest(group, known).map(|near| format!("; did you mean {near:?}?")).unwrap_or_default();
                let path = self.path.display();
                return Err(Error::BadInput(format!("{path}: no board belongs to group {group:?}{hint}")));
            }
        }
        let wanted = |member: &&Member| groups.is_empty() || member.groups.iter().any(|group| groups.contains(group));
        Ok(self.members.iter().filter(wanted).collect())
    }
}

/// The settings of a board, and of what it belongs to.
fn member(name: &str, own: &Settings, file: &File, folder: &Path) -> Result<Member, String> {
    let groups = own.groups.clone().unwrap_or_default();
    let mut settings = file.defaults.clone();
    for group in &groups {
        let shared = file.groups.get(group).ok_or_else(|| {
            let near = nearest(group, file.groups.keys().map(String::as_str));
            let hint = near.map(|near| format!("; did you mean {near:?}?")).unwrap_or_default();
            format!("there is no [groups.{group}]{hint}")
        })?;
        settings = settings.under(shared);
    }
    let settings = settings.under(own);
    let host = settings.host.as_deref().ok_or("host is missing; give the board's address, as for ssh")?;
    if let Some((host, port)) = port_of_host(host) {
        return Err(format!("host must not contain a port; write host = {host:?} and port = {port}"));
    }
    if let (Some(user), Some((other, _))) = (&own.user, host.rsplit_once('@'))
        && user != other
    {
        return Err(format!("user is {user:?}, and host names {other:?}; remove one"));
    }
    let health = HealthCheck {
        within: Seconds::or(settings.health, HEALTH),
        ignore: settings.ignore.iter().flatten().map(|part| format!("{part:?}").to_lowercase()).collect(),
    };
    Ok(Member {
        name: name.to_owned(),
        groups,
        ssh: settings.ssh(host, folder)?,
        board: match settings.board.as_deref().ok_or("board is missing; give a built-in board or a board file")? {
            path if path.contains('/') || path.ends_with(".toml") => folder.join(path).display().to_string(),
            name => Board::open(name).map(|_| name.to_owned()).map_err(|error| error.to_string())?,
        },
        binary: settings.binary.map(|path| folder.join(path)),
        bundle: settings.bundle.map(|path| folder.join(path)),
        service: settings.service.unwrap_or(true),
        settle: Seconds::or(settings.settle, SETTLE),
        health: (health.within > 0).then_some(health),
        metrics: settings.metrics.map(|metrics| metrics.address(host)).transpose()?,
    })
}

impl Metrics {
    /// Where Prometheus reaches the metrics of this host.
    fn address(self, host: &str) -> Result<String, String> {
        let of_host = |port: u16| match host.rsplit('@').next().unwrap_or(host) {
            // An IPv6 address has colons of its own.
            address if address.contains(':') => format!("[{address}]:{port}"),
            address => format!("{address}:{port}"),
        };
        // As `edge-runtime run --metrics` takes it.
        let short = |text: &str| text.strip_prefix(':')?.parse().ok().filter(|port| *port > 0);
        match self {
            Metrics::Port(0) => Err("invalid metrics 0: give a port, or \"ADDRESS:PORT\"".into()),
            Metrics::Port(port) => Ok(of_host(port)),
            Metrics::Address(text) => {
                if let Some(port) = short(&text) {
                    return Ok(of_host(port));
                }
                let is_host = |host: &str| {
                    let is_ipv6 = host.starts_with('[') && host.ends_with(']');
                    !host.is_empty() && !host.contains(['/', ' ']) && (is_ipv6 || !host.contains(':'))
                };
                let is_address = text
                    .rsplit_once(':')
                    .is_some_and(|(host, port)| is_host(host) && port.parse().is_ok_and(|port: u16| port > 0));
                match is_address {
                    true => Ok(text),
                    false => Err(format!("invalid metrics {text:?}: give a port, or \"ADDRESS:PORT\"")),
                }
            }
        }
    }
}

impl Settings {
    /// These settings under others, which count where they are given.
    fn under(self, over: &Settings) -> Settings {
        let over = over.clone();
        Settings {
            host: over.host.or(self.host),
            groups: over.groups.or(self.groups),
            user: over.user.or(self.user),
            port: over.port.or(self.port),
            jump: over.jump.or(self.jump),
            identity: over.identity.or(self.identity),
            ssh_config: over.ssh_config.or(self.ssh_config),
            ssh_options: over.ssh_options.or(self.ssh_options),
            board: over.board.or(self.board),
            binary: over.binary.or(self.binary),
            bundle: over.bundle.or(self.bundle),
            service: over.service.or(self.service),
            settle: over.settle.or(self.settle),
            health: over.health.or(self.health),
            ignore: over.ignore.or(self.ignore),
            metrics: over.metrics.or(self.metrics),
            root: over.root.or(self.root),
        }
    }

    /// How ssh reaches the board: by its own configuration, with what is set here on top.
    fn ssh(&self, host: &str, folder: &Path) -> Result<Ssh, String> {
        let target = match (&self.user, host.contains('@')) {
            (Some(user), false) => format!("{user}@{host}"),
            _ => host.to_owned(),
        };
        for (key, value) in [("host", &target), ("jump", self.jump.as_ref().unwrap_or(&target))] {
            if !is_host(value) {
                return Err(format!("invalid {key} {value:?}: give USER@ADDRESS, or a name of ssh's configuration"));
            }
        }
        // Nobody is there to type a password for fifty boards.
        let mut arguments = vec!["-o".to_owned(), "BatchMode=yes".to_owned()];
        let mut add = |flag: &str, value: String| arguments.extend([flag.to_owned(), value]);
        if let Some(path) = &self.ssh_config {
            add("-F", folder.join(path).display().to_string());
        }
        if let Some(Port::Number(port)) = self.port {
            add("-p", port.to_string());
        }
        if let Some(jump) = &self.jump {
            add("-J", jump.clone());
        }
        if let Some(identity) = &self.identity {
            // ssh knows what ~ is.
            let is_home = identity.starts_with("~/");
            add("-i", if is_home { identity.clone() } else { folder.join(identity).display().to_string() });
        }
        for option in self.ssh_options.iter().flatten() {
            add("-o", option.clone());
        }
        let root = self.root.clone().unwrap_or_else(|| "/".to_owned());
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
        if !root.starts_with('/') || !root.chars().all(is_plain) {
            return Err(format!("invalid root {root:?}: give an absolute path of plain letters"));
        }
        Ok(Ssh { host: target, arguments, root, patience: Duration::from_secs(60), interactive: false })
    }
}

/// Names become words of tables and labels of Prometheus.
fn is_name(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    (1..=64).contains(&name.len()) && name.chars().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLEET: &str = r#"
        [defaults]
        board = "raspberry-pi-4b"
        user = "pi"
        jump = "gateway"
        metrics = 9090
        [groups.kitchen]
        bundle = "runs/kitchen/bundle"
        [groups.old]
        board = "boards/old.toml"
        bundle = "/srv/bundle"
        settle = 30
        [boards.kitchen-1]
        host = "192.0.2.1"
        groups = ["kitchen"]
        [boards.kitchen-2]
        host = "root@192.0.2.2"
        groups = ["kitchen", "old"]
        port = 2222
        identity = "~/.ssh/fleet"
        ssh_options = ["Ciphers=aes128-ctr"]
        health = 0
        metrics = "board.example:1234"
        [boards.hall]
        host = "hall"
        ignore = ["camera"]
        [boards.six]
        host = "pi@2001:db8::6"
    "#;

    fn error(text: &str) -> String {
        Fleet::parse(Path::new("fleet.toml"), text).unwrap_err().to_string()
    }

    #[test]
    fn what_is_nearer_to_the_board_counts() {
        let fleet = Fleet::parse(Path::new("site/fleet.toml"), FLEET).unwrap();
        let [hall, one, two, six] = &fleet.members[..] else { panic!("{fleet:?}") };
        assert_eq!((one.name.as_str(), one.ssh.host.as_str()), ("kitchen-1", "pi@192.0.2.1"));
        assert_eq!(one.ssh.arguments, ["-o", "BatchMode=yes", "-J", "gateway"]);
        assert_eq!(one.board, "raspberry-pi-4b");
        assert_eq!(one.bundle.as_deref(), Some(Path::new("site/runs/kitchen/bundle")));
        assert_eq!((one.settle, one.metrics.as_deref()), (SETTLE, Some("192.0.2.1:9090")));
        assert_eq!(six.metrics.as_deref(), Some("[2001:db8::6]:9090"));
        assert_eq!(two.ssh.host, "root@192.0.2.2");
        assert_eq!(two.ssh.arguments[2..].join(" "), "-p 2222 -J gateway -i ~/.ssh/fleet -o Ciphers=aes128-ctr");
        assert_eq!((two.board.as_str(), two.settle, &two.health), ("site/boards/old.toml", 30, &None));
        assert_eq!(two.bundle.as_deref(), Some(Path::new("/srv/bundle")));
        assert_eq!(two.metrics.as_deref(), Some("board.example:1234"));
        assert_eq!(hall.health.as_ref().unwrap().ignore, ["camera"]);
        let kitchen = fleet.select(&["kitchen".to_owned()]).unwrap();
        assert_eq!(kitchen.iter().map(|member| member.name.as_str()).collect::<Vec<_>>(), ["kitchen-1", "kitchen-2"]);
        assert_eq!(fleet.select(&[]).unwrap().len(), 4);
    }

    #[test]
    fn a_user_may_be_named_twice() {
        let twice = FLEET.replace("host = \"hall\"", "host = \"ann@hall\"\nuser = \"ann\"");
        let fleet = Fleet::parse(Path::new("fleet.toml"), &twice).unwrap();
        assert_eq!(fleet.members[0].ssh.host, "ann@hall");
    }

    #[test]
    fn metrics_are_a_port_of_the_host_or_another_address() {
        for (metrics, expected) in [
            (Metrics::Port(9464), "192.0.2.1:9464"),
            (Metrics::Address(":9464".into()), "192.0.2.1:9464"),
            (Metrics::Address("10.0.0.1:9464".into()), "10.0.0.1:9464"),
        ] {
            assert_eq!(metrics.address("pi@192.0.2.1").unwrap(), expected);
        }
    }

    #[test]
    fn mistakes_are_named_with_what_was_meant() {
        for (from, to, words) in [
            ("bundle = \"runs", "bundel = \"runs", vec!["line 8", "`bundel`", "did you mean `bundle`"]),
            ("[defaults]", "[default]", vec!["line 2", "did you mean `defaults`"]),
            ("groups = [\"kitchen\"]", "groups = [\"kitchn\"]", vec!["boards.kitchen-1", "did you mean \"kitchen\""]),
            ("[boards.hall]", "[boards.kitchen-1]", vec!["line", "duplicate key"]),
            ("host = \"hall\"", "host = \"pi@192.0.2.1\"", vec!["boards.hall and boards.kitchen-1 are both"]),
            ("host = \"hall\"", "host = \"-oProxyCommand=reboot\"\nuser = \"@\"", vec!["boards.hall", "host"]),
            ("host = \"hall\"", "", vec!["boards.hall: host is missing"]),
            (
                "host = \"hall\"",
                "host = \"hall:29\"",
                vec!["boards.hall: host must not contain a port", "host = \"hall\" and port = 29"],
            ),
            ("host = \"hall\"", "host = \"pi@hall\"\nuser = \"root\"", vec!["boards.hall: user is \"root\"", "\"pi\""]),
            ("user = \"pi\"", "user = \"pi\"\nhost = \"x\"", vec!["host and groups belong to a board"]),
            ("[\"camera\"]", "[\"model\"]", vec!["line", "camera"]),
            ("metrics = 9090", "metrics = 90900", vec!["expected a port"]),
            ("metrics = 9090", "metrics = 0", vec!["invalid metrics 0"]),
            ("metrics = 9090", "metrics = \"abc\"", vec!["invalid metrics \"abc\"", "ADDRESS:PORT"]),
            ("board.example:1234", "2001:db8::6:1234", vec!["boards.kitchen-2", "ADDRESS:PORT"]),
            ("board = \"raspberry-pi-4b\"", "", vec!["board is missing"]),
            ("raspberry-pi-4b", "pi4", vec!["no board is called \"pi4\"", "raspberry-pi-4b"]),
            ("[boards.hall]", "[boards.\"a hall\"]", vec!["\"a hall\""]),
            ("[boards.hall]", "[[boards.hall]]", vec!["line 24: [[boards.hall]] begins a list; write [boards.hall]"]),
            ("port = 2222", "port = \"ssh\"", vec!["line", "port: expected a number from 1 to 65535"]),
            ("port = 2222", "port = 99999", vec!["line", "port: expected a number from 1 to 65535"]),
            ("settle = 30", "settle = -1", vec!["line", "expected seconds"]),
            ("metrics = 9090", "metrics = \":0\"", vec!["invalid metrics \":0\""]),
        ] {
            assert!(FLEET.contains(from), "{from}");
            let said = error(&FLEET.replacen(from, to, 1));
            assert!(words.iter().all(|word| said.contains(word)) && said.lines().count() == 1, "{to}: {said}");
        }
        for text in ["[boards]", ""] {
            assert!(error(text).contains("no boards; add one as [boards.NAME]"), "{text}");
        }
        let said = error("[[boards]]\nname = \"hall\"\nhost = \"hall\"");
        assert!(said.contains("line 1: [[boards]] begins a list; write [boards], or [boards.NAME]"), "{said}");
        let fleet = Fleet::parse(Path::new("fleet.toml"), FLEET).unwrap();
        let said = fleet.select(&["kitchn".to_owned()]).unwrap_err().to_string();
        assert!(said.contains("did you mean \"kitchen\""), "{said}");
    }

    #[test]
    fn the_schema_for_editors_knows_the_same_keys() {
        let schema: serde_json::Value =
            serde_json::from_str(include_str!("../../../boards/fleet.schema.json")).unwrap();
        let keys = |value: &serde_json::Value| {
            let mut keys: Vec<String> = value["properties"].as_object().unwrap().keys().cloned().collect();
            keys.sort();
            keys
        };
        let known = |text: &str| {
            let error = toml::from_str::<File>(text).err().unwrap();
            let mut names: Vec<String> = error.message().split('`').skip(3).step_by(2).map(str::to_owned).collect();
            names.sort();
            names
        };
        assert_eq!(keys(&schema), known("[boards]\n[x]"));
        let settings = known("[defaults]\nx = 1");
        assert_eq!(keys(&schema["$defs"]["board"]), settings);
        let shared = settings.into_iter().filter(|key| !["host", "groups"].contains(&key.as_str()));
        assert_eq!(keys(&schema["$defs"]["shared"]), shared.collect::<Vec<_>>());
    }
}
