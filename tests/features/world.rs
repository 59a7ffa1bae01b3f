//! Every recorded request, posted byte for byte to one server, each by a tenant of its own; and the rows that landed.

use super::support::project;
use super::support::rows::{Row, files_below, lines_below, parse};
use super::support::server::Setup;
use base64::Engine as _;
use hmac::{KeyInit as _, Mac as _};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;
use tempfile::TempDir;

pub(crate) const PUBLIC: &str = "https://collector.example.invalid";

/// A request to be posted.
struct Post {
    name: String,
    path: &'static str,
    content_type: &'static str,
    body: Vec<u8>,
    /// The secret that signs it; without one, a key is sent.
    secret: Option<String>,
}

/// What a request was answered and gave.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) answer: String,
    /// In order of time.
    pub(crate) rows: Vec<Row>,
    /// The folders and names of its files.
    pub(crate) files: Vec<String>,
}

/// All of them, by name: a recording's path below `tests/golden/seeds`, `meta/CASE`, `twilio/CASE`, `own/NAME`.
#[derive(Debug)]
pub(crate) struct World {
    told: BTreeMap<String, Told>,
    pub(crate) said: String,
    pub(crate) metrics: String,
}

impl World {
    /// The one request whose name begins so.
    pub(crate) fn told(&self, name: &str) -> &Told {
        let mut found = self.told.iter().filter(|(known, _)| known.starts_with(name));
        let (_, told) = found.next().unwrap_or_else(|| panic!("no request {name}"));
        assert!(found.next().is_none(), "several requests begin with {name}");
        told
    }

    /// What it gave.
    pub(crate) fn rows(&self, name: &str) -> &[Row] {
        &self.told(name).rows
    }

    /// The one row that it gave.
    pub(crate) fn row(&self, name: &str) -> &Row {
        let rows = self.rows(name);
        assert_eq!(rows.len(), 1, "{name}: {rows:#?}");
        &rows[0]
    }

    /// All requests whose name begins so.
    pub(crate) fn all<'w>(&'w self, name: &'w str) -> impl Iterator<Item = (&'w String, &'w Told)> {
        self.told.iter().filter(move |(known, _)| known.starts_with(name))
    }
}

/// What stands at a path such as `details.steps.0.name`; null where nothing does.
pub(crate) fn at<'r>(row: &'r Row, path: &str) -> &'r Value {
    static NULL: Value = Value::Null;
    let mut parts = path.split('.');
    let first = row.get(parts.next().expect("a path has a part")).unwrap_or(&NULL);
    parts.fold(first, |value, part| match value {
        Value::Array(items) => part.parse::<usize>().ok().and_then(|at| items.get(at)).unwrap_or(&NULL),
        value => value.get(part).unwrap_or(&NULL),
    })
}

/// The only row of a type.
pub(crate) fn of_type<'r>(rows: &'r [Row], event_type: &str) -> &'r Row {
    let found: Vec<&Row> = rows.iter().filter(|row| row["event_type"] == event_type).collect();
    assert_eq!(found.len(), 1, "{event_type}: {rows:#?}");
    found[0]
}

/// Role and content of each message.
pub(crate) fn said(row: &Row) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let messages = row.get("messages").and_then(Value::as_array).into_iter().flatten();
    messages.map(|message| (text(&message["role"]), text(&message["content"]))).collect()
}

/// Name and arguments of each call of a message.
pub(crate) fn calls(message: &Value) -> Vec<(String, Value)> {
    let calls = message["tool_calls"].as_array().into_iter().flatten();
    calls
        .map(|call| {
            let arguments = call["function"]["arguments"].as_str().expect("arguments are a text");
            let arguments = serde_json::from_str(arguments).expect("and JSON");
            (call["function"]["name"].as_str().expect("a name").to_owned(), arguments)
        })
        .collect()
}

pub(crate) fn golden(path: &str) -> Vec<u8> {
    fs::read(project().join("tests/golden/seeds").join(path)).expect("a recording")
}

pub(crate) fn golden_json(path: &str) -> Value {
    serde_json::from_slice(&golden(path)).expect("a recording of JSON")
}

/// The server, its requests and what they gave. Asked for the first time, it takes some seconds.
pub(crate) fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(open)
}

