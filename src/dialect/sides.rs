//! What an operation was given and what it gave, where its dialect has one key for each.

use super::draft::Draft;
use super::messages;
use super::source::Source;

/// Of a run of an agent: messages, where they are texts or read as messages, else details.
pub(super) fn agent(source: &Source<'_>, draft: &mut Draft, input: &str, output: &str) {
    let is_said =
        |key: &str| source.json(key).map(|doc| doc.node.as_str().is_some() || messages::tells_messages(&doc.node));
    match is_said(input) {
        Some(true) => draft.input_from(&source.attributes, &source.notes, input),
        Some(false) => drop(draft.detail_from(&source.attributes, input, "input")),
        None => {}
    }
    match is_said(output) {
        Some(true) => draft.output_from(&source.attributes, &source.notes, output),
        Some(false) => drop(draft.detail_from(&source.attributes, output, "output")),
        None => {}
    }
}

/// Of a search: what was asked for, and what was found.
pub(super) fn search(source: &Source<'_>, draft: &mut Draft, input: &str, output: &str) {
    draft.detail_from(&source.attributes, input, "query");
    draft.detail_from(&source.attributes, output, "documents");
}

/// Of any other step: both as they are.
pub(super) fn step(source: &Source<'_>, draft: &mut Draft, input: &str, output: &str) {
    draft.detail_from(&source.attributes, input, "input");
    draft.detail_from(&source.attributes, output, "output");
}
