//! The catalogue's faults of the disk, by number. D2 and D7 are in `points`, D1 with a real process in `tests/it`.

use super::client::SECRET;
use super::process::DATA;
use super::process::Process;
use super::process::Settings;
use super::world::World;
use crate::lake::objects;
use crate::lake::objects::Failure;
use crate::wal::AppendError;
use crate::wal::Home;
use crate::wal::OpenError;
use crate::wal::disk;
use crate::wal::disk::Disk;
use crate::wal::disk::Fault;
use crate::wal::disk::FaultDisk;
use crate::wal::disk::Op;
use crate::wal::disk::Outcome;
use rustix::io::Errno;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Some traces, on their way.
fn busy(seed: u64) -> World {
    let mut world = World::running(seed, Settings::default());
    for _ in 0..5 {
        world.trace();
        world.run(Duration::from_secs(2));
    }
    world
}

fn down(world: &mut World, times: u64) {
    let outcome = objects::Outcome::NotDone(Failure::NotWritten(String::from("connection refused")));
    world.process().objects.add(objects::Fault { call: None, key: String::new(), skip: 0, times, outcome });
}

/// D1, on the rig; the loop with a real process is `kills_under_load_lose_nothing_and_double_nothing`.
#[test]
fn d1_kills_at_any_instant_lose_nothing() {
    let mut world = World::running(11, Settings::default());
    for _ in 0..150 {
        world.trace();
        let time = Duration::from_millis(world.random.below(1700));
        world.run(time);
        world.kill();
        world.start();
    }
    world.settle();
    say!("D1: {:?}", world.tally);
}

#[test]
pub(super) fn d3_power_cuts_lose_nothing() {
    let mut world = World::running(12, Settings::default());
    for cycle in 0..150 {
        world.trace();
        world.run(Duration::from_millis(cycle * 37 % 2100));
        world.cut_power(cycle);
        world.start();
    }
    world.settle();
    say!("D3: {:?}", world.tally);
}

/// D4: names that were not synced are lost; what stood in such files was never acknowledged. The mutation
/// `NoNameSync` shows that this notices.
#[test]
pub(super) fn d4_new_files_survive_a_power_cut_or_were_never_acknowledged() {
    for seed in 0..60 {
        let mut world = World::running(seed, Settings::default());
        world.trace();
        world.run(Duration::from_millis(200));
        world.cut_power(seed);
        world.settle();
    }
}

#[test]
fn d5_a_full_disk_refuses_with_a_hint_and_passes_by_itself() {
    for seed in 0..20 {
        let mut world = busy(seed);
        world.disk.set_capacity(world.used() + seed * 700);
        for _ in 0..10 {
            world.trace();
            world.run(Duration::from_secs(3));
        }
        assert!(world.process.is_some(), "a full disk is no reason to end");
        assert!(world.client.refusals > 0 || seed > 10, "seed {seed}: nobody was refused");
        let lives = world.tally.lives;
        world.disk.set_capacity(u64::MAX);
        world.run(Duration::from_secs(20));
        world.settle();
        assert_eq!(world.tally.lives, lives, "it goes on by itself");
    }
}

/// D5, for the fold's own need of space: the log keeps its reserve, so that folding can always free some.
#[test]
fn d5_with_a_reserve_the_fold_never_meets_a_full_disk() {
    let mut settings = Settings::default();
    settings.log.reserve = 64 << 10;
    let mut world = World::running(4, settings);
    world.disk.set_capacity(400 << 10);
    world.client.padding = 4000;
    down(&mut world, u64::MAX);
    for _ in 0..150 {
        world.trace();
        world.run(Duration::from_secs(1));
        let least = world.disk.free(Path::new(DATA)).unwrap();
        assert!(least > 16 << 10, "{least} bytes are left");
    }
    assert!(world.client.refusals > 0, "the disk never filled");
    world.settle();
}

#[test]
fn d6_too_few_inodes_or_open_files_are_waited_out() {
    for (seed, errno) in [Errno::MFILE, Errno::NFILE, Errno::DQUOT, Errno::NOSPC].into_iter().enumerate() {
        for op in [Op::Create, Op::Open, Op::CreateDir] {
            if op == Op::Open && matches!(errno, Errno::DQUOT | Errno::NOSPC) {
                continue;
            }
            let mut world = busy(seed as u64);
            let outcome = Outcome::NotDone(errno);
            world.process().disk.add(Fault { op: Some(op), path: String::new(), skip: 3, times: 9, outcome });
            for _ in 0..5 {
                world.trace();
                world.run(Duration::from_secs(4));
            }
            assert!(world.process.is_some(), "{op:?} {errno:?} is no reason to end");
            world.settle();
        }
    }
}

