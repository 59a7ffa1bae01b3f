//! A tolerant reader of JSON into a tree that borrows from its text, and the writer back.
//!
//! What producers send as JSON is often cut, doubly encoded or Python; none of that may cost more than the place it
//! stands in. Containers and numbers that were valid remember the text they came from, so that a user's own JSON
//! passes through as it was written.

mod otlp;
mod bytes;
mod parse;
mod python;
mod strict;

use crate::event::json::push_string;
use std::borrow::Cow;

pub(in crate::dialect) use otlp::{any_json, any_node, any_text, entries_node};
pub(in crate::dialect) use parse::parse;
pub(in crate::dialect) use strict::Cursor;
use strict::is_strict;

/// Nesting beyond this is kept as text: readers of our rows have limits of their own.
const MAX_DEPTH: usize = 96;

/// How often a text within a text is opened.
pub(in crate::dialect) const MAX_REOPENED: usize = 3;

/// One JSON value.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::dialect) enum Node<'a> {
    Null,
    Bool(bool),
    /// Always the text of a valid JSON number.
    Number(Cow<'a, str>),
    String(Cow<'a, str>),
    Array(Array<'a>),
    Object(Object<'a>),
}

/// A list of values.
#[derive(Debug, Clone, PartialEq, Default)]
pub(in crate::dialect) struct Array<'a> {
    pub items: Vec<Node<'a>>,
    /// Its text, where that is valid JSON.
    raw: Option<&'a str>,
    /// Whether the text ended within it.
    pub cut: bool,
}

/// Keys and values in the order sent; of equal keys the last one counts.
#[derive(Debug, Clone, PartialEq, Default)]
pub(in crate::dialect) struct Object<'a> {
    pub entries: Vec<(Cow<'a, str>, Node<'a>)>,
    raw: Option<&'a str>,
    /// Whether the text ended within it.
    pub cut: bool,
}

/// What was wrong with a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::dialect) struct Flaws {
    /// It ended early; complete leading elements were read.
    pub truncated: bool,
    /// It is a Python literal.
    pub python: bool,
    /// It holds half a surrogate pair, replaced.
    pub surrogate: bool,
    /// It holds NaN or an infinity, read as null.
    pub not_finite: bool,
    /// It nests too deep; the deep part was kept as text.
    pub deep: bool,
    /// An object holds a key twice.
    pub duplicate: bool,
    /// It is no strict JSON, though all that it says was read: passed on, it must be written anew.
    pub sloppy: bool,
}

impl Flaws {
    /// Whether the tree says all that the text said.
    pub(in crate::dialect) fn lost_something(self) -> bool {
        self.truncated || self.surrogate || self.not_finite || self.duplicate
    }

    /// Words for a note, if there is something to note.
    pub(in crate::dialect) fn words(self) -> Option<&'static str> {
        if self.truncated {
            Some("truncated json")
        } else if self.surrogate {
            Some("half a surrogate pair")
        } else if self.not_finite {
            Some("a number that is not finite")
        } else if self.duplicate {
            Some("a key twice")
        } else if self.deep {
            Some("json too deep")
        } else {
            None
        }
    }
}

impl<'a> Node<'a> {
    /// An object that was not read from text.
    pub(in crate::dialect) fn object(entries: Vec<(Cow<'a, str>, Node<'a>)>) -> Self {
        Self::Object(Object { entries, raw: None, cut: false })
    }

    /// A list that was not read from text.
    pub(in crate::dialect) fn array(items: Vec<Node<'a>>) -> Self {
        Self::Array(Array { items, raw: None, cut: false })
    }

