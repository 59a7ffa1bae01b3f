//! AWS Strands: content in events of the span, in Bedrock's blocks, or in the conventions' newest form.
//!
//! | operation | events |
//! |---|---|
//! | `chat` | one for each message of the history, then the choice |
//! | `execute_event_loop_cycle` | the same, the choice with the tools' results beside it |
//! | `execute_tool` | what went in as a tool's *message*, what came out as a *choice* |
//!
//! Source: `strands-agents` 1.62.

use super::Dialect;
use super::attributes::Attributes;
use super::draft::Draft;
use super::json::Node;
use super::json::text_as_json;
use super::messages;
use super::source::Source;
use crate::event::ToolExecution;
use crate::event::event_type;
use crate::event::status;

pub(super) const DIALECT: Dialect = Dialect {
    name: "strands",
    scopes: &["strands.telemetry.tracer"],
    keys: &["event_loop.cycle_id", "event_loop.parent_cycle_id"],
    probe: Some(|source| {
        source.peek("gen_ai.system") == Some("strands-agents")
            || source.peek("gen_ai.provider.name") == Some("strands-agents")
    }),
    read,
    ..Dialect::NONE
};

/// Milliseconds here; others write seconds under this key.
const FIRST_TOKEN: &str = "gen_ai.server.time_to_first_token";

fn read(source: &Source<'_>, draft: &mut Draft) {
    if source.is_log {
        return;
    }
    match source.peek("gen_ai.operation.name") {
        Some("execute_tool") => {
            draft.kind(event_type::TOOL_EXECUTION);
            tool(source, draft);
        }
        Some("chat") => first_token(source, draft),
        Some(operation @ ("invoke_graph" | "invoke_swarm")) => {
            draft.kind(event_type::GRAPH_STEP);
            if let Some(name) = source.name.strip_prefix(operation).map(str::trim).filter(|name| !name.is_empty()) {
                draft.graph().graph_id.get_or_insert_with(|| name.to_owned());
            }
        }
        _ => {}
    }
    for (key, name) in [
        ("gen_ai.agent.tools", "tools"),
        ("event_loop.cycle_id", "cycle_id"),
        ("event_loop.parent_cycle_id", "parent_cycle_id"),
        ("gen_ai.tool.json_schema", "schema"),
    ] {
        draft.detail_from(&source.attributes, key, name);
    }
    same_counts(&source.attributes, &source.notes);
}

fn first_token(source: &Source<'_>, draft: &mut Draft) {
    if let Some(millis) = source.number(FIRST_TOKEN)
        && !draft.first_token(source, millis, FIRST_TOKEN)
    {
        source.attributes.place(FIRST_TOKEN).into_iter().for_each(|place| source.attributes.unmark_place(place));
    }
}

/// Each count is told under an older name too.
fn same_counts(attributes: &Attributes<'_>, notes: &super::notes::Notes) {
    for (key, twin) in [
        ("gen_ai.usage.prompt_tokens", "gen_ai.usage.input_tokens"),
        ("gen_ai.usage.completion_tokens", "gen_ai.usage.output_tokens"),
        ("gen_ai.usage.cache_read_input_tokens", "gen_ai.usage.cache_read.input_tokens"),
        ("gen_ai.usage.cache_write_input_tokens", "gen_ai.usage.cache_creation.input_tokens"),
    ] {
        let value = |key: &str| attributes.count(key, notes).map(|found| found.value);
        if let (Some(one), Some(other)) = (value(key), value(twin)) {
            // Reading marks: a count that differs from its twin stays.
            if one != other {
                attributes.place(key).into_iter().for_each(|place| attributes.unmark_place(place));
            }
        }
    }
}

fn tool(source: &Source<'_>, draft: &mut Draft) {
    let attributes = &source.attributes;
    let given = told(source, "gen_ai.tool.call.arguments", "gen_ai.tool.message", &["content"], |_| None);
    let result = told(source, "gen_ai.tool.call.result", "gen_ai.choice", &["message"], unwrapped);
    let failed = source.peek("gen_ai.tool.status") == Some("error");
    if matches!(source.peek("gen_ai.tool.status"), Some("error" | "success")) {
        attributes.mark("gen_ai.tool.status");
    }
    if failed {
        draft.row.status.get_or_insert_with(|| status::ERROR.to_owned());
    }
    draft.tool(|| {
        let text = |key: &str| attributes.text(key).map(str::to_owned);
        ToolExecution {
            name: text("gen_ai.tool.name")
                .unwrap_or_else(|| source.name.trim_start_matches("execute_tool ").to_owned()),
            call_id: text("gen_ai.tool.call.id"),
            r#type: text("gen_ai.tool.type"),
            status: failed.then(|| status::ERROR.to_owned()),
            arguments: given,
            result,
            ..ToolExecution::default()
        }
    });
}

/// A side of a run: from an attribute, else from an event.
fn told(
    source: &Source<'_>,
    key: &str,
    event: &str,
    keys: &[&str],
    unwrap: fn(&Node<'_>) -> Option<String>,
) -> Option<String> {
    let of = |attributes: &Attributes<'_>, key: &str| {
        let doc = attributes.json(key, &source.notes)?;
        match unwrap(&doc.node).filter(|_| doc.whole) {
            Some(json) => {
                attributes.mark(key);
                Some(json)
            }
            None => attributes.raw_json(key),
        }
    };
    if let Some(json) = of(&source.attributes, key) {
        return Some(json);
    }
    let event = source.event(event)?;
    let json = keys.iter().find_map(|key| of(&event.attributes, key))?;
    event.used.set(true);
    let id = event.attributes.peek("id");
    if id.is_some() && id == source.peek("gen_ai.tool.call.id") {
        event.attributes.mark("id");
    }
    if event.attributes.peek("role") == Some("tool") {
        event.attributes.mark("role");
    }
    Some(json)
}

/// What a lone block of a result says.
fn unwrapped(node: &Node<'_>) -> Option<String> {
    let [block] = node.items() else { return None };
    let is_lone = block.entries().len() == 1 && block.first(&["json", "text"]).is_some();
    let message = Node::object(vec![("role".into(), Node::String("tool".into())), ("content".into(), node.clone())]);
    let told = messages::read_message(&message, "tool");
    is_lone.then(|| told.said.first()?.message.content.as_deref().map(text_as_json)).flatten()
}
