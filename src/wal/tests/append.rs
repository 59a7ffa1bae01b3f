//! Appending, rolling, stopping.

use super::*;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn what_is_appended_can_be_read_back_in_order_and_by_place() {
    let mut rig = Rig::new();
    let receipt = rig.append(vec![redacted("e1", &["a", "b"]), redacted("e2", &["c"])]).unwrap();
    assert_eq!(receipt, Receipt { segment: 1, first_sequence: 0, records: 3 });
    rig.clock.advance(seconds(1));
    assert_eq!(rig.append(request("e3", &["", "d"])).unwrap().first_sequence, 3);

    let files = rig.opened.wal.files().clone();
    let segment = FileId::Segment(1);
    let told: Vec<_> = records(&files, segment);
    let expected = [(0, "e1", "a"), (1, "e1", "b"), (2, "e2", "c"), (3, "e3", ""), (4, "e3", "d")];
    assert_eq!(told, expected.map(|(n, e, r)| (n, e.to_owned(), r.to_owned())));

    let whole = files.read(segment).unwrap();
    for item in whole.scan() {
        let Item::Blob(blob) = item else { panic!("{item:?}") };
        let again = files.blob(segment, blob.offset).unwrap();
        assert_eq!(again.payload, blob.payload);
        assert_eq!((again.kind, again.time, again.sequence), (blob.kind, blob.time, blob.sequence));
        assert_eq!(again.envelope, blob.envelope);
        assert_eq!(blob.time, LogicalTime::default().plus(seconds(u64::from(blob.sequence >= 3))));
        assert!(files.blob(segment, blob.offset + 1).is_err());
    }
}

#[test]
fn a_large_record_is_read_back_by_place() {
    let mut rig = Rig::new();
    let large = "x".repeat(100_000);
    rig.append(request("e", &[&large])).unwrap();
    let files = rig.opened.wal.files();
    let whole = files.read(FileId::Segment(1)).unwrap();
    let items: Vec<Item<'_>> = whole.scan().collect();
    let [Item::Blob(envelope), Item::Blob(record)] = items[..] else { panic!("{items:?}") };
    assert_eq!(files.blob(FileId::Segment(1), record.offset).unwrap().payload, large.as_bytes());
    assert_eq!(record.envelope, envelope.offset);
}

#[test]
fn many_requests_share_one_sync() {
    let mut rig = Rig::new();
    rig.append(request("first", &["makes the file"])).unwrap();
    let syncs = [Op::Sync, Op::SyncDir].map(|op| rig.disk.count(op));
    let mut pending: Vec<_> = (0..50).map(|n| rig.submit(request("e", &[&n.to_string()]))).collect();
    rig.settle();
    assert!(pending.iter_mut().all(|pending| pending.try_answer().unwrap().is_ok()));
    assert_eq!([Op::Sync, Op::SyncDir].map(|op| rig.disk.count(op)), [syncs[0] + 1, syncs[1]]);
    assert_eq!(rig.opened.wal.stats().groups, 2);
    assert_eq!(rig.opened.wal.stats().requests, 51);
}

#[test]
fn nobody_is_answered_before_content_and_name_are_synced() {
    let mut rig = Rig::new();
    let mut pending = rig.submit(request("e", &["a"]));
    assert!(pending.try_answer().is_none());
    rig.settle();
    assert!(pending.try_answer().unwrap().is_ok());
    for seed in 0..100 {
        let again = Rig::again(rig.memory.power_loss(seed));
        assert_eq!(records(again.opened.wal.files(), FileId::Segment(1)), [(0, "e".into(), "a".into())]);
    }
}

#[test]
fn a_request_that_nobody_waits_for_is_not_appended() {
    let mut rig = Rig::new();
    let first = rig.submit(request("e", &["gone"]));
    let mut late = rig.opened.wal.submit(request("e", &["late"]), Some(seconds(3))).unwrap();
    let mut third = rig.submit(request("e", &["here"]));
    drop(first);
    rig.clock.advance(seconds(3));
    rig.settle();
    assert!(matches!(late.try_answer(), Some(Err(AppendError::Full { .. }))));
    assert!(third.try_answer().unwrap().is_ok());
    assert_eq!(records(rig.opened.wal.files(), FileId::Segment(1)), [(0, "e".into(), "here".into())]);
    assert_eq!(rig.opened.wal.stats().in_flight, 0);
}

