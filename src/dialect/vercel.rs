//! Vercel AI SDK 3 to 6, and 7 in its legacy form: `ai.*` attributes. Version 7's own form is the conventions'.
//!
//! Source: package `ai` 3.4, 4.3, 5.0 and 6.0, `@ai-sdk/otel` 1.0.

use super::Dialect;
use super::attributes::Found;
use super::draft::Draft;
use super::json::Node;
use super::messages;
use super::messages::Definitions;
use super::source::Source;
use super::usage::Counts;
use super::usage::Scheme;
use super::value;
use crate::event::Relation;
use crate::event::ToolExecution;
use crate::event::event_type;
use std::borrow::Cow;

pub(super) const DIALECT: Dialect = Dialect {
    name: "vercel-ai",
    keys: &["ai.operationId", "ai.model.", "ai.prompt", "ai.response.", "ai.toolCall.", "ai.usage.", "ai.settings."],
    probe: Some(|source| source.scope.name == SCOPE),
    read,
    ..Dialect::NONE
};

/// Its scope; of version 7 that of its legacy form.
pub(super) const SCOPE: &str = "ai";

fn read(source: &Source<'_>, draft: &mut Draft) {
    if source.is_log {
        return;
    }
    kind(source, draft);
    model(source, draft);
    if draft.is(event_type::TOOL_EXECUTION) {
        tool(source, draft);
    } else if draft.is(event_type::CHAT_COMPLETION) {
        tools(source, draft);
        input(source, draft);
        output(source, draft);
        first_chunk(source, draft);
    } else if draft.is(event_type::EMBEDDING) {
        draft.detail_from(&source.attributes, "ai.value", "input");
        values(source, draft, "ai.values", "input");
    } else if draft.is(event_type::RERANK) {
        values(source, draft, "ai.documents", "input_documents");
        values(source, draft, "ai.ranking", "documents");
    }
    draft.usage(&source.attributes, || counts(source));
    draft.detail_from(&source.attributes, "ai.response.providerMetadata", "provider_metadata");
}

fn kind(source: &Source<'_>, draft: &mut Draft) {
    let Some(operation) = source.text("ai.operationId") else {
        if source.has("ai.toolCall.name") {
            draft.kind(event_type::TOOL_EXECUTION);
        }
        return;
    };
    let (outer, step) =
        operation.trim_start_matches("ai.").split_once('.').unwrap_or((operation.trim_start_matches("ai."), ""));
    let kind = match outer {
        "toolCall" => event_type::TOOL_EXECUTION,
        "embed" | "embedMany" => event_type::EMBEDDING,
        "rerank" => event_type::RERANK,
        "generateText" | "streamText" | "generateObject" | "streamObject" => event_type::CHAT_COMPLETION,
        _ => event_type::GRAPH_STEP,
    };
    // The outer span tells all steps together; the calls stand below it.
    if step.is_empty() && kind != event_type::TOOL_EXECUTION && kind != event_type::GRAPH_STEP {
        draft.relation = Relation::CallIfNoCallBelow;
    }
    draft.kind(kind);
    let model = draft.model();
    model.operation.get_or_insert_with(|| operation.to_owned());
    if operation.contains("stream") {
        model.stream.get_or_insert(true);
    }
}

fn model(source: &Source<'_>, draft: &mut Draft) {
    let attributes = &source.attributes;
    if let Some((_, name)) = attributes.first_text(&["ai.telemetry.functionId"]) {
        draft.agent().name.get_or_insert_with(|| name.to_owned());
    }
    if draft.is(event_type::TOOL_EXECUTION) {
        return;
    }
    if draft.model().provider.is_none() {
        draft.model().provider = source.peek("ai.model.provider").and_then(provider);
    }
    let texts = [("ai.model.id", 0), ("ai.response.model", 1), ("ai.response.id", 2)];
    for (key, slot) in texts {
        let Some(text) = source.peek(key) else { continue };
        let model = draft.model();
        let slot = match slot {
            0 => &mut model.request,
            1 => &mut model.response,
            _ => &mut model.response_id,
        };
        if slot.is_none() {
            *slot = Some(text.to_owned());
            attributes.mark(key);
        }
    }
    for key in ["ai.response.finishReason", "ai.finishReason"] {
        draft.reasons_from(attributes, key);
    }
    parameters(source, draft);
}

