//! How much is kept of what was said.

use super::*;
use crate::event::Dead;
use crate::event::Entry;
use crate::event::Event;
use crate::event::Message;
use crate::event::ToolCall;
use crate::event::ToolExecution;

const LONG: &str = "a sentence that someone said and that nobody else should ever get to read again";

fn with_content(content: Content) -> Redactor {
    with(&Config { content, ..Config::default() })
}

fn said() -> Partial {
    let call = ToolCall {
        id: Some("call_1".into()),
        name: "get_weather".into(),
        arguments: Some("{\"city\":\"Lisbon\",\"units\":\"metric\"}".into()),
        ..Default::default()
    };
    let message = Message {
        role: "user".into(),
        content: Some("spoken-word".into()),
        content_parts: Some("[{\"type\":\"text\",\"text\":\"spoken-word\"}]".into()),
        reasoning: Some("spoken-word".into()),
        tool_calls: vec![call],
        ..Default::default()
    };
    let execution = ToolExecution {
        call_id: Some("call_1".into()),
        name: "get_weather".into(),
        arguments: Some("{\"city\":\"spoken-word\"}".into()),
        result: Some("{\"sky\":\"spoken-word\"}".into()),
        ..Default::default()
    };
    let row = Event {
        name: "chat gpt-4o".into(),
        messages: vec![message],
        tool_executions: vec![execution],
        metadata: Some(format!("{{\"plan\":\"free\",\"plan_id\":\"free\",\"seats\":3,\"memo\":\"{LONG}\"}}")),
        ..Default::default()
    };
    Partial {
        row: Some(Box::new(row)),
        details: vec![Entry { key: "choices".into(), json: "[{\"message\":{\"content\":\"spoken-word\"}}]".into() }],
        attributes: vec![
            Entry { key: "traceloop.entity.input".into(), json: "\"spoken-word\"".into() },
            Entry { key: "llm.temperature".into(), json: "0.7".into() },
            Entry { key: "llm.prompts".into(), json: "[{\"text\":\"spoken-word\"}]".into() },
        ],
        dead: Some(Dead { reason: "no JSON".into(), text: "spoken-word".into() }),
        ..Default::default()
    }
}

#[test]
fn hash_and_none_leave_nothing_that_was_said() {
    for content in [Content::Hash, Content::None] {
        let redactor = with_content(content);
        let redacted = redactor.redact(Envelope::default(), vec![(0, said())]);
        let bytes = redacted.records()[0].to_vec();
        for text in ["spoken-word", "someone said", "Lisbon"] {
            assert!(memchr::memmem::find(&bytes, text.as_bytes()).is_none(), "{content:?}: {text}");
        }
        let once = Record::decode(&bytes).unwrap().partial;
        let row = once.row.clone().unwrap();
        let metadata: serde_json::Value = serde_json::from_str(row.metadata.as_deref().unwrap()).unwrap();
        assert_eq!((&metadata["plan_id"], &metadata["seats"]), (&"free".into(), &3.into()));
        assert_ne!(metadata["plan"], "free", "a word that nothing says to be a name");
        assert_eq!((row.name.as_str(), once.attributes[1].json.as_str()), ("chat gpt-4o", "0.7"));
        assert_eq!(once.row.as_ref().unwrap().messages[0].tool_calls[0].arguments, None);
        assert!(row.redaction.unwrap().counts["content"] >= 8);
        // Twice is once, but for the counts.
        let mut twice = record(&redactor, once.clone());
        twice.row.as_mut().unwrap().redaction = once.row.as_ref().unwrap().redaction.clone();
        assert_eq!(twice, once);
    }
}

#[test]
fn hashes_can_be_joined() {
    let redactor = with_content(Content::Hash);
    let partial = record(&redactor, said());
    let message = &partial.row.as_ref().unwrap().messages[0];
    assert_eq!(message.content, message.reasoning);
    assert!(message.content.as_deref().unwrap().starts_with("hash-"));
    let told = partial.details.iter().find(|entry| entry.key == "tool_hashes").unwrap();
    assert!(told.json.contains("\"call_id\":\"call_1\",\"name\":\"get_weather\""), "{}", told.json);
    assert!(told.json.contains("f5d2ab550502ac586fc9850a1328cd901ce7a78cdeebace8e4c2442cf072240c"), "{}", told.json);
    let other = Redactor::new(&Config { content: Content::Hash, ..Config::default() }, Key::new(b"other")).unwrap();
    assert_ne!(record(&other, said()).row.unwrap().messages[0].content, message.content);
}

#[test]
fn excerpts_are_cut_between_characters() {
    let redactor = with_content(Content::Excerpt);
    let long = "é😀a\u{301}".repeat(100);
    let cut: String = long.chars().take(320).chain(['…']).collect();
    let mut partial = said();
    let row = partial.row.as_mut().unwrap();
    row.messages[0].content = Some(long.clone());
    row.messages[0].tool_calls[0].arguments = Some(format!("{{\"a\":\"{long}\",\"b\":[1]}}"));
    row.notes = vec!["n".repeat(320)];
    let once = record(&redactor, partial);
    let row = once.row.as_ref().unwrap();
    assert_eq!(row.messages[0].content.as_deref(), Some(cut.as_str()));
    assert_eq!(row.messages[0].tool_calls[0].arguments, Some(format!("{{\"a\":\"{cut}\",\"b\":[1]}}")));
    assert_eq!(row.notes[0].len(), 320);
    assert_eq!(row.redaction.as_ref().unwrap().counts["content"], 2);
    assert_eq!(record(&redactor, once.clone()).row.unwrap().messages, row.messages);
}