    /// The value of a key, unless it is null.
    pub(in crate::dialect) fn get(&self, key: &str) -> Option<&Node<'a>> {
        let Self::Object(object) = self else { return None };
        match object.entries.iter().rev().find(|(k, _)| k == key) {
            Some((_, Self::Null)) | None => None,
            Some((_, node)) => Some(node),
        }
    }

    /// The first of these keys that has a value.
    pub(in crate::dialect) fn first(&self, keys: &[&str]) -> Option<&Node<'a>> {
        keys.iter().find_map(|key| self.get(key))
    }

    /// The value at the end of a path of keys.
    pub(in crate::dialect) fn at(&self, path: &[&str]) -> Option<&Node<'a>> {
        path.iter().try_fold(self, |node, key| node.get(key))
    }

    /// The text of a key that is no empty string.
    pub(in crate::dialect) fn text(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(Node::as_str).filter(|text| !text.is_empty())
    }

    /// The text of the first of these keys that has one.
    pub(in crate::dialect) fn first_text(&self, keys: &[&str]) -> Option<&str> {
        keys.iter().find_map(|key| self.text(key))
    }

    pub(in crate::dialect) fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// A string's or a number's text, or a truth's.
    pub(in crate::dialect) fn scalar_text(&self) -> Option<&str> {
        match self {
            Self::String(text) | Self::Number(text) => Some(text),
            Self::Bool(true) => Some("true"),
            Self::Bool(false) => Some("false"),
            _ => None,
        }
    }

    /// A truth, also one told as a word.
    pub(in crate::dialect) fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(truth) => Some(*truth),
            Self::String(text) => super::value::truth(text),
            _ => None,
        }
    }

    /// A number, also one told as text.
    pub(in crate::dialect) fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Number(text) | Self::String(text) => super::value::number(text),
            _ => None,
        }
    }

    /// A count: a whole number from 0 up, also one told as text or with a fraction of zero.
    pub(in crate::dialect) fn as_count(&self) -> Option<i64> {
        match self {
            Self::Number(text) | Self::String(text) => super::value::count(text),
            _ => None,
        }
    }

    /// The items of a list; nothing for any other value.
    pub(in crate::dialect) fn items(&self) -> &[Node<'a>] {
        match self {
            Self::Array(array) => &array.items,
            _ => &[],
        }
    }

    /// The entries of an object; nothing for any other value.
    pub(in crate::dialect) fn entries(&self) -> &[(Cow<'a, str>, Node<'a>)] {
        match self {
            Self::Object(object) => &object.entries,
            _ => &[],
        }
    }

    pub(in crate::dialect) fn is_object(&self) -> bool {
        matches!(self, Self::Object(_))
    }

    pub(in crate::dialect) fn is_array(&self) -> bool {
        matches!(self, Self::Array(_))
    }

    /// Null, or an empty text, list or object.
    pub(in crate::dialect) fn is_empty(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Bool(_) | Self::Number(_) => false,
            Self::String(text) => text.is_empty(),
            Self::Array(array) => array.items.is_empty(),
            Self::Object(object) => object.entries.is_empty(),
        }
    }

    /// Whether the text ended within this value.
    pub(in crate::dialect) fn is_cut(&self) -> bool {
        match self {
            Self::Array(array) => array.cut,
            Self::Object(object) => object.cut,
            _ => false,
        }
    }

    /// Valid JSON text: as it was written where that was valid.
    pub(in crate::dialect) fn json(&self) -> String {
        match self {
            Self::Array(Array { raw: Some(raw), .. }) | Self::Object(Object { raw: Some(raw), .. }) => {
                (*raw).to_owned()
            }
            _ => {
                let mut out = String::new();
                self.push_json(&mut out);
                out
            }
        }
    }

    /// Appends [`Node::json`].
    pub(in crate::dialect) fn push_json(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(true) => out.push_str("true"),
            Self::Bool(false) => out.push_str("false"),
            Self::Number(raw) => out.push_str(raw),
            Self::String(text) => push_string(out, text),
            Self::Array(Array { raw: Some(raw), .. }) | Self::Object(Object { raw: Some(raw), .. }) => {
                out.push_str(raw);
            }
            Self::Array(array) => {
                out.push('[');
                for (place, item) in array.items.iter().enumerate() {
                    if place > 0 {
                        out.push(',');
                    }
                    item.push_json(out);
                }
                out.push(']');
            }
            Self::Object(object) => {
                out.push('{');
                for (place, (key, value)) in object.entries.iter().enumerate() {
                    if place > 0 {
                        out.push(',');
                    }
                    push_string(out, key);
                    out.push(':');
                    value.push_json(out);
                }
                out.push('}');
            }
        }
    }

    /// The text itself of a string, the JSON text of anything else: what a chat message holds.
    pub(in crate::dialect) fn plain(&self) -> String {
        match self {
            Self::String(text) => text.clone().into_owned(),
            other => other.json(),
        }
    }

    /// Gives `read` this value, or, where it is a text that holds JSON structure, what stands in it.
    pub(in crate::dialect) fn opened<R>(&self, read: impl FnOnce(&Node<'_>) -> R) -> R {
        self.opened_within(MAX_REOPENED, read)
    }

    fn opened_within<R>(&self, left: usize, read: impl FnOnce(&Node<'_>) -> R) -> R {
        match self {
            Self::String(text) if left > 0 && may_hold_structure(text) => match parse(text) {
                Some(inner) => inner.node.opened_within(left - 1, read),
                None => read(self),
            },
            other => read(other),
        }
    }
}

/// Whether a text may be a list or an object, also one encoded once more.
pub(in crate::dialect) fn may_hold_structure(text: &str) -> bool {
    let text = text.trim_start();
    text.starts_with(['{', '[']) || text.starts_with("\"{") || text.starts_with("\"[") || text.starts_with("\"\\\"")
}

/// A text as JSON: itself where it is valid JSON (or Python that says the same), else a JSON string.
pub(in crate::dialect) fn text_as_json(text: &str) -> String {
    let trimmed = text.trim();
    let may_be_json = trimmed.starts_with(['{', '[', '"', '-'])
        || trimmed.starts_with(|c: char| c.is_ascii_digit())
        || is_word(trimmed);
    if may_be_json && is_strict(trimmed) {
        return trimmed.to_owned();
    }
    if may_be_json && let Some(parsed) = parse(trimmed) {
        if parsed.flaws == Flaws::default() {
            return trimmed.to_owned();
        }
        if (Flaws { python: false, sloppy: false, ..parsed.flaws }) == Flaws::default() {
            return parsed.node.json();
        }
    }
    crate::event::json::string(text)
}

/// The text of a producer that writes each text as JSON once more.
pub(in crate::dialect) fn unquoted(text: &str) -> Option<String> {
    let inner = parse(text).and_then(|parsed| parsed.node.as_str().map(str::to_owned));
    Some(inner.unwrap_or_else(|| text.to_owned())).filter(|text| !text.is_empty())
}

fn is_word(text: &str) -> bool {
    matches!(text, "true" | "false" | "null")
}

#[cfg(test)]
mod tests;
