//! Rows of the table's part "Conversations and messages".

use super::client::Doors;
use super::support::rows::Row;
use super::world::{at, calls, golden_json, of_type, said, world};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const WEATHER: &str = "What is the weather in Lisbon?";

fn pairs(messages: &[(&str, &str)]) -> Vec<(String, String)> {
    messages.iter().map(|(role, content)| ((*role).to_owned(), (*content).to_owned())).collect()
}

fn all_types() -> &'static [Row] {
    world().rows("insidellm/03")
}

pub(crate) fn roles_and_content() {
    let rows = world().rows("stackifier/01");
    let roles: Vec<String> = rows.iter().flat_map(said).map(|(role, _)| role).collect();
    assert_eq!(roles, ["user", "assistant", "tool"]);
    assert_eq!(calls(at(&rows[1], "messages.0")), [("get_weather".to_owned(), json!({"city": "NYC"}))]);
    assert_eq!(at(&rows[2], "messages.0.tool_call_id"), "call_1");
}

pub(crate) fn tool_calls_in_both_forms() {
    let openai = at(&world().rows("stackifier/01")[1], "messages.0.tool_calls.0").clone();
    assert_eq!((&openai["id"], &openai["type"]), (&json!("call_1"), &json!("function")));
    let arguments = openai["function"]["arguments"].as_str().expect("a JSON text");
    assert_eq!(serde_json::from_str::<Value>(arguments).expect("JSON"), json!({"city": "NYC"}));
    let doors = Doors::open_with(&[("STORE__TOOL_CALLS", "flat")]);
    assert_eq!(doors.post("/v1/events", super::world::golden("stackifier/01-quickstart.jsonl")).0, 200);
    let (_, rows) = doors.landed();
    let flat: Vec<&Value> =
        rows.iter().map(|row| at(row, "messages.0.tool_calls.0")).filter(|call| !call.is_null()).collect();
    assert_eq!(flat, [&json!({"id": "call_1", "name": "get_weather", "arguments": {"city": "NYC"}})]);
}

pub(crate) fn arguments_as_text_and_as_object() {
    let lines = world().rows("stackifier/04");
    assert_eq!(calls(at(&lines[0], "messages.2"))[0].1, json!({"city": "Lisbon"}));
    let recorded = golden_json("insidellm/06-langchain-callback.body.json");
    let inputs = |event: &Value| event["payload"]["parameters"]["input"].as_str().map(str::to_owned);
    let wanted: Vec<String> = recorded.as_array().expect("events").iter().filter_map(inputs).collect();
    assert!(!wanted.is_empty() && wanted.iter().all(|text| text.starts_with("{'")), "Python text: {wanted:?}");
    let rows = world().rows("insidellm/06");
    let kept = rows.iter().filter_map(|row| at(row, "details.payload.parameters.input").as_str());
    assert_eq!(kept.collect::<Vec<_>>(), wanted);
}

pub(crate) fn choices_and_finish_reasons() {
    let row = world().row("own/two-choices.");
    assert_eq!(said(row), pairs(&[("user", "hi"), ("assistant", "one")]));
    assert_eq!(at(row, "details.choices.0.content"), "two");
    assert_eq!(at(row, "model.finish_reasons"), &json!(["stop", "length"]));
}

pub(crate) fn conversation_ids() {
    let row = world().row("huggingplace/python-1.0.1-head/02");
    assert_eq!(
        (&row["conversation_id"], &row["conversation_id_source"]),
        (&json!("session-456"), &json!("session_id"))
    );
}

pub(crate) fn runs_and_sessions() {
    let rows = world().rows("insidellm/04");
    assert_eq!(rows.len(), 11);
    let runs: std::collections::BTreeSet<String> = rows.iter().map(|row| row["run_id"].to_string()).collect();
    assert_eq!(runs.len(), 1, "{runs:?}");
    assert_eq!((rows[0]["event_type"].as_str(), rows[10]["event_type"].as_str()), (Some("run.start"), Some("run.end")));
    assert_eq!(at(of_type(all_types(), "run.end"), "details.session.exit_reason"), "completed");
    assert_eq!(at(of_type(all_types(), "run.start"), "details.session.type"), "chat");
}

pub(crate) fn parents() {
    let by_id: BTreeMap<&str, &Row> =
        all_types().iter().map(|row| (row["event_id"].as_str().expect("an id"), row)).collect();
    let mut visited = 0;
    let mut next = Some("00000000-0000-4000-8000-000000000019");
    while let Some(row) = next.and_then(|id| by_id.get(id)) {
        visited += 1;
        next = at(row, "details.parent_event_id").as_str();
    }
    assert_eq!(visited, 19);
    let orphan = world().row("own/orphan.");
    assert_eq!(at(orphan, "details.parent_event_id"), "00000000-0000-4000-8000-000000000700");
}

