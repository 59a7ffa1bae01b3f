//! The log on a disk in memory, by turns: no threads, no waiting.

mod append;
mod crash;
mod damage;
mod directory;
mod full;

use super::disk::Disk;
use super::disk::Fault;
use super::disk::FaultDisk;
use super::disk::MemDisk;
use super::disk::Op;
use super::disk::Outcome;
use super::*;
use crate::clock::ManualClock;
use crate::redact::Redacted;
use bytes::Bytes;
use std::path::Path;
use std::sync::Arc;

const DATA: &str = "/data";

/// A log that is open, and all that is around it.
struct Rig {
    memory: MemDisk,
    disk: FaultDisk,
    clock: Arc<ManualClock>,
    _home: Home,
    opened: Opened,
}

fn small() -> Config {
    Config { roll_size: 8 << 10, cap: 1 << 20, reserve: 0, ..Config::default() }
}

impl Rig {
    fn new() -> Self {
        Self::with(MemDisk::new(), &small(), Floor::default())
    }

    fn with(memory: MemDisk, config: &Config, floor: Floor) -> Self {
        Self::try_with(memory, config, floor).unwrap()
    }

    fn try_with(memory: MemDisk, config: &Config, floor: Floor) -> Result<Self, OpenError> {
        let disk = FaultDisk::new(Arc::new(memory.clone()));
        let clock = Arc::new(ManualClock::new(0));
        let home = Home::claim(Arc::new(disk.clone()), Path::new(DATA), "test", 7)?;
        let opened = open(&home, floor, config, Arc::<ManualClock>::clone(&clock))?;
        Ok(Self { memory, disk, clock, _home: home, opened })
    }

    /// The log as a new process finds it on `memory`, with nothing folded.
    fn again(memory: MemDisk) -> Self {
        Self::with(memory, &small(), Floor::default())
    }

    fn submit(&self, request: Vec<Redacted>) -> Pending {
        self.opened.wal.submit(request, None).unwrap()
    }

    /// Takes turns until there is nothing to do.
    fn settle(&mut self) -> Turn {
        loop {
            match self.opened.writer.turn().unwrap() {
                Turn::Worked => {}
                turn => return turn,
            }
        }
    }

    fn append(&mut self, request: Vec<Redacted>) -> Result<Receipt, AppendError> {
        let mut pending = self.submit(request);
        self.settle();
        pending.try_answer().unwrap()
    }

    /// Says that all sealed segments are folded, and asks for a seal at a time.
    fn folded(&mut self, deadline: Option<Duration>) -> Vec<u64> {
        let sealed = self.sealed();
        let last = sealed.last().copied().unwrap_or(self.opened.writer.last_sealed());
        self.opened.wal.folded(last, deadline.map(|deadline| LogicalTime::default().plus(deadline)));
        sealed
    }

    fn sealed(&mut self) -> Vec<u64> {
        let files = std::iter::from_fn(|| self.opened.sealed.try_next());
        files.map(|file| if let FileId::Segment(number) = file { number } else { 0 }).collect()
    }

    fn fail(&self, op: Op, path: &str, skip: u64, outcome: Outcome) {
        self.disk.add(Fault { op: Some(op), path: path.into(), skip, times: 1, outcome });
    }
}

/// A request of one envelope with records.
fn request(envelope: &str, records: &[&str]) -> Vec<Redacted> {
    vec![redacted(envelope, records)]
}

fn redacted(envelope: &str, records: &[&str]) -> Redacted {
    let records = records.iter().map(|record| Bytes::copy_from_slice(record.as_bytes())).collect();
    Redacted::of_test(Bytes::copy_from_slice(envelope.as_bytes()), records)
}

/// What a file holds: each record with its number and its envelope.
fn records(files: &Files, file: FileId) -> Vec<(u64, String, String)> {
    let whole = files.read(file).unwrap();
    let mut envelopes = std::collections::BTreeMap::new();
    let mut records = Vec::new();
    for item in whole.scan() {
        let Item::Blob(blob) = item else { continue };
        let text = String::from_utf8(blob.payload.to_vec()).unwrap();
        match blob.kind {
            Kind::Envelope => drop(envelopes.insert(blob.offset, text)),
            Kind::Record => records.push((blob.sequence, envelopes[&blob.envelope].clone(), text)),
            Kind::Seal => unreachable!("a seal is no item"),
        }
    }
    records
}

fn end(files: &Files, file: FileId) -> End {
    let whole = files.read(file).unwrap();
    let mut scan = whole.scan();
    scan.by_ref().for_each(drop);
    scan.end().unwrap()
}

fn seal(files: &Files, number: u64) -> Seal {
    match end(files, FileId::Segment(number)) {
        End::Sealed(seal, _) => seal,
        end => panic!("segment {number} is not sealed: {end:?}"),
    }
}

/// Splitmix64: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % u64::try_from(bound).unwrap()).unwrap()
    }
}