#[test]
fn a_request_without_records_needs_no_disk() {
    let mut rig = Rig::new();
    let calls = rig.disk.calls().len();
    let receipt = rig.append(vec![redacted("e", &[])]).unwrap();
    assert_eq!(receipt, Receipt { segment: 0, first_sequence: 0, records: 0 });
    assert_eq!(rig.disk.calls().len(), calls);
}

#[test]
fn a_segment_is_sealed_when_it_is_old() {
    let mut rig = Rig::new();
    rig.clock.advance(seconds(100));
    rig.append(request("e", &["a"])).unwrap();
    rig.clock.advance(seconds(4));
    rig.append(request("e", &["b"])).unwrap();
    assert_eq!(rig.settle(), Turn::Idle(Some(seconds(105))));
    assert_eq!(rig.sealed(), [0; 0]);
    rig.clock.advance(seconds(1));
    assert_eq!(rig.settle(), Turn::Idle(None));
    assert_eq!(rig.sealed(), [1]);
    let expected = Seal {
        time: LogicalTime::default().plus(seconds(105)),
        reason: Reason::Age,
        next_sequence: 2,
        records: 2,
        envelopes: 2,
    };
    assert_eq!(seal(rig.opened.wal.files(), 1), expected);
    assert_eq!(rig.append(request("e", &["c"])).unwrap(), Receipt { segment: 2, first_sequence: 2, records: 1 });
}

#[test]
fn a_segment_is_sealed_when_the_next_request_does_not_fit_and_cut_to_its_length() {
    let mut rig = Rig::new();
    let half = "x".repeat(3900);
    for _ in 0..5 {
        rig.append(request("e", &[&half])).unwrap();
    }
    assert_eq!(rig.sealed(), [1, 2]);
    let files = rig.opened.wal.files();
    assert_eq!(seal(files, 2).reason, Reason::Size);
    let sizes: Vec<u64> = (1..=3).map(|n| files.read(FileId::Segment(n)).unwrap().size()).collect();
    assert!(sizes[0] < 8 << 10 && sizes[0] == sizes[1], "{sizes:?}");
    assert_eq!(sizes[2], 8 << 10);
    assert_eq!(rig.opened.wal.stats().used, sizes.iter().sum::<u64>());
}

#[test]
fn a_request_larger_than_a_segment_has_one_of_its_own() {
    let mut rig = Rig::new();
    let large = "x".repeat(20_000);
    let receipts = ["a", &large, "b"].map(|record| rig.append(request("e", &[record])).unwrap().segment);
    assert_eq!(receipts, [1, 2, 3]);
}

#[test]
fn an_empty_segment_is_sealed_at_the_deadline_but_not_soon_after_the_last() {
    let mut rig = Rig::new();
    rig.append(request("e", &["a"])).unwrap();
    rig.clock.advance(seconds(5));
    rig.settle();
    // The fold has not come through segment 1: what it asked for before does not count.
    rig.opened.wal.folded(0, Some(LogicalTime::default()));
    assert_eq!(rig.settle(), Turn::Idle(None));
    assert_eq!(rig.folded(Some(seconds(7))), [1]);
    assert_eq!(rig.settle(), Turn::Idle(Some(seconds(10))));
    rig.clock.advance(seconds(5));
    rig.settle();
    assert_eq!(rig.folded(Some(seconds(300))), [2]);
    assert_eq!(seal(rig.opened.wal.files(), 2).reason, Reason::Deadline);
    assert_eq!(rig.settle(), Turn::Idle(Some(seconds(300))));
    rig.clock.advance(seconds(290));
    rig.settle();
    assert_eq!(rig.folded(None), [3]);
    // Nothing is open: no timer, no writes, however long it takes.
    let calls = rig.disk.calls().len();
    rig.clock.advance(seconds(1_000_000));
    assert_eq!(rig.settle(), Turn::Idle(None));
    assert_eq!(rig.disk.calls().len(), calls);
}

