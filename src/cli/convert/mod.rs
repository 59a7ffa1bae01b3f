//! `chatlake convert`: the road, offline, over files of OTLP requests.
//!
//! The same input, configuration and program give the same bytes under the same keys: the writer is named after a hash
//! of them, and there is no clock. A repeat into the same place changes nothing.

pub mod input;
mod output;
#[cfg(test)]
mod tests;

use crate::cli::Status;
use crate::cli::check;
use crate::cli::plain;
use crate::cli::store;
use crate::cli::store::Progress;
use crate::config::Config;
use crate::config::FORMATS;
use crate::config::Format;
use crate::config::chain;
use crate::config::reader::word;
use crate::fold::account::Account;
use crate::fold::open::Patience;
use crate::lake::key::Writer;
use crate::lake::partition::Template;
use crate::lake::remote::UrlError;
use crate::lake::store::Store;
use crate::offline::Offline;
use crate::offline::Settings;
use crate::redact;
use crate::redact::Content;
use crate::redact::Key;
use crate::redact::Mode;
use crate::redact::Policy;
use crate::redact::Redactor;
use crate::road;
use crate::wal::disk::OsDisk;
use anyhow::Context as _;
use input::Body;
use input::Inputs;
use input::Item;
use input::Request;
use output::Summary;
use std::path::PathBuf;
use std::sync::Arc;
use xxhash_rust::xxh3::Xxh3;

/// What `convert` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Files of OTLP requests (protobuf, JSON or JSON lines), directories of them, or `-` for standard input.
    #[arg(value_name = "INPUT", required = true)]
    inputs: Vec<PathBuf>,
    /// Where rows go: a directory, a URL (s3://bucket/prefix, gs://, az://), or `-` for JSON lines on stdout.
    #[arg(long, value_name = "DIR|URL|-")]
    to: String,
    /// Format of the files; without it, what store.format says.
    #[arg(long, value_parser = ["parquet", "jsonl", "proto"])]
    format: Option<String>,
    /// Configuration file; without it, environment variables and defaults.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Where rows go.
enum Target {
    Stdout,
    Store(Store),
}

/// Runs `convert`.
pub fn run(arguments: &Arguments) -> Status {
    let (config, redactor, target) = match prepare(arguments) {
        Ok(prepared) => prepared,
        Err((status, fault)) => {
            eprintln!("{}", plain::block(&fault, ""));
            return status;
        }
    };
    match convert(arguments, &config, redactor, &target) {
        Ok(status) => status,
        Err(error) => {
            eprintln!("{}", plain::block(&format!("{error:#}"), ""));
            Status::Storage
        }
    }
}

fn prepare(arguments: &Arguments) -> Result<(Config, Redactor, Target), (Status, String)> {
    let misused = |fault: String| (Status::Usage, fault);
    let mut config = check::read(arguments.config.as_deref()).map_err(misused)?;
    if let Some(wanted) = &arguments.format {
        config.store.format = word(wanted, FORMATS).map_err(|fault| misused(format!("--format: {fault}")))?;
    }
    let redactor = redactor(&config).map_err(misused)?;
    if arguments.to != "-" {
        let (_, store) = store::open(&arguments.to).map_err(|error| {
            let status = match error.downcast_ref() {
                Some(UrlError::Folder { .. }) => Status::Storage,
                _ => Status::Usage,
            };
            (status, format!("--to {}: {error:#}", arguments.to))
        })?;
        return Ok((config, redactor, Target::Store(store)));
    }
    if arguments.format.is_some() && config.store.format != Format::Jsonl {
        return Err(misused("--format: stdout takes jsonl only: name a directory or a URL with --to".to_owned()));
    }
    // What folds give is kept as messages, in files without folders, and printed as lines.
    config.store.format = Format::Proto;
    config.store.partition = "all".parse::<Template>().map_err(|error| misused(error.to_string()))?;
    Ok((config, redactor, Target::Stdout))
}

