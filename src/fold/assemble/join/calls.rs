//! The spans of calls, to find the one that a record tells.

use super::response_id;
use crate::fold::assemble::group::Group;
use crate::fold::assemble::group::NodeId;
use crate::fold::assemble::group::Piece;
use crate::fold::assemble::group::TraceNo;
use ahash::HashMap;

/// The spans of calls, by trace and response.
#[derive(Default)]
pub(super) struct Calls(Option<HashMap<(TraceNo, String), Vec<NodeId>>>);

impl Calls {
    /// The call below a span that a record tells: that of its response, and of several the latest that began before
    /// the record was written.
    pub(super) fn below(&mut self, group: &Group, span: NodeId, piece: &Piece, kind: &str) -> Option<NodeId> {
        let said = piece.partial.row.as_deref();
        let calls = self.0.get_or_insert_with(|| {
            let mut calls: HashMap<(TraceNo, String), Vec<NodeId>> = HashMap::default();
            for id in group.nodes.ids() {
                let node = &group.nodes[id];
                if let (true, Some(trace), Some(response)) = (node.is_span(), node.trace, response_id(Some(&node.row)))
                {
                    calls.entry((trace, response.to_owned())).or_default().push(id);
                }
            }
            calls
        });
        let response = response_id(said)?;
        let calls = calls.get(&(piece.trace, response.to_owned()))?;
        let mut below = calls.iter().copied().filter(|call| {
            group.nodes[*call].row.event_type == kind && group.ancestors(*call).any(|above| above == span)
        });
        let time = piece.partial.start_ns.max(piece.partial.observed_ns);
        let began_before = |call: &NodeId| time == 0 || group.nodes[*call].start_ns <= time;
        let first = below.next()?;
        Some(below.rfind(began_before).unwrap_or(first))
    }
}
