//! `chatlake verify`: is every file of a lake there and whole, and does every object belong to it?

use crate::cli::Status;
use crate::cli::plain;
use crate::cli::store;
use crate::cli::store::Place;
use crate::cli::store::Progress;
use crate::clock::Clock as _;
use crate::clock::SystemClock;
use crate::lake::scan::Scan;
use crate::lake::verify;
use crate::lake::verify::Limits;
use crate::lake::verify::Line;
use crate::lake::verify::Verified;
use indicatif::HumanBytes;
use std::time::Duration;

/// How old an object must be before it has to stand in a manifest: uploads may last so long.
const SETTLED: Duration = Duration::from_secs(900);

/// What `verify` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    place: Place,
    /// Leave out what was written before: a date, a time (RFC 3339) or how long ago (7d), for lakes whose objects
    /// expire.
    #[arg(long, value_name = "DATE")]
    since: Option<String>,
}

/// Runs `verify`.
pub fn run(arguments: &Arguments) -> Status {
    let now = SystemClock::new().wall_micros();
    let since = match store::since(arguments.since.as_deref(), now) {
        Ok(since) => since,
        Err(fault) => {
            eprintln!("{}", plain::block(&format!("--since {fault}"), ""));
            return Status::Usage;
        }
    };
    let limits = Limits { since, settled: now.saturating_sub(store::micros(SETTLED)) };
    store::read(&arguments.place, async |scan| look(&scan, limits).await)
}

async fn look(scan: &Scan, limits: Limits) -> anyhow::Result<Status> {
    let mut bar = None;
    let verified = verify::verify(scan, limits, |done, whole| {
        bar.get_or_insert_with(|| Progress::begin("verifying", whole)).reach(done);
    });
    let verified = verified.await?;
    if let Some(bar) = bar {
        bar.end();
    }
    if verified.lines.is_empty() && limits.since.is_none() {
        eprintln!("there is no manifest: is this the folder or URL of a lake (store.url)?");
        return Ok(Status::Fault);
    }
    report(&verified).iter().for_each(|line| println!("{line}"));
    Ok(if verified.faults.is_empty() { Status::Good } else { Status::Fault })
}

fn report(verified: &Verified) -> Vec<String> {
    let mut whole = Line::default();
    let mut rows: Vec<Vec<String>> = Vec::new();
    for ((prefix, writer), line) in &verified.lines {
        let writer = if writer.is_empty() { "(nobody)" } else { writer };
        rows.push(cells(prefix.as_str(), writer, line));
        whole.manifests += line.manifests;
        whole.files += line.files;
        whole.rows += line.rows;
        whole.bytes += line.bytes;
        whole.faults += line.faults;
    }
    rows.push(cells("", "all", &whole));
    let mut out =
        plain::table(&["prefix", "writer", "manifests", "files", "rows", "bytes", "faults"], &rows, &[2, 3, 4, 5, 6]);
    out.extend(verified.faults.iter().map(|fault| plain::line(&format!("{}: {}", fault.key, fault.what))));
    if verified.young > 0 {
        let minutes = SETTLED.as_secs() / 60;
        out.push(format!("{} objects are younger than {minutes} minutes and not committed yet", verified.young));
    }
    out
}

fn cells(prefix: &str, writer: &str, line: &Line) -> Vec<String> {
    vec![
        plain::line(prefix),
        plain::line(writer),
        line.manifests.to_string(),
        line.files.to_string(),
        line.rows.to_string(),
        HumanBytes(line.bytes).to_string(),
        line.faults.to_string(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lake::key::Prefix;
    use crate::lake::verify::Fault;

    #[test]
    fn faults_stand_below_the_table_and_cannot_steer_a_terminal() {
        let mut verified = Verified { young: 2, ..Verified::default() };
        let line = Line { manifests: 1, files: 2, rows: 30, bytes: 4096, faults: 1 };
        verified.lines.insert((Prefix::default(), "w-1".to_owned()), line);
        verified.faults.push(Fault { key: "events/\u{1b}[2J".to_owned(), what: "no manifest lists it".to_owned() });
        let report = report(&verified);
        assert!(report[1].starts_with("        w-1"), "{report:?}");
        assert!(report[2].contains("all") && report[2].contains("4.00 KiB"), "{report:?}");
        assert_eq!(report[3], "events/\\u{1b}[2J: no manifest lists it");
        assert!(report[4].starts_with("2 objects are younger than 15 minutes"), "{report:?}");
    }
}
