//! One conversation in every spelling comes out as one list.

use super::*;
use crate::dialect::draft::messages_json;
use crate::dialect::json::parse;
use serde_json::Value;
use serde_json::json;

fn history(text: &str) -> Vec<Value> {
    let parsed = parse(text).unwrap();
    let messages = read(&parsed.node, "user").into_history();
    serde_json::from_str::<Vec<Value>>(&messages_json(&messages)).unwrap()
}

/// System, user, a call, its result, the answer; roles, texts and calls only.
fn weather() -> Vec<Value> {
    vec![
        json!({"role": "system", "content": "Be brief."}),
        json!({"role": "user", "content": "Weather?"}),
        json!({"role": "assistant", "content": null, "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{\"city\":\"Lisboa\"}"}}]}),
        json!({"role": "tool", "content": "21", "tool_call_id": "call_1"}),
        json!({"role": "assistant", "content": "Sunny."}),
    ]
}

fn bare(messages: Vec<Value>) -> Vec<Value> {
    messages
        .into_iter()
        .map(|mut message| {
            let object = message.as_object_mut().unwrap();
            object.retain(|key, _| matches!(key.as_str(), "role" | "content" | "tool_calls" | "tool_call_id"));
            message
        })
        .collect()
}

#[test]
fn every_spelling_says_the_same() {
    let spellings = [
        (
            "otel parts",
            json!([
                {"role": "system", "parts": [{"type": "text", "content": "Be brief."}], "name": null},
                {"role": "user", "parts": [{"type": "text", "content": "Weather?"}]},
                {"role": "assistant", "parts": [{"type": "tool_call", "id": "call_1", "name": "get_weather", "arguments": {"city": "Lisboa"}}]},
                {"role": "tool", "parts": [{"type": "tool_call_response", "id": "call_1", "response": "21"}]},
                {"role": "assistant", "parts": [{"type": "text", "content": "Sunny."}], "finish_reason": "stop"},
            ]),
        ),
        (
            "pydantic",
            json!([
                {"role": "system", "parts": [{"type": "text", "content": "Be brief."}]},
                {"role": "user", "parts": [{"type": "text", "content": "Weather?"}]},
                {"role": "assistant", "parts": [{"type": "tool_call", "id": "call_1", "name": "get_weather", "arguments": "{\"city\":\"Lisboa\"}"}]},
                {"role": "user", "parts": [{"type": "tool_call_response", "id": "call_1", "name": "get_weather", "result": 21}]},
                {"role": "assistant", "parts": [{"type": "text", "content": "Sunny."}]},
            ]),
        ),
        (
            "openai chat",
            json!({"model": "m", "messages": [
                {"role": "developer", "content": "Be brief."},
                {"role": "user", "content": "Weather?"},
                {"role": "assistant", "content": null, "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{\"city\":\"Lisboa\"}"}}]},
                {"role": "tool", "tool_call_id": "call_1", "content": "21"},
                {"role": "assistant", "content": "Sunny."},
            ]}),
        ),
        (
            "openai responses",
            json!({"model": "m", "instructions": "Be brief.", "input": [
                {"role": "user", "content": [{"type": "input_text", "text": "Weather?"}]},
                {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "get_weather", "arguments": "{\"city\":\"Lisboa\"}"},
                {"type": "function_call_output", "call_id": "call_1", "output": "21"},
                {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Sunny."}]},
            ]}),
        ),
        (
            "anthropic",
            json!({"system": "Be brief.", "messages": [
                {"role": "user", "content": "Weather?"},
                {"role": "assistant", "content": [{"type": "tool_use", "id": "call_1", "name": "get_weather", "input": {"city": "Lisboa"}}]},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": [{"type": "text", "text": "21"}]}]},
                {"role": "assistant", "content": [{"type": "text", "text": "Sunny."}]},
            ]}),
        ),
        (
            "bedrock",
            json!({"system": [{"text": "Be brief."}], "messages": [
                {"role": "user", "content": [{"text": "Weather?"}]},
                {"role": "assistant", "content": [{"toolUse": {"toolUseId": "call_1", "name": "get_weather", "input": {"city": "Lisboa"}}}]},
                {"role": "user", "content": [{"toolResult": {"toolUseId": "call_1", "status": "success", "content": [{"json": 21}]}}]},
                {"role": "assistant", "content": [{"text": "Sunny."}]},
            ]}),
        ),
        (
            "gemini",
            json!({"config": {"system_instruction": "Be brief."}, "contents": [
                {"role": "user", "parts": [{"text": "Weather?"}]},
                {"role": "model", "parts": [{"function_call": {"id": "call_1", "name": "get_weather", "args": {"city": "Lisboa"}}}]},
                {"role": "user", "parts": [{"function_response": {"id": "call_1", "name": "get_weather", "response": 21}}]},
                {"role": "model", "parts": [{"text": "Sunny."}]},
            ]}),
        ),
        (
            "vercel",
            json!([
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": [{"type": "text", "text": "Weather?"}]},
                {"role": "assistant", "content": [{"type": "tool-call", "toolCallId": "call_1", "toolName": "get_weather", "input": {"city": "Lisboa"}}]},
                {"role": "tool", "content": [{"type": "tool-result", "toolCallId": "call_1", "toolName": "get_weather", "output": {"type": "json", "value": 21}}]},
                {"role": "assistant", "content": [{"type": "text", "text": "Sunny."}]},
            ]),
        ),
        (
            "langchain constructors",
            json!({"messages": [[
                {"lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", "SystemMessage"], "kwargs": {"content": "Be brief.", "type": "system"}},
                {"lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", "HumanMessage"], "kwargs": {"content": "Weather?"}},
                {"lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", "AIMessage"], "kwargs": {"content": "", "tool_calls": [{"name": "get_weather", "args": {"city": "Lisboa"}, "id": "call_1", "type": "tool_call"}]}},
                {"lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", "ToolMessage"], "kwargs": {"content": "21", "tool_call_id": "call_1", "status": "success"}},
                {"lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", "AIMessage"], "kwargs": {"content": "Sunny."}},
            ]]}),
        ),
        (
            "langchain data",
            json!([
                {"type": "system", "data": {"content": "Be brief."}},
                {"type": "human", "data": {"content": "Weather?"}},
                {"type": "ai", "data": {"content": "", "tool_calls": [{"name": "get_weather", "args": {"city": "Lisboa"}, "id": "call_1"}]}},
                {"type": "tool", "data": {"content": "21", "tool_call_id": "call_1"}},
                {"type": "ai", "data": {"content": "Sunny."}},
            ]),
        ),
        (
            "langchain flat",
            json!({"messages": [
                {"content": "Be brief.", "type": "system"},
                {"content": "Weather?", "type": "human"},
                {"content": "", "type": "ai", "tool_calls": [{"name": "get_weather", "args": {"city": "Lisboa"}, "id": "call_1"}]},
                {"content": "21", "type": "tool", "tool_call_id": "call_1"},
                {"content": "Sunny.", "type": "ai"},
            ]}),
        ),
        (
            "semantic kernel",
            json!([
                {"role": "system", "content": "Be brief."},
                {"role": "user", "items": [{"content_type": "text", "text": "Weather?"}]},
                {"role": "assistant", "items": [{"content_type": "function_call", "id": "call_1", "name": "get_weather", "arguments": "{\"city\":\"Lisboa\"}"}]},
                {"role": "tool", "items": [{"content_type": "function_result", "id": "call_1", "result": "21"}]},
                {"role": "assistant", "items": [{"content_type": "text", "text": "Sunny."}]},
            ]),
        ),
        (
            "haystack",
            json!([
                {"role": "system", "content": [{"text": "Be brief."}]},
                {"role": "user", "content": [{"text": "Weather?"}]},
                {"role": "assistant", "content": [{"tool_call": {"id": "call_1", "tool_name": "get_weather", "arguments": {"city": "Lisboa"}}}]},
                {"role": "tool", "content": [{"tool_call_result": {"result": "21", "origin": {"id": "call_1", "tool_name": "get_weather"}, "error": false}}]},
                {"role": "assistant", "content": [{"text": "Sunny."}]},
            ]),
        ),
        (
            "genkit",
            json!({"messages": [
                {"role": "system", "content": [{"text": "Be brief."}]},
                {"role": "user", "content": [{"text": "Weather?"}]},
                {"role": "model", "content": [{"toolRequest": {"ref": "call_1", "name": "get_weather", "input": {"city": "Lisboa"}}}]},
                {"role": "tool", "content": [{"toolResponse": {"ref": "call_1", "name": "get_weather", "output": 21}}]},
                {"role": "model", "content": [{"text": "Sunny."}]},
            ]}),
        ),
        (
            "litellm hybrid",
            json!([
                {"role": "system", "parts": [{"type": "text", "content": "Be brief."}]},
                {"role": "user", "parts": [{"type": "text", "text": "Weather?"}]},
                {"role": "assistant", "parts": [], "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{\"city\":\"Lisboa\"}"}}]},
                {"role": "tool", "parts": [{"type": "text", "content": "21"}], "tool_call_id": "call_1"},
                {"role": "assistant", "parts": [{"type": "text", "content": "Sunny."}]},
            ]),
        ),
    ];
    for (name, spelling) in spellings {
        assert_eq!(bare(history(&spelling.to_string())), weather(), "{name}");
    }
}

