//! MLflow's tracing: `mlflow.*`, every value written as JSON, texts too.
//!
//! With `MLFLOW_ENABLE_OTEL_GENAI_SEMCONV` it writes the keys of the conventions instead, and leaves the request's
//! parameters as they are.
//!
//! Source: `mlflow` 3.17 with its autologging of OpenAI, Anthropic, Gemini, Bedrock, LangChain, DSPy and Pydantic AI.

mod stream;

use super::Dialect;
use super::answer;
use super::answer::Answer;
use super::draft::Draft;
use super::json;
use super::json::Node;
use super::langchain;
use super::messages;
use super::messages::Told;
use super::pydantic;
use super::sides;
use super::source::Source;
use super::usage::Counts;
use super::usage::Scheme;
use super::value;
use crate::event::Relation;
use crate::event::ToolExecution;
use crate::event::event_type;
use crate::event::status;
use std::borrow::Cow;

pub(super) const DIALECT: Dialect =
    Dialect { name: "mlflow", scopes: &["mlflow."], keys: &["mlflow."], read, ..Dialect::NONE };

const INPUT: &str = "mlflow.spanInputs";
const OUTPUT: &str = "mlflow.spanOutputs";

/// What of a request is no parameter.
const CONTENT: [&str; 15] = [
    "messages",
    "prompt",
    "input",
    "contents",
    "system",
    "instructions",
    "tools",
    "functions",
    "model",
    "model_name",
    "modelId",
    "toolConfig",
    "body",
    "self",
    "stream",
];

fn read(source: &Source<'_>, draft: &mut Draft) {
    if source.is_log {
        return;
    }
    kind(source, draft);
    if source.peek("mlflow.spanType").is_none() && source.has("gen_ai.operation.name") {
        return converted(source, draft);
    }
    if draft.is(event_type::CHAT_COMPLETION) || draft.is(event_type::EMBEDDING) {
        call(source, draft);
    } else if draft.is(event_type::TOOL_EXECUTION) {
        tool(source, draft);
    } else if draft.is(event_type::AGENT_INVOCATION) {
        sides::agent(source, draft, INPUT, OUTPUT);
    } else if draft.is(event_type::RETRIEVAL) || draft.is(event_type::RERANK) {
        sides::search(source, draft, INPUT, OUTPUT);
    } else if draft.has_kind() {
        sides::step(source, draft, INPUT, OUTPUT);
    }
}

/// A text of a key, which MLflow writes as JSON.
fn text(source: &Source<'_>, key: &str) -> Option<String> {
    let text = json::unquoted(source.peek(key)?)?;
    source.attributes.mark(key);
    Some(text)
}

fn kind(source: &Source<'_>, draft: &mut Draft) {
    let Some(word) = text(source, "mlflow.spanType") else { return };
    if word == "LLM" && !source.has("mlflow.llm.model") {
        // A module of DSPy's is called so too, around the calls that it makes.
        draft.relation = Relation::CallIfNoCallBelow;
    }
    draft.kind(match word.as_str() {
        "LLM" | "CHAT_MODEL" => event_type::CHAT_COMPLETION,
        "TOOL" => event_type::TOOL_EXECUTION,
        "EMBEDDING" => event_type::EMBEDDING,
        "RETRIEVER" => event_type::RETRIEVAL,
        "RERANKER" => event_type::RERANK,
        "GUARDRAIL" => event_type::GUARDRAIL,
        "EVALUATOR" => event_type::EVALUATION,
        "AGENT" => event_type::AGENT_INVOCATION,
        _ => event_type::GRAPH_STEP,
    });
}

/// A span in the conventions' keys: the model that it says was asked is the one that answered.
fn converted(source: &Source<'_>, draft: &mut Draft) {
    if let Some(asked) = source.peek("model").filter(|text| text.starts_with('"')).and_then(json::unquoted) {
        draft.model().request.get_or_insert(asked);
        source.attributes.mark("model");
        if source.peek("gen_ai.request.model") == source.peek("gen_ai.response.model") {
            source.attributes.mark("gen_ai.request.model");
        }
    }
    if let Some(stream) = source.attributes.truth("stream") {
        draft.model().stream.get_or_insert(stream);
    }
    stream::read(source, draft);
}

