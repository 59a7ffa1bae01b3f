//! A lake held against its manifests: every object that they list, and every object that they do not.
//!
//! | checked | how |
//! |---|---|
//! | manifest | is one, stands under the key that it says, its books balance |
//! | chain | each manifest names the one before it under its prefix, and none is missing or passed over |
//! | decisions | no sequence number of a writer is decided twice |
//! | file | is there, has the stated length, SHA-256, form, columns and rows |
//! | object | is listed by a manifest, unless it is so young that its manifest may be on its way |
//!
//! With a time, what was written before it is left out: objects may expire.

#[cfg(test)]
mod tests;

use super::key::COMMITS;
use super::key::DEAD;
use super::key::EVENTS;
use super::key::ManifestKey;
use super::key::Prefix;
use super::key::Writer;
use super::key::probe;
use super::manifest;
use super::manifest::Manifest;
use super::objects::Failure;
use super::objects::Listed;
use super::read;
use super::scan::LakeFile;
use super::scan::Scan;
use super::scan::ScanError;
use futures::StreamExt as _;
use futures::TryStreamExt as _;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

/// Files that are in memory at once.
const AT_ONCE: usize = 4;
/// Manifests that are read at once.
const MANIFESTS_AT_ONCE: usize = 24;

/// What is left out.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    /// What was written before this time, microseconds since 1970.
    pub since: Option<i64>,
    /// Objects without a manifest that were written after this time: it may be on its way.
    pub settled: i64,
}

/// What one writer has under one prefix.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line {
    /// Manifests.
    pub manifests: u64,
    /// Files that they list.
    pub files: u64,
    /// Rows in them.
    pub rows: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Faults.
    pub faults: u64,
}

/// A fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The object, below the store's URL.
    pub key: String,
    /// What is wrong with it.
    pub what: String,
}

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct Verified {
    /// By prefix and writer; what cannot be told to be a writer's stands under an empty name.
    pub lines: BTreeMap<(Prefix, String), Line>,
    /// What is wrong.
    pub faults: Vec<Fault>,
    /// Objects whose manifest may be on its way.
    pub young: u64,
}

/// Verifies all lakes of a store. `progress` hears how many of how many bytes of files were read.
///
/// # Errors
/// When the store cannot be asked. What it lacks is a fault in the result.
pub async fn verify(scan: &Scan, limits: Limits, mut progress: impl FnMut(u64, u64)) -> Result<Verified, ScanError> {
    let mut work = Work { limits, ..Work::default() };
    // Objects before manifests: what is listed and committed later is then found in a manifest.
    for prefix in scan.prefixes().await? {
        for folder in [EVENTS, DEAD] {
            let listed = scan.list(&prefix.join(folder), None).await?;
            work.objects.extend(listed.into_iter().map(|object| (object.key.clone(), (prefix.clone(), object))));
        }
        for object in scan.list(&prefix.join(COMMITS), None).await? {
            work.take_commit(&prefix, object);
        }
    }
    let due: Vec<ManifestKey> = work.due().collect();
    let mut read = futures::stream::iter(due)
        .map(async |key| {
            let manifest = scan.manifest(&key).await;
            (key, manifest)
        })
        .buffered(MANIFESTS_AT_ONCE);
    while let Some((key, manifest)) = read.next().await {
        match manifest {
            Ok(manifest) => work.take_manifest(key, manifest),
            Err(error @ ScanError::Manifest { .. }) => work.fault_of(&key, key.to_string(), &words(&error)),
            Err(ScanError::Store { source: Failure::NotFound, .. }) => {
                work.fault_of(&key, key.to_string(), "vanished while it was read");
            }
            Err(error) => return Err(error),
        }
    }
    drop(read);
    work.check_chains();
    work.check_decisions();
    work.check_files(scan, &mut progress).await?;
    work.check_strays();
    Ok(work.verified)
}

