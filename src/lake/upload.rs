//! The uploads: entries of the outbox go to the store, oldest first.
//!
//! - While the store is well, several entries are under way at once; after trouble that concerns all, one at a time,
//!   with a wait that doubles.
//! - What the store refuses for one entry parks that entry: it is noted beside it, told in the log and in
//!   [`Report`], and tried again every ten minutes and at start. Later entries go on.
//! - A step may be dropped at any time: what was sent and not noted is sent again, and found to be there.
//!
//! Nothing here spawns: whoever owns the [`Uploader`] calls [`Uploader::step`] in its loop.

#[cfg(test)]
mod tests;

use super::commit::Committer;
use super::commit::Trouble;
use super::commit::local;
use super::key::Prefix;
use super::key::Writer;
use super::manifest::Manifest;
use super::objects::Failure;
use super::objects::Scope;
use super::outbox::Outbox;
use super::outbox::Parked;
use super::store::Patience;
use super::store::Store;
use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::metrics::Settled;
use crate::wal::disk;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

/// After how long a refused entry is tried again.
const PARKED_FOR: Duration = Duration::from_secs(600);
/// Entries under way at once.
const ENTRIES: usize = 8;

/// What uploads have to say beside numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Report {
    /// Why nothing can be stored now, with the way out.
    pub trouble: Option<String>,
    /// Whether it lasts until somebody changes something.
    pub lasting: bool,
    /// What is refused, by segment and prefix.
    pub parked: BTreeMap<u64, BTreeMap<String, String>>,
    /// Key of the last file that was committed.
    pub last_file: Option<String>,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// There is more.
    Now,
    /// Not before this has passed, or something new is in the outbox and no trouble was met.
    After(Duration),
    /// When something new is in the outbox.
    Idle,
}

/// The task that stores entries.
#[derive(Debug)]
pub struct Uploader {
    outbox: Arc<Outbox>,
    committer: Arc<Committer>,
    patience: Patience,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    report: Arc<Mutex<Report>>,
    /// Prefixes that are committed, of entries that are not stored yet.
    committed: BTreeMap<u64, Vec<String>>,
    /// When parked entries are tried again, in monotonic time.
    again: BTreeMap<u64, Duration>,
    /// Steps that met trouble of the whole store, one after the other.
    troubled: u32,
    /// Who asks the store whether it takes objects, before the first of them.
    unproven: Option<Writer>,
}

/// What became of an entry in a step.
#[derive(Debug, Default)]
struct Attempt {
    committed: Vec<(String, Manifest)>,
    refused: BTreeMap<String, String>,
    trouble: Option<Failure>,
}

impl Uploader {
    /// Uploads at most `at_once` objects at a time.
    pub fn new(
        outbox: Arc<Outbox>,
        store: Store,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        at_once: usize,
    ) -> Self {
        let patience = *store.patience();
        let committer = Arc::new(Committer::new(Arc::clone(&outbox), store, at_once.max(1)));
        // What was refused before is told from the start, until it is tried again.
        let refused = |segment| Some((segment, outbox.why_parked(segment).ok().flatten()?.refused));
        let parked = outbox.parked().into_iter().filter_map(refused).collect();
        let report = Arc::new(Mutex::new(Report { parked, ..Report::default() }));
        Self {
            outbox,
            committer,
            patience,
            clock,
            metrics,
            report,
            committed: BTreeMap::new(),
            again: BTreeMap::new(),
            troubled: 0,
            unproven: None,
        }
    }

    /// Asks the store first whether it takes objects from this writer and does not replace them, so that trouble shows
    /// before there is anything to store.
    pub fn probing(self, writer: Writer) -> Self {
        Self { unproven: Some(writer), ..self }
    }

    /// What it has to say; the same for the life of the uploader.
    pub fn report(&self) -> Arc<Mutex<Report>> {
        Arc::clone(&self.report)
    }