/// `openai.chat` is OpenAI's; of a name that nobody knows, what stands before the dot.
fn provider(raw: &str) -> Option<String> {
    let known = value::provider(raw)?;
    if known == raw && raw.contains('.') {
        return raw.split('.').next().and_then(value::provider).map(Cow::into_owned);
    }
    Some(known.into_owned())
}

fn parameters(source: &Source<'_>, draft: &mut Draft) {
    if draft.model().parameters.is_some() {
        return;
    }
    let mut entries: Vec<(&str, String)> = Vec::new();
    for (place, name, any) in source.attributes.below("ai.settings.") {
        if name.starts_with("context.") {
            continue;
        }
        entries.push((name, super::json::any_json(any)));
        source.attributes.mark_place(place);
    }
    if let Some(choice) = source.attributes.raw_json("ai.prompt.toolChoice") {
        entries.push(("toolChoice", choice));
    }
    if !entries.is_empty() {
        draft.model().parameters =
            Some(crate::event::json::object(entries.iter().map(|(name, json)| (*name, json.as_str()))));
    }
}

fn tools(source: &Source<'_>, draft: &mut Draft) {
    if draft.has_tools() {
        return;
    }
    let Some(doc) = source.json("ai.prompt.tools") else { return };
    let mut tools = Definitions::default();
    if tools.read(&doc.node) && doc.whole {
        source.attributes.mark("ai.prompt.tools");
    }
    draft.tools(tools);
}

/// The provider's messages on the inner span; what the caller passed on the outer one.
fn input(source: &Source<'_>, draft: &mut Draft) {
    draft.input_from(&source.attributes, &source.notes, "ai.prompt.messages");
    if draft.has_input() {
        return;
    }
    let Some(doc) = source.json("ai.prompt") else { return };
    let mut told = messages::Told::default();
    let mut take = |node: Option<&Node<'_>>, role: &'static str| {
        if let Some(node) = node {
            let more = messages::read(node, role);
            told.lossy |= more.lossy;
            told.withheld |= more.withheld;
            told.said.extend(more.said);
        }
    };
    if doc.node.is_object() {
        take(doc.node.first(&["system", "instructions"]), "system");
        take(doc.node.get("messages"), "user");
        take(doc.node.get("prompt"), "user");
    } else {
        take(Some(&doc.node), "user");
    }
    let known = |key: &str| matches!(key, "system" | "instructions" | "messages" | "prompt");
    let whole =
        doc.whole && !told.lossy && doc.node.entries().iter().all(|(key, value)| known(key) || value.is_empty());
    if draft.input(told, &source.notes, "ai.prompt") && whole {
        source.attributes.mark("ai.prompt");
    }
}

/// One assistant message of the pieces of the answer.
fn output(source: &Source<'_>, draft: &mut Draft) {
    if draft.has_output() {
        return;
    }
    let mut entries: Vec<(Cow<'_, str>, Node<'_>)> = vec![("role".into(), Node::String("assistant".into()))];
    let mut keys = Vec::new();
    let mut whole = true;
    let mut parts = Vec::new();
    for (key, name) in [
        ("ai.response.text", "text"),
        ("ai.result.text", "text"),
        ("ai.response.object", "text"),
        ("ai.result.object", "text"),
        ("ai.response.reasoning", "reasoning_content"),
        ("ai.response.toolCalls", "tool_calls"),
        ("ai.result.toolCalls", "tool_calls"),
        ("ai.response.files", "files"),
    ] {
        if entries.iter().any(|(known, _)| known == name) {
            continue;
        }
        if name == "text" {
            // The answer's own text, also where that is JSON.
            if let (Some(text), true) = (source.peek(key), parts.is_empty()) {
                parts.push(Node::object(vec![
                    ("type".into(), Node::String("text".into())),
                    ("text".into(), Node::String(text.into())),
                ]));
                keys.push(key);
            }
            continue;
        }
        let Some(doc) = source.json(key) else { continue };
        whole &= doc.whole;
        keys.push(key);
        match (name, doc.node) {
            ("files", Node::Array(files)) => parts.extend(files.items),
            (_, node) => entries.push((name.into(), node)),
        }
    }
    if !parts.is_empty() {
        entries.push(("content".into(), Node::array(parts)));
    }
    if keys.is_empty() {
        return;
    }
    let told = messages::read_message(&Node::object(entries), "assistant");
    let lossy = told.lossy;
    if draft.output(told, &source.notes, "ai.response") && whole && !lossy {
        for key in keys {
            source.attributes.mark(key);
        }
    }
}