/// The body of a request or an answer of Bedrock's `invoke_model`, else the value itself.
fn told<'n, 'a>(node: &'n Node<'a>) -> &'n Node<'a> {
    let is_wrapped = node.get("modelId").is_some() || node.get("ResponseMetadata").is_some();
    node.get("body").filter(|_| is_wrapped).unwrap_or(node)
}

fn call(source: &Source<'_>, draft: &mut Draft) {
    let given = source.json(INPUT);
    let params = source.json("invocation_params");
    let answer = source.json(OUTPUT).map(|doc| told(&doc.node).opened(Answer::of)).unwrap_or_default();
    stream::read(source, draft);
    draft.tools_from(&source.attributes, &source.notes, "mlflow.chat.tools");
    if let Some(asked) = given.as_ref().and_then(|given| given.node.get("model_request_parameters")) {
        draft.tools(pydantic::defined(asked));
    }
    if draft.is(event_type::EMBEDDING) {
        draft.detail_from(&source.attributes, INPUT, "input");
    } else {
        input(source, draft);
        output(source, draft);
    }
    let asked = ["model", "model_name", "modelId"]
        .iter()
        .find_map(|name| [&given, &params].into_iter().flatten().find_map(|doc| doc.node.text(name)))
        .map(str::to_owned)
        .or_else(|| source.peek("model").and_then(json::unquoted));
    names(source, draft, asked.as_deref(), &answer);
    if draft.model().provider.is_none() {
        // On Bedrock it names the maker of the model.
        let is_bedrock = source.peek("mlflow.message.format") == Some("\"bedrock\"")
            || given.as_ref().is_some_and(|given| given.node.get("modelId").is_some());
        let stated = if is_bedrock { Some("aws.bedrock".to_owned()) } else { text(source, "mlflow.llm.provider") };
        draft.model().provider = stated.as_deref().and_then(value::provider).map(Cow::into_owned);
    }
    let usage = "mlflow.chat.tokenUsage";
    let counts = answer.counts;
    draft.usage(&source.attributes, || {
        let stated = source.json(usage).map(|doc| Counts::of(&doc.node)).unwrap_or_default();
        Counts { scheme: Scheme::Unknown, ..stated }.beside(counts)
    });
    answer.fill(draft);
    cost(source, draft);
    parameters(source, draft);
}

/// The messages of the request; of what stands beside them the parameters are told elsewhere.
fn input(source: &Source<'_>, draft: &mut Draft) {
    let Some(doc) = source.json(INPUT).filter(|_| !draft.has_input()) else { return };
    let is_wrapped = told(&doc.node) != &doc.node;
    let told = told(&doc.node).opened(asked);
    let lossy = told.lossy || is_wrapped;
    if draft.input(told, &source.notes, INPUT) && doc.whole && !lossy {
        source.attributes.mark(INPUT);
    }
}

fn asked(given: &Node<'_>) -> Told {
    if !given.is_object() {
        return messages::read(given, "user");
    }
    // A bare prompt is one only beside a model's name.
    let named = given.get("messages").is_none();
    let is_content = |key: &str| match key {
        "model" => named,
        "model_name" | "modelId" | "self" | "stream" => false,
        _ => CONTENT.contains(&key) || key == "config",
    };
    let entries = given.entries().iter().filter(|(key, _)| is_content(key));
    let mut entries: Vec<_> = entries.cloned().collect();
    if let Some(tools) = given.at(&["toolConfig", "tools"]) {
        entries.push(("tools".into(), tools.clone()));
    }
    messages::read(&Node::object(entries), "user")
}

