//! Texts planted in everything that comes in: every golden run of every dialect, every recorded body of every door.

use super::corpus::{self, Request, Signal};
use super::rows::files_below;
use super::send::{self, Encoding, Grpc};
use super::server::Server;
use super::{project, say, until, wait};
use chatlake::receiver::otlp_json;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

/// Golden runs whose messages tell an answer piece by piece: their texts become one without a space between.
const PIECEWISE: [&str; 5] = [
    "google-adk/stream",
    "google-adk/litellm-stream",
    "mlflow/streams",
    "gemini-cli/recorded",
    "gemini-cli/recorded-untold",
];

/// What is planted.
#[derive(Debug, Clone)]
pub(crate) struct Plants {
    /// Each field has another of them.
    pub(crate) texts: Vec<String>,
    /// The number of the first: with others, each field has each.
    pub(crate) first: usize,
    /// What stands between a field's own text and what is planted behind it.
    pub(crate) joint: &'static str,
    /// What no answer may say again, in lower case.
    pub(crate) needle: &'static str,
}

/// Where secrets are planted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Where {
    /// In every text. Much of it is then of no known kind.
    Everywhere,
    /// In texts that tell no kind: long ones, and those with white space.
    Said,
    /// As `Said`, and each character of a secret in JSON is escaped.
    Escaped,
}

/// Bytes of a recorded request of which a part is taken: as much again of the same would take minutes.
const LARGE: usize = 24 << 10;

/// All of them.
const PLACES: [Where; 3] = [Where::Everywhere, Where::Said, Where::Escaped];

/// Plants them.
struct Planter<'p> {
    plants: &'p Plants,
    place: Where,
    next: usize,
    /// Whether texts are pieces of one, so that the next piece stands right behind a secret.
    pieces: bool,
}

impl<'p> Planter<'p> {
    fn new(plants: &'p Plants, place: Where, number: usize) -> Self {
        Self { plants, place, next: plants.first + number, pieces: false }
    }

    /// The next secret. Each field has another, so that each kind comes into each field of the many records.
    fn one(&mut self) -> String {
        self.next += 1;
        let secret = &self.plants.texts[self.next % self.plants.texts.len()];
        if self.pieces { format!("{secret} ") } else { secret.clone() }
    }

    fn all(&self) -> String {
        self.plants.texts.join(" ; ")
    }

    fn text(&mut self, text: &mut String) {
        if let Some(json) = serde_json::from_str::<Value>(text).ok().filter(|json| json.is_object() || json.is_array())
        {
            let mut json = json;
            self.json(&mut json);
            *text = self.written(&json);
            return;
        }
        let is_said = text.len() > 40 || text.contains(char::is_whitespace);
        if is_said || self.place == Where::Everywhere {
            *text = format!("{text}{}{}", self.plants.joint, self.one());
        }
    }

