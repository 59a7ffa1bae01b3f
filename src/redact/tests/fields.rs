//! A secret planted in every text of a record is found in none of its bytes.

use super::*;
use crate::event::Agent;
use crate::event::Dead;
use crate::event::Entry;
use crate::event::Error;
use crate::event::Event;
use crate::event::Feedback;
use crate::event::Graph;
use crate::event::Link;
use crate::event::Message;
use crate::event::Model;
use crate::event::Part;
use crate::event::Timing;
use crate::event::Tokens;
use crate::event::ToolCall;
use crate::event::ToolExecution;
use crate::event::User;
use crate::event::WaMeta;
use crate::event::json::string;
use memchr::memmem;
use regex::Regex;

/// Secrets of every kind that the floor knows: text, and what must not be left of it.
const SECRETS: [(&str, &str); 21] = [
    ("sk{}-ant-api03-CANARYcanaryCANARYcanary", "CANARYcanary"),
    ("sk{}-CANARYcanaryCANARYcanary99", "CANARYcanary"),
    ("AI{}zaCANARYcanaryCANARYcanaryCANARYcanaryA", "CANARYcanary"),
    ("AK{}IACANARYCANARY1234", "CANARYCANARY"),
    ("gh{}p_CANARYcanaryCANARYcanaryCANARYcanary", "CANARYcanary"),
    ("gh{}o_CANARYcanaryCANARYcanaryCANARYcanary", "CANARYcanary"),
    ("gh{}s_CANARYcanaryCANARYcanaryCANARYcanary", "CANARYcanary"),
    ("xo{}xb-1234567890-CANARYcanary", "CANARYcanary"),
    ("sk{}_live_CANARYcanaryCANARYcanary", "CANARYcanary"),
    ("pk{}_test_CANARYcanaryCANARYcanary", "CANARYcanary"),
    ("MC{}ANARYcanaryCANARYcanar.CANARY.CANARYcanaryCANARYcanaryCAN", "CANARYcanary"),
    ("ey{}JCANARYcanary.CANARYcanary.CANARYcanary", "CANARYcanary"),
    ("-----BE{}GIN RSA PRIVATE KEY-----\nCANARYcanary\n-----END RSA PRIVATE KEY-----", "CANARYcanary"),
    ("ds{}_live_CANARYcanaryCANARYcanaryCANARYcanary", "CANARYcanary"),
    ("MY_API_TO{}KEN=CANARYcanary", "CANARYcanary"),
    ("DB_PASS{}WORD: 'CANARYcanary'", "CANARYcanary"),
    ("Authorization: Be{}arer CANARYcanaryCANARYcanary", "CANARYcanary"),
    ("postgres://app:CANARYcanary@db/prod", "CANARYcanary"),
    ("mysql+pymysql://app:CANARYcanary@db/prod", "CANARYcanary"),
    ("CANARYcanary/ANARYcanary+ANARYcanary/987", "CANARYcanary"),
    ("see (CANARYcanary/ANARYcanary+ANARYcanary/987)", "CANARYcanary"),
];

/// What only `strict` knows.
const STRICT: [(&str, &str); 10] = [
    ("postgresql://app:CANARYcanary@db/prod", "CANARYcanary"),
    ("amqps://app:CANARY@canary@mq/v", "CANARY@"),
    ("pass{}word=CANARYcanary7", "CANARYcanary"),
    ("authorization: be{}arer CANARYcanaryCANARY77", "CANARYcanary"),
    ("glp{}at-CANARYcanaryCANARYcanary", "CANARYcanary"),
    ("hf{}_CANARYcanaryCANARYcanaryCANARYcanary", "CANARYcanary"),
    ("+351 912 345 678", "912"),
    ("4242 4242 4242 4242", "4242"),
    ("DE89 3704 0044 0532 0130 00", "3704"),
    ("198.51.100.77", "198.51"),
];

