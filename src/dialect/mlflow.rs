//! MLflow's tracing: `mlflow.*`, every value written as JSON, texts too.
//!
//! Source: `mlflow-tracing` 3.17 with its autologging of OpenAI and LangChain.

use super::Dialect;
use super::answer;
use super::answer::Answer;
use super::draft::Draft;
use super::json;
use super::json::Node;
use super::langchain;
use super::messages;
use super::sides;
use super::source::Source;
use super::usage::Counts;
use super::usage::Scheme;
use super::value;
use crate::event::ToolExecution;
use crate::event::event_type;
use crate::event::status;
use std::borrow::Cow;

pub(super) const DIALECT: Dialect =
    Dialect { name: "mlflow", scopes: &["mlflow."], keys: &["mlflow."], read, ..Dialect::NONE };

const INPUT: &str = "mlflow.spanInputs";
const OUTPUT: &str = "mlflow.spanOutputs";

/// What of a request is no parameter.
const CONTENT: [&str; 12] = [
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
    "self",
    "stream",
];

fn read(source: &Source<'_>, draft: &mut Draft) {
    if source.is_log {
        return;
    }
    kind(source, draft);
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

fn call(source: &Source<'_>, draft: &mut Draft) {
    let given = source.json(INPUT);
    let params = source.json("invocation_params");
    let answer = source.json(OUTPUT).map(|doc| Answer::of(&doc.node)).unwrap_or_default();
    draft.tools_from(&source.attributes, &source.notes, "mlflow.chat.tools");
    if draft.is(event_type::EMBEDDING) {
        draft.detail_from(&source.attributes, INPUT, "input");
    } else {
        input(source, draft);
        draft.output_from(&source.attributes, &source.notes, OUTPUT);
    }
    let asked = ["model", "model_name"]
        .iter()
        .find_map(|name| [&given, &params].into_iter().flatten().find_map(|doc| doc.node.text(name)))
        .map(str::to_owned)
        .or_else(|| source.peek("model").and_then(json::unquoted));
    names(source, draft, asked.as_deref(), &answer);
    if draft.model().provider.is_none() {
        let stated = text(source, "mlflow.llm.provider");
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
    let told = if doc.node.is_object() {
        // A bare prompt is one only beside a model's name.
        let named = doc.node.get("messages").is_none();
        let is_content = |key: &str| match key {
            "model" => named,
            "model_name" | "self" | "stream" => false,
            _ => CONTENT.contains(&key) || key == "config",
        };
        let entries = doc.node.entries().iter().filter(|(key, _)| is_content(key));
        messages::read(&Node::object(entries.cloned().collect()), "user")
    } else {
        messages::read(&doc.node, "user")
    };
    let lossy = told.lossy;
    if draft.input(told, &source.notes, INPUT) && doc.whole && !lossy {
        source.attributes.mark(INPUT);
    }
}

fn names(source: &Source<'_>, draft: &mut Draft, asked: Option<&str>, answer: &Answer) {
    let key = "mlflow.llm.model";
    let stated = source.peek(key).and_then(json::unquoted);
    let (request, response) = answer::names(stated.as_deref(), asked, source.has(OUTPUT));
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
}
