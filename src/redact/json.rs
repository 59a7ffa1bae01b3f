//! Rewrites the strings of a JSON text where they stand; everything between them is copied as it is.
//!
//! It reads leniently, for it only has to find the strings: raw control characters, `NaN` and odd numbers pass. Several
//! documents may follow each other (JSON lines), and the text may be cut off anywhere.

pub(super) mod escape;

use crate::event::json::push_string;
use escape::decode;
use memchr::memchr2;
use std::borrow::Cow;

/// Deeper nesting is taken for no JSON: other readers refuse it too, and memory stays bounded.
const DEEPEST: usize = 1024;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place<'a> {
    /// The key of an object's entry.
    Key,
    /// A string, with the key that it stands under, itself or in arrays.
    Value(Option<&'a str>),
    /// A number, with its key.
    Number(Option<&'a str>),
    /// A whole object or array that begins, with its key, and whether there is nothing in it; the text is empty. If it
    /// is replaced, what is in it is not asked for.
    Nest(Option<&'a str>, bool),
}

/// The text is no JSON.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotJson;

/// What [`rewrite`] asks of each token: the new text, or None where it may stay. What replaces something else than a
/// string is a string too.
pub(super) type Act<'f> = dyn FnMut(Place<'_>, &str) -> Option<String> + 'f;

/// Gives the text with its tokens as `act` wants them, or None where all stay. `under` is the key of the whole text.
pub(super) fn rewrite(text: &str, under: Option<&str>, act: &mut Act<'_>) -> Result<Option<String>, NotJson> {
    rewrite_within(text, under, &|_, _| true, act)
}

/// The same, where names count only in objects and arrays that are open, to judge by their own key and by whether they
/// are objects: what stands in others, however deep, has no key as far as strings are concerned.
pub(super) fn rewrite_within(
    text: &str,
    under: Option<&str>,
    is_open: &dyn Fn(&str, bool) -> bool,
    act: &mut Act<'_>,
) -> Result<Option<String>, NotJson> {
    Walk { text, under, at: 0, copied: 0, out: None, stack: Vec::new(), nest: None, is_open, act }.run()
}

/// Whether a text may be a JSON object, array or string.
pub(super) fn looks_like(text: &str) -> bool {
    text.bytes().find(|byte| !is_space(*byte)).is_some_and(|byte| matches!(byte, b'{' | b'[' | b'"'))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    Value,
    ValueOrEnd,
    Key,
    KeyOrEnd,
    Colon,
    CommaOrEnd,
    Done,
}

/// An open object or array.
struct Frame<'t> {
    is_object: bool,
    /// Whether names in it count.
    is_open: bool,
    /// Of the entry at hand; of an array, the key that it stands under.
    key: Option<Cow<'t, str>>,
    /// Keys that hold a mark: two of them are kept apart.
    marked: Vec<String>,
}

/// A nest that is being replaced.
struct Nest {
    start: usize,
    /// How many are open around it.
    depth: usize,
    new: String,
}

struct Walk<'t, 'a, 'f> {
    text: &'t str,
    under: Option<&'t str>,
    at: usize,
    /// What of the text is in `out`.
    copied: usize,
    out: Option<String>,
    stack: Vec<Frame<'t>>,
    nest: Option<Nest>,
    is_open: &'a dyn Fn(&str, bool) -> bool,
    act: &'a mut Act<'f>,
}

impl<'t> Walk<'t, '_, '_> {
    fn run(mut self) -> Result<Option<String>, NotJson> {
        let mut expect = Expect::Value;
        loop {
            let rest = self.rest();
            self.at += rest.bytes().take_while(|byte| is_space(*byte)).count();
            let Some(byte) = self.text.as_bytes().get(self.at).copied() else { break };
            expect = match (expect, byte) {
                (Expect::Value | Expect::ValueOrEnd, b'"') => {
                    self.string(false)?;
                    self.after_value()
                }
                (Expect::Key | Expect::KeyOrEnd, b'"') => {
                    self.string(true)?;
                    Expect::Colon
                }
                (Expect::Value | Expect::ValueOrEnd | Expect::Done, b'{' | b'[') => self.open(byte == b'{')?,
                (Expect::ValueOrEnd | Expect::CommaOrEnd, b']') => self.close(false)?,
                (Expect::KeyOrEnd | Expect::CommaOrEnd, b'}') => self.close(true)?,
                (Expect::Colon, b':') => self.step(Expect::Value),
                (Expect::CommaOrEnd, b',') => {
                    let is_object = self.stack.last().is_some_and(|frame| frame.is_object);
                    self.step(if is_object { Expect::Key } else { Expect::Value })
                }
                (Expect::Value | Expect::ValueOrEnd, _) => {
                    self.scalar()?;
                    self.after_value()
                }
                _ => return Err(NotJson),
            };
        }
        self.end_nest(0);
        Ok(self.out.map(|mut out| {
            out.push_str(self.text.get(self.copied..).unwrap_or_default());
            out
        }))
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn step(&mut self, next: Expect) -> Expect {
        self.at += 1;
        next
    }

    fn after_value(&self) -> Expect {
        if self.stack.is_empty() { Expect::Done } else { Expect::CommaOrEnd }
    }

    fn open(&mut self, is_object: bool) -> Result<Expect, NotJson> {
        if self.stack.len() >= DEEPEST {
            return Err(NotJson);
        }
        let key = self.key();
        let inside = self.text.get(self.at + 1..).unwrap_or_default();
        let is_empty = inside.bytes().find(|byte| !is_space(*byte)).is_none_or(|byte| matches!(byte, b'}' | b']'));
        if self.nest.is_none()
            && let Some(new) = (self.act)(Place::Nest(key.as_deref(), is_empty), "")
        {
            self.nest = Some(Nest { start: self.at, depth: self.stack.len(), new });
        }
        let is_open = self.stack.last().is_none_or(|frame| frame.is_open)
            && key.as_deref().is_none_or(|key| (self.is_open)(key, is_object));
        let key = key.filter(|_| !is_object);
        self.stack.push(Frame { is_object, is_open, key, marked: Vec::new() });
        Ok(self.step(if is_object { Expect::KeyOrEnd } else { Expect::ValueOrEnd }))
    }

    fn close(&mut self, is_object: bool) -> Result<Expect, NotJson> {
        if self.stack.pop().is_none_or(|frame| frame.is_object != is_object) {
            return Err(NotJson);
        }
        self.at += 1;
        self.end_nest(self.stack.len());
        Ok(self.after_value())
    }

    /// Ends the nest at hand where `depth` are open now and it began no deeper.
    fn end_nest(&mut self, depth: usize) {
        if let Some(nest) = self.nest.take_if(|nest| nest.depth >= depth) {
            let end = std::mem::replace(&mut self.at, nest.start);
            self.replace(end, &nest.new);
            self.at = end;
        }
    }

    fn key(&self) -> Option<Cow<'t, str>> {
        match self.stack.last() {
            Some(frame) => frame.key.clone(),
            None => self.under.map(Cow::Borrowed),
        }
    }

