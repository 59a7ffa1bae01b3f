//! LiteLLM, SDK and proxy: a hybrid of the conventions and OpenLLMetry's older keys, and the raw exchange in a child.
//!
//! Source: `litellm` 1.74 to 1.109, its callback `otel` in both code paths. Other callbacks of it speak OpenInference
//! or Langfuse's keys; these are read there.

use super::Dialect;
use super::answer::Answer;
use super::attributes::Attributes;
use super::draft::Draft;
use super::genai;
use super::json::Node;
use super::messages;
use super::messages::Told;
use super::openllmetry;
use super::source::Source;
use super::usage::Counts;
use super::value;
use crate::event::Error;
use crate::event::Message;
use crate::event::Relation;
use crate::event::ToolCall;
use crate::event::event_type;
use std::borrow::Cow;

pub(super) const DIALECT: Dialect = Dialect {
    name: "litellm",
    scopes: &["litellm"],
    keys: &["litellm.", "gen_ai.cost.", "metadata.user_api_key_"],
    probe: Some(|source| matches!(source.name, RAW | "litellm_request" | "Received Proxy Server Request")),
    read,
    settle: super::gateway::settle,
    ..Dialect::NONE
};

/// The child that holds request and answer as they went over the wire.
const RAW: &str = "raw_gen_ai_request";

/// Keys of an answer: OpenAI's, Anthropic's, Bedrock's and Gemini's.
const ANSWER: [&str; 14] = [
    "id",
    "model",
    "choices",
    "output",
    "role",
    "content",
    "usage",
    "object",
    "stop_reason",
    "stopReason",
    "candidates",
    "responseId",
    "modelVersion",
    "usageMetadata",
];

/// Steps of the proxy that are no operation of an application.
const NOISE: [&str; 8] =
    ["proxy_pre_call", "router", "auth", "self", "redis", "postgres", "batch_write_to_db", "route"];

fn read(source: &Source<'_>, draft: &mut Draft) {
    if source.is_log {
        return;
    }
    if source.name == RAW {
        return raw(source, draft);
    }
    if source.scope.name.starts_with("litellm") && NOISE.contains(&source.name) {
        return draft.noise();
    }
    kind(source, draft);
    if draft.is(event_type::CHAT_COMPLETION) {
        call(source, draft);
    } else if draft.is(event_type::GUARDRAIL) {
        for (key, name) in [
            ("guardrail_name", "name"),
            ("guardrail_mode", "mode"),
            ("guardrail_response", "output"),
            ("litellm.guardrail.name", "name"),
            ("litellm.guardrail.status", "status"),
            ("litellm.guardrail.mode", "mode"),
        ] {
            draft.detail_from(&source.attributes, key, name);
        }
    }
    if draft.has_kind() {
        facts(source, draft);
    }
    failure(source, draft);
}

fn kind(source: &Source<'_>, draft: &mut Draft) {
    let told = ["gen_ai.operation.name", "llm.request.type"]
        .iter()
        .find_map(|key| source.peek(key).and_then(genai::kind_of_operation));
    if let Some(kind) = told {
        draft.kind(kind);
    } else if source.name == "guardrail" || source.has("guardrail_name") || source.has("litellm.guardrail.name") {
        draft.kind(event_type::GUARDRAIL);
    }
}

fn call(source: &Source<'_>, draft: &mut Draft) {
    let attributes = &source.attributes;
    let notes = &source.notes;
    openllmetry::functions(source, draft);
    items(source, draft);
    draft.input_from(attributes, notes, "gen_ai.input.messages");
    choices(source, draft);
    draft.output_from(attributes, notes, "gen_ai.output.messages");
    draft.system_from(attributes, notes, "gen_ai.system_instructions");
    calls(source, draft);
    openllmetry::conversation(source, draft);
    if !source.scope.name.starts_with("litellm") && draft.has_input() {
        notes.add(|| "litellm wrote this call onto a span of the application: two calls may be mixed".to_owned());
    }
}

/// The Responses API's items that are no messages (calls, their results, reasoning) stand as a user's with an empty
/// text: nobody said those. The raw child tells what they are.
fn items(source: &Source<'_>, draft: &mut Draft) {
    let key = "gen_ai.input.messages";
    if !source.peek("gen_ai.operation.name").is_some_and(|name| name.ends_with("responses")) {
        return;
    }
    let Some(doc) = source.json(key) else { return };
    let is_item = |message: &Node<'_>| {
        let [part] = message.get("parts").map(Node::items).unwrap_or_default() else { return false };
        message.text("role") == Some("user")
            && part.get("content").and_then(Node::as_str) == Some("")
            && part.text("type") == Some("text")
    };
    let messages: Vec<Node<'_>> = doc.node.items().iter().filter(|message| !is_item(message)).cloned().collect();
    if messages.len() < doc.node.items().len() {
        source.notes.add(|| format!("items without content in {key}"));
        let mut told = messages::read(&Node::array(messages), "user");
        told.lossy = true;
        draft.input(told, &source.notes, key);
    }
}

