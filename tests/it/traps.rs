//! What makes mappers go wrong, one test each: the symptoms of real emitters, in at the door as OTLP, out as rows.
//!
//! Numbers are those of the list of traps that the mappers were written against, by its chapters: placement (1 to 6),
//! duplicates and aggregates (7 to 12), encoding (13 to 26), semantics (27 to 50).

#![expect(clippy::needless_pass_by_value, reason = "literals read better without a reference")]

use super::support::otlp_json::{plain, plain_value};
use super::support::rows::{self, Row};
use super::support::server::program;
use serde_json::{Value, json};
use std::fs;
use tempfile::TempDir;

const BEGIN: u64 = 1_795_225_283_000_000_000;

fn id(number: u64) -> String {
    if number == 0 { String::new() } else { format!("{number:016x}") }
}

/// A span of the one trace, from and to so many milliseconds.
fn span(number: u64, parent: u64, name: &str, ms: (u64, u64), attributes: Value) -> Value {
    json!({
        "traceId": "000000000000000000000000000000aa", "spanId": id(number), "parentSpanId": id(parent), "name": name,
        "startTimeUnixNano": (BEGIN + ms.0 * 1_000_000).to_string(), "endTimeUnixNano": (BEGIN + ms.1 * 1_000_000).to_string(),
        "attributes": plain(&attributes),
    })
}

/// A log record on a span.
fn log(number: u64, ms: u64, name: &str, body: &Value, attributes: Value) -> Value {
    json!({
        "traceId": "000000000000000000000000000000aa", "spanId": id(number), "eventName": name, "body": plain_value(body),
        "timeUnixNano": (BEGIN + ms * 1_000_000).to_string(), "attributes": plain(&attributes),
    })
}

fn with(mut one: Value, more: Value) -> Value {
    one.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    one
}

/// The rows of spans and log records, by span, each with its scope; they come in requests of their own.
fn rows_of(spans: &[(&str, Value)], logs: &[(&str, Value)]) -> Vec<Row> {
    let folder = TempDir::new().unwrap();
    for (place, (scope, span)) in spans.iter().enumerate() {
        let request = json!({"resourceSpans": [{"scopeSpans": [{"scope": {"name": scope}, "spans": [span]}]}]});
        fs::write(folder.path().join(format!("{place:03}-traces.json")), request.to_string()).unwrap();
    }
    for (place, (scope, log)) in logs.iter().enumerate() {
        let request = json!({"resourceLogs": [{"scopeLogs": [{"scope": {"name": scope}, "logRecords": [log]}]}]});
        fs::write(folder.path().join(format!("{:03}-logs.json", 500 + place)), request.to_string()).unwrap();
    }
    let output = program().arg("convert").arg(folder.path()).args(["--to", "-"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut rows = rows::parse(std::str::from_utf8(&output.stdout).unwrap());
    rows.sort_by_cached_key(|row| (get(row, "span_id").to_string(), row["event_id"].to_string()));
    rows
}

/// The row of one span.
fn row(scope: &str, name: &str, attributes: Value) -> Row {
    let mut rows = rows_of(&[(scope, span(1, 0, name, (0, 100), attributes))], &[]);
    assert_eq!(rows.len(), 1, "{rows:?}");
    rows.remove(0)
}

/// The row of a call as the conventions tell it, with something more.
fn chat(more: Value) -> Row {
    row("app", "chat m", with(json!({"gen_ai.operation.name": "chat"}), more))
}

fn kinds(rows: &[Row]) -> Vec<&str> {
    rows.iter().map(|row| row["event_type"].as_str().unwrap()).collect()
}

fn get<'r>(row: &'r Row, path: &str) -> &'r Value {
    let (first, rest) = path.split_once('/').unwrap_or((path, ""));
    let value = row.get(first).unwrap_or(&Value::Null);
    if rest.is_empty() { value } else { value.pointer(&format!("/{rest}")).unwrap_or(&Value::Null) }
}

fn texts(row: &Row) -> Vec<&str> {
    let messages = get(row, "messages").as_array().map(Vec::as_slice).unwrap_or_default();
    messages.iter().map(|message| message["content"].as_str().unwrap_or_default()).collect()
}

fn has_note(row: &Row, part: &str) -> bool {
    let notes = get(row, "notes").as_array().map(Vec::as_slice).unwrap_or_default();
    notes.iter().any(|note| note.as_str().unwrap().contains(part))
}

fn said(role: &str, text: &str) -> Value {
    json!({"role": role, "parts": [{"type": "text", "content": text}]})
}

fn list(messages: &[Value]) -> String {
    json!(messages).to_string()
}

// Placement.

#[test]
fn trap_1_content_in_attributes_events_and_records_of_later_requests_is_one_call() {
    let mut call = span(
        1,
        0,
        "chat",
        (0, 100),
        json!({"gen_ai.operation.name": "chat", "gen_ai.system_instructions": "[{\"type\":\"text\",\"content\":\"Be brief.\"}]"}),
    );
    let input = json!({"gen_ai.input.messages": list(&[said("user", "Hi")])});
    call["events"] = json!([{"name": "gen_ai.client.inference.operation.details", "attributes": plain(&input)}]);
    let output = json!({"gen_ai.output.messages": list(&[said("assistant", "Hello")])});
    let record = log(1, 100, "gen_ai.client.inference.operation.details", &Value::Null, output);
    let rows = rows_of(&[("app", call)], &[("app", record)]);
    assert_eq!((kinds(&rows), texts(&rows[0])), (vec!["chat.completion"], vec!["Be brief.", "Hi", "Hello"]));
}

#[test]
fn trap_2_what_two_carriers_say_is_said_once() {
    let both = json!({"gen_ai.operation.name": "chat", "gen_ai.input.messages": list(&[said("user", "Hi")]), "gen_ai.output.messages": list(&[said("assistant", "Hello")])});
    let record = log(1, 100, "gen_ai.client.inference.operation.details", &Value::Null, both.clone());
    let rows =
        rows_of(&[("openlit.instrumentation.openai", span(1, 0, "chat", (0, 100), both))], &[("openlit", record)]);
    assert_eq!((rows.len(), texts(&rows[0])), (1, vec!["Hi", "Hello"]));
}

