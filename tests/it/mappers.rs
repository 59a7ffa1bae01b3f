//! The mappers hold against anything: one odd thing costs that thing only, and no bytes at all do harm.
//!
//! Odd things are nulls, unknown parts, foreign keys and values of a wrong type, put anywhere: into attributes, into
//! JSON texts and structured values in them, into bodies of log records, for names of spans and scopes.
//!
//! A record of a golden case is changed in one place and read again. What it says is cut into units: each message,
//! each column, each key of the details. Units that the change cannot concern must be what they were, and so must all
//! other records of the request.
//!
//! These are the fuzz targets of the mappers and of the readers of requests too: bounded runs on the stable toolchain,
//! seeded by the golden cases, a hundred times longer with `CHATLAKE_TEST_LONG=1`. A failure names its seed.

use super::support::corpus::{self, Request, Run, Signal};
use super::support::{long, say};
use chatlake::dialect::{self, Settings};
use chatlake::event::Partial;
use chatlake::receiver::otlp_json;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList, any_value};
use prost::Message as _;
use serde_json::{Value, json};

const CHANGES: u64 = 4_000;
const CHANGES_IN_LONG_MODE: u64 = 200_000;

/// Units that a changed value may concern: itself, what it is part of, and what is counted or concluded from it.
const CONCERNED: usize = 4;

/// A random sequence, the same for the same seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(count.max(1)).expect("small")).expect("small")
    }
}

#[derive(Clone)]
enum Body {
    Traces(ExportTraceServiceRequest),
    Logs(ExportLogsServiceRequest),
}

impl Body {
    fn of(request: &Request) -> Self {
        match (request.signal, request.json) {
            (Signal::Traces, false) => {
                Self::Traces(ExportTraceServiceRequest::decode(&*request.body).expect("a request"))
            }
            (Signal::Logs, false) => Self::Logs(ExportLogsServiceRequest::decode(&*request.body).expect("a request")),
            (Signal::Traces, true) => Self::Traces(otlp_json::traces(&request.body).expect("a request").request),
            (Signal::Logs, true) => Self::Logs(otlp_json::logs(&request.body).expect("a request").request),
        }
    }

    fn read(&self) -> Vec<Partial> {
        let settings = Settings { keep_unknown: true, ..Settings::default() };
        let reads = match self.clone() {
            Self::Traces(request) => dialect::traces(request, &settings),
            Self::Logs(request) => dialect::logs(request, &settings),
        };
        let mut records: Vec<(u32, Partial)> = reads.into_iter().flat_map(|read| read.records).collect();
        records.sort_by_key(|(place, _)| *place);
        records.into_iter().map(|(_, partial)| partial).collect()
    }

    /// The lists of attributes of each record: its own, and those of its events.
    fn records(&mut self) -> Vec<Vec<&mut Vec<KeyValue>>> {
        match self {
            Self::Traces(request) => request
                .resource_spans
                .iter_mut()
                .flat_map(|resource| &mut resource.scope_spans)
                .flat_map(|scope| &mut scope.spans)
                .map(|span| {
                    let events = span.events.iter_mut().map(|event| &mut event.attributes);
                    std::iter::once(&mut span.attributes).chain(events).collect()
                })
                .collect(),
            Self::Logs(request) => request
                .resource_logs
                .iter_mut()
                .flat_map(|resource| &mut resource.scope_logs)
                .flat_map(|scope| &mut scope.log_records)
                .map(|record| vec![&mut record.attributes])
                .collect(),
        }
    }

    /// The bodies of its log records.
    fn bodies(&mut self) -> Vec<(usize, &mut AnyValue)> {
        let Self::Logs(request) = self else { return Vec::new() };
        let scopes = request.resource_logs.iter_mut().flat_map(|resource| &mut resource.scope_logs);
        let records = scopes.flat_map(|scope| &mut scope.log_records).enumerate();
        records.filter_map(|(place, record)| Some((place, record.body.as_mut()?))).collect()
    }

