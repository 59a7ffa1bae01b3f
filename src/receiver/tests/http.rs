//! OTLP over HTTP: what is shed and how, and what the connection bears.

use super::*;
use crate::receiver::tests::spans;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write as _;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

impl Doors {
    async fn raw(&self) -> TcpStream {
        TcpStream::connect(self.http.strip_prefix("http://").unwrap()).await.unwrap()
    }
}

/// Reads until the peer closes.
async fn rest(stream: &mut TcpStream) -> String {
    let mut out = Vec::new();
    stream.read_to_end(&mut out).await.unwrap();
    String::from_utf8_lossy(&out).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_log_is_answered_with_503_and_whole_seconds() {
    let doors = Doors::open(Config::default(), &[]).await;
    doors.log.full.store(true, Ordering::Relaxed);
    let answer = doors.request().body(spans(&["shed"]).encode_to_vec()).send().await.unwrap();
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.headers()["retry-after"], "5");
    let status = tonic_types::Status::decode(answer.bytes().await.unwrap()).unwrap();
    assert!(status.message.contains("buffer.cap"), "{status:?}");
    assert_eq!(doors.metrics.request_wire_bytes.get(), 0, "it was shed before it was read");
    doors.log.full.store(false, Ordering::Relaxed);
    doors.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_comes_before_the_log_has_synced() {
    let doors = Doors::open(Config::default(), &[]).await;
    doors.log.stop();
    let mut answer = spawn(doors.request().body(spans(&["slow"]).encode_to_vec()).send());
    doors.log.next().await;
    assert!(tokio::time::timeout(Duration::from_millis(300), &mut answer).await.is_err(), "nothing is synced yet");
    doors.log.free.add_permits(1000);
    assert_eq!(answer.await.unwrap().unwrap().status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_takes_too_long_is_answered_with_503() {
    let config = Config { answer_timeout: Duration::from_millis(200), ..Config::default() };
    let doors = Doors::open(config, &[]).await;
    doors.log.stop();
    let answer = doors.request().body(spans(&["late"]).encode_to_vec()).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), &answer.headers()["retry-after"]), (503, &"1".parse().unwrap()));
    doors.log.free.add_permits(1000);
    doors.check().await;
    assert_eq!(doors.log.records().len(), 1, "the late one was taken back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_come_is_given_up() {
    let config = Config { body_timeout: Duration::from_millis(200), ..Config::default() };
    let doors = Doors::open(config, &[]).await;
    let mut stream = doors.raw().await;
    let head = "POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\nconnection: close\r\n\
        content-length: 1000\r\n\r\nsome";
    stream.write_all(head.as_bytes()).await.unwrap();
    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("retry-after: 1"), "{answer}");
    doors.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_that_do_not_end_and_silent_connections_are_closed() {
    let mut config = Config::default();
    config.limits.head = Duration::from_millis(200);
    config.limits.idle = Duration::from_millis(200);
    let doors = Doors::open(config, &[]).await;
    let mut slow = doors.raw().await;
    slow.write_all(b"POST /v1/traces HTTP/1.1\r\nhost: x\r\n").await.unwrap();
    let mut silent = doors.raw().await;
    let both = async { (rest(&mut slow).await, rest(&mut silent).await) };
    tokio::time::timeout(Duration::from_secs(10), both).await.unwrap();
    doors.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_under_way_is_bounded_and_what_is_announced_takes_no_room() {
    let config = Config { max_request: 1 << 20, in_flight: 1 << 20, ..Config::default() };
    let doors = Doors::open(config, &[]).await;
    let mut talkers = Vec::new();
    for _ in 0..8 {
        let mut stream = doors.raw().await;
        let head = "POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\n\
            content-length: 1000000\r\n\r\nsome";
        stream.write_all(head.as_bytes()).await.unwrap();
        talkers.push(stream);
    }
    doors.check().await;
    // Two thirds of the room: the second of its kind is shed.
    doors.log.stop();
    let large = || {
        let mut request = spans(&["large"]);
        let value = text("gen_ai.prompt", &"word ".repeat(140_000));
        request.resource_spans[0].scope_spans[0].spans[0].attributes.push(value);
        doors.request().body(request.encode_to_vec()).send()
    };
    let first = spawn(large());
    doors.log.next().await;
    let second = large().await.unwrap();
    assert_eq!(second.status(), 503);
    assert!(second.headers().contains_key("retry-after"));
    doors.log.free.add_permits(1000);
    assert_eq!(first.await.unwrap().unwrap().status(), 200);
    doors.check().await;
    drop(talkers);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_reaches_a_client_that_is_still_sending() {
    let config = Config { max_request: 1 << 16, ..Config::default() };
    let doors = Doors::open(config, &[]).await;
    let answer = doors.request().body(vec![0; 8 << 20]).send().await.unwrap();
    assert_eq!(answer.status(), 413);
    let status = tonic_types::Status::decode(answer.bytes().await.unwrap()).unwrap();
    assert!(status.message.contains("64KiB") && status.message.contains("max_request"), "{status:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_bears_good_and_bad_requests_in_turn() {
    let doors = Doors::open(Config::default(), &[]).await;
    let stream = hyper_util::rt::TokioIo::new(doors.raw().await);
    let (mut client, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
    spawn(connection);
    let mut post = async |kind: &str, body: Vec<u8>| {
        let request = ::http::Request::post("/v1/traces").header("host", "x").header("content-type", kind);
        let answer = client.send_request(request.body(axum::body::Body::from(body)).unwrap()).await.unwrap();
        let status = answer.status().as_u16();
        let body = http_body_util::BodyExt::collect(answer.into_body()).await.unwrap().to_bytes();
        client.ready().await.unwrap();
        (status, body.len())
    };
    for _ in 0..5 {
        assert_eq!(post("application/x-protobuf", spans(&["good"]).encode_to_vec()).await, (200, 0));
        assert_eq!(post("application/x-protobuf", b"\xff\xff\xff".to_vec()).await.0, 400);
        assert_eq!(post("text/csv", b"a,b".to_vec()).await.0, 415);
    }
    assert_eq!(doors.metrics.connections.get(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_is_401_and_the_right_one_is_taken() {
    let doors = Doors::open(Config::default(), &["s3cret"]).await;
    let body = spans(&["kept"]).encode_to_vec();
    for wrong in [None, Some("Bearer other"), Some("Basic s3cret")] {
        let request = doors.request().body(body.clone());
        let request = if let Some(wrong) = wrong { request.header("authorization", wrong) } else { request };
        let answer = request.send().await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["www-authenticate"]),
            (401, &"Bearer".parse().unwrap())
        );
        let status = tonic_types::Status::decode(answer.bytes().await.unwrap()).unwrap();
        assert!(!status.message.contains("s3cret"), "{status:?}");
    }
    assert_eq!(doors.log.records().len(), 0);
    let answer = doors.request().header("authorization", "Bearer s3cret").body(body).send().await.unwrap();
    assert_eq!(answer.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_posted_to_logs_and_logs_posted_to_traces_are_told_where_they_belong() {
    let doors = Doors::open(Config::default(), &[]).await;
    let client = reqwest::Client::new();
    let json = r#"{"resourceLogs":[]}"#;
    let post = |path: &str, body: &'static str| {
        client.post(format!("{}{path}", doors.http)).header("content-type", "application/json").body(body).send()
    };
    let answer = post("/v1/traces", json).await.unwrap();
    assert_eq!(answer.status(), 400);
    assert!(answer.text().await.unwrap().contains("/v1/logs"));
    // Log records that are read as spans have no ids.
    let mut request = spans(&["a", "b"]);
    for span in &mut request.resource_spans[0].scope_spans[0].spans {
        span.trace_id = vec![0; 16];
    }
    let answer = doors.request().body(request.encode_to_vec()).send().await.unwrap();
    assert_eq!(answer.status(), 400);
    let status = tonic_types::Status::decode(answer.bytes().await.unwrap()).unwrap();
    assert!(status.message.contains("/v1/logs"), "{status:?}");
    let ledger = doors.metrics.ledger();
    assert_eq!((ledger.received, ledger.rejected["no_ids"]), (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_request_is_a_success_and_compressed_ones_too() {
    let doors = Doors::open(Config::default(), &[]).await;
    assert_eq!(doors.request().send().await.unwrap().status(), 200);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(&spans(&["zipped"]).encode_to_vec()).unwrap();
    let answer = doors.request().header("content-encoding", "gzip").body(gzip.finish().unwrap()).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let names: Vec<String> = doors.log.records().into_iter().map(|record| record.row.unwrap().name).collect();
    assert_eq!(names, ["zipped"]);
    let twice = doors.request().header("content-encoding", "gzip").header("content-encoding", "gzip").send().await;
    assert_eq!(twice.unwrap().status(), 415);
}
