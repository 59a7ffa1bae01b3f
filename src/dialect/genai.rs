//! OpenTelemetry's GenAI conventions, 1.27 and later: attributes on spans, and one log record or event for each call.
//!
//! Source: `semantic-conventions` 1.27 to 1.44 and `semantic-conventions-genai`. Other dialects use the same keys;
//! what stands under them is read here for all.

mod judged;
mod request;

use super::Dialect;
use super::attributes::Attributes;
use super::draft::Draft;
use super::messages::tells_messages;
use super::notes::Notes;
use super::openllmetry;
use super::source::Source;
use super::usage::Counts;
use super::usage::Scheme;
use super::value;
use crate::event::Half;
use crate::event::Part;
use crate::event::Relation;
use crate::event::ToolExecution;
use crate::event::event_type;
use judged::evaluation;
use judged::evaluation_json;
use judged::retrieval;
use request::parameters;
use request::prompt;
use request::references;

pub(super) const DIALECT: Dialect = Dialect {
    name: "otel-genai",
    scopes: &[
        "opentelemetry.instrumentation.genai.",
        "opentelemetry.instrumentation.openai_v2",
        "opentelemetry.instrumentation.google_genai",
        VERCEL_7,
    ],
    keys: &["gen_ai.", "mcp.method.name", "openai."],
    events: &["gen_ai.client.", "gen_ai.evaluation."],
    read,
    ..Dialect::NONE
};

/// The scope of the Vercel AI SDK 7.
const VERCEL_7: &str = "gen_ai";

/// The event that tells a whole call.
const OPERATION_DETAILS: &str = "gen_ai.client.inference.operation.details";

fn read(source: &Source<'_>, draft: &mut Draft) {
    if source.is_log {
        return log(source, draft);
    }
    kind(source, draft);
    facts(source, draft);
    // Some tell each half by an event of its own, instructions first.
    let told = || source.events.iter().filter(|event| event.name == OPERATION_DETAILS);
    messages(&source.attributes, &source.notes, draft);
    openllmetry::open_items(source, draft);
    for event in told() {
        messages(&event.attributes, &source.notes, draft);
        event.used.set(true);
    }
    instructions(&source.attributes, &source.notes, draft);
    for event in told() {
        instructions(&event.attributes, &source.notes, draft);
    }
    for event in source.events.iter().filter(|event| event.name == "gen_ai.evaluation.result") {
        if draft.detail("evaluation", evaluation_json(&event.attributes)) {
            event.used.set(true);
        }
    }
}

/// Reads a framework's own keys before those that a span processor of OpenInference's has made of them: it joins the
/// results of parallel calls, and leaves out thoughts, cached tokens and the model that answered.
pub(super) fn before_openinference(source: &Source<'_>, draft: &mut Draft) {
    if source.has("openinference.span.kind") && draft.is(event_type::CHAT_COMPLETION) {
        read(source, draft);
    }
}

fn log(source: &Source<'_>, draft: &mut Draft) {
    match source.name {
        OPERATION_DETAILS => {
            draft.part = Some(Part { half: Half::Whole.into(), index: None });
            kind(source, draft);
            draft.kind(event_type::CHAT_COMPLETION);
            facts(source, draft);
            messages(&source.attributes, &source.notes, draft);
            instructions(&source.attributes, &source.notes, draft);
        }
        "gen_ai.evaluation.result" => {
            draft.kind(event_type::EVALUATION);
            evaluation(&source.attributes, &source.notes, draft);
        }
        "gen_ai.client.operation.exception" => {
            draft.part = Some(Part { half: Half::Whole.into(), index: None });
            draft.kind(event_type::LOG_LINE);
            facts(source, draft);
        }
        _ => {}
    }
}

/// The kind of row for an operation's name; None for one that says nothing.
pub(super) fn kind_of_operation(operation: &str) -> Option<&'static str> {
    Some(match operation {
        "chat" | "text_completion" | "generate_content" | "completion" | "acompletion" | "responses" | "aresponses"
        | "fetch_response" | "atext_completion" | "generate" | "message" | "messages" | "anthropic_messages" => {
            event_type::CHAT_COMPLETION
        }
        "execute_tool" => event_type::TOOL_EXECUTION,
        "embeddings" | "embedding" | "aembedding" => event_type::EMBEDDING,
        "retrieval" | "search_memory" => event_type::RETRIEVAL,
        "rerank" | "arerank" => event_type::RERANK,
        "invoke_agent" => event_type::AGENT_INVOCATION,
        "guard" | "guardrail.run" | "execute_guardrail" | "evaluate_guardrail" | "apply_guardrail" => {
            event_type::GUARDRAIL
        }
        "" => return None,
        _ => event_type::GRAPH_STEP,
    })
}

