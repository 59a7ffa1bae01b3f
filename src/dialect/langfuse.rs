//! Langfuse SDKs: `langfuse.observation.*` and `langfuse.trace.*`.
//!
//! Source: the Python SDK 5.0 (OpenAI wrapper, LangChain handler), the JavaScript SDK 5.11, the server's own mapper.

use super::Dialect;
use super::answer;
use super::draft::Draft;
use super::json;
use super::json::Node;
use super::langchain;
use super::messages;
use super::sides;
use super::source::Source;
use super::usage;
use super::usage::Counts;
use super::usage::Scheme;
use super::value;
use crate::event::Error;
use crate::event::ToolExecution;
use crate::event::event_type;
use crate::event::status;

pub(super) const DIALECT: Dialect = Dialect {
    name: "langfuse",
    scopes: &["langfuse-sdk"],
    keys: &["langfuse.observation.", "langfuse.trace."],
    read,
    ..Dialect::NONE
};

const INPUT: &str = "langfuse.observation.input";
const OUTPUT: &str = "langfuse.observation.output";

fn read(source: &Source<'_>, draft: &mut Draft) {
    if source.is_log {
        return;
    }
    kind(source, draft);
    if draft.is(event_type::CHAT_COMPLETION) {
        draft.input_from(&source.attributes, &source.notes, INPUT);
        beside_input(source, draft);
        choices(source, draft);
        draft.output_from(&source.attributes, &source.notes, OUTPUT);
        call(source, draft);
    } else if draft.is(event_type::TOOL_EXECUTION) {
        tool(source, draft);
    } else if draft.is(event_type::AGENT_INVOCATION) {
        sides::agent(source, draft, INPUT, OUTPUT);
    } else if draft.is(event_type::EMBEDDING) {
        draft.detail_from(&source.attributes, INPUT, "input");
        call(source, draft);
    } else if draft.is(event_type::RETRIEVAL) {
        sides::search(source, draft, INPUT, OUTPUT);
    } else if draft.has_kind() {
        sides::step(source, draft, INPUT, OUTPUT);
    }
    level(source, draft);
    prompt(source, draft);
    draft.detail_from(&source.attributes, "langfuse.trace.name", "trace_name");
}

fn kind(source: &Source<'_>, draft: &mut Draft) {
    let Some(word) = source.text("langfuse.observation.type") else { return };
    draft.kind(match word {
        // The wrapper of JavaScript calls each method of a client so.
        "generation" if source.name.ends_with(".embeddings") => event_type::EMBEDDING,
        "generation" => event_type::CHAT_COMPLETION,
        "embedding" => event_type::EMBEDDING,
        "tool" => event_type::TOOL_EXECUTION,
        // A graph's node is called an agent because its name holds the word.
        "agent" if metadata(source, "langgraph_node").as_deref() != Some(source.name) => event_type::AGENT_INVOCATION,
        "retriever" => event_type::RETRIEVAL,
        "guardrail" => event_type::GUARDRAIL,
        "evaluator" => event_type::EVALUATION,
        "event" => event_type::LOG_LINE,
        _ => event_type::GRAPH_STEP,
    });
}

/// What JavaScript's wrapper of the Responses API puts beside the input.
fn beside_input(source: &Source<'_>, draft: &mut Draft) {
    if !source.name.ends_with(".responses") {
        return;
    }
    let key = "langfuse.observation.metadata.instructions";
    if let Some(system) = source.peek(key)
        && let Some(input) = draft.input_mut().filter(|input| input.iter().all(|message| message.role != "system"))
    {
        input.splice(0..0, messages::read_system(&Node::String(system.into())).into_history());
        source.attributes.mark(key);
    }
    let key = "langfuse.observation.metadata.tools";
    if let Some(doc) = source.json(key).filter(|_| !draft.has_tools()) {
        let mut tools = messages::Definitions::default();
        if tools.read(&doc.node) {
            source.attributes.mark(key);
        }
        draft.tools(tools);
    }
}

