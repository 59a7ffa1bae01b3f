//! OTLP over gRPC: the frame, the status, the deadline.

use super::*;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use http_body_util::Full;
use hyper::client::conn::http2;
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use tokio::net::TcpStream;
use tonic::Code;
use tonic::transport::Channel;
use tonic_types::StatusExt as _;

const TRACES: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

impl Doors {
    async fn client(&self) -> TraceServiceClient<Channel> {
        TraceServiceClient::connect(self.grpc.clone()).await.unwrap()
    }

    /// Sends what no client of gRPC would; gives HTTP's status, gRPC's and its message.
    async fn odd(&self, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> (u16, i32, String) {
        let stream = TcpStream::connect(self.grpc.strip_prefix("http://").unwrap()).await.unwrap();
        let (mut send, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        spawn(connection);
        let mut request = ::http::Request::post(format!("{}{path}", self.grpc));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = send.send_request(request.body(Full::new(Bytes::from(body))).unwrap()).await.unwrap();
        let status = answer.status().as_u16();
        let headers = answer.headers().clone();
        let body = answer.into_body().collect().await.unwrap();
        let trailers = body.trailers().cloned().unwrap_or_default();
        let find =
            |name: &str| headers.get(name).or_else(|| trailers.get(name)).map(|v| v.to_str().unwrap().to_owned());
        let code = find("grpc-status").map_or(-1, |code| code.parse().unwrap());
        let text = String::from_utf8_lossy(&body.to_bytes()).into_owned();
        (status, code, find("grpc-message").unwrap_or_default() + &text)
    }
}

const GRPC: (&str, &str) = ("content-type", "application/grpc");

fn frame(flag: u8, length: u32, message: &[u8]) -> Vec<u8> {
    [&[flag], length.to_be_bytes().as_slice(), message].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_log_is_unavailable_with_a_hint_when_to_come_again() {
    let doors = Doors::open(Config::default(), &[]).await;
    doors.log.full.store(true, Ordering::Relaxed);
    let status = doors.client().await.export(spans(&["shed"])).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    let hint = status.get_details_retry_info().unwrap();
    assert_eq!(hint.retry_delay, Some(Duration::from_secs(5)));
    assert_eq!(doors.metrics.request_wire_bytes.get(), 0, "it was shed before it was read");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_only_so_long_is_answered_before() {
    let doors = Doors::open(Config::default(), &[]).await;
    let mut client = doors.client().await;
    doors.log.stop();
    let mut request = tonic::Request::new(spans(&["late"]));
    request.set_timeout(Duration::from_secs(1));
    let status = client.export(request).await.unwrap_err();
    // Ours, with its hint: the client's own would be a deadline or a cancellation.
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert!(status.get_details_retry_info().is_some());
    doors.log.free.add_permits(1000);
    client.export(spans(&["again"])).await.unwrap();
    let names: Vec<String> = doors.log.records().into_iter().map(|record| record.row.unwrap().name).collect();
    assert_eq!(names, ["again"], "what nobody waits for is not appended");
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_are_none_are_invalid_and_cost_nothing() {
    let config = Config { max_request: 1 << 16, ..Config::default() };
    let doors = Doors::open(config, &[]).await;
    let good = spans(&["good"]).encode_to_vec();
    let length = u32::try_from(good.len()).unwrap();
    let whole = frame(0, length, &good);
    let invalid = i32::from(Code::InvalidArgument);
    let cases = [
        (vec![], "no message"),
        (whole[..3].to_vec(), "no message"),
        (whole[..whole.len() - 1].to_vec(), "cut"),
        ([whole.clone(), whole.clone()].concat(), "more than one"),
        (frame(1, length, &good), "grpc-encoding"),
        (frame(7, length, &good), "head"),
        (frame(0, 3, b"\xff\xff\xff"), "protobuf"),
        (frame(0, u32::MAX, b""), "64KiB"),
        (frame(0, 1 << 20, &vec![0; 1 << 20]), "64KiB"),
    ];
    for (body, why) in cases {
        let (http, code, message) = doors.odd(TRACES, &[GRPC], body).await;
        assert_eq!((http, code), (200, invalid), "{message}");
        let message = percent_encoding::percent_decode_str(&message).decode_utf8_lossy().into_owned();
        assert!(message.contains(why), "{why} is missing in {message}");
    }
    assert_eq!(doors.odd(TRACES, &[GRPC], whole).await.1, 0);
    doors.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_known_here_is_unimplemented() {
    let doors = Doors::open(Config::default(), &[]).await;
    let body = frame(0, 0, b"");
    let unimplemented = i32::from(Code::Unimplemented);
    let (_, code, message) = doors.odd("/grpc.health.v1.Health/Check", &[GRPC], body.clone()).await;
    assert_eq!(code, unimplemented, "{message}");
    let (_, code, message) = doors.odd(TRACES, &[GRPC, ("grpc-encoding", "snappy")], body.clone()).await;
    assert_eq!(code, unimplemented, "{message}");
    assert!(message.contains("snappy"), "{message}");
    // Not gRPC at all: told in plain words.
    let (status, _, message) = doors.odd("/v1/traces", &[("content-type", "application/x-protobuf")], body).await;
    assert_eq!(status, 415);
    assert!(message.contains("4318"), "{message}");
    let client = reqwest::Client::builder().http1_only().build().unwrap();
    let answer = client.post(format!("{}/v1/traces", doors.grpc)).body("{}").send().await.unwrap();
    assert_eq!(answer.status(), 415);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_is_unauthenticated() {
    let doors = Doors::open(Config::default(), &["s3cret"]).await;
    let mut client = doors.client().await;
    let status = client.export(spans(&["a"])).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    let mut request = tonic::Request::new(spans(&["a"]));
    request.metadata_mut().insert("authorization", "Bearer s3cret".parse().unwrap());
    client.export(request).await.unwrap();
    assert_eq!(doors.log.records().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http2_peer_is_told_our_limits() {
    let mut config = Config::default();
    config.limits.streams = 3;
    let doors = Doors::open(config, &[]).await;
    let mut client = doors.client().await;
    // A peer that has not heard the limit yet may pass it, and is refused with what it may try again.
    client.export(spans(&["one of many"])).await.unwrap();
    doors.log.stop();
    let calls: Vec<_> = (0..6)
        .map(|_| {
            let mut client = client.clone();
            spawn(async move { client.export(spans(&["one of many"])).await })
        })
        .collect();
    let four = 4 * (spans(&["one of many"]).encoded_len() as u64 + 5);
    while doors.metrics.request_wire_bytes.get() < four {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(doors.metrics.request_wire_bytes.get(), four, "the others wait until one of them has its answer");
    doors.log.free.add_permits(1000);
    for call in calls {
        call.await.unwrap().unwrap();
    }
}
