//! The row itself: its id, times, status, tokens and cost, and the JSON columns.
//!
//! Event ids:
//!
//! | row | id |
//! |---|---|
//! | of a source with an id of its own | that id |
//! | the first row of a span | `trace:span` |
//! | other content under the same span id, or later than a landed row of it | the same, `:`, 8 hex of its hash |
//! | a single record that stands on a span | the same, `:type:`, 16 hex of its hash |
//! | a single record without a span | 32 hex of its hash |
//!
//! Equal records that were told at once append `:` and their number from 1 on.

use super::Assembled;
use super::Row;
use super::chat_format;
use super::group::Group;
use super::group::Node;
use super::group::NodeId;
use super::group::State;
use super::json;
use super::json::Object;
use super::merge::add_to_array;
use super::merge::halves;
use super::tombstone;
use crate::event::Entry;
use crate::event::Event;
use crate::event::Kind;
use crate::event::Link;
use crate::event::SCHEMA_VERSION;
use crate::event::Tokens;
use crate::event::event_type;
use crate::event::status;
use crate::fold::account::Fate;
use crate::pricing::Cost;
use crate::pricing::Table;

/// Nanoseconds as milliseconds.
#[expect(clippy::cast_precision_loss, reason = "a length of more than 104 days loses less than a nanosecond in it")]
pub(super) fn milliseconds(ns: u64) -> f64 {
    ns as f64 / 1e6
}

/// Finishes all rows, and says what became of each record.
pub(super) fn rows(mut group: Group, prices: &Table) -> Assembled {
    for id in group.nodes.ids() {
        if group.nodes[id].is_row() {
            let event_id = event_id(&group, id);
            let closed = group.nodes[id].trace.and_then(|trace| group.trace(trace)?.closed);
            let node = &mut group.nodes[id];
            node.row.event_id = event_id;
            if let Some(closed) = closed {
                node.details.push(Entry { key: "trace_closed".to_owned(), json: crate::event::json::string(closed) });
            }
            finish(node, prices);
        }
    }
    let facts = tombstone::of(&group);
    let mut fates = group.fates;
    let mut rows = Vec::new();
    let mut decide = |record: usize, fate: Fate| {
        if let Some(slot) = fates.get_mut(record) {
            *slot = fate;
        }
    };
    for node in group.nodes.into_nodes() {
        if node.state == State::Row {
            decide(node.record, Fate::Landed);
            for record in node.merged {
                decide(record, Fate::Merged);
            }
            rows.push(Row { prefix: node.envelope.prefix.clone().unwrap_or_default(), event: node.row });
        }
    }
    Assembled { rows, dead: group.dead, fates, facts }
}

fn event_id(group: &Group, id: NodeId) -> String {
    let node = &group.nodes[id];
    let mut event_id = if !node.row.event_id.is_empty() {
        return node.row.event_id.clone();
    } else if let (Some(trace), Some(span)) = (&node.row.trace_id, &node.row.span_id) {
        let place = node.trace.zip(node.span);
        let is_first = place.is_some_and(|place| first_row(group, place.0, place.1) == Some(id));
        let landed = || place.and_then(|(trace, span)| Some(tombstone::has_landed(&group.trace(trace)?.earlier, span)));
        if is_first && landed() != Some(true) {
            return format!("{trace}:{span}");
        }
        if node.is_span() {
            format!("{trace}:{span}:{:08x}", node.content >> 96)
        } else {
            format!("{trace}:{span}:{}:{:016x}", node.row.event_type, node.content >> 64)
        }
    } else {
        format!("{:032x}", node.content)
    };
    if node.ordinal > 0 {
        event_id.push_str(&format!(":{}", node.ordinal));
    }
    event_id
}

/// The node whose row has the plain id of a span: the first one with that id that has a row.
fn first_row(group: &Group, trace: super::group::TraceNo, span: u64) -> Option<NodeId> {
    let first = *group.spans.get(&(trace, span))?;
    if group.nodes[first].is_row() {
        return Some(first);
    }
    let mut others = group.nodes_of(trace).filter(|id| {
        let node = &group.nodes[*id];
        node.is_span() && node.is_row() && node.span == Some(span)
    });
    others.next()
}

fn finish(node: &mut Node, prices: &Table) {
    let is_chat = node.row.event_type == event_type::CHAT_COMPLETION;
    set_origin(node);
    set_times(node);
    set_status(node);
    if is_chat {
        drop_empty_answer(&mut node.row);
        set_finish_reasons(node);
    }
    set_usage(node, prices);
    set_links(node);
    if is_chat {
        chat_format::note_gaps(&mut node.row);
    }
    let row = &mut node.row;
    if row.conversation_id.is_empty() {
        row.conversation_id.clone_from(&row.event_id);
        "event_id".clone_into(&mut row.conversation_id_source);
    }
    row.details = json::entries(&node.details);
    row.attributes = json::entries(&node.attributes);
}

