//! Recorded requests of every dialect in, rows out, compared with what they were.
//!
//! A case is a folder `tests/golden/DIALECT/CASE` with the requests (`NNN-traces.pb`, `NNN-logs.json`, ...), the rows
//! that they give (`rows.jsonl`) and where they come from (`note.md`). `CHATLAKE_TEST_REWRITE=1` writes the rows anew;
//! read the difference before you commit it.

use super::support::corpus::{self, Run};
use super::support::rows;
use super::support::server::program;
use super::support::{say, shared, skip};
use std::fs;
use std::process::Command;

#[test]
fn every_golden_case_gives_its_rows() {
    let cases = corpus::golden();
    assert!(cases.len() >= 50, "the golden cases were not found");
    let rewrite = std::env::var("CHATLAKE_TEST_REWRITE").is_ok_and(|value| value == "1");
    let faults: Vec<String> = cases.iter().filter_map(|case| compare(case, rewrite)).collect();
    assert!(faults.is_empty(), "{} cases differ:\n{}", faults.len(), faults.join("\n"));
}

/// What is wrong with a case.
fn compare(case: &Run, rewrite: bool) -> Option<String> {
    let output = program().arg("convert").arg(&case.folder).args(["--to", "-"]).output().expect("the program starts");
    if !output.status.success() {
        return Some(format!("{}: {}", case.name, String::from_utf8_lossy(&output.stderr)));
    }
    let got = String::from_utf8(output.stdout).expect("rows are UTF-8");
    let file = case.folder.join("rows.jsonl");
    if rewrite {
        fs::write(&file, &got).expect("the rows are written");
    }
    let want = fs::read_to_string(&file).unwrap_or_default();
    let (got, want) = (rows::parse(&got), rows::parse(&want));
    let first = got.iter().zip(&want).find(|(got, want)| got != want);
    match first {
        Some((got, want)) => Some(format!("{}:\n   got {}\n  want {}", case.name, as_text(got), as_text(want))),
        None if got.len() != want.len() => Some(format!("{}: {} rows, not {}", case.name, got.len(), want.len())),
        None => None,
    }
}

fn as_text(row: &rows::Row) -> String {
    serde_json::to_string(row).expect("a row is JSON")
}

#[test]
fn the_scorer_finds_every_check_held_on_the_recordings() {
    let test = "the_scorer_finds_every_check_held_on_the_recordings";
    let Some(shared) = shared() else {
        return say(&format!(
            "SKIPPED {test}: there is no ../shared beside the project; its cases are in tests/golden"
        ));
    };
    if let Err(why) = super::support::cache::has("python3", "--version") {
        return skip(test, &why);
    }
    let convert = format!("{} convert {{run}} --to -", env!("CARGO_BIN_EXE_chatlake"));
    let mut scorer = Command::new("python3");
    scorer.arg(shared.join("tools/score_corpus.py")).args(["--convert", &convert]).arg(shared.join("corpus"));
    let output = scorer.output().expect("python starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    say(said.lines().last().unwrap_or_default());
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
}
