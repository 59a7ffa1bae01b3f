//! A row as one line of JSON.
//!
//! - Columns that are null or empty are left out, nested ones too; an assistant message with calls keeps
//!   `content: null`.
//! - JSON of the user (arguments, results, parts, tools, metadata, details, attributes, resource) stands as it was
//!   written; only line breaks between its tokens become spaces. Text that turns out to be no JSON is written as a
//!   JSON string, so that a line is always JSON.
//! - Times are RFC 3339 in UTC with as many of 0, 3 or 6 decimals as they need. Numbers are the shortest decimal that
//!   reads back as the same number; what is not finite is left out.

mod object;
mod read;
#[cfg(test)]
mod tests;

pub use read::parse;

use crate::event::Event;
use crate::event::Message;
use crate::event::ToolCall;
use crate::event::ToolExecution;
use chrono::DateTime;
use chrono::Datelike as _;
use chrono::Timelike as _;
use flate2::write::GzEncoder;
use object::Object;
use object::float;
use object::json;
use object::number;
use object::string;
use serde::Deserialize;
use std::borrow::Borrow;
use std::io;
use std::io::Write;

/// Level of Zstandard for lines.
const ZSTD_LEVEL: i32 = 3;

/// How `messages[].tool_calls[]` look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ToolCallForm {
    /// `{id, type: "function", function: {name, arguments}}`, the arguments a JSON text within a string.
    #[default]
    OpenAi,
    /// `{id, name, arguments}`, the arguments a JSON value.
    Flat,
}

/// Appends the line of `event`, with its line feed.
pub fn line(event: &Event, form: ToolCallForm, out: &mut Vec<u8>) {
    let mut row = Object::open(out);
    row.text("event_id", &event.event_id);
    row.text("event_type", &event.event_type);
    row.text("name", &event.name);
    row.text("source", &event.source);
    row.text("dialect", &event.dialect);
    row.int("schema_version", Some(event.schema_version.into()));
    row.time("timestamp", Some(event.timestamp));
    row.time("ended_at", event.ended_at);
    row.time("received_at", Some(event.received_at));
    row.text("conversation_id", &event.conversation_id);
    row.text("conversation_id_source", &event.conversation_id_source);
    row.opt("run_id", &event.run_id);
    row.opt("trace_id", &event.trace_id);
    row.opt("span_id", &event.span_id);
    row.opt("parent_span_id", &event.parent_span_id);
    row.opt("status", &event.status);
    row.list("messages", &event.messages, |message, out| self::message(message, form, out));
    row.int("input_message_count", event.input_message_count.map(i64::from));
    row.json("tools", &event.tools);
    calls(event, &mut row);
    numbers(event, &mut row);
    people(event, &mut row);
    row.opt("service", &event.service);
    row.opt("env", &event.env);
    row.map("tags", &event.tags, |text, out| string(text, out));
    row.json("metadata", &event.metadata);
    row.json("details", &event.details);
    row.json("attributes", &event.attributes);
    row.json("resource", &event.resource);
    if let Some(redaction) = &event.redaction {
        row.object("redaction", |object| {
            object.text("policy", &redaction.policy);
            object.map("counts", &redaction.counts, number);
        });
    }
    row.list("notes", &event.notes, |text, out| string(text, out));
    row.close();
    out.push(b'\n');
}

/// How a file of lines is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
}

/// Encodes rows as one file.
///
/// # Errors
/// When the compressor fails, which in memory it does not.
pub(super) fn encode(rows: &[impl Borrow<Event>], form: ToolCallForm, compression: Compression) -> io::Result<Vec<u8>> {
    let mut row_line = Vec::new();
    let mut lines = |out: &mut dyn Write| {
        rows.iter().try_for_each(|row| {
            row_line.clear();
            line(row.borrow(), form, &mut row_line);
            out.write_all(&row_line)
        })
    };
    pack(compression, &mut lines)
}

/// Compresses what `write` writes.
pub(super) fn pack(
    compression: Compression,
    write: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>,
) -> io::Result<Vec<u8>> {
    match compression {
        Compression::None => {
            let mut out = Vec::new();
            write(&mut out)?;
            Ok(out)
        }
        Compression::Gzip => {
            let mut out = GzEncoder::new(Vec::new(), flate2::Compression::default());
            write(&mut out)?;
            out.finish()
        }
        Compression::Zstd => {
            let mut out = zstd::Encoder::new(Vec::new(), ZSTD_LEVEL)?;
            write(&mut out)?;
            out.finish()
        }
    }
}

fn message(message: &Message, form: ToolCallForm, out: &mut Vec<u8>) {
    let mut object = Object::open(out);
    object.text("role", &message.role);
    match (&message.content_parts, &message.content) {
        (Some(parts), _) => object.value("content", |out| json(parts, out)),
        // An empty text was said; an absent one was not.
        (None, Some(content)) => object.value("content", |out| string(content, out)),
        (None, None) if !message.tool_calls.is_empty() => object.value("content", |out| out.extend(b"null")),
        (None, None) => {}
    }
    object.said("reasoning", &message.reasoning);
    object.opt("name", &message.name);
    object.opt("tool_call_id", &message.tool_call_id);
    object.list("tool_calls", &message.tool_calls, |call, out| match form {
        ToolCallForm::OpenAi => openai_call(call, out),
        ToolCallForm::Flat => flat_call(call, out),
    });
    object.opt("finish_reason", &message.finish_reason);
    object.close();
}

