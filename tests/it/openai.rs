//! Chat events are OpenAI chat examples, or say in `notes` what the wire lacked.

use super::support::corpus;
use super::support::rows::{self, Row};
use super::support::server::program;
use super::support::{python, say, skip};
use serde_json::{Map, Value};
use std::fs;
use tempfile::TempDir;

/// The keys of OpenAI's messages.
const KEYS: [&str; 5] = ["role", "content", "name", "tool_call_id", "tool_calls"];

/// A row with OpenAI's keys only.
fn example(row: &Row) -> Value {
    let messages = row["messages"].as_array().expect("messages").iter().map(|message| {
        let message = message.as_object().expect("a message");
        let kept = message.iter().filter(|(key, _)| KEYS.contains(&key.as_str()));
        Value::Object(kept.map(|(key, value)| (key.clone(), value.clone())).collect())
    });
    let mut example = Map::new();
    example.insert("messages".to_owned(), messages.collect());
    row.get("tools").into_iter().for_each(|tools| drop(example.insert("tools".to_owned(), tools.clone())));
    Value::Object(example)
}

fn lacks(row: &Row) -> bool {
    let notes = row.get("notes").and_then(Value::as_array);
    notes.into_iter().flatten().any(|note| note.as_str().is_some_and(|note| note.starts_with("openai: ")))
}

#[test]
fn chat_events_that_lack_nothing_are_examples_of_openais_types() {
    let test = "chat_events_that_lack_nothing_are_examples_of_openais_types";
    if let Err(why) = python::interpreter() {
        return skip(test, &why);
    }
    let runs = corpus::recorded().unwrap_or_else(corpus::golden);
    let mut command = program();
    command.arg("convert").args(runs.iter().map(|run| &run.folder)).args(["--to", "-"]);
    let output = command.output().expect("the program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let rows = rows::parse(std::str::from_utf8(&output.stdout).expect("UTF-8"));
    let chats: Vec<&Row> = rows.iter().filter(|row| row["event_type"] == "chat.completion").collect();
    let whole: Vec<String> = chats.iter().filter(|row| !lacks(row)).map(|row| example(row).to_string()).collect();
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("examples.jsonl");
    fs::write(&file, whole.join("\n")).expect("written");
    let accepted = python::run("openai_format.py", &[&file.display().to_string()]);
    assert_eq!(accepted.trim().parse(), Ok(whole.len()));
    assert!(whole.len() * 2 > chats.len(), "{} of {} chat events", whole.len(), chats.len());
    say(&format!("{} of {} chat events are whole examples", whole.len(), chats.len()));
}

#[test]
fn conversations_are_requests_that_can_be_sent_again() {
    let test = "conversations_are_requests_that_can_be_sent_again";
    if let Err(why) = python::interpreter() {
        return skip(test, &why);
    }
    let folder = TempDir::new().expect("a folder");
    let run = |words: &[&str]| {
        let output = program().current_dir(folder.path()).args(words).output().expect("the program starts");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        (output.status.success(), text(output.stdout), text(output.stderr))
    };
    let runs = corpus::golden();
    let mut command = program();
    command.current_dir(folder.path()).arg("convert").args(runs.iter().map(|run| &run.folder)).args(["--to", "lake"]);
    assert!(command.output().expect("the program starts").status.success());
    let (_, list, _) = run(&["conversations", "lake", "--limit", "0", "--format", "json"]);
    let (mut requests, mut lacking) = (Vec::new(), 0);
    for conversation in rows::parse(&list) {
        let id = conversation["conversation_id"].as_str().expect("an id");
        match run(&["conversation", id, "lake", "--format", "request"]) {
            (true, request, _) => requests.push(request.trim_end().to_owned()),
            (false, _, why) => {
                assert!(why.contains("captured") || why.contains("no such call"), "{id}: {why}");
                lacking += 1;
            }
        }
    }
    let file = folder.path().join("requests.jsonl");
    fs::write(&file, requests.join("\n")).expect("written");
    assert_eq!(python::run("openai_format.py", &[&file.display().to_string()]).trim().parse(), Ok(requests.len()));
    say(&format!("{} conversations are requests, {lacking} have no content", requests.len()));
    assert!(requests.len() > 50, "{}", requests.len());
}
