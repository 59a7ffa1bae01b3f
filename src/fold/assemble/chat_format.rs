//! Says what a chat row lacks of what OpenAI's format requires. Nothing is made up to fill it.

use super::merge::halves;
use crate::event::Event;
use serde_json::Value;
use std::collections::BTreeSet;

/// Adds a note for each kind of thing that is missing.
pub(super) fn note_gaps(row: &mut Event) {
    let mut gaps: BTreeSet<&'static str> = BTreeSet::new();
    if row.messages.is_empty() {
        gaps.insert("no messages");
    } else if halves(row).1.is_empty() {
        gaps.insert("no answer");
    }
    // Calls that wait for their answers, and ids of all calls so far.
    let mut open: BTreeSet<&str> = BTreeSet::new();
    for message in &row.messages {
        let has_content = message.content.is_some() || message.content_parts.is_some();
        if message.role != "tool" && !open.is_empty() {
            gaps.insert("a tool call without its answer");
            open.clear();
        }
        if message.content_parts.as_deref().is_some_and(|parts| !are_known(parts, &message.role)) {
            gaps.insert("a content part that OpenAI does not know there");
        }
        match message.role.as_str() {
            "assistant" => {
                if !has_content && message.tool_calls.is_empty() {
                    gaps.insert("an assistant message without content");
                }
                for call in &message.tool_calls {
                    match call.id.as_deref().filter(|id| !id.is_empty()) {
                        Some(id) => {
                            open.insert(id);
                        }
                        None => {
                            gaps.insert("a tool call without id");
                        }
                    }
                    if call.name.is_empty() {
                        gaps.insert("a tool call without name");
                    }
                    if call.arguments.is_none() {
                        gaps.insert("a tool call without arguments");
                    }
                }
            }
            "tool" => {
                match message.tool_call_id.as_deref().filter(|id| !id.is_empty()) {
                    Some(id) if !open.remove(id) => {
                        gaps.insert("a tool message whose tool_call_id answers no call");
                    }
                    Some(_) => {}
                    None => {
                        gaps.insert("a tool message without tool_call_id");
                    }
                }
                if !has_content {
                    gaps.insert("a tool message without content");
                }
            }
            "system" | "developer" | "user" => {
                if !has_content {
                    gaps.insert("a message without content");
                }
            }
            "" => {
                gaps.insert("a message without role");
            }
            _ => {
                gaps.insert("a message with a role that OpenAI does not know");
            }
        }
    }
    row.notes.extend(gaps.into_iter().map(|gap| format!("openai: {gap}")));
}

/// Whether all parts of a content are such as a message of this role may have.
fn are_known(parts: &str, role: &str) -> bool {
    let Ok(parts) = serde_json::from_str::<Vec<Value>>(parts) else { return false };
    parts.iter().all(|part| {
        let kind = part.get("type").and_then(Value::as_str).unwrap_or_default();
        match (kind, role) {
            ("text", _) | ("refusal", "assistant") => part.get(kind).is_some_and(Value::is_string),
            ("image_url" | "input_audio" | "file", "user") => part.get(kind).is_some_and(Value::is_object),
            _ => false,
        }
    })
}
