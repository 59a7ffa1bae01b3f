//! Traces that follow from a seed: agents whose calls are told by one library or two, in one trace or two, by span
//! attributes or by log records before or after the span, with equal times, with tools with and without ids, and with
//! log records that stand on no span.

use super::corpus::{Request, Signal};
use super::otlp_json;
use super::shuffle::Random;
use serde_json::{Value, json};

/// 2026-01-01, in nanoseconds.
const BEGIN: u64 = 1_767_225_600_000_000_000;
const MS: u64 = 1_000_000;

/// Spans and log records in the making, by scope.
#[derive(Default)]
struct Told {
    spans: Vec<(&'static str, Value)>,
    logs: Vec<(&'static str, Value)>,
}

/// Requests of so many generated traces. Log records of one span stand together.
pub(crate) fn requests(seed: u64, traces: u64) -> Vec<Request> {
    let random = &mut Random::new(seed);
    let mut told = Told::default();
    for number in 0..traces {
        Trace { told: &mut told, random, number, spans: 0 }.agent();
    }
    let spans = json!({"resourceSpans": told.spans.iter().map(|(scope, span)| json!({
        "resource": {"attributes": otlp_json::plain(&json!({"service.name": "generated"}))},
        "scopeSpans": [{"scope": {"name": scope}, "spans": [span]}],
    })).collect::<Value>()});
    let logs = json!({"resourceLogs": told.logs.iter().map(|(scope, log)| json!({
        "resource": {"attributes": otlp_json::plain(&json!({"service.name": "generated"}))},
        "scopeLogs": [{"scope": {"name": scope}, "logRecords": log}],
    })).collect::<Value>()});
    let request = |signal, body: &Value| Request { signal, json: true, body: body.to_string().into_bytes() };
    [request(Signal::Traces, &spans), request(Signal::Logs, &logs)].into_iter().map(Request::into_protobuf).collect()
}

struct Trace<'t> {
    told: &'t mut Told,
    random: &'t mut Random,
    number: u64,
    spans: u64,
}

impl Trace<'_> {
    fn one_in(&mut self, count: usize) -> bool {
        self.random.below(count) == 0
    }

    fn trace_id(&self) -> String {
        format!("{:016x}{:016x}", 0xc0ffee, self.number + 1)
    }

    /// Tells a span and gives its id.
    fn span(
        &mut self,
        scope: &'static str,
        name: &str,
        parent: Option<&str>,
        times: (u64, u64),
        said: &Value,
    ) -> String {
        self.spans += 1;
        let id = format!("{:08x}{:08x}", self.number + 1, self.spans);
        let trace_id = self.trace_id();
        self.told.spans.push((scope, json!({
            "traceId": trace_id, "spanId": id, "parentSpanId": parent.unwrap_or_default(), "name": name, "kind": 3,
            "startTimeUnixNano": (BEGIN + times.0 * MS).to_string(), "endTimeUnixNano": (BEGIN + times.1 * MS).to_string(),
            "attributes": otlp_json::plain(said),
        })));
        id
    }

