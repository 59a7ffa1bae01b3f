//! Secrets that are known by the name that they are assigned to, in text (`password=…`) and in JSON.

use crate::redact::key::is_identity;
use crate::redact::mark::without_marks;
use crate::redact::rule::Found;
use memchr::memchr2_iter;
use memchr::memmem;
use std::ops::Range;

/// Literals one of which stands in every telling name; the last two are the key `auth` in JSON.
pub(super) const KEYWORDS: [&str; 10] =
    ["pass", "pw", "secret", "token", "key", "credential", "authorization", "cookie", "auth\"", "auth\\"];

/// Literals one of which stands where a password is told in a sentence.
pub(super) const SAID_KEYWORDS: [&str; 4] = ["password", "passwort", "passphrase", "passcode"];

/// `the password is …`, `password was: …`.
pub(super) const SAID_PATTERN: &str = r#"(?i-u:password|passwort|passphrase|passcode)\s+(?i-u:is|was|ist|=|:)\s*:?\s*["'`]?(?P<secret>[^\s"'`<>]{6,128})"#;

/// Literals one of which stands in an element with a telling name.
pub(super) const ELEMENT_KEYWORDS: [&str; 6] = ["password>", "passwd>", "passphrase>", "pwd>", "secret>", "token>"];

/// `<password>…</password>`.
pub(super) const ELEMENT_PATTERN: &str = r"<(?P<name>[A-Za-z][A-Za-z0-9_.:-]{1,40})>\s*(?P<secret>[^<>\s]{4,256})\s*</";

/// Whether what is said to be a password looks like one.
pub(super) fn is_said(found: &Found<'_>) -> bool {
    let said = found.secret().trim_end_matches(['.', ',', ';', ')', '!', '?', '*']);
    !is_placeholder(said) && !said.starts_with(['$', '{', '[', '(']) && !said.contains("://") && is_random(said)
}

/// How far a name, a quoted value or what decides about a value goes.
const FAR: usize = 256;

/// Ends of names (in lower case, letters and digits only) whose values are secret whatever they look like.
const PASSWORDS: [&str; 8] =
    ["password", "passwd", "passphrase", "pwd", "clientsecret", "authorization", "setcookie", "cookie"];

/// Ends of names whose values are secret where they look like one.
const TOKENS: [&str; 15] = [
    "secret",
    "token",
    "apikey",
    "accesskey",
    "accountkey",
    "privatekey",
    "secretkey",
    "authkey",
    "encryptionkey",
    "signingkey",
    "sharedkey",
    "masterkey",
    "subscriptionkey",
    "credential",
    "credentials",
];

/// Ends of names that only sound so.
const HARMLESS: [&str; 4] = ["pagetoken", "continuationtoken", "stoptoken", "eostoken"];

/// What stands where a secret is left out, or where a form is described.
const PLACEHOLDERS: [&str; 17] = [
    "null",
    "none",
    "nil",
    "true",
    "false",
    "undefined",
    "required",
    "optional",
    "redacted",
    "filtered",
    "hidden",
    "string",
    "text",
    "str",
    "empty",
    "unset",
    "bearer",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Telling {
    Password,
    Token,
}

/// Whether a name may tell anything, to judge by its last two letters: nearly none does.
fn may_tell(name: &str) -> bool {
    let letters = name.bytes().rev().filter(u8::is_ascii_alphanumeric).skip_while(u8::is_ascii_digit);
    let mut letters = letters.map(|byte| byte.to_ascii_lowercase());
    matches!(
        (letters.next(), letters.next()),
        // Password, passwd, pwd; passphrase; authorization; cookie; secret; token; key; credential(s); pass; pw.
        (Some(b'd'), Some(b'r' | b'w'))
            | (Some(b'e'), Some(b's' | b'i'))
            | (Some(b'n'), Some(b'o' | b'e'))
            | (Some(b't'), Some(b'e'))
            | (Some(b'y'), Some(b'e'))
            | (Some(b'l'), Some(b'a'))
            | (Some(b's'), Some(b'l' | b's'))
            | (Some(b'w'), Some(b'p'))
    )
}

fn telling(name: &str) -> Option<Telling> {
    if !may_tell(name) {
        return None;
    }
    let letters: String =
        name.chars().filter(char::is_ascii_alphanumeric).map(|char| char.to_ascii_lowercase()).collect();
    let letters = letters.trim_end_matches(|char: char| char.is_ascii_digit());
    let ends = |ends: &[&str]| ends.iter().any(|end| letters.ends_with(end));
    if ends(&HARMLESS) {
        None
    } else if ends(&PASSWORDS) {
        Some(Telling::Password)
    } else {
        // What ends with `pass` may also be a ticket or a round.
        (ends(&TOKENS) || is_pass(name)).then_some(Telling::Token)
    }
}

/// Whether a name ends with the word `pass` (`SMTP_PASS`, `dbPass`), and not with a longer one (`bypass`).
fn is_pass(name: &str) -> bool {
    let name = name.trim_end_matches(|char: char| char.is_ascii_digit());
    let Some((before, word)) = name.len().checked_sub(4).and_then(|at| name.split_at_checked(at)) else {
        return name.eq_ignore_ascii_case("pw");
    };
    let is_word = before.ends_with(['_', '-', '.', ' ']) || before.is_empty();
    word.eq_ignore_ascii_case("pass") && is_word
        || word == "Pass" && before.ends_with(|char: char| char.is_ascii_lowercase())
}

/// Whether the value of a JSON field is secret, to judge by the field's name.
pub(in crate::redact) fn is_secret(name: &str, value: &str) -> bool {
    let telling = if name.contains('[') { telling(&without_marks(name)) } else { telling(name) };
    match telling {
        _ if is_identity(value) => false,
        Some(Telling::Password) => !value.is_empty() && !is_placeholder(value),
        Some(Telling::Token) => value.len() >= 8 && !value.contains(char::is_whitespace) && is_random(value),
        // As container registries have them.
        None => name.eq_ignore_ascii_case("auth") && value.len() >= 8 && super::is_pair(value),
    }
}

/// A value that something with a name is given.
struct Assignment<'t> {
    name: &'t str,
    value: Range<usize>,
    is_quoted: bool,
    /// Whether nothing stands between name, `=` and value.
    is_tight: bool,
}

