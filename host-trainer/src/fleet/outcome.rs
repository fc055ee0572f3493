//! What came of a board.

use serde::{Deserialize, Serialize};

use crate::deploy::{Cause, Failure, Step};

/// What came of a board, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// What came of it.
    pub kind: Kind,
    /// Why; empty if it runs the version.
    pub reason: String,
}

/// What came of a board.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// It runs the version.
    Runs,
    /// It is not fit for the version, or cannot be reached. Nothing was changed.
    Unfit,
    /// The connection was lost on the way. It runs the old version or the new one; which was not found out.
    Lost,
    /// It tried the version before switching to it and refused. It runs what it ran.
    Refused,
    /// It switched to the version, which did not come up or was not well, and went back.
    RolledBack,
    /// It switched to the version and failed, and did not come back to what it ran.
    Failed,
    /// Another board's failure, or an interruption, came first. Nothing was changed.
    NotTried,
}

impl Outcome {
    /// It runs the version.
    pub fn runs() -> Outcome {
        Outcome { kind: Kind::Runs, reason: String::new() }
    }

    /// What a failed survey means.
    pub fn of_survey(failure: Failure) -> Outcome {
        Outcome { kind: Kind::Unfit, reason: failure.reason }
    }

    /// What a failed deployment means: whether anything was changed, and whether the version is to blame.
    pub fn of_deployment(failure: Failure) -> Outcome {
        let kind = match (failure.cause, failure.at) {
            (Cause::Lost, Step::Connecting | Step::Looking) => Kind::Unfit,
            (Cause::Lost, _) => Kind::Lost,
            (_, Step::Connecting | Step::Looking | Step::Sending) => Kind::Unfit,
            (_, Step::Checking) => Kind::Refused,
            (_, Step::Switching | Step::Restoring) => Kind::Failed,
            (_, Step::Restored) => Kind::RolledBack,
        };
        Outcome { kind, reason: failure.reason }
    }

    /// Whether no further board should get the version.
    pub fn stops(&self) -> bool {
        matches!(self.kind, Kind::Refused | Kind::RolledBack | Kind::Failed)
    }
}

impl Kind {
    /// The kind in words.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Runs => "runs",
            Kind::Unfit => "unfit",
            Kind::Lost => "lost",
            Kind::Refused => "refused",
            Kind::RolledBack => "rolled back",
            Kind::Failed => "failed after the switch",
            Kind::NotTried => "not tried",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_version_is_to_blame_for_stops_the_others() {
        let outcome = |at, cause| Outcome::of_deployment(Failure { host: "h".into(), at, cause, reason: "r".into() });
        for (at, cause, kind, stops) in [
            (Step::Connecting, Cause::Lost, Kind::Unfit, false),
            (Step::Looking, Cause::Refused, Kind::Unfit, false),
            (Step::Sending, Cause::Failed, Kind::Unfit, false),
            (Step::Sending, Cause::Lost, Kind::Lost, false),
            (Step::Checking, Cause::Lost, Kind::Lost, false),
            (Step::Checking, Cause::Failed, Kind::Refused, true),
            (Step::Switching, Cause::Failed, Kind::Failed, true),
            (Step::Restoring, Cause::Failed, Kind::Failed, true),
            (Step::Restored, Cause::Failed, Kind::RolledBack, true),
        ] {
            let outcome = outcome(at, cause);
            assert_eq!((outcome.kind, outcome.stops()), (kind, stops), "{at:?} {cause:?}");
        }
    }
}
