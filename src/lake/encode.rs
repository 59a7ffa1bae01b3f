//! Rows become files: spread over partitions, cut to size, encoded, measured.
//!
//! - Rows of a file are in the order of conversation, time and event id. A chat event repeats its whole history: so
//!   ordered, a compressor finds it.
//! - A new file begins before a row would take it past [`Settings::file_bytes`], counted as messages of the row's
//!   protocol before compression, so that all formats cut alike; a larger row has a file of its own.
//! - The same rows give the same bytes under the same keys.

#[cfg(test)]
mod tests;

use super::jsonl;
use super::jsonl::Compression;
use super::jsonl::ToolCallForm;
use super::key::DEAD;
use super::key::EVENTS;
use super::key::FileName;
use super::key::Writer;
use super::manifest;
use super::manifest::Bounds;
use super::parquet;
use super::partition::Partition;
use super::partition::Split;
use super::partition::Template;
use super::proto;
use crate::event::Event;
use crate::event::json;
use crate::fold::Dead;
use crate::fold::order;
use chrono::DateTime;
use prost::Message as _;
use sha2::Digest as _;
use sha2::Sha256;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;

/// Bytes of records in a file of those that could not be mapped.
const DEAD_BYTES: usize = 32 << 20;
/// Bytes of a text in a bound.
const BOUND_BYTES: usize = 128;

/// How files are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    /// Parquet, compressed with zstd of this level.
    Parquet {
        /// 1 to 22.
        level: i32,
    },
    /// JSON lines.
    JsonLines {
        /// How tool calls look.
        form: ToolCallForm,
        /// How the file is compressed.
        compression: Compression,
    },
    /// Length-delimited messages.
    Proto,
}

impl Format {
    /// Its name in manifests.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Parquet { .. } => "parquet",
            Self::JsonLines { .. } => "jsonl",
            Self::Proto => "proto",
        }
    }

    /// The ending of its files.
    pub fn ending(&self) -> &'static str {
        match self {
            Self::Parquet { .. } => ".parquet",
            Self::JsonLines { compression: Compression::None, .. } => ".jsonl",
            Self::JsonLines { compression: Compression::Gzip, .. } => ".jsonl.gz",
            Self::JsonLines { compression: Compression::Zstd, .. } => ".jsonl.zst",
            Self::Proto => ".pb",
        }
    }

    fn encode(&self, rows: &[Box<Event>]) -> io::Result<Vec<u8>> {
        match self {
            Self::Parquet { level } => parquet::encode(rows, *level).map_err(io::Error::other),
            Self::JsonLines { form, compression } => jsonl::encode(rows, *form, *compression),
            Self::Proto => Ok(proto::encode(rows)),
        }
    }
}

/// What does not change between files.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How files are written.
    pub format: Format,
    /// Where they stand.
    pub template: Template,
    /// How many partitions one fold may open under one prefix.
    pub partitions: usize,
    /// Bytes of rows in a file.
    pub file_bytes: u64,
}

/// A file, ready to be stored.
#[derive(Debug)]
pub struct File {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What the manifest says of it.
    pub facts: manifest::File,
}

/// Makes files of a fold's rows under one prefix, which may come in several lots.
#[derive(Debug)]
pub struct Encoder<'a> {
    settings: &'a Settings,
    name: FileName,
    split: Split<'a>,
}

/// The files of a lot of rows: an iterator that encodes one at a time.
#[derive(Debug)]
pub struct Files<'e> {
    settings: &'e Settings,
    name: &'e mut FileName,
    partitions: std::vec::IntoIter<Partition>,
    /// The partition at hand, and its rows that have no file yet.
    current: Option<(Partition, usize)>,
}

impl<'a> Encoder<'a> {
    /// Files of the fold of a segment.
    pub fn new(settings: &'a Settings, writer: &Writer, segment: u64) -> Self {
        let split = Split::new(&settings.template, settings.partitions);
        Self { settings, name: FileName { writer: writer.clone(), segment, part: 0 }, split }
    }

    /// Spreads a lot of rows over files of its own.
    pub fn files(&mut self, mut rows: Vec<Box<Event>>) -> Files<'_> {
        // Files say that they are in this order. They come so from the fold, and then this is one look at each.
        rows.sort_by(|a, b| order(a).cmp(&order(b)));
        let partitions = self.split.split(rows).into_iter();
        Files { settings: self.settings, name: &mut self.name, partitions, current: None }
    }

    /// Rows that went to `__overflow__`.
    pub fn overflown(&self) -> u64 {
        self.split.overflown
    }
}

impl Iterator for Files<'_> {
    type Item = io::Result<File>;

    fn next(&mut self) -> Option<Self::Item> {
        let (partition, start) = match self.current.take() {
            Some(current) => current,
            None => (self.partitions.next()?, 0),
        };
        let rest = partition.rows.get(start..).unwrap_or_default();
        let count = fitting(rest, self.settings.file_bytes);
        let rows = rest.get(..count).unwrap_or(rest);
        let file = self.settings.format.encode(rows).map(|bytes| {
            let path = partition.path(&self.name.to_string());
            let key = format!("{EVENTS}/{path}{}", self.settings.format.ending());
            let facts =
                facts(key, self.settings.format.name(), &bytes, rows.len(), partition.values.clone(), bounds(rows));
            File { bytes, facts }
        });
        self.name.part += 1;
        let end = start + rows.len();
        if end < partition.rows.len() {
            self.current = Some((partition, end));
        }
        Some(file)
    }
}

