//! How hot the board is, and whether it throttles itself.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::Thermal;

/// How often a [`Thermometer`] reads.
const PERIOD: Duration = Duration::from_secs(1);
/// From this age on a reading is no longer given.
const STALE: Duration = Duration::from_secs(10);
/// Temperatures outside this range, in thousandths of a degree Celsius, are of sensors that are switched off or absent.
const PLAUSIBLE: std::ops::RangeInclusive<i32> = -40_000..=150_000;

/// What the sensors say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reading {
    /// The hottest zone that counts, in thousandths of a degree Celsius; `None` if none can be read.
    pub millicelsius: Option<i32>,
    /// What a Raspberry Pi's firmware says of throttling; `None` on other boards.
    pub throttle: Option<Throttle>,
}

impl Reading {
    /// Whether the board slows itself down at this moment.
    pub fn is_throttled(&self) -> bool {
        self.throttle.is_some_and(Throttle::is_slow)
    }
}

/// The flags of a Raspberry Pi's firmware, as `vcgencmd get_throttled` documents them: what is so now in the low bits, what
/// was so since the start of the board 16 bits higher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Throttle(pub u32);

impl Throttle {
    const UNDER_VOLTAGE: u32 = 1;
    const CAPPED: u32 = 1 << 1;
    const THROTTLED: u32 = 1 << 2;
    const HOT: u32 = 1 << 3;
    const SLOW: u32 = Self::CAPPED | Self::THROTTLED | Self::HOT;

    /// Whether the supply voltage is too low.
    pub fn is_under_voltage(self) -> bool {
        self.0 & Self::UNDER_VOLTAGE != 0
    }

    /// Whether the clock is lowered, for whatever reason.
    pub fn is_slow(self) -> bool {
        self.0 & Self::SLOW != 0
    }

    /// Whether the supply voltage was too low since the board started.
    pub fn was_under_voltage(self) -> bool {
        (self.0 >> 16) & Self::UNDER_VOLTAGE != 0
    }

    /// Whether the clock was lowered since the board started.
    pub fn was_slow(self) -> bool {
        (self.0 >> 16) & Self::SLOW != 0
    }
}

/// The files that are read.
#[derive(Debug, Clone, Default)]
pub struct Sensors {
    zones: Vec<PathBuf>,
    throttled: Option<PathBuf>,
}

impl Sensors {
    /// The sensors of a board; `root` is `/` except in tests.
    pub fn find(root: &Path, thermal: &Thermal) -> Sensors {
        let counts = |zone: &PathBuf| {
            let kind =
                std::fs::read_to_string(zone.with_file_name("type")).unwrap_or_default().trim().replace('_', "-");
            thermal.types.is_empty() || thermal.types.iter().any(|wanted| wanted.replace('_', "-") == kind)
        };
        let zones = matching(root, &thermal.zones).filter(counts).collect();
        let throttled = thermal.throttled.as_ref().and_then(|pattern| matching(root, pattern).next());
        Sensors { zones, throttled }
    }

    /// Reads them all. A sensor may take its time: the pipeline asks a [`Thermometer`].
    pub fn read(&self) -> Reading {
        let text = |path: &PathBuf| std::fs::read_to_string(path).ok();
        let temperature = |zone| text(zone)?.trim().parse::<i32>().ok().filter(|t| PLAUSIBLE.contains(t));
        let flags = |text: String| u32::from_str_radix(text.trim().trim_start_matches("0x"), 16).ok();
        Reading {
            millicelsius: self.zones.iter().filter_map(temperature).max(),
            throttle: self.throttled.as_ref().and_then(text).and_then(flags).map(Throttle),
        }
    }
}

/// The paths below `root` that match an absolute pattern.
fn matching(root: &Path, pattern: &str) -> impl Iterator<Item = PathBuf> {
    let pattern = format!("{}/{}", glob::Pattern::escape(&root.to_string_lossy()), pattern.trim_start_matches('/'));
    glob::glob(&pattern).into_iter().flatten().flatten()
}

/// What thermometer and thread share.
#[derive(Default)]
struct Shared {
    latest: Mutex<Option<(Instant, Reading)>>,
    stop: AtomicBool,
}