#[test]
fn trap_3_events_that_replay_the_history_are_input_up_to_the_last_choice() {
    let choice = |text: &str| json!({"index": 0, "finish_reason": "stop", "message": {"content": text}});
    let logs = [
        ("gen_ai.choice", choice("Hello")),
        ("gen_ai.user.message", json!({"content": "And?"})),
        ("gen_ai.choice", choice("Bye")),
    ];
    let logs: Vec<_> =
        logs.iter().zip(1..).map(|((name, body), at)| ("app", log(1, at, name, body, json!({})))).collect();
    let rows = rows_of(&[("app", span(1, 0, "chat", (0, 100), json!({"gen_ai.operation.name": "chat"})))], &logs);
    assert_eq!((texts(&rows[0]), get(&rows[0], "input_message_count")), (vec!["Hello", "And?", "Bye"], &json!(2)));
}

#[test]
fn trap_4_content_that_was_uploaded_is_kept_as_a_reference() {
    let row = chat(
        json!({"gen_ai.input.messages_ref": "s3://b/in.json", "gen_ai.output.messages": list(&[said("assistant", "Hello")])}),
    );
    assert!(Value::Object(row.clone()).to_string().contains("s3://b/in.json"), "{row:?}");
    assert!(!has_note(&row, "withheld"));
}

#[test]
fn trap_5_several_records_of_one_call_are_merged() {
    let details =
        |at, said: Value| ("app", log(1, at, "gen_ai.client.inference.operation.details", &Value::Null, said));
    let logs = [
        details(1, json!({"gen_ai.input.messages": [said("user", "Hi")]})),
        details(2, json!({"gen_ai.output.messages": [said("assistant", "Hello")]})),
        details(
            3,
            json!({"gen_ai.output.messages": [{"role": "assistant", "parts": [{"type": "tool_call", "id": "c", "name": "f", "arguments": {}}]}]}),
        ),
    ];
    let rows = rows_of(&[("app", span(1, 0, "chat", (0, 100), json!({"gen_ai.operation.name": "chat"})))], &logs);
    assert_eq!((rows.len(), texts(&rows[0])), (1, vec!["Hi", "Hello"]));
    assert_eq!(get(&rows[0], "messages/1/tool_calls/0/id"), "c");
}

#[test]
fn trap_6_a_call_on_the_applications_own_span_may_be_two() {
    let said = json!({"gen_ai.operation.name": "chat", "litellm.call_id": "x", "gen_ai.input.messages": list(&[said("user", "Hi")])});
    assert!(has_note(&row("my.app", "handle request", said.clone()), "two calls may be mixed"));
    assert!(!has_note(&row("litellm", "litellm_request", said), "two calls may be mixed"));
}

// Duplicates and aggregates.

#[test]
fn trap_7_framework_provider_and_server_tell_one_call() {
    let call = |model: &str| json!({"gen_ai.operation.name": "chat", "gen_ai.response.id": "r", "gen_ai.response.model": model, "gen_ai.output.messages": list(&[said("assistant", "Hello")])});
    let spans = [
        ("framework", span(1, 0, "ChatOpenAI", (0, 100), call("gpt-4o-2024-08-06"))),
        ("provider", span(2, 1, "chat", (1, 99), call("gpt-4o-2024-08-06"))),
        ("another", span(3, 0, "chat", (200, 300), call("gpt-4o-2024-08-06"))),
    ];
    assert_eq!(kinds(&rows_of(&spans, &[])), ["chat.completion", "chat.completion"], "never by the id alone");
}

#[test]
fn trap_8_usage_of_wrappers_is_not_summed() {
    let usage = |operation: &str| json!({"gen_ai.operation.name": operation, "gen_ai.usage.input_tokens": 5, "gen_ai.usage.output_tokens": 2});
    let spans = [
        ("a", span(1, 0, "invoke_agent x", (0, 100), usage("invoke_agent"))),
        ("a", span(2, 1, "chat", (1, 9), usage("chat"))),
    ];
    let rows = rows_of(&spans, &[]);
    assert_eq!((get(&rows[0], "tokens"), get(&rows[0], "details/usage/prompt_tokens")), (&Value::Null, &json!(5)));
    assert_eq!(get(&rows[1], "tokens/prompt_tokens"), 5);
}

#[test]
fn trap_9_an_output_that_folds_turns_together_makes_no_call() {
    let folded = json!([{"role": "assistant", "parts": [{"type": "text", "content": "Done"}, {"type": "tool_call", "id": "c", "name": "f", "arguments": {}}, {"type": "tool_call_response", "id": "c", "response": "7"}]}]);
    let outer = json!({"gen_ai.operation.name": "invoke_agent", "gen_ai.output.messages": folded.to_string()});
    let leaf = json!({"gen_ai.operation.name": "chat", "gen_ai.output.messages": list(&[said("assistant", "Done")])});
    let rows = rows_of(
        &[("gen_ai", span(1, 0, "invoke_agent m", (0, 100), outer)), ("gen_ai", span(2, 1, "chat m", (1, 9), leaf))],
        &[],
    );
    assert_eq!(kinds(&rows), ["agent.invocation", "chat.completion"]);
    assert_eq!(get(&rows[1], "messages").as_array().unwrap().len(), 1);
}

#[test]
fn trap_10_every_row_has_the_whole_history() {
    let history = [said("user", "One"), said("assistant", "1"), said("user", "Two")];
    let call = |count: usize, answer: &str| json!({"gen_ai.operation.name": "chat", "gen_ai.input.messages": list(&history[..count]), "gen_ai.output.messages": list(&[said("assistant", answer)])});
    let rows = rows_of(
        &[("a", span(1, 0, "chat", (0, 9), call(1, "1"))), ("a", span(2, 0, "chat", (10, 19), call(3, "2")))],
        &[],
    );
    assert_eq!((texts(&rows[0]), texts(&rows[1])), (vec!["One", "1"], vec!["One", "1", "Two", "2"]));
}

