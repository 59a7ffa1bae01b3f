//! Arrow columns as one Parquet file, and back.
//!
//! | what | how |
//! |---|---|
//! | row groups | one a file; rows in the order given |
//! | columns | [`super::schema`]: optional, each with its field id; JSON and time by logical type |
//! | compression | zstd, pages of version 1 |
//! | labels | dictionary |
//! | ids | `DELTA_BYTE_ARRAY`: in this order neighbours share beginnings |
//! | long text | `DELTA_LENGTH_BYTE_ARRAY`, pages of 4 MiB, no bounds |
//! | times | `DELTA_BINARY_PACKED` |
//! | page index | on; Bloom filters on the columns of [`super::schema::BLOOM`] |
//!
//! Columns are written one after the other, so that one column's pages and compressor are in memory at a time.

#[cfg(test)]
mod tests;

use super::columns;
use super::rows;
use super::schema;
use super::schema::COLUMNS;
use super::schema::Column;
use super::schema::Kind;
use crate::event::Event;
use arrow_array::BooleanArray;
use arrow_array::cast::AsArray as _;
use arrow_schema::ArrowError;
use arrow_schema::Schema;
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ArrowPredicateFn;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::arrow::arrow_reader::RowFilter;
use parquet::arrow::arrow_writer::ArrowRowGroupWriterFactory;
use parquet::arrow::arrow_writer::compute_leaves;
use parquet::basic::Compression;
use parquet::basic::Encoding;
use parquet::basic::LogicalType;
use parquet::basic::Repetition;
use parquet::basic::TimeUnit;
use parquet::basic::Type as Physical;
use parquet::basic::ZstdLevel;
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaDataReader;
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::EnabledStatistics;
use parquet::file::properties::WriterProperties;
use parquet::file::properties::WriterPropertiesBuilder;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;
use parquet::schema::types::Type;
use std::borrow::Borrow;
use std::sync::Arc;

/// Columns that files of every version have.
const ALWAYS: [&str; 5] = ["event_id", "event_type", "timestamp", "conversation_id", "messages"];
/// Bytes of rows of which columns are built at a time: small enough to stay in a processor's cache.
const STRETCH: usize = 1 << 20;
/// Rows of which columns are built at a time.
const STRETCH_ROWS: usize = 1024;
/// Bytes of long text in a page, before compression.
const PROSE_PAGE: usize = 4 << 20;
/// Rows that are read at a time.
const BATCH: usize = 256;
/// Chance that a Bloom filter says yes in vain.
const BLOOM_FALSE: f64 = 0.01;

/// Encodes rows as one file.
///
/// # Errors
/// When a row is larger than the format can hold.
pub(super) fn encode(rows: &[impl Borrow<Event>], level: i32) -> Result<Vec<u8>, ParquetError> {
    let properties = Arc::new(properties(rows.len(), level)?);
    let root = Arc::new(root()?);
    let fields: Vec<_> = COLUMNS.iter().map(columns::field).collect();
    let mut file = SerializedFileWriter::new(Vec::new(), root, properties)?;
    let factory = ArrowRowGroupWriterFactory::new(&file, Arc::new(Schema::new(fields.clone())));
    let mut leaves = factory.create_column_writers(0)?.into_iter();
    let mut group = file.next_row_group()?;
    let stretches: Vec<Vec<Option<&Event>>> = stretches(rows);
    for (column, field) in COLUMNS.iter().zip(&fields) {
        let mut writers: Vec<_> = leaves.by_ref().take(width(&column.kind)).collect();
        for stretch in &stretches {
            let cells = columns::array(column, stretch);
            for (writer, leaf) in writers.iter_mut().zip(compute_leaves(field, &cells)?) {
                writer.write(&leaf)?;
            }
        }
        for writer in writers {
            writer.close()?.append_to_row_group(&mut group)?;
        }
    }
    group.close()?;
    file.into_inner()
}

/// Cuts rows where their bytes or their number reach the measure.
fn stretches(rows: &[impl Borrow<Event>]) -> Vec<Vec<Option<&Event>>> {
    let mut stretches = Vec::new();
    let (mut stretch, mut bytes) = (Vec::new(), 0);
    for row in rows.iter().map(Borrow::borrow) {
        bytes += weight(row);
        stretch.push(Some(row));
        if bytes >= STRETCH || stretch.len() >= STRETCH_ROWS {
            stretches.push(std::mem::take(&mut stretch));
            bytes = 0;
        }
    }
    if !stretch.is_empty() {
        stretches.push(stretch);
    }
    stretches
}

