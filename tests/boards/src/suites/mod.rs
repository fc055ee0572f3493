//! The suites, one file each.

mod appliance;
mod camera;
mod disk;
mod indicator;
mod install;
mod limits;
mod parity;
mod power;
mod soak;
mod watchdog;

use crate::suite::Suite;

/// All suites. The longest come first, so that no lane has to wait for another at the end.
pub const ALL: [Suite; 10] = [
    Suite { name: "power", shows: "power cuts lose no record that was reported", run: power::run },
    Suite { name: "parity", shows: "scores, boxes and aligned faces equal the host's", run: parity::run },
    Suite { name: "indicator", shows: "lights follow the state, the button pauses recording", run: indicator::run },
    Suite { name: "appliance", shows: "the SD-card image boots and records", run: appliance::run },
    Suite {
        name: "install",
        shows: "the Debian package and deploy over ssh install, upgrade and roll back",
        run: install::run,
    },
    Suite { name: "soak", shows: "memory, descriptors and threads stay flat for an hour", run: soak::run },
    Suite {
        name: "camera",
        shows: "frames of a V4L2 camera give the host's scores, and a lost camera comes back",
        run: camera::run,
    },
    Suite { name: "watchdog", shows: "a hung pipeline is restarted", run: watchdog::run },
    Suite { name: "disk", shows: "a full, read-only or failing disk stops nothing", run: disk::run },
    Suite { name: "limits", shows: "heat lowers the frame rate, and recording survives a full disk", run: limits::run },
];

/// Returns the names of all suites.
pub fn names() -> Vec<&'static str> {
    ALL.iter().map(|suite| suite.name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Fault;
    use clap::ValueEnum;

    #[test]
    fn every_suite_has_a_fault_that_it_must_notice() {
        let mut suites: Vec<_> = Fault::value_variants().iter().map(|fault| fault.suite()).collect();
        suites.sort_unstable();
        let mut names = names();
        names.sort_unstable();
        assert_eq!(suites, names);
    }
}
