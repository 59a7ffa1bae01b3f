//! What records are known by: keys of the resend window, and whom a record without a trace waits for.

use crate::event::Entry;
use crate::event::Envelope;
use crate::event::Kind;
use crate::event::record::Head;
use crate::event::record::Record;
use xxhash_rust::xxh3::Xxh3;

pub(super) fn resend_key(envelope: &Envelope, head: &Head) -> u128 {
    let mut hasher = Xxh3::new();
    for text in [&envelope.tenant, &envelope.door] {
        hasher.update(&u64::try_from(text.len()).unwrap_or(u64::MAX).to_le_bytes());
        hasher.update(text.as_bytes());
    }
    hasher.update(&head.trace.unwrap_or_default());
    hasher.update(&head.span.unwrap_or_default());
    hasher.update(&head.own.to_le_bytes());
    hasher.update(&head.content.to_le_bytes());
    hasher.digest128()
}

/// The key in the resend window of a posted event's own id alone: another body under it is another event.
pub(super) fn own_key(envelope: &Envelope, head: &Head) -> Option<u128> {
    let is_own = head.kind == Kind::Posted && head.own != 0;
    is_own.then(|| resend_key(envelope, &Head { content: 0, ..*head }))
}

/// Says in a record that its id is another one's too, and tells the two apart.
pub(super) fn mark_clash(record: &mut Record) {
    let row = record.partial.row.get_or_insert_default();
    row.event_id.push_str(&format!(":{:08x}", record.head.content >> 96));
    record.partial.details.push(Entry { key: "dedupe".to_owned(), json: "\"id_conflict\"".to_owned() });
}

/// What a record is grouped under while it waits; `None` for one that waits for nothing.
pub(super) fn waits_as(envelope: &Envelope, head: &Head) -> Option<[u8; 16]> {
    let waits_for = if head.kind == Kind::Log { head.shared() } else { head.waits_for };
    head.trace.or_else(|| (waits_for != 0).then(|| awaited(envelope, waits_for)))
}

/// The group of posted events that wait for one another, or of log records that a span may tell too.
pub(super) fn awaited(envelope: &Envelope, waits_for: u64) -> [u8; 16] {
    let mut hasher = Xxh3::new();
    hasher.update(envelope.door.as_bytes());
    hasher.update(&waits_for.to_le_bytes());
    hasher.digest128().to_le_bytes()
}
