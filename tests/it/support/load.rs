//! Load: agents' traces over gRPC and HTTP, sent by several workers that keep a ledger of what was acknowledged.
//!
//! A trace is two model calls, a tool and the agent that is their parent. The agent's span comes one request later than
//! its children, as it does from real agents. A request that fails is sent again, the same bytes, until it is
//! acknowledged; every eighth one is given up instead, as a client that dies would.

use super::ledger::Ledger;
use super::send::{self, Encoding, Grpc};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};
use tokio::task::JoinHandle;

/// Traces whose children go together in one request.
const TRACES_A_REQUEST: u64 = 5;
/// One in so many failed requests is not sent again.
const GIVE_UP_ONE_IN: u64 = 8;
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(20);

/// Running workers.
#[derive(Debug)]
pub(crate) struct Load {
    ledger: Arc<Ledger>,
    stop: Arc<AtomicBool>,
    workers: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts as many workers as `workers` says, half of them over gRPC and half over HTTP, each with a pause between
    /// requests. `seed` makes the ids: two loads with different seeds share none.
    pub(crate) fn start(grpc: &str, http: &str, seed: u64, workers: u64, pause: Duration) -> Self {
        let ledger = Arc::new(Ledger::default());
        let stop = Arc::new(AtomicBool::new(false));
        let next = Arc::new(AtomicU64::new(0));
        let workers = (0..workers).map(|number| {
            let door = if number % 2 == 0 { Door::Grpc(Grpc::new(grpc)) } else { Door::Http(http.to_owned()) };
            let (ledger, stop, next) = (Arc::clone(&ledger), Arc::clone(&stop), Arc::clone(&next));
            let worker = Worker { door, seed, ledger, stop, next, pause };
            super::runtime().spawn(worker.run())
        });
        let workers = workers.collect();
        Self { ledger, stop, workers }
    }

    /// How many spans were acknowledged so far.
    pub(crate) fn acknowledged(&self) -> usize {
        self.ledger.acknowledged()
    }

    /// Ends the load; requests on their way are seen through.
    pub(crate) fn finish(self) -> Arc<Ledger> {
        self.stop.store(true, Ordering::Relaxed);
        for worker in self.workers {
            super::wait(worker).expect("a worker ends well");
        }
        self.ledger
    }
}

enum Door {
    Grpc(Grpc),
    Http(String),
}

struct Worker {
    door: Door,
    seed: u64,
    ledger: Arc<Ledger>,
    stop: Arc<AtomicBool>,
    next: Arc<AtomicU64>,
    pause: Duration,
}

impl Worker {
    async fn run(self) {
        let mut roots = Vec::new();
        while !self.stop.load(Ordering::Relaxed) {
            let first = self.next.fetch_add(TRACES_A_REQUEST, Ordering::Relaxed);
            let mut spans = std::mem::take(&mut roots);
            for number in first..first + TRACES_A_REQUEST {
                let (children, root) = trace(self.seed, number);
                spans.extend(children);
                roots.push(root);
            }
            self.send(spans, first).await;
            tokio::time::sleep(self.pause).await;
        }
        self.send(roots, u64::MAX).await;
    }

    async fn send(&self, spans: Vec<Span>, number: u64) {
        let ids: Vec<String> = spans.iter().map(|span| hex(&span.span_id)).collect();
        let request = request(spans);
        loop {
            if self.attempt(&request, number).await {
                return self.ledger.acknowledge(ids);
            }
            // By a hash, for the numbers of one worker are spaced.
            if mix(self.seed ^ number).is_multiple_of(GIVE_UP_ONE_IN) && number != u64::MAX {
                return self.ledger.give_up(ids);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn attempt(&self, request: &ExportTraceServiceRequest, number: u64) -> bool {
        match &self.door {
            Door::Grpc(client) => client.traces(request.clone()).await.is_ok_and(|(rejected, _)| rejected == 0),
            Door::Http(base) => {
                let encodings = [Encoding::Plain, Encoding::Gzip, Encoding::Zstd];
                let encoding = encodings[mix(number) as usize % encodings.len()];
                let url = format!("{base}/v1/traces");
                let body = request.encode_to_vec();
                let answer = send::post(&url, "application/x-protobuf", encoding, &body).await;
                answer.is_ok_and(|answer| answer.status == 200)
            }
        }
    }
}

/// A request of spans as an SDK makes it.
pub(crate) fn request(spans: Vec<Span>) -> ExportTraceServiceRequest {
    let scope = InstrumentationScope { name: "chatlake.load".to_owned(), ..Default::default() };
    let resource = Resource { attributes: vec![text("service.name", "load")], ..Default::default() };
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(resource),
            scope_spans: vec![ScopeSpans { scope: Some(scope), spans, schema_url: String::new() }],
            schema_url: String::new(),
        }],
    }
}