/// The bytes of a row, but for its short texts.
fn weight(row: &Event) -> usize {
    let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let messages = row.messages.iter().map(|message| {
        let calls = message.tool_calls.iter().map(|call| length(&call.arguments)).sum::<usize>();
        length(&message.content) + length(&message.content_parts) + length(&message.reasoning) + calls
    });
    let executions = row.tool_executions.iter().map(|run| length(&run.arguments) + length(&run.result));
    let columns = [&row.tools, &row.metadata, &row.details, &row.attributes, &row.resource];
    messages.chain(executions).chain(columns.map(length)).sum()
}

fn properties(rows: usize, level: i32) -> Result<WriterProperties, ParquetError> {
    let mut builder = WriterProperties::builder()
        .set_created_by(format!("chatlake version {}", env!("CARGO_PKG_VERSION")))
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(level)?))
        .set_max_row_group_row_count(None)
        .set_sorting_columns(Some(order()));
    visit(COLUMNS, &mut Vec::new(), &mut |path, kind| {
        let path = || ColumnPath::new(path.iter().map(|part| (*part).to_owned()).collect());
        builder = encoding(std::mem::take(&mut builder), path(), kind);
    });
    for path in schema::BLOOM {
        let path = ColumnPath::new(path.iter().map(|part| (*part).to_owned()).collect());
        let distinct = u64::try_from(rows).unwrap_or(u64::MAX).max(1);
        builder = builder
            .set_column_bloom_filter_max_ndv(path.clone(), distinct)
            .set_column_bloom_filter_fpp(path, BLOOM_FALSE);
    }
    Ok(builder.build())
}

fn encoding(builder: WriterPropertiesBuilder, path: ColumnPath, kind: &Kind) -> WriterPropertiesBuilder {
    match kind {
        Kind::Label | Kind::Bool => builder,
        Kind::Id => builder
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_encoding(path, Encoding::DELTA_BYTE_ARRAY),
        Kind::Prose | Kind::Json => builder
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_encoding(path.clone(), Encoding::DELTA_LENGTH_BYTE_ARRAY)
            .set_column_statistics_enabled(path.clone(), EnabledStatistics::None)
            .set_column_data_page_size_limit(path, PROSE_PAGE),
        Kind::Int32 | Kind::Int64 | Kind::Time => builder
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED),
        Kind::Double => builder.set_column_dictionary_enabled(path, false),
        // They have no cells of their own.
        Kind::Struct(_) | Kind::List(_) | Kind::Map(..) => builder,
    }
}

/// Calls `with` for every column that has cells, with its path.
fn visit(columns: &[Column], path: &mut Vec<&'static str>, with: &mut impl FnMut(&[&'static str], &Kind)) {
    for column in columns {
        path.push(column.name);
        let depth = path.len();
        match &column.kind {
            Kind::Struct(fields) => visit(fields, path, with),
            Kind::List(element) => {
                path.push("list");
                visit(std::slice::from_ref(*element), path, with);
            }
            Kind::Map(key, value) => {
                path.push("key_value");
                visit(std::slice::from_ref(*key), path, with);
                visit(std::slice::from_ref(*value), path, with);
            }
            kind => with(path, kind),
        }
        path.truncate(depth);
        path.pop();
    }
}

/// How many columns with cells a column has.
fn width(kind: &Kind) -> usize {
    match kind {
        Kind::Struct(fields) => fields.iter().map(|field| width(&field.kind)).sum(),
        Kind::List(element) => width(&element.kind),
        Kind::Map(key, value) => width(&key.kind) + width(&value.kind),
        _ => 1,
    }
}

/// The order of rows, as a file says it: by place among the columns with cells.
fn order() -> Vec<SortingColumn> {
    let place = |name| {
        let before = COLUMNS.iter().take_while(|column| column.name != name);
        before.map(|column| width(&column.kind)).sum::<usize>()
    };
    let sorting = |name| i32::try_from(place(name)).ok();
    schema::ORDER
        .into_iter()
        .filter_map(sorting)
        .map(|column_idx| SortingColumn { column_idx, descending: false, nulls_first: false })
        .collect()
}

/// The schema of every file.
fn root() -> Result<Type, ParquetError> {
    Type::group_type_builder("chatlake").with_fields(types(COLUMNS)?).build()
}

fn types(columns: &[Column]) -> Result<Vec<Arc<Type>>, ParquetError> {
    columns.iter().map(|column| Ok(Arc::new(parquet_type(column, Repetition::OPTIONAL)?))).collect()
}

