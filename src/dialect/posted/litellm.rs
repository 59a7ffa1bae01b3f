//! Records of LiteLLM's JSON webhook (`generic_api`), one for each call that went through the proxy.
//!
//! - Counts that are all zero were not known, and are null with a note: the proxy writes zero where a provider says
//!   nothing.
//! - `completionStartTime` is the time of the first token only where the answer was streamed.
//! - Without a database the proxy writes the caller's key in clear where its hash belongs: such a value is left out,
//!   and so are headers that carry credentials.

use super::Bad;
use super::Config;
use super::Malformed;
use super::Posted;
use super::body;
use super::body::Item;
use super::chat;
use super::draft::Draft;
use super::draft::Fields;
use super::draft::list;
use super::draft::object_or_bad;
use super::draft::without;
use super::markers;
use crate::dialect::draft::messages_json;
use crate::dialect::json::Node;
use crate::dialect::json::parse;
use crate::dialect::messages;
use crate::dialect::value;
use crate::event::Error;
use crate::event::Message;
use crate::event::Model;
use crate::event::Partial;
use crate::event::Tokens;
use crate::event::event_type;
use crate::event::json;
use crate::event::status;

/// What is read into columns or details.
const MAPPED: [&str; 24] = [
    "id",
    "litellm_call_id",
    "trace_id",
    "session_id",
    "call_type",
    "stream",
    "status",
    "custom_llm_provider",
    "startTime",
    "endTime",
    "completionStartTime",
    "model",
    "metadata",
    "response_cost",
    "total_tokens",
    "prompt_tokens",
    "completion_tokens",
    "request_tags",
    "end_user",
    "messages",
    "response",
    "model_parameters",
    "error_str",
    "error_information",
];

/// Headers that carry credentials.
const SECRET_HEADERS: [&str; 7] =
    ["authorization", "x-api-key", "api-key", "x-litellm-api-key", "cookie", "proxy-authorization", "x-goog-api-key"];

/// Reads the body of `POST /webhooks/litellm`: a list of records, a line for each, or one.
///
/// # Errors
/// When nothing in the body is JSON.
pub fn litellm(body: &[u8], user_agent: Option<&str>, config: &Config) -> Result<Posted, Malformed> {
    let text = body::text(body);
    let mut posted = Posted::default();
    for item in body::items(&text)? {
        posted.take(item.and_then(|item| record(&item, user_agent, config)));
    }
    Ok(posted.count())
}

fn record(item: &Item<'_>, user_agent: Option<&str>, config: &Config) -> Result<Partial, Bad> {
    object_or_bad(&item.node)?;
    // Older versions put the record beside what they logged.
    let node = item.node.get("standard_logging_object").filter(|inner| inner.is_object()).unwrap_or(&item.node);
    if node.first(&["call_type", "litellm_call_id", "messages", "response"]).is_none() {
        return Err(Bad::new("the record tells no call", node.json()));
    }
    let metadata = node.get("metadata");
    let mut draft = Draft::new("litellm", item);
    let call_type = node.text("call_type").unwrap_or_default();
    draft.row.event_id = node.first_text(&["litellm_call_id", "id"]).unwrap_or_default().to_owned();
    draft.row.event_type = kind(call_type).to_owned();
    call_type.clone_into(&mut draft.row.name);
    conversation(&mut draft, node);
    people(&mut draft, node);
    model(&mut draft, node);
    spoken(&mut draft, node, config);
    times(&mut draft, node);
    tokens(&mut draft, node);
    outcome(&mut draft, node);
    for tag in node.get("request_tags").map(Node::items).unwrap_or_default() {
        draft.row.tags.insert(tag.plain(), String::new());
    }
    draft.row.metadata = metadata.filter(|metadata| !metadata.is_empty()).map(|metadata| clean(&mut draft, metadata));
    let mut ids = Fields::default();
    ids.text("litellm_call_id", node.text("litellm_call_id"));
    ids.text("litellm_trace_id", node.text("trace_id"));
    draft.detail_fields("ids", ids);
    draft.detail_text("session_id", node.text("session_id"));
    draft.detail_text("source_version", user_agent);
    draft.attributes_but(node, &MAPPED);
    let response = node.get("response").filter(|response| response.is_object());
    if let Some(rest) = response.and_then(|response| without(response, &["choices", "id", "model", "object"])) {
        draft.attribute_json("response", rest);
    }
    Ok(draft.finish())
}

