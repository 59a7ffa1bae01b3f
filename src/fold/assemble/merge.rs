//! Makes one row of two tellings of one operation, and keeps what only the other one said.
//!
//! Groups are never spliced: a half of the messages, the tools, the usage come whole from one telling. Single facts
//! (a model's name, an id) are taken where the first telling lacks them. What the other one says differently stands
//! in `details`, so that no text is lost.

mod messages;

pub(super) use messages::halves;
pub(super) use messages::says_all_of;
pub(super) use messages::set_halves;

use super::group::Group;
use super::group::Node;
use super::group::NodeId;
use super::group::State;
use super::json;
use super::json::Object;
use crate::event::Entry;
use crate::event::Event;
use crate::event::Model;
use crate::event::Tokens;
use crate::event::ToolExecution;
use crate::event::status;
use ahash::HashMap;
use messages::fill_messages;
use std::sync::Arc;

/// The key of `details` under which other spans that told the same operation stand.
const MERGED_SPANS: &str = "merged_spans";

/// The same for log records that are no part of the operation but tell it whole.
const MERGED_LOGS: &str = "merged_logs";

/// Adds a top-level key to `details`. An array under this key grows by `value`'s elements.
pub(super) fn add_to_array(entries: &mut Vec<Entry>, key: &str, value: String) {
    if let Some(entry) = entries.iter_mut().find(|entry| entry.key == key) {
        if let Some(head) = entry.json.trim_end().strip_suffix(']') {
            let comma = if head.trim_end().ends_with('[') { "" } else { "," };
            entry.json = format!("{head}{comma}{value}]");
            return;
        }
        let former = std::mem::take(&mut entry.json);
        entry.json = json::array([former, value]);
        return;
    }
    entries.push(Entry { key: key.to_owned(), json: json::array([value]) });
}

/// What a record says beside its messages, of which a row's is in the making.
pub(super) struct Other<'a> {
    pub(super) row: Box<Event>,
    pub(super) details: Vec<Entry>,
    pub(super) attributes: Vec<Entry>,
    /// The envelope's.
    pub(super) resource: Option<&'a str>,
}

/// Takes into `node` what it lacks of `other`, and gives back, as the keys of an object, what it says differently.
///
/// Messages: a half that is missing is taken whole; messages that `node` does not have are given back.
pub(super) fn fill(node: &mut Node, mut other: Other<'_>) -> Object {
    let mut rest = Object::new();
    if other.resource != node.envelope.resource.as_deref() {
        rest.json_or_text("resource", other.resource);
    }
    fill_messages(&mut node.row, &mut other.row, &mut rest);
    fill_model(&mut node.row, other.row.model.take(), &mut rest);
    fill_tokens(&mut node.row, other.row.tokens.take(), &mut rest);
    fill_facts(&mut node.row, &mut other.row, &mut rest);
    for note in other.row.notes {
        if !node.row.notes.contains(&note) {
            node.row.notes.push(note);
        }
    }
    fill_entries(&mut node.details, other.details, "details", &mut rest);
    fill_entries(&mut node.attributes, other.attributes, "attributes", &mut rest);
    rest
}

/// Takes `other` where `slot` is empty; gives it back where it says something else.
fn take<T: PartialEq>(slot: &mut Option<T>, other: Option<T>) -> Option<T> {
    match (&*slot, other) {
        (None, other) => {
            *slot = other;
            None
        }
        (Some(one), Some(other)) if *one != other => Some(other),
        _ => None,
    }
}

fn take_text(slot: &mut String, other: String) -> Option<String> {
    if slot.is_empty() {
        *slot = other;
        return None;
    }
    (!other.is_empty() && *slot != other).then_some(other)
}

fn fill_model(row: &mut Event, other: Option<Model>, rest: &mut Object) {
    let Some(other) = other else { return };
    let model = row.model.get_or_insert_default();
    let mut untold = Model {
        provider: take(&mut model.provider, other.provider),
        request: take(&mut model.request, other.request),
        response: take(&mut model.response, other.response),
        response_id: take(&mut model.response_id, other.response_id),
        operation: take(&mut model.operation, other.operation),
        parameters: take(&mut model.parameters, other.parameters),
        finish_reasons: Vec::new(),
        stream: take(&mut model.stream, other.stream),
    };
    if model.finish_reasons.is_empty() {
        model.finish_reasons = other.finish_reasons;
    } else if model.finish_reasons != other.finish_reasons {
        untold.finish_reasons = other.finish_reasons;
    }
    rest.object("model", json::model(&untold));
}

