//! Records and events of the journal as MQTT messages: the JSON of `log export`.

use expression_engine::error::Result;

use crate::command::log::tail::{self, Sessions};
use crate::journal::{Entry, Reader};
use crate::run::WriteEntry;

/// Writes entries as `log export --format jsonl` does.
#[derive(Default)]
pub struct Export(Option<Sessions>);

impl WriteEntry for Export {
    fn write(&mut self, reader: &Reader, entry: &Entry) -> Result<String> {
        let sessions = match self.0.take() {
            Some(sessions) => sessions,
            None => Sessions::read(reader)?,
        };
        tail::json(reader, self.0.insert(sessions), entry)
    }

    fn reset(&mut self) {
        self.0 = None;
    }
}
