//! Qwen Code: log records with bare keys, and spans that speak the conventions.
//!
//! | record or span | row |
//! |---|---|
//! | `api_request`, `api_response`, `api_error` | a call: on its span `llm_request`, where there are spans |
//! | the same without spans | a message for what was asked, a call for what came |
//! | `tool_call`, span `tool` | a tool's run; both have its `call_id` |
//! | `user_prompt` | a message |
//! | spans `tool.execution`, `tool.blocked_on_user`, `hook` | steps |
//! | any other record | a line |
//!
//! Contents stand in the records; on spans only where they are asked for. Source: Qwen Code 0.15, whose records have no
//! spans, and 0.24.

use super::Dialect;
use super::coding;
use super::draft::Draft;
use super::genai;
use super::source::Source;
use super::usage::Counts;
use super::usage::Scheme;
use crate::event::Error;
use crate::event::Half;
use crate::event::Part;
use crate::event::ToolExecution;
use crate::event::event_type;
use crate::event::status;

pub(super) const DIALECT: Dialect =
    Dialect { name: "qwen-code", scopes: &["qwen-code"], events: &["qwen-code."], read, ..Dialect::NONE };

fn read(source: &Source<'_>, draft: &mut Draft) {
    draft.detail_from(&source.attributes, "subagent_name", "subagent");
    if !source.is_log {
        return span(source, draft);
    }
    source.attributes.mark("event.name");
    match coding::event(source, "qwen-code.") {
        "user_prompt" => coding::message(source, draft, "prompt", "user"),
        "api_request" => {
            of_call(source, draft, event_type::CHAT_MESSAGE);
            draft.input_from(&source.attributes, &source.notes, "request_text");
        }
        "api_response" => {
            of_call(source, draft, event_type::CHAT_COMPLETION);
            answer(source, draft);
        }
        "api_error" => {
            of_call(source, draft, event_type::CHAT_COMPLETION);
            coding::duration(source, draft, "duration_ms");
            failure(source, draft);
        }
        "tool_call" => tool(source, draft),
        _ => draft.kind(event_type::LOG_LINE),
    }
}

/// A record of a call: a part of its span's, else a row of its own.
fn of_call(source: &Source<'_>, draft: &mut Draft, alone: &'static str) {
    if source.on_span {
        draft.part = Some(Part { half: Half::Whole.into(), index: None });
        draft.kind(event_type::CHAT_COMPLETION);
    } else {
        draft.kind(alone);
    }
}

fn answer(source: &Source<'_>, draft: &mut Draft) {
    draft.output_from(&source.attributes, &source.notes, "response_text");
    if let Some(name) = source.text("model") {
        let (request, response) = super::answer::names(Some(name), None, true);
        let model = draft.model();
        model.request = model.request.take().or(request);
        model.response = model.response.take().or(response);
    }
    if let Some(id) = source.attributes.id("response_id").filter(|id| !id.is_empty()) {
        draft.model().response_id.get_or_insert_with(|| id.into_owned());
    }
    draft.usage(&source.attributes, || counts(source));
    draft.reasons_from(&source.attributes, "finish_reasons");
    coding::duration(source, draft, "duration_ms");
    if let Some(millis) = source.number("ttft_ms") {
        draft.first_token(source, millis, "ttft_ms");
    }
    draft.row.status.get_or_insert_with(|| status::OK.to_owned());
}

fn counts(source: &Source<'_>) -> Counts {
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
}

fn failure(source: &Source<'_>, draft: &mut Draft) {
    let attributes = &source.attributes;
    if let Some(name) = source.text("model") {
        draft.model().request.get_or_insert_with(|| name.to_owned());
    }
    let first = |one: &str, other: &str| attributes.first_text(&[one, other]).map(|(_, text)| text.to_owned());
    draft.row.error = Some(Error {
        r#type: first("error_type", "error.type"),
        message: first("error_message", "error.message"),
        code: attributes.id("status_code").map(|code| code.into_owned()),
        ..Error::default()
    });
    for (one, other) in [("error_type", "error.type"), ("error_message", "error.message")] {
        if attributes.peek(one) == attributes.peek(other) {
            attributes.mark(other);
        }
    }
    draft.row.status = Some(status::ERROR.to_owned());
}

