//! Gemini CLI: log records, the conventions' record of each call, and spans whose messages are raw Gemini contents.
//!
//! A call is told by its span and by records `gen_ai.client.inference.operation.details`: the one of the question
//! stands on the span, that of a streamed answer stands on none; `api_response` repeats its numbers and is a line.
//! Unless traces are asked for, spans tell neither counts nor contents. A tool's run is told by its span and by a
//! record, which share no id.
//! Long texts are cut at 10,000 characters and say so. Source: `gemini-cli-core` 0.61, and a session of 0.61.

use super::Dialect;
use super::coding;
use super::draft::Draft;
use super::json::Node;
use super::messages;
use super::source::Source;
use super::usage::Counts;
use super::usage::Scheme;
use crate::event::Error;
use crate::event::ToolExecution;
use crate::event::event_type;
use crate::event::status;
use std::borrow::Cow;

pub(super) const DIALECT: Dialect = Dialect {
    name: "gemini-cli",
    scopes: &["gemini-cli"],
    events: &["gemini_cli."],
    probe: Some(|source| source.peek("gen_ai.agent.name") == Some("gemini-cli")),
    read,
    ..Dialect::NONE
};

fn read(source: &Source<'_>, draft: &mut Draft) {
    if source.is_log && source.name.starts_with("gemini_cli.") {
        return log(source, draft);
    }
    let kind = match source.peek("gen_ai.operation.name") {
        Some("llm_call") => Some(event_type::CHAT_COMPLETION),
        // With traces off a span says nothing but that it was.
        Some("tool_call") if source.has("gen_ai.tool.name") => Some(event_type::TOOL_EXECUTION),
        Some("tool_call") => Some(event_type::GRAPH_STEP),
        Some("agent_call") => Some(event_type::AGENT_INVOCATION),
        Some("schedule_tool_calls" | "user_prompt" | "system_prompt") => Some(event_type::GRAPH_STEP),
        _ => None,
    };
    if let Some(kind) = kind {
        draft.kind(kind);
    }
    if draft.is(event_type::TOOL_EXECUTION) {
        tool_span(source, draft);
    }
    if source.is_log || draft.is(event_type::CHAT_COMPLETION) {
        let session = source.peek("gen_ai.conversation.id").or_else(|| source.peek("session.id"));
        coding::shared(draft, "session", &[session]);
        answer(source, draft);
    }
    coding::note_cut(source, &["gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.system_instructions"]);
}

/// A streamed answer is one content for each piece: their texts belong together. Spans tell Gemini's contents,
/// records the conventions' messages, each with a role and the finish reason of the whole.
fn answer(source: &Source<'_>, draft: &mut Draft) {
    const KEY: &str = "gen_ai.output.messages";
    const REASONS: &str = "gen_ai.response.finish_reasons";
    let Some(doc) = source.json(KEY) else { return };
    let contents = doc.node.items();
    let is_raw = |content: &Node<'_>| content.get("parts").is_some();
    if contents.is_empty() || !contents.iter().all(is_raw) || contents.iter().any(Node::is_cut) {
        return;
    }
    let mut parts: Vec<Node<'_>> = Vec::new();
    for part in contents.iter().flat_map(|content| content.get("parts").map(Node::items).unwrap_or_default()) {
        match (parts.last_mut(), plain(part)) {
            (Some(last), Some((thought, text))) if plain(last).is_some_and(|(known, _)| known == thought) => {
                let joined = format!("{}{text}", plain(last).map(|(_, text)| text).unwrap_or_default());
                *last = text_part(thought, joined);
            }
            _ => parts.push(part.clone()),
        }
    }
    let mut message = vec![("role".into(), Node::String("model".into())), ("parts".into(), Node::array(parts))];
    if let Some(reason) = contents.iter().rev().find_map(|content| content.text("finish_reason")) {
        message.push(("finish_reason".into(), Node::String(reason.into())));
        // Each piece has its own, and all are the same.
        if source.attributes.words(REASONS).iter().all(|word| word == reason) {
            source.attributes.mark(REASONS);
        }
    }
    let message = Node::object(message);
    let told = messages::read_message(&message, "assistant");
    let whole = doc.whole && !told.lossy;
    if draft.output(told, &source.notes, KEY) && whole {
        source.attributes.mark(KEY);
    }
}

/// The text of a part that is nothing but text, and whether it is a thought.
fn plain<'n>(part: &'n Node<'_>) -> Option<(bool, &'n str)> {
    let is_plain =
        part.entries().iter().all(|(key, _)| matches!(key.as_ref(), "text" | "thought" | "type" | "content"));
    let text = part.first_text(&["text", "content"]).filter(|_| is_plain)?;
    Some((part.get("thought").and_then(Node::as_bool) == Some(true) || part.text("type") == Some("reasoning"), text))
}

