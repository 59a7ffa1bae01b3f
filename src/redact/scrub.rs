//! Redacts one text of a record: opens the JSON in it, and lets the rules act on each decoded string.

use super::config::Config;
use super::config::Content;
use super::config::Fault;
use super::config::Policy;
use super::content;
use super::custom;
use super::fields;
use super::fields::Field;
use super::floor;
use super::gate::Gate;
use super::gate::has_escape;
use super::json;
use super::json::NotJson;
use super::json::Place;
use super::json::escape;
use super::key::Key;
use super::key::is_identity;
use super::mark::is_mark;
use super::mark::mark;
use super::percent;
use super::rule::Role;
use super::rule::Rules;
use super::rule::Task;
use super::strict;
use super::trigger::Trigger;
use super::trigger::Triggers;
use crate::event::Envelope;
use crate::event::Partial;
use std::collections::BTreeMap;

/// How often a string may hold JSON that holds a string that holds JSON. What lies deeper is read as text.
const DEEPEST: usize = 8;
/// What rules leave may be for other rules. They act again until nothing changes, but not more often than this.
const MOST_PASSES: usize = 4;

/// What is counted beside the rules, after them in a [`Tally`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extra {
    /// Values under names that the configuration lists.
    Key,
    /// Identities that were hashed.
    Identity,
    /// Texts that the content policy cut, hashed or left out.
    Content,
}

impl Extra {
    const ALL: [Self; 3] = [Self::Key, Self::Identity, Self::Content];

    /// Stands in marks and in `redaction.counts`.
    fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Identity => "identity",
            Self::Content => content::NAME,
        }
    }
}

/// How often each rule acted, by its number.
pub(super) type Tally = Vec<u32>;

/// All that redaction goes by.
#[derive(Debug)]
pub(super) struct Scrub {
    policy: Policy,
    content: Content,
    rules: Rules,
    key: Key,
    /// Before the built-in rules of `floor`.
    gate: Option<Gate>,
    /// Before all rules that the gate does not know, and the names of fields.
    triggers: Triggers,
    /// Names of fields that are masked, in lower case.
    keys: Vec<String>,
    /// Number of the rule that masks JSON fields with telling names.
    secret_field: Option<usize>,
}

impl Scrub {
    pub(super) fn new(config: &Config, key: Key) -> Result<Self, Vec<Fault>> {
        let built_in = match config.policy {
            Policy::Floor => floor::rules(),
            Policy::Strict => strict::rules(),
            Policy::None => Vec::new(),
        };
        // `strict` has all names of `floor`. Another policy may be set for some callers: what is refused is refused
        // under every policy.
        let strict = if config.rules.is_empty() { Vec::new() } else { strict::rules() };
        let taken: Vec<&str> =
            strict.iter().map(|rule| rule.name.as_ref()).chain(Extra::ALL.map(Extra::name)).collect();
        let (custom, mut faults) = match custom::rules(&config.rules, &taken) {
            Ok(rules) => (rules, Vec::new()),
            Err(faults) => (Vec::new(), faults),
        };
        faults.extend(config.hash_key.as_ref().and_then(|text| Key::from_text(text).err()));
        if config.keys.iter().any(String::is_empty) {
            faults.push(Fault::Key);
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let keys: Vec<String> = config.keys.iter().map(|key| key.to_lowercase()).collect();
        let names: Vec<Trigger> =
            keys.iter()
                .map(|name| {
                    if custom::is_plain(name) { Trigger::Keywords(vec![name.clone().into()]) } else { Trigger::Always }
                })
                .collect();
        let gate = (config.policy == Policy::Floor).then(Gate::new);
        let behind_gate = if gate.is_some() { &[] } else { built_in.as_slice() };
        let triggers = custom.iter().chain(behind_gate).map(|rule| &rule.trigger).chain(&names);
        let triggers = Triggers::new(triggers);
        let rules = Rules::new(custom.into_iter().chain(built_in).collect());
        let secret_field = rules.rules().iter().position(|rule| rule.name == strict::SECRET_FIELD);
        Ok(Self { policy: config.policy, content: config.content, rules, key, gate, triggers, keys, secret_field })
    }

    pub(super) fn policy(&self) -> Policy {
        self.policy
    }

    /// Starts on a record.
    pub(super) fn run(&self) -> Run<'_> {
        Run { scrub: self, tally: vec![0; self.rules.rules().len() + Extra::ALL.len()], hashed: BTreeMap::new() }
    }

