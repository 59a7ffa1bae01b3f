//! OpenLLMetry (Traceloop), old and new: indexed prompts and completions, `traceloop.*`, and its LangChain callbacks.
//!
//! Source: the packages 0.40 and 0.62, `traceloop-sdk` 0.62, the JavaScript package 0.27. The newer ones keep content
//! where the conventions do; that is read there.

use super::Dialect;
use super::draft::Draft;
use super::indexed;
use super::json::Node;
use super::json::text_as_json;
use super::langchain;
use super::messages;
use super::messages::Definitions;
use super::messages::Told;
use super::source::Source;
use crate::event::Message;
use crate::event::ToolExecution;
use crate::event::event_type;

pub(super) const DIALECT: Dialect = Dialect {
    name: "openllmetry",
    scopes: &[
        "opentelemetry.instrumentation.anthropic",
        "opentelemetry.instrumentation.bedrock",
        "opentelemetry.instrumentation.cohere",
        "opentelemetry.instrumentation.google_generativeai",
        "opentelemetry.instrumentation.groq",
        "opentelemetry.instrumentation.mistralai",
        "opentelemetry.instrumentation.ollama",
        "opentelemetry.instrumentation.openai.",
        "opentelemetry.instrumentation.openai_agents",
    ],
    keys: &[
        "traceloop.",
        "llm.request.type",
        "llm.is_streaming",
        "gen_ai.is_streaming",
        "llm.usage.total_tokens",
        "llm.request.functions.",
        "gen_ai.completion.",
        "gen_ai.task.",
        "db.vector.query.top_k",
    ],
    probe: Some(|source| has_indexed(source, "gen_ai.prompt.")),
    read,
    ..Dialect::NONE
};

fn has_indexed(source: &Source<'_>, prefix: &str) -> bool {
    source.attributes.below(prefix).any(|(_, rest, _)| rest.starts_with(|c: char| c.is_ascii_digit()))
}

fn read(source: &Source<'_>, draft: &mut Draft) {
    if source.is_log {
        return;
    }
    kind(source, draft);
    if draft.is(event_type::TOOL_EXECUTION) {
        tool(source, draft);
    } else if draft.is(event_type::CHAT_COMPLETION) || draft.is(event_type::EMBEDDING) {
        call(source, draft);
    } else if draft.is(event_type::RETRIEVAL) {
        found(source, draft);
    }
    if draft.is(event_type::GRAPH_STEP) || draft.is(event_type::AGENT_INVOCATION) {
        sides(source, draft);
    }
    if draft.is(event_type::GRAPH_STEP) || draft.is(event_type::AGENT_INVOCATION) {
        draft.detail_from(&source.attributes, "gen_ai.workflow.nodes", "nodes");
        draft.detail_from(&source.attributes, "gen_ai.workflow.edges", "edges");
    }
    prompt(source, draft);
}

fn kind(source: &Source<'_>, draft: &mut Draft) {
    // The operation of the newer packages says more than the kind of the decorators.
    let operation = source.peek("gen_ai.operation.name").and_then(super::genai::kind_of_operation);
    let decorated = source.text("traceloop.span.kind").and_then(|kind| match kind {
        "workflow" | "task" => Some(event_type::GRAPH_STEP),
        "agent" => Some(event_type::AGENT_INVOCATION),
        "tool" => Some(event_type::TOOL_EXECUTION),
        _ => None,
    });
    let asked = source.text("llm.request.type").and_then(|kind| match kind {
        "chat" | "completion" | "acompletion" | "responses" | "aresponses" => Some(event_type::CHAT_COMPLETION),
        "embedding" | "aembedding" => Some(event_type::EMBEDDING),
        "rerank" => Some(event_type::RERANK),
        _ => None,
    });
    let shown = || {
        if has_indexed(source, "gen_ai.prompt.") || has_indexed(source, "gen_ai.completion.") {
            Some(event_type::CHAT_COMPLETION)
        } else if source.has("db.vector.query.top_k") || source.event("db.query.result").is_some() {
            Some(event_type::RETRIEVAL)
        } else {
            None
        }
    };
    if let Some(kind) = operation.or(decorated).or(asked).or_else(shown) {
        draft.kind(kind);
    }
}

