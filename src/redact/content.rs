//! How much is kept of what was said: cuts, hashes or leaves out texts of redacted records.
//!
//! | policy | messages, reasoning, arguments, results | other texts |
//! |---|---|---|
//! | `excerpt` | each string cut after 320 characters, with `…` | the same |
//! | `hash` | keyed hash; of arguments, hashes and sizes in `details.tool_hashes` | keyed hash |
//! | `none` | absent | `[REDACTED:content]` |
//!
//! `hash` and `none` take every text that nothing says to be metadata: failures and stack traces quote what was said,
//! and nobody knows what stands in attributes that no mapping knows. What stays:
//!
//! | where | what stays |
//! |---|---|
//! | ids of events, conversations, runs, calls, responses, people | all: they tell one from another |
//! | names, kinds, models, providers, states, roles, reasons, nodes, tags, service, environment | labels: at most 64 characters and four words, no sentence |
//! | JSON: tools, parameters, feedback, metadata, details, attributes, resource, links | numbers, truths, times; one word under a name whose last word is one of `words`; addresses up to `?` |
//! | names of fields | one word, or a label |
//!
//! Within objects that no mapping knows names do not count: `name` may be an argument. What arguments and results are
//! made of goes as a whole, numbers too.

mod hashes;
mod words;

use super::config::Content;
use super::fields;
use super::fields::Field;
use super::json;
use super::json::Place;
use super::key::Key;
use super::key::is_identity;
use super::mark::is_mark;
use super::mark::mark;
use crate::event::Entry;
use crate::event::Envelope;
use crate::event::Event;
use crate::event::Message;
use crate::event::NOT_A_TIME;
use crate::event::Partial;
use crate::event::ToolExecution;
use crate::event::json::string;
use hashes::arguments;

/// Characters of an excerpt.
const EXCERPT: usize = 320;
/// Stands in marks and in `redaction.counts`.
pub(super) const NAME: &str = "content";
/// The entry of `details` that tells what arguments were.
const TOOL_HASHES: &str = "tool_hashes";

/// Entries of `details` that hold what clients sent, under their names.
const SENT: [&str; 5] = ["api_call", "payload", "plan", "session", "wa_meta"];

/// Applies the policy to a redacted record. Gives the number of texts that it changed.
pub(super) fn apply(content: Content, key: &Key, partial: &mut Partial) -> u32 {
    let mut keep = Keep { content, key, count: 0 };
    if content == Content::Full {
        return 0;
    }
    let takes = content != Content::Excerpt;
    let hashes = partial.row.as_mut().filter(|_| takes).map(|row| keep.row(row)).unwrap_or_default();
    fields::partial(partial, &mut |field, text| keep.field(field, text));
    // Last, so that nothing else passes under this name.
    if content == Content::Hash && !hashes.is_empty() {
        let json = format!("[{}]", hashes.join(","));
        partial.details.push(Entry { key: TOOL_HASHES.to_owned(), json });
    }
    keep.count
}

/// Cuts a text that was put together of cut ones. Gives the number of texts that it changed.
pub(super) fn cut(content: Content, key: &Key, text: &mut String) -> u32 {
    let mut keep = Keep { content, key, count: 0 };
    if content == Content::Excerpt {
        keep.field(Field::Text, text);
    }
    keep.count
}

