//! Rows for the tests of this room.

use crate::event::Agent;
use crate::event::Error;
use crate::event::Event;
use crate::event::Feedback;
use crate::event::Graph;
use crate::event::Message;
use crate::event::Model;
use crate::event::Redaction;
use crate::event::Timing;
use crate::event::Tokens;
use crate::event::ToolCall;
use crate::event::ToolExecution;
use crate::event::User;
use crate::event::WaMeta;
use crate::fold::Batch;
use crate::lake::encode;
use crate::lake::key::Writer;
use crate::lake::outbox::Outbox;
use crate::lake::pack::Packed;
use crate::lake::pack::Packing;
use std::collections::BTreeMap;
use std::io;

/// An optional text.
pub(crate) fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// A row of which every field is set, each to a value of its own.
pub(crate) fn full() -> Event {
    Event {
        event_id: "event-1".to_owned(),
        event_type: "chat.completion".to_owned(),
        source: "otlp".to_owned(),
        dialect: "otel-genai".to_owned(),
        schema_version: 1,
        name: "chat model".to_owned(),
        timestamp: 1_795_251_601_250_001,
        ended_at: Some(1_795_251_602_010_002),
        received_at: 1_795_251_603_002_003,
        conversation_id: "conversation-1".to_owned(),
        conversation_id_source: "trace_id".to_owned(),
        run_id: some("run-1"),
        trace_id: some("5b8efff798038103d269b633813fc60c"),
        span_id: some("eee19b7ec3c1b174"),
        parent_span_id: some("0a1b2c3d4e5f6071"),
        status: some("ok"),
        messages: vec![
            Message { role: "system".to_owned(), content: some(""), name: some("sys"), ..Message::default() },
            Message {
                role: "user".to_owned(),
                content: some("what is it"),
                content_parts: some(r#"[{"type":"text","text":"what is it"}]"#),
                ..Message::default()
            },
            Message {
                role: "assistant".to_owned(),
                reasoning: some("let me see"),
                tool_calls: vec![
                    ToolCall { id: some("c1"), r#type: some("function"), name: "a".to_owned(), arguments: some("{}") },
                    ToolCall { id: None, r#type: None, name: "b".to_owned(), arguments: None },
                ],
                finish_reason: some("tool_calls"),
                ..Message::default()
            },
            Message { role: "tool".to_owned(), content: some("42"), tool_call_id: some("c1"), ..Message::default() },
        ],
        input_message_count: Some(2),
        tools: some(r#"[{"type":"function","function":{"name":"a"}}]"#),
        model: Some(Model {
            provider: some("openai"),
            request: some("gpt"),
            response: some("gpt-1"),
            response_id: some("r-1"),
            operation: some("chat"),
            parameters: some(r#"{"temperature":0.1}"#),
            finish_reasons: vec!["tool_calls".to_owned(), "stop".to_owned()],
            stream: Some(false),
        }),
        tool_executions: vec![ToolExecution {
            call_id: some("c1"),
            name: "a".to_owned(),
            r#type: some("function"),
            status: some("error"),
            latency_ms: Some(1.5),
            arguments: some("{}"),
            result: some("null"),
            error: some("boom"),
            span_id: some("bbb19b7ec3c1b175"),
        }],
        timing: Some(Timing {
            total_latency_ms: Some(760.0),
            time_to_first_token_ms: Some(0.0),
            ttft_source: some("gen_ai.ttft"),
            tool_latencies_ms: BTreeMap::from([("a".to_owned(), 1.5), ("b".to_owned(), 0.25)]),
        }),
        tokens: Some(Tokens {
            prompt_tokens: Some(1),
            completion_tokens: Some(2),
            total_tokens: Some(3),
            cached_tokens: Some(0),
            cache_creation_tokens: Some(5),
            reasoning_tokens: Some(6),
            cost_usd: Some(0.000_019_9),
            cost_source: some("prices"),
        }),
        graph: Some(Graph {
            graph_id: some("g"),
            node_path: some("x/y"),
            step_index: Some(0),
            thread_id: some("t"),
            triggers: vec!["start".to_owned()],
        }),
        agent: Some(Agent { id: some("a-1"), name: some("planner"), description: some("plans") }),
        user: Some(User {
            id: some("u-1"),
            email: some("u@example.org"),
            username: some("u"),
            org: some("o"),
            roles: vec!["admin".to_owned()],
        }),
        wa_meta: Some(WaMeta {
            direction: some("in"),
            template_category: some("service"),
            delivered: Some(true),
            read: Some(false),
            blocked_reported: Some(false),
            message_id: some("m-1"),
            phone_number: some("+1"),
        }),
        feedback: Some(Feedback { r#type: some("thumb"), value: some("true"), target: some("event-0") }),
        error: Some(Error { r#type: some("E"), message: some("m"), code: some("c"), stack: some("s") }),
        service: some("bot"),
        env: some("production"),
        tags: BTreeMap::from([("team".to_owned(), "blue".to_owned()), ("empty".to_owned(), String::new())]),
        metadata: some(r#"{"b": 1}"#),
        details: some(r#"{"usage":{}}"#),
        attributes: some(r#"{"x":[1]}"#),
        resource: some(r#"{"service.name":"bot"}"#),
        redaction: Some(Redaction { policy: "floor".to_owned(), counts: BTreeMap::from([("email".to_owned(), 2)]) }),
        notes: vec!["a note".to_owned()],
    }
}

/// A row of which only what every row has is set.
pub(crate) fn bare(event_id: &str, conversation_id: &str, timestamp: i64) -> Event {
    Event {
        event_id: event_id.to_owned(),
        event_type: "chat.completion".to_owned(),
        source: "otlp".to_owned(),
        dialect: "otel-genai".to_owned(),
        schema_version: 1,
        timestamp,
        received_at: timestamp,
        conversation_id: conversation_id.to_owned(),
        conversation_id_source: "trace_id".to_owned(),
        ..Event::default()
    }
}

/// The entry of a fold that handed nothing on.
pub(crate) fn pack(
    outbox: &Outbox,
    settings: &encode::Settings,
    writer: &Writer,
    segment: u64,
    batches: BTreeMap<String, Batch>,
    beside: &[(&str, &[u8])],
) -> io::Result<Packed> {
    Packing::begin(outbox, settings, writer, segment)?.finish(batches, beside)
}
