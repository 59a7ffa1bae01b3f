//! The nodes of a group by their ids.

use super::Node;
use std::ops::Index;
use std::ops::IndexMut;

/// The place of a node in its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::fold::assemble) struct NodeId(pub(super) u32);

/// The nodes of a group. Ids are made here only, so that looking one up cannot fail.
#[derive(Debug, Default)]
pub(in crate::fold::assemble) struct Arena(pub(super) Vec<Node>);

impl Arena {
    pub(super) fn len(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn push(&mut self, node: Node) -> NodeId {
        let id = NodeId(self.len());
        self.0.push(node);
        id
    }

    pub(in crate::fold::assemble) fn ids(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..self.len()).map(NodeId)
    }

    pub(in crate::fold::assemble) fn into_nodes(self) -> Vec<Node> {
        self.0
    }
}

impl Index<NodeId> for Arena {
    type Output = Node;

    #[expect(clippy::indexing_slicing, reason = "an id is the place of a node that is never removed")]
    fn index(&self, id: NodeId) -> &Node {
        &self.0[id.0 as usize]
    }
}

impl IndexMut<NodeId> for Arena {
    #[expect(clippy::indexing_slicing, reason = "an id is the place of a node that is never removed")]
    fn index_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.0[id.0 as usize]
    }
}
