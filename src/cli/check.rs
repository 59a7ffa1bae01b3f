//! `chatlake check`: the resolved configuration, whether its folder can be written and its store takes objects; or all
//! that is wrong with it.

use crate::cli::Status;
use crate::cli::plain;
use crate::cli::store;
use crate::config::Config;
use std::path::Path;
use std::path::PathBuf;

/// What `check` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Configuration file; without it, environment variables and defaults.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Runs `check`.
pub fn run(arguments: &Arguments) -> Status {
    match read(arguments.config.as_deref()) {
        Ok(config) => {
            print!("{}", plain::json(&config.to_yaml()));
            config.doubts().iter().for_each(|doubt| eprintln!("{}", plain::block(doubt, "")));
            let faults = store::takes(&config);
            faults.iter().for_each(|fault| eprintln!("{}", plain::block(fault, "")));
            if faults.is_empty() { Status::Good } else { Status::Fault }
        }
        Err(fault) => {
            eprintln!("{}", plain::block(&fault, ""));
            Status::Fault
        }
    }
}

/// Reads the configuration of a command: its file, if one is named, and the environment.
///
/// # Errors
/// What is wrong, in lines to print.
pub fn read(file: Option<&Path>) -> Result<Config, String> {
    let environment = Config::environment();
    let text = match file {
        Some(path) => match std::fs::read_to_string(path) {
            Ok(text) => Some((path.display().to_string(), text)),
            Err(error) => return Err(format!("{}: cannot be read: {error}\n", path.display())),
        },
        None => None,
    };
    let named = text.as_ref().map(|(name, text)| (name.as_str(), text.as_str()));
    Config::read(named, &environment).map_err(|faults| faults.to_string())
}
