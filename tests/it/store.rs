//! The program before an S3 server that goes wrong: whatever it answers, or does not, senders notice nothing, every row
//! lands once, and the lake is whole afterwards.

use super::support::duck::{Reader, S3};
use super::support::load;
use super::support::rows::{self, files_below};
use super::support::s3::{self, Fault, Faults};
use super::support::send::{self, Encoding, Grpc};
use super::support::server::{Server, Setup};
use super::support::{say, skip, until, wait};
use hyper::Method;
use serde_json::Value;
use std::cell::Cell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(90);

fn setup(folder: &Path, s3: &S3) -> Setup {
    Setup::quick(folder).with("STORE__URL", "s3://my-bucket/lake").with("STORE__FORMAT", "jsonl").in_bucket(s3)
}

fn lake(folder: &Path) -> PathBuf {
    folder.join("buckets/my-bucket/lake")
}

/// Sends traces; each is acknowledged soon, whatever the store does.
fn sends(server: &Server, numbers: std::ops::Range<u64>) {
    let client = Grpc::new(&server.grpc());
    for number in numbers {
        let (children, root) = load::trace(31 << 40, number);
        let begun = Instant::now();
        wait(client.traces(load::request([children, vec![root]].concat()))).expect("acknowledged");
        assert!(begun.elapsed() < Duration::from_secs(30), "a sender had to wait for the store");
    }
}

