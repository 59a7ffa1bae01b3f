//! Nothing is lost and nothing is made up: what stands in the requests stands in the rows, and the other way round.
//!
//! With `unknown: keep` every text of the recordings is found in some row; with the default, every text of the records
//! that were kept. Texts that are JSON are opened, in the requests and in the rows.

use super::support::corpus::{self, Request, Run, Signal};
use super::support::rows::{self, Row};
use super::support::server::program;
use chatlake::dialect::{self, Read};
use chatlake::event::Kind;
use chatlake::receiver::otlp_json;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use prost::Message as _;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Shorter texts are found by chance.
const SHORTEST: usize = 12;

/// What the project carries, and apart from it, for some of that is cut out of it, everything recorded.
fn sets() -> Vec<Vec<Run>> {
    [Some(corpus::golden()), corpus::recorded()].into_iter().flatten().collect()
}

/// The rows of all runs, unredacted.
fn rows_of(runs: &[Run], unknown: &str) -> Vec<Row> {
    let mut command = program();
    command.env("CHATLAKE_UNKNOWN", unknown).env("CHATLAKE_REDACTION__POLICY", "none");
    command.arg("convert").args(runs.iter().map(|run| &run.folder)).args(["--to", "-"]);
    let output = command.output().expect("the program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    rows::parse(std::str::from_utf8(&output.stdout).expect("rows are UTF-8"))
}

/// What rows say, by the traces that they tell of. For records without a trace, what all of them say.
fn said_by_trace(rows: Vec<Row>) -> BTreeMap<String, String> {
    let mut said: BTreeMap<String, String> = BTreeMap::new();
    let mut all = String::new();
    for row in rows {
        let mut text = String::new();
        all_said(&Value::Object(row), &mut text);
        // A row that tells a call of two traces names both.
        let is_trace = |line: &&str| line.len() == 32 && line.bytes().all(|byte| byte.is_ascii_hexdigit());
        for trace in text.lines().filter(is_trace).collect::<BTreeSet<_>>() {
            said.entry(trace.to_owned()).or_default().push_str(&text);
        }
        all.push_str(&text);
    }
    said.insert(String::new(), all);
    said
}

/// Texts, opened.
#[derive(Default)]
struct Texts(BTreeSet<String>);

impl Texts {
    fn text(&mut self, text: &str) {
        let inside = text.trim_start().starts_with(['{', '[', '"']);
        match inside.then(|| serde_json::from_str::<Value>(text).ok()).flatten() {
            Some(value) => self.json(&value),
            None if text.trim().chars().count() >= SHORTEST => {
                self.0.insert(text.trim().to_owned());
            }
            None => {}
        }
    }

    fn json(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.text(text),
            Value::Array(items) => items.iter().for_each(|item| self.json(item)),
            Value::Object(object) => {
                for (_, value) in object.iter().filter(|(key, value)| !(*key == "type" && is_word(value))) {
                    self.json(value);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn any(&mut self, value: &AnyValue) {
        match &value.value {
            Some(any_value::Value::StringValue(text)) => self.text(text),
            Some(any_value::Value::ArrayValue(list)) => list.values.iter().for_each(|value| self.any(value)),
            Some(any_value::Value::KvlistValue(map)) => {
                let is_type = |one: &&KeyValue| one.key == "type";
                map.values
                    .iter()
                    .filter(|one| !is_type(one))
                    .filter_map(|one| one.value.as_ref())
                    .for_each(|value| self.any(value));
            }
            _ => {}
        }
    }

    fn attributes(&mut self, attributes: &[KeyValue]) {
        attributes.iter().filter_map(|one| one.value.as_ref()).for_each(|value| self.any(value));
    }
}

/// Whether it is a word such as `tool_call_response`: as the type of a part it says what the row says by its form.
fn is_word(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'))
}

/// All that some JSON says, one piece a line: keys too, and texts both as they stand and opened.
fn all_said(value: &Value, out: &mut String) {
    match value {
        Value::String(text) => {
            out.push_str(text);
            out.push('\n');
            let inside = text.trim_start().starts_with(['{', '[', '"']);
            if let Some(inner) = inside.then(|| serde_json::from_str::<Value>(text).ok()).flatten() {
                all_said(&inner, out);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| all_said(item, out)),
        Value::Object(object) => {
            for (key, value) in object {
                out.push_str(key);
                out.push('\n');
                all_said(value, out);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// One record: whose it is, what it says, whether a dialect knows it.
struct Told {
    trace: String,
    span: String,
    is_span: bool,
    known: bool,
    texts: Texts,
}

fn reads(read: &[Read]) -> Vec<bool> {
    let known = |partial: &chatlake::event::Partial| {
        partial.part.is_some() || partial.row.as_ref().is_some_and(|row| !row.event_type.is_empty())
    };
    let mut by_place = BTreeMap::new();
    for (place, partial) in read.iter().flat_map(|read| &read.records) {
        assert!(matches!(partial.kind(), Kind::Span | Kind::Log));
        by_place.insert(*place, known(partial));
    }
    by_place.into_values().collect()
}

/// Every record of a request. Resource and scope are shared; they count as told by each of their records.
fn told(request: &Request) -> Vec<Told> {
    let settings = dialect::Settings::default();
    let mut all = Vec::new();
    match request.signal {
        Signal::Traces => {
            let spans = traces(request);
            let mut known = reads(&dialect::traces(spans.clone(), &settings)).into_iter();
            for of_resource in &spans.resource_spans {
                for of_scope in &of_resource.scope_spans {
                    for span in &of_scope.spans {
                        let mut texts = Texts::default();
                        of_resource.resource.iter().for_each(|resource| texts.attributes(&resource.attributes));
                        of_scope.scope.iter().for_each(|scope| texts.text(&scope.name));
                        texts.text(&span.name);
                        texts.attributes(&span.attributes);
                        for event in &span.events {
                            texts.text(&event.name);
                            texts.attributes(&event.attributes);
                        }
                        span.links.iter().for_each(|link| texts.attributes(&link.attributes));
                        span.status.iter().for_each(|status| texts.text(&status.message));
                        let (trace, span) = (hex(&span.trace_id), hex(&span.span_id));
                        all.push(Told { trace, span, is_span: true, known: known.next().expect("a partial"), texts });
                    }
                }
            }
        }
        Signal::Logs => {
            let logs = logs(request);
            let mut known = reads(&dialect::logs(logs.clone(), &settings)).into_iter();
            for of_resource in &logs.resource_logs {
                for of_scope in &of_resource.scope_logs {
                    for record in &of_scope.log_records {
                        let mut texts = Texts::default();
                        texts.text(&record.event_name);
                        record.body.iter().for_each(|body| texts.any(body));
                        texts.attributes(&record.attributes);
                        let (trace, span) = (hex(&record.trace_id), hex(&record.span_id));
                        all.push(Told { trace, span, is_span: false, known: known.next().expect("a partial"), texts });
                    }
                }
            }
        }
    }
    all
}

fn traces(request: &Request) -> ExportTraceServiceRequest {
    if request.json {
        otlp_json::traces(&request.body).expect("OTLP/JSON").request
    } else {
        ExportTraceServiceRequest::decode(request.body.as_slice()).expect("OTLP")
    }
}

fn logs(request: &Request) -> ExportLogsServiceRequest {
    if request.json {
        otlp_json::logs(&request.body).expect("OTLP/JSON").request
    } else {
        ExportLogsServiceRequest::decode(request.body.as_slice()).expect("OTLP")
    }
}

/// Whether a text stands in what was said. One that a mapper read as Python's notation stands there in pieces.
fn is_said(text: &str, said: &str) -> bool {
    if said.contains(text) {
        return true;
    }
    let pieces: Vec<&str> =
        text.split(['\'', '"', '\n']).map(str::trim).filter(|piece| piece.len() >= SHORTEST).collect();
    let is_python = text.starts_with(['{', '[', '(']);
    is_python && pieces.iter().all(|piece| said.contains(piece))
}

/// The texts of the records that were kept and stand in no row of their trace.
fn lost(unknown: &str, is_kept: impl Fn(&Told, &BTreeSet<(String, String)>) -> bool) -> Vec<String> {
    let mut lost = Vec::new();
    for runs in sets() {
        let rows = rows_of(&runs, unknown);
        let id = |row: &Row, key: &str| row.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let spans = rows.iter().map(|row| (id(row, "trace_id"), id(row, "span_id"))).collect();
        let said = said_by_trace(rows);
        for run in &runs {
            for told in run.requests.iter().flat_map(told).filter(|told| is_kept(told, &spans)) {
                let said = said.get(&told.trace).map_or("", String::as_str);
                let texts = told.texts.0.iter().filter(|text| !is_said(text, said));
                lost.extend(texts.map(|text| missing(run, &told, text)));
            }
        }
    }
    lost
}

#[test]
fn with_keep_every_text_of_the_requests_is_in_some_row() {
    assert_none(&lost("keep", |_, _| true));
}

#[test]
fn by_default_every_text_of_the_kept_records_is_in_some_row() {
    assert_none(&lost("drop", |told, spans| {
        told.known || told.is_span && spans.contains(&(told.trace.clone(), told.span.clone()))
    }));
}

fn missing(run: &Run, told: &Told, text: &str) -> String {
    let kind = if told.is_span { "span" } else { "log record of span" };
    format!("{}: of {kind} {}: {}", run.name, told.span, text.chars().take(200).collect::<String>())
}

#[track_caller]
fn assert_none(faults: &[String]) {
    assert!(
        faults.is_empty(),
        "{} texts:\n{}",
        faults.len(),
        faults.iter().take(400).map(String::as_str).collect::<Vec<_>>().join("\n")
    );
}

/// The columns whose texts a producer wrote. Others are words and rules of our own.
const PRODUCERS: [&str; 14] = [
    "name",
    "messages",
    "tools",
    "model",
    "tool_executions",
    "agent",
    "user",
    "error",
    "metadata",
    "tags",
    "attributes",
    "resource",
    "feedback",
    "service",
];

#[test]
fn no_row_says_what_no_request_said() {
    assert_none(&sets().iter().flat_map(|runs| invented(runs)).collect::<Vec<_>>());
}

/// Whether a text is made of pieces that were said, none of which but the last may be found by chance.
fn is_joined(text: &str, said: &str) -> bool {
    let mut rest = text;
    while !said.contains(rest) {
        let ends: Vec<usize> = rest.char_indices().map(|(at, char)| at + char.len_utf8()).skip(SHORTEST - 1).collect();
        match ends.into_iter().rev().find(|end| said.contains(&rest[..*end])) {
            Some(end) => rest = &rest[end..],
            None => return false,
        }
    }
    true
}

/// The texts of rows that stand in no request.
fn invented(runs: &[Run]) -> Vec<String> {
    let mut said = String::new();
    for request in runs.iter().flat_map(|run| &run.requests) {
        let spoken = match request.signal {
            Signal::Traces => otlp_json::write_traces(&traces(request)),
            Signal::Logs => otlp_json::write_logs(&logs(request)),
        };
        all_said(&serde_json::from_str(&spoken).expect("JSON"), &mut said);
    }
    // Ours joins texts of several parts by a newline, pieces of a stream by nothing, and makes a data URL of an image
    // and its type.
    let is_told = |text: &str| {
        let between: &[char] = if text.starts_with("data:") { &[':', ';', ','] } else { &['\n'] };
        let mut pieces = text.split(between).map(str::trim).filter(|piece| piece.len() >= SHORTEST);
        is_said(text, &said) || pieces.all(|piece| is_said(piece, &said)) || is_joined(text, &said)
    };
    let mut told: BTreeMap<String, bool> = BTreeMap::new();
    let mut invented = Vec::new();
    for row in rows_of(runs, "keep") {
        let mut texts = Texts::default();
        PRODUCERS.iter().filter_map(|column| row.get(*column)).for_each(|value| texts.json(value));
        let id = row["event_id"].as_str().expect("an id");
        for text in texts.0 {
            if !*told.entry(text.clone()).or_insert_with(|| is_told(&text)) {
                invented.push(format!("{id}: {text}"));
            }
        }
    }
    invented
}
