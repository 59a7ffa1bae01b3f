//! What only a gateway does: LiteLLM's proxy, whose spans `litellm` reads, and the Stackspot handler in it.
//!
//! - The caller's key stands in clear where its hash belongs, when the proxy has no database: it is left out.
//! - Counts of zero for a call with an answer are not known counts.
//! - A failed call of the older versions says why on a sibling span, `Failed Proxy Server Request`: see
//!   `fold::assemble::gateway`.
//! - Tool calls that a model wrote as text between markers are read as calls, for providers that do so.
//! - The handler's HTTP calls for a token and for an answer are `http.client`, its log lines `log.line` with their
//!   numbers.

use super::Dialect;
use super::draft::Draft;
use super::posted::headers_without_secrets;
use super::posted::is_hash;
use super::posted::markers;
use super::source::Source;
use crate::event;
use crate::event::Error;
use crate::event::event_type;
use crate::event::status;

/// The handler's HTTP calls, seen by whatever instruments HTTP clients.
pub(super) const STACKSPOT: Dialect =
    Dialect { name: "stackspot", probe: Some(is_upstream), read: upstream, ..Dialect::NONE };

/// Where a token is asked for.
const TOKEN: &str = "/oidc/oauth/token";
/// Where an answer is asked for.
const CHAT: &str = "/v3/chat";

/// What is left to do of LiteLLM's when all has been read.
pub(super) fn settle(source: &Source<'_>, draft: &mut Draft) {
    without_keys(source, draft);
    if draft.has_output() {
        without_zeros(source, draft);
    }
}

/// Reads the calls of tools that a model wrote as text.
pub(super) fn calls_in_text(source: &Source<'_>, draft: &mut Draft, marker_words: &[String]) {
    if draft.is(event_type::CHAT_COMPLETION) && !source.is_log && read_markers(draft, marker_words) {
        draft.detail("messages_inferred", "true".to_owned());
    }
}

fn without_keys(source: &Source<'_>, draft: &mut Draft) {
    let is_key = |(key, json): &(String, String)| {
        let text = json.trim_matches('"');
        matches!(key.as_str(), "user_api_key_hash" | "user_api_key") && !text.is_empty() && !is_hash(text)
    };
    let before = draft.metadata.len();
    draft.metadata.retain(|entry| !is_key(entry));
    if draft.metadata.len() < before {
        source.notes.add(|| "the caller's key in metadata.user_api_key_hash is left out".to_owned());
    }
    for (key, json) in &mut draft.metadata {
        if matches!(key.as_str(), "requester_metadata" | "requester_custom_headers" | "headers")
            && let Some(clean) = headers_without_secrets(json)
        {
            *json = clean;
        }
    }
}

/// Takes counts that are all zero for not known.
pub(super) fn without_zeros(source: &Source<'_>, draft: &mut Draft) {
    let is_zero = draft.row.tokens.as_ref().is_some_and(|tokens| {
        let counts = [tokens.prompt_tokens, tokens.completion_tokens, tokens.total_tokens];
        counts.iter().any(Option::is_some) && counts.iter().all(|count| count.unwrap_or(0) == 0)
    });
    if !is_zero {
        return;
    }
    if let Some(tokens) = draft.row.tokens.take() {
        let cost = tokens.cost_usd.filter(|cost| *cost > 0.0);
        draft.row.tokens = cost.map(|cost| event::Tokens {
            cost_usd: Some(cost),
            cost_source: tokens.cost_source,
            ..event::Tokens::default()
        });
    }
    source.notes.add(|| "token counts are all zero: taken as not known".to_owned());
}

fn read_markers(draft: &mut Draft, words: &[String]) -> bool {
    let Some(model) = &draft.row.model else { return false };
    let names = [&model.provider, &model.request, &model.response];
    if !markers::applies(words, names.into_iter().filter_map(|name| name.as_deref())) {
        return false;
    }
    let mut changed = false;
    for message in draft.messages_mut() {
        changed |= markers::read_message(message);
    }
    changed
}

fn is_upstream(source: &Source<'_>) -> bool {
    if source.is_log { line(source).is_some() } else { url(source).is_some_and(|(_, url)| endpoint(url).is_some()) }
}

fn url<'a>(source: &Source<'a>) -> Option<(&'static str, &'a str)> {
    ["url.full", "http.url"].into_iter().find_map(|key| source.peek(key).map(|url| (key, url)))
}

/// The path of the handler's own that a URL ends with.
fn endpoint(url: &str) -> Option<&'static str> {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    [TOKEN, CHAT].into_iter().find(|end| path.ends_with(end))
}

