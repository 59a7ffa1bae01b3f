use super::*;
use crate::dialect::posted::modelstat::batch_id;
use crate::dialect::posted::modelstat::content_hash;
use crate::dialect::posted::modelstat::external_call_id;

#[test]
fn modelstat_010_has_usage_tools_git_and_tags() {
    let posted = modelstat(&golden("modelstat/python-0.1.0/01-local-daemon-v1-ingest.body.json"), &config()).unwrap();
    assert_eq!(
        posted.answer,
        r#"{"accepted":1,"new_sessions":0,"updated_sessions":0,"batch_id":"batch_774297c4bfe0e7d2c00f835fcbdc091e"}"#
    );
    let record = record_of(&posted, "usage.assistant_message");
    let (row, details) = (row(record), details(record));
    assert_eq!(row.service.as_deref(), Some("checkout-api"));
    assert_eq!(row.conversation_id, "sess-1");
    let tokens = row.tokens.as_ref().unwrap();
    assert_eq!(
        (tokens.prompt_tokens, tokens.completion_tokens, tokens.reasoning_tokens),
        (Some(800), Some(120), Some(30))
    );
    assert_eq!((tokens.cache_creation_tokens, tokens.cached_tokens), (Some(1), Some(2)));
    let timing = row.timing.as_ref().unwrap();
    assert_eq!((timing.time_to_first_token_ms, timing.total_latency_ms), (Some(150.0), Some(1234.0)));
    assert!(timing.tool_latencies_ms.is_empty(), "the Python client sends no ends: null, not 0");
    assert_eq!(row.messages.len(), 2);
    assert_eq!(
        row.redaction.as_ref().unwrap().counts.iter().map(|(k, n)| (k.as_str(), *n)).collect::<Vec<_>>(),
        [("email", 1), ("openai_key", 1), ("path", 1)]
    );
    assert_eq!(details["redaction"]["on_arrival"], true);
    assert_eq!(details["messages_inferred"], true);
    assert_eq!(details["git"]["remote_slug"], "acme/shop");
    assert_eq!(details["git"]["slug_source"], "git_remote");
    assert_eq!(details["context"]["cwd"], "/srv/app");
    assert_eq!(details["billing"]["account_id"], "checkout-api");
    assert_eq!(details["billing"]["account_provider"], "openai");
    assert_eq!(row.tool_executions.len(), 3);
    let tools = &details["tool_executions"];
    assert_eq!((&tools[0]["args_bytes"], &tools[0]["result_bytes"]), (&34.into(), &42.into()));
    assert_eq!(tools[1]["command_families"], serde_json::json!(["ls", "cat", "grep"]));
    assert_eq!(tools[1]["server"], "mcp:shell");
    assert_eq!(row.tags["customer_id"], "cus_42");
    assert_eq!(attributes(record)["auto_taxonomy"], false);
}

#[test]
fn modelstat_001_and_rust_are_the_same_rows() {
    let old = modelstat(&golden("modelstat/python-0.0.1/01-local-daemon-v1-ingest.body.json"), &config()).unwrap();
    let record = record_of(&old, "usage.assistant_message");
    assert_eq!(details(record)["billing"]["mode"], "api");
    assert_eq!(row(record).service, None);
    let rust = modelstat(&golden("modelstat/rust-0.1.0/01-remote-v1-ingest.body.json"), &config()).unwrap();
    let row = rows(&rust)[0];
    assert_eq!(row.tool_executions[0].latency_ms, Some(85.0));
    let minimal = modelstat(&golden("modelstat/python-0.1.0/02-minimal-event.body.json"), &config()).unwrap();
    assert_eq!(rows(&minimal)[0].event_type, "usage.user_message");
}

#[test]
fn modelstat_tags_are_capped_as_the_client_does() {
    let posted =
        modelstat(&golden("modelstat/python-0.1.0/04-metadata-layers-two-events.body.json"), &config()).unwrap();
    let rows = rows(&posted);
    assert!(rows.iter().any(|row| row.tags.len() == 16));
    let features: Vec<_> = rows.iter().filter_map(|row| row.tags.get("feature")).collect();
    assert_eq!(features, ["search", "default"]);
    let long = serde_json::json!({"events": [{"kind": "summary", "metadata": {"k": "x".repeat(300)}}]}).to_string();
    let posted = modelstat(long.as_bytes(), &config()).unwrap();
    // Redaction cuts it: cut here it could be half a secret.
    let mut row = super::rows(&posted)[0].clone();
    assert!(row.notes.iter().any(|note| note.contains("cut to the client's limits")));
    row.cut_tags();
    assert_eq!(row.tags["k"].len(), 256);
}