fn open() -> World {
    let posts: Vec<Post> = recorded().into_iter().chain(notifications()).chain(forms()).chain(own()).collect();
    let folder = TempDir::new().expect("a folder");
    let owner = |(number, _): (usize, &Post)| json!({"tenant": format!("t{number}"), "prefix": format!("p/{number}")});
    let with = |key: &str, of: &dyn Fn(&Post) -> bool| {
        let entries = posts.iter().enumerate().filter(|(_, post)| of(post)).map(|(number, post)| {
            let mut entry = owner((number, post));
            entry[key] = post.secret.clone().unwrap_or_else(|| format!("key-{number}")).into();
            entry
        });
        Value::from(entries.collect::<Vec<_>>()).to_string()
    };
    let setup = Setup::quick(folder.path())
        .with("STORE__FORMAT", "jsonl")
        .with("STORE__COMPRESSION", "none")
        .with("STORE__PARTITION", "env={env}/date={date}")
        .with("RECEIVERS__MODELSTAT__ENDPOINT", "none")
        .with("ASSEMBLY__IDLE", "1s")
        .with("AUTH__KEYS", &with("key", &|post| post.secret.is_none()))
        .with("WEBHOOKS__META", &with("secret", &|post| post.path.ends_with("/meta")))
        .with("WEBHOOKS__TWILIO", &with("secret", &|post| post.path.ends_with("/twilio")))
        .with("WEBHOOKS__PUBLIC_URL", PUBLIC);
    let mut server = setup.start();
    let client = reqwest::blocking::Client::new();
    let mut told = BTreeMap::new();
    for (number, post) in posts.iter().enumerate() {
        let url = format!("{}{}", server.http(), post.path);
        let request = client.post(url).header("content-type", post.content_type).body(post.body.clone());
        let request = match (&post.secret, post.path.ends_with("/meta")) {
            (None, _) => request.bearer_auth(format!("key-{number}")),
            (Some(secret), true) => request.header("x-hub-signature-256", meta_signature(secret, &post.body)),
            (Some(secret), false) => request.header("x-twilio-signature", twilio_signature(secret, &post.body)),
        };
        let answer = request.send().expect("an answer");
        let content_type = answer.headers().get("content-type").map(|value| value.to_str().expect("a text").to_owned());
        let (status, content_type) = (answer.status().as_u16(), content_type.unwrap_or_default());
        let answer = String::from_utf8_lossy(&answer.bytes().expect("a body")).into_owned();
        told.insert(post.name.clone(), Told { status, content_type, answer, ..Told::default() });
    }
    assert_eq!(told.len(), posts.len(), "two requests have one name");
    server.drain(Duration::from_secs(120));
    let (_, metrics) = server.admin("/metrics").expect("an answer");
    assert!(server.stop().success(), "{}", server.said());
    for (number, post) in posts.iter().enumerate() {
        let lake = server.data().join(format!("p/{number}/events"));
        let mut rows = parse(&lines_below(&lake));
        rows.sort_by_key(|row| (row["timestamp"].to_string(), row["event_id"].to_string()));
        let told = told.get_mut(&post.name).expect("it was told");
        told.rows = rows;
        told.files = files_below(&lake).iter().map(|file| name_below(&lake, file)).collect();
    }
    World { told, said: server.said(), metrics }
}

fn name_below(folder: &Path, file: &Path) -> String {
    file.strip_prefix(folder).expect("below it").display().to_string()
}

/// What Meta signs with a secret.
pub(crate) fn meta_signature(secret: &str, body: &[u8]) -> String {
    let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).expect("a key");
    mac.update(body);
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={hex}")
}

/// What Twilio signs of a form with a secret.
pub(crate) fn twilio_signature(secret: &str, form: &[u8]) -> String {
    let form = std::str::from_utf8(form).expect("a text");
    let decoded = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8().expect("UTF-8").into_owned();
    let fields = form.split('&').filter_map(|pair| pair.split_once('='));
    let fields: BTreeMap<String, String> = fields.map(|(name, value)| (decoded(name), decoded(value))).collect();
    let mut mac = hmac::Hmac::<sha1::Sha1>::new_from_slice(secret.as_bytes()).expect("a key");
    mac.update(format!("{PUBLIC}/webhooks/whatsapp/twilio").as_bytes());
    fields.iter().for_each(|(name, value)| mac.update(format!("{name}{value}").as_bytes()));
    base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes())
}

