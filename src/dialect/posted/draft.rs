//! A record in the making, and JSON objects that leave out what is not known.

use super::Bad;
use super::body::Item;
use crate::dialect::json::Node;
use crate::dialect::value;
use crate::event;
use crate::event::Entry;
use crate::event::Event;
use crate::event::Kind;
use crate::event::Message;
use crate::event::NOT_A_TIME;
use crate::event::Partial;
use crate::event::Timing;
use crate::event::ToolExecution;
use crate::event::User;
use crate::event::json;

/// Notes beyond these say nothing more.
const MOST_NOTES: usize = 32;
/// Longer texts are not said again in notes.
const LONGEST_NOTED: usize = 64;

/// One record while it is read.
#[derive(Default)]
pub(super) struct Draft {
    pub row: Event,
    pub start_ns: u64,
    pub end_ns: u64,
    pub waits_for: Option<String>,
    details: Vec<Entry>,
    attributes: Vec<Entry>,
}

impl Draft {
    pub(super) fn new(dialect: &str, item: &Item<'_>) -> Self {
        let mut draft = Self::default();
        dialect.clone_into(&mut draft.row.dialect);
        if let Some(flaw) = item.flaw {
            draft.note(format!("{flaw} in the body"));
        }
        draft
    }

    pub(super) fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        if self.row.notes.len() < MOST_NOTES && !self.row.notes.contains(&note) {
            self.row.notes.push(note);
        }
    }

    /// Says which conversation it belongs to, if nothing has; an empty id says nothing.
    pub(super) fn conversation(&mut self, id: Option<&str>, source: &str) {
        if let Some(id) = id.filter(|id| !id.is_empty() && self.row.conversation_id.is_empty()) {
            id.clone_into(&mut self.row.conversation_id);
            source.clone_into(&mut self.row.conversation_id_source);
        }
    }

    /// Reads when it started. A time that cannot be read is kept as a note.
    pub(super) fn starts(&mut self, node: Option<&Node<'_>>) {
        self.start_ns = self.time(node);
    }

    /// Reads a time; 0 where there is none.
    pub(super) fn time(&mut self, node: Option<&Node<'_>>) -> u64 {
        let Some(node) = node.filter(|node| !node.is_empty()) else { return 0 };
        let read = node.scalar_text().and_then(|text| value::time(text).or_else(|| epoch_seconds(text)));
        if read.is_none() {
            let text = node.plain();
            // Whole or not at all: half a secret would not be recognised as one.
            let is_short = text.chars().count() <= LONGEST_NOTED;
            self.note(if is_short { format!("{NOT_A_TIME}{text}") } else { format!("{NOT_A_TIME}a long text") });
        }
        read.unwrap_or(0)
    }

    pub(super) fn timing(&mut self) -> &mut Timing {
        self.row.timing.get_or_insert_default()
    }

    pub(super) fn latency(&mut self, millis: Option<f64>) {
        if let Some(millis) = millis.filter(|millis| *millis >= 0.0) {
            self.timing().total_latency_ms = Some(millis);
        }
    }

    pub(super) fn user(&mut self) -> &mut User {
        self.row.user.get_or_insert_default()
    }

    pub(super) fn fail(&mut self, status: &str, error: event::Error) {
        self.row.status = Some(status.to_owned());
        self.row.error = Some(error);
    }

    /// Takes executions of tools, and their latencies summed by name.
    pub(super) fn executed(&mut self, executions: Vec<ToolExecution>) {
        for execution in &executions {
            if let Some(millis) = execution.latency_ms {
                *self.timing().tool_latencies_ms.entry(execution.name.clone()).or_default() += millis;
            }
        }
        self.row.tool_executions.extend(executions);
    }

    /// Takes messages of which the last assistant's is the answer.
    pub(super) fn says(&mut self, messages: Vec<Message>) {
        let answer = usize::from(messages.last().is_some_and(|last| last.role == "assistant"));
        self.row.input_message_count = i32::try_from(messages.len() - answer).ok();
        self.row.messages = messages;
    }

    /// Adds to the details. `json` is a valid JSON text; a key that is there already keeps what it has.
    pub(super) fn detail(&mut self, key: &str, json: String) {
        if !self.details.iter().any(|entry| entry.key == key) {
            self.details.push(Entry { key: key.to_owned(), json });
        }
    }

    pub(super) fn detail_text(&mut self, key: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.detail(key, json::string(text));
        }
    }

    /// Adds a value as it was sent, unless it is null.
    pub(super) fn detail_node(&mut self, key: &str, node: Option<&Node<'_>>) {
        if let Some(node) = node {
            self.detail(key, node.json());
        }
    }

    /// Adds an object, unless it is empty.
    pub(super) fn detail_fields(&mut self, key: &str, fields: Fields) {
        if let Some(json) = fields.close() {
            self.detail(key, json);
        }
    }

    /// Adds what was not mapped, unless it is null.
    pub(super) fn attribute(&mut self, key: &str, node: &Node<'_>) {
        if *node != Node::Null {
            self.attributes.push(Entry { key: key.to_owned(), json: node.json() });
        }
    }

    /// As [`Draft::attribute`], of a ready JSON value.
    pub(super) fn attribute_json(&mut self, key: &str, json: String) {
        self.attributes.push(Entry { key: key.to_owned(), json });
    }

    /// Adds all entries of an object but these.
    pub(super) fn attributes_but(&mut self, node: &Node<'_>, mapped: &[&str]) {
        for (key, value) in node.entries() {
            if !mapped.contains(&key.as_ref()) {
                self.attribute(key, value);
            }
        }
    }

    pub(super) fn finish(self) -> Partial {
        Partial {
            kind: Kind::Posted.into(),
            row: Some(Box::new(self.row)),
            start_ns: self.start_ns,
            end_ns: self.end_ns,
            details: self.details,
            attributes: self.attributes,
            waits_for: self.waits_for,
            ..Partial::default()
        }
    }
}

