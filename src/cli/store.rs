//! What commands that reach a store share: opening it by its URL, asking whether it takes objects, waiting for it.

use crate::cli::Status;
use crate::cli::check;
use crate::cli::plain;
use crate::clock::Clock as _;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::config::units;
use crate::lake::key::Prefix;
use crate::lake::key::Writer;
use crate::lake::objects::Failure;
use crate::lake::remote::Remote;
use crate::lake::scan::Scan;
use crate::lake::store::Patience;
use crate::lake::store::Store;
use anyhow::Context as _;
use chrono::DateTime;
use chrono::NaiveDate;
use chrono::NaiveTime;
use indicatif::ProgressBar;
use indicatif::ProgressDrawTarget;
use indicatif::ProgressStyle;
use rustix::fs::Access;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Who asks whether a store takes objects, where no writer is at hand. Writers end in an id, so none has this name.
const PROBER: &str = "check";

/// Opens the store of a URL with the credentials of the environment.
///
/// # Errors
/// When the URL leads to no store.
pub fn open(url: &str) -> anyhow::Result<(Arc<Remote>, Store)> {
    let remote = Arc::new(Remote::open(url, &Config::environment())?);
    let store = Store::new(Arc::clone(&remote) as _, Patience::default(), Arc::default());
    Ok((remote, store))
}

/// Runs a future to its end, on this thread.
///
/// # Errors
/// When the system has no room for an event loop.
pub fn wait<T>(future: impl Future<Output = T>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    Ok(runtime.context("start an event loop")?.block_on(future))
}

/// How events are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// For people.
    Text,
    /// JSON lines.
    Json,
    /// Comma-separated, with a head.
    Csv,
}

/// Where a command reads.
#[derive(Debug, clap::Args)]
pub struct Place {
    /// Where the lake is: a folder or a URL; without it, what the configuration says.
    #[arg(value_name = "URL")]
    url: Option<String>,
    /// Configuration file; without it, environment variables and defaults.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Place {
    /// Opens the lake. One that is not there is not made.
    ///
    /// # Errors
    /// What is wrong, in lines to print.
    pub fn open(&self) -> Result<Scan, String> {
        let url = match &self.url {
            Some(url) => url.clone(),
            None => check::read(self.config.as_deref())?.store_url(),
        };
        let folder = url.strip_prefix("file://").or_else(|| (!url.contains("://")).then_some(url.as_str()));
        if let Some(folder) = folder.filter(|folder| !Path::new(folder).is_dir()) {
            return Err(format!("{folder}: there is no such folder: name that of a lake (data.dir or store.url)"));
        }
        open(&url).map(|(_, store)| Scan::new(store)).map_err(|error| format!("{error:#}"))
    }
}

/// Runs a command that reads a lake.
pub fn read(place: &Place, run: impl AsyncFnOnce(Scan) -> anyhow::Result<Status>) -> Status {
    let scan = match place.open() {
        Ok(scan) => scan,
        Err(fault) => {
            eprintln!("{}", plain::block(&fault, ""));
            return Status::Usage;
        }
    };
    match wait(run(scan)).flatten() {
        Ok(status) => status,
        Err(error) => {
            eprintln!("{}", plain::line(&format!("{error:#}")));
            Status::Storage
        }
    }
}

/// Whether a row's tenant is the one that is asked for; `''` asks for rows of none.
pub fn is_of(wanted: Option<&str>, tenant: Option<&str>) -> bool {
    wanted.is_none_or(|wanted| wanted == tenant.unwrap_or_default())
}

/// A time: a date, a time of RFC 3339, or how long before `now`. Microseconds since 1970.
///
/// # Errors
/// How it is to be written.
pub fn since(text: Option<&str>, now: i64) -> Result<Option<i64>, String> {
    let Some(text) = text else { return Ok(None) };
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(Some(time.timestamp_micros()));
    }
    if let Ok(date) = text.parse::<NaiveDate>() {
        return Ok(Some(date.and_time(NaiveTime::MIN).and_utc().timestamp_micros()));
    }
    match units::duration(text) {
        Ok(ago) => Ok(Some(now.saturating_sub(micros(ago)))),
        Err(_) => {
            Err(format!("{text:?}: write a date (2026-11-21), a time (2026-11-21T09:00:00Z) or how long ago (7d)"))
        }
    }
}

