//! Rows of the table's part "Storage and use".

use super::client::run;
use super::note;
use super::skipped;
use super::support::duck::{Reader, S3};
use super::support::rows::{Row, files_below, lines_below, parse};
use super::support::server::{Server, Setup, program};
use super::support::{python, s3, until};
use super::world::{at, golden, golden_json, world};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;

const INGEST: &str = "/api/v1/ingest";
const LINES: &str = "/v1/events";

fn line(conversation: &str, text: &str) -> String {
    json!({"conversation_id": conversation, "messages": [{"role": "user", "content": text}]}).to_string()
}

fn post(server: &Server, path: &str, body: impl Into<Vec<u8>>) {
    let client = reqwest::blocking::Client::new();
    let answer = client.post(format!("{}{path}", server.http())).body(body.into()).send().expect("an answer");
    assert_eq!(answer.status().as_u16(), 200, "{path}");
}

/// A server without keys, whose rows are plain lines.
fn lines_in(folder: &Path) -> Setup {
    Setup::quick(folder)
        .with("STORE__FORMAT", "jsonl")
        .with("STORE__COMPRESSION", "none")
        .with("RECEIVERS__MODELSTAT__ENDPOINT", "none")
}

fn reader(folder: &Path) -> Reader {
    Reader::new(folder, None).unwrap_or_else(|why| skipped(&why))
}

/// Nothing is set but ports, for this machine has other servers.
pub(crate) fn nothing_configured() {
    let folder = TempDir::new().expect("a folder");
    let server = Setup::new(folder.path()).with("RECEIVERS__MODELSTAT__ENDPOINT", "none").start();
    post(&server, LINES, line("c", "hello"));
    let shown = until("the event in the default folder", Duration::from_secs(120), || {
        let (code, out, _) =
            run(program().current_dir(folder.path()).args(["tail", "--no-follow", "--format", "json"]));
        (code == 0 && out.contains("hello")).then_some(out)
    });
    assert_eq!(parse(&shown).len(), 1);
    assert!(
        files_below(&folder.path().join("data/events"))
            .iter()
            .any(|file| file.extension().is_some_and(|end| end == "parquet"))
    );
}

pub(crate) fn crash() {
    let folder = TempDir::new().expect("a folder");
    let mut server = lines_in(folder.path()).start();
    for round in 0..3 {
        for batch in 0..10 {
            post(
                &server,
                LINES,
                (0..10).map(|number| line("c", &format!("{round} {batch} {number}"))).collect::<Vec<_>>().join("\n"),
            );
        }
        server.kill();
        server.restart();
    }
    server.drain(Duration::from_secs(120));
    let rows = parse(&lines_below(&folder.path().join("data/events")));
    let texts: BTreeSet<&str> =
        rows.iter().map(|row| at(row, "messages.0.content").as_str().expect("a text")).collect();
    assert_eq!((rows.len(), texts.len()), (300, 300), "each acknowledged event once");
}

/// The template of the first seed.
const TEMPLATE: &str = "app/{env}/date={date}/conv_id={conv_id}/run_id={run_id}/log.jsonl";

pub(crate) fn bucket_and_template() {
    let folder = TempDir::new().expect("a folder");
    let s3 = s3::serve_bucket(folder.path(), "my-bucket");
    let setup =
        lines_in(folder.path()).with("STORE__URL", "s3://my-bucket").with("STORE__PARTITION", TEMPLATE).in_bucket(&s3);
    let server = setup.start();
    let url = format!(
        "{}/s3/my-logs/app/production/date%3D2026-11-21/conv_id%3Dconv-1/run_id%3D1767323045678/log.jsonl",
        server.http()
    );
    let answer = reqwest::blocking::Client::new()
        .put(url)
        .body(golden("stackifier/02-full-event.jsonl"))
        .send()
        .expect("an answer");
    assert_eq!(answer.status().as_u16(), 200);
    server.drain(Duration::from_secs(120));
    let events = folder.path().join("buckets/my-bucket/events");
    let files = files_below(&events);
    let keys: Vec<String> =
        files.iter().map(|file| file.strip_prefix(&events).expect("below").display().to_string()).collect();
    assert_eq!(keys.len(), 1, "{keys:?}");
    let start = "app/production/date=2026-11-21/conv_id=conv-1/run_id=1767323045678/log-";
    assert!(keys[0].starts_with(start) && keys[0].ends_with(".jsonl"), "{keys:?}");
}

