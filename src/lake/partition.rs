//! Which folder of the lake a row belongs to: the partition template, and its values as parts of keys.
//!
//! A template is a path such as `date={date}` (the default) or `app/{env}/date={date}/conv_id={conv_id}/log`. Its
//! placeholders are `date`, `hour` (both UTC, of the row's time), `env`, `service`, `conv_id`, `run_id`,
//! `event_type` and `source`. `{part}` stands for the unique part of the file's name and is allowed in the last piece
//! only. A last piece without placeholders and without `=` is the beginning of the file's name. Everything else is
//! folders.
//!
//! Values come from data, so:
//! - All but ASCII letters, digits, `-`, `_` and `.` is percent-encoded, once; a leading `_` or `.` too, for readers
//!   skip such folders. No value can make or leave a folder, or look like one of the two names below.
//! - A value that is too long is cut and ends in a hash of the whole.
//! - A missing one is `__HIVE_DEFAULT_PARTITION__`.
//! - Past the cap on open partitions, rows go to `__overflow__` of the key that has the most values; for `date` and
//!   `hour`, of which readers expect dates and numbers, to those of the row's arrival.
//! - The time of a row before 2015, or more than a day after its arrival, is no date to file it under: the arrival's is
//!   taken, and a note in the row says so.

#[cfg(test)]
mod tests;

use crate::event::Event;
use chrono::DateTime;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::str::FromStr;
use xxhash_rust::xxh3::xxh3_128;

/// The template where none is configured.
pub const DEFAULT: &str = "date={date}";

/// What stands for a missing value, so that readers take it for null.
const MISSING: &str = "__HIVE_DEFAULT_PARTITION__";
/// What stands for values past the cap.
const OVERFLOW: &str = "__overflow__";
/// 2015-01-01T00:00:00Z: nobody recorded a GenAI call before.
const EARLIEST: i64 = 1_420_070_400_000_000;
const DAY: i64 = 86_400_000_000;
const HOUR: i64 = 3_600_000_000;
/// Bytes that all values of a key may take together: S3 takes keys of 1024.
const VALUE_BYTES: usize = 640;
/// Bytes that one value may take: a file system takes names of 255.
const LONGEST_VALUE: usize = 120;
/// Bytes that a template may take.
const LONGEST_TEMPLATE: usize = 200;
const NOTE: &str = "timestamp is before 2015 or more than a day after arrival: stored under the date of arrival";

/// What a placeholder stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Date,
    Hour,
    Env,
    Service,
    ConvId,
    RunId,
    EventType,
    Source,
}

impl Key {
    const ALL: [(&'static str, Self); 8] = [
        ("date", Self::Date),
        ("hour", Self::Hour),
        ("env", Self::Env),
        ("service", Self::Service),
        ("conv_id", Self::ConvId),
        ("run_id", Self::RunId),
        ("event_type", Self::EventType),
        ("source", Self::Source),
    ];

    fn is_time(self) -> bool {
        matches!(self, Self::Date | Self::Hour)
    }

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, key)| *key == self).map_or("", |(name, _)| name)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    /// Index into the template's keys.
    Value(usize),
    /// The unique part of the file's name.
    Unique,
}

/// A parsed template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    text: String,
    /// The keys that it uses, each once.
    keys: Vec<Key>,
    parts: Vec<Part>,
}

impl Default for Template {
    /// What [`DEFAULT`] says.
    fn default() -> Self {
        let parts = vec![Part::Text("date=".to_owned()), Part::Value(0), Part::Text("/".to_owned()), Part::Unique];
        Self { text: DEFAULT.to_owned(), keys: vec![Key::Date], parts }
    }
}

