use super::*;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::MetricsService;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::MetricsServiceServer;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::TraceService;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::TraceServiceServer;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use prost::Message as _;
use std::collections::BTreeMap;
use std::io::Write;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;

/// What a receiver has received.
#[derive(Debug, Clone, Default)]
struct Received {
    traces: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
    metrics: Arc<Mutex<Vec<ExportMetricsServiceRequest>>>,
}

#[tonic::async_trait]
impl TraceService for Received {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        self.traces.lock().unwrap().push(request.into_inner());
        Ok(tonic::Response::new(Default::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Received {
    async fn export(
        &self,
        request: tonic::Request<ExportMetricsServiceRequest>,
    ) -> Result<tonic::Response<ExportMetricsServiceResponse>, tonic::Status> {
        self.metrics.lock().unwrap().push(request.into_inner());
        Ok(tonic::Response::new(Default::default()))
    }
}

impl Received {
    /// Receives over gRPC; gives where.
    async fn grpc(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tonic::transport::Server::builder()
            .add_service(TraceServiceServer::new(self.clone()))
            .add_service(MetricsServiceServer::new(self.clone()))
            .serve_with_incoming(TcpListenerStream::new(listener));
        spawn(async move { server.await.unwrap() });
        format!("http://{address}")
    }

    /// Receives over HTTP; gives where.
    async fn http(&self) -> String {
        let (traces, metrics) = (Arc::clone(&self.traces), Arc::clone(&self.metrics));
        let take_traces = async move |body: bytes::Bytes| {
            traces.lock().unwrap().push(ExportTraceServiceRequest::decode(body).unwrap());
        };
        let take_metrics = async move |body: bytes::Bytes| {
            metrics.lock().unwrap().push(ExportMetricsServiceRequest::decode(body).unwrap());
        };
        let router = axum::Router::new()
            .route("/v1/traces", axum::routing::post(take_traces))
            .route("/v1/metrics", axum::routing::post(take_metrics));
        let listener = crate::net::bind("127.0.0.1:0", "a test", "nothing").await.unwrap();
        let address = listener.address();
        let service = crate::net::Service { router, on_panic: || panic!(), metrics: Arc::default() };
        spawn(listener.serve(service, crate::net::Limits::default(), tokio_util::sync::CancellationToken::new()));
        format!("http://{address}")
    }

    /// Names of spans, with what their resource says of the instance.
    fn spans(&self) -> Vec<(String, String)> {
        let mut out = Vec::new();
        for request in self.traces.lock().unwrap().iter() {
            for resource in &request.resource_spans {
                let instance =
                    resource.resource.as_ref().unwrap().attributes.iter().find(|a| a.key == "service.instance.id");
                let instance = format!("{:?}", instance.unwrap().value);
                let spans = resource.scope_spans.iter().flat_map(|scope| &scope.spans);
                out.extend(spans.map(|span| (span.name.clone(), instance.clone())));
            }
        }
        out
    }

    /// The last number of each metric, and of each series that has labels.
    fn numbers(&self) -> BTreeMap<String, f64> {
        let mut out = BTreeMap::new();
        let requests = self.metrics.lock().unwrap();
        let scopes = requests.iter().flat_map(|r| &r.resource_metrics).flat_map(|r| &r.scope_metrics);
        for metric in scopes.flat_map(|scope| &scope.metrics) {
            let points = match metric.data.as_ref().unwrap() {
                Data::Sum(sum) => &sum.data_points,
                Data::Gauge(gauge) => &gauge.data_points,
                other => panic!("{other:?}"),
            };
            for point in points {
                let number = match point.value.unwrap() {
                    Number::AsInt(number) => number as f64,
                    Number::AsDouble(number) => number,
                };
                let labels: Vec<String> = point.attributes.iter().map(|a| format!("{}={:?}", a.key, a.value)).collect();
                out.insert(format!("{}{}", metric.name, labels.concat()), number);
            }
        }
        out
    }
}

#[expect(clippy::disallowed_methods, reason = "what app.rs does")]
fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(task);
}

fn config(otlp: Option<Otlp>) -> Config {
    Config { filter: "info".to_owned(), json: false, otlp }
}

/// Lines that were logged.
#[derive(Debug, Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn of(config: &Config, told: impl FnOnce()) -> String {
        let lines = Self::default();
        let telemetry = Telemetry::new(config, &Arc::default(), "me".to_owned()).unwrap();
        let writer = lines.clone();
        let subscriber = telemetry.subscriber(config, false, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, told);
        String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
    }
}

