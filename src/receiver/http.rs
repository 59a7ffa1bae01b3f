//! OTLP over HTTP.
//!
//! | path | takes |
//! |---|---|
//! | `/v1/traces`, `/v1/logs` | a request in `application/x-protobuf` or `application/json` |
//! | `/v1/metrics` | the same; answered with a partial success that says why nothing is kept |
//! | `/health` | GET: 200 |
//! | others | see [`posted`] |
//!
//! Answers are in the request's encoding: the export response with 200, a `google.rpc.Status` else.

use super::Accept;
use super::Encoding;
use super::Rejected;
use super::Signal;
use super::accept::Taken;
use super::accept::Wire;
use super::body::Coding;
use super::posted;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::extract::State;
use axum::routing::get;
use axum::routing::post;
use bytes::Bytes;
use futures::StreamExt as _;
use http::HeaderMap;
use http::Response;
use http::Version;
use http::header::CONTENT_ENCODING;
use http::header::CONTENT_LENGTH;
use http::header::CONTENT_TYPE;
use http::header::EXPECT;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsPartialSuccess;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceResponse;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsPartialSuccess;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTracePartialSuccess;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

const DOOR: &str = "otlp_http";

/// A signal that has a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Path {
    Traces,
    Logs,
    Metrics,
}

pub(super) fn router(accept: Arc<Accept>) -> Router {
    let export = |path| {
        post(move |State(accept): State<Arc<Accept>>, request: Request| async move {
                export(&accept, path, request).await
            })
            .fallback(|request: Request| async move { refuse(&Rejected::NoSuchMethod("POST"), request.headers()) })
    };
    Router::new()
        .route("/v1/traces", export(Path::Traces))
        .route("/v1/logs", export(Path::Logs))
        .route("/v1/metrics", export(Path::Metrics))
        .route("/health", get(health))
        .merge(posted::routes())
        .fallback(lost)
        .with_state(accept)
}

/// Says that the process listens.
pub(super) async fn health() -> &'static str {
    "{\"status\":\"ok\"}"
}

/// How long the body will be, where the head says so.
pub(super) fn length(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok())
}

pub(super) fn on_panic() -> Response<Body> {
    Rejected::busy("the request could not be handled").http(Encoding::Json)
}

async fn export(accept: &Accept, path: Path, request: Request) -> Response<Body> {
    let start = accept.now();
    let version = request.version();
    let (head, mut body) = request.into_parts();
    let encoding = encoding(&head.headers);
    let taken = handle(accept, path, &head.headers, &mut body).await;
    let outcome = match &taken {
        Ok(taken) if taken.rejected == 0 => "ok",
        Ok(_) => "partial",
        Err(rejected) => rejected.outcome(),
    };
    let answer = match taken {
        Ok(taken) => success(path, encoding.unwrap_or(Encoding::Protobuf), &taken),
        Err(rejected) => {
            if version < Version::HTTP_2 && !head.headers.contains_key(EXPECT) {
                drain(body).await;
            }
            rejected.http(encoding.unwrap_or(Encoding::Json))
        }
    };
    accept.metrics().answered(DOOR, outcome, accept.now().saturating_sub(start));
    answer
}

async fn handle(accept: &Accept, path: Path, headers: &HeaderMap, body: &mut Body) -> Result<Taken, Rejected> {
    let encoding = encoding(headers)?;
    let coding = coding(headers)?;
    let caller = accept.admit(super::OTLP, headers)?;
    let length = length(headers);
    let start = accept.now();
    let (bytes, held) = accept.read(body, 0, |_| length, None).await?;
    let deadline = accept.deadline(start, None);
    let wire = Wire { bytes, coding, encoding, held, deadline };
    match path {
        Path::Traces => accept.take(Signal::Traces, &caller, wire).await,
        Path::Logs => accept.take(Signal::Logs, &caller, wire).await,
        Path::Metrics => accept.leave(wire),
    }
}

