//! Random histories: what is sent, what fails, when the process ends, all decided by a seed.
//!
//! `CHATLAKE_TEST_HISTORIES=N` sets how many, `CHATLAKE_TEST_SEED=N` where they begin; with `CHATLAKE_TEST_LONG=1` there
//! are many more. A failing one is printed and gets a
//! slot in [`FAILED`].

use super::client::Client;
use super::process::Process;
use super::process::Settings;
use super::world::Tally;
use super::world::World;
use crate::failpoint;
use crate::failpoint::Point;
use crate::lake::objects;
use crate::lake::objects::Failure;
use crate::lake::objects::Scope;
use crate::wal::disk::Fault;
use crate::wal::disk::Op;
use crate::wal::disk::Outcome;
use rustix::io::Errno;
use std::time::Duration;

/// Seeds that once failed; they run first, for ever.
const FAILED: [u64; 0] = [];
/// How many run in the ordinary tests.
const SEEDS: u64 = 120;
/// What happens in one of them.
const EVENTS: u32 = 130;

/// Tells one history and checks it.
pub(crate) fn tell(seed: u64) -> Tally {
    let mut world = World::new(seed, settings(seed));
    for _ in 0..EVENTS {
        happen(&mut world);
    }
    world.settle();
    world.tally
}

fn settings(seed: u64) -> Settings {
    let mut settings = Settings { json: seed % 4 == 1, close_open: seed % 8 == 3, ..Settings::default() };
    if seed % 3 == 1 {
        // Small, so that it is often full.
        settings.log.cap = 220 << 10;
    }
    settings
}

fn happen(world: &mut World) {
    if world.process.is_none() {
        world.start();
        return;
    }
    match world.random.below(40) {
        0..=8 => world.trace(),
        9..=14 => world.work(),
        15..=16 => {
            let now = world.now();
            let wal = &world.process().wal.clone();
            world.client.send(wal, now);
        }
        17..=18 => drop(world.act(Process::write)),
        19..=20 => drop(world.act(Process::fold)),
        21..=22 => drop(world.act(Process::upload)),
        23..=25 => {
            let time = Duration::from_millis(world.random.below(4000));
            world.run(time);
        }
        26 => {
            let time = Duration::from_secs(world.random.below(90));
            world.run(time);
        }
        27 => world.kill(),
        28 => {
            let seed = world.random.next();
            world.cut_power(seed);
        }
        29 => {
            let grace = Duration::from_secs(world.random.below(9));
            world.stop(grace);
            if world.random.chance(2) {
                world.disk = world.disk.power_loss(world.random.next());
            }
        }
        30..=31 => kill_later(world),
        32..=33 => break_disk(world),
        34..=36 => break_store(world),
        37 => fill_disk(world),
        38 => jump(world),
        _ => broken_record(world),
    }
}

fn kill_later(world: &mut World) {
    let point = world.random.one(&Point::ALL);
    failpoint::arm(point, world.random.below(3));
}

fn break_disk(world: &mut World) {
    world.tally.disk_faults += 1;
    let skip = world.random.below(40);
    let (op, outcome) = match world.random.below(8) {
        0..=2 => {
            let op = world.random.one(&[Op::Create, Op::WriteAt, Op::Allocate, Op::CreateDir]);
            let errno = world.random.one(&[Errno::NOSPC, Errno::DQUOT, Errno::MFILE]);
            let outcome = match world.random.below(2) {
                0 => Outcome::NotDone(errno),
                _ if op == Op::WriteAt => {
                    Outcome::Partly(usize::try_from(world.random.below(300)).unwrap(), Errno::NOSPC)
                }
                _ => Outcome::DoneButFailed(errno),
            };
            (Some(op), outcome)
        }
        3 => (Some(world.random.one(&[Op::Open, Op::Edit, Op::List])), Outcome::NotDone(Errno::MFILE)),
        4 => (None, Outcome::NotDone(Errno::IO)),
        5 => (None, Outcome::DoneButFailed(Errno::IO)),
        6 => (None, Outcome::StopBefore),
        _ => (None, Outcome::StopAfter),
    };
    world.may_die = true;
    world.process().disk.add(Fault { op, path: String::new(), skip, times: 1, outcome });
}

