//! Finds spans that tell one model call: a framework's and a provider's, a client's, a gateway's and a server's.
//!
//! Two spans are tellings of one call when their times overlap by at least nine tenths of the shorter one and what
//! they say of the call agrees: the same response id and model; or, for spans that are related (one within the other,
//! or under one parent), compatible models and the same answer. One instrumentation tells a call once, so spans that
//! are not within each other must come from different ones. In different traces only the same response id, model and
//! overlapping times count. What tells a call that has landed earlier becomes a step that names it.

mod landed;
mod sets;

use super::group::Group;
use super::group::Node;
use super::group::NodeId;
use super::group::TraceNo;
use super::merge::halves;
use crate::event::Message;
use crate::event::carry::LandedCall;
use crate::event::event_type;
use crate::event::status;
use ahash::HashMap;
use ahash::HashSet;
use sets::Sets;
use std::collections::BTreeMap;
use xxhash_rust::xxh3::xxh3_64;

/// What two tellings of a call are compared by.
#[derive(Debug, Clone)]
struct Call {
    /// None: it has landed in an earlier assembly.
    id: Option<NodeId>,
    told: LandedCall,
    prompt: Option<i64>,
    completion: Option<i64>,
}

/// Merges all tellings of one call into the richest one.
pub(super) fn merge_tellings(group: &mut Group) {
    let calls = calls(group);
    let mut sets = Sets::default();
    within_traces(group, &calls, &mut sets);
    across_traces(group, &calls, &mut sets);
    sets::merge(group, &sets);
    landed::mark(group);
}

/// What a node tells of a call, as a tombstone keeps it.
pub(super) fn facts(node: &Node) -> LandedCall {
    let model = node.row.model.as_ref();
    let text = |field: Option<&String>| field.cloned().unwrap_or_default();
    LandedCall {
        event_id: node.row.event_id.clone(),
        event_type: node.row.event_type.clone(),
        span: node.span.unwrap_or(0),
        parent: node.parent_span.unwrap_or(0),
        start_ns: node.start_ns,
        end_ns: node.end_ns,
        response_id: text(model.and_then(|model| model.response_id.as_ref())),
        response_model: text(model.and_then(|model| model.response.as_ref())),
        request_model: text(model.and_then(|model| model.request.as_ref())),
        output: output_hash(halves(&node.row).1),
        teller: node.envelope.teller(),
        failed: node.row.status.as_deref() == Some(status::ERROR) || node.row.error.is_some(),
        shared: node.shared.clone().unwrap_or_default(),
    }
}

fn is_call(node: &Node) -> bool {
    let kind = node.row.event_type.as_str();
    matches!(kind, event_type::CHAT_COMPLETION | event_type::EMBEDDING)
}

/// The calls of traces in which two may be one; of all others nothing need be known.
fn calls(group: &Group) -> Vec<Call> {
    let is_told = |node: &Node| node.is_row() && node.is_span() && is_call(node);
    let told: Vec<NodeId> = group.nodes.ids().filter(|id| is_told(&group.nodes[*id])).collect();
    let traces = may_be_one(group, &told);
    let calls = told.into_iter().filter(|id| traces.contains(&group.nodes[*id].trace));
    calls
        .map(|id| {
            let node = &group.nodes[id];
            let tokens = node.row.tokens.as_ref();
            Call {
                id: Some(id),
                told: facts(node),
                prompt: tokens.and_then(|tokens| tokens.prompt_tokens),
                completion: tokens.and_then(|tokens| tokens.completion_tokens),
            }
        })
        .collect()
}

/// The traces with calls whose times touch, or with one whose response id another call has too.
fn may_be_one(group: &Group, told: &[NodeId]) -> HashSet<Option<TraceNo>> {
    let mut traces = HashSet::default();
    let mut responses: HashMap<&str, NodeId> = HashMap::default();
    for id in told {
        let node = &group.nodes[*id];
        let response = node.row.model.as_ref().and_then(|model| model.response_id.as_deref());
        let other = response.filter(|id| !id.is_empty()).and_then(|response| responses.insert(response, *id));
        if let Some(other) = other {
            traces.extend([node.trace, group.nodes[other].trace]);
        }
    }
    for calls in told.chunk_by(|a, b| group.nodes[*a].trace == group.nodes[*b].trace) {
        // They come by start.
        let mut end = None;
        for id in calls {
            let node = &group.nodes[*id];
            if end.is_some_and(|end| node.start_ns <= end) {
                traces.insert(node.trace);
            }
            end = end.max(Some(node.end_ns));
        }
    }
    traces
}

/// Of the answer: its tool calls' ids, or names and arguments where they have none, else its text without spaces.
/// 0 without an answer.
fn output_hash(output: &[Message]) -> u64 {
    let mut said = Vec::new();
    for call in output.iter().flat_map(|message| &message.tool_calls) {
        said.push(0);
        match &call.id {
            Some(id) => said.extend_from_slice(id.as_bytes()),
            None => {
                said.extend_from_slice(call.name.as_bytes());
                call.arguments.iter().for_each(|arguments| push_without_spaces(&mut said, arguments));
            }
        }
    }
    if said.is_empty() {
        for text in output.iter().filter_map(|message| message.content.as_deref()) {
            push_without_spaces(&mut said, text);
        }
    }
    if said.is_empty() { 0 } else { xxh3_64(&said).max(1) }
}

