//! JSON in every form, scanned by decoded strings.

use super::*;
use crate::event::Entry;
use crate::event::Event;
use serde_json::Value;
use serde_json::json;

/// The JSON of an entry after redaction.
fn entry(redactor: &Redactor, json: &str) -> String {
    let details = vec![Entry { key: "x".to_owned(), json: json.to_owned() }];
    let row = Some(Box::new(Event::default()));
    record(redactor, Partial { row, details, ..Default::default() }).details.remove(0).json
}

#[test]
fn text_map_and_double_encoding_come_out_alike() {
    let redactor = with_policy(Policy::Floor);
    let secret = fake("sk{}-ant-FAKEFAKEFAKEFAKEFAKEFAKE");
    let escaped = fake(r"s\u006b{}-ant-FAKEFAKEFAKEFAKEFAKEFAKE");
    let expected =
        json!({"a": "[REDACTED:anthropic_key]", "[REDACTED:anthropic_key]": ["x [REDACTED:anthropic_key]\n"]});
    for secret in [secret, escaped] {
        let map = format!(r#"{{"a": "{secret}", "{secret}": ["x {secret}\n"]}}"#);
        let as_map: Value = serde_json::from_str(&entry(&redactor, &map)).unwrap();
        assert_eq!(as_map, expected);
        let as_text: Value = serde_json::from_str(&redactor.text(&map)).unwrap();
        assert_eq!(as_text, expected);
        let mut encoded = map;
        for _ in 0..4 {
            encoded = crate::event::json::string(&encoded);
            let mut value = Value::String(serde_json::from_str(&entry(&redactor, &encoded)).unwrap());
            while let Value::String(text) = value {
                value = serde_json::from_str(&text).unwrap();
            }
            assert_eq!(value, expected);
        }
    }
}

/// JSON in a fence, amid words, after another one, or with its quotes taken off.
#[test]
fn escapes_hide_nothing_in_texts_that_are_no_json() {
    for policy in [Policy::Floor, Policy::Strict] {
        let redactor = with_policy(policy);
        for (text, expected) in [
            (r#"see {"p":"\/home\/jane\/x"} there"#, r#"see {"p":"[REDACTED:path]"} there"#),
            ("```json\n{\"p\":\"jane\\u0040example\\u002ecom\"}\n```", "```json\n{\"p\":\"[REDACTED:email]\"}\n```"),
            (r"\u0073k-ant-FAKEFAKEFAKEFAKEFAKEFAKE", "[REDACTED:anthropic_key]"),
            (r"sk-ant-FAKE\u0046AKEFAKEFAKEFAKEFAKE", "[REDACTED:anthropic_key]"),
            ("\"a\"\n---\n\"jane\\u0040example.com\"", "\"a\"\n---\n\"[REDACTED:email]\""),
            (r#"said "{\"k\": \"jane\\u0040example.com\"}" twice"#, r#"said "{\"k\": \"[REDACTED:email]\"}" twice"#),
            (r#"so: {"k":"it is\nAKIAFFFFFFFFFFFFFFFF"}"#, "so: {\"k\":\"it is\n[REDACTED:aws_access_key]\"}"),
        ] {
            assert_eq!(redactor.text(text), expected);
            assert_eq!(redactor.text(expected), expected);
        }
        for path in [
            r#"so: {"p":"C:\\Users\\jane\\notes.txt"}"#,
            r#"so: {"p":"C:\u005cUsers\u005Cjane\u005cnotes.txt"}"#,
            r#"so: "{\"p\":\"C:\\\\Users\\\\jane\\\\notes.txt\"}""#,
            r"so: \u0043\u003a\u005c\u0055sers\u005c\u006aane\u005cnotes.txt end",
        ] {
            let redacted = redactor.text(path);
            assert!(redacted.contains("[REDACTED:path]") && !redacted.contains("ane"), "{redacted}");
            assert!(!redacted.contains("notes"), "{redacted}");
            assert_eq!(redactor.text(&redacted), redacted);
        }
        for clean in [r"C:\new\table\\u0041 \/ \u \u00e9 \ud83d \", r#"{"a":"x\/y\u0041"} and more"#, r"\\\\\\\\"] {
            assert_eq!(redactor.text(clean), clean, "no secret, no edit");
        }
    }
}

#[test]
fn what_is_clean_is_not_edited() {
    let redactor = with_policy(Policy::Floor);
    let json = r#"{ "b" :1.50,"a":"\u00e9\/ \ud83d", "b":[ ] , "mail":"jane@example.com","n":[1e400,-0]}"#;
    let expected = json.replace("jane@example.com", "[REDACTED:email]");
    assert_eq!(entry(&redactor, json), expected);
}

#[test]
fn escapes_hide_nothing() {
    let redactor = with_policy(Policy::Floor);
    for (json, expected) in [
        (r#"{"p":"C:\\Users\\jane\\app.rs"}"#, r#"{"p":"[REDACTED:path]"}"#),
        (r#"{"p":"\/home\/jane"}"#, r#"{"p":"[REDACTED:path]"}"#),
        (r#"{"p":"jane\u0040example\u002ecom"}"#, r#"{"p":"[REDACTED:email]"}"#),
        (r#"["\nda39a3ee5e6b4b0d3255bfef95601890afd80709"]"#, r#"["\n[REDACTED:aws_secret_key]"]"#),
        (r#"["\u00e9da39a3ee5e6b4b0d3255bfef95601890afd80709\t"]"#, r#"["é[REDACTED:aws_secret_key]\t"]"#),
        (r#""MY_API_KEY\n=\n\"abcdefghijklmn\"""#, r#""MY_API_KEY=[REDACTED:env_secret]""#),
        (r#""\"{\\\"p\\\":\\\"\\\/home\\\/jane\\\"}\"""#, r#""\"{\\\"p\\\":\\\"[REDACTED:path]\\\"}\"""#),
    ] {
        assert_eq!(entry(&redactor, json), expected);
        assert_eq!(redactor.text(json), expected);
    }
}

#[test]
fn cut_json_is_read_as_far_as_it_goes() {
    let redactor = with_policy(Policy::Floor);
    for (text, expected) in [
        (r#"{"a":["jane\u0040example.com","C:\\Users\\jane"#, r#"{"a":["[REDACTED:email]","[REDACTED:path]"#),
        (r#"{"a":"jane\u0040example.com","b":tr"#, r#"{"a":"[REDACTED:email]","b":tr"#),
        (r#"{"a":"jane\u0040example.com","b\"#, r#"{"a":"[REDACTED:email]","b\"#),
        (r#"[1,"\/home\/jane\u00"#, r#"[1,"[REDACTED:path]"#),
        ("{\"a\":\"jane\\u0040example.com\"}\n{\"b\":1}", "{\"a\":\"[REDACTED:email]\"}\n{\"b\":1}"),
        // No JSON: read as text.
        ("[1] jane@example.com", "[1] [REDACTED:email]"),
        ("{a: jane@example.com}", "{a: [REDACTED:email]}"),
        (r#""C:\q" jane@example.com"#, r#""C:\q" [REDACTED:email]"#),
    ] {
        assert_eq!(redactor.text(text), expected);
    }
}

#[test]
fn keys_that_become_equal_stay_two() {
    let redactor = with_policy(Policy::Floor);
    let json = entry(&redactor, r#"{"a@b.cc":1,"c@d.ee":2,"x":{"a@b.cc":3}}"#);
    let expected = r#"{"[REDACTED:email]":1,"[REDACTED:email]#2":2,"x":{"[REDACTED:email]":3}}"#;
    assert_eq!(json, expected);
    assert_eq!(entry(&redactor, &json), json);
}

#[test]
fn deep_nesting_costs_no_memory() {
    let redactor = with_policy(Policy::Floor);
    let deep = format!("{}\"jane@example.com", "[".repeat(100_000));
    assert!(redactor.text(&deep).ends_with("[\"[REDACTED:email]"));
}
