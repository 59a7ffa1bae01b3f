//! Through the door: OTLP in, partials out.

#![expect(clippy::needless_pass_by_value, reason = "literals read better without a reference")]

use super::*;
use crate::event::Half;
use crate::event::event_type;
use opentelemetry_proto::tonic::common::v1::AnyValue;
use opentelemetry_proto::tonic::common::v1::ArrayValue;
use opentelemetry_proto::tonic::common::v1::KeyValueList;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::logs::v1::ResourceLogs;
use opentelemetry_proto::tonic::logs::v1::ScopeLogs;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use opentelemetry_proto::tonic::trace::v1::ScopeSpans;
use opentelemetry_proto::tonic::trace::v1::Status;
use serde_json::Value;
use serde_json::json;

pub(super) fn any(value: &Value) -> AnyValue {
    let value = match value {
        Value::Null => None,
        Value::Bool(truth) => Some(Any::BoolValue(*truth)),
        Value::Number(number) => {
            Some(number.as_i64().map_or_else(|| Any::DoubleValue(number.as_f64().unwrap()), Any::IntValue))
        }
        Value::String(text) => Some(Any::StringValue(text.clone())),
        Value::Array(list) => Some(Any::ArrayValue(ArrayValue { values: list.iter().map(any).collect() })),
        Value::Object(_) => Some(Any::KvlistValue(KeyValueList { values: attributes(value) })),
    };
    AnyValue { value }
}

pub(super) fn attributes(object: &Value) -> Vec<KeyValue> {
    let object = object.as_object().unwrap();
    object
        .iter()
        .map(|(key, value)| KeyValue { key: key.clone(), value: Some(any(value)), ..KeyValue::default() })
        .collect()
}

pub(super) fn a_span(name: &str, object: Value) -> Span {
    Span {
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        name: name.to_owned(),
        start_time_unix_nano: 1_795_225_283_000_000_000,
        end_time_unix_nano: 1_795_225_284_000_000_000,
        attributes: attributes(&object),
        ..Span::default()
    }
}

pub(super) fn an_event(name: &str, object: Value) -> span::Event {
    span::Event {
        name: name.to_owned(),
        time_unix_nano: 1_795_225_283_250_000_000,
        attributes: attributes(&object),
        ..span::Event::default()
    }
}

pub(super) fn read_span(scope: &str, span: Span) -> Partial {
    let request = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource { attributes: attributes(&json!({"service.name": "s"})), ..Resource::default() }),
            scope_spans: vec![ScopeSpans {
                scope: Some(InstrumentationScope { name: scope.to_owned(), ..InstrumentationScope::default() }),
                spans: vec![span],
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    };
    traces(request, &Settings::default()).remove(0).records.remove(0).1
}

pub(super) fn read_log(settings: Settings, scope: &str, record: LogRecord) -> Partial {
    let request = ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            scope_logs: vec![ScopeLogs {
                scope: Some(InstrumentationScope { name: scope.to_owned(), ..InstrumentationScope::default() }),
                log_records: vec![record],
                ..ScopeLogs::default()
            }],
            ..ResourceLogs::default()
        }],
    };
    logs(request, &settings).remove(0).records.remove(0).1
}

pub(super) fn row(partial: &Partial) -> &event::Event {
    partial.row.as_ref().unwrap()
}

pub(super) fn messages(partial: &Partial) -> Value {
    serde_json::from_str(&draft::messages_json(&row(partial).messages)).unwrap()
}

pub(super) fn left(partial: &Partial) -> Vec<&str> {
    partial.attributes.iter().map(|entry| entry.key.as_str()).collect()
}

pub(super) fn detail(partial: &Partial, key: &str) -> Option<Value> {
    partial.details.iter().find(|entry| entry.key == key).map(|entry| serde_json::from_str(&entry.json).unwrap())
}

fn chat() -> Value {
    json!({
        "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o-mini",
        "gen_ai.response.model": "gpt-4o-mini-2024-07-18", "gen_ai.response.id": "chatcmpl-1",
        "gen_ai.response.finish_reasons": ["tool_calls"], "gen_ai.request.temperature": 0.2,
        "gen_ai.usage.input_tokens": 57, "gen_ai.usage.output_tokens": 21, "gen_ai.usage.cache_read.input_tokens": 16,
        "gen_ai.response.time_to_first_chunk": 0.25, "gen_ai.conversation.id": "thread-42", "server.address": "127.0.0.1",
        "gen_ai.system_instructions": "[{\"type\":\"text\",\"content\":\"Be brief.\"}]",
        "gen_ai.input.messages": "[{\"role\":\"user\",\"parts\":[{\"type\":\"text\",\"content\":\"Weather?\"}]}]",
        "gen_ai.output.messages": "[{\"role\":\"assistant\",\"parts\":[{\"type\":\"tool_call\",\"id\":\"call_1\",\"name\":\"get_weather\",\"arguments\":{\"city\": \"Lisboa\"}}],\"finish_reason\":\"tool_call\"}]",
        "gen_ai.tool.definitions": "[{\"type\":\"function\",\"name\":\"get_weather\",\"parameters\":{\"type\":\"object\"}}]",
        "gen_ai.unheard_of": "kept",
    })
}

