//! What JSON looks like messages.

use super::parts;
use super::shorthand;
use crate::dialect::json::Node;

/// Whether an object is a message: it has a role, or a shape that only messages have.
pub(in crate::dialect) fn is_message(node: &Node<'_>) -> bool {
    if !node.is_object() {
        return false;
    }
    let langchain = || node.get("kwargs").is_some() && node.get("id").is_some_and(Node::is_array);
    let typed = || {
        node.text("type").is_some_and(|kind| match kind {
            "message" => true,
            "human" | "ai" | "HumanMessage" | "AIMessage" | "HumanMessageChunk" | "AIMessageChunk"
            | "SystemMessage" | "ToolMessage" => true,
            "system" | "tool" | "function" | "assistant" | "user" => {
                node.get("content").is_some() || node.get("data").is_some()
            }
            _ => false,
        })
    };
    node.get("role").is_some_and(|role| role.as_str().is_some())
        || node.get("parts").is_some_and(Node::is_array)
        || node.get("tool_calls").is_some_and(Node::is_array)
        || langchain()
        || typed()
        || node.get("message").is_some_and(is_message)
}

/// Whether an object holds messages under a key of a request or an answer.
pub(super) fn wraps_messages(node: &Node<'_>) -> bool {
    if !node.is_object() || node.get("role").is_some_and(|role| role.as_str().is_some()) {
        return false;
    }
    let listed = |key: &str| node.get(key).is_some_and(|list| list.is_array() && !list.is_empty());
    let of_messages = |key: &str| {
        node.get(key).is_some_and(|list| {
            list.items().first().is_some_and(|first| tells_messages(first) || parts::implied_role(first).is_some())
        })
    };
    listed("messages")
        || of_messages("contents")
        || of_messages("choices")
        || listed("generations")
        || of_messages("candidates")
        || node
            .get("candidates")
            .is_some_and(|list| list.items().first().is_some_and(|first| first.get("content").is_some()))
        || node.get("choices").is_some_and(|list| list.items().first().is_some_and(|first| first.get("text").is_some()))
        || of_messages("output")
        || node.at(&["output", "message"]).is_some_and(is_message)
        || of_messages("input")
        || node.get("model").is_some()
            && (node.get("prompt").is_some()
                || listed("contents")
                || ["input", "contents"].iter().any(|key| is_text(node, key)))
}

fn is_text(node: &Node<'_>, key: &str) -> bool {
    node.get(key).is_some_and(|value| value.as_str().is_some())
}

/// Whether a value tells messages, and not data of some other kind.
pub(in crate::dialect) fn tells_messages(node: &Node<'_>) -> bool {
    match node {
        Node::Array(array) => {
            shorthand(&array.items).is_some()
                || array.items.first().is_some_and(|first| match first {
                    Node::Array(inner) => {
                        shorthand(&inner.items).is_some() || inner.items.first().is_some_and(is_message)
                    }
                    other => is_message(other) || parts::is_part(other),
                })
        }
        Node::Object(_) => is_message(node) || wraps_messages(node),
        _ => false,
    }
}
