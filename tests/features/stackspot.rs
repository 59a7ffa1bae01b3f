//! Rows of the table's part "Stackspot and LiteLLM".

use super::client::Doors;
use super::measures::litellm_calls;
use super::support::rows::Row;
use super::world::{LINES, at, calls, golden, golden_json, of_type, said, world};
use serde_json::{Value, json};

/// The eight calls in each of the three exports.
fn exports() -> [Vec<&'static Row>; 3] {
    let webhook = world().rows("stackspot/litellm-1.106.2-generic").iter().collect();
    let exports = [litellm_calls("1.74.8"), litellm_calls("1.106.2"), webhook];
    assert!(exports.iter().all(|calls| calls.len() == 8));
    exports
}

fn answered(row: &Row) -> Vec<(String, Value)> {
    let input = row["input_message_count"].as_u64().expect("a count") as usize;
    row["messages"].as_array().expect("messages").iter().skip(input).flat_map(calls).collect()
}

pub(crate) fn operations_and_streams() {
    for (export, calls) in exports().iter().enumerate() {
        let streams: Vec<bool> = calls.iter().map(|row| at(row, "model.stream") == true).collect();
        assert_eq!(streams, [false, false, true, true, false, false, false, false]);
        // The older spans do not state it.
        let operation = if export == 0 { Value::Null } else { json!("acompletion") };
        assert!(calls.iter().all(|row| *at(row, "model.operation") == operation), "{export}");
    }
}

pub(crate) fn correlation_ids() {
    let [old, new, webhook] = exports();
    for calls in [new, webhook] {
        let others = calls.iter().enumerate().filter(|(number, _)| *number != 5);
        others.for_each(|(number, row)| assert_eq!(row["conversation_id"], "conversa-123", "request {}", number + 1));
    }
    assert_eq!(old[7]["conversation_id"], "conversa-123", "from the body's metadata");
    for row in old.iter().take(7) {
        assert_eq!(row["conversation_id"], row["trace_id"]);
        assert!(row["conversation_id_source"].as_str().is_some_and(|rule| rule.starts_with("trace")));
    }
}

pub(crate) fn missing_correlation_id() {
    for calls in exports() {
        assert_eq!(calls[5]["status"], "error");
        assert!(at(calls[5], "error.message").as_str().is_some_and(|text| text.contains("correlation_id")));
    }
}

/// Every case through the door, as the answer of a call.
pub(crate) fn text_markers() {
    let cases = golden_json("stackspot/text-marker-cases.json");
    let cases = cases.as_array().expect("cases");
    assert_eq!(cases.len(), 20);
    let doors = Doors::open();
    let bodies: Vec<Value> = cases.iter().enumerate().map(|(number, case)| json!({
        "id": format!("case-{number}"), "call_type": "acompletion", "status": "success", "model": "stackspot-chat",
        "startTime": 1_795_000_000.0 + number as f64, "messages": [{"role": "user", "content": format!("q{number}")}],
        "response": {"choices": [{"message": {"role": "assistant", "content": case["text"]}, "finish_reason": "stop"}]},
    })).collect();
    assert_eq!(doors.post("/webhooks/litellm", Value::from(bodies).to_string()).0, 200);
    let (_, rows) = doors.landed();
    for (number, case) in cases.iter().enumerate() {
        let row = rows.iter().find(|row| said(row)[0].1 == format!("q{number}")).expect("its row");
        let proposed = &case["proposed"];
        let wanted: Vec<(String, Value)> = proposed["tool_calls"]
            .as_array()
            .expect("calls")
            .iter()
            .map(|call| (call["name"].as_str().expect("a name").to_owned(), call["arguments"].clone()))
            .collect();
        assert_eq!(answered(row), wanted, "{}", case["case"]);
        assert_eq!(said(row)[1].1, proposed["content"].as_str().expect("a text"), "{}", case["case"]);
    }
}

pub(crate) fn streamed_tool_call() {
    for calls in exports() {
        assert_eq!(said(calls[3])[2].1, "Vou usar a ferramenta.");
        assert_eq!(answered(calls[3]), [("buscar_tempo".to_owned(), json!({"cidade": "São Paulo"}))]);
    }
}

