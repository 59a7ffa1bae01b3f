//! Peers that mean harm: they are ended or refused, and the others notice nothing.

use super::*;
use opentelemetry_proto::tonic::common::v1::ArrayValue;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;

const GOAWAY: u8 = 7;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Kinds of the frames that a peer sent before it closed.
async fn kinds(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A reset is an end too.
    let _ = timeout(Duration::from_secs(10), stream.read_to_end(&mut bytes)).await.expect("the peer closes");
    let mut rest = bytes.as_slice();
    let mut out = Vec::new();
    while let Some((head, after)) = rest.split_at_checked(9) {
        out.push(head[3]);
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        rest = after.get(length..).unwrap_or_default();
    }
    out
}

/// A connection of HTTP/2 that has said hello.
async fn http2(at: &str) -> TcpStream {
    let mut stream = TcpStream::connect(at.strip_prefix("http://").unwrap()).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    stream.write_all(&frame(4, 0, 0, b"")).await.unwrap();
    stream
}

/// `POST / x` in HPACK.
const HEAD: &[u8] = b"\x83\x86\x84\x41\x01x";

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_resets_ends_its_connection() {
    let doors = Doors::open(Config::default(), &[]).await;
    for at in [&doors.grpc, &doors.http] {
        let mut stream = http2(at).await;
        let mut flood = Vec::new();
        for nth in 0..2000 {
            let id = 2 * nth + 1;
            flood.extend(frame(1, 4, id, HEAD));
            flood.extend(frame(3, 0, id, &8_u32.to_be_bytes()));
        }
        // The peer may be gone before all is written.
        let _ = stream.write_all(&flood).await;
        let kinds = kinds(&mut stream).await;
        assert!(kinds.is_empty() || kinds.contains(&GOAWAY), "{kinds:?}");
        doors.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_without_end_are_no_memory() {
    let doors = Doors::open(Config::default(), &[]).await;
    let mut stream = http2(&doors.grpc).await;
    let _ = stream.write_all(&frame(1, 0, 1, HEAD)).await;
    for _ in 0..2000 {
        // A literal header of 1 KB, in a CONTINUATION that is not the last.
        let header = [b"\x00\x01a\x7f\x81\x07".as_slice(), &[b'b'; 1024]].concat();
        if stream.write_all(&frame(9, 0, 1, &header)).await.is_err() {
            break;
        }
    }
    kinds(&mut stream).await;
    let mut stream = TcpStream::connect(doors.http.strip_prefix("http://").unwrap()).await.unwrap();
    let _ = stream.write_all(format!("POST /v1/traces HTTP/1.1\r\nx: {}", "y".repeat(1 << 20)).as_bytes()).await;
    let mut answer = Vec::new();
    let _ = timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await.expect("the peer closes");
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 431 "), "{}", String::from_utf8_lossy(&answer));
    doors.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nesting_without_end_and_records_without_content_are_borne() {
    let doors = Doors::open(Config::default(), &[]).await;
    let mut value = AnyValue { value: Some(Value::StringValue("deep".to_owned())) };
    for _ in 0..2000 {
        value = AnyValue { value: Some(Value::ArrayValue(ArrayValue { values: vec![value] })) };
    }
    let mut deep = spans(&["deep"]);
    let attribute = KeyValue { key: "deep".to_owned(), value: Some(value), ..KeyValue::default() };
    deep.resource_spans[0].scope_spans[0].spans[0].attributes.push(attribute);
    let answer = doors.request().body(deep.encode_to_vec()).send().await.unwrap();
    assert_eq!(answer.status(), 200, "its record is taken, with a note");
    let notes = doors.log.records().pop().unwrap().row.unwrap().notes;
    assert!(notes.iter().any(|note| note.contains("nested too deep")), "{notes:?}");

    let json = format!(r#"{{"resourceSpans":{}{}}}"#, "[".repeat(200_000), "]".repeat(200_000));
    let json = reqwest::Client::new().post(format!("{}/v1/traces", doors.http)).body(json);
    let answer = json.header("content-type", "application/json").send().await.unwrap();
    assert_eq!(answer.status(), 400);

    // Four bytes each on the wire, hundreds in memory.
    let empty = ScopeSpans { spans: vec![Span::default(); 2_000_000], ..ScopeSpans::default() };
    let empty = ResourceSpans { scope_spans: vec![empty], ..ResourceSpans::default() };
    let body = ExportTraceServiceRequest { resource_spans: vec![empty] }.encode_to_vec();
    let answer = doors.request().body(body).send().await.unwrap();
    assert_eq!(answer.status(), 400);
    let status = tonic_types::Status::decode(answer.bytes().await.unwrap()).unwrap();
    assert!(!status.message.contains("/v1/logs"), "it was not tried as something else that is as large: {status:?}");
    assert!(status.message.contains("more records"), "{status:?}");
    doors.check().await;
}