fn first_chunk(source: &Source<'_>, draft: &mut Draft) {
    for key in ["ai.response.msToFirstChunk", "ai.stream.msToFirstChunk"] {
        if let Some(millis) = source.number(key)
            && !draft.first_token(source, millis, key)
        {
            source.attributes.unmark(key);
        }
    }
    if let Some(event) = source.event("ai.stream.firstChunk") {
        let key = "ai.response.msToFirstChunk";
        match event.attributes.number(key, &source.notes) {
            Some(millis) => {
                draft.first_token(source, millis, key);
            }
            None => draft.first_token_event(source, event),
        }
    }
}

fn counts(source: &Source<'_>) -> Counts {
    let first = |keys: &[&str]| source.attributes.first_count(keys, &source.notes);
    let counts = Counts {
        input: first(&["ai.usage.inputTokens", "ai.usage.promptTokens", "ai.usage.tokens"]),
        output: first(&["ai.usage.outputTokens", "ai.usage.completionTokens"]),
        total: first(&["ai.usage.totalTokens"]),
        cached: first(&["ai.usage.inputTokenDetails.cacheReadTokens", "ai.usage.cachedInputTokens"]),
        written: first(&["ai.usage.inputTokenDetails.cacheWriteTokens"]),
        reasoning: first(&["ai.usage.outputTokenDetails.reasoningTokens", "ai.usage.reasoningTokens"]),
        scheme: Scheme::Unknown,
    };
    let counts = if counts.is_empty() { counts } else { beside(source, counts) };
    let fresh = first(&["ai.usage.inputTokenDetails.noCacheTokens"]);
    let scheme = scheme(source, counts, fresh);
    // A total of the embeddings is their input.
    Counts { scheme, ..counts }
}

/// What the SDK has no key for, or leaves out of its own usage, stands in what it passes on of the provider:
/// `{"anthropic": {"usage": {..}, "cacheCreationInputTokens": 8}}`, `{"openai": {"cachedPromptTokens": 16}}`.
fn beside(source: &Source<'_>, counts: Counts) -> Counts {
    let Some(doc) = source.json("ai.response.providerMetadata") else { return counts };
    doc.node.entries().iter().fold(counts, |counts, (_, provider)| {
        let usage = provider.first(&["usage", "usageMetadata"]).map(Counts::of).unwrap_or_default();
        let more = usage.or(Counts::of(provider));
        Counts {
            total: counts.total.or(more.total),
            cached: counts.cached.or(more.cached),
            written: counts.written.or(more.written),
            reasoning: counts.reasoning.or(more.reasoning),
            ..counts
        }
    })
}

/// What is known of the provider: Anthropic's input leaves out cached tokens, unless the SDK says what is left.
fn scheme(source: &Source<'_>, counts: Counts, fresh: Option<Found<i64>>) -> Scheme {
    let cached =
        counts.cached.map_or(0, |found| found.value).saturating_add(counts.written.map_or(0, |found| found.value));
    match (counts.input, fresh) {
        (Some(input), Some(fresh)) if cached > 0 => {
            if input.value == fresh.value {
                Scheme::CacheApart
            } else {
                Scheme::Inclusive
            }
        }
        _ => {
            let apart = source
                .peek("ai.model.provider")
                .is_some_and(|name| name.starts_with("anthropic") || name.contains("bedrock"));
            if apart { Scheme::CacheApart } else { Scheme::Unknown }
        }
    }
}

fn tool(source: &Source<'_>, draft: &mut Draft) {
    let attributes = &source.attributes;
    draft.tool(|| ToolExecution {
        name: source.text("ai.toolCall.name").unwrap_or(source.name).to_owned(),
        call_id: source.text("ai.toolCall.id").map(str::to_owned),
        arguments: attributes.raw_json("ai.toolCall.args").or_else(|| attributes.raw_json("ai.toolCall.input")),
        result: attributes.raw_json("ai.toolCall.result").or_else(|| attributes.raw_json("ai.toolCall.output")),
        ..ToolExecution::default()
    });
}

/// A list whose items are JSON texts, as a list of values.
fn values(source: &Source<'_>, draft: &mut Draft, key: &str, name: &str) {
    let Some(doc) = source.json(key) else { return };
    let items: Vec<String> = doc
        .node
        .items()
        .iter()
        .map(|item| match item {
            Node::String(text) => super::json::text_as_json(text),
            other => other.json(),
        })
        .collect();
    if !items.is_empty() && draft.detail(name, format!("[{}]", items.join(","))) && doc.whole {
        source.attributes.mark(key);
    }
}

