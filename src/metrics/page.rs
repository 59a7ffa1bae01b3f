//! The metrics page, and every metric's name: `chatlake_<what>_<noun>_<unit>`; those of counters end in `_total`.

use super::Metrics;
use super::process;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::EncodeGaugeValue;
use prometheus_client::encoding::EncodeMetric;
use prometheus_client::encoding::text;
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use std::fmt;
use std::sync::Arc;

/// Writes the page. The ledger is read once, so that its lines agree with each other.
pub(super) fn write(metrics: &Arc<Metrics>) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Page(Arc::clone(metrics))));
    let mut out = String::new();
    // Writing into a String cannot fail.
    let _ = text::encode(&mut out, &registry);
    out
}

#[derive(Debug)]
struct Page(Arc<Metrics>);

impl Collector for Page {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Out(encoder);
        records(&self.0, &mut out)?;
        doors(&self.0, &mut out)?;
        storage(&self.0, &mut out)?;
        process(&mut out)
    }
}

fn records(metrics: &Metrics, out: &mut Out<'_>) -> fmt::Result {
    let ledger = metrics.ledger();
    out.count("chatlake_records_received", "Input records written to the log or rejected.", ledger.received)?;
    out.count(
        "chatlake_records_recovered",
        "Input records found in log, carry and outbox at start.",
        ledger.recovered,
    )?;
    out.count("chatlake_records_landed", "Input records with a row of their own.", ledger.landed)?;
    out.count("chatlake_records_merged", "Input records that another record's row tells.", ledger.merged)?;
    let reasons = ledger.left_out.iter().map(|(reason, records)| ([("reason", reason.as_str())], *records));
    out.counts("chatlake_records_left_out", "Input records without a row.", reasons)?;
    out.count("chatlake_records_deduplicated", "Input records that had come before.", ledger.deduplicated)?;
    let reasons = ledger.rejected.iter().map(|(reason, records)| ([("reason", reason.as_str())], *records));
    out.counts("chatlake_records_rejected", "Input records refused for good.", reasons)?;
    out.count("chatlake_records_quarantined", "Input records that could not be mapped.", ledger.quarantined)?;
    let buffered = i64::try_from(ledger.buffered).unwrap_or(i64::MAX);
    out.gauge("chatlake_records_buffered", "Input records not yet decided and committed.", buffered)
}

fn doors(metrics: &Metrics, out: &mut Out<'_>) -> fmt::Result {
    let requests = metrics.requests.all();
    let requests =
        requests.iter().map(|((door, outcome), requests)| ([("door", *door), ("outcome", *outcome)], *requests));
    out.counts("chatlake_receiver_requests", "Requests by door and how they were answered.", requests)?;
    let wire = metrics.request_wire_bytes.get();
    out.count("chatlake_receiver_wire_bytes", "Bytes of request bodies as they came.", wire)?;
    let bodies = metrics.request_body_bytes.get();
    out.count("chatlake_receiver_body_bytes", "Bytes of request bodies, decompressed.", bodies)?;
    out.metric("chatlake_receiver_answer_seconds", "From a request's head to its answer.", &metrics.answer_seconds)?;
    let in_flight = metrics.in_flight_bytes.get();
    out.gauge("chatlake_receiver_in_flight_bytes", "Bytes of requests under way.", in_flight)?;
    out.gauge("chatlake_receiver_connections", "Open connections to the doors.", metrics.connections.get())?;
    out.count("chatlake_receiver_panics", "Panics caught in a door.", metrics.panics.get())
}

fn storage(metrics: &Metrics, out: &mut Out<'_>) -> fmt::Result {
    let seconds = |micros: i64| micros as f64 / 1e6;
    out.gauge("chatlake_wal_segments_bytes", "Bytes of the log's segments.", metrics.wal_bytes.get())?;
    out.gauge("chatlake_outbox_entries_bytes", "Bytes that wait to be uploaded.", metrics.outbox_bytes.get())?;
    out.gauge("chatlake_outbox_entries", "Entries that wait to be uploaded.", metrics.outbox_entries.get())?;
    let parked = metrics.parked_entries.get();
    out.gauge("chatlake_outbox_parked_entries", "Entries that the store refused for good.", parked)?;
    out.gauge("chatlake_disk_free_bytes", "Free bytes of the data directory's disk.", metrics.disk_free_bytes.get())?;
    out.gauge("chatlake_fold_open_traces", "Traces that are still open.", metrics.open_traces.get())?;
    let oldest = seconds(metrics.oldest_buffered_micros.get());
    out.gauge("chatlake_wal_oldest_record_seconds", "Arrival of the oldest buffered record, since 1970.", oldest)?;
    let last = seconds(metrics.last_commit_micros.get());
    out.gauge("chatlake_commit_last_seconds", "When a manifest was last written, since 1970.", last)?;
    out.count("chatlake_commit_manifests", "Manifests written.", metrics.commits.get())?;
    out.count("chatlake_commit_rows", "Rows committed.", metrics.committed_rows.get())?;
    out.count("chatlake_commit_files_bytes", "Bytes of files committed.", metrics.committed_bytes.get())?;
    let errors = metrics.store_errors.all();
    let errors =
        errors.iter().map(|((operation, kind), errors)| ([("operation", *operation), ("kind", *kind)], *errors));
    out.counts("chatlake_store_errors", "Answers of the store that were no success.", errors)?;
    let window = metrics.dedupe_window_seconds.get();
    out.gauge("chatlake_dedupe_window_seconds", "How far back a resent record is recognised.", window)
}

fn process(out: &mut Out<'_>) -> fmt::Result {
    if let Some(bytes) = process::resident_bytes().and_then(|bytes| i64::try_from(bytes).ok()) {
        out.gauge("process_resident_memory_bytes", "Memory in use.", bytes)?;
    }
    if let Some(seconds) = process::cpu_seconds() {
        out.metric("process_cpu_seconds", "Processor time spent.", &ConstCounter::new(seconds))?;
    }
    Ok(())
}

struct Out<'a>(DescriptorEncoder<'a>);

impl Out<'_> {
    fn metric(&mut self, name: &str, help: &str, metric: &impl EncodeMetric) -> fmt::Result {
        metric.encode(self.0.encode_descriptor(name, help, None, metric.metric_type())?)
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl EncodeGaugeValue) -> fmt::Result {
        self.metric(name, help, &ConstGauge::new(value))
    }

    fn count(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.metric(name, help, &ConstCounter::new(value))
    }

    fn counts<'l, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        series: impl Iterator<Item = ([(&'static str, &'l str); N], u64)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in series {
            ConstCounter::new(value).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
