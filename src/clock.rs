//! Time, as something that is handed in: the only file that reads the machine's clocks.
//!
//! [`SystemClock`] is the machine's time, [`ManualClock`] a time that stands still until it is told to move. Whoever
//! needs a timestamp or measures a wait takes a [`Clock`], so that tests, simulations and offline runs decide what
//! time it is.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

/// A source of time.
pub trait Clock: Send + Sync + Debug {
    /// What the wall clock shows, in microseconds since 1970-01-01 UTC. It may jump in either direction.
    fn wall_micros(&self) -> i64;

    /// Time since some fixed moment of this process. It never goes back, whatever happens to the wall clock.
    fn monotonic(&self) -> Duration;

    /// Waits until so much time has passed.
    fn sleep(&self, time: Duration) -> Sleep;
}

/// What waits for a time.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

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

    fn sleep(&self, time: Duration) -> Sleep {
        Box::pin(tokio::time::sleep(time))
    }
}

/// A clock that moves only when it is told to.
#[derive(Debug, Default)]
pub struct ManualClock {
    time: Arc<Mutex<Time>>,
}

#[derive(Debug, Default)]
struct Time {
    wall_micros: i64,
    monotonic: Duration,
    /// Who waits for which time, by the number of the sleep.
    sleepers: BTreeMap<u64, (Duration, Option<Waker>)>,
    sleeps: u64,
}

impl ManualClock {
    /// Returns a clock that shows `wall_micros` and has run for no time yet.
    pub fn new(wall_micros: i64) -> Self {
        Self { time: Arc::new(Mutex::new(Time { wall_micros, ..Time::default() })) }
    }

    /// Lets time pass, on both clocks.
    pub fn advance(&self, by: Duration) {
        let mut time = self.time();
        time.monotonic = time.monotonic.saturating_add(by);
        time.wall_micros = time.wall_micros.saturating_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX));
        let now = time.monotonic;
        let due = time.sleepers.values_mut().filter(|(until, _)| *until <= now);
        let wakers: Vec<Waker> = due.filter_map(|(_, waker)| waker.take()).collect();
        drop(time);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// The monotonic time for which the first of all sleepers waits.
    pub fn next_wake(&self) -> Option<Duration> {
        self.time().sleepers.values().map(|(until, _)| *until).min()
    }

    /// Sets the wall clock, forward or back. No time passes.
    pub fn set_wall_micros(&self, wall_micros: i64) {
        self.time().wall_micros = wall_micros;
    }

    fn time(&self) -> MutexGuard<'_, Time> {
        held(&self.time)
    }
}

impl Clock for ManualClock {
    fn wall_micros(&self) -> i64 {
        self.time().wall_micros
    }

    fn monotonic(&self) -> Duration {
        self.time().monotonic
    }

    fn sleep(&self, time: Duration) -> Sleep {
        let mut held = self.time();
        let (number, until) = (held.sleeps, held.monotonic.saturating_add(time));
        held.sleeps += 1;
        held.sleepers.insert(number, (until, None));
        Box::pin(ManualSleep { time: Arc::clone(&self.time), number })
    }
}

/// A sleep on a clock that is moved by hand.
#[derive(Debug)]
struct ManualSleep {
    time: Arc<Mutex<Time>>,
    number: u64,
}

impl Future for ManualSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut time = held(&self.time);
        let now = time.monotonic;
        match time.sleepers.get_mut(&self.number) {
            Some((until, waker)) if *until > now => {
                *waker = Some(context.waker().clone());
                Poll::Pending
            }
            _ => Poll::Ready(()),
        }
    }
}

impl Drop for ManualSleep {
    fn drop(&mut self) {
        held(&self.time).sleepers.remove(&self.number);
    }
}

fn held(time: &Mutex<Time>) -> MutexGuard<'_, Time> {
    // Plain numbers and wakers: a panic elsewhere cannot leave them half-written.
    time.lock().unwrap_or_else(PoisonError::into_inner)
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
    fn a_sleep_ends_when_the_clock_has_moved_far_enough() {
        let clock = ManualClock::new(0);
        let mut context = Context::from_waker(Waker::noop());
        let (mut short, long) = (clock.sleep(Duration::from_secs(1)), clock.sleep(Duration::from_secs(5)));
        clock.advance(Duration::from_millis(999));
        assert!(short.as_mut().poll(&mut context).is_pending());
        assert_eq!(clock.next_wake(), Some(Duration::from_secs(1)));
        clock.advance(Duration::from_millis(1));
        assert!(short.as_mut().poll(&mut context).is_ready());
        drop(short);
        assert_eq!(clock.next_wake(), Some(Duration::from_secs(5)));
        drop(long);
        assert_eq!(clock.next_wake(), None);
    }

    #[test]
    fn the_system_clock_shows_a_time_of_this_age_and_never_goes_back() {
        let clock = SystemClock::new();
        assert!(clock.wall_micros() > 1_700_000_000_000_000);
        let before = clock.monotonic();
        assert!(clock.monotonic() >= before);
    }
}
