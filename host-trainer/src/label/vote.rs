//! What people said of faces: an append-only log, and the table that is made from it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use expression_core::Label;
use expression_engine::files;
use serde::{Deserialize, Serialize};

use super::table::{self, Row, Table, Unlike};
use crate::dataset::labelled::{TABLE, TRAINING};
use crate::dataset::votes::{COLUMNS, Counts};
use crate::error::{Context, Error};

/// The log of votes, one JSON object per line.
pub const VOTES: &str = "votes.jsonl";
/// The table that a folder had before its log: votes from elsewhere, which count with those of the log.
pub const EARLIER: &str = "votes-earlier.csv";
/// Longest name of a labeller, in characters.
pub const MAX_NAME: usize = 40;

/// What a labeller says of a face.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Vote {
    /// It shows this expression.
    Label(Label),
    /// It shows a face whose expression the labeller cannot tell.
    Unknown,
    /// It shows no face.
    NoFace,
}

impl Vote {
    /// The place of the vote among FER+'s columns.
    fn place(self) -> usize {
        match self {
            Vote::Label(label) => label as usize,
            Vote::Unknown => Label::COUNT,
            Vote::NoFace => Label::COUNT + 1,
        }
    }

    /// The name of the vote, which is that of FER+'s column.
    pub fn name(self) -> &'static str {
        COLUMNS[self.place() + 2]
    }
}

impl TryFrom<String> for Vote {
    type Error = String;

    fn try_from(text: String) -> Result<Vote, String> {
        let votes = Label::ALL.map(Vote::Label).into_iter().chain([Vote::Unknown, Vote::NoFace]);
        votes.into_iter().find(|vote| vote.name() == text).ok_or_else(|| format!("{text:?} is not a vote"))
    }
}

impl From<Vote> for String {
    fn from(vote: Vote) -> String {
        vote.name().to_owned()
    }
}

/// A line of the log: `vote` is null if the labeller took an earlier vote back.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    face: String,
    by: String,
    vote: Option<Vote>,
    /// Unix time in seconds.
    time: u64,
}

/// The votes of a folder. Each is on the disk before [`VoteBook::cast`] returns; a line that a kill or a power cut left
/// unfinished is dropped when the log is opened, because nobody was told that it was saved.
#[derive(Debug)]
pub struct VoteBook {
    folder: PathBuf,
    log: File,
    /// Bytes of whole lines in the log.
    length: u64,
    /// Votes by face and labeller, each with its place in the order of votes.
    votes: BTreeMap<String, BTreeMap<String, (Vote, u64)>>,
    count: u64,
    /// The votes of [`EARLIER`], and the parts that the table gives its faces.
    earlier: Table,
}