    fn agent(&mut self) {
        let mut said = json!({"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "weather"});
        if !self.one_in(3) {
            said["gen_ai.conversation.id"] = json!(format!("conversation-{}", self.number / 2));
        }
        let begin = self.number * 7;
        let root = self.span("agents", "invoke_agent weather", None, (begin, begin + 900), &said);
        for step in 0..=self.random.below(3) as u64 {
            let at = begin + step * 200;
            let node = if self.one_in(2) {
                // No dialect knows it; as an ancestor it is a step.
                self.span("application", "step", Some(&root), (at, at + 190), &json!({"step": step}))
            } else {
                root.clone()
            };
            self.call(&node, at, step);
        }
    }

    fn call(&mut self, parent: &str, at: u64, step: u64) {
        let (number, id) = (self.number, format!("{}-{step}", self.number));
        let asked = format!("[{{\"role\":\"user\",\"parts\":[{{\"type\":\"text\",\"content\":\"Question {id}?\"}}]}}]");
        let calls = json!([{"role": "assistant", "finish_reason": "stop", "parts": [
            {"type": "tool_call", "id": format!("call-{id}"), "name": "lookup", "arguments": {"n": number}},
            {"type": "tool_call", "id": format!("other-{id}"), "name": "lookup", "arguments": {"n": step}},
        ]}]);
        let facts = json!({
            "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o-mini",
            "gen_ai.response.model": "gpt-4o-mini-2024-07-18", "gen_ai.response.id": format!("resp-{id}"),
            "gen_ai.usage.input_tokens": 57 + step, "gen_ai.usage.output_tokens": 21,
        });
        let with = |more: Value| {
            let mut said = facts.clone();
            said.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
            said
        };
        let whole = with(json!({"gen_ai.input.messages": asked, "gen_ai.output.messages": calls.to_string()}));
        let times = (at + 1, at + 90);
        match self.random.below(5) {
            // Framework and provider.
            0 => {
                let outer = self.span("framework", "chat gpt-4o-mini", Some(parent), times, &whole);
                self.span("provider", "ChatCompletion", Some(&outer), (at + 2, at + 89), &facts);
            }
            // The provider's span is a trace of its own.
            1 => {
                self.span("framework", "chat gpt-4o-mini", Some(parent), times, &whole);
                self.number += 1_000_000;
                self.span("provider", "ChatCompletion", None, (at + 2, at + 89), &facts);
                self.number -= 1_000_000;
            }
            // Messages in log records, all at one time.
            2 => {
                let span = self.span("framework", "chat gpt-4o-mini", Some(parent), times, &facts);
                let log = |name: &str, body: Value| {
                    json!({
                        "traceId": self.trace_id(), "spanId": span, "eventName": name, "body": otlp_json::plain_value(&body),
                        "timeUnixNano": (BEGIN + (at + 50) * MS).to_string(),
                    })
                };
                let logs = vec![
                    log("gen_ai.system.message", json!({"content": "Be brief."})),
                    log("gen_ai.user.message", json!({"content": format!("Question {id}?")})),
                    log(
                        "gen_ai.choice",
                        json!({"index": 0, "finish_reason": "stop", "message": {"content": format!("Answer {id}.")}}),
                    ),
                ];
                self.told.logs.push(("framework", Value::Array(logs)));
            }
            // The whole call in one record.
            3 => {
                let span = self.span("framework", "chat gpt-4o-mini", Some(parent), times, &facts);
                let log = json!({
                    "traceId": self.trace_id(), "spanId": span, "eventName": "gen_ai.client.inference.operation.details",
                    "timeUnixNano": (BEGIN + (at + 90) * MS).to_string(), "attributes": otlp_json::plain(&whole),
                });
                self.told.logs.push(("framework", json!([log])));
            }
            // A coding assistant, whose record stands on nothing.
            _ => {
                let request = format!("req-{id}");
                let said = json!({"model": "claude-sonnet-4-5", "request_id": request, "gen_ai.response.id": format!("msg-{id}"),
                    "input_tokens": "41", "output_tokens": "21", "response.model_output": format!("Answer {id}.")});
                self.span("com.anthropic.claude_code.tracing", "claude_code.llm_request", Some(parent), times, &said);
                let record = json!({"event.name": "api_request", "model": "claude-sonnet-4-5", "request_id": request,
                    "input_tokens": "41", "output_tokens": "21", "cost_usd": "0.01", "duration_ms": "88"});
                let log = json!({
                    "body": {"stringValue": "claude_code.api_request"}, "attributes": otlp_json::plain(&record),
                    "timeUnixNano": (BEGIN + (at + 91) * MS).to_string(),
                });
                self.told.logs.push(("com.anthropic.claude_code.events", json!([log])));
            }
        }
        for (place, call) in ["call", "other"].iter().enumerate() {
            let mut said = json!({"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "lookup",
                "gen_ai.tool.call.result": format!("Result {call} of {id}")});
            if self.one_in(2) {
                said["gen_ai.tool.call.id"] = json!(format!("{call}-{id}"));
            }
            // At one time: what else they say tells them apart.
            let times = (at + 100, at + 110 + place as u64);
            self.span("framework", "execute_tool lookup", Some(parent), times, &said);
        }
    }
}
