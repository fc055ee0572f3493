//! What the names of class folders mean: `--classes`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::str::FromStr;

use expression_core::Label;
use unicode_normalization::UnicodeNormalization;

use super::table;

mod numbering;

pub use numbering::Numbering;
use numbering::number;

/// What the names of class folders mean. A class may be left out on purpose; its label is `None` then.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ClassNames {
    /// Common spellings of the labels, and the numbers of known data sets if they can be told apart.
    #[default]
    Common,
    /// The numbers of a data set.
    Numbers(Numbering),
    /// Names of one's own, then common spellings.
    Own(BTreeMap<String, Option<Label>>),
}

/// Spellings of each label that class folders are found under, in lower case, besides the label's own name.
const SPELLINGS: [(Label, &[&str]); Label::COUNT] = [
    (
        Label::Neutral,
        &["neutral", "neutrality", "neutre", "neutro", "normal", "calm", "no emotion", "noemotion", "neu", "ne"],
    ),
    (
        Label::Happiness,
        &[
            "happiness",
            "happy",
            "happyness",
            "joy",
            "joyful",
            "smile",
            "smiling",
            "hap",
            "ha",
            "freude",
            "glücklich",
            "fröhlich",
            "joie",
            "heureux",
            "alegría",
            "alegria",
            "feliz",
            "felicidad",
            "felicidade",
        ],
    ),
    (
        Label::Surprise,
        &[
            "surprise",
            "surprised",
            "suprise",
            "suprised",
            "astonished",
            "astonishment",
            "amazed",
            "sur",
            "su",
            "überraschung",
            "ueberraschung",
            "überrascht",
            "sorpresa",
            "surpresa",
        ],
    ),
    (
        Label::Sadness,
        &[
            "sadness",
            "sad",
            "unhappy",
            "sorrow",
            "sa",
            "traurig",
            "trauer",
            "traurigkeit",
            "tristesse",
            "triste",
            "tristeza",
        ],
    ),
    (
        Label::Anger,
        &[
            "anger", "angry", "mad", "rage", "furious", "fury", "ang", "an", "wut", "wütend", "ärger", "aerger",
            "zorn", "colère", "colere", "ira", "enojo", "enfado", "raiva",
        ],
    ),
    (
        Label::Disgust,
        &["disgust", "disgusted", "disgusting", "digust", "dis", "di", "ekel", "dégoût", "degout", "asco", "nojo"],
    ),
    (
        Label::Fear,
        &[
            "fear",
            "fearful",
            "afraid",
            "scared",
            "frightened",
            "fright",
            "fea",
            "fe",
            "af",
            "angst",
            "ängstlich",
            "furcht",
            "peur",
            "miedo",
            "medo",
        ],
    ),
    (
        Label::Contempt,
        &[
            "contempt",
            "contemptuous",
            "disdain",
            "scorn",
            "con",
            "co",
            "verachtung",
            "mépris",
            "mepris",
            "desprecio",
            "desprezo",
        ],
    ),
];
/// Names in Italian, Dutch, Turkish, Polish, Russian, Chinese and Japanese, separated by spaces.
const FOREIGN: [(Label, &str); Label::COUNT] = [
    (Label::Neutral, "neutrale neutraal nötr neutralny neutralna нейтральный нейтрально 中性 平静 中立 無表情"),
    (
        Label::Happiness,
        "felicità felicita felice gioia blij blijdschap vreugde mutlu mutluluk radość radosc szczęście szczescie счастье радость \
         高兴 快乐 开心 喜び 幸福",
    ),
    (
        Label::Surprise,
        "sorpreso verrassing verrast şaşkın şaşkınlık saskin saskinlik zaskoczenie удивление 惊讶 惊奇 驚き",
    ),
    (Label::Sadness, "tristezza verdriet verdrietig üzgün üzüntü uzgun smutek грусть печаль 悲伤 伤心 难过 悲しみ"),
    (Label::Anger, "rabbia boos boosheid woede kızgın kizgin öfke złość zlosc gniew гнев злость 愤怒 生气 怒り"),
    (Label::Disgust, "disgusto walging afschuw iğrenme igrenme tiksinti wstręt wstret отвращение 厌恶 嫌悪"),
    (Label::Fear, "paura bang korku strach страх 恐惧 害怕 恐怖 恐れ"),
    (Label::Contempt, "disprezzo minachting küçümseme kucumseme pogarda презрение 蔑视 轻蔑 軽蔑"),
];
/// Words that may stand beside the name of an expression.
const FILLERS: [&str; 12] = [
    "class",
    "emotion",
    "expression",
    "face",
    "faces",
    "image",
    "images",
    "img",
    "imgs",
    "label",
    "photos",
    "pictures",
];
/// Names of folders that say nothing of a class, besides [`FILLERS`]: label files lie beside their pictures in some sets.
const OF_NO_CLASS: [&str; 4] = ["annotation", "annotations", "labels", "data"];
/// Names of classes that are no expression; their pictures are left out.
const NO_EXPRESSION: [&str; 13] = [
    "unknown",
    "uncertain",
    "none",
    "other",
    "others",
    "nf",
    "no face",
    "non face",
    "not a face",
    "unlabeled",
    "unlabelled",
    "unsorted",
    "ignore",
];
/// The longest edit distance at which a misspelt name is still read.
const MAX_EDITS: usize = 1;
/// The fewest letters of a name that may be misspelt.
const MIN_MISSPELT: usize = 5;
/// The fewest bytes of a name that is read in the plural too.
const MIN_PLURAL: usize = 4;
/// The most bytes of a file of names.
const MAX_BYTES: u64 = 1 << 20;

