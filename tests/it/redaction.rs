//! What the configuration of redaction does to what comes in by the doors: rules of one's own in each mode, and how
//! much is kept of what was said.

use super::support::rows::{Row, lines_below, parse};
use super::support::server::{Setup, program};
use serde_json::{Value, json};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// Posts a span and a line that say the same, and gives their rows.
fn landed(settings: &[(&str, &str)], text: &str) -> [Row; 2] {
    let folder = TempDir::new().expect("a folder");
    let mut setup =
        Setup::quick(folder.path()).with("STORE__FORMAT", "jsonl").with("RECEIVERS__MODELSTAT__ENDPOINT", "none");
    settings.iter().for_each(|(key, value)| setup.set(key, value));
    let server = setup.start();
    let part = |text: &str| json!([{"role": "user", "parts": [{"type": "text", "content": text}]}]).to_string();
    let call = json!([{"role": "assistant", "parts": [{"type": "tool_call", "id": "c", "name": "f", "arguments": {"k": text}}]}]);
    let attribute = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let span = json!({
        "traceId": format!("{:032x}", 7), "spanId": format!("{:016x}", 7), "name": "chat", "kind": 3,
        "startTimeUnixNano": "1795000000000000000", "endTimeUnixNano": "1795000001000000000",
        "attributes": [
            attribute("gen_ai.operation.name", "chat"), attribute("gen_ai.request.model", "gpt-4o"),
            attribute("gen_ai.conversation.id", "conv-1"), attribute("gen_ai.input.messages", &part(text)),
            attribute("gen_ai.output.messages", &call.to_string()),
        ],
    });
    let spans = json!({"resourceSpans": [{"scopeSpans": [{"scope": {"name": "x"}, "spans": [span]}]}]});
    let line = json!({
        "conversation_id": "conv-1", "metadata": {"model": "gpt-4o"},
        "messages": [{"role": "user", "content": text}, {"role": "assistant", "tool_calls": [{"id": "c", "name": "f", "arguments": {"k": text}}]}],
    });
    let client = reqwest::blocking::Client::new();
    for (path, body) in [("/v1/traces", spans), ("/v1/events", line)] {
        let request = client.post(format!("{}{path}", server.http())).header("content-type", "application/json");
        assert_eq!(request.body(body.to_string()).send().expect("an answer").status().as_u16(), 200);
    }
    server.drain(Duration::from_secs(30));
    let mut rows = parse(&lines_below(&server.data().join("events")));
    rows.sort_by_key(|row| row["source"].to_string());
    rows.try_into().expect("two rows")
}

fn said(row: &Row) -> &Value {
    &row["messages"][0]["content"]
}

