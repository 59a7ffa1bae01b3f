//! Claude Code: log records with bare keys, and spans of its beta tracing. Numbers and truths are often texts.
//!
//! | record or span | row |
//! |---|---|
//! | `api_request`, `api_error`, span `claude_code.llm_request` | a call; counts exclude what a cache gave |
//! | `user_prompt`, `assistant_response`, `api_request_body`, `api_response_body` | a message |
//! | `tool_result`, span `claude_code.tool` | a tool's run |
//! | span `claude_code.interaction` | an agent's run; all other spans are steps |
//! | `feedback_survey` | feedback |
//! | anything else | a line |
//!
//! With both signals on a call and a tool's run are told twice: record and span share `request_id` or `tool_use_id`.
//! Source: names in the 2.1 binary, its documentation.

use super::Dialect;
use super::answer;
use super::attributes::Attributes;
use super::coding;
use super::draft::Draft;
use super::messages;
use super::notes::Notes;
use super::source::Source;
use super::usage::Counts;
use super::usage::Scheme;
use crate::event::Error;
use crate::event::Feedback;
use crate::event::ToolExecution;
use crate::event::event_type;
use crate::event::status;

pub(super) const DIALECT: Dialect = Dialect {
    name: "claude-code",
    scopes: &["com.anthropic.claude_code"],
    events: &["claude_code."],
    probe: Some(|source| {
        let body = source.body.filter(|_| source.is_log).and_then(super::json::any_text);
        body.is_some_and(|text| text.starts_with("claude_code."))
            || !source.is_log && source.name.starts_with("claude_code.")
    }),
    read,
    ..Dialect::NONE
};

fn read(source: &Source<'_>, draft: &mut Draft) {
    let place = source.attributes.first_count(&["interaction.sequence", "event.sequence"], &source.notes);
    if let Some(place) = place {
        draft.graph().step_index.get_or_insert(place.value);
    }
    if source.is_log { log(source, draft) } else { span(source, draft) }
}

fn log(source: &Source<'_>, draft: &mut Draft) {
    let event = coding::event(source, "claude_code.");
    source.attributes.mark("event.name");
    match event {
        "user_prompt" => coding::message(source, draft, "prompt", "user"),
        "assistant_response" => {
            coding::message(source, draft, "response", "assistant");
            request_id(source, draft);
        }
        "api_request" => {
            // The name in the answer, where that said one.
            if let Some(name) = source.text("model") {
                let (request, response) = answer::names(Some(name), None, true);
                let model = draft.model();
                model.request = model.request.take().or(request);
                model.response = model.response.take().or(response);
            }
            call(source, draft);
            draft.row.status.get_or_insert_with(|| status::OK.to_owned());
        }
        "api_error" => {
            call(source, draft);
            let text = |key: &str| source.text(key).map(str::to_owned);
            let code = source.attributes.id("status_code").map(|code| code.into_owned());
            let error = Error { message: text("error"), code, ..Error::default() };
            draft.row.error.get_or_insert(error);
            draft.row.status.get_or_insert_with(|| status::ERROR.to_owned());
        }
        "tool_result" => tool(source, draft),
        "api_request_body" | "api_response_body" => body(source, draft, event == "api_request_body"),
        "feedback_survey" => {
            draft.kind(event_type::FEEDBACK);
            let value =
                ["response", "rating", "survey_response"].iter().find_map(|key| source.attributes.raw_json(key));
            draft.row.feedback.get_or_insert_with(|| Feedback {
                r#type: Some(event.to_owned()),
                value,
                ..Feedback::default()
            });
        }
        _ => draft.kind(event_type::LOG_LINE),
    }
}

fn request_id(source: &Source<'_>, draft: &mut Draft) {
    draft.detail_from(&source.attributes, "request_id", "request_id");
}

