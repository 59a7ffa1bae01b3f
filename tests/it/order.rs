//! Order does not matter: records shuffled, repeated, split over other requests, segments and restarts give the same
//! set of rows, equal but for `received_at`, for recorded and for generated traces. `CHATLAKE_TEST_SEED=N` repeats one
//! history.

use super::support::corpus::{self, Request};
use super::support::generated;
use super::support::rows::{self, Row};
use super::support::send::{self, Encoding, Grpc};
use super::support::server::{Server, Setup, program};
use super::support::shuffle::{Random, other_requests, tops_apart};
use super::support::{long, say, wait};
use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;
use tempfile::TempDir;

const HISTORIES: u64 = 6;
const HISTORIES_IN_LONG_MODE: u64 = 200;

/// How many traces are generated beside the recorded ones.
const GENERATED: u64 = 40;

/// All recorded requests, and generated ones.
fn requests() -> Vec<Request> {
    let runs = corpus::recorded().unwrap_or_else(corpus::golden);
    let recorded = runs.into_iter().flat_map(|run| run.requests).map(Request::into_protobuf);
    recorded.chain(generated::requests(7, GENERATED)).collect()
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
    let requests = requests();
    let want = rows_of(&requests);
    assert!(want.len() > 300, "{} rows", want.len());
    let seeds = seeds(if long() { HISTORIES_IN_LONG_MODE } else { HISTORIES });
    for seed in &seeds {
        assert_same(*seed, &want, &rows_of(&other_requests(&requests, &mut Random::new(*seed))));
    }
    say(&format!("{} shuffled histories of {} rows", seeds.len(), want.len()));
}

/// How a server ends on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// At once.
    Kill,
    /// By SIGTERM: finished traces land, open ones wait for the next start.
    Terminate,
}

fn end(server: &mut Server, how: End) {
    match how {
        End::Kill => server.kill(),
        End::Terminate => {
            let status = server.stop();
            assert!(status.success(), "{status}: {}", server.said());
        }
    }
    server.restart();
    server.ledger();
}

/// The rows that a server lands when it ends so on the way, each time before the request of that number, and then
/// closes what is open.
fn landed(requests: &[Request], ends: &[(usize, End)], random: &mut Random) -> Vec<Row> {
    let folder = TempDir::new().expect("a folder");
    let setup = Setup::new(folder.path()).with("STORE__FORMAT", "jsonl").with("ROLL__AGE", "200ms");
    let setup = setup.with("ROLL__SIZE", "128KiB").with("ASSEMBLY__LINGER", "1h").with("ASSEMBLY__IDLE", "1h");
    let mut server = setup.start();
    let grpc = Grpc::new(&server.grpc());
    for (number, request) in requests.iter().enumerate() {
        for (_, how) in ends.iter().filter(|(before, _)| *before == number) {
            // Sometimes in the middle of a fold, sometimes at rest.
            std::thread::sleep(Duration::from_millis(random.below(400) as u64));
            end(&mut server, *how);
        }
        match random.below(3) {
            0 => wait(grpc.recorded(request.signal, &request.body)),
            1 => wait(send::post_protobuf(&server.http(), request.signal, Encoding::Zstd, &request.body)),
            _ => wait(send::post_json(&server.http(), request, Encoding::Gzip)),
        }
    }
    // What is closed at the end says so: it has to be the same everywhere.
    server.set("SHUTDOWN__CLOSE_OPEN", "true");
    end(&mut server, End::Kill);
    let status = server.stop();
    assert!(status.success(), "{status}: {}", server.said());
    rows::comparable(&rows::lines_below(&server.data().join("events")))
}

#[test]
fn kills_and_stops_between_shuffled_requests_change_no_row() {
    let requests = requests();
    let want = landed(&requests, &[], &mut Random::new(0));
    assert!(want.len() > 300, "{} rows", want.len());
    let (below, tops) = tops_apart(&requests);
    for seed in seeds(if long() { 10 } else { 1 }) {
        let random = &mut Random::new(seed);
        let other = other_requests(&requests, random);
        let kills: Vec<(usize, End)> = (0..4).map(|_| (random.below(other.len()), End::Kill)).collect();
        assert_same(seed, &want, &landed(&other, &kills, random));
        // SIGTERM, as long as no root has come; then kills.
        let mut other = other_requests(&below, random);
        let mut ends: Vec<(usize, End)> = (0..3).map(|_| (random.below(other.len() + 1), End::Terminate)).collect();
        ends.push((other.len(), End::Terminate));
        other.extend(other_requests(&tops, random));
        ends.push((random.below(other.len()), End::Kill));
        assert_same(seed, &want, &landed(&other, &ends, random));
    }
}
