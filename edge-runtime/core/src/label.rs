//! The eight expressions, in the order of FER+. CK+ has the same eight.

/// An expression. Its discriminant is its class index everywhere: in nets, bundles and journals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Label {
    /// No expression.
    Neutral,
    /// Happiness.
    Happiness,
    /// Surprise.
    Surprise,
    /// Sadness.
    Sadness,
    /// Anger.
    Anger,
    /// Disgust.
    Disgust,
    /// Fear.
    Fear,
    /// Contempt.
    Contempt,
}

impl Label {
    /// All labels in the order of their class index.
    pub const ALL: [Label; 8] = [
        Label::Neutral,
        Label::Happiness,
        Label::Surprise,
        Label::Sadness,
        Label::Anger,
        Label::Disgust,
        Label::Fear,
        Label::Contempt,
    ];

    /// The number of labels.
    pub const COUNT: usize = Self::ALL.len();

    /// Returns the name used in flags, files and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Label::Neutral => "neutral",
            Label::Happiness => "happiness",
            Label::Surprise => "surprise",
            Label::Sadness => "sadness",
            Label::Anger => "anger",
            Label::Disgust => "disgust",
            Label::Fear => "fear",
            Label::Contempt => "contempt",
        }
    }

    /// Returns the label of this name, or `None` if it is unknown. Upper and lower case are the same, and adjectives such as
    /// `happy` and `angry` are accepted too.
    ///
    /// ```
    /// # use expression_core::Label;
    /// assert_eq!(Label::from_name("Happy"), Some(Label::Happiness));
    /// assert_eq!(Label::from_name("bored"), None);
    /// ```
    pub fn from_name(name: &str) -> Option<Label> {
        const OTHER: [(&str, Label); 8] = [
            ("happy", Label::Happiness),
            ("surprised", Label::Surprise),
            ("sad", Label::Sadness),
            ("angry", Label::Anger),
            ("disgusted", Label::Disgust),
            ("fearful", Label::Fear),
            ("afraid", Label::Fear),
            ("contemptuous", Label::Contempt),
        ];
        Self::ALL
            .into_iter()
            .map(|label| (label.name(), label))
            .chain(OTHER)
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, label)| label)
    }

    /// Returns the label with this class index, or `None` if it is not below [`Label::COUNT`].
    pub fn from_index(index: usize) -> Option<Label> {
        Self::ALL.get(index).copied()
    }
}

/// The classes of a model in the order of its scores: each label at most once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelSet(heapless::Vec<Label, { Label::COUNT }>);

impl LabelSet {
    /// Creates the set of these labels. Returns `None` if a name is unknown or repeated, or if there are fewer than two.
    pub fn from_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Option<LabelSet> {
        let mut labels = heapless::Vec::new();
        for name in names {
            let label = Label::from_name(name).filter(|label| !labels.contains(label))?;
            labels.push(label).ok()?;
        }
        (labels.len() >= 2).then_some(LabelSet(labels))
    }
}

impl core::ops::Deref for LabelSet {
    type Target = [Label];

    fn deref(&self) -> &[Label] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_indices_lead_back_to_their_label() {
        for (index, label) in Label::ALL.into_iter().enumerate() {
            assert_eq!(label as usize, index);
            assert_eq!(Label::from_index(index), Some(label));
            assert_eq!(Label::from_name(label.name()), Some(label));
        }
        assert_eq!(Label::from_name("Happy"), Some(Label::Happiness));
        assert_eq!(Label::from_name("bored"), None);
        assert_eq!(Label::from_index(8), None);
    }

    #[test]
    fn a_label_set_has_known_labels_once_each() {
        let set = LabelSet::from_names(["fear", "happy"]).unwrap();
        assert_eq!(*set, [Label::Fear, Label::Happiness]);
        assert!(LabelSet::from_names(Label::ALL.map(Label::name)).is_some());
        for wrong in [&["fear"][..], &["fear", "fear"], &["fear", "boredom"]] {
            assert_eq!(LabelSet::from_names(wrong.iter().copied()), None);
        }
    }
}