/// D7: EIO ends the process, and nothing is written or acknowledged after it; no sync is made twice.
#[test]
pub(super) fn d7_an_error_of_the_disk_ends_the_process_and_no_sync_is_tried_again() {
    for op in [Op::WriteAt, Op::Sync, Op::SyncDir, Op::Rename, Op::Create] {
        let mut world = busy(7);
        let acknowledged = world.client.acknowledged.len();
        let disk = world.process().disk.clone();
        disk.add(Fault {
            op: Some(op),
            path: String::new(),
            skip: 0,
            times: u64::MAX,
            outcome: Outcome::NotDone(Errno::IO),
        });
        world.may_die = true;
        world.trace();
        let before = disk.calls().len();
        world.run(Duration::from_secs(10));
        assert!(world.process.is_none(), "{op:?}: the process goes on");
        let failed: Vec<_> = disk.calls().into_iter().skip(before).filter(|call| call.op == op).collect();
        assert_eq!(failed.len(), 1, "{op:?} was tried again: {failed:?}");
        if matches!(op, Op::WriteAt | Op::Sync) {
            assert_eq!(world.client.acknowledged.len(), acknowledged, "{op:?}: acknowledged after the error");
        }
        world.disk = world.disk.power_loss(1);
        world.settle();
    }
}

/// D8: flipped bits in sealed and open segments cost at most what they hit; the rest goes on, and is counted.
#[test]
fn d8_flipped_bits_and_empty_files_cost_only_what_they_hit() {
    for seed in 0..40u64 {
        let mut world = busy(seed);
        world.trace();
        world.run(Duration::from_millis(300));
        world.kill();
        let folder = Path::new(DATA).join("wal");
        let segments = world.disk.list(&folder).unwrap();
        let Some(last) = segments.iter().rfind(|entry| entry.name.ends_with(".seg")) else { continue };
        let path = folder.join(&last.name);
        let bytes = disk::read(&world.disk, &path).unwrap();
        let used = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0) as u64;
        let at = seed * 131 % (used + 1);
        let byte = bytes[usize::try_from(at).unwrap()];
        if seed % 8 == 7 {
            // A file without content, as after a power cut of a file system that lies.
            world.disk.create(&folder.join("000000009999.seg")).unwrap();
        }
        world.disk.edit(&path).unwrap().write_at(at, &[byte ^ (1 << (seed % 8))]).unwrap();
        // An envelope that is hit costs the records of its request.
        world.damaged = 3;
        world.start();
        world.settle();
    }
}

/// D8: a record of an open trace that is damaged where it waits costs itself, and not its trace, nor the start.
#[test]
fn d8_damage_to_a_record_of_an_open_trace_costs_only_that_record() {
    let settings = Settings { patience: (3, 400, 2000), ..Settings::default() };
    for is_envelope in [false, true] {
        let mut world = World::running(21, settings.clone());
        for _ in 0..8 {
            world.trace();
        }
        world.run(Duration::from_secs(9));
        let open = world.process().road.as_ref().unwrap().open_records();
        assert!(open > 0, "nothing is open");
        world.kill();
        let folder = Path::new(DATA).join("wal");
        for entry in world.disk.list(&folder).unwrap() {
            let path = folder.join(&entry.name);
            let bytes = disk::read(&world.disk, &path).unwrap();
            // Behind the header of 64 bytes stands an envelope.
            let at = if is_envelope { 64 + 50 } else { bytes.len() as u64 * 2 / 3 };
            if let Some(byte) = bytes.get(usize::try_from(at).unwrap()) {
                world.disk.edit(&path).unwrap().write_at(at, &[byte ^ 4]).unwrap();
                world.damaged += 3;
            }
        }
        world.start();
        world.trace();
        world.settle();
    }
}

#[test]
fn d9_a_directory_of_another_version_is_refused_in_words() {
    let mut world = busy(1);
    world.kill();
    let path = Path::new(DATA).join("writer");
    let head = "chatlake writer, format 9\nname w\nid 0000000000000007\n";
    let text = format!("{head}check {:08x}\n", crc32fast::hash(head.as_bytes()));
    disk::write(&world.disk, &path, text.as_bytes()).unwrap();
    let refused = Home::claim(Arc::new(world.disk.clone()), Path::new(DATA), "w", 7).unwrap_err();
    assert!(matches!(refused, OpenError::Version { found: 9, .. }), "{refused}");
    assert!(refused.to_string().contains("drain it with the program that wrote it"), "{refused}");
}

/// D10: a record at the limit of a segment is taken, one that the log can never take is refused up front.
#[test]
fn d10_records_at_the_limit_are_taken_and_beyond_it_refused() {
    let settings = Settings::default();
    let roll = settings.log.roll_size;
    for size in [roll - 600, roll - 400, roll - 200, roll - 1, roll, roll + 1, 3 * roll] {
        let mut world = World::running(2, settings.clone());
        world.client.padding = 0;
        let text = "y".repeat(usize::try_from(size).unwrap());
        let envelope = crate::event::Envelope { tenant: "t".into(), door: "otlp".into(), ..Default::default() };
        let row = crate::event::Event { event_type: "log.line".into(), name: text.clone(), ..Default::default() };
        let partial = crate::event::Partial { kind: 1, row: Some(Box::new(row)), start_ns: 1, ..Default::default() };
        let bytes = crate::event::Record::encode(0, &partial, &mut Vec::new());
        let envelope = prost::Message::encode_to_vec(&envelope).into();
        let request = vec![crate::redact::Redacted::of_test(envelope, vec![bytes])];
        let mut pending = world.process().wal.submit(request, None).unwrap();
        world.work();
        assert!(pending.try_answer().unwrap().is_ok(), "{size}");
        world.client.sent.insert(text.clone());
        world.client.acknowledged.insert(text);
        world.settle();
    }
    let mut world = World::running(2, settings.clone());
    let bytes = bytes::Bytes::from(vec![0; usize::try_from(settings.log.cap).unwrap()]);
    let request = vec![crate::redact::Redacted::of_test(bytes::Bytes::new(), vec![bytes])];
    assert_eq!(world.process().wal.submit(request, None).unwrap_err(), AppendError::TooLarge);
}

