//! Rows of small traces, and that no order changes them.

use super::*;
use crate::event::Entry;
use crate::event::Envelope;
use crate::event::Graph;
use crate::event::Half;
use crate::event::Kind;
use crate::event::Message;
use crate::event::Model;
use crate::event::Part;
use crate::event::Partial;
use crate::event::Relation;
use crate::event::Tokens;
use crate::event::ToolCall;
use crate::event::ToolExecution;
use crate::event::User;
use crate::event::event_type;
use serde_json::Value;
use serde_json::json;

mod calls;
mod context;
mod late;
mod logs;
mod order;
mod retold;
mod rows;
mod tools;

/// A time so many milliseconds after noon.
fn ms(after: u64) -> u64 {
    1_793_534_400_000_000_000 + after * 1_000_000
}

/// A record in the making: a span of trace 1 unless told otherwise.
#[derive(Clone)]
struct A {
    partial: Partial,
    /// Library and tenant.
    by: (&'static str, &'static str),
}

fn span(event_type: &str, id: u64, parent: u64, start: u64, end: u64) -> A {
    let row = Event {
        event_type: event_type.to_owned(),
        name: format!("{event_type} {id}"),
        dialect: "test".to_owned(),
        span_id: Some(format!("{id:016x}")),
        parent_span_id: (parent != 0).then(|| format!("{parent:016x}")),
        ..Event::default()
    };
    let partial = Partial { row: Some(Box::new(row)), start_ns: ms(start), end_ns: ms(end), ..Partial::default() };
    A { partial, by: ("lib", "") }.trace(1)
}

fn chat(id: u64, parent: u64, start: u64, end: u64) -> A {
    span(event_type::CHAT_COMPLETION, id, parent, start, end)
}

fn step(id: u64, parent: u64, start: u64, end: u64) -> A {
    span(event_type::GRAPH_STEP, id, parent, start, end)
}

fn tool(id: u64, parent: u64, start: u64, end: u64, name: &str) -> A {
    let mut this = span(event_type::TOOL_EXECUTION, id, parent, start, end);
    this.row().tool_executions.push(ToolExecution { name: name.to_owned(), ..ToolExecution::default() });
    this
}

/// A log record that tells a part of a span's call.
fn log(of_span: u64, at: u64, half: Half) -> A {
    let mut this = span("", of_span, 0, at, 0);
    this.partial.kind = Kind::Log.into();
    this.partial.part = Some(Part { half: half.into(), index: None });
    this
}

fn message(role: &str, text: &str) -> Message {
    Message { role: role.to_owned(), content: (!text.is_empty()).then(|| text.to_owned()), ..Message::default() }
}