    /// Stores what waits, as far as one look at the outbox shows, and what was refused and is due again.
    ///
    /// # Errors
    /// What the local disk says, but that it is full (or open files are used up), which is waited out. Whether what
    /// was done is noted is then unknown: open the outbox again.
    pub async fn step(&mut self) -> io::Result<Next> {
        match self.try_step().await {
            Err(error) if disk::is_full(&error) => Ok(self.wait_out(&Failure::NotWritten(error.to_string()))),
            result => result,
        }
    }

    async fn try_step(&mut self) -> io::Result<Next> {
        if let Some(writer) = &self.unproven {
            match self.committer.store().probe(&Prefix::default(), writer).await {
                Ok(()) => self.unproven = None,
                // A credential that may write below some prefixes only: each entry finds out for itself.
                Err(failure @ Failure::Refused { scope: Scope::Object, .. }) if !self.outbox.waiting().is_empty() => {
                    tracing::warn!(why = %failure, "the store refuses what it was asked with at the start");
                    self.unproven = None;
                }
                Err(failure) => return Ok(self.wait_out(&failure)),
            }
        }
        let now = self.clock.monotonic();
        let at_once = if self.troubled == 0 { ENTRIES } else { 1 };
        let waiting = self.outbox.waiting();
        let due = self.due(now).into_iter().take(1);
        let taken: Vec<_> = waiting.iter().copied().take(at_once).chain(due).collect();
        let mut attempts = FuturesUnordered::new();
        for segment in taken {
            attempts.push(attempt(Arc::clone(&self.outbox), Arc::clone(&self.committer), segment, self.done(segment)?));
        }
        let mut trouble = None;
        // Noted one by one, as they end: a step that is dropped has noted what it could.
        while let Some(result) = attempts.next().await {
            let (segment, attempt) = result?;
            if let Some(failure) = self.note(segment, attempt, now)? {
                trouble.get_or_insert(failure);
            }
        }
        if let Some(trouble) = trouble {
            return Ok(self.wait_out(&trouble));
        }
        self.show(None);
        self.troubled = 0;
        Ok(self.next(now, waiting.len() > at_once))
    }

    /// After trouble of the whole store.
    fn wait_out(&mut self, trouble: &Failure) -> Next {
        self.show(Some(trouble));
        self.troubled = self.troubled.saturating_add(1);
        Next::After(self.patience.wait(self.troubled, "step"))
    }

    /// Steps until nothing waits, however long that takes: the caller sets the limit. Entries that the store refuses
    /// are not waited for.
    ///
    /// # Errors
    /// What the local disk says.
    pub async fn drain(&mut self) -> io::Result<()> {
        loop {
            let next = self.step().await?;
            if self.outbox.waiting().is_empty() {
                return Ok(());
            }
            if let Next::After(wait) = next {
                self.committer.store().clock().sleep(wait).await;
            }
        }
    }

    /// Parked entries that are to be tried now, oldest first.
    fn due(&self, now: Duration) -> Vec<u64> {
        let is_due = |segment: &u64| self.again.get(segment).is_none_or(|at| *at <= now);
        self.outbox.parked().into_iter().filter(is_due).collect()
    }

    /// Prefixes of an entry that need nothing more.
    fn done(&mut self, segment: u64) -> io::Result<Vec<String>> {
        if let Some(done) = self.committed.get(&segment) {
            return Ok(done.clone());
        }
        let done = self.outbox.why_parked(segment)?.unwrap_or_default().stored;
        self.committed.insert(segment, done.clone());
        Ok(done)
    }

    /// Notes what became of an entry. Gives what concerns the whole store.
    fn note(&mut self, segment: u64, attempt: Attempt, now: Duration) -> io::Result<Option<Failure>> {
        for (prefix, manifest) in attempt.committed {
            self.settle(&manifest);
            self.committed.entry(segment).or_default().push(prefix);
        }
        if attempt.trouble.is_some() {
            return Ok(attempt.trouble);
        }
        if attempt.refused.is_empty() {
            self.outbox.stored(segment)?;
            self.committed.remove(&segment);
            self.committer.forget(segment);
            if self.hold().parked.remove(&segment).is_some() {
                tracing::info!(segment, "an entry that the store had refused is stored");
                // What was in the way of one was perhaps in the way of all.
                self.again.clear();
            }
            return Ok(None);
        }
        let stored = self.committed.get(&segment).cloned().unwrap_or_default();
        self.outbox.park(segment, &Parked { refused: attempt.refused.clone(), stored })?;
        self.again.insert(segment, now.saturating_add(PARKED_FOR));
        if self.hold().parked.insert(segment, attempt.refused.clone()).as_ref() != Some(&attempt.refused) {
            for (prefix, why) in &attempt.refused {
                tracing::error!(segment, prefix, why, "the store refuses an entry: it is kept and tried again");
            }
        }
        Ok(None)
    }

