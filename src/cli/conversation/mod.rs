//! `chatlake conversation`: what was said in a conversation, which tools ran, how long it took; or its last call as a
//! request that can be sent again.

mod request;
mod transcript;

use crate::cli::Status;
use crate::cli::plain;
use crate::cli::store;
use crate::cli::store::Place;
use crate::cli::store::Progress;
use crate::config::Config;
use crate::event::Event;
use crate::event::event_type;
use crate::lake::jsonl;
use crate::lake::jsonl::ToolCallForm;
use crate::lake::key::Prefix;
use crate::lake::read::Pick;
use crate::lake::scan::Scan;
use crate::lake::scan::Wanted;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::io;
use std::io::IsTerminal as _;

/// What `conversation` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The conversation's id.
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    place: Place,
    /// text: a transcript; json: the rows; request: a call's chat request, which can be sent again.
    #[arg(long, value_enum, default_value_t = Form::Text)]
    format: Form,
    /// Of `request`: which call, by its event_id; without it, the last.
    #[arg(long, value_name = "EVENT_ID")]
    event: Option<String>,
    /// Of `request`: the model to ask; without it, the one that was asked.
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Of which prefix, where several have a conversation with this id: a key of auth.keys may have one; '' is none.
    #[arg(long)]
    prefix: Option<String>,
    /// Of which tenant, where several have a conversation with this id; '' is none.
    #[arg(long)]
    tenant: Option<String>,
    /// Of `text`: runs of agents, steps of graphs and the like, too.
    #[arg(long)]
    all: bool,
}

/// How it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    Text,
    Json,
    Request,
}

/// Runs `conversation`.
pub fn run(arguments: &Arguments) -> Status {
    store::read(&arguments.place, async |scan| show(arguments, &scan).await)
}

async fn show(arguments: &Arguments, scan: &Scan) -> anyhow::Result<Status> {
    let mut lakes = rows(scan, &arguments.id).await?;
    if let Some(prefix) = &arguments.prefix {
        lakes.retain(|(lake, _), _| lake.as_str() == prefix.trim_matches('/'));
    }
    lakes.retain(|(_, tenant), _| store::is_of(arguments.tenant.as_deref(), tenant.as_deref()));
    if lakes.len() > 1 {
        eprintln!("{}", plain::line(&several(&arguments.id, &lakes.into_keys().collect::<Vec<_>>())));
        return Ok(Status::Fault);
    }
    let Some((_, rows)) = lakes.pop_first() else {
        eprintln!("no event of conversation {:?} has landed here", arguments.id);
        return Ok(Status::Fault);
    };
    let lines = match arguments.format {
        Form::Text => {
            let is_plain = !io::stdout().is_terminal() || Config::environment().contains_key("NO_COLOR");
            transcript::lines(&rows, transcript::Look { is_plain, all: arguments.all })
        }
        Form::Json => rows.iter().map(json).collect(),
        Form::Request => {
            let is_call = |row: &&Event| {
                [event_type::CHAT_COMPLETION, event_type::LLM_RESPONSE].contains(&row.event_type.as_str())
            };
            let wanted = |row: &&Event| arguments.event.as_ref().map_or(is_call(row), |id| *id == row.event_id);
            let logged = request::logged(&rows);
            let Some(call) = rows.iter().rfind(wanted).or(logged.as_ref().filter(|_| arguments.event.is_none())) else {
                eprintln!("there is no such call of a model in conversation {:?}", arguments.id);
                return Ok(Status::Fault);
            };
            match request::of(call, arguments.model.as_deref()) {
                Ok(request) => {
                    if !request.contains_key("model") {
                        eprintln!("the model is not known: give it with --model");
                    }
                    vec![plain::json(&serde_json::to_string(&request)?)]
                }
                Err(why) => {
                    eprintln!("{}: {why}", plain::line(&call.event_id));
                    return Ok(Status::Fault);
                }
            }
        }
    };
    let mut out = io::stdout().lock();
    for line in lines {
        if !plain::print(&mut out, &line)? {
            break;
        }
    }
    Ok(Status::Good)
}

/// Whose a conversation is: prefix and tenant.
type Whose = (Prefix, Option<String>);

/// That one id is of several conversations, and what tells them apart.
fn several(id: &str, all: &[Whose]) -> String {
    let quoted = |names: BTreeSet<&str>| {
        let names: Vec<String> = names.into_iter().map(|name| format!("'{name}'")).collect();
        names.join(", ")
    };
    let prefixes: BTreeSet<&str> = all.iter().map(|(prefix, _)| prefix.as_str()).collect();
    let tenants = all.iter().map(|(_, tenant)| tenant.as_deref().unwrap_or_default()).collect();
    if prefixes.len() < all.len() {
        let more = if prefixes.len() > 1 { "; and --prefix and one of " } else { "" };
        let prefixes = if prefixes.len() > 1 { quoted(prefixes) } else { String::new() };
        let tenants = quoted(tenants);
        format!("conversation {id:?} is one of several tenants: add --tenant and one of {tenants}{more}{prefixes}")
    } else {
        let prefixes = quoted(prefixes);
        format!(
            "conversation {id:?} stands under several prefixes, and may be another under each: add --prefix and one of {prefixes}"
        )
    }
}

/// A row as a line of JSON that is fit for a terminal.
pub fn json(row: &Event) -> String {
    let mut line = Vec::new();
    jsonl::line(row, ToolCallForm::OpenAi, &mut line);
    plain::json(String::from_utf8_lossy(&line).trim_end())
}

/// The rows of a conversation, by whose they are, in the order of time; of those with one id the first to arrive.
async fn rows(scan: &Scan, id: &str) -> anyhow::Result<BTreeMap<Whose, Vec<Event>>> {
    let wanted = Wanted { conversation: Some(id.to_owned()), ..Wanted::default() };
    let files = scan.files(&wanted).await?;
    let progress = Progress::begin("reading", files.iter().map(|file| file.file.bytes).sum());
    let pick = Pick { conversation: Some(id.to_owned()), columns: &[] };
    let (mut lakes, mut read) = (BTreeMap::<Whose, BTreeMap<String, Event>>::new(), 0);
    for file in &files {
        for batch in scan.rows(file, &pick).await? {
            for row in batch.map_err(|error| anyhow::Error::new(error).context(file.key()))? {
                let found = lakes.entry((file.prefix.clone(), row.tenant())).or_default();
                match found.get(&row.event_id) {
                    Some(before) if before.received_at <= row.received_at => {}
                    _ => drop(found.insert(row.event_id.clone(), row)),
                }
            }
        }
        read += file.file.bytes;
        progress.reach(read);
    }
    progress.end();
    let in_order = |found: BTreeMap<String, Event>| {
        let mut rows: Vec<Event> = found.into_values().collect();
        rows.sort_by(|a, b| (a.timestamp, &a.event_id).cmp(&(b.timestamp, &b.event_id)));
        rows
    };
    Ok(lakes.into_iter().map(|(whose, found)| (whose, in_order(found))).collect())
}