#[cfg(test)]
mod tests {
    use crate::dialect::tests::*;
    use crate::event::event_type;
    use serde_json::json;

    #[test]
    fn an_answer_in_pieces_is_one_message() {
        let partial = read_span(
            "ai",
            a_span(
                "ai.streamText.doStream",
                json!({
                    "ai.operationId": "ai.streamText.doStream", "ai.model.provider": "openai.chat", "ai.model.id": "gpt-4o-mini",
                    "ai.prompt.messages": "[{\"role\":\"system\",\"content\":\"Be brief.\"},{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"Hi\"}]},{\"role\":\"assistant\",\"content\":[{\"type\":\"tool-call\",\"toolCallId\":\"call_0\",\"toolName\":\"f\",\"input\":{\"a\":1}}]},{\"role\":\"tool\",\"content\":[{\"type\":\"tool-result\",\"toolCallId\":\"call_0\",\"toolName\":\"f\",\"output\":{\"type\":\"json\",\"value\":{\"t\":21}}}]}]",
                    "ai.prompt.tools": ["{\"type\":\"function\",\"name\":\"f\",\"inputSchema\":{\"type\":\"object\"}}"],
                    "ai.response.text": "Let me see.", "ai.response.reasoning": "Hm.",
                    "ai.response.toolCalls": "[{\"toolCallId\":\"call_1\",\"toolName\":\"f\",\"input\":\"{\\\"city\\\":\\\"Lisboa\\\"}\"}]",
                    "ai.response.finishReason": "tool-calls", "ai.response.msToFirstChunk": 412.7, "ai.response.id": "r-1",
                    "ai.usage.inputTokens": 12, "ai.usage.outputTokens": 5, "ai.usage.cachedInputTokens": 4,
                    "ai.telemetry.metadata.sessionId": "s-1", "ai.telemetry.metadata.userId": "u-9",
                }),
            ),
        );
        let row = row(&partial);
        assert_eq!((row.dialect.as_str(), row.event_type.as_str()), ("vercel-ai", event_type::CHAT_COMPLETION));
        let roles: Vec<&str> = row.messages.iter().map(|message| message.role.as_str()).collect();
        assert_eq!(roles, ["system", "user", "assistant", "tool", "assistant"]);
        assert_eq!(row.messages[3].content.as_deref(), Some("{\"t\":21}"));
        let answer = &row.messages[4];
        assert_eq!((answer.content.as_deref(), answer.reasoning.as_deref()), (Some("Let me see."), Some("Hm.")));
        assert_eq!(answer.tool_calls[0].arguments.as_deref(), Some("{\"city\":\"Lisboa\"}"));
        let model = row.model.as_ref().unwrap();
        assert_eq!(
            (model.provider.as_deref(), model.stream, model.finish_reasons[0].as_str()),
            (Some("openai"), Some(true), "tool_calls")
        );
        assert_eq!(row.timing.as_ref().unwrap().time_to_first_token_ms, Some(412.7));
        assert_eq!((row.conversation_id.as_str(), row.user.as_ref().unwrap().id.as_deref()), ("s-1", Some("u-9")));
    }

