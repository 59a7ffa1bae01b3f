//! A disk in memory that knows what a power cut would leave of it.
//!
//! Each file and folder exists twice: as the program sees it, and as stable storage has it. Between the two stand the
//! changes that have not been synced. [`MemDisk::power_loss`] gives the disk as it may be found afterwards: of each
//! file any subset of the unsynced sectors and lengths, of each folder the unsynced names up to some point. What
//! exactly is decided by a seed.

use super::{Disk, Entry, File, Lock};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::io;
use std::path::Component;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

/// A file system in memory. Clones are the same disk.
#[derive(Debug, Clone)]
pub struct MemDisk {
    root: Arc<Mutex<Dir>>,
    locks: Arc<Mutex<BTreeSet<PathBuf>>>,
    capacity: Arc<Mutex<u64>>,
}

#[derive(Debug, Clone)]
enum Node {
    File(Arc<Mutex<Data>>),
    Dir(Arc<Mutex<Dir>>),
}

/// A folder: names now, names on stable storage, and what led from these to those.
#[derive(Debug, Default)]
struct Dir {
    live: BTreeMap<String, Node>,
    durable: BTreeMap<String, Node>,
    pending: Vec<NameChange>,
}

#[derive(Debug, Clone)]
enum NameChange {
    Set(String, Node),
    Remove(String),
    Rename(String, String, Node),
}

/// A file: content now, content on stable storage, and what led from this to that.
#[derive(Debug, Default, Clone)]
struct Data {
    live: Content,
    durable: Content,
    pending: Vec<Change>,
    /// Space taken, which may be more than has been written.
    allocated: u64,
}

/// Bytes, followed by zeros up to `len`.
#[derive(Debug, Default, Clone)]
struct Content {
    bytes: Vec<u8>,
    len: u64,
}

#[derive(Debug, Clone)]
enum Change {
    Write(u64, Vec<u8>),
    Extend(u64),
    SetLen(u64),
}

impl Default for MemDisk {
    fn default() -> Self {
        Self::new()
    }
}

impl MemDisk {
    /// Returns an empty disk without a limit.
    pub fn new() -> Self {
        Self::with_root(Dir::default(), u64::MAX)
    }

    fn with_root(root: Dir, capacity: u64) -> Self {
        Self { root: Arc::new(Mutex::new(root)), locks: Arc::default(), capacity: Arc::new(Mutex::new(capacity)) }
    }

    /// Sets how many bytes fit on the disk; may be less than there are.
    pub fn set_capacity(&self, bytes: u64) {
        *hold(&self.capacity) = bytes;
    }

    /// Bytes taken by all files.
    pub fn used(&self) -> u64 {
        used(&hold(&self.root))
    }

    /// Returns the disk as the next process finds it when this one is killed: all that was written is there, synced
    /// or not, and locks are free. Handles of the old disk do not touch the new one.
    pub fn killed(&self) -> Self {
        let root = hold(&self.root).copy(&mut Copied::default());
        Self::with_root(root, *hold(&self.capacity))
    }

    /// Returns the disk as it may be found after a power cut now. What was synced is there; of the rest, `seed` says
    /// what is. Handles of the old disk do not touch the new one.
    pub fn power_loss(&self, seed: u64) -> Self {
        let mut random = Random(seed);
        let sector = if random.below(2) == 0 { 512 } else { 4096 };
        let root = hold(&self.root).after_loss(&mut random, sector);
        Self::with_root(root, *hold(&self.capacity))
    }

    fn dir(&self, path: &Path) -> io::Result<Arc<Mutex<Dir>>> {
        let mut dir = Arc::clone(&self.root);
        for name in names(path)? {
            let next = match hold(&dir).live.get(&name) {
                Some(Node::Dir(next)) => Arc::clone(next),
                Some(Node::File(_)) => return Err(Errno::NOTDIR.into()),
                None => return Err(Errno::NOENT.into()),
            };
            dir = next;
        }
        Ok(dir)
    }