async fn spans_and_metrics_arrive(received: &Received, otlp: Otlp) {
    let metrics = Arc::new(Metrics::default());
    metrics.received(7);
    metrics.answered("otlp_http", "ok", Duration::from_millis(1));
    let config = config(Some(otlp));
    let telemetry = Telemetry::new(&config, &metrics, "me".to_owned()).unwrap();
    {
        let subscriber = telemetry.subscriber(&config, false, io::sink).unwrap();
        let _default = tracing::subscriber::set_default(subscriber);
        tracing::info_span!(target: "chatlake::spans", "fold", segment = 3).in_scope(|| {
            // What libraries do, the exporter's own among them, is theirs.
            tracing::info_span!(target: "hyper", "request").in_scope(|| ());
        });
        let own = tracing::info_span!(target: "chatlake::spans", "receive", own = tracing::field::Empty);
        own.record("own", true);
    }
    metrics.received(1);
    tokio::task::spawn_blocking(|| telemetry.shutdown()).await.unwrap();
    let [(name, instance)] = received.spans().try_into().unwrap();
    assert_eq!(name, "fold");
    assert!(instance.contains("\"me\""), "{instance}");
    let numbers = received.numbers();
    assert_eq!(numbers["chatlake_records_received"], 8.0);
    assert_eq!(numbers["chatlake_records_buffered"], 8.0);
    let requests = numbers.iter().find(|(name, _)| name.starts_with("chatlake_receiver_requests"));
    assert!(requests.is_some_and(|(name, number)| name.contains("otlp_http") && *number == 1.0), "{numbers:?}");
    assert!(numbers.contains_key("process_cpu_seconds"), "{numbers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_and_metrics_arrive_over_grpc() {
    let received = Received::default();
    let endpoint = received.grpc().await;
    spans_and_metrics_arrive(&received, Otlp::new(endpoint, false)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_and_metrics_arrive_over_http() {
    let received = Received::default();
    let endpoint = received.http().await;
    spans_and_metrics_arrive(&received, Otlp::new(endpoint, true)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_away_costs_telemetry_and_nothing_else() {
    let telemetry = config(Some(Otlp::new("127.0.0.1:1".to_owned(), false)));
    let telemetry = Telemetry::new(&telemetry, &Arc::default(), "me".to_owned()).unwrap();
    tokio::task::spawn_blocking(|| telemetry.shutdown()).await.unwrap();
}

#[test]
fn the_numbers_of_one_export_are_of_one_reading() {
    let metrics = Arc::new(Metrics::default());
    let reading = Reading { metrics: Arc::clone(&metrics), latest: Mutex::default() };
    let of = |name| match reading.of(name).unwrap() {
        Series::Gauge(value) => value,
        Series::Counts(series) => i64::try_from(series[0].1).unwrap(),
        other => panic!("{other:?}"),
    };
    assert_eq!(of("chatlake_records_received"), 0);
    metrics.received(5);
    assert_eq!(of("chatlake_records_buffered"), 0, "still the first reading");
    assert_eq!(of("chatlake_records_received"), 5, "asked for again: a new one");
    assert_eq!(of("chatlake_records_buffered"), 5);
}

#[test]
fn a_level_is_for_chatlake_and_filters_for_what_they_name() {
    let tell = || {
        tracing::info!(target: "chatlake::receiver", "ours");
        tracing::info!(target: "hyper", "theirs");
        tracing::warn!(target: "hyper", "their fault");
        tracing::info_span!(target: "chatlake::spans", "fold").in_scope(|| tracing::debug!("too much"));
    };
    let lines = Lines::of(&config(None), tell);
    assert!(lines.contains("ours") && lines.contains("their fault"), "{lines}");
    assert!(!lines.contains("theirs") && !lines.contains("too much"), "{lines}");
    let lines = Lines::of(&Config { filter: "hyper=info".to_owned(), ..config(None) }, tell);
    assert!(lines.contains("theirs") && !lines.contains("ours"), "{lines}");
    let error = Telemetry::new(&config(None), &Arc::default(), String::new())
        .unwrap()
        .subscriber(&Config { filter: "no=such=thing".to_owned(), ..config(None) }, false, io::sink)
        .map(|_| ())
        .unwrap_err();
    assert!(error.to_string().contains("log.level"), "{error}");
}

#[test]
fn json_logs_are_an_object_a_line() {
    let config = Config { json: true, ..config(None) };
    let lines = Lines::of(&config, || tracing::info!(target: "chatlake::lake", segment = 7, "landed \"it\"\n"));
    let [line] = lines.lines().collect::<Vec<_>>().try_into().unwrap();
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["message"], "landed \"it\"\n");
    assert_eq!((&line["level"], &line["segment"]), (&"INFO".into(), &7.into()));
    assert!(line["timestamp"].is_string());
}

#[test]
fn a_panic_is_told_by_its_place_and_not_by_what_was_received() {
    let lines = Lines::of(&config(None), || {
        let before = panic::take_hook();
        panic::set_hook(Box::new(tell_panic));
        let received = String::from("s3cret");
        let _ = panic::catch_unwind(|| panic!("cannot cut {received}"));
        let _ = panic::catch_unwind(|| panic!("an invariant is broken"));
        panic::set_hook(before);
    });
    assert!(!lines.contains("s3cret"), "{lines}");
    assert!(lines.contains("telemetry/tests.rs") && lines.contains("an invariant is broken"), "{lines}");
}