/// The spans of trace `number`: children first, then the root.
pub(crate) fn trace(seed: u64, number: u64) -> (Vec<Span>, Span) {
    let trace = Trace { seed, number };
    let question = format!("Question {number} of load {seed:x}: what is the weather in town {}?", mix(number) % 9999);
    let asked = json!([{"role": "user", "parts": [{"type": "text", "content": question}]}]);
    let call =
        json!({"type": "tool_call", "id": format!("call_{number}"), "name": "get_weather", "arguments": {"n": number}});
    let called = json!([{"role": "assistant", "parts": [call], "finish_reason": "tool_call"}]);
    let result = json!({"type": "tool_call_response", "id": format!("call_{number}"), "response": {"sky": "clear"}});
    let history = json!([asked[0], called[0], {"role": "tool", "parts": [result]}]);
    let answer =
        json!([{"role": "assistant", "parts": [{"type": "text", "content": "It is clear."}], "finish_reason": "stop"}]);
    let children = vec![
        trace.chat(1, 0, &asked, &called),
        trace.span(
            2,
            12,
            "execute_tool get_weather",
            vec![
                text("gen_ai.operation.name", "execute_tool"),
                text("gen_ai.tool.name", "get_weather"),
                text("gen_ai.tool.call.id", &format!("call_{number}")),
            ],
        ),
        trace.chat(3, 20, &history, &answer),
    ];
    let root = trace.span(
        0,
        0,
        "invoke_agent weather",
        vec![
            text("gen_ai.operation.name", "invoke_agent"),
            text("gen_ai.agent.name", "weather"),
            text("gen_ai.conversation.id", &format!("conversation-{seed:x}-{}", number / 3)),
        ],
    );
    (children, root)
}

struct Trace {
    seed: u64,
    number: u64,
}

impl Trace {
    fn chat(&self, place: u64, begins_ms: u64, input: &serde_json::Value, output: &serde_json::Value) -> Span {
        let attributes = vec![
            text("gen_ai.operation.name", "chat"),
            text("gen_ai.provider.name", "openai"),
            text("gen_ai.request.model", "gpt-4o-mini"),
            text("gen_ai.response.model", "gpt-4o-mini-2024-07-18"),
            text("gen_ai.response.id", &format!("chatcmpl-{}", hex(&self.id(place)))),
            text("gen_ai.input.messages", &input.to_string()),
            text("gen_ai.output.messages", &output.to_string()),
            whole("gen_ai.usage.input_tokens", 57),
            whole("gen_ai.usage.output_tokens", 21),
        ];
        self.span(place, begins_ms, "chat gpt-4o-mini", attributes)
    }

    fn span(&self, place: u64, begins_ms: u64, name: &str, attributes: Vec<KeyValue>) -> Span {
        let start = now_ns() + begins_ms * 1_000_000;
        let length = if place == 0 { 40_000_000 } else { 10_000_000 };
        Span {
            trace_id: [self.id(0), self.id(9)].concat(),
            span_id: self.id(place).to_vec(),
            parent_span_id: if place == 0 { Vec::new() } else { self.id(0).to_vec() },
            name: name.to_owned(),
            kind: 3,
            start_time_unix_nano: start,
            end_time_unix_nano: start + length,
            attributes,
            ..Default::default()
        }
    }

    fn id(&self, place: u64) -> [u8; 8] {
        mix(self.seed.wrapping_add(self.number.wrapping_mul(10) + place)).to_be_bytes()
    }
}

/// An attribute.
pub(crate) fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Any::StringValue(value.to_owned()))
}

fn whole(key: &str, value: i64) -> KeyValue {
    attribute(key, Any::IntValue(value))
}

fn attribute(key: &str, value: Any) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..Default::default() }
}

/// `SplitMix64`'s finaliser: one to one, so different numbers are different ids.
pub(crate) fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a clock after 1970");
    u64::try_from(since.as_nanos()).expect("a clock before 2554")
}
