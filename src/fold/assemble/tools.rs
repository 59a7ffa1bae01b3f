//! Pairs tool runs with the model calls that asked for them.
//!
//! By id first: the latest call with that id that began before the run. What is left goes by name: of the requests
//! that no run has answered yet and that were made before, those with equal arguments, then those nearest in the
//! tree, then the latest, then in order. The chat row gets the run, the run gets what only the call states.

use super::group::Group;
use super::group::NodeId;
use super::group::TraceNo;
use super::merge::halves;
use crate::event::ToolExecution;
use crate::event::event_type;
use ahash::HashMap;
use ahash::HashSet;

/// How many open requests of one name are weighed against a run.
const WEIGHED: usize = 64;

/// One request of a call for a tool.
struct Request {
    call: NodeId,
    id: Option<String>,
    name: String,
    arguments: Option<String>,
    start: u64,
    answered: bool,
}

/// Pairs the runs of all traces.
pub(super) fn pair(group: &mut Group) {
    let mut runs: HashMap<TraceNo, Vec<NodeId>> = HashMap::default();
    for id in group.nodes.ids() {
        let node = &group.nodes[id];
        if node.is_row() && node.row.event_type == event_type::TOOL_EXECUTION {
            describe_run(group, id);
            if let Some(trace) = group.nodes[id].trace {
                runs.entry(trace).or_default().push(id);
            }
        }
    }
    for (trace, runs) in runs {
        pair_trace(group, trace, runs);
    }
}

