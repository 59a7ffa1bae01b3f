use super::*;
use crate::event::Error;
use crate::event::Graph;
use crate::event::Model;
use crate::event::Redaction;
use crate::event::Timing;
use crate::event::Tokens;
use std::collections::BTreeMap;

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn written(event: &Event, form: ToolCallForm) -> String {
    let mut out = Vec::new();
    line(event, form, &mut out);
    String::from_utf8(out).unwrap()
}

fn floats(value: f64) -> String {
    let mut out = Vec::new();
    float(value, &mut out);
    String::from_utf8(out).unwrap()
}

/// The row of the design's example.
fn weather() -> Event {
    Event {
        event_id: "5b8efff798038103d269b633813fc60c:eee19b7ec3c1b174".to_owned(),
        event_type: "chat.completion".to_owned(),
        name: "chat gpt-4o-mini".to_owned(),
        source: "otlp".to_owned(),
        dialect: "otel-genai".to_owned(),
        schema_version: 1,
        timestamp: 1_795_251_601_250_000,
        ended_at: Some(1_795_251_602_010_000),
        received_at: 1_795_251_603_002_000,
        conversation_id: "thread-42".to_owned(),
        conversation_id_source: "gen_ai.conversation.id".to_owned(),
        run_id: some("5b8efff798038103d269b633813fc60c"),
        trace_id: some("5b8efff798038103d269b633813fc60c"),
        span_id: some("eee19b7ec3c1b174"),
        parent_span_id: some("0a1b2c3d4e5f6071"),
        status: some("ok"),
        messages: vec![
            Message {
                role: "system".to_owned(),
                content: some("You are a concise weather assistant."),
                ..Message::default()
            },
            Message { role: "user".to_owned(), content: some("Weather in Paris?"), ..Message::default() },
            Message {
                role: "assistant".to_owned(),
                tool_calls: vec![ToolCall {
                    id: some("call_1"),
                    r#type: some("function"),
                    name: "get_weather".to_owned(),
                    arguments: some("{\"city\":\"Paris\"}"),
                }],
                finish_reason: some("tool_calls"),
                ..Message::default()
            },
        ],
        input_message_count: Some(2),
        tools: some(
            "[{\"type\":\"function\",\"function\":{\"name\":\"get_weather\",\"parameters\":{\"type\":\"object\"}}}]",
        ),
        model: Some(Model {
            provider: some("openai"),
            request: some("gpt-4o-mini"),
            response: some("gpt-4o-mini-2024-07-18"),
            response_id: some("chatcmpl-1"),
            operation: some("chat"),
            parameters: None,
            finish_reasons: vec!["tool_calls".to_owned()],
            stream: Some(true),
        }),
        tool_executions: vec![ToolExecution {
            call_id: some("call_1"),
            name: "get_weather".to_owned(),
            r#type: some("function"),
            status: some("ok"),
            latency_ms: Some(120.5),
            arguments: some("{\"city\":\"Paris\"}"),
            result: some("{\"temp_c\":18}"),
            error: None,
            span_id: some("bbb19b7ec3c1b175"),
        }],
        timing: Some(Timing {
            total_latency_ms: Some(760.0),
            time_to_first_token_ms: Some(210.0),
            ttft_source: some("gen_ai.response.time_to_first_chunk"),
            tool_latencies_ms: BTreeMap::from([("get_weather".to_owned(), 120.5)]),
        }),
        tokens: Some(Tokens {
            prompt_tokens: Some(57),
            completion_tokens: Some(21),
            total_tokens: Some(78),
            cached_tokens: Some(16),
            cost_usd: Some(0.000_019_9),
            cost_source: some("genai-prices 2026-11-01"),
            ..Tokens::default()
        }),
        graph: Some(Graph {
            graph_id: some("weather"),
            node_path: some("agent"),
            step_index: Some(2),
            thread_id: some("thread-42"),
            triggers: Vec::new(),
        }),
        service: some("weather-bot"),
        env: some("production"),
        redaction: Some(Redaction { policy: "floor".to_owned(), counts: BTreeMap::new() }),
        ..Event::default()
    }
}

