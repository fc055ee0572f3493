//! `boards/monitoring`: alert rules, dashboard and Prometheus' configuration, held against Prometheus itself.
#![cfg(feature = "metrics")]

#[path = "telemetry_support/mod.rs"]
mod support;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use edge_runtime::event::{Event, Rate, Throttling};
use edge_runtime::telemetry::{About, Telemetry, TelemetryOptions};
use support::*;

/// Boards in the tests of the rules; only one of them fails.
const BOARDS: usize = 50;
/// The one that fails.
const FAILING: &str = "board07:9464";
/// The minute in which it fails.
const FAULT: usize = 30;
/// Minutes that are played.
const MINUTES: usize = 90;

fn monitoring() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../boards/monitoring")
}

/// The series of a board that works, and their values.
const HEALTHY: &[(&str, f64)] = &[
    ("up", 1.0),
    ("edge_runtime_camera_up", 1.0),
    ("edge_runtime_paused", 0.0),
    ("edge_runtime_last_frame_age_seconds", 0.05),
    ("edge_runtime_frames_per_second", 15.0),
    ("edge_runtime_journal_failing", 0.0),
    ("edge_runtime_journal_dropped_total", 3.0),
    ("edge_runtime_journal_disk_free_bytes", 5e9),
    ("edge_runtime_throttled", 0.0),
    ("edge_runtime_start_time_seconds", 1e9),
    ("edge_runtime_mqtt_connected", 1.0),
    ("process_resident_memory_bytes", 9e7),
];

/// How one board fails: its name, the series that differ from [`FAULT`] on, and the alerts that must fire half an hour later.
struct Fault {
    name: &'static str,
    series: &'static [(&'static str, &'static str)],
    alerts: &'static [&'static str],
    /// Whether they fire in the minute of the fault.
    at_once: bool,
}

const fn fault(
    name: &'static str,
    series: &'static [(&'static str, &'static str)],
    alerts: &'static [&'static str],
) -> Fault {
    Fault { name, series, alerts, at_once: false }
}

const FAULTS: &[Fault] = &[
    fault("none", &[], &[]),
    // A board that is off: `up` is 0 and all else vanishes.
    fault(
        "off",
        &[
            ("up", "0+0x90"),
            ("edge_runtime_camera_up", "stale _x89"),
            ("edge_runtime_paused", "stale _x89"),
            ("edge_runtime_last_frame_age_seconds", "stale _x89"),
            ("edge_runtime_frames_per_second", "stale _x89"),
            ("process_resident_memory_bytes", "stale _x89"),
        ],
        &["BoardDown"],
    ),
    fault(
        "camera unplugged",
        &[("edge_runtime_camera_up", "0+0x90"), ("edge_runtime_last_frame_age_seconds", "stale _x89")],
        &["CameraLost"],
    ),
    // Privacy is no fault.
    fault(
        "paused",
        &[
            ("edge_runtime_camera_up", "0+0x90"),
            ("edge_runtime_paused", "1+0x90"),
            ("edge_runtime_last_frame_age_seconds", "31+60x90"),
        ],
        &[],
    ),
    fault("hangs", &[("edge_runtime_last_frame_age_seconds", "31+60x90")], &["FramesStopped"]),
    fault("card full", &[("edge_runtime_journal_failing", "1+0x90")], &["JournalFailing"]),
    Fault {
        name: "records dropped",
        series: &[("edge_runtime_journal_dropped_total", "8+0x90")],
        alerts: &["RecordsLost"],
        at_once: true,
    },
    fault("disk filling", &[("edge_runtime_journal_disk_free_bytes", "1e8+0x90")], &["DiskFilling"]),
    fault("hot", &[("edge_runtime_throttled", "1+0x90")], &["BoardHot"]),
    // Ten minutes of heat are no reason to be woken.
    fault("hot for a while", &[("edge_runtime_throttled", "1+0x9 0+0x80")], &[]),
    fault("leak", &[("process_resident_memory_bytes", "2.4e8+1e5x90")], &["MemoryHigh"]),
    fault("restarts", &[("edge_runtime_start_time_seconds", "1e9+60x5 1000000300+0x90")], &["BoardRestarting"]),
    fault("two restarts", &[("edge_runtime_start_time_seconds", "1000000060 1000000120+0x90")], &[]),
    fault("broker away", &[("edge_runtime_mqtt_connected", "0+0x90")], &["BrokerUnreachable"]),
];

/// Whether promtool is there; says so if the test is skipped.
fn has_promtool() -> bool {
    has("promtool", "prometheus")
}

