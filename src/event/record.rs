//! One record of the write-ahead log: a fixed head that the fold can index by, then the encoded [`Partial`].
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 16 | content hash (xxh3-128 of the encoded partial) |
//! | 16 | 4 | position in its request |
//! | 20 | 1 | kind, as in the protocol file |
//! | 21 | 1 | bits: has trace, has span, has parent, parent known to be remote, tells a model call |
//! | 22 | 2 | zero |
//! | 24 | 16 | trace id |
//! | 40 | 8 | span id |
//! | 48 | 8 | parent span id |
//! | 56 | 8 | start, ns |
//! | 64 | 8 | end, ns |
//! | 72 | 8 | hash of the response id, 0 without one |
//! | 80 | 8 | hash of the source's own id, 0 without one |
//! | 88 | 8 | hash of the id that it waits for, 0 without one |
//!
//! Numbers are little-endian; ids stand as their bytes do on the wire.

use crate::event::Kind;
use crate::event::Partial;
use crate::event::event_type;
use bytes::Bytes;
use prost::Message as _;
use xxhash_rust::xxh3::xxh3_64;
use xxhash_rust::xxh3::xxh3_128;

/// What the fold groups and indexes a record by, without decoding it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Hash of the redacted partial: equal content, however and whenever sent, has equal hashes.
    pub content: u128,
    /// The record's place in its request, which breaks ties between equal times. Not part of the content hash.
    pub position: u32,
    /// What kind of record it is.
    pub kind: Kind,
    /// The trace, if the record has one.
    pub trace: Option<[u8; 16]>,
    /// The span, if the record has one.
    pub span: Option<[u8; 8]>,
    /// The parent span, if the record has one. A span without is a root.
    pub parent: Option<[u8; 8]>,
    /// Whether the span's flags say that its parent is in another process.
    pub parent_is_remote: bool,
    /// Whether it tells a model call by itself.
    pub is_call: bool,
    /// Nanoseconds since 1970, 0 where not stated.
    pub start_ns: u64,
    /// Nanoseconds since 1970, 0 where not stated.
    pub end_ns: u64,
    /// Hash of the response id, 0 without one.
    pub response: u64,
    /// Hash of the source's own id, 0 without one.
    pub own: u64,
    /// Hash of the id that it waits for or shares with another telling, 0 without one.
    pub waits_for: u64,
}

/// A record as it is read back from the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// What it is indexed by.
    pub head: Head,
    /// What it says.
    pub partial: Partial,
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

/// `SpanFlags`: the bit that says whether the next one is known.
const HAS_IS_REMOTE: u32 = 1 << 8;
const IS_REMOTE: u32 = 1 << 9;

impl Head {
    /// Bytes before the encoded partial.
    pub const SIZE: usize = 96;

    /// What a partial is indexed by.
    pub fn of(position: u32, partial: &Partial, content: u128) -> Self {
        let row = partial.row.as_ref();
        let hash =
            |text: Option<&str>| text.filter(|text| !text.is_empty()).map_or(0, |text| xxh3_64(text.as_bytes()).max(1));
        let flags = partial.flags.unwrap_or(0);
        Self {
            content,
            position,
            kind: partial.kind(),
            trace: row.and_then(|row| row.trace_id.as_deref()).and_then(from_hex),
            span: row.and_then(|row| row.span_id.as_deref()).and_then(from_hex),
            parent: row.and_then(|row| row.parent_span_id.as_deref()).and_then(from_hex),
            parent_is_remote: flags & HAS_IS_REMOTE != 0 && flags & IS_REMOTE != 0,
            is_call: row.is_some_and(|row| event_type::is_summed(&row.event_type)),
            start_ns: partial.start_ns,
            end_ns: partial.end_ns,
            response: hash(row.and_then(|row| row.model.as_ref()).and_then(|model| model.response_id.as_deref())),
            own: hash(row.map(|row| row.event_id.as_str())),
            waits_for: hash(partial.waits_for.as_deref()),
        }
    }

    /// Of a log record without a trace: a hash of what the span of the same operation says too. 0 where it tells
    /// nothing that a span may tell.
    pub fn shared(&self) -> u64 {
        match (self.kind, self.trace) {
            (Kind::Log, None) if self.waits_for != 0 => self.waits_for,
            (Kind::Log, None) if self.is_call => self.response,
            _ => 0,
        }
    }

