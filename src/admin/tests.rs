use super::*;

fn shown() -> Shown {
    Shown { metrics: Arc::default(), readiness: Arc::default(), report: Arc::default(), refresh: Refresh::new(|| ()) }
}

/// The pages on a port of their own, until the token is dropped.
async fn pages() -> (String, Shown, tokio_util::sync::DropGuard) {
    let shown = shown();
    let bound = bind("127.0.0.1:0", shown.clone()).await.unwrap();
    let address = format!("http://{}", bound.address());
    let stop = CancellationToken::new();
    #[expect(clippy::disallowed_methods, reason = "what app.rs does")]
    tokio::task::spawn(bound.run(stop.clone()));
    (address, shown, stop.drop_guard())
}

async fn page(address: &str, path: &str) -> (u16, String) {
    let answer = reqwest::get(format!("{address}{path}")).await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test]
async fn readiness_says_why_not() {
    let (address, shown, _stop) = pages().await;
    assert_eq!(page(&address, "/readyz").await, (200, "ready\n".to_owned()));
    shown.readiness.hold("store", "the bucket does not answer");
    shown.readiness.hold("log", "the disk is full");
    let text = "log: the disk is full\nstore: the bucket does not answer\n".to_owned();
    assert_eq!(page(&address, "/readyz").await, (503, text));
    assert_eq!(page(&address, "/healthz").await.0, 200);
    shown.readiness.clear("store");
    shown.readiness.clear("log");
    assert_eq!(page(&address, "/readyz").await.0, 200);
}

#[tokio::test]
async fn status_and_metrics_show_the_same_ledger() {
    let (address, shown, _stop) = pages().await;
    shown.metrics.received(7);
    let why = BTreeMap::from([("team".to_owned(), "403 AccessDenied".to_owned())]);
    shown.report.lock().unwrap().parked.insert(12, why);
    let (_, text) = page(&address, "/status").await;
    let status: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(status["records"]["received"], 7);
    assert_eq!(status["ready"], true);
    assert_eq!(status["store"]["parked"]["12"]["team"], "403 AccessDenied");
    assert!(page(&address, "/metrics").await.1.contains("\nchatlake_records_received_total 7\n"));
    assert_eq!(page(&address, "/nowhere").await.0, 404);
}

#[tokio::test]
async fn a_taken_port_is_told_with_the_way_out() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = taken.local_addr().unwrap().to_string();
    let shown = shown();
    let error = bind(&endpoint, shown).await.unwrap_err().to_string();
    assert!(error.contains(&endpoint) && error.contains("admin.endpoint"), "{error}");
}
