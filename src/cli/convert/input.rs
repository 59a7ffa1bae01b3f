//! What `convert` reads: files of OTLP requests, as they were exported or as the Collector's file exporter writes them.
//!
//! | file | what is in it |
//! |---|---|
//! | protobuf | one `ExportTraceServiceRequest` or `ExportLogsServiceRequest` |
//! | JSON | one such request, or many, one after the other or one a line |
//!
//! Traces and logs are told apart by `-traces.` or `-logs.` in the name, else by content; `-metrics.` in the name is
//! skipped unread. In JSON the top level of each request tells. A directory is read in the order of names, with what
//! is below it. Files of a directory that are no OTLP are skipped; an argument, or a file whose name promises OTLP,
//! that does not parse is a fault.
//!
//! `received_at` of all requests of a file is the latest time that any of them states: there is no clock here.

use crate::receiver::otlp_json;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use std::collections::VecDeque;
use std::io;
use std::io::Read as _;
use std::path::Path;
use std::path::PathBuf;
use xxhash_rust::xxh3::Xxh3;

/// JSON files up to this size are parsed once and kept; larger ones are parsed again for their requests, so that
/// memory holds one request of them at a time beside the text.
const KEPT: usize = 16 << 20;

/// One request.
#[derive(Debug)]
pub struct Request {
    /// What was sent.
    pub body: Body,
    /// What its reader had to doubt, by the record's place.
    pub notes: Vec<(u32, String)>,
    /// Microseconds since 1970; 0 where the file states no time.
    pub received_at: i64,
}

/// What a request carries.
#[derive(Debug)]
pub enum Body {
    /// Spans.
    Traces(ExportTraceServiceRequest),
    /// Log records.
    Logs(ExportLogsServiceRequest),
}

/// What the inputs give, one after the other.
#[derive(Debug)]
pub enum Item {
    /// A request.
    Request(Request),
    /// Not for us: why.
    Skipped(String),
    /// A fault: what is wrong. What else can be read goes on.
    Fault(String),
}

/// All inputs of a run, read as they are asked for.
#[derive(Debug)]
pub struct Inputs {
    left: VecDeque<Source>,
    ready: VecDeque<Item>,
    large: Option<Large>,
    /// Files that were opened.
    files: u64,
    /// Bytes of files that were looked at.
    read: u64,
}

/// Something that is still to be read.
#[derive(Debug)]
struct Source {
    path: PathBuf,
    /// Whether it is an argument.
    is_named: bool,
}

/// A large JSON file under way.
#[derive(Debug)]
struct Large {
    path: PathBuf,
    text: Vec<u8>,
    at: usize,
    received_at: i64,
}

/// What a name says of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Promise {
    Traces,
    Logs,
    Metrics,
    Nothing,
}

impl Inputs {
    /// The inputs that the arguments name.
    pub fn new(arguments: &[PathBuf]) -> Self {
        let left = arguments.iter().map(|path| Source { path: path.clone(), is_named: true }).collect();
        Self { left, ready: VecDeque::new(), large: None, files: 0, read: 0 }
    }

    /// Bytes of all files that will be read, as far as they are known now.
    pub fn total_bytes(&self) -> u64 {
        fn of(path: &Path) -> u64 {
            let Ok(meta) = std::fs::metadata(path) else { return 0 };
            if !meta.is_dir() {
                return meta.len();
            }
            let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
            entries.filter(|entry| is_ours(&entry.path())).map(|entry| of(&entry.path())).sum()
        }
        self.left.iter().map(|source| of(&source.path)).sum()
    }

    /// Files that were opened so far.
    pub fn files(&self) -> u64 {
        self.files
    }

    /// Bytes that were read so far.
    pub fn read_bytes(&self) -> u64 {
        let left = self.large.as_ref().map_or(0, |large| large.text.len().saturating_sub(large.at));
        self.read.saturating_sub(u64::try_from(left).unwrap_or(u64::MAX))
    }

    /// What the inputs are: a hash of the names and bytes of all files, in their order. Takes what cannot be read for
    /// empty: reading them will tell.
    pub fn digest(&self, hasher: &mut Xxh3) {
        fn of(path: &Path, is_named: bool, hasher: &mut Xxh3) {
            if path.is_dir() {
                sorted(path).unwrap_or_default().iter().for_each(|path| of(path, false, hasher));
            } else if is_named || is_ours(path) {
                let name = path.file_name().unwrap_or_default().as_encoded_bytes();
                let length = std::fs::metadata(path).map_or(0, |meta| meta.len());
                hasher.update(&u64::try_from(name.len()).unwrap_or_default().to_le_bytes());
                hasher.update(name);
                hasher.update(&length.to_le_bytes());
                let Ok(mut file) = std::fs::File::open(path) else { return };
                let mut buffer = vec![0; 1 << 20];
                while let Ok(read @ 1..) = file.read(&mut buffer) {
                    hasher.update(buffer.get(..read).unwrap_or_default());
                }
            }
        }
        self.left.iter().for_each(|source| of(&source.path, source.is_named, hasher));
    }

