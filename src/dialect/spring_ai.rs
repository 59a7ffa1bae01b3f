//! Spring AI's observations: the conventions by way of Micrometer, so that every value is a text.
//!
//! Prompts and answers go to the application's log: see [`log`]. Of Spring Boot's tracer only the spans of models speak
//! this; a model's has a key of Spring AI's own only where it was given tools. What was recorded: Spring AI 1.0.3, 1.1.2
//! and 2.0.0.

mod log;

use super::Dialect;
use super::draft::Draft;
use super::genai;
use super::json::Node;
use super::messages::Definitions;
use super::source::Source;
use super::usage::Counts;
use super::usage::Scheme;
use crate::event::ToolExecution;
use crate::event::event_type;

pub(super) const DIALECT: Dialect = Dialect {
    name: "spring-ai",
    scopes: &["org.springframework.ai."],
    keys: &["spring.ai."],
    probe: Some(is_model),
    read,
    // An empty usage is written where an answer tells none, as a stream does unless it was asked to.
    settle: super::gateway::without_zeros,
    ..Dialect::NONE
};

/// Whether it is a model's span, of the tracer that Spring Boot makes for Micrometer.
fn is_model(source: &Source<'_>) -> bool {
    !source.is_log
        && source.scope.name.starts_with("org.springframework.boot")
        && source.has("gen_ai.operation.name")
        && source.has("gen_ai.system")
}

fn read(source: &Source<'_>, draft: &mut Draft) {
    if source.is_log {
        return log::read(source, draft);
    }
    usage(source, draft);
    match source.peek("spring.ai.kind") {
        Some("tool_call") => tool(source, draft),
        Some("vector_store") => store(source, draft),
        Some("advisor" | "chat_client") => draft.kind(event_type::GRAPH_STEP),
        _ => {}
    }
    if let Some(stream) = source.attributes.truth("spring.ai.chat.client.stream") {
        draft.model().stream.get_or_insert(stream);
    }
    for (key, name) in [
        ("spring.ai.advisor.name", "advisor"),
        ("spring.ai.advisor.order", "order"),
        ("spring.ai.chat.client.advisors", "advisors"),
        ("spring.ai.chat.client.tool.names", "tools"),
    ] {
        draft.detail_from(&source.attributes, key, name);
    }
    offered(source, draft);
}

/// Spring AI passes on what Anthropic and Bedrock count: what was read from or written to a cache stands beside the
/// input, and the total is of these without the cache.
fn usage(source: &Source<'_>, draft: &mut Draft) {
    let provider = source.peek("gen_ai.system").or_else(|| source.peek("gen_ai.provider.name"));
    if matches!(provider, Some("anthropic" | "bedrock_converse")) {
        draft.usage(&source.attributes, || Counts {
            scheme: Scheme::CacheApart,
            ..genai::counts(&source.attributes, &source.notes)
        });
    }
}

/// Only the names of the tools that a call was offered.
fn offered(source: &Source<'_>, draft: &mut Draft) {
    const KEY: &str = "spring.ai.model.request.tool.names";
    let names = source.attributes.words(KEY);
    if names.is_empty() || draft.has_tools() {
        return;
    }
    let mut tools = Definitions::default();
    let list = names.into_iter().map(Node::String).collect();
    if tools.read(&Node::array(list)) {
        source.attributes.mark(KEY);
    }
    draft.tools(tools);
}

fn tool(source: &Source<'_>, draft: &mut Draft) {
    draft.kind(event_type::TOOL_EXECUTION);
    let attributes = &source.attributes;
    draft.tool(|| {
        let first = |keys: [&str; 2]| attributes.first_text(&keys).map(|(_, text)| text.to_owned());
        ToolExecution {
            name: first(["spring.ai.tool.definition.name", "gen_ai.tool.name"])
                .unwrap_or_else(|| source.name.to_owned()),
            call_id: first(["spring.ai.tool.call.id", "gen_ai.tool.call.id"]),
            r#type: first(["spring.ai.tool.type", "gen_ai.tool.type"]),
            arguments: attributes.raw_json("spring.ai.tool.call.arguments"),
            result: attributes.raw_json("spring.ai.tool.call.result"),
            ..ToolExecution::default()
        }
    });
    draft.detail_from(attributes, "spring.ai.tool.definition.description", "description");
    draft.detail_from(attributes, "spring.ai.tool.definition.schema", "schema");
}

fn store(source: &Source<'_>, draft: &mut Draft) {
    let is_query = source.has("db.vector.query.content") || source.peek("db.operation.name") == Some("query");
    draft.kind(if is_query { event_type::RETRIEVAL } else { event_type::GRAPH_STEP });
    for (key, name) in [
        ("db.vector.query.content", "query"),
        ("db.vector.query.response.documents", "documents"),
        ("db.vector.query.top_k", "top_k"),
        ("db.vector.query.filter", "filter"),
        ("db.vector.query.similarity_threshold", "similarity_threshold"),
    ] {
        draft.detail_from(&source.attributes, key, name);
    }
}

#[cfg(test)]
mod tests {
    use crate::dialect::tests::*;
    use serde_json::Value;
    use serde_json::json;

    fn chat(provider: &str, more: &Value) -> crate::event::Partial {
        let mut all = json!({
            "gen_ai.operation.name": "chat", "gen_ai.system": provider, "gen_ai.request.model": "m",
            "gen_ai.response.model": "none",
        });
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        read_span("org.springframework.boot", a_span("chat m", all))
    }

    #[test]
    fn what_anthropic_and_bedrock_read_from_a_cache_stands_beside_the_input() {
        let usage = json!({
            "gen_ai.usage.input_tokens": "135", "gen_ai.usage.output_tokens": "71", "gen_ai.usage.total_tokens": "206",
            "gen_ai.usage.cache_read.input_tokens": "47", "gen_ai.usage.cache_creation.input_tokens": "11",
        });
        let counts = |provider: &str| {
            let partial = chat(provider, &usage);
            assert_eq!(row(&partial).dialect, "spring-ai");
            let tokens = row(&partial).tokens.as_ref().unwrap();
            (tokens.prompt_tokens, tokens.total_tokens, tokens.cached_tokens)
        };
        assert_eq!(counts("anthropic"), (Some(193), Some(264), Some(47)));
        assert_eq!(counts("bedrock_converse"), (Some(193), Some(264), Some(47)));
        assert_eq!(counts("openai"), (Some(135), Some(206), Some(47)));
    }

    #[test]
    fn what_micrometer_writes_for_nothing_is_nothing() {
        let zero = json!({
            "gen_ai.usage.input_tokens": "0", "gen_ai.usage.output_tokens": "0", "gen_ai.usage.total_tokens": "0",
        });
        let partial = chat("openai", &zero);
        assert_eq!(row(&partial).tokens, None);
        assert_eq!(row(&partial).model.as_ref().unwrap().response, None);
        assert!(left(&partial).contains(&"gen_ai.response.model"));
        assert!(row(&partial).notes.iter().any(|note| note.contains("all zero")));
    }
}
