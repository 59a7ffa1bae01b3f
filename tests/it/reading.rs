//! Reading back: lakes are verified and read by their manifests, on disk and in buckets; a running server is asked.

use super::support::child::Child;
use super::support::corpus;
use super::support::duck::S3;
use super::support::rows::files_below;
use super::support::server::{Setup, aws, program};
use super::support::{go, readme, s3, skip, until};
use serde_json::{Value, json};
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

/// A conversation of the golden runs, with tools.
const CONVERSATION: &str = "thread-weather-42";

fn run(command: &mut Command) -> (i32, String, String) {
    let output = command.output().expect("the program starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the program prints UTF-8");
    (output.status.code().expect("it was not killed"), text(output.stdout), text(output.stderr))
}

/// Runs a command that must work.
fn good(command: &mut Command) -> String {
    let (code, out, err) = run(command);
    assert_eq!(code, 0, "{command:?}: {out}{err}");
    out
}

/// The program, in a folder and with a bucket.
fn with(folder: &Path, s3: Option<&S3>) -> Command {
    let mut command = program();
    command.current_dir(folder).envs(s3.map(aws).unwrap_or_default());
    command
}

fn convert(folder: &Path, to: &str, format: &str, s3: Option<&S3>) {
    let runs = corpus::golden();
    let mut command = with(folder, s3);
    // Several files: one for each type.
    command.env("CHATLAKE_STORE__PARTITION", "event_type={event_type}");
    command.arg("convert").args(runs.iter().map(|run| &run.folder)).args(["--to", to, "--format", format]);
    good(&mut command);
}

/// Damages a lake whose objects are files below `files`, and expects that it is told.
fn faults_are_told(folder: &Path, lake: &str, files: &Path, s3: Option<&S3>) {
    let verify = || run(with(folder, s3).args(["verify", lake]));
    let (code, out, err) = verify();
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.lines().last().is_some_and(|line| line.trim_start().starts_with("all")), "{out}");

    let name = |file: &PathBuf| file.file_name().expect("a name").to_string_lossy().into_owned();
    let events: Vec<PathBuf> = files_below(&files.join("events"));
    let (one, two) = (&events[0], &events[1]);
    let bytes = fs::read(one).expect("readable");
    let mut damaged = bytes.clone();
    *damaged.last_mut().expect("not empty") ^= 1;
    fs::write(one, damaged).expect("written");
    let away = folder.join("away");
    fs::rename(two, &away).expect("moved");
    let (code, out, _) = verify();
    assert_eq!(code, 1, "{out}");
    assert!(out.contains(&name(one)) && out.contains("SHA-256"), "{out}");
    assert!(out.contains(&name(two)) && out.contains("is missing"), "{out}");
    // In a few years nothing of this was ever written.
    good(with(folder, s3).args(["verify", lake, "--since", "2200-01-01"]));
    fs::write(one, bytes).expect("written");
    fs::rename(&away, two).expect("moved");
    assert_eq!(verify().0, 0);

    // An object that no manifest lists is a fault once it is old: its manifest may be on its way.
    let stray = two.with_file_name("stray.parquet");
    fs::copy(two, &stray).expect("copied");
    let (code, out, _) = verify();
    assert!(code == 0 && out.contains("1 objects are younger than 15 minutes"), "{code}: {out}");
    let hour = SystemTime::now() - Duration::from_secs(3600);
    fs::File::options().append(true).open(&stray).and_then(|file| file.set_modified(hour)).expect("older");
    let (code, out, _) = verify();
    assert!(code == 1 && out.contains("stray.parquet: no manifest lists it"), "{code}: {out}");
    fs::remove_file(&stray).expect("removed");

    // A manifest that says something else than what is there.
    let manifests = files_below(&files.join("_commits"));
    let manifest = manifests.iter().find(|path| path.extension().is_some_and(|end| end == "json")).expect("one");
    let good = fs::read(manifest).expect("readable");
    let says = |change: fn(&mut Value)| {
        let mut other: Value = serde_json::from_slice(&good).expect("JSON");
        change(&mut other);
        fs::write(manifest, other.to_string()).expect("written");
        let (code, out, _) = verify();
        assert_eq!(code, 1, "{out}");
        fs::write(manifest, &good).expect("written");
        out
    };
    let rows = says(|manifest| manifest["files"][0]["rows"] = json!(12345));
    assert!(rows.contains("rows, the manifest says 12345"), "{rows}");
    let chain = says(|manifest| manifest["previous"] = json!(0));
    assert!(chain.contains("whose manifest is missing"), "{chain}");
    let books = says(|manifest| manifest["accounting"]["received"] = json!(99_999));
    assert!(books.contains("do not balance"), "{books}");
    assert_eq!(verify().0, 0);
}

