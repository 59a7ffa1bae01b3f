//! The back half of the road, a step at a time: a sealed segment becomes an entry of the outbox.
//!
//! One step reads a segment, folds it, copies the open records of dying segments, and puts rows, carry, resend keys
//! and tombstones into one entry, whose rename is the commit point. Then segments that hold nothing open are deleted.
//! After a crash at any place the same step is taken again and gives the same bytes.

mod earlier;
mod state;

pub use state::Mended;

use earlier::Earlier;

use crate::event::carry::Carry;
use crate::failpoint;
use crate::failpoint::Point;
use crate::fold;
use crate::fold::Fold;
use crate::fold::account::Account;
use crate::fold::chain::Links;
use crate::fold::open::Close;
use crate::fold::open::Place;
use crate::fold::open::SegmentId;
use crate::fold::open::Waiting;
use crate::lake::encode;
use crate::lake::key::Writer;
use crate::lake::outbox::Outbox;
use crate::lake::pack::Packed;
use crate::lake::pack::Packing;
use crate::wal;
use crate::wal::End;
use crate::wal::FileId;
use crate::wal::Files;
use crate::wal::Floor;
use crate::wal::Item;
use crate::wal::Kind;
use crate::wal::LogicalTime;
use crate::wal::Reason;
use crate::wal::Whole;
use crate::wal::disk;
use prost::Message as _;
use std::collections::HashMap;
use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Names of the files beside an entry.
const CARRY: &str = "carry";
const CHANGE: &str = "change";
const WINDOW: &str = "window";
const TOMBS: &str = "tombs";

/// What does not change between steps.
#[derive(Debug)]
pub struct Settings {
    /// Whether a shutdown closes open traces too.
    pub close_open: bool,
    /// How rows become files.
    pub encode: encode::Settings,
    /// Begins the names of all objects.
    pub writer: Writer,
}

/// What a step did.
#[derive(Debug, Default)]
pub struct Stepped {
    /// The segment.
    pub segment: u64,
    /// What went into the outbox.
    pub packed: Packed,
    /// The books, over all prefixes.
    pub account: Account,
    /// Records lost to damage of the segment.
    pub damaged: u64,
    /// What open traces wait for.
    pub waiting: Waiting,
    /// Open traces.
    pub open_traces: usize,
    /// Records in open traces.
    pub open_records: usize,
    /// Log time of the oldest open trace's first arrival.
    pub oldest: Option<LogicalTime>,
    /// When the next trace may be due.
    pub next_deadline: Option<LogicalTime>,
    /// The segment's seal.
    pub now: LogicalTime,
    /// How far back resends are recognised.
    pub reach: Duration,
}

/// Why a step failed. Nothing that was acknowledged is lost.
#[derive(Debug, thiserror::Error)]
#[error("{doing}")]
pub struct StepError {
    /// What was being done.
    pub doing: String,
    /// Why it failed.
    #[source]
    pub source: io::Error,
}

impl StepError {
    /// Whether the disk is full: it is waited out, and the road opened again. Any other error ends the process.
    pub fn is_full(&self) -> bool {
        disk::is_full(&self.source)
    }
}

/// The fold, its log and its outbox.
#[derive(Debug)]
pub struct Road {
    fold: Fold,
    files: Files,
    outbox: Arc<Outbox>,
    settings: Settings,
    /// The last segment whose entry is in place.
    packed: u64,
    /// How the carry stands beside the entries.
    links: Links,
    /// The whole carry before the last: it is kept until the next entry is in place.
    older: u64,
}

impl Road {
    /// Goes on from the carry of the highest entry, and removes segments that nothing points to.
    ///
    /// # Errors
    /// When the carry, or what it points to, cannot be read.
    pub fn open(
        fold: fold::Settings,
        settings: Settings,
        files: Files,
        outbox: Arc<Outbox>,
        old: &[FileId],
    ) -> Result<Self, StepError> {
        let Some(number) = outbox.last() else {
            let (fold, links) = (Fold::new(fold), Links::default());
            return Ok(Self { packed: 0, fold, files, outbox, settings, links, older: 0 });
        };
        let doing = || format!("read the carry of entry {number}");
        let state::State { carry, links } = last_state(&outbox).map_err(failed(doing()))?;
        let earlier = Earlier::new(&files, &outbox);
        let used: Vec<FileId> = carry.segments.iter().map(|used| file_id(used.number, used.kept)).collect();
        let fold = Fold::restore(fold, carry, &earlier).map_err(failed(doing()))?;
        for file in old.iter().filter(|file| !used.contains(file)) {
            files.remove(*file).map_err(failed(format!("remove {file}")))?;
        }
        Ok(Self { packed: fold.segment(), fold, files, outbox, settings, links, older: links.whole })
    }

