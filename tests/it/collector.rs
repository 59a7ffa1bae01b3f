//! A real OpenTelemetry Collector with `collector-config.yaml` as it stands, between a client and the program.

use super::support::child::Child;
use super::support::duck::Reader;
use super::support::load::Load;
use super::support::rows::files_below;
use super::support::server::Setup;
use super::support::{free_address, go, project, say, skip, until};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// A running Collector.
pub(crate) struct Collector {
    command: Command,
    environment: BTreeMap<String, String>,
    child: Child,
}

impl Collector {
    /// Starts a Collector whose queue is below `folder` and that sends to `chatlake` (`host:port`).
    pub(crate) fn start(program: PathBuf, folder: &Path, chatlake: &str) -> Self {
        let queue = folder.join("queue").display().to_string();
        let variables = [("QUEUE_DIR", queue), ("CHATLAKE_ENDPOINT", chatlake.to_owned())];
        Self::start_with(program, folder, variables.map(|(name, value)| (name.to_owned(), value)).into())
    }

    /// Starts a Collector in `folder` with these variables, and ports of its own where they say none.
    pub(crate) fn start_with(program: PathBuf, folder: &Path, variables: BTreeMap<String, String>) -> Self {
        let mut environment = variables;
        for door in ["HEALTH_LISTEN", "OTLP_GRPC_LISTEN", "OTLP_HTTP_LISTEN"] {
            environment.entry(door.to_owned()).or_insert_with(free_address);
        }
        let mut command = Command::new(program);
        command.arg("--config").arg(project().join("collector-config.yaml"));
        command.current_dir(folder).envs(&environment);
        let mut collector = Self { child: Child::start(&mut command), command, environment };
        collector.wait_healthy();
        collector
    }

    /// Kills it as a crash would and starts it again on the same queue.
    pub(crate) fn crash(&mut self) {
        self.child.kill();
        self.child = Child::start(&mut self.command);
        self.wait_healthy();
    }

    /// `http://host:port` of one of its doors.
    pub(crate) fn door(&self, variable: &str) -> String {
        format!("http://{}", self.environment[variable])
    }

    fn wait_healthy(&mut self) {
        let health = self.door("HEALTH_LISTEN");
        until("the Collector to be healthy", Duration::from_secs(60), || {
            if let Some(status) = self.child.ended() {
                panic!("the Collector ended with {status}:\n{}", self.child.said());
            }
            reqwest::blocking::get(&health).ok().filter(|answer| answer.status().is_success())
        });
    }
}

#[test]
fn all_spans_land_once_through_a_collector_while_both_are_killed() {
    let test = "all_spans_land_once_through_a_collector_while_both_are_killed";
    let folder = TempDir::new().expect("a folder");
    let mut reader = match Reader::new(folder.path(), None) {
        Ok(reader) => reader,
        Err(why) => return skip(test, &why),
    };
    let program = match go::collector() {
        Ok(program) => program,
        Err(why) => return skip(test, &why),
    };
    // A resend can come after the Collector's longest pause between two tries.
    let mut server = Setup::quick(folder.path()).with("ASSEMBLY__IDLE", "5s").start();
    let chatlake = server.grpc().trim_start_matches("http://").to_owned();
    let mut collector = Collector::start(program, folder.path(), &chatlake);
    let (grpc, http) = (collector.door("OTLP_GRPC_LISTEN"), collector.door("OTLP_HTTP_LISTEN"));
    let load = Load::start(&grpc, &http, 11 << 40, 4, Duration::from_millis(5));
    let pause = || std::thread::sleep(Duration::from_millis(1500));

    pause();
    server.kill();
    pause();
    server.restart();
    pause();
    collector.crash();
    pause();
    server.kill();
    collector.crash();
    pause();
    server.restart();
    pause();

    let sent = load.finish();
    // The queue is empty when everything acknowledged has arrived: nothing says so but the rows themselves.
    let events = server.data().join("events");
    until("a first file", Duration::from_secs(300), || (!files_below(&events).is_empty()).then_some(()));
    let mut compare = || {
        server.drain(Duration::from_secs(120));
        sent.compare(&mut reader, folder.path(), "data/events/**/*.parquet")
    };
    until("all spans", Duration::from_secs(300), || (compare().lost == 0).then_some(()));
    // What is still in the queue now can only be resends.
    std::thread::sleep(Duration::from_secs(3));
    let verdict = compare();
    say(&format!("through the Collector: {verdict:?}"));
    verdict.check();
    let ledger = server.ledger();
    assert_eq!((ledger.rejected, ledger.quarantined), (0, 0), "{ledger:?}");
}
