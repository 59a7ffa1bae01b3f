//! Mastra: the conventions, with a type, input and output of each span under keys of its own.
//!
//! Source: `@mastra/otel-exporter` 1.4. A generation may hold one inference for each of its steps.

use super::Dialect;
use super::draft::Draft;
use super::sides;
use super::source::Source;
use super::value;
use crate::event::Relation;
use crate::event::ToolExecution;
use crate::event::event_type;

pub(super) const DIALECT: Dialect = Dialect { name: "mastra", keys: &["mastra."], read, ..Dialect::NONE };

const FIRST_TOKEN: &str = "mastra.completion_start_time";

fn read(source: &Source<'_>, draft: &mut Draft) {
    if source.is_log {
        return;
    }
    let kind = source.peek("mastra.span.type");
    match kind {
        Some("model_generation" | "llm_generation") => {
            draft.kind(event_type::CHAT_COMPLETION);
            draft.relation = Relation::CallIfNoCallBelow;
        }
        Some("model_inference") => draft.kind(event_type::CHAT_COMPLETION),
        Some("tool_call" | "mcp_tool_call" | "client_tool_call" | "provider_tool_call") => {
            draft.kind(event_type::TOOL_EXECUTION);
        }
        Some("agent_run") => draft.kind(event_type::AGENT_INVOCATION),
        Some(_) => draft.kind(event_type::GRAPH_STEP),
        None => {}
    }
    if let Some(kind) = kind {
        own(source, draft, kind);
    }
    if let Some(start) = source.peek(FIRST_TOKEN).and_then(value::time)
        && let Some(millis) = value::millis_between(source.start_ns, start)
    {
        draft.first_token(source, millis, FIRST_TOKEN);
    }
}

/// `mastra.<type>.{input,output,step_index}`.
fn own(source: &Source<'_>, draft: &mut Draft, kind: &str) {
    let attributes = &source.attributes;
    let key = |name: &str| format!("mastra.{kind}.{name}");
    if let Some(step) = attributes.count(&key("step_index"), &source.notes) {
        draft.graph().step_index.get_or_insert(step.value);
    }
    let (input, output) = (key("input"), key("output"));
    if draft.is(event_type::TOOL_EXECUTION) {
        draft.tool(|| {
            let text = |key: &str| attributes.text(key).map(str::to_owned);
            let first = |one: &str, other: &str| attributes.raw_json(one).or_else(|| attributes.raw_json(other));
            ToolExecution {
                name: text("gen_ai.tool.name")
                    .unwrap_or_else(|| source.name.trim_start_matches("execute_tool ").to_owned()),
                call_id: text("gen_ai.tool.call.id"),
                r#type: text("gen_ai.tool.type"),
                arguments: first("gen_ai.tool.call.arguments", &input),
                result: first("gen_ai.tool.call.result", &output),
                ..ToolExecution::default()
            }
        });
    } else if draft.is(event_type::GRAPH_STEP) {
        sides::step(source, draft, &input, &output);
        if kind.starts_with("workflow_step")
            && let Some(name) = source
                .name
                .rsplit([' ', ':'])
                .next()
                .map(|name| name.trim_matches('\''))
                .filter(|name| !name.is_empty())
        {
            draft.graph().node_path.get_or_insert_with(|| name.to_owned());
        }
    } else {
        // The conventions' own lists say more, where they are sent.
        if !source.has("gen_ai.input.messages") {
            draft.input_from(attributes, &source.notes, &input);
        }
        if !source.has("gen_ai.output.messages") {
            draft.output_from(attributes, &source.notes, &output);
        }
    }
}
