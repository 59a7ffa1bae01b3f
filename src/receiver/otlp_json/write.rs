//! OTLP/JSON of requests, as the mapping of protobuf to JSON asks: for quarantined records, so that they can be sent
//! again, and for tests. Fields that hold their default are left out.

use crate::event::json::push_string;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::AnyValue;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use std::fmt::Write as _;

/// Writes a request of traces.
pub fn write_traces(request: &ExportTraceServiceRequest) -> String {
    let mut out = Writer::default();
    out.object(|out| {
        out.list("resourceSpans", &request.resource_spans, |out, resource_spans| {
            out.resource(resource_spans.resource.as_ref());
            out.list("scopeSpans", &resource_spans.scope_spans, |out, scope_spans| {
                out.scope(scope_spans.scope.as_ref());
                out.list("spans", &scope_spans.spans, Writer::span);
                out.text("schemaUrl", &scope_spans.schema_url);
            });
            out.text("schemaUrl", &resource_spans.schema_url);
        });
    });
    out.text
}

/// Writes a request of logs.
pub fn write_logs(request: &ExportLogsServiceRequest) -> String {
    let mut out = Writer::default();
    out.object(|out| {
        out.list("resourceLogs", &request.resource_logs, |out, resource_logs| {
            out.resource(resource_logs.resource.as_ref());
            out.list("scopeLogs", &resource_logs.scope_logs, |out, scope_logs| {
                out.scope(scope_logs.scope.as_ref());
                out.list("logRecords", &scope_logs.log_records, Writer::log_record);
                out.text("schemaUrl", &scope_logs.schema_url);
            });
            out.text("schemaUrl", &resource_logs.schema_url);
        });
    });
    out.text
}

#[derive(Default)]
struct Writer {
    text: String,
}

impl Writer {
    fn span(&mut self, span: &Span) {
        self.id("traceId", &span.trace_id);
        self.id("spanId", &span.span_id);
        self.text("traceState", &span.trace_state);
        self.id("parentSpanId", &span.parent_span_id);
        self.number("flags", span.flags.into());
        self.text("name", &span.name);
        self.number("kind", span.kind.into());
        self.long("startTimeUnixNano", span.start_time_unix_nano);
        self.long("endTimeUnixNano", span.end_time_unix_nano);
        self.attributes(&span.attributes, span.dropped_attributes_count);
        self.list("events", &span.events, |out, event| {
            out.long("timeUnixNano", event.time_unix_nano);
            out.text("name", &event.name);
            out.attributes(&event.attributes, event.dropped_attributes_count);
        });
        self.number("droppedEventsCount", span.dropped_events_count.into());
        self.list("links", &span.links, |out, link| {
            out.id("traceId", &link.trace_id);
            out.id("spanId", &link.span_id);
            out.text("traceState", &link.trace_state);
            out.attributes(&link.attributes, link.dropped_attributes_count);
            out.number("flags", link.flags.into());
        });
        self.number("droppedLinksCount", span.dropped_links_count.into());
        if let Some(status) = &span.status {
            self.key("status");
            self.object(|out| {
                out.text("message", &status.message);
                out.number("code", status.code.into());
            });
        }
    }

    fn log_record(&mut self, record: &LogRecord) {
        self.long("timeUnixNano", record.time_unix_nano);
        self.long("observedTimeUnixNano", record.observed_time_unix_nano);
        self.number("severityNumber", record.severity_number.into());
        self.text("severityText", &record.severity_text);
        if let Some(body) = &record.body {
            self.key("body");
            self.any(body);
        }
        self.attributes(&record.attributes, record.dropped_attributes_count);
        self.number("flags", record.flags.into());
        self.id("traceId", &record.trace_id);
        self.id("spanId", &record.span_id);
        self.text("eventName", &record.event_name);
    }

