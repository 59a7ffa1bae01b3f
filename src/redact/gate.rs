//! One cheap pass over raw bytes that tells whether anything in them could be for a rule.
//!
//! The bytes may be a text, a JSON text (however often encoded) or an encoded message: literals of the rules stand in
//! them as they are, unless JSON escapes hide them, so such escapes open the gate too. It may open for nothing; it
//! never stays shut for something. What it checks around a literal lies within one string and is bounded, so that the
//! pass is linear.

use super::key::is_hex;
use aho_corasick::AhoCorasick;
use aho_corasick::Span;
use aho_corasick::packed;
use memchr::memchr_iter;
use std::ops::Range;

/// Characters of the shortest text that a rule of `floor` matches, `a@b.cc`.
const SHORTEST: usize = 6;
/// Length of the runs that are looked into: an AWS secret key.
const RUN: usize = 40;
/// Digits of a Twilio id.
const HEX: usize = 32;
/// How far a check looks before it opens the gate unseen.
const FAR: usize = 256;

/// What is checked where a literal is found.
#[derive(Debug, Clone, Copy)]
enum Check {
    /// Nothing.
    Open,
    /// At least this many bytes of the class follow.
    Follow(usize, fn(u8) -> bool),
    /// `xox`: a kind, a hyphen, ten more.
    Slack,
    /// An upper-case name is being assigned to.
    Assignment,
    /// White space follows.
    Space,
    /// The scheme of a database stands before.
    Scheme,
    /// A path goes on.
    Path,
}