/// What is known so far.
#[derive(Debug, Default)]
struct Work {
    limits: Limits,
    /// Files in the store, by key.
    objects: BTreeMap<String, (Prefix, Listed)>,
    /// Segments of the manifests in the store, and when each was written.
    standing: BTreeMap<(Prefix, Writer), BTreeMap<u64, i64>>,
    /// Manifests that were read.
    manifests: BTreeMap<(Prefix, Writer), BTreeMap<u64, Manifest>>,
    verified: Verified,
}

impl Work {
    fn fault(&mut self, prefix: &Prefix, writer: &str, key: String, what: &str) {
        self.verified.lines.entry((prefix.clone(), writer.to_owned())).or_default().faults += 1;
        self.verified.faults.push(Fault { key, what: what.to_owned() });
    }

    fn fault_of(&mut self, manifest: &ManifestKey, key: String, what: &str) {
        self.fault(&manifest.prefix, manifest.writer.as_str(), key, what);
    }

    fn is_due(&self, modified: i64) -> bool {
        self.limits.since.is_none_or(|since| modified >= since)
    }

    /// Manifests that are to be read.
    fn due(&self) -> impl Iterator<Item = ManifestKey> {
        self.standing.iter().flat_map(|((prefix, writer), segments)| {
            let due = segments.iter().filter(|(_, modified)| self.is_due(**modified));
            due.map(|(segment, _)| ManifestKey { prefix: prefix.clone(), writer: writer.clone(), segment: *segment })
        })
    }

    fn take_commit(&mut self, prefix: &Prefix, object: Listed) {
        match object.key.parse::<ManifestKey>() {
            Ok(key) if key.prefix == *prefix && key.to_string() == object.key => {
                self.standing.entry((key.prefix, key.writer)).or_default().insert(key.segment, object.modified);
            }
            _ => {
                let writer = object.key.rsplit('/').nth(1).and_then(|writer| writer.parse::<Writer>().ok());
                if writer.is_none_or(|writer| probe(prefix, &writer) != object.key) && self.is_due(object.modified) {
                    self.fault(prefix, "", object.key, "is no manifest");
                }
            }
        }
    }

    fn take_manifest(&mut self, key: ManifestKey, manifest: Manifest) {
        let line = self.verified.lines.entry((key.prefix.clone(), key.writer.to_string())).or_default();
        line.manifests += 1;
        for file in manifest.files.iter().chain(&manifest.dead) {
            line.files += 1;
            line.bytes += file.bytes;
        }
        line.rows += manifest.files.iter().map(|file| file.rows).sum::<u64>();
        if manifest.writer != key.writer.as_str() || manifest.segment != key.segment {
            let what = format!("says that it is of writer {} and segment {}", manifest.writer, manifest.segment);
            self.fault_of(&key, key.to_string(), &what);
        }
        if !manifest.accounting.balances() {
            self.fault_of(&key, key.to_string(), "its books do not balance: records came in that went nowhere");
        }
        self.manifests.entry((key.prefix, key.writer)).or_default().insert(key.segment, manifest);
    }

    /// Holds what each manifest says of the one before it against what stands there.
    fn check_chains(&mut self) {
        let mut faults = Vec::new();
        for (place, manifests) in &self.manifests {
            let standing = self.standing.get(place).cloned().unwrap_or_default();
            for (segment, manifest) in manifests {
                let before = standing.range(..segment).next_back().map(|(segment, _)| *segment);
                let what = match (manifest.previous, before) {
                    (stated, found) if stated == found => continue,
                    // What was before the oldest one may have expired.
                    (Some(_), None) if self.limits.since.is_some() => continue,
                    (Some(stated), found) if found.is_none_or(|found| found < stated) => {
                        format!("names segment {stated} as the one before it, whose manifest is missing")
                    }
                    (stated, found) => {
                        let stated = stated.map_or("none".to_owned(), |stated| format!("segment {stated}"));
                        let found = found.map_or("none".to_owned(), |found| format!("segment {found}"));
                        format!("names {stated} as the one before it, but {found} is")
                    }
                };
                let (prefix, writer) = place.clone();
                faults.push((ManifestKey { prefix, writer, segment: *segment }, what));
            }
        }
        faults.into_iter().for_each(|(key, what)| self.fault_of(&key, key.to_string(), &what));
    }

