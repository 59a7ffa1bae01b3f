//! One life of the back half, as the program wires it, by turns: it ends by a stop, a kill, or a disk that fails.

use crate::clock::Clock;
use crate::clock::ManualClock;
use crate::failpoint::Killed;
use crate::fold;
use crate::fold::open::Patience as Trace;
use crate::fold::window::Limits;
use crate::lake::encode;
use crate::lake::encode::Format;
use crate::lake::jsonl::Compression;
use crate::lake::jsonl::ToolCallForm;
use crate::lake::objects::FaultObjects;
use crate::lake::outbox::Outbox;
use crate::lake::partition;
use crate::lake::store::Patience;
use crate::lake::store::Store;
use crate::lake::upload::Next;
use crate::lake::upload::Uploader;
use crate::metrics::Metrics;
use crate::metrics::Settled;
use crate::road;
use crate::road::Road;
use crate::road::StepError;
use crate::wal;
use crate::wal::FileId;
use crate::wal::Files;
use crate::wal::Home;
use crate::wal::Sealed;
use crate::wal::Turn;
use crate::wal::Wal;
use crate::wal::Writer;
use crate::wal::disk::Disk;
use crate::wal::disk::FaultDisk;
use std::future::Future;
use std::io;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::panic::resume_unwind;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;
use std::time::Duration;

pub(crate) const DATA: &str = "/data";
const SECOND: u64 = 1_000_000_000;
/// How long a full disk is left alone.
const FULL: Duration = Duration::from_secs(1);

/// What is configured.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) log: wal::Config,
    pub(crate) json: bool,
    pub(crate) close_open: bool,
    /// Seconds: linger, idle, max_age.
    pub(crate) patience: (u64, u64, u64),
    /// Bytes of rows in a file.
    pub(crate) file_bytes: u64,
    /// How long a resend is recognised.
    pub(crate) window: u64,
    pub(crate) partition: &'static str,
    pub(crate) partitions: usize,
    /// Whether the store is asked first whether it can do what it must.
    pub(crate) probes: bool,
}

impl Default for Settings {
    fn default() -> Self {
        let log = wal::Config { roll_size: 16 << 10, cap: 4 << 20, reserve: 0, ..wal::Config::default() };
        Self {
            log,
            json: false,
            close_open: false,
            patience: (3, 40, 200),
            file_bytes: 4 << 10,
            window: 3600,
            partition: partition::DEFAULT,
            partitions: 100,
            probes: false,
        }
    }
}

impl Settings {
    fn fold(&self) -> fold::Settings {
        let (linger, idle, max_age) = self.patience;
        fold::Settings {
            patience: Trace { linger: linger * SECOND, idle: idle * SECOND, max_age: max_age * SECOND },
            window: Limits { age: self.window * SECOND, count: 1 << 20 },
            held: self.log.cap / 2,
            memory: 1 << 20,
            tombs: 1000,
            // So little that some folds hand rows on.
            rows: 16 << 10,
            assemble: fold::assemble::Settings::default(),
        }
    }

    fn road(&self, home: &Home) -> road::Settings {
        let json = Format::JsonLines { form: ToolCallForm::default(), compression: Compression::None };
        let encode = encode::Settings {
            format: if self.json { json } else { Format::Proto },
            template: self.partition.parse().unwrap(),
            partitions: self.partitions,
            file_bytes: self.file_bytes,
        };
        road::Settings { close_open: self.close_open, encode, writer: home.writer().to_string().parse().unwrap() }
    }
}

/// Why a life has ended.
#[derive(Debug)]
pub(crate) enum Death {
    /// Killed at a point.
    Killed,
    /// The disk said so; the program ends with its own exit status.
    Disk(String),
}

impl From<io::Error> for Death {
    fn from(error: io::Error) -> Self {
        Self::Disk(error.to_string())
    }
}

impl From<StepError> for Death {
    fn from(error: StepError) -> Self {
        Self::Disk(format!("{error}: {}", error.source))
    }
}

type Step = Pin<Box<dyn Future<Output = (Uploader, io::Result<Next>)>>>;

enum Upload {
    /// Not before this time; with `true`, also when there is something new.
    Idle(Uploader, Option<Duration>, bool),
    Busy(Step),
    Over,
}

/// The back half of the road.
pub(crate) struct Process {
    pub(crate) disk: FaultDisk,
    pub(crate) objects: FaultObjects,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) wal: Wal,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) road: Option<Road>,
    /// Records that the log lost to damage.
    pub(crate) damaged: u64,
    /// What was done about a carry that was lost.
    pub(crate) mended: road::Mended,
    /// What open traces wait for since the last step.
    pub(crate) waiting: Option<fold::open::Waiting>,
    settings: Settings,
    writer: Writer,
    is_stopped: bool,
    sealed: Sealed,
    /// A segment whose step met a full disk, and when it is tried again.
    again: Option<(FileId, Duration)>,
    upload: Upload,
    /// Numbers that were given before this life.
    given: u64,
    home: Home,
}

