//! Retrievals, evaluations and tools.

use crate::dialect::attributes::Attributes;
use crate::dialect::draft::Draft;
use crate::dialect::notes::Notes;

pub(super) fn retrieval(attributes: &Attributes<'_>, draft: &mut Draft) {
    for (key, name) in [
        ("gen_ai.retrieval.query.text", "query"),
        ("gen_ai.retrieval.documents", "documents"),
        ("gen_ai.retrieval.top_k", "top_k"),
        ("gen_ai.memory.query.text", "query"),
        ("gen_ai.memory.records", "documents"),
        ("gen_ai.data_source.id", "data_source"),
        ("gen_ai.memory.store.id", "data_source"),
        ("gen_ai.retriever.query", "query"),
        ("gen_ai.retriever.results", "documents"),
    ] {
        draft.detail_from(attributes, key, name);
    }
}

const EVALUATION: [(&str, &str); 5] = [
    ("gen_ai.evaluation.name", "name"),
    ("gen_ai.evaluation.score.value", "score"),
    ("gen_ai.evaluation.score.label", "label"),
    ("gen_ai.evaluation.explanation", "explanation"),
    ("gen_ai.response.id", "response_id"),
];

pub(super) fn evaluation(attributes: &Attributes<'_>, notes: &Notes, draft: &mut Draft) {
    for (key, name) in EVALUATION {
        if name == "score" {
            if let Some(score) = attributes.number(key, notes) {
                draft.detail(name, format!("{score:?}"));
            }
        } else if let Some(any) = attributes.any(key) {
            draft.detail(name, crate::dialect::json::any_json(any));
            attributes.mark(key);
        }
    }
}

pub(super) fn evaluation_json(attributes: &Attributes<'_>) -> String {
    let entries: Vec<(&str, String)> = EVALUATION
        .iter()
        .filter_map(|(key, name)| {
            let json = crate::dialect::json::any_json(attributes.any(key)?);
            attributes.mark(key);
            Some((*name, json))
        })
        .collect();
    crate::event::json::object(entries.iter().map(|(name, json)| (*name, json.as_str())))
}