#[test]
fn modelstat_ids_are_the_clients() {
    let worked = golden_json("modelstat/worked-ids-and-hashes.json");
    let strings =
        |list: &Value| list.as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned()).collect::<Vec<_>>();
    for case in worked["content_hash"].as_array().unwrap() {
        let parts = strings(&case["parts"]);
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        assert_eq!(content_hash(&parts), case["result"].as_str().unwrap());
    }
    for case in worked["batch_id"].as_array().unwrap() {
        let ids = strings(&case["ids"]);
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        assert_eq!(batch_id(&ids), case["result"].as_str().unwrap());
    }
    let event = modelstat::source_event_id("dev_sdk", "sess-1", 1_767_323_045_678, 1);
    assert_eq!(event, "evt_4ef9cd703e14b9ccc42337f25fa12b28");
    assert_eq!(external_call_id(&event, 0), "tc_2e6a8dca86adbf2a");
    assert_eq!(external_call_id(&event, 2), "tc_d71ac1fb6aed4591");
}

#[test]
fn a_tool_call_without_its_event_is_a_row() {
    let body = serde_json::json!({"batch_id": "b", "events": [], "tool_calls": [
        {"source_event_id": "evt_x", "name": "ls", "call_index": 0, "status": "timeout", "session_id": "s",
         "started_at": "2026-01-02T03:04:05Z", "ended_at": "2026-01-02T03:04:05.085Z"}]});
    let posted = modelstat(body.to_string().as_bytes(), &config()).unwrap();
    let row = row(record_of(&posted, "tool.execution"));
    assert_eq!((row.status.as_deref(), row.tool_executions[0].latency_ms), (Some("timeout"), Some(85.0)));
    assert_eq!(row.event_id, external_call_id("evt_x", 0));
}

fn place(path: &str) -> Posted {
    huggingplace(&golden(&format!("huggingplace/{path}.body.json")), None, &config()).unwrap()
}