/// Version 2 writes the message of each choice as it was, and why they ended beside them: as many as there are choices.
fn choices(source: &Source<'_>, draft: &mut Draft) {
    let key = "gen_ai.output.messages";
    let Some(doc) = source.json(key).filter(|_| !draft.has_output()) else { return };
    let Some(reasons) = source.json("gen_ai.response.finish_reasons") else { return };
    let is_bare = |message: &Node<'_>| message.text("finish_reason").is_none() && message.get("content").is_some();
    let reasons: Vec<&str> = reasons.node.items().iter().filter_map(Node::as_str).collect();
    let messages = doc.node.items();
    if messages.len() < 2 || messages.len() != reasons.len() || !messages.iter().all(is_bare) {
        return;
    }
    let mut told = Told::default();
    for (place, (message, reason)) in messages.iter().zip(reasons).enumerate() {
        let mut choice = messages::read_message(message, "assistant");
        for said in &mut choice.said {
            said.choice = i64::try_from(place).ok();
            said.message.finish_reason = value::finish_reason(reason).map(Cow::into_owned);
        }
        told.lossy |= choice.lossy || !doc.whole;
        told.withheld |= choice.withheld;
        told.said.append(&mut choice.said);
    }
    let lossy = told.lossy;
    if draft.output(told, &source.notes, key) && !lossy {
        source.attributes.mark(key);
    }
}

/// An answer that only calls tools has no parts: its calls stand one by one, each under its own number.
fn calls(source: &Source<'_>, draft: &mut Draft) {
    let Some(output) = draft.output_mut() else { return };
    if output.iter().any(|message| !message.tool_calls.is_empty()) {
        return;
    }
    let prefix = "gen_ai.completion.";
    let Some((node, places)) = source.attributes.list_below(prefix, &source.budget, &source.notes) else { return };
    let called: Vec<ToolCall> = node
        .items()
        .iter()
        .filter_map(|item| {
            let call = item.get("function_call")?;
            Some(ToolCall {
                id: call.text("id").map(str::to_owned),
                r#type: Some("function".to_owned()),
                name: call.text("name")?.to_owned(),
                arguments: call.get("arguments").map(Node::plain),
            })
        })
        .collect();
    if called.is_empty() {
        return;
    }
    let whole = node.items().iter().all(|item| {
        let known = |key: &str| matches!(key, "function_call" | "role" | "finish_reason" | "content");
        item.entries().iter().all(|(key, _)| known(key))
    });
    match output.iter_mut().rev().find(|message| message.role == "assistant") {
        Some(message) => message.tool_calls = called,
        None => {
            output.push(Message { role: "assistant".to_owned(), tool_calls: called, ..Message::default() });
        }
    }
    if whole {
        places.into_iter().for_each(|place| source.attributes.mark_place(place));
    }
}

/// Usage, cost and stream, which its own keys tell in more detail than the conventions' do.
fn facts(source: &Source<'_>, draft: &mut Draft) {
    let attributes = &source.attributes;
    draft.usage(attributes, || {
        let whole = source.json("metadata.usage_object").map(|doc| Counts::of(&doc.node)).unwrap_or_default();
        genai::counts(attributes, &source.notes).beside(whole)
    });
    cost(attributes, source, draft, "gen_ai.cost.", "total_cost");
    cost(attributes, source, draft, "litellm.cost.", "total");
    if draft.model().stream.is_none() {
        let stream = ["litellm.request.streaming", "llm.is_streaming"].iter().find_map(|key| attributes.truth(key));
        draft.model().stream = stream;
    }
}

fn cost(attributes: &Attributes<'_>, source: &Source<'_>, draft: &mut Draft, prefix: &str, total: &str) {
    if draft.has_cost() {
        return;
    }
    let key = format!("{prefix}{total}");
    let Some(usd) = attributes.number(&key, &source.notes) else { return };
    if !draft.cost(usd, &key) {
        return attributes.unmark(&key);
    }
    let mut parts: Vec<(&str, String)> = vec![("stated", format!("{usd:?}"))];
    let mut places = Vec::new();
    for (place, name, any) in attributes.below(prefix).filter(|(_, name, _)| *name != total) {
        parts.push((name, super::json::any_json(any)));
        places.push(place);
    }
    if draft.detail_object("cost", &parts) {
        places.into_iter().for_each(|place| attributes.mark_place(place));
    }
}

