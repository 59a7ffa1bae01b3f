//! Calls that landed in an earlier assembly, and what tells them again.

use super::Call;
use super::Kinship;
use super::facts;
use super::is_call;
use super::is_same_call;
use super::is_told_across;
use crate::event::Entry;
use crate::event::event_type;
use crate::fold::assemble::group::Group;
use crate::fold::assemble::group::NodeId;
use crate::fold::assemble::group::Trace;
use crate::fold::assemble::retold;

/// Turns spans that tell a call of an earlier assembly into steps.
pub(super) fn mark(group: &mut Group) {
    if group.trace_numbers().filter_map(|number| group.trace(number)).all(|trace| trace.earlier.is_empty()) {
        return;
    }
    for id in group.nodes.ids() {
        let node = &group.nodes[id];
        if !(node.is_row() && is_call(node)) {
            continue;
        }
        let Some(landed) = landed(group, id) else { continue };
        let landed = crate::event::json::string(&landed);
        let node = &mut group.nodes[id];
        node.row.event_type = event_type::GRAPH_STEP.to_owned();
        node.is_late = true;
        node.details.push(Entry { key: "duplicate_of".to_owned(), json: landed });
    }
}

/// The event id of the landed call that this node tells again.
fn landed(group: &Group, id: NodeId) -> Option<String> {
    let node = &group.nodes[id];
    let trace = group.trace(node.trace?)?;
    let tokens = node.row.tokens.as_ref();
    let call = Call {
        id: None,
        told: facts(node),
        prompt: tokens.and_then(|tokens| tokens.prompt_tokens),
        completion: tokens.and_then(|tokens| tokens.completion_tokens),
    };
    let above = || {
        let spans = group.ancestors(id).filter_map(|id| group.nodes[id].span);
        spans.chain(group.ancestors(id).chain([id]).filter_map(|id| group.nodes[id].parent_span))
    };
    let others = group.trace_numbers().filter_map(|other| Some((other, group.trace(other)?)));
    let is_shared = |other: &Trace| (&other.tenant, &other.prefix) == (&trace.tenant, &trace.prefix);
    for (other, facts) in others.filter(|(_, other)| is_shared(other)) {
        let is_own = node.trace == Some(other);
        for landed in facts.earlier.iter().flat_map(|facts| &facts.calls) {
            let other = Call { id: None, told: landed.clone(), prompt: None, completion: None };
            let is_same = if is_own {
                let is_line = landed.span != 0 && above().any(|span| span == landed.span)
                    || node.span.is_some_and(|span| span == landed.parent);
                let kinship = match () {
                    () if is_line => Kinship::Line,
                    () if node.parent_span.is_some_and(|parent| parent == landed.parent) => Kinship::Siblings,
                    () => Kinship::Others,
                };
                node.span == Some(landed.span)
                    || is_same_call(group, &call, &other, kinship)
                    || retold::is_same(&call.told, landed)
            } else {
                is_told_across(&call, &other)
            };
            if is_same {
                return Some(landed.event_id.clone());
            }
        }
    }
    None
}
