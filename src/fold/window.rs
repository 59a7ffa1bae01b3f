//! The resend window: which records came before, by 128-bit keys.
//!
//! Keys stand sorted in a file beside the entry of their own segment, written once; memory holds only filters over
//! them. A filter that says "perhaps" is confirmed in the files, newest first; so a false "perhaps" costs a look, and
//! never a record. The window ends after a time or a number of records, whichever is first.

use crate::event::carry::WindowPart;
use crate::fold::Past;
use std::io;

/// Bits of filter for each key: one false "perhaps" in some ten thousand.
const BITS_PER_KEY: usize = 24;
/// Probes into the one block that a key has.
const PROBES: u32 = 8;
const WORDS_PER_BLOCK: usize = 8;
/// Keys of a filter when it begins, and of the largest.
const FIRST_CAPACITY: usize = 1 << 10;
const LAST_CAPACITY: usize = 1 << 18;
/// A filter also ends after this share of the window, so that expiry frees memory.
const SLICES: u64 = 16;

/// How long and how large the window is.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Nanoseconds of log time.
    pub age: u64,
    /// Records.
    pub count: u64,
}

#[derive(Debug)]
struct Filter {
    blocks: Vec<[u64; WORDS_PER_BLOCK]>,
    capacity: usize,
    len: usize,
    /// The parts that it covers, both included.
    first: u64,
    last: u64,
    since: u64,
}

impl Filter {
    fn new(capacity: usize, segment: u64, now: u64) -> Self {
        let blocks = (capacity * BITS_PER_KEY).div_ceil(64 * WORDS_PER_BLOCK);
        Self { blocks: vec![[0; WORDS_PER_BLOCK]; blocks], capacity, len: 0, first: segment, last: segment, since: now }
    }

    fn bits(&self, key: u128) -> (usize, [u64; WORDS_PER_BLOCK]) {
        let [low, high] = [key & u128::from(u64::MAX), key >> 64].map(|half| u64::try_from(half).unwrap_or(0));
        let count = u64::try_from(self.blocks.len()).unwrap_or(1);
        let block = u64::try_from((u128::from(low) * u128::from(count)) >> 64).unwrap_or(0);
        let mut mask = [0; WORDS_PER_BLOCK];
        for probe in 0..PROBES {
            // Nine bits a probe: which of the 512 of the block.
            let bit = high.rotate_right(probe * 8).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 55;
            let word = usize::try_from(bit / 64).unwrap_or(0);
            if let Some(word) = mask.get_mut(word) {
                *word |= 1 << (bit % 64);
            }
        }
        (usize::try_from(block).unwrap_or(0), mask)
    }

    fn insert(&mut self, key: u128) {
        let (block, mask) = self.bits(key);
        if let Some(block) = self.blocks.get_mut(block) {
            block.iter_mut().zip(mask).for_each(|(word, bits)| *word |= bits);
        }
        self.len += 1;
    }

    fn perhaps(&self, key: u128) -> bool {
        let (block, mask) = self.bits(key);
        self.blocks.get(block).is_some_and(|block| block.iter().zip(mask).all(|(word, bits)| word & bits == bits))
    }
}

/// The window over all entries whose keys still count.
#[derive(Debug)]
pub struct Window {
    limits: Limits,
    parts: std::collections::VecDeque<WindowPart>,
    filters: std::collections::VecDeque<Filter>,
}

impl Window {
    /// A window without a past.
    pub fn new(limits: Limits) -> Self {
        Self { limits, parts: Default::default(), filters: Default::default() }
    }

    /// The window as an earlier process left it: reads the key files of all parts.
    ///
    /// # Errors
    /// When a key file cannot be read.
    pub fn restore(limits: Limits, parts: Vec<WindowPart>, past: &dyn Past) -> io::Result<Self> {
        let mut window = Self::new(limits);
        for part in parts {
            let keys = past.window_keys(part.segment)?;
            window.push(part.segment, part.at, &keys);
        }
        Ok(window)
    }

    /// Log time of the oldest keys.
    pub fn since(&self) -> Option<u64> {
        self.parts.front().map(|part| part.at)
    }

    /// The parts that count, oldest first.
    pub fn parts(&self) -> Vec<WindowPart> {
        self.parts.iter().copied().collect()
    }

