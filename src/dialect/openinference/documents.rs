//! Spans of embedding, retrieval and reranking.

use super::cost;
use super::provider;
use super::usage;
use crate::dialect::answer::Answer;
use crate::dialect::draft::Draft;
use crate::dialect::json::Node;
use crate::dialect::source::Source;
use std::borrow::Cow;

pub(super) fn embedding(source: &Source<'_>, draft: &mut Draft) {
    if draft.model().request.is_none() {
        let name =
            source.attributes.first_text(&["embedding.model_name", "llm.model_name"]).map(|(_, name)| name.to_owned());
        draft.model().request = name;
    }
    provider(source, draft);
    let answer = source.json("output.value").map(|doc| Answer::of(&doc.node)).unwrap_or_default();
    usage(source, draft, answer.counts);
    answer.fill(draft);
    cost(source, draft);
    let mut texts = Vec::new();
    for (place, path, any) in source.attributes.below("embedding.embeddings.") {
        if path.ends_with(".embedding.text") {
            texts.push(crate::dialect::json::any_node(any));
            source.attributes.mark_place(place);
        }
    }
    if !texts.is_empty() {
        draft.detail("input", Node::array(texts).json());
    }
    if let Some(json) = source
        .attributes
        .raw_json("embedding.invocation_parameters")
        .or_else(|| source.attributes.raw_json("llm.invocation_parameters"))
    {
        draft.model().parameters.get_or_insert(json);
    }
}

pub(super) fn documents(source: &Source<'_>, draft: &mut Draft) {
    for (key, name) in [("reranker.query", "query"), ("input.value", "query"), ("reranker.top_k", "top_k")] {
        draft.detail_from(&source.attributes, key, name);
    }
    if let Some(name) = source.text("reranker.model_name") {
        draft.model().request.get_or_insert_with(|| name.to_owned());
    }
    for (prefix, name) in [
        ("retrieval.documents.", "documents"),
        ("reranker.input_documents.", "input_documents"),
        ("reranker.output_documents.", "documents"),
    ] {
        let Some((node, places)) = source.attributes.list_below(prefix, &source.budget, &source.notes) else {
            continue;
        };
        let list = node.items().iter().map(|item| item.get("document").unwrap_or(item)).map(document).collect();
        if draft.detail(name, Node::array(list).json()) {
            for place in places {
                source.attributes.mark_place(place);
            }
        }
    }
}

/// A document, its metadata as JSON and not as text of it.
fn document<'a>(node: &Node<'a>) -> Node<'a> {
    let entries = node.entries().iter().map(|(key, value)| {
        let value = match value {
            Node::String(Cow::Borrowed(text)) if key == "metadata" => {
                crate::dialect::json::parse(text).map_or_else(|| value.clone(), |parsed| parsed.node)
            }
            other => other.clone(),
        };
        (key.clone(), value)
    });
    Node::object(entries.collect())
}
