//! What outages cost: a restart on a log of a gigabyte, and answers while the store is down.
//!
//! ```text
//! cargo bench --bench outage                          both
//! cargo bench --bench outage -- restart --bytes 1073741824
//! cargo bench --bench outage -- acks --pairs 5 --spans 60000
//! ```
//!
//! The log of the first is written as the program writes it, by the log itself, and is not folded before the start.

#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a bench may fail")]
#![allow(clippy::disallowed_methods, reason = "a bench runs against the real clock")]
#![allow(clippy::cast_precision_loss, reason = "figures for people")]
#![allow(dead_code, reason = "the tests' support has more than a bench needs")]

#[path = "../it/support/mod.rs"]
mod support;

use chatlake::clock::SystemClock;
use chatlake::dialect;
use chatlake::redact;
use chatlake::wal;
use chatlake::wal::Floor;
use chatlake::wal::Home;
use chatlake::wal::disk::OsDisk;
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::load;
use support::otlpload;
use support::server::Setup;
use tempfile::TempDir;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let value = |name: &str, default: u64| {
        let at = arguments.iter().position(|argument| argument == name);
        let text = at.and_then(|at| arguments.get(at + 1));
        text.map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
    };
    let is_asked = |name: &str| {
        !arguments.iter().any(|argument| !argument.starts_with('-') && argument.parse::<u64>().is_err())
            || arguments.iter().any(|argument| argument == name)
    };
    if is_asked("restart") {
        restart(value("--bytes", 1 << 30));
    }
    if is_asked("acks") {
        acks(value("--pairs", 5), value("--spans", 60_000));
    }
}

/// A start on a log that nobody has folded.
fn restart(bytes: u64) {
    let folder = TempDir::new().expect("a folder");
    let records = write(&folder.path().join("data"), bytes);
    let begin = Instant::now();
    let server = Setup::new(folder.path()).start_alive();
    let accepting = begin.elapsed();
    let ledger = server.drain(Duration::from_secs(600));
    let drained = begin.elapsed();
    println!("| log | records | accepting after | drained after | landed |");
    println!("|---|---|---|---|---|");
    println!(
        "| {:.2} GiB | {records} | {:.0} ms | {:.1} s | {} |",
        bytes as f64 / f64::from(1 << 30),
        accepting.as_secs_f64() * 1e3,
        drained.as_secs_f64(),
        ledger.landed,
    );
    assert_eq!(ledger.recovered.unsigned_abs(), records, "{ledger:?}");
}

/// Writes a log; gives its records. Its last segment has no seal, as after a kill.
fn write(data: &Path, bytes: u64) -> u64 {
    let home = Home::claim(Arc::new(OsDisk), data, "bench", 1).expect("a data directory");
    let opened = wal::open(&home, Floor::default(), &wal::Config::default(), Arc::new(SystemClock::new()));
    let wal::Opened { wal, mut writer, .. } = opened.expect("a log");
    let redactor = redact::Redactor::new(&redact::Config::default(), redact::Key::new(b"a key of the bench"));
    let redactor = redactor.expect("rules");
    let mut number = 0;
    while wal.stats().bytes < bytes {
        let mut pending = Vec::new();
        for _ in 0..32 {
            let mut spans = Vec::new();
            for _ in 0..10 {
                let (mut children, root) = load::trace(1 << 40, number);
                for (n, span) in (0u64..).zip(&mut children) {
                    // Texts that do not repeat each other, in a size that is usual.
                    let mut text = String::new();
                    for word in 0..120 {
                        text.push_str(&format!("{:x} ", load::mix(number << 20 | n << 10 | word)));
                    }
                    span.name.push(' ');
                    span.trace_state = text;
                }
                spans.extend(children);
                spans.push(root);
                number += 1;
            }
            let reads = dialect::traces(load::request(spans), &dialect::Settings::default());
            let content = reads.into_iter().map(|mut read| {
                read.envelope.door = "otlp".to_owned();
                read.envelope.tenant = "default".to_owned();
                read.envelope.received_at = 1_795_219_200_000_000;
                redactor.redact(read.envelope, read.records)
            });
            pending.push(wal.submit(content.collect(), None).expect("room"));
        }
        while writer.turn().expect("a disk") == wal::Turn::Worked {}
        assert!(pending.iter_mut().all(|pending| matches!(pending.try_answer(), Some(Ok(_)))), "not acknowledged");
    }
    wal.stats().records
}

/// Answers with the store down against answers with the store up.
fn acks(pairs: u64, spans: u64) {
    let otlpload = match otlpload::otlpload() {
        Ok(otlpload) => otlpload,
        Err(why) => return support::skip("acks", &why),
    };
    println!("| ack p99 ms, store up | store down | ratio |");
    println!("|---|---|---|");
    let mut ratios = Vec::new();
    for _ in 0..pairs {
        let (up, down) = (p99(&otlpload, spans, true), p99(&otlpload, spans, false));
        println!("| {up:.2} | {down:.2} | {:.2} |", down / up);
        ratios.push(down / up);
    }
    ratios.sort_by(f64::total_cmp);
    println!("median of {pairs} pairs: {:.2}", ratios[ratios.len() / 2]);
}

fn p99(otlpload: &Path, spans: u64, is_up: bool) -> f64 {
    let folder = TempDir::new().expect("a folder");
    let mut setup = Setup::new(folder.path());
    let server = if is_up {
        setup.start()
    } else {
        // A port where nobody listens.
        setup.set("STORE__URL", "s3://bucket/lake");
        let s3 = support::duck::S3 {
            endpoint: support::free_address(),
            key_id: "key".to_owned(),
            secret: "secret".to_owned(),
        };
        setup.in_bucket(&s3).start_alive()
    };
    let acked = folder.path().join("acked.txt");
    let mut send = Command::new(otlpload);
    send.args(["send", "--json", "--endpoint", &server.grpc(), "--protocol", "grpc", "--compression", "none"]);
    send.args(["--spans", &spans.to_string(), "--content-bytes", "2048", "--acked"]).arg(&acked);
    let output = send.output().expect("otlpload starts");
    let summary: Value = serde_json::from_slice(&output.stdout).expect("otlpload prints JSON");
    assert_eq!(summary["errors"], 0, "{summary}");
    summary["latency_ms_p99"].as_f64().expect("a figure of otlpload")
}
