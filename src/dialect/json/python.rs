//! Reads what Python's `repr` prints: single quotes, `None`, tuples, and objects as `Name(key=value)`.

use super::MAX_DEPTH;
use super::Node;
use super::bytes::is_number;
use std::borrow::Cow;

/// Reads one literal of a list, tuple, dictionary, set or object. None for anything else.
pub(super) fn parse(text: &str) -> Option<Node<'_>> {
    let mut reader = Reader { text, at: 0 };
    let node = reader.value(0)?;
    reader.space();
    let structured = node.is_array() || node.is_object();
    (reader.at == text.len() && structured).then_some(node)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let hit = self.peek() == Some(byte);
        self.at += usize::from(hit);
        hit
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    fn value(&mut self, depth: usize) -> Option<Node<'a>> {
        self.space();
        if depth >= MAX_DEPTH {
            return None;
        }
        match self.peek()? {
            b'\'' | b'"' => self.strings().map(Node::String),
            b'[' => self.sequence(b']', depth),
            b'(' => self.sequence(b')', depth),
            b'{' => self.braces(depth),
            b'-' | b'0'..=b'9' => self.number(),
            b'<' => self.angle(depth),
            _ => self.name(depth),
        }
    }

    fn sequence(&mut self, close: u8, depth: usize) -> Option<Node<'a>> {
        self.at += 1;
        let mut items = Vec::new();
        loop {
            self.space();
            if self.take(close) {
                return Some(Node::array(items));
            }
            items.push(self.value(depth + 1)?);
            self.space();
            if !self.take(b',') && self.peek() != Some(close) {
                return None;
            }
        }
    }

    /// A dictionary, or a set as a list.
    fn braces(&mut self, depth: usize) -> Option<Node<'a>> {
        self.at += 1;
        let mut entries = Vec::new();
        let mut items = Vec::new();
        loop {
            self.space();
            if self.take(b'}') {
                return Some(if items.is_empty() { Node::object(entries) } else { Node::array(items) });
            }
            let key = self.value(depth + 1)?;
            self.space();
            if self.take(b':') {
                let name = match key {
                    Node::String(text) | Node::Number(text) => text,
                    other => Cow::Owned(other.json()),
                };
                entries.push((name, self.value(depth + 1)?));
            } else {
                items.push(key);
            }
            self.space();
            if !self.take(b',') && self.peek() != Some(b'}') {
                return None;
            }
        }
    }

    /// One string, or several that stand beside each other.
    fn strings(&mut self) -> Option<Cow<'a, str>> {
        let mut whole = self.string()?;
        loop {
            self.space();
            match self.peek() {
                Some(b'\'' | b'"') => whole.to_mut().push_str(&self.string()?),
                _ => return Some(whole),
            }
        }
    }

    fn string(&mut self) -> Option<Cow<'a, str>> {
        let quote = self.peek()?;
        self.at += 1;
        let start = self.at;
        let mut out = String::new();
        let mut from = start;
        loop {
            let rest = self.text.as_bytes().get(self.at..)?;
            self.at += memchr::memchr2(quote, b'\\', rest)?;
            let clean = self.text.get(from..self.at)?;
            if self.take(quote) {
                if from == start {
                    return Some(Cow::Borrowed(clean));
                }
                out.push_str(clean);
                return Some(Cow::Owned(out));
            }
            out.push_str(clean);
            self.at += 1;
            self.escape(&mut out)?;
            from = self.at;
        }
    }

    fn escape(&mut self, out: &mut String) -> Option<()> {
        let byte = self.peek()?;
        let width = match byte {
            b'x' => 2,
            b'u' => 4,
            b'U' => 8,
            _ => {
                let c = self.text.get(self.at..)?.chars().next()?;
                self.at += c.len_utf8();
                match c {
                    'n' => out.push('\n'),
                    'r' => out.push('\r'),
                    't' => out.push('\t'),
                    '\n' => {}
                    '\\' | '\'' | '"' => out.push(c),
                    other => out.extend(['\\', other]),
                }
                return Some(());
            }
        };
        let digits = self.text.get(self.at + 1..self.at + 1 + width)?;
        let code = u32::from_str_radix(digits, 16).ok()?;
        out.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
        self.at += 1 + width;
        Some(())
    }

    fn number(&mut self) -> Option<Node<'a>> {
        let start = self.at;
        while let Some(b'+' | b'-' | b'.' | b'_' | b'0'..=b'9' | b'e' | b'E') = self.peek() {
            self.at += 1;
        }
        let text = self.text.get(start..self.at)?;
        if is_number(text) {
            return Some(Node::Number(Cow::Borrowed(text)));
        }
        // Python writes `1.` and `1_000` too; `-inf` and dates are not numbers.
        let value: f64 = text.replace('_', "").parse().ok()?;
        Some(if value.is_finite() { Node::Number(Cow::Owned(format!("{value:?}"))) } else { Node::Null })
    }

    /// `<Role.USER: 'user'>` is its value; `<object at 0x7f..>` is its own text.
    fn angle(&mut self, depth: usize) -> Option<Node<'a>> {
        let start = self.at;
        let rest = self.text.get(start..)?;
        if let Some(colon) = rest.find(": ").filter(|colon| {
            rest.get(..*colon).is_some_and(|head| {
                !head.contains(['>', '<', ' ']) || head.matches('<').count() == 1 && !head.contains(['>', ' '])
            })
        }) {
            self.at = start + colon + 2;
            if let Some(value) = self.value(depth + 1) {
                self.space();
                if self.take(b'>') {
                    return Some(value);
                }
            }
        }
        let length = rest.find('>')? + 1;
        self.at = start + length;
        rest.get(..length).map(|text| Node::String(Cow::Borrowed(text)))
    }

    /// A word: `None`, `True`, a prefix of a string, an object's class with its fields, or a plain name.
    fn name(&mut self, depth: usize) -> Option<Node<'a>> {
        let start = self.at;
        while self.peek().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.') {
            self.at += 1;
        }
        let word = self.text.get(start..self.at).filter(|word| !word.is_empty())?;
        match (word, self.peek()) {
            ("None" | "null" | "nan" | "inf", _) => Some(Node::Null),
            ("True" | "true", _) => Some(Node::Bool(true)),
            ("False" | "false", _) => Some(Node::Bool(false)),
            ("b" | "u" | "r" | "f", Some(b'\'' | b'"')) => self.string().map(Node::String),
            (_, Some(b'(')) => self.fields(depth),
            _ => Some(Node::String(Cow::Borrowed(word))),
        }
    }

    /// `(key=value, ...)` as an object; values without a key as a list.
    fn fields(&mut self, depth: usize) -> Option<Node<'a>> {
        self.at += 1;
        let mut entries = Vec::new();
        let mut items = Vec::new();
        loop {
            self.space();
            if self.take(b')') {
                return Some(if entries.is_empty() && items.len() == 1 {
                    items.swap_remove(0)
                } else if entries.is_empty() {
                    Node::array(items)
                } else {
                    Node::object(entries)
                });
            }
            let start = self.at;
            while self.peek().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_') {
                self.at += 1;
            }
            let word = self.text.get(start..self.at)?;
            if !word.is_empty() && self.take(b'=') {
                entries.push((Cow::Borrowed(word), self.value(depth + 1)?));
            } else {
                self.at = start;
                items.push(self.value(depth + 1)?);
            }
            self.space();
            if !self.take(b',') && self.peek() != Some(b')') {
                return None;
            }
        }
    }
}