pub(crate) fn inputs_and_responses() {
    let input = of_type(all_types(), "user.input");
    assert_eq!(said(input), pairs(&[("user", WEATHER)]));
    assert_eq!(at(input, "details.payload.channel"), "web");
    assert_eq!(said(of_type(all_types(), "agent.response")), pairs(&[("assistant", "It is 22 C.")]));
}

pub(crate) fn reasoning_and_planning() {
    let reasoning = of_type(all_types(), "agent.reasoning");
    assert_eq!(at(reasoning, "details.reasoning.confidence"), 0.8);
    assert_eq!(at(of_type(all_types(), "agent.planning"), "details.plan.actions.0.action"), "get_weather");
}

pub(crate) fn requests_and_responses_of_models() {
    let row = of_type(all_types(), "llm.response");
    assert_eq!(at(row, "tokens.total_tokens"), 24);
    assert_eq!(at(row, "tokens.cost_usd"), 0.00021);
    assert_eq!(at(row, "timing.total_latency_ms"), 431.0);
    assert_eq!(at(row, "model.finish_reasons"), &json!(["stop"]));
    assert_eq!(said(row), pairs(&[("system", "Be brief."), ("user", WEATHER), ("assistant", "It is 22 C.")]));
    assert!(all_types().iter().all(|row| row["event_type"] != "chat.completion"), "one event, one row");
}

pub(crate) fn streamed_chunks() {
    let rows = world().rows("own/streamed.");
    assert_eq!(rows.iter().filter(|row| row["event_type"] == "llm.streaming_chunk").count(), 5);
    let answer = of_type(rows, "llm.response");
    assert_eq!(at(answer, "details.model.chunk_count"), 5, "{answer:#?}");
    assert_eq!(at(answer, "timing.time_to_first_token_ms"), 250.0);
}

pub(crate) fn functions() {
    let row = of_type(all_types(), "function_execution");
    let tool = at(row, "tool_executions.0");
    assert_eq!(
        (&tool["name"], &tool["type"], &tool["result"]),
        (&json!("to_fahrenheit"), &json!("function"), &json!(71.6))
    );
}

pub(crate) fn api_calls() {
    assert_eq!(at(of_type(all_types(), "api.request"), "details.api_call.method"), "GET");
    let answer = at(of_type(all_types(), "api.response"), "details.api_call").clone();
    assert_eq!((&answer["status_code"], &answer["time_ms"]), (&json!(200), &json!(80)));
}

pub(crate) fn errors() {
    for (event_type, status) in [("error", "error"), ("validation_error", "error"), ("timeout_error", "timeout")] {
        assert_eq!(of_type(all_types(), event_type)["status"], status, "{event_type}");
    }
    assert_eq!(at(of_type(all_types(), "timeout_error"), "details.error.context.timeout_duration_ms"), 30_000);
    assert_eq!(at(of_type(all_types(), "error"), "error.message"), "boom");
}

pub(crate) fn metrics() {
    let metric = at(of_type(all_types(), "performance_metric"), "details.metric").clone();
    assert_eq!(
        (&metric["name"], &metric["value"], &metric["unit"]),
        (&json!("response_time"), &json!(250), &json!("ms"))
    );
    assert_eq!(metric["additional"]["p95"], 400);
}

pub(crate) fn feedback() {
    let row = of_type(all_types(), "user.feedback");
    assert_eq!(at(row, "feedback.value"), true);
    assert_eq!(at(row, "feedback.target"), "00000000-0000-4000-8000-0000000000aa");
    let told = at(world().row("huggingplace/python-1.0.1-head/02"), "details.feedback");
    assert_eq!(told, &json!({"likes": 1, "dislikes": 0, "recommendation_id": "rec-123"}));
}

pub(crate) fn prompts_and_responses() {
    let row = world().row("huggingplace/python-1.0.1-seed-readme-era/01");
    assert_eq!(said(row), pairs(&[("user", "What's the weather like?"), ("assistant", "The weather is sunny today.")]));
}

pub(crate) fn spellings() {
    for name in ["python-1.0.1-seed-readme-era/01", "python-1.0.1-head/02", "node-head/02", "node-seed-readme-era/01"] {
        let row = world().row(&format!("huggingplace/{name}"));
        let roles: Vec<String> = said(row).into_iter().map(|(role, _)| role).collect();
        assert_eq!(roles, ["user", "assistant"], "{name}");
        assert_eq!(at(row, "details.org_id"), "org-fake-1", "{name}");
        assert!(row.get("attributes").is_none(), "{name}: nothing is left over: {row:#?}");
    }
}

