//! One life for each place where a process can be killed, and for each call that can fail in each way.

use super::process::DATA;
use super::process::Settings;
use super::told;
use super::world::World;
use crate::failpoint;
use crate::failpoint::Point;
use crate::lake::objects;
use crate::lake::objects::Failure;
use crate::wal::disk::Fault;
use crate::wal::disk::FaultDisk;
use crate::wal::disk::Op;
use crate::wal::disk::Outcome;
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// A life in which everything happens: traces that end and traces that stay open, resends, an entry that is refused,
/// a long trace whose records are copied.
fn life(world: &mut World) {
    world.client.padding = 2500;
    for _ in 0..6 {
        world.trace();
    }
    world.run(Duration::from_secs(8));
    if let Some(process) = &world.process {
        let why = String::from("403");
        let outcome = objects::Outcome::NotDone(Failure::Refused { scope: objects::Scope::Object, why });
        let fault = objects::Fault { call: None, key: String::from("_commits"), skip: 1, times: 1, outcome };
        process.objects.add(fault);
    }
    for _ in 0..6 {
        world.trace();
        world.run(Duration::from_secs(3));
    }
}

fn ended(world: &mut World) {
    if world.process.is_some() {
        world.kill();
    }
}

/// D2: killed at each point, at its first visits, with the power cut or not.
#[test]
fn d2_a_kill_at_each_named_point_loses_nothing() {
    let before = failpoint::visits();
    let mut tried: BTreeMap<Point, u64> = BTreeMap::new();
    for point in Point::ALL {
        for (skip, is_power) in [(0, false), (0, true), (3, true)] {
            let mut world = World::running(3, Settings::default());
            if matches!(point, Point::RecoverBeforeSeal | Point::RecoverAfterSeal) {
                world.trace();
                world.run(Duration::from_secs(2));
                world.kill();
            }
            let lives = world.tally.kills;
            failpoint::arm(point, skip);
            if world.process.is_none() {
                world.start();
            }
            life(&mut world);
            failpoint::disarm();
            *tried.entry(point).or_default() += world.tally.kills - lives;
            ended(&mut world);
            if is_power {
                world.disk = world.disk.power_loss(skip);
            }
            world.settle();
        }
    }
    let after = failpoint::visits();
    for point in Point::ALL {
        assert!(after.get(&point) > before.get(&point), "{point:?} is never reached");
        assert!(tried[&point] > 0, "nobody was killed at {point:?}");
    }
    say!("killed at {} points: {tried:?}", tried.len());
}

/// What can happen to one call of the disk.
fn outcomes(op: Op) -> Vec<Outcome> {
    if !op.is_change() {
        return vec![Outcome::NotDone(Errno::IO)];
    }
    let mut outcomes =
        vec![Outcome::StopBefore, Outcome::StopAfter, Outcome::NotDone(Errno::IO), Outcome::DoneButFailed(Errno::IO)];
    if matches!(op, Op::Create | Op::WriteAt | Op::Allocate | Op::CreateDir) {
        outcomes.push(Outcome::NotDone(Errno::NOSPC));
    }
    if op == Op::WriteAt {
        outcomes.push(Outcome::Partly(70, Errno::NOSPC));
    }
    outcomes
}

/// D7 and D3: each call of the disk fails once, in each way; then the power is cut.
#[test]
fn d7_whatever_happens_to_any_one_call_of_the_disk_nothing_is_lost() {
    let mut world = World::running(5, Settings::default());
    life(&mut world);
    let calls = world.process().disk.calls();
    // Calls that look alike fail alike: of each kind and file the first ones, and then some.
    let mut seen: BTreeMap<(Op, String), u32> = BTreeMap::new();
    let mut tried = 0;
    for (n, call) in calls.iter().enumerate() {
        let path = call.path.strip_prefix(DATA).unwrap_or(&call.path).to_string_lossy().replace(char::is_numeric, "");
        let count = seen.entry((call.op, path)).or_default();
        *count += 1;
        if *count > 1 && n % 151 != 0 {
            continue;
        }
        for outcome in outcomes(call.op) {
            let mut world = World::new(5, Settings::default());
            let disk = FaultDisk::new(Arc::new(world.disk.clone()));
            disk.add(Fault { op: None, path: String::new(), skip: n as u64, times: 1, outcome });
            world.may_die = true;
            told(
                || {
                    world.start_on(disk);
                    life(&mut world);
                },
                &|| format!("call {n}, {call:?}: {outcome:?}"),
            );
            ended(&mut world);
            world.disk = world.disk.power_loss(n as u64);
            told(|| world.settle(), &|| format!("call {n}, {call:?}: {outcome:?}"));
            tried += 1;
        }
    }
    say!("{tried} lives with one failing call each, of {} calls", calls.len());
    assert!(tried > 100);
}

/// S3 and its kin: each call of the store fails once, in each of four ways.
#[test]
fn s3_whatever_happens_to_any_one_call_of_the_store_nothing_is_lost_or_doubled() {
    let mut world = World::running(6, Settings::default());
    life(&mut world);
    let calls = world.process().objects.calls();
    let mut tried = 0;
    for skip in (0..calls.len() as u64).step_by(2) {
        for outcome in [
            objects::Outcome::NotDone(Failure::NotWritten(String::from("503"))),
            objects::Outcome::DoneButFailed(Failure::Unknown(String::from("reset"))),
            objects::Outcome::Silent,
            objects::Outcome::DoneAndSilent,
        ] {
            let mut world = World::running(6, Settings::default());
            let fault = objects::Fault { call: None, key: String::new(), skip, times: 1, outcome };
            world.process().objects.add(fault);
            life(&mut world);
            if skip % 2 == 0 {
                ended(&mut world);
            }
            world.settle();
            tried += 1;
        }
    }
    say!("{tried} lives with one failing call of the store each");
    assert!(tried > 30);
}

/// How a process ends.
#[derive(Debug, Clone, Copy)]
enum Ends {
    Never,
    Killed,
    Stopped,
}

/// The same life, with nothing going wrong, with a kill after each second, and with a stop, gives the same rows to the
/// byte.
#[test]
fn kills_and_stops_change_nothing_in_the_rows_of_a_trace() {
    let rows = |ends: Ends| {
        let mut world = World::running(9, Settings { patience: (3, 400, 2000), ..Settings::default() });
        world.client.resends = false;
        for _ in 0..5 {
            world.trace();
        }
        for _ in 0..90 {
            world.run(Duration::from_secs(1));
            match ends {
                Ends::Killed if !world.client.is_waiting() => world.kill(),
                // Before a root came: a trace that is finished does not linger when a process is asked to stop.
                Ends::Stopped if !world.client.is_waiting() && !world.is_any_finished() => {
                    world.stop(Duration::from_secs(8));
                }
                _ => continue,
            }
            world.start();
        }
        world.settle();
        (world.bucket.events(), world.tally.lives)
    };
    let (expected, _) = rows(Ends::Never);
    assert!(expected.len() > 10);
    for ends in [Ends::Killed, Ends::Stopped] {
        let (found, lives) = rows(ends);
        say!("{lives} lives, {ends:?}: {} rows", found.len());
        assert!(lives > 20);
        assert_eq!(found, expected, "{ends:?}");
    }
}

/// An unused disk is not touched by a start.
#[test]
fn a_start_on_an_empty_disk_writes_only_who_it_is() {
    let mut world = World::running(1, Settings::default());
    assert_eq!(super::world::files(&world.disk, std::path::Path::new(DATA)).len(), 3, "lock, writer and its copy");
    world.settle();
    assert!(world.disk.used() < 300);
}
