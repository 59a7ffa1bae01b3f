//! An object of JSON as it is written: what is null or empty is left out.

use super::time;
use std::collections::BTreeMap;
use std::io::Write as _;

/// A JSON object being written. Each method writes its key with its value, or neither.
pub(super) struct Object<'a> {
    out: &'a mut Vec<u8>,
    empty: bool,
}

impl<'a> Object<'a> {
    pub(super) fn open(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, empty: true }
    }

    pub(super) fn close(self) {
        self.out.push(b'}');
    }

    /// Keys are names of columns: plain ASCII.
    pub(super) fn value(&mut self, key: &str, write: impl FnOnce(&mut Vec<u8>)) {
        if !self.empty {
            self.out.push(b',');
        }
        self.empty = false;
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
        write(self.out);
    }

    pub(super) fn text(&mut self, key: &str, text: &str) {
        if !text.is_empty() {
            self.value(key, |out| string(text, out));
        }
    }

    pub(super) fn opt(&mut self, key: &str, text: &Option<String>) {
        if let Some(text) = text {
            self.text(key, text);
        }
    }

    /// A text of which being empty says something.
    pub(super) fn said(&mut self, key: &str, text: &Option<String>) {
        if let Some(text) = text {
            self.value(key, |out| string(text, out));
        }
    }

    /// A column of JSON: an empty one is left out.
    pub(super) fn json(&mut self, key: &str, text: &Option<String>) {
        if let Some(text) = text.as_deref().filter(|text| !crate::lake::is_empty_json(text)) {
            self.value(key, |out| json(text, out));
        }
    }

    /// A JSON value of the user: an empty one was said.
    pub(super) fn given(&mut self, key: &str, text: &Option<String>) {
        if let Some(text) = text {
            self.value(key, |out| json(text, out));
        }
    }

    pub(super) fn int(&mut self, key: &str, value: Option<i64>) {
        if let Some(value) = value {
            self.value(key, |out| number(&value, out));
        }
    }

    pub(super) fn float(&mut self, key: &str, value: Option<f64>) {
        if let Some(value) = value.filter(|value| value.is_finite()) {
            self.value(key, |out| float(value, out));
        }
    }

    pub(super) fn truth(&mut self, key: &str, value: Option<bool>) {
        if let Some(value) = value {
            self.value(key, |out| out.extend_from_slice(if value { b"true" } else { b"false" }));
        }
    }

    pub(super) fn time(&mut self, key: &str, micros: Option<i64>) {
        if let Some(micros) = micros {
            self.value(key, |out| time(micros, out));
        }
    }

    pub(super) fn list<T>(&mut self, key: &str, items: &[T], write: impl Fn(&T, &mut Vec<u8>)) {
        if items.is_empty() {
            return;
        }
        self.value(key, |out| {
            let mut before = b'[';
            for item in items {
                out.push(before);
                before = b',';
                write(item, out);
            }
            out.push(b']');
        });
    }

    pub(super) fn map<T>(&mut self, key: &str, entries: &BTreeMap<String, T>, write: impl Fn(&T, &mut Vec<u8>)) {
        if entries.is_empty() {
            return;
        }
        self.value(key, |out| {
            let mut before = b'{';
            for (key, value) in entries {
                out.push(before);
                before = b',';
                string(key, out);
                out.push(b':');
                write(value, out);
            }
            out.push(b'}');
        });
    }

    /// A struct: left out when all its fields are.
    pub(super) fn object(&mut self, key: &str, write: impl FnOnce(&mut Object<'_>)) {
        let (start, first) = (self.out.len(), self.empty);
        let mut empty = true;
        self.value(key, |out| {
            let mut object = Object::open(out);
            write(&mut object);
            empty = object.empty;
            object.close();
        });
        if empty {
            self.out.truncate(start);
            self.empty = first;
        }
    }
}

pub(super) fn string(text: &str, out: &mut Vec<u8>) {
    // Writing a string into memory has no way to fail.
    let _ = serde_json::to_writer(out, text);
}

/// Writes a JSON text as it stands, on one line.
pub(super) fn json(text: &str, out: &mut Vec<u8>) {
    if serde_json::from_str::<serde::de::IgnoredAny>(text).is_err() {
        return string(text, out);
    }
    // Within JSON strings line breaks are escaped: those left stand between tokens.
    let mut rest = text.as_bytes();
    while let Some(at) = memchr::memchr2(b'\n', b'\r', rest) {
        let (line, tail) = rest.split_at(at);
        out.extend_from_slice(line);
        out.push(b' ');
        rest = tail.get(1..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
}

pub(super) fn number(value: &i64, out: &mut Vec<u8>) {
    // Writing into memory cannot fail.
    let _ = write!(out, "{value}");
}

/// What is not finite is null here; columns leave it out before.
pub(super) fn float(value: f64, out: &mut Vec<u8>) {
    let size = value.abs();
    let _ = if !value.is_finite() {
        write!(out, "null")
    } else if size == 0.0 || (1e-9..1e16).contains(&size) {
        let start = out.len();
        let written = write!(out, "{value}");
        // A whole number keeps its point, so that every reader takes the column for floats.
        if out.get(start..).is_some_and(|digits| memchr::memchr(b'.', digits).is_none()) {
            out.extend_from_slice(b".0");
        }
        written
    } else {
        write!(out, "{value:e}")
    };
}
