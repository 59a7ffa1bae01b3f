//! Arrow columns as rows: the way back of [`super::columns`]. A column that is not there, or not of its kind, is null,
//! so that files of older and newer programs are read alike.

use crate::event::Agent;
use crate::event::Error;
use crate::event::Event;
use crate::event::Feedback;
use crate::event::Graph;
use crate::event::Message;
use crate::event::Model;
use crate::event::Redaction;
use crate::event::Timing;
use crate::event::Tokens;
use crate::event::ToolCall;
use crate::event::ToolExecution;
use crate::event::User;
use crate::event::WaMeta;
use arrow_array::Array as _;
use arrow_array::ArrayRef;
use arrow_array::ArrowPrimitiveType;
use arrow_array::RecordBatch;
use arrow_array::StructArray;
use arrow_array::cast::AsArray as _;
use arrow_array::types::Float64Type;
use arrow_array::types::Int32Type;
use arrow_array::types::Int64Type;
use arrow_array::types::TimestampMicrosecondType;
use std::collections::BTreeMap;

/// The rows of a batch.
pub(super) fn rows(batch: &RecordBatch) -> Vec<Event> {
    let batch = StructArray::from(batch.clone());
    (0..batch.len()).map(|at| row(Cells { columns: &batch, at })).collect()
}

fn row(cells: Cells<'_>) -> Event {
    Event {
        event_id: cells.label("event_id"),
        event_type: cells.label("event_type"),
        source: cells.label("source"),
        dialect: cells.label("dialect"),
        schema_version: cells.number::<Int32Type>("schema_version").unwrap_or_default(),
        name: cells.label("name"),
        timestamp: cells.time("timestamp").unwrap_or_default(),
        ended_at: cells.time("ended_at"),
        received_at: cells.time("received_at").unwrap_or_default(),
        conversation_id: cells.label("conversation_id"),
        conversation_id_source: cells.label("conversation_id_source"),
        run_id: cells.text("run_id"),
        trace_id: cells.text("trace_id"),
        span_id: cells.text("span_id"),
        parent_span_id: cells.text("parent_span_id"),
        status: cells.text("status"),
        messages: cells.list("messages", message),
        input_message_count: cells.number::<Int32Type>("input_message_count"),
        tools: cells.text("tools"),
        model: cells.group("model", model),
        tool_executions: cells.list("tool_executions", tool_execution),
        timing: cells.group("timing", timing),
        tokens: cells.group("tokens", tokens),
        graph: cells.group("graph", graph),
        agent: cells.group("agent", agent),
        user: cells.group("user", user),
        wa_meta: cells.group("wa_meta", wa_meta),
        feedback: cells.group("feedback", feedback),
        error: cells.group("error", error),
        service: cells.text("service"),
        env: cells.text("env"),
        tags: cells.map("tags", |values, at| values.as_string_opt::<i32>().map(|values| values.value(at).to_owned())),
        metadata: cells.text("metadata"),
        details: cells.text("details"),
        attributes: cells.text("attributes"),
        resource: cells.text("resource"),
        redaction: cells.group("redaction", redaction),
        notes: cells.texts("notes"),
    }
}

fn message(cells: Cells<'_>) -> Message {
    Message {
        role: cells.label("role"),
        content: cells.text("content"),
        content_parts: cells.text("content_parts"),
        reasoning: cells.text("reasoning"),
        name: cells.text("name"),
        tool_call_id: cells.text("tool_call_id"),
        tool_calls: cells.list("tool_calls", tool_call),
        finish_reason: cells.text("finish_reason"),
    }
}

fn tool_call(cells: Cells<'_>) -> ToolCall {
    ToolCall {
        id: cells.text("id"),
        r#type: cells.text("type"),
        name: cells.label("name"),
        arguments: cells.text("arguments"),
    }
}

fn model(cells: Cells<'_>) -> Model {
    Model {
        provider: cells.text("provider"),
        request: cells.text("request"),
        response: cells.text("response"),
        response_id: cells.text("response_id"),
        operation: cells.text("operation"),
        parameters: cells.text("parameters"),
        finish_reasons: cells.texts("finish_reasons"),
        stream: cells.truth("stream"),
    }
}

fn tool_execution(cells: Cells<'_>) -> ToolExecution {
    ToolExecution {
        call_id: cells.text("call_id"),
        name: cells.label("name"),
        r#type: cells.text("type"),
        status: cells.text("status"),
        latency_ms: cells.number::<Float64Type>("latency_ms"),
        arguments: cells.text("arguments"),
        result: cells.text("result"),
        error: cells.text("error"),
        span_id: cells.text("span_id"),
    }
}

fn timing(cells: Cells<'_>) -> Timing {
    Timing {
        total_latency_ms: cells.number::<Float64Type>("total_latency_ms"),
        time_to_first_token_ms: cells.number::<Float64Type>("time_to_first_token_ms"),
        ttft_source: cells.text("ttft_source"),
        tool_latencies_ms: cells.map("tool_latencies_ms", primitive::<Float64Type>),
    }
}

