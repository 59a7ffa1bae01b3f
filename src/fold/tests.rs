//! A past in memory, and the life of traces over segments.

use super::*;
use crate::event::Partial;
use crate::event::record::Record;
use crate::fold::open::Close;
use crate::fold::open::Patience;
use crate::fold::open::Waiting;
use bytes::Bytes;
use std::cell::Cell;
use std::cell::RefCell;

mod loose;
mod posted;

/// Earlier segments and entries, in memory.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) windows: BTreeMap<u64, Vec<u128>>,
    pub(crate) tombs: BTreeMap<u64, Vec<u8>>,
    pub(crate) blobs: HashMap<(SegmentId, u64), Vec<u8>>,
    pub(crate) looks: Cell<u64>,
    pub(crate) reads: RefCell<u64>,
}

impl Past for Memory {
    fn blob(&self, segment: SegmentId, offset: u64, length: Option<u32>) -> io::Result<Bytes> {
        *self.reads.borrow_mut() += 1;
        let blob = self.blobs.get(&(segment, offset)).cloned().ok_or_else(|| io::Error::other("no such blob"))?;
        assert!(length.is_none_or(|length| length as usize == blob.len()), "a record's length is known");
        Ok(Bytes::from(blob))
    }
    fn window_keys(&self, segment: u64) -> io::Result<Vec<u128>> {
        Ok(self.windows.get(&segment).cloned().unwrap_or_default())
    }
    fn window_has(&self, segment: u64, key: u128) -> io::Result<bool> {
        self.looks.set(self.looks.get() + 1);
        Ok(self.windows.get(&segment).is_some_and(|keys| keys.contains(&key)))
    }
    fn tombs(&self, segment: u64) -> io::Result<Vec<u8>> {
        Ok(self.tombs.get(&segment).cloned().unwrap_or_default())
    }
}

const SECOND: u64 = 1_000_000_000;

fn settings() -> Settings {
    Settings {
        patience: Patience { linger: 7 * SECOND, idle: 300 * SECOND, max_age: 3600 * SECOND },
        window: window::Limits { age: 3600 * SECOND, count: 4_000_000 },
        held: 1 << 30,
        memory: 1 << 26,
        tombs: 1000,
        rows: u64::MAX,
        assemble: assemble::Settings::default(),
    }
}

fn span(trace: u8, id: u8, parent: Option<u8>) -> Partial {
    let row = Event {
        event_type: "chat.completion".into(),
        name: format!("span {id}"),
        trace_id: Some(format!("{trace:032x}")),
        span_id: Some(format!("{id:016x}")),
        parent_span_id: parent.map(|id| format!("{id:016x}")),
        ..Event::default()
    };
    Partial { row: Some(Box::new(row)), start_ns: u64::from(id), end_ns: u64::from(id) + 10, ..Partial::default() }
}

fn remote(mut partial: Partial) -> Partial {
    partial.flags = Some(1 << 8 | 1 << 9);
    partial
}

fn calls(mut partial: Partial, response: &str) -> Partial {
    let row = partial.row.get_or_insert_default();
    row.model.get_or_insert_default().response_id = Some(response.into());
    partial
}

/// Segments folded one after the other, each `gap` seconds after the last.
struct Story {
    fold: Fold,
    past: Memory,
    sequence: u64,
    now: u64,
    envelope: Vec<u8>,
    /// The carry of the last fold.
    carry: Option<Carry>,
}

impl Story {
    fn new() -> Self {
        let envelope = Envelope { tenant: "t".into(), door: "otlp".into(), ..Envelope::default() };
        Self {
            fold: Fold::new(settings()),
            past: Memory::default(),
            sequence: 1,
            now: 0,
            envelope: envelope.encode_to_vec(),
            carry: None,
        }
    }

    fn tell(&mut self, after: u64, partials: &[Partial]) -> Folded {
        self.close(after, partials, Close::ByRule)
    }

