//! What stands in a file: requests in protobuf or JSON, found out by its name first and its bytes then.

use super::Body;
use crate::receiver::Encoding;
use crate::receiver::otlp;
use crate::receiver::otlp_json;
use crate::receiver::otlp_json::stream;
use crate::receiver::otlp_json::stream::Top;
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use std::path::Path;

/// What a name says of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Promise {
    Traces,
    Logs,
    Metrics,
    Nothing,
}

/// What the name of a file promises.
pub(super) fn promise(path: &Path) -> Promise {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let stem = name.split('.').next().unwrap_or_default();
    [("-traces", Promise::Traces), ("-logs", Promise::Logs), ("-metrics", Promise::Metrics)]
        .into_iter()
        .find(|(ending, _)| stem.ends_with(ending))
        .map_or(Promise::Nothing, |(_, promise)| promise)
}

/// Whether a file of a directory may be OTLP by its ending, or is a directory itself.
pub(super) fn is_ours(path: &Path) -> bool {
    path.is_dir() || matches!(ending(path).as_deref(), Some("pb" | "json" | "jsonl"))
}

/// JSON begins with a brace or a bracket, or with a mark of byte order; the first byte of a request in protobuf is a
/// field's key, `0x0a`, and no space in front of it is possible.
pub(super) fn is_json(path: &Path, bytes: &[u8]) -> bool {
    match ending(path).as_deref() {
        Some("json" | "jsonl") => true,
        Some("pb") => false,
        _ => bytes.trim_ascii_start().first().is_some_and(|first| matches!(first, b'{' | b'[' | 0xef)),
    }
}

fn ending(path: &Path) -> Option<String> {
    path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase())
}

/// How a file is packed, as its first bytes tell it. None of them begins a request.
pub(super) fn packed(bytes: &[u8]) -> Option<&'static str> {
    let marks: [(&[u8], &str); 4] =
        [(b"\x1f\x8b", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"PK\x03\x04", "zip"), (b"\xfd7zXZ", "xz")];
    marks.into_iter().find(|(mark, _)| bytes.starts_with(mark)).map(|(_, name)| name)
}

/// A request, and what its reader had to doubt.
pub(super) type Told = (Body, Vec<(u32, String)>);

/// Reads a request of protobuf. Where the name does not tell, a request is what it parses as: the wire types of a
/// span's and a log record's first fields differ, and the ids of spans have a length. What the doors mend is mended
/// here too; their bound on records in one request is not asked for.
pub(super) fn protobuf(bytes: &Bytes, promise: Promise) -> Result<Told, String> {
    let traces = || match ExportTraceServiceRequest::decode(bytes.as_ref()) {
        Ok(request) => Ok((Body::Traces(request), Vec::new())),
        Err(error) => match otlp::traces(bytes, Encoding::Protobuf) {
            Ok(read) => Ok((Body::Traces(read.request), read.notes)),
            Err(_) => Err(format!("not a request of traces: {error}")),
        },
    };
    let logs = || match ExportLogsServiceRequest::decode(bytes.as_ref()) {
        Ok(request) => Ok((Body::Logs(request), Vec::new())),
        Err(error) => match otlp::logs(bytes, Encoding::Protobuf) {
            Ok(read) => Ok((Body::Logs(read.request), read.notes)),
            Err(_) => Err(format!("not a request of logs: {error}")),
        },
    };
    match promise {
        Promise::Traces => traces(),
        Promise::Logs => logs(),
        Promise::Metrics | Promise::Nothing => match traces() {
            Ok(told) if has_proper_ids(&told.0) => Ok(told),
            _ => logs().map_err(|_| "neither traces nor logs in protobuf".to_owned()),
        },
    }
}

fn has_proper_ids(body: &Body) -> bool {
    let Body::Traces(request) = body else { return false };
    let mut spans = request.resource_spans.iter().flat_map(|one| &one.scope_spans).flat_map(|one| &one.spans);
    spans.all(|span| span.trace_id.len() == 16 && span.span_id.len() == 8)
}

/// Reads the next request of JSON text from `at` on; none at its end. Requests of metrics among others are passed
/// over. Behind a fault it goes on where a request begins at a line of its own, as the Collector writes them; without
/// one, the text is at its end.
pub(super) fn json(text: &[u8], at: &mut usize, promise: Promise) -> Result<Option<Told>, String> {
    let promised = match promise {
        Promise::Traces => Some(Top::Spans),
        Promise::Logs => Some(Top::Logs),
        Promise::Metrics | Promise::Nothing => None,
    };
    loop {
        let start = *at;
        let fault = |at: &mut usize, why: String| {
            *at = resume(text, start).unwrap_or(text.len());
            Err(format!("{}{why}", line(text, start)))
        };
        let (value, top) = match stream::next(text, at) {
            Ok(Some(next)) => next,
            Ok(None) => return Ok(None),
            Err(error) => return fault(at, format!("not JSON: {error}")),
        };
        let told = match top.or(promised) {
            Some(Top::Spans) => otlp_json::traces(value).map(|read| (Body::Traces(read.request), read.notes)),
            Some(Top::Logs) => otlp_json::logs(value).map(|read| (Body::Logs(read.request), read.notes)),
            Some(Top::Metrics) => continue,
            None => return fault(at, "neither traces nor logs in JSON".to_owned()),
        };
        return match told {
            Ok(told) => Ok(Some(told)),
            Err(error) => fault(at, format!("not OTLP: {error} of the request")),
        };
    }
}

/// Where the next request begins at a line of its own, behind what could not be read at `at`.
fn resume(text: &[u8], at: usize) -> Option<usize> {
    let begin = at + space(text, at);
    memchr::memmem::find(text.get(begin..)?, b"\n{\"resource").map(|found| begin + found)
}

fn space(text: &[u8], at: usize) -> usize {
    text.get(at..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_whitespace()).count()
}

/// Says at which line of a text the value behind a place begins, unless that is the first.
fn line(text: &[u8], at: usize) -> String {
    let before = text.get(..at + space(text, at)).unwrap_or_default();
    match memchr::memchr_iter(b'\n', before).count() {
        0 => String::new(),
        lines => format!("line {}: ", lines + 1),
    }
}

/// The latest time that a request states, in nanoseconds since 1970. What lies beyond the year 2262 is no time.
pub(super) fn latest(body: &Body) -> u64 {
    let times: Box<dyn Iterator<Item = u64> + '_> = match body {
        Body::Traces(request) => {
            let spans = request.resource_spans.iter().flat_map(|one| &one.scope_spans).flat_map(|one| &one.spans);
            Box::new(spans.flat_map(|span| {
                let events = span.events.iter().map(|event| event.time_unix_nano);
                events.chain([span.start_time_unix_nano, span.end_time_unix_nano])
            }))
        }
        Body::Logs(request) => {
            let records = request.resource_logs.iter().flat_map(|one| &one.scope_logs).flat_map(|one| &one.log_records);
            Box::new(records.flat_map(|record| [record.time_unix_nano, record.observed_time_unix_nano]))
        }
    };
    times.filter(|time| i64::try_from(*time).is_ok()).max().unwrap_or(0)
}
