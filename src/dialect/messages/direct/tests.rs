use super::super::read;
use super::super::read_system;
use super::*;
use crate::dialect::json::parse;
use proptest::prelude::*;

/// Messages as instrumentation libraries write them.
const MESSAGES: [&str; 14] = [
    r#"[{"role":"user","parts":[{"type":"text","content":"What is the weather in Paris? — \"now\"\nplease"}]}]"#,
    r#"[{"parts":[{"content":"Hi","type":"text"},{"content":"there","type":"text"}],"role":"user","name":"ada"}]"#,
    r#"[{"role":"system","content":"Be short."},{"role":"user","content":"Hi"},{"role":"assistant","content":null}]"#,
    r#"[{"role":"assistant","parts":[{"type":"tool_call","id":"c1","name":"f","arguments":{"a":[1,2.5e3,null]}}],"finish_reason":"tool_call"}]"#,
    r#"[{"role":"assistant","parts":[{"type":"tool_call","id":null,"name":"f","arguments":"{\"a\":1}"},{"type":"tool_call","name":"g","arguments":null}],"finish_reason":""}]"#,
    r#"[{"role":"tool","parts":[{"type":"tool_call_response","id":"c1","response":{"status":"ok","items":[{"id":"7"}]}}]}]"#,
    r#"[{"role":"tool","parts":[{"type":"tool_call_response","id":"c1","result":"sunny"},{"type":"tool_call_response","id":"c2","response":12}]}]"#,
    r#"[{"role":"assistant","parts":[{"type":"reasoning","content":"thinks"},{"type":"text","content":"says"}],"finish_reason":"stop"}]"#,
    r#"[{"role":"user","content":"__REDACTED__"},{"role":"user","parts":[]}]"#,
    r#"[]"#,
    r#" [ { "role" : "user" , "content" : "spaced" } ] "#,
    r#"[{"role":"user","content":"a"},{"role":"user","content":"b"},{"role":"assistant","content":"c","finish_reason":null}]"#,
    r#"[{"role":"user","content":""},{"role":"ai","content":"x"}]"#,
    r#"[{"role":"user","content":"a \\ b \u00e9 \ud83d\ude00 \/ c"}]"#,
];

/// Some of which a tree is needed for.
const ODD: [&str; 16] = [
    r#"[{"role":"user","content":"[{\"type\":\"text\",\"text\":\"inner\"}]"}]"#,
    r#"[{"role":"user","content":"a","content":"b"}]"#,
    r#"[{"role":"user","content":"a"}"#,
    r#"[{"role":"user","content":"a"}] x"#,
    r#"[{"role":"user","content":"a","extra":1}]"#,
    r#"[{"role":"thinking","content":"a"}]"#,
    r#"[{"role":"user","parts":[{"type":"text","content":"a","id":"x"}]}]"#,
    r#"[{"role":"user","parts":[{"type":"image_url","image_url":{"url":"http://a/b.png"}}]}]"#,
    r#"[{"role":"tool","parts":[{"type":"tool_call_response","id":"c1","response":[{"type":"text","text":"a"}]}]}]"#,
    r#"[{"role":"tool","parts":[{"type":"tool_call_response","id":"c1","response":{"type":"text","value":"a"}}]}]"#,
    r#"[{"role":"assistant","parts":[{"type":"tool_call","name":"f","arguments":{"a":1,"a":2}}]}]"#,
    r#"[{"role":"user","parts":[{"type":"text","content":"a"}],"content":"a"}]"#,
    r#"[["user","a"]]"#,
    r#"{"role":"user","content":"a"}"#,
    r#"[{"role":"user","content":"\ud800"}]"#,
    r#"["a","b"]"#,
];

const INSTRUCTIONS: [&str; 3] = [
    r#"[{"type":"text","content":"Be short."}]"#,
    r#"[{"content":"Be \"short\".","type":"text"},{"type":"text","content":""}]"#,
    r#"[{"type":"text","text":"Be short."}]"#,
];

const TOOLS: [&str; 5] = [
    r#"[{"type":"function","name":"f","description":"does \"f\"","parameters":{"type":"object","properties":{"a":{}}}}]"#,
    r#"[{"name":"f","type":"function","description":null},{"type":"function","name":"f"},{"type":"function","name":"g","description":""}]"#,
    r#"[{"type":"function","function":{"name":"f","parameters":{}}}]"#,
    r#"[]"#,
    r#" [ { "type" : "function" , "function" : { "name" : "f" } } ] "#,
];

