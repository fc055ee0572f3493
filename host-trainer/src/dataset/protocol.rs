//! `--protocol`: how a data set is split into folds.

use std::str::FromStr;

use super::Source;

/// How a data set is split into folds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// So many folds: subject-disjoint where subjects are known, else with each label spread evenly.
    Folds(usize),
    /// CK+, ten subject-disjoint folds, eight classes.
    CkPlus8,
    /// CK+, ten subject-disjoint folds, six classes: without neutral and contempt.
    CkPlus6,
    /// Oulu-CASIA, ten subject-disjoint folds, six classes.
    OuluCasia,
    /// TFD, its five official folds, seven classes.
    Tfd,
    /// SFEW 2.0, one fold: training and validation part, seven classes.
    Sfew,
    /// FER+, one fold: training and validation part, eight classes.
    FerPlus,
    /// FER2013, one fold: training and validation part, seven classes.
    Fer2013,
    /// RAF-DB, one fold: training and test part, seven classes.
    RafDb,
    /// AffectNet, one fold: training and validation part, eight classes.
    AffectNet,
}

/// Those that have a name and nothing else.
const NAMED: [(&str, Protocol); 9] = [
    ("ck-plus-8", Protocol::CkPlus8),
    ("ck-plus-6", Protocol::CkPlus6),
    ("oulu-casia", Protocol::OuluCasia),
    ("tfd", Protocol::Tfd),
    ("sfew", Protocol::Sfew),
    ("ferplus", Protocol::FerPlus),
    ("fer2013", Protocol::Fer2013),
    ("raf-db", Protocol::RafDb),
    ("affectnet", Protocol::AffectNet),
];

impl Protocol {
    /// What is meant where `--protocol` is not given.
    pub fn of(source: &Source) -> Protocol {
        match source {
            Source::Rendered(_) | Source::Folder(..) | Source::Labelled(_) | Source::Posed(..) => Protocol::Folds(10),
            Source::Fer2013(_) => Protocol::Fer2013,
            Source::RafDb(_) => Protocol::RafDb,
            Source::AffectNet(_) => Protocol::AffectNet,
            Source::FerPlus(_) => Protocol::FerPlus,
            Source::CkPlus(_) => Protocol::CkPlus8,
            Source::OuluCasia(_) => Protocol::OuluCasia,
            Source::Tfd(_) => Protocol::Tfd,
            Source::Sfew(_) => Protocol::Sfew,
        }
    }
}

impl FromStr for Protocol {
    type Err = String;

    fn from_str(text: &str) -> Result<Protocol, String> {
        if let Some((_, protocol)) = NAMED.iter().find(|(name, _)| *name == text) {
            return Ok(*protocol);
        }
        match text.split_once(':') {
            Some(("folds", count)) => match count.parse() {
                Ok(count @ 2..=1000) => Ok(Protocol::Folds(count)),
                _ => Err(format!("folds:K takes 2 to 1000 folds, not {count:?}")),
            },
            _ => {
                let names = NAMED.map(|(name, _)| name).join(", ");
                Err(format!("no protocol {text:?}; there are folds:K, {names}"))
            }
        }
    }
}

impl std::fmt::Display for Protocol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Protocol::Folds(count) = self {
            return write!(f, "folds:{count}");
        }
        NAMED.iter().filter(|(_, protocol)| protocol == self).try_for_each(|(name, _)| f.write_str(name))
    }
}
