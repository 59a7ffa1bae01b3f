//! Redaction: the only maker of [`Redacted`], the only thing that the write-ahead log takes.

use crate::event::Envelope;
use crate::event::Partial;
use bytes::Bytes;
use prost::Message as _;
use xxhash_rust::xxh3::xxh3_128;

/// Records of one resource and scope of one request, redacted and encoded, ready for the write-ahead log.
#[derive(Debug, Clone)]
pub struct Redacted {
    envelope: Bytes,
    records: Vec<Bytes>,
}

impl Redacted {
    /// The encoded [`Envelope`].
    pub fn envelope(&self) -> &Bytes {
        &self.envelope
    }

    /// The encoded records: see [`Record`] for their bytes.
    pub fn records(&self) -> &[Bytes] {
        &self.records
    }

    /// Bytes that the log will take, without its framing.
    pub fn size(&self) -> usize {
        self.envelope.len() + self.records.iter().map(Bytes::len).sum::<usize>()
    }
}

/// One record as the log holds it: 16 bytes of content hash, 4 bytes of position (both little-endian), then the
/// encoded [`Partial`].
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Hash of the redacted partial: equal content, however and whenever sent, has equal hashes.
    pub content: u128,
    /// The record's place in its request, which breaks ties between equal times.
    pub position: u32,
    /// What the record says.
    pub partial: Partial,
}

impl Record {
    /// Bytes before the encoded partial.
    const HEAD: usize = 20;

    fn encode(position: u32, partial: &Partial) -> Bytes {
        let mut out = Vec::with_capacity(Self::HEAD + partial.encoded_len());
        out.extend_from_slice(&[0; Self::HEAD]);
        // A Vec grows, so encoding cannot fail.
        partial.encode_raw(&mut out);
        let content = xxh3_128(out.get(Self::HEAD..).unwrap_or_default());
        if let Some(head) = out.first_chunk_mut::<{ Self::HEAD }>() {
            let (hash, place) = head.split_at_mut(16);
            hash.copy_from_slice(&content.to_le_bytes());
            place.copy_from_slice(&position.to_le_bytes());
        }
        Bytes::from(out)
    }

    /// Reads a record of the log.
    ///
    /// # Errors
    /// When the bytes are not what [`Redacted::records`] gives.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let (head, body) = bytes.split_first_chunk::<{ Self::HEAD }>().ok_or(RecordError::Short)?;
        let (hash, place) = head.split_first_chunk::<16>().ok_or(RecordError::Short)?;
        let place = place.first_chunk::<4>().ok_or(RecordError::Short)?;
        Ok(Self {
            content: u128::from_le_bytes(*hash),
            position: u32::from_le_bytes(*place),
            partial: Partial::decode(body)?,
        })
    }
}

/// Why bytes of the log are no record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Fewer bytes than every record has.
    #[error("record is shorter than its head")]
    Short,
    /// The partial does not decode.
    #[error("decode record")]
    Partial(#[from] prost::DecodeError),
}
