//! Tool definitions of every spelling as OpenAI's.

use crate::dialect::json::Node;
use crate::dialect::json::text_as_json;
use crate::event::json::push_string;

/// OpenAI tool definitions, each as JSON text.
#[derive(Debug, Clone, PartialEq, Default)]
pub(in crate::dialect) struct Definitions {
    list: Vec<String>,
}

/// Where the schema of the parameters stands.
const PARAMETERS: [&str; 6] =
    ["parameters", "inputSchema", "input_schema", "parameters_json_schema", "parametersJsonSchema", "schema"];

impl Definitions {
    pub(in crate::dialect) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// A JSON list of all; None where there is none.
    pub(in crate::dialect) fn json(&self) -> Option<String> {
        (!self.list.is_empty()).then(|| format!("[{}]", self.list.join(",")))
    }

    /// Adds those of another list that are not here.
    pub(in crate::dialect) fn extend(&mut self, other: Self) {
        for tool in other.list {
            self.push(tool);
        }
    }

    pub(super) fn push(&mut self, tool: String) {
        if !self.list.contains(&tool) {
            self.list.push(tool);
        }
    }

    /// Reads one definition or a list of them, also as text. False where something could not be taken.
    pub(in crate::dialect) fn read(&mut self, node: &Node<'_>) -> bool {
        match node {
            Node::Null => true,
            Node::Array(array) => array.items.iter().fold(!array.cut, |all, item| self.read(item) && all),
            Node::String(text) if text.trim_start().starts_with(['{', '[', '"']) => {
                node.opened(|inner| if inner.as_str().is_none() { self.read(inner) } else { false })
            }
            Node::String(name) if !name.is_empty() => {
                self.push(function(name, None, None, &[]));
                true
            }
            Node::Object(object) if object.cut => false,
            Node::Object(_) => self.one(node),
            _ => false,
        }
    }

    fn one(&mut self, node: &Node<'_>) -> bool {
        // Gemini groups its functions.
        if let Some(list) = node.first(&["function_declarations", "functionDeclarations"]) {
            return self.read(list);
        }
        if let Some(inner) = node
            .first(&["toolSpec", "json_schema", "tool"])
            .filter(|inner| inner.is_object() || inner.as_str().is_some())
        {
            return self.read(inner);
        }
        if node.get("function").is_some_and(Node::is_object) {
            self.push(match node.text("type") {
                Some(_) => node.json(),
                None => format!(
                    "{{\"type\":\"function\",\"function\":{}}}",
                    node.get("function").map(Node::json).unwrap_or_default()
                ),
            });
            return true;
        }
        // A vendor's own tool has a type and no schema of ours.
        let is_function =
            node.text("type").is_none_or(|kind| matches!(kind, "function" | "custom" | "object" | "FunctionTool"));
        let name = node.text("name");
        let schema = node.first(&PARAMETERS).map(|schema| schema.get("json").unwrap_or(schema));
        match name {
            Some(name) if is_function || schema.is_some() => {
                let rest: Vec<(&str, &Node<'_>)> = node
                    .entries()
                    .iter()
                    .filter(|(key, value)| {
                        !matches!(key.as_ref(), "type" | "name" | "description")
                            && !PARAMETERS.contains(&key.as_ref())
                            && !value.is_empty()
                    })
                    .map(|(key, value)| (key.as_ref(), value))
                    .collect();
                let schema = schema.map(|schema| match schema {
                    // A schema told as text.
                    Node::String(text) => text_as_json(text),
                    other => other.json(),
                });
                self.push(function(name, node.text("description"), schema.as_deref(), &rest));
                true
            }
            _ if node.get("type").is_some() || name.is_some() => {
                self.push(node.json());
                true
            }
            _ => false,
        }
    }
}

pub(super) fn function(
    name: &str,
    description: Option<&str>,
    schema: Option<&str>,
    rest: &[(&str, &Node<'_>)],
) -> String {
    let mut out = String::with_capacity(96);
    out.push_str("{\"type\":\"function\",\"function\":{\"name\":");
    push_string(&mut out, name);
    if let Some(description) = description {
        out.push_str(",\"description\":");
        push_string(&mut out, description);
    }
    if let Some(schema) = schema {
        out.push_str(",\"parameters\":");
        out.push_str(schema);
    }
    for (key, value) in rest {
        out.push(',');
        push_string(&mut out, key);
        out.push(':');
        value.push_json(&mut out);
    }
    out.push_str("}}");
    out
}
