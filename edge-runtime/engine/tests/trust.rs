//! Bundles whose signature is missing, altered, older or a stranger's are refused, and minisign itself agrees.

mod graphs;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use expression_engine::bundle::{self, Manifest};
use expression_engine::error::{Classify, ErrorKind};
use expression_engine::selftest::{self, SelfTestError};
use expression_engine::trust::{Key, KeyError, Settings, Trust, TrustError, Verdict, signature_path};
use expression_engine::{Bundle, BundleError, Engine, EngineOptions, files};
use expression_signing::{SecretKey, sign_file};
use graphs::SIDE;
use tempfile::TempDir;

/// A bundle of the tiny net, signed with sequence number 5, and its maker's key.
struct Signed {
    folder: TempDir,
    key: SecretKey,
}

fn new_key() -> (TempDir, SecretKey) {
    let folder = tempfile::tempdir().unwrap();
    let key = SecretKey::create(&folder.path().join("maker.key"), None).unwrap();
    (folder, key)
}

fn public(key: &SecretKey) -> Key {
    Key::parse(&key.public()).unwrap()
}

fn write_bundle(folder: &Path, manifest: &Manifest) {
    let onnx = graphs::bytes(&graphs::int8());
    let engine = Engine::from_bytes(&onnx, manifest, EngineOptions::default()).unwrap();
    let faces: Vec<Vec<u8>> =
        [7, 3].map(|step| (0..SIDE * SIDE).map(|place| (place * step % 256) as u8).collect()).into();
    let scores: Vec<_> = faces.iter().map(|face| engine.classify(face).unwrap().integer).collect();
    let vectors = selftest::file(manifest, &faces, &scores).unwrap();
    let mut manifest = manifest.clone();
    for (name, bytes) in [(bundle::INT8, &onnx[..]), (bundle::SELFTEST, &vectors), (bundle::DETECTOR, b"a detector")] {
        fs::write(folder.join(name), bytes).unwrap();
        manifest.files.insert(name.into(), files::sha256(bytes));
    }
    fs::write(folder.join(bundle::MANIFEST), toml::to_string(&manifest).unwrap()).unwrap();
}

impl Signed {
    fn new() -> Signed {
        let (folder, key) = (tempfile::tempdir().unwrap(), new_key().1);
        write_bundle(folder.path(), &graphs::manifest());
        let signed = Signed { folder, key };
        signed.sign(5);
        signed
    }

