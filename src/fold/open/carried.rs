//! Open traces as the carry holds them.

use super::OpenRecord;
use super::OpenTrace;
use super::Place;
use super::SegmentId;
use super::TraceKey;
use crate::event::Kind;
use crate::event::carry;

/// A trace with the records after those that are `known`, and new places of those.
pub(super) fn to_carry(key: &TraceKey, trace: &OpenTrace, known: usize, moved: Vec<carry::Move>) -> carry::OpenTrace {
    let id = |id: Option<[u8; 8]>| id.map(|id| id.to_vec()).unwrap_or_default();
    let records = trace.records.iter().skip(known).map(|record| carry::OpenRecord {
        segment: record.place.segment.number,
        kept: record.place.segment.kept,
        envelope: record.place.envelope,
        offset: record.place.offset,
        length: record.place.length,
        sequence: record.sequence,
        arrival: record.arrival,
        resend_key: record.resend_key.to_le_bytes().to_vec(),
        kind: u32::try_from(i32::from(record.kind)).unwrap_or(0),
        span: id(record.span),
        parent: id(record.parent),
        parent_is_remote: record.parent_is_remote,
        response: record.response,
        start_ns: if record.response | record.waits_for == 0 { 0 } else { record.start_ns },
        end_ns: if record.response | record.waits_for == 0 { 0 } else { record.end_ns },
        own: record.own,
        waits_for: record.waits_for,
        is_call: record.is_call,
        clashes: record.clashes,
    });
    carry::OpenTrace {
        tenant: key.tenant.clone(),
        prefix: key.prefix.clone(),
        key: key.id.to_vec(),
        opened: trace.opened,
        last: trace.last,
        root_came: trace.root_came,
        tombs: trace.tombs.clone(),
        records: records.collect(),
        moved,
    }
}

/// A trace of a carry; when it was finished is not in it.
pub(super) fn from_carry(trace: carry::OpenTrace) -> (TraceKey, OpenTrace) {
    let records = trace.records.into_iter().map(|record| OpenRecord {
        place: Place {
            segment: SegmentId { number: record.segment, kept: record.kept },
            envelope: record.envelope,
            offset: record.offset,
            length: record.length,
        },
        sequence: record.sequence,
        arrival: record.arrival,
        resend_key: record.resend_key.first_chunk().map_or(0, |key| u128::from_le_bytes(*key)),
        kind: i32::try_from(record.kind).ok().and_then(|kind| Kind::try_from(kind).ok()).unwrap_or(Kind::Span),
        span: record.span.first_chunk().copied(),
        parent: record.parent.first_chunk().copied(),
        parent_is_remote: record.parent_is_remote,
        response: record.response,
        start_ns: record.start_ns,
        end_ns: record.end_ns,
        own: record.own,
        waits_for: record.waits_for,
        is_call: record.is_call,
        clashes: record.clashes,
    });
    let key = TraceKey {
        tenant: trace.tenant,
        prefix: trace.prefix,
        id: trace.key.first_chunk().copied().unwrap_or_default(),
    };
    let open = OpenTrace {
        records: records.collect(),
        opened: trace.opened,
        last: trace.last,
        root_came: trace.root_came,
        tombs: trace.tombs,
        finished: None,
        carried: 0,
    };
    (key, open)
}
