//! Anthropic's own Python SDK: the conventions, with a few keys beside them.
//!
//! Source: `anthropic` 2.11. Content is sent only where a switch says so.

use super::Dialect;
use super::draft::Draft;
use super::source::Source;
use crate::event::event_type;

pub(super) const DIALECT: Dialect = Dialect {
    name: "anthropic-sdk",
    scopes: &["com.anthropic.sdk"],
    keys: &["anthropic.message.", "anthropic.request.id", "anthropic.session.id"],
    read,
    ..Dialect::NONE
};

fn read(source: &Source<'_>, draft: &mut Draft) {
    if source.is_log {
        return;
    }
    if source.name.starts_with("anthropic.messages.") && !source.has("gen_ai.operation.name") {
        draft.kind(event_type::CHAT_COMPLETION);
    }
    if !source.has("gen_ai.response.finish_reasons") {
        draft.reasons_from(&source.attributes, "anthropic.message.stop_reason");
    }
    draft.detail_from(&source.attributes, "anthropic.request.id", "request_id");
    if draft.row.conversation_id.is_empty()
        && !source.has("gen_ai.conversation.id")
        && let Some(id) = source.attributes.id("anthropic.session.id")
    {
        draft.row.conversation_id = id.into_owned();
        "anthropic.session.id".clone_into(&mut draft.row.conversation_id_source);
    }
    if source.attributes.truth("anthropic.content.truncated") == Some(true) {
        source.notes.add(|| "cut before it came here: content".to_owned());
    }
}
