//! Which dialects a record speaks, found in one pass over its keys.

use super::DIALECTS;
use super::source::Source;
use std::sync::LazyLock;

/// A set of dialects by their place in the list.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Set(u64);

impl Set {
    pub(super) fn has(self, place: usize) -> bool {
        self.0 & bit(place) != 0
    }

    pub(super) fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

fn bit(place: usize) -> u64 {
    u32::try_from(place).ok().and_then(|place| 1u64.checked_shl(place)).unwrap_or(0)
}

/// Beginnings of keys and the dialect that each tells, by their first byte.
struct Beginnings(Vec<Vec<(&'static str, u64)>>);

static KEYS: LazyLock<Beginnings> = LazyLock::new(|| Beginnings::of(|dialect| dialect.keys));
static EVENTS: LazyLock<Beginnings> = LazyLock::new(|| Beginnings::of(|dialect| dialect.events));

impl Beginnings {
    fn of(list: impl Fn(&super::Dialect) -> &'static [&'static str]) -> Self {
        let mut by_byte = vec![Vec::new(); 256];
        for (place, dialect) in DIALECTS.iter().enumerate() {
            for beginning in list(dialect) {
                if let Some(slot) = beginning.as_bytes().first().and_then(|byte| by_byte.get_mut(usize::from(*byte))) {
                    slot.push((*beginning, bit(place)));
                }
            }
        }
        Self(by_byte)
    }

    fn add(&self, name: &str, found: &mut u64) {
        let Some(candidates) = name.as_bytes().first().and_then(|byte| self.0.get(usize::from(*byte))) else { return };
        for (beginning, bit) in candidates {
            if *found & bit == 0 && name.starts_with(beginning) {
                *found |= bit;
            }
        }
    }
}

/// The dialects that a scope's name tells.
pub(super) fn of_scope(name: &str) -> Set {
    let speaks = |dialect: &super::Dialect| dialect.scopes.iter().any(|scope| name.starts_with(scope));
    Set(DIALECTS.iter().enumerate().filter(|(_, dialect)| speaks(dialect)).fold(0, |set, (place, _)| set | bit(place)))
}

/// The dialects that a record itself tells.
pub(super) fn of_source(source: &Source<'_>) -> Set {
    let mut found = 0;
    for entry in source.attributes.list() {
        KEYS.add(&entry.key, &mut found);
    }
    for event in &source.events {
        EVENTS.add(event.name, &mut found);
    }
    if source.is_log {
        EVENTS.add(source.name, &mut found);
    }
    for (place, dialect) in DIALECTS.iter().enumerate() {
        if found & bit(place) == 0 && dialect.probe.is_some_and(|probe| probe(source)) {
            found |= bit(place);
        }
    }
    Set(found)
}
