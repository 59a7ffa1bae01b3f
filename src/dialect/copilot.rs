//! GitHub Copilot in VS Code and its command line: the conventions, with keys of its own beside them.
//!
//! Its spans tell all; its log records repeat tools and turns, and tell feedback. Usage costs are in units of its own,
//! not in USD. Source: the extension's telemetry of 2026.

use super::Dialect;
use super::coding;
use super::draft::Draft;
use super::messages;
use super::source::Source;
use crate::event::Feedback;
use crate::event::event_type;

pub(super) const DIALECT: Dialect = Dialect {
    name: "github-copilot",
    scopes: &["copilot-chat", "github.copilot"],
    keys: &["copilot_chat.", "github.copilot."],
    events: &["copilot_chat.", "github.copilot."],
    probe: Some(|source| source.scope.resource_text("service.name") == Some("copilot-chat")),
    read,
    ..Dialect::NONE
};

const FIRST_TOKEN: &str = "copilot_chat.time_to_first_token";

fn read(source: &Source<'_>, draft: &mut Draft) {
    if source.is_log && source.name.starts_with("copilot_chat.") {
        return log(source, draft);
    }
    reasoned_answer(source, draft);
    if let Some(millis) = source.number(FIRST_TOKEN)
        && !draft.first_token(source, millis, FIRST_TOKEN)
    {
        source.attributes.place(FIRST_TOKEN).into_iter().for_each(|place| source.attributes.unmark_place(place));
    }
    if let Some(turn) = source.attributes.count("copilot_chat.turn.index", &source.notes) {
        draft.graph().step_index.get_or_insert(turn.value);
    }
    for (key, name) in [
        ("copilot_chat.parent_chat_session_id", "parent_session"),
        ("copilot_chat.turn_count", "turn_count"),
        ("copilot_chat.debug_name", "debug_name"),
        ("copilot_chat.user_request", "user_request"),
        ("copilot_chat.request.options", "request_options"),
        ("copilot_chat.copilot_usage_nano_aiu", "usage_nano_aiu"),
    ] {
        draft.detail_from(&source.attributes, key, name);
    }
    coding::note_cut(
        source,
        &[
            "gen_ai.input.messages",
            "gen_ai.output.messages",
            "gen_ai.system_instructions",
            "gen_ai.tool.call.arguments",
            "gen_ai.tool.call.result",
        ],
    );
}

/// Reasoning stands beside the answer.
fn reasoned_answer(source: &Source<'_>, draft: &mut Draft) {
    const KEY: &str = "gen_ai.output.messages";
    let (Some(reasoning), Some(doc)) = (source.peek("copilot_chat.reasoning_content"), source.json(KEY)) else {
        return;
    };
    let mut told = messages::read(&doc.node, "assistant");
    let whole = doc.whole && !told.lossy;
    let Some(said) = told.said.iter_mut().find(|said| said.message.role == "assistant") else { return };
    if said.message.reasoning.is_none() {
        said.message.reasoning = Some(reasoning.to_owned());
        source.attributes.mark("copilot_chat.reasoning_content");
    }
    if draft.output(told, &source.notes, KEY) && whole {
        source.attributes.mark(KEY);
    }
}

fn log(source: &Source<'_>, draft: &mut Draft) {
    source.attributes.mark("event.name");
    match source.name {
        "copilot_chat.user.feedback" | "copilot_chat.edit.feedback" => {
            draft.kind(event_type::FEEDBACK);
            let value = ["rating", "outcome"].iter().find_map(|key| source.attributes.raw_json(key));
            let kind = source.name.strip_prefix("copilot_chat.").map(str::to_owned);
            draft.row.feedback.get_or_insert_with(|| Feedback { r#type: kind, value, ..Feedback::default() });
        }
        _ => draft.kind(event_type::LOG_LINE),
    }
}