/// A JSON array of one rule, as a variable holds it.
fn rule(mode: &str) -> String {
    format!(r#"[{{"name": "badge", "pattern": "BADGE-[0-9]{{4,}}", "keyword": "badge-", "mode": "{mode}"}}]"#)
}

#[test]
fn a_rule_of_ones_own_masks_hashes_or_drops() {
    let text = "I am BADGE-4711, not BADGE-4712";
    for row in landed(&[("REDACTION__RULES", &rule("mask"))], text) {
        assert_eq!(said(&row), "I am [REDACTED:badge], not [REDACTED:badge]");
        let arguments = row["messages"][1]["tool_calls"][0]["function"]["arguments"].as_str().expect("arguments");
        assert!(!arguments.contains("4711") && serde_json::from_str::<Value>(arguments).is_ok(), "{arguments}");
        assert!(row["redaction"]["counts"]["badge"].as_u64() >= Some(4), "{}", row["redaction"]);
    }
    let key = ("REDACTION__HASH_KEY", "a secret of the tests");
    let hashed = |text: &str| landed(&[("REDACTION__RULES", &rule("hash")), key], text);
    let [one, other] = hashed(text);
    assert_eq!(said(&one), said(&other), "equal values are equal at every door");
    let marks: Vec<&str> =
        said(&one).as_str().expect("a text").split("[REDACTED:badge:").skip(1).map(|rest| &rest[..16]).collect();
    assert_eq!(marks.len(), 2);
    assert_ne!(marks[0], marks[1], "others are others");
    let [again, _] = hashed("again BADGE-4711");
    assert!(said(&again).as_str().expect("a text").contains(marks[0]), "and in another server with the same key");
    let [elsewhere, _] =
        landed(&[("REDACTION__RULES", &rule("hash")), ("REDACTION__HASH_KEY", "another secret of tests")], text);
    assert!(!said(&elsewhere).as_str().expect("a text").contains(marks[0]), "the key makes the hash");
    for row in landed(&[("REDACTION__RULES", &rule("drop"))], text) {
        assert!(said(&row).as_str().unwrap_or_default().is_empty(), "the whole text goes: {row:?}");
    }
}

#[test]
fn content_is_kept_cut_hashed_or_left_out() {
    let long = format!("Lisbon {}", "very ".repeat(100));
    for row in landed(&[("REDACTION__CONTENT", "full")], &long) {
        assert_eq!(said(&row), &long);
    }
    for row in landed(&[("REDACTION__CONTENT", "excerpt")], &long) {
        let cut: String = long.chars().take(320).collect();
        assert_eq!(said(&row), &format!("{cut}…"));
    }
    for row in landed(&[("REDACTION__CONTENT", "hash")], &long) {
        let text = Value::Object(row.clone()).to_string();
        assert!(!text.contains("Lisbon") && text.contains("args_hash"), "{text}");
        assert!(said(&row).as_str().is_some_and(|text| text.starts_with("hash-")), "{}", said(&row));
        assert_eq!((&row["conversation_id"], &row["model"]["request"]), (&json!("conv-1"), &json!("gpt-4o")));
    }
    for row in landed(&[("REDACTION__CONTENT", "none")], &long) {
        let text = Value::Object(row.clone()).to_string();
        assert!(!text.contains("Lisbon"), "{text}");
        assert_eq!(row["model"]["request"], "gpt-4o", "what it was is told all the same");
    }
}

fn check(rules: &str) -> (i32, String) {
    let folder = TempDir::new().expect("a folder");
    let mut command: Command = program();
    let output = command.current_dir(folder.path()).arg("check").env("CHATLAKE_REDACTION__RULES", rules).output();
    let output = output.expect("the program starts");
    (output.status.code().expect("it was not killed"), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_rule_that_would_match_everything_is_refused_by_check() {
    for pattern in [".*", ".+", "[a-z]+", r"\\w+", "x*", "(?s).", "[^ ]+", "a?", r"\\S{1,}", ".", r"\\W+", " ", r"\\s+"]
    {
        let (code, err) = check(&format!(r#"[{{"name": "all", "pattern": "{pattern}"}}]"#));
        assert!(code == 1 && err.contains("all"), "{pattern}: {code}: {err}");
    }
    let (code, err) = check(r#"[{"name": "badge", "pattern": "BADGE-[0-9]+"}]"#);
    assert_eq!(code, 0, "{err}");
}

#[test]
fn a_secret_that_is_split_over_the_pieces_of_a_stream_is_found_in_the_whole() {
    let folder = TempDir::new().expect("a folder");
    let server = Setup::quick(folder.path()).with("STORE__FORMAT", "jsonl").start();
    let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let map = |values: Vec<Value>| json!({"kvlistValue": {"values": values}});
    let secret = format!("sk-{}", "Zx9".repeat(12));
    let (one, other) = secret.split_at(11);
    // Early releases for Gemini's client tell each chunk of a stream as a choice; only the last one has ended.
    let chunk = |number: u64, said: &str, reason: Option<&str>| {
        let message = map(vec![text("role", "assistant"), text("content", said)]);
        let mut body = vec![
            json!({"key": "index", "value": {"intValue": number.to_string()}}),
            json!({"key": "message", "value": message}),
        ];
        body.extend(reason.map(|reason| text("finish_reason", reason)));
        json!({
            "traceId": format!("{:032x}", 9), "spanId": format!("{:016x}", 9), "eventName": "gen_ai.choice",
            "timeUnixNano": (1_795_000_000_000_000_000 + number).to_string(), "body": map(body),
            "attributes": [text("gen_ai.system", "gemini"), text("event.name", "gen_ai.choice")],
        })
    };
    let records = [chunk(0, &format!("The key is {one}"), None), chunk(1, &format!("{other} for now"), Some("stop"))];
    let logs = json!({"resourceLogs": [{"scopeLogs": [{"scope": {"name": "x"}, "logRecords": records}]}]});
    let client = reqwest::blocking::Client::new();
    let request = client.post(format!("{}/v1/logs", server.http())).header("content-type", "application/json");
    assert_eq!(request.body(logs.to_string()).send().expect("an answer").status().as_u16(), 200);
    server.drain(Duration::from_secs(30));
    let rows = parse(&lines_below(&server.data().join("events")));
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!(said(&rows[0]), "The key is [REDACTED:openai_key] for now");
    assert_eq!(rows[0]["redaction"]["counts"]["openai_key"], 1);
}
