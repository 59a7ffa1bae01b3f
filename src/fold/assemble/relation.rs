//! Decides what a dialect left to the tree: spans that tell a part of their parent's operation, and outer spans that
//! are a model call only if none is below them.

use super::group::Group;
use super::group::NodeId;
use super::merge::halves;
use super::merge::merge_spans;
use super::merge::set_halves;
use crate::event::Event;
use crate::event::Message;
use crate::event::Relation;
use crate::event::event_type;
use ahash::HashMap;
use ahash::HashSet;

/// Settles all relations but `OWN`.
pub(super) fn settle(group: &mut Group) {
    let mut parts = Vec::new();
    let mut outer = Vec::new();
    let mut ends = Vec::new();
    let mut steps = HashMap::default();
    for id in group.nodes.ids() {
        let node = &group.nodes[id];
        match node.relation {
            Relation::Own => {}
            Relation::PartOfParent => parts.push(id),
            Relation::CallIfNoCallBelow => outer.push(id),
            Relation::EndOfSibling => ends.push(id),
            Relation::StepOfCall => {
                steps.insert(id, Calls::None);
            }
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
    settle_ends(group, ends);
    if !outer.is_empty() {
        settle_outer(group, outer);
    }
    if !steps.is_empty() {
        settle_steps(group, steps);
    }
}

/// The model calls right below a step.
#[derive(Clone, Copy)]
enum Calls {
    None,
    One(NodeId),
    Several,
}

/// Gives what a step tells of its one call to that call.
fn settle_steps(group: &mut Group, mut steps: HashMap<NodeId, Calls>) {
    for id in group.nodes.ids() {
        let node = &group.nodes[id];
        if node.is_row()
            && node.row.event_type == event_type::CHAT_COMPLETION
            && let Some(parent) = node.parent
            && let Some(calls) = steps.get_mut(&parent)
        {
            *calls = if matches!(calls, Calls::None) { Calls::One(id) } else { Calls::Several };
        }
    }
    for (step, calls) in steps {
        let row = &mut group.nodes[step].row;
        let (input, output) = halves(row);
        let (input, output) = (input.to_vec(), output.to_vec());
        row.messages.clear();
        row.input_message_count = None;
        if let Calls::One(call) = calls {
            let row = &mut group.nodes[call].row;
            let (own_input, own_output) = halves(row);
            let input = if says_nothing(own_input) { input } else { own_input.to_vec() };
            let is_fuller = says_nothing(own_output) && !says_nothing(&output) || adds_calls(&output, own_output);
            let output = if is_fuller { output } else { own_output.to_vec() };
            set_halves(row, input, output);
        }
    }
}

/// Whether messages hold no content at all.
fn says_nothing(messages: &[Message]) -> bool {
    let is_empty = |text: &Option<String>| text.as_ref().is_none_or(String::is_empty);
    messages.iter().all(|one| {
        is_empty(&one.content) && is_empty(&one.reasoning) && one.content_parts.is_none() && one.tool_calls.is_empty()
    })
}

/// Whether the first tells the same text, and calls beside it, of which the second says nothing.
fn adds_calls(fuller: &[Message], own: &[Message]) -> bool {
    let ([fuller], [own]) = (fuller, own) else { return false };
    !fuller.tool_calls.is_empty()
        && own.tool_calls.is_empty()
        && own.reasoning.is_none()
        && (&fuller.content, &fuller.content_parts) == (&own.content, &own.content_parts)
}

/// Joins ends to the calls that began before them: in order of time, each to the first that fits and has no end yet.
fn settle_ends(group: &mut Group, mut ends: Vec<NodeId>) {
    ends.sort_by_key(|id| group.nodes[*id].start_ns);
    let mut ended: HashSet<NodeId> = HashSet::default();
    for end in ends {
        let began = group.nodes.ids().find(|id| !ended.contains(id) && is_begun(group, *id, end));
        if let Some(began) = began {
            ended.insert(began);
            let ended_ns = group.nodes[end].end_ns;
            merge_spans(group, began, end);
            let node = &mut group.nodes[began];
            node.end_ns = node.end_ns.max(ended_ns);
        }
    }
}

/// Whether one span is the beginning of the call whose end another one tells.
fn is_begun(group: &Group, began: NodeId, end: NodeId) -> bool {
    let (one, other) = (&group.nodes[began], &group.nodes[end]);
    let (input, output) = halves(&one.row);
    let model = |row: &Event| row.model.as_ref().and_then(|model| model.request.clone());
    one.relation == Relation::Own
        && one.is_row()
        && other.is_row()
        && one.is_span()
        && one.trace == other.trace
        && one.parent_span == other.parent_span
        && one.start_ns <= other.start_ns
        && one.row.event_type == other.row.event_type
        && output.is_empty()
        && input == halves(&other.row).0
        && model(&one.row) == model(&other.row)
}

fn settle_outer(group: &mut Group, mut outer: Vec<NodeId>) {
    let mut above_calls: HashSet<NodeId> = HashSet::default();
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
