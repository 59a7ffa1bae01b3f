//! The books of a fold: what became of each input record.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// What became of an input record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fate {
    /// It has a row of its own.
    Landed,
    /// Another record's row tells it.
    Merged,
    /// It has no row, for this reason.
    LeftOut(&'static str),
    /// It came before.
    Deduplicated,
    /// It could not be mapped.
    Quarantined,
}

/// What a fold decided under one prefix: carried in + received = decided + carried out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    /// Records that were open before.
    pub carried_in: u64,
    /// Records of the segment.
    pub received: u64,
    /// Records that are open now.
    pub carried_out: u64,
    /// How many had each fate.
    pub decided: BTreeMap<Fate, u64>,
    sequences: Vec<u64>,
}

impl Account {
    pub(super) fn carry_in(&mut self) {
        self.carried_in += 1;
    }

    pub(super) fn receive(&mut self) {
        self.received += 1;
    }

    pub(crate) fn decide(&mut self, sequence: u64, fate: Fate) {
        *self.decided.entry(fate).or_default() += 1;
        self.sequences.push(sequence);
    }

    /// Whether anything was decided.
    pub fn has_decisions(&self) -> bool {
        !self.sequences.is_empty()
    }

    /// The sequence numbers that were decided, as ranges in order.
    pub fn ranges(&self) -> Vec<RangeInclusive<u64>> {
        let mut sequences = self.sequences.clone();
        sequences.sort_unstable();
        let mut ranges: Vec<RangeInclusive<u64>> = Vec::new();
        for sequence in sequences {
            match ranges.last_mut() {
                Some(range) if *range.end() + 1 == sequence => *range = *range.start()..=sequence,
                _ => ranges.push(sequence..=sequence),
            }
        }
        ranges
    }

    /// Adds the books of another prefix.
    pub fn add(&mut self, other: &Self) {
        self.carried_in += other.carried_in;
        self.received += other.received;
        self.carried_out += other.carried_out;
        for (fate, count) in &other.decided {
            *self.decided.entry(fate.clone()).or_default() += count;
        }
        self.sequences.extend_from_slice(&other.sequences);
    }

    /// Whether the books agree.
    pub fn balances(&self) -> bool {
        self.carried_in + self.received == self.decided.values().sum::<u64>() + self.carried_out
    }
}
