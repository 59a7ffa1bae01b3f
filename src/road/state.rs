//! The fold's state as entries of the outbox keep it, and how it is made anew where damage has taken it.
//!
//! | file beside an entry | |
//! |---|---|
//! | `carry` | the whole state after the entry's fold |
//! | `change` | what the fold changed of the state before |
//!
//! The state is the last whole one with all changes behind it. Each file stands twice, so one damage costs nothing. Where
//! both are damaged, [`mend`] begins with the last state that can be read. The entries behind it say in their indexes
//! which records they have decided; all others that stand in the log up to the last entry are open, and are taken up
//! again: nothing is lost, and nothing lands twice. Where an index is missing too, nobody can tell which records have
//! landed: the log's files up to the last entry are set aside, and their records are counted as quarantined.

use super::CARRY;
use super::CHANGE;
use super::Earlier;
use super::TOMBS;
use super::WINDOW;
use super::file_id;
use super::of_log;
use crate::event::carry::Carry;
use crate::event::carry::TombPart;
use crate::event::carry::WindowPart;
use crate::fold;
use crate::fold::Fold;
use crate::fold::Incoming;
use crate::fold::chain::Chain;
use crate::fold::chain::Links;
use crate::fold::open::SegmentId;
use crate::lake::manifest::Range;
use crate::lake::outbox::Outbox;
use crate::wal::FileId;
use crate::wal::Files;
use crate::wal::Item;
use crate::wal::Kind;
use prost::Message as _;
use std::collections::BTreeMap;
use std::collections::HashSet;
use std::io;

/// Sequence numbers that are passed over where nobody knows which were given: more than a log can hold.
const UNKNOWN: u64 = 1 << 32;

/// What was done about damage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mended {
    /// Open records that were taken up again.
    pub adopted: u64,
    /// Records, at most, that were set aside.
    pub set_aside: u64,
}

/// The state as far as it can be read.
#[derive(Debug)]
pub(super) struct State {
    pub(super) carry: Carry,
    pub(super) links: Links,
}

/// Reads the state after the last entry, or after the last one up to which it can be read; `None` without any.
pub(super) fn read(outbox: &Outbox) -> io::Result<Option<State>> {
    let entries = outbox.all();
    for whole in entries.iter().rev() {
        if !outbox.has_beside(*whole, CARRY)? {
            continue;
        }
        let Some((carry, bytes)) = good(beside(outbox, *whole, CARRY))? else { continue };
        let mut links = Links::default();
        links.add(&carry, bytes);
        let Some(mut chain) = good(Chain::new(carry))? else { continue };
        for entry in entries.iter().filter(|entry| *entry > whole) {
            let Some((change, bytes)) = good(beside(outbox, *entry, CHANGE))? else { break };
            links.add(&change, bytes);
            if good(chain.change(change))?.is_none() {
                break;
            }
        }
        return Ok(Some(State { carry: chain.finish(), links }));
    }
    Ok(None)
}

/// A carry, or the change of one, and its bytes.
fn beside(outbox: &Outbox, entry: u64, name: &str) -> io::Result<(Carry, usize)> {
    let bytes = outbox.read_beside(entry, name)?;
    let carry = Carry::decode(bytes.as_slice());
    Ok((carry.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?, bytes.len()))
}

/// What can be read; damage is `None`.
fn good<T>(read: io::Result<T>) -> io::Result<Option<T>> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Sees to it that the state after the last entry can be read.
pub(super) fn mend(settings: fold::Settings, files: &Files, outbox: &Outbox) -> io::Result<Mended> {
    let Some(last) = outbox.last() else { return Ok(Mended::default()) };
    let state = read(outbox)?;
    if state.as_ref().is_some_and(|state| state.carry.segment == last) {
        return Ok(Mended::default());
    }
    let is_known = state.is_some();
    let before = state.map(|state| state.carry).unwrap_or_default();
    tracing::error!(
        entry = last,
        readable = before.segment,
        "the fold's state beside the last entry of the outbox is damaged, and so is its copy: it is made anew"
    );
    let decided = if is_known { decided(outbox, before.segment)? } else { None };
    let mut carry = later(outbox, before, &settings)?;
    let clashing: HashSet<u64> = carry
        .traces
        .iter()
        .flat_map(|trace| &trace.records)
        .filter(|record| record.clashes)
        .map(|record| record.sequence)
        .collect();
    let was_open: HashSet<u64> =
        carry.traces.iter().flat_map(|trace| &trace.records).map(|record| record.sequence).collect();
    let known_to = carry.next_sequence;
    carry.traces.clear();
    carry.segments.clear();
    carry.segment = last;
    let standing = stand(files, last)?;
    // Time never goes back.
    carry.now = carry.now.max(standing.time);
    let highest = standing.records.keys().next_back().copied();
    let top = decided.iter().flatten().map(|range| range.last).chain(highest).max().unwrap_or(0);
    carry.next_sequence = carry.next_sequence.max(top + 1);
    let mut mended = Mended::default();
    let mut fold = match decided {
        Some(decided) => {
            let is_decided = |number: u64| {
                let behind = decided.partition_point(|range| range.first <= number);
                behind.checked_sub(1).and_then(|at| decided.get(at)).is_some_and(|range| number <= range.last)
            };
            let earlier = Earlier::new(files, outbox);
            let mut fold = Fold::restore(settings, carry, &earlier)?;
            for (id, bytes) in &standing.files {
                fold.hold(*id, *bytes);
            }
            for (number, (id, offset)) in standing.records {
                if is_decided(number) || (number < known_to && !was_open.contains(&number)) {
                    continue;
                }
                match adopt(&mut fold, files, id, offset, clashing.contains(&number)) {
                    Ok(true) => mended.adopted += 1,
                    Ok(false) => {}
                    Err(error) if error.kind() == io::ErrorKind::InvalidData => mended.set_aside += 1,
                    Err(error) => return Err(error),
                }
            }
            fold
        }
        None => {
            carry.next_sequence = carry.next_sequence.saturating_add(UNKNOWN);
            for (id, _) in &standing.files {
                files.set_aside(file_id(id.number, id.kept))?;
            }
            mended.set_aside = u64::try_from(standing.records.len()).unwrap_or(u64::MAX);
            Fold::restore(settings, carry, &Earlier::new(files, outbox))?
        }
    };
    let (carry, _) = fold.carry(&[], 0, &[], None);
    outbox.put_beside(last, CARRY, &carry.encode_to_vec())?;
    Ok(mended)
}

