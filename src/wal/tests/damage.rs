//! Damage is noticed, costs what it hit and nothing else, and never holds up a start.

use super::*;

/// A sealed segment of three requests, and what is in it.
fn sealed() -> (Rig, Vec<u8>, Vec<(u64, String, String)>) {
    let mut rig = Rig::new();
    rig.append(vec![redacted("tenant one", &["alpha", "beta"]), redacted("tenant two", &["gamma"])]).unwrap();
    rig.append(request("tenant three", &["delta", "epsilon"])).unwrap();
    rig.append(request("tenant four", &["zeta"])).unwrap();
    rig.clock.advance(Duration::from_secs(5));
    rig.settle();
    let bytes = disk::read(&rig.memory, &path(1)).unwrap();
    let told = records(rig.opened.wal.files(), FileId::Segment(1));
    (rig, bytes, told)
}

fn path(number: u64) -> std::path::PathBuf {
    Path::new(DATA).join("wal").join(FileId::Segment(number).to_string())
}

/// What the bytes hold: records, and what was lost in gaps.
fn read(bytes: &[u8]) -> (Vec<(u64, String, String)>, Vec<Gap>, End) {
    let memory = MemDisk::new();
    disk::create_dir_all(&memory, Path::new("/data/wal")).unwrap();
    disk::write(&memory, &path(1), bytes).unwrap();
    let files = files(&memory);
    let whole = files.read(FileId::Segment(1)).unwrap();
    let mut scan = whole.scan();
    let gaps = scan.by_ref().filter_map(|item| if let Item::Gap(gap) = item { Some(gap) } else { None }).collect();
    (records(&files, FileId::Segment(1)), gaps, scan.end().unwrap())
}

fn files(memory: &MemDisk) -> Files {
    let disk: Arc<dyn Disk> = Arc::new(memory.clone());
    let limits = room::Limits { cap: 0, reserve: 0, segment: 0, in_flight: 0 };
    let clock = Arc::new(ManualClock::new(0));
    let room = Arc::new(room::Room::new(limits, Arc::clone(&disk), DATA.into(), clock));
    Files::new(disk, Path::new(DATA), 7, room)
}

/// A fresh process on these bytes as segment 1.
fn start(bytes: &[u8]) -> Rig {
    let memory = MemDisk::new();
    drop(Home::claim(Arc::new(memory.clone()), Path::new(DATA), "test", 7).unwrap());
    disk::write(&memory, &path(1), bytes).unwrap();
    Rig::again(memory)
}

#[test]
fn every_flipped_bit_is_noticed_and_costs_no_more_than_it_hit() {
    let (_, bytes, told) = sealed();
    let (_, gaps, whole_end) = read(&bytes);
    assert_eq!(gaps, []);
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            let (found, gaps, end) = read(&flipped);
            assert!(!gaps.is_empty() || end != whole_end, "byte {at} bit {bit} went unseen");
            assert!(found.iter().all(|record| told.contains(record)), "byte {at} bit {bit}: {found:?}");
            // An envelope costs its records; anything else one record at most.
            assert!(found.len() + 2 >= told.len(), "byte {at} bit {bit}: {found:?}");
            let lost: u64 = gaps.iter().map(|gap| gap.records).sum();
            let is_seal = matches!(end, End::Torn { .. } | End::Open(_));
            assert!(is_seal || lost == (told.len() - found.len()) as u64, "byte {at} bit {bit}: {gaps:?}");
        }
    }
}

#[test]
fn every_damaged_blob_is_refused_by_place() {
    let (rig, bytes, _) = sealed();
    let whole = rig.opened.wal.files().read(FileId::Segment(1)).unwrap();
    for item in whole.scan() {
        let Item::Blob(blob) = item else { panic!("{item:?}") };
        let start = usize::try_from(blob.offset).unwrap();
        for (at, byte) in bytes.iter().enumerate().skip(start).take(record::FRAME + blob.payload.len()) {
            let memory = rig.memory.killed();
            memory.edit(&path(1)).unwrap().write_at(at as u64, &[byte ^ 0x10]).unwrap();
            let error = files(&memory).blob(FileId::Segment(1), blob.offset).unwrap_err();
            assert!(matches!(error, ReadError::Damaged { .. }), "{error}");
        }
    }
    let memory = rig.memory.killed();
    memory.edit(&path(1)).unwrap().set_len(100).unwrap();
    assert!(files(&memory).blob(FileId::Segment(1), 64).is_err());
}