fn push_without_spaces(said: &mut Vec<u8>, text: &str) {
    said.reserve(text.len());
    text.as_bytes().split(u8::is_ascii_whitespace).for_each(|word| said.extend_from_slice(word));
}

fn times(call: &Call) -> (u64, u64) {
    (call.told.start_ns, call.told.end_ns)
}

/// How two spans of one trace stand to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kinship {
    /// One is an ancestor of the other.
    Line,
    Siblings,
    Others,
}

pub(super) fn kinship(group: &Group, a: NodeId, b: NodeId) -> Kinship {
    if group.ancestors(a).any(|id| id == b) || group.ancestors(b).any(|id| id == a) {
        return Kinship::Line;
    }
    let (a, b) = (&group.nodes[a], &group.nodes[b]);
    if a.parent_span.is_some() && a.parent_span == b.parent_span { Kinship::Siblings } else { Kinship::Others }
}

/// Whether the times of two operations overlap by at least nine tenths of the shorter one, and of the longer one.
/// Each with start and end.
pub(super) fn overlap(a: (u64, u64), b: (u64, u64)) -> (bool, bool) {
    let length = |(start, end): (u64, u64)| end.checked_sub(start);
    let (Some(length_a), Some(length_b)) = (length(a), length(b)) else { return (false, false) };
    let (start, end) = (a.0.max(b.0), a.1.min(b.1));
    let Some(both) = end.checked_sub(start) else { return (false, false) };
    let covers = |length: u64| u128::from(both) * 10 >= u128::from(length) * 9;
    (covers(length_a.min(length_b)), covers(length_a.max(length_b)))
}

/// A model's name without the provider before it.
fn bare(model: &str) -> &str {
    model.rsplit('/').next().unwrap_or(model)
}

/// Whether two names may be the same model's: equal, one dated and one not, or one not known.
pub(super) fn compatible(a: &LandedCall, b: &LandedCall) -> bool {
    let pair = |a: &str, b: &str| {
        let (a, b) = (bare(a), bare(b));
        a.is_empty() || b.is_empty() || a.starts_with(b) || b.starts_with(a)
    };
    let either = |call: &LandedCall| {
        if call.response_model.is_empty() { call.request_model.clone() } else { call.response_model.clone() }
    };
    pair(&either(a), &either(b))
}

fn same_response(a: &LandedCall, b: &LandedCall) -> bool {
    !a.response_id.is_empty() && a.response_id == b.response_id && compatible(a, b)
}

fn is_same_call(group: &Group, a: &Call, b: &Call, kinship: Kinship) -> bool {
    let is_line = kinship == Kinship::Line;
    if is_line && ended_early(a, b) {
        return true;
    }
    let (of_shorter, of_longer) = overlap(times(a), times(b));
    if !of_shorter || a.told.event_type != b.told.event_type {
        return false;
    }
    if !is_line && a.told.teller == b.told.teller {
        return kinship == Kinship::Siblings && (asks_and_answers(group, a, b) || asks_and_answers(group, b, a));
    }
    if !a.told.response_id.is_empty() && !b.told.response_id.is_empty() {
        return same_response(&a.told, &b.told);
    }
    if kinship == Kinship::Others || !compatible(&a.told, &b.told) {
        return false;
    }
    let (output_a, output_b) = (a.told.output, b.told.output);
    // A client within a framework's call, and the only one: the framework may give its calls other ids, and take longer.
    if is_line && same_counts(a, b, output_a == 0 || output_b == 0) {
        return true;
    }
    if output_a != 0 && output_b != 0 {
        return output_a == output_b;
    }
    if a.told.failed && b.told.failed {
        return output_a == output_b && is_line;
    }
    // Content that was not captured: the same numbers over the same time.
    of_longer && a.prompt.is_some() && (a.prompt, a.completion) == (b.prompt, b.completion)
}

/// Whether two tellings count the same: prompt and answer, or one of them where one content is not known.
fn same_counts(a: &Call, b: &Call, one_is_silent: bool) -> bool {
    let same = |a: Option<i64>, b: Option<i64>| a.is_some_and(|count| count > 0) && a == b;
    let (prompt, completion) = (same(a.prompt, b.prompt), same(a.completion, b.completion));
    let has_completion = a.completion.or(b.completion).is_some();
    prompt && completion || one_is_silent && (completion || prompt && !has_completion)
}

/// Whether, of a span and one that began within it, one had ended before the answer came that the other one tells:
/// instrumentations of a client that hands its stream on. However long that went on, their times need not agree.
fn ended_early(a: &Call, b: &Call) -> bool {
    a.told.teller != b.told.teller
        && a.told.event_type == b.told.event_type
        && is_silent(a) != is_silent(b)
        && !a.told.failed
        && !b.told.failed
        && compatible(&a.told, &b.told)
}

