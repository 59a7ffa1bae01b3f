//! Chat messages as these sources write them: OpenAI's, or with calls flat (`{id, name, arguments}`).
//!
//! Roles that nobody knows and messages without content are kept: a logged line says what it says.

use crate::dialect::json::Node;
use crate::event::Message;
use crate::event::ToolCall;

/// Keys of a message that are read.
const KNOWN: [&str; 10] = [
    "role",
    "content",
    "content_parts",
    "tool_calls",
    "function_call",
    "tool_call_id",
    "name",
    "reasoning",
    "reasoning_content",
    "finish_reason",
];

/// Messages, and whether they say all that was sent.
#[derive(Debug, Default)]
pub(super) struct Chat {
    pub messages: Vec<Message>,
    pub lossy: bool,
}

/// Reads a list of messages; a bare text is a user's.
pub(super) fn read(node: &Node<'_>) -> Chat {
    let mut chat = Chat::default();
    match node {
        Node::Array(array) => array.items.iter().for_each(|item| chat.push(item)),
        Node::Null => {}
        other => chat.push(other),
    }
    chat
}

impl Chat {
    fn push(&mut self, node: &Node<'_>) {
        match node {
            Node::Null => {}
            Node::Object(_) => {
                let (message, lossy) = message(node);
                self.messages.push(message);
                self.lossy |= lossy;
            }
            other => {
                self.messages.push(said("user", Some(other.plain())));
                self.lossy |= !matches!(other, Node::String(_));
            }
        }
    }
}

/// A message of one text.
pub(super) fn said(role: &str, content: Option<String>) -> Message {
    Message { role: role.to_owned(), content, ..Message::default() }
}

/// Reads one message, and tells whether it says more than was read.
pub(super) fn message(node: &Node<'_>) -> (Message, bool) {
    let text = |key: &str| node.text(key).map(str::to_owned);
    let mut lossy = node.entries().iter().any(|(key, value)| !KNOWN.contains(&key.as_ref()) && !value.is_empty());
    let (mut content, mut content_parts) = node.get("content").map_or((None, None), text_and_parts);
    if let Some(parts) = node.get("content_parts").filter(|parts| parts.is_array()) {
        content_parts = Some(parts.json());
        content = content.or_else(|| joined_texts(parts));
    }
    let mut tool_calls: Vec<ToolCall> = Vec::new();
    for call in node.get("tool_calls").map(Node::items).unwrap_or_default() {
        lossy |= call.entries().iter().any(|(key, value)| {
            !matches!(key.as_ref(), "id" | "type" | "name" | "arguments" | "arguments_raw" | "function" | "index")
                && !value.is_empty()
        });
        tool_calls.push(tool_call(call));
    }
    if let Some(call) = node.get("function_call").filter(|call| tool_calls.is_empty() && call.is_object()) {
        tool_calls.push(tool_call(call));
    }
    let message = Message {
        role: role(node.text("role").unwrap_or("user")).to_owned(),
        content,
        content_parts,
        reasoning: text("reasoning").or_else(|| text("reasoning_content")),
        name: text("name"),
        tool_call_id: text("tool_call_id"),
        tool_calls,
        finish_reason: text("finish_reason"),
    };
    (message, lossy)
}

/// LangChain's words for roles; all others stay.
fn role(word: &str) -> &str {
    match word {
        "human" => "user",
        "ai" => "assistant",
        other => other,
    }
}

/// The text, and the parts where there is more than one plain text.
fn text_and_parts(node: &Node<'_>) -> (Option<String>, Option<String>) {
    match node {
        Node::Null => (None, None),
        Node::String(text) => (Some(text.clone().into_owned()), None),
        Node::Array(array) => match array.items.as_slice() {
            [] => (None, None),
            [part] if is_text(part) && part.entries().len() == 2 => (part.get("text").map(Node::plain), None),
            _ => (joined_texts(node), Some(node.json())),
        },
        other => (Some(other.json()), None),
    }
}

fn is_text(part: &Node<'_>) -> bool {
    part.text("type") == Some("text") && part.get("text").is_some_and(|text| text.as_str().is_some())
}

fn joined_texts(parts: &Node<'_>) -> Option<String> {
    let texts: Vec<&str> =
        parts.items().iter().filter(|part| is_text(part)).filter_map(|part| part.get("text")?.as_str()).collect();
    (!texts.is_empty()).then(|| texts.join("\n"))
}

/// A call in OpenAI's form or flat.
fn tool_call(node: &Node<'_>) -> ToolCall {
    let function = node.get("function").unwrap_or(node);
    ToolCall {
        id: node.text("id").map(str::to_owned),
        r#type: Some(node.text("type").unwrap_or("function").to_owned()),
        name: function.text("name").unwrap_or_default().to_owned(),
        arguments: function.get("arguments").or_else(|| function.get("arguments_raw")).map(Node::plain),
    }
}