/// Says what kind of operation it is, by the operation's name or else by what is told of a model.
pub(super) fn kind(source: &Source<'_>, draft: &mut Draft) {
    if let Some(operation) = source.text("gen_ai.operation.name") {
        if draft.row.model.as_ref().is_none_or(|model| model.operation.is_none()) {
            draft.model().operation = Some(operation.to_owned());
        }
        if let Some(kind) = kind_of_operation(operation) {
            draft.kind(kind);
        }
        // What was asked for, and each request to the provider below it, have one name.
        if source.scope.name == VERCEL_7 && (draft.is(event_type::EMBEDDING) || draft.is(event_type::RERANK)) {
            draft.relation = Relation::CallIfNoCallBelow;
        }
    }
    if draft.has_kind() {
        return;
    }
    if source.peek("mcp.method.name") == Some("tools/call") {
        draft.kind(event_type::TOOL_EXECUTION);
        return;
    }
    // Before 1.27 there was no operation: a model that was asked, and how it went, tell a call.
    let asked = source.has("gen_ai.request.model") || source.has("gen_ai.response.model");
    let went = [
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.prompt_tokens",
        "gen_ai.usage.output_tokens",
        "gen_ai.usage.completion_tokens",
        "gen_ai.response.finish_reasons",
        "gen_ai.response.id",
        "gen_ai.input.messages",
        "gen_ai.output.messages",
    ]
    .iter()
    .any(|key| source.has(key));
    let named = source.has("gen_ai.system") || source.has("gen_ai.provider.name");
    if asked && (went || named) {
        let embeds = source.name.contains("embed");
        draft.kind(if embeds { event_type::EMBEDDING } else { event_type::CHAT_COMPLETION });
    }
}

/// Everything but content: model, usage, timing, parameters, prompt, evaluation, tool, retrieval.
fn facts(source: &Source<'_>, draft: &mut Draft) {
    let attributes = &source.attributes;
    let notes = &source.notes;
    provider(attributes, draft);
    names(attributes, draft);
    draft.reasons_from(attributes, "gen_ai.response.finish_reasons");
    for key in ["gen_ai.response.finish_reason", "gen_ai.response.stop_reason"] {
        draft.reasons_from(attributes, key);
    }
    draft.usage(attributes, || Counts { scheme: scheme(source), ..counts(attributes, notes) });
    details_of_usage(attributes, notes, draft);
    if !draft.has_cost() {
        let key = "gen_ai.usage.cost";
        if let Some(usd) = attributes.number(key, notes)
            && !draft.cost(usd, key)
        {
            attributes.unmark(key);
        }
    }
    first_chunk(source, draft);
    if draft.row.model.as_ref().is_none_or(|model| model.stream.is_none()) {
        let keys =
            ["gen_ai.request.stream", "gen_ai.request.is_stream", "gen_ai.is_streaming", "gen_ai.response.streaming"];
        if let Some(stream) = keys.iter().find_map(|key| attributes.truth(key)) {
            draft.model().stream = Some(stream);
        }
    }
    parameters(attributes, draft);
    references(attributes, draft);
    prompt(attributes, draft);
    if source.peek("gen_ai.response.status") == Some("failed") && draft.row.status.is_none() {
        draft.row.status = Some(crate::event::status::ERROR.to_owned());
    }
    if draft.is(event_type::TOOL_EXECUTION) {
        tool(source, draft);
    } else if draft.is(event_type::RETRIEVAL) || draft.is(event_type::RERANK) {
        retrieval(attributes, draft);
    } else if draft.is(event_type::EMBEDDING) {
        draft.detail_from(attributes, "gen_ai.embeddings.dimension.count", "dimensions");
    } else if draft.is(event_type::GUARDRAIL) {
        for name in ["name", "status", "input", "output"] {
            draft.detail_from(attributes, &format!("gen_ai.guardrail.{name}"), name);
        }
    } else if draft.is(event_type::EVALUATION) {
        evaluation(attributes, notes, draft);
    } else if source.peek("gen_ai.operation.name") == Some("agent_step") {
        let step = source.name.strip_prefix("step ").and_then(value::count);
        if let Some(step) = step {
            draft.graph().step_index = Some(step);
        }
    }
}

fn provider(attributes: &Attributes<'_>, draft: &mut Draft) {
    if draft.row.model.as_ref().is_some_and(|model| model.provider.is_some()) {
        return;
    }
    for key in ["gen_ai.provider.name", "gen_ai.system"] {
        let Some(raw) = attributes.peek(key) else { continue };
        if let Some(provider) = value::provider(raw) {
            if provider == raw {
                attributes.mark(key);
            }
            draft.model().provider = Some(provider.into_owned());
            return;
        }
    }
}