fn tokens(cells: Cells<'_>) -> Tokens {
    Tokens {
        prompt_tokens: cells.number::<Int64Type>("prompt_tokens"),
        completion_tokens: cells.number::<Int64Type>("completion_tokens"),
        total_tokens: cells.number::<Int64Type>("total_tokens"),
        cached_tokens: cells.number::<Int64Type>("cached_tokens"),
        cache_creation_tokens: cells.number::<Int64Type>("cache_creation_tokens"),
        reasoning_tokens: cells.number::<Int64Type>("reasoning_tokens"),
        cost_usd: cells.number::<Float64Type>("cost_usd"),
        cost_source: cells.text("cost_source"),
    }
}

fn graph(cells: Cells<'_>) -> Graph {
    Graph {
        graph_id: cells.text("graph_id"),
        node_path: cells.text("node_path"),
        step_index: cells.number::<Int64Type>("step_index"),
        thread_id: cells.text("thread_id"),
        triggers: cells.texts("triggers"),
    }
}

fn agent(cells: Cells<'_>) -> Agent {
    Agent { id: cells.text("id"), name: cells.text("name"), description: cells.text("description") }
}

fn user(cells: Cells<'_>) -> User {
    User {
        id: cells.text("id"),
        email: cells.text("email"),
        username: cells.text("username"),
        org: cells.text("org"),
        roles: cells.texts("roles"),
    }
}

fn wa_meta(cells: Cells<'_>) -> WaMeta {
    WaMeta {
        direction: cells.text("direction"),
        template_category: cells.text("template_category"),
        delivered: cells.truth("delivered"),
        read: cells.truth("read"),
        blocked_reported: cells.truth("blocked_reported"),
        message_id: cells.text("message_id"),
        phone_number: cells.text("phone_number"),
    }
}

fn feedback(cells: Cells<'_>) -> Feedback {
    Feedback { r#type: cells.text("type"), value: cells.text("value"), target: cells.text("target") }
}

fn error(cells: Cells<'_>) -> Error {
    Error {
        r#type: cells.text("type"),
        message: cells.text("message"),
        code: cells.text("code"),
        stack: cells.text("stack"),
    }
}

fn redaction(cells: Cells<'_>) -> Redaction {
    Redaction { policy: cells.label("policy"), counts: cells.map("counts", primitive::<Int64Type>) }
}

/// The cells of one row, or of one struct within it.
#[derive(Clone, Copy)]
struct Cells<'a> {
    columns: &'a StructArray,
    at: usize,
}

impl<'a> Cells<'a> {
    fn cell(self, name: &str) -> Option<&'a ArrayRef> {
        self.columns.column_by_name(name).filter(|column| column.is_valid(self.at))
    }

    fn text(self, name: &str) -> Option<String> {
        Some(self.cell(name)?.as_string_opt::<i32>()?.value(self.at).to_owned())
    }

    fn label(self, name: &str) -> String {
        self.text(name).unwrap_or_default()
    }

    fn number<N: ArrowPrimitiveType>(self, name: &str) -> Option<N::Native> {
        primitive::<N>(self.cell(name)?, self.at)
    }

    fn time(self, name: &str) -> Option<i64> {
        self.number::<TimestampMicrosecondType>(name)
    }

    fn truth(self, name: &str) -> Option<bool> {
        Some(self.cell(name)?.as_boolean_opt()?.value(self.at))
    }

    fn group<T>(self, name: &str, read: impl Fn(Cells<'_>) -> T) -> Option<T> {
        let columns = self.cell(name)?.as_struct_opt()?;
        Some(read(Cells { columns, at: self.at }))
    }

    fn list<T>(self, name: &str, read: impl Fn(Cells<'_>) -> T) -> Vec<T> {
        let items = self.cell(name).and_then(|cell| Some(cell.as_list_opt::<i32>()?.value(self.at)));
        let items = items.as_ref().and_then(|items| items.as_struct_opt());
        items.map(|columns| (0..columns.len()).map(|at| read(Cells { columns, at })).collect()).unwrap_or_default()
    }

    fn texts(self, name: &str) -> Vec<String> {
        let items = self.cell(name).and_then(|cell| Some(cell.as_list_opt::<i32>()?.value(self.at)));
        let items = items.as_ref().and_then(|items| items.as_string_opt::<i32>());
        items.map(|items| items.iter().flatten().map(str::to_owned).collect()).unwrap_or_default()
    }

    fn map<T>(self, name: &str, read: impl Fn(&ArrayRef, usize) -> Option<T>) -> BTreeMap<String, T> {
        let Some(map) = self.cell(name).and_then(|cell| cell.as_map_opt()) else {
            return BTreeMap::new();
        };
        let entries = map.value(self.at);
        let [keys, values] = entries.columns() else { return BTreeMap::new() };
        let Some(keys) = keys.as_string_opt::<i32>() else { return BTreeMap::new() };
        let entry = |(at, key): (usize, Option<&str>)| Some((key?.to_owned(), read(values, at)?));
        keys.iter().enumerate().filter_map(entry).collect()
    }
}

fn primitive<N: ArrowPrimitiveType>(column: &ArrayRef, at: usize) -> Option<N::Native> {
    let column = column.as_primitive_opt::<N>()?;
    column.is_valid(at).then(|| column.value(at))
}