#[test]
fn a_call_of_the_conventions_fills_its_columns_and_nothing_is_lost() {
    let partial = read_span("app", a_span("chat gpt-4o-mini", chat()));
    let row = row(&partial);
    assert_eq!((row.event_type.as_str(), row.dialect.as_str()), (event_type::CHAT_COMPLETION, "otel-genai"));
    assert_eq!(
        (row.conversation_id.as_str(), row.conversation_id_source.as_str()),
        ("thread-42", "gen_ai.conversation.id")
    );
    let model = row.model.as_ref().unwrap();
    assert_eq!(model.provider.as_deref(), Some("openai"));
    assert_eq!(model.finish_reasons, ["tool_calls"]);
    assert_eq!(model.parameters.as_deref(), Some(r#"{"temperature":0.2}"#));
    let tokens = row.tokens.as_ref().unwrap();
    assert_eq!(
        (
            tokens.prompt_tokens,
            tokens.completion_tokens,
            tokens.total_tokens,
            tokens.cached_tokens,
            tokens.reasoning_tokens
        ),
        (Some(57), Some(21), Some(78), Some(16), None)
    );
    assert_eq!(row.timing.as_ref().unwrap().time_to_first_token_ms, Some(250.0));
    assert_eq!(row.input_message_count, Some(2));
    assert_eq!(
        messages(&partial),
        json!([
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Weather?"},
            {"role": "assistant", "content": null, "finish_reason": "tool_calls", "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{\"city\": \"Lisboa\"}"}}]},
        ])
    );
    assert_eq!(
        row.tools.as_deref(),
        Some(r#"[{"type":"function","function":{"name":"get_weather","parameters":{"type":"object"}}}]"#)
    );
    assert_eq!(row.status.as_deref(), Some("ok"));
    assert_eq!(left(&partial), ["gen_ai.unheard_of", "server.address"]);
}

#[test]
fn what_was_changed_on_the_way_is_kept_as_it_came() {
    let mut attributes = chat();
    attributes["gen_ai.provider.name"] = json!("OpenAI");
    attributes["gen_ai.response.finish_reasons"] = json!("[\"tool_use\"]");
    attributes["gen_ai.usage.input_tokens"] = json!("NaN");
    attributes["gen_ai.output.messages"] =
        json!("[{\"role\":\"assistant\",\"parts\":[{\"type\":\"text\",\"content\":\"Hi\",\"annotations\":[1]}]}]");
    let partial = read_span("app", a_span("chat", attributes));
    let left = left(&partial);
    assert!(
        left.contains(&"gen_ai.provider.name")
            && left.contains(&"gen_ai.output.messages")
            && left.contains(&"gen_ai.usage.input_tokens")
    );
    assert_eq!(detail(&partial, "finish_reasons_raw"), Some(json!(["tool_use"])));
    assert_eq!(row(&partial).tokens.as_ref().unwrap().prompt_tokens, None);
    assert_eq!(row(&partial).notes, ["no count in gen_ai.usage.input_tokens"]);
}

#[test]
fn cut_messages_give_the_whole_ones_and_a_note() {
    let mut attributes = chat();
    let input = attributes["gen_ai.input.messages"].as_str().unwrap().replace(']', "").replace("}}", "}]}")
        + ",{\"role\":\"assistant\",\"parts\":[{\"type\":\"te";
    attributes["gen_ai.input.messages"] = json!(input);
    let partial = read_span("app", a_span("chat", attributes));
    assert_eq!(row(&partial).input_message_count, Some(2));
    assert!(left(&partial).contains(&"gen_ai.input.messages"));
    assert_eq!(row(&partial).notes, ["truncated json in gen_ai.input.messages"]);
}

