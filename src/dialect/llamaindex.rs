//! LlamaIndex's own tracing: spans named after methods, content in events named after the event's class.
//!
//! An event's fields are flattened: `response.raw.usage.prompt_tokens`; lists and nulls are JSON texts.
//! Source: `llama-index-observability-otel` 0.7 with `llama-index-core` 0.14.

use super::Dialect;
use super::answer::Answer;
use super::attributes::Attributes;
use super::draft::Draft;
use super::json::Node;
use super::json::any_node;
use super::json::parse;
use super::messages;
use super::source::Happening;
use super::source::Source;
use super::usage::Counts;
use crate::event::ToolExecution;
use crate::event::event_type;
use std::borrow::Cow;

pub(super) const DIALECT: Dialect = Dialect {
    name: "llamaindex",
    scopes: &["llamaindex.opentelemetry.tracer"],
    keys: &["llamaindex."],
    read,
    ..Dialect::NONE
};

fn read(source: &Source<'_>, draft: &mut Draft) {
    if source.is_log {
        return;
    }
    for event in &source.events {
        match event.name {
            "LLMChatStartEvent" | "LLMCompletionStartEvent" => start(source, draft, event),
            "LLMChatEndEvent" | "LLMCompletionEndEvent" => end(source, draft, event),
            "EmbeddingStartEvent" | "EmbeddingEndEvent" => {
                draft.kind(event_type::EMBEDDING);
                draft.detail_from(&event.attributes, "chunks", "input");
                draft.detail_from(&event.attributes, "embeddings", "output");
                asked(draft, event);
            }
            "RetrievalStartEvent" | "RetrievalEndEvent" => {
                draft.kind(event_type::RETRIEVAL);
                draft.detail_from(&event.attributes, "str_or_query_bundle", "query");
                draft.detail_from(&event.attributes, "nodes", "documents");
            }
            "ReRankStartEvent" | "ReRankEndEvent" => {
                draft.kind(event_type::RERANK);
                draft.detail_from(&event.attributes, "query", "query");
                draft.detail_from(&event.attributes, "nodes", "documents");
            }
            _ => continue,
        }
    }
    if !draft.has_kind() {
        step(source, draft);
    }
    if draft.row.run_id.is_none() {
        draft.row.run_id = source.text("llamaindex.run_id").map(str::to_owned);
    }
}

fn asked(draft: &mut Draft, event: &Happening<'_>) {
    if let Some((_, name)) = event.attributes.first_text(&["model_dict.model_name", "model_dict.model"]) {
        draft.model().request.get_or_insert_with(|| name.to_owned());
    }
}

fn start(source: &Source<'_>, draft: &mut Draft, event: &Happening<'_>) {
    draft.kind(event_type::CHAT_COMPLETION);
    asked(draft, event);
    draft.input_from(&event.attributes, &source.notes, "messages");
    draft.input_from(&event.attributes, &source.notes, "prompt");
    draft.tools_from(&event.attributes, &source.notes, "additional_kwargs.tools");
    let given: Vec<(&str, String)> = event
        .attributes
        .below("additional_kwargs.")
        .filter(|(_, name, _)| *name != "tools")
        .map(|(place, name, any)| {
            event.attributes.mark_place(place);
            (name, super::json::any_json(any))
        })
        .collect();
    if !given.is_empty() {
        let json = crate::event::json::object(given.iter().map(|(name, json)| (*name, json.as_str())));
        draft.model().parameters.get_or_insert(json);
    }
    if source.name.contains("stream") {
        draft.model().stream.get_or_insert(true);
    }
}

