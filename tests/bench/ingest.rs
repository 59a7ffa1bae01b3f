//! Ingest, measured as a whole process: requests in, rows landed, what it cost.
//!
//! ```text
//! cargo bench --bench ingest                          gRPC, then HTTP, each uncompressed and gzip
//! cargo bench --bench ingest -- --spans 1000000 --door grpc --compression none --runs 3 --content 2048
//! ```
//!
//! Benches are built as packages are (profile `dist`). Load and check come from `../shared/tools/otlpload`, built once into the tests' cache. Its CPU is not counted; it
//! takes its share of the cores all the same, so go by CPU seconds and not by spans a second.

#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a bench may fail")]
#![allow(clippy::disallowed_methods, reason = "a bench runs against the real clock")]
#![allow(clippy::cast_precision_loss, reason = "figures for people")]
#![allow(dead_code, reason = "the tests' support has more than a bench needs")]

#[path = "../it/support/mod.rs"]
mod support;

use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use support::duck::Reader;
use support::otlpload;
use support::rows::files_below;
use support::server::{Server, Setup};
use tempfile::TempDir;

/// What one run sends.
#[derive(Debug, Clone)]
struct Plan {
    door: String,
    compression: String,
    spans: u64,
    content: String,
}

/// What one run cost.
#[derive(Debug)]
struct Figures {
    cpu_seconds_per_million: f64,
    megabytes_per_second: f64,
    peak_mib: f64,
    bytes_per_span: f64,
    ack_p50_ms: f64,
    ack_p99_ms: f64,
    drained_after: Duration,
    lost: u64,
    duplicated: u64,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).cloned()
    };
    let spans = value("--spans").map_or(200_000, |spans| spans.parse().expect("--spans is a number"));
    let runs: u32 = value("--runs").map_or(1, |runs| runs.parse().expect("--runs is a number"));
    let content = value("--content").unwrap_or_else(|| "2048".to_owned());
    let doors = value("--door").map_or_else(|| vec!["grpc".to_owned(), "http".to_owned()], |door| vec![door]);
    let compressions =
        value("--compression").map_or_else(|| vec!["none".to_owned(), "gzip".to_owned()], |kind| vec![kind]);
    let otlpload = match otlpload::otlpload() {
        Ok(otlpload) => otlpload,
        Err(why) => return support::skip("ingest", &why),
    };
    println!(
        "| door | compression | CPU s / M spans | MB/s | peak RSS MiB | B / span landed | ack p50 ms | p99 | drained s | lost | twice |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    for door in &doors {
        for compression in &compressions {
            let plan = Plan { door: door.clone(), compression: compression.clone(), spans, content: content.clone() };
            for _ in 0..runs {
                let figures = measure(&otlpload, &plan);
                print(&plan, &figures);
                assert_eq!((figures.lost, figures.duplicated), (0, 0), "{figures:?}");
            }
        }
    }
}

fn print(plan: &Plan, figures: &Figures) {
    println!(
        "| {} | {} | {:.1} | {:.1} | {:.0} | {:.0} | {:.1} | {:.1} | {:.1} | {} | {} |",
        plan.door,
        plan.compression,
        figures.cpu_seconds_per_million,
        figures.megabytes_per_second,
        figures.peak_mib,
        figures.bytes_per_span,
        figures.ack_p50_ms,
        figures.ack_p99_ms,
        figures.drained_after.as_secs_f64(),
        figures.lost,
        figures.duplicated,
    );
}

fn measure(otlpload: &Path, plan: &Plan) -> Figures {
    let folder = TempDir::new().expect("a folder");
    let server = Setup::new(folder.path()).start();
    let acked = folder.path().join("acked.txt");
    let endpoint = if plan.door == "grpc" { server.grpc() } else { server.http() };
    let mut send = Command::new(otlpload);
    send.args(["send", "--json", "--endpoint", &endpoint, "--protocol", &plan.door]);
    send.args(["--compression", &plan.compression, "--spans", &plan.spans.to_string()]);
    send.args(["--content-bytes", &plan.content, "--acked"]).arg(&acked);
    let output = send.output().expect("otlpload starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let summary: Value = serde_json::from_slice(&output.stdout).expect("otlpload prints JSON");
    assert_eq!(summary["errors"], 0, "{summary}");
    let sent = Instant::now();
    server.drain(Duration::from_secs(300));
    let drained_after = sent.elapsed();
    let report = check(otlpload, folder.path(), &acked);
    let landed: u64 = files_below(&server.data().join("events")).iter().map(|file| size(file)).sum();
    let number = |key: &str| summary[key].as_f64().expect("a figure of otlpload");
    Figures {
        cpu_seconds_per_million: cpu_seconds(&server) / plan.spans as f64 * 1e6,
        megabytes_per_second: number("megabytes_per_second"),
        peak_mib: peak_kib(&server) / 1024.0,
        bytes_per_span: landed as f64 / plan.spans as f64,
        ack_p50_ms: number("latency_ms_p50"),
        ack_p99_ms: number("latency_ms_p99"),
        drained_after,
        lost: report["lost"].as_u64().expect("a count"),
        duplicated: report["duplicate_rows"].as_u64().expect("a count"),
    }
}

/// What became of the spans, by `otlpload check`.
fn check(otlpload: &Path, folder: &Path, acked: &Path) -> Value {
    let mut reader = Reader::new(folder, None).expect("DuckDB");
    let ids = folder.join("ids.csv");
    let rows = "SELECT span_id FROM read_parquet('data/events/**/*.parquet')";
    reader.sql(&format!("COPY ({rows}) TO '{}' (HEADER false)", ids.display()));
    let ids = fs::File::open(ids).expect("the ids");
    let mut check = Command::new(otlpload);
    let output = check.args(["check", "--acked"]).arg(acked).stdin(Stdio::from(ids)).output().expect("otlpload starts");
    serde_json::from_slice(&output.stdout).expect("otlpload prints JSON")
}

fn size(file: &Path) -> u64 {
    fs::metadata(file).map_or(0, |about| about.len())
}

/// User and system time of the server so far.
fn cpu_seconds(server: &Server) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", server.id())).expect("a running process");
    // Behind the name in brackets: utime and stime are fields 14 and 15 of the whole, in hundredths of a second.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields[at].parse::<f64>().expect("a number");
    (ticks(11) + ticks(12)) / 100.0
}

fn peak_kib(server: &Server) -> f64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.id())).expect("a running process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    line.split_whitespace().next().and_then(|kib| kib.parse().ok()).expect("a number")
}