    fn write(&self, out: &mut [u8; Self::SIZE]) {
        let bits = u8::from(self.trace.is_some())
            | u8::from(self.span.is_some()) << 1
            | u8::from(self.parent.is_some()) << 2
            | u8::from(self.parent_is_remote) << 3
            | u8::from(self.is_call) << 4;
        let kind = u8::try_from(i32::from(self.kind)).unwrap_or(u8::MAX);
        let fields: [&[u8]; 11] = [
            &self.content.to_le_bytes(),
            &self.position.to_le_bytes(),
            &[kind, bits, 0, 0],
            &self.trace.unwrap_or_default(),
            &self.span.unwrap_or_default(),
            &self.parent.unwrap_or_default(),
            &self.start_ns.to_le_bytes(),
            &self.end_ns.to_le_bytes(),
            &self.response.to_le_bytes(),
            &self.own.to_le_bytes(),
            &self.waits_for.to_le_bytes(),
        ];
        let mut rest = out.as_mut_slice();
        for field in fields {
            let Some((head, tail)) = rest.split_at_mut_checked(field.len()) else { return };
            head.copy_from_slice(field);
            rest = tail;
        }
    }

    /// Reads the head of a record of the log.
    ///
    /// # Errors
    /// When there are fewer bytes than a head has.
    pub fn read(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut rest = bytes;
        let content = u128::from_le_bytes(take(&mut rest)?);
        let position = u32::from_le_bytes(take(&mut rest)?);
        let [kind, bits, _, _] = take(&mut rest)?;
        let (trace, span, parent) = (take(&mut rest)?, take(&mut rest)?, take(&mut rest)?);
        let has = |bit: u8| bits & (1 << bit) != 0;
        Ok(Self {
            content,
            position,
            kind: Kind::try_from(i32::from(kind)).unwrap_or(Kind::Dead),
            trace: has(0).then_some(trace),
            span: has(1).then_some(span),
            parent: has(2).then_some(parent),
            parent_is_remote: has(3),
            is_call: has(4),
            start_ns: u64::from_le_bytes(take(&mut rest)?),
            end_ns: u64::from_le_bytes(take(&mut rest)?),
            response: u64::from_le_bytes(take(&mut rest)?),
            own: u64::from_le_bytes(take(&mut rest)?),
            waits_for: u64::from_le_bytes(take(&mut rest)?),
        })
    }
}

impl Record {
    /// The bytes of a record for the log: the redaction stage calls this last. They are written in a buffer that may be
    /// used for many, so that nobody has to count them first.
    pub(crate) fn encode(position: u32, partial: &Partial, buffer: &mut Vec<u8>) -> Bytes {
        buffer.clear();
        buffer.extend_from_slice(&[0; Head::SIZE]);
        // A Vec grows, so encoding cannot fail.
        partial.encode_raw(buffer);
        let content = xxh3_128(buffer.get(Head::SIZE..).unwrap_or_default());
        if let Some(head) = buffer.first_chunk_mut() {
            Head::of(position, partial, content).write(head);
        }
        Bytes::copy_from_slice(buffer)
    }

    /// Reads a record of the log.
    ///
    /// # Errors
    /// When the bytes are not what the redaction stage wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let head = Head::read(bytes)?;
        let body = bytes.get(Head::SIZE..).ok_or(RecordError::Short)?;
        Ok(Self { head, partial: Partial::decode(body)? })
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], RecordError> {
    let (field, tail) = rest.split_first_chunk::<N>().ok_or(RecordError::Short)?;
    *rest = tail;
    Ok(*field)
}

/// The bytes of an id that stands as lower-case or upper-case hex digits; none for anything else, or all zeros.
pub fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N {
        return None;
    }
    let mut out = [0; N];
    for (byte, pair) in out.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let mut digits = pair.iter().map(|digit| char::from(*digit).to_digit(16));
        let (high, low) = (digits.next()??, digits.next()??);
        *byte = u8::try_from(high << 4 | low).ok()?;
    }
    (out != [0; N]).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;

    #[test]
    fn a_head_reads_back_as_it_was_written() {
        let row = Event {
            event_type: "chat.completion".into(),
            trace_id: Some("5b8efff798038103d269b633813fc60c".into()),
            span_id: Some("eee19b7ec3c1b174".into()),
            ..Event::default()
        };
        let partial = Partial {
            row: Some(Box::new(row)),
            start_ns: 5,
            end_ns: 9,
            flags: Some(HAS_IS_REMOTE | IS_REMOTE),
            waits_for: Some("x".into()),
            ..Partial::default()
        };
        let record = Record::decode(&Record::encode(7, &partial, &mut Vec::new())).unwrap();
        assert_eq!(record.partial, partial);
        assert_eq!(record.head, Head::of(7, &partial, record.head.content));
        assert_eq!(record.head.span, Some([0xee, 0xe1, 0x9b, 0x7e, 0xc3, 0xc1, 0xb1, 0x74]));
        assert!(record.head.parent.is_none() && record.head.parent_is_remote && record.head.is_call);
    }

    #[test]
    fn position_is_not_content() {
        let partial = Partial { start_ns: 1, ..Partial::default() };
        let read =
            |position| Record::decode(&Record::encode(position, &partial, &mut Vec::new())).unwrap().head.content;
        assert_eq!(read(1), read(2));
    }

    #[test]
    fn fewer_bytes_than_a_head_are_refused() {
        assert!(matches!(Record::decode(&[0; 95]), Err(RecordError::Short)));
    }
}
