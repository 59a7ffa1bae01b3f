//! Batches of modelstat's clients, versions 0.0.1 and 0.1.0, Python and Rust.
//!
//! - Ids collide across processes of one device: the same `source_event_id` with another body is another event.
//! - Redaction has happened in the client; its marks are counted again, for the client's counts never leave it.
//! - Tool calls stand in the row of the event that they name; without such an event they are rows of their own.
//! - Counts that are all zero were not known: the client always sends all five.

mod ids;

use super::Bad;
use super::Config;
use super::Malformed;
use super::Posted;
use super::body;
use super::body::Item;
use super::chat::said;
use super::draft::Draft;
use super::draft::Fields;
use super::draft::list;
use super::draft::object_or_bad;
use crate::dialect::json::Node;
use crate::dialect::value;
use crate::event::Agent;
use crate::event::LONGEST_TAG;
use crate::event::LONGEST_TAG_VALUE;
use crate::event::Model;
use crate::event::Partial;
use crate::event::Redaction;
use crate::event::Tokens;
use crate::event::ToolExecution;
use crate::event::event_type;
use crate::event::status;
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::HashSet;

pub use ids::batch_id;
pub use ids::content_hash;
pub use ids::external_call_id;
pub use ids::source_event_id;

/// The client's own limits on tags, applied again for clients that forget them.
const MOST_TAGS: usize = 16;

/// A line that stands between prompt and answer of an excerpt.
const SEPARATOR: &str = "\n---\n";

const EVENT: [&str; 17] = [
    "source_event_id",
    "ts",
    "kind",
    "agent",
    "provider",
    "session_id",
    "tokens",
    "started_at",
    "first_token_at",
    "model",
    "cwd",
    "git",
    "duration_ms",
    "billing",
    "content_excerpt",
    "metadata",
    "ended_at",
];
const CALL: [&str; 19] = [
    "external_call_id",
    "session_id",
    "source_event_id",
    "agent",
    "server",
    "name",
    "call_index",
    "started_at",
    "ended_at",
    "status",
    "args_hash",
    "signature_hash",
    "args_bytes",
    "result_bytes",
    "model",
    "segment_id",
    "turn_index",
    "command_families",
    "provider",
];
const BATCH: [&str; 6] = ["batch_id", "device_id", "app", "daemon_version", "events", "tool_calls"];

/// Reads the body of `POST /v1/ingest`.
///
/// # Errors
/// When the body is no JSON object with events or tool calls.
pub fn modelstat(body: &[u8], _config: &Config) -> Result<Posted, Malformed> {
    let text = body::text(body);
    let item = body::document(&text)?;
    let Some(batch) = Batch::of(&item) else { return Err(Malformed::Shape("no batch of events")) };
    let mut posted = Posted::default();
    let here: HashSet<&str> = batch.events.iter().filter_map(|event| event.text("source_event_id")).collect();
    let mut of_event: HashMap<&str, Vec<&Node<'_>>> = HashMap::new();
    let mut orphans = Vec::new();
    for call in batch.calls {
        match call.text("source_event_id").filter(|id| here.contains(id)) {
            Some(id) => of_event.entry(id).or_default().push(call),
            None => orphans.push(call),
        }
    }
    for event in batch.events {
        let calls = event.text("source_event_id").and_then(|id| of_event.remove(id));
        posted.take(batch.event(event, &calls.unwrap_or_default()));
    }
    for call in orphans {
        posted.take(batch.orphan(call));
    }
    let accepted = posted.accepted();
    let id = crate::event::json::string(&batch.id);
    posted.answer = format!("{{\"accepted\":{accepted},\"new_sessions\":0,\"updated_sessions\":0,\"batch_id\":{id}}}");
    Ok(posted)
}

/// Reads the body of `POST /v1/ingest/raw`: the same with uncut texts and another answer.
///
/// # Errors
/// As [`modelstat`].
pub fn raw(body: &[u8], config: &Config) -> Result<Posted, Malformed> {
    let posted = modelstat(body, config)?;
    Ok(Posted { answer: "{\"accepted\":true}".to_owned(), ..posted })
}

struct Batch<'b, 'a> {
    item: &'b Item<'a>,
    id: String,
    events: &'b [Node<'a>],
    calls: &'b [Node<'a>],
}

impl<'b, 'a> Batch<'b, 'a> {
    fn of(item: &'b Item<'a>) -> Option<Self> {
        let list = |key: &str| item.node.get(key).filter(|list| list.is_array()).map(Node::items);
        let (events, calls) = (list("events"), list("tool_calls"));
        if events.is_none() && calls.is_none() {
            return None;
        }
        let events = events.unwrap_or_default();
        let derived = || {
            let ids: Vec<&str> = events.iter().filter_map(|event| event.text("source_event_id")).collect();
            batch_id(&ids)
        };
        let id = item.node.text("batch_id").map_or_else(derived, str::to_owned);
        Some(Self { item, id, events, calls: calls.unwrap_or_default() })
    }

