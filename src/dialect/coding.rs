//! What coding assistants' log records have in common: flat records with bare keys, one for each thing that happened.

use super::draft::Draft;
use super::json::Node;
use super::messages;
use super::source::Source;
use super::value;
use crate::event::event_type;

/// The record's name without the assistant's: some state both, some only one.
pub(super) fn event<'a>(source: &Source<'a>, prefix: &str) -> &'a str {
    let name = if source.name.is_empty() {
        source.body.and_then(super::json::any_text).unwrap_or_default()
    } else {
        source.name
    };
    name.strip_prefix(prefix).unwrap_or(name)
}

/// A single message that a record tells, if it does.
pub(super) fn message(source: &Source<'_>, draft: &mut Draft, key: &str, role: &'static str) {
    draft.kind(event_type::CHAT_MESSAGE);
    let Some(text) = source.peek(key) else { return };
    let told = messages::read_message(&Node::String(text.into()), role);
    let whole = !told.lossy;
    let taken = if role == "assistant" {
        draft.output(told, &source.notes, key)
    } else {
        draft.input(told, &source.notes, key)
    };
    if taken && whole {
        source.attributes.mark(key);
    }
}

/// What a log record and the span of the same operation both say of it, if all of this is known.
pub(super) fn shared(draft: &mut Draft, what: &str, said: &[Option<&str>]) {
    let said: Option<Vec<&str>> = said.iter().copied().collect();
    if let Some(said) = said.filter(|_| draft.shared.is_none()) {
        draft.shared = Some(format!("{what} {}", said.join(" ")));
    }
}

/// How long it took, in milliseconds.
pub(super) fn duration(source: &Source<'_>, draft: &mut Draft, key: &str) -> Option<f64> {
    let millis = source.number(key).filter(|millis| *millis >= 0.0)?;
    let timing = draft.row.timing.get_or_insert_default();
    timing.total_latency_ms = Some(*timing.total_latency_ms.get_or_insert(millis));
    Some(millis)
}

/// A note where a text ends with an assistant's own mark of a cut.
pub(super) fn note_cut(source: &Source<'_>, keys: &[&str]) {
    for key in keys {
        let ends = |text: &str| {
            text.ends_with(']')
                && (text.contains("...[TRUNCATED: original length ") || text.contains("...[truncated, original "))
        };
        if source.peek(key).is_some_and(ends) {
            source.notes.add(|| format!("cut before it came here: {key}"));
        }
    }
}

/// Whether a word says that it went well; None where there is none.
pub(super) fn success(source: &Source<'_>) -> Option<bool> {
    let truth = source.attributes.truth("success");
    truth.or_else(|| source.peek("success").and_then(value::truth))
}
