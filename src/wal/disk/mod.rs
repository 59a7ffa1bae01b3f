//! The disk, as narrow as the write-ahead log and the outbox need it.
//!
//! Everything that touches the local file system goes through [`Disk`] and [`File`]: plain, blocking calls that copy
//! what POSIX gives, one method for each operation, each with a name ([`Op`]), so that tests can make every single
//! one of them fail. What the trait promises is what a careful program may rely on, and no more:
//!
//! - Bytes are on stable storage after [`File::sync`], not before. Before it, any part of them may be.
//! - A name (of a new, renamed or removed file or folder) is on stable storage after [`Disk::sync_dir`] of the folder
//!   that holds it. [`File::sync`] says nothing about the name.
//! - [`Disk::rename`] within one folder is atomic. Across folders it is not offered.
//! - A failed call may have happened, wholly, in part or not at all. A failed sync is never tried again: the kernel
//!   may have dropped the pages and would then report success.
//!
//! | file | what |
//! |---|---|
//! | `os.rs` | [`OsDisk`]: the machine's file system |
//! | `mem.rs` | [`MemDisk`]: the same in memory, with power cuts |
//! | `fault.rs` | [`FaultDisk`]: any disk, with chosen calls going wrong |
//!
//! The last two are complete and public, so that tests and simulations of everything behind the log can use them.

mod fault;
mod mem;
mod os;

pub use fault::{Call, Fault, FaultDisk, Outcome};
pub use mem::MemDisk;
pub use os::OsDisk;

use std::any::Any;
use std::fmt::Debug;
use std::io;
use std::path::Path;

/// A file system. All paths of one program should be spelled one way (all absolute, or all relative to one folder).
pub trait Disk: Send + Sync + Debug {
    /// Makes an empty file, or empties the one that is there, for reading and writing. Its folder must exist.
    fn create(&self, path: &Path) -> io::Result<Box<dyn File>>;

    /// Opens an existing file for reading.
    fn open(&self, path: &Path) -> io::Result<Box<dyn File>>;

    /// Opens an existing file for reading and writing.
    fn edit(&self, path: &Path) -> io::Result<Box<dyn File>>;

    /// Lists a folder, ordered by name.
    fn list(&self, path: &Path) -> io::Result<Vec<Entry>>;

    /// Makes a folder; one that is there is no error. Its parent must exist.
    fn create_dir(&self, path: &Path) -> io::Result<()>;

    /// Gives a file or folder another name in the same folder, replacing a file of that name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file. Those who have it open keep it.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Removes an empty folder.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;

    /// Puts the names in a folder on stable storage.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// Takes the lock on a file, which it makes where it is missing; `None` when another process (or another holder
    /// in this one) has it. It is given back when the guard is dropped, and when the process ends, however it ends.
    fn lock(&self, path: &Path) -> io::Result<Option<Lock>>;

    /// Bytes that this user may still write to the file system of a folder.
    fn free(&self, path: &Path) -> io::Result<u64>;
}

/// An open file. There is no cursor: every call says where.
pub trait File: Send + Sync + Debug {
    /// Reads from `offset` until `into` is full or the file ends; returns how much was read.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize>;

    /// Writes all of `bytes` at `offset`. After an error any part of them may have been written.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Takes space for the first `len` bytes, so that writing them cannot meet a full disk, and makes the file that
    /// long if it is shorter; new bytes read as zeros. Does nothing where the file system has no such thing.
    fn allocate(&self, len: u64) -> io::Result<()>;

    /// Cuts or, with zeros, extends the file, and gives back the space behind its end.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Puts content and length on stable storage.
    fn sync(&self) -> io::Result<()>;

    /// Length in bytes.
    fn len(&self) -> io::Result<u64>;

    /// Whether there are no bytes in it.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

/// One name in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name, without its folder. Names that are no UTF-8 are not listed: none of ours is.
    pub name: String,
    /// Whether it is a folder.
    pub is_dir: bool,
    /// Length of a file in bytes; 0 for a folder.
    pub len: u64,
}

/// A held lock; dropping it gives it back.
#[derive(Debug)]
pub struct Lock {
    _held: Box<dyn Held>,
}

impl Lock {
    /// Wraps what gives the lock back when it is dropped.
    pub fn new(held: impl Any + Send + Sync + Debug) -> Self {
        Self { _held: Box::new(held) }
    }
}

trait Held: Send + Sync + Debug {}
impl<T: Any + Send + Sync + Debug> Held for T {}

/// The operations of [`Disk`] and [`File`], so that tests can name and count them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each is the method of the same name")]
pub enum Op {
    Create,
    Open,
    Edit,
    List,
    CreateDir,
    Rename,
    RemoveFile,
    RemoveDir,
    SyncDir,
    Lock,
    Free,
    ReadAt,
    WriteAt,
    Allocate,
    SetLen,
    Sync,
    Len,
}

impl Op {
    /// Every operation.
    pub const ALL: [Self; 17] = [
        Self::Create,
        Self::Open,
        Self::Edit,
        Self::List,
        Self::CreateDir,
        Self::Rename,
        Self::RemoveFile,
        Self::RemoveDir,
        Self::SyncDir,
        Self::Lock,
        Self::Free,
        Self::ReadAt,
        Self::WriteAt,
        Self::Allocate,
        Self::SetLen,
        Self::Sync,
        Self::Len,
    ];

    /// Whether it changes what is on the disk. The others only look.
    pub fn is_change(self) -> bool {
        !matches!(self, Self::Open | Self::Edit | Self::List | Self::Free | Self::ReadAt | Self::Len)
    }
}

/// Whether an error says that there is no room now (disk, quota, inodes or open files used up): it passes when
/// somebody makes room, so waiting is right. Every other error of a write is the disk's own.
pub fn is_full(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let errno = error.raw_os_error();
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        || [Errno::MFILE, Errno::NFILE].iter().any(|full| errno == Some(full.raw_os_error()))
}

/// An error of a sync that must not be tried again, whatever it says: it is no full disk.
pub fn never_again(error: io::Error) -> io::Error {
    io::Error::other(error)
}

/// Reads a whole file.
pub fn read(disk: &dyn Disk, path: &Path) -> io::Result<Vec<u8>> {
    let file = disk.open(path)?;
    let len = file.len()?;
    let mut bytes = vec![0; usize::try_from(len).map_err(io::Error::other)?];
    let read = file.read_at(0, &mut bytes)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// Writes a whole file and syncs it. Its name is durable only after [`Disk::sync_dir`] of its folder.
pub fn write(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let file = disk.create(path)?;
    file.write_at(0, bytes)?;
    file.sync()
}

/// Makes a folder and those above it that are missing, and syncs each name that it made.
pub fn create_dir_all(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    if path.as_os_str().is_empty() || disk.list(path).is_ok() {
        return Ok(());
    }
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if parent != Path::new(".") {
        create_dir_all(disk, parent)?;
    }
    disk.create_dir(path)?;
    disk.sync_dir(parent)
}

/// Removes a folder with all that is in it; one that is not there is no error. Not atomic.
pub fn remove_dir_all(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    let entries = match disk.list(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let inner = path.join(&entry.name);
        if entry.is_dir {
            remove_dir_all(disk, &inner)?;
        } else {
            disk.remove_file(&inner)?;
        }
    }
    disk.remove_dir(path)
}

#[cfg(test)]
mod tests;
