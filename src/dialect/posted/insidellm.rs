//! Events of InsideLLM's client: 19 types, stored as they were sent.
//!
//! - The client's chain of parents is a sequence, not a tree. An answer belongs to the nearest request before it in its
//!   chain; where the chain leaves the body, the answer waits under the id where it left.
//! - A request waits for its answer (`waits_for` is its own id), an answer and its chunks for their request. The fold
//!   joins them: see `fold::assemble::posted`. A request that is answered by an error within the body does not wait.

mod chain;
mod payload;

use super::Bad;
use super::Config;
use super::Malformed;
use super::Posted;
use super::body;
use super::body::Item;
use super::draft::Draft;
use super::draft::object_or_bad;
use crate::dialect::json::Node;
use chain::Chain;

/// The types that the client knows.
const TYPES: [&str; 19] = [
    "user.input",
    "user.feedback",
    "agent.reasoning",
    "agent.planning",
    "agent.response",
    "llm.request",
    "llm.response",
    "llm.streaming_chunk",
    "tool.call",
    "tool.response",
    "function_execution",
    "api.request",
    "api.response",
    "error",
    "validation_error",
    "timeout_error",
    "run.start",
    "run.end",
    "performance_metric",
];

/// What stands around the payload.
const ENVELOPE: [&str; 8] =
    ["event_id", "run_id", "parent_event_id", "timestamp", "event_type", "user_id", "metadata", "payload"];

/// Reads the body of `POST /api/v1/ingest`: one event, or a list of them.
///
/// # Errors
/// When the body is no JSON.
pub fn insidellm(body: &[u8], user_agent: Option<&str>, _config: &Config) -> Result<Posted, Malformed> {
    let text = body::text(body);
    let items = body::items(&text)?;
    let chain = Chain::of(items.iter().filter_map(|item| item.as_ref().ok()).map(|item| &item.node));
    let mut posted = Posted::default();
    for item in &items {
        posted.take(match item {
            Ok(item) => event(item, user_agent, &chain),
            Err(bad) => Err(bad.clone()),
        });
    }
    Ok(posted.count())
}

fn event(item: &Item<'_>, user_agent: Option<&str>, chain: &Chain<'_>) -> Result<crate::event::Partial, Bad> {
    let node = &item.node;
    object_or_bad(node)?;
    let kind = node.text("event_type").ok_or_else(|| Bad::new("the event has no event_type", node.json()))?;
    if !TYPES.contains(&kind) {
        return Err(Bad::new("the event_type is none of the client's", node.json()));
    }
    let payload = node.get("payload").filter(|payload| payload.is_object());
    let payload = payload.ok_or_else(|| Bad::new("the event has no payload", node.json()))?;

    let mut draft = Draft::new("insidellm", item);
    let id = node.text("event_id");
    draft.row.event_id = id.unwrap_or_default().to_owned();
    kind.clone_into(&mut draft.row.event_type);
    kind.clone_into(&mut draft.row.name);
    draft.starts(node.get("timestamp"));
    draft.conversation(node.text("run_id"), "run_id");
    draft.row.run_id = node.text("run_id").map(str::to_owned);
    if let Some(user) = node.get("user_id").and_then(Node::scalar_text).filter(|user| !user.is_empty()) {
        draft.user().id = Some(user.to_owned());
    }
    draft.row.metadata = node.get("metadata").filter(|metadata| !metadata.is_empty()).map(Node::json);
    draft.detail_text("parent_event_id", node.text("parent_event_id"));
    draft.detail_text("session_id", payload.text("session_id"));
    draft.detail_text("source_version", user_agent);
    draft.waits_for = chain.waits_for(node).map(str::to_owned);
    payload::read(&mut draft, kind, payload, node);
    draft.detail_node("payload", Some(payload));
    draft.attributes_but(node, &ENVELOPE);
    Ok(draft.finish())
}
