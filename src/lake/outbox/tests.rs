use super::*;
use crate::lake::key::Prefix;
use crate::lake::manifest::Range;
use crate::wal::disk::Fault;
use crate::wal::disk::FaultDisk;
use crate::wal::disk::MemDisk;
use crate::wal::disk::Outcome;
use rustix::io::Errno;

fn open(disk: &Arc<dyn Disk>) -> Outbox {
    Outbox::open(Arc::clone(disk), Path::new("/data/outbox")).unwrap()
}

fn memory() -> (MemDisk, Arc<dyn Disk>) {
    let memory = MemDisk::new();
    let disk: Arc<dyn Disk> = Arc::new(memory.clone());
    (memory, disk)
}

fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

/// An entry with two prefixes and two files beside it.
fn write(outbox: &Outbox, segment: u64) -> io::Result<()> {
    let mut draft = outbox.begin(segment)?;
    draft.file(&prefix(""), "events/a.parquet", b"rows a")?;
    draft.file(&prefix(""), "events/b.parquet", b"rows b")?;
    draft.manifest(&prefix(""), "_commits/w/m.json".to_owned(), b"{}", &[Range { first: 1, last: 3 }], Some(17))?;
    draft.manifest(
        &prefix("team"),
        "team/_commits/w/m.json".to_owned(),
        b"{}",
        &[Range { first: 4, last: 4 }, Range { first: 6, last: 8 }],
        None,
    )?;
    draft.beside("carry", format!("carry {segment}").as_bytes())?;
    draft.beside("window", b"keys")?;
    draft.commit()
}

/// The files of an entry. Each that should stand twice does, and is told once.
fn names(disk: &dyn Disk, segment: u64) -> Vec<String> {
    let folder = format!("/data/outbox/{segment:012}");
    let names: Vec<String> = disk.list(Path::new(&folder)).unwrap().into_iter().map(|file| file.name).collect();
    let (copies, names): (Vec<String>, Vec<String>) = names.into_iter().partition(|name| name.ends_with(COPY));
    let twice = names.iter().filter(|name| !name.ends_with(PART) && ![STORED, PARKED].contains(&name.as_str()));
    assert_eq!(twice.map(|name| format!("{name}{COPY}")).collect::<Vec<_>>(), copies);
    names
}

/// Whether an entry is whole, if it is there at all.
fn is_whole(outbox: &Outbox, segment: u64) -> bool {
    let index = outbox.index(segment).unwrap();
    assert_eq!(index.shipments.len(), 2);
    for shipment in &index.shipments {
        for object in shipment.files.iter().chain([&shipment.manifest]) {
            outbox.object(segment, object).unwrap();
        }
    }
    assert_eq!(outbox.read_beside(segment, "carry").unwrap(), format!("carry {segment}").as_bytes());
    true
}

#[test]
fn an_entry_reads_back_as_it_was_written() {
    let (_, disk) = memory();
    let outbox = open(&disk);
    assert_eq!(outbox.last(), None);
    write(&outbox, 7).unwrap();
    for outbox in [outbox, open(&disk)] {
        assert_eq!((outbox.last(), outbox.waiting()), (Some(7), vec![7]));
        let index = outbox.index(7).unwrap();
        let keys: Vec<_> = index.shipments[0].files.iter().map(|file| file.key.as_str()).collect();
        assert_eq!(keys, ["events/a.parquet", "events/b.parquet"]);
        assert_eq!(index.shipments[1].manifest.key, "team/_commits/w/m.json");
        assert_eq!(outbox.object(7, &index.shipments[0].files[1]).unwrap(), b"rows b");
        assert!(is_whole(&outbox, 7));
        assert_eq!(outbox.read_beside(7, "window").unwrap(), b"keys");
        assert!(outbox.has_beside(7, "window").unwrap() && !outbox.has_beside(7, "tombs").unwrap());
        let bytes: u64 = disk.list(Path::new("/data/outbox/000000000007")).unwrap().iter().map(|file| file.len).sum();
        assert_eq!(outbox.backlog(), Backlog { entries: 1, parked: 0, bytes, oldest: Some(7), since: Some(17) });
    }
    assert!(names(disk.as_ref(), 7).iter().all(|name| !name.ends_with(".parquet") && !name.ends_with(".jsonl")));
}

