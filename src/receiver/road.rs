//! The pure stretch of the road: body, request, partials, redacted records. No I/O, no waiting, no clock; `convert`
//! takes the same stretch.
//!
//! A record whose mapping panics costs nothing but itself: the request is read once more, record by record, and the
//! one at fault goes on as a dead record with its reason and its text, redacted as text.

use super::Caller;
use super::Rejected;
use super::otlp;
use super::otlp::Read;
use super::otlp_json;
use super::rejected::Encoding;
use crate::dialect;
use crate::event::Dead;
use crate::event::Envelope;
use crate::event::Kind;
use crate::event::Partial;
use crate::redact::Policies;
use crate::redact::Redacted;
use crate::redact::Redactor;
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::ResourceLogs;
use opentelemetry_proto::tonic::logs::v1::ScopeLogs;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use opentelemetry_proto::tonic::trace::v1::ScopeSpans;
use opentelemetry_proto::tonic::trace::v1::Span;
use std::collections::HashMap;
use std::collections::HashSet;
use std::fmt::Debug;
use std::ops::Range;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::sync::Arc;

/// The door of OTLP, whatever transport and encoding.
pub const OTLP: &str = "otlp";

/// What a body holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Spans.
    Traces,
    /// Log records.
    Logs,
}

/// A request of either signal.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// Spans.
    Traces(ExportTraceServiceRequest),
    /// Log records.
    Logs(ExportLogsServiceRequest),
}

impl Request {
    /// Reads a body.
    ///
    /// # Errors
    /// When it is none of this signal.
    pub fn read(signal: Signal, body: &Bytes, encoding: Encoding) -> Result<Read<Self>, Rejected> {
        match signal {
            Signal::Traces => {
                let Read { request, notes } = otlp::traces(body, encoding)?;
                Ok(Read { request: Self::Traces(request), notes })
            }
            Signal::Logs => {
                let Read { request, notes } = otlp::logs(body, encoding)?;
                Ok(Read { request: Self::Logs(request), notes })
            }
        }
    }

    /// The latest time that any record states, nanoseconds since 1970; 0 where none does.
    pub fn latest(&self) -> u64 {
        let spans = self.spans().map(|span| span.end_time_unix_nano.max(span.start_time_unix_nano));
        let logs = match self {
            Self::Traces(_) => &[],
            Self::Logs(request) => request.resource_logs.as_slice(),
        };
        let logs = logs.iter().flat_map(|resource| &resource.scope_logs).flat_map(|scope| &scope.log_records);
        spans.chain(logs.map(|log| log.time_unix_nano.max(log.observed_time_unix_nano))).max().unwrap_or(0)
    }

    fn spans(&self) -> impl Iterator<Item = &Span> {
        let spans = match self {
            Self::Traces(request) => request.resource_spans.as_slice(),
            Self::Logs(_) => &[],
        };
        spans.iter().flat_map(|resource| &resource.scope_spans).flat_map(|scope| &scope.spans)
    }

    /// Removes the spans that this process itself exported, as their resource says; gives the places they had.
    fn leave(&mut self, instance: &str) -> Vec<Range<u32>> {
        let Self::Traces(request) = self else { return Vec::new() };
        let mut left = Vec::new();
        let mut place = 0_u32;
        request.resource_spans.retain(|resource| {
            let spans: usize = resource.scope_spans.iter().map(|scope| scope.spans.len()).sum();
            let from = place;
            place = place.saturating_add(u32::try_from(spans).unwrap_or(u32::MAX));
            let is_own = is_instance(resource.resource.as_ref(), instance);
            if is_own {
                left.push(from..place);
            }
            !is_own
        });
        left
    }

    /// Places of the records that can never be taken: spans without the ids that make them spans.
    fn invalid(&self) -> HashSet<u32> {
        let is_id = |id: &[u8], length| id.len() == length && id.iter().any(|byte| *byte != 0);
        let spans = (0..).zip(self.spans());
        spans
            .filter(|(_, span)| !is_id(&span.trace_id, 16) || !is_id(&span.span_id, 8))
            .map(|(place, _)| place)
            .collect()
    }