#[test]
fn secrets_are_taken_out_before_excerpts_are_made() {
    let redactor = with_content(Content::Excerpt);
    // Cut first, the secret would be too short to be seen.
    let text = format!("{}{}", "x ".repeat(155), fake("sk{}-ant-FAKEFAKEFAKEFAKEFAKEFAKE"));
    let mut partial = said();
    partial.row.as_mut().unwrap().messages[0].content = Some(text);
    let content = record(&redactor, partial).row.unwrap().messages[0].content.clone().unwrap();
    assert!(content.ends_with("[REDACTED:…"), "{content}");
}

#[test]
fn what_clients_sent_is_no_way_around() {
    let payload = r#"{"input_text":"spoken-word","aiResponse":"spoken-word","model_name":"gpt-4o","parameters":{"city":"spoken-word","n":4711},
        "steps":[{"step_name":"search","user_question":"spoken-word"}],"reasoning_steps":["spoken-word"],"call_id":"call_1",
        "interactive":{"button_reply":{"title":"spoken-word"}},"plan":{"actions":[{"args":["spoken-word"]}]},"system_message":"spoken-word"}"#;
    for content in [Content::Hash, Content::None] {
        let redactor = with_content(content);
        let details = vec![
            Entry { key: "payload".into(), json: payload.into() },
            Entry {
                key: "wa_meta".into(),
                json: r#"{"reply":{"title":"spoken-word"},"location":{"latitude":4711}}"#.into(),
            },
            Entry { key: "plan".into(), json: r#"{"actions":[{"args":{"city":"spoken-word"}}]}"#.into() },
        ];
        let row = Some(Box::new(Event {
            tools: Some(r#"[{"function":{"name":"f","parameters":{"type":"object"}}}]"#.into()),
            ..Event::default()
        }));
        let once = record(&redactor, Partial { row, details, ..Partial::default() });
        let told: Vec<&str> = once.details.iter().map(|entry| entry.json.as_str()).collect();
        let all = told.join(" ");
        assert!(!all.contains("spoken-word") && !all.contains("4711"), "{content:?}: {all}");
        for kept in ["gpt-4o", "search", "call_1"] {
            assert!(all.contains(kept), "{content:?}: {kept}: {all}");
        }
        assert!(told.iter().all(|json| serde_json::from_str::<serde_json::Value>(json).is_ok()), "{all}");
        assert!(
            once.row.as_ref().unwrap().tools.as_deref().unwrap().contains(r#""type":"object""#),
            "definitions stay"
        );
        assert_eq!(record(&redactor, once.clone()).details, once.details);
    }
    let details = vec![Entry { key: "payload".into(), json: payload.into() }];
    let kept = record(&with_content(Content::Excerpt), Partial { details, ..Partial::default() });
    assert_eq!(kept.details[0].json, payload, "an excerpt of what is short is all of it");
}

#[test]
fn no_name_opens_a_way_around() {
    let attributes = [
        ("error.note", "\"spoken-word\""),
        ("tool_hashes", "\"spoken word\""),
        ("x.name", "\"spoken word, and more\""),
        ("x.model", "\"spoken-word?\""),
        ("x.kind", "\"今天里斯本的天气怎么样呢\""),
        ("url.full", "\"https://h.example/p?q=spoken-word\""),
        ("url.data", "\"data:text/plain,spoken-word\""),
        ("x.url", "\"data:text/plain,spoken-word\""),
        ("state", "{\"name\":\"spoken-word\"}"),
        ("custom", "{\"id\":\"spoken-word\",\"n\":7,\"args\":{\"n\":4711}}"),
        ("return", "4711"),
        ("x.result", "4711"),
        ("not json", "spoken-word"),
        ("what is the spoken word of today", "1"),
    ];
    let entry = |(key, json): (&str, &str)| Entry { key: key.into(), json: json.into() };
    let error = crate::event::Error {
        r#type: Some("RateLimitError".into()),
        message: Some("spoken-word".into()),
        code: Some("429".into()),
        stack: Some("spoken-word".into()),
    };
    for content in [Content::Hash, Content::None] {
        let row = Event {
            name: "chat gpt-4o".into(),
            error: Some(error.clone()),
            agent: Some(crate::event::Agent { description: Some("spoken-word".into()), ..Default::default() }),
            tags: [
                ("feature".to_owned(), "search".to_owned()),
                ("note".to_owned(), "a spoken word, not a tag".to_owned()),
            ]
            .into(),
            notes: vec!["not a time: spoken-word".into(), "token counts are all zero: taken as not known".into()],
            ..Event::default()
        };
        let row = Some(Box::new(row));
        let partial = Partial { row, attributes: attributes.map(entry).into(), ..Partial::default() };
        let resource = r#"{"service.name":"shop","process.command_args":["ask","spoken word"],"process.command_line":"ask spoken-word","note":"spoken-word"}"#;
        let envelope =
            Envelope { resource: Some(resource.into()), service: Some("shop".into()), ..Envelope::default() };
        let redacted = with_content(content).redact(envelope, vec![(0, partial)]);
        let bytes = [redacted.envelope().to_vec(), redacted.records()[0].to_vec()].concat();
        let all = String::from_utf8_lossy(&bytes);
        for text in ["spoken", "4711", "今天"] {
            assert!(!all.contains(text), "{content:?}: {text}: {all}");
        }
        for kept in [
            "RateLimitError",
            "429",
            "https://h.example/p",
            "feature",
            "search",
            "all zero: taken",
            "not a time: ",
            "shop",
            "\"n\":7",
        ] {
            assert!(all.contains(kept), "{content:?}: {kept}: {all}");
        }
        let counts = Record::decode(&redacted.records()[0]).unwrap().partial.row.unwrap().redaction.unwrap().counts;
        assert!(counts["content"] >= 19, "the resource counts too: {counts:?}");
    }
}
