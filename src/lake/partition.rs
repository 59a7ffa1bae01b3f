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

mod split;
#[cfg(test)]
mod tests;

pub use split::Partition;
pub use split::Split;

use std::str::FromStr;

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