    /// The folder that holds a path, and the path's last name.
    fn parent(&self, path: &Path) -> io::Result<(Arc<Mutex<Dir>>, String)> {
        let mut names = names(path)?;
        let last = names.pop().ok_or(Errno::INVAL)?;
        let mut dir = PathBuf::new();
        dir.extend(names);
        Ok((self.dir(&dir)?, last))
    }

    fn file(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let (dir, name) = self.parent(path)?;
        let dir = hold(&dir);
        match dir.live.get(&name) {
            Some(Node::File(data)) => Ok(Box::new(MemFile { disk: self.clone(), data: Arc::clone(data) })),
            Some(Node::Dir(_)) => Err(Errno::ISDIR.into()),
            None => Err(Errno::NOENT.into()),
        }
    }
}

impl Disk for MemDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let (dir, name) = self.parent(path)?;
        let mut dir = hold(&dir);
        match dir.live.get(&name) {
            Some(Node::File(data)) => {
                hold(data).set_len(0);
                Ok(Box::new(MemFile { disk: self.clone(), data: Arc::clone(data) }))
            }
            Some(Node::Dir(_)) => Err(Errno::ISDIR.into()),
            None => {
                let data = Arc::new(Mutex::new(Data::default()));
                dir.change(NameChange::Set(name, Node::File(Arc::clone(&data))));
                Ok(Box::new(MemFile { disk: self.clone(), data }))
            }
        }
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        self.file(path)
    }

    fn edit(&self, path: &Path) -> io::Result<Box<dyn File>> {
        self.file(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let dir = self.dir(path)?;
        let dir = hold(&dir);
        Ok(dir
            .live
            .iter()
            .map(|(name, node)| match node {
                Node::File(data) => Entry { name: name.clone(), is_dir: false, len: hold(data).live.len },
                Node::Dir(_) => Entry { name: name.clone(), is_dir: true, len: 0 },
            })
            .collect())
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let (dir, name) = self.parent(path)?;
        let mut dir = hold(&dir);
        match dir.live.get(&name) {
            Some(Node::Dir(_)) => Ok(()),
            Some(Node::File(_)) => Err(Errno::EXIST.into()),
            None => {
                dir.change(NameChange::Set(name, Node::Dir(Arc::default())));
                Ok(())
            }
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (dir, from_name) = self.parent(from)?;
        let (other, to_name) = self.parent(to)?;
        if !Arc::ptr_eq(&dir, &other) {
            return Err(Errno::XDEV.into());
        }
        let mut dir = hold(&dir);
        let node = dir.live.get(&from_name).cloned().ok_or(Errno::NOENT)?;
        match (&node, dir.live.get(&to_name)) {
            (Node::Dir(_), Some(Node::File(_))) => return Err(Errno::NOTDIR.into()),
            (Node::File(_), Some(Node::Dir(_))) => return Err(Errno::ISDIR.into()),
            (Node::Dir(_), Some(Node::Dir(there))) if !hold(there).live.is_empty() => {
                return Err(Errno::NOTEMPTY.into());
            }
            _ => {}
        }
        dir.change(NameChange::Rename(from_name, to_name, node));
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let (dir, name) = self.parent(path)?;
        let mut dir = hold(&dir);
        match dir.live.get(&name) {
            Some(Node::File(_)) => {
                dir.change(NameChange::Remove(name));
                Ok(())
            }
            Some(Node::Dir(_)) => Err(Errno::ISDIR.into()),
            None => Err(Errno::NOENT.into()),
        }
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let (dir, name) = self.parent(path)?;
        let mut dir = hold(&dir);
        match dir.live.get(&name) {
            Some(Node::Dir(inner)) if hold(inner).live.is_empty() => {}
            Some(Node::Dir(_)) => return Err(Errno::NOTEMPTY.into()),
            Some(Node::File(_)) => return Err(Errno::NOTDIR.into()),
            None => return Err(Errno::NOENT.into()),
        }
        dir.change(NameChange::Remove(name));
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let dir = self.dir(path)?;
        let mut dir = hold(&dir);
        dir.durable = dir.live.clone();
        dir.pending.clear();
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Lock>> {
        let (dir, name) = self.parent(path)?;
        if !hold(&dir).live.contains_key(&name) {
            drop(self.create(path)?);
        }
        let path: PathBuf = names(path)?.into_iter().collect();
        let taken = hold(&self.locks).insert(path.clone());
        Ok(taken.then(|| Lock::new(MemLock { path, locks: Arc::clone(&self.locks) })))
    }

    fn free(&self, _path: &Path) -> io::Result<u64> {
        Ok(hold(&self.capacity).saturating_sub(self.used()))
    }
}

#[derive(Debug)]
struct MemLock {
    path: PathBuf,
    locks: Arc<Mutex<BTreeSet<PathBuf>>>,
}

impl Drop for MemLock {
    fn drop(&mut self) {
        hold(&self.locks).remove(&self.path);
    }
}

#[derive(Debug)]
struct MemFile {
    disk: MemDisk,
    data: Arc<Mutex<Data>>,
}

impl MemFile {
    /// Grows the space of this file to `len`, or to what there is room for; returns the space it has then.
    fn grow(&self, len: u64) -> u64 {
        let free = self.disk.free(Path::new("")).unwrap_or(0);
        let mut data = hold(&self.data);
        let more = len.saturating_sub(data.allocated).min(free);
        data.allocated += more;
        data.allocated
    }
}

impl File for MemFile {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        Ok(hold(&self.data).live.read(offset, into))
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let end = offset + length(bytes);
        let room = self.grow(end);
        let fits = usize::try_from(room.saturating_sub(offset)).unwrap_or(usize::MAX).min(bytes.len());
        let (now, never) = bytes.split_at(fits);
        if !now.is_empty() {
            hold(&self.data).change(Change::Write(offset, now.to_vec()));
        }
        if never.is_empty() { Ok(()) } else { Err(Errno::NOSPC.into()) }
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        let before = hold(&self.data).allocated;
        if self.grow(len) < len {
            hold(&self.data).allocated = before;
            return Err(Errno::NOSPC.into());
        }
        hold(&self.data).change(Change::Extend(len));
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        hold(&self.data).set_len(len);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut data = hold(&self.data);
        for change in std::mem::take(&mut data.pending) {
            data.durable.apply(&change);
        }
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(hold(&self.data).live.len)
    }
}

impl Dir {
    fn change(&mut self, change: NameChange) {
        change.apply(&mut self.live);
        self.pending.push(change);
    }

    /// What a power cut leaves. Names reach the disk in the order in which they were changed, but how many have is
    /// anyone's guess.
    fn after_loss(&self, random: &mut Random, sector: u64) -> Self {
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

    fn copy(&self, copied: &mut Copied) -> Self {
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
struct Copied(Vec<(Node, Node)>);

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
    fn change(&mut self, change: Change) {
        self.live.apply(&change);
        self.allocated = self.allocated.max(self.live.len);
        self.pending.push(change);
    }

    fn set_len(&mut self, len: u64) {
        self.change(Change::SetLen(len));
        self.allocated = len;
    }

    /// Each unsynced sector and each unsynced length has reached the disk or not, independently of the others.
    fn after_loss(&self, random: &mut Random, sector: u64) -> Self {
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
    fn apply(&mut self, change: &Change) {
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

    fn read(&self, offset: u64, into: &mut [u8]) -> usize {
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

fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// The names of a path below the root; `.` and a leading `/` are nothing.
fn names(path: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for component in path.components() {
        match component {
            Component::RootDir | Component::CurDir => {}
            Component::Normal(name) => names.push(name.to_str().ok_or(Errno::INVAL)?.to_owned()),
            Component::ParentDir | Component::Prefix(_) => return Err(Errno::INVAL.into()),
        }
    }
    Ok(names)
}

fn used(dir: &Dir) -> u64 {
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
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        usize::try_from(z % u64::try_from(bound).unwrap_or(u64::MAX).max(1)).unwrap_or(0)
    }
}