/// Every trace has its four rows, once, and `verify` finds no fault.
fn is_whole(server: &Server, folder: &Path, traces: u64) {
    let landed = rows::parse(&rows::lines_below(&lake(folder).join("events")));
    let ids: BTreeSet<&str> = landed.iter().map(|row| row["event_id"].as_str().expect("an id")).collect();
    assert_eq!((landed.len() as u64, ids.len()), (traces * 4, landed.len()), "rows, and their ids");
    let output = server.command().arg("verify").output().expect("the program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

fn status(server: &Server) -> Value {
    let (_, page) = server.admin("/status").expect("the page answers");
    serde_json::from_str(&page).expect("JSON")
}

/// S1 to S4, S7: what passes is waited out.
#[test]
fn passing_faults_of_a_store_lose_and_double_nothing() {
    let folder = TempDir::new().expect("a folder");
    let faults = Faults::default();
    let s3 = s3::serve(folder.path(), "my-bucket", faults.clone(), true);
    let server = setup(folder.path(), &s3).start();
    let put = || Some(Method::PUT);
    let cases = [
        (None, "", 9, Fault::Says(503, "SlowDown")),
        (put(), "", 3, Fault::Says(500, "InternalError")),
        (put(), "events", 2, Fault::Resets),
        (put(), "_commits", 2, Fault::Resets),
        (put(), "events", 2, Fault::AnswerLost),
        (put(), "_commits", 2, Fault::AnswerLost),
        (put(), "events", 2, Fault::Says(409, "ConditionalRequestConflict")),
        (put(), "_commits", 2, Fault::Says(412, "PreconditionFailed")),
        (None, "", 2, Fault::Says(429, "TooManyRequests")),
        (put(), "events", 1, Fault::Stalls),
    ];
    let mut traces = 0;
    for (method, part, times, fault) in cases {
        let before = faults.hits();
        faults.add(method, part, times, fault);
        sends(&server, traces..traces + 3);
        traces += 3;
        until("the fault to be met", LIMIT, || (faults.hits() >= before + times).then_some(()));
        assert_eq!(server.admin("/healthz").expect("alive").0, 200);
    }
    let ledger = server.drain(LIMIT);
    assert_eq!(ledger.landed as u64, traces * 4, "{ledger:?}");
    is_whole(&server, folder.path(), traces);
    say(&format!("{} requests to the store went wrong in {} ways", faults.hits(), 10));
    assert!(status(&server)["store_errors"].as_u64().is_some_and(|errors| errors >= 9));
    assert_eq!(status(&server)["parked_entries"], 0, "nothing of this is a refusal");
}

/// S6: what lasts is told with the way out; everything waits, and goes on when it is mended.
#[test]
fn a_store_that_refuses_everything_is_waited_out_and_the_reason_told() {
    let cases = [
        (Fault::Says(400, "ExpiredToken"), "renew the credentials"),
        (Fault::Says(404, "NoSuchBucket"), "create the bucket"),
        (Fault::Says(403, "RequestTimeTooSkewed"), "clock"),
    ];
    let folder = TempDir::new().expect("a folder");
    let faults = Faults::default();
    let s3 = s3::serve(folder.path(), "my-bucket", faults.clone(), true);
    let server = setup(folder.path(), &s3).start();
    let mut traces = 0;
    for (fault, way_out) in cases {
        faults.add(None, "", u64::MAX, fault);
        sends(&server, traces..traces + 3);
        traces += 3;
        until("the reason", LIMIT, || {
            server.admin("/readyz").filter(|(status, why)| *status == 503 && why.contains(way_out))
        });
        let page = status(&server);
        assert!(page["store"]["trouble"].as_str().is_some_and(|why| why.contains(way_out)), "{page}");
        assert_eq!(page["records"]["buffered"], 12, "{page}");
        assert_eq!(page["parked_entries"], 0, "it is not the entries' fault");
        assert!(page["oldest_buffered_micros"].as_i64().is_some_and(|at| at > 0), "{page}");
        faults.clear();
        server.drain(LIMIT);
    }
    is_whole(&server, folder.path(), traces);
}

/// S8: a store that knows no conditional puts, by ignoring the condition or by refusing it, is told and not used.
#[test]
fn a_store_without_conditional_puts_is_refused_in_words() {
    for fault in [Fault::Unconditional, Fault::Says(501, "NotImplemented")] {
        let folder = TempDir::new().expect("a folder");
        let faults = Faults::default();
        faults.add(Some(Method::PUT), "", u64::MAX, fault);
        // Requests are changed on their way, so nobody signs them.
        let s3 = s3::serve(folder.path(), "my-bucket", faults.clone(), false);
        let setup = setup(folder.path(), &s3).with_plain("AWS_SKIP_SIGNATURE", "true");
        let check = setup.command().arg("check").output().expect("the program starts");
        let said = String::from_utf8_lossy(&check.stderr).into_owned();
        assert!(check.status.code() == Some(1) && said.contains("conditional puts"), "{fault:?}: {said}");
        let mut server = setup.start_alive();
        sends(&server, 0..3);
        let (_, why) = until("the reason", LIMIT, || server.admin("/readyz").filter(|(status, _)| *status == 503));
        assert!(why.contains("conditional puts"), "{fault:?}: {why}");
        server.kill();
        server.restart_alive();
        until("the reason again", LIMIT, || server.admin("/readyz").filter(|(status, _)| *status == 503));
        let names: Vec<PathBuf> = files_below(&lake(folder.path()));
        assert!(names.iter().all(|name| name.ends_with("probe")), "{fault:?}: {names:?}");
        assert_eq!(server.ledger().buffered, 12);
        faults.clear();
        server.drain(LIMIT);
        is_whole(&server, folder.path(), 3);
    }
}

/// S12: foreign objects under our keys park their entries, which is told with the reason; the others go on. When they are
/// gone, the next start stores what was parked.
#[test]
fn a_foreign_object_parks_its_entry_and_the_process_goes_on() {
    let folder = TempDir::new().expect("a folder");
    let s3 = s3::serve_bucket(folder.path(), "my-bucket");
    let mut server = setup(folder.path(), &s3).start();
    let text = std::fs::read_to_string(server.data().join("writer")).expect("who writes");
    let word = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).expect("a line").to_owned();
    let commits = lake(folder.path()).join(format!("_commits/{}-{}", word("name "), word("id ")));
    std::fs::create_dir_all(&commits).expect("a folder of the bucket");
    // Segments are numbered as they come; some of the next have rows.
    let foreign: Vec<PathBuf> = (1..=3).map(|segment| commits.join(format!("{segment:012}.json"))).collect();
    foreign.iter().for_each(|path| std::fs::write(path, "somebody else's").expect("written"));
    for trace in 0..6 {
        sends(&server, trace..trace + 1);
        std::thread::sleep(Duration::from_millis(900));
    }
    let page = until("the others to land", LIMIT, || {
        let page = status(&server);
        let parked = page["store"]["parked"].as_object().map_or(0, serde_json::Map::len);
        (parked > 0 && page["outbox_entries"].as_u64() == Some(parked as u64)).then_some(page)
    });
    let parked = page["store"]["parked"].as_object().expect("a map").clone();
    assert!(parked.len() <= 3 && page["parked_entries"] == parked.len(), "{page}");
    assert!(parked.values().all(|why| why[""].as_str().is_some_and(|why| why.contains("another object"))), "{page}");
    assert!(page["commits"].as_u64().is_some_and(|commits| commits > 0), "{page}");
    let output = server.command().arg("status").output().expect("the program starts");
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(shown.contains("parked        entry ") && shown.contains("another object"), "{shown}");
    server.ledger();

    // They are told after a restart too, and stored once nothing is in their way.
    server.kill();
    server.restart_alive();
    assert_eq!(status(&server)["store"]["parked"].as_object().map(serde_json::Map::len), Some(parked.len()));
    server.kill();
    let untouched = foreign.iter().filter(|path| std::fs::read(path).is_ok_and(|bytes| bytes == b"somebody else's"));
    assert_eq!(untouched.count(), 3, "nobody replaces a foreign object");
    foreign.iter().for_each(|path| std::fs::remove_file(path).expect("removed"));
    server.restart();
    server.drain(LIMIT);
    is_whole(&server, folder.path(), 6);
}

/// D13 and D14: a backlog is stored oldest first while live traffic is served, in little memory.
#[test]
fn a_backlog_drains_oldest_first_beside_live_traffic_in_flat_memory() {
    let folder = TempDir::new().expect("a folder");
    let faults = Faults::default();
    let s3 = s3::serve(folder.path(), "my-bucket", faults.clone(), true);
    let mut server = setup(folder.path(), &s3).with("ROLL__SIZE", "64KiB").start();
    faults.add(None, "", u64::MAX, Fault::Says(503, "SlowDown"));
    let mut traces = 0;
    let backlog = |server: &Server| status(server)["outbox_entries"].as_u64().unwrap_or_default();
    until("a backlog", LIMIT, || {
        sends(&server, traces..traces + 20);
        traces += 20;
        (backlog(&server) >= 40).then_some(())
    });
    server.kill();
    server.restart_alive();
    let resident = |server: &Server| status(server)["resident_bytes"].as_u64().expect("a figure of /proc");
    let entries = until("the backlog", LIMIT, || Some(backlog(&server)).filter(|entries| *entries >= 40));
    let (before, from) = (resident(&server), faults.puts().len());
    faults.clear();
    let mut most = before;
    until("the backlog to be stored", LIMIT, || {
        sends(&server, traces..traces + 5);
        traces += 5;
        most = most.max(resident(&server));
        (backlog(&server) <= 5).then_some(())
    });
    server.drain(LIMIT);
    let order: Vec<u64> = faults.puts()[from..]
        .iter()
        .filter(|path| path.contains("/_commits/"))
        .filter_map(|path| path.rsplit('/').next()?.strip_suffix(".json")?.parse().ok())
        .collect();
    assert!(order.len() as u64 >= entries, "{order:?}");
    // Eight entries are under way at once; those may overtake each other.
    for (n, segment) in order.iter().enumerate() {
        let overtaken = order[n..].iter().filter(|later| *later < segment).count();
        assert!(overtaken < 8, "{segment} was stored before {overtaken} older ones: {order:?}");
    }
    say(&format!("a backlog of {entries} entries: {before} bytes resident before, {most} at most while it drained"));
    assert!(most < before + (96 << 20), "{most} bytes resident, {before} before");
    is_whole(&server, folder.path(), traces);
}

/// S9: a store whose name is nobody's is told and waited for, and no secret stands in what is said.
#[test]
fn a_store_that_cannot_be_found_is_waited_for() {
    let folder = TempDir::new().expect("a folder");
    let s3 = s3::serve_bucket(folder.path(), "my-bucket");
    let lost = S3 { endpoint: "no-such-host.invalid:9000".to_owned(), ..s3.clone() };
    let mut server = setup(folder.path(), &lost).start_alive();
    sends(&server, 0..3);
    until("a reason", LIMIT, || server.admin("/readyz").filter(|(status, _)| *status == 503));
    assert_eq!(server.ledger().buffered, 12);
    assert!(!server.said().contains(&s3.secret), "{}", server.said());
    server.kill();
    let server = setup(folder.path(), &s3).start();
    let ledger = server.drain(LIMIT);
    assert_eq!((ledger.recovered, ledger.landed), (12, 12), "{ledger:?}");
    is_whole(&server, folder.path(), 3);
}

/// D11: SIGTERM while the store hangs ends within the grace period; the next start stores what is left.
#[test]
fn a_stop_with_a_store_that_hangs_ends_in_time_and_loses_nothing() {
    let folder = TempDir::new().expect("a folder");
    let faults = Faults::default();
    let s3 = s3::serve(folder.path(), "my-bucket", faults.clone(), true);
    let mut server = setup(folder.path(), &s3).with("SHUTDOWN__GRACE", "2s").start();
    faults.add(None, "", u64::MAX, Fault::Stalls);
    sends(&server, 0..5);
    let begun = Instant::now();
    assert!(server.stop_within(Duration::from_secs(60)).success(), "{}", server.said());
    say(&format!("stopped after {:?} with a store that hangs", begun.elapsed()));
    faults.clear();
    server.restart();
    let ledger = server.drain(LIMIT);
    assert_eq!((ledger.recovered, ledger.landed), (20, 20), "{ledger:?}");
    is_whole(&server, folder.path(), 5);
}

/// S10: whoever counts rows with DuckDB while they land sees whole files, and counts that only grow.
#[test]
fn a_reader_beside_a_writer_sees_counts_that_grow() {
    let folder = TempDir::new().expect("a folder");
    let mut reader = match Reader::new(folder.path(), None) {
        Ok(reader) => reader,
        Err(why) => return skip("a_reader_beside_a_writer_sees_counts_that_grow", &why),
    };
    let server = Setup::quick(folder.path()).with("ROLL__SIZE", "64KiB").start();
    let load = load::Load::start(&server.grpc(), &server.http(), 32 << 40, 2, Duration::from_millis(5));
    let events = server.data().join("events");
    until("the first file", LIMIT, || (!files_below(&events).is_empty()).then_some(()));
    let (mut last, mut looks) = (0, 0);
    let end = Instant::now() + Duration::from_secs(8);
    while Instant::now() < end {
        let counted = "SELECT count(*), count(DISTINCT event_id) FROM read_parquet('data/events/**/*.parquet')";
        let row = &reader.sql(counted)[0];
        let (rows, ids) = (row[0].as_i64().expect("a count"), row[1].as_i64().expect("a count"));
        assert!(rows >= last && rows == ids, "{rows} rows with {ids} ids, {last} before");
        (last, looks) = (rows, looks + 1);
    }
    say(&format!("{looks} looks while rows landed, {last} rows at the last"));
    assert!(last > 0 && looks > 3);
    let sent = load.finish();
    server.drain(LIMIT);
    sent.compare(&mut reader, folder.path(), "data/events/**/*.parquet").check();
}

/// D8 for what lies beside the log: while the process is down a bit flips in a file, again and again in another one. Each
/// start comes up by itself, knows all that is buffered, and in the end every row is there once.
#[test]
fn flipped_bits_beside_the_log_cost_nothing() {
    let folder = TempDir::new().expect("a folder");
    let faults = Faults::default();
    let s3 = s3::serve(folder.path(), "my-bucket", faults.clone(), true);
    let mut server = setup(folder.path(), &s3).with("ASSEMBLY__IDLE", "10m").start();
    faults.add(None, "", u64::MAX, Fault::Says(503, "SlowDown"));
    let client = Grpc::new(&server.grpc());
    let mut roots = Vec::new();
    for number in 3..5 {
        let (children, root) = load::trace(31 << 40, number);
        wait(client.traces(load::request(children))).expect("acknowledged");
        roots.push(root);
    }
    sends(&server, 0..3);
    until("entries that wait, and traces that are open", LIMIT, || {
        let page = status(&server);
        (page["outbox_entries"].as_u64() > Some(0) && page["open_traces"] == 2).then_some(())
    });
    let mut damaged = Vec::new();
    for name in ["carry", "change", "window", "tombs", "entry.json", "stored.json", "writer"] {
        for copy in ["", ".copy"] {
            server.kill();
            let name = format!("{name}{copy}");
            let is_named = |path: &&PathBuf| path.file_name().is_some_and(|file| file.to_string_lossy() == name);
            let files = files_below(&server.data());
            if let Some(path) = files.iter().rfind(is_named) {
                let mut bytes = std::fs::read(path).expect("readable");
                let middle = bytes.len() / 2;
                bytes[middle] ^= 16;
                std::fs::write(path, bytes).expect("written");
                damaged.push(name);
            }
            server.restart_alive();
            let ledger = server.ledger();
            assert_eq!((ledger.buffered, ledger.quarantined), (18, 0), "after {damaged:?}: {ledger:?}");
        }
    }
    say(&format!("a bit was flipped in each of {damaged:?}"));
    assert!(damaged.len() >= 8, "{damaged:?}");
    faults.clear();
    wait(Grpc::new(&server.grpc()).traces(load::request(roots))).expect("acknowledged");
    let ledger = server.drain(LIMIT);
    assert_eq!(ledger.landed, 20, "{ledger:?}");
    is_whole(&server, folder.path(), 5);
}

/// A small file system of a test's own.
#[derive(Debug)]
struct Small(PathBuf);

impl Small {
    /// The error says why there is none: mounting is for root.
    fn mount(at: PathBuf, size: &str) -> Result<Self, String> {
        std::fs::create_dir_all(&at).map_err(|error| error.to_string())?;
        let mut mount = Command::new("mount");
        let output = mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(&at).output();
        let output = output.map_err(|error| error.to_string())?;
        let why = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Ok(Self(at)) } else { Err(why) }
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.0).status().map(drop).unwrap_or_default();
    }
}