#[test]
fn the_line_of_the_design_comes_out_byte_for_byte() {
    let expected = concat!(
        r#"{"event_id":"5b8efff798038103d269b633813fc60c:eee19b7ec3c1b174","event_type":"chat.completion","#,
        r#""name":"chat gpt-4o-mini","source":"otlp","dialect":"otel-genai","schema_version":1,"#,
        r#""timestamp":"2026-11-21T09:00:01.250Z","ended_at":"2026-11-21T09:00:02.010Z","#,
        r#""received_at":"2026-11-21T09:00:03.002Z","conversation_id":"thread-42","#,
        r#""conversation_id_source":"gen_ai.conversation.id","run_id":"5b8efff798038103d269b633813fc60c","#,
        r#""trace_id":"5b8efff798038103d269b633813fc60c","span_id":"eee19b7ec3c1b174","#,
        r#""parent_span_id":"0a1b2c3d4e5f6071","status":"ok","messages":["#,
        r#"{"role":"system","content":"You are a concise weather assistant."},"#,
        r#"{"role":"user","content":"Weather in Paris?"},{"role":"assistant","content":null,"tool_calls":["#,
        r#"{"id":"call_1","type":"function","function":{"name":"get_weather","arguments":"{\"city\":\"Paris\"}"}}],"#,
        r#""finish_reason":"tool_calls"}],"input_message_count":2,"tools":[{"type":"function","function":"#,
        r#"{"name":"get_weather","parameters":{"type":"object"}}}],"model":{"provider":"openai","#,
        r#""request":"gpt-4o-mini","response":"gpt-4o-mini-2024-07-18","response_id":"chatcmpl-1","#,
        r#""operation":"chat","finish_reasons":["tool_calls"],"stream":true},"tool_executions":["#,
        r#"{"call_id":"call_1","name":"get_weather","type":"function","status":"ok","latency_ms":120.5,"#,
        r#""arguments":{"city":"Paris"},"result":{"temp_c":18},"span_id":"bbb19b7ec3c1b175"}],"#,
        r#""timing":{"total_latency_ms":760.0,"time_to_first_token_ms":210.0,"#,
        r#""ttft_source":"gen_ai.response.time_to_first_chunk","tool_latencies_ms":{"get_weather":120.5}},"#,
        r#""tokens":{"prompt_tokens":57,"completion_tokens":21,"total_tokens":78,"cached_tokens":16,"#,
        r#""cost_usd":0.0000199,"cost_source":"genai-prices 2026-11-01"},"graph":{"graph_id":"weather","#,
        r#""node_path":"agent","step_index":2,"thread_id":"thread-42"},"service":"weather-bot","#,
        r#""env":"production","redaction":{"policy":"floor"}}"#,
        "\n"
    );
    assert_eq!(written(&weather(), ToolCallForm::OpenAi), expected);
}

#[test]
fn the_flat_form_has_the_arguments_as_a_value() {
    let line = written(&weather(), ToolCallForm::Flat);
    let row: serde_json::Value = serde_json::from_str(&line).unwrap();
    let expected = serde_json::json!([{"id": "call_1", "name": "get_weather", "arguments": {"city": "Paris"}}]);
    assert_eq!(row["messages"][2]["tool_calls"], expected);
}

#[test]
fn what_is_null_or_empty_is_left_out() {
    let event = Event {
        event_id: "x".to_owned(),
        schema_version: 1,
        status: some(""),
        tools: some("[]"),
        details: some(" {} "),
        model: Some(Model::default()),
        error: Some(Error { message: some(""), ..Error::default() }),
        timing: Some(Timing { total_latency_ms: Some(f64::NAN), ..Timing::default() }),
        tokens: Some(Tokens { prompt_tokens: Some(0), ..Tokens::default() }),
        redaction: Some(Redaction::default()),
        ..Event::default()
    };
    let expected = concat!(
        r#"{"event_id":"x","schema_version":1,"timestamp":"1970-01-01T00:00:00Z","#,
        r#""received_at":"1970-01-01T00:00:00Z","tokens":{"prompt_tokens":0}}"#,
        "\n"
    );
    assert_eq!(written(&event, ToolCallForm::OpenAi), expected);
}