#[test]
fn a_tools_span_tells_one_execution() {
    let mut span = a_span(
        "execute_tool get_weather",
        json!({
            "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "get_weather", "gen_ai.tool.call.id": "call_1",
            "gen_ai.tool.type": "function", "gen_ai.tool.call.arguments": "{\"city\":\"Lisboa\"}", "gen_ai.tool.call.result": "rain",
            "error.type": "TimeoutError",
        }),
    );
    span.status = Some(Status { code: 2, message: "took too long".to_owned() });
    let partial = read_span("app", span);
    let row = row(&partial);
    assert_eq!(row.event_type, event_type::TOOL_EXECUTION);
    let tool = &row.tool_executions[0];
    assert_eq!(
        (tool.name.as_str(), tool.call_id.as_deref(), tool.arguments.as_deref(), tool.result.as_deref()),
        ("get_weather", Some("call_1"), Some("{\"city\":\"Lisboa\"}"), Some("\"rain\""))
    );
    assert_eq!(
        (tool.status.as_deref(), tool.error.as_deref(), tool.span_id.as_deref()),
        (Some("timeout"), Some("took too long"), Some("0202020202020202"))
    );
    assert!(partial.attributes.is_empty());
}

#[test]
fn an_exception_is_the_error() {
    let mut span = a_span("chat", chat());
    span.status = Some(Status { code: 2, message: "429".to_owned() });
    span.events.push(an_event("exception", json!({"exception.type": "openai.RateLimitError", "exception.message": "slow down", "exception.stacktrace": "at x", "exception.escaped": "False"})));
    span.events.push(an_event("something", json!({"a": 1})));
    let partial = read_span("app", span);
    let error = row(&partial).error.as_ref().unwrap();
    assert_eq!(
        (error.r#type.as_deref(), error.message.as_deref(), error.stack.as_deref()),
        (Some("openai.RateLimitError"), Some("slow down"), Some("at x"))
    );
    assert_eq!(
        detail(&partial, "events"),
        Some(json!([{"name": "something", "time": "2026-11-21T01:41:23.250Z", "attributes": {"a": 1}}]))
    );
}

#[test]
fn an_operations_log_record_tells_the_whole_call() {
    let record = LogRecord {
        event_name: "gen_ai.client.inference.operation.details".to_owned(),
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        observed_time_unix_nano: 7,
        attributes: attributes(&json!({
            "gen_ai.operation.name": "chat", "user.id": "u-9",
            "gen_ai.input.messages": [{"role": "user", "parts": [{"type": "text", "content": "Hi"}], "name": null}],
            "gen_ai.output.messages": [{"role": "assistant", "parts": [{"type": "text", "content": "Hello"}], "finish_reason": "stop"}],
        })),
        ..LogRecord::default()
    };
    let partial = read_log(Settings::default(), "app", record);
    assert_eq!(partial.part.unwrap().half(), Half::Whole);
    assert_eq!((partial.kind(), partial.observed_ns), (Kind::Log, 7));
    assert_eq!(row(&partial).user.as_ref().unwrap().id.as_deref(), Some("u-9"));
    assert_eq!(
        messages(&partial),
        json!([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello", "finish_reason": "stop"}])
    );
    assert_eq!(row(&partial).input_message_count, Some(1));
    assert!(partial.attributes.is_empty());
}

#[test]
fn a_message_log_record_tells_one_message() {
    let record = |name: &str, body: Value| LogRecord {
        body: Some(any(&body)),
        attributes: attributes(&json!({"event.name": name, "gen_ai.system": "openai"})),
        ..LogRecord::default()
    };
    let read = |name: &str, body: Value| read_log(Settings::default(), "app", record(name, body));
    let call = json!([{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]);

    let partial = read("gen_ai.user.message", json!({"content": "Hi"}));
    assert_eq!(messages(&partial), json!([{"role": "user", "content": "Hi"}]));
    assert_eq!(partial.part.unwrap().half(), Half::Input);
    assert_eq!(row(&partial).event_type, event_type::CHAT_MESSAGE);
    assert!(partial.details.is_empty() && partial.attributes.is_empty());

    let partial = read("gen_ai.tool.message", json!({"id": "call_1", "content": "21"}));
    assert_eq!(messages(&partial), json!([{"role": "tool", "content": "21", "tool_call_id": "call_1"}]));

    // The calls stand within the message or beside it; the body may be JSON text.
    for body in [
        json!({"index": 1, "finish_reason": "tool_calls", "message": {"role": "assistant", "tool_calls": call}}),
        json!({"index": 1, "finish_reason": "tool_calls", "message": {"role": "assistant"}, "tool_calls": call}),
        json!(json!({"index": 1, "finish_reason": "tool_calls", "message": {"role": "assistant", "content": null, "tool_calls": call}}).to_string()),
    ] {
        let partial = read("gen_ai.choice", body);
        assert_eq!(messages(&partial), json!([{"role": "assistant", "content": null, "finish_reason": "tool_calls", "tool_calls": call}]));
        let part = partial.part.unwrap();
        assert_eq!((part.half(), part.index), (Half::Output, Some(1)));
        assert_eq!(row(&partial).model.as_ref().unwrap().finish_reasons, ["tool_calls"]);
    }
    // ADK's first schema says `user` of every message; the role stands inside.
    let partial = read(
        "gen_ai.user.message",
        json!({"content": {"role": "model", "parts": [{"text": "Hello", "thought": null}]}}),
    );
    assert_eq!(messages(&partial), json!([{"role": "assistant", "content": "Hello"}]));
}

#[test]
fn message_events_of_a_span_are_its_messages() {
    let mut span = a_span("chat", json!({"gen_ai.system": "openai", "gen_ai.operation.name": "chat"}));
    span.events = vec![
        an_event("gen_ai.system.message", json!({"content": "Be brief."})),
        an_event(
            "gen_ai.user.message",
            json!({"gen_ai.event.content": "{\"role\":\"user\",\"content\":\"Hi\"}", "gen_ai.system": "openai"}),
        ),
        an_event("gen_ai.choice", json!({"message": "[{\"text\":\"Hello\"}]", "finish_reason": "end_turn"})),
    ];
    let partial = read_span("app", span);
    assert_eq!(
        messages(&partial),
        json!([
            {"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello", "finish_reason": "stop"},
        ])
    );
    assert_eq!(row(&partial).input_message_count, Some(2));
    assert_eq!(detail(&partial, "events"), None);
    let mut span = a_span("chat", json!({"gen_ai.system": "openai", "gen_ai.request.model": "m"}));
    span.events = vec![
        an_event("gen_ai.content.prompt", json!({"gen_ai.prompt": "[{\"role\":\"user\",\"content\":\"Hi\"}]"})),
        an_event(
            "gen_ai.content.completion",
            json!({"gen_ai.completion": "[{\"role\":\"assistant\",\"content\":\"Hello\"}]"}),
        ),
    ];
    let partial = read_span("app", span);
    assert_eq!(
        messages(&partial),
        json!([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}])
    );
}

#[test]
fn openinference_reads_structure_from_keys() {
    let mut span = a_span(
        "ChatCompletion",
        json!({
            "openinference.span.kind": "LLM", "llm.system": "openai", "llm.model_name": "gpt-4o-mini-2024-07-18",
            "llm.input_messages.0.message.role": "system", "llm.input_messages.0.message.content": "Be brief.",
            "llm.input_messages.10.message.role": "user", "llm.input_messages.10.message.content": "Last",
            "llm.input_messages.2.message.role": "user",
            "llm.input_messages.2.message.contents.0.message_content.type": "text",
            "llm.input_messages.2.message.contents.0.message_content.text": "Weather?",
            "llm.output_messages.0.message.role": "assistant",
            "llm.output_messages.0.message.tool_calls.0.tool_call.id": "call_1",
            "llm.output_messages.0.message.tool_calls.0.tool_call.function.name": "get_weather",
            "llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments": "{\"city\":\"Lisboa\"}",
            "llm.token_count.prompt": 12, "llm.token_count.completion": 5, "llm.token_count.total": 17,
            "llm.token_count.prompt_details.cache_read": 4, "llm.token_count.completion_details.reasoning": 2,
            "llm.finish_reason": "tool_calls", "session.id": "s", "user.id": "u", "metadata": "{\"a\": 1}", "tag.tags": ["demo"],
            "llm.invocation_parameters": "{\"model\":\"gpt-4o-mini\",\"temperature\":0.2,\"stream\":true}",
            "llm.tools.0.tool.json_schema": "{\"type\":\"function\",\"function\":{\"name\":\"get_weather\"}}",
        }),
    );
    span.events.push(an_event("First Token Stream Event", json!({})));
    let partial = read_span("openinference.instrumentation.openai", span);
    let row = row(&partial);
    assert_eq!((row.event_type.as_str(), row.dialect.as_str()), (event_type::CHAT_COMPLETION, "openinference"));
    assert_eq!(
        messages(&partial),
        json!([
            {"role": "system", "content": "Be brief."}, {"role": "user", "content": "Weather?"}, {"role": "user", "content": "Last"},
            {"role": "assistant", "content": null, "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{\"city\":\"Lisboa\"}"}}]},
        ])
    );
    let model = row.model.as_ref().unwrap();
    assert_eq!(
        (model.request.as_deref(), model.response.as_deref(), model.stream),
        (Some("gpt-4o-mini"), Some("gpt-4o-mini-2024-07-18"), Some(true))
    );
    assert_eq!(row.timing.as_ref().unwrap().time_to_first_token_ms, Some(250.0));
    assert_eq!(row.metadata.as_deref(), Some("{\"a\": 1}"));
    assert!(row.tags.contains_key("demo"));
    assert!(partial.attributes.is_empty(), "{:?}", partial.attributes);
    assert_eq!(detail(&partial, "events"), None);
}