/// The kind of operation that a function of LiteLLM is; most are calls of a chat model, whatever the interface.
fn kind(call_type: &str) -> &'static str {
    let is = |word: &str| call_type.contains(word);
    if is("embedding") {
        event_type::EMBEDDING
    } else if is("rerank") {
        event_type::RERANK
    } else if is("moderation") {
        event_type::GUARDRAIL
    } else if is("search") {
        event_type::RETRIEVAL
    } else {
        event_type::CHAT_COMPLETION
    }
}

/// The id that the client gave, else that of LiteLLM's own trace.
fn conversation(draft: &mut Draft, node: &Node<'_>) {
    let metadata = node.get("metadata");
    if let Some((id, rule)) = metadata.and_then(stated_conversation) {
        draft.conversation(Some(id), &rule);
    }
    draft.conversation(node.text("session_id"), "session_id");
    draft.conversation(node.text("trace_id"), "trace");
}

/// The conversation that metadata of LiteLLM's states, and where.
fn stated_conversation<'n>(metadata: &'n Node<'_>) -> Option<(&'n str, String)> {
    let requester = metadata.get("requester_metadata").and_then(requester_conversation);
    let requester = requester.map(|(id, rule)| (id, format!("metadata.requester_metadata{rule}")));
    requester.or_else(|| {
        let headers = metadata.get("requester_custom_headers")?;
        let id = headers.first_text(&["x-correlation-id", "correlation-id"])?;
        Some((id, "metadata.requester_custom_headers".to_owned()))
    })
}

/// The conversation that a caller's metadata states, and where in it.
pub(in crate::dialect) fn requester_conversation<'n>(requester: &'n Node<'_>) -> Option<(&'n str, &'static str)> {
    const RULES: [(&[&str], &str); 4] = [
        (&["headers", "correlation-id"], ".headers.correlation-id"),
        (&["headers", "x-correlation-id"], ".headers.x-correlation-id"),
        (&["conversation_id"], ".conversation_id"),
        (&["session_id"], ".session_id"),
    ];
    RULES.iter().find_map(|(path, rule)| {
        let id = requester.at(path)?.scalar_text().filter(|id| !id.is_empty())?;
        Some((id, *rule))
    })
}

fn people(draft: &mut Draft, node: &Node<'_>) {
    let metadata = |key: &str| node.get("metadata").and_then(|metadata| metadata.text(key));
    let id = node.text("end_user").or_else(|| metadata("user_api_key_end_user_id"));
    if let Some(id) = id.or_else(|| metadata("user_api_key_user_id")) {
        draft.user().id = Some(id.to_owned());
    }
    if let Some(email) = metadata("user_api_key_user_email") {
        draft.user().email = Some(email.to_owned());
    }
    if let Some(org) = metadata("user_api_key_org_alias").or_else(|| metadata("user_api_key_org_id")) {
        draft.user().org = Some(org.to_owned());
    }
}

fn model(draft: &mut Draft, node: &Node<'_>) {
    let provider = node.text("custom_llm_provider");
    // `provider/model`, unless the model stands alone.
    let name = node.text("model").or_else(|| node.text("model_group"));
    let request = name.map(|name| {
        provider.and_then(|provider| name.strip_prefix(provider)?.strip_prefix('/')).unwrap_or(name).to_owned()
    });
    let parameters = node.get("model_parameters");
    let stream = node.get("stream").or_else(|| parameters?.get("stream")).and_then(Node::as_bool);
    draft.row.model = Some(Model {
        provider: provider.and_then(value::provider).map(|provider| provider.into_owned()),
        request,
        response: node.at(&["response", "model"]).and_then(Node::as_str).map(str::to_owned),
        response_id: node.at(&["response", "id"]).and_then(Node::as_str).map(str::to_owned),
        operation: node.text("call_type").map(str::to_owned),
        parameters: parameters.and_then(|parameters| without(parameters, &["tools", "stream"])),
        stream,
        ..Model::default()
    });
    let tools = parameters.and_then(|parameters| parameters.get("tools"));
    draft.row.tools = tools.filter(|tools| tools.is_array() && !tools.is_empty()).map(Node::json);
}