fn text_part<'a>(thought: bool, text: String) -> Node<'a> {
    let mut entries: Vec<(Cow<'a, str>, Node<'a>)> = vec![("text".into(), Node::String(text.into()))];
    if thought {
        entries.push(("thought".into(), Node::Bool(true)));
    }
    Node::object(entries)
}

fn tool_span(source: &Source<'_>, draft: &mut Draft) {
    let session = source.peek("gen_ai.conversation.id").or_else(|| source.peek("session.id"));
    coding::shared(draft, "tool", &[session, source.peek("gen_ai.tool.name")]);
    let attributes = &source.attributes;
    draft.tool(|| {
        let text = |key: &str| attributes.text(key).map(str::to_owned);
        ToolExecution {
            name: text("gen_ai.tool.name").unwrap_or_else(|| source.name.to_owned()),
            call_id: text("gen_ai.tool.call.id").or_else(|| text("gen_ai.tool.call_id")),
            r#type: text("gen_ai.tool.type"),
            arguments: attributes.raw_json("gen_ai.tool.call.arguments").or_else(|| given(source)),
            result: attributes.raw_json("gen_ai.tool.call.result").or_else(|| given_back(source)),
            ..ToolExecution::default()
        }
    });
}

/// What the model is given: of `{status, request, response: {responseParts: [{functionResponse}]}}` the response of
/// the function; anything else whole.
fn given_back(source: &Source<'_>) -> Option<String> {
    const KEY: &str = "gen_ai.output.messages";
    let doc = source.json(KEY)?;
    let parts = doc.node.at(&["response", "responseParts"]).map(Node::items).unwrap_or_default();
    match parts.iter().find_map(|part| part.at(&["functionResponse", "response"])) {
        Some(response) if !response.is_cut() => Some(response.json()),
        _ => source.attributes.raw_json(KEY),
    }
}

/// `{name, args, ...}`, or the arguments alone.
fn given(source: &Source<'_>) -> Option<String> {
    const KEY: &str = "gen_ai.input.messages";
    let doc = source.json(KEY)?;
    match doc.node.get("args").filter(|args| args.is_object() && doc.node.get("name").is_some()) {
        Some(args) => Some(args.json()),
        None => source.attributes.raw_json(KEY),
    }
}

fn log(source: &Source<'_>, draft: &mut Draft) {
    source.attributes.mark("event.name");
    match coding::event(source, "gemini_cli.") {
        "user_prompt" => {
            coding::message(source, draft, "prompt", "user");
            coding::note_cut(source, &["prompt"]);
        }
        "tool_call" => tool_log(source, draft),
        "api_response" => {
            draft.kind(event_type::LOG_LINE);
            numbers(source, draft);
        }
        _ => draft.kind(event_type::LOG_LINE),
    }
}

fn numbers(source: &Source<'_>, draft: &mut Draft) {
    if let Some(name) = source.text("model") {
        draft.model().request.get_or_insert_with(|| name.to_owned());
    }
    draft.usage(&source.attributes, || {
        let count = |key: &str| source.attributes.count(key, &source.notes);
        Counts {
            input: count("input_token_count"),
            output: count("output_token_count"),
            total: count("total_token_count"),
            cached: count("cached_content_token_count"),
            reasoning: count("thoughts_token_count"),
            scheme: Scheme::Unknown,
            ..Counts::default()
        }
    });
    draft.reasons_from(&source.attributes, "finish_reasons");
    coding::duration(source, draft, "duration_ms");
}

fn tool_log(source: &Source<'_>, draft: &mut Draft) {
    coding::shared(draft, "tool", &[source.peek("session.id"), source.peek("function_name")]);
    draft.kind(event_type::TOOL_EXECUTION);
    let attributes = &source.attributes;
    let latency_ms = coding::duration(source, draft, "duration_ms");
    let ended = coding::success(source).map(|well| if well { status::OK } else { status::ERROR }.to_owned());
    draft.tool(|| ToolExecution {
        name: attributes.text("function_name").unwrap_or_default().to_owned(),
        r#type: attributes.text("tool_type").map(str::to_owned),
        arguments: attributes.raw_json("function_args"),
        error: attributes.text("error").map(str::to_owned),
        status: ended.clone(),
        latency_ms,
        ..ToolExecution::default()
    });
    let message = attributes.text("error").map(str::to_owned);
    if let Some(message) = message.filter(|_| ended.as_deref() == Some(status::ERROR)) {
        if attributes.peek("error.message") == Some(&message) {
            attributes.mark("error.message");
        }
        let kind = attributes.first_text(&["error.type", "error_type"]).map(|(_, kind)| kind.to_owned());
        ["error.type", "error_type"].iter().for_each(|key| attributes.mark(key));
        draft.row.error = Some(Error { r#type: kind, message: Some(message), ..Error::default() });
    }
    draft.row.status = draft.row.status.take().or(ended);
    draft.detail_from(attributes, "decision", "decision");
}
