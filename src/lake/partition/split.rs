//! Rows spread over the folders of a template.

use super::DAY;
use super::EARLIEST;
use super::HOUR;
use super::Key;
use super::LONGEST_VALUE;
use super::MISSING;
use super::NOTE;
use super::OVERFLOW;
use super::Part;
use super::Template;
use crate::event::Event;
use chrono::DateTime;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use xxhash_rust::xxh3::xxh3_128;

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
