//! The label page's server: what is voted through it is read by `--data labelled:DIR`, survives a kill, and is out of reach of
//! other pages.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use expression_core::Label;
use host_trainer::dataset::{self, Request, Source, Split};
use host_trainer::label::{Server, Suggester};
use serde_json::{Value, json};
use test_support::http::{Answer, get, request, until};

const REQUEST: Request = Request { rendered: 0, limit: None, calibration: 100, seed: 3 };

/// Pictures that differ, three of each track.
fn pictures(folder: &Path, count: usize) {
    for number in 0..count {
        let shade = |x: u32, y: u32| image::Luma([(x * 3 + y * (number as u32 % 7) + number as u32 * 17) as u8]);
        let name = format!("t{number:03}_session-1_track-{}_unsure_{number}.png", number / 3);
        image::GrayImage::from_fn(48, 48, shade).save(folder.join(name)).unwrap();
    }
}

fn start(folder: &Path) -> Server {
    Server::start(folder, Suggester::new(None).unwrap(), 0).unwrap()
}

fn post(address: SocketAddr, path: &str, body: &Value) -> Answer {
    request(address, "POST", path, &["Connection: close"], &body.to_string())
}

fn open(address: SocketAddr, by: &str) -> Value {
    let answer = post(address, "/api/open", &json!({ "by": by }));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn vote(address: SocketAddr, by: &str, id: &Value, vote: &str) {
    let answer = post(address, "/api/vote", &json!({ "by": by, "id": id, "vote": vote }));
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[test]
fn what_was_voted_is_a_data_set() {
    let folder = tempfile::tempdir().unwrap();
    pictures(folder.path(), 60);
    let server = start(folder.path());
    let opened = open(server.address(), "anna");
    let faces = opened["faces"].as_array().unwrap();
    assert_eq!(faces.len(), 60);
    for (number, face) in faces.iter().enumerate() {
        let label = Label::ALL[number / 3 % 4].name();
        vote(server.address(), "anna", &face["id"], if number == 59 { "NF" } else { label });
        vote(server.address(), " bert ", &face["id"], if number == 0 { "fear" } else { label });
    }
    drop(server);

    let source: Source = format!("labelled:{}", folder.path().display()).parse().unwrap();
    let set = dataset::load(&source, REQUEST).unwrap();
    // A tie between no face and a label keeps the label.
    assert_eq!((set.len(), set.skipped.len()), (60, 0));
    let samples: Vec<_> = [&set.train, &set.calibration, &set.test].into_iter().flatten().collect();
    let first = samples.iter().find(|sample| sample.name.starts_with("t000_")).unwrap();
    assert_eq!((first.distribution[Label::Neutral as usize], first.distribution[Label::Fear as usize]), (0.5, 0.5));
    assert_eq!(first.subject.as_deref(), Some("session-1_track-0"));
    let second = samples.iter().find(|sample| sample.name.starts_with("t003_")).unwrap();
    assert_eq!((second.label, second.majority), (Label::Happiness, true));
    for split in [Split::Train, Split::Valid, Split::Test] {
        assert!(dataset::part(&source, split, REQUEST).unwrap().samples.len() >= 9);
    }
    let subjects = |samples: &[dataset::Sample]| {
        samples.iter().map(|sample| sample.subject.clone()).collect::<std::collections::BTreeSet<_>>()
    };
    assert!(subjects(&set.train).is_disjoint(&subjects(&set.test)));
}

#[test]
fn the_last_vote_is_taken_back_and_the_next_start_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    pictures(folder.path(), 6);
    let server = start(folder.path());
    let ids: Vec<Value> =
        open(server.address(), "anna")["faces"].as_array().unwrap().iter().map(|face| face["id"].clone()).collect();
    vote(server.address(), "anna", &ids[4], "anger");
    vote(server.address(), "anna", &ids[1], "fear");
    let undone = post(server.address(), "/api/vote", &json!({ "by": "anna", "id": ids[1], "vote": null }));
    assert_eq!(undone.json()["all_votes"], 1);
    vote(server.address(), "anna", &ids[2], "unknown");
    drop(server);
    let server = start(folder.path());
    let opened = open(server.address(), "anna");
    assert_eq!(opened["votes"], json!([[ids[4], "anger"], [ids[2], "unknown"]]));
    assert_eq!(open(server.address(), "bert")["votes"], json!([]));
    // A phone writes a capital: it is the same person, with one vote.
    assert_eq!(open(server.address(), "Anna")["votes"], opened["votes"]);
    assert_eq!(open(server.address(), "Anna")["by"], "anna");
    vote(server.address(), "ANNA", &ids[4], "fear");
    let opened = open(server.address(), "anna");
    assert_eq!((&opened["labellers"], &opened["all_votes"]), (&json!(["anna"]), &json!(2)));
}

#[test]
fn a_folder_without_pictures_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("notes.txt"), "text").unwrap();
    let refused = Server::start(folder.path(), Suggester::new(None).unwrap(), 0).err().unwrap().to_string();
    assert!(refused.contains("no pictures"), "{refused}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

/// The program itself: a kill loses no vote that was answered.
#[test]
fn a_kill_loses_no_vote() {
    let folder = tempfile::tempdir().unwrap();
    pictures(folder.path(), 9);
    let mut program = Command::new(env!("CARGO_BIN_EXE_host-trainer"))
        .args(["label", "--port", "0"])
        .arg(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(program.stdout.as_mut().unwrap()), &mut line).unwrap();
    let address = line.trim().strip_prefix("label: http://").unwrap().trim_end_matches('/').parse().unwrap();
    let faces = open(address, "anna")["faces"].as_array().unwrap().clone();
    faces.iter().for_each(|face| vote(address, "anna", &face["id"], "sadness"));
    program.kill().unwrap();
    program.wait().unwrap();
    let table = std::fs::read_to_string(folder.path().join("votes.csv")).unwrap();
    assert_eq!(table.lines().filter(|line| line.contains(",0,0,0,1,0,0,0,0,0,0")).count(), 9, "{table}");
    let server = until("the lock of the killed program is gone", || {
        Server::start(folder.path(), Suggester::new(None).unwrap(), 0).ok()
    });
    assert_eq!(open(server.address(), "anna")["votes"].as_array().unwrap().len(), 9);
}

#[test]
fn other_pages_and_nonsense_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    pictures(folder.path(), 3);
    let server = start(folder.path());
    let address = server.address();
    assert!(address.ip().is_loopback());
    let face = open(address, "anna")["faces"][0]["id"].as_str().unwrap().to_owned();
    let page = get(address, "/", &["Connection: close"]);
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-") && !policy.contains("unsafe"), "{policy}");
    let picture = get(address, &format!("/face/{face}"), &["Connection: close"]);
    assert_eq!(
        (picture.header("content-type"), picture.header("cache-control")),
        (Some("image/png"), Some("no-store"))
    );

    let body = json!({ "by": "anna", "id": face, "vote": "anger" }).to_string();
    let status = |headers: &[&str]| {
        let headers: Vec<&str> = headers.iter().copied().chain(["Connection: close"]).collect();
        request(address, "POST", "/api/vote", &headers, &body).status
    };
    assert_eq!(status(&["Host: evil.example"]), 421);
    assert_eq!(status(&["Host: 127.0.0.1.evil.example:80"]), 421);
    assert_eq!(status(&["Sec-Fetch-Site: cross-site"]), 403);
    assert_eq!(status(&["Host: localhost:9999"]), 200, "a tunnel has a port of its own");
    for (path, body, expected) in [
        ("/api/vote", json!({ "by": "anna", "id": "../../x", "vote": "anger" }), 404),
        ("/api/vote", json!({ "by": "anna", "id": face, "vote": "joy" }), 400),
        ("/api/vote", json!({ "by": " ", "id": face, "vote": "anger" }), 400),
        // No misspelt key takes a vote back.
        ("/api/vote", json!({ "by": "anna", "id": face }), 400),
        ("/api/vote", json!({ "by": "anna", "id": face, "label": "fear", "vote": null }), 400),
        ("/api/open", json!({ "by": "x".repeat(41) }), 400),
        ("/api/open", json!("x".repeat(20_000)), 413),
    ] {
        assert_eq!(post(address, path, &body).status, expected, "{path} {body}");
    }
    for path in ["/face/..%2f..%2fetc%2fpasswd", "/face/x/y", "/votes.jsonl", "//", "/api/suggestion/0"] {
        assert_eq!(get(address, path, &["Connection: close"]).status, 404, "{path}");
    }
    assert_eq!(get(address, &format!("/api/suggestion/{face}"), &["Connection: close"]).status, 404);
}