fn end(source: &Source<'_>, draft: &mut Draft, event: &Happening<'_>) {
    draft.kind(event_type::CHAT_COMPLETION);
    draft.input_from(&event.attributes, &source.notes, "messages");
    let raw = tree(&event.attributes, "response.raw.");
    let counted = Counts::of(&tree(&event.attributes, "response.additional_kwargs."));
    let answer = Answer::of(&raw);
    let counts = if answer.counts.is_empty() { counted } else { answer.counts };
    draft.usage(&event.attributes, || counts);
    answer.fill(draft);
    let mut message = tree(&event.attributes, "response.message.");
    if message.entries().is_empty()
        && let Some(text) = event.attributes.peek("response.text")
    {
        message = Node::String(text.into());
    }
    draft.output(messages::read_message(&message, "assistant"), &source.notes, event.name);
}

/// Fields below a prefix as the object that they were; texts that are JSON lists or objects are read.
fn tree<'a>(attributes: &Attributes<'a>, prefix: &str) -> Node<'a> {
    let mut root: Vec<(Cow<'a, str>, Node<'a>)> = Vec::new();
    for entry in attributes.list() {
        let (Some(path), Some(any)) = (entry.key.strip_prefix(prefix), entry.value.as_ref()) else { continue };
        let value = match any_node(any) {
            Node::String(text) if text == "null" => continue,
            Node::String(Cow::Borrowed(text)) if text.starts_with(['[', '{']) => {
                parse(text).map_or(Node::String(text.into()), |parsed| parsed.node)
            }
            other => other,
        };
        put(&mut root, path, value);
    }
    Node::object(root)
}

/// Deeper than this a path is a key of its own: what hosts send must not nest without end.
const DEPTH: usize = 6;

fn put<'a>(object: &mut Vec<(Cow<'a, str>, Node<'a>)>, path: &'a str, value: Node<'a>) {
    let mut entries = object;
    let mut rest = path;
    for _ in 0..DEPTH {
        let Some((head, tail)) = rest.split_once('.') else { break };
        let place = match entries.iter().position(|(key, _)| key == head) {
            Some(place) => place,
            None => {
                entries.push((head.into(), Node::object(Vec::new())));
                entries.len() - 1
            }
        };
        match entries.get_mut(place) {
            Some((_, Node::Object(inner))) => entries = &mut inner.entries,
            // A value stands where others stand below.
            _ => return,
        }
        rest = tail;
    }
    entries.push((rest.into(), value));
}

/// A method that asks no model: a tool, an agent, a step of a workflow, or something else.
fn step(source: &Source<'_>, draft: &mut Draft) {
    let (class, method) = source.name.split_once('.').unwrap_or(("", source.name));
    let summary = source.peek("llamaindex.step.input_summary");
    if class.ends_with("Tool")
        && matches!(method, "call" | "acall")
        && let Some(tool) = summary.and_then(tool_of)
    {
        draft.kind(event_type::TOOL_EXECUTION);
        return draft.tool(|| tool);
    }
    if matches!(method, "run" | "arun") && (class.ends_with("Agent") || class.ends_with("AgentWorkflow")) {
        draft.kind(event_type::AGENT_INVOCATION);
    } else {
        draft.kind(event_type::GRAPH_STEP);
        if source.event("step.output").is_some() {
            draft.graph().node_path.get_or_insert_with(|| method.to_owned());
        }
    }
    draft.detail_from(&source.attributes, "llamaindex.step.input_event", "input_event");
}

/// `ToolCall(tool_name='..', tool_kwargs={..}, tool_id='..')`: Python's words for the object, perhaps cut.
fn tool_of(summary: &str) -> Option<ToolExecution> {
    let inner = summary.strip_prefix("ToolCall(")?;
    let quoted = |key: &str| {
        let rest = inner.split_once(key)?.1;
        let quote = rest.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
        rest.get(1..)?.split_once(quote).map(|(text, _)| text.to_owned())
    };
    let arguments =
        inner.split_once("tool_kwargs=").and_then(|(_, rest)| rest.split_once(", tool_id=")).map(|(json, _)| json);
    Some(ToolExecution {
        name: quoted("tool_name=")?,
        call_id: quoted("tool_id="),
        arguments: arguments.and_then(parse).filter(|parsed| !parsed.flaws.truncated).map(|parsed| parsed.node.json()),
        ..ToolExecution::default()
    })
}
