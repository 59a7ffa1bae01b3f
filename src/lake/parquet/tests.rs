use super::*;
use crate::event::Model;
use crate::event::Timing;
use crate::lake::samples::bare;
use crate::lake::samples::full;
use crate::lake::samples::some;
use parquet::file::metadata::ParquetMetaData;
use std::collections::BTreeSet;

fn read_back(bytes: Vec<u8>) -> Vec<Event> {
    read(Bytes::from(bytes), None, &[]).unwrap().flat_map(Result::unwrap).collect()
}

fn footer(bytes: Vec<u8>) -> ParquetMetaData {
    ParquetMetaDataReader::new()
        .with_page_index_policy(parquet::file::metadata::PageIndexPolicy::Required)
        .parse_and_finish(&Bytes::from(bytes))
        .unwrap()
}

#[test]
fn a_row_with_every_field_reads_back_equal() {
    let rows = [full(), bare("event-2", "conversation-1", 5), full()];
    assert_eq!(read_back(encode(&rows, 3).unwrap()), rows);
}

#[test]
fn what_is_empty_is_null() {
    let mut row = bare("e", "c", 1);
    row.status = some("");
    row.details = some("{}");
    row.model = Some(Model { provider: some(""), ..Model::default() });
    row.timing = Some(Timing { total_latency_ms: Some(f64::NAN), ..Timing::default() });
    assert_eq!(read_back(encode(&[row], 3).unwrap()), [bare("e", "c", 1)]);
}

#[test]
fn many_stretches_are_one_row_group_in_order() {
    let rows: Vec<_> = (0..5000).map(|at| bare(&format!("event-{at:05}"), "c", at)).collect();
    let bytes = encode(&rows, 3).unwrap();
    assert_eq!(footer(bytes.clone()).num_row_groups(), 1);
    assert_eq!(read_back(bytes), rows);
}

#[test]
fn one_conversation_is_picked() {
    let rows: Vec<_> = (0..3000).map(|at| bare(&format!("e{at}"), &format!("c{:02}", at / 100), at)).collect();
    let picked = read(Bytes::from(encode(&rows, 3).unwrap()), Some("c07"), &[]).unwrap();
    let ids: Vec<_> = picked.flat_map(Result::unwrap).map(|row| row.event_id).collect();
    assert_eq!(ids, (700..800).map(|at| format!("e{at}")).collect::<Vec<_>>());
}

#[test]
fn the_same_rows_are_the_same_bytes() {
    let rows = [full(), bare("event-2", "conversation-1", 5)];
    assert_eq!(encode(&rows, 3).unwrap(), encode(&rows, 3).unwrap());
}

#[test]
fn rows_have_their_order_indices_and_filters() {
    let meta = footer(encode(&[full()], 3).unwrap());
    let group = meta.row_group(0);
    let name = |at: i32| group.column(usize::try_from(at).unwrap()).column_path().string();
    let order: Vec<_> = group.sorting_columns().unwrap().iter().map(|column| name(column.column_idx)).collect();
    assert_eq!(order, schema::ORDER);
    let blooms: Vec<_> = group.columns().iter().filter(|column| column.bloom_filter_offset().is_some()).collect();
    let blooms: Vec<_> = blooms.iter().map(|column| column.column_path().string()).collect();
    assert_eq!(blooms, ["conversation_id", "trace_id", "user.id"]);
    assert!(group.columns().iter().all(|column| column.offset_index_offset().is_some()));
    assert!(group.columns()[0].column_index_offset().is_some());
}

/// Every column with its path and id, those with cells with their types.
fn listed(fields: &[Arc<Type>], path: &str, out: &mut Vec<String>) {
    for field in fields {
        let info = field.get_basic_info();
        let path = format!("{path}{}", field.name());
        let id = if info.has_id() { info.id().to_string() } else { "-".to_owned() };
        if field.is_group() {
            if info.has_id() {
                out.push(format!("{id} {path}"));
            }
            listed(field.get_fields(), &format!("{path}."), out);
        } else {
            let logical = info.logical_type_ref().map(|logical| format!(" {logical:?}")).unwrap_or_default();
            out.push(format!("{id} {path} {:?}{logical}", field.get_physical_type()));
        }
    }
}

/// Table formats know columns by these ids: a line may be added, never changed.
#[test]
fn field_ids_stand_for_ever() {
    let root = root().unwrap();
    let mut lines = Vec::new();
    listed(root.get_fields(), "", &mut lines);
    let ids: BTreeSet<_> = lines.iter().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(ids.len(), lines.len(), "two columns share an id, or one has none");
    lines.sort_by_key(|line| line.split(' ').next().unwrap().parse::<i32>().unwrap());
    assert_eq!(format!("{}\n", lines.join("\n")), include_str!("field_ids.txt"));
}

#[test]
fn every_column_of_the_table_has_cells() {
    let full = full();
    for column in COLUMNS {
        let cells = columns::array(column, &[Some(&full)]);
        assert_eq!(arrow_array::Array::null_count(&cells), 0, "{}", column.name);
        assert_eq!(arrow_array::Array::data_type(&cells), columns::field(column).data_type(), "{}", column.name);
    }
}

#[test]
fn a_file_of_ours_fits_and_one_with_another_column_does_not() {
    assert_eq!(check(&Bytes::from(encode(&[full(), full()], 1).unwrap())).unwrap(), 2);
    let column = |name, id| Type::primitive_type_builder(name, Physical::INT64).with_id(Some(id)).build().unwrap();
    let other = |field: Type| {
        let root = Type::group_type_builder("other").with_fields(vec![Arc::new(field)]).build().unwrap();
        let writer = SerializedFileWriter::new(Vec::new(), Arc::new(root), Arc::default()).unwrap();
        check(&Bytes::from(writer.into_inner().unwrap()))
    };
    let mut fields = root().unwrap().get_fields().to_vec();
    fields.push(Arc::new(column("of_tomorrow", 9999)));
    let more = Type::group_type_builder("other").with_fields(fields).build().unwrap();
    let writer = SerializedFileWriter::new(Vec::new(), Arc::new(more), Arc::default()).unwrap();
    assert_eq!(check(&Bytes::from(writer.into_inner().unwrap())).unwrap(), 0, "one column more");
    assert!(other(column("x", 9999)).unwrap_err().to_string().contains("event_id is missing"));
    assert!(other(column("event_id", 1)).is_err(), "another type");
    assert!(other(column("of_tomorrow", 1)).is_err(), "an id of ours");
}
