//! Rows as Arrow columns: the only file that knows both.
//!
//! One column is built at a time, for a stretch of rows, so that no more than one column of a stretch is in memory
//! twice. What is empty is null: a text, a list, a map, a struct of which every field is null. Texts of messages, and
//! arguments and results of tools, are the exception: there, empty was said.

mod build;

use super::schema::AGENT;
use super::schema::COUNTS;
use super::schema::Column;
use super::schema::ERROR;
use super::schema::FEEDBACK;
use super::schema::FINISH_REASONS;
use super::schema::GRAPH;
use super::schema::MESSAGE;
use super::schema::MODEL;
use super::schema::REDACTION;
use super::schema::ROLES;
use super::schema::TIMING;
use super::schema::TOKENS;
use super::schema::TOOL_CALL;
use super::schema::TOOL_CALLS;
use super::schema::TOOL_EXECUTION;
use super::schema::TOOL_LATENCIES;
use super::schema::TRIGGERS;
use super::schema::USER;
use super::schema::WA_META;
use crate::event::Event;
use crate::event::Message;
use crate::event::ToolCall;
use crate::event::ToolExecution;
use arrow_array::ArrayRef;
use arrow_array::new_null_array;
use arrow_array::types::Int32Type;
use arrow_array::types::Int64Type;
use arrow_schema::Field;
use build::data_type;
use build::double;
use build::elements;
use build::filled;
use build::group;
use build::inner;
use build::json;
use build::list;
use build::map;
use build::number;
use build::stated;
use build::text;
use build::texts;
use build::time;
use build::truth;

/// The Arrow field of a column.
pub(super) fn field(column: &Column) -> Field {
    Field::new(column.name, data_type(&column.kind), true)
}

/// The cells of a top-level column.
pub(super) fn array(column: &Column, rows: &[Option<&Event>]) -> ArrayRef {
    match column.name {
        "event_id" => text(rows, |row| filled(&row.event_id)),
        "event_type" => text(rows, |row| filled(&row.event_type)),
        "source" => text(rows, |row| filled(&row.source)),
        "dialect" => text(rows, |row| filled(&row.dialect)),
        "schema_version" => number::<Int32Type, _>(rows, |row| Some(row.schema_version)),
        "name" => text(rows, |row| filled(&row.name)),
        "timestamp" => time(rows, |row| Some(row.timestamp)),
        "ended_at" => time(rows, |row| row.ended_at),
        "received_at" => time(rows, |row| Some(row.received_at)),
        "conversation_id" => text(rows, |row| filled(&row.conversation_id)),
        "conversation_id_source" => text(rows, |row| filled(&row.conversation_id_source)),
        "run_id" => text(rows, |row| stated(&row.run_id)),
        "trace_id" => text(rows, |row| stated(&row.trace_id)),
        "span_id" => text(rows, |row| stated(&row.span_id)),
        "parent_span_id" => text(rows, |row| stated(&row.parent_span_id)),
        "status" => text(rows, |row| stated(&row.status)),
        "messages" => list(column, rows, |row| &row.messages, messages),
        "input_message_count" => number::<Int32Type, _>(rows, |row| row.input_message_count),
        "tools" => text(rows, |row| json(&row.tools)),
        "model" => model(rows),
        "tool_executions" => list(column, rows, |row| &row.tool_executions, tool_executions),
        "timing" => timing(rows),
        "tokens" => tokens(rows),
        "graph" => graph(rows),
        "agent" => agent(rows),
        "user" => user(rows),
        "wa_meta" => wa_meta(rows),
        "feedback" => feedback(rows),
        "error" => error(rows),
        "service" => text(rows, |row| stated(&row.service)),
        "env" => text(rows, |row| stated(&row.env)),
        "tags" => map(column, rows, |row| &row.tags, |values| text(values, |text| Some(text))),
        "metadata" => text(rows, |row| json(&row.metadata)),
        "details" => text(rows, |row| json(&row.details)),
        "attributes" => text(rows, |row| json(&row.attributes)),
        "resource" => text(rows, |row| json(&row.resource)),
        "redaction" => redaction(rows),
        "notes" => texts(column, rows, |row| &row.notes),
        // Held by a test: every column has its cells above.
        _ => new_null_array(&data_type(&column.kind), rows.len()),
    }
}

fn messages(items: &[Option<&Message>]) -> ArrayRef {
    let children = vec![
        text(items, |item| filled(&item.role)),
        text(items, |item| item.content.as_deref()),
        text(items, |item| item.content_parts.as_deref()),
        text(items, |item| item.reasoning.as_deref()),
        text(items, |item| stated(&item.name)),
        text(items, |item| stated(&item.tool_call_id)),
        list(&TOOL_CALLS, items, |item| &item.tool_calls, tool_calls),
        text(items, |item| stated(&item.finish_reason)),
    ];
    elements(MESSAGE, children)
}

