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

/// Beginnings of keys and the dialects that each tells, as a tree: a step for each byte of a key that some beginning
/// shares. The first step is the root, to which none leads back: 0 says that there is no next one.
struct Beginnings(Vec<Step>);

struct Step {
    /// The dialects whose beginning ends here.
    bits: u64,
    /// The next step by byte; beginnings are ASCII.
    next: [u16; 128],
}

impl Default for Step {
    fn default() -> Self {
        Self { bits: 0, next: [0; 128] }
    }
}

static KEYS: LazyLock<Beginnings> = LazyLock::new(|| Beginnings::of(|dialect| dialect.keys));
static EVENTS: LazyLock<Beginnings> = LazyLock::new(|| Beginnings::of(|dialect| dialect.events));

impl Beginnings {
    fn of(list: impl Fn(&super::Dialect) -> &'static [&'static str]) -> Self {
        let mut tree = Self(vec![Step::default()]);
        for (place, dialect) in DIALECTS.iter().enumerate() {
            for beginning in list(dialect) {
                tree.insert(beginning, bit(place));
            }
        }
        tree
    }

    fn insert(&mut self, beginning: &str, bit: u64) {
        let mut at = 0;
        for byte in beginning.bytes() {
            let new = u16::try_from(self.0.len()).unwrap_or(0);
            let Some(next) = self.0.get_mut(at).and_then(|step| step.next.get_mut(usize::from(byte))) else { return };
            if *next == 0 {
                *next = new;
                at = usize::from(new);
                self.0.push(Step::default());
            } else {
                at = usize::from(*next);
            }
        }
        if let Some(step) = self.0.get_mut(at) {
            step.bits |= bit;
        }
    }

    fn add(&self, name: &str, found: &mut u64) {
        let mut step = self.0.first();
        for byte in name.bytes() {
            let next = step.and_then(|step| step.next.get(usize::from(byte))).copied().filter(|next| *next != 0);
            step = next.and_then(|next| self.0.get(usize::from(next)));
            let Some(step) = step else { return };
            *found |= step.bits;
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
