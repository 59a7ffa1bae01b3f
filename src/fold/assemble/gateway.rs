//! What a gateway's calls learn from other spans of their trace: how long the caller's authentication took, how often
//! the provider was asked, and why a call failed that does not say so itself.
//!
//! | from | to | as |
//! |---|---|---|
//! | `http.client` to a token endpoint | the call that ends next | `details.timing.auth_ms` |
//! | `http.client` to a chat endpoint | the call above it, else the one around it | `details.upstream_calls` |
//! | LiteLLM's `Failed Proxy Server Request` | a failed call without a message | `error` |

use super::Told;
use crate::event::Entry;
use crate::event::Error;
use crate::event::Event;
use crate::event::Kind;
use crate::event::event_type;
use crate::event::status;
use ahash::HashMap;

/// Spans of one trace, by place in the input.
#[derive(Debug, Default)]
struct Trace {
    calls: Vec<usize>,
    tokens: Vec<usize>,
    chats: Vec<usize>,
    failures: Vec<usize>,
}

/// Tells calls what stands beside them.
pub(super) fn tell(told: &mut [Told]) {
    if !told.iter().any(is_beside) {
        return;
    }
    let mut traces: HashMap<(String, String, [u8; 16]), Trace> = HashMap::default();
    for (place, one) in told.iter().enumerate() {
        let (head, Some(row)) = (&one.record.head, &one.record.partial.row) else { continue };
        let (Kind::Span, Some(id)) = (head.kind, head.trace) else { continue };
        let part: fn(&mut Trace) -> &mut Vec<usize> = match row.event_type.as_str() {
            event_type::CHAT_COMPLETION => |trace| &mut trace.calls,
            event_type::HTTP_CLIENT if is_to(one, "/oidc/oauth/token") => |trace| &mut trace.tokens,
            event_type::HTTP_CLIENT if is_to(one, "/v3/chat") => |trace| &mut trace.chats,
            _ if is_failure(row) => |trace| &mut trace.failures,
            _ => continue,
        };
        let key = (one.envelope.tenant.clone(), one.envelope.prefix.clone().unwrap_or_default(), id);
        part(traces.entry(key).or_default()).push(place);
    }
    for mut trace in traces.into_values() {
        if trace.calls.is_empty() {
            continue;
        }
        let key = |place: &usize| told.get(*place).map(|one| (one.record.head.end_ns, one.record.head.content));
        trace.calls.sort_by_key(key);
        for list in [&mut trace.tokens, &mut trace.chats, &mut trace.failures] {
            list.sort_by_key(key);
            // Resends of a span are one.
            list.dedup_by_key(|place| key(place));
        }
        trace.authentication(told);
        trace.upstream(told);
        trace.failure(told);
    }
}

/// Whether it may say something of a call: most groups have none such.
fn is_beside(told: &Told) -> bool {
    told.record.partial.row.as_ref().is_some_and(|row| row.event_type == event_type::HTTP_CLIENT || is_failure(row))
}

fn is_failure(row: &Event) -> bool {
    row.event_type.is_empty() && row.error.is_some() && row.dialect == "litellm"
}

/// Whether an HTTP call went to a path.
fn is_to(told: &Told, path: &str) -> bool {
    let call = told.record.partial.details.iter().find(|entry| entry.key == "api_call");
    call.is_some_and(|call| {
        let json: Option<serde_json::Value> = serde_json::from_str(&call.json).ok();
        let url = json.as_ref().and_then(|json| json.get("endpoint")?.as_str()).unwrap_or_default();
        url.split(['?', '#']).next().is_some_and(|url| url.ends_with(path))
    })
}

impl Trace {
    fn authentication(&self, told: &mut [Told]) {
        for token in &self.tokens {
            let Some(head) = told.get(*token).map(|one| one.record.head) else { continue };
            let Some(length) = head.end_ns.checked_sub(head.start_ns) else { continue };
            let next = self
                .calls
                .iter()
                .find(|call| told.get(**call).is_some_and(|one| one.record.head.end_ns >= head.end_ns));
            if let Some(call) = next.and_then(|call| told.get_mut(*call)) {
                let json = format!("{{\"auth_ms\":{}}}", super::finish::milliseconds(length));
                set(&mut call.record.partial.details, "timing", json);
            }
        }
    }

