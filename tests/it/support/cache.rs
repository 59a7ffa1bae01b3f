//! Things that tests install for themselves: pinned, once, shared by all checkouts of a machine.
//!
//! | path below the cache | content |
//! |---|---|
//! | `NAME/` | one installation; its name holds its versions or a hash of its pins |
//! | `NAME/.complete` | written last: without it the folder is made anew |
//! | `NAME.lock` | held while installing, so that two test runs do not disturb each other |
//!
//! The cache is `$CHATLAKE_TEST_CACHE`, else `~/.cache/chatlake`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder of everything that tests install.
pub(crate) fn root() -> PathBuf {
    if let Some(path) = std::env::var_os("CHATLAKE_TEST_CACHE") {
        return path.into();
    }
    let home = std::env::var_os("HOME").expect("HOME is set");
    Path::new(&home).join(".cache/chatlake")
}

/// The folder of the installation `name`, made by `install` unless it is there.
pub(crate) fn installed(name: &str, install: impl FnOnce(&Path) -> Result<(), String>) -> Result<PathBuf, String> {
    let folder = root().join(name);
    let stamp = folder.join(".complete");
    if stamp.exists() {
        return Ok(folder);
    }
    fs::create_dir_all(root()).map_err(|error| format!("create {}: {error}", root().display()))?;
    let lock = fs::File::create(root().join(format!("{name}.lock"))).map_err(|error| error.to_string())?;
    lock.lock().map_err(|error| error.to_string())?;
    if stamp.exists() {
        return Ok(folder);
    }
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(|error| error.to_string())?;
    }
    fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    super::say(&format!("installing {name} into {} (once)", folder.display()));
    install(&folder)?;
    fs::write(&stamp, "").map_err(|error| error.to_string())?;
    Ok(folder)
}

/// Runs a step of an installation; its output is in the error.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("run {command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let text = [output.stdout, output.stderr].concat();
    Err(format!("{command:?} ended with {}:\n{}", output.status, String::from_utf8_lossy(&text)))
}

/// Whether a program can be started: the reason if not.
pub(crate) fn has(program: &str, version: &str) -> Result<(), String> {
    match Command::new(program).arg(version).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("`{program} {version}` ended with {}", output.status)),
        Err(error) => Err(format!("`{program}` cannot be started: {error}")),
    }
}

/// A short name for a text of pins: other pins, other folder.
pub(crate) fn short_hash(text: &str) -> String {
    format!("{:016x}", xxhash_rust::xxh3::xxh3_64(text.as_bytes()))
}
