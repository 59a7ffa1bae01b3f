//! A call of a model as the chat request that it was: model, messages, tools and parameters in OpenAI's form.

use crate::event::Event;
use crate::lake::jsonl;
use crate::lake::jsonl::ToolCallForm;
use serde_json::Map;
use serde_json::Value;

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

/// The request of a call, on one line.
///
/// # Errors
/// What it lacks.
pub(super) fn of(call: &Event) -> Result<String, String> {
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
    for message in messages.iter_mut().filter_map(Value::as_object_mut) {
        OF_ANSWERS.iter().for_each(|key| drop(message.remove(*key)));
    }
    let model = call.model.as_ref();
    let name = model.and_then(|model| model.request.clone().or_else(|| model.response.clone()));
    let mut request = Map::new();
    request.insert("model".to_owned(), Value::from(name.ok_or("its model is not known")?));
    request.insert("messages".to_owned(), Value::Array(messages));
    if let Some(tools) = row.remove("tools").filter(Value::is_array) {
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
    serde_json::to_string(&request).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Message;
    use crate::event::Model;

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
        let request: Value = serde_json::from_str(&of(&call()).unwrap()).unwrap();
        let expected = serde_json::json!({
            "model": "gpt",
            "messages": [{"role": "user", "content": "Weather?"}],
            "tools": [{"type": "function", "function": {"name": "f"}}],
            "temperature": 0.5,
            "stop": ["x"],
        });
        assert_eq!(request, expected);
        let counted = Event { input_message_count: Some(2), ..call() };
        let request: Value = serde_json::from_str(&of(&counted).unwrap()).unwrap();
        assert_eq!(request["messages"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn what_is_missing_is_said() {
        assert!(of(&Event { messages: Vec::new(), ..call() }).unwrap_err().contains("not captured"));
        assert!(of(&Event { messages: vec![message("assistant", "x")], ..call() }).unwrap_err().contains("input"));
        assert!(of(&Event { model: None, ..call() }).unwrap_err().contains("model"));
    }
}
