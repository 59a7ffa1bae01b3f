//! Full disks wait, broken disks stop.

use super::*;
use rustix::io::Errno;

const FULL: AppendError = AppendError::Full { retry_after: Duration::from_secs(5) };
const REFUSED: AppendError = AppendError::Full { retry_after: Duration::from_secs(1) };

fn second(rig: &Rig) {
    rig.clock.advance(Duration::from_secs(1));
}

#[test]
fn requests_are_refused_near_the_cap_until_segments_are_deleted() {
    let mut rig = Rig::new();
    let record = "x".repeat(7 << 10);
    let mut appended = 0;
    let refused = loop {
        match rig.opened.wal.submit(request("e", &[&record]), None) {
            Ok(mut pending) => {
                rig.settle();
                pending.try_answer().unwrap().unwrap();
                appended += 1;
            }
            Err(error) => break error,
        }
    };
    assert_eq!(refused, FULL);
    let stats = rig.opened.wal.stats();
    assert!(stats.used <= small().cap && stats.used + 3 * small().roll_size > small().cap, "{stats:?}");
    assert!(appended > 100);
    for sealed in rig.sealed() {
        rig.opened.wal.files().remove(FileId::Segment(sealed)).unwrap();
    }
    rig.append(request("e", &[&record])).unwrap();
}

#[test]
fn the_outbox_counts_towards_the_cap() {
    let mut rig = Rig::new();
    rig.opened.wal.set_outbox_bytes(small().cap - 2 * small().roll_size);
    assert_eq!(rig.opened.wal.submit(request("e", &["a"]), None).unwrap_err(), FULL);
    rig.opened.wal.set_outbox_bytes(small().cap - 3 * small().roll_size);
    rig.append(request("e", &["a"])).unwrap();
    assert_eq!(rig.opened.wal.stats().outbox, small().cap - 3 * small().roll_size);
}

#[test]
fn requests_are_refused_near_the_reserve_of_the_disk() {
    let memory = MemDisk::new();
    let config = Config { reserve: 10 << 10, ..small() };
    let mut rig = Rig::with(memory.clone(), &config, Floor::default());
    memory.set_capacity(memory.used() + 26 * 1024);
    second(&rig);
    assert_eq!(rig.opened.wal.submit(request("e", &["a"]), None).unwrap_err(), FULL);
    memory.set_capacity(memory.used() + 27 * 1024);
    second(&rig);
    rig.append(request("e", &["a"])).unwrap();
    // The open segment has its space: only the other one has to be free now.
    second(&rig);
    rig.append(request("e", &["b"])).unwrap();
    memory.set_capacity(memory.used() + 18 * 1024);
    second(&rig);
    assert!(!rig.opened.wal.has_room());
    let disk_without_answer = Outcome::NotDone(Errno::IO);
    rig.fail(Op::Free, "", 0, disk_without_answer);
    second(&rig);
    assert!(rig.opened.wal.has_room(), "writing will tell");
}

#[test]
fn requests_on_their_way_are_bounded_but_one_alone_may_be_large() {
    let config = Config { in_flight: 1000, queue: 3, ..small() };
    let mut rig = Rig::with(MemDisk::new(), &config, Floor::default());
    let large = "x".repeat(5000);
    let first = rig.submit(request("e", &[&large]));
    assert_eq!(rig.opened.wal.submit(request("e", &["a"]), None).unwrap_err(), REFUSED);
    rig.settle();
    drop(first);
    let pending: Vec<_> = (0..3).map(|_| rig.submit(request("e", &["a"]))).collect();
    assert_eq!(rig.opened.wal.submit(request("e", &["a"]), None).unwrap_err(), REFUSED);
    drop(pending);
    let never = "x".repeat(2 << 20);
    assert_eq!(rig.opened.wal.submit(request("e", &[&never]), None).unwrap_err(), AppendError::TooLarge);
}

#[test]
fn a_full_disk_shows_before_anything_is_written_and_passes_by_itself() {
    let memory = MemDisk::new();
    let mut rig = Rig::with(memory.clone(), &small(), Floor::default());
    let mut pending = rig.submit(request("e", &["a"]));
    memory.set_capacity(memory.used() + 1000);
    rig.settle();
    assert_eq!(pending.try_answer(), Some(Err(REFUSED)));
    assert_eq!(rig.disk.count(Op::WriteAt), 2, "the writer's file and its copy, no segment");
    assert_eq!(rig.opened.wal.files().list().unwrap(), []);
    assert_eq!(rig.opened.wal.stats().used, 0);

    // Not sooner than in a second: asking a full disk again and again helps nobody.
    memory.set_capacity(u64::MAX);
    let mut pending = rig.submit(request("e", &["b"]));
    rig.settle();
    assert_eq!(pending.try_answer(), Some(Err(REFUSED)));
    second(&rig);
    let receipt = rig.append(request("e", &["c"])).unwrap();
    assert_eq!(receipt, Receipt { segment: 1, first_sequence: 0, records: 1 });
}

