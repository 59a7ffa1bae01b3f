//! How doors end: what is under way is answered, what is idle goes, what hangs is cut.

use super::*;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use tokio::time::timeout;

#[tokio::test(flavor = "multi_thread")]
async fn requests_under_way_are_answered_and_idle_connections_end_at_once() {
    let mut config = Config::default();
    config.limits.grace = Duration::from_secs(60);
    let mut doors = Doors::open(config, &[]).await;
    doors.check().await;
    let mut grpc = TraceServiceClient::connect(doors.grpc.clone()).await.unwrap();
    grpc.export(spans(&["idle later"])).await.unwrap();
    doors.log.stop();
    let over_http = spawn(doors.request().body(spans(&["http"]).encode_to_vec()).send());
    doors.log.next().await;
    let mut client = grpc.clone();
    let over_grpc = spawn(async move { client.export(spans(&["grpc"])).await });
    doors.log.next().await;
    doors.stop.cancel();
    doors.closed().await;
    doors.log.free.add_permits(1000);
    assert_eq!(over_http.await.unwrap().unwrap().status(), 200);
    over_grpc.await.unwrap().unwrap();
    for running in std::mem::take(&mut doors.running) {
        timeout(Duration::from_secs(30), running).await.expect("the doors end soon").unwrap();
    }
    assert_eq!(doors.metrics.connections.get(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_hangs_holds_up_no_stop() {
    let mut config = Config::default();
    config.limits.grace = Duration::from_millis(300);
    let mut doors = Doors::open(config, &[]).await;
    doors.log.stop();
    let hanging = spawn(doors.request().body(spans(&["hangs"]).encode_to_vec()).send());
    doors.log.next().await;
    doors.stop.cancel();
    for running in std::mem::take(&mut doors.running) {
        timeout(Duration::from_secs(30), running).await.expect("the doors end soon").unwrap();
    }
    assert!(hanging.await.unwrap().is_err(), "no answer is no success");
    assert_eq!(doors.log.records().len(), 0);
}
