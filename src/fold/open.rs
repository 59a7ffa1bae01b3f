//! The index of open traces: where their records stand, and when each may be emitted.
//!
//! Everything grouped here is grouped by tenant and prefix first. An entry knows ids, times and places of its records,
//! never their content.

mod carried;
mod patience;
mod times;
mod trace;

pub use patience::Close;
pub use patience::Closed;
pub use patience::Patience;
pub(super) use times::earliest_end;
pub(super) use times::may_tell;
pub use trace::OpenRecord;
pub use trace::OpenTrace;
pub use trace::Place;
pub use trace::SegmentId;
pub use trace::TraceKey;

use crate::event::Kind;
use crate::event::carry;
use ahash::HashMap;
use ahash::HashSet;
use carried::from_carry;
use carried::to_carry;
use patience::ends;
use patience::is_due;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

/// Bytes of memory that one record of the index stands for, with its share of the maps.
const RECORD_MEMORY: usize = 192;
const TRACE_MEMORY: usize = 256;

/// How many spans that say the same as a log record are weighed against it.
const WEIGHED: usize = 4;

/// A set of traces that are emitted together, each with the reason if it was not finished.
pub type Group = Vec<(TraceKey, OpenTrace, Option<Closed>)>;

/// All open traces.
#[derive(Debug, Default)]
pub struct Open {
    traces: BTreeMap<TraceKey, OpenTrace>,
    keys: HashSet<u128>,
    records: usize,
    /// Traces that the last carry knows and that are open no more.
    closed: Vec<TraceKey>,
}

impl Open {
    /// The index as the carry holds it.
    pub fn restore(traces: Vec<carry::OpenTrace>) -> Self {
        let mut open = Self::default();
        for trace in traces {
            let (key, mut trace) = from_carry(trace);
            trace.finished = trace.finished_at();
            trace.carried = trace.records.len();
            open.records += trace.records.len();
            open.keys.extend(trace.records.iter().map(|record| record.resend_key));
            open.traces.insert(key, trace);
        }
        open
    }

    /// The index for a carry that is whole.
    pub fn to_carry(&mut self) -> Vec<carry::OpenTrace> {
        self.closed.clear();
        let traces = self.traces.iter_mut();
        traces
            .map(|(key, trace)| {
                trace.carried = trace.records.len();
                to_carry(key, trace, 0, Vec::new())
            })
            .collect()
    }

    /// What the last carry does not know: traces that are open no more; new records, and those of which `is_moved`
    /// says that they stand elsewhere now.
    pub fn to_change(&mut self, is_moved: impl Fn(Place) -> bool) -> (Vec<carry::TraceName>, Vec<carry::OpenTrace>) {
        let mut changed = Vec::new();
        for (key, trace) in &mut self.traces {
            let known = trace.records.iter().take(trace.carried).enumerate();
            let moved = known.filter(|(_, record)| is_moved(record.place)).map(|(at, record)| carry::Move {
                record: u32::try_from(at).unwrap_or(u32::MAX),
                segment: record.place.segment.number,
                kept: record.place.segment.kept,
                envelope: record.place.envelope,
                offset: record.place.offset,
            });
            let moved: Vec<carry::Move> = moved.collect();
            if trace.carried < trace.records.len() || !moved.is_empty() {
                changed.push(to_carry(key, trace, trace.carried, moved));
                trace.carried = trace.records.len();
            }
        }
        let closed = std::mem::take(&mut self.closed).into_iter().map(|key| carry::TraceName {
            tenant: key.tenant,
            prefix: key.prefix,
            key: key.id.to_vec(),
        });
        (closed.collect(), changed)
    }

    /// Number of open traces.
    pub fn len(&self) -> usize {
        self.traces.len()
    }

    /// Whether no trace is open.
    pub fn is_empty(&self) -> bool {
        self.traces.is_empty()
    }

    /// Bytes of memory that the index stands for.
    pub fn memory(&self) -> usize {
        self.records * RECORD_MEMORY + self.traces.len() * TRACE_MEMORY
    }

    /// Whether an open trace holds a record of this key.
    pub fn contains(&self, resend_key: u128) -> bool {
        self.keys.contains(&resend_key)
    }

    /// Whether the trace is open.
    pub fn has(&self, key: &TraceKey) -> bool {
        self.traces.contains_key(key)
    }

