//! Braintrust: a span's kind, input, output, metadata, metrics and scores, each as one JSON text.
//!
//! Input and output are messages only where the kind is `llm`. Source: captures of what its exporters send.

use super::Dialect;
use super::draft::Draft;
use super::sides;
use super::source::Source;
use super::usage::Counts;
use super::usage::within;
use crate::event::ToolExecution;
use crate::event::event_type;

pub(super) const DIALECT: Dialect = Dialect { name: "braintrust", keys: &["braintrust."], read, ..Dialect::NONE };

const INPUT: &str = "braintrust.input_json";
const OUTPUT: &str = "braintrust.output_json";

fn read(source: &Source<'_>, draft: &mut Draft) {
    if source.is_log {
        return;
    }
    let doc = source.json("braintrust.span_attributes");
    let kind = doc.as_ref().and_then(|doc| doc.node.text("type"));
    let name = doc.as_ref().and_then(|doc| doc.node.text("name")).unwrap_or(source.name);
    match kind.or_else(|| asks_a_model(source).then_some("llm")) {
        Some("llm") => {
            draft.kind(event_type::CHAT_COMPLETION);
            draft.input_from(&source.attributes, &source.notes, INPUT);
            draft.output_from(&source.attributes, &source.notes, OUTPUT);
            asked(source, draft);
        }
        Some("tool") => {
            draft.kind(event_type::TOOL_EXECUTION);
            draft.tool(|| ToolExecution {
                name: name.to_owned(),
                arguments: source.attributes.raw_json(INPUT),
                result: source.attributes.raw_json(OUTPUT),
                ..ToolExecution::default()
            });
        }
        Some("score") => sides(source, draft, event_type::EVALUATION),
        Some(_) => sides(source, draft, event_type::GRAPH_STEP),
        None => {}
    }
    metrics(source, draft);
    draft.detail_from(&source.attributes, "braintrust.scores", "scores");
    draft.detail_from(&source.attributes, "braintrust.expected_json", "expected");
    for tag in source.attributes.words("braintrust.tags") {
        draft.row.tags.entry(tag.into_owned()).or_default();
        source.attributes.mark("braintrust.tags");
    }
}

/// Whether a span without a kind tells a model's call all the same: it names the model and counts tokens.
fn asks_a_model(source: &Source<'_>) -> bool {
    let has_model = source.json("braintrust.metadata").is_some_and(|doc| doc.node.text("model").is_some());
    has_model && source.json("braintrust.metrics").is_some_and(|doc| within(doc.node.get("prompt_tokens")).is_some())
}

fn sides(source: &Source<'_>, draft: &mut Draft, kind: &'static str) {
    draft.kind(kind);
    sides::step(source, draft, INPUT, OUTPUT);
}

fn asked(source: &Source<'_>, draft: &mut Draft) {
    let Some(doc) = source.json("braintrust.metadata") else { return };
    if let Some(model) = doc.node.text("model") {
        draft.model().request.get_or_insert_with(|| model.to_owned());
    }
    if let Some(provider) = doc.node.text("provider").and_then(super::value::provider)
        && draft.model().provider.is_none()
    {
        draft.model().provider = Some(provider.into_owned());
    }
}

fn metrics(source: &Source<'_>, draft: &mut Draft) {
    const KEY: &str = "braintrust.metrics";
    let Some(doc) = source.json(KEY) else { return };
    let node = &doc.node;
    let counts = Counts { total: within(node.get("tokens")), ..Counts::of(node) };
    draft.usage(&source.attributes, || counts);
    if let Some(seconds) = node.get("time_to_first_token").and_then(super::json::Node::as_f64) {
        draft.first_token(source, seconds * 1000.0, "braintrust.metrics/time_to_first_token");
    }
}
