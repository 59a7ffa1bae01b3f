//! Redaction: the only maker of [`Redacted`], the only thing that the write-ahead log takes.

use bytes::Bytes;

/// Records of one resource and scope of one request, redacted and encoded, ready for the write-ahead log.
#[derive(Debug, Clone)]
pub struct Redacted {
    envelope: Bytes,
    records: Vec<Bytes>,
}

impl Redacted {
    /// The encoded [`crate::event::Envelope`].
    pub fn envelope(&self) -> &Bytes {
        &self.envelope
    }

    /// The encoded records: see [`crate::event::record`] for their bytes.
    pub fn records(&self) -> &[Bytes] {
        &self.records
    }

    /// Bytes that the log will take, without its framing.
    pub fn size(&self) -> usize {
        self.envelope.len() + self.records.iter().map(Bytes::len).sum::<usize>()
    }
}
