//! `chatlake conversations`: which conversations a lake holds, the latest first. Prefixes are lakes of their own, and
//! tenants share nothing: what has one id under two prefixes or of two tenants is two conversations.

use crate::cli::Status;
use crate::cli::plain;
use crate::cli::store;
use crate::cli::store::Form;
use crate::cli::store::Place;
use crate::cli::store::Progress;
use crate::clock::Clock as _;
use crate::clock::SystemClock;
use crate::event::Event;
use crate::event::event_type;
use crate::event::status;
use crate::lake::key::Prefix;
use crate::lake::read::Pick;
use crate::lake::scan::Scan;
use crate::lake::scan::Wanted;
use serde::Serialize;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashSet;
use std::io;
use xxhash_rust::xxh3::xxh3_64;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// What `conversations` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    place: Place,
    /// What has happened since: a date, a time (RFC 3339) or how long ago (7d).
    #[arg(long, value_name = "DATE")]
    since: Option<String>,
    /// And before.
    #[arg(long, value_name = "DATE")]
    until: Option<String>,
    /// Those of this user: id, e-mail or name.
    #[arg(long)]
    user: Option<String>,
    /// Those of this tenant; '' for those of none.
    #[arg(long)]
    tenant: Option<String>,
    /// How many at most; 0 for all.
    #[arg(long, default_value_t = 50)]
    limit: usize,
    /// How they are shown.
    #[arg(long, value_enum, default_value_t = Form::Text)]
    format: Form,
}

/// The columns that tell it.
const COLUMNS: &[&str] = &[
    "event_id",
    "event_type",
    "timestamp",
    "ended_at",
    "conversation_id",
    "run_id",
    "status",
    "model.request",
    "model.response",
    "tokens",
    "user",
    "service",
    "messages.list.element.role",
    // Of the tenant.
    "details",
];

/// Prefix, tenant and id of a conversation.
type Key = (Prefix, Option<String>, String);

/// Runs `conversations`.
pub fn run(arguments: &Arguments) -> Status {
    let now = SystemClock::new().wall_micros();
    let time = |text: &Option<String>| store::since(text.as_deref(), now);
    let wanted = match (time(&arguments.since), time(&arguments.until)) {
        (Ok(since), Ok(until)) => Wanted { conversation: None, since, until },
        (Err(fault), _) | (_, Err(fault)) => {
            eprintln!("{}", plain::block(&fault, ""));
            return Status::Usage;
        }
    };
    store::read(&arguments.place, async |scan| show(arguments, &scan, &wanted).await)
}

async fn show(arguments: &Arguments, scan: &Scan, wanted: &Wanted) -> anyhow::Result<Status> {
    let files = scan.files(wanted).await?;
    let progress = Progress::begin("reading", files.iter().map(|file| file.file.bytes).sum());
    let pick = Pick { conversation: None, columns: COLUMNS };
    let (mut found, mut seen, mut read) = (BTreeMap::<Key, Conversation>::new(), HashSet::new(), 0);
    for file in &files {
        let prefix = xxh3_64(file.prefix.as_str().as_bytes());
        for batch in scan.rows(file, &pick).await? {
            for row in batch.map_err(|error| anyhow::Error::new(error).context(file.key()))? {
                let tenant = row.tenant();
                if !wanted.has_time(row.timestamp) || !store::is_of(arguments.tenant.as_deref(), tenant.as_deref()) {
                    continue;
                }
                // A resend beyond the window is a second row with the same id.
                let whose = xxh3_64_with_seed(tenant.as_deref().unwrap_or_default().as_bytes(), prefix);
                if seen.insert(xxh3_64_with_seed(row.event_id.as_bytes(), whose)) {
                    let key = (file.prefix.clone(), tenant, row.conversation_id.clone());
                    found.entry(key).or_default().add(&row);
                }
            }
        }
        read += file.file.bytes;
        progress.reach(read);
    }
    progress.end();
    let mut list: Vec<(Key, Conversation)> = found.into_iter().collect();
    if let Some(user) = &arguments.user {
        list.retain(|(_, conversation)| conversation.users.contains(user));
    }
    list.sort_by(|(a_id, a), (b_id, b)| (b.last, b_id).cmp(&(a.last, a_id)));
    let whole = list.len();
    list.truncate(if arguments.limit == 0 { usize::MAX } else { arguments.limit });
    let shown = list.iter().map(|((prefix, tenant, id), conversation)| Shown {
        tenant: tenant.as_deref(),
        prefix: prefix.as_str(),
        ..conversation.shown(id)
    });
    let lines: Vec<Shown<'_>> = shown.collect();
    let mut out = io::stdout().lock();
    for line in lines_of(&lines, arguments.format)? {
        if !plain::print(&mut out, &line)? {
            return Ok(Status::Good);
        }
    }
    if whole > list.len() {
        eprintln!("{} more: --limit 0 shows all", whole - list.len());
    }
    Ok(Status::Good)
}