fn promtool(arguments: &[&str], file: &Path) {
    let output = Command::new("promtool").args(arguments).arg(file).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
}

/// The test of promtool for a fault: every alert that fires in the fleet, before and after.
fn rule_test(fault: &Fault) -> String {
    let mut test = format!("  - name: {}\n    interval: 1m\n    input_series:\n", fault.name);
    for board in 0..BOARDS {
        let instance = format!("board{board:02}:9464");
        for (metric, value) in HEALTHY {
            let changed = fault.series.iter().find(|(changed, _)| changed == metric && instance == FAILING);
            let values = match changed {
                Some((_, values)) => format!("{value}+0x{} {values}", FAULT - 1),
                None => format!("{value}+0x{MINUTES}"),
            };
            let _ = writeln!(test, "      - series: '{metric}{{job=\"edge-runtime\",instance=\"{instance}\"}}'");
            let _ = writeln!(test, "        values: '{values}'");
        }
    }
    test += "    promql_expr_test:\n";
    let mut checks = vec![(FAULT - 1, false), (FAULT, fault.at_once), (FAULT + 30, true)];
    if fault.alerts.is_empty() {
        // It must stay silent all the time.
        checks.extend((FAULT + 1..FAULT + 30).map(|minute| (minute, true)));
    }
    for (minute, fires) in checks {
        let _ = writeln!(test, "      - expr: 'count by (alertname, instance) (ALERTS{{alertstate=\"firing\"}})'");
        let _ = writeln!(test, "        eval_time: {minute}m");
        let alerts = fault.alerts.iter().filter(|_| fires);
        let samples = alerts.map(|alert| {
            format!("\n          - labels: '{{alertname=\"{alert}\", instance=\"{FAILING}\"}}'\n            value: 1")
        });
        let samples: String = samples.collect();
        let _ = writeln!(test, "        exp_samples:{}", if samples.is_empty() { " []" } else { &samples });
    }
    test
}

#[test]
fn each_alert_fires_for_the_one_board_of_fifty_that_fails_and_for_no_other() {
    if !has_promtool() {
        return;
    }
    let rules = std::fs::read_to_string(monitoring().join("alerts.yml")).unwrap();
    for alert in rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        let is_tried = FAULTS.iter().any(|fault| fault.alerts.contains(&alert)) || alert == "FrameRateLow";
        assert!(is_tried, "no fault makes {alert} fire");
    }
    promtool(&["check", "rules"], &monitoring().join("alerts.yml"));
    let tests: String = FAULTS.iter().map(rule_test).collect();
    run_rule_tests(&tests);
}

/// `fleet prometheus` gives each target the label `board`, which is the name that people know; a list by hand need not have one.
#[test]
fn an_alert_names_the_board_by_its_label_or_else_by_its_address() {
    if !has_promtool() {
        return;
    }
    let rules = std::fs::read_to_string(monitoring().join("alerts.yml")).unwrap();
    let summaries: Vec<_> = rules.lines().filter_map(|line| line.trim().strip_prefix("summary: \"")).collect();
    assert_eq!(summaries.len(), rules.matches("- alert: ").count());
    assert!(summaries.iter().all(|text| text.starts_with("{{ or $labels.board $labels.instance }} ")), "{summaries:?}");
    let mut test = "  - name: names\n    interval: 1m\n    input_series:\n".to_owned();
    for labels in ["instance=\"192.0.2.1:9464\",board=\"hall\"", "instance=\"192.0.2.2:9464\""] {
        let _ = writeln!(test, "      - series: 'up{{job=\"edge-runtime\",{labels}}}'\n        values: '0+0x9'");
    }
    test += "    alert_rule_test:\n      - eval_time: 5m\n        alertname: BoardDown\n        exp_alerts:\n";
    let of_board_down = rules.split("- alert: BoardDown").nth(1).unwrap();
    let description = of_board_down.lines().find_map(|line| line.trim().strip_prefix("description: ")).unwrap();
    for (labels, name) in
        [("instance: '192.0.2.1:9464', board: hall", "hall"), ("instance: '192.0.2.2:9464'", "192.0.2.2:9464")]
    {
        let _ = writeln!(test, "          - exp_labels: {{ job: edge-runtime, severity: critical, {labels} }}");
        let _ = writeln!(test, "            exp_annotations:\n              summary: '{name} does not answer'");
        let _ = writeln!(test, "              description: {description}");
    }
    run_rule_tests(&test);
}