impl VoteBook {
    /// Opens the log of a folder, or makes one, and locks it against a second program. The table is made anew. One that was
    /// there before the log is kept as [`EARLIER`], and its votes count.
    ///
    /// # Errors
    /// Returns an error if the folder cannot be written, another program has the log, or a line of it does not parse; if the
    /// table is not one of votes, or holds others than the log.
    pub fn open(folder: &Path) -> crate::Result<VoteBook> {
        // Before anything is written.
        table::read(&folder.join(TABLE))?;
        let path = folder.join(VOTES);
        let open = OpenOptions::new().read(true).append(true).create(true).open(&path);
        let mut log = open.with_context(|| format!("cannot write {}", path.display()))?;
        if log.try_lock().is_err() {
            let advice = "close the other `host-trainer label` of this folder; several people can use one page";
            return Err(Error::BadInput(format!("{} is in use; {advice}", path.display())));
        }
        let mut text = Vec::new();
        log.read_to_end(&mut text).with_context(|| format!("cannot read {}", path.display()))?;
        let begun = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        if serde_json::from_slice::<Line>(&text[begun..]).is_ok() {
            // Only the line break is missing: an editor may have left it out.
            log.write_all(b"\n").with_context(|| format!("cannot write {}", path.display()))?;
            text.push(b'\n');
        } else if !is_cut_off(&text.split_off(begun)) {
            return Err(Error::BadInput(format!("{}: its last line is not a vote; remove the line", path.display())));
        }
        let length = text.len();
        let there = table::read(&folder.join(TABLE))?;
        let earlier = match table::read(&folder.join(EARLIER))? {
            Some(earlier) => earlier,
            None if length == 0 && there.as_ref().is_some_and(|table| !table.is_empty()) => {
                files::write_bytes(&folder.join(EARLIER), &files::read(&folder.join(TABLE))?)?;
                there.clone().unwrap_or_default()
            }
            None => Table::new(),
        };
        let (folder, length) = (folder.to_owned(), length as u64);
        let mut book = VoteBook { folder, log, length, votes: BTreeMap::new(), count: 0, earlier };
        let mut unlike = Unlike::new(&book.earlier, there.as_ref());
        for (number, line) in text.split(|byte| *byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty()) {
            let line: Line = serde_json::from_slice(line).map_err(|error| {
                let advice = "remove the line; earlier and later ones stay";
                Error::BadInput(format!("{}:{}: not a vote: {error}; {advice}", path.display(), number + 1))
            })?;
            let face = line.face.clone();
            book.remember(line);
            unlike.look(&face, book.row(&face).counts);
        }
        if !unlike.was_none {
            let reason = match book.count {
                0 => format!("its votes differ from {EARLIER}, a copy of it; delete {EARLIER} to use the new table"),
                _ => format!("its votes do not match {VOTES}; move one of the two to another folder"),
            };
            return Err(Error::BadInput(format!("{}: {reason}", book.folder.join(TABLE).display())));
        }
        book.take_parts(there.unwrap_or_default());
        book.cut()?;
        if !book.votes.is_empty() {
            book.write_table()?;
        }
        Ok(book)
    }

    /// Saves what a labeller says of a face, or that an earlier vote is taken back.
    ///
    /// # Errors
    /// Returns an error if it could not be saved; then it does not count.
    pub fn cast(&mut self, face: &str, by: &str, vote: Option<Vote>) -> crate::Result<()> {
        self.require_place()?;
        let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let line = Line { face: face.to_owned(), by: by.to_owned(), vote, time };
        let mut text = serde_json::to_vec(&line)?;
        text.push(b'\n');
        if let Err(error) = self.log.write_all(&text).and_then(|()| self.log.sync_data()) {
            // Half a line would spoil the next one. If this fails too, opening the log cuts it.
            let _ = self.cut();
            return Err(Error::from(error)).with_context(|| format!("cannot write {VOTES}"));
        }
        self.length += text.len() as u64;
        self.remember(line);
        self.write_table()
    }

    /// Refuses votes if the log is no longer the file in the folder: they would go to one that nobody finds, or that is gone once
    /// this program ends.
    fn require_place(&self) -> crate::Result<()> {
        let path = self.folder.join(VOTES);
        let file = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
        let log = file(self.log.metadata()?);
        if std::fs::metadata(&path).is_ok_and(|there| file(there) == log) {
            return Ok(());
        }
        let what = "was moved, deleted or replaced; start `host-trainer label` again, with the folder where it is now";
        Err(Error::BadInput(format!("{} {what}", path.display())))
    }

    /// The faces that a labeller has voted on, with the votes, in the order of voting.
    pub fn of(&self, by: &str) -> Vec<(&str, Vote)> {
        let own = self.votes.iter().filter_map(|(face, votes)| Some((face.as_str(), votes.get(by)?)));
        let mut own: Vec<_> = own.collect();
        own.sort_by_key(|(_, (_, order))| *order);
        own.into_iter().map(|(face, (vote, _))| (face, *vote)).collect()
    }

    /// Whether anybody has voted on a face.
    pub fn has(&self, face: &str) -> bool {
        self.row(face).counts != Counts::default()
    }

    /// The names of all labellers.
    pub fn labellers(&self) -> Vec<&str> {
        let names: BTreeSet<&str> = self.votes.values().flat_map(|votes| votes.keys().map(String::as_str)).collect();
        names.into_iter().collect()
    }

