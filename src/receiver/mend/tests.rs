use super::*;
use prost::Message as _;

fn attribute(key: &str, value: common::AnyValue) -> common::KeyValue {
    common::KeyValue { key: key.to_owned(), value: Some(value), ..Default::default() }
}

fn text(text: &str) -> common::AnyValue {
    common::AnyValue { value: Some(common::any_value::Value::StringValue(text.to_owned())) }
}

fn nested(levels: usize) -> common::AnyValue {
    (0..levels).fold(text("inside"), |value, _| {
        let values = vec![value];
        common::AnyValue { value: Some(common::any_value::Value::ArrayValue(common::ArrayValue { values })) }
    })
}

fn request(spans: Vec<trace::Span>) -> trace::TracesData {
    let scope_spans = vec![trace::ScopeSpans { spans, ..Default::default() }];
    trace::TracesData { resource_spans: vec![trace::ResourceSpans { scope_spans, ..Default::default() }] }
}

fn span(name: &str, attributes: Vec<common::KeyValue>) -> trace::Span {
    trace::Span { name: name.to_owned(), attributes, ..Default::default() }
}

/// The bytes with one text replaced by another of the same length, which need not be UTF-8.
fn with(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let at = bytes.windows(from.len()).position(|window| window == from).unwrap();
    [&bytes[..at], to, &bytes[at + from.len()..]].concat()
}

#[test]
fn a_text_that_is_no_utf8_costs_itself_and_is_noted_where_it_stood() {
    let spans = vec![span("good", vec![]), span("bad", vec![attribute("gen_ai.prompt", text("caf?"))])];
    let bytes = with(&request(spans).encode_to_vec(), b"caf?", b"caf\xe9");
    assert!(trace::TracesData::decode(bytes.as_slice()).is_err());
    let mended = mend(&bytes, &TRACES).unwrap();
    let read = trace::TracesData::decode(mended.bytes.as_slice()).unwrap();
    let spans = &read.resource_spans[0].scope_spans[0].spans;
    assert_eq!(spans[0].name, "good");
    assert_eq!(spans[1].attributes[0].value, Some(text("caf\u{fffd}")));
    assert_eq!(mended.notes, [(1, "invalid utf-8 replaced in gen_ai.prompt".to_owned())]);
}

#[test]
fn a_fault_of_the_resource_is_noted_on_all_its_records() {
    let mut sent = request(vec![span("one", vec![]), span("two", vec![])]);
    let attributes = vec![attribute("service.name", text("caf?"))];
    sent.resource_spans[0].resource = Some(resource::Resource { attributes, ..Default::default() });
    let mended = mend(&with(&sent.encode_to_vec(), b"caf?", b"caf\xe9"), &TRACES).unwrap();
    let note = "invalid utf-8 replaced in service.name".to_owned();
    assert_eq!(mended.notes, [(0, note.clone()), (1, note)]);
}

#[test]
fn a_value_that_is_nested_too_deep_is_kept_as_bytes() {
    for levels in [60, 1000] {
        let sent = request(vec![span("deep", vec![attribute("deep", nested(levels))])]).encode_to_vec();
        assert!(trace::TracesData::decode(sent.as_slice()).is_err(), "{levels} levels are read as they are");
        let mended = mend(&sent, &TRACES).unwrap();
        assert!(trace::TracesData::decode(mended.bytes.as_slice()).is_ok(), "{levels} levels");
        assert_eq!(mended.notes, [(0, "value nested too deep, kept as bytes in deep".to_owned())]);
    }
}

#[test]
fn what_needs_no_mending_stays_as_it_is() {
    let sent = request(vec![span("fine", vec![attribute("key", nested(20))])]).encode_to_vec();
    let mended = mend(&sent, &TRACES).unwrap();
    assert_eq!((mended.bytes, mended.notes), (sent, vec![]));
}

#[test]
fn what_is_no_protobuf_is_not_mended() {
    let sent = request(vec![span("cut", vec![])]).encode_to_vec();
    assert!(mend(&sent[..sent.len() - 1], &TRACES).is_none());
    assert!(mend(&[0xff; 40], &TRACES).is_none());
}

#[test]
fn structs_of_empty_records_are_counted_before_they_are_made() {
    let sent = request(vec![trace::Span::default(); 1000]).encode_to_vec();
    let counted = structs(&sent, &TRACES);
    assert!(counted >= 1000 * size_of::<trace::Span>(), "{counted}");
    assert!(counted < 1002 * size_of::<trace::Span>() + 1000, "{counted}");
}

#[test]
fn data_points_are_counted_without_being_made() {
    use opentelemetry_proto::tonic::metrics::v1 as metrics;
    let point = metrics::NumberDataPoint { time_unix_nano: 7, ..Default::default() };
    let gauge = metrics::metric::Data::Gauge(metrics::Gauge { data_points: vec![point.clone(); 3] });
    let sum = metrics::metric::Data::Sum(metrics::Sum { data_points: vec![point; 2], ..Default::default() });
    let histogram = metrics::Histogram { data_points: vec![Default::default()], ..Default::default() };
    let histogram = metrics::metric::Data::Histogram(histogram);
    let metric = |data| metrics::Metric { name: "m".to_owned(), data: Some(data), ..Default::default() };
    let metrics = vec![metric(gauge), metric(sum), metric(histogram), metrics::Metric::default()];
    let scope_metrics = vec![metrics::ScopeMetrics { metrics, ..Default::default() }];
    let resource_metrics = vec![metrics::ResourceMetrics { scope_metrics, ..Default::default() }];
    let body = metrics::MetricsData { resource_metrics }.encode_to_vec();
    assert_eq!(records(&body, &METRICS), Some(6));
    assert_eq!(records(&body[..body.len() - 1], &METRICS), None);
    assert_eq!(records(b"", &METRICS), Some(0));
}