    fn close(&mut self, after: u64, partials: &[Partial], close: Close) -> Folded {
        self.now += after * SECOND;
        let number = self.fold.segment() + 1;
        let bytes: Vec<Bytes> = partials.iter().map(|partial| Record::encode(0, partial, &mut Vec::new())).collect();
        let records = bytes.iter().enumerate().map(|(at, bytes)| Incoming {
            envelope_at: 0,
            envelope: &self.envelope,
            at: 1000 + u64::try_from(at).unwrap(),
            bytes,
            arrival: self.now,
            sequence: self.sequence + u64::try_from(at).unwrap(),
        });
        let segment = Segment {
            number,
            next_sequence: self.sequence + u64::try_from(partials.len()).unwrap(),
            bytes: 1 << 20,
            records: records.collect(),
            now: self.now,
            close,
        };
        let folded = self.fold.fold(&segment, &self.past, &mut |_, _| panic!("more rows than are held")).unwrap();
        self.sequence += u64::try_from(partials.len()).unwrap();
        let this = SegmentId { number, kept: false };
        self.past.blobs.insert((this, 0), self.envelope.clone());
        for (at, bytes) in bytes.iter().enumerate() {
            self.past.blobs.insert((this, 1000 + u64::try_from(at).unwrap()), bytes.to_vec());
        }
        self.past.windows.insert(number, window::decode_keys(&folded.window));
        self.past.tombs.insert(number, folded.tombs.clone());
        for batch in folded.batches.values() {
            assert!(batch.account.balances(), "{:?}", batch.account);
        }
        // A restart at any place changes nothing.
        let kept = SegmentId { number, kept: true };
        let mut places = Vec::new();
        for (n, from) in folded.copies.iter().enumerate() {
            let offset = 5000 + u64::try_from(n).unwrap();
            let blob = self.past.blobs[&(from.segment, from.offset)].clone();
            self.past.blobs.insert((kept, offset), blob);
            self.past.blobs.insert((kept, 0), self.envelope.clone());
            places.push(Place { segment: kept, envelope: 0, offset, length: from.length });
        }
        let base = self.carry.as_ref().map(|carry| carry.segment);
        let (carry, unused) = self.fold.carry(&places, 1 << 10, &folded.copies, base);
        for id in unused {
            self.past.blobs.retain(|(segment, _), _| *segment != id);
        }
        let carry = Carry::decode(carry.encode_to_vec().as_slice()).unwrap();
        let (whole, _) = self.fold.carry(&[], 0, &[], None);
        // What changed, applied to what was before, is what is now.
        let carry = match self.carry.take() {
            None => carry,
            Some(before) => {
                let mut chain = chain::Chain::new(before).unwrap();
                chain.change(carry).unwrap();
                chain.finish()
            }
        };
        assert_eq!(carry, whole);
        self.carry = Some(carry.clone());
        self.fold = Fold::restore(settings(), carry, &self.past).unwrap();
        folded
    }
}

fn names(folded: &Folded) -> Vec<&str> {
    folded.batches.values().flat_map(|batch| &batch.rows).map(|row| row.name.as_str()).collect()
}

#[test]
fn a_trace_is_emitted_when_its_root_has_ended_and_lingered() {
    let mut story = Story::new();
    assert!(names(&story.tell(1, &[span(1, 2, Some(1))])).is_empty());
    let folded = story.tell(60, &[span(1, 1, None)]);
    assert!(names(&folded).is_empty());
    assert_eq!(folded.next_deadline, Some(68 * SECOND));
    assert_eq!(folded.waiting, Waiting { linger: 1, root: 0, span: 0 });
    assert!(names(&story.tell(6, &[])).is_empty());
    assert_eq!(names(&story.tell(1, &[])).len(), 2);
    assert!(story.fold.open_traces() == 0);
}