fn openai_call(call: &ToolCall, out: &mut Vec<u8>) {
    let kind = call.r#type.as_deref().filter(|kind| !kind.is_empty()).unwrap_or("function");
    // The body's key is the type's name, and a custom tool's arguments are a plain text named `input`.
    let (body, arguments) = if kind == "custom" { ("custom", "input") } else { ("function", "arguments") };
    let mut object = Object::open(out);
    object.opt("id", &call.id);
    object.text("type", kind);
    object.object(body, |function| {
        function.text("name", &call.name);
        function.said(arguments, &call.arguments);
    });
    object.close();
}

fn flat_call(call: &ToolCall, out: &mut Vec<u8>) {
    let mut object = Object::open(out);
    object.opt("id", &call.id);
    object.text("name", &call.name);
    if let Some(arguments) = &call.arguments {
        object.value("arguments", |out| json(arguments, out));
    }
    object.close();
}

/// What was called: the model, and the tools that ran.
fn calls(event: &Event, row: &mut Object<'_>) {
    if let Some(model) = &event.model {
        row.object("model", |object| {
            object.opt("provider", &model.provider);
            object.opt("request", &model.request);
            object.opt("response", &model.response);
            object.opt("response_id", &model.response_id);
            object.opt("operation", &model.operation);
            object.json("parameters", &model.parameters);
            object.list("finish_reasons", &model.finish_reasons, |text, out| string(text, out));
            object.truth("stream", model.stream);
        });
    }
    row.list("tool_executions", &event.tool_executions, execution);
}

fn execution(execution: &ToolExecution, out: &mut Vec<u8>) {
    let mut object = Object::open(out);
    object.opt("call_id", &execution.call_id);
    object.text("name", &execution.name);
    object.opt("type", &execution.r#type);
    object.opt("status", &execution.status);
    object.float("latency_ms", execution.latency_ms);
    object.given("arguments", &execution.arguments);
    object.given("result", &execution.result);
    object.opt("error", &execution.error);
    object.opt("span_id", &execution.span_id);
    object.close();
}

/// What it took.
fn numbers(event: &Event, row: &mut Object<'_>) {
    if let Some(timing) = &event.timing {
        row.object("timing", |object| {
            object.float("total_latency_ms", timing.total_latency_ms);
            object.float("time_to_first_token_ms", timing.time_to_first_token_ms);
            object.opt("ttft_source", &timing.ttft_source);
            object.map("tool_latencies_ms", &timing.tool_latencies_ms, |value, out| float(*value, out));
        });
    }
    if let Some(tokens) = &event.tokens {
        row.object("tokens", |object| {
            object.int("prompt_tokens", tokens.prompt_tokens);
            object.int("completion_tokens", tokens.completion_tokens);
            object.int("total_tokens", tokens.total_tokens);
            object.int("cached_tokens", tokens.cached_tokens);
            object.int("cache_creation_tokens", tokens.cache_creation_tokens);
            object.int("reasoning_tokens", tokens.reasoning_tokens);
            object.float("cost_usd", tokens.cost_usd);
            object.opt("cost_source", &tokens.cost_source);
        });
    }
}

/// Where in the application it happened, for whom, and what became of it.
fn people(event: &Event, row: &mut Object<'_>) {
    if let Some(graph) = &event.graph {
        row.object("graph", |object| {
            object.opt("graph_id", &graph.graph_id);
            object.opt("node_path", &graph.node_path);
            object.int("step_index", graph.step_index);
            object.opt("thread_id", &graph.thread_id);
            object.list("triggers", &graph.triggers, |text, out| string(text, out));
        });
    }
    if let Some(agent) = &event.agent {
        row.object("agent", |object| {
            object.opt("id", &agent.id);
            object.opt("name", &agent.name);
            object.opt("description", &agent.description);
        });
    }
    if let Some(user) = &event.user {
        row.object("user", |object| {
            object.opt("id", &user.id);
            object.opt("email", &user.email);
            object.opt("username", &user.username);
            object.opt("org", &user.org);
            object.list("roles", &user.roles, |text, out| string(text, out));
        });
    }
    if let Some(meta) = &event.wa_meta {
        row.object("wa_meta", |object| {
            object.opt("direction", &meta.direction);
            object.opt("template_category", &meta.template_category);
            object.truth("delivered", meta.delivered);
            object.truth("read", meta.read);
            object.truth("blocked_reported", meta.blocked_reported);
            object.opt("message_id", &meta.message_id);
            object.opt("phone_number", &meta.phone_number);
        });
    }
    if let Some(feedback) = &event.feedback {
        row.object("feedback", |object| {
            object.opt("type", &feedback.r#type);
            object.given("value", &feedback.value);
            object.opt("target", &feedback.target);
        });
    }
    if let Some(error) = &event.error {
        row.object("error", |object| {
            object.opt("type", &error.r#type);
            object.opt("message", &error.message);
            object.opt("code", &error.code);
            object.opt("stack", &error.stack);
        });
    }
}

/// Writes microseconds since 1970 as RFC 3339. Years beyond four digits carry a sign, as ISO 8601 has it; times that no
/// calendar reaches are null.
pub(super) fn time(micros: i64, out: &mut Vec<u8>) {
    let Some(time) = DateTime::from_timestamp_micros(micros) else {
        return out.extend_from_slice(b"null");
    };
    let year = time.year();
    out.push(b'"');
    // Writing into memory cannot fail.
    let _ = if (0..=9999).contains(&year) { write!(out, "{year:04}") } else { write!(out, "{year:+05}") };
    let _ = write!(out, "-{:02}-{:02}", time.month(), time.day());
    let _ = write!(out, "T{:02}:{:02}:{:02}", time.hour(), time.minute(), time.second());
    let _ = match time.timestamp_subsec_micros() {
        0 => Ok(()),
        whole if whole % 1000 == 0 => write!(out, ".{:03}", whole / 1000),
        micros => write!(out, ".{micros:06}"),
    };
    out.extend_from_slice(b"Z\"");
}
