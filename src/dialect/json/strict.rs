//! Strict JSON read in one pass without a tree, for the forms that nearly all producers send.
//!
//! Every reader gives None at anything unusual (a key twice, a control character, half a surrogate pair, deep
//! nesting, text behind the value): the caller then reads the tolerant way, which gives the same for all that is
//! read here.

use super::bytes::escaped;
use super::bytes::has_controls;
use super::bytes::is_number;
use super::bytes::short;
use super::bytes::stops;
use std::borrow::Cow;

/// Containers within each other; deeper ones are read the tolerant way.
const MAX_DEPTH: usize = 32;

/// Keys of one object that is passed over; longer ones are read the tolerant way.
const MAX_KEYS: usize = 16;

/// A place in a text.
pub(in crate::dialect) struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(in crate::dialect) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The next byte that is no white space.
    fn next(&mut self) -> Option<u8> {
        loop {
            match self.peek()? {
                b' ' | b'\n' | b'\r' | b'\t' => self.at += 1,
                byte => return Some(byte),
            }
        }
    }

    /// Whether this byte comes next; passes it.
    fn take(&mut self, byte: u8) -> bool {
        let is_next = self.next() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    /// Whether nothing follows.
    pub(in crate::dialect) fn is_at_end(&mut self) -> bool {
        self.next().is_none()
    }

    /// Whether a string comes next.
    pub(in crate::dialect) fn is_at_string(&mut self) -> bool {
        self.next() == Some(b'"')
    }

    /// Whether an object comes next.
    pub(in crate::dialect) fn is_at_object(&mut self) -> bool {
        self.next() == Some(b'{')
    }

    /// Reads a list, an item at a time.
    pub(in crate::dialect) fn list(&mut self, mut item: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        if !self.take(b'[') {
            return None;
        }
        if self.take(b']') {
            return Some(());
        }
        loop {
            item(self)?;
            if !self.take(b',') {
                return self.take(b']').then_some(());
            }
        }
    }

    /// Reads an object: `value` is given each key and stands before its value. Keys are as they are written: one
    /// with an escape is read the tolerant way. That none comes twice is the caller's to see to.
    pub(in crate::dialect) fn object(&mut self, mut value: impl FnMut(&mut Self, &'a str) -> Option<()>) -> Option<()> {
        if !self.take(b'{') {
            return None;
        }
        if self.take(b'}') {
            return Some(());
        }
        loop {
            if !self.is_at_string() {
                return None;
            }
            let Cow::Borrowed(key) = self.string()? else { return None };
            if !self.take(b':') {
                return None;
            }
            value(self, key)?;
            if !self.take(b',') {
                return self.take(b'}').then_some(());
            }
        }
    }

    /// A string, its escapes resolved.
    pub(in crate::dialect) fn string(&mut self) -> Option<Cow<'a, str>> {
        if !self.take(b'"') {
            return None;
        }
        let start = self.at;
        let rest = self.text.as_bytes().get(start..)?;
        if let Some(length) = short(rest) {
            self.at = start + length + 1;
            return self.text.get(start..start + length).map(Cow::Borrowed);
        }
        let length = plain(rest)?;
        self.at = start + length;
        if rest.get(length) == Some(&b'"') {
            self.at += 1;
            return self.text.get(start..start + length).map(Cow::Borrowed);
        }
        // Most of a text with an escape has few of them.
        let mut out = String::with_capacity((length + 256).min(rest.len()));
        let mut from = start;
        loop {
            out.push_str(self.text.get(from..self.at)?);
            self.at += 1;
            if self.text.as_bytes().get(self.at - 1) == Some(&b'"') {
                return Some(Cow::Owned(out));
            }
            out.push(self.escape()?);
            from = self.at;
            self.at += plain(self.text.as_bytes().get(from..)?)?;
        }
    }

    /// A text that is there, or null: `Some(None)`.
    pub(in crate::dialect) fn text_or_null(&mut self) -> Option<Option<Cow<'a, str>>> {
        if self.is_at_string() { self.string().map(Some) } else { self.word("null").map(|()| None) }
    }

    /// What stands behind a backslash.
    fn escape(&mut self) -> Option<char> {
        let byte = self.peek()?;
        self.at += 1;
        if byte == b'u' { self.unicode() } else { escaped(byte) }
    }

    fn unicode(&mut self) -> Option<char> {
        let first = self.hex4()?;
        if !(0xd800..0xdc00).contains(&first) {
            return char::from_u32(first);
        }
        if self.text.as_bytes().get(self.at..self.at + 2) != Some(b"\\u") {
            return None;
        }
        self.at += 2;
        let low = self.hex4()?.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
        char::from_u32(0x10000 + ((first - 0xd800) << 10) + low)
    }

    fn hex4(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4)?;
        self.at += 4;
        if digits.bytes().all(|byte| byte.is_ascii_hexdigit()) { u32::from_str_radix(digits, 16).ok() } else { None }
    }

    fn word(&mut self, word: &str) -> Option<()> {
        self.next();
        let is_next = self.text.as_bytes().get(self.at..)?.starts_with(word.as_bytes());
        self.at += if is_next { word.len() } else { 0 };
        is_next.then_some(())
    }

    /// Any value as it is written, valid JSON without a key twice in one object.
    pub(in crate::dialect) fn raw(&mut self) -> Option<&'a str> {
        self.spanned(|cursor| cursor.pass(0))
    }

    /// The text of what `read` passes.
    pub(in crate::dialect) fn spanned(&mut self, read: impl FnOnce(&mut Self) -> Option<()>) -> Option<&'a str> {
        self.next()?;
        let start = self.at;
        read(self)?;
        self.text.get(start..self.at)
    }

    /// Passes over a value.
    fn pass(&mut self, depth: usize) -> Option<()> {
        match self.next()? {
            b'"' => self.pass_string().map(|_| ()),
            b'{' | b'[' if depth == MAX_DEPTH => None,
            b'[' => self.list(|cursor| cursor.pass(depth + 1)),
            b'{' => self.pass_object(depth),
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'n' => self.word("null"),
            _ => {
                let start = self.at;
                while let Some(b'+' | b'-' | b'.' | b'0'..=b'9' | b'e' | b'E') = self.peek() {
                    self.at += 1;
                }
                is_number(self.text.get(start..self.at)?).then_some(())
            }
        }
    }

    fn pass_object(&mut self, depth: usize) -> Option<()> {
        let mut keys = [""; MAX_KEYS];
        let mut count = 0;
        self.object(|cursor, key| {
            if keys.get(..count)?.contains(&key) {
                return None;
            }
            *keys.get_mut(count)? = key;
            count += 1;
            cursor.pass(depth + 1)
        })
    }

    fn pass_string(&mut self) -> Option<()> {
        self.at += 1;
        loop {
            self.at += plain(self.text.as_bytes().get(self.at..)?)?;
            self.at += 1;
            if self.text.as_bytes().get(self.at - 1) == Some(&b'"') {
                return Some(());
            }
            self.escape()?;
        }
    }
}