#[test]
fn too_many_open_files_are_a_full_disk() {
    let mut rig = Rig::new();
    rig.fail(Op::Create, ".seg", 0, Outcome::NotDone(Errno::MFILE));
    assert_eq!(rig.append(request("e", &["a"])), Err(REFUSED));
    second(&rig);
    rig.append(request("e", &["a"])).unwrap();
}

#[test]
fn a_group_that_meets_a_full_disk_is_cut_off_again() {
    // In the first group of a segment, and later.
    for already in 0..2 {
        let mut rig = Rig::new();
        let before: Vec<_> = (0..already).map(|_| rig.append(request("e", &["before"])).unwrap()).collect();
        rig.fail(Op::WriteAt, ".seg", 0, Outcome::Partly(150, Errno::NOSPC));
        let mut refused: Vec<_> = (0..3).map(|_| rig.submit(request("refused", &["never"]))).collect();
        rig.settle();
        for pending in &mut refused {
            assert_eq!(pending.try_answer(), Some(Err(REFUSED)));
        }
        second(&rig);
        let receipt = rig.append(request("e", &["after"])).unwrap();
        assert_eq!(receipt, Receipt { segment: 1, first_sequence: before.len() as u64, records: 1 });
        for seed in 0..50 {
            let again = Rig::again(rig.memory.power_loss(seed));
            let found = records(again.opened.wal.files(), FileId::Segment(1));
            assert!(found.iter().all(|(_, _, record)| record != "never"), "{found:?}");
            assert_eq!(found.len(), before.len() + 1);
            assert_eq!(again.opened.found.torn_bytes, 0);
        }
    }
}

#[test]
fn a_seal_that_meets_a_full_disk_is_tried_again() {
    let mut rig = Rig::new();
    rig.append(request("e", &["a"])).unwrap();
    rig.clock.advance(Duration::from_secs(5));
    rig.fail(Op::WriteAt, ".seg", 0, Outcome::Partly(10, Errno::DQUOT));
    assert_eq!(rig.settle(), Turn::Idle(Some(Duration::from_secs(6))));
    assert_eq!(rig.sealed(), [0; 0]);
    second(&rig);
    rig.settle();
    assert_eq!(rig.sealed(), [1]);
    assert_eq!(seal(rig.opened.wal.files(), 1).records, 1);
}

#[test]
fn a_broken_disk_fails_all_who_wait_and_is_not_touched_again() {
    let broken = [
        (Op::Create, Errno::IO),
        (Op::Allocate, Errno::IO),
        (Op::WriteAt, Errno::IO),
        (Op::Sync, Errno::IO),
        (Op::Sync, Errno::NOSPC),
        (Op::SyncDir, Errno::IO),
        (Op::SyncDir, Errno::NOSPC),
    ];
    for (op, errno) in broken {
        for done in [false, true] {
            let mut rig = Rig::new();
            let outcome = if done { Outcome::DoneButFailed(errno) } else { Outcome::NotDone(errno) };
            rig.fail(op, "/wal", 0, outcome);
            let mut waiting: Vec<_> = (0..3).map(|n| rig.submit(request("e", &[&n.to_string()]))).collect();
            let failed = rig.opened.writer.turn().unwrap_err();
            let calls = rig.disk.calls();
            assert_eq!(calls.last().unwrap().op, op);
            assert_eq!(failed.source.raw_os_error(), Some(errno.raw_os_error()));
            assert!(failed.to_string().contains("/data/wal/000000000001.seg"), "{failed}");
            for pending in &mut waiting {
                assert_eq!(pending.try_answer(), Some(Err(AppendError::Poisoned)));
            }
            assert_eq!(rig.opened.wal.submit(request("e", &["x"]), None).unwrap_err(), AppendError::Poisoned);
            rig.opened.wal.stop();
            assert_eq!(rig.opened.wal.submit(request("e", &["x"]), None).unwrap_err(), AppendError::Poisoned);
            drop(rig.opened.writer);
            assert_eq!(rig.disk.calls().len(), calls.len());
        }
    }
}

#[test]
fn a_request_that_the_writer_never_took_fails_too_when_the_disk_breaks() {
    let config = Config { cap: 64 << 20, ..small() };
    let mut rig = Rig::with(MemDisk::new(), &config, Floor::default());
    let large = "x".repeat(9 << 20);
    let mut first = rig.submit(request("e", &[&large]));
    let mut second = rig.submit(request("e", &["b"]));
    rig.fail(Op::Sync, ".seg", 0, Outcome::NotDone(Errno::IO));
    rig.opened.writer.turn().unwrap_err();
    assert_eq!(first.try_answer(), Some(Err(AppendError::Poisoned)));
    assert_eq!(second.try_answer(), None);
    drop(rig.opened.writer);
    assert_eq!(second.try_answer(), Some(Err(AppendError::Poisoned)));
}
