//! A walk over encoded OTLP that knows which fields are texts: the second look at bodies that prost refuses.
//!
//! [`mend`] replaces what is no UTF-8 and turns values that are nested deeper than readers allow into bytes that hold
//! their encoding. [`structs`] adds up what a body would cost in memory, before it does. Neither nests deeper than
//! readers do.

use opentelemetry_proto::tonic::common::v1 as common;
use opentelemetry_proto::tonic::logs::v1 as logs;
use opentelemetry_proto::tonic::resource::v1 as resource;
use opentelemetry_proto::tonic::trace::v1 as trace;
use prost::encoding::encode_varint;

/// What a walk has to know of a message.
#[derive(Debug)]
pub(super) struct Schema {
    fields: &'static [(u64, Field)],
    role: Role,
    /// Bytes of its struct.
    size: usize,
}

#[derive(Debug)]
enum Field {
    Text,
    Message(&'static Schema),
}

/// What a message is to the walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Other,
    /// Notes that were made on it, and on no record in it, concern all its records.
    Resource,
    /// It counts.
    Record,
    /// Notes on it name its key.
    Attribute,
    /// It may nest.
    Value,
}

use Field::Message;
use Field::Text;

macro_rules! schema {
    ($name:ident, $type:ty, $role:ident, [$($number:literal: $field:expr),*]) => {
        static $name: Schema = Schema {
            fields: &[$(($number, $field)),*],
            role: Role::$role,
            size: size_of::<$type>(),
        };
    };
}

/// `ExportTraceServiceRequest`.
pub(super) static TRACES: Schema = Schema { fields: &[(1, Message(&RESOURCE_SPANS))], role: Role::Other, size: 0 };
/// `ExportLogsServiceRequest`.
pub(super) static LOGS: Schema = Schema { fields: &[(1, Message(&RESOURCE_LOGS))], role: Role::Other, size: 0 };

schema!(RESOURCE_SPANS, trace::ResourceSpans, Resource, [1: Message(&RESOURCE), 2: Message(&SCOPE_SPANS), 3: Text]);
schema!(SCOPE_SPANS, trace::ScopeSpans, Other, [1: Message(&SCOPE), 2: Message(&SPAN), 3: Text]);
schema!(SPAN, trace::Span, Record, [
    3: Text, 5: Text, 9: Message(&ATTRIBUTE), 11: Message(&EVENT), 13: Message(&LINK), 15: Message(&STATUS)
]);
schema!(EVENT, trace::span::Event, Other, [2: Text, 3: Message(&ATTRIBUTE)]);
schema!(LINK, trace::span::Link, Other, [3: Text, 4: Message(&ATTRIBUTE)]);
schema!(STATUS, trace::Status, Other, [2: Text]);
schema!(RESOURCE_LOGS, logs::ResourceLogs, Resource, [1: Message(&RESOURCE), 2: Message(&SCOPE_LOGS), 3: Text]);
schema!(SCOPE_LOGS, logs::ScopeLogs, Other, [1: Message(&SCOPE), 2: Message(&LOG_RECORD), 3: Text]);
schema!(LOG_RECORD, logs::LogRecord, Record, [3: Text, 5: Message(&VALUE), 6: Message(&ATTRIBUTE), 12: Text]);
schema!(RESOURCE, resource::Resource, Other, [1: Message(&ATTRIBUTE), 3: Message(&ENTITY)]);
schema!(ENTITY, common::EntityRef, Other, [1: Text, 2: Text, 3: Text, 4: Text]);
schema!(SCOPE, common::InstrumentationScope, Other, [1: Text, 2: Text, 3: Message(&ATTRIBUTE)]);
schema!(ATTRIBUTE, common::KeyValue, Attribute, [1: Text, 2: Message(&VALUE)]);
schema!(VALUE, common::AnyValue, Value, [1: Text, 5: Message(&ARRAY), 6: Message(&KVLIST)]);
schema!(ARRAY, common::ArrayValue, Other, [1: Message(&VALUE)]);
schema!(KVLIST, common::KeyValueList, Other, [1: Message(&ATTRIBUTE)]);