/// Several answers to choose from stand as a list of messages: as many as were asked for.
fn choices(source: &Source<'_>, draft: &mut Draft) {
    if draft.has_output() || !source.peek(OUTPUT).is_some_and(|text| text.starts_with('[')) {
        return;
    }
    let asked = source.json("langfuse.observation.model.parameters").and_then(|doc| doc.node.get("n")?.as_count());
    let Some(asked) = asked.filter(|asked| *asked > 1) else { return };
    let Some(doc) = source.json(OUTPUT) else { return };
    let answers = doc.node.items();
    if usize::try_from(asked) != Ok(answers.len()) || !answers.iter().all(messages::is_message) {
        return;
    }
    let mut list = Vec::new();
    for (place, message) in answers.iter().enumerate() {
        let index = Node::Number(place.to_string().into());
        list.push(Node::object(vec![("index".into(), index), ("message".into(), message.clone())]));
    }
    let told = messages::read(&Node::object(vec![("choices".into(), Node::array(list))]), "assistant");
    let whole = doc.whole && !told.lossy;
    if draft.output(told, &source.notes, OUTPUT) && whole {
        source.attributes.mark(OUTPUT);
    }
}

/// A text of the observation's metadata: each value is JSON.
fn metadata(source: &Source<'_>, name: &str) -> Option<String> {
    json::unquoted(source.peek(&format!("langfuse.observation.metadata.{name}"))?)
}

/// Model, usage, cost and timing of a call.
fn call(source: &Source<'_>, draft: &mut Draft) {
    let asked = metadata(source, "ls_model_name");
    parameters(source, draft);
    // JavaScript's wrapper, which alone tells that it streams, then keeps the name that was asked for.
    let is_stream = draft.model().stream == Some(true);
    if let Some(name) = source.peek("langfuse.observation.model.name") {
        // It is the answering model's name once there is an answer.
        let is_other = asked.as_deref().map_or(!is_stream, |asked| asked != name);
        let answered = source.has(OUTPUT) && (is_other || answer::is_dated(name));
        let model = draft.model();
        let slot = if answered { &mut model.response } else { &mut model.request };
        if slot.is_none() {
            *slot = Some(name.to_owned());
            source.attributes.mark("langfuse.observation.model.name");
        }
    }
    let details = source.json("langfuse.observation.usage_details");
    if let Some(doc) = &details {
        draft.usage(&source.attributes, || counts(&doc.node));
        audio(source, draft, &doc.node);
    }
    cost(source, draft);
    draft.reasons(metadata(source, "finish_reason"));
    let started = source.peek("langfuse.observation.completion_start_time").and_then(value::time);
    if let Some(millis) = started.and_then(|time| value::millis_between(source.start_ns, time)) {
        // The time itself stays: the row has what lies between.
        draft.first_token(source, millis, "langfuse.observation.completion_start_time");
    }
}

/// Parameters; the wrapper writes words for those that were never set.
fn parameters(source: &Source<'_>, draft: &mut Draft) {
    let key = "langfuse.observation.model.parameters";
    if draft.model().parameters.is_some() {
        return;
    }
    let Some(doc) = source.json(key).filter(|doc| doc.node.is_object()) else { return };
    if let Some(stream) = doc.node.get("stream").and_then(Node::as_bool) {
        draft.model().stream.get_or_insert(stream);
    }
    let unset = |value: &Node<'_>| value.as_str().is_some_and(|text| matches!(text, "Infinity" | "inf" | "NOT_GIVEN"));
    let told: Vec<(String, String)> = doc
        .node
        .entries()
        .iter()
        .filter(|(_, value)| !unset(value))
        .map(|(name, value)| (name.clone().into_owned(), value.json()))
        .collect();
    if told.len() == doc.node.entries().len() && doc.whole {
        source.attributes.mark(key);
    }
    if !told.is_empty() {
        draft.model().parameters =
            Some(crate::event::json::object(told.iter().map(|(name, json)| (name.as_str(), json.as_str()))));
    }
}