/// Applies the policy to a redacted envelope. Gives the number of texts that it changed.
pub(super) fn apply_to_envelope(content: Content, key: &Key, envelope: &mut Envelope) -> u32 {
    let mut keep = Keep { content, key, count: 0 };
    if content != Content::Full {
        fields::envelope(envelope, &mut |field, text| keep.field(field, text));
    }
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
                self.label(&mut call.name);
                hashes.extend(call.arguments.as_deref().map(|text| arguments(call.id.as_deref(), &call.name, text)));
                self.remove(&mut call.arguments);
            }
        }
        for ToolExecution { call_id, name, arguments: sent, result, error, .. } in &mut row.tool_executions {
            self.label(name);
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

    fn label(&mut self, text: &mut String) {
        if !words::is_label(text) {
            self.said(text);
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
        if let Some(new) =
            if self.content == Content::Excerpt { self.cut(field, text) } else { self.taken(field, text) }
        {
            *text = new;
        }
    }

    /// What is left of a text under `excerpt`, where that is less.
    fn cut(&mut self, field: Field<'_>, text: &str) -> Option<String> {
        match field {
            Field::Identity | Field::Number | Field::Name => None,
            Field::Text | Field::Label | Field::Path | Field::Own | Field::Tag(_) => self.excerpt(text),
            Field::Json(name) | Field::Definitions(name) => json::rewrite(text, name, &mut |place, text| match place {
                Place::Value(_) => self.excerpt(text),
                Place::Key | Place::Number(_) | Place::Nest(..) => None,
            })
            .unwrap_or_else(|_| self.excerpt(text)),
        }
    }

    fn excerpt(&mut self, text: &str) -> Option<String> {
        let (end, _) = text.char_indices().nth(EXCERPT)?;
        let excerpt = format!("{}…", text.get(..end)?);
        (excerpt != text).then(|| {
            self.count += 1;
            excerpt
        })
    }

    /// What takes the place of a text under `hash` and `none`, where it is not metadata.
    fn taken(&mut self, field: Field<'_>, text: &str) -> Option<String> {
        match field {
            Field::Identity | Field::Number => None,
            Field::Text => self.instead(text),
            Field::Label | Field::Tag(_) => self.unless(words::is_label(text), text),
            Field::Path => self.unless(words::is_path(text), text),
            Field::Name => self.unless(words::is_name(text), text),
            Field::Own => {
                let quoted = self.instead(text.strip_prefix(NOT_A_TIME)?)?;
                Some(format!("{NOT_A_TIME}{quoted}"))
            }
            Field::Json(name) => {
                let is_sent = name.is_some_and(|name| SENT.contains(&name));
                let is_whole = |name: &str| words::is_whole(name, is_sent);
                self.json(text, name, &is_whole, &words::is_open)
            }
            Field::Definitions(name) => self.json(text, name, &|_| false, &words::is_defined),
        }
    }

    fn json(
        &mut self,
        text: &str,
        name: Option<&str>,
        is_whole: &dyn Fn(&str) -> bool,
        is_open: &dyn Fn(&str, bool) -> bool,
    ) -> Option<String> {
        let rewritten = json::rewrite_within(text, name, is_open, &mut |place, text| match place {
            Place::Value(name) if name.is_some_and(is_whole) => self.instead(text),
            Place::Value(name) => self.unless_metadata(name, text),
            Place::Number(name) if name.is_some_and(|name| is_whole(name) && words::is_whole_number(name)) => {
                self.instead(text)
            }
            Place::Nest(name, is_empty) if !is_empty && name.is_some_and(is_whole) => {
                self.count += 1;
                Some(mark(NAME))
            }
            Place::Key => self.unless(words::is_name(text), text),
            Place::Number(_) | Place::Nest(..) => None,
        });
        rewritten.unwrap_or_else(|_| self.unless_metadata(name, text))
    }

    fn unless(&mut self, is_metadata: bool, text: &str) -> Option<String> {
        if is_metadata { None } else { self.instead(text) }
    }

    fn unless_metadata(&mut self, name: Option<&str>, text: &str) -> Option<String> {
        match words::kept(name, text) {
            None => self.instead(text),
            Some(kept) if kept.len() < text.len() => {
                self.count += 1;
                Some(kept.to_owned())
            }
            Some(_) => None,
        }
    }
}

/// Whether a text is what this policy leaves.
fn is_kept(text: &str) -> bool {
    is_identity(text) || is_mark(text)
}