/// Fields as a form.
pub(crate) fn form(fields: &Value) -> Vec<u8> {
    let encode =
        |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
    let fields = fields.as_object().expect("fields").iter();
    let pairs = fields.map(|(name, value)| format!("{name}={}", encode(value.as_str().expect("a text"))));
    pairs.collect::<Vec<_>>().join("&").into_bytes()
}

/// The recorded bodies of clients.
fn recorded() -> Vec<Post> {
    let folder = project().join("tests/golden/seeds");
    let posts = files_below(&folder).into_iter().filter_map(|file| {
        let name = name_below(&folder, &file);
        let (json, protobuf) = ("application/json", "application/x-protobuf");
        let (path, content_type) = match name.split('/').next()? {
            "insidellm" => ("/api/v1/ingest", json),
            "huggingplace" => ("/v2/chatgpt/store_generated_response", json),
            "modelstat" if name.contains("raw") => ("/v1/ingest/raw", json),
            "modelstat" if name.ends_with(".body.json") => ("/v1/ingest", json),
            "stackifier" if name.ends_with(".jsonl") => ("/v1/events", "application/x-ndjson"),
            "stackspot" if name.ends_with("webhook.json") => ("/webhooks/litellm", json),
            "stackspot" if name.ends_with(".pb") => ("/v1/traces", protobuf),
            _ => return None,
        };
        Some(Post { body: fs::read(&file).expect("a recording"), name, path, content_type, secret: None })
    });
    posts.collect()
}

fn cases(file: &str) -> Vec<(String, Value)> {
    let cases = golden_json(file);
    let cases = cases.as_array().expect("a list").iter();
    cases.map(|case| (case["case"].as_str().expect("a name").to_owned(), case["input"].clone())).collect()
}

/// Meta's notifications.
fn notifications() -> Vec<Post> {
    let posts = cases("stackifier/whatsapp-meta-cases.json").into_iter().map(|(case, input)| Post {
        secret: Some(format!("meta-{case}")),
        name: format!("meta/{case}."),
        path: "/webhooks/whatsapp/meta",
        content_type: "application/json",
        body: input.to_string().into_bytes(),
    });
    posts.collect()
}

/// Twilio's forms.
fn forms() -> Vec<Post> {
    let posts = cases("stackifier/whatsapp-twilio-cases.json").into_iter().map(|(case, input)| Post {
        secret: Some(format!("twilio-{case}")),
        name: format!("twilio/{case}."),
        path: "/webhooks/whatsapp/twilio",
        content_type: "application/x-www-form-urlencoded",
        body: form(&input),
    });
    posts.collect()
}

/// Requests that rows of the table describe and nobody recorded.
fn own() -> Vec<Post> {
    let bodies = [
        ("two-choices", "/webhooks/litellm", two_choices()),
        ("lenient", "/api/v1/ingest", lenient()),
        ("streamed", "/api/v1/ingest", streamed()),
        ("orphan", "/api/v1/ingest", orphan()),
        ("long-tag", "/v1/ingest", json!({"events": [{"kind": "summary", "metadata": {"k": "x".repeat(300)}}]})),
        ("timeout", "/v1/ingest", timed_out()),
        ("dev", "/v2/chatgpt/store_generated_response", json!({"userPrompt": "q", "response": "a", "mode": "dev"})),
        ("graph", "/v1/traces", graph()),
        ("searches", "/v1/traces", searches()),
        ("proxy", "/v1/traces", proxy()),
        ("refused-token", "/v1/traces", refused_token()),
        ("lines", "/v1/logs", lines()),
        ("escaped", "/v1/events", escaped()),
    ];
    let posts = bodies.into_iter().map(|(name, path, body)| Post {
        name: format!("own/{name}."),
        path,
        content_type: "application/json",
        body: body.to_string().into_bytes(),
        secret: None,
    });
    posts.collect()
}