/// One call: in the older form all stands in indexed keys.
fn call(source: &Source<'_>, draft: &mut Draft) {
    conversation(source, draft);
    functions(source, draft);
    if draft.model().stream.is_none() {
        draft.model().stream =
            ["gen_ai.is_streaming", "llm.is_streaming"].iter().find_map(|key| source.attributes.truth(key));
    }
    chunks(source, draft);
}

/// Messages under `gen_ai.prompt.N` and `gen_ai.completion.N`.
pub(super) fn conversation(source: &Source<'_>, draft: &mut Draft) {
    indexed::input(source, draft, "gen_ai.prompt.");
    completions(source, draft);
}

/// Choices; an index that holds nothing but a call is that call's number, and the call belongs to the first choice.
fn completions(source: &Source<'_>, draft: &mut Draft) {
    if draft.has_output() {
        return;
    }
    let prefix = "gen_ai.completion.";
    let Some((node, places)) = source.attributes.list_below(prefix, &source.budget, &source.notes) else { return };
    let is_call = |item: &Node<'_>| item.entries().len() == 1 && item.get("function_call").is_some();
    let mut choices = Vec::new();
    let mut calls = Vec::new();
    for item in node.items() {
        if is_call(item) {
            calls.extend(item.get("function_call").cloned());
        } else {
            let mut entries = item.entries().to_vec();
            if let Some(place) = entries.iter().position(|(key, _)| key == "function_call") {
                calls.push(entries.remove(place).1);
            }
            choices.push(entries);
        }
    }
    if choices.is_empty() {
        choices.push(Vec::new());
    }
    if let (false, Some(first)) = (calls.is_empty(), choices.first_mut()) {
        first.push(("tool_calls".into(), Node::array(calls)));
    }
    // Anthropic gives one answer in several blocks; early releases number those.
    let blocks = source.peek("gen_ai.system").is_some_and(|system| system.eq_ignore_ascii_case("anthropic"));
    let list = choices
        .into_iter()
        .enumerate()
        .map(|(place, mut entries)| {
            let place = if blocks { 0 } else { place };
            entries.push(("index".into(), Node::Number(place.to_string().into())));
            // Early releases leave out who speaks: a completion is the assistant's.
            if !entries.iter().any(|(key, _)| key == "role") {
                entries.push(("role".into(), Node::String("assistant".into())));
            }
            Node::object(entries)
        })
        .collect();
    let told = messages::read(&Node::object(vec![("choices".into(), Node::array(list))]), "assistant");
    let lossy = told.lossy;
    if draft.output(told, &source.notes, prefix) && !lossy {
        for place in places {
            source.attributes.mark_place(place);
        }
    }
}

/// `llm.request.functions.N.{name,description,parameters}`.
pub(super) fn functions(source: &Source<'_>, draft: &mut Draft) {
    for prefix in ["llm.request.functions.", "gen_ai.tool."] {
        if draft.has_tools() {
            return;
        }
        let Some((node, places)) = source.attributes.list_below(prefix, &source.budget, &source.notes) else {
            continue;
        };
        let mut tools = Definitions::default();
        if tools.read(&node) {
            for place in places {
                source.attributes.mark_place(place);
            }
        }
        draft.tools(tools);
    }
}