#[test]
fn a_lake_is_verified_and_faults_are_told() {
    for format in ["parquet", "jsonl", "proto"] {
        let folder = TempDir::new().expect("a folder");
        convert(folder.path(), "lake", format, None);
        faults_are_told(folder.path(), "lake", &folder.path().join("lake"), None);
    }
}

#[test]
fn a_folder_that_is_no_lake_is_no_good_lake() {
    let folder = TempDir::new().expect("a folder");
    let (code, _, err) = run(with(folder.path(), None).args(["verify", "."]));
    assert!(code == 1 && err.contains("no manifest"), "{code}: {err}");
    let (code, _, err) = run(with(folder.path(), None).args(["verify", "nowhere"]));
    assert!(code == 2 && err.contains("no such folder"), "{code}: {err}");
    let (code, _, err) = run(with(folder.path(), None).args(["verify", ".", "--since", "yesterday"]));
    assert!(code == 2 && err.contains("--since"), "{code}: {err}");
}

/// Everything that reads, on a lake in a bucket.
fn in_a_bucket(s3: &S3, folder: &Path) {
    let lake = "s3://my-bucket/some/lake";
    convert(folder, lake, "parquet", Some(s3));
    convert(folder, "lake", "parquet", None);
    faults_are_told(folder, lake, &folder.join("buckets/my-bucket/some/lake"), Some(s3));
    for words in [&["conversations"][..], &["conversation", CONVERSATION], &["tail", "--no-follow", "-n", "20"]] {
        let local = good(with(folder, None).args(words).arg("lake"));
        assert_eq!(good(with(folder, Some(s3)).args(words).arg(lake)), local, "{words:?}");
        assert!(local.lines().count() > 5, "{local}");
    }
    // Again is harmless, and under other keys nothing stands.
    convert(folder, lake, "parquet", Some(s3));
    good(with(folder, Some(s3)).args(["verify", lake]));
    let wrong = S3 { secret: "not-the-secret".to_owned(), ..s3.clone() };
    let (code, out, err) = run(with(folder, Some(&wrong)).args(["verify", lake]));
    assert_eq!(code, 74, "{out}{err}");
    assert!(err.contains("credentials") && !err.contains("not-the-secret"), "{err}");
}

#[test]
fn lakes_in_an_s3_server_of_this_process_are_read_and_verified() {
    let folder = TempDir::new().expect("a folder");
    let s3 = s3::serve_bucket(folder.path(), "my-bucket");
    in_a_bucket(&s3, folder.path());
}

#[test]
fn lakes_in_a_real_s3_server_are_read_and_verified() {
    let program = match go::versitygw() {
        Ok(program) => program,
        Err(why) => return skip("lakes_in_a_real_s3_server_are_read_and_verified", &why),
    };
    let folder = TempDir::new().expect("a folder");
    let (_child, s3) = go::serve_bucket(&program, folder.path(), "my-bucket");
    in_a_bucket(&s3, folder.path());
}

