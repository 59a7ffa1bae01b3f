//! Rows as Arrow columns: the only file that knows both.
//!
//! One column is built at a time, for a stretch of rows, so that no more than one column of a stretch is in memory
//! twice. What is empty is null: a text, a list, a map, a struct of which every field is null. Texts of messages, and
//! arguments and results of tools, are the exception: there, empty was said.

use super::is_empty_json;
use super::schema::AGENT;
use super::schema::COUNTS;
use super::schema::Column;
use super::schema::ERROR;
use super::schema::FEEDBACK;
use super::schema::FINISH_REASONS;
use super::schema::GRAPH;
use super::schema::Kind;
use super::schema::MESSAGE;
use super::schema::MODEL;
use super::schema::REDACTION;
use super::schema::ROLES;
use super::schema::TIMING;
use super::schema::TOKENS;
use super::schema::TOOL_CALL;
use super::schema::TOOL_CALLS;
use super::schema::TOOL_EXECUTION;
use super::schema::TOOL_LATENCIES;
use super::schema::TRIGGERS;
use super::schema::USER;
use super::schema::WA_META;
use crate::event::Event;
use crate::event::Message;
use crate::event::ToolCall;
use crate::event::ToolExecution;
use arrow_array::ArrayRef;
use arrow_array::ArrowPrimitiveType;
use arrow_array::BooleanArray;
use arrow_array::ListArray;
use arrow_array::MapArray;
use arrow_array::PrimitiveArray;
use arrow_array::StringArray;
use arrow_array::StructArray;
use arrow_array::builder::StringBuilder;
use arrow_array::new_null_array;
use arrow_array::types::Float64Type;
use arrow_array::types::Int32Type;
use arrow_array::types::Int64Type;
use arrow_array::types::TimestampMicrosecondType;
use arrow_buffer::BooleanBuffer;
use arrow_buffer::NullBuffer;
use arrow_buffer::OffsetBuffer;
use arrow_schema::DataType;
use arrow_schema::Field;
use arrow_schema::Fields;
use arrow_schema::TimeUnit;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The Arrow field of a column.
pub(super) fn field(column: &Column) -> Field {
    Field::new(column.name, data_type(&column.kind), true)
}

/// The cells of a top-level column.
pub(super) fn array(column: &Column, rows: &[Option<&Event>]) -> ArrayRef {
    match column.name {
        "event_id" => text(rows, |row| filled(&row.event_id)),
        "event_type" => text(rows, |row| filled(&row.event_type)),
        "source" => text(rows, |row| filled(&row.source)),
        "dialect" => text(rows, |row| filled(&row.dialect)),
        "schema_version" => number::<Int32Type, _>(rows, |row| Some(row.schema_version)),
        "name" => text(rows, |row| filled(&row.name)),
        "timestamp" => time(rows, |row| Some(row.timestamp)),
        "ended_at" => time(rows, |row| row.ended_at),
        "received_at" => time(rows, |row| Some(row.received_at)),
        "conversation_id" => text(rows, |row| filled(&row.conversation_id)),
        "conversation_id_source" => text(rows, |row| filled(&row.conversation_id_source)),
        "run_id" => text(rows, |row| stated(&row.run_id)),
        "trace_id" => text(rows, |row| stated(&row.trace_id)),
        "span_id" => text(rows, |row| stated(&row.span_id)),
        "parent_span_id" => text(rows, |row| stated(&row.parent_span_id)),
        "status" => text(rows, |row| stated(&row.status)),
        "messages" => list(column, rows, |row| &row.messages, messages),
        "input_message_count" => number::<Int32Type, _>(rows, |row| row.input_message_count),
        "tools" => text(rows, |row| json(&row.tools)),
        "model" => model(rows),
        "tool_executions" => list(column, rows, |row| &row.tool_executions, tool_executions),
        "timing" => timing(rows),
        "tokens" => tokens(rows),
        "graph" => graph(rows),
        "agent" => agent(rows),
        "user" => user(rows),
        "wa_meta" => wa_meta(rows),
        "feedback" => feedback(rows),
        "error" => error(rows),
        "service" => text(rows, |row| stated(&row.service)),
        "env" => text(rows, |row| stated(&row.env)),
        "tags" => map(column, rows, |row| &row.tags, |values| text(values, |text| Some(text))),
        "metadata" => text(rows, |row| json(&row.metadata)),
        "details" => text(rows, |row| json(&row.details)),
        "attributes" => text(rows, |row| json(&row.attributes)),
        "resource" => text(rows, |row| json(&row.resource)),
        "redaction" => redaction(rows),
        "notes" => texts(column, rows, |row| &row.notes),
        // Held by a test: every column has its cells above.
        _ => new_null_array(&data_type(&column.kind), rows.len()),
    }
}

