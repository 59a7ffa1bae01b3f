//! One blob and the frame around it: the bytes that every file of the log is made of. Pure.
//!
//! | at | bytes | what (little-endian) |
//! |---|---|---|
//! | 0 | 4 | mark: `c7 42 4c 42` |
//! | 4 | 4 | crc32 of bytes 8.. of the frame and the payload |
//! | 8 | 2 | low half of the crc32 of bytes 10..36 |
//! | 10 | 1 | kind: 1 envelope, 2 record, 3 seal |
//! | 11 | 1 | 0 |
//! | 12 | 4 | length of the payload |
//! | 16 | 4 | of a record: bytes from the start of its envelope's frame to the start of this one; else 0 |
//! | 20 | 8 | sequence number: a record's own; else that of the next record |
//! | 28 | 8 | logical time of arrival (of a seal: of sealing), nanoseconds |
//! | 36 | | payload |
//!
//! Both checksums start from the writer's id, the file's kind and number and the frame's offset. So a frame is valid
//! in its place only: not at another offset, in another file or of another writer, and nobody who does not know the
//! id can write text that looks like a frame. That makes it safe to look for the next frame behind damage, and the
//! short checksum makes it cheap. A record says where its envelope is, because damage may have swallowed an envelope,
//! and a record must never be read under another tenant's.

use super::files::FileId;
use super::time::LogicalTime;

/// Bytes before the payload.
pub(super) const FRAME: usize = 36;

/// What every frame starts with; no text in UTF-8 contains it.
pub(super) const MARK: [u8; 4] = [0xc7, b'B', b'L', b'B'];

/// What a blob is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// What the records after it share.
    Envelope,
    /// One input record, under the envelope before it.
    Record,
    /// The end of a segment.
    Seal,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Envelope),
            2 => Some(Self::Record),
            3 => Some(Self::Seal),
            _ => None,
        }
    }

    fn byte(self) -> u8 {
        match self {
            Self::Envelope => 1,
            Self::Record => 2,
            Self::Seal => 3,
        }
    }
}

/// What the checksums of one file start from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seed(u32);

impl Seed {
    pub(super) fn new(writer: u64, file: FileId) -> Self {
        let (kind, number) = match file {
            FileId::Segment(number) => (1, number),
            FileId::Kept(number) => (2, number),
        };
        let mut crc = crc32fast::Hasher::new();
        crc.update(&writer.to_le_bytes());
        crc.update(&[kind]);
        crc.update(&number.to_le_bytes());
        Self(crc.finalize())
    }

    fn crc(self, offset: u64) -> crc32fast::Hasher {
        let mut crc = crc32fast::Hasher::new_with_initial(self.0);
        crc.update(&offset.to_le_bytes());
        crc
    }

    fn short(self, offset: u64, rest: &[u8]) -> [u8; 2] {
        let mut crc = self.crc(offset);
        crc.update(rest);
        let [a, b, _, _] = crc.finalize().to_le_bytes();
        [a, b]
    }
}

/// The frame of one blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) kind: Kind,
    /// Bytes of payload.
    pub(super) length: u32,
    /// Distance back to the envelope.
    pub(super) envelope: u32,
    pub(super) sequence: u64,
    pub(super) time: LogicalTime,
    crc: u32,
}

impl Head {
    /// Reads the frame at an offset of a file; `None` when there is none. Its payload is not checked yet.
    pub(super) fn read(bytes: &[u8], seed: Seed, offset: u64) -> Option<Self> {
        let bytes: &[u8; FRAME] = bytes.first_chunk()?;
        let (mark, rest) = bytes.split_first_chunk()?;
        let (crc, rest) = rest.split_first_chunk()?;
        let (short, rest) = rest.split_first_chunk()?;
        if *mark != MARK || *short != seed.short(offset, rest) {
            return None;
        }
        let ([kind, zero], rest) = rest.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let (envelope, rest) = rest.split_first_chunk()?;
        let (sequence, rest) = rest.split_first_chunk()?;
        let (time, _) = rest.split_first_chunk()?;
        Some(Self {
            kind: Kind::from_byte(*kind).filter(|_| *zero == 0)?,
            length: u32::from_le_bytes(*length),
            envelope: u32::from_le_bytes(*envelope),
            sequence: u64::from_le_bytes(*sequence),
            time: LogicalTime::from_nanos(u64::from_le_bytes(*time)),
            crc: u32::from_le_bytes(*crc),
        })
    }

