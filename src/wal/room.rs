//! How much the log may still take: bytes under the cap, bytes on the disk, bytes on their way.
//!
//! A request is accepted while, besides it and all others on their way, two segments' bytes fit both below the cap
//! and on the disk above its reserve. One of the two is the open segment, whose space is taken already; the other is
//! what folding needs to make room again.

use super::disk::Disk;
use super::files::FileId;
use crate::clock::Clock;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long an answer of the disk about its free space counts. Appended bytes go to space that is taken already, so
/// it changes slowly.
const FREE_FOR: Duration = Duration::from_millis(250);

/// The limits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) cap: u64,
    pub(super) reserve: u64,
    pub(super) segment: u64,
    pub(super) in_flight: u64,
}

/// The account of all bytes that count.
#[derive(Debug)]
pub(super) struct Room {
    limits: Limits,
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    clock: Arc<dyn Clock>,
    files: Mutex<HashMap<FileId, u64>>,
    used: AtomicU64,
    outbox: AtomicU64,
    in_flight: AtomicU64,
    /// 1 while there is an open segment.
    open_segments: AtomicU64,
    free: Mutex<Option<(Duration, u64)>>,
}

/// Why there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoRoom {
    /// Too many bytes wait to be written: they soon will be.
    Busy,
    /// The cap or the disk's reserve is reached.
    Full,
    /// It would not fit if there were nothing else.
    Never,
}

impl Room {
    pub(super) fn new(limits: Limits, disk: Arc<dyn Disk>, dir: PathBuf, clock: Arc<dyn Clock>) -> Self {
        Self {
            limits,
            disk,
            dir,
            clock,
            files: Mutex::default(),
            used: AtomicU64::new(0),
            outbox: AtomicU64::new(0),
            in_flight: AtomicU64::new(0),
            open_segments: AtomicU64::new(0),
            free: Mutex::new(None),
        }
    }

    /// Says what a file takes now.
    pub(super) fn set(&self, file: FileId, bytes: u64) {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.insert(file, bytes);
        self.used.store(files.values().sum(), Ordering::Relaxed);
    }

    /// Says that a file is gone.
    pub(super) fn remove(&self, file: FileId) {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.remove(&file);
        self.used.store(files.values().sum(), Ordering::Relaxed);
    }

    pub(super) fn set_open(&self, is_open: bool) {
        self.open_segments.store(u64::from(is_open), Ordering::Relaxed);
    }

    pub(super) fn set_outbox(&self, bytes: u64) {
        self.outbox.store(bytes, Ordering::Relaxed);
    }

    /// Bytes of the log's files.
    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    pub(super) fn outbox(&self) -> u64 {
        self.outbox.load(Ordering::Relaxed)
    }

    pub(super) fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Takes room for a request; dropping what it returns gives it back.
    pub(super) fn take(self: &Arc<Self>, bytes: u64) -> Result<InFlight, NoRoom> {
        if bytes.saturating_add(self.limits.segment * 2) > self.limits.cap {
            return Err(NoRoom::Never);
        }
        let all = self.in_flight.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let taken = InFlight { room: Arc::clone(self), bytes };
        // A request that is alone is never too large for the queue.
        if all > self.limits.in_flight && all > bytes {
            return Err(NoRoom::Busy);
        }
        let segments = 2_u64.saturating_sub(self.open_segments.load(Ordering::Relaxed));
        let need = all.saturating_add(self.limits.segment * segments);
        let used = self.used().saturating_add(self.outbox());
        if used.saturating_add(need) > self.limits.cap || self.free() < self.limits.reserve.saturating_add(need) {
            return Err(NoRoom::Full);
        }
        Ok(taken)
    }

    /// Bytes that are free on the disk. A disk that does not say is taken to have room: writing will tell.
    pub(super) fn free(&self) -> u64 {
        let now = self.clock.monotonic();
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, bytes)) = *free
            && now.saturating_sub(at) < FREE_FOR
        {
            return bytes;
        }
        let bytes = self.disk.free(&self.dir).unwrap_or(u64::MAX);
        *free = Some((now, bytes));
        bytes
    }
}

/// Room that a request holds until it is answered.
#[derive(Debug)]
pub(super) struct InFlight {
    room: Arc<Room>,
    bytes: u64,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.room.in_flight.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
