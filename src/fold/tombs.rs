//! Tombstones: what is left of emitted traces, so that late records are read in their light.
//!
//! Each entry of the outbox has a file of the tombstones that its fold made: length-delimited `Tomb` messages, written
//! once. Memory holds only where each stands. They count until `max_age` after the trace's last record, or until newer
//! ones push them out.

use crate::event::carry::Tomb;
use crate::event::carry::TombPart;
use crate::event::carry::TombPlace;
use crate::fold::Past;
use crate::fold::open::Reopened;
use crate::fold::open::TraceKey;
use ahash::HashMap;
use prost::Message as _;
use std::collections::VecDeque;
use std::io;
use xxhash_rust::xxh3::Xxh3;

#[derive(Debug, Clone, Copy)]
struct Standing {
    place: TombPlace,
    until: u64,
    root_came: bool,
}

/// Where the tombstones that count stand.
#[derive(Debug)]
pub struct Tombs {
    capacity: usize,
    standing: HashMap<u128, Standing>,
    parts: VecDeque<TombPart>,
    /// Keys of each part, in the order in which they were set.
    keys: VecDeque<(u64, Vec<u128>)>,
    /// Those of the entry that is being made.
    writing: Vec<u8>,
    written: Vec<u128>,
    until: u64,
}

impl Tombs {
    /// No tombstones, and room for `capacity`.
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity,
            standing: HashMap::default(),
            parts: VecDeque::new(),
            keys: VecDeque::new(),
            writing: Vec::new(),
            written: Vec::new(),
            until: 0,
        }
    }

    /// The tombstones as an earlier process left them.
    ///
    /// # Errors
    /// When a file of tombstones cannot be read.
    pub fn restore(capacity: usize, parts: Vec<TombPart>, max_age: u64, past: &dyn Past) -> io::Result<Self> {
        let mut tombs = Self::new(capacity);
        for part in parts {
            let bytes = past.tombs(part.segment)?;
            let mut rest = bytes.as_slice();
            let mut keys = Vec::new();
            while !rest.is_empty() {
                let offset = u64::try_from(bytes.len() - rest.len()).unwrap_or(u64::MAX);
                let tomb = Tomb::decode_length_delimited(&mut rest).map_err(io::Error::other)?;
                let key = TraceKey {
                    id: tomb.key.first_chunk().copied().unwrap_or_default(),
                    tenant: tomb.tenant,
                    prefix: tomb.prefix,
                };
                let place = TombPlace { segment: part.segment, offset };
                let until = tomb.last.saturating_add(max_age);
                let hash = hash(&key);
                tombs.standing.insert(hash, Standing { place, until, root_came: tomb.root_came });
                keys.push(hash);
            }
            tombs.keys.push_back((part.segment, keys));
            tombs.parts.push_back(part);
        }
        Ok(tombs)
    }

    /// The parts that count, oldest first.
    pub fn parts(&self) -> Vec<TombPart> {
        self.parts.iter().copied().collect()
    }

    /// What is left of a trace, if it was emitted not long ago.
    pub fn find(&self, key: &TraceKey, now: u64) -> Option<Reopened> {
        let standing = self.standing.get(&hash(key)).filter(|standing| standing.until >= now)?;
        Some(Reopened { root_came: standing.root_came, place: standing.place })
    }

    /// Sets a tombstone of the entry `segment`.
    pub fn set(&mut self, segment: u64, key: &TraceKey, root_came: bool, last: u64, max_age: u64, facts: Vec<u8>) {
        let offset = u64::try_from(self.writing.len()).unwrap_or(u64::MAX);
        let tomb = Tomb {
            tenant: key.tenant.clone(),
            prefix: key.prefix.clone(),
            key: key.id.to_vec(),
            root_came,
            last,
            facts,
        };
        self.writing.reserve(tomb.encoded_len() + 10);
        // A Vec grows, so encoding cannot fail; if it did, the tombstone would be missing and late records plain rows.
        if tomb.encode_length_delimited(&mut self.writing).is_err() {
            return;
        }
        let until = last.saturating_add(max_age);
        let hash = hash(key);
        self.standing.insert(hash, Standing { place: TombPlace { segment, offset }, until, root_came });
        self.written.push(hash);
        self.until = self.until.max(until);
    }

    /// Closes the entry that is being made and gives the bytes of its file; empty if it set none.
    pub fn finish(&mut self, segment: u64) -> Vec<u8> {
        if !self.written.is_empty() {
            self.parts.push_back(TombPart { segment, until: self.until });
            self.keys.push_back((segment, std::mem::take(&mut self.written)));
        }
        self.until = 0;
        std::mem::take(&mut self.writing)
    }

    /// Forgets what no longer counts.
    pub fn expire(&mut self, now: u64) {
        let is_over = |part: &TombPart| part.until < now;
        while self.parts.front().is_some_and(is_over) || self.standing.len() > self.capacity {
            let Some(part) = self.parts.pop_front() else { break };
            let Some((_, keys)) = self.keys.pop_front() else { break };
            for key in keys {
                // A newer tombstone of the same trace stays.
                if self.standing.get(&key).is_some_and(|standing| standing.place.segment == part.segment) {
                    self.standing.remove(&key);
                }
            }
        }
    }

    /// How many count.
    pub fn len(&self) -> usize {
        self.standing.len()
    }

    /// Whether none counts.
    pub fn is_empty(&self) -> bool {
        self.standing.is_empty()
    }
}

fn hash(key: &TraceKey) -> u128 {
    let mut hasher = Xxh3::new();
    for text in [&key.tenant, &key.prefix] {
        hasher.update(&u64::try_from(text.len()).unwrap_or(u64::MAX).to_le_bytes());
        hasher.update(text.as_bytes());
    }
    hasher.update(&key.id);
    hasher.digest128()
}
