//! The configuration: a YAML file in the Collector's manner, environment variables over it, defaults below it.
//!
//! Every key is also a variable: `store.url` is `CHATLAKE_STORE__URL`. Values may hold `${env:X}` or
//! `${env:X:-default}`. All faults are told at once. This is the only file that reads the environment.

mod agree;
pub mod reader;
mod sections;
pub mod units;

use crate::dialect;
use crate::fold;
use crate::fold::open::Patience;
use crate::fold::window;
use crate::lake::encode;
use crate::lake::jsonl;
use crate::lake::jsonl::ToolCallForm;
use crate::lake::partition::Template;
use crate::receiver::auth::Keys;
use crate::receiver::posted;
use crate::redact;
pub use reader::Faults;
pub use reader::Key;
use reader::Reader;
use reader::word;
use sections::compression;
use sections::keys;
use sections::log_level;
use sections::posted;
use sections::redaction;
use sections::store_url;
use sections::template;
use sections::writer_name;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;
use units::count;
use units::duration;
use units::endpoint;
use units::size;
use units::truth;

/// Level of zstd in Parquet files: 1 is twice as fast as 3 and an eighth larger on sorted chats.
const PARQUET_LEVEL: i32 = 1;
/// Emitted traces whose late records are recognised: some 100 bytes of memory each.
const TOMBSTONES: usize = 100_000;

macro_rules! keys {
    ($($path:literal = $default:literal: $about:literal;)*) => {
        /// Every setting there is, in the order in which they are printed.
        pub const KEYS: &[Key] = &[$(Key { path: $path, default: $default, about: $about }),*];
    };
}

