//! A line of JSON as a row: the way back of [`super::line`]. Keys that it does not know are left; a value that is not
//! of its kind makes the line none.

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
use chrono::DateTime;
use serde::Deserialize;
use serde::Deserializer;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// Reads a line.
///
/// # Errors
/// When it is no JSON object of this form.
pub fn parse(line: &str) -> Result<Event, serde_json::Error> {
    if !line.trim_ascii_start().starts_with('{') {
        return Err(serde::de::Error::custom("not an object"));
    }
    serde_json::from_str::<Line<'_>>(line).map(Event::from)
}

/// The user's own JSON.
type Raw<'a> = Option<&'a RawValue>;

/// A value of the user: null was said.
fn given<'de, D: Deserializer<'de>>(reader: D) -> Result<Raw<'de>, D::Error> {
    <&RawValue>::deserialize(reader).map(Some)
}

fn text(raw: Raw<'_>) -> Option<String> {
    raw.map(|raw| raw.get().to_owned())
}

/// Times that no calendar reaches are written as null.
fn micros(time: Option<&str>) -> Option<i64> {
    Some(DateTime::parse_from_rfc3339(time?).ok()?.timestamp_micros())
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Line<'a> {
    event_id: String,
    event_type: String,
    source: String,
    dialect: String,
    schema_version: i32,
    name: String,
    timestamp: Option<&'a str>,
    ended_at: Option<&'a str>,
    received_at: Option<&'a str>,
    conversation_id: String,
    conversation_id_source: String,
    run_id: Option<String>,
    trace_id: Option<String>,
    span_id: Option<String>,
    parent_span_id: Option<String>,
    status: Option<String>,
    #[serde(borrow)]
    messages: Vec<LineMessage<'a>>,
    input_message_count: Option<i32>,
    #[serde(borrow)]
    tools: Raw<'a>,
    #[serde(borrow)]
    model: Option<LineModel<'a>>,
    #[serde(borrow)]
    tool_executions: Vec<LineExecution<'a>>,
    timing: Option<LineTiming>,
    tokens: Option<LineTokens>,
    graph: Option<LineGraph>,
    agent: Option<LineAgent>,
    user: Option<LineUser>,
    wa_meta: Option<LineWaMeta>,
    #[serde(borrow)]
    feedback: Option<LineFeedback<'a>>,
    error: Option<LineError>,
    service: Option<String>,
    env: Option<String>,
    tags: BTreeMap<String, String>,
    #[serde(borrow)]
    metadata: Raw<'a>,
    #[serde(borrow)]
    details: Raw<'a>,
    #[serde(borrow)]
    attributes: Raw<'a>,
    #[serde(borrow)]
    resource: Raw<'a>,
    redaction: Option<LineRedaction>,
    notes: Vec<String>,
}

impl From<Line<'_>> for Event {
    fn from(line: Line<'_>) -> Self {
        Self {
            event_id: line.event_id,
            event_type: line.event_type,
            source: line.source,
            dialect: line.dialect,
            schema_version: line.schema_version,
            name: line.name,
            timestamp: micros(line.timestamp).unwrap_or_default(),
            ended_at: micros(line.ended_at),
            received_at: micros(line.received_at).unwrap_or_default(),
            conversation_id: line.conversation_id,
            conversation_id_source: line.conversation_id_source,
            run_id: line.run_id,
            trace_id: line.trace_id,
            span_id: line.span_id,
            parent_span_id: line.parent_span_id,
            status: line.status,
            messages: line.messages.into_iter().map(Message::from).collect(),
            input_message_count: line.input_message_count,
            tools: text(line.tools),
            model: line.model.map(Model::from),
            tool_executions: line.tool_executions.into_iter().map(ToolExecution::from).collect(),
            timing: line.timing.map(Timing::from),
            tokens: line.tokens.map(Tokens::from),
            graph: line.graph.map(Graph::from),
            agent: line.agent.map(Agent::from),
            user: line.user.map(User::from),
            wa_meta: line.wa_meta.map(WaMeta::from),
            feedback: line.feedback.map(Feedback::from),
            error: line.error.map(Error::from),
            service: line.service,
            env: line.env,
            tags: line.tags,
            metadata: text(line.metadata),
            details: text(line.details),
            attributes: text(line.attributes),
            resource: text(line.resource),
            redaction: line.redaction.map(Redaction::from),
            notes: line.notes,
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct LineMessage<'a> {
    role: String,
    #[serde(borrow)]
    content: Raw<'a>,
    reasoning: Option<String>,
    name: Option<String>,
    tool_call_id: Option<String>,
    #[serde(borrow)]
    tool_calls: Vec<LineCall<'a>>,
    finish_reason: Option<String>,
}

impl From<LineMessage<'_>> for Message {
    fn from(line: LineMessage<'_>) -> Self {
        let (content, content_parts) = content(line.content);
        Self {
            role: line.role,
            content,
            content_parts,
            reasoning: line.reasoning,
            name: line.name,
            tool_call_id: line.tool_call_id,
            tool_calls: line.tool_calls.into_iter().map(ToolCall::from).collect(),
            finish_reason: line.finish_reason,
        }
    }
}

