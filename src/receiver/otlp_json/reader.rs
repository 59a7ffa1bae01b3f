//! A pull reader of JSON text that forgives what costs nothing to forgive: a byte order mark, raw control characters
//! in strings, bare `NaN` and `Infinity`, text that is no UTF-8, halves of surrogate pairs. The last two are replaced
//! by U+FFFD, with a note for the caller to pass on.
//!
//! It has no depth of its own: [`Reader::skip`] is a loop, and [`Reader::object`] and [`Reader::list`] nest only as
//! deep as their callers do.

use crate::receiver::MAX_STRUCTS;
use memchr::memchr2;
use std::borrow::Cow;
use std::fmt::Display;
use std::fmt::Formatter;

const REPLACED: &str = "invalid utf-8 replaced";

/// The mark of byte order, in UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// What stands next in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Null,
    Bool,
    Number,
    Text,
    List,
    Object,
}

impl Next {
    fn noun(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool => "a boolean",
            Self::Number => "a number",
            Self::Text => "a string",
            Self::List => "a list",
            Self::Object => "an object",
        }
    }
}

/// Why the text could not be read, and where.
#[derive(Debug)]
pub(super) struct Fault {
    at: usize,
    what: Cow<'static, str>,
    /// From the innermost step outwards.
    path: Vec<Step>,
}

#[derive(Debug)]
enum Step {
    Key(String),
    Place(usize),
}

impl Fault {
    fn within(mut self, step: Step) -> Self {
        self.path.push(step);
        self
    }
}

impl Display for Fault {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        for (nth, step) in self.path.iter().rev().enumerate() {
            match step {
                Step::Key(key) if nth > 0 => write!(out, ".{key}")?,
                Step::Key(key) => write!(out, "{key}")?,
                Step::Place(place) => write!(out, "[{place}]")?,
            }
        }
        let colon = if self.path.is_empty() { "" } else { ": " };
        write!(out, "{colon}{} at byte {}", self.what, self.at)
    }
}

