//! Messages of any vendor's shape as OpenAI chat messages, recognised by structure and not by who sent them.
//!
//! One odd thing costs that thing only: what is no message becomes text, what is no known part stays as it is, and
//! whoever asks is told whether anything of the source is not in the result.

mod build;
pub(super) mod direct;
mod image;
mod parts;
mod pydantic;
mod shape;
mod told;
mod tools;

pub(super) use shape::is_message;
pub(super) use shape::tells_messages;
pub(super) use told::Said;
pub(super) use told::Told;
pub(super) use told::as_one;
pub(super) use tools::Definitions;

use super::json::Node;
use super::value;
use build::Builder;
use shape::wraps_messages;

/// Nested wrappers around a list of messages.
const MAX_WRAPPERS: usize = 6;

/// Reads messages. `role` is that of a bare text or a message that states none.
pub(super) fn read(node: &Node<'_>, role: &'static str) -> Told {
    let mut reader = Reader::default();
    reader.list(node, role, 0);
    reader.told
}

/// Reads parts of system instructions, or a bare text, as one system message.
pub(super) fn read_system(node: &Node<'_>) -> Told {
    read(node, "system")
}

/// Gemini's clients write system instructions as a content like any other, and some give it the role that a content has
/// where nobody says one.
pub(super) fn as_instructions(said: &mut [Said]) {
    for said in said.iter_mut().filter(|said| said.message.role == "user") {
        "system".clone_into(&mut said.message.role);
    }
}

/// One message, also where it has no key that says so.
pub(super) fn read_message(node: &Node<'_>, role: &'static str) -> Told {
    let mut reader = Reader::default();
    reader.message(node, role, None, None);
    reader.told
}

#[derive(Default)]
struct Reader {
    told: Told,
    /// Whether the first message is the instructions that a request of Pydantic AI holds.
    instructed: bool,
}

impl Reader {
    fn list(&mut self, node: &Node<'_>, role: &'static str, depth: usize) {
        if depth > MAX_WRAPPERS {
            self.text(&node.plain(), role);
            return;
        }
        match node {
            Node::Null => {}
            Node::String(text) => node.opened(|inner| {
                if !matches!(inner, Node::String(_)) && tells_messages(inner) {
                    self.told.lossy |= inner.is_cut();
                    self.list(inner, role, depth + 1);
                } else {
                    self.text(text, role);
                }
            }),
            Node::Array(array) => {
                self.told.lossy |= array.cut;
                if let Some((word, content)) = shorthand(&array.items) {
                    let mut builder = Builder::new(word);
                    self.content(content, &mut builder);
                    self.emit(builder);
                    return;
                }
                self.items(&array.items, role, depth);
            }
            Node::Object(_) => self.object(node, role, depth),
            other => self.text(&other.json(), role),
        }
    }

