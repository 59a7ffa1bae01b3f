//! The program killed under load, again and again: nothing acknowledged is lost, nothing lands twice.
//!
//! `CHATLAKE_TEST_KILLS=N` sets how often, `CHATLAKE_TEST_SEED=N` the instants and ids; both are printed.

use super::support::duck::Reader;
use super::support::load::{Load, mix};
use super::support::server::Setup;
use super::support::{long, say, skip};
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
    for kill in 0..kills {
        // Mostly soon after the start, where recovery runs; sometimes after the first rows have landed.
        let window = if kill % 4 == 3 { 2500 } else { 700 };
        std::thread::sleep(Duration::from_millis(mix(seed ^ kill) % window));
        server.kill();
        server.restart();
        server.ledger();
    }
    let before = load.acknowledged();
    std::thread::sleep(Duration::from_millis(500));
    assert!(load.acknowledged() > before, "after the last restart nothing is acknowledged any more");
    let sent = load.finish();
    let ledger = server.drain(Duration::from_secs(60));
    assert_eq!((ledger.rejected, ledger.quarantined), (0, 0), "{ledger:?}");
    let verdict = sent.compare(&mut reader, folder.path(), "data/events/**/*.parquet");
    say(&format!("{kills} kills: {verdict:?}"));
    verdict.check();
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
