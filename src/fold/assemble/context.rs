//! Lets what is stated above reach what is below: conversation, user, agent, run, graph, environment and tags.
//!
//! | what | where it comes from, first wins |
//! |---|---|
//! | conversation | the record, the nearest ancestor, the only one that the trace states, the only one that traces which tell a call of it state, the trace id |
//! | user | the record, the nearest ancestor, the only one that the trace states, then that of such traces |
//! | node path | the names of the nodes around it, joined by `/` |
//! | everything else | the record, the nearest ancestor |
//!
//! Spans that no dialect knows hand their context down too; those above a row's span become steps.

mod whole;

pub(super) use whole::stated_source;

use super::group::Group;
use super::group::Node;
use super::group::NodeId;
use super::group::State;
use super::tombstone;
use crate::event::Agent;
use crate::event::Graph;
use crate::event::User;
use crate::event::carry::Context;
use crate::event::event_type;
use whole::Whole;
use whole::fill_user;
use whole::is_same_user;
use whole::stated_by_traces;

/// Ways by which a conversation's id reached a row, before the attribute that stated it.
const ANCESTOR: &str = "ancestor:";
const TRACE: &str = "trace:";
const LINKED: &str = "linked:";

/// Fills the context of all rows.
pub(super) fn flow_down(group: &mut Group) {
    keep_ancestors(group);
    let whole = stated_by_traces(group);
    let mut order = Vec::new();
    for trace in group.trace_numbers() {
        order.clear();
        order.extend(group.nodes_of(trace));
        parents_first(group, &mut order);
        for id in &order {
            inherit(group, *id, whole.get(&trace));
        }
    }
    for id in group.nodes.ids() {
        if let State::Merged(into) = group.nodes[id].state {
            // What the other telling of a call stands in is this one's context too, where it has none.
            let below = group.teller(into);
            let lent = overlay_missing(group, below, id);
            group.nodes[below].context = lent;
        }
    }
    for id in group.nodes.ids() {
        if group.nodes[id].is_row() {
            fill_row(group, id);
        }
    }
}

/// Makes steps of the unknown spans above rows.
fn keep_ancestors(group: &mut Group) {
    for id in group.nodes.ids() {
        let node = &group.nodes[id];
        if node.state == State::Unknown {
            let awaited = node.trace.and_then(|trace| group.trace(trace)).is_some_and(|trace| {
                node.is_span() && node.span.is_some_and(|span| tombstone::awaits(&trace.earlier, span))
            });
            if awaited {
                group.nodes[id].state = State::Row;
                keep_above(group, id);
            }
        } else if !node.row.event_type.is_empty() || !node.is_span() {
            keep_above(group, id);
        }
    }
    for id in group.nodes.ids() {
        let node = &mut group.nodes[id];
        if node.is_row() && node.row.event_type.is_empty() {
            let kind = if node.is_span() { event_type::GRAPH_STEP } else { event_type::LOG_LINE };
            node.row.event_type = kind.to_owned();
        }
    }
}

fn keep_above(group: &mut Group, id: NodeId) {
    let mut next = group.nodes[id].parent;
    while let Some(above) = next {
        let node = &mut group.nodes[above];
        if node.state == State::Unknown {
            node.state = State::Row;
        } else if node.row.event_type.is_empty() {
            // Kept already, and with it all above.
            return;
        }
        next = node.parent;
    }
}

/// Sorts the nodes of a trace so that each comes after its parent.
fn parents_first(group: &Group, order: &mut [NodeId]) {
    let is_sorted = order.iter().all(|id| group.nodes[*id].parent.is_none_or(|parent| parent < *id));
    if !is_sorted {
        order.sort_by_cached_key(|id| (group.ancestors(*id).count(), *id));
    }
}

