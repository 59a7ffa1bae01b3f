//! The rig: log, fold, outbox, store and commit on a disk, a store and a clock in memory, held against a model of what
//! was acknowledged. Only for tests; one thread, no passing time, everything decided by a seed.
//!
//! | file | what it is |
//! |---|---|
//! | `client` | who sends: traces in pieces, resends, and what was acknowledged |
//! | `bucket` | the store, with a reader at every moment |
//! | `process` | one life of the back half, as the program wires it |
//! | `world` | disk, bucket and client over many lives, and what must hold in the end |
//! | `story` | random histories by seed |
//! | `points` | a life for each place where a process can be killed, and for each call that can fail |
//! | `damage` | files of the outbox that are damaged where they lie |
//! | `disk`, `store`, `time` | the catalogue of faults, each test by its number |
//! | `mutations` | faults of our own, and which test finds each |
//!
//! What must hold (the invariants of the catalogue):
//!
//! | | | where |
//! |---|---|---|
//! | I1 | what was acknowledged is committed in the end | `World::settle` |
//! | I2 | what is committed was sent | `World::settle` |
//! | I3 | each sequence number is decided by one manifest, each record has one row | `Bucket` |
//! | I4 | each listed file is there, is what the manifest says, and can be read | `Bucket` |
//! | I5 | no object is ever replaced | `Bucket` |
//! | I6 | log and outbox stay below their cap | `Process::check` |
//! | I7 | the ledger and the manifests balance, and say what is really buffered | `Process::check`, `Bucket` |
//! | I8 | a full disk refuses with a hint, and nothing else does | `Client::hear` |
//! | I9 | a bad record costs only itself | `World::settle` |
//! | I10 | no secret is on the disk or in the store | `World::settle` |
//! | I11 | every key is below its prefix | `Bucket` |
//! | I12 | every restart comes up by itself | `World::start` |

/// Prints a line past the capture of the test runner: what was tried is told also when all is well.
macro_rules! say {
    ($($words:tt)*) => {{
        use std::io::Write as _;
        writeln!(std::io::stderr(), $($words)*).unwrap_or_default();
    }};
}

mod bucket;
mod client;
mod damage;
mod disk;
mod mutations;
mod points;
mod process;
mod store;
mod story;
mod time;
mod world;

/// Splitmix64: small, and the same everywhere.
#[derive(Debug, Clone)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn chance(&mut self, one_in: u64) -> bool {
        self.below(one_in) == 0
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        let at = self.below(u64::try_from(of.len()).unwrap());
        of[usize::try_from(at).unwrap()]
    }
}

/// Names the case if it fails.
fn told(case: impl FnOnce(), name: &dyn Fn() -> String) {
    if let Err(panic) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(case)) {
        eprintln!("{}", name());
        std::panic::resume_unwind(panic);
    }
}
