//! Files and folders in memory, each as the program sees it and as stable storage has it, and what a power cut leaves of
//! them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

#[derive(Debug, Clone)]
pub(super) enum Node {
    File(Arc<Mutex<Data>>),
    Dir(Arc<Mutex<Dir>>),
}

/// A folder: names now, names on stable storage, and what led from these to those.
#[derive(Debug, Default)]
pub(super) struct Dir {
    pub(super) live: BTreeMap<String, Node>,
    pub(super) durable: BTreeMap<String, Node>,
    pub(super) pending: Vec<NameChange>,
}

#[derive(Debug, Clone)]
pub(super) enum NameChange {
    Set(String, Node),
    Remove(String),
    Rename(String, String, Node),
}

/// A file: content now, content on stable storage, and what led from this to that.
#[derive(Debug, Default, Clone)]
pub(super) struct Data {
    pub(super) live: Content,
    pub(super) durable: Content,
    pub(super) pending: Vec<Change>,
    /// Space taken, which may be more than has been written.
    pub(super) allocated: u64,
}

/// Bytes, followed by zeros up to `len`.
#[derive(Debug, Default, Clone)]
pub(super) struct Content {
    bytes: Vec<u8>,
    pub(super) len: u64,
}

#[derive(Debug, Clone)]
pub(super) enum Change {
    Write(u64, Vec<u8>),
    Extend(u64),
    SetLen(u64),
}

impl Dir {
    pub(super) fn change(&mut self, change: NameChange) {
        change.apply(&mut self.live);
        self.pending.push(change);
    }

    /// What a power cut leaves. Names reach the disk in the order in which they were changed, but how many have is
    /// anyone's guess.
    pub(super) fn after_loss(&self, random: &mut Random, sector: u64) -> Self {
        let mut names = self.durable.clone();
        let kept = random.below(self.pending.len() + 1);
        for change in self.pending.iter().take(kept) {
            change.apply(&mut names);
        }
        for node in names.values_mut() {
            *node = match node {
                Node::File(data) => Node::File(Arc::new(Mutex::new(hold(data).after_loss(random, sector)))),
                Node::Dir(dir) => Node::Dir(Arc::new(Mutex::new(hold(dir).after_loss(random, sector)))),
            };
        }
        Self { durable: names.clone(), live: names, pending: Vec::new() }
    }

    pub(super) fn copy(&self, copied: &mut Copied) -> Self {
        let mut names = |names: &BTreeMap<String, Node>| {
            names.iter().map(|(name, node)| (name.clone(), copied.node(node))).collect::<BTreeMap<_, _>>()
        };
        let (live, durable) = (names(&self.live), names(&self.durable));
        let pending = self.pending.iter().map(|change| match change {
            NameChange::Set(name, node) => NameChange::Set(name.clone(), copied.node(node)),
            NameChange::Remove(name) => NameChange::Remove(name.clone()),
            NameChange::Rename(from, to, node) => NameChange::Rename(from.clone(), to.clone(), copied.node(node)),
        });
        Self { live, durable, pending: pending.collect() }
    }
}

/// What has been copied already: a file has several names when a change of its name has not been synced.
#[derive(Debug, Default)]
pub(super) struct Copied(Vec<(Node, Node)>);

impl Copied {
    fn node(&mut self, node: &Node) -> Node {
        let is_same = |(other, _): &&(Node, Node)| match (node, other) {
            (Node::File(a), Node::File(b)) => Arc::ptr_eq(a, b),
            (Node::Dir(a), Node::Dir(b)) => Arc::ptr_eq(a, b),
            _ => false,
        };
        if let Some((_, copy)) = self.0.iter().find(is_same) {
            return copy.clone();
        }
        let copy = match node {
            Node::File(data) => Node::File(Arc::new(Mutex::new(hold(data).clone()))),
            Node::Dir(dir) => Node::Dir(Arc::new(Mutex::new(hold(dir).copy(self)))),
        };
        self.0.push((node.clone(), copy.clone()));
        copy
    }
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<String, Node>) {
        match self {
            Self::Set(name, node) => {
                names.insert(name.clone(), node.clone());
            }
            Self::Remove(name) => {
                names.remove(name);
            }
            Self::Rename(from, to, node) => {
                names.remove(from);
                names.insert(to.clone(), node.clone());
            }
        }
    }
}

impl Data {
    pub(super) fn change(&mut self, change: Change) {
        self.live.apply(&change);
        self.allocated = self.allocated.max(self.live.len);
        self.pending.push(change);
    }

    pub(super) fn set_len(&mut self, len: u64) {
        self.change(Change::SetLen(len));
        self.allocated = len;
    }

    /// Each unsynced sector and each unsynced length has reached the disk or not, independently of the others.
    pub(super) fn after_loss(&self, random: &mut Random, sector: u64) -> Self {
        let mut content = self.durable.clone();
        // Often nothing or all of it is there, which chance alone would rarely give.
        let mood = random.below(4);
        let mut kept = || match mood {
            0 => false,
            1 => true,
            _ => random.below(2) == 0,
        };
        for change in &self.pending {
            let Change::Write(offset, bytes) = change else {
                if kept() {
                    content.apply(change);
                }
                continue;
            };
            let (mut at, mut rest) = (*offset, bytes.as_slice());
            while !rest.is_empty() {
                let in_sector = usize::try_from(sector - at % sector).unwrap_or(usize::MAX).min(rest.len());
                let (piece, behind) = rest.split_at(in_sector);
                if kept() {
                    content.write(at, piece);
                }
                at += length(piece);
                rest = behind;
            }
        }
        Self { live: content.clone(), allocated: content.len, durable: content, pending: Vec::new() }
    }
}

impl Content {
    pub(super) fn apply(&mut self, change: &Change) {
        match change {
            Change::Write(offset, bytes) => self.write(*offset, bytes),
            Change::Extend(len) => self.len = self.len.max(*len),
            Change::SetLen(len) => {
                self.bytes.truncate(usize::try_from(*len).unwrap_or(usize::MAX));
                self.len = *len;
            }
        }
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let end = start.saturating_add(bytes.len());
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        if let Some(there) = self.bytes.get_mut(start..end) {
            there.copy_from_slice(bytes);
        }
        self.len = self.len.max(offset + length(bytes));
    }

    pub(super) fn read(&self, offset: u64, into: &mut [u8]) -> usize {
        let left = usize::try_from(self.len.saturating_sub(offset)).unwrap_or(usize::MAX);
        let count = left.min(into.len());
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.bytes.len());
        let stored = self.bytes.get(start..).unwrap_or_default();
        for (index, byte) in into.iter_mut().take(count).enumerate() {
            *byte = stored.get(index).copied().unwrap_or(0);
        }
        count
    }
}

pub(super) fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

pub(super) fn used(dir: &Dir) -> u64 {
    dir.live
        .values()
        .map(|node| match node {
            Node::File(data) => hold(data).allocated,
            Node::Dir(dir) => used(&hold(dir)),
        })
        .sum()
}

/// Splitmix64: small, and the same everywhere.
#[derive(Debug)]
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        usize::try_from(z % u64::try_from(bound).unwrap_or(u64::MAX).max(1)).unwrap_or(0)
    }
}