fn upstream(source: &Source<'_>, draft: &mut Draft) {
    if source.is_log {
        if let Some(line) = line(source) {
            draft.kind(event_type::LOG_LINE);
            line.numbers(draft);
        }
        return;
    }
    let Some((key, url)) = url(source) else { return };
    draft.kind(event_type::HTTP_CLIENT);
    source.attributes.mark(key);
    let method = source.text("http.request.method").or_else(|| source.text("http.method"));
    let code = ["http.response.status_code", "http.status_code"].into_iter().find_map(|key| source.number(key));
    let mut call = vec![("endpoint", event::json::string(url))];
    call.extend(method.map(|method| ("method", event::json::string(method))));
    call.extend(code.map(|code| ("status_code", code.to_string())));
    call.extend(super::value::millis_between(source.start_ns, source.end_ns).map(|ms| ("time_ms", ms.to_string())));
    draft.detail("api_call", event::json::object(call.iter().map(|(key, json)| (*key, json.as_str()))));
    if let Some(code) = code.filter(|code| *code >= 400.0) {
        draft.row.status = Some(status::ERROR.to_owned());
        let message = (!source.status_message.is_empty()).then(|| source.status_message.to_owned());
        let code = Some(code.to_string());
        draft.row.error = Some(Error { code, message, ..Error::default() });
    }
}

/// A line that the handler logs.
enum Line {
    /// One without numbers.
    Plain,
    /// How many calls it found.
    Calls(u32),
    /// How many parts an answer had, and how many characters.
    Parts(u32, u32),
    /// An HTTP status.
    Status(u32),
}

fn line(source: &Source<'_>) -> Option<Line> {
    const PLAIN: [&str; 5] = [
        "Successfully authenticated with Stackspot IDM",
        "Authentication failed: ",
        "SSE connection error: ",
        "SSE streaming connection error: ",
        "Error parsing event data: ",
    ];
    let text = source.body.and_then(super::json::any_text)?;
    if PLAIN.iter().any(|start| text.starts_with(start)) {
        return Some(Line::Plain);
    }
    let between = |start: &str, end: &str| {
        let (number, rest) = text.strip_prefix(start)?.split_once(end)?;
        Some((number.parse().ok()?, rest))
    };
    if let Some((count, _)) = between("Found ", " tool call(s): ") {
        return Some(Line::Calls(count));
    }
    if let Some((parts, rest)) = between("Collected ", " answer parts, total length: ") {
        return Some(Line::Parts(parts, rest.trim().parse().ok()?));
    }
    between("HTTP ", " error from Stackspot API").map(|(status, _)| Line::Status(status))
}

