//! An orderly stop: parts end in the order of the road, each by its name, and none of them can hang it.
//!
//! - A part registers and holds a [`Token`]. It is told to stop when its [`Stage`] comes, and counts as ended when
//!   the token is dropped: also by a panic, also without having been told.
//! - A part that ends without having been told asks for the stop of all: nothing limps on.
//! - A stage begins when all parts of those before it have ended, or when the time is up. Then the parts that are
//!   left are told all at once, and named.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How long parts may take that hear that the time is up.
const GOODBYE: Duration = Duration::from_secs(1);

/// When a part stops: those that bring data in stop before those that carry it on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Takes requests.
    Doors,
    /// Answers those that were taken.
    InFlight,
    /// Writes the log.
    Log,
    /// Folds and uploads.
    Lake,
    /// Tells others how it goes.
    Admin,
}

impl Stage {
    /// All, in order.
    pub const ALL: [Self; 5] = [Self::Doors, Self::InFlight, Self::Log, Self::Lake, Self::Admin];
}

/// Why it stops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// Somebody asked for it: a signal, or the end of the input.
    Asked,
    /// A part ended before it was told to.
    Ended(&'static str),
}

/// The stop of one program. Clones are the same.
#[derive(Debug, Clone)]
pub struct Stop {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    cause: watch::Sender<Option<Cause>>,
    /// The stage that has come; parts of it and of earlier ones are to stop.
    stage: watch::Sender<Option<Stage>>,
    parts: watch::Sender<Parts>,
}

#[derive(Debug, Default)]
struct Parts {
    next: u64,
    running: BTreeMap<u64, (Stage, &'static str)>,
}

impl Default for Stop {
    fn default() -> Self {
        Self::new()
    }
}

impl Stop {
    /// Returns a stop that nobody has asked for, without parts.
    pub fn new() -> Self {
        let (cause, stage, parts) =
            (watch::Sender::new(None), watch::Sender::new(None), watch::Sender::new(Parts::default()));
        Self { shared: Arc::new(Shared { cause, stage, parts }) }
    }

    /// Adds a part. One that is added when its stage has come is told at once.
    pub fn register(&self, stage: Stage, name: &'static str) -> Token {
        let mut id = 0;
        self.shared.parts.send_modify(|parts| {
            id = parts.next;
            parts.next += 1;
            parts.running.insert(id, (stage, name));
        });
        Token { stop: self.clone(), told: self.shared.stage.subscribe(), id, stage, name }
    }

    /// Asks for the stop. The first cause stays.
    pub fn ask(&self, cause: Cause) {
        self.shared.cause.send_if_modified(|first| {
            let is_first = first.is_none();
            if is_first {
                *first = Some(cause);
            }
            is_first
        });
    }

    /// Waits until the stop has been asked for, and returns why.
    pub async fn asked(&self) -> Cause {
        let mut cause = self.shared.cause.subscribe();
        // The sender lives as long as this does.
        let cause = cause.wait_for(Option::is_some).await;
        cause.ok().and_then(|cause| cause.clone()).unwrap_or(Cause::Asked)
    }

    /// Stops all parts, stage by stage, within `grace`; then lets them hear that the time is up. Returns the names of
    /// those that had not ended by then, in the order of their stages, without those that only tell of others: the
    /// caller ends the process over them.
    pub async fn run(&self, grace: Duration) -> Vec<&'static str> {
        let mut parts = self.shared.parts.subscribe();
        let stages = async {
            for stage in Stage::ALL {
                self.shared.stage.send_replace(Some(stage));
                let is_over = |parts: &Parts| parts.running.values().all(|(of, _)| *of > stage);
                // The sender lives as long as this does.
                let _ = parts.wait_for(is_over).await;
            }
        };
        let _ = tokio::time::timeout(grace, stages).await;
        let left = self.running_before(Some(Stage::Admin));
        self.shared.stage.send_replace(Some(Stage::Admin));
        let mut parts = self.shared.parts.subscribe();
        let _ = tokio::time::timeout(GOODBYE, parts.wait_for(|parts| parts.running.is_empty())).await;
        left
    }

    /// The names of the parts that have not ended, in the order of their stages.
    pub fn running(&self) -> Vec<&'static str> {
        self.running_before(None)
    }

    fn running_before(&self, end: Option<Stage>) -> Vec<&'static str> {
        let parts = self.shared.parts.borrow();
        let running = parts.running.values().copied();
        let mut running: Vec<_> = running.filter(|(stage, _)| end.is_none_or(|end| *stage < end)).collect();
        running.sort_by_key(|(stage, _)| *stage);
        running.into_iter().map(|(_, name)| name).collect()
    }
}