/// A JSON object in the making.
#[derive(Default)]
pub(super) struct Fields {
    inner: String,
}

impl Fields {
    pub(super) fn json(&mut self, key: &str, json: &str) {
        if !self.inner.is_empty() {
            self.inner.push(',');
        }
        json::push_string(&mut self.inner, key);
        self.inner.push(':');
        self.inner.push_str(json);
    }

    pub(super) fn text(&mut self, key: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.json(key, &json::string(text));
        }
    }

    pub(super) fn number(&mut self, key: &str, number: Option<f64>) {
        if let Some(number) = number.filter(|number| number.is_finite()) {
            self.json(key, &number.to_string());
        }
    }

    pub(super) fn count(&mut self, key: &str, count: Option<i64>) {
        if let Some(count) = count {
            self.json(key, &count.to_string());
        }
    }

    /// A value as it was sent, unless it is null.
    pub(super) fn node(&mut self, key: &str, node: Option<&Node<'_>>) {
        if let Some(node) = node.filter(|node| **node != Node::Null) {
            self.json(key, &node.json());
        }
    }

    /// The object; none where it is empty.
    pub(super) fn close(self) -> Option<String> {
        (!self.inner.is_empty()).then(|| format!("{{{}}}", self.inner))
    }
}

/// A list of ready JSON values; none where it is empty.
pub(super) fn list(values: &[String]) -> Option<String> {
    (!values.is_empty()).then(|| format!("[{}]", values.join(",")))
}

/// The entries of an object but these, as an object; none where nothing is left.
pub(super) fn without(node: &Node<'_>, keys: &[&str]) -> Option<String> {
    let mut fields = Fields::default();
    for (key, value) in node.entries() {
        if !keys.contains(&key.as_ref()) {
            fields.node(key, Some(value));
        }
    }
    fields.close()
}

/// An object's text, or a record that says it is none.
pub(super) fn object_or_bad(node: &Node<'_>) -> Result<(), Bad> {
    if node.is_object() { Ok(()) } else { Err(Bad::new("the record is no json object", node.json())) }
}

/// Nanoseconds since 1970 of decimal seconds, to the last digit.
pub(super) fn epoch_seconds(text: &str) -> Option<u64> {
    let text = text.trim();
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) {
        return None;
    }
    let nine: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    whole.parse::<u64>().ok()?.checked_mul(1_000_000_000)?.checked_add(nine.parse().ok()?)
}