    fn settle(&self, manifest: &Manifest) {
        let decided = manifest.accounting.decided.clone();
        self.metrics.settled(&Settled {
            landed: decided.landed,
            merged: decided.merged,
            left_out: decided.left_out,
            deduplicated: decided.deduplicated,
            quarantined: decided.quarantined,
        });
        self.metrics.commits.add(1);
        self.metrics.committed_rows.add(manifest.files.iter().map(|file| file.rows).sum());
        self.metrics.committed_bytes.add(manifest.files.iter().map(|file| file.bytes).sum());
        self.metrics.last_commit_micros.set(self.clock.wall_micros());
        if let Some(file) = manifest.files.last() {
            self.hold().last_file = Some(file.key.clone());
        }
    }

    /// Brings gauges, report and log up to date.
    fn show(&self, trouble: Option<&Failure>) {
        let backlog = self.outbox.backlog();
        self.metrics.outbox_bytes.set(backlog.bytes);
        self.metrics.outbox_entries.set(i64::try_from(backlog.entries).unwrap_or(i64::MAX));
        self.metrics.parked_entries.set(i64::try_from(backlog.parked).unwrap_or(i64::MAX));
        let why = trouble.map(ToString::to_string);
        let before = {
            let mut report = self.hold();
            report.lasting = matches!(trouble, Some(Failure::Refused { .. }));
            std::mem::replace(&mut report.trouble, why.clone())
        };
        match (before, why, trouble) {
            (None, Some(why), Some(Failure::Refused { .. })) => {
                tracing::error!(why, "the store takes nothing: rows wait on the local disk");
            }
            (None, Some(why), _) => tracing::warn!(why, "the store cannot be reached: rows wait on the local disk"),
            (Some(_), None, _) => tracing::info!("the store takes rows again"),
            _ => {}
        }
    }

    fn next(&self, now: Duration, more: bool) -> Next {
        if more || !self.due(now).is_empty() {
            return Next::Now;
        }
        let again = self.outbox.parked().into_iter().filter_map(|segment| self.again.get(&segment)).min();
        again.map_or(Next::Idle, |at| Next::After(at.saturating_sub(now)))
    }

    fn hold(&self) -> MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Stores what is left of an entry, prefix by prefix.
async fn attempt(
    outbox: Arc<Outbox>,
    committer: Arc<Committer>,
    segment: u64,
    done: Vec<String>,
) -> io::Result<(u64, Attempt)> {
    let mut attempt = Attempt::default();
    let shipments = match outbox.index(segment).map_err(local) {
        Ok(index) => index.shipments,
        Err(trouble) => {
            attempt.take(String::new(), trouble)?;
            return Ok((segment, attempt));
        }
    };
    for shipment in shipments.into_iter().filter(|shipment| !done.contains(&shipment.prefix)) {
        match committer.commit(segment, &shipment).await {
            Ok(manifest) => attempt.committed.push((shipment.prefix, manifest)),
            Err(trouble) => attempt.take(shipment.prefix, trouble)?,
        }
        if attempt.trouble.is_some() {
            break;
        }
    }
    Ok((segment, attempt))
}

impl Attempt {
    fn take(&mut self, prefix: String, trouble: Trouble) -> io::Result<()> {
        match trouble {
            Trouble::Disk(error) => return Err(error),
            Trouble::Store(Failure::Refused { scope: Scope::Object, why }) => {
                self.refused.insert(prefix, why);
            }
            Trouble::Store(failure) => self.trouble = Some(failure),
        }
        Ok(())
    }
}