#[test]
fn a_pair_is_a_message() {
    assert_eq!(
        history(r#"[["system","Be brief."],["user","Hi"]]"#),
        vec![json!({"role": "system", "content": "Be brief."}), json!({"role": "user", "content": "Hi"})]
    );
}

#[test]
fn openinference_contents_do_not_double_the_content() {
    let got = history(
        r#"[{"message":{"role":"user","content":"Look","contents":[{"message_content":{"type":"text","text":"Look"}},{"message_content":{"type":"image","image":{"image":{"url":"data:image/png;base64,iVBO"}}}}]}}]"#,
    );
    assert_eq!(
        got,
        vec![
            json!({"role": "user", "content": [{"type": "text", "text": "Look"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}}]})
        ]
    );
}

#[test]
fn media_of_every_spelling_are_openais_parts() {
    let want = json!([{"type": "text", "text": "Look"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}}]);
    for part in [
        json!({"type": "blob", "mime_type": "image/png", "modality": "image", "content": "iVBO"}),
        json!({"type": "uri", "modality": "image", "uri": "data:image/png;base64,iVBO"}),
        json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}}),
        json!({"type": "input_image", "image_url": "data:image/png;base64,iVBO"}),
        json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBO"}}),
        json!({"image": {"format": "png", "source": {"bytes": "iVBO"}}}),
        json!({"inlineData": {"mimeType": "image/png", "data": "iVBO"}}),
        json!({"inline_data": {"mime_type": "image/png", "data": "iVBO"}}),
        json!({"type": "file", "mediaType": "image/png", "data": "iVBO"}),
        json!({"media": {"url": "data:image/png;base64,iVBO"}}),
    ] {
        let got = history(&json!([{"role": "user", "content": [{"type": "text", "text": "Look"}, part]}]).to_string());
        assert_eq!(got[0]["content"], want, "{part}");
    }
    // Where an address stands in the place of the data, that is the picture's.
    let kept = "mlflow-attachment://d13f?content_type=image%2Fpng";
    let part = json!({"inline_data": {"mime_type": "image/png", "data": kept}});
    let got = history(&json!([{"role": "user", "content": [part]}]).to_string());
    assert_eq!(got[0]["content"][0]["image_url"]["url"], kept);
}

