//! What the OTLP doors answer to what they cannot take: the right status, in words, with nothing lost or half-written.

use super::support::load;
use super::support::metrics::Ledger;
use super::support::send::{self, Answer, Encoding, Grpc};
use super::support::server::{Server, Setup, program};
use super::support::{free_address_of, skip, until, wait};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::AnyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::metrics::v1::{Metric, ResourceMetrics, ScopeMetrics};
use prost::Message as _;
use std::time::Duration;
use tempfile::TempDir;
use tonic::Code;
use tonic::codec::CompressionEncoding;

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

struct Doors {
    server: Server,
    _folder: TempDir,
}

impl Doors {
    /// A server that takes a quarter of a megabyte.
    fn open() -> Self {
        let folder = TempDir::new().expect("a folder");
        let server = Setup::quick(folder.path()).with("RECEIVERS__OTLP__MAX_REQUEST", "256KiB").start();
        Self { server, _folder: folder }
    }

    fn post(&self, content_type: &str, encoding: Encoding, body: &[u8]) -> Answer {
        let url = format!("{}/v1/traces", self.server.http());
        wait(send::post(&url, content_type, encoding, body)).expect("an answer")
    }

    /// The server still takes and lands a good trace, and what it refused left nothing behind.
    fn check(&self) -> Ledger {
        let before = self.server.ledger();
        assert_eq!(before.buffered, 0, "what was refused is kept: {before:?}");
        wait(Grpc::new(&self.server.grpc()).traces(good())).expect("a good request is taken");
        let after = self.server.drain(Duration::from_secs(120));
        assert_eq!(after.landed - before.landed, 4, "{after:?}");
        after
    }
}

fn good() -> ExportTraceServiceRequest {
    let (children, root) = load::trace(13 << 40, 1);
    load::request([children, vec![root]].concat())
}

/// A request of about so many bytes, which compress to very few.
fn large(bytes: usize) -> ExportTraceServiceRequest {
    let mut request = good();
    let text = AnyValue { value: Some(Any::StringValue("a ".repeat(bytes / 2))) };
    request.resource_spans[0].scope_spans[0].spans[0].attributes[0].value = Some(text);
    request
}

fn noise(length: usize) -> Vec<u8> {
    (0..length as u64).map(|at| load::mix(at).to_le_bytes()[0]).collect()
}

#[test]
fn bodies_that_do_not_parse_are_refused_with_400() {
    let doors = Doors::open();
    let whole = good().encode_to_vec();
    let json = send::json(super::support::corpus::Signal::Traces, &whole);
    let broken: [(&str, &[u8]); 5] = [
        (PROTOBUF, &whole[..whole.len() - 7]),
        (PROTOBUF, &noise(4000)),
        (JSON, &json[..json.len() - 7]),
        (JSON, b"[1, 2"),
        (JSON, &whole),
    ];
    for (content_type, body) in broken {
        let answer = doors.post(content_type, Encoding::Plain, body);
        assert_eq!(answer.status, 400, "{content_type}: {}", answer.text());
        assert_eq!(answer.content_type, content_type, "the answer is in the request's form");
        assert!(!answer.body.is_empty(), "a refusal has words");
    }
    let gzipped = send::encode(Encoding::Gzip, &whole).1;
    let url = format!("{}/v1/traces", doors.server.http());
    let cut = wait(async {
        let client = reqwest::Client::new();
        let request = client.post(&url).header("content-type", PROTOBUF).header("content-encoding", "gzip");
        request.body(gzipped[..gzipped.len() / 2].to_vec()).send().await.expect("an answer").status().as_u16()
    });
    assert_eq!(cut, 400, "a cut gzip body");
    doors.check();
}

#[test]
fn a_wrong_content_type_or_encoding_is_refused_with_415() {
    let doors = Doors::open();
    let body = good().encode_to_vec();
    for content_type in ["text/plain", "application/xml", "application/grpc"] {
        let answer = doors.post(content_type, Encoding::Plain, &body);
        assert_eq!(answer.status, 415, "{content_type}: {}", answer.text());
        assert!(answer.text().contains(PROTOBUF), "it says what is taken: {}", answer.text());
    }
    let url = format!("{}/v1/traces", doors.server.http());
    let snappy = wait(async {
        let client = reqwest::Client::new();
        let request = client.post(&url).header("content-type", PROTOBUF).header("content-encoding", "snappy");
        request.body(body).send().await.expect("an answer").status().as_u16()
    });
    assert_eq!(snappy, 415, "an encoding that is not taken");
    doors.check();
}

#[test]
fn what_is_too_large_is_refused_for_good_however_it_is_packed() {
    let doors = Doors::open();
    let body = large(1 << 20).encode_to_vec();
    for encoding in [Encoding::Plain, Encoding::Gzip, Encoding::Zstd, Encoding::Deflate] {
        let answer = doors.post(PROTOBUF, encoding, &body);
        assert_eq!(answer.status, 413, "{encoding:?}: {}", answer.text());
    }
    let plain = Grpc::new(&doors.server.grpc());
    let gzip = plain.clone().compressed(CompressionEncoding::Gzip);
    let zstd = plain.clone().compressed(CompressionEncoding::Zstd);
    for (name, client) in [("plain", plain), ("gzip", gzip), ("zstd", zstd)] {
        let status = wait(client.traces(large(1 << 20))).expect_err("too large");
        // Any other code is either tried for ever or kept from the sender's log.
        assert_eq!(status.code(), Code::InvalidArgument, "{name}: {status:?}");
        assert!(status.message().contains("256KiB"), "{name}: it says the limit: {status:?}");
    }
    doors.check();
}

