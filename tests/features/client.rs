//! Servers of one check's own, and the real clients.

use super::skipped;
use super::support::metrics::Ledger;
use super::support::rows::{Row, lines_below, parse};
use super::support::server::{Server, Setup};
use super::support::{cache, project, python};
use super::world::{PUBLIC, form, meta_signature, twilio_signature};
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

pub(crate) const KEY: &str = "msk-of-the-checks";
pub(crate) const META_SECRET: &str = "fake-app-secret";
pub(crate) const TWILIO_SECRET: &str = "fake-auth-token";

/// A server that knows one key and one sender of each webhook.
pub(crate) struct Doors {
    pub(crate) server: Server,
    pub(crate) folder: TempDir,
}

impl Doors {
    pub(crate) fn open() -> Self {
        Self::open_with(&[])
    }

    /// With more settings.
    pub(crate) fn open_with(settings: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().expect("a folder");
        let mut setup = Setup::quick(folder.path())
            .with("STORE__FORMAT", "jsonl")
            .with("STORE__COMPRESSION", "none")
            .with("RECEIVERS__MODELSTAT__ENDPOINT", "none")
            .with("AUTH__KEYS", &format!("[{{key: {KEY}, tenant: shop}}]"))
            .with("WEBHOOKS__META", &format!("[{{secret: {META_SECRET}, verify_token: asked}}]"))
            .with("WEBHOOKS__TWILIO", &format!("[{{secret: {TWILIO_SECRET}}}]"))
            .with("WEBHOOKS__PUBLIC_URL", PUBLIC);
        settings.iter().for_each(|(key, value)| setup.set(key, value));
        Self { server: setup.start_alive(), folder }
    }

    /// Posts with the key.
    pub(crate) fn post(&self, path: &str, body: impl Into<Vec<u8>>) -> (u16, String) {
        self.post_with(path, &[("authorization", &format!("Bearer {KEY}"))], body)
    }

    pub(crate) fn post_with(&self, path: &str, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> (u16, String) {
        let client = reqwest::blocking::Client::new();
        let mut request = client.post(format!("{}{path}", self.server.http())).body(body.into());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().expect("an answer");
        (answer.status().as_u16(), answer.text().expect("a text"))
    }

    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        let answer = reqwest::blocking::get(format!("{}{path}", self.server.http())).expect("an answer");
        (answer.status().as_u16(), answer.text().expect("a text"))
    }

    pub(crate) fn meta(&self, body: &str, secret: &str) -> (u16, String) {
        let signature = meta_signature(secret, body.as_bytes());
        self.post_with("/webhooks/whatsapp/meta", &[("x-hub-signature-256", &signature)], body)
    }

    pub(crate) fn twilio(&self, fields: &Value, signature: Option<&str>) -> (u16, String) {
        let body = form(fields);
        let own = twilio_signature(TWILIO_SECRET, &body);
        self.post_with("/webhooks/whatsapp/twilio", &[("x-twilio-signature", signature.unwrap_or(&own))], body)
    }

    /// Everything that landed, once all has.
    pub(crate) fn landed(&self) -> (Ledger, Vec<Row>) {
        let ledger = self.server.drain(Duration::from_secs(120));
        (ledger, parse(&lines_below(&self.folder.path().join("data/events"))))
    }

    /// What was quarantined and has landed.
    pub(crate) fn dead(&self) -> Vec<Row> {
        parse(&lines_below(&self.folder.path().join("data/_dead")))
    }
}

/// Rows of a source.
pub(crate) fn of<'r>(rows: &'r [Row], source: &str) -> Vec<&'r Row> {
    rows.iter().filter(|row| row["source"] == source).collect()
}

/// The interpreter of an environment with pinned packages; ends the check where there can be none.
pub(crate) fn environment(pins: &str) -> PathBuf {
    python::environment(pins).unwrap_or_else(|why| skipped(&why))
}

/// Runs one of the real clients, and gives what it says of itself.
pub(crate) fn client(pins: &str, name: &str, base: &str, key: &str) -> Value {
    let script = project().join("tests/python/sdks.py");
    let output = Command::new(environment(pins)).arg(script).args([name, base, key]).output().expect("python starts");
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).expect("text");
    serde_json::from_str(said.lines().last().expect("a line")).expect("json")
}

/// The program of `tests/clients/modelstat`, which has the crate `modelstat` as its user: built once, from its lock file.
pub(crate) fn rust_modelstat() -> PathBuf {
    const FILES: [&str; 3] = ["Cargo.toml", "Cargo.lock", "src/main.rs"];
    let sources = project().join("tests/clients/modelstat");
    let text = FILES.map(|file| std::fs::read_to_string(sources.join(file)).expect("a source")).concat();
    let built = cache::installed(&format!("modelstat-rust-{}", cache::short_hash(&text)), |folder| {
        let target = folder.join("target");
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--locked", "--manifest-path"]).arg(sources.join("Cargo.toml"));
        cache::run(cargo.arg("--target-dir").arg(&target))?;
        std::fs::rename(target.join("debug/modelstat-client"), folder.join("modelstat-client"))
            .and_then(|()| std::fs::remove_dir_all(&target))
            .map_err(|error| error.to_string())
    });
    built.unwrap_or_else(|why| skipped(&why)).join("modelstat-client")
}

/// What a real client of the crate says of itself.
pub(crate) fn run_rust_modelstat(base: &str) -> Value {
    let (status, said, error) = run(Command::new(rust_modelstat()).args([base, KEY]));
    assert!(status == 0 && error.is_empty(), "{status}: {error}");
    serde_json::from_str(&said).expect("json")
}

/// Runs the program in a folder; its exit status and what it printed.
pub(crate) fn run(command: &mut Command) -> (i32, String, String) {
    let output = command.output().expect("the program starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the program prints UTF-8");
    (output.status.code().expect("it was not killed"), text(output.stdout), text(output.stderr))
}
