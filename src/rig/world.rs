//! Disk, bucket and client over many lives of the process, and what must hold in the end.

use super::Random;
use super::bucket::Bucket;
use super::client::Client;
use super::client::SECRET;
use super::process::DATA;
use super::process::Death;
use super::process::Process;
use super::process::Settings;
use crate::failpoint;
use crate::lake::objects::FaultObjects;
use crate::road::Road;
use crate::wal::disk;
use crate::wal::disk::Disk;
use crate::wal::disk::FaultDisk;
use crate::wal::disk::MemDisk;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Wall clock at the beginning: 2026-11-21.
pub(crate) const BEGIN: i64 = 1_795_219_200_000_000;
/// Damage after which nobody knows what was lost.
pub(crate) const UNKNOWN: u64 = 1 << 40;
/// Turns after which a world that should come to rest has not.
const PATIENCE: u32 = 40_000;

/// What was tried.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    pub(crate) lives: u64,
    pub(crate) kills: u64,
    pub(crate) power_cuts: u64,
    pub(crate) disk_faults: u64,
    pub(crate) store_faults: u64,
    pub(crate) stops: u64,
    pub(crate) records: u64,
    pub(crate) commits: u64,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.lives += other.lives;
        self.kills += other.kills;
        self.power_cuts += other.power_cuts;
        self.disk_faults += other.disk_faults;
        self.store_faults += other.store_faults;
        self.stops += other.stops;
        self.records += other.records;
        self.commits += other.commits;
    }
}

/// Everything that outlives a process, and the process.
pub(crate) struct World {
    pub(crate) disk: MemDisk,
    pub(crate) bucket: Bucket,
    pub(crate) client: Client,
    pub(crate) settings: Settings,
    pub(crate) random: Random,
    pub(crate) tally: Tally,
    pub(crate) process: Option<Process>,
    /// Whether something was done that a process may die of.
    pub(crate) may_die: bool,
    /// Records lost to damage that a test did to the disk.
    pub(crate) damaged: u64,
    /// Time of all lives together.
    elapsed: Duration,
    pub(crate) wall: i64,
}

impl World {
    pub(crate) fn new(seed: u64, settings: Settings) -> Self {
        Self {
            disk: MemDisk::new(),
            bucket: Bucket::default(),
            client: Client::new(seed ^ 0xc11e_4700),
            settings,
            random: Random(seed),
            tally: Tally::default(),
            process: None,
            may_die: false,
            damaged: 0,
            elapsed: Duration::ZERO,
            wall: BEGIN,
        }
    }

    /// A world whose process runs.
    pub(crate) fn running(seed: u64, settings: Settings) -> Self {
        let mut world = Self::new(seed, settings);
        world.start();
        world
    }

    /// Starts the next process on what the last one left.
    pub(crate) fn start(&mut self) {
        let disk = FaultDisk::new(Arc::new(self.disk.clone()));
        self.start_on(disk);
    }

    /// Starts the next process on a disk that may fail.
    pub(crate) fn start_on(&mut self, disk: FaultDisk) {
        assert!(self.process.is_none());
        self.tally.lives += 1;
        let objects = FaultObjects::new(Arc::new(self.bucket.clone()));
        match Process::start(disk, objects, self.wall, &self.settings) {
            Ok(process) => {
                self.process = Some(process);
                self.check_still();
            }
            Err(death) => self.buried(&death),
        }
    }

    /// The running process.
    pub(crate) fn process(&mut self) -> &mut Process {
        if self.process.is_none() {
            self.start();
        }
        self.process.as_mut().expect("a process that starts without a fault")
    }

    pub(crate) fn now(&self) -> Duration {
        self.elapsed
            + self.process.as_ref().map_or(Duration::ZERO, |process| crate::clock::Clock::monotonic(&*process.clock))
    }

    fn wall(&self) -> i64 {
        self.process.as_ref().map_or(self.wall, |process| crate::clock::Clock::wall_micros(&*process.clock))
    }

    /// Plans a trace from now on.
    pub(crate) fn trace(&mut self) {
        let (now, wall) = (self.now(), self.wall());
        self.client.trace(now, wall);
    }

    /// Lets the process do something, and hears what comes of it.
    pub(crate) fn act<T>(&mut self, act: impl FnOnce(&mut Process) -> Result<T, Death>) -> Option<T> {
        failpoint::set_seconds(u64::try_from(self.wall() / 1_000_000).unwrap_or(0));
        let result = act(self.process.as_mut()?);
        let now = self.now();
        self.client.hear(now);
        match result {
            Ok(value) => {
                if let Some(process) = &self.process {
                    process.check();
                }
                Some(value)
            }
            Err(death) => {
                self.buried(&death);
                None
            }
        }
    }

    fn buried(&mut self, death: &Death) {
        if let Death::Disk(why) = death {
            assert!(self.may_die, "I12: the process ended by itself: {why}");
        }
        self.kill();
    }

    /// Ends the process where it stands.
    pub(crate) fn kill(&mut self) {
        let now = self.now();
        self.client.hang_up(now);
        (self.elapsed, self.wall) = (now, self.wall());
        self.disk = self.disk.killed();
        self.process = None;
        self.may_die = false;
        failpoint::disarm();
        self.tally.kills += 1;
    }

