//! Cross-validation as people and clusters run it: folds together, apart, killed and resumed.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use system_tests::{json_lines, program, refuse, root, succeed, tiny_preset};

const FOLDS: usize = 3;

/// `host-trainer crossval` of 80 drawn faces of six people in three folds.
fn crossval(runs: &Path, preset: &Path, arguments: &[&str]) -> Command {
    let mut command = program("host-trainer");
    command.args(["crossval", "--device", "cpu", "--data", "rendered:48", "--name", "tiny", "--preset"]).arg(preset);
    command.arg("--runs").arg(runs).args(["--protocol", &format!("folds:{FOLDS}")]).args(arguments);
    command
}

fn report(runs: &Path, arguments: &[&str]) -> Command {
    let mut command = program("host-trainer");
    command.arg("report").arg(runs.join("tiny")).args(arguments);
    command
}

fn joined(runs: &Path) -> Vec<u8> {
    std::fs::read(runs.join("tiny/crossval.json")).expect("crossval.json is written")
}

fn answers(runs: &Path, fold: usize) -> Vec<Value> {
    json_lines(&std::fs::read(runs.join(format!("tiny/fold-{fold:02}/answers.jsonl"))).unwrap())
}

#[test]
fn the_joined_table_is_the_same_however_the_folds_were_run() {
    let folder = tempfile::tempdir().unwrap();
    let preset = tiny_preset(folder.path(), 6);
    let together = folder.path().join("together");
    let output = succeed(&mut crossval(&together, &preset, &[]));
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(table.contains("sample deviation over folds") && table.contains("crossval.html"), "{table}");

    let apart = folder.path().join("apart");
    for fold in ["3", "1"] {
        succeed(&mut crossval(&apart, &preset, &["--fold", fold]));
        assert!(!apart.join("tiny/crossval.json").exists(), "a fold wrote a file that all share");
    }
    missing_folds_are_told(&apart);
    killed_and_resumed(&apart, &preset);
    succeed(&mut report(&apart, &[]));
    assert!(joined(&together) == joined(&apart), "the joined tables differ");

    the_figures_are_of_the_answers(&together);
    nobody_is_in_two_folds(&together);
    finished_folds_stay_and_others_are_refused(&apart, &preset);
}

/// The second fold is killed in the middle of stage two, and resumed with `--resume`.
fn killed_and_resumed(runs: &Path, preset: &Path) {
    let mut child = crossval(runs, preset, &["--fold", "2"]).stderr(Stdio::null()).spawn().unwrap();
    let fold = runs.join("tiny/fold-02");
    let started = Instant::now();
    while !fold.join("stage-two.safetensors").exists() {
        assert!(started.elapsed() < Duration::from_secs(300) && child.try_wait().unwrap().is_none(), "no checkpoint");
        std::thread::sleep(Duration::from_millis(2));
    }
    // SIGKILL: the program has no word in it.
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!fold.join("metrics.json").exists(), "the fold was finished before it was killed");
    let output = succeed(&mut crossval(runs, preset, &["--fold", "2", "--resume"]));
    let talk = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!talk.contains("stage one epoch") && !talk.contains("stage two epoch 1/"), "trained again: {talk}");
}

fn missing_folds_are_told(runs: &Path) {
    let output = report(runs, &[]).output().unwrap();
    let talk = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{talk}");
    assert!(talk.contains("missing of 3 folds: 2"), "{talk}");
    let output = succeed(&mut report(runs, &["--partial"]));
    assert!(String::from_utf8_lossy(&output.stdout).contains("missing of 3 folds: 2"));
    let joined: Value = serde_json::from_slice(&joined(runs)).unwrap();
    assert_eq!(joined["missing"], serde_json::json!([2]));
}

/// Accuracies and confusion counted here again, from the lines of the folds.
fn the_figures_are_of_the_answers(runs: &Path) {
    let joined: Value = serde_json::from_slice(&joined(runs)).unwrap();
    let mut accuracies = Vec::new();
    for fold in 1..=FOLDS {
        let answers = answers(runs, fold);
        let right = answers.iter().filter(|answer| answer["int8"] == answer["label"]).count();
        accuracies.push(right as f64 / answers.len() as f64);
        assert_eq!(joined["folds"][fold - 1]["samples"][2], answers.len());
        let joined = joined["folds"][fold - 1]["int8_accuracy"].as_f64().unwrap();
        assert!((joined - accuracies[fold - 1]).abs() < 1e-12, "fold {fold}: {joined}");
    }
    let mean = accuracies.iter().sum::<f64>() / FOLDS as f64;
    assert!((joined["int8_accuracy"]["mean"].as_f64().unwrap() - mean).abs() < 1e-12);
    let counts = joined["int8"]["confusion"].as_array().unwrap().iter().flat_map(|row| row.as_array().unwrap());
    assert_eq!(counts.map(|count| count.as_u64().unwrap()).sum::<u64>(), 80);
    let page = std::fs::read_to_string(runs.join("tiny/crossval.html")).unwrap();
    assert!(page.contains("sample deviation over folds") && !page.contains("http"));
}

fn nobody_is_in_two_folds(runs: &Path) {
    let mut seen = BTreeSet::new();
    for fold in 1..=FOLDS {
        let subjects: BTreeSet<String> =
            answers(runs, fold).iter().map(|answer| answer["subject"].as_str().unwrap().to_owned()).collect();
        assert_eq!(subjects.len(), 2);
        assert!(seen.is_disjoint(&subjects), "{subjects:?} are tested in another fold too");
        seen.extend(subjects);
    }
    assert_eq!(seen.len(), 6);
}

