use super::*;
use crate::dialect::posted::markers::applies;
use crate::dialect::posted::markers::extract;
use crate::dialect::posted::markers::read_message;
use crate::event::ToolCall;

#[test]
fn all_cases_of_the_table_are_read_as_proposed() {
    for case in golden_json("stackspot/text-marker-cases.json").as_array().unwrap() {
        let (name, text) = (&case["case"], case["text"].as_str().unwrap());
        let (content, calls) = extract(text).unwrap_or_else(|| (text.to_owned(), Vec::new()));
        let proposed = &case["proposed"];
        assert_eq!(content, proposed["content"].as_str().unwrap(), "{name}");
        let calls: Vec<(String, Value)> = calls
            .into_iter()
            .map(|call| (call.name, serde_json::from_str(&call.arguments.unwrap()).unwrap()))
            .collect();
        let expected: Vec<(String, Value)> = proposed["tool_calls"]
            .as_array()
            .unwrap()
            .iter()
            .map(|call| (call["name"].as_str().unwrap().to_owned(), call["arguments"].clone()))
            .collect();
        assert_eq!(calls, expected, "{name}");
    }
}

#[test]
fn markers_are_read_of_named_providers_only() {
    let words = config().text_markers;
    assert!(applies(&words, ["my-custom-llm/Stackspot-chat"]));
    assert!(!applies(&words, ["openai", "gpt-4o"]));
    assert!(!applies(&[String::new()], ["openai"]));
}

#[test]
fn a_call_that_came_twice_keeps_the_good_name() {
    let call = |id: &str, name: &str| ToolCall {
        id: Some(id.to_owned()),
        r#type: Some("function".to_owned()),
        name: name.to_owned(),
        arguments: Some("{\"a\": 1}".to_owned()),
    };
    let mut message = Message {
        role: "assistant".to_owned(),
        tool_calls: vec![call("call_1", "function_name: somar"), call("call_2", "somar"), call("call_3", "other")],
        ..Message::default()
    };
    assert!(read_message(&mut message));
    let names: Vec<_> = message.tool_calls.iter().map(|call| (call.id.as_deref(), call.name.as_str())).collect();
    assert_eq!(names, [(Some("call_2"), "somar"), (Some("call_3"), "other")]);
}

#[test]
fn only_so_many_places_of_a_text_are_tried() {
    let text = "FUNCTION_CALL_START\nx\nno call\n".repeat(300) + "FUNCTION_CALL_START\nx\nFUNCTION_CALL_END";
    assert_eq!(extract(&text), None, "a text of markers does not cost its square");
}
