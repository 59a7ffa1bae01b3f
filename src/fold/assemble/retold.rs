//! Gives log records that tell a whole call or a tool's run to the span that tells the same: coding assistants tell
//! both, and a record may stand on any span that was active, or on none.
//!
//! A record's time is the end of what it tells: of the spans that may be it, the one that ends nearest is. What both
//! say decides: an id that they share (the request's, the response's, the call's). Without one, only a record and a
//! span of one library are joined, which agree in the tool's name and arguments or in the model and the counts, and
//! only where nothing else agrees as well. A record that fits no span keeps its row.
//!
//! What a record and a span share may name no more than the session that both belong to. Then the record must have
//! been written while the span lasted, and say nothing else.

use super::calls;
use super::group::Group;
use super::group::Node;
use super::group::NodeId;
use super::group::TraceNo;
use super::merge::merge_spans;
use super::tools::same_arguments;
use crate::event::Kind;
use crate::event::ToolExecution;
use crate::event::carry::LandedCall;
use crate::event::event_type;
use crate::fold::open::earliest_end;
use crate::fold::open::may_tell;
use ahash::HashMap;
use ahash::HashSet;

/// How many spans that end after a record are weighed against it.
const WEIGHED: usize = 64;

/// Milliseconds by which a stated length may differ from a span's, and how many times shorter than the span the
/// difference must be where that is more.
const INEXACT_MS: f64 = 20.0;
const INEXACT_SHARE: f64 = 10.0;

/// How what is shared begins where it is not of one operation alone.
const OF_SESSION: &str = "session ";

/// What is shared, if it is of one operation alone.
fn of_one(shared: Option<&str>) -> Option<&str> {
    shared.filter(|shared| !shared.is_empty() && !shared.starts_with(OF_SESSION))
}

/// Joins every log record that tells what a span tells.
pub(super) fn give_to_spans(group: &mut Group) {
    let logs: Vec<NodeId> = group.nodes.ids().filter(|id| is_whole_log(group, *id)).collect();
    if logs.is_empty() {
        return;
    }
    for (log, span) in pairs(group, logs) {
        merge_spans(group, span, log);
    }
}

/// Whether a log record tells a call or a run by itself, and stands for no span that never came.
fn is_whole_log(group: &Group, id: NodeId) -> bool {
    let node = &group.nodes[id];
    let stands_for = || node.trace.zip(node.span).and_then(|place| group.spans.get(&place));
    node.kind == Kind::Log && node.is_row() && !node.is_late && is_operation(node) && stands_for() != Some(&id)
}

fn is_operation(node: &Node) -> bool {
    matches!(
        node.row.event_type.as_str(),
        event_type::CHAT_COMPLETION | event_type::EMBEDDING | event_type::TOOL_EXECUTION
    )
}

/// What spans are found by.
#[derive(Debug, PartialEq, Eq, Hash)]
enum By<'a> {
    Shared(&'a str),
    Response(&'a str),
    Call(&'a str),
    /// Type, and the tool's name.
    Kind(TraceNo, &'a str, &'a str),
}

fn run(node: &Node) -> Option<&ToolExecution> {
    node.row.tool_executions.first().filter(|_| node.row.event_type == event_type::TOOL_EXECUTION)
}

fn call_id(node: &Node) -> Option<&str> {
    run(node)?.call_id.as_deref().filter(|id| !id.is_empty())
}

fn response(node: &Node) -> Option<&str> {
    node.row.model.as_ref()?.response_id.as_deref().filter(|id| !id.is_empty())
}

fn tool(node: &Node) -> &str {
    run(node).map_or("", |run| run.name.as_str())
}

fn ids(node: &Node) -> impl Iterator<Item = By<'_>> {
    let shared = node.shared.as_deref().map(By::Shared);
    [shared, response(node).map(By::Response), call_id(node).map(By::Call)].into_iter().flatten()
}

/// Spans in the order of their ends.
#[derive(Default)]
struct Spans<'g>(HashMap<By<'g>, Vec<NodeId>>);

impl<'g> Spans<'g> {
    fn new(group: &'g Group) -> Self {
        let mut spans: HashMap<By<'g>, Vec<NodeId>> = HashMap::default();
        for id in group.nodes.ids() {
            let node = &group.nodes[id];
            if !(node.is_span() && node.is_row() && is_operation(node)) {
                continue;
            }
            let of_kind = node.trace.map(|trace| By::Kind(trace, &node.row.event_type, tool(node)));
            for by in ids(node).chain(of_kind) {
                spans.entry(by).or_default().push(id);
            }
        }
        spans.values_mut().for_each(|list| list.sort_by_key(|id| (group.nodes[*id].end_ns, *id)));
        Self(spans)
    }

    /// The spans that a log record may tell by its time, its place and what it is.
    fn near(&self, group: &Group, log: &Node, by: &By<'_>) -> Vec<NodeId> {
        let spans = self.0.get(by).map_or(&[][..], Vec::as_slice);
        let first = spans.partition_point(|id| group.nodes[*id].end_ns < earliest_end(log.start_ns));
        let near = spans.iter().skip(first).take(WEIGHED).copied();
        near.filter(|id| is_possible(log, &group.nodes[*id])).collect()
    }
}

fn is_possible(log: &Node, span: &Node) -> bool {
    let (one, other) = (&log.envelope, &span.envelope);
    (&one.tenant, &one.prefix) == (&other.tenant, &other.prefix)
        && (log.trace.is_none() || log.trace == span.trace)
        && log.row.event_type == span.row.event_type
        && may_tell(log.start_ns, span.start_ns, span.end_ns)
        && !contradict(log, span)
}

