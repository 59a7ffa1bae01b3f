//! The loops behind the log: segments are folded, entries are uploaded. Each has a thread of its own.

use super::Say;
use crate::admin::Readiness;
use crate::admin::Refresh;
use crate::clock::Clock;
use crate::config::chain;
use crate::lake::outbox::Outbox;
use crate::lake::upload::Next;
use crate::lake::upload::Uploader;
use crate::metrics::Metrics;
use crate::metrics::Settled;
use crate::road::Road;
use crate::road::StepError;
use crate::road::Stepped;
use crate::stop::Token;
use crate::wal::Sealed;
use crate::wal::Wal;
use std::io;
use std::sync::Arc;
use std::sync::PoisonError;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

/// How long to wait when the disk was full.
const FULL_FOR: Duration = Duration::from_secs(2);

/// What the loops share.
#[derive(Debug)]
pub(super) struct Back {
    pub(super) wal: Wal,
    pub(super) outbox: Arc<Outbox>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) readiness: Arc<Readiness>,
    pub(super) say: Arc<Say>,
    /// An entry was put into the outbox.
    pub(super) packed: Notify,
    /// No more entries will come.
    pub(super) folded: CancellationToken,
}

impl Back {
    /// Folds segments as they are sealed, until the log has ended. A full disk is waited out: `reopen` then makes the
    /// road anew from what is on the disk.
    ///
    /// # Errors
    /// When the disk fails otherwise.
    pub(super) fn fold(
        &self,
        mut road: Road,
        reopen: impl Fn() -> Result<Road, StepError>,
        mut sealed: Sealed,
        token: &Token,
        runtime: &Handle,
    ) -> Result<(), StepError> {
        let (segment, deadline) = road.progress();
        self.wal.folded(segment, deadline);
        while let Some(file) = runtime.block_on(sealed.next()) {
            let mut is_full = false;
            let stepped = loop {
                let span = tracing::info_span!(target: "chatlake::spans", "fold", %file);
                match span.in_scope(|| road.step(file, None)) {
                    Ok(stepped) => break stepped,
                    Err(error) if error.is_full() => {
                        let why = chain(&error);
                        if !is_full {
                            tracing::error!(why, "the disk is full: segments wait in the log to be folded");
                        }
                        self.readiness.hold("fold", why);
                        is_full = true;
                        if token.is_told() {
                            // The next start folds it.
                            return Ok(());
                        }
                        road = loop {
                            runtime.block_on(async {
                                tokio::select! {
                                    () = sleep(FULL_FOR) => {}
                                    () = token.late() => {}
                                }
                            });
                            match reopen() {
                                Err(error) if error.is_full() && token.is_told() => return Ok(()),
                                Err(error) if error.is_full() => {}
                                reopened => break reopened?,
                            }
                        };
                    }
                    Err(error) => return Err(error),
                }
            };
            if is_full {
                self.readiness.clear("fold");
                tracing::info!("segments are folded again");
            }
            self.stepped(&stepped);
        }
        Ok(())
    }

    fn stepped(&self, stepped: &Stepped) {
        if stepped.damaged > 0 {
            let (segment, records) = (stepped.segment, stepped.damaged);
            tracing::error!(segment, records, "damaged records of the log are in data.dir/quarantine");
            self.metrics.settled(&Settled { quarantined: records, ..Settled::default() });
        }
        if stepped.packed.overflown > 0 {
            let rows = stepped.packed.overflown;
            tracing::warn!(
                rows,
                "rows went to __overflow__: store.partition has more values than store.max_partitions"
            );
        }
        self.wal.set_outbox_bytes(self.outbox.backlog().bytes);
        self.wal.folded(stepped.segment, stepped.next_deadline);
        self.metrics.open_traces.set(i64::try_from(stepped.open_traces).unwrap_or(i64::MAX));
        self.metrics.dedupe_window_seconds.set(stepped.reach.as_secs());
        let open = stepped.oldest.map_or(0, |oldest| {
            let age = i64::try_from(stepped.now.since(oldest).as_micros()).unwrap_or(i64::MAX);
            self.clock.wall_micros().saturating_sub(age)
        });
        self.metrics.oldest_open_micros.set(open);
        self.oldest();
        self.say.waiting(stepped.waiting);
        self.packed.notify_one();
    }

    fn oldest(&self) {
        oldest(&self.wal, &self.outbox, &self.metrics, self.clock.as_ref());
    }

    /// Uploads entries as they come, until no more will come and none waits.
    ///
    /// # Errors
    /// When the local disk fails.
    pub(super) async fn upload(&self, mut uploader: Uploader) -> io::Result<()> {
        let report = uploader.report();
        loop {
            let span = tracing::info_span!(target: "chatlake::spans", "upload");
            // A step that is dropped has lost nothing.
            let next = tokio::select! {
                biased;
                () = self.folded.cancelled() => break,
                next = uploader.step().instrument(span) => next?,
            };
            self.wal.set_outbox_bytes(self.outbox.backlog().bytes);
            self.oldest();
            let trouble = report.lock().unwrap_or_else(PoisonError::into_inner).trouble.clone();
            let is_well = trouble.is_none();
            match trouble {
                Some(why) => self.readiness.hold("store", why),
                None => self.readiness.clear("store"),
            }
            self.metrics.news.notify_one();
            match next {
                Next::Now => {}
                Next::After(wait) => tokio::select! {
                    () = sleep(wait) => {}
                    () = self.packed.notified(), if is_well => {}
                    () = self.folded.cancelled() => break,
                },
                Next::Idle => tokio::select! {
                    () = self.packed.notified() => {}
                    () = self.folded.cancelled() => break,
                },
            }
        }
        uploader.drain().await
    }
}

/// Notes when the oldest record arrived that is in the log, in an open trace, or in the outbox.
fn oldest(wal: &Wal, outbox: &Outbox, metrics: &Metrics, clock: &dyn Clock) {
    let unfolded = wal.stats().unfolded_since.map(|since| {
        let age = i64::try_from(clock.monotonic().saturating_sub(since).as_micros()).unwrap_or(i64::MAX);
        clock.wall_micros().saturating_sub(age)
    });
    let open = Some(metrics.oldest_open_micros.get()).filter(|at| *at > 0);
    let oldest = [unfolded, open, outbox.backlog().since].into_iter().flatten().min();
    metrics.oldest_buffered_micros.set(oldest.unwrap_or(0));
}

/// What is looked up only when a page is asked for.
pub(super) fn refresh(
    wal: Wal,
    outbox: Arc<Outbox>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    readiness: Arc<Readiness>,
) -> Refresh {
    Refresh::new(move || {
        oldest(&wal, &outbox, &metrics, clock.as_ref());
        let stats = wal.stats();
        metrics.wal_bytes.set(stats.used);
        metrics.disk_free_bytes.set(stats.free);
        if wal.has_room() {
            readiness.clear("log");
        } else {
            readiness.hold("log", "no room: senders are asked to retry (buffer.cap, disk.reserve)");
        }
    })
}
