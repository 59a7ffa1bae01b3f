//! Where a key is in a list of attributes, and which of them were used.

use opentelemetry_proto::tonic::common::v1::KeyValue;
use std::cell::Cell;
use std::cell::RefCell;

/// Up to this many attributes a scan finds a key as fast as a table does.
const FEW: usize = 8;

/// Up to this many attributes a small table is used; more are sorted, so that no choice of keys makes a look-up slow.
const MANY: usize = 192;

/// Slots of the small table.
pub(super) const SLOTS: usize = 512;

pub(super) enum Index {
    Scan,
    Table(Box<[u8; SLOTS]>),
    Sorted(Vec<u32>),
}

/// A mark for each key: nearly all keys that are asked for are not there, and this tells most of them.
#[derive(Default)]
pub(super) struct Keys([u64; 4]);

impl Keys {
    pub(super) fn of(list: &[KeyValue]) -> Self {
        let mut keys = Self::default();
        for entry in list {
            let (word, bit) = Self::mark(&entry.key);
            if let Some(word) = keys.0.get_mut(word) {
                *word |= bit;
            }
        }
        keys
    }

    /// Whether a key may be there. Only that it is not there is certain.
    #[inline]
    pub(super) fn may_have(&self, key: &str) -> bool {
        let (word, bit) = Self::mark(key);
        self.0.get(word).is_some_and(|word| word & bit != 0)
    }

    /// By the length, the last byte and one of the middle.
    #[inline]
    fn mark(key: &str) -> (usize, u64) {
        let bytes = key.as_bytes();
        let at = |place: usize| bytes.get(place).map_or(0, |byte| usize::from(*byte));
        let mark = bytes.len() * 3 + at(bytes.len().wrapping_sub(1)) * 7 + at(bytes.len() / 2) * 29;
        ((mark / 64) % 4, 1 << (mark % 64))
    }
}

/// One bit for each attribute.
#[derive(Default)]
pub(super) struct Used {
    first: Cell<u64>,
    rest: RefCell<Vec<u64>>,
}

impl Used {
    pub(super) fn set(&self, place: usize, used: bool) {
        let bit = 1u64 << (place % 64);
        let change = |word: u64| if used { word | bit } else { word & !bit };
        if place < 64 {
            self.first.set(change(self.first.get()));
            return;
        }
        let mut rest = self.rest.borrow_mut();
        let word = place / 64 - 1;
        if rest.len() <= word {
            rest.resize(word + 1, 0);
        }
        if let Some(slot) = rest.get_mut(word) {
            *slot = change(*slot);
        }
    }

    pub(super) fn get(&self, place: usize) -> bool {
        let word =
            if place < 64 { self.first.get() } else { self.rest.borrow().get(place / 64 - 1).copied().unwrap_or(0) };
        word & (1u64 << (place % 64)) != 0
    }
}

pub(super) fn index(list: &[KeyValue]) -> Index {
    if list.len() <= FEW {
        return Index::Scan;
    }
    if list.len() > MANY {
        let mut order: Vec<u32> = (0..list.len()).filter_map(|place| u32::try_from(place).ok()).collect();
        order.sort_by_key(|place| list.get(*place as usize).map(|entry| entry.key.as_str()));
        return Index::Sorted(order);
    }
    let mut table = Box::new([0u8; SLOTS]);
    for (place, entry) in list.iter().enumerate() {
        let Ok(mark) = u8::try_from(place + 1) else { break };
        let mut slot = hash(&entry.key) % SLOTS;
        while table.get(slot).is_some_and(|taken| *taken != 0) {
            slot = (slot + 1) % SLOTS;
        }
        if let Some(free) = table.get_mut(slot) {
            *free = mark;
        }
    }
    Index::Table(table)
}

/// A quick hash of a key: its length, its last eight bytes and eight of its middle.
#[inline]
pub(super) fn hash(key: &str) -> usize {
    const MIX: u64 = 0x9e37_79b9_7f4a_7c15;
    let bytes = key.as_bytes();
    let length = bytes.len();
    let mixed = match (bytes.last_chunk::<8>(), bytes.get(length / 2..).and_then(|half| half.first_chunk::<4>())) {
        (Some(last), Some(middle)) => u64::from_le_bytes(*last) ^ (u64::from(u32::from_le_bytes(*middle)) << 20),
        _ => bytes.iter().fold(0, |sum, byte| (sum << 8) | u64::from(*byte)),
    };
    let spread = (mixed ^ (length as u64)).wrapping_mul(MIX);
    usize::try_from(spread >> 40).unwrap_or(0)
}