/// What was asked and answered.
fn spoken(draft: &mut Draft, node: &Node<'_>, config: &Config) {
    let asked = node.get("messages").map(chat::read).unwrap_or_default();
    if asked.lossy {
        draft.attribute_json("messages", node.get("messages").map(Node::json).unwrap_or_default());
    }
    let mut messages = asked.messages;
    draft.row.input_message_count = i32::try_from(messages.len()).ok();
    let (mut first, mut others) = answers(draft, node);
    let names = [node.text("custom_llm_provider"), node.text("model"), node.text("model_group")];
    if markers::applies(&config.text_markers, names.into_iter().flatten()) {
        for message in messages.iter_mut().chain(&mut first).chain(&mut others) {
            if markers::read_message(message) {
                draft.detail("messages_inferred", "true".to_owned());
            }
        }
    }
    messages.append(&mut first);
    draft.row.messages = messages;
    if !others.is_empty() {
        draft.detail("choices", messages_json(&others));
    }
}

/// The first choice, and the others.
fn answers(draft: &mut Draft, node: &Node<'_>) -> (Vec<Message>, Vec<Message>) {
    let Some(response) = node.get("response").filter(|response| !response.is_empty()) else {
        return Default::default();
    };
    let Some(choices) = response.get("choices").filter(|choices| choices.is_array()) else {
        let told = messages::read(response, "assistant");
        return if response.get("output").is_some() || response.as_str().is_some() {
            told.into_answers()
        } else {
            Default::default()
        };
    };
    let (mut spoken, mut lost) = (Vec::new(), Vec::new());
    for choice in choices.items() {
        let (mut message, lossy) = match choice.get("message") {
            Some(message) => chat::message(message),
            None => (chat::said("assistant", choice.get("text").map(Node::plain)), false),
        };
        message.finish_reason =
            choice.text("finish_reason").and_then(value::finish_reason).map(|reason| reason.into_owned());
        if let (Some(reason), Some(model)) = (&message.finish_reason, &mut draft.row.model) {
            model.finish_reasons.push(reason.clone());
        }
        if lossy || choice.entries().iter().any(|(key, value)| !CHOICE.contains(&key.as_ref()) && !value.is_empty()) {
            lost.push(choice.json());
        }
        spoken.push(message);
    }
    if let Some(lost) = list(&lost) {
        draft.attribute_json("choices", lost);
    }
    let others = spoken.split_off(spoken.len().min(1));
    (spoken, others)
}

const CHOICE: [&str; 4] = ["message", "text", "finish_reason", "index"];

fn times(draft: &mut Draft, node: &Node<'_>) {
    draft.starts(node.get("startTime"));
    draft.end_ns = draft.time(node.get("endTime"));
    let first = draft.time(node.get("completionStartTime"));
    if draft.start_ns == 0 {
        return;
    }
    draft.latency(value::millis_between(draft.start_ns, draft.end_ns));
    let is_streamed = draft.row.model.as_ref().is_some_and(|model| model.stream == Some(true));
    let to_first = value::millis_between(draft.start_ns, first).filter(|_| is_streamed && first < draft.end_ns);
    if let Some(millis) = to_first {
        draft.timing().time_to_first_token_ms = Some(millis);
        draft.timing().ttft_source = Some("completionStartTime".to_owned());
    }
}

fn tokens(draft: &mut Draft, node: &Node<'_>) {
    let usage = node.at(&["response", "usage"]).or_else(|| node.at(&["metadata", "usage_object"]));
    let within = |path: &[&str]| usage.and_then(|usage| usage.at(path)).and_then(Node::as_count);
    let count = |key: &str, other: &str| {
        let stated = node.get(key).and_then(Node::as_count);
        stated.filter(|count| *count > 0).or_else(|| within(&[key])).or_else(|| within(&[other])).or(stated)
    };
    let stated = node.get("response_cost").and_then(Node::as_f64).filter(|cost| *cost > 0.0);
    let upstream = usage.and_then(|usage| usage.get("cost")).and_then(Node::as_f64).filter(|cost| *cost > 0.0);
    let cost = stated.map(|cost| (cost, "response_cost")).or(upstream.map(|cost| (cost, "response.usage.cost")));
    let mut tokens = Tokens {
        prompt_tokens: count("prompt_tokens", "input_tokens"),
        completion_tokens: count("completion_tokens", "output_tokens"),
        total_tokens: count("total_tokens", "total_tokens"),
        cached_tokens: within(&["prompt_tokens_details", "cached_tokens"])
            .or_else(|| within(&["cache_read_input_tokens"])),
        cache_creation_tokens: within(&["cache_creation_input_tokens"]),
        reasoning_tokens: within(&["completion_tokens_details", "reasoning_tokens"]),
        cost_usd: cost.map(|(cost, _)| cost),
        cost_source: cost.map(|(_, source)| source.to_owned()),
    };
    let counts = [tokens.prompt_tokens, tokens.completion_tokens, tokens.total_tokens];
    if counts.iter().any(Option::is_some) && counts.iter().all(|count| count.unwrap_or(0) == 0) {
        let Tokens { cost_usd, cost_source, .. } = tokens;
        tokens = Tokens { cost_usd, cost_source, ..Tokens::default() };
        draft.note("token counts are all zero: taken as not known");
    }
    draft.row.tokens = (tokens != Tokens::default()).then_some(tokens);
}