    /// Takes in a record; `reopened` is what tombstones know of the trace when this is its first.
    pub fn insert(&mut self, key: TraceKey, record: OpenRecord, reopened: impl FnOnce() -> Option<Reopened>) {
        let trace = self.traces.entry(key).or_insert_with(|| {
            let before = reopened();
            OpenTrace {
                opened: record.arrival,
                root_came: before.as_ref().is_some_and(|before| before.root_came),
                tombs: before.map(|before| vec![before.place]).unwrap_or_default(),
                ..OpenTrace::default()
            }
        });
        trace.last = trace.last.max(record.arrival);
        trace.records.push(record);
        self.keys.insert(record.resend_key);
        self.records += 1;
    }

    /// All records of all open traces.
    pub fn records(&self) -> impl Iterator<Item = (&TraceKey, &OpenRecord)> {
        self.traces.iter().flat_map(|(key, trace)| trace.records.iter().map(move |record| (key, record)))
    }

    /// All records, to give them new places.
    pub fn records_mut(&mut self) -> impl Iterator<Item = &mut OpenRecord> {
        self.traces.values_mut().flat_map(|trace| trace.records.iter_mut())
    }

    /// Files of tombstones that traces here point to.
    pub fn tombs(&self) -> impl Iterator<Item = u64> {
        self.traces.values().flat_map(|trace| trace.tombs.iter().map(|place| place.segment))
    }

    /// Log times of the first arrival of the oldest trace.
    pub fn oldest(&self) -> Option<u64> {
        self.traces.values().map(|trace| trace.opened).min()
    }

    /// Numbers of traces that wait for something, by what they wait for.
    pub fn waiting(&self) -> Waiting {
        let mut waiting = Waiting::default();
        for trace in self.traces.values() {
            match trace.finished {
                Some(_) => waiting.linger += 1,
                None if trace.spans().next().is_none() => waiting.span += 1,
                None => waiting.root += 1,
            }
        }
        waiting
    }

    /// Removes and gives the traces that are due, grouped with those that tell the same calls.
    pub fn take_due(&mut self, now: u64, patience: Patience, close: Close) -> Vec<Group> {
        let mut due: BTreeMap<TraceKey, Option<Closed>> = BTreeMap::new();
        for (key, trace) in &mut self.traces {
            trace.finished = trace.finished_at();
            if let Some(reason) = is_due(trace, now, patience, close) {
                due.insert(key.clone(), reason);
            }
        }
        if due.is_empty() {
            return Vec::new();
        }
        let twins = self.twins();
        if close != Close::End {
            self.postpone(&mut due, &twins, now, patience);
        }
        self.take(&due, &twins)
    }

    /// Removes and gives the oldest trace, because there is no room for it.
    pub fn take_oldest(&mut self) -> Option<Group> {
        let key = self.traces.iter().min_by_key(|(_, trace)| trace.opened)?.0.clone();
        let trace = self.remove(&key)?;
        Some(vec![(key, trace, Some(Closed::Cap))])
    }

    /// The next log time at which a trace may be due.
    pub fn next_deadline(&self, now: u64, patience: Patience) -> Option<u64> {
        let deadlines = self.traces.values().map(|trace| {
            let patience_ends = ends(trace, patience);
            match trace.finished.map(|at| at.saturating_add(patience.linger)) {
                Some(at) if at > now => at.min(patience_ends),
                _ => patience_ends,
            }
        });
        deadlines.min().filter(|deadline| *deadline != u64::MAX)
    }

    /// Pairs of traces that tell one call: same response, intervals that overlap; and log records without a trace
    /// with the traces of the spans that tell the same.
    fn twins(&self) -> Vec<(TraceKey, TraceKey)> {
        type Told<'a> = Vec<(&'a TraceKey, &'a OpenRecord)>;
        let mut calls: HashMap<(&str, &str, u64), Told<'_>> = HashMap::default();
        for (key, record) in self.records().filter(|(_, record)| record.response != 0 && !record.is_loose()) {
            calls.entry((&key.tenant, &key.prefix, record.response)).or_default().push((key, record));
        }
        let mut twins = BTreeSet::new();
        for told in calls.into_values().filter(|told| told.len() > 1) {
            // A provider that repeats its ids must not make this quadratic: neighbours by time suffice.
            let mut told = told;
            told.sort_by_key(|(key, record)| (record.start_ns, *key));
            for pair in told.windows(2) {
                if let [(a, first), (b, second)] = pair
                    && a != b
                    && first.overlaps(second)
                {
                    twins.insert(((*a).clone(), (*b).clone()));
                }
            }
        }
        self.spans_of_loose(&mut twins);
        twins.into_iter().collect()
    }