    /// What all records of the batch say of whence they come.
    fn draft(&self, node: &Node<'_>) -> Draft {
        let batch = &self.item.node;
        let mut draft = Draft::new("modelstat", self.item);
        draft.row.service = batch.text("app").map(str::to_owned);
        draft.conversation(node.text("session_id"), "session_id");
        draft.detail_text("session_id", node.text("session_id"));
        draft.detail_text("device_id", batch.text("device_id"));
        draft.detail_text("source_version", batch.text("daemon_version"));
        draft.row.agent = node.text("agent").map(|name| Agent { name: Some(name.to_owned()), ..Agent::default() });
        let provider = node.text("provider").and_then(value::provider).map(|provider| provider.into_owned());
        let request = node.text("model").map(str::to_owned);
        if provider.is_some() || request.is_some() {
            draft.row.model = Some(Model { provider, request, ..Model::default() });
        }
        draft
    }

    fn event(&self, node: &Node<'_>, calls: &[&Node<'_>]) -> Result<Partial, Bad> {
        object_or_bad(node)?;
        let kind = node.text("kind").ok_or_else(|| Bad::new("the event has no kind", node.json()))?;
        let mut draft = self.draft(node);
        node.text("source_event_id").unwrap_or_default().clone_into(&mut draft.row.event_id);
        draft.row.event_type = format!("usage.{kind}");
        kind.clone_into(&mut draft.row.name);
        self.times(&mut draft, node);
        tokens(&mut draft, node);
        tags(&mut draft, node);
        excerpt(&mut draft, node);
        draft.detail_fields("billing", self.billing(node));
        draft.detail_node("git", node.get("git"));
        let mut context = Fields::default();
        context.text("cwd", node.text("cwd"));
        draft.detail_fields("context", context);
        self.ids(&mut draft, node, calls);
        executions(&mut draft, calls);
        draft.detail("payload", node.json());
        draft.attributes_but(node, &EVENT);
        draft.attributes_but(&self.item.node, &[&BATCH[..], &["session_installs"]].concat());
        Ok(draft.finish())
    }

    /// A tool call whose event is not here.
    fn orphan(&self, call: &Node<'_>) -> Result<Partial, Bad> {
        object_or_bad(call)?;
        if call.text("name").is_none() {
            return Err(Bad::new("the tool call has no name", call.json()));
        }
        let mut draft = self.draft(call);
        draft.row.event_id = call_id(call).unwrap_or_default();
        event_type::TOOL_EXECUTION.clone_into(&mut draft.row.event_type);
        call.text("name").unwrap_or_default().clone_into(&mut draft.row.name);
        draft.starts(call.get("started_at"));
        draft.end_ns = draft.time(call.get("ended_at"));
        self.ids(&mut draft, call, &[call]);
        executions(&mut draft, &[call]);
        draft.row.status = draft.row.tool_executions.first().and_then(|execution| execution.status.clone());
        let millis = value::millis_between(draft.start_ns, draft.end_ns).filter(|_| draft.start_ns > 0);
        draft.latency(millis);
        draft.detail("payload", call.json());
        draft.attributes_but(&self.item.node, &[&BATCH[..], &["session_installs"]].concat());
        Ok(draft.finish())
    }

    fn times(&self, draft: &mut Draft, node: &Node<'_>) {
        let said = draft.time(node.get("ts"));
        let started = draft.time(node.get("started_at"));
        draft.start_ns = if started > 0 { started } else { said };
        draft.end_ns = draft.time(node.get("ended_at"));
        let first = draft.time(node.get("first_token_at"));
        draft.latency(node.get("duration_ms").and_then(Node::as_f64));
        if let Some(millis) = value::millis_between(draft.start_ns, first).filter(|_| draft.start_ns > 0 && first > 0) {
            draft.timing().time_to_first_token_ms = Some(millis);
            draft.timing().ttft_source = Some("first_token_at".to_owned());
        }
        draft.detail_text("first_token_at", node.text("first_token_at"));
    }

    fn billing(&self, node: &Node<'_>) -> Fields {
        let installs = self.item.node.get("session_installs");
        let install = node.text("session_id").and_then(|session| installs?.get(session));
        let mut billing = Fields::default();
        billing.text("mode", node.text("billing"));
        billing.text("account_id", install.and_then(|install| install.text("provider_account_id")));
        billing.text("account_provider", install.and_then(|install| install.text("provider")));
        billing
    }

    fn ids(&self, draft: &mut Draft, node: &Node<'_>, calls: &[&Node<'_>]) {
        let calls: Vec<String> =
            calls.iter().filter_map(|call| call_id(call)).map(|id| crate::event::json::string(&id)).collect();
        let mut ids = Fields::default();
        ids.text("batch_id", Some(&self.id));
        ids.text("source_event_id", node.text("source_event_id"));
        if let Some(calls) = list(&calls) {
            ids.json("external_call_ids", &calls);
        }
        draft.detail_fields("ids", ids);
    }
}