/// One event for each piece of a stream: the first tells the time to the first token, all how many there were.
fn chunks(source: &Source<'_>, draft: &mut Draft) {
    let is_chunk = |name: &str| matches!(name, "gen_ai.content.completion.chunk" | "llm.content.completion.chunk");
    let mut count = 0u32;
    for event in source.events.iter().filter(|event| is_chunk(event.name)) {
        // An SDK that has too many events forgets the first ones.
        if count == 0 && source.dropped_events == 0 {
            draft.first_token_event(source, event);
        }
        count += 1;
        if event.attributes.list().is_empty() {
            event.used.set(true);
        }
    }
    if count > 0 {
        draft.detail("stream_chunks", count.to_string());
    }
}

/// A tool's run. The callbacks wrap what went in and came out; the decorators tell arguments as Python takes them.
fn tool(source: &Source<'_>, draft: &mut Draft) {
    let attributes = &source.attributes;
    let mut given: Option<String> = None;
    for key in ["gen_ai.tool.call.arguments", "traceloop.entity.input"] {
        if given.is_some() {
            break;
        }
        let Some(doc) = source.json(key) else { continue };
        given = match unwrapped(&doc.node) {
            Some(arguments) => Some(arguments),
            None => attributes.raw_json(key),
        };
    }
    let mut message = None;
    let mut result = None;
    for key in ["gen_ai.tool.call.result", "traceloop.entity.output"] {
        if message.is_some() || result.is_some() {
            break;
        }
        let Some(doc) = source.json(key) else { continue };
        message = langchain::tool_message(&doc.node);
        if message.is_none() {
            result = attributes.raw_json(key);
        }
    }
    draft.tool(|| {
        let text = |key: &str| attributes.text(key).map(str::to_owned);
        let (call_id, told, failed) =
            message.map(|message| (message.call_id, message.result, message.failed)).unwrap_or_default();
        ToolExecution {
            name: text("gen_ai.tool.name")
                .or_else(|| text("traceloop.entity.name"))
                .unwrap_or_else(|| source.name.to_owned()),
            call_id: text("gen_ai.tool.call.id").or(call_id),
            r#type: text("gen_ai.tool.type"),
            arguments: given,
            result: result.or(told),
            status: failed.then(|| crate::event::status::ERROR.to_owned()),
            ..ToolExecution::default()
        }
    });
}

/// What a tool was given, out of a callback's envelope or a decorator's.
fn unwrapped(node: &Node<'_>) -> Option<String> {
    if let Some(text) = node.get("input_str").and_then(Node::as_str) {
        return Some(text_as_json(text));
    }
    let (args, kwargs) = (node.get("args")?, node.get("kwargs")?);
    if node.entries().len() != 2 {
        return None;
    }
    args.is_empty().then(|| kwargs.json())
}

/// Input and output of a step or an agent: messages where they are such, else as they are.
fn sides(source: &Source<'_>, draft: &mut Draft) {
    for (key, name) in [("traceloop.entity.input", "input"), ("traceloop.entity.output", "output")] {
        let Some(doc) = source.json(key) else { continue };
        let is_agent = draft.is(event_type::AGENT_INVOCATION);
        let inner = ["inputs", "outputs", "output"].iter().find_map(|key| doc.node.get(key)).unwrap_or(&doc.node);
        let inner = inner.get("args").and_then(|args| args.items().first()).unwrap_or(inner);
        if is_agent && messages::tells_messages(inner) {
            // The envelope says more than the messages: it stays too.
            if name == "input" {
                draft.input(messages::read(inner, "user"), &source.notes, key);
            } else {
                draft.output(messages::read(inner, "assistant"), &source.notes, key);
            }
        } else {
            draft.detail_from(&source.attributes, key, name);
        }
    }
    for (key, twin) in
        [("gen_ai.task.input", "traceloop.entity.input"), ("gen_ai.task.output", "traceloop.entity.output")]
    {
        if source.peek(key).is_some_and(|text| source.peek(twin) == Some(text)) {
            source.attributes.mark(key);
        }
    }
}

