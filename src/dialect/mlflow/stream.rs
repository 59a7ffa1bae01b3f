//! What MLflow says of a stream: an event for each piece that came, whole as the library gave it.
//!
//! The answer that it sums up beside them is made of the first choice's text alone: calls of tools, reasoning and
//! other choices stand in the pieces only, and its finish reason is a guess.

use crate::dialect::draft::Draft;
use crate::dialect::json::Node;
use crate::dialect::json::parse;
use crate::dialect::messages;
use crate::dialect::source::Happening;
use crate::dialect::source::Source;
use crate::dialect::usage::Counts;
use crate::dialect::value;
use std::collections::BTreeMap;

/// OpenAI's pieces, numbered; the traced functions of a user that are generators have such events too.
const NUMBERED: &str = "mlflow.chunk.item.";

/// Choices of an answer, and calls of a choice, that are put together at most.
const MAX_PARTS: usize = 1000;

/// Reads the time of the first piece, and what only the pieces say.
pub(super) fn read(source: &Source<'_>, draft: &mut Draft) {
    let pieces: Vec<_> = source.events.iter().filter_map(|event| Some((event, piece(event)?))).collect();
    let Some((first, _)) = pieces.first() else { return };
    draft.model().stream.get_or_insert(true);
    // An SDK that has too many events forgets the first ones.
    if source.dropped_events > 0 {
        return;
    }
    if let Some(millis) = value::millis_between(source.start_ns, first.time_ns) {
        draft.first_token(source, millis, first.name);
    }
    let mut told = Answered::default();
    for (_, text) in &pieces {
        if let Some(parsed) = parse(text) {
            told.take(&parsed.node);
        }
    }
    told.fill(source, draft);
}

/// The JSON of a piece: of OpenAI's client, of LangChain's callback, of Bedrock's event stream.
fn piece<'a>(event: &Happening<'a>) -> Option<&'a str> {
    let key = match event.name {
        name if name.starts_with(NUMBERED) => "mlflow.chunk.value",
        "new_token" => "chunk",
        "messageStart"
        | "contentBlockStart"
        | "contentBlockDelta"
        | "message_start"
        | "content_block_start"
        | "content_block_delta" => "json",
        _ => return None,
    };
    event.attributes.peek(key)
}

/// A choice that comes in pieces.
#[derive(Default)]
struct Choice {
    text: String,
    reasoning: String,
    calls: BTreeMap<i64, Call>,
    reason: Option<String>,
}

#[derive(Default)]
struct Call {
    id: String,
    name: String,
    arguments: String,
}

#[derive(Default)]
struct Answered {
    choices: BTreeMap<i64, Choice>,
    counts: Counts,
    model: Option<String>,
    response_id: Option<String>,
    reasons: Vec<String>,
}

impl Answered {
    fn take(&mut self, node: &Node<'_>) {
        if let Some(generation) = node.get("kwargs") {
            // LangChain's: the pieces of text are summed up well, what ends them is not.
            let info = generation.get("generation_info");
            let told = generation.at(&["message", "kwargs", "response_metadata"]);
            for place in [info, told].into_iter().flatten() {
                if let Some(model) = place.first_text(&["model_name", "model"]) {
                    self.model.get_or_insert_with(|| model.to_owned());
                }
                if let Some(reason) = place.first_text(&["finish_reason", "stop_reason"])
                    && self.reasons.is_empty()
                {
                    self.reasons.push(reason.to_owned());
                }
            }
            return;
        }
        if node.text("object") != Some("chat.completion.chunk") {
            return;
        }
        if let Some(usage) = node.get("usage") {
            self.counts = Counts::of(usage);
        }
        if let Some(model) = node.text("model") {
            self.model.get_or_insert_with(|| model.to_owned());
        }
        if let Some(id) = node.text("id") {
            self.response_id.get_or_insert_with(|| id.to_owned());
        }
        for choice in node.get("choices").map(Node::items).unwrap_or_default() {
            let index = choice.get("index").and_then(Node::as_count).unwrap_or_default();
            if self.choices.len() >= MAX_PARTS && !self.choices.contains_key(&index) {
                continue;
            }
            self.choices.entry(index).or_default().take(choice);
        }
    }

    fn fill(self, source: &Source<'_>, draft: &mut Draft) {
        if self.choices.values().any(|choice| !choice.is_empty()) {
            let list = self.choices.iter().map(|(index, choice)| choice.node(*index)).collect();
            let answer = Node::object(vec![("choices".into(), Node::array(list))]);
            draft.output(messages::read(&answer, "assistant"), &source.notes, NUMBERED);
        }
        let counts = self.counts;
        draft.usage(&source.attributes, || counts);
        let model = draft.model();
        model.response = model.response.take().or(self.model);
        model.response_id = model.response_id.take().or(self.response_id);
        draft.reasons(self.reasons);
    }
}

impl Choice {
    fn take(&mut self, node: &Node<'_>) {
        if let Some(reason) = node.text("finish_reason") {
            self.reason = Some(reason.to_owned());
        }
        let Some(delta) = node.get("delta") else { return };
        self.text.push_str(delta.text("content").unwrap_or_default());
        self.reasoning.push_str(delta.first_text(&["reasoning_content", "reasoning"]).unwrap_or_default());
        for call in delta.get("tool_calls").map(Node::items).unwrap_or_default() {
            let index = call.get("index").and_then(Node::as_count).unwrap_or_default();
            if self.calls.len() >= MAX_PARTS && !self.calls.contains_key(&index) {
                continue;
            }
            let known = self.calls.entry(index).or_default();
            let function = |key: &str| call.at(&["function", key]).and_then(Node::as_str).unwrap_or_default();
            known.id.push_str(call.text("id").unwrap_or_default());
            known.name.push_str(function("name"));
            known.arguments.push_str(function("arguments"));
        }
    }