impl A {
    fn row(&mut self) -> &mut Event {
        self.partial.row.get_or_insert_default()
    }
    fn model(&mut self) -> &mut Model {
        self.row().model.get_or_insert_default()
    }
    fn with(mut self, change: impl FnOnce(&mut Event)) -> Self {
        change(self.row());
        self
    }
    fn trace(self, trace: u8) -> Self {
        self.with(|row| row.trace_id = Some(format!("{trace:032x}")))
    }
    fn by(mut self, library: &'static str) -> Self {
        self.by.0 = library;
        self
    }
    fn tenant(mut self, tenant: &'static str) -> Self {
        self.by.1 = tenant;
        self
    }
    fn response(mut self, id: &str) -> Self {
        self.model().response_id = Some(id.to_owned());
        self
    }
    fn of_model(mut self, provider: &str, name: &str) -> Self {
        self.model().provider = Some(provider.to_owned());
        self.model().response = Some(name.to_owned());
        self
    }
    fn asks(self, text: &str) -> Self {
        self.with(|row| {
            row.messages.insert(0, message("user", text));
            row.input_message_count = Some(row.input_message_count.unwrap_or(0) + 1);
        })
    }
    fn says(self, text: &str) -> Self {
        self.with(|row| {
            row.messages.push(message("assistant", text));
            row.input_message_count.get_or_insert(0);
        })
    }
    /// Answers with calls of tools: id, name, arguments.
    fn calls(self, calls: &[(&str, &str, &str)]) -> Self {
        let tool_calls = calls.iter().map(|(id, name, arguments)| ToolCall {
            id: (!id.is_empty()).then(|| (*id).to_owned()),
            name: (*name).to_owned(),
            arguments: Some((*arguments).to_owned()),
            ..ToolCall::default()
        });
        let message = Message { tool_calls: tool_calls.collect(), ..message("assistant", "") };
        self.with(|row| {
            row.messages.push(message);
            row.input_message_count.get_or_insert(0);
        })
    }
    fn ran(self, call_id: &str, arguments: &str) -> Self {
        self.with(|row| {
            let run = row.tool_executions.first_mut().expect("a run");
            run.call_id = (!call_id.is_empty()).then(|| call_id.to_owned());
            run.arguments = (!arguments.is_empty()).then(|| arguments.to_owned());
        })
    }
    fn tokens(self, prompt: i64, completion: i64) -> Self {
        let tokens = Tokens { prompt_tokens: Some(prompt), completion_tokens: Some(completion), ..Tokens::default() };
        self.with(|row| row.tokens = Some(tokens))
    }
    fn conversation(self, id: &str) -> Self {
        self.with(|row| {
            row.conversation_id = id.to_owned();
            row.conversation_id_source = "session.id".to_owned();
        })
    }
    fn user(self, id: &str) -> Self {
        self.with(|row| row.user = Some(User { id: Some(id.to_owned()), ..User::default() }))
    }
    fn node(self, path: &str) -> Self {
        self.with(|row| row.graph.get_or_insert_default().node_path = Some(path.to_owned()))
    }
    fn related(mut self, relation: Relation) -> Self {
        self.partial.relation = relation.into();
        self
    }
    fn told(&self) -> Told {
        let (library, tenant) = self.by;
        let envelope = Envelope {
            tenant: tenant.to_owned(),
            door: "otlp".to_owned(),
            policy: "floor".to_owned(),
            received_at: 7,
            resource: Some(format!("{{\"scope\":{{\"name\":\"{library}\"}}}}")),
            ..Envelope::default()
        };
        let record = Record::decode(&Record::encode(0, &self.partial, &mut Vec::new())).expect("a record");
        Told { envelope: Arc::new(Origin::from(envelope)), record }
    }
}

/// What assembling these records gives; the rows by time and id.
fn assembled(records: &[A]) -> Assembled {
    assembled_after(records, &[], "")
}

/// The same, when earlier assemblies have left this of trace 1.
fn assembled_after(records: &[A], earlier: &[Vec<u8>], tenant: &str) -> Assembled {
    let id = |trace: u8| u128::from(trace).to_be_bytes();
    let traces = [
        Trace { tenant, prefix: "", id: id(1), closed: None, earlier },
        Trace { tenant, prefix: "", id: id(2), closed: None, earlier: &[] },
    ];
    let told = records.iter().map(A::told).collect();
    let mut assembled = assemble(told, &traces, &Settings::default());
    assembled.rows.sort_by(|a, b| (a.event.timestamp, &a.event.event_id).cmp(&(b.event.timestamp, &b.event.event_id)));
    assembled
}

fn rows(records: &[A]) -> Vec<Event> {
    assembled(records).rows.into_iter().map(|row| *row.event).collect()
}

/// The only row of these records.
#[track_caller]
fn row(records: &[A]) -> Event {
    let mut rows = rows(records);
    assert_eq!(rows.len(), 1, "{:?}", kinds(&rows));
    rows.remove(0)
}

/// The row of a span.
#[track_caller]
fn row_of(rows: &[Event], span: u64) -> &Event {
    let id = format!("{span:016x}");
    rows.iter().find(|row| row.span_id.as_ref() == Some(&id)).expect("a row of the span")
}

fn kinds(rows: &[Event]) -> Vec<&str> {
    rows.iter().map(|row| row.event_type.as_str()).collect()
}

fn details(row: &Event) -> Value {
    row.details.as_deref().map_or(Value::Null, |json| serde_json::from_str(json).expect("details are JSON"))
}

fn texts(row: &Event) -> Vec<&str> {
    row.messages.iter().map(|message| message.content.as_deref().unwrap_or_default()).collect()
}