#[test]
fn suggestions_come_from_the_board_or_a_bundle() {
    let folder = tempfile::tempdir().unwrap();
    pictures(folder.path(), 3);
    let name = "t000_session-1_track-0_unsure_0.png";
    std::fs::write(folder.path().join("faces.csv"), format!("file,neutral,happiness\n{name},0.25,0.75\n")).unwrap();
    let suggestion = |server: &Server| {
        let opened = open(server.address(), "anna");
        assert_eq!(opened["faces"][0]["name"], name);
        let path = format!("/api/suggestion/{}", opened["faces"][0]["id"].as_str().unwrap());
        get(server.address(), &path, &["Connection: close"]).json()
    };
    let server = start(folder.path());
    assert_eq!(suggestion(&server), json!({ "by": "the board", "scores": [["happiness", 0.75], ["neutral", 0.25]] }));
    drop(server);
    let bundle = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/ferplus-edge");
    let server = Server::start(folder.path(), Suggester::new(Some(&bundle)).unwrap(), 0).unwrap();
    let suggested = suggestion(&server);
    let scores = suggested["scores"].as_array().unwrap();
    let sum: f64 = scores.iter().map(|score| score[1].as_f64().unwrap()).sum();
    assert!(suggested["by"] == "ferplus-edge" && scores.len() == 8 && (sum - 1.0).abs() < 1e-3, "{suggested}");
}
