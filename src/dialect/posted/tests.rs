//! What recorded requests of the real clients are read as. `tests/golden/seeds` holds their bodies.

use super::*;
use crate::event::Event;
use crate::event::Message;
use serde_json::Value;
use std::fs;
use std::path::PathBuf;

mod insidellm;
mod litellm;
mod markers;
mod others;
mod whatsapp;

fn golden(path: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/seeds");
    fs::read(folder.join(path)).unwrap()
}

fn golden_json(path: &str) -> Value {
    serde_json::from_slice(&golden(path)).unwrap()
}

fn config() -> Config {
    Config::default()
}

fn rows(posted: &Posted) -> Vec<&Event> {
    posted.records.iter().map(|(_, record)| record.row.as_deref().unwrap()).collect()
}

fn record_of<'p>(posted: &'p Posted, event_type: &str) -> &'p Partial {
    let mut records = posted.records.iter().map(|(_, record)| record);
    records.find(|record| record.row.as_ref().unwrap().event_type == event_type).unwrap()
}

fn row(record: &Partial) -> &Event {
    record.row.as_ref().unwrap()
}

/// All details as one object.
fn details(record: &Partial) -> Value {
    let entries = record.details.iter().map(|entry| (entry.key.clone(), serde_json::from_str(&entry.json).unwrap()));
    Value::Object(entries.collect())
}

fn attributes(record: &Partial) -> Value {
    let entries = record.attributes.iter().map(|entry| (entry.key.clone(), serde_json::from_str(&entry.json).unwrap()));
    Value::Object(entries.collect())
}

fn texts(messages: &[Message]) -> Vec<(&str, Option<&str>)> {
    messages.iter().map(|message| (message.role.as_str(), message.content.as_deref())).collect()
}

/// Every JSON text of every record parses.
#[test]
fn json_of_all_recordings_is_json() {
    let all = [
        insidellm(&golden("insidellm/03-all-19-types-array.body.json"), None, &config()),
        insidellm(&golden("insidellm/06-langchain-callback.body.json"), None, &config()),
        modelstat(&golden("modelstat/python-0.1.0/01-local-daemon-v1-ingest.body.json"), &config()),
        huggingplace(&golden("huggingplace/python-1.0.1-head/02-log-later-fields.body.json"), None, &config()),
        litellm(&golden("stackspot/litellm-1.106.2-generic-api-webhook.json"), None, &config()),
        events(&golden("stackifier/02-full-event.jsonl"), None, &config()),
    ];
    for posted in all {
        for (_, record) in posted.unwrap().records {
            let (_, _) = (details(&record), attributes(&record));
            assert!(!row(&record).event_type.is_empty());
        }
    }
}

#[test]
fn bodies_that_are_none_are_refused() {
    for body in [&b""[..], b"  ", b"{\"a\":", b"no json", b"{'a': 1}"] {
        assert!(insidellm(body, None, &config()).is_err(), "{body:?}");
        assert!(huggingplace(body, None, &config()).is_err(), "{body:?}");
        assert!(modelstat(body, &config()).is_err(), "{body:?}");
        assert!(litellm(body, None, &config()).is_err(), "{body:?}");
        assert!(meta(body, &config()).is_err(), "{body:?}");
    }
    assert_eq!(huggingplace(b"[1]", None, &config()), Err(Malformed::Shape("no json object")));
    assert_eq!(modelstat(b"{}", &config()), Err(Malformed::Shape("no batch of events")));
}

#[test]
fn every_recorded_body_says_the_same_however_it_is_indented() {
    let body = golden("insidellm/03-all-19-types-array.body.json");
    let compact = serde_json::to_vec(&serde_json::from_slice::<Value>(&body).unwrap()).unwrap();
    let read = |body: &[u8]| insidellm(body, None, &config()).unwrap();
    let (a, b) = (read(&body), read(&compact));
    assert_eq!(
        rows(&a).iter().map(|row| &row.event_id).collect::<Vec<_>>(),
        rows(&b).iter().map(|row| &row.event_id).collect::<Vec<_>>()
    );
    assert_eq!(texts(&rows(&a)[1].messages), texts(&rows(&b)[1].messages));
}