/// A plain text; or parts, and their texts.
fn content(raw: Raw<'_>) -> (Option<String>, Option<String>) {
    #[derive(Deserialize)]
    struct Part {
        text: Option<String>,
    }
    let Some(raw) = raw.map(RawValue::get) else { return (None, None) };
    if let Ok(text) = serde_json::from_str(raw) {
        return (Some(text), None);
    }
    let parts: Vec<Part> = serde_json::from_str(raw).unwrap_or_default();
    let texts: Vec<String> = parts.into_iter().filter_map(|part| part.text).collect();
    ((!texts.is_empty()).then(|| texts.join("\n")), Some(raw.to_owned()))
}

/// A call in either form.
#[derive(Default, Deserialize)]
#[serde(default)]
struct LineCall<'a> {
    id: Option<String>,
    r#type: Option<String>,
    function: Option<LineFunction>,
    custom: Option<LineCustom>,
    name: Option<String>,
    #[serde(borrow, deserialize_with = "given")]
    arguments: Raw<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct LineFunction {
    name: String,
    arguments: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct LineCustom {
    name: String,
    input: Option<String>,
}

impl From<LineCall<'_>> for ToolCall {
    fn from(line: LineCall<'_>) -> Self {
        let (name, arguments) = match (line.function, line.custom) {
            (Some(function), _) => (function.name, function.arguments),
            (None, Some(custom)) => (custom.name, custom.input),
            (None, None) => (line.name.unwrap_or_default(), text(line.arguments)),
        };
        Self { id: line.id, r#type: line.r#type, name, arguments }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct LineModel<'a> {
    provider: Option<String>,
    request: Option<String>,
    response: Option<String>,
    response_id: Option<String>,
    operation: Option<String>,
    #[serde(borrow)]
    parameters: Raw<'a>,
    finish_reasons: Vec<String>,
    stream: Option<bool>,
}

impl From<LineModel<'_>> for Model {
    fn from(line: LineModel<'_>) -> Self {
        Self {
            provider: line.provider,
            request: line.request,
            response: line.response,
            response_id: line.response_id,
            operation: line.operation,
            parameters: text(line.parameters),
            finish_reasons: line.finish_reasons,
            stream: line.stream,
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct LineExecution<'a> {
    call_id: Option<String>,
    name: String,
    r#type: Option<String>,
    status: Option<String>,
    latency_ms: Option<f64>,
    #[serde(borrow, deserialize_with = "given")]
    arguments: Raw<'a>,
    #[serde(borrow, deserialize_with = "given")]
    result: Raw<'a>,
    error: Option<String>,
    span_id: Option<String>,
}

impl From<LineExecution<'_>> for ToolExecution {
    fn from(line: LineExecution<'_>) -> Self {
        Self {
            call_id: line.call_id,
            name: line.name,
            r#type: line.r#type,
            status: line.status,
            latency_ms: line.latency_ms,
            arguments: text(line.arguments),
            result: text(line.result),
            error: line.error,
            span_id: line.span_id,
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct LineFeedback<'a> {
    r#type: Option<String>,
    #[serde(borrow, deserialize_with = "given")]
    value: Raw<'a>,
    target: Option<String>,
}

impl From<LineFeedback<'_>> for Feedback {
    fn from(line: LineFeedback<'_>) -> Self {
        Self { r#type: line.r#type, value: text(line.value), target: line.target }
    }
}

/// A struct of plain values: the same fields under the same names.
macro_rules! plain {
    ($line:ident => $row:ident { $($field:ident: $kind:ty),* $(,)? }) => {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct $line {
            $($field: $kind,)*
        }

        impl From<$line> for $row {
            fn from(line: $line) -> Self {
                Self { $($field: line.$field,)* }
            }
        }
    };
}

plain!(LineTiming => Timing {
    total_latency_ms: Option<f64>,
    time_to_first_token_ms: Option<f64>,
    ttft_source: Option<String>,
    tool_latencies_ms: BTreeMap<String, f64>,
});
plain!(LineTokens => Tokens {
    prompt_tokens: Option<i64>,
    completion_tokens: Option<i64>,
    total_tokens: Option<i64>,
    cached_tokens: Option<i64>,
    cache_creation_tokens: Option<i64>,
    reasoning_tokens: Option<i64>,
    cost_usd: Option<f64>,
    cost_source: Option<String>,
});
plain!(LineGraph => Graph {
    graph_id: Option<String>,
    node_path: Option<String>,
    step_index: Option<i64>,
    thread_id: Option<String>,
    triggers: Vec<String>,
});
plain!(LineAgent => Agent { id: Option<String>, name: Option<String>, description: Option<String> });
plain!(LineUser => User {
    id: Option<String>,
    email: Option<String>,
    username: Option<String>,
    org: Option<String>,
    roles: Vec<String>,
});
plain!(LineWaMeta => WaMeta {
    direction: Option<String>,
    template_category: Option<String>,
    delivered: Option<bool>,
    read: Option<bool>,
    blocked_reported: Option<bool>,
    message_id: Option<String>,
    phone_number: Option<String>,
});
plain!(LineError => Error {
    r#type: Option<String>,
    message: Option<String>,
    code: Option<String>,
    stack: Option<String>,
});
plain!(LineRedaction => Redaction { policy: String, counts: BTreeMap<String, i64> });