    /// A string from its opening quote on.
    fn string(&mut self, is_key: bool) -> Result<(), NotJson> {
        let start = self.at + 1;
        let inside = self.text.get(start..).unwrap_or_default();
        let (len, closed) = string_len(inside)?;
        let raw = inside.get(..len).unwrap_or_default();
        let end = start + len + usize::from(closed);
        let text = decode(raw);
        let new = if self.nest.is_some() {
            None
        } else if is_key {
            self.object_key(&text)
        } else {
            let key = self.key().filter(|_| self.stack.last().is_none_or(|frame| frame.is_open));
            (self.act)(Place::Value(key.as_deref()), &text)
        };
        if let Some(new) = new {
            self.replace(end, &new);
            if !closed && let Some(out) = &mut self.out {
                out.pop();
            }
        }
        if is_key && let Some(frame) = self.stack.last_mut() {
            frame.key = Some(text);
        }
        self.at = end;
        Ok(())
    }

    /// A new key, apart from the marked ones before it.
    fn object_key(&mut self, text: &str) -> Option<String> {
        let new = (self.act)(Place::Key, text);
        let frame = self.stack.last_mut()?;
        let name = new.as_deref().unwrap_or(text);
        if !name.contains('[') {
            return new;
        }
        let name = if new.is_some() {
            apart(name, |taken| frame.marked.iter().any(|one| one == taken))
        } else {
            name.to_owned()
        };
        frame.marked.push(name.clone());
        new.map(|_| name)
    }

    /// A number or a literal.
    fn scalar(&mut self) -> Result<(), NotJson> {
        let rest = self.rest();
        let len =
            rest.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.')).count();
        let scalar = rest.get(..len).unwrap_or_default();
        let is_number = scalar.trim_start_matches('-').starts_with(|first: char| first.is_ascii_digit())
            && scalar.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'));
        let is_cut = len == rest.len() && !scalar.is_empty() && !self.stack.is_empty();
        let literals = ["true", "false", "null", "NaN", "Infinity", "-Infinity", "-"];
        if !is_number && !literals.iter().any(|literal| *literal == scalar || is_cut && literal.starts_with(scalar)) {
            return Err(NotJson);
        }
        let end = self.at + len;
        if is_number && self.nest.is_none() {
            let key = self.key();
            if let Some(new) = (self.act)(Place::Number(key.as_deref()), scalar) {
                self.replace(end, &new);
            }
        }
        self.at = end;
        Ok(())
    }

    /// Puts a string in place of the token from `at` to `end`.
    fn replace(&mut self, end: usize, new: &str) {
        let out = self.out.get_or_insert_with(|| String::with_capacity(self.text.len() + new.len()));
        out.push_str(self.text.get(self.copied..self.at).unwrap_or_default());
        push_string(out, new);
        self.copied = end;
    }
}

/// `name`, or `name#2` and so on where that is taken.
pub(super) fn apart(name: &str, is_taken: impl Fn(&str) -> bool) -> String {
    if !is_taken(name) {
        return name.to_owned();
    }
    (2_u64..).map(|number| format!("{name}#{number}")).find(|name| !is_taken(name)).unwrap_or_default()
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// The length of a string's inside, and whether its closing quote follows.
pub(super) fn string_len(inside: &str) -> Result<(usize, bool), NotJson> {
    let bytes = inside.as_bytes();
    let mut at = 0;
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        at += found;
        if bytes.get(at) == Some(&b'"') {
            return Ok((at, true));
        }
        let Some(letter) = bytes.get(at + 1) else { break };
        at += match letter {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => 2,
            b'u' => {
                let digits = bytes.get(at + 2..).unwrap_or_default();
                let digits = digits.get(..digits.len().min(4)).unwrap_or_default();
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return Err(NotJson);
                }
                2 + digits.len()
            }
            _ => return Err(NotJson),
        };
    }
    Ok((inside.len(), false))
}
