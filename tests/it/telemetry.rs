//! What the running program tells of itself: its own spans and metrics over OTLP, sent to itself at the worst.

use super::support::load;
use super::support::send::Grpc;
use super::support::server::Setup;
use super::support::{free_address, until, wait};
use std::time::Duration;
use tempfile::TempDir;

/// Records that were left at the door because the program had sent them itself.
fn own(page: &str) -> u64 {
    let line = page.lines().find(|line| line.starts_with("chatlake_records_left_out_total{reason=\"own_telemetry\"}"));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0)
}

#[test]
fn telemetry_that_comes_home_starts_nothing_anew() {
    for protocol in ["grpc", "http/protobuf"] {
        let folder = TempDir::new().expect("a folder");
        let itself = free_address();
        let door = if protocol == "grpc" { "GRPC" } else { "HTTP" };
        let mut server = Setup::quick(folder.path())
            .with(&format!("RECEIVERS__OTLP__{door}__ENDPOINT"), &itself)
            .with("TELEMETRY__OTLP__ENDPOINT", &format!("http://{itself}"))
            .with("TELEMETRY__OTLP__PROTOCOL", protocol)
            .with("UNKNOWN", "keep")
            .start();
        let (children, root) = load::trace(22 << 40, 1);
        wait(Grpc::new(&server.grpc()).traces(load::request([children, vec![root]].concat()))).expect("taken");
        let page = || server.admin("/metrics").expect("the metrics page").1;
        // Receiving, folding and uploading, at least.
        let told =
            until("own spans to come home", Duration::from_secs(120), || Some(own(&page())).filter(|own| *own >= 3));
        // Spans are sent every five seconds: what the last batch started would have come by then.
        std::thread::sleep(Duration::from_secs(6));
        let settled = own(&page());
        std::thread::sleep(Duration::from_secs(6));
        assert_eq!(own(&page()), settled, "after {told} of them, {protocol}");
        let ledger = server.drain(Duration::from_secs(120));
        assert_eq!(ledger.landed, 4, "none of them became a row: {ledger:?}");
        let status = server.stop();
        assert!(status.success(), "{status}: {}", server.said());
    }
}

#[test]
fn a_filter_that_is_none_ends_the_start_with_its_key() {
    let folder = TempDir::new().expect("a folder");
    let output = Setup::quick(folder.path()).with("LOG__LEVEL", "no=such=thing").command().arg("serve").output();
    let output = output.expect("the program runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("log.level"), "{said}");
}
