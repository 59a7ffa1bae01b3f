//! What stands at the two ends of a file of the log: the header's and the seal's bytes. Pure.
//!
//! The header, 64 bytes, little-endian:
//!
//! | at | bytes | what |
//! |---|---|---|
//! | 0 | 8 | `chatlwal` |
//! | 8 | 4 | crc32 of bytes 12..64 |
//! | 12 | 4 | version of the format: 1 |
//! | 16 | 8 | the writer's id |
//! | 24 | 1 | kind of file: 1 segment, 2 kept |
//! | 25 | 7 | 0 |
//! | 32 | 8 | number of the file |
//! | 40 | 8 | sequence number of the first record (of a kept file 0) |
//! | 48 | 8 | logical time at which the file was begun, nanoseconds |
//! | 56 | 8 | 0 |
//!
//! The first 16 bytes mean the same in every version, so that another version's file is told from a damaged one.
//!
//! The seal's payload, 12 bytes (its frame carries the time, and the sequence number of the next segment):
//!
//! | at | bytes | what |
//! |---|---|---|
//! | 0 | 1 | reason: 1 age, 2 size, 3 shutdown, 4 recovery, 5 deadline, 6 copied (kept files) |
//! | 1 | 3 | 0 |
//! | 4 | 4 | records in the file |
//! | 8 | 4 | envelopes in the file |

use super::files::FileId;
use super::record::FRAME;
use super::time::LogicalTime;

/// Bytes of the header.
pub(super) const HEADER: usize = 64;
/// Bytes of a seal with its frame.
pub(super) const SEAL: usize = FRAME + SEAL_PAYLOAD;
const SEAL_PAYLOAD: usize = 12;

const MAGIC: [u8; 8] = *b"chatlwal";
/// The version of the format that this program reads and writes.
pub(super) const VERSION: u32 = 1;

/// What the header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) writer: u64,
    pub(super) file: FileId,
    pub(super) first_sequence: u64,
    pub(super) begun: LogicalTime,
}

/// What the first bytes of a file are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeaderRead {
    Valid(Header),
    /// A whole header of another version of the format.
    OtherVersion(u32),
    /// No header: never written, torn or damaged.
    Damaged,
}

impl Header {
    pub(super) fn encode(&self) -> [u8; HEADER] {
        let (kind, number) = match self.file {
            FileId::Segment(number) => (1, number),
            FileId::Kept(number) => (2, number),
        };
        let fields: [&[u8]; 6] = [
            &VERSION.to_le_bytes(),
            &self.writer.to_le_bytes(),
            &[kind, 0, 0, 0, 0, 0, 0, 0],
            &number.to_le_bytes(),
            &self.first_sequence.to_le_bytes(),
            &self.begun.nanos().to_le_bytes(),
        ];
        let mut header = [0; HEADER];
        let (front, body) = header.split_at_mut(12);
        let mut at = &mut *body;
        for field in fields {
            let (place, behind) = at.split_at_mut(field.len());
            place.copy_from_slice(field);
            at = behind;
        }
        let (magic, crc) = front.split_at_mut(8);
        magic.copy_from_slice(&MAGIC);
        crc.copy_from_slice(&crc32fast::hash(body).to_le_bytes());
        header
    }

    pub(super) fn read(bytes: &[u8]) -> HeaderRead {
        Self::parse(bytes).unwrap_or(HeaderRead::Damaged)
    }

    fn parse(bytes: &[u8]) -> Option<HeaderRead> {
        let header: &[u8; HEADER] = bytes.first_chunk()?;
        let (magic, rest) = header.split_first_chunk()?;
        let (crc, body) = rest.split_first_chunk()?;
        if *magic != MAGIC || u32::from_le_bytes(*crc) != crc32fast::hash(body) {
            return None;
        }
        let (version, rest) = body.split_first_chunk()?;
        let version = u32::from_le_bytes(*version);
        if version != VERSION {
            return Some(HeaderRead::OtherVersion(version));
        }
        let (writer, rest) = rest.split_first_chunk()?;
        let ([kind, ..], rest) = rest.split_first_chunk::<8>()?;
        let (number, rest) = rest.split_first_chunk()?;
        let (first_sequence, rest) = rest.split_first_chunk()?;
        let (begun, _) = rest.split_first_chunk()?;
        let number = u64::from_le_bytes(*number);
        let file = match kind {
            1 => FileId::Segment(number),
            2 => FileId::Kept(number),
            _ => return None,
        };
        Some(HeaderRead::Valid(Self {
            writer: u64::from_le_bytes(*writer),
            file,
            first_sequence: u64::from_le_bytes(*first_sequence),
            begun: LogicalTime::from_nanos(u64::from_le_bytes(*begun)),
        }))
    }
}

/// Why a segment was sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Its first record was old.
    Age,
    /// The next request did not fit.
    Size,
    /// The process was asked to stop.
    Shutdown,
    /// A crash had left it open, and the next process sealed it.
    Recovery,
    /// The fold asked for it, and nothing had come.
    Deadline,
    /// A kept file is complete.
    Copied,
}

impl Reason {
    fn byte(self) -> u8 {
        match self {
            Self::Age => 1,
            Self::Size => 2,
            Self::Shutdown => 3,
            Self::Recovery => 4,
            Self::Deadline => 5,
            Self::Copied => 6,
        }
    }

    fn from_byte(byte: u8) -> Option<Self> {
        [Self::Age, Self::Size, Self::Shutdown, Self::Recovery, Self::Deadline, Self::Copied]
            .into_iter()
            .find(|reason| reason.byte() == byte)
    }
}

/// The end of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seal {
    /// When it was sealed: the fold's now.
    pub time: LogicalTime,
    /// Why.
    pub reason: Reason,
    /// Sequence number of the first record of the next segment.
    pub next_sequence: u64,
    /// Records that stood in the file when it was sealed.
    pub records: u32,
    /// Envelopes that stood in the file when it was sealed.
    pub envelopes: u32,
}

impl Seal {
    pub(super) fn payload(&self) -> [u8; SEAL_PAYLOAD] {
        let [r0, r1, r2, r3] = self.records.to_le_bytes();
        let [e0, e1, e2, e3] = self.envelopes.to_le_bytes();
        [self.reason.byte(), 0, 0, 0, r0, r1, r2, r3, e0, e1, e2, e3]
    }

    pub(super) fn read(payload: &[u8], time: LogicalTime, next_sequence: u64) -> Option<Self> {
        let ([reason, ..], rest) = payload.split_first_chunk::<4>()?;
        let (records, rest) = rest.split_first_chunk()?;
        let (envelopes, _) = rest.split_first_chunk()?;
        Some(Self {
            time,
            reason: Reason::from_byte(*reason)?,
            next_sequence,
            records: u32::from_le_bytes(*records),
            envelopes: u32::from_le_bytes(*envelopes),
        })
    }
}
