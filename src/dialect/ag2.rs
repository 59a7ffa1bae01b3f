//! AG2: the conventions, with a type of its own on every span.
//!
//! A `record_usage` span accounts for what other spans tell or what never was one: its counts are no call's.
//! Source: `ag2` 1.2.

use super::Dialect;
use super::draft::Draft;
use super::source::Source;
use crate::event::event_type;

pub(super) const DIALECT: Dialect =
    Dialect { name: "ag2", scopes: &["opentelemetry.instrumentation.ag2"], keys: &["ag2."], read, ..Dialect::NONE };

fn read(source: &Source<'_>, draft: &mut Draft) {
    if source.is_log {
        return;
    }
    let kind = match source.text("ag2.span.type") {
        Some("agent") => event_type::AGENT_INVOCATION,
        Some("llm") => event_type::CHAT_COMPLETION,
        Some("tool") => event_type::TOOL_EXECUTION,
        Some(_) => event_type::GRAPH_STEP,
        None => return,
    };
    draft.kind(kind);
    for (key, name) in [
        ("ag2.human_input.prompt", "prompt"),
        ("ag2.human_input.response", "response"),
        ("ag2.usage.kind", "usage_kind"),
        ("ag2.usage.label", "usage_label"),
    ] {
        draft.detail_from(&source.attributes, key, name);
    }
    if source.attributes.truth("ag2.tool.call.result.truncated") == Some(true) {
        source.notes.add(|| "cut before it came here: gen_ai.tool.call.result".to_owned());
    }
}
