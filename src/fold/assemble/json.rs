//! JSON of what does not fit a row's columns: objects in the making, and the row's own structures as objects.

use crate::event::Agent;
use crate::event::Entry;
use crate::event::Error;
use crate::event::Feedback;
use crate::event::Graph;
use crate::event::Message;
use crate::event::Model;
use crate::event::Tokens;
use crate::event::ToolExecution;
use crate::event::User;
use crate::event::json::push_string;

/// A JSON object in the making. Keys come in the order in which they are added.
#[derive(Debug)]
pub(super) struct Object(String);

impl Object {
    pub(super) fn new() -> Self {
        Self(String::from("{"))
    }

    /// An object of ready keys and values, as they stand between its braces.
    pub(super) fn of_keys(keys: &str) -> Self {
        Self(format!("{{{}", keys.trim()))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.len() == 1
    }

    fn key(&mut self, key: &str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        push_string(&mut self.0, key);
        self.0.push(':');
    }

    /// A ready JSON value.
    pub(super) fn json(&mut self, key: &str, json: &str) {
        self.key(key);
        self.0.push_str(json);
    }

    /// JSON that may be missing, or, where something cut it, no JSON: then it stands as a text.
    pub(super) fn json_or_text(&mut self, key: &str, json: Option<&str>) {
        let Some(json) = json else { return };
        if serde_json::from_str::<serde::de::IgnoredAny>(json).is_ok() {
            self.json(key, json);
        } else {
            self.text(key, Some(json));
        }
    }

