//! Parts of a message: texts, calls, results, reasoning, media, in every spelling that occurs.

use super::Reader;
use super::build::Answer;
use super::build::Builder;
use super::build::Content;
use super::build::content_of;
use super::image;
use crate::dialect::json::Node;
use crate::dialect::value;
use crate::event::ToolCall;
use crate::event::json::push_string;

/// What a part is, by its type or else by its keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Shape {
    Text,
    Reasoning,
    Call,
    Result,
    Media,
    Unknown,
}

fn shape(node: &Node<'_>) -> Shape {
    if let Some(kind) = node.first_text(&["type", "content_type", "block_type", "part_kind", "kind"]) {
        return match kind {
            "text" | "input_text" | "output_text" | "summary_text" | "TextContent" => Shape::Text,
            "reasoning" | "thinking" | "reasoning_text" | "reasoning_content" | "reasoningContent" => Shape::Reasoning,
            "tool_call"
            | "function_call"
            | "tool_use"
            | "tool-call"
            | "function"
            | "toolUse"
            | "functionCall"
            | "toolRequest"
            | "custom_tool_call"
            | "FunctionCallContent" => Shape::Call,
            "tool_call_response"
            | "tool_result"
            | "tool-result"
            | "function_call_output"
            | "function_result"
            | "function_call_result"
            | "tool_response"
            | "toolResult"
            | "functionResponse"
            | "toolResponse"
            | "tool_call_result"
            | "custom_tool_call_output"
            | "tool_call_output" => Shape::Result,
            "image_url" | "input_audio" | "file" | "image" | "input_image" | "input_file" | "audio" | "video"
            | "document" | "blob" | "uri" | "file_data" | "media" | "binary" | "image-url" | "audio-url"
            | "video-url" | "document-url" => Shape::Media,
            _ => Shape::Unknown,
        };
    }
    if node
        .first(&["toolUse", "functionCall", "function_call", "toolRequest", "tool_call", "tool_use"])
        .is_some_and(Node::is_object)
    {
        return Shape::Call;
    }
    if node
        .first(&[
            "toolResult",
            "functionResponse",
            "function_response",
            "toolResponse",
            "tool_call_result",
            "tool_result",
        ])
        .is_some_and(Node::is_object)
    {
        return Shape::Result;
    }
    if node.get("reasoningContent").is_some()
        || node.get("reasoning").is_some_and(|inner| {
            inner.as_str().is_some() || inner.get("text").is_some() || inner.get("reasoning_text").is_some()
        })
    {
        return Shape::Reasoning;
    }
    let media = [
        "inlineData",
        "inline_data",
        "fileData",
        "file_data",
        "image",
        "image_url",
        "document",
        "video",
        "audio",
        "media",
    ];
    if media.iter().any(|key| node.get(key).is_some_and(|inner| inner.is_object() || *key == "image_url")) {
        return Shape::Media;
    }
    if node.get("text").is_some_and(|text| text.as_str().is_some()) {
        return if node.get("thought").and_then(Node::as_bool) == Some(true) { Shape::Reasoning } else { Shape::Text };
    }
    Shape::Unknown
}

/// Whether a value is a part of a message and not a whole one.
pub(super) fn is_part(node: &Node<'_>) -> bool {
    node.is_object() && (node.get("message_content").is_some() || shape(node) != Shape::Unknown || is_server_part(node))
}

fn is_server_part(node: &Node<'_>) -> bool {
    node.text("type").is_some_and(|kind| {
        kind.ends_with("_call") || kind.ends_with("_call_output") || kind == "redacted_thinking" || kind == "compaction"
    })
}

/// The role of a part that stands where messages stand, where only one can have said it.
pub(super) fn implied_role(node: &Node<'_>) -> Option<&'static str> {
    if !node.is_object() {
        return None;
    }
    match shape(node) {
        Shape::Call | Shape::Reasoning => Some("assistant"),
        Shape::Result => Some("tool"),
        Shape::Text if node.text("type") == Some("output_text") => Some("assistant"),
        Shape::Unknown if is_server_part(node) => {
            Some(if node.text("type").is_some_and(|kind| kind.ends_with("_output")) { "tool" } else { "assistant" })
        }
        _ => None,
    }
}

/// A message of the tool role whose content is a tool's definition.
pub(super) fn disguised_tool<'n, 'a>(node: &'n Node<'a>, role: &str) -> Option<&'n Node<'a>> {
    let content = node.get("content").filter(|_| role == "tool")?;
    let schema = content.get("function").filter(|_| content.text("type") == Some("function"))?;
    schema.get("parameters").is_some().then_some(content)
}

/// Whether a text may be a block of an answer, written as JSON.
pub(super) fn may_be_block(text: &str) -> bool {
    let words = ["\"reasoningContent\"", "\"reasoning\"", "\"thinking\"", "\"tool_use\"", "\"function_call\""];
    text.starts_with("{\"") && words.iter().any(|word| text.contains(word))
}

/// A text as OpenAI's content part.
pub(super) fn text_json(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 26);
    out.push_str("{\"type\":\"text\",\"text\":");
    push_string(&mut out, text);
    out.push('}');
    out
}

