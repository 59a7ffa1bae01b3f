//! Logfire's SDK around clients of models: requests and answers as they were, and a second record for each stream.
//!
//! Source: package `logfire` 5, formats 1 and 2 of its integrations. What stands where the conventions put it is read
//! there.

mod agents;

use super::Dialect;
use super::answer::Answer;
use super::draft::Draft;
use super::genai;
use super::json::Node;
use super::messages;
use super::pydantic;
use super::source::Source;
use super::usage::Counts;
use crate::event::Relation;
use crate::event::event_type;
use crate::event::status;

pub(super) const DIALECT: Dialect = Dialect {
    name: "logfire",
    scopes: &["logfire"],
    probe: Some(|source| {
        source.has("logfire.msg_template") && (source.has("request_data") || source.has("response_data"))
            || source.peek("logfire.span_type") == Some("pending_span")
    }),
    read,
    ..Dialect::NONE
};

const REQUEST: &str = "request_data";
const RESPONSE: &str = "response_data";

fn read(source: &Source<'_>, draft: &mut Draft) {
    if source.is_log {
        return;
    }
    let span_type = source.peek("logfire.span_type");
    if span_type == Some("pending_span") {
        // It is sent at the start, as a child of the span that comes at the end.
        draft.relation = Relation::PartOfParent;
        draft.row.status = Some(status::INCOMPLETE.to_owned());
    }
    if source.scope.name == agents::SCOPE {
        return agents::read(source, draft);
    }
    let Some(request) = source.json(REQUEST) else { return };
    if span_type == Some("log") && source.has("duration") {
        // A stream's span ends when it begins to flow; what it gave is told when it has ended.
        draft.relation = Relation::EndOfSibling;
    }
    kind(source, draft, &request.node);
    if draft.is(event_type::CHAT_COMPLETION) {
        call(source, draft, &request.node);
    } else if draft.is(event_type::EMBEDDING) {
        draft.detail_from(&source.attributes, REQUEST, "input");
    }
}

fn kind(source: &Source<'_>, draft: &mut Draft, request: &Node<'_>) {
    if let Some(kind) = source.peek("gen_ai.operation.name").and_then(genai::kind_of_operation) {
        draft.kind(kind);
    } else if source.name.starts_with("Embedding") {
        draft.kind(event_type::EMBEDDING);
    } else if ["messages", "prompt", "input", "contents"].iter().any(|key| request.get(key).is_some())
        || source.has("events")
        || source.has("gen_ai.input.messages")
    {
        draft.kind(event_type::CHAT_COMPLETION);
    }
}

fn call(source: &Source<'_>, draft: &mut Draft, request: &Node<'_>) {
    if source.has("gen_ai.usage.output_tokens") || source.has(RESPONSE) {
        pydantic::exchange(source, draft);
    } else {
        pydantic::events(source, draft);
    }
    genai::content(&source.attributes, &source.notes, draft);
    let response = source.json(RESPONSE);
    let response = response.as_ref().map(|doc| &doc.node);
    if !draft.has_input() {
        let told = messages::read(request, "user");
        if !told.is_empty() && messages::tells_messages(request) {
            draft.input(told, &source.notes, REQUEST);
        }
    }
    if !draft.has_output()
        && let Some(answer) =
            response.and_then(|node| node.first(&["message", "combined_chunk_content", "text", "content"]))
    {
        draft.output(messages::read(answer, "assistant"), &source.notes, RESPONSE);
    }
    parameters(source, draft, request);
    draft.usage(&source.attributes, || {
        let raw = source.json("gen_ai.usage.raw");
        let usage = raw.as_ref().map(|doc| &doc.node).or_else(|| response.and_then(|node| node.get("usage")));
        genai::counts(&source.attributes, &source.notes).beside(usage.map(Counts::of).unwrap_or_default())
    });
    pydantic::cost(source, draft);
    response.map(Answer::of).unwrap_or_default().fill(draft);
}