#[test]
fn a_conversation_reads_as_text_rows_and_a_request_in_every_format() {
    let folder = TempDir::new().expect("a folder");
    let shown = |lake: &str, format: &str| {
        good(with(folder.path(), None).args(["conversation", CONVERSATION, lake, "--format", format]))
    };
    for format in ["parquet", "jsonl", "proto"] {
        convert(folder.path(), format, format, None);
    }
    let text = shown("parquet", "text");
    assert!(text.contains("user\n") && text.contains("assistant") && text.contains("→ "), "{text}");
    for other in ["jsonl", "proto"] {
        assert_eq!(shown(other, "text"), text, "{other}");
        assert_eq!(shown(other, "request"), shown("parquet", "request"), "{other}");
    }
    let rows: Vec<Value> =
        shown("parquet", "json").lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(rows.iter().all(|row| row["conversation_id"] == CONVERSATION) && rows.len() > 2, "{rows:?}");
    let request: Value = serde_json::from_str(&shown("parquet", "request")).expect("JSON");
    assert!(request["model"].is_string() && request["messages"][0]["role"].is_string(), "{request}");
    let (code, _, err) = run(with(folder.path(), None).args(["conversation", "nobody", "parquet"]));
    assert!(code == 1 && err.contains("nobody"), "{code}: {err}");
    let csv = good(with(folder.path(), None).args(["conversations", "jsonl", "--format", "csv", "--limit", "0"]));
    assert!(csv.starts_with("conversation_id,first,last,turns,") && csv.contains(CONVERSATION), "{csv}");
}

