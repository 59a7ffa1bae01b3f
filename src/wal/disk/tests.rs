//! One suite for every disk, and what only the fakes can do.

use super::*;
use rustix::io::Errno;
use std::path::PathBuf;
use std::sync::Arc;

fn disks() -> Vec<(Arc<dyn Disk>, PathBuf, Option<tempfile::TempDir>)> {
    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path().to_owned();
    vec![
        (Arc::new(OsDisk), path, Some(temporary)),
        (Arc::new(MemDisk::new()), PathBuf::from("/"), None),
        (Arc::new(FaultDisk::new(Arc::new(MemDisk::new()))), PathBuf::from("/"), None),
    ]
}

#[test]
fn every_disk_keeps_files_and_folders_alike() {
    for (disk, root, _guard) in disks() {
        let disk = disk.as_ref();
        let folder = root.join("a").join("b");
        create_dir_all(disk, &folder).unwrap();
        disk.create_dir(&folder).unwrap();

        let file = disk.create(&folder.join("one")).unwrap();
        file.allocate(100).unwrap();
        file.write_at(3, b"hello").unwrap();
        file.sync().unwrap();
        assert_eq!(file.len().unwrap(), 100);
        file.set_len(8).unwrap();
        assert!(!file.is_empty().unwrap());
        assert_eq!(read(disk, &folder.join("one")).unwrap(), b"\0\0\0hello");
        let mut four = [9; 4];
        assert_eq!(file.read_at(6, &mut four).unwrap(), 2);
        assert_eq!(&four, b"lo\x09\x09");
        assert_eq!(file.read_at(50, &mut four).unwrap(), 0);

        disk.edit(&folder.join("one")).unwrap().write_at(0, b"abc").unwrap();
        write(disk, &folder.join("two"), b"2").unwrap();
        disk.rename(&folder.join("two"), &folder.join("one")).unwrap();
        assert_eq!(disk.list(&folder).unwrap(), [Entry { name: "one".into(), is_dir: false, len: 1 }]);
        assert_eq!(disk.open(&folder.join("two")).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(disk.edit(&folder.join("two")).unwrap_err().kind(), io::ErrorKind::NotFound);

        // A renamed folder takes its files with it; one that holds something is not replaced or removed.
        let other = root.join("a").join("c");
        disk.rename(&folder, &other).unwrap();
        assert_eq!(read(disk, &other.join("one")).unwrap(), b"2");
        disk.create_dir(&folder).unwrap();
        assert!(disk.rename(&folder, &other).is_err());
        assert!(disk.remove_dir(&other).is_err());
        disk.sync_dir(&other).unwrap();
        remove_dir_all(disk, &root.join("a")).unwrap();
        remove_dir_all(disk, &root.join("a")).unwrap();
        assert_eq!(disk.list(&root).unwrap(), []);
        assert!(disk.free(&root).unwrap() > 0);
    }
}

#[test]
fn an_emptied_file_that_was_removed_lives_on_for_its_holder() {
    for (disk, root, _guard) in disks() {
        let path = root.join("file");
        write(disk.as_ref(), &path, b"old content").unwrap();
        let file = disk.create(&path).unwrap();
        assert!(file.is_empty().unwrap());
        disk.remove_file(&path).unwrap();
        file.write_at(0, b"still").unwrap();
        let mut five = [0; 5];
        assert_eq!(file.read_at(0, &mut five).unwrap(), 5);
        assert_eq!(&five, b"still");
    }
}

#[test]
fn a_lock_has_one_holder_until_it_is_dropped() {
    for (disk, root, _guard) in disks() {
        let path = root.join("lock");
        let first = disk.lock(&path).unwrap();
        assert!(first.is_some());
        assert!(disk.lock(&path).unwrap().is_none());
        drop(first);
        assert!(disk.lock(&path).unwrap().is_some());
    }
}

#[test]
fn a_power_cut_keeps_what_was_synced_and_any_part_of_the_rest() {
    let disk = MemDisk::new();
    let file = disk.create(Path::new("f")).unwrap();
    file.write_at(0, &[1; 4096]).unwrap();
    file.sync().unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    file.write_at(4096, &[2; 4096]).unwrap();
    disk.create(Path::new("never synced")).unwrap();

    let (mut lengths, mut torn, mut names) =
        (std::collections::BTreeSet::new(), false, std::collections::BTreeSet::new());
    for seed in 0..200 {
        let found = disk.power_loss(seed);
        let bytes = read(&found, Path::new("f")).unwrap();
        assert_eq!(bytes.get(..4096), Some([1; 4096].as_slice()));
        let new = bytes.get(4096..).unwrap();
        torn |= new.contains(&2) && new.contains(&0);
        lengths.insert(bytes.len());
        names.insert(found.list(Path::new("/")).unwrap().len());
    }
    assert!(lengths.contains(&4096) && lengths.contains(&8192) && torn, "{lengths:?}");
    assert_eq!(names.into_iter().collect::<Vec<_>>(), [1, 2]);
    assert_eq!(disk.killed().list(Path::new("/")).unwrap().len(), 2);
}

#[test]
fn what_was_not_synced_when_a_process_was_killed_can_still_be_lost() {
    let disk = MemDisk::new();
    write(&disk, Path::new("a"), b"synced").unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    disk.edit(Path::new("a")).unwrap().write_at(0, b"unsure").unwrap();
    disk.rename(Path::new("a"), Path::new("b")).unwrap();
    let killed = disk.killed();
    assert_eq!(read(&killed, Path::new("b")).unwrap(), b"unsure");
    let mut found = std::collections::BTreeSet::new();
    for seed in 0..100 {
        let disk = killed.power_loss(seed);
        let [Entry { name, .. }] = &disk.list(Path::new("/")).unwrap()[..] else { panic!("one file") };
        found.insert((name.clone(), read(&disk, Path::new(name)).unwrap()));
    }
    assert_eq!(found.len(), 4);
    // The old process is dead: what its handles still do is seen by nobody.
    disk.edit(Path::new("b")).unwrap().write_at(0, b"zombie").unwrap();
    assert_eq!(read(&killed, Path::new("b")).unwrap(), b"unsure");
    killed.edit(Path::new("b")).unwrap().sync().unwrap();
    killed.sync_dir(Path::new("/")).unwrap();
    assert_eq!(read(&killed.power_loss(1), Path::new("b")).unwrap(), b"unsure");
}

#[test]
fn a_name_that_was_not_synced_may_be_lost_with_all_its_file_holds() {
    let disk = MemDisk::new();
    write(&disk, Path::new("f"), b"synced, but who knows its name").unwrap();
    let found: Vec<bool> = (0..50).map(|seed| disk.power_loss(seed).open(Path::new("f")).is_ok()).collect();
    assert!(found.contains(&true) && found.contains(&false));
}

#[test]
fn a_full_disk_takes_what_fits_and_keeps_preallocated_space() {
    let disk = MemDisk::new();
    disk.set_capacity(1000);
    let file = disk.create(Path::new("f")).unwrap();
    file.allocate(600).unwrap();
    let other = disk.create(Path::new("g")).unwrap();
    assert!(is_full(&other.allocate(401).unwrap_err()));
    assert!(is_full(&other.write_at(0, &[7; 500]).unwrap_err()));
    assert_eq!(other.len().unwrap(), 400);
    assert_eq!(disk.free(Path::new("/")).unwrap(), 0);
    file.write_at(0, &[7; 600]).unwrap();
    file.set_len(100).unwrap();
    assert_eq!(disk.free(Path::new("/")).unwrap(), 500);
    assert!(!is_full(&Errno::IO.into()) && is_full(&Errno::MFILE.into()) && is_full(&Errno::DQUOT.into()));
}

#[test]
fn a_fault_hits_the_calls_it_names_in_the_way_it_says() {
    let disk = FaultDisk::new(Arc::new(MemDisk::new()));
    let fault = |op, skip, outcome| Fault { op: Some(op), path: "f".into(), skip, times: 1, outcome };
    disk.add(fault(Op::WriteAt, 1, Outcome::NotDone(Errno::IO)));
    disk.add(fault(Op::WriteAt, 2, Outcome::DoneButFailed(Errno::IO)));
    disk.add(fault(Op::WriteAt, 3, Outcome::Partly(2, Errno::NOSPC)));
    let file = disk.create(Path::new("f")).unwrap();
    let other = disk.create(Path::new("other")).unwrap();
    let content = || read(&disk, Path::new("f")).unwrap();
    file.write_at(0, b"1").unwrap();
    other.write_at(0, b"1").unwrap();
    assert_eq!(file.write_at(0, b"2").unwrap_err().raw_os_error(), Some(Errno::IO.raw_os_error()));
    assert_eq!(content(), b"1");
    file.write_at(0, b"3").unwrap_err();
    assert_eq!(content(), b"3");
    assert!(is_full(&file.write_at(0, b"456").unwrap_err()));
    assert_eq!(content(), b"45");
    assert_eq!(disk.count(Op::WriteAt), 5);
    assert_eq!(disk.calls().first(), Some(&Call { op: Op::Create, path: "f".into() }));

    disk.add(fault(Op::Sync, 0, Outcome::StopAfter));
    file.sync().unwrap_err();
    assert!(disk.is_stopped());
    disk.clear();
    other.sync().unwrap_err();
    disk.list(Path::new("/")).unwrap_err();
}

#[test]
fn operations_are_listed_once_each() {
    let all: std::collections::BTreeSet<Op> = Op::ALL.into_iter().collect();
    assert_eq!(all.len(), Op::ALL.len());
    assert!(Op::Sync.is_change() && !Op::ReadAt.is_change());
}
