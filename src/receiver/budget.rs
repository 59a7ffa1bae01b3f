//! Bytes of requests under way, all doors together. What does not fit is shed before it is read, not queued: memory
//! stays bounded whatever senders do.

use super::Rejected;
use crate::metrics::Metrics;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

/// What may still come in.
#[derive(Debug)]
pub(super) struct Budget {
    free: AtomicUsize,
    metrics: Arc<Metrics>,
}

impl Budget {
    pub(super) fn new(bytes: usize, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self { free: AtomicUsize::new(bytes), metrics })
    }

    /// Starts a request that holds nothing yet.
    pub(super) fn hold(self: &Arc<Self>) -> Held {
        Held { budget: Arc::clone(self), bytes: 0 }
    }
}

const CROWDED: &str = "too many bytes of requests are under way (receivers.otlp.in_flight)";

/// The bytes of one request; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Held {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Held {
    /// Sheds the request if `bytes` in all would not find room now. Nothing is held for what a sender only announces.
    pub(super) fn expect(&self, bytes: usize) -> Result<(), Rejected> {
        let free = self.budget.free.load(Ordering::Acquire);
        if bytes.saturating_sub(self.bytes) <= free { Ok(()) } else { Err(Rejected::busy(CROWDED)) }
    }

    /// Holds `bytes` more, or none and sheds the request.
    pub(super) fn grow(&mut self, bytes: usize) -> Result<(), Rejected> {
        let taken = self.budget.free.fetch_update(Ordering::AcqRel, Ordering::Acquire, |free| free.checked_sub(bytes));
        if taken.is_err() {
            return Err(Rejected::busy(CROWDED));
        }
        self.bytes += bytes;
        self.count(bytes, 1);
        Ok(())
    }

    /// Holds at least `bytes`.
    pub(super) fn reach(&mut self, bytes: usize) -> Result<(), Rejected> {
        if bytes > self.bytes { self.grow(bytes - self.bytes) } else { Ok(()) }
    }

    fn count(&self, bytes: usize, sign: i64) {
        self.budget.metrics.in_flight_bytes.add(i64::try_from(bytes).unwrap_or(i64::MAX) * sign);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.free.fetch_add(self.bytes, Ordering::AcqRel);
        self.count(self.bytes, -1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_shed_and_what_is_dropped_comes_back() {
        let metrics = Arc::new(Metrics::default());
        let budget = Budget::new(100, Arc::clone(&metrics));
        let mut one = budget.hold();
        one.grow(60).unwrap();
        one.reach(50).unwrap();
        let mut two = budget.hold();
        assert_eq!(two.grow(41).unwrap_err().outcome(), "unavailable");
        assert_eq!(two.expect(41).unwrap_err().outcome(), "unavailable");
        two.expect(40).unwrap();
        assert_eq!(metrics.in_flight_bytes.get(), 60, "what is announced is not held");
        two.grow(40).unwrap();
        assert_eq!(metrics.in_flight_bytes.get(), 100);
        drop(one);
        two.reach(100).unwrap();
        drop(two);
        assert_eq!(metrics.in_flight_bytes.get(), 0);
    }
}