/// A provider's own usage object, or Langfuse's names, which leave cached tokens out of the input and reasoning out
/// of the output.
fn counts(node: &Node<'_>) -> Counts {
    let own = Counts {
        input: usage::within(node.get("input")),
        output: usage::within(node.get("output")),
        total: usage::within(node.get("total")),
        cached: usage::within(node.first(&[
            "input_cache_read",
            "input_cached_tokens",
            "input_cache_read_tokens",
            // Anthropic's names, which the LangChain handler leaves.
            "cache_read_input_tokens",
        ])),
        written: usage::within(node.first(&[
            "input_cache_creation",
            "input_cache_write",
            "cache_creation_input_tokens",
        ])),
        reasoning: usage::within(node.first(&["output_reasoning", "output_reasoning_tokens"])),
        scheme: Scheme::Unknown,
    };
    if own.input.is_none() && own.output.is_none() {
        return Counts::of(node);
    }
    let scheme = if own.total.is_none() { Scheme::AllApart } else { Scheme::Unknown };
    Counts { scheme, ..own }
}

fn audio(source: &Source<'_>, draft: &mut Draft, node: &Node<'_>) {
    let mut entries: Vec<(&str, String)> = Vec::new();
    for (path, name) in [
        (&["input_audio"][..], "prompt_audio_tokens"),
        (&["output_audio"][..], "completion_audio_tokens"),
        (&["prompt_tokens_details", "audio_tokens"][..], "prompt_audio_tokens"),
        (&["completion_tokens_details", "audio_tokens"][..], "completion_audio_tokens"),
        (&["completion_tokens_details", "accepted_prediction_tokens"][..], "accepted_prediction_tokens"),
        (&["completion_tokens_details", "rejected_prediction_tokens"][..], "rejected_prediction_tokens"),
    ] {
        if let Some(count) = node.at(path).and_then(Node::as_count) {
            entries.push((name, count.to_string()));
        }
    }
    if !entries.is_empty() {
        draft.detail("usage", crate::event::json::object(entries.iter().map(|(name, json)| (*name, json.as_str()))));
    }
    let known = |key: &str| {
        matches!(
            key,
            "input"
                | "output"
                | "total"
                | "input_cache_read"
                | "output_reasoning"
                | "input_audio"
                | "output_audio"
                | "prompt_tokens"
                | "completion_tokens"
                | "total_tokens"
        )
    };
    // Nested details are told in part only.
    if node.entries().iter().all(|(key, _)| known(key)) {
        source.attributes.mark("langfuse.observation.usage_details");
    }
}

fn cost(source: &Source<'_>, draft: &mut Draft) {
    let key = "langfuse.observation.cost_details";
    let Some(doc) = source.json(key).filter(|_| !draft.has_cost()) else { return };
    let number = |name: &str| doc.node.get(name).and_then(Node::as_f64);
    let total = number("total").or_else(|| {
        let parts: Vec<f64> = doc.node.entries().iter().filter_map(|(_, value)| value.as_f64()).collect();
        (!parts.is_empty()).then(|| parts.iter().sum())
    });
    if total.is_some_and(|usd| draft.cost(usd, key))
        && draft.detail("cost", format!("{{\"stated\":{}}}", doc.node.json()))
        && doc.whole
    {
        source.attributes.mark(key);
    }
}

fn tool(source: &Source<'_>, draft: &mut Draft) {
    let attributes = &source.attributes;
    let given = source.json(INPUT);
    let told = source.json(OUTPUT);
    let message = told.as_ref().and_then(|doc| langchain::tool_message(&doc.node));
    // A decorated function's envelope.
    let kwargs = given.as_ref().and_then(|doc| {
        let (args, kwargs) = (doc.node.get("args")?, doc.node.get("kwargs")?);
        (args.is_empty() && doc.node.entries().len() == 2).then(|| kwargs.json())
    });
    draft.tool(|| {
        let (call_id, result, failed) =
            message.map(|message| (message.call_id, message.result, message.failed)).unwrap_or_default();
        ToolExecution {
            name: source.name.to_owned(),
            call_id: metadata(source, "tool_call_id").or(call_id),
            arguments: kwargs.or_else(|| attributes.raw_json(INPUT)),
            result: result.or_else(|| attributes.raw_json(OUTPUT)),
            status: failed.then(|| status::ERROR.to_owned()),
            ..ToolExecution::default()
        }
    });
}

/// Langfuse never sets the span's status: its level says whether it failed.
fn level(source: &Source<'_>, draft: &mut Draft) {
    if source.peek("langfuse.observation.level") == Some("ERROR") {
        source.attributes.mark("langfuse.observation.level");
        draft.row.status = Some(status::ERROR.to_owned());
        let message = source.text("langfuse.observation.status_message").map(str::to_owned);
        if source.events.iter().all(|event| event.name != "exception") && !source.has("error.type") {
            draft.row.error = message.map(|message| Error { message: Some(message), ..Error::default() });
        }
        return;
    }
    draft.detail_from(&source.attributes, "langfuse.observation.level", "level");
    draft.detail_from(&source.attributes, "langfuse.observation.status_message", "status_message");
}

