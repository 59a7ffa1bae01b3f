//! A call of a model as the chat request that it was: model, messages, tools and parameters in OpenAI's form.
//!
//! What the form requires and the wire did not state is made here, and only here: ids and arguments of tool calls, the
//! call that a tool's answer is to, and empty texts.

use crate::event::Event;
use crate::lake::jsonl;
use crate::lake::jsonl::ToolCallForm;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

/// Parameters that a chat request takes, and the names under which sources state them.
const PARAMETERS: [(&str, &[&str]); 18] = [
    ("temperature", &[]),
    ("top_p", &[]),
    ("max_tokens", &[]),
    ("max_completion_tokens", &[]),
    ("n", &["choice.count", "choice_count"]),
    ("stop", &["stop_sequences"]),
    ("seed", &[]),
    ("frequency_penalty", &[]),
    ("presence_penalty", &[]),
    ("logit_bias", &[]),
    ("logprobs", &[]),
    ("top_logprobs", &[]),
    ("response_format", &[]),
    ("tool_choice", &[]),
    ("parallel_tool_calls", &[]),
    ("reasoning_effort", &[]),
    ("service_tier", &[]),
    ("verbosity", &[]),
];

/// What a message of a request has no place for.
const OF_ANSWERS: [&str; 2] = ["finish_reason", "reasoning"];

/// Types of rows whose messages make a conversation, where no call tells it whole.
const SAID: [&str; 8] = [
    "chat.message",
    "chat.turn",
    "user.input",
    "agent.response",
    "tool.call",
    "tool.response",
    "wa.message",
    "usage.assistant_message",
];

/// A conversation that was logged message by message, as one call; none where nothing was.
pub(super) fn logged(rows: &[Event]) -> Option<Event> {
    let said = rows.iter().filter(|row| SAID.contains(&row.event_type.as_str()));
    let messages: Vec<_> = said.flat_map(|row| row.messages.iter().cloned()).collect();
    let model = rows.iter().rev().find_map(|row| row.model.clone().filter(|model| model.request.is_some()));
    let last = rows.last()?;
    (!messages.is_empty()).then(|| Event { event_id: last.event_id.clone(), messages, model, ..Event::default() })
}

/// The request of a call. The model is left out where it is not known.
///
/// # Errors
/// What it lacks.
pub(super) fn of(call: &Event, model_name: Option<&str>) -> Result<Map<String, Value>, String> {
    let mut line = Vec::new();
    jsonl::line(call, ToolCallForm::OpenAi, &mut line);
    let Ok(Value::Object(mut row)) = serde_json::from_slice(&line) else {
        return Err("the row is not JSON".to_owned());
    };
    let mut messages = match row.remove("messages") {
        Some(Value::Array(messages)) => messages,
        _ => return Err("its messages were not captured: switch content on in the library".to_owned()),
    };
    // Without a number the last message is the answer, if the model gave one.
    let answered = messages.last().is_some_and(|message| message.get("role").is_some_and(|role| role == "assistant"));
    let count = call.input_message_count.and_then(|count| usize::try_from(count).ok());
    messages.truncate(count.unwrap_or(messages.len() - usize::from(answered)));
    if messages.is_empty() {
        return Err("its input was not captured: switch content on in the library".to_owned());
    }
    if messages.iter().any(|message| message.get("role").is_none()) {
        return Err("the roles of its messages were not captured: the library does not state them".to_owned());
    }
    let tools = row.remove("tools").filter(Value::is_array);
    let messages = complete(messages, tools.as_ref());
    let model = call.model.as_ref();
    let stated = model.and_then(|model| model.request.clone().or_else(|| model.response.clone()));
    let mut request = Map::new();
    if let Some(name) = model_name.map(str::to_owned).or(stated) {
        request.insert("model".to_owned(), Value::from(name));
    }
    request.insert("messages".to_owned(), Value::Array(messages));
    if let Some(tools) = tools {
        request.insert("tools".to_owned(), tools);
    }
    let stated = model.and_then(|model| serde_json::from_str::<Map<String, Value>>(model.parameters.as_deref()?).ok());
    let stated = stated.unwrap_or_default();
    for (name, others) in PARAMETERS {
        let value = std::iter::once(&name).chain(others).find_map(|name| stated.get(*name));
        if let Some(value) = value.filter(|value| !value.is_null()) {
            request.insert(name.to_owned(), value.clone());
        }
    }
    Ok(request)
}

