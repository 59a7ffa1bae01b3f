//! `chatlake tail`: events as they land.

use crate::cli::Status;
use crate::cli::conversation::json;
use crate::cli::plain;
use crate::cli::store;
use crate::cli::store::Place;
use crate::event::Event;
use crate::event::Message;
use crate::lake::key::ManifestKey;
use crate::lake::manifest::Manifest;
use crate::lake::objects::Failure;
use crate::lake::read::Pick;
use crate::lake::scan::Follow;
use crate::lake::scan::Found;
use crate::lake::scan::LakeFile;
use crate::lake::scan::Scan;
use crate::lake::scan::ScanError;
use crate::lake::scan::Wanted;
use serde_json::Map;
use serde_json::Value;
use std::io;
use std::io::Write as _;
use std::time::Duration;

/// Characters of a text in a line.
const WIDTH: usize = 120;

/// What `tail` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    place: Place,
    /// How many of the events that are there are shown first.
    #[arg(short = 'n', long, default_value_t = 10)]
    lines: usize,
    /// Ends after these, rather than waiting for more.
    #[arg(long)]
    no_follow: bool,
    /// How long to wait before looking again.
    #[arg(long, value_name = "DURATION", default_value = "2s")]
    every: String,
    /// Only events of this type.
    #[arg(long = "type", value_name = "EVENT_TYPE")]
    event_type: Option<String>,
    /// Only events of this conversation.
    #[arg(long, value_name = "ID")]
    conversation: Option<String>,
    /// Only events of this tenant; '' for those of none.
    #[arg(long)]
    tenant: Option<String>,
    /// How they are shown.
    #[arg(long, value_enum, default_value_t = Form::Text)]
    format: Form,
}

/// How events are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// A line for each, for people.
    Text,
    /// All of each, for people.
    Pretty,
    /// JSON lines.
    Json,
    /// Comma-separated, with a head.
    Csv,
}

/// Runs `tail`.
pub fn run(arguments: &Arguments) -> Status {
    match crate::config::units::duration(&arguments.every) {
        Ok(every) if every > Duration::ZERO => {
            store::read(&arguments.place, async |scan| follow(arguments, scan, every).await)
        }
        Ok(_) => usage("--every must be more than no time"),
        Err(fault) => usage(&format!("--every {fault}")),
    }
}

fn usage(fault: &str) -> Status {
    eprintln!("{}", plain::block(fault, ""));
    Status::Usage
}

async fn follow(arguments: &Arguments, scan: Scan, every: Duration) -> anyhow::Result<Status> {
    let tail = Tail { arguments, scan: scan.clone() };
    let (mut follow, old) = Follow::begin(scan).await?;
    if arguments.format == Form::Csv && !show(std::iter::once(plain::csv_line(&HEAD.map(str::to_owned))))? {
        return Ok(Status::Good);
    }
    if !tail.show(&tail.latest(old).await?)? {
        return Ok(Status::Good);
    }
    if arguments.no_follow {
        return Ok(Status::Good);
    }
    loop {
        tokio::time::sleep(every).await;
        let news = match follow.news().await {
            Ok(news) => news,
            // It is looked at again anyway.
            Err(ScanError::Store { key, source }) if source.is_passing() => {
                eprintln!("{}", plain::line(&format!("{key}: {source}")));
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        if !tail.show(&tail.rows(&news).await?)? {
            break;
        }
    }
    Ok(Status::Good)
}

struct Tail<'a> {
    arguments: &'a Arguments,
    scan: Scan,
}

impl Tail<'_> {
    /// The last rows of what was committed before, from the latest manifests.
    async fn latest(&self, mut old: Vec<Found>) -> anyhow::Result<Vec<Event>> {
        let mut rows = Vec::new();
        // Where a store tells no times, later segments are later.
        old.sort_by_key(|found| (found.modified, found.key.segment));
        while rows.len() < self.arguments.lines
            && let Some(found) = old.pop()
        {
            let manifest = self.scan.manifest(&found.key).await?;
            rows.extend(self.rows(&[(found.key, manifest)]).await?);
        }
        rows.sort_by_key(|row| row.timestamp);
        Ok(rows.split_off(rows.len().saturating_sub(self.arguments.lines)))
    }

    /// The rows of commits that are asked for, in the order of time.
    async fn rows(&self, commits: &[(ManifestKey, Manifest)]) -> anyhow::Result<Vec<Event>> {
        let wanted = Wanted { conversation: self.arguments.conversation.clone(), ..Wanted::default() };
        let pick = Pick { conversation: wanted.conversation.clone(), columns: &[] };
        let mut rows = Vec::new();
        for (key, manifest) in commits {
            for file in manifest.files.iter().filter(|file| wanted.may_be_in(file)) {
                let file = LakeFile { prefix: key.prefix.clone(), file: file.clone() };
                let batches = match self.scan.rows(&file, &pick).await {
                    // It has expired, or another has taken its place.
                    Err(ScanError::Store { source: Failure::NotFound, .. }) => continue,
                    batches => batches?,
                };
                for batch in batches {
                    rows.extend(batch.map_err(|error| anyhow::Error::new(error).context(file.key()))?);
                }
            }
        }
        if let Some(event_type) = &self.arguments.event_type {
            rows.retain(|row| row.event_type == *event_type);
        }
        if self.arguments.tenant.is_some() {
            rows.retain(|row| store::is_of(self.arguments.tenant.as_deref(), row.tenant().as_deref()));
        }
        rows.sort_by_key(|row| row.timestamp);
        Ok(rows)
    }

    /// Prints rows. `false` when nobody reads any more.
    fn show(&self, rows: &[Event]) -> io::Result<bool> {
        show(rows.iter().map(|row| match self.arguments.format {
            Form::Text => text(row),
            Form::Pretty => pretty(row),
            Form::Json => json(row),
            Form::Csv => plain::csv_line(&cells(row)),
        }))
    }
}