/// The answer; what is no object is a text that is written as JSON, as every value is.
fn output(source: &Source<'_>, draft: &mut Draft) {
    let Some(doc) = source.json(OUTPUT).filter(|_| !draft.has_output()) else { return };
    let is_wrapped = told(&doc.node) != &doc.node;
    let told = match &doc.node {
        Node::String(text) => {
            messages::read(&Node::String(json::unquoted(text).unwrap_or_default().into()), "assistant")
        }
        node => told(node).opened(|node| messages::read(node, "assistant")),
    };
    let lossy = told.lossy || is_wrapped;
    if draft.output(told, &source.notes, OUTPUT) && doc.whole && !lossy {
        source.attributes.mark(OUTPUT);
    }
}

fn names(source: &Source<'_>, draft: &mut Draft, asked: Option<&str>, answer: &Answer) {
    let key = "mlflow.llm.model";
    let stated = source.peek(key).and_then(json::unquoted);
    let (request, response) = match asked {
        // What was asked for stands in the request itself.
        Some(asked) => (Some(asked.to_owned()), stated.clone().filter(|stated| stated != asked && source.has(OUTPUT))),
        None => answer::names(stated.as_deref(), None, source.has(OUTPUT)),
    };
    let response = answer.model.clone().or(response);
    let told = |name: &Option<String>| stated.is_some() && *name == stated;
    if told(&request) || told(&response) {
        source.attributes.mark(key);
    }
    let model = draft.model();
    model.request = model.request.take().or(request);
    model.response = model.response.take().or(response);
    if asked.is_some() && model.request.as_deref() == asked && source.peek("model").is_some() {
        source.attributes.mark("model");
    }
}

/// Parameters: LangChain's whole list of them, else what the request holds beside its content.
fn parameters(source: &Source<'_>, draft: &mut Draft) {
    if draft.model().parameters.is_some() {
        return;
    }
    let Some(doc) =
        ["invocation_params", INPUT].iter().find_map(|key| source.json(key)).filter(|doc| doc.node.is_object())
    else {
        return;
    };
    let stream = doc.node.get("stream").and_then(Node::as_bool);
    if let Some(stream) = stream {
        draft.model().stream.get_or_insert(stream);
    }
    let mut entries: Vec<(&str, String)> = Vec::new();
    for (name, value) in doc.node.entries() {
        if CONTENT.contains(&name.as_ref()) || value.is_empty() {
            continue;
        }
        entries.push((name, value.json()));
        // The request's parts stand among the attributes once more.
        if source.peek(name) == Some(value.json().as_str()) {
            source.attributes.mark(name);
        }
    }
    if !entries.is_empty() {
        draft.model().parameters =
            Some(crate::event::json::object(entries.iter().map(|(name, json)| (*name, json.as_str()))));
    }
}

fn cost(source: &Source<'_>, draft: &mut Draft) {
    let key = "mlflow.llm.cost";
    let Some(doc) = source.json(key).filter(|_| !draft.has_cost()) else { return };
    let total = doc.node.get("total_cost").and_then(Node::as_f64);
    if total.is_some_and(|usd| draft.cost(usd, key)) {
        draft.detail("cost", format!("{{\"stated\":{}}}", doc.node.json()));
        source.attributes.mark(key);
    }
}

fn tool(source: &Source<'_>, draft: &mut Draft) {
    let attributes = &source.attributes;
    let told = source.json(OUTPUT);
    let message = told.as_ref().and_then(|doc| langchain::tool_message(&doc.node));
    draft.tool(|| {
        let (call_id, result, failed) =
            message.map(|message| (message.call_id, message.result, message.failed)).unwrap_or_default();
        ToolExecution {
            name: text(source, "mlflow.spanFunctionName").unwrap_or_else(|| source.name.to_owned()),
            call_id: text(source, "tool_call_id").or(call_id),
            arguments: attributes.raw_json(INPUT),
            result: result.or_else(|| attributes.raw_json(OUTPUT)),
            status: failed.then(|| status::ERROR.to_owned()),
            ..ToolExecution::default()
        }
    });
}