/// What takes secrets out of the records. A repeat must give the same bytes: hashes are made with a stated key, or with
/// the one that a server on this data directory has made.
fn redactor(config: &Config) -> Result<Redactor, String> {
    let rules = &config.redaction;
    let has_hashes = rules.policy == Policy::Strict
        || rules.content == Content::Hash
        || rules.rules.iter().any(|rule| rule.mode == Mode::Hash);
    let key = match &rules.hash_key {
        Some(text) => Key::from_text(text).map_err(|fault| fault.to_string())?,
        None if has_hashes && config.data_dir.join(redact::KEY_FILE).exists() => {
            redact::load_or_create(&config.data_dir)
                .map_err(|error| format!("redaction.hash_key: the key in {}: {error}", config.data_dir.display()))?
        }
        None if has_hashes => {
            return Err("redaction.hash_key: convert needs one to make hashes with".to_owned());
        }
        None => Key::new(&[]),
    };
    Redactor::new(rules, key).map_err(|faults| faults.iter().map(|fault| format!("{}\n", chain(fault))).collect())
}

fn convert(arguments: &Arguments, config: &Config, redactor: Redactor, target: &Target) -> anyhow::Result<Status> {
    let mut inputs = Inputs::new(&arguments.inputs);
    let folder = tempfile::tempdir().context("make a temporary folder (TMPDIR says where)")?;
    let settings = settings(config, writer(config, &inputs)?);
    let mut road = Offline::new(Arc::new(OsDisk), folder.path(), settings, redactor)?;
    let progress = Progress::begin("reading", inputs.total_bytes());
    let mut status = Status::Good;
    while let Some(item) = inputs.next() {
        match item {
            Item::Request(Request { body, notes, received_at }) => match body {
                Body::Traces(request) => road.traces(request, &notes, received_at)?,
                Body::Logs(request) => road.logs(request, &notes, received_at)?,
            },
            Item::Skipped(why) => progress.say(&format!("skipped {why}")),
            Item::Fault(what) => {
                progress.say(&what);
                status = Status::Fault;
            }
        }
        progress.reach(inputs.read_bytes());
    }
    let (outbox, stepped) = road.finish()?;
    let seconds = progress.end();
    let mut summary = Summary { files: inputs.files(), bytes: inputs.read_bytes(), seconds, ..Summary::default() };
    let mut account = Account::default();
    for step in &stepped {
        account.add(&step.account);
        summary.packed.add(&step.packed);
    }
    match target {
        Target::Stdout => summary.packed.bytes = output::print(&outbox, config.store.flat_tool_calls)?,
        Target::Store(store) => output::store(&outbox, store, config.store.concurrency)?,
    }
    summary.account = account;
    if summary.files == 0 && status == Status::Good {
        eprintln!("there was nothing to read: no .pb, .json or .jsonl file");
    }
    eprintln!("{summary}");
    Ok(status)
}

fn settings(config: &Config, writer: Writer) -> Settings {
    let mut fold = config.fold();
    fold.patience = Patience { linger: u64::MAX, idle: u64::MAX, max_age: u64::MAX };
    fold.window.age = u64::MAX;
    Settings {
        dialect: config.mapping(),
        fold,
        road: road::Settings { close_open: false, encode: config.store.encode(), writer },
        roll_size: config.roll_size,
    }
}

/// Settings that change rows or the files that they stand in.
const SHAPING: [&str; 6] = ["store.", "roll.size", "assembly.memory", "dedupe.records", "redaction.", "unknown"];

/// Named after all that the files depend on.
fn writer(config: &Config, inputs: &Inputs) -> anyhow::Result<Writer> {
    let mut hasher = Xxh3::new();
    hasher.update(env!("CARGO_PKG_VERSION").as_bytes());
    let shaping = config.shown.iter().filter(|(path, _)| SHAPING.iter().any(|start| path.starts_with(start)));
    for (path, value) in shaping.filter(|(path, _)| !["store.url", "store.concurrency"].contains(path)) {
        hasher.update(format!("{path}={value}\n").as_bytes());
    }
    hasher.update(format!("{:?}", config.store.format).as_bytes());
    inputs.digest(&mut hasher);
    Ok(format!("{}-convert-{:032x}", config.writer_name, hasher.digest128()).parse()?)
}
