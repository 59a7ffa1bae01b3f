//! What the fold remembers of a trace after its rows have gone, and how late records ask for it.

use super::calls;
use super::context::stated_source;
use super::group::Group;
use super::group::SpanId;
use super::group::State;
use super::group::TraceNo;
use crate::event::carry::Context;
use crate::event::carry::Facts;
use crate::event::carry::LandedCall;
use crate::event::event_type;
use prost::Message as _;

/// What is known of a span: where its context stands, and whether a row has its id.
fn span(stone: &Facts, span: SpanId) -> Option<(&Context, bool)> {
    let place = stone.spans.binary_search(&span).ok()?;
    let facts = *stone.span_facts.get(place)?;
    let context = stone.contexts.get(usize::try_from(facts >> 1).ok()?)?;
    Some((context, facts & 1 == 1))
}

/// Whether a row with this span's id has landed.
pub(super) fn has_landed(earlier: &[Facts], id: SpanId) -> bool {
    earlier.iter().any(|stone| span(stone, id).is_some_and(|(_, landed)| landed))
}

/// Whether rows have landed that name this span as an ancestor that was not there.
pub(super) fn awaits(earlier: &[Facts], id: SpanId) -> bool {
    earlier.iter().any(|stone| stone.missing_parents.binary_search(&id).is_ok())
}

/// What stands below this span inherits, else what the whole trace states.
pub(super) fn context(earlier: &[Facts], above: Option<SpanId>) -> Option<&Context> {
    let of_span = above.and_then(|above| earlier.iter().find_map(|stone| Some(span(stone, above)?.0)));
    of_span.or_else(|| earlier.iter().find_map(|stone| stone.contexts.first()))
}

/// The facts of the traces that were asked for. Called when the rows have their ids.
pub(super) fn of(group: &Group) -> Vec<Vec<u8>> {
    group.trace_numbers().take(group.asked).map(|trace| of_trace(group, trace).encode_to_vec()).collect()
}

fn of_trace(group: &Group, number: TraceNo) -> Facts {
    // Of equal spans the first one's context counts, and whether any of them has a row.
    let mut spans: Vec<(SpanId, usize, u32, bool)> = Vec::new();
    let mut missing: Vec<SpanId> = Vec::new();
    let mut calls: Vec<LandedCall> = Vec::new();
    for (place, id) in group.nodes_of(number).enumerate() {
        let node = &group.nodes[id];
        let has_row = node.state != State::Unknown;
        let above = if node.is_span() { node.parent_span } else { node.span };
        missing.extend(above.filter(|_| has_row && node.parent.is_none()));
        let is_call = matches!(node.row.event_type.as_str(), event_type::CHAT_COMPLETION | event_type::EMBEDDING);
        if is_call && node.is_row() {
            calls.push(calls::facts(node));
        }
        if let Some(span) = node.span.filter(|span| node.is_span() || group.spans.get(&(number, *span)) == Some(&id)) {
            spans.push((span, place, node.context, has_row));
        }
    }
    spans.sort_unstable();
    spans.dedup_by(|later, first| {
        first.3 |= later.0 == first.0 && later.3;
        later.0 == first.0
    });
    missing.sort_unstable();
    missing.dedup();
    missing.retain(|span| spans.binary_search_by_key(span, |(known, ..)| *known).is_err());
    let mut places: Vec<u32> = Vec::new();
    let mut contexts = vec![whole(group, number)];
    let mut span_facts = Vec::with_capacity(spans.len());
    for (_, _, context, has_row) in &spans {
        let place = places.iter().position(|known| known == context).unwrap_or_else(|| {
            contexts.push(group.contexts.get(*context as usize).cloned().unwrap_or_default());
            places.push(*context);
            places.len() - 1
        });
        // The whole trace's stands first.
        span_facts.push(u32::try_from(place + 1).unwrap_or(0) << 1 | u32::from(*has_row));
    }
    Facts {
        contexts,
        spans: spans.into_iter().map(|(span, ..)| span).collect(),
        span_facts,
        missing_parents: missing,
        calls,
    }
}

/// What all rows of a trace share.
fn whole(group: &Group, number: TraceNo) -> Context {
    let mut rows = group.nodes_of(number).map(|id| &group.nodes[id]).filter(|node| node.is_row());
    let Some(first) = rows.next() else { return Context::default() };
    let mut whole = Context {
        conversation_id: first.row.conversation_id.clone(),
        user: first.row.user.clone(),
        ..Context::default()
    };
    if first.row.conversation_id_source == "trace_id" {
        whole.conversation_id.clear();
    }
    for node in rows {
        if node.row.conversation_id != whole.conversation_id {
            whole.conversation_id.clear();
        }
        if node.row.user != whole.user {
            whole.user = None;
        }
    }
    let source = if whole.conversation_id.is_empty() { "" } else { stated_source(&first.row.conversation_id_source) };
    whole.conversation_id_source = source.to_owned();
    whole
}