    fn spans_of_loose(&self, twins: &mut BTreeSet<(TraceKey, TraceKey)>) {
        type Told<'a> = Vec<(u64, &'a TraceKey, &'a OpenRecord)>;
        let loose: Vec<_> = self.records().filter(|(_, record)| record.is_loose()).collect();
        if loose.is_empty() {
            return;
        }
        let mut spans: HashMap<(&str, &str, u64), Told<'_>> = HashMap::default();
        for (key, span) in self.records().filter(|(_, record)| record.kind == Kind::Span) {
            let ids = [span.waits_for, if span.response == span.waits_for { 0 } else { span.response }];
            for id in ids.into_iter().filter(|id| *id != 0) {
                spans.entry((&key.tenant, &key.prefix, id)).or_default().push((span.end_ns, key, span));
            }
        }
        spans.values_mut().for_each(|told| told.sort_by_key(|(end, key, _)| (*end, *key)));
        for (key, record) in loose {
            let told =
                spans.get(&(key.tenant.as_str(), key.prefix.as_str(), record.waits_for)).map_or(&[][..], Vec::as_slice);
            let first = told.partition_point(|(end, ..)| *end < earliest_end(record.start_ns));
            let near =
                told.iter().skip(first).filter(|(.., span)| may_tell(record.start_ns, span.start_ns, span.end_ns));
            twins.extend(near.take(WEIGHED).map(|(_, of_span, _)| ((*of_span).clone(), key.clone())));
        }
    }

    /// A finished trace waits for an open one that tells one of its calls, within its own patience.
    fn postpone(
        &self,
        due: &mut BTreeMap<TraceKey, Option<Closed>>,
        twins: &[(TraceKey, TraceKey)],
        now: u64,
        patience: Patience,
    ) {
        loop {
            let before = due.len();
            for (a, b) in twins.iter().flat_map(|(a, b)| [(a, b), (b, a)]) {
                let may_wait = self.traces.get(a).is_some_and(|trace| ends(trace, patience) > now);
                if may_wait && !due.contains_key(b) {
                    due.remove(a);
                }
            }
            if due.len() == before {
                return;
            }
        }
    }

    fn take(&mut self, due: &BTreeMap<TraceKey, Option<Closed>>, twins: &[(TraceKey, TraceKey)]) -> Vec<Group> {
        let mut groups: Vec<Group> = Vec::new();
        let mut group_of: HashMap<TraceKey, usize> = HashMap::default();
        let neighbours = {
            let mut map: HashMap<&TraceKey, Vec<&TraceKey>> = HashMap::default();
            for (a, b) in twins {
                map.entry(a).or_default().push(b);
                map.entry(b).or_default().push(a);
            }
            map
        };
        for start in due.keys() {
            if group_of.contains_key(start) {
                continue;
            }
            let mut group = Vec::new();
            let mut rest = vec![start];
            while let Some(key) = rest.pop() {
                if group_of.contains_key(key) || !due.contains_key(key) {
                    continue;
                }
                group_of.insert(key.clone(), groups.len());
                rest.extend(neighbours.get(key).into_iter().flatten());
                if let Some(trace) = self.remove(key) {
                    group.push((key.clone(), trace, due.get(key).copied().flatten()));
                }
            }
            groups.push(group);
        }
        groups
    }

    fn remove(&mut self, key: &TraceKey) -> Option<OpenTrace> {
        let trace = self.traces.remove(key)?;
        self.records -= trace.records.len();
        if trace.carried > 0 {
            self.closed.push(key.clone());
        }
        for record in &trace.records {
            self.keys.remove(&record.resend_key);
        }
        Some(trace)
    }
}

/// What a tombstone tells of a trace that opens again.
#[derive(Debug, Clone, Copy)]
pub struct Reopened {
    /// Whether its root came.
    pub root_came: bool,
    /// Where the tombstone stands.
    pub place: carry::TombPlace,
}

/// How many open traces wait for what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Finished, waiting for stragglers.
    pub linger: usize,
    /// For their root span.
    pub root: usize,
    /// For the span of their log records.
    pub span: usize,
}
