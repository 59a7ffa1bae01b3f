//! OTLP over gRPC: the three export calls, unary, framed here.
//!
//! tonic's own server decodes before it asks, answers INTERNAL where a message does not decode, and OUT_OF_RANGE or a
//! bare RESOURCE_EXHAUSTED where it is too large, which Collectors retry for ever or drop. So the frame (a flag, four
//! bytes of length, the message) is taken off here, and limits, shedding and statuses are those of every other door.

use super::Accept;
use super::Encoding;
use super::Rejected;
use super::Signal;
use super::accept::Taken;
use super::accept::Wire;
use super::body::Coding;
use super::http::Path;
use super::http::response;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::extract::State;
use bytes::Buf as _;
use bytes::BufMut as _;
use bytes::Bytes;
use bytes::BytesMut;
use futures::stream;
use http::HeaderMap;
use http::HeaderValue;
use http::Response;
use http::StatusCode;
use http::Version;
use http::header::CONTENT_TYPE;
use http_body_util::StreamBody;
use hyper::body::Frame;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

const DOOR: &str = "otlp_grpc";

/// Bytes before a message: whether it is compressed, and its length.
const FRAME: usize = 5;

pub(super) fn router(accept: Arc<Accept>) -> Router {
    let call = |State(accept): State<Arc<Accept>>, request: Request| async move { call(&accept, request).await };
    Router::new().fallback(call).with_state(accept)
}

pub(super) fn on_panic() -> Response<Body> {
    refuse(&Rejected::busy("the request could not be handled"))
}

async fn call(accept: &Accept, request: Request) -> Response<Body> {
    if let Some(answer) = other_protocol(&request) {
        return answer;
    }
    let start = accept.now();
    let path = path(request.uri().path());
    let taken = match &path {
        Ok(path) => handle(accept, *path, request, start).await,
        Err(rejected) => Err(rejected.clone()),
    };
    let outcome = match &taken {
        Ok(taken) if taken.rejected == 0 => "ok",
        Ok(_) => "partial",
        Err(rejected) => rejected.outcome(),
    };
    let answer = match (&path, &taken) {
        (Ok(path), Ok(taken)) => success(&response(*path, taken)),
        (_, Err(rejected)) | (Err(rejected), _) => refuse(rejected),
    };
    accept.metrics().answered(DOOR, outcome, accept.now().saturating_sub(start));
    answer
}

async fn handle(accept: &Accept, path: Path, request: Request, start: Duration) -> Result<Taken, Rejected> {
    let (head, mut body) = request.into_parts();
    let coding = Coding::named(head.headers.get("grpc-encoding").map_or("", |value| value.to_str().unwrap_or("?")))?;
    let waits = waits(&head.headers);
    let caller = accept.admit(super::OTLP, &head.headers)?;
    let (frame, held) = accept.read(&mut body, FRAME, length, waits).await?;
    let (bytes, coding) = unframed(frame, coding, accept.max_request())?;
    let deadline = accept.deadline(start, waits);
    let wire = Wire { bytes, coding, encoding: Encoding::Protobuf, held, deadline };
    match path {
        Path::Traces => accept.take(Signal::Traces, &caller, wire).await,
        Path::Logs => accept.take(Signal::Logs, &caller, wire).await,
        Path::Metrics => accept.leave(wire),
    }
}

fn path(path: &str) -> Result<Path, Rejected> {
    match path {
        "/opentelemetry.proto.collector.trace.v1.TraceService/Export" => Ok(Path::Traces),
        "/opentelemetry.proto.collector.logs.v1.LogsService/Export" => Ok(Path::Logs),
        "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export" => Ok(Path::Metrics),
        _ => {
            let path: String = path.chars().take(100).collect();
            Err(Rejected::NoSuchPath(format!("no method {path:?}: OTLP's trace and logs services are here")))
        }
    }
}

/// The length of the whole frame, as its head tells it.
fn length(first: &[u8]) -> Option<usize> {
    let head = first.first_chunk::<FRAME>()?;
    let [_, length @ ..] = *head;
    usize::try_from(u32::from_be_bytes(length)).ok()?.checked_add(FRAME)
}

/// The one message of a body, and how it is compressed.
fn unframed(mut body: Bytes, coding: Coding, limit: usize) -> Result<(Bytes, Coding), Rejected> {
    let malformed = |what: &str| Err(Rejected::Malformed(what.to_owned()));
    let Some(length) = length(&body) else { return malformed("the call has no message") };
    if length > limit.saturating_add(FRAME) {
        return Err(Rejected::TooLarge { limit });
    }
    let compressed = body.get_u8();
    body.advance(FRAME - 1);
    match body.len() + FRAME {
        have if have < length => return malformed("the message is cut"),
        have if have > length => return malformed("the call has more than one message"),
        _ => {}
    }
    match (compressed, coding) {
        (0, _) => Ok((body, Coding::Identity)),
        (1, Coding::Identity) => malformed("the message is compressed, but no grpc-encoding says how"),
        (1, coding) => Ok((body, coding)),
        _ => malformed("the message's head is none of gRPC"),
    }
}

/// How long the sender waits, if it says so.
fn waits(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: u64 = number.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number.saturating_mul(3600)),
        "M" => Duration::from_secs(number.saturating_mul(60)),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

fn success(message: &[u8]) -> Response<Body> {
    let mut frame = BytesMut::with_capacity(FRAME + message.len());
    frame.put_u8(0);
    // A response is a few hundred bytes.
    frame.put_u32(u32::try_from(message.len()).unwrap_or_default());
    frame.extend_from_slice(message);
    let trailers = HeaderMap::from_iter([(tonic::Status::GRPC_STATUS, HeaderValue::from_static("0"))]);
    let frames = [Ok::<_, Infallible>(Frame::data(frame.freeze())), Ok(Frame::trailers(trailers))];
    let mut answer = Response::new(Body::new(StreamBody::new(stream::iter(frames))));
    grpc_headers(answer.headers_mut());
    answer
}

fn refuse(rejected: &Rejected) -> Response<Body> {
    let mut answer = Response::new(Body::empty());
    // Only a status whose metadata is no header could fail, and ours has none.
    let _ = rejected.grpc().add_header(answer.headers_mut());
    grpc_headers(answer.headers_mut());
    answer
}

fn grpc_headers(headers: &mut HeaderMap) {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert("grpc-accept-encoding", HeaderValue::from_static("identity,gzip,deflate,zstd"));
}

/// What a request is told that is no gRPC.
fn other_protocol(request: &Request) -> Option<Response<Body>> {
    let kind = request.headers().get(CONTENT_TYPE).map_or("", |value| value.to_str().unwrap_or("?"));
    let is_grpc =
        matches!(kind.strip_prefix("application/grpc"), Some(rest) if rest.is_empty() || rest.starts_with(['+', ';']));
    if is_grpc && request.version() == Version::HTTP_2 {
        return None;
    }
    let text = "this port speaks gRPC over HTTP/2; OTLP over HTTP has a port of its own, 4318 by default \
        (set OTEL_EXPORTER_OTLP_PROTOCOL=grpc, or the other endpoint)\n";
    let mut answer = Response::new(Body::from(text));
    *answer.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    Some(answer)
}
