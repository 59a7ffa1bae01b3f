//! Spring AI's observations: the conventions by way of Micrometer, so that every value is a text.
//!
//! Prompts and answers go to the application's log and not here. Source: Spring AI 2.0.

use super::Dialect;
use super::draft::Draft;
use super::json::Node;
use super::messages::Definitions;
use super::source::Source;
use crate::event::ToolExecution;
use crate::event::event_type;

pub(super) const DIALECT: Dialect = Dialect { name: "spring-ai", keys: &["spring.ai."], read, ..Dialect::NONE };

fn read(source: &Source<'_>, draft: &mut Draft) {
    if source.is_log {
        return;
    }
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