pub(crate) fn no_doubled_calls() {
    for calls in exports() {
        let names: Vec<String> = answered(calls[4]).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["buscar_tempo", "somar"]);
    }
}

pub(crate) fn upstream_failures() {
    for calls in exports() {
        assert_eq!(calls[6]["status"], "error");
        assert!(at(calls[6], "error.message").as_str().is_some_and(|text| text.contains("429")));
    }
}

pub(crate) fn authentication() {
    let rows = world().rows("own/proxy.");
    let token =
        rows.iter().find(|row| row["event_type"] == "http.client" && at(row, "timing.total_latency_ms") == 10.8);
    assert_eq!(at(token.expect("the token's row"), "details.api_call.status_code"), 200);
    assert_eq!(at(of_type(rows, "chat.completion"), "details.timing.auth_ms"), 10.8);
    let refused = world().row("own/refused-token.");
    assert_eq!((&refused["event_type"], &refused["status"]), (&json!("http.client"), &json!("error")));
}

pub(crate) fn doubled_upstream_call() {
    let rows = world().rows("own/proxy.");
    assert_eq!(at(of_type(rows, "chat.completion"), "details.upstream_calls"), 2);
}

/// The row of a line of the log.
fn line(text: &str) -> &'static Row {
    let rows = world().rows("own/lines.");
    rows.iter()
        .find(|row| Value::Object((*row).clone()).to_string().contains(text))
        .unwrap_or_else(|| panic!("no row of {text}"))
}

pub(crate) fn log_lines() {
    let rows = world().rows("own/lines.");
    assert_eq!(rows.len(), LINES.len());
    for (row, (severity, text)) in rows.iter().zip(LINES) {
        assert_eq!((&row["event_type"], at(row, "details.severity")), (&json!("log.line"), &json!(severity)), "{text}");
    }
    assert_eq!(at(line("Found 2 tool"), "details.tool_call_count"), 2);
    assert_eq!(at(line("HTTP 429"), "details.api_call.status_code"), 429);
}

pub(crate) fn chunks_and_size() {
    assert_eq!(at(line("Collected 3"), "details.model"), &json!({"chunk_count": 3, "response_chars": 34}));
}

pub(crate) fn log_levels() {
    let doors = Doors::open_with(&[("RECEIVERS__MIN_SEVERITY", "warning")]);
    assert_eq!(
        doors
            .post_with(
                "/v1/logs",
                &[("authorization", "Bearer msk-of-the-checks"), ("content-type", "application/json")],
                super::world::lines().to_string()
            )
            .0,
        200
    );
    let (ledger, rows) = doors.landed();
    let mut kept: Vec<&str> =
        rows.iter().map(|row| at(row, "details.severity").as_str().expect("a severity")).collect();
    kept.sort_unstable();
    assert_eq!(kept, ["ERROR", "ERROR", "ERROR", "ERROR", "WARNING"]);
    assert_eq!((ledger.received, ledger.left_out), (9, 4), "what is filtered is counted: {ledger:?}");
}

pub(crate) fn pages() {
    let doors = Doors::open();
    let (status, page) = doors.server.admin("/metrics").expect("an answer");
    assert_eq!(status, 200);
    for counter in ["received", "landed", "deduplicated", "quarantined", "rejected", "left_out", "buffered"] {
        assert!(page.contains(&format!("chatlake_records_{counter}")), "{counter}: {page}");
    }
    assert_eq!(doors.get("/health").0, 200);
    assert_eq!(doors.server.admin("/healthz").expect("an answer").0, 200);
}

pub(crate) fn callers_key() {
    let recorded = [
        "stackspot/litellm-1.74.8-otel.pb",
        "stackspot/litellm-1.106.2-otel.pb",
        "stackspot/litellm-1.106.2-generic-api-webhook.json",
    ];
    assert!(recorded.iter().any(|file| String::from_utf8_lossy(&golden(file)).contains("fake-key")), "it was sent");
    for name in recorded {
        let landed = Value::from(world().rows(name).iter().cloned().map(Value::Object).collect::<Vec<_>>()).to_string();
        assert!(!landed.is_empty() && !landed.contains("fake-key"), "{name}");
    }
    assert!(!world().said.contains("fake-key") && !world().metrics.contains("fake-key"));
}
