//! Rows of the table's part "Graph, tools, tokens, time".

use super::client::run;
use super::support::project;
use super::support::rows::{Row, parse};
use super::support::server::program;
use super::world::{at, calls, golden_json, of_type, said, world};
use chatlake::dialect::posted::modelstat;
use serde_json::{Value, json};
use std::fs;

const PYTHON: &str = "modelstat/python-0.1.0/01";
const RUST: &str = "modelstat/rust-0.1.0/01";

pub(crate) fn graph_places() {
    let line = world().row("stackifier/06");
    assert_eq!(line["graph"], json!({"graph_id": "graph_1", "node_path": "agent", "step_index": 0}));
    let span = world().row("own/graph.");
    assert_eq!((at(span, "graph.node_path"), at(span, "graph.step_index")), (&json!("agent"), &json!(2)));
}

pub(crate) fn node_latency() {
    assert_eq!(at(world().row("own/graph."), "timing.total_latency_ms"), 120.0);
}

pub(crate) fn tool_latencies() {
    let chat = of_type(world().rows("own/searches."), "chat.completion");
    assert_eq!(at(chat, "timing.tool_latencies_ms"), &json!({"search": 200.5}));
    let executions = at(chat, "tool_executions").as_array().expect("a list");
    let mut latencies: Vec<f64> = executions.iter().filter_map(|one| one["latency_ms"].as_f64()).collect();
    latencies.sort_by(f64::total_cmp);
    assert_eq!(latencies, [80.0, 120.5]);
}

pub(crate) fn tool_status() {
    let rows = world().rows("insidellm/04");
    let failed = rows.iter().find(|row| at(row, "tool_executions.0.name") == "flaky").expect("the failing tool");
    let tool = at(failed, "tool_executions.0");
    assert_eq!((&tool["status"], &tool["error"]), (&json!("error"), &json!("tool down")));
    assert_eq!(at(world().row("own/timeout."), "tool_executions.0.status"), "timeout");
}

pub(crate) fn reduced_tool_records() {
    let tools = at(world().row(PYTHON), "details.tool_executions").as_array().expect("a list");
    assert_eq!(tools.len(), 3);
    assert_eq!((&tools[0]["args_bytes"], &tools[0]["result_bytes"]), (&json!(34), &json!(42)));
    assert_eq!(
        (&tools[1]["command_families"], &tools[1]["server"]),
        (&json!(["ls", "cat", "grep"]), &json!("mcp:shell"))
    );
}

pub(crate) fn latency_from_the_end() {
    assert_eq!(at(world().row(RUST), "tool_executions.0.latency_ms"), 85.0);
    let python = at(world().row(PYTHON), "tool_executions").as_array().expect("a list");
    assert!(python.iter().all(|tool| tool.get("latency_ms").is_none()), "null, not 0: {python:#?}");
}

pub(crate) fn first_token() {
    assert_eq!(at(world().row(PYTHON), "timing.time_to_first_token_ms"), 150.0);
    for row in world().rows("stackspot/litellm-1.106.2-generic") {
        let is_streamed = at(row, "model.stream") == true;
        assert_eq!(at(row, "timing.time_to_first_token_ms").is_number(), is_streamed, "{row:#?}");
    }
}

pub(crate) fn total_latency() {
    let durations = [
        "details.payload.reasoning_time_ms",
        "details.payload.planning_time_ms",
        "details.payload.response_time_ms",
        "details.payload.execution_time_ms",
        "details.payload.session_duration_ms",
        "details.payload.duration_ms",
    ];
    let mut seen = 0;
    for (name, told) in world().all("") {
        for row in &told.rows {
            let stated = durations.iter().find_map(|path| at(row, path).as_f64());
            let latency = at(row, "timing.total_latency_ms");
            seen += u32::from(latency.is_number());
            assert!(stated.is_none() || latency.as_f64() == stated, "{name}: {stated:?}: {row:#?}");
            assert!(at(row, "details.payload.response_time").is_null() || latency.is_number(), "{name}: {row:#?}");
        }
    }
    for line in ["stackifier/02", "stackifier/06", "stackifier/07"] {
        assert!(at(world().row(line), "timing.total_latency_ms").is_number(), "{line}");
    }
    assert!(
        world()
            .rows("stackspot/litellm-1.106.2-generic")
            .iter()
            .all(|row| at(row, "timing.total_latency_ms").is_number())
    );
    assert!(seen > 50, "{seen}");
}

