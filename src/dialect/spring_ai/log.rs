//! What Spring AI writes of prompts and answers to the application's log, where it was told to.
//!
//! | Logger, after its package | First line | Then |
//! |---|---|---|
//! | `ChatModelPromptContentObservationHandler` | `Chat Model Prompt Content:` | `["text", "text"]`, a text for each message |
//! | `ChatModelCompletionObservationHandler` | `Chat Model Completion:` | `["text"]`, a text for each answer |
//! | `ChatClientPromptContentObservationHandler` | `Chat Client Prompt Content:` | `["role":"text"]`, the last of each role |
//! | `ChatClientCompletionObservationHandler` | `Chat Client Completion:` | `["text"]` |
//! | `VectorStoreQueryResponseObservationHandler` | `Vector Store Query Response:` | `["text"]` |
//!
//! The quotes are written around the texts and nothing in these is escaped, so the body stays beside what is read of
//! it. Who said a text of a model's prompt is not told: such messages have no role.

use crate::dialect::draft::Draft;
use crate::dialect::json::any_text;
use crate::dialect::messages::Said;
use crate::dialect::messages::Told;
use crate::dialect::source::Source;
use crate::event::Half;
use crate::event::Message;
use crate::event::Part;
use crate::event::event_type;
use crate::event::json;

pub(super) fn read(source: &Source<'_>, draft: &mut Draft) {
    let Some((heading, rest)) = source.body.and_then(any_text).and_then(|body| body.split_once('\n')) else { return };
    let logger = source.scope.name.rsplit('.').next().unwrap_or_default();
    match (logger, heading) {
        ("ChatModelPromptContentObservationHandler", "Chat Model Prompt Content:") => {
            part(draft, Half::Input);
            draft.input(prompt(source, rest), &source.notes, heading);
        }
        ("ChatModelCompletionObservationHandler", "Chat Model Completion:") => {
            part(draft, Half::Output);
            draft.output(answers(source, rest), &source.notes, heading);
        }
        ("ChatClientPromptContentObservationHandler", "Chat Client Prompt Content:") => {
            of_step(draft, event_type::GRAPH_STEP);
            if let Some(entries) = entries(rest) {
                let entries: Vec<(&str, String)> =
                    entries.into_iter().map(|(role, text)| (role, json::string(text))).collect();
                draft.detail("prompt", json::object(entries.iter().map(|(role, json)| (*role, json.as_str()))));
            }
        }
        ("ChatClientCompletionObservationHandler", "Chat Client Completion:") => {
            of_step(draft, event_type::GRAPH_STEP);
            list(source, draft, "completion", rest);
        }
        ("VectorStoreQueryResponseObservationHandler", "Vector Store Query Response:") => {
            of_step(draft, event_type::RETRIEVAL);
            list(source, draft, "documents", rest);
        }
        _ => {}
    }
}

/// A half of the call of the record's span.
fn part(draft: &mut Draft, half: Half) {
    draft.kind(event_type::CHAT_MESSAGE);
    draft.part = Some(Part { half: half.into(), index: None });
}

/// Something of the record's span, which is no call.
fn of_step(draft: &mut Draft, kind: &'static str) {
    draft.kind(kind);
    draft.part = Some(Part { half: Half::Whole.into(), index: None });
}

fn prompt(source: &Source<'_>, list: &str) -> Told {
    said(texts(source, list).into_iter().map(|text| (String::new(), text)))
}

fn answers(source: &Source<'_>, list: &str) -> Told {
    let mut told = said(texts(source, list).into_iter().map(|text| ("assistant".to_owned(), text)));
    for (said, index) in told.said.iter_mut().zip(0i64..) {
        said.choice = Some(index);
    }
    told
}

fn said<'a>(texts: impl Iterator<Item = (String, &'a str)>) -> Told {
    // Java's word for a message without a text, and what it writes of a tool's answer, which has none either.
    let content = |text: &str| (!matches!(text, "" | "null")).then(|| text.to_owned());
    let message = |(role, text): (String, &str)| Message { role, content: content(text), ..Message::default() };
    let said = texts.map(|text| Said { message: message(text), choice: None, reason: None, open: false });
    Told { said: said.collect(), lossy: true, ..Told::default() }
}

fn list(source: &Source<'_>, draft: &mut Draft, name: &str, list: &str) {
    let texts: Vec<String> = texts(source, list).into_iter().map(json::string).collect();
    if !texts.is_empty() {
        draft.detail(name, format!("[{}]", texts.join(",")));
    }
}

/// The texts of `["one", "two"]`. Where a text has quotes itself, nobody can tell where it ends: then all is one text.
fn texts<'a>(source: &Source<'_>, list: &'a str) -> Vec<&'a str> {
    const BETWEEN: &str = "\", \"";
    let Some(inner) = list.trim_end().strip_prefix("[\"").and_then(|rest| rest.strip_suffix("\"]")) else {
        return Vec::new();
    };
    let quotes = |text: &str| text.bytes().filter(|byte| *byte == b'"').count();
    if !inner.contains(BETWEEN) {
        return vec![inner];
    }
    if quotes(inner) > inner.matches(BETWEEN).count() * 2 {
        source.notes.add(|| "texts with quotes in Spring AI's log: told as one".to_owned());
        return vec![inner];
    }
    inner.split(BETWEEN).collect()
}

