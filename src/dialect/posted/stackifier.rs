//! Lines of Stackifier's writers, and rows of our own form: posted to `/v1/events`, or as an object through `/s3`.
//!
//! A line says no type; what it holds tells:
//!
//! | it holds | type |
//! |---|---|
//! | token counts, or a model in its metadata | `chat.completion` |
//! | a graph | `graph.step` |
//! | WhatsApp's block | `wa.message`; without messages `wa.status` |
//! | one message | `chat.message` |
//! | more, or none | `chat.turn` |

use super::Bad;
use super::Config;
use super::Malformed;
use super::Posted;
use super::body;
use super::body::Item;
use super::draft::Draft;
use super::draft::object_or_bad;
use super::row;
use crate::dialect::json::Node;
use crate::event::Model;
use crate::event::Partial;
use crate::event::event_type;
use percent_encoding::percent_decode_str;

/// Keys of which a line has at least one; without any it says nothing.
const TELLING: [&str; 8] =
    ["messages", "event_type", "conversation_id", "metadata", "tokens", "timing", "wa_meta", "graph"];

/// Reads the body of `POST /v1/events`: a line for each event, a list of them, or one.
///
/// # Errors
/// When nothing in the body is JSON.
pub fn events(body: &[u8], user_agent: Option<&str>, _config: &Config) -> Result<Posted, Malformed> {
    let text = body::text(body);
    let items = match body::items(&text) {
        Err(Malformed::Empty) => Vec::new(),
        items => items?,
    };
    Ok(read(&items, user_agent, None).count())
}

/// Reads an object that the S3 writer puts. `key` is the path behind the bucket, percent-encoded or not. The writer
/// was told that the object does not exist, so each put holds new lines only.
///
/// # Errors
/// When the object is not empty and no line of it is JSON.
pub fn object(key: &str, body: &[u8], user_agent: Option<&str>, _config: &Config) -> Result<Posted, Malformed> {
    let text = body::text(body);
    let items = body::lines(&text);
    if !items.is_empty() && items.iter().all(Result::is_err) {
        return Err(Malformed::NotJson);
    }
    let key = percent_decode_str(key).decode_utf8_lossy();
    Ok(read(&items, user_agent, env_of(&key)))
}

fn read(items: &[Result<Item<'_>, Bad>], user_agent: Option<&str>, env: Option<&str>) -> Posted {
    let mut posted = Posted::default();
    for item in items {
        posted.take(match item {
            Ok(item) => event(item, user_agent, env),
            Err(bad) => Err(bad.clone()),
        });
    }
    posted
}

/// The environment that the writer's default template puts behind `app/`, or a template names as `env=`.
fn env_of(key: &str) -> Option<&str> {
    let named = key.split('/').find_map(|level| level.strip_prefix("env="));
    let by_default = || {
        let (env, rest) = key.strip_prefix("app/")?.split_once('/')?;
        rest.starts_with("date=").then_some(env)
    };
    named.or_else(by_default).filter(|env| !env.is_empty())
}

fn event(item: &Item<'_>, user_agent: Option<&str>, env: Option<&str>) -> Result<Partial, Bad> {
    let node = &item.node;
    object_or_bad(node)?;
    if !TELLING.iter().any(|key| node.get(key).is_some()) {
        return Err(Bad::new("the event has no messages and no event_type", node.json()));
    }
    let own_type = node.text("event_type");
    let mut draft = Draft::new(if own_type.is_some() { "chatlake" } else { "stackifier" }, item);
    row::read(&mut draft, node);
    draft.detail_text("source_version", user_agent);
    if draft.row.env.is_none() {
        draft.row.env = env.map(str::to_owned);
    }
    if own_type.is_none() {
        tell_type(&mut draft, node);
    }
    if draft.row.input_message_count.is_none() && draft.row.event_type == event_type::CHAT_COMPLETION {
        let messages = std::mem::take(&mut draft.row.messages);
        draft.says(messages);
    }
    Ok(draft.finish())
}

/// Finds the type of a line, and the model that its metadata names.
fn tell_type(draft: &mut Draft, node: &Node<'_>) {
    // The key is there, with null, where a provider answered an error.
    let metadata = node.get("metadata").map(Node::entries).unwrap_or_default();
    let model = metadata.iter().find(|(key, _)| key == "model").map(|(_, model)| model);
    if let Some(request) = model.and_then(Node::as_str).filter(|_| draft.row.model.is_none()) {
        draft.row.model = Some(Model { request: Some(request.to_owned()), ..Model::default() });
    }
    let kind = if draft.row.tokens.is_some() || model.is_some() {
        event_type::CHAT_COMPLETION
    } else if draft.row.graph.is_some() {
        event_type::GRAPH_STEP
    } else if draft.row.wa_meta.is_some() {
        if draft.row.messages.is_empty() { "wa.status" } else { "wa.message" }
    } else if draft.row.messages.len() == 1 {
        event_type::CHAT_MESSAGE
    } else {
        "chat.turn"
    };
    kind.clone_into(&mut draft.row.event_type);
}