/// A rate is compared with that of a day ago, so a day is played, five minutes at a time.
#[test]
fn a_board_that_has_become_slow_is_named_unless_it_is_hot_or_paused() {
    if !has_promtool() {
        return;
    }
    let day = 24 * 12;
    let mut test = "  - name: slow\n    interval: 5m\n    input_series:\n".to_owned();
    for board in 0..BOARDS {
        let (rate, hot, paused) = match board {
            7 => ("6", 0, 0),
            8 => ("6", 1, 0),
            9 => ("0", 0, 1),
            10 => ("9", 0, 0),
            _ => ("15", 0, 0),
        };
        for (metric, values) in [
            ("frames_per_second", format!("15+0x{day} {rate}+0x24")),
            ("camera_up", format!("1+0x{}", day + 24)),
            ("throttled", format!("0+0x{day} {hot}+0x24")),
            ("paused", format!("0+0x{day} {paused}+0x24")),
        ] {
            let labels = format!("job=\"edge-runtime\",instance=\"board{board:02}:9464\"");
            let _ = writeln!(test, "      - series: 'edge_runtime_{metric}{{{labels}}}'\n        values: '{values}'");
        }
    }
    test += "    promql_expr_test:\n      - expr: 'count by (instance) (ALERTS{alertname=\"FrameRateLow\",alertstate=\"firing\"})'\n";
    let _ = writeln!(test, "        eval_time: {}m", 5 * (day + 20));
    let _ =
        writeln!(test, "        exp_samples:\n          - labels: '{{instance=\"{FAILING}\"}}'\n            value: 1");
    run_rule_tests(&test);
}

fn run_rule_tests(tests: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tests.yml");
    let rules = monitoring().join("alerts.yml").canonicalize().unwrap();
    let text = format!("rule_files: ['{}']\nevaluation_interval: 1m\ntests:\n{tests}", rules.display());
    std::fs::write(&path, text).unwrap();
    promtool(&["test", "rules"], &path);
}

/// A board with a journal, a broker or not, that has seen and suffered something.
fn board() -> (tempfile::TempDir, Telemetry) {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal.sqlite");
    std::fs::write(&journal, "some bytes").unwrap();
    let options = TelemetryOptions { metrics: Some("127.0.0.1:0".parse().unwrap()), ..TelemetryOptions::default() };
    let telemetry = Telemetry::start(options, About { journal: Some(journal), ..about() }, None).unwrap();
    for sequence in 0..10 {
        telemetry.observe(&frame(sequence), &observation(sequence));
        let milliseconds = std::time::Duration::from_millis;
        telemetry.step_times((sequence % 4 == 0).then(|| milliseconds(12)), Some(milliseconds(4)));
    }
    telemetry.event(&Event::Throttled(Throttling { to: Some(Rate::Half), ..Throttling::default() }));
    telemetry.event(&Event::CameraBack { gap_ms: 100 });
    (folder, telemetry)
}

fn metrics_of(telemetry: &Telemetry) -> String {
    get(telemetry.metrics_address().unwrap(), "/metrics", &[]).text()
}

#[test]
fn what_a_board_tells_of_itself_has_names_and_units_as_prometheus_wants_them() {
    let (_folder, telemetry) = board();
    let text = metrics_of(&telemetry);
    for line in [
        "edge_runtime_throttled 1",
        "edge_runtime_journal_size_bytes 10",
        "edge_runtime_events_total{kind=\"camera_back\"} 1",
        "edge_runtime_events_total{kind=\"throttled\"} 1",
        "edge_runtime_detector_seconds_count 3",
        "edge_runtime_detector_seconds_bucket{le=\"0.01\"} 0",
        "edge_runtime_detector_seconds_bucket{le=\"0.02\"} 3",
        "edge_runtime_classifier_seconds_count 10",
        "edge_runtime_classifier_seconds_bucket{le=\"0.005\"} 10",
    ] {
        assert!(text.lines().any(|found| found == line), "no {line} in {text}");
    }
    if !has_promtool() {
        return;
    }
    let check = |text: &str| {
        let mut child = Command::new("promtool");
        let mut child = child.args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!(check(&text), (true, String::new()), "{text}");
    let wrong = "# HELP edge_runtime_frames_milliseconds Times.\n# TYPE edge_runtime_frames_milliseconds counter\nedge_runtime_frames_milliseconds 1\n";
    assert!(!check(wrong).0, "promtool finds nothing wrong with {wrong}");
}

/// The names of our metrics in a text.
fn names(text: &str) -> BTreeSet<&str> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let ours = |name: &&str| name.starts_with("edge_runtime_") || name.starts_with("process_");
    text.split(|c| !word(c)).filter(ours).collect()
}

