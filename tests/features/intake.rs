//! Rows of the table's part "Transport and intake".

use super::client::{Doors, KEY, META_SECRET, client, environment, of, run, run_rust_modelstat, rust_modelstat};
use super::note;
use super::skipped;
use super::support::corpus::Signal;
use super::support::duck::S3;
use super::support::rows::Row;
use super::support::send::Grpc;
use super::support::server::Setup;
use super::support::{project, s3, until, wait};
use super::world::{at, calls, golden, golden_json, of_type, world};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Stands for pins where the client is the crate.
const RUST: &str = "the crate";
const INGEST: &str = "/api/v1/ingest";
const SINGLE: &str = "insidellm/02-single-event-is-an-object.body.json";
const ALL: &str = "insidellm/03-all-19-types-array.body.json";
const TURNS: &str = "/v2/chatgpt/store_generated_response";

fn json_of(answer: &str) -> Value {
    serde_json::from_str(answer).unwrap_or_else(|error| panic!("{error}: {answer}"))
}

/// So many events of InsideLLM, the numbers of which begin at `first`.
fn events(first: usize, count: usize) -> String {
    let event = |number: usize| {
        json!({
            "event_id": format!("00000000-0000-4000-8000-{number:012x}"), "run_id": "00000000-0000-4000-8000-000000000001",
            "timestamp": "2026-11-21T01:36:55.715616Z", "event_type": "user.input", "user_id": "user-1",
            "payload": {"input_text": format!("question {number}")},
        })
    };
    Value::from((first..first + count).map(event).collect::<Vec<_>>()).to_string()
}

fn ids(rows: &[Row]) -> BTreeSet<String> {
    rows.iter().map(|row| row["event_id"].to_string()).collect()
}

/// A store that nobody is at.
fn nobody(folder: &Path) -> Setup {
    let nobody = S3 { endpoint: "127.0.0.1:9".to_owned(), key_id: "id".to_owned(), secret: "a secret".to_owned() };
    Setup::quick(folder)
        .with("STORE__URL", "s3://my-bucket/chatlake")
        .with("STORE__FORMAT", "jsonl")
        .with("STORE__COMPRESSION", "none")
        .with("RECEIVERS__MODELSTAT__ENDPOINT", "none")
        .in_bucket(&nobody)
}

pub(crate) fn bearer_keys() {
    let keys = format!("[{{key: {KEY}, tenant: shop, app: till}}, {{key: another, tenant: shop, app: web}}]");
    let doors = Doors::open_with(&[("AUTH__KEYS", &keys)]);
    let (status, answer) = doors.post_with(INGEST, &[], golden(SINGLE));
    assert!(status == 401 && json_of(&answer)["message"].is_string(), "{status} {answer}");
    assert_eq!(doors.post(INGEST, golden(SINGLE)).0, 200);
    assert_eq!(doors.post_with(INGEST, &[("authorization", "Bearer another")], golden(ALL)).0, 200);
    let (ledger, rows) = doors.landed();
    assert_eq!((ledger.received, rows.len()), (20, 20));
    let of_app = |app: &str| rows.iter().filter(|row| row["service"] == app).count();
    assert_eq!((of_app("till"), of_app("web")), (1, 19), "the key's app");
}

pub(crate) fn real_insidellm_client() {
    let doors = Doors::open();
    let said = client("sdks.txt", "insidellm", &doors.server.http(), KEY);
    assert_eq!(said, json!({"healthy": true, "sent": 20, "failed": 0}));
    assert_eq!(of(&doors.landed().1, "insidellm").len(), 20);
}

pub(crate) fn object_and_array() {
    assert_eq!((world().rows("insidellm/02").len(), world().rows("insidellm/03").len()), (1, 19));
}

pub(crate) fn health() {
    let folder = TempDir::new().expect("a folder");
    let server = nobody(folder.path()).start_alive();
    let client = reqwest::blocking::Client::builder().timeout(Duration::from_secs(60)).build().expect("a client");
    for key in [None, Some(KEY), Some("wrong")] {
        let request = client.get(format!("{}/health", server.http()));
        let request = if let Some(key) = key { request.bearer_auth(key) } else { request };
        assert_eq!(request.send().expect("an answer in time").status().as_u16(), 200);
    }
}

