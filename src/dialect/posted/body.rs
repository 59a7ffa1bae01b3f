//! Bodies apart: JSON as one value, a list or lines, and forms.

use super::Bad;
use super::Malformed;
use crate::dialect::json::Flaws;
use crate::dialect::json::Node;
use crate::dialect::json::parse;
use percent_encoding::percent_decode_str;
use std::borrow::Cow;

/// A record of a body, with a word on what was wrong with its text.
pub(super) struct Item<'a> {
    pub node: Node<'a>,
    pub flaw: Option<&'static str>,
}

/// A body as text; what is not UTF-8 in it is replaced.
pub(super) fn text(body: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(body)
}

/// The one value that a body is.
pub(super) fn document(text: &str) -> Result<Item<'_>, Malformed> {
    if text.trim().is_empty() {
        return Err(Malformed::Empty);
    }
    whole(text).ok_or(Malformed::NotJson)
}

/// The records of a body that is an object, a list of them, or a line for each.
pub(super) fn items(text: &str) -> Result<Vec<Result<Item<'_>, Bad>>, Malformed> {
    let text = text.trim().trim_start_matches('\u{feff}');
    if text.is_empty() {
        return Err(Malformed::Empty);
    }
    let first = text.lines().next().unwrap_or_default();
    let is_lines = first.len() < text.len() && first.starts_with('{') && whole(first).is_some();
    if let Some(item) = (!is_lines).then(|| whole(text)).flatten() {
        return Ok(flat(item).collect());
    }
    let lines: Vec<_> = lines(text);
    if lines.iter().any(Result::is_ok) { Ok(lines) } else { Err(Malformed::NotJson) }
}

/// The records of a body that has a line for each; none where it is empty.
pub(super) fn lines(text: &str) -> Vec<Result<Item<'_>, Bad>> {
    let mut out = Vec::new();
    for line in text.lines().map(|line| line.trim().trim_start_matches('\u{feff}')).filter(|line| !line.is_empty()) {
        match whole(line) {
            Some(item) => out.extend(flat(item)),
            None => out.push(Err(Bad::new("the line is not json", line))),
        }
    }
    out
}

/// The items of a list, or the value itself.
fn flat(item: Item<'_>) -> impl Iterator<Item = Result<Item<'_>, Bad>> {
    let Item { node, flaw } = item;
    let nodes = match node {
        Node::Array(array) => array.items,
        other => vec![other],
    };
    nodes.into_iter().map(move |node| Ok(Item { node, flaw }))
}

/// A whole JSON value. NaN and the like are taken; what ends early or is of another language is not.
fn whole(text: &str) -> Option<Item<'_>> {
    let parsed = parse(text)?;
    let Flaws { truncated, python, .. } = parsed.flaws;
    (!truncated && !python).then(|| Item { node: parsed.node, flaw: parsed.flaws.words() })
}

/// The fields of a form in the order sent.
pub(super) fn form(text: &str) -> Vec<(String, String)> {
    let decode = |part: &str| {
        let spaced = part.replace('+', " ");
        percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
    };
    let pairs = text.trim().split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(key, value)| (decode(key), decode(value)))
        .collect()
}
