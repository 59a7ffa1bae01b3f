//! Sets of spans that tell one call, and the one row that is made of each.

use crate::event::Message;
use crate::fold::assemble::group::Group;
use crate::fold::assemble::group::Node;
use crate::fold::assemble::group::NodeId;
use crate::fold::assemble::merge::halves;
use crate::fold::assemble::merge::merge_spans;
use ahash::HashMap;
use std::collections::BTreeMap;

/// Sets of nodes that tell one call.
#[derive(Default)]
pub(super) struct Sets(HashMap<NodeId, NodeId>);

impl Sets {
    pub(super) fn root(&self, mut id: NodeId) -> NodeId {
        while let Some(up) = self.0.get(&id).filter(|up| **up != id) {
            id = *up;
        }
        id
    }

    pub(super) fn unite(&mut self, a: Option<NodeId>, b: Option<NodeId>) {
        let (Some(a), Some(b)) = (a, b) else { return };
        let (a, b) = (self.root(a), self.root(b));
        self.0.insert(a.max(b), a.min(b));
        self.0.entry(a.min(b)).or_insert(a.min(b));
    }

    fn members(&self) -> BTreeMap<NodeId, Vec<NodeId>> {
        let mut members: BTreeMap<NodeId, Vec<NodeId>> = BTreeMap::new();
        for id in self.0.keys() {
            members.entry(self.root(*id)).or_default().push(*id);
        }
        members
    }
}

/// How much a telling says: content first, then numbers; ties go to the longer, then the earlier one.
fn richness(node: &Node) -> impl Ord + use<> {
    let (input, output) = halves(&node.row);
    let size = |messages: &[Message]| {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let calls = |message: &Message| message.tool_calls.iter().map(|call| 1 + text(&call.arguments)).sum::<usize>();
        messages.iter().map(|one| text(&one.content) + text(&one.reasoning) + calls(one)).sum::<usize>()
    };
    let tokens = node.row.tokens.as_ref();
    let has_tokens = tokens.is_some_and(|tokens| tokens.prompt_tokens.or(tokens.completion_tokens).is_some());
    (
        (!output.is_empty(), !input.is_empty(), input.len(), size(output) + size(input)),
        (node.row.tools.is_some(), has_tokens, node.length(), std::cmp::Reverse(node.start_ns)),
        node.content,
    )
}

/// Makes one node of each set: the richest telling's.
pub(super) fn merge(group: &mut Group, sets: &Sets) {
    for mut members in sets.members().into_values() {
        // From outer to inner.
        members.sort_by_cached_key(|id| {
            let node = &group.nodes[*id];
            (std::cmp::Reverse(node.length()), node.start_ns, node.content)
        });
        let Some(richest) = members.iter().copied().max_by_key(|id| richness(&group.nodes[*id])) else { continue };
        let (Some(outer), inner) = (members.first().copied(), members.iter().rev()) else { continue };
        let ttft = inner.copied().find_map(|id| {
            let timing = group.nodes[id].row.timing.as_ref()?;
            timing.time_to_first_token_ms.map(|ms| (ms, timing.ttft_source.clone()))
        });
        let (start, end) = (group.nodes[outer].start_ns, group.nodes[outer].end_ns);
        for id in members.into_iter().filter(|id| *id != richest) {
            merge_spans(group, richest, id);
        }
        let node = &mut group.nodes[richest];
        (node.start_ns, node.end_ns) = (start, end);
        if let Some((ms, source)) = ttft {
            let timing = node.row.timing.get_or_insert_default();
            (timing.time_to_first_token_ms, timing.ttft_source) = (Some(ms), source);
        }
    }
}