pub(crate) fn real_modelstat_client() {
    const DEFAULT: &str = "127.0.0.1:4319";
    let pins = [("modelstat-0.0.1.txt", "0.0.1"), ("sdks.txt", "0.1.0"), (RUST, "0.1.0")];
    pins.iter().for_each(|(pins, _)| drop(if *pins == RUST { rust_modelstat() } else { environment(pins) }));
    if std::net::TcpListener::bind(DEFAULT).is_err() {
        skipped(&format!("another program listens on {DEFAULT}"));
    }
    for (pins, version) in pins {
        let doors = Doors::open_with(&[("RECEIVERS__MODELSTAT__ENDPOINT", DEFAULT)]);
        let begun = Instant::now();
        let said = if pins == RUST { run_rust_modelstat("default") } else { client(pins, "modelstat", "default", KEY) };
        // So soon no timer of the client's has sent what was not a whole batch.
        let is_soon = begun.elapsed() < Duration::from_secs(2);
        assert_eq!(said, json!({"version": version, "dropped": 0}), "{pins}");
        assert_eq!(of(&doors.landed().1, "modelstat").len(), 600, "{pins}");
        let (_, page) = doors.server.admin("/metrics").expect("an answer");
        let requests =
            page.lines().find(|line| line.starts_with("chatlake_receiver_requests") && line.contains("modelstat"));
        let count = requests.and_then(|line| line.rsplit(' ').next()?.parse::<u32>().ok());
        assert!(count.is_some_and(|count| count == 3 || count > 3 && !is_soon), "{pins}: {requests:?}");
    }
}

/// The crate is told a base URL: what it sends as excerpts and as full turns is what its user gave it.
pub(crate) fn real_modelstat_crate() {
    let doors = Doors::open();
    assert_eq!(run_rust_modelstat(&doors.server.http()), json!({"version": "0.1.0", "dropped": 0}));
    let (ledger, rows) = doors.landed();
    let rows = of(&rows, "modelstat");
    assert_eq!((ledger.received, ledger.quarantined, rows.len()), (4, 0, 4), "two calls by each route: {rows:#?}");
    for session in ["sess-excerpt", "sess-raw"] {
        let of_session = |millis: &str| {
            let is_it = |row: &&&Row| {
                row["conversation_id"] == session && row["timestamp"].as_str().expect("a time").contains(millis)
            };
            *rows.iter().find(is_it).unwrap_or_else(|| panic!("{session} {millis}: {rows:#?}"))
        };
        let (told, tagged) = (of_session(":40Z"), of_session(":42Z"));
        for row in [told, tagged] {
            assert_eq!(
                (&row["event_type"], &row["service"]),
                (&json!("usage.assistant_message"), &json!("checkout-api"))
            );
            let tokens = json!({"prompt_tokens": 800, "completion_tokens": 120, "cache_creation_tokens": 1, "cached_tokens": 2, "reasoning_tokens": 30});
            assert!(is_kept(&tokens, &row["tokens"]), "{row:#?}");
            let timing = [at(row, "timing.time_to_first_token_ms"), at(row, "timing.total_latency_ms")];
            assert_eq!(timing, [&json!(150.0), &json!(1234.0)]);
            assert_eq!(
                (at(row, "details.git.remote_slug"), at(row, "details.context.cwd")),
                (&json!("acme/shop"), &json!("/srv/app"))
            );
            assert_eq!(at(row, "model.request"), "gpt-4o");
        }
        assert_eq!(
            (&told["tags"], &tagged["tags"]),
            (&json!({"environment": "prod"}), &json!({"environment": "test", "feature": "search"}))
        );
        let tool = at(told, "tool_executions.0");
        assert_eq!(
            (&tool["name"], &tool["status"], &tool["latency_ms"]),
            (&json!("search"), &json!("timeout"), &json!(85.0))
        );
        assert_eq!(at(told, "details.tool_executions.0.server"), "mcp:web");
        let said = told["messages"].to_string() + &told["details"].to_string();
        assert!(said.contains("write to [REDACTED:email]") && !said.contains("ada@"), "{told:#?}");
        assert_eq!(said.contains(&"é ".repeat(300)), session == "sess-raw", "an excerpt is cut: {told:#?}");
    }
}