fn finished_folds_stay_and_others_are_refused(runs: &Path, preset: &Path) {
    let output = succeed(&mut crossval(runs, preset, &["--resume"]));
    let talk = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(talk.matches("was finished before").count(), FOLDS, "{talk}");
    assert!(!talk.contains("epoch"), "a finished fold was trained: {talk}");

    let line = refuse(&mut crossval(runs, preset, &["--fold", "4", "--resume"]));
    assert!(line.contains("there are 1 to 3"), "{line}");
    let line = refuse(&mut crossval(runs, preset, &["--fold", "2", "--resume", "--seed", "2"]));
    assert!(line.contains("was started otherwise"), "{line}");

    for (file, from, to, named) in [
        ("config.toml", "seed = 1", "seed = 2", "seed"),
        ("config.toml", "protocol = \"folds:3\"", "protocol = \"folds:4\"", "protocol"),
        ("config.toml", "rotation = 12.0", "rotation = 13.0", "configuration"),
        ("config.toml", "collection_sha256 = \"", "collection_sha256 = \"0", "data"),
        ("answers.jsonl", "\"label\":\"", "\"label\":\"x", "damaged"),
        ("metrics.json", "{", "", "damaged"),
    ] {
        let path = runs.join("tiny/fold-02").join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from}");
        std::fs::write(&path, text.replacen(from, to, 1)).unwrap();
        let line = refuse(&mut report(runs, &[]));
        assert!(line.contains(named), "{line}");
        std::fs::write(&path, text).unwrap();
    }
    assert!(refuse(program("host-trainer").arg("report").arg(runs)).contains("no folds of a cross-validation"));
    assert!(refuse(program("host-trainer").arg("report").arg(runs.join("none"))).contains("give the folder"));
}

/// The commands of a shell script, each as its arguments: what it would start is replaced by a program that says them.
fn commands(shell: &str, script: &str, variables: &[(&str, &str)]) -> Vec<Vec<String>> {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("host-trainer", "#!/bin/sh\nprintf '%s\\n' host-trainer \"$@\" >&3\necho >&3\n"),
        ("srun", "#!/bin/sh\nexec \"$@\"\n"),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
    let mut command = Command::new(shell);
    command.args(["-c", &format!("exec 3>&1 >&2\n{script}")]).env("PATH", path).current_dir(folder.path());
    let output = succeed(command.envs(variables.iter().copied()));
    let text = String::from_utf8(output.stdout).unwrap();
    text.trim_end().split("\n\n").map(|command| command.lines().map(str::to_owned).collect()).collect()
}

/// Whether `host-trainer` takes a command line. Gives the value of `--fold` where there is one.
fn accepted(arguments: &[String]) -> Option<u32> {
    use clap::Subcommand;
    #[derive(Subcommand)]
    enum Known {
        Crossval(Box<host_trainer::command::crossval::Cmd>),
        Report(host_trainer::command::report::Cmd),
    }
    let command = Known::augment_subcommands(clap::Command::new("host-trainer"));
    let matches = command.try_get_matches_from(arguments).unwrap_or_else(|error| panic!("{arguments:?}: {error}"));
    let (_, of_command) = matches.subcommand().unwrap();
    of_command.try_get_one::<u32>("fold").ok().flatten().copied()
}

#[test]
fn the_slurm_script_calls_the_program_as_it_is() {
    let script = std::fs::read_to_string(root().join("docs/cluster/crossval.slurm")).unwrap();
    let array = [("SLURM_ARRAY_TASK_ID", "7"), ("SLURM_CPUS_PER_TASK", "4")];
    let of_fold = commands("bash", &script, &array);
    assert_eq!(of_fold.len(), 1);
    assert_eq!((of_fold[0][1].as_str(), accepted(&of_fold[0])), ("crossval", Some(7)));
    let of_join = commands("bash", &script, &array[1..]);
    assert_eq!(of_join.len(), 1);
    assert_eq!((of_join[0][1].as_str(), accepted(&of_join[0])), ("report", None));
    same_folder(&of_fold[0], &of_join[0]);
}

#[test]
fn the_kubernetes_manifest_calls_the_program_as_it_is() {
    let manifest = std::fs::read_to_string(root().join("docs/cluster/crossval-k8s.yaml")).unwrap();
    // The scripts are the block scalars `- |` of the containers' args.
    let scripts: Vec<String> = manifest
        .split("- |\n")
        .skip(1)
        .map(|rest| {
            let indent = rest.len() - rest.trim_start().len();
            rest.lines()
                .take_while(|line| line.starts_with(&" ".repeat(indent)))
                .map(|line| format!("{line}\n"))
                .collect()
        })
        .collect();
    assert_eq!(scripts.len(), 2, "a job for folds, a job for the join");
    let of_fold = commands("sh", &scripts[0], &[("JOB_COMPLETION_INDEX", "0")]);
    assert_eq!(of_fold.len(), 1);
    assert_eq!(
        (of_fold[0][1].as_str(), accepted(&of_fold[0])),
        ("crossval", Some(1)),
        "indices are from 0, folds from 1"
    );
    let of_join = commands("sh", &scripts[1], &[]);
    assert_eq!((of_join[0][1].as_str(), accepted(&of_join[0])), ("report", None));
    same_folder(&of_fold[0], &of_join[0]);
}

/// The join looks where the folds write.
fn same_folder(of_fold: &[String], of_join: &[String]) {
    let value = |flag: &str| &of_fold[1 + of_fold.iter().position(|argument| argument == flag).unwrap()];
    assert_eq!(of_join[2], format!("{}/{}", value("--runs"), value("--name")));
}
