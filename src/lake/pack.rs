//! What a fold decided becomes an entry of the outbox: files, a manifest for each prefix, and the files beside it.

use super::encode;
use super::encode::Encoder;
use super::encode::Settings;
use super::key::ManifestKey;
use super::key::Prefix;
use super::key::Writer;
use super::manifest::File;
use super::manifest::Manifest;
use super::outbox::Draft;
use super::outbox::Outbox;
use crate::event::Event;
use crate::fold::Batch;
use std::collections::BTreeMap;
use std::io;

/// What was packed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Packed {
    /// Rows in files.
    pub rows: u64,
    /// Files, those of records that could not be mapped included.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Rows that went to `__overflow__`: their partition key has too many values.
    pub overflown: u64,
}

impl Packed {
    /// Adds what another step packed.
    pub fn add(&mut self, other: &Self) {
        self.rows += other.rows;
        self.files += other.files;
        self.bytes += other.bytes;
        self.overflown += other.overflown;
    }
}

/// The entry of a segment's fold in the making. Dropped, it leaves nothing in place.
#[derive(Debug)]
pub struct Packing<'a> {
    settings: &'a Settings,
    writer: &'a Writer,
    segment: u64,
    draft: Draft<'a>,
    prefixes: BTreeMap<String, Shipment<'a>>,
    packed: Packed,
}

/// What goes under one prefix.
#[derive(Debug)]
struct Shipment<'a> {
    encoder: Encoder<'a>,
    files: Vec<File>,
    /// When the first record with a row arrived, microseconds since 1970.
    oldest: Option<i64>,
}

impl<'a> Packing<'a> {
    /// Begins an entry.
    ///
    /// # Errors
    /// What the disk says.
    pub fn begin(outbox: &'a Outbox, settings: &'a Settings, writer: &'a Writer, segment: u64) -> io::Result<Self> {
        let draft = outbox.begin(segment)?;
        Ok(Self { settings, writer, segment, draft, prefixes: BTreeMap::new(), packed: Packed::default() })
    }

    /// Writes the files of some rows of a prefix, so that they need not be held until all are there.
    ///
    /// # Errors
    /// What the disk says.
    pub fn rows(&mut self, prefix: &str, rows: Vec<Box<Event>>) -> io::Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let place = Prefix::confined(prefix);
        if !self.prefixes.contains_key(prefix) {
            let encoder = Encoder::new(self.settings, self.writer, self.key());
            self.prefixes.insert(prefix.to_owned(), Shipment { encoder, files: Vec::new(), oldest: None });
        }
        let Some(shipment) = self.prefixes.get_mut(prefix) else { return Ok(()) };
        shipment.oldest = oldest(shipment.oldest, rows.iter().map(|row| row.received_at));
        for file in shipment.encoder.files(rows) {
            let file = file?;
            self.draft.file(&place, &file.facts.key, &file.bytes)?;
            self.packed.rows += file.facts.rows;
            self.packed.files += 1;
            self.packed.bytes += file.facts.bytes;
            shipment.files.push(file.facts);
        }
        Ok(())
    }

    /// Writes the rest and puts the entry in place; when this returns, it is durable. `beside` are the files that the
    /// fold reads back.
    ///
    /// # Errors
    /// What the disk says. Nothing is in place then, or all is: only opening the outbox again tells.
    pub fn finish(mut self, batches: BTreeMap<String, Batch>, beside: &[(&str, &[u8])]) -> io::Result<Packed> {
        for (prefix, mut batch) in batches {
            if batch.account.has_decisions() {
                self.rows(&prefix, std::mem::take(&mut batch.rows))?;
                self.ship(&prefix, &batch)?;
            }
        }
        for (name, bytes) in beside {
            self.draft.beside(name, bytes)?;
        }
        self.draft.commit()?;
        Ok(self.packed)
    }

    fn ship(&mut self, prefix: &str, batch: &Batch) -> io::Result<()> {
        let segment = self.key();
        let mut manifest = Manifest::new(self.writer, segment, batch.previous, &batch.account);
        let mut since = None;
        if let Some(shipment) = self.prefixes.remove(prefix) {
            self.packed.overflown += shipment.encoder.overflown();
            manifest.files = shipment.files;
            since = shipment.oldest;
        }
        since = oldest(since, batch.dead.iter().map(|dead| dead.received_at));
        let prefix = Prefix::confined(prefix);
        for file in encode::dead(self.writer, segment, &batch.dead) {
            self.draft.file(&prefix, &file.facts.key, &file.bytes)?;
            self.packed.files += 1;
            self.packed.bytes += file.facts.bytes;
            manifest.dead.push(file.facts);
        }
        let key = ManifestKey { prefix: prefix.clone(), writer: self.writer.clone(), segment };
        self.draft.manifest(&prefix, key.to_string(), &manifest.to_bytes(), &manifest.decided, since)
    }

    /// The segment as keys have it.
    fn key(&self) -> u64 {
        #[cfg(test)]
        return crate::failpoint::key(self.segment);
        #[cfg(not(test))]
        self.segment
    }
}

