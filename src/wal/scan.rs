//! Reading a whole file of the log: its blobs in order, the damage between them, and how it ends. Pure.
//!
//! Damage costs what it hit and nothing else: reading goes on at the next valid frame. A record whose envelope was
//! hit is lost with it, for nobody can say whose it is.

use super::files::FileId;
use super::record::FRAME;
use super::record::Head;
use super::record::Kind;
use super::record::MARK;
use super::record::Seed;
use super::segment::HEADER;
use super::segment::Header;
use super::segment::HeaderRead;
use super::segment::Seal;
use super::time::LogicalTime;

/// One envelope, record or seal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blob<P> {
    /// Offset of its frame in the file: with the file its place.
    pub offset: u64,
    /// What it is.
    pub kind: Kind,
    /// When its request arrived; of a seal, when it was sealed.
    pub time: LogicalTime,
    /// A record's number; otherwise the number of the next record.
    pub sequence: u64,
    /// Of a record the offset of its envelope; otherwise its own.
    pub envelope: u64,
    /// Its bytes.
    pub payload: P,
}

/// Damaged bytes between valid frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// Where they begin.
    pub offset: u64,
    /// How many there are.
    pub len: u64,
    /// How many records were lost in them, as far as the numbers around them tell.
    pub records: u64,
}

/// What a scan finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item<'a> {
    /// A valid envelope or record.
    Blob(Blob<&'a [u8]>),
    /// Damage.
    Gap(Gap),
}

/// How a file ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With a seal, whose last byte stands before this offset.
    Sealed(Seal, u64),
    /// It was not sealed: behind this offset there are only zeros, or nothing.
    Open(u64),
    /// It was not sealed, and the bytes from `offset` to `end` are no valid frames.
    Torn {
        /// Where the last valid frame ends.
        offset: u64,
        /// Behind the last byte that is not zero.
        end: u64,
    },
}

/// Goes through the bytes of a file. After the last item, [`Scan::end`] tells how the file ends.
#[derive(Debug)]
pub struct Scan<'a> {
    bytes: &'a [u8],
    seed: Seed,
    is_segment: bool,
    at: usize,
    /// Number of the next record, where known.
    sequence: Option<u64>,
    /// Offset of the last valid envelope.
    envelope: Option<u64>,
    time: LogicalTime,
    records: u32,
    envelopes: u32,
    end: Option<End>,
}

impl<'a> Scan<'a> {
    pub(super) fn new(bytes: &'a [u8], writer: u64, file: FileId) -> Self {
        let header = match Header::read(bytes) {
            HeaderRead::Valid(header) if header.file == file && header.writer == writer => Some(header),
            _ => None,
        };
        let is_segment = matches!(file, FileId::Segment(_));
        Self {
            bytes,
            seed: Seed::new(writer, file),
            is_segment,
            // Without a header the search for the first frame begins at the first byte.
            at: if header.is_some() { HEADER } else { 0 },
            sequence: header.filter(|_| is_segment).map(|header| header.first_sequence),
            envelope: None,
            time: header.map(|header| header.begun).unwrap_or_default(),
            records: 0,
            envelopes: 0,
            end: None,
        }
    }

    /// How the file ends; `None` before the last item has been taken.
    pub fn end(&self) -> Option<End> {
        self.end
    }

    /// Number of the next record as far as has been read; `None` when nothing has told it yet.
    pub fn next_sequence(&self) -> Option<u64> {
        self.sequence
    }

    /// The latest time that has been read.
    pub fn time(&self) -> LogicalTime {
        self.time
    }

    /// Valid records and envelopes so far.
    pub(super) fn counts(&self) -> (u32, u32) {
        (self.records, self.envelopes)
    }

    /// The valid frame at an offset, with its payload.
    fn frame(&self, at: usize) -> Option<(Head, &'a [u8])> {
        let rest = self.bytes.get(at..)?;
        let head = Head::read(rest, self.seed, at as u64)?;
        let frame = rest.get(..usize::try_from(head.size()).ok()?)?;
        head.matches(frame, self.seed, at as u64).then(|| (head, frame.get(FRAME..).unwrap_or(&[])))
    }

    /// The next valid frame behind an offset.
    fn next_frame(&self, after: usize) -> Option<(usize, Head)> {
        let mut from = after;
        loop {
            let rest = self.bytes.get(from..)?;
            let at = from + memchr::memmem::find(rest, &MARK)?;
            if let Some((head, _)) = self.frame(at) {
                return Some((at, head));
            }
            from = at + 1;
        }
    }

    fn finish(&mut self) {
        let offset = self.at as u64;
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        self.end = Some(match rest.iter().rposition(|byte| *byte != 0) {
            None => End::Open(offset),
            Some(last) => End::Torn { offset, end: offset + last as u64 + 1 },
        });
    }
}

impl<'a> Iterator for Scan<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        if self.end.is_some() {
            return None;
        }
        let Some((head, payload)) = self.frame(self.at) else {
            let Some((found, head)) = self.next_frame(self.at + 1) else {
                self.finish();
                return None;
            };
            let expected = self.sequence.filter(|_| self.is_segment);
            let records = expected.map_or(0, |expected| head.sequence.saturating_sub(expected));
            let gap = Gap { offset: self.at as u64, len: (found - self.at) as u64, records };
            self.at = found;
            self.sequence = Some(head.sequence);
            return Some(Item::Gap(gap));
        };
        let offset = self.at as u64;
        self.at += FRAME + payload.len();
        self.time = self.time.max(head.time);
        let envelope = match head.kind {
            Kind::Envelope => {
                self.envelope = Some(offset);
                self.envelopes += 1;
                self.sequence = Some(head.sequence);
                offset
            }
            Kind::Record => {
                self.sequence = Some(head.sequence + 1);
                let envelope = offset.checked_sub(u64::from(head.envelope));
                match envelope.filter(|envelope| Some(*envelope) == self.envelope) {
                    Some(envelope) => envelope,
                    None => return Some(Item::Gap(Gap { offset, len: head.size(), records: 1 })),
                }
            }
            Kind::Seal => {
                self.sequence = Some(head.sequence);
                match Seal::read(payload, head.time, head.sequence) {
                    Some(seal) => self.end = Some(End::Sealed(seal, self.at as u64)),
                    // Valid checksums around something this version does not write: as good as no seal.
                    None => {
                        self.at -= FRAME + payload.len();
                        self.finish();
                    }
                }
                return None;
            }
        };
        self.records += u32::from(head.kind == Kind::Record);
        let blob = Blob { offset, kind: head.kind, time: head.time, sequence: head.sequence, envelope, payload };
        Some(Item::Blob(blob))
    }
}