/// A vector store's answer: one event for each document.
fn found(source: &Source<'_>, draft: &mut Draft) {
    draft.detail_from(&source.attributes, "db.vector.query.top_k", "top_k");
    let mut documents = Vec::new();
    for event in source.events.iter().filter(|event| event.name == "db.query.result") {
        let entries = event.attributes.below("db.query.result.").map(|(place, name, any)| {
            event.attributes.mark_place(place);
            (name.into(), super::json::any_node(any))
        });
        documents.push(Node::object(entries.collect()));
        event.used.set(true);
    }
    if !documents.is_empty() {
        draft.detail("documents", Node::array(documents).json());
    }
}

fn prompt(source: &Source<'_>, draft: &mut Draft) {
    let keys = [
        ("traceloop.prompt.key", "name"),
        ("traceloop.prompt.version", "version"),
        ("traceloop.prompt.version_name", "version_name"),
        ("traceloop.prompt.version_hash", "version_hash"),
        ("traceloop.prompt.template", "template"),
        ("traceloop.prompt.template_variables", "variables"),
    ];
    let entries: Vec<(&str, String)> = keys
        .iter()
        .filter_map(|(key, name)| {
            let json = super::json::any_json(source.attributes.any(key)?);
            source.attributes.mark(key);
            Some((*name, json))
        })
        .collect();
    if !entries.is_empty() {
        draft.detail("prompt", crate::event::json::object(entries.iter().map(|(name, json)| (*name, json.as_str()))));
    }
}

/// JavaScript's package for OpenAI tells the items of the Responses API as the text of one message.
pub(super) fn open_items(source: &Source<'_>, draft: &mut Draft) {
    if source.scope.name != "@traceloop/instrumentation-openai" {
        return;
    }
    let Some(input) = draft.input_mut() else { return };
    let Some((place, told, others)) =
        input.iter().enumerate().filter(|(_, message)| message.role == "user").find_map(|(place, message)| {
            let (told, others) = items(message)?;
            Some((place, told, others))
        })
    else {
        return;
    };
    if told.lossy {
        let place = source.attributes.place("gen_ai.input.messages");
        place.into_iter().for_each(|place| source.attributes.unmark_place(place));
    }
    let mut opened = told.into_history();
    if let (Some(parts), Some(message)) = (others, input.get(place)) {
        opened.push(Message { content_parts: Some(parts), ..message.clone() });
    }
    input.splice(place..=place, opened);
}

/// The messages that a message's text lists, and the JSON of its other parts, if it has some.
fn items(message: &Message) -> Option<(Told, Option<String>)> {
    let listed = |text: &str| {
        let parsed = text.starts_with("[{").then(|| super::json::parse(text)).flatten()?;
        let known = !parsed.flaws.lost_something() && messages::tells_messages(&parsed.node);
        let told = known.then(|| messages::read(&parsed.node, "user"))?;
        (!told.is_empty()).then_some(told)
    };
    if let Some(text) = message.content.as_deref() {
        return Some((listed(text)?, None));
    }
    let parts = super::json::parse(message.content_parts.as_deref()?)?;
    let list = parts.node.items();
    let place = list.iter().position(|part| part.text("text").is_some_and(|text| text.starts_with("[{")))?;
    let told = listed(list.get(place)?.text("text")?)?;
    let others: Vec<_> = list.iter().enumerate().filter(|(at, _)| *at != place).map(|(_, part)| part.clone()).collect();
    Some((told, (!others.is_empty()).then(|| Node::array(others).json())))
}

#[cfg(test)]
mod tests {
    use crate::dialect::tests::*;
    use crate::event::event_type;
    use serde_json::json;

