//! Keys with dots as a tree: `a.0.b` is a field of the first item of the list `a`.

use crate::dialect::json::Node;
use crate::dialect::json::any_node;
use opentelemetry_proto::tonic::common::v1::AnyValue;
use std::borrow::Cow;
use std::cell::Cell;

/// How many indexed places one record may still open: keys can name any number.
pub(in crate::dialect) struct Budget(Cell<usize>);

impl Budget {
    /// Indices of one record, all lists together.
    const INDICES: usize = 10_000;

    pub(in crate::dialect) fn new() -> Self {
        Self(Cell::new(Self::INDICES))
    }

    fn take(&self) -> bool {
        let left = self.0.get();
        self.0.set(left.saturating_sub(1));
        left > 0
    }
}

pub(super) enum Put {
    Done,
    OverBudget,
    /// A value stands where others stand below, or the path is empty.
    Clash,
}

/// A place in a tree of keys.
#[derive(Default)]
pub(super) struct Branch<'a> {
    leaf: Option<&'a AnyValue>,
    below: Vec<(&'a str, Branch<'a>)>,
    /// Keys may come in any order; a big branch is searched by this.
    seen: Option<std::collections::HashMap<&'a str, usize>>,
}

impl<'a> Branch<'a> {
    /// A branch with more children than this is searched by a map.
    const SCANNED: usize = 16;

    /// Segments of a path: deeper ones are a name of their own.
    const DEPTH: usize = 24;

    pub(super) fn put(&mut self, path: &'a str, value: &'a AnyValue, budget: &Budget) -> Put {
        let mut branch = self;
        if path.is_empty() {
            return Put::Clash;
        }
        for segment in path.splitn(Self::DEPTH, '.') {
            let place = match branch.find(segment) {
                Some(place) => place,
                None => {
                    if is_index(segment) && !budget.take() {
                        return Put::OverBudget;
                    }
                    branch.add(segment)
                }
            };
            match branch.below.get_mut(place) {
                Some((_, next)) => branch = next,
                None => return Put::Clash,
            }
        }
        if branch.leaf.is_some() || !branch.below.is_empty() {
            return Put::Clash;
        }
        branch.leaf = Some(value);
        Put::Done
    }

    fn find(&self, segment: &str) -> Option<usize> {
        if let Some(seen) = &self.seen {
            return seen.get(segment).copied();
        }
        // The newest is the likeliest: keys mostly come in order.
        self.below.iter().rposition(|(name, _)| *name == segment)
    }

    pub(super) fn add(&mut self, segment: &'a str) -> usize {
        let place = self.below.len();
        self.below.push((segment, Branch::default()));
        match &mut self.seen {
            Some(seen) => {
                seen.insert(segment, place);
            }
            None if self.below.len() > Self::SCANNED => {
                self.seen = Some(self.below.iter().enumerate().map(|(place, (name, _))| (*name, place)).collect());
            }
            None => {}
        }
        place
    }

    pub(super) fn node(self) -> Node<'a> {
        if self.below.is_empty() {
            return self.leaf.map_or(Node::Null, any_node);
        }
        if !self.below.iter().all(|(name, _)| is_index(name)) {
            let entries = self.below.into_iter().map(|(name, branch)| (Cow::Borrowed(name), branch.node()));
            return Node::object(entries.collect());
        }
        let mut numbered: Vec<(u64, Branch<'a>)> =
            self.below.into_iter().map(|(name, branch)| (name.parse().unwrap_or(u64::MAX), branch)).collect();
        numbered.sort_by_key(|(number, _)| *number);
        Node::array(numbered.into_iter().map(|(_, branch)| branch.node()).collect())
    }
}

pub(super) fn is_index(segment: &str) -> bool {
    !segment.is_empty() && segment.len() <= 19 && segment.bytes().all(|byte| byte.is_ascii_digit())
}
