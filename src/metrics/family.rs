//! Every metric's name, and what it is at one moment: `chatlake_<what>_<noun>_<unit>`. The page and the telemetry of
//! the process show the same.

use super::Metrics;
use super::process;
use std::borrow::Cow;

/// A metric that is told by one number, or by one for each of its series. [`Metrics::answer_seconds`] is none: its
/// sum and count are.
#[derive(Debug, Clone, PartialEq)]
pub struct Family {
    /// Its name; a counter's without the `_total` that pages append.
    pub name: &'static str,
    /// What it says.
    pub help: &'static str,
    /// Its series.
    pub series: Series,
}

/// The numbers of a family, with their labels.
#[derive(Debug, Clone, PartialEq)]
pub enum Series {
    /// They only grow.
    Counts(Vec<(Labels, u64)>),
    /// One that only grows and is no whole number.
    Growing(f64),
    /// One that goes up and down.
    Gauge(i64),
    /// A time.
    Seconds(f64),
}

/// Names and values.
pub type Labels = Vec<(&'static str, Cow<'static, str>)>;

impl Metrics {
    /// All families but the histogram. The ledger is read once, so that its numbers agree with each other.
    pub fn families(&self) -> Vec<Family> {
        let mut out = Vec::new();
        records(self, &mut out);
        doors(self, &mut out);
        storage(self, &mut out);
        process(&mut out);
        out
    }
}

fn records(metrics: &Metrics, out: &mut Vec<Family>) {
    let ledger = metrics.ledger();
    count(out, "chatlake_records_received", "Input records written to the log or rejected.", ledger.received);
    let help = "Input records found in log, carry and outbox at start.";
    count(out, "chatlake_records_recovered", help, ledger.recovered);
    count(out, "chatlake_records_landed", "Input records with a row of their own.", ledger.landed);
    count(out, "chatlake_records_merged", "Input records that another record's row tells.", ledger.merged);
    let reasons = ledger.left_out.into_iter().map(|(reason, records)| (vec![("reason", reason.into())], records));
    counts(out, "chatlake_records_left_out", "Input records without a row.", reasons);
    count(out, "chatlake_records_deduplicated", "Input records that had come before.", ledger.deduplicated);
    let reasons = ledger.rejected.into_iter().map(|(reason, records)| (vec![("reason", reason.into())], records));
    counts(out, "chatlake_records_rejected", "Input records refused for good.", reasons);
    count(out, "chatlake_records_quarantined", "Input records that could not be mapped.", ledger.quarantined);
    let buffered = i64::try_from(ledger.buffered).unwrap_or(i64::MAX);
    gauge(out, "chatlake_records_buffered", "Input records not yet decided and committed.", buffered);
}

fn doors(metrics: &Metrics, out: &mut Vec<Family>) {
    let requests = metrics.requests.all();
    let requests = requests.into_iter().map(|((door, outcome), requests)| {
        (vec![("door", Cow::Borrowed(door)), ("outcome", Cow::Borrowed(outcome))], requests)
    });
    counts(out, "chatlake_receiver_requests", "Requests by door and how they were answered.", requests);
    let wire = metrics.request_wire_bytes.get();
    count(out, "chatlake_receiver_wire_bytes", "Bytes of request bodies as they came.", wire);
    let bodies = metrics.request_body_bytes.get();
    count(out, "chatlake_receiver_body_bytes", "Bytes of request bodies, decompressed.", bodies);
    let in_flight = metrics.in_flight_bytes.get();
    gauge(out, "chatlake_receiver_in_flight_bytes", "Bytes of requests under way.", in_flight);
    gauge(out, "chatlake_receiver_connections", "Open connections to the doors.", metrics.connections.get());
    count(out, "chatlake_receiver_panics", "Panics caught in a door.", metrics.panics.get());
}

fn storage(metrics: &Metrics, out: &mut Vec<Family>) {
    let seconds = |micros: i64| Series::Seconds(micros as f64 / 1e6);
    gauge(out, "chatlake_wal_segments_bytes", "Bytes of the log's segments.", metrics.wal_bytes.get());
    gauge(out, "chatlake_outbox_entries_bytes", "Bytes that wait to be uploaded.", metrics.outbox_bytes.get());
    gauge(out, "chatlake_outbox_entries", "Entries that wait to be uploaded.", metrics.outbox_entries.get());
    let parked = metrics.parked_entries.get();
    gauge(out, "chatlake_outbox_parked_entries", "Entries that the store refused for good.", parked);
    gauge(out, "chatlake_disk_free_bytes", "Free bytes of the data directory's disk.", metrics.disk_free_bytes.get());
    gauge(out, "chatlake_fold_open_traces", "Traces that are still open.", metrics.open_traces.get());
    out.push(Family {
        name: "chatlake_wal_oldest_record_seconds",
        help: "Arrival of the oldest buffered record, since 1970.",
        series: seconds(metrics.oldest_buffered_micros.get()),
    });
    out.push(Family {
        name: "chatlake_commit_last_seconds",
        help: "When a manifest was last written, since 1970.",
        series: seconds(metrics.last_commit_micros.get()),
    });
    count(out, "chatlake_commit_manifests", "Manifests written.", metrics.commits.get());
    count(out, "chatlake_commit_rows", "Rows committed.", metrics.committed_rows.get());
    count(out, "chatlake_commit_files_bytes", "Bytes of files committed.", metrics.committed_bytes.get());
    let errors = metrics.store_errors.all().into_iter().map(|((operation, kind), errors)| {
        (vec![("operation", Cow::Borrowed(operation)), ("kind", Cow::Borrowed(kind))], errors)
    });
    counts(out, "chatlake_store_errors", "Answers of the store that were no success.", errors);
    let window = metrics.dedupe_window_seconds.get();
    gauge(out, "chatlake_dedupe_window_seconds", "How far back a resent record is recognised.", window);
}

fn process(out: &mut Vec<Family>) {
    if let Some(bytes) = process::resident_bytes().and_then(|bytes| i64::try_from(bytes).ok()) {
        gauge(out, "process_resident_memory_bytes", "Memory in use.", bytes);
    }
    if let Some(seconds) = process::cpu_seconds() {
        let series = Series::Growing(seconds);
        out.push(Family { name: "process_cpu_seconds", help: "Processor time spent.", series });
    }
}

fn gauge(out: &mut Vec<Family>, name: &'static str, help: &'static str, value: i64) {
    out.push(Family { name, help, series: Series::Gauge(value) });
}

fn count(out: &mut Vec<Family>, name: &'static str, help: &'static str, value: u64) {
    counts(out, name, help, [(Vec::new(), value)]);
}

fn counts(
    out: &mut Vec<Family>,
    name: &'static str,
    help: &'static str,
    series: impl IntoIterator<Item = (Labels, u64)>,
) {
    out.push(Family { name, help, series: Series::Counts(series.into_iter().collect()) });
}