keys! {
    "receivers.otlp.grpc.endpoint" = "127.0.0.1:4317": "Where OTLP over gRPC is received.";
    "receivers.otlp.http.endpoint" = "127.0.0.1:4318": "Where OTLP over HTTP is received.";
    "receivers.otlp.max_request" = "64MiB": "The largest request, decompressed; a larger one is refused for good.";
    "receivers.otlp.in_flight" = "256MiB": "Bytes of requests under way at once; beyond, senders are asked to retry.";
    "receivers.modelstat.endpoint" = "127.0.0.1:4319": "Where modelstat's clients post by default; none for nowhere. Taken by another: a warning.";
    "receivers.huggingplace.times" = "seconds": "What a bare number in its response_time is: seconds or milliseconds.";
    "receivers.min_severity" = "trace": "Lines of logs below it are left out: trace, debug, info, warn, error or fatal.";
    "receivers.text_markers" = "stackspot": "Words, parted by commas, of providers and models that write tool calls as text, or none.";
    "auth.keys" = "": "List of {key or file, tenant, app, policy, prefix, doors}: who may send, with Authorization: Bearer. None: all.";
    "webhooks.public_url" = "": "Where the doors are seen from outside, https://host: Twilio signs it.";
    "webhooks.signatures" = "required": "required, or none: then a key of auth.keys counts, as at other doors.";
    "webhooks.meta" = "": "List of {secret or secret_file, verify_token, tenant, app, policy, prefix} of apps of Meta.";
    "webhooks.twilio" = "": "List of {secret or secret_file, tenant, app, policy, prefix} of accounts of Twilio.";
    "admin.endpoint" = "127.0.0.1:13133": "Where health, readiness, metrics and status are served.";
    "data.dir" = "./data": "Folder of the write-ahead log and the outbox, and of the lake where store.url names none.";
    "writer.name" = "chatlake": "Begins the names of this writer's objects; a random id made with data.dir follows.";
    "store.url" = "": "Where the lake is: a folder, file://, s3://bucket/prefix, gs:// or az://. Default: data.dir.";
    "store.format" = "parquet": "parquet, jsonl or proto.";
    "store.compression" = "zstd": "Of jsonl: none, gzip or zstd.";
    "store.partition" = "date={date}": "Folders below events/, of {date}, {hour}, {env}, {service}, {conv_id}, {run_id}, {event_type}, {source}; {part} in a file's name.";
    "store.max_file" = "32MiB": "Where a file is cut, in bytes of rows before compression.";
    "store.max_partitions" = "1024": "Open partitions of one segment; rows beyond go to __overflow__.";
    "store.concurrency" = "4": "Uploads at once.";
    "store.tool_calls" = "openai": "Form of tool calls in jsonl: openai or flat.";
    "roll.age" = "5s": "When a segment is closed and folded. Minutes on S3: fewer, larger files, more in the log.";
    "roll.size" = "32MiB": "Or when it is this large.";
    "assembly.linger" = "7s": "How long a trace whose root has ended waits for stragglers.";
    "assembly.idle" = "5m": "After how long without news a trace without a root is closed.";
    "assembly.max_age" = "1h": "After how long any trace is closed.";
    "assembly.memory" = "64MiB": "Memory for the index of open traces; beyond, the oldest are closed.";
    "dedupe.window" = "1h": "How long a resent record is recognised.";
    "dedupe.records" = "4000000": "Over how many records at most.";
    "buffer.cap" = "8GiB": "Log and outbox together; near it, senders are asked to retry.";
    "disk.reserve" = "128MiB": "Free space that is left to others.";
    "redaction.policy" = "floor": "floor masks secrets, e-mail and home paths; strict masks more; none.";
    "redaction.content" = "full": "How much of conversations is kept: full, excerpt, hash or none.";
    "redaction.rules" = "": "List of rules of your own: name, pattern, keyword, mode (mask, hash or drop).";
    "redaction.keys" = "": "List of names whose values are masked, whatever they hold.";
    "redaction.hash_key" = "": "Secret of the keyed hashes; without one, a random key is kept in data.dir.";
    "unknown" = "drop": "Spans and logs that no dialect knows: drop or keep.";
    "shutdown.grace" = "8s": "How long uploads go on after SIGTERM.";
    "shutdown.close_open" = "false": "Close open traces at shutdown: for pods without a volume.";
    "log.level" = "info": "error, warn, info, debug, or filters as in chatlake=debug,object_store=warn.";
    "log.format" = "text": "text or json.";
    "telemetry.otlp.endpoint" = "": "Where chatlake sends its own spans and metrics; off when empty.";
    "telemetry.otlp.protocol" = "grpc": "grpc or http/protobuf.";
}