/// Every query of the dashboard, with the variables filled in.
fn dashboard_queries() -> Vec<String> {
    let text = std::fs::read_to_string(monitoring().join("dashboard.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut ids = BTreeSet::new();
    let mut queries = Vec::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "two panels have one id: {panel}");
        let place = &panel["gridPos"];
        assert!(place["x"].as_u64().unwrap() + place["w"].as_u64().unwrap() <= 24, "{panel}");
        for target in panel["targets"].as_array().into_iter().flatten() {
            queries.push(target["expr"].as_str().unwrap().replace("$instance", ".*"));
        }
    }
    assert!(queries.len() > 20);
    queries
}

#[test]
fn rules_and_dashboard_ask_for_metrics_that_there_are() {
    let (_folder, telemetry) = board();
    let text = metrics_of(&telemetry);
    let known = names(&text);
    let rules = std::fs::read_to_string(monitoring().join("alerts.yml")).unwrap();
    let expressions: Vec<_> =
        rules.lines().filter(|line| line.contains("expr:") || line.contains(" and on ")).collect();
    for asked in dashboard_queries().iter().map(String::as_str).chain(expressions) {
        for name in names(asked) {
            let exists = known.contains(name) || name.starts_with("edge_runtime_mqtt_");
            assert!(exists, "{asked} asks for {name}, which no board has");
        }
    }
}

/// Ends a program when it is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn prometheus_scrapes_two_boards_and_answers_every_query_of_the_dashboard() {
    if !has("prometheus", "prometheus") || !has_promtool() {
        return;
    }
    let boards = [board(), board()];
    let addresses = boards.each_ref().map(|(_, telemetry)| telemetry.metrics_address().unwrap());
    let boards = boards.map(|(folder, telemetry)| (folder, Arc::new(telemetry)));
    let _feeders = boards.each_ref().map(|(_, telemetry)| Feeder::new(telemetry));
    let folder = tempfile::tempdir().unwrap();
    let targets = addresses.map(|address| address.to_string()).join(", ");
    std::fs::write(folder.path().join("token"), TOKEN).unwrap();
    std::fs::write(folder.path().join("boards.yml"), format!("- targets: [{targets}]\n")).unwrap();
    std::fs::copy(monitoring().join("alerts.yml"), folder.path().join("alerts.yml")).unwrap();
    let shipped = std::fs::read_to_string(monitoring().join("prometheus.yml")).unwrap();
    let configuration = shipped
        .replace("/etc/prometheus/edge-runtime-token", "token")
        .replace("/etc/prometheus/boards/*.yml", "boards.yml")
        .replace("15s", "1s");
    let path = folder.path().join("prometheus.yml");
    std::fs::write(&path, configuration).unwrap();
    promtool(&["check", "config"], &path);

    let address: SocketAddr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut prometheus = Command::new("prometheus");
    prometheus.current_dir(folder.path()).args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"]);
    prometheus.arg(format!("--web.listen-address={address}")).stdout(Stdio::null()).stderr(Stdio::null());
    let _prometheus = Running(prometheus.spawn().unwrap());
    until("Prometheus", || {
        std::net::TcpStream::connect(address).ok()?;
        (get(address, "/-/ready", &[]).status == 200).then_some(())
    });
    // Its own client, which reads answers of any length.
    let query = |expression: &str| -> Vec<serde_json::Value> {
        let server = format!("http://{address}");
        let output = Command::new("promtool").args(["query", "instant", "-o", "json", &server, expression]).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{expression}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<Option<Vec<serde_json::Value>>>(&output.stdout).unwrap().unwrap_or_default()
    };
    let values = |expression: &str| -> Vec<String> {
        query(expression).iter().map(|sample| sample["value"][1].as_str().unwrap().to_owned()).collect()
    };
    until("both boards", || (values("sum(edge_runtime_camera_up)") == ["2"]).then_some(()));
    until("a rate", || values("rate(edge_runtime_frames_total[1m]) > 0").get(1).cloned());
    for expression in dashboard_queries() {
        query(&expression);
    }
    // The rules are evaluated: both boards are hot, but have not been for long.
    let hot = "count(ALERTS{alertname=\"BoardHot\",alertstate=\"pending\"})";
    until("the rules", || (values(hot) == ["2"]).then_some(()));
    assert_eq!(values("ALERTS{alertname=\"CameraLost\"}"), [""; 0]);
}