#[test]
fn what_is_refused_is_told_on_the_server_too() {
    let doors = Doors::open();
    doors.post(PROTOBUF, Encoding::Plain, &noise(400));
    doors.post("text/plain", Encoding::Plain, b"");
    until("the status line", Duration::from_secs(120), || {
        doors.server.said().contains("requests refused (malformed: 1, unsupported: 1)").then_some(())
    });
}

#[test]
fn metrics_are_answered_with_a_reason_and_no_error() {
    let doors = Doors::open();
    let metric = Metric { name: "gen_ai.client.token.usage".to_owned(), ..Default::default() };
    let scope_metrics = vec![ScopeMetrics { metrics: vec![metric], ..Default::default() }];
    let request =
        ExportMetricsServiceRequest { resource_metrics: vec![ResourceMetrics { scope_metrics, ..Default::default() }] };
    let body = request.encode_to_vec();
    let answer = wait(send::post(&format!("{}/v1/metrics", doors.server.http()), PROTOBUF, Encoding::Plain, &body));
    let answer = answer.expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.text().contains("metrics"), "{}", answer.text());
    let grpc = doors.server.grpc();
    let answer = wait(async {
        let mut client = MetricsServiceClient::connect(grpc).await.expect("a connection");
        client.export(request).await.expect("metrics are no error").into_inner()
    });
    let part = answer.partial_success.expect("a reason");
    assert!(part.error_message.contains("metrics"), "{part:?}");
    doors.check();
}

#[test]
fn spans_without_ids_are_rejected_and_their_neighbours_taken() {
    let doors = Doors::open();
    let mut request = good();
    request.resource_spans[0].scope_spans[0].spans[1].span_id = Vec::new();
    let (rejected, why) = wait(Grpc::new(&doors.server.grpc()).traces(request)).expect("the others are taken");
    assert_eq!(rejected, 1, "{why}");
    assert!(why.contains("logs"), "it says that logs may have been posted here: {why}");
    let ledger = doors.server.drain(Duration::from_secs(120));
    assert_eq!((ledger.received, ledger.landed, ledger.rejected), (4, 3, 1), "{ledger:?}");
}

#[test]
fn a_good_answer_is_what_the_protocol_says() {
    let doors = Doors::open();
    let body = good().encode_to_vec();
    let answer = doors.post(PROTOBUF, Encoding::Plain, &body);
    assert_eq!((answer.status, answer.content_type.as_str()), (200, PROTOBUF));
    let parsed = ExportTraceServiceResponse::decode(answer.body.as_slice()).expect("a response message");
    assert_eq!(parsed.partial_success, None);
    assert_eq!(answer.retry_after, None);
    let answer = doors.post(JSON, Encoding::Plain, &send::json(super::support::corpus::Signal::Traces, &body));
    assert_eq!((answer.status, answer.content_type.as_str(), answer.text().as_str()), (200, JSON, "{}"));
}

#[test]
fn other_paths_and_methods_are_no_success() {
    let doors = Doors::open();
    let http = doors.server.http();
    let (missing, wrong_method) = wait(async {
        let missing = send::post(&format!("{http}/v1/nothing"), PROTOBUF, Encoding::Plain, b"").await;
        let wrong_method = reqwest::get(format!("{http}/v1/traces")).await;
        (missing.expect("an answer").status, wrong_method.expect("an answer").status().as_u16())
    });
    assert_eq!((missing, wrong_method), (404, 405));
}

#[test]
fn every_door_opens_on_ipv6_too() {
    const DOORS: [&str; 4] = [
        "RECEIVERS__OTLP__GRPC__ENDPOINT",
        "RECEIVERS__OTLP__HTTP__ENDPOINT",
        "RECEIVERS__MODELSTAT__ENDPOINT",
        "ADMIN__ENDPOINT",
    ];
    let folder = TempDir::new().expect("a folder");
    let mut setup = Setup::quick(folder.path());
    let mut addresses = Vec::new();
    for door in DOORS {
        match free_address_of("[::1]") {
            Ok(address) => {
                setup.set(door, &address);
                addresses.push(address);
            }
            Err(error) => return skip("every_door_opens_on_ipv6_too", &format!("no IPv6 here: {error}")),
        }
    }
    let server = setup.start();
    let halves = load::trace(17 << 40, 1);
    wait(Grpc::new(&server.grpc()).traces(load::request(halves.0))).expect("spans are taken over gRPC");
    let url = format!("{}/v1/traces", server.http());
    let root = load::request(vec![halves.1]).encode_to_vec();
    let answer = wait(send::post(&url, PROTOBUF, Encoding::Plain, &root)).expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let usage = br#"{"batch_id":"b","events":[{"source_event_id":"e","kind":"user_message","session_id":"s"}]}"#;
    let url = format!("http://{}/v1/ingest", addresses[2]);
    let answer = wait(send::post(&url, JSON, Encoding::Plain, usage)).expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(server.drain(Duration::from_secs(120)).landed, 5, "a trace that came by two doors, and an event");
    let (status, said) = status_at(&addresses[3]);
    assert!(status == 0 && said.contains("landed"), "{said}");
}

/// What `chatlake status` says of the server with this admin address.
fn status_at(admin: &str) -> (i32, String) {
    let output = program().args(["status", admin]).output().expect("the program starts");
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stdout).into_owned())
}