/// Why a text is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// Nothing would tell files apart by more than their names.
    #[error("partition template is empty: the default is {DEFAULT}")]
    Empty,
    /// Keys in the store have a limit.
    #[error("partition template is longer than {LONGEST_TEMPLATE} bytes")]
    Long,
    /// A brace without its other half.
    #[error("partition template has an unclosed brace: write placeholders as {{date}}")]
    Brace,
    /// A placeholder that does not exist.
    #[error("partition template has an unknown placeholder {{{0}}}: known are {known}", known = known())]
    Unknown(String),
    /// `{part}` stands for the file, not for a folder.
    #[error("partition template has {{part}} elsewhere than once in its last piece")]
    PartPlace,
    /// An empty piece, or one that file systems or readers treat in their own way.
    #[error("partition template has the piece {0:?}: no piece may be empty or begin with a dot or an underscore")]
    Piece(String),
    /// A character that keys should not have.
    #[error("partition template has the character {0:?}: use letters, digits and - _ . = between placeholders")]
    Character(char),
}

fn known() -> String {
    let names: Vec<_> = Key::ALL.iter().map(|(name, _)| *name).chain(["part"]).collect();
    names.join(", ")
}

impl FromStr for Template {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            return Err(TemplateError::Empty);
        }
        if text.len() > LONGEST_TEMPLATE {
            return Err(TemplateError::Long);
        }
        let mut template = Self { text: text.to_owned(), keys: Vec::new(), parts: Vec::new() };
        let pieces: Vec<&str> = text.split('/').collect();
        for (at, piece) in pieces.iter().enumerate() {
            if at > 0 {
                template.push_text("/");
            }
            template.piece(piece, at + 1 == pieces.len())?;
        }
        Ok(template)
    }
}

impl Template {
    fn piece(&mut self, piece: &str, is_last: bool) -> Result<(), TemplateError> {
        if piece.is_empty() || piece.starts_with(['.', '_']) {
            return Err(TemplateError::Piece(piece.to_owned()));
        }
        let mut rest = piece;
        while let Some((text, behind)) = rest.split_once('{') {
            self.literal(text)?;
            let (name, behind) = behind.split_once('}').ok_or(TemplateError::Brace)?;
            rest = behind;
            if name == "part" {
                if !is_last || self.parts.contains(&Part::Unique) {
                    return Err(TemplateError::PartPlace);
                }
                self.parts.push(Part::Unique);
                continue;
            }
            let found = Key::ALL.iter().find(|(known, _)| *known == name);
            let (_, key) = found.ok_or_else(|| TemplateError::Unknown(name.to_owned()))?;
            let index = self.keys.iter().position(|known| known == key).unwrap_or_else(|| {
                self.keys.push(*key);
                self.keys.len() - 1
            });
            self.parts.push(Part::Value(index));
        }
        if !is_last || self.parts.contains(&Part::Unique) {
            return self.literal(rest);
        }
        // The last piece names the file where it can be no folder of values.
        if piece.contains(['{', '=']) {
            self.literal(rest)?;
            self.push_text("/");
        } else {
            let stem = [".jsonl", ".json", ".parquet", ".pb"].iter().find_map(|end| rest.strip_suffix(end));
            self.literal(stem.unwrap_or(rest))?;
            self.push_text("-");
        }
        self.parts.push(Part::Unique);
        Ok(())
    }

    fn literal(&mut self, text: &str) -> Result<(), TemplateError> {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '=');
        match text.chars().find(|c| !fits(*c)) {
            Some('}') => Err(TemplateError::Brace),
            Some(odd) => Err(TemplateError::Character(odd)),
            None => {
                self.push_text(text);
                Ok(())
            }
        }
    }

    fn push_text(&mut self, text: &str) {
        match self.parts.last_mut() {
            Some(Part::Text(before)) => before.push_str(text),
            _ if text.is_empty() => {}
            _ => self.parts.push(Part::Text(text.to_owned())),
        }
    }

    /// Bytes that each value may take.
    fn longest_value(&self) -> usize {
        VALUE_BYTES.checked_div(self.keys.len()).unwrap_or(LONGEST_VALUE).min(LONGEST_VALUE)
    }

    fn uses_time(&self) -> bool {
        self.keys.iter().any(|key| key.is_time())
    }
}

