//! Google's Agent Development Kit: its first schema, where `call_llm` holds the whole exchange as JSON, and the second,
//! which is the conventions' with keys of its own.
//!
//! Source: `google-adk` 2.13 with both schemas; the JavaScript package and Java's 1.8.0 speak the first one.

use super::Dialect;
use super::draft::Draft;
use super::json::Node;
use super::messages;
use super::messages::Definitions;
use super::source::Source;
use super::usage::Counts;
use crate::event::Relation;
use crate::event::ToolExecution;
use crate::event::event_type;

pub(super) const DIALECT: Dialect =
    Dialect { name: "google-adk", scopes: &["gcp.vertex.agent"], keys: &["gcp.vertex.agent."], read, ..Dialect::NONE };

const REQUEST: &str = "gcp.vertex.agent.llm_request";
const RESPONSE: &str = "gcp.vertex.agent.llm_response";

/// Stands where content was not captured.
const NOTHING: [&str; 2] = ["{}", "N/A"];

fn read(source: &Source<'_>, draft: &mut Draft) {
    if source.is_log {
        return;
    }
    kind(source, draft);
    if draft.is(event_type::TOOL_EXECUTION) {
        tool(source, draft);
    } else if draft.is(event_type::CHAT_COMPLETION) {
        request(source, draft);
        response(source, draft);
    }
    draft.detail_from(&source.attributes, "gcp.vertex.agent.associated_event_ids", "event_ids");
    draft.detail_from(&source.attributes, "gcp.vertex.agent.event_id", "source_event_id");
}

fn kind(source: &Source<'_>, draft: &mut Draft) {
    let name = source.name;
    if name == "call_llm" {
        draft.kind(event_type::CHAT_COMPLETION);
    } else if source.peek("gen_ai.operation.name") == Some("generate_content") {
        // The first schema tells each call twice, one span within the other.
        draft.kind(event_type::CHAT_COMPLETION);
        draft.relation = Relation::PartOfParent;
    } else if name.starts_with("execute_tool (merged") {
        // It repeats what the runs of several tools said.
        draft.kind(event_type::GRAPH_STEP);
    } else if name.starts_with("execute_tool") {
        draft.kind(event_type::TOOL_EXECUTION);
    } else if let Some(agent) = name.strip_prefix("agent_run ") {
        draft.kind(event_type::AGENT_INVOCATION);
        let agent = agent.trim_matches(['[', ']']);
        draft.agent().name.get_or_insert_with(|| agent.to_owned());
    } else if let Some(node) = name.strip_prefix("invoke_node ") {
        draft.kind(event_type::GRAPH_STEP);
        draft.graph().node_path.get_or_insert_with(|| node.to_owned());
    } else if matches!(name, "invocation" | "send_data") {
        draft.kind(event_type::GRAPH_STEP);
    }
}

/// The text of an attribute, unless it stands for content that was not captured.
fn told<'a>(source: &Source<'a>, key: &str) -> Option<&'a str> {
    let text = source.peek(key)?;
    if NOTHING.contains(&text) {
        source.notes.add(|| format!("content withheld in {key}"));
        return None;
    }
    Some(text)
}

/// `{model, config: {system_instruction, tools, ...}, contents}`.
fn request(source: &Source<'_>, draft: &mut Draft) {
    if told(source, REQUEST).is_none() {
        return;
    }
    let Some(doc) = source.json(REQUEST) else { return };
    let node = &doc.node;
    if let Some(model) = node.text("model") {
        draft.model().request.get_or_insert_with(|| model.to_owned());
    }
    let config = node.get("config");
    let mut input = config
        .and_then(|config| config.first(&["system_instruction", "systemInstruction"]))
        .map(messages::read_system)
        .unwrap_or_default();
    // The Java package's has a user's role.
    messages::as_instructions(&mut input.said);
    if let Some(contents) = node.get("contents") {
        let said = messages::read(contents, "user");
        input.lossy |= said.lossy;
        input.withheld |= said.withheld;
        input.said.extend(said.said);
    }
    let mut tools = Definitions::default();
    let whole_tools = config.and_then(|config| config.get("tools")).is_none_or(|list| tools.read(list));
    draft.tools(tools);
    parameters(config, draft);
    let known =
        |node: &Node<'_>| node.entries().iter().all(|(key, _)| matches!(key.as_ref(), "model" | "config" | "contents"));
    let whole = doc.whole && whole_tools && !input.lossy && known(node);
    if draft.input(input, &source.notes, REQUEST) && whole {
        source.attributes.mark(REQUEST);
    }
}