fn call(source: &Source<'_>, draft: &mut Draft) {
    draft.kind(event_type::CHAT_COMPLETION);
    if let Some(name) = source.text("model").filter(|name| draft.model().response.as_deref() != Some(name)) {
        draft.model().request.get_or_insert_with(|| name.to_owned());
    }
    if let Some(id) = source.peek("gen_ai.response.id").or_else(|| source.peek("request_id")) {
        draft.model().response_id.get_or_insert_with(|| id.to_owned());
    }
    request_id(source, draft);
    coding::shared(draft, "request", &[source.peek("request_id")]);
    draft.usage(&source.attributes, || counts(&source.attributes, &source.notes));
    if let Some(usd) = source.number("cost_usd") {
        draft.cost(usd, "cost_usd");
    }
    coding::duration(source, draft, "duration_ms");
    if let Some(millis) = source.number("ttft_ms") {
        draft.first_token(source, millis, "ttft_ms");
    }
    draft.reasons_from(&source.attributes, "stop_reason");
    draft.detail_from(&source.attributes, "query_source", "query_source");
    draft.detail_from(&source.attributes, "effort", "effort");
    draft.detail_from(&source.attributes, "attempt", "attempt");
}

fn counts(attributes: &Attributes<'_>, notes: &Notes) -> Counts {
    let count = |key: &str| attributes.count(key, notes);
    Counts {
        input: count("input_tokens"),
        output: count("output_tokens"),
        cached: count("cache_read_tokens"),
        written: count("cache_creation_tokens"),
        scheme: Scheme::CacheApart,
        ..Counts::default()
    }
}

fn tool(source: &Source<'_>, draft: &mut Draft) {
    draft.kind(event_type::TOOL_EXECUTION);
    let attributes = &source.attributes;
    let latency_ms = coding::duration(source, draft, "duration_ms");
    coding::shared(draft, "tool", &[source.peek("tool_use_id")]);
    coding::shared(draft, "tool", &[source.peek("prompt.id"), source.peek("tool_name")]);
    let failed = coding::success(source) == Some(false);
    let output = source.event("tool.output");
    let result =
        output.and_then(|event| ["output", "content", "result"].iter().find_map(|key| event.attributes.raw_json(key)));
    if let (Some(event), true) = (output, result.is_some()) {
        event.used.set(true);
    }
    draft.tool(|| {
        let text = |key: &str| attributes.text(key).map(str::to_owned);
        ToolExecution {
            name: text("tool_name").unwrap_or_else(|| source.name.to_owned()),
            call_id: text("tool_use_id"),
            arguments: ["tool_input", "tool_parameters"].iter().find_map(|key| attributes.raw_json(key)),
            result,
            error: text("error"),
            status: failed.then(|| status::ERROR.to_owned()),
            latency_ms,
            ..ToolExecution::default()
        }
    });
    if failed {
        draft.row.status.get_or_insert_with(|| status::ERROR.to_owned());
    } else if source.is_log && coding::success(source) == Some(true) {
        draft.row.status.get_or_insert_with(|| status::OK.to_owned());
    }
}

/// The provider's own request or answer.
fn body(source: &Source<'_>, draft: &mut Draft, is_request: bool) {
    draft.kind(event_type::CHAT_MESSAGE);
    request_id(source, draft);
    let Some(doc) = source.json("body") else { return };
    if is_request {
        draft.input(messages::read(&doc.node, "user"), &source.notes, "body");
    } else {
        draft.output(messages::read(&doc.node, "assistant"), &source.notes, "body");
    }
}

fn span(source: &Source<'_>, draft: &mut Draft) {
    match source.name {
        "claude_code.llm_request" => {
            call(source, draft);
            draft.output_from(&source.attributes, &source.notes, "response.model_output");
            draft.input_from(&source.attributes, &source.notes, "new_context");
        }
        "claude_code.tool" => tool(source, draft),
        "claude_code.interaction" => {
            draft.kind(event_type::AGENT_INVOCATION);
            draft.input_from(&source.attributes, &source.notes, "user_prompt");
        }
        _ => draft.kind(event_type::GRAPH_STEP),
    }
    draft.detail_from(&source.attributes, "parent_agent_id", "parent_agent");
}
