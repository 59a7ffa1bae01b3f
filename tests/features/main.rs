//! What the five systems before this one did, row by row: each row of the reference's feature table is an acceptance
//! check that runs here, and its result is printed.
//!
//! ```text
//! cargo test --test features                 all rows
//! cargo test --test features -- WhatsApp     rows and checks with this in their name
//! ```
//!
//! A line is `row | check | result`: `ok`, `FAILED` with the reason, `SKIPPED` where a toolchain is missing (a failure
//! where `CI=true`), or why there is no check. Where the reference is at hand, the list is held against its table.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a check may fail")]
#![allow(clippy::indexing_slicing, clippy::string_slice, reason = "a check may fail")]
#![allow(clippy::disallowed_methods, reason = "checks run against the real clock and read the environment")]
#![allow(dead_code, reason = "the tests' support has more than these checks need")]

mod chat;
mod client;
mod intake;
mod list;
mod measures;
mod privacy;
mod stackspot;
mod storage;
#[path = "../it/support/mod.rs"]
mod support;
mod whatsapp;
mod world;

use list::{Check, Held, ROWS};
use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use support::{in_ci, say, shared};

/// Checks at once: most wait for a server.
const AT_ONCE: usize = 3;

thread_local! {
    static WHERE: RefCell<String> = const { RefCell::new(String::new()) };
    static NOTE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// What a check ends with that cannot run here.
struct Skipped(String);

/// Ends a check that cannot run here.
fn skipped(why: &str) -> ! {
    assert!(!in_ci(), "it cannot run here, and CI runs everything: {why}");
    std::panic::panic_any(Skipped(why.to_owned()))
}

/// Says something beside the result: a figure.
fn note(text: String) {
    NOTE.set(text);
}

/// How a check ended.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    Good(String),
    Skipped(String),
    Failed(String),
}

impl Outcome {
    fn words(&self) -> String {
        match self {
            Self::Good(note) if note.is_empty() => "ok".to_owned(),
            Self::Good(note) => format!("ok ({note})"),
            Self::Skipped(why) => format!("SKIPPED: {why}"),
            Self::Failed(why) => format!("FAILED: {why}"),
        }
    }
}

fn run(check: fn()) -> Outcome {
    NOTE.take();
    match std::panic::catch_unwind(check) {
        Ok(()) => Outcome::Good(NOTE.take()),
        Err(payload) => match payload.downcast::<Skipped>() {
            Ok(skipped) => Outcome::Skipped(skipped.0),
            Err(payload) => Outcome::Failed(format!("{} ({})", message(&*payload), WHERE.take())),
        },
    }
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().cloned();
    text.or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

/// Rows whose name or checks have the words of the command line.
fn wanted() -> Vec<&'static (&'static str, Held)> {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let is_named = |row: &str, held: &Held, word: &str| match held {
        Held::By(checks) => row.contains(word) || checks.iter().any(|(name, _)| name.contains(word)),
        Held::Not(_) => row.contains(word),
    };
    ROWS.iter().filter(|(row, held)| words.is_empty() || words.iter().any(|word| is_named(row, held, word))).collect()
}

fn outcomes(checks: &[Check]) -> BTreeMap<&'static str, Outcome> {
    let (next, outcomes) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((name, check)) = checks.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = run(*check);
                    outcomes.lock().expect("no one panics with it").insert(*name, outcome);
                }
            });
        }
    });
    outcomes.into_inner().expect("no one panics with it")
}

/// What differs between the reference's table and the list here.
fn differences() -> Vec<String> {
    let Some(shared) = shared() else {
        say("SKIPPED the table itself: the reference is not here");
        return Vec::new();
    };
    let text = std::fs::read_to_string(shared.join("reference/seeds.md")).expect("the reference");
    let (_, table) = text.split_once("\n## 11").expect("its feature table");
    let is_head = |row: &str| row.is_empty() || row == "Feature" || row.starts_with("---");
    let cells = table.lines().filter_map(|line| line.strip_prefix('|')?.split('|').next()).map(str::trim);
    let wanted: Vec<&str> = cells.filter(|row| !is_head(row)).collect();
    let told: Vec<&str> = ROWS.iter().map(|(row, _)| *row).collect();
    let missing = wanted.iter().filter(|row| !told.contains(row)).map(|row| format!("no check of the row {row}"));
    let added = told.iter().filter(|row| !wanted.contains(row)).map(|row| format!("no such row in the table: {row}"));
    missing.chain(added).collect()
}

fn main() -> ExitCode {
    let rows = wanted();
    let mut checks: Vec<Check> = Vec::new();
    for (_, held) in &rows {
        if let Held::By(of_row) = held {
            checks.extend(of_row.iter());
        }
    }
    checks.sort_by_key(|(name, _)| *name);
    checks.dedup_by_key(|(name, _)| *name);
    if std::env::args().any(|word| word == "--list") {
        checks.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    std::panic::set_hook(Box::new(|info| {
        if info.payload().downcast_ref::<Skipped>().is_none() {
            WHERE.set(info.location().map(|place| format!("{}:{}", place.file(), place.line())).unwrap_or_default());
        }
    }));
    let outcomes = outcomes(&checks);
    let (mut good, mut failed, mut skipped, mut without) = (0, differences(), 0, 0);
    for (row, held) in rows {
        match held {
            Held::Not(why) => {
                without += 1;
                println!("{row} | - | {why}");
            }
            Held::By(of_row) => {
                let results: Vec<&Outcome> = of_row.iter().map(|(name, _)| &outcomes[name]).collect();
                for ((name, _), result) in of_row.iter().zip(&results) {
                    println!("{row} | {name} | {}", result.words());
                }
                if results.iter().any(|result| matches!(result, Outcome::Failed(_))) {
                    failed.push((*row).to_owned());
                } else if results.iter().any(|result| matches!(result, Outcome::Skipped(_))) {
                    skipped += 1;
                } else {
                    good += 1;
                }
            }
        }
    }
    println!("\n{good} rows hold, {} failed, {skipped} skipped, {without} without a check and why", failed.len());
    failed.iter().for_each(|row| println!("FAILED: {row}"));
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