pub(crate) fn token_counts() {
    let tokens = at(world().row(PYTHON), "tokens");
    for (name, count) in [("prompt", 800), ("completion", 120), ("cache_creation", 1), ("cached", 2), ("reasoning", 30)]
    {
        assert_eq!(tokens[format!("{name}_tokens")], count, "{name}");
    }
    for row in world().rows("stackspot/litellm-1.106.2-generic") {
        assert!(at(row, "tokens.prompt_tokens").is_null(), "0 with text is not known: {row:#?}");
    }
}

pub(crate) fn cost() {
    assert_eq!(at(world().row("own/two-choices."), "tokens.cost_usd"), 0.00042);
}

pub(crate) fn billing() {
    assert_eq!(at(world().row("modelstat/python-0.0.1/01"), "details.billing"), &json!({"mode": "api"}));
    let later = at(world().row(PYTHON), "details.billing");
    assert_eq!(later, &json!({"account_id": "checkout-api", "account_provider": "openai"}));
}

pub(crate) fn kinds() {
    assert_eq!(world().row("modelstat/python-0.1.0/02")["event_type"], "usage.user_message");
}

pub(crate) fn git() {
    let row = world().row(PYTHON);
    let git = json!({"remote_slug": "acme/shop", "host": "github.com", "branch": "main", "slug_source": "git_remote"});
    assert_eq!((at(row, "details.git"), at(row, "details.context.cwd")), (&git, &json!("/srv/app")));
}

pub(crate) fn taxonomy() {
    assert_eq!(at(world().row(PYTHON), "attributes.auto_taxonomy"), false);
}

pub(crate) fn tags() {
    let rows = world().rows("modelstat/python-0.1.0/04");
    let tags: Vec<_> = rows.iter().map(|row| row["tags"].as_object().expect("tags")).collect();
    assert!(tags.iter().any(|tags| tags.len() == 16) && tags.iter().all(|tags| tags.len() <= 16));
    let mut features: Vec<&Value> = tags.iter().map(|tags| &tags["feature"]).collect();
    features.sort_by_key(ToString::to_string);
    assert_eq!(features, ["default", "search"]);
    assert_eq!(at(world().row("own/long-tag."), "tags.k"), &"x".repeat(256));
}

pub(crate) fn deterministic_ids() {
    let worked = golden_json("modelstat/worked-ids-and-hashes.json");
    let strings = |list: &Value| -> Vec<String> {
        list.as_array().expect("a list").iter().map(|one| one.as_str().expect("a text").to_owned()).collect()
    };
    let hash = |parts: &[&str]| modelstat::content_hash(parts);
    let list = |name: &str| worked[name].as_array().unwrap_or_else(|| panic!("no {name}")).clone();
    for case in list("content_hash") {
        let parts = strings(&case["parts"]);
        assert_eq!(hash(&parts.iter().map(String::as_str).collect::<Vec<_>>()), case["result"], "{case}");
    }
    for case in list("source_event_id") {
        let parts = [case["device_id"].as_str().expect("an id"), case["source_ref"].as_str().expect("a reference")];
        assert_eq!(format!("evt_{}", hash(&parts)), case["result"], "{case}");
    }
    for case in list("batch_id") {
        let ids = strings(&case["ids"]);
        assert_eq!(modelstat::batch_id(&ids.iter().map(String::as_str).collect::<Vec<_>>()), case["result"], "{case}");
    }
    // And those of a batch as it was sent.
    let sent: Value = golden_json("modelstat/python-0.1.0/01-local-daemon-v1-ingest.body.json");
    let event = modelstat::source_event_id("dev_sdk", "sess-1", 1_767_323_045_678, 1);
    assert_eq!(event, sent["events"][0]["source_event_id"]);
    assert_eq!(modelstat::batch_id(&[&event]), sent["batch_id"]);
    for (index, call) in sent["tool_calls"].as_array().expect("calls").iter().enumerate() {
        assert_eq!(modelstat::external_call_id(&event, index as u64), call["external_call_id"]);
    }
}