impl ClassNames {
    /// The label of each class, in the order of `names`; `None` for classes that are left out.
    ///
    /// # Errors
    /// Returns a line that names the classes that are not understood and says how to name them.
    pub fn labels(&self, names: &[String]) -> Result<Vec<Option<Label>>, String> {
        let numbering = match self {
            ClassNames::Common => guess_numbering(names)?,
            ClassNames::Numbers(numbering) => Some(*numbering),
            ClassNames::Own(_) => None,
        };
        let mut unknown = Vec::new();
        let label = |name: &String| match self.meaning(name, numbering) {
            Some(Meaning { label, is_misspelt }) => {
                if is_misspelt {
                    warn_of_misspelt(name, label);
                }
                label
            }
            None => {
                unknown.push(name.nfc().collect::<String>());
                None
            }
        };
        let labels: Vec<_> = names.iter().map(label).collect();
        if unknown.is_empty() {
            return Ok(labels);
        }
        let (quoted, example) = (unknown.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>(), &unknown[0]);
        Err(format!(
            "unknown class {}; name class folders {}, or say what they mean: --classes {example:?}=LABEL,... (LABEL - leaves a class out) or --classes FILE",
            quoted.join(", "),
            Label::ALL.map(Label::name).join(", ")
        ))
    }

    /// The names of one's own that no class has.
    pub fn unused(&self, names: &[String]) -> Vec<&str> {
        let ClassNames::Own(own) = self else { return Vec::new() };
        let folded = |name: &str| name.nfc().collect::<String>().to_lowercase();
        let names: BTreeSet<String> = names.iter().map(|name| folded(name)).collect();
        own.keys().map(String::as_str).filter(|name| !names.contains(&folded(name))).collect()
    }

    /// Whether a single name is that of a class. Nothing is logged.
    pub fn knows(&self, name: &str) -> bool {
        let numbering = if let ClassNames::Numbers(numbering) = self { Some(*numbering) } else { None };
        self.meaning(name, numbering).is_some()
    }

    /// What a name means, in a numbering if there is one; `None` if it is not understood.
    fn meaning(&self, name: &str, numbering: Option<Numbering>) -> Option<Meaning> {
        // Folders that were unpacked on a Mac have letters and accents apart.
        let name: &String = &name.nfc().collect();
        let own = match self {
            ClassNames::Own(own) => own.iter().find(|(known, _)| known.to_lowercase() == name.to_lowercase()),
            _ => None,
        };
        let by_number = || numbering.and_then(|numbering| numbering.label(number(name)?)).map(Some);
        let exact = own.map(|(_, label)| *label).or_else(by_number);
        exact.map(|label| Meaning { label, is_misspelt: false }).or_else(|| read(name))
    }

    /// Reads pairs of a name and a label, one to a line or separated by commas.
    fn pairs(text: &str) -> Result<ClassNames, String> {
        let mut own = BTreeMap::new();
        for pair in text.split(['\n', ',']).map(str::trim).filter(|pair| !pair.is_empty() && !pair.starts_with('#')) {
            let (name, label) = pair
                .split_once(['=', ';', '\t'])
                .ok_or_else(|| format!("{pair:?} is not NAME=LABEL; write for instance Angst=fear"))?;
            let (name, label) = (name.trim().trim_matches('"'), label.trim().trim_matches('"'));
            let label = match label {
                "-" => None,
                name => {
                    let Meaning { label, is_misspelt } = read(name).ok_or_else(|| {
                        let known = Label::ALL.map(Label::name).join(", ");
                        format!("{name:?} is not a label; known are {known}, and - to leave a class out")
                    })?;
                    if is_misspelt {
                        warn_of_misspelt(name, label);
                    }
                    label
                }
            };
            if own.insert(name.nfc().collect::<String>(), label).is_some() {
                return Err(format!("class {name:?} is named twice"));
            }
        }
        if own.is_empty() { Err("no NAME=LABEL in it".into()) } else { Ok(ClassNames::Own(own)) }
    }
}

/// Whether a folder's name says nothing of a class.
pub fn is_of_no_class(name: &str) -> bool {
    let name = name.to_lowercase();
    FILLERS.contains(&name.as_str()) || OF_NO_CLASS.contains(&name.as_str())
}

