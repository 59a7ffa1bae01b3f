//! LangSmith's OpenTelemetry mode: whole runs under `gen_ai.prompt` and `gen_ai.completion`, the rest `langsmith.*`.
//!
//! Source: the Python SDK 0.14, the JavaScript SDK 0.10. Its "session" is a project, not a conversation.

use super::Dialect;
use super::answer::Answer;
use super::draft::Draft;
use super::genai;
use super::json::Node;
use super::langchain;
use super::sides;
use super::source::Source;
use super::usage::Counts;
use super::usage::Scheme;
use crate::event::ToolExecution;
use crate::event::event_type;
use crate::event::status;

pub(super) const DIALECT: Dialect =
    Dialect { name: "langsmith", scopes: &["langsmith"], keys: &["langsmith."], read, ..Dialect::NONE };

const INPUT: &str = "gen_ai.prompt";
const OUTPUT: &str = "gen_ai.completion";

fn read(source: &Source<'_>, draft: &mut Draft) {
    if source.is_log {
        return;
    }
    kind(source, draft);
    if draft.is(event_type::CHAT_COMPLETION) {
        call(source, draft);
    } else if draft.is(event_type::TOOL_EXECUTION) {
        tool(source, draft);
    } else if draft.is(event_type::RETRIEVAL) {
        sides::search(source, draft, INPUT, OUTPUT);
    } else if draft.has_kind() {
        sides::step(source, draft, INPUT, OUTPUT);
    }
    failure(source, draft);
    draft.detail_from(&source.attributes, "langsmith.trace.session_name", "project");
}

/// A run's error stands in an exception event, also where a status of OK came before it, which then stays.
fn failure(source: &Source<'_>, draft: &mut Draft) {
    if draft.row.error.is_none()
        && let Some(event) = source.event("exception")
    {
        event.used.set(true);
        draft.row.error = Some(super::status::exception(&event.attributes));
    }
}

fn kind(source: &Source<'_>, draft: &mut Draft) {
    let Some(word) = source.text("langsmith.span.kind") else { return };
    draft.kind(match word {
        "llm" => event_type::CHAT_COMPLETION,
        "tool" => event_type::TOOL_EXECUTION,
        "retriever" => event_type::RETRIEVAL,
        "embedding" => event_type::EMBEDDING,
        _ => event_type::GRAPH_STEP,
    });
}

fn call(source: &Source<'_>, draft: &mut Draft) {
    let attributes = &source.attributes;
    draft.input_from(attributes, &source.notes, INPUT);
    // A wrapped client that failed gave nothing.
    if source.peek(OUTPUT).is_none_or(|text| text != "{\"output\":null}") {
        draft.output_from(attributes, &source.notes, OUTPUT);
    }
    let answer = source.json(OUTPUT).map(|doc| Answer::of(&doc.node)).unwrap_or_default();
    draft.usage(attributes, || {
        // LangChain's own counts include what was cached.
        let stated = ["langsmith.metadata.usage_metadata", "langsmith.usage_metadata"]
            .iter()
            .find_map(|key| source.json(key))
            .map(|doc| Counts { scheme: Scheme::Inclusive, ..Counts::of(&doc.node) })
            .unwrap_or_default();
        genai::counts(attributes, &source.notes).or(stated).or(answer.counts)
    });
    answer.fill(draft);
    // OpenAI's Agents SDK: what the answer says beside its items stands among the metadata.
    let key = "langsmith.metadata.id";
    if source.peek(key).is_some_and(|id| id.starts_with("resp_")) && draft.model().response_id.is_none() {
        draft.model().response_id = source.text(key).map(str::to_owned);
    }
    if draft.model().stream.is_none() {
        let told = ["langsmith.request.streaming", "langsmith.metadata.stream"];
        draft.model().stream = told.iter().find_map(|key| attributes.truth(key)).or_else(|| {
            // The wrapper of the Vercel SDK names the method of the model that it calls.
            match source.peek("langsmith.metadata.ai_sdk_method")? {
                "ai.doStream" => Some(true),
                "ai.doGenerate" => Some(false),
                _ => None,
            }
        });
    }
}

