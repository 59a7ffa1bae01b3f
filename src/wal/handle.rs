//! The log as others see it: receivers append, the fold hears of sealed segments and says how far it has come.

use super::files::FileId;
use super::files::Files;
use super::record::FRAME;
use super::recover::Found;
use super::room::InFlight;
use super::room::NoRoom;
use super::time::LogicalTime;
use super::writer::Writer;
use crate::redact::Redacted;
use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;
use std::sync::mpsc::TrySendError;
use std::task::Context;
use std::task::Poll;
use std::task::ready;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::sync::watch;

/// Bytes that a request may have at most, so that offsets within it fit 4 bytes.
const MAX_REQUEST: u64 = 1 << 30;
/// When to try again while too many requests wait for the disk.
const BUSY_HINT: Duration = Duration::from_secs(1);
/// When to try again while the disk or the cap is full.
const FULL_HINT: Duration = Duration::from_secs(5);

/// A log that has been opened.
#[derive(Debug)]
pub struct Opened {
    /// The handle.
    pub wal: Wal,
    /// Has to run on a thread of its own.
    pub writer: Writer,
    /// Sealed segments, those found first.
    pub sealed: Sealed,
    /// What was found.
    pub found: Found,
}

/// Why a request was not appended. Nothing of it is acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// There is no room now, or it waited past its deadline.
    #[error("no room in the write-ahead log")]
    Full {
        /// When trying again makes sense.
        retry_after: Duration,
    },
    /// It is larger than the log can ever take.
    #[error("request is larger than the write-ahead log takes")]
    TooLarge,
    /// The log is being closed.
    #[error("the write-ahead log is closed")]
    Closed,
    /// The disk has failed, and the process is about to end.
    #[error("the write-ahead log has failed")]
    Poisoned,
}

/// Where a request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// Its segment; 0 for a request without records, which stands nowhere.
    pub segment: u64,
    /// Number of its first record.
    pub first_sequence: u64,
    /// How many records it has.
    pub records: u64,
}

/// Counts since the log was opened, and what it takes now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Requests appended.
    pub requests: u64,
    /// Records appended.
    pub records: u64,
    /// Groups of requests that were synced at once.
    pub groups: u64,
    /// Bytes appended.
    pub bytes: u64,
    /// Segments sealed.
    pub seals: u64,
    /// Bytes of files now.
    pub used: u64,
    /// Bytes of the outbox, as it was last said.
    pub outbox: u64,
    /// Bytes of requests that wait to be written.
    pub in_flight: u64,
    /// Bytes free on the disk.
    pub free: u64,
    /// Monotonic time since which there are records that are not folded; those of an earlier process count from the
    /// start of this one.
    pub unfolded_since: Option<Duration>,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) requests: AtomicU64,
    pub(super) records: AtomicU64,
    pub(super) groups: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) seals: AtomicU64,
}

/// How far the fold has come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Progress {
    pub(super) segment: u64,
    pub(super) deadline: Option<LogicalTime>,
}

const OPEN: u8 = 0;
const CLOSED: u8 = 1;
const POISONED: u8 = 2;

/// What handles and writer share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) files: Files,
    pub(super) counters: Counters,
    state: AtomicU8,
    stopping: AtomicBool,
    progress: Mutex<Progress>,
    /// Monotonic time of the first record of each segment that is not folded.
    begun: Mutex<BTreeMap<u64, Duration>>,
}

impl Shared {
    pub(super) fn new(files: Files, progress: Progress) -> Self {
        Self {
            files,
            counters: Counters::default(),
            state: AtomicU8::new(OPEN),
            stopping: AtomicBool::new(false),
            progress: Mutex::new(progress),
            begun: Mutex::default(),
        }
    }

    /// Notes that a segment holds a record since then.
    pub(super) fn began(&self, segment: u64, at: Duration) {
        self.begun().entry(segment).or_insert(at);
    }

