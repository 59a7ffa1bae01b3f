//! OpenAI's Codex: log records with bare keys; counts are often texts.
//!
//! Of the many records that a stream gives only the one of `response.completed` counts tokens: that is the call. The
//! records of the same request over HTTP or a socket say no more. Source: its session telemetry of 2026.

use super::Dialect;
use super::coding;
use super::draft::Draft;
use super::source::Source;
use super::usage::Counts;
use super::usage::Scheme;
use crate::event::ToolExecution;
use crate::event::event_type;
use crate::event::status;

pub(super) const DIALECT: Dialect = Dialect { name: "codex", events: &["codex."], read, ..Dialect::NONE };

fn read(source: &Source<'_>, draft: &mut Draft) {
    if !source.is_log {
        return;
    }
    source.attributes.mark("event.name");
    match coding::event(source, "codex.") {
        "user_prompt" => coding::message(source, draft, "prompt", "user"),
        "agent_response" => {
            coding::message(source, draft, "response", "assistant");
            if source.attributes.truth("response_truncated") == Some(true) {
                source.notes.add(|| "cut before it came here: response".to_owned());
            }
        }
        "sse_event" | "websocket_event" if is_answer(source) => call(source, draft),
        "tool_result" => tool(source, draft),
        "turn_cost" => {
            draft.kind(event_type::LOG_LINE);
            draft.detail_from(&source.attributes, "cost_usd", "cost_usd");
        }
        _ => draft.kind(event_type::LOG_LINE),
    }
    for (key, name) in [
        ("turn.id", "turn"),
        ("item.id", "item"),
        ("agent.type", "agent_type"),
        ("parent.conversation.id", "parent_conversation"),
        ("parent.turn.id", "parent_turn"),
        ("root.turn.id", "root_turn"),
    ] {
        draft.detail_from(&source.attributes, key, name);
    }
}

/// The end of an answer; its twin on the other transport counts nothing.
fn is_answer(source: &Source<'_>) -> bool {
    source.peek("event.kind") == Some("response.completed")
        && ["input_token_count", "output_token_count", "tool_token_count"].iter().any(|key| source.has(key))
}

fn call(source: &Source<'_>, draft: &mut Draft) {
    draft.kind(event_type::CHAT_COMPLETION);
    if let Some(name) = source.text("model").or_else(|| source.text("slug")) {
        draft.model().request.get_or_insert_with(|| name.to_owned());
    }
    draft.usage(&source.attributes, || {
        let count = |key: &str| source.attributes.count(key, &source.notes);
        Counts {
            input: count("input_token_count"),
            output: count("output_token_count"),
            // In spite of its name.
            total: count("tool_token_count"),
            cached: count("cached_token_count"),
            written: count("cache_write_token_count"),
            reasoning: count("reasoning_token_count"),
            scheme: Scheme::Inclusive,
        }
    });
    coding::duration(source, draft, "duration_ms");
    if let Some(millis) = source.number("ttft_ms") {
        draft.first_token(source, millis, "ttft_ms");
    }
    draft.model().stream.get_or_insert(true);
    draft.row.status.get_or_insert_with(|| status::OK.to_owned());
}

fn tool(source: &Source<'_>, draft: &mut Draft) {
    draft.kind(event_type::TOOL_EXECUTION);
    let attributes = &source.attributes;
    let latency_ms = coding::duration(source, draft, "duration_ms");
    let ended = coding::success(source).map(|well| if well { status::OK } else { status::ERROR }.to_owned());
    draft.tool(|| {
        let text = |key: &str| attributes.text(key).map(str::to_owned);
        ToolExecution {
            name: text("tool_name").unwrap_or_default(),
            call_id: text("call_id"),
            arguments: attributes.raw_json("arguments"),
            result: attributes.raw_json("output"),
            status: ended.clone(),
            latency_ms,
            ..ToolExecution::default()
        }
    });
    draft.row.status = draft.row.status.take().or(ended);
}
