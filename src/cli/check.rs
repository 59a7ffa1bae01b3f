//! `chatlake check`: the resolved configuration, whether its folder can be written and its store takes objects; or all
//! that is wrong with it.

use crate::cli::Status;
use crate::cli::plain;
use crate::cli::store;
use crate::config::Config;
use crate::receiver::auth::Source;
use std::fs;
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
            let faults: Vec<String> = store::takes(&config).into_iter().chain(unread(&config)).collect();
            faults.iter().for_each(|fault| eprintln!("{}", plain::block(fault, "")));
            if faults.is_empty() { Status::Good } else { Status::Fault }
        }
        Err(fault) => {
            eprintln!("{}", plain::block(&fault, ""));
            Status::Fault
        }
    }
}

/// Files of keys and secrets that cannot be read: their senders would be asked to come again for ever.
fn unread(config: &Config) -> Vec<String> {
    let keys = config.keys.iter().filter_map(|keys| match &keys.source {
        Source::File(path) => Some(("auth.keys", path)),
        Source::Key(_) => None,
    });
    let webhooks = &config.posted.webhooks;
    let meta = webhooks.meta.iter().map(|sender| ("webhooks.meta", sender));
    let twilio = webhooks.twilio.iter().map(|sender| ("webhooks.twilio", sender));
    let secrets = meta.chain(twilio).filter_map(|(key, sender)| Some((key, sender.secret_file.as_ref()?)));
    let faults = keys.chain(secrets).filter_map(|(key, path)| {
        let is_one = |line: &str| !line.trim().is_empty() && !line.trim().starts_with('#');
        let why = match fs::read_to_string(path) {
            Ok(text) if text.lines().any(is_one) => return None,
            Ok(_) => "holds none".to_owned(),
            Err(error) => format!("cannot be read: {error}"),
        };
        Some(format!("{key}: {}: {why}: write one on each line, readable for this user", path.display()))
    });
    faults.collect()
}

/// Reads the configuration of a command: its file, if one is named, and the environment.
///
/// # Errors
/// What is wrong, in lines to print.
pub fn read(file: Option<&Path>) -> Result<Config, String> {
    let environment = Config::environment();
    let text = match file {
        Some(path) => match fs::read_to_string(path) {
            Ok(text) => Some((path.display().to_string(), text)),
            Err(error) => return Err(format!("{}: cannot be read: {error}\n", path.display())),
        },
        None => None,
    };
    let named = text.as_ref().map(|(name, text)| (name.as_str(), text.as_str()));
    Config::read(named, &environment).map_err(|faults| faults.to_string())
}
