//! Puts log records on the span whose call they tell.
//!
//! For each half of the messages one carrier is taken, never two: the span's, else that of records which tell a whole
//! call, else that of records which tell one message each. Of the latter the last answer is output and everything else
//! input. Records whose span is not here make one row of their own; records of a span that has landed in an earlier
//! assembly make a row each.

use super::group::Group;
use super::group::Node;
use super::group::NodeId;
use super::group::Piece;
use super::group::SpanId;
use super::group::State;
use super::group::TraceNo;
use super::json;
use super::json::Object;
use super::merge::Other;
use super::merge::add_to_array;
use super::merge::fill;
use super::merge::halves;
use super::merge::says_all_of;
use super::merge::set_halves;
use super::rejoin::Rejoin;
use super::tombstone;
use crate::event::Entry;
use crate::event::Event;
use crate::event::Half;
use crate::event::Message;
use crate::event::Partial;
use crate::event::event_type;
use ahash::HashMap;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Where a record is told.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Home {
    /// On a span that is here.
    Span(NodeId),
    /// On a row for a span that never came.
    Missing(TraceNo, SpanId),
    /// On a row of its own: a call that stands on a span that is not it, by its response.
    Apart(TraceNo, SpanId, String),
    /// In a row each: the span has landed.
    Late(TraceNo, SpanId),
}

/// Joins every log record that tells a part of a call.
pub(super) fn logs_to_spans(group: &mut Group, rejoin: &Rejoin) {
    let pieces = std::mem::take(&mut group.pieces);
    if pieces.is_empty() {
        return;
    }
    let mut calls = Calls::default();
    let mut homes: BTreeMap<Home, Vec<Piece>> = BTreeMap::new();
    for of_span in by_span(pieces) {
        let several = responses(&of_span).len() > 1;
        for piece in of_span {
            homes.entry(home(group, &mut calls, &piece, several)).or_default().push(piece);
        }
    }
    let before = group.spans.len();
    for (home, pieces) in homes {
        match home {
            Home::Span(id) => {
                let node = &mut group.nodes[id];
                if node.row.event_type.is_empty() {
                    node.row.event_type = type_of(&pieces);
                    node.row.dialect = dialect_of(&pieces);
                    node.state = State::Row;
                }
                tell(node, pieces, rejoin);
            }
            Home::Missing(trace, span) => {
                if let Some(node) = node_of_logs(group, pieces, rejoin) {
                    let id = group.add(node);
                    group.spans.insert((trace, span), id);
                }
            }
            Home::Apart(..) => {
                if let Some(node) = node_of_logs(group, pieces, rejoin) {
                    group.add(node);
                }
            }
            Home::Late(..) => pieces.into_iter().for_each(|piece| late_message(group, piece)),
        }
    }
    if group.spans.len() > before {
        group.link_parents();
    }
}

/// The records of each span, in the order in which they were said.
fn by_span(pieces: Vec<Piece>) -> impl Iterator<Item = Vec<Piece>> {
    let mut of_spans: BTreeMap<(TraceNo, SpanId), Vec<Piece>> = BTreeMap::new();
    for piece in pieces {
        of_spans.entry((piece.trace, piece.span)).or_default().push(piece);
    }
    of_spans.into_values()
}

fn response_id(row: Option<&Event>) -> Option<&str> {
    row?.model.as_ref()?.response_id.as_deref().filter(|id| !id.is_empty())
}

fn responses(pieces: &[Piece]) -> BTreeSet<&str> {
    pieces.iter().filter_map(|piece| response_id(piece.partial.row.as_deref())).collect()
}

/// Where a record is told. Most stand on the span of their call. Some libraries tell a whole call when its span has
/// ended, on the span around it: such a record goes to the call below that has its response.
fn home(group: &Group, calls: &mut Calls, piece: &Piece, several: bool) -> Home {
    let place = (piece.trace, piece.span);
    let said = piece.partial.row.as_deref();
    let Some(id) = group.spans.get(&place).copied() else {
        let landed = group.trace(place.0).is_some_and(|trace| tombstone::has_landed(&trace.earlier, place.1));
        return match response_id(said).filter(|_| several) {
            _ if landed => Home::Late(place.0, place.1),
            Some(response) => Home::Apart(place.0, place.1, response.to_owned()),
            None => Home::Missing(place.0, place.1),
        };
    };
    let kind = said.map_or("", |row| row.event_type.as_str());
    if piece.part.half() != Half::Whole || !is_call(kind) {
        return Home::Span(id);
    }
    let row = &group.nodes[id].row;
    let (on_span, told) = (response_id(Some(row)), response_id(said));
    if row.event_type == kind && (on_span.is_none() || told.is_none() || on_span == told) {
        return Home::Span(id);
    }
    if let Some(call) = calls.below(group, id, piece, kind) {
        return Home::Span(call);
    }
    match told {
        Some(response) if several || !row.event_type.is_empty() => Home::Apart(place.0, place.1, response.to_owned()),
        _ => Home::Span(id),
    }
}