fn break_store(world: &mut World) {
    world.tally.store_faults += 1;
    let passing = [Failure::NotWritten(String::from("slow down")), Failure::Unknown(String::from("reset"))];
    let failure = passing[usize::try_from(world.random.below(2)).unwrap()].clone();
    let (times, outcome) = match world.random.below(7) {
        0 => (1, objects::Outcome::NotDone(failure)),
        1 => (1, objects::Outcome::DoneButFailed(failure)),
        2 => (1, objects::Outcome::Silent),
        3 => (1, objects::Outcome::DoneAndSilent),
        4 => (world.random.below(30), objects::Outcome::NotDone(failure)),
        5 => (world.random.below(6), objects::Outcome::DoneButFailed(failure)),
        _ => {
            let scope = world.random.one(&[Scope::Store, Scope::Object]);
            (1, objects::Outcome::NotDone(Failure::Refused { scope, why: String::from("403") }))
        }
    };
    let key = world.random.one(&["", "_commits", "events", "team/a"]).to_owned();
    let skip = world.random.below(4);
    let call = world.random.one(&[None, Some(objects::Call::Create), Some(objects::Call::Read)]);
    world.process().objects.add(objects::Fault { call, key, skip, times, outcome });
}

fn fill_disk(world: &mut World) {
    let room = if world.random.chance(2) { u64::MAX } else { world.used() + world.random.below(60 << 10) };
    world.disk.set_capacity(room);
}

/// The wall clock jumps, by an hour or by ten years, forward or back.
fn jump(world: &mut World) {
    let by = world.random.one(&[3600, -3600, 315_360_000, -315_360_000]) * 1_000_000;
    let wall = crate::clock::Clock::wall_micros(&*world.process().clock) + by;
    if wall > 1_000_000_000_000_000 {
        world.process().clock.set_wall_micros(wall);
    }
}

fn broken_record(world: &mut World) {
    let now = world.now();
    let wall = super::world::BEGIN;
    Client::broken(&mut world.client, now, wall);
}

fn number(variable: &str) -> Option<u64> {
    #[expect(clippy::disallowed_methods, reason = "how long the tests run is no configuration")]
    let value = std::env::var(variable).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable} is a number, not {value}")))
}

/// Runs a check for a seed, and names the seed if it fails.
pub(crate) fn named<T>(seed: u64, check: impl FnOnce(u64) -> T) -> T {
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(seed))) {
        Ok(value) => value,
        Err(panic) => {
            eprintln!(
                "seed {seed} fails: CHATLAKE_TEST_SEED={seed} CHATLAKE_TEST_HISTORIES=1; give it a slot in FAILED"
            );
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn random_histories_lose_nothing_and_land_nothing_twice() {
    let seeds = if number("CHATLAKE_TEST_LONG").is_some() { 100 * SEEDS } else { SEEDS };
    let first = number("CHATLAKE_TEST_SEED").unwrap_or(0);
    let seeds = number("CHATLAKE_TEST_HISTORIES").unwrap_or(seeds);
    let mut all = Tally::default();
    for seed in FAILED.into_iter().chain(first..first + seeds) {
        all += named(seed, tell);
    }
    say!("{seeds} histories from seed {first}: {all:?}");
    assert!(seeds < 100 || (all.power_cuts > 100 && all.disk_faults > 100 && all.store_faults > 100), "{all:?}");
}

#[test]
fn a_seed_tells_the_same_history_again() {
    for seed in 0..5 {
        let (one, two) = (tell(seed), tell(seed));
        assert_eq!(format!("{one:?}"), format!("{two:?}"), "seed {seed}");
    }
}
