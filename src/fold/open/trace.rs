//! What the index knows of a trace and its records: ids, times and places, never content.

use crate::event::Kind;
use crate::event::carry;
use crate::event::record::Head;
use ahash::HashSet;

/// Who a record belongs to and what it is grouped under.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceKey {
    /// Bound from the credential.
    pub tenant: String,
    /// Prefix in the store, bound from the credential.
    pub prefix: String,
    /// The trace id, or a hash of what posted events wait for.
    pub id: [u8; 16],
}

/// A segment: one of the log, or the copy of open records that the fold of that segment made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentId {
    /// Its number, or the number of the segment whose fold made the copy.
    pub number: u64,
    /// Whether it is such a copy.
    pub kept: bool,
}

/// Where a record stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub segment: SegmentId,
    /// Offset of the envelope that it came with.
    pub envelope: u64,
    /// Offset of the record.
    pub offset: u64,
    /// Bytes of the record.
    pub length: u32,
}

/// A record of an open trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenRecord {
    /// Where its content stands.
    pub place: Place,
    /// Its number among all input records of this writer.
    pub sequence: u64,
    /// Log time.
    pub arrival: u64,
    /// Its key in the resend window.
    pub resend_key: u128,
    pub(super) kind: Kind,
    pub(super) span: Option<[u8; 8]>,
    pub(super) parent: Option<[u8; 8]>,
    pub(super) parent_is_remote: bool,
    pub(super) response: u64,
    pub(super) start_ns: u64,
    pub(super) end_ns: u64,
    pub(super) own: u64,
    pub(super) waits_for: u64,
    pub(super) is_call: bool,
    /// Whether another record has come under the source's own id.
    pub clashes: bool,
}

impl OpenRecord {
    /// What the index keeps of a record.
    pub fn new(place: Place, sequence: u64, arrival: u64, resend_key: u128, head: &Head) -> Self {
        let shared = head.shared();
        Self {
            place,
            sequence,
            arrival,
            resend_key,
            kind: head.kind,
            span: head.span,
            parent: head.parent,
            parent_is_remote: head.parent_is_remote,
            response: if head.is_call { head.response } else { 0 },
            start_ns: head.start_ns,
            end_ns: head.end_ns,
            own: if shared == 0 { head.own } else { shared },
            waits_for: if shared == 0 { head.waits_for } else { shared },
            is_call: head.is_call,
            clashes: false,
        }
    }

    /// Whether it is a log record without a trace that waits for the span of what it tells.
    pub(super) fn is_loose(&self) -> bool {
        self.kind == Kind::Log && self.own != 0
    }

    pub(super) fn overlaps(&self, other: &Self) -> bool {
        self.start_ns <= other.end_ns && other.start_ns <= self.end_ns
    }
}

/// An open trace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpenTrace {
    /// Its records in order of arrival.
    pub records: Vec<OpenRecord>,
    /// Log time of the first arrival of this assembly.
    pub opened: u64,
    /// Log time of the last arrival.
    pub last: u64,
    /// Whether its root came in an earlier assembly.
    pub root_came: bool,
    /// Tombstones of earlier assemblies.
    pub tombs: Vec<carry::TombPlace>,
    /// Log time of the arrival that finished it.
    pub(super) finished: Option<u64>,
    /// How many of its records the last carry knows.
    pub(super) carried: usize,
}

impl OpenTrace {
    /// Whether a root is among its records, or came before.
    pub fn has_root(&self) -> bool {
        self.root_came || self.spans().any(|span| span.parent.is_none())
    }

    /// Whether it holds log records without a trace: such never stand with others.
    pub(super) fn is_of_loose(&self) -> bool {
        self.records.first().is_some_and(OpenRecord::is_loose)
    }

    pub(super) fn spans(&self) -> impl Iterator<Item = &OpenRecord> {
        self.records.iter().filter(|record| record.kind == Kind::Span && record.span.is_some())
    }

    /// When it became finished: its root has ended, or all whose parent is not here were called from elsewhere.
    pub(super) fn finished_at(&self) -> Option<u64> {
        if self.root_came {
            return Some(self.opened);
        }
        if let Some(root) = self.spans().filter(|span| span.parent.is_none()).map(|span| span.arrival).min() {
            return Some(root);
        }
        if self.is_of_loose() {
            return Some(self.opened);
        }
        if self.records.iter().any(|record| record.kind == Kind::Posted) {
            return self.answered_at();
        }
        let here: HashSet<_> = self.spans().filter_map(|span| span.span).collect();
        let is_missing = |span: &OpenRecord| span.parent.is_some_and(|parent| !here.contains(&parent));
        let is_called = self.spans().filter(|span| is_missing(span)).all(|span| span.parent_is_remote);
        if here.is_empty() || !is_called {
            return None;
        }
        self.spans().map(|span| span.arrival).max()
    }

    /// When a posted answer and what it waited for were both here. Chunks are no answer.
    fn answered_at(&self) -> Option<u64> {
        let is_awaited = |record: &&OpenRecord| record.own == record.waits_for;
        let awaited = self.records.iter().filter(is_awaited).map(|record| record.arrival).min();
        let answers = self.records.iter().filter(|record| record.is_call && !is_awaited(record));
        Some(awaited?.max(answers.map(|record| record.arrival).min()?))
    }
}
