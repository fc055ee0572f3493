use super::*;

fn password(text: &str) -> Zeroizing<String> {
    Zeroizing::new(text.to_owned())
}

fn refused<T>(result: Result<T>) -> String {
    let line = result.err().expect("an error").to_string();
    assert!(!line.contains('\n'), "{line}");
    line
}

#[test]
fn only_its_owner_reads_a_secret_key_and_none_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("maker.key");
    let key = SecretKey::create(&path, None).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, SECRET_MODE);
    let public = fs::read_to_string(with_suffix(&path, PUBLIC_SUFFIX)).unwrap();
    assert_eq!(public.lines().nth(1), Some(key.public().as_str()));
    assert_eq!((key.public().len(), &key.public()[..2]), (56, "RW"));

    let before = fs::read(&path).unwrap();
    assert!(refused(SecretKey::create(&path, None)).contains("exists already"));
    fs::remove_file(&path).unwrap();
    assert!(refused(SecretKey::create(&path, None)).contains("maker.key.pub: exists already"));
    fs::write(&path, before).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(refused(SecretKey::open(&path, || panic!("no password"))).contains("mode 640"));
}

#[test]
fn a_password_protects_the_file_and_is_asked_for_only_then() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("maker.key");
    let made = SecretKey::create(&path, Some(password("secret"))).unwrap();
    let opened = SecretKey::open(&path, || Ok(password("secret"))).unwrap();
    assert_eq!(opened.public(), made.public());
    opened.sign(b"bytes", "file", 1).unwrap();
    assert!(refused(SecretKey::open(&path, || Ok(password("guess")))).contains("wrong password"));
    assert!(refused(SecretKey::open(&path, || Err(SigningError::Password("none".into())))).contains("none"));
    // A key without a password is opened without asking.
    let open = folder.path().join("open.key");
    SecretKey::create(&open, None).unwrap();
    SecretKey::open(&open, || panic!("asked")).unwrap();
}

#[test]
fn what_is_not_a_key_is_refused_in_one_line_and_not_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("maker.key");
    SecretKey::create(&path, None).unwrap();
    let whole = fs::read(&path).unwrap();
    let huge = vec![b'R'; 1 << 20];
    let public = fs::read(with_suffix(&path, PUBLIC_SUFFIX)).unwrap();
    // That others can read what is no secret key is not what is wrong with it.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    for wrong in [&b""[..], b"\xff\xfe", b"a\nb\n", b"RWQgarbage", &whole[..whole.len() / 2], &huge, &public] {
        fs::write(&path, wrong).unwrap();
        let line = refused(SecretKey::open(&path, || panic!("asked")));
        assert!(line.contains("not a secret key") && line.len() < 300, "{line}");
    }
    assert!(refused(SecretKey::open(&folder.path().join("none"), || panic!("asked"))).contains("No such file"));
    assert!(refused(SecretKey::open(folder.path(), || panic!("asked"))).contains("not a secret key"));
}

#[test]
fn only_a_regular_file_is_signed() {
    let folder = tempfile::tempdir().unwrap();
    let key = SecretKey::create(&folder.path().join("key"), None).unwrap();
    for path in [folder.path(), Path::new("/dev/null")] {
        assert!(refused(sign_file(&key, path, 1)).contains("not a regular file"));
    }
}

#[test]
fn the_password_is_the_first_line_of_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    fs::write(&file, "secret\nmore\n").unwrap();
    let given = Password { file: Some(file.clone()) };
    assert_eq!(*given.get().unwrap(), "secret");
    fs::write(&file, "\u{feff}secret\r\n").unwrap();
    assert_eq!(*given.get().unwrap(), "secret");
    for length in [1024, 1025] {
        fs::write(&file, format!("{}\r\nmore\n", "x".repeat(length))).unwrap();
        match given.get() {
            Ok(password) => assert_eq!((length, password.len()), (1024, 1024)),
            Err(error) => assert!(length == 1025 && error.to_string().contains("longer than 1024"), "{error}"),
        }
    }
    fs::write(&file, "\n").unwrap();
    assert!(refused(given.get_new()).contains("--no-password"));
    assert!(
        refused(Password { file: Some(folder.path().join("none")) }.get()).contains("cannot read the password file")
    );
}

#[test]
fn a_signature_that_cannot_be_written_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let key = SecretKey::create(&folder.path().join("maker.key"), None).unwrap();
    let file = folder.path().join("manifest.toml");
    fs::write(&file, "text").unwrap();
    fs::create_dir(with_suffix(&file, SUFFIX)).unwrap();
    assert!(refused(sign_file(&key, &file, 1)).contains("manifest.toml.minisig"));
    // Key, public key, manifest and the folder in the way.
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 4);
}
