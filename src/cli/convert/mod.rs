//! `chatlake convert`: the road, offline, over files of OTLP requests.

pub mod input;
#[cfg(test)]
mod tests;

use crate::cli::Status;
use crate::cli::check;
use crate::config::Config;
use crate::dialect;
use crate::event::Envelope;
use crate::event::Kind;
use crate::event::Partial;
use crate::event::record::Record;
use crate::fold::assemble;
use crate::fold::assemble::Told;
use crate::fold::order;
use crate::lake::jsonl;
use crate::redact::Content;
use crate::redact::Key;
use crate::redact::Policy;
use crate::redact::Redactor;
use input::Body;
use input::Inputs;
use input::Item;
use input::Request;
use prost::Message as _;
use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

/// What `convert` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Files of OTLP requests (protobuf, JSON or JSON lines), or directories of them.
    #[arg(value_name = "INPUT", required = true)]
    inputs: Vec<PathBuf>,
    /// Where rows go: a directory, a URL, or `-` for JSON lines on stdout.
    #[arg(long, value_name = "DIR|URL|-")]
    to: String,
    /// Configuration file; without it, environment variables and defaults.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Runs `convert`.
pub fn run(arguments: &Arguments) -> Status {
    let config = match check::read(arguments.config.as_deref()) {
        Ok(config) => config,
        Err(fault) => {
            eprint!("{fault}");
            return Status::Usage;
        }
    };
    if arguments.to != "-" {
        eprintln!("--to {}: only `-` yet", arguments.to);
        return Status::Usage;
    }
    let redactor = match redactor(&config) {
        Ok(redactor) => redactor,
        Err(faults) => {
            eprint!("{faults}");
            return Status::Usage;
        }
    };
    let mut status = Status::Good;
    let mut told = Vec::new();
    for item in Inputs::new(&arguments.inputs) {
        match item {
            Item::File(_) => {}
            Item::Request(request) => told.extend(take_in(request, &config, &redactor)),
            Item::Skipped(why) => eprintln!("skipped {why}"),
            Item::Fault(what) => {
                eprintln!("{what}");
                status = Status::Fault;
            }
        }
    }
    let ids: BTreeSet<[u8; 16]> = told.iter().filter_map(|told| told.record.head.trace).collect();
    let traces: Vec<assemble::Trace<'_>> =
        ids.into_iter().map(|id| assemble::Trace { tenant: "", prefix: "", id, closed: None, earlier: &[] }).collect();
    let assembled = assemble::assemble(told, &traces, &assemble::Settings::default());
    let mut rows: Vec<_> = assembled.rows.into_iter().map(|row| row.event).collect();
    rows.sort_by(|a, b| order(a).cmp(&order(b)));
    let form = if config.store.flat_tool_calls { jsonl::ToolCallForm::Flat } else { jsonl::ToolCallForm::OpenAi };
    let mut out = Vec::new();
    for row in &rows {
        jsonl::line(row, form, &mut out);
    }
    match std::io::stdout().lock().write_all(&out) {
        Ok(()) => status,
        Err(error) => {
            eprintln!("stdout: {error}");
            Status::Storage
        }
    }
}

/// What takes secrets out of the records. There is no data directory here that could keep a random key, and a repeat
/// must give the same bytes: hashes need a stated one.
fn redactor(config: &Config) -> Result<Redactor, String> {
    let redaction = &config.redaction;
    let key = match &redaction.hash_key {
        Some(text) => Key::from_text(text).map_err(|fault| format!("redaction.hash_key: {fault}\n"))?,
        None if redaction.policy == Policy::Strict || redaction.content == Content::Hash => {
            return Err("redaction.hash_key: convert needs one to make hashes with\n".to_owned());
        }
        None => Key::new(&[]),
    };
    Redactor::new(redaction, key).map_err(|faults| faults.iter().map(|fault| format!("redaction: {fault}\n")).collect())
}

/// The records of a request, as they would be read back from the log.
fn take_in(request: Request, config: &Config, redactor: &Redactor) -> Vec<Told> {
    let settings = dialect::Settings { keep_unknown: config.keep_unknown };
    let received_at = request.received_at;
    let reads = match request.body {
        Body::Traces(request) => dialect::traces(request, &settings),
        Body::Logs(request) => dialect::logs(request, &settings),
    };
    let mut told = Vec::new();
    for mut read in reads {
        add_notes(&mut read.records, &request.notes);
        let envelope = Envelope { door: "otlp".to_owned(), received_at, ..read.envelope };
        let redacted = redactor.redact(envelope, read.records);
        // What we have just encoded decodes.
        let envelope = Arc::new(Envelope::decode(redacted.envelope().as_ref()).unwrap_or_default());
        let records = redacted.records().iter().filter_map(|bytes| Record::decode(bytes).ok());
        told.extend(records.map(|record| Told { envelope: Arc::clone(&envelope), record }));
    }
    told
}

/// Puts what the reader of JSON had to doubt on the records that it concerns.
fn add_notes(records: &mut [(u32, Partial)], notes: &[(u32, String)]) {
    for (place, note) in notes {
        let Some((_, partial)) = records.iter_mut().find(|(at, _)| at == place) else { continue };
        if partial.kind() != Kind::Dead {
            partial.row.get_or_insert_default().notes.push(note.clone());
        }
    }
}
