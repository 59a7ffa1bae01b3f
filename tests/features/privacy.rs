//! Rows of the table's part "Privacy".

use super::client::Doors;
use super::support::project;
use super::support::rows::{Row, files_below};
use super::world::{at, world};
use serde_json::{Value, json};
use std::fs;

/// A text as the tests keep it: `{}` in it keeps scanners from taking it for a leak.
fn fake(text: &str) -> String {
    text.replace("{}", "")
}

/// Text, what `floor` makes of it.
fn recorded() -> Vec<(String, String, String)> {
    let cases = fs::read(project().join("tests/golden/redact/floor.json")).expect("the recorded cases");
    let cases: Vec<Value> = serde_json::from_slice(&cases).expect("JSON");
    let text = |case: &Value, name: &str| fake(case[name].as_str().expect("a text"));
    cases.iter().map(|case| (text(case, "case"), text(case, "input"), text(case, "output"))).collect()
}

/// What a policy makes of texts, each sent as a message.
fn redacted(policy: &str, settings: &[(&str, &str)], texts: &[String]) -> Vec<Row> {
    let settings: Vec<(&str, &str)> =
        [("REDACTION__POLICY", policy)].into_iter().chain(settings.iter().copied()).collect();
    let doors = Doors::open_with(&settings);
    let lines: Vec<String> = texts
        .iter()
        .enumerate()
        .map(|(number, text)| {
            let time = format!("2026-01-02T03:{:02}:{:02}Z", number / 60, number % 60);
            json!({"conversation_id": "c", "timestamp": time, "messages": [{"role": "user", "content": text}]})
                .to_string()
        })
        .collect();
    assert_eq!(doors.post("/v1/events", lines.join("\n")).0, 200);
    let (_, mut rows) = doors.landed();
    rows.sort_by_key(|row| row["timestamp"].to_string());
    assert_eq!(rows.len(), texts.len());
    rows
}

fn text(row: &Row) -> &str {
    at(row, "messages.0.content").as_str().expect("a text")
}

pub(crate) fn floor() {
    let cases = recorded();
    assert_eq!(cases.len(), 59);
    let inputs: Vec<String> = cases.iter().map(|(_, input, _)| input.clone()).collect();
    for ((case, _, output), row) in cases.iter().zip(redacted("floor", &[], &inputs)) {
        assert_eq!(text(&row), output, "{case}");
    }
}

pub(crate) fn emails_and_paths() {
    let cases = recorded();
    for rule in ["[REDACTED:email]", "[REDACTED:path]"] {
        assert!(cases.iter().any(|(_, _, output)| output.contains(rule)), "{rule} is recorded");
    }
    let rows =
        redacted("floor", &[], &["mail a.b@example.com".into(), "/home/ann/x /Users/bob/y C:\\Users\\eve\\z".into()]);
    assert_eq!(text(&rows[0]), "mail [REDACTED:email]");
    assert_eq!(text(&rows[1]), "[REDACTED:path] [REDACTED:path] [REDACTED:path]");
}

pub(crate) fn strict() {
    let missed = [
        "postgresql://app:S3cretPass@db/prod",
        "rediss://u:S3cretPass@h",
        "amqps://u:S3cretPass@h",
        "PASSWORD=S3cretPass99",
        "TOKEN=abcdEF123456789",
        "api_key=abcdEF123456789",
        "authorization: bea{}rer abcdefghij1234567890KLM",
        "glp{}at-abcdefghij1234567890",
        "hf{}_abcdefghijABCDEFGHIJ1234567890abcd",
        "call +351 912 345 678",
        "card 4242 4242 4242 4242",
        "from 198.51.100.77",
        "https://hooks.sl{}ack.com/services/T0000AAA/B0000BBB/abcdefghijKLMNOPQRSTUV",
        "postgres://app:half@S3cretPass@db/x",
        "DE89 3704 0044 0532 0130 00",
    ]
    .map(fake)
    .to_vec();
    for (input, row) in missed.iter().zip(redacted("strict", &[], &missed)) {
        assert!(text(&row).contains("[REDACTED:") && !text(&row).contains("S3cretPass"), "{input}: {}", text(&row));
    }
    let clean = [
        "commit 9fceb02d0ae598e95dc970b74767f19372d61af8",
        "task-abcdefghijklmnopqrstuvwxyz",
        "sk-learn and scikit-learn-contrib",
        "disk-usage-of-the-whole-cluster",
        "5b8efff7-98038103-d269b633-813fc60c",
        "order 900012345678",
    ]
    .map(str::to_owned)
    .to_vec();
    for (input, row) in clean.iter().zip(redacted("strict", &[], &clean)) {
        assert_eq!(text(&row), input);
    }
}