fn is_call(kind: &str) -> bool {
    matches!(kind, event_type::CHAT_COMPLETION | event_type::EMBEDDING)
}

/// The spans of calls, by trace and response.
#[derive(Default)]
struct Calls(Option<HashMap<(TraceNo, String), Vec<NodeId>>>);

impl Calls {
    /// The call below a span that a record tells: that of its response, and of several the latest that began before
    /// the record was written.
    fn below(&mut self, group: &Group, span: NodeId, piece: &Piece, kind: &str) -> Option<NodeId> {
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

/// A row from logs alone: of a span that never came, or of a call that stands on another's span.
fn node_of_logs(group: &Group, pieces: Vec<Piece>, rejoin: &Rejoin) -> Option<Node> {
    let first = pieces.first()?;
    let (trace, span) = (first.trace, first.span);
    let said = first.partial.row.as_deref();
    let parent = group.spans.get(&(trace, span)).copied();
    let row = Event {
        event_type: type_of(&pieces),
        dialect: dialect_of(&pieces),
        trace_id: said.and_then(|row| row.trace_id.clone()),
        span_id: said.and_then(|row| row.span_id.clone()),
        parent_span_id: parent.and_then(|parent| group.nodes[parent].row.parent_span_id.clone()),
        ..Event::default()
    };
    let partial = Partial {
        kind: first.partial.kind,
        row: Some(Box::new(row)),
        start_ns: first.partial.start_ns,
        observed_ns: first.partial.observed_ns,
        ..Partial::default()
    };
    let mut node =
        Node::new(Arc::clone(&first.envelope), partial, first.content, first.ordinal, first.record, Some(trace));
    node.span = Some(span);
    node.parent = parent;
    tell(&mut node, pieces, rejoin);
    let record = node.record;
    node.merged.retain(|merged| *merged != record);
    Some(node)
}

/// A row for what a log record says of a span that has landed.
fn late_message(group: &mut Group, piece: Piece) {
    let mut partial = piece.partial;
    if let Some(row) = &mut partial.row {
        row.event_type = event_type::CHAT_MESSAGE.to_owned();
    }
    let mut node = Node::new(piece.envelope, partial, piece.content, piece.ordinal, piece.record, Some(piece.trace));
    node.span = Some(piece.span);
    node.is_late = true;
    node.details.push(Entry { key: "late".to_owned(), json: "true".to_owned() });
    group.add(node);
}

/// What the records tell: the type that one of them states of the call, else a call where there is an answer.
fn type_of(pieces: &[Piece]) -> String {
    let stated = |piece: &Piece| {
        let row = piece.partial.row.as_ref().filter(|_| piece.part.half() == Half::Whole)?;
        Some(row.event_type.clone()).filter(|event_type| !event_type.is_empty())
    };
    let is_of_call = |event_type: &String| event_type != event_type::LOG_LINE;
    if let Some(stated) = pieces.iter().filter_map(stated).find(is_of_call) {
        return stated;
    }
    if pieces.iter().any(|piece| piece.part.half() == Half::Output) {
        return event_type::CHAT_COMPLETION.to_owned();
    }
    let only_fault = pieces.iter().all(|piece| piece.part.half() == Half::Whole);
    if only_fault { event_type::LOG_LINE } else { event_type::CHAT_MESSAGE }.to_owned()
}

fn dialect_of(pieces: &[Piece]) -> String {
    let said = |piece: &Piece| Some(piece.partial.row.as_ref()?.dialect.clone()).filter(|dialect| !dialect.is_empty());
    pieces.iter().find_map(said).unwrap_or_default()
}

/// What log records say that found no other place.
#[derive(Default)]
struct Untold {
    names: BTreeSet<String>,
    messages: Vec<Message>,
    records: Vec<String>,
}

/// Makes the node's row tell what the records say.
fn tell(node: &mut Node, mut pieces: Vec<Piece>, rejoin: &Rejoin) {
    let mut untold = Untold::default();
    choose_messages(node, &mut pieces, &mut untold, rejoin);
    let common = common_attributes(&pieces);
    for piece in pieces {
        let mut row = piece.partial.row.unwrap_or_default();
        row.dialect.clear();
        untold.names.insert(std::mem::take(&mut row.name));
        let mut own = Object::new();
        let mut attributes = piece.partial.attributes;
        if piece.part.half() != Half::Whole {
            let mut rest = Object::new();
            for entry in attributes.drain(..).filter(|entry| !common.contains(entry)) {
                if !node.attributes.contains(&entry) {
                    rest.json(&entry.key, &entry.json);
                }
            }
            own.object("attributes", rest);
        }
        let other =
            Other { row, details: piece.partial.details, attributes, resource: piece.envelope.resource.as_deref() };
        own.all_of(&fill(node, other));
        if !own.is_empty() {
            untold.records.push(own.close());
        }
        node.links.extend(piece.partial.links);
        node.received_at = node.received_at.max(piece.envelope.received_at);
        node.merged.push(piece.record);
    }
    untold.names.remove("");
    let mut logs = Object::new();
    logs.array("names", untold.names.iter().map(|name| crate::event::json::string(name)));
    let mut attributes = Object::new();
    for entry in common.iter().filter(|entry| !node.attributes.contains(entry)) {
        attributes.json(&entry.key, &entry.json);
    }
    logs.object("attributes", attributes);
    untold.messages.retain(|message| !node.row.messages.iter().any(|told| says_all_of(told, message)));
    untold.messages.dedup();
    logs.array("messages", untold.messages.iter().map(json::message));
    untold.records.dedup();
    logs.array("records", untold.records);
    if !logs.is_empty() {
        node.details.push(Entry { key: "logs".to_owned(), json: logs.close() });
    }
}

/// The attributes that all records of single messages have.
fn common_attributes(pieces: &[Piece]) -> Vec<Entry> {
    let mut single = pieces.iter().filter(|piece| piece.part.half() != Half::Whole);
    let mut common = single.next().map(|piece| piece.partial.attributes.clone()).unwrap_or_default();
    for piece in single {
        common.retain(|entry| piece.partial.attributes.contains(entry));
    }
    common
}

fn choose_messages(node: &mut Node, pieces: &mut [Piece], untold: &mut Untold, rejoin: &Rejoin) {
    let (span_input, span_output) = halves(&node.row);
    let (span_input, span_output) = (span_input.to_vec(), span_output.to_vec());
    let (whole_input, whole_output) = whole_halves(pieces);
    let answers = pieces.iter().filter(|piece| piece.part.half() == Half::Output).count();
    let (single_input, mut single_output, choices) = single_halves(pieces);
    if answers > 1 {
        rejoin.messages(&node.envelope.policy, &mut single_output, &mut node.row.redaction);
    }
    let first = |carriers: [Vec<Message>; 3], untold: &mut Untold| {
        let mut chosen: Option<Vec<Message>> = None;
        for carrier in carriers.into_iter().filter(|carrier| !carrier.is_empty()) {
            match &chosen {
                None => chosen = Some(carrier),
                Some(_) => untold.messages.extend(carrier),
            }
        }
        chosen.unwrap_or_default()
    };
    let input = first([span_input, whole_input, single_input], untold);
    let output = first([span_output, whole_output, single_output], untold);
    set_halves(&mut node.row, input, output);
    if !node.details.iter().any(|entry| entry.key == "choices") {
        for choice in choices {
            add_to_array(&mut node.details, "choices", choice);
        }
    }
}

/// The halves that records of whole calls tell together. A list that goes on where another one ended, or repeats it,
/// is told once.
fn whole_halves(pieces: &mut [Piece]) -> (Vec<Message>, Vec<Message>) {
    let (mut input, mut output) = (Vec::new(), Vec::new());
    for piece in pieces.iter_mut().filter(|piece| piece.part.half() == Half::Whole) {
        let Some(row) = &mut piece.partial.row else { continue };
        let (more_input, more_output) = halves(row);
        extend(&mut input, more_input);
        extend(&mut output, more_output);
        row.messages.clear();
        row.input_message_count = None;
    }
    (input, one_answer(output))
}

fn extend(list: &mut Vec<Message>, more: &[Message]) {
    if more.starts_with(list) {
        *list = more.to_vec();
    } else if !list.ends_with(more) {
        list.extend_from_slice(more);
    }
}

/// What one record tells: on which side, as which choice, and the message.
type Said = (Half, Option<u32>, Vec<Message>);

/// Input, first answer, and the other choices as JSON, of records that tell one message each.
fn single_halves(pieces: &mut [Piece]) -> (Vec<Message>, Vec<Message>, Vec<String>) {
    let mut said: Vec<Said> = Vec::new();
    for piece in pieces.iter_mut().filter(|piece| piece.part.half() != Half::Whole) {
        let Some(row) = &mut piece.partial.row else { continue };
        row.input_message_count = None;
        said.push((piece.part.half(), piece.part.index, std::mem::take(&mut row.messages)));
    }
    let is_output = |half: &Half| *half == Half::Output;
    let end = said.iter().rposition(|(half, ..)| is_output(half)).map_or(0, |last| last + 1);
    let answers = said.get(..end).unwrap_or_default().iter().rev().take_while(|(half, ..)| is_output(half)).count();
    let after = said.split_off(end);
    let answer = said.split_off(end - answers);
    let input = said.into_iter().chain(after).flat_map(|(_, _, messages)| messages).collect();
    if is_streamed(&answer) {
        return (input, glued(answer.into_iter().flat_map(|(_, _, messages)| messages)), Vec::new());
    }
    let unnumbered = are_choices(&answer);
    let index_of = |place: u32, index: Option<u32>| if unnumbered { place } else { index.unwrap_or(0) };
    let first = answer.iter().zip(0u32..).map(|((_, index, _), place)| index_of(place, *index)).min().unwrap_or(0);
    let (mut output, mut choices) = (Vec::new(), Vec::new());
    for ((_, index, messages), place) in answer.into_iter().zip(0u32..) {
        let index = index_of(place, index);
        if index == first {
            output.extend(messages);
        } else {
            choices.extend(messages.iter().map(|message| choice(index, message)));
        }
    }
    (input, one_answer(output), choices)
}

/// Whether answers without numbers are choices of their own: each says why it ended. Pieces of one answer end once.
fn are_choices(answers: &[Said]) -> bool {
    answers.iter().all(|(_, index, messages)| index.is_none() && messages.iter().any(|one| one.finish_reason.is_some()))
}

/// Whether answers are the chunks of one: numbered on, and only the last one says why it ended. Early releases for
/// Gemini's client tell each chunk of a stream so.
fn is_streamed(answers: &[Said]) -> bool {
    let ended = |(_, _, messages): &Said| messages.iter().any(|message| message.finish_reason.is_some());
    let Some((last, chunks)) = answers.split_last() else { return false };
    let numbered = answers.iter().zip(0u32..).all(|((_, index, _), place)| *index == Some(place));
    !chunks.is_empty() && numbered && ended(last) && !chunks.iter().any(ended)
}

/// Chunks as one message: their texts follow each other without a gap.
fn glued(chunks: impl Iterator<Item = Message>) -> Vec<Message> {
    let glue = |one: Option<String>, more: Option<String>| match (one, more) {
        (Some(one), Some(more)) => Some(one + &more),
        (one, more) => one.or(more),
    };
    let whole = chunks.reduce(|mut one, more| {
        one.content = glue(one.content, more.content);
        one.reasoning = glue(one.reasoning, more.reasoning);
        one.tool_calls.extend(more.tool_calls);
        one.finish_reason = more.finish_reason.or(one.finish_reason);
        one
    });
    whole.into_iter().collect()
}

fn choice(index: u32, message: &Message) -> String {
    let mut object = Object::new();
    object.int("index", Some(index.into()));
    object.json("message", &json::message(message));
    object.close()
}

/// One answer may be told in pieces: its thoughts, its text, its calls.
fn one_answer(pieces: Vec<Message>) -> Vec<Message> {
    let mut out: Vec<Message> = Vec::with_capacity(pieces.len());
    for piece in pieces {
        match out.last_mut() {
            Some(last) if last.role == piece.role && last.content_parts.is_none() && piece.content_parts.is_none() => {
                last.content = joined(last.content.take(), piece.content);
                last.reasoning = joined(last.reasoning.take(), piece.reasoning);
                last.tool_calls.extend(piece.tool_calls);
                last.finish_reason = piece.finish_reason.or(last.finish_reason.take());
            }
            _ => out.push(piece),
        }
    }
    out
}

fn joined(one: Option<String>, other: Option<String>) -> Option<String> {
    match (one, other) {
        (Some(one), Some(other)) if !one.is_empty() && !other.is_empty() => Some(format!("{one}\n{other}")),
        (Some(one), other) if one.is_empty() => other.or(Some(one)),
        (one, other) => one.or(other),
    }
}