fn tool(source: &Source<'_>, draft: &mut Draft) {
    let attributes = &source.attributes;
    let told = source.json(OUTPUT);
    let message = told.as_ref().and_then(|doc| langchain::tool_message(&doc.node));
    // A run of plain text is wrapped.
    let bare = |node: &Node<'_>, key: &str| {
        node.get(key).filter(|_| node.entries().len() == 1).map(|inner| match inner {
            Node::String(text) => super::json::text_as_json(text),
            other => other.json(),
        })
    };
    let given = source.json(INPUT);
    // The Vercel SDK hands a tool its input, and of what call it is.
    let of_call = given.as_ref().and_then(|doc| match doc.node.get("args")?.items() {
        [input, options] => Some((input.json(), options.text("toolCallId")?.to_owned())),
        _ => None,
    });
    let (arguments, id) = match of_call {
        Some((input, id)) => (Some(input), Some(id)),
        None => (given.and_then(|doc| bare(&doc.node, "input").filter(|json| json.starts_with('{'))), None),
    };
    let result = told.as_ref().and_then(|doc| bare(&doc.node, "output"));
    draft.tool(|| {
        let (call_id, message, failed) =
            message.map(|message| (message.call_id, message.result, message.failed)).unwrap_or_default();
        ToolExecution {
            name: source.text("gen_ai.tool.name").unwrap_or(source.name).to_owned(),
            call_id: source.text("gen_ai.tool.call.id").map(str::to_owned).or(call_id).or(id),
            arguments: arguments.or_else(|| attributes.raw_json(INPUT)),
            result: message.or(result).or_else(|| attributes.raw_json(OUTPUT)),
            status: failed.then(|| status::ERROR.to_owned()),
            ..ToolExecution::default()
        }
    });
}

#[cfg(test)]
mod tests {
    use crate::dialect::tests::*;
    use crate::event::event_type;
    use serde_json::json;

    #[test]
    fn a_whole_run_is_opened() {
        let partial = read_span(
            "langsmith",
            a_span(
                "ChatOpenAI",
                json!({
                    "langsmith.span.kind": "llm", "gen_ai.operation.name": "chat", "gen_ai.system": "openai", "gen_ai.request.model": "gpt-4o-mini",
                    "gen_ai.prompt": "{\"messages\":[[{\"lc\":1,\"type\":\"constructor\",\"id\":[\"langchain\",\"schema\",\"messages\",\"HumanMessage\"],\"kwargs\":{\"content\":\"Hi\",\"type\":\"human\"}}]]}",
                    "gen_ai.completion": "{\"generations\":[[{\"text\":\"Hello\",\"generation_info\":{\"finish_reason\":\"stop\"},\"message\":{\"lc\":1,\"type\":\"constructor\",\"id\":[\"langchain\",\"schema\",\"messages\",\"AIMessage\"],\"kwargs\":{\"content\":\"Hello\",\"response_metadata\":{\"model_name\":\"gpt-4o-mini-2024-07-18\",\"id\":\"chatcmpl-1\"},\"type\":\"ai\"}}}]],\"llm_output\":null}",
                    "gen_ai.usage.input_tokens": 57, "gen_ai.usage.output_tokens": 21,
                    "langsmith.metadata.usage_metadata": "{\"input_tokens\":57,\"output_tokens\":21,\"input_token_details\":{\"cache_read\":16}}",
                    "langsmith.metadata.langgraph_node": "agent", "langsmith.metadata.langgraph_step": 2, "langsmith.metadata.thread_id": "t-1",
                    "langsmith.trace.session_name": "project", "langsmith.span.tags": "seq:step:1, graph:step:2",
                }),
            ),
        );
        let row = row(&partial);
        assert_eq!(
            messages(&partial),
            json!([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello", "finish_reason": "stop"}])
        );
        let model = row.model.as_ref().unwrap();
        assert_eq!(model.response.as_deref(), Some("gpt-4o-mini-2024-07-18"));
        assert_eq!(model.response_id.as_deref(), Some("chatcmpl-1"));
        assert_eq!(row.tokens.as_ref().unwrap().cached_tokens, Some(16));
        // A "session" is a project here.
        assert_eq!(row.conversation_id, "t-1");
        assert_eq!(detail(&partial, "project"), Some(json!("project")));
        assert_eq!(row.event_type, event_type::CHAT_COMPLETION);
    }
}
