//! What of a record is told as JSON beside its columns: messages, events, and what a log record calls itself.

use crate::dialect::json::Node;
use crate::dialect::source::Source;
use crate::dialect::value;
use crate::event::Event;
use crate::event::Message;
use crate::event::json;

/// An answer that calls tools ended for that, though Gemini's emitters and the Responses API say that it stopped. The
/// first reason is the first answer's.
pub(super) fn calls_tools(row: &mut Event, output: &mut [Message], choices: &mut [Message], raw: &mut Vec<String>) {
    const STOP: &str = "stop";
    for message in output.iter_mut().chain(choices.iter_mut()).filter(|message| !message.tool_calls.is_empty()) {
        if message.finish_reason.as_deref() == Some(STOP) {
            message.finish_reason = Some("tool_calls".to_owned());
        }
    }
    let calls = output.last().is_some_and(|message| message.role == "assistant" && !message.tool_calls.is_empty());
    let Some(model) = row.model.as_mut().filter(|_| !output.is_empty()) else { return };
    if let Some(reason) = model.finish_reasons.first_mut().filter(|reason| calls && *reason == STOP) {
        "tool_calls".clone_into(reason);
        if raw.is_empty() {
            raw.push(STOP.to_owned());
        }
    }
    // One answer in several pieces, as the Responses API gives it, may state a reason for each.
    if choices.is_empty() {
        model.finish_reasons.dedup();
    }
}

/// Messages as a JSON list in OpenAI's form.
pub(in crate::dialect) fn messages_json(messages: &[Message]) -> String {
    let mut out = String::from("[");
    for (place, message) in messages.iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        push_message(&mut out, message);
    }
    out.push(']');
    out
}

fn push_message(out: &mut String, message: &Message) {
    out.push_str("{\"role\":");
    json::push_string(out, &message.role);
    out.push_str(",\"content\":");
    match (&message.content_parts, &message.content) {
        (Some(parts), _) => out.push_str(parts),
        (None, Some(text)) => json::push_string(out, text),
        (None, None) => out.push_str("null"),
    }
    let texts = [
        ("reasoning", &message.reasoning),
        ("name", &message.name),
        ("tool_call_id", &message.tool_call_id),
        ("finish_reason", &message.finish_reason),
    ];
    for (key, text) in texts {
        if let Some(text) = text {
            out.push_str(",\"");
            out.push_str(key);
            out.push_str("\":");
            json::push_string(out, text);
        }
    }
    if !message.tool_calls.is_empty() {
        out.push_str(",\"tool_calls\":[");
        for (place, call) in message.tool_calls.iter().enumerate() {
            if place > 0 {
                out.push(',');
            }
            out.push('{');
            if let Some(id) = &call.id {
                out.push_str("\"id\":");
                json::push_string(out, id);
                out.push(',');
            }
            out.push_str("\"type\":");
            json::push_string(out, call.r#type.as_deref().unwrap_or("function"));
            out.push_str(",\"function\":{\"name\":");
            json::push_string(out, &call.name);
            if let Some(arguments) = &call.arguments {
                out.push_str(",\"arguments\":");
                json::push_string(out, arguments);
            }
            out.push_str("}}");
        }
        out.push(']');
    }
    out.push('}');
}

/// Names of the events whose content has landed; that of the first token stands beside its time.
pub(super) fn names_of_told(source: &Source<'_>, row: &Event) -> Option<String> {
    let first_token = row.timing.as_ref().and_then(|timing| timing.ttft_source.as_deref());
    let mut names: Vec<&str> = Vec::new();
    for event in source.events.iter().filter(|event| event.used.get() && event.attributes.all_used()) {
        let is_told = event.name == "exception" || first_token == Some(event.name);
        if !is_told && !names.contains(&event.name) {
            names.push(event.name);
        }
    }
    let list = names.into_iter().map(|name| Node::String(name.into())).collect::<Vec<Node<'_>>>();
    (!list.is_empty()).then(|| Node::array(list).json())
}

/// The events that did not land, each with the attributes that did not.
pub(super) fn events_json(source: &Source<'_>) -> Option<String> {
    let mut out = String::new();
    for event in &source.events {
        if event.used.get() && event.attributes.all_used() {
            continue;
        }
        out.push(if out.is_empty() { '[' } else { ',' });
        out.push_str("{\"name\":");
        json::push_string(&mut out, event.name);
        if let Some(time) = value::time_text(event.time_ns) {
            out.push_str(",\"time\":");
            json::push_string(&mut out, &time);
        }
        let left = event.attributes.left();
        if !left.is_empty() {
            out.push_str(",\"attributes\":");
            out.push_str(&json::object(left.iter().map(|(key, json)| (key.as_str(), json.as_str()))));
        }
        out.push('}');
    }
    if out.is_empty() {
        return None;
    }
    out.push(']');
    Some(out)
}