    #[test]
    fn what_the_sdk_passes_on_of_the_provider_fills_its_usage() {
        let tokens = |provider: &str, usage: serde_json::Value, metadata: serde_json::Value| {
            let mut keys = json!({
                "ai.operationId": "ai.generateText.doGenerate", "ai.model.provider": provider, "ai.model.id": "m",
                "ai.response.text": "Hi.", "ai.response.providerMetadata": metadata.to_string(),
            });
            keys.as_object_mut().unwrap().extend(usage.as_object().unwrap().clone());
            let partial = read_span("ai", a_span("ai.generateText.doGenerate", keys));
            let tokens = row(&partial).tokens.clone().unwrap();
            (
                tokens.prompt_tokens,
                tokens.completion_tokens,
                tokens.cached_tokens,
                tokens.cache_creation_tokens,
                tokens.reasoning_tokens,
            )
        };
        let old = json!({"ai.usage.promptTokens": 41, "ai.usage.completionTokens": 21});
        let apart = (Some(65), Some(21), Some(16), Some(8), None);
        let four = json!({"anthropic": {"cacheCreationInputTokens": 8, "cacheReadInputTokens": 16}});
        assert_eq!(tokens("anthropic.messages", old.clone(), four), apart);
        let five = json!({"anthropic": {"usage": {"input_tokens": 41, "output_tokens": 21,
            "cache_creation_input_tokens": 8, "cache_read_input_tokens": 16}, "cacheCreationInputTokens": 8}});
        assert_eq!(tokens("anthropic.messages", old, five.clone()), apart);
        let six = json!({"ai.usage.inputTokens": 65, "ai.usage.outputTokens": 21,
            "ai.usage.inputTokenDetails.noCacheTokens": 41, "ai.usage.inputTokenDetails.cacheReadTokens": 16,
            "ai.usage.inputTokenDetails.cacheWriteTokens": 8});
        assert_eq!(tokens("anthropic.messages", six, five), apart);
        let openai = json!({"openai": {"cachedPromptTokens": 16, "reasoningTokens": 5, "acceptedPredictionTokens": 0}});
        let inclusive = json!({"ai.usage.promptTokens": 57, "ai.usage.completionTokens": 21});
        assert_eq!(tokens("openai.chat", inclusive.clone(), openai), (Some(57), Some(21), Some(16), None, Some(5)));
        // Gemini's thoughts stand beside the output, and only its own object has the total that tells.
        let google = json!({"google": {"usageMetadata": {"promptTokenCount": 57, "candidatesTokenCount": 21,
            "thoughtsTokenCount": 5, "cachedContentTokenCount": 16, "totalTokenCount": 83}}});
        assert_eq!(tokens("google.generative-ai", inclusive, google), (Some(57), Some(26), Some(16), None, Some(5)));
    }

    #[test]
    fn versions_three_and_four_have_names_of_their_own() {
        let partial = read_span(
            "ai",
            a_span(
                "ai.generateText.doGenerate",
                json!({
                    "ai.operationId": "ai.generateText.doGenerate", "ai.model.provider": "openai.chat", "ai.model.id": "gpt-4o",
                    "ai.result.text": "Hello", "ai.finishReason": "stop", "ai.usage.promptTokens": 12, "ai.usage.completionTokens": 5,
                    "ai.result.toolCalls": "[{\"toolCallType\":\"function\",\"toolCallId\":\"call_1\",\"toolName\":\"f\",\"args\":\"{}\"}]",
                }),
            ),
        );
        let answer = &row(&partial).messages[0];
        assert_eq!((answer.content.as_deref(), answer.tool_calls[0].id.as_deref()), (Some("Hello"), Some("call_1")));
        assert_eq!(row(&partial).tokens.as_ref().unwrap().total_tokens, Some(17));
    }

    #[test]
    fn anthropics_cached_tokens_are_added_once() {
        let prompt = |more: serde_json::Value| {
            let mut object = json!({
                "ai.operationId": "ai.generateText.doGenerate", "ai.model.provider": "anthropic.messages",
                "ai.usage.inputTokens": 41, "ai.usage.outputTokens": 21, "ai.usage.cachedInputTokens": 16,
            });
            object.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            row(&read_span("ai", a_span("x", object))).tokens.as_ref().unwrap().prompt_tokens
        };
        assert_eq!(prompt(json!({})), Some(57));
        // What is left beside the cache says that the input has it in already.
        assert_eq!(prompt(json!({"ai.usage.inputTokenDetails.noCacheTokens": 25})), Some(41));
    }

    #[test]
    fn an_unknown_user_is_none() {
        let user = |id: &str| {
            let keys = json!({"ai.operationId": "ai.streamText.doStream", "ai.telemetry.metadata.userId": id});
            row(&read_span("opencode", a_span("ai.streamText.doStream", keys))).user.clone()
        };
        assert_eq!(user("u-1").unwrap().id.as_deref(), Some("u-1"));
        assert_eq!(user("unknown"), None);
    }

    #[test]
    fn an_outer_span_is_a_call_only_alone() {
        let partial = read_span(
            "ai",
            a_span(
                "ai.generateText",
                json!({"ai.operationId": "ai.generateText", "ai.prompt": "{\"system\":\"Be brief.\",\"prompt\":\"Hi\"}"}),
            ),
        );
        assert_eq!(partial.relation(), crate::event::Relation::CallIfNoCallBelow);
        assert_eq!(
            messages(&partial),
            json!([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}])
        );
    }
}
