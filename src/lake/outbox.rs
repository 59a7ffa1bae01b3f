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

#[cfg(test)]
mod tests;

use super::encode::sha256;
use super::key::Prefix;
use super::manifest::Range;
use crate::failpoint;
use crate::failpoint::Mutation;
use crate::failpoint::Point;
use crate::wal::disk;
use crate::wal::disk::Disk;
use serde::Deserialize;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use xxhash_rust::xxh3::xxh3_64_with_seed;

const INDEX: &str = "entry.json";
const STORED: &str = "stored.json";
const PARKED: &str = "parked.json";
const PART: &str = ".part";
const TMP: &str = ".tmp";
/// Ends the name of the second of two equal files.
const COPY: &str = ".copy";
/// Bytes of the line that a file ends in.
const CHECK: usize = 18;
/// The version of the index.
const VERSION: u32 = 2;

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

/// What an entry holds: what `entry.json` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    version: u32,
    /// The segment whose fold made it.
    pub segment: u64,
    /// What is to be stored, by prefix.
    pub shipments: Vec<Shipment>,
}

/// What is to be stored under one prefix: files, and last the manifest that makes them visible.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shipment {
    /// The prefix.
    pub prefix: String,
    /// The files.
    pub files: Vec<Object>,
    /// The manifest.
    pub manifest: Object,
    /// Input records that the manifest decides.
    pub records: u64,
    /// Their numbers.
    pub decided: Vec<Range>,
    /// When the first of those with a row arrived, microseconds since 1970.
    pub oldest: Option<i64>,
}

/// One object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// Its key below the store's URL.
    pub key: String,
    /// The file in the entry.
    pub file: String,
    /// Length.
    pub bytes: u64,
    /// SHA-256 in hex.
    pub sha256: String,
}

/// Why parts of an entry are parked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parked {
    /// The reason for each prefix that the store refuses.
    pub refused: BTreeMap<String, String>,
    /// Prefixes of which all is stored.
    pub stored: Vec<String>,
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

