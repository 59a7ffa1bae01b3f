//! What redaction promises, seen from outside.

mod content;
mod custom;
mod fields;
mod floor;
mod json;
mod linear;
mod measured;
mod strict;

use super::*;
use crate::event::Event;

/// A redactor with a policy and nothing else.
fn with_policy(policy: Policy) -> Redactor {
    with(&Config { policy, ..Config::default() })
}

fn with(config: &Config) -> Redactor {
    Redactor::new(config, Key::new(b"a key of the tests")).unwrap()
}

/// One record through the door and back.
fn record(redactor: &Redactor, partial: Partial) -> Partial {
    let redacted = redactor.redact(Envelope::default(), vec![(0, partial)]);
    Record::decode(&redacted.records()[0]).unwrap().partial
}

/// What is counted for a text, by rule.
fn counts(redactor: &Redactor, text: &str) -> BTreeMap<String, i64> {
    let row = Event { name: text.to_owned(), ..Default::default() };
    let partial = record(redactor, Partial { row: Some(Box::new(row)), ..Default::default() });
    partial.row.unwrap().redaction.unwrap().counts
}

/// `{}` out of a text: written so, no scanner takes this project's made-up secrets for leaks.
fn fake(text: &str) -> String {
    text.replace("{}", "")
}