    fn items(&mut self, items: &[Node<'_>], role: &'static str, depth: usize) {
        let mut open: Option<Builder> = None;
        for item in items {
            if item.is_cut() {
                // Only what was sent whole is a message.
                self.told.lossy = true;
                continue;
            }
            let nested = item.is_array() || wraps_messages(item);
            if nested || is_message(item) {
                if let Some(builder) = open.take() {
                    self.emit(builder);
                }
                if nested {
                    self.list(item, role, depth + 1);
                } else {
                    self.message(item, role, None, None);
                }
                continue;
            }
            if item.is_empty() {
                continue;
            }
            let role = parts::implied_role(item).unwrap_or(role);
            if open.as_ref().is_some_and(|builder| builder.role != role)
                && let Some(builder) = open.take()
            {
                self.emit(builder);
            }
            let builder = open.get_or_insert_with(|| Builder::new(role));
            self.part(item, builder);
        }
        if let Some(builder) = open {
            self.emit(builder);
        }
    }

    /// A message, or a request or an answer that holds messages.
    fn object(&mut self, node: &Node<'_>, role: &'static str, depth: usize) {
        if !wraps_messages(node) {
            if node.entries().is_empty() {
                // Nothing was said.
            } else if is_message(node) {
                self.message(node, role, None, None);
            } else if parts::is_part(node) {
                let mut builder = Builder::new(parts::implied_role(node).unwrap_or(role));
                self.part(node, &mut builder);
                self.emit(builder);
            } else {
                self.text(&node.json(), role);
            }
            return;
        }
        // An answer repeats what it was asked with: those are not its words.
        let given: &[&str] = if role == "assistant" {
            &[]
        } else {
            &["system", "instructions", "system_instruction", "systemInstruction"]
        };
        for key in given.iter().copied() {
            if let Some(system) = node.get(key).or_else(|| node.at(&["config", key])) {
                let before = self.told.said.len();
                self.list(system, "system", depth + 1);
                if key.starts_with("system") {
                    as_instructions(self.told.said.get_mut(before..).unwrap_or_default());
                }
            }
        }
        for tools in [node.get("tools"), node.at(&["config", "tools"]), node.get("functions")].into_iter().flatten() {
            self.told.lossy |= !self.told.tools.read(tools);
        }
        const WRAPPERS: [(&str, Option<&str>); 10] = [
            ("messages", None),
            ("prompt", None),
            ("contents", None),
            ("input", None),
            ("choices", Some("assistant")),
            ("generations", Some("assistant")),
            ("candidates", Some("assistant")),
            ("output", Some("assistant")),
            ("message", None),
            ("content", Some("assistant")),
        ];
        for (key, own_role) in WRAPPERS {
            let Some(inner) = node.get(key).filter(|inner| {
                inner.is_array() || inner.is_object() || matches!(key, "prompt" | "contents" | "input")
            }) else {
                continue;
            };
            let role = own_role.unwrap_or(role);
            match key {
                "choices" | "candidates" => self.choices(inner),
                "generations" => self.generations(inner),
                "message" => self.message(inner, role, node.get("index").and_then(Node::as_count), reason_of(node)),
                _ => self.list(inner, role, depth + 1),
            }
            self.check(
                node,
                &[
                    key,
                    "system",
                    "instructions",
                    "system_instruction",
                    "systemInstruction",
                    "tools",
                    "functions",
                    "finish_reason",
                    "finishReason",
                    "index",
                ],
            );
            return;
        }
    }

    fn choices(&mut self, node: &Node<'_>) {
        for (place, choice) in node.items().iter().enumerate() {
            if choice.is_cut() {
                self.told.lossy = true;
                continue;
            }
            let index = choice.get("index").and_then(Node::as_count).or_else(|| i64::try_from(place).ok());
            let inner = choice.first(&["message", "delta"]);
            // Some tell the message itself as the choice: its calls stand beside its content.
            if inner.is_none() && is_message(choice) {
                self.message(choice, "assistant", index, None);
                continue;
            }
            match inner.or_else(|| choice.first(&["content", "text"])) {
                Some(message) => self.message(message, "assistant", index, reason_of(choice)),
                None => self.told.lossy = true,
            }
            self.check(choice, &["message", "delta", "content", "text", "index", "finish_reason", "finishReason"]);
        }
    }

    /// LangChain's answers: a list for each prompt, in it one for each choice.
    fn generations(&mut self, node: &Node<'_>) {
        let batch = match node.items().first() {
            Some(first) if first.is_array() => {
                self.told.lossy |= node.items().len() > 1;
                first.items()
            }
            _ => node.items(),
        };
        self.told.lossy = true;
        for (place, generation) in batch.iter().enumerate() {
            let index = i64::try_from(place).ok();
            let info = generation.first(&["generation_info", "generationInfo"]);
            let reason = info.and_then(reason_of);
            match generation.get("message") {
                Some(message) => self.message(message, "assistant", index, reason),
                None => {
                    let mut builder = Builder::new("assistant");
                    builder.choice = index;
                    builder.reason = reason;
                    if let Some(text) = generation.text("text") {
                        builder.text(text);
                    }
                    self.emit(builder);
                }
            }
        }
    }

    fn text(&mut self, text: &str, role: &'static str) {
        let mut builder = Builder::new(role);
        self.plain_text(text, &mut builder);
        self.emit(builder);
    }

    /// One message of any shape.
    fn message(&mut self, node: &Node<'_>, role: &'static str, choice: Option<i64>, reason: Option<String>) {
        if node.is_cut() {
            self.told.lossy = true;
            return;
        }
        if let Node::String(text) = node {
            let mut builder = Builder::new(role);
            builder.choice = choice;
            builder.reason = reason;
            self.plain_text(text, &mut builder);
            self.emit(builder);
            return;
        }
        if pydantic::is_model_message(node) {
            return self.model_message(node);
        }
        // LangChain's constructors, and wrappers that say nothing themselves.
        if let Some(kwargs) =
            node.get("kwargs").filter(|_| node.get("lc").is_some() || node.get("id").is_some_and(Node::is_array))
        {
            let class = node.get("id").and_then(|id| id.items().last()).and_then(Node::as_str).and_then(value::role);
            self.told.lossy = true;
            return self.message(kwargs, class.unwrap_or(role), choice, reason);
        }
        if let Some(data) = node.get("data").filter(|data| data.is_object() && data.get("content").is_some()) {
            let kind = node.text("type").and_then(value::role);
            self.told.lossy = true;
            return self.message(data, kind.unwrap_or(role), choice, reason);
        }
        if node.get("role").is_none()
            && node.get("content").is_none()
            && let Some(inner) = node.get("message").filter(|inner| inner.is_object())
        {
            let index = node.get("index").and_then(Node::as_count).or(choice);
            self.check(node, &["message", "index", "finish_reason", "finishReason", "tool_calls"]);
            let mut builder = self.built(inner, role);
            builder.choice = builder.choice.or(index);
            builder.reason = builder.reason.take().or(reason).or_else(|| reason_of(node));
            // Some write the calls beside the message, some inside.
            if builder.calls.is_empty() {
                self.calls(node, &mut builder);
            }
            self.emit(builder);
            return;
        }
        let mut builder = self.built(node, role);
        builder.choice = builder.choice.or(choice);
        builder.reason = builder.reason.take().or(reason);
        self.emit(builder);
    }

    fn built(&mut self, node: &Node<'_>, role: &'static str) -> Builder {
        let stated = node.first_text(&["role", "_role"]);
        let kind = node.text("type").filter(|_| stated.is_none());
        let word = stated.or(kind).or_else(|| node.at(&["author", "role"]).and_then(Node::as_str));
        let known = word.and_then(value::role);
        if let (None, Some(word)) = (known, stated) {
            self.told.lossy |= !matches!(word, "thinking" | "reasoning");
        }
        let nested = node.get("content").filter(|content| content.get("parts").is_some());
        let inner_role = nested.and_then(|content| content.text("role")).and_then(value::role);
        let mut builder = Builder::new(inner_role.or(known).unwrap_or(role));
        // Langfuse's handler in JavaScript gives the answers of tools the tool's name for a role.
        let tool = stated.filter(|word| known.is_none() && self.has_called(word));
        if tool.is_some() {
            builder.role = "tool";
        }
        // Who answers a call is a tool, whatever the message is called.
        if builder.role == "user" && node.text("tool_call_id").is_some_and(|id| !id.is_empty()) {
            builder.role = "tool";
        }
        builder.reason = reason_of(node);
        builder.open = node.get("finish_reason").and_then(Node::as_str) == Some("");
        builder.choice = node.get("index").and_then(Node::as_count);
        builder.name = node.text("name").or(tool).map(str::to_owned);
        if matches!(stated, Some("thinking" | "reasoning")) {
            // Anthropic's thinking, as a message of its own.
            builder.role = "assistant";
            if let Some(thought) = node.first(&["content", "text"]) {
                self.reasoning(thought, &mut builder);
            }
            return builder;
        }
        if builder.role == "tool" {
            builder.answers = node
                .first(&["tool_call_id", "toolCallId", "tool_use_id", "call_id", "id"])
                .or_else(|| node.at(&["additional_kwargs", "tool_call_id"]))
                .and_then(Node::scalar_text)
                .filter(|id| !id.is_empty())
                .map(str::to_owned);
        }
        for key in ["reasoning_content", "reasoning", "thinking", "reasoning_text"] {
            if let Some(reasoning) = node.get(key).or_else(|| node.at(&["additional_kwargs", key])) {
                self.reasoning(reasoning, &mut builder);
                break;
            }
        }
        if let Some(nested) = nested {
            self.parts_of(nested.get("parts"), &mut builder);
            self.check(nested, &["parts", "role"]);
        } else {
            // Where a list of parts stands beside the plain content, it repeats it.
            let listed = ["contents", "items", "blocks", "parts"]
                .iter()
                .find_map(|key| node.get(key).filter(|list| list.is_array()));
            self.parts_of(listed, &mut builder);
            if let Some(content) = node.first(&["content", "text"]).filter(|_| !builder.has_text()) {
                self.content(content, &mut builder);
            }
        }
        if let Some(refusal) = node.text("refusal") {
            builder.json(format!("{{\"type\":\"refusal\",\"refusal\":{}}}", crate::event::json::string(refusal)));
        }
        if builder.calls.is_empty() {
            self.calls(node, &mut builder);
        }
        if let Some(tool) = parts::disguised_tool(node, builder.role) {
            // A tool's schema that pretends to be a message.
            self.told.tools.read(tool);
            builder.disguised = true;
        }
        self.check(
            node,
            &[
                "role",
                "content",
                "parts",
                "name",
                "finish_reason",
                "finishReason",
                "tool_calls",
                "tool_call_id",
                "index",
                "type",
                "function_call",
                "text",
                "contents",
                "items",
                "blocks",
                "refusal",
                "reasoning_content",
                "reasoning",
                "thinking",
                "reasoning_text",
                "toolCallId",
                "tool_use_id",
                "call_id",
                "_role",
                "function_call_name",
                "function_call_arguments_json",
            ],
        );
        builder
    }

    /// Whether some message before has called a tool of this name.
    fn has_called(&self, name: &str) -> bool {
        self.told.said.iter().flat_map(|said| &said.message.tool_calls).any(|call| call.name == name)
    }

    fn calls(&mut self, node: &Node<'_>, builder: &mut Builder) {
        let lists = [node.get("tool_calls"), node.get("toolCalls"), node.at(&["additional_kwargs", "tool_calls"])];
        if let Some(list) = lists.into_iter().flatten().find(|list| !list.is_empty()) {
            list.opened(|list| {
                for call in list.items() {
                    self.call(call, builder);
                }
            });
        }
        if builder.calls.is_empty() {
            if let Some(call) = node.get("function_call").or_else(|| node.at(&["additional_kwargs", "function_call"])) {
                self.call(call, builder);
            }
            if let Some(name) = node.text("function_call_name") {
                let arguments = node.get("function_call_arguments_json").map(Node::plain);
                builder.calls.push(parts::tool_call(None, None, name, arguments));
            }
        }
    }

    fn parts_of(&mut self, list: Option<&Node<'_>>, builder: &mut Builder) {
        for part in list.map(Node::items).unwrap_or_default() {
            self.part(part, builder);
        }
    }

    /// Remembers that keys which say something were not read.
    fn check(&mut self, node: &Node<'_>, known: &[&str]) {
        if !self.told.lossy {
            self.told.lossy =
                node.entries().iter().any(|(key, value)| !known.contains(&key.as_ref()) && !value.is_empty());
        }
    }

    fn emit(&mut self, builder: Builder) {
        builder.finish(&mut self.told);
    }
}

/// The finish reason that stands in an object, as it was written.
fn reason_of(node: &Node<'_>) -> Option<String> {
    let own = || node.at(&["finishReason", "unified"]).and_then(Node::as_str);
    node.first_text(&["finish_reason", "finishReason", "stop_reason", "stopReason"]).or_else(own).map(str::to_owned)
}

/// `["user", "text"]`.
fn shorthand<'n, 'a>(items: &'n [Node<'a>]) -> Option<(&'static str, &'n Node<'a>)> {
    let [word, content] = items else { return None };
    let role = match word.as_str()? {
        "system" | "developer" => "system",
        "user" | "human" => "user",
        "assistant" | "ai" => "assistant",
        "placeholder" => return None,
        _ => return None,
    };
    (content.as_str().is_some() || content.is_array()).then_some((role, content))
}

#[cfg(test)]
mod tests;