impl Index {
    fn oldest(&self) -> Option<i64> {
        self.shipments.iter().filter_map(|shipment| shipment.oldest).min()
    }
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
        let index = if state == State::Stored { None } else { self.index(segment).ok() };
        let oldest = index.and_then(|index| index.oldest());
        Ok(Entry { state, bytes: files.iter().map(|file| file.len).sum(), oldest })
    }

    /// The last entry: the fold goes on behind it.
    pub fn last(&self) -> Option<u64> {
        self.entries().keys().next_back().copied()
    }

    /// All entries, oldest first.
    pub fn all(&self) -> Vec<u64> {
        self.entries().keys().copied().collect()
    }

    /// Whether a file was put beside an entry.
    ///
    /// # Errors
    /// What the disk says.
    pub fn has_beside(&self, segment: u64, name: &str) -> io::Result<bool> {
        let files = match self.disk.list(&self.folder(segment)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            files => files?,
        };
        Ok(files.iter().any(|file| file.name.strip_suffix(COPY).unwrap_or(&file.name) == name))
    }

    /// A file beside an entry.
    ///
    /// # Errors
    /// What the disk says; not found where it was cleaned away, invalid data where it and its copy are damaged.
    pub fn read_beside(&self, segment: u64, name: &str) -> io::Result<Vec<u8>> {
        self.read_twice(segment, &[name])
    }

    /// Puts a file beside an entry that is in place, over what damage has left of it.
    ///
    /// # Errors
    /// What the disk says.
    pub fn put_beside(&self, segment: u64, name: &str, bytes: &[u8]) -> io::Result<()> {
        let _changing = self.changing.lock();
        self.replace(segment, &format!("{name}{COPY}"), bytes)?;
        self.replace(segment, name, bytes)
    }

    /// Reads a file that stands twice, under the first of the names that is there.
    fn read_twice(&self, segment: u64, names: &[&str]) -> io::Result<Vec<u8>> {
        let folder = self.folder(segment);
        let copies = names.first().map(|name| format!("{name}{COPY}"));
        let mut failed: Option<(String, io::Error)> = None;
        for name in names.iter().map(|name| (*name).to_owned()).chain(copies) {
            let read = disk::read(self.disk.as_ref(), &folder.join(&name));
            match read.and_then(|bytes| checked(bytes, segment)) {
                Ok(bytes) => {
                    if let Some((first, why)) = failed
                        && name.ends_with(COPY)
                    {
                        tracing::warn!(segment, file = first, %why, "a file of the outbox is read from its copy");
                        self.mend(segment, &first, &bytes)?;
                    }
                    return Ok(bytes);
                }
                Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) => {
                    // Damage says more than that nothing is there.
                    if failed.as_ref().is_none_or(|(_, before)| before.kind() == io::ErrorKind::NotFound) {
                        failed = Some((failed.map_or(name, |(first, _)| first), error));
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Err(failed.map_or_else(|| io::ErrorKind::NotFound.into(), |(_, error)| error))
    }

    /// Writes a file anew of which only the copy could be read. A full disk is no failure: the copy is there.
    fn mend(&self, segment: u64, name: &str, bytes: &[u8]) -> io::Result<()> {
        let _changing = self.changing.lock();
        match self.replace(segment, name, bytes) {
            // Full, or cleaned away meanwhile.
            Err(error) if disk::is_full(&error) || error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }

    fn replace(&self, segment: u64, name: &str, bytes: &[u8]) -> io::Result<()> {
        let folder = self.folder(segment);
        let new = folder.join(format!("{name}{TMP}"));
        disk::write(self.disk.as_ref(), &new, &with_check(bytes, segment))?;
        if name == PARKED {
            failpoint::reached(Point::OutboxBeforeParked);
        }
        self.disk.rename(&new, &folder.join(name))?;
        self.disk.sync_dir(&folder)
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
        Ok(Draft { outbox: self, dir, index, files: Vec::new(), bytes: 0, parts: 0 })
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
        let stored = self.why_parked(segment)?.unwrap_or_default().stored;
        let index = match self.index(segment) {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) => return Ok(0),
            index => index?,
        };
        let left = index.shipments.iter().filter(|shipment| !stored.contains(&shipment.prefix));
        Ok(left.map(|shipment| shipment.records).sum())
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
        self.entries().insert(segment, Entry { state: State::Stored, bytes: left, oldest: None });
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

/// An entry that is being written. Dropped without [`Draft::commit`], it is as if it had never been.
#[derive(Debug)]
pub struct Draft<'a> {
    outbox: &'a Outbox,
    dir: PathBuf,
    index: Index,
    /// Files of the shipment at hand.
    files: Vec<Object>,
    bytes: u64,
    parts: usize,
}

impl Draft<'_> {
    /// Adds a file of the shipment at hand. `key` is below the prefix.
    ///
    /// # Errors
    /// What the disk says.
    pub fn file(&mut self, prefix: &Prefix, key: &str, bytes: &[u8]) -> io::Result<()> {
        let object = self.part(prefix.join(key), bytes)?;
        self.files.push(object);
        Ok(())
    }

    /// Adds the manifest of the shipment at hand, which is then complete. `key` is below the store's URL, `decided` the
    /// input records that it decides, `oldest` when the first of those with a row arrived.
    ///
    /// # Errors
    /// What the disk says.
    pub fn manifest(
        &mut self,
        prefix: &Prefix,
        key: String,
        bytes: &[u8],
        decided: &[Range],
        oldest: Option<i64>,
    ) -> io::Result<()> {
        let manifest = self.part(key, bytes)?;
        let files = std::mem::take(&mut self.files);
        let records = decided.iter().map(|range| range.last.saturating_sub(range.first).saturating_add(1)).sum();
        let (prefix, decided) = (prefix.to_string(), decided.to_vec());
        self.index.shipments.push(Shipment { prefix, files, manifest, records, decided, oldest });
        Ok(())
    }

    /// Adds a file beside the entry, and its copy. Names are plain and end in none of the endings above.
    ///
    /// # Errors
    /// What the disk says.
    pub fn beside(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let bytes = with_check(bytes, self.index.segment);
        self.write(name, &bytes)?;
        self.write(&format!("{name}{COPY}"), &bytes)
    }

    /// Puts the entry in place: when this returns, it is durable.
    ///
    /// # Errors
    /// What the disk says. The entry may be in place nevertheless: only reading the disk again tells.
    pub fn commit(mut self) -> io::Result<()> {
        let index = serde_json::to_vec(&self.index).map_err(io::Error::other)?;
        let state = if self.index.shipments.is_empty() { State::Stored } else { State::Waiting };
        match state {
            State::Stored => self.write(STORED, &with_check(&index, self.index.segment))?,
            State::Waiting | State::Parked => self.beside(INDEX, &index)?,
        }
        let (disk, segment) = (self.outbox.disk.as_ref(), self.index.segment);
        disk.sync_dir(&self.dir)?;
        failpoint::reached(Point::OutboxBeforeRename);
        if !failpoint::has(Mutation::NoRename) {
            disk.rename(&self.dir, &self.outbox.folder(segment))?;
        }
        failpoint::reached(Point::OutboxAfterRename);
        if !failpoint::has(Mutation::NoRenameSync) {
            disk.sync_dir(&self.outbox.dir).map_err(disk::never_again)?;
        }
        failpoint::reached(Point::OutboxAfterSync);
        let oldest = self.index.oldest();
        self.outbox.entries().insert(segment, Entry { state, bytes: self.bytes, oldest });
        Ok(())
    }

    fn part(&mut self, key: String, bytes: &[u8]) -> io::Result<Object> {
        let file = format!("{:04}{PART}", self.parts);
        self.parts += 1;
        self.write(&file, bytes)?;
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        Ok(Object { key, file, bytes: length, sha256: sha256(bytes) })
    }

    fn write(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.bytes += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        disk::write(self.outbox.disk.as_ref(), &self.dir.join(name), bytes)
    }
}

fn segment_of(name: &str) -> Option<u64> {
    if name.len() >= 12 && name.bytes().all(|byte| byte.is_ascii_digit()) { name.parse().ok() } else { None }
}

/// What a file that is not an object is made of: the bytes, and a line with their hash.
fn with_check(bytes: &[u8], segment: u64) -> Vec<u8> {
    let line = format!("\n{:016x}\n", xxh3_64_with_seed(bytes, segment));
    [bytes, line.as_bytes()].concat()
}

/// What stands before the line with its hash.
fn checked(mut bytes: Vec<u8>, segment: u64) -> io::Result<Vec<u8>> {
    let end = bytes.len().checked_sub(CHECK);
    let whole = end.and_then(|end| bytes.split_at_checked(end)).is_some_and(|(bytes, line)| {
        let hash = xxh3_64_with_seed(bytes, segment);
        line == format!("\n{hash:016x}\n").as_bytes()
    });
    bytes.truncate(end.unwrap_or(0));
    if whole || failpoint::has(Mutation::NoCheck) { Ok(bytes) } else { Err(invalid("it is not what was written")) }
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