impl std::fmt::Display for Template {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

/// Rows that go to the same files.
#[derive(Debug)]
pub struct Partition {
    /// Value by placeholder, as a reader of the folders sees it; null where missing.
    pub values: BTreeMap<String, Option<String>>,
    /// The rows, in the order in which they came.
    pub rows: Vec<Box<Event>>,
    before: String,
    after: String,
}

impl Partition {
    /// The path of a file of this partition, below the folder of events and without its ending.
    pub fn path(&self, unique: &str) -> String {
        format!("{}{unique}{}", self.before, self.after)
    }

    /// The partition with its rows; without them it stays.
    fn take(&mut self) -> Self {
        Self {
            values: self.values.clone(),
            rows: std::mem::take(&mut self.rows),
            before: self.before.clone(),
            after: self.after.clone(),
        }
    }
}

/// Encoded values, one for each key of the template.
type Values = Vec<String>;

/// Spreads rows over their partitions, at most `cap` of them and as many of `__overflow__`.
#[derive(Debug)]
pub struct Split<'a> {
    template: &'a Template,
    cap: usize,
    places: BTreeMap<Values, usize>,
    partitions: Vec<Partition>,
    /// The different values of each key so far.
    distinct: Vec<BTreeSet<String>>,
    /// Where the last row went, and the time that it is filed under. Most rows go where the one before them went.
    last: Option<(usize, i64)>,
    /// Rows that went to `__overflow__`.
    pub overflown: u64,
}

impl<'a> Split<'a> {
    /// With no partition yet.
    pub fn new(template: &'a Template, cap: usize) -> Self {
        Self {
            template,
            cap: cap.max(1),
            places: BTreeMap::new(),
            partitions: Vec::new(),
            distinct: vec![BTreeSet::new(); template.keys.len()],
            last: None,
            overflown: 0,
        }
    }

    /// The partitions of these rows, with no others. Those of rows before count for the cap.
    pub fn split(&mut self, rows: Vec<Box<Event>>) -> Vec<Partition> {
        for mut row in rows {
            let time = self.time(&mut row);
            let at = self.same_as_last(&row, time).unwrap_or_else(|| {
                let overflown = self.overflown;
                let at = self.place(self.values(&row, time), &row);
                self.last = (self.overflown == overflown).then_some((at, time));
                at
            });
            if let Some(partition) = self.partitions.get_mut(at) {
                partition.rows.push(row);
            }
        }
        let filled = self.partitions.iter_mut().filter(|partition| !partition.rows.is_empty());
        filled.map(Partition::take).collect()
    }

    /// The place of the last row, if this one has its values.
    fn same_as_last(&self, row: &Event, time: i64) -> Option<usize> {
        let (at, last_time) = self.last?;
        let last = self.partitions.get(at)?.rows.last()?;
        let is_same = |key: &Key| match key {
            Key::Date => time.div_euclid(DAY) == last_time.div_euclid(DAY),
            Key::Hour => time.div_euclid(HOUR) == last_time.div_euclid(HOUR),
            Key::Env => row.env == last.env,
            Key::Service => row.service == last.service,
            Key::ConvId => row.conversation_id == last.conversation_id,
            Key::RunId => row.run_id == last.run_id,
            Key::EventType => row.event_type == last.event_type,
            Key::Source => row.source == last.source,
        };
        self.template.keys.iter().all(is_same).then_some(at)
    }

    /// The time that a row is filed under. One that is no date gets a note.
    fn time(&self, row: &mut Event) -> i64 {
        let mut time = row.timestamp;
        if self.template.uses_time() && !(EARLIEST..=row.received_at.saturating_add(DAY)).contains(&time) {
            time = row.received_at;
            if !row.notes.iter().any(|note| note == NOTE) {
                row.notes.push(NOTE.to_owned());
            }
        }
        time
    }

