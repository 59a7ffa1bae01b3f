//! The whole road without a network and without threads: requests in, an outbox out. `convert` is made of it.
//!
//! It is the road of `serve`, on a folder that is thrown away afterwards: time stands still, so that nothing is closed
//! for being old, everything is one window, and at the end everything is emitted.

use crate::clock::Clock;
use crate::clock::ManualClock;
use crate::dialect;
use crate::dialect::Read;
use crate::event::Kind;
use crate::fold;
use crate::fold::assemble::Rejoin;
use crate::fold::open::Close;
use crate::lake::outbox::Outbox;
use crate::redact::Redactor;
use crate::road;
use crate::road::Road;
use crate::road::Stepped;
use crate::wal;
use crate::wal::FileId;
use crate::wal::Home;
use crate::wal::Pending;
use crate::wal::Sealed;
use crate::wal::Turn;
use crate::wal::Wal;
use crate::wal::Writer;
use crate::wal::disk::Disk;
use anyhow::Context as _;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use std::path::Path;
use std::sync::Arc;

/// Requests that are synced at once.
const GROUP: usize = 64;

/// What the road is made with.
#[derive(Debug)]
pub struct Settings {
    /// What dialects are told.
    pub dialect: dialect::Settings,
    /// How folds work.
    pub fold: fold::Settings,
    /// How rows become files, and under which writer's name.
    pub road: road::Settings,
    /// Bytes of a segment: the unit of folding.
    pub roll_size: u64,
}

/// The road, offline.
#[derive(Debug)]
pub struct Offline {
    dialect: dialect::Settings,
    redactor: Arc<Redactor>,
    wal: Wal,
    writer: Writer,
    sealed: Sealed,
    road: Road,
    outbox: Arc<Outbox>,
    waiting: Vec<Pending>,
    last: Option<FileId>,
    stepped: Vec<Stepped>,
    _home: Home,
}

impl Offline {
    /// Lays the road in an empty folder.
    ///
    /// # Errors
    /// When the folder cannot be used.
    pub fn new(disk: Arc<dyn Disk>, dir: &Path, settings: Settings, redactor: Redactor) -> anyhow::Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::default());
        let home = Home::claim(Arc::clone(&disk), dir, "offline", 0)?;
        let outbox = Arc::new(Outbox::open(disk, &dir.join("outbox"))?);
        let config = wal::Config {
            roll_size: settings.roll_size,
            cap: u64::MAX >> 1,
            reserve: 0,
            in_flight: u64::MAX >> 1,
            ..wal::Config::default()
        };
        let opened = wal::open(&home, wal::Floor::default(), &config, clock)?;
        let files = opened.wal.files().clone();
        let redactor = Arc::new(redactor);
        let mut fold = settings.fold;
        let joined = Arc::clone(&redactor);
        fold.assemble.rejoin = Rejoin::by(move |_, text| joined.joined(text));
        let road = Road::open(fold, settings.road, files, Arc::clone(&outbox), &[])?;
        Ok(Self {
            dialect: settings.dialect,
            redactor,
            wal: opened.wal,
            writer: opened.writer,
            sealed: opened.sealed,
            road,
            outbox,
            waiting: Vec::new(),
            last: None,
            stepped: Vec::new(),
            _home: home,
        })
    }

    /// Takes a request of spans. `notes` are what its reader had to doubt, by the span's position.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn traces(
        &mut self,
        request: ExportTraceServiceRequest,
        notes: &[(u32, String)],
        received_at: i64,
    ) -> anyhow::Result<()> {
        let reads = dialect::traces(request, &self.dialect);
        self.take(reads, notes, received_at)
    }

    /// Takes a request of log records, likewise.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn logs(
        &mut self,
        request: ExportLogsServiceRequest,
        notes: &[(u32, String)],
        received_at: i64,
    ) -> anyhow::Result<()> {
        let reads = dialect::logs(request, &self.dialect);
        self.take(reads, notes, received_at)
    }

    fn take(&mut self, mut reads: Vec<Read>, notes: &[(u32, String)], received_at: i64) -> anyhow::Result<()> {
        for (position, note) in notes {
            let mut records = reads.iter_mut().flat_map(|read| &mut read.records);
            if let Some((_, partial)) = records.find(|(at, _)| at == position)
                && partial.kind() != Kind::Dead
            {
                partial.row.get_or_insert_default().notes.push(note.clone());
            }
        }
        let redacted = reads.into_iter().map(|mut read| {
            read.envelope.door = String::from("otlp");
            read.envelope.received_at = received_at;
            self.redactor.redact(read.envelope, read.records)
        });
        let redacted = redacted.collect();
        self.waiting.push(self.wal.submit(redacted, None).context("take a request")?);
        if self.waiting.len() >= GROUP { self.work() } else { Ok(()) }
    }

    /// Writes what waits, and folds what has been sealed but the last segment.
    fn work(&mut self) -> anyhow::Result<()> {
        while self.writer.turn()? == Turn::Worked {}
        for mut pending in self.waiting.drain(..) {
            pending.try_answer().context("a request had no answer")?.context("write a request")?;
        }
        self.fold_sealed()
    }

    fn fold_sealed(&mut self) -> anyhow::Result<()> {
        while let Some(file) = self.sealed.try_next() {
            if let Some(before) = self.last.replace(file) {
                self.stepped.push(self.road.step(before, None)?);
            }
        }
        Ok(())
    }

    /// Ends the input: everything that is open is emitted. Gives the outbox with all files, and what each step did.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn finish(mut self) -> anyhow::Result<(Arc<Outbox>, Vec<Stepped>)> {
        self.work()?;
        self.wal.stop();
        while self.writer.turn()? != Turn::Stopped {}
        self.fold_sealed()?;
        if let Some(last) = self.last.take() {
            self.stepped.push(self.road.step(last, Some(Close::End))?);
        }
        Ok((self.outbox, self.stepped))
    }
}
