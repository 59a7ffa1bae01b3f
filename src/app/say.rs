//! What the server says to people: where it listens, where rows go, and in one line how it stands, when that changes.

use crate::clock::Clock;
use crate::config::Config;
use crate::config::Format;
use crate::fold::open::Waiting;
use crate::lake::upload::Report;
use crate::metrics::Metrics;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Between two status lines; it doubles while things go on changing.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Says it.
#[derive(Debug)]
pub(super) struct Say {
    is_json: bool,
    /// Where rows are, as a reader names it.
    place: String,
    format: &'static str,
    query: Option<String>,
    times: String,
    metrics: Arc<Metrics>,
    report: Arc<Mutex<Report>>,
    waiting: Mutex<Waiting>,
    clock: Arc<dyn Clock>,
}

impl Say {
    pub(super) fn new(
        config: &Config,
        url: &str,
        metrics: Arc<Metrics>,
        report: Arc<Mutex<Report>>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let place = url.strip_prefix("file://").or_else(|| url.strip_prefix("./")).unwrap_or(url);
        let place = place.trim_end_matches('/').to_owned();
        let encode = config.store.encode();
        let files = format!("{place}/events/**/*{}", encode.format.ending());
        let query = match config.store.format {
            Format::Parquet => {
                Some(format!("FROM read_parquet('{files}', hive_partitioning = true, union_by_name = true) LIMIT 10;"))
            }
            Format::Jsonl => {
                Some(format!("FROM read_json('{files}', hive_partitioning = true, union_by_name = true) LIMIT 10;"))
            }
            Format::Proto => None,
        };
        // A segment must be closed to be folded, and the file written.
        let soon = config.assembly.linger + config.roll_age * 3 / 2;
        let times = format!(
            "some {} after the trace's root span arrived; {} after its last news if no root comes",
            people(soon),
            people(config.assembly.idle)
        );
        Self {
            is_json: config.log_json,
            place,
            format: encode.format.name(),
            query,
            times,
            metrics,
            report,
            waiting: Mutex::default(),
            clock,
        }
    }

    fn line(&self, line: &str) {
        if self.is_json {
            tracing::info!("{}", line.trim_start());
        } else {
            eprintln!("{line}");
        }
    }

    pub(super) fn start(&self, doors: &[(&str, Option<SocketAddr>)], admin: &SocketAddr) {
        self.line(&format!("chatlake {} is running", env!("CARGO_PKG_VERSION")));
        for (door, address) in doors.iter().filter_map(|(door, address)| Some((door, address.as_ref()?))) {
            self.line(&format!("  {door:14}  http://{address}"));
        }
        self.line(&format!("  own pages       http://{admin}  (/healthz /readyz /metrics /status)"));
        self.line(&format!("  rows            {}/events as {}, {}", self.place, self.format, self.times));
        self.ask("Once there are rows, ask DuckDB:");
    }

    fn ask(&self, words: &str) {
        match &self.query {
            Some(query) => self.line(&format!("{words} {query}")),
            None => self.line(&format!("Files hold length-delimited messages of event.proto: {}/events", self.place)),
        }
    }

    /// Notes what open traces wait for.
    pub(super) fn waiting(&self, waiting: Waiting) {
        *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) = waiting;
        self.metrics.news.notify_one();
    }

    /// Says how it stands whenever that has changed, and not too often.
    pub(super) async fn follow(&self, stop: CancellationToken) {
        let (mut pause, mut last, mut said, mut had_file) = (FIRST_PAUSE, Duration::ZERO, String::new(), false);
        loop {
            tokio::select! {
                () = self.metrics.news.notified() => {}
                () = stop.cancelled() => break,
            }
            let now = self.clock.monotonic();
            let line = self.status();
            if line != said && !line.is_empty() {
                self.line(&line);
                pause = if now.saturating_sub(last) > LONGEST_PAUSE { FIRST_PAUSE } else { pause * 2 };
                (last, said) = (now, line);
            }
            if !had_file && self.has_file() {
                had_file = true;
                self.ask("The first file is there. Ask DuckDB:");
            }
            tokio::select! {
                () = sleep(pause.min(LONGEST_PAUSE)) => {}
                () = stop.cancelled() => break,
            }
        }
        let line = self.status();
        if line != said && !line.is_empty() {
            self.line(&line);
        }
    }

    fn has_file(&self) -> bool {
        self.report.lock().unwrap_or_else(PoisonError::into_inner).last_file.is_some()
    }

    /// How it stands; empty before the first request.
    fn status(&self) -> String {
        let records = self.metrics.ledger();
        let mut line = String::new();
        if records.received + records.recovered == 0 {
            let requests = self.metrics.requests.sum();
            if requests > 0 {
                let _ = write!(line, "{requests} requests, and no span or log record was in them that could be taken");
                self.add_refused(&mut line);
            }
            return line;
        }
        let _ = write!(line, "received {} records", records.received);
        if records.recovered > 0 {
            let _ = write!(line, " and {} from the last run", records.recovered);
        }
        let _ = write!(line, ": {} landed as rows", records.landed);
        let mut add = |count: u64, words: &str| {
            if count > 0 {
                let _ = write!(line, ", {count} {words}");
            }
        };
        add(records.merged, "told in rows of others");
        add(records.deduplicated, "had come before");
        add(records.left_out.values().sum(), &format!("left out ({})", reasons(&records.left_out)));
        add(records.rejected.values().sum(), &format!("refused ({})", reasons(&records.rejected)));
        add(records.quarantined, "set aside below _dead");
        add(records.buffered, "under way");
        let waiting = *self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let parts = [
            (waiting.root, "for their root span"),
            (waiting.span, "for the span of their log records"),
            (waiting.linger, "for stragglers"),
        ];
        let parts: Vec<String> =
            parts.iter().filter(|(count, _)| *count > 0).map(|(count, words)| format!("{count} {words}")).collect();
        if !parts.is_empty() {
            let _ = write!(line, "; open traces wait: {}", parts.join(", "));
        }
        self.add_refused(&mut line);
        let trouble = self.report.lock().unwrap_or_else(PoisonError::into_inner).trouble.clone();
        if let Some(why) = trouble {
            let _ = write!(line, "; rows wait on the local disk: {why}");
        }
        line
    }

    /// Requests of which nothing was taken: their senders were told why.
    fn add_refused(&self, line: &mut String) {
        let refused: Vec<String> = self.metrics.refused().iter().map(|(why, n)| format!("{why}: {n}")).collect();
        if !refused.is_empty() {
            let _ = write!(line, "; requests refused ({})", refused.join(", "));
        }
    }

    pub(super) fn stopping(&self, grace: Duration) {
        self.line(&format!("stopping: what is under way is stored, for {} at most", people(grace)));
    }

    pub(super) fn stopped(&self, left: &[&str]) {
        if left.is_empty() {
            self.line("stopped");
        } else {
            let left = left.join(", ");
            self.line(&format!("stopped while {left} had more to do: the next start goes on where they were"));
        }
    }
}

fn reasons(counts: &BTreeMap<String, u64>) -> String {
    let reasons: Vec<String> = counts.iter().map(|(reason, count)| format!("{reason}: {count}")).collect();
    reasons.join(", ")
}

/// A time as people say it.
fn people(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match seconds {
        ..1.0 => format!("{} ms", time.as_millis()),
        ..120.0 => format!("{} s", seconds.ceil()),
        _ => format!("{} min", (seconds / 60.0).round()),
    }
}
