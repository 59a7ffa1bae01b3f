//! Semantic Kernel: in Python log records whose body is a message's JSON text, in .NET events of the span.
//!
//! What they hold is the conventions' of 1.36 and read there; agents' spans tell the kernel's own dumps of messages.
//! Source: `semantic-kernel` 1.45, its .NET sources of August 2026.

use super::Dialect;
use super::draft::Draft;
use super::source::Source;
use crate::event::event_type;

pub(super) const DIALECT: Dialect = Dialect {
    name: "semantic-kernel",
    scopes: &["semantic_kernel", "Microsoft.SemanticKernel"],
    keys: &["chat_message_index"],
    read,
    ..Dialect::NONE
};

fn read(source: &Source<'_>, draft: &mut Draft) {
    if source.is_log {
        // The order of the records tells it.
        source.attributes.mark("chat_message_index");
        return;
    }
    if matches!(
        source.peek("gen_ai.operation.name"),
        Some("chat.completions" | "chat.streaming_completions" | "text.completions" | "text.streaming_completions")
    ) {
        draft.kind(event_type::CHAT_COMPLETION);
    }
}
