//! The policy `floor` against the recorded cases.

use super::*;
use crate::event::Event;
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    case: String,
    input: String,
    output: String,
    secrets: i64,
    pii: i64,
}

fn cases() -> Vec<Case> {
    serde_json::from_str(include_str!("../../../tests/golden/redact/floor.json")).unwrap()
}

#[test]
fn floor_gives_what_the_sdk_gives() {
    let redactor = with_policy(Policy::Floor);
    for case in cases() {
        let input = fake(&case.input);
        assert_eq!(redactor.text(&input), fake(&case.output), "{}", case.case);
        let counts = counts(&redactor, &input);
        let personal: i64 = ["email", "path"].iter().filter_map(|name| counts.get(*name)).sum();
        let all: i64 = counts.values().sum();
        assert_eq!((all - personal, personal), (case.secrets, case.pii), "{}: {counts:?}", case.case);
    }
}

#[test]
fn floor_acts_within_longer_text() {
    let redactor = with_policy(Policy::Floor);
    for case in cases() {
        let (input, output) = (fake(&case.input), fake(&case.output));
        for (before, after) in [("see ", " there"), ("Größe: \u{a0}", "\n– ça va"), ("\"", "\"")] {
            let text = format!("{before}{input}{after}");
            assert_eq!(redactor.text(&text), format!("{before}{output}{after}"), "{}", case.case);
        }
    }
}

#[test]
fn none_leaves_everything_and_says_so() {
    let redactor = with_policy(Policy::None);
    for case in cases() {
        assert_eq!(redactor.text(&fake(&case.input)), fake(&case.input), "{}", case.case);
    }
    let row = Event { name: "jane@example.com".to_owned(), ..Default::default() };
    let row = record(&redactor, Partial { row: Some(Box::new(row)), ..Default::default() }).row.unwrap();
    assert_eq!(row.name, "jane@example.com");
    assert_eq!(row.redaction.unwrap(), Redaction { policy: "none".to_owned(), counts: BTreeMap::new() });
}

#[test]
fn twice_is_once() {
    let redactor = with_policy(Policy::Floor);
    for case in cases() {
        let once = redactor.text(&fake(&case.input));
        assert_eq!(redactor.text(&once), once, "{}", case.case);
    }
    // What one rule leaves may be for another.
    let tricky = fake("A_K{}EY=aaaaaaaaaaaaaa\"B_K{}EY=bbbbbbbbbbbbbbb and /home/jane/x");
    let once = redactor.text(&tricky);
    assert_eq!(redactor.text(&once), once);
    assert!(!once.contains("aaaa") && !once.contains("bbbb"));
}