#[test]
fn what_was_said_to_be_empty_is_kept() {
    let event = Event {
        messages: vec![Message {
            role: "tool".to_owned(),
            content: some(""),
            reasoning: some(""),
            ..Message::default()
        }],
        tool_executions: vec![ToolExecution {
            name: "t".to_owned(),
            arguments: some("{}"),
            result: some("null"),
            ..ToolExecution::default()
        }],
        ..Event::default()
    };
    let line = written(&event, ToolCallForm::OpenAi);
    assert!(line.contains(r#""messages":[{"role":"tool","content":"","reasoning":""}]"#), "{line}");
    assert!(line.contains(r#""tool_executions":[{"name":"t","arguments":{},"result":null}]"#), "{line}");
}

#[test]
fn parts_stand_in_place_of_their_text() {
    let parts = r#"[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"u"}}]"#;
    let event = Event {
        messages: vec![Message {
            role: "user".to_owned(),
            content: some("a"),
            content_parts: some(parts),
            ..Message::default()
        }],
        ..Event::default()
    };
    let line = written(&event, ToolCallForm::OpenAi);
    assert!(line.contains(&format!(r#"{{"role":"user","content":{parts}}}"#)), "{line}");
}

#[test]
fn the_users_json_is_not_edited_and_stays_on_the_line() {
    let event = Event {
        metadata: some("{\"b\": 1.0,\r\n \"a\": \"x\\ny\", \"a\": 9007199254740993}"),
        attributes: some("{half"),
        ..Event::default()
    };
    let line = written(&event, ToolCallForm::OpenAi);
    assert!(line.contains("\"metadata\":{\"b\": 1.0,   \"a\": \"x\\ny\", \"a\": 9007199254740993}"), "{line}");
    assert!(line.contains("\"attributes\":\"{half\""), "{line}");
    assert_eq!(line.matches('\n').count(), 1);
}

#[test]
fn a_custom_tool_call_has_its_own_body() {
    let call = ToolCall { id: some("c"), r#type: some("custom"), name: "sql".to_owned(), arguments: some("select 1") };
    let mut out = Vec::new();
    openai_call(&call, &mut out);
    let expected = r#"{"id":"c","type":"custom","custom":{"name":"sql","input":"select 1"}}"#;
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

#[test]
fn numbers_are_shortest_and_read_back_equal() {
    for (value, text) in [
        (0.0, "0.0"),
        (760.0, "760.0"),
        (0.1, "0.1"),
        (1e-12, "1e-12"),
        (123_456_789.125, "123456789.125"),
        (f64::MAX, "1.7976931348623157e308"),
        (f64::MIN_POSITIVE, "2.2250738585072014e-308"),
    ] {
        assert_eq!(floats(value), text);
        assert_eq!(serde_json::from_str::<f64>(text).unwrap(), value);
    }
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert_eq!(floats(value), "null");
    }
}

#[test]
fn times_have_no_more_decimals_than_they_need() {
    for (micros, text) in [
        (0, "1970-01-01T00:00:00Z"),
        (-1, "1969-12-31T23:59:59.999999Z"),
        (1_795_251_601_250_000, "2026-11-21T09:00:01.250Z"),
        (1_795_251_601_250_040, "2026-11-21T09:00:01.250040Z"),
        (1_709_164_800_000_000, "2024-02-29T00:00:00Z"),
        (253_402_300_800_000_000, "+10000-01-01T00:00:00Z"),
    ] {
        let mut out = Vec::new();
        time(micros, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), format!("\"{text}\""));
    }
    let mut out = Vec::new();
    time(i64::MAX, &mut out);
    assert!(serde_json::from_slice::<serde_json::Value>(&out).is_ok());
}

#[test]
fn lines_read_back_equal() {
    use crate::lake::samples::bare;
    for (row, form) in
        [(weather(), ToolCallForm::OpenAi), (weather(), ToolCallForm::Flat), (bare("e", "c", 5), ToolCallForm::OpenAi)]
    {
        let mut read = parse(&written(&row, form)).unwrap();
        if form == ToolCallForm::Flat {
            // It has no place for a call's type.
            read.messages[2].tool_calls[0].r#type = some("function");
        }
        assert_eq!(read, row);
    }
    let full = crate::lake::samples::full();
    let written_once = written(&full, ToolCallForm::OpenAi);
    assert_eq!(written(&parse(&written_once).unwrap(), ToolCallForm::OpenAi), written_once);
}

#[test]
fn what_is_no_line_of_ours_is_refused_and_new_keys_are_left() {
    assert!(parse("{\"event_id\":1}").is_err());
    assert!(parse("[]").is_err());
    assert_eq!(parse("{\"event_id\":\"a\",\"of_tomorrow\":{}}").unwrap().event_id, "a");
}
