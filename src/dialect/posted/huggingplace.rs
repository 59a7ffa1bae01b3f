//! Interactions of HuggingPlace's clients, Python and Node, in all their spellings.
//!
//! A key may be written in snake or in camel case and under several names; the first that has a value counts. Bare
//! numbers in `response_time` are seconds, texts are like `0 min 2.50 sec`.

use super::Bad;
use super::Config;
use super::Malformed;
use super::Posted;
use super::TimeUnit;
use super::body;
use super::body::Item;
use super::chat::said;
use super::draft::Draft;
use super::draft::Fields;
use super::draft::list;
use crate::dialect::json::Node;
use crate::event::Error;
use crate::event::Model;
use crate::event::Partial;
use crate::event::Tokens;
use crate::event::User;
use crate::event::event_type;
use crate::event::status;

const PROMPT: &[&str] = &["user_prompt", "userPrompt"];
const ANSWER: &[&str] = &["ai_response", "aiResponse", "response"];
const USER: &[&str] = &["user_id", "userId", "user_uuid", "userUuid"];
const SESSION: &[&str] = &["session_id", "sessionId"];
const MESSAGE: &[&str] = &["message_id", "messageId"];
const MODEL: &[&str] = &["llm_model", "llmModel"];
const SECOND_MODEL: &[&str] = &["llm_model2", "llmModel2"];
const TOKENS: &[&str] = &["token_count", "tokenCount"];
const TIME: &[&str] = &["response_time", "responseTime"];
const FILE: &[&str] = &["file_name", "fileName"];
const TABLE: &[&str] = &["mapping_table", "mappingTable"];
const ORG_UUID: &[&str] = &["org_uuid", "orgUuid"];
const ROLES: &[&str] = &["user_roles", "userRoles"];
const METADATA: &[&str] = &["metadata", "metaData", "meta_data"];
const PEOPLE: &[&str] = &["user_metadata", "user_meta_data", "userMetadata", "userMetaData"];
const STEPS: &[&str] = &["step_data", "stepData"];
const ORG: &[&str] = &["org_id", "orgId"];
const MODE: &[&str] = &["mode"];
const ALL: [&[&str]; 18] = [
    PROMPT,
    ANSWER,
    USER,
    SESSION,
    MESSAGE,
    MODEL,
    SECOND_MODEL,
    TOKENS,
    TIME,
    FILE,
    TABLE,
    ORG_UUID,
    ROLES,
    METADATA,
    PEOPLE,
    STEPS,
    ORG,
    MODE,
];

/// Reads the body of `POST /v2/chatgpt/store_generated_response`: one interaction.
///
/// # Errors
/// When the body is no JSON object.
pub fn huggingplace(body: &[u8], user_agent: Option<&str>, config: &Config) -> Result<Posted, Malformed> {
    let text = body::text(body);
    let item = body::document(&text)?;
    if !item.node.is_object() {
        return Err(Malformed::Shape("no json object"));
    }
    let mut posted = Posted { answer: "{\"message\":\"stored\"}".to_owned(), ..Posted::default() };
    posted.take(interaction(&item, user_agent, config.huggingplace_times));
    Ok(posted)
}