/// `ExportMetricsServiceRequest`, as far as its data points are.
pub(super) static METRICS: Schema = plain(&[(1, Message(&RESOURCE_METRICS))], Role::Other);
static RESOURCE_METRICS: Schema = plain(&[(2, Message(&SCOPE_METRICS))], Role::Other);
static SCOPE_METRICS: Schema = plain(&[(2, Message(&METRIC))], Role::Other);
/// Gauge, sum, histogram, exponential histogram and summary: the points of all of them are field 1.
static METRIC: Schema = plain(
    &[
        (5, Message(&POINTS)),
        (7, Message(&POINTS)),
        (9, Message(&POINTS)),
        (10, Message(&POINTS)),
        (11, Message(&POINTS)),
    ],
    Role::Other,
);
static POINTS: Schema = plain(&[(1, Message(&POINT))], Role::Other);
static POINT: Schema = plain(&[], Role::Record);

const fn plain(fields: &'static [(u64, Field)], role: Role) -> Schema {
    Schema { fields, role, size: 0 }
}

impl Schema {
    fn field(&self, number: u64) -> Option<&Field> {
        self.fields.iter().find(|(known, _)| *known == number).map(|(_, field)| field)
    }
}

/// Messages that nest in a request at most, as prost counts them.
const DEEPEST: u8 = 100;

/// A body that was mended, and notes on its records by position.
#[derive(Debug)]
pub(super) struct Mended {
    pub(super) bytes: Vec<u8>,
    pub(super) notes: Vec<(u32, String)>,
}

/// Mends what can be mended; none where the body is no protobuf at all.
pub(super) fn mend(body: &[u8], schema: &Schema) -> Option<Mended> {
    let mut walk = Walk { position: 0, pending: Vec::new(), notes: Vec::new() };
    let bytes = walk.message(body, schema, DEEPEST)?;
    Some(Mended { bytes, notes: walk.notes })
}

struct Walk {
    position: u32,
    /// Notes that wait for the end of the message that says whose they are.
    pending: Vec<String>,
    notes: Vec<(u32, String)>,
}

impl Walk {
    fn message(&mut self, mut body: &[u8], schema: &Schema, depth: u8) -> Option<Vec<u8>> {
        let noted = self.pending.len();
        let first = self.position;
        let mut out = Vec::with_capacity(body.len());
        while !body.is_empty() {
            let (tag, content) = split_field(&mut body)?;
            let (number, known) = (tag >> 3, schema.field(tag >> 3));
            let Content::Bytes(content) = content else {
                encode_varint(tag, &mut out);
                content.write(&mut out);
                continue;
            };
            match known {
                Some(Text) => {
                    let text = String::from_utf8_lossy(content);
                    if let std::borrow::Cow::Owned(_) = text {
                        self.pending.push("invalid utf-8 replaced".to_owned());
                    }
                    write_bytes(number, text.as_bytes(), &mut out);
                }
                Some(Message(inner)) if inner.role == Role::Value && !has_room(content, depth) => {
                    self.pending.push("value nested too deep, kept as bytes".to_owned());
                    let mut value = Vec::with_capacity(content.len() + 8);
                    write_bytes(BYTES_VALUE, content, &mut value);
                    write_bytes(number, &value, &mut out);
                }
                Some(Message(inner)) => {
                    let inner = self.message(content, inner, depth.checked_sub(1)?)?;
                    write_bytes(number, &inner, &mut out);
                }
                None => write_bytes(number, content, &mut out),
            }
        }
        match schema.role {
            Role::Other | Role::Value => {}
            Role::Attribute => self.name_key(noted, &out),
            Role::Record => {
                let position = self.position;
                let mut pending = self.pending.split_off(noted);
                pending.dedup();
                self.notes.extend(pending.into_iter().map(|note| (position, note)));
                self.position = self.position.saturating_add(1);
            }
            Role::Resource => {
                let mut pending = self.pending.split_off(noted);
                pending.dedup();
                for note in pending {
                    self.notes.extend((first..self.position).map(|position| (position, note.clone())));
                }
            }
        }
        Some(out)
    }