/// Values of `name=value`, `name: value`, `"name": "value"`, `name := value` and `--name value` that are secret.
pub(super) fn assignments(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let mut found: Vec<Range<usize>> = Vec::new();
    let mut ends = Ends { text, last: 0 };
    let signs = memchr2_iter(b':', b'=', bytes).filter_map(|sign| by_sign(&mut ends, sign));
    for assignment in signs {
        let is_inside = found.last().is_some_and(|last| assignment.value.start < last.end);
        if !is_inside && is_assigned(text, &assignment) {
            found.push(assignment.value);
        }
    }
    let mut ends = Ends { text, last: 0 };
    let flags = memmem::find_iter(bytes, "--").filter_map(|dashes| by_flag(&mut ends, dashes));
    let flags: Vec<Assignment<'_>> = flags.filter(|assignment| is_assigned(text, assignment)).collect();
    if !flags.is_empty() {
        found.extend(flags.into_iter().map(|assignment| assignment.value));
        found.sort_by_key(|value| value.start);
        found.dedup_by(|next, last| next.start < last.end);
    }
    found
}

/// Where unquoted values end. Asked in ascending order, it looks at each character once.
struct Ends<'t> {
    text: &'t str,
    last: usize,
}

impl Ends<'_> {
    fn after(&mut self, start: usize) -> usize {
        if start >= self.last {
            let rest = self.text.get(start..).unwrap_or_default();
            self.last = start + rest.find(is_delimiter).unwrap_or(rest.len());
        }
        self.last
    }
}

/// What `:` or `=` assigns.
fn by_sign<'t>(ends: &mut Ends<'t>, sign: usize) -> Option<Assignment<'t>> {
    let text = ends.text;
    let before = text.get(..sign)?;
    let spaced = before.trim_end_matches([' ', '\t']);
    let unquoted = spaced.strip_suffix(['"', '\'', '`']).unwrap_or(spaced);
    let name = unquoted.bytes().rev().take(FAR).take_while(|byte| is_name(*byte)).count();
    let name = unquoted.get(unquoted.len() - name..)?;
    telling(name)?;
    let after = text.get(sign..)?;
    let rest = [":=", "=>", ":", "="].iter().find_map(|sign| after.strip_prefix(sign))?;
    if rest.starts_with('=') || before.len() - spaced.len() > 4 {
        return None;
    }
    let is_tight = after.len() == rest.len() + 1 && unquoted.len() == sign;
    value(ends, text.len() - rest.len(), name, is_tight && after.starts_with('='))
}

/// What stands after `--name `.
fn by_flag<'t>(ends: &mut Ends<'t>, dashes: usize) -> Option<Assignment<'t>> {
    let text = ends.text;
    let rest = text.get(dashes + 2..)?;
    let name = rest.get(..rest.bytes().take(FAR).take_while(|byte| is_name(*byte)).count())?;
    telling(name)?;
    rest.get(name.len()..)?.strip_prefix(' ')?;
    value(ends, dashes + 2 + name.len() + 1, name, false)
}

