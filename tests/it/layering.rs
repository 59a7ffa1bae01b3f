//! The map against the sources: which room may use which, and what the pure rooms must not touch.

use super::support::{project, rows::files_below};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// Rooms and files without I/O, clock, randomness, tasks or logging.
const PURE: &[&str] = &[
    "dialect/",
    "event/",
    "redact/",
    "pricing/",
    "fold/",
    "lake/partition",
    "lake/key",
    "lake/columns",
    "lake/encode",
    "lake/parquet",
    "lake/jsonl",
    "lake/proto",
    "lake/manifest",
];

/// Files of pure rooms that are none: they bring what the rest of the room takes as an argument.
const BUT: &[&str] = &["redact/key_file.rs"];

/// What a pure file does not name.
const IMPURE: &[&str] = &[
    "std::fs",
    "std::io::stdin",
    "std::io::stdout",
    "std::io::stderr",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "SystemTime::now",
    "tokio",
    "futures",
    "async fn",
    ".await",
    "tracing",
    "object_store",
    "reqwest",
    "getrandom",
    "Utc::now",
    "println!",
    "eprintln!",
    "crate::clock",
];

/// Words that stand in one file only.
const ONLY: &[(&str, &[&str])] = &[
    ("app.rs", &["tokio::spawn", "task::spawn", "spawn_blocking", "thread::spawn", "thread::Builder", "JoinSet"]),
    ("clock.rs", &["SystemTime::now", "Instant::now", "Utc::now", "Local::now"]),
    ("config/mod.rs", &["env::var"]),
];

/// Words that stand nowhere.
const NEVER: &[&str] = &["unbounded_channel", "mpsc::channel()", "unbounded()", "#[ignore", "todo!", "unimplemented!"];

#[test]
fn pure_rooms_touch_nothing() {
    let is_pure = |path: &str| PURE.iter().any(|pure| path.starts_with(pure)) && !BUT.contains(&path);
    let pure = sources().into_iter().filter(|source| is_pure(&source.path));
    let faults = pure.flat_map(|source| source.naming(IMPURE));
    report("pure files do no I/O, tasks, clocks or logging", faults);
}

#[test]
fn tasks_clocks_and_the_environment_have_one_file_each() {
    let sources = sources();
    let faults = ONLY.iter().flat_map(|(home, words)| {
        let elsewhere = sources.iter().filter(|source| source.path != *home);
        elsewhere.flat_map(|source| source.naming(words)).collect::<Vec<_>>()
    });
    report("only app.rs spawns, only clock.rs reads clocks, only config reads the environment", faults);
}

#[test]
fn nothing_is_unbounded_or_unfinished() {
    report("words that stand nowhere", sources().into_iter().flat_map(|source| source.naming(NEVER)));
}

#[test]
fn the_map_names_every_room_and_no_other() {
    let map = fs::read_to_string(project().join("src/lib.rs")).expect("the map");
    let named: BTreeSet<String> = map
        .lines()
        .filter_map(|line| line.trim().strip_prefix("pub mod ")?.strip_suffix(';'))
        .map(str::to_owned)
        .collect();
    let standing: BTreeSet<String> = fs::read_dir(project().join("src"))
        .expect("the sources")
        .map(|entry| entry.expect("an entry").path())
        .map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned())
        .filter(|name| name != "lib" && name != "main")
        .collect();
    assert_eq!(named, standing, "src/lib.rs names the rooms; on the right what stands in src/");
}

#[test]
fn rooms_use_only_what_the_road_allows() {
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.iter().copied().collect();
    let faults = sources().into_iter().flat_map(|source| {
        let room = source.room();
        let Some(allowed) = allowed.get(room.as_str()) else { return Vec::new() };
        let used = source.uses();
        let foreign = used.into_iter().filter(|used| *used != room && !allowed.contains(&used.as_str()));
        foreign.map(|used| format!("src/{}: {room} uses {used}", source.path)).collect()
    });
    report("rooms use only what the map allows", faults);
}

/// What each room of the road may use. Rooms that wire others (`app`, `cli`, `main`) may use all.
const ALLOWED: &[(&str, &[&str])] = &[
    ("event", &[]),
    ("dialect", &["event"]),
    ("redact", &["event"]),
    ("pricing", &["event"]),
    ("wal", &["event", "redact", "clock", "metrics", "stop", "failpoint"]),
    ("fold", &["event", "pricing", "failpoint"]),
    ("lake", &["event", "fold", "wal", "clock", "metrics", "stop", "failpoint"]),
    ("receiver", &["event", "dialect", "redact", "wal", "clock", "metrics", "net", "stop"]),
    ("admin", &["metrics", "clock", "net", "stop", "lake"]),
    ("net", &["metrics", "stop"]),
    ("clock", &[]),
    ("failpoint", &[]),
    ("stop", &[]),
    ("metrics", &[]),
];

/// A source file without its comments and unit tests.
struct Source {
    /// Below `src`.
    path: String,
    code: String,
}

impl Source {
    fn room(&self) -> String {
        let first = self.path.split('/').next().unwrap_or_default();
        first.trim_end_matches(".rs").to_owned()
    }

    fn naming(&self, words: &[&str]) -> Vec<String> {
        let found = words.iter().filter(|word| self.code.contains(*word));
        found.map(|word| format!("src/{}: {word}", self.path)).collect()
    }

    /// The rooms that `crate::` paths lead to.
    fn uses(&self) -> BTreeSet<String> {
        let paths = self.code.split("crate::").skip(1);
        let first = |path: &str| path.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().map(str::to_owned);
        paths.filter_map(first).filter(|name| !name.is_empty()).collect()
    }
}

fn sources() -> Vec<Source> {
    let root = project().join("src");
    let files = files_below(&root).into_iter().filter(|file| file.extension().is_some_and(|end| end == "rs"));
    let sources: Vec<Source> = files
        .filter_map(|file| {
            let path = file.strip_prefix(&root).expect("below src").to_string_lossy().into_owned();
            let tests = path.ends_with("/tests.rs") || path.contains("/tests/") || path.starts_with("rig/");
            let text = fs::read_to_string(&file).expect("a source can be read");
            (!tests).then(|| Source { path, code: code(&text) })
        })
        .collect();
    assert!(sources.len() > 15, "the sources were not found");
    sources
}

/// The text up to the unit tests, without comment lines and what stands behind a comment sign.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

fn report(rule: &str, faults: impl IntoIterator<Item = String>) {
    let faults: Vec<String> = faults.into_iter().collect();
    assert!(faults.is_empty(), "{rule}:\n  {}", faults.join("\n  "));
}
