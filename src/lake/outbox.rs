//! The outbox: what folds gave, on the local disk until the store has it.
//!
//! One folder an entry, named by the segment whose fold made it:
//!
//! ```text
//! outbox/000000000012.tmp/      being written; dropped at start
//! outbox/000000000012/          in place: the rename is the commit point of the fold
//!   entry.json                  what is to be stored: key, file, length and SHA-256
//!   0000.part 0001.part ...     the objects: data files first, then for each prefix its manifest
//!   carry, window, tombs ...    files beside it, which the fold reads back: bytes without a meaning here
//!   parked.json                 which prefixes the store refuses for now, and why
//!   stored.json                 entry.json, renamed when all is stored; the objects are deleted after that
//!   entry.json.copy carry.copy  the same again
//! ```
//!
//! - Every file but the objects ends in a line with the hash of what is before it: 16 hex digits of XXH3 with the
//!   entry's number as seed. The index and the files beside an entry stand twice. One that is damaged, cut or gone is
//!   read from its copy, and written anew; only when both are is it lost. An object is held against the index, and one
//!   that is damaged parks its entry.
//! - Files and the folder are synced, then the folder is renamed, then its parent is synced. An entry is whole or it is
//!   not there.
//! - Nothing of an entry changes but by the renames and removals above.
//! - The files beside an entry outlive its objects: [`Outbox::clean`] removes those that nobody needs any more.
//! - An error of the disk says what every error of a disk says: it may have happened. Start again by reading.

mod draft;
mod index;
#[cfg(test)]
mod tests;
mod twice;

pub use draft::Draft;
pub use index::Index;
pub use index::Object;
pub use index::Parked;
pub use index::Shipment;

use index::VERSION;
use twice::COPY;
use twice::checked;

use super::encode::sha256;
use crate::failpoint;
use crate::failpoint::Mutation;
use crate::failpoint::Point;
use crate::wal::disk;
use crate::wal::disk::Disk;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

const INDEX: &str = "entry.json";
const STORED: &str = "stored.json";
const PARKED: &str = "parked.json";
const PART: &str = ".part";
const TMP: &str = ".tmp";

/// The outbox of a data directory.
#[derive(Debug)]
pub struct Outbox {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    entries: Mutex<BTreeMap<u64, Entry>>,
    /// Held by whoever changes an entry that is in place, for the fold and the uploads both do.
    changing: Mutex<()>,
}

/// What is known of an entry without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    state: State,
    bytes: u64,
    /// When the first record with a row arrived, microseconds since 1970.
    oldest: Option<i64>,
    /// Input records that are decided by what is to be stored.
    records: u64,
}

/// How far an entry has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// To be stored.
    Waiting,
    /// Refused by the store for now.
    Parked,
    /// Stored; what is left of it are files beside it.
    Stored,
}

/// What waits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Entries that are to be stored, parked ones included.
    pub entries: usize,
    /// Entries that the store refuses for now.
    pub parked: usize,
    /// Bytes of all files of the outbox.
    pub bytes: u64,
    /// The oldest entry that is to be stored.
    pub oldest: Option<u64>,
    /// When the first record of entries that are to be stored arrived, microseconds since 1970.
    pub since: Option<i64>,
}

impl Outbox {
    /// Opens the outbox in `dir`, making it where it is missing. Drops what was being written when the last process
    /// ended, and the objects of entries that are stored.
    ///
    /// # Errors
    /// What the disk says.
    pub fn open(disk: Arc<dyn Disk>, dir: &Path) -> io::Result<Self> {
        disk::create_dir_all(disk.as_ref(), dir)?;
        // What is seen from here on is durable: it may have been renamed just before the last process ended.
        disk.sync_dir(dir)?;
        let outbox = Self { disk, dir: dir.to_owned(), entries: Mutex::default(), changing: Mutex::default() };
        for found in outbox.disk.list(dir)? {
            if !found.is_dir {
                continue;
            }
            if found.name.ends_with(TMP) {
                disk::remove_dir_all(outbox.disk.as_ref(), &dir.join(&found.name))?;
            } else if let Some(segment) = segment_of(&found.name) {
                outbox.take_up(segment)?;
            }
        }
        Ok(outbox)
    }

    fn take_up(&self, segment: u64) -> io::Result<()> {
        let folder = self.folder(segment);
        let files = self.disk.list(&folder)?;
        // One that was being removed when the last process ended.
        if files.is_empty() {
            return self.disk.remove_dir(&folder);
        }
        for file in files.iter().filter(|file| file.name.ends_with(TMP)) {
            self.disk.remove_file(&folder.join(&file.name))?;
        }
        let entry = self.look(segment)?;
        self.entries().insert(segment, entry);
        if entry.state == State::Stored {
            self.disk.sync_dir(&folder)?;
            self.drop_objects(segment)?;
        }
        Ok(())
    }