#[test]
fn a_stop_answers_those_who_wait_and_seals_as_a_shutdown() {
    let mut rig = Rig::new();
    let mut pending = rig.submit(request("e", &["a"]));
    rig.opened.wal.stop();
    assert_eq!(rig.opened.wal.submit(request("e", &["b"]), None).unwrap_err(), AppendError::Closed);
    assert_eq!(rig.settle(), Turn::Stopped);
    assert!(pending.try_answer().unwrap().is_ok());
    assert_eq!(rig.sealed(), [1]);
    assert_eq!(seal(rig.opened.wal.files(), 1).reason, Reason::Shutdown);
}

#[test]
fn a_stop_tells_the_fold_also_when_nothing_came_but_something_is_open() {
    for (deadline, sealed) in [(Some(seconds(300)), vec![2]), (None, vec![])] {
        let mut rig = Rig::new();
        rig.append(request("e", &["a"])).unwrap();
        rig.clock.advance(seconds(5));
        rig.settle();
        rig.folded(deadline);
        rig.opened.wal.stop();
        assert_eq!(rig.settle(), Turn::Stopped);
        assert_eq!(rig.sealed(), sealed);
    }
    // A fold that is behind may have something open.
    let mut rig = Rig::new();
    rig.append(request("e", &["a"])).unwrap();
    rig.clock.advance(seconds(5));
    rig.settle();
    rig.opened.wal.stop();
    assert_eq!(rig.settle(), Turn::Stopped);
    assert_eq!(rig.sealed(), [1, 2]);
}

#[test]
fn a_log_without_handles_stops() {
    let Rig { opened, memory, .. } = {
        let mut rig = Rig::new();
        rig.append(request("e", &["a"])).unwrap();
        rig
    };
    let Opened { wal, mut writer, .. } = opened;
    drop(wal);
    while writer.turn().unwrap() != Turn::Stopped {}
    assert_eq!(seal(Rig::again(memory).opened.wal.files(), 1).reason, Reason::Shutdown);
}

#[test]
fn sealed_segments_are_announced_to_who_waits_and_end_with_the_writer() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut rig = Rig::new();
    rig.append(request("e", &["a"])).unwrap();
    rig.opened.wal.stop();
    let Opened { wal, writer, mut sealed, .. } = rig.opened;
    let thread = std::thread::spawn(move || writer.run());
    runtime.block_on(async {
        assert_eq!(sealed.next().await, Some(FileId::Segment(1)));
        assert_eq!(sealed.next().await, None);
        assert_eq!(wal.append(request("e", &["b"]), None).await, Err(AppendError::Closed));
    });
    thread.join().unwrap().unwrap();
}

#[test]
fn appending_from_many_tasks_on_a_real_disk_groups_and_keeps_all() {
    let folder = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(disk::OsDisk);
    let home = Home::claim(Arc::clone(&disk), folder.path(), "test", 7).unwrap();
    let clock = Arc::new(crate::clock::SystemClock::new());
    let opened = open(&home, Floor::default(), &small(), clock).unwrap();
    let Opened { wal, writer, .. } = opened;
    let thread = std::thread::spawn(move || writer.run());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let receipts: Vec<Receipt> = runtime.block_on(async {
        let appends = (0..200).map(|n| {
            let wal = wal.clone();
            async move { wal.append(request("e", &[&n.to_string(), "x"]), None).await.unwrap() }
        });
        futures::future::join_all(appends).await
    });
    wal.stop();
    thread.join().unwrap().unwrap();
    let stats = wal.stats();
    assert_eq!((stats.requests, stats.records), (200, 400));
    assert!(stats.groups < 100, "{stats:?}");
    let last = receipts.iter().map(|receipt| receipt.segment).max().unwrap();
    let mut found = Vec::new();
    for segment in 1..=last {
        found.extend(records(wal.files(), FileId::Segment(segment)));
    }
    assert_eq!(found.iter().map(|(n, ..)| *n).collect::<Vec<_>>(), (0..400).collect::<Vec<_>>());
    for (n, receipt) in receipts.iter().enumerate() {
        let at = usize::try_from(receipt.first_sequence).unwrap();
        assert_eq!(found[at].2, n.to_string());
    }
}
