//! Faults that can be injected, to see that a suite notices.

/// A fault, each for one suite.
#[derive(Clone, Copy, Debug, PartialEq, clap::ValueEnum)]
pub enum Fault {
    /// parity: a bit of a weight is flipped on the board, and its hash renewed
    Weight,
    /// camera: the board sees another picture than the host
    Picture,
    /// indicator: red and green are swapped in the board file
    Line,
    /// disk: nothing happens to the disk
    Disk,
    /// power: the disk ignores flushes
    Sync,
    /// limits: the board file names another sensor
    Sensor,
    /// watchdog: the service has no watchdog
    Watchdog,
    /// soak: more and more connections to the program stay open
    Leak,
    /// appliance: the card lacks its initial file system
    Card,
    /// install: the first version is deployed twice
    Version,
}

impl Fault {
    /// Returns the name of the suite that must notice the fault.
    pub fn suite(self) -> &'static str {
        match self {
            Fault::Weight => "parity",
            Fault::Picture => "camera",
            Fault::Line => "indicator",
            Fault::Disk => "disk",
            Fault::Sync => "power",
            Fault::Sensor => "limits",
            Fault::Watchdog => "watchdog",
            Fault::Leak => "soak",
            Fault::Card => "appliance",
            Fault::Version => "install",
        }
    }
}
