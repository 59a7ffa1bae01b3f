//! Logical time: the log's own, which only passes while a process runs.

use crate::clock::Clock;
use std::sync::Arc;
use std::time::Duration;

/// A moment of the log: nanoseconds that processes have run since the directory was made. It never goes back, and
/// the wall clock has no part in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LogicalTime(u64);

impl LogicalTime {
    /// The moment that many nanoseconds after the directory was made.
    pub fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the directory was made.
    pub fn nanos(self) -> u64 {
        self.0
    }

    /// The moment so much later.
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// How long after `earlier` this is; zero if it is before.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// Gives logical time from monotonic time.
#[derive(Debug)]
pub(super) struct LogicalClock {
    clock: Arc<dyn Clock>,
    start: LogicalTime,
    started: Duration,
}

impl LogicalClock {
    /// Goes on from the time at which the log ended.
    pub(super) fn new(clock: Arc<dyn Clock>, start: LogicalTime) -> Self {
        let started = clock.monotonic();
        Self { clock, start, started }
    }

    pub(super) fn monotonic(&self) -> Duration {
        self.clock.monotonic()
    }

    pub(super) fn now(&self) -> LogicalTime {
        self.start.plus(self.monotonic().saturating_sub(self.started))
    }

    /// The monotonic time at which it will be `time`.
    pub(super) fn monotonic_at(&self, time: LogicalTime) -> Duration {
        self.started.saturating_add(time.since(self.start))
    }
}
