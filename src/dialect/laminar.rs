//! Laminar: OpenLLMetry's instrumentations, with a type, input, output and path of its own on spans of its decorators.
//!
//! Source: `lmnr` 0.8.

use super::Dialect;
use super::draft::Draft;
use super::sides;
use super::source::Source;
use crate::event::ToolExecution;
use crate::event::event_type;

pub(super) const DIALECT: Dialect =
    Dialect { name: "laminar", scopes: &["lmnr.tracer"], keys: &["lmnr."], read, ..Dialect::NONE };

const INPUT: &str = "lmnr.span.input";
const OUTPUT: &str = "lmnr.span.output";

fn read(source: &Source<'_>, draft: &mut Draft) {
    if source.is_log {
        return;
    }
    let kind = match source.text("lmnr.span.type") {
        // Of an embedding its own instrumentation says so by the span's name only.
        Some("LLM") if source.name.ends_with(".embeddings") => Some(event_type::EMBEDDING),
        Some("LLM") => Some(event_type::CHAT_COMPLETION),
        Some("TOOL") => Some(event_type::TOOL_EXECUTION),
        Some("EVALUATOR" | "HUMAN_EVALUATOR") => Some(event_type::EVALUATION),
        // An instrumentation's own keys say what it is.
        Some("DEFAULT") if source.has("gen_ai.operation.name") || source.has("llm.request.type") => None,
        Some(_) => Some(event_type::GRAPH_STEP),
        None => None,
    };
    if let Some(kind) = kind {
        draft.kind(kind);
    }
    cost(source, draft);
    draft.detail_from(&source.attributes, "lmnr.span.path", "path");
    if draft.is(event_type::TOOL_EXECUTION) {
        draft.tool(|| ToolExecution {
            name: source.text("gen_ai.tool.name").unwrap_or(source.name).to_owned(),
            call_id: source.text("gen_ai.tool.call.id").map(str::to_owned),
            arguments: source.attributes.raw_json(INPUT),
            result: source.attributes.raw_json(OUTPUT),
            ..ToolExecution::default()
        });
    } else if draft.is(event_type::CHAT_COMPLETION) {
        let told = |key: &str, indexed: &str| source.has(key) || source.attributes.below(indexed).next().is_some();
        if !told("gen_ai.input.messages", "gen_ai.prompt.") {
            draft.input_from(&source.attributes, &source.notes, INPUT);
        }
        if !told("gen_ai.output.messages", "gen_ai.completion.") {
            draft.output_from(&source.attributes, &source.notes, OUTPUT);
        }
    } else if draft.has_kind() && !draft.is(event_type::EMBEDDING) {
        sides::step(source, draft, INPUT, OUTPUT);
    }
}

/// The whole, else the sum of both parts.
fn cost(source: &Source<'_>, draft: &mut Draft) {
    if source.has("gen_ai.usage.cost") || !source.has("gen_ai.usage.input_cost") {
        return;
    }
    if let (Some(input), Some(output)) =
        (source.number("gen_ai.usage.input_cost"), source.number("gen_ai.usage.output_cost"))
    {
        draft.cost(input + output, "gen_ai.usage.input_cost");
        let json =
            format!("{{\"stated\":{{\"total\":{:?},\"input\":{input:?},\"output\":{output:?}}}}}", input + output);
        draft.detail("cost", json);
    }
}

#[cfg(test)]
mod tests {
    use crate::dialect::tests::*;
    use crate::event::event_type;
    use serde_json::json;

    #[test]
    fn an_embedding_is_none_of_the_chats_that_share_its_type() {
        let told = json!({"lmnr.span.type": "LLM", "gen_ai.system": "openai", "gen_ai.request.model": "m",
            "gen_ai.input.messages": "[{\"content\":\"alpha\"}]", "gen_ai.usage.input_tokens": 27});
        let partial = read_span("lmnr.tracer", a_span("openai.embeddings", told.clone()));
        assert_eq!(row(&partial).event_type, event_type::EMBEDDING);
        assert_eq!(row(&partial).tokens.as_ref().unwrap().prompt_tokens, Some(27));
        let partial = read_span("lmnr.tracer", a_span("openai.chat", told));
        assert_eq!(row(&partial).event_type, event_type::CHAT_COMPLETION);
    }
}
