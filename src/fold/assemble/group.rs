//! The nodes of a group: one for each span and each record of its own, sorted by what they say, with their tree.
//!
//! Nodes of one trace stand together. Within a trace spans come first, by start and content; then single records. A
//! node is never removed: one that another node's row tells is marked so and still hands its context down.

mod arena;
mod order;

pub(super) use arena::Arena;
pub(super) use arena::NodeId;

use super::Origin;
use super::Told;
use crate::event::Entry;
use crate::event::Event;
use crate::event::Kind;
use crate::event::Link;
use crate::event::Part;
use crate::event::Partial;
use crate::event::Relation;
use crate::event::carry::Context;
use crate::event::carry::Facts;
use crate::event::event_type;
use crate::event::record::Record;
use crate::fold::Dead;
use crate::fold::account::Fate;
use ahash::HashMap;
use ahash::HashSet;
use order::Sortable;
use prost::Message as _;
use std::ops::Range;
use std::sync::Arc;

/// Why records are left out.
const UNKNOWN: &str = "unknown";

/// A span's id, its eight bytes read as a big-endian number. Never zero.
pub(super) type SpanId = u64;

/// The place of a trace in its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct TraceNo(u32);

/// What is to become of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// A row.
    Row,
    /// Nothing, unless it turns out to be an ancestor of a row's span.
    Unknown,
    /// Told by the row of another node.
    Merged(NodeId),
}

/// One span, or one record of its own.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) envelope: Arc<Origin>,
    pub(super) kind: Kind,
    pub(super) relation: Relation,
    /// The row in the making.
    pub(super) row: Box<Event>,
    /// Nanoseconds since 1970, 0 where not stated.
    pub(super) start_ns: u64,
    pub(super) end_ns: u64,
    pub(super) details: Vec<Entry>,
    pub(super) attributes: Vec<Entry>,
    pub(super) links: Vec<Link>,
    /// What the other record says too, where its library tells an operation by a span and by a log record.
    pub(super) shared: Option<String>,
    pub(super) content: u128,
    /// Which one it is among equal records of its envelope.
    pub(super) ordinal: u32,
    /// The place of the record in the input, and those of the records that it tells too.
    pub(super) record: usize,
    pub(super) merged: Vec<usize>,
    pub(super) trace: Option<TraceNo>,
    pub(super) span: Option<SpanId>,
    pub(super) parent_span: Option<SpanId>,
    /// The span above it; of a single record, the span that it stands on.
    pub(super) parent: Option<NodeId>,
    pub(super) state: State,
    /// The latest arrival of what the node tells.
    pub(super) received_at: i64,
    /// Where in the group's contexts its effective one stands.
    pub(super) context: u32,
    /// Whether the row is that of a late record, about a call or span that has landed already.
    pub(super) is_late: bool,
}

impl Node {
    /// A node of a record, without its place in the tree.
    pub(super) fn new(
        envelope: Arc<Origin>,
        partial: Partial,
        content: u128,
        ordinal: u32,
        record: usize,
        trace: Option<TraceNo>,
    ) -> Self {
        let kind = partial.kind();
        let relation = partial.relation();
        let mut row = partial.row.unwrap_or_default();
        if row.event_type.is_empty() && partial.part.is_some() {
            // It has no span to stand on.
            event_type::CHAT_MESSAGE.clone_into(&mut row.event_type);
        }
        let is_known = !row.event_type.is_empty();
        Self {
            received_at: envelope.received_at,
            envelope,
            kind,
            relation,
            row,
            start_ns: if partial.start_ns == 0 { partial.observed_ns } else { partial.start_ns },
            end_ns: partial.end_ns,
            details: partial.details,
            attributes: partial.attributes,
            links: partial.links,
            shared: partial.waits_for,
            content,
            ordinal,
            record,
            merged: Vec::new(),
            trace,
            span: None,
            parent_span: None,
            parent: None,
            state: if is_known || partial.keep_unknown { State::Row } else { State::Unknown },
            context: 0,
            is_late: false,
        }
    }

    pub(super) fn is_span(&self) -> bool {
        self.kind == Kind::Span
    }

    pub(super) fn is_row(&self) -> bool {
        self.state == State::Row
    }

    /// Nanoseconds from start to end; none where one is not stated or the end is before the start.
    pub(super) fn length(&self) -> Option<u64> {
        if self.start_ns == 0 { None } else { self.end_ns.checked_sub(self.start_ns) }
    }
}

/// A log record that tells a part of the call of a span.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) trace: TraceNo,
    pub(super) span: SpanId,
    pub(super) record: usize,
    pub(super) envelope: Arc<Origin>,
    pub(super) partial: Partial,
    pub(super) part: Part,
    pub(super) content: u128,
    pub(super) ordinal: u32,
}

