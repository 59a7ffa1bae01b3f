//! What the process counts, and the page that shows it. All metric names stand in `metrics/family.rs`.
//!
//! The [`Ledger`] accounts for every input record (span, log record, posted event). At every moment
//!
//! ```text
//! received + recovered = landed + merged + left_out + deduplicated + rejected + quarantined + buffered
//! ```
//!
//! holds in it, for each change moves a number of records from one side or field to another under one lock, and it
//! is read as one copy. What was refused before it could be counted (a body that does not parse, a request that was
//! asked to come again) is a request and no record.

mod family;
mod page;
mod process;

pub use family::Family;
pub use family::Labels;
pub use family::Series;

use prometheus_client::metrics::histogram::Histogram;
use serde::Deserialize;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::Notify;

/// Where each input record is. See the [module](self) for the identity that holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// Written to the log, or rejected, since the process started.
    pub received: u64,
    /// Found in the log, the carry and the outbox when the process started.
    pub recovered: u64,
    /// Have a row of their own, committed.
    pub landed: u64,
    /// Are told by the row of another record, committed.
    pub merged: u64,
    /// Have no row, by reason.
    pub left_out: BTreeMap<String, u64>,
    /// Had come before.
    pub deduplicated: u64,
    /// Refused for good, by reason.
    pub rejected: BTreeMap<String, u64>,
    /// Could not be mapped and were set aside.
    pub quarantined: u64,
    /// In the log or the outbox, undecided or not yet committed.
    pub buffered: u64,
}

impl Ledger {
    /// Whether what came in is somewhere.
    pub fn balances(&self) -> bool {
        let left_out: u64 = self.left_out.values().sum();
        let rejected: u64 = self.rejected.values().sum();
        let decided = self.landed + self.merged + left_out + self.deduplicated + rejected + self.quarantined;
        self.received + self.recovered == decided + self.buffered
    }
}

/// What one commit decided, in input records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settled {
    /// Have a row of their own.
    pub landed: u64,
    /// Are told by the row of another record.
    pub merged: u64,
    /// Have no row, by reason.
    pub left_out: BTreeMap<String, u64>,
    /// Had come before.
    pub deduplicated: u64,
    /// Were set aside.
    pub quarantined: u64,
}

