//! Rows as JSON, from wherever they landed, made comparable.

use prost::Message as _;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// One row.
pub(crate) type Row = serde_json::Map<String, Value>;

/// The rows of JSON lines, ordered by event id, without `received_at`: the one column that tells when they came.
pub(crate) fn comparable(lines: &str) -> Vec<Row> {
    let mut rows: Vec<Row> = parse(lines);
    for row in &mut rows {
        assert!(row.remove("received_at").is_some(), "a row without received_at: {row:?}");
    }
    rows.sort_by_cached_key(|row| row["event_id"].as_str().expect("an event id").to_owned());
    rows
}

/// The rows of JSON lines as they stand.
pub(crate) fn parse(lines: &str) -> Vec<Row> {
    lines.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// All JSON lines below a folder, plain or compressed.
pub(crate) fn lines_below(folder: &Path) -> String {
    let mut lines = String::new();
    for file in files_below(folder) {
        let bytes = fs::read(&file).expect("a landed file can be read");
        let name = file.to_string_lossy();
        let plain = if name.ends_with(".jsonl") {
            bytes
        } else if name.ends_with(".jsonl.zst") {
            zstd::decode_all(bytes.as_slice()).expect("a whole file")
        } else if name.ends_with(".jsonl.gz") {
            let mut plain = Vec::new();
            std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(bytes.as_slice()), &mut plain)
                .expect("a whole file");
            plain
        } else {
            continue;
        };
        lines.push_str(std::str::from_utf8(&plain).expect("JSON lines are UTF-8"));
    }
    lines
}

/// The events of all `proto` files below a folder: length-delimited messages.
pub(crate) fn events_below(folder: &Path) -> Vec<chatlake::event::Event> {
    let mut events = Vec::new();
    for file in files_below(folder) {
        let name = file.to_string_lossy();
        if !name.contains(".pb") && !name.contains(".binpb") && !name.contains(".proto") {
            continue;
        }
        let bytes = fs::read(&file).expect("a landed file can be read");
        let plain =
            if name.ends_with(".zst") { zstd::decode_all(bytes.as_slice()).expect("a whole file") } else { bytes };
        let mut rest = plain.as_slice();
        while !rest.is_empty() {
            events.push(chatlake::event::Event::decode_length_delimited(&mut rest).expect("a whole message"));
        }
    }
    events
}

/// All files below a folder, in order of their paths.
pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.expect("an entry").path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort_unstable();
    files
}