fn interaction(item: &Item<'_>, user_agent: Option<&str>, unit: TimeUnit) -> Result<Partial, Bad> {
    let node = &item.node;
    let plain = |keys: &[&str]| node.first(keys).map(Node::plain);
    let (prompt, answer) = (plain(PROMPT), plain(ANSWER));
    let steps = node.first(STEPS).map(Node::items).unwrap_or_default();
    if prompt.is_none() && answer.is_none() && steps.is_empty() {
        return Err(Bad::new("the interaction has neither prompt nor answer", node.json()));
    }
    let metadata = node.first(METADATA);
    let beside = |keys: &[&str]| node.first(keys).or_else(|| metadata?.first(keys)).and_then(Node::scalar_text);

    let mut draft = Draft::new("huggingplace", item);
    draft.row.event_id = beside(MESSAGE).unwrap_or_default().to_owned();
    draft.row.event_type = kind(node, prompt.as_deref(), answer.as_deref(), steps).to_owned();
    draft.conversation(beside(SESSION), "session_id");
    draft.detail_text("session_id", beside(SESSION));
    draft.detail_text("source_version", user_agent);
    draft.detail_node("org_id", node.first(ORG));
    draft.row.env = node.first_text(MODE).map(str::to_owned);
    draft.row.metadata = metadata.filter(|metadata| !metadata.is_empty()).map(Node::json);
    if draft.row.event_type == event_type::GRAPH_STEP {
        let name = steps.first().and_then(|step| step.first_text(&["step_name", "stepName", "type"]));
        name.unwrap_or_default().clone_into(&mut draft.row.name);
    }
    let messages = [("user", prompt), ("assistant", answer)];
    draft.says(messages.into_iter().filter(|(_, text)| text.is_some()).map(|(role, text)| said(role, text)).collect());
    model(&mut draft, node);
    times(&mut draft, node, unit);
    people(&mut draft, node);
    judged(&mut draft, metadata);
    failed(&mut draft, metadata);
    let mut context = Fields::default();
    context.node("file_name", node.first(FILE));
    context.node("mapping_table", node.first(TABLE));
    draft.detail_fields("context", context);
    if let Some(steps) = list(&steps.iter().filter_map(|one| step(one, unit)).collect::<Vec<_>>()) {
        draft.detail("steps", steps);
    }
    draft.detail("payload", node.json());
    draft.attributes_but(node, &ALL.concat());
    Ok(draft.finish())
}

/// What kind of interaction it is. `log_step` sends a step as a whole interaction, with the same texts.
fn kind(node: &Node<'_>, prompt: Option<&str>, answer: Option<&str>, steps: &[Node<'_>]) -> &'static str {
    let is_bare = || node.entries().iter().all(|(key, _)| [PROMPT, ANSWER, ORG, MODE].concat().contains(&key.as_ref()));
    if prompt == Some("connection_test") && answer == Some("test_response") && is_bare() {
        return "connection_test";
    }
    match steps {
        [step] if node.first(SESSION).is_none() && node.first(MESSAGE).is_none() => {
            let question = step.first_text(&["user_question", "userQuestion"]);
            let told = step.first_text(&["prompt_response", "promptResponse"]);
            if question == prompt && told == answer { event_type::GRAPH_STEP } else { "chat.turn" }
        }
        _ => "chat.turn",
    }
}

fn model(draft: &mut Draft, node: &Node<'_>) {
    if let Some(request) = node.first_text(MODEL) {
        draft.row.model = Some(Model { request: Some(request.to_owned()), ..Model::default() });
    }
    let mut more = Fields::default();
    more.text("secondary", node.first_text(SECOND_MODEL));
    draft.detail_fields("model", more);
    if let Some(total) = node.first(TOKENS).and_then(Node::as_count) {
        draft.row.tokens = Some(Tokens { total_tokens: Some(total), ..Tokens::default() });
    }
}

fn times(draft: &mut Draft, node: &Node<'_>, unit: TimeUnit) {
    let Some(time) = node.first(TIME) else { return };
    let millis = duration_ms(time, unit);
    if millis.is_none() {
        draft.note("response_time is no length of time");
    }
    draft.latency(millis);
    let mut timing = Fields::default();
    timing.text("response_time_raw", Some(&time.plain()));
    draft.detail_fields("timing", timing);
}

/// Milliseconds of `0 min 2.50 sec`, or of a bare number.
fn duration_ms(node: &Node<'_>, unit: TimeUnit) -> Option<f64> {
    if let Some(number) = node.as_f64() {
        return Some(match unit {
            TimeUnit::Seconds => number * 1000.0,
            TimeUnit::Milliseconds => number,
        });
    }
    let mut total = None;
    let mut words = node.as_str()?.split_whitespace();
    while let (Some(number), Some(unit)) = (words.next(), words.next()) {
        let factor = match unit.trim_end_matches('.').to_ascii_lowercase().as_str() {
            "h" | "hr" | "hrs" | "hour" | "hours" => 3_600_000.0,
            "m" | "min" | "mins" | "minute" | "minutes" => 60_000.0,
            "s" | "sec" | "secs" | "second" | "seconds" => 1000.0,
            "ms" | "msec" | "millisecond" | "milliseconds" => 1.0,
            _ => return None,
        };
        total = Some(total.unwrap_or(0.0) + crate::dialect::value::number(number)? * factor);
    }
    total
}