pub(crate) fn never_overwritten() {
    let folder = TempDir::new().expect("a folder");
    let lake = folder.path().join("lake").display().to_string();
    for name in ["one", "two"] {
        fs::create_dir(folder.path().join(name)).expect("a folder");
        let mut server =
            lines_in(&folder.path().join(name)).with("STORE__URL", &lake).with("STORE__PARTITION", TEMPLATE).start();
        post(&server, LINES, line("the-same", name));
        server.drain(Duration::from_secs(120));
        assert!(server.stop().success());
    }
    let rows = parse(&lines_below(&folder.path().join("lake/events")));
    let texts: BTreeSet<&str> =
        rows.iter().map(|row| at(row, "messages.0.content").as_str().expect("a text")).collect();
    assert_eq!(texts, BTreeSet::from(["one", "two"]));
}

pub(crate) fn utc_and_escapes() {
    let folder = TempDir::new().expect("a folder");
    let server = lines_in(folder.path()).with("STORE__PARTITION", "date={date}/conv_id={conv_id}").start();
    let late = json!({"conversation_id": "a/b/../x", "timestamp": "2026-01-02T23:59:59-05:00", "messages": [{"role": "user", "content": "late"}]});
    post(&server, LINES, late.to_string());
    server.drain(Duration::from_secs(120));
    let events = folder.path().join("data/events");
    let files = files_below(&events);
    let parts: Vec<String> =
        files[0].strip_prefix(&events).expect("below").iter().map(|part| part.to_string_lossy().into_owned()).collect();
    assert_eq!(files.len(), 1);
    assert_eq!((parts.len(), parts[0].as_str()), (3, "date=2026-01-03"));
    assert_eq!(parts[1], "conv_id=a%2Fb%2F..%2Fx", "one level");
    assert!(world().told("own/escaped.").files[0].contains("date=2026-01-03"));
}

pub(crate) fn credentials() {
    let folder = TempDir::new().expect("a folder");
    let s3 = s3::serve_bucket(folder.path(), "my-bucket");
    let wrong = S3 { secret: "not-the-secret".to_owned(), ..s3.clone() };
    let setup = lines_in(folder.path()).with("STORE__URL", "s3://my-bucket/lake");
    let mut server = setup.clone().in_bucket(&wrong).with("SHUTDOWN__GRACE", "1s").start_alive();
    post(&server, LINES, line("c", "hello"));
    until("a reason on /readyz", Duration::from_secs(120), || {
        server.admin("/readyz").filter(|(status, _)| *status == 503)
    });
    assert!(server.stop().success() && !server.said().contains("not-the-secret"));
    let server = setup.in_bucket(&s3).start();
    server.drain(Duration::from_secs(120));
    assert_eq!(parse(&lines_below(&folder.path().join("buckets/my-bucket/lake/events"))).len(), 1);
}

/// Recordings whose values are compared.
const RECORDINGS: [(&str, &str); 6] = [
    (INGEST, "insidellm/03-all-19-types-array.body.json"),
    ("/v2/chatgpt/store_generated_response", "huggingplace/python-1.0.1-head/02-log-later-fields.body.json"),
    ("/v1/ingest", "modelstat/python-0.1.0/01-local-daemon-v1-ingest.body.json"),
    (LINES, "stackifier/02-full-event.jsonl"),
    (LINES, "stackifier/04-litellm.jsonl"),
    ("/webhooks/litellm", "stackspot/litellm-1.106.2-generic-api-webhook.json"),
];

/// The recordings in a lake of a format.
fn recorded_in(format: &str) -> TempDir {
    let folder = TempDir::new().expect("a folder");
    let server = lines_in(folder.path()).with("STORE__FORMAT", format).start();
    RECORDINGS.iter().for_each(|(path, file)| post(&server, path, golden(file)));
    server.drain(Duration::from_secs(120));
    folder
}

