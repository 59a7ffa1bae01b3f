//! The doors on real sockets, with a log that is a stand-in.

mod abuse;
mod ending;
mod grpc;
mod http;
mod own;

use super::auth::Keys;
use super::auth::Source;
use super::*;
use crate::clock::Clock;
use crate::clock::SystemClock;
use crate::dialect;
use crate::event::Kind;
use crate::event::Partial;
use crate::event::record::Record;
use crate::metrics::Metrics;
use crate::redact;
use crate::redact::Redacted;
use async_trait::async_trait;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::AnyValue;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use opentelemetry_proto::tonic::trace::v1::ScopeSpans;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A log in memory, which is full, or slow, when it is told to.
#[derive(Debug)]
struct Memory {
    requests: Mutex<Vec<Vec<Redacted>>>,
    full: AtomicBool,
    /// Requests that may be appended without waiting.
    free: Semaphore,
    /// A permit for each request that has come since the log was stopped.
    came: Semaphore,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            requests: Mutex::default(),
            full: AtomicBool::new(false),
            free: Semaphore::new(1000),
            came: Semaphore::new(0),
        }
    }
}

#[async_trait]
impl Log for Memory {
    fn has_room(&self) -> bool {
        !self.full.load(Ordering::Relaxed)
    }

    async fn append(&self, request: Vec<Redacted>, _: Duration) -> Result<(), Rejected> {
        self.came.add_permits(1);
        self.free.acquire().await.unwrap().forget();
        self.requests.lock().unwrap().push(request);
        Ok(())
    }
}

impl Memory {
    /// What was appended, decoded.
    fn records(&self) -> Vec<Partial> {
        let requests = self.requests.lock().unwrap();
        let blobs = requests.iter().flatten().flat_map(Redacted::records);
        blobs.map(|blob| Record::decode(blob).unwrap().partial).collect()
    }

    /// Appends wait from now on, until they are let go.
    fn stop(&self) {
        self.free.forget_permits(1000);
        self.came.forget_permits(self.came.available_permits());
    }

    /// Waits for one more request that waits, or was appended since.
    async fn next(&self) {
        self.came.acquire().await.unwrap().forget();
    }
}

/// Maps as dialects do, but panics over spans named so.
#[derive(Debug)]
struct Squeamish;

impl Mapper for Squeamish {
    fn map(&self, request: Request) -> Vec<Mapped> {
        if let Request::Traces(request) = &request {
            let scopes = request.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
            assert!(!scopes.flat_map(|scope| &scope.spans).any(|span| span.name == "panic"), "as asked for");
        }
        dialect::Settings { keep_unknown: true, ..dialect::Settings::default() }.map(request)
    }
}

/// Running doors.
struct Doors {
    log: Arc<Memory>,
    metrics: Arc<Metrics>,
    grpc: String,
    http: String,
    stop: CancellationToken,
    running: Vec<JoinHandle<()>>,
}

impl Doors {
    async fn open(config: Config, keys: &[&str]) -> Self {
        let config =
            Config { grpc_endpoint: "127.0.0.1:0".to_owned(), http_endpoint: "127.0.0.1:0".to_owned(), ..config };
        let (log, metrics) = (Arc::new(Memory::default()), Arc::new(Metrics::default()));
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let policies = redact::Policies::new(redact::Config::default(), redact::Key::new(&[0; 32])).unwrap();
        let road = Road::new(Arc::new(Squeamish), Arc::new(policies)).leaving("me".to_owned());
        let keys = keys.iter().map(|key| Keys {
            source: Source::Key((*key).to_owned()),
            caller: Caller::default(),
            doors: Vec::new(),
        });
        let auth = Auth::new(keys.collect(), Arc::clone(&clock));
        let appending = Arc::clone(&log) as Arc<dyn Log>;
        let accept = Arc::new(Accept::new(&config, road, appending, auth, clock, Arc::clone(&metrics)));
        let grpc = bind_grpc(&config, Arc::clone(&accept)).await.unwrap();
        let http = bind_http(&config, accept).await.unwrap();
        let stop = CancellationToken::new();
        let (grpc_at, http_at) = (grpc.address(), http.address());
        let running = vec![spawn(grpc.run(stop.clone())), spawn(http.run(stop.clone()))];
        Self { log, metrics, grpc: format!("http://{grpc_at}"), http: format!("http://{http_at}"), stop, running }
    }

    fn request(&self) -> reqwest::RequestBuilder {
        reqwest::Client::new().post(format!("{}/v1/traces", self.http)).header("content-type", "application/x-protobuf")
    }

    /// The doors still take what is good.
    async fn check(&self) {
        let before = self.log.records().len();
        let answer = self.request().body(spans(&["fine"]).encode_to_vec()).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
        assert_eq!(self.log.records().len(), before + 1);
    }

    /// Waits until no new connection is taken.
    async fn closed(&self) {
        let address = self.http.trim_start_matches("http://");
        let refused = async { while tokio::net::TcpStream::connect(address).await.is_ok() {} };
        tokio::time::timeout(Duration::from_secs(30), refused).await.expect("the doors close");
    }
}

impl Drop for Doors {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[expect(clippy::disallowed_methods, reason = "what app.rs does")]
fn spawn<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    tokio::spawn(task)
}

/// A request of spans with these names, each in a trace of its own.
fn spans(names: &[&str]) -> ExportTraceServiceRequest {
    let spans = (1_u8..).zip(names).map(|(id, name)| Span {
        trace_id: vec![id; 16],
        span_id: vec![id; 8],
        name: (*name).to_owned(),
        start_time_unix_nano: 1_700_000_000_000_000_000,
        end_time_unix_nano: 1_700_000_001_000_000_000,
        attributes: vec![text("gen_ai.operation.name", "chat")],
        ..Span::default()
    });
    let scope_spans = vec![ScopeSpans { spans: spans.collect(), ..ScopeSpans::default() }];
    ExportTraceServiceRequest { resource_spans: vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }] }
}

fn text(key: &str, text: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(Value::StringValue(text.to_owned())) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}