#[test]
fn openinference_takes_the_ids_of_answers_from_the_request() {
    let span = |content: &str| {
        a_span(
            "completion",
            json!({
                "openinference.span.kind": "LLM",
                "llm.input_messages.0.message.role": "user", "llm.input_messages.0.message.content": "Weather?",
                "llm.input_messages.1.message.role": "tool", "llm.input_messages.1.message.content": "21",
                "input.value": format!("{{\"messages\": [{{\"role\": \"user\", \"content\": \"Weather?\"}}, {{\"role\": \"tool\", \"content\": \"{content}\", \"tool_call_id\": \"call_1\"}}]}}"),
            }),
        )
    };
    let id = |content: &str| {
        let partial = read_span("openinference.instrumentation.litellm", span(content));
        row(&partial).messages[1].tool_call_id.clone()
    };
    assert_eq!(id("21"), Some("call_1".to_owned()));
    assert_eq!(id("another request's"), None);
}

#[test]
fn an_answer_that_calls_tools_did_not_just_stop() {
    let partial = read_span(
        "openinference.instrumentation.openai_agents",
        a_span(
            "response",
            json!({
                "openinference.span.kind": "LLM", "llm.finish_reason": "stop",
                "llm.output_messages.0.message.role": "assistant",
                "llm.output_messages.0.message.tool_calls.0.tool_call.function.name": "hand_over",
            }),
        ),
    );
    assert_eq!(row(&partial).model.as_ref().unwrap().finish_reasons, ["tool_calls"]);
    assert_eq!(detail(&partial, "finish_reasons_raw"), Some(json!(["stop"])));
}