/// JSON that holds a text as a value, in a list, as a key, in JSON in a string, and once more.
fn json(text: &str) -> String {
    let plain = string(text);
    let inner = format!(r#"{{"a":[{plain}],{plain}:1}}"#);
    let (once, twice) = (string(&inner), string(&string(&inner)));
    let escaped = escaped(text);
    format!(
        r#"{{"v":{plain},"l":["x",{plain}],{plain}:null,"j":{once},"k":{twice},"e":{escaped},{escaped}:2,"n":{}}}"#,
        string(&escaped)
    )
}

/// A JSON string with every character escaped.
fn escaped(text: &str) -> String {
    let units: String = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
    format!("\"{units}\"")
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// A record with a text in each of its fields, and another in those that are identities. No `..`: a new field must be
/// given here.
fn planted(text: &str, identity: &str) -> (Envelope, Partial) {
    let said = format!("said {text} there");
    let in_json = Some(json(text));
    let id = || some(identity);
    let any = || Some(said.clone());
    let message = |content: &str| Message {
        role: said.clone(),
        content: some(content),
        content_parts: in_json.clone(),
        reasoning: any(),
        name: any(),
        tool_call_id: id(),
        tool_calls: vec![ToolCall { id: id(), r#type: any(), name: said.clone(), arguments: in_json.clone() }],
        finish_reason: any(),
    };
    let cut = json(text);
    let cut = cut.get(..cut.len() - 3).unwrap();
    let row = Event {
        event_id: identity.to_owned(),
        event_type: said.clone(),
        source: said.clone(),
        dialect: said.clone(),
        schema_version: 1,
        name: said.clone(),
        timestamp: 1,
        ended_at: Some(2),
        received_at: 3,
        conversation_id: identity.to_owned(),
        conversation_id_source: said.clone(),
        run_id: id(),
        trace_id: id(),
        span_id: id(),
        parent_span_id: id(),
        status: any(),
        messages: vec![message(&said), message(&json(text)), message(cut), message(&escaped(text))],
        input_message_count: Some(1),
        tools: in_json.clone(),
        model: Some(Model {
            provider: any(),
            request: any(),
            response: any(),
            response_id: id(),
            operation: any(),
            parameters: in_json.clone(),
            finish_reasons: vec![said.clone()],
            stream: Some(true),
        }),
        tool_executions: vec![ToolExecution {
            call_id: id(),
            name: said.clone(),
            r#type: any(),
            status: any(),
            latency_ms: Some(1.0),
            arguments: in_json.clone(),
            result: Some(string(&json(text))),
            error: any(),
            span_id: id(),
        }],
        timing: Some(Timing {
            total_latency_ms: Some(1.0),
            time_to_first_token_ms: Some(1.0),
            ttft_source: any(),
            tool_latencies_ms: [(said.clone(), 1.0), (text.to_owned(), 2.0)].into(),
        }),
        tokens: Some(Tokens {
            prompt_tokens: Some(1),
            completion_tokens: Some(1),
            total_tokens: Some(1),
            cached_tokens: Some(1),
            cache_creation_tokens: Some(1),
            reasoning_tokens: Some(1),
            cost_usd: Some(1.0),
            cost_source: any(),
        }),
        graph: Some(Graph {
            graph_id: any(),
            node_path: any(),
            step_index: Some(1),
            thread_id: id(),
            triggers: vec![said.clone()],
        }),
        agent: Some(Agent { id: any(), name: any(), description: any() }),
        user: Some(User { id: id(), email: id(), username: id(), org: any(), roles: vec![said.clone()] }),
        wa_meta: Some(WaMeta {
            direction: any(),
            template_category: any(),
            delivered: Some(true),
            read: Some(true),
            blocked_reported: Some(true),
            message_id: id(),
            phone_number: id(),
        }),
        feedback: Some(Feedback { r#type: any(), value: Some(string(text)), target: id() }),
        error: Some(Error { r#type: any(), message: any(), code: any(), stack: any() }),
        service: any(),
        env: any(),
        tags: [(said.clone(), text.to_owned()), (text.to_owned(), json(text))].into(),
        metadata: in_json.clone(),
        details: in_json.clone(),
        attributes: in_json.clone(),
        resource: in_json.clone(),
        redaction: Some(Redaction { policy: said.clone(), counts: [(said.clone(), 1)].into() }),
        notes: vec![said.clone()],
    };
    let entry = |key: &str| Entry { key: key.to_owned(), json: json(text) };
    let partial = Partial {
        kind: 3,
        row: Some(Box::new(row)),
        start_ns: 1,
        end_ns: 2,
        observed_ns: 3,
        flags: Some(1),
        relation: 1,
        details: vec![entry("x"), entry(text), entry(&said), Entry { key: "y".to_owned(), json: string(text) }],
        attributes: vec![entry("x"), entry(text), Entry { key: text.to_owned(), json: escaped(text) }],
        links: vec![Link {
            trace_id: identity.to_owned(),
            span_id: identity.to_owned(),
            attributes: in_json.clone(),
            is_target: true,
        }],
        part: Some(Part { half: 1, index: Some(1) }),
        dead: Some(Dead { reason: said.clone(), text: json(text) }),
        keep_unknown: true,
        waits_for: id(),
        trace_state: any(),
    };
    let envelope = Envelope {
        tenant: "tenant".to_owned(),
        app: some("app"),
        door: "otlp".to_owned(),
        policy: String::new(),
        prefix: some("prefix"),
        received_at: 1,
        service: any(),
        env: any(),
        resource: in_json,
    };
    (envelope, partial)
}

/// Bytes with the escapes of JSON undone, however often encoded.
fn unescaped(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let unit = Regex::new(r"\\+u([0-9a-f]{4})").unwrap();
    let text = unit.replace_all(&text, |found: &regex::Captures<'_>| {
        char::from_u32(u32::from_str_radix(&found[1], 16).unwrap()).unwrap().to_string()
    });
    text.replace('\\', "")
}

fn assert_gone(redactor: &Redactor, text: &str, identity: &str, needle: &str) {
    let (envelope, partial) = planted(text, identity);
    let redacted = redactor.redact(envelope, vec![(0, partial)]);
    for bytes in redacted.records().iter().chain([redacted.envelope()]) {
        let left = unescaped(bytes);
        if let Some(at) = memmem::find(left.as_bytes(), needle.as_bytes()) {
            let around = String::from_utf8_lossy(&left.as_bytes()[at.saturating_sub(200)..(at + 50).min(left.len())])
                .into_owned();
            panic!("{:?}: `{text}` is left: …{around}…", redactor.policy());
        }
    }
    let again = Record::decode(&redacted.records()[0]).unwrap().partial;
    assert_valid(&again);
    let mut twice = record(redactor, again.clone());
    // Counts are of this pass.
    twice.row.as_mut().unwrap().redaction = again.row.as_ref().unwrap().redaction.clone();
    let (twice, again) = (format!("{twice:?}"), format!("{again:?}"));
    if let Some(at) = twice.bytes().zip(again.bytes()).position(|(left, right)| left != right) {
        let around = |text: &str| {
            let near = &text.as_bytes()[at.saturating_sub(200)..(at + 200).min(text.len())];
            String::from_utf8_lossy(near).into_owned()
        };
        panic!("{:?}: twice `{text}` is …{}… and once …{}…", redactor.policy(), around(&twice), around(&again));
    }
    assert_eq!(twice.len(), again.len());
}

/// What holds JSON still does.
fn assert_valid(partial: &Partial) {
    let row = partial.row.as_ref().unwrap();
    let entries = partial.details.iter().chain(&partial.attributes).map(|entry| entry.json.as_str());
    let columns = [&row.tools, &row.metadata, &row.details, &row.attributes, &row.resource];
    for json in entries.chain(columns.into_iter().flatten().map(String::as_str)) {
        serde_json::from_str::<serde_json::Value>(json).unwrap_or_else(|error| panic!("{error}: {json}"));
    }
}

#[test]
fn no_secret_survives_the_floor_anywhere() {
    let redactor = with_policy(Policy::Floor);
    for (text, needle) in SECRETS {
        let text = fake(text);
        assert_gone(&redactor, &text, &text, needle);
    }
}

#[test]
fn no_secret_survives_strict_anywhere() {
    let redactor = with_policy(Policy::Strict);
    for (text, needle) in SECRETS.into_iter().chain(STRICT) {
        let text = fake(text);
        assert_gone(&redactor, &text, &text, needle);
    }
}

#[test]
fn personal_data_survives_only_in_identities() {
    let floor = with_policy(Policy::Floor);
    for (text, needle) in
        [("canary@example.com", "canary@"), ("/home/canary/x.rs", "canary"), (r"C:\Users\canary\x", "canary")]
    {
        assert_gone(&floor, text, "u-1", needle);
        let (envelope, partial) = planted("x", text);
        let redacted = floor.redact(envelope, vec![(0, partial)]);
        let row = Record::decode(&redacted.records()[0]).unwrap().partial.row.unwrap();
        assert_eq!(row.conversation_id, text);
        assert_eq!(row.user.unwrap().email.as_deref(), Some(text));
        assert_gone(&with_policy(Policy::Strict), text, text, needle);
    }
}

#[test]
fn identities_stay_apart_and_together() {
    for policy in [Policy::Floor, Policy::Strict] {
        let redactor = with_policy(policy);
        let ids = |identity: &str| {
            let partial = record(&redactor, planted("x", identity).1);
            let row = partial.row.unwrap();
            let message = row.messages[0].clone();
            let execution = row.tool_executions[0].clone();
            assert_eq!(message.tool_calls[0].id, execution.call_id, "calls and executions pair");
            assert_eq!(Some(&row.event_id), partial.waits_for.as_ref(), "answers find their requests");
            assert_eq!(Some(&row.conversation_id), row.graph.unwrap().thread_id.as_ref());
            row.conversation_id
        };
        let texts = [
            fake("sk{}-CANARYcanaryCANARYcanary97"),
            fake("sk{}-CANARYcanaryCANARYcanary98"),
            "task-550e8400-e29b-41d4-a716-446655440000".to_owned(),
            "task-550e8400-e29b-41d4-a716-446655440001".to_owned(),
            "da39a3ee5e6b4b0d3255bfef95601890afd80709".to_owned(),
            "da39a3ee5e6b4b0d3255bfef95601890afd80708".to_owned(),
            "jane@example.com".to_owned(),
            "john@example.com".to_owned(),
        ];
        let distinct: std::collections::BTreeSet<String> = texts.iter().map(|text| ids(text)).collect();
        assert_eq!(distinct.len(), texts.len(), "{distinct:?}");
        if policy == Policy::Strict {
            assert!(distinct.iter().all(|id| id.starts_with("hash-") && id.len() == 37), "{distinct:?}");
        }
    }
}

#[test]
fn trace_and_span_ids_are_never_touched() {
    for policy in [Policy::Floor, Policy::Strict] {
        let row = Event {
            trace_id: some("5b8efff798038103d269b633813fc60c"),
            span_id: some("eee19b7ec3c1b174"),
            parent_span_id: some("EEE19B7EC3C1B175"),
            ..Default::default()
        };
        let redactor = with_policy(policy);
        let links = vec![Link {
            trace_id: "5b8efff798038103d269b633813fc60c".to_owned(),
            span_id: "eee19b7ec3c1b174".to_owned(),
            ..Default::default()
        }];
        let before = Partial { row: Some(Box::new(row)), links, ..Default::default() };
        let after = record(&redactor, before.clone());
        let (row, was) = (after.row.unwrap(), before.row.unwrap());
        assert_eq!((row.trace_id, row.span_id, row.parent_span_id), (was.trace_id, was.span_id, was.parent_span_id));
        assert_eq!(after.links, before.links);
    }
}

#[test]
fn strict_hashes_identities_wherever_they_stand_alone() {
    let redactor = with_policy(Policy::Strict);
    let row = Event {
        conversation_id: "thread-42".to_owned(),
        user: Some(User { id: some("351912345678"), ..Default::default() }),
        wa_meta: Some(WaMeta { phone_number: some("+351 912-345-678"), ..Default::default() }),
        ..Default::default()
    };
    let attributes =
        vec![Entry { key: "langgraph.thread".to_owned(), json: "[\"thread-42\",\"thread-421\"]".to_owned() }];
    let partial = record(&redactor, Partial { row: Some(Box::new(row)), attributes, ..Default::default() });
    let row = partial.row.unwrap();
    assert_eq!(partial.attributes[0].json, format!("[\"{}\",\"thread-421\"]", row.conversation_id));
    assert_eq!(row.user.unwrap().id, row.wa_meta.unwrap().phone_number, "one person, however written");
    assert_eq!(row.redaction.unwrap().counts["identity"], 3);
}

#[test]
fn what_is_done_is_told() {
    let redactor = with_policy(Policy::Floor);
    let envelope = Envelope { resource: some("{\"owner\":\"a@b.cc\"}"), ..Default::default() };
    let row = Event { name: "a@b.cc, c@d.ee".to_owned(), notes: vec!["/home/x".to_owned()], ..Default::default() };
    let on_arrival =
        Redaction { policy: String::new(), counts: [("openai_key".to_owned(), 2), ("odd".to_owned(), 9)].into() };
    let arrived = Event { redaction: Some(on_arrival), ..Default::default() };
    let records = vec![
        (0, Partial { row: Some(Box::new(row)), ..Default::default() }),
        (1, Partial { row: Some(Box::new(arrived)), ..Default::default() }),
    ];
    let redacted = redactor.redact(envelope, records);
    let told =
        |index: usize| Record::decode(&redacted.records()[index]).unwrap().partial.row.unwrap().redaction.unwrap();
    assert_eq!(told(0).policy, "floor");
    assert_eq!(told(0).counts, [("email".to_owned(), 3), ("path".to_owned(), 1)].into());
    assert_eq!(told(1).counts, [("email".to_owned(), 1), ("openai_key".to_owned(), 2)].into());
    assert_eq!(Envelope::decode(redacted.envelope().as_ref()).unwrap().policy, "floor");
}
