//! Rows of our own form, as lines of JSON: every column under its name. A line of Stackifier's is such a row.
//!
//! What a column cannot hold (an object where a text belongs, a key that is no column) goes to the attributes.

use super::chat;
use super::draft::Draft;
use super::draft::Fields;
use super::draft::epoch_seconds;
use crate::dialect::json::Node;
use crate::dialect::value;
use crate::event::Agent;
use crate::event::Error;
use crate::event::Feedback;
use crate::event::Graph;
use crate::event::Model;
use crate::event::Timing;
use crate::event::Tokens;
use crate::event::ToolExecution;
use crate::event::User;
use crate::event::WaMeta;

/// Columns that others set: which door it came through, and when, and what was redacted.
const SET_ELSEWHERE: [&str; 5] = ["source", "schema_version", "received_at", "redaction", "conversation_id_source"];

/// Reads a row into a draft.
pub(super) fn read(draft: &mut Draft, node: &Node<'_>) {
    for (key, value) in node.entries() {
        if *value == Node::Null || SET_ELSEWHERE.contains(&key.as_ref()) {
            continue;
        }
        if !column(draft, key, value, node) {
            draft.attribute(key, value);
        }
    }
}

/// Reads one column. False where it is none, or holds what it cannot.
fn column(draft: &mut Draft, key: &str, value: &Node<'_>, node: &Node<'_>) -> bool {
    let text = || value.scalar_text().map(str::to_owned);
    let row = &mut draft.row;
    let slot = match key {
        "event_id" => return set(&mut row.event_id, text()),
        "event_type" => return set(&mut row.event_type, text()),
        "dialect" => return set(&mut row.dialect, text()),
        "name" => return set(&mut row.name, text()),
        "conversation_id" => {
            let source = node.text("conversation_id_source").unwrap_or("conversation_id");
            draft.conversation(value.scalar_text(), source);
            return value.scalar_text().is_some();
        }
        "timestamp" => return time(value).map(|nanos| draft.start_ns = nanos).is_some(),
        "ended_at" => return time(value).map(|nanos| draft.end_ns = nanos).is_some(),
        "run_id" => &mut row.run_id,
        "trace_id" => &mut row.trace_id,
        "span_id" => &mut row.span_id,
        "parent_span_id" => &mut row.parent_span_id,
        "status" => &mut row.status,
        "service" => &mut row.service,
        "env" => &mut row.env,
        _ => return group(draft, key, value),
    };
    *slot = text();
    slot.is_some()
}

fn set(slot: &mut String, text: Option<String>) -> bool {
    let is_text = text.is_some();
    *slot = text.unwrap_or_default();
    is_text
}

fn time(value: &Node<'_>) -> Option<u64> {
    value.scalar_text().and_then(|text| value::time(text).or_else(|| epoch_seconds(text)))
}

/// Reads a column that is a list or an object.
fn group(draft: &mut Draft, key: &str, value: &Node<'_>) -> bool {
    let row = &mut draft.row;
    match key {
        "messages" if value.is_array() => {
            let chat = chat::read(value);
            row.messages = chat.messages;
            return !chat.lossy;
        }
        "input_message_count" => {
            row.input_message_count = value.as_count().and_then(|count| i32::try_from(count).ok());
            return row.input_message_count.is_some();
        }
        "tools" if value.is_array() => row.tools = Some(value.json()),
        "metadata" if value.is_object() => row.metadata = Some(value.json()),
        "notes" if value.is_array() => row.notes.extend(value.items().iter().map(Node::plain)),
        "tags" if value.is_object() => {
            row.tags.extend(value.entries().iter().map(|(key, value)| (key.to_string(), value.plain())));
        }
        "details" if value.is_object() => {
            value.entries().iter().for_each(|(key, value)| draft.detail(key, value.json()));
        }
        "attributes" if value.is_object() => draft.attributes_but(value, &[]),
        "tool_executions" if value.is_array() => {
            row.tool_executions = value.items().iter().map(execution).collect();
        }
        "model" | "timing" | "tokens" | "graph" | "agent" | "user" | "wa_meta" | "feedback" | "error"
            if value.is_object() =>
        {
            let known = structure(draft, key, value);
            // What of it has no column stands in the details, at the same place.
            let mut more = Fields::default();
            for (name, value) in value.entries().iter().filter(|(name, _)| !known.contains(&name.as_ref())) {
                more.node(name, Some(value));
            }
            draft.detail_fields(key, more);
        }
        _ => return false,
    }
    true
}