    /// The same records, each as a request of its own, in order.
    fn singly(self) -> Vec<Self> {
        let mut out = Vec::new();
        match self {
            Self::Traces(request) => {
                for resource in request.resource_spans {
                    for scope in resource.scope_spans {
                        for span in scope.spans {
                            let spans = vec![span];
                            let scope_spans =
                                ScopeSpans { scope: scope.scope.clone(), spans, schema_url: scope.schema_url.clone() };
                            out.push(Self::Traces(ExportTraceServiceRequest {
                                resource_spans: vec![ResourceSpans {
                                    resource: resource.resource.clone(),
                                    scope_spans: vec![scope_spans],
                                    schema_url: resource.schema_url.clone(),
                                }],
                            }));
                        }
                    }
                }
            }
            Self::Logs(request) => {
                for resource in request.resource_logs {
                    for scope in resource.scope_logs {
                        for record in scope.log_records {
                            let log_records = vec![record];
                            let schema_url = scope.schema_url.clone();
                            let scope_logs = ScopeLogs { scope: scope.scope.clone(), log_records, schema_url };
                            out.push(Self::Logs(ExportLogsServiceRequest {
                                resource_logs: vec![ResourceLogs {
                                    resource: resource.resource.clone(),
                                    scope_logs: vec![scope_logs],
                                    schema_url: resource.schema_url.clone(),
                                }],
                            }));
                        }
                    }
                }
            }
        }
        out
    }

    fn to_json(&self) -> String {
        match self {
            Self::Traces(request) => otlp_json::write_traces(request),
            Self::Logs(request) => otlp_json::write_logs(request),
        }
    }
}

fn is_instance(resource: Option<&Resource>, instance: &str) -> bool {
    let mut attributes = resource.iter().flat_map(|resource| &resource.attributes);
    attributes.any(|attribute| {
        let value = attribute.value.as_ref().and_then(|value| value.value.as_ref());
        attribute.key == "service.instance.id" && matches!(value, Some(Value::StringValue(text)) if text == instance)
    })
}

/// Records of one resource and scope, as a mapper gives them: an envelope with resource, service and environment,
/// and each record with its place in the request.
pub type Mapped = (Envelope, Vec<(u32, Partial)>);

/// What makes partials of requests.
pub trait Mapper: Send + Sync + Debug {
    /// Maps a request. Never fails; should it panic, the records are mapped one by one.
    fn map(&self, request: Request) -> Vec<Mapped>;
}

impl Mapper for dialect::Settings {
    fn map(&self, request: Request) -> Vec<Mapped> {
        let reads = match request {
            Request::Traces(request) => dialect::traces(request, self),
            Request::Logs(request) => dialect::logs(request, self),
        };
        reads.into_iter().map(|read| (read.envelope, read.records)).collect()
    }
}

/// A request that is ready for the log.
#[derive(Debug, Default)]
pub struct Prepared {
    /// What to append.
    pub redacted: Vec<Redacted>,
    /// Records in it.
    pub records: u64,
    /// Records that can never be taken: spans without ids.
    pub invalid: u64,
    /// Records whose mapping panicked, among `records`.
    pub dead: u64,
    /// Records that this process itself exported, and that go no further.
    pub own: u64,
}

/// How bodies become redacted records.
#[derive(Debug, Clone)]
pub struct Road {
    mapper: Arc<dyn Mapper>,
    policies: Arc<Policies>,
    instance: Option<String>,
}

impl Road {
    /// Maps with `mapper` and redacts by the policy that a caller's credential names, else by the configuration's.
    pub fn new(mapper: Arc<dyn Mapper>, policies: Arc<Policies>) -> Self {
        Self { mapper, policies, instance: None }
    }

    /// Leaves what this process itself exports, whose resource has `instance` as its id, or it would export again
    /// what it did with it, for ever.
    #[must_use]
    pub fn leaving(self, instance: String) -> Self {
        Self { instance: Some(instance), ..self }
    }

    /// Reads, maps and redacts a body. `arrived` gives the arrival in microseconds since 1970.
    ///
    /// # Errors
    /// When the body is no request of this signal.
    pub fn prepare(
        &self,
        signal: Signal,
        body: &Bytes,
        encoding: Encoding,
        caller: &Caller,
        arrived: impl FnOnce(&Request) -> i64,
    ) -> Result<Prepared, Rejected> {
        let read = || Request::read(signal, body, encoding);
        let unreadable = |_| Err(Rejected::Malformed("body cannot be read".to_owned()));
        let mut read = catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(unreadable)?;
        let own = self.leave(&mut read);
        let Read { request, notes } = read;
        let invalid = request.invalid();
        let mut noted = HashMap::<u32, Vec<String>>::new();
        for (place, note) in notes {
            noted.entry(place).or_default().push(note);
        }
        let run = Run { road: self, caller, received_at: arrived(&request), invalid: &invalid, notes: &noted };
        let mut prepared = match catch_unwind(AssertUnwindSafe(|| run.whole(request))) {
            Ok(redacted) => Prepared { redacted, ..Prepared::default() },
            Err(_) => {
                let mut again = Request::read(signal, body, encoding)?;
                self.leave(&mut again);
                run.singly(again.request)
            }
        };
        prepared.own = own;
        prepared.invalid = invalid.len() as u64;
        prepared.records = prepared.redacted.iter().map(|redacted| redacted.records().len() as u64).sum();
        Ok(prepared)
    }