/// How many of these rows one file takes.
fn fitting(rows: &[Box<Event>], limit: u64) -> usize {
    let mut bytes = 0u64;
    let sizes = rows.iter().map(|row| u64::try_from(row.encoded_len()).unwrap_or(u64::MAX));
    let fits = |size: &u64| {
        bytes = bytes.saturating_add(*size);
        bytes <= limit
    };
    sizes.take_while(fits).count().max(1)
}

/// The files of records that could not be mapped: plain JSON lines, by the date of arrival.
pub fn dead(writer: &Writer, segment: u64, dead: &[Dead]) -> Vec<File> {
    let mut by_date: BTreeMap<String, Vec<&Dead>> = BTreeMap::new();
    for record in dead {
        by_date.entry(date(record.received_at)).or_default().push(record);
    }
    let mut name = FileName { writer: writer.clone(), segment, part: 0 };
    let mut files = Vec::new();
    for (date, records) in by_date {
        let mut bytes = String::new();
        let mut rows = 0;
        for record in records {
            if rows > 0 && bytes.len() + record.text.len() > DEAD_BYTES {
                files.push(dead_file(&mut name, &date, &std::mem::take(&mut bytes), rows));
                rows = 0;
            }
            rows += 1;
            dead_line(record, &mut bytes);
        }
        files.push(dead_file(&mut name, &date, &bytes, rows));
    }
    files
}

fn dead_file(name: &mut FileName, date: &str, lines: &str, rows: usize) -> File {
    let key = format!("{DEAD}/date={date}/{name}.jsonl");
    name.part += 1;
    let values = BTreeMap::from([("date".to_owned(), Some(date.to_owned()))]);
    let bytes = lines.as_bytes().to_vec();
    File { facts: facts(key, "jsonl", &bytes, rows, values, BTreeMap::new()), bytes }
}

fn dead_line(record: &Dead, out: &mut String) {
    let mut entries = vec![("received_at", time(record.received_at))];
    let texts = [
        ("source", Some(&record.door)),
        ("tenant", record.tenant.as_ref()),
        ("reason", Some(&record.reason)),
        ("text", Some(&record.text)),
    ];
    entries.extend(texts.into_iter().filter_map(|(key, text)| Some((key, json::string(text?)))));
    out.push_str(&json::object(entries.iter().map(|(key, value)| (*key, value.as_str()))));
    out.push('\n');
}

fn facts(
    key: String,
    format: &str,
    bytes: &[u8],
    rows: usize,
    partition: BTreeMap<String, Option<String>>,
    bounds: BTreeMap<String, Bounds>,
) -> manifest::File {
    manifest::File {
        key,
        format: format.to_owned(),
        bytes: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
        sha256: sha256(bytes),
        rows: u64::try_from(rows).unwrap_or(u64::MAX),
        partition,
        bounds,
    }
}

fn bounds(rows: &[Box<Event>]) -> BTreeMap<String, Bounds> {
    let times = |get: fn(&Event) -> i64| {
        let (min, max) = (rows.iter().map(|row| get(row)).min()?, rows.iter().map(|row| get(row)).max()?);
        Some(Bounds { min: plain_time(min), max: plain_time(max) })
    };
    let conversations = || {
        let min = rows.iter().map(|row| row.conversation_id.as_str()).min()?;
        let max = rows.iter().map(|row| row.conversation_id.as_str()).max()?;
        Some(Bounds { min: cut(min).to_owned(), max: cut_above(max) })
    };
    let all = [
        ("conversation_id", conversations()),
        ("received_at", times(|row| row.received_at)),
        ("timestamp", times(|row| row.timestamp)),
    ];
    all.into_iter().filter_map(|(name, bounds)| Some((name.to_owned(), bounds?))).collect()
}

/// The beginning of a long text: not greater than it.
fn cut(text: &str) -> &str {
    let mut end = text.len().min(BOUND_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or(text)
}

/// The beginning of a long text and the last of all characters: not less than it.
fn cut_above(text: &str) -> String {
    match cut(text) {
        whole if whole.len() == text.len() => whole.to_owned(),
        beginning => format!("{beginning}{}", char::MAX),
    }
}

fn time(micros: i64) -> String {
    let mut out = Vec::new();
    jsonl::time(micros, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

fn plain_time(micros: i64) -> String {
    time(micros).trim_matches('"').to_owned()
}

fn date(micros: i64) -> String {
    let time = DateTime::from_timestamp_micros(micros).unwrap_or_default();
    time.format("%Y-%m-%d").to_string()
}

/// SHA-256 in hex.
pub fn sha256(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        // Writing into a String cannot fail.
        let _ = write!(out, "{byte:02x}");
    }
    out
}
