//! Messages whose structure stands in the keys: `<prefix>N.role`, `<prefix>N.message.content`, and the like.

use super::draft::Draft;
use super::json::Node;
use super::messages;
use super::messages::Told;
use super::source::Source;
use crate::event::Message;

/// Messages under indexed keys, and the places they were made of.
fn read(source: &Source<'_>, prefix: &str, role: &'static str) -> Option<(Told, Vec<usize>)> {
    let (node, places) = source.attributes.list_below(prefix, &source.budget, &source.notes)?;
    // This package writes every content as JSON, a plain text too.
    let quotes = source.scope.name == "opentelemetry.instrumentation.bedrock";
    let mut told = Told::default();
    let mut nameless = false;
    for item in node.items() {
        let message = item.get("message").unwrap_or(item);
        told.lossy |= item.get("message").is_some() && item.entries().len() > 1;
        // A legacy completion's prompt.
        if let Some(text) = item.text("user").filter(|_| item.entries().len() == 1) {
            told.said.extend(messages::read(&Node::String(text.into()), "user").said);
            continue;
        }
        // AutoGen's package: what tools gave stands beside a message that has but a role.
        if let Some(results) = item.get("function").filter(|_| message.entries().len() == 1) {
            for result in results.items() {
                result.opened(|result| told.said.extend(messages::read_message(result, "tool").said));
            }
            continue;
        }
        let Some(role) = role_of(message, role) else {
            nameless = true;
            continue;
        };
        let unquoted = if quotes { unquoted(message) } else { None };
        let more = messages::read_message(unquoted.as_ref().unwrap_or(message), role);
        told.lossy |= more.lossy;
        told.withheld |= more.withheld;
        told.tools.extend(more.tools);
        told.said.extend(more.said);
    }
    if nameless {
        source.notes.add(|| format!("a message without a role under {prefix}"));
        told.lossy = true;
    }
    Some((told, places))
}

/// A message whose content is the JSON of a text, with that text.
fn unquoted<'a>(message: &Node<'a>) -> Option<Node<'a>> {
    let content = message.text("content")?;
    let text = super::json::parse(content).filter(|_| content.starts_with('"'))?.node.as_str()?.to_owned();
    let entries = message.entries().iter().map(|(key, value)| {
        (key.clone(), if key == "content" { Node::String(text.clone().into()) } else { value.clone() })
    });
    Some(Node::object(entries.collect()))
}

/// Where the first keys of a message were dropped, nobody knows who said the rest, unless only one can have.
fn role_of(message: &Node<'_>, role: &'static str) -> Option<&'static str> {
    if message.get("role").is_some() || role == "assistant" {
        Some(role)
    } else if message.get("tool_calls").is_some() {
        Some("assistant")
    } else if message.get("tool_call_id").is_some() {
        Some("tool")
    } else {
        None
    }
}

/// Takes indexed messages as the input, and marks them where all they say is told.
pub(super) fn input(source: &Source<'_>, draft: &mut Draft, prefix: &str) {
    if draft.has_input() {
        return;
    }
    let Some((told, places)) = read(source, prefix, "user") else { return };
    let lossy = told.lossy;
    if draft.input(told, &source.notes, prefix) && !lossy {
        mark(source, places);
    }
}

/// Takes indexed messages as the output, each an answer of its own. `all` tells the same answers, and those that the
/// keys leave out.
pub(super) fn choices(source: &Source<'_>, draft: &mut Draft, prefix: &str, all: Told) {
    if draft.has_output() {
        return;
    }
    let Some((mut told, places)) = read(source, prefix, "assistant") else { return };
    let known = told.said.len();
    told.said.extend(all.said.into_iter().skip(known));
    for (place, said) in told.said.iter_mut().enumerate() {
        said.choice = said.choice.or(i64::try_from(place).ok());
    }
    let lossy = told.lossy;
    if draft.output(told, &source.notes, prefix) && !lossy {
        mark(source, places);
    }
}

/// Takes indexed messages as the output, each a choice or a piece of one.
pub(super) fn output(source: &Source<'_>, draft: &mut Draft, prefix: &str) {
    if draft.has_output() {
        return;
    }
    let Some((told, places)) = read(source, prefix, "assistant") else { return };
    let lossy = told.lossy;
    if draft.output(told, &source.notes, prefix) && !lossy {
        mark(source, places);
    }
}

