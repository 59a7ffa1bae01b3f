//! OTLP/JSON written from OTLP protobuf as the specification says: ids in hex, 64-bit integers as strings, enums as
//! numbers, bytes in base64, absent fields left out. Independent of the program's own reader.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

/// A request for spans as JSON.
pub(crate) fn traces(request: &ExportTraceServiceRequest) -> Value {
    let resources = request.resource_spans.iter().map(|resource_spans| {
        let scopes = resource_spans.scope_spans.iter().map(|scope_spans| {
            object([
                ("scope", scope_spans.scope.as_ref().map_or(Value::Null, scope)),
                ("spans", scope_spans.spans.iter().map(span).collect()),
                ("schemaUrl", text(&scope_spans.schema_url)),
            ])
        });
        object([
            ("resource", resource_spans.resource.as_ref().map_or(Value::Null, resource)),
            ("scopeSpans", scopes.collect()),
            ("schemaUrl", text(&resource_spans.schema_url)),
        ])
    });
    json!({ "resourceSpans": resources.collect::<Value>() })
}

/// A request for log records as JSON.
pub(crate) fn logs(request: &ExportLogsServiceRequest) -> Value {
    let resources = request.resource_logs.iter().map(|resource_logs| {
        let scopes = resource_logs.scope_logs.iter().map(|scope_logs| {
            object([
                ("scope", scope_logs.scope.as_ref().map_or(Value::Null, scope)),
                ("logRecords", scope_logs.log_records.iter().map(log_record).collect()),
                ("schemaUrl", text(&scope_logs.schema_url)),
            ])
        });
        object([
            ("resource", resource_logs.resource.as_ref().map_or(Value::Null, resource)),
            ("scopeLogs", scopes.collect()),
            ("schemaUrl", text(&resource_logs.schema_url)),
        ])
    });
    json!({ "resourceLogs": resources.collect::<Value>() })
}

fn resource(resource: &Resource) -> Value {
    object([
        ("attributes", attributes(&resource.attributes)),
        ("droppedAttributesCount", number(resource.dropped_attributes_count)),
    ])
}

fn scope(scope: &InstrumentationScope) -> Value {
    object([
        ("name", text(&scope.name)),
        ("version", text(&scope.version)),
        ("attributes", attributes(&scope.attributes)),
        ("droppedAttributesCount", number(scope.dropped_attributes_count)),
    ])
}

fn span(span: &Span) -> Value {
    let events = span.events.iter().map(|event| {
        object([
            ("timeUnixNano", long(event.time_unix_nano)),
            ("name", text(&event.name)),
            ("attributes", attributes(&event.attributes)),
            ("droppedAttributesCount", number(event.dropped_attributes_count)),
        ])
    });
    let links = span.links.iter().map(|link| {
        object([
            ("traceId", hex(&link.trace_id)),
            ("spanId", hex(&link.span_id)),
            ("traceState", text(&link.trace_state)),
            ("attributes", attributes(&link.attributes)),
            ("droppedAttributesCount", number(link.dropped_attributes_count)),
            ("flags", number(link.flags)),
        ])
    });
    let status = span.status.as_ref().map_or(Value::Null, |status| {
        object([("message", text(&status.message)), ("code", number(status.code.unsigned_abs()))])
    });
    object([
        ("traceId", hex(&span.trace_id)),
        ("spanId", hex(&span.span_id)),
        ("traceState", text(&span.trace_state)),
        ("parentSpanId", hex(&span.parent_span_id)),
        ("flags", number(span.flags)),
        ("name", text(&span.name)),
        ("kind", number(span.kind.unsigned_abs())),
        ("startTimeUnixNano", long(span.start_time_unix_nano)),
        ("endTimeUnixNano", long(span.end_time_unix_nano)),
        ("attributes", attributes(&span.attributes)),
        ("droppedAttributesCount", number(span.dropped_attributes_count)),
        ("events", events.collect()),
        ("droppedEventsCount", number(span.dropped_events_count)),
        ("links", links.collect()),
        ("droppedLinksCount", number(span.dropped_links_count)),
        ("status", status),
    ])
}