/// Usage is one group: single numbers are taken only where the two agree on prompt and completion.
fn fill_tokens(row: &mut Event, other: Option<Tokens>, rest: &mut Object) {
    let Some(mut other) = other else { return };
    let Some(tokens) = &mut row.tokens else {
        row.tokens = Some(other);
        return;
    };
    // LangChain counts no prompt of Anthropic's streams: nobody asks with nothing.
    let counts_prompt = |tokens: &Tokens| tokens.prompt_tokens.is_some_and(|count| count > 0);
    if tokens.prompt_tokens == Some(0) && counts_prompt(&other) && tokens.completion_tokens == other.completion_tokens {
        std::mem::swap(tokens, &mut other);
    }
    let cost = take(&mut tokens.cost_usd, other.cost_usd);
    if tokens.cost_usd == other.cost_usd && cost.is_none() {
        take(&mut tokens.cost_source, other.cost_source.clone());
    }
    let agree = |a: Option<i64>, b: Option<i64>| a.is_none() || b.is_none() || a == b;
    let says_nothing = tokens.prompt_tokens.or(tokens.completion_tokens).or(tokens.total_tokens).is_none();
    if says_nothing
        || agree(tokens.prompt_tokens, other.prompt_tokens) && agree(tokens.completion_tokens, other.completion_tokens)
    {
        other = Tokens {
            prompt_tokens: take(&mut tokens.prompt_tokens, other.prompt_tokens),
            completion_tokens: take(&mut tokens.completion_tokens, other.completion_tokens),
            total_tokens: take(&mut tokens.total_tokens, other.total_tokens),
            cached_tokens: take(&mut tokens.cached_tokens, other.cached_tokens),
            cache_creation_tokens: take(&mut tokens.cache_creation_tokens, other.cache_creation_tokens),
            reasoning_tokens: take(&mut tokens.reasoning_tokens, other.reasoning_tokens),
            cost_usd: None,
            cost_source: None,
        };
    }
    other.cost_usd = cost;
    if cost.is_none() {
        other.cost_source = None;
    }
    rest.object("tokens", json::tokens(&other));
}

fn fill_facts(row: &mut Event, other: &mut Event, rest: &mut Object) {
    rest.text("name", take_text(&mut row.name, std::mem::take(&mut other.name)).as_deref());
    rest.text("dialect", take_text(&mut row.dialect, std::mem::take(&mut other.dialect)).as_deref());
    if row.conversation_id.is_empty() {
        row.conversation_id_source = std::mem::take(&mut other.conversation_id_source);
    }
    let conversation = take_text(&mut row.conversation_id, std::mem::take(&mut other.conversation_id));
    rest.text("conversation_id", conversation.as_deref());
    rest.text("run_id", take(&mut row.run_id, other.run_id.take()).as_deref());
    rest.text("status", take(&mut row.status, other.status.take()).as_deref());
    rest.json_or_text("tools", take(&mut row.tools, other.tools.take()).as_deref());
    rest.text("service", take(&mut row.service, other.service.take()).as_deref());
    rest.text("env", take(&mut row.env, other.env.take()).as_deref());
    rest.json_or_text("metadata", take(&mut row.metadata, other.metadata.take()).as_deref());
    if let Some(untold) = take(&mut row.graph, other.graph.take()) {
        rest.object("graph", json::graph(&untold));
    }
    if let Some(untold) = take(&mut row.agent, other.agent.take()) {
        rest.object("agent", json::agent(&untold));
    }
    if let Some(untold) = take(&mut row.user, other.user.take()) {
        rest.object("user", json::user(&untold));
    }
    if let Some(untold) = take(&mut row.error, other.error.take()) {
        rest.object("error", json::error(&untold));
    }
    if let Some(untold) = take(&mut row.feedback, other.feedback.take()) {
        rest.object("feedback", json::feedback(&untold));
    }
    if let (None, wa_meta @ Some(_)) = (&row.wa_meta, other.wa_meta.take()) {
        row.wa_meta = wa_meta;
    }
    if row.tool_executions.is_empty() {
        row.tool_executions = std::mem::take(&mut other.tool_executions);
    } else if let ([run], [told]) = (row.tool_executions.as_mut_slice(), other.tool_executions.as_mut_slice()) {
        let untold = fill_run(run, std::mem::take(told));
        if untold != ToolExecution::default() {
            rest.array("tool_executions", [json::execution(&untold).close()]);
        }
    } else if row.tool_executions != other.tool_executions {
        rest.array("tool_executions", other.tool_executions.iter().map(|one| json::execution(one).close()));
    }
    if let Some(timing) = other.timing.take() {
        let slot = row.timing.get_or_insert_default();
        if slot.time_to_first_token_ms.is_none() {
            slot.time_to_first_token_ms = timing.time_to_first_token_ms;
            slot.ttft_source = timing.ttft_source;
        }
        take(&mut slot.total_latency_ms, timing.total_latency_ms);
    }
    let mut untold = Object::new();
    for (key, value) in std::mem::take(&mut other.tags) {
        let told = row.tags.entry(key.clone()).or_insert_with(|| value.clone());
        if *told != value {
            untold.text(&key, Some(&value));
        }
    }
    rest.object("tags", untold);
    if let Some(redaction) = other.redaction.take() {
        let slot = row.redaction.get_or_insert_default();
        for (rule, count) in redaction.counts {
            let sum = slot.counts.entry(rule).or_default();
            *sum = sum.saturating_add(count);
        }
    }
}