pub(crate) fn parquet() {
    let (lines, parquet) = (recorded_in("jsonl"), recorded_in("parquet"));
    let mut reader = reader(parquet.path());
    let rows = parse(&lines_below(&lines.path().join("data/events")));
    let wanted: BTreeSet<String> = rows.iter().map(|row| row["event_id"].as_str().expect("an id").to_owned()).collect();
    let arrow = reader.arrow_ids("data/events");
    assert_eq!((arrow.len(), arrow.into_iter().collect::<BTreeSet<_>>()), (rows.len(), wanted), "pyarrow");
    let by_id: BTreeMap<&str, &Row> = rows.iter().map(|row| (row["event_id"].as_str().expect("an id"), row)).collect();
    let columns = [
        ("event_type", "event_type"),
        ("conversation_id", "conversation_id"),
        ("status", "status"),
        ("run_id", "run_id"),
        ("tokens.total_tokens", "tokens.total_tokens"),
        ("tokens.cost_usd", "tokens.cost_usd"),
        ("service", "service"),
        ("timing.total_latency_ms", "timing.total_latency_ms"),
        ("model.request", "model.request"),
        ("\"user\".id", "user.id"),
        ("messages[1].role", "messages.0.role"),
        ("messages[-1].tool_call_id", "messages.-.tool_call_id"),
        ("tool_executions[1].name", "tool_executions.0.name"),
        ("graph.node_path", "graph.node_path"),
        ("error.message", "error.message"),
    ];
    let list: Vec<&str> = columns.iter().map(|(column, _)| *column).collect();
    let from = "read_parquet('data/events/**/*.parquet', union_by_name=true)";
    let read = reader.sql(&format!(
        "SELECT event_id, CAST(details AS VARCHAR), CAST(metadata AS VARCHAR), {} FROM {from}",
        list.join(", ")
    ));
    assert_eq!(read.len(), rows.len(), "DuckDB");
    for cells in read {
        let row = by_id[cells[0].as_str().expect("an id")];
        for (json, column) in cells[1..3].iter().zip(["details", "metadata"]) {
            let value = json.as_str().map_or(Value::Null, |json| serde_json::from_str(json).expect("JSON"));
            assert_eq!(&value, row.get(column).unwrap_or(&Value::Null), "{column}");
        }
        for (cell, (_, path)) in cells[3..].iter().zip(columns) {
            let last = row.get("messages").and_then(|messages| messages.as_array()?.last());
            let wanted = match path.strip_prefix("messages.-.") {
                Some(key) => last.and_then(|message| message.get(key)).unwrap_or(&Value::Null),
                None => at(row, path),
            };
            let is_equal = cell == wanted || cell.as_f64().is_some() && cell.as_f64() == wanted.as_f64();
            assert!(is_equal, "{path}: {cell} is not {wanted}");
        }
    }
}

pub(crate) fn clean_shutdown() {
    let folder = TempDir::new().expect("a folder");
    let mut server = lines_in(folder.path()).with("ROLL__AGE", "1h").start();
    for batch in 0..10 {
        post(
            &server,
            LINES,
            (0..100).map(|number| line("c", &format!("{batch} {number}"))).collect::<Vec<_>>().join("\n"),
        );
    }
    assert_eq!(server.ledger().buffered, 1000);
    assert_eq!(server.stop().code(), Some(0), "{}", server.said());
    assert_eq!(parse(&lines_below(&folder.path().join("data/events"))).len(), 1000);
}

/// A lake of one recording of InsideLLM.
fn tracked() -> TempDir {
    let folder = TempDir::new().expect("a folder");
    let server = lines_in(folder.path()).start();
    post(&server, INGEST, golden("insidellm/04-context-manager-tracker.body.json"));
    server.drain(Duration::from_secs(120));
    folder
}

fn shown(folder: &TempDir, words: &[&str]) -> String {
    let (code, out, err) = run(program().current_dir(folder.path()).args(words));
    assert_eq!(code, 0, "{words:?}: {err}");
    out
}

