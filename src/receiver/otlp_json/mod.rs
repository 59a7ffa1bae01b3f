//! OTLP/JSON into the types of OTLP, read leniently: what producers write, not only what the mapping of protobuf to
//! JSON allows.
//!
//! | taken as | spellings |
//! |---|---|
//! | keys | camelCase and snake_case; unknown ones are skipped |
//! | 64-bit integers | strings and numbers, also `12.0` and `1e3` |
//! | doubles | numbers and strings, `NaN`, `Infinity`, `-Infinity` |
//! | enums | numbers and names |
//! | ids | hexadecimal digits, also with dashes; base64 |
//! | null, a missing field | the field's default |
//!
//! A leaf of the wrong kind costs that leaf only and leaves a note; a missing bracket or a list where an object belongs
//! is an error that names the place. Notes go to the records that they concern, by position in the request.

mod reader;
pub mod stream;
#[cfg(test)]
mod tests;
mod value;
mod write;

use super::otlp::Read;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::EntityRef;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::logs::v1::ResourceLogs;
use opentelemetry_proto::tonic::logs::v1::ScopeLogs;
use opentelemetry_proto::tonic::logs::v1::SeverityNumber;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use opentelemetry_proto::tonic::trace::v1::ScopeSpans;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::Status;
use opentelemetry_proto::tonic::trace::v1::span::Event;
use opentelemetry_proto::tonic::trace::v1::span::Link;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use reader::Fault;
use reader::Reader;
use stream::Top;
use value::Depth;
pub use write::write_logs;
pub use write::write_traces;

/// Why a body is no OTLP/JSON of the wanted signal.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// The text is no JSON, or has a list or object where another belongs; the message names the place.
    #[error("{0}")]
    Malformed(String),
    /// The body holds this key of another signal and none of the wanted one.
    #[error("body holds {0}")]
    OtherSignal(&'static str),
}

impl From<Fault> for JsonError {
    fn from(fault: Fault) -> Self {
        Self::Malformed(fault.to_string())
    }
}

/// Reads a request of traces.
///
/// # Errors
/// When the text is no JSON object of spans.
pub fn traces(json: &[u8]) -> Result<Read<ExportTraceServiceRequest>, JsonError> {
    let mut out = Read::<ExportTraceServiceRequest>::default();
    let mut walk = Walk::default();
    top(json, ["resourceSpans", "resource_spans"], |reader| {
        let resource_spans = walk.resource_spans(reader)?;
        out.request.resource_spans.push(resource_spans);
        Ok(())
    })?;
    out.notes = walk.notes;
    Ok(out)
}

/// Reads a request of logs.
///
/// # Errors
/// When the text is no JSON object of log records.
pub fn logs(json: &[u8]) -> Result<Read<ExportLogsServiceRequest>, JsonError> {
    let mut out = Read::<ExportLogsServiceRequest>::default();
    let mut walk = Walk::default();
    top(json, ["resourceLogs", "resource_logs"], |reader| {
        let resource_logs = walk.resource_logs(reader)?;
        out.request.resource_logs.push(resource_logs);
        Ok(())
    })?;
    out.notes = walk.notes;
    Ok(out)
}

/// Counts the data points of a request of metrics.
///
/// # Errors
/// When the text is no JSON object of metrics.
pub fn data_points(json: &[u8]) -> Result<u64, JsonError> {
    fn descend(reader: &mut Reader<'_>, path: &[&[&str]], count: &mut u64) -> Result<(), Fault> {
        let Some((names, path)) = path.split_first() else {
            return reader.object(|reader, _| {
                if reader.peek()? != reader::Next::Object {
                    return reader.skip().map(drop);
                }
                reader.object(|reader, key| match key {
                    "dataPoints" | "data_points" => reader.list(|reader| {
                        *count += 1;
                        reader.skip().map(drop)
                    }),
                    _ => reader.skip().map(drop),
                })
            });
        };
        reader.object(|reader, key| {
            if names.contains(&key) {
                return reader.list(|reader| descend(reader, path, count));
            }
            reader.skip().map(drop)
        })
    }
    let mut count = 0;
    top(json, ["resourceMetrics", "resource_metrics"], |reader| {
        descend(reader, &[&["scopeMetrics", "scope_metrics"], &["metrics"]], &mut count)
    })?;
    Ok(count)
}

