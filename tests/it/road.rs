//! Real sockets in, files out.

use super::support::corpus::{self, Run, Signal};
use super::support::load;
use super::support::rows::{self, Row};
use super::support::send::{self, Encoding, Grpc};
use super::support::server::{Server, Setup};
use super::support::{long, say, until, wait};
use opentelemetry::trace::{Span as _, SpanKind, Tracer as _, TracerProvider as _};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};
use tempfile::TempDir;

/// Rows of what `send` sends to a server that emits nothing before it is told to stop.
fn landed_after(send: impl FnOnce(&Server)) -> Vec<Row> {
    let folder = TempDir::new().expect("a folder");
    let mut server = Setup::new(folder.path())
        .with("STORE__FORMAT", "jsonl")
        .with("ASSEMBLY__LINGER", "1h")
        .with("ASSEMBLY__IDLE", "1h")
        .with("SHUTDOWN__CLOSE_OPEN", "true")
        .start();
    send(&server);
    server.ledger();
    let status = server.stop();
    assert!(status.success(), "{status}: {}", server.said());
    rows::comparable(&rows::lines_below(&server.data().join("events")))
}

/// Runs that were recorded as protobuf: those can go through every door.
fn runs() -> Vec<Run> {
    let mut runs = corpus::recorded().unwrap_or_else(corpus::golden);
    runs.retain(|run| run.requests.iter().all(|request| !request.json));
    assert!(runs.len() >= 10, "too few recorded runs");
    runs
}

fn requests(runs: &[Run]) -> impl Iterator<Item = &corpus::Request> {
    runs.iter().flat_map(|run| &run.requests)
}

#[test]
fn every_door_gives_the_same_rows() {
    let runs = runs();
    let grpc = landed_after(|server| {
        let plain = Grpc::new(&server.grpc());
        let zstd = plain.clone().compressed(tonic::codec::CompressionEncoding::Zstd);
        let gzip = plain.clone().compressed(tonic::codec::CompressionEncoding::Gzip);
        for (request, client) in requests(&runs).zip([plain, gzip, zstd].iter().cycle()) {
            wait(client.recorded(request.signal, &request.body));
        }
    });
    let encodings = [Encoding::Plain, Encoding::Gzip, Encoding::Zstd, Encoding::Deflate, Encoding::RawDeflate];
    let protobuf = landed_after(|server| {
        for (request, encoding) in requests(&runs).zip(encodings.into_iter().cycle()) {
            wait(send::post_protobuf(&server.http(), request.signal, encoding, &request.body));
        }
    });
    let json = landed_after(|server| {
        for (request, encoding) in requests(&runs).zip(encodings.into_iter().cycle()) {
            wait(send::post_json(&server.http(), request, encoding));
        }
    });
    assert!(grpc.len() > runs.len(), "{} rows of {} runs", grpc.len(), runs.len());
    assert_same("gRPC", &grpc, "HTTP protobuf", &protobuf);
    assert_same("gRPC", &grpc, "HTTP JSON", &json);
}

fn assert_same(one: &str, first: &[Row], other: &str, second: &[Row]) {
    let by_id = |rows: &[Row]| -> BTreeMap<String, Row> {
        rows.iter().map(|row| (row["event_id"].as_str().expect("an id").to_owned(), row.clone())).collect()
    };
    let (by_first, by_second) = (by_id(first), by_id(second));
    for (id, row) in &by_first {
        assert_eq!(Some(row), by_second.get(id), "row {id} over {one} and over {other}");
    }
    assert_eq!(first.len(), second.len(), "rows over {one} and over {other}");
}

#[test]
fn a_resend_over_another_door_lands_once() {
    let folder = TempDir::new().expect("a folder");
    let mut server = Setup::quick(folder.path()).with("STORE__FORMAT", "jsonl").start();
    let (children, root) = load::trace(7 << 40, 1);
    let request = load::request([children, vec![root]].concat());
    let body = prost::Message::encode_to_vec(&request);
    wait(Grpc::new(&server.grpc()).recorded(Signal::Traces, &body));
    wait(send::post_protobuf(&server.http(), Signal::Traces, Encoding::Zstd, &body));
    let recorded = corpus::Request { signal: Signal::Traces, json: false, body };
    wait(send::post_json(&server.http(), &recorded, Encoding::Gzip));
    let ledger = server.drain(Duration::from_secs(120));
    assert_eq!((ledger.received, ledger.landed, ledger.deduplicated), (12, 4, 8), "{ledger:?}");
    server.stop();
    assert_eq!(rows::parse(&rows::lines_below(&server.data().join("events"))).len(), 4);
}

/// An exporter that runs on the tests' runtime, for a batch processor has a thread of its own without one.
#[derive(Debug)]
struct OnRuntime(SpanExporter);

impl opentelemetry_sdk::trace::SpanExporter for OnRuntime {
    async fn export(&self, batch: Vec<SpanData>) -> opentelemetry_sdk::error::OTelSdkResult {
        super::support::runtime().block_on(self.0.export(batch))
    }
}