/// Runs a part of a process; a kill ends it, a failed check ends the test.
fn alive<T>(part: impl FnOnce() -> Result<T, Death>) -> Result<T, Death> {
    match catch_unwind(AssertUnwindSafe(part)) {
        Ok(result) => result,
        Err(payload) if payload.is::<Killed>() => Err(Death::Killed),
        Err(payload) => resume_unwind(payload),
    }
}

impl Process {
    pub(crate) fn start(disk: FaultDisk, objects: FaultObjects, wall: i64, settings: &Settings) -> Result<Self, Death> {
        alive(|| {
            let clock = Arc::new(ManualClock::new(wall));
            let shared: Arc<dyn Disk> = Arc::new(disk.clone());
            let opened = |error: wal::OpenError| match error {
                wal::OpenError::Io { source, doing } => Death::Disk(format!("{doing}: {source}")),
                error => panic!("I12: {error}"),
            };
            let home = Home::claim(Arc::clone(&shared), Path::new(DATA), "w", 7).map_err(opened)?;
            let outbox = Arc::new(Outbox::open(shared, &Path::new(DATA).join("outbox"))?);
            let mended = Road::mend(settings.fold(), &Files::of(&home), &outbox)?;
            let floor = Road::floor(&outbox)?;
            let opened =
                wal::open(&home, floor, &settings.log, Arc::clone(&clock) as Arc<dyn Clock>).map_err(opened)?;
            let files = opened.wal.files().clone();
            let road =
                Road::open(settings.fold(), settings.road(&home), files, Arc::clone(&outbox), &opened.found.old)?;
            let metrics = Arc::new(Metrics::default());
            let mut recovered = opened.found.records + u64::try_from(road.open_records()).unwrap();
            for entry in outbox.waiting().into_iter().chain(outbox.parked()) {
                recovered += outbox.records(entry)?;
            }
            metrics.recovered(recovered + mended.set_aside);
            metrics.settled(&Settled { quarantined: mended.set_aside, ..Settled::default() });
            let (segment, deadline) = road.progress();
            opened.wal.folded(segment, deadline);
            opened.wal.set_outbox_bytes(outbox.backlog().bytes);
            let shared_clock = Arc::clone(&clock) as Arc<dyn Clock>;
            let store = Store::new(Arc::new(objects.clone()), Patience::default(), Arc::clone(&metrics));
            let store = store.on(Arc::clone(&shared_clock));
            let mut uploader = Uploader::new(Arc::clone(&outbox), store, shared_clock, Arc::clone(&metrics), 3);
            if settings.probes {
                uploader = uploader.probing(road.writer().clone());
            }
            Ok(Self {
                disk,
                objects,
                clock,
                wal: opened.wal,
                outbox,
                road: Some(road),
                damaged: mended.set_aside,
                mended,
                waiting: None,
                settings: settings.clone(),
                writer: opened.writer.counting_in(Arc::clone(&metrics)),
                metrics,
                is_stopped: false,
                sealed: opened.sealed,
                again: None,
                upload: Upload::Idle(uploader, None, true),
                given: floor.next_sequence + opened.found.records,
                home,
            })
        })
    }

    fn now(&self) -> Duration {
        self.clock.monotonic()
    }

    /// Gives the log one turn. Says whether there may be more.
    pub(crate) fn write(&mut self) -> Result<bool, Death> {
        alive(|| match self.writer.turn() {
            Ok(turn) => {
                self.is_stopped |= turn == Turn::Stopped;
                Ok(turn == Turn::Worked)
            }
            Err(failed) => Err(Death::Disk(format!("{failed}: {}", failed.source))),
        })
    }

    /// Folds one segment, if one is sealed.
    pub(crate) fn fold(&mut self) -> Result<bool, Death> {
        alive(|| {
            if self.again.is_some_and(|(_, at)| at > self.now()) {
                return Ok(false);
            }
            let file = match self.again {
                Some((file, _)) => file,
                None => match self.sealed.try_next() {
                    Some(file) => file,
                    None => return Ok(false),
                },
            };
            if self.road.is_none() {
                match self.open_road() {
                    Err(error) if error.is_full() => {
                        self.again = Some((file, self.now() + FULL));
                        return Ok(false);
                    }
                    result => self.road = Some(result?),
                }
            }
            let Some(road) = &mut self.road else { return Ok(false) };
            match road.step(file, None) {
                Ok(stepped) => {
                    self.again = None;
                    self.waiting = Some(stepped.waiting);
                    self.damaged += stepped.damaged;
                    self.metrics.settled(&Settled { quarantined: stepped.damaged, ..Settled::default() });
                    self.wal.folded(stepped.segment, stepped.next_deadline);
                    self.wal.set_outbox_bytes(self.outbox.backlog().bytes);
                    if let Upload::Idle(_, at, true) = &mut self.upload {
                        *at = None;
                    }
                    Ok(true)
                }
                Err(error) if error.is_full() => {
                    self.road = None;
                    self.again = Some((file, self.now() + FULL));
                    Ok(false)
                }
                Err(error) => Err(error.into()),
            }
        })
    }