/// Reads the sensors once a second on a thread of its own: some answer late, a few hang.
pub struct Thermometer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Thermometer {
    /// Starts reading.
    pub fn start(sensors: Sensors) -> Thermometer {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let read = move || {
            while !theirs.stop.load(Ordering::Relaxed) {
                let reading = sensors.read();
                *theirs.latest.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), reading));
                std::thread::park_timeout(PERIOD);
            }
        };
        let started = std::thread::Builder::new().name("thermometer".into()).spawn(read);
        Thermometer { shared, thread: started.map_err(|error| tracing::warn!("no thermometer: {error}")).ok() }
    }

    /// The latest reading, at once. Empty before the first, and where the sensors have hung for ten seconds.
    pub fn latest(&self) -> Reading {
        let latest = *self.shared.latest.lock().unwrap_or_else(PoisonError::into_inner);
        latest.filter(|(at, _)| at.elapsed() < STALE).map(|(_, reading)| reading).unwrap_or_default()
    }
}

impl Drop for Thermometer {
    /// Not joined: a sensor that hangs must not keep the program from ending.
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::board::Board;

    const THROTTLED: &str = "sys/devices/platform/soc/soc:firmware/get_throttled";

    /// A root with zones of types and temperatures.
    fn root(zones: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (i, (kind, temperature)) in zones.iter().enumerate() {
            write(root.path(), &format!("sys/class/thermal/thermal_zone{i}/type"), kind);
            write(root.path(), &format!("sys/class/thermal/thermal_zone{i}/temp"), temperature);
        }
        root
    }

    fn write(root: &Path, file: &str, text: &str) {
        let path = root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn read(root: &Path, board: &str) -> Reading {
        Sensors::find(root, &Board::open(board).unwrap().thermal).read()
    }

    #[test]
    fn the_hottest_zone_that_counts_is_read() {
        let zones = [("PMIC-Die\n", "100000\n"), ("CPU-therm\n", "41500\n"), ("GPU-therm\n", "43000\n")];
        assert_eq!(read(root(&zones).path(), "jetson-nano").millicelsius, Some(43_000));
        assert_eq!(read(root(&zones).path(), "raspberry-pi-5").millicelsius, None);
        assert_eq!(read(root(&[("cpu_thermal\n", "52100\n")]).path(), "raspberry-pi-5").millicelsius, Some(52_100));
    }

    #[test]
    fn nonsense_is_no_temperature() {
        for text in ["", "hot", "-256000", "999999999999", "1e3"] {
            let reading = read(root(&[("cpu-thermal", text)]).path(), "raspberry-pi-4b");
            assert_eq!(reading, Reading::default(), "{text:?}");
        }
        assert_eq!(read(root(&[]).path(), "raspberry-pi-4b"), Reading::default());
    }

    #[test]
    fn throttling_is_read_from_the_firmware() {
        let flags = |text: &str| {
            let root = root(&[("cpu-thermal", "50000")]);
            write(root.path(), THROTTLED, text);
            read(root.path(), "raspberry-pi-4b")
        };
        assert_eq!(flags("0\n").throttle, Some(Throttle(0)));
        assert_eq!(flags("garbage").throttle, None);
        let reading = flags("50005\n");
        let throttle = reading.throttle.unwrap();
        assert!(reading.is_throttled() && throttle.is_under_voltage() && throttle.was_under_voltage());
        let past = flags("0x20000").throttle.unwrap();
        assert!(past.was_slow() && !past.is_slow() && !past.was_under_voltage());
        assert!(flags("8").is_throttled());
    }

    #[test]
    fn a_thermometer_gives_what_its_sensors_read() {
        let root = root(&[("cpu-thermal", "50000")]);
        let thermometer =
            Thermometer::start(Sensors::find(root.path(), &Board::open("raspberry-pi-4b").unwrap().thermal));
        let mut latest = thermometer.latest();
        while latest.millicelsius.is_none() {
            std::thread::yield_now();
            latest = thermometer.latest();
        }
        assert_eq!(latest.millicelsius, Some(50_000));
    }
}