/// None is shorter than three bytes: the finder looks at as many at once as the shortest has.
const LITERALS: [(&str, Check); 25] = [
    ("sk-", Check::Follow(20, is_token)),
    ("AIza", Check::Follow(35, is_token)),
    ("AKIA", Check::Follow(16, is_upper)),
    ("ASIA", Check::Follow(16, is_upper)),
    ("ghp_", Check::Follow(36, is_alphanumeric)),
    ("gho_", Check::Follow(36, is_alphanumeric)),
    ("ghs_", Check::Follow(36, is_alphanumeric)),
    ("ghu_", Check::Follow(36, is_alphanumeric)),
    ("ghr_", Check::Follow(36, is_alphanumeric)),
    ("xox", Check::Slack),
    ("k_live_", Check::Follow(24, is_alphanumeric)),
    ("k_test_", Check::Follow(24, is_alphanumeric)),
    ("s_live_", Check::Follow(32, is_token)),
    ("eyJ", Check::Follow(10, is_token)),
    ("PRIVATE KEY-----", Check::Open),
    ("TOKEN", Check::Assignment),
    ("KEY", Check::Assignment),
    ("SECRET", Check::Assignment),
    ("PASSW", Check::Assignment),
    ("API", Check::Assignment),
    ("Bearer", Check::Space),
    ("://", Check::Scheme),
    ("/Users/", Check::Path),
    ("/home/", Check::Path),
    (r"\Users\", Check::Open),
];

/// What must stand beside a keyword of a rule: what the rule asks for, or more. It is told from raw bytes, so that what
/// JSON escapes may hide counts as there.
#[derive(Debug, Clone, Copy)]
pub(super) enum Near {
    /// At least so many characters of tokens follow.
    Follow(usize),
    /// An upper-case name that it is a part of is being assigned to.
    Assignment,
    /// A name that it is a part of is being assigned to, or is that of a flag.
    Naming,
}

impl Near {
    /// Whether it stands there.
    pub(super) fn holds(self, bytes: &[u8], keyword: Range<usize>) -> bool {
        let before = bytes.get(..keyword.start).unwrap_or_default();
        let after = bytes.get(keyword.end..).unwrap_or_default();
        match self {
            Self::Follow(least) => after.get(..least).is_some_and(|next| next.iter().all(|byte| is_of_token(*byte))),
            Self::Assignment => {
                let is_upper = bytes.get(keyword).is_some_and(|word| word.iter().all(u8::is_ascii_uppercase));
                is_upper && is_assignment(before, after)
            }
            Self::Naming => is_naming(before, after),
        }
    }
}

/// The rest of a name, maybe a quote and white space, then `:` or `=`; or a space behind a name that begins with `--`.
fn is_naming(before: &[u8], after: &[u8]) -> bool {
    let is_name = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let rest = after.iter().take(FAR).take_while(is_name).count();
    let mut next =
        after.iter().skip(rest).take(FAR).skip_while(|byte| matches!(byte, b'"' | b'\'' | b'`' | b' ' | b'\t'));
    if next.next().is_none_or(|byte| matches!(byte, b':' | b'=' | b'\\')) {
        return after.len() > rest;
    }
    let is_dash = |pair: &[u8]| pair == b"--";
    let name = before.iter().rev().take(FAR).take_while(is_name).count();
    let name = before.get(before.len() - name..).unwrap_or_default();
    after.get(rest) == Some(&b' ') && (name.windows(2).any(is_dash) || name.len() == FAR)
}

const SCHEMES: [&[u8]; 5] = [b"postgres", b"mysql", b"mongodb", b"redis", b"amqp"];

/// Finds literals: by vector instructions where the machine has them.
#[derive(Debug)]
enum Finder {
    Packed(Box<packed::Searcher>),
    Automaton(AhoCorasick),
}

impl Finder {
    #[expect(clippy::expect_used, reason = "the literals are a constant")]
    fn new() -> Self {
        let literals = LITERALS.iter().map(|(literal, _)| literal);
        match packed::Config::new().builder().extend(literals.clone()).build() {
            Some(searcher) => Self::Packed(Box::new(searcher)),
            None => Self::Automaton(AhoCorasick::new(literals).expect("the literals are few and short")),
        }
    }

    fn find(&self, bytes: &[u8], from: usize) -> Option<aho_corasick::Match> {
        let span = Span { start: from, end: bytes.len() };
        match self {
            Self::Packed(searcher) => searcher.find_in(bytes, span),
            Self::Automaton(automaton) => automaton.find(aho_corasick::Input::new(bytes).span(span)),
        }
    }
}

/// The gate before the rules of `floor`.
#[derive(Debug)]
pub(super) struct Gate(Finder);

impl Gate {
    /// Builds the gate.
    pub(super) fn new() -> Self {
        Self(Finder::new())
    }

    /// Whether these bytes must be looked at closely.
    pub(super) fn is_open(&self, bytes: &[u8]) -> bool {
        bytes.len() >= SHORTEST && (self.has_literal(bytes) || has_escape(bytes) || has_email(bytes) || has_run(bytes))
    }

    fn has_literal(&self, bytes: &[u8]) -> bool {
        let mut from = 0;
        while let Some(found) = self.0.find(bytes, from) {
            let before = bytes.get(..found.start()).unwrap_or_default();
            let after = bytes.get(found.end()..).unwrap_or_default();
            let check = LITERALS.get(found.pattern().as_usize()).map_or(Check::Open, |(_, check)| *check);
            if check.holds(before, after) {
                return true;
            }
            from = found.start() + 1;
        }
        false
    }
}

impl Check {
    fn holds(self, before: &[u8], after: &[u8]) -> bool {
        match self {
            Self::Open => true,
            Self::Follow(least, class) => after.get(..least).is_some_and(|next| next.iter().all(|byte| class(*byte))),
            Self::Slack => {
                let rest = after.get(2..12).is_some_and(|next| next.iter().all(|byte| is_token(*byte)));
                rest && matches!(after, [b'a' | b'b' | b'o' | b'p' | b'r' | b's', b'-', ..])
            }
            Self::Assignment => is_assignment(before, after),
            Self::Space => after.first().is_some_and(|byte| is_space(*byte)),
            Self::Scheme => is_scheme(before),
            Self::Path => after.first().is_some_and(|byte| !matches!(byte, b' ' | b'"' | b'\'' | b'`' | b')')),
        }
    }
}

/// `[A-Z0-9_]` before, the name's rest, white space (maybe escaped), then `:` or `=`.
fn is_assignment(before: &[u8], after: &[u8]) -> bool {
    if !before.last().is_some_and(|byte| is_upper(*byte) || *byte == b'_') {
        return false;
    }
    for byte in after.iter().take(FAR) {
        match byte {
            b':' | b'=' | b'\\' | 0x80.. => return true,
            byte if is_upper(*byte) || *byte == b'_' || is_space(*byte) => {}
            _ => return false,
        }
    }
    after.len() > FAR
}

/// A scheme, maybe with `+driver`, at the end.
fn is_scheme(before: &[u8]) -> bool {
    let far = before.get(before.len().saturating_sub(FAR)..).unwrap_or_default();
    let letters = far.iter().rev().take_while(|byte| byte.is_ascii_alphabetic()).count();
    let name = far.get(..far.len() - letters).unwrap_or_default();
    letters == FAR
        || name.last() == Some(&b'+')
        || SCHEMES.iter().any(|scheme| {
            let tail = before.get(before.len().saturating_sub(scheme.len())..).unwrap_or_default();
            tail.eq_ignore_ascii_case(scheme)
        })
}

fn has_email(bytes: &[u8]) -> bool {
    memchr_iter(b'@', bytes).any(|at| {
        let before = bytes.get(..at).and_then(<[u8]>::last);
        before.is_some_and(|byte| is_alphanumeric(*byte) || matches!(byte, b'.' | b'_' | b'%' | b'+' | b'-'))
            && is_domain(bytes.get(at + 1..).unwrap_or_default())
    })
}

/// Something, a dot and two letters, within a run of what domains are made of.
fn is_domain(after: &[u8]) -> bool {
    let mut dot = None;
    for (at, byte) in after.iter().take(FAR).enumerate() {
        match byte {
            b'.' if at > 0 => dot = Some(at),
            byte if byte.is_ascii_alphabetic() => {
                if at >= 2 && dot == Some(at - 2) && after.get(at - 1).is_some_and(u8::is_ascii_alphabetic) {
                    return true;
                }
            }
            b'0'..=b'9' | b'-' | b'.' => {}
            _ => return false,
        }
    }
    after.len() > FAR
}

/// Whether JSON escapes may hide literals.
pub(super) fn has_escape(bytes: &[u8]) -> bool {
    memchr_iter(b'\\', bytes)
        .any(|at| matches!(bytes.get(at + 1..), Some([b'/', ..] | [b'u', b'0', b'0', b'0'..=b'7', ..])))
}

/// Whether there is a run of 40 or more in which an AWS secret key or a Discord token may stand.
fn has_run(bytes: &[u8]) -> bool {
    runs(bytes, RUN, is_run).any(|run| has_blob(run) || has_discord(run))
}

/// Whether there is an unbroken run of 40 or more base64 characters.
pub(super) fn has_blob(bytes: &[u8]) -> bool {
    runs(bytes, RUN, is_blob).next().is_some()
}

/// Whether there is an unbroken run of 32 or more hex digits.
pub(super) fn has_hex(bytes: &[u8]) -> bool {
    runs(bytes, HEX, is_hex).next().is_some()
}

/// The runs of `least` or more bytes of a class. Jumps by what is left of a window after its last foreign byte, so
/// that ordinary text costs a few looks for each window.
fn runs(bytes: &[u8], least: usize, class: impl Fn(u8) -> bool) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        while let Some(window) = rest.get(..least) {
            let Some(foreign) = window.iter().rposition(|byte| !class(*byte)) else {
                let end = rest.iter().position(|byte| !class(*byte)).unwrap_or(rest.len());
                let run = rest.get(..end)?;
                rest = rest.get(end..)?;
                return Some(run);
            };
            rest = rest.get(foreign + 1..)?;
        }
        None
    })
}

