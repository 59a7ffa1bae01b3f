//! What a fold decided becomes an entry of the outbox: files, a manifest for each prefix, and the files beside it.

use super::encode;
use super::encode::Settings;
use super::key::ManifestKey;
use super::key::Prefix;
use super::key::Writer;
use super::manifest::Manifest;
use super::outbox::Draft;
use super::outbox::Outbox;
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

/// Writes the entry of a segment's fold and puts it in place; when this returns, it is durable. `beside` are the
/// files that the fold reads back.
///
/// # Errors
/// What the disk says. Nothing is in place then, or all is: only opening the outbox again tells.
pub fn pack(
    outbox: &Outbox,
    settings: &Settings,
    writer: &Writer,
    segment: u64,
    batches: BTreeMap<String, Batch>,
    beside: &[(&str, &[u8])],
) -> io::Result<Packed> {
    let mut draft = outbox.begin(segment)?;
    let mut packed = Packed::default();
    for (prefix, batch) in batches {
        if batch.account.has_decisions() {
            ship(&mut draft, settings, writer, segment, &Prefix::confined(&prefix), batch, &mut packed)?;
        }
    }
    for (name, bytes) in beside {
        draft.beside(name, bytes)?;
    }
    draft.commit()?;
    Ok(packed)
}

fn ship(
    draft: &mut Draft<'_>,
    settings: &Settings,
    writer: &Writer,
    segment: u64,
    prefix: &Prefix,
    batch: Batch,
    packed: &mut Packed,
) -> io::Result<()> {
    #[cfg(test)]
    let segment = crate::failpoint::key(segment);
    let mut manifest = Manifest::new(writer, segment, batch.previous, &batch.account);
    let arrivals = batch.rows.iter().map(|row| row.received_at).chain(batch.dead.iter().map(|dead| dead.received_at));
    let oldest = arrivals.filter(|at| *at > 0).min();
    let mut files = encode::files(settings, writer, segment, batch.rows);
    packed.overflown += files.overflown;
    for file in files.by_ref() {
        let file = file?;
        draft.file(prefix, &file.facts.key, &file.bytes)?;
        packed.rows += file.facts.rows;
        packed.files += 1;
        packed.bytes += file.facts.bytes;
        manifest.files.push(file.facts);
    }
    for file in encode::dead(writer, segment, &batch.dead) {
        draft.file(prefix, &file.facts.key, &file.bytes)?;
        packed.files += 1;
        packed.bytes += file.facts.bytes;
        manifest.dead.push(file.facts);
    }
    let key = ManifestKey { prefix: prefix.clone(), writer: writer.clone(), segment };
    draft.manifest(prefix, key.to_string(), &manifest.to_bytes(), &manifest.decided, oldest)
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
        let dead = Dead { received_at: 1, door: "otlp".into(), reason: "r".into(), text: "t".into() };
        let decided = || {
            let mut account = Account::default();
            [5, 6, 8].into_iter().for_each(|sequence| account.decide(sequence, Fate::Landed));
            account
        };
        let batches = BTreeMap::from([
            (String::new(), Batch { rows: vec![bare("e", "c", 1)], account: decided(), ..Batch::default() }),
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