    /// Cuts the power.
    pub(crate) fn cut_power(&mut self, seed: u64) {
        self.kill();
        self.disk = self.disk.power_loss(seed);
        self.tally.power_cuts += 1;
    }

    /// Sends what is due, and does all that can be done now.
    pub(crate) fn work(&mut self) {
        let now = self.now();
        if let Some(process) = &self.process {
            self.client.send(&process.wal, now);
        }
        self.act(Process::work);
    }

    /// Lets time pass.
    pub(crate) fn pass(&mut self, time: Duration) {
        match &self.process {
            Some(process) => process.clock.advance(time),
            None => self.wall += i64::try_from(time.as_micros()).unwrap(),
        }
    }

    /// Works and lets time pass, until so much of it has.
    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.now() + time;
        while self.now() < end {
            self.work();
            if self.process.is_none() {
                return;
            }
            let step = self.until_next().unwrap_or(time).min(end.saturating_sub(self.now()));
            self.pass(step.max(Duration::from_millis(1)));
        }
        self.work();
    }

    fn until_next(&mut self) -> Option<Duration> {
        let now = self.now();
        let own = self.act(Process::next_at).flatten().map(|at| self.elapsed + at);
        let next = [own, self.client.next_at()].into_iter().flatten().min()?;
        Some(next.saturating_sub(now))
    }

    pub(crate) fn check_still(&self) {
        if let Some(process) = &self.process {
            process.check_still();
        }
    }

    /// Takes all faults away and lets everything come to an end; then holds what is there against what was
    /// acknowledged.
    pub(crate) fn settle(&mut self) {
        self.disk.set_capacity(u64::MAX);
        failpoint::disarm();
        for turn in 0.. {
            assert!(turn < PATIENCE, "I12: the world does not come to rest");
            let process = self.process();
            process.disk.clear();
            process.objects.clear();
            self.work();
            let is_idle = self.client.next_at().is_none() && !self.client.is_waiting();
            match self.until_next() {
                Some(wait) => self.pass(wait.max(Duration::from_millis(1))),
                None if is_idle && self.process().is_drained() => break,
                None => self.pass(Duration::from_secs(1)),
            }
        }
        self.check_still();
        // Who has lost the index of an entry does not know its prefixes either, and names an older manifest.
        self.bucket.check(true, self.damaged < UNKNOWN);
        self.hold_against_what_was_acknowledged();
        self.look_for_secrets();
        self.tally.records = self.client.acknowledged.len() as u64;
        self.tally.commits = self.bucket.seen(|seen| seen.manifests.len() as u64);
    }

    fn hold_against_what_was_acknowledged(&mut self) {
        let damaged = self.damaged;
        let next = Road::floor(&self.process().outbox).unwrap().next_sequence;
        let client = &self.client;
        self.bucket.seen(|seen| {
            let broken = |token: &str| token.ends_with('x');
            let lost = client.acknowledged.iter().filter(|token| !broken(token) && !seen.rows.contains_key(*token));
            let lost: Vec<_> = lost.collect();
            assert!(lost.len() as u64 <= damaged, "I1: acknowledged and lost: {lost:?}");
            for name in seen.rows.keys() {
                assert!(client.sent.contains(name), "I2: nobody sent {name}");
            }
            let dead = client.acknowledged.iter().filter(|token| broken(token)).count() as u64;
            assert!(seen.dead + damaged >= dead, "I9: {dead} bad records acknowledged, {} set aside", seen.dead);
            let decided = seen.decided.len() as u64;
            assert!(decided <= next && decided + damaged >= next, "I3: {decided} of {next} numbers are decided");
        });
    }

    /// I10, on the disk; the bucket looks for itself.
    fn look_for_secrets(&self) {
        for path in files(&self.disk, Path::new(DATA)) {
            let bytes = disk::read(&self.disk, &path).unwrap();
            let has = bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes());
            assert!(!has, "I10: a secret is in {}", path.display());
        }
    }

    /// Asks the process to stop and gives it so much time; says whether it ended by itself.
    pub(crate) fn stop(&mut self, grace: Duration) -> bool {
        self.tally.stops += 1;
        self.process().stop();
        let end = self.now() + grace;
        let is_clean = loop {
            if self.act(Process::work).is_none() {
                return false;
            }
            let process = self.process();
            if process.is_stopped() && process.outbox.waiting().is_empty() {
                break true;
            }
            if self.now() >= end {
                break false;
            }
            let left = end.saturating_sub(self.now());
            let wait = self.until_next().unwrap_or(left).min(left);
            self.pass(wait.max(Duration::from_millis(1)));
        };
        self.kill();
        is_clean
    }

    /// Whether a trace is finished and lingers.
    pub(crate) fn is_any_finished(&mut self) -> bool {
        self.process().waiting.is_some_and(|waiting| waiting.linger > 0)
    }

    /// Bytes of all files on the disk.
    pub(crate) fn used(&self) -> u64 {
        self.disk.used()
    }
}

/// All files below a folder.
pub(crate) fn files(disk: &MemDisk, folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in disk.list(folder).unwrap_or_default() {
        let path = folder.join(&entry.name);
        if entry.is_dir { found.extend(files(disk, &path)) } else { found.push(path) }
    }
    found
}
