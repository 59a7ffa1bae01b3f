//! A lake as its manifests tell it: which prefixes and writers there are, what each has committed, which files may hold
//! what is asked for.
//!
//! Nothing here trusts a listing of files: a file that no manifest lists is not part of the lake.

#[cfg(test)]
mod tests;

use super::key::COMMITS;
use super::key::EVENTS;
use super::key::ManifestKey;
use super::key::Prefix;
use super::key::Writer;
use super::manifest;
use super::manifest::Manifest;
use super::manifest::ManifestError;
use super::objects::Failure;
use super::objects::Listed;
use super::read;
use super::read::Pick;
use super::read::ReadError;
use super::read::Rows;
use super::store::Store;
use bytes::Bytes;
use chrono::DateTime;
use futures::StreamExt as _;
use futures::TryStreamExt as _;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

/// Objects in a page of a list.
const PAGE: usize = 10_000;
/// Folders within each other that are looked through for lakes.
const DEPTH: usize = 5;
/// Manifests that are read at once.
const AT_ONCE: usize = 24;
/// Rows may say to be of a time that is so much later than their arrival, in microseconds.
const AHEAD: i64 = 86_400_000_000;

/// Why a lake cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// The store does not give it.
    #[error("{key}")]
    Store {
        /// What was asked for: a key, or a folder.
        key: String,
        /// What the store says.
        #[source]
        source: Failure,
    },
    /// An object that should be a manifest is none.
    #[error("{key}")]
    Manifest {
        /// Its key.
        key: String,
        /// What is wrong.
        #[source]
        source: ManifestError,
    },
    /// A file is not what its manifest says.
    #[error("{key}")]
    File {
        /// Its key.
        key: String,
        /// What is wrong.
        #[source]
        source: ReadError,
    },
}

fn store_error(key: impl Into<String>) -> impl FnOnce(Failure) -> ScanError {
    let key = key.into();
    move |source| ScanError::Store { key, source }
}

/// A lake, or several under one URL.
#[derive(Debug, Clone)]
pub struct Scan {
    store: Store,
}

/// A manifest in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its key.
    pub key: ManifestKey,
    /// When it was put, microseconds since 1970, by the store's clock; 0 where that is not known.
    pub modified: i64,
}

/// A file of rows, as its manifest tells it.
#[derive(Debug, Clone)]
pub struct LakeFile {
    /// The lake that it belongs to.
    pub prefix: Prefix,
    /// What the manifest says of it.
    pub file: manifest::File,
}

/// What is asked for. Files that cannot hold it are not read.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Rows of this conversation.
    pub conversation: Option<String>,
    /// Rows of this time or later, microseconds since 1970.
    pub since: Option<i64>,
    /// Rows before this time.
    pub until: Option<i64>,
}

impl Wanted {
    /// Whether a file may hold such rows, by its bounds.
    pub fn may_be_in(&self, file: &manifest::File) -> bool {
        let bounds = |name: &str| file.bounds.get(name);
        let time = |text: &str| DateTime::parse_from_rfc3339(text).ok().map(|time| time.timestamp_micros());
        if let (Some(wanted), Some(bounds)) = (&self.conversation, bounds("conversation_id"))
            && !(bounds.min.as_str()..=bounds.max.as_str()).contains(&wanted.as_str())
        {
            return false;
        }
        let Some(bounds) = bounds("timestamp") else { return true };
        let is_early = self.since.zip(time(&bounds.max)).is_some_and(|(since, latest)| latest < since);
        let is_late = self.until.zip(time(&bounds.min)).is_some_and(|(until, earliest)| earliest >= until);
        !is_early && !is_late
    }

    /// Whether a row is of the wanted time.
    pub fn has_time(&self, timestamp: i64) -> bool {
        self.since.is_none_or(|since| timestamp >= since) && self.until.is_none_or(|until| timestamp < until)
    }
}

