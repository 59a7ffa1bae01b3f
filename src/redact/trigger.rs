//! What a text must hold for a rule to be tried: literals and runs, searched for at once.

use super::gate::Near;
use super::gate::has_blob;
use super::gate::has_discord_run;
use super::gate::has_hex;
use aho_corasick::AhoCorasick;
use aho_corasick::AhoCorasickKind;
use std::borrow::Cow;
use std::mem::discriminant;

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
    pub(super) fn pull(&self, text: &str, pulled: &mut [bool]) {
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
