use super::*;
use crate::lake::encode;
use crate::lake::encode::Format;
use crate::lake::jsonl::Compression;
use crate::lake::jsonl::ToolCallForm;
use crate::lake::samples::bare;
use crate::lake::samples::full;

fn formats() -> Vec<Format> {
    let lines = |compression| Format::JsonLines { form: ToolCallForm::OpenAi, compression };
    vec![
        Format::Parquet { level: 1 },
        Format::Proto,
        lines(Compression::None),
        lines(Compression::Gzip),
        lines(Compression::Zstd),
    ]
}

fn file(format: Format, rows: Vec<Event>) -> (manifest::File, Bytes) {
    let template = "all".parse().unwrap();
    let settings = encode::Settings { format, template, partitions: 1, file_bytes: u64::MAX };
    let mut encoder = encode::Encoder::new(&settings, &"w".parse().unwrap(), 1);
    let file = encoder.files(rows.into_iter().map(Box::new).collect()).next().unwrap().unwrap();
    (file.facts, Bytes::from(file.bytes))
}

fn ids(file: &manifest::File, bytes: &Bytes, pick: &Pick) -> Vec<String> {
    let rows = rows(file, bytes.clone(), pick).unwrap();
    rows.flat_map(Result::unwrap).map(|row| row.event_id).collect()
}

#[test]
fn every_form_gives_its_rows_and_those_of_one_conversation() {
    for format in formats() {
        let all: Vec<_> = (0..900).map(|at| bare(&format!("e{at:03}"), &format!("c{}", at / 300), at)).collect();
        let wanted: Vec<String> = all.iter().map(|row| row.event_id.clone()).collect();
        let (file, bytes) = file(format, all);
        assert_eq!(ids(&file, &bytes, &Pick::default()), wanted, "{}", file.key);
        let pick = Pick { conversation: Some("c1".to_owned()), columns: &["event_id", "conversation_id"] };
        assert_eq!(ids(&file, &bytes, &pick), wanted[300..600], "{}", file.key);
        assert_eq!(check(&file, &bytes), Ok(()), "{}", file.key);
    }
}

#[test]
fn columns_that_are_not_wanted_are_not_read() {
    let (file, bytes) = file(Format::Parquet { level: 1 }, vec![full()]);
    let pick = Pick { columns: &["event_id", "model.request"], ..Pick::default() };
    let row = rows(&file, bytes, &pick).unwrap().next().unwrap().unwrap().swap_remove(0);
    let model = row.model.unwrap();
    assert_eq!((row.event_id, row.messages.len(), model.provider), (full().event_id, 0, None));
    assert_eq!(model.request, full().model.unwrap().request);
}

#[test]
fn damage_and_other_numbers_are_told() {
    for format in formats() {
        let (file, bytes) = file(format, vec![full()]);
        let mut damaged = bytes.to_vec();
        *damaged.last_mut().unwrap() ^= 1;
        assert!(check(&file, &Bytes::from(damaged)).unwrap_err().contains("SHA-256"));
        assert!(check(&file, &bytes.slice(1..)).unwrap_err().contains("bytes"));
        let more = manifest::File { rows: 2, ..file.clone() };
        assert_eq!(check(&more, &bytes).unwrap_err(), "has 1 rows, the manifest says 2");
        let junk = Bytes::from_static(b"\x07junk");
        let other = manifest::File { bytes: 5, sha256: sha256(&junk), ..file };
        let said = check(&other, &junk).unwrap_err();
        assert!(said.contains("not a ") || said.contains("has 0 rows"), "{said}");
    }
    let bare = [Event { name: "x".to_owned(), ..Event::default() }];
    let bytes = Bytes::from(proto::encode(&bare));
    let length = u64::try_from(bytes.len()).unwrap();
    let (facts, _) = file(Format::Proto, vec![full()]);
    let other = manifest::File { bytes: length, sha256: sha256(&bytes), ..facts };
    assert!(check(&other, &bytes).unwrap_err().contains("event_id or event_type is missing"));
    let unknown = manifest::File { format: "orc".to_owned(), ..file(Format::Proto, vec![full()]).0 };
    assert!(matches!(rows(&unknown, Bytes::new(), &Pick::default()), Err(ReadError::Form(_))));
}
