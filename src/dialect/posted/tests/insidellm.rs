use super::*;

fn all_types() -> Posted {
    insidellm(&golden("insidellm/03-all-19-types-array.body.json"), Some("InsideLLM-Python-SDK/1.0.0"), &config())
        .unwrap()
}

#[test]
fn one_event_is_an_object_and_many_are_a_list() {
    let one = insidellm(&golden("insidellm/02-single-event-is-an-object.body.json"), None, &config()).unwrap();
    assert_eq!(one.records.len(), 1);
    let all = all_types();
    assert_eq!(all.answer, r#"{"status":"ok","accepted":19,"duplicates":0,"rejected":0}"#);
    let mut types: Vec<&str> = rows(&all).iter().map(|row| row.event_type.as_str()).collect();
    types.sort_unstable();
    types.dedup();
    assert_eq!(types.len(), 19, "each type once, verbatim");
}

#[test]
fn ids_people_and_parents_are_the_events_own() {
    let all = all_types();
    let sent = golden_json("insidellm/03-all-19-types-array.body.json");
    for ((_, record), sent) in all.records.iter().zip(sent.as_array().unwrap()) {
        let row = row(record);
        assert_eq!(row.event_id, sent["event_id"].as_str().unwrap());
        assert_eq!(row.run_id.as_deref(), sent["run_id"].as_str());
        assert_eq!(row.conversation_id, sent["run_id"].as_str().unwrap());
        assert_eq!(row.user.as_ref().unwrap().id.as_deref(), sent["user_id"].as_str());
        assert_eq!(details(record)["payload"], sent["payload"], "what was sent stands whole");
        assert_eq!(details(record).get("parent_event_id"), sent.get("parent_event_id"));
        assert!(record.start_ns > 1_700_000_000_000_000_000);
    }
}

#[test]
fn what_people_and_agents_said_is_messages() {
    let all = all_types();
    assert_eq!(texts(&row(record_of(&all, "user.input")).messages), [("user", Some("What is the weather in Lisbon?"))]);
    assert_eq!(row(record_of(&all, "agent.response")).messages[0].role, "assistant");
    let request = row(record_of(&all, "llm.request"));
    assert_eq!(request.messages.len(), 2, "{:?}", request.messages);
    let call = row(record_of(&all, "tool.call"));
    assert_eq!(call.messages[0].tool_calls[0].name, "get_weather");
    assert_eq!(row(record_of(&all, "tool.response")).messages[0].role, "tool");
}

#[test]
fn an_answer_has_tokens_cost_latency_and_reason() {
    let all = all_types();
    let response = row(record_of(&all, "llm.response"));
    let tokens = response.tokens.as_ref().unwrap();
    assert_eq!((tokens.total_tokens, tokens.cost_usd), (Some(24), Some(0.00021)));
    assert_eq!(response.timing.as_ref().unwrap().total_latency_ms, Some(431.0));
    assert_eq!(response.model.as_ref().unwrap().finish_reasons, ["stop"]);
}

#[test]
fn special_blocks_stand_in_details() {
    let all = all_types();
    let of = |kind: &str| details(record_of(&all, kind));
    assert_eq!(of("agent.reasoning")["reasoning"]["confidence"], 0.8);
    assert_eq!(of("agent.planning")["plan"]["actions"][0]["action"], "get_weather");
    let api = of("api.response");
    assert_eq!((&api["api_call"]["status_code"], &api["api_call"]["time_ms"]), (&200.into(), &80.into()));
    assert_eq!(of("api.request")["api_call"]["method"], "GET");
    let metric = of("performance_metric");
    assert_eq!((&metric["metric"]["name"], &metric["metric"]["value"]), (&"response_time".into(), &250.into()));
    assert_eq!(metric["metric"]["additional"]["p95"], 400);
    assert_eq!(of("timeout_error")["error"]["context"]["timeout_duration_ms"], 30000);
}

#[test]
fn faults_have_their_status() {
    let all = all_types();
    let status = |kind: &str| row(record_of(&all, kind)).status.clone();
    assert_eq!(status("error").as_deref(), Some("error"));
    assert_eq!(status("validation_error").as_deref(), Some("error"));
    assert_eq!(status("timeout_error").as_deref(), Some("timeout"));
    let feedback = row(record_of(&all, "user.feedback")).feedback.clone().unwrap();
    assert_eq!(feedback.value.as_deref(), Some("true"));
    assert!(feedback.target.is_some());
}

#[test]
fn functions_and_tools_are_executions() {
    let all = all_types();
    let function = &row(record_of(&all, "function_execution")).tool_executions[0];
    assert_eq!((function.name.as_str(), function.result.as_deref()), ("to_fahrenheit", Some("71.6")));
    assert_eq!(function.r#type.as_deref(), Some("function"));
    let tracker = insidellm(&golden("insidellm/04-context-manager-tracker.body.json"), None, &config()).unwrap();
    assert_eq!(tracker.records.len(), 11);
    let failed =
        rows(&tracker).into_iter().flat_map(|row| &row.tool_executions).find(|tool| tool.name == "flaky").unwrap();
    assert_eq!((failed.status.as_deref(), failed.error.as_deref()), (Some("error"), Some("tool down")));
    assert_eq!(details(record_of(&tracker, "run.end"))["session"].get("exit_reason"), None, "the tracker says none");
    assert_eq!(details(record_of(&all_types(), "run.end"))["session"]["exit_reason"], "completed");
}

#[test]
fn decorators_and_callbacks_are_read() {
    let decorated = insidellm(&golden("insidellm/05-decorators.body.json"), None, &config()).unwrap();
    assert_eq!(decorated.records.len(), 10);
    assert!(rows(&decorated).iter().any(|row| row.error.as_ref().is_some_and(|error| error.stack.is_some())));
    let callback = insidellm(&golden("insidellm/06-langchain-callback.body.json"), None, &config()).unwrap();
    assert_eq!(callback.records.len(), 9);
    let input = callback
        .records
        .iter()
        .map(|(_, record)| details(record))
        .find_map(|details| details["payload"]["parameters"]["input"].as_str().map(str::to_owned));
    assert_eq!(input.as_deref(), Some("{'city': 'Lisbon'}"), "Python text stays");
}

#[test]
fn a_bad_event_does_not_sink_its_neighbours() {
    let mut sent = golden_json("insidellm/03-all-19-types-array.body.json");
    sent[4].as_object_mut().unwrap().remove("payload");
    let posted = insidellm(&serde_json::to_vec(&sent).unwrap(), None, &config()).unwrap();
    assert_eq!((posted.accepted(), posted.rejected()), (18, 1));
    assert_eq!(posted.answer, r#"{"status":"ok","accepted":18,"duplicates":0,"rejected":1}"#);
    let dead = posted.records[4].1.dead.as_ref().unwrap();
    assert_eq!(dead.reason, "the event has no payload");
    assert!(dead.text.contains(sent[4]["event_id"].as_str().unwrap()));
}

#[test]
fn numbers_as_text_are_numbers_and_unknown_keys_stay() {
    let mut sent = golden_json("insidellm/03-all-19-types-array.body.json");
    let response = sent.as_array_mut().unwrap().iter_mut().find(|event| event["event_type"] == "llm.response").unwrap();
    response["payload"]["response_time_ms"] = "431".into();
    response["payload"]["extra"] = serde_json::json!({"a": [1]});
    response["trace"] = "t".into();
    let posted = insidellm(&serde_json::to_vec(&sent).unwrap(), None, &config()).unwrap();
    let record = record_of(&posted, "llm.response");
    assert_eq!(row(record).timing.as_ref().unwrap().total_latency_ms, Some(431.0));
    assert_eq!(details(record)["payload"]["extra"]["a"][0], 1);
    assert_eq!(attributes(record)["trace"], "t");
}

fn waits(posted: &Posted, event_id: &str) -> Option<String> {
    let (_, record) = posted.records.iter().find(|(_, record)| row(record).event_id == event_id).unwrap();
    record.waits_for.clone()
}

fn event(id: &str, kind: &str, parent: Option<&str>) -> Value {
    serde_json::json!({
        "event_id": id, "run_id": "run", "timestamp": "2026-11-21T01:00:00.000000Z", "event_type": kind,
        "user_id": "u", "parent_event_id": parent, "payload": {"x": 1},
    })
}

fn read(events: &[Value]) -> Posted {
    insidellm(&serde_json::to_vec(events).unwrap(), None, &config()).unwrap()
}

#[test]
fn an_answer_waits_for_the_nearest_request_before_it() {
    let posted = read(&[
        event("q", "llm.request", Some("u")),
        event("c1", "llm.streaming_chunk", Some("q")),
        event("c2", "llm.streaming_chunk", Some("c1")),
        event("a", "llm.response", Some("c2")),
        event("t", "tool.call", Some("a")),
    ]);
    for id in ["q", "c1", "c2", "a"] {
        assert_eq!(waits(&posted, id).as_deref(), Some("q"), "{id}");
    }
    assert_eq!(waits(&posted, "t"), None);
}

#[test]
fn an_answer_whose_request_is_not_here_waits_under_its_parent() {
    let posted = read(&[event("a", "llm.response", Some("q")), event("b", "llm.response", None)]);
    assert_eq!(waits(&posted, "a").as_deref(), Some("q"));
    assert_eq!(waits(&posted, "b"), None);
}

#[test]
fn a_request_that_failed_does_not_wait() {
    let posted = read(&[event("q", "llm.request", None), event("e", "error", Some("q"))]);
    assert_eq!(waits(&posted, "q"), None);
}

#[test]
fn circles_of_parents_end() {
    let posted = read(&[event("a", "llm.response", Some("b")), event("b", "agent.reasoning", Some("a"))]);
    assert_eq!(posted.accepted(), 2);
}