/// Takes into a run what it lacks, and gives back what the other telling says differently.
fn fill_run(run: &mut ToolExecution, other: ToolExecution) -> ToolExecution {
    ToolExecution {
        call_id: take(&mut run.call_id, other.call_id),
        name: take_text(&mut run.name, other.name).unwrap_or_default(),
        r#type: take(&mut run.r#type, other.r#type),
        status: take(&mut run.status, other.status),
        latency_ms: take(&mut run.latency_ms, other.latency_ms),
        arguments: take(&mut run.arguments, other.arguments),
        result: take(&mut run.result, other.result),
        error: take(&mut run.error, other.error),
        span_id: take(&mut run.span_id, other.span_id),
    }
}

fn fill_entries(entries: &mut Vec<Entry>, other: Vec<Entry>, name: &str, rest: &mut Object) {
    if other.is_empty() {
        return;
    }
    let mut untold = Object::new();
    let mut fresh = Vec::new();
    let told: HashMap<&str, &str> = entries.iter().map(|entry| (entry.key.as_str(), entry.json.as_str())).collect();
    let mut lists = Vec::new();
    for entry in other {
        match told.get(entry.key.as_str()) {
            None => fresh.push(entry),
            Some(json) if *json == entry.json => {}
            Some(_) if matches!(entry.key.as_str(), MERGED_SPANS | MERGED_LOGS) => lists.push(entry),
            Some(_) => untold.json(&entry.key, &entry.json),
        }
    }
    entries.append(&mut fresh);
    for list in lists {
        let json = list.json.trim();
        let items = json.strip_prefix('[').and_then(|json| json.strip_suffix(']')).unwrap_or(json);
        add_to_array(entries, &list.key, items.to_owned());
    }
    rest.object(name, untold);
}

/// Makes the row of one span tell what another span, or a log record, says of the same operation. The other one goes
/// on handing its context down; what only it says stands in `details.merged_spans` or `details.merged_logs`.
pub(super) fn merge_spans(group: &mut Group, into: NodeId, from: NodeId) {
    let from_span = group.nodes[from].is_span();
    let other = &mut group.nodes[from];
    let mut told = Object::new();
    let row = std::mem::take(&mut other.row);
    told.text("trace_id", row.trace_id.as_deref());
    told.text("span_id", row.span_id.as_deref());
    told.text("parent_span_id", row.parent_span_id.as_deref());
    told.text("timestamp", json::time(other.start_ns).as_deref());
    told.text("ended_at", json::time(other.end_ns).as_deref());
    // What the tree needs of it later.
    *other.row = context_of(&row);
    other.state = State::Merged(into);
    let envelope = Arc::clone(&other.envelope);
    let other_facts = Other {
        row,
        details: std::mem::take(&mut other.details),
        attributes: std::mem::take(&mut other.attributes),
        resource: envelope.resource.as_deref(),
    };
    let (record, received_at) = (other.record, other.received_at);
    let (mut merged, mut links) = (std::mem::take(&mut other.merged), std::mem::take(&mut other.links));
    let node = &mut group.nodes[into];
    if !from_span {
        take_failure(&mut node.row, &other_facts.row);
    }
    let rest = fill(node, other_facts);
    told.all_of(&rest);
    add_to_array(&mut node.details, if from_span { MERGED_SPANS } else { MERGED_LOGS }, told.close());
    node.merged.push(record);
    node.merged.append(&mut merged);
    node.links.append(&mut links);
    node.received_at = node.received_at.max(received_at);
}

/// A span that says nothing of its end counts as well; a record that says that it failed knows better.
fn take_failure(row: &mut Event, told: &Event) {
    let failure = told.status.clone().filter(|status| !matches!(status.as_str(), status::OK | status::INCOMPLETE));
    if failure.is_none() || row.status.as_deref() != Some(status::OK) {
        return;
    }
    if let [run] = row.tool_executions.as_mut_slice() {
        run.status.clone_from(&failure);
    }
    row.status = failure;
}

/// What a row states for those below it.
fn context_of(row: &Event) -> Event {
    Event {
        conversation_id: row.conversation_id.clone(),
        conversation_id_source: row.conversation_id_source.clone(),
        run_id: row.run_id.clone(),
        user: row.user.clone(),
        agent: row.agent.clone(),
        graph: row.graph.clone(),
        env: row.env.clone(),
        tags: row.tags.clone(),
        event_type: row.event_type.clone(),
        ..Event::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_prompt_at_all_beside_one_that_was_counted_is_no_count() {
        let tokens = |prompt, cached| Tokens {
            prompt_tokens: Some(prompt),
            completion_tokens: Some(9),
            cached_tokens: cached,
            ..Tokens::default()
        };
        let mut row = Event { tokens: Some(tokens(0, None)), ..Event::default() };
        let mut rest = Object::new();
        fill_tokens(&mut row, Some(tokens(154, Some(35))), &mut rest);
        assert_eq!(row.tokens, Some(tokens(154, Some(35))));
        assert!(rest.close().contains("\"prompt_tokens\":0"));
    }
}