    fn open(&mut self, source: &Source) -> Result<(), String> {
        let path = source.path.display();
        let meta = std::fs::metadata(&source.path).map_err(|error| format!("{path}: cannot be read: {error}"))?;
        self.read += if meta.is_dir() { 0 } else { meta.len() };
        if meta.is_dir() {
            let paths = sorted(&source.path).map_err(|error| format!("{path}: cannot be read: {error}"))?;
            for path in paths.into_iter().rev() {
                self.left.push_front(Source { path, is_named: false });
            }
            return Ok(());
        }
        let promise = promise(&source.path);
        if promise == Promise::Metrics {
            self.ready.push_back(Item::Skipped(format!("{path}: metrics carry no conversations")));
            return Ok(());
        }
        let must_parse = source.is_named || promise != Promise::Nothing;
        if !must_parse && !is_ours(&source.path) {
            self.ready.push_back(Item::Skipped(format!("{path}: not a .pb, .json or .jsonl file")));
            return Ok(());
        }
        let bytes = std::fs::read(&source.path).map_err(|error| format!("{path}: cannot be read: {error}"))?;
        self.files += 1;
        let read = if is_json(&source.path, &bytes) {
            self.read_json(&source.path, bytes, promise)
        } else {
            self.read_protobuf(&bytes, promise)
        };
        read.or_else(|error| match error {
            NotOtlp::AtAll(why) if !must_parse => {
                self.ready.push_back(Item::Skipped(format!("{path}: {why}")));
                Ok(())
            }
            NotOtlp::AtAll(why) | NotOtlp::Further(why) => Err(format!("{path}: {why}")),
        })
    }

    fn read_protobuf(&mut self, bytes: &[u8], promise: Promise) -> Result<(), NotOtlp> {
        let body = protobuf(bytes, promise).map_err(NotOtlp::AtAll)?;
        let received_at = microseconds(latest(&body));
        self.ready.push_back(Item::Request(Request { body, notes: Vec::new(), received_at }));
        Ok(())
    }

    fn read_json(&mut self, path: &Path, text: Vec<u8>, promise: Promise) -> Result<(), NotOtlp> {
        let (mut at, mut latest_ns, mut fault, mut count) = (0, 0, None, 0_u64);
        let mut requests = Vec::new();
        let is_small = text.len() <= KEPT;
        loop {
            match json_request(&text, &mut at, promise) {
                Ok(Some((body, notes))) => {
                    latest_ns = latest_ns.max(latest(&body));
                    count += 1;
                    if is_small {
                        requests.push((body, notes));
                    }
                }
                Ok(None) => break,
                Err(why) => {
                    fault = Some(why);
                    break;
                }
            }
        }
        let received_at = microseconds(latest_ns);
        if is_small {
            let items = requests.into_iter().map(|(body, notes)| Item::Request(Request { body, notes, received_at }));
            self.ready.extend(items);
        } else if count > 0 {
            self.large = Some(Large { path: path.to_owned(), text, at: 0, received_at });
            // Told when its second reading comes to the same place.
            return Ok(());
        }
        match fault {
            Some(why) if count == 0 => Err(NotOtlp::AtAll(why)),
            Some(why) => Err(NotOtlp::Further(why)),
            None => Ok(()),
        }
    }
}

impl Iterator for Inputs {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Some(item);
            }
            if let Some(large) = &mut self.large {
                match json_request(&large.text, &mut large.at, promise(&large.path)) {
                    Ok(Some((body, notes))) => {
                        return Some(Item::Request(Request { body, notes, received_at: large.received_at }));
                    }
                    end => {
                        let path = self.large.take().map(|large| large.path).unwrap_or_default();
                        if let Err(why) = end {
                            return Some(Item::Fault(format!("{}: {why}", path.display())));
                        }
                        continue;
                    }
                }
            }
            let source = self.left.pop_front()?;
            if let Err(fault) = self.open(&source) {
                self.ready.push_back(Item::Fault(fault));
            }
        }
    }
}

/// Why a file, or the rest of it, is no OTLP.
enum NotOtlp {
    /// Nothing of it is.
    AtAll(String),
    /// It began as OTLP.
    Further(String),
}

/// What is in a directory, in the order of names.
fn sorted(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
    let mut paths: Vec<PathBuf> = entries.iter().map(std::fs::DirEntry::path).collect();
    paths.sort();
    Ok(paths)
}