    pub(super) fn text(&mut self, key: &str, text: Option<&str>) {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            self.key(key);
            push_string(&mut self.0, text);
        }
    }

    pub(super) fn int(&mut self, key: &str, number: Option<i64>) {
        if let Some(number) = number {
            self.json(key, &number.to_string());
        }
    }

    pub(super) fn float(&mut self, key: &str, number: Option<f64>) {
        if let Some(number) = number.and_then(serde_json::Number::from_f64) {
            self.json(key, &number.to_string());
        }
    }

    pub(super) fn truth(&mut self, key: &str, truth: Option<bool>) {
        if let Some(truth) = truth {
            self.json(key, if truth { "true" } else { "false" });
        }
    }

    /// Left out where it is empty.
    pub(super) fn array(&mut self, key: &str, values: impl IntoIterator<Item = String>) {
        let values = array(values);
        if values != "[]" {
            self.json(key, &values);
        }
    }

    /// Left out where it is empty.
    pub(super) fn object(&mut self, key: &str, object: Self) {
        if !object.is_empty() {
            self.json(key, &object.close());
        }
    }

    /// All keys of another object.
    pub(super) fn all_of(&mut self, other: &Self) {
        if let Some(keys) = other.0.get(1..).filter(|keys| !keys.is_empty()) {
            if self.0.len() > 1 {
                self.0.push(',');
            }
            self.0.push_str(keys);
        }
    }

    pub(super) fn close(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

/// A JSON array of ready values.
pub(super) fn array(values: impl IntoIterator<Item = String>) -> String {
    let mut out = String::from("[");
    for value in values {
        if out.len() > 1 {
            out.push(',');
        }
        out.push_str(&value);
    }
    out.push(']');
    out
}

/// The object of some entries, none where there are none.
pub(super) fn entries(entries: &[Entry]) -> Option<String> {
    if entries.is_empty() {
        return None;
    }
    let size = entries.iter().map(|entry| entry.key.len() + entry.json.len() + 6).sum::<usize>();
    let mut object = Object(String::with_capacity(size + 2));
    object.0.push('{');
    for entry in entries {
        object.json(&entry.key, &entry.json);
    }
    Some(object.close())
}

/// A message in OpenAI's form.
pub(super) fn message(message: &Message) -> String {
    let mut object = Object::new();
    object.text("role", Some(&message.role));
    match &message.content_parts {
        Some(parts) => object.json_or_text("content", Some(parts)),
        None => object.text("content", message.content.as_deref()),
    }
    object.text("reasoning", message.reasoning.as_deref());
    object.text("name", message.name.as_deref());
    object.text("tool_call_id", message.tool_call_id.as_deref());
    object.array(
        "tool_calls",
        message.tool_calls.iter().map(|call| {
            let mut function = Object::new();
            function.text("name", Some(&call.name));
            function.text("arguments", call.arguments.as_deref());
            let mut object = Object::new();
            object.text("id", call.id.as_deref());
            object.text("type", Some(call.r#type.as_deref().unwrap_or("function")));
            object.object("function", function);
            object.close()
        }),
    );
    object.text("finish_reason", message.finish_reason.as_deref());
    object.close()
}

pub(super) fn tokens(tokens: &Tokens) -> Object {
    let mut object = Object::new();
    object.int("prompt_tokens", tokens.prompt_tokens);
    object.int("completion_tokens", tokens.completion_tokens);
    object.int("total_tokens", tokens.total_tokens);
    object.int("cached_tokens", tokens.cached_tokens);
    object.int("cache_creation_tokens", tokens.cache_creation_tokens);
    object.int("reasoning_tokens", tokens.reasoning_tokens);
    object.float("cost_usd", tokens.cost_usd);
    object.text("cost_source", tokens.cost_source.as_deref());
    object
}

pub(super) fn model(model: &Model) -> Object {
    let mut object = Object::new();
    object.text("provider", model.provider.as_deref());
    object.text("request", model.request.as_deref());
    object.text("response", model.response.as_deref());
    object.text("response_id", model.response_id.as_deref());
    object.text("operation", model.operation.as_deref());
    object.json_or_text("parameters", model.parameters.as_deref());
    object.array("finish_reasons", model.finish_reasons.iter().map(|reason| crate::event::json::string(reason)));
    object.truth("stream", model.stream);
    object
}

pub(super) fn graph(graph: &Graph) -> Object {
    let mut object = Object::new();
    object.text("graph_id", graph.graph_id.as_deref());
    object.text("node_path", graph.node_path.as_deref());
    object.int("step_index", graph.step_index);
    object.text("thread_id", graph.thread_id.as_deref());
    object.array("triggers", graph.triggers.iter().map(|trigger| crate::event::json::string(trigger)));
    object
}

pub(super) fn agent(agent: &Agent) -> Object {
    let mut object = Object::new();
    object.text("id", agent.id.as_deref());
    object.text("name", agent.name.as_deref());
    object.text("description", agent.description.as_deref());
    object
}

pub(super) fn user(user: &User) -> Object {
    let mut object = Object::new();
    object.text("id", user.id.as_deref());
    object.text("email", user.email.as_deref());
    object.text("username", user.username.as_deref());
    object.text("org", user.org.as_deref());
    object.array("roles", user.roles.iter().map(|role| crate::event::json::string(role)));
    object
}

pub(super) fn error(error: &Error) -> Object {
    let mut object = Object::new();
    object.text("type", error.r#type.as_deref());
    object.text("message", error.message.as_deref());
    object.text("code", error.code.as_deref());
    object.text("stack", error.stack.as_deref());
    object
}

pub(super) fn feedback(feedback: &Feedback) -> Object {
    let mut object = Object::new();
    object.text("type", feedback.r#type.as_deref());
    object.json_or_text("value", feedback.value.as_deref());
    object.text("target", feedback.target.as_deref());
    object
}

pub(super) fn execution(execution: &ToolExecution) -> Object {
    let mut object = Object::new();
    object.text("call_id", execution.call_id.as_deref());
    object.text("name", Some(&execution.name));
    object.text("type", execution.r#type.as_deref());
    object.text("status", execution.status.as_deref());
    object.float("latency_ms", execution.latency_ms);
    object.json_or_text("arguments", execution.arguments.as_deref());
    object.json_or_text("result", execution.result.as_deref());
    object.text("error", execution.error.as_deref());
    object.text("span_id", execution.span_id.as_deref());
    object
}

/// The text of nanoseconds since 1970 as RFC 3339 to the microsecond, none for 0.
pub(super) fn time(ns: u64) -> Option<String> {
    let us = i64::try_from(ns / 1000).ok().filter(|us| *us != 0)?;
    let time = chrono::DateTime::from_timestamp_micros(us)?;
    Some(time.to_rfc3339_opts(chrono::SecondsFormat::Micros, true))
}
