//! A disk on which chosen calls go wrong.
//!
//! Run a scenario once to learn its calls ([`FaultDisk::calls`]), then once for each call and each [`Outcome`]: that
//! visits every place where a disk can fail or a process can end. Calls can also be chosen by kind and path.

use super::{Disk, Entry, File, Lock, Op};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

/// Wraps a disk and makes chosen calls fail. Clones share their faults and their count of calls.
#[derive(Debug, Clone)]
pub struct FaultDisk {
    inner: Arc<dyn Disk>,
    state: Arc<Mutex<State>>,
}

/// One call that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// What was asked for.
    pub op: Op,
    /// Of which file or folder; of a rename, the old name.
    pub path: PathBuf,
}

/// Which calls go wrong, and how.
#[derive(Debug, Clone)]
pub struct Fault {
    /// Only calls of this kind; any when `None`.
    pub op: Option<Op>,
    /// Only paths that contain this text; empty for all.
    pub path: String,
    /// How many calls that match go well first.
    pub skip: u64,
    /// How many go wrong after that.
    pub times: u64,
    /// What happens to them.
    pub outcome: Outcome,
}

/// What happens to a call that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was not done, and this error is reported.
    NotDone(Errno),
    /// It was done, and this error is reported all the same.
    DoneButFailed(Errno),
    /// Of a write, this many bytes were written before the error. Of anything else: nothing was done.
    Partly(usize, Errno),
    /// It was not done and never answers: the process is dead, and every later call of it fails too.
    StopBefore,
    /// It was done and never answers: the process is dead, and every later call of it fails too.
    StopAfter,
}

#[derive(Debug, Default)]
struct State {
    calls: Vec<Call>,
    faults: Vec<Fault>,
    stopped: bool,
    written: u64,
    /// What a sync has failed for: the system takes it for clean, so that a later sync says yes and does nothing.
    lost: BTreeSet<PathBuf>,
}

impl FaultDisk {
    /// Returns a disk on which nothing goes wrong yet.
    pub fn new(inner: Arc<dyn Disk>) -> Self {
        Self { inner, state: Arc::default() }
    }

    /// Adds a fault. The first one that matches a call decides about it.
    pub fn add(&self, fault: Fault) {
        self.state().faults.push(fault);
    }

    /// Takes all faults away. A process that was stopped stays so.
    pub fn clear(&self) {
        self.state().faults.clear();
    }

    /// All calls so far, in order, also those that went wrong.
    pub fn calls(&self) -> Vec<Call> {
        self.state().calls.clone()
    }

    /// How many calls of a kind there were, also of those that went wrong.
    pub fn count(&self, op: Op) -> usize {
        self.state().calls.iter().filter(|call| call.op == op).count()
    }

    /// Bytes written so far.
    pub fn written(&self) -> u64 {
        self.state().written
    }

    /// Whether a fault has stopped the process.
    pub fn is_stopped(&self) -> bool {
        self.state().stopped
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to happen to the next call.
    fn next(&self, op: Op, path: &Path) -> Option<Outcome> {
        let mut state = self.state();
        if state.stopped {
            return Some(Outcome::StopBefore);
        }
        state.calls.push(Call { op, path: path.to_owned() });
        let text = path.to_string_lossy();
        let mut outcome = None;
        for fault in &mut state.faults {
            if fault.op.is_some_and(|only| only != op) || !text.contains(&fault.path) {
                continue;
            }
            if fault.skip > 0 {
                fault.skip -= 1;
            } else if fault.times > 0 && outcome.is_none() {
                fault.times -= 1;
                outcome = Some(fault.outcome);
            }
        }
        state.stopped |= matches!(outcome, Some(Outcome::StopBefore | Outcome::StopAfter));
        if matches!(op, Op::Sync | Op::SyncDir) && matches!(outcome, Some(Outcome::NotDone(_))) {
            state.lost.insert(path.to_owned());
        }
        outcome
    }

    fn sync(&self, op: Op, path: &Path, call: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let is_lost = self.state().lost.contains(path);
        self.call(op, path, || if is_lost { Ok(()) } else { call() })
    }

    fn call<T>(&self, op: Op, path: &Path, call: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        match self.next(op, path) {
            None => call(),
            Some(Outcome::NotDone(errno) | Outcome::Partly(_, errno)) => Err(errno.into()),
            Some(Outcome::StopBefore) => Err(stopped()),
            Some(Outcome::DoneButFailed(errno)) => call().and(Err(errno.into())),
            Some(Outcome::StopAfter) => call().and(Err(stopped())),
        }
    }

    fn file(&self, op: Op, path: &Path, call: impl FnOnce() -> io::Result<Box<dyn File>>) -> io::Result<Box<dyn File>> {
        let inner = self.call(op, path, call)?;
        Ok(Box::new(FaultFile { disk: self.clone(), path: path.to_owned(), inner }))
    }
}

fn stopped() -> io::Error {
    io::Error::other("the process has been stopped")
}

impl Disk for FaultDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn File>> {
        self.file(Op::Create, path, || self.inner.create(path))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        self.file(Op::Open, path, || self.inner.open(path))
    }

    fn edit(&self, path: &Path) -> io::Result<Box<dyn File>> {
        self.file(Op::Edit, path, || self.inner.edit(path))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        self.call(Op::List, path, || self.inner.list(path))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.call(Op::CreateDir, path, || self.inner.create_dir(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call(Op::Rename, from, || self.inner.rename(from, to))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.call(Op::RemoveFile, path, || self.inner.remove_file(path))
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.call(Op::RemoveDir, path, || self.inner.remove_dir(path))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.sync(Op::SyncDir, path, || self.inner.sync_dir(path))
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Lock>> {
        self.call(Op::Lock, path, || self.inner.lock(path))
    }

    fn free(&self, path: &Path) -> io::Result<u64> {
        self.call(Op::Free, path, || self.inner.free(path))
    }
}

#[derive(Debug)]
struct FaultFile {
    disk: FaultDisk,
    path: PathBuf,
    inner: Box<dyn File>,
}

impl File for FaultFile {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        self.disk.call(Op::ReadAt, &self.path, || self.inner.read_at(offset, into))
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.disk.state().written += bytes.len() as u64;
        match self.disk.next(Op::WriteAt, &self.path) {
            None => self.inner.write_at(offset, bytes),
            Some(Outcome::NotDone(errno)) => Err(errno.into()),
            Some(Outcome::StopBefore) => Err(stopped()),
            Some(Outcome::DoneButFailed(errno)) => self.inner.write_at(offset, bytes).and(Err(errno.into())),
            Some(Outcome::StopAfter) => self.inner.write_at(offset, bytes).and(Err(stopped())),
            Some(Outcome::Partly(count, errno)) => {
                let (part, _) = bytes.split_at(count.min(bytes.len()));
                self.inner.write_at(offset, part).and(Err(errno.into()))
            }
        }
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.disk.call(Op::Allocate, &self.path, || self.inner.allocate(len))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.disk.call(Op::SetLen, &self.path, || self.inner.set_len(len))
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.sync(Op::Sync, &self.path, || self.inner.sync())
    }

    fn len(&self) -> io::Result<u64> {
        self.disk.call(Op::Len, &self.path, || self.inner.len())
    }
}
