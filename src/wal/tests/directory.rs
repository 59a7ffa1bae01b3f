//! Who has the directory, and whose it is.

use super::*;

fn claim(memory: &MemDisk, name: &str, random: u64) -> Result<Home, OpenError> {
    Home::claim(Arc::new(memory.clone()), Path::new(DATA), name, random)
}

fn change(memory: &MemDisk, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let path = Path::new(DATA).join(name);
    let mut bytes = disk::read(memory, &path).unwrap();
    change(&mut bytes);
    disk::write(memory, &path, &bytes).unwrap();
}

#[test]
fn a_directory_has_one_process() {
    let memory = MemDisk::new();
    let first = claim(&memory, "a", 1).unwrap();
    let refused = claim(&memory, "a", 1).unwrap_err();
    assert!(refused.to_string().starts_with("data directory /data is in use by another process"), "{refused}");
    assert!(claim(&memory.killed(), "a", 1).is_ok());
    drop(first);
    claim(&memory, "a", 1).unwrap();
}

#[test]
fn a_writer_is_made_once_and_survives_a_power_cut() {
    let memory = MemDisk::new();
    let writer = claim(&memory, "gateway 3/é", 0x5b8e_fff7_9803_8103).unwrap().writer().clone();
    assert_eq!(writer.to_string(), "gateway-3-5b8efff798038103");
    for seed in 0..50 {
        let home = claim(&memory.power_loss(seed), "other", 2).unwrap();
        assert_eq!(*home.writer(), writer);
        assert_eq!((home.dir(), home.disk().list(home.dir()).unwrap().len()), (Path::new(DATA), 4));
    }
    assert_eq!(claim(&MemDisk::new(), "..", 2).unwrap().writer().name, "chatlake");
}

#[test]
fn every_damage_to_the_writers_file_is_noticed_and_mended() {
    let mut rig = Rig::new();
    rig.append(request("e", &["a"])).unwrap();
    let known = claim(&rig.memory.killed(), "new", 99).unwrap().writer().clone();
    let bytes = disk::read(&rig.memory, Path::new("/data/writer")).unwrap();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let memory = rig.memory.killed();
            change(&memory, "writer", |bytes| bytes[at] ^= 1 << bit);
            let home = claim(&memory, "new", 99).unwrap();
            assert_eq!(*home.writer(), known, "byte {at} bit {bit}");
            // It was mended, if it had to be: the copy is not needed any more.
            drop(home);
            memory.remove_file(Path::new("/data/writer.copy")).unwrap();
            assert_eq!(*claim(&memory, "new", 99).unwrap().writer(), known, "byte {at} bit {bit}");
            // Both: what the segments say is left.
            let memory = rig.memory.killed();
            for name in ["writer", "writer.copy"] {
                change(&memory, name, |bytes| bytes[at] ^= 1 << bit);
            }
            assert_eq!(claim(&memory, "new", 99).unwrap().writer().id, 7, "byte {at} bit {bit}");
        }
    }
    let memory = rig.memory.killed();
    for name in ["writer", "writer.copy"] {
        memory.remove_file(&Path::new(DATA).join(name)).unwrap();
    }
    assert_eq!(claim(&memory, "new", 99).unwrap().writer().to_string(), "new-0000000000000007");
    assert_eq!(records(Rig::again(memory).opened.wal.files(), FileId::Segment(1)).len(), 1);
}

#[test]
fn a_directory_of_another_version_is_refused() {
    let memory = MemDisk::new();
    drop(claim(&memory, "a", 1).unwrap());
    let head = "chatlake writer, format 3\nwhat it says\n";
    let text = format!("{head}check {:08x}\n", crc32fast::hash(head.as_bytes()));
    change(&memory, "writer", |bytes| *bytes = text.into_bytes());
    let refused = claim(&memory, "a", 1).unwrap_err();
    assert!(refused.to_string().starts_with("/data/writer has format 3, this program reads format 2"), "{refused}");
}

#[test]
fn a_segment_of_another_version_or_writer_is_refused() {
    let mut rig = Rig::new();
    rig.append(request("e", &["a"])).unwrap();
    let memory = rig.memory.killed();
    change(&memory, "wal/000000000001.seg", |bytes| {
        bytes[12] = 2;
        let crc = crc32fast::hash(&bytes[12..64]);
        bytes[8..12].copy_from_slice(&crc.to_le_bytes());
    });
    let Err(refused) = Rig::try_with(memory, &small(), Floor::default()) else { panic!("opened") };
    assert!(matches!(refused, OpenError::Version { found: 2, .. }), "{refused}");

    // The same bytes under another number belong nowhere.
    let memory = rig.memory.killed();
    memory.rename(Path::new("/data/wal/000000000001.seg"), Path::new("/data/wal/000000000002.seg")).unwrap();
    let Err(refused) = Rig::try_with(memory, &small(), Floor::default()) else { panic!("opened") };
    assert!(matches!(refused, OpenError::Foreign { .. }), "{refused}");
    let files = rig.opened.wal.files();
    assert!(matches!(files.read(FileId::Segment(9)), Err(ReadError::Io { .. })));
}

#[test]
fn names_of_files_are_read_back_and_others_are_none_of_ours() {
    for file in [FileId::Segment(17), FileId::Kept(17), FileId::Segment(1_234_567_890_123)] {
        assert_eq!(FileId::parse(&file.to_string()), Some(file));
    }
    assert_eq!(FileId::Segment(17).to_string(), "000000000017.seg");
    for name in ["17.seg", "000000000017.seg.tmp", "+00000000017.seg", "000000000017.txt", "0000000000017.seg", ""] {
        assert_eq!(FileId::parse(name), None, "{name}");
    }
}
