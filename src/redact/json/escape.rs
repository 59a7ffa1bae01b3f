//! Escapes of JSON strings: decoded, and looked behind.

use memchr::memchr_iter;
use std::borrow::Cow;

/// The text of a string's inside. Halves of surrogate pairs become U+FFFD; half an escape at the end is left out.
pub(in crate::redact) fn decode(raw: &str) -> Cow<'_, str> {
    if !raw.contains('\\') {
        return Cow::Borrowed(raw);
    }
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((clean, escape)) = rest.split_once('\\') {
        out.push_str(clean);
        let mut chars = escape.chars();
        match chars.next() {
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('u') => {
                let Some(unit) = unit(chars.as_str()) else { return Cow::Owned(out) };
                let after = chars.as_str().get(4..).unwrap_or_default();
                let low = after.strip_prefix("\\u").and_then(unit_of_pair);
                let (char, len) = match (unit, low) {
                    (0xd800..=0xdbff, Some(low)) => {
                        (char::from_u32(0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00)), 10)
                    }
                    _ => (char::from_u32(unit), 4),
                };
                out.push(char.unwrap_or(char::REPLACEMENT_CHARACTER));
                rest = chars.as_str().get(len..).unwrap_or_default();
                continue;
            }
            Some(other) => out.push(other),
            None => {}
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
    Cow::Owned(out)
}

fn unit(digits: &str) -> Option<u32> {
    u32::from_str_radix(digits.get(..4)?, 16).ok()
}

fn unit_of_pair(digits: &str) -> Option<u32> {
    unit(digits).filter(|unit| (0xdc00..=0xdfff).contains(unit))
}

/// The text without the escapes that may hide something from a reader who takes it as it is: `\/`, white space, and
/// `\u` of what can be seen; however many backslashes they have. None where there are none. Quotes and backslashes stay.
pub(in crate::redact) fn unescaped(text: &str) -> Option<String> {
    let mut out = String::new();
    let (mut copied, mut next) = (0, 0);
    for start in memchr_iter(b'\\', text.as_bytes()) {
        if start < next {
            continue;
        }
        let escape = text.get(start..)?.trim_start_matches('\\');
        let mut rest = escape.chars();
        let hidden = match rest.next() {
            Some('/') => Some('/'),
            Some('n') => Some('\n'),
            Some('r') => Some('\r'),
            Some('t') => Some('\t'),
            Some('u') => {
                let digits = rest.as_str();
                rest = digits.get(4..).unwrap_or_default().chars();
                let is_seen = |char: &char| matches!(char, '\n' | ' '..='~') && !matches!(char, '"' | '\\');
                unit(digits).and_then(char::from_u32).filter(is_seen)
            }
            _ => None,
        };
        next = text.len() - escape.len();
        if let Some(hidden) = hidden {
            out.push_str(text.get(copied..start)?);
            out.push(hidden);
            copied = text.len() - rest.as_str().len();
            next = copied;
        }
    }
    (copied > 0).then(|| out + text.get(copied..).unwrap_or_default())
}

/// The text with one backslash where several stand, or where one is told as `\u005c`: so stand paths in JSON, however
/// often encoded. None where there are none.
pub(in crate::redact) fn collapsed(text: &str) -> Option<String> {
    const ESCAPED: &str = "u005c";
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('\\') {
        out.push_str(before);
        out.push('\\');
        rest = behind;
        loop {
            let bare = rest.trim_start_matches('\\');
            // The backslash before it stands in the text or was taken just now.
            match bare.split_at_checked(ESCAPED.len()) {
                Some((escaped, behind)) if escaped.eq_ignore_ascii_case(ESCAPED) => rest = behind,
                _ => {
                    rest = bare;
                    break;
                }
            }
        }
    }
    out.push_str(rest);
    (out.len() < text.len()).then_some(out)
}
