//! `chatlake status`: how a running server is, for people.

use crate::cli::Status as Exit;
use crate::cli::check;
use crate::cli::http;
use crate::cli::plain;
use crate::cli::store;
use crate::clock::Clock as _;
use crate::clock::SystemClock;
use crate::lake::upload::Report;
use crate::metrics::Status;
use ::http::Request;
use ::http::StatusCode;
use anyhow::Context as _;
use anyhow::bail;
use bytes::Bytes;
use indicatif::HumanBytes;
use indicatif::HumanCount;
use serde::Deserialize;
use std::path::PathBuf;
use std::time::Duration;

/// Between the two readings that rates are made of.
const BETWEEN: Duration = Duration::from_secs(1);

/// What `status` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Where the server's admin pages are, HOST:PORT or a URL; without it, what the configuration says.
    #[arg(value_name = "ADDRESS")]
    admin: Option<String>,
    /// The page as it is: JSON.
    #[arg(long)]
    json: bool,
    /// Configuration file; without it, environment variables and defaults.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// What the page says.
#[derive(Debug, Deserialize)]
struct Page {
    version: String,
    not_ready: Vec<String>,
    #[serde(default)]
    store: Report,
    #[serde(flatten)]
    status: Status,
}

/// Runs `status`. A server that is not ready, or not there, is a fault.
pub fn run(arguments: &Arguments) -> Exit {
    let admin = match &arguments.admin {
        Some(admin) => admin.clone(),
        None => match check::read(arguments.config.as_deref()) {
            Ok(config) => config.admin_endpoint,
            Err(faults) => {
                eprintln!("{}", plain::block(&faults, ""));
                return Exit::Usage;
            }
        },
    };
    match store::wait(show(&admin, arguments.json)).flatten() {
        Ok(exit) => exit,
        Err(error) => {
            let hint = "is `chatlake serve` running, and is this its admin.endpoint?";
            eprintln!("{}: {hint}", plain::line(&format!("{error:#}")));
            Exit::Fault
        }
    }
}

async fn show(admin: &str, json: bool) -> anyhow::Result<Exit> {
    let clock = SystemClock::new();
    let before = read(admin).await?;
    if json {
        println!("{}", plain::json(&String::from_utf8_lossy(&before)));
        return Ok(Exit::Good);
    }
    tokio::time::sleep(BETWEEN).await;
    let after = read(admin).await?;
    let seconds = clock.monotonic().as_secs_f64();
    let parse = |bytes: &Bytes| serde_json::from_slice::<Page>(bytes).context("read the status page");
    let (before, after) = (parse(&before)?, parse(&after)?);
    for line in lines(admin, &before.status, &after, seconds, clock.wall_micros()) {
        println!("{line}");
    }
    Ok(if after.not_ready.is_empty() { Exit::Good } else { Exit::Fault })
}

async fn read(admin: &str) -> anyhow::Result<Bytes> {
    let request = Request::get("/status").body(Bytes::new())?;
    match http::ask(admin, request).await? {
        (StatusCode::OK, body) => Ok(body),
        (status, _) => bail!("{admin} answers {status} to /status"),
    }
}