fn tokens(draft: &mut Draft, node: &Node<'_>) {
    let Some(tokens) = node.get("tokens").filter(|tokens| tokens.is_object()) else { return };
    let count = |key: &str| tokens.get(key).and_then(Node::as_count);
    let counts = ["input", "output", "cache_read", "cache_creation", "reasoning"].map(count);
    if counts.iter().all(|count| count.unwrap_or(0) == 0) {
        if !tokens.is_empty() {
            draft.note("token counts are all zero: taken as not known");
        }
        return;
    }
    let [prompt_tokens, completion_tokens, cached_tokens, cache_creation_tokens, reasoning_tokens] = counts;
    draft.row.tokens = Some(Tokens {
        prompt_tokens,
        completion_tokens,
        cached_tokens,
        cache_creation_tokens,
        reasoning_tokens,
        ..Tokens::default()
    });
}

fn tags(draft: &mut Draft, node: &Node<'_>) {
    let mut tags: BTreeMap<&str, String> = BTreeMap::new();
    for (key, value) in node.get("metadata").map(Node::entries).unwrap_or_default() {
        tags.insert(key, value.plain());
    }
    let count = tags.len();
    for (key, value) in tags.into_iter().take(MOST_TAGS) {
        // Redaction cuts them once it has seen them: half a secret is not recognised as one.
        if key.chars().count() > LONGEST_TAG || value.chars().count() > LONGEST_TAG_VALUE {
            draft.note("a tag was cut to the client's limits");
        }
        draft.row.tags.insert(key.to_owned(), value);
    }
    if count > MOST_TAGS {
        draft.note(format!("{} tags beyond the client's {MOST_TAGS} are in details.payload only", count - MOST_TAGS));
    }
}

/// Prompt and answer, where exactly one line parts them; else the excerpt as it is.
fn excerpt(draft: &mut Draft, node: &Node<'_>) {
    let Some(excerpt) = node.text("content_excerpt") else { return };
    match excerpt.split(SEPARATOR).collect::<Vec<_>>().as_slice() {
        [prompt, answer] => {
            draft.says(vec![said("user", Some((*prompt).to_owned())), said("assistant", Some((*answer).to_owned()))]);
            draft.detail("messages_inferred", "true".to_owned());
        }
        _ => draft.detail_text("content_excerpt", Some(excerpt)),
    }
    let counts = marks(excerpt);
    if !counts.is_empty() {
        draft.row.redaction = Some(Redaction { counts, ..Redaction::default() });
        draft.detail("redaction", "{\"on_arrival\":true}".to_owned());
    }
}

/// How often each rule left its mark, `[REDACTED:rule]`.
fn marks(text: &str) -> BTreeMap<String, i64> {
    let mut counts = BTreeMap::new();
    for rest in text.split("[REDACTED:").skip(1) {
        let rule = rest.split(']').next().filter(|rule| rule.len() < rest.len() && rule.len() <= 64);
        if let Some(rule) = rule.filter(|rule| rule.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')) {
            *counts.entry(rule.to_owned()).or_default() += 1;
        }
    }
    counts
}

fn call_id(call: &Node<'_>) -> Option<String> {
    let derived = || {
        let index = u64::try_from(call.get("call_index")?.as_count()?).ok()?;
        Some(external_call_id(call.text("source_event_id")?, index))
    };
    call.text("external_call_id").map(str::to_owned).or_else(derived)
}

/// Tool calls as executions; what these have no column for stands under the same place in the details.
fn executions(draft: &mut Draft, calls: &[&Node<'_>]) {
    let mut more = Vec::new();
    let mut executions = Vec::new();
    for call in calls {
        let (from, to) = (draft.time(call.get("started_at")), draft.time(call.get("ended_at")));
        let status = match call.text("status") {
            Some("success" | "ok") => Some(status::OK),
            Some("error") => Some(status::ERROR),
            Some("timeout") => Some(status::TIMEOUT),
            Some("denied") => Some(status::DENIED),
            _ => None,
        };
        executions.push(ToolExecution {
            call_id: call_id(call),
            name: call.text("name").unwrap_or_default().to_owned(),
            r#type: None,
            status: status.map(str::to_owned),
            latency_ms: value::millis_between(from, to).filter(|_| from > 0 && to > 0),
            ..ToolExecution::default()
        });
        let mut fields = Fields::default();
        fields.text("call_id", call_id(call).as_deref());
        for key in ["server", "call_index", "started_at", "ended_at", "status", "args_hash", "signature_hash"] {
            fields.node(key, call.get(key));
        }
        for key in ["args_bytes", "result_bytes", "command_families", "segment_id", "turn_index", "model"] {
            fields.node(key, call.get(key));
        }
        for (key, value) in call.entries().iter().filter(|(key, _)| !CALL.contains(&key.as_ref())) {
            fields.node(key, Some(value));
        }
        more.extend(fields.close());
    }
    if let Some(more) = list(&more) {
        draft.detail("tool_executions", more);
    }
    draft.executed(executions);
}