/// The calls of an OTLP recording of LiteLLM.
pub(crate) fn litellm_calls(version: &str) -> Vec<&'static Row> {
    let rows = world().rows(&format!("stackspot/litellm-{version}-otel"));
    rows.iter().filter(|row| row["event_type"] == "chat.completion").collect()
}

pub(crate) fn litellm_spans() {
    let first = |version: &str| litellm_calls(version)[0];
    let (old, new) = (first("1.74.8"), first("1.106.2"));
    assert_eq!(said(old).len(), 3);
    assert_eq!(said(old), said(new));
    for row in [old, new] {
        assert_eq!(
            (at(row, "model.request"), at(row, "model.finish_reasons")),
            (&json!("stackspot-chat"), &json!(["stop"]))
        );
    }
}

/// What a recorded trace of a framework is converted to.
fn converted(run_name: &str) -> Vec<Row> {
    let folder = project().join("tests/golden").join(run_name);
    let (code, out, err) = run(program().arg("convert").arg(&folder).args(["--to", "-"]));
    assert_eq!(code, 0, "{run_name}: {err}");
    let recorded = fs::read_to_string(folder.join("rows.jsonl")).expect("the rows that were read and found good");
    let mut rows = parse(&out);
    let mut wanted = parse(&recorded);
    for row in rows.iter_mut().chain(&mut wanted) {
        row.remove("received_at");
    }
    let key = |row: &Row| row["event_id"].to_string();
    rows.sort_by_key(key);
    wanted.sort_by_key(key);
    assert_eq!(rows, wanted, "{run_name}");
    rows
}

pub(crate) fn frameworks() {
    for (name, has_tools) in [
        ("otel-genai/genai-langchain-langgraph", true),
        ("openinference/openinference-langgraph-fanout", false),
        ("crewai/crew-recorded", false),
        ("google-adk/adk-schema-2", true),
        ("litellm/callback", false),
    ] {
        let rows = converted(name);
        let chats: Vec<&Row> = rows.iter().filter(|row| row["event_type"] == "chat.completion").collect();
        assert!(!chats.is_empty(), "{name}");
        assert!(chats.iter().any(|row| said(row).len() >= 2 && at(row, "model.request").is_string()), "{name}");
        assert!(chats.iter().any(|row| at(row, "tokens.prompt_tokens").is_number()), "{name}");
        let asked = chats.iter().flat_map(|row| row["messages"].as_array().into_iter().flatten());
        assert!(!has_tools || asked.into_iter().any(|message| !calls(message).is_empty()), "{name}");
    }
}

pub(crate) fn pydantic_ai() {
    let rows = converted("pydantic-ai/format-5");
    let tool = rows.iter().find(|row| row["event_type"] == "tool.execution").expect("a tool's row");
    let chat = |row: &&Row| row["event_type"] == "chat.completion" && row["trace_id"] == tool["trace_id"];
    assert!(rows.iter().any(|row| chat(&row)), "a chat of the same trace");
}

pub(crate) fn callbacks_and_decorators() {
    let rows = world().rows("insidellm/06");
    assert_eq!(rows.len(), 9);
    let ids: Vec<&Value> = rows.iter().map(|row| &row["event_id"]).collect();
    let orphans = rows.iter().filter(|row| {
        let parent = at(row, "details.parent_event_id");
        parent.is_string() && !ids.contains(&parent)
    });
    assert!(orphans.count() > 0, "events whose parents never came are kept with them");
    let rows = world().rows("insidellm/05");
    assert_eq!(rows.len(), 10);
    let stack = at(of_type(rows, "error"), "error.stack").as_str().expect("a stack trace");
    assert!(stack.starts_with("Traceback") && stack.contains("TimeoutError"), "{stack}");
}

pub(crate) fn wrapped_clients() {
    let row = world().row("modelstat/python-0.1.0/05");
    assert_eq!(said(row), [("user".to_owned(), "hello".to_owned()), ("assistant".to_owned(), "hi there".to_owned())]);
    assert_eq!((at(row, "tokens.prompt_tokens"), at(row, "tokens.completion_tokens")), (&json!(11), &json!(7)));
    assert_eq!(at(row, "tags.feature"), "wrapped");
}
