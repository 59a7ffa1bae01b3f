use super::*;
use crate::lake::samples::bare;
use crate::lake::samples::full;
use crate::lake::samples::some;
use bytes::Bytes;

const NOW: i64 = 1_795_251_601_250_000;
const FILE_BYTES: u64 = 1 << 20;

fn settings(format: Format) -> Settings {
    Settings {
        format,
        template: crate::lake::partition::DEFAULT.parse().unwrap(),
        partitions: 100,
        file_bytes: FILE_BYTES,
    }
}

fn formats() -> Vec<Format> {
    let lines = |compression| Format::JsonLines { form: ToolCallForm::OpenAi, compression };
    vec![
        Format::Parquet { level: 3 },
        lines(Compression::None),
        lines(Compression::Gzip),
        lines(Compression::Zstd),
        Format::Proto,
    ]
}

fn encoded(settings: &Settings, rows: Vec<Event>) -> Vec<File> {
    let mut encoder = Encoder::new(settings, &"w".parse().unwrap(), 7);
    encoder.files(rows.into_iter().map(Box::new).collect()).map(Result::unwrap).collect()
}

#[test]
fn files_stand_under_derived_keys_with_their_facts() {
    for format in formats() {
        let (ending, name) = (format.ending(), format.name());
        let rows =
            vec![bare("b", "c2", NOW), bare("a", "c1", NOW + 5), Event { received_at: NOW, ..bare("c", "c1", 0) }];
        let files = encoded(&settings(format), rows);
        assert_eq!(files.len(), 1);
        let facts = &files[0].facts;
        assert_eq!(facts.key, format!("events/date=2026-11-21/w-000000000007-000{ending}"));
        assert_eq!((facts.format.as_str(), facts.rows), (name, 3));
        assert_eq!(facts.bytes, u64::try_from(files[0].bytes.len()).unwrap());
        assert_eq!(facts.sha256, sha256(&files[0].bytes));
        assert_eq!(facts.partition, BTreeMap::from([("date".to_owned(), some("2026-11-21"))]));
        let conversations = Bounds { min: "c1".to_owned(), max: "c2".to_owned() };
        assert_eq!(facts.bounds["conversation_id"], conversations);
        assert_eq!(facts.bounds["timestamp"].min, "1970-01-01T00:00:00Z");
        assert_eq!(facts.bounds["timestamp"].max, "2026-11-21T09:00:01.250005Z");
    }
}

#[test]
fn rows_of_a_file_are_in_order() {
    let rows = vec![bare("b", "c2", NOW), bare("z", "c1", NOW + 1), bare("y", "c1", NOW), bare("x", "c1", NOW + 1)];
    let files = encoded(&settings(Format::Proto), rows);
    let mut rest = files[0].bytes.as_slice();
    let ids: Vec<_> = std::iter::from_fn(|| proto::next(&mut rest)).map(|row| row.unwrap().event_id).collect();
    assert_eq!(ids, ["y", "x", "z", "b"]);
}

#[test]
fn a_file_ends_before_it_is_too_large_and_a_larger_row_has_its_own() {
    let sized =
        |id: &str, bytes: usize| Event { attributes: some(&format!("\"{}\"", "x".repeat(bytes))), ..bare(id, id, NOW) };
    let whole = usize::try_from(FILE_BYTES).unwrap();
    let third = whole / 3;
    let rows = vec![
        sized("a", third),
        sized("b", third),
        sized("c", third),
        sized("d", whole + 1),
        sized("e", 1),
        sized("f", 1),
    ];
    for format in [Format::Parquet { level: 1 }, Format::Proto] {
        let files = encoded(&settings(format), rows.clone());
        let rows: Vec<_> = files.iter().map(|file| file.facts.rows).collect();
        assert_eq!(rows, [2, 1, 1, 2]);
        assert!(files[3].facts.key.contains("/w-000000000007-003."));
    }
}

#[test]
fn parts_are_counted_over_all_partitions() {
    let rows = (0..3).map(|at| bare("e", "c", NOW - at * 86_400_000_000)).collect();
    let files = encoded(&settings(Format::Proto), rows);
    let keys: Vec<_> = files.iter().map(|file| file.facts.key.as_str()).collect();
    assert_eq!(
        keys,
        [
            "events/date=2026-11-19/w-000000000007-000.pb",
            "events/date=2026-11-20/w-000000000007-001.pb",
            "events/date=2026-11-21/w-000000000007-002.pb",
        ]
    );
}

#[test]
fn every_format_holds_the_same_rows() {
    let rows = vec![full(), bare("e", "z", NOW)];
    let lines: Vec<u8> = rows.iter().fold(Vec::new(), |mut out, row| {
        jsonl::line(row, ToolCallForm::OpenAi, &mut out);
        out
    });
    for format in formats() {
        let bytes = encoded(&settings(format.clone()), rows.clone()).remove(0).bytes;
        match format {
            Format::Parquet { .. } => {
                let read: Vec<_> =
                    parquet::read(Bytes::from(bytes), None, &[]).unwrap().flat_map(Result::unwrap).collect();
                assert_eq!(read, rows);
            }
            Format::JsonLines { compression: Compression::None, .. } => assert_eq!(bytes, lines),
            Format::JsonLines { compression: Compression::Gzip, .. } => {
                let mut read = Vec::new();
                io::Read::read_to_end(&mut flate2::read::GzDecoder::new(bytes.as_slice()), &mut read).unwrap();
                assert_eq!(read, lines);
            }
            Format::JsonLines { compression: Compression::Zstd, .. } => {
                assert_eq!(zstd::decode_all(bytes.as_slice()).unwrap(), lines);
            }
            Format::Proto => assert_eq!(bytes, proto::encode(&rows)),
        }
    }
}

#[test]
fn dead_records_are_lines_by_the_date_of_arrival() {
    let record = |received_at, text: &str| Dead {
        received_at,
        door: "otlp".to_owned(),
        tenant: (text == "y").then(|| "shop".to_owned()),
        reason: "no ids".to_owned(),
        text: text.to_owned(),
    };
    let files = dead(&"w".parse().unwrap(), 7, &[record(NOW, "{\"a\"\n}"), record(0, "x"), record(NOW, "y")]);
    let keys: Vec<_> = files.iter().map(|file| (file.facts.key.as_str(), file.facts.rows)).collect();
    let expected =
        [("_dead/date=1970-01-01/w-000000000007-000.jsonl", 1), ("_dead/date=2026-11-21/w-000000000007-001.jsonl", 2)];
    assert_eq!(keys, expected);
    let expected = concat!(
        r#"{"received_at":"2026-11-21T09:00:01.250Z","source":"otlp","reason":"no ids","text":"{\"a\"\n}"}"#,
        "\n",
        r#"{"received_at":"2026-11-21T09:00:01.250Z","source":"otlp","tenant":"shop","reason":"no ids","text":"y"}"#,
        "\n"
    );
    assert_eq!(String::from_utf8(files[1].bytes.clone()).unwrap(), expected);
}

#[test]
fn bounds_of_long_texts_are_short_and_hold() {
    let long = "ü".repeat(1000);
    let bounds = bounds(&[Box::new(bare("e", &long, NOW))]);
    let bounds = &bounds["conversation_id"];
    assert!(bounds.min.as_str() <= long.as_str() && bounds.max.as_str() >= long.as_str());
    assert!(bounds.max.len() <= BOUND_BYTES + 4);
}