    fn resource(&mut self, resource: Option<&Resource>) {
        let Some(resource) = resource else { return };
        self.key("resource");
        self.object(|out| {
            out.attributes(&resource.attributes, resource.dropped_attributes_count);
            out.list("entityRefs", &resource.entity_refs, |out, entity| {
                out.text("schemaUrl", &entity.schema_url);
                out.text("type", &entity.r#type);
                out.texts("idKeys", &entity.id_keys);
                out.texts("descriptionKeys", &entity.description_keys);
            });
        });
    }

    fn scope(&mut self, scope: Option<&InstrumentationScope>) {
        let Some(scope) = scope else { return };
        self.key("scope");
        self.object(|out| {
            out.text("name", &scope.name);
            out.text("version", &scope.version);
            out.attributes(&scope.attributes, scope.dropped_attributes_count);
        });
    }

    fn attributes(&mut self, attributes: &[KeyValue], dropped: u32) {
        self.list("attributes", attributes, Self::key_value);
        self.number("droppedAttributesCount", dropped.into());
    }

    fn key_value(&mut self, attribute: &KeyValue) {
        self.text("key", &attribute.key);
        if let Some(value) = &attribute.value {
            self.key("value");
            self.any(value);
        }
    }

    fn any(&mut self, value: &AnyValue) {
        self.object(|out| match &value.value {
            None | Some(Value::StringValueStrindex(_)) => {}
            Some(Value::StringValue(text)) => {
                out.key("stringValue");
                push_string(&mut out.text, text);
            }
            Some(Value::BoolValue(truth)) => out.plain("boolValue", truth),
            Some(Value::IntValue(number)) => out.plain("intValue", format_args!("\"{number}\"")),
            Some(Value::DoubleValue(number)) if number.is_finite() => {
                out.plain("doubleValue", format_args!("{number:?}"));
            }
            Some(Value::DoubleValue(number)) if number.is_nan() => out.plain("doubleValue", "\"NaN\""),
            Some(Value::DoubleValue(number)) if *number > 0.0 => out.plain("doubleValue", "\"Infinity\""),
            Some(Value::DoubleValue(_)) => out.plain("doubleValue", "\"-Infinity\""),
            Some(Value::BytesValue(bytes)) => out.plain("bytesValue", format_args!("\"{}\"", STANDARD.encode(bytes))),
            Some(Value::ArrayValue(array)) => {
                out.key("arrayValue");
                out.object(|out| {
                    out.key("values");
                    out.items(&array.values, Self::any);
                });
            }
            Some(Value::KvlistValue(list)) => {
                out.key("kvlistValue");
                out.object(|out| out.list("values", &list.values, Self::key_value));
            }
        });
    }

    fn list<T>(&mut self, key: &str, items: &[T], mut fields: impl FnMut(&mut Self, &T)) {
        if !items.is_empty() {
            self.key(key);
            self.items(items, |out, item| out.object(|out| fields(out, item)));
        }
    }

    fn texts(&mut self, key: &str, texts: &[String]) {
        if !texts.is_empty() {
            self.key(key);
            self.items(texts, |out, text| push_string(&mut out.text, text));
        }
    }

    fn id(&mut self, key: &str, id: &[u8]) {
        if !id.is_empty() {
            self.key(key);
            self.text.push('"');
            for byte in id {
                self.push(format_args!("{byte:02x}"));
            }
            self.text.push('"');
        }
    }

    fn text(&mut self, key: &str, text: &str) {
        if !text.is_empty() {
            self.key(key);
            push_string(&mut self.text, text);
        }
    }

    fn number(&mut self, key: &str, number: i64) {
        if number != 0 {
            self.plain(key, number);
        }
    }

    fn long(&mut self, key: &str, number: u64) {
        if number != 0 {
            self.plain(key, format_args!("\"{number}\""));
        }
    }

    fn plain(&mut self, key: &str, json: impl std::fmt::Display) {
        self.key(key);
        self.push(json);
    }

    fn push(&mut self, text: impl std::fmt::Display) {
        // Writing into a String cannot fail.
        let _ = write!(self.text, "{text}");
    }

    fn object(&mut self, fields: impl FnOnce(&mut Self)) {
        self.text.push('{');
        fields(self);
        self.text.push('}');
    }

    fn items<T>(&mut self, items: &[T], mut item: impl FnMut(&mut Self, &T)) {
        self.text.push('[');
        for one in items {
            if !self.text.ends_with('[') {
                self.text.push(',');
            }
            item(self, one);
        }
        self.text.push(']');
    }

    fn key(&mut self, key: &str) {
        if !self.text.ends_with('{') {
            self.text.push(',');
        }
        push_string(&mut self.text, key);
        self.text.push(':');
    }
}