    /// The names of its spans, or of the events that its log records tell, and those of its scopes.
    fn names(&mut self) -> Vec<&mut String> {
        match self {
            Self::Traces(request) => {
                let scopes = request.resource_spans.iter_mut().flat_map(|resource| &mut resource.scope_spans);
                let names = scopes.flat_map(|of_scope| {
                    let spans = of_scope.spans.iter_mut().map(|span| &mut span.name);
                    of_scope.scope.iter_mut().map(|scope| &mut scope.name).chain(spans)
                });
                names.collect()
            }
            Self::Logs(request) => {
                let scopes = request.resource_logs.iter_mut().flat_map(|resource| &mut resource.scope_logs);
                let names = scopes.flat_map(|of_scope| {
                    let records = of_scope.log_records.iter_mut().map(|record| &mut record.event_name);
                    of_scope.scope.iter_mut().map(|scope| &mut scope.name).chain(records)
                });
                names.collect()
            }
        }
    }
}

/// What a record says, piece by piece.
fn units(partial: &Partial) -> Vec<String> {
    let row = partial.row.as_ref().expect("a row");
    let mut units: Vec<String> = row.messages.iter().map(|message| format!("message {message:?}")).collect();
    let mut add = |name: &str, value: String| units.push(format!("{name} {value}"));
    add("kind", format!("{:?} {} {}", partial.relation(), row.event_type, row.name));
    add("conversation", format!("{} {}", row.conversation_id, row.conversation_id_source));
    add("run", format!("{:?}", row.run_id));
    add("status", format!("{:?}", row.status));
    add("error", format!("{:?}", row.error));
    add("tools", format!("{:?}", row.tools));
    add("user", format!("{:?}", row.user));
    add("agent", format!("{:?}", row.agent));
    add("graph", format!("{:?}", row.graph));
    add("timing", format!("{:?}", row.timing));
    add("metadata", format!("{:?}", row.metadata));
    add("tags", format!("{:?}", row.tags));
    let model = row.model.clone().unwrap_or_default();
    add("provider", format!("{:?}", model.provider));
    add("request", format!("{:?}", model.request));
    add("response", format!("{:?}", model.response));
    add("response_id", format!("{:?}", model.response_id));
    add("operation", format!("{:?}", model.operation));
    add("parameters", format!("{:?}", model.parameters));
    add("reasons", format!("{:?}", model.finish_reasons));
    add("stream", format!("{:?}", model.stream));
    let tokens = row.tokens.clone().unwrap_or_default();
    add("prompt", format!("{:?}", tokens.prompt_tokens));
    add("completion", format!("{:?}", tokens.completion_tokens));
    add("total", format!("{:?}", tokens.total_tokens));
    add("cached", format!("{:?} {:?}", tokens.cached_tokens, tokens.cache_creation_tokens));
    add("reasoning", format!("{:?}", tokens.reasoning_tokens));
    add("cost", format!("{:?} {:?}", tokens.cost_usd, tokens.cost_source));
    for tool in &row.tool_executions {
        add("tool", format!("{:?} {} {:?}", tool.call_id, tool.name, tool.r#type));
        add("arguments", format!("{:?}", tool.arguments));
        add("result", format!("{:?} {:?} {:?}", tool.result, tool.status, tool.error));
    }
    for entry in partial.details.iter().filter(|entry| !matches!(entry.key.as_str(), "events" | "event_names")) {
        add("detail", format!("{} {}", entry.key, entry.json));
    }
    units
}

/// The units of `before` that are not among those of `after`.
fn lost(before: &Partial, after: &Partial) -> Vec<String> {
    let mut after = units(after);
    let mut lost = Vec::new();
    for unit in units(before) {
        match after.iter().position(|one| *one == unit) {
            Some(place) => {
                after.swap_remove(place);
            }
            None => lost.push(unit),
        }
    }
    lost
}

/// A change, in words, and how many units it may concern.
type Change = (String, usize);

/// Puts something odd beside the attributes of a record.
fn add_attribute(list: &mut Vec<KeyValue>, random: &mut Random) -> Change {
    let any = |value| AnyValue { value };
    let nested = KeyValueList { values: vec![KeyValue { key: "a".to_owned(), value: None, ..KeyValue::default() }] };
    let values = [
        None,
        Some(any(None)),
        Some(any(Some(any_value::Value::DoubleValue(f64::NAN)))),
        Some(any(Some(any_value::Value::BytesValue(vec![0xff, 0xfe])))),
        Some(any(Some(any_value::Value::StringValue("{\"half".to_owned())))),
        Some(any(Some(any_value::Value::IntValue(i64::MIN)))),
        Some(any(Some(any_value::Value::ArrayValue(ArrayValue { values: vec![any(None)] })))),
        Some(any(Some(any_value::Value::KvlistValue(nested)))),
    ];
    let keys = ["", "gen_ai.unheard_of", "odd.key", "llm.unheard_of.999999999.message.role", "__proto__", "\u{202e}"];
    let key = keys[random.below(keys.len())].to_owned();
    let value = values[random.below(values.len())].clone();
    let place = random.below(list.len() + 1);
    let words = format!("attribute {key:?} = {value:?}");
    list.insert(place, KeyValue { key, value, ..KeyValue::default() });
    (words, 0)
}

/// A place in a JSON value that can be changed.
fn place_in<'v>(value: &'v mut Value, random: &mut Random) -> &'v mut Value {
    let inner = match value {
        Value::Array(items) => items.len(),
        Value::Object(object) => object.len(),
        _ => 0,
    };
    if inner == 0 || random.below(4) == 0 {
        return value;
    }
    let number = random.below(inner);
    match value {
        Value::Array(items) => place_in(&mut items[number], random),
        Value::Object(object) => place_in(object.values_mut().nth(number).expect("it is there"), random),
        _ => unreachable!("it has no places"),
    }
}