/// The encoding that the content type names.
fn encoding(headers: &HeaderMap) -> Result<Encoding, Rejected> {
    let given = headers.get(CONTENT_TYPE).map_or("", |value| value.to_str().unwrap_or("?"));
    let kind = given.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/x-protobuf") || kind.eq_ignore_ascii_case("application/protobuf") {
        return Ok(Encoding::Protobuf);
    }
    if kind.eq_ignore_ascii_case("application/json") {
        return Ok(Encoding::Json);
    }
    let hint = if kind.to_ascii_lowercase().starts_with("application/grpc") {
        "; gRPC has a port of its own, 4317 by default"
    } else {
        ""
    };
    Err(Rejected::Unsupported(format!(
        "content type {given:?} is not taken; these are: application/x-protobuf, application/json{hint}"
    )))
}

pub(super) fn coding(headers: &HeaderMap) -> Result<Coding, Rejected> {
    let mut named = headers.get_all(CONTENT_ENCODING).iter();
    let coding = named.next().map_or("", |value| value.to_str().unwrap_or("?"));
    match named.next() {
        None => Coding::named(coding),
        Some(_) => Err(Rejected::Unsupported("a body that is compressed more than once is not taken".to_owned())),
    }
}

fn success(path: Path, encoding: Encoding, taken: &Taken) -> Response<Body> {
    let body = match encoding {
        Encoding::Protobuf => Bytes::from(response(path, taken)),
        Encoding::Json if taken.rejected == 0 && taken.why.is_empty() => Bytes::from_static(b"{}"),
        Encoding::Json => {
            let rejected = match path {
                Path::Traces => "rejectedSpans",
                Path::Logs => "rejectedLogRecords",
                Path::Metrics => "rejectedDataPoints",
            };
            let why = crate::event::json::string(taken.why);
            let count = taken.rejected;
            Bytes::from(format!(r#"{{"partialSuccess":{{"{rejected}":"{count}","errorMessage":{why}}}}}"#))
        }
    };
    let mut answer = Response::new(Body::from(body));
    answer.headers_mut().insert(CONTENT_TYPE, encoding.content_type());
    answer
}

/// The export response of a signal, encoded; without rejected records it is empty.
pub(super) fn response(path: Path, taken: &Taken) -> Vec<u8> {
    if taken.rejected == 0 && taken.why.is_empty() {
        return Vec::new();
    }
    let rejected = i64::try_from(taken.rejected).unwrap_or(i64::MAX);
    let error_message = taken.why.to_owned();
    match path {
        Path::Traces => {
            let partial_success = Some(ExportTracePartialSuccess { rejected_spans: rejected, error_message });
            ExportTraceServiceResponse { partial_success }.encode_to_vec()
        }
        Path::Logs => {
            let partial_success = Some(ExportLogsPartialSuccess { rejected_log_records: rejected, error_message });
            ExportLogsServiceResponse { partial_success }.encode_to_vec()
        }
        Path::Metrics => {
            let partial_success = Some(ExportMetricsPartialSuccess { rejected_data_points: rejected, error_message });
            ExportMetricsServiceResponse { partial_success }.encode_to_vec()
        }
    }
}

async fn lost(request: Request) -> Response<Body> {
    let path = request.uri().path();
    let near = path.to_ascii_lowercase();
    let hint = match () {
        () if near.contains("trace") || near.contains("span") => "traces are posted to /v1/traces",
        () if near.contains("log") => "logs are posted to /v1/logs",
        () if near.contains("opentelemetry.proto.collector") => {
            "this is gRPC, which has a port of its own, 4317 by default"
        }
        () => "traces are posted to /v1/traces, logs to /v1/logs; an exporter's endpoint is set without the path",
    };
    let path: String = path.chars().take(100).collect();
    refuse(&Rejected::NoSuchPath(format!("nothing is at {path:?}: {hint}")), request.headers())
}

fn refuse(rejected: &Rejected, headers: &HeaderMap) -> Response<Body> {
    rejected.http(encoding(headers).unwrap_or(Encoding::Json))
}

/// Reads on for a while what will not be used: an HTTP/1.1 client that is still sending would else see its connection
/// reset, and not the answer.
pub(super) async fn drain(body: Body) {
    const LONGEST: Duration = Duration::from_secs(2);
    const MOST: usize = 256 << 20;
    let mut chunks = body.into_data_stream();
    let mut seen = 0;
    let read = async {
        while let Some(Ok(chunk)) = chunks.next().await {
            seen += chunk.len();
            if seen > MOST {
                break;
            }
        }
    };
    // Whatever has come by then: the answer goes out.
    let _ = timeout(LONGEST, read).await;
}