fn oldest(before: Option<i64>, arrivals: impl Iterator<Item = i64>) -> Option<i64> {
    before.into_iter().chain(arrivals.filter(|at| *at > 0)).min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fold::Dead;
    use crate::fold::account::Account;
    use crate::fold::account::Fate;
    use crate::lake::encode::Format;
    use crate::lake::partition;
    use crate::lake::samples::bare;
    use crate::lake::samples::pack;
    use crate::wal::disk::Disk;
    use crate::wal::disk::MemDisk;
    use std::path::Path;
    use std::sync::Arc;

    #[test]
    fn each_prefix_has_its_files_and_its_manifest() {
        let disk: Arc<dyn Disk> = Arc::new(MemDisk::new());
        let outbox = Outbox::open(Arc::clone(&disk), Path::new("/outbox")).unwrap();
        let template = partition::DEFAULT.parse().unwrap();
        let settings = Settings { format: Format::Proto, template, partitions: 10, file_bytes: 1 << 20 };
        let dead = Dead { received_at: 1, door: "otlp".into(), tenant: None, reason: "r".into(), text: "t".into() };
        let decided = || {
            let mut account = Account::default();
            [5, 6, 8].into_iter().for_each(|sequence| account.decide(sequence, Fate::Landed));
            account
        };
        let batches = BTreeMap::from([
            (String::new(), Batch { rows: vec![Box::new(bare("e", "c", 1))], account: decided(), ..Batch::default() }),
            ("team".to_owned(), Batch { dead: vec![dead], account: decided(), previous: Some(3), ..Batch::default() }),
            ("waits".to_owned(), Batch::default()),
        ]);
        let packed = pack(&outbox, &settings, &"w".parse().unwrap(), 9, batches, &[("carry", b"c")]).unwrap();
        assert_eq!((packed.rows, packed.files, packed.overflown), (1, 2, 0));
        let index = outbox.index(9).unwrap();
        let keys: Vec<_> = index
            .shipments
            .iter()
            .flat_map(|shipment| shipment.files.iter().chain([&shipment.manifest]))
            .map(|object| object.key.as_str())
            .collect();
        let expected = [
            "events/date=1970-01-01/w-000000000009-000.pb",
            "_commits/w/000000000009.json",
            "team/_dead/date=1970-01-01/w-000000000009-000.jsonl",
            "team/_commits/w/000000000009.json",
        ];
        assert_eq!(keys, expected);
        let bytes = outbox.object(9, &index.shipments[1].manifest).unwrap();
        let manifest = Manifest::from_bytes(&bytes).unwrap();
        assert_eq!(
            (manifest.segment, manifest.previous, manifest.files.len(), manifest.dead.len()),
            (9, Some(3), 0, 1)
        );
        let ranges: Vec<_> = manifest.decided.iter().map(|range| (range.first, range.last)).collect();
        assert_eq!(ranges, [(5, 6), (8, 8)]);
        assert_eq!(manifest.dead[0].key, "_dead/date=1970-01-01/w-000000000009-000.jsonl");
        assert_eq!(outbox.read_beside(9, "carry").unwrap(), b"c");
    }
}
