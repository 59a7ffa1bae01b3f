//! `chatlake serve`: the whole road, until a signal.

use crate::app;
use crate::app::Ended;
use crate::cli::Status;
use crate::cli::check;
use crate::cli::plain;
use std::path::PathBuf;
use std::time::Duration;

/// What `serve` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Configuration file; without it, environment variables and defaults.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Runs `serve`.
pub fn run(arguments: &Arguments) -> Status {
    let config = match check::read(arguments.config.as_deref()) {
        Ok(config) => config,
        Err(faults) => {
            eprintln!("{}", plain::block(&faults, ""));
            return Status::Usage;
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("chatlake: start threads: {error}");
            return Status::Fault;
        }
    };
    let outcome = runtime.block_on(app::serve(config));
    // Threads that hang in a system call must not hold up the end.
    runtime.shutdown_timeout(Duration::from_secs(1));
    let (status, error) = match outcome {
        Ok(()) => return Status::Good,
        Err(Ended::Fault(error)) => (Status::Fault, error),
        Err(Ended::Usage(error)) => (Status::Usage, error),
        Err(Ended::Storage(error)) => (Status::Storage, error),
    };
    eprintln!("{}", plain::block(&format!("chatlake: {error:#}"), ""));
    status
}