    /// The name under which a labeller has voted before, whatever the case: phones write a capital where a keyboard does not, and a
    /// person has one vote.
    pub fn known<'a>(&'a self, by: &'a str) -> &'a str {
        let labellers = self.labellers();
        let same = |known: &&&str| known.to_lowercase() == by.to_lowercase();
        if labellers.contains(&by) { by } else { labellers.iter().find(same).copied().unwrap_or(by) }
    }

    /// Number of votes that count, of all labellers and from elsewhere.
    pub fn votes(&self) -> usize {
        let earlier: usize = self.earlier.values().flat_map(|row| row.counts).map(|count| count as usize).sum();
        self.votes.values().map(BTreeMap::len).sum::<usize>() + earlier
    }

    /// The row of a face, which has no votes if nobody voted on it.
    fn row(&self, face: &str) -> Row {
        let mut row = self.earlier.get(face).cloned().unwrap_or_default();
        let votes = self.votes.get(face).into_iter().flat_map(BTreeMap::values);
        votes.for_each(|(vote, _)| row.counts[vote.place()] = row.counts[vote.place()].saturating_add(1));
        row
    }

    /// Keeps the parts that somebody wrote into the table.
    fn take_parts(&mut self, table: Table) {
        for (face, row) in table {
            if row.usage != TRAINING || self.earlier.contains_key(&face) {
                self.earlier.entry(face).or_default().usage = row.usage;
            }
        }
    }

    fn remember(&mut self, line: Line) {
        self.count += 1;
        let votes = self.votes.entry(line.face).or_default();
        match line.vote {
            Some(vote) => drop(votes.insert(line.by, (vote, self.count))),
            None => drop(votes.remove(&line.by)),
        }
    }

    /// Drops what stands after the last whole line.
    fn cut(&mut self) -> std::io::Result<()> {
        self.log.set_len(self.length)?;
        self.log.seek(SeekFrom::End(0)).map(drop)
    }

    /// Writes the table in FER+'s columns, whole or not at all.
    fn write_table(&self) -> crate::Result<()> {
        let voted = self.votes.iter().filter(|(_, votes)| !votes.is_empty()).map(|(face, _)| face);
        let faces: BTreeSet<&String> = self.earlier.keys().chain(voted).collect();
        let bytes = table::bytes(faces.into_iter().map(|face| (face.as_str(), self.row(face))))?;
        Ok(files::write_bytes(&self.folder.join(TABLE), &bytes)?)
    }
}