fn lines(admin: &str, before: &Status, page: &Page, seconds: f64, now: i64) -> Vec<String> {
    let now_is = &page.status;
    let records = &now_is.records;
    let ready = if page.not_ready.is_empty() { "ready" } else { "not ready" };
    let mut out = vec![format!("chatlake {} at {admin}: {ready}", plain::line(&page.version))];
    out.extend(page.not_ready.iter().map(|why| format!("  {}", plain::line(why))));
    let left_out: u64 = records.left_out.values().sum();
    let rejected: u64 = records.rejected.values().sum();
    let count = |n: u64| HumanCount(n).to_string();
    out.push(row(
        "records",
        &[format!("{} received + {} recovered", count(records.received), count(records.recovered))],
    ));
    let parts = [
        (records.landed, "landed"),
        (records.merged, "merged"),
        (left_out, "left out"),
        (records.deduplicated, "deduplicated"),
        (rejected, "rejected"),
        (records.quarantined, "quarantined"),
        (records.buffered, "buffered"),
    ];
    let sum = parts.map(|(n, what)| format!("{} {what}", count(n))).join(" + ");
    out.push(row("", &[format!("= {sum}{}", if records.balances() { "" } else { "  (these do not add up!)" })]));
    for (what, reasons) in [("left out", &records.left_out), ("rejected", &records.rejected)] {
        let told: Vec<String> = reasons.iter().map(|(why, n)| format!("{} {}", count(*n), plain::line(why))).collect();
        if !told.is_empty() {
            out.push(row(what, &[told.join(", ")]));
        }
    }
    let rate = |after: u64, before: u64| rate(after.saturating_sub(before), seconds);
    out.push(row(
        "rates",
        &[
            format!("{} records/s", rate(records.received, before.records.received)),
            format!("{} requests/s", rate(now_is.requests, before.requests)),
            format!(
                "{}/s received",
                HumanBytes(per_second(now_is.request_bytes.saturating_sub(before.request_bytes), seconds))
            ),
            format!("{} rows/s landed", rate(now_is.committed_rows, before.committed_rows)),
        ],
    ));
    let bytes = |gauge: i64| HumanBytes(u64::try_from(gauge).unwrap_or_default()).to_string();
    let oldest = now_is.oldest_buffered_micros.map(|micros| format!("oldest record {}", ago(micros, now)));
    out.push(row(
        "buffered",
        &[
            format!("log {}", bytes(now_is.wal_bytes)),
            format!("outbox {} in {} entries", bytes(now_is.outbox_bytes), now_is.outbox_entries),
            format!("{} parked", now_is.parked_entries),
            oldest.unwrap_or_default(),
        ],
    ));
    for (segment, prefixes) in &page.store.parked {
        for (prefix, why) in prefixes {
            let prefix = if prefix.is_empty() { String::new() } else { format!("prefix {prefix}") };
            let why =
                plain::line(&format!("entry {segment} {prefix}")).trim_end().to_owned() + ": " + &plain::line(why);
            out.push(row("parked", &[why]));
        }
    }
    out.push(row("open traces", &[now_is.open_traces.to_string()]));
    let last = now_is.last_commit_micros.map_or("none yet".to_owned(), |micros| ago(micros, now));
    out.push(row(
        "last commit",
        &[
            last,
            format!("{} commits", count(now_is.commits)),
            format!("{} rows", count(now_is.committed_rows)),
            HumanBytes(now_is.committed_bytes).to_string(),
        ],
    ));
    out.push(row("store errors", &[count(now_is.store_errors)]));
    out.push(row("disk left", &[bytes(now_is.disk_free_bytes)]));
    out.push(row(
        "process",
        &[
            now_is.resident_bytes.map(|bytes| format!("{} of memory", HumanBytes(bytes))).unwrap_or_default(),
            now_is.cpu_seconds.map(|seconds| format!("{seconds:.1} s of CPU")).unwrap_or_default(),
        ],
    ));
    out
}

fn row(name: &str, facts: &[String]) -> String {
    let facts: Vec<&str> = facts.iter().map(String::as_str).filter(|fact| !fact.is_empty()).collect();
    format!("{name:<14}{}", facts.join(" · "))
}

fn ago(micros: i64, now: i64) -> String {
    let ago = u64::try_from(now.saturating_sub(micros)).unwrap_or_default();
    format!("{} ago", humantime::format_duration(Duration::from_secs(ago / 1_000_000)))
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people to read")]
fn rate(n: u64, seconds: f64) -> String {
    format!("{:.1}", n as f64 / seconds.max(1e-3))
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate for people to read"
)]
fn per_second(n: u64, seconds: f64) -> u64 {
    (n as f64 / seconds.max(1e-3)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;
    use std::sync::Arc;

    #[test]
    fn the_identity_rates_and_reasons_are_told() {
        let metrics = Arc::new(Metrics::default());
        let before = metrics.status();
        metrics.received(1500);
        metrics.rejected("no ids", 2);
        metrics.outbox_entries.set(3);
        metrics.last_commit_micros.set(1_000_000);
        let not_ready = vec!["store: \u{1b}gone".to_owned()];
        let why = [("team".to_owned(), "403 \u{1b}".to_owned()), (String::new(), "another object".to_owned())];
        let store = Report { parked: [(12, why.into())].into(), ..Report::default() };
        let page = Page { version: "0.1.0".to_owned(), not_ready, store, status: metrics.status() };
        let lines = lines("here:1", &before, &page, 2.0, 61_000_000);
        let text = lines.join("\n");
        for said in [
            "here:1: not ready",
            "  store: \\u{1b}gone",
            "1,502 received + 0 recovered",
            "+ 2 rejected + 0 quarantined + 1,500 buffered",
            "2 no ids",
            "751.0 records/s",
            "in 3 entries",
            "1m ago",
            "entry 12 prefix team: 403 \\u{1b}",
            "entry 12: another object",
        ] {
            assert!(text.contains(said), "{said} is not in:\n{text}");
        }
        assert!(!text.contains("add up"), "{text}");
    }

    #[test]
    fn the_page_of_a_server_reads_back() {
        let status = serde_json::to_value(Arc::new(Metrics::default()).status()).unwrap();
        let mut page = serde_json::json!({ "version": "1", "ready": true, "not_ready": [], "of_tomorrow": 1 });
        page.as_object_mut().unwrap().extend(status.as_object().unwrap().clone());
        let page: Page = serde_json::from_value(page).unwrap();
        assert_eq!(page.status.records.received, 0);
    }
}
