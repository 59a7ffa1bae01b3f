//! The load generator of `../shared/tools/otlpload`, built once into the tests' cache.

use super::rows::files_below;
use super::{cache, shared};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// The built program, or why there is none.
pub(crate) fn otlpload() -> Result<PathBuf, String> {
    let sources = shared().ok_or("there is no ../shared beside the project")?.join("tools/otlpload");
    let mut text = fs::read_to_string(sources.join("Cargo.toml")).map_err(|error| error.to_string())?;
    for file in files_below(&sources.join("src")) {
        text.push_str(&fs::read_to_string(file).map_err(|error| error.to_string())?);
    }
    let folder = cache::installed(&format!("otlpload-{}", cache::short_hash(&text)), |folder| {
        // A copy, for cargo writes a lock file beside the manifest.
        fs::create_dir_all(folder.join("src")).map_err(|error| error.to_string())?;
        fs::copy(sources.join("Cargo.toml"), folder.join("Cargo.toml")).map_err(|error| error.to_string())?;
        for file in files_below(&sources.join("src")) {
            let name = file.file_name().ok_or("a source has a name")?;
            fs::copy(&file, folder.join("src").join(name)).map_err(|error| error.to_string())?;
        }
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--release", "--manifest-path"]).arg(folder.join("Cargo.toml"));
        cache::run(cargo.arg("--target-dir").arg(folder.join("target")))
    })?;
    Ok(folder.join("target/release/otlpload"))
}
