//! Messages as they were told, one after the other, and how their pieces become answers and histories.

use super::parts;
use super::tools::Definitions;
use crate::event::Message;

/// A message and what its source says beside it.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::dialect) struct Said {
    pub message: Message,
    /// Which of several answers it belongs to.
    pub choice: Option<i64>,
    /// The finish reason as it was written.
    pub reason: Option<String>,
    /// Whether it is written that it has no finish reason: a chunk of a stream before the last one.
    pub open: bool,
}

/// What a source tells of a conversation.
#[derive(Debug, Clone, PartialEq, Default)]
pub(in crate::dialect) struct Told {
    pub said: Vec<Said>,
    /// Tool definitions that stood among the messages or beside them.
    pub tools: Definitions,
    /// Something of the source is not in the result: the source is kept too.
    pub lossy: bool,
    /// Content was replaced by a mark that says so.
    pub withheld: bool,
}

impl Told {
    /// Whether nothing was said.
    pub(in crate::dialect) fn is_empty(&self) -> bool {
        self.said.is_empty()
    }

    /// A whole run as what was asked and what was answered last.
    pub(in crate::dialect) fn into_run(mut self) -> (Self, Self) {
        let is_answer = |said: &Said| said.message.role == "assistant" && said.message.tool_calls.is_empty();
        let start = self.said.len() - self.said.iter().rev().take_while(|said| is_answer(said)).count();
        let said = self.said.split_off(start);
        (self, Self { said, ..Self::default() })
    }

    /// What was asked, and what the assistant said last.
    pub(in crate::dialect) fn into_exchange(mut self) -> (Self, Self) {
        let last = self.said.iter().rev().take_while(|said| said.message.role == "assistant").count();
        let said = self.said.split_off(self.said.len() - last);
        let lossy = self.lossy;
        (self, Self { said, lossy, ..Self::default() })
    }

    /// The messages as a history: pieces of one assistant turn are one message.
    pub(in crate::dialect) fn into_history(self) -> Vec<Message> {
        let mut out: Vec<Message> = Vec::with_capacity(self.said.len());
        for said in self.said {
            match out.last_mut() {
                Some(last)
                    if last.role == "assistant"
                        && said.message.role == "assistant"
                        && is_piece(last, &said.message) =>
                {
                    join(last, said.message);
                }
                _ => out.push(said.message),
            }
        }
        out
    }

    /// The answers: the first choice, and the others. A run of several roles is one answer of several messages.
    pub(in crate::dialect) fn into_answers(self) -> (Vec<Message>, Vec<Message>) {
        if self.said.iter().any(|said| said.message.role != "assistant") {
            return (self.into_history(), Vec::new());
        }
        if is_streamed(&self.said) {
            return (glued(self.said), Vec::new());
        }
        let mut choices: Vec<(Option<i64>, bool, Message)> = Vec::new();
        for said in self.said {
            let has_reason = said.reason.is_some();
            let same = choices.iter_mut().rev().find(|(choice, ended, _)| match (choice, said.choice) {
                (Some(known), Some(this)) => *known == this,
                // Without numbers each ended piece is a choice of its own.
                _ => !(*ended && has_reason),
            });
            match same {
                Some((_, ended, message)) => {
                    *ended |= has_reason;
                    join(message, said.message);
                }
                None => choices.push((said.choice, has_reason, said.message)),
            }
        }
        choices.sort_by_key(|(choice, _, _)| *choice);
        let mut messages = choices.into_iter().map(|(_, _, message)| message);
        (messages.next().into_iter().collect(), messages.collect())
    }
}

/// Whether answers are the chunks of one: all but the last say that they have not ended. Instrumentations of Gemini's
/// client tell each chunk of a stream as a message.
fn is_streamed(said: &[Said]) -> bool {
    let Some((last, chunks)) = said.split_last() else { return false };
    let is_chunk = |said: &Said| said.open && said.choice.is_none() && said.message.content_parts.is_none();
    !chunks.is_empty()
        && chunks.iter().all(is_chunk)
        && last.reason.is_some()
        && (last.message.content_parts.is_none() || is_retold(chunks, &last.message))
}

