//! Attributes whose text holds more than a word: JSON, lists, words between commas.

use crate::dialect::json::Node;
use crate::dialect::json::any_text;
use crate::dialect::json::may_hold_structure;
use crate::dialect::json::parse;
use crate::dialect::notes::Notes;
use opentelemetry_proto::tonic::common::v1::AnyValue;
use std::borrow::Cow;

/// A value read from an attribute.
pub(in crate::dialect) struct Doc<'a> {
    pub node: Node<'a>,
    /// Whether the tree says all that the text says.
    pub whole: bool,
}

/// A text read as JSON where it looks like it, its flaws noted.
pub(in crate::dialect) fn read_text<'t>(text: &'t str, key: &str, notes: &Notes) -> Doc<'t> {
    let plain = Doc { node: Node::String(Cow::Borrowed(text)), whole: true };
    if !may_hold_structure(text) {
        return plain;
    }
    match parse(text) {
        Some(parsed) => {
            if let Some(words) = parsed.flaws.words() {
                notes.add(|| format!("{words} in {key}"));
            }
            Doc { node: parsed.node, whole: !parsed.flaws.lost_something() }
        }
        None => {
            notes.add(|| format!("no json in {key}"));
            plain
        }
    }
}

/// Whether nothing but white space was sent.
pub(super) fn is_blank(value: Option<&AnyValue>) -> bool {
    value.and_then(any_text).is_some_and(|text| text.trim().is_empty())
}

/// The words of a list that was sent as one text.
pub(super) fn words_of(text: &str) -> Vec<Cow<'_, str>> {
    let trimmed = text.trim();
    if trimmed.starts_with('[')
        && let Some(parsed) = parse(trimmed)
    {
        return parsed
            .node
            .items()
            .iter()
            .filter(|item| !item.is_empty())
            .map(|item| Cow::Owned(item.plain()))
            .collect();
    }
    trimmed
        .split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty())
        .map(|word| Cow::Borrowed(word.trim_matches('"')))
        .collect()
}