/// What the configuration says beside instructions and tools.
fn parameters(config: Option<&Node<'_>>, draft: &mut Draft) {
    let Some(config) = config else { return };
    let is_parameter = |key: &str| !matches!(key, "system_instruction" | "systemInstruction" | "tools");
    let rest: Vec<(&str, String)> = config
        .entries()
        .iter()
        .filter(|(key, value)| is_parameter(key) && !matches!(value, Node::Null))
        .map(|(key, value)| (key.as_ref(), value.json()))
        .collect();
    if !rest.is_empty() {
        let json = crate::event::json::object(rest.iter().map(|(key, json)| (*key, json.as_str())));
        draft.model().parameters.get_or_insert(json);
    }
}

/// `{model_version, content: {role, parts}, finish_reason, usage_metadata}`.
fn response(source: &Source<'_>, draft: &mut Draft) {
    if told(source, RESPONSE).is_none() {
        return;
    }
    let Some(doc) = source.json(RESPONSE) else { return };
    let node = &doc.node;
    if let Some(model) = node.first_text(&["model_version", "modelVersion"]) {
        draft.model().response.get_or_insert_with(|| model.to_owned());
    }
    let usage = node.first(&["usage_metadata", "usageMetadata"]);
    if let Some(usage) = usage {
        // Only here is a total, which tells whether thoughts stand beside the output.
        draft.usage(&source.attributes, || Counts::of(usage));
    }
    if let Some(content) = node.get("content") {
        let said = messages::read_message(content, "assistant");
        draft.output(said, &source.notes, RESPONSE);
    }
    draft.reasons(node.first_text(&["finish_reason", "finishReason"]));
    if let Some(message) = node.first_text(&["error_message", "errorMessage"]) {
        let code = node.first_text(&["error_code", "errorCode"]).map(str::to_owned);
        let error = crate::event::Error { message: Some(message.to_owned()), code, ..crate::event::Error::default() };
        draft.row.error.get_or_insert(error);
    }
}

fn tool(source: &Source<'_>, draft: &mut Draft) {
    const SIDES: [&str; 4] = [
        "gen_ai.tool.call.arguments",
        "gen_ai.tool.call.result",
        "gcp.vertex.agent.tool_call_args",
        "gcp.vertex.agent.tool_response",
    ];
    let attributes = &source.attributes;
    // Where it tells neither side, another instrumentation may.
    if !SIDES.iter().any(|key| attributes.has(key)) {
        return;
    }
    // The conventions' key is there only where content is; of a call without arguments it holds an empty object.
    let first = |[shared, own]: [&str; 2]| {
        if attributes.has(shared) {
            return attributes.raw_json(shared);
        }
        attributes.has(own).then(|| told(source, own)).flatten().and_then(|_| attributes.raw_json(own))
    };
    draft.tool(|| {
        let text = |key: &str| attributes.text(key).map(str::to_owned);
        let named =
            source.name.strip_prefix("execute_tool").map(|rest| rest.trim().trim_matches(['[', ']']).to_owned());
        ToolExecution {
            name: text("gen_ai.tool.name").or(named).unwrap_or_default(),
            call_id: text("gen_ai.tool.call.id"),
            r#type: text("gen_ai.tool.type"),
            arguments: first(["gen_ai.tool.call.arguments", "gcp.vertex.agent.tool_call_args"]),
            result: first(["gen_ai.tool.call.result", "gcp.vertex.agent.tool_response"]),
            ..ToolExecution::default()
        }
    });
}
