//! Rules, keys and modes of the user's own.

use super::*;
use crate::event::Event;

fn rule(name: &str, pattern: &str, mode: Mode) -> CustomRule {
    CustomRule { name: name.to_owned(), pattern: pattern.to_owned(), keyword: None, mode }
}

fn faults(rules: Vec<CustomRule>) -> Vec<String> {
    let config = Config { rules, ..Config::default() };
    let faults = Redactor::new(&config, Key::new(b"k")).map(|_| ()).unwrap_err();
    faults.iter().map(ToString::to_string).collect()
}

#[test]
fn rules_act_in_their_mode() {
    let redactor = with(&Config {
        policy: Policy::None,
        rules: vec![
            rule("staff", r"EMP-\d{6}", Mode::Mask),
            rule("patient", r"patient (?P<secret>[A-Z]\d{5})", Mode::Hash),
            CustomRule { keyword: Some("confidential".to_owned()), ..rule("memo", "CONFIDENTIAL", Mode::Drop) },
        ],
        ..Config::default()
    });
    assert_eq!(redactor.text("EMP-123456 left"), "[REDACTED:staff] left");
    let hashed = redactor.text("patient A12345 is not patient B12345");
    let parts: Vec<&str> = hashed.split(" is not ").collect();
    assert!(parts[0].starts_with("patient [REDACTED:patient:"), "{hashed}");
    assert_ne!(parts[0], parts[1]);
    assert_eq!(redactor.text("patient A12345"), parts[0]);
    assert_eq!(redactor.text(&hashed), hashed);
    assert_eq!(redactor.text("This is CONFIDENTIAL."), "");
    assert_eq!(redactor.text(r#"{"a":"This is CONFIDENTIAL.","b":1}"#), r#"{"a":"","b":1}"#);
    assert!(redactor.text(r#"{"CONFIDENTIAL":1}"#).starts_with(r#"{"[REDACTED:memo:"#));
    assert_eq!(counts(&redactor, "EMP-123456 EMP-123457"), BTreeMap::from([("staff".to_owned(), 2)]));
}

#[test]
fn custom_rules_act_beside_the_floor() {
    let redactor = with(&Config { rules: vec![rule("staff", r"EMP-\d{6}", Mode::Mask)], ..Config::default() });
    assert_eq!(redactor.text("EMP-123456, a@b.cc"), "[REDACTED:staff], [REDACTED:email]");
    let escaped = r#"["EMP\u002d123456"]"#;
    assert_eq!(redactor.text(escaped), r#"["[REDACTED:staff]"]"#);
}

#[test]
fn keywords_outside_ascii_are_found_in_escapes() {
    let rule =
        CustomRule { keyword: Some("geheimnis-ü".to_owned()), ..rule("geheim", "geheimnis-ü[0-9]+", Mode::Mask) };
    let redactor = with(&Config { rules: vec![rule], ..Config::default() });
    assert_eq!(redactor.text(r#"["geheimnis-\u00fc77"]"#), r#"["[REDACTED:geheim]"]"#);
}

#[test]
fn masked_keys_hide_whatever_they_hold() {
    let redactor = with(&Config { policy: Policy::None, keys: vec!["Diagnosis".to_owned()], ..Config::default() });
    let json = r#"{"diagnosis":"flu","a":{"DIAGNOSIS":[1,{"x":"flu"}],"b":2},"c":"{\"diagnosis\":7}"}"#;
    let expected = r#"{"diagnosis":"[REDACTED:key]","a":{"DIAGNOSIS":"[REDACTED:key]","b":2},"c":"{\"diagnosis\":\"[REDACTED:key]\"}"}"#;
    assert_eq!(redactor.text(json), expected);
    assert_eq!(redactor.text(expected), expected);
    let row = Event { tags: [("diagnosis".to_owned(), "flu".to_owned())].into(), ..Default::default() };
    let attributes = vec![crate::event::Entry { key: "diagnosis".to_owned(), json: "{\"x\":1}".to_owned() }];
    let partial = record(&redactor, Partial { row: Some(Box::new(row)), attributes, ..Default::default() });
    assert_eq!(partial.attributes[0].json, "\"[REDACTED:key]\"");
    assert_eq!(partial.row.unwrap().tags["diagnosis"], "[REDACTED:key]");
}

#[test]
fn rules_that_would_act_everywhere_are_refused_by_name() {
    for pattern in ["", "a*", r"\b", "(?:x|)", "^", r"\d*"] {
        let faults = faults(vec![rule("bad", pattern, Mode::Mask)]);
        assert_eq!(faults.len(), 1, "{pattern}");
        assert!(faults[0].contains("`bad`") && faults[0].contains("empty text"), "{pattern}: {faults:?}");
    }
    for pattern in [".+", ".", r"\w+", r"\S{2,}", "[a-z]+", "(?s).{1,9}", "[^0-9]"] {
        let faults = faults(vec![rule("bad", pattern, Mode::Mask)]);
        assert!(faults[0].contains("`bad`") && faults[0].contains("everything"), "{pattern}: {faults:?}");
    }
}

#[test]
fn all_faults_are_told_at_once() {
    let config = Config {
        rules: vec![
            rule("Bad Name", "x[0-9]+", Mode::Mask),
            rule("email", "x[0-9]+", Mode::Mask),
            rule("twice", "x[0-9]+", Mode::Mask),
            rule("twice", "x[0-9]+", Mode::Mask),
            rule("broken", "(", Mode::Mask),
            CustomRule { keyword: Some(String::new()), ..rule("empty_keyword", "x[0-9]+", Mode::Mask) },
        ],
        keys: vec![String::new()],
        hash_key: Some(KeyText::new("short")),
        ..Config::default()
    };
    let faults = Redactor::new(&config, Key::new(b"k")).map(|_| ()).unwrap_err();
    assert_eq!(faults.len(), 7, "{faults:?}");
    assert!(!format!("{config:?}").contains("short"));
}

#[test]
fn names_of_built_in_rules_are_taken_under_every_policy() {
    for policy in [Policy::Floor, Policy::Strict, Policy::None] {
        let rules = vec![rule("card_number", r"EMP-\d{6}", Mode::Mask)];
        let faults = Redactor::new(&Config { policy, rules, ..Config::default() }, Key::new(b"k")).map(|_| ());
        assert_eq!(faults.unwrap_err().len(), 1, "{policy:?}");
    }
}