    fn sign(&self, sequence: u64) {
        sign_file(&self.key, &self.manifest(), sequence).unwrap();
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn manifest(&self) -> PathBuf {
        self.path().join(bundle::MANIFEST)
    }

    fn signature(&self) -> PathBuf {
        signature_path(&self.manifest())
    }

    fn trust(&self) -> Trust {
        Trust::new(vec![public(&self.key)], true).unwrap()
    }

    fn open(&self, trust: &Trust) -> Result<Verdict, SelfTestError> {
        selftest::open_trusted(self.path(), EngineOptions::default(), trust).map(|(bundle, _)| bundle.verdict())
    }

    /// The line with which the bundle is refused.
    #[track_caller]
    fn refused(&self, trust: &Trust) -> String {
        let error = self.open(trust).expect_err("accepted");
        assert_eq!(error.kind(), ErrorKind::BadInput);
        let line = error.to_string();
        assert!(!line.contains('\n') && line.len() < 600, "{line}");
        line
    }

    fn edit_manifest(&self, edit: impl FnOnce(String) -> String) {
        let before = fs::read_to_string(self.manifest()).unwrap();
        let after = edit(before.clone());
        assert_ne!(before, after);
        fs::write(self.manifest(), after).unwrap();
    }
}

#[test]
fn a_signed_bundle_is_accepted_and_names_its_key_and_sequence() {
    let signed = Signed::new();
    let key = public(&signed.key).id();
    assert_eq!(signed.open(&signed.trust()).unwrap(), Verdict::Valid { key, sequence: 5, newer: None });
    // One of several keys is enough.
    let trust = Trust::new(vec![public(&new_key().1), public(&signed.key)], true).unwrap();
    assert_eq!(signed.open(&trust).unwrap().key(), Some(key));
    // Without keys nothing is verified, and that is said.
    assert_eq!(signed.open(&Trust::default()).unwrap(), Verdict::Unchecked { key });
    fs::remove_file(signed.signature()).unwrap();
    assert_eq!(signed.open(&Trust::default()).unwrap(), Verdict::Unsigned);
}

#[test]
fn labels_swapped_in_a_signed_manifest_are_refused_even_with_vectors_to_match() {
    let signed = Signed::new();
    let mut swapped = graphs::manifest();
    swapped.labels.swap(0, 1);
    // Whoever swaps them makes a self-test that agrees and hashes that hold: without keys the bundle is taken for whole.
    write_bundle(signed.path(), &swapped);
    signed.open(&Trust::default()).unwrap();
    let line = signed.refused(&signed.trust());
    let key = public(&signed.key).id();
    assert!(line.contains(&format!("manifest.toml: the signature of key {key} does not match")), "{line}");
}

#[test]
fn everything_that_changes_an_answer_is_signed() {
    for (old, new) in [
        ("scale = 0.25", "scale = 0.5"),
        ("zero_point = 128", "zero_point = 127"),
        ("aligned = 9", "aligned = 12"),
        ("[files]", "[confidence]\nleast = 0.9\nanswered = 1.0\naccuracy = 1.0\n\n[files]"),
        ("name = \"tiny\"", "name = \"tony\""),
        ("format = 1", "format =  1"),
    ] {
        let signed = Signed::new();
        signed.edit_manifest(|text| text.replacen(old, new, 1));
        assert!(signed.refused(&signed.trust()).contains("does not match"), "{new}");
    }
}

#[test]
fn every_file_that_is_read_is_signed_by_its_hash() {
    for name in [bundle::SELFTEST, bundle::DETECTOR, bundle::INT8] {
        let signed = Signed::new();
        let path = signed.path().join(name);
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, &bytes).unwrap();
        assert!(signed.refused(&signed.trust()).contains(&format!("{name}: sha256 is")));
        // And with the hash to match, the manifest is no longer the one that was signed.
        let manifest = Manifest::from_toml(&fs::read_to_string(signed.manifest()).unwrap(), signed.path()).unwrap();
        signed.edit_manifest(|text| text.replace(&manifest.files[name], &files::sha256(&bytes)));
        assert!(signed.refused(&signed.trust()).contains("does not match"), "{name}");
    }
}

#[test]
fn files_that_the_manifest_does_not_name_are_never_read() {
    let signed = Signed::new();
    let face = vec![7; SIDE * SIDE];
    let answer = || {
        let (bundle, engine) =
            selftest::open_trusted(signed.path(), EngineOptions::default(), &signed.trust()).unwrap();
        (bundle, engine.classify(&face).unwrap().integer)
    };
    let before = answer().1;
    fs::write(signed.path().join(bundle::FLOAT), b"not the float graph").unwrap();
    fs::write(signed.path().join("manifest.toml.bak"), b"format = 2").unwrap();
    let (bundle, after) = answer();
    assert_eq!(after, before);
    let refused = bundle.read(bundle::FLOAT).unwrap_err().to_string();
    assert!(refused.contains("not in the manifest"), "{refused}");
}