/// Whether a span tells nothing of an answer.
fn is_silent(call: &Call) -> bool {
    call.told.output == 0 && call.told.response_id.is_empty() && call.prompt.is_none() && call.completion.is_none()
}

/// Whether one span tells only the request and the other one the answer to it: an instrumentation that tells the end
/// of a stream by a span of its own.
fn asks_and_answers(group: &Group, a: &Call, b: &Call) -> bool {
    let (Some(ask), Some(answer)) = (a.id, b.id) else { return false };
    let says_nothing = a.told.output == 0 && a.told.response_id.is_empty() && a.completion.is_none();
    let (asked, asked_too) = (halves(&group.nodes[ask].row).0, halves(&group.nodes[answer].row).0);
    let is_same_request = !asked.is_empty() && asked == asked_too && a.told.request_model == b.told.request_model;
    says_nothing && !a.told.failed && b.told.output != 0 && is_same_request
}

/// Whether a framework's span beside its client's lasts longer, tells the same counts, and nothing of the answer: a
/// package that leaves out calls of tools. Of several calls at a time that count the same nobody knows which it is.
fn is_only_telling(calls: &[Call], a: &Call, b: &Call) -> bool {
    let (framework, client) = if a.told.output == 0 { (a, b) } else { (b, a) };
    let (outer, inner) = (times(framework), times(client));
    let other = |call: &&Call| {
        call.id != a.id && call.id != b.id && overlap(times(call), outer).0 && same_counts(call, client, false)
    };
    a.told.teller != b.told.teller
        && a.told.event_type == b.told.event_type
        && framework.told.output == 0
        && client.told.output != 0
        && framework.told.response_id.is_empty()
        && !a.told.failed
        && !b.told.failed
        && outer.0 <= inner.0
        && inner.1 <= outer.1
        && compatible(&a.told, &b.told)
        && same_counts(a, b, false)
        && !calls.iter().any(|call| other(&call))
}

fn within_traces(group: &Group, calls: &[Call], sets: &mut Sets) {
    let trace_of = |call: &Call| call.id.and_then(|id| group.nodes[id].trace);
    for calls_of_trace in calls.chunk_by(|a, b| trace_of(a) == trace_of(b)) {
        if calls_of_trace.len() < 2 || calls_of_trace.first().and_then(trace_of).is_none() {
            continue;
        }
        // They come by start: what starts after the end of one cannot overlap it.
        for (place, a) in calls_of_trace.iter().enumerate() {
            let later = calls_of_trace.iter().skip(place + 1).take_while(|b| b.told.start_ns <= a.told.end_ns);
            for b in later {
                let kinship = a.id.zip(b.id).map_or(Kinship::Others, |(a, b)| kinship(group, a, b));
                if is_same_call(group, a, b, kinship) && is_only_one_below(group, calls_of_trace, a, b)
                    || kinship == Kinship::Siblings && is_only_telling(calls_of_trace, a, b)
                {
                    sets.unite(a.id, b.id);
                }
            }
        }
    }
}

/// An outer span with several calls below it tells one of them only if it has its response id: its answer may well be
/// the last one's.
fn is_only_one_below(group: &Group, calls: &[Call], a: &Call, b: &Call) -> bool {
    if same_response(&a.told, &b.told) {
        return true;
    }
    let (Some(outer), Some(inner)) = (a.id, b.id) else { return true };
    if !group.ancestors(inner).any(|id| id == outer) {
        return true;
    }
    let teller = b.told.teller;
    calls
        .iter()
        .filter(|call| call.told.teller == teller)
        .filter_map(|call| call.id)
        .filter(|id| group.ancestors(*id).any(|id| id == outer))
        .count()
        < 2
}

fn across_traces(group: &Group, calls: &[Call], sets: &mut Sets) {
    let mut by_response: BTreeMap<(&str, &str, &str), Vec<&Call>> = BTreeMap::new();
    for call in calls.iter().filter(|call| !call.told.response_id.is_empty()) {
        if let Some(id) = call.id {
            let envelope = &group.nodes[id].envelope;
            let prefix = envelope.prefix.as_deref().unwrap_or_default();
            by_response.entry((&envelope.tenant, prefix, &call.told.response_id)).or_default().push(call);
        }
    }
    for calls in by_response.into_values().filter(|calls| calls.len() > 1) {
        for (place, a) in calls.iter().enumerate() {
            for b in calls.iter().skip(place + 1) {
                if is_told_across(a, b) {
                    sets.unite(a.id, b.id);
                }
            }
        }
    }
}

/// Whether spans of two traces tell one call.
fn is_told_across(a: &Call, b: &Call) -> bool {
    let model = |call: &Call| bare(&call.told.response_model).to_owned();
    a.told.event_type == b.told.event_type
        && a.told.teller != b.told.teller
        && a.told.response_id == b.told.response_id
        && model(a) == model(b)
        && overlap(times(a), times(b)).0
}