/// What the envelope says.
fn set_origin(node: &mut Node) {
    let (row, envelope) = (&mut node.row, &node.envelope);
    row.schema_version = SCHEMA_VERSION;
    row.source.clone_from(&envelope.door);
    if row.dialect.is_empty() {
        "unknown".clone_into(&mut row.dialect);
    }
    if row.service.is_none() {
        row.service.clone_from(&envelope.service);
    }
    // Whose credential it is stands beside what the data says of itself.
    let app = if row.service.is_none() {
        row.service.clone_from(&envelope.app);
        None
    } else {
        envelope.app.as_deref().filter(|app| row.service.as_deref() != Some(app))
    };
    let credential = [("app", app), ("tenant", envelope.named_tenant())];
    // Data never says whose tenant it is, also where no credential does.
    let is_bound = |entry: &Entry| entry.key == "tenant" || app.is_some() && entry.key == "app";
    node.attributes.extend(node.details.extract_if(.., |entry| is_bound(entry)));
    for (key, text) in credential {
        let entry = text.map(|text| Entry { key: key.to_owned(), json: crate::event::json::string(text) });
        node.details.extend(entry);
    }
    if row.env.is_none() {
        row.env.clone_from(&envelope.env);
    }
    row.resource.clone_from(&envelope.resource);
    row.redaction.get_or_insert_default().policy.clone_from(&envelope.policy);
}

fn set_times(node: &mut Node) {
    let microseconds = |ns: u64| i64::try_from(ns / 1000).unwrap_or(i64::MAX);
    let (length, row) = (node.length(), &mut node.row);
    row.received_at = node.received_at;
    if node.start_ns == 0 {
        row.timestamp = node.received_at;
        row.notes.push("no time stated: its arrival's".to_owned());
    } else {
        row.timestamp = microseconds(node.start_ns);
    }
    if node.end_ns != 0 {
        row.ended_at = Some(microseconds(node.end_ns));
        if node.start_ns > node.end_ns {
            row.notes.push("its end is before its start".to_owned());
        }
    }
    // A span's length is what happened; a length beside it is what a library counted.
    if let Some(length) = length.filter(|_| node.kind == Kind::Span) {
        let measured = milliseconds(length);
        let stated = row.timing.get_or_insert_default().total_latency_ms.replace(measured);
        if let Some(stated) = stated.filter(|stated| (stated - measured).abs() > 1.0) {
            node.details.push(Entry { key: "stated_latency_ms".to_owned(), json: stated.to_string() });
        }
    }
    if let Some(timing) = &mut row.timing {
        let limit = timing.total_latency_ms.unwrap_or(f64::INFINITY);
        if let Some(first) = timing.time_to_first_token_ms.filter(|first| !(0.0..=limit).contains(first)) {
            timing.time_to_first_token_ms = None;
            let source = timing.ttft_source.take().unwrap_or_default();
            row.notes.push(format!("time to first token of {first} ms ({source}) is outside of the call"));
        }
        if timing.time_to_first_token_ms.is_none() {
            timing.ttft_source = None;
        }
    }
}

fn set_status(node: &mut Node) {
    let row = &mut node.row;
    let stated = row.status.as_deref().filter(|stated| !stated.is_empty());
    let is_failure = stated.is_some_and(|stated| !matches!(stated, status::OK | status::INCOMPLETE));
    let known = if is_failure {
        return;
    } else if row.error.is_some() && stated.is_none() {
        Some(status::ERROR)
    } else if node.kind == Kind::Span {
        Some(if node.end_ns == 0 { status::INCOMPLETE } else { status::OK })
    } else {
        return;
    };
    row.status = known.map(str::to_owned);
}

/// A call that failed gave no answer, though LangChain's tracers write an empty one.
fn drop_empty_answer(row: &mut Event) {
    if row.status.as_deref() != Some(status::ERROR) || halves(row).1.len() != 1 {
        return;
    }
    let is_empty = |message: &crate::event::Message| {
        message.role == "assistant"
            && message.content.as_deref() == Some("")
            && message.content_parts.is_none()
            && message.reasoning.is_none()
            && message.tool_calls.is_empty()
    };
    if row.messages.last().is_some_and(is_empty) {
        row.messages.pop();
    }
}

/// The reason stands on the model and on the answer; where only one of them has it, both do. An answer that calls
/// tools ended for that, also where a record of its own says that it stopped.
fn set_finish_reasons(node: &mut Node) {
    share_finish_reason(&mut node.row);
    let row = &mut node.row;
    let answer = row.messages.len() - halves(row).1.len();
    let is_stop = |reason: &String| reason == "stop";
    let mut calls = false;
    for message in row.messages.iter_mut().skip(answer).filter(|message| !message.tool_calls.is_empty()) {
        calls = true;
        if message.finish_reason.as_ref().is_some_and(is_stop) {
            message.finish_reason = Some("tool_calls".to_owned());
        }
    }
    let Some(model) = row.model.as_mut().filter(|_| calls) else { return };
    if let Some(reason) = model.finish_reasons.first_mut().filter(|reason| is_stop(reason)) {
        let raw = json::array([crate::event::json::string(reason)]);
        "tool_calls".clone_into(reason);
        if node.details.iter().all(|entry| entry.key != "finish_reasons_raw") {
            node.details.push(Entry { key: "finish_reasons_raw".to_owned(), json: raw });
        }
    }
}

