//! Posted events that wait for one another: the row of an answer is the whole call.
//!
//! An answer takes in what its request asked, before what it says itself, and what its chunks tell: how many they
//! were, and when the first came. Request and chunks keep rows of their own, for each event that was sent is one row.
//! This happens before anything is sorted: all that wait for one another are emitted together.

use super::Told;
use super::json::Object;
use crate::event::Entry;
use crate::event::Kind;
use crate::event::Partial;
use crate::event::event_type;
use ahash::HashMap;
use std::collections::BTreeSet;

const CHUNK: &str = "llm.streaming_chunk";

/// Who waits for what: tenant, prefix, door and the hash of the awaited id.
type Key = (String, String, String, u64);

/// What waits for one id. Places in the input.
#[derive(Debug, Default)]
struct Waiting {
    /// What is awaited, if it is here; of several the earliest, by its own time and then by content.
    request: Option<(u64, u128, usize)>,
    answers: Vec<usize>,
    /// Start and content of each.
    chunks: BTreeSet<(u64, u128)>,
}

/// Joins answers to their requests.
pub(super) fn join(told: &mut [Told]) {
    let mut waiting: HashMap<Key, Waiting> = HashMap::default();
    for (place, Told { envelope, record }) in told.iter().enumerate() {
        let head = &record.head;
        if head.kind != Kind::Posted || head.waits_for == 0 {
            continue;
        }
        let prefix = envelope.prefix.clone().unwrap_or_default();
        let key = (envelope.tenant.clone(), prefix, envelope.door.clone(), head.waits_for);
        let waiting = waiting.entry(key).or_default();
        let kind = record.partial.row.as_ref().map_or("", |row| row.event_type.as_str());
        let this = (head.start_ns, head.content, place);
        if head.own == head.waits_for {
            waiting.request = Some(waiting.request.map_or(this, |first| first.min(this)));
        } else if kind == event_type::LLM_RESPONSE {
            waiting.answers.push(place);
        } else if kind == CHUNK {
            waiting.chunks.insert((head.start_ns, head.content));
        }
    }
    for waiting in waiting.into_values() {
        let request = waiting.request.and_then(|(.., place)| told.get(place)).map(|told| told.record.partial.clone());
        for place in waiting.answers {
            if let Some(answer) = told.get_mut(place) {
                fill(&mut answer.record.partial, request.as_ref(), &waiting.chunks);
            }
        }
    }
}

/// Takes into an answer what its request and its chunks say.
fn fill(answer: &mut Partial, request: Option<&Partial>, chunks: &BTreeSet<(u64, u128)>) {
    let answered = answer.start_ns;
    let row = answer.row.get_or_insert_default();
    if let Some(asked) = request.and_then(|request| request.row.as_ref()) {
        row.input_message_count = i32::try_from(asked.messages.len()).ok();
        row.messages.splice(..0, asked.messages.iter().cloned());
        row.tools = row.tools.take().or_else(|| asked.tools.clone());
        if let Some(model) = &asked.model {
            let known = row.model.get_or_insert_default();
            known.provider = known.provider.take().or_else(|| model.provider.clone());
            known.request = known.request.take().or_else(|| model.request.clone());
            known.parameters = known.parameters.take().or_else(|| model.parameters.clone());
        }
        let id = crate::event::json::string(&asked.event_id);
        answer.details.push(Entry { key: "request_event_id".to_owned(), json: id });
    }
    let asked_at = request.map_or(0, |request| request.start_ns);
    let since =
        |end: u64| if asked_at == 0 { None } else { end.checked_sub(asked_at).map(super::finish::milliseconds) };
    if let Some(millis) = since(answered).filter(|_| latency(row).is_none()) {
        row.timing.get_or_insert_default().total_latency_ms = Some(millis);
    }
    if chunks.is_empty() {
        return;
    }
    row.model.get_or_insert_default().stream = Some(true);
    if let Some(millis) = chunks.first().and_then(|(first, _)| since(*first)) {
        let timing = row.timing.get_or_insert_default();
        timing.time_to_first_token_ms = Some(millis);
        timing.ttft_source = Some(CHUNK.to_owned());
    }
    let mut model = Object::new();
    model.json("chunk_count", &chunks.len().to_string());
    answer.details.push(Entry { key: "model".to_owned(), json: model.close() });
}

fn latency(row: &crate::event::Event) -> Option<f64> {
    row.timing.as_ref()?.total_latency_ms
}

