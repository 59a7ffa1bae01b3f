use super::*;
use crate::fold::account::Fate;
use std::fs;
use std::path::Path;

fn digest(inputs: &[&Path]) -> u128 {
    let inputs: Vec<PathBuf> = inputs.iter().map(|path| path.to_path_buf()).collect();
    let mut hasher = Xxh3::new();
    Inputs::new(&inputs).digest(&mut hasher);
    hasher.digest128()
}

#[test]
fn a_run_is_known_by_the_names_bytes_and_order_of_its_files() {
    let folder = tempfile::tempdir().unwrap();
    let (run, copy) = (folder.path().join("run"), folder.path().join("copy"));
    for folder in [&run, &copy] {
        fs::create_dir(folder).unwrap();
        fs::write(folder.join("1-traces.json"), "{}").unwrap();
        fs::write(folder.join("2-traces.json"), "{\"resourceSpans\":[]}").unwrap();
    }
    let known = digest(&[&run]);
    assert_eq!(known, digest(&[&copy]), "wherever it stands");
    assert_ne!(known, digest(&[&run, &copy]));
    fs::write(copy.join("notes.txt"), "not read").unwrap();
    assert_eq!(known, digest(&[&copy]));
    fs::write(copy.join("2-traces.json"), "{\"resourceSpans\":[] }").unwrap();
    assert_ne!(known, digest(&[&copy]));
    let (one, two) = (run.join("1-traces.json"), run.join("2-traces.json"));
    assert_ne!(digest(&[&one, &two]), digest(&[&two, &one]));
}

#[test]
fn hashes_need_a_key_and_the_server_s_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let environment = [
        ("CHATLAKE_REDACTION__POLICY".to_owned(), "strict".to_owned()),
        ("CHATLAKE_DATA__DIR".to_owned(), folder.path().display().to_string()),
    ];
    let config = Config::read(None, &environment.into()).unwrap();
    assert!(redactor(&config).unwrap_err().contains("redaction.hash_key"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "convert makes no files there");
    redact::load_or_create(folder.path()).unwrap();
    assert!(redactor(&config).is_ok());
}

/// What a file of this name and content gives: records of each request, or words.
fn read(name: &str, content: &[u8]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(name);
    fs::write(&file, content).unwrap();
    let place = format!("{}/", folder.path().display());
    let of = |item| match item {
        Item::Request(Request { body: Body::Traces(request), notes, .. }) => {
            let spans = request.resource_spans.iter().flat_map(|one| &one.scope_spans).flat_map(|one| &one.spans);
            format!("{} {:?}", spans.map(|span| span.name.as_str()).collect::<Vec<_>>().join(","), notes)
        }
        Item::Request(Request { body: Body::Logs(_), .. }) => "logs".to_owned(),
        Item::Skipped(why) => format!("skipped {}", why.replace(&place, "")),
        Item::Fault(what) => format!("fault {}", what.replace(&place, "")),
    };
    Inputs::new(&[file]).map(of).collect()
}

fn span(name: &str) -> String {
    format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{"name":"{name}"}}]}}]}}]}}"#)
}

#[test]
fn a_line_that_cannot_be_read_costs_itself_only() {
    let lines = format!("{}\n{}\n\n{{\"resourceSpans\":[tru\n{}\n{}", span("a"), span("b"), span("c"), r#"{"a":1}"#);
    assert_eq!(
        read("x.jsonl", lines.as_bytes()),
        [
            "a []",
            "b []",
            "fault x.jsonl: line 4: not JSON: resourceSpans: no json value at byte 143",
            "c []",
            "fault x.jsonl: line 6: neither traces nor logs in JSON",
        ]
    );
    let mut cut = format!("{}\n{}", span("a"), span("b"));
    cut.truncate(cut.len() - 20);
    let told = read("x.json", cut.as_bytes());
    assert_eq!(told[0], "a []");
    assert!(told[1].starts_with("fault x.json: line 2: not JSON: ") && told[1].contains("ends"), "{told:?}");
    let wrong = r#"{"resourceSpans":[{"scopeSpans":[{"spans":{}}]}]}"#;
    let told = read("x.json", wrong.as_bytes());
    assert!(told[0].contains("not OTLP: resourceSpans[0].scopeSpans[0].spans: expected a list"), "{told:?}");
}

#[test]
fn files_are_read_as_leniently_as_requests() {
    let text =
        b"\xef\xbb\xbf{\"schemaUrl\":NaN,\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{\"name\":\"\\ud800\"}]}]}]}";
    assert_eq!(read("x.json", text), ["\u{fffd} [(0, \"invalid utf-8 replaced\")]"]);
    assert_eq!(read("x", text), ["\u{fffd} [(0, \"invalid utf-8 replaced\")]"], "by its first bytes");
    // A span whose name is no UTF-8.
    let span = [&[0x0a, 16][..], &[1; 16], &[0x12, 8], &[2; 8], &[0x2a, 2, b'a', 0xff]].concat();
    let of = |field: u8, content: &[u8]| [&[field << 3 | 2, u8::try_from(content.len()).unwrap()], content].concat();
    let request = of(1, &of(2, &of(2, &span)));
    for name in ["x.pb", "1-traces.pb", "x"] {
        assert_eq!(read(name, &request), ["a\u{fffd} [(0, \"invalid utf-8 replaced\")]"], "{name}");
    }
}

#[test]
fn what_cannot_be_read_says_the_way_out() {
    assert_eq!(read("x.json", b"\x1f\x8b\x08"), ["fault x.json: compressed with gzip: unpack it first"]);
    assert_eq!(read("x-metrics.pb", b""), ["skipped x-metrics.pb: metrics carry no conversations"]);
    let told: Vec<_> = Inputs::new(&["s3://bucket/x".into()]).collect();
    assert!(matches!(&told[..], [Item::Fault(why)] if why.contains("files of this machine")), "{told:?}");
}

#[test]
fn the_last_line_accounts_for_every_record() {
    let decided = [(Fate::Landed, 3), (Fate::Merged, 4), (Fate::LeftOut("unknown"), 2), (Fate::Deduplicated, 1)];
    let mut account = Account::default();
    account.received = 10;
    account.decided = decided.into();
    let packed = crate::lake::pack::Packed { rows: 3, bytes: 2048, ..Default::default() };
    let summary = Summary { files: 2, bytes: 4096, seconds: 2.0, packed, account };
    assert_eq!(
        summary.to_string(),
        "read 10 records in 2 files, 4.00 KiB; wrote 3 rows, 2.00 KiB; 0.0 MB/s, 2 rows/s; 4 told in rows of others; \
         2 left out (unknown); 1 had come before"
    );
}