fn parquet_type(column: &Column, repetition: Repetition) -> Result<Type, ParquetError> {
    let leaf = |physical, logical| {
        Type::primitive_type_builder(column.name, physical)
            .with_repetition(repetition)
            .with_logical_type(logical)
            .with_id(Some(column.id))
            .build()
    };
    let group = |logical, fields| {
        Type::group_type_builder(column.name)
            .with_repetition(repetition)
            .with_logical_type(logical)
            .with_fields(fields)
            .with_id(Some(column.id))
            .build()
    };
    let repeated =
        |name, fields| Type::group_type_builder(name).with_repetition(Repetition::REPEATED).with_fields(fields).build();
    match &column.kind {
        Kind::Label | Kind::Id | Kind::Prose => leaf(Physical::BYTE_ARRAY, Some(LogicalType::String)),
        Kind::Json => leaf(Physical::BYTE_ARRAY, Some(LogicalType::Json)),
        Kind::Int32 => leaf(Physical::INT32, None),
        Kind::Int64 => leaf(Physical::INT64, None),
        Kind::Double => leaf(Physical::DOUBLE, None),
        Kind::Bool => leaf(Physical::BOOLEAN, None),
        Kind::Time => {
            let utc = true;
            leaf(Physical::INT64, Some(LogicalType::timestamp(utc, TimeUnit::MICROS)))
        }
        Kind::Struct(fields) => group(None, types(fields)?),
        Kind::List(element) => {
            let list = repeated("list", types(std::slice::from_ref(*element))?)?;
            group(Some(LogicalType::List), vec![Arc::new(list)])
        }
        Kind::Map(key, value) => {
            let key = parquet_type(key, Repetition::REQUIRED)?;
            let entry =
                repeated("key_value", vec![Arc::new(key), Arc::new(parquet_type(value, Repetition::OPTIONAL)?)])?;
            group(Some(LogicalType::Map), vec![Arc::new(entry)])
        }
    }
}

/// Reads the rows of a file, a batch at a time. `conversation` picks rows: of the others no more than the conversation
/// id is read. `columns` picks columns; all, when empty.
///
/// # Errors
/// When the bytes are no Parquet file.
pub(super) fn read(file: Bytes, conversation: Option<&str>, columns: &[&str]) -> Result<Batches, ParquetError> {
    // The file's own schema, whatever a writer says about the types that it had in memory.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let mut builder = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options)?.with_batch_size(BATCH);
    if !columns.is_empty() {
        let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
        builder = builder.with_projection(mask);
    }
    if let Some(conversation) = conversation {
        let mask = ProjectionMask::columns(builder.parquet_schema(), ["conversation_id"]);
        let conversation = conversation.to_owned();
        let picked = ArrowPredicateFn::new(mask, move |batch| {
            let ids = batch.columns().first().and_then(|column| column.as_string_opt::<i32>());
            let picked = ids.map(|ids| ids.iter().map(|id| Some(id == Some(&conversation))).collect());
            Ok(picked.unwrap_or_else(|| BooleanArray::from(vec![true; batch.num_rows()])))
        });
        builder = builder.with_row_filter(RowFilter::new(vec![Box::new(picked)]));
    }
    Ok(Batches { reader: builder.build()? })
}

/// The number of rows of a file whose columns are ours: one that has a name or an id of ours has both, and our type.
///
/// # Errors
/// When it is no Parquet file, or a column of it is another.
pub(super) fn check(file: &Bytes) -> Result<u64, ParquetError> {
    let footer = ParquetMetaDataReader::new().parse_and_finish(file)?.file_metadata().clone();
    let found = footer.schema_descr().root_schema();
    fits(found, &root()?)?;
    let has = |name: &&str| found.get_fields().iter().any(|field| field.name() == *name);
    if let Some(missing) = ALWAYS.iter().find(|name| !has(name)) {
        return Err(ParquetError::General(format!("column {missing} is missing, which every version has")));
    }
    Ok(u64::try_from(footer.num_rows()).unwrap_or_default())
}

fn fits(found: &Type, ours: &Type) -> Result<(), ParquetError> {
    for field in found.get_fields() {
        let (name, id) = (field.name(), field.get_basic_info().has_id().then(|| field.get_basic_info().id()));
        let by_name = ours.get_fields().iter().find(|our| our.name() == name);
        let by_id =
            ours.get_fields().iter().find(|our| our.get_basic_info().has_id() && Some(our.get_basic_info().id()) == id);
        let Some(our) = by_name.or(by_id) else { continue };
        let is_ours = our.get_basic_info() == field.get_basic_info()
            && our.is_primitive() == field.is_primitive()
            && (!our.is_primitive() || our.get_physical_type() == field.get_physical_type());
        if !is_ours {
            return Err(ParquetError::General(format!("column {name} is not the column that this program knows")));
        }
        if !our.is_primitive() {
            fits(field, our)?;
        }
    }
    Ok(())
}

/// The rows of a file, in batches.
#[derive(Debug)]
pub(super) struct Batches {
    reader: ParquetRecordBatchReader,
}

impl Iterator for Batches {
    type Item = Result<Vec<Event>, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.reader.next()?.map(|batch| rows::rows(&batch)))
    }
}
