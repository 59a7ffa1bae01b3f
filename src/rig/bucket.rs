//! The store, with a reader at every moment: each commit is checked when it becomes visible.

use super::client::SECRET;
use crate::event::Event;
use crate::lake::encode::sha256;
use crate::lake::key::ManifestKey;
use crate::lake::manifest::File;
use crate::lake::manifest::Manifest;
use crate::lake::objects::Failure;
use crate::lake::objects::Listed;
use crate::lake::objects::Memory;
use crate::lake::objects::Objects;
use async_trait::async_trait;
use bytes::Bytes;
use prost::Message as _;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

/// A store whose commits are read as soon as they are there. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bucket {
    pub(crate) memory: Memory,
    /// Whether a put replaces what is there: a store that does not know conditions.
    pub(crate) replaces: Arc<AtomicBool>,
    seen: Arc<Mutex<Seen>>,
}

/// What readers have seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Manifests by prefix and segment.
    pub(crate) manifests: BTreeMap<(String, u64), Manifest>,
    /// Names of rows, and how many rows have each.
    pub(crate) rows: BTreeMap<String, u64>,
    ids: BTreeSet<String>,
    /// Sequence numbers that are decided.
    pub(crate) decided: BTreeSet<u64>,
    pub(crate) dead: u64,
    /// Hash of each object that was put.
    objects: BTreeMap<String, String>,
    listed: BTreeSet<String>,
    /// In the order in which they became visible.
    pub(crate) order: Vec<u64>,
}

impl Bucket {
    pub(crate) fn seen<T>(&self, look: impl FnOnce(&Seen) -> T) -> T {
        // A check that failed has ended the test already.
        look(&self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// All rows of `proto` files, by id. When they came does not count.
    pub(crate) fn events(&self) -> BTreeMap<String, Event> {
        let mut events = BTreeMap::new();
        for (_, bytes) in self.memory.all().iter().filter(|(key, _)| key.ends_with(".pb")) {
            let mut rest = bytes.as_ref();
            while !rest.is_empty() {
                let event = Event::decode_length_delimited(&mut rest).unwrap();
                events.insert(event.event_id.clone(), Event { received_at: 0, ..event });
            }
        }
        events
    }

    /// Holds all objects against what was once put, and against the manifests; these against each other if they are
    /// `chained`.
    pub(crate) fn check(&self, is_drained: bool, chained: bool) {
        let objects = self.memory.all();
        self.seen(|seen| {
            for (key, hash) in &seen.objects {
                let bytes = objects.get(key).unwrap_or_else(|| panic!("I5: {key} is gone"));
                assert_eq!(&sha256(bytes), hash, "I5: {key} was replaced");
            }
            for (key, bytes) in &objects {
                let text = String::from_utf8_lossy(bytes);
                assert!(!text.contains(SECRET), "I10: a secret is in {key}");
                if is_drained && !key.ends_with("/probe") {
                    assert!(seen.listed.contains(key), "no manifest lists {key}");
                }
            }
            if is_drained && chained {
                let mut before: BTreeMap<&str, u64> = BTreeMap::new();
                for ((prefix, segment), manifest) in &seen.manifests {
                    let previous = before.insert(prefix, *segment);
                    assert_eq!(manifest.previous, previous, "the chain of manifests of {prefix:?} at {segment}");
                }
            }
        });
    }
}

impl Seen {
    /// A reader finds a new manifest.
    fn commit(&mut self, key: &str, manifest: Manifest, objects: &BTreeMap<String, Bytes>) {
        let place: ManifestKey = key.parse().unwrap();
        let books = &manifest.accounting;
        assert!(books.balances(), "I7: {key}: {books:?}");
        let ranges = manifest.decided.iter().map(|range| range.last - range.first + 1).sum::<u64>();
        assert_eq!(ranges, books.decided.total(), "{key}: ranges and books");
        for range in &manifest.decided {
            for number in range.first..=range.last {
                assert!(self.decided.insert(number), "I3: number {number} is decided twice, again in {key}");
            }
        }
        for file in &manifest.files {
            let rows = rows(&self.file(&place, file, objects), file);
            assert_eq!(rows.len() as u64, file.rows, "I4: rows of {}", file.key);
            for row in rows {
                assert!(self.ids.insert(row.event_id.clone()), "I3: two rows have the id {}", row.event_id);
                let count = self.rows.entry(row.name.clone()).or_default();
                *count += 1;
                assert_eq!(*count, 1, "I3: {} has two rows", row.name);
            }
        }
        for file in &manifest.dead {
            let bytes = self.file(&place, file, objects);
            let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count();
            assert_eq!(lines as u64, file.rows, "I4: rows of {}", file.key);
            self.dead += file.rows;
        }
        self.listed.insert(key.to_owned());
        self.order.push(manifest.segment);
        let before = self.manifests.insert((place.prefix.to_string(), place.segment), manifest);
        assert!(before.is_none(), "I5: {key} was there");
    }

    fn file(&mut self, place: &ManifestKey, file: &File, objects: &BTreeMap<String, Bytes>) -> Bytes {
        let key = place.prefix.join(&file.key);
        let Some(bytes) = objects.get(&key) else { panic!("I4: a reader finds {place} without {key}") };
        assert_eq!((bytes.len() as u64, sha256(bytes)), (file.bytes, file.sha256.clone()), "I4: {key}");
        assert!(self.listed.insert(key.clone()), "two manifests list {key}");
        bytes.clone()
    }
}

fn rows(bytes: &Bytes, file: &File) -> Vec<Event> {
    if file.format == "proto" {
        let mut rest = bytes.as_ref();
        let mut rows = Vec::new();
        while !rest.is_empty() {
            rows.push(Event::decode_length_delimited(&mut rest).unwrap_or_else(|_| panic!("I4: {}", file.key)));
        }
        return rows;
    }
    assert_eq!(file.format, "jsonl");
    let text = std::str::from_utf8(bytes).unwrap();
    let row = |line| {
        let row: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("I4: {}", file.key));
        let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
        Event { event_id: text("event_id"), name: text("name"), ..Event::default() }
    };
    text.lines().map(row).collect()
}

#[async_trait]
impl Objects for Bucket {
    async fn create(&self, key: &str, bytes: Bytes) -> Result<(), Failure> {
        match self.memory.create(key, bytes.clone()).await {
            Err(Failure::Exists) if self.replaces.load(Ordering::Relaxed) => self.memory.replace(key, bytes.clone()),
            created => created?,
        }
        let parts: Vec<&str> = key.trim_start_matches("team/a/").split('/').collect();
        let is_below = matches!(parts[..], ["events", _, _] | ["_commits", _, _] | ["_dead", _, _]);
        assert!(is_below, "I11: {key}");
        let mut seen = self.seen.lock().unwrap();
        seen.objects.insert(key.to_owned(), sha256(&bytes));
        if key.contains("_commits/") && key.ends_with(".json") {
            seen.commit(key, Manifest::from_bytes(&bytes).unwrap(), &self.memory.all());
        }
        Ok(())
    }

    async fn read(&self, key: &str) -> Result<Bytes, Failure> {
        self.memory.read(key).await
    }

    async fn list(&self, folder: &str, after: Option<&str>, limit: usize) -> Result<Vec<Listed>, Failure> {
        self.memory.list(folder, after, limit).await
    }

    async fn folders(&self, folder: &str) -> Result<Vec<String>, Failure> {
        self.memory.folders(folder).await
    }
}