/// The proxy says of a failed request only this.
fn failure(source: &Source<'_>, draft: &mut Draft) {
    if source.status_code == super::status::STATUS_ERROR
        && source.status_message.is_empty()
        && let Some(message) = source.text("exception")
    {
        draft.row.error = Some(Error { message: Some(message.to_owned()), ..Error::default() });
    }
}

/// Request and answer of the provider, values of Python: they tell what the parent's keys leave out.
fn raw(source: &Source<'_>, draft: &mut Draft) {
    draft.relation = Relation::PartOfParent;
    // By what every request or answer has: another key below `llm.` names no provider.
    const TELLING: [&str; 9] =
        ["messages", "contents", "input", "choices", "candidates", "output", "content", "model", "id"];
    let parts = source.attributes.list().iter().filter_map(|entry| entry.key.strip_prefix("llm.")?.split_once('.'));
    let mut tellings = parts.filter(|(_, name)| TELLING.contains(name));
    let Some((provider, _)) = tellings.next() else { return };
    let key = |name: &str| format!("llm.{provider}.{name}");
    // The Responses API has an `input` too.
    let has = |names: &[&str]| names.iter().any(|name| source.has(&key(name)));
    let embeds = has(&["input"]) && has(&["encoding_format", "dimensions", "data", "embedding", "embeddings"]);
    draft.kind(if embeds { event_type::EMBEDDING } else { event_type::CHAT_COMPLETION });
    draft.model().provider = value::provider(provider).map(Cow::into_owned);
    // The whole answer as text holds all that its keys hold; those are the rest of it, one by one.
    let entries: Vec<(Cow<'_, str>, Node<'_>)> =
        ANSWER.iter().filter_map(|name| Some((Cow::Borrowed(*name), source.json(&key(name))?.node))).collect();
    let mut answer = Node::object(entries);
    let text = source.json(&key("stringified_raw_response"));
    if let Some(doc) = text.as_ref().filter(|doc| doc.node.is_object()) {
        answer = doc.node.clone();
    }
    if !embeds {
        for name in ["messages", "contents", "input", "prompt"] {
            draft.input_from(&source.attributes, &source.notes, &key(name));
        }
        for name in ["system", "system_instruction", "instructions"] {
            draft.system_from(&source.attributes, &source.notes, &key(name));
        }
        if messages::tells_messages(&answer) {
            draft.output(messages::read(&answer, "assistant"), &source.notes, RAW);
        }
    }
    draft.tools_from(&source.attributes, &source.notes, &key("tools"));
    // In Python's words and the provider's shape; the column has OpenAI's.
    source.attributes.unmark(&key("tools"));
    let told = Answer::of(&answer);
    draft.usage(&source.attributes, || told.counts);
    told.fill(draft);
    // The name asked of the provider stands among the request's keys, that of the answer among the answer's.
    if text.is_some() {
        let asked = source.text(&key("model")).map(str::to_owned);
        let model = draft.model();
        if asked.is_some() && asked != model.response {
            model.request = asked;
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::dialect::tests::*;
    use crate::event::event_type;
    use serde_json::json;

    #[test]
    fn calls_under_their_own_numbers_belong_to_the_answer() {
        let partial = read_span(
            "litellm",
            a_span(
                "litellm_request",
                json!({
                    "gen_ai.operation.name": "acompletion", "gen_ai.system": "openai", "gen_ai.request.model": "gpt-4o-mini",
                    "gen_ai.input.messages": "[{\"role\":\"user\",\"parts\":[{\"type\":\"text\",\"text\":\"Weather?\"},{\"type\":\"image_url\",\"image_url\":{\"url\":\"https://a/b.png\"}}]},{\"role\":\"assistant\",\"parts\":[],\"tool_calls\":[{\"id\":\"call_0\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},{\"role\":\"tool\",\"parts\":[{\"type\":\"text\",\"content\":\"21\"}],\"tool_call_id\":\"call_0\"}]",
                    "gen_ai.output.messages": "[{\"role\":\"assistant\",\"parts\":[],\"finish_reason\":\"tool_calls\"}]",
                    "gen_ai.completion.0.function_call.name": "get_weather", "gen_ai.completion.0.function_call.arguments": "{\"city\": \"Lisboa\"}",
                    "gen_ai.completion.1.function_call.name": "add", "gen_ai.completion.1.function_call.arguments": "{\"a\": 1}",
                    "gen_ai.system_instructions": "Be brief.",
                    "gen_ai.response.finish_reasons": "[\"tool_calls\"]",
                    "gen_ai.usage.input_tokens": 22, "gen_ai.usage.output_tokens": 41,
                    "metadata.usage_object": "{'completion_tokens': 41, 'prompt_tokens': 22, 'total_tokens': 63, 'prompt_tokens_details': {'cached_tokens': 4}, 'x': None}",
                    "metadata.requester_metadata": "{'conversation_id': 'c-1', 'session_id': 'c-1'}",
                    "gen_ai.cost.total_cost": 0.002, "gen_ai.cost.input_cost": 0.001,
                    "llm.is_streaming": "False",
                }),
            ),
        );
        let row = row(&partial);
        assert_eq!((row.dialect.as_str(), row.event_type.as_str()), ("litellm", event_type::CHAT_COMPLETION));
        let names: Vec<&str> = row.messages.last().unwrap().tool_calls.iter().map(|call| call.name.as_str()).collect();
        assert_eq!(names, ["get_weather", "add"]);
        let roles: Vec<&str> = row.messages.iter().map(|message| message.role.as_str()).collect();
        assert_eq!(roles, ["system", "user", "assistant", "tool", "assistant"]);
        assert_eq!(row.messages[3].tool_call_id.as_deref(), Some("call_0"));
        assert_eq!(row.conversation_id, "c-1");
        let tokens = row.tokens.as_ref().unwrap();
        assert_eq!((tokens.cached_tokens, tokens.cost_usd), (Some(4), Some(0.002)));
        let model = row.model.as_ref().unwrap();
        assert_eq!((model.stream, model.finish_reasons.as_slice()), (Some(false), &["tool_calls".to_owned()][..]));
    }

    #[test]
    fn the_oldest_form_has_all_in_indexed_keys() {
        let partial = read_span(
            "litellm",
            a_span(
                "litellm_request",
                json!({
                    "gen_ai.system": "openai", "llm.request.type": "acompletion", "llm.is_streaming": "False",
                    "gen_ai.prompt.0.role": "user", "gen_ai.prompt.0.content": "Weather?",
                    "gen_ai.completion.0.role": "assistant", "gen_ai.completion.0.finish_reason": "tool_calls",
                    "gen_ai.completion.0.function_call.name": "get_weather", "gen_ai.completion.0.function_call.arguments": "{}",
                    "gen_ai.completion.1.function_call.name": "add", "gen_ai.completion.1.function_call.arguments": "{\"a\": 1}",
                    "gen_ai.usage.prompt_tokens": 22, "gen_ai.usage.completion_tokens": 41, "llm.usage.total_tokens": 63,
                }),
            ),
        );
        assert_eq!(row(&partial).messages[1].tool_calls.len(), 2);
        assert_eq!(row(&partial).tokens.as_ref().unwrap().total_tokens, Some(63));
        assert_eq!(row(&partial).model.as_ref().unwrap().stream, Some(false));
    }

    #[test]
    fn the_raw_child_tells_its_parent_in_pythons_words() {
        let partial = read_span(
            "litellm",
            a_span(
                "raw_gen_ai_request",
                json!({
                    "llm.openai.messages": "[{'role': 'user', 'content': \"It's me\"}]", "llm.openai.model": "gpt-4o-mini",
                    "llm.openai.choices": "[{'finish_reason': 'tool_calls', 'index': 0, 'message': {'content': None, 'role': 'assistant', 'tool_calls': [{'id': 'call_1', 'type': 'function', 'function': {'name': 'f', 'arguments': '{\"a\": 1}'}}]}}]",
                    "llm.openai.id": "chatcmpl-1",
                }),
            ),
        );
        assert_eq!(partial.relation(), crate::event::Relation::PartOfParent);
        assert_eq!(row(&partial).messages[0].content.as_deref(), Some("It's me"));
        assert_eq!(row(&partial).messages[1].tool_calls[0].id.as_deref(), Some("call_1"));
        assert_eq!(row(&partial).model.as_ref().unwrap().response_id.as_deref(), Some("chatcmpl-1"));
    }

    #[test]
    fn items_of_the_responses_api_are_no_users_messages() {
        let partial = read_span(
            "litellm",
            a_span(
                "litellm_request",
                json!({
                    "gen_ai.operation.name": "aresponses", "gen_ai.request.model": "gpt-4o-mini",
                    "gen_ai.input.messages": "[{\"role\":\"user\",\"parts\":[{\"type\":\"text\",\"content\":\"Hi\"}]},{\"role\":\"user\",\"parts\":[{\"type\":\"text\",\"content\":\"\"}],\"id\":\"fc_1\"}]",
                }),
            ),
        );
        assert_eq!(messages(&partial), json!([{"role": "user", "content": "Hi"}]));
        assert_eq!(left(&partial), ["gen_ai.input.messages"]);
        let raw = |attributes| read_span("litellm", a_span("raw_gen_ai_request", attributes));
        let stream = json!({"llm.None.model": "o4-mini", "llm.None.input": "[{'role': 'user', 'content': 'Hi'}, {'arguments': '{}', 'call_id': 'c', 'name': 'f', 'type': 'function_call'}, {'call_id': 'c', 'output': '21', 'type': 'function_call_output'}]", "llm.None.instructions": "Be brief.", "llm.None.stream": true});
        let partial = raw(stream);
        assert_eq!(row(&partial).event_type, event_type::CHAT_COMPLETION);
        let roles: Vec<&str> = row(&partial).messages.iter().map(|message| message.role.as_str()).collect();
        assert_eq!(roles, ["system", "user", "assistant", "tool"]);
        let embeds =
            raw(json!({"llm.None.input": "['a']", "llm.None.encoding_format": "base64", "llm.None.model": "e"}));
        assert_eq!(row(&embeds).event_type, event_type::EMBEDDING);
    }

    #[test]
    fn messages_without_reasons_are_choices_where_as_many_reasons_stand_beside_them() {
        let call = |reasons| {
            let partial = read_span(
                "litellm",
                a_span(
                    "chat gpt-4o-mini",
                    json!({
                        "gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o-mini", "litellm.call_id": "x",
                        "gen_ai.output.messages": "[{\"role\":\"assistant\",\"content\":\"A\",\"tool_calls\":null},{\"role\":\"assistant\",\"content\":\"B\"}]",
                        "gen_ai.response.finish_reasons": reasons,
                    }),
                ),
            );
            (messages(&partial), detail(&partial, "choices"))
        };
        let (told, choices) = call(json!(["stop", "length"]));
        assert_eq!(told, json!([{"role": "assistant", "content": "A", "finish_reason": "stop"}]));
        assert_eq!(choices.unwrap()[0]["finish_reason"], "length");
        assert_eq!(call(json!(["stop"])).1, None);
    }

    #[test]
    fn answers_of_anthropic_and_gemini_are_read_from_the_raw_child() {
        let raw = |attributes| read_span("litellm", a_span("raw_gen_ai_request", attributes));
        let anthropic = raw(json!({
            "llm.anthropic.messages": "[{'role': 'user', 'content': [{'type': 'text', 'text': 'Hi'}]}]", "llm.anthropic.role": "assistant",
            "llm.anthropic.content": "[{'type': 'text', 'text': 'Ho'}, {'type': 'tool_use', 'id': 'toolu_1', 'name': 'f', 'input': {}}]", "llm.anthropic.stop_reason": "tool_use",
        }));
        let answer = row(&anthropic).messages.last().unwrap();
        assert_eq!((answer.content.as_deref(), answer.tool_calls[0].id.as_deref()), (Some("Ho"), Some("toolu_1")));
        let gemini = raw(json!({
            "llm.gemini.contents": "[{'role': 'user', 'parts': [{'text': 'Hi'}]}]", "llm.gemini.responseId": "g-1",
            "llm.gemini.candidates": "[{'content': {'role': 'model', 'parts': [{'functionCall': {'id': 'c', 'name': 'f', 'args': {}}}]}, 'finishReason': 'STOP', 'index': 0}]",
        }));
        assert_eq!(row(&gemini).messages.last().unwrap().tool_calls[0].id.as_deref(), Some("c"));
        assert_eq!(row(&gemini).model.as_ref().unwrap().response_id.as_deref(), Some("g-1"));
    }

    #[test]
    fn steps_of_the_proxy_are_no_operations_and_calls_on_foreign_spans_are_noted() {
        assert_eq!(row(&read_span("litellm", a_span("router", json!({"call_type": "x"})))).event_type, "");
        let call = json!({"gen_ai.operation.name": "chat", "gen_ai.cost.total_cost": 0.1, "gen_ai.prompt.0.role": "user", "gen_ai.prompt.0.content": "Hi", "gen_ai.input.messages": "[{\"role\":\"user\",\"parts\":[{\"type\":\"text\",\"content\":\"Hi\"}]}]"});
        let partial = read_span("my.app", a_span("handle", call));
        assert!(row(&partial).notes.iter().any(|note| note.contains("two calls may be mixed")));
    }
}
