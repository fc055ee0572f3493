use expression_core::{Bounds, Quality, Record};

use super::*;

fn record(number: u64) -> Item {
    let record = Record {
        track: 1,
        bounds: Bounds::default(),
        quality: Quality::Good,
        scores: None,
        label: None,
        confidence: 0,
    };
    let stamp = Stamp { monotonic_ns: number * 1_000_000_000, wall_us: 0 };
    let row = Row {
        id: 0,
        session: 0,
        stamp,
        synchronised: true,
        sequence: number,
        name: None,
        size: [1, 1],
        record,
        latency_us: 0,
        millicelsius: None,
    };
    Item::Record(row, None)
}

fn numbers(items: &[Item]) -> Vec<Option<u64>> {
    let number = |item: &Item| match item {
        Item::Record(row, _) => Some(row.sequence),
        Item::Event(..) => None,
    };
    items.iter().map(number).collect()
}

#[test]
fn the_oldest_records_go_first_and_are_counted_and_events_stay() {
    let capacity = 1000 * record(0).bytes();
    let mut queue = Queue::new(capacity + Item::Event(Stamp::default(), Event::Start).bytes());
    queue.push(Item::Event(Stamp::default(), Event::Start));
    (1..=2500).for_each(|number| queue.push(record(number)));
    assert_eq!((queue.lost.records, queue.lost.events, queue.lost_records), (1500, 0, 1500));
    assert_eq!(queue.lost.event(), Some(Event::RecordsLost { records: 1500, events: 0, seconds: 1499.0 }));
    let batch = queue.take(usize::MAX);
    assert_eq!(numbers(&batch.items)[..2], [None, Some(1501)]);
    assert_eq!((batch.items.len(), queue.bytes, queue.is_empty()), (1001, 0, true));
}

#[test]
fn what_is_put_back_comes_before_what_came_since() {
    let mut queue = Queue::new(5 * record(0).bytes());
    (1..=4).for_each(|number| queue.push(record(number)));
    queue.count(7, Tally { frames: 1, with_faces: 1, thinned: 0 });
    queue.set_cursor("mqtt", 3);
    let batch = queue.take(2 * record(0).bytes());
    assert_eq!(numbers(&batch.items), [Some(1), Some(2)]);
    queue.push(record(5));
    queue.push(record(6));
    queue.count(7, Tally { frames: 2, with_faces: 0, thinned: 0 });
    queue.set_cursor("mqtt", 5);
    queue.put_back(batch);
    let batch = queue.take(usize::MAX);
    assert_eq!(numbers(&batch.items), [2, 3, 4, 5, 6].map(Some));
    assert_eq!(queue.lost.records, 1);
    assert_eq!(batch.minutes[&7], Tally { frames: 3, with_faces: 1, thinned: 0 });
    assert_eq!(batch.cursors["mqtt"], 5);
}

#[test]
fn events_alone_do_not_fill_the_memory() {
    let mut queue = Queue::new(64 << 10);
    for _ in 0..10_000 {
        queue.push(Item::Event(Stamp::default(), Event::Start));
    }
    assert!(queue.bytes <= 64 << 10 && queue.lost.events > 9000);
    (0..11_000).for_each(|minute| queue.count(minute, Tally { frames: 1, with_faces: 0, thinned: 0 }));
    queue.count(20_000, Tally { frames: 1, ..Tally::default() });
    assert_eq!(queue.minutes.len(), MAX_MINUTES);
    assert_eq!(queue.minutes.values().map(|tally| tally.frames).sum::<u64>(), 11_001);
}
