//! What the records of one call tell of its messages: input, answer, and other choices, of however many pieces.

use crate::event::Half;
use crate::event::Message;
use crate::fold::assemble::group::Piece;
use crate::fold::assemble::json;
use crate::fold::assemble::json::Object;
use crate::fold::assemble::merge::halves;

/// The halves that records of whole calls tell together. A list that goes on where another one ended, or repeats it,
/// is told once.
pub(super) fn whole_halves(pieces: &mut [Piece]) -> (Vec<Message>, Vec<Message>) {
    let (mut input, mut output) = (Vec::new(), Vec::new());
    for piece in pieces.iter_mut().filter(|piece| piece.part.half() == Half::Whole) {
        let Some(row) = &mut piece.partial.row else { continue };
        let (more_input, more_output) = halves(row);
        extend(&mut input, more_input);
        extend(&mut output, more_output);
        row.messages.clear();
        row.input_message_count = None;
    }
    (input, one_answer(output))
}

fn extend(list: &mut Vec<Message>, more: &[Message]) {
    if more.starts_with(list) {
        *list = more.to_vec();
    } else if !list.ends_with(more) {
        list.extend_from_slice(more);
    }
}

/// What one record tells: on which side, as which choice, and the message.
type Said = (Half, Option<u32>, Vec<Message>);

/// Input, first answer, and the other choices as JSON, of records that tell one message each.
pub(super) fn single_halves(pieces: &mut [Piece]) -> (Vec<Message>, Vec<Message>, Vec<String>) {
    let mut said: Vec<Said> = Vec::new();
    for piece in pieces.iter_mut().filter(|piece| piece.part.half() != Half::Whole) {
        let Some(row) = &mut piece.partial.row else { continue };
        row.input_message_count = None;
        said.push((piece.part.half(), piece.part.index, std::mem::take(&mut row.messages)));
    }
    let is_output = |half: &Half| *half == Half::Output;
    let end = said.iter().rposition(|(half, ..)| is_output(half)).map_or(0, |last| last + 1);
    let answers = said.get(..end).unwrap_or_default().iter().rev().take_while(|(half, ..)| is_output(half)).count();
    let after = said.split_off(end);
    let answer = said.split_off(end - answers);
    let input = said.into_iter().chain(after).flat_map(|(_, _, messages)| messages).collect();
    if is_streamed(&answer) {
        return (input, glued(answer.into_iter().flat_map(|(_, _, messages)| messages)), Vec::new());
    }
    let unnumbered = are_choices(&answer);
    let index_of = |place: u32, index: Option<u32>| if unnumbered { place } else { index.unwrap_or(0) };
    let first = answer.iter().zip(0u32..).map(|((_, index, _), place)| index_of(place, *index)).min().unwrap_or(0);
    let (mut output, mut choices) = (Vec::new(), Vec::new());
    for ((_, index, messages), place) in answer.into_iter().zip(0u32..) {
        let index = index_of(place, index);
        if index == first {
            output.extend(messages);
        } else {
            choices.extend(messages.iter().map(|message| choice(index, message)));
        }
    }
    (input, one_answer(output), choices)
}

/// Whether answers without numbers are choices of their own: each says why it ended. Pieces of one answer end once.
fn are_choices(answers: &[Said]) -> bool {
    answers.iter().all(|(_, index, messages)| index.is_none() && messages.iter().any(|one| one.finish_reason.is_some()))
}

/// Whether answers are the chunks of one: numbered on, and only the last one says why it ended. Early releases for
/// Gemini's client tell each chunk of a stream so.
fn is_streamed(answers: &[Said]) -> bool {
    let ended = |(_, _, messages): &Said| messages.iter().any(|message| message.finish_reason.is_some());
    let Some((last, chunks)) = answers.split_last() else { return false };
    let numbered = answers.iter().zip(0u32..).all(|((_, index, _), place)| *index == Some(place));
    !chunks.is_empty() && numbered && ended(last) && !chunks.iter().any(ended)
}

/// Chunks as one message: their texts follow each other without a gap.
fn glued(chunks: impl Iterator<Item = Message>) -> Vec<Message> {
    let glue = |one: Option<String>, more: Option<String>| match (one, more) {
        (Some(one), Some(more)) => Some(one + &more),
        (one, more) => one.or(more),
    };
    let whole = chunks.reduce(|mut one, more| {
        one.content = glue(one.content, more.content);
        one.reasoning = glue(one.reasoning, more.reasoning);
        one.tool_calls.extend(more.tool_calls);
        one.finish_reason = more.finish_reason.or(one.finish_reason);
        one
    });
    whole.into_iter().collect()
}

fn choice(index: u32, message: &Message) -> String {
    let mut object = Object::new();
    object.int("index", Some(index.into()));
    object.json("message", &json::message(message));
    object.close()
}

/// One answer may be told in pieces: its thoughts, its text, its calls.
fn one_answer(pieces: Vec<Message>) -> Vec<Message> {
    let mut out: Vec<Message> = Vec::with_capacity(pieces.len());
    for piece in pieces {
        match out.last_mut() {
            Some(last) if last.role == piece.role && last.content_parts.is_none() && piece.content_parts.is_none() => {
                last.content = joined(last.content.take(), piece.content);
                last.reasoning = joined(last.reasoning.take(), piece.reasoning);
                last.tool_calls.extend(piece.tool_calls);
                last.finish_reason = piece.finish_reason.or(last.finish_reason.take());
            }
            _ => out.push(piece),
        }
    }
    out
}

fn joined(one: Option<String>, other: Option<String>) -> Option<String> {
    match (one, other) {
        (Some(one), Some(other)) if !one.is_empty() && !other.is_empty() => Some(format!("{one}\n{other}")),
        (Some(one), other) if one.is_empty() => other.or(Some(one)),
        (one, other) => one.or(other),
    }
}