/// The texts of `["system":"one", "user":"two"]` by their roles; None for what is no such list.
fn entries(list: &str) -> Option<Vec<(&str, &str)>> {
    let mut rest = list.trim_end().strip_prefix('[')?.strip_suffix(']')?;
    let mut entries = Vec::new();
    while !rest.is_empty() {
        let (role, text) = begun(rest)?;
        // A text ends where the next role begins.
        let next = text
            .match_indices("\", \"")
            .map(|(at, _)| at)
            .find(|at| text.get(at.saturating_add(3)..).and_then(begun).is_some());
        match next {
            Some(at) => {
                entries.push((role, text.get(..at)?));
                rest = text.get(at.saturating_add(3)..)?;
            }
            None => {
                entries.push((role, text.strip_suffix('"')?));
                break;
            }
        }
    }
    Some(entries)
}

/// A role and what follows it.
fn begun(entry: &str) -> Option<(&str, &str)> {
    let (role, text) = entry.strip_prefix('"')?.split_once("\":\"")?;
    matches!(role, "system" | "user" | "assistant" | "tool").then_some((role, text))
}

#[cfg(test)]
mod tests {
    use crate::dialect::Settings;
    use crate::dialect::tests::*;
    use crate::event::event_type;
    use opentelemetry_proto::tonic::logs::v1::LogRecord;
    use serde_json::json;

    fn said(body: &str) -> LogRecord {
        LogRecord { body: Some(any(&json!(body))), ..LogRecord::default() }
    }

    fn line(package: &str, logger: &str, body: &str) -> crate::event::Partial {
        let scope = format!("org.springframework.ai.{package}.observation.{logger}");
        read_log(Settings::default(), &scope, said(body))
    }

    #[test]
    fn a_prompt_tells_texts_and_not_who_said_them() {
        let body = "Chat Model Prompt Content:\n[\"Be brief.\", \"Is it {\\n wet?\", \"null\", \"\"]";
        let partial = line("chat", "ChatModelPromptContentObservationHandler", body);
        assert_eq!(row(&partial).event_type, event_type::CHAT_MESSAGE);
        assert_eq!(row(&partial).dialect, "spring-ai");
        let said: Vec<_> =
            row(&partial).messages.iter().map(|one| (one.role.as_str(), one.content.as_deref())).collect();
        assert_eq!(said, [("", Some("Be brief.")), ("", Some("Is it {\\n wet?")), ("", None), ("", None)]);
        assert_eq!(detail(&partial, "body"), Some(json!(body)));
    }

    #[test]
    fn texts_with_quotes_are_not_cut_where_they_only_look_so() {
        let told = |list: &str| {
            let partial =
                line("chat", "ChatModelCompletionObservationHandler", &format!("Chat Model Completion:\n{list}"));
            let said: Vec<String> = row(&partial).messages.iter().filter_map(|one| one.content.clone()).collect();
            (said, detail(&partial, "choices").is_some(), row(&partial).notes.len())
        };
        assert_eq!(told("[\"It rains.\"]"), (vec!["It rains.".to_owned()], false, 0));
        assert_eq!(told("[\"It rains.\", \"It pours.\"]"), (vec!["It rains.".to_owned()], true, 0));
        let one = "{\"city\": \"Lima\", \"sky\": \"dry\"}";
        assert_eq!(told(&format!("[\"{one}\"]")), (vec![one.to_owned()], false, 1));
        assert_eq!(told("[]"), (vec![], false, 0));
    }

    #[test]
    fn a_clients_prompt_is_told_by_role_and_a_search_by_text() {
        let body = "Chat Client Prompt Content:\n[\"system\":\"Say \"hi\", \"user\" or so\", \"user\":\"Wet?\"]";
        let partial = line("chat.client", "ChatClientPromptContentObservationHandler", body);
        assert_eq!(row(&partial).event_type, event_type::GRAPH_STEP);
        assert_eq!(detail(&partial, "prompt"), Some(json!({"system": "Say \"hi\", \"user\" or so", "user": "Wet?"})));
        let body = "Vector Store Query Response:\n[\"Rain in Paris\", \"Tokyo is dry\"]";
        let partial = line("vectorstore", "VectorStoreQueryResponseObservationHandler", body);
        assert_eq!(row(&partial).event_type, event_type::RETRIEVAL);
        assert_eq!(detail(&partial, "documents"), Some(json!(["Rain in Paris", "Tokyo is dry"])));
        // Another's line under the same heading is a line.
        let other = read_log(Settings::default(), "app.Chat", said(body));
        assert_ne!(row(&other).event_type, event_type::RETRIEVAL);
    }
}
