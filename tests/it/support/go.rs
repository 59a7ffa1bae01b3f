//! Real peers built from Go modules: an OpenTelemetry Collector and an S3 server, each pinned.

use super::child::Child;
use super::duck::S3;
use super::{cache, free_address, project, until};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

/// The S3 server's version.
const VERSITYGW: &str = "1.8.0";

/// An OpenTelemetry Collector with the parts that `collector-config.yaml` names, built from the sources in
/// `tests/collector`, whose `go.sum` pins every module.
///
/// The error says why there is none.
pub(crate) fn collector() -> Result<PathBuf, String> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    BUILT.get_or_init(build_collector).clone()
}

/// The S3 server `versitygw`.
///
/// The error says why there is none.
pub(crate) fn versitygw() -> Result<PathBuf, String> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    BUILT.get_or_init(build_versitygw).clone()
}

/// Starts the S3 server with one bucket, its files below `folder`.
pub(crate) fn serve_bucket(program: &Path, folder: &Path, bucket: &str) -> (Child, S3) {
    let buckets = folder.join("buckets");
    std::fs::create_dir_all(buckets.join(bucket)).expect("a bucket is a folder");
    let s3 = S3 { endpoint: free_address(), key_id: "test".to_owned(), secret: "testtest".to_owned() };
    let mut command = Command::new(program);
    command.env("ROOT_ACCESS_KEY", &s3.key_id).env("ROOT_SECRET_KEY", &s3.secret);
    let child = Child::start(command.args(["--port", &s3.endpoint, "posix"]).arg(&buckets));
    until("the S3 server", Duration::from_secs(120), || std::net::TcpStream::connect(&s3.endpoint).ok());
    (child, s3)
}

fn build_collector() -> Result<PathBuf, String> {
    cache::has("go", "version")?;
    let sources = project().join("tests/collector");
    let sums = std::fs::read_to_string(sources.join("go.sum")).map_err(|error| error.to_string())?;
    let folder = cache::installed(&format!("collector-{}", cache::short_hash(&sums)), |folder| {
        let mut go = Command::new("go");
        go.args(["build", "-trimpath", "-ldflags=-s -w", "-o"]).arg(folder.join("otelcol")).arg(".");
        cache::run(go.current_dir(&sources))
    })?;
    Ok(folder.join("otelcol"))
}

fn build_versitygw() -> Result<PathBuf, String> {
    cache::has("go", "version")?;
    let folder = cache::installed(&format!("versitygw-{VERSITYGW}"), |folder| {
        let module = format!("github.com/versity/versitygw/cmd/versitygw@v{VERSITYGW}");
        cache::run(Command::new("go").args(["install", &module]).env("GOBIN", folder))
    })?;
    Ok(folder.join("versitygw"))
}