#[cfg(test)]
mod tests {
    use crate::event::Envelope;
    use crate::event::Event;
    use crate::event::record::Record;
    use crate::fold::assemble::Origin;
    use crate::fold::assemble::Settings;
    use crate::fold::assemble::Told;
    use crate::fold::assemble::assemble;
    use std::sync::Arc;

    /// The rows of an InsideLLM body whose events come in this order, by event id.
    fn rows(events: &serde_json::Value, order: &[usize]) -> Vec<Event> {
        let body = events.to_string();
        let config = crate::dialect::posted::Config::default();
        let posted = crate::dialect::posted::insidellm(body.as_bytes(), None, &config).unwrap();
        let envelope =
            Arc::new(Origin::from(Envelope { door: "insidellm".into(), tenant: "t".into(), ..Envelope::default() }));
        let told = order.iter().map(|at| {
            let (place, partial) = &posted.records[*at];
            let record = Record::decode(&Record::encode(*place, partial, &mut Vec::new())).unwrap();
            Told { envelope: Arc::clone(&envelope), record }
        });
        let mut rows: Vec<Event> =
            assemble(told.collect(), &[], &Settings::default()).rows.into_iter().map(|row| *row.event).collect();
        rows.sort_by(|a, b| a.event_id.cmp(&b.event_id));
        rows
    }

    fn event(
        id: &str,
        kind: &str,
        second: u32,
        parent: Option<&str>,
        payload: &serde_json::Value,
    ) -> serde_json::Value {
        serde_json::json!({
            "event_id": id, "run_id": "run", "timestamp": format!("2026-11-21T01:00:{second:02}.500000Z"),
            "event_type": kind, "user_id": "u", "parent_event_id": parent, "payload": payload,
        })
    }

    fn call() -> serde_json::Value {
        use serde_json::json;
        let asked = json!({"model_name": "gpt-4o", "provider": "openai", "prompt": "Hi", "system_message": "Be brief.",
            "parameters": {"temperature": 0.5}});
        let chunk = |text: &str, at: u32| json!({"model_name": "gpt-4o", "provider": "openai", "chunk_text": text, "chunk_index": at});
        let answered = json!({"model_name": "gpt-4o", "provider": "openai", "response_text": "Hello", "usage":
            {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}});
        json!([
            event("q", "llm.request", 1, None, &asked),
            event("c1", "llm.streaming_chunk", 2, Some("q"), &chunk("Hel", 0)),
            event("c2", "llm.streaming_chunk", 3, Some("c1"), &chunk("lo", 1)),
            event("r", "llm.response", 4, Some("c2"), &answered),
        ])
    }

    #[test]
    fn an_answer_is_the_whole_call_whatever_the_order() {
        let whole = rows(&call(), &[0, 1, 2, 3]);
        let ids: Vec<&str> = whole.iter().map(|row| row.event_id.as_str()).collect();
        assert_eq!(ids, ["c1", "c2", "q", "r"], "one row for one event");
        let answer = &whole[3];
        let said: Vec<_> = answer
            .messages
            .iter()
            .map(|message| (message.role.as_str(), message.content.as_deref().unwrap()))
            .collect();
        assert_eq!(said, [("system", "Be brief."), ("user", "Hi"), ("assistant", "Hello")]);
        assert_eq!(answer.input_message_count, Some(2));
        let timing = answer.timing.as_ref().unwrap();
        assert_eq!((timing.total_latency_ms, timing.time_to_first_token_ms), (Some(3000.0), Some(1000.0)));
        let model = answer.model.as_ref().unwrap();
        assert_eq!((model.stream, model.parameters.as_deref()), (Some(true), Some(r#"{"temperature":0.5}"#)));
        let details: serde_json::Value = serde_json::from_str(answer.details.as_ref().unwrap()).unwrap();
        assert_eq!(details["model"]["chunk_count"], 2);
        assert_eq!(details["request_event_id"], "q");
        assert_eq!(answer.tokens.as_ref().unwrap().total_tokens, Some(11), "it is summed as a call is");
        assert_eq!(rows(&call(), &[3, 2, 1, 0]), whole);
        assert_eq!(rows(&call(), &[1, 3, 0, 2]), whole);
    }

    #[test]
    fn an_answer_without_its_request_stands_alone() {
        let alone = rows(&call(), &[2, 3]);
        let answer = &alone[1];
        assert_eq!(answer.messages.len(), 1);
        assert_eq!(answer.timing, None);
        let details: serde_json::Value = serde_json::from_str(answer.details.as_ref().unwrap()).unwrap();
        assert_eq!(details["model"]["chunk_count"], 1);
    }
}
