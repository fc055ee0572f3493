//! Tracks of faces that a board kept.

/// The track that a face belongs to, by the name that `edge-runtime log faces` gives its file
/// (`..._session-S_track-T_...`); `None` for other names.
pub fn of(name: &str) -> Option<String> {
    let file = name.rsplit('/').next().unwrap_or(name);
    let start = file.find("_session-")? + 1;
    let end = start + file[start..].find("_track-")? + "_track-".len();
    let digits = file[end..].bytes().take_while(u8::is_ascii_digit).count();
    (digits > 0).then(|| file[start..end + digits].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_track_is_in_the_name_of_a_kept_face() {
        let name = "2026-11-25T10-00-00.000000Z_session-3_track-17_happiness_912.png";
        assert_eq!(of(name).as_deref(), Some("session-3_track-17"));
        assert_eq!(of(&format!("happiness/{name}")).as_deref(), Some("session-3_track-17"));
        for other in ["a.png", "x_session-3.png", "x_session-3_track-.png"] {
            assert_eq!(of(other), None, "{other}");
        }
    }
}
