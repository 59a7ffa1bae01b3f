//! The manifest: what one fold decided under one prefix, and the files that hold its rows.
//!
//! Written last, so its presence makes the files a visible batch. It holds no clock: a repeat gives the same bytes.
//! A manifest without files tells of a segment that only left out, recognised resends, or merged. Readers ignore keys
//! that they do not know; a higher `version` means that ignoring them would give wrong rows.

use super::key::Writer;
use crate::fold::account::Account;
use crate::fold::account::Fate;
use serde::Deserialize;
use serde::Serialize;
use std::collections::BTreeMap;

/// The version that this program writes, and the highest that it reads.
pub const VERSION: u32 = 1;

/// A manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this form.
    pub version: u32,
    /// Version of the rows.
    pub schema_version: i32,
    /// Who wrote it.
    pub writer: String,
    /// Segment whose fold it tells.
    pub segment: u64,
    /// Segment of this writer's manifest before this one under this prefix.
    pub previous: Option<u64>,
    /// Files of rows, in the order of their parts. Keys are below the prefix.
    pub files: Vec<File>,
    /// Files of records that could not be mapped.
    pub dead: Vec<File>,
    /// Sequence numbers that are decided here, in order.
    pub decided: Vec<Range>,
    /// The fold's books.
    pub accounting: Accounting,
    /// Keys of files, of this prefix, that these files take the place of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaces: Vec<String>,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Key below the prefix.
    pub key: String,
    /// How it is written.
    pub format: String,
    /// Length.
    pub bytes: u64,
    /// SHA-256 of its bytes, in hex.
    pub sha256: String,
    /// Rows in it.
    pub rows: u64,
    /// Value of each key of the partition template, as a reader of the folders sees it.
    pub partition: BTreeMap<String, Option<String>>,
    /// Least and greatest values, by column; of texts, bounds that may be shorter than what they bound.
    pub bounds: BTreeMap<String, Bounds>,
}

/// Least and greatest value of a column; times as RFC 3339.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    /// Nothing is less.
    pub min: String,
    /// Nothing is greater.
    pub max: String,
}

/// Numbers from `first` to `last`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// The first.
    pub first: u64,
    /// The last.
    pub last: u64,
}

/// Records in and out: carried in + received = decided + carried out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accounting {
    /// Open before.
    pub carried_in: u64,
    /// In the segment.
    pub received: u64,
    /// What became of those that are decided here.
    pub decided: Decided,
    /// Open after.
    pub carried_out: u64,
}

/// What became of records.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    /// A row of its own.
    pub landed: u64,
    /// Told by another record's row.
    pub merged: u64,
    /// Came before.
    pub deduplicated: u64,
    /// Could not be mapped.
    pub quarantined: u64,
    /// No row, by reason.
    pub left_out: BTreeMap<String, u64>,
}

impl Manifest {
    /// The manifest of a fold's decisions under one prefix, yet without files.
    pub fn new(writer: &Writer, segment: u64, previous: Option<u64>, account: &Account) -> Self {
        let decided = account.ranges().into_iter().map(|range| Range { first: *range.start(), last: *range.end() });
        Self {
            version: VERSION,
            schema_version: crate::event::SCHEMA_VERSION,
            writer: writer.to_string(),
            segment,
            previous,
            files: Vec::new(),
            dead: Vec::new(),
            decided: decided.collect(),
            accounting: Accounting::from(account),
            replaces: Vec::new(),
        }
    }

    /// The bytes of the object.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Only maps with odd keys and failing writers fail: neither is here.
        let mut bytes = serde_json::to_vec(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// Reads a manifest.
    ///
    /// # Errors
    /// When the bytes are none, or one of a program that is too new.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ManifestError> {
        let manifest: Self = serde_json::from_slice(bytes)?;
        if manifest.version > VERSION {
            return Err(ManifestError::Newer { found: manifest.version });
        }
        Ok(manifest)
    }
}

impl From<&Account> for Accounting {
    fn from(account: &Account) -> Self {
        let mut decided = Decided::default();
        for (fate, count) in &account.decided {
            match fate {
                Fate::Landed => decided.landed += count,
                Fate::Merged => decided.merged += count,
                Fate::Deduplicated => decided.deduplicated += count,
                Fate::Quarantined => decided.quarantined += count,
                Fate::LeftOut(reason) => *decided.left_out.entry((*reason).to_owned()).or_default() += count,
            }
        }
        Self { carried_in: account.carried_in, received: account.received, decided, carried_out: account.carried_out }
    }
}

impl Accounting {
    /// Whether the books agree.
    pub fn balances(&self) -> bool {
        self.carried_in + self.received == self.decided.total() + self.carried_out
    }
}

impl Decided {
    /// How many records that is.
    pub fn total(&self) -> u64 {
        let kinds = [self.landed, self.merged, self.deduplicated, self.quarantined];
        kinds.iter().chain(self.left_out.values()).sum()
    }
}

/// Why bytes are no manifest.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Not the JSON of one.
    #[error("read manifest")]
    Json(#[from] serde_json::Error),
    /// Of a newer program.
    #[error("manifest has version {found}, this program reads up to {VERSION}: use a newer chatlake")]
    Newer {
        /// Its version.
        found: u32,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_reads_back_and_a_newer_one_is_refused() {
        let mut account = Account::default();
        (account.carried_in, account.received, account.carried_out) = (1, 5, 2);
        account.decided = BTreeMap::from([(Fate::Landed, 1), (Fate::LeftOut("unknown span"), 2), (Fate::Merged, 1)]);
        let mut manifest = Manifest::new(&"w".parse().unwrap(), 3, Some(1), &account);
        assert!(manifest.accounting.balances());
        let bytes = manifest.to_bytes();
        assert!(!String::from_utf8(bytes.clone()).unwrap().contains("replaces"));
        assert_eq!(Manifest::from_bytes(&bytes).unwrap(), manifest);
        manifest.version = VERSION + 1;
        assert!(matches!(Manifest::from_bytes(&manifest.to_bytes()), Err(ManifestError::Newer { found: 2 })));
        assert!(matches!(Manifest::from_bytes(b"{}"), Err(ManifestError::Json(_))));
    }
}
