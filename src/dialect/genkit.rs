//! Genkit: every action is a span with its input and output as JSON in Genkit's own form.
//!
//! Source: `@genkit-ai/core` 1.42.

use super::Dialect;
use super::answer::Answer;
use super::draft::Draft;
use super::json::Node;
use super::messages;
use super::sides;
use super::source::Source;
use super::usage::Counts;
use super::usage::within;
use super::value;
use crate::event::ToolExecution;
use crate::event::event_type;
use crate::event::status;

pub(super) const DIALECT: Dialect =
    Dialect { name: "genkit", scopes: &["genkit-tracer"], keys: &["genkit:"], read, ..Dialect::NONE };

const INPUT: &str = "genkit:input";
const OUTPUT: &str = "genkit:output";

fn read(source: &Source<'_>, draft: &mut Draft) {
    if source.is_log || !source.attributes.list().iter().any(|entry| entry.key.starts_with("genkit:")) {
        return;
    }
    match source.text("genkit:metadata:subtype") {
        Some("model" | "background-model") => call(source, draft),
        Some("tool" | "tool.v2") => tool(source, draft),
        Some("embedder") => sides(source, draft, event_type::EMBEDDING),
        Some("retriever") => {
            draft.kind(event_type::RETRIEVAL);
            if let Some(query) = source.json(INPUT).and_then(|doc| doc.node.get("query").map(Node::json)) {
                draft.detail("query", query);
            }
            if let Some(documents) = source.json(OUTPUT).and_then(|doc| doc.node.get("documents").map(Node::json)) {
                draft.detail("documents", documents);
            }
        }
        Some("reranker") => sides(source, draft, event_type::RERANK),
        Some("evaluator") => sides(source, draft, event_type::EVALUATION),
        _ => sides(source, draft, event_type::GRAPH_STEP),
    }
    // Other actions only run what stands below them.
    if matches!(source.peek("genkit:type"), Some("flow" | "flowStep"))
        && let Some(name) = source.text("genkit:name")
    {
        if source.attributes.truth("genkit:isRoot") == Some(true) {
            draft.graph().graph_id.get_or_insert_with(|| name.to_owned());
        } else {
            draft.graph().node_path.get_or_insert_with(|| name.to_owned());
        }
    }
    if source.text("genkit:state") == Some("error") {
        draft.row.status.get_or_insert_with(|| status::ERROR.to_owned());
    }
    draft.detail_from(&source.attributes, "genkit:path", "path");
}

fn sides(source: &Source<'_>, draft: &mut Draft, kind: &'static str) {
    draft.kind(kind);
    sides::step(source, draft, INPUT, OUTPUT);
    if kind == event_type::EMBEDDING {
        name(source, draft);
    }
}

/// `plugin/model`.
fn name(source: &Source<'_>, draft: &mut Draft) {
    let Some(name) = source.text("genkit:name") else { return };
    draft.model().request.get_or_insert_with(|| name.to_owned());
    let plugin = name.split_once('/').map(|(plugin, _)| if plugin == "googleai" { "google" } else { plugin });
    if draft.model().provider.is_none() {
        draft.model().provider = plugin.and_then(value::provider).map(std::borrow::Cow::into_owned);
    }
}

/// `{messages, config, tools}` in, `{message, finishReason, usage}` out.
fn call(source: &Source<'_>, draft: &mut Draft) {
    draft.kind(event_type::CHAT_COMPLETION);
    name(source, draft);
    if let Some(doc) = source.json(INPUT) {
        let told = messages::read(&doc.node, "user");
        draft.input(told, &source.notes, INPUT);
        if let Some(config) = doc.node.get("config").filter(|config| !config.is_empty()) {
            draft.model().parameters.get_or_insert(config.json());
        }
    }
    let Some(doc) = source.json(OUTPUT) else { return };
    let node = &doc.node;
    // The provider's own answer, beside Genkit's form of it.
    let answer = node.first(&["raw", "custom"]).map(Answer::of).unwrap_or_default();
    if let Some(usage) = node.get("usage") {
        draft.usage(&source.attributes, || {
            let own = Counts {
                reasoning: within(usage.get("thoughtsTokens")),
                cached: within(usage.get("cachedContentTokens")),
                ..Counts::of(usage)
            };
            own.beside(answer.counts)
        });
    }
    let told = match node.get("message") {
        Some(message) => messages::read_message(message, "assistant"),
        None => messages::read(node, "assistant"),
    };
    draft.reasons(node.text("finishReason"));
    draft.output(told, &source.notes, OUTPUT);
    answer.fill(draft);
}

fn tool(source: &Source<'_>, draft: &mut Draft) {
    draft.kind(event_type::TOOL_EXECUTION);
    draft.tool(|| ToolExecution {
        name: source.text("genkit:name").unwrap_or(source.name).to_owned(),
        arguments: source.attributes.raw_json(INPUT),
        result: source.attributes.raw_json(OUTPUT),
        ..ToolExecution::default()
    });
}
