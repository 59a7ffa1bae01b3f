//! Files that stand twice, each with its hash: reading over damage, and mending it.

use super::Outbox;
use super::PARKED;
use super::TMP;
use super::invalid;
use crate::failpoint;
use crate::failpoint::Mutation;
use crate::failpoint::Point;
use crate::wal::disk;
use std::io;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Ends the name of the second of two equal files.
pub(super) const COPY: &str = ".copy";
/// Bytes of the line that a file ends in.
const CHECK: usize = 18;

impl Outbox {
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
    pub(super) fn read_twice(&self, segment: u64, names: &[&str]) -> io::Result<Vec<u8>> {
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

    /// Puts a file into an entry that is in place.
    pub(super) fn replace(&self, segment: u64, name: &str, bytes: &[u8]) -> io::Result<()> {
        let folder = self.folder(segment);
        let new = folder.join(format!("{name}{TMP}"));
        disk::write(self.disk.as_ref(), &new, &with_check(bytes, segment))?;
        if name == PARKED {
            failpoint::reached(Point::OutboxBeforeParked);
        }
        self.disk.rename(&new, &folder.join(name))?;
        self.disk.sync_dir(&folder)
    }
}

/// What a file that is not an object is made of: the bytes, and a line with their hash.
pub(super) fn with_check(bytes: &[u8], segment: u64) -> Vec<u8> {
    let line = format!("\n{:016x}\n", xxh3_64_with_seed(bytes, segment));
    [bytes, line.as_bytes()].concat()
}

/// What stands before the line with its hash.
pub(super) fn checked(mut bytes: Vec<u8>, segment: u64) -> io::Result<Vec<u8>> {
    let end = bytes.len().checked_sub(CHECK);
    let whole = end.and_then(|end| bytes.split_at_checked(end)).is_some_and(|(bytes, line)| {
        let hash = xxh3_64_with_seed(bytes, segment);
        line == format!("\n{hash:016x}\n").as_bytes()
    });
    bytes.truncate(end.unwrap_or(0));
    if whole || failpoint::has(Mutation::NoCheck) { Ok(bytes) } else { Err(invalid("it is not what was written")) }
}
