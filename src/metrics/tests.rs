use super::*;
use std::sync::Arc;

fn settled() -> Settled {
    Settled {
        landed: 3,
        merged: 2,
        left_out: BTreeMap::from([("unknown".to_owned(), 1)]),
        deduplicated: 1,
        quarantined: 1,
    }
}

#[test]
fn the_ledger_balances_after_every_change() {
    let metrics = Metrics::default();
    let changes: [&dyn Fn(); 5] = [
        &|| metrics.received(10),
        &|| metrics.recovered(4),
        &|| metrics.rejected("no_ids", 2),
        &|| metrics.rejected("no_ids", 0),
        &|| metrics.settled(&settled()),
    ];
    for change in changes {
        change();
        assert!(metrics.ledger().balances(), "{:?}", metrics.ledger());
    }
    let ledger = metrics.ledger();
    assert_eq!((ledger.received, ledger.recovered, ledger.buffered), (12, 4, 6));
    assert_eq!(ledger.rejected, BTreeMap::from([("no_ids".to_owned(), 2)]));
}

#[test]
fn more_decided_than_came_in_shows() {
    let metrics = Metrics::default();
    metrics.settled(&settled());
    assert!(!metrics.ledger().balances());
}

#[test]
fn a_reading_balances_while_others_count() {
    let metrics = Arc::new(Metrics::default());
    metrics.recovered(80_000);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for _ in 0..3_000 {
                    metrics.received(1);
                    metrics.settled(&settled());
                    metrics.rejected("no_ids", 1);
                }
            });
        }
        for _ in 0..300 {
            assert!(metrics.ledger().balances());
        }
    });
}

#[test]
fn the_page_shows_the_ledger_and_every_series() {
    let metrics = Arc::new(Metrics::default());
    metrics.received(10);
    metrics.settled(&settled());
    metrics.answered("otlp_grpc", "ok", Duration::from_millis(3));
    metrics.store_errors.count("put", "slow_down");
    metrics.last_commit_micros.set(1_500_000);
    metrics.dedupe_window_seconds.set(3600);
    let page = metrics.page();
    for line in [
        "chatlake_records_received_total 10",
        "chatlake_records_left_out_total{reason=\"unknown\"} 1",
        "chatlake_records_buffered 2",
        "chatlake_receiver_requests_total{door=\"otlp_grpc\",outcome=\"ok\"} 1",
        "chatlake_receiver_answer_seconds_bucket{le=\"0.005\"} 1",
        "chatlake_store_errors_total{operation=\"put\",kind=\"slow_down\"} 1",
        "chatlake_commit_last_seconds 1.5",
        "chatlake_dedupe_window_seconds 3600",
        "# EOF",
    ] {
        assert!(page.lines().any(|found| found == line), "{line} is missing in\n{page}");
    }
    assert!(
        page.contains("\nprocess_resident_memory_bytes ") && page.contains("\nprocess_cpu_seconds_total "),
        "{page}"
    );
}