/// The resolved configuration.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "KEYS tells each field's meaning and unit, under the same path")]
pub struct Config {
    pub grpc_endpoint: String,
    pub http_endpoint: String,
    pub max_request: u64,
    pub in_flight: u64,
    pub keys: Vec<Keys>,
    pub posted: posted::Config,
    pub admin_endpoint: String,
    pub data_dir: PathBuf,
    pub writer_name: String,
    pub store: Store,
    pub roll_age: Duration,
    pub roll_size: u64,
    pub assembly: Assembly,
    pub dedupe_window: Duration,
    pub dedupe_records: u64,
    pub buffer_cap: u64,
    pub disk_reserve: u64,
    pub redaction: redact::Config,
    pub keep_unknown: bool,
    pub min_severity: i32,
    pub shutdown_grace: Duration,
    pub shutdown_close_open: bool,
    pub log_level: String,
    pub log_json: bool,
    pub telemetry_endpoint: Option<String>,
    pub telemetry_protocol: String,
    /// Each key and what it was resolved to, secrets masked.
    pub shown: Vec<(&'static str, String)>,
}

/// What `store.*` says.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "KEYS tells each field's meaning and unit, under the same path")]
pub struct Store {
    pub url: Option<String>,
    pub format: Format,
    pub compression: Compression,
    pub partition: Template,
    pub max_file: u64,
    pub max_partitions: u64,
    pub concurrency: u64,
    pub flat_tool_calls: bool,
}

/// What `assembly.*` says.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "KEYS tells each field's meaning and unit, under the same path")]
pub struct Assembly {
    pub linger: Duration,
    pub idle: Duration,
    pub max_age: Duration,
    pub memory: u64,
}

/// `store.format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words say it")]
pub enum Format {
    Parquet,
    Jsonl,
    Proto,
}

/// `store.compression`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words say it")]
pub enum Compression {
    None,
    Gzip,
    Zstd,
}

/// The words of `store.format`.
pub const FORMATS: &[(&str, Format)] =
    &[("parquet", Format::Parquet), ("jsonl", Format::Jsonl), ("proto", Format::Proto)];

impl Store {
    /// How rows become files.
    pub fn encode(&self) -> encode::Settings {
        let form = if self.flat_tool_calls { ToolCallForm::Flat } else { ToolCallForm::OpenAi };
        let compression = match self.compression {
            Compression::None => jsonl::Compression::None,
            Compression::Gzip => jsonl::Compression::Gzip,
            Compression::Zstd => jsonl::Compression::Zstd,
        };
        encode::Settings {
            format: match self.format {
                Format::Parquet => encode::Format::Parquet { level: PARQUET_LEVEL },
                Format::Jsonl => encode::Format::JsonLines { form, compression },
                Format::Proto => encode::Format::Proto,
            },
            template: self.partition.clone(),
            partitions: usize::try_from(self.max_partitions).unwrap_or(usize::MAX),
            file_bytes: self.max_file,
        }
    }
}

impl Config {
    /// Where the lake is: a URL or a folder.
    pub fn store_url(&self) -> String {
        self.store.url.clone().unwrap_or_else(|| self.data_dir.to_string_lossy().into_owned())
    }

    /// The key that says where the lake is.
    pub fn store_key(&self) -> &'static str {
        if self.store.url.is_some() { "store.url" } else { "data.dir" }
    }

    /// How folds work.
    pub fn fold(&self) -> fold::Settings {
        let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        fold::Settings {
            patience: Patience {
                linger: nanos(self.assembly.linger),
                idle: nanos(self.assembly.idle),
                max_age: nanos(self.assembly.max_age),
            },
            window: window::Limits { age: nanos(self.dedupe_window), count: self.dedupe_records },
            held: self.buffer_cap / 2,
            memory: usize::try_from(self.assembly.memory).unwrap_or(usize::MAX),
            tombs: TOMBSTONES,
            // Almost a file.
            rows: self.store.max_file / 8 * 7,
            assemble: fold::assemble::Settings::default(),
        }
    }