/// Changes one place of a JSON value.
fn change(value: &mut Value, random: &mut Random) -> Change {
    let odd = [Value::Null, json!(7), json!({"odd": true}), json!(["odd"]), json!("")];
    let odd = odd[random.below(odd.len())].clone();
    match place_in(value, random) {
        Value::Array(items) if random.below(2) == 0 => {
            let at = random.below(items.len() + 1);
            items.insert(at, Value::Null);
            (format!("a null at {at} of a list"), 1)
        }
        Value::Array(items) => {
            let at = random.below(items.len() + 1);
            items.insert(at, json!({"type": "unheard_of", "odd": 1}));
            (format!("an unknown part at {at} of a list"), CONCERNED)
        }
        Value::Object(object) if random.below(2) == 0 => {
            object.insert("unheard_of".to_owned(), odd.clone());
            (format!("a foreign key with {odd}"), 2)
        }
        other => {
            let words = format!("{other} replaced by {odd}");
            // Also where it stands as text: a request within what a tracer was given.
            let opened = other.as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
            let whole = opened.as_ref().unwrap_or(other);
            let is_whole = whole.is_array() || whole.is_object();
            *other = odd;
            (words, if is_whole { usize::MAX } else { CONCERNED })
        }
    }
}

/// Changes one place within one attribute that is JSON text. None where it is none.
fn change_text(list: &mut [KeyValue], random: &mut Random) -> Option<(usize, String, Change)> {
    let number = random.below(list.len());
    let key = list.get(number)?.key.clone();
    let Some(any_value::Value::StringValue(text)) = &list.get(number)?.value.as_ref()?.value else { return None };
    let mut value: Value =
        serde_json::from_str(text).ok().filter(|value: &Value| value.is_array() || value.is_object())?;
    let (words, limit) = change(&mut value, random);
    Some((number, value.to_string(), (format!("{key}: {words}"), limit)))
}

/// A value of another type than a producer would write.
fn odd_value(random: &mut Random) -> Option<any_value::Value> {
    let odd = KeyValue { key: "odd".to_owned(), value: None, ..KeyValue::default() };
    let odd = [
        None,
        Some(any_value::Value::IntValue(7)),
        Some(any_value::Value::DoubleValue(f64::NAN)),
        Some(any_value::Value::BoolValue(true)),
        Some(any_value::Value::BytesValue(vec![0xff])),
        Some(any_value::Value::StringValue(String::new())),
        Some(any_value::Value::ArrayValue(ArrayValue { values: vec![AnyValue { value: None }] })),
        Some(any_value::Value::KvlistValue(KeyValueList { values: vec![odd] })),
    ];
    odd[random.below(odd.len())].clone()
}

/// A place in a structured value that can be changed.
fn place_in_any<'v>(any: &'v mut AnyValue, random: &mut Random) -> &'v mut AnyValue {
    let inner = match &any.value {
        Some(any_value::Value::ArrayValue(list)) => list.values.len(),
        Some(any_value::Value::KvlistValue(map)) => map.values.len(),
        _ => 0,
    };
    if inner == 0 || random.below(4) == 0 {
        return any;
    }
    let number = random.below(inner);
    match &mut any.value {
        Some(any_value::Value::ArrayValue(list)) => place_in_any(&mut list.values[number], random),
        Some(any_value::Value::KvlistValue(map)) => {
            place_in_any(map.values[number].value.get_or_insert_default(), random)
        }
        _ => unreachable!("it has no places"),
    }
}