/// A number that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// Sets it.
    pub fn set(&self, value: impl TryInto<i64>) {
        self.0.store(value.try_into().unwrap_or(i64::MAX), Ordering::Relaxed);
    }

    /// Adds to it, or takes away.
    pub fn add(&self, more: i64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// What it is.
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds to it.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// What it is.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counts by a word or two: each pair of words is a series.
#[derive(Debug, Default)]
pub struct Counts(Mutex<BTreeMap<(&'static str, &'static str), u64>>);

impl Counts {
    /// Adds one.
    pub fn count(&self, first: &'static str, second: &'static str) {
        *locked(&self.0).entry((first, second)).or_default() += 1;
    }

    /// The sum of all of them.
    pub fn sum(&self) -> u64 {
        locked(&self.0).values().sum()
    }

    fn all(&self) -> BTreeMap<(&'static str, &'static str), u64> {
        locked(&self.0).clone()
    }
}

/// All that the process counts. Rooms set the fields that are theirs; everybody shares one of these.
#[derive(Debug)]
pub struct Metrics {
    ledger: Mutex<Ledger>,
    /// Requests by door and how they were answered.
    pub requests: Counts,
    /// Bytes of request bodies, as they came and decompressed.
    pub request_wire_bytes: Count,
    /// See `request_wire_bytes`.
    pub request_body_bytes: Count,
    /// From the head of a request to its answer.
    pub answer_seconds: Histogram,
    /// Bytes of requests under way.
    pub in_flight_bytes: Gauge,
    /// Connections to the doors.
    pub connections: Gauge,
    /// Panics that were caught in a door.
    pub panics: Count,
    /// Bytes of the log's segments.
    pub wal_bytes: Gauge,
    /// Bytes that wait to be uploaded.
    pub outbox_bytes: Gauge,
    /// Entries that wait to be uploaded.
    pub outbox_entries: Gauge,
    /// Entries that the store refused for good and that are set aside.
    pub parked_entries: Gauge,
    /// Free bytes of the disk that holds the data.
    pub disk_free_bytes: Gauge,
    /// Traces that are still open.
    pub open_traces: Gauge,
    /// Arrival of the oldest record of an open trace, microseconds since 1970; 0 without one.
    pub oldest_open_micros: Gauge,
    /// Arrival of the oldest buffered record, microseconds since 1970; 0 without one.
    pub oldest_buffered_micros: Gauge,
    /// When a manifest was last written, microseconds since 1970; 0 before the first.
    pub last_commit_micros: Gauge,
    /// Manifests written.
    pub commits: Count,
    /// Rows and bytes of files committed.
    pub committed_rows: Count,
    /// See `committed_rows`.
    pub committed_bytes: Count,
    /// Answers of the store that were no success, by operation and kind.
    pub store_errors: Counts,
    /// How far back a resent record is recognised now.
    pub dedupe_window_seconds: Gauge,
    /// Woken when a request was answered or a commit has decided something.
    pub news: Notify,
}

impl Default for Metrics {
    fn default() -> Self {
        const ANSWER_SECONDS: [f64; 13] =
            [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
        Self {
            ledger: Mutex::default(),
            requests: Counts::default(),
            request_wire_bytes: Count::default(),
            request_body_bytes: Count::default(),
            answer_seconds: Histogram::new(ANSWER_SECONDS),
            in_flight_bytes: Gauge::default(),
            connections: Gauge::default(),
            panics: Count::default(),
            wal_bytes: Gauge::default(),
            outbox_bytes: Gauge::default(),
            outbox_entries: Gauge::default(),
            parked_entries: Gauge::default(),
            disk_free_bytes: Gauge::default(),
            open_traces: Gauge::default(),
            oldest_open_micros: Gauge::default(),
            oldest_buffered_micros: Gauge::default(),
            last_commit_micros: Gauge::default(),
            commits: Count::default(),
            committed_rows: Count::default(),
            committed_bytes: Count::default(),
            store_errors: Counts::default(),
            dedupe_window_seconds: Gauge::default(),
            news: Notify::new(),
        }
    }
}

impl Metrics {
    /// Requests that were refused whole for good or for now, by why, over all doors.
    pub fn refused(&self) -> BTreeMap<&'static str, u64> {
        let mut refused = BTreeMap::new();
        for ((_, outcome), count) in self.requests.all() {
            if !matches!(outcome, "ok" | "partial" | "replayed" | "ignored") {
                *refused.entry(outcome).or_default() += count;
            }
        }
        refused
    }

    /// Counts records that the log has taken. Whoever writes the log calls it, before the answer: a sender that went
    /// away meanwhile changes nothing.
    pub fn received(&self, records: u64) {
        let mut ledger = locked(&self.ledger);
        ledger.received += records;
        ledger.buffered += records;
    }

    /// Counts records that were found at the start.
    pub fn recovered(&self, records: u64) {
        let mut ledger = locked(&self.ledger);
        ledger.recovered += records;
        ledger.buffered += records;
    }

    /// Counts records that were refused for good.
    pub fn rejected(&self, reason: &str, records: u64) {
        if records > 0 {
            let mut ledger = locked(&self.ledger);
            ledger.received += records;
            *ledger.rejected.entry(reason.to_owned()).or_default() += records;
        }
    }

    /// Counts records that were left at the door, unwritten.
    pub fn left_at_door(&self, reason: &str, records: u64) {
        if records > 0 {
            let mut ledger = locked(&self.ledger);
            ledger.received += records;
            *ledger.left_out.entry(reason.to_owned()).or_default() += records;
        }
    }

    /// Counts what a commit decided: these records are buffered no more.
    pub fn settled(&self, settled: &Settled) {
        let left_out: u64 = settled.left_out.values().sum();
        let records = settled.landed + settled.merged + left_out + settled.deduplicated + settled.quarantined;
        let mut ledger = locked(&self.ledger);
        // More decided than buffered is a fault of ours: the identity must show it rather than wrap.
        ledger.buffered = ledger.buffered.saturating_sub(records);
        ledger.landed += settled.landed;
        ledger.merged += settled.merged;
        ledger.deduplicated += settled.deduplicated;
        ledger.quarantined += settled.quarantined;
        for (reason, records) in &settled.left_out {
            *ledger.left_out.entry(reason.clone()).or_default() += records;
        }
        drop(ledger);
        self.news.notify_one();
    }

    /// The ledger as it is at one moment.
    pub fn ledger(&self) -> Ledger {
        locked(&self.ledger).clone()
    }

    /// Counts a request: its door, how it was answered, and after how long.
    pub fn answered(&self, door: &'static str, outcome: &'static str, after: Duration) {
        self.requests.count(door, outcome);
        self.answer_seconds.observe(after.as_secs_f64());
        self.news.notify_one();
    }

    /// All of it in Prometheus' text form.
    pub fn page(self: &Arc<Self>) -> String {
        page::write(self)
    }

    /// What `chatlake status` shows.
    pub fn status(&self) -> Status {
        let micros = |gauge: &Gauge| Some(gauge.get()).filter(|micros| *micros > 0);
        Status {
            records: self.ledger(),
            requests: self.requests.sum(),
            request_bytes: self.request_body_bytes.get(),
            in_flight_bytes: self.in_flight_bytes.get(),
            wal_bytes: self.wal_bytes.get(),
            outbox_bytes: self.outbox_bytes.get(),
            outbox_entries: self.outbox_entries.get(),
            parked_entries: self.parked_entries.get(),
            disk_free_bytes: self.disk_free_bytes.get(),
            open_traces: self.open_traces.get(),
            oldest_buffered_micros: micros(&self.oldest_buffered_micros),
            last_commit_micros: micros(&self.last_commit_micros),
            commits: self.commits.get(),
            committed_rows: self.committed_rows.get(),
            committed_bytes: self.committed_bytes.get(),
            store_errors: self.store_errors.sum(),
            dedupe_window_seconds: self.dedupe_window_seconds.get(),
            resident_bytes: process::resident_bytes(),
            cpu_seconds: process::cpu_seconds(),
        }
    }
}

/// The state of the process for people; fields as in [`Metrics`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[expect(missing_docs, reason = "named as the fields of Metrics, which are documented")]
pub struct Status {
    pub records: Ledger,
    pub requests: u64,
    pub request_bytes: u64,
    pub in_flight_bytes: i64,
    pub wal_bytes: i64,
    pub outbox_bytes: i64,
    pub outbox_entries: i64,
    pub parked_entries: i64,
    pub disk_free_bytes: i64,
    pub open_traces: i64,
    pub oldest_buffered_micros: Option<i64>,
    pub last_commit_micros: Option<i64>,
    pub commits: u64,
    pub committed_rows: u64,
    pub committed_bytes: u64,
    pub store_errors: u64,
    pub dedupe_window_seconds: i64,
    pub resident_bytes: Option<u64>,
    pub cpu_seconds: Option<f64>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
