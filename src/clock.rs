//! Time, as something that is handed in: the only file that reads the machine's clocks.
//!
//! [`SystemClock`] is the machine's time, [`ManualClock`] a time that stands still until it is told to move. Whoever
//! needs a timestamp or measures a wait takes a [`Clock`], so that tests, simulations and offline runs decide what
//! time it is.

use std::fmt::Debug;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

/// A source of time.
pub trait Clock: Send + Sync + Debug {
    /// What the wall clock shows, in microseconds since 1970-01-01 UTC. It may jump in either direction.
    fn wall_micros(&self) -> i64;

    /// Time since some fixed moment of this process. It never goes back, whatever happens to the wall clock.
    fn monotonic(&self) -> Duration;
}

/// The machine's clocks.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// Returns a clock whose monotonic time starts now.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the monotonic clock")]
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
    fn wall_micros(&self) -> i64 {
        let now = SystemTime::now();
        match now.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |micros| -micros),
        }
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }
}

/// A clock that moves only when it is told to.
#[derive(Debug, Default)]
pub struct ManualClock {
    time: Mutex<Time>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Time {
    wall_micros: i64,
    monotonic: Duration,
}

impl ManualClock {
    /// Returns a clock that shows `wall_micros` and has run for no time yet.
    pub fn new(wall_micros: i64) -> Self {
        Self { time: Mutex::new(Time { wall_micros, monotonic: Duration::ZERO }) }
    }

    /// Lets time pass, on both clocks.
    pub fn advance(&self, by: Duration) {
        let mut time = self.time();
        time.monotonic = time.monotonic.saturating_add(by);
        time.wall_micros = time.wall_micros.saturating_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX));
    }

    /// Sets the wall clock, forward or back. No time passes.
    pub fn set_wall_micros(&self, wall_micros: i64) {
        self.time().wall_micros = wall_micros;
    }

    fn time(&self) -> MutexGuard<'_, Time> {
        // Two plain numbers: a panic elsewhere cannot leave them half-written.
        self.time.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn wall_micros(&self) -> i64 {
        self.time().wall_micros
    }

    fn monotonic(&self) -> Duration {
        self.time().monotonic
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_of_the_wall_clock_is_no_passage_of_time() {
        let clock = ManualClock::new(1_000_000);
        clock.advance(Duration::from_secs(2));
        assert_eq!((clock.wall_micros(), clock.monotonic()), (3_000_000, Duration::from_secs(2)));
        clock.set_wall_micros(-5);
        assert_eq!((clock.wall_micros(), clock.monotonic()), (-5, Duration::from_secs(2)));
    }

    #[test]
    fn the_system_clock_shows_a_time_of_this_age_and_never_goes_back() {
        let clock = SystemClock::new();
        assert!(clock.wall_micros() > 1_700_000_000_000_000);
        let before = clock.monotonic();
        assert!(clock.monotonic() >= before);
    }
}
