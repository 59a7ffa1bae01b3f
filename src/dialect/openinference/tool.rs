//! Spans of tools, and the tools that a call was offered.

use crate::dialect::draft::Draft;
use crate::dialect::json::Node;
use crate::dialect::langchain;
use crate::dialect::source::Source;
use crate::event::ToolExecution;

pub(super) fn tool(source: &Source<'_>, draft: &mut Draft) {
    let attributes = &source.attributes;
    let output = source.json("output.value");
    let message = output.as_ref().and_then(|doc| langchain::tool_message(&doc.node));
    draft.tool(|| {
        let text = |keys: &[&str]| attributes.first_text(keys).map(|(_, text)| text.to_owned());
        let call_id = text(&["tool_call.id", "tool.id", "gen_ai.tool.call.id"]);
        let mut tool = ToolExecution {
            name: text(&["tool.name"]).unwrap_or_else(|| source.name.to_owned()),
            call_id,
            arguments: attributes
                .raw_json("tool_call.function.arguments")
                .or_else(|| source.json("input.value").and_then(|doc| as_called(&doc.node)))
                .or_else(|| attributes.raw_json("input.value")),
            ..ToolExecution::default()
        };
        if tool.arguments.is_none() {
            // It is the schema with some, the arguments with others.
            let schema = source.json("tool.parameters").is_some_and(|doc| doc.node.get("properties").is_some());
            tool.arguments = if schema { None } else { attributes.raw_json("tool.parameters") };
        }
        match message {
            Some(message) => {
                tool.call_id = tool.call_id.or(message.call_id);
                tool.result = message.result;
                tool.status = message.failed.then(|| crate::event::status::ERROR.to_owned());
            }
            None => {
                let given = output.as_ref().and_then(|doc| as_given(&doc.node));
                tool.result = given.or_else(|| attributes.raw_json("output.value"));
            }
        }
        tool
    });
    draft.detail_from(attributes, "tool.description", "description");
}

/// The arguments out of Python's way to pass them: `{args: [], kwargs: {..}}`, or only the latter.
fn as_called(node: &Node<'_>) -> Option<String> {
    let only = node.entries().iter().all(|(key, value)| match key.as_ref() {
        "kwargs" => true,
        "args" => value.is_empty(),
        // Switches of the wrapper.
        _ => value.as_bool().is_some(),
    });
    node.get("kwargs").filter(|kwargs| only && kwargs.is_object()).map(Node::json)
}

/// What a function gave, out of LlamaIndex's `{raw_output, tool_name, ..}` and Gemini's `{id, name, response}`.
fn as_given(node: &Node<'_>) -> Option<String> {
    let raw = node.get("raw_output").filter(|_| node.get("tool_name").is_some());
    let lone = node.entries().iter().all(|(key, _)| matches!(key.as_ref(), "id" | "name" | "response"));
    let given = raw.or_else(|| node.get("response").filter(|_| lone && node.get("name").is_some()))?;
    Some(match given {
        Node::String(text) => crate::dialect::json::text_as_json(text),
        other => other.json(),
    })
}