/// Whether they say that they tell different things.
fn contradict(log: &Node, span: &Node) -> bool {
    let differ =
        |a: Option<&str>, b: Option<&str>| a.zip(b).is_some_and(|(a, b)| !a.is_empty() && !b.is_empty() && a != b);
    if run(log).is_some() {
        return differ(Some(tool(log)), Some(tool(span))) || differ(call_id(log), call_id(span));
    }
    let (a, b) = (log.shared.as_deref(), span.shared.as_deref());
    let is_shared = of_one(a).is_some() && a == b;
    differ(a, b)
        || !is_shared && differ(response(log), response(span))
        || !calls::compatible(&calls::facts(log), &calls::facts(span))
}

/// Whether an id says that they tell the same.
fn is_by_id(log: &Node, span: &Node) -> bool {
    let equal = |a: Option<&str>, b: Option<&str>| a.is_some() && a == b;
    if run(log).is_some() {
        return equal(call_id(log), call_id(span));
    }
    equal(of_one(log.shared.as_deref()), span.shared.as_deref()) || equal(response(log), response(span))
}

/// Whether records of one library agree in what they say, though no id is shared: for certain, or as far as is known.
fn agree(log: &Node, span: &Node) -> Option<bool> {
    if log.row.dialect != span.row.dialect || log.trace.is_none() && (log.shared.is_none() || log.shared != span.shared)
    {
        return None;
    }
    if let (Some(a), Some(b)) = (run(log), run(span)) {
        if a.name.is_empty() || a.name != b.name {
            return None;
        }
        return match same_arguments(a.arguments.as_deref(), b.arguments.as_deref()) {
            Some(true) => Some(true),
            // Texts that were cut are not equal.
            Some(false) => None,
            None => is_as_long(log, span).then_some(false),
        };
    }
    let counts = |node: &Node| {
        let tokens = node.row.tokens.as_ref()?;
        tokens.prompt_tokens.zip(tokens.completion_tokens)
    };
    let agreed = match counts(log).zip(counts(span)) {
        Some((a, b)) => a == b && (log.trace.is_some() || is_within(log, span)),
        None => log.trace.is_none() && is_within(log, span),
    };
    agreed.then_some(false)
}

/// Whether the record was written while the span lasted.
fn is_within(log: &Node, span: &Node) -> bool {
    (span.start_ns..=span.end_ns).contains(&log.start_ns)
}

/// Whether the record states the span's length, or none. One that stands on what is around the span may tell of the
/// time that it waited, too.
fn is_as_long(log: &Node, span: &Node) -> bool {
    let stated = log.row.timing.as_ref().and_then(|timing| timing.total_latency_ms);
    let (Some(stated), Some(length)) = (stated, span.length().map(super::finish::milliseconds)) else { return true };
    let is_around = log.span.is_some() && log.span == span.parent_span;
    is_around && stated >= length || (stated - length).abs() <= INEXACT_MS.max(length / INEXACT_SHARE)
}

fn distance(log: &Node, span: &Node) -> u64 {
    log.start_ns.abs_diff(span.end_ns)
}

/// Log records, each with the span that tells the same.
fn pairs(group: &Group, logs: Vec<NodeId>) -> Vec<(NodeId, NodeId)> {
    let spans = Spans::new(group);
    let mut pairs = Vec::new();
    let mut told: HashSet<NodeId> = HashSet::default();
    let mut left = Vec::new();
    for id in logs {
        let log = &group.nodes[id];
        let near = ids(log).flat_map(|by| spans.near(group, log, &by));
        let same = near.filter(|span| is_by_id(log, &group.nodes[*span]));
        match same.min_by_key(|span| (distance(log, &group.nodes[*span]), *span)) {
            Some(span) => {
                told.insert(span);
                pairs.push((id, span));
            }
            None => left.push(id),
        }
    }
    // How far apart, whether as far as is known only, record, span.
    let mut agreed: Vec<(bool, u64, NodeId, NodeId)> = Vec::new();
    for id in left {
        let log = &group.nodes[id];
        let by = match (log.trace, log.shared.as_deref()) {
            (Some(trace), _) => By::Kind(trace, &log.row.event_type, tool(log)),
            (None, Some(shared)) => By::Shared(shared),
            (None, None) => continue,
        };
        for span in spans.near(group, log, &by).into_iter().filter(|span| !told.contains(span)) {
            let other = &group.nodes[span];
            if let Some(certain) = agree(log, other) {
                agreed.push((!certain, distance(log, other), id, span));
            }
        }
    }
    agreed.sort_unstable();
    let mut counts: HashMap<NodeId, u32> = HashMap::default();
    for (.., log, span) in &agreed {
        *counts.entry(*log).or_default() += 1;
        *counts.entry(*span).or_default() += 1;
    }
    let is_only = |id: &NodeId| counts.get(id) == Some(&1);
    let mut given: HashSet<NodeId> = HashSet::default();
    for (uncertain, _, log, span) in agreed {
        let is_free = !told.contains(&span) && !given.contains(&log);
        if is_free && (!uncertain || is_only(&log) && is_only(&span)) {
            told.insert(span);
            given.insert(log);
            pairs.push((log, span));
        }
    }
    pairs
}

/// Whether a log record and a span tell one call, when one of them has landed in an earlier assembly.
pub(super) fn is_same(one: &LandedCall, other: &LandedCall) -> bool {
    let (log, span) = if one.end_ns == 0 { (one, other) } else { (other, one) };
    let equal = |a: &str, b: &str| !a.is_empty() && a == b;
    log.end_ns == 0
        && span.end_ns != 0
        && log.event_type == span.event_type
        && may_tell(log.start_ns, span.start_ns, span.end_ns)
        && (of_one(Some(&log.shared)).is_some_and(|shared| shared == span.shared)
            || equal(&log.response_id, &span.response_id) && calls::compatible(log, span))
}
