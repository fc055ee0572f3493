//! What waits in memory to be written: bounded, the oldest records dropped first and counted.

use std::collections::{BTreeMap, VecDeque};

use expression_core::Stamp;

use super::Row;
use crate::event::Event;

/// Something to be written.
#[derive(Debug, Clone)]
pub(super) enum Item {
    /// A record, without its number and session yet, and its face if faces are kept.
    Record(Row, Option<Box<KeptFace>>),
    /// An event.
    Event(Stamp, Event),
}

/// An aligned face on its way to the table `face`.
#[derive(Debug, Clone)]
pub(super) struct KeptFace {
    pub channels: u8,
    pub size: u16,
    pub pixels: Vec<u8>,
}

impl Item {
    /// Bytes of memory, about the same as on the disk.
    pub fn bytes(&self) -> usize {
        let outside = match self {
            Item::Record(row, face) => {
                row.name.as_ref().map_or(0, |name| name.len()) + face.as_ref().map_or(0, |face| face.pixels.len() + 48)
            }
            Item::Event(..) => 128,
        };
        std::mem::size_of::<Item>() + outside
    }

    fn stamp(&self) -> Stamp {
        match self {
            Item::Record(row, _) => row.stamp,
            Item::Event(stamp, _) => *stamp,
        }
    }
}

/// Counts of a minute since they were last written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Tally {
    pub frames: u64,
    pub with_faces: u64,
    pub thinned: u64,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.frames += other.frames;
        self.with_faces += other.with_faces;
        self.thinned += other.thinned;
    }
}

/// Most minutes of counts that wait: those of a week.
const MAX_MINUTES: usize = 7 * 24 * 60;

/// What was dropped since it was last said.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Lost {
    pub records: u64,
    pub events: u64,
    first_ns: u64,
    last_ns: u64,
}

impl Lost {
    fn count(&mut self, item: &Item) {
        let time = item.stamp().monotonic_ns;
        self.first_ns = if self.is_none() { time } else { self.first_ns.min(time) };
        self.last_ns = self.last_ns.max(time);
        match item {
            Item::Record(..) => self.records += 1,
            Item::Event(..) => self.events += 1,
        }
    }

    pub fn is_none(&self) -> bool {
        self.records + self.events == 0
    }

    /// The event that says so; `None` if nothing was lost.
    pub fn event(&self) -> Option<Event> {
        let seconds = self.last_ns.saturating_sub(self.first_ns) as f64 / 1e9;
        (!self.is_none()).then_some(Event::RecordsLost { records: self.records, events: self.events, seconds })
    }
}

/// What one transaction writes.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub items: Vec<Item>,
    pub minutes: BTreeMap<i64, Tally>,
    pub cursors: BTreeMap<String, i64>,
}

impl Batch {
    pub fn is_empty(&self) -> bool {
        self.items.is_empty() && self.minutes.is_empty() && self.cursors.is_empty()
    }

    pub fn bytes(&self) -> usize {
        self.items.iter().map(Item::bytes).sum::<usize>() + 64 * (self.minutes.len() + self.cursors.len())
    }
}

/// Everything that waits.
#[derive(Debug)]
pub(super) struct Queue {
    items: VecDeque<Item>,
    minutes: BTreeMap<i64, Tally>,
    cursors: BTreeMap<String, i64>,
    bytes: usize,
    capacity: usize,
    /// What was dropped since the journal last said so.
    pub lost: Lost,
    /// What was dropped since [`super::Writer::reports`] last said so.
    pub unreported: Lost,
    /// Records lost since the writer was opened.
    pub lost_records: u64,
}

impl Queue {
    pub fn new(capacity: usize) -> Queue {
        Queue {
            items: VecDeque::new(),
            minutes: BTreeMap::new(),
            cursors: BTreeMap::new(),
            bytes: 0,
            capacity,
            lost: Lost::default(),
            unreported: Lost::default(),
            lost_records: 0,
        }
    }

    pub fn push(&mut self, item: Item) {
        self.bytes += item.bytes();
        self.items.push_back(item);
        self.trim();
    }

    pub fn count(&mut self, minute: i64, tally: Tally) {
        *self.minutes.entry(minute).or_default() += tally;
        while self.minutes.len() > MAX_MINUTES {
            // Counts are not lost: the oldest join their neighbour.
            if let Some((_, oldest)) = self.minutes.pop_first()
                && let Some((_, next)) = self.minutes.iter_mut().next()
            {
                *next += oldest;
            }
        }
    }

    pub fn set_cursor(&mut self, name: &str, id: i64) {
        self.cursors.insert(name.to_owned(), id);
    }

    pub fn len(&self) -> usize {
        self.items.len()
    }

    pub fn is_empty(&self) -> bool {
        self.items.is_empty() && self.minutes.is_empty() && self.cursors.is_empty()
    }

    /// Whether something waits that is worth a commit of its own, as opposed to counts alone.
    pub fn has_items(&self) -> bool {
        !self.items.is_empty() || !self.cursors.is_empty()
    }

    pub fn is_half_full(&self) -> bool {
        self.bytes > self.capacity / 2
    }

    /// Takes the oldest items, up to `bytes`, and all counts.
    pub fn take(&mut self, bytes: usize) -> Batch {
        let mut taken = 0;
        let mut items = Vec::new();
        while let Some(item) = self.items.front() {
            let size = item.bytes();
            if !items.is_empty() && taken + size > bytes {
                break;
            }
            taken += size;
            items.extend(self.items.pop_front());
        }
        self.bytes -= taken;
        Batch { items, minutes: std::mem::take(&mut self.minutes), cursors: std::mem::take(&mut self.cursors) }
    }

    /// Puts back what could not be written, before what came since.
    pub fn put_back(&mut self, batch: Batch) {
        for item in batch.items.into_iter().rev() {
            self.bytes += item.bytes();
            self.items.push_front(item);
        }
        for (minute, tally) in batch.minutes {
            self.count(minute, tally);
        }
        for (name, id) in batch.cursors {
            self.cursors.entry(name).or_insert(id);
        }
        self.trim();
    }

    /// Drops the oldest records while there is too much; events only where they alone fill an eighth.
    fn trim(&mut self) {
        while self.bytes > self.capacity && self.items.len() > 1 {
            let max_events = self.capacity / 8 / 256;
            let front = self.items.iter().take(max_events).position(|item| matches!(item, Item::Record(..)));
            let Some(item) = self.items.remove(front.unwrap_or(0)) else { return };
            self.bytes -= item.bytes();
            self.lost.count(&item);
            self.unreported.count(&item);
            self.lost_records += u64::from(matches!(item, Item::Record(..)));
        }
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