/// Makes messages what the form requires.
fn complete(messages: Vec<Value>, tools: Option<&Value>) -> Vec<Value> {
    let mut out = Vec::with_capacity(messages.len());
    let mut calls = Calls::default();
    for message in messages {
        let Value::Object(mut message) = message else { continue };
        OF_ANSWERS.iter().for_each(|key| drop(message.remove(*key)));
        for call in message.get_mut("tool_calls").and_then(Value::as_array_mut).into_iter().flatten() {
            calls.ask(call);
        }
        if message.get("role").is_some_and(|role| role == "tool") {
            out.extend(calls.answer(&mut message, tools));
        }
        let needs_text = !message.contains_key("tool_calls");
        if needs_text && message.get("content").is_none_or(Value::is_null) {
            message.insert("content".to_owned(), Value::from(""));
        }
        out.push(Value::Object(message));
    }
    out
}

/// Calls of tools that wait for their answers: id and name.
#[derive(Debug, Default)]
struct Calls {
    open: Vec<(String, Value)>,
    made: usize,
}

impl Calls {
    fn id(&mut self, stated: Option<&Value>) -> String {
        match stated.and_then(Value::as_str).filter(|id| !id.is_empty()) {
            Some(id) => id.to_owned(),
            None => {
                self.made += 1;
                format!("call_{}", self.made)
            }
        }
    }

    /// Takes note of a call, which then has an id and arguments.
    fn ask(&mut self, call: &mut Value) {
        let id = self.id(call.get("id"));
        let Some(call) = call.as_object_mut() else { return };
        call.insert("id".to_owned(), Value::from(id.as_str()));
        let function = call.get_mut("function").and_then(Value::as_object_mut);
        let name = function.map(|function| {
            function.entry("arguments").or_insert_with(|| Value::from("{}"));
            function.get("name").cloned().unwrap_or_default()
        });
        self.open.push((id, name.unwrap_or_default()));
    }

