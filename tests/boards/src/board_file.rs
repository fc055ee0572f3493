//! Board files for emulated boards.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use toml::{Table, Value};

use xtask::{arm, cargo};

/// A board file whose keys can be changed.
pub struct BoardFile(Table);

impl BoardFile {
    /// Returns a board file for QEMU's generic machine, without lights, sensors and display, whose frames come from `source`.
    ///
    /// # Errors
    /// Returns an error if the template is invalid.
    pub fn generic(source: &str) -> Result<BoardFile> {
        let mut board = BoardFile(include_str!("generic-board.toml").parse()?);
        board.0.insert("target".into(), arm::TARGET.into());
        board.set("camera", "source", source)?;
        Ok(board)
    }

    /// Reads a board file of the folder `boards/` by its name.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read or is not TOML.
    pub fn shipped(name: &str) -> Result<BoardFile> {
        let path = cargo::workspace_root().join("boards").join(name).with_extension("toml");
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        Ok(BoardFile(text.parse().with_context(|| path.display().to_string())?))
    }

    /// Sets a key of a table, such as `source` of `camera`.
    ///
    /// # Errors
    /// Returns an error if there is no such table.
    pub fn set(&mut self, table: &str, key: &str, value: impl Into<Value>) -> Result<()> {
        self.table(table)?.insert(key.into(), value.into());
        Ok(())
    }

    /// Adds the table `gpio`: one chip with the lines 0, 1, 2 for red, green and blue, and line 3 for the button.
    pub fn add_gpio(&mut self, chip: &str) {
        let mut gpio = Table::from_iter([("chips".to_owned(), Value::Array(vec![chip.into()]))]);
        for (line, part) in (0..).zip(["red", "green", "blue", "button"]) {
            gpio.insert(part.into(), Table::from_iter([("line".to_owned(), Value::Integer(line))]).into());
        }
        self.0.insert("gpio".into(), gpio.into());
    }

    /// Swaps the lines of red and green.
    ///
    /// # Errors
    /// Returns an error if the board has no such lights.
    pub fn swap_red_and_green(&mut self) -> Result<()> {
        let gpio = self.table("gpio")?;
        let [red, green] = ["red", "green"].map(|colour| gpio.remove(colour));
        gpio.insert("red".into(), green.context("the board file has no green light")?);
        gpio.insert("green".into(), red.context("the board file has no red light")?);
        Ok(())
    }

    /// Writes the file.
    ///
    /// # Errors
    /// Returns an error if the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        fs::write(path, self.to_toml()?).with_context(|| path.display().to_string())
    }

    /// Returns the file's text.
    ///
    /// # Errors
    /// Returns an error if a value cannot be written as TOML.
    pub fn to_toml(&self) -> Result<String> {
        Ok(toml::to_string(&self.0)?)
    }

    fn table(&mut self, name: &str) -> Result<&mut Table> {
        let table = self.0.get_mut(name).and_then(Value::as_table_mut);
        table.with_context(|| format!("the board file has no table [{name}]"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_changed_and_the_others_stay() {
        let mut board = BoardFile::generic("command:\"/payload/bin/endless\"").unwrap();
        board.set("thermal", "zones", "/tmp/zone").unwrap();
        board.add_gpio("a chip");
        board.swap_red_and_green().unwrap();
        assert!(board.set("nothing", "key", 1).is_err());
        let read: Table = board.to_toml().unwrap().parse().unwrap();
        assert_eq!(read["camera"]["source"].as_str(), Some("command:\"/payload/bin/endless\""));
        assert_eq!(read["camera"]["detect_every"].as_integer(), Some(8));
        assert_eq!(read["thermal"]["zones"].as_str(), Some("/tmp/zone"));
        assert_eq!(read["target"].as_str(), Some(arm::TARGET));
        let lines = ["red", "green", "blue", "button"].map(|part| read["gpio"][part]["line"].as_integer().unwrap());
        assert_eq!(lines, [1, 0, 2, 3]);
    }

    #[test]
    fn shipped_board_files_are_read() {
        let mut board = BoardFile::shipped("raspberry-pi-3b").unwrap();
        board.swap_red_and_green().unwrap();
        assert!(BoardFile::shipped("no-such-board").is_err());
    }
}
