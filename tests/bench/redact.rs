//! What redaction costs, in CPU seconds for a million spans of 2.8 KB.
//!
//! ```text
//! cargo bench --bench redact                     every policy, clean spans and spans of which some hold secrets
//! cargo bench --bench redact -- --rounds 40
//! ```
//!
//! The spans are those of `../shared/tools/otlpload`, mapped by the dialects. Encoding the records belongs to the stage
//! but not to redaction: the policy `none` does nothing else, so its cost is taken from that of the others.

#![allow(clippy::disallowed_methods, reason = "a bench runs against the real clock")]
#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a bench may fail")]
#![allow(clippy::cast_precision_loss, reason = "figures for people")]
#![allow(dead_code, reason = "the tests' support has more than a bench needs")]

#[path = "../it/support/mod.rs"]
mod support;

use chatlake::dialect::{self, Read};
use chatlake::redact::{Config, Content, Key, Policy, Redactor};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use std::fs;
use std::process::Command;
use support::rows::files_below;

/// What stands in the messages of dirty spans.
const SECRETS: [&str; 4] = [
    "mail jane.doe@example.com",
    "see /home/jane/notes.txt",
    "sk-FAKEFAKEFAKEFAKEFAKE1234",
    "DB_PASSWORD=hunter2hunter2",
];

/// The program's own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let rounds = arguments.iter().position(|argument| argument == "--rounds").and_then(|at| arguments.get(at + 1));
    let rounds: u32 = rounds.map_or(10, |rounds| rounds.parse().expect("--rounds is a number"));
    let otlpload = match support::otlpload::otlpload() {
        Ok(otlpload) => otlpload,
        Err(why) => return support::skip("redact", &why),
    };
    let folder = tempfile::tempdir().expect("a folder");
    let made = Command::new(otlpload).args(["send", "--dump"]).arg(folder.path()).output().expect("otlpload runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let bodies: Vec<Vec<u8>> = files_below(folder.path()).iter().map(|file| fs::read(file).expect("a body")).collect();
    let bytes: usize = bodies.iter().map(Vec::len).sum();
    let clean: Vec<Read> = bodies.iter().flat_map(|body| read(body)).collect();
    let spans: usize = clean.iter().map(|read| read.records.len()).sum();
    println!("{spans} spans, {} bytes each on the wire, {rounds} rounds", bytes / spans);
    println!("| spans | policy | content | CPU s / M spans, redaction | with encoding |");
    println!("|---|---|---|---|---|");
    for (name, one_in) in [("clean", 0), ("1 of 20 holds a secret", 20), ("each holds a secret", 1)] {
        let reads = dirty(&clean, one_in);
        let encoding = cost(&redactor(Policy::None, Content::Full), &reads, rounds);
        for (policy, content) in [
            (Policy::Floor, Content::Full),
            (Policy::Strict, Content::Full),
            (Policy::Floor, Content::Excerpt),
            (Policy::Floor, Content::Hash),
        ] {
            let all = cost(&redactor(policy, content), &reads, rounds);
            let of_redaction = all - encoding;
            println!("| {name} | {} | {content:?} | {of_redaction:.2} | {all:.2} |", policy.as_str());
        }
    }
}

fn read(body: &[u8]) -> Vec<Read> {
    let request = ExportTraceServiceRequest::decode(body).expect("otlpload writes OTLP");
    dialect::traces(request, &dialect::Settings::default())
}

fn redactor(policy: Policy, content: Content) -> Redactor {
    Redactor::new(&Config { policy, content, ..Config::default() }, Key::new(b"a key of the bench")).expect("valid")
}

/// The same records; one in so many has a secret in its last message.
fn dirty(clean: &[Read], one_in: usize) -> Vec<Read> {
    let mut reads = clean.to_vec();
    if one_in > 0 {
        let partials = reads.iter_mut().flat_map(|read| &mut read.records);
        for (index, (_, partial)) in partials.step_by(one_in).enumerate() {
            let row = partial.row.as_mut().expect("GenAI spans are rows");
            let secret = SECRETS[index % SECRETS.len()];
            match row.messages.last_mut() {
                Some(message) => message.content.get_or_insert_default().push_str(secret),
                None => row.notes.push(secret.to_owned()),
            }
        }
    }
    reads
}

/// CPU seconds for a million records.
fn cost(redactor: &Redactor, reads: &[Read], rounds: u32) -> f64 {
    let mut spent = 0;
    let mut records = 0;
    for _ in 0..rounds {
        let copies = reads.to_vec();
        let before = cpu_ns();
        for read in copies {
            let redacted = redactor.redact(read.envelope, read.records);
            records += redacted.records().len();
            std::hint::black_box(redacted);
        }
        spent += cpu_ns() - before;
    }
    spent as f64 / 1000.0 / records as f64
}

/// Nanoseconds that this thread has run.
fn cpu_ns() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells what a thread ran");
    text.split(' ').next().and_then(|ns| ns.parse().ok()).expect("nanoseconds come first")
}