#[test]
fn a_first_token_after_the_end_is_no_measurement() {
    let mut span = a_span("ChatCompletion", json!({"openinference.span.kind": "LLM"}));
    let mut event = an_event("First Token Stream Event", json!({}));
    event.time_unix_nano += 3_000_000_000;
    span.events.push(event);
    let partial = read_span("openinference.instrumentation.openai", span);
    assert_eq!(row(&partial).timing, None);
    assert_eq!(row(&partial).notes, ["time to first token does not fit the span: First Token Stream Event"]);
    assert!(detail(&partial, "events").is_some());
}

#[test]
fn langgraph_metadata_places_a_span_in_its_graph() {
    let metadata = json!({
        "thread_id": "t", "user_id": "u", "langgraph_step": 2, "langgraph_node": "paris", "langgraph_triggers": ["branch:to:paris"],
        "langgraph_checkpoint_ns": "outer:1f|paris:2e", "ls_provider": "openai",
    });
    let partial = read_span(
        "openinference.instrumentation.langchain",
        a_span("ChatOpenAI", json!({"openinference.span.kind": "LLM", "metadata": metadata.to_string()})),
    );
    let graph = row(&partial).graph.as_ref().unwrap();
    assert_eq!(
        (graph.node_path.as_deref(), graph.step_index, graph.thread_id.as_deref()),
        (Some("outer/paris"), Some(2), Some("t"))
    );
    assert_eq!(graph.triggers, ["branch:to:paris"]);
    assert_eq!(
        (row(&partial).conversation_id.as_str(), row(&partial).conversation_id_source.as_str()),
        ("t", "metadata/thread_id")
    );
    assert_eq!(row(&partial).model.as_ref().unwrap().provider.as_deref(), Some("openai"));
}

#[test]
fn langgraph_attributes_place_a_span_in_its_graph_too() {
    let place = |attributes: Value| {
        let mut object = json!({"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"});
        object.as_object_mut().unwrap().extend(attributes.as_object().unwrap().clone());
        let partial = read_span("app", a_span("chat m", object));
        let graph = row(&partial).graph.clone().unwrap_or_default();
        (
            graph.node_path,
            graph.step_index,
            graph.thread_id,
            left(&partial).iter().map(|key| (*key).to_owned()).collect(),
        )
    };
    let told = json!({
        "langgraph.node": "paris", "langgraph.step": 2, "langgraph.thread_id": "t",
        "langgraph.checkpoint_ns": "outer:1f|paris:2e",
    });
    let kept = vec!["langgraph.checkpoint_ns".to_owned()];
    assert_eq!(place(told), (Some("outer/paris".to_owned()), Some(2), Some("t".to_owned()), kept));
    assert_eq!(place(json!({"langgraph.node.name": "rome"})), (Some("rome".to_owned()), None, None, vec![]));
    // The start is no place: what stands below it is not inside of it.
    let kept = vec!["langgraph.node".to_owned()];
    assert_eq!(place(json!({"langgraph.node": "__start__", "langgraph.step": 0})), (None, Some(0), None, kept));
}