pub(super) fn tool_call(id: Option<String>, kind: Option<&str>, name: &str, arguments: Option<String>) -> ToolCall {
    ToolCall { id, r#type: Some(kind.unwrap_or("function").to_owned()), name: name.to_owned(), arguments }
}

impl Reader {
    /// Content of a message: a text, a list of parts, or one part.
    pub(super) fn content(&mut self, node: &Node<'_>, builder: &mut Builder) {
        match node {
            Node::Null => {}
            Node::String(text) => self.plain_text(text, builder),
            Node::Array(array) => {
                if builder.role == "tool" && !array.items.iter().any(is_part) {
                    let (content, content_parts) = answer(node);
                    builder.content.extend(content.map(Content::Text));
                    builder.lossy |= content_parts.is_some();
                    return;
                }
                for part in &array.items {
                    self.part(part, builder);
                }
            }
            Node::Object(_) if is_part(node) => self.part(node, builder),
            // Gemini's content within a message.
            Node::Object(_) if node.get("parts").is_some() => self.parts_of(node.get("parts"), builder),
            other => builder.text(other.json()),
        }
    }

    /// A text; one that is the JSON of a list of parts is read as such, but never a tool's own result.
    pub(super) fn plain_text(&mut self, text: &str, builder: &mut Builder) {
        if builder.role != "tool"
            && text.trim_start().starts_with("[{")
            && let Some(parsed) = crate::dialect::json::parse(text)
        {
            let items = parsed.node.items();
            if !parsed.flaws.truncated && !items.is_empty() && items.iter().all(is_part) {
                for part in items {
                    self.part(part, builder);
                }
                return;
            }
        }
        builder.text(text);
    }

    /// One part of a message.
    pub(super) fn part(&mut self, node: &Node<'_>, builder: &mut Builder) {
        if let Node::String(text) = node {
            builder.text(text.as_ref());
            return;
        }
        if let Some(inner) = node.get("message_content") {
            self.check(node, &["message_content"]);
            return self.part(inner, builder);
        }
        match shape(node) {
            Shape::Text => {
                match node.first(&["text", "content", "value"]) {
                    // OpenLLMetry writes blocks that it does not know as JSON text.
                    Some(told @ Node::String(text)) if builder.role == "assistant" && may_be_block(text) => {
                        if !told.opened(|inner| self.written_block(inner, builder)) {
                            builder.text(text.as_ref());
                        }
                    }
                    Some(Node::String(text)) => builder.text(text.as_ref()),
                    // A system prompt that was given as a list stands whole in its one part.
                    Some(Node::Array(list)) if !list.items.is_empty() && list.items.iter().all(is_part) => {
                        for item in &list.items {
                            self.part(item, builder);
                        }
                    }
                    Some(inner) => builder.text(inner.get("value").unwrap_or(inner).plain().as_str()),
                    None => builder.lossy |= node.get("text").is_none(),
                }
                self.check(
                    node,
                    &["type", "text", "content", "content_type", "value", "thought", "part_kind", "kind", "block_type"],
                );
            }
            Shape::Reasoning => {
                self.reasoning(node, builder);
                self.check(node, &["type", "content", "text", "thinking", "thought", "summary", "reasoning"]);
            }
            Shape::Call => self.call(node, builder),
            Shape::Result => self.result(node, builder),
            Shape::Media => match image::content_part(node) {
                Some(part) => builder.json(part),
                None => builder.json(node.json()),
            },
            Shape::Unknown => match node {
                Node::Null => {}
                Node::Object(_) if node.text("type") == Some("refusal") => {
                    let refusal = node.first_text(&["refusal", "content", "text"]).unwrap_or_default();
                    let mut part = String::from("{\"type\":\"refusal\",\"refusal\":");
                    push_string(&mut part, refusal);
                    part.push('}');
                    builder.json(part);
                    self.check(node, &["type", "refusal", "content", "text"]);
                }
                Node::Object(_)
                    if node.text("type").is_none() && node.text("content").is_some() && node.entries().len() == 1 =>
                {
                    builder.text(node.text("content").unwrap_or_default());
                }
                // Genkit's part of a structured answer, which the model gave as text.
                Node::Object(_) if node.entries().len() == 1 && node.get("data").is_some_and(Node::is_object) => {
                    builder.text(node.get("data").map(Node::json).unwrap_or_default().as_str());
                }
                Node::Object(_) => builder.json(node.json()),
                other => builder.text(other.json()),
            },
        }
    }

    /// A block of Bedrock's, Anthropic's or the Responses API's that stands as text: whether it is one.
    fn written_block(&mut self, node: &Node<'_>, builder: &mut Builder) -> bool {
        if let Some(reasoning) = node.get("reasoningContent").filter(|_| node.entries().len() == 1) {
            self.reasoning(reasoning, builder);
            return true;
        }
        match node.text("type") {
            Some("reasoning") if node.get("summary").is_some() => self.reasoning(node, builder),
            Some("thinking") if node.get("thinking").is_some() => self.reasoning(node, builder),
            Some("tool_use") if node.get("id").is_some() && node.get("input").is_some() => self.call(node, builder),
            Some("function_call") if node.get("call_id").is_some() => self.call(node, builder),
            _ => return false,
        }
        builder.written = true;
        true
    }

    /// Reasoning: a text, a list of summary items, or an object with either.
    pub(super) fn reasoning(&mut self, node: &Node<'_>, builder: &mut Builder) {
        match node {
            Node::String(text) if value::is_withheld(text) => builder.withheld = true,
            Node::String(text) if text.is_empty() => {}
            Node::String(text) => {
                // One release writes the summary items as JSON text.
                let read = text.trim_start().starts_with("[{")
                    && node.opened(|inner| {
                        let items = inner.items();
                        let all = !items.is_empty() && items.iter().all(|item| item.get("text").is_some());
                        if all {
                            for item in items {
                                self.reasoning(item, builder);
                            }
                        }
                        all
                    });
                if !read {
                    builder.reasoning.push(text.clone().into_owned());
                }
            }
            Node::Array(array) => {
                for item in &array.items {
                    self.reasoning(item, builder);
                }
            }
            Node::Object(_) => {
                let inner = node.first(&[
                    "thinking",
                    "content",
                    "text",
                    "summary",
                    "reasoning",
                    "reasoningContent",
                    "reasoningText",
                    "reasoning_text",
                ]);
                if let Some(inner) = inner.filter(|inner| !inner.is_empty()).or_else(|| node.get("summary")) {
                    self.reasoning(inner, builder);
                }
                builder.lossy |=
                    node.first(&["signature", "encrypted_content", "data"]).is_some_and(|sealed| !sealed.is_empty());
            }
            _ => {}
        }
    }

    /// A tool call that the model made.
    pub(super) fn call(&mut self, node: &Node<'_>, builder: &mut Builder) {
        let wrapped = node
            .first(&["toolUse", "functionCall", "function_call", "toolRequest", "tool_call", "tool_use"])
            .filter(|inner| inner.is_object());
        if let Some(inner) = wrapped {
            self.check(
                node,
                &[
                    "toolUse",
                    "functionCall",
                    "function_call",
                    "toolRequest",
                    "tool_call",
                    "tool_use",
                    "type",
                    "content_type",
                ],
            );
            return self.call(inner, builder);
        }
        let function = node.first(&["function", "custom"]).filter(|inner| inner.is_object()).unwrap_or(node);
        let id =
            node.first(&["call_id", "callId", "id", "toolCallId", "toolUseId", "tool_call_id", "tool_use_id", "ref"]);
        let name = function
            .first_text(&["name", "toolName", "tool_name", "function_name"])
            .or_else(|| node.first_text(&["name", "toolName"]));
        let arguments = function
            .first(&["arguments", "input", "args", "parameters", "arguments_json", "tool_kwargs"])
            .or_else(|| node.first(&["arguments", "input", "args"]));
        // LangChain keeps the input of a streamed block of Anthropic's beside it, as it came.
        let arguments = node.get("partial_json").filter(|_| arguments.is_none_or(Node::is_empty)).or(arguments);
        let kind = node.text("type").filter(|kind| *kind == "custom");
        let id = id.and_then(Node::scalar_text).filter(|id| !id.is_empty()).map(str::to_owned);
        if name.is_none() && id.is_none() && arguments.is_none() {
            builder.lossy = true;
            return;
        }
        let arguments = arguments.map(Node::plain).filter(|text| !text.is_empty());
        let call = tool_call(id, kind, name.unwrap_or_default(), arguments);
        // A call that stands as a block and as a call.
        let is_told = |known: &ToolCall| {
            let bare = |call: &ToolCall| call.arguments.as_ref().map(|text| text.replace([' ', '\n'], ""));
            known.id.is_some() && known.id == call.id && bare(known) == bare(&call)
        };
        if !(builder.written && builder.calls.iter().any(is_told)) {
            builder.calls.push(call);
        }
        // A Responses item has an id of its own beside the call's.
        self.check(
            node,
            &[
                "type",
                "id",
                "call_id",
                "name",
                "arguments",
                "function",
                "input",
                "args",
                "toolCallId",
                "toolName",
                "toolUseId",
                "toolCallType",
                "content_type",
                "index",
                "status",
                "custom",
                "tool_call_id",
                "tool_name",
                "function_name",
                "ref",
                "block_type",
                "tool_kwargs",
                "callId",
            ],
        );
        let call = node.first(&["call_id", "callId"]);
        if call.is_some() && node.get("id").is_some_and(|own| Some(own) != call) {
            builder.lossy = true;
        }
    }

    /// A tool's result that stands in a message.
    fn result(&mut self, node: &Node<'_>, builder: &mut Builder) {
        let wrapped = node
            .first(&["toolResult", "functionResponse", "function_response", "toolResponse", "tool_call_result"])
            .filter(|inner| inner.is_object());
        if let Some(inner) = wrapped {
            self.check(
                node,
                &["toolResult", "functionResponse", "function_response", "toolResponse", "tool_call_result", "type"],
            );
            return self.result(inner, builder);
        }
        let origin = node.get("origin");
        let id = node
            .first(&["tool_use_id", "tool_call_id", "toolCallId", "toolUseId", "call_id", "callId", "id", "ref"])
            .or_else(|| origin.and_then(|origin| origin.get("id")));
        let name = node
            .first_text(&["name", "toolName", "tool_name", "function_name"])
            .or_else(|| origin.and_then(|origin| origin.text("tool_name")));
        let result = node.first(&["response", "result", "output", "content", "text"]);
        let (content, content_parts) = result.map(answer).unwrap_or_default();
        let withheld = content.as_deref().is_some_and(value::is_withheld);
        builder.withheld |= withheld;
        let failed = node.first(&["is_error", "isError", "error"]).is_some_and(|error| error.as_bool() != Some(false))
            || node.text("status").is_some_and(|status| status == "error");
        builder.lossy |= failed;
        builder.results.push(Answer {
            call_id: id.and_then(Node::scalar_text).filter(|id| !id.is_empty()).map(str::to_owned),
            name: name.map(str::to_owned),
            content: content.filter(|_| !withheld),
            content_parts,
        });
        self.check(
            node,
            &[
                "type",
                "id",
                "call_id",
                "tool_call_id",
                "tool_use_id",
                "toolCallId",
                "toolUseId",
                "name",
                "toolName",
                "response",
                "result",
                "output",
                "content",
                "is_error",
                "isError",
                "status",
                "content_type",
                "tool_name",
                "ref",
                "error",
                "callId",
            ],
        );
    }
}

/// A tool's result as the content of its message: texts joined, anything else as its JSON.
pub(super) fn answer(node: &Node<'_>) -> (Option<String>, Option<String>) {
    match node {
        Node::Null => (None, None),
        Node::String(text) => (Some(text.clone().into_owned()), None),
        Node::Array(array) if !array.items.is_empty() && array.items.iter().all(is_answer_part) => {
            let mut content = Vec::with_capacity(array.items.len());
            for item in &array.items {
                if let Some(json) = item.get("json") {
                    content.push(Content::Text(json.json()));
                } else if shape(item) == Shape::Media {
                    content.push(Content::Json(image::content_part(item).unwrap_or_else(|| item.json())));
                } else {
                    content.push(Content::Text(item.first(&["text", "content"]).map(Node::plain).unwrap_or_default()));
                }
            }
            content_of(content)
        }
        // The Vercel SDK says of what type a result is.
        Node::Object(_) if node.get("value").is_some() && node.entries().len() <= 3 => match node.text("type") {
            Some("json" | "text" | "error-text" | "error-json" | "content") => {
                answer(node.get("value").unwrap_or(&Node::Null))
            }
            _ => (Some(node.json()), None),
        },
        // OpenAI's Agents in JavaScript: a text, and what it is.
        Node::Object(object) if object.entries.len() == 2 && node.text("type") == Some("text") => {
            (node.text("text").map(str::to_owned).or_else(|| Some(node.json())), None)
        }
        other => (Some(other.json()), None),
    }
}

fn is_answer_part(node: &Node<'_>) -> bool {
    let lone_json = node.get("json").is_some() && node.entries().len() == 1;
    lone_json || matches!(shape(node), Shape::Text | Shape::Media)
}
