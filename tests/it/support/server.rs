//! The built program as a server: on free ports, with a data folder of its own, killed and started at will.

use super::child::Child;
use super::duck::S3;
use super::metrics::Ledger;
use super::{free_address, until};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

/// A start on two busy cores; what it takes on an idle one has a bench.
const START: Duration = Duration::from_secs(30);

/// What a server is started with. Keys are configuration keys as the environment spells them, without `CHATLAKE_`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Setup {
    folder: PathBuf,
    grpc: String,
    http: String,
    admin: String,
    values: BTreeMap<String, String>,
    /// Variables without our prefix.
    plain: BTreeMap<String, String>,
}

impl Setup {
    /// Defaults on free ports. `folder` is the working directory; data is in its `data`.
    pub(crate) fn new(folder: &Path) -> Self {
        let mut setup = Self { folder: folder.to_owned(), ..Self::default() };
        for door in ["RECEIVERS__OTLP__GRPC__ENDPOINT", "RECEIVERS__OTLP__HTTP__ENDPOINT", "ADMIN__ENDPOINT"] {
            setup.set(door, &free_address());
        }
        // However slow the machine is: what was taken is in the store when a test has stopped the server.
        setup.set("SHUTDOWN__GRACE", "60s");
        setup
    }

    /// As [`Setup::new`], with times short enough for a test: rows land a second after their root.
    pub(crate) fn quick(folder: &Path) -> Self {
        let mut setup = Self::new(folder);
        setup.set("ROLL__AGE", "200ms");
        setup.set("ASSEMBLY__LINGER", "300ms");
        setup.set("ASSEMBLY__IDLE", "2s");
        setup
    }

    /// Sets one more key.
    pub(crate) fn set(&mut self, key: &str, value: &str) {
        match key {
            "RECEIVERS__OTLP__GRPC__ENDPOINT" => value.clone_into(&mut self.grpc),
            "RECEIVERS__OTLP__HTTP__ENDPOINT" => value.clone_into(&mut self.http),
            "ADMIN__ENDPOINT" => value.clone_into(&mut self.admin),
            _ => {}
        }
        self.values.insert(key.to_owned(), value.to_owned());
    }

    /// As [`Setup::set`], for chains.
    pub(crate) fn with(mut self, key: &str, value: &str) -> Self {
        self.set(key, value);
        self
    }

    /// With the usual variables for an S3 server on this machine.
    pub(crate) fn in_bucket(mut self, s3: &S3) -> Self {
        self.plain.extend(aws(s3));
        self
    }

    /// With one more variable that is not ours.
    pub(crate) fn with_plain(mut self, name: &str, value: &str) -> Self {
        self.plain.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The program with this set-up, for any subcommand.
    pub(crate) fn command(&self) -> Command {
        let mut command = program();
        command.current_dir(&self.folder).envs(&self.plain);
        for (key, value) in &self.values {
            command.env(format!("CHATLAKE_{key}"), value);
        }
        command
    }

    /// Starts the server and waits until it takes requests and its store does too.
    pub(crate) fn start(self) -> Server {
        self.start_until("/readyz")
    }

    /// Starts the server and waits until it is alive, whatever its store says.
    pub(crate) fn start_alive(self) -> Server {
        self.start_until("/healthz")
    }

    fn start_until(self, page: &str) -> Server {
        let child = Child::start(self.command().arg("serve"));
        let mut server = Server { setup: self, child };
        server.wait_for(page);
        server
    }
}

/// The variables by which S3 clients find an S3 server and its credentials.
pub(crate) fn aws(s3: &S3) -> BTreeMap<String, String> {
    let variables = [
        ("AWS_ACCESS_KEY_ID", s3.key_id.clone()),
        ("AWS_SECRET_ACCESS_KEY", s3.secret.clone()),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_ENDPOINT_URL", format!("http://{}", s3.endpoint)),
        ("AWS_ALLOW_HTTP", "true".to_owned()),
    ];
    variables.map(|(name, value)| (name.to_owned(), value)).into()
}

/// The built program, in an environment that holds nothing of the developer's.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chatlake"));
    command.env_clear();
    for kept in ["PATH", "HOME", "TMPDIR"] {
        if let Some(value) = std::env::var_os(kept) {
            command.env(kept, value);
        }
    }
    command
}

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    setup: Setup,
    child: Child,
}

impl Server {
    /// `http://host:port` of OTLP over gRPC.
    pub(crate) fn grpc(&self) -> String {
        format!("http://{}", self.setup.grpc)
    }

    /// `http://host:port` of OTLP over HTTP.
    pub(crate) fn http(&self) -> String {
        format!("http://{}", self.setup.http)
    }

    /// Everything below which it keeps its files.
    pub(crate) fn data(&self) -> PathBuf {
        self.setup.folder.join("data")
    }

    /// What it printed so far.
    pub(crate) fn said(&self) -> String {
        self.child.said()
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// A page of the admin address: status and body.
    pub(crate) fn admin(&self, path: &str) -> Option<(u16, String)> {
        let answer = reqwest::blocking::get(format!("http://{}{path}", self.setup.admin)).ok()?;
        let status = answer.status().as_u16();
        Some((status, answer.text().ok()?))
    }

    /// The ledger, held against the identity.
    pub(crate) fn ledger(&self) -> Ledger {
        let (status, page) = self.admin("/metrics").expect("the metrics page answers");
        assert_eq!(status, 200, "{page}");
        let ledger = Ledger::read(&page);
        ledger.check();
        ledger
    }

    /// Waits until everything that was received has been decided and committed; no longer than `limit` for any news
    /// of it.
    pub(crate) fn drain(&self, limit: Duration) -> Ledger {
        let mut last = self.ledger();
        while last.buffered > 0 {
            last = until("an emptier buffer", limit, || Some(self.ledger()).filter(|ledger| *ledger != last));
        }
        last
    }

    /// Ends it as a crash would.
    pub(crate) fn kill(&mut self) {
        self.child.kill();
    }

    /// Sets a key for the next start.
    pub(crate) fn set(&mut self, key: &str, value: &str) {
        self.setup.set(key, value);
    }

    /// Starts it again as it was, on the same files and ports.
    pub(crate) fn restart(&mut self) {
        self.restart_until("/readyz");
    }

    /// As [`Server::restart`], but whatever its store says.
    pub(crate) fn restart_alive(&mut self) {
        self.restart_until("/healthz");
    }

    fn restart_until(&mut self, page: &str) {
        self.child = Child::start(self.setup.command().arg("serve"));
        self.wait_for(page);
    }

    /// The program with the same set-up, for any other subcommand.
    pub(crate) fn command(&self) -> Command {
        self.setup.command()
    }

    /// Asks it to stop and waits for its end. What it had read so far has landed, unless a trace is open.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.stop_within(Duration::from_secs(90))
    }

    /// As [`Server::stop`], with another patience.
    pub(crate) fn stop_within(&mut self, limit: Duration) -> ExitStatus {
        self.child.terminate();
        self.child.wait(limit)
    }

    /// Waits until it has ended by itself.
    pub(crate) fn wait(&mut self, limit: Duration) -> ExitStatus {
        self.child.wait(limit)
    }

    fn wait_for(&mut self, page: &str) {
        until("the server to start", START, || {
            if let Some(status) = self.child.ended() {
                panic!("the server ended with {status} instead of starting:\n{}", self.child.said());
            }
            self.admin(page).filter(|(status, _)| *status == 200)
        });
    }
}
