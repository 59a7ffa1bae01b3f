//! How much is kept of what was said: cuts, hashes or leaves out texts of redacted records.
//!
//! | policy | messages, reasoning, arguments, results | other texts |
//! |---|---|---|
//! | `excerpt` | each string cut after 320 characters, with `…` | the same |
//! | `hash` | keyed hash; of arguments, hashes and sizes in `details.tool_hashes` | keyed hash, where said |
//! | `none` | absent | `[REDACTED:content]`, where said |
//!
//! Texts elsewhere count as said if they are longer than 64 characters or stand under a name such as `content` or
//! `user_prompt`; so does all that stands in arguments, results and replies as a client sent them (`details.payload`).
//! Envelopes (resource attributes) are left alone.

use super::config::Content;
use super::fields;
use super::fields::Field;
use super::json;
use super::json::Place;
use super::key::Key;
use super::key::hex;
use super::key::is_identity;
use super::rule::is_mark;
use super::rule::mark;
use crate::event::Entry;
use crate::event::Event;
use crate::event::Message;
use crate::event::Partial;
use crate::event::ToolExecution;
use crate::event::json::object;
use crate::event::json::push_string;
use crate::event::json::string;
use serde::de::IgnoredAny;
use sha2::Digest as _;
use sha2::Sha256;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Characters of an excerpt.
const EXCERPT: usize = 320;
/// Longer texts count as said.
const SHORT: usize = 64;
/// Stands in marks and in `redaction.counts`.
pub(super) const NAME: &str = "content";
/// The entry of `details` that tells what arguments were.
const TOOL_HASHES: &str = "tool_hashes";

/// Last words of names under which something said stands.
const SAID: [&str; 30] = [
    "address",
    "answer",
    "arguments",
    "body",
    "caption",
    "choices",
    "completion",
    "content",
    "contents",
    "document",
    "documents",
    "input",
    "inputs",
    "message",
    "messages",
    "output",
    "outputs",
    "prompt",
    "query",
    "question",
    "reasoning",
    "response",
    "result",
    "steps",
    "summary",
    "text",
    "thinking",
    "title",
    "transcript",
    "value",
];

/// Names under which whatever stands is an argument, a result or a message, as clients send them.
const WHOLE: [&str; 18] = [
    "args",
    "arguments",
    "button",
    "contacts",
    "failed_data",
    "function_args",
    "initial_context",
    "interactive",
    "kwargs",
    "location",
    "order",
    "parameters",
    "reply",
    "request_data",
    "response_data",
    "result_data",
    "return_value",
    "tool_input",
];

/// Entries of `details` in which they do.
const SENT: [&str; 5] = ["api_call", "payload", "plan", "session", "wa_meta"];

/// Applies the policy to a redacted record. Gives the number of texts that it changed.
pub(super) fn apply(content: Content, key: &Key, partial: &mut Partial) -> u32 {
    let mut keep = Keep { content, key, count: 0 };
    match content {
        Content::Full => return 0,
        Content::Excerpt => {}
        Content::Hash | Content::None => {
            let hashes = partial.row.as_mut().map(|row| keep.row(row)).unwrap_or_default();
            if content == Content::Hash && !hashes.is_empty() {
                let json = format!("[{}]", hashes.join(","));
                partial.details.push(Entry { key: TOOL_HASHES.to_owned(), json });
            }
            if let Some(dead) = &mut partial.dead {
                keep.said(&mut dead.text);
            }
        }
    }
    fields::partial(partial, &mut |field, text| keep.field(field, text));
    keep.count
}

/// A policy at work on a record.
struct Keep<'k> {
    content: Content,
    key: &'k Key,
    count: u32,
}