/// Whether this can be the beginning of a line of the log, as a kill leaves it.
fn is_cut_off(text: &[u8]) -> bool {
    let begin = b"{\"face\":\"";
    let same = begin.len().min(text.len());
    // A power cut can leave a file longer than what was written, with zeros.
    text[..same] == begin[..same] || text.iter().all(|byte| *byte == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HAPPY: Option<Vote> = Some(Vote::Label(Label::Happiness));

    #[test]
    fn votes_outlive_the_program_and_half_a_line_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let mut book = VoteBook::open(folder.path()).unwrap();
        assert!(VoteBook::open(folder.path()).is_err(), "two programs write one log");
        book.cast("b.png", "anna", HAPPY).unwrap();
        book.cast("a.png", "anna", Some(Vote::NoFace)).unwrap();
        book.cast("a.png", "bert", Some(Vote::Unknown)).unwrap();
        book.cast("c.png", "anna", HAPPY).unwrap();
        book.cast("c.png", "anna", None).unwrap();
        let table = std::fs::read_to_string(folder.path().join(TABLE)).unwrap();
        let expected = "Training,a.png,0,0,0,0,0,0,0,0,1,1\nTraining,b.png,0,1,0,0,0,0,0,0,0,0\n";
        assert_eq!(table, format!("{}\n{expected}", COLUMNS.join(",")));
        drop(book);

        let path = folder.path().join(VOTES);
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, [&whole[..], b"{\"face\":\"b.png\",\"by\":\"an"].concat()).unwrap();
        std::fs::remove_file(folder.path().join(TABLE)).unwrap();
        let mut book = VoteBook::open(folder.path()).unwrap();
        assert_eq!(book.of("anna"), [("b.png", Vote::Label(Label::Happiness)), ("a.png", Vote::NoFace)]);
        assert_eq!((book.labellers(), book.votes()), (vec!["anna", "bert"], 3));
        assert_eq!(std::fs::read_to_string(folder.path().join(TABLE)).unwrap(), table);
        book.cast(" d.png", "anna", HAPPY).unwrap();
        drop(book);
        // Without its last line break.
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, whole.trim_ascii_end()).unwrap();
        assert_eq!(VoteBook::open(folder.path()).unwrap().votes(), 4);
        assert_eq!(std::fs::read(&path).unwrap(), whole);
    }

    /// A folder with a table of these rows.
    fn with_table(rows: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(TABLE), format!("{}\n{rows}", COLUMNS.join(","))).unwrap();
        folder
    }

    fn rows(folder: &Path) -> String {
        let table = std::fs::read_to_string(folder.join(TABLE)).unwrap();
        table.split_once('\n').unwrap().1.to_owned()
    }

    #[test]
    fn votes_from_elsewhere_count() {
        let folder = with_table("PrivateTest,b.png,0,9,0,0,0,0,0,0,0,0\nTraining,a.png,8,0,0,0,0,0,0,0,1,0\n");
        let folder = folder.path();
        let told = "Training,a.png,8,0,0,0,0,0,0,0,1,0\nPrivateTest,b.png,0,9,0,0,0,0,0,0,0,0\n";
        // Also after a kill before the first vote.
        drop(VoteBook::open(folder).unwrap());
        let mut book = VoteBook::open(folder).unwrap();
        assert!(book.has("a.png") && !book.has("c.png"));
        book.cast("b.png", "anna", HAPPY).unwrap();
        book.cast("c.png", "anna", HAPPY).unwrap();
        book.cast("c.png", "anna", None).unwrap();
        let more = told.replace(",9,", ",10,");
        assert_eq!((rows(folder), book.votes()), (more.clone(), 19));
        drop(book);
        assert_eq!(VoteBook::open(folder).unwrap().votes(), 19);
        assert_eq!(rows(folder), more);

        // A part that somebody writes into the table stays too.
        let marked = more.replace("Training", "PublicTest");
        std::fs::write(folder.join(TABLE), format!("{}\n{marked}", COLUMNS.join(","))).unwrap();
        let mut book = VoteBook::open(folder).unwrap();
        book.cast("b.png", "anna", None).unwrap();
        assert_eq!(rows(folder), marked.replace(",10,", ",9,"));
        drop(book);
        // Killed after the vote was logged, or with a full disk: the table is behind.
        std::fs::write(folder.join(TABLE), format!("{}\n{marked}", COLUMNS.join(","))).unwrap();
        assert_eq!(VoteBook::open(folder).unwrap().votes(), 18);

        // Back to training.
        let back = rows(folder).replace("PrivateTest", "Training");
        std::fs::write(folder.join(TABLE), format!("{}\n{back}", COLUMNS.join(","))).unwrap();
        VoteBook::open(folder).unwrap().cast("c.png", "anna", None).unwrap();
        assert_eq!(rows(folder), back);
    }

    #[test]
    fn a_table_that_changed_before_the_first_vote_is_named() {
        let folder = with_table("Training,a.png,8,0,0,0,0,0,0,0,1,0\n");
        drop(VoteBook::open(folder.path()).unwrap());
        let path = folder.path().join(TABLE);
        std::fs::write(&path, std::fs::read_to_string(&path).unwrap().replace(",8,", ",9,")).unwrap();
        let error = VoteBook::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("delete votes-earlier.csv to use the new table"), "{error}");
    }

    #[test]
    fn a_log_that_was_moved_or_replaced_takes_no_votes() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("faces")).unwrap();
        let mut book = VoteBook::open(&at("faces")).unwrap();
        book.cast("a.png", "anna", HAPPY).unwrap();
        // As programs do it that keep folders in step.
        let log = at("faces").join(VOTES);
        std::fs::copy(&log, at("copy")).unwrap();
        std::fs::rename(at("copy"), &log).unwrap();
        let error = book.cast("b.png", "anna", HAPPY).unwrap_err().to_string();
        assert!(error.contains("votes.jsonl was moved, deleted or replaced; start"), "{error}");
        assert_eq!(book.votes(), 1);
        drop(book);

        let mut book = VoteBook::open(&at("faces")).unwrap();
        std::fs::rename(at("faces"), at("elsewhere")).unwrap();
        assert!(book.cast("b.png", "anna", HAPPY).is_err());
        assert!(!at("faces").exists(), "no folder is made for the table");
        drop(book);
        assert_eq!(VoteBook::open(&at("elsewhere")).unwrap().votes(), 1);
    }

    #[test]
    fn zeros_that_a_power_cut_left_are_dropped() {
        let folder = tempfile::tempdir().unwrap();
        VoteBook::open(folder.path()).unwrap().cast("a.png", "anna", HAPPY).unwrap();
        let path = folder.path().join(VOTES);
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, [&whole[..], &[0; 9]].concat()).unwrap();
        assert_eq!(VoteBook::open(folder.path()).unwrap().votes(), 1);
        assert_eq!(std::fs::read(&path).unwrap(), whole);
    }

    #[test]
    fn a_table_that_would_be_lost_is_refused_and_stays() {
        for (table, reason) in [
            ("name,label\na.png,happy\n".to_owned(), "not a table of votes"),
            (format!("{}\nTraining,a.png,x,0,0,0,0,0,0,0,0,0\n", COLUMNS.join(",")), "votes.csv:2: \"x\" is not"),
            (format!("{}\nTraining,a.png,1\n", COLUMNS.join(",")), "votes.csv:2: 3 columns"),
            ("\u{1}\u{2}".to_owned(), "not a table of votes"),
            ("\u{0}N".to_owned(), "text in UTF-16"),
            (format!("{}\n{}", COLUMNS.join(","), "Training,a.png,1,0,0,0,0,0,0,0,0,0\n".repeat(2)), "in line 2 too"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join(TABLE), &table).unwrap();
            let error = VoteBook::open(folder.path()).unwrap_err().to_string();
            assert!(error.contains(reason) && error.lines().count() == 1, "{error}");
            assert_eq!(std::fs::read_to_string(folder.path().join(TABLE)).unwrap(), table);
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        }
        // Of another folder, beside a log of this one.
        let folder = with_table("");
        let mut book = VoteBook::open(folder.path()).unwrap();
        book.cast("a.png", "anna", HAPPY).unwrap();
        drop(book);
        let other = format!("{}\nTraining,a.png,8,0,0,0,0,0,0,0,1,0\n", COLUMNS.join(","));
        std::fs::write(folder.path().join(TABLE), &other).unwrap();
        let error = VoteBook::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("its votes do not match votes.jsonl; move"), "{error}");
        assert_eq!(std::fs::read_to_string(folder.path().join(TABLE)).unwrap(), other);
    }

    #[test]
    fn a_line_that_is_not_a_vote_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let list = "bread, milk";
        std::fs::write(folder.path().join(VOTES), list).unwrap();
        let error = VoteBook::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("votes.jsonl: its last line is not a vote"), "{error}");
        assert_eq!(std::fs::read_to_string(folder.path().join(VOTES)).unwrap(), list);
        let good = "{\"face\":\"b.png\",\"by\":\"anna\",\"vote\":\"happiness\",\"time\":0}\n";
        std::fs::write(folder.path().join(VOTES), format!("{good}{}", good.replace("happiness", "joy"))).unwrap();
        let error = VoteBook::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("votes.jsonl:2: not a vote: \"joy\""), "{error}");
    }

    #[test]
    fn a_vote_has_the_name_of_its_column() {
        for vote in Label::ALL.map(Vote::Label).into_iter().chain([Vote::Unknown, Vote::NoFace]) {
            assert_eq!(Vote::try_from(String::from(vote)), Ok(vote));
        }
        assert_eq!(Vote::Label(Label::Contempt).name(), "contempt");
        assert_eq!([Vote::Unknown.name(), Vote::NoFace.name()], ["unknown", "NF"]);
    }
}
