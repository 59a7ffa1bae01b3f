//! The one who writes: takes all requests that wait, writes them at once, syncs once, answers all.
//!
//! [`Writer::turn`] is the whole of it, and neither waits nor reads a clock of its own, so a test or a simulation can
//! take its turns by hand; [`Writer::run`] waits between turns.
//!
//! Errors are of two kinds. "Full" is answered to those who wait, what was written of the group is cut off again and
//! synced, and the next try is made a second later at the earliest. Everything else, and any error of a sync, is the
//! end: what the file holds is then unknown, and a sync that is tried again may report a success that is none.

use super::Config;
use super::disk;
use super::disk::File;
use super::files::FileId;
use super::files::Files;
use super::handle::AppendError;
use super::handle::Opened;
use super::handle::Progress;
use super::handle::Receipt;
use super::handle::Request;
use super::handle::Sealed;
use super::handle::Shared;
use super::handle::Wal;
use super::home::Home;
use super::home::OpenError;
use super::queue::Queue;
use super::record::Frames;
use super::record::Seed;
use super::recover::Floor;
use super::recover::recover;
use super::room::InFlight;
use super::room::Limits;
use super::room::Room;
use super::segment::HEADER;
use super::segment::Header;
use super::segment::Reason;
use super::segment::SEAL;
use super::segment::Seal;
use super::time::LogicalClock;
use crate::clock::Clock;
use crate::failpoint;
use crate::failpoint::Mutation;
use crate::failpoint::Point;
use crate::metrics::Metrics;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::sync_channel;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::sync::watch;

/// Bytes of requests that are written and synced at once.
const GROUP: u64 = 8 << 20;
/// How long a full disk is left alone, and those who ask are sent away.
const RETRY: Duration = Duration::from_secs(1);
/// Bytes of the buffer that outlive a segment.
const KEEP: usize = 256 << 10;

/// Opens the log of a data directory: makes whole what an earlier process left, and goes on behind it. `floor` is how
/// far the outbox has come. The floor's deadline is still to be said: [`Wal::folded`].
///
/// # Errors
/// [`OpenError::Version`], [`OpenError::Foreign`], or what the disk says.
pub fn open(home: &Home, floor: Floor, config: &Config, clock: Arc<dyn Clock>) -> Result<Opened, OpenError> {
    let limits =
        Limits { cap: config.cap, reserve: config.reserve, segment: config.roll_size, in_flight: config.in_flight };
    let disk = Arc::clone(home.disk());
    let room = Arc::new(Room::new(limits, Arc::clone(&disk), home.dir().to_owned(), Arc::clone(&clock)));
    let files = Files::new(disk, home.dir(), home.writer().id, room);
    let (found, next) = recover(&files, floor)?;
    let shared = Arc::new(Shared::new(files, Progress { segment: floor.segment, deadline: None }));
    for segment in &found.segments {
        shared.began(*segment, clock.monotonic());
    }
    let (sender, inbox) = sync_channel(config.queue);
    let (announce, highest) = watch::channel(next.segment - 1);
    let writer = Writer {
        shared: Arc::clone(&shared),
        roll_age: config.roll_age,
        roll_size: config.roll_size,
        queue: Queue::of(inbox),
        time: LogicalClock::new(clock, next.time),
        announce,
        next_segment: next.segment,
        open: None,
        frames: Frames::new(Seed::new(home.writer().id, FileId::Segment(next.segment)), 0),
        group: Vec::new(),
        sequence: next.sequence,
        last_seal: None,
        retry_at: None,
        metrics: Arc::default(),
        is_over: false,
    };
    let sealed = Sealed::new(&found, next.segment - 1, highest);
    Ok(Opened { wal: Wal::new(shared, sender), writer, sealed, found })
}

/// The disk has failed. The process has to end, and the next one finds out what is there.
#[derive(Debug, thiserror::Error)]
#[error("{doing}")]
pub struct Failed {
    /// What was being done.
    pub doing: String,
    /// Why it failed.
    #[source]
    pub source: io::Error,
}

/// What came of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Something was done; there may be more.
    Worked,
    /// There is nothing to do before a request comes, or before this monotonic time.
    Idle(Option<Duration>),
    /// The log is closed: the last turn.
    Stopped,
}