impl Keep<'_> {
    /// Takes what was said out of a row. Gives what is told of the arguments of tools.
    fn row(&mut self, row: &mut Event) -> Vec<String> {
        let mut hashes = Vec::new();
        for Message { content, content_parts, reasoning, tool_calls, .. } in &mut row.messages {
            self.option(content);
            self.option(reasoning);
            self.remove(content_parts);
            for call in tool_calls {
                hashes.extend(call.arguments.as_deref().map(|text| arguments(call.id.as_deref(), &call.name, text)));
                self.remove(&mut call.arguments);
            }
        }
        for ToolExecution { call_id, name, arguments: sent, result, error, .. } in &mut row.tool_executions {
            hashes.extend(sent.as_deref().map(|text| arguments(call_id.as_deref(), name, text)));
            self.remove(sent);
            self.option(error);
            match (self.content, &result) {
                (Content::Hash, Some(json)) if !is_kept(json.trim_matches('"')) => {
                    let hash = string(&self.key.identity(json));
                    self.count += 1;
                    *result = Some(hash);
                }
                (Content::Hash, _) => {}
                _ => self.remove(result),
            }
        }
        hashes
    }

    fn option(&mut self, text: &mut Option<String>) {
        match (self.content, text) {
            (Content::Hash, Some(text)) => self.said(text),
            (_, text) => self.remove(text),
        }
    }

    fn remove(&mut self, text: &mut Option<String>) {
        if text.take().is_some() {
            self.count += 1;
        }
    }

    fn said(&mut self, text: &mut String) {
        if let Some(new) = self.instead(text) {
            *text = new;
        }
    }

    /// What takes the place of something said.
    fn instead(&mut self, text: &str) -> Option<String> {
        if text.is_empty() || is_kept(text) {
            return None;
        }
        self.count += 1;
        Some(if self.content == Content::Hash { self.key.identity(text) } else { mark(NAME) })
    }

    fn field(&mut self, field: Field<'_>, text: &mut String) {
        let new = match field {
            Field::Identity | Field::Number | Field::Name => None,
            Field::Json(Some(TOOL_HASHES)) => None,
            Field::Text => self.token(None, text),
            Field::Tag(name) => self.token(Some(name), text),
            Field::Json(name) => {
                let under = name.filter(|name| is_said(name));
                let is_sent = name.is_some_and(|name| SENT.contains(&name)) && self.content != Content::Excerpt;
                let is_whole = |name: Option<&str>| is_sent && name.is_some_and(|name| WHOLE.contains(&name));
                json::rewrite(text, name, &mut |place, text| match place {
                    Place::Value(name) if is_whole(name) => self.instead(text),
                    Place::Value(name) => self.token(under.or(name), text),
                    Place::Nest(name) if is_whole(name) => {
                        self.count += 1;
                        Some(mark(NAME))
                    }
                    Place::Key | Place::Number(_) | Place::Nest(_) => None,
                })
                .unwrap_or_else(|_| self.token(None, text))
            }
        };
        if let Some(new) = new {
            *text = new;
        }
    }

    fn token(&mut self, name: Option<&str>, text: &str) -> Option<String> {
        match self.content {
            Content::Full => None,
            Content::Excerpt => {
                let (end, _) = text.char_indices().nth(EXCERPT)?;
                let excerpt = format!("{}…", text.get(..end)?);
                (excerpt != text).then(|| {
                    self.count += 1;
                    excerpt
                })
            }
            Content::Hash | Content::None => {
                let is_long = text.char_indices().nth(SHORT).is_some();
                if is_long || name.is_some_and(is_said) { self.instead(text) } else { None }
            }
        }
    }
}

/// Whether a text is what this policy leaves.
fn is_kept(text: &str) -> bool {
    is_identity(text) || is_mark(text)
}

/// Whether the last word of a name is one of [`SAID`]: `input.value`, `user_prompt`, `aiResponse`, `PROMPT`.
fn is_said(name: &str) -> bool {
    let last = name.rsplit(['.', ':', '/', '_', '-', ' ']).next().unwrap_or(name);
    let is_camel = last.contains(|c: char| c.is_ascii_lowercase());
    let word = last.rfind(|c: char| c.is_ascii_uppercase()).filter(|_| is_camel).and_then(|at| last.get(at..));
    let is = |word: &str| SAID.iter().any(|said| word.eq_ignore_ascii_case(said));
    is(last) || word.is_some_and(is)
}

