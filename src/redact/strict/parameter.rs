//! Secrets in the parameters of a URL whose names say little elsewhere: `?key=…`, `&sig=…`, `&pwd=…`.
//!
//! A parameter begins after `?`, `&`, `;`, `#` or a quote, or with the text, and goes as far as the next. Names that tell
//! everywhere (`token=`, `api_key=`) are [`super::secret`]'s.

use super::secret::is_placeholder;
use memchr::memchr_iter;
use std::ops::Range;

/// Literals one of which stands in every such parameter.
pub(super) const KEYWORDS: [&str; 13] = [
    "key=",
    "sig=",
    "signature=",
    "hmac=",
    "auth=",
    "code=",
    "jwt=",
    "appid=",
    "app_id=",
    "password=",
    "passwd=",
    "passphrase=",
    "pwd=",
];

/// Names (in lower case, letters and digits only) whose values are secret where they are random.
const SAYING_LITTLE: [&str; 10] =
    ["key", "sig", "signature", "hmac", "auth", "code", "jwt", "appid", "appkey", "hapikey"];

/// Names whose values are secret whatever they look like.
const PASSWORDS: [&str; 4] = ["password", "passwd", "passphrase", "pwd"];

/// How long a name may be.
const FAR: usize = 64;

/// Characters of the shortest random value: names and numbers of things are shorter.
const RANDOM: usize = 16;

/// Characters of the shortest password.
const PASSWORD: usize = 4;

/// Values that are secret.
pub(super) fn values(text: &str) -> Vec<Range<usize>> {
    memchr_iter(b'=', text.as_bytes()).filter_map(|sign| value(text, sign)).collect()
}

/// The value behind a `=`, where it is a secret one.
fn value(text: &str, sign: usize) -> Option<Range<usize>> {
    let before = text.get(..sign)?;
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let name = before.bytes().rev().take(FAR).take_while(is_name).count();
    let (before, name) = before.split_at_checked(sign - name)?;
    if !before.is_empty() && !before.ends_with(['?', '&', ';', '#', '"', '\'', '`']) {
        return None;
    }
    let name: String = name.chars().filter(char::is_ascii_alphanumeric).map(|char| char.to_ascii_lowercase()).collect();
    let is_password = PASSWORDS.iter().any(|end| name.ends_with(end));
    if !is_password && !SAYING_LITTLE.contains(&name.as_str()) && !name.ends_with("signature") {
        return None;
    }
    // The next parameter begins where this one ends, so that each character is looked at once.
    let rest = text.get(sign + 1..)?;
    let value = rest.get(..rest.bytes().take_while(is_value).count())?.trim_end_matches('.');
    let is_whole = !rest.get(value.len()..)?.starts_with(['(', '{', '[', '<', '*']);
    let is_secret = match is_password {
        true => value.len() >= PASSWORD && !is_placeholder(value) && !value.starts_with(['$', '%']),
        false => is_random(value),
    };
    (is_whole && is_secret).then_some(sign + 1..sign + 1 + value.len())
}

/// What stands in a parameter as it is, or encoded.
fn is_value(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'-' | b'_' | b'.' | b'~' | b'%' | b'+' | b'/' | b'=' | b'!' | b'$' | b'*' | b'@' | b':')
}

/// Whether letters, capitals and digits change more often than in any name or date: `4f9a02c7…`, `xK3pQz…`, but not
/// `summary-2026-11` or `getUserProfile`.
fn is_random(value: &str) -> bool {
    const CHARACTERS_A_CHANGE: usize = 5;
    let kind = |byte: u8| match byte {
        b'a'..=b'z' => 1,
        b'A'..=b'Z' => 2,
        b'0'..=b'9' => 3,
        _ => 0,
    };
    let is_change = |pair: &&[u8]| match pair {
        // A capital followed by a small letter begins a word.
        [a, b] => !matches!((kind(*a), kind(*b)), (0, _) | (_, 0) | (2, 1)) && kind(*a) != kind(*b),
        _ => false,
    };
    let changes = value.as_bytes().windows(2).filter(is_change).count();
    // Many a name ends with a number.
    let unnumbered = value.trim_end_matches(|char: char| char.is_ascii_digit());
    value.len() >= RANDOM
        && unnumbered.bytes().any(|byte| byte.is_ascii_digit())
        && value.bytes().any(|byte| byte.is_ascii_alphabetic())
        && (changes + 1) * CHARACTERS_A_CHANGE > value.len()
}
