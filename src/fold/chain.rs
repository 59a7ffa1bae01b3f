//! The carry as a whole, from what was once written whole and what later folds changed of it.
//!
//! A trace may stay open over hundreds of folds. Written whole each time, its index would be written hundreds of times;
//! so most folds write only their change, and one writes the whole again when the changes since have become as large.

use crate::event::carry::Carry;
use crate::event::carry::OpenTrace;
use ahash::HashSet;
use std::collections::BTreeMap;
use std::io;

/// Changes after which a whole carry is written, however small they are: a start reads all of them.
const LINKS: usize = 256;

/// What has been written since the last whole carry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Links {
    /// The entry that has the whole carry; 0 before the first.
    pub whole: u64,
    /// How many changes stand behind it.
    pub count: usize,
    /// Their bytes.
    pub bytes: usize,
}

impl Links {
    /// Whether the next carry is to be whole, which would take about so many bytes.
    pub fn is_over(&self, bytes: usize) -> bool {
        self.whole == 0 || self.count >= LINKS || self.bytes >= bytes
    }

    /// Notes what was written beside an entry.
    pub fn add(&mut self, carry: &Carry, bytes: usize) {
        if carry.base == 0 {
            *self = Self { whole: carry.segment, count: 0, bytes: 0 };
        } else {
            self.count += 1;
            self.bytes += bytes;
        }
    }
}

type Name = (String, String, Vec<u8>);

/// A carry that changes are applied to.
#[derive(Debug)]
pub struct Chain {
    carry: Carry,
    traces: BTreeMap<Name, OpenTrace>,
}

impl Chain {
    /// Begins with a whole carry.
    ///
    /// # Errors
    /// Invalid data where it is only a change.
    pub fn new(mut carry: Carry) -> io::Result<Self> {
        if carry.base != 0 {
            return Err(invalid("a change of a carry stands where a whole one should"));
        }
        let traces = std::mem::take(&mut carry.traces).into_iter().map(|trace| (name(&trace), trace)).collect();
        Ok(Self { carry, traces })
    }

    /// Applies the change that the next fold made.
    ///
    /// # Errors
    /// Invalid data where it is no change of this. It is then as it was.
    pub fn change(&mut self, change: Carry) -> io::Result<()> {
        let known = |trace: &OpenTrace| self.traces.get(&name(trace)).map_or(0, |trace| trace.records.len());
        let is_ours = change.base == self.carry.segment && change.base != 0;
        let fits = |trace: &OpenTrace| {
            trace.moved.iter().all(|moved| usize::try_from(moved.record).is_ok_and(|at| at < known(trace)))
        };
        if !is_ours || !change.traces.iter().all(fits) {
            return Err(invalid("a change of a carry belongs to another one"));
        }
        for gone in change.closed {
            self.traces.remove(&(gone.tenant, gone.prefix, gone.key));
        }
        for mut trace in change.traces {
            let moved = std::mem::take(&mut trace.moved);
            let Some(known) = self.traces.get_mut(&name(&trace)) else {
                self.traces.insert(name(&trace), trace);
                continue;
            };
            for moved in moved {
                if let Some(record) = usize::try_from(moved.record).ok().and_then(|at| known.records.get_mut(at)) {
                    record.segment = moved.segment;
                    record.kept = moved.kept;
                    record.envelope = moved.envelope;
                    record.offset = moved.offset;
                }
            }
            known.last = trace.last;
            known.records.append(&mut trace.records);
        }
        let carry = &mut self.carry;
        (carry.segment, carry.next_sequence, carry.now) = (change.segment, change.next_sequence, change.now);
        carry.segments.extend(change.segments);
        carry.window.extend(change.window);
        carry.window.retain(|part| part.segment >= change.window_from);
        carry.tombs.extend(change.tombs);
        carry.tombs.retain(|part| part.segment >= change.tombs_from);
        let changed: HashSet<String> = change.chains.iter().map(|chain| chain.prefix.clone()).collect();
        carry.chains.retain(|chain| !changed.contains(&chain.prefix));
        carry.chains.extend(change.chains);
        carry.chains.sort_by(|a, b| a.prefix.cmp(&b.prefix));
        Ok(())
    }

    /// The segment that it has come to.
    pub fn segment(&self) -> u64 {
        self.carry.segment
    }

    /// The carry as the last fold would have written it whole.
    pub fn finish(mut self) -> Carry {
        self.carry.traces = self.traces.into_values().collect();
        let records = self.carry.traces.iter().flat_map(|trace| &trace.records);
        let used: HashSet<(u64, bool)> = records.map(|record| (record.segment, record.kept)).collect();
        self.carry.segments.retain(|segment| used.contains(&(segment.number, segment.kept)));
        self.carry
    }
}

fn name(trace: &OpenTrace) -> Name {
    (trace.tenant.clone(), trace.prefix.clone(), trace.key.clone())
}

fn invalid(error: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
