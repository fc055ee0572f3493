//! What happens besides frames.

/// Something that happened besides frames.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The camera stopped delivering frames.
    CameraLost,
    /// The camera delivers frames again.
    CameraBack {
        /// How long it did not, in milliseconds.
        gap_ms: u64,
    },
    /// The frame rate is limited because of the temperature.
    Throttled {
        /// Frames per second from now on; `None` once the limit is lifted.
        frames_per_second: Option<f32>,
    },
    /// Recording was paused or resumed, for example by the privacy button.
    Paused(bool),
    /// The journal committed a batch.
    JournalCommitted {
        /// Number of records in the batch.
        records: u64,
    },
    /// The journal dropped records that it could not hold in memory.
    JournalDropped {
        /// Number of records.
        records: u64,
    },
    /// The journal cannot be written, for example because the disk is full. It keeps trying.
    JournalFailing {
        /// What the file system or SQLite says.
        reason: String,
    },
    /// The journal can be written again.
    JournalRecovered,
    /// Anything else worth a line; cut after 200 characters.
    Note(String),
}
