//! A request from its head to its answer, the same for every door of OTLP: who sends, is there room, the body, its
//! records, the log, the answer.

use super::Auth;
use super::Caller;
use super::Config;
use super::Encoding;
use super::Log;
use super::Rejected;
use super::Road;
use super::Signal;
use super::body;
use super::body::Coding;
use super::budget::Budget;
use super::budget::Held;
use super::log::FULL;
use super::otlp;
use super::posted::Taken as Taking;
use super::replay::Replays;
use super::signature::Signatures;
use crate::clock::Clock;
use crate::dialect::posted;
use crate::dialect::posted::Malformed;
use crate::dialect::posted::Posted;
use crate::metrics::Metrics;
use ::http::HeaderMap;
use axum::body::Body;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::runtime::RuntimeFlavor;
use tokio::time::timeout;
use tracing::Instrument as _;
use tracing::Span;
use tracing::field::Empty;

/// Takes requests.
#[derive(Debug)]
pub struct Accept {
    road: Road,
    log: Arc<dyn Log>,
    auth: Auth,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    budget: Arc<Budget>,
    max_request: usize,
    body_timeout: Duration,
    answer_timeout: Duration,
    longest_wait: Duration,
    doors: Doors,
}

/// What the doors know that are no OTLP.
#[derive(Debug)]
pub(super) struct Doors {
    pub(super) reading: posted::Config,
    pub(super) signatures: Signatures,
    pub(super) replays: Replays,
}

/// A posted body before it is read.
pub(super) struct PostedWire {
    pub(super) bytes: Bytes,
    pub(super) coding: Coding,
    pub(super) held: Held,
    pub(super) deadline: Duration,
}

/// What was taken.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Taken {
    /// Records that can never be taken.
    pub(super) rejected: u64,
    /// Why.
    pub(super) why: &'static str,
}

/// What is left of a request once its transport is taken off.
pub(super) struct Wire {
    pub(super) bytes: Bytes,
    pub(super) coding: Coding,
    pub(super) encoding: Encoding,
    pub(super) held: Held,
    pub(super) deadline: Duration,
}

const NO_IDS: &str = "spans without a trace id of 16 bytes and a span id of 8 bytes cannot be taken; \
    if these were log records, post them to /v1/logs";

const METRICS: &str = "chatlake takes traces and logs, no metrics: switch the metrics exporter off \
    (OTEL_METRICS_EXPORTER=none) or send metrics elsewhere";

impl Accept {
    /// Takes requests into `log` by `road`.
    pub fn new(
        config: &Config,
        road: Road,
        log: Arc<dyn Log>,
        auth: Auth,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let doors = Doors {
            reading: config.posted.reading.clone(),
            signatures: Signatures::new(&config.posted.webhooks, Arc::clone(&clock)),
            replays: Replays::default(),
        };
        Self {
            road,
            log,
            auth,
            clock,
            doors,
            budget: Budget::new(config.in_flight.max(config.max_request), Arc::clone(&metrics)),
            metrics,
            max_request: config.max_request,
            body_timeout: config.body_timeout,
            answer_timeout: config.answer_timeout,
            longest_wait: config.longest_wait,
        }
    }

    pub(super) fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Wall-clock time in microseconds.
    pub(super) fn wall_micros(&self) -> i64 {
        self.clock.wall_micros()
    }

    /// Monotonic time.
    pub(super) fn now(&self) -> Duration {
        self.clock.monotonic()
    }

    pub(super) fn max_request(&self) -> usize {
        self.max_request
    }

    /// Knows the keys.
    pub(super) fn auth(&self) -> &Auth {
        &self.auth
    }

    /// Judges a request by its head: who sends it, and whether there is room at all.
    pub(super) fn admit(&self, door: &str, headers: &HeaderMap) -> Result<Arc<Caller>, Rejected> {
        let caller = self.auth.caller(door, headers)?;
        self.room().map(|()| caller)
    }

    /// Whether there is room at all.
    pub(super) fn room(&self) -> Result<(), Rejected> {
        if self.log.has_room() { Ok(()) } else { Err(Rejected::Unavailable { reason: FULL, after: FULL_FOR }) }
    }

    /// Room of which nothing is taken yet.
    #[cfg(test)]
    pub(super) fn hold(&self) -> Held {
        self.budget.hold()
    }

    pub(super) fn doors(&self) -> &Doors {
        &self.doors
    }

    /// Reads a body, within the time that its sender waits if that is known.
    pub(super) async fn read(
        &self,
        body: &mut Body,
        framing: usize,
        expected: impl Fn(&[u8]) -> Option<usize>,
        waits: Option<Duration>,
    ) -> Result<(Bytes, Held), Rejected> {
        let mut held = self.budget.hold();
        let within = waits.map_or(self.body_timeout, |waits| waits.min(self.body_timeout));
        let read = timeout(within, body::read(body, self.max_request, framing, expected, &mut held)).await;
        let bytes = read.unwrap_or_else(|_| Err(Rejected::busy("the body did not come in time")))?;
        self.metrics.request_wire_bytes.add(bytes.len() as u64);
        Ok((bytes, held))
    }

