//! Order does not matter: records shuffled, repeated, split over other requests, segments and restarts give the same
//! set of rows, equal but for `received_at`. `CHATLAKE_TEST_SEED=N` repeats one history.

use super::support::corpus::{self, Request};
use super::support::rows::{self, Row};
use super::support::send::{self, Encoding, Grpc};
use super::support::server::{Setup, program};
use super::support::shuffle::{Random, other_requests};
use super::support::{long, say, wait};
use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;
use tempfile::TempDir;

const HISTORIES: u64 = 6;
const HISTORIES_IN_LONG_MODE: u64 = 200;

/// All recorded protobuf requests.
fn recorded() -> Vec<Request> {
    let runs = corpus::recorded().unwrap_or_else(corpus::golden);
    runs.into_iter().flat_map(|run| run.requests).filter(|request| !request.json).collect()
}

fn seeds(count: u64) -> Vec<u64> {
    match std::env::var("CHATLAKE_TEST_SEED") {
        Ok(seed) => vec![seed.parse().expect("CHATLAKE_TEST_SEED is a number")],
        Err(_) => (1..=count).collect(),
    }
}

/// The rows that requests give, as one run in small segments.
fn rows_of(requests: &[Request]) -> Vec<Row> {
    let folder = TempDir::new().expect("a folder");
    for (number, request) in requests.iter().enumerate() {
        let signal = request.signal.path().trim_start_matches("/v1/");
        fs::write(folder.path().join(format!("{number:06}-{signal}.pb")), &request.body).expect("written");
    }
    let mut command = program();
    command.env("CHATLAKE_ROLL__SIZE", "64KiB").arg("convert").arg(folder.path()).args(["--to", "-"]);
    let output = command.output().expect("the program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    rows::comparable(std::str::from_utf8(&output.stdout).expect("UTF-8"))
}

#[track_caller]
fn assert_same(seed: u64, want: &[Row], got: &[Row]) {
    let by_id = |rows: &[Row]| -> BTreeMap<String, Row> {
        rows.iter().map(|row| (row["event_id"].as_str().expect("an id").to_owned(), row.clone())).collect()
    };
    let (by_want, by_got) = (by_id(want), by_id(got));
    for (id, row) in &by_want {
        let other = by_got.get(id).unwrap_or_else(|| panic!("CHATLAKE_TEST_SEED={seed}: no row {id}: {row:?}"));
        for (key, value) in row {
            assert_eq!(Some(value), other.get(key), "CHATLAKE_TEST_SEED={seed}: {key} of row {id}");
        }
        assert_eq!(row.len(), other.len(), "CHATLAKE_TEST_SEED={seed}: columns of row {id}");
    }
    assert_eq!(want.len(), got.len(), "CHATLAKE_TEST_SEED={seed}: rows");
}

#[test]
fn shuffled_split_and_repeated_records_give_the_same_rows() {
    let requests = recorded();
    let want = rows_of(&requests);
    assert!(want.len() > 300, "{} rows", want.len());
    let seeds = seeds(if long() { HISTORIES_IN_LONG_MODE } else { HISTORIES });
    for seed in &seeds {
        assert_same(*seed, &want, &rows_of(&other_requests(&requests, &mut Random::new(*seed))));
    }
    say(&format!("{} shuffled histories of {} rows", seeds.len(), want.len()));
}

/// The rows that a server lands when it is killed so many times on the way and then told to stop.
fn landed(requests: &[Request], kills: usize, random: &mut Random) -> Vec<Row> {
    let folder = TempDir::new().expect("a folder");
    let setup = Setup::new(folder.path()).with("STORE__FORMAT", "jsonl").with("ROLL__AGE", "200ms");
    let setup = setup.with("ROLL__SIZE", "128KiB").with("ASSEMBLY__LINGER", "1h").with("ASSEMBLY__IDLE", "1h");
    let mut server = setup.with("SHUTDOWN__CLOSE_OPEN", "true").start();
    let grpc = Grpc::new(&server.grpc());
    let mut killed_before: Vec<usize> = (0..kills).map(|_| random.below(requests.len())).collect();
    killed_before.sort_unstable();
    for (number, request) in requests.iter().enumerate() {
        if killed_before.contains(&number) {
            // Sometimes in the middle of a fold, sometimes at rest.
            std::thread::sleep(Duration::from_millis(random.below(400) as u64));
            server.kill();
            server.restart();
            server.ledger();
        }
        match random.below(3) {
            0 => wait(grpc.recorded(request.signal, &request.body)),
            1 => wait(send::post_protobuf(&server.http(), request.signal, Encoding::Zstd, &request.body)),
            _ => wait(send::post_json(&server.http(), request, Encoding::Gzip)),
        }
    }
    let status = server.stop();
    assert!(status.success(), "{status}: {}", server.said());
    rows::comparable(&rows::lines_below(&server.data().join("events")))
}

#[test]
fn kills_between_shuffled_requests_change_no_row() {
    let requests = recorded();
    let want = landed(&requests, 0, &mut Random::new(0));
    assert!(want.len() > 300, "{} rows", want.len());
    for seed in seeds(if long() { 10 } else { 1 }) {
        let random = &mut Random::new(seed);
        let other = other_requests(&requests, random);
        assert_same(seed, &want, &landed(&other, 5, random));
    }
}