fn mark(source: &Source<'_>, places: Vec<usize>) {
    for place in places {
        source.attributes.mark_place(place);
    }
}

/// Whether calls, or the calls that tools' messages answer, have no ids.
pub(super) fn lacks_ids(list: &[Message]) -> bool {
    list.iter().any(|message| {
        message.role == "tool" && message.tool_call_id.is_none()
            || message.tool_calls.iter().any(|call| call.id.is_none())
    })
}

/// Whether some of an assistant's calls are answered and others are not.
pub(super) fn lacks_answers(list: &[Message]) -> bool {
    list.iter().enumerate().any(|(place, message)| {
        let answers = list.iter().skip(place + 1).take_while(|answer| answer.role == "tool");
        let answered: Vec<_> = answers.filter_map(|answer| answer.tool_call_id.as_deref()).collect();
        !answered.is_empty()
            && message.tool_calls.iter().filter_map(|call| call.id.as_deref()).any(|id| !answered.contains(&id))
    })
}

/// Takes a telling of the same messages in which all calls are answered.
pub(super) fn add_answers(list: &mut Vec<Message>, fuller: Vec<Message>) {
    let said = |list: &[Message]| -> Vec<(String, Option<String>)> {
        let others = list.iter().filter(|message| message.role != "tool" && message.role != "system");
        others.map(|message| (message.role.clone(), message.content.clone())).collect()
    };
    if !lacks_answers(&fuller) && said(list) == said(&fuller) {
        *list = fuller;
    }
}

/// How many things a message says.
fn weight(message: &Message) -> usize {
    let text = usize::from(message.content.as_ref().is_some_and(|text| !text.is_empty()));
    text.max(parts(message)) + usize::from(message.reasoning.is_some()) + message.tool_calls.len()
}

/// Takes a telling of the same messages that says more, and all that these say; the system's word it may leave out.
pub(super) fn take_fuller(list: &mut Vec<Message>, fuller: Vec<Message>) {
    let is_told = |message: &Message| {
        let any = |told: &dyn Fn(&Message) -> bool| fuller.iter().any(told);
        let calls = |id: &Option<String>| any(&|other| other.tool_calls.iter().any(|call| call.id == *id));
        message.content.as_ref().is_none_or(|text| {
            text.is_empty() || any(&|other| other.role == message.role && other.content.as_ref() == Some(text))
        }) && message.tool_calls.iter().all(|call| calls(&call.id))
            && (message.tool_call_id.is_none() || any(&|other| other.tool_call_id == message.tool_call_id))
    };
    let others = || list.iter().filter(|message| message.role != "system");
    let says_more = fuller.iter().map(weight).sum::<usize>() > others().map(weight).sum::<usize>();
    if !says_more || !others().all(is_told) {
        return;
    }
    let is_silent = fuller.iter().all(|message| message.role != "system");
    list.retain(|message| is_silent && message.role == "system");
    list.extend(fuller);
}

/// Adds what a fuller telling of the same messages says: ids of calls and of the calls that are answered, reasoning,
/// and parts that the keys have no words for.
///
/// Nothing is taken unless every message agrees in role and in what both say.
pub(super) fn complete(list: &mut [Message], fuller: &[Message]) {
    if list.len() != fuller.len() {
        return;
    }
    let agree = |(one, other): (&Message, &Message)| {
        one.role == other.role && one.content == other.content && one.tool_calls.len() == other.tool_calls.len()
    };
    if !list.iter().zip(fuller).all(agree) {
        return;
    }
    for (message, other) in list.iter_mut().zip(fuller) {
        message.tool_call_id = message.tool_call_id.take().or_else(|| other.tool_call_id.clone());
        for (call, known) in message.tool_calls.iter_mut().zip(&other.tool_calls) {
            call.id = call.id.take().or_else(|| known.id.clone());
        }
        message.reasoning = message.reasoning.take().or_else(|| other.reasoning.clone());
        if parts(other) > parts(message) {
            message.content_parts.clone_from(&other.content_parts);
        }
    }
}

/// How many parts a message's content has, where they are told one by one.
fn parts(message: &Message) -> usize {
    let parsed = message.content_parts.as_deref().and_then(super::json::parse);
    parsed.map_or(0, |parsed| parsed.node.items().len())
}