    #[test]
    fn the_older_form_is_read_by_index_and_not_by_letter() {
        let mut object = json!({
            "gen_ai.system": "OpenAI", "llm.request.type": "chat", "gen_ai.request.model": "gpt-4o-mini",
            "gen_ai.completion.0.role": "assistant", "gen_ai.completion.0.content": "Sunny.", "gen_ai.completion.0.finish_reason": "stop",
            "gen_ai.usage.prompt_tokens": 12, "gen_ai.usage.completion_tokens": 5, "llm.usage.total_tokens": 17,
            "llm.request.functions.0.name": "f", "llm.request.functions.0.parameters": "{\"type\":\"object\"}",
            "llm.is_streaming": "False", "gen_ai.prompt.name": "weather",
        });
        for place in 0..12 {
            let fields = object.as_object_mut().unwrap();
            fields.insert(
                format!("gen_ai.prompt.{place}.role"),
                json!(if place % 2 == 0 { "user" } else { "assistant" }),
            );
            fields.insert(format!("gen_ai.prompt.{place}.content"), json!(format!("text {place}")));
        }
        let partial = read_span("opentelemetry.instrumentation.openai.v1", a_span("openai.chat", object));
        let row = row(&partial);
        assert_eq!((row.dialect.as_str(), row.event_type.as_str()), ("openllmetry", event_type::CHAT_COMPLETION));
        let texts: Vec<&str> = row.messages.iter().filter_map(|message| message.content.as_deref()).collect();
        assert_eq!((texts.len(), texts[2], texts[10], texts[12]), (13, "text 2", "text 10", "Sunny."));
        assert_eq!(row.model.as_ref().unwrap().stream, Some(false));
        assert!(row.tools.as_deref().unwrap().contains("\"name\":\"f\""));
        assert_eq!(detail(&partial, "prompt"), Some(json!({"name": "weather"})));
    }

    #[test]
    fn callbacks_wrap_what_a_tool_was_given() {
        let partial = read_span(
            "opentelemetry.instrumentation.langchain",
            a_span(
                "execute_tool get_weather",
                json!({
                    "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "get_weather", "traceloop.association.properties.thread_id": "t-1",
                    "gen_ai.tool.call.arguments": "{\"input_str\":\"{'city': 'Lisboa', 'n': None}\",\"tags\":[],\"metadata\":{},\"kwargs\":{}}",
                    "gen_ai.tool.call.result": "{\"output\":{\"lc\":1,\"type\":\"constructor\",\"id\":[\"ToolMessage\"],\"kwargs\":{\"content\":\"{\\\"t\\\":21}\",\"tool_call_id\":\"call_1\",\"status\":\"success\"}},\"kwargs\":{}}",
                }),
            ),
        );
        let tool = &row(&partial).tool_executions[0];
        assert_eq!(tool.arguments.as_deref(), Some("{\"city\":\"Lisboa\",\"n\":null}"));
        assert_eq!((tool.call_id.as_deref(), tool.result.as_deref()), (Some("call_1"), Some("{\"t\":21}")));
        assert_eq!(row(&partial).conversation_id, "t-1");
    }

    #[test]
    fn the_first_chunk_of_a_stream_is_its_first_token() {
        let mut span = a_span("openai.chat", json!({"gen_ai.operation.name": "chat", "gen_ai.is_streaming": true}));
        span.events = vec![
            an_event("gen_ai.content.completion.chunk", json!({})),
            an_event("gen_ai.content.completion.chunk", json!({})),
        ];
        let partial = read_span("opentelemetry.instrumentation.openai.v1", span);
        assert_eq!(row(&partial).timing.as_ref().unwrap().time_to_first_token_ms, Some(250.0));
        assert_eq!(detail(&partial, "stream_chunks"), Some(json!(2)));
    }

    #[test]
    fn the_first_chunk_that_is_left_is_no_first_token() {
        let mut span = a_span("openai.chat", json!({"gen_ai.operation.name": "chat", "gen_ai.is_streaming": true}));
        span.events = vec![an_event("gen_ai.content.completion.chunk", json!({}))];
        span.dropped_events_count = 40;
        let partial = read_span("opentelemetry.instrumentation.openai.v1", span);
        assert_eq!(row(&partial).timing.as_ref().and_then(|timing| timing.time_to_first_token_ms), None);
    }
}