impl Scan {
    /// The lakes of a store.
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// The prefixes under which there are manifests.
    ///
    /// # Errors
    /// When the store cannot be listed.
    pub async fn prefixes(&self) -> Result<Vec<Prefix>, ScanError> {
        let mut found = Vec::new();
        let mut level = vec![Prefix::default()];
        for _ in 0..DEPTH {
            let mut deeper = Vec::new();
            for prefix in level {
                let folders = self.store.folders(prefix.as_str()).await.map_err(store_error(prefix.as_str()))?;
                for folder in folders {
                    match folder.rsplit('/').next() {
                        Some(COMMITS) => found.push(prefix.clone()),
                        Some(EVENTS) | None => {}
                        // What is no prefix holds no lake of ours.
                        Some(_) => deeper.extend(folder.parse::<Prefix>()),
                    }
                }
            }
            level = deeper;
        }
        found.sort();
        Ok(found)
    }

    /// Who has committed under a prefix.
    ///
    /// # Errors
    /// When the store cannot be listed.
    pub async fn writers(&self, prefix: &Prefix) -> Result<Vec<Writer>, ScanError> {
        let folder = prefix.join(COMMITS);
        let folders = self.store.folders(&folder).await.map_err(store_error(folder))?;
        Ok(folders.iter().filter_map(|folder| folder.rsplit('/').next()?.parse().ok()).collect())
    }

    /// The manifests of a writer under a prefix, in order; those after a segment, where one is given.
    ///
    /// # Errors
    /// When the store cannot be listed.
    pub async fn manifests(
        &self,
        prefix: &Prefix,
        writer: &Writer,
        after: Option<u64>,
    ) -> Result<Vec<Found>, ScanError> {
        let key = |segment| ManifestKey { prefix: prefix.clone(), writer: writer.clone(), segment }.to_string();
        let folder = prefix.join(&format!("{COMMITS}/{writer}"));
        let listed = self.list(&folder, after.map(key)).await?;
        let found = listed
            .into_iter()
            .filter_map(|listed| Some(Found { key: listed.key.parse().ok()?, modified: listed.modified }));
        Ok(found.collect())
    }

    /// All manifests, of all prefixes and writers.
    ///
    /// # Errors
    /// When the store cannot be listed.
    pub async fn all_manifests(&self) -> Result<Vec<Found>, ScanError> {
        let mut all = Vec::new();
        for prefix in self.prefixes().await? {
            for writer in self.writers(&prefix).await? {
                all.extend(self.manifests(&prefix, &writer, None).await?);
            }
        }
        Ok(all)
    }

    /// All objects of a folder, after a key where one is given.
    ///
    /// # Errors
    /// When the store cannot be listed.
    pub async fn list(&self, folder: &str, mut after: Option<String>) -> Result<Vec<Listed>, ScanError> {
        let mut all = Vec::new();
        loop {
            let page = self.store.list(folder, after.as_deref(), PAGE).await.map_err(store_error(folder))?;
            let is_last = page.len() < PAGE;
            after = page.last().map(|last| last.key.clone());
            all.extend(page);
            if is_last {
                return Ok(all);
            }
        }
    }

    /// Reads a manifest.
    ///
    /// # Errors
    /// When the store does not give it, or it is none.
    pub async fn manifest(&self, key: &ManifestKey) -> Result<Manifest, ScanError> {
        let key = key.to_string();
        let bytes = self.store.read(&key).await.map_err(store_error(&key))?;
        Manifest::from_bytes(&bytes).map_err(|source| ScanError::Manifest { key, source })
    }

    /// The files that may hold what is wanted. Those that others have taken the place of are not among them.
    ///
    /// # Errors
    /// When the store cannot be listed, or a manifest cannot be read.
    pub async fn files(&self, wanted: &Wanted) -> Result<Vec<LakeFile>, ScanError> {
        let mut found = self.all_manifests().await?;
        // What was committed before cannot tell of later rows, but for those whose clock is ahead.
        let earliest = wanted.since.map_or(i64::MIN, |since| since.saturating_sub(AHEAD));
        found.retain(|found| found.modified == 0 || found.modified >= earliest);
        let read = futures::stream::iter(found).map(async |found| {
            let manifest = self.manifest(&found.key).await?;
            Ok::<_, ScanError>((found.key.prefix, manifest))
        });
        let mut files = Vec::new();
        let mut replaced: BTreeSet<(Prefix, String)> = BTreeSet::new();
        let mut read = read.buffered(AT_ONCE);
        while let Some((prefix, manifest)) = read.try_next().await? {
            replaced.extend(manifest.replaces.into_iter().map(|key| (prefix.clone(), key)));
            let may = manifest.files.into_iter().filter(|file| wanted.may_be_in(file));
            files.extend(may.map(|file| LakeFile { prefix: prefix.clone(), file }));
        }
        files.retain(|file| !replaced.contains(&(file.prefix.clone(), file.file.key.clone())));
        Ok(files)
    }