#[derive(Debug)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    notes: Vec<String>,
    /// Bytes of structs that may still be made.
    structs: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self::starting(bytes, 0)
    }

    /// Reads from a place on; places in faults are counted from the beginning.
    pub(super) fn starting(bytes: &'a [u8], at: usize) -> Self {
        let mut reader = Self { bytes, at, notes: Vec::new(), structs: MAX_STRUCTS };
        if reader.rest().starts_with(MARK) {
            reader.at += MARK.len();
        }
        reader
    }

    /// Goes to the next value, and says where that is.
    pub(super) fn begin(&mut self) -> usize {
        self.space();
        self.at
    }

    /// Where it stands.
    pub(super) fn place(&self) -> usize {
        self.at
    }

    /// Counts the memory of a struct, so that `{},{},{},` cannot become gigabytes.
    pub(super) fn spend(&mut self, bytes: usize) -> Result<(), Fault> {
        self.structs =
            self.structs.checked_sub(bytes).ok_or_else(|| self.fault("more records than a request may hold"))?;
        Ok(())
    }

    /// Remembers what a user should know of the value just read.
    pub(super) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// How many notes there are: the place of the next one.
    pub(super) fn noted(&self) -> usize {
        self.notes.len()
    }

    /// Takes the notes from `place` on, each once.
    pub(super) fn take_notes(&mut self, place: usize) -> Vec<String> {
        let mut notes = self.notes.split_off(place.min(self.notes.len()));
        notes.dedup();
        notes
    }

    pub(super) fn fault(&self, what: impl Into<Cow<'static, str>>) -> Fault {
        Fault { at: self.at, what: what.into(), path: Vec::new() }
    }

    pub(super) fn peek(&mut self) -> Result<Next, Fault> {
        self.space();
        match self.bytes.get(self.at) {
            Some(b'n') => Ok(Next::Null),
            Some(b't' | b'f') => Ok(Next::Bool),
            Some(b'-' | b'0'..=b'9' | b'N' | b'I') => Ok(Next::Number),
            Some(b'"') => Ok(Next::Text),
            Some(b'[') => Ok(Next::List),
            Some(b'{') => Ok(Next::Object),
            Some(_) => Err(self.fault("no json value")),
            None => Err(self.fault("json ends too soon")),
        }
    }

    /// Reads an object, or null as one without fields. `field` has to read or skip each value.
    pub(super) fn object(&mut self, mut field: impl FnMut(&mut Self, &str) -> Result<(), Fault>) -> Result<(), Fault> {
        match self.peek()? {
            Next::Null => return self.literal(b"null"),
            Next::Object => self.at += 1,
            other => return Err(self.fault(format!("expected an object, found {}", other.noun()))),
        }
        if self.eat(b'}') {
            return Ok(());
        }
        loop {
            let key = self.key()?;
            field(self, &key).map_err(|fault| fault.within(Step::Key(key.into_owned())))?;
            if !self.eat(b',') {
                return self.expect(b'}', "expected , or }");
            }
        }
    }

    /// Reads a list, or null as an empty one. `item` has to read or skip each value.
    pub(super) fn list(&mut self, mut item: impl FnMut(&mut Self) -> Result<(), Fault>) -> Result<(), Fault> {
        match self.peek()? {
            Next::Null => return self.literal(b"null"),
            Next::List => self.at += 1,
            other => return Err(self.fault(format!("expected a list, found {}", other.noun()))),
        }
        if self.eat(b']') {
            return Ok(());
        }
        for place in 0_usize.. {
            item(self).map_err(|fault| fault.within(Step::Place(place)))?;
            if !self.eat(b',') {
                break;
            }
        }
        self.expect(b']', "expected , or ]")
    }

    pub(super) fn text(&mut self) -> Result<Cow<'a, str>, Fault> {
        let (raw, escaped) = self.raw_text()?;
        if !escaped {
            let text = String::from_utf8_lossy(raw);
            if let Cow::Owned(_) = text {
                self.note(REPLACED);
            }
            return Ok(text);
        }
        let text = String::from_utf8(self.unescape(raw)?).unwrap_or_else(|error| {
            self.note(REPLACED);
            String::from_utf8_lossy(error.as_bytes()).into_owned()
        });
        Ok(Cow::Owned(text))
    }

    /// The number as it is written.
    pub(super) fn number(&mut self) -> Result<&'a str, Fault> {
        self.space();
        let rest = self.rest();
        let length = rest
            .iter()
            .position(|byte| !matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'+' | b'-' | b'.'))
            .unwrap_or(rest.len());
        let number = rest.get(..length).and_then(|number| std::str::from_utf8(number).ok()).unwrap_or_default();
        if number.parse::<f64>().is_err() {
            return Err(self.fault("no json number"));
        }
        self.at += length;
        Ok(number)
    }

    pub(super) fn bool(&mut self) -> Result<bool, Fault> {
        self.space();
        if self.rest().starts_with(b"true") {
            return self.literal(b"true").map(|()| true);
        }
        self.literal(b"false").map(|()| false)
    }

    /// Goes past one value, however deep, and gives its text.
    pub(super) fn skip(&mut self) -> Result<&'a [u8], Fault> {
        self.space();
        let start = self.at;
        let mut open = Vec::new();
        loop {
            match self.peek()? {
                Next::Null => self.literal(b"null")?,
                Next::Bool => self.bool().map(drop)?,
                Next::Number => self.number().map(drop)?,
                Next::Text => self.raw_text().map(drop)?,
                Next::List => {
                    self.at += 1;
                    if !self.eat(b']') {
                        open.push(b']');
                        continue;
                    }
                }
                Next::Object => {
                    self.at += 1;
                    if !self.eat(b'}') {
                        open.push(b'}');
                        self.skip_key()?;
                        continue;
                    }
                }
            }
            loop {
                let Some(&close) = open.last() else {
                    return Ok(self.bytes.get(start..self.at).unwrap_or_default());
                };
                if self.eat(b',') {
                    if close == b'}' {
                        self.skip_key()?;
                    }
                    break;
                }
                self.expect(close, "expected , or the end of a list or object")?;
                open.pop();
            }
        }
    }

    /// Succeeds if nothing but white space is left.
    pub(super) fn end(&mut self) -> Result<(), Fault> {
        self.space();
        if self.at < self.bytes.len() { Err(self.fault("text after the json value")) } else { Ok(()) }
    }

    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.bytes.get(self.at) {
            self.at += 1;
        }
    }

    fn eat(&mut self, byte: u8) -> bool {
        self.space();
        let found = self.bytes.get(self.at) == Some(&byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8, what: &'static str) -> Result<(), Fault> {
        if self.eat(byte) {
            Ok(())
        } else if self.at >= self.bytes.len() {
            Err(self.fault("json ends too soon"))
        } else {
            Err(self.fault(what))
        }
    }

    fn literal(&mut self, literal: &'static [u8]) -> Result<(), Fault> {
        self.space();
        if !self.rest().starts_with(literal) {
            return Err(self.fault("no json value"));
        }
        self.at += literal.len();
        Ok(())
    }

    fn key(&mut self) -> Result<Cow<'a, str>, Fault> {
        self.space();
        let key = self.text()?;
        self.expect(b':', "expected : after a key")?;
        Ok(key)
    }

    fn skip_key(&mut self) -> Result<(), Fault> {
        self.space();
        self.raw_text()?;
        self.expect(b':', "expected : after a key")
    }

    /// The bytes between the quotes, and whether a backslash is among them.
    fn raw_text(&mut self) -> Result<(&'a [u8], bool), Fault> {
        self.expect(b'"', "expected a string")?;
        let rest = self.rest();
        let mut length = 0;
        let mut escaped = false;
        loop {
            let found = rest.get(length..).and_then(|tail| memchr2(b'"', b'\\', tail));
            let Some(found) = found else { return Err(self.fault("string without an end")) };
            length += found;
            if rest.get(length) == Some(&b'"') {
                break;
            }
            escaped = true;
            length += 2;
        }
        self.at += length + 1;
        Ok((rest.get(..length).unwrap_or_default(), escaped))
    }

    fn unescape(&mut self, raw: &[u8]) -> Result<Vec<u8>, Fault> {
        let mut out = Vec::with_capacity(raw.len());
        let mut rest = raw;
        while let Some(found) = memchr::memchr(b'\\', rest) {
            let (clean, tail) = rest.split_at(found);
            out.extend_from_slice(clean);
            let (&kind, tail) = match tail {
                [_, kind, tail @ ..] => (kind, tail),
                _ => return Err(self.fault("string ends in a backslash")),
            };
            rest = tail;
            match kind {
                b'"' | b'\\' | b'/' => out.push(kind),
                b'b' => out.push(8),
                b'f' => out.push(12),
                b'n' => out.push(b'\n'),
                b'r' => out.push(b'\r'),
                b't' => out.push(b'\t'),
                b'u' => {
                    let (unit, tail) = split_unit(rest).ok_or_else(|| self.fault("\\u without four hex digits"))?;
                    rest = tail;
                    let mut scalar = char::from_u32(unit);
                    if let 0xd800..0xdc00 = unit
                        && let Some((low @ 0xdc00..0xe000, tail)) = rest.strip_prefix(b"\\u").and_then(split_unit)
                    {
                        scalar = char::from_u32(0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00));
                        rest = tail;
                    }
                    if scalar.is_none() {
                        self.note(REPLACED);
                    }
                    let scalar = scalar.unwrap_or(char::REPLACEMENT_CHARACTER);
                    out.extend_from_slice(scalar.encode_utf8(&mut [0; 4]).as_bytes());
                }
                _ => return Err(self.fault("unknown escape in a string")),
            }
        }
        out.extend_from_slice(rest);
        Ok(out)
    }
}

fn split_unit(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (digits, tail) = bytes.split_first_chunk::<4>()?;
    let mut unit = 0;
    for digit in digits {
        unit = unit * 16 + char::from(*digit).to_digit(16)?;
    }
    Some((unit, tail))
}
