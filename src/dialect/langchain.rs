//! What LangChain's callbacks hand to every tracer: serialised messages and answers.

use super::answer::Answer;
use super::json::Node;
use super::usage::Counts;

/// A tool's message in any of LangChain's three spellings.
pub(super) struct ToolMessage {
    pub call_id: Option<String>,
    /// JSON.
    pub result: Option<String>,
    pub failed: bool,
}

/// The fields of a serialised object, without its wrapping.
pub(super) fn fields<'n, 'a>(node: &'n Node<'a>) -> &'n Node<'a> {
    node.first(&["kwargs", "data"]).filter(|inner| inner.is_object()).unwrap_or(node)
}

/// Reads what a tool's run gave, if that is a tool's message.
pub(super) fn tool_message(node: &Node<'_>) -> Option<ToolMessage> {
    // A callback's envelope, or a graph's command or update that holds the message.
    for key in ["output", "outputs", "result"] {
        if let Some(inner) = node.get(key)
            && let Some(message) = inner.opened(tool_message)
        {
            return Some(message);
        }
    }
    let inner = fields(node);
    let id = inner.text("tool_call_id")?;
    let result = inner.get("content").map(|content| match content {
        Node::String(text) => super::json::text_as_json(text),
        other => other.json(),
    });
    Some(ToolMessage { call_id: Some(id.to_owned()), result, failed: inner.text("status") == Some("error") })
}

/// Reads `{generations: [[{message, generation_info}]], llm_output}`.
pub(super) fn answer(node: &Node<'_>) -> Option<Answer> {
    let first = node.get("generations")?.items().first()?;
    let generation = if first.is_array() { first.items().first()? } else { first };
    let message = generation.get("message").map(fields);
    let told = message.and_then(|message| message.get("response_metadata"));
    let output = node.first(&["llm_output", "llmOutput"]);
    let info = generation.first(&["generation_info", "generationInfo"]);
    let text = |places: &[Option<&Node<'_>>], keys: &[&str]| {
        places.iter().flatten().find_map(|place| place.first_text(keys)).map(str::to_owned)
    };
    let usage = message.and_then(|message| message.first(&["usage_metadata", "usageMetadata"]));
    let own =
        [told, output].into_iter().flatten().find_map(|place| place.first(&["token_usage", "usage", "tokenUsage"]));
    let counts = match (usage, own) {
        (Some(usage), own) => inclusive(Counts::of(usage)).or(own.map(Counts::of).map(inclusive).unwrap_or_default()),
        (None, Some(own)) => Counts::of(own),
        (None, None) => Counts::default(),
    };
    Some(Answer {
        counts,
        model: text(&[told, output, info], &["model_name", "model", "model_id"]),
        response_id: text(&[told, output], &["id", "response_id"])
            .or_else(|| message?.text("id").filter(|id| is_providers(id)).map(str::to_owned)),
        reasons: text(&[info, told], &["finish_reason", "stop_reason", "finishReason", "stopReason"])
            .into_iter()
            .collect(),
        choices: if first.is_array() { first.items().len() } else { 0 },
    })
}

/// Whether a message's id is the answer's: in JavaScript it is, elsewhere LangChain makes one of the run.
fn is_providers(id: &str) -> bool {
    ["chatcmpl-", "resp_", "msg_"].iter().any(|start| id.starts_with(start))
}

/// LangChain's own `usage_metadata` includes cached tokens.
fn inclusive(counts: Counts) -> Counts {
    Counts { scheme: super::usage::Scheme::Inclusive, ..counts }
}