    /// Holds the decided sequence numbers of a writer against each other, over all prefixes.
    fn check_decisions(&mut self) {
        let mut decided: BTreeMap<Writer, Vec<(manifest::Range, ManifestKey)>> = BTreeMap::new();
        for ((prefix, writer), manifests) in &self.manifests {
            for (segment, manifest) in manifests {
                let key = ManifestKey { prefix: prefix.clone(), writer: writer.clone(), segment: *segment };
                let ranges = manifest.decided.iter().map(|range| (*range, key.clone()));
                decided.entry(writer.clone()).or_default().extend(ranges);
            }
        }
        for mut ranges in decided.into_values() {
            ranges.sort_by_key(|(range, _)| (range.first, range.last));
            let mut last: Option<(u64, ManifestKey)> = None;
            for (range, key) in ranges {
                if let Some((end, before)) = &last
                    && range.first <= *end
                {
                    let what = format!("decides record {} again, which {before} has decided", range.first);
                    self.fault_of(&key, key.to_string(), &what);
                }
                if last.as_ref().is_none_or(|(end, _)| range.last > *end) {
                    last = Some((range.last, key));
                }
            }
        }
    }

    async fn check_files(&mut self, scan: &Scan, progress: &mut impl FnMut(u64, u64)) -> Result<(), ScanError> {
        let replaced = self.replaced();
        let mut files = Vec::new();
        for ((prefix, writer), manifests) in &self.manifests {
            for file in manifests.values().flat_map(|manifest| manifest.files.iter().chain(&manifest.dead)) {
                let file = LakeFile { prefix: prefix.clone(), file: file.clone() };
                // What others have taken the place of may be gone.
                if !replaced.contains(&file.key()) || self.objects.contains_key(&file.key()) {
                    files.push((writer.clone(), file));
                }
            }
        }
        let whole = files.iter().map(|(_, file)| file.file.bytes).sum();
        let mut done = 0;
        progress(done, whole);
        let mut checks = futures::stream::iter(files)
            .map(async |(writer, file)| {
                let what = match scan.bytes(&file).await {
                    Ok(bytes) => read::check(&file.file, &bytes).err(),
                    Err(ScanError::Store { source: Failure::NotFound, .. }) => Some("is missing".to_owned()),
                    Err(error) => return Err(error),
                };
                Ok((writer, file, what))
            })
            .buffer_unordered(AT_ONCE);
        while let Some((writer, file, what)) = checks.try_next().await? {
            done += file.file.bytes;
            progress(done, whole);
            if let Some(what) = what {
                self.fault(&file.prefix, writer.as_str(), file.key(), &what);
            }
        }
        Ok(())
    }

    /// Keys of files that others have taken the place of.
    fn replaced(&self) -> BTreeSet<String> {
        let manifests = self.manifests.iter().flat_map(|((prefix, _), manifests)| {
            manifests.values().flat_map(|manifest| &manifest.replaces).map(|key| prefix.join(key))
        });
        manifests.collect()
    }

    /// Finds objects that no manifest lists.
    fn check_strays(&mut self) {
        let mut listed = self.replaced();
        for ((prefix, _), manifests) in &self.manifests {
            let files = manifests.values().flat_map(|manifest| manifest.files.iter().chain(&manifest.dead));
            listed.extend(files.map(|file| prefix.join(&file.key)));
        }
        for (key, (prefix, object)) in std::mem::take(&mut self.objects) {
            if listed.contains(&key) || !self.is_due(object.modified) {
                continue;
            }
            if object.modified > self.limits.settled {
                self.verified.young += 1;
            } else {
                self.fault(&prefix, "", key, "no manifest lists it");
            }
        }
    }
}

fn words(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