fn messages(items: &[Option<&Message>]) -> ArrayRef {
    let children = vec![
        text(items, |item| filled(&item.role)),
        text(items, |item| item.content.as_deref()),
        text(items, |item| item.content_parts.as_deref()),
        text(items, |item| item.reasoning.as_deref()),
        text(items, |item| stated(&item.name)),
        text(items, |item| stated(&item.tool_call_id)),
        list(&TOOL_CALLS, items, |item| &item.tool_calls, tool_calls),
        text(items, |item| stated(&item.finish_reason)),
    ];
    elements(MESSAGE, children)
}

fn tool_calls(items: &[Option<&ToolCall>]) -> ArrayRef {
    let children = vec![
        text(items, |item| stated(&item.id)),
        text(items, |item| stated(&item.r#type)),
        text(items, |item| filled(&item.name)),
        text(items, |item| item.arguments.as_deref()),
    ];
    elements(TOOL_CALL, children)
}

fn model(rows: &[Option<&Event>]) -> ArrayRef {
    let items = &inner(rows, |row| row.model.as_ref());
    let children = vec![
        text(items, |item| stated(&item.provider)),
        text(items, |item| stated(&item.request)),
        text(items, |item| stated(&item.response)),
        text(items, |item| stated(&item.response_id)),
        text(items, |item| stated(&item.operation)),
        text(items, |item| json(&item.parameters)),
        texts(&FINISH_REASONS, items, |item| &item.finish_reasons),
        truth(items, |item| item.stream),
    ];
    group(MODEL, children)
}

fn tool_executions(items: &[Option<&ToolExecution>]) -> ArrayRef {
    let children = vec![
        text(items, |item| stated(&item.call_id)),
        text(items, |item| filled(&item.name)),
        text(items, |item| stated(&item.r#type)),
        text(items, |item| stated(&item.status)),
        double(items, |item| item.latency_ms),
        text(items, |item| item.arguments.as_deref()),
        text(items, |item| item.result.as_deref()),
        text(items, |item| stated(&item.error)),
        text(items, |item| stated(&item.span_id)),
    ];
    elements(TOOL_EXECUTION, children)
}

fn timing(rows: &[Option<&Event>]) -> ArrayRef {
    let items = &inner(rows, |row| row.timing.as_ref());
    let children = vec![
        double(items, |item| item.total_latency_ms),
        double(items, |item| item.time_to_first_token_ms),
        text(items, |item| stated(&item.ttft_source)),
        map(&TOOL_LATENCIES, items, |item| &item.tool_latencies_ms, |values| double(values, |value| Some(*value))),
    ];
    group(TIMING, children)
}

fn tokens(rows: &[Option<&Event>]) -> ArrayRef {
    let items = &inner(rows, |row| row.tokens.as_ref());
    let children = vec![
        number::<Int64Type, _>(items, |item| item.prompt_tokens),
        number::<Int64Type, _>(items, |item| item.completion_tokens),
        number::<Int64Type, _>(items, |item| item.total_tokens),
        number::<Int64Type, _>(items, |item| item.cached_tokens),
        number::<Int64Type, _>(items, |item| item.cache_creation_tokens),
        number::<Int64Type, _>(items, |item| item.reasoning_tokens),
        double(items, |item| item.cost_usd),
        text(items, |item| stated(&item.cost_source)),
    ];
    group(TOKENS, children)
}

fn graph(rows: &[Option<&Event>]) -> ArrayRef {
    let items = &inner(rows, |row| row.graph.as_ref());
    let children = vec![
        text(items, |item| stated(&item.graph_id)),
        text(items, |item| stated(&item.node_path)),
        number::<Int64Type, _>(items, |item| item.step_index),
        text(items, |item| stated(&item.thread_id)),
        texts(&TRIGGERS, items, |item| &item.triggers),
    ];
    group(GRAPH, children)
}

fn agent(rows: &[Option<&Event>]) -> ArrayRef {
    let items = &inner(rows, |row| row.agent.as_ref());
    let children = vec![
        text(items, |item| stated(&item.id)),
        text(items, |item| stated(&item.name)),
        text(items, |item| stated(&item.description)),
    ];
    group(AGENT, children)
}

fn user(rows: &[Option<&Event>]) -> ArrayRef {
    let items = &inner(rows, |row| row.user.as_ref());
    let children = vec![
        text(items, |item| stated(&item.id)),
        text(items, |item| stated(&item.email)),
        text(items, |item| stated(&item.username)),
        text(items, |item| stated(&item.org)),
        texts(&ROLES, items, |item| &item.roles),
    ];
    group(USER, children)
}

fn wa_meta(rows: &[Option<&Event>]) -> ArrayRef {
    let items = &inner(rows, |row| row.wa_meta.as_ref());
    let children = vec![
        text(items, |item| stated(&item.direction)),
        text(items, |item| stated(&item.template_category)),
        truth(items, |item| item.delivered),
        truth(items, |item| item.read),
        truth(items, |item| item.blocked_reported),
        text(items, |item| stated(&item.message_id)),
        text(items, |item| stated(&item.phone_number)),
    ];
    group(WA_META, children)
}

fn feedback(rows: &[Option<&Event>]) -> ArrayRef {
    let items = &inner(rows, |row| row.feedback.as_ref());
    let children = vec![
        text(items, |item| stated(&item.r#type)),
        text(items, |item| item.value.as_deref()),
        text(items, |item| stated(&item.target)),
    ];
    group(FEEDBACK, children)
}

fn error(rows: &[Option<&Event>]) -> ArrayRef {
    let items = &inner(rows, |row| row.error.as_ref());
    let children = vec![
        text(items, |item| stated(&item.r#type)),
        text(items, |item| stated(&item.message)),
        text(items, |item| stated(&item.code)),
        text(items, |item| stated(&item.stack)),
    ];
    group(ERROR, children)
}

fn redaction(rows: &[Option<&Event>]) -> ArrayRef {
    let items = &inner(rows, |row| row.redaction.as_ref());
    let children = vec![
        text(items, |item| filled(&item.policy)),
        map(&COUNTS, items, |item| &item.counts, |values| number::<Int64Type, _>(values, |count| Some(*count))),
    ];
    group(REDACTION, children)
}

fn filled(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

fn stated(text: &Option<String>) -> Option<&str> {
    text.as_deref().and_then(filled)
}

fn json(text: &Option<String>) -> Option<&str> {
    text.as_deref().filter(|text| !is_empty_json(text))
}

/// The structs of a column.
fn inner<'a, T, U>(items: &[Option<&'a T>], get: impl Fn(&'a T) -> Option<&'a U>) -> Vec<Option<&'a U>> {
    items.iter().map(|item| item.and_then(&get)).collect()
}

fn text<T: ?Sized>(items: &[Option<&T>], get: impl Fn(&T) -> Option<&str>) -> ArrayRef {
    let bytes = items.iter().map(|item| item.and_then(&get).map_or(0, str::len)).sum();
    let mut builder = StringBuilder::with_capacity(items.len(), bytes);
    for item in items {
        builder.append_option(item.and_then(&get));
    }
    Arc::new(builder.finish())
}

fn number<N: ArrowPrimitiveType, T>(items: &[Option<&T>], get: impl Fn(&T) -> Option<N::Native>) -> ArrayRef {
    let cells: PrimitiveArray<N> = items.iter().map(|item| item.and_then(&get)).collect();
    Arc::new(cells)
}

fn double<T>(items: &[Option<&T>], get: impl Fn(&T) -> Option<f64>) -> ArrayRef {
    number::<Float64Type, T>(items, |item| get(item).filter(|value| value.is_finite()))
}

fn time<T>(items: &[Option<&T>], get: impl Fn(&T) -> Option<i64>) -> ArrayRef {
    let cells: PrimitiveArray<TimestampMicrosecondType> = items.iter().map(|item| item.and_then(&get)).collect();
    Arc::new(cells.with_timezone("UTC"))
}

fn truth<T>(items: &[Option<&T>], get: impl Fn(&T) -> Option<bool>) -> ArrayRef {
    let cells: BooleanArray = items.iter().map(|item| item.and_then(&get)).collect();
    Arc::new(cells)
}

/// A struct column: null where all its fields are.
fn group(columns: &[Column], children: Vec<ArrayRef>) -> ArrayRef {
    let mut filled: Option<BooleanBuffer> = None;
    for child in &children {
        let Some(nulls) = child.nulls() else { return structs(columns, children, None) };
        filled = Some(match filled {
            Some(filled) => &filled | nulls.inner(),
            None => nulls.inner().clone(),
        });
    }
    let nulls = filled.map(NullBuffer::new);
    structs(columns, children, nulls)
}

/// The structs of a list: each is there.
fn elements(columns: &[Column], children: Vec<ArrayRef>) -> ArrayRef {
    structs(columns, children, None)
}

#[expect(clippy::expect_used, reason = "children are built from the same table as the fields, for the same items")]
fn structs(columns: &[Column], children: Vec<ArrayRef>, nulls: Option<NullBuffer>) -> ArrayRef {
    Arc::new(StructArray::try_new(fields(columns), children, nulls).expect("children fit their fields"))
}

fn list<'a, T, U: 'a>(
    column: &Column,
    items: &[Option<&'a T>],
    get: impl Fn(&'a T) -> &'a Vec<U>,
    build: impl Fn(&[Option<&'a U>]) -> ArrayRef,
) -> ArrayRef {
    let lists = || items.iter().map(|item| item.map_or(&[] as &[U], |item| get(item)));
    let flat: Vec<Option<&U>> = lists().flatten().map(Some).collect();
    let (offsets, nulls) = spread(lists().map(<[U]>::len), flat.len());
    let element = match data_type(&column.kind) {
        DataType::List(element) => element,
        other => Arc::new(Field::new("element", other, true)),
    };
    list_of(element, offsets, build(&flat), nulls)
}

fn texts<T>(column: &Column, items: &[Option<&T>], get: impl Fn(&T) -> &Vec<String>) -> ArrayRef {
    list(column, items, get, |flat| text(flat, |text| filled(text)))
}

fn map<'a, T, U: 'a>(
    column: &Column,
    items: &[Option<&'a T>],
    get: impl Fn(&'a T) -> &'a BTreeMap<String, U>,
    build: impl Fn(&[Option<&'a U>]) -> ArrayRef,
) -> ArrayRef {
    let maps = || items.iter().filter_map(|item| item.map(&get));
    let keys: StringArray = maps().flat_map(BTreeMap::keys).map(Some).collect();
    let values: Vec<Option<&U>> = maps().flat_map(BTreeMap::values).map(Some).collect();
    let (offsets, nulls) = spread(items.iter().map(|item| item.map_or(0, |item| get(item).len())), values.len());
    let entry = match data_type(&column.kind) {
        DataType::Map(entry, _) => entry,
        other => Arc::new(Field::new("key_value", other, false)),
    };
    map_of(entry, offsets, Arc::new(keys), build(&values), nulls)
}

#[expect(clippy::expect_used, reason = "offsets and nulls were counted over these very items")]
fn list_of(element: Arc<Field>, offsets: OffsetBuffer<i32>, values: ArrayRef, nulls: Option<NullBuffer>) -> ArrayRef {
    Arc::new(ListArray::try_new(element, offsets, values, nulls).expect("elements fit their list"))
}

#[expect(clippy::expect_used, reason = "offsets and nulls were counted over these very items")]
fn map_of(
    entry: Arc<Field>,
    offsets: OffsetBuffer<i32>,
    keys: ArrayRef,
    values: ArrayRef,
    nulls: Option<NullBuffer>,
) -> ArrayRef {
    let fields = match entry.data_type() {
        DataType::Struct(fields) => fields.clone(),
        _ => Fields::empty(),
    };
    let entries = StructArray::try_new(fields, vec![keys, values], None).expect("entries fit their fields");
    Arc::new(MapArray::try_new(entry, offsets, entries, nulls, false).expect("entries fit their map"))
}

/// Where each list ends, and which lists are null: those without an item.
fn spread(
    lengths: impl ExactSizeIterator<Item = usize> + Clone,
    total: usize,
) -> (OffsetBuffer<i32>, Option<NullBuffer>) {
    if total == 0 {
        return (OffsetBuffer::new_zeroed(lengths.len()), Some(NullBuffer::new_null(lengths.len())));
    }
    let nulls: NullBuffer = lengths.clone().map(|length| length > 0).collect::<Vec<_>>().into();
    (OffsetBuffer::from_lengths(lengths), Some(nulls))
}

fn fields(columns: &[Column]) -> Fields {
    columns.iter().map(field).collect()
}

fn data_type(kind: &Kind) -> DataType {
    match kind {
        Kind::Label | Kind::Id | Kind::Prose | Kind::Json => DataType::Utf8,
        Kind::Int32 => DataType::Int32,
        Kind::Int64 => DataType::Int64,
        Kind::Double => DataType::Float64,
        Kind::Bool => DataType::Boolean,
        Kind::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        Kind::Struct(columns) => DataType::Struct(fields(columns)),
        Kind::List(element) => DataType::List(Arc::new(field(element))),
        Kind::Map(key, value) => {
            let key = Field::new(key.name, data_type(&key.kind), false);
            let entry = DataType::Struct(Fields::from(vec![key, field(value)]));
            DataType::Map(Arc::new(Field::new("key_value", entry, false)), false)
        }
    }
}