    /// Whether a record of this key came before.
    ///
    /// # Errors
    /// When a key file cannot be read.
    pub fn contains(&self, key: u128, past: &dyn Past) -> io::Result<bool> {
        for filter in self.filters.iter().rev().filter(|filter| filter.perhaps(key)) {
            let covered = self.parts.iter().rev().filter(|part| (filter.first..=filter.last).contains(&part.segment));
            for part in covered {
                if past.window_has(part.segment, key)? {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Takes in the keys of a folded segment.
    pub fn push(&mut self, segment: u64, now: u64, keys: &[u128]) {
        if keys.is_empty() {
            return;
        }
        let slice = self.limits.age / SLICES;
        for key in keys {
            let next = match self.filters.back() {
                Some(last) if now.saturating_sub(last.since) > slice => Some(FIRST_CAPACITY),
                Some(last) if last.len >= last.capacity => Some((last.capacity * 4).min(LAST_CAPACITY)),
                Some(_) => None,
                None => Some(FIRST_CAPACITY),
            };
            if let Some(capacity) = next {
                self.filters.push_back(Filter::new(capacity, segment, now));
            }
            if let Some(filter) = self.filters.back_mut() {
                filter.insert(*key);
                filter.last = segment;
            }
        }
        let count = u64::try_from(keys.len()).unwrap_or(u64::MAX);
        self.parts.push_back(WindowPart { segment, count, at: now });
    }

    /// Forgets what is older than the window, or beyond its count.
    pub fn expire(&mut self, now: u64) {
        let mut total: u64 = self.parts.iter().map(|part| part.count).sum();
        while let Some(part) = self.parts.front() {
            if part.at.saturating_add(self.limits.age) >= now && total <= self.limits.count {
                break;
            }
            total -= part.count;
            self.parts.pop_front();
        }
        let oldest = self.parts.front().map_or(u64::MAX, |part| part.segment);
        while self.filters.front().is_some_and(|filter| filter.last < oldest) {
            self.filters.pop_front();
        }
    }

    /// Bytes of memory that the filters take.
    pub fn memory(&self) -> usize {
        self.filters.iter().map(|filter| filter.blocks.len() * WORDS_PER_BLOCK * 8).sum()
    }
}

/// The bytes of a key file: sorted keys, 16 bytes each, big-endian.
pub fn encode_keys(mut keys: Vec<u128>) -> Vec<u8> {
    keys.sort_unstable();
    keys.iter().flat_map(|key| key.to_be_bytes()).collect()
}

/// The keys of a key file.
pub fn decode_keys(bytes: &[u8]) -> Vec<u128> {
    bytes.chunks_exact(16).filter_map(|chunk| chunk.first_chunk().map(|key| u128::from_be_bytes(*key))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fold::tests::Memory;

    fn key(n: u64) -> u128 {
        xxhash_rust::xxh3::xxh3_128(&n.to_le_bytes())
    }

    #[test]
    fn what_came_is_known_and_what_did_not_is_not() {
        let mut past = Memory::default();
        let mut window = Window::new(Limits { age: 1000, count: 1 << 20 });
        for segment in 0..40 {
            let keys: Vec<u128> = (0..500).map(|n| key(segment * 500 + n)).collect();
            window.push(segment, segment, &keys);
            past.windows.insert(segment, keys);
        }
        for n in 0..20_000 {
            assert!(window.contains(key(n), &past).unwrap(), "{n}");
        }
        past.looks.set(0);
        for n in 100_000..150_000 {
            assert!(!window.contains(key(n), &past).unwrap(), "{n}");
        }
        assert!(past.looks.get() < 1000, "false perhaps: {} looks", past.looks.get());
    }

    #[test]
    fn the_window_ends_by_age_and_by_count() {
        let past = Memory::default();
        let mut window = Window::new(Limits { age: 100, count: 50 });
        window.push(1, 0, &(0..30).map(key).collect::<Vec<_>>());
        window.push(2, 60, &(30..50).map(key).collect::<Vec<_>>());
        window.expire(100);
        assert_eq!(window.parts().len(), 2);
        window.push(3, 100, &[key(50)]);
        window.expire(100);
        assert_eq!(window.parts().iter().map(|part| part.segment).collect::<Vec<_>>(), [2, 3]);
        window.expire(161);
        assert_eq!(window.parts().iter().map(|part| part.segment).collect::<Vec<_>>(), [3]);
        assert!(!window.contains(key(1), &past).unwrap());
    }

    #[test]
    fn four_million_keys_take_less_than_sixteen_megabytes() {
        let mut window = Window::new(Limits { age: u64::MAX, count: 4_000_000 });
        for segment in 0..400 {
            window.push(segment, segment, &(0..10_000).map(|n| key(segment * 10_000 + n)).collect::<Vec<_>>());
            window.expire(segment);
        }
        assert!(window.memory() < 16 << 20, "{}", window.memory());
    }
}
