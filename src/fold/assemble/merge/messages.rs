//! The messages of two tellings of one call: which half is whose, and what one says that the other does not.

use crate::event::Event;
use crate::event::Message;
use crate::event::ToolCall;
use crate::fold::assemble::json;
use crate::fold::assemble::json::Object;
use serde_json::Value;

/// The messages of a row that are input, and those that are output.
pub(in crate::fold::assemble) fn halves(row: &Event) -> (&[Message], &[Message]) {
    let count = row.input_message_count.and_then(|count| usize::try_from(count).ok());
    let count = count.unwrap_or_else(|| {
        let answer = row.messages.iter().rev().take_while(|message| message.role == "assistant").count();
        row.messages.len() - answer
    });
    row.messages.split_at_checked(count).unwrap_or((&row.messages, &[]))
}

/// Sets both halves of the messages.
pub(in crate::fold::assemble) fn set_halves(row: &mut Event, input: Vec<Message>, output: Vec<Message>) {
    row.input_message_count = i32::try_from(input.len()).ok().filter(|_| !input.is_empty() || !output.is_empty());
    row.messages = input;
    row.messages.extend(output);
}

/// Takes what is missing of another telling, and gives back what that one says differently.
pub(super) fn fill_messages(row: &mut Event, other: &mut Event, rest: &mut Object) {
    if other.messages.is_empty() {
        return;
    }
    if row.messages.is_empty() {
        row.messages = std::mem::take(&mut other.messages);
        row.input_message_count = other.input_message_count;
        return;
    }
    let (input, output) = halves(row);
    let (other_input, other_output) = halves(other);
    let mut input = if input.is_empty() || is_fuller(other_input, input) { other_input } else { input }.to_vec();
    let mut output = if output.is_empty() { other_output } else { output }.to_vec();
    complete(&mut input, other_input);
    complete(&mut output, other_output);
    set_halves(row, input, output);
    let is_untold = |message: &&Message| !row.messages.iter().any(|told| says_all_of(told, message));
    rest.array("messages", other.messages.iter().filter(is_untold).map(json::message));
}

/// Whether one telling holds all messages of another one, and more.
fn is_fuller(one: &[Message], other: &[Message]) -> bool {
    one.len() > other.len() && other.iter().all(|message| one.iter().any(|told| says_all_of(told, message)))
}

/// Takes ids of calls, and of the calls that are answered, and reasoning from another telling of the same messages.
///
/// Nothing is taken unless every message agrees in role, in text and in its calls.
fn complete(told: &mut [Message], other: &[Message]) {
    let lacks = |message: &Message| {
        message.role == "tool" && message.tool_call_id.is_none()
            || message.role == "assistant" && message.reasoning.is_none()
            || message.tool_calls.iter().any(|call| call.id.is_none())
    };
    if told.len() != other.len() || !told.iter().any(lacks) || !told.iter().zip(other).all(|(a, b)| agree(a, b)) {
        return;
    }
    for (message, other) in told.iter_mut().zip(other) {
        message.tool_call_id = message.tool_call_id.take().or_else(|| other.tool_call_id.clone());
        message.reasoning = message.reasoning.take().or_else(|| other.reasoning.clone());
        for (call, known) in message.tool_calls.iter_mut().zip(&other.tool_calls) {
            call.id = call.id.take().or_else(|| known.id.clone());
        }
    }
}

fn agree(one: &Message, other: &Message) -> bool {
    let text = |message: &Message| message.content.clone().filter(|text| !text.is_empty());
    let same_call = |(a, b): (&ToolCall, &ToolCall)| {
        a.name == b.name && a.arguments.as_deref().map(parsed) == b.arguments.as_deref().map(parsed)
    };
    one.role == other.role
        && text(one) == text(other)
        && one.tool_calls.len() == other.tool_calls.len()
        && one.tool_calls.iter().zip(&other.tool_calls).all(same_call)
}

/// Arguments without how they were spaced.
fn parsed(arguments: &str) -> Value {
    serde_json::from_str(arguments).unwrap_or_else(|_| Value::String(arguments.to_owned()))
}

/// Whether one message says everything that another one says.
pub(in crate::fold::assemble) fn says_all_of(told: &Message, message: &Message) -> bool {
    fn has(told: &Option<String>, said: &Option<String>) -> bool {
        said.as_deref().is_none_or(|said| said.is_empty() || told.as_deref() == Some(said))
    }
    let has_call = |call: &ToolCall| {
        told.tool_calls
            .iter()
            .any(|other| other.name == call.name && has(&other.id, &call.id) && has(&other.arguments, &call.arguments))
    };
    told.role == message.role
        && has(&told.content, &message.content)
        && has(&told.content_parts, &message.content_parts)
        && has(&told.reasoning, &message.reasoning)
        && has(&told.name, &message.name)
        && has(&told.tool_call_id, &message.tool_call_id)
        && message.tool_calls.iter().all(has_call)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(id: Option<&str>, arguments: &str) -> Message {
        let call = ToolCall {
            id: id.map(str::to_owned),
            name: "f".to_owned(),
            arguments: Some(arguments.to_owned()),
            ..ToolCall::default()
        };
        Message { role: "assistant".to_owned(), tool_calls: vec![call], ..Message::default() }
    }

    #[test]
    fn what_is_missing_is_taken_from_another_telling_of_the_same_messages_only() {
        let mut told = [call(None, "{\"a\": 1}")];
        complete(&mut told, &[call(Some("call_2"), "{\"a\":2}")]);
        assert_eq!(told[0].tool_calls[0].id, None);
        complete(&mut told, &[call(Some("call_1"), "{\"a\":1}")]);
        assert_eq!(told[0].tool_calls[0].id.as_deref(), Some("call_1"));
        let thought = Message { reasoning: Some("Hm.".to_owned()), ..call(Some("call_1"), "{\"a\":2}") };
        complete(&mut told, std::slice::from_ref(&thought));
        assert_eq!(told[0].reasoning, None);
        let agreeing = Message { tool_calls: told[0].tool_calls.clone(), ..thought };
        complete(&mut told, &[agreeing]);
        assert_eq!(told[0].reasoning.as_deref(), Some("Hm."));
    }

    #[test]
    fn a_telling_that_holds_all_messages_and_more_is_taken_whole() {
        let said = |role: &str, text: &str| Message {
            role: role.to_owned(),
            content: Some(text.to_owned()),
            ..Message::default()
        };
        let all = [said("user", "Hi"), call(Some("call_1"), "{}"), said("tool", "21")];
        assert!(is_fuller(&all, &[said("user", "Hi")]) && !is_fuller(&all, &[said("user", "Ho")]));
        assert!(!is_fuller(&all[..1], &all[..1]));
    }
}
