//! Spans and log records, field by field.

use super::reader;
use super::reader::Fault;
use super::reader::Reader;
use super::value;
use super::value::Depth;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::logs::v1::SeverityNumber;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::Status;
use opentelemetry_proto::tonic::trace::v1::span::Event;
use opentelemetry_proto::tonic::trace::v1::span::Link;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;

pub(super) fn span(reader: &mut Reader<'_>) -> Result<Span, Fault> {
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

pub(super) fn log_record(reader: &mut Reader<'_>) -> Result<LogRecord, Fault> {
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
