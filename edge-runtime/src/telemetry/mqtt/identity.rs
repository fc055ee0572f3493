//! Who publishes: what tells this program from others at the same broker, and where its topics are.

use expression_engine::files::sha256;

/// Hexadecimal digits of an id.
const ID_DIGITS: usize = 8;

/// The ids and topics of one publisher.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Client id at the broker and id of the device in Home Assistant. It stays the same from run to run.
    pub id: String,
    /// What people call the device: the last part of the prefix.
    pub name: String,
    /// Tells this run from every other program that uses the same topics.
    pub run: String,
    pub topics: Topics,
}

/// Where things are published.
#[derive(Debug, Clone)]
pub struct Topics {
    /// The present status, a JSON object, retained.
    pub state: String,
    /// `online` or `offline`, retained.
    pub status: String,
    /// The entries of the backlog.
    pub records: String,
    /// `ON` pauses recording, `OFF` resumes it.
    pub pause: String,
    /// The run that publishes here, retained: by it a run sees that another one has taken over.
    pub run: String,
}

impl Identity {
    /// The identity of a run on this machine that watches `source` and publishes under `prefix`; if there is none, under a
    /// prefix that no other machine or source has.
    pub fn new(source: &str, prefix: Option<&str>) -> Identity {
        Identity::of_machine(&machine(), &host_name(), source, prefix)
    }

    /// Whether a run that names itself under the same prefix began later than this one, and so publishes there from now on. The name
    /// of an earlier one is what a broker remembers that was restored to an earlier state, after a power cut for instance.
    pub fn yields_to(&self, run: &[u8]) -> bool {
        let own = self.run.as_bytes();
        (began(run), run) > (began(own), own)
    }

    /// What all topics begin with.
    pub fn prefix(&self) -> &str {
        self.topics.state.strip_suffix("/state").unwrap_or_default()
    }

    fn of_machine(machine: &str, host: &str, source: &str, prefix: Option<&str>) -> Identity {
        let own = sha256(format!("{machine}\n{source}").as_bytes());
        let prefix = match prefix {
            Some(prefix) => prefix.to_owned(),
            None => format!("edge-runtime/{host}-{}", &own[..4]),
        };
        let id = sha256(format!("{machine}\n{source}\n{prefix}").as_bytes());
        let run = format!("{}-{}", std::process::id(), crate::telemetry::hub::unix_time().as_nanos());
        Identity {
            id: format!("edge-runtime-{}", &id[..ID_DIGITS]),
            name: prefix.rsplit('/').next().unwrap_or_default().to_owned(),
            run,
            topics: Topics {
                state: format!("{prefix}/state"),
                status: format!("{prefix}/status"),
                records: format!("{prefix}/records"),
                pause: format!("{prefix}/pause/set"),
                run: format!("{prefix}/run"),
            },
        }
    }
}

/// When a run began, in nanoseconds since 1970, by its name; `None` if it is not the name of a run.
fn began(run: &[u8]) -> Option<u128> {
    std::str::from_utf8(run).ok()?.rsplit_once('-')?.1.parse().ok()
}

/// What tells this machine from others, also those whose card was copied from the same image: systemd's machine id and, on a
/// Raspberry Pi or a Jetson, the serial number of the board.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let id = read("/etc/machine-id");
    let id = if id.trim().is_empty() { host_name() } else { id };
    let serial = read("/sys/firmware/devicetree/base/serial-number");
    format!("{}\n{}", id.trim(), serial.trim_matches(['\0', '\n', ' ']))
}

/// The name of this machine, in characters that topics and ids may have.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name: String =
        name.trim().chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '-' }).take(40).collect();
    if name.is_empty() { "board".into() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_yields_to_later_ones_alone() {
        let own = Identity::of_machine("m", "board", "a", None);
        let time = began(own.run.as_bytes()).unwrap();
        let later = [format!("1-{}", time + 1), format!("{}-{time}", "9".repeat(20))];
        assert!(later.iter().all(|run| own.yields_to(run.as_bytes())));
        let earlier = [own.run.clone(), format!("9-{}", time - 1), String::new(), "x".into(), "1-x".into()];
        assert!(earlier.iter().all(|run| !own.yields_to(run.as_bytes())));
        assert!(!own.yields_to(&[0xff]));
    }

    #[test]
    fn another_machine_source_or_prefix_is_another_device() {
        let of = |machine: &str, source: &str, prefix| Identity::of_machine(machine, "raspberrypi", source, prefix);
        let one = of("m1", "v4l2:/dev/video0", None);
        assert_eq!(one.id, of("m1", "v4l2:/dev/video0", None).id, "it stays the same");
        assert!(one.name.starts_with("raspberrypi-") && one.topics.state == format!("edge-runtime/{}/state", one.name));
        for other in [of("m2", "v4l2:/dev/video0", None), of("m1", "v4l2:/dev/video2", None)] {
            assert_ne!(one.id, other.id);
            assert_ne!(one.topics.state, other.topics.state);
        }
        let (here, there) = (of("m1", "a", Some("home/kitchen")), of("m2", "a", Some("home/kitchen")));
        assert_ne!(here.id, there.id);
        assert_eq!((here.name.as_str(), here.topics.state.as_str()), ("kitchen", "home/kitchen/state"));
        assert_eq!(of("m1", "a", Some("home/state")).prefix(), "home/state");
    }
}