fn tool_calls(items: &[Option<&ToolCall>]) -> ArrayRef {
    let children = vec![
        text(items, |item| stated(&item.id)),
        text(items, |item| stated(&item.r#type)),
        text(items, |item| filled(&item.name)),
        text(items, |item| item.arguments.as_deref()),
    ];
    elements(TOOL_CALL, children)
}

fn model(rows: &[Option<&Event>]) -> ArrayRef {
    let items = &inner(rows, |row| row.model.as_ref());
    let children = vec![
        text(items, |item| stated(&item.provider)),
        text(items, |item| stated(&item.request)),
        text(items, |item| stated(&item.response)),
        text(items, |item| stated(&item.response_id)),
        text(items, |item| stated(&item.operation)),
        text(items, |item| json(&item.parameters)),
        texts(&FINISH_REASONS, items, |item| &item.finish_reasons),
        truth(items, |item| item.stream),
    ];
    group(MODEL, children)
}

fn tool_executions(items: &[Option<&ToolExecution>]) -> ArrayRef {
    let children = vec![
        text(items, |item| stated(&item.call_id)),
        text(items, |item| filled(&item.name)),
        text(items, |item| stated(&item.r#type)),
        text(items, |item| stated(&item.status)),
        double(items, |item| item.latency_ms),
        text(items, |item| item.arguments.as_deref()),
        text(items, |item| item.result.as_deref()),
        text(items, |item| stated(&item.error)),
        text(items, |item| stated(&item.span_id)),
    ];
    elements(TOOL_EXECUTION, children)
}

fn timing(rows: &[Option<&Event>]) -> ArrayRef {
    let items = &inner(rows, |row| row.timing.as_ref());
    let children = vec![
        double(items, |item| item.total_latency_ms),
        double(items, |item| item.time_to_first_token_ms),
        text(items, |item| stated(&item.ttft_source)),
        map(&TOOL_LATENCIES, items, |item| &item.tool_latencies_ms, |values| double(values, |value| Some(*value))),
    ];
    group(TIMING, children)
}

fn tokens(rows: &[Option<&Event>]) -> ArrayRef {
    let items = &inner(rows, |row| row.tokens.as_ref());
    let children = vec![
        number::<Int64Type, _>(items, |item| item.prompt_tokens),
        number::<Int64Type, _>(items, |item| item.completion_tokens),
        number::<Int64Type, _>(items, |item| item.total_tokens),
        number::<Int64Type, _>(items, |item| item.cached_tokens),
        number::<Int64Type, _>(items, |item| item.cache_creation_tokens),
        number::<Int64Type, _>(items, |item| item.reasoning_tokens),
        double(items, |item| item.cost_usd),
        text(items, |item| stated(&item.cost_source)),
    ];
    group(TOKENS, children)
}

fn graph(rows: &[Option<&Event>]) -> ArrayRef {
    let items = &inner(rows, |row| row.graph.as_ref());
    let children = vec![
        text(items, |item| stated(&item.graph_id)),
        text(items, |item| stated(&item.node_path)),
        number::<Int64Type, _>(items, |item| item.step_index),
        text(items, |item| stated(&item.thread_id)),
        texts(&TRIGGERS, items, |item| &item.triggers),
    ];
    group(GRAPH, children)
}

fn agent(rows: &[Option<&Event>]) -> ArrayRef {
    let items = &inner(rows, |row| row.agent.as_ref());
    let children = vec![
        text(items, |item| stated(&item.id)),
        text(items, |item| stated(&item.name)),
        text(items, |item| stated(&item.description)),
    ];
    group(AGENT, children)
}

fn user(rows: &[Option<&Event>]) -> ArrayRef {
    let items = &inner(rows, |row| row.user.as_ref());
    let children = vec![
        text(items, |item| stated(&item.id)),
        text(items, |item| stated(&item.email)),
        text(items, |item| stated(&item.username)),
        text(items, |item| stated(&item.org)),
        texts(&ROLES, items, |item| &item.roles),
    ];
    group(USER, children)
}

fn wa_meta(rows: &[Option<&Event>]) -> ArrayRef {
    let items = &inner(rows, |row| row.wa_meta.as_ref());
    let children = vec![
        text(items, |item| stated(&item.direction)),
        text(items, |item| stated(&item.template_category)),
        truth(items, |item| item.delivered),
        truth(items, |item| item.read),
        truth(items, |item| item.blocked_reported),
        text(items, |item| stated(&item.message_id)),
        text(items, |item| stated(&item.phone_number)),
    ];
    group(WA_META, children)
}

fn feedback(rows: &[Option<&Event>]) -> ArrayRef {
    let items = &inner(rows, |row| row.feedback.as_ref());
    let children = vec![
        text(items, |item| stated(&item.r#type)),
        text(items, |item| item.value.as_deref()),
        text(items, |item| stated(&item.target)),
    ];
    group(FEEDBACK, children)
}

fn error(rows: &[Option<&Event>]) -> ArrayRef {
    let items = &inner(rows, |row| row.error.as_ref());
    let children = vec![
        text(items, |item| stated(&item.r#type)),
        text(items, |item| stated(&item.message)),
        text(items, |item| stated(&item.code)),
        text(items, |item| stated(&item.stack)),
    ];
    group(ERROR, children)
}

fn redaction(rows: &[Option<&Event>]) -> ArrayRef {
    let items = &inner(rows, |row| row.redaction.as_ref());
    let children = vec![
        text(items, |item| filled(&item.policy)),
        map(&COUNTS, items, |item| &item.counts, |values| number::<Int64Type, _>(values, |count| Some(*count))),
    ];
    group(REDACTION, children)
}