#[test]
fn unknown_records_keep_their_context() {
    let partial = read_span("app", a_span("GET /", json!({"http.route": "/", "session.id": "s", "user.id": "u"})));
    assert_eq!(
        (row(&partial).event_type.as_str(), row(&partial).dialect.as_str(), row(&partial).conversation_id.as_str()),
        ("", "", "s")
    );
    assert_eq!(left(&partial), ["http.route"]);
    let record = || LogRecord {
        body: Some(any(&json!("a line"))),
        attributes: attributes(&json!({"x": 1, "user.id": "u"})),
        ..LogRecord::default()
    };
    let partial = read_log(Settings::default(), "app", record());
    assert!(partial.details.is_empty() && partial.attributes.is_empty());
    assert_eq!(row(&partial).user.as_ref().unwrap().id.as_deref(), Some("u"));
    let partial = read_log(Settings { keep_unknown: true, ..Settings::default() }, "app", record());
    assert_eq!(detail(&partial, "body"), Some(json!("a line")));
    assert_eq!(left(&partial), ["x"]);
}

#[test]
fn quiet_lines_are_left_out_and_nothing_else() {
    let settings = || Settings { keep_unknown: true, min_severity: 13, ..Settings::default() };
    let line = |text: &str, number: i32, word: &str| LogRecord {
        body: Some(any(&json!(text))),
        severity_number: number,
        severity_text: word.to_owned(),
        ..LogRecord::default()
    };
    let known = "Successfully authenticated with Stackspot IDM";
    for (text, number, word, kept) in [
        (known, 9, "", false),
        (known, 0, "INFO", false),
        (known, 0, "debug", false),
        (known, 0, "WARNING", true),
        (known, 17, "INFO", true),
        (known, 0, "CRITICAL", true),
        (known, 0, "", true),
        ("a line", 5, "", false),
        ("a line", 21, "", true),
    ] {
        let partial = read_log(settings(), "app", line(text, number, word));
        assert_eq!(partial.keep_unknown, kept, "{text} {number} {word}");
        assert_eq!(partial.details.is_empty() && row(&partial).event_type.is_empty(), !kept, "{text} {number} {word}");
    }
    let mut said = line("hi", 5, "DEBUG");
    said.event_name = "gen_ai.user.message".to_owned();
    said.body = Some(any(&json!({"content": "hi"})));
    assert!(read_log(settings(), "app", said).keep_unknown, "what was said is no line");
}

#[test]
fn hostile_indices_allocate_nothing_and_stay_as_they_are() {
    let mut span = a_span("ChatCompletion", json!({"openinference.span.kind": "LLM"}));
    for index in ["0", "18446744073709551615", "99999999999999999999999", "7"] {
        span.attributes.extend(attributes(&json!({format!("llm.input_messages.{index}.message.role"): "user", format!("llm.input_messages.{index}.message.content"): index})));
    }
    for index in 0..12_000 {
        span.attributes.extend(attributes(
            &json!({format!("llm.output_messages.0.message.tool_calls.{index}.tool_call.function.name"): "f"}),
        ));
    }
    span.dropped_attributes_count = 3;
    let partial = read_span("openinference.instrumentation.openai", span);
    let row = row(&partial);
    assert!(row.messages.iter().any(|message| message.content.as_deref() == Some("7")));
    assert!(row.notes.iter().any(|note| note.contains("too many indices")), "{:?}", row.notes);
    assert!(row.notes.iter().any(|note| note == "3 attributes were dropped before they came here"));
    assert!(left(&partial).len() >= 2000);
}

#[test]
fn a_key_sent_twice_is_kept_twice() {
    let mut span = a_span("chat", chat());
    span.attributes.extend(attributes(&json!({"gen_ai.request.model": "other"})));
    let partial = read_span("app", span);
    assert_eq!(row(&partial).model.as_ref().unwrap().request.as_deref(), Some("gpt-4o-mini"));
    assert!(left(&partial).iter().any(|key| key.starts_with("gen_ai.request.model#")));
}

