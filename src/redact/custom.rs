//! The user's own rules: refused where they cannot work or would mask everything.

use super::config::CustomRule;
use super::config::Fault;
use super::rule::Class;
use super::rule::Form;
use super::rule::Matcher;
use super::rule::Rule;
use super::trigger::Trigger;
use regex::RegexBuilder;
use std::collections::HashSet;

/// Bytes that a compiled pattern may take.
const LARGEST: usize = 1 << 20;
/// Characters of a name.
const LONGEST_NAME: usize = 40;

/// Words and sentences that say nothing: a rule that finds something in each of one kind would mask everything, be it
/// the letters or what stands between the words.
const ORDINARY: [&[&str]; 2] = [
    &["hello", "assistant", "thanks", "tool", "call"],
    &["The weather in Paris is fine today.", "Guten Morgen!", "Es ist warm, ja.", "Tudo bom?"],
];

/// Compiles the rules, or says all that is wrong with them. `taken` are the names of built-in rules.
pub(super) fn rules(custom: &[CustomRule], taken: &[&str]) -> Result<Vec<Rule>, Vec<Fault>> {
    let mut names: HashSet<&str> = taken.iter().copied().collect();
    let mut rules = Vec::with_capacity(custom.len());
    let mut faults = Vec::new();
    for rule in custom {
        if !is_name(&rule.name) {
            faults.push(Fault::Name(rule.name.clone()));
        } else if !names.insert(&rule.name) {
            faults.push(Fault::Taken(rule.name.clone()));
        }
        match compile(rule) {
            Ok(rule) => rules.push(rule),
            Err(fault) => faults.push(fault),
        }
    }
    if faults.is_empty() { Ok(rules) } else { Err(faults) }
}

fn compile(rule: &CustomRule) -> Result<Rule, Fault> {
    let pattern = RegexBuilder::new(&rule.pattern)
        .size_limit(LARGEST)
        .dfa_size_limit(LARGEST)
        .build()
        .map_err(|source| Fault::Pattern { name: rule.name.clone(), source: Box::new(source) })?;
    if pattern.find_iter("").chain(pattern.find_iter("hello, 42!")).any(|found| found.is_empty()) {
        return Err(Fault::Empty(rule.name.clone()));
    }
    if ORDINARY.iter().any(|texts| texts.iter().all(|text| pattern.is_match(text))) {
        return Err(Fault::Everything(rule.name.clone()));
    }
    let trigger = match rule.keyword.as_deref() {
        Some("") => return Err(Fault::Keyword(rule.name.clone())),
        Some(keyword) if is_plain(keyword) => Trigger::Keywords(vec![keyword.to_owned().into()]),
        // JSON may write it in several ways, so raw text cannot be searched for it.
        Some(_) | None => Trigger::Always,
    };
    Ok(Rule {
        name: rule.name.clone().into(),
        class: Class::Custom,
        trigger,
        matcher: Matcher::Pattern(pattern, |_| true),
        form: Form::Mark,
        mode: rule.mode,
    })
}

fn is_name(name: &str) -> bool {
    (1..=LONGEST_NAME).contains(&name.len())
        && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
}

/// Whether JSON writes these characters as they are (`/` and escapes of ASCII open the gate by themselves).
pub(super) fn is_plain(keyword: &str) -> bool {
    !keyword.is_empty() && keyword.bytes().all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\'))
}