/// The open segment.
#[derive(Debug)]
struct Open {
    id: FileId,
    file: Box<dyn File>,
    /// Bytes that are on stable storage.
    len: u64,
    /// Bytes that have space.
    allocated: u64,
    /// Whether its name has not been synced yet: nothing of it has been acknowledged.
    is_new: bool,
    /// Monotonic time of its first record.
    since: Duration,
    /// On stable storage.
    records: u32,
    envelopes: u32,
    /// Number of its next record, as far as it is on stable storage.
    sequence: u64,
}

/// A request whose bytes are in the buffer.
#[derive(Debug)]
struct Written {
    answer: oneshot::Sender<Result<Receipt, AppendError>>,
    receipt: Receipt,
    envelopes: u32,
    _space: InFlight,
}

/// Writes the log. Has to be run on a thread of its own, or by turns.
#[derive(Debug)]
pub struct Writer {
    shared: Arc<Shared>,
    roll_age: Duration,
    roll_size: u64,
    queue: Queue,
    time: LogicalClock,
    announce: watch::Sender<u64>,
    next_segment: u64,
    open: Option<Open>,
    /// Bytes that are still to be written to the open segment.
    frames: Frames,
    /// The requests in them.
    group: Vec<Written>,
    /// Number of the next record, with those in the buffer.
    sequence: u64,
    last_seal: Option<Duration>,
    /// The disk was full: when to try again.
    retry_at: Option<Duration>,
    /// Where records are counted as received.
    metrics: Arc<Metrics>,
    is_over: bool,
}

impl Writer {
    /// Counts what it takes in `metrics`, before it is answered.
    #[must_use]
    pub fn counting_in(self, metrics: Arc<Metrics>) -> Self {
        Self { metrics, ..self }
    }

    /// Writes until the log is stopped ([`Wal::stop`], or all handles are dropped).
    ///
    /// # Errors
    /// When the disk has failed: the process has to end with the exit status of failed storage.
    pub fn run(mut self) -> Result<(), Failed> {
        loop {
            match self.turn()? {
                Turn::Worked => {}
                Turn::Idle(until) => {
                    let at_most = until.map(|until| until.saturating_sub(self.time.monotonic()));
                    self.queue.wait(at_most);
                }
                Turn::Stopped => return Ok(()),
            }
        }
    }

    /// Does what there is to do, without waiting.
    ///
    /// # Errors
    /// As [`Writer::run`]. No later turn touches the disk.
    pub fn turn(&mut self) -> Result<Turn, Failed> {
        if self.is_over {
            return Ok(Turn::Stopped);
        }
        self.queue.collect(GROUP);
        let now = self.time.monotonic();
        if let Some((_, reason)) = self.due().filter(|(at, _)| *at <= now) {
            self.seal(reason)?;
            return Ok(Turn::Worked);
        }
        if !self.queue.is_empty() {
            self.commit()?;
            return Ok(Turn::Worked);
        }
        if self.queue.is_disconnected() || self.shared.is_stopping() {
            self.stop()?;
            return Ok(Turn::Stopped);
        }
        Ok(Turn::Idle(self.due().map(|(at, _)| at)))
    }

    /// The number of the last segment that was sealed, or found so, or folded.
    pub(super) fn last_sealed(&self) -> u64 {
        self.next_segment - 1
    }

    /// When the open segment is to be sealed, or an empty one, and why.
    fn due(&self) -> Option<(Duration, Reason)> {
        let (at, reason) = if let Some(open) = &self.open {
            (open.since.saturating_add(self.roll_age), Reason::Age)
        } else {
            let progress = *self.shared.progress();
            // The fold says a new deadline when it has come through the last segment.
            let deadline = progress.deadline.filter(|_| progress.segment >= self.last_sealed())?;
            let not_before = self.last_seal.map_or(Duration::ZERO, |last| last.saturating_add(self.roll_age));
            (self.time.monotonic_at(deadline).max(not_before), Reason::Deadline)
        };
        Some((at.max(self.retry_at.unwrap_or_default()), reason))
    }

    fn commit(&mut self) -> Result<(), Failed> {
        while let Some(request) = self.queue.next() {
            let now = self.time.monotonic();
            if request.answer.is_closed() {
                continue;
            }
            let is_late = request.deadline.is_some_and(|deadline| deadline <= now);
            if is_late || self.retry_at.is_some_and(|at| now < at) {
                refuse(request.answer);
                continue;
            }
            if !self.fits(request.size) {
                self.flush(Some(Reason::Size))?;
            }
            if self.open.is_none() {
                let bytes = HEADER as u64 + request.size + SEAL as u64;
                self.begin(bytes.max(self.roll_size))?;
            }
            if self.open.is_none() || !self.fits(request.size) {
                refuse(request.answer);
                continue;
            }
            self.encode(request);
            if self.frames.bytes().len() as u64 >= GROUP {
                self.flush(None)?;
            }
        }
        self.flush(None)
    }

