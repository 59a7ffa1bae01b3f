//! OpenTelemetry's GenAI conventions before 1.37: one event for each message, as log records or as events of the span.
//!
//! Source: `semantic-conventions` 1.26 (`gen_ai.content.*`) and 1.28 to 1.36 (`gen_ai.<role>.message`, `gen_ai.choice`).

use super::Dialect;
use super::attributes::Attributes;
use super::draft::Draft;
use super::json::Node;
use super::messages;
use super::messages::Told;
use super::notes::Notes;
use super::source::Source;
use crate::event::Half;
use crate::event::Part;
use crate::event::event_type;

pub(super) const DIALECT: Dialect = Dialect {
    name: "otel-genai-events",
    events: &[
        "gen_ai.system.message",
        "gen_ai.developer.message",
        "gen_ai.user.message",
        "gen_ai.assistant.message",
        "gen_ai.tool.message",
        "gen_ai.function.message",
        "gen_ai.choice",
        "gen_ai.content.prompt",
        "gen_ai.content.completion",
    ],
    read,
    ..Dialect::NONE
};

fn read(source: &Source<'_>, draft: &mut Draft) {
    if source.is_log {
        log(source, draft);
    } else {
        events(source, draft);
    }
}

/// The role that an event's name gives to a message which states none; None for an event of another kind.
fn role_of(name: &str) -> Option<&'static str> {
    Some(match name {
        // Emitters name the event for whatever role the message has.
        "gen_ai.system.message" | "gen_ai.developer.message" => "system",
        "gen_ai.user.message" => "user",
        "gen_ai.assistant.message" | "gen_ai.choice" => "assistant",
        "gen_ai.tool.message" | "gen_ai.function.message" => "tool",
        _ => return None,
    })
}

fn log(source: &Source<'_>, draft: &mut Draft) {
    let Some(role) = role_of(source.name) else {
        return whole(source, draft);
    };
    draft.kind(event_type::CHAT_MESSAGE);
    let mut told = match source.body_node() {
        Some(body) => body.opened(|body| said(body, role)),
        None => said_by(&source.attributes, &source.notes, role),
    };
    source.body_used.set(!told.lossy && !told.is_empty());
    if told.withheld {
        source.notes.add(|| format!("content withheld in {}", source.name));
    }
    // Botocore's instrumentation tells each of a message's tool results by an event of its own before.
    if role == "user" && source.scope.name.starts_with("opentelemetry.instrumentation.botocore") {
        told.said.retain(|said| said.message.role != "tool");
    }
    provider(source, draft);
    let choice = source.name == "gen_ai.choice";
    let index = told.said.iter().find_map(|said| said.choice).and_then(|index| u32::try_from(index).ok());
    let half = if choice { Half::Output } else { Half::Input };
    draft.part = Some(Part { half: half.into(), index: if choice { index } else { None } });
    // Where a message tells no content, that it was there is still told.
    if told.is_empty() {
        return;
    }
    if choice {
        for said in &mut told.said {
            said.choice = None;
        }
        draft.output(told, &source.notes, source.name);
    } else {
        draft.input(told, &source.notes, source.name);
    }
}

fn provider(source: &Source<'_>, draft: &mut Draft) {
    for key in ["gen_ai.provider.name", "gen_ai.system"] {
        if let Some(raw) = source.peek(key)
            && let Some(provider) = super::value::provider(raw)
        {
            if provider == raw {
                source.attributes.mark(key);
            }
            draft.model().provider.get_or_insert_with(|| provider.into_owned());
        }
    }
}

/// `gen_ai.content.prompt` and `gen_ai.content.completion` as log records: each half of a call.
fn whole(source: &Source<'_>, draft: &mut Draft) {
    draft.kind(event_type::CHAT_COMPLETION);
    draft.part = Some(Part { half: Half::Whole.into(), index: None });
    halves(&source.attributes, &source.notes, draft);
}

fn halves(attributes: &Attributes<'_>, notes: &Notes, draft: &mut Draft) {
    draft.input_from(attributes, notes, "gen_ai.prompt");
    draft.output_from(attributes, notes, "gen_ai.completion");
}