    /// Redacts a text that stands alone.
    pub(super) fn text(&self, text: &mut String) {
        self.run().field(Field::Text, text);
    }

    /// Whether an encoded message may hold anything to redact.
    pub(super) fn suspects_record(&self, encoded: &[u8]) -> bool {
        self.policy == Policy::Strict || self.content != Content::Full || self.suspects(encoded)
    }

    /// Whether a text, raw JSON or encoded message may hold anything for a rule.
    fn suspects(&self, bytes: &[u8]) -> bool {
        match &self.gate {
            Some(gate) => gate.is_open(bytes) || self.triggers.is_pulled(bytes),
            None => {
                self.triggers.is_pulled(bytes)
                    || self.triggers.is_any() && has_escape(bytes)
                    || self.policy == Policy::Strict && percent::is_in(bytes)
            }
        }
    }

    fn is_masked_name(&self, name: Option<&str>) -> bool {
        !self.keys.is_empty() && name.is_some_and(|name| self.keys.contains(&name.to_lowercase()))
    }

    /// Adds what another tally counted.
    pub(super) fn add(&self, tally: &mut Tally, other: &Tally) {
        for (total, count) in tally.iter_mut().zip(other) {
            *total += count;
        }
    }

    /// Adds counts by name. Names that no rule has are left out.
    pub(super) fn add_named(&self, tally: &mut Tally, counts: &BTreeMap<String, i64>) {
        for (name, count) in counts {
            if let Some((_, total)) = self.names().zip(tally.iter_mut()).find(|(known, _)| known == name) {
                *total += u32::try_from(*count).unwrap_or_default();
            }
        }
    }

    /// The counts that are not zero, by name.
    pub(super) fn named(&self, tally: &Tally) -> BTreeMap<String, i64> {
        let mut named = BTreeMap::new();
        for (name, count) in self.names().zip(tally).filter(|(_, count)| **count > 0) {
            *named.entry(name.to_owned()).or_default() += i64::from(*count);
        }
        named
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.rules.rules().iter().map(|rule| rule.name.as_ref()).chain(Extra::ALL.map(Extra::name))
    }
}

/// Redaction of one record.
pub(super) struct Run<'s> {
    scrub: &'s Scrub,
    tally: Tally,
    /// Identities of this record that were replaced, with what stands in their place.
    hashed: BTreeMap<String, String>,
}

/// A text on its way through the rules.
#[derive(Clone, Copy)]
struct Step {
    role: Role,
    /// Whether it is JSON, whatever it begins with.
    is_json: bool,
    again: bool,
    depth: usize,
}