/// Held by a part while it runs.
#[derive(Debug)]
pub struct Token {
    stop: Stop,
    told: watch::Receiver<Option<Stage>>,
    id: u64,
    stage: Stage,
    name: &'static str,
}

impl Token {
    /// Waits until the part is to stop.
    pub async fn told(&self) {
        let stage = self.stage;
        // The sender lives as long as this does.
        let _ = self.told.clone().wait_for(|now| now.is_some_and(|now| now >= stage)).await;
    }

    /// Waits until the part is late: a stage behind its own has come while it runs, because the time is up. What it has
    /// not done by then is left.
    pub async fn late(&self) {
        let stage = self.stage;
        // The sender lives as long as this does.
        let _ = self.told.clone().wait_for(|now| now.is_some_and(|now| now > stage)).await;
    }

    /// Whether the part is to stop.
    pub fn is_told(&self) -> bool {
        self.told.borrow().is_some_and(|now| now >= self.stage)
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        if !self.is_told() {
            self.stop.ask(Cause::Ended(self.name));
        }
        self.stop.shared.parts.send_modify(|parts| {
            parts.running.remove(&self.id);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    /// More than any part here takes that ends at all.
    const GRACE: Duration = Duration::from_secs(8);

    fn run<T>(test: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(test)
    }

    /// A part that takes some milliseconds to stop, and says when it has.
    async fn part(token: Token, milliseconds: u64, log: &Mutex<Vec<&'static str>>) {
        token.told().await;
        assert!(token.is_told());
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
        log.lock().unwrap().push(token.name);
    }

    #[test]
    fn parts_stop_in_the_order_of_their_stages() {
        run(async {
            let (stop, log) = (Stop::new(), Mutex::new(Vec::new()));
            let admin = part(stop.register(Stage::Admin, "admin"), 0, &log);
            let lake = part(stop.register(Stage::Lake, "lake"), 20, &log);
            let grpc = part(stop.register(Stage::Doors, "grpc"), 60, &log);
            let http = part(stop.register(Stage::Doors, "http"), 10, &log);
            assert_eq!(stop.running(), ["grpc", "http", "lake", "admin"]);
            let (left, ..) = tokio::join!(stop.run(GRACE), admin, lake, grpc, http);
            assert_eq!(left, [""; 0]);
            assert_eq!(*log.lock().unwrap(), ["http", "grpc", "lake", "admin"]);
        });
    }

    #[test]
    fn a_part_that_hangs_is_named_when_the_time_is_up_and_the_others_are_told() {
        run(async {
            let (stop, log) = (Stop::new(), Mutex::new(Vec::new()));
            let stuck = stop.register(Stage::Log, "log");
            let admin = part(stop.register(Stage::Admin, "admin"), 0, &log);
            let (left, ()) = tokio::join!(stop.run(Duration::from_millis(50)), admin);
            assert_eq!(left, ["log"]);
            assert_eq!(*log.lock().unwrap(), ["admin"]);
            assert!(stuck.is_told());
            assert_eq!(stop.running(), ["log"]);
        });
    }

    #[test]
    fn a_part_that_is_late_hears_of_it_and_is_waited_for() {
        run(async {
            let (stop, log) = (Stop::new(), Mutex::new(Vec::new()));
            let token = stop.register(Stage::Lake, "uploads");
            let late = async {
                token.told().await;
                token.late().await;
                tokio::time::sleep(Duration::from_millis(20)).await;
                log.lock().unwrap().push("late");
                drop(token);
            };
            let (left, ()) = tokio::join!(stop.run(Duration::from_millis(50)), late);
            assert_eq!((left, stop.running()), (vec!["uploads"], vec![]));
            assert_eq!(*log.lock().unwrap(), ["late"]);
        });
    }

    #[test]
    fn a_part_that_ends_by_itself_stops_all() {
        run(async {
            let stop = Stop::new();
            let token = stop.register(Stage::Lake, "lake");
            assert!(!token.is_told());
            drop(token);
            assert_eq!(stop.asked().await, Cause::Ended("lake"));
            stop.ask(Cause::Asked);
            assert_eq!(stop.asked().await, Cause::Ended("lake"));
        });
    }

    #[test]
    fn a_part_that_ends_when_told_is_no_cause() {
        run(async {
            let stop = Stop::new();
            let token = stop.register(Stage::Doors, "door");
            stop.ask(Cause::Asked);
            let (left, ()) = tokio::join!(stop.run(GRACE), async {
                token.told().await;
                drop(token);
            });
            assert_eq!((left, stop.asked().await), (vec![], Cause::Asked));
            assert!(stop.register(Stage::Admin, "late").is_told());
        });
    }
}