    /// When the answer has to be there: what the sender waits from `start`, less a margin for the way back, or the
    /// configured time from now.
    pub(super) fn deadline(&self, start: Duration, waits: Option<Duration>) -> Duration {
        match waits {
            Some(waits) => start + margin(waits).min(self.longest_wait),
            None => self.now() + self.answer_timeout,
        }
    }

    /// Takes a request of traces or logs: once this succeeds, it is on stable storage.
    pub(super) async fn take(&self, signal: Signal, caller: &Caller, wire: Wire) -> Result<Taken, Rejected> {
        let span = tracing::info_span!(
            target: "chatlake::spans",
            "receive",
            signal = ?signal,
            tenant = caller.tenant,
            bytes = wire.bytes.len(),
            records = Empty,
            rejected = Empty,
            own = Empty,
        );
        let taken = self.take_in(signal, caller, wire, &span).instrument(span.clone()).await;
        if let Err(rejected) = &taken {
            span.record("rejected", rejected.outcome());
        }
        taken
    }

    async fn take_in(&self, signal: Signal, caller: &Caller, wire: Wire, span: &Span) -> Result<Taken, Rejected> {
        let Wire { bytes, coding, encoding, mut held, deadline } = wire;
        // The body ends here: what waits for the log is its records.
        let prepared = self.compute(bytes.len(), || {
            let body = body::decompress(coding, bytes, self.max_request, &mut held)?;
            self.metrics.request_body_bytes.add(body.len() as u64);
            let arrived = self.clock.wall_micros();
            self.road.prepare(signal, &body, encoding, caller, |_| arrived)
        })?;
        span.record("records", prepared.records);
        if prepared.dead > 0 {
            self.metrics.panics.add(prepared.dead);
            tracing::error!(records = prepared.dead, "records whose mapping panicked were quarantined");
        }
        if prepared.own > 0 {
            self.metrics.left_at_door("own_telemetry", prepared.own);
            span.record("own", prepared.records == 0);
        }
        if prepared.records == 0 && prepared.invalid > 0 {
            self.metrics.rejected("no_ids", prepared.invalid);
            return Err(Rejected::Malformed(NO_IDS.to_owned()));
        }
        if prepared.records > 0 {
            self.append(prepared.redacted, deadline).await?;
        }
        self.metrics.rejected("no_ids", prepared.invalid);
        Ok(Taken { rejected: prepared.invalid, why: if prepared.invalid > 0 { NO_IDS } else { "" } })
    }

    /// Takes a posted body: once this succeeds, what `read` finds in it is on stable storage.
    pub(super) async fn take_posted(
        &self,
        door: &'static str,
        caller: &Caller,
        mut wire: PostedWire,
        read: impl Fn(&[u8]) -> Result<Posted, Malformed>,
    ) -> Result<Taking, Rejected> {
        let prepared = self.compute(wire.bytes.len(), || {
            let body = body::decompress(wire.coding, wire.bytes.clone(), self.max_request, &mut wire.held)?;
            self.metrics.request_body_bytes.add(body.len() as u64);
            self.road.prepare_posted(door, &body, caller, self.clock.wall_micros(), read)
        })?;
        if prepared.panicked > 0 {
            self.metrics.panics.add(prepared.panicked);
            tracing::error!(records = prepared.panicked, door, "records whose mapping panicked were quarantined");
        }
        if let Some(redacted) = prepared.redacted {
            self.append(vec![redacted], wire.deadline).await?;
        }
        Ok(Taking { answer: prepared.answer, outcome: prepared.outcome })
    }

    async fn append(&self, request: Vec<crate::redact::Redacted>, deadline: Duration) -> Result<(), Rejected> {
        const LATE: &str = "the request could not be made durable in time";
        let left = deadline.saturating_sub(self.now());
        if left.is_zero() {
            return Err(Rejected::busy(LATE));
        }
        // A future that is dropped takes its request back, if there is still time.
        timeout(left, self.log.append(request, deadline)).await.unwrap_or_else(|_| Err(Rejected::busy(LATE)))
    }

    /// Answers a request of metrics: read and left, so that senders of all signals do not fail.
    pub(super) fn leave(&self, wire: Wire) -> Result<Taken, Rejected> {
        let Wire { bytes, coding, encoding, mut held, .. } = wire;
        let points = self.compute(bytes.len(), || {
            let body = body::decompress(coding, bytes, self.max_request, &mut held)?;
            otlp::data_points(&body, encoding)
        })?;
        Ok(Taken { rejected: points, why: METRICS })
    }

    /// Runs what keeps a processor busy. Large requests make room for other tasks first.
    fn compute<T>(&self, bytes: usize, work: impl FnOnce() -> T) -> T {
        const LARGE: usize = 128 << 10;
        if bytes < LARGE || Handle::current().runtime_flavor() != RuntimeFlavor::MultiThread {
            return work();
        }
        tokio::task::block_in_place(work)
    }
}

const FULL_FOR: Duration = Duration::from_secs(5);

/// What of the time that a sender waits may be used here.
fn margin(waits: Duration) -> Duration {
    const LONGEST: Duration = Duration::from_millis(500);
    waits - (waits / 10).min(LONGEST)
}
