//! Percent-encoding, as URLs and forms have it: what it hides is looked at decoded.

use memchr::memchr_iter;

/// A text that was encoded twice is decoded twice.
const MOST: usize = 3;

/// Whether anything that can be seen is percent-encoded.
pub(super) fn is_in(bytes: &[u8]) -> bool {
    memchr_iter(b'%', bytes).any(|at| hidden(bytes, at).is_some())
}

/// The text with what can be seen decoded: ASCII only. None where nothing of that is encoded.
pub(super) fn decoded(text: &str) -> Option<String> {
    let mut out = once(text)?;
    for _ in 1..MOST {
        match once(&out) {
            Some(next) => out = next,
            None => break,
        }
    }
    Some(out)
}

fn once(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut copied = 0;
    for at in memchr_iter(b'%', text.as_bytes()) {
        let Some(char) = hidden(text.as_bytes(), at).filter(|_| at >= copied) else { continue };
        out.push_str(text.get(copied..at)?);
        out.push(char);
        copied = at + 3;
    }
    (copied > 0).then(|| out + text.get(copied..).unwrap_or_default())
}

/// What the percent sign at a place and the two digits behind it stand for.
fn hidden(bytes: &[u8], at: usize) -> Option<char> {
    let digits = bytes.get(at + 1..at + 3).and_then(|digits| std::str::from_utf8(digits).ok())?;
    let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let byte = u8::from_str_radix(digits, 16).ok().filter(|_| is_hex)?;
    matches!(byte, b'\n' | b' '..=b'~').then_some(char::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_seen_is_decoded() {
        for (text, expected) in [
            ("password%3Dhunter2", Some("password=hunter2")),
            ("Bearer%20x%2b%2B", Some("Bearer x++")),
            ("a%2520b%253D", Some("a b=")),
            ("é%C3%A9%41", Some("é%C3%A9A")),
            ("100% of %d and %+5, 5%", None),
            ("%00%1f%7F%ff", None),
            ("%%41", Some("%A")),
            ("", None),
        ] {
            assert_eq!(decoded(text).as_deref(), expected, "{text}");
            assert_eq!(is_in(text.as_bytes()), expected.is_some(), "{text}");
        }
    }
}