#[test]
fn the_rust_exporter_is_a_client_over_grpc_and_http() {
    let folder = TempDir::new().expect("a folder");
    let mut server = Setup::quick(folder.path()).with("STORE__FORMAT", "jsonl").start();
    let guard = super::support::runtime().enter();
    let grpc = SpanExporter::builder().with_tonic().with_endpoint(server.grpc()).build().expect("an exporter");
    let traces = format!("{}/v1/traces", server.http());
    let http = SpanExporter::builder().with_http().with_endpoint(traces).build().expect("an exporter");
    drop(guard);
    for (name, exporter) in [("grpc", grpc), ("http", http)] {
        let provider = SdkTracerProvider::builder().with_batch_exporter(OnRuntime(exporter)).build();
        let tracer = provider.tracer("rust-client");
        let mut span = tracer.span_builder(format!("chat {name}")).with_kind(SpanKind::Client).start(&tracer);
        for (key, value) in [
            ("gen_ai.operation.name", "chat"),
            ("gen_ai.provider.name", "openai"),
            ("gen_ai.request.model", "gpt-4o-mini"),
            ("gen_ai.input.messages", r#"[{"role":"user","parts":[{"type":"text","content":"Hello"}]}]"#),
        ] {
            span.set_attribute(opentelemetry::KeyValue::new(key, value));
        }
        span.end();
        provider.shutdown().expect("the last spans are sent");
    }
    let ledger = server.drain(Duration::from_secs(120));
    assert_eq!((ledger.received, ledger.landed), (2, 2), "{ledger:?}");
    server.stop();
    let landed = rows::parse(&rows::lines_below(&server.data().join("events")));
    let mut names: Vec<&str> = landed.iter().map(|row| row["name"].as_str().expect("a name")).collect();
    names.sort_unstable();
    assert_eq!(names, ["chat grpc", "chat http"]);
    assert!(landed.iter().all(|row| row["messages"][0]["content"] == "Hello"), "{landed:?}");
}

#[test]
fn with_defaults_rows_can_be_read_15_seconds_after_their_root() {
    let folder = TempDir::new().expect("a folder");
    // Everything as it comes but the ports, and the format, so that no Python is needed to read.
    let server = Setup::new(folder.path()).with("STORE__FORMAT", "jsonl").start();
    let client = Grpc::new(&server.grpc());
    let events = server.data().join("events");
    // A loaded machine may hold one up: the best of three counts.
    let mut waits = Vec::new();
    for number in 1..=3 {
        let (children, root) = load::trace(8 << 40, number);
        wait(client.traces(load::request(children))).expect("taken");
        wait(client.traces(load::request(vec![root]))).expect("taken");
        let (arrived, expected) = (Instant::now(), usize::try_from(4 * number).expect("few"));
        until("the rows", Duration::from_secs(120), || {
            (rows::parse(&rows::lines_below(&events)).len() == expected).then_some(())
        });
        waits.push(arrived.elapsed());
        if waits.last() < Some(&Duration::from_secs(15)) {
            return;
        }
    }
    panic!("rows came after {waits:?}");
}

#[test]
fn an_idle_server_does_nothing() {
    let folder = TempDir::new().expect("a folder");
    let server = Setup::quick(folder.path()).start();
    let (children, root) = load::trace(9 << 40, 1);
    wait(Grpc::new(&server.grpc()).traces(load::request([children, vec![root]].concat()))).expect("taken");
    server.drain(Duration::from_secs(120));
    // Connections of the clients close, what was committed is cleaned up.
    std::thread::sleep(Duration::from_secs(3));

    let watched = Duration::from_secs(if long() { 60 } else { 10 });
    let look = || (stamps(&server.data()), resident_kib(server.id()), context_switches(server.id()));
    let before = look();
    std::thread::sleep(watched);
    let after = look();

    assert_eq!(before.0, after.0, "files changed while nothing came in");
    assert!(after.1 <= before.1 + 1024, "memory grew from {} to {} KiB while idle", before.1, after.1);
    // Threads come and go; one that went did so by few switches.
    let switched = after.2.iter().map(|(thread, count)| count - before.2.get(thread).unwrap_or(&0));
    let a_second = switched.sum::<u64>() as f64 / watched.as_secs_f64();
    say(&format!("idle: {a_second:.2} context switches a second, {} to {} KiB resident", before.1, after.1));
    assert!(a_second < 5.0, "{a_second:.1} context switches a second while idle");
}

fn stamps(folder: &Path) -> Vec<(std::path::PathBuf, SystemTime, u64)> {
    let files = rows::files_below(folder).into_iter();
    let stamp = |file: std::path::PathBuf| {
        let about = std::fs::metadata(&file).expect("a file that stays");
        (file, about.modified().expect("a time"), about.len())
    };
    files.map(stamp).collect()
}

fn resident_kib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("a running process");
    number_after(&status, "VmRSS:")
}

/// How often each thread was switched.
fn context_switches(process: u32) -> BTreeMap<std::ffi::OsString, u64> {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).expect("a running process");
    let of_thread = |thread: std::io::Result<std::fs::DirEntry>| {
        let thread = thread.expect("a thread");
        let status = std::fs::read_to_string(thread.path().join("status")).unwrap_or_default();
        let count = |kind| number_after(&status, &format!("{kind}voluntary_ctxt_switches:"));
        (thread.file_name(), count("") + count("non"))
    };
    threads.map(of_thread).collect()
}

fn number_after(status: &str, key: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
    line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or_default()
}
