//! The doors of logging SDKs, webhooks and gateways, with recorded requests byte for byte. The real clients are in the
//! checks of `tests/features`.

use super::support::metrics::Ledger;
use super::support::project;
use super::support::rows::{Row, lines_below, parse};
use super::support::server::{Server, Setup};
use base64::Engine as _;
use hmac::{KeyInit as _, Mac as _};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;
use tempfile::TempDir;

const KEY: &str = "msk-of-the-tests";
const META_SECRET: &str = "fake-app-secret";
const TWILIO_SECRET: &str = "fake-auth-token";
const PUBLIC: &str = "https://collector.example.invalid";

/// A server that knows one key and one sender of each webhook.
struct Doors {
    server: Server,
    folder: TempDir,
}

impl Doors {
    fn open() -> Self {
        let folder = TempDir::new().expect("a folder");
        let setup = Setup::quick(folder.path())
            .with("STORE__FORMAT", "jsonl")
            .with("STORE__COMPRESSION", "none")
            .with("RECEIVERS__MODELSTAT__ENDPOINT", "none")
            .with("AUTH__KEYS", &format!("[{{key: {KEY}, tenant: shop}}]"))
            .with("WEBHOOKS__META", &format!("[{{secret: {META_SECRET}, verify_token: asked}}]"))
            .with("WEBHOOKS__TWILIO", &format!("[{{secret: {TWILIO_SECRET}}}]"))
            .with("WEBHOOKS__PUBLIC_URL", PUBLIC);
        Self { server: setup.start(), folder }
    }

    /// Posts with the key.
    fn post(&self, path: &str, body: &[u8]) -> (u16, String) {
        self.post_with(path, &[("authorization", &format!("Bearer {KEY}"))], body)
    }

    fn post_with(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> (u16, String) {
        let client = reqwest::blocking::Client::new();
        let mut request = client.post(format!("{}{path}", self.server.http())).body(body.to_vec());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().expect("an answer");
        (answer.status().as_u16(), answer.text().expect("a text"))
    }

    fn meta(&self, body: &str, secret: &str) -> (u16, String) {
        let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).expect("a key");
        mac.update(body.as_bytes());
        let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        self.post_with("/webhooks/whatsapp/meta", &[("x-hub-signature-256", &format!("sha256={hex}"))], body.as_bytes())
    }

    fn twilio(&self, fields: &BTreeMap<String, String>, url: &str) -> (u16, String) {
        let mut mac = hmac::Hmac::<sha1::Sha1>::new_from_slice(TWILIO_SECRET.as_bytes()).expect("a key");
        mac.update(url.as_bytes());
        fields.iter().for_each(|(name, value)| mac.update(format!("{name}{value}").as_bytes()));
        let signature = base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes());
        let encode = |text| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
        let pairs = fields.iter().map(|(name, value)| format!("{name}={}", encode(value)));
        let body = pairs.collect::<Vec<_>>().join("&");
        self.post_with("/webhooks/whatsapp/twilio", &[("x-twilio-signature", &signature)], body.as_bytes())
    }

    /// Everything that landed, once all has.
    fn landed(&self) -> (Ledger, Vec<Row>) {
        let ledger = self.server.drain(Duration::from_secs(30));
        (ledger, parse(&lines_below(&self.folder.path().join("data/events"))))
    }

    fn dead(&self) -> Vec<Row> {
        parse(&lines_below(&self.folder.path().join("data/_dead")))
    }
}

fn golden(path: &str) -> Vec<u8> {
    fs::read(project().join("tests/golden/seeds").join(path)).expect("a recording")
}

fn text<'r>(row: &'r Row, key: &str) -> &'r str {
    row.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn of<'r>(rows: &'r [Row], source: &str) -> Vec<&'r Row> {
    rows.iter().filter(|row| text(row, "source") == source).collect()
}