    fn open_road(&self) -> Result<Road, StepError> {
        let files = self.wal.files().clone();
        let settings = self.settings.road(&self.home);
        Road::open(self.settings.fold(), settings, files, Arc::clone(&self.outbox), &[])
    }

    /// Lets the uploads go on as far as they can without passing time.
    pub(crate) fn upload(&mut self) -> Result<bool, Death> {
        let now = self.now();
        let mut step = match std::mem::replace(&mut self.upload, Upload::Over) {
            Upload::Idle(uploader, Some(at), flag) if at > now => {
                self.upload = Upload::Idle(uploader, Some(at), flag);
                return Ok(false);
            }
            Upload::Idle(mut uploader, ..) => Box::pin(async move {
                let result = uploader.step().await;
                (uploader, result)
            }),
            Upload::Busy(step) => step,
            Upload::Over => return Ok(false),
        };
        alive(|| {
            let mut context = Context::from_waker(Waker::noop());
            match step.as_mut().poll(&mut context) {
                Poll::Pending => {
                    self.upload = Upload::Busy(step);
                    Ok(false)
                }
                Poll::Ready((uploader, result)) => {
                    let is_well = uploader.report().lock().unwrap().trouble.is_none();
                    let (at, more) = match result? {
                        Next::Now => (None, true),
                        Next::After(wait) => (Some(now + wait), false),
                        Next::Idle => (Some(Duration::MAX), false),
                    };
                    self.upload = Upload::Idle(uploader, at, is_well);
                    self.wal.set_outbox_bytes(self.outbox.backlog().bytes);
                    Ok(more)
                }
            }
        })
    }

    /// Everything that can be done now.
    pub(crate) fn work(&mut self) -> Result<(), Death> {
        while self.write()? | self.fold()? | self.upload()? {}
        Ok(())
    }

    /// When something happens next by itself.
    pub(crate) fn next_at(&mut self) -> Result<Option<Duration>, Death> {
        let log = alive(|| match self.writer.turn() {
            Ok(Turn::Idle(at)) => Ok(at),
            Ok(_) => Ok(Some(Duration::ZERO)),
            Err(failed) => Err(Death::Disk(failed.to_string())),
        })?;
        let log = log.filter(|_| !self.is_stopped);
        let upload = match &self.upload {
            Upload::Idle(_, at, _) => at.filter(|at| *at < Duration::MAX),
            Upload::Busy(_) => self.clock.next_wake(),
            Upload::Over => None,
        };
        let again = self.again.map(|(_, at)| at);
        Ok([log, upload, again].into_iter().flatten().min())
    }

    /// Whether nothing is left to do but to wait for senders.
    pub(crate) fn is_drained(&self) -> bool {
        let is_folded = self.road.as_ref().is_some_and(|road| road.open_records() == 0) && self.unfolded() == 0;
        is_folded && self.again.is_none() && self.outbox.backlog().entries == 0
    }

    fn unfolded(&self) -> u64 {
        let folded = self.road.as_ref().map_or(0, Road::next_sequence);
        (self.given + self.wal.stats().records).saturating_sub(folded)
    }

    /// What holds at every moment.
    pub(crate) fn check(&self) {
        let ledger = self.metrics.ledger();
        assert!(ledger.balances(), "I7: {ledger:?}");
        let cap = self.settings.log.cap + self.settings.log.roll_size;
        let used = self.wal.stats().used + self.outbox.backlog().bytes;
        assert!(used <= cap, "I6: {used} bytes where {cap} are allowed");
    }

    /// What holds while nothing is under way: what is said to be buffered is there.
    pub(crate) fn check_still(&self) {
        self.check();
        let Upload::Idle(..) = &self.upload else { return };
        let Some(road) = &self.road else { return };
        let entries = self.outbox.waiting().into_iter().chain(self.outbox.parked());
        let shipped: u64 = entries.map(|entry| self.outbox.records(entry).unwrap()).sum();
        let buffered = self.unfolded() + u64::try_from(road.open_records()).unwrap() + shipped;
        let said = self.metrics.ledger().buffered;
        assert_eq!(said, buffered, "I7: buffered as said, and as it is");
    }

    /// Whether the log has ended.
    pub(crate) fn is_stopped(&self) -> bool {
        self.is_stopped
    }

    /// Asks for the end.
    pub(crate) fn stop(&mut self) {
        self.wal.stop();
    }
}