fn log_record(record: &LogRecord) -> Value {
    object([
        ("timeUnixNano", long(record.time_unix_nano)),
        ("observedTimeUnixNano", long(record.observed_time_unix_nano)),
        ("severityNumber", number(record.severity_number.unsigned_abs())),
        ("severityText", text(&record.severity_text)),
        ("body", record.body.as_ref().map_or(Value::Null, any)),
        ("attributes", attributes(&record.attributes)),
        ("droppedAttributesCount", number(record.dropped_attributes_count)),
        ("flags", number(record.flags)),
        ("traceId", hex(&record.trace_id)),
        ("spanId", hex(&record.span_id)),
        ("eventName", text(&record.event_name)),
    ])
}

fn attributes(list: &[KeyValue]) -> Value {
    let pairs = list.iter().map(|pair| {
        let value = pair.value.as_ref().map_or_else(|| json!({}), any);
        json!({ "key": pair.key, "value": value })
    });
    pairs.collect()
}

fn any(value: &AnyValue) -> Value {
    match &value.value {
        None => json!({}),
        Some(Any::StringValue(text)) => json!({ "stringValue": text }),
        Some(Any::BoolValue(truth)) => json!({ "boolValue": truth }),
        Some(Any::IntValue(number)) => json!({ "intValue": number.to_string() }),
        Some(Any::DoubleValue(number)) if number.is_nan() => json!({ "doubleValue": "NaN" }),
        Some(Any::DoubleValue(number)) if number.is_infinite() => {
            json!({ "doubleValue": if *number > 0.0 { "Infinity" } else { "-Infinity" } })
        }
        Some(Any::DoubleValue(number)) => json!({ "doubleValue": number }),
        Some(Any::ArrayValue(array)) => {
            json!({ "arrayValue": { "values": array.values.iter().map(any).collect::<Value>() } })
        }
        Some(Any::KvlistValue(list)) => json!({ "kvlistValue": { "values": attributes(&list.values) } }),
        Some(Any::BytesValue(bytes)) => json!({ "bytesValue": STANDARD.encode(bytes) }),
        Some(Any::StringValueStrindex(_)) => panic!("string tables are for profiles only"),
    }
}

/// An object of the fields that are not null, empty or default.
fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    let stated = fields.into_iter().filter(|(_, value)| match value {
        Value::Null => false,
        Value::Array(items) => !items.is_empty(),
        _ => true,
    });
    Value::Object(stated.map(|(key, value)| (key.to_owned(), value)).collect::<Map<_, _>>())
}

fn text(value: &str) -> Value {
    if value.is_empty() { Value::Null } else { json!(value) }
}

fn number(value: u32) -> Value {
    if value == 0 { Value::Null } else { json!(value) }
}

fn long(value: u64) -> Value {
    if value == 0 { Value::Null } else { json!(value.to_string()) }
}

fn hex(bytes: &[u8]) -> Value {
    let mut digits = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        write!(digits, "{byte:02x}").expect("a String grows");
    }
    text(&digits)
}

/// Plain JSON as a list of attributes.
pub(crate) fn plain(object: &Value) -> Value {
    let entries = object.as_object().expect("an object");
    entries.iter().map(|(key, value)| json!({ "key": key, "value": plain_value(value) })).collect()
}

/// Plain JSON as a value of its type.
pub(crate) fn plain_value(value: &Value) -> Value {
    match value {
        Value::Null => json!({}),
        Value::Bool(truth) => json!({ "boolValue": truth }),
        Value::Number(number) if number.is_f64() => json!({ "doubleValue": number }),
        Value::Number(number) => json!({ "intValue": number.to_string() }),
        Value::String(text) => json!({ "stringValue": text }),
        Value::Array(items) => json!({ "arrayValue": { "values": items.iter().map(plain_value).collect::<Value>() } }),
        Value::Object(_) => json!({ "kvlistValue": { "values": plain(value) } }),
    }
}