#[test]
fn every_cut_is_torn_and_the_log_goes_on_behind_it() {
    let (_, bytes, told) = sealed();
    for len in 0..bytes.len() {
        let mut rig = start(&bytes[..len]);
        let found = rig.opened.found.clone();
        let kept = usize::try_from(found.records).unwrap();
        if rig.sealed().is_empty() {
            assert_eq!((kept, rig.opened.wal.files().list().unwrap()), (0, vec![]), "cut at {len}");
        } else {
            let seal = seal(rig.opened.wal.files(), 1);
            assert_eq!(seal.reason, Reason::Recovery);
            assert_eq!(seal.next_sequence, found.records);
            assert_eq!(records(rig.opened.wal.files(), FileId::Segment(1)), told[..kept], "cut at {len}");
        }
        let receipt = rig.append(request("e", &["after"])).unwrap();
        assert_eq!(receipt.first_sequence, found.records);
    }
}

#[test]
fn a_preallocated_end_is_no_damage() {
    let (_, bytes, told) = sealed();
    // Without its seal, followed by zeros as a crash leaves it.
    let mut open = bytes[..bytes.len() - segment::SEAL].to_vec();
    open.resize(20_000, 0);
    let mut rig = start(&open);
    assert_eq!(rig.opened.found.records, told.len() as u64);
    assert_eq!((rig.opened.found.torn_bytes, rig.opened.found.damaged_bytes), (0, 0));
    assert_eq!(rig.sealed(), [1]);
    assert_eq!(disk::read(&rig.memory, &path(1)).unwrap().len(), bytes.len());
    assert!(rig.memory.list(Path::new("/data/quarantine")).is_err());
}

#[test]
fn a_seal_whose_truncation_was_lost_counts() {
    let (_, mut bytes, told) = sealed();
    let len = bytes.len();
    bytes.resize(20_000, 0);
    let rig = start(&bytes);
    assert_eq!(rig.opened.found.records, told.len() as u64);
    assert_eq!(seal(rig.opened.wal.files(), 1).reason, Reason::Age);
    assert_eq!(disk::read(&rig.memory, &path(1)).unwrap().len(), len);
    assert_eq!(rig.opened.wal.stats().used, len as u64);
}

#[test]
fn a_torn_tail_and_a_damaged_middle_are_copied_away() {
    let (_, bytes, told) = sealed();
    let mut damaged = bytes[..bytes.len() - segment::SEAL].to_vec();
    // The record "alpha", in its payload; and a tail of rubbish.
    let at = damaged.windows(5).position(|window| window == b"alpha").unwrap();
    damaged[at] ^= 1;
    let whole = damaged.len();
    damaged.extend_from_slice(b"half a frame");
    damaged.resize(9000, 0);
    let mut rig = start(&damaged);
    let found = rig.opened.found.clone();
    assert_eq!((found.torn_bytes, found.damaged_bytes), (12, 36 + 5));
    assert_eq!(found.records, told.len() as u64);
    assert_eq!(records(rig.opened.wal.files(), FileId::Segment(1)), told[1..]);
    let quarantine = Path::new("/data/quarantine");
    let names: Vec<String> = rig.memory.list(quarantine).unwrap().into_iter().map(|entry| entry.name).collect();
    let gap = at - 36;
    assert_eq!(names, [format!("000000000001.seg.{gap}"), format!("000000000001.seg.{whole}")]);
    let tail = disk::read(&rig.memory, &quarantine.join(&names[1])).unwrap();
    assert_eq!(tail, b"half a frame");
    assert_eq!(rig.append(request("e", &["next"])).unwrap().first_sequence, told.len() as u64);

    // The damage is still there for the fold to see, and is copied once.
    let files = rig.opened.wal.files();
    let whole = files.read(FileId::Segment(1)).unwrap();
    let gaps: Vec<Item<'_>> = whole.scan().filter(|item| matches!(item, Item::Gap(_))).collect();
    assert_eq!(gaps, [Item::Gap(Gap { offset: gap as u64, len: 41, records: 1 })]);
    let writes = rig.disk.count(Op::Create);
    files.quarantine(&whole, Gap { offset: gap as u64, len: 41, records: 1 }).unwrap();
    assert_eq!(rig.disk.count(Op::Create), writes);
}

#[test]
fn a_full_disk_does_not_keep_damage_from_being_cut() {
    let (_, bytes, told) = sealed();
    let mut damaged = bytes[..bytes.len() - segment::SEAL].to_vec();
    damaged.extend_from_slice(&[1; 500]);
    let memory = MemDisk::new();
    drop(Home::claim(Arc::new(memory.clone()), Path::new(DATA), "test", 7).unwrap());
    disk::write(&memory, &path(1), &damaged).unwrap();
    memory.set_capacity(memory.used());
    let rig = Rig::again(memory);
    assert_eq!(rig.opened.found.torn_bytes, 500);
    assert_eq!(records(rig.opened.wal.files(), FileId::Segment(1)), told);
}