pub(crate) fn offline_forms() {
    let folder = tracked();
    let tail = |form: &str| shown(&folder, &["tail", "--no-follow", "-n", "100", "--format", form]);
    assert_eq!(parse(&tail("json")).len(), 11);
    let csv = tail("csv");
    let nine = "event_id,run_id,timestamp,event_type,user_id,parent_event_id,metadata,payload,logged_at,";
    assert!(csv.starts_with(nine), "the nine columns of the seed first: {csv}");
    assert!(csv.contains("tool.call") && csv.contains("\"{\"\"app\"\":\"\"demo\"\"}\""), "JSON in cells: {csv}");
    let pretty = tail("pretty");
    for words in [
        "tool.response",
        "2026-11-21 01:38:02",
        "event_id",
        "run_id",
        "parent_event_id",
        "payload",
        "\"error_message\": \"tool down\"",
    ] {
        assert!(pretty.contains(words), "{words}: {pretty}");
    }
}

pub(crate) fn sessions() {
    let folder = tracked();
    let events = golden_json("insidellm/04-context-manager-tracker.body.json");
    let times: Vec<&str> =
        events.as_array().expect("events").iter().map(|event| event["timestamp"].as_str().expect("a time")).collect();
    let micros = |time: &str| chrono::DateTime::parse_from_rfc3339(time).expect("a time").timestamp_micros();
    let wanted = micros(times.iter().max().expect("one")) - micros(times.iter().min().expect("one"));
    let list = parse(&shown(&folder, &["conversations", "--format", "json"]));
    assert_eq!(list.len(), 1);
    assert_eq!((&list[0]["events"], at(&list[0], "duration_ms")), (&json!(11), &json!(wanted as f64 / 1000.0)));
    assert_eq!((&list[0]["types"]["tool.call"], &list[0]["types"]["tool.response"]), (&json!(2), &json!(2)));
    let export = parse(&shown(&folder, &["conversation", "00000000-0000-4000-8000-000000000001", "--format", "json"]));
    assert_eq!(export.len(), 11);
    // Runs whose ids begin with the same sixteen characters are two.
    let two = TempDir::new().expect("a folder");
    let server = lines_in(two.path()).start();
    for run_id in ["00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"] {
        let mut event = events[1].clone();
        event["run_id"] = run_id.into();
        event["event_id"] = run_id.into();
        post(&server, INGEST, event.to_string());
    }
    server.drain(Duration::from_secs(120));
    assert_eq!(parse(&shown(&two, &["conversations", "--format", "json"])).len(), 2);
}

pub(crate) fn rotation() {
    const LIMIT: u64 = 10 << 20;
    let folder = TempDir::new().expect("a folder");
    let server = lines_in(folder.path())
        .with("STORE__MAX_FILE", "10MiB")
        .with("ROLL__AGE", "1h")
        .with("ROLL__SIZE", "16MiB")
        .with("SHUTDOWN__GRACE", "2m")
        .start();
    for batch in 0..8 {
        post(
            &server,
            LINES,
            (0..50)
                .map(|number| line("c", &format!("{batch} {number} {}", "word ".repeat(8000))))
                .collect::<Vec<_>>()
                .join("\n"),
        );
    }
    let mut server = server;
    assert!(server.stop_within(Duration::from_secs(150)).success());
    let files = files_below(&folder.path().join("data/events"));
    assert!(files.len() >= 2, "{files:?}");
    // What is counted are the rows, without the names of their columns.
    let sizes: Vec<u64> = files.iter().map(|file| fs::metadata(file).expect("a file").len()).collect();
    assert!(sizes.iter().all(|size| *size <= LIMIT + LIMIT / 20), "{sizes:?}");
    // Each line parses: none is split.
    assert_eq!(parse(&lines_below(&folder.path().join("data/events"))).len(), 400);
}

pub(crate) fn environment_settings() {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("chatlake.yaml");
    fs::write(&file, "store: {max_file: 32MiB, format: parquet}\nroll: {age: 1h}\n").expect("written");
    let mut command = program();
    command.current_dir(folder.path()).args(["check", "--config"]).arg(&file).env("CHATLAKE_STORE__MAX_FILE", "1KiB");
    let (code, out, err) = run(&mut command);
    assert!(code == 0 && out.contains("max_file: \"1KiB\""), "{out}{err}");
    // And it takes effect: what was one file is several.
    let files = |limit: &str| {
        let folder = TempDir::new().expect("a folder");
        let server = lines_in(folder.path()).with("STORE__MAX_FILE", limit).start();
        post(
            &server,
            LINES,
            (0..20).map(|number| line("c", &format!("{number} {}", "x".repeat(500)))).collect::<Vec<_>>().join("\n"),
        );
        server.drain(Duration::from_secs(120));
        files_below(&folder.path().join("data/events")).len()
    };
    assert!(files("32MiB") == 1 && files("1KiB") >= 10);
}