/// Changes one place of a structured value. None where it is none.
fn change_any(any: &mut AnyValue, random: &mut Random) -> Option<Change> {
    if !matches!(any.value, Some(any_value::Value::ArrayValue(_) | any_value::Value::KvlistValue(_))) {
        return None;
    }
    Some(match &mut place_in_any(any, random).value {
        Some(any_value::Value::ArrayValue(list)) => {
            let at = random.below(list.values.len() + 1);
            list.values.insert(at, AnyValue { value: None });
            (format!("a null at {at} of a list"), 1)
        }
        Some(any_value::Value::KvlistValue(map)) => {
            let value = Some(AnyValue { value: odd_value(random) });
            let words = format!("a foreign key with {value:?}");
            map.values.push(KeyValue { key: "unheard_of".to_owned(), value, ..KeyValue::default() });
            (words, 2)
        }
        other => {
            let odd = odd_value(random);
            let words = format!("{other:?} replaced by {odd:?}");
            *other = odd;
            (words, CONCERNED)
        }
    })
}

/// Writes the attribute's JSON as the change will be written, so that only the change differs.
fn rewrite(list: &mut [KeyValue], number: usize) {
    if let Some(AnyValue { value: Some(any_value::Value::StringValue(text)) }) = &mut list[number].value {
        *text = serde_json::from_str::<Value>(text).expect("it was read before").to_string();
    }
}

#[test]
fn one_odd_thing_costs_that_thing_only() {
    let bodies: Vec<(String, Body)> = corpus::golden()
        .iter()
        .flat_map(|run: &Run| run.requests.iter().map(|request| (run.name.clone(), Body::of(request))))
        .collect();
    let mut changed = 0u64;
    for seed in 0..if long() { CHANGES_IN_LONG_MODE } else { CHANGES } {
        let random = &mut Random(seed);
        let (name, body) = &bodies[random.below(bodies.len())];
        let (mut before, mut after) = (body.clone(), body.clone());
        let record = random.below(after.records().len());
        if after.records().is_empty() {
            continue;
        }
        let list = random.below(after.records()[record].len());
        let (words, limit) = if random.below(4) == 0 {
            add_attribute(after.records()[record][list], random)
        } else {
            let Some((number, text, change)) = change_text(after.records()[record][list], random) else { continue };
            rewrite(before.records()[record][list], number);
            let value = Some(any_value::Value::StringValue(text));
            after.records()[record][list][number].value = Some(AnyValue { value });
            change
        };
        changed += 1;
        let (before, after) = (before.read(), after.read());
        assert_eq!(before.len(), after.len(), "{name}, seed {seed}: {words}");
        for (place, (one, other)) in before.iter().zip(&after).enumerate() {
            if place != record {
                // Numbers that are none are not equal to themselves.
                assert_eq!(format!("{one:?}"), format!("{other:?}"), "{name}, seed {seed}: {words}: another record");
                continue;
            }
            let lost = lost(one, other);
            let messages = lost.iter().filter(|unit| unit.starts_with("message ")).count();
            assert!(
                limit == usize::MAX || lost.len() <= limit && messages <= 1,
                "{name}, seed {seed}: {words}: {} units (of {messages} messages) are not what they were: {lost:#?}",
                lost.len(),
            );
        }
    }
    say(&format!("{changed} odd things, each in one place"));
    assert!(changed > CHANGES / 4, "{changed}");
}

/// The goldens' requests.
fn bodies() -> Vec<(String, Body)> {
    let runs = corpus::golden();
    let of = |run: &Run| run.requests.iter().map(|request| (run.name.clone(), Body::of(request))).collect::<Vec<_>>();
    runs.iter().flat_map(of).collect()
}

/// That all records but one say what they said.
#[track_caller]
fn assert_others(before: &[Partial], after: &[Partial], record: usize, words: &str) {
    assert_eq!(before.len(), after.len(), "{words}");
    for (place, (one, other)) in before.iter().zip(after).enumerate().filter(|(place, _)| *place != record) {
        // Numbers that are none are not equal to themselves.
        assert_eq!(format!("{one:?}"), format!("{other:?}"), "{words}: record {place}");
    }
}

