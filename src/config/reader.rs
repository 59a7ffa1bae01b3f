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
            match yaml(text) {
                Ok(Value::Null) => {}
                Ok(tree @ Value::Object(_)) => reader.flatten("", tree, name, environment),
                Ok(_) => reader.faults.push(format!("{name}: the configuration is no map of keys")),
                Err(error) => {
                    let error = error.replace("<input>", name);
                    reader.faults.push(format!("{name}: {}", error.strip_prefix("error: ").unwrap_or(&error)));
                }
            }
        }
        for (variable, value) in environment {
            let Some(path) = variable.strip_prefix(PREFIX).filter(|path| !is_of_others(path)) else { continue };
            let path = path.to_ascii_lowercase().replace("__", ".");
            reader.values.insert(path, (Value::String(value.clone()), variable.clone()));
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
            let variable = place.strip_prefix(PREFIX).map(|_| place);
            let spelled = |key: &str| match variable {
                Some(_) => format!("{PREFIX}{}", key.to_ascii_uppercase().replace('.', "__")),
                None => key.to_owned(),
            };
            let hint = match near(path, self.keys) {
                Near::Key(key) => format!("did you mean {}?", spelled(key)),
                Near::Group(keys) => {
                    format!("there are: {}", keys.into_iter().map(spelled).collect::<Vec<_>>().join(", "))
                }
                Near::Nothing => "`chatlake check` alone prints all keys".to_owned(),
            };
            let what =
                variable.map_or_else(|| format!("{path}: unknown key"), |name| format!("{name}: unknown variable"));
            self.faults.push(format!("{what}, {hint}"));
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
        let read = match self.values.get(path) {
            // A variable holds it as YAML.
            Some((Value::String(text), _)) if text.trim().is_empty() => Ok(T::default()),
            Some((Value::String(text), _)) => yaml(text).and_then(|tree| typed(&tree)),
            Some((tree, _)) => typed(tree),
            None => Ok(T::default()),
        };
        let value = read.unwrap_or_else(|fault| {
            self.faults.push(format!("{path}: {fault}"));
            T::default()
        });
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

fn typed<T: serde::de::DeserializeOwned>(tree: &Value) -> Result<T, String> {
    T::deserialize(tree).map_err(|error| error.to_string())
}

/// Reads YAML as version 1.2 has it: `no` is a text, and so is `y`.
fn yaml(text: &str) -> Result<Value, String> {
    let options = serde_saphyr::options! { strict_booleans: true };
    serde_saphyr::from_str_with_options(text, options)
        // What the library's own options would allow is nothing that a user can set.
        .map_err(|error| error.to_string().replace(", set DuplicateKeyPolicy in Options if acceptable", ""))
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

/// Whether a variable that begins as ours do is none of the configuration: those of tests, and those by which
/// Kubernetes tells every pod of a service that is called chatlake, or chatlake-something.
fn is_of_others(name: &str) -> bool {
    let of_port = |(_, tail): (&str, &str)| {
        let words: Vec<&str> = tail.split('_').collect();
        matches!(words.as_slice(), [port, "TCP" | "UDP" | "SCTP", ..] if port.bytes().all(|digit| digit.is_ascii_digit()))
    };
    let name = format!("_{name}");
    name.starts_with("_TEST_")
        || !name.contains("__")
            && (name.ends_with("_SERVICE_HOST")
                || name.contains("_SERVICE_PORT")
                || name.ends_with("_PORT")
                || name.split_once("_PORT_").is_some_and(of_port))
}

/// What a key that is unknown may have been meant for.
enum Near {
    /// This key.
    Key(&'static str),
    /// One of these, which stand where it stands.
    Group(Vec<&'static str>),
    /// Nothing that is known here.
    Nothing,
}

fn near(path: &str, keys: &'static [Key]) -> Near {
    /// So many letters of ten may be wrong.
    const WRONG: usize = 3;
    let paths = || keys.iter().map(|key| key.path);
    let below: Vec<&str> =
        paths().filter(|key| key.strip_prefix(path).is_some_and(|rest| rest.starts_with('.'))).collect();
    if !below.is_empty() {
        return Near::Group(below);
    }
    // However the words are parted.
    let plain = |path: &str| path.replace(['.', '-'], "_");
    let wanted = plain(path);
    if let Some((steps, key)) = paths().map(|key| (distance(&wanted, &plain(key)), key)).min()
        && steps <= (key.len() * WRONG).div_ceil(10).min(4)
    {
        return Near::Key(key);
    }
    // The same last words elsewhere, as where the Collector has them.
    let tail = |path: &str| path.rsplit('.').take(2).map(str::to_owned).collect::<Vec<_>>();
    let mut alike = paths().filter(|key| tail(key) == tail(path));
    if let (Some(key), None) = (alike.next(), alike.next()) {
        return Near::Key(key);
    }
    let group = path.split('.').next().unwrap_or_default();
    let beside: Vec<&str> =
        paths().filter(|key| key.split_once('.').is_some_and(|(first, _)| first == group)).collect();
    if beside.is_empty() { Near::Nothing } else { Near::Group(beside) }
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
