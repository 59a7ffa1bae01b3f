//! A rule, and an ordered set of them that acts on one decoded text.
//!
//! Every matcher is linear in the text. Rules act one after the other, each on what those before it left, and only
//! where a literal that they need is found.

use super::config::Mode;
use super::key::Key;
use super::mark::is_mark;
use super::mark::is_within;
use super::mark::keyed_mark;
use super::mark::mark;
use super::mark::marks;
use super::trigger::Trigger;
use super::trigger::Triggers;
use regex::Regex;
use std::borrow::Cow;
use std::ops::Range;

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
