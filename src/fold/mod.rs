//! The fold: a sealed segment and what earlier ones left open become rows, and what stays open.
//!
//! - Pure: a function of the carry, the segment, and the earlier bytes that the carry points to ([`Past`]). Its only
//!   clock is in its input: arrival times of the records and the time of the seal. A repeat gives the same bytes.
//! - Records of open traces stay in their segments; the carry is an index of them.
//! - Each input record is decided once: it landed, was merged into another's row, left out, recognised as a resend,
//!   or quarantined. [`account::Account`] says how many of each, for each prefix.
//!
//! `seam` is what goes in and comes out, `pass` a fold under way. `open` knows when a trace is due, `window` what is a
//! resend, `chain` how carries follow each other, `tombs` what is left of emitted traces, `assemble`
//! makes rows of the records of traces. What becomes of the rows is the outbox's.

pub mod account;
pub mod assemble;
pub mod chain;
mod keys;
pub mod open;
mod pass;
mod seam;
pub mod tombs;
pub mod window;

#[cfg(test)]
mod tests;

pub use seam::{Batch, Dead, Folded, HandOn, Incoming, Past, Segment, Settings};

use crate::event::Envelope;
use crate::event::Event;
use crate::event::carry::Carry;
use crate::event::carry::Chain;
use crate::event::carry::SegmentUse;
use crate::event::record::Head;
use crate::failpoint;
use crate::failpoint::Mutation;
use account::Fate;
use ahash::HashMap;
use ahash::HashSet;
use keys::own_key;
use keys::resend_key;
use keys::waits_as;
use open::Group;
use open::Open;
use open::OpenRecord;
use open::Place;
use open::SegmentId;
use open::TraceKey;
use pass::Pass;
use prost::Message as _;
use std::collections::BTreeMap;
use std::io;
use tombs::Tombs;
use window::Window;

/// A copy of open records pays off when less than this share of a segment is alive.
const MOSTLY_DEAD: u64 = 4;
/// A record counts as this many bytes at least: its row takes memory beside its texts.
const SMALLEST: u64 = 1 << 10;
/// Copies smaller than this are not copied again.
const SMALL_COPY: u64 = 1 << 20;

/// The fold's state between segments.
#[derive(Debug)]
pub struct Fold {
    settings: Settings,
    segment: u64,
    next_sequence: u64,
    now: u64,
    open: Open,
    window: Window,
    tombs: Tombs,
    /// Bytes of the segments that hold open records, or may.
    segments: BTreeMap<SegmentId, u64>,
    chains: BTreeMap<String, u64>,
}

impl Fold {
    /// The state before the first segment.
    pub fn new(settings: Settings) -> Self {
        let (window, tombs) = (Window::new(settings.window), Tombs::new(settings.tombs));
        Self {
            settings,
            segment: 0,
            next_sequence: 0,
            now: 0,
            open: Open::default(),
            window,
            tombs,
            segments: BTreeMap::new(),
            chains: BTreeMap::new(),
        }
    }

    /// The state after the segment whose carry this is.
    ///
    /// # Errors
    /// When the files that the carry points to cannot be read.
    pub fn restore(settings: Settings, carry: Carry, past: &dyn Past) -> io::Result<Self> {
        let window = Window::restore(settings.window, carry.window, past)?;
        let tombs = Tombs::restore(settings.tombs, carry.tombs, settings.patience.max_age, past)?;
        let segments = carry
            .segments
            .into_iter()
            .map(|used| (SegmentId { number: used.number, kept: used.kept }, used.bytes))
            .collect();
        let chains = carry.chains.into_iter().map(|chain| (chain.prefix, chain.segment)).collect();
        Ok(Self {
            settings,
            segment: carry.segment,
            next_sequence: carry.next_sequence,
            now: carry.now,
            open: Open::restore(carry.traces),
            window,
            tombs,
            segments,
            chains,
        })
    }

    /// About how many bytes a whole carry takes.
    pub fn carry_size(&self) -> usize {
        const RECORD: usize = 110;
        const PART: usize = 16;
        let parts = self.window.parts().len() + self.tombs.parts().len() + self.segments.len() + self.chains.len();
        self.open.records().count() * RECORD + parts * PART
    }

    /// The last segment that was folded, 0 before the first.
    pub fn segment(&self) -> u64 {
        self.segment
    }

