//! `host-trainer predict` says what `edge-runtime classify` says, and `host-trainer label` takes a journal.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use system_tests::{json_lines, program, refuse, root, shipped_bundle, succeed, write_folder};

fn predict(arguments: &[&str]) -> std::process::Command {
    let edge_runtime = program("edge-runtime").get_program().to_owned();
    let mut command = program("host-trainer");
    command.args(["predict", "--cropped", "--bundle"]).arg(root().join("models/ferplus-edge"));
    command.arg("--edge-runtime").arg(edge_runtime).args(arguments);
    command
}

#[test]
fn the_boards_own_answers_as_lines_table_and_gallery() {
    let folder = tempfile::tempdir().unwrap();
    let pictures = folder.path().join("faces");
    write_folder(&pictures, 12);
    let from = pictures.to_str().unwrap();
    let lines = json_lines(&succeed(&mut predict(&[from])).stdout);
    assert_eq!(lines.len(), 12);
    for line in &lines {
        let mut classify = program("edge-runtime");
        classify
            .args(["classify", "--bundle"])
            .arg(root().join("models/ferplus-edge"))
            .arg(line["file"].as_str().unwrap());
        assert_eq!(json_lines(&succeed(&mut classify).stdout)[0]["faces"], line["faces"]);
    }
    let table = String::from_utf8(succeed(&mut predict(&["--format", "csv", from])).stdout).unwrap();
    assert_eq!(table.lines().count(), 13);

    let out = folder.path().join("out");
    let said = succeed(&mut predict(&["--out", out.to_str().unwrap(), from])).stdout;
    assert!(String::from_utf8(said).unwrap().trim().ends_with("index.html"));
    assert_eq!(std::fs::read_to_string(out.join("predictions.csv")).unwrap(), table);
    let page = std::fs::read_to_string(out.join("index.html")).unwrap();
    let drawn = std::fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let drawn: Vec<String> = drawn.filter(|name| name.ends_with(".svg")).collect();
    assert!(drawn.len() == 12 && drawn.iter().all(|name| page.contains(name)), "{drawn:?}");
    assert!(refuse(&mut predict(&["--out", out.to_str().unwrap(), from])).contains("is not empty"));
    // Whoever names a picture is not told to remove it.
    let picture = drawn.first().map(|name| out.join(name)).unwrap();
    let said = refuse(&mut predict(&["--out", picture.to_str().unwrap(), from]));
    assert!(said.contains("it is a file; name a folder") && picture.is_file(), "{said}");
    assert!(page.contains("ferplus-edge"));

    std::fs::write(pictures.join("damaged.png"), "not a picture").unwrap();
    std::fs::write(pictures.join("phone.heic"), b"\0\0\0\x18ftypheic").unwrap();
    let output = predict(&[from]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), json_lines(&output.stdout).len()), (Some(2), 12), "{said}");
    assert_eq!(said.matches("error: ").count(), 1, "{said}");
    assert!(said.contains("damaged.png") && said.contains("1 of 13 pictures could not be read"), "{said}");
    assert!(said.contains("1 files left out: 1 HEIC (convert them to JPEG)"), "{said}");
    assert!(refuse(&mut predict(&["no-such-*.png"])).contains("no pictures"));
}

#[test]
fn names_that_are_not_utf8_are_skipped_and_nothing_is_left_half_written() {
    use std::os::unix::ffi::OsStringExt;
    let folder = tempfile::tempdir().unwrap();
    let (pictures, out) = (folder.path().join("faces"), folder.path().join("out"));
    std::fs::create_dir(&pictures).unwrap();
    let strange = pictures.join(std::ffi::OsString::from_vec(b"a\xff.png".to_vec()));
    for path in [&strange, &pictures.join("b.png")] {
        std::fs::File::create(path)
            .and_then(|mut file| {
                image::GrayImage::new(64, 64)
                    .write_to(&mut file, image::ImageFormat::Png)
                    .map_err(std::io::Error::other)
            })
            .unwrap();
    }
    let from = pictures.to_str().unwrap();
    let output = predict(&["--out", out.to_str().unwrap(), from]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("not UTF-8") && said.contains("1 of 2 pictures could not be read"), "{said}");
    assert_eq!(std::fs::read_to_string(out.join("predictions.jsonl")).unwrap().lines().count(), 1);

    let nothing = folder.path().join("nothing");
    std::fs::write(pictures.join("b.png"), "not a picture").unwrap();
    let said = refuse(&mut predict(&["--out", nothing.to_str().unwrap(), from]));
    assert!(said.contains("2 of 2 pictures could not be read") && !nothing.exists(), "{said}");
    let mut other = program("host-trainer");
    other
        .args(["predict", "--edge-runtime", "/bin/true", "--bundle"])
        .arg(root().join("models/ferplus-edge"))
        .arg(from);
    assert!(refuse(&mut other).contains("is not edge-runtime"));
}

/// The faces that a run kept are labelled by way of the journal alone.
#[test]
fn a_journal_is_labelled() {
    let folder = tempfile::tempdir().unwrap();
    let (pictures, journal) = (folder.path().join("faces"), folder.path().join("journal.db"));
    write_folder(&pictures, 8);
    let mut run = program("edge-runtime");
    run.args(["run", "--board", "generic-x86-64", "--keep-faces", "all", "--bundle"])
        .arg(shipped_bundle(folder.path()));
    run.arg("--journal").arg(&journal).arg("--source").arg(format!("images:{}/*/*.png", pictures.display()));
    succeed(&mut run);
    let edge_runtime = program("edge-runtime").get_program().to_owned();
    let label = |journal: &Path| {
        let mut label = program("host-trainer");
        label.args(["label", "--port", "0", "--edge-runtime"]).arg(&edge_runtime).arg(journal);
        label
    };
    let without = folder.path().join("without.db");
    let mut run = program("edge-runtime");
    run.args(["run", "--board", "generic-x86-64", "--bundle"]).arg(folder.path().join("bundle"));
    run.arg("--journal").arg(&without).arg("--source").arg(format!("images:{}/*/*.png", pictures.display()));
    succeed(&mut run);
    let said = refuse(&mut label(&without));
    assert!(said.contains("could not be exported: the journal has no such faces"), "{said}");
    let mut label = label(&journal);
    let mut label = label.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(label.stdout.take().unwrap()).lines().map_while(Result::ok);
    let page = lines.into_iter().find(|line| line.starts_with("label: http://127.0.0.1:"));
    label.kill().unwrap();
    label.wait().unwrap();
    assert!(page.is_some());
    let faces = folder.path().join("journal.db-faces");
    assert!(faces.join("faces.csv").is_file());
}
