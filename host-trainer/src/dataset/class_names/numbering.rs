//! Classes that have numbers instead of names.

use std::collections::BTreeSet;

use expression_core::Label;

/// Words that may stand beside the number of a class. A folder called `images 1` is more likely one of several.
const NUMBERED: [&str; 4] = ["class", "emotion", "expression", "label"];

/// The numbers that a data set gives its classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbering {
    /// FER2013: 0 anger, 1 disgust, 2 fear, 3 happiness, 4 sadness, 5 surprise, 6 neutral.
    Fer2013,
    /// RAF-DB: 1 surprise, 2 fear, 3 disgust, 4 happiness, 5 sadness, 6 anger, 7 neutral.
    RafDb,
    /// AffectNet: 0 neutral, 1 happiness, 2 sadness, 3 surprise, 4 fear, 5 disgust, 6 anger, 7 contempt.
    AffectNet,
    /// FER+: the labels in their own order, 0 neutral to 7 contempt.
    FerPlus,
    /// CK+: 0 neutral, 1 anger, 2 contempt, 3 disgust, 4 fear, 5 happiness, 6 sadness, 7 surprise.
    CkPlus,
}

impl Numbering {
    /// Of those that have the same numbers the first is meant if none is named.
    pub(super) const ALL: [Numbering; 5] =
        [Numbering::Fer2013, Numbering::RafDb, Numbering::AffectNet, Numbering::FerPlus, Numbering::CkPlus];

    /// The name that `--classes` takes.
    pub(super) fn name(self) -> &'static str {
        match self {
            Numbering::Fer2013 => "fer2013",
            Numbering::RafDb => "raf-db",
            Numbering::AffectNet => "affectnet",
            Numbering::FerPlus => "ferplus",
            Numbering::CkPlus => "ck-plus",
        }
    }

    /// The lowest number.
    fn first(self) -> usize {
        usize::from(self == Numbering::RafDb)
    }

    /// The labels from the lowest number on.
    pub fn labels(self) -> &'static [Label] {
        use Label::*;
        match self {
            Numbering::Fer2013 => &[Anger, Disgust, Fear, Happiness, Sadness, Surprise, Neutral],
            Numbering::RafDb => &[Surprise, Fear, Disgust, Happiness, Sadness, Anger, Neutral],
            Numbering::AffectNet => &[Neutral, Happiness, Sadness, Surprise, Fear, Disgust, Anger, Contempt],
            Numbering::FerPlus => &Label::ALL,
            Numbering::CkPlus => &[Neutral, Anger, Contempt, Disgust, Fear, Happiness, Sadness, Surprise],
        }
    }

    /// The label of a class number.
    pub fn label(self, number: usize) -> Option<Label> {
        self.labels().get(number.checked_sub(self.first())?).copied()
    }

    /// All of its numbers.
    fn numbers(self) -> BTreeSet<usize> {
        (self.first()..self.first() + self.labels().len()).collect()
    }

    /// The one that has exactly these numbers, the first of several.
    pub(super) fn of(numbers: &BTreeSet<usize>) -> Option<Numbering> {
        Numbering::ALL.into_iter().find(|numbering| numbering.numbers() == *numbers)
    }
}

/// The number that a name consists of, also with leading zeros or a word such as `class` beside it.
pub(super) fn number(name: &str) -> Option<usize> {
    let lower = name.to_lowercase();
    let digits = lower.trim_matches(|letter: char| !letter.is_ascii_digit());
    let (before, after) = lower.split_once(digits).filter(|_| !digits.is_empty())?;
    let is_word = |text: &str| text.trim().is_empty() || NUMBERED.contains(&text.trim_matches([' ', '_', '-', '.']));
    (is_word(before) && is_word(after)).then(|| digits.parse().ok())?
}
