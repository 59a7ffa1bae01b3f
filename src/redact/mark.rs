//! What stands in a secret's place: `[REDACTED:rule]`, or with a keyed hash of what it masks.

use super::key::Key;
use super::key::is_hex;
use memchr::memmem;
use std::borrow::Cow;
use std::ops::Range;

/// What every mark begins with.
const MARK: &str = "[REDACTED:";

/// Where marks stand in a text, in ascending order.
pub(super) fn marks(text: &str) -> Vec<Range<usize>> {
    memmem::find_iter(text.as_bytes(), MARK)
        .filter_map(|start| Some(start..start + mark_len(text.get(start..)?)?))
        .collect()
}

/// A text with something that tells nothing in place of its marks, whose names are telling.
pub(super) fn without_marks(text: &str) -> Cow<'_, str> {
    let mut left = Cow::Borrowed(text);
    for mark in marks(text).into_iter().rev() {
        left.to_mut().replace_range(mark, "_x_");
    }
    left
}

/// Whether a text is a mark and nothing else.
pub(super) fn is_mark(text: &str) -> bool {
    mark_len(text) == Some(text.len())
}

/// The mark of a rule.
pub(super) fn mark(name: &str) -> String {
    format!("{MARK}{name}]")
}

/// The mark of a rule, with a keyed hash of what it masks.
pub(super) fn keyed_mark(name: &str, secret: &str, key: &Key) -> String {
    format!("{MARK}{name}:{}]", key.short(secret))
}

/// The length of the mark that a text begins with.
fn mark_len(text: &str) -> Option<usize> {
    let rest = text.strip_prefix(MARK)?;
    let name = rest.bytes().position(|byte| !matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))?;
    let rest = rest.get(name..)?;
    let hash = match rest.strip_prefix(':') {
        Some(hash) if hash.bytes().take(16).filter(|byte| is_hex(*byte)).count() == 16 => 17,
        Some(_) => return None,
        None => 0,
    };
    rest.get(hash..)?.starts_with(']').then_some(MARK.len() + name + hash + 1)
}

/// Whether a place lies within a mark.
pub(super) fn is_within(place: &Range<usize>, marks: &[Range<usize>]) -> bool {
    let after = marks.partition_point(|mark| mark.start <= place.start);
    after.checked_sub(1).and_then(|index| marks.get(index)).is_some_and(|mark| place.end <= mark.end)
}