#[test]
fn trap_11_twins_that_tell_nothing_of_their_own_are_no_rows() {
    let call = json!({"gen_ai.operation.name": "chat", "gen_ai.output.messages": list(&[said("assistant", "Hello")])});
    let spans = [
        ("logfire", span(1, 0, "chat", (0, 100), with(call.clone(), json!({"logfire.span_type": "span"})))),
        (
            "logfire",
            span(
                9,
                1,
                "chat",
                (0, 0),
                with(
                    call,
                    json!({"logfire.span_type": "pending_span", "logfire.pending_parent_id": "0000000000000000"}),
                ),
            ),
        ),
        ("litellm", span(3, 1, "proxy_pre_call", (1, 2), json!({}))),
        ("litellm", span(4, 1, "router", (1, 2), json!({}))),
        (
            "opentelemetry.instrumentation.ag2",
            span(5, 1, "record_usage", (99, 99), json!({"ag2.span.type": "usage", "gen_ai.usage.input_tokens": 5})),
        ),
    ];
    let rows = rows_of(&spans, &[]);
    assert_eq!(kinds(&rows).iter().filter(|kind| **kind == "chat.completion").count(), 1, "{rows:?}");
    assert!(rows.iter().all(|row| !["proxy_pre_call", "router"].contains(&row["name"].as_str().unwrap())));
    assert!(rows.iter().all(|row| get(row, "tokens/prompt_tokens").is_null()));
}

#[test]
fn trap_12_nodes_that_repeat_messages_make_no_assistant() {
    let node = json!({"openinference.span.kind": "CHAIN", "llm.input_messages.0.message.role": "user", "llm.input_messages.0.message.content": "Hi", "input.value": "{}"});
    assert_eq!(row("openinference.instrumentation.langchain", "RunnableCallable", node)["event_type"], "graph.step");
}

// Encoding.

#[test]
fn trap_13_json_in_json_is_opened_where_it_is_known_to_be() {
    let calls = json!([{"toolCallId": "c", "toolName": "f", "input": "{\"a\":1}"}]);
    let row = row(
        "ai",
        "ai.generateText.doGenerate",
        json!({"ai.operationId": "ai.generateText.doGenerate", "ai.response.toolCalls": calls.to_string()}),
    );
    assert_eq!(get(&row, "messages/0/tool_calls/0/function/arguments"), "{\"a\":1}");
}

#[test]
fn trap_14_values_in_json_quotes_are_values() {
    let quoted = json!({"mlflow.spanType": "\"CHAT_MODEL\"", "mlflow.spanOutputs": "\"Hello\"", "mlflow.traceRequestId": "\"tr-1\""});
    let row = row("mlflow", "call", quoted);
    assert_eq!((&row["event_type"], get(&row, "run_id")), (&json!("chat.completion"), &json!("tr-1")));
}

#[test]
fn trap_15_pythons_notation_is_read_and_is_never_an_answer() {
    let row = row(
        "litellm",
        "litellm_request",
        json!({"gen_ai.operation.name": "chat", "metadata.requester_metadata": "{'session_id': 'c-1', 'x': None, 'y': True}"}),
    );
    assert_eq!(row["conversation_id"], "c-1");
    assert!(!texts(&row).iter().any(|text| text.contains("None")));
}

#[test]
fn trap_16_words_of_python_are_truths() {
    let row = row("litellm", "litellm_request", json!({"gen_ai.operation.name": "chat", "llm.is_streaming": "False"}));
    assert_eq!(get(&row, "model/stream"), false);
}

#[test]
fn trap_17_numbers_as_texts_are_numbers() {
    let row = chat(json!({"gen_ai.usage.input_tokens": "12", "gen_ai.usage.output_tokens": 5.0}));
    assert_eq!((get(&row, "tokens/prompt_tokens"), get(&row, "tokens/completion_tokens")), (&json!(12), &json!(5)));
}

#[test]
fn trap_18_a_cut_text_gives_its_whole_elements_and_is_kept() {
    let cut = "[{\"role\":\"user\",\"parts\":[{\"type\":\"text\",\"content\":\"Hi\"}]},{\"role\":\"us...[TRUNCATED: original length 99]";
    let row = chat(json!({"gen_ai.input.messages": cut}));
    assert_eq!(texts(&row), ["Hi"]);
    assert!(has_note(&row, "gen_ai.input.messages") && get(&row, "attributes/gen_ai.input.messages") == cut, "{row:?}");
}

#[test]
fn trap_19_dropped_attributes_are_noted() {
    let mut call = span(
        1,
        0,
        "chat",
        (0, 9),
        json!({"gen_ai.operation.name": "chat", "gen_ai.prompt.7.role": "user", "gen_ai.prompt.7.content": "Hi"}),
    );
    call["droppedAttributesCount"] = json!(9);
    let rows = rows_of(&[("opentelemetry.instrumentation.openai.v1", call)], &[]);
    assert!(has_note(&rows[0], "9 attributes were dropped") && texts(&rows[0]) == ["Hi"]);
}

#[test]
fn trap_20_indices_are_numbers_with_gaps_and_no_sizes() {
    let mut said = json!({"llm.request.type": "chat", "gen_ai.prompt.4000000000.role": "user", "gen_ai.prompt.4000000000.content": "far"});
    for place in [10, 2, 1] {
        said[format!("gen_ai.prompt.{place}.role")] = json!("user");
        said[format!("gen_ai.prompt.{place}.content")] = json!(format!("at {place}"));
    }
    let row = row("opentelemetry.instrumentation.openai.v1", "openai.chat", said);
    assert_eq!(texts(&row)[..3], ["at 1", "at 2", "at 10"]);
    assert!(Value::Object(row).to_string().contains("far"));
}