fn share_finish_reason(row: &mut Event) {
    let answer = row.messages.len() - halves(row).1.len();
    let Some(message) = row.messages.iter_mut().skip(answer).find(|message| message.role == "assistant") else {
        return;
    };
    let stated = row.model.as_ref().and_then(|model| model.finish_reasons.first());
    match (&message.finish_reason, stated) {
        (Some(reason), None) if !reason.is_empty() => {
            row.model.get_or_insert_default().finish_reasons.push(reason.clone());
        }
        (None, Some(reason)) => message.finish_reason = Some(reason.clone()),
        _ => {}
    }
}

fn set_usage(node: &mut Node, prices: &Table) {
    let Some(mut tokens) = node.row.tokens.take() else { return };
    if tokens.total_tokens.is_none() {
        let sum = tokens.prompt_tokens.zip(tokens.completion_tokens).and_then(|(a, b)| a.checked_add(b));
        tokens.total_tokens = sum;
    }
    if !event_type::is_summed(&node.row.event_type) {
        let mut usage = json::tokens(&tokens);
        let stated = node.details.iter().position(|entry| entry.key == "usage");
        let stated = stated.map(|place| node.details.remove(place));
        if let Some(inner) = stated.as_ref().and_then(|entry| inner(&entry.json)) {
            usage.all_of(&Object::of_keys(inner));
        }
        if !usage.is_empty() {
            node.details.push(Entry { key: "usage".to_owned(), json: usage.close() });
        }
        return;
    }
    if let Some(computed) = computed_cost(node, &tokens, prices) {
        if let Some(stated) = tokens.cost_usd {
            let mut both = Object::new();
            let place = node.details.iter().position(|entry| entry.key == "cost");
            let parts = place.map(|place| node.details.remove(place));
            match parts.as_ref().and_then(|entry| inner(&entry.json)) {
                Some(inner) => both.all_of(&Object::of_keys(inner)),
                None => {
                    let mut object = Object::new();
                    object.float("total", Some(stated));
                    object.text("source", tokens.cost_source.as_deref());
                    both.object("stated", object);
                }
            }
            let mut object = Object::new();
            object.float("total", Some(computed.total));
            object.float("input", Some(computed.input));
            object.float("output", Some(computed.output));
            object.text("source", Some(prices.source()));
            both.object("computed", object);
            node.details.push(Entry { key: "cost".to_owned(), json: both.close() });
        } else {
            tokens.cost_usd = Some(computed.total);
            tokens.cost_source = Some(prices.source().to_owned());
        }
    }
    node.row.tokens = Some(tokens);
}

/// The keys and values of a JSON object, none where it has none.
fn inner(object: &str) -> Option<&str> {
    object.trim().strip_prefix('{')?.strip_suffix('}').map(str::trim).filter(|inner| !inner.is_empty())
}

fn computed_cost(node: &Node, tokens: &Tokens, prices: &Table) -> Option<Cost> {
    let usage = node.details.iter().find(|entry| entry.key == "usage").map(|entry| entry.json.as_str());
    let model = node.row.model.as_ref()?;
    if node.row.event_type == event_type::EMBEDDING {
        // Its answer is no text.
        let tokens = Tokens { completion_tokens: tokens.completion_tokens.or(Some(0)), ..tokens.clone() };
        return prices.cost(model, &tokens, usage, node.start_ns);
    }
    prices.cost(model, tokens, usage, node.start_ns)
}

/// Dialects tell links in `details` where they do not judge.
fn set_links(node: &mut Node) {
    let has_links = node.details.iter().any(|entry| entry.key == "links");
    for link in std::mem::take(&mut node.links) {
        if link.is_target {
            let target = format!("{}:{}", link.trace_id, link.span_id);
            match &mut node.row.feedback {
                Some(feedback) => feedback.target = feedback.target.take().or(Some(target)),
                None if node.details.iter().all(|entry| entry.key != "target") => {
                    let json = crate::event::json::string(&target);
                    node.details.push(Entry { key: "target".to_owned(), json });
                }
                None => {}
            }
        }
        if link.is_target || !has_links {
            add_to_array(&mut node.details, "links", self::link(&link));
        }
    }
}

fn link(link: &Link) -> String {
    let mut object = Object::new();
    object.text("trace_id", Some(&link.trace_id));
    object.text("span_id", Some(&link.span_id));
    object.json_or_text("attributes", link.attributes.as_deref());
    object.close()
}