    /// Sees to it that the carry of the highest entry can be read: where damage has taken it, it is made anew from what
    /// is left. To be called before anything else is read.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn mend(fold: fold::Settings, files: &Files, outbox: &Outbox) -> Result<Mended, StepError> {
        state::mend(fold, files, outbox).map_err(failed(String::from("make the lost carry anew")))
    }

    /// Sequence number, segment and time up to which an outbox without a process has come.
    ///
    /// # Errors
    /// When the highest carry cannot be read.
    pub fn floor(outbox: &Outbox) -> Result<Floor, StepError> {
        let Some(number) = outbox.last() else { return Ok(Floor::default()) };
        let carry = last_state(outbox).map_err(failed(format!("read the carry of entry {number}")))?.carry;
        Ok(Floor {
            segment: carry.segment,
            next_sequence: carry.next_sequence,
            time: LogicalTime::from_nanos(carry.now),
        })
    }

    /// The number of the first record that is not folded.
    pub fn next_sequence(&self) -> u64 {
        self.fold.next_sequence()
    }

    /// The last segment that was folded, and when something that is open may be due.
    pub fn progress(&self) -> (u64, Option<LogicalTime>) {
        (self.fold.segment(), self.fold.next_deadline().map(LogicalTime::from_nanos))
    }

    /// Begins the names of all objects.
    pub fn writer(&self) -> &Writer {
        &self.settings.writer
    }

    /// Records in open traces.
    pub fn open_records(&self) -> usize {
        self.fold.open_records()
    }

    /// Takes a sealed segment to its entry in the outbox. One that was taken there before the last step failed is not
    /// taken again.
    ///
    /// # Errors
    /// When the disk fails or is full ([`StepError::is_full`]). The step can only be taken again by a new `Road`,
    /// opened again.
    pub fn step(&mut self, file: FileId, close: Option<Close>) -> Result<Stepped, StepError> {
        let number = match file {
            FileId::Segment(number) | FileId::Kept(number) => number,
        };
        if number <= self.packed {
            return Ok(self.now(number));
        }
        let whole = self.files.read(file).map_err(of_log).map_err(failed(format!("read {file}")))?;
        let mut segment =
            read(&whole, &self.files, number, self.settings.close_open).map_err(failed(format!("read {file}")))?;
        // Numbers that were given and have no record here were lost to damage, or with a whole file.
        let before = self.fold.next_sequence();
        segment.next_sequence = segment.next_sequence.max(before);
        let here = u64::try_from(segment.records.len()).unwrap_or(u64::MAX);
        let damaged = (segment.next_sequence - before).saturating_sub(here);
        segment.close = close.unwrap_or(segment.close);
        let earlier = Earlier::new(&self.files, &self.outbox);
        let entry = || format!("write entry {number} of the outbox");
        let mut packing = Packing::begin(&self.outbox, &self.settings.encode, &self.settings.writer, number)
            .map_err(failed(entry()))?;
        let folded = self
            .fold
            .fold(&segment, &earlier, &mut |prefix, rows| packing.rows(prefix, rows))
            .map_err(failed(format!("fold {file}")))?;
        failpoint::reached(Point::RoadAfterFold);
        let now = LogicalTime::from_nanos(segment.now);
        let (places, kept_bytes) =
            keep(&self.files, number, now, &folded.copies).map_err(failed(format!("keep open records of {file}")))?;
        failpoint::reached(Point::RoadAfterKept);
        drop(segment);
        let base = (!self.links.is_over(self.fold.carry_size())).then_some(self.packed);
        let (carry, unused) = self.fold.carry(&places, kept_bytes, &folded.copies, base);
        let mut stepped = Stepped { damaged, waiting: folded.waiting, now, ..self.now(number) };
        folded.batches.values().for_each(|batch| stepped.account.add(&batch.account));
        let bytes = carry.encode_to_vec();
        let name = if base.is_none() { CARRY } else { CHANGE };
        let beside: [(&str, &[u8]); 3] = [(name, &bytes), (WINDOW, &folded.window), (TOMBS, &folded.tombs)];
        let beside: Vec<_> = beside.into_iter().filter(|(_, bytes)| !bytes.is_empty()).collect();
        stepped.packed = packing.finish(folded.batches, &beside).map_err(failed(entry()))?;
        self.packed = number;
        self.older = self.links.whole;
        self.links.add(&carry, bytes.len());
        failpoint::reached(Point::RoadBeforeTrim);
        for id in unused {
            let file = file_id(id.number, id.kept);
            self.files.remove(file).map_err(failed(format!("remove {file}")))?;
        }
        failpoint::reached(Point::RoadAfterTrim);
        self.clean(&carry).map_err(failed(String::from("clean the outbox")))?;
        failpoint::reached(Point::RoadAfterClean);
        Ok(stepped)
    }

    /// How things stand.
    fn now(&self, segment: u64) -> Stepped {
        Stepped {
            segment,
            open_traces: self.fold.open_traces(),
            open_records: self.fold.open_records(),
            oldest: self.fold.oldest().map(LogicalTime::from_nanos),
            next_deadline: self.fold.next_deadline().map(LogicalTime::from_nanos),
            reach: Duration::from_nanos(self.fold.reach()),
            ..Stepped::default()
        }
    }

    /// Removes files beside entries that this carry does not point to. It may be a change: then what it leaves out is
    /// needed.
    fn clean(&self, carry: &Carry) -> io::Result<()> {
        let is_change = carry.base != 0;
        let windows: HashSet<u64> = carry.window.iter().map(|part| part.segment).collect();
        let tombs: HashSet<u64> = carry.tombs.iter().map(|part| part.segment).collect();
        let open: HashSet<u64> = self.fold.open_tombs().collect();
        let known = |segment: u64, from: u64| is_change && (from..=carry.base).contains(&segment);
        self.outbox.clean(&|segment, name| match name {
            CARRY | CHANGE => segment >= self.older,
            WINDOW => windows.contains(&segment) || known(segment, carry.window_from),
            TOMBS => tombs.contains(&segment) || known(segment, carry.tombs_from) || open.contains(&segment),
            _ => false,
        })
    }
}