#[test]
fn several_results_in_one_message_are_split_before_the_text() {
    let got = history(
        r#"[{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":"1"},{"type":"tool_result","tool_use_id":"b","content":"2"},{"type":"text","text":"Go on"}]}]"#,
    );
    assert_eq!(
        got,
        vec![
            json!({"role": "tool", "content": "1", "tool_call_id": "a"}),
            json!({"role": "tool", "content": "2", "tool_call_id": "b"}),
            json!({"role": "user", "content": "Go on"}),
        ]
    );
}

#[test]
fn a_schema_that_pretends_to_be_a_message_is_a_definition() {
    let parsed = parse(r#"[{"role":"user","content":"Hi"},{"role":"tool","content":{"type":"function","function":{"name":"f","parameters":{}}}}]"#).unwrap();
    let told = read(&parsed.node, "user");
    assert_eq!(told.tools.json().as_deref(), Some(r#"[{"type":"function","function":{"name":"f","parameters":{}}}]"#));
    assert_eq!(told.into_history().len(), 1);
}

#[test]
fn an_empty_text_beside_others_is_no_part() {
    let parsed =
        parse(r#"{"role":"assistant","parts":[{"type":"text","content":""},{"type":"text","content":"No."}]}"#);
    let told = read(&parsed.unwrap().node, "assistant").into_history();
    assert_eq!((told[0].content.as_deref(), told[0].content_parts.as_deref()), (Some("No."), None));
}

#[test]
fn pieces_of_one_answer_are_joined_and_choices_are_not() {
    let answers = |text: &str| {
        let parsed = parse(text).unwrap();
        read(&parsed.node, "assistant").into_answers()
    };
    let (first, others) = answers(
        r#"[{"type":"reasoning","summary":[{"type":"summary_text","text":"Hm"}]},{"type":"message","role":"assistant","content":[{"type":"output_text","text":"Hi"}]},{"type":"function_call","call_id":"c","name":"f","arguments":"{}"}]"#,
    );
    assert_eq!((first.len(), others.len()), (1, 0));
    assert_eq!(first[0].reasoning.as_deref(), Some("Hm"));
    assert_eq!(first[0].content.as_deref(), Some("Hi"));
    assert_eq!(first[0].tool_calls.len(), 1);
    let (first, others) = answers(
        r#"{"choices":[{"index":1,"message":{"role":"assistant","content":"B"},"finish_reason":"stop"},{"index":0,"message":{"role":"assistant","content":"A"},"finish_reason":"length"}]}"#,
    );
    assert_eq!(first[0].content.as_deref(), Some("A"));
    assert_eq!(first[0].finish_reason.as_deref(), Some("length"));
    assert_eq!(others[0].content.as_deref(), Some("B"));
    let (first, others) = answers(
        r#"[{"role":"assistant","parts":[{"type":"text","content":"It is 18 "}],"finish_reason":""},{"role":"assistant","parts":[{"type":"text","content":"°C in Zü"}],"finish_reason":""},{"role":"assistant","parts":[{"type":"text","content":"rich."}],"finish_reason":"stop"}]"#,
    );
    assert_eq!(
        (first[0].content.as_deref(), first[0].finish_reason.as_deref()),
        (Some("It is 18 °C in Zürich."), Some("stop"))
    );
    assert_eq!((first.len(), others.len(), first[0].content_parts.as_deref()), (1, 0, None));
    let (first, others) = answers(
        r#"[{"role":"assistant","parts":[{"type":"tool_call","id":"c","name":"f","arguments":null}],"finish_reason":""},{"role":"assistant","parts":[{"type":"text","content":"It is "}],"finish_reason":""},{"role":"assistant","parts":[{"type":"text","content":"18 °C."}],"finish_reason":""},{"role":"assistant","parts":[{"type":"text","content":"It is 18 °C."},{"type":"tool_call","id":"c","name":"f","arguments":{"a":1}}],"finish_reason":"stop"}]"#,
    );
    assert_eq!((first[0].content.as_deref(), others.len()), (Some("It is 18 °C."), 0));
    assert_eq!((first[0].tool_calls.len(), first[0].tool_calls[0].arguments.as_deref()), (1, Some(r#"{"a":1}"#)));
}

#[test]
fn one_odd_thing_costs_that_thing_only() {
    for odd in [
        json!(null),
        json!(12),
        json!({"type": "hologram", "x": 1}),
        json!({"type": "text"}),
        json!({"type": 5}),
        json!([1]),
        json!({}),
    ] {
        let text = json!([
            {"role": "user", "parts": [{"type": "text", "content": "A"}, odd, {"type": "text", "content": "B"}]},
            odd,
            {"role": odd, "content": "C", "name": odd, "tool_calls": odd},
            {"role": "assistant", "content": "D"},
        ]);
        let parsed = parse(&text.to_string()).map(|parsed| read(&parsed.node, "user").into_history()).unwrap();
        let all = messages_json(&parsed);
        for said in ["A", "B", "C", "D"] {
            assert!(all.contains(&format!("\"{said}\"")), "{odd}: {all}");
        }
        if odd["type"] == "hologram" {
            assert!(all.contains("hologram"));
        }
    }
}

#[test]
fn words_for_withheld_content_are_no_content() {
    let parsed = parse(r#"[{"role":"user","content":"__REDACTED__"}]"#).unwrap();
    let told = read(&parsed.node, "user");
    assert!(told.withheld && told.lossy);
    assert_eq!(told.into_history()[0].content, None);
    for (text, is_withheld) in [
        ("<groq.Stream object at 0x7fb2f5a53bd0>", true),
        ("<openai.AsyncStream[openai.types.ChatCompletionChunk] object at 0x7f>", true),
        ("<coroutine object AsyncAPIResponse.parse at 0x7f809cd2f4c0>", true),
        ("<b>An object at 0x7f</b>", false),
        ("an object at 0x7f", false),
    ] {
        assert_eq!(value::is_withheld(text), is_withheld, "{text}");
    }
}

#[test]
fn definitions_of_every_spelling_are_openais() {
    let want = r#"[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"}}}]"#;
    for spelling in [
        json!([{"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}}]),
        json!([{"name": "f", "description": "d", "inputSchema": {"type": "object"}}]),
        json!([{"name": "f", "description": "d", "input_schema": {"type": "object"}}]),
        json!(["{\"type\":\"function\",\"name\":\"f\",\"description\":\"d\",\"inputSchema\":{\"type\":\"object\"}}"]),
        json!([{"function_declarations": [{"name": "f", "description": "d", "parameters": {"type": "object"}}]}]),
        json!([{"toolSpec": {"name": "f", "description": "d", "inputSchema": {"json": {"type": "object"}}}}]),
    ] {
        let text = spelling.to_string();
        let parsed = parse(&text).unwrap();
        let mut tools = Definitions::default();
        assert!(tools.read(&parsed.node), "{spelling}");
        assert_eq!(tools.json().as_deref(), Some(want), "{spelling}");
    }
}

#[test]
fn geminis_instructions_are_the_systems_whatever_role_their_content_has() {
    let text = r#"{"contents":[{"role":"user","parts":[{"text":"Weather?"}]}],"config":{"systemInstruction":{"role":"user","parts":[{"text":"Be brief."}]}}}"#;
    let roles: Vec<Value> = history(text).into_iter().map(|message| message["role"].clone()).collect();
    assert_eq!(roles, ["system", "user"]);
}