/// Types of rows that are messages, one by one, where no call tells them again.
pub const LOGGED: [&str; 5] =
    [event_type::CHAT_MESSAGE, "chat.turn", "user.input", "wa.message", "usage.assistant_message"];

#[expect(clippy::cast_precision_loss, reason = "a conversation is shorter than a century")]
fn milliseconds(micros: i64) -> f64 {
    micros as f64 / 1000.0
}

/// What is known of a conversation.
#[derive(Debug, Default)]
struct Conversation {
    first: Option<i64>,
    last: Option<i64>,
    events: u64,
    types: BTreeMap<String, u64>,
    calls: u64,
    tools: u64,
    errors: u64,
    /// The most messages of users that one call had.
    asked: u64,
    /// Messages of users that were logged one by one, apart from calls.
    logged: u64,
    /// Runs in which a model was called.
    runs: BTreeSet<u64>,
    tokens: Option<i64>,
    cost: Option<f64>,
    models: BTreeSet<String>,
    users: BTreeSet<String>,
    service: Option<String>,
}

impl Conversation {
    fn add(&mut self, row: &Event) {
        let end = row.ended_at.unwrap_or(row.timestamp).max(row.timestamp);
        self.first = Some(self.first.map_or(row.timestamp, |first| first.min(row.timestamp)));
        self.last = self.last.max(Some(end));
        self.events += 1;
        *self.types.entry(row.event_type.clone()).or_default() += 1;
        let asked = row.messages.iter().filter(|message| message.role == "user").count();
        let asked = u64::try_from(asked).unwrap_or(u64::MAX);
        if LOGGED.contains(&row.event_type.as_str()) {
            self.logged = self.logged.saturating_add(asked);
        }
        if row.event_type == event_type::CHAT_COMPLETION || row.event_type == event_type::LLM_RESPONSE {
            self.calls += 1;
            self.asked = self.asked.max(asked);
            self.runs.insert(xxh3_64(row.run_id.as_deref().unwrap_or(&row.event_id).as_bytes()));
        }
        let is_run =
            matches!(row.event_type.as_str(), event_type::TOOL_EXECUTION | "tool.response" | "function_execution");
        self.tools += u64::from(is_run);
        self.errors += u64::from(matches!(row.status.as_deref(), Some(status::ERROR | status::TIMEOUT)));
        if let Some(tokens) = &row.tokens {
            let stated = tokens.prompt_tokens.unwrap_or_default() + tokens.completion_tokens.unwrap_or_default();
            *self.tokens.get_or_insert_default() += tokens.total_tokens.unwrap_or(stated);
            if let Some(cost) = tokens.cost_usd {
                *self.cost.get_or_insert_default() += cost;
            }
        }
        if let Some(model) = &row.model {
            self.models.extend(model.response.clone().or_else(|| model.request.clone()));
        }
        if let Some(user) = &row.user {
            self.users.extend([&user.id, &user.email, &user.username].into_iter().flatten().cloned());
        }
        if self.service.is_none() {
            self.service.clone_from(&row.service);
        }
    }

    fn shown<'a>(&'a self, id: &'a str) -> Shown<'a> {
        // An application that sends no history asks once in each run.
        let runs = u64::try_from(self.runs.len()).unwrap_or(u64::MAX);
        Shown {
            conversation_id: id,
            first: self.first.map(plain::time).unwrap_or_default(),
            last: self.last.map(plain::time).unwrap_or_default(),
            turns: self.asked.max(if self.asked <= 1 { runs } else { 0 }).max(self.logged),
            events: self.events,
            duration_ms: self.last.zip(self.first).map_or(0.0, |(last, first)| milliseconds(last - first)),
            types: &self.types,
            calls: self.calls,
            tools: self.tools,
            tokens: self.tokens,
            cost_usd: self.cost,
            errors: self.errors,
            models: self.models.iter().map(String::as_str).collect(),
            users: self.users.iter().map(String::as_str).collect(),
            service: self.service.as_deref(),
            tenant: None,
            prefix: "",
        }
    }
}

/// A conversation, as it is shown. Times in UTC.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    conversation_id: &'a str,
    first: String,
    last: String,
    turns: u64,
    events: u64,
    duration_ms: f64,
    types: &'a BTreeMap<String, u64>,
    calls: u64,
    tools: u64,
    tokens: Option<i64>,
    cost_usd: Option<f64>,
    errors: u64,
    models: Vec<&'a str>,
    users: Vec<&'a str>,
    service: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    prefix: &'a str,
}

/// The last two columns are there where there are tenants and prefixes.
const HEAD: [&str; 15] = [
    "conversation_id",
    "first",
    "last",
    "turns",
    "events",
    "calls",
    "tools",
    "tokens",
    "cost_usd",
    "errors",
    "models",
    "users",
    "service",
    "tenant",
    "prefix",
];

