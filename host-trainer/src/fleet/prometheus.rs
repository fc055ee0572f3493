//! The fleet as Prometheus finds it: <https://prometheus.io/docs/guides/file-sd/>.

use serde::Serialize;

use super::file::Member;

#[derive(Serialize)]
struct Target<'a> {
    targets: [&'a str; 1],
    labels: Labels<'a>,
}

#[derive(Serialize)]
struct Labels<'a> {
    board: &'a str,
    /// With commas around each, as other discoveries write tags, so that a pattern such as `.*,kitchen,.*` finds one.
    groups: String,
}

/// A file for `file_sd_configs`, with a target for each board that has metrics.
///
/// # Errors
/// Returns an error only if JSON cannot be written.
pub fn service_discovery(members: &[&Member]) -> crate::Result<String> {
    let target = |member: &&'_ Member| -> Option<(String, String, String)> {
        let groups = member.groups.iter().map(|group| format!("{group},")).collect::<String>();
        Some((member.metrics.clone()?, member.name.clone(), format!(",{groups}")))
    };
    let found: Vec<_> = members.iter().filter_map(target).collect();
    let targets: Vec<Target> = found
        .iter()
        .map(|(address, board, groups)| Target { targets: [address], labels: Labels { board, groups: groups.clone() } })
        .collect();
    Ok(serde_json::to_string_pretty(&targets)?)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::file::Fleet;
    use super::*;

    #[test]
    fn each_board_with_metrics_is_a_target_with_its_name_and_groups() {
        let text = r#"
            [defaults]
            board = "generic-x86-64"
            [groups.kitchen]
            [groups.ground]
            [boards.one]
            host = "pi@192.0.2.1"
            groups = ["kitchen", "ground"]
            metrics = 9090
            [boards.two]
            host = "192.0.2.2"
        "#;
        let fleet = Fleet::parse(Path::new("fleet.toml"), text).unwrap();
        let json: serde_json::Value =
            serde_json::from_str(&service_discovery(&fleet.select(&[]).unwrap()).unwrap()).unwrap();
        let expected = serde_json::json!([
            { "targets": ["192.0.2.1:9090"], "labels": { "board": "one", "groups": ",kitchen,ground," } }
        ]);
        assert_eq!(json, expected);
    }
}