fn promise(path: &Path) -> Promise {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let stem = name.split('.').next().unwrap_or_default();
    [("-traces", Promise::Traces), ("-logs", Promise::Logs), ("-metrics", Promise::Metrics)]
        .into_iter()
        .find(|(ending, _)| stem.ends_with(ending))
        .map_or(Promise::Nothing, |(_, promise)| promise)
}

/// Whether a file of a directory may be OTLP by its ending, or is a directory itself.
fn is_ours(path: &Path) -> bool {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
    path.is_dir() || ending.is_some_and(|ending| matches!(ending.as_str(), "pb" | "json" | "jsonl"))
}

/// JSON begins with a brace or a bracket; the first byte of a request in protobuf is a field's key, `0x0a`, and no
/// space in front of it is possible.
fn is_json(path: &Path, bytes: &[u8]) -> bool {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
    match ending.as_deref() {
        Some("json" | "jsonl") => true,
        Some("pb") => false,
        _ => bytes.trim_ascii_start().first().is_some_and(|first| matches!(first, b'{' | b'[')),
    }
}

/// Reads a request of protobuf. Where the name does not tell, a request is what it parses as: the wire types of a
/// span's and a log record's first fields differ, and the ids of spans have a length.
fn protobuf(bytes: &[u8], promise: Promise) -> Result<Body, String> {
    let traces = || ExportTraceServiceRequest::decode(bytes);
    let logs = || ExportLogsServiceRequest::decode(bytes);
    match promise {
        Promise::Traces => traces().map(Body::Traces).map_err(|error| format!("not a request of traces: {error}")),
        Promise::Logs => logs().map(Body::Logs).map_err(|error| format!("not a request of logs: {error}")),
        Promise::Metrics | Promise::Nothing => {
            if let Ok(request) = traces()
                && has_proper_ids(&request)
            {
                return Ok(Body::Traces(request));
            }
            logs().map(Body::Logs).map_err(|_| "neither traces nor logs in protobuf".to_owned())
        }
    }
}

fn has_proper_ids(request: &ExportTraceServiceRequest) -> bool {
    let mut spans = request.resource_spans.iter().flat_map(|one| &one.scope_spans).flat_map(|one| &one.spans);
    spans.all(|span| span.trace_id.len() == 16 && span.span_id.len() == 8)
}

type Told = (Body, Vec<(u32, String)>);

/// Reads the next request of JSON text from `at` on; none at its end. Requests of metrics among others are passed
/// over.
fn json_request(text: &[u8], at: &mut usize, promise: Promise) -> Result<Option<Told>, String> {
    loop {
        let rest = text.get(*at..).unwrap_or_default();
        let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<&serde_json::value::RawValue>();
        let value = match values.next() {
            None => return Ok(None),
            Some(Ok(value)) => value.get().as_bytes(),
            Some(Err(error)) => return Err(format!("not JSON: {error}")),
        };
        let end = *at + values.byte_offset();
        let promised = match promise {
            Promise::Traces => Some(Top::Spans),
            Promise::Logs => Some(Top::Logs),
            Promise::Metrics | Promise::Nothing => None,
        };
        let told = match top(value).or(promised) {
            Some(Top::Spans) => {
                let read = otlp_json::traces(value).map_err(|error| error.to_string())?;
                Some((Body::Traces(read.request), read.notes))
            }
            Some(Top::Logs) => {
                let read = otlp_json::logs(value).map_err(|error| error.to_string())?;
                Some((Body::Logs(read.request), read.notes))
            }
            Some(Top::Metrics) => None,
            None => return Err("neither traces nor logs in JSON".to_owned()),
        };
        *at = end;
        if told.is_some() {
            return Ok(told);
        }
    }
}

/// What a request in JSON carries.
#[derive(Debug, Clone, Copy)]
enum Top {
    Spans,
    Logs,
    Metrics,
}

/// What the first key of an object says. Where it is none of ours, the value is no request.
fn top(value: &[u8]) -> Option<Top> {
    let inside = value.trim_ascii_start().strip_prefix(b"{")?.trim_ascii_start().strip_prefix(b"\"")?;
    let keys: [(&[u8], Top); 6] = [
        (b"resourceSpans\"", Top::Spans),
        (b"resource_spans\"", Top::Spans),
        (b"resourceLogs\"", Top::Logs),
        (b"resource_logs\"", Top::Logs),
        (b"resourceMetrics\"", Top::Metrics),
        (b"resource_metrics\"", Top::Metrics),
    ];
    keys.into_iter().find(|(key, _)| inside.starts_with(key)).map(|(_, top)| top)
}

/// The latest time that a request states, in nanoseconds since 1970. What lies beyond the year 2262 is no time.
fn latest(body: &Body) -> u64 {
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

fn microseconds(ns: u64) -> i64 {
    i64::try_from(ns / 1000).unwrap_or(i64::MAX)
}