    /// Ties an answer to its call. Gives the message of the call where none was captured.
    fn answer(&mut self, message: &mut Map<String, Value>, tools: Option<&Value>) -> Option<Value> {
        let name = message.remove("name").unwrap_or_default();
        let stated = message.get("tool_call_id").and_then(Value::as_str).filter(|id| !id.is_empty());
        let found = match stated {
            Some(stated) => self.open.iter().position(|(id, _)| id == stated),
            None => self.open.iter().position(|(_, called)| *called == name).or((!self.open.is_empty()).then_some(0)),
        };
        if let Some((id, _)) = found.map(|at| self.open.remove(at)) {
            message.insert("tool_call_id".to_owned(), Value::from(id));
            return None;
        }
        let only = tools.and_then(Value::as_array).filter(|tools| tools.len() == 1).and_then(|tools| tools.first());
        let only = only.and_then(|tool| tool.get("function")?.get("name")?.as_str());
        let name = name.as_str().filter(|name| !name.is_empty()).or(only).unwrap_or("unknown").to_owned();
        let id = self.id(message.get("tool_call_id"));
        message.insert("tool_call_id".to_owned(), Value::from(id.as_str()));
        let call = json!({"id": id, "type": "function", "function": {"name": name, "arguments": "{}"}});
        Some(json!({"role": "assistant", "content": null, "tool_calls": [call]}))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Message;
    use crate::event::Model;
    use crate::event::ToolCall;

    fn message(role: &str, content: &str) -> Message {
        let (reasoning, finish_reason) = (Some("hm".to_owned()), Some("stop".to_owned()));
        Message {
            role: role.to_owned(),
            content: Some(content.to_owned()),
            reasoning,
            finish_reason,
            ..Message::default()
        }
    }

    fn call() -> Event {
        Event {
            messages: vec![message("user", "Weather?"), message("assistant", "Rain.")],
            model: Some(Model {
                request: Some("gpt".to_owned()),
                response: Some("gpt-2026".to_owned()),
                parameters: Some(r#"{"temperature":0.5,"stop_sequences":["x"],"top_k":3,"stream":true}"#.to_owned()),
                ..Model::default()
            }),
            tools: Some(r#"[{"type":"function","function":{"name":"f"}}]"#.to_owned()),
            ..Event::default()
        }
    }

    #[test]
    fn a_request_is_the_input_and_what_a_request_takes() {
        let request = Value::Object(of(&call(), None).unwrap());
        let expected = serde_json::json!({
            "model": "gpt",
            "messages": [{"role": "user", "content": "Weather?"}],
            "tools": [{"type": "function", "function": {"name": "f"}}],
            "temperature": 0.5,
            "stop": ["x"],
        });
        assert_eq!(request, expected);
        let counted = Event { input_message_count: Some(2), ..call() };
        let request = of(&counted, Some("another")).unwrap();
        assert_eq!((request["messages"].as_array().unwrap().len(), &request["model"]), (2, &Value::from("another")));
    }

    #[test]
    fn what_is_missing_is_said() {
        assert!(of(&Event { messages: Vec::new(), ..call() }, None).unwrap_err().contains("not captured"));
        assert!(
            of(&Event { messages: vec![message("assistant", "x")], ..call() }, None).unwrap_err().contains("input")
        );
        // Who said it is not made up.
        let nobody = Event { messages: vec![message("", "x"), message("assistant", "y")], ..call() };
        assert!(of(&nobody, None).unwrap_err().contains("roles"));
        assert!(!of(&Event { model: None, ..call() }, None).unwrap().contains_key("model"));
    }

    #[test]
    fn messages_that_were_logged_one_by_one_are_a_request() {
        let call =
            |name: &str| ToolCall { name: name.to_owned(), arguments: Some("{}".to_owned()), ..ToolCall::default() };
        let asks = Message { tool_calls: vec![call("one"), call("two")], ..message("assistant", "") };
        let tool = |name: &str| Message { name: Some(name.to_owned()), ..message("tool", name) };
        let row = |event_type: &str, message: Message| Event {
            event_type: event_type.to_owned(),
            messages: vec![message],
            ..Event::default()
        };
        let empty = Message { content: None, ..message("assistant", "") };
        let rows = [
            row("chat.message", message("user", "q")),
            row("graph.step", message("user", "no message of its own")),
            row("tool.call", asks),
            row("tool.response", tool("two")),
            row("tool.response", tool("one")),
            row("chat.message", empty),
            row("chat.message", message("user", "and?")),
            row("agent.response", message("assistant", "so")),
        ];
        let request = Value::Object(of(&logged(&rows).unwrap(), Some("m")).unwrap());
        let messages = request["messages"].as_array().unwrap();
        let ids: Vec<&Value> = messages.iter().map(|message| &message["tool_call_id"]).collect();
        let none = &Value::Null;
        assert_eq!(ids, [none, none, &Value::from("call_2"), &Value::from("call_1"), none, none]);
        assert_eq!(messages[1]["tool_calls"][1]["id"], "call_2");
        assert!(messages[2].get("name").is_none() && messages[4]["content"] == "");
        assert_eq!(messages[5]["content"], "and?", "the last answer is to be given again");
        assert_eq!(logged(&rows[1..2]), None);
        // A library that keeps answers of tools and not their calls.
        let answer = Message { tool_call_id: Some("call_x".to_owned()), ..tool("") };
        let rows = [row("chat.message", message("user", "q")), row("tool.response", answer)];
        let call = Event { tools: self::call().tools, ..logged(&rows).unwrap() };
        let request = Value::Object(of(&call, None).unwrap());
        let asked = &request["messages"][1]["tool_calls"][0];
        assert_eq!((&asked["id"], &asked["function"]["name"]), (&Value::from("call_x"), &Value::from("f")));
        assert_eq!(request["messages"][2]["tool_call_id"], "call_x");
    }
}
