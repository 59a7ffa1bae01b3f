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
mod record;
pub mod stream;
#[cfg(test)]
mod tests;
mod value;
mod write;

pub use write::write_logs;
pub use write::write_traces;

use super::otlp::Read;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::EntityRef;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::logs::v1::ResourceLogs;
use opentelemetry_proto::tonic::logs::v1::ScopeLogs;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use opentelemetry_proto::tonic::trace::v1::ScopeSpans;
use reader::Fault;
use reader::Reader;
use record::log_record;
use record::span;
use stream::Top;
use value::Depth;

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