#[test]
fn what_is_stored_goes_and_what_stands_beside_stays_until_it_is_cleaned_away() {
    let (_, disk) = memory();
    let outbox = open(&disk);
    write(&outbox, 1).unwrap();
    write(&outbox, 2).unwrap();
    outbox.stored(1).unwrap();
    outbox.stored(2).unwrap();
    assert_eq!(names(disk.as_ref(), 1), ["carry", "stored.json", "window"]);
    assert_eq!(outbox.waiting(), [] as [u64; 0]);
    outbox.clean(&|segment, name| segment == 1 && name == "window").unwrap();
    assert_eq!(names(disk.as_ref(), 1), ["stored.json", "window"]);
    assert_eq!(names(disk.as_ref(), 2), ["carry", "stored.json", "window"]);
    outbox.clean(&|_, _| false).unwrap();
    assert_eq!(disk.list(Path::new("/data/outbox")).unwrap().len(), 1);
    assert_eq!((open(&disk).last(), outbox.last()), (Some(2), Some(2)));
}

#[test]
fn cleaning_leaves_what_is_to_be_stored() {
    let (_, disk) = memory();
    let outbox = open(&disk);
    write(&outbox, 1).unwrap();
    write(&outbox, 2).unwrap();
    write(&outbox, 3).unwrap();
    outbox.park(2, &Parked::default()).unwrap();
    outbox.clean(&|_, _| false).unwrap();
    let expected = ["0000.part", "0001.part", "0002.part", "0003.part", "entry.json"];
    assert_eq!(names(disk.as_ref(), 1), expected);
    assert_eq!(names(disk.as_ref(), 2), [&expected[..], &["parked.json"]].concat());
    assert_eq!(open(&disk).backlog(), outbox.backlog());
}

#[test]
fn a_refusal_is_remembered_and_forgotten_once_stored() {
    let (_, disk) = memory();
    let outbox = open(&disk);
    write(&outbox, 1).unwrap();
    write(&outbox, 2).unwrap();
    assert_eq!(outbox.why_parked(1).unwrap(), None);
    let parked =
        Parked { refused: BTreeMap::from([("team".to_owned(), "no".to_owned())]), stored: vec![String::new()] };
    outbox.park(1, &parked).unwrap();
    for outbox in [&outbox, &open(&disk)] {
        assert_eq!((outbox.waiting(), outbox.parked()), (vec![2], vec![1]));
        assert_eq!(outbox.why_parked(1).unwrap(), Some(parked.clone()));
        assert_eq!(outbox.backlog().parked, 1);
        assert_eq!((outbox.records(1).unwrap(), outbox.records(2).unwrap()), (4, 7));
    }
    outbox.stored(1).unwrap();
    assert_eq!(names(disk.as_ref(), 1), ["carry", "stored.json", "window"]);
    assert_eq!(outbox.parked(), [] as [u64; 0]);
}

#[test]
fn a_fold_without_decisions_leaves_a_carry_and_nothing_to_store() {
    let (_, disk) = memory();
    let outbox = open(&disk);
    let mut draft = outbox.begin(5).unwrap();
    draft.beside("carry", b"c").unwrap();
    draft.commit().unwrap();
    assert_eq!(names(disk.as_ref(), 5), ["carry", "stored.json"]);
    for outbox in [outbox, open(&disk)] {
        assert_eq!((outbox.last(), outbox.backlog().entries), (Some(5), 0));
        assert_eq!(outbox.read_beside(5, "carry").unwrap(), b"c");
    }
}

/// What can happen to a file that lies still.
fn damages(bytes: &[u8]) -> Vec<Option<Vec<u8>>> {
    let mut damages = vec![None, Some(Vec::new()), Some(bytes[..bytes.len() / 2].to_vec())];
    for at in 0..bytes.len() {
        let mut flipped = bytes.to_vec();
        flipped[at] ^= 1 << (at % 8);
        damages.push(Some(flipped));
    }
    damages
}