fn prompt(source: &Source<'_>, draft: &mut Draft) {
    let entries: Vec<(&str, String)> =
        [("langfuse.observation.prompt.name", "name"), ("langfuse.observation.prompt.version", "version")]
            .iter()
            .filter_map(|(key, name)| source.attributes.raw_json(key).map(|json| (*name, json)))
            .collect();
    if !entries.is_empty() {
        draft.detail("prompt", crate::event::json::object(entries.iter().map(|(name, json)| (*name, json.as_str()))));
    }
}

#[cfg(test)]
mod tests {
    use crate::dialect::tests::*;
    use crate::event::event_type;
    use serde_json::json;

    #[test]
    fn the_chains_counts_and_tools_are_put_right() {
        let partial = read_span(
            "langfuse-sdk",
            a_span(
                "ChatOpenAI",
                json!({
                    "langfuse.observation.type": "generation", "langfuse.observation.model.name": "gpt-4o-mini-2024-07-18",
                    "langfuse.observation.input": "[{\"role\":\"user\",\"content\":\"Weather?\"},{\"role\":\"tool\",\"content\":{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{}}}}]",
                    "langfuse.observation.output": "{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[{\"name\":\"f\",\"args\":{\"city\":\"Lisboa\"},\"id\":\"call_1\",\"type\":\"tool_call\"}]}",
                    "langfuse.observation.usage_details": "{\"input\":8,\"output\":3,\"total\":17,\"input_cache_read\":4,\"output_reasoning\":2}",
                    "langfuse.observation.cost_details": "{\"input\":0.1,\"output\":0.2,\"total\":0.3}",
                    "langfuse.observation.model.parameters": "{\"temperature\":0.2,\"max_tokens\":\"Infinity\"}",
                    "langfuse.observation.metadata.langgraph_node": "\"agent\"", "langfuse.observation.metadata.langgraph_step": "1",
                    "langfuse.observation.completion_start_time": "\"2026-11-21T01:41:23.250Z\"",
                    "langfuse.observation.prompt.name": "weather", "langfuse.observation.prompt.version": 3,
                    "session.id": "s-1",
                }),
            ),
        );
        let row = row(&partial);
        assert_eq!(
            messages(&partial),
            json!([
                {"role": "user", "content": "Weather?"},
                {"role": "assistant", "content": null, "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{\"city\":\"Lisboa\"}"}}]},
            ])
        );
        assert!(row.tools.as_deref().unwrap().contains("\"name\":\"f\""));
        let tokens = row.tokens.as_ref().unwrap();
        assert_eq!(
            (tokens.prompt_tokens, tokens.completion_tokens, tokens.total_tokens),
            (Some(12), Some(5), Some(17))
        );
        assert_eq!((tokens.cost_usd, row.conversation_id.as_str()), (Some(0.3), "s-1"));
        assert_eq!(row.model.as_ref().unwrap().parameters.as_deref(), Some("{\"temperature\":0.2}"));
        let graph = row.graph.as_ref().unwrap();
        assert_eq!((graph.node_path.as_deref(), graph.step_index), (Some("agent"), Some(1)));
        assert_eq!(detail(&partial, "prompt"), Some(json!({"name": "weather", "version": 3})));
    }

    #[test]
    fn a_level_of_error_is_a_failure_though_the_status_is_unset() {
        let partial = read_span(
            "langfuse-sdk",
            a_span(
                "OpenAI-generation",
                json!({
                    "langfuse.observation.type": "generation", "langfuse.observation.level": "ERROR",
                    "langfuse.observation.status_message": "rate limited",
                }),
            ),
        );
        assert_eq!(row(&partial).status.as_deref(), Some("error"));
        assert_eq!(row(&partial).error.as_ref().unwrap().message.as_deref(), Some("rate limited"));
        assert_eq!(row(&partial).event_type, event_type::CHAT_COMPLETION);
    }
}
