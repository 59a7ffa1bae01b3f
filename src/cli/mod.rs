//! The commands. Results go to stdout, everything else to stderr.
//!
//! Exit status: 0 good, 1 found a fault, 2 used wrongly, 74 storage failed.

pub mod check;
pub mod conversation;
pub mod conversations;
pub mod convert;
pub mod emit;
pub mod http;
pub mod plain;
pub mod serve;
pub mod status;
pub mod store;
pub mod tail;
pub mod verify;

use clap::Parser;
use clap::Subcommand;
use std::ffi::OsString;
use std::process::ExitCode;

/// Takes OpenTelemetry GenAI spans and logs, lands OpenAI-chat events as Parquet or JSONL.
#[derive(Debug, Parser)]
#[command(name = "chatlake", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Receive OTLP and land rows, until a signal.
    Serve(serve::Arguments),
    /// Print the resolved configuration, or all that is wrong with it.
    Check(check::Arguments),
    /// Run the road offline over files of OTLP requests.
    Convert(convert::Arguments),
    /// Hold a lake against its manifests.
    Verify(verify::Arguments),
    /// Say how a running server is.
    Status(status::Arguments),
    /// Show events as they land.
    Tail(tail::Arguments),
    /// List conversations, the latest first.
    Conversations(conversations::Arguments),
    /// Show what was said in a conversation.
    Conversation(conversation::Arguments),
    /// Send one event to a running server.
    Emit(emit::Arguments),
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// All is well.
    Good,
    /// A fault was found and told.
    Fault,
    /// It was used wrongly: arguments or configuration.
    Usage,
    /// Storage failed: what was acknowledged is safe, but nothing more can be taken.
    Storage,
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        match status {
            Status::Good => Self::SUCCESS,
            Status::Fault => Self::from(1),
            Status::Usage => Self::from(2),
            Status::Storage => Self::from(74),
        }
    }
}

/// Runs the command that the arguments name.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are errors of this kind too: clap knows their stream and status.
            let status = if error.use_stderr() { Status::Usage } else { Status::Good };
            return if error.print().is_ok() { status.into() } else { Status::Fault.into() };
        }
    };
    let status = match arguments.command {
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Convert(arguments) => convert::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Status(arguments) => status::run(&arguments),
        Command::Tail(arguments) => tail::run(&arguments),
        Command::Conversations(arguments) => conversations::run(&arguments),
        Command::Conversation(arguments) => conversation::run(&arguments),
        Command::Emit(arguments) => emit::run(&arguments),
    };
    status.into()
}