/// The state after the last entry.
fn last_state(outbox: &Outbox) -> io::Result<state::State> {
    let state = state::read(outbox)?;
    let is_last = |state: &state::State| Some(state.carry.segment) == outbox.last();
    state.filter(is_last).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it is damaged, and so is its copy"))
}

/// The records of a segment.
fn read<'a>(whole: &'a Whole, files: &Files, number: u64, close_open: bool) -> io::Result<fold::Segment<'a>> {
    let mut scan = whole.scan();
    let mut envelopes: HashMap<u64, &[u8]> = HashMap::new();
    let mut records = Vec::new();
    for item in scan.by_ref() {
        match item {
            Item::Blob(blob) if blob.kind == Kind::Envelope => {
                envelopes.insert(blob.offset, blob.payload);
            }
            Item::Blob(blob) => records.push(fold::Incoming {
                envelope_at: blob.envelope,
                envelope: envelopes.get(&blob.envelope).copied().unwrap_or_default(),
                at: blob.offset,
                bytes: blob.payload,
                arrival: blob.time.nanos(),
                sequence: blob.sequence,
            }),
            Item::Gap(gap) => files.quarantine(whole, gap)?,
        }
    }
    let (now, close) = match scan.end() {
        Some(End::Sealed(seal, _)) => match seal.reason {
            Reason::Shutdown => (seal.time, Close::Shutdown { open: close_open }),
            _ => (seal.time, Close::ByRule),
        },
        _ => (scan.time(), Close::ByRule),
    };
    let next_sequence = scan.next_sequence().unwrap_or(0);
    Ok(fold::Segment { number, next_sequence, bytes: whole.size(), records, now: now.nanos(), close })
}

/// Copies records into the kept file of a segment; gives their new places and the file's bytes.
fn keep(files: &Files, number: u64, now: LogicalTime, copies: &[Place]) -> io::Result<(Vec<Place>, u64)> {
    if copies.is_empty() {
        return Ok((Vec::new(), 0));
    }
    let blob = |segment: SegmentId, offset| files.blob(file_id(segment.number, segment.kept), offset).map_err(of_log);
    let mut kept = files.keep(number, now)?;
    let mut places = Vec::with_capacity(copies.len());
    let mut envelope = None;
    for from in copies {
        let source = (from.segment, from.envelope);
        let record = match blob(from.segment, from.offset) {
            // It stays where it is, until its trace is emitted without it.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                places.push(*from);
                continue;
            }
            record => record?,
        };
        let at = match envelope {
            Some((before, at)) if before == source => at,
            _ => {
                let bytes = match blob(from.segment, from.envelope) {
                    Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                        places.push(*from);
                        continue;
                    }
                    bytes => bytes?,
                };
                kept.envelope(bytes.time, &bytes.payload)?
            }
        };
        envelope = Some((source, at));
        let offset = kept.record(record.sequence, record.time, &record.payload)?;
        places.push(Place { segment: SegmentId { number, kept: true }, envelope: at, offset, length: from.length });
    }
    Ok((places, kept.finish()?))
}

fn file_id(number: u64, kept: bool) -> FileId {
    if kept { FileId::Kept(number) } else { FileId::Segment(number) }
}

/// A full disk stays one.
fn of_log(error: wal::ReadError) -> io::Error {
    match error {
        wal::ReadError::Io { source, .. } => source,
        error @ wal::ReadError::Damaged { .. } => io::Error::new(io::ErrorKind::InvalidData, error),
        error => io::Error::other(error),
    }
}

fn failed(doing: String) -> impl FnOnce(io::Error) -> StepError {
    move |source| StepError { doing, source }
}
