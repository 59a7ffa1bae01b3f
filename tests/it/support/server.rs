//! The built program as a server: on free ports, with a data folder of its own, killed and started at will.

use super::child::Child;
use super::metrics::Ledger;
use super::{free_address, until};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

/// A start on two busy cores; what it takes on an idle one has a bench.
const START: Duration = Duration::from_secs(30);

/// What a server is started with. Keys are configuration keys as the environment spells them, without `CHATLAKE_`.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    folder: PathBuf,
    grpc: String,
    http: String,
    admin: String,
    values: BTreeMap<String, String>,
}

impl Setup {
    /// Defaults on free ports. `folder` is the working directory; data is in its `data`.
    pub(crate) fn new(folder: &Path) -> Self {
        let (grpc, http, admin) = (free_address(), free_address(), free_address());
        let mut setup = Self { folder: folder.to_owned(), grpc, http, admin, values: BTreeMap::new() };
        setup.set("RECEIVERS__OTLP__GRPC__ENDPOINT", &setup.grpc.clone());
        setup.set("RECEIVERS__OTLP__HTTP__ENDPOINT", &setup.http.clone());
        setup.set("RECEIVERS__MODELSTAT__ENDPOINT", &free_address());
        setup.set("ADMIN__ENDPOINT", &setup.admin.clone());
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
        self.values.insert(key.to_owned(), value.to_owned());
    }

    /// As [`Setup::set`], for chains.
    pub(crate) fn with(mut self, key: &str, value: &str) -> Self {
        self.set(key, value);
        self
    }

    /// The program with this set-up, for any subcommand.
    pub(crate) fn command(&self) -> Command {
        let mut command = program();
        command.current_dir(&self.folder);
        for (key, value) in &self.values {
            command.env(format!("CHATLAKE_{key}"), value);
        }
        command
    }

    /// Starts the server and waits until it takes requests.
    pub(crate) fn start(self) -> Server {
        let child = Child::start(self.command().arg("serve"));
        let mut server = Server { setup: self, child };
        server.wait_ready();
        server
    }
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

    /// The folder that it runs in.
    pub(crate) fn folder(&self) -> &Path {
        &self.setup.folder
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

    /// Waits until everything that was received has been decided and committed.
    pub(crate) fn drain(&self, limit: Duration) -> Ledger {
        until("an empty buffer", limit, || Some(self.ledger()).filter(|ledger| ledger.buffered == 0))
    }

    /// Ends it as a crash would.
    pub(crate) fn kill(&mut self) {
        self.child.kill();
    }

    /// Starts it again as it was, on the same files and ports.
    pub(crate) fn restart(&mut self) {
        self.child = Child::start(self.setup.command().arg("serve"));
        self.wait_ready();
    }

    /// Asks it to stop and waits for its end. What it had read so far has landed, unless a trace is open.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.child.terminate();
        self.child.wait(Duration::from_secs(30))
    }

    fn wait_ready(&mut self) {
        until("the server to be ready", START, || {
            if let Some(status) = self.child.ended() {
                panic!("the server ended with {status} instead of starting:\n{}", self.child.said());
            }
            self.admin("/readyz").filter(|(status, _)| *status == 200)
        });
    }
}