pub(crate) fn modelstat_versions() {
    let (old, new) = (world().told("modelstat/python-0.0.1/01"), world().told("modelstat/python-0.1.0/01"));
    assert_eq!((old.status, new.status), (200, 200));
    assert_eq!((at(&old.rows[0], "details.billing.mode"), old.rows[0].get("service")), (&json!("api"), None));
    assert_eq!(new.rows[0]["service"], "checkout-api");
}

pub(crate) fn modelstat_routes() {
    for name in ["modelstat/python-0.0.1/03", "modelstat/python-0.1.0/03"] {
        let raw = world().told(name);
        assert_eq!((raw.status, raw.answer.as_str()), (200, r#"{"accepted":true}"#), "{name}");
        let (file, _) = world().all(name).next().expect("its name");
        let sent = golden_json(file);
        let text = sent["events"][0]["content_excerpt"].as_str().expect("a text").to_owned();
        let (prompt, answer) = text.split_once("\n---\n").expect("two parts");
        let messages = json!([at(&raw.rows[0], "messages.0.content"), at(&raw.rows[0], "messages.1.content")]);
        assert_eq!(messages, json!([prompt, answer]), "{name}");
    }
    let excerpt = json_of(&world().told("modelstat/python-0.1.0/01").answer);
    assert_eq!((&excerpt["accepted"], excerpt["batch_id"].is_string()), (&json!(1), true));
}

/// No registry has these clients: what they sent was recorded, and what they do with an answer is known.
pub(crate) fn huggingplace_clients() {
    let mut seen = 0;
    for (name, told) in world().all("huggingplace/") {
        // They raise on any other status, and on a body that is no JSON object.
        assert!(told.status == 200 && json_of(&told.answer).is_object(), "{name}: {} {}", told.status, told.answer);
        assert_eq!(told.rows.len(), 1, "{name}");
        seen += 1;
    }
    assert_eq!(seen, 20);
}

pub(crate) fn exact_success() {
    for (name, told) in world().all("huggingplace/") {
        let told = (told.status, told.content_type.as_str(), told.answer.as_str());
        assert_eq!(told, (200, "application/json", r#"{"message":"stored"}"#), "{name}");
    }
}

pub(crate) fn error_classes() {
    let doors = Doors::open_with(&[("RECEIVERS__OTLP__MAX_REQUEST", "256KiB")]);
    let large = json!({"user_prompt": "x".repeat(300 << 10), "ai_response": "a"}).to_string();
    let turn = String::from_utf8(golden("huggingplace/node-head/01-log.body.json")).expect("a text");
    for path in [TURNS, INGEST] {
        for (key, body, status) in [("wrong", turn.as_str(), 401), (KEY, "no json", 400), (KEY, large.as_str(), 413)] {
            let (got, answer) = doors.post_with(path, &[("authorization", &format!("Bearer {key}"))], body);
            assert!(got == status && json_of(&answer)["message"].is_string(), "{path}: {got} {answer}");
        }
    }
    assert_eq!(doors.landed().0.received, 0, "nothing refused is stored");
}

/// Whether a value of a line is what stands in its row.
fn is_kept(sent: &Value, landed: &Value) -> bool {
    match (sent, landed) {
        (Value::Object(sent), Value::Object(landed)) => {
            sent.iter().all(|(key, value)| landed.get(key).is_some_and(|landed| is_kept(value, landed)))
        }
        (Value::Array(sent), Value::Array(landed)) => {
            sent.len() == landed.len() && sent.iter().zip(landed).all(|(sent, landed)| is_kept(sent, landed))
        }
        (Value::Number(sent), Value::Number(landed)) => sent.as_f64() == landed.as_f64(),
        // Arguments as a text are read.
        (Value::String(text), landed) if !landed.is_string() => {
            serde_json::from_str::<Value>(text).is_ok_and(|sent| sent == *landed)
        }
        (sent, landed) => sent == landed,
    }
}

pub(crate) fn stackifier_lines() {
    let files = fs::read_dir(project().join("tests/golden/seeds/stackifier")).expect("a folder");
    let names = files.map(|file| file.expect("a file").file_name().into_string().expect("a name"));
    let names: Vec<String> = names.filter(|name| name.ends_with(".jsonl")).collect();
    assert_eq!(names.len(), 7);
    for name in names {
        let doors = Doors::open_with(&[("STORE__TOOL_CALLS", "flat")]);
        let body = String::from_utf8(golden(&format!("stackifier/{name}"))).expect("a text");
        assert_eq!(doors.post("/v1/events", body.clone()).0, 200);
        let (_, rows) = doors.landed();
        assert_eq!(rows.len(), body.lines().count(), "{name}");
        for line in body.lines() {
            let mut line: Row = serde_json::from_str(line).expect("JSON");
            let time = line.remove("timestamp").expect("a time");
            let seconds =
                time.as_str().expect("a text").split('+').next().expect("a time").trim_end_matches('0').to_owned();
            let row = rows.iter().find(|row| {
                row["timestamp"]
                    .as_str()
                    .is_some_and(|time| time.trim_end_matches('Z').trim_end_matches('0') == seconds)
            });
            let row = row.unwrap_or_else(|| panic!("{name}: no row of {time}: {rows:#?}"));
            for (key, value) in &line {
                // A block without anything in it says nothing.
                let is_empty = value.as_object().is_some_and(Row::is_empty);
                assert!(
                    is_empty || row.get(key).is_some_and(|landed| is_kept(value, landed)),
                    "{name}: {key} {value}: {row:#?}"
                );
            }
        }
    }
}

pub(crate) fn real_s3_writer() {
    let doors = Doors::open();
    let said = client("sdks.txt", "stackifier", &doors.server.http(), KEY);
    assert_eq!(said, json!({}));
    let (_, rows) = doors.landed();
    let lines = of(&rows, "stackifier");
    assert_eq!(lines.len(), 2, "two messages, two flushes, no duplicate");
    assert!(lines.iter().all(|row| row["env"] == "production"));
}

/// What `boto3` is told where its signature, its time or its body is wrong.
pub(crate) fn real_boto3_signs() {
    let doors = Doors::open();
    let said = client("sdks.txt", "boto3_refusals", &doors.server.http(), KEY);
    let wanted = json!({
        "signed": 200, "both": 200, "key as id": "SignatureDoesNotMatch", "wrong secret": "SignatureDoesNotMatch", "unsigned": "AccessDenied",
        "altered body": "XAmzContentSHA256Mismatch", "altered key": "SignatureDoesNotMatch", "old": "RequestTimeTooSkewed",
        "missing": "NoSuchKey",
    });
    assert_eq!(said, wanted);
    assert_eq!(doors.landed().0.received, 2, "what is refused is not stored");
    assert!(!doors.server.said().contains(KEY));
}

pub(crate) fn otlp_doors() {
    let over_http = world().rows("stackspot/litellm-1.106.2-otel");
    let folder = TempDir::new().expect("a folder");
    let setup =
        Setup::quick(folder.path()).with("STORE__FORMAT", "jsonl").with("RECEIVERS__MODELSTAT__ENDPOINT", "none");
    let server = setup.start();
    wait(Grpc::new(&server.grpc()).recorded(Signal::Traces, &golden("stackspot/litellm-1.106.2-otel.pb")));
    server.drain(Duration::from_secs(120));
    let over_grpc = super::support::rows::parse(&super::support::rows::lines_below(&server.data().join("events")));
    for rows in [over_http, &over_grpc] {
        assert_eq!(rows.iter().filter(|row| row["event_type"] == "chat.completion").count(), 8);
    }
    assert_eq!(ids(over_http), ids(&over_grpc));
}

pub(crate) fn litellm_webhook() {
    let rows = world().rows("stackspot/litellm-1.106.2-generic");
    assert_eq!(rows.len(), 8);
    assert_eq!(rows.iter().filter(|row| row["status"] == "error").count(), 2);
    let asked = |row: &Row| {
        let input = row["input_message_count"].as_u64().expect("a count") as usize;
        row["messages"].as_array().expect("messages").iter().skip(input).flat_map(calls).count()
    };
    assert_eq!(rows.iter().map(asked).collect::<Vec<_>>(), [0, 1, 0, 1, 2, 0, 0, 0]);
}

pub(crate) fn real_litellm() {
    let doors = Doors::open();
    let said = client("litellm.txt", "litellm", &doors.server.http(), KEY);
    assert_eq!(said["said"], "It is sunny.");
    let (_, rows) = doors.landed();
    let calls: Vec<&Row> = rows.iter().filter(|row| row["event_type"] == "chat.completion").collect();
    let sources: BTreeSet<&str> = calls.iter().map(|row| row["source"].as_str().expect("a source")).collect();
    assert_eq!((calls.len(), sources), (2, BTreeSet::from(["litellm", "otlp"])), "the webhook and the callback");
    assert!(calls.iter().all(|call| at(call, "messages.1.content") == "It is sunny."));
}

pub(crate) fn meta_webhook() {
    let doors = Doors::open();
    let ask = |token: &str| {
        doors.get(&format!("/webhooks/whatsapp/meta?hub.mode=subscribe&hub.verify_token={token}&hub.challenge=42"))
    };
    assert_eq!(ask("asked"), (200, "42".to_owned()));
    assert_eq!(ask("guessed").0, 403);
    let body = golden_json("stackifier/whatsapp-meta-cases.json")[0]["input"].to_string();
    assert_eq!(doors.meta(&body, "withdrawn").0, 403);
    let vector = golden_json("stackifier/webhook-signature-vectors.json")["meta"][0].clone();
    let raw = vector["raw_body"].as_str().expect("a body");
    let signature = vector["x_hub_signature_256"].as_str().expect("a signature");
    assert_eq!(doors.post_with("/webhooks/whatsapp/meta", &[("x-hub-signature-256", signature)], raw).0, 200);
    assert_eq!(
        doors.post_with("/webhooks/whatsapp/meta", &[("x-hub-signature-256", signature)], format!("{raw} ")).0,
        403
    );
    assert_eq!(doors.landed().0.received, 0, "nothing refused is stored");
    assert_eq!(doors.meta(&body, META_SECRET).0, 200);
    assert_eq!(doors.landed().1.len(), 1);
}

pub(crate) fn twilio_webhook() {
    let doors = Doors::open();
    let vectors = golden_json("stackifier/webhook-signature-vectors.json");
    let vector = &vectors["twilio"][1];
    let signature = vector["x_twilio_signature"].as_str();
    let mut altered = vector["form"].clone();
    altered["Body"] = "Hullo".into();
    assert_eq!(doors.twilio(&altered, signature).0, 403);
    assert_eq!(doors.twilio(&vector["form"], signature).0, 200);
    let (ledger, rows) = doors.landed();
    assert_eq!((ledger.received, of_type(&rows, "wa.message")["event_id"].as_str()), (1, Some("SMfake1")));
}

/// A figure, not a judgement: a busy machine is no fault.
pub(crate) fn fast_answers() {
    let folder = TempDir::new().expect("a folder");
    let server = nobody(folder.path()).start_alive();
    let client = reqwest::blocking::Client::new();
    let mut took: Vec<Duration> = (0..200)
        .map(|batch| {
            let (body, begun) = (events(batch * 50, 50), Instant::now());
            let answer = client.post(format!("{}{INGEST}", server.http())).body(body).send().expect("an answer");
            assert_eq!(answer.status().as_u16(), 200);
            begun.elapsed()
        })
        .collect();
    took.sort_unstable();
    let ms = |at: usize| took[at].as_secs_f64() * 1000.0;
    note(format!("50 events: median {:.1} ms, 99th percentile {:.1} ms, wanted below 50", ms(100), ms(197)));
    assert_eq!(server.ledger().received, 10_000);
}

pub(crate) fn retries() {
    let doors = Doors::open();
    std::thread::scope(|scope| {
        (0..4).for_each(|_| drop(scope.spawn(|| assert_eq!(doors.post(INGEST, golden(ALL)).0, 200))));
    });
    let (ledger, rows) = doors.landed();
    assert_eq!((of(&rows, "insidellm").len(), ledger.deduplicated), (19, 57), "{ledger:?}");
}

pub(crate) fn id_collisions() {
    let doors = Doors::open();
    let body = golden("modelstat/python-0.1.0/01-local-daemon-v1-ingest.body.json");
    let other = String::from_utf8(body.clone()).expect("text").replace("my key is", "the key is");
    assert_eq!(doors.post("/v1/ingest", body).0, 200);
    // The order of arrival says which is the second.
    doors.landed();
    assert_eq!(doors.post("/v1/ingest", other).0, 200);
    let (_, rows) = doors.landed();
    let marked: Vec<&Row> = rows.iter().filter(|row| at(row, "details.dedupe") == "id_conflict").collect();
    assert_eq!((rows.len(), marked.len()), (2, 1));
    assert!(at(marked[0], "messages.0.content").as_str().is_some_and(|text| text.contains("the key is")), "the second");
}

pub(crate) fn bad_records() {
    let doors = Doors::open();
    let mut sent = golden_json(ALL);
    sent[4].as_object_mut().expect("an event").remove("payload");
    let (status, answer) = doors.post(INGEST, sent.to_string());
    assert_eq!((status, answer.as_str()), (200, r#"{"status":"ok","accepted":18,"duplicates":0,"rejected":1}"#));
    let (ledger, rows) = doors.landed();
    assert_eq!((rows.len(), ledger.quarantined), (18, 1), "{ledger:?}");
    let dead = doors.dead();
    assert_eq!((dead.len(), dead[0]["reason"].as_str()), (1, Some("the event has no payload")));
}

pub(crate) fn lenient_numbers() {
    let row = world().row("own/lenient.");
    assert_eq!(at(row, "timing.total_latency_ms"), 431.0);
    assert_eq!(at(row, "details.payload.an_extra_key"), &json!({"kept": true}));
    assert_eq!(at(row, "tokens.prompt_tokens"), 18);
}

/// The most memory that a process ever had, in MiB.
fn memory(id: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? >> 10)
}

pub(crate) fn backpressure() {
    const EVENTS: usize = 100_000;
    const LIMIT_MIB: u64 = 512;
    let folder = TempDir::new().expect("a folder");
    let s3 = s3::serve_bucket(folder.path(), "my-bucket");
    let (bucket, away) = (folder.path().join("buckets/my-bucket"), folder.path().join("away"));
    fs::rename(&bucket, &away).expect("the bucket goes");
    fs::write(&bucket, "no bucket").expect("and nobody makes it again");
    let server = nobody(folder.path()).in_bucket(&s3).start_alive();
    let client = reqwest::blocking::Client::builder().timeout(Duration::from_secs(120)).build().expect("a client");
    for batch in 0..EVENTS / 5_000 {
        let body = events(batch * 5_000, 5_000);
        until("a batch to be taken", Duration::from_secs(300), || {
            let answer =
                client.post(format!("{}{INGEST}", server.http())).body(body.clone()).send().expect("an answer");
            assert!([200, 503].contains(&answer.status().as_u16()), "{}", answer.status());
            (answer.status().as_u16() == 200).then_some(())
        });
    }
    let ledger = server.ledger();
    // A batch that was answered too late was sent again.
    assert!(ledger.received >= EVENTS as i64 && ledger.landed == 0, "{ledger:?}");
    fs::remove_file(&bucket).expect("it is there");
    fs::rename(&away, &bucket).expect("the bucket is back");
    let ledger = server.drain(Duration::from_secs(120));
    assert_eq!(ledger.landed, EVENTS as i64, "{ledger:?}");
    let most = memory(server.id());
    let rows = super::support::rows::parse(&super::support::rows::lines_below(&bucket.join("chatlake/events")));
    assert_eq!(ids(&rows).len(), EVENTS);
    if let Some(most) = most {
        note(format!("at most {most} MiB of memory"));
        assert!(most < LIMIT_MIB, "{most} MiB of memory");
    }
}

pub(crate) fn counters() {
    let doors = Doors::open();
    // Each reading of the ledger is held against the identity.
    assert_eq!(doors.server.ledger().received, 0);
    assert_eq!(doors.post(INGEST, golden(ALL)).0, 200);
    doors.server.ledger();
    doors.landed();
    assert_eq!(doors.post(INGEST, golden(ALL)).0, 200);
    assert_eq!(doors.post(INGEST, "[{}]").0, 200);
    assert_eq!(doors.post(INGEST, "no json").0, 400);
    let (ledger, _) = doors.landed();
    let told = (ledger.received, ledger.landed, ledger.deduplicated, ledger.quarantined, ledger.buffered);
    assert_eq!(told, (39, 19, 19, 1, 0), "{ledger:?}");
}

pub(crate) fn queue_statistics() {
    let folder = TempDir::new().expect("a folder");
    let s3 = s3::serve_bucket(folder.path(), "my-bucket");
    let (bucket, away) = (folder.path().join("buckets/my-bucket"), folder.path().join("away"));
    let setup = nobody(folder.path()).in_bucket(&s3);
    let server = setup.clone().start();
    fs::rename(&bucket, &away).expect("the bucket goes");
    fs::write(&bucket, "no bucket").expect("and nobody makes it again");
    let client = reqwest::blocking::Client::new();
    let answer = client.post(format!("{}{INGEST}", server.http())).body(golden(ALL)).send().expect("an answer");
    assert_eq!(answer.status().as_u16(), 200);
    let failed = || {
        let (_, page) = server.admin("/metrics").expect("an answer");
        let lines = page.lines().filter(|line| line.starts_with("chatlake_store_errors_total"));
        lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u32>().ok()).sum::<u32>()
    };
    until("a failed upload", Duration::from_secs(120), || (failed() > 0).then_some(()));
    fs::remove_file(&bucket).expect("it is there");
    fs::rename(&away, &bucket).expect("the bucket is back");
    let ledger = server.drain(Duration::from_secs(120));
    assert_eq!(
        (ledger.received, ledger.landed, ledger.buffered),
        (19, 19, 0),
        "all of them, after {} failures",
        failed()
    );
    let (code, status, err) = run(setup.command().arg("status"));
    assert_eq!(code, 0, "{status}{err}");
    for words in ["19 received", "19 landed", "0 buffered"] {
        assert!(status.contains(words), "{words}: {status}");
    }
    note(format!("{} failed attempts, all events exported", failed()));
}

pub(crate) fn concurrency() {
    const CLIENTS: usize = 32;
    let doors = Doors::open();
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let doors = &doors;
            scope.spawn(move || {
                for batch in 0..20 {
                    let body = events(client * 1000 + batch * 50, 50);
                    until("a batch to be taken", Duration::from_secs(300), || {
                        let (status, answer) = doors.post(INGEST, body.clone());
                        assert!([200, 503].contains(&status), "{status} {answer}");
                        (status == 200).then_some(())
                    });
                }
            });
        }
    });
    let (ledger, rows) = doors.landed();
    assert_eq!((ids(&rows).len(), rows.len()), (32_000, 32_000), "{ledger:?}");
}
