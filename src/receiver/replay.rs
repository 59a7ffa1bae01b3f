//! Deliveries of webhooks that are durable already: one that comes again is answered as it was, and stores nothing.
//!
//! A delivery is learned after the log has synced it and not before, for one that failed must be taken when it comes
//! again. What is forgotten here is still recognised by the fold, within its window.

use sha2::Digest as _;
use sha2::Sha256;
use std::collections::HashSet;
use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

/// Platforms send a delivery again for days where it was not answered; one that was answered comes again within hours.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
const MOST: usize = 1 << 16;

/// The deliveries that are remembered.
#[derive(Debug, Default)]
pub(super) struct Replays {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    known: HashSet<Delivery>,
    order: VecDeque<(Duration, Delivery)>,
}

/// What a delivery is recognised by: half of a hash of all its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Delivery([u8; 16]);

impl Delivery {
    /// Of whom, and what came.
    pub(super) fn of(parts: &[&[u8]]) -> Self {
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        Self(hasher.finalize().first_chunk().copied().unwrap_or_default())
    }
}

impl Replays {
    /// Whether a delivery is durable already.
    pub(super) fn knows(&self, delivery: Delivery, now: Duration) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.forget(now);
        state.known.contains(&delivery)
    }

    /// Remembers a delivery that has just become durable.
    pub(super) fn learn(&self, delivery: Delivery, now: Duration) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.known.insert(delivery) {
            state.order.push_back((now, delivery));
        }
        state.forget(now);
    }
}

impl State {
    fn forget(&mut self, now: Duration) {
        while let Some((at, delivery)) = self.order.front().copied() {
            if self.order.len() <= MOST && now.saturating_sub(at) < LONGEST {
                return;
            }
            self.order.pop_front();
            self.known.remove(&delivery);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_is_known_once_learned_and_for_a_day() {
        let replays = Replays::default();
        let (one, other) = (Delivery::of(&[b"meta", b"body"]), Delivery::of(&[b"metab", b"ody"]));
        assert_ne!(one, other, "parts do not run together");
        assert!(!replays.knows(one, Duration::ZERO));
        replays.learn(one, Duration::ZERO);
        assert!(replays.knows(one, Duration::from_secs(3600)) && !replays.knows(other, Duration::ZERO));
        assert!(!replays.knows(one, LONGEST));
    }

    #[test]
    fn only_so_many_are_remembered() {
        let replays = Replays::default();
        for nth in 0..=MOST {
            replays.learn(Delivery::of(&[&nth.to_le_bytes()]), Duration::ZERO);
        }
        assert!(!replays.knows(Delivery::of(&[&0_usize.to_le_bytes()]), Duration::ZERO));
        assert!(replays.knows(Delivery::of(&[&MOST.to_le_bytes()]), Duration::ZERO));
        assert_eq!(replays.state.lock().unwrap().order.len(), MOST);
    }
}
