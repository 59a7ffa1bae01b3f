//! The program killed under load, again and again: nothing acknowledged is lost, nothing lands twice.
//!
//! `CHATLAKE_TEST_KILLS=N` sets how often, `CHATLAKE_TEST_SEED=N` the instants and ids; both are printed. The long form,
//! `CHATLAKE_TEST_LONG=1 cargo test --release --test it crash`, kills the release build hundreds of times, also under the
//! full load of `../shared/tools/otlpload`.

use super::support::child::Child;
use super::support::duck::Reader;
use super::support::load::{self, Load, mix};
use super::support::rows;
use super::support::send::Grpc;
use super::support::server::{Server, Setup};
use super::support::{long, otlpload, say, skip, wait};
use std::process::Command;
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

const KILLS: u64 = 24;
const KILLS_IN_LONG_MODE: u64 = 300;

#[test]
fn kills_under_load_lose_nothing_and_double_nothing() {
    let folder = TempDir::new().expect("a folder");
    let mut reader = match Reader::new(folder.path(), None) {
        Ok(reader) => reader,
        Err(why) => return skip("kills_under_load_lose_nothing_and_double_nothing", &why),
    };
    let kills = number("CHATLAKE_TEST_KILLS").unwrap_or(if long() { KILLS_IN_LONG_MODE } else { KILLS });
    let seed = number("CHATLAKE_TEST_SEED").unwrap_or_else(random);
    say(&format!("{kills} kills with CHATLAKE_TEST_SEED={seed}"));

    // Small segments, so that kills fall into every stage: log, fold, outbox, upload and commit.
    let mut server = Setup::quick(folder.path()).with("ROLL__SIZE", "256KiB").start();
    let load = Load::start(&server.grpc(), &server.http(), seed << 40, 4, Duration::from_millis(2));
    kill_again_and_again(&mut server, kills, seed);
    let before = load.acknowledged();
    std::thread::sleep(Duration::from_millis(500));
    assert!(load.acknowledged() > before, "after the last restart nothing is acknowledged any more");
    let sent = load.finish();
    let ledger = server.drain(Duration::from_secs(120));
    assert_eq!((ledger.rejected, ledger.quarantined), (0, 0), "{ledger:?}");
    let verdict = sent.compare(&mut reader, folder.path(), "data/events/**/*.parquet");
    say(&format!("{kills} kills: {verdict:?}"));
    verdict.check();
    assert!(server.stop().success());
}

fn kill_again_and_again(server: &mut Server, kills: u64, seed: u64) {
    for kill in 0..kills {
        // Mostly soon after the start, where recovery runs; sometimes after the first rows have landed.
        let window = if kill % 4 == 3 { 2500 } else { 700 };
        std::thread::sleep(Duration::from_millis(mix(seed ^ kill) % window));
        server.kill();
        server.restart();
        server.ledger();
    }
}

/// The same under more load: both doors, as large requests as a Collector sends, sent again until they are acknowledged.
#[test]
fn kills_under_full_load_lose_nothing_and_double_nothing() {
    const NAME: &str = "kills_under_full_load_lose_nothing_and_double_nothing";
    if !long() {
        return say(&format!("{NAME}: only in the long form (CHATLAKE_TEST_LONG=1)"));
    }
    let folder = TempDir::new().expect("a folder");
    let (otlpload, mut reader) = match (otlpload::otlpload(), Reader::new(folder.path(), None)) {
        (Ok(otlpload), Ok(reader)) => (otlpload, reader),
        (Err(why), _) | (_, Err(why)) => return skip(NAME, &why),
    };
    let kills = number("CHATLAKE_TEST_KILLS").unwrap_or(KILLS_IN_LONG_MODE);
    let seed = number("CHATLAKE_TEST_SEED").unwrap_or_else(random);
    say(&format!("{kills} kills under full load with CHATLAKE_TEST_SEED={seed}"));
    let mut server = Setup::quick(folder.path()).with("ROLL__SIZE", "4MiB").start();
    // About as long as the kills take; what is on its way then is seen through.
    let seconds = (kills * 9 / 10).max(5).to_string();
    let sender = |protocol: &str, endpoint: String, run: &str| {
        let acked = folder.path().join(format!("acked-{run}"));
        let mut send = Command::new(&otlpload);
        send.args(["send", "--json", "--protocol", protocol, "--endpoint", &endpoint, "--run", run]);
        send.args(["--seconds", &seconds, "--rate", "2000", "--timeout", "5", "--retry-for", "120", "--acked"]);
        (Child::start(send.arg(&acked)), acked)
    };
    let mut senders = [sender("grpc", server.grpc(), "1"), sender("http", server.http(), "2")];
    kill_again_and_again(&mut server, kills, seed);
    for (sender, _) in &mut senders {
        assert!(sender.wait(Duration::from_secs(600)).success(), "{}", sender.said());
    }
    server.drain(Duration::from_secs(120));
    let ids = folder.path().join("ids.csv");
    let rows = "SELECT span_id FROM read_parquet('data/events/**/*.parquet')";
    reader.sql(&format!("COPY ({rows}) TO '{}' (HEADER false)", ids.display()));
    for (_, acked) in &senders {
        let ids = std::fs::File::open(&ids).expect("the ids");
        let mut check = Command::new(&otlpload);
        let output = check.args(["check", "--acked"]).arg(acked).stdin(ids).output().expect("otlpload starts");
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("otlpload prints JSON");
        say(&format!("{kills} kills under full load: {report}"));
        assert!(report["acked"].as_u64().is_some_and(|acked| acked > 0), "{report}");
        assert_eq!((&report["lost"], &report["duplicate_rows"]), (&0.into(), &0.into()), "{report}");
    }
    assert!(server.stop().success());
}

/// D7: a disk that fails, and is not full, ends the process with a status of its own. What was acknowledged is there at
/// the next start, what was not is not.
#[test]
fn a_disk_that_fails_ends_the_process_with_a_status_of_its_own() {
    let folder = TempDir::new().expect("a folder");
    let mut server = Setup::quick(folder.path()).with("STORE__FORMAT", "jsonl").start();
    let request = |number| {
        let (children, root) = load::trace(35 << 40, number);
        load::request([children, vec![root]].concat())
    };
    let send = |server: &Server, number| wait(Grpc::new(&server.grpc()).traces(request(number)));
    send(&server, 1).expect("acknowledged");
    server.drain(Duration::from_secs(30));
    // The log's folder is none any more: the next segment cannot be begun.
    let (log, away) = (server.data().join("wal"), server.data().join("away"));
    std::fs::rename(&log, &away).expect("moved");
    std::fs::write(&log, "no folder").expect("written");
    assert!(send(&server, 2).is_err(), "acknowledged without a log");
    let status = server.wait(Duration::from_secs(60));
    assert_eq!(status.code(), Some(74), "{}", server.said());
    std::fs::remove_file(&log).expect("removed");
    std::fs::rename(&away, &log).expect("moved");
    server.restart();
    send(&server, 2).expect("acknowledged");
    server.drain(Duration::from_secs(30));
    let rows = rows::parse(&rows::lines_below(&server.data().join("events")));
    assert_eq!(rows.len(), 8, "two traces, once each");
    assert!(server.stop().success());
}

fn number(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable} is a number, not {value}")))
}

fn random() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a clock after 1970");
    u64::from(since.subsec_nanos()) % 1_000_000
}