    /// Takes out what this process itself exported; gives how many.
    fn leave(&self, read: &mut Read<Request>) -> u64 {
        let left = self.instance.as_ref().map(|instance| read.request.leave(instance)).unwrap_or_default();
        if !left.is_empty() {
            read.notes.retain(|(place, _)| !left.iter().any(|left| left.contains(place)));
            for (place, _) in &mut read.notes {
                let before: u32 = left.iter().filter(|left| left.end <= *place).map(|left| left.end - left.start).sum();
                *place -= before;
            }
        }
        left.iter().map(|left| u64::from(left.end - left.start)).sum()
    }

    pub(super) fn redactor(&self, caller: &Caller) -> &Redactor {
        caller.policy.as_ref().map_or_else(|| self.policies.own(), |policy| self.policies.of(policy))
    }
}

/// One request on the road.
struct Run<'a> {
    road: &'a Road,
    caller: &'a Caller,
    received_at: i64,
    invalid: &'a HashSet<u32>,
    notes: &'a HashMap<u32, Vec<String>>,
}

impl Run<'_> {
    fn whole(&self, request: Request) -> Vec<Redacted> {
        let redactor = self.road.redactor(self.caller);
        let mut out = Vec::new();
        for (envelope, mut records) in self.road.mapper.map(request) {
            if !self.invalid.is_empty() {
                records.retain(|(place, _)| !self.invalid.contains(place));
            }
            self.note(&mut records);
            if !records.is_empty() {
                out.push(redactor.redact(self.bound(envelope), records));
            }
        }
        out
    }

    fn singly(&self, request: Request) -> Prepared {
        let mut prepared = Prepared::default();
        for (place, single) in (0..).zip(request.singly()) {
            if self.invalid.contains(&place) {
                continue;
            }
            let mapped = catch_unwind(AssertUnwindSafe(|| self.single(place, single.clone())));
            prepared.redacted.extend(mapped.unwrap_or_else(|_| {
                prepared.dead += 1;
                vec![self.dead(place, &single)]
            }));
        }
        prepared
    }

    fn single(&self, place: u32, request: Request) -> Vec<Redacted> {
        let redactor = self.road.redactor(self.caller);
        let mut out = Vec::new();
        for (envelope, mut records) in self.road.mapper.map(request) {
            for (at, _) in &mut records {
                *at = place;
            }
            self.note(&mut records);
            out.push(redactor.redact(self.bound(envelope), records));
        }
        out
    }

    /// A record that says only that it could not be mapped. Should its text be what redaction cannot bear, it goes
    /// without: nothing unredacted is stored.
    fn dead(&self, place: u32, request: &Request) -> Redacted {
        let with = |reason: &str, text: String| {
            let dead = Dead { reason: reason.to_owned(), text };
            let partial = Partial {
                kind: Kind::Dead.into(),
                row: Some(Box::default()),
                start_ns: request.latest(),
                dead: Some(dead),
                ..Partial::default()
            };
            self.road.redactor(self.caller).redact(self.bound(Envelope::default()), vec![(place, partial)])
        };
        catch_unwind(AssertUnwindSafe(|| with("the mapping panicked", request.to_json())))
            .unwrap_or_else(|_| with("the mapping and the redaction panicked", String::new()))
    }

    fn bound(&self, mut envelope: Envelope) -> Envelope {
        envelope.tenant.clone_from(&self.caller.tenant);
        envelope.app.clone_from(&self.caller.app);
        envelope.prefix.clone_from(&self.caller.prefix);
        OTLP.clone_into(&mut envelope.door);
        envelope.received_at = self.received_at;
        envelope
    }

    fn note(&self, records: &mut [(u32, Partial)]) {
        for (place, partial) in records {
            if let Some(notes) = self.notes.get(place) {
                partial.row.get_or_insert_default().notes.extend_from_slice(notes);
            }
        }
    }
}
