//! Puts log records on the span whose call they tell.
//!
//! For each half of the messages one carrier is taken, never two: the span's, else that of records which tell a whole
//! call, else that of records which tell one message each. Of the latter the last answer is output and everything else
//! input. Records whose span is not here make one row of their own; records of a span that has landed in an earlier
//! assembly make a row each.

mod answers;
mod calls;

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
use answers::single_halves;
use answers::whole_halves;
use calls::Calls;
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
