//! The catalogue's faults of the store, by number. S3 is in `points` too; with real servers they are in `tests/it`.

use super::process::Settings;
use super::world::World;
use crate::lake::objects::Call;
use crate::lake::objects::Failure;
use crate::lake::objects::Fault;
use crate::lake::objects::Outcome;
use crate::lake::objects::Scope;
use std::time::Duration;

fn fault(world: &mut World, call: Option<Call>, key: &str, times: u64, outcome: Outcome) {
    world.process().objects.add(Fault { call, key: key.to_owned(), skip: 0, times, outcome });
}

fn slow_down() -> Outcome {
    Outcome::NotDone(Failure::NotWritten(String::from("503 SlowDown")))
}

fn refused(scope: Scope) -> Outcome {
    Outcome::NotDone(Failure::Refused { scope, why: String::from("403 AccessDenied") })
}

fn traffic(world: &mut World, traces: u32) {
    for _ in 0..traces {
        world.trace();
        world.run(Duration::from_secs(2));
    }
}

/// S1: bursts of "slow down": nobody who sends notices.
#[test]
fn s1_slow_downs_are_waited_out_and_no_sender_notices() {
    let mut world = World::running(1, Settings::default());
    for _ in 0..8 {
        let times = world.random.below(23);
        fault(&mut world, None, "", times, slow_down());
        traffic(&mut world, 2);
    }
    assert_eq!(world.client.refusals, 0);
    world.settle();
}

/// S2: a call that never answers is given up, and others go on meanwhile.
#[test]
fn s2_a_stalled_call_is_given_up_and_others_go_on() {
    let mut world = World::running(2, Settings::default());
    fault(&mut world, Some(Call::Create), "events", 1, Outcome::Silent);
    traffic(&mut world, 4);
    world.run(Duration::from_secs(600));
    assert!(world.bucket.seen(|seen| seen.manifests.len()) > 0, "nothing went on");
    assert_eq!(world.process().outbox.backlog().entries, 0, "the stalled one was never given up");
    world.settle();
}

/// S3: the put was done, its answer lost.
#[test]
pub(super) fn s3_a_lost_answer_is_found_to_be_a_success() {
    for outcome in [Outcome::DoneButFailed(Failure::Unknown(String::from("reset"))), Outcome::DoneAndSilent] {
        let mut world = World::running(3, Settings::default());
        for key in ["events", "_commits"] {
            fault(&mut world, Some(Call::Create), key, 2, outcome.clone());
        }
        traffic(&mut world, 5);
        world.settle();
        assert_eq!(world.process().outbox.parked(), [0; 0], "a lost answer is no foreign object");
    }
}

/// S4 and S12: a foreign object under our key parks that entry, the others go on, and nothing of it is believed.
#[test]
pub(super) fn s4_a_foreign_object_parks_one_entry_and_the_others_go_on() {
    for folder in ["events/date=2026-11-21", "_commits"] {
        let mut world = World::running(4, Settings::default());
        world.client.resends = false;
        let writer = world.process().road.as_ref().unwrap().writer().to_string();
        let keys: Vec<String> = (1..4)
            .map(|segment| match folder {
                "_commits" => format!("_commits/{writer}/{segment:012}.json"),
                folder => format!("{folder}/{writer}-{segment:012}-000.pb"),
            })
            .collect();
        for key in &keys {
            world.bucket.memory.replace(key, "somebody else's");
        }
        traffic(&mut world, 12);
        world.run(Duration::from_secs(100));
        let parked = world.process().outbox.parked();
        assert!(!parked.is_empty() && parked.len() <= 3, "{folder}: {parked:?} are parked");
        assert!(world.bucket.seen(|seen| seen.manifests.len()) > 1, "{folder}: the others do not go on");
        world.process().check_still();
        // A restart tries them again, and parks them again.
        world.kill();
        world.start();
        world.run(Duration::from_secs(30));
        assert_eq!(world.process().outbox.parked(), parked);
        // Somebody takes the foreign ones away: they are stored within ten minutes.
        for key in &keys {
            if world.bucket.memory.all().get(key).is_some_and(|bytes| bytes == "somebody else's") {
                world.bucket.memory.remove(key);
            }
        }
        world.run(Duration::from_secs(2000));
        assert_eq!(world.process().outbox.parked(), [0; 0]);
        world.settle();
    }
}

/// S6: a credential that has expired, a bucket that is gone: everything waits, nothing is dropped, the reason is told.
#[test]
fn s6_a_refusal_of_the_whole_store_is_waited_out() {
    let mut world = World::running(6, Settings::default());
    fault(&mut world, None, "", u64::MAX, refused(Scope::Store));
    traffic(&mut world, 10);
    world.run(Duration::from_secs(3600));
    assert_eq!(world.process().outbox.parked(), [0; 0], "it is not the entries' fault");
    assert!(world.process().outbox.backlog().entries > 3);
    assert_eq!(world.client.refusals, 0, "senders notice nothing before the cap");
    world.process().objects.clear();
    world.run(Duration::from_secs(120));
    assert_eq!(world.process().outbox.backlog().entries, 0, "it goes on by itself");
    world.settle();
}