fn top(
    json: &[u8],
    wanted: [&str; 2],
    mut item: impl FnMut(&mut Reader<'_>) -> Result<(), Fault>,
) -> Result<(), JsonError> {
    let mut reader = Reader::new(json);
    let mut found = false;
    let mut other = None;
    if reader.peek()? != reader::Next::Object {
        return Err(reader.fault("expected an object").into());
    }
    reader.object(|reader, key| {
        if wanted.contains(&key) {
            found = true;
            return reader.list(&mut item);
        }
        other = match Top::named(key) {
            Some(Top::Spans) => Some("resourceSpans"),
            Some(Top::Logs) => Some("resourceLogs"),
            Some(Top::Metrics) => Some("resourceMetrics"),
            None => other,
        };
        reader.skip().map(drop)
    })?;
    reader.end()?;
    match other {
        Some(key) if !found => Err(JsonError::OtherSignal(key)),
        _ => Ok(()),
    }
}

/// What is remembered between the records of a request.
#[derive(Default)]
struct Walk {
    position: u32,
    notes: Vec<(u32, String)>,
}

impl Walk {
    fn resource_spans(&mut self, reader: &mut Reader<'_>) -> Result<ResourceSpans, Fault> {
        reader.spend(size_of::<ResourceSpans>())?;
        let first = self.position;
        let mut found = ResourceSpans::default();
        reader.object(|reader, key| {
            match key {
                "resource" => found.resource = Some(resource(reader)?),
                "scopeSpans" | "scope_spans" | "instrumentationLibrarySpans" => reader.list(|reader| {
                    found.scope_spans.push(self.scope_spans(reader)?);
                    Ok(())
                })?,
                "schemaUrl" | "schema_url" => found.schema_url = value::text(reader)?,
                _ => drop(reader.skip()?),
            }
            Ok(())
        })?;
        self.note(reader, first);
        Ok(found)
    }

    fn scope_spans(&mut self, reader: &mut Reader<'_>) -> Result<ScopeSpans, Fault> {
        reader.spend(size_of::<ScopeSpans>())?;
        let mut found = ScopeSpans::default();
        reader.object(|reader, key| {
            match key {
                "scope" | "instrumentationLibrary" => found.scope = Some(scope(reader)?),
                "spans" => reader.list(|reader| {
                    let noted = reader.noted();
                    found.spans.push(span(reader)?);
                    self.next(reader, noted);
                    Ok(())
                })?,
                "schemaUrl" | "schema_url" => found.schema_url = value::text(reader)?,
                _ => drop(reader.skip()?),
            }
            Ok(())
        })?;
        Ok(found)
    }

    fn resource_logs(&mut self, reader: &mut Reader<'_>) -> Result<ResourceLogs, Fault> {
        reader.spend(size_of::<ResourceLogs>())?;
        let first = self.position;
        let mut found = ResourceLogs::default();
        reader.object(|reader, key| {
            match key {
                "resource" => found.resource = Some(resource(reader)?),
                "scopeLogs" | "scope_logs" | "instrumentationLibraryLogs" => reader.list(|reader| {
                    found.scope_logs.push(self.scope_logs(reader)?);
                    Ok(())
                })?,
                "schemaUrl" | "schema_url" => found.schema_url = value::text(reader)?,
                _ => drop(reader.skip()?),
            }
            Ok(())
        })?;
        self.note(reader, first);
        Ok(found)
    }

    fn scope_logs(&mut self, reader: &mut Reader<'_>) -> Result<ScopeLogs, Fault> {
        reader.spend(size_of::<ScopeLogs>())?;
        let mut found = ScopeLogs::default();
        reader.object(|reader, key| {
            match key {
                "scope" | "instrumentationLibrary" => found.scope = Some(scope(reader)?),
                "logRecords" | "log_records" | "logs" => reader.list(|reader| {
                    let noted = reader.noted();
                    found.log_records.push(log_record(reader)?);
                    self.next(reader, noted);
                    Ok(())
                })?,
                "schemaUrl" | "schema_url" => found.schema_url = value::text(reader)?,
                _ => drop(reader.skip()?),
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// Ends a record: what was noted while it was read is about it.
    fn next(&mut self, reader: &mut Reader<'_>, noted: usize) {
        for note in reader.take_notes(noted) {
            self.notes.push((self.position, note));
        }
        self.position = self.position.saturating_add(1);
    }

    /// What is still noted at the end of a resource concerns all its records.
    fn note(&mut self, reader: &mut Reader<'_>, first: u32) {
        for note in reader.take_notes(0) {
            self.notes.extend((first..self.position).map(|position| (position, note.clone())));
        }
    }
}

fn resource(reader: &mut Reader<'_>) -> Result<Resource, Fault> {
    let mut found = Resource::default();
    reader.object(|reader, key| {
        match key {
            "attributes" => found.attributes = value::attributes(reader, Depth::below(4))?,
            "droppedAttributesCount" | "dropped_attributes_count" => {
                found.dropped_attributes_count = value::unsigned(reader, key)?;
            }
            "entityRefs" | "entity_refs" => reader.list(|reader| {
                found.entity_refs.push(entity_ref(reader)?);
                Ok(())
            })?,
            _ => drop(reader.skip()?),
        }
        Ok(())
    })?;
    Ok(found)
}

fn entity_ref(reader: &mut Reader<'_>) -> Result<EntityRef, Fault> {
    fn texts(reader: &mut Reader<'_>, out: &mut Vec<String>) -> Result<(), Fault> {
        reader.list(|reader| {
            reader.spend(size_of::<String>())?;
            out.push(value::text(reader)?);
            Ok(())
        })
    }
    reader.spend(size_of::<EntityRef>())?;
    let mut found = EntityRef::default();
    reader.object(|reader, key| {
        match key {
            "schemaUrl" | "schema_url" => found.schema_url = value::text(reader)?,
            "type" => found.r#type = value::text(reader)?,
            "idKeys" | "id_keys" => texts(reader, &mut found.id_keys)?,
            "descriptionKeys" | "description_keys" => texts(reader, &mut found.description_keys)?,
            _ => drop(reader.skip()?),
        }
        Ok(())
    })?;
    Ok(found)
}

fn scope(reader: &mut Reader<'_>) -> Result<InstrumentationScope, Fault> {
    let mut found = InstrumentationScope::default();
    reader.object(|reader, key| {
        match key {
            "name" => found.name = value::text(reader)?,
            "version" => found.version = value::text(reader)?,
            "attributes" => found.attributes = value::attributes(reader, Depth::below(5))?,
            "droppedAttributesCount" | "dropped_attributes_count" => {
                found.dropped_attributes_count = value::unsigned(reader, key)?;
            }
            _ => drop(reader.skip()?),
        }
        Ok(())
    })?;
    Ok(found)
}

fn span(reader: &mut Reader<'_>) -> Result<Span, Fault> {
    reader.spend(size_of::<Span>())?;
    let mut found = Span::default();
    reader.object(|reader, key| {
        match key {
            "traceId" | "trace_id" => found.trace_id = value::id(reader, TRACE_ID)?,
            "spanId" | "span_id" => found.span_id = value::id(reader, SPAN_ID)?,
            "traceState" | "trace_state" => found.trace_state = value::text(reader)?,
            "parentSpanId" | "parent_span_id" => found.parent_span_id = value::id(reader, SPAN_ID)?,
            "flags" => found.flags = value::unsigned(reader, key)?,
            "name" => found.name = value::text(reader)?,
            "kind" => found.kind = value::choice(reader, key, span_kind)?,
            "startTimeUnixNano" | "start_time_unix_nano" => {
                found.start_time_unix_nano = value::unsigned(reader, key)?;
            }
            "endTimeUnixNano" | "end_time_unix_nano" => found.end_time_unix_nano = value::unsigned(reader, key)?,
            "attributes" => found.attributes = value::attributes(reader, Depth::below(5))?,
            "droppedAttributesCount" | "dropped_attributes_count" => {
                found.dropped_attributes_count = value::unsigned(reader, key)?;
            }
            "events" => reader.list(|reader| {
                found.events.push(event(reader)?);
                Ok(())
            })?,
            "droppedEventsCount" | "dropped_events_count" => {
                found.dropped_events_count = value::unsigned(reader, key)?;
            }
            "links" => reader.list(|reader| {
                found.links.push(link(reader)?);
                Ok(())
            })?,
            "droppedLinksCount" | "dropped_links_count" => found.dropped_links_count = value::unsigned(reader, key)?,
            "status" => found.status = status(reader)?,
            _ => drop(reader.skip()?),
        }
        Ok(())
    })?;
    Ok(found)
}

const TRACE_ID: usize = 16;
const SPAN_ID: usize = 8;

fn span_kind(name: &str) -> Option<i32> {
    SpanKind::from_str_name(name).map(i32::from)
}

fn event(reader: &mut Reader<'_>) -> Result<Event, Fault> {
    reader.spend(size_of::<Event>())?;
    let mut found = Event::default();
    reader.object(|reader, key| {
        match key {
            "timeUnixNano" | "time_unix_nano" => found.time_unix_nano = value::unsigned(reader, key)?,
            "name" => found.name = value::text(reader)?,
            "attributes" => found.attributes = value::attributes(reader, Depth::below(6))?,
            "droppedAttributesCount" | "dropped_attributes_count" => {
                found.dropped_attributes_count = value::unsigned(reader, key)?;
            }
            _ => drop(reader.skip()?),
        }
        Ok(())
    })?;
    Ok(found)
}

fn link(reader: &mut Reader<'_>) -> Result<Link, Fault> {
    reader.spend(size_of::<Link>())?;
    let mut found = Link::default();
    reader.object(|reader, key| {
        match key {
            "traceId" | "trace_id" => found.trace_id = value::id(reader, TRACE_ID)?,
            "spanId" | "span_id" => found.span_id = value::id(reader, SPAN_ID)?,
            "traceState" | "trace_state" => found.trace_state = value::text(reader)?,
            "attributes" => found.attributes = value::attributes(reader, Depth::below(6))?,
            "droppedAttributesCount" | "dropped_attributes_count" => {
                found.dropped_attributes_count = value::unsigned(reader, key)?;
            }
            "flags" => found.flags = value::unsigned(reader, key)?,
            _ => drop(reader.skip()?),
        }
        Ok(())
    })?;
    Ok(found)
}

fn status(reader: &mut Reader<'_>) -> Result<Option<Status>, Fault> {
    if reader.peek()? == reader::Next::Null {
        return reader.skip().map(|_| None);
    }
    let mut found = Status::default();
    reader.object(|reader, key| {
        match key {
            "message" => found.message = value::text(reader)?,
            "code" => found.code = value::choice(reader, "status code", status_code)?,
            _ => drop(reader.skip()?),
        }
        Ok(())
    })?;
    Ok(Some(found))
}

fn status_code(name: &str) -> Option<i32> {
    StatusCode::from_str_name(name).map(i32::from)
}

fn log_record(reader: &mut Reader<'_>) -> Result<LogRecord, Fault> {
    reader.spend(size_of::<LogRecord>())?;
    let mut found = LogRecord::default();
    reader.object(|reader, key| {
        match key {
            "timeUnixNano" | "time_unix_nano" => found.time_unix_nano = value::unsigned(reader, key)?,
            "observedTimeUnixNano" | "observed_time_unix_nano" => {
                found.observed_time_unix_nano = value::unsigned(reader, key)?;
            }
            "severityNumber" | "severity_number" => {
                found.severity_number = value::choice(reader, "severity number", severity)?;
            }
            "severityText" | "severity_text" => found.severity_text = value::text(reader)?,
            "body" => found.body = value::any(reader, Depth::below(4))?,
            "attributes" => found.attributes = value::attributes(reader, Depth::below(5))?,
            "droppedAttributesCount" | "dropped_attributes_count" => {
                found.dropped_attributes_count = value::unsigned(reader, key)?;
            }
            "flags" => found.flags = value::unsigned(reader, key)?,
            "traceId" | "trace_id" => found.trace_id = value::id(reader, TRACE_ID)?,
            "spanId" | "span_id" => found.span_id = value::id(reader, SPAN_ID)?,
            "eventName" | "event_name" => found.event_name = value::text(reader)?,
            _ => drop(reader.skip()?),
        }
        Ok(())
    })?;
    Ok(found)
}

fn severity(name: &str) -> Option<i32> {
    SeverityNumber::from_str_name(name).map(i32::from)
}