/// A secret in each place of a span.
pub(crate) fn everywhere() {
    let secret = fake("sk{}-ant-api03-CANARYcanaryCANARYcanary");
    let text = |key: &str| json!({"key": key, "value": {"stringValue": format!("{key} {secret}")}});
    let said = json!([{"role": "user", "parts": [{"type": "text", "content": secret}]}]).to_string();
    let call = json!([{"role": "assistant", "parts": [{"type": "tool_call", "id": "c", "name": "f", "arguments": {"k": secret, &secret: 1}}]}]);
    let span = json!({
        "traceId": format!("{:032x}", 77), "spanId": format!("{:016x}", 7), "name": format!("chat {secret}"), "kind": 3,
        "startTimeUnixNano": "1795000000000000000", "endTimeUnixNano": "1795000001000000000", "traceState": secret,
        "status": {"code": 2, "message": secret},
        "events": [{"name": secret, "attributes": [text("exception.message")]}],
        "links": [{"traceId": format!("{:032x}", 78), "spanId": format!("{:016x}", 8), "attributes": [text("why")]}],
        "attributes": [
            {"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}},
            {"key": "gen_ai.input.messages", "value": {"stringValue": said}},
            {"key": "gen_ai.output.messages", "value": {"stringValue": call.to_string()}},
            {"key": "twice", "value": {"stringValue": Value::from(Value::from(secret.as_str()).to_string()).to_string()}},
            {"key": "map", "value": {"kvlistValue": {"values": [text("inner")]}}},
            {"key": secret, "value": {"boolValue": true}},
            text("gen_ai.request.model"), text("gen_ai.conversation.id"), text("metadata.note"),
        ],
    });
    let body = json!({"resourceSpans": [{"resource": {"attributes": [text("host.name")]}, "scopeSpans": [{"scope": {"name": "x", "attributes": [text("scope")]}, "spans": [span]}]}]});
    let doors = Doors::open();
    let headers = [("authorization", "Bearer msk-of-the-checks"), ("content-type", "application/json")];
    assert_eq!(doors.post_with("/v1/traces", &headers, body.to_string()).0, 200);
    let (_, rows) = doors.landed();
    assert_eq!(rows.len(), 1);
    assert!(at(&rows[0], "redaction.counts.anthropic_key").as_u64() >= Some(15), "{:#?}", rows[0]["redaction"]);
    for file in files_below(&doors.server.data()) {
        let found = String::from_utf8_lossy(&fs::read(&file).unwrap_or_default()).contains("CANARY");
        assert!(!found && !file.to_string_lossy().contains("CANARY"), "{}", file.display());
    }
    assert!(!doors.server.said().contains("CANARY"));
}

pub(crate) fn marks_and_counts() {
    let row = world().row("modelstat/python-0.1.0/01");
    assert_eq!(at(row, "redaction.counts"), &json!({"openai_key": 1, "email": 1, "path": 1}));
    assert_eq!(at(row, "details.redaction.on_arrival"), true);
}

/// What one server exported goes through another.
pub(crate) fn twice() {
    let texts: Vec<String> = recorded().into_iter().map(|(_, input, _)| input).collect();
    for policy in ["floor", "strict"] {
        let once: Vec<String> = redacted(policy, &[], &texts).iter().map(|row| text(row).to_owned()).collect();
        let again: Vec<String> = redacted(policy, &[], &once).iter().map(|row| text(row).to_owned()).collect();
        assert_eq!(once, again, "{policy}");
    }
}

pub(crate) fn none() {
    let texts: Vec<String> = recorded().into_iter().map(|(_, input, _)| input).collect();
    for (input, row) in texts.iter().zip(redacted("none", &[], &texts)) {
        assert_eq!((text(&row), &row["redaction"]), (input.as_str(), &json!({"policy": "none"})));
    }
}

pub(crate) fn excerpts() {
    let whole = "x".repeat(400);
    let wide = "😀".repeat(400);
    let combined = "e\u{301}".repeat(400);
    let rows = redacted("floor", &[("REDACTION__CONTENT", "excerpt")], &[whole, wide, combined.clone()]);
    assert_eq!(text(&rows[0]), format!("{}…", "x".repeat(320)));
    assert_eq!(text(&rows[1]), format!("{}…", "😀".repeat(320)));
    let cut = text(&rows[2]).strip_suffix('…').expect("cut");
    assert!(combined.starts_with(cut) && cut.ends_with('\u{301}'), "no mark loses its letter");
}

pub(crate) fn hashed_arguments() {
    let doors = Doors::open_with(&[("REDACTION__CONTENT", "hash")]);
    let call = json!({"id": "c", "name": "f", "arguments": {"city": "Lisbon", "units": "metric"}});
    let line = json!({"conversation_id": "c", "messages": [{"role": "assistant", "tool_calls": [call]}]});
    assert_eq!(doors.post("/v1/events", line.to_string()).0, 200);
    let (_, rows) = doors.landed();
    let landed = Value::Object(rows[0].clone()).to_string();
    assert!(!landed.contains("Lisbon"), "{landed}");
    for vector in [
        "f5d2ab550502ac586fc9850a1328cd901ce7a78cdeebace8e4c2442cf072240c",
        "1fcd654fd2f59fd6bc7421aef8e091316d7e10df5c14be36a25d3fb3da5da595",
        "\"args_bytes\":34",
    ] {
        assert!(landed.contains(vector), "{vector}: {landed}");
    }
}

pub(crate) fn full_turns() {
    let long = "word ".repeat(4000);
    assert_eq!(text(&redacted("floor", &[], std::slice::from_ref(&long))[0]), long);
    let batch = json!({"events": [{"source_event_id": "e", "kind": "assistant_message", "content_excerpt": format!("{long}\n---\n{long}")}]});
    let doors = Doors::open();
    assert_eq!(doors.post("/v1/ingest/raw", batch.to_string()), (200, r#"{"accepted":true}"#.to_owned()));
    let (_, rows) = doors.landed();
    assert_eq!((text(&rows[0]), at(&rows[0], "messages.1.content").as_str()), (long.as_str(), Some(long.as_str())));
}

pub(crate) fn masked_configuration() {
    let doors = Doors::open_with(&[("REDACTION__HASH_KEY", "a-hash-key-to-be-hidden")]);
    let (_, status) = doors.server.admin("/status").expect("an answer");
    let (_, metrics) = doors.server.admin("/metrics").expect("an answer");
    for secret in
        [super::client::KEY, super::client::META_SECRET, super::client::TWILIO_SECRET, "a-hash-key-to-be-hidden"]
    {
        assert!(
            !status.contains(secret) && !metrics.contains(secret) && !doors.server.said().contains(secret),
            "{secret}"
        );
    }
    let mut check = super::support::server::program();
    check
        .arg("check")
        .current_dir(doors.folder.path())
        .env("CHATLAKE_AUTH__KEYS", "[{key: to-be-hidden}]")
        .env("CHATLAKE_REDACTION__HASH_KEY", "to-be-hidden-as-well");
    check.env("CHATLAKE_WEBHOOKS__META", "[{secret: to-be-hidden, verify_token: to-be-hidden}]");
    let (code, out, err) = super::client::run(&mut check);
    assert_eq!(code, 0, "{err}");
    assert!(!out.contains("to-be-hidden") && !err.contains("to-be-hidden"), "{out}{err}");
}