    /// The number of the first record that is not folded.
    pub fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// Log time at which the next trace may be due.
    pub fn next_deadline(&self) -> Option<u64> {
        self.open.next_deadline(self.now, self.settings.patience)
    }

    /// Nanoseconds back to the oldest record whose resend would be recognised; 0 without records.
    pub fn reach(&self) -> u64 {
        self.window.since().map_or(0, |since| self.now.saturating_sub(since))
    }

    /// How many traces are open.
    pub fn open_traces(&self) -> usize {
        self.open.len()
    }

    /// How many records wait in open traces.
    pub fn open_records(&self) -> usize {
        self.open.records().count()
    }

    /// Log time of the first arrival of the oldest open trace.
    pub fn oldest(&self) -> Option<u64> {
        self.open.oldest()
    }

    /// Folds a segment. `hand_on` takes the rows that are more than [`Settings::rows`].
    ///
    /// # Errors
    /// When earlier bytes cannot be read, or rows not be handed on. The state is then unusable: restore it from the
    /// last carry.
    pub fn fold(&mut self, segment: &Segment<'_>, past: &dyn Past, hand_on: &mut HandOn<'_>) -> io::Result<Folded> {
        self.segment = segment.number;
        self.now = self.now.max(segment.now);
        let mut pass = Pass {
            segment,
            past,
            hand_on,
            most: self.settings.rows,
            held: 0,
            batches: BTreeMap::new(),
            envelopes: HashMap::default(),
            loose: Vec::new(),
        };
        for (key, _) in self.open.records() {
            pass.batch(&key.prefix).account.carry_in();
        }
        self.window.expire(self.now);
        let keys = self.take_in(&mut pass)?;
        let loose = std::mem::take(&mut pass.loose);
        if !loose.is_empty() {
            pass.emit(&loose, &[], &self.settings.assemble)?;
        }
        for group in self.open.take_due(self.now, self.settings.patience, segment.close) {
            self.emit(&mut pass, group)?;
        }
        self.relieve(&mut pass)?;
        let copies = self.mostly_dead();
        let window = window::encode_keys(keys.clone());
        self.window.push(segment.number, self.now, &keys);
        self.window.expire(self.now);
        let tombs = self.tombs.finish(segment.number);
        self.tombs.expire(self.now);
        let batches = self.close_books(pass.batches);
        Ok(Folded { batches, window, tombs, copies, next_deadline: self.next_deadline(), waiting: self.open.waiting() })
    }

    /// The carry after the last fold. `copied` are the new places of its `copies`, in their order, and the size of
    /// the kept segment. It is whole, or the change of the one before that `base` names. Also gives the segments that
    /// hold nothing open any more: they may be deleted once the entry with this carry is in place.
    pub fn carry(
        &mut self,
        copied: &[Place],
        kept_bytes: u64,
        old: &[Place],
        base: Option<u64>,
    ) -> (Carry, Vec<SegmentId>) {
        let moved: HashMap<(SegmentId, u64), Place> =
            old.iter().zip(copied).map(|(from, to)| ((from.segment, from.offset), *to)).collect();
        for record in self.open.records_mut() {
            if let Some(place) = moved.get(&(record.place.segment, record.place.offset)) {
                record.place = *place;
            }
        }
        if !copied.is_empty() {
            self.segments.insert(SegmentId { number: self.segment, kept: true }, kept_bytes);
        }
        let used: HashSet<SegmentId> = self.open.records().map(|(_, record)| record.place.segment).collect();
        let unused: Vec<SegmentId> = self.segments.keys().filter(|id| !used.contains(id)).copied().collect();
        self.segments.retain(|id, _| used.contains(id));
        let segments =
            self.segments.iter().map(|(id, bytes)| SegmentUse { number: id.number, kept: id.kept, bytes: *bytes });
        let chains = self.chains.iter().map(|(prefix, segment)| Chain { prefix: prefix.clone(), segment: *segment });
        let mut carry = Carry {
            segment: self.segment,
            next_sequence: self.next_sequence,
            now: self.now,
            segments: segments.collect(),
            window: self.window.parts(),
            tombs: self.tombs.parts(),
            chains: chains.collect(),
            ..Carry::default()
        };
        match base {
            None => carry.traces = self.open.to_carry(),
            Some(base) => {
                let new: HashSet<(SegmentId, u64)> = copied.iter().map(|to| (to.segment, to.offset)).collect();
                let is_moved = |place: Place| new.contains(&(place.segment, place.offset));
                (carry.closed, carry.traces) = self.open.to_change(is_moved);
                if failpoint::has(Mutation::NothingCloses) {
                    carry.closed.clear();
                }
                carry.base = base;
                carry.window_from = carry.window.first().map_or(self.segment + 1, |part| part.segment);
                carry.tombs_from = carry.tombs.first().map_or(self.segment + 1, |part| part.segment);
                carry.segments.retain(|used| used.number > base);
                carry.window.retain(|part| part.segment > base);
                carry.tombs.retain(|part| part.segment > base);
                carry.chains.retain(|chain| chain.segment > base);
            }
        }
        (carry, unused)
    }