    fn values(&self, row: &Event, time: i64) -> Values {
        let longest = self.template.longest_value();
        self.template.keys.iter().map(|key| encoded(value(*key, row, time), longest)).collect()
    }

    fn place(&mut self, mut values: Values, row: &Event) -> usize {
        if let Some(at) = self.places.get(&values) {
            return *at;
        }
        if self.places.len() >= self.cap {
            self.overflown += 1;
            for index in self.most_distinct_first() {
                let key = self.template.keys.get(index).copied();
                if let (Some(value), Some(key)) = (values.get_mut(index), key) {
                    *value = match key {
                        Key::Date | Key::Hour => encoded(self::value(key, row, row.received_at), LONGEST_VALUE),
                        _ => OVERFLOW.to_owned(),
                    };
                }
                if let Some(at) = self.places.get(&values) {
                    return *at;
                }
                if self.places.len() < self.cap.saturating_mul(2) {
                    break;
                }
            }
        }
        for (value, distinct) in values.iter().zip(&mut self.distinct) {
            distinct.insert(value.clone());
        }
        let place = self.partitions.len();
        self.partitions.push(self.open(&values));
        self.places.insert(values, place);
        place
    }

    /// Keys of time come last: readers expect them to be times.
    fn most_distinct_first(&self) -> Vec<usize> {
        let mut order: Vec<_> = self.template.keys.iter().zip(&self.distinct).enumerate().collect();
        order.sort_by_key(|(_, (key, distinct))| (key.is_time(), std::cmp::Reverse(distinct.len())));
        order.into_iter().map(|(index, _)| index).collect()
    }

    fn open(&self, values: &Values) -> Partition {
        let (mut before, mut after) = (String::new(), String::new());
        let mut path = &mut before;
        for part in &self.template.parts {
            match part {
                Part::Text(text) => path.push_str(text),
                Part::Value(index) => path.push_str(values.get(*index).map_or(MISSING, String::as_str)),
                Part::Unique => path = &mut after,
            }
        }
        let decoded = |value: &String| {
            let decoded = percent_encoding::percent_decode_str(value).decode_utf8_lossy();
            Some(decoded.into_owned()).filter(|value| value != MISSING)
        };
        let names = self.template.keys.iter().map(|key| key.name().to_owned());
        Partition { values: names.zip(values.iter().map(decoded)).collect(), rows: Vec::new(), before, after }
    }
}

fn value(key: Key, row: &Event, time: i64) -> Option<String> {
    match key {
        Key::Date => DateTime::from_timestamp_micros(time).map(|time| time.format("%Y-%m-%d").to_string()),
        Key::Hour => DateTime::from_timestamp_micros(time).map(|time| time.format("%H").to_string()),
        Key::Env => row.env.clone(),
        Key::Service => row.service.clone(),
        Key::ConvId => Some(row.conversation_id.clone()),
        Key::RunId => row.run_id.clone(),
        Key::EventType => Some(row.event_type.clone()),
        Key::Source => Some(row.source.clone()),
    }
}

/// A value as part of a key.
fn encoded(value: Option<String>, longest: usize) -> String {
    let Some(value) = value.filter(|value| !value.is_empty()) else { return MISSING.to_owned() };
    let mut out = String::with_capacity(value.len());
    // Where a cut would not split the code of a byte.
    let mut cut = 0;
    // A hyphen and 32 hex digits.
    let room = longest.saturating_sub(33);
    for (at, byte) in value.bytes().enumerate() {
        let is_plain = byte.is_ascii_alphanumeric() || byte == b'-' || (at > 0 && matches!(byte, b'_' | b'.'));
        if is_plain {
            out.push(char::from(byte));
        } else {
            // Writing into a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
        if out.len() <= room {
            cut = out.len();
        }
        if out.len() > longest {
            out.truncate(cut);
            let _ = write!(out, "-{:032x}", xxh3_128(value.as_bytes()));
            return out;
        }
    }
    out
}
