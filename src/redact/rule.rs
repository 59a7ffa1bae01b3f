//! A rule, and an ordered set of them that acts on one decoded text.
//!
//! Every matcher is linear in the text. Rules act one after the other, each on what those before it left, and only
//! where a literal that they need is found.

use super::config::Mode;
use super::gate::Near;
use super::gate::has_blob;
use super::gate::has_discord_run;
use super::gate::has_hex;
use super::key::Key;
use super::key::is_hex;
use aho_corasick::AhoCorasick;
use aho_corasick::AhoCorasickKind;
use memchr::memmem;
use regex::Regex;
use std::borrow::Cow;
use std::mem::discriminant;
use std::ops::Range;

/// What every mark begins with.
const MARK: &str = "[REDACTED:";

/// What a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// A rule of the user's own.
    Custom,
    /// Credentials.
    Secret,
    /// Personal data: identities are exempt, for they are personal by nature.
    Personal,
}

/// What a text must hold for a rule to be tried.
#[derive(Debug, Clone)]
pub(super) enum Trigger {
    /// Nothing.
    Always,
    /// One of these literals, in any letter case.
    Keywords(Vec<Cow<'static, str>>),
    /// One of these literals, in any letter case, with something else beside it.
    Near(Vec<Cow<'static, str>>, Near),
    /// Seven digits or more.
    Digits,
    /// An unbroken run of 40 base64 characters or more.
    Run,
    /// An unbroken run of 32 hex digits or more.
    Hex,
    /// A run in which a Discord token may stand.
    Discord,
}

/// How a rule finds what it is about.
#[derive(Debug)]
pub(super) enum Matcher {
    /// By a pattern, where the check agrees with what it found.
    Pattern(Regex, fn(&Found<'_>) -> bool),
    /// By a function that gives places in ascending order.
    Scan(fn(&str) -> Vec<Range<usize>>),
}

/// A match of a pattern.
pub(super) struct Found<'t> {
    /// The text that was searched.
    pub text: &'t str,
    /// Where the pattern matched.
    pub place: Range<usize>,
    /// What is secret of it: its group `secret`, else all of it.
    pub secret: Range<usize>,
    /// Its first group.
    pub first: &'t str,
}

impl Found<'_> {
    /// What is secret.
    pub(super) fn secret(&self) -> &str {
        self.text.get(self.secret.clone()).unwrap_or_default()
    }
}

/// What a match becomes, beside the mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// The mark takes the place of the secret.
    Mark,
    /// `NAME=` and the mark.
    Assignment,
    /// `Bearer ` and the mark.
    Bearer,
    /// `scheme://<user>:`, the mark and `@`.
    Database,
}

/// One rule.
#[derive(Debug)]
pub(super) struct Rule {
    /// Stands in its mark and in `redaction.counts`.
    pub name: Cow<'static, str>,
    /// What it is about.
    pub class: Class,
    /// When it is tried.
    pub trigger: Trigger,
    /// How it finds.
    pub matcher: Matcher,
    /// What it leaves.
    pub form: Form,
    /// What it does.
    pub mode: Mode,
}

/// What a text is, which decides what may become of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Something said.
    Text,
    /// The name of a field: it is never emptied.
    Name,
    /// What tells one person, conversation or call from others: marks carry a keyed hash, so that two stay two.
    Identity,
}

/// How a set of rules is to act.
#[derive(Debug, Clone, Copy)]
pub(super) struct Task<'a> {
    /// Of the text.
    pub role: Role,
    /// For marks with hashes.
    pub key: &'a Key,
    /// Whether the text has been through these rules: then only what changes is counted.
    pub again: bool,
}

