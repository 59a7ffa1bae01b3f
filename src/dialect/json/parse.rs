//! Reads JSON text; a text that ends early or breaks gives the complete elements before that place.

use super::Array;
use super::Flaws;
use super::MAX_DEPTH;
use super::Node;
use super::Object;
use super::bytes::escaped;
use super::bytes::has_controls;
use super::bytes::is_number;
use super::bytes::short;
use super::python;
use std::borrow::Cow;
use std::collections::HashSet;

/// A value and what was wrong with its text.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::dialect) struct Parsed<'a> {
    pub node: Node<'a>,
    pub flaws: Flaws,
}

/// Reads one value. None where the text is nothing of the kind: the caller keeps it as text.
pub(in crate::dialect) fn parse(text: &str) -> Option<Parsed<'_>> {
    let (node, reader) = read(text);
    match reader.stop {
        None => node.map(|node| Parsed { node, flaws: reader.flaws }),
        Some(Stop::End) => {
            if let Some(shorter) = without_suffix(text) {
                return parse_cut(shorter);
            }
            salvage(node, reader.flaws)
        }
        Some(Stop::Bad) => {
            if let Some(node) = python::parse(text) {
                return Some(Parsed { node, flaws: Flaws { python: true, ..Flaws::default() } });
            }
            if let Some(shorter) = without_suffix(text) {
                return parse_cut(shorter);
            }
            salvage(node, reader.flaws)
        }
    }
}

fn parse_cut(text: &str) -> Option<Parsed<'_>> {
    let (node, reader) = read(text);
    salvage(node, reader.flaws)
}