/// Takes up an open record. `false` where it is none.
fn adopt(fold: &mut Fold, files: &Files, id: SegmentId, offset: u64, clashes: bool) -> io::Result<bool> {
    let file = file_id(id.number, id.kept);
    let record = files.blob(file, offset).map_err(of_log)?;
    let envelope = files.blob(file, record.envelope).map_err(of_log)?;
    let incoming = Incoming {
        envelope_at: record.envelope,
        envelope: &envelope.payload,
        at: offset,
        bytes: &record.payload,
        arrival: record.time.nanos(),
        sequence: record.sequence,
    };
    fold.adopt(id, &incoming, clashes)
}

/// What entries behind a segment have decided, in order; `None` where an index cannot be read.
fn decided(outbox: &Outbox, behind: u64) -> io::Result<Option<Vec<Range>>> {
    let mut decided: Vec<Range> = Vec::new();
    for entry in outbox.all().into_iter().filter(|entry| *entry > behind) {
        let Some(index) = good(outbox.index(entry))? else { return Ok(None) };
        decided.extend(index.shipments.into_iter().flat_map(|shipment| shipment.decided));
    }
    // None of them overlap: each number is decided once.
    decided.sort_unstable_by_key(|range| range.first);
    Ok(Some(decided))
}

/// A state with what later entries still tell of it: their resend keys, tombstones and manifests.
fn later(outbox: &Outbox, mut carry: Carry, settings: &fold::Settings) -> io::Result<Carry> {
    let mut chains: BTreeMap<String, u64> = carry.chains.drain(..).map(|chain| (chain.prefix, chain.segment)).collect();
    for segment in outbox.all().into_iter().filter(|entry| *entry > carry.segment) {
        if outbox.has_beside(segment, WINDOW)? {
            let count = good(outbox.read_beside(segment, WINDOW))?.map_or(0, |keys| keys.len() / 16);
            let count = u64::try_from(count).unwrap_or(u64::MAX);
            carry.window.push(WindowPart { segment, count, at: carry.now });
        }
        if outbox.has_beside(segment, TOMBS)? {
            let until = carry.now.saturating_add(settings.patience.max_age);
            carry.tombs.push(TombPart { segment, until });
        }
        for shipment in good(outbox.index(segment))?.into_iter().flat_map(|index| index.shipments) {
            chains.insert(shipment.prefix, segment);
        }
    }
    let chains = chains.into_iter();
    carry.chains = chains.map(|(prefix, segment)| crate::event::carry::Chain { prefix, segment }).collect();
    Ok(carry)
}

/// What stands in the log's files up to a segment.
#[derive(Debug, Default)]
struct Standing {
    files: Vec<(SegmentId, u64)>,
    /// Where records stand, by number; of those that stand twice the copy.
    records: BTreeMap<u64, (SegmentId, u64)>,
    /// The latest log time in them.
    time: u64,
}

fn stand(files: &Files, last: u64) -> io::Result<Standing> {
    let mut standing = Standing::default();
    for file in files.old(last)? {
        let whole = files.read(file).map_err(of_log)?;
        let id = match file {
            FileId::Segment(number) => SegmentId { number, kept: false },
            FileId::Kept(number) => SegmentId { number, kept: true },
        };
        standing.files.push((id, whole.size()));
        for item in whole.scan() {
            let Item::Blob(blob) = item else { continue };
            standing.time = standing.time.max(blob.time.nanos());
            if blob.kind == Kind::Record {
                standing.records.insert(blob.sequence, (id, blob.offset));
            }
        }
    }
    Ok(standing)
}