#[test]
fn a_strangers_signature_and_none_at_all_are_refused() {
    let signed = Signed::new();
    let (owner, stranger) = (public(&signed.key).id(), new_key().1);
    sign_file(&stranger, &signed.manifest(), 6).unwrap();
    let line = signed.refused(&signed.trust());
    let expected =
        format!("signed by key {}, and only what is signed by key {owner} is accepted", public(&stranger).id());
    assert!(line.contains(&expected), "{line}");
    // A stranger who claims to be the owner.
    let forged = fs::read_to_string(signed.signature()).unwrap();
    signed.sign(6);
    let genuine = fs::read_to_string(signed.signature()).unwrap();
    let second = |text: &str| text.lines().nth(1).unwrap().to_owned();
    // 14 characters hold the algorithm and the number of the key.
    let claimed = format!("{}{}", &second(&genuine)[..13], &second(&forged)[13..]);
    fs::write(signed.signature(), forged.replace(&second(&forged), &claimed)).unwrap();
    let line = signed.refused(&signed.trust());
    assert!(line.contains("does not match") || line.contains("signed by key"), "{line}");

    fs::remove_file(signed.signature()).unwrap();
    let line = signed.refused(&signed.trust());
    assert!(line.contains("manifest.toml: not signed") && line.contains(&owner.to_string()), "{line}");
}

#[test]
fn without_requirement_only_what_is_known_to_be_altered_is_refused() {
    let signed = Signed::new();
    let trust = Trust::new(vec![public(&signed.key)], false).unwrap();
    assert_eq!(signed.open(&trust).unwrap().sequence(), Some(5));
    let stranger = new_key().1;
    sign_file(&stranger, &signed.manifest(), 6).unwrap();
    assert_eq!(signed.open(&trust).unwrap(), Verdict::Unchecked { key: public(&stranger).id() });
    fs::remove_file(signed.signature()).unwrap();
    assert_eq!(signed.open(&trust).unwrap(), Verdict::Unsigned);
    signed.sign(5);
    signed.edit_manifest(|text| text.replace("tiny", "tony"));
    assert!(signed.refused(&trust).contains("does not match"));
}

#[test]
fn an_older_bundle_is_refused_unless_it_is_allowed() {
    let signed = Signed::new();
    let key = public(&signed.key).id();
    let newest = |newest: u64| signed.trust().with_newest(BTreeMap::from([(key, newest)]));
    assert_eq!(signed.open(&newest(5)).unwrap().sequence(), Some(5), "the same one again");
    let line = signed.refused(&newest(6));
    assert!(line.contains(&format!("sequence number 5 of key {key} is older than 6")), "{line}");
    assert!(line.contains("--allow-older-bundle"), "{line}");
    let older = Verdict::Valid { key, sequence: 5, newer: Some(6) };
    assert_eq!(signed.open(&newest(6).allowing_older()).unwrap(), older);
    let sha256 = files::sha256(&fs::read(signed.manifest()).unwrap());
    assert_eq!(signed.open(&newest(6).permitting(sha256)).unwrap(), older);
    signed.refused(&newest(6).permitting(files::sha256(b"another manifest")));
    // The sequence number of another key says nothing about this one.
    let other = signed.trust().with_newest(BTreeMap::from([(public(&new_key().1).id(), 9)]));
    assert_eq!(signed.open(&other).unwrap().sequence(), Some(5));
    // Nobody but the owner of the key raises it.
    let signature = fs::read_to_string(signed.signature()).unwrap();
    fs::write(signed.signature(), signature.replace("sequence:5", "sequence:7")).unwrap();
    assert!(signed.refused(&newest(6)).contains("does not match"));
}

#[test]
fn signatures_that_are_none_are_refused_in_one_line_and_never_read_whole() {
    let signed = Signed::new();
    let whole = fs::read(signed.signature()).unwrap();
    let text = String::from_utf8(whole.clone()).unwrap();
    let mut wrong: Vec<Vec<u8>> = (0..whole.len() - 2).step_by(7).map(|length| whole[..length].to_vec()).collect();
    wrong.extend([vec![0xff; 300], b"untrusted comment: x\n".repeat(9), vec![b'A'; 16 << 10]]);
    wrong.push(text.replace("sequence:5", "sequence:five").into_bytes());
    for wrong in &wrong {
        fs::write(signed.signature(), wrong).unwrap();
        for trust in [signed.trust(), Trust::default()] {
            let line = signed.refused(&trust);
            assert!(line.contains("minisig: not a signature") || line.contains("does not match"), "{line}");
        }
    }
    // A file that seems to have a gigabyte, and what is not a file.
    fs::File::create(signed.signature()).unwrap().set_len(1 << 30).unwrap();
    let line = signed.refused(&signed.trust());
    assert!(line.contains("larger than 16384 bytes"), "{line}");
    fs::remove_file(signed.signature()).unwrap();
    fs::create_dir(signed.signature()).unwrap();
    assert!(signed.refused(&signed.trust()).contains("not a regular file"));
    fs::File::create(signed.manifest()).unwrap().set_len(1 << 30).unwrap();
    let Err(BundleError::Manifest { reason, .. }) = Bundle::open(signed.path()) else { panic!("accepted") };
    assert!(reason.contains("larger than 262144 bytes"), "{reason}");
}