#[test]
fn recorded_requests_become_their_rows() {
    let doors = Doors::open();
    let mut accepted = 0;
    for (file, count) in
        [("02-single-event-is-an-object", 1), ("03-all-19-types-array", 19), ("04-context-manager-tracker", 11)]
    {
        let (status, answer) = doors.post("/api/v1/ingest", &golden(&format!("insidellm/{file}.body.json")));
        let counted = format!(r#"{{"status":"ok","accepted":{count},"duplicates":0,"rejected":0}}"#);
        assert_eq!((status, answer), (200, counted), "{file}");
        accepted += count;
    }
    for file in ["python-0.0.1/01-local-daemon-v1-ingest", "python-0.1.0/01-local-daemon-v1-ingest"] {
        assert_eq!(doors.post("/v1/ingest", &golden(&format!("modelstat/{file}.body.json"))).0, 200, "{file}");
    }
    let raw = doors.post("/v1/ingest/raw", &golden("modelstat/rust-0.1.0/02-remote-raw-v1-ingest-raw.body.json"));
    assert_eq!(raw, (200, r#"{"accepted":true}"#.to_owned()));
    for file in [
        "python-1.0.1-head/02-log-later-fields",
        "node-head/02-log-camelcase-readme",
        "python-1.0.1-head/07-test-connection",
    ] {
        let body = golden(&format!("huggingplace/{file}.body.json"));
        let answer = doors.post("/v2/chatgpt/store_generated_response", &body);
        assert_eq!(answer, (200, r#"{"message":"stored"}"#.to_owned()), "{file}");
    }
    assert_eq!(doors.post("/v1/events", &golden("stackifier/01-quickstart.jsonl")).0, 200);
    assert_eq!(doors.post("/webhooks/litellm", &golden("stackspot/litellm-1.106.2-generic-api-webhook.json")).0, 200);
    let (ledger, rows) = doors.landed();
    assert_eq!((ledger.quarantined, ledger.deduplicated), (0, 0), "{ledger:?}");
    assert_eq!(of(&rows, "insidellm").len(), accepted);
    assert_eq!((of(&rows, "modelstat").len(), of(&rows, "huggingplace").len()), (3, 3));
    assert_eq!((of(&rows, "stackifier").len(), of(&rows, "litellm").len()), (3, 8));
    assert!(
        !Value::from(rows.iter().map(|row| Value::Object(row.clone())).collect::<Vec<_>>())
            .to_string()
            .contains("fake-key")
    );

    let all: Vec<&Row> = of(&rows, "insidellm");
    let answer = all
        .iter()
        .find(|row| text(row, "event_type") == "llm.response" && row["messages"].as_array().unwrap().len() == 3);
    let answer = answer.expect("the joined event has its request's messages and the answer");
    assert_eq!(answer["tokens"]["total_tokens"], 24);
    assert_eq!(answer["tokens"]["cost_usd"], 0.00021);
    assert_eq!(answer["timing"]["total_latency_ms"], 431.0);
    assert_eq!(answer["model"]["finish_reasons"][0], "stop");
    assert!(all.iter().all(|row| text(row, "event_type") != "chat.completion"), "one row for one event");
    let sources: Vec<&str> = of(&rows, "modelstat").iter().map(|row| text(row, "service")).collect();
    assert!(sources.contains(&"checkout-api"), "{sources:?}");
}

#[test]
fn a_retry_storm_leaves_single_rows() {
    let doors = Doors::open();
    let body = golden("insidellm/03-all-19-types-array.body.json");
    let usage = golden("modelstat/python-0.1.0/01-local-daemon-v1-ingest.body.json");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(doors.post("/api/v1/ingest", &body).0, 200));
            scope.spawn(|| assert_eq!(doors.post("/v1/ingest", &usage).0, 200));
        }
    });
    let other = String::from_utf8(usage.clone()).expect("text").replace("my key is", "the key is");
    assert_ne!(other.as_bytes(), usage.as_slice());
    // The first must be known before another body comes under its id: the order of arrival says which is which.
    doors.landed();
    assert_eq!(doors.post("/v1/ingest", other.as_bytes()).0, 200);
    let (ledger, rows) = doors.landed();
    assert_eq!((of(&rows, "insidellm").len(), ledger.deduplicated), (19, 60), "{ledger:?}");
    let usage = of(&rows, "modelstat");
    let marked: Vec<_> = usage.iter().filter(|row| row["details"].get("dedupe").is_some()).collect();
    assert_eq!((usage.len(), marked.len()), (2, 1), "the same id with another body is kept and marked");
    assert_eq!(marked[0]["details"]["dedupe"], "id_conflict");
}

#[test]
fn a_bad_record_lands_apart_and_costs_nothing_else() {
    let doors = Doors::open();
    let mut sent: Value = serde_json::from_slice(&golden("insidellm/03-all-19-types-array.body.json")).expect("json");
    let secret = format!("sk-ant-{}", "x".repeat(30));
    sent[4].as_object_mut().expect("an event").remove("payload");
    sent[4]["metadata"] = serde_json::json!({ "note": secret });
    let (status, answer) = doors.post("/api/v1/ingest", sent.to_string().as_bytes());
    assert_eq!((status, answer.as_str()), (200, r#"{"status":"ok","accepted":18,"duplicates":0,"rejected":1}"#));
    let (ledger, rows) = doors.landed();
    assert_eq!((rows.len(), ledger.quarantined), (18, 1), "{ledger:?}");
    let dead = doors.dead();
    assert_eq!(dead.len(), 1);
    assert_eq!(text(&dead[0], "reason"), "the event has no payload");
    let whole = Value::Object(dead[0].clone()).to_string();
    assert!(!whole.contains(&secret) && whole.contains("REDACTED"), "{whole}");
}

#[test]
fn keys_are_asked_for_at_every_door_and_health_is_not() {
    let doors = Doors::open();
    let body = golden("insidellm/02-single-event-is-an-object.body.json");
    for path in [
        "/api/v1/ingest",
        "/v1/ingest",
        "/v1/ingest/raw",
        "/v2/chatgpt/store_generated_response",
        "/v1/events",
        "/webhooks/litellm",
    ] {
        for headers in [&[][..], &[("authorization", "Bearer wrong")][..]] {
            let (status, answer) = doors.post_with(path, headers, &body);
            let answer: Value = serde_json::from_str(&answer).expect("json");
            assert!(status == 401 && answer["message"].is_string(), "{path}: {status} {answer}");
        }
        assert_eq!(doors.post(path, b"not json").0, 400, "{path}");
    }
    let health = reqwest::blocking::get(format!("{}/health", doors.server.http())).expect("an answer");
    assert_eq!(health.status().as_u16(), 200);
    let (ledger, rows) = doors.landed();
    assert_eq!((ledger.received, rows.len()), (0, 0), "nothing refused is stored: {ledger:?}");
    assert!(!doors.server.said().contains(KEY));
}

#[test]
fn webhooks_are_let_in_by_signature_alone() {
    let doors = Doors::open();
    let get = |query: &str| {
        let url = format!("{}/webhooks/whatsapp/meta?{query}", doors.server.http());
        let answer = reqwest::blocking::get(url).expect("an answer");
        (answer.status().as_u16(), answer.text().expect("a text"))
    };
    assert_eq!(get("hub.mode=subscribe&hub.verify_token=asked&hub.challenge=42"), (200, "42".to_owned()));
    assert_eq!(get("hub.mode=subscribe&hub.verify_token=guessed&hub.challenge=42").0, 403);
    let cases: Vec<Value> = serde_json::from_slice(&golden("stackifier/whatsapp-meta-cases.json")).expect("json");
    let body = cases[0]["input"].to_string();
    assert_eq!(doors.meta(&body, "withdrawn-secret").0, 403);
    assert_eq!(doors.post("/webhooks/whatsapp/meta", body.as_bytes()).0, 403, "a key is no signature");
    let first = doors.meta(&body, META_SECRET);
    assert_eq!(first.0, 200);
    assert_eq!(doors.meta(&body, META_SECRET), first, "a replay is answered as the first was");
    let cases: Vec<Value> = serde_json::from_slice(&golden("stackifier/whatsapp-twilio-cases.json")).expect("json");
    let mut form: BTreeMap<String, String> = serde_json::from_value(cases[0]["input"].clone()).expect("a form");
    let url = format!("{PUBLIC}/webhooks/whatsapp/twilio");
    assert_eq!(doors.twilio(&form, "https://elsewhere.example/webhooks/whatsapp/twilio").0, 403, "another URL");
    assert_eq!(doors.twilio(&form, &url).0, 200);
    form.insert("MessageSid".to_owned(), "SMother".to_owned());
    assert_eq!(doors.twilio(&form, &url).0, 200, "another message");
    let (ledger, rows) = doors.landed();
    assert_eq!((ledger.received, rows.len()), (3, 3), "what is refused or replayed is not stored: {ledger:?}");
    let conversations: Vec<&str> = rows.iter().map(|row| text(row, "conversation_id")).collect();
    assert_eq!(conversations, ["wa:+15550001111:+351910000000"; 3], "one pair of numbers, one conversation");
    assert!(!doors.server.said().contains(META_SECRET));
}

#[test]
fn a_gateways_spans_and_webhook_tell_the_same_calls() {
    let doors = Doors::open();
    for version in ["1.74.8", "1.106.2"] {
        let key = format!("Bearer {KEY}");
        let headers = [("authorization", key.as_str()), ("content-type", "application/x-protobuf")];
        let body = golden(&format!("stackspot/litellm-{version}-otel.pb"));
        assert_eq!(doors.post_with("/v1/traces", &headers, &body).0, 200);
    }
    let (_, rows) = doors.landed();
    let calls: Vec<&Row> = rows.iter().filter(|row| text(row, "event_type") == "chat.completion").collect();
    assert_eq!(calls.len(), 16, "eight of each");
    let failed: Vec<&&Row> = calls.iter().filter(|row| text(row, "status") == "error").collect();
    assert_eq!(failed.len(), 4);
    assert!(failed.iter().all(|row| row["error"]["message"].is_string()), "each says why: {failed:#?}");
    assert!(rows.iter().all(|row| !Value::Object(row.clone()).to_string().contains("fake-key")));
}

#[test]
fn the_door_of_modelstat_may_be_taken_by_another() {
    let folder = TempDir::new().expect("a folder");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address").to_string();
    let mut server = Setup::quick(folder.path()).with("RECEIVERS__MODELSTAT__ENDPOINT", &address).start();
    assert!(server.said().contains(&address), "a warning names it: {}", server.said());
    assert!(server.stop().success());
}