#[test]
fn a_lost_header_costs_no_record() {
    let (_, bytes, told) = sealed();
    for without_seal in [0, segment::SEAL] {
        let mut damaged = bytes[..bytes.len() - without_seal].to_vec();
        damaged[..64].fill(0xaa);
        let rig = start(&damaged);
        assert_eq!(records(rig.opened.wal.files(), FileId::Segment(1)), told);
        assert_eq!(seal(rig.opened.wal.files(), 1).next_sequence, told.len() as u64);
        let (_, gaps, _) = read(&damaged);
        assert_eq!(gaps, [Gap { offset: 0, len: 64, records: 0 }]);
    }
}

#[test]
fn a_record_without_its_envelope_is_given_to_nobody() {
    let (_, bytes, told) = sealed();
    let at = bytes.windows(12).position(|window| window == b"tenant three").unwrap();
    // The envelope and the record before it: what follows must not be read under the envelope before that.
    let mut damaged = bytes;
    damaged[at - 50..at].fill(0);
    let (found, gaps, _) = read(&damaged);
    let expected: Vec<_> = told.iter().filter(|(n, ..)| ![2, 3, 4].contains(n)).cloned().collect();
    assert_eq!(found, expected);
    assert_eq!(gaps.iter().map(|gap| gap.records).sum::<u64>(), 3);
}

#[test]
fn text_that_looks_like_frames_is_no_frame() {
    let (rig, bytes, _) = sealed();
    drop(rig);
    // A record whose content is a whole segment, at a place where its frames would even be at the right distance.
    let mut rig = Rig::with(MemDisk::new(), &Config { roll_size: 64 << 10, ..small() }, Floor::default());
    let evil =
        Redacted::of_test(Bytes::from_static(b"e"), vec![Bytes::from(bytes.repeat(5)), Bytes::from_static(b"b")]);
    rig.append(vec![evil]).unwrap();
    rig.clock.advance(Duration::from_secs(5));
    rig.settle();
    let mut damaged = disk::read(&rig.memory, &path(1)).unwrap();
    damaged[64 + 37 + 20] ^= 1;
    let (found, gaps, _) = read(&damaged);
    assert_eq!(found, [(1, "e".into(), "b".into())]);
    assert_eq!(gaps.len(), 1);
}

#[test]
fn files_that_hold_nothing_are_removed() {
    for bytes in [&[][..], &[0; 8192], b"rubbish from somewhere"] {
        let mut rig = start(bytes);
        assert_eq!(rig.sealed(), [0; 0]);
        assert_eq!(rig.opened.wal.files().list().unwrap(), []);
        assert_eq!(rig.append(request("e", &["a"])).unwrap().segment, 1);
    }
}

#[test]
fn the_records_of_a_file_that_vanished_are_counted() {
    let mut rig = Rig::new();
    for record in ["a", "b", "c"] {
        rig.append(request("e", &[record, record])).unwrap();
        rig.clock.advance(Duration::from_secs(5));
        rig.settle();
    }
    let memory = rig.memory.killed();
    memory.remove_file(&path(2)).unwrap();
    let mut again = Rig::again(memory);
    assert_eq!((again.opened.found.records, again.sealed()), (6, vec![1, 3]));
}

#[test]
fn random_damage_never_costs_what_it_did_not_touch() {
    let mut random = Random(1);
    let (_, bytes, told) = sealed();
    let (memory, name) = (MemDisk::new(), FileId::Segment(1));
    disk::create_dir_all(&memory, Path::new("/data/wal")).unwrap();
    disk::write(&memory, &path(1), &bytes).unwrap();
    let whole = files(&memory).read(name).unwrap();
    let places: Vec<_> =
        whole.scan().filter_map(|item| if let Item::Blob(blob) = item { Some(blob) } else { None }).collect();
    for round in 0..2000 {
        let mut damaged = bytes.clone();
        let start = random.below(bytes.len());
        let end = bytes.len().min(start + 1 + random.below(200));
        for byte in &mut damaged[start..end] {
            *byte = if round % 3 == 0 { 0 } else { u8::try_from(random.below(256)).unwrap() };
        }
        let is_hit = |offset: u64, len: usize| {
            let offset = usize::try_from(offset).unwrap();
            damaged[offset..offset + len] != bytes[offset..offset + len]
        };
        let hit = |blob: &Blob<&[u8]>| is_hit(blob.offset, record::FRAME + blob.payload.len());
        let hit_envelopes: Vec<u64> =
            places.iter().filter(|blob| blob.kind == Kind::Envelope && hit(blob)).map(|blob| blob.offset).collect();
        let expected: Vec<_> = places
            .iter()
            .filter(|blob| blob.kind == Kind::Record && !hit(blob) && !hit_envelopes.contains(&blob.envelope))
            .map(|blob| told.iter().find(|(n, ..)| *n == blob.sequence).unwrap().clone())
            .collect();
        let (found, ..) = read(&damaged);
        assert_eq!(found, expected, "round {round}, bytes {start}..{end}");
    }
}
