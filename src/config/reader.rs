//! The configuration as paths and values: the file, then the environment over it; every fault is kept.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// Prefix of the environment variables; `__` parts the words of a path.
const PREFIX: &str = "CHATLAKE_";

/// Everything that is wrong with a configuration.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Faults(pub Vec<String>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|fault| writeln!(f, "{fault}"))
    }
}

impl std::error::Error for Faults {}

/// A setting: its path, its default as it would be written, and what it means.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Words parted by dots.
    pub path: &'static str,
    /// As it would be written; empty for none.
    pub default: &'static str,
    /// Meaning and unit, one line.
    pub about: &'static str,
}

/// Values by path, and what was wrong with those read so far.
#[derive(Debug)]
pub struct Reader {
    values: BTreeMap<String, (Value, String)>,
    keys: &'static [Key],
    faults: Vec<String>,
    /// What each key was resolved to, for printing.
    pub shown: Vec<(&'static str, String)>,
}

impl Reader {
    /// Reads the text of a file, if there is one, and the environment.
    pub fn new(keys: &'static [Key], file: Option<(&str, &str)>, environment: &BTreeMap<String, String>) -> Self {
        let mut reader = Self { values: BTreeMap::new(), keys, faults: Vec::new(), shown: Vec::new() };
        if let Some((name, text)) = file.filter(|(_, text)| !text.trim().is_empty()) {
            match serde_saphyr::from_str::<Value>(text) {
                Ok(Value::Null) => {}
                Ok(tree @ Value::Object(_)) => reader.flatten("", tree, name, environment),
                Ok(_) => reader.faults.push(format!("{name}: the configuration is no map of keys")),
                Err(error) => reader.faults.push(format!("{name}: {error}")),
            }
        }
        for (variable, value) in environment {
            let Some(path) = variable.strip_prefix(PREFIX).filter(|path| !path.starts_with("TEST_")) else { continue };
            let path = path.to_ascii_lowercase().replace("__", ".");
            let value = match keys.iter().any(|key| key.path == path) && value.trim_start().starts_with(['[', '{']) {
                true => serde_saphyr::from_str(value).unwrap_or_else(|_| Value::String(value.clone())),
                false => Value::String(value.clone()),
            };
            reader.values.insert(path, (value, variable.clone()));
        }
        reader.refuse_unknown();
        reader
    }

    fn flatten(&mut self, path: &str, tree: Value, name: &str, environment: &BTreeMap<String, String>) {
        match tree {
            Value::Object(map) if !self.keys.iter().any(|key| key.path == path) => {
                for (word, value) in map {
                    let path = if path.is_empty() { word } else { format!("{path}.{word}") };
                    self.flatten(&path, value, name, environment);
                }
            }
            Value::Null => {}
            value => {
                let value = self.expand(path, value, environment);
                self.values.insert(path.to_owned(), (value, format!("{name}: {path}")));
            }
        }
    }

    /// Puts environment variables in place of `${env:X}` and `${env:X:-default}`, in any text of a value.
    fn expand(&mut self, path: &str, value: Value, environment: &BTreeMap<String, String>) -> Value {
        match value {
            Value::String(text) => Value::String(self.expand_text(path, &text, environment)),
            Value::Array(items) => {
                Value::Array(items.into_iter().map(|item| self.expand(path, item, environment)).collect())
            }
            Value::Object(map) => {
                Value::Object(map.into_iter().map(|(key, item)| (key, self.expand(path, item, environment))).collect())
            }
            other => other,
        }
    }

    fn expand_text(&mut self, path: &str, text: &str, environment: &BTreeMap<String, String>) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${env:") {
            out.push_str(before);
            let Some((name, tail)) = after.split_once('}') else {
                self.faults.push(format!("{path}: {text:?} has a ${{env: without its closing brace"));
                return out;
            };
            let (name, default) = name.split_once(":-").map_or((name, None), |(name, default)| (name, Some(default)));
            match (environment.get(name), default) {
                (Some(value), _) => out.push_str(value),
                (None, Some(default)) => out.push_str(default),
                (None, None) => {
                    self.faults.push(format!("{path}: the environment variable {name} is not set"));
                }
            }
            rest = tail;
        }
        out.push_str(rest);
        out
    }