#[test]
fn evaluations_are_rows_of_their_own() {
    let record = LogRecord {
        event_name: "gen_ai.evaluation.result".to_owned(),
        attributes: attributes(
            &json!({"gen_ai.evaluation.name": "relevance", "gen_ai.evaluation.score.value": 0.5, "gen_ai.evaluation.explanation": "so so", "gen_ai.response.id": "r"}),
        ),
        ..LogRecord::default()
    };
    let partial = read_log(Settings::default(), "app", record);
    assert_eq!(row(&partial).event_type, event_type::EVALUATION);
    assert_eq!(detail(&partial, "score"), Some(json!(0.5)));
    assert_eq!(detail(&partial, "response_id"), Some(json!("r")));
    assert!(partial.attributes.is_empty() && partial.part.is_none());
}

fn tokens_of(input: AnyValue) -> (Option<i64>, bool, bool) {
    let mut span = a_span("chat", json!({"gen_ai.operation.name": "chat", "gen_ai.usage.output_tokens": 5}));
    let key = "gen_ai.usage.input_tokens".to_owned();
    span.attributes.push(KeyValue { key, value: Some(input), ..KeyValue::default() });
    let partial = read_span("app", span);
    let kept = left(&partial).contains(&"gen_ai.usage.input_tokens");
    (row(&partial).tokens.as_ref().unwrap().prompt_tokens, kept, row(&partial).notes.is_empty())
}

#[test]
fn counts_of_every_spelling_are_read_and_what_is_none_is_null_and_kept() {
    let read = |value: Any| tokens_of(AnyValue { value: Some(value) });
    for value in
        [Any::IntValue(12), Any::DoubleValue(12.0), Any::StringValue("12".into()), Any::StringValue("12.0".into())]
    {
        assert_eq!(read(value), (Some(12), false, true));
    }
    assert_eq!(read(Any::IntValue(i64::MAX)), (Some(i64::MAX), false, true));
    for value in [
        Any::IntValue(-1),
        Any::DoubleValue(1e30),
        Any::DoubleValue(f64::NAN),
        Any::StringValue("9223372036854775808".into()),
        Any::StringValue("many".into()),
        Any::BoolValue(true),
    ] {
        assert_eq!(read(value), (None, true, false));
    }
    assert_eq!(read(Any::StringValue(String::new())), (None, true, true));
}

#[test]
fn ten_thousand_attributes_are_read_and_kept() {
    let mut span = a_span("chat", chat());
    for number in 0..10_000 {
        let value = Some(AnyValue { value: Some(Any::IntValue(number)) });
        span.attributes.push(KeyValue { key: format!("odd.{number}"), value, ..KeyValue::default() });
    }
    let partial = read_span("app", span);
    assert_eq!(row(&partial).tokens.as_ref().unwrap().prompt_tokens, Some(57));
    assert_eq!(left(&partial).iter().filter(|key| key.starts_with("odd.")).count(), 10_000);
}

#[test]
fn a_prompt_of_twenty_megabytes_is_kept_whole_and_once() {
    let text = "It rains in Paris. ".repeat(20 * 1024 * 1024 / 19);
    let messages = json!([{"role": "user", "parts": [{"type": "text", "content": text}]}]).to_string();
    let partial =
        read_span("app", a_span("chat", json!({"gen_ai.operation.name": "chat", "gen_ai.input.messages": messages})));
    assert_eq!(row(&partial).messages[0].content.as_ref().map(String::len), Some(text.len()));
    assert!(partial.attributes.is_empty());
}

#[test]
fn arguments_encoded_again_and_again_are_one_text() {
    let arguments = json!({"city": "Lisboa"}).to_string();
    let inner = json!([{"role": "assistant", "parts": [{"type": "tool_call", "id": "call_1", "name": "f", "arguments": arguments}]}]);
    let again = serde_json::to_string(&inner.to_string()).unwrap();
    let partial =
        read_span("app", a_span("chat", json!({"gen_ai.operation.name": "chat", "gen_ai.output.messages": again})));
    assert_eq!(row(&partial).messages[0].tool_calls[0].arguments.as_deref(), Some(arguments.as_str()));
}

#[test]
fn lists_of_every_encoding_are_lists() {
    for reasons in [json!(["tool_calls"]), json!("[\"tool_calls\"]"), json!("tool_calls"), json!("[\"ToolCalls\"]")] {
        let span = a_span("chat", json!({"gen_ai.operation.name": "chat", "gen_ai.response.finish_reasons": reasons}));
        assert_eq!(row(&read_span("app", span)).model.as_ref().unwrap().finish_reasons, ["tool_calls"]);
    }
}