    fn look(&self, segment: u64) -> io::Result<Entry> {
        let files = self.disk.list(&self.folder(segment))?;
        let has = |name| files.iter().any(|file| file.name == name);
        // What waits has a manifest at least, and an index or what damage has left of it.
        let waits = has(INDEX) || files.iter().any(|file| file.name.ends_with(PART));
        let state = match (has(STORED) || !waits, has(PARKED)) {
            (true, _) => State::Stored,
            (false, true) => State::Parked,
            (false, false) => State::Waiting,
        };
        let index = if state == State::Stored { None } else { self.whole_index(segment)? };
        let bytes = files.iter().map(|file| file.len).sum();
        let (oldest, records) = index.map_or((None, 0), |index| (index.oldest(), index.records()));
        Ok(Entry { state, bytes, oldest, records })
    }

    /// The last entry: the fold goes on behind it.
    pub fn last(&self) -> Option<u64> {
        self.entries().keys().next_back().copied()
    }

    /// All entries, oldest first.
    pub fn all(&self) -> Vec<u64> {
        self.entries().keys().copied().collect()
    }

    /// Begins an entry. What an earlier attempt left is dropped.
    ///
    /// # Errors
    /// What the disk says.
    pub fn begin(&self, segment: u64) -> io::Result<Draft<'_>> {
        let in_place = failpoint::has(Mutation::NoRename);
        let dir = if in_place { self.folder(segment) } else { self.dir.join(format!("{segment:012}{TMP}")) };
        disk::remove_dir_all(self.disk.as_ref(), &dir)?;
        self.disk.create_dir(&dir)?;
        let index = Index { version: VERSION, segment, shipments: Vec::new() };
        Ok(Draft { outbox: self, dir, index, files: BTreeMap::new(), bytes: 0, parts: 0 })
    }

    /// The entries that are to be stored, oldest first; parked ones are not among them.
    pub fn waiting(&self) -> Vec<u64> {
        self.in_state(State::Waiting)
    }

    /// The entries that the store refused, oldest first.
    pub fn parked(&self) -> Vec<u64> {
        self.in_state(State::Parked)
    }

    fn in_state(&self, state: State) -> Vec<u64> {
        self.entries().iter().filter(|(_, entry)| entry.state == state).map(|(segment, _)| *segment).collect()
    }

    /// What waits.
    pub fn backlog(&self) -> Backlog {
        let entries = self.entries();
        let mut backlog = Backlog::default();
        for (segment, entry) in &*entries {
            backlog.bytes += entry.bytes;
            if entry.state != State::Stored {
                backlog.entries += 1;
                backlog.oldest.get_or_insert(*segment);
                backlog.since = [backlog.since, entry.oldest].into_iter().flatten().min();
            }
            backlog.parked += usize::from(entry.state == State::Parked);
        }
        backlog
    }

    /// Reads what an entry holds.
    ///
    /// # Errors
    /// What the disk says, and invalid data where the index is no index.
    pub fn index(&self, segment: u64) -> io::Result<Index> {
        // Where all is stored, and the disk failed before that could be noted here, it has its other name.
        let bytes = self.read_twice(segment, &[INDEX, STORED])?;
        let index: Index = serde_json::from_slice(&bytes).map_err(invalid)?;
        if index.version != VERSION {
            return Err(invalid(format!("entry {segment} of the outbox is of version {}", index.version)));
        }
        Ok(index)
    }

    /// Input records that are decided by what is still to be stored of an entry; 0 where damage has taken its index,
    /// for then nobody knows.
    ///
    /// # Errors
    /// What the disk says.
    pub fn records(&self, segment: u64) -> io::Result<u64> {
        match self.entries().get(&segment) {
            Some(entry) if entry.state == State::Waiting => return Ok(entry.records),
            _ => {}
        }
        let stored = self.why_parked(segment)?.unwrap_or_default().stored;
        let Some(index) = self.whole_index(segment)? else { return Ok(0) };
        let left = index.shipments.iter().filter(|shipment| !stored.contains(&shipment.prefix));
        Ok(left.map(|shipment| shipment.records).sum())
    }

    /// The index of an entry, if damage has not taken it and its copy.
    fn whole_index(&self, segment: u64) -> io::Result<Option<Index>> {
        match self.index(segment) {
            Ok(index) => Ok(Some(index)),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads the bytes of an object of an entry.
    ///
    /// # Errors
    /// What the disk says, and invalid data where they are not what was written.
    pub fn object(&self, segment: u64, object: &Object) -> io::Result<Vec<u8>> {
        let bytes = disk::read(self.disk.as_ref(), &self.folder(segment).join(&object.file))?;
        if sha256(&bytes) == object.sha256 {
            Ok(bytes)
        } else {
            Err(invalid(format!("{} of entry {segment} of the outbox is damaged", object.file)))
        }
    }

    /// What the store refused of an entry, where it did.
    ///
    /// # Errors
    /// What the disk says.
    pub fn why_parked(&self, segment: u64) -> io::Result<Option<Parked>> {
        let bytes = disk::read(self.disk.as_ref(), &self.folder(segment).join(PARKED));
        match bytes.and_then(|bytes| checked(bytes, segment)) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            // A note that cannot be read is no reason to stop: the entry is tried from its beginning.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Notes that the store refuses parts of an entry. It is not among the waiting ones any more. On a full disk only
    /// this process knows it: the next one tries all of the entry.
    ///
    /// # Errors
    /// What the disk says, but that it is full.
    pub fn park(&self, segment: u64, parked: &Parked) -> io::Result<()> {
        let _changing = self.changing.lock();
        let bytes = serde_json::to_vec(parked).map_err(io::Error::other)?;
        match self.replace(segment, PARKED, &bytes) {
            Err(error) if disk::is_full(&error) => {}
            result => result?,
        }
        if let Some(entry) = self.entries().get_mut(&segment) {
            entry.state = State::Parked;
        }
        Ok(())
    }

    /// Notes that all of an entry is stored, and deletes its objects.
    ///
    /// # Errors
    /// What the disk says.
    pub fn stored(&self, segment: u64) -> io::Result<()> {
        let _changing = self.changing.lock();
        let folder = self.folder(segment);
        failpoint::reached(Point::OutboxBeforeStored);
        match self.disk.rename(&folder.join(INDEX), &folder.join(STORED)) {
            // Noted before, by a call that then failed; or damage took the index.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if !self.has_beside(segment, STORED)? {
                    self.replace(segment, STORED, b"{}")?;
                }
            }
            result => result?,
        }
        // Before the first object goes: an entry that is to be stored must have all of its own.
        self.disk.sync_dir(&folder)?;
        failpoint::reached(Point::OutboxAfterStored);
        self.drop_objects(segment)?;
        failpoint::reached(Point::OutboxAfterDrop);
        Ok(())
    }

    fn drop_objects(&self, segment: u64) -> io::Result<()> {
        let folder = self.folder(segment);
        let mut left = 0;
        for file in self.disk.list(&folder)? {
            let is_carry = failpoint::has(Mutation::CarryDeleted)
                && ["carry", "change"].iter().any(|name| file.name.starts_with(name));
            let is_over = file.name.starts_with(PARKED) || file.name.starts_with(INDEX);
            if file.name.ends_with(PART) || is_over || is_carry {
                self.disk.remove_file(&folder.join(&file.name))?;
            } else {
                left += file.len;
            }
        }
        self.entries().insert(segment, Entry { state: State::Stored, bytes: left, oldest: None, records: 0 });
        Ok(())
    }

    /// Removes the files beside entries that nobody needs, and the entries of which then nothing is left. `needs` says
    /// whether the file of this name beside the entry of this segment is needed. Nothing beside the last entry is
    /// removed: the fold goes on from there.
    ///
    /// # Errors
    /// What the disk says.
    pub fn clean(&self, needs: &dyn Fn(u64, &str) -> bool) -> io::Result<()> {
        let _changing = self.changing.lock();
        let entries: Vec<(u64, Entry)> = self.entries().iter().map(|(segment, entry)| (*segment, *entry)).collect();
        let last = self.last();
        for (segment, entry) in entries.into_iter().filter(|(segment, _)| Some(*segment) != last) {
            let folder = self.folder(segment);
            let mut left = 0;
            let mut kept = 0;
            for file in self.disk.list(&folder)? {
                let name = file.name.strip_suffix(COPY).unwrap_or(&file.name);
                let ours = name.ends_with(PART) || [INDEX, STORED, PARKED].contains(&name);
                if !ours && !name.ends_with(TMP) && !needs(segment, name) {
                    self.disk.remove_file(&folder.join(&file.name))?;
                    continue;
                }
                left += file.len;
                kept += usize::from(file.name != STORED);
            }
            if entry.state == State::Stored && kept == 0 {
                disk::remove_dir_all(self.disk.as_ref(), &folder)?;
                self.entries().remove(&segment);
            } else if let Some(entry) = self.entries().get_mut(&segment) {
                entry.bytes = left;
            }
        }
        Ok(())
    }

    fn folder(&self, segment: u64) -> PathBuf {
        self.dir.join(format!("{segment:012}"))
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<u64, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn segment_of(name: &str) -> Option<u64> {
    if name.len() >= 12 && name.bytes().all(|byte| byte.is_ascii_digit()) { name.parse().ok() } else { None }
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