    fn is_empty(&self) -> bool {
        self.text.is_empty() && self.reasoning.is_empty() && self.calls.is_empty()
    }

    /// The choice as an answer that was no stream tells it.
    fn node(&self, index: i64) -> Node<'_> {
        let said = |text: &'_ str| if text.is_empty() { Node::Null } else { Node::String(text.to_owned().into()) };
        let call = |call: &Call| {
            let function = vec![("name".into(), said(&call.name)), ("arguments".into(), said(&call.arguments))];
            Node::object(vec![
                ("id".into(), said(&call.id)),
                ("type".into(), Node::String("function".into())),
                ("function".into(), Node::object(function)),
            ])
        };
        let mut message = vec![("role".into(), Node::String("assistant".into())), ("content".into(), said(&self.text))];
        message.push(("reasoning_content".into(), said(&self.reasoning)));
        if !self.calls.is_empty() {
            message.push(("tool_calls".into(), Node::array(self.calls.values().map(call).collect())));
        }
        Node::object(vec![
            ("index".into(), Node::Number(index.to_string().into())),
            ("finish_reason".into(), said(self.reason.as_deref().unwrap_or_default())),
            ("message".into(), Node::object(message)),
        ])
    }
}

#[cfg(test)]
mod tests {
    use crate::dialect::tests::*;
    use opentelemetry_proto::tonic::trace::v1::Span;
    use serde_json::Value;
    use serde_json::json;

    fn streamed(pieces: &[Value]) -> Span {
        let mut span = a_span(
            "Completions",
            json!({
                "mlflow.spanType": "\"CHAT_MODEL\"",
                "mlflow.spanInputs": "{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}",
                "mlflow.spanOutputs": "{\"choices\":[{\"index\":0,\"finish_reason\":\"stop\",\"message\":{\"role\":\"assistant\",\"content\":\"Let me\"}}]}",
            }),
        );
        let event = |(place, piece): (usize, &Value)| {
            an_event(&format!("mlflow.chunk.item.{place}"), json!({"mlflow.chunk.value": piece.to_string()}))
        };
        span.events = pieces.iter().enumerate().map(event).collect();
        span
    }

    fn piece(delta: &Value, reason: Option<&str>) -> Value {
        json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "m-2024-07-18",
            "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})
    }

    #[test]
    fn the_pieces_say_what_their_summary_lost() {
        let call = |index: u32, id: Option<&str>, name: Option<&str>, arguments: &str| json!({"tool_calls": [{"index": index, "id": id, "function": {"name": name, "arguments": arguments}}]});
        let span = streamed(&[
            piece(&json!({"role": "assistant", "content": ""}), None),
            piece(&json!({"content": "Let "}), None),
            piece(&json!({"content": "me"}), None),
            piece(&call(0, Some("call_1"), Some("f"), ""), None),
            piece(&call(0, None, None, "{\"a\""), None),
            piece(&call(0, None, None, ": 1}"), None),
            piece(&call(1, Some("call_2"), Some("g"), "{}"), None),
            piece(&json!({}), Some("tool_calls")),
            json!({"object": "chat.completion.chunk", "choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 5,
                "completion_tokens_details": {"reasoning_tokens": 2}}}),
        ]);
        let partial = read_span("mlflow.tracing.provider", span);
        let called = |id: &str, name: &str, arguments: &str| json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}});
        assert_eq!(
            messages(&partial),
            json!([
                {"role": "user", "content": "Hi"},
                {"role": "assistant", "content": "Let me", "finish_reason": "tool_calls",
                    "tool_calls": [called("call_1", "f", "{\"a\": 1}"), called("call_2", "g", "{}")]},
            ])
        );
        let row = row(&partial);
        assert_eq!(row.timing.as_ref().unwrap().time_to_first_token_ms, Some(250.0));
        let tokens = row.tokens.as_ref().unwrap();
        assert_eq!((tokens.prompt_tokens, tokens.reasoning_tokens), (Some(9), Some(2)));
        let model = row.model.as_ref().unwrap();
        assert_eq!((model.response.as_deref(), model.stream), (Some("m-2024-07-18"), Some(true)));
        assert_eq!(
            (model.response_id.as_deref(), &model.finish_reasons[..]),
            (Some("chatcmpl-1"), &["tool_calls".to_owned()][..])
        );
    }

    #[test]
    fn where_pieces_were_let_go_the_summary_counts() {
        let mut span = streamed(&[piece(&json!({"content": "me"}), Some("stop"))]);
        span.dropped_events_count = 1;
        let partial = read_span("mlflow.tracing.provider", span);
        assert_eq!(messages(&partial)[1]["content"], "Let me");
        assert!(row(&partial).timing.as_ref().is_none_or(|timing| timing.time_to_first_token_ms.is_none()));
    }

    #[test]
    fn a_choice_with_a_huge_number_is_one_choice() {
        let odd = json!({"object": "chat.completion.chunk", "choices": [{"index": 9_000_000_000_000_i64, "delta": {"content": "far"}}]});
        let partial = read_span("mlflow.tracing.provider", streamed(&[odd]));
        assert_eq!(messages(&partial)[1]["content"], "far");
    }
}
