//! What a deployment tells while it is under way.

/// How far a deployment has come. Until [`Step::Switching`], the board keeps running what it ran.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// The board has not answered yet.
    #[default]
    Connecting,
    /// The board's part runs: it looks at what the board has.
    Looking,
    /// The version's files are being sent.
    Sending,
    /// The board tries the version: doctor and self-test.
    Checking,
    /// The board switches to the version and watches whether it stays up.
    Switching,
    /// The version did not stay up: the board goes back to the one before.
    Restoring,
    /// The version did not stay up, and the board is as it was before.
    Restored,
}

impl Step {
    /// The step of this name in the board's answers.
    pub fn named(name: &str) -> Option<Step> {
        match name {
            "checking" => Some(Step::Checking),
            "switching" => Some(Step::Switching),
            "restoring" => Some(Step::Restoring),
            "restored" => Some(Step::Restored),
            _ => None,
        }
    }
}

/// A piece of news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News<'a> {
    /// A step has begun.
    Step(Step),
    /// The board says something, in one line.
    Line(&'a str),
    /// Bytes of the version's archive that are sent, and all that there are.
    Sent {
        /// Those that are sent.
        bytes: u64,
        /// All of them.
        all: u64,
    },
}

/// Who is told. News come from two threads, each in its own order.
pub type Tell<'a> = dyn Fn(News) + Sync + 'a;