impl Run<'_> {
    /// Redacts one field.
    fn field(&mut self, field: Field<'_>, text: &mut String) {
        let strict = self.scrub.policy == Policy::Strict;
        let (role, is_json, name) = match field {
            Field::Identity | Field::Number if strict => return self.hash(field, text),
            Field::Identity | Field::Number => (Role::Identity, false, None),
            Field::Text | Field::Label | Field::Path | Field::Own => (Role::Text, false, None),
            Field::Name => (Role::Name, false, None),
            Field::Json(name) | Field::Definitions(name) => (Role::Text, true, name),
            Field::Tag(name) => (Role::Text, false, Some(name)),
        };
        for pass in 0..MOST_PASSES {
            let step = Step { role, is_json, again: pass > 0, depth: 0 };
            let new = match field {
                Field::Tag(_) => self.token(Place::Value(name), text, step),
                _ => self.value(text, name, step),
            };
            let Some(new) = new else { break };
            *text = new;
        }
    }

    /// Redacts a text whose parts have been through the rules.
    pub(super) fn joined(&mut self, text: &mut String) {
        for _ in 0..MOST_PASSES {
            let step = Step { role: Role::Text, is_json: false, again: true, depth: 0 };
            let Some(new) = self.value(text, None, step) else { break };
            *text = new;
        }
        let count = content::cut(self.scrub.content, &self.scrub.key, text);
        self.count(Extra::Content, count);
    }

    /// Redacts a record.
    pub(super) fn partial(&mut self, partial: &mut Partial) {
        fields::partial(partial, &mut |field, text| self.field(field, text));
        let count = content::apply(self.scrub.content, &self.scrub.key, partial);
        self.count(Extra::Content, count);
    }

    /// Redacts an envelope.
    pub(super) fn envelope(&mut self, envelope: &mut Envelope) {
        fields::envelope(envelope, &mut |field, text| self.field(field, text));
        let count = content::apply_to_envelope(self.scrub.content, &self.scrub.key, envelope);
        self.count(Extra::Content, count);
    }

    /// What was done.
    pub(super) fn finish(self) -> Tally {
        self.tally
    }

    fn hash(&mut self, field: Field<'_>, text: &mut String) {
        if text.is_empty() || is_identity(text) {
            return;
        }
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        let is_number = field == Field::Number && !digits.is_empty();
        let hash = self.scrub.key.identity(if is_number { &digits } else { text });
        self.count(Extra::Identity, 1);
        if is_number {
            self.hashed.insert(digits, hash.clone());
        }
        self.hashed.insert(std::mem::replace(text, hash.clone()), hash);
    }

    fn masked(&mut self) -> String {
        self.count(Extra::Key, 1);
        mark(Extra::Key.name())
    }

    fn count(&mut self, extra: Extra, count: u32) {
        if let Some(total) = self.tally.get_mut(self.scrub.rules.rules().len() + extra as usize) {
            *total += count;
        }
    }

    /// Redacts a text that may be JSON and stands under a name.
    fn value(&mut self, text: &str, name: Option<&str>, step: Step) -> Option<String> {
        let may_tell = self.scrub.is_masked_name(name) || name.is_some() && self.scrub.secret_field.is_some();
        if !may_tell && self.hashed.is_empty() && !self.scrub.suspects(text.as_bytes()) {
            return None;
        }
        if step.depth < DEEPEST && (step.is_json || json::looks_like(text)) {
            let before = self.tally.clone();
            let inner = Step { is_json: false, depth: step.depth + 1, ..step };
            match json::rewrite(text, name, &mut |place, text| self.token(place, text, inner)) {
                Ok(new) => return new,
                Err(NotJson) => self.tally = before,
            }
        }
        let task = Task { role: step.role, key: &self.scrub.key, again: step.again };
        let new = self.scrub.rules.apply(text, task, &mut self.tally);
        // JSON within a text, or what is left of it, hides by its escapes what the rules look for.
        let new = self.hidden(new, text, escape::collapsed, task);
        let new = self.hidden(new, text, escape::unescaped, task);
        let new = self.hidden(new, text, |text| escape::collapsed(&escape::unescaped(text)?), task);
        if self.scrub.policy != Policy::Strict {
            return new;
        }
        self.hidden(new, text, percent::decoded, task)
    }

    /// Redacts what shows itself once a text, or what has become of it, is decoded.
    fn hidden(
        &mut self,
        new: Option<String>,
        text: &str,
        decoded: fn(&str) -> Option<String>,
        task: Task<'_>,
    ) -> Option<String> {
        let plain = decoded(new.as_deref().unwrap_or(text)).filter(|plain| self.scrub.suspects(plain.as_bytes()));
        let again = Task { again: true, ..task };
        plain.and_then(|plain| self.scrub.rules.apply(&plain, again, &mut self.tally)).or(new)
    }

    /// Redacts a token of a JSON text.
    fn token(&mut self, place: Place<'_>, text: &str, step: Step) -> Option<String> {
        let name = match place {
            Place::Key => return self.value(text, None, Step { role: Role::Name, ..step }),
            Place::Value(name) | Place::Number(name) => name,
            Place::Nest(name, _) => return self.scrub.is_masked_name(name).then(|| self.masked()),
        };
        if self.scrub.is_masked_name(name) {
            if text.is_empty() || is_mark(text) {
                return None;
            }
            return Some(self.masked());
        }
        if let (Some(rule), Some(name)) = (self.scrub.secret_field, name)
            && strict::is_secret(name, text)
        {
            if let Some(total) = self.tally.get_mut(rule) {
                *total += 1;
            }
            return Some(mark(strict::SECRET_FIELD));
        }
        if let Some(hash) = self.hashed.get(text) {
            return Some(hash.clone());
        }
        self.value(text, None, step)
    }
}
