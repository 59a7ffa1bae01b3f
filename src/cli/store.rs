//! What commands that reach a store share: opening it by its URL, asking whether it takes objects, waiting for it.

use crate::config::Config;
use crate::lake::key::Prefix;
use crate::lake::key::Writer;
use crate::lake::objects::Failure;
use crate::lake::remote::Remote;
use crate::lake::store::Patience;
use crate::lake::store::Store;
use anyhow::Context as _;
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

/// Finds out whether the store of a configuration takes objects. In a folder nothing is made; in a bucket one small
/// object is left.
///
/// # Errors
/// What is missing, and the way out.
pub fn check(config: &Config) -> Result<(), String> {
    let url = config.store_url();
    match url.split_once("://") {
        None => folder(Path::new(&url)),
        Some(("file", path)) => folder(Path::new(path)),
        Some(_) => bucket(&url).map_err(|error| format!("store.url: {error:#}")),
    }
}

fn folder(path: &Path) -> Result<(), String> {
    let whole = if path.is_absolute() { path.to_owned() } else { PathBuf::from(".").join(path) };
    let standing = whole.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    let why = match rustix::fs::access(standing, Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) if standing.is_dir() => return Ok(()),
        Ok(()) => "is not a folder".to_owned(),
        Err(error) => format!("cannot be written: {error}"),
    };
    Err(format!(
        "store.url: {}: {why}: make it a folder that this user can write, or set store.url",
        standing.display()
    ))
}

fn bucket(url: &str) -> anyhow::Result<()> {
    let patience = Patience { attempts: 2, attempt: Duration::from_secs(10), ..Patience::default() };
    let remote = Remote::open(url, &Config::environment())?;
    let store = Store::new(Arc::new(remote), patience, Arc::default());
    let prober: Writer = PROBER.parse()?;
    wait(store.probe(&Prefix::default(), &prober))?.map_err(|failure| match failure {
        Failure::Refused { why, .. } => anyhow::anyhow!(why),
        other => {
            anyhow::anyhow!("{url} cannot be reached: {other}: check AWS_ENDPOINT_URL, the credentials and the network")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_looked_at_and_not_made() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(folder(&home.path().join("a/b")), Ok(()));
        assert!(!home.path().join("a").exists());
        std::fs::write(home.path().join("file"), "").unwrap();
        let why = folder(&home.path().join("file/b")).unwrap_err();
        assert!(why.contains("file: ") && why.contains("store.url"), "{why}");
    }
}