    /// Bytes of frame and payload.
    pub(super) fn size(&self) -> u64 {
        FRAME as u64 + u64::from(self.length)
    }

    /// Whether `frame` (all of it, with its payload, as it stands at `offset`) is what was written.
    pub(super) fn matches(&self, frame: &[u8], seed: Seed, offset: u64) -> bool {
        let mut crc = seed.crc(offset);
        crc.update(frame.get(8..).unwrap_or_default());
        frame.len() as u64 == self.size() && crc.finalize() == self.crc
    }
}

/// Frames that are about to be written at the end of a file.
#[derive(Debug)]
pub(super) struct Frames {
    seed: Seed,
    /// Offset of the first byte.
    base: u64,
    bytes: Vec<u8>,
    /// Offset of the envelope that records belong to.
    envelope: u64,
}

impl Frames {
    /// Returns nothing yet, to be written at `base`.
    pub(super) fn new(seed: Seed, base: u64) -> Self {
        Self { seed, base, bytes: Vec::new(), envelope: base }
    }

    /// Forgets what it holds, to collect for another place.
    pub(super) fn restart(&mut self, seed: Seed, base: u64) {
        self.bytes.clear();
        (self.seed, self.base, self.envelope) = (seed, base, base);
    }

    /// Forgets what has been written, to go on behind it.
    pub(super) fn advance(&mut self) {
        self.base = self.end();
        self.bytes.clear();
    }

    /// Gives back memory beyond `keep` bytes.
    pub(super) fn shrink(&mut self, keep: usize) {
        self.bytes.shrink_to(keep);
    }

    /// Offset of the first byte.
    pub(super) fn base(&self) -> u64 {
        self.base
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Offset behind the last byte.
    pub(super) fn end(&self) -> u64 {
        self.base + self.bytes.len() as u64
    }

    /// Adds bytes that are no frame: a file's header.
    pub(super) fn push_raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Adds an envelope; records from here on belong to it. Returns its offset.
    pub(super) fn push_envelope(&mut self, sequence: u64, time: LogicalTime, payload: &[u8]) -> u64 {
        self.envelope = self.end();
        self.push(Kind::Envelope, 0, sequence, time, payload)
    }

    /// Adds a record of the last envelope. Returns its offset.
    pub(super) fn push_record(&mut self, sequence: u64, time: LogicalTime, payload: &[u8]) -> u64 {
        #[expect(clippy::expect_used, reason = "no request is larger than MAX_REQUEST, which is far below 4 GiB")]
        let distance = u32::try_from(self.end() - self.envelope).expect("a request below 4 GiB");
        self.push(Kind::Record, distance, sequence, time, payload)
    }

    /// Adds a seal. Returns its offset.
    pub(super) fn push_seal(&mut self, sequence: u64, time: LogicalTime, payload: &[u8]) -> u64 {
        self.push(Kind::Seal, 0, sequence, time, payload)
    }

    fn push(&mut self, kind: Kind, envelope: u32, sequence: u64, time: LogicalTime, payload: &[u8]) -> u64 {
        #[expect(clippy::expect_used, reason = "no request is larger than MAX_REQUEST, which is far below 4 GiB")]
        let length = u32::try_from(payload.len()).expect("a payload below 4 GiB");
        let offset = self.end();
        let mut rest = [0; FRAME - 10];
        let fields = [&[kind.byte(), 0][..], &length.to_le_bytes(), &envelope.to_le_bytes(), &sequence.to_le_bytes()];
        let mut at = rest.as_mut_slice();
        for field in fields.into_iter().chain([time.nanos().to_le_bytes().as_slice()]) {
            let (place, behind) = at.split_at_mut(field.len());
            place.copy_from_slice(field);
            at = behind;
        }
        let short = self.seed.short(offset, &rest);
        let mut crc = self.seed.crc(offset);
        crc.update(&short);
        crc.update(&rest);
        crc.update(payload);
        self.bytes.reserve(FRAME + payload.len());
        self.bytes.extend_from_slice(&MARK);
        self.bytes.extend_from_slice(&crc.finalize().to_le_bytes());
        self.bytes.extend_from_slice(&short);
        self.bytes.extend_from_slice(&rest);
        self.bytes.extend_from_slice(payload);
        offset
    }
}
