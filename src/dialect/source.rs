//! One span or log record as dialects see it.

use super::attributes::Attributes;
use super::attributes::Budget;
use super::json::Node;
use super::json::any_node;
use super::json::any_text;
use super::notes::Notes;
use opentelemetry_proto::tonic::common::v1::AnyValue;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span;
use std::cell::Cell;

/// What all records of a scope share.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub name: &'a str,
    pub resource: &'a [KeyValue],
}

impl<'a> Scope<'a> {
    /// The text of a resource attribute.
    pub(super) fn resource_text(&self, key: &str) -> Option<&'a str> {
        self.resource.iter().find(|entry| entry.key == key).and_then(|entry| entry.value.as_ref()).and_then(any_text)
    }
}

/// A span or a log record.
pub(super) struct Source<'a> {
    /// The span's name, or that of the event which a log record tells.
    pub name: &'a str,
    pub scope: Scope<'a>,
    pub is_log: bool,
    /// Whether a log record says on which span it stands.
    pub on_span: bool,
    pub start_ns: u64,
    pub end_ns: u64,
    pub status_code: i32,
    pub status_message: &'a str,
    pub attributes: Attributes<'a>,
    pub events: Vec<Happening<'a>>,
    /// Events that its SDK let go.
    pub dropped_events: u32,
    pub body: Option<&'a AnyValue>,
    /// Whether the body stands in the row.
    pub body_used: Cell<bool>,
    pub notes: Notes,
    pub budget: Budget,
}

/// An event of a span.
pub(super) struct Happening<'a> {
    pub name: &'a str,
    pub time_ns: u64,
    pub attributes: Attributes<'a>,
    /// Whether what it says by happening stands in the row; its attributes tell for themselves.
    pub used: Cell<bool>,
}

impl<'a> Source<'a> {
    pub(super) fn of_span(span: &'a Span, scope: Scope<'a>) -> Self {
        let (status_code, status_message) =
            span.status.as_ref().map_or((0, ""), |status| (status.code, status.message.as_str()));
        Self {
            name: &span.name,
            scope,
            is_log: false,
            on_span: false,
            start_ns: span.start_time_unix_nano,
            end_ns: span.end_time_unix_nano,
            status_code,
            status_message,
            attributes: Attributes::new(&span.attributes),
            events: span.events.iter().map(Happening::new).collect(),
            dropped_events: span.dropped_events_count,
            body: None,
            body_used: Cell::new(true),
            notes: Notes::default(),
            budget: Budget::new(),
        }
    }

    pub(super) fn of_log(record: &'a LogRecord, scope: Scope<'a>) -> Self {
        let attributes = Attributes::new(&record.attributes);
        let told = record.event_name.as_str();
        let name = if told.is_empty() || is_place(told) {
            attributes.first_text(&["event.name", "event_name"]).map_or(told, |(_, name)| name)
        } else {
            told
        };
        Self {
            name,
            scope,
            is_log: true,
            on_span: record.span_id.iter().any(|byte| *byte != 0),
            start_ns: record.time_unix_nano,
            end_ns: 0,
            status_code: 0,
            status_message: "",
            attributes,
            events: Vec::new(),
            dropped_events: 0,
            body: record.body.as_ref().filter(|body| body.value.is_some()),
            body_used: Cell::new(false),
            notes: Notes::default(),
            budget: Budget::new(),
        }
    }

    /// The body of a log record; a JSON text is opened by whoever reads it.
    pub(super) fn body_node(&self) -> Option<Node<'a>> {
        self.body.map(any_node)
    }

    /// [`Attributes::text`].
    #[inline]
    pub(super) fn text(&self, key: &str) -> Option<&'a str> {
        self.attributes.text(key)
    }

    /// [`Attributes::peek`].
    #[inline]
    pub(super) fn peek(&self, key: &str) -> Option<&'a str> {
        self.attributes.peek(key)
    }

    /// [`Attributes::has`].
    #[inline]
    pub(super) fn has(&self, key: &str) -> bool {
        self.attributes.has(key)
    }

    /// [`Attributes::json`].
    #[inline]
    pub(super) fn json(&self, key: &str) -> Option<super::attributes::Doc<'a>> {
        self.attributes.json(key, &self.notes)
    }

    /// [`Attributes::number`].
    #[inline]
    pub(super) fn number(&self, key: &str) -> Option<f64> {
        self.attributes.number(key, &self.notes)
    }

    /// The first event with a name.
    pub(super) fn event(&self, name: &str) -> Option<&Happening<'a>> {
        self.events.iter().find(|event| event.name == name)
    }
}

/// Whether it is the name that Rust's tracing gives to an event that nobody named: where it stands in the source.
fn is_place(name: &str) -> bool {
    let place = name.strip_prefix("event ").and_then(|place| place.rsplit_once(':'));
    place.is_some_and(|(_, line)| !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_digit()))
}

impl<'a> Happening<'a> {
    fn new(event: &'a span::Event) -> Self {
        Self {
            name: &event.name,
            time_ns: event.time_unix_nano,
            attributes: Attributes::new(&event.attributes),
            used: Cell::new(false),
        }
    }
}