    /// Reads a configuration: `file` is its name and text.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn read(file: Option<(&str, &str)>, environment: &BTreeMap<String, String>) -> Result<Self, Faults> {
        let mut r = Reader::new(KEYS, file, environment);
        let text = |text: &str| Ok(text.to_owned());
        let positive = |text: &str| match size(text) {
            Ok(0) => Err(String::from("must be more than nothing")),
            other => other,
        };
        let some_time = |text: &str| match duration(text) {
            Ok(Duration::ZERO) => Err(String::from("must be more than no time")),
            other => other,
        };
        let at_least_one = |text: &str| match count(text) {
            Ok(0) => Err(String::from("must be at least 1")),
            other => other,
        };
        let mut config = Self {
            grpc_endpoint: r.must("receivers.otlp.grpc.endpoint", endpoint),
            http_endpoint: r.must("receivers.otlp.http.endpoint", endpoint),
            max_request: r.must("receivers.otlp.max_request", positive),
            in_flight: r.must("receivers.otlp.in_flight", positive),
            posted: posted(&mut r),
            keys: keys(&mut r),
            admin_endpoint: r.must("admin.endpoint", endpoint),
            data_dir: r.must("data.dir", text).into(),
            writer_name: r.must("writer.name", writer_name),
            store: Store {
                url: r.get("store.url", store_url),
                format: r.get("store.format", |text| word(text, FORMATS)).unwrap_or(Format::Parquet),
                compression: r.get("store.compression", compression).unwrap_or(Compression::Zstd),
                partition: r.must("store.partition", template),
                max_file: r.must("store.max_file", positive),
                max_partitions: r.must("store.max_partitions", at_least_one),
                concurrency: r.must("store.concurrency", at_least_one),
                flat_tool_calls: r.must("store.tool_calls", |text| word(text, &[("openai", false), ("flat", true)])),
            },
            roll_age: r.must("roll.age", some_time),
            roll_size: r.must("roll.size", positive),
            assembly: Assembly {
                linger: r.must("assembly.linger", duration),
                idle: r.must("assembly.idle", some_time),
                max_age: r.must("assembly.max_age", some_time),
                memory: r.must("assembly.memory", positive),
            },
            dedupe_window: r.must("dedupe.window", duration),
            dedupe_records: r.must("dedupe.records", count),
            buffer_cap: r.must("buffer.cap", positive),
            disk_reserve: r.must("disk.reserve", size),
            redaction: redaction(&mut r),
            keep_unknown: r.must("unknown", |text| word(text, &[("drop", false), ("keep", true)])),
            min_severity: r.must("receivers.min_severity", |text| {
                let text = if text.eq_ignore_ascii_case("warning") { "warn" } else { text };
                word(&text.to_ascii_lowercase(), &dialect::SEVERITIES)
            }),
            shutdown_grace: r.must("shutdown.grace", duration),
            shutdown_close_open: r.must("shutdown.close_open", truth),
            log_level: r.must("log.level", log_level),
            log_json: r.must("log.format", |text| word(text, &[("text", false), ("json", true)])),
            telemetry_endpoint: r.get("telemetry.otlp.endpoint", text),
            telemetry_protocol: r.must("telemetry.otlp.protocol", |text| {
                word(text, &[("grpc", "grpc"), ("http/protobuf", "http/protobuf")]).map(str::to_owned)
            }),
            shown: Vec::new(),
        };
        agree::faults(&config).into_iter().for_each(|fault| r.fault(fault));
        config.shown = r.finish()?;
        Ok(config)
    }

    /// What is allowed, and may not be what was meant: for people to read.
    pub fn doubts(&self) -> Vec<String> {
        agree::doubts(self)
    }

    /// What dialects are told.
    pub fn mapping(&self) -> dialect::Settings {
        dialect::Settings {
            keep_unknown: self.keep_unknown,
            text_markers: self.posted.reading.text_markers.clone(),
            min_severity: self.min_severity,
        }
    }

    /// The environment of this process; what is no UTF-8 is none of ours.
    pub fn environment() -> BTreeMap<String, String> {
        let text = |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
        std::env::vars_os().filter_map(text).collect()
    }

    /// The resolved configuration as YAML that reads back the same, each key with what it means.
    pub fn to_yaml(&self) -> String {
        let mut out = String::new();
        let mut above: Vec<&str> = Vec::new();
        for (path, value) in &self.shown {
            let mut words: Vec<&str> = path.split('.').collect();
            let last = words.pop().unwrap_or_default();
            let shared = above.iter().zip(&words).take_while(|(a, b)| a == b).count();
            for (depth, word) in words.iter().enumerate().skip(shared) {
                out.push_str(&format!("{}{word}:\n", "  ".repeat(depth)));
            }
            let value = if value.is_empty() { String::from("null") } else { crate::event::json::string(value) };
            let about = KEYS.iter().find(|key| key.path == *path).map_or("", |key| key.about);
            out.push_str(&format!("{}{last}: {value}  # {about}\n", "  ".repeat(words.len())));
            above = words;
        }
        out
    }
}

/// An error and its causes in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    std::iter::once(error.to_string()).chain(causes.map(ToString::to_string)).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests;