#[test]
fn what_is_emitted_is_tailed_listed_and_shown_without_its_controls() {
    let folder = TempDir::new().expect("a folder");
    let setup = Setup::quick(folder.path());
    let command = |words: &[&str]| {
        let mut command = setup.command();
        command.args(words);
        command
    };
    let (code, _, err) = run(&mut command(&["emit", "{}"]));
    assert!(code == 1 && err.contains("receivers.otlp.http.endpoint"), "{code}: {err}");
    let (code, _, err) = run(&mut command(&["status"]));
    assert!(code == 1 && err.contains("admin.endpoint"), "{code}: {err}");
    // Where a proxy is said to stand before it, it is spoken to in TLS.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let proxy = format!("https://{}", listener.local_addr().expect("its address"));
    let hello = std::thread::spawn(move || {
        let mut first = [0; 2];
        listener.accept().expect("a connection").0.read_exact(&mut first).expect("a hello");
        first
    });
    let (code, _, err) = run(&mut command(&["emit", "{}", "--to", &proxy]));
    assert!(code == 1 && err.contains(&proxy), "{code}: {err}");
    assert_eq!(hello.join().expect("it ends"), [0x16, 3], "a handshake of TLS");
    let (code, _, err) = run(&mut command(&["emit", "{}", "--to", "unix:///run/chatlake"]));
    assert!(code == 1 && err.contains("https://HOST"), "{code}: {err}");
    let (code, _, err) = run(&mut command(&["emit", "no JSON"]));
    assert!(code == 2 && err.contains("not JSON"), "{code}: {err}");

    let server = setup.clone().start();
    let (code, said, err) = run(&mut command(&["emit", "{\"event_type\": \"chat.message\"}\n{}"]));
    assert!(code == 1 && said.contains(r#""rejected":1"#) && err.contains("_dead/"), "{code}: {said} {err}");
    let tail =
        |form: &str| Child::start(command(&["tail", "--every", "200ms", "--format", form]).current_dir(folder.path()));
    let tails = [tail("json"), tail("csv"), tail("text")];
    let evil = "hello \u{1b}]0;owned\u{7}\u{9b}2J\u{202e}there";
    let event = json!({
        "event_type": "chat.completion",
        "conversation_id": "emitted-1",
        "messages": [{"role": "user", "content": evil}, {"role": "assistant", "content": "answer"}],
        "model": {"request": "gpt-4o-mini"},
    });
    good(&mut command(&["emit", &event.to_string()]));
    server.drain(Duration::from_secs(30));
    let mut shown: Vec<String> = Vec::new();
    for tail in &tails {
        shown.push(until("the event in a tail", Duration::from_secs(120), || {
            Some(tail.said()).filter(|said| said.contains("emitted-1"))
        }));
    }
    for words in
        [&["conversations"][..], &["conversation", "emitted-1"], &["conversation", "emitted-1", "--format", "json"]]
    {
        shown.push(good(&mut command(words)));
    }
    shown.push(good(&mut command(&["conversation", "emitted-1", "--format", "request"])));
    for shown in &shown {
        assert!(!shown.contains(['\u{1b}', '\u{7}', '\u{9b}', '\u{202e}']), "{shown:?}");
    }
    let request: Value = serde_json::from_str(shown.last().expect("a request")).expect("JSON");
    assert_eq!(request, json!({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": evil}]}));
    let status = good(&mut command(&["status"]));
    assert!(status.contains(": ready") && status.contains("3 received") && status.contains("+ 0 buffered"), "{status}");
    good(&mut command(&["verify"]));
}

#[test]
fn one_id_under_two_prefixes_is_two_conversations() {
    let folder = TempDir::new().expect("a folder");
    let keys =
        "[{key: key-of-a, tenant: a, prefix: teams/a}, {key: key-of-b, tenant: b, prefix: teams/b}, {key: key-of-c}]";
    let setup = Setup::quick(folder.path()).with("AUTH__KEYS", keys);
    let command = |words: &[&str]| {
        let mut command = setup.command();
        command.args(words);
        command
    };
    let server = setup.clone().start();
    for tenant in ["a", "b", "c"] {
        let key = folder.path().join(tenant);
        fs::write(&key, format!("key-of-{tenant}")).expect("a file");
        let event = json!({"event_id": "same", "conversation_id": "thread", "event_type": "chat.message",
            "messages": [{"role": "user", "content": format!("I am of {tenant}")}]});
        good(&mut command(&["emit", &event.to_string(), "--key-file", key.to_str().expect("a name")]));
    }
    server.drain(Duration::from_secs(30));
    let list = good(&mut command(&["conversations", "--format", "csv"]));
    let lines: Vec<&str> = list.lines().collect();
    assert!(lines.len() == 4 && lines[0].ends_with(",prefix") && list.contains("teams/a"), "{list}");
    let (code, out, err) = run(&mut command(&["conversation", "thread"]));
    assert!(code == 1 && out.is_empty() && err.contains("'', 'teams/a', 'teams/b'"), "{code}: {out}: {err}");
    for (prefix, tenant) in [("teams/a", "a"), ("teams/b/", "b"), ("", "c")] {
        let shown = good(&mut command(&["conversation", "thread", "--prefix", prefix]));
        assert!(shown.contains(&format!("I am of {tenant}")) && shown.matches("I am").count() == 1, "{shown}");
    }
    let (code, _, err) = run(&mut command(&["conversation", "thread", "--prefix", "teams"]));
    assert!(code == 1 && err.contains("no event"), "{code}: {err}");
}

/// A command line's words; single quotes hold some together.
fn words(line: &str) -> Vec<String> {
    let parts = line.split('\'').enumerate();
    let words = parts.flat_map(|(at, part)| match at % 2 {
        0 => part.split_whitespace().map(str::to_owned).collect::<Vec<_>>(),
        _ => vec![part.to_owned()],
    });
    words.collect()
}

#[test]
fn the_reading_lines_of_the_readme_work() {
    let folder = TempDir::new().expect("a folder");
    convert(folder.path(), "data", "parquet", None);
    for block in ["chatlake conversations", "chatlake verify"] {
        for line in readme::block("sh", block).lines() {
            let shown = good(with(folder.path(), None).args(words(line).iter().skip(1)));
            assert!(!shown.is_empty(), "{line}");
        }
    }
    let setup = Setup::quick(folder.path());
    let server = setup.clone().start();
    for line in readme::block("sh", "chatlake status").lines() {
        let shown = good(setup.command().args(words(line).iter().skip(1)));
        assert!(!shown.is_empty(), "{line}");
    }
    assert_eq!(server.drain(Duration::from_secs(30)).landed, 1);
}