/// Completes what a run says of itself.
fn describe_run(group: &mut Group, id: NodeId) {
    let node = &mut group.nodes[id];
    let length = node.length();
    if node.row.tool_executions.is_empty() {
        node.row.tool_executions.push(ToolExecution { name: node.row.name.clone(), ..ToolExecution::default() });
    }
    let row = &mut node.row;
    if let Some(run) = row.tool_executions.first_mut() {
        run.latency_ms = length.map(super::finish::milliseconds).or(run.latency_ms);
        run.span_id = run.span_id.take().or_else(|| row.span_id.clone());
        run.status = run.status.take().or_else(|| row.status.clone());
        if run.error.is_none() {
            run.error = row.error.as_ref().and_then(|error| error.message.clone().or_else(|| error.r#type.clone()));
        }
    }
}

fn pair_trace(group: &mut Group, trace: TraceNo, mut runs: Vec<NodeId>) {
    let mut requests = requests(group, trace);
    if requests.is_empty() {
        return;
    }
    runs.sort_by_key(|id| (group.nodes[*id].start_ns, *id));
    let mut by_id: HashMap<String, Vec<usize>> = HashMap::default();
    let mut by_name: HashMap<String, Vec<usize>> = HashMap::default();
    for (place, request) in requests.iter().enumerate() {
        by_name.entry(request.name.clone()).or_default().push(place);
        if let Some(id) = &request.id {
            by_id.entry(id.clone()).or_default().push(place);
        }
    }
    let mut pairs: Vec<(NodeId, usize)> = Vec::new();
    let mut left = Vec::new();
    for run in runs {
        match with_id(group, run, &by_id, &requests) {
            Some(place) => {
                if let Some(request) = requests.get_mut(place) {
                    request.answered = true;
                }
                pairs.push((run, place));
            }
            None => left.push(run),
        }
    }
    let mut paired: HashSet<NodeId> = pairs.iter().map(|(run, _)| *run).collect();
    for run in left {
        if is_inside_run(group, run, &paired) {
            continue;
        }
        if let Some(place) = with_name(group, run, &by_name, &requests) {
            if let Some(request) = requests.get_mut(place) {
                request.answered = true;
            }
            paired.insert(run);
            pairs.push((run, place));
        }
    }
    pairs.sort_by_key(|(run, _)| (group.nodes[*run].start_ns, *run));
    let mut answers: HashMap<usize, Vec<NodeId>> = HashMap::default();
    for (run, place) in &pairs {
        answers.entry(*place).or_default().push(*run);
    }
    for (run, place) in &pairs {
        let others = answers.get(place).map_or(&[][..], Vec::as_slice);
        // A run within a run of the same request is told once: by the outer one.
        let is_outermost = others.len() < 2 || !group.ancestors(*run).any(|above| others.contains(&above));
        if let Some(request) = requests.get(*place) {
            record(group, *run, request, is_outermost);
        }
    }
}

/// The requests of a trace's calls, in order of time.
fn requests(group: &Group, trace: TraceNo) -> Vec<Request> {
    let mut calls: Vec<NodeId> = group
        .nodes_of(trace)
        .filter(|id| {
            let node = &group.nodes[*id];
            node.is_row() && node.row.event_type == event_type::CHAT_COMPLETION
        })
        .collect();
    calls.sort_by_key(|id| (group.nodes[*id].start_ns, *id));
    let mut requests = Vec::new();
    for call in calls {
        let node = &group.nodes[call];
        for asked in halves(&node.row).1.iter().flat_map(|message| &message.tool_calls) {
            requests.push(Request {
                call,
                id: asked.id.clone().filter(|id| !id.is_empty()),
                name: asked.name.clone(),
                arguments: asked.arguments.clone(),
                start: node.start_ns,
                answered: false,
            });
        }
    }
    requests
}

fn run_of(group: &Group, id: NodeId) -> Option<&ToolExecution> {
    group.nodes[id].row.tool_executions.first()
}

/// The latest request with the run's id that was made before it, or, where clocks differ, the first.
fn with_id(group: &Group, run: NodeId, by_id: &HashMap<String, Vec<usize>>, requests: &[Request]) -> Option<usize> {
    let start = group.nodes[run].start_ns;
    let places = by_id.get(run_of(group, run)?.call_id.as_ref()?)?;
    let before = |place: &&usize| requests.get(**place).is_some_and(|request| request.start <= start);
    places.iter().rev().find(before).or(places.first()).copied()
}

/// Whether a run stands within one of the same tool that is paired: a server's span of the same run.
fn is_inside_run(group: &Group, run: NodeId, paired: &HashSet<NodeId>) -> bool {
    let name = run_of(group, run).map(|run| &run.name);
    group.ancestors(run).any(|above| paired.contains(&above) && run_of(group, above).map(|run| &run.name) == name)
}

fn with_name(group: &Group, run: NodeId, by_name: &HashMap<String, Vec<usize>>, requests: &[Request]) -> Option<usize> {
    let start = group.nodes[run].start_ns;
    let said = run_of(group, run)?;
    let above: Vec<NodeId> = group.ancestors(run).collect();
    let open = by_name.get(&said.name)?.iter().rev().copied().filter_map(|place| {
        let request = requests.get(place)?;
        (!request.answered && request.start <= start).then_some((place, request))
    });
    let weighed = open.take(WEIGHED).filter_map(|(place, request)| {
        let equal = same_arguments(said.arguments.as_deref(), request.arguments.as_deref());
        // Both state an id, and not the same one: only equal arguments speak for the pair.
        if equal != Some(true) && said.call_id.is_some() && request.id.is_some() {
            return None;
        }
        let weight = match equal {
            Some(true) => 2,
            None => 1,
            Some(false) => 0,
        };
        Some((weight, nearness(group, request.call, &above), request.start, std::cmp::Reverse(place)))
    });
    weighed.max().map(|(.., place)| place.0)
}

/// How deep the nearest span is that stands above both.
fn nearness(group: &Group, call: NodeId, above_run: &[NodeId]) -> usize {
    let shared = std::iter::once(call)
        .chain(group.ancestors(call))
        .find_map(|id| above_run.iter().position(|above| *above == id));
    shared.map_or(0, |place| above_run.len() - place)
}

/// Whether two arguments are the same JSON; none where one is not stated. A single argument may stand alone.
pub(super) fn same_arguments(run: Option<&str>, request: Option<&str>) -> Option<bool> {
    let (run, request) = (run?, request?);
    if run == request {
        return Some(true);
    }
    let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
    let (run, request) = (unwrapped(read(run)?), unwrapped(read(request)?));
    Some(run == request || is_only_value(&run, &request))
}

/// JSON that stands as a text within JSON.
fn unwrapped(value: serde_json::Value) -> serde_json::Value {
    match &value {
        serde_json::Value::String(text) if text.starts_with(['{', '[']) => serde_json::from_str(text).unwrap_or(value),
        _ => value,
    }
}

fn is_only_value(value: &serde_json::Value, object: &serde_json::Value) -> bool {
    object.as_object().is_some_and(|object| object.len() == 1 && object.values().next() == Some(value))
}

/// Writes a pair down on both rows.
fn record(group: &mut Group, run: NodeId, request: &Request, is_outermost: bool) {
    let Some(said) = group.nodes[run].row.tool_executions.first_mut() else { return };
    if said.call_id.is_none() {
        said.call_id.clone_from(&request.id);
    }
    let is_collapsed = || {
        let (said, asked) = (said.arguments.as_deref()?, request.arguments.as_deref()?);
        if said == asked {
            return None;
        }
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
        Some(is_only_value(&read(said)?, &read(asked)?))
    };
    if said.arguments.is_none() || is_collapsed() == Some(true) {
        // The request's arguments may have been cut: then they are no JSON.
        let whole = |text: &&String| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
        if let Some(arguments) = request.arguments.as_ref().filter(whole) {
            said.arguments = Some(arguments.clone());
        }
    }
    if !is_outermost {
        return;
    }
    let said = said.clone();
    let call = &mut group.nodes[request.call].row;
    if let Some(latency) = said.latency_ms {
        let latencies = &mut call.timing.get_or_insert_default().tool_latencies_ms;
        *latencies.entry(said.name.clone()).or_default() += latency;
    }
    call.tool_executions.push(said);
}