/// The value that begins at `start`, maybe after spaces and a quote.
fn value<'t>(ends: &mut Ends<'t>, start: usize, name: &'t str, is_tight: bool) -> Option<Assignment<'t>> {
    let text = ends.text;
    let rest = text.get(start..)?;
    let unspaced = rest.trim_start_matches([' ', '\t']);
    if rest.len() - unspaced.len() > 4 {
        return None;
    }
    let quote = unspaced.chars().next().filter(|first| matches!(first, '"' | '\'' | '`'));
    let inside = quote.and_then(|quote| unspaced.strip_prefix(quote)).unwrap_or(unspaced);
    let start = text.len() - inside.len();
    let quoted = quote.and_then(|quote| {
        let len = inside.char_indices().take(FAR).find(|(_, char)| matches!(char, '\r' | '\n') || *char == quote)?.0;
        inside.get(len..)?.starts_with(quote).then_some(len)
    });
    let end = quoted.map_or_else(|| ends.after(start), |len| start + len);
    Some(Assignment { name, value: start..end, is_quoted: quoted.is_some(), is_tight })
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

fn is_delimiter(char: char) -> bool {
    char.is_whitespace()
        || matches!(char, '"' | '\'' | '`' | ',' | ';' | '&' | '<' | '>' | '(' | ')' | '{' | '}' | '[' | ']')
}

/// Whether an assignment is one of a secret, and not prose or program code.
fn is_assigned(text: &str, assignment: &Assignment<'_>) -> bool {
    let Assignment { name, value, is_quoted, is_tight } = assignment;
    let Some(telling) = telling(name) else { return false };
    let after = text.get(value.end..).unwrap_or_default();
    let value = text.get(value.clone()).unwrap_or_default();
    let is_code = after.starts_with(['(', '[', '{']) || value.starts_with(['$', '%', '@', '*']);
    if value.len() < 6 || is_code || is_placeholder(value) {
        return false;
    }
    let head = value.get(..value.len().min(FAR)).unwrap_or(value);
    if head.contains("://") || *is_quoted && telling == Telling::Token && head.contains(char::is_whitespace) {
        return false;
    }
    if is_random(head) {
        return telling == Telling::Password || value.len() >= 8;
    }
    // Digits alone are a count, unless the name says that they are a password.
    if head.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return telling == Telling::Password && !head.contains('.');
    }
    // A word: the name of a variable or prose, unless it is quoted, an environment variable's value or a parameter's.
    let is_environment = *is_tight && !name.bytes().any(|byte| byte.is_ascii_lowercase());
    let before = text.get(..assignment.value.start).and_then(|text| text.strip_suffix('=')?.strip_suffix(name));
    let is_parameter = *is_tight && before.is_some_and(|before| before.ends_with(['?', '&', ';']));
    value.len() >= 8 && (is_environment || (is_parameter || *is_quoted) && telling == Telling::Password)
}

/// Whether letters stand with digits or other signs, as in no word and no number.
fn is_random(value: &str) -> bool {
    if is_scrambled(value) {
        return true;
    }
    let letters = value.bytes().any(|byte| byte.is_ascii_alphabetic());
    let digits = value.bytes().any(|byte| byte.is_ascii_digit());
    let signs = value
        .bytes()
        .any(|byte| matches!(byte, b'!' | b'#' | b'$' | b'%' | b'^' | b'*' | b'?' | b'~' | b'+' | b'@' | b'='));
    letters && (digits || signs)
}

/// Whether letters change their case more often than in any name: `meMjvqPVStNK`, but not `getUrlFromDB`.
fn is_scrambled(value: &str) -> bool {
    const LETTERS_A_WORD: usize = 3;
    let is_letters = value.len() >= 10 && value.bytes().all(|byte| byte.is_ascii_alphabetic());
    let pairs = value.as_bytes().windows(2);
    // A word begins where a small letter is followed by a capital, and at the last of several capitals.
    let starts =
        pairs.filter(|pair| matches!(pair, [a, b] if a.is_ascii_lowercase() && b.is_ascii_uppercase())).count();
    let ends = value
        .as_bytes()
        .windows(3)
        .filter(|three| matches!(three, [a, b, c] if a.is_ascii_uppercase() && b.is_ascii_uppercase() && c.is_ascii_lowercase()))
        .count();
    is_letters && (starts + ends + 1) * LETTERS_A_WORD > value.len()
}

pub(super) fn is_placeholder(value: &str) -> bool {
    let word = value.trim_matches(|char: char| !char.is_alphanumeric());
    let first = value.bytes().next();
    PLACEHOLDERS.iter().any(|placeholder| word.eq_ignore_ascii_case(placeholder))
        || value.bytes().take(FAR).all(|byte| Some(byte) == first)
        || value.starts_with("[REDACTED")
}