fn tool(source: &Source<'_>, draft: &mut Draft) {
    draft.kind(event_type::TOOL_EXECUTION);
    let attributes = &source.attributes;
    let latency_ms = coding::duration(source, draft, "duration_ms");
    let ended = coding::success(source).map(|well| if well { status::OK } else { status::ERROR }.to_owned());
    draft.tool(|| {
        let text = |key: &str| attributes.text(key).map(str::to_owned);
        ToolExecution {
            name: text("function_name").unwrap_or_default(),
            call_id: text("call_id"),
            r#type: text("tool_type"),
            arguments: attributes.raw_json("function_args"),
            error: text("error"),
            status: ended.clone(),
            latency_ms,
            ..ToolExecution::default()
        }
    });
    draft.row.status = draft.row.status.take().or(ended);
    draft.detail_from(attributes, "decision", "decision");
}

fn span(source: &Source<'_>, draft: &mut Draft) {
    match source.name {
        "qwen-code.llm_request" => draft.kind(event_type::CHAT_COMPLETION),
        "qwen-code.interaction" | "qwen-code.subagent" => draft.kind(event_type::AGENT_INVOCATION),
        "qwen-code.tool" => draft.kind(event_type::TOOL_EXECUTION),
        "qwen-code.tool.execution" | "qwen-code.tool.blocked_on_user" | "qwen-code.hook" => {
            draft.kind(event_type::GRAPH_STEP);
        }
        _ => {}
    }
    if draft.is(event_type::CHAT_COMPLETION) {
        draft.usage(&source.attributes, || Counts {
            reasoning: source.attributes.count("thoughts_token_count", &source.notes),
            ..genai::counts(&source.attributes, &source.notes)
        });
        draft.detail_from(&source.attributes, "attempt", "attempt");
    }
}

#[cfg(test)]
mod tests {
    use crate::dialect::Settings;
    use crate::dialect::tests::*;
    use crate::event::Partial;
    use crate::event::event_type;
    use opentelemetry_proto::tonic::logs::v1::LogRecord;
    use serde_json::json;

    fn record(keys: &serde_json::Value) -> Partial {
        let record = LogRecord { attributes: attributes(keys), ..LogRecord::default() };
        read_log(Settings::default(), "qwen-code", record)
    }

    #[test]
    fn a_call_without_spans_is_what_came_and_a_message_what_was_asked() {
        let asked = record(&json!({
            "event.name": "qwen-code.api_request", "model": "qwen3-coder", "session.id": "s-1", "prompt_id": "p",
            "request_text": "[{\"role\":\"user\",\"parts\":[{\"text\":\"Hi\"}]},{\"role\":\"model\",\"parts\":[{\"functionCall\":{\"id\":\"call_1\",\"name\":\"f\",\"args\":{\"a\":1}}}]}]",
        }));
        assert_eq!((row(&asked).event_type.as_str(), asked.part), (event_type::CHAT_MESSAGE, None));
        assert_eq!(row(&asked).messages[1].tool_calls[0].id.as_deref(), Some("call_1"));
        let came = record(&json!({
            "event.name": "qwen-code.api_response", "model": "qwen3-coder", "response_id": "r-1", "session.id": "s-1",
            "response_text": "Hello", "input_token_count": 10, "output_token_count": 5, "thoughts_token_count": 2,
            "cached_content_token_count": 4, "total_token_count": 15, "duration_ms": 100, "ttft_ms": 40,
        }));
        let row = row(&came);
        assert_eq!((row.dialect.as_str(), row.event_type.as_str()), ("qwen-code", event_type::CHAT_COMPLETION));
        assert_eq!((row.messages[0].content.as_deref(), row.conversation_id.as_str()), (Some("Hello"), "s-1"));
        let tokens = row.tokens.as_ref().unwrap();
        assert_eq!(
            (tokens.prompt_tokens, tokens.completion_tokens, tokens.cached_tokens, tokens.reasoning_tokens),
            (Some(10), Some(5), Some(4), Some(2))
        );
        assert_eq!(row.timing.as_ref().unwrap().total_latency_ms, Some(100.0));
    }

    #[test]
    fn a_failed_call_says_how() {
        let failed = record(&json!({
                "event.name": "qwen-code.api_error", "model": "m", "error_message": "slow down", "error_type": "RateLimitError",
                "error.message": "slow down", "error.type": "RateLimitError", "status_code": 429, "duration_ms": 3,
        }));
        let error = row(&failed).error.clone().unwrap();
        assert_eq!(
            (error.r#type.as_deref(), error.message.as_deref(), error.code.as_deref()),
            (Some("RateLimitError"), Some("slow down"), Some("429"))
        );
        assert_eq!(row(&failed).status.as_deref(), Some("error"));
    }
}