#[test]
fn trap_21_null_missing_and_empty_are_absent() {
    let message = json!([{"role": "user", "name": null, "parts": [{"type": "text", "content": "Hi"}]}]);
    let row = chat(
        json!({"gen_ai.input.messages": message.to_string(), "gen_ai.response.id": "", "gen_ai.request.model": null}),
    );
    assert_eq!(
        (texts(&row), get(&row, "messages/0/name"), get(&row, "model/response_id")),
        (vec!["Hi"], &Value::Null, &Value::Null)
    );
    let unset = super::traps::row(
        "litellm",
        "litellm_request",
        json!({"gen_ai.operation.name": "chat", "metadata.user_api_key_alias": "", "metadata.a": "b"}),
    );
    assert_eq!(get(&unset, "metadata"), &json!({"a": "b"}), "an empty text is no metadata");
}

#[test]
fn trap_22_bytes_by_number_are_not_dumped_into_messages() {
    let prompt = json!({"messages": [{"role": "user", "content": [{"type": "file", "mediaType": "image/png", "data": {"0": 137, "1": 80}}]}]});
    let inner = json!([{"role": "user", "content": [{"type": "file", "mediaType": "image/png", "data": "iVBO"}]}]);
    let spans = [
        (
            "ai",
            span(
                1,
                0,
                "ai.generateText",
                (0, 100),
                json!({"ai.operationId": "ai.generateText", "ai.prompt": prompt.to_string()}),
            ),
        ),
        (
            "ai",
            span(
                2,
                1,
                "ai.generateText.doGenerate",
                (1, 99),
                json!({"ai.operationId": "ai.generateText.doGenerate", "ai.prompt.messages": inner.to_string(), "ai.response.text": "A cat."}),
            ),
        ),
    ];
    let rows = rows_of(&spans, &[]);
    let call = rows.iter().find(|row| row["event_type"] == "chat.completion").unwrap();
    assert_eq!(get(call, "messages/0/content/0/image_url/url"), "data:image/png;base64,iVBO");
}

#[test]
fn trap_23_lists_come_in_four_encodings() {
    for reasons in [json!(["stop"]), json!("[\"stop\"]"), json!("stop"), json!("[\"Stop\"]")] {
        assert_eq!(
            get(&chat(json!({"gen_ai.response.finish_reasons": reasons})), "model/finish_reasons"),
            &json!(["stop"])
        );
    }
}

#[test]
fn trap_23_a_structured_value_is_no_word_and_hides_none() {
    let said = json!({"gen_ai.response.finish_reasons": {"odd": true}, "gen_ai.output.messages": "[{\"role\":\"assistant\",\"parts\":[],\"finish_reason\":\"stop\"}]"});
    let row = chat(said);
    assert_eq!(get(&row, "attributes/gen_ai.response.finish_reasons"), &json!({"odd": true}));
    assert!(!get(&row, "model/finish_reasons").to_string().contains("odd"));
}

#[test]
fn trap_24_one_key_means_four_things() {
    let llmetry = |said: Value| {
        row("opentelemetry.instrumentation.openai.v1", "openai.chat", with(json!({"llm.request.type": "chat"}), said))
    };
    assert_eq!(texts(&llmetry(json!({"gen_ai.prompt.0.role": "user", "gen_ai.prompt.0.content": "Hi"}))), ["Hi"]);
    assert_eq!(texts(&llmetry(json!({"gen_ai.prompt.0.user": "Hi"}))), ["Hi"]);
    let whole = json!({"langsmith.span.kind": "llm", "gen_ai.prompt": "{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}"});
    assert_eq!(texts(&row("langsmith", "call", whole)), ["Hi"]);
    let named = chat(
        json!({"gen_ai.prompt.name": "weather", "gen_ai.prompt.version": "3", "gen_ai.prompt.variable.city": "Paris"}),
    );
    assert_eq!((get(&named, "details/prompt/name"), get(&named, "messages")), (&json!("weather"), &Value::Null));
}

#[test]
fn trap_25_an_index_is_a_call_or_a_choice_by_the_keys_shape() {
    let by_call = json!({"gen_ai.operation.name": "chat", "gen_ai.completion.0.role": "assistant", "gen_ai.completion.0.function_call.name": "f", "gen_ai.completion.0.function_call.arguments": "{}", "gen_ai.completion.1.function_call.name": "g", "gen_ai.completion.1.function_call.arguments": "{}"});
    let one = row("litellm", "litellm_request", by_call);
    assert_eq!(get(&one, "messages/0/tool_calls").as_array().unwrap().len(), 2);
    let by_choice = json!({"llm.request.type": "chat", "gen_ai.completion.0.content": "A", "gen_ai.completion.1.content": "B", "gen_ai.completion.1.tool_calls.0.name": "f"});
    let two = row("opentelemetry.instrumentation.openai.v1", "openai.chat", by_choice);
    assert_eq!((texts(&two), get(&two, "details/choices").as_array().map(Vec::len)), (vec!["A"], Some(1)));
}

#[test]
fn trap_26_empty_parts_are_no_empty_answer() {
    let said = json!({"gen_ai.operation.name": "chat", "gen_ai.output.messages": "[{\"role\":\"assistant\",\"parts\":[],\"finish_reason\":\"tool_calls\"}]", "gen_ai.completion.0.function_call.name": "f", "gen_ai.completion.0.function_call.arguments": "{}"});
    assert_eq!(get(&row("litellm", "litellm_request", said), "messages/0/tool_calls/0/function/name"), "f");
}

// Semantics.

