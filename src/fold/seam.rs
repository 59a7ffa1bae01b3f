//! What goes into a fold and what comes out of it.

use super::account::Account;
use super::assemble;
use super::open::Close;
use super::open::Patience;
use super::open::Place;
use super::open::SegmentId;
use super::open::Waiting;
use super::window;
use crate::event::Envelope;
use crate::event::Event;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::io;

/// What the fold reads of earlier segments and entries.
pub trait Past {
    /// The bytes of an envelope or a record of an earlier segment; `length` is how many, where it is known.
    ///
    /// # Errors
    /// When it cannot be read; invalid data where it is not what was written, which costs only itself.
    fn blob(&self, segment: SegmentId, offset: u64, length: Option<u32>) -> io::Result<Bytes>;

    /// The keys that the entry of this segment added to the resend window.
    ///
    /// # Errors
    /// When they cannot be read. Those that were lost to damage are none.
    fn window_keys(&self, segment: u64) -> io::Result<Vec<u128>>;

    /// Whether the entry of this segment added this key.
    ///
    /// # Errors
    /// When its keys cannot be read.
    fn window_has(&self, segment: u64, key: u128) -> io::Result<bool>;

    /// The tombstones that the entry of this segment set.
    ///
    /// # Errors
    /// When they cannot be read.
    fn tombs(&self, segment: u64) -> io::Result<Vec<u8>>;
}

/// A record of the segment that is folded.
#[derive(Debug, Clone, Copy)]
pub struct Incoming<'a> {
    /// Offset of the envelope that it came with.
    pub envelope_at: u64,
    /// The envelope's bytes.
    pub envelope: &'a [u8],
    /// Offset of the record.
    pub at: u64,
    /// The record's bytes.
    pub bytes: &'a [u8],
    /// Log time.
    pub arrival: u64,
    /// Its number among all input records of this writer. Damage leaves gaps.
    pub sequence: u64,
}

impl Incoming<'_> {
    pub(super) fn place(&self, segment: SegmentId) -> Place {
        let length = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        Place { segment, envelope: self.envelope_at, offset: self.at, length }
    }
}

/// A sealed segment.
#[derive(Debug)]
pub struct Segment<'a> {
    /// Its number.
    pub number: u64,
    /// Sequence number of the first record of the next segment.
    pub next_sequence: u64,
    /// Bytes of its file.
    pub bytes: u64,
    /// Its records in the order of the file.
    pub records: Vec<Incoming<'a>>,
    /// Log time of its seal: the fold's now.
    pub now: u64,
    /// What the seal asks for.
    pub close: Close,
}

/// What does not change between folds.
#[derive(Debug)]
pub struct Settings {
    /// When traces are emitted.
    pub patience: Patience,
    /// How long resends are recognised.
    pub window: window::Limits,
    /// Bytes of segments that open traces may hold.
    pub held: u64,
    /// Bytes of memory that the index of open traces may take.
    pub memory: usize,
    /// How many tombstones count.
    pub tombs: usize,
    /// Bytes of records whose rows a fold holds at once, about: then it hands them on.
    pub rows: u64,
    /// What rows are made with.
    pub assemble: assemble::Settings,
}

/// Takes rows of a prefix out of the fold's hands before it has ended, in the order of the lake.
pub type HandOn<'a> = dyn FnMut(&str, Vec<Box<Event>>) -> io::Result<()> + 'a;

/// What a fold decided under one prefix.
#[derive(Debug, Default)]
pub struct Batch {
    /// Rows that were not handed on, in the order of the lake: conversation, time, event id.
    pub rows: Vec<Box<Event>>,
    /// Records that could not be mapped.
    pub dead: Vec<Dead>,
    /// What was decided.
    pub account: Account,
    /// The segment of the manifest before this one.
    pub previous: Option<u64>,
}

/// A record that could not be mapped.
#[derive(Debug, Clone, PartialEq)]
pub struct Dead {
    /// Wall clock, microseconds since 1970.
    pub received_at: i64,
    /// The door it came through.
    pub door: String,
    /// Whose it is, where the credential says so.
    pub tenant: Option<String>,
    /// Why.
    pub reason: String,
    /// The record as it came, redacted as text.
    pub text: String,
}

impl Dead {
    /// A record that came in with this envelope.
    pub(super) fn of(envelope: &Envelope, reason: String, text: String) -> Self {
        Self {
            received_at: envelope.received_at,
            door: envelope.door.clone(),
            tenant: envelope.named_tenant().map(str::to_owned),
            reason,
            text,
        }
    }
}

/// What a fold gives.
#[derive(Debug)]
pub struct Folded {
    /// What was decided, by prefix. A prefix without decisions is not here.
    pub batches: BTreeMap<String, Batch>,
    /// Keys that the entry adds to the resend window.
    pub window: Vec<u8>,
    /// Tombstones that the entry sets.
    pub tombs: Vec<u8>,
    /// Open records that are to be copied into the kept segment of this fold, in the order of their file: their
    /// segments are mostly dead. Empty: no kept segment.
    pub copies: Vec<Place>,
    /// When the next trace may be due, in log time.
    pub next_deadline: Option<u64>,
    /// What open traces wait for.
    pub waiting: Waiting,
}
