//! One message while its parts are read.

use super::Said;
use super::Told;
use super::parts::text_json;
use crate::dialect::value;
use crate::event::Message;
use crate::event::ToolCall;
use std::borrow::Cow;

/// A part of the content: a text, or a content part's JSON.
pub(super) enum Content {
    Text(String),
    Json(String),
}

/// A tool's answer that stood among the parts.
pub(super) struct Answer {
    pub call_id: Option<String>,
    pub name: Option<String>,
    pub content: Option<String>,
    pub content_parts: Option<String>,
}

pub(super) struct Builder {
    pub role: &'static str,
    pub name: Option<String>,
    /// Of a tool's message: the call that it answers.
    pub answers: Option<String>,
    pub content: Vec<Content>,
    pub reasoning: Vec<String>,
    pub calls: Vec<ToolCall>,
    pub results: Vec<Answer>,
    pub choice: Option<i64>,
    pub reason: Option<String>,
    /// Whether it is written that it has no finish reason.
    pub open: bool,
    pub withheld: bool,
    pub lossy: bool,
    /// It was a tool's schema.
    pub disguised: bool,
    /// A block stood as text in it, which may be told once more as what it is.
    pub written: bool,
}

impl Builder {
    pub(super) fn new(role: &'static str) -> Self {
        Self {
            role,
            name: None,
            answers: None,
            content: Vec::new(),
            reasoning: Vec::new(),
            calls: Vec::new(),
            results: Vec::new(),
            choice: None,
            reason: None,
            open: false,
            withheld: false,
            lossy: false,
            disguised: false,
            written: false,
        }
    }

    /// Whether a text was said, or a tool answered.
    pub(super) fn has_text(&self) -> bool {
        !self.results.is_empty() || self.content.iter().any(|content| matches!(content, Content::Text(_)))
    }

    pub(super) fn text<'t>(&mut self, text: impl Into<Cow<'t, str>>) {
        let text = text.into();
        if value::is_withheld(&text) {
            self.withheld = true;
        } else {
            self.content.push(Content::Text(text.into_owned()));
        }
    }

    pub(super) fn json(&mut self, part: String) {
        self.content.push(Content::Json(part));
    }

    /// Adds the messages that it makes: tools' answers each on its own.
    pub(super) fn finish(mut self, told: &mut Told) {
        told.withheld |= self.withheld;
        told.lossy |= self.withheld || self.lossy;
        if self.disguised {
            return;
        }
        let had_results = !self.results.is_empty();
        for result in self.results.drain(..) {
            let message = Message {
                role: "tool".to_owned(),
                content: result.content,
                content_parts: result.content_parts,
                name: result.name,
                tool_call_id: result.call_id,
                ..Message::default()
            };
            told.said.push(Said { message, choice: None, reason: None, open: false });
        }
        // A tool's message that holds a call is the assistant's.
        let role = if self.role == "tool" && !self.calls.is_empty() { "assistant" } else { self.role };
        let (content, content_parts) = content_of(self.content);
        let silent = content.as_deref().is_none_or(str::is_empty) && content_parts.is_none();
        let nothing = self.calls.is_empty() && self.reasoning.is_empty() && self.answers.is_none();
        if silent && nothing && (had_results || (content.is_none() && self.reason.is_none() && !self.withheld)) {
            told.lossy |= !had_results;
            return;
        }
        let message = Message {
            role: role.to_owned(),
            content: if silent && !self.calls.is_empty() { None } else { content },
            content_parts,
            reasoning: (!self.reasoning.is_empty()).then(|| self.reasoning.join("\n")),
            name: self.name,
            tool_call_id: if role == "tool" { self.answers } else { None },
            tool_calls: self.calls,
            finish_reason: self.reason.as_deref().and_then(value::finish_reason).map(|reason| reason.into_owned()),
        };
        told.said.push(Said { message, choice: self.choice, reason: self.reason, open: self.open });
    }
}

/// The text of all parts, and the parts themselves where they are more than one plain text.
pub(super) fn content_of(mut content: Vec<Content>) -> (Option<String>, Option<String>) {
    // A stream that begins with no text and goes on with another part.
    let is_empty = |content: &Content| matches!(content, Content::Text(text) if text.is_empty());
    if content.len() > 1 && !content.iter().all(is_empty) {
        content.retain(|content| !is_empty(content));
    }
    if let [Content::Text(_)] = content.as_slice()
        && let Some(Content::Text(text)) = content.pop()
    {
        return (Some(text), None);
    }
    if content.is_empty() {
        return (None, None);
    }
    let mut texts: Option<String> = None;
    let mut parts = String::from("[");
    for part in content {
        if parts.len() > 1 {
            parts.push(',');
        }
        match part {
            Content::Text(text) => {
                parts.push_str(&text_json(&text));
                match &mut texts {
                    Some(all) => {
                        all.push('\n');
                        all.push_str(&text);
                    }
                    None => texts = Some(text),
                }
            }
            Content::Json(json) => parts.push_str(&json),
        }
    }
    parts.push(']');
    (texts, Some(parts))
}