/// One trace of the group.
#[derive(Debug, Default)]
pub(super) struct Trace {
    pub(super) tenant: String,
    pub(super) prefix: String,
    /// Why it was closed early.
    pub(super) closed: Option<&'static str>,
    /// Its spans and single records.
    nodes: Range<u32>,
    /// The nodes that joining made.
    more: Vec<NodeId>,
    /// What earlier assemblies left of it.
    pub(super) earlier: Vec<Facts>,
}

/// What a trace is known by: tenant, prefix, id.
type TraceKey<'a> = (&'a str, &'a str, [u8; 16]);

/// What is assembled together.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) nodes: Arena,
    /// Those that were asked for, in their order; then others that records name.
    traces: Vec<Trace>,
    /// How many were asked for.
    pub(super) asked: usize,
    /// The first span of each id.
    pub(super) spans: HashMap<(TraceNo, SpanId), NodeId>,
    /// Log records that wait to be joined: by trace, in the order in which they were said.
    pub(super) pieces: Vec<Piece>,
    /// The first one states nothing.
    pub(super) contexts: Vec<Context>,
    pub(super) fates: Vec<Fate>,
    pub(super) dead: Vec<(String, Dead)>,
}

impl Group {
    /// Drops resends, sorts what is left and links it.
    pub(super) fn new(told: Vec<Told>, traces: &[super::Trace<'_>]) -> Self {
        let mut group = Self {
            nodes: Arena(Vec::with_capacity(told.len())),
            traces: traces.iter().map(Trace::new).collect(),
            asked: traces.len(),
            spans: HashMap::default(),
            pieces: Vec::new(),
            contexts: vec![Context::default()],
            fates: vec![Fate::LeftOut(UNKNOWN); told.len()],
            dead: Vec::new(),
        };
        let mut order = group.without_resends(&told);
        order.sort_unstable_by(|a, b| a.compare(b));
        let mut numbers: HashMap<TraceKey<'_>, TraceNo> =
            traces.iter().map(|trace| (trace.tenant, trace.prefix, trace.id)).zip((0..).map(TraceNo)).collect();
        let order: Vec<(usize, u32, Option<TraceNo>)> =
            order.iter().map(|one| (one.place, one.ordinal, group.trace_number(&mut numbers, one))).collect();
        let mut told: Vec<Option<Told>> = told.into_iter().map(Some).collect();
        for (place, ordinal, trace) in order {
            if let Some(told) = told.get_mut(place).and_then(Option::take) {
                group.take(place, ordinal, trace, told);
            }
        }
        group.link();
        group
    }

    /// The records that are not resends of others, each with what it is sorted by.
    fn without_resends<'t>(&mut self, told: &'t [Told]) -> Vec<Sortable<'t>> {
        let mut within: HashMap<(*const Origin, u128), u32> =
            HashMap::with_capacity_and_hasher(told.len(), ahash::RandomState::new());
        let mut seen: HashSet<(&str, &str, &str, u128, u32)> =
            HashSet::with_capacity_and_hasher(told.len(), ahash::RandomState::new());
        let mut kept = Vec::with_capacity(told.len());
        for ((place, one), fate) in told.iter().enumerate().zip(&mut self.fates) {
            let head = &one.record.head;
            if head.kind == Kind::Dead {
                *fate = Fate::Quarantined;
                self.dead.push(dead(one));
                continue;
            }
            let count = within.entry((Arc::as_ptr(&one.envelope), head.content)).or_default();
            let (ordinal, prefix) = (*count, one.envelope.prefix.as_deref().unwrap_or_default());
            *count += 1;
            if seen.insert((&one.envelope.tenant, prefix, &one.envelope.door, head.content, ordinal)) {
                kept.push(Sortable::new(place, ordinal, one));
            } else {
                *fate = Fate::Deduplicated;
            }
        }
        kept
    }

    fn take(&mut self, record: usize, ordinal: u32, trace: Option<TraceNo>, told: Told) {
        let Told { envelope, record: Record { head, partial } } = told;
        let span = head.span.map(SpanId::from_be_bytes);
        if let (Kind::Log, Some(part), Some(trace), Some(span)) = (head.kind, partial.part, trace, span) {
            let content = head.content;
            self.pieces.push(Piece { trace, span, record, envelope, partial, part, content, ordinal });
            return;
        }
        let mut node = Node::new(envelope, partial, head.content, ordinal, record, trace);
        node.span = span;
        node.parent_span = head.parent.map(SpanId::from_be_bytes);
        let is_span = node.is_span();
        let id = self.nodes.push(node);
        if let Some(trace) = trace {
            if let Some(trace) = self.traces.get_mut(trace.0 as usize) {
                // Records come sorted by trace: its nodes stand together.
                let start = if trace.nodes.is_empty() { id.0 } else { trace.nodes.start };
                trace.nodes = start..id.0 + 1;
            }
            if let (true, Some(span)) = (is_span, span) {
                self.spans.entry((trace, span)).or_insert(id);
            }
        }
    }

    fn trace_number<'t>(
        &mut self,
        numbers: &mut HashMap<TraceKey<'t>, TraceNo>,
        record: &Sortable<'t>,
    ) -> Option<TraceNo> {
        let next = TraceNo(u32::try_from(self.traces.len()).unwrap_or(u32::MAX));
        let number = *numbers.entry((record.tenant, record.prefix, record.head.trace?)).or_insert(next);
        if number == next {
            let (tenant, prefix) = (record.tenant.to_owned(), record.prefix.to_owned());
            self.traces.push(Trace { tenant, prefix, ..Trace::default() });
        }
        Some(number)
    }

    /// Adds a node to a trace that is complete otherwise.
    pub(super) fn add(&mut self, node: Node) -> NodeId {
        let trace = node.trace;
        let id = self.nodes.push(node);
        if let Some(trace) = trace.and_then(|trace| self.traces.get_mut(trace.0 as usize)) {
            trace.more.push(id);
        }
        id
    }

    /// Gives each node that has none its parent.
    pub(super) fn link_parents(&mut self) {
        for id in self.nodes.ids() {
            let node = &self.nodes[id];
            let (Some(trace), None) = (node.trace, node.parent) else { continue };
            let above = if node.is_span() { node.parent_span } else { node.span };
            let parent = above.and_then(|span| self.spans.get(&(trace, span))).copied();
            self.nodes[id].parent = parent.filter(|parent| *parent != id);
        }
    }

    /// Gives each node its parent. A circle of parents is cut above its first node.
    fn link(&mut self) {
        self.link_parents();
        // In which walk upwards a node was met first.
        let mut walks = vec![0_u32; self.nodes.len() as usize];
        for (id, walk) in self.nodes.ids().zip(1..) {
            let mut next = Some(id);
            while let Some(at) = next {
                match walks.get_mut(at.0 as usize) {
                    Some(met @ 0) => *met = walk,
                    Some(met) if *met == walk => {
                        self.cut_circle(at);
                        break;
                    }
                    _ => break,
                }
                next = self.nodes[at].parent;
            }
        }
    }

    fn cut_circle(&mut self, start: NodeId) {
        let round = std::iter::successors(Some(start), |id| self.nodes[*id].parent.filter(|next| *next != start));
        let first = round.min().unwrap_or(start);
        self.nodes[first].parent = None;
        self.nodes[first].row.notes.push("its ancestors name it as an ancestor of their own".to_owned());
    }

    pub(super) fn trace(&self, number: TraceNo) -> Option<&Trace> {
        self.traces.get(number.0 as usize)
    }

    pub(super) fn trace_numbers(&self) -> impl Iterator<Item = TraceNo> + use<> {
        (0..u32::try_from(self.traces.len()).unwrap_or(u32::MAX)).map(TraceNo)
    }

    /// The nodes of a trace: those that were told, then those that joining made.
    pub(super) fn nodes_of(&self, trace: TraceNo) -> impl Iterator<Item = NodeId> + '_ {
        let trace = self.traces.get(trace.0 as usize);
        let (range, more) = trace.map_or((0..0, &[][..]), |trace| (trace.nodes.clone(), &trace.more));
        range.map(NodeId).chain(more.iter().copied())
    }

    /// The spans above a node, nearest first.
    pub(super) fn ancestors(&self, id: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        std::iter::successors(self.nodes[id].parent, |id| self.nodes[*id].parent)
    }

    /// The node whose row tells this one.
    pub(super) fn teller(&self, mut id: NodeId) -> NodeId {
        while let State::Merged(into) = self.nodes[id].state {
            id = into;
        }
        id
    }
}

impl Trace {
    fn new(trace: &super::Trace<'_>) -> Self {
        // Facts that do not decode are lost, not the records that would be read with them.
        let earlier = trace.earlier.iter().filter_map(|facts| Facts::decode(facts.as_slice()).ok()).collect();
        let (tenant, prefix) = (trace.tenant.to_owned(), trace.prefix.to_owned());
        Self { tenant, prefix, closed: trace.closed, earlier, ..Self::default() }
    }
}

fn dead(told: &Told) -> (String, Dead) {
    let said = told.record.partial.dead.clone().unwrap_or_default();
    let envelope = &told.envelope;
    (envelope.prefix.clone().unwrap_or_default(), Dead::of(envelope, said.reason, said.text))
}
