use super::*;
use opentelemetry_proto::tonic::common::v1::AnyValue;
use opentelemetry_proto::tonic::common::v1::ArrayValue;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::KeyValueList;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::Status;
use opentelemetry_proto::tonic::trace::v1::span::Event;
use opentelemetry_proto::tonic::trace::v1::span::Link;
use proptest::prelude::*;
use prost::Message as _;
use std::path::Path;

/// The only span of a request with these fields.
fn one(fields: &str) -> (Span, Vec<String>) {
    let json = format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{{fields}}}]}}]}}]}}"#);
    let read = traces(json.as_bytes()).unwrap();
    let span = read.request.resource_spans[0].scope_spans[0].spans[0].clone();
    (span, read.notes.into_iter().map(|(_, note)| note).collect())
}

/// The value of an attribute with this JSON.
fn value_of(json: &str) -> (Option<Value>, Vec<String>) {
    let (span, notes) = one(&format!(r#""attributes":[{{"key":"k","value":{json}}}]"#));
    (span.attributes[0].value.clone().and_then(|any| any.value), notes)
}

fn text(text: &str) -> Option<Value> {
    Some(Value::StringValue(text.to_owned()))
}

#[test]
fn integers_are_equal_as_string_number_decimal_and_exponent() {
    for json in [r#""1200""#, "1200", "1200.0", "1.2e3", "12E+2", r#""1200.00""#, "120000e-2", " 1200 "] {
        assert_eq!(value_of(&format!(r#"{{"intValue":{json}}}"#)), (Some(Value::IntValue(1200)), vec![]), "{json}");
    }
    for (json, number) in [("9223372036854775807", i64::MAX), ("\"-9223372036854775808\"", i64::MIN), ("0e99", 0)] {
        assert_eq!(value_of(&format!(r#"{{"intValue":{json}}}"#)).0, Some(Value::IntValue(number)), "{json}");
    }
}

#[test]
fn integers_beyond_64_bits_keep_their_text_and_leave_a_note() {
    for json in ["9223372036854775808", "1e30", "12.5", "1e999999999", "1e-999999999", "\"twelve\"", "NaN"] {
        let (value, notes) = value_of(&format!(r#"{{"intValue":{json}}}"#));
        assert_eq!(value, text(json.trim_matches('"')), "{json}");
        assert_eq!(notes, ["not a 64-bit integer, kept as text in k"], "{json}");
    }
}

#[test]
fn doubles_are_numbers_or_names() {
    for (json, number) in [
        ("1", 1.0),
        ("-0.0", -0.0),
        ("1e-12", 1e-12),
        ("\"0.25\"", 0.25),
        ("\"Infinity\"", f64::INFINITY),
        ("\"-Infinity\"", f64::NEG_INFINITY),
        ("-Infinity", f64::NEG_INFINITY),
    ] {
        let (value, notes) = value_of(&format!(r#"{{"doubleValue":{json}}}"#));
        let Some(Value::DoubleValue(found)) = value else { panic!("{json} gives {value:?}") };
        assert_eq!(found.to_bits(), f64::to_bits(number), "{json}");
        assert!(notes.is_empty(), "{notes:?}");
    }
    for json in ["\"NaN\"", "NaN"] {
        let (value, _) = value_of(&format!(r#"{{"doubleValue":{json}}}"#));
        assert!(matches!(value, Some(Value::DoubleValue(found)) if found.is_nan()), "{json} gives {value:?}");
    }
    assert_eq!(value_of(r#"{"doubleValue":1e999}"#).0, text("1e999"));
}

#[test]
fn lists_and_maps_may_be_empty_null_or_plain() {
    let empty = Some(Value::ArrayValue(ArrayValue::default()));
    for json in [r#"{"arrayValue":{}}"#, r#"{"array_value":{"values":null}}"#, r#"{"arrayValue":{"values":[]}}"#] {
        assert_eq!(value_of(json).0, empty, "{json}");
    }
    assert_eq!(value_of(r#"{"kvlistValue":{}}"#).0, Some(Value::KvlistValue(KeyValueList::default())));
    assert_eq!(value_of("{}").0, None);
    assert_eq!(value_of("null").0, None);
    assert_eq!(value_of(r#"{"stringValue":null,"intValue":"3"}"#).0, Some(Value::IntValue(3)));
    assert_eq!(value_of("\"plain\"").0, text("plain"));
    assert_eq!(value_of("7").0, Some(Value::IntValue(7)));
    assert_eq!(value_of("7.5").0, Some(Value::DoubleValue(7.5)));
    assert_eq!(value_of("true").0, Some(Value::BoolValue(true)));
}

#[test]
fn enums_are_numbers_or_names() {
    for json in ["3", "\"3\"", "\"SPAN_KIND_CLIENT\""] {
        assert_eq!(one(&format!(r#""kind":{json}"#)).0.kind, 3, "{json}");
    }
    assert_eq!(one(r#""status":{"code":"STATUS_CODE_ERROR"}"#).0.status.unwrap().code, 2);
    let (span, notes) = one(r#""kind":"SPAN_KIND_ODD","name":"kept""#);
    assert_eq!((span.kind, span.name.as_str(), notes), (0, "kept", vec!["unknown kind".to_owned()]));
    let logs =
        logs(br#"{"resource_logs":[{"scope_logs":[{"log_records":[{"severity_number":"SEVERITY_NUMBER_WARN"}]}]}]}"#);
    assert_eq!(logs.unwrap().request.resource_logs[0].scope_logs[0].log_records[0].severity_number, 13);
}

#[test]
fn ids_are_hex_or_base64() {
    let id: Vec<u8> = (1..=16).collect();
    for json in ["0102030405060708090A0b0c0d0e0f10", "AQIDBAUGBwgJCgsMDQ4PEA==", "01020304-0506-0708-090a-0b0c0d0e0f10"]
    {
        assert_eq!(one(&format!(r#""traceId":"{json}""#)).0.trace_id, id, "{json}");
    }
    assert_eq!(one(r#""spanId":"AQIDBAUGBwg""#).0.span_id, id[..8]);
    assert_eq!(one(r#""spanId":"""#).0.span_id, b"");
    assert_eq!(one(r#""spanId":"no id at all""#).0.span_id, b"");
    assert_eq!(one(r#""spanId":"0102""#).0.span_id, [1, 2]);
}

#[test]
fn broken_text_is_replaced_and_noted_once_for_its_record() {
    let json = b"{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{\"name\":\"a\"},{\"name\":\"b\",\"attributes\":[\
        {\"key\":\"k\",\"value\":{\"stringValue\":\"\xff\\ud83d!\"}},{\"key\":\"ok\",\"value\":{\"stringValue\":\"\\ud83d\\ude00\"}}]}]}]}]}";
    let read = traces(json).unwrap();
    let spans = &read.request.resource_spans[0].scope_spans[0].spans;
    assert_eq!(spans[1].attributes[0].value.clone().unwrap().value, text("\u{fffd}\u{fffd}!"));
    assert_eq!(spans[1].attributes[1].value.clone().unwrap().value, text("😀"));
    assert_eq!(read.notes, [(1, "invalid utf-8 replaced in k".to_owned())]);
}

#[test]
fn a_note_on_the_resource_goes_to_all_its_records_and_no_others() {
    let json = br#"{"resourceSpans":[{"scopeSpans":[{"spans":[{}]}]},
        {"scopeSpans":[{"spans":[{},{}]}],"resource":{"attributes":[{"key":"r","value":{"stringValue":"\udc00"}}]}}]}"#;
    let note = "invalid utf-8 replaced in r".to_owned();
    assert_eq!(traces(json).unwrap().notes, [(1, note.clone()), (2, note)]);
}

#[test]
fn odd_leaves_cost_only_themselves() {
    let (span, notes) =
        one(r#""startTimeUnixNano":{"a":[1]},"endTimeUnixNano":"17.0","traceState":12,"name":null,"flags":-1,
           "unknown":{"deep":[{"x":"\""},[],{}]},"spanId":"0102030405060708""#);
    assert_eq!((span.start_time_unix_nano, span.end_time_unix_nano, span.flags), (0, 17, 0));
    assert_eq!((span.trace_state.as_str(), span.name.as_str()), ("12", ""));
    assert_eq!(span.span_id.len(), 8);
    assert_eq!(notes, ["json where a number belongs", "startTimeUnixNano is no number", "flags is no number"]);
}

#[test]
fn faults_name_the_place() {
    for (json, fault) in [
        ("", "json ends too soon at byte 0"),
        ("[]", "expected an object at byte 0"),
        (
            r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{},"x"]}]}]}"#,
            "resourceSpans[0].scopeSpans[0].spans[1]: expected an object, found a string at byte 46",
        ),
        (
            r#"{"resourceSpans":[{"resource":{"attributes":{}}}]}"#,
            "resourceSpans[0].resource.attributes: expected a list, found an object at byte 44",
        ),
        (
            r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"x"#,
            "resourceSpans[0].scopeSpans[0].spans[0].name: string without an end at byte 52",
        ),
        (r#"{"resourceSpans":[]} x"#, "text after the json value at byte 21"),
        (r#"{"resourceSpans":[{"a":tru}]}"#, "resourceSpans[0].a: no json value at byte 23"),
    ] {
        assert_eq!(traces(json.as_bytes()).unwrap_err().to_string(), fault);
    }
}

#[test]
fn another_signal_is_told_apart() {
    assert!(matches!(traces(br#"{"resourceLogs":[]}"#), Err(JsonError::OtherSignal("resourceLogs"))));
    assert!(matches!(logs(br#"{"resourceSpans":[]}"#), Err(JsonError::OtherSignal("resourceSpans"))));
    assert!(traces(b"{}").is_ok());
}

#[test]
fn data_points_are_counted() {
    let json = br#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[
        {"name":"a","gauge":{"dataPoints":[{},{}]}},{"name":"b","sum":{"data_points":[{}]}},{"name":"c"}]}]}]}"#;
    assert_eq!(data_points(json).unwrap(), 3);
}

/// Wraps a value in lists, `depth` times.
fn nested(depth: usize) -> String {
    let open = r#"{"arrayValue":{"values":["#.repeat(depth);
    format!(r#"{open}{{"stringValue":"core"}}{}"#, "]}}".repeat(depth))
}

#[test]
fn nesting_ends_where_protobuf_readers_end() {
    for (depth, whole) in [(10, true), (47, true), (48, false), (200_000, false)] {
        let (value, notes) = value_of(&nested(depth));
        assert_eq!(notes.is_empty(), whole, "{depth} levels: {notes:?}");
        let request = ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                scope_spans: vec![ScopeSpans {
                    spans: vec![Span {
                        attributes: vec![KeyValue { value: Some(AnyValue { value }), ..KeyValue::default() }],
                        ..Span::default()
                    }],
                    ..ScopeSpans::default()
                }],
                ..ResourceSpans::default()
            }],
        };
        let bytes = request.encode_to_vec();
        assert_eq!(ExportTraceServiceRequest::decode(bytes.as_slice()).unwrap(), request);
    }
}

#[test]
fn tiny_records_cannot_become_gigabytes() {
    let json = format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{}{{}}]}}]}}]}}"#, "{},".repeat(2_000_000));
    let error = traces(json.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("more records than a request may hold"), "{error}");
}

#[test]
fn the_corpus_reads_alike_from_protobuf_and_json() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus");
    let Ok(runs) = std::fs::read_dir(&corpus) else {
        return eprintln!("skipped: {} is not there", corpus.display());
    };
    let mut compared = 0;
    for run in runs {
        let folder = run.unwrap().path();
        let Ok(json) = std::fs::read(folder.join("request.json")) else { continue };
        let entries: Vec<std::collections::BTreeMap<String, Box<serde_json::value::RawValue>>> =
            serde_json::from_slice(&json).unwrap();
        for entry in entries {
            let file: String = serde_json::from_str(entry["file"].get()).unwrap();
            let body = std::fs::read(folder.join(&file)).unwrap();
            let json = entry["body"].get().as_bytes();
            if file.ends_with("-traces.pb") {
                let request = ExportTraceServiceRequest::decode(body.as_slice()).unwrap();
                assert_eq!(traces(json).unwrap().request, request, "{}/{file}", folder.display());
                assert_eq!(traces(write_traces(&request).as_bytes()).unwrap().request, request);
            } else if file.ends_with("-logs.pb") {
                let request = ExportLogsServiceRequest::decode(body.as_slice()).unwrap();
                assert_eq!(logs(json).unwrap().request, request, "{}/{file}", folder.display());
                assert_eq!(logs(write_logs(&request).as_bytes()).unwrap().request, request);
            } else {
                continue;
            }
            compared += 1;
        }
    }
    assert!(compared > 100, "only {compared} requests");
}

fn any_value() -> impl Strategy<Value = AnyValue> {
    let leaf = prop_oneof![
        Just(None),
        any::<String>().prop_map(|text| Some(Value::StringValue(text))),
        any::<bool>().prop_map(|truth| Some(Value::BoolValue(truth))),
        any::<i64>().prop_map(|number| Some(Value::IntValue(number))),
        prop::num::f64::ANY
            .prop_filter("nan is never equal", |number| !number.is_nan())
            .prop_map(|number| Some(Value::DoubleValue(number))),
        any::<Vec<u8>>().prop_map(|bytes| Some(Value::BytesValue(bytes))),
    ];
    let leaf = leaf.prop_map(|value| AnyValue { value });
    leaf.prop_recursive(4, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|values| AnyValue { value: Some(Value::ArrayValue(ArrayValue { values })) }),
            prop::collection::vec(key_value(inner), 0..4)
                .prop_map(|values| AnyValue { value: Some(Value::KvlistValue(KeyValueList { values })) }),
        ]
    })
}

fn key_value(value: impl Strategy<Value = AnyValue>) -> impl Strategy<Value = KeyValue> {
    (any::<String>(), prop::option::of(value)).prop_map(|(key, value)| KeyValue { key, value, key_strindex: 0 })
}

fn attributes_of() -> impl Strategy<Value = Vec<KeyValue>> {
    prop::collection::vec(key_value(any_value()), 0..4)
}

prop_compose! {
    fn some_span()(
        (trace_id, span_id, parent_span_id) in (any::<[u8; 16]>(), any::<[u8; 8]>(), any::<[u8; 8]>()),
        (name, trace_state, message) in any::<(String, String, String)>(),
        (kind, flags, code, dropped) in (0..6, any::<u32>(), 0..3, any::<u32>()),
        (start_time_unix_nano, end_time_unix_nano) in any::<(u64, u64)>(),
        (attributes, of_event, of_link) in (attributes_of(), attributes_of(), attributes_of()),
    ) -> Span {
        Span {
            trace_id: trace_id.to_vec(),
            span_id: span_id.to_vec(),
            parent_span_id: parent_span_id.to_vec(),
            trace_state: trace_state.clone(),
            flags,
            name: name.clone(),
            kind,
            start_time_unix_nano,
            end_time_unix_nano,
            attributes,
            dropped_attributes_count: dropped,
            events: vec![Event { time_unix_nano: end_time_unix_nano, name, attributes: of_event, dropped_attributes_count: 1 }],
            dropped_events_count: dropped,
            links: vec![Link { trace_id: trace_id.to_vec(), span_id: span_id.to_vec(), trace_state, attributes: of_link, dropped_attributes_count: 0, flags }],
            dropped_links_count: 2,
            status: Some(Status { message, code }),
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(spans in prop::collection::vec(some_span(), 0..3), resource in attributes_of()) {
        let request = ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                resource: Some(Resource { attributes: resource, ..Resource::default() }),
                scope_spans: vec![ScopeSpans { spans, ..ScopeSpans::default() }],
                schema_url: "https://opentelemetry.io/schemas/1.38.0".to_owned(),
            }],
        };
        let read = traces(write_traces(&request).as_bytes()).unwrap();
        prop_assert_eq!(read.request, request);
        prop_assert!(read.notes.is_empty());
    }

    #[test]
    fn no_text_panics_the_reader(text in "[\\[\\]{}\",:\\\\u0-9a-f \\-.eEntrl]{0,200}", bytes in any::<Vec<u8>>()) {
        for body in [text.as_bytes(), bytes.as_slice()] {
            let _ = traces(body);
            let _ = logs(body);
            let _ = data_points(body);
        }
    }
}

#[test]
fn requests_stand_one_after_the_other_in_a_text() {
    use stream::Top;
    let text =
        b"\xef\xbb\xbf {\"x\":NaN,\"resourceSpans\":[\"\xff\"]}\n{\"resource_logs\":[]}{\"resourceMetrics\":[]} [1]";
    let (mut at, mut told) = (0, Vec::new());
    while let Some((value, top)) = stream::next(text, &mut at).unwrap() {
        told.push((value.len(), top));
    }
    assert_eq!(told, [(31, Some(Top::Spans)), (20, Some(Top::Logs)), (22, Some(Top::Metrics)), (3, None)]);
    let broken = b"{\"resourceSpans\":[]}\n{\"resourceSpans\":[}";
    let mut at = 21;
    assert_eq!(stream::next(broken, &mut at).unwrap_err().to_string(), "resourceSpans: no json value at byte 39");
    assert_eq!(at, 21, "it stays where it is");
}