#[cfg(test)]
mod tests {
    use crate::dialect::tests::*;
    use crate::event::event_type;
    use serde_json::json;

    #[test]
    fn a_call_is_read_out_of_json_in_json() {
        let partial = read_span(
            "mlflow.tracing.provider",
            a_span(
                "Completions",
                json!({
                    "mlflow.spanType": "\"CHAT_MODEL\"", "mlflow.traceRequestId": "\"tr-1\"",
                    "mlflow.spanInputs": "{\"model\":\"gpt-4o-mini\",\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}],\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}],\"temperature\":0.2}",
                    "model": "\"gpt-4o-mini\"", "temperature": "0.2",
                    "mlflow.chat.tools": "[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]",
                    "mlflow.llm.model": "\"gpt-4o-mini-2024-07-18\"",
                    "mlflow.chat.tokenUsage": "{\"input_tokens\":57,\"output_tokens\":21,\"total_tokens\":78,\"cache_read_input_tokens\":16}",
                    "mlflow.spanOutputs": "{\"id\":\"chatcmpl-1\",\"model\":\"gpt-4o-mini-2024-07-18\",\"choices\":[{\"index\":0,\"finish_reason\":\"stop\",\"message\":{\"role\":\"assistant\",\"content\":\"Hello\"}}],\"usage\":{\"prompt_tokens\":57,\"completion_tokens\":21,\"completion_tokens_details\":{\"reasoning_tokens\":5}}}",
                    "mlflow.llm.cost": "{\"input_cost\":0.1,\"output_cost\":0.2,\"total_cost\":0.3}",
                }),
            ),
        );
        let row = row(&partial);
        assert_eq!((row.dialect.as_str(), row.event_type.as_str()), ("mlflow", event_type::CHAT_COMPLETION));
        assert_eq!(
            messages(&partial),
            json!([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello", "finish_reason": "stop"}])
        );
        let model = row.model.as_ref().unwrap();
        assert_eq!(model.request.as_deref(), Some("gpt-4o-mini"));
        assert_eq!(model.response.as_deref(), Some("gpt-4o-mini-2024-07-18"));
        assert_eq!(model.response_id.as_deref(), Some("chatcmpl-1"));
        assert_eq!(model.parameters.as_deref(), Some("{\"temperature\":0.2}"));
        let tokens = row.tokens.as_ref().unwrap();
        assert_eq!(
            (tokens.prompt_tokens, tokens.cached_tokens, tokens.reasoning_tokens),
            (Some(57), Some(16), Some(5))
        );
        assert_eq!((tokens.cost_usd, tokens.cost_source.as_deref()), (Some(0.3), Some("mlflow.llm.cost")));
        assert_eq!(row.tools.as_deref(), Some("[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]"));
        assert_eq!(row.run_id.as_deref(), Some("tr-1"));
        // The whole answer says more than the columns do.
        assert_eq!(left(&partial), ["mlflow.chat.tokenUsage", "mlflow.spanOutputs"]);
    }

    #[test]
    fn a_tool_answers_the_call_that_its_message_names() {
        let partial = read_span(
            "mlflow.tracing.provider",
            a_span(
                "get_weather",
                json!({
                    "mlflow.spanType": "\"TOOL\"", "mlflow.spanFunctionName": "\"run_call\"",
                    "mlflow.spanInputs": "{\"city\": \"Paris\"}",
                    "mlflow.spanOutputs": "{\"role\":\"tool\",\"tool_call_id\":\"call_1\",\"content\":\"{\\\"temp\\\": 21}\"}",
                }),
            ),
        );
        let tool = &row(&partial).tool_executions[0];
        assert_eq!((tool.name.as_str(), tool.call_id.as_deref()), ("run_call", Some("call_1")));
        assert_eq!(tool.arguments.as_deref(), Some("{\"city\": \"Paris\"}"));
        assert_eq!(tool.result.as_deref(), Some("{\"temp\": 21}"));
    }

    fn called(
        inputs: &serde_json::Value,
        outputs: &serde_json::Value,
        more: &serde_json::Value,
    ) -> crate::event::Partial {
        let mut attributes = json!({
            "mlflow.spanType": "\"CHAT_MODEL\"", "mlflow.spanInputs": inputs.to_string(),
            "mlflow.spanOutputs": outputs.to_string(),
        });
        attributes.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        read_span("mlflow.tracing.provider", a_span("call", attributes))
    }

    #[test]
    fn an_answer_of_bedrock_is_found_within_its_envelope() {
        let bedrock = json!({"mlflow.message.format": "\"bedrock\"", "mlflow.llm.provider": "\"amazon\"",
            "mlflow.llm.model": "\"amazon.nova-lite-v1:0\""});
        let partial = called(
            &json!({"modelId": "amazon.nova-lite-v1:0", "system": [{"text": "Be brief."}],
                "messages": [{"role": "user", "content": [{"text": "Hi"}]}]}),
            &json!({"ResponseMetadata": {"RequestId": "r"}, "stopReason": "tool_use",
                "output": {"message": {"role": "assistant", "content": [{"toolUse": {"toolUseId": "t1", "name": "f", "input": {}}}]}},
                "usage": {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5}}),
            &bedrock,
        );
        let told = messages(&partial);
        assert_eq!((told[0]["content"].as_str(), told[1]["content"].as_str()), (Some("Be brief."), Some("Hi")));
        assert_eq!(told[2]["tool_calls"][0]["id"], "t1");
        let model = row(&partial).model.as_ref().unwrap();
        assert_eq!(model.provider.as_deref(), Some("aws.bedrock"));
        assert_eq!(
            (model.request.as_deref(), &model.finish_reasons[..]),
            (Some("amazon.nova-lite-v1:0"), &["tool_calls".to_owned()][..])
        );
        let partial = called(
            &json!({"modelId": "anthropic.claude-x-20240620-v1:0", "body": "{\"system\":\"Be brief.\",\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}"}),
            &json!({"ResponseMetadata": {}, "contentType": "application/json", "body": {"id": "msg_1", "role": "assistant",
                "model": "claude-x", "content": [{"type": "text", "text": "Hello"}], "stop_reason": "end_turn"}}),
            &bedrock,
        );
        let told = messages(&partial);
        assert_eq!((told[0]["role"].as_str(), told[2]["content"].as_str()), (Some("system"), Some("Hello")));
        let model = row(&partial).model.as_ref().unwrap();
        assert_eq!(model.response_id.as_deref(), Some("msg_1"));
        assert_eq!(model.request.as_deref(), Some("anthropic.claude-x-20240620-v1:0"));
        let partial = called(
            &json!({"modelId": "anthropic.claude-x", "body": "{}"}),
            &json!({"body": {"content": [{"type": "text", "text": "Hello"}]}}),
            &json!({"mlflow.llm.provider": "\"anthropic\""}),
        );
        assert_eq!(row(&partial).model.as_ref().unwrap().provider.as_deref(), Some("aws.bedrock"));
    }

    #[test]
    fn a_bare_text_is_what_was_said_and_not_its_json() {
        let partial = called(&json!({"model": "m", "contents": "Hi"}), &json!("Hello \"you\""), &json!({}));
        assert_eq!(messages(&partial)[0]["content"], "Hi");
        assert_eq!(messages(&partial)[1]["content"], "Hello \"you\"");
        let partial =
            called(&json!({"model": "m", "contents": "Hi"}), &json!("<groq.Stream object at 0x7f1c>"), &json!({}));
        assert!(messages(&partial)[1]["content"].is_null());
        assert!(left(&partial).contains(&"mlflow.spanOutputs"));
    }

    #[test]
    fn what_is_called_a_model_and_names_none_is_a_call_only_if_none_is_below_it() {
        let span = |attributes| read_span("mlflow.tracing.provider", a_span("Predict.forward", attributes)).relation();
        let module = json!({"mlflow.spanType": "\"LLM\"", "mlflow.spanInputs": "{\"question\":\"Hi\"}"});
        assert_eq!(span(module), crate::event::Relation::CallIfNoCallBelow);
        let model = json!({"mlflow.spanType": "\"LLM\"", "mlflow.llm.model": "\"m\""});
        assert_eq!(span(model), crate::event::Relation::Own);
    }

    #[test]
    fn pydantic_ais_own_messages_are_read() {
        let partial = called(
            &json!({"messages": [
                {"kind": "request", "instructions": "Be long.", "parts": [{"part_kind": "user-prompt", "content": "Hi"}]},
                {"kind": "response", "finish_reason": "tool_call", "parts": [{"part_kind": "thinking", "content": "Hm."},
                    {"part_kind": "tool-call", "tool_name": "f", "args": "{}", "tool_call_id": "c"}]},
                {"kind": "request", "instructions": "Be brief.", "parts": [
                    {"part_kind": "tool-return", "tool_name": "f", "content": {"a": 1}, "tool_call_id": "c"},
                    {"part_kind": "retry-prompt", "content": "Please return text.", "tool_name": null},
                    {"part_kind": "user-prompt", "content": ["And", {"kind": "image-url", "url": "https://a/b.png"}]}]},
            ], "model_request_parameters": {"function_tools": [{"name": "f", "parameters_json_schema": {"type": "object"}}]}}),
            &json!({"kind": "response", "parts": [{"part_kind": "text", "content": "Hello"}], "usage": {"input_tokens": 3, "output_tokens": 2},
                "model_name": "m-2024-07-18", "provider_response_id": "chatcmpl-1", "finish_reason": "stop"}),
            &json!({"mlflow.llm.model": "\"m\""}),
        );
        let told = messages(&partial);
        let roles: Vec<&str> = told.as_array().unwrap().iter().map(|one| one["role"].as_str().unwrap()).collect();
        assert_eq!(roles, ["system", "user", "assistant", "tool", "user", "user", "assistant"]);
        assert_eq!(told[0]["content"], "Be brief.");
        assert_eq!((&told[2]["reasoning"], &told[2]["tool_calls"][0]["id"]), (&json!("Hm."), &json!("c")));
        assert_eq!((&told[3]["tool_call_id"], &told[3]["content"]), (&json!("c"), &json!("{\"a\":1}")));
        assert_eq!(
            (&told[5]["content"][0]["text"], &told[5]["content"][1]["type"]),
            (&json!("And"), &json!("image_url"))
        );
        assert_eq!(told[6]["finish_reason"], "stop");
        let model = row(&partial).model.as_ref().unwrap();
        assert_eq!((model.request.as_deref(), model.response.as_deref()), (Some("m"), Some("m-2024-07-18")));
        assert_eq!(model.response_id.as_deref(), Some("chatcmpl-1"));
        assert!(row(&partial).tools.as_deref().unwrap().contains("\"f\""));
    }

    #[test]
    fn in_the_conventions_keys_the_asked_model_stands_among_the_parameters() {
        let partial = read_span(
            "mlflow.tracing.provider",
            a_span(
                "chat m-2024-07-18",
                json!({"gen_ai.operation.name": "chat", "gen_ai.request.model": "m-2024-07-18",
                    "gen_ai.response.model": "m-2024-07-18", "model": "\"m\"", "stream": "true"}),
            ),
        );
        let model = row(&partial).model.as_ref().unwrap();
        assert_eq!((model.request.as_deref(), model.response.as_deref()), (Some("m"), Some("m-2024-07-18")));
        assert_eq!(model.stream, Some(true));
        assert_eq!(row(&partial).event_type, event_type::CHAT_COMPLETION);
    }
}