/// Reads a column that is a structure, and gives the fields that it has.
fn structure(draft: &mut Draft, key: &str, node: &Node<'_>) -> &'static [&'static str] {
    let text = |key: &str| node.get(key).filter(|value| !value.is_array() && !value.is_object()).map(Node::plain);
    let number = |key: &str| node.get(key).and_then(Node::as_f64);
    let count = |key: &str| node.get(key).and_then(Node::as_count);
    let truth = |key: &str| node.get(key).and_then(Node::as_bool);
    let all = |key: &str| node.get(key).map(Node::items).unwrap_or_default().iter().map(Node::plain).collect();
    let row = &mut draft.row;
    match key {
        "model" => {
            row.model = Some(Model {
                provider: text("provider"),
                request: text("request"),
                response: text("response"),
                response_id: text("response_id"),
                operation: text("operation"),
                parameters: node.get("parameters").map(Node::json),
                finish_reasons: all("finish_reasons"),
                stream: truth("stream"),
            });
            &["provider", "request", "response", "response_id", "operation", "parameters", "finish_reasons", "stream"]
        }
        "timing" => {
            let latencies = node.get("tool_latencies_ms").map(Node::entries).unwrap_or_default();
            let latencies = latencies.iter().filter_map(|(name, value)| Some((name.to_string(), value.as_f64()?)));
            let stated = Timing {
                total_latency_ms: number("total_latency_ms"),
                time_to_first_token_ms: number("time_to_first_token_ms"),
                ttft_source: text("ttft_source")
                    .or_else(|| number("time_to_first_token_ms").map(|_| "timing.time_to_first_token_ms".to_owned())),
                tool_latencies_ms: latencies.collect(),
            };
            row.timing = (stated != Timing::default()).then_some(stated);
            &["total_latency_ms", "time_to_first_token_ms", "ttft_source", "tool_latencies_ms"]
        }
        "tokens" => {
            let cost_usd = number("cost_usd");
            let stated = Tokens {
                prompt_tokens: count("prompt_tokens"),
                completion_tokens: count("completion_tokens"),
                total_tokens: count("total_tokens"),
                cached_tokens: count("cached_tokens").or_else(|| count("cache_read_tokens")),
                cache_creation_tokens: count("cache_creation_tokens"),
                reasoning_tokens: count("reasoning_tokens"),
                cost_usd,
                cost_source: text("cost_source").or_else(|| cost_usd.map(|_| "tokens.cost_usd".to_owned())),
            };
            row.tokens = (stated != Tokens::default()).then_some(stated);
            &[
                "prompt_tokens",
                "completion_tokens",
                "total_tokens",
                "cached_tokens",
                "cache_read_tokens",
                "cache_creation_tokens",
                "reasoning_tokens",
                "cost_usd",
                "cost_source",
            ]
        }
        "graph" => {
            row.graph = Some(Graph {
                graph_id: text("graph_id"),
                node_path: text("node_path"),
                step_index: count("step_index"),
                thread_id: text("thread_id"),
                triggers: all("triggers"),
            });
            &["graph_id", "node_path", "step_index", "thread_id", "triggers"]
        }
        "agent" => {
            row.agent = Some(Agent { id: text("id"), name: text("name"), description: text("description") });
            &["id", "name", "description"]
        }
        "user" => {
            row.user = Some(User {
                id: text("id"),
                email: text("email"),
                username: text("username"),
                org: text("org").or_else(|| text("org_name")),
                roles: all("roles"),
            });
            &["id", "email", "username", "org", "org_name", "roles"]
        }
        "wa_meta" => {
            row.wa_meta = Some(WaMeta {
                direction: text("direction"),
                template_category: text("template_category"),
                delivered: truth("delivered"),
                read: truth("read"),
                blocked_reported: truth("blocked_reported"),
                message_id: text("message_id"),
                phone_number: text("phone_number"),
            });
            &["direction", "template_category", "delivered", "read", "blocked_reported", "message_id", "phone_number"]
        }
        "feedback" => {
            row.feedback = Some(Feedback {
                r#type: text("type"),
                value: node.get("value").map(Node::json),
                target: text("target"),
            });
            &["type", "value", "target"]
        }
        _ => {
            row.error = Some(Error {
                r#type: text("type"),
                message: text("message"),
                code: text("code"),
                stack: text("stack"),
            });
            &["type", "message", "code", "stack"]
        }
    }
}

fn execution(node: &Node<'_>) -> ToolExecution {
    let text = |key: &str| node.text(key).map(str::to_owned);
    ToolExecution {
        call_id: text("call_id"),
        name: text("name").unwrap_or_default(),
        r#type: text("type"),
        status: text("status"),
        latency_ms: node.get("latency_ms").and_then(Node::as_f64),
        arguments: node.get("arguments").map(Node::json),
        result: node.get("result").map(Node::json),
        error: text("error"),
        span_id: text("span_id"),
    }
}
