//! Bodies into OTLP requests, of either encoding, and what is wrong with those that are none.
//!
//! Protobuf is read by prost. Only when it refuses is the body looked at again: text that is no UTF-8 and values
//! nested too deep are mended ([`mend`]) with a note for their record, so that one producer's broken string does not
//! cost a batch; a body of another signal is told apart, for the hint.

use super::MAX_STRUCTS;
use super::Rejected;
use super::mend;
use super::otlp_json;
use super::otlp_json::JsonError;
use super::rejected::Encoding;
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;

/// A request, and what its reader had to doubt.
#[derive(Debug, Default)]
pub struct Read<R> {
    /// What was sent.
    pub request: R,
    /// Notes on records, by their position in the request.
    pub notes: Vec<(u32, String)>,
}

/// Reads a request of traces.
///
/// # Errors
/// When the body is none; the message says why, and where else it belongs.
pub fn traces(body: &Bytes, encoding: Encoding) -> Result<Read<ExportTraceServiceRequest>, Rejected> {
    match encoding {
        Encoding::Json => otlp_json::traces(body).map_err(|error| from_json(&error, "spans", "/v1/traces")),
        Encoding::Protobuf => protobuf(body, &mend::TRACES).map_err(|error| {
            let logs = holds::<ExportLogsServiceRequest>(body, &mend::LOGS);
            malformed(&error, "spans", logs.then_some("log records: post them to /v1/logs"))
        }),
    }
}

/// Reads a request of logs.
///
/// # Errors
/// When the body is none; the message says why, and where else it belongs.
pub fn logs(body: &Bytes, encoding: Encoding) -> Result<Read<ExportLogsServiceRequest>, Rejected> {
    match encoding {
        Encoding::Json => otlp_json::logs(body).map_err(|error| from_json(&error, "log records", "/v1/logs")),
        Encoding::Protobuf => protobuf(body, &mend::LOGS).map_err(|error| {
            let traces = holds::<ExportTraceServiceRequest>(body, &mend::TRACES);
            malformed(&error, "log records", traces.then_some("spans: post them to /v1/traces"))
        }),
    }
}

/// Counts the data points of a request of metrics.
///
/// # Errors
/// When the body is none.
pub(super) fn data_points(body: &Bytes, encoding: Encoding) -> Result<u64, Rejected> {
    if encoding == Encoding::Json {
        return otlp_json::data_points(body).map_err(|error| from_json(&error, "metrics", "/v1/metrics"));
    }
    mend::records(body, &mend::METRICS).ok_or_else(|| Rejected::Malformed("body is no protobuf of metrics".to_owned()))
}

fn protobuf<R: Message + Default>(body: &Bytes, schema: &mend::Schema) -> Result<Read<R>, String> {
    if !is_bearable(body, schema) {
        return Err("more records than a request may hold".to_owned());
    }
    match R::decode(body.clone()) {
        Ok(request) => Ok(Read { request, notes: Vec::new() }),
        Err(error) => {
            let error = error.to_string();
            let mended = mend::mend(body, schema).ok_or_else(|| error.clone())?;
            let request = R::decode(mended.bytes.as_slice()).map_err(|_| error)?;
            Ok(Read { request, notes: mended.notes })
        }
    }
}

/// Whether a body decodes to a bearable amount of structs.
fn is_bearable(body: &[u8], schema: &mend::Schema) -> bool {
    /// Structs are at most this many times as large as their encoding.
    const WORST: usize = 256;
    body.len() <= MAX_STRUCTS / WORST || mend::structs(body, schema) <= MAX_STRUCTS
}

/// Whether a body that was refused is one of another signal.
fn holds<R: Message + Default>(body: &Bytes, schema: &mend::Schema) -> bool {
    is_bearable(body, schema) && R::decode(body.as_ref()).is_ok()
}

fn malformed(error: &str, wanted: &str, hint: Option<&str>) -> Rejected {
    Rejected::Malformed(match hint {
        Some(hint) => format!("body holds no {wanted}; it can be read as {hint}"),
        None => format!("body is no protobuf of {wanted}: {error}"),
    })
}

fn from_json(error: &JsonError, wanted: &str, path: &str) -> Rejected {
    Rejected::Malformed(match error {
        JsonError::Malformed(error) => format!("body is no OTLP/JSON of {wanted}: {error}"),
        JsonError::OtherSignal(key) => {
            let other = match *key {
                "resourceSpans" => "/v1/traces",
                "resourceLogs" => "/v1/logs",
                _ => "/v1/metrics",
            };
            format!("body holds {key} and was sent to {path}: post it to {other}")
        }
    })
}