fn two_choices() -> Value {
    let choice =
        |text: &str, reason: &str| json!({"message": {"role": "assistant", "content": text}, "finish_reason": reason});
    json!({
        "id": "two", "call_type": "completion", "status": "success", "model": "openrouter/openai/gpt-4o",
        "messages": [{"role": "user", "content": "hi"}], "response_cost": 0.0,
        "response": {
            "choices": [choice("one", "stop"), choice("two", "length")],
            "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5, "cost": 0.00042},
        },
    })
}

fn inside(event_type: &str, id: u32, parent: u32, second: f64, payload: &Value) -> Value {
    let uuid = |id: u32| format!("00000000-0000-4000-8000-{id:012}");
    json!({
        "event_id": uuid(id), "run_id": uuid(7), "parent_event_id": uuid(parent), "event_type": event_type,
        "timestamp": format!("2026-01-02T03:04:{second:09.6}Z"), "user_id": "u", "payload": payload,
    })
}

fn lenient() -> Value {
    inside(
        "llm.response",
        501,
        500,
        5.0,
        &json!({
            "model_name": "gpt-4o", "provider": "openai", "response_text": "a", "response_time_ms": "431",
            "usage": {"input_tokens": "18", "output_tokens": 6}, "an_extra_key": {"kept": true},
        }),
    )
}

fn streamed() -> Value {
    let model = |more: Value| {
        let mut payload = json!({"model_name": "gpt-4o", "provider": "openai"});
        payload.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        payload
    };
    let mut events = vec![inside("llm.request", 600, 599, 5.0, &model(json!({"prompt": "q"})))];
    for number in 0..5 {
        let payload = model(json!({"chunk_text": "a", "chunk_index": number, "is_final": number == 4}));
        events.push(inside("llm.streaming_chunk", 601 + number, 600, 5.25 + f64::from(number) / 10.0, &payload));
    }
    events.push(inside("llm.response", 610, 600, 6.0, &model(json!({"response_text": "aaaaa"}))));
    Value::from(events)
}

fn orphan() -> Value {
    inside("agent.response", 701, 700, 5.0, &json!({"response_text": "from nowhere"}))
}

fn timed_out() -> Value {
    json!({
        "batch_id": "b", "events": [{"source_event_id": "evt_t", "kind": "tool_call", "session_id": "s"}],
        "tool_calls": [{"source_event_id": "evt_t", "name": "ls", "call_index": 0, "status": "timeout", "session_id": "s"}],
    })
}

/// One span of a request: id, parent, name, start and end in microseconds, attributes.
pub(crate) type Span<'s> = (u8, u8, &'s str, (u64, u64), Value);

