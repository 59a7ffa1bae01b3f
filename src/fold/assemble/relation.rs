//! Decides what a dialect left to the tree: spans that tell a part of their parent's operation, and outer spans that
//! are a model call only if none is below them.

use super::group::Group;
use super::group::NodeId;
use super::merge::merge_spans;
use crate::event::Relation;
use crate::event::event_type;
use std::collections::HashSet;

/// Settles all relations but `OWN`.
pub(super) fn settle(group: &mut Group) {
    let mut parts = Vec::new();
    let mut outer = Vec::new();
    for id in group.nodes.ids() {
        let node = &group.nodes[id];
        match node.relation {
            Relation::Own => {}
            Relation::PartOfParent => parts.push(id),
            Relation::CallIfNoCallBelow => outer.push(id),
        }
    }
    for id in parts {
        let Some(parent) = group.nodes[id].parent.map(|parent| group.teller(parent)) else { continue };
        if parent != id
            && group.nodes[parent].is_row()
            && group.nodes[parent].row.event_type == group.nodes[id].row.event_type
        {
            merge_spans(group, parent, id);
        }
    }
    if !outer.is_empty() {
        settle_outer(group, outer);
    }
}

fn settle_outer(group: &mut Group, mut outer: Vec<NodeId>) {
    let mut above_calls: HashSet<NodeId> = HashSet::new();
    for id in group.nodes.ids() {
        let node = &group.nodes[id];
        if node.relation != Relation::CallIfNoCallBelow && is_call(&node.row.event_type) {
            mark_ancestors(group, id, &mut above_calls);
        }
    }
    // Innermost first: one that turns out to be a call is one for those around it.
    outer.sort_by_cached_key(|id| std::cmp::Reverse(group.ancestors(*id).count()));
    for id in outer {
        if above_calls.contains(&id) || has_landed_below(group, id) {
            let row = &mut group.nodes[id].row;
            let is_chat = row.event_type == event_type::CHAT_COMPLETION;
            row.event_type = if is_chat { event_type::AGENT_INVOCATION } else { event_type::GRAPH_STEP }.to_owned();
        } else {
            mark_ancestors(group, id, &mut above_calls);
        }
    }
}

fn is_call(kind: &str) -> bool {
    matches!(kind, event_type::CHAT_COMPLETION | event_type::EMBEDDING | event_type::RERANK | event_type::RETRIEVAL)
}

fn mark_ancestors(group: &Group, id: NodeId, marked: &mut HashSet<NodeId>) {
    for ancestor in group.ancestors(id) {
        if !marked.insert(ancestor) {
            break;
        }
    }
}

/// Whether an earlier assembly has landed a call below this span.
fn has_landed_below(group: &Group, id: NodeId) -> bool {
    let node = &group.nodes[id];
    let Some((trace, span)) = node.trace.and_then(|trace| group.trace(trace)).zip(node.span) else { return false };
    trace.earlier.iter().any(|stone| {
        stone.missing_parents.binary_search(&span).is_ok() || stone.calls.iter().any(|call| call.parent == span)
    })
}