#[test]
fn one_odd_thing_in_a_structured_value_or_a_body_costs_that_thing_only() {
    let bodies = bodies();
    let mut changed = 0u64;
    for seed in 0..if long() { CHANGES_IN_LONG_MODE } else { CHANGES } {
        let random = &mut Random(seed);
        let (name, body) = &bodies[random.below(bodies.len())];
        let mut after = body.clone();
        let (record, change) = if random.below(2) == 0 {
            let mut found = after.bodies();
            let number = random.below(found.len());
            let Some((record, any)) = found.get_mut(number) else { continue };
            (*record, change_any(any, random))
        } else {
            let mut records = after.records();
            let record = random.below(records.len());
            let Some(list) = records.get_mut(record).and_then(|lists| lists.first_mut()) else { continue };
            let number = random.below(list.len());
            let Some(any) = list.get_mut(number).and_then(|one| one.value.as_mut()) else { continue };
            (record, change_any(any, random))
        };
        let Some((words, limit)) = change else { continue };
        changed += 1;
        let words = format!("{name}, seed {seed}: {words}");
        let (before, after) = (body.read(), after.read());
        assert_others(&before, &after, record, &words);
        let lost = lost(&before[record], &after[record]);
        let messages = lost.iter().filter(|unit| unit.starts_with("message ")).count();
        assert!(lost.len() <= limit && messages <= 1, "{words}: {lost:#?}");
    }
    say(&format!("{changed} odd things in structured values"));
    assert!(changed > CHANGES / 50, "{changed}");
}

#[test]
fn an_odd_name_costs_its_own_records_only() {
    let bodies = bodies();
    for seed in 0..if long() { CHANGES_IN_LONG_MODE } else { CHANGES / 4 } {
        let random = &mut Random(seed);
        let (name, body) = &bodies[random.below(bodies.len())];
        let mut after = body.clone();
        let odd = ["", "\0", "\u{202e}odd", "{\"a\":", "execute_tool ", "chat", "gen_ai.choice", "ai.toolCall"];
        let odd = odd[random.below(odd.len())];
        let mut names = after.names();
        let number = random.below(names.len());
        let Some(one) = names.get_mut(number) else { continue };
        odd.clone_into(one);
        let after = after.read();
        assert_eq!(after.len(), body.read().len(), "{name}, seed {seed}: {odd:?}");
        after.iter().for_each(|partial| assert_is_sound(seed, partial));
    }
}

const FUZZED: u64 = 3_000;
const FUZZED_IN_LONG_MODE: u64 = 300_000;

/// Breaks a text: cut, doubled, one character changed, or another text in the middle.
fn broken(text: &str, other: &str, random: &mut Random) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    let at = random.below(chars.len() + 1);
    match random.below(5) {
        0 => chars.truncate(at),
        1 => {
            let odd = ['{', '}', '[', ']', '"', '\\', ',', ':', '\'', '\0', '\u{202e}', '9', 'N', '.', ' '];
            let odd = odd[random.below(odd.len())];
            if let Some(one) = chars.get_mut(at) {
                *one = odd;
            }
        }
        2 => {
            let tail: Vec<char> = chars.iter().copied().skip(at).take(64).collect();
            chars.splice(at..at, tail);
        }
        3 => {
            chars.splice(at..at, other.chars().take(256));
        }
        _ => return Value::String(text.to_owned()).to_string(),
    }
    chars.into_iter().collect()
}

fn fuzz(list: &mut Vec<KeyValue>, others: &[KeyValue], random: &mut Random) {
    for _ in 0..=random.below(6) {
        let other = others.get(random.below(others.len()));
        let place = random.below(list.len());
        match (random.below(4), list.get_mut(place), other) {
            // Keys of another dialect on the same record.
            (0, _, Some(other)) => list.push(other.clone()),
            (1, Some(one), Some(other)) => one.key = broken(&one.key, &other.key, random),
            (2, Some(one), Some(other)) => one.value.clone_from(&other.value),
            (_, Some(one), other) => {
                if let Some(AnyValue { value: Some(any_value::Value::StringValue(text)) }) = &mut one.value {
                    let inside = other.map_or("", |other| other.key.as_str());
                    *text = broken(text, inside, random);
                }
            }
            _ => {}
        }
    }
}

#[track_caller]
fn assert_is_json(seed: u64, name: &str, json: &str) {
    if let Err(why) = serde_json::from_str::<serde::de::IgnoredAny>(json) {
        panic!("seed {seed}: {name} is no JSON: {why}: {json}");
    }
}