#[test]
fn a_visitors_session_in_a_browser_is_no_conversation() {
    let conversation = |language: &str| {
        let request = ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                resource: Some(Resource {
                    attributes: attributes(&json!({"telemetry.sdk.language": language})),
                    ..Resource::default()
                }),
                scope_spans: vec![ScopeSpans {
                    spans: vec![a_span("chat", json!({"gen_ai.operation.name": "chat", "session.id": "s-1"}))],
                    ..ScopeSpans::default()
                }],
                ..ResourceSpans::default()
            }],
        };
        let partial = traces(request, &Settings::default()).remove(0).records.remove(0).1;
        row(&partial).conversation_id.clone()
    };
    assert_eq!((conversation("webjs"), conversation("nodejs")), (String::new(), "s-1".to_owned()));
}

#[test]
fn a_collectors_normaliser_leaves_nothing_twice_and_no_empty_message() {
    let mut object = json!({
        "openinference.span.kind": "LLM", "llm.model_name": "gpt-4o-mini-2024-07-18", "output.value": "Hello",
        "llm.input_messages.0.message.role": "user",
        "llm.input_messages.0.message.contents.0.message_content.type": "text",
        "llm.input_messages.0.message.contents.0.message_content.text": "Hi",
        "llm.output_messages.0.message.role": "assistant", "llm.output_messages.0.message.content": "Hello",
    });
    let copies = json!({
        "gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o-mini-2024-07-18",
        "gen_ai.input.messages": "[{\"role\":\"user\",\"parts\":[]}]",
        "gen_ai.output.messages": "[{\"role\":\"assistant\",\"parts\":[{\"type\":\"text\",\"content\":\"Hello\"}],\"finish_reason\":\"\"}]",
    });
    let both = |one: &Value, other: &Value| {
        let mut all = one.clone();
        all.as_object_mut().unwrap().extend(other.as_object().unwrap().clone());
        all
    };
    let partial = read_span("openinference.instrumentation.openai", a_span("ChatCompletion", both(&object, &copies)));
    assert_eq!(
        messages(&partial),
        json!([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}])
    );
    let model = row(&partial).model.clone().unwrap();
    assert_eq!((model.request, model.response.as_deref()), (None, Some("gpt-4o-mini-2024-07-18")));
    object = copies;
    let partial = read_span("openinference.instrumentation.openai", a_span("ChatCompletion", object));
    assert_eq!(messages(&partial), json!([{"role": "assistant", "content": "Hello"}]));
    assert!(left(&partial).contains(&"gen_ai.input.messages"));
}

#[test]
fn what_a_normaliser_copied_from_a_framework_is_no_message_and_no_agent() {
    let tool = json!({
        "gen_ai.operation.name": "execute_tool", "gen_ai.agent.name": "get_weather",
        "gen_ai.input.messages": "{\"args\":[],\"kwargs\":{\"city\":\"Paris\"}}", "gen_ai.output.messages": "21",
    });
    let partial = read_span("opentelemetry.instrumentation.langchain", a_span("get_weather.tool", tool));
    assert_eq!(row(&partial).tool_executions[0].name, "get_weather");
    assert_eq!(row(&partial).tool_executions[0].result.as_deref(), Some("21"));
    assert!(row(&partial).messages.is_empty() && row(&partial).agent.is_none());
    let agent = json!({
        "gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "weather",
        "gen_ai.input.messages": "{\"inputs\":{\"question\":\"Weather?\"}}",
    });
    let partial = read_span("opentelemetry.instrumentation.langchain", a_span("weather.task", agent));
    assert!(row(&partial).messages.is_empty());
    assert_eq!(detail(&partial, "input"), Some(json!({"inputs": {"question": "Weather?"}})));
}

#[test]
fn the_guide_shows_the_smallest_dialect_as_it_is() {
    assert!(include_str!("../../docs/adding-a-dialect.md").contains(include_str!("smolagents.rs").trim_end()));
}

#[test]
fn instructions_stand_before_the_systems_messages_unless_those_repeat_them() {
    let told = |instructions: &str| {
        let partial = read_span(
            "opentelemetry.instrumentation.genai.openai",
            a_span(
                "chat o4-mini",
                json!({
                    "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai",
                    "gen_ai.input.messages": "[{\"role\":\"developer\",\"parts\":[{\"type\":\"text\",\"content\":\"Dev one.\"}]},{\"role\":\"user\",\"parts\":[{\"type\":\"text\",\"content\":\"Hi\"}]}]",
                    "gen_ai.system_instructions": json!([{"type": "text", "content": instructions}]).to_string(),
                }),
            ),
        );
        row(&partial).messages.iter().map(|message| message.content.clone().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(told("Be brief."), ["Be brief.", "Dev one.", "Hi"]);
    assert_eq!(told("Dev one."), ["Dev one.", "Hi"]);
    assert_eq!(told("Dev  one.\nAnd two."), ["Dev one.", "Hi"]);
}