impl Line {
    fn numbers(&self, draft: &mut Draft) {
        match self {
            Self::Plain => {}
            Self::Calls(count) => {
                draft.detail("tool_call_count", count.to_string());
            }
            Self::Parts(parts, length) => {
                draft.detail("model", format!("{{\"chunk_count\":{parts},\"response_chars\":{length}}}"));
            }
            Self::Status(status) => {
                draft.detail("api_call", format!("{{\"status_code\":{status}}}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Settings;
    use crate::dialect::tests::a_span;
    use crate::dialect::tests::any;
    use crate::dialect::tests::read_log;
    use crate::dialect::tests::read_span;
    use crate::event::Partial;
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::logs::v1::LogRecord;
    use prost::Message as _;
    use serde_json::Value;
    use serde_json::json;

    /// The eight calls of a recording, in the order sent.
    fn recorded(version: &str) -> Vec<Partial> {
        let file = format!("{}/tests/golden/seeds/stackspot/litellm-{version}-otel.pb", env!("CARGO_MANIFEST_DIR"));
        let request = ExportTraceServiceRequest::decode(std::fs::read(file).unwrap().as_slice()).unwrap();
        let reads = crate::dialect::traces(request, &Settings::default());
        let records = reads.into_iter().flat_map(|read| read.records).map(|(_, partial)| partial);
        let mut calls: Vec<Partial> =
            records.filter(|partial| partial.row.as_ref().unwrap().event_type == event_type::CHAT_COMPLETION).collect();
        calls.sort_by_key(|partial| partial.start_ns);
        calls
    }

    fn details(partial: &Partial) -> Value {
        let entries =
            partial.details.iter().map(|entry| (entry.key.clone(), serde_json::from_str(&entry.json).unwrap()));
        Value::Object(entries.collect())
    }

    #[test]
    fn both_generations_tell_the_same_eight_calls() {
        for version in ["1.74.8", "1.106.2"] {
            let calls = recorded(version);
            assert_eq!(calls.len(), 8, "{version}");
            let rows: Vec<_> = calls.iter().map(|call| call.row.as_ref().unwrap()).collect();
            assert!(rows.iter().all(|row| row.dialect == "litellm"));
            let said: Vec<_> = rows[0]
                .messages
                .iter()
                .map(|message| (message.role.as_str(), message.content.as_deref().unwrap()))
                .collect();
            assert_eq!(said[0], ("system", "Seja breve."), "{version}");
            assert_eq!(said[2], ("assistant", "The capital of Portugal is Lisbon."), "{version}");
            let model = rows[0].model.as_ref().unwrap();
            assert_eq!(
                (model.request.as_deref(), model.finish_reasons.as_slice()),
                (Some("stackspot-chat"), &["stop".to_owned()][..])
            );
            let streams: Vec<_> = rows.iter().map(|row| row.model.as_ref().unwrap().stream).collect();
            assert_eq!(streams[..4], [Some(false), Some(false), Some(true), Some(true)], "{version}");
            let streamed = rows[3].messages.last().unwrap();
            assert_eq!(streamed.content.as_deref(), Some("Vou usar a ferramenta."), "{version}");
            assert_eq!(streamed.tool_calls.len(), 1);
            assert!(!streamed.tool_calls[0].arguments.as_ref().unwrap().contains("step_id"));
            let names: Vec<_> =
                rows[4].messages.last().unwrap().tool_calls.iter().map(|call| call.name.as_str()).collect();
            assert_eq!(names, ["buscar_tempo", "somar"], "{version}");
            assert_eq!(rows[5].status.as_deref(), Some("error"));
            assert_eq!(rows[6].status.as_deref(), Some("error"));
            assert_eq!(rows[0].tokens, None, "zeros are not counts");
            assert_eq!(rows[7].conversation_id, "conversa-123", "{version}");
            for call in &calls {
                assert!(!format!("{call:?}").contains("fake-key"), "{version}");
            }
        }
        assert_eq!(recorded("1.106.2")[1].row.as_ref().unwrap().conversation_id, "conversa-123");
    }

    #[test]
    fn credentials_in_headers_are_left_out() {
        let headers = "{'headers': {'Authorization': 'Bearer abc', 'correlation-id': 'c-1'}, 'x': None}";
        let span =
            a_span("litellm_request", json!({"metadata.requester_metadata": headers, "llm.request.type": "chat"}));
        let row = read_span("litellm", span).row.unwrap();
        assert_eq!(row.conversation_id, "c-1");
        let metadata: Value = serde_json::from_str(row.metadata.as_ref().unwrap()).unwrap();
        assert!(!metadata.to_string().contains("abc"), "{metadata}");
        assert!(metadata.to_string().contains("c-1"), "{metadata}");
    }

    #[test]
    fn a_call_for_a_token_is_an_http_call() {
        for (method, url, code) in [
            ("http.method", "http.url", "http.status_code"),
            ("http.request.method", "url.full", "http.response.status_code"),
        ] {
            let span = a_span("POST", json!({method: "POST", url: "https://idm.x/realm/oidc/oauth/token", code: 401}));
            let partial = read_span("opentelemetry.instrumentation.requests", span);
            let row = partial.row.as_ref().unwrap();
            assert_eq!((row.event_type.as_str(), row.status.as_deref()), ("http.client", Some("error")));
            let call = &details(&partial)["api_call"];
            assert_eq!((&call["method"], &call["status_code"]), (&json!("POST"), &json!(401)));
        }
        let other = a_span("GET", json!({"http.url": "https://x/other"}));
        assert_eq!(read_span("requests", other).row.unwrap().event_type, "");
    }

    #[test]
    fn log_lines_give_their_numbers() {
        let read = |text: &str| {
            let body = Some(any(&json!(text)));
            let record = LogRecord { body, severity_text: "INFO".to_owned(), ..LogRecord::default() };
            read_log(Settings::default(), "app", record)
        };
        let found = read("Found 2 tool call(s): ['a', 'b']");
        assert_eq!(found.row.as_ref().unwrap().event_type, "log.line");
        assert_eq!((&details(&found)["tool_call_count"], &details(&found)["severity"]), (&json!(2), &json!("INFO")));
        let collected = read("Collected 3 answer parts, total length: 34");
        assert_eq!(details(&collected)["model"], json!({"chunk_count": 3, "response_chars": 34}));
        assert_eq!(details(&read("HTTP 429 error from Stackspot API"))["api_call"]["status_code"], 429);
        assert_eq!(read("Successfully authenticated with Stackspot IDM").row.unwrap().event_type, "log.line");
        assert_eq!(read("Found a coin").row.unwrap().event_type, "");
    }
}
