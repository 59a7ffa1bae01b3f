//! The write-ahead log: what is acknowledged is in it, and on stable storage. It knows bytes, not events.
//!
//! # Invariants
//! - [`Wal::append`] answers success only after the request's records, and the name of their file, were synced.
//! - A request stands in one segment, whole, in order. Records are numbered over all segments without a hole; a
//!   number is given once.
//! - A byte that was synced is never written again. A segment grows at its end, is sealed once, and is deleted whole.
//! - A failed sync, or an error of a write that is not "full", ends the writer for good ([`Failed`]): every request
//!   that waits fails, nothing is tried again, the process has to end. A full disk is waited out.
//! - Space for a segment is taken before anything is written to it, and requests are accepted only while there is
//!   room for two segments and all that is on its way ([`Config::cap`], [`Config::reserve`]): so whoever folds
//!   segments always finds room to make more.
//! - Logical time (of requests and seals) never goes back and passes only while a process runs.
//! - One process has the directory.
//! - With nothing in the open segment and no deadline asked for there is no timer and nothing is written.
//!
//! # Files
//! | path in the data directory | what |
//! |---|---|
//! | `lock` | locked while a process has the directory |
//! | `writer`, `writer.copy` | who writes here: name, random id, format; made once ([`home`]) |
//! | `wal/000000000017.seg` | segment 17 |
//! | `wal/000000000017.kept` | records that the fold of segment 17 copied from earlier ones, with their envelopes |
//! | `wal/000000000017.seg.aside` | a segment of which damage elsewhere has left nobody to tell what has landed |
//! | `quarantine/000000000017.seg.4096` | damaged bytes that stood at offset 4096 of segment 17 |
//!
//! # A segment
//! ```text
//! header │ envelope │ record │ record │ ... │ envelope │ record │ ... │ seal
//! ```
//! Blobs stand in frames with checksums (`record.rs` has the bytes of a frame, `segment.rs` those of the header and
//! of the seal's payload). An envelope and the records up to the next envelope came in with one request; all of them
//! carry the request's logical time. A seal ends the file and says when and why it was sealed.
//!
//! The file is preallocated and therefore reads as zeros behind its last frame until it is sealed and truncated.
//! Zeros up to the end of the file are its end. Something else that is not a valid frame is damage: where a valid
//! frame follows, a [`Gap`] in the middle, and reading goes on behind it; where none follows, a torn tail. Readers
//! only read ([`Scan`]); recovery decides: it cuts a torn tail, copies damage to the quarantine and seals what a
//! crash left open ([`recover`]).
//!
//! # Writing
//! [`Wal`] is the handle that receivers clone. It reserves room and hands the request to the [`Writer`], which runs
//! on a thread of its own: it takes all requests that wait, writes them at once, syncs once, and answers all. A
//! segment is sealed when it is old ([`Config::roll_age`]) or large ([`Config::roll_size`]), at shutdown, and, when
//! it is empty, at the deadline that the fold asks for ([`Wal::folded`]). Sealed segments are announced by number
//! ([`Sealed`]).
//!
//! # Not here
//! What a record says, when a trace is finished, which segments are done with: all the fold's.

pub mod disk;
mod files;
mod handle;
pub mod home;
mod kept;
mod queue;
mod record;
mod recover;
mod room;
mod scan;
mod segment;
mod time;
mod writer;

pub use files::{FileId, Files, ReadError, Whole};
pub use handle::{AppendError, Opened, Pending, Receipt, Sealed, Stats, Wal};
pub use home::{Home, Identity, OpenError};
pub use kept::Kept;
pub use record::Kind;
pub use recover::{Floor, Found};
pub use scan::{Blob, End, Gap, Item, Scan};
pub use segment::{Reason, Seal};
pub use time::LogicalTime;
pub use writer::{Failed, Turn, Writer, open};

use std::time::Duration;

/// How the log rolls and how much it may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// A segment is sealed this long after its first record: rows appear sooner or files are larger.
    pub roll_age: Duration,
    /// Bytes at which a segment is sealed; a larger request has one of its own. Bounds the fold's memory.
    pub roll_size: u64,
    /// Bytes that log and outbox may take together; requests are refused when they come near.
    pub cap: u64,
    /// Bytes that others find free on the disk.
    pub reserve: u64,
    /// Requests that may wait for the writer.
    pub queue: usize,
    /// Bytes of requests that may wait for the writer. One alone may be larger.
    pub in_flight: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            roll_age: Duration::from_secs(5),
            roll_size: 32 << 20,
            cap: 8 << 30,
            reserve: 128 << 20,
            queue: 1024,
            in_flight: 64 << 20,
        }
    }
}

#[cfg(test)]
mod tests;