#[test]
fn trap_27_parts_have_several_names_for_one_thing() {
    let parts = json!([{"role": "assistant", "parts": [{"type": "thinking", "content": "Hm."}, {"type": "tool_call", "id": "c", "name": "f", "args": {"a": 1}}]}, {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c", "result": "21"}]}]);
    let tools = json!([{"name": "f", "inputSchema": {"type": "object"}}]);
    let row = chat(json!({"gen_ai.input.messages": parts.to_string(), "gen_ai.tool.definitions": tools.to_string()}));
    assert_eq!(
        (get(&row, "messages/0/reasoning"), get(&row, "messages/0/tool_calls/0/function/arguments")),
        (&json!("Hm."), &json!("{\"a\":1}"))
    );
    assert_eq!(
        (get(&row, "messages/1/content"), get(&row, "tools/0/function/parameters/type")),
        (&json!("21"), &json!("object"))
    );
}

#[test]
fn trap_28_results_under_a_user_are_messages_of_tools() {
    let result = |id: &str| json!({"type": "tool_call_response", "id": id, "response": id});
    let row = chat(
        json!({"gen_ai.input.messages": json!([{"role": "user", "parts": [result("a"), result("b")]}]).to_string()}),
    );
    let roles: Vec<_> =
        row["messages"].as_array().unwrap().iter().map(|one| (&one["role"], &one["tool_call_id"])).collect();
    assert_eq!(roles, [(&json!("tool"), &json!("a")), (&json!("tool"), &json!("b"))]);
}

#[test]
fn trap_29_a_schema_that_pretends_to_be_a_message_is_a_tool() {
    let input = json!([{"role": "user", "content": "Hi"}, {"role": "tool", "content": {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}}]);
    let row = row(
        "langfuse-sdk",
        "ChatOpenAI",
        json!({"langfuse.observation.type": "generation", "langfuse.observation.input": input.to_string()}),
    );
    assert_eq!((texts(&row), get(&row, "tools/0/function/name")), (vec!["Hi"], &json!("f")));
}

#[test]
fn trap_30_calls_and_runs_without_equal_ids_are_paired_by_name_and_order() {
    let asks = json!([{"role": "assistant", "parts": [{"type": "tool_call", "id": "fc_1", "name": "f", "arguments": {"a": 1}}]}]);
    let spans = [
        (
            "app",
            span(
                1,
                9,
                "chat",
                (0, 10),
                json!({"gen_ai.operation.name": "chat", "gen_ai.output.messages": asks.to_string()}),
            ),
        ),
        (
            "app",
            span(
                2,
                9,
                "execute_tool f",
                (11, 15),
                json!({"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "f", "gen_ai.tool.call.arguments": "{\"a\":1}"}),
            ),
        ),
    ];
    let rows = rows_of(&spans, &[]);
    assert_eq!(get(&rows[0], "timing/tool_latencies_ms/f"), 4.0);
    assert_eq!(get(&rows[1], "tool_executions/0/call_id"), "fc_1");
}

#[test]
fn trap_31_arguments_in_envelopes_or_alone_are_arguments() {
    let envelope = json!({"gen_ai.operation.name": "execute_tool", "traceloop.span.kind": "tool", "gen_ai.tool.name": "f", "gen_ai.tool.call.arguments": "{\"input_str\":\"{'city': 'Lisboa'}\",\"tags\":[],\"metadata\":{},\"kwargs\":{}}"});
    let row = row("opentelemetry.instrumentation.langchain", "execute_tool f", envelope);
    assert_eq!(get(&row, "tool_executions/0/arguments"), &json!({"city": "Lisboa"}));
}

#[test]
fn trap_32_names_of_tools_on_a_call_are_no_run() {
    let row = row(
        "openlit.instrumentation.openai",
        "chat",
        json!({"gen_ai.operation.name": "chat", "gen_ai.tool.name": "a, a", "gen_ai.tool.call.id": "1, 2"}),
    );
    assert_eq!((&row["event_type"], get(&row, "tool_executions")), (&json!("chat.completion"), &Value::Null));
}

#[test]
fn trap_33_asked_and_answering_model_are_both_kept() {
    let row = row(
        "openinference.instrumentation.openai",
        "ChatCompletion",
        json!({"openinference.span.kind": "LLM", "llm.model_name": "gpt-4o-2024-08-06", "llm.invocation_parameters": "{\"model\":\"gpt-4o\"}", "llm.output_messages.0.message.role": "assistant", "llm.output_messages.0.message.content": "Hi"}),
    );
    assert_eq!(
        (get(&row, "model/request"), get(&row, "model/response")),
        (&json!("gpt-4o"), &json!("gpt-4o-2024-08-06"))
    );
}

#[test]
fn trap_34_a_framework_is_no_provider() {
    let row = chat(json!({"gen_ai.system": "langchain", "gen_ai.provider.name": "microsoft.agent_framework"}));
    assert_eq!(get(&row, "model/provider"), &Value::Null);
    assert_eq!(get(&chat(json!({"gen_ai.system": "az.ai.openai"})), "model/provider"), "azure.ai.openai");
}

#[test]
fn trap_35_cached_tokens_are_part_of_the_prompt_once() {
    let usage = |input: u64, total: u64| {
        chat(
            json!({"gen_ai.usage.input_tokens": input, "gen_ai.usage.output_tokens": 10, "gen_ai.usage.total_tokens": total, "gen_ai.usage.cache_read.input_tokens": 16}),
        )
    };
    for (input, total) in [(57, 67), (41, 67)] {
        assert_eq!(get(&usage(input, total), "tokens/prompt_tokens"), 57);
    }
}

#[test]
fn trap_36_a_first_token_has_its_emitters_unit() {
    let key = "gen_ai.server.time_to_first_token";
    let strands = row(
        "strands.telemetry.tracer",
        "chat",
        json!({"gen_ai.operation.name": "chat", "gen_ai.system": "strands-agents", key: 40}),
    );
    let openlit = row(
        "openlit.instrumentation.openai",
        "chat",
        json!({"gen_ai.operation.name": "chat", "gen_ai.request.is_stream": true, key: 0.04}),
    );
    for row in [strands, openlit] {
        assert_eq!(
            (get(&row, "timing/time_to_first_token_ms"), get(&row, "timing/ttft_source")),
            (&json!(40.0), &json!(key))
        );
    }
}

#[test]
fn trap_37_reasons_are_openais_words_and_none_is_none() {
    let reason =
        |raw: &str| get(&chat(json!({"gen_ai.response.finish_reasons": [raw]})), "model/finish_reasons").clone();
    assert_eq!(
        (reason("end_turn"), reason("MAX_TOKENS"), reason("")),
        (json!(["stop"]), json!(["length"]), Value::Null)
    );
    let calls = json!([{"role": "assistant", "parts": [{"type": "tool_call", "id": "c", "name": "f", "arguments": {}}], "finish_reason": "stop"}]);
    let row = chat(json!({"gen_ai.output.messages": calls.to_string()}));
    assert_eq!(
        (get(&row, "model/finish_reasons/0"), get(&row, "details/finish_reasons_raw/0")),
        (&json!("tool_calls"), &json!("stop"))
    );
}

#[test]
fn trap_37_a_record_that_says_stop_of_a_span_that_calls_tools_is_put_right() {
    let calls =
        json!([{"role": "assistant", "parts": [{"type": "tool_call", "id": "c", "name": "f", "arguments": {}}]}]);
    let call = |operation: &str| {
        span(
            1,
            0,
            "call",
            (0, 9),
            json!({"gen_ai.operation.name": operation, "gen_ai.output.messages": calls.to_string()}),
        )
    };
    let record = log(
        1,
        9,
        "gen_ai.client.inference.operation.details",
        &Value::Null,
        json!({"gen_ai.operation.name": "chat", "gen_ai.response.finish_reasons": ["stop"]}),
    );
    let rows = rows_of(&[("app", call("chat"))], &[("app", record)]);
    assert_eq!(get(&rows[0], "model/finish_reasons"), &json!(["tool_calls"]));
    assert_eq!(
        (get(&rows[0], "messages/0/finish_reason"), get(&rows[0], "details/finish_reasons_raw")),
        (&json!("tool_calls"), &json!(["stop"]))
    );
    // A text is no call, and another reason stays.
    let text =
        json!({"gen_ai.output.messages": list(&[said("assistant", "Hi")]), "gen_ai.response.finish_reasons": ["stop"]});
    assert_eq!(get(&chat(text), "model/finish_reasons/0"), "stop");
    let cut = json!({"gen_ai.output.messages": calls.to_string(), "gen_ai.response.finish_reasons": ["length"]});
    assert_eq!(get(&chat(cut), "model/finish_reasons/0"), "length");
}

#[test]
fn trap_38_any_carrier_of_an_error_says_that_it_failed() {
    let status = |code: u64, more: Value| {
        let mut call = span(1, 0, "chat", (0, 9), with(json!({"gen_ai.operation.name": "chat"}), more));
        call["status"] = json!({"code": code});
        rows_of(&[("app", call)], &[]).remove(0)["status"].clone()
    };
    assert_eq!(status(0, json!({})), "ok");
    assert_eq!(status(1, json!({})), "ok");
    assert_eq!(status(0, json!({"error.type": "RateLimitError"})), "error");
    assert_eq!(status(1, json!({"error.type": "RateLimitError"})), "error", "OK is no proof");
    assert_eq!(status(2, json!({})), "error");
    assert_eq!(status(0, json!({"http.response.status_code": 529})), "error");
    assert_eq!(status(0, json!({"http.response.status_code": 200})), "ok");
    assert_eq!(
        status(0, json!({"langfuse.observation.type": "generation", "langfuse.observation.level": "ERROR"})),
        "error"
    );
    assert_eq!(status(0, json!({"gen_ai.response.status": "failed"})), "error");
    let failed = span(2, 1, "POST", (1, 8), json!({"error.type": "500"}));
    let rows = rows_of(
        &[("app", span(1, 0, "chat", (0, 9), json!({"gen_ai.operation.name": "chat"}))), ("http", failed)],
        &[],
    );
    assert_eq!(rows[0]["status"], "ok", "a child's error is the child's");
}

#[test]
fn trap_39_a_session_is_found_where_it_is_meant() {
    let project = row(
        "langsmith",
        "call",
        json!({"langsmith.span.kind": "llm", "langsmith.trace.session_id": "project", "langsmith.trace.session_name": "project"}),
    );
    assert_eq!(project["conversation_id_source"], "trace_id");
    let spans = [
        (
            "app",
            span(1, 0, "invoke_agent x", (0, 100), json!({"gen_ai.operation.name": "invoke_agent", "session.id": "s"})),
        ),
        ("app", span(2, 1, "chat", (1, 9), json!({"gen_ai.operation.name": "chat"}))),
    ];
    assert!(rows_of(&spans, &[]).iter().all(|row| row["conversation_id"] == "s"), "inherited from the root");
}

#[test]
fn trap_40_the_id_of_an_agent_is_no_key() {
    let run = |number: u64, id: &str| {
        (
            "app",
            span(
                number,
                0,
                "invoke_agent x",
                (number, number + 1),
                json!({"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "weather", "gen_ai.agent.id": id}),
            ),
        )
    };
    let rows = rows_of(&[run(1, "run-1"), run(2, "run-2")], &[]);
    assert_eq!(kinds(&rows), ["agent.invocation", "agent.invocation"]);
    assert!(rows.iter().all(|row| get(row, "agent/name") == "weather" && row["conversation_id_source"] == "trace_id"));
}

#[test]
fn trap_41_a_kind_by_name_makes_no_model_call() {
    let row = row(
        "openinference.instrumentation.langchain",
        "my_agent_node",
        json!({"openinference.span.kind": "AGENT", "metadata": "{\"langgraph_node\":\"my_agent_node\",\"langgraph_step\":1}"}),
    );
    assert_ne!(row["event_type"], "chat.completion");
    assert_eq!(get(&row, "graph/node_path"), "my_agent_node");
}

#[test]
fn trap_42_one_answer_in_several_messages_is_one_message() {
    let mut said = json!({"openinference.span.kind": "LLM"});
    for (place, (key, text)) in
        [("content", "Let me see."), ("tool_calls.0.tool_call.function.name", "f")].iter().enumerate()
    {
        said[format!("llm.output_messages.{place}.message.role")] = json!("assistant");
        said[format!("llm.output_messages.{place}.message.{key}")] = json!(text);
    }
    let row = row("openinference.instrumentation.openai", "Response", said);
    assert_eq!((texts(&row), get(&row, "messages/0/tool_calls/0/function/name")), (vec!["Let me see."], &json!("f")));
}

#[test]
fn trap_43_parts_keep_the_order_in_which_they_were_given() {
    let parts = json!([{"role": "user", "parts": [{"type": "text", "content": "Before"}, {"type": "uri", "modality": "image", "uri": "https://a/b.png"}, {"type": "text", "content": "after"}]}]);
    let row = chat(json!({"gen_ai.input.messages": parts.to_string()}));
    let kinds: Vec<_> =
        get(&row, "messages/0/content").as_array().unwrap().iter().map(|part| part["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["text", "image_url", "text"]);
    let answer = json!([{"role": "assistant", "parts": [{"type": "text", "content": "Sunny."}, {"type": "reasoning", "content": "Hm."}, {"type": "tool_call", "id": "b", "name": "f", "arguments": {}}, {"type": "tool_call", "id": "a", "name": "f", "arguments": {}}]}]);
    let row = chat(json!({"gen_ai.output.messages": answer.to_string()}));
    assert_eq!((get(&row, "messages/0/content"), get(&row, "messages/0/reasoning")), (&json!("Sunny."), &json!("Hm.")));
    assert_eq!(
        (get(&row, "messages/0/tool_calls/0/id"), get(&row, "messages/0/tool_calls/1/id")),
        (&json!("b"), &json!("a"))
    );
}

#[test]
fn trap_44_a_producer_that_leaves_out_content_is_marked() {
    let said = json!({"gen_ai.operation.name": "chat", "gen_ai.input.messages": list(&[said("user", "Hi")])});
    assert!(has_note(&row("openlit.instrumentation.openai", "chat", said.clone()), "lossy_source: openlit"));
    assert!(!has_note(&row("app", "chat", said), "lossy_source"));
}

#[test]
fn trap_45_parameters_that_nobody_set_are_none() {
    let row = row(
        "openlit.instrumentation.openai",
        "chat",
        json!({"gen_ai.operation.name": "chat", "gen_ai.request.seed": 0, "gen_ai.request.max_tokens": -1, "gen_ai.request.temperature": 0.2}),
    );
    assert_eq!(get(&row, "model/parameters"), &json!({"temperature": 0.2}));
}

#[test]
fn trap_46_words_for_withheld_content_are_no_content() {
    let row = row(
        "openinference.instrumentation.openai",
        "ChatCompletion",
        json!({"openinference.span.kind": "LLM", "llm.input_messages.0.message.role": "user", "llm.input_messages.0.message.content": "__REDACTED__", "llm.output_messages.0.message.role": "assistant", "llm.output_messages.0.message.content": "Hi"}),
    );
    assert!(!texts(&row).contains(&"__REDACTED__") && has_note(&row, "withheld"), "{row:?}");
}

#[test]
fn trap_47_a_cost_of_zero_is_not_known_and_units_are_kept_apart() {
    let zero =
        row("openlit.instrumentation.openai", "chat", json!({"gen_ai.operation.name": "chat", "gen_ai.usage.cost": 0}));
    assert_eq!(get(&zero, "tokens/cost_usd"), &Value::Null);
    let copilot = row(
        "copilot-chat",
        "chat",
        json!({"gen_ai.operation.name": "chat", "copilot_chat.copilot_usage_nano_aiu": 5000}),
    );
    assert_eq!(
        (get(&copilot, "tokens/cost_usd"), get(&copilot, "details/usage_nano_aiu")),
        (&Value::Null, &json!(5000))
    );
    let stated = chat(json!({"gen_ai.usage.cost": 0.5}));
    assert_eq!(
        (get(&stated, "tokens/cost_usd"), get(&stated, "tokens/cost_source")),
        (&json!(0.5), &json!("gen_ai.usage.cost"))
    );
}

#[test]
fn trap_48_a_judgement_that_comes_later_is_a_row_of_its_own() {
    let call = span(1, 0, "chat", (0, 9), json!({"gen_ai.operation.name": "chat"}));
    let judged = log(
        1,
        60_000,
        "gen_ai.evaluation.result",
        &Value::Null,
        json!({"gen_ai.evaluation.name": "tone", "gen_ai.evaluation.score.value": 0.5}),
    );
    let mut rated = span(
        7,
        0,
        "rating",
        (90_000, 90_001),
        json!({"openinference.span.kind": "EVALUATOR", "annotations.0.annotation.name": "thumbs", "annotations.0.annotation.score": 1.0}),
    );
    rated["links"] = json!([{"traceId": "000000000000000000000000000000aa", "spanId": id(1)}]);
    let rows = rows_of(&[("app", call), ("openinference", rated)], &[("app", judged)]);
    assert_eq!(kinds(&rows), ["chat.completion", "evaluation", "evaluation"]);
    assert!(
        Value::Object(rows[2].clone()).to_string().contains(&format!("000000000000000000000000000000aa:{}", id(1)))
    );
}

#[test]
fn trap_49_secrets_that_ride_along_are_masked_and_the_rest_is_kept() {
    let key = format!("sk-proj-{}", "Ab3".repeat(16));
    let row = chat(
        json!({"langsmith.metadata.LANGSMITH_API_KEY": key.as_str(), "user.email": "a@b.example", "llm.headers": format!("{{\"Authorization\":\"Bearer {key}\"}}")}),
    );
    assert!(!Value::Object(row.clone()).to_string().contains(&key), "{row:?}");
    assert_eq!(get(&row, "user/email"), "a@b.example", "the policy floor masks secrets, not people");
}

#[test]
fn trap_50_a_schema_url_says_nothing_of_the_form() {
    let folder = TempDir::new().unwrap();
    let old = span(
        1,
        0,
        "chat",
        (0, 9),
        json!({"gen_ai.operation.name": "chat", "gen_ai.system": "openai", "gen_ai.usage.prompt_tokens": 5, "gen_ai.usage.completion_tokens": 2}),
    );
    let url = "https://opentelemetry.io/schemas/1.37.0";
    let request = json!({"resourceSpans": [{"schemaUrl": url, "scopeSpans": [{"scope": {"name": "app", "version": "9"}, "schemaUrl": url, "spans": [old]}]}]});
    fs::write(folder.path().join("1-traces.json"), request.to_string()).unwrap();
    let output = program().arg("convert").arg(folder.path()).args(["--to", "-"]).output().unwrap();
    let rows = rows::parse(std::str::from_utf8(&output.stdout).unwrap());
    assert_eq!((get(&rows[0], "tokens/prompt_tokens"), get(&rows[0], "model/provider")), (&json!(5), &json!("openai")));
}

// Values that a careless reader breaks on.

#[test]
fn fault_m3_odd_doubles_and_tiny_costs_are_taken() {
    let tiny =
        chat(json!({"gen_ai.usage.cost": 1e-12, "gen_ai.usage.input_tokens": 1, "gen_ai.usage.output_tokens": 1}));
    assert_eq!(get(&tiny, "tokens/cost_usd"), 1e-12);
    for odd in ["NaN", "Infinity", "-Infinity"] {
        let mut call =
            span(1, 0, "chat", (0, 9), json!({"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}));
        let odd = json!({"key": "gen_ai.usage.cost", "value": {"doubleValue": odd}});
        call["attributes"].as_array_mut().unwrap().push(odd);
        let rows = rows_of(&[("app", call)], &[]);
        assert_eq!((get(&rows[0], "tokens/cost_usd"), get(&rows[0], "model/request")), (&Value::Null, &json!("m")));
    }
}

#[test]
fn fault_m5_an_image_of_five_megabytes_is_kept_whole() {
    let data = "iVBO".repeat(5 * 1024 * 1024 / 4);
    let message = json!([{"role": "user", "parts": [{"type": "blob", "modality": "image", "mime_type": "image/png", "content": data}]}]);
    let row = chat(json!({"gen_ai.input.messages": message.to_string(), "": "no key"}));
    let url = get(&row, "messages/0/content/0/image_url/url").as_str().unwrap();
    assert_eq!(url.len(), "data:image/png;base64,".len() + data.len());
}

#[test]
fn fault_m7_unknown_is_not_zero() {
    let row = chat(
        json!({"gen_ai.request.model": "nobody-knows-its-price", "gen_ai.usage.input_tokens": 5, "gen_ai.usage.output_tokens": 2}),
    );
    assert_eq!(
        (get(&row, "tokens/total_tokens"), get(&row, "tokens/cost_usd"), get(&row, "tokens/cached_tokens")),
        (&json!(7), &Value::Null, &Value::Null)
    );
    assert_eq!(
        get(&chat(json!({"gen_ai.request.stream": true})), "tokens"),
        &Value::Null,
        "a stream that counted nothing"
    );
}

#[test]
fn fault_m8_a_first_token_outside_of_the_call_is_no_measurement() {
    for seconds in [-0.01, 0.2, 400.0] {
        let row = chat(json!({"gen_ai.response.time_to_first_chunk": seconds}));
        assert_eq!(get(&row, "timing/time_to_first_token_ms"), &Value::Null, "{seconds}");
        assert!(has_note(&row, "time to first token"), "{row:?}");
        assert!(
            Value::Object(row).to_string().contains("gen_ai.response.time_to_first_chunk"),
            "what was said is kept"
        );
    }
}

#[test]
fn fault_m9_runs_and_calls_that_lack_each_other_are_not_paired() {
    let asks =
        json!([{"role": "assistant", "parts": [{"type": "tool_call", "id": "c", "name": "f", "arguments": {}}]}]);
    let spans = [
        (
            "app",
            span(
                1,
                9,
                "chat",
                (0, 10),
                json!({"gen_ai.operation.name": "chat", "gen_ai.output.messages": asks.to_string()}),
            ),
        ),
        (
            "app",
            span(
                2,
                9,
                "execute_tool g",
                (11, 15),
                json!({"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "g"}),
            ),
        ),
    ];
    let rows = rows_of(&spans, &[]);
    assert_eq!(
        (get(&rows[0], "tool_executions"), get(&rows[0], "timing/tool_latencies_ms")),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(get(&rows[1], "tool_executions/0/call_id"), &Value::Null);
}

#[test]
fn fault_m10_impossible_times_keep_their_rows() {
    let call = |number: u64, start: u64, end: u64| {
        let mut call = span(number, 0, "chat", (0, 9), json!({"gen_ai.operation.name": "chat"}));
        (call["startTimeUnixNano"], call["endTimeUnixNano"]) = (json!(start.to_string()), json!(end.to_string()));
        ("app", call)
    };
    let far = 4_102_444_800_000_000_000;
    let rows =
        rows_of(&[call(1, BEGIN, BEGIN - 5), call(2, 0, 0), call(3, 1_000, 2_000), call(4, far, far + 1_000_000)], &[]);
    assert_eq!(rows.len(), 4);
    let backwards = rows.iter().find(|row| row["span_id"] == id(1)).unwrap();
    assert!(has_note(backwards, "its end is before its start") && get(backwards, "timing/total_latency_ms").is_null());
    assert!(rows.iter().any(|row| row["timestamp"] == "2100-01-01T00:00:00Z"), "the row keeps what was said");
}
