//! The same records in other requests: taken apart, repeated, mixed and put together again, by a seed.

use super::corpus::{Request, Signal};
use super::load::mix;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans};
use prost::Message as _;
use std::collections::{BTreeMap, HashSet};

/// Numbers that follow from a seed.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// A sequence of its own for each seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(mix(seed))
    }

    /// The next number below `limit`.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 = mix(self.0);
        usize::try_from(self.0 >> 33).expect("31 bits") % limit.max(1)
    }

    /// Brings things into another order.
    pub(crate) fn shuffle<T>(&mut self, things: &mut [T]) {
        for last in (1..things.len()).rev() {
            things.swap(last, self.below(last + 1));
        }
    }
}

/// The records of protobuf requests in other requests: spans in any order, each sent one to five times; log records of
/// one span stay in one request and in their order, for that is what tells it where times are equal.
pub(crate) fn other_requests(requests: &[Request], random: &mut Random) -> Vec<Request> {
    let mut spans = Vec::new();
    let mut logs = Vec::new();
    for request in requests {
        match request.signal {
            Signal::Traces => spans.extend(single_spans(&request.body)),
            Signal::Logs => logs.extend(logs_by_span(&request.body)),
        }
    }
    let mut requests = Vec::new();
    for resource_spans in groups(repeated(spans, random), random) {
        let body = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
        requests.push(Request { signal: Signal::Traces, json: false, body });
    }
    for resource_logs in groups(repeated(logs, random), random) {
        let body = ExportLogsServiceRequest { resource_logs }.encode_to_vec();
        requests.push(Request { signal: Signal::Logs, json: false, body });
    }
    random.shuffle(&mut requests);
    requests
}

/// Records before whose arrival no trace is finished, and those that may finish one: spans whose parent is in no
/// request, and log records without a trace, which wait for no more than their segment.
pub(crate) fn tops_apart(requests: &[Request]) -> (Vec<Request>, Vec<Request>) {
    let spans: Vec<ResourceSpans> =
        requests.iter().filter(|one| one.signal == Signal::Traces).flat_map(|one| single_spans(&one.body)).collect();
    let logs: Vec<ResourceLogs> =
        requests.iter().filter(|one| one.signal == Signal::Logs).flat_map(|one| logs_by_span(&one.body)).collect();
    let of = |one: &ResourceSpans| one.scope_spans[0].spans[0].clone();
    let here: HashSet<(Vec<u8>, Vec<u8>)> = spans.iter().map(of).map(|span| (span.trace_id, span.span_id)).collect();
    let is_top = |one: &ResourceSpans| {
        let span = of(one);
        // Of a span whose parent is in another process nobody knows that its parent comes too.
        let is_remote = span.flags & 0x300 == 0x300;
        is_remote || !here.contains(&(span.trace_id, span.parent_span_id))
    };
    let (tops, below): (Vec<_>, Vec<_>) = spans.into_iter().partition(is_top);
    let (loose, standing): (Vec<_>, Vec<_>) =
        logs.into_iter().partition(|one| one.scope_logs[0].log_records[0].trace_id.is_empty());
    let requests = |resource_spans, resource_logs| {
        let spans = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
        let logs = ExportLogsServiceRequest { resource_logs }.encode_to_vec();
        vec![
            Request { signal: Signal::Traces, json: false, body: spans },
            Request { signal: Signal::Logs, json: false, body: logs },
        ]
    };
    (requests(below, standing), requests(tops, loose))
}

fn single_spans(body: &[u8]) -> Vec<ResourceSpans> {
    let request = ExportTraceServiceRequest::decode(body).expect("recorded spans");
    let mut single = Vec::new();
    for of_resource in request.resource_spans {
        for of_scope in &of_resource.scope_spans {
            for span in &of_scope.spans {
                let scope_spans = vec![ScopeSpans { spans: vec![span.clone()], ..of_scope.clone() }];
                single.push(ResourceSpans { scope_spans, ..of_resource.clone() });
            }
        }
    }
    single
}

fn logs_by_span(body: &[u8]) -> Vec<ResourceLogs> {
    let request = ExportLogsServiceRequest::decode(body).expect("recorded log records");
    let mut grouped = Vec::new();
    for of_resource in request.resource_logs {
        for of_scope in &of_resource.scope_logs {
            let mut by_span: BTreeMap<Vec<u8>, Vec<LogRecord>> = BTreeMap::new();
            for record in &of_scope.log_records {
                let key = [record.trace_id.as_slice(), &record.span_id].concat();
                by_span.entry(key).or_default().push(record.clone());
            }
            for log_records in by_span.into_values() {
                let scope_logs = vec![ScopeLogs { log_records, ..of_scope.clone() }];
                grouped.push(ResourceLogs { scope_logs, ..of_resource.clone() });
            }
        }
    }
    grouped
}

/// Each thing one to five times, in any order.
fn repeated<T: Clone>(things: Vec<T>, random: &mut Random) -> Vec<T> {
    let mut repeated = Vec::new();
    for thing in things {
        // Most once, for that is what happens most.
        let times = 1 + random.below(6).saturating_sub(1) * random.below(2);
        repeated.extend(std::iter::repeat_n(thing, times));
    }
    random.shuffle(&mut repeated);
    repeated
}

/// Things cut into groups of one to fifty.
fn groups<T>(things: Vec<T>, random: &mut Random) -> Vec<Vec<T>> {
    let mut groups: Vec<Vec<T>> = Vec::new();
    let mut room = 0;
    for thing in things {
        if room == 0 {
            room = 1 + random.below(50);
            groups.push(Vec::new());
        }
        room -= 1;
        groups.last_mut().expect("a group").push(thing);
    }
    groups
}