fn names(attributes: &Attributes<'_>, draft: &mut Draft) {
    let taken = draft.row.model.as_ref().map_or((false, false, false), |model| {
        (model.request.is_some(), model.response.is_some(), model.response_id.is_some())
    });
    // The Collector's normaliser copies OpenInference's name there, which is the answering model's.
    let copied = attributes.peek("gen_ai.request.model").is_some_and(|name| {
        attributes.peek("llm.model_name") == Some(name)
            && draft.row.model.as_ref().is_some_and(|model| model.response.as_deref() == Some(name))
    });
    if !taken.0
        && !copied
        && let Some(name) = model_name(attributes, "gen_ai.request.model")
    {
        draft.model().request = Some(name.to_owned());
    }
    if !taken.1
        && let Some(name) = model_name(attributes, "gen_ai.response.model")
    {
        draft.model().response = Some(name.to_owned());
    }
    if !taken.2
        && let Some(id) = attributes.id("gen_ai.response.id")
    {
        draft.model().response_id = Some(id.into_owned());
    }
}

/// A model's name, and not what Micrometer (`none`) or LangChain4j (`unknown`) writes where there is none.
fn model_name<'a>(attributes: &Attributes<'a>, key: &str) -> Option<&'a str> {
    match attributes.peek(key)? {
        "none" | "unknown" => None,
        _ => attributes.text(key),
    }
}

/// Bedrock counts what was read from a cache beside the input. These packages pass that on, and one adds up a total of
/// its own that leaves the cache out.
fn scheme(source: &Source<'_>) -> Scheme {
    let passes_on = [
        "opentelemetry.instrumentation.bedrock",
        "opentelemetry.instrumentation.genai.bedrock",
        "opentelemetry.instrumentation.botocore.bedrock-runtime",
    ];
    if passes_on.contains(&source.scope.name) { Scheme::CacheApart } else { Scheme::Unknown }
}

/// Usage under every name that the conventions and their neighbours have had.
pub(super) fn counts(attributes: &Attributes<'_>, notes: &Notes) -> Counts {
    let first = |keys: &[&str]| attributes.first_count(keys, notes);
    Counts {
        input: first(&["gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"]),
        output: first(&["gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"]),
        total: first(&["gen_ai.usage.total_tokens", "llm.usage.total_tokens"]),
        cached: first(&[
            "gen_ai.usage.cache_read.input_tokens",
            "gen_ai.usage.cache_read_input_tokens",
            "gen_ai.usage.input_tokens.cached",
            "gen_ai.usage.details.cached_tokens",
            "gen_ai.usage.details.cache_read_tokens",
            "gen_ai.usage.details.cache_read_input_tokens",
        ]),
        written: first(&[
            "gen_ai.usage.cache_write.input_tokens",
            "gen_ai.usage.cache_creation.input_tokens",
            "gen_ai.usage.cache_creation_input_tokens",
            "gen_ai.usage.cache_write_input_tokens",
            "gen_ai.usage.input_tokens.cache_write",
            "gen_ai.usage.details.cache_write_tokens",
            "gen_ai.usage.details.cache_creation_input_tokens",
        ]),
        reasoning: first(&[
            "gen_ai.usage.reasoning.output_tokens",
            "gen_ai.usage.reasoning_tokens",
            "gen_ai.usage.output_tokens.reasoning",
            "gen_ai.usage.details.reasoning_tokens",
            "gen_ai.usage.thinking_tokens",
            "llm.usage.reasoning_tokens",
        ]),
        ..Counts::default()
    }
}

/// Counts that have no column: by modality, and of caches by how long they last.
fn details_of_usage(attributes: &Attributes<'_>, notes: &Notes, draft: &mut Draft) {
    const KEYS: [(&str, &str); 10] = [
        ("gen_ai.usage.text.input_tokens", "prompt_text_tokens"),
        ("gen_ai.usage.image.input_tokens", "prompt_image_tokens"),
        ("gen_ai.usage.audio.input_tokens", "prompt_audio_tokens"),
        ("gen_ai.usage.input_audio_tokens", "prompt_audio_tokens"),
        ("gen_ai.usage.text.output_tokens", "completion_text_tokens"),
        ("gen_ai.usage.image.output_tokens", "completion_image_tokens"),
        ("gen_ai.usage.audio.output_tokens", "completion_audio_tokens"),
        ("gen_ai.usage.output_audio_tokens", "completion_audio_tokens"),
        ("gen_ai.usage.cache_creation.5m_input_tokens", "cache_creation_5m_tokens"),
        ("gen_ai.usage.cache_creation.1h_input_tokens", "cache_creation_1h_tokens"),
    ];
    let mut entries: Vec<(&str, String)> = Vec::new();
    for (key, name) in KEYS {
        if entries.iter().all(|(known, _)| *known != name)
            && let Some(found) = attributes.count(key, notes)
        {
            entries.push((name, found.value.to_string()));
        }
    }
    if !entries.is_empty() {
        draft.detail("usage", crate::event::json::object(entries.iter().map(|(name, json)| (*name, json.as_str()))));
    }
}