    fn refuse_unknown(&mut self) {
        for (path, (_, place)) in &self.values {
            if self.keys.iter().any(|key| key.path == path) {
                continue;
            }
            let nearest = self.keys.iter().map(|key| (distance(path, key.path), key.path)).min();
            let hint = match nearest {
                Some((steps, near)) if steps <= 3 => format!(", did you mean {near}?"),
                _ => String::from(", the README lists all keys"),
            };
            let place = if place.ends_with(path.as_str()) { String::new() } else { format!(" (from {place})") };
            self.faults.push(format!("{path}: unknown key{place}{hint}"));
        }
    }

    /// Reads a value by its reader; where it is wrong, notes the fault and gives the default's value.
    pub fn get<T>(&mut self, path: &'static str, read: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let default = self.keys.iter().find(|key| key.path == path).map_or("", |key| key.default);
        let text = match self.values.get(path) {
            Some((Value::String(text), _)) => text.clone(),
            Some((value @ (Value::Number(_) | Value::Bool(_)), _)) => value.to_string(),
            Some((_, _)) => {
                self.faults.push(format!("{path}: takes one value, not a list or map"));
                default.to_owned()
            }
            None => default.to_owned(),
        };
        self.shown.push((path, text.clone()));
        if text.is_empty() {
            return None;
        }
        match read(&text) {
            Ok(value) => Some(value),
            Err(fault) => {
                self.faults.push(format!("{path}: {fault}"));
                read(default).ok()
            }
        }
    }

    /// Reads a value that has a default.
    pub fn must<T: Default>(&mut self, path: &'static str, read: impl Fn(&str) -> Result<T, String>) -> T {
        self.get(path, read).unwrap_or_default()
    }

    /// Reads a list or map by its type. What it says when printed is up to the caller.
    pub fn tree<T: serde::de::DeserializeOwned + Default>(
        &mut self,
        path: &'static str,
        shown: impl Fn(&T) -> String,
    ) -> T {
        let value = match self.values.get(path) {
            Some((value, _)) => match serde_json::from_value(value.clone()) {
                Ok(value) => value,
                Err(error) => {
                    self.faults.push(format!("{path}: {error}"));
                    T::default()
                }
            },
            None => T::default(),
        };
        self.shown.push((path, shown(&value)));
        value
    }

    /// Notes a fault that spans several keys.
    pub fn fault(&mut self, fault: String) {
        self.faults.push(fault);
    }

    /// Masks a value that was read, for printing.
    pub fn mask(&mut self, path: &'static str) {
        for (_, shown) in self.shown.iter_mut().filter(|(key, shown)| *key == path && !shown.is_empty()) {
            "********".clone_into(shown);
        }
    }

    /// All faults, if there are any.
    ///
    /// # Errors
    /// The faults.
    pub fn finish(self) -> Result<Vec<(&'static str, String)>, Faults> {
        if !self.faults.is_empty() {
            return Err(Faults(self.faults));
        }
        // A printed tree names each of its branches once.
        let mut shown = self.shown;
        shown.sort_by_key(|(path, _)| self.keys.iter().position(|key| key.path == *path));
        Ok(shown)
    }
}

/// One of some words.
///
/// # Errors
/// Which words there are.
pub fn word<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, String> {
    words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
        let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        format!("{text:?} is none of {}", words.join(", "))
    })
}

/// How many letters part two words.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, a) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, b) in row.iter_mut().skip(1).zip(&b) {
            let change = diagonal + usize::from(a != *b);
            diagonal = *cell;
            left = change.min(left + 1).min(diagonal + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}
