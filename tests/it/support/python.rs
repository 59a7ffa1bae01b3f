//! Python with what reads the lake: DuckDB with its S3 extension, pyarrow, and OpenAI's own types.

use super::{cache, project};
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// The interpreter of an environment with the packages of `tests/python/requirements.txt`.
///
/// The error says why there is none.
pub(crate) fn interpreter() -> Result<PathBuf, String> {
    static INTERPRETER: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    INTERPRETER.get_or_init(|| environment("requirements.txt")).clone()
}

/// The interpreter of an environment with the packages of a file of pins in `tests/python`.
pub(crate) fn environment(requirements: &str) -> Result<PathBuf, String> {
    let file = project().join("tests/python").join(requirements);
    let pins = std::fs::read_to_string(&file).map_err(|error| format!("read {}: {error}", file.display()))?;
    cache::has("python3", "--version")?;
    let folder = cache::installed(&format!("python-{}", cache::short_hash(&pins)), |folder| {
        cache::run(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
        let mut pip = Command::new(folder.join("bin/python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--requirement"]);
        cache::run(pip.arg(&file))
    })?;
    Ok(folder.join("bin/python"))
}

/// Runs a script of `tests/python` and gives what it printed.
///
/// # Panics
/// When it fails: with what it wrote to its error output.
pub(crate) fn run(script: &str, arguments: &[&str]) -> String {
    let python = interpreter().expect("a Python environment");
    let output = Command::new(python)
        .arg(project().join("tests/python").join(script))
        .args(arguments)
        .output()
        .expect("python starts");
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("a script prints UTF-8")
}
