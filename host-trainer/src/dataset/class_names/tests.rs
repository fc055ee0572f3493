use super::*;

fn labels(classes: &ClassNames, names: &[&str]) -> Result<Vec<Option<Label>>, String> {
    classes.labels(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
}

#[test]
fn common_spellings_are_read() {
    for (name, label) in [
        ("Happy", Label::Happiness),
        ("0_angry", Label::Anger),
        ("03 - Surprised", Label::Surprise),
        ("Suprise", Label::Surprise),
        ("suprized", Label::Surprise),
        ("NEUTRAL faces", Label::Neutral),
        ("fear.images", Label::Fear),
        ("Angst", Label::Fear),
        ("contemptt", Label::Contempt),
        ("sad", Label::Sadness),
        ("Dis", Label::Disgust),
        ("Fears", Label::Fear),
        ("smiles", Label::Happiness),
        ("Felicità", Label::Happiness),
        ("3_KIZGIN", Label::Anger),
        ("Страх", Label::Fear),
        ("1 高兴", Label::Happiness),
        ("悲しみ", Label::Sadness),
        ("Uberraschung", Label::Surprise),
        ("angstlich", Label::Fear),
        ("fr\u{f6}hlich", Label::Happiness),
        ("fro\u{308}hlich", Label::Happiness),
    ] {
        assert_eq!(labels(&ClassNames::Common, &[name]), Ok(vec![Some(label)]), "{name}");
    }
    assert_eq!(labels(&ClassNames::Common, &["unknown", "Not_a_face", "Unlabeled"]), Ok(vec![None; 3]));
    for name in ["bored", "not happy", "happy sad", "x", "", "sid", "tearful", "danger", "paula", "walking"] {
        let error = labels(&ClassNames::Common, &["fear", name]).unwrap_err();
        assert!(error.contains(&format!("{name:?}")) && error.contains("--classes"), "{error}");
    }
}

#[test]
fn no_spelling_is_that_of_two_labels() {
    let foreign = FOREIGN.iter().flat_map(|(label, known)| known.split(' ').map(|known| (*label, known)));
    let all: Vec<(Label, &str)> =
        SPELLINGS.iter().flat_map(|(label, known)| known.iter().map(|known| (*label, *known))).chain(foreign).collect();
    for (label, known) in &all {
        assert_eq!(labels(&ClassNames::Common, &[*known]), Ok(vec![Some(*label)]), "{known}");
        assert!(all.iter().all(|(other, name)| name != known || other == label), "{known}");
    }
}

#[test]
fn numbers_are_those_of_a_known_set_or_refused() {
    let numbers = |range: std::ops::Range<usize>| range.map(|number| number.to_string()).collect::<Vec<_>>();
    let first = |names: &[String]| ClassNames::Common.labels(names).map(|labels| labels[0]);
    assert_eq!(first(&numbers(0..7)), Ok(Some(Label::Anger)));
    assert_eq!(first(&numbers(1..8)), Ok(Some(Label::Surprise)));
    assert_eq!(first(&numbers(0..8)), Ok(Some(Label::Neutral)));
    let error = first(&numbers(2..5)).unwrap_err();
    assert!(error.contains("2, 3, 4") && error.contains("raf-db"), "{error}");
    let affectnet: ClassNames = "affectnet".parse().unwrap();
    assert_eq!(labels(&affectnet, &["0", "6", "7"]).unwrap()[1..], [Some(Label::Anger), Some(Label::Contempt)]);
    assert!(labels(&affectnet, &["8"]).is_err());
    let words = ["class006", "Label 7", "1_emotion", "02", "3 "];
    let expected = [Label::Anger, Label::Contempt, Label::Happiness, Label::Sadness, Label::Surprise].map(Some);
    assert_eq!(labels(&affectnet, &words), Ok(expected.to_vec()));
    for name in ["images 1", "-1", "1.5", "p3", "class", "1 2"] {
        assert!(labels(&affectnet, &[name]).is_err(), "{name}");
    }
    // It is not clear whose numbers these are.
    let names: Vec<String> = (1..8).map(|number| format!("class{number:03}")).collect();
    let error = first(&names).unwrap_err();
    assert!(error.contains("classes numbered 1, 2, 3, 4, 5, 6, 7: give --classes"), "{error}");
    assert_eq!(labels(&"AffectNet".parse().unwrap(), &["0"]), Ok(vec![Some(Label::Neutral)]));
    for (name, of_two) in [("affectnet", Label::Sadness), ("ferplus", Label::Surprise), ("ck-plus", Label::Contempt)] {
        assert_eq!(labels(&name.parse().unwrap(), &["2"]), Ok(vec![Some(of_two)]), "{name}");
    }
    assert!(error.contains("ferplus") && error.contains("ck-plus"), "{error}");
}

#[test]
fn names_of_ones_own_are_read_from_the_flag_or_a_file() {
    let own: ClassNames = "lachen=happiness, böse = anger,blurred=-".parse().unwrap();
    let expected = vec![Some(Label::Happiness), Some(Label::Anger), None, Some(Label::Fear)];
    assert_eq!(labels(&own, &["Lachen", "böse", "blurred", "fear"]), Ok(expected));
    assert_eq!(own.to_string(), "blurred=-,böse=anger,lachen=happiness");
    assert_eq!(own.to_string().parse::<ClassNames>(), Ok(own.clone()));
    let numbers = ClassNames::Numbers(Numbering::RafDb);
    assert_eq!(numbers.to_string().parse::<ClassNames>(), Ok(numbers));
    assert_eq!(own.unused(&["Lachen", "bo\u{308}se", "fear"].map(String::from)), ["blurred"]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("classes.txt");
    let read = |text: &[u8]| -> Result<ClassNames, String> {
        std::fs::write(&file, text).unwrap();
        file.to_str().unwrap().parse()
    };
    for text in ["# mine\nA=neutral\n\nB=sad\n", "\u{feff}A;neutral\r\nB;sad\r\n", "A\tneutral\nB\tsad"] {
        let own = read(text.as_bytes()).unwrap();
        assert_eq!(labels(&own, &["a", "B"]), Ok(vec![Some(Label::Neutral), Some(Label::Sadness)]), "{text:?}");
    }
    for text in ["A,neutral\nB,sad\n", "A neutral"] {
        let error = read(text.as_bytes()).unwrap_err();
        assert!(error.contains("is not NAME=LABEL"), "{error}");
    }
    let utf16: Vec<u8> = "A=neutral".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert!(read(&utf16).unwrap_err().contains("text in UTF-16; save it as UTF-8"));
    for (text, told) in [("a=bored", "bored"), ("nowhere.txt", "nowhere.txt"), ("a=fear,a=sad", "twice"), ("=", "\"\"")]
    {
        let error = text.parse::<ClassNames>().unwrap_err();
        assert!(error.contains(told), "{error}");
    }
}