#[test]
fn huggingplace_later_fields() {
    let posted = place("python-1.0.1-head/02-log-later-fields");
    assert_eq!(posted.answer, r#"{"message":"stored"}"#);
    let record = record_of(&posted, "chat.turn");
    let (row, details) = (row(record), details(record));
    assert_eq!(row.conversation_id, "session-456");
    assert_eq!(row.conversation_id_source, "session_id");
    assert_eq!(
        texts(&row.messages),
        [("user", Some("What's the weather like?")), ("assistant", Some("The weather is sunny today."))]
    );
    assert_eq!(row.timing.as_ref().unwrap().total_latency_ms, Some(2500.0));
    let user = row.user.as_ref().unwrap();
    assert_eq!((user.email.as_deref(), user.username.as_deref()), (Some("user@example.com"), Some("john_doe")));
    assert_eq!((user.org.as_deref(), user.roles.as_slice()), (Some("Example Corp"), &["admin".to_owned()][..]));
    assert_eq!(details["user"]["org_uuid"], "org-202");
    assert_eq!(details["model"]["secondary"], "gpt-4o");
    assert_eq!(details["context"]["file_name"], "weather_data.csv");
    assert_eq!(details["context"]["mapping_table"], "mappings_org_202");
    assert_eq!(details["steps"][0]["name"], "data_processing");
    assert_eq!((&details["steps"][0]["input_tokens"], &details["steps"][0]["output_tokens"]), (&40.into(), &80.into()));
    assert_eq!(details["steps"][0]["time_ms"], 1800);
    assert_eq!(details["feedback"]["likes"], 1);
    assert_eq!(details["feedback"]["recommendation_id"], "rec-123");
    assert_eq!(row.env.as_deref(), Some("prod"));
    assert!(record.attributes.is_empty(), "nothing left over: {:?}", record.attributes);
}

#[test]
fn huggingplace_in_all_spellings() {
    for path in [
        "python-1.0.1-seed-readme-era/01-log-seed-readme-fields",
        "python-1.0.1-head/02-log-later-fields",
        "node-head/02-log-camelcase-readme",
        "node-seed-readme-era/01-req",
    ] {
        let posted = place(path);
        let record = &posted.records[0].1;
        let row = row(record);
        assert_eq!(row.messages.len(), 2, "{path}: {:?}", row.messages);
        assert!(details(record)["org_id"].is_string(), "{path}");
        assert!(record.attributes.is_empty(), "{path}: {:?}", record.attributes);
    }
    let roles = place("python-1.0.1-seed-readme-era/01-log-seed-readme-fields");
    assert_eq!(rows(&roles)[0].user.as_ref().unwrap().roles.len(), 1, "a bare role is a list of one");
    let node = place("node-head/03-log-step");
    let step = &details(&node.records[0].1)["steps"][0];
    assert!(step["name"].is_string() && step["time_ms"].is_number(), "{step}");
}

#[test]
fn huggingplace_steps_sessions_faults_and_tests() {
    let step = place("python-1.0.1-head/03-log-step");
    let record = record_of(&step, "graph.step");
    assert_eq!(details(record)["steps"][0]["response_time_ms"], 1500);
    assert_eq!(row(record).conversation_id, "", "no session is invented");
    let session = place("python-1.0.1-head/04-session-log");
    assert_eq!(rows(&session)[0].conversation_id, "conversation-123");
    let metadata: Value = serde_json::from_str(rows(&session)[0].metadata.as_ref().unwrap()).unwrap();
    assert!(metadata["channel"].is_string() && metadata["step"] == 1, "{metadata}");
    let failed = place("python-1.0.1-head/06-log-with-timing-error");
    assert_eq!(rows(&failed)[0].status.as_deref(), Some("error"));
    assert_eq!(rows(&failed)[0].error.as_ref().unwrap().message.as_deref(), Some("model down"));
    let test = place("python-1.0.1-head/07-test-connection");
    assert_eq!(rows(&test)[0].event_type, "connection_test");
}

fn lines(file: &str) -> Posted {
    events(&golden(&format!("stackifier/{file}.jsonl")), None, &config()).unwrap()
}

#[test]
fn stackifier_lines_are_rows() {
    let quick = lines("01-quickstart");
    assert_eq!(quick.accepted(), 3);
    let rows = rows(&quick);
    assert_eq!(rows[1].messages[0].tool_calls[0].name, "get_weather");
    assert_eq!(rows[1].messages[0].tool_calls[0].arguments.as_deref(), Some("{\"city\":\"NYC\"}"));
    assert_eq!(
        (rows[2].messages[0].role.as_str(), rows[2].messages[0].tool_call_id.as_deref()),
        ("tool", Some("call_1"))
    );
    let full = lines("02-full-event");
    let row = super::rows(&full)[0];
    assert_eq!(row.tokens.as_ref().unwrap().cost_usd, Some(0.001));
    assert_eq!(row.timing.as_ref().unwrap().tool_latencies_ms["search"], 200.0);
    assert_eq!(row.wa_meta.as_ref().unwrap().phone_number.as_deref(), Some("+1234567890"));
    assert_eq!(row.event_type, "chat.completion");
    let graph = lines("06-langgraph");
    let row = super::rows(&graph)[0];
    let graph = row.graph.as_ref().unwrap();
    assert_eq!(
        (graph.node_path.as_deref(), graph.step_index, graph.graph_id.as_deref()),
        (Some("agent"), Some(0), Some("graph_1"))
    );
    assert_eq!(row.event_type, "graph.step");
    for (file, count) in [
        ("03-edge-empty-content", None),
        ("04-litellm", Some(2)),
        ("05-openrouter", Some(2)),
        ("07-langchain-chain", Some(1)),
    ] {
        let posted = lines(file);
        assert_eq!(posted.rejected(), 0, "{file}");
        assert_eq!(
            posted.accepted(),
            golden(&format!("stackifier/{file}.jsonl")).iter().filter(|byte| **byte == b'\n').count(),
            "{file} {count:?}"
        );
    }
}

#[test]
fn stackifier_numbers_that_are_none_are_null_with_a_note() {
    let posted =
        events(br#"{"conversation_id":"c","messages":[],"timing":{"total_latency_ms":NaN}}"#, None, &config()).unwrap();
    let row = rows(&posted)[0];
    assert_eq!(row.timing, None);
    assert!(row.notes.iter().any(|note| note.contains("not finite")), "{:?}", row.notes);
}

#[test]
fn objects_of_the_s3_writer_say_their_environment() {
    let line = b"{\"conversation_id\":\"c\",\"messages\":[{\"role\":\"user\",\"content\":\"one\"}]}\n";
    let key = "app/production/date%3D2026-11-21/conv_id%3Dconv-1/run_id%3D1/log.jsonl";
    let posted = object(key, line, None, &config()).unwrap();
    assert_eq!(rows(&posted)[0].env.as_deref(), Some("production"));
    assert_eq!(object("k", b"", None, &config()).unwrap().accepted(), 0);
    assert!(object("k", b"\x00\x01", None, &config()).is_err());
}
