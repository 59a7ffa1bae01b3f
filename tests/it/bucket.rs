//! A bucket that is missing or refuses: what was acknowledged waits on disk, the program says why, and goes on by
//! itself when the bucket is there.

use super::support::duck::{Reader, S3};
use super::support::send::Grpc;
use super::support::server::Setup;
use super::support::{go, load, python, skip, until, wait};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

/// The S3 server's program, where there is Go, and Python to read with.
fn peers(test: &str) -> Option<std::path::PathBuf> {
    match (go::versitygw(), python::interpreter()) {
        (Ok(program), Ok(_)) => Some(program),
        (Err(why), _) | (_, Err(why)) => {
            skip(test, &why);
            None
        }
    }
}

fn good() -> ExportTraceServiceRequest {
    let (children, root) = load::trace(14 << 40, 1);
    load::request([children, vec![root]].concat())
}

fn setup(folder: &Path, s3: &S3) -> Setup {
    Setup::quick(folder).with("STORE__URL", "s3://my-bucket/chatlake").in_bucket(s3)
}

fn rows(folder: &Path, s3: &S3) -> i64 {
    let mut reader = Reader::new(folder, Some(s3)).expect("a reader");
    reader.number("SELECT count(*) FROM read_parquet('s3://my-bucket/chatlake/events/**/*.parquet')")
}

#[test]
fn rows_wait_for_a_bucket_that_is_missing() {
    let Some(program) = peers("rows_wait_for_a_bucket_that_is_missing") else { return };
    let folder = TempDir::new().expect("a folder");
    let (_child, s3) = go::serve_bucket(&program, folder.path(), "another-bucket");
    let server = setup(folder.path(), &s3).start_alive();
    wait(Grpc::new(&server.grpc()).traces(good())).expect("acknowledged, for it is on disk");
    let (_, why) = until("a reason on /readyz", Duration::from_secs(120), || {
        server.admin("/readyz").filter(|(status, _)| *status == 503)
    });
    assert!(why.contains("my-bucket"), "{why}");
    assert_eq!(server.ledger().buffered, 4);
    assert!(server.said().contains("my-bucket"), "{}", server.said());

    std::fs::create_dir(folder.path().join("buckets/my-bucket")).expect("a bucket is a folder");
    server.drain(Duration::from_secs(120));
    until("ready again", Duration::from_secs(120), || server.admin("/readyz").filter(|(status, _)| *status == 200));
    assert_eq!(rows(folder.path(), &s3), 4);
}

#[test]
fn rows_wait_for_the_right_credentials() {
    let Some(program) = peers("rows_wait_for_the_right_credentials") else { return };
    let folder = TempDir::new().expect("a folder");
    let (_child, s3) = go::serve_bucket(&program, folder.path(), "my-bucket");
    let wrong = S3 { secret: "not-the-secret".to_owned(), ..s3.clone() };
    let mut server = setup(folder.path(), &wrong).with("SHUTDOWN__GRACE", "1s").start_alive();
    wait(Grpc::new(&server.grpc()).traces(good())).expect("acknowledged, for it is on disk");
    until("a reason on /readyz", Duration::from_secs(120), || {
        server.admin("/readyz").filter(|(status, why)| *status == 503 && why.contains("credentials"))
    });
    assert!(!server.said().contains("not-the-secret"), "a secret was printed: {}", server.said());
    assert!(server.stop().success(), "{}", server.said());

    let server = setup(folder.path(), &s3).start();
    let ledger = server.drain(Duration::from_secs(120));
    assert_eq!((ledger.recovered, ledger.landed), (4, 4), "{ledger:?}");
    assert_eq!(rows(folder.path(), &s3), 4);
}

#[test]
fn check_tells_a_missing_bucket_and_wrong_credentials_apart() {
    let Some(program) = peers("check_tells_a_missing_bucket_and_wrong_credentials_apart") else { return };
    let folder = TempDir::new().expect("a folder");
    let (_child, s3) = go::serve_bucket(&program, folder.path(), "my-bucket");
    let check = |setup: Setup| {
        let output = setup.command().arg("check").output().expect("the program starts");
        (output.status.code().expect("it was not killed"), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!(check(setup(folder.path(), &s3)), (0, String::new()));
    let (code, said) = check(setup(folder.path(), &s3).with("STORE__URL", "s3://no-such-bucket/chatlake"));
    assert!(code == 1 && said.contains("no-such-bucket") && said.contains("bucket"), "{code}: {said}");
    let wrong = S3 { secret: "not-the-secret".to_owned(), ..s3 };
    let (code, said) = check(setup(folder.path(), &wrong));
    assert!(code == 1 && said.contains("credentials") && !said.contains("not-the-secret"), "{code}: {said}");
    let nobody = S3 { endpoint: "127.0.0.1:9".to_owned(), ..wrong };
    let (code, said) = check(setup(folder.path(), &nobody));
    assert!(code == 1 && said.contains("127.0.0.1:9"), "{code}: {said}");
}

#[test]
fn a_stop_while_the_store_is_away_keeps_its_time_and_the_rows() {
    let folder = TempDir::new().expect("a folder");
    let nobody =
        S3 { endpoint: "127.0.0.1:9".to_owned(), key_id: "key".to_owned(), secret: "not-to-be-seen".to_owned() };
    let mut server = setup(folder.path(), &nobody).with("SHUTDOWN__GRACE", "1s").start_alive();
    wait(Grpc::new(&server.grpc()).traces(good())).expect("acknowledged, for it is on disk");
    let told = || server.admin("/readyz").filter(|(status, why)| *status == 503 && why.contains("cannot be reached"));
    until("a reason on /readyz", Duration::from_secs(120), told);
    let status = server.stop_within(Duration::from_secs(20));
    let said = server.said();
    assert!(status.success(), "{status}: {said}");
    assert!(said.trim_end().ends_with("the next start goes on where they were"), "{said}");
    assert!(said.contains("stopped while ") && said.contains("uploads had more to do"), "{said}");
    assert!(!said.contains("panic") && !said.contains("not-to-be-seen"), "{said}");

    // The store is another one now: what waits lands there.
    let server = Setup::quick(folder.path()).start();
    let ledger = server.drain(Duration::from_secs(30));
    assert_eq!((ledger.recovered, ledger.landed), (4, 4), "{ledger:?}");
}
