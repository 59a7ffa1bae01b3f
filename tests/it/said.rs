//! Under the content policies `hash` and `none` no text that may be content can be read in any row, whatever the dialect
//! and the door: a sentence stays nowhere but in ids, a word only where something is named.

use super::support::plant::{Plants, send_otlp, send_posted};
use super::support::rows::{self, files_below};
use super::support::say;
use super::support::server::Setup;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;
use tempfile::TempDir;

/// Something said.
const SENTENCE: &str = "the zebrafish told nobody about its plans for the weekend";
/// One word of it, planted where it makes one word with what stands there.
const WORD: &str = "okapi";

/// What both leave, as the row's columns are called: `*` stands for any name, `**` for whatever is below. Ids tell one
/// conversation, run, person or call from others, and are the user's own choice.
const IDS: [&str; 17] = [
    "event_id",
    "conversation_id",
    "run_id",
    "graph.thread_id",
    "feedback.target",
    "model.response_id",
    "messages.tool_call_id",
    "messages.tool_calls.id",
    "tool_executions.call_id",
    "user.email",
    "user.id",
    "user.username",
    "wa_meta.message_id",
    "wa_meta.phone_number",
    "details.tool_hashes.call_id",
    // The id of an event that the fold refers to.
    "details.request_event_id",
    "details.duplicate_of",
];

/// What one word may stand in, and why.
const NAMES: [(&str, &str); 37] = [
    ("agent.id", "which agent"),
    ("agent.name", "which agent"),
    ("conversation_id_source", "where the id was found"),
    ("details.**", "one word under a name of the list in redact/content/words.rs"),
    ("attributes.**", "the same"),
    ("metadata.**", "the same"),
    ("resource.**", "the same: what ran where"),
    ("env", "where it ran"),
    ("error.code", "which failure"),
    ("error.type", "which failure"),
    ("event_type", "of clients that name their own events"),
    ("feedback.type", "which score"),
    ("feedback.value.**", "the same as details"),
    ("graph.graph_id", "which graph"),
    ("graph.node_path", "which node"),
    ("graph.triggers", "which node"),
    ("messages.finish_reason", "why it ended"),
    ("messages.name", "who of several said it"),
    ("messages.role", "who said it"),
    ("messages.tool_calls.function.name", "which tool"),
    ("messages.tool_calls.type", "what is called"),
    ("model.**", "which model, and words of its parameters under known names"),
    ("name", "which operation"),
    ("service", "which service"),
    ("status", "what became of it"),
    ("tags.*", "what the application sorts by"),
    ("timing.tool_latencies_ms", "which tool"),
    ("timing.ttft_source", "where it was found"),
    ("tokens.cost_source", "where it was found"),
    ("tool_executions.name", "which tool"),
    ("tool_executions.status", "what became of it"),
    ("tool_executions.type", "what was called"),
    ("tools.**", "names and kinds of the tools and their parameters"),
    ("user.org", "whose"),
    ("user.roles", "as whom"),
    ("wa_meta.direction", "in or out"),
    ("wa_meta.template_category", "what it costs as"),
];

/// What the names of fields are, of which one word stays.
const KEYS: &str = "names of fields";

fn is_under(path: &str, pattern: &str) -> bool {
    let (path, pattern): (Vec<&str>, Vec<&str>) = (path.split('.').collect(), pattern.split('.').collect());
    match pattern.split_last() {
        Some((&"**", start)) => path.starts_with(start),
        Some((&"*", start)) => path.starts_with(start) && path.len() == pattern.len(),
        _ => path == pattern,
    }
}

/// Where in a row a text stands, with what stands there.
fn places(path: &str, json: &Value, needle: &str, found: &mut BTreeMap<String, String>) {
    match json {
        Value::String(text) if text.contains(needle) => drop(found.insert(path.to_owned(), text.clone())),
        Value::Array(items) => items.iter().for_each(|item| places(path, item, needle, found)),
        Value::Object(fields) => {
            for (key, field) in fields {
                if key.contains(needle) {
                    found.insert(KEYS.to_owned(), key.clone());
                }
                let key = key.replace('.', "_");
                places(&if path.is_empty() { key } else { format!("{path}.{key}") }, field, needle, found);
            }
        }
        _ => {}
    }
}

/// Everything that came in, planted, as the rows and the dead records that it became.
fn landed(content: &str, text: &str, joint: &'static str) -> (Vec<rows::Row>, String) {
    let folder = TempDir::new().expect("a folder");
    let server = Setup::quick(folder.path())
        .with("REDACTION__CONTENT", content)
        .with("STORE__FORMAT", "jsonl")
        .with("UNKNOWN", "keep")
        .with("WEBHOOKS__SIGNATURES", "none")
        .start();
    let plants = Plants { texts: vec![text.to_owned()], first: 0, joint, needle: "no answer says this" };
    send_otlp(&server, &plants);
    send_posted(&server, &plants);
    let ledger = server.drain(Duration::from_secs(120));
    assert!(ledger.landed > 300 && ledger.quarantined > 0, "{ledger:?}");
    let dead = files_below(&server.data().join("_dead"));
    let dead = dead.iter().map(|file| fs::read_to_string(file).expect("lines")).collect();
    (rows::parse(&rows::lines_below(&server.data().join("events"))), dead)
}

fn stays_only_in(content: &str, text: &str, joint: &'static str, may_stay: &dyn Fn(&str) -> bool) {
    let (rows, dead) = landed(content, text, joint);
    let mut found = BTreeMap::new();
    rows.iter().for_each(|row| places("", &Value::Object(row.clone()), text, &mut found));
    say(&format!("{text:?} under {content}: {} rows, in {:?}", rows.len(), found.keys().collect::<Vec<_>>()));
    found.retain(|path, _| !may_stay(path));
    assert!(found.is_empty(), "{text:?} can be read under {content}: {found:#?}");
    assert!(!dead.contains(text), "{dead}");
    let counted = |row: &rows::Row| row["redaction"]["counts"].get("content").and_then(Value::as_u64).unwrap_or(0);
    assert!(rows.iter().filter(|row| counted(row) > 0).count() * 10 > rows.len() * 9, "what was done is told");
    assert!(rows.iter().any(|row| row.contains_key("tokens")) && rows.iter().any(|row| row.contains_key("model")));
}

#[test]
fn a_sentence_can_be_read_nowhere_but_in_ids() {
    for content in ["none", "hash"] {
        stays_only_in(content, SENTENCE, " ", &|path| IDS.contains(&path));
    }
}

#[test]
fn a_word_can_be_read_only_where_something_is_named() {
    let is_name = |path: &str| NAMES.iter().any(|(pattern, _)| is_under(path, pattern));
    stays_only_in("none", WORD, "-", &|path| IDS.contains(&path) || is_name(path) || path == KEYS);
}