pub(crate) fn steps() {
    let step = at(world().row("huggingplace/python-1.0.1-head/02"), "details.steps.0").clone();
    assert_eq!(step["name"], "data_processing");
    assert_eq!((&step["input_tokens"], &step["output_tokens"]), (&json!(40), &json!(80)));
    assert_eq!((&step["time_ms"], &step["response_time_ms"]), (&json!(1800), &json!(1800)));
    let python = at(world().row("huggingplace/python-1.0.1-head/03"), "details.steps.0").clone();
    let node = at(world().row("huggingplace/node-head/03"), "details.steps.0").clone();
    let keys = |step: &Value| step.as_object().expect("a step").keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&node), keys(&python), "the same keys from camelCase");
}

pub(crate) fn a_step_alone() {
    let row = world().row("huggingplace/python-1.0.1-head/03");
    assert_eq!(row["event_type"], "graph.step");
    assert_eq!(at(row, "details.steps.0.response_time_ms"), 1500);
    assert_eq!((&row["conversation_id"], &row["conversation_id_source"]), (&row["event_id"], &json!("event_id")));
    assert!(at(row, "details.session_id").is_null(), "no session is invented");
}

pub(crate) fn sessions_with_defaults() {
    let row = world().row("huggingplace/python-1.0.1-head/04");
    assert_eq!(row["conversation_id"], "conversation-123");
    assert_eq!(row["metadata"], json!({"channel": "web", "step": 1}));
}

pub(crate) fn timed_and_failed() {
    let timed = world().row("huggingplace/python-1.0.1-head/02");
    assert_eq!(at(timed, "timing.total_latency_ms"), 2500.0);
    assert_eq!(at(timed, "details.timing.response_time_raw"), "0 min 2.50 sec");
    let failed = world().row("huggingplace/python-1.0.1-head/06");
    assert_eq!((&failed["status"], at(failed, "error.message")), (&json!("error"), &json!("model down")));
}

pub(crate) fn users() {
    let row = world().row("huggingplace/python-1.0.1-head/02");
    let user = json!({"id": "user-123", "email": "user@example.com", "username": "john_doe", "org": "Example Corp", "roles": ["admin"]});
    assert_eq!(row["user"], user);
    assert_eq!(at(row, "details.user.org_uuid"), "org-202");
    let bare = world().row("huggingplace/python-1.0.1-seed-readme-era/01");
    assert_eq!(at(bare, "details.payload.user_roles"), "admin", "recorded as a text");
    assert_eq!(at(bare, "user.roles"), &json!(["admin"]));
}

pub(crate) fn data_context() {
    let row = world().row("huggingplace/python-1.0.1-head/02");
    let context = json!({"file_name": "weather_data.csv", "mapping_table": "mappings_org_202"});
    assert_eq!(at(row, "details.context"), &context);
    assert_eq!((at(row, "model.request"), at(row, "details.model.secondary")), (&json!("gpt-4o"), &json!("gpt-4o")));
}

pub(crate) fn environments() {
    let told = world().told("own/dev.");
    assert_eq!(told.rows[0]["env"], "dev");
    assert!(told.files.iter().all(|file| file.starts_with("env=dev/")), "{:?}", told.files);
}

pub(crate) fn connection_tests() {
    let row = world().row("huggingplace/python-1.0.1-head/07");
    assert_eq!(row["event_type"], "connection_test");
    // Chat exports are made of `chat.*` rows.
    assert!(
        world()
            .rows("huggingplace/python-1.0.1-head/07")
            .iter()
            .all(|row| !row["event_type"].as_str().expect("a type").starts_with("chat."))
    );
}

/// Every metadata key of every recording stands in its rows.
pub(crate) fn free_metadata() {
    let names = ["metadata", "metaData", "user_metadata", "user_meta_data", "userMetadata"];
    let mut seen = 0;
    let sources = ["insidellm/", "huggingplace/", "modelstat/", "stackifier/"];
    for (name, told) in sources.into_iter().flat_map(|source| world().all(source)) {
        let text = String::from_utf8(super::world::golden(name)).expect("a text");
        let whole = serde_json::from_str::<Value>(&text).map(|value| vec![value]);
        let values =
            whole.unwrap_or_else(|_| text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect());
        let mut keys = Vec::new();
        values.iter().for_each(|value| metadata(value, &names, &mut keys));
        let landed = Value::from(told.rows.iter().cloned().map(Value::Object).collect::<Vec<_>>()).to_string();
        for key in keys {
            seen += 1;
            assert!(landed.contains(&Value::from(key.as_str()).to_string()), "{name}: {key}");
        }
    }
    assert!(seen > 100, "{seen}");
}

fn metadata(value: &Value, names: &[&str], keys: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (key, field) in fields {
                if let (true, Some(inner)) = (names.contains(&key.as_str()), field.as_object()) {
                    keys.extend(inner.keys().cloned());
                }
                metadata(field, names, keys);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| metadata(item, names, keys)),
        _ => {}
    }
}
