//! Records that panic the mapping, and records that this process itself exported.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_panics_costs_nothing_but_itself() {
    let doors = Doors::open(Config::default(), &[]).await;
    let mut request = spans(&["one", "panic", "three"]);
    let secret = "AKIAIOSFODNN7EXAMPLE sk-abcdefghijklmnopqrstuvwxyz012345";
    request.resource_spans[0].scope_spans[0].spans[1].attributes.push(text("gen_ai.prompt", secret));
    let answer = doors.request().body(request.encode_to_vec()).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let records = doors.log.records();
    assert_eq!(records.len(), 3);
    let dead: Vec<&Partial> = records.iter().filter(|record| record.kind() == Kind::Dead).collect();
    let [dead] = dead.try_into().unwrap();
    let told = dead.dead.as_ref().unwrap();
    assert!(told.reason.contains("panicked") && told.text.contains("\"panic\""), "{told:?}");
    assert!(!told.text.contains("sk-abcdefghijklmnop"), "its text is redacted: {}", told.text);
    assert_eq!(doors.metrics.panics.get(), 1);
    doors.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_this_process_exported_is_left_and_its_neighbours_are_taken() {
    let doors = Doors::open(Config::default(), &[]).await;
    let mut own = spans(&["fold", "upload"]);
    let attributes = vec![text("service.name", "chatlake"), text("service.instance.id", "me")];
    own.resource_spans[0].resource = Some(Resource { attributes, ..Resource::default() });
    let answer = doors.request().body(own.encode_to_vec()).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(doors.log.requests.lock().unwrap().is_empty(), "nothing is logged, so nothing can come of it");
    let ledger = doors.metrics.ledger();
    assert_eq!((ledger.received, ledger.left_out["own_telemetry"]), (2, 2));
    assert!(ledger.balances());

    // A Collector may put requests together; a broken text's note still finds its record.
    let mut other = own.clone();
    other.resource_spans.extend(spans(&["good", "caf?"]).resource_spans);
    let mut bytes = other.encode_to_vec();
    let at = bytes.windows(4).position(|window| window == b"caf?").unwrap();
    bytes[at + 3] = 0xe9;
    let answer = doors.request().body(bytes).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let rows: Vec<_> = doors.log.records().into_iter().map(|record| record.row.unwrap()).collect();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0].notes, [""; 0]);
    assert_eq!(rows[1].notes, ["invalid utf-8 replaced"]);
}
