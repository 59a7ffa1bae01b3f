//! What logging SDKs and webhooks post, as [`Partial`]s: one file for each source, one function from a body to
//! [`Posted`].
//!
//! - The one failure is [`Malformed`]: the body as a whole is not what its route takes. The sender is told.
//! - A bad record within a good body becomes a record of kind DEAD with its reason and text, and never sinks its
//!   neighbours. The sender is answered success, for an error makes most of these clients throw the batch away.
//! - What a record says depends on nothing but itself and its body, so that a resend is recognised by content.
//!
//! | function | body | rows |
//! |---|---|---|
//! | [`insidellm()`] | an event, or a list of them | the 19 types of its client, verbatim |
//! | [`modelstat()`] | a batch | `usage.<kind>`, `tool.execution` |
//! | [`huggingplace()`] | an interaction | `chat.turn`, `graph.step`, `connection_test` |
//! | [`events`], [`object`] | lines, a list or one | `chat.completion`, `chat.message`, `chat.turn`, `graph.step`, ... |
//! | [`litellm()`] | a list, lines or one | `chat.completion`, `embedding`, ... |
//! | [`meta`], [`twilio`] | a notification, a form | `wa.message`, `wa.status` |
//!
//! What no column holds stands in `details` under the path that the event schema of these sources gives it; what is
//! not mapped at all in `attributes`.

mod body;
mod chat;
mod draft;
mod huggingplace;
mod insidellm;
mod litellm;
pub mod markers;
pub mod modelstat;
mod row;
mod stackifier;
mod whatsapp;

#[cfg(test)]
mod tests;

use crate::event::Dead;
use crate::event::Kind;
use crate::event::Partial;
use serde::Deserialize;

pub use huggingplace::huggingplace;
pub use insidellm::insidellm;
pub(in crate::dialect) use litellm::headers_without_secrets;
pub(in crate::dialect) use litellm::is_hash;
pub use litellm::litellm;
pub(in crate::dialect) use litellm::requester_conversation;
pub use modelstat::modelstat;
pub use stackifier::events;
pub use stackifier::object;
pub use whatsapp::meta;
pub use whatsapp::twilio;

/// The fields of a form in the order sent.
pub fn form(body: &[u8]) -> Vec<(String, String)> {
    body::form(&body::text(body))
}

/// How posted bodies are read.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Providers whose models write tool calls as text between markers: where one of these words is a part of the
    /// name of provider or model, such text is read as calls.
    pub text_markers: Vec<String>,
    /// What a bare number means in `response_time` of HuggingPlace's client.
    pub huggingplace_times: TimeUnit,
}

impl Default for Config {
    fn default() -> Self {
        Self { text_markers: vec!["stackspot".to_owned()], huggingplace_times: TimeUnit::Seconds }
    }
}

/// The unit of a bare number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TimeUnit {
    /// Seconds.
    #[default]
    Seconds,
    /// Milliseconds.
    Milliseconds,
}

/// What a body holds.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Posted {
    /// Each record and its place in the body.
    pub records: Vec<(u32, Partial)>,
    /// Notifications that tell nothing of a conversation. They are counted, not kept.
    pub ignored: u32,
    /// The body of the answer, once the records are durable: JSON, or empty.
    pub answer: String,
}

impl Posted {
    /// How many records are rows in the making.
    pub fn accepted(&self) -> usize {
        self.records.len() - self.rejected()
    }

    /// How many records could not be mapped.
    pub fn rejected(&self) -> usize {
        self.records.iter().filter(|(_, record)| record.kind() == Kind::Dead).count()
    }

    fn push(&mut self, record: Partial) {
        let place = u32::try_from(self.records.len()).unwrap_or(u32::MAX);
        self.records.push((place, record));
    }

    /// Takes what became of one record.
    fn take(&mut self, read: Result<Partial, Bad>) {
        match read {
            Ok(record) => self.push(record),
            Err(Bad { reason, text }) => {
                self.push(Partial { kind: Kind::Dead.into(), dead: Some(Dead { reason, text }), ..Partial::default() });
            }
        }
    }

    /// Answers with the counts. Resends are told by the fold, later: `duplicates` is always 0.
    fn count(mut self) -> Self {
        let (accepted, rejected) = (self.accepted(), self.rejected());
        self.answer = format!("{{\"status\":\"ok\",\"accepted\":{accepted},\"duplicates\":0,\"rejected\":{rejected}}}");
        self
    }
}

/// Why a body is refused as a whole. Its words are for the sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// There is nothing.
    #[error("the body is empty")]
    Empty,
    /// It is no JSON, or ends early.
    #[error("the body is not json")]
    NotJson,
    /// It is JSON of another shape.
    #[error("the body is {0}")]
    Shape(&'static str),
}

/// A record that cannot be mapped.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Bad {
    reason: String,
    text: String,
}

impl Bad {
    fn new(reason: impl Into<String>, text: impl Into<String>) -> Self {
        Self { reason: reason.into(), text: text.into() }
    }
}