fn show(lines: impl Iterator<Item = String>) -> io::Result<bool> {
    let mut out = io::stdout().lock();
    for line in lines {
        if !plain::print(&mut out, &line)? {
            return Ok(false);
        }
    }
    match out.flush() {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        result => result.map(|()| true),
    }
}

/// The nine columns of InsideLLM's local logger, under its names, and what every event has.
const HEAD: [&str; 21] = [
    "event_id",
    "run_id",
    "timestamp",
    "event_type",
    "user_id",
    "parent_event_id",
    "metadata",
    "payload",
    "logged_at",
    "status",
    "conversation_id",
    "service",
    "name",
    "model",
    "latency_ms",
    "prompt_tokens",
    "completion_tokens",
    "cost_usd",
    "user",
    "text",
    "tenant",
];

fn cells(row: &Event) -> Vec<String> {
    let (model, tokens) = (row.model.as_ref(), row.tokens.as_ref());
    let opt = |text: Option<&String>| text.cloned().unwrap_or_default();
    let number = |number: Option<i64>| number.map(|number| number.to_string()).unwrap_or_default();
    let float = |number: Option<f64>| number.map(|number| number.to_string()).unwrap_or_default();
    let user = row.user.as_ref();
    let details = details(row);
    vec![
        row.event_id.clone(),
        opt(row.run_id.as_ref()),
        plain::time(row.timestamp),
        row.event_type.clone(),
        opt(user.and_then(|user| user.id.as_ref())),
        parent(row, &details).to_owned(),
        row.metadata.as_deref().map(compact).unwrap_or_default(),
        details.get("payload").map(ToString::to_string).unwrap_or_default(),
        plain::time(row.received_at),
        opt(row.status.as_ref()),
        row.conversation_id.clone(),
        opt(row.service.as_ref()),
        row.name.clone(),
        opt(model.and_then(|model| model.response.as_ref().or(model.request.as_ref()))),
        float(row.timing.as_ref().and_then(|timing| timing.total_latency_ms)),
        number(tokens.and_then(|tokens| tokens.prompt_tokens)),
        number(tokens.and_then(|tokens| tokens.completion_tokens)),
        float(tokens.and_then(|tokens| tokens.cost_usd)),
        opt(user.and_then(|user| user.id.as_ref().or(user.email.as_ref()))),
        gist(row),
        row.tenant().unwrap_or_default(),
    ]
}

/// A JSON text on one line.
fn compact(json: &str) -> String {
    serde_json::from_str::<Value>(json).map_or_else(|_| json.to_owned(), |value| value.to_string())
}

fn details(row: &Event) -> Value {
    row.details.as_deref().and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default()
}

/// What an event followed from: an event of its own source, or a span.
fn parent<'a>(row: &'a Event, details: &'a Value) -> &'a str {
    let stated = details.get("parent_event_id").and_then(Value::as_str);
    stated.or(row.parent_span_id.as_deref()).unwrap_or_default()
}

