//! An entry in the making.

use super::Entry;
use super::INDEX;
use super::Index;
use super::Object;
use super::Outbox;
use super::PART;
use super::STORED;
use super::Shipment;
use super::State;
use super::twice::COPY;
use super::twice::with_check;
use crate::failpoint;
use crate::failpoint::Mutation;
use crate::failpoint::Point;
use crate::lake::encode::sha256;
use crate::lake::key::Prefix;
use crate::lake::manifest::Range;
use crate::wal::disk;
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

/// An entry that is being written. Dropped without [`Draft::commit`], it is as if it had never been.
#[derive(Debug)]
pub struct Draft<'a> {
    pub(super) outbox: &'a Outbox,
    pub(super) dir: PathBuf,
    pub(super) index: Index,
    /// Files of prefixes whose manifest has not come.
    pub(super) files: BTreeMap<String, Vec<Object>>,
    pub(super) bytes: u64,
    pub(super) parts: usize,
}

impl Draft<'_> {
    /// Adds a file under a prefix. `key` is below the prefix.
    ///
    /// # Errors
    /// What the disk says.
    pub fn file(&mut self, prefix: &Prefix, key: &str, bytes: &[u8]) -> io::Result<()> {
        let object = self.part(prefix.join(key), bytes)?;
        self.files.entry(prefix.to_string()).or_default().push(object);
        Ok(())
    }

    /// Adds the manifest of a prefix, which is then complete. `key` is below the store's URL, `decided` the
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
        let records = decided.iter().map(|range| range.last.saturating_sub(range.first).saturating_add(1)).sum();
        let (prefix, decided) = (prefix.to_string(), decided.to_vec());
        let files = self.files.remove(&prefix).unwrap_or_default();
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
        let (oldest, records) = (self.index.oldest(), self.index.records());
        self.outbox.entries().insert(segment, Entry { state, bytes: self.bytes, oldest, records });
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