pub(crate) fn emit_and_check() {
    let folder = TempDir::new().expect("a folder");
    let setup = lines_in(folder.path());
    let server = setup.clone().start();
    let readme = r#"{"user_prompt": "What's the weather like?", "ai_response": "Sunny.", "session_id": "s1"}"#;
    let mut emit = setup.command();
    let mut child = emit
        .args(["emit", "--as", "huggingplace"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("it starts");
    child.stdin.take().expect("a pipe").write_all(readme.as_bytes()).expect("it reads");
    assert!(child.wait().expect("it ends").success());
    let (code, _, err) = run(setup.command().args(["emit", "--as", "huggingplace", readme]));
    assert_eq!(code, 0, "{err}");
    let ledger = server.drain(Duration::from_secs(120));
    assert_eq!((ledger.landed, ledger.deduplicated), (1, 1), "one event, and its resend");
    let nobody = S3 { endpoint: "127.0.0.1:9".to_owned(), key_id: "id".to_owned(), secret: "s".to_owned() };
    let (code, _, err) =
        run(lines_in(folder.path()).with("STORE__URL", "s3://my-bucket").in_bucket(&nobody).command().arg("check"));
    assert!(code != 0 && err.contains("127.0.0.1:9"), "{code}: {err}");
}

pub(crate) fn replayed_conversation() {
    let folder = TempDir::new().expect("a folder");
    let server = lines_in(folder.path()).start();
    post(&server, LINES, golden("stackifier/01-quickstart.jsonl"));
    post(&server, INGEST, golden("insidellm/03-all-19-types-array.body.json"));
    server.drain(Duration::from_secs(120));
    let request = |id: &str| -> Value {
        serde_json::from_str(&shown(&folder, &["conversation", id, "--format", "request"])).expect("JSON")
    };
    let logged = request("conv-1");
    let roles: Vec<&Value> =
        logged["messages"].as_array().expect("messages").iter().map(|message| &message["role"]).collect();
    assert_eq!(roles, ["user", "assistant", "tool"], "in their order");
    let called = request("00000000-0000-4000-8000-000000000001");
    assert_eq!((&called["model"], called["messages"].as_array().map(Vec::len)), (&json!("gpt-4o"), Some(2)));
    let file = folder.path().join("requests.jsonl");
    fs::write(&file, format!("{logged}\n{called}\n")).expect("written");
    if let Err(why) = python::interpreter() {
        skipped(&why);
    }
    assert_eq!(python::run("openai_format.py", &[&file.display().to_string()]).trim(), "2");
}

pub(crate) fn sums_by_model() {
    let folder = recorded_in("parquet");
    let sums = reader(folder.path()).sql(
        "SELECT model.request, count(*), sum(tokens.total_tokens), round(sum(tokens.cost_usd), 6), round(avg(timing.total_latency_ms), 1)
         FROM read_parquet('data/events/**/*.parquet', union_by_name=true)
         WHERE tokens IS NOT NULL GROUP BY 1 ORDER BY 1",
    );
    // By hand: gpt-4: 30 + 24 + 24 tokens, 0.001 stated + 2 x 0.0009; gpt-4o: 24 and 0.00021 of one client, 920 and
    // 800 x 2.5 less the cached, of the other.
    let of = |model: &str| sums.iter().find(|row| row[0] == model).unwrap_or_else(|| panic!("{model}: {sums:?}"));
    assert_eq!(of("gpt-4")[1..4], [json!(3), json!(78), json!(0.0028)]);
    assert_eq!(of("gpt-4o")[1..3], [json!(2), json!(944)]);
    let audit = reader(folder.path()).sql("SELECT count(*) FROM read_parquet('data/events/**/*.parquet', union_by_name=true) WHERE status IN ('error', 'timeout')");
    assert_eq!(audit[0][0], 5);
    note(format!("{} models", sums.len()));
}