/// A request of spans of one trace, as OTLP/JSON.
pub(crate) fn spans(trace: u8, scope: &str, spans: &[Span<'_>]) -> Value {
    let spans = spans.iter().map(|(id, parent, name, (start, end), attributes)| {
        let nanos = |micros: &u64| format!("{}", (1_795_000_000_000_000 + micros) * 1000);
        json!({
            "traceId": format!("{trace:032x}"), "spanId": format!("{id:016x}"),
            "parentSpanId": if *parent == 0 { String::new() } else { format!("{parent:016x}") },
            "name": name, "kind": 3, "startTimeUnixNano": nanos(start), "endTimeUnixNano": nanos(end),
            "attributes": attributes.as_object().expect("attributes").iter().map(|(key, value)| {
                let value = match value {
                    Value::String(text) => json!({"stringValue": text}),
                    Value::Bool(truth) => json!({"boolValue": truth}),
                    Value::Number(number) if number.is_f64() => json!({"doubleValue": number}),
                    number => json!({"intValue": number.to_string()}),
                };
                json!({"key": key, "value": value})
            }).collect::<Vec<_>>(),
        })
    });
    let scope_spans = json!([{"scope": {"name": scope}, "spans": spans.collect::<Vec<_>>()}]);
    json!({"resourceSpans": [{"resource": {"attributes": []}, "scopeSpans": scope_spans}]})
}

fn graph() -> Value {
    let node = json!({
        "openinference.span.kind": "CHAIN",
        "metadata": r#"{"langgraph_node": "agent", "langgraph_step": 2, "langgraph_checkpoint_ns": "agent:1"}"#,
    });
    spans(1, "openinference.instrumentation.langchain", &[(1, 0, "agent", (0, 120_000), node)])
}

fn searches() -> Value {
    let chat = json!({
        "gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o",
        "gen_ai.input.messages": r#"[{"role":"user","parts":[{"type":"text","content":"q"}]}]"#,
        "gen_ai.output.messages": r#"[{"role":"assistant","parts":[{"type":"tool_call","id":"c1","name":"search","arguments":{"q":1}},
            {"type":"tool_call","id":"c2","name":"search","arguments":{"q":2}}],"finish_reason":"tool_call"}]"#,
    });
    let tool = |id: &str| json!({"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search", "gen_ai.tool.call.id": id});
    let agent = json!({"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "a"});
    let tools = [
        (3, 1, "execute_tool search", (200_000, 320_500), tool("c1")),
        (4, 1, "execute_tool search", (200_000, 280_000), tool("c2")),
    ];
    let all: Vec<Span<'_>> = [(1, 0, "invoke_agent a", (0, 900_000), agent), (2, 1, "chat gpt-4o", (0, 100_000), chat)]
        .into_iter()
        .chain(tools)
        .collect();
    spans(2, "opentelemetry.instrumentation.openai_v2", &all)
}

fn http(url: &str, status: u16) -> Value {
    json!({"http.method": "POST", "http.url": url, "http.status_code": status})
}

fn litellm() -> Value {
    json!({
        "gen_ai.operation.name": "acompletion", "gen_ai.request.model": "stackspot-chat", "gen_ai.system": "my-custom-llm",
        "gen_ai.prompt.0.role": "user", "gen_ai.prompt.0.content": "q",
        "gen_ai.completion.0.role": "assistant", "gen_ai.completion.0.content": "a",
    })
}

fn proxy() -> Value {
    let token = "https://idm.stackspot.com/realm/oidc/oauth/token";
    let chat = "https://genai-code-buddy-api.stackspot.com/v3/chat";
    spans(
        3,
        "opentelemetry.instrumentation.requests",
        &[
            (1, 0, "POST /chat", (0, 900_000), json!({})),
            (2, 1, "POST", (1_000, 11_800), http(token, 200)),
            (3, 1, "litellm_request", (20_000, 500_000), litellm()),
            (4, 3, "POST", (30_000, 40_000), http(chat, 200)),
            (5, 3, "POST", (50_000, 60_000), http(chat, 200)),
        ],
    )
}

fn refused_token() -> Value {
    let token = http("https://idm.stackspot.com/realm/oidc/oauth/token", 401);
    spans(4, "opentelemetry.instrumentation.requests", &[(1, 0, "POST", (0, 10_800), token)])
}

/// The fixed lines of the proxy's log, with their severity.
pub(crate) const LINES: [(&str, &str); 9] = [
    ("INFO", "Successfully authenticated with Stackspot IDM"),
    ("ERROR", "Authentication failed: 401 Client Error"),
    ("INFO", "Found 2 tool call(s): ['buscar_tempo', 'somar']"),
    ("ERROR", "SSE connection error: refused"),
    ("ERROR", "SSE streaming connection error: reset"),
    ("WARNING", "Error parsing event data: {"),
    ("ERROR", "HTTP 429 error from Stackspot API"),
    ("DEBUG", "Collected 3 answer parts, total length: 34"),
    ("DEBUG", "Collected 2 answer parts, total length: 7"),
];

pub(crate) fn lines() -> Value {
    let records = LINES.iter().zip(1_795_000_000_u64..).map(|((severity, text), second)| {
        let number =
            [("DEBUG", 5), ("INFO", 9), ("WARNING", 13), ("ERROR", 17)].into_iter().find(|(name, _)| name == severity);
        json!({
            "timeUnixNano": format!("{second}000000000"), "severityText": severity,
            "severityNumber": number.expect("a severity").1, "body": {"stringValue": text},
        })
    });
    let scope_logs = json!([{"scope": {"name": "custom_handler"}, "logRecords": records.collect::<Vec<_>>()}]);
    json!({"resourceLogs": [{"resource": {"attributes": []}, "scopeLogs": scope_logs}]})
}

fn escaped() -> Value {
    let line = json!({
        "conversation_id": "a/b/../x", "run_id": "1", "timestamp": "2026-01-02T23:59:59-05:00",
        "messages": [{"role": "user", "content": "late"}],
    });
    line
}
