//! The doors: bytes to requests, requests to redacted records, an answer after the log has synced.

pub mod otlp_json;

/// Bytes of decoded structs that one request may cost, apart from its texts.
const MAX_STRUCTS: usize = 256 << 20;