    /// Whether a request of so many bytes has room in the open segment. Where none is open, one will be made for it.
    fn fits(&self, size: u64) -> bool {
        self.open.as_ref().is_none_or(|open| self.frames.end() + size + SEAL as u64 <= open.allocated)
    }

    /// Makes the next segment; none is open afterwards if the disk is full.
    fn begin(&mut self, allocated: u64) -> Result<(), Failed> {
        let id = FileId::Segment(self.next_segment);
        let files = &self.shared.files;
        let path = files.path(id);
        let file = match files.disk().create(&path) {
            Ok(file) => file,
            Err(error) if disk::is_full(&error) => {
                self.note_full(&error);
                return Ok(());
            }
            Err(error) => return Err(self.fail(format!("create {}", path.display()), error)),
        };
        files.room().set(id, allocated);
        files.room().set_open(true);
        let space = file.allocate(allocated);
        let seed = Seed::new(files.writer(), id);
        let header = Header { writer: files.writer(), file: id, first_sequence: self.sequence, begun: self.time.now() };
        self.frames.restart(seed, 0);
        self.frames.push_raw(&header.encode());
        self.open = Some(Open {
            id,
            file,
            len: 0,
            allocated,
            is_new: true,
            since: self.time.monotonic(),
            records: 0,
            envelopes: 0,
            sequence: self.sequence,
        });
        match space {
            Ok(()) => Ok(()),
            Err(error) if disk::is_full(&error) => self.take_back(&error),
            Err(error) => Err(self.fail(format!("take space for {}", path.display()), error)),
        }
    }

    fn encode(&mut self, request: Request) {
        let Some(open) = &self.open else { return };
        let FileId::Segment(segment) = open.id else { return };
        let receipt = Receipt { segment, first_sequence: self.sequence, records: request.records };
        let time = self.time.now();
        for redacted in &request.content {
            self.frames.push_envelope(self.sequence, time, redacted.envelope());
            for record in redacted.records() {
                self.frames.push_record(self.sequence, time, record);
                self.sequence += 1;
            }
        }
        let envelopes = u32::try_from(request.content.len()).unwrap_or(u32::MAX);
        self.group.push(Written { answer: request.answer, receipt, envelopes, _space: request.space });
    }