/// Microseconds of a duration.
pub fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// A bar on a terminal, and nothing elsewhere; it also keeps the time.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    clock: SystemClock,
}

impl Progress {
    /// Begins a bar over so many bytes.
    pub fn begin(doing: &'static str, bytes: u64) -> Self {
        // Draws on a terminal only.
        let bar = ProgressBar::with_draw_target(Some(bytes), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{msg} {bar:32} {bytes}/{total_bytes} {bytes_per_sec} eta {eta}");
        let bar = match style {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        };
        Self { bar: bar.with_message(doing), clock: SystemClock::new() }
    }

    /// Says how far it has come.
    pub fn reach(&self, bytes: u64) {
        self.bar.set_position(bytes);
    }

    /// Prints a line above the bar.
    pub fn say(&self, line: &str) {
        self.bar.suspend(|| eprintln!("{}", plain::block(line, "")));
    }

    /// Takes the bar away and gives the seconds since the begin.
    pub fn end(self) -> f64 {
        self.bar.finish_and_clear();
        self.clock.monotonic().as_secs_f64()
    }
}

/// Finds out whether the data folder and the store of a configuration take anything, and gives what is missing, with
/// the way out. In a folder nothing is made; in a bucket one small object is left.
pub fn takes(config: &Config) -> Vec<String> {
    let url = config.store.url.as_deref();
    let data = folder(&config.data_dir, "data.dir");
    let store = url.map(|url| match url.split_once("://") {
        None => folder(Path::new(url), "store.url"),
        Some(("file", path)) => folder(Path::new(path), "store.url"),
        Some(_) => bucket(url).map_err(|error| format!("store.url: {error:#}")),
    });
    [Some(data), store].into_iter().flatten().filter_map(Result::err).collect()
}

fn folder(path: &Path, key: &str) -> Result<(), String> {
    let whole = if path.is_absolute() { path.to_owned() } else { PathBuf::from(".").join(path) };
    let standing = whole.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    let why = match rustix::fs::access(standing, Access::WRITE_OK | Access::EXEC_OK) {
        _ if !standing.is_dir() => "is not a folder".to_owned(),
        Ok(()) => return Ok(()),
        Err(error) => format!("cannot be written: {error}"),
    };
    Err(format!("{key}: {}: {why}: name a folder that this user can write", standing.display()))
}

fn bucket(url: &str) -> anyhow::Result<()> {
    let patience = Patience { attempts: 2, attempt: Duration::from_secs(10), ..Patience::default() };
    let remote = Remote::open(url, &Config::environment())?;
    let store = Store::new(Arc::new(remote), patience, Arc::default());
    let prober: Writer = PROBER.parse()?;
    wait(store.probe(&Prefix::default(), &prober))?.map_err(|failure| match failure {
        Failure::Refused { why, .. } => anyhow::anyhow!(why),
        other => anyhow::anyhow!(other),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_looked_at_and_not_made() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(folder(&home.path().join("a/b"), "store.url"), Ok(()));
        assert!(!home.path().join("a").exists());
        std::fs::write(home.path().join("file"), "").unwrap();
        let why = folder(&home.path().join("file/b"), "store.url").unwrap_err();
        assert!(why.contains("file: ") && why.contains("store.url"), "{why}");
    }

    #[test]
    fn times_are_dates_times_or_long_ago() {
        let at = |text| since(Some(text), 1_000_000_000_000);
        assert_eq!(at("1970-01-02"), Ok(Some(86_400_000_000)));
        assert_eq!(at("1970-01-01T00:00:01.5Z"), Ok(Some(1_500_000)));
        assert_eq!(at("10s"), Ok(Some(999_990_000_000)));
        assert!(at("yesterday").unwrap_err().contains("2026-11-21"));
        assert_eq!(since(None, 0), Ok(None));
    }

    #[test]
    fn a_lake_that_is_not_there_is_not_made() {
        let home = tempfile::tempdir().unwrap();
        let url = home.path().join("lake").display().to_string();
        let why = Place { url: Some(url), config: None }.open().unwrap_err();
        assert!(why.contains("no such folder"), "{why}");
        assert!(!home.path().join("lake").exists());
    }
}