/// D11: a stop while the store hangs ends within its grace; the rest is in the outbox, and the next start stores it.
#[test]
fn d11_a_stop_with_a_slow_store_ends_in_time_and_loses_nothing() {
    for grace in [5, 30] {
        let mut world = busy(8);
        let outcome = objects::Outcome::Silent;
        let fault = objects::Fault { call: None, key: String::new(), skip: 0, times: u64::MAX, outcome };
        world.process().objects.add(fault);
        for _ in 0..3 {
            world.trace();
        }
        world.run(Duration::from_secs(1));
        let begin = world.now();
        assert!(!world.stop(Duration::from_secs(grace)), "the store hangs");
        assert!(world.now() - begin <= Duration::from_secs(grace), "the grace was exceeded");
        world.settle();
    }
    let mut world = busy(8);
    assert!(world.stop(Duration::from_secs(8)), "with a store that is well it ends by itself");
    world.settle();
}

#[test]
fn d12_a_second_process_on_the_directory_is_refused() {
    let mut world = busy(3);
    let again = Home::claim(Arc::new(world.disk.clone()), Path::new(DATA), "w", 7);
    assert!(matches!(again, Err(OpenError::Locked { .. })), "{again:?}");
    world.settle();
}

/// D13: a week without a store. The oldest is kept, what comes beyond the cap is refused, and nothing is missing.
#[test]
fn d13_a_week_without_the_store_costs_disk_only() {
    let mut settings = Settings::default();
    settings.log.cap = 1 << 20;
    let mut world = World::running(13, settings);
    world.client.resends = false;
    // It takes connections and never answers.
    let outcome = objects::Outcome::Silent;
    world.process().objects.add(objects::Fault { call: None, key: String::new(), skip: 0, times: u64::MAX, outcome });
    let mut open = 0;
    for _ in 0..7 * 24 {
        world.trace();
        world.run(Duration::from_secs(3600));
        let process = world.process();
        open = open.max(process.road.as_ref().map_or(0, crate::road::Road::open_records));
    }
    let backlog = world.process().outbox.backlog();
    assert!(backlog.entries > 100, "{backlog:?}");
    assert!(open < 60, "{open} records in memory");
    let oldest = backlog.oldest;
    world.process().objects.clear();
    let commits = world.bucket.seen(|seen| seen.order.len());
    assert_eq!(commits, 0);
    world.settle();
    let first = world.bucket.seen(|seen| seen.order.first().copied());
    assert_eq!(first, oldest, "oldest first");
}

/// D14: a restart on a backlog. It is stored oldest first, by so many entries at once, while live traffic is taken.
#[test]
fn d14_a_backlog_drains_oldest_first_while_live_traffic_is_served() {
    let mut world = World::running(14, Settings::default());
    down(&mut world, u64::MAX);
    for _ in 0..60 {
        world.trace();
        world.run(Duration::from_secs(6));
    }
    world.kill();
    world.start();
    let acknowledged = world.client.acknowledged.len();
    let backlog = world.process().outbox.waiting();
    assert!(backlog.len() > 30);
    world.trace();
    let now = world.now();
    let wal = world.process().wal.clone();
    world.client.send(&wal, now);
    world.act(Process::write);
    assert!(world.client.acknowledged.len() > acknowledged, "live traffic is taken before the backlog is stored");
    world.settle();
    let order: Vec<u64> = world.bucket.seen(|seen| seen.order.clone());
    let old: Vec<u64> = order.into_iter().filter(|segment| backlog.contains(segment)).collect();
    // Entries that are under way together may overtake each other, others not.
    for (n, segment) in old.iter().enumerate() {
        let later = &old[n..];
        let overtaken = later.iter().filter(|other| *other < segment).count();
        assert!(overtaken < 8, "{segment} was stored before {overtaken} older ones");
    }
}

/// I10 can fail: the search finds what is there.
#[test]
#[should_panic(expected = "I10")]
fn a_secret_on_the_disk_is_found() {
    let mut world = busy(2);
    let disk = FaultDisk::new(Arc::new(world.disk.clone()));
    disk::write(&disk, &Path::new(DATA).join("note"), format!("the key is {SECRET}").as_bytes()).unwrap();
    world.settle();
}