/// Sets the context of a node: what it states over what it inherits.
fn inherit(group: &mut Group, id: NodeId, whole: Option<&Whole>) {
    let node = &group.nodes[id];
    let above = match node.parent {
        Some(parent) => group.nodes[parent].context,
        None => root_context(group, id, whole),
    };
    let node = &group.nodes[id];
    let inherited = group.contexts.get(above as usize);
    let context = if states_nothing(node) { None } else { inherited.map(|inherited| overlay(node, inherited)) };
    let context = match context.filter(|context| Some(context) != inherited) {
        Some(context) => add_context(group, context),
        None => above,
    };
    group.nodes[id].context = context;
}

fn add_context(group: &mut Group, context: Context) -> u32 {
    // Brothers often state the same.
    if group.contexts.last() != Some(&context) {
        group.contexts.push(context);
    }
    u32::try_from(group.contexts.len() - 1).unwrap_or(0)
}

/// What a node without a parent here inherits: the context of a landed parent, else what the trace states.
fn root_context(group: &mut Group, id: NodeId, whole: Option<&Whole>) -> u32 {
    let node = &group.nodes[id];
    let above = if node.is_span() { node.parent_span } else { node.span };
    let earlier = node.trace.and_then(|trace| group.trace(trace)).map(|trace| &trace.earlier);
    let landed = earlier.filter(|earlier| !earlier.is_empty()).and_then(|earlier| tombstone::context(earlier, above));
    let mut context = landed.cloned().unwrap_or_default();
    if let Some((conversation, source)) =
        whole.and_then(Whole::conversation).filter(|_| context.conversation_id.is_empty())
    {
        context.conversation_id = conversation;
        context.conversation_id_source = source;
    }
    if context.user.is_none() {
        context.user = whole.and_then(Whole::user).cloned();
    }
    if context == Context::default() { 0 } else { add_context(group, context) }
}

fn states_nothing(node: &Node) -> bool {
    let row = &node.row;
    row.conversation_id.is_empty()
        && row.run_id.is_none()
        && row.user.is_none()
        && row.agent.is_none()
        && row.graph.is_none()
        && row.env.is_none()
        && row.tags.is_empty()
}

/// A node's own statements over inherited ones.
fn overlay(node: &Node, inherited: &Context) -> Context {
    let row = &node.row;
    let mut context = inherited.clone();
    if !row.conversation_id.is_empty() {
        context.conversation_id.clone_from(&row.conversation_id);
        context.conversation_id_source.clone_from(&row.conversation_id_source);
    }
    if row.run_id.is_some() {
        context.run_id.clone_from(&row.run_id);
    }
    if let Some(user) = &row.user {
        context.user = Some(with_inherited_user(user, inherited.user.as_ref()));
    }
    if let Some(agent) = &row.agent {
        context.agent = Some(with_inherited_agent(agent, inherited.agent.as_ref()));
    }
    if let Some(graph) = &row.graph {
        context.graph = Some(with_inherited_graph(graph, inherited.graph.as_ref()));
    }
    if row.env.is_some() {
        context.env.clone_from(&row.env);
    }
    context.tags.extend(row.tags.iter().map(|(key, value)| (key.clone(), value.clone())));
    context
}

fn with_inherited_user(user: &User, inherited: Option<&User>) -> User {
    let mut user = user.clone();
    if let Some(inherited) = inherited.filter(|inherited| is_same_user(&user, inherited)) {
        fill_user(&mut user, inherited);
    }
    user
}

/// An agent is inherited whole; one that is named again keeps what was said of it above.
fn with_inherited_agent(agent: &Agent, inherited: Option<&Agent>) -> Agent {
    let mut agent = agent.clone();
    let is_same = |inherited: &&Agent| {
        let agree = |a: &Option<String>, b: &Option<String>| a.is_none() || b.is_none() || a == b;
        agree(&agent.name, &inherited.name) && agree(&agent.id, &inherited.id)
    };
    if let Some(inherited) = inherited.filter(is_same) {
        agent.id = agent.id.or_else(|| inherited.id.clone());
        agent.name = agent.name.or_else(|| inherited.name.clone());
        agent.description = agent.description.or_else(|| inherited.description.clone());
    }
    agent
}

