//! What mapping and folding cost, in CPU seconds for a million spans of 2.8 KB, over decoding.
//!
//! ```text
//! cargo bench --bench map                        spans of `../shared/tools/otlpload`
//! cargo bench --bench map -- --rounds 40
//! cargo bench --bench map -- --corpus            the recordings of `../shared/corpus`
//! ```
//!
//! Mapping is what the dialects do with decoded requests. Folding is what a fold does with a segment: reading its
//! records, finding resends, grouping, assembling rows, pricing, sorting. Redaction between them is not counted.

#![allow(clippy::disallowed_methods, reason = "a bench runs against the real clock")]
#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a bench may fail")]
#![allow(clippy::cast_precision_loss, reason = "figures for people")]
#![allow(dead_code, reason = "the tests' support has more than a bench needs")]

#[path = "../it/support/mod.rs"]
mod support;

use chatlake::dialect::{self, Read};
use chatlake::fold::open::{Close, Patience, SegmentId};
use chatlake::fold::{self, Fold, Incoming, Past, Segment, assemble, window};
use chatlake::redact::{Config, Key, Policy, Redacted, Redactor};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use std::process::Command;
use std::{fs, io};
use support::corpus::{self, Signal};
use support::rows::files_below;

/// The program's own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let rounds = arguments.iter().position(|argument| argument == "--rounds").and_then(|at| arguments.get(at + 1));
    let rounds: u32 = rounds.map_or(10, |rounds| rounds.parse().expect("--rounds is a number"));
    let bodies = if arguments.iter().any(|argument| argument == "--corpus") {
        let runs = corpus::recorded().unwrap_or_else(corpus::golden);
        let requests = runs.into_iter().flat_map(|run| run.requests).filter(|request| !request.json);
        requests.map(|request| (request.signal, request.body)).collect()
    } else {
        match generated() {
            Ok(bodies) => bodies,
            Err(why) => return support::skip("map", &why),
        }
    };
    let (mut mapping, mut folding, mut records, mut rows) = (0, 0, 0, 0);
    let redactor =
        Redactor::new(&Config { policy: Policy::None, ..Config::default() }, Key::new(b"a key of the bench"))
            .expect("valid");
    // What prices were looked up is remembered, as in the program.
    let assemble = assemble::Settings::default();
    for _ in 0..rounds {
        // A request at a time, as the receiver does.
        let mut redacted: Vec<Redacted> = Vec::new();
        for (signal, body) in &bodies {
            let request = Request::decode(*signal, body);
            let before = cpu_ns();
            let reads = request.map();
            mapping += cpu_ns() - before;
            redacted.extend(reads.into_iter().map(|read| redact(&redactor, read)));
        }
        records += redacted.iter().map(|redacted| redacted.records().len()).sum::<usize>();
        let before = cpu_ns();
        rows += fold_all(&redacted, assemble.clone());
        folding += cpu_ns() - before;
    }
    let bytes: usize = bodies.iter().map(|(_, body)| body.len()).sum();
    let per_round = records / rounds as usize;
    println!(
        "{per_round} records, {} bytes each on the wire, {} rows, {rounds} rounds",
        bytes / per_round,
        rows / rounds as usize
    );
    let cost = |ns: u64| ns as f64 / 1000.0 / records as f64;
    println!(
        "CPU s / M records: mapping {:.2}, folding {:.2}, together {:.2}",
        cost(mapping),
        cost(folding),
        cost(mapping + folding)
    );
}

/// The requests that otlpload sends.
fn generated() -> Result<Vec<(Signal, Vec<u8>)>, String> {
    let otlpload = support::otlpload::otlpload()?;
    let folder = tempfile::tempdir().expect("a folder");
    let made = Command::new(otlpload).args(["send", "--dump"]).arg(folder.path()).output().expect("otlpload runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let files = files_below(folder.path());
    Ok(files.iter().map(|file| (Signal::Traces, fs::read(file).expect("a body"))).collect())
}

enum Request {
    Traces(ExportTraceServiceRequest),
    Logs(ExportLogsServiceRequest),
}

impl Request {
    fn decode(signal: Signal, body: &[u8]) -> Self {
        match signal {
            Signal::Traces => Self::Traces(ExportTraceServiceRequest::decode(body).expect("OTLP")),
            Signal::Logs => Self::Logs(ExportLogsServiceRequest::decode(body).expect("OTLP")),
        }
    }

    fn map(self) -> Vec<Read> {
        let settings = dialect::Settings::default();
        match self {
            Self::Traces(request) => dialect::traces(request, &settings),
            Self::Logs(request) => dialect::logs(request, &settings),
        }
    }
}

fn redact(redactor: &Redactor, mut read: Read) -> Redacted {
    read.envelope.door = String::from("otlp");
    read.envelope.received_at = 1;
    redactor.redact(read.envelope, read.records)
}

/// Folds everything as one segment that closes all traces; gives the number of rows.
fn fold_all(redacted: &[Redacted], assemble: assemble::Settings) -> usize {
    let settings = fold::Settings {
        patience: Patience { linger: u64::MAX, idle: u64::MAX, max_age: u64::MAX },
        window: window::Limits { age: u64::MAX, count: 4_000_000 },
        held: u64::MAX,
        memory: usize::MAX,
        tombs: 100_000,
        // Almost a file, as in the program.
        rows: 28 << 20,
        assemble,
    };
    let mut at = 0;
    let mut records = Vec::new();
    for of_envelope in redacted {
        let envelope_at = at;
        at += 1;
        for bytes in of_envelope.records() {
            let envelope = of_envelope.envelope();
            records.push(Incoming { envelope_at, envelope, at, bytes, arrival: 1, sequence: records.len() as u64 });
            at += 1;
        }
    }
    let next_sequence = records.len() as u64;
    let segment = Segment { number: 1, next_sequence, bytes: 1 << 20, records, now: 2, close: Close::End };
    let mut handed_on = 0;
    let mut hand_on = |_: &str, rows: Vec<_>| {
        handed_on += rows.len();
        Ok(())
    };
    let folded = Fold::new(settings).fold(&segment, &Nothing, &mut hand_on).expect("nothing to read");
    handed_on + folded.batches.values().map(|batch| batch.rows.len()).sum::<usize>()
}

/// No earlier segments.
struct Nothing;

impl Past for Nothing {
    fn blob(&self, _: SegmentId, _: u64, _: Option<u32>) -> io::Result<bytes::Bytes> {
        Err(io::Error::other("no such blob"))
    }

    fn window_keys(&self, _: u64) -> io::Result<Vec<u128>> {
        Ok(Vec::new())
    }

    fn window_has(&self, _: u64, _: u128) -> io::Result<bool> {
        Ok(false)
    }

    fn tombs(&self, _: u64) -> io::Result<Vec<u8>> {
        Ok(Vec::new())
    }
}

/// Nanoseconds that this thread has run.
fn cpu_ns() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells what a thread ran");
    text.split(' ').next().and_then(|ns| ns.parse().ok()).expect("nanoseconds come first")
}
