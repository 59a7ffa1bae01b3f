//! Places where a test can end the process, and faults of our own that a test can switch on.
//!
//! Both are listed, so that tests can visit all of them. In a program that is not built for its unit tests nothing of
//! it is left: [`reached`] is empty and [`has`] is a constant.

/// A place between two steps of the road. A process that is killed there leaves what the steps before it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each name says the place")]
pub enum Point {
    LogBeforeWrite,
    LogBeforeSync,
    LogBeforeNameSync,
    LogBeforeAnswer,
    LogAfterAnswer,
    LogAfterSeal,
    RecoverBeforeSeal,
    RecoverAfterSeal,
    RoadAfterFold,
    RoadAfterKept,
    OutboxBeforeRename,
    OutboxAfterRename,
    OutboxAfterSync,
    RoadBeforeTrim,
    RoadAfterTrim,
    RoadAfterClean,
    StoreBeforePut,
    StoreAfterPut,
    CommitBeforeManifest,
    CommitAfterManifest,
    OutboxBeforeStored,
    OutboxAfterStored,
    OutboxAfterDrop,
    OutboxBeforeParked,
}

/// A fault of our own. Each breaks one of the promises, and the tests have to notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mutation {
    /// Requests are answered before the segment is synced.
    AckBeforeSync,
    /// The outbox writes its entries where they are read, without the rename.
    NoRename,
    /// The manifest is put before the files that it lists.
    ManifestFirst,
    /// Resends are not looked for behind open traces.
    NoWindow,
    /// Keys of objects come from the clock and not from the segment.
    KeyFromClock,
    /// The name of a new segment is not synced.
    NoNameSync,
    /// The rename of an entry is not synced before its segments are deleted.
    NoRenameSync,
    /// An entry's carry is deleted with its objects.
    CarryDeleted,
    /// An object that is there already is taken for ours without a look.
    ExistsIsSuccess,
    /// A sync that failed is tried again.
    SyncAgain,
    /// What is read of the outbox is not held against its hash.
    NoCheck,
    /// The carry's change leaves out what is open no more.
    NothingCloses,
}

impl Point {
    /// All of them, in the order of the road.
    pub const ALL: [Self; 24] = [
        Self::LogBeforeWrite,
        Self::LogBeforeSync,
        Self::LogBeforeNameSync,
        Self::LogBeforeAnswer,
        Self::LogAfterAnswer,
        Self::LogAfterSeal,
        Self::RecoverBeforeSeal,
        Self::RecoverAfterSeal,
        Self::RoadAfterFold,
        Self::RoadAfterKept,
        Self::OutboxBeforeRename,
        Self::OutboxAfterRename,
        Self::OutboxAfterSync,
        Self::RoadBeforeTrim,
        Self::RoadAfterTrim,
        Self::RoadAfterClean,
        Self::StoreBeforePut,
        Self::StoreAfterPut,
        Self::CommitBeforeManifest,
        Self::CommitAfterManifest,
        Self::OutboxBeforeStored,
        Self::OutboxAfterStored,
        Self::OutboxAfterDrop,
        Self::OutboxBeforeParked,
    ];
}

impl Mutation {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::AckBeforeSync,
        Self::NoRename,
        Self::ManifestFirst,
        Self::NoWindow,
        Self::KeyFromClock,
        Self::NoNameSync,
        Self::NoRenameSync,
        Self::CarryDeleted,
        Self::ExistsIsSuccess,
        Self::SyncAgain,
        Self::NoCheck,
        Self::NothingCloses,
    ];
}

/// Says that a place has been reached. In a test it may not return.
#[cfg(not(test))]
#[inline(always)]
pub fn reached(_point: Point) {}

/// Whether a fault of our own is switched on.
#[cfg(not(test))]
#[inline(always)]
pub const fn has(_mutation: Mutation) -> bool {
    false
}

#[cfg(test)]
pub(crate) use armed::{Killed, arm, disarm, has, key, mutate, reached, set_seconds, visits};

#[cfg(test)]
mod armed {
    use super::Mutation;
    use super::Point;
    use std::cell::Cell;
    use std::cell::RefCell;
    use std::collections::BTreeMap;

    thread_local! {
        static VISITS: RefCell<BTreeMap<Point, u64>> = const { RefCell::new(BTreeMap::new()) };
        static ARMED: Cell<Option<(Point, u64)>> = const { Cell::new(None) };
        static MUTATION: Cell<Option<Mutation>> = const { Cell::new(None) };
        static SECONDS: Cell<u64> = const { Cell::new(0) };
    }

    /// What a process that is killed at a point unwinds with.
    #[derive(Debug)]
    pub(crate) struct Killed;

    pub(crate) fn reached(point: Point) {
        VISITS.with_borrow_mut(|visits| *visits.entry(point).or_default() += 1);
        match ARMED.get() {
            Some((armed, 0)) if armed == point => {
                ARMED.set(None);
                std::panic::resume_unwind(Box::new(Killed));
            }
            Some((armed, skip)) if armed == point => ARMED.set(Some((armed, skip - 1))),
            _ => {}
        }
    }

    /// Kills the process of this thread at a point, after so many visits.
    pub(crate) fn arm(point: Point, skip: u64) {
        ARMED.set(Some((point, skip)));
    }

    /// Takes that back. Gives whether it was still to come.
    pub(crate) fn disarm() -> bool {
        ARMED.take().is_some()
    }

    /// How often each point was reached in this thread.
    pub(crate) fn visits() -> BTreeMap<Point, u64> {
        VISITS.with_borrow(BTreeMap::clone)
    }

    pub(crate) fn has(mutation: Mutation) -> bool {
        MUTATION.get() == Some(mutation)
    }

    /// Switches a fault of our own on in this thread, or all of them off.
    pub(crate) fn mutate(mutation: Option<Mutation>) {
        MUTATION.set(mutation);
    }

    /// The number that keys of a segment's objects hold.
    pub(crate) fn key(segment: u64) -> u64 {
        if has(Mutation::KeyFromClock) { SECONDS.get() } else { segment }
    }

    /// Says what the wall clock shows, for keys that come from it.
    pub(crate) fn set_seconds(seconds: u64) {
        SECONDS.set(seconds);
    }
}
