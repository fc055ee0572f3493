//! How the learning rate changes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How the learning rate changes: `one-cycle`, `constant` or `step:EPOCHS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Schedule {
    /// Up over the first 30 % of the steps, then down to nothing, both along a cosine (Smith 2018, arXiv 1803.09820).
    OneCycle,
    /// Always the same.
    Constant,
    /// A tenth of the rate after this many epochs, once (the paper's schedules).
    Step(usize),
}

impl FromStr for Schedule {
    type Err = String;

    fn from_str(text: &str) -> Result<Schedule, String> {
        let step = |epochs: &str| epochs.parse().ok().filter(|epochs| *epochs > 0).map(Schedule::Step);
        let known = match text {
            "one-cycle" => Some(Schedule::OneCycle),
            "constant" => Some(Schedule::Constant),
            _ => text.strip_prefix("step:").and_then(step),
        };
        known.ok_or_else(|| format!("unknown schedule {text:?}; expected one-cycle, constant or step:EPOCHS"))
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Schedule::OneCycle => f.write_str("one-cycle"),
            Schedule::Constant => f.write_str("constant"),
            Schedule::Step(epochs) => write!(f, "step:{epochs}"),
        }
    }
}

impl TryFrom<String> for Schedule {
    type Error = String;

    fn try_from(text: String) -> Result<Schedule, String> {
        text.parse()
    }
}

impl From<Schedule> for String {
    fn from(schedule: Schedule) -> String {
        schedule.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_are_read_as_they_are_written() {
        for schedule in [Schedule::OneCycle, Schedule::Constant, Schedule::Step(20)] {
            assert_eq!(schedule.to_string().parse(), Ok(schedule));
        }
        for unknown in ["step:0", "step:", "cosine", ""] {
            assert!(unknown.parse::<Schedule>().unwrap_err().contains("one-cycle"), "{unknown}");
        }
    }
}