/// Whether there is a run in which a Discord token may stand.
pub(super) fn has_discord_run(bytes: &[u8]) -> bool {
    runs(bytes, RUN, is_run).any(has_discord)
}

/// `.`, six characters, `.`, with room for the rest.
fn has_discord(run: &[u8]) -> bool {
    memchr_iter(b'.', run).any(|dot| dot >= 24 && run.get(dot + 7) == Some(&b'.') && run.len() >= dot + 7 + 28)
}

const BLOB: u8 = 1;
const TOKEN: u8 = 2;
const RUNNING: u8 = 4;

/// What each byte may be part of.
const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut at = 0;
    while at < 256 {
        #[expect(clippy::cast_possible_truncation, clippy::indexing_slicing, reason = "evaluated by the compiler")]
        {
            let byte = at as u8;
            if byte.is_ascii_alphanumeric() {
                classes[at] = BLOB | TOKEN | RUNNING;
            } else if matches!(byte, b'/' | b'+' | b'=') {
                classes[at] = BLOB | RUNNING;
            } else if matches!(byte, b'-' | b'_') {
                classes[at] = TOKEN | RUNNING;
            } else if byte == b'.' {
                classes[at] = RUNNING;
            }
        }
        at += 1;
    }
    classes
};

fn is(byte: u8, class: u8) -> bool {
    CLASSES.get(usize::from(byte)).is_some_and(|classes| classes & class != 0)
}

fn is_run(byte: u8) -> bool {
    is(byte, RUNNING)
}

/// Whether `byte` is of the base64 alphabet.
pub(super) fn is_blob(byte: u8) -> bool {
    is(byte, BLOB)
}

fn is_token(byte: u8) -> bool {
    is(byte, TOKEN)
}

/// What any token may be made of.
fn is_of_token(byte: u8) -> bool {
    is_run(byte) || byte == b','
}

fn is_alphanumeric(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

fn is_upper(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit()
}

/// White space, or what may be or begin it: a character outside ASCII, an escape.
fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || matches!(byte, 0x0b | b'\\' | 0x80..)
}