fn with_inherited_graph(graph: &Graph, inherited: Option<&Graph>) -> Graph {
    let mut graph = graph.clone();
    let Some(inherited) = inherited else { return graph };
    graph.node_path = match (&graph.node_path, &inherited.node_path) {
        (Some(own), Some(above)) => Some(nested(above, own)),
        (own, above) => own.as_ref().or(above.as_ref()).cloned(),
    };
    graph.graph_id = graph.graph_id.or_else(|| inherited.graph_id.clone());
    graph.step_index = graph.step_index.or(inherited.step_index);
    graph.thread_id = graph.thread_id.or_else(|| inherited.thread_id.clone());
    if graph.triggers.is_empty() {
        graph.triggers.clone_from(&inherited.triggers);
    }
    graph
}

/// The path of a node within a node. Spans inside a node repeat its name, or its whole path.
fn nested(above: &str, own: &str) -> String {
    let is_inside = |path: &str, start: &str| path.strip_prefix(start).is_some_and(|rest| rest.starts_with('/'));
    let ends_alike = above == own || above.strip_suffix(own).is_some_and(|rest| rest.ends_with('/'));
    if ends_alike {
        return above.to_owned();
    }
    if is_inside(own, above) { own.to_owned() } else { format!("{above}/{own}") }
}

/// The context of a node with what it lacks taken from another one's; the place of the result.
fn overlay_missing(group: &mut Group, id: NodeId, other: NodeId) -> u32 {
    let place = group.nodes[id].context;
    let both = (group.contexts.get(place as usize), group.contexts.get(group.nodes[other].context as usize));
    let (Some(own), Some(lent)) = both else { return place };
    let mut context = own.clone();
    if context.conversation_id.is_empty() {
        context.conversation_id.clone_from(&lent.conversation_id);
        context.conversation_id_source.clone_from(&lent.conversation_id_source);
    }
    context.run_id = context.run_id.or_else(|| lent.run_id.clone());
    context.user = context.user.or_else(|| lent.user.clone());
    context.agent = context.agent.or_else(|| lent.agent.clone());
    context.graph = match (context.graph, &lent.graph) {
        (Some(graph), lent) => {
            let own_path = graph.node_path.clone();
            let mut graph = with_inherited_graph(&graph, lent.as_ref());
            graph.node_path = own_path.or(graph.node_path);
            Some(graph)
        }
        (None, lent) => lent.clone(),
    };
    context.env = context.env.or_else(|| lent.env.clone());
    for (key, value) in &lent.tags {
        context.tags.entry(key.clone()).or_insert_with(|| value.clone());
    }
    if Some(&context) == group.contexts.get(place as usize) { place } else { add_context(group, context) }
}

fn fill_row(group: &mut Group, id: NodeId) {
    let node = &mut group.nodes[id];
    let Some(context) = group.contexts.get(node.context as usize).filter(|_| node.trace.is_some()) else { return };
    let row = &mut node.row;
    if row.conversation_id.is_empty() {
        if context.conversation_id.is_empty() {
            row.conversation_id = row.trace_id.clone().unwrap_or_default();
            row.conversation_id_source = "trace_id".to_owned();
        } else {
            row.conversation_id.clone_from(&context.conversation_id);
            let source = &context.conversation_id_source;
            let is_marked = source.starts_with(TRACE) || source.starts_with(LINKED);
            row.conversation_id_source = if is_marked { source.clone() } else { format!("{ANCESTOR}{source}") };
        }
    }
    row.run_id = row.run_id.take().or_else(|| context.run_id.clone()).or_else(|| row.trace_id.clone());
    give(&mut row.user, &context.user);
    give(&mut row.agent, &context.agent);
    give(&mut row.graph, &context.graph);
    give(&mut row.env, &context.env);
    if row.tags != context.tags {
        row.tags.clone_from(&context.tags);
    }
}

fn give<T: Clone + PartialEq>(slot: &mut T, value: &T) {
    if slot != value {
        slot.clone_from(value);
    }
}
