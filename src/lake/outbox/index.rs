//! What an entry says of itself: what is to be stored, and what the store refuses of it.

use crate::lake::manifest::Range;
use serde::Deserialize;
use serde::Serialize;
use std::collections::BTreeMap;

/// The version of the index.
pub(super) const VERSION: u32 = 2;

/// What an entry holds: what `entry.json` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    pub(super) version: u32,
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

impl Index {
    /// When the first record with a row arrived.
    pub(super) fn oldest(&self) -> Option<i64> {
        self.shipments.iter().filter_map(|shipment| shipment.oldest).min()
    }

    /// Input records that are decided.
    pub(super) fn records(&self) -> u64 {
        self.shipments.iter().map(|shipment| shipment.records).sum()
    }
}
