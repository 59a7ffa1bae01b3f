//! Arrow arrays of texts, numbers, structs, lists and maps, from what a function picks of each item.

use super::field;
use crate::lake::is_empty_json;
use crate::lake::schema::Column;
use crate::lake::schema::Kind;
use arrow_array::ArrayRef;
use arrow_array::ArrowPrimitiveType;
use arrow_array::BooleanArray;
use arrow_array::ListArray;
use arrow_array::MapArray;
use arrow_array::PrimitiveArray;
use arrow_array::StringArray;
use arrow_array::StructArray;
use arrow_array::builder::StringBuilder;
use arrow_array::types::Float64Type;
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

pub(super) fn filled(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

pub(super) fn stated(text: &Option<String>) -> Option<&str> {
    text.as_deref().and_then(filled)
}

pub(super) fn json(text: &Option<String>) -> Option<&str> {
    text.as_deref().filter(|text| !is_empty_json(text))
}

/// The structs of a column.
pub(super) fn inner<'a, T, U>(items: &[Option<&'a T>], get: impl Fn(&'a T) -> Option<&'a U>) -> Vec<Option<&'a U>> {
    items.iter().map(|item| item.and_then(&get)).collect()
}

pub(super) fn text<T: ?Sized>(items: &[Option<&T>], get: impl Fn(&T) -> Option<&str>) -> ArrayRef {
    let bytes = items.iter().map(|item| item.and_then(&get).map_or(0, str::len)).sum();
    let mut builder = StringBuilder::with_capacity(items.len(), bytes);
    for item in items {
        builder.append_option(item.and_then(&get));
    }
    Arc::new(builder.finish())
}

pub(super) fn number<N: ArrowPrimitiveType, T>(
    items: &[Option<&T>],
    get: impl Fn(&T) -> Option<N::Native>,
) -> ArrayRef {
    let cells: PrimitiveArray<N> = items.iter().map(|item| item.and_then(&get)).collect();
    Arc::new(cells)
}

pub(super) fn double<T>(items: &[Option<&T>], get: impl Fn(&T) -> Option<f64>) -> ArrayRef {
    number::<Float64Type, T>(items, |item| get(item).filter(|value| value.is_finite()))
}

pub(super) fn time<T>(items: &[Option<&T>], get: impl Fn(&T) -> Option<i64>) -> ArrayRef {
    let cells: PrimitiveArray<TimestampMicrosecondType> = items.iter().map(|item| item.and_then(&get)).collect();
    Arc::new(cells.with_timezone("UTC"))
}

pub(super) fn truth<T>(items: &[Option<&T>], get: impl Fn(&T) -> Option<bool>) -> ArrayRef {
    let cells: BooleanArray = items.iter().map(|item| item.and_then(&get)).collect();
    Arc::new(cells)
}

/// A struct column: null where all its fields are.
pub(super) fn group(columns: &[Column], children: Vec<ArrayRef>) -> ArrayRef {
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
pub(super) fn elements(columns: &[Column], children: Vec<ArrayRef>) -> ArrayRef {
    structs(columns, children, None)
}

#[expect(clippy::expect_used, reason = "children are built from the same table as the fields, for the same items")]
fn structs(columns: &[Column], children: Vec<ArrayRef>, nulls: Option<NullBuffer>) -> ArrayRef {
    Arc::new(StructArray::try_new(fields(columns), children, nulls).expect("children fit their fields"))
}

pub(super) fn list<'a, T, U: 'a>(
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

pub(super) fn texts<T>(column: &Column, items: &[Option<&T>], get: impl Fn(&T) -> &Vec<String>) -> ArrayRef {
    list(column, items, get, |flat| text(flat, |text| filled(text)))
}

pub(super) fn map<'a, T, U: 'a>(
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

pub(super) fn data_type(kind: &Kind) -> DataType {
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
