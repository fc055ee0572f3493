//! Teachers: tuned once, mixed, shared between runs, resumed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use host_trainer::config::{Config, FaceNetModel};
use host_trainer::dataset::{self, DataSet, Source};
use host_trainer::net::FaceNet;
use host_trainer::run::{self, Run};
use host_trainer::train::Curve;
use host_trainer::train::teachers::{self, Taught};
use host_trainer::train::views::Views;
use host_trainer::{interrupt, random};
use tch::{Device, Kind, Tensor};

/// Two small nets from scratch, one of each kind of block.
const TEACHERS: &str = "\n[[teachers]]\nname = \"residual\"\nsource = \"scratch\"\nsize = 32\nepochs = 1\nbatch = 16\n\
    optimizer = \"adamw\"\nrate = 1e-3\nhead_rate = 1.0\nweight_decay = 0.02\naverage = 0.9\nfrozen = 0\nseed = 1\n\
    scratch = { block = \"residual\", widths = [4, 8], depth = 1 }\n\
    [[teachers]]\nname = \"branches\"\nsource = \"scratch\"\nsize = 32\nepochs = 1\nbatch = 16\n\
    optimizer = \"sgd\"\nrate = 1e-2\nhead_rate = 1.0\nweight_decay = 0.0\naverage = 0.0\nfrozen = 0\nseed = 2\n\
    scratch = { block = \"qarepvgg\", widths = [4, 8], depth = 1 }\n";

fn config(change: impl Fn(String) -> String) -> Config {
    let smoke = fs::read_to_string(system_tests::root().join("host-trainer/presets/smoke.toml")).unwrap();
    let text = smoke.replace("teacher = 0.0", "teacher = 0.5").replace("teacher_views = 0", "teacher_views = 2");
    Config::parse(&change(format!("{text}{TEACHERS}"))).unwrap()
}

fn data() -> DataSet {
    let request = dataset::Request { rendered: 48, limit: None, calibration: 12, seed: 1 };
    dataset::load(&Source::Rendered(None), request).unwrap()
}

fn teach(runs: &Path, name: &str, config: &Config, data: &DataSet) -> host_trainer::Result<Taught> {
    let request = run::Request {
        data: "rendered".into(),
        preset: "teachers".into(),
        limit: None,
        seed: 1,
        resume: false,
        overwrite: false,
        fold: None,
    };
    let mut run = Run::open(&runs.join(name), config, request)?;
    run.start(data)?;
    teachers::teach(&run, config, data, FaceNet::open(&config.face_net, Device::Cpu)?)
}

/// When each file of the teachers was written.
fn written(runs: &Path) -> BTreeMap<PathBuf, SystemTime> {
    let folders = fs::read_dir(runs.join(run::SHARED_TEACHERS)).unwrap().map(|entry| entry.unwrap().path());
    let files = folders.flat_map(|folder| fs::read_dir(folder).unwrap()).map(|entry| entry.unwrap().path());
    files
        .filter(|file| file.file_name().is_some_and(|name| name != run::LOCK))
        .map(|file| (file.clone(), fs::metadata(file).unwrap().modified().unwrap()))
        .collect()
}

/// The deadline is the whole program's: tests take turns.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn answers(taught: &Taught, config: &Config) -> Tensor {
    let ranges = Views::new(&config.augment, &config.net);
    taught.teacher.draw(&[0, 7, 30], &ranges, 0.0, &mut random::rng(1, "draw", 0)).1
}