    /// Tombstone files that open traces point to.
    pub fn open_tombs(&self) -> impl Iterator<Item = u64> {
        self.open.tombs()
    }

    /// Says that a segment may hold open records.
    pub fn hold(&mut self, segment: SegmentId, bytes: u64) {
        self.segments.insert(segment, bytes);
    }

    /// Takes up a record that is open although the carry that knew it is lost; to be called in order of arrival.
    /// `false` for one that waits for nothing.
    ///
    /// # Errors
    /// Invalid data where it cannot be read.
    pub fn adopt(&mut self, segment: SegmentId, incoming: &Incoming<'_>, clashes: bool) -> io::Result<bool> {
        let envelope = Envelope::decode(incoming.envelope).map_err(invalid)?;
        let head = Head::read(incoming.bytes).map_err(invalid)?;
        let Some(id) = waits_as(&envelope, &head) else { return Ok(false) };
        let resend_key = resend_key(&envelope, &head);
        let mut record =
            OpenRecord::new(incoming.place(segment), incoming.sequence, incoming.arrival, resend_key, &head);
        record.clashes = clashes;
        let key = TraceKey { prefix: envelope.prefix.unwrap_or_default(), tenant: envelope.tenant, id };
        let before = if self.open.has(&key) { None } else { self.tombs.find(&key, self.now) };
        self.open.insert(key, record, || before);
        Ok(true)
    }

    /// Indexes the segment's records, but for resends, dead ones and those that wait for nothing. Gives the keys of
    /// all that are new.
    fn take_in(&mut self, pass: &mut Pass<'_>) -> io::Result<Vec<u128>> {
        let segment = pass.segment;
        let mut keys = Vec::with_capacity(segment.records.len());
        let mut seen = HashSet::with_capacity_and_hasher(segment.records.len(), ahash::RandomState::new());
        let this = SegmentId { number: segment.number, kept: false };
        self.segments.insert(this, segment.bytes);
        for incoming in &segment.records {
            let number = incoming.sequence;
            let envelope = pass.envelope(this, incoming.envelope_at)?;
            let prefix = envelope.prefix.clone().unwrap_or_default();
            pass.batch(&prefix).account.receive();
            let head = match Head::read(incoming.bytes) {
                Ok(head) => head,
                Err(error) => {
                    let dead = Dead::of(&envelope, error.to_string(), String::new());
                    pass.batch(&prefix).dead.push(dead);
                    pass.batch(&prefix).account.decide(number, Fate::Quarantined);
                    continue;
                }
            };
            let resend_key = resend_key(&envelope, &head);
            if !seen.insert(resend_key)
                || self.open.contains(resend_key)
                || (!failpoint::has(Mutation::NoWindow) && self.window.contains(resend_key, pass.past)?)
            {
                pass.batch(&prefix).account.decide(number, Fate::Deduplicated);
                continue;
            }
            keys.push(resend_key);
            let mut clashes = false;
            if let Some(own) = own_key(&envelope, &head) {
                clashes = seen.contains(&own) || self.window.contains(own, pass.past)?;
                if !clashes {
                    seen.insert(own);
                    keys.push(own);
                }
            }
            let mut record = OpenRecord::new(incoming.place(this), number, incoming.arrival, resend_key, &head);
            record.clashes = clashes;
            match waits_as(&envelope, &head) {
                Some(id) => {
                    let key = TraceKey { tenant: envelope.tenant.clone(), prefix, id };
                    let reopened = || self.tombs.find(&key, self.now);
                    let before = if self.open.has(&key) { None } else { reopened() };
                    self.open.insert(key, record, || before);
                }
                None => pass.loose.push(record),
            }
        }
        self.next_sequence = segment.next_sequence;
        Ok(keys)
    }