fn outcome(draft: &mut Draft, node: &Node<'_>) {
    if node.text("status") != Some("failure") {
        draft.row.status =
            node.text("status").map(|status| if status == "success" { status::OK } else { status }.to_owned());
        return;
    }
    let about = |key: &str| node.get("error_information").and_then(|about| about.text(key)).map(str::to_owned);
    let error = Error {
        r#type: about("error_class"),
        message: node.text("error_str").map(str::to_owned).or_else(|| about("error_message")),
        code: about("error_code"),
        stack: about("traceback"),
    };
    let is_timeout = error.r#type.as_deref().is_some_and(|kind| kind.contains("Timeout"));
    draft.fail(if is_timeout { status::TIMEOUT } else { status::ERROR }, error);
    let mut more = Fields::default();
    let known = ["error_class", "error_message", "error_code", "traceback"];
    let rest = node.get("error_information").map(Node::entries).unwrap_or_default();
    for (key, value) in rest.iter().filter(|(key, value)| !known.contains(&key.as_ref()) && !value.is_empty()) {
        more.node(key, Some(value));
    }
    draft.detail_fields("error", more);
}

/// Metadata as JSON without credentials.
fn clean(draft: &mut Draft, metadata: &Node<'_>) -> String {
    let mut fields = Fields::default();
    for (key, value) in metadata.entries() {
        match (key.as_ref(), value) {
            ("user_api_key_hash" | "user_api_key", Node::String(text)) if !is_hash(text) && !text.is_empty() => {
                draft.note(format!("the caller's key in metadata.{key} is left out"));
            }
            ("requester_metadata", Node::Object(_)) => {
                let mut inner = Fields::default();
                for (key, value) in value.entries() {
                    match key.as_ref() {
                        "headers" => inner.json(key, &headers(value)),
                        _ => inner.json(key, &value.json()),
                    }
                }
                fields.json(key, &inner.close().unwrap_or_else(|| "{}".to_owned()));
            }
            ("requester_custom_headers" | "headers", Node::Object(_)) => fields.json(key, &headers(value)),
            _ => fields.json(key, &value.json()),
        }
    }
    fields.close().unwrap_or_else(|| "{}".to_owned())
}

fn headers(node: &Node<'_>) -> String {
    let mut fields = Fields::default();
    for (key, value) in node.entries() {
        match value {
            _ if SECRET_HEADERS.contains(&key.to_ascii_lowercase().as_str()) => {
                fields.json(key, &json::string("[left out]"));
            }
            _ => fields.node(key, Some(value)),
        }
    }
    fields.close().unwrap_or_else(|| "{}".to_owned())
}

/// Headers, or an object with them, as JSON without credentials; none where there are none. `json` is a JSON text, or
/// one that holds such a text, or Python's.
pub(in crate::dialect) fn headers_without_secrets(json: &str) -> Option<String> {
    let lower = json.to_ascii_lowercase();
    if !SECRET_HEADERS.iter().any(|name| lower.contains(name)) {
        return None;
    }
    parse(json)?.node.opened(|node| {
        let clean = match node.get("headers").filter(|inner| inner.is_object()) {
            None => headers(node),
            Some(inner) => {
                let mut fields = Fields::default();
                for (key, value) in node.entries() {
                    match key.as_ref() {
                        "headers" => fields.json(key, &headers(inner)),
                        _ => fields.json(key, &value.json()),
                    }
                }
                fields.close().unwrap_or_else(|| "{}".to_owned())
            }
        };
        node.is_object().then_some(clean)
    })
}

/// Whether a text is a SHA-256 in hex, as the proxy with a database writes.
pub(in crate::dialect) fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