/// Whether the last of a stream tells all of its chunks once more: the ADK ends LiteLLM's streams so.
fn is_retold(chunks: &[Said], last: &Message) -> bool {
    // The parts of a whole answer stand on lines of their own.
    fn letters<'t>(texts: impl Iterator<Item = &'t Option<String>>) -> impl Iterator<Item = char> {
        texts.flatten().flat_map(|text| text.chars()).filter(|letter| *letter != '\n')
    }
    let messages = || chunks.iter().map(|said| &said.message);
    letters(messages().map(|message| &message.content)).eq(letters([&last.content].into_iter()))
        && letters(messages().map(|message| &message.reasoning)).eq(letters([&last.reasoning].into_iter()))
        && messages()
            .flat_map(|message| &message.tool_calls)
            .all(|call| call.id.is_some() && last.tool_calls.iter().any(|known| known.id == call.id))
}

/// Chunks as one message: their texts follow each other without a gap.
fn glued(mut chunks: Vec<Said>) -> Vec<Message> {
    if let Some(last) = chunks.pop() {
        if is_retold(&chunks, &last.message) {
            return vec![last.message];
        }
        chunks.push(last);
    }
    let glue = |one: Option<String>, more: Option<String>| match (one, more) {
        (Some(one), Some(more)) => Some(one + &more),
        (one, more) => one.or(more),
    };
    let whole = chunks.into_iter().map(|said| said.message).reduce(|mut one, more| {
        one.content = glue(one.content, more.content);
        one.reasoning = glue(one.reasoning, more.reasoning);
        one.tool_calls.extend(more.tool_calls);
        one.finish_reason = more.finish_reason;
        one
    });
    whole.into_iter().collect()
}

/// Whether two assistant messages in a row are pieces of one turn: a turn has one text.
fn is_piece(first: &Message, second: &Message) -> bool {
    let text = |message: &Message| {
        message.content.as_ref().is_some_and(|text| !text.is_empty()) || message.content_parts.is_some()
    };
    let after_calls = !first.tool_calls.is_empty() && text(second);
    !(after_calls || text(first) && text(second))
}

/// Pieces of one answer as one message.
pub(in crate::dialect) fn as_one(answer: &mut [Message], pieces: Vec<Message>) {
    if let [answer] = answer {
        for piece in pieces {
            join(answer, piece);
        }
    }
}

/// Adds what a later piece says.
fn join(first: &mut Message, second: Message) {
    match (&mut first.content_parts, second.content_parts) {
        (Some(parts), Some(more)) => {
            let inner = more.strip_prefix('[').unwrap_or(&more);
            if parts.ends_with(']') && inner != "]" {
                parts.pop();
                parts.push(',');
                parts.push_str(inner);
            }
        }
        (slot @ None, Some(more)) => {
            *slot = Some(match first.content.as_deref().filter(|text| !text.is_empty()) {
                Some(text) => format!("[{},{}", parts::text_json(text), more.strip_prefix('[').unwrap_or(&more)),
                None => more,
            });
        }
        (Some(parts), None) => {
            if let Some(text) = second.content.as_deref().filter(|text| !text.is_empty()) {
                parts.pop();
                parts.push(',');
                parts.push_str(&parts::text_json(text));
                parts.push(']');
            }
        }
        (None, None) => {
            if let (Some(a), Some(b)) = (first.content.as_deref(), second.content.as_deref())
                && !a.is_empty()
                && !b.is_empty()
            {
                first.content_parts = Some(format!("[{},{}]", parts::text_json(a), parts::text_json(b)));
            }
        }
    }
    first.content = joined(first.content.take(), second.content);
    first.reasoning = joined(first.reasoning.take(), second.reasoning);
    first.tool_calls.extend(second.tool_calls);
    first.name = first.name.take().or(second.name);
    first.finish_reason = second.finish_reason.or(first.finish_reason.take());
}

fn joined(first: Option<String>, second: Option<String>) -> Option<String> {
    match (first, second) {
        (Some(first), Some(second)) if first.is_empty() => Some(second),
        (Some(first), Some(second)) if second.is_empty() => Some(first),
        (Some(first), Some(second)) => Some(format!("{first}\n{second}")),
        (first, second) => first.or(second),
    }
}
