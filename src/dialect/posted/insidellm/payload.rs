//! The payloads of the 19 types, each into the columns that are meant for it.

use crate::dialect::json::Node;
use crate::dialect::posted::chat;
use crate::dialect::posted::chat::said;
use crate::dialect::posted::draft::Draft;
use crate::dialect::posted::draft::Fields;
use crate::dialect::posted::draft::without;
use crate::dialect::value;
use crate::event::Error;
use crate::event::Feedback;
use crate::event::Message;
use crate::event::Model;
use crate::event::Tokens;
use crate::event::ToolCall;
use crate::event::ToolExecution;
use crate::event::status;

/// Reads the payload of an event of this type.
pub(super) fn read(draft: &mut Draft, kind: &str, payload: &Node<'_>, event: &Node<'_>) {
    let text = |key: &str| payload.get(key).map(Node::plain);
    let number = |key: &str| payload.get(key).and_then(Node::as_f64);
    match kind {
        "user.input" => draft.row.messages = vec![said("user", text("input_text"))],
        "agent.response" => draft.row.messages = vec![said("assistant", text("response_text"))],
        "user.feedback" => feedback(draft, payload),
        "agent.reasoning" => {
            let keys = [("type", "reasoning_type"), ("steps", "reasoning_steps")];
            thought(draft, "reasoning", payload, keys, ("confidence_score", "reasoning_time_ms"));
        }
        "agent.planning" => {
            let keys = [("type", "plan_type"), ("actions", "planned_actions")];
            thought(draft, "plan", payload, keys, ("plan_confidence", "planning_time_ms"));
        }
        "llm.request" => request(draft, payload),
        "llm.response" => response(draft, payload),
        "llm.streaming_chunk" => draft.row.model = model(payload),
        "tool.call" => {
            let id = payload.text("call_id").or_else(|| event.text("event_id"));
            let call = ToolCall {
                id: id.map(str::to_owned),
                r#type: Some("function".to_owned()),
                name: text("tool_name").unwrap_or_default(),
                arguments: payload.get("parameters").map(Node::plain),
            };
            draft.row.messages = vec![Message { tool_calls: vec![call], ..said("assistant", None) }];
        }
        "tool.response" => tool_response(draft, payload, event),
        "function_execution" => executed(
            draft,
            payload,
            ToolExecution {
                name: text("function_name").unwrap_or_default(),
                r#type: Some("function".to_owned()),
                arguments: payload.get("function_args").map(Node::json),
                result: payload.get("return_value").map(Node::json),
                ..ToolExecution::default()
            },
        ),
        "api.request" | "api.response" => api(draft, payload),
        "error" => {
            let error = Error {
                r#type: text("error_type"),
                message: text("error_message"),
                code: text("error_code"),
                stack: text("stack_trace"),
            };
            draft.fail(status::ERROR, error);
            let mut more = Fields::default();
            more.text("severity", payload.text("severity"));
            more.node("context", payload.get("context"));
            draft.detail_fields("error", more);
        }
        "validation_error" => {
            draft.fail(status::ERROR, Error { r#type: Some(kind.to_owned()), ..Error::default() });
            context(draft, payload);
        }
        "timeout_error" => {
            let kind = text("timeout_type").unwrap_or_else(|| kind.to_owned());
            draft.fail(status::TIMEOUT, Error { r#type: Some(kind), ..Error::default() });
            context(draft, payload);
        }
        "run.start" | "run.end" => {
            let mut session = Fields::default();
            session.text("type", payload.text("session_type"));
            session.node("initial_context", payload.get("initial_context"));
            session.number("duration_ms", number("session_duration_ms"));
            session.node("summary", payload.get("session_summary"));
            session.text("exit_reason", payload.text("exit_reason"));
            draft.detail_fields("session", session);
            draft.latency(number("session_duration_ms"));
        }
        "performance_metric" => {
            let mut metric = Fields::default();
            metric.text("name", payload.text("metric_name"));
            match number("metric_value") {
                Some(value) => metric.number("value", Some(value)),
                None => metric.node("value", payload.get("metric_value")),
            }
            metric.text("unit", payload.text("metric_unit"));
            metric.text("type", payload.text("metric_type"));
            metric.node("additional", payload.get("additional_metrics"));
            draft.detail_fields("metric", metric);
        }
        _ => {}
    }
}

fn feedback(draft: &mut Draft, payload: &Node<'_>) {
    draft.row.feedback = Some(Feedback {
        r#type: payload.text("feedback_type").map(str::to_owned),
        value: payload.get("feedback_value").map(Node::json),
        target: payload.text("target_event_id").map(str::to_owned),
    });
    let mut more = Fields::default();
    more.text("text", payload.text("feedback_text"));
    draft.detail_fields("feedback", more);
}

/// What an agent thought or planned.
fn thought(draft: &mut Draft, key: &str, payload: &Node<'_>, keys: [(&str, &str); 2], measures: (&str, &str)) {
    let mut fields = Fields::default();
    for (name, from) in keys {
        fields.node(name, payload.get(from));
    }
    let millis = payload.get(measures.1).and_then(Node::as_f64);
    fields.number("confidence", payload.get(measures.0).and_then(Node::as_f64));
    fields.number("time_ms", millis);
    draft.detail_fields(key, fields);
    draft.latency(millis);
}

fn model(payload: &Node<'_>) -> Option<Model> {
    let provider = payload.text("provider").and_then(value::provider).map(|provider| provider.into_owned());
    let request = payload.text("model_name").map(str::to_owned);
    (provider.is_some() || request.is_some()).then(|| Model { provider, request, ..Model::default() })
}

fn request(draft: &mut Draft, payload: &Node<'_>) {
    draft.row.model = model(payload);
    if let Some(parameters) = payload.get("parameters").filter(|parameters| !parameters.is_empty()) {
        draft.row.model.get_or_insert_default().parameters = without(parameters, &["tools"]);
        draft.row.tools = parameters.get("tools").filter(|tools| tools.is_array() && !tools.is_empty()).map(Node::json);
    }
    let mut messages = match payload.get("messages").filter(|messages| !messages.is_empty()) {
        Some(messages) => chat::read(messages).messages,
        None => payload.get("prompt").map(|prompt| said("user", Some(prompt.plain()))).into_iter().collect(),
    };
    let system = payload.text("system_message");
    if let Some(system) = system.filter(|_| !messages.iter().any(|message| message.role == "system")) {
        messages.insert(0, said("system", Some(system.to_owned())));
    }
    draft.row.input_message_count = i32::try_from(messages.len()).ok();
    draft.row.messages = messages;
}

fn response(draft: &mut Draft, payload: &Node<'_>) {
    let reason = payload.text("finish_reason").and_then(value::finish_reason).map(|reason| reason.into_owned());
    draft.row.model = model(payload);
    if let Some(reason) = &reason {
        draft.row.model.get_or_insert_default().finish_reasons.push(reason.clone());
    }
    let text = payload.get("response_text").map(Node::plain);
    draft.row.messages = vec![Message { finish_reason: reason, ..said("assistant", text) }];
    draft.row.input_message_count = Some(0);
    draft.row.status = Some(status::OK.to_owned());
    draft.latency(payload.get("response_time_ms").and_then(Node::as_f64));
    draft.row.tokens = tokens(payload);
}

fn tokens(payload: &Node<'_>) -> Option<Tokens> {
    let usage = payload.get("usage");
    let count = |keys: &[&str]| usage.and_then(|usage| usage.first(keys)).and_then(Node::as_count);
    let within = |paths: [&[&str]; 2]| paths.iter().find_map(|path| usage?.at(path)).and_then(Node::as_count);
    let cost = payload.get("cost").and_then(Node::as_f64).filter(|cost| *cost >= 0.0);
    let tokens = Tokens {
        prompt_tokens: count(&["prompt_tokens", "input_tokens"]),
        completion_tokens: count(&["completion_tokens", "output_tokens"]),
        total_tokens: count(&["total_tokens"]),
        cached_tokens: within([&["prompt_tokens_details", "cached_tokens"], &["cache_read_input_tokens"]]),
        cache_creation_tokens: count(&["cache_creation_input_tokens"]),
        reasoning_tokens: within([&["completion_tokens_details", "reasoning_tokens"], &["reasoning_tokens"]]),
        cost_usd: cost,
        cost_source: cost.map(|_| "payload.cost".to_owned()),
    };
    (tokens != Tokens::default()).then_some(tokens)
}

fn tool_response(draft: &mut Draft, payload: &Node<'_>, event: &Node<'_>) {
    let id = payload.text("call_id").or_else(|| event.text("parent_event_id")).map(str::to_owned);
    let name = payload.text("tool_name").unwrap_or_default().to_owned();
    let result = payload.get("response_data");
    draft.row.messages = vec![Message {
        tool_call_id: id.clone(),
        name: Some(name.clone()).filter(|name| !name.is_empty()),
        ..said("tool", result.map(Node::plain))
    }];
    executed(
        draft,
        payload,
        ToolExecution {
            call_id: id,
            name,
            r#type: payload.text("tool_type").map(str::to_owned),
            result: result.map(Node::json),
            ..ToolExecution::default()
        },
    );
}

/// A run of a tool or function, with how it ended. The client leaves `success` out where it is true.
fn executed(draft: &mut Draft, payload: &Node<'_>, execution: ToolExecution) {
    let failed = payload.get("success").and_then(Node::as_bool) == Some(false);
    let status = if failed { status::ERROR } else { status::OK };
    let message = payload.text("error_message").map(str::to_owned);
    let millis = payload.get("execution_time_ms").and_then(Node::as_f64);
    draft.latency(millis);
    draft.row.status = Some(status.to_owned());
    if failed {
        draft.row.error = Some(Error { message: message.clone(), ..Error::default() });
    }
    draft.executed(vec![ToolExecution {
        status: Some(status.to_owned()),
        latency_ms: millis,
        error: message,
        ..execution
    }]);
}

fn api(draft: &mut Draft, payload: &Node<'_>) {
    let millis = payload.get("response_time_ms").and_then(Node::as_f64);
    let code = payload.get("status_code").and_then(Node::as_count);
    let half = |keys: &[(&str, &str)]| {
        let mut fields = Fields::default();
        keys.iter().for_each(|(name, from)| fields.node(name, payload.get(from)));
        fields.close()
    };
    let mut call = Fields::default();
    call.text("name", payload.text("api_name"));
    call.text("endpoint", payload.text("endpoint"));
    call.text("method", payload.text("method"));
    call.count("status_code", code);
    if let Some(request) = half(&[("headers", "headers"), ("parameters", "parameters"), ("body", "request_body")]) {
        call.json("request", &request);
    }
    if let Some(response) = half(&[("headers", "response_headers"), ("body", "response_body")]) {
        call.json("response", &response);
    }
    call.number("time_ms", millis);
    draft.detail_fields("api_call", call);
    draft.latency(millis);
    if let Some(code) = code {
        let status = if code >= 400 { status::ERROR } else { status::OK };
        draft.row.status = Some(status.to_owned());
    }
}

/// All that the payload says, as what the fault happened in.
fn context(draft: &mut Draft, payload: &Node<'_>) {
    let mut more = Fields::default();
    more.node("context", Some(payload));
    draft.detail_fields("error", more);
}