/// S6: 403 on one prefix parks what goes there, and only that.
#[test]
fn s6_a_refused_prefix_does_not_hold_up_the_others() {
    let mut world = World::running(66, Settings::default());
    fault(&mut world, Some(Call::Create), "team/a", u64::MAX, refused(Scope::Object));
    traffic(&mut world, 20);
    world.run(Duration::from_secs(60));
    let committed =
        world.bucket.seen(|seen| seen.manifests.keys().map(|(prefix, _)| prefix.clone()).collect::<Vec<_>>());
    assert!(committed.iter().any(String::is_empty) && !committed.iter().any(|prefix| prefix == "team/a"));
    assert!(!world.process().outbox.parked().is_empty());
    world.settle();
}

/// S7: what is damaged on the local disk is not stored; the entry is parked, the others go on.
#[test]
fn s7_a_damaged_file_of_the_outbox_is_never_stored() {
    let mut world = World::running(7, Settings::default());
    world.client.resends = false;
    fault(&mut world, None, "", u64::MAX, slow_down());
    traffic(&mut world, 6);
    world.run(Duration::from_secs(60));
    world.kill();
    let outbox = std::path::Path::new(super::process::DATA).join("outbox");
    let parts = super::world::files(&world.disk, &outbox);
    let part = parts.iter().find(|path| path.ends_with("0000.part")).unwrap();
    let bytes = crate::wal::disk::read(&world.disk, part).unwrap();
    let disk = &world.disk;
    crate::wal::disk::Disk::edit(disk, part).unwrap().write_at(3, &[bytes[3] ^ 1]).unwrap();
    world.start();
    world.run(Duration::from_secs(60));
    assert_eq!(world.process().outbox.parked().len(), 1);
    assert!(world.bucket.seen(|seen| seen.manifests.len()) > 0);
    crate::wal::disk::Disk::edit(&world.disk, part).unwrap().write_at(3, &[bytes[3]]).unwrap();
    world.run(Duration::from_secs(1300));
    world.settle();
}

/// S8: a store that ignores the condition of a put, or refuses it, is found out before anything is stored in it.
/// Everything waits, senders notice nothing, nothing is replaced; a store that can do it takes all of it.
#[test]
fn s8_nothing_is_stored_where_a_put_cannot_be_conditional() {
    for is_ignored in [true, false] {
        let settings = Settings { probes: true, ..Settings::default() };
        let mut world = World::new(8, settings);
        world.bucket.replaces.store(is_ignored, std::sync::atomic::Ordering::Relaxed);
        world.start();
        if !is_ignored {
            fault(&mut world, Some(Call::Create), "", u64::MAX, refused(Scope::Store));
        }
        traffic(&mut world, 10);
        world.run(Duration::from_secs(3600));
        // Also after a restart, which finds what the last one asked with.
        world.kill();
        world.start();
        if !is_ignored {
            fault(&mut world, Some(Call::Create), "", u64::MAX, refused(Scope::Store));
        }
        traffic(&mut world, 3);
        let stored = world.bucket.memory.all();
        assert!(stored.keys().all(|key| key.ends_with("/probe")), "{:?}", stored.keys());
        assert_eq!(world.client.refusals, 0);
        let process = world.process();
        assert!(process.outbox.waiting().len() > 3 && process.outbox.parked().is_empty());
        world.bucket.replaces.store(false, std::sync::atomic::Ordering::Relaxed);
        world.process().objects.clear();
        world.run(Duration::from_secs(120));
        assert_eq!(world.process().outbox.backlog().entries, 0, "it goes on by itself");
        world.settle();
    }
}

/// S9: names that do not resolve, connections that are refused: nothing was sent, it is tried again.
#[test]
fn s9_a_store_that_cannot_be_reached_is_tried_until_it_can() {
    let mut world = World::running(9, Settings::default());
    let outcome = Outcome::NotDone(Failure::NotWritten(String::from("dns error: no such host")));
    fault(&mut world, None, "", u64::MAX, outcome);
    traffic(&mut world, 5);
    world.run(Duration::from_secs(86_400));
    let tried = world.process().objects.calls().len();
    assert!(tried < 60_000, "{tried} calls in a day");
    world.process().objects.clear();
    world.run(Duration::from_secs(60));
    assert_eq!(world.process().outbox.backlog().entries, 0);
    world.settle();
}

/// S10: whoever reads the manifests while batches are committed sees each batch whole: the bucket of the rig reads at
/// every commit, and counts only grow.
#[test]
pub(super) fn s10_a_reader_at_every_commit_sees_whole_batches_and_counts_that_grow() {
    let mut world = World::running(10, Settings::default());
    let mut before = 0;
    for _ in 0..30 {
        world.trace();
        world.run(Duration::from_secs(3));
        let rows = world.bucket.seen(|seen| seen.rows.len());
        assert!(rows >= before, "rows vanished");
        before = rows;
        world.bucket.check(false, true);
    }
    world.settle();
    assert!(before > 20);
}

/// S12: a partition key with too many values: writers are bounded, the rest goes to one partition.
#[test]
fn s12_too_many_partitions_overflow_into_one() {
    let settings = Settings { partition: "conv_id={conv_id}", partitions: 4, ..Settings::default() };
    let Ok(_) = settings.partition.parse::<crate::lake::partition::Template>() else {
        panic!("{} is no template", settings.partition)
    };
    let mut world = World::running(12, settings);
    for _ in 0..40 {
        world.trace();
    }
    world.run(Duration::from_secs(100));
    world.settle();
    let keys = world.bucket.memory.all();
    assert!(keys.keys().any(|key| key.contains("__overflow__")), "{:?}", keys.keys());
}