    fn begun(&self) -> MutexGuard<'_, BTreeMap<u64, Duration>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Nothing is taken from now on.
    pub(super) fn close(&self) {
        // A log that has failed stays failed.
        let _ = self.state.compare_exchange(OPEN, CLOSED, Ordering::AcqRel, Ordering::Acquire);
    }

    pub(super) fn poison(&self) {
        self.state.store(POISONED, Ordering::Release);
    }

    /// Why a request got no answer.
    fn reason(&self) -> AppendError {
        if self.state.load(Ordering::Acquire) == POISONED { AppendError::Poisoned } else { AppendError::Closed }
    }
}

/// What the writer is told.
#[derive(Debug)]
pub(super) enum Command {
    Append(Request),
    /// Look at what is shared.
    Wake,
}

/// A request on its way to the writer.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) content: Vec<Redacted>,
    /// With frames.
    pub(super) size: u64,
    pub(super) records: u64,
    /// Monotonic time after which its sender no longer waits.
    pub(super) deadline: Option<Duration>,
    pub(super) answer: oneshot::Sender<Result<Receipt, AppendError>>,
    pub(super) space: InFlight,
}

/// The handle of the log. Clones are the same log.
#[derive(Debug, Clone)]
pub struct Wal {
    shared: Arc<Shared>,
    inbox: SyncSender<Command>,
}

impl Wal {
    pub(super) fn new(shared: Arc<Shared>, inbox: SyncSender<Command>) -> Self {
        Self { shared, inbox }
    }

    /// Appends a request and returns once it is on stable storage. Not appended if the caller stops waiting (drops
    /// the future, or lets `deadline`, on the clock's monotonic scale, pass) before the writer has come to it.
    ///
    /// # Errors
    /// Each [`AppendError`] means that the request is not acknowledged. After [`AppendError::Poisoned`] nobody knows
    /// whether it is in the log; after the others it is not.
    pub async fn append(&self, request: Vec<Redacted>, deadline: Option<Duration>) -> Result<Receipt, AppendError> {
        self.submit(request, deadline)?.await
    }

    /// Hands a request to the writer without waiting for its answer.
    ///
    /// # Errors
    /// As [`Wal::append`]; the request has not been handed over.
    pub fn submit(&self, request: Vec<Redacted>, deadline: Option<Duration>) -> Result<Pending, AppendError> {
        if self.shared.state.load(Ordering::Acquire) != OPEN {
            return Err(self.shared.reason());
        }
        let (sender, receiver) = oneshot::channel();
        let pending = Pending { receiver, shared: Arc::clone(&self.shared) };
        let mut content = request;
        content.retain(|redacted| !redacted.records().is_empty());
        let records = content.iter().map(|redacted| redacted.records().len() as u64).sum();
        if records == 0 {
            // Nothing has to be made durable.
            let _ = sender.send(Ok(Receipt { segment: 0, first_sequence: 0, records: 0 }));
            return Ok(pending);
        }
        let frames = (records + content.len() as u64) * FRAME as u64;
        let size = content.iter().map(|redacted| redacted.size() as u64).sum::<u64>() + frames;
        if size > MAX_REQUEST {
            return Err(AppendError::TooLarge);
        }
        let space = self.shared.files.room().take(size).map_err(|no_room| match no_room {
            NoRoom::Busy => AppendError::Full { retry_after: BUSY_HINT },
            NoRoom::Full => AppendError::Full { retry_after: FULL_HINT },
            NoRoom::Never => AppendError::TooLarge,
        })?;
        let request = Request { content, size, records, deadline, answer: sender, space };
        self.inbox.try_send(Command::Append(request)).map_err(|error| match error {
            TrySendError::Full(_) => AppendError::Full { retry_after: BUSY_HINT },
            TrySendError::Disconnected(_) => self.shared.reason(),
        })?;
        Ok(pending)
    }