fn damage(disk: &dyn Disk, path: &Path, left: Option<&[u8]>) {
    match left {
        Some(bytes) => disk::write(disk, path, bytes).unwrap(),
        None => disk.remove_file(path).unwrap(),
    }
}

#[test]
fn any_damage_to_a_file_that_stands_twice_is_read_over_and_mended() {
    let folder = Path::new("/data/outbox/000000000001");
    let mut tried = 0;
    for name in ["entry.json", "carry", "window", "entry.json.copy", "carry.copy", "window.copy"] {
        let (_, disk) = memory();
        write(&open(&disk), 1).unwrap();
        let path = folder.join(name);
        let good = disk::read(disk.as_ref(), &path).unwrap();
        for left in damages(&good) {
            damage(disk.as_ref(), &path, left.as_deref());
            let outbox = open(&disk);
            assert!(is_whole(&outbox, 1), "{name}");
            assert_eq!(outbox.read_beside(1, "window").unwrap(), b"keys");
            if name.ends_with(COPY) {
                disk::write(disk.as_ref(), &path, &good).unwrap();
            }
            // The first of the two is whole again, so that the next damage is borne too.
            assert_eq!(disk::read(disk.as_ref(), &path).unwrap(), good, "{name}");
            tried += 1;
        }
    }
    println!("{tried} damages");
}

#[test]
fn damage_to_an_object_or_to_both_copies_is_seen() {
    let (_, disk) = memory();
    let outbox = open(&disk);
    write(&outbox, 1).unwrap();
    let folder = Path::new("/data/outbox/000000000001");
    let index = outbox.index(1).unwrap();
    disk::write(disk.as_ref(), &folder.join("0000.part"), b"other").unwrap();
    let object = outbox.object(1, &index.shipments[0].files[0]);
    assert_eq!(object.unwrap_err().kind(), io::ErrorKind::InvalidData);
    for name in ["entry.json", "entry.json.copy", "carry", "carry.copy"] {
        disk::write(disk.as_ref(), &folder.join(name), b"{").unwrap();
    }
    assert_eq!(outbox.index(1).unwrap_err().kind(), io::ErrorKind::InvalidData);
    assert_eq!(outbox.read_beside(1, "carry").unwrap_err().kind(), io::ErrorKind::InvalidData);
    assert_eq!(outbox.read_beside(1, "tombs").unwrap_err().kind(), io::ErrorKind::NotFound);
}

#[test]
fn a_file_of_another_entry_is_not_taken_for_ones_own() {
    let (_, disk) = memory();
    let outbox = open(&disk);
    write(&outbox, 1).unwrap();
    write(&outbox, 2).unwrap();
    for name in ["carry", "carry.copy"] {
        let other = disk::read(disk.as_ref(), &Path::new("/data/outbox/000000000001").join(name)).unwrap();
        disk::write(disk.as_ref(), &Path::new("/data/outbox/000000000002").join(name), &other).unwrap();
    }
    assert_eq!(outbox.read_beside(2, "carry").unwrap_err().kind(), io::ErrorKind::InvalidData);
}

#[test]
fn a_damaged_note_of_a_refusal_is_none_and_an_entry_whose_index_is_gone_can_be_done_with() {
    let (_, disk) = memory();
    let outbox = open(&disk);
    write(&outbox, 1).unwrap();
    let parked = Parked { refused: BTreeMap::new(), stored: vec!["team".to_owned()] };
    outbox.park(1, &parked).unwrap();
    let path = Path::new("/data/outbox/000000000001/parked.json");
    let mut bytes = disk::read(disk.as_ref(), path).unwrap();
    let at = bytes.windows(4).position(|four| four == b"team").unwrap();
    bytes[at] ^= 1;
    disk::write(disk.as_ref(), path, &bytes).unwrap();
    assert_eq!(outbox.why_parked(1).unwrap(), None, "a prefix that nobody stored would be left out");
    disk.remove_file(Path::new("/data/outbox/000000000001/entry.json")).unwrap();
    outbox.stored(1).unwrap();
    assert_eq!((open(&disk).waiting(), open(&disk).parked()), (vec![], vec![]));
}