impl Shown<'_> {
    /// The cells of a table, in the order of its head.
    fn cells(&self) -> Vec<String> {
        vec![
            self.conversation_id.to_owned(),
            self.first.clone(),
            self.last.clone(),
            self.turns.to_string(),
            self.events.to_string(),
            self.calls.to_string(),
            self.tools.to_string(),
            self.tokens.map(|tokens| tokens.to_string()).unwrap_or_default(),
            self.cost_usd.map(|cost| format!("{cost:.6}")).unwrap_or_default(),
            self.errors.to_string(),
            self.models.join(" "),
            self.users.join(" "),
            self.service.unwrap_or_default().to_owned(),
            self.tenant.unwrap_or_default().to_owned(),
            self.prefix.to_owned(),
        ]
    }
}

fn lines_of(list: &[Shown<'_>], form: Form) -> anyhow::Result<Vec<String>> {
    let has_tenants = list.iter().any(|shown| shown.tenant.is_some());
    let has_prefixes = list.iter().any(|shown| !shown.prefix.is_empty());
    let is_told = |name: &str| match name {
        "tenant" => has_tenants,
        "prefix" => has_prefixes,
        _ => true,
    };
    let head: Vec<&str> = HEAD.into_iter().filter(|name| is_told(name)).collect();
    let cells = |shown: &Shown<'_>| {
        let cells = HEAD.into_iter().zip(shown.cells()).filter(|(name, _)| is_told(name));
        cells.map(|(_, cell)| cell).collect::<Vec<String>>()
    };
    Ok(match form {
        Form::Json => {
            let lines = list.iter().map(|shown| serde_json::to_string(shown).map(|line| plain::json(&line)));
            lines.collect::<Result<_, _>>()?
        }
        Form::Csv => {
            let head: Vec<String> = head.iter().map(|&name| name.to_owned()).collect();
            std::iter::once(head).chain(list.iter().map(cells)).map(|cells| plain::csv_line(&cells)).collect()
        }
        Form::Text => {
            let rows: Vec<Vec<String>> = list
                .iter()
                .map(|shown| {
                    let mut cells = cells(shown);
                    // An id stands whole: it is what `conversation` asks for.
                    cells.iter_mut().take(13).skip(10).for_each(|cell| *cell = plain::short(cell, 32));
                    cells.iter().map(|cell| plain::line(cell)).collect()
                })
                .collect();
            plain::table(&head, &rows, &[3, 4, 5, 6, 7, 8, 9])
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Message;
    use crate::event::Tokens;

    fn row(id: &str, run: &str, roles: &[&str]) -> Event {
        Event {
            event_id: id.to_owned(),
            event_type: event_type::CHAT_COMPLETION.to_owned(),
            timestamp: 1_795_251_601_000_000,
            conversation_id: "c".to_owned(),
            run_id: Some(run.to_owned()),
            messages: roles.iter().map(|role| Message { role: (*role).to_owned(), ..Message::default() }).collect(),
            tokens: Some(Tokens { prompt_tokens: Some(2), completion_tokens: Some(3), ..Tokens::default() }),
            ..Event::default()
        }
    }

    #[test]
    fn turns_are_questions_not_calls() {
        let of = |rows: &[Event]| {
            let mut conversation = Conversation::default();
            rows.iter().for_each(|row| conversation.add(row));
            (conversation.shown("c").turns, conversation.calls, conversation.tokens)
        };
        let whole = ["system", "user", "assistant", "user", "assistant"];
        assert_eq!(of(&[row("1", "r", &whole[..3]), row("2", "r", &whole), row("3", "r", &whole)]), (2, 3, Some(15)));
        assert_eq!(of(&[row("1", "r1", &whole[..3]), row("2", "r2", &whole[..3])]), (2, 2, Some(10)));
        assert_eq!(of(&[row("1", "r", &[])]).0, 1, "content is not captured");
        let logged = |id: &str, role: &str| Event {
            event_type: "chat.message".to_owned(),
            tokens: None,
            ..row(id, "r", &[role])
        };
        let lines = [logged("1", "user"), logged("2", "assistant"), logged("3", "user")];
        assert_eq!(of(&lines), (2, 0, None), "messages that were logged one by one");
    }

    #[test]
    fn every_form_is_fit_for_a_terminal() {
        let mut conversation = Conversation::default();
        conversation.add(&Event { service: Some("s\u{1b}[2J".to_owned()), ..row("1", "r", &["user"]) });
        let shown = [conversation.shown("c\u{9b}1, \"x\"")];
        for form in [Form::Text, Form::Json, Form::Csv] {
            let lines = lines_of(&shown, form).unwrap();
            assert!(!lines.join("").contains(['\u{1b}', '\u{9b}']), "{lines:?}");
        }
        assert!(lines_of(&shown, Form::Csv).unwrap()[1].starts_with("\"c\\u{9b}1, \"\"x\"\"\",2026-11-21 09:00:01,"));
        let json: serde_json::Value = serde_json::from_str(&lines_of(&shown, Form::Json).unwrap()[0]).unwrap();
        assert_eq!(json["conversation_id"], "c\u{9b}1, \"x\"");
        assert_eq!(json["cost_usd"], serde_json::Value::Null);
    }
}