fn people(draft: &mut Draft, node: &Node<'_>) {
    let people = node.first(PEOPLE);
    let text =
        |keys: &[&str]| people.and_then(|people| people.first(keys)).and_then(Node::scalar_text).map(str::to_owned);
    let roles = match node.first(ROLES) {
        Some(Node::Array(roles)) => roles.items.iter().map(Node::plain).collect(),
        Some(role) if !role.is_empty() => vec![role.plain()],
        _ => Vec::new(),
    };
    let user = User {
        id: node.first(USER).and_then(Node::scalar_text).filter(|id| !id.is_empty()).map(str::to_owned),
        email: text(&["email"]),
        username: text(&["username", "user_name", "userName"]),
        org: text(&["org_name", "orgName"]),
        roles,
    };
    if user != User::default() {
        draft.row.user = Some(user);
    }
    let known = ["email", "username", "user_name", "userName", "org_name", "orgName"];
    let mut more = Fields::default();
    more.node("org_uuid", node.first(ORG_UUID));
    if let Some(extra) = people.and_then(|people| super::draft::without(people, &known)) {
        more.json("extra", &extra);
    }
    draft.detail_fields("user", more);
}

fn judged(draft: &mut Draft, metadata: Option<&Node<'_>>) {
    let Some(metadata) = metadata else { return };
    let mut feedback = Fields::default();
    feedback.count("likes", metadata.get("likes").and_then(Node::as_count));
    feedback.count("dislikes", metadata.get("dislikes").and_then(Node::as_count));
    feedback.node("recommendation_id", metadata.first(&["recommendation_id", "recommendationId"]));
    draft.detail_fields("feedback", feedback);
}

/// A timed call that failed says so in its metadata.
fn failed(draft: &mut Draft, metadata: Option<&Node<'_>>) {
    let is_error = metadata.and_then(|metadata| metadata.get("error")).and_then(Node::as_bool) == Some(true);
    if let Some(metadata) = metadata.filter(|_| is_error) {
        let message = metadata.first_text(&["error_message", "errorMessage"]).map(str::to_owned);
        draft.fail(status::ERROR, Error { message, ..Error::default() });
    }
}

fn step(node: &Node<'_>, unit: TimeUnit) -> Option<String> {
    const KNOWN: [&[&str]; 11] = [
        &["id"],
        &["step_name", "stepName", "type"],
        &["status"],
        &["time_ms", "timeMs"],
        &["user_question", "userQuestion"],
        &["prompt_response", "promptResponse"],
        &["token", "total_tokens", "totalTokens"],
        &["input_tokens", "inputTokens"],
        &["output_tokens", "outputTokens"],
        TIME,
        MODEL,
    ];
    let [id, name, status, time, question, response, total, input, output, ..] = KNOWN;
    let text = |keys: &[&str]| node.first(keys).map(Node::plain);
    let count = |keys: &[&str]| node.first(keys).and_then(Node::as_count);
    let mut fields = Fields::default();
    fields.text("id", text(id).as_deref());
    fields.text("name", text(name).as_deref());
    fields.text("status", text(status).as_deref());
    fields.number("time_ms", node.first(time).and_then(Node::as_f64));
    fields.text("user_question", text(question).as_deref());
    fields.text("prompt_response", text(response).as_deref());
    fields.count("total_tokens", count(total));
    fields.count("input_tokens", count(input));
    fields.count("output_tokens", count(output));
    let time = node.first(TIME);
    fields.number("response_time_ms", time.and_then(|time| duration_ms(time, unit)));
    fields.text("response_time_raw", time.map(Node::plain).as_deref());
    fields.text("model", text(MODEL).as_deref());
    if let Some(extra) = super::draft::without(node, &KNOWN.concat()) {
        fields.json("extra", &extra);
    }
    fields.close()
}