/// An event in full: what it is, when, its ids, and the rest as JSON.
fn pretty(row: &Event) -> String {
    let details = details(row);
    let mut out = format!("{}\n{}  {}\n", "=".repeat(80), plain::time(row.timestamp), plain::line(&row.event_type));
    let ids = [
        ("event_id", row.event_id.as_str()),
        ("conversation_id", &row.conversation_id),
        ("run_id", row.run_id.as_deref().unwrap_or_default()),
        ("parent_event_id", parent(row, &details)),
        ("trace_id", row.trace_id.as_deref().unwrap_or_default()),
        ("span_id", row.span_id.as_deref().unwrap_or_default()),
        ("tenant", details.get("tenant").and_then(Value::as_str).unwrap_or_default()),
    ];
    for (name, id) in ids.into_iter().filter(|(_, id)| !id.is_empty()) {
        out.push_str(&format!("{name}: {}\n", plain::line(id)));
    }
    let whole = serde_json::from_str::<Map<String, Value>>(&json(row)).unwrap_or_default();
    let is_told = |name: &String| HEADLINE.contains(&name.as_str());
    let rest: Map<String, Value> = whole.into_iter().filter(|(name, _)| !is_told(name)).collect();
    out.push_str(&plain::json(&serde_json::to_string_pretty(&rest).unwrap_or_default()));
    out
}

/// Columns that `pretty` tells before the others.
const HEADLINE: [&str; 7] = ["timestamp", "event_type", "event_id", "conversation_id", "run_id", "trace_id", "span_id"];

/// An event on a line, for people.
fn text(row: &Event) -> String {
    let mut parts = vec![plain::time(row.timestamp), plain::short(&row.event_type, 24)];
    parts.extend(row.status.as_deref().filter(|status| *status != "ok").map(|status| plain::short(status, 12)));
    parts.extend(row.tenant().map(|tenant| plain::short(&tenant, 24)));
    parts.push(plain::short(&row.conversation_id, 36));
    let model = row.model.as_ref().and_then(|model| model.response.as_deref().or(model.request.as_deref()));
    parts.extend(Some(model.unwrap_or(&row.name)).filter(|name| !name.is_empty()).map(|name| plain::short(name, 32)));
    parts.extend(row.timing.as_ref().and_then(|timing| timing.total_latency_ms).map(plain::milliseconds));
    let tokens = row.tokens.as_ref().and_then(|tokens| tokens.total_tokens);
    parts.extend(tokens.map(|tokens| format!("{tokens} tokens")));
    parts.extend(Some(plain::short(&gist(row), WIDTH)).filter(|gist| !gist.is_empty()));
    parts.join("  ")
}

/// What an event comes down to: what failed, what was answered or said, what a tool gave.
fn gist(row: &Event) -> String {
    if let Some(message) = row.error.as_ref().and_then(|error| error.message.as_ref()) {
        return message.clone();
    }
    if let Some(message) = row.messages.last() {
        return said(message);
    }
    let run = row.tool_executions.last();
    run.and_then(|run| run.error.clone().or_else(|| run.result.clone())).unwrap_or_default()
}

fn said(message: &Message) -> String {
    match &message.content {
        Some(text) if !text.is_empty() => text.clone(),
        _ => {
            let calls = message.tool_calls.iter();
            let calls = calls.map(|call| format!("→ {} {}", call.name, call.arguments.as_deref().unwrap_or_default()));
            calls.collect::<Vec<_>>().join(" ")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::ToolCall;

    #[test]
    fn an_event_is_a_line_whatever_it_holds() {
        let evil = "two\nlines \u{1b}[31m";
        let call = ToolCall { name: evil.to_owned(), arguments: Some("{}".to_owned()), ..ToolCall::default() };
        let message = Message { role: "assistant".to_owned(), tool_calls: vec![call], ..Message::default() };
        let row = Event {
            event_type: "chat.completion".to_owned(),
            conversation_id: evil.to_owned(),
            name: evil.to_owned(),
            status: Some("error".to_owned()),
            messages: vec![message],
            ..Event::default()
        };
        let line = text(&row);
        assert!(line.ends_with("→ two lines \\u{1b}[31m {}"), "{line}");
        assert!(line.contains("  error  "), "{line}");
        assert!(!line.contains(['\n', '\u{1b}']), "{line}");
        assert_eq!(cells(&row).len(), HEAD.len());
        let whole = pretty(&row);
        assert!(
            whole.contains("conversation_id: two lines \\u{1b}[31m\n") && whole.contains("\"messages\": ["),
            "{whole}"
        );
        assert!(!whole.contains('\u{1b}'), "{whole}");
    }
}