impl Rule {
    /// Gives the number of matches, and the new text where it differs.
    fn act(&self, text: &str, task: Task<'_>) -> (u32, Option<String>) {
        let marks = marks(text);
        let mut count = 0;
        let mut out = String::new();
        let mut copied = 0;
        let mut drop = false;
        self.each(text, |found| {
            if is_within(&found.place, &marks) || self.form == Form::Mark && is_mark(found.secret()) {
                return;
            }
            let replacement = self.replacement(found, task);
            let matched = text.get(found.place.clone()).unwrap_or_default();
            if replacement != matched || !task.again {
                count += 1;
            }
            if replacement != matched {
                drop |= self.mode == Mode::Drop && task.role == Role::Text;
                out.push_str(text.get(copied..found.place.start).unwrap_or_default());
                out.push_str(&replacement);
                copied = found.place.end;
            }
        });
        if drop {
            return (count, Some(String::new()));
        }
        if copied == 0 {
            return (count, None);
        }
        out.push_str(text.get(copied..).unwrap_or_default());
        (count, Some(out))
    }

    fn each<'t>(&self, text: &'t str, mut act: impl FnMut(&Found<'t>)) {
        match &self.matcher {
            Matcher::Scan(scan) => {
                for place in scan(text) {
                    act(&Found { text, secret: place.clone(), place, first: "" });
                }
            }
            Matcher::Pattern(pattern, check) => {
                for captures in pattern.captures_iter(text) {
                    let Some(whole) = captures.get(0) else { continue };
                    let first = captures.get(1).map_or("", |group| group.as_str());
                    let found = Found {
                        text,
                        place: whole.range(),
                        secret: captures.name("secret").unwrap_or(whole).range(),
                        first,
                    };
                    if check(&found) {
                        act(&found);
                    }
                }
            }
        }
    }

    fn replacement(&self, found: &Found<'_>, task: Task<'_>) -> String {
        let mark = self.mark(found.secret(), task);
        match self.form {
            Form::Mark => {
                let before = found.text.get(found.place.start..found.secret.start).unwrap_or_default();
                let after = found.text.get(found.secret.end..found.place.end).unwrap_or_default();
                format!("{before}{mark}{after}")
            }
            Form::Assignment => format!("{}={mark}", found.first),
            Form::Bearer => format!("Bearer {mark}"),
            Form::Database => format!("{}://<user>:{mark}@", found.first),
        }
    }

    /// What masks a secret. A mark that already tells what a keyed one would is kept, so that a second time changes
    /// nothing.
    fn mark(&self, secret: &str, task: Task<'_>) -> String {
        let keyed = match self.mode {
            Mode::Mask => task.role == Role::Identity,
            Mode::Hash => true,
            Mode::Drop => task.role != Role::Text,
        };
        if !keyed {
            mark(&self.name)
        } else if is_mark(secret) {
            secret.to_owned()
        } else {
            keyed_mark(&self.name, secret, task.key)
        }
    }
}

/// What rules need, searched for at once.
#[derive(Debug)]
pub(super) struct Triggers {
    keywords: AhoCorasick,
    /// The rule of each keyword, and what must stand beside it.
    owners: Vec<(usize, Option<Near>)>,
    /// What is no keyword, each kind once, with its rules.
    others: Vec<(Trigger, Vec<usize>)>,
}