    fn upstream(&self, told: &mut [Told]) {
        let parents: HashMap<[u8; 8], [u8; 8]> =
            told.iter().filter_map(|one| Some((one.record.head.span?, one.record.head.parent?))).collect();
        let mut counts: HashMap<usize, u32> = HashMap::default();
        for chat in &self.chats {
            let Some(head) = told.get(*chat).map(|one| one.record.head) else { continue };
            let above = |call: &&usize| {
                let span = told.get(**call).and_then(|one| one.record.head.span);
                let mut at = head.parent;
                for _ in 0..64 {
                    match at {
                        Some(_) if at == span => return true,
                        Some(id) => at = parents.get(&id).copied(),
                        None => return false,
                    }
                }
                false
            };
            let around = |call: &&usize| {
                let call = told.get(**call).map(|one| one.record.head);
                call.is_some_and(|call| call.start_ns <= head.start_ns && head.end_ns <= call.end_ns)
            };
            let call = self.calls.iter().find(above).or_else(|| self.calls.iter().find(around));
            if let Some(call) = call {
                *counts.entry(*call).or_default() += 1;
            }
        }
        for (call, count) in counts {
            if let Some(call) = told.get_mut(call) {
                set(&mut call.record.partial.details, "upstream_calls", count.to_string());
            }
        }
    }

    fn failure(&self, told: &mut [Told]) {
        let why = self.failures.iter().find_map(|place| told.get(*place)?.record.partial.row.as_ref()?.error.clone());
        let Some(why) = why else { return };
        for call in &self.calls {
            let Some(row) = told.get_mut(*call).and_then(|one| one.record.partial.row.as_mut()) else { continue };
            let is_mute = row.error.as_ref().is_none_or(|error| error.message.is_none());
            if row.status.as_deref() == Some(status::ERROR) && is_mute {
                let known = row.error.take().unwrap_or_default();
                row.error = Some(Error { message: why.message.clone(), ..known });
            }
        }
    }
}

/// Sets a detail that nobody has set.
fn set(details: &mut Vec<Entry>, key: &str, json: String) {
    if details.iter().all(|entry| entry.key != key) {
        details.push(Entry { key: key.to_owned(), json });
    }
}

#[cfg(test)]
mod tests {
    use crate::event::Entry;
    use crate::event::Error;
    use crate::event::Event;
    use crate::event::Partial;
    use crate::event::record::Record;
    use crate::fold::assemble::Origin;
    use crate::fold::assemble::Settings;
    use crate::fold::assemble::Told;
    use crate::fold::assemble::assemble;
    use std::sync::Arc;

    fn span(id: u8, parent: u8, kind: &str, times: (u64, u64), url: Option<&str>) -> Partial {
        let row = Event {
            event_type: kind.into(),
            name: format!("span {id}"),
            dialect: "litellm".into(),
            trace_id: Some(format!("{:032x}", 1)),
            span_id: Some(format!("{id:016x}")),
            parent_span_id: Some(format!("{parent:016x}")),
            status: Some("error".into()),
            ..Event::default()
        };
        let details = url.map(|url| Entry { key: "api_call".into(), json: format!("{{\"endpoint\":\"{url}\"}}") });
        Partial {
            row: Some(Box::new(row)),
            start_ns: times.0 * 100_000,
            end_ns: times.1 * 100_000,
            details: details.into_iter().collect(),
            ..Partial::default()
        }
    }

    fn calls(partials: &[Partial]) -> Vec<(String, Box<Event>)> {
        let envelope = Arc::new(Origin::default());
        let told = partials.iter().map(|partial| {
            let record = Record::decode(&Record::encode(0, partial, &mut Vec::new())).unwrap();
            Told { envelope: Arc::clone(&envelope), record }
        });
        let rows = assemble(told.collect(), &[], &Settings::default()).rows.into_iter().map(|row| row.event);
        let mut calls: Vec<_> = rows
            .filter(|row| row.event_type == "chat.completion")
            .map(|row| (row.details.clone().unwrap_or_default(), row))
            .collect();
        calls.sort_by(|a, b| a.1.span_id.cmp(&b.1.span_id));
        calls
    }

    #[test]
    fn calls_learn_of_authentication_requests_and_failures() {
        let token = span(1, 9, "http.client", (1000, 1108), Some("https://idm/x/oidc/oauth/token"));
        let before = span(2, 9, "chat.completion", (100, 900), None);
        let after = span(3, 9, "chat.completion", (900, 3000), None);
        let chat = |id, parent, from| span(id, parent, "http.client", (from, from + 10), Some("https://x/v3/chat?a=1"));
        let mut failure = span(8, 9, "", (100, 3100), None);
        failure.row.as_mut().unwrap().error = Some(Error { message: Some("429".into()), ..Error::default() });
        let told = vec![token, before, after, chat(4, 3, 5000), chat(5, 3, 5100), chat(6, 9, 200), failure];
        for order in [told.clone(), told.into_iter().rev().collect()] {
            let calls = calls(&order);
            assert_eq!(calls[0].0, r#"{"upstream_calls":1}"#);
            assert_eq!(calls[1].0, r#"{"timing":{"auth_ms":10.8},"upstream_calls":2}"#);
            assert!(calls.iter().all(|(_, row)| row.error.as_ref().unwrap().message.as_deref() == Some("429")));
        }
    }
}
