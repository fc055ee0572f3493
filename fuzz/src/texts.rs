//! Texts that people write: board files, flags.

use std::path::Path;

use edge_runtime::board::Board;
use edge_runtime::camera::Spec;
use edge_runtime::command::log::moment;
use edge_runtime::journal::Config;
use edge_runtime::telemetry::{Token, mqtt};

/// Reads a board file, or the journal's part of a configuration.
pub fn board(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match Board::parse(text, Path::new("fuzz")) {
        Ok(board) => {
            assert!(board.thermal.limits().are_sound());
            let _ = board.camera.source.parse::<Spec>();
            let _ = board.camera.csi.map(|source| source.parse::<Spec>());
            let _ = board.gpio.map(|gpio| gpio.lines().count());
        }
        Err(error) => _ = error.to_string(),
    }
    if let Ok(config) = toml::from_str::<Config>(text)
        && config.check().is_ok()
    {
        let again = toml::to_string(&config).expect("what was read can be written");
        assert_eq!(toml::from_str(&again), Ok(config));
    }
}

/// Reads the text of a flag; the first byte says of which.
pub fn flag(bytes: &[u8]) {
    let Some((flag, bytes)) = bytes.split_first() else { return };
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match flag % 4 {
        0 => match text.parse::<Spec>() {
            Ok(Spec::Command { words }) => assert!(words.first().is_some_and(|word| !word.is_empty())),
            Ok(_) => {}
            Err(error) => _ = error.to_string(),
        },
        1 => match mqtt::Address::parse(text) {
            Ok(address) => {
                assert!(
                    !address.host.is_empty()
                        && address.port > 0
                        && !address.prefix.is_some_and(|prefix| prefix.contains(['+', '#']))
                );
            }
            Err(error) => _ = error.to_string(),
        },
        2 => {
            let zone = jiff::tz::TimeZone::UTC;
            if let Ok(moment) = moment::parse(text, jiff::Timestamp::UNIX_EPOCH, &zone) {
                let (written, _) = (moment::text(moment), moment::short(moment, &zone));
                assert_eq!(moment::parse(&written, jiff::Timestamp::UNIX_EPOCH, &zone), Ok(moment));
            }
        }
        _ => {
            if let Some(token) = Token::new(text) {
                assert_eq!(token.text(), text);
            }
        }
    }
}