/// What is told of the arguments of one call: as the modelstat SDK for Python tells it, so that both can be joined.
fn arguments(call_id: Option<&str>, name: &str, text: &str) -> String {
    let is_json = serde_json::from_str::<IgnoredAny>(text).is_ok();
    let compact = if is_json { compact(text) } else { compact(&string(text)) };
    let names = serde_json::from_str::<BTreeMap<String, IgnoredAny>>(text);
    let signature =
        names.map_or_else(|_| "none".to_owned(), |names| sha256(&names.into_keys().collect::<Vec<_>>().join(",")));
    let id = call_id.map(string);
    let (name, hash, signature, bytes) =
        (string(name), string(&sha256(&compact)), string(&signature), compact.len().to_string());
    let told = [("name", &name), ("args_hash", &hash), ("signature_hash", &signature), ("args_bytes", &bytes)];
    let told = id.iter().map(|id| ("call_id", id)).chain(told);
    object(told.map(|(key, json)| (key, json.as_str())))
}

fn sha256(text: &str) -> String {
    hex(Sha256::digest(text.as_bytes()).iter())
}

/// JSON without white space, with every character outside printable ASCII escaped.
fn compact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(quote) = rest.find('"') {
        out.extend(rest.get(..quote).unwrap_or_default().split_ascii_whitespace());
        let inside = rest.get(quote + 1..).unwrap_or_default();
        let (len, _) = json::string_len(inside).unwrap_or((inside.len(), false));
        let mut quoted = String::new();
        push_string(&mut quoted, &json::decode(inside.get(..len).unwrap_or_default()));
        push_ascii(&mut out, &quoted);
        rest = inside.get(len + 1..).unwrap_or_default();
    }
    out.extend(rest.split_ascii_whitespace());
    out
}

fn push_ascii(out: &mut String, quoted: &str) {
    let mut rest = quoted.chars().peekable();
    while let Some(char) = rest.next() {
        if matches!(char, ' '..='~') {
            out.push(char);
            // Python has shorter escapes for these two.
            if char == '\\' && rest.next_if_eq(&'u').is_some() {
                let digits: String = rest.by_ref().take(4).collect();
                match digits.as_str() {
                    "0008" => out.push('b'),
                    "000c" => out.push('f'),
                    _ => out.extend(['u'].into_iter().chain(digits.chars())),
                }
            } else if char == '\\' {
                out.extend(rest.next());
            }
            continue;
        }
        for unit in char.encode_utf16(&mut [0; 2]) {
            // A String grows, so writing cannot fail.
            let _ = write!(out, "\\u{unit:04x}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_told_as_the_python_sdk_tells_them() {
        let lisbon = "1fcd654fd2f59fd6bc7421aef8e091316d7e10df5c14be36a25d3fb3da5da595";
        let nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        for (text, hash, signature, bytes) in [
            (
                "{ \"city\": \"Lisbon\",\n \"units\": \"metric\" }",
                "f5d2ab550502ac586fc9850a1328cd901ce7a78cdeebace8e4c2442cf072240c",
                lisbon,
                34,
            ),
            (
                "{\"units\":\"metric\",\"city\":\"Lisbon\"}",
                "dc7bf90f95b788a92cea6bf7170b56dce0cb17705f97554d2df017267a58e105",
                lisbon,
                34,
            ),
            (
                "{\"city\":\"São Paulo\"}",
                "994104c5ff665e26064568f187ddb34d4884ff22afdc84e8a329c612e1293028",
                "11a62c23412b77477a71481aa2dc7323bcc61d076c8449076c4c58a8356c1bb1",
                25,
            ),
            ("[\"ls\", \"-la\"]", "f77a57d61be9280480eba9e49f789995d6817c07cea996b4c77cf7b956c41304", "none", 12),
            ("str", "72495b0e1f3c6c961f46d3f249ce968ac758c43b88e50d32aa138681f8a38804", "none", 5),
            ("{}", "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", nothing, 2),
        ] {
            let told: serde_json::Value = serde_json::from_str(&arguments(None, "f", text)).unwrap();
            let expected =
                serde_json::json!({"name": "f", "args_hash": hash, "signature_hash": signature, "args_bytes": bytes});
            assert_eq!(told, expected, "{text}");
        }
    }

    #[test]
    fn compact_json_is_what_python_writes() {
        let text = "{ \"a\\u0008\\f\\n\\/\\\\u0008\" : [ 1.50 , true,\"\u{7f}😀\\ud83d\\ude00\" ] }";
        assert_eq!(compact(text), r#"{"a\b\f\n/\\u0008":[1.50,true,"\u007f\ud83d\ude00\ud83d\ude00"]}"#);
    }
}
