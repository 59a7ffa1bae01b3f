//! D8 for the outbox: every file beside its entries is damaged where it lies, in every way; then each with its copy.

use super::process::DATA;
use super::process::Settings;
use super::world::UNKNOWN;
use super::world::World;
use super::world::files;
use crate::lake::objects;
use crate::lake::objects::Failure;
use crate::wal::disk;
use crate::wal::disk::Disk;
use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

/// What happens to a file.
const DAMAGES: [&str; 4] = ["a bit is flipped", "the middle is gone", "it is empty", "it is gone"];

/// A process that was killed with traces open and, where the store is down, entries that wait.
fn dead(is_down: bool) -> World {
    killed(is_down, true)
}

fn killed(is_down: bool, resends: bool) -> World {
    let mut world = World::running(31, Settings { patience: (3, 60, 300), ..Settings::default() });
    world.client.resends = resends;
    for _ in 0..12 {
        world.trace();
        world.run(Duration::from_secs(3));
    }
    if is_down {
        let outcome = objects::Outcome::NotDone(Failure::NotWritten(String::from("connection refused")));
        let fault = objects::Fault { call: None, key: String::new(), skip: 0, times: u64::MAX, outcome };
        world.process().objects.add(fault);
    }
    // A long index, so that folds write only what they change of it.
    for _ in 0..60 {
        world.trace();
    }
    world.run(Duration::from_secs(10));
    for _ in 0..5 {
        world.trace();
        world.run(Duration::from_secs(5));
    }
    let open = world.process().road.as_ref().unwrap().open_records();
    assert!(open > 3, "{open} records are open");
    world.kill();
    world
}

fn damage(world: &World, path: &Path, how: usize) {
    let bytes = disk::read(&world.disk, path).unwrap();
    let left = match how {
        0 => {
            let mut flipped = bytes.clone();
            flipped[bytes.len() / 3] ^= 4;
            flipped
        }
        1 => [&bytes[..bytes.len() / 4], &bytes[bytes.len() / 2..]].concat(),
        2 => Vec::new(),
        _ => return world.disk.remove_file(path).unwrap(),
    };
    disk::write(&world.disk, path, &left).unwrap();
}

/// Files of the outbox: of each name the one of the last entry, of the first, and of one between.
fn victims(world: &World) -> Vec<PathBuf> {
    let all = files(&world.disk, &Path::new(DATA).join("outbox"));
    let names: BTreeSet<_> = all.iter().filter_map(|path| path.file_name()).collect();
    let mut victims = BTreeSet::new();
    for name in names.into_iter().filter(|name| !name.to_string_lossy().ends_with(".part")) {
        let same: Vec<&PathBuf> = all.iter().filter(|path| path.file_name() == Some(name)).collect();
        victims.extend([same[0], same[same.len() / 2], same[same.len() - 1]].map(PathBuf::clone));
    }
    victims.into_iter().collect()
}

/// Damage to one file costs nothing: it is read from its copy.
#[test]
pub(super) fn d8_damage_to_any_file_beside_an_entry_costs_nothing() {
    let mut tried = 0;
    for is_down in [false, true] {
        for victim in victims(&dead(is_down)) {
            for (how, words) in DAMAGES.iter().enumerate() {
                let mut world = dead(is_down);
                damage(&world, &victim, how);
                world.start();
                let process = world.process();
                assert_eq!((process.mended.adopted, process.mended.set_aside), (0, 0), "{victim:?}: {words}");
                world.trace();
                super::told(|| world.settle(), &|| format!("{victim:?}: {words}"));
                assert_eq!(world.process().outbox.parked(), [0; 0], "{victim:?}: {words}");
                tried += 1;
            }
        }
    }
    say!("{tried} damages to files of the outbox, each of which cost nothing");
    assert!(tried > 60);
}

