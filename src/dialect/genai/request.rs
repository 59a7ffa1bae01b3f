//! What a request asked for besides its messages: parameters, references, the prompt it was made of.

use crate::dialect::attributes::Attributes;
use crate::dialect::draft::Draft;
use crate::dialect::json::Node;
use crate::dialect::value;
use std::borrow::Cow;

/// Request parameters by their bare names, without those that nobody set.
pub(super) fn parameters(attributes: &Attributes<'_>, draft: &mut Draft) {
    if draft.row.model.as_ref().is_some_and(|model| model.parameters.is_some()) {
        return;
    }
    let mut entries: Vec<(&str, String, usize)> = Vec::new();
    for (place, entry) in attributes.list().iter().enumerate() {
        let key = entry.key.as_str();
        let name = match key.strip_prefix("gen_ai.request.") {
            Some(
                "model" | "stream" | "user" | "messages" | "available_tools" | "id" | "type" | "is_stream"
                | "streaming",
            ) => continue,
            Some(name) => name,
            None => match key {
                "gen_ai.output.type" => "output_type",
                "openai.request.service_tier" | "gen_ai.openai.request.service_tier" => "service_tier",
                "gen_ai.openai.request.seed" => "seed",
                "gen_ai.openai.request.response_format" => "response_format",
                _ => continue,
            },
        };
        let is_unset = draft.unset.zip(entry.value.as_ref()).is_some_and(|(unset, value)| unset(name, value));
        if is_unset || entries.iter().any(|(known, _, _)| *known == name) {
            continue;
        }
        let json = match name {
            // Some encode the list once more.
            "stop_sequences" | "encoding_formats" => {
                Some(Node::array(attributes.words(key).into_iter().map(Node::String).collect::<Vec<Node<'_>>>()).json())
            }
            _ => attributes.any(key).map(|any| match crate::dialect::json::any_text(any) {
                Some(text) if text.starts_with(['{', '[']) || is_number_as_text(name, text) => {
                    crate::dialect::json::text_as_json(text)
                }
                _ => crate::dialect::json::any_json(any),
            }),
        };
        if let Some(json) = json {
            entries.push((name, json, place));
        }
    }
    if entries.is_empty() {
        return;
    }
    draft.model().parameters =
        Some(crate::event::json::object(entries.iter().map(|(name, json, _)| (*name, json.as_str()))));
    for (_, _, place) in entries {
        attributes.mark_place(place);
    }
}

/// Some can only send texts.
fn is_number_as_text(name: &str, text: &str) -> bool {
    let of_numbers = matches!(
        name,
        "temperature"
            | "top_p"
            | "top_k"
            | "max_tokens"
            | "frequency_penalty"
            | "presence_penalty"
            | "seed"
            | "n"
            | "choice.count"
    );
    of_numbers && value::number(text).is_some()
}

/// Addresses of content that was stored elsewhere.
pub(super) fn references(attributes: &Attributes<'_>, draft: &mut Draft) {
    let keys = [
        ("gen_ai.system_instructions_ref", "system_instructions"),
        ("gen_ai.input.messages_ref", "input_messages"),
        ("gen_ai.output.messages_ref", "output_messages"),
        ("gen_ai.tool.definitions_ref", "tool_definitions"),
    ];
    let entries: Vec<(&str, String)> =
        keys.iter().filter_map(|(key, name)| attributes.raw_json(key).map(|json| (*name, json))).collect();
    if !entries.is_empty() {
        draft.detail(
            "content_refs",
            crate::event::json::object(entries.iter().map(|(name, json)| (*name, json.as_str()))),
        );
    }
}

pub(super) fn prompt(attributes: &Attributes<'_>, draft: &mut Draft) {
    if !attributes.has("gen_ai.prompt.name") {
        return;
    }
    let mut entries: Vec<(Cow<'_, str>, String)> = Vec::new();
    for name in ["name", "version"] {
        if let Some(json) = attributes.any(&format!("gen_ai.prompt.{name}")).map(crate::dialect::json::any_json) {
            attributes.mark(&format!("gen_ai.prompt.{name}"));
            entries.push((name.into(), json));
        }
    }
    let prefix = "gen_ai.prompt.variable.";
    let variables: Vec<(&str, String)> =
        attributes.below(prefix).map(|(_, name, any)| (name, crate::dialect::json::any_json(any))).collect();
    if !variables.is_empty() {
        attributes.mark_prefix(prefix);
        entries.push((
            "variables".into(),
            crate::event::json::object(variables.iter().map(|(name, json)| (*name, json.as_str()))),
        ));
    }
    draft.detail(
        "prompt",
        crate::event::json::object(entries.iter().map(|(name, json)| (name.as_ref(), json.as_str()))),
    );
}