#[test]
fn keys_that_are_none_are_refused_in_one_line() {
    let (folder, key) = new_key();
    let good = key.public();
    for wrong in ["", "RW", "RWQ\nRWQ", &good[..55], &good.replace("RW", "AA"), &"R".repeat(100_000), "ü"] {
        let line = Key::parse(wrong).unwrap_err().to_string();
        assert!(line.contains("is not a public key") && line.len() < 300 && !line.contains('\n'), "{line}");
    }
    let path = |name: &str| folder.path().join(name).display().to_string();
    assert_eq!(Key::from_argument(&path("maker.key.pub")).unwrap(), Key::parse(&good).unwrap());
    assert_eq!(Key::from_argument(&good).unwrap(), Key::parse(&good).unwrap());
    assert!(matches!(Key::from_argument(&path("none")), Err(KeyError::File(line)) if line.contains("none")));
    // The secret key's file, by mistake: its content is not repeated.
    let line = Key::from_argument(&path("maker.key")).unwrap_err().to_string();
    let secret = fs::read_to_string(folder.path().join("maker.key")).unwrap();
    assert!(line.contains("maker.key does not hold one") && !line.contains(&secret[60..70]), "{line}");

    let settings = |keys: &[&str], require_signature| {
        Settings { keys: keys.iter().map(|key| key.to_string()).collect(), require_signature }.trust()
    };
    assert!(!settings(&[], None).unwrap().has_keys());
    assert!(settings(&[&good], None).unwrap().has_keys());
    assert!(matches!(settings(&[], Some(true)), Err(TrustError::NoKeys)));
    assert!(matches!(settings(&[good.as_str(); 17], None), Err(TrustError::TooManyKeys(17))));
}

#[test]
fn minisign_verifies_what_we_sign_and_we_verify_what_it_signs() {
    let run = |arguments: &[&str]| Command::new("minisign").args(arguments).output();
    if run(&["-v"]).is_err() {
        eprintln!("skipped: minisign is not installed (apt-get install minisign)");
        return;
    }
    let signed = Signed::new();
    let manifest = signed.manifest().display().to_string();
    let output = run(&["-V", "-P", &signed.key.public(), "-m", &manifest]).unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("sequence:5"), "{output:?}");

    let folder = tempfile::tempdir().unwrap();
    let [secret, public] = ["secret", "public"].map(|name| folder.path().join(name).display().to_string());
    assert!(run(&["-G", "-W", "-s", &secret, "-p", &public]).unwrap().status.success());
    let trust = Trust::new(vec![Key::from_argument(&public).unwrap()], true).unwrap();
    assert!(run(&["-S", "-s", &secret, "-m", &manifest]).unwrap().status.success());
    let sequence = signed.open(&trust).unwrap().sequence().unwrap();
    assert!(sequence.abs_diff(expression_signing::now()) < 3600, "the time of signing: {sequence}");
    // Its key signs here, too.
    let key = SecretKey::open(Path::new(&secret), || panic!("asked for a password")).unwrap();
    sign_file(&key, &signed.manifest(), 8).unwrap();
    assert_eq!(signed.open(&trust).unwrap().sequence(), Some(8));
    // The old form, which hashes nothing before it signs, is refused.
    assert!(run(&["-S", "-l", "-s", &secret, "-m", &manifest]).unwrap().status.success());
    assert!(signed.refused(&trust).contains("does not match"));
}