fn tree(text: &str, role: &'static str) -> Option<Told> {
    parse(text).map(|parsed| read(&parsed.node, role))
}

fn tools_of_tree(text: &str) -> Option<(Definitions, bool)> {
    let parsed = parse(text)?;
    let mut tools = Definitions::default();
    let all = tools.read(&parsed.node) && !parsed.flaws.lost_something();
    Some((tools, all))
}

/// What must hold of any text: what is read directly is what the tree gives.
fn agrees(text: &str) {
    if let Some(told) = messages(text) {
        assert_eq!(Some(&told), tree(text, "user").as_ref(), "{text}");
        assert_eq!(Some(told), tree(text, "assistant"), "{text}");
        assert!(parse(text).is_some_and(|parsed| parsed.flaws == Default::default()), "{text}");
    }
    if let Some(told) = instructions(text) {
        assert_eq!(Some(told), parse(text).map(|parsed| read_system(&parsed.node)), "{text}");
        assert!(parse(text).is_some_and(|parsed| parsed.flaws == Default::default()), "{text}");
    }
    if let Some(tools) = definitions(text) {
        assert_eq!(Some((tools, true)), tools_of_tree(text), "{text}");
    }
}

fn all() -> impl Iterator<Item = &'static str> {
    MESSAGES.into_iter().chain(ODD).chain(INSTRUCTIONS).chain(TOOLS)
}

#[test]
fn the_usual_forms_are_read_as_the_tree_gives_them() {
    all().for_each(agrees);
    for text in MESSAGES {
        assert!(messages(text).is_some(), "{text}");
    }
    for text in INSTRUCTIONS {
        assert!(instructions(text).is_some(), "{text}");
    }
    for text in TOOLS {
        assert!(definitions(text).is_some(), "{text}");
    }
}

#[test]
fn anything_odd_is_left_to_the_tree() {
    for text in ODD {
        assert_eq!(messages(text), None, "{text}");
    }
}

proptest! {
    /// One piece of a text is replaced by a piece of another, as half-broken producers do.
    #[test]
    fn mixed_and_broken_texts_are_read_as_the_tree_gives_them(
        one in 0..64usize, other in 0..64usize, from in 0..400usize, length in 0..60usize, at in 0..400usize, cut in 0..60usize,
    ) {
        let texts: Vec<&str> = all().collect();
        let pick = |place: usize| texts[place % texts.len()].as_bytes();
        let (one, other) = (pick(one), pick(other));
        let from = from % one.len();
        let at = at % other.len();
        let bytes = [
            &one[..from],
            &other[at..(at + length).min(other.len())],
            &one[(from + cut).min(one.len())..],
        ].concat();
        agrees(&String::from_utf8_lossy(&bytes));
    }

    /// Objects of the known keys with values of any kind.
    #[test]
    fn known_keys_with_any_values_are_read_as_the_tree_gives_them(
        entries in prop::collection::vec((0..12usize, 0..14usize), 1..6), part in prop::collection::vec((0..12usize, 0..14usize), 0..5),
    ) {
        const KEYS: [&str; 12] = [
            "role", "parts", "content", "finish_reason", "name", "type", "text", "id", "arguments", "response", "result", "parameters",
        ];
        const VALUES: [&str; 14] = [
            "\"user\"", "\"assistant\"", "\"tool\"", "\"text\"", "\"tool_call\"", "\"tool_call_response\"", "\"function\"", "null", "\"\"",
            "{\"a\":1}", "[]", "1.50", "true", "PART",
        ];
        let object = |entries: &[(usize, usize)], part: &str| {
            let entries: Vec<String> = entries
                .iter()
                .map(|(key, value)| format!("\"{}\":{}", KEYS[*key], if VALUES[*value] == "PART" { part } else { VALUES[*value] }))
                .collect();
            format!("{{{}}}", entries.join(","))
        };
        let inner = format!("[{}]", object(&part, "\"text\""));
        agrees(&format!("[{}]", object(&entries, &inner)));
    }
}