    /// The bytes of a file.
    ///
    /// # Errors
    /// When the store does not give it.
    pub async fn bytes(&self, file: &LakeFile) -> Result<Bytes, ScanError> {
        let key = file.key();
        self.store.read(&key).await.map_err(store_error(key))
    }

    /// The rows of a file.
    ///
    /// # Errors
    /// When the store does not give it, or it is not what its manifest says.
    pub async fn rows(&self, file: &LakeFile, pick: &Pick) -> Result<Rows, ScanError> {
        let bytes = self.bytes(file).await?;
        read::rows(&file.file, bytes, pick).map_err(|source| ScanError::File { key: file.key(), source })
    }
}

impl LakeFile {
    /// Its key below the store's URL.
    pub fn key(&self) -> String {
        self.prefix.join(&self.file.key)
    }
}

/// What is committed while one looks: each manifest once, whatever the order in which they come.
#[derive(Debug)]
pub struct Follow {
    scan: Scan,
    /// The last segment that was listed, by prefix and writer.
    last: BTreeMap<(Prefix, Writer), u64>,
    /// Manifests that were there or were news.
    seen: BTreeSet<ManifestKey>,
    /// Manifests that others name as their predecessor and that are not there yet.
    missing: BTreeSet<ManifestKey>,
}

impl Follow {
    /// Follows from now on: what is there is old. Gives it, too.
    ///
    /// # Errors
    /// When the store cannot be listed.
    pub async fn begin(scan: Scan) -> Result<(Self, Vec<Found>), ScanError> {
        let old = scan.all_manifests().await?;
        let mut follow = Self { scan, last: BTreeMap::new(), seen: BTreeSet::new(), missing: BTreeSet::new() };
        old.iter().for_each(|found| follow.saw(&found.key));
        Ok((follow, old))
    }

    fn saw(&mut self, key: &ManifestKey) {
        let last = self.last.entry((key.prefix.clone(), key.writer.clone())).or_insert(key.segment);
        *last = key.segment.max(*last);
        self.seen.insert(key.clone());
    }

    /// What was committed since the last time.
    ///
    /// # Errors
    /// When the store does not give it; the next time gives what this one did not.
    pub async fn news(&mut self) -> Result<Vec<(ManifestKey, Manifest)>, ScanError> {
        let mut news = Vec::new();
        for prefix in self.scan.prefixes().await? {
            for writer in self.scan.writers(&prefix).await? {
                let last = self.last.get(&(prefix.clone(), writer.clone())).copied();
                for found in self.scan.manifests(&prefix, &writer, last).await? {
                    let manifest = self.scan.manifest(&found.key).await?;
                    news.push((found.key, manifest));
                }
            }
        }
        for key in &self.missing {
            match self.scan.manifest(key).await {
                Ok(manifest) if !news.iter().any(|(known, _)| known == key) => news.push((key.clone(), manifest)),
                Ok(_) | Err(ScanError::Store { source: Failure::NotFound, .. }) => {}
                Err(error) => return Err(error),
            }
        }
        for (key, _) in &news {
            self.missing.remove(key);
            self.saw(key);
        }
        for (key, manifest) in &news {
            // Entries are stored several at a time: one may be committed before the one that it follows.
            let before = manifest.previous.map(|segment| ManifestKey { segment, ..key.clone() });
            self.missing.extend(before.filter(|before| !self.seen.contains(before)));
        }
        Ok(news)
    }
}
