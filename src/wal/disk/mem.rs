//! A disk in memory that knows what a power cut would leave of it.
//!
//! Each file and folder exists twice: as the program sees it, and as stable storage has it. Between the two stand the
//! changes that have not been synced. [`MemDisk::power_loss`] gives the disk as it may be found afterwards: of each
//! file any subset of the unsynced sectors and lengths, of each folder the unsynced names up to some point. What
//! exactly is decided by a seed.

mod node;

use super::{Disk, Entry, File, Lock};
use node::Change;
use node::Copied;
use node::Data;
use node::Dir;
use node::NameChange;
use node::Node;
use node::Random;
use node::hold;
use node::length;
use node::used;
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::io;
use std::path::Component;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;

/// A file system in memory. Clones are the same disk.
#[derive(Debug, Clone)]
pub struct MemDisk {
    root: Arc<Mutex<Dir>>,
    locks: Arc<Mutex<BTreeSet<PathBuf>>>,
    capacity: Arc<Mutex<u64>>,
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
