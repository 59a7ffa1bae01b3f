//! The ids that modelstat's clients derive, so that what lacks one gets the one its client would have given.

/// The first 32 hex digits of BLAKE3 over the parts, joined by the byte `0x1F`.
pub fn content_hash(parts: &[&str]) -> String {
    let mut hasher = blake3::Hasher::new();
    for (place, part) in parts.iter().enumerate() {
        if place > 0 {
            hasher.update(&[0x1f]);
        }
        hasher.update(part.as_bytes());
    }
    let mut hex = hasher.finalize().to_hex().to_string();
    hex.truncate(32);
    hex
}

/// The id of the call that a device counted as the `sequence`-th of its process.
pub fn source_event_id(device: &str, session: &str, start_ms: i64, sequence: u64) -> String {
    format!("evt_{}", content_hash(&[device, &format!("{session}::{start_ms}::{sequence}")]))
}

/// The id of a batch of events, whatever their order.
pub fn batch_id(source_event_ids: &[&str]) -> String {
    let mut sorted = source_event_ids.to_vec();
    sorted.sort_unstable();
    format!("batch_{}", content_hash(&sorted))
}

/// The id of an event's tool call.
pub fn external_call_id(source_event_id: &str, index: u64) -> String {
    let mut hash = content_hash(&[source_event_id, &index.to_string()]);
    hash.truncate(16);
    format!("tc_{hash}")
}