    /// Says that the fold has come through `segment`, and when, if ever, something that is open may be due: an empty
    /// segment is then sealed, so that the fold sees the time. To be said once at the start, for the floor.
    pub fn folded(&self, segment: u64, deadline: Option<LogicalTime>) {
        *self.shared.progress() = Progress { segment, deadline };
        self.shared.begun().retain(|begun, _| *begun > segment);
        self.wake();
    }

    /// Says how many bytes the outbox takes; they count towards the cap.
    pub fn set_outbox_bytes(&self, bytes: u64) {
        self.shared.files.room().set_outbox(bytes);
    }

    /// Takes no more requests, and lets the writer end once those that wait are answered and the open segment is
    /// sealed as a shutdown's. If the open segment is empty but the fold has something open or is behind, an empty
    /// one is sealed so. Does not wait.
    pub fn stop(&self) {
        self.shared.close();
        self.shared.stopping.store(true, Ordering::Release);
        self.wake();
    }

    /// The log's files, for whoever folds them.
    pub fn files(&self) -> &Files {
        &self.shared.files
    }

    /// Counts and sizes.
    pub fn stats(&self) -> Stats {
        let counters = &self.shared.counters;
        let room = self.shared.files.room();
        Stats {
            requests: counters.requests.load(Ordering::Relaxed),
            records: counters.records.load(Ordering::Relaxed),
            groups: counters.groups.load(Ordering::Relaxed),
            bytes: counters.bytes.load(Ordering::Relaxed),
            seals: counters.seals.load(Ordering::Relaxed),
            used: room.used(),
            outbox: room.outbox(),
            in_flight: room.in_flight(),
            free: room.free(),
            unfolded_since: self.shared.begun().values().next().copied(),
        }
    }

    /// Whether a request would find room now.
    pub fn has_room(&self) -> bool {
        self.shared.state.load(Ordering::Acquire) == OPEN && self.shared.files.room().take(1).is_ok()
    }

    fn wake(&self) {
        // A full queue wakes the writer too.
        let _ = self.inbox.try_send(Command::Wake);
    }
}

/// The answer to a request that has been handed over. Dropping it takes the request back, if there is still time.
#[derive(Debug)]
pub struct Pending {
    receiver: oneshot::Receiver<Result<Receipt, AppendError>>,
    shared: Arc<Shared>,
}

impl Pending {
    /// The answer, if it has come.
    pub fn try_answer(&mut self) -> Option<Result<Receipt, AppendError>> {
        match self.receiver.try_recv() {
            Ok(answer) => Some(answer),
            Err(oneshot::error::TryRecvError::Empty) => None,
            Err(oneshot::error::TryRecvError::Closed) => Some(Err(self.shared.reason())),
        }
    }
}

impl Future for Pending {
    type Output = Result<Receipt, AppendError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = ready!(Pin::new(&mut self.receiver).poll(context));
        Poll::Ready(answer.unwrap_or_else(|_| Err(self.shared.reason())))
    }
}

/// The sealed segments, each once, in order: those that were found at the start, then those that are sealed.
#[derive(Debug)]
pub struct Sealed {
    found: VecDeque<u64>,
    through: u64,
    highest: watch::Receiver<u64>,
}

impl Sealed {
    pub(super) fn new(found: &Found, through: u64, highest: watch::Receiver<u64>) -> Self {
        Self { found: found.segments.iter().copied().collect(), through, highest }
    }

    /// The next one, if there is one now.
    pub fn try_next(&mut self) -> Option<FileId> {
        if let Some(found) = self.found.pop_front() {
            return Some(FileId::Segment(found));
        }
        let highest = *self.highest.borrow_and_update();
        (self.through < highest).then(|| {
            self.through += 1;
            FileId::Segment(self.through)
        })
    }

    /// Waits for the next one; `None` when the writer has ended and all have been given.
    pub async fn next(&mut self) -> Option<FileId> {
        loop {
            if let Some(next) = self.try_next() {
                return Some(next);
            }
            if self.highest.changed().await.is_err() {
                return self.try_next();
            }
        }
    }
}
