//! OpenLIT: the conventions, with losses, invented parameters and keys of its own.
//!
//! Source: package `openlit` 1.45. What stands where the conventions put it is read there.

use super::Dialect;
use super::attributes::Attributes;
use super::draft::Draft;
use super::genai;
use super::source::Source;
use super::usage::Counts;
use super::usage::Scheme;
use crate::event::event_type;
use opentelemetry_proto::tonic::common::v1::AnyValue;

pub(super) const DIALECT: Dialect = Dialect {
    name: "openlit",
    scopes: &["openlit."],
    keys: &["openlit."],
    probe: Some(|source| source.peek("telemetry.sdk.name") == Some("openlit")),
    read,
    ..Dialect::NONE
};

fn read(source: &Source<'_>, draft: &mut Draft) {
    genai::kind(source, draft);
    if draft.is(event_type::CHAT_COMPLETION) {
        draft.unset = Some(is_invented);
        genai::content(&source.attributes, &source.notes, draft);
        nothing_said(draft);
        usage(&source.attributes, source, draft);
        reasoning(source, draft);
        first_token(source, draft);
    }
    for (key, name) in [
        ("gen_ai.graph.nodes", "nodes"),
        ("gen_ai.graph.edges", "edges"),
        ("gen_ai.graph.executed_nodes", "executed_nodes"),
    ] {
        draft.detail_from(&source.attributes, key, name);
    }
}

/// Whether a request parameter is what OpenLIT writes where nobody set one.
fn is_invented(name: &str, value: &AnyValue) -> bool {
    let text = super::json::any_json(value);
    match name {
        "seed" => text == "0",
        "max_tokens" => text == "-1",
        "top_p" => matches!(text.as_str(), "1.0" | "1"),
        "frequency_penalty" | "presence_penalty" => matches!(text.as_str(), "0.0" | "0"),
        _ => false,
    }
}

/// A part of Gemini's that calls a tool has no text, of which OpenLIT writes Python's word for nothing.
fn nothing_said(draft: &mut Draft) {
    for message in draft.output_mut().into_iter().flatten().filter(|message| !message.tool_calls.is_empty()) {
        if message.content.as_deref() == Some("None") && message.content_parts.is_none() {
            message.content = None;
        }
    }
}

/// The total has a metric's name.
fn usage(attributes: &Attributes<'_>, source: &Source<'_>, draft: &mut Draft) {
    draft.usage(attributes, || {
        let counts = genai::counts(attributes, &source.notes);
        let total = counts.total.or_else(|| attributes.count("gen_ai.client.token.usage", &source.notes));
        // These two pass the provider's numbers on, and add up a total that leaves the cache out.
        let passes_on = ["openlit.instrumentation.anthropic", "openlit.instrumentation.bedrock"];
        let scheme = if passes_on.contains(&source.scope.name) { Scheme::CacheApart } else { Scheme::Unknown };
        Counts { total, scheme, ..counts }
    });
}

fn reasoning(source: &Source<'_>, draft: &mut Draft) {
    let key = "gen_ai.content.reasoning";
    let Some(text) = source.peek(key) else { return };
    if let Some(message) = draft.output_mut().and_then(|output| output.iter_mut().find(|one| one.role == "assistant"))
        && message.reasoning.is_none()
    {
        message.reasoning = Some(text.to_owned());
        source.attributes.mark(key);
    }
}

/// Of a stream it is a measurement; without one the whole latency stands there.
fn first_token(source: &Source<'_>, draft: &mut Draft) {
    let key = "gen_ai.server.time_to_first_token";
    let streams = ["gen_ai.request.stream", "gen_ai.request.is_stream"]
        .iter()
        .any(|key| source.attributes.truth(key) == Some(true));
    if streams
        && let Some(seconds) = source.number(key)
        && !draft.first_token(source, seconds * 1000.0, key)
    {
        source.attributes.unmark(key);
    }
}

#[cfg(test)]
mod tests {
    use crate::dialect::tests::*;
    use crate::event::event_type;
    use serde_json::json;

    fn chat(stream: bool) -> serde_json::Value {
        json!({
            "telemetry.sdk.name": "openlit", "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-4o-mini", "gen_ai.request.stream": stream,
            "gen_ai.request.seed": 0, "gen_ai.request.top_p": 1.0, "gen_ai.request.max_tokens": -1,
            "gen_ai.request.frequency_penalty": 0.0, "gen_ai.request.temperature": 0.2,
            "gen_ai.server.time_to_first_token": 0.25,
            "gen_ai.usage.input_tokens": 57, "gen_ai.usage.output_tokens": 21, "gen_ai.client.token.usage": 78,
            "gen_ai.usage.cost": 0, "gen_ai.content.reasoning": "Rain.",
            "gen_ai.tool.name": "a, a", "gen_ai.tool.call.id": "call_1, call_2",
            "gen_ai.system_instructions": "[{\"type\":\"text\",\"content\":\"Be brief.\"}]",
            "gen_ai.input.messages": "[{\"role\":\"system\",\"parts\":[{\"type\":\"text\",\"content\":\"Be brief.\"}]},{\"role\":\"user\",\"parts\":[{\"type\":\"text\",\"content\":\"Hi\"}]}]",
            "gen_ai.output.messages": "[{\"role\":\"assistant\",\"parts\":[{\"type\":\"text\",\"content\":\"Hello\"}],\"finish_reason\":\"stop\"}]",
        })
    }

    /// Its package for JavaScript has another key than the one for Python.
    #[test]
    fn a_stream_is_one_under_either_key() {
        for key in ["gen_ai.request.stream", "gen_ai.request.is_stream"] {
            let mut attributes = chat(true);
            attributes.as_object_mut().unwrap().remove("gen_ai.request.stream");
            attributes[key] = json!(true);
            let partial = read_span("openlit.instrumentation.openai", a_span("chat gpt-4o-mini", attributes));
            let row = row(&partial);
            assert_eq!(row.model.as_ref().unwrap().stream, Some(true), "{key}");
            assert_eq!(row.timing.as_ref().unwrap().time_to_first_token_ms, Some(250.0), "{key}");
        }
    }

    #[test]
    fn invented_parameters_are_not_parameters_and_stay() {
        let partial = read_span("openlit.instrumentation.openai", a_span("chat gpt-4o-mini", chat(true)));
        let row = row(&partial);
        assert_eq!(row.dialect, "openlit");
        assert_eq!(row.model.as_ref().unwrap().parameters.as_deref(), Some("{\"temperature\":0.2}"));
        assert!(["gen_ai.request.seed", "gen_ai.request.max_tokens"].iter().all(|key| left(&partial).contains(key)));
        assert!(["gen_ai.tool.name", "gen_ai.usage.cost"].iter().all(|key| left(&partial).contains(key)));
        let tokens = row.tokens.as_ref().unwrap();
        assert_eq!((tokens.total_tokens, tokens.cost_usd), (Some(78), None));
        assert_eq!(
            messages(&partial),
            json!([
                {"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"},
                {"role": "assistant", "content": "Hello", "reasoning": "Rain.", "finish_reason": "stop"},
            ])
        );
    }

    #[test]
    fn only_a_stream_has_a_first_token() {
        let first = |stream| {
            let partial = read_span("openlit.instrumentation.openai", a_span("chat gpt-4o-mini", chat(stream)));
            row(&partial).timing.as_ref().and_then(|timing| timing.time_to_first_token_ms)
        };
        assert_eq!((first(true), first(false)), (Some(250.0), None));
        assert_eq!(row(&read_span("x", a_span("chat", chat(true)))).event_type, event_type::CHAT_COMPLETION);
    }
}