#[test]
fn a_change_of_another_carry_is_refused() {
    let mut story = Story::new();
    story.tell(1, &[span(1, 2, Some(1))]);
    let whole = story.carry.clone().unwrap();
    let change = |base, moved| {
        let moved = vec![crate::event::carry::Move { record: moved, ..Default::default() }];
        let trace = crate::event::carry::OpenTrace { records: vec![], moved, ..whole.traces[0].clone() };
        Carry { base, segment: 2, traces: vec![trace], ..Carry::default() }
    };
    for (base, moved, is_taken) in [(1, 0, true), (0, 0, false), (2, 0, false), (1, 1, false)] {
        let mut chain = chain::Chain::new(whole.clone()).unwrap();
        assert_eq!(chain.change(change(base, moved)).is_ok(), is_taken, "{base} {moved}");
        assert_eq!(chain.segment(), if is_taken { 2 } else { 1 });
    }
    assert!(chain::Chain::new(change(1, 0)).is_err());
}

#[test]
fn what_is_written_of_a_trace_does_not_grow_with_its_age() {
    let mut fold = Fold::new(settings());
    let mut links = chain::Links::default();
    let mut past = Memory::default();
    let (mut written, mut whole) = (0, 0);
    let envelope = Envelope { tenant: "t".into(), door: "otlp".into(), ..Envelope::default() }.encode_to_vec();
    let mut parts = Vec::new();
    for number in 1..=1000u64 {
        let mut child = span(1, 2, Some(1));
        child.row.as_mut().unwrap().span_id = Some(format!("{:016x}", number + 10));
        let bytes = Record::encode(0, &child, &mut Vec::new());
        let at =
            Incoming { envelope_at: 0, envelope: &envelope, at: 64, bytes: &bytes, arrival: number, sequence: number };
        let records = vec![at];
        let segment =
            Segment { number, next_sequence: number + 1, bytes: 200, records, now: number, close: Close::ByRule };
        let folded = fold.fold(&segment, &past, &mut |_, _| panic!("more rows than are held")).unwrap();
        past.windows.insert(number, window::decode_keys(&folded.window));
        let base = (!links.is_over(fold.carry_size())).then_some(number - 1);
        let (carry, _) = fold.carry(&[], 0, &[], base);
        let bytes = carry.encoded_len();
        links.add(&carry, bytes);
        written += bytes;
        whole = fold.carry_size();
        parts.push(bytes);
    }
    assert_eq!(fold.open_records(), 1000);
    // One record is some 130 bytes of index. Written whole each time, it would be 50 MB.
    assert!(whole > 80_000 && written < 3 * whole, "{written} bytes for {whole}: {parts:?}");
    println!("{written} bytes over 1000 folds for an index of {whole}");
}

#[test]
fn a_trace_without_a_root_waits_for_idle() {
    let mut story = Story::new();
    story.tell(1, &[span(1, 2, Some(1))]);
    assert!(names(&story.tell(299, &[])).is_empty());
    assert_eq!(names(&story.tell(1, &[])), ["span 2"]);
}

#[test]
fn a_trace_that_was_called_from_elsewhere_is_finished_without_a_root() {
    let mut story = Story::new();
    story.tell(1, &[remote(span(1, 2, Some(1))), span(1, 3, Some(2))]);
    assert_eq!(names(&story.tell(7, &[])).len(), 2);
    let mut story = Story::new();
    story.tell(1, &[remote(span(1, 2, Some(1))), span(1, 3, Some(1))]);
    assert!(names(&story.tell(7, &[])).is_empty(), "the second says that the parent is to come");
}

#[test]
fn an_endless_trace_is_closed_by_age() {
    let mut story = Story::new();
    let mut rows = 0;
    for n in 0..40 {
        rows += names(&story.tell(100, &[span(1, n + 2, Some(1))])).len();
    }
    assert_eq!(rows, 37, "an hour after it opened");
}

#[test]
fn a_resend_is_dropped_within_the_segment_while_open_and_afterwards() {
    let mut story = Story::new();
    let told = [span(1, 1, None), span(1, 1, None)];
    story.tell(1, &told);
    story.tell(1, &told);
    assert_eq!(names(&story.tell(7, &[])), ["span 1"]);
    for after in [1, 1000, 2000] {
        let folded = story.tell(after, &told);
        assert!(names(&folded).is_empty());
        assert_eq!(folded.batches[""].account.decided[&Fate::Deduplicated], 2);
    }
    story.tell(5000, &told);
    assert_eq!(names(&story.tell(7, &[])), ["span 1"], "beyond the window it is another row of the same id");
}