fn first_chunk(source: &Source<'_>, draft: &mut Draft) {
    for key in [
        "gen_ai.response.time_to_first_chunk",
        "gen_ai.client.operation.time_to_first_chunk",
        "gen_ai.response.time_to_first_token",
    ] {
        if let Some(seconds) = source.number(key)
            && !draft.first_token(source, seconds * 1000.0, key)
        {
            source.attributes.unmark(key);
        }
    }
}

/// Messages, tool definitions and instructions, from a span, an event or a log record.
pub(super) fn content(attributes: &Attributes<'_>, notes: &Notes, draft: &mut Draft) {
    messages(attributes, notes, draft);
    instructions(attributes, notes, draft);
}

/// Messages and tool definitions; instructions go before what was said, and so are read after it.
fn messages(attributes: &Attributes<'_>, notes: &Notes, draft: &mut Draft) {
    draft.tools_from(attributes, notes, "gen_ai.tool.definitions");
    if draft.is(event_type::TOOL_EXECUTION) {
        return;
    }
    if draft.is(event_type::GRAPH_STEP) {
        draft.detail_from(attributes, "gen_ai.input.messages", "input");
        draft.detail_from(attributes, "gen_ai.output.messages", "output");
        return;
    }
    if draft.is(event_type::EMBEDDING) {
        draft.detail_from(attributes, "gen_ai.input.messages", "input");
        draft.detail_from(attributes, "gen_ai.output.messages", "output");
        return;
    }
    for (key, is_input) in [("gen_ai.input.messages", true), ("gen_ai.output.messages", false)] {
        // The Collector's normaliser copies a framework's own JSON to here.
        let foreign = attributes.may_be_object(key)
            && attributes.json(key, notes).is_some_and(|doc| doc.node.is_object() && !tells_messages(&doc.node));
        if foreign {
            draft.detail_from(attributes, key, if is_input { "input" } else { "output" });
        } else if is_input {
            draft.input_from(attributes, notes, key);
        } else {
            draft.output_from(attributes, notes, key);
        }
    }
}

fn instructions(attributes: &Attributes<'_>, notes: &Notes, draft: &mut Draft) {
    let key = "gen_ai.system_instructions";
    if draft.is(event_type::GRAPH_STEP) {
        draft.detail_from(attributes, key, "system_instructions");
    } else if !draft.is(event_type::TOOL_EXECUTION) && !draft.is(event_type::EMBEDDING) {
        draft.system_from(attributes, notes, key);
    }
}

/// Whether a span is that of a decorated function: `name.tool`.
fn is_entity(span: &str, name: &str, kind: &str) -> bool {
    span.strip_prefix(name).is_some_and(|rest| rest.strip_prefix('.') == Some(kind))
}

/// The one execution that a tool's span tells.
fn tool(source: &Source<'_>, draft: &mut Draft) {
    let attributes = &source.attributes;
    draft.tool(|| {
        let text = |keys: &[&str]| attributes.first_text(keys).map(|(_, text)| text.to_owned());
        let named = source.name.strip_prefix("execute_tool ").map(str::trim).filter(|name| !name.is_empty());
        // After the Collector's normaliser a tool's name may stand where an agent's does: its span begins with it.
        let named =
            named.or_else(|| source.peek("gen_ai.agent.name").filter(|name| is_entity(source.name, name, "tool")));
        ToolExecution {
            name: text(&["gen_ai.tool.name"])
                .or_else(|| named.map(str::to_owned))
                .unwrap_or_else(|| source.name.to_owned()),
            call_id: text(&["gen_ai.tool.call.id", "gen_ai.tool.call_id"]),
            r#type: text(&["gen_ai.tool.type"]),
            arguments: ["gen_ai.tool.call.arguments", "gen_ai.tool.input", "gen_ai.tool.args", "gen_ai.input.messages"]
                .iter()
                .find_map(|key| attributes.raw_json(key)),
            result: ["gen_ai.tool.call.result", "gen_ai.tool.output", "gen_ai.output.messages"]
                .iter()
                .find_map(|key| attributes.raw_json(key)),
            ..ToolExecution::default()
        }
    });
    draft.detail_from(attributes, "gen_ai.tool.description", "description");
}