impl Triggers {
    /// Collects triggers. Their order gives them their numbers.
    #[expect(clippy::expect_used, reason = "keywords are few and short")]
    pub(super) fn new<'a>(triggers: impl IntoIterator<Item = &'a Trigger>) -> Self {
        let mut keywords: Vec<&str> = Vec::new();
        let mut owners = Vec::new();
        let mut others: Vec<(Trigger, Vec<usize>)> = Vec::new();
        for (index, trigger) in triggers.into_iter().enumerate() {
            let (own, near) = match trigger {
                Trigger::Keywords(own) => (own, None),
                Trigger::Near(own, near) => (own, Some(*near)),
                other => {
                    let same = |(known, _): &&mut (Trigger, Vec<usize>)| discriminant(known) == discriminant(other);
                    match others.iter_mut().find(same) {
                        Some((_, rules)) => rules.push(index),
                        None => others.push((other.clone(), vec![index])),
                    }
                    continue;
                }
            };
            keywords.extend(own.iter().map(AsRef::as_ref));
            owners.resize(keywords.len(), (index, near));
        }
        let keywords = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .kind(Some(AhoCorasickKind::DFA))
            .build(keywords)
            .expect("keywords are few and short");
        Self { keywords, owners, others }
    }

    /// Whether there are any.
    pub(super) fn is_any(&self) -> bool {
        !self.owners.is_empty() || !self.others.is_empty()
    }

    /// Whether these bytes pull any.
    pub(super) fn is_pulled(&self, bytes: &[u8]) -> bool {
        self.others.iter().any(|(trigger, _)| trigger.is_pulled(bytes)) || self.by_keywords(bytes).next().is_some()
    }

    /// Says which ones a text pulls.
    fn pull(&self, text: &str, pulled: &mut [bool]) {
        let others = self.others.iter().filter(|(trigger, _)| trigger.is_pulled(text.as_bytes()));
        let others = others.flat_map(|(_, rules)| rules.iter().copied());
        for index in self.by_keywords(text.as_bytes()).chain(others) {
            if let Some(pulled) = pulled.get_mut(index) {
                *pulled = true;
            }
        }
    }

    /// The rules whose keywords stand in these bytes, with what must stand beside them.
    fn by_keywords<'a>(&'a self, bytes: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
        // Without keywords the automaton would still walk over all bytes.
        let keywords = (!self.owners.is_empty()).then_some(&self.keywords);
        let found = keywords.into_iter().flat_map(move |keywords| keywords.find_overlapping_iter(bytes));
        found.filter_map(|found| {
            let (index, near) = self.owners.get(found.pattern().as_usize())?;
            near.is_none_or(|near| near.holds(bytes, found.range())).then_some(*index)
        })
    }
}

impl Trigger {
    fn is_pulled(&self, bytes: &[u8]) -> bool {
        match self {
            Self::Always => true,
            Self::Keywords(_) | Self::Near(..) => false,
            Self::Digits => has_digits(bytes),
            Self::Run => has_blob(bytes),
            Self::Hex => has_hex(bytes),
            Self::Discord => has_discord_run(bytes),
        }
    }
}

/// Whether there are seven digits or more. Counted by blocks, which the compiler makes vectors of.
fn has_digits(bytes: &[u8]) -> bool {
    const LEAST: usize = 7;
    const BLOCK: usize = 128;
    let mut count = 0;
    bytes.chunks(BLOCK).any(|block| {
        count += block.iter().filter(|byte| byte.is_ascii_digit()).count();
        count >= LEAST
    })
}

/// An ordered set of rules.
#[derive(Debug)]
pub(super) struct Rules {
    rules: Vec<Rule>,
    triggers: Triggers,
}

impl Rules {
    /// Puts rules into a set. They act in this order.
    pub(super) fn new(rules: Vec<Rule>) -> Self {
        let triggers = Triggers::new(rules.iter().map(|rule| &rule.trigger));
        Self { rules, triggers }
    }

    /// The rules, in order.
    pub(super) fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Lets the rules act on one decoded text, and counts what each did. None where nothing changes.
    pub(super) fn apply(&self, text: &str, task: Task<'_>, tally: &mut [u32]) -> Option<String> {
        let mut wanted = vec![false; self.rules.len()];
        self.triggers.pull(text, &mut wanted);
        let mut current: Option<String> = None;
        for (index, rule) in self.rules.iter().enumerate() {
            let exempt = task.role == Role::Identity && rule.class == Class::Personal;
            if exempt || !wanted.get(index).is_some_and(|wanted| *wanted) {
                continue;
            }
            let (count, next) = rule.act(current.as_deref().unwrap_or(text), task);
            if let Some(total) = tally.get_mut(index) {
                *total += count;
            }
            if let Some(next) = next {
                self.triggers.pull(&next, &mut wanted);
                current = Some(next);
            }
        }
        current.filter(|current| current != text)
    }
}

/// Where marks stand in a text, in ascending order.
fn marks(text: &str) -> Vec<Range<usize>> {
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

fn is_within(place: &Range<usize>, marks: &[Range<usize>]) -> bool {
    let after = marks.partition_point(|mark| mark.start <= place.start);
    after.checked_sub(1).and_then(|index| marks.get(index)).is_some_and(|mark| place.end <= mark.end)
}