    /// Writes and syncs what is in the buffer, behind it a seal if there is a reason for one, and answers.
    fn flush(&mut self, reason: Option<Reason>) -> Result<(), Failed> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let records = self.group.iter().map(|written| written.receipt.records).sum::<u64>();
        let records = open.records.saturating_add(u32::try_from(records).unwrap_or(u32::MAX));
        let envelopes = self.group.iter().fold(open.envelopes, |sum, written| sum.saturating_add(written.envelopes));
        if let Some(reason) = reason {
            let time = self.time.now();
            let seal = Seal { time, reason, next_sequence: self.sequence, records, envelopes };
            self.frames.push_seal(self.sequence, time, &seal.payload());
        } else if self.group.is_empty() {
            return Ok(());
        }
        if failpoint::has(Mutation::AckBeforeSync) {
            self.answer();
        }
        let Some(open) = &mut self.open else { return Ok(()) };
        let path = self.shared.files.path(open.id);
        failpoint::reached(Point::LogBeforeWrite);
        if let Err(error) = open.file.write_at(self.frames.base(), self.frames.bytes()) {
            if disk::is_full(&error) {
                return self.take_back(&error);
            }
            return Err(self.fail(format!("write {}", path.display()), error));
        }
        let end = self.frames.end();
        let cut = if reason.is_some() { open.file.set_len(end) } else { Ok(()) };
        failpoint::reached(Point::LogBeforeSync);
        let mut synced = cut.and_then(|()| open.file.sync());
        if failpoint::has(Mutation::SyncAgain) {
            synced = synced.or_else(|_| open.file.sync());
        }
        failpoint::reached(Point::LogBeforeNameSync);
        let named = synced.and_then(|()| match open.is_new && !failpoint::has(Mutation::NoNameSync) {
            true => self.shared.files.disk().sync_dir(self.shared.files.dir()),
            false => Ok(()),
        });
        if let Err(error) = named {
            return Err(self.fail(format!("sync {}", path.display()), error));
        }
        if records > 0
            && let FileId::Segment(number) = open.id
        {
            self.shared.began(number, open.since);
        }
        let counters = &self.shared.counters;
        counters.bytes.fetch_add(self.frames.bytes().len() as u64, Ordering::Relaxed);
        (open.len, open.is_new) = (end, false);
        (open.records, open.envelopes, open.sequence) = (records, envelopes, self.sequence);
        self.frames.advance();
        if self.retry_at.take().is_some() {
            tracing::info!("the disk takes data again");
        }
        if reason.is_some() {
            self.sealed(end);
            failpoint::reached(Point::LogAfterSeal);
        }
        failpoint::reached(Point::LogBeforeAnswer);
        self.answer();
        failpoint::reached(Point::LogAfterAnswer);
        Ok(())
    }

    /// The open segment is sealed and synced.
    fn sealed(&mut self, len: u64) {
        let Some(open) = self.open.take() else { return };
        let room = self.shared.files.room();
        room.set(open.id, len);
        room.set_open(false);
        self.frames.shrink(KEEP);
        self.last_seal = Some(self.time.monotonic());
        self.shared.counters.seals.fetch_add(1, Ordering::Relaxed);
        self.announce.send_replace(self.next_segment);
        self.next_segment += 1;
    }

    fn answer(&mut self) {
        let counters = &self.shared.counters;
        if !self.group.is_empty() {
            counters.groups.fetch_add(1, Ordering::Relaxed);
        }
        for written in self.group.drain(..) {
            counters.requests.fetch_add(1, Ordering::Relaxed);
            counters.records.fetch_add(written.receipt.records, Ordering::Relaxed);
            self.metrics.received(written.receipt.records);
            // Who no longer waits has sent something that lands all the same: a resend of it is recognised.
            let _ = written.answer.send(Ok(written.receipt));
        }
    }

    /// The disk is full: the file is made to be as it was before the group, and the group is refused.
    fn take_back(&mut self, error: &io::Error) -> Result<(), Failed> {
        self.note_full(error);
        let Some(open) = self.open.take() else { return Ok(()) };
        let (len, allocated) = (open.len, open.allocated);
        self.sequence = open.sequence;
        let files = &self.shared.files;
        self.frames.restart(Seed::new(files.writer(), open.id), len);
        // Without the sync, parts of the refused group could be read as records one day.
        let mut cut = open.file.set_len(len).and_then(|()| open.file.sync());
        if open.is_new {
            files.room().set_open(false);
            cut = cut.and_then(|()| files.remove(open.id));
        } else {
            cut = cut.and_then(|()| match open.file.allocate(allocated) {
                // Others took the space: the segment goes on without, and each write may meet a full disk.
                Err(error) if disk::is_full(&error) => Ok(()),
                result => result,
            });
        }
        if let Err(error) = cut {
            return Err(self.fail(format!("cut {}", files.path(open.id).display()), error));
        }
        if !open.is_new {
            self.open = Some(open);
        }
        for written in self.group.drain(..) {
            refuse(written.answer);
        }
        Ok(())
    }

    fn note_full(&mut self, error: &io::Error) {
        if self.retry_at.is_none() {
            tracing::warn!(%error, "the disk is full: requests are refused until it takes data again");
        }
        self.retry_at = Some(self.time.monotonic() + RETRY);
    }

    fn seal(&mut self, reason: Reason) -> Result<(), Failed> {
        if self.open.is_none() {
            self.begin((HEADER + SEAL) as u64)?;
        }
        self.flush(Some(reason))
    }

    fn stop(&mut self) -> Result<(), Failed> {
        self.shared.close();
        self.is_over = true;
        let progress = *self.shared.progress();
        let is_behind = progress.segment < self.last_sealed();
        if self.open.is_some() || is_behind || progress.deadline.is_some() {
            self.seal(Reason::Shutdown)?;
        }
        Ok(())
    }

    /// Ends the log for good.
    fn fail(&mut self, doing: String, source: io::Error) -> Failed {
        self.shared.poison();
        self.is_over = true;
        for written in self.group.drain(..) {
            let _ = written.answer.send(Err(AppendError::Poisoned));
        }
        while let Some(request) = self.queue.next() {
            let _ = request.answer.send(Err(AppendError::Poisoned));
        }
        Failed { doing, source }
    }
}

fn refuse(answer: oneshot::Sender<Result<Receipt, AppendError>>) {
    let _ = answer.send(Err(AppendError::Full { retry_after: RETRY }));
}