/// D5: a disk that fills up, by a backlog and by others. Senders are told to come again, over both doors; nothing
/// acknowledged is lost, and it goes on by itself as soon as there is room.
#[test]
fn a_full_disk_refuses_with_a_hint_and_goes_on_by_itself() {
    const NAME: &str = "a_full_disk_refuses_with_a_hint_and_goes_on_by_itself";
    let folder = TempDir::new().expect("a folder");
    let disk = match Small::mount(folder.path().join("data"), "6m") {
        Ok(disk) => disk,
        Err(why) => return say(&format!("SKIPPED {NAME}: no file system can be mounted: {why}")),
    };
    let faults = Faults::default();
    let s3 = s3::serve(folder.path(), "my-bucket", faults.clone(), true);
    let server = setup(folder.path(), &s3).with("ROLL__SIZE", "256KiB").with("DISK__RESERVE", "1MiB").start();
    let client = Grpc::new(&server.grpc());
    let traces = Cell::new(0);
    let refusal = |is_grpc: bool| {
        let batch = (traces.get()..traces.get() + 20).flat_map(|number| {
            let (children, root) = load::trace(33 << 40, number);
            [children, vec![root]].concat()
        });
        let request = load::request(batch.collect());
        let refused = if is_grpc {
            let refused = wait(client.traces(request)).err();
            if let Some(status) = &refused {
                assert_eq!(status.code(), tonic::Code::Unavailable, "{status:?}");
                assert!(!status.details().is_empty(), "a hint when to come again: {status:?}");
            }
            refused.is_some()
        } else {
            let body = prost::Message::encode_to_vec(&request);
            let url = format!("{}/v1/traces", server.http());
            let answer = wait(send::post(&url, "application/x-protobuf", Encoding::Plain, &body)).expect("an answer");
            if answer.status != 200 {
                assert_eq!(answer.status, 503, "{}", answer.text());
                assert!(answer.retry_after.is_some_and(|after| after.parse::<u64>().is_ok()), "whole seconds");
            }
            answer.status != 200
        };
        if !refused {
            traces.set(traces.get() + 20);
        }
        refused.then_some(())
    };
    let is_full = || {
        until("a refusal over gRPC", LIMIT, || refusal(true));
        until("a refusal over HTTP", LIMIT, || refusal(false));
        assert_eq!(server.admin("/healthz").expect("alive").0, 200);
    };
    let has_room = || {
        until("room", LIMIT, || refusal(true).is_none().then_some(()));
        server.drain(LIMIT);
    };

    // A backlog, because the store is down.
    faults.add(None, "", u64::MAX, Fault::Says(503, "SlowDown"));
    is_full();
    faults.clear();
    has_room();

    // Somebody else's file.
    let filler = disk.0.join("filler");
    let mut file = std::fs::File::create(&filler).expect("a file");
    while std::io::Write::write_all(&mut file, &[1; 4096]).is_ok() {}
    drop(file);
    is_full();
    std::fs::remove_file(&filler).expect("removed");
    has_room();
    let ledger = server.ledger();
    assert_eq!(ledger.quarantined, 0, "{ledger:?}");
    say(&format!("{} traces through a disk of 6 MiB that was full twice", traces.get()));
    is_whole(&server, folder.path(), traces.get());
}