fn parameters(source: &Source<'_>, draft: &mut Draft, request: &Node<'_>) {
    const CONTENT: [&str; 9] =
        ["messages", "prompt", "input", "contents", "system", "instructions", "tools", "functions", "model"];
    if let Some(name) = request.text("model") {
        draft.model().request.get_or_insert_with(|| name.to_owned());
    }
    if let Some(stream) = request.get("stream").and_then(Node::as_bool) {
        draft.model().stream.get_or_insert(stream);
    }
    let entries: Vec<(&str, String)> = request
        .entries()
        .iter()
        .filter(|(name, value)| !CONTENT.contains(&name.as_ref()) && name != "stream" && !value.is_empty())
        .map(|(name, value)| (name.as_ref(), value.json()))
        .collect();
    if !entries.is_empty() && draft.model().parameters.is_none() {
        draft.model().parameters =
            Some(crate::event::json::object(entries.iter().map(|(name, json)| (*name, json.as_str()))));
    }
    if request.entries().iter().all(|(name, value)| name == "model" && value.as_str().is_some()) {
        source.attributes.mark(REQUEST);
    }
}

#[cfg(test)]
mod tests {
    use crate::dialect::tests::*;
    use crate::event::event_type;
    use serde_json::json;

    fn request(more: &serde_json::Value) -> serde_json::Value {
        let mut object = json!({
            "logfire.msg_template": "Chat Completion with {request_data[model]!r}", "logfire.span_type": "span",
            "request_data": "{\"model\":\"gpt-4o\",\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}],\"temperature\":0.2,\"stream\":true}",
        });
        object.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        object
    }

    #[test]
    fn format_one_holds_request_and_answer_as_they_were() {
        let partial = read_span(
            "logfire.openai",
            a_span(
                "Chat Completion with {request_data[model]!r}",
                request(&json!({
                    "response_data": "{\"message\":{\"role\":\"assistant\",\"content\":\"Hello\"},\"usage\":{\"prompt_tokens\":57,\"completion_tokens\":21,\"total_tokens\":78,\"prompt_tokens_details\":{\"cached_tokens\":16}}}",
                })),
            ),
        );
        let row = row(&partial);
        assert_eq!((row.dialect.as_str(), row.event_type.as_str()), ("logfire", event_type::CHAT_COMPLETION));
        assert_eq!(
            messages(&partial),
            json!([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}])
        );
        let model = row.model.as_ref().unwrap();
        assert_eq!((model.stream, model.parameters.as_deref()), (Some(true), Some("{\"temperature\":0.2}")));
        let tokens = row.tokens.as_ref().unwrap();
        assert_eq!((tokens.prompt_tokens, tokens.cached_tokens), (Some(57), Some(16)));
    }

    #[test]
    fn the_second_record_of_a_stream_ends_its_sibling() {
        let partial = read_span(
            "logfire.openai",
            a_span(
                "streaming response from {request_data[model]!r} took {duration:.2f}s",
                request(&json!({
                    "logfire.span_type": "log", "duration": 0.5,
                    "response_data": "{\"combined_chunk_content\":\"Hello\",\"chunk_count\":2}",
                })),
            ),
        );
        assert_eq!(partial.relation(), crate::event::Relation::EndOfSibling);
        assert_eq!(row(&partial).messages[1].content.as_deref(), Some("Hello"));
    }

    #[test]
    fn a_pending_span_tells_of_the_span_to_come() {
        let partial =
            read_span("logfire.openai", a_span("Chat", request(&json!({"logfire.span_type": "pending_span"}))));
        assert_eq!(partial.relation(), crate::event::Relation::PartOfParent);
        assert_eq!(row(&partial).status.as_deref(), Some("incomplete"));
    }

    #[test]
    fn raw_usage_adds_what_the_keys_leave_out_and_nothing_twice() {
        let usage = |input: i64, raw: &str| {
            let span = a_span(
                "Message",
                request(
                    &json!({"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": input, "gen_ai.usage.output_tokens": 5, "gen_ai.usage.raw": raw}),
                ),
            );
            let tokens = row(&read_span("logfire.anthropic", span)).tokens.clone().unwrap();
            (tokens.prompt_tokens, tokens.cached_tokens)
        };
        let anthropic = r#"{"input_tokens":41,"output_tokens":5,"cache_read_input_tokens":16}"#;
        assert_eq!(usage(41, anthropic), (Some(57), Some(16)));
        assert_eq!(usage(57, anthropic), (Some(57), Some(16)));
    }
}
