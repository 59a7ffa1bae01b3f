//! Pydantic AI's own messages, as others write them down (MLflow does): a request or a response whose parts say by
//! `part_kind` who said them.
//!
//! Source: `pydantic-ai` 2.68 (`messages.py`).

use super::Reader;
use super::build::Answer;
use super::build::Builder;
use super::parts;
use super::reason_of;
use crate::dialect::json::Node;

/// Whether an object is a request or a response of Pydantic AI.
pub(super) fn is_model_message(node: &Node<'_>) -> bool {
    matches!(node.text("kind"), Some("request" | "response"))
        && node.get("role").is_none()
        && node.get("parts").is_some_and(|parts| parts.items().iter().all(|part| part.text("part_kind").is_some()))
}

impl Reader {
    pub(super) fn model_message(&mut self, node: &Node<'_>) {
        let list = node.get("parts").map(Node::items).unwrap_or_default();
        self.check(node, &["kind", "parts", "instructions", "finish_reason"]);
        if node.text("kind") == Some("response") {
            let mut builder = Builder::new("assistant");
            builder.reason = reason_of(node);
            for part in list {
                self.part(part, &mut builder);
            }
            return self.emit(builder);
        }
        for part in list {
            let role = match part.text("part_kind") {
                Some("system-prompt") => "system",
                Some("tool-return") => "tool",
                // What a tool is told to mend answers its call; an answer that is wanted once more has none.
                Some("retry-prompt") if part.text("tool_name").is_some() => "tool",
                _ => "user",
            };
            let content = part.get("content").unwrap_or(&Node::Null);
            let mut builder = Builder::new(role);
            if role == "tool" {
                let (content, content_parts) = parts::answer(content);
                builder.results.push(Answer {
                    call_id: part.text("tool_call_id").map(str::to_owned),
                    name: part.text("tool_name").map(str::to_owned),
                    content,
                    content_parts,
                });
            } else {
                self.content(content, &mut builder);
            }
            self.check(part, &["part_kind", "content", "tool_name", "tool_call_id"]);
            self.emit(builder);
        }
        if let Some(instructions) = node.text("instructions") {
            self.instruct(instructions);
        }
    }

    /// The model is given the instructions of the last request alone, before all else.
    fn instruct(&mut self, instructions: &str) {
        if std::mem::replace(&mut self.instructed, true) && !self.told.said.is_empty() {
            self.told.said.remove(0);
        }
        let mut builder = Builder::new("system");
        builder.text(instructions);
        self.emit(builder);
        self.told.said.rotate_right(1);
    }
}
