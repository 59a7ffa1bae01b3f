//! Makes one run of a tool of two spans that tell a half of it each: a library's, which knows the call that asked for
//! it, and an instrumentation's, which knows what came of it.
//!
//! They are one within the other or under one parent, come from different libraries, are of one tool, do not disagree
//! about its arguments, and overlap by nine tenths of the shorter one. Of several that fit none is taken. The span
//! that has the result gives the ids.

use super::calls::Kinship;
use super::calls::kinship;
use super::calls::overlap;
use super::group::Group;
use super::group::Node;
use super::group::NodeId;
use super::group::TraceNo;
use super::merge::merge_spans;
use super::tools::same_arguments;
use crate::event::ToolExecution;
use crate::event::event_type;
use ahash::HashMap;

/// How many spans of one tool, the latest that began before its end, are weighed against another.
const WEIGHED: usize = 64;

/// Spans of one tool, by start: with a call's id and no result, and the other way round.
#[derive(Default)]
struct Halves {
    asked: Vec<NodeId>,
    ran: Vec<NodeId>,
}

/// Merges the halves.
pub(super) fn merge_halves(group: &mut Group) {
    let mut of_tool: HashMap<(TraceNo, String), Halves> = HashMap::default();
    for id in group.nodes.ids() {
        let node = &group.nodes[id];
        let (Some(trace), Some(run), true) = (node.trace, run(node), node.is_span() && node.is_row()) else { continue };
        let half: fn(&mut Halves) -> &mut Vec<NodeId> = match (run.call_id.is_some(), run.result.is_some()) {
            (true, false) => |halves| &mut halves.asked,
            (false, true) => |halves| &mut halves.ran,
            _ => continue,
        };
        half(of_tool.entry((trace, run.name.clone())).or_default()).push(id);
    }
    let mut pairs: Vec<(NodeId, NodeId)> = Vec::new();
    for Halves { asked, ran } in of_tool.into_values() {
        for with_result in ran {
            let node = &group.nodes[with_result];
            let begun = asked.partition_point(|id| group.nodes[*id].start_ns <= node.end_ns);
            let near = asked.iter().take(begun).rev().take(WEIGHED).copied();
            let mut fits = near.filter(|id| is_half_of(group, *id, with_result));
            if let (Some(with_id), None) = (fits.next(), fits.next()) {
                pairs.push((with_result, with_id));
            }
        }
    }
    let mut uses: HashMap<NodeId, u32> = HashMap::default();
    pairs.iter().for_each(|(_, with_id)| *uses.entry(*with_id).or_default() += 1);
    pairs.sort_unstable();
    for (with_result, with_id) in pairs {
        if uses.get(&with_id) == Some(&1) {
            merge_spans(group, with_result, with_id);
        }
    }
}

fn run(node: &Node) -> Option<&ToolExecution> {
    let is_run = node.row.event_type == event_type::TOOL_EXECUTION;
    node.row.tool_executions.first().filter(|run| is_run && !run.name.is_empty())
}

fn is_half_of(group: &Group, one: NodeId, other: NodeId) -> bool {
    let (a, b) = (&group.nodes[one], &group.nodes[other]);
    let arguments = |node| run(node).and_then(|run| run.arguments.as_deref());
    overlap((a.start_ns, a.end_ns), (b.start_ns, b.end_ns)).0
        && kinship(group, one, other) != Kinship::Others
        && same_arguments(arguments(a), arguments(b)) != Some(false)
        && a.envelope.teller() != b.envelope.teller()
}