/// Whether a text is one valid JSON value in which no object holds a key twice. False also where that takes a closer
/// look.
pub(in crate::dialect) fn is_strict(text: &str) -> bool {
    let mut cursor = Cursor::new(text);
    cursor.raw().is_some() && cursor.is_at_end()
}

/// The bytes before the next quote or backslash. None where there is neither, or a control character before it.
fn plain(bytes: &[u8]) -> Option<usize> {
    let words = bytes.as_chunks::<8>().0.iter().take(4);
    let first = words.map(|word| stops(u64::from_le_bytes(*word))).enumerate().find(|(_, stops)| *stops != 0);
    if let Some((word, stops)) = first {
        let at = word * 8 + usize::try_from(stops.trailing_zeros() / 8).ok()?;
        return bytes.get(at).filter(|byte| **byte >= 0x20).map(|_| at);
    }
    let length = memchr::memchr2(b'"', b'\\', bytes)?;
    bytes.get(..length).filter(|plain| !has_controls(plain)).map(|_| length)
}

#[cfg(test)]
mod tests {
    use super::super::Flaws;
    use super::super::parse;
    use super::*;

    /// Texts as producers send them, and such with something odd.
    const TEXTS: [&str; 44] = [
        "{}",
        "[]",
        "null",
        "true",
        "-1.5e3",
        "\"a\"",
        "[1,2,{\"a\":[]}]",
        "{\"a\":1,\"b\":{\"a\":2}}",
        " { \"a\" : [ 1 , null ] } ",
        "\"\\u00e9\\ud83d\\ude00\\n\"",
        "\"a long text without anything in it, past words\"",
        "\"a long text with a \\\"quote\\\" and a \\\\ in it, past some words\"",
        "\"naïve 東京 — and more of it\"",
        "{\"a\":1,\"a\":2}",
        "{\"a\":{\"b\":1,\"b\":2}}",
        "[1,]",
        "{\"a\":1,}",
        "{'a':1}",
        "{\"a\" 1}",
        "[1 2]",
        "01",
        "1.",
        "-",
        "+1",
        "nul",
        "nulll",
        "NaN",
        "[NaN]",
        "Infinity",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\ud800\"",
        "\"\\ud800\\u0041\"",
        "\"\\udc00\"",
        "\"a\nb\"",
        "\"a text with a control character, far\nbehind\"",
        "\"a",
        "{\"a\":",
        "[",
        "{\"\\u0061\":1}",
        "{\"a\":1} x",
        "",
        " ",
        "\u{feff}[]",
    ];

    #[test]
    fn what_is_strict_is_read_the_tolerant_way_without_a_flaw() {
        let mut strict = 0;
        for text in TEXTS {
            let parsed = parse(text);
            if is_strict(text) {
                strict += 1;
                let parsed = parsed.expect(text);
                assert_eq!(parsed.flaws, Flaws::default(), "{text}");
                assert!(Cursor::new(text).raw().is_some_and(|raw| raw == text.trim()), "{text}");
            }
        }
        assert_eq!(strict, 13, "all that is plain");
    }

    #[test]
    fn strings_are_the_same_as_the_tolerant_reader_gives() {
        let mut read = 0;
        for text in TEXTS.iter().filter(|text| text.starts_with('"')) {
            if let Some(string) = Cursor::new(text).string().filter(|_| is_strict(text)) {
                read += 1;
                assert_eq!(parse(text).expect("read").node.as_str(), Some(string.as_ref()), "{text}");
            }
        }
        assert_eq!(read, 5);
    }

    #[test]
    fn nesting_and_keys_have_bounds() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(is_strict(&nested(MAX_DEPTH)));
        assert!(!is_strict(&nested(MAX_DEPTH + 1)));
        let wide = |count: usize| {
            let entries: Vec<String> = (0..count).map(|place| format!("\"k{place}\":0")).collect();
            format!("{{{}}}", entries.join(","))
        };
        assert!(is_strict(&wide(MAX_KEYS)));
        assert!(!is_strict(&wide(MAX_KEYS + 1)));
    }
}