    /// Adds the key to notes on an attribute; of nested ones the innermost is named.
    fn name_key(&mut self, noted: usize, mut attribute: &[u8]) {
        if self.pending.len() == noted {
            return;
        }
        let mut key = String::new();
        while let Some((tag, content)) = split_field(&mut attribute) {
            if let (1, Content::Bytes(bytes)) = (tag >> 3, content) {
                key = String::from_utf8_lossy(bytes).into_owned();
            }
        }
        for note in self.pending.iter_mut().skip(noted).filter(|note| !note.contains(" in ")) {
            note.push_str(" in ");
            note.push_str(&key);
        }
    }
}

/// The field of `AnyValue` that holds bytes.
const BYTES_VALUE: u64 = 7;

/// Whether a value may be entered, with `depth` messages left: its list, an entry and that one's value have to fit.
fn has_room(mut value: &[u8], depth: u8) -> bool {
    const OF_LIST: u8 = 3;
    const OF_KVLIST: u8 = 4;
    while let Some((tag, _)) = split_field(&mut value) {
        match tag >> 3 {
            5 if depth < OF_LIST => return false,
            6 if depth < OF_KVLIST => return false,
            _ => {}
        }
    }
    depth > 0
}

/// Bytes of structs that a body decodes to; stops counting where it is no protobuf, for that is told later.
pub(super) fn structs(body: &[u8], schema: &Schema) -> usize {
    fn add(mut body: &[u8], schema: &Schema, depth: u8, sum: &mut usize) {
        while !body.is_empty() {
            let Some((tag, content)) = split_field(&mut body) else { return };
            let (Some(Message(inner)), Content::Bytes(content)) = (schema.field(tag >> 3), content) else { continue };
            *sum += inner.size;
            if let Some(depth) = depth.checked_sub(1) {
                add(content, inner, depth, sum);
            }
        }
    }
    let mut sum = 0;
    add(body, schema, DEEPEST, &mut sum);
    sum
}

/// How many records a body holds; none where it is no protobuf.
pub(super) fn records(mut body: &[u8], schema: &Schema) -> Option<u64> {
    let mut records = u64::from(schema.role == Role::Record);
    while !body.is_empty() {
        // No schema that is counted here contains itself: this nests as deep as the schema does.
        let (tag, content) = split_field(&mut body)?;
        if let (Some(Message(inner)), Content::Bytes(content)) = (schema.field(tag >> 3), content) {
            records += self::records(content, inner)?;
        }
    }
    Some(records)
}

#[derive(Debug, Clone, Copy)]
enum Content<'a> {
    Varint(u64),
    Fixed(&'a [u8]),
    Bytes(&'a [u8]),
}

impl Content<'_> {
    fn write(self, out: &mut Vec<u8>) {
        match self {
            Self::Varint(number) => encode_varint(number, out),
            Self::Fixed(bytes) | Self::Bytes(bytes) => out.extend_from_slice(bytes),
        }
    }
}

/// Takes a field from the front: its tag and what it holds.
fn split_field<'a>(body: &mut &'a [u8]) -> Option<(u64, Content<'a>)> {
    let tag = split_varint(body)?;
    let content = match tag & 7 {
        0 => Content::Varint(split_varint(body)?),
        1 => Content::Fixed(split(body, 8)?),
        2 => {
            let length = usize::try_from(split_varint(body)?).ok()?;
            Content::Bytes(split(body, length)?)
        }
        5 => Content::Fixed(split(body, 4)?),
        _ => return None,
    };
    Some((tag, content))
}

fn split<'a>(body: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (front, rest) = body.split_at_checked(length)?;
    *body = rest;
    Some(front)
}

fn split_varint(body: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = body.split_first()?;
        *body = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn write_bytes(number: u64, bytes: &[u8], out: &mut Vec<u8>) {
    encode_varint(number << 3 | 2, out);
    encode_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests;
