//! What the tests stand on: the program as a child process, clients, readers of the lake, and their installers.

pub(crate) mod cache;
pub(crate) mod child;
pub(crate) mod corpus;
pub(crate) mod duck;
pub(crate) mod generated;
pub(crate) mod go;
pub(crate) mod ledger;
pub(crate) mod load;
pub(crate) mod metrics;
pub(crate) mod otlp_json;
pub(crate) mod otlpload;
pub(crate) mod plant;
pub(crate) mod provider;
pub(crate) mod python;
pub(crate) mod readme;
pub(crate) mod rows;
pub(crate) mod s3;
pub(crate) mod send;
pub(crate) mod server;
pub(crate) mod shuffle;

use std::hash::{BuildHasher as _, RandomState};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The project's folder.
pub(crate) fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The folder of reference material beside the project, where there is one.
pub(crate) fn shared() -> Option<PathBuf> {
    let folder = project().join("../shared");
    folder.join("corpus").is_dir().then_some(folder)
}

/// Prints a line past the capture of the test runner.
pub(crate) fn say(line: &str) {
    // The runner captures print macros only.
    writeln!(std::io::stderr(), "{line}").unwrap_or_default();
}

/// Says plainly that a test did not run and why. In CI everything must run, so there it fails.
pub(crate) fn skip(test: &str, why: &str) {
    assert!(!in_ci(), "{test} cannot run here, and CI runs everything: {why}");
    say(&format!("SKIPPED {test}: {why}"));
}

/// Whether this is the run that decides.
pub(crate) fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true")
}

/// Whether the long forms of the tests are asked for (`CHATLAKE_TEST_LONG=1`).
pub(crate) fn long() -> bool {
    std::env::var("CHATLAKE_TEST_LONG").is_ok_and(|value| value == "1")
}

/// Runs a future to its end on the runtime that all tests share.
pub(crate) fn wait<F: Future>(future: F) -> F::Output {
    runtime().block_on(future)
}

/// The runtime of the clients.
pub(crate) fn runtime() -> &'static tokio::runtime::Runtime {
    static RUNTIME: std::sync::OnceLock<tokio::runtime::Runtime> = std::sync::OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
    })
}

/// Asks again and again until the answer is there, or says what was missing.
pub(crate) fn until<T>(what: &str, limit: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(begun.elapsed() < limit, "waited {limit:?} in vain for {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A TCP address of this machine that nobody listens on. No two calls give the same.
pub(crate) fn free_address() -> String {
    free_address_of("127.0.0.1").expect("a free port")
}

/// The same, of a host; fails where the machine does not have it.
///
/// It is not one of those that the machine gives to outgoing connections, which could take it before it is listened on.
pub(crate) fn free_address_of(host: &str) -> std::io::Result<String> {
    const PORTS: std::ops::Range<u16> = 14_000..32_000;
    static NEXT: std::sync::Mutex<Option<u16>> = std::sync::Mutex::new(None);
    let mut next = NEXT.lock().expect("the next port");
    loop {
        // Test runs beside this one begin elsewhere.
        let begin = || PORTS.start + (RandomState::new().hash_one(()) % PORTS.len() as u64) as u16;
        let port = next.unwrap_or_else(begin);
        *next = Some(if port + 1 == PORTS.end { PORTS.start } else { port + 1 });
        match std::net::TcpListener::bind(format!("{host}:{port}")) {
            Ok(_) => return Ok(format!("{host}:{port}")),
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(error),
        }
    }
}