fn assert_is_sound(seed: u64, partial: &Partial) {
    let row = partial.row.as_ref().expect("a row");
    for entry in partial.details.iter().chain(&partial.attributes) {
        assert_is_json(seed, &entry.key, &entry.json);
    }
    let parts = row.messages.iter().filter_map(|message| message.content_parts.as_deref());
    let tools = row.tool_executions.iter().flat_map(|tool| [&tool.arguments, &tool.result]).flatten();
    let columns = [&row.tools, &row.metadata].into_iter().flatten();
    let parameters = row.model.iter().filter_map(|model| model.parameters.as_ref());
    for json in parts.chain(tools.chain(columns).chain(parameters).map(String::as_str)) {
        assert_is_json(seed, "a column", json);
    }
    let tokens = row.tokens.clone().unwrap_or_default();
    for count in [tokens.prompt_tokens, tokens.completion_tokens, tokens.total_tokens, tokens.cached_tokens] {
        assert!(count.is_none_or(|count| count >= 0), "seed {seed}: {count:?}");
    }
    assert!(row.notes.len() <= 40, "seed {seed}: {} notes", row.notes.len());
}

#[test]
fn anything_at_all_does_no_harm() {
    let mut bodies: Vec<Body> =
        corpus::golden().iter().flat_map(|run| run.requests.iter().map(Body::of).collect::<Vec<_>>()).collect();
    let every: Vec<KeyValue> = bodies
        .iter_mut()
        .flat_map(|body| body.records().into_iter().flatten().flatten().map(|one| one.clone()).collect::<Vec<_>>())
        .collect();
    for seed in 0..if long() { FUZZED_IN_LONG_MODE } else { FUZZED } {
        let random = &mut Random(seed);
        let mut body = bodies[random.below(bodies.len())].clone();
        for list in body.records().into_iter().flatten() {
            fuzz(list, &every, random);
        }
        for partial in body.read() {
            assert_is_sound(seed, &partial);
        }
    }
}

/// Breaks bytes: cut, one changed, a piece repeated, or a piece of others in the middle.
fn broken_bytes(bytes: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        match random.below(5) {
            0 => bytes.truncate(at),
            1 | 2 => {
                let odd = b"{}[]\",:\\09eE-+.nutf\x00\xff\xc3\xed";
                if let Some(one) = bytes.get_mut(at) {
                    *one = odd[random.below(odd.len())];
                }
            }
            3 => {
                let piece: Vec<u8> = bytes.iter().copied().skip(at).take(random.below(64)).collect();
                bytes.splice(at..at, piece);
            }
            _ => {
                let from = random.below(other.len() + 1);
                let piece: Vec<u8> = other.iter().copied().skip(from).take(random.below(256)).collect();
                bytes.splice(at..at, piece);
            }
        }
    }
    bytes
}

#[test]
fn broken_requests_are_refused_or_read_without_harm() {
    let written: Vec<Request> = corpus::golden().into_iter().flat_map(|run| run.requests).collect();
    let mut read = 0u64;
    for seed in 0..if long() { FUZZED_IN_LONG_MODE } else { FUZZED } {
        let random = &mut Random(seed);
        let (one, other) = (&written[random.below(written.len())], &written[random.below(written.len())]);
        let json = |request: &Request| match (request.json, Body::of(request)) {
            (true, _) => request.body.clone(),
            (false, Body::Traces(body)) => otlp_json::write_traces(&body).into_bytes(),
            (false, Body::Logs(body)) => otlp_json::write_logs(&body).into_bytes(),
        };
        let is_json = random.below(2) == 0;
        let bytes = if is_json {
            broken_bytes(&json(one), &json(other), random)
        } else {
            broken_bytes(&one.clone().into_protobuf().body, &other.body, random)
        };
        let body = match (one.signal, is_json) {
            (Signal::Traces, true) => otlp_json::traces(&bytes).ok().map(|read| Body::Traces(read.request)),
            (Signal::Logs, true) => otlp_json::logs(&bytes).ok().map(|read| Body::Logs(read.request)),
            (Signal::Traces, false) => ExportTraceServiceRequest::decode(bytes.as_slice()).ok().map(Body::Traces),
            (Signal::Logs, false) => ExportLogsServiceRequest::decode(bytes.as_slice()).ok().map(Body::Logs),
        };
        for partial in body.iter().flat_map(Body::read) {
            read += 1;
            assert_is_sound(seed, &partial);
        }
    }
    say(&format!("{read} records of broken requests"));
    assert!(read > 0);
}
