//! vLLM's server spans: numbers of one request, in seconds, and no content.
//!
//! Source: captures of what a server sends.

use super::Dialect;
use super::draft::Draft;
use super::source::Source;
use crate::event::event_type;

pub(super) const DIALECT: Dialect =
    Dialect { name: "vllm", scopes: &["vllm."], keys: &["gen_ai.latency."], read, ..Dialect::NONE };

const FIRST_TOKEN: &str = "gen_ai.latency.time_to_first_token";
const LATENCY: &str = "gen_ai.latency.";

fn read(source: &Source<'_>, draft: &mut Draft) {
    if source.is_log || source.name != "llm_request" {
        return;
    }
    draft.kind(event_type::CHAT_COMPLETION);
    if let Some(seconds) = source.number(FIRST_TOKEN) {
        draft.first_token(source, seconds * 1000.0, FIRST_TOKEN);
    }
    draft.detail_from(&source.attributes, "gen_ai.request.id", "request_id");
    let mut seconds: Vec<(&str, String)> = Vec::new();
    for (place, name, any) in source.attributes.below(LATENCY) {
        seconds.push((name, super::json::any_json(any)));
        source.attributes.mark_place(place);
    }
    if !seconds.is_empty() {
        let json = crate::event::json::object(seconds.iter().map(|(name, json)| (*name, json.as_str())));
        draft.detail("latency_seconds", json);
    }
}