/// What the body of an event says; a choice holds its message and, with some, calls beside it.
fn said(body: &Node<'_>, role: &'static str) -> Told {
    // ADK's first schema puts a whole content, with its own role, in place of the text.
    messages::read_message(body, role)
}

/// An event that says all in attributes: a JSON text, or the message's keys themselves.
fn said_by(attributes: &Attributes<'_>, notes: &Notes, role: &'static str) -> Told {
    if let Some(doc) = attributes.json("gen_ai.event.content", notes) {
        let told = if messages::is_message(&doc.node) || doc.node.is_object() {
            messages::read_message(&doc.node, role)
        } else {
            messages::read(&doc.node, role)
        };
        if doc.whole && !told.lossy {
            attributes.mark("gen_ai.event.content");
        }
        return told;
    }
    let mut entries = Vec::new();
    let mut keys = Vec::new();
    let mut whole = true;
    for key in ["role", "content", "message", "tool_calls", "id", "tool_call_id", "name", "finish_reason", "index"] {
        let Some(doc) = attributes.json(key, notes) else { continue };
        whole &= doc.whole;
        // A message that is told as plain text is its content.
        let key_is = if key == "message" && !doc.node.is_object() { "content" } else { key };
        entries.push((key_is.into(), doc.node));
        keys.push(key);
    }
    let told = messages::read_message(&Node::object(entries), role);
    if whole && !told.lossy && !told.is_empty() {
        for key in keys {
            attributes.mark(key);
        }
    }
    told
}

/// Events that stand as a list in one attribute: input and output.
pub(super) fn listed(node: &Node<'_>) -> (Told, Told) {
    let mut input = Told::default();
    let mut output = Told::default();
    for item in node.items() {
        let name = item.first_text(&["event.name", "event_name"]);
        // Where the name is none, a message still says who said it, and a choice that it is one.
        let is_choice = name.map_or_else(|| item.get("message").is_some(), |name| name == "gen_ai.choice");
        let by_itself = || (!item.is_cut() && messages::is_message(item)).then_some("user");
        let Some(role) = name.map_or_else(by_itself, role_of) else {
            // Only what was sent whole, and what has a name of ours or none, is a message.
            input.lossy |= !item.is_empty();
            continue;
        };
        let own = |key: &str| !matches!(key, "event.name" | "event_name" | "gen_ai.message.index" | "gen_ai.system");
        let message = Node::object(item.entries().iter().filter(|(key, _)| own(key)).cloned().collect());
        let told = messages::read_message(&message, role);
        let side = if is_choice { &mut output } else { &mut input };
        side.lossy |= told.lossy || item.is_cut() || name.is_none();
        side.withheld |= told.withheld;
        side.said.extend(told.said);
    }
    (input, output)
}

/// Events of a span: what stands before the last choice is the input.
fn events(source: &Source<'_>, draft: &mut Draft) {
    if draft.is(event_type::TOOL_EXECUTION) {
        return;
    }
    let mut input = Told::default();
    let mut output = Told::default();
    for event in &source.events {
        if let Some(role) = role_of(event.name) {
            let told = said_by(&event.attributes, &source.notes, role);
            event.used.set(!told.lossy && !told.is_empty());
            let side = if event.name == "gen_ai.choice" { &mut output } else { &mut input };
            side.lossy |= told.lossy;
            side.withheld |= told.withheld;
            side.said.extend(told.said);
        } else if event.name.starts_with("gen_ai.content.") {
            event.used.set(true);
            halves(&event.attributes, &source.notes, draft);
        }
        if event.used.get() {
            for key in ["gen_ai.system", "gen_ai.provider.name"] {
                // Said by the span too.
                if event.attributes.peek(key).is_some_and(|said| source.peek(key) == Some(said)) {
                    event.attributes.mark(key);
                }
            }
        }
    }
    if !input.is_empty() {
        draft.input(input, &source.notes, "events");
    }
    if !output.is_empty() {
        draft.output(output, &source.notes, "events");
    }
    if draft.has_input() || draft.has_output() {
        draft.kind(event_type::CHAT_COMPLETION);
    }
}