#[test]
fn teachers_are_tuned_once_for_all_runs_beside_each_other() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let (config, data) = (config(|text| text), data());
    assert_eq!(config.face_net.model, FaceNetModel::MobileNetV1);
    let first = teach(folder.path(), "first", &config, &data).unwrap();
    let names: Vec<&str> = first.curves.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["teacher residual", "teacher branches"]);
    assert!(first.curves.iter().all(|(_, curve)| curve.len() == 1));
    let sums = answers(&first, &config).sum_dim_intlist([1i64].as_slice(), false, Kind::Float);
    assert!((sums - 1.0).abs().max().double_value(&[]) < 1e-5, "probabilities");

    let figures: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.path().join("first").join(run::TEACHERS)).unwrap()).unwrap();
    let weight = |row: usize| figures[row]["weight"].as_f64().unwrap();
    assert!((weight(0) + weight(1) - 1.0).abs() < 1e-9, "{figures}");
    let loss = |row: usize| figures[row]["held_out_cross_entropy"].as_f64().unwrap();
    assert!(loss(2) <= loss(0).min(loss(1)) + 1e-3, "the mixture is no worse than its parts: {figures}");

    // Another student: the teachers stay, and one view more is answered.
    let before = written(folder.path());
    assert_eq!(before.len(), 2 * (1 + 1 + 2 + 2), "weights, curve, two held-out views and two of training each");
    let mut other = config.clone();
    other.stage_two.epochs += 1;
    other.stage_two.teacher_views = 3;
    let second = teach(folder.path(), "second", &other, &data).unwrap();
    let after = written(folder.path());
    assert!(before.iter().all(|(file, time)| after[file] == *time), "a finished teacher was touched");
    assert_eq!(after.len(), before.len() + 2);
    assert_eq!(second.curves, first.curves);

    // Brought from elsewhere without its weights: the answers are enough.
    let weights = after.keys().find(|file| file.ends_with("net.safetensors")).unwrap();
    fs::remove_file(weights).unwrap();
    let again = teach(folder.path(), "brought", &config, &data).unwrap();
    assert!(!weights.exists() && again.curves.len() == 1, "it was tuned again");
    assert_eq!(answers(&again, &config), answers(&first, &config));

    // Other settings: another teacher, beside the old one.
    let other = self::config(|text| text.replace("\"adamw\"\nrate = 1e-3", "\"adamw\"\nrate = 2e-3"));
    teach(folder.path(), "third", &other, &data).unwrap();
    let added = written(folder.path()).into_keys().filter(|file| !after.contains_key(file)).count();
    assert!(added >= 6, "weights, curve and four views: {added}");
}

#[test]
fn an_interrupted_teacher_resumes_and_ends_the_same() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let data = data();
    let config = config(|text| text.replace("size = 32\nepochs = 1", "size = 32\nepochs = 40"));
    let whole = teach(&folder.path().join("whole"), "run", &config, &data).unwrap();

    let stopped = folder.path().join("stopped");
    let has_begun = || {
        let folders = fs::read_dir(stopped.join(run::SHARED_TEACHERS)).into_iter().flatten().flatten();
        folders.map(|folder| folder.path().join("net.safetensors")).any(|checkpoint| checkpoint.exists())
    };
    let error = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !has_begun() {
                std::thread::sleep(Duration::from_millis(1));
            }
            interrupt::end_by(Some(Instant::now()));
        });
        teach(&stopped, "run", &config, &data).err().expect("time is up before the last epoch").to_string()
    });
    interrupt::end_by(None);
    assert!(error.contains("teacher") && error.contains("--resume"), "{error}");
    let resumed = teach(&stopped, "again", &config, &data).unwrap();
    let losses = |taught: &Taught| {
        let of = |(_, curve): &(String, Curve)| curve.iter().map(|epoch| epoch.held_out_loss).collect::<Vec<_>>();
        taught.curves.iter().map(of).collect::<Vec<_>>()
    };
    assert_eq!(losses(&whole)[0].len(), 40);
    for (whole, resumed) in losses(&whole).concat().iter().zip(losses(&resumed).concat()) {
        assert!((whole - resumed).abs() < 1e-9, "{whole} {resumed}");
    }
    assert_eq!((answers(&whole, &config) - answers(&resumed, &config)).abs().max().double_value(&[]), 0.0);
}
