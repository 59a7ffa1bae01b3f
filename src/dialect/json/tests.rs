use super::*;

fn read(text: &str) -> parse::Parsed<'_> {
    parse(text).unwrap_or_else(|| panic!("nothing read of {text}"))
}

#[test]
fn valid_text_passes_as_it_was_written() {
    for text in [
        r#"{"b": 1.50, "a": [1e3, -0, "x\u00b0"], "c": {}}"#,
        "[ 1 , 2 ]",
        r#"{"arguments":{"city":"Paris",  "unit":"celsius"}}"#,
    ] {
        let parsed = read(text);
        assert_eq!(parsed.flaws, Flaws::default());
        assert_eq!(parsed.node.json(), text);
    }
}

#[test]
fn strings_are_decoded() {
    let parsed = read(r#"["a\n\"\\\/", "\ud83d\ude00", "ü"]"#);
    let texts: Vec<&str> = parsed.node.items().iter().filter_map(Node::as_str).collect();
    assert_eq!(texts, ["a\n\"\\/", "😀", "ü"]);
}

#[test]
fn half_a_surrogate_pair_is_replaced_and_costs_only_itself() {
    let parsed = read(r#"[{"a":"x\ud83dy"},{"b": 1}]"#);
    assert!(parsed.flaws.surrogate);
    assert_eq!(parsed.node.items()[0].text("a"), Some("x\u{fffd}y"));
    assert_eq!(parsed.node.json(), "[{\"a\":\"x\u{fffd}y\"},{\"b\": 1}]");
}

#[test]
fn what_is_no_number_for_json_is_null() {
    let parsed = read(r#"{"a":NaN,"b":-Infinity,"c":1}"#);
    assert!(parsed.flaws.not_finite);
    assert_eq!(parsed.node.json(), r#"{"a":null,"b":null,"c":1}"#);
}

#[test]
fn of_two_equal_keys_the_last_counts_and_it_is_noted() {
    let parsed = read(r#"{"a":1,"b":2,"a":3}"#);
    assert!(parsed.flaws.duplicate);
    assert_eq!(parsed.node.get("a").and_then(Node::as_count), Some(3));
    assert_eq!(parsed.node.json(), r#"{"b":2,"a":3}"#);
}

#[test]
fn a_cut_text_gives_its_complete_elements() {
    let whole =
        r#"[{"role":"user","content":"one"},{"role":"assistant","content":"two \u00b0"},{"role":"user","n":12}]"#;
    for end in 1..whole.len() {
        let Some(parsed) = whole.get(..end).and_then(parse) else { continue };
        assert!(parsed.flaws.truncated, "{end}");
        let complete = parsed.node.items().iter().filter(|item| !item.is_cut()).count();
        let expected = whole.get(..end).unwrap().matches('}').count();
        assert_eq!(complete, expected, "{end}");
        // What is left is always valid JSON.
        serde_json::from_str::<serde_json::Value>(&parsed.node.json()).unwrap();
    }
}

#[test]
fn marks_of_truncation_are_known() {
    for text in [
        r#"[{"a":"one"},{"b":"tw...[TRUNCATED: original length 12345]"#,
        r#"[{"a":"one"},{"b":"tw...[truncated, original 9 chars]"#,
        r#"[{"a":"one"},{"b":"tw..."#,
    ] {
        let parsed = read(text);
        assert!(parsed.flaws.truncated);
        assert_eq!(parsed.node.items()[0].text("a"), Some("one"));
    }
}

#[test]
fn python_text_is_read() {
    let parsed = read(
        r#"{'a': None, 'b': (1, 2.5), "c": "it's", 'd': True, 'e': [Thing(x=1, y='z')], 'f': <Role.USER: 'user'>}"#,
    );
    assert!(parsed.flaws.python);
    assert_eq!(parsed.node.json(), r#"{"a":null,"b":[1,2.5],"c":"it's","d":true,"e":[{"x":1,"y":"z"}],"f":"user"}"#);
    assert!(parse("{'city': 'Par").is_none());
    assert!(parse("not json").is_none());
}

#[test]
fn deep_nesting_is_kept_as_text() {
    let text = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    let parsed = read(&text);
    assert!(parsed.flaws.deep);
    let json = parsed.node.json();
    assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok());
    assert_eq!(json.matches('[').count(), 5000);
    // Half of it, and the like of it, break nothing either.
    let _ = parse(&"[".repeat(100_000));
    let _ = parse(&"{\"a\":".repeat(100_000));
    let _ = parse(&"('".repeat(100_000));
}

#[test]
fn text_in_text_is_opened_within_bounds() {
    let once = serde_json::to_string(r#"{"a":1}"#).unwrap();
    let twice = serde_json::to_string(&once).unwrap();
    let node = Node::String(Cow::Borrowed(&twice));
    assert_eq!(node.opened(|inner| inner.get("a").and_then(Node::as_count)), Some(1));
    let plain = Node::String(Cow::Borrowed("just text"));
    assert!(plain.opened(|inner| inner.as_str() == Some("just text")));
}

#[test]
fn a_text_becomes_json_of_its_own_kind() {
    assert_eq!(text_as_json(r#"{"a": 1}"#), r#"{"a": 1}"#);
    assert_eq!(text_as_json("{'a': True}"), r#"{"a":true}"#);
    assert_eq!(text_as_json("Paris"), r#""Paris""#);
    assert_eq!(text_as_json("12"), "12");
    assert_eq!(text_as_json("{\"a\":"), r#""{\"a\":""#);
    assert_eq!(text_as_json("007"), r#""007""#);
    assert_eq!(text_as_json("\"two\nlines\""), r#""two\nlines""#);
}

#[test]
fn anything_at_all_is_read_without_harm() {
    use proptest::prelude::*;
    proptest!(|(text in r#"[\[\]{}:,"'a-zA-Z0-9\\ .\-\ud7ff\n]{0,60}"#)| {
        if let Some(parsed) = parse(&text) {
            prop_assert!(serde_json::from_str::<serde_json::Value>(&parsed.node.json()).is_ok(), "{}", parsed.node.json());
        }
        prop_assert!(serde_json::from_str::<serde_json::Value>(&text_as_json(&text)).is_ok());
    });
}