/// Damages the files of these names, and their copies, of the last entry that has one. Gives its number.
fn both(world: &World, names: &[&str], how: usize) -> u64 {
    let all = files(&world.disk, &Path::new(DATA).join("outbox"));
    let is_named = |path: &&PathBuf| {
        let file = path.file_name().unwrap().to_string_lossy();
        names.contains(&file.strip_suffix(".copy").unwrap_or(&file))
    };
    let last = all.iter().rfind(is_named).and_then(|path| path.parent()).unwrap();
    all.iter().filter(is_named).filter(|path| path.starts_with(last)).for_each(|path| damage(world, path, how));
    last.file_name().unwrap().to_string_lossy().parse().unwrap()
}

/// The state of the last fold is gone: what it left open is found again, and nothing is lost or lands twice.
#[test]
fn d8_a_carry_that_is_lost_with_its_copy_is_made_anew_without_a_loss() {
    for is_down in [false, true] {
        for how in 0..DAMAGES.len() {
            let mut world = dead(is_down);
            let last = both(&world, &["carry", "change"], how);
            world.start();
            let process = world.process();
            assert_eq!(process.outbox.last(), Some(last));
            assert!(process.mended.adopted > 3 && process.mended.set_aside == 0, "{:?}", process.mended);
            world.trace();
            world.run(Duration::from_secs(1));
            world.kill();
            world.start();
            let mended = world.process().mended;
            assert_eq!(mended.adopted, 0, "it was made anew once and for all");
            world.settle();
        }
    }
}

/// Whatever of the chain of carries is lost: records are taken up again as long as indexes tell what has landed.
#[test]
fn d8_a_break_in_the_middle_of_the_carries_is_made_good_too() {
    let world = dead(true);
    let all = files(&world.disk, &Path::new(DATA).join("outbox"));
    let changes: Vec<PathBuf> = all.into_iter().filter(|path| path.ends_with("change")).collect();
    assert!(changes.len() > 3);
    for victim in changes {
        let mut world = dead(true);
        damage(&world, &victim, 0);
        damage(&world, &victim.with_extension("copy"), 0);
        world.start();
        assert_eq!(world.process().mended.set_aside, 0);
        world.settle();
    }
}

/// Carry and index are gone, each with its copy: nobody knows what has landed. What is open is set aside and counted, the
/// start goes on, and what comes later lands.
#[test]
fn d8_what_nobody_can_tell_is_set_aside_and_counted() {
    let mut world = dead(false);
    both(&world, &["carry", "change", "stored.json"], 0);
    world.damaged = UNKNOWN;
    world.start();
    let mended = world.process().mended;
    assert!(mended.set_aside > 3 && mended.adopted == 0, "{mended:?}");
    assert_eq!(world.process().metrics.ledger().quarantined, mended.set_aside);
    let log = files(&world.disk, &Path::new(DATA).join("wal"));
    assert!(log.iter().any(|path| path.extension().is_some_and(|end| end == "aside")), "the log's files are kept");
    let before = world.bucket.seen(|seen| seen.rows.len());
    world.client.resends = false;
    for _ in 0..4 {
        world.trace();
    }
    world.run(Duration::from_secs(30));
    world.settle();
    assert!(world.bucket.seen(|seen| seen.rows.len()) > before + 4);
}

/// Resend keys and tombstones that are gone with their copies cost what was in them, not the start.
#[test]
fn d8_lost_resend_keys_and_tombstones_do_not_stop_the_start() {
    for name in ["window", "tombs"] {
        for how in 0..DAMAGES.len() {
            // What is sent again could not be recognised.
            let mut world = killed(false, false);
            both(&world, &[name], how);
            world.start();
            world.trace();
            world.run(Duration::from_secs(20));
            assert!(world.process.is_some());
        }
    }
}

/// An index that is gone with its copy parks its entry; the others go on, and the process starts.
#[test]
fn d8_an_index_that_is_lost_with_its_copy_parks_its_entry() {
    let mut world = dead(true);
    world.client.resends = false;
    let last = both(&world, &["entry.json"], 0);
    world.start();
    let waiting = world.process().outbox.waiting().len();
    assert!(waiting > 1);
    world.run(Duration::from_secs(60));
    let process = world.process();
    assert_eq!(process.outbox.parked(), [last]);
    assert_eq!(process.outbox.waiting(), [0; 0]);
}