/// The numbering that the names of classes follow, if they are numbers.
fn guess_numbering(names: &[String]) -> Result<Option<Numbering>, String> {
    let numbers: BTreeSet<usize> = names.iter().filter_map(|name| number(name)).collect();
    if numbers.is_empty() {
        return Ok(None);
    }
    // Names such as class001 are made by programs, which may number the classes of any set from 0 or from 1.
    let is_plain = |name: &String| number(name).is_none() || name.trim().bytes().all(|byte| byte.is_ascii_digit());
    let found = Numbering::of(&numbers).filter(|_| names.iter().all(is_plain));
    let known = "fer2013 (0 anger to 6 neutral), raf-db (1 surprise to 7 neutral), affectnet (0 neutral, 1 happiness, 2 sadness, \
                 ...), ferplus (0 neutral, 1 happiness, 2 surprise, ...) or ck-plus (0 neutral, 1 anger, ...)";
    let found = found.ok_or_else(|| {
        let listed = numbers.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
        format!("classes numbered {listed}: give --classes with their numbering, {known}, or with NAME=LABEL,...")
    })?;
    tracing::warn!("class folders are numbers, read as those of {}; else give --classes, {known}", found.name());
    Ok(Some(found))
}

/// What the name of a class means.
struct Meaning {
    /// Its label; `None` for a class that is left out.
    label: Option<Label>,
    is_misspelt: bool,
}

fn warn_of_misspelt(name: &str, label: Option<Label>) {
    tracing::warn!("class {name:?} is read as {}", label.map_or("-", Label::name));
}

/// Whether names are those of class folders: two known ones at least, or the numbers of a known set.
pub fn are_classes(names: &[String]) -> bool {
    let numbers = names.iter().filter_map(|name| number(name)).collect();
    let known = names.iter().filter(|name| read(name).is_some());
    known.count() > 1 || Numbering::of(&numbers).is_some()
}

/// What a name in a common spelling means.
fn read(name: &str) -> Option<Meaning> {
    let exact = |label| Some(Meaning { label, is_misspelt: false });
    let lower = name.to_lowercase();
    let separators = |letter: char| !letter.is_alphabetic();
    let words: Vec<&str> = lower.split(separators).filter(|word| !word.is_empty()).collect();
    let whole = words.join(" ");
    if NO_EXPRESSION.contains(&whole.as_str()) {
        return exact(None);
    }
    let told: Vec<&str> = words.into_iter().filter(|word| !FILLERS.contains(word)).collect();
    let told = told.join(" ");
    let common = || SPELLINGS.iter().flat_map(|(label, known)| known.iter().map(|known| (*label, *known)));
    let mut foreign = FOREIGN.iter().flat_map(|(label, known)| known.split(' ').map(|known| (*label, known)));
    let is_whole = |known: &str| known == whole || known == told;
    let is_plural = |known: &str| known.len() >= MIN_PLURAL && told.strip_suffix('s') == Some(known);
    let found = common().find(|(_, known)| is_whole(known) || is_plural(known));
    if let Some((label, _)) = found.or_else(|| foreign.find(|(_, known)| is_whole(known))) {
        return exact(Some(label));
    }
    // People leave out accents, but do not misspell the first letter: "tearful" is not "fearful", nor "danger" "anger".
    let near = |known: &str| {
        let [known_letters, told_letters] = [known, told.as_str()].map(|text| text.chars().count());
        known_letters >= MIN_MISSPELT
            && told_letters >= MIN_MISSPELT
            && known.nfd().next() == told.nfd().next()
            && strsim::osa_distance(known, &told) <= MAX_EDITS
    };
    // Not the foreign names: "paula" is not "paura", nor "walking" "walging".
    let labels: BTreeSet<Label> = common().filter(|(_, known)| near(known)).map(|(label, _)| label).collect();
    match Vec::from_iter(labels)[..] {
        [label] => Some(Meaning { label: Some(label), is_misspelt: true }),
        _ => None,
    }
}

impl std::fmt::Display for ClassNames {
    /// As `--classes` reads it; nothing for common names.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let pair = |(name, label): (&String, &Option<Label>)| format!("{name}={}", label.map_or("-", Label::name));
        match self {
            ClassNames::Common => Ok(()),
            ClassNames::Numbers(numbering) => f.write_str(numbering.name()),
            ClassNames::Own(own) => f.write_str(&own.iter().map(pair).collect::<Vec<_>>().join(",")),
        }
    }
}

impl FromStr for ClassNames {
    type Err = String;

    /// Reads the name of a numbering, `NAME=LABEL,...`, or the path of a file with such pairs.
    fn from_str(text: &str) -> Result<ClassNames, String> {
        if let Some(numbering) =
            Numbering::ALL.into_iter().find(|numbering| numbering.name().eq_ignore_ascii_case(text))
        {
            return Ok(ClassNames::Numbers(numbering));
        }
        if text.contains('=') && !Path::new(text).is_file() {
            return ClassNames::pairs(text);
        }
        let text = table::text(Path::new(text), MAX_BYTES).map_err(|error| {
            let numberings = Numbering::ALL.map(Numbering::name).join(", ");
            format!("{error}; give a file of NAME=LABEL lines, NAME=LABEL,..., or one of {numberings}")
        })?;
        ClassNames::pairs(&text)
    }
}

#[cfg(test)]
mod tests;
