//! Logs of `host-trainer` in a file or a pipe: plain text, whatever the class folders are like.

use system_tests::{program, root};

#[test]
fn warnings_are_plain_text_where_nobody_sees_colours() {
    let folder = tempfile::tempdir().unwrap();
    // As unpacked on a Mac: letter and accent apart.
    let class = folder.path().join("train/fro\u{308}hlich");
    std::fs::create_dir_all(&class).unwrap();
    image::GrayImage::new(48, 48).save(class.join("1.png")).unwrap();
    std::fs::write(class.join("notes.txt"), "not a picture").unwrap();
    let mut evaluate = program("host-trainer");
    evaluate.args(["evaluate", "--split", "train", "--bundle"]).arg(root().join("models/ferplus-edge"));
    evaluate.arg("--data").arg(format!("folder:{}", folder.path().display()));
    let output = evaluate.env_remove("NO_COLOR").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("WARN") && said.contains("1 .txt"), "{said}");
    assert!(!said.contains('\x1b') && !said.contains("unknown class"), "{said:?}");
}

#[test]
fn an_archive_in_place_of_a_folder_is_to_be_unpacked() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("faces.zip");
    std::fs::write(&archive, b"PK\x03\x04").unwrap();
    let mut evaluate = program("host-trainer");
    evaluate.args(["evaluate", "--bundle"]).arg(root().join("models/ferplus-edge"));
    let said = system_tests::refuse(evaluate.arg("--data").arg(format!("folder:{}", archive.display())));
    assert!(said.contains("unpack it"), "{said}");
}
