//! Signed versions: what the board gets, and what it refuses.

use std::fs;
use std::process::Command;

use super::board::{Board, Outcome, edge_runtime};
use super::bundle;

#[test]
fn signatures_go_to_the_board_and_going_back_permits_the_older_bundle() {
    let Some(board) = Board::start() else { return };
    let (shipped, program) = (bundle(&board, "signed"), board.desk("edge-runtime"));
    fs::copy(edge_runtime(), &program).unwrap();
    let host_trainer = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_host-trainer"));
        Outcome::of(command.current_dir(board.desk("here").parent().unwrap()).args(arguments)).done()
    };
    let trust = host_trainer(&["key", "new", "maker.key", "--no-password"]);
    let deploy = |note: &str, more: &[&str]| {
        // The board file comes from the note; the keys are added to it.
        let mut command = board.deploy_command(note, &shipped);
        let path = board.desk("board.toml");
        fs::write(&path, fs::read_to_string(&path).unwrap() + &trust).unwrap();
        command.arg("--sign").arg(board.desk("maker.key")).args(more);
        command
    };
    // `deploy_command` gives a program of its own, whose signature would lie in the build folder.
    let deploy = |note: &str| {
        let command = deploy(note, &[]);
        let mut replaced = Command::new(command.get_program());
        let given = edge_runtime().as_os_str();
        replaced.args(command.get_args().map(|word| if word == given { program.as_os_str() } else { word }));
        Outcome::of(&mut replaced)
    };
    fs::create_dir_all(board.path("var/lib/edge-runtime")).unwrap();
    deploy("one").done();
    let current = board.path("opt/edge-runtime/current");
    for name in ["edge-runtime.minisig", "bundle/manifest.toml.minisig"] {
        assert!(current.join(name).is_file(), "{name}");
    }
    let one = board.version("current").unwrap();
    assert_eq!(deploy("one").done(), format!("{one} runs already\n"), "the same signatures: the same version");
    let permitted = board.path("var/lib/edge-runtime/older-bundle.sha256");
    assert!(!permitted.exists(), "going forward needs no permission");

    // A board file without keys takes none away from the board, unless that is meant.
    let unsigned = bundle(&board, "unsigned");
    fs::remove_file(unsigned.join("manifest.toml.minisig")).unwrap();
    let error = Outcome::of(&mut board.deploy_command("without keys", &unsigned)).error(2);
    assert!(error.contains("the keys of this board refuse it") && error.contains("not signed"), "{error}");
    assert_eq!((board.version("current").unwrap(), board.runs().as_str()), (one.clone(), "one"));

    // What they refuse gets no permission either.
    let foreign = bundle(&board, "foreign");
    let mut command = board.deploy_command("of another maker", &foreign);
    let error = Outcome::of(command.arg("--allow-older-bundle")).error(2);
    assert!(error.contains("the keys of this board refuse it") && !permitted.exists(), "{error}");

    // What does not come up is taken back, and its older bundle must be allowed to run again.
    let sha256 = |path| format!("{}\n", expression_engine::files::sha256(&fs::read(path).unwrap()));
    let older = sha256(shipped.join("manifest.toml"));
    let manifest = fs::read_to_string(shipped.join("manifest.toml")).unwrap();
    fs::write(shipped.join("manifest.toml"), manifest + "# newer\n").unwrap();
    deploy("does not come up").error(1);
    assert_eq!(board.version("current").unwrap(), one);
    assert_eq!(fs::read_to_string(&permitted).unwrap(), older);
    fs::remove_file(&permitted).unwrap();
    deploy("two").done();
    assert!(!permitted.exists());
    Outcome::of(&mut board.command(&["--rollback"])).done();
    assert_eq!(fs::read_to_string(&permitted).unwrap(), older);
    deploy("two").done();
    assert!(!permitted.exists(), "the permission ends when another bundle is up");
    Outcome::of(board.deploy_command("without keys", &unsigned).arg("--replace-keys")).done();
    assert_eq!(board.runs(), "without keys");
}