/// What the outbox does in its life: the earlier entry is stored and cleaned away while the later one is written.
fn life(disk: &Arc<dyn Disk>) -> io::Result<()> {
    let outbox = Outbox::open(Arc::clone(disk), Path::new("/data/outbox"))?;
    write(&outbox, 1)?;
    write(&outbox, 2)?;
    outbox.park(1, &Parked::default())?;
    outbox.stored(1)?;
    outbox.stored(2)?;
    write(&outbox, 3)?;
    outbox.clean(&|_, _| false)
}

#[test]
fn whenever_the_power_goes_every_entry_is_whole_or_not_there() {
    let calls = {
        let (_, disk) = memory();
        let faults = FaultDisk::new(disk);
        life(&(Arc::new(faults.clone()) as Arc<dyn Disk>)).unwrap();
        faults.calls()
    };
    let mut histories = 0;
    for stop in 0..calls.len() {
        for outcome in [Outcome::StopBefore, Outcome::StopAfter] {
            let (memory, disk) = memory();
            let faults = FaultDisk::new(disk);
            let skip = u64::try_from(stop).unwrap();
            faults.add(Fault { op: None, path: String::new(), skip, times: 1, outcome });
            let disk: Arc<dyn Disk> = Arc::new(faults.clone());
            assert!(life(&disk).is_err());
            let done = |what: &str| {
                let done = &faults.calls()[..stop];
                done.iter().filter(|call| call.op == disk::Op::SyncDir && call.path.ends_with(what)).count()
            };
            // The first sync of the outbox itself is its opening, the others are commits; `StopAfter` may add one.
            let committed = done("outbox").saturating_sub(1);
            let found = [memory.killed()].into_iter().chain((0..4).map(|seed| memory.power_loss(seed)));
            for found in found {
                histories += 1;
                let disk: Arc<dyn Disk> = Arc::new(found);
                let outbox = open(&disk);
                let last = outbox.last().unwrap_or_default();
                assert!(last >= u64::try_from(committed).unwrap(), "entry {committed} was durable, {last} is found");
                for segment in outbox.waiting().into_iter().chain(outbox.parked()) {
                    // Beside files may be gone after cleaning, and then the entry behind it is there.
                    let index = outbox.index(segment).unwrap();
                    for object in index.shipments.iter().flat_map(|shipment| &shipment.files) {
                        outbox.object(segment, object).unwrap();
                    }
                }
                if last > 0 {
                    assert_eq!(outbox.read_beside(last, "carry").unwrap(), format!("carry {last}").as_bytes());
                }
                write(&outbox, last + 1).unwrap();
                assert!(is_whole(&open(&disk), last + 1));
            }
        }
    }
    println!("{} calls, {histories} histories", calls.len());
}

#[test]
fn a_full_disk_leaves_nothing_and_the_next_attempt_starts_anew() {
    let (memory, disk) = memory();
    let outbox = open(&disk);
    memory.set_capacity(20);
    assert!(disk::is_full(&write(&outbox, 1).unwrap_err()));
    assert_eq!(outbox.last(), None);
    memory.set_capacity(u64::MAX);
    write(&outbox, 1).unwrap();
    assert!(is_whole(&open(&disk), 1));
    assert_eq!(disk.list(Path::new("/data/outbox")).unwrap().len(), 1);
}

#[test]
fn an_error_of_the_disk_is_told() {
    for op in [disk::Op::Create, disk::Op::WriteAt, disk::Op::Sync, disk::Op::SyncDir, disk::Op::Rename] {
        let (_, disk) = memory();
        let faults = FaultDisk::new(disk);
        let outbox = open(&(Arc::new(faults.clone()) as Arc<dyn Disk>));
        faults.add(Fault {
            op: Some(op),
            path: String::new(),
            skip: 0,
            times: 1,
            outcome: Outcome::NotDone(Errno::IO),
        });
        let error = write(&outbox, 1).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(Errno::IO.raw_os_error()), "{op:?}");
        assert_eq!(outbox.last(), None);
    }
}