fn salvage(node: Option<Node<'_>>, flaws: Flaws) -> Option<Parsed<'_>> {
    let node = node?;
    let useful = (node.is_array() || node.is_object()) && !node.is_empty();
    useful.then_some(Parsed { node, flaws: Flaws { truncated: true, ..flaws } })
}

fn read(text: &str) -> (Option<Node<'_>>, Reader<'_>) {
    let mut reader = Reader { text, at: 0, stop: None, flaws: Flaws::default(), dirt: 0 };
    let node = reader.value(0);
    if reader.stop.is_none() {
        reader.space();
        if reader.at < text.len() {
            reader.stop = Some(Stop::Bad);
        }
    }
    reader.flaws.sloppy = reader.dirt > 0;
    (node, reader)
}

/// The text before a mark that says it was cut there.
fn without_suffix(text: &str) -> Option<&str> {
    let text = text.trim_end();
    if let Some(bare) = text.strip_suffix("...") {
        return Some(bare);
    }
    let inner = text.strip_suffix(']')?;
    let at = inner.rfind("...[")?;
    let (bare, mark) = inner.split_at(at);
    let mark = mark.to_ascii_lowercase();
    (mark.starts_with("...[truncated") && mark.len() < 64).then_some(bare)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// The text ended within a value.
    End,
    /// A character stands where none such may.
    Bad,
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    stop: Option<Stop>,
    flaws: Flaws,
    /// Counts what was read leniently: a container that saw none keeps its text.
    dirt: u32,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
        // A byte order mark in front of a document.
        if self.at == 0 && self.text.starts_with('\u{feff}') {
            self.at = '\u{feff}'.len_utf8();
            self.space();
        }
    }

    fn stopped(&mut self, stop: Stop) {
        self.stop = Some(stop);
    }

    fn since(&self, start: usize) -> Option<&'a str> {
        self.text.get(start..self.at)
    }

    fn value(&mut self, depth: usize) -> Option<Node<'a>> {
        self.space();
        let Some(byte) = self.peek() else {
            self.stopped(Stop::End);
            return None;
        };
        match byte {
            b'"' => self.string().map(Node::String),
            b'{' | b'[' if depth >= MAX_DEPTH => Some(self.deep()),
            b'{' => Some(self.object(depth)),
            b'[' => Some(self.array(depth)),
            b'-' | b'0'..=b'9' => self.number(),
            _ => self.word(),
        }
    }

    fn array(&mut self, depth: usize) -> Node<'a> {
        let (start, dirt) = (self.at, self.dirt);
        self.at += 1;
        let mut items = Vec::new();
        loop {
            self.space();
            if self.peek() == Some(b']') {
                if !items.is_empty() {
                    self.dirt += 1;
                }
                self.at += 1;
                break;
            }
            items.extend(self.value(depth + 1));
            if self.stop.is_some() {
                return Node::Array(Array { items, raw: None, cut: true });
            }
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    break;
                }
                other => {
                    self.stopped(if other.is_none() { Stop::End } else { Stop::Bad });
                    return Node::Array(Array { items, raw: None, cut: true });
                }
            }
        }
        let raw = if self.dirt == dirt { self.since(start) } else { None };
        Node::Array(Array { items, raw, cut: false })
    }

    fn object(&mut self, depth: usize) -> Node<'a> {
        let (start, dirt) = (self.at, self.dirt);
        self.at += 1;
        let mut entries: Vec<(Cow<'a, str>, Node<'a>)> = Vec::new();
        loop {
            self.space();
            match self.peek() {
                Some(b'}') => {
                    if !entries.is_empty() {
                        self.dirt += 1;
                    }
                    self.at += 1;
                    break;
                }
                Some(b'"') => {}
                other => {
                    self.stopped(if other.is_none() { Stop::End } else { Stop::Bad });
                    return Node::Object(Object { entries, raw: None, cut: true });
                }
            }
            let key = self.string();
            let value = self.member(depth);
            if let (Some(key), Some(value)) = (key, value) {
                entries.push((key, value));
            }
            if self.stop.is_some() {
                return Node::Object(Object { entries, raw: None, cut: true });
            }
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    break;
                }
                other => {
                    self.stopped(if other.is_none() { Stop::End } else { Stop::Bad });
                    return Node::Object(Object { entries, raw: None, cut: true });
                }
            }
        }
        if has_duplicate(&entries) {
            self.flaws.duplicate = true;
            self.dirt += 1;
            entries = last_of_each(entries);
        }
        let raw = if self.dirt == dirt { self.since(start) } else { None };
        Node::Object(Object { entries, raw, cut: false })
    }

    /// The colon and the value behind a key.
    fn member(&mut self, depth: usize) -> Option<Node<'a>> {
        if self.stop.is_some() {
            return None;
        }
        self.space();
        match self.peek() {
            Some(b':') => self.at += 1,
            other => {
                self.stopped(if other.is_none() { Stop::End } else { Stop::Bad });
                return None;
            }
        }
        self.value(depth + 1)
    }

    fn string(&mut self) -> Option<Cow<'a, str>> {
        self.at += 1;
        let start = self.at;
        let rest = self.text.as_bytes().get(start..)?;
        if let Some(length) = short(rest) {
            self.at = start + length;
            let text = self.since(start)?;
            self.at += 1;
            return Some(Cow::Borrowed(text));
        }
        match memchr::memchr2(b'"', b'\\', rest) {
            None => {
                self.at = self.text.len();
                self.stopped(Stop::End);
                self.since(start).map(Cow::Borrowed)
            }
            Some(length) if rest.get(length) == Some(&b'"') => {
                self.at = start + length;
                let text = self.since(start)?;
                self.at += 1;
                self.note_controls(text);
                Some(Cow::Borrowed(text))
            }
            Some(length) => {
                self.at = start + length;
                self.escaped(start).map(Cow::Owned)
            }
        }
    }

    /// Characters that JSON wants escaped: taken, but such a text is not passed on as JSON.
    fn note_controls(&mut self, text: &str) {
        if has_controls(text.as_bytes()) {
            self.dirt += 1;
        }
    }

    fn escaped(&mut self, start: usize) -> Option<String> {
        let mut out = String::with_capacity((self.at - start + 512).min(self.text.len() - start));
        let mut from = start;
        loop {
            let rest = self.text.as_bytes().get(self.at..)?;
            let Some(length) = memchr::memchr2(b'"', b'\\', rest) else {
                self.at = self.text.len();
                out.push_str(self.since(from)?);
                self.stopped(Stop::End);
                return Some(out);
            };
            self.at += length;
            let clean = self.since(from)?;
            self.note_controls(clean);
            out.push_str(clean);
            let quote = rest.get(length) == Some(&b'"');
            self.at += 1;
            if quote {
                return Some(out);
            }
            if !self.escape(&mut out) {
                self.at = self.text.len();
                self.stopped(Stop::End);
                return Some(out);
            }
            from = self.at;
        }
    }

    /// What stands behind a backslash; false where the text ends.
    fn escape(&mut self, out: &mut String) -> bool {
        let Some(byte) = self.peek() else { return false };
        if byte == b'u' {
            return self.unicode(out);
        }
        let Some(plain) = escaped(byte) else {
            // No escape of JSON's: both characters are kept.
            self.dirt += 1;
            out.push('\\');
            return true;
        };
        self.at += 1;
        out.push(plain);
        true
    }

    fn unicode(&mut self, out: &mut String) -> bool {
        let Some(first) = self.hex4(self.at + 1) else {
            if self.at + 5 > self.text.len() {
                return false;
            }
            self.dirt += 1;
            out.push('\\');
            return true;
        };
        self.at += 5;
        if let Some(c) = char::from_u32(first) {
            out.push(c);
            return true;
        }
        let low =
            if self.text.as_bytes().get(self.at..self.at + 2) == Some(b"\\u") { self.hex4(self.at + 2) } else { None };
        match low {
            Some(low @ 0xdc00..=0xdfff) if first < 0xdc00 => {
                self.at += 6;
                let code = 0x10000 + ((first - 0xd800) << 10) + (low - 0xdc00);
                out.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            _ => {
                self.flaws.surrogate = true;
                self.dirt += 1;
                out.push(char::REPLACEMENT_CHARACTER);
            }
        }
        true
    }

    fn hex4(&self, at: usize) -> Option<u32> {
        let digits = self.text.get(at..at + 4)?;
        if digits.bytes().all(|b| b.is_ascii_hexdigit()) { u32::from_str_radix(digits, 16).ok() } else { None }
    }

    fn number(&mut self) -> Option<Node<'a>> {
        let start = self.at;
        while let Some(b'+' | b'-' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z') = self.peek() {
            self.at += 1;
        }
        let text = self.since(start)?;
        if is_number(text) {
            // A number at the very end of a text that is cut may lack digits.
            return Some(Node::Number(Cow::Borrowed(text)));
        }
        if text == "-Infinity" {
            return Some(self.not_finite());
        }
        self.stopped(if self.at == self.text.len() { Stop::End } else { Stop::Bad });
        None
    }

    fn not_finite(&mut self) -> Node<'a> {
        self.flaws.not_finite = true;
        self.dirt += 1;
        Node::Null
    }

    fn word(&mut self) -> Option<Node<'a>> {
        let start = self.at;
        while let Some(b'a'..=b'z' | b'A'..=b'Z') = self.peek() {
            self.at += 1;
        }
        match self.since(start)? {
            "true" => Some(Node::Bool(true)),
            "false" => Some(Node::Bool(false)),
            "null" => Some(Node::Null),
            "NaN" | "Infinity" => Some(self.not_finite()),
            word => {
                let begun = ["true", "false", "null", "NaN", "Infinity"].iter().any(|full| full.starts_with(word));
                self.stopped(if self.at == self.text.len() && begun { Stop::End } else { Stop::Bad });
                None
            }
        }
    }

    /// A container that nests too deep, as text.
    fn deep(&mut self) -> Node<'a> {
        let start = self.at;
        let mut open = 0usize;
        let mut in_string = false;
        while let Some(byte) = self.peek() {
            self.at += 1;
            match byte {
                b'\\' if in_string => self.at += 1,
                b'"' => in_string = !in_string,
                b'{' | b'[' if !in_string => open += 1,
                b'}' | b']' if !in_string => {
                    open -= 1;
                    if open == 0 {
                        break;
                    }
                }
                _ => {}
            }
        }
        self.at = self.at.min(self.text.len());
        if open > 0 {
            self.stopped(Stop::End);
        }
        self.flaws.deep = true;
        self.dirt += 1;
        Node::String(Cow::Borrowed(self.since(start).unwrap_or_default()))
    }
}

fn has_duplicate(entries: &[(Cow<'_, str>, Node<'_>)]) -> bool {
    if entries.len() <= 12 {
        return entries
            .iter()
            .enumerate()
            .any(|(place, (key, _))| entries.iter().take(place).any(|(other, _)| other == key));
    }
    let mut seen = HashSet::with_capacity(entries.len());
    entries.iter().any(|(key, _)| !seen.insert(key.as_ref()))
}

fn last_of_each<'a>(entries: Vec<(Cow<'a, str>, Node<'a>)>) -> Vec<(Cow<'a, str>, Node<'a>)> {
    let mut seen = HashSet::with_capacity(entries.len());
    let mut kept: Vec<_> = entries.into_iter().rev().filter(|(key, _)| seen.insert(key.clone())).collect();
    kept.reverse();
    kept
}