    fn emit(&mut self, pass: &mut Pass<'_>, group: Group) -> io::Result<()> {
        let max_age = self.settings.patience.max_age;
        let mut records = Vec::new();
        let mut traces = Vec::new();
        for (key, trace, closed) in group {
            let mut earlier = Vec::new();
            for place in &trace.tombs {
                earlier.push(tomb_facts(pass.past, *place)?);
            }
            records.extend_from_slice(&trace.records);
            traces.push((key, trace, closed, earlier));
        }
        let told: Vec<assemble::Trace<'_>> = traces
            .iter()
            .map(|(key, _, closed, earlier)| assemble::Trace {
                tenant: &key.tenant,
                prefix: &key.prefix,
                id: key.id,
                closed: closed.map(open::Closed::as_str),
                earlier,
            })
            .collect();
        let facts = pass.emit(&records, &told, &self.settings.assemble)?;
        for ((key, trace, ..), facts) in traces.iter().zip(facts) {
            self.tombs.set(pass.segment.number, key, trace.has_root(), trace.last, max_age, facts);
        }
        Ok(())
    }

    /// Closes the oldest traces while what they hold is more than there is room for.
    fn relieve(&mut self, pass: &mut Pass<'_>) -> io::Result<()> {
        loop {
            let used: HashSet<SegmentId> = self.open.records().map(|(_, record)| record.place.segment).collect();
            let held: u64 = used.iter().filter_map(|id| self.segments.get(id)).sum();
            if held <= self.settings.held && self.open.memory() <= self.settings.memory {
                return Ok(());
            }
            match self.open.take_oldest() {
                Some(group) => self.emit(pass, group)?,
                None => return Ok(()),
            }
        }
    }

    /// Records that are to be copied, because little else of their segment is alive.
    fn mostly_dead(&self) -> Vec<Place> {
        let mut alive: BTreeMap<SegmentId, (u64, Vec<Place>)> = BTreeMap::new();
        for (_, record) in self.open.records() {
            let (bytes, places) = alive.entry(record.place.segment).or_default();
            *bytes += u64::from(record.place.length);
            places.push(record.place);
        }
        let mut copies = Vec::new();
        for (id, (bytes, mut places)) in alive {
            let size = self.segments.get(&id).copied().unwrap_or(0);
            let is_worth_it = !id.kept || size > SMALL_COPY;
            if is_worth_it && bytes.saturating_mul(MOSTLY_DEAD) < size {
                places.sort_by_key(|place| place.offset);
                copies.append(&mut places);
            }
        }
        copies
    }

    fn close_books(&mut self, mut batches: BTreeMap<String, Batch>) -> BTreeMap<String, Batch> {
        for (key, _) in self.open.records() {
            if let Some(batch) = batches.get_mut(&key.prefix) {
                batch.account.carried_out += 1;
            }
        }
        batches.retain(|_, batch| batch.account.has_decisions());
        for (prefix, batch) in &mut batches {
            sort(&mut batch.rows);
            batch.previous = self.chains.insert(prefix.clone(), self.segment);
        }
        batches
    }
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

fn sort(rows: &mut [Box<Event>]) {
    rows.sort_by(|a, b| order(a).cmp(&order(b)));
}

/// The order of rows in the lake: a conversation's rows repeat each other, so they stand together.
pub fn order(event: &Event) -> (&str, i64, &str) {
    (&event.conversation_id, event.timestamp, &event.event_id)
}

fn tomb_facts(past: &dyn Past, place: crate::event::carry::TombPlace) -> io::Result<Vec<u8>> {
    let bytes = past.tombs(place.segment)?;
    if bytes.is_empty() {
        // Lost to damage: late records are then read by themselves.
        return Ok(Vec::new());
    }
    let offset = usize::try_from(place.offset).unwrap_or(usize::MAX);
    let mut rest = bytes.get(offset..).ok_or_else(|| io::Error::other("tombstone is beyond its file"))?;
    let tomb = crate::event::carry::Tomb::decode_length_delimited(&mut rest).map_err(io::Error::other)?;
    Ok(tomb.facts)
}