    fn json(&mut self, json: &mut Value) {
        match json {
            Value::String(text) => self.text(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.json(item)),
            Value::Object(fields) => {
                fields.values_mut().for_each(|field| self.json(field));
                if self.place != Where::Everywhere {
                    let inner = Value::from(vec![Value::from(self.one())]);
                    let twice = Value::from(self.written(&Value::from(self.written(&inner))));
                    fields.insert(format!("planted {}", self.one()), twice);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// JSON text, with its secrets escaped where that is asked for.
    fn written(&self, json: &Value) -> String {
        let text = json.to_string();
        if self.place != Where::Escaped {
            return text;
        }
        self.plants.texts.iter().fold(text, |text, secret| {
            let plain = Value::from(secret.as_str()).to_string();
            let escaped: String = secret.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
            text.replace(plain.trim_matches('"'), &escaped)
        })
    }

    fn value(&mut self, value: &mut AnyValue) {
        match &mut value.value {
            Some(Any::StringValue(text)) => self.text(text),
            Some(Any::ArrayValue(list)) => list.values.iter_mut().for_each(|value| self.value(value)),
            Some(Any::KvlistValue(map)) => self.attributes(&mut map.values),
            _ => {}
        }
    }

    fn attributes(&mut self, attributes: &mut Vec<KeyValue>) {
        for attribute in attributes.iter_mut() {
            attribute.value.iter_mut().for_each(|value| self.value(value));
        }
        let text = |text: String| Some(AnyValue { value: Some(Any::StringValue(text)) });
        let json = serde_json::json!({ "a": [self.one()], self.one(): self.one() });
        let (once, twice) = (self.written(&json), self.written(&Value::from(self.written(&json))));
        let fields = vec![KeyValue { key: self.one(), value: text(self.one()), ..KeyValue::default() }];
        let map = Some(AnyValue { value: Some(Any::KvlistValue(KeyValueList { values: fields })) });
        for (key, value) in [
            (self.one(), text(self.all())),
            ("planted.once".to_owned(), text(once)),
            ("planted.twice".to_owned(), text(twice)),
            ("planted.map".to_owned(), map),
        ] {
            attributes.push(KeyValue { key, value, ..KeyValue::default() });
        }
    }

    fn resource(&mut self, resource: &mut Option<Resource>) {
        resource.iter_mut().for_each(|resource| self.attributes(&mut resource.attributes));
    }

    fn scope(&mut self, scope: &mut Option<InstrumentationScope>) {
        if let Some(scope) = scope {
            self.text(&mut scope.version);
            if self.place == Where::Everywhere {
                self.text(&mut scope.name);
            }
            self.attributes(&mut scope.attributes);
        }
    }

    /// A request of a signal with secrets, and with trace ids of its own.
    fn request(&mut self, signal: Signal, body: &[u8], number: u8) -> Vec<u8> {
        let own = |trace_id: &mut Vec<u8>| {
            if let Some(byte) = trace_id.first_mut() {
                *byte ^= number;
            }
        };
        match signal {
            Signal::Traces => {
                let mut request = ExportTraceServiceRequest::decode(body).expect("recorded spans");
                for resource_spans in &mut request.resource_spans {
                    self.resource(&mut resource_spans.resource);
                    for scope_spans in &mut resource_spans.scope_spans {
                        self.scope(&mut scope_spans.scope);
                        for span in &mut scope_spans.spans {
                            own(&mut span.trace_id);
                            span.trace_state = self.one();
                            self.text(&mut span.name);
                            self.attributes(&mut span.attributes);
                            for event in &mut span.events {
                                self.text(&mut event.name);
                                self.attributes(&mut event.attributes);
                            }
                            for link in &mut span.links {
                                own(&mut link.trace_id);
                                link.trace_state = self.one();
                                self.attributes(&mut link.attributes);
                            }
                            span.status.get_or_insert_default().message.push_str(&format!(" {}", self.one()));
                        }
                    }
                }
                request.encode_to_vec()
            }
            Signal::Logs => {
                let mut request = ExportLogsServiceRequest::decode(body).expect("recorded log records");
                for resource_logs in &mut request.resource_logs {
                    self.resource(&mut resource_logs.resource);
                    for scope_logs in &mut resource_logs.scope_logs {
                        self.scope(&mut scope_logs.scope);
                        for record in &mut scope_logs.log_records {
                            own(&mut record.trace_id);
                            record.severity_text.push_str(&format!(" {}", self.one()));
                            record.body.iter_mut().for_each(|body| self.value(body));
                            self.attributes(&mut record.attributes);
                            if self.place == Where::Everywhere {
                                self.text(&mut record.event_name);
                            }
                        }
                    }
                }
                request.encode_to_vec()
            }
        }
    }
}

/// Sends every golden run of every dialect, each request through one of the doors of OTLP. A long run has its secrets
/// in other places from request to request, a short one in all of them.
pub(crate) fn send_otlp(server: &Server, plants: &Plants) {
    let grpc = Grpc::new(&server.grpc());
    let mut count: u32 = 0;
    for run in corpus::golden() {
        for (at, request) in run.requests.iter().enumerate() {
            let places = if run.requests.len() < 3 { &PLACES[..] } else { &PLACES[at % 3..=at % 3] };
            let recorded = part_of(request);
            for place in places {
                let mut planter = Planter::new(plants, *place, usize::try_from(count).expect("a small number"));
                planter.pieces = PIECEWISE.iter().any(|piecewise| run.folder.ends_with(piecewise));
                count += 1;
                let number = u8::try_from(count % 255).expect("below 255") + 1;
                let body = planter.request(request.signal, &recorded, number);
                let url = format!("{}{}", server.http(), request.signal.path());
                match count % 3 {
                    0 => wait(grpc.recorded(request.signal, &body)),
                    1 => patiently(&url, "application/x-protobuf", Encoding::Zstd, &body),
                    _ => patiently(&url, "application/json", Encoding::Gzip, &send::json(request.signal, &body)),
                }
            }
        }
    }
    assert!(count > 30, "{count} requests");
}

/// A recorded request as protobuf; of a large one, the first record of each shape, long texts and lists cut.
fn part_of(request: &Request) -> Vec<u8> {
    let is_small = request.body.len() < LARGE;
    let mut seen = BTreeSet::new();
    match request.signal {
        Signal::Traces => {
            let mut traces = match request.json {
                true => otlp_json::traces(&request.body).expect("recorded spans").request,
                false => ExportTraceServiceRequest::decode(&*request.body).expect("recorded spans"),
            };
            for resource in traces.resource_spans.iter_mut().filter(|_| !is_small) {
                for scope in &mut resource.scope_spans {
                    scope.spans.retain(|span| seen.insert(shape(&span.name, &span.attributes)));
                    for span in &mut scope.spans {
                        cut(&mut span.attributes);
                        span.events.truncate(4);
                        span.events.iter_mut().for_each(|event| cut(&mut event.attributes));
                    }
                }
            }
            traces.encode_to_vec()
        }
        Signal::Logs => {
            let mut logs = match request.json {
                true => otlp_json::logs(&request.body).expect("recorded log records").request,
                false => ExportLogsServiceRequest::decode(&*request.body).expect("recorded log records"),
            };
            for resource in logs.resource_logs.iter_mut().filter(|_| !is_small) {
                for scope in &mut resource.scope_logs {
                    scope.log_records.retain(|record| seen.insert(shape(&record.event_name, &record.attributes)));
                    for record in &mut scope.log_records {
                        cut(&mut record.attributes);
                        record.body.iter_mut().for_each(cut_value);
                    }
                }
            }
            logs.encode_to_vec()
        }
    }
}

/// What records that are read alike have in common: the first word of their name, and their keys without numbers.
fn shape(name: &str, attributes: &[KeyValue]) -> (String, BTreeSet<String>) {
    let bare = |key: &str| key.chars().filter(|char| !char.is_ascii_digit()).collect::<String>();
    let word = name.split([' ', '.', '(']).next().unwrap_or_default();
    (bare(word), attributes.iter().map(|attribute| bare(&attribute.key)).collect())
}

fn cut(attributes: &mut [KeyValue]) {
    attributes.iter_mut().filter_map(|attribute| attribute.value.as_mut()).for_each(cut_value);
}

fn cut_value(value: &mut AnyValue) {
    match &mut value.value {
        Some(Any::StringValue(text)) => match serde_json::from_str::<Value>(text) {
            Ok(mut json) if json.is_object() || json.is_array() => {
                cut_json(&mut json);
                *text = json.to_string();
            }
            _ => *text = text.chars().take(300).collect(),
        },
        Some(Any::ArrayValue(list)) => {
            list.values.truncate(3);
            list.values.iter_mut().for_each(cut_value);
        }
        Some(Any::KvlistValue(map)) => cut(&mut map.values),
        _ => {}
    }
}

fn cut_json(json: &mut Value) {
    match json {
        Value::Array(items) => {
            items.truncate(3);
            items.iter_mut().for_each(cut_json);
        }
        Value::Object(fields) => fields.values_mut().for_each(cut_json),
        Value::String(text) => *text = text.chars().take(300).collect(),
        _ => {}
    }
}

/// Posts a body, again where a busy machine makes it late, until it is taken.
fn patiently(url: &str, content_type: &str, encoding: Encoding, body: &[u8]) {
    until("a request to be taken", Duration::from_secs(600), || {
        let answer = wait(send::post(url, content_type, encoding, body)).expect("an answer");
        assert!(matches!(answer.status, 200 | 503), "{}: {}", answer.status, answer.text());
        (answer.status == 200).then_some(())
    });
}

/// Sends every recorded body of every logging SDK and webhook to its route.
pub(crate) fn send_posted(server: &Server, plants: &Plants) {
    let golden = project().join("tests/golden/seeds");
    let mut taken = BTreeMap::<String, u32>::new();
    for file in files_below(&golden) {
        let name = file.strip_prefix(&golden).expect("below it").display().to_string();
        let route = match name.split('/').next().unwrap_or_default() {
            "insidellm" => "/api/v1/ingest",
            "huggingplace" => "/v2/chatgpt/store_generated_response",
            "modelstat" if name.contains("raw") => "/v1/ingest/raw",
            "modelstat" => "/v1/ingest",
            "stackspot" if name.contains("webhook") => "/webhooks/litellm",
            "stackifier" if name.ends_with(".jsonl") => "/v1/events",
            "stackifier" if name.contains("whatsapp-meta") => "/webhooks/whatsapp/meta",
            _ => continue,
        };
        let text = fs::read_to_string(&file).expect("a recorded body");
        for (number, place) in PLACES.into_iter().enumerate() {
            let mut planter = Planter::new(plants, place, name.len() + number);
            for body in bodies(route, &text) {
                let body = planted(&mut planter, &body);
                let url = format!("{}{route}", server.http());
                let answer = wait(send::post(&url, "application/json", Encoding::Plain, body.as_bytes()));
                let answer = answer.expect("an answer");
                if answer.status == 200 {
                    *taken.entry(route.to_owned()).or_default() += 1;
                } else {
                    // A refusal does not say again what it refuses; a success may give the sender its batch's id.
                    assert!(!answer.text().to_lowercase().contains(plants.needle), "{route}: {}", answer.text());
                }
            }
        }
        // No JSON at all.
        let broken = format!("{{\"broken\": \"{}", Planter::new(plants, Where::Said, 0).all());
        let url = format!("{}{route}", server.http());
        let answer = wait(send::post(&url, "application/json", Encoding::Plain, broken.as_bytes())).expect("an answer");
        assert!(!answer.text().to_lowercase().contains(plants.needle), "{route}: {}", answer.text());
    }
    let form = format!(
        "MessageSid=SM1&From=whatsapp%3A%2B1&To=whatsapp%3A%2B2&Body={0}&ProfileName={0}&{0}=1",
        percent_encoded(&Planter::new(plants, Where::Said, 0).all())
    );
    for (route, method) in [("/webhooks/whatsapp/twilio", "POST"), ("/s3/bucket/events/run-1.jsonl", "PUT")] {
        let url = format!("{}{route}", server.http());
        let body = if method == "PUT" {
            let text = fs::read_to_string(golden.join("stackifier/02-full-event.jsonl")).expect("a recorded body");
            planted(&mut Planter::new(plants, Where::Said, 0), &text)
        } else {
            form.clone()
        };
        let status = wait(async {
            let client = reqwest::Client::new();
            let request = if method == "PUT" { client.put(&url) } else { client.post(&url) };
            let kind = if method == "PUT" { "application/octet-stream" } else { "application/x-www-form-urlencoded" };
            request.header("content-type", kind).body(body).send().await.expect("an answer").status().as_u16()
        });
        if status == 200 {
            *taken.entry(route.to_owned()).or_default() += 1;
        }
    }
    say(&format!("planted bodies taken: {taken:?}"));
    assert_eq!(taken.len(), 9, "a door took nothing: {taken:?}");
}

/// The bodies that a recording holds: cases of Meta's notifications are in a list.
fn bodies(route: &str, text: &str) -> Vec<String> {
    if !route.ends_with("/meta") {
        return vec![text.to_owned()];
    }
    let cases: Value = serde_json::from_str(text).expect("cases are JSON");
    let mut found = Vec::new();
    notifications(&cases, &mut found);
    assert!(!found.is_empty(), "no notification in the cases");
    found
}

fn notifications(json: &Value, found: &mut Vec<String>) {
    match json {
        Value::Object(fields) if fields.contains_key("entry") => found.push(json.to_string()),
        Value::Object(fields) => fields.values().for_each(|field| notifications(field, found)),
        Value::Array(items) => items.iter().for_each(|item| notifications(item, found)),
        _ => {}
    }
}

/// A body, or each of its lines, with secrets.
fn planted(planter: &mut Planter<'_>, body: &str) -> String {
    let plant = |planter: &mut Planter<'_>, text: &str| {
        let mut json: Value = serde_json::from_str(text).expect("recorded bodies are JSON");
        planter.json(&mut json);
        planter.written(&json)
    };
    match serde_json::from_str::<Value>(body) {
        Ok(_) => plant(planter, body),
        Err(_) => body.lines().map(|line| plant(planter, line) + "\n").collect(),
    }
}

fn percent_encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