#[test]
fn finished_traces_that_tell_one_call_wait_for_each_other() {
    let mut story = Story::new();
    story.tell(1, &[calls(span(1, 1, None), "r"), calls(span(2, 5, Some(4)), "r")]);
    assert!(names(&story.tell(7, &[])).is_empty(), "the second trace is open");
    story.tell(1, &[span(2, 4, None)]);
    let folded = story.tell(7, &[]);
    assert_eq!(names(&folded).len(), 3);
    let mut story = Story::new();
    story.tell(1, &[calls(span(1, 1, None), "r"), calls(span(2, 200, Some(4)), "r")]);
    assert_eq!(names(&story.tell(7, &[])), ["span 1"], "the same id at another time is another call");
}

#[test]
fn a_late_record_opens_its_trace_again() {
    let mut story = Story::new();
    story.tell(1, &[span(1, 1, None)]);
    assert_eq!(names(&story.tell(7, &[])), ["span 1"]);
    assert!(names(&story.tell(100, &[span(1, 9, Some(1))])).is_empty());
    assert_eq!(names(&story.tell(7, &[])), ["span 9"], "the root had come, so linger suffices");
}

#[test]
fn shutdown_folds_what_is_finished_and_keeps_the_rest() {
    let mut story = Story::new();
    story.tell(1, &[span(1, 1, None), span(2, 2, Some(9))]);
    assert_eq!(names(&story.close(1, &[], Close::Shutdown { open: false })), ["span 1"]);
    assert_eq!(names(&story.close(1, &[], Close::Shutdown { open: true })), ["span 2"]);
}

#[test]
fn a_long_trace_does_not_hold_its_segments() {
    let mut story = Story::new();
    story.tell(1, &[span(1, 9, Some(1))]);
    let other = |n| span(7, n, None);
    for n in 0..20 {
        story.tell(8, &[other(n + 20)]);
    }
    assert!(
        story.past.blobs.keys().all(|(segment, _)| segment.kept || segment.number >= 20),
        "{:?}",
        story.past.blobs.keys()
    );
    story.tell(1, &[span(1, 1, None)]);
    assert!(names(&story.tell(7, &[])).contains(&"span 9"));
}

#[test]
fn traces_are_closed_oldest_first_when_they_hold_too_much() {
    let mut story = Story::new();
    story.fold.settings.held = 3 << 20;
    let mut folded = story.tell(1, &[span(1, 2, Some(1))]);
    for n in 2..6 {
        story.fold.settings.held = 1 << 20;
        folded = story.tell(1, &[span(n, n, Some(1))]);
    }
    assert_eq!(folded.batches[""].account.decided.len(), 1);
    assert!(story.fold.open_traces() <= 2, "{}", story.fold.open_traces());
}

#[test]
fn records_without_a_trace_are_folded_with_their_segment() {
    let mut story = Story::new();
    let mut line = span(1, 1, None);
    let row = line.row.get_or_insert_default();
    (row.trace_id, row.span_id) = (None, None);
    assert_eq!(names(&story.tell(1, &[line])), ["span 1"]);
}

#[test]
fn tenants_share_nothing() {
    let mut story = Story::new();
    story.tell(1, &[span(1, 2, Some(1))]);
    let envelope = Envelope { tenant: "other".into(), door: "otlp".into(), ..Envelope::default() };
    story.envelope = envelope.encode_to_vec();
    let folded = story.tell(1, &[span(1, 1, None), span(1, 2, Some(1))]);
    assert!(!folded.batches.contains_key(""), "nothing was recognised as a resend");
    story.tell(7, &[]);
    assert_eq!(story.fold.open_traces(), 1);
}
