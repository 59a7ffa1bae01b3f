//! Logs to stderr, and the telemetry of the process itself: its spans and metrics over OTLP, where that is switched on.
//!
//! - A span has the target `chatlake::spans`; without an endpoint nothing is interested in it and it costs nothing.
//! - Metrics are those of the metrics page, under the same names.
//! - Nothing runs in circles. What the exporters themselves do is no span of ours. All that is sent carries
//!   [`Telemetry::instance`]; the doors leave such records where they come back, by whatever way, and the span of a
//!   request that brought them is not sent ([`OWN`]).
//! - No content of what is received stands in logs, spans or metrics.

use crate::metrics::Metrics;
use crate::metrics::Series;
use opentelemetry::Key;
use opentelemetry::KeyValue;
use opentelemetry::Value;
use opentelemetry::metrics::Meter;
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::ExporterBuildError;
use opentelemetry_otlp::MetricExporter;
use opentelemetry_otlp::Protocol;
use opentelemetry_otlp::SpanExporter;
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::PeriodicReader;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::trace::BatchConfigBuilder;
use opentelemetry_sdk::trace::BatchSpanProcessor;
use opentelemetry_sdk::trace::SdkTracerProvider;
use opentelemetry_sdk::trace::SpanData;
use opentelemetry_sdk::trace::SpanProcessor;
use std::io;
use std::io::IsTerminal as _;
use std::panic;
use std::panic::PanicHookInfo;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use tokio::runtime::Handle;
use tracing::Level;
use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

/// The target of spans that are exported.
const SPANS: &str = "chatlake::spans";

/// The field of a span that keeps it from being exported.
const OWN: &str = "own";

/// How the process speaks of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `log.level`: a level for chatlake (others then warn), or filters.
    pub filter: String,
    /// `log.format`: JSON, an object a line, or text.
    pub json: bool,
    /// Where spans and metrics go, if anywhere.
    pub otlp: Option<Otlp>,
}

/// Where spans and metrics go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Otlp {
    /// As `http://host:4317`, for HTTP without a path.
    pub endpoint: String,
    /// Over HTTP, or else gRPC.
    pub http: bool,
    /// How often spans are sent, if there are any.
    pub spans_every: Duration,
    /// How often metrics are sent.
    pub metrics_every: Duration,
}

impl Otlp {
    /// Sends to `endpoint`, as often as OpenTelemetry's SDKs do.
    pub fn new(endpoint: String, http: bool) -> Self {
        Self { endpoint, http, spans_every: Duration::from_secs(5), metrics_every: Duration::from_secs(60) }
    }
}

/// Why the process cannot speak of itself.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `log.level` holds no filter.
    #[error("log.level is neither a level (error, warn, info, debug, trace) nor a list of filters")]
    Filter(#[from] ParseError),
    /// `telemetry.otlp.*` leads nowhere.
    #[error("telemetry.otlp.endpoint cannot be used (for https set telemetry.otlp.protocol to http/protobuf)")]
    Otlp(#[from] ExporterBuildError),
    /// Somebody speaks already.
    #[error("logging was switched on twice")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// Exports until it is shut down.
#[derive(Debug)]
pub struct Telemetry {
    instance: String,
    providers: Option<(SdkTracerProvider, SdkMeterProvider)>,
}

impl Telemetry {
    /// Switches logging on for the whole process and starts to export. `instance` tells this process from all others.
    /// To be called within the runtime that exports are made on.
    ///
    /// # Errors
    /// When the configuration cannot be used.
    pub fn start(config: &Config, metrics: &Arc<Metrics>, instance: String) -> Result<Self, TelemetryError> {
        let telemetry = Self::new(config, metrics, instance)?;
        let is_terminal = io::stderr().is_terminal();
        telemetry.subscriber(config, is_terminal, io::stderr)?.try_init()?;
        panic::set_hook(Box::new(tell_panic));
        Ok(telemetry)
    }

    /// What stands in the resource of all that is exported, as `service.instance.id`.
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// Sends what is left, waiting for seconds at most. Blocks: not to be called on a thread of the runtime.
    pub fn shutdown(self) {
        const LONGEST: Duration = Duration::from_secs(2);
        if let Some((spans, metrics)) = self.providers {
            // Nobody is left to be told that the last minute of telemetry was lost; the exporters log it.
            let _ = spans.shutdown_with_timeout(LONGEST);
            let _ = metrics.shutdown_with_timeout(LONGEST);
        }
    }

    fn new(config: &Config, metrics: &Arc<Metrics>, instance: String) -> Result<Self, TelemetryError> {
        let providers = match &config.otlp {
            None => None,
            Some(otlp) => {
                let resource = Resource::builder()
                    .with_service_name("chatlake")
                    .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
                    .with_attribute(KeyValue::new("service.instance.id", instance.clone()))
                    .build();
                let (spans, numbers) = exporters(otlp)?;
                let batch = BatchConfigBuilder::default().with_scheduled_delay(otlp.spans_every).build();
                let batch = BatchSpanProcessor::builder(spans).with_batch_config(batch).build();
                let spans =
                    SdkTracerProvider::builder().with_span_processor(Foreign(batch)).with_resource(resource.clone());
                let reader = PeriodicReader::builder(numbers).with_interval(otlp.metrics_every).build();
                let numbers = SdkMeterProvider::builder().with_reader(reader).with_resource(resource).build();
                observe(&numbers.meter("chatlake"), metrics);
                Some((spans.build(), numbers))
            }
        };
        Ok(Self { instance, providers })
    }

    fn subscriber<W>(
        &self,
        config: &Config,
        colours: bool,
        writer: W,
    ) -> Result<impl Subscriber + for<'a> LookupSpan<'a> + Send + Sync + 'static, TelemetryError>
    where
        W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
    {
        let lines = tracing_subscriber::fmt::layer().with_writer(writer);
        let lines = if config.json {
            lines.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed()
        } else {
            lines.with_ansi(colours).boxed()
        };
        let spans = self.providers.as_ref().map(|(spans, _)| {
            let is_told = filter_fn(|about| {
                about.target() == SPANS
                    || about.is_event() && about.target().starts_with("chatlake") && *about.level() <= Level::WARN
            });
            tracing_opentelemetry::layer()
                .with_tracer(spans.tracer("chatlake"))
                .with_location(false)
                .with_threads(false)
                .with_target(false)
                .with_tracked_inactivity(false)
                .with_filter(is_told)
        });
        Ok(tracing_subscriber::registry().with(spans).with(lines.with_filter(filter(&config.filter)?)))
    }
}

/// Logs where a panic was. Its message may hold what was received (a text that was cut badly): only one that stands
/// so in the program is told.
fn tell_panic(about: &PanicHookInfo<'_>) {
    let place = about.location().map_or_else(|| "somewhere".to_owned(), ToString::to_string);
    let said = about.payload().downcast_ref::<&'static str>().copied().unwrap_or("see the place");
    tracing::error!(place, said, "a panic");
}

/// What is logged. A level alone is for chatlake: what it is built on speaks only of what goes wrong.
///
/// # Errors
/// When the text is no list of filters.
pub fn filter(text: &str) -> Result<EnvFilter, ParseError> {
    let filter = match text.trim().parse::<Level>() {
        Ok(level) if level > Level::WARN => EnvFilter::builder().parse(format!("warn,chatlake={level}"))?,
        _ => EnvFilter::builder().parse(text)?,
    };
    // Spans are exported, not logged.
    Ok(filter.add_directive(format!("{SPANS}=off").parse()?))
}

type Exporters = (OnRuntime<SpanExporter>, OnRuntime<MetricExporter>);

fn exporters(otlp: &Otlp) -> Result<Exporters, ExporterBuildError> {
    let handle = Handle::current();
    let endpoint = otlp.endpoint.trim_end_matches('/');
    let endpoint = if endpoint.contains("://") { endpoint.to_owned() } else { format!("http://{endpoint}") };
    let (spans, metrics) = if otlp.http {
        let spans = SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary);
        let metrics = MetricExporter::builder().with_http().with_protocol(Protocol::HttpBinary);
        (
            spans.with_endpoint(format!("{endpoint}/v1/traces")).build()?,
            metrics.with_endpoint(format!("{endpoint}/v1/metrics")).build()?,
        )
    } else {
        let spans = SpanExporter::builder().with_tonic().with_endpoint(endpoint.clone()).build()?;
        (spans, MetricExporter::builder().with_tonic().with_endpoint(endpoint).build()?)
    };
    Ok((OnRuntime { inner: spans, handle: handle.clone() }, OnRuntime { inner: metrics, handle }))
}

/// An exporter whose work is done on the runtime: the SDK calls it from threads that have none.
#[derive(Debug)]
struct OnRuntime<E> {
    inner: E,
    handle: Handle,
}

impl opentelemetry_sdk::trace::SpanExporter for OnRuntime<SpanExporter> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.handle.block_on(self.inner.export(batch))
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

impl PushMetricExporter for OnRuntime<MetricExporter> {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        self.handle.block_on(self.inner.export(metrics))
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn temporality(&self) -> Temporality {
        self.inner.temporality()
    }
}

/// Passes on all spans but those of requests that brought our own.
#[derive(Debug)]
struct Foreign<P>(P);

impl<P: SpanProcessor> SpanProcessor for Foreign<P> {
    fn on_start(&self, span: &mut opentelemetry_sdk::trace::Span, context: &opentelemetry::Context) {
        self.0.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        let own = KeyValue::new(Key::from_static_str(OWN), Value::Bool(true));
        if !span.attributes.contains(&own) {
            self.0.on_end(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.0.set_resource(resource);
    }
}

/// Makes an instrument of each metric there is. What comes up later (a new series) belongs to one of them.
fn observe(meter: &Meter, metrics: &Arc<Metrics>) {
    let reading = Arc::new(Reading { metrics: Arc::clone(metrics), latest: Mutex::default() });
    for family in metrics.families() {
        let reading = Arc::clone(&reading);
        let (name, help) = (family.name, family.help);
        match family.series {
            Series::Counts(_) => {
                let counter = meter.u64_observable_counter(name).with_description(help);
                let told = counter.with_callback(move |observer| {
                    let Some(Series::Counts(series)) = reading.of(name) else { return };
                    for (labels, value) in series {
                        let labels: Vec<KeyValue> =
                            labels.into_iter().map(|(name, value)| KeyValue::new(name, value.into_owned())).collect();
                        observer.observe(value, &labels);
                    }
                });
                told.build();
            }
            Series::Gauge(_) => {
                let gauge = meter.i64_observable_gauge(name).with_description(help);
                let told = gauge.with_callback(move |observer| {
                    if let Some(Series::Gauge(value)) = reading.of(name) {
                        observer.observe(value, &[]);
                    }
                });
                told.build();
            }
            Series::Seconds(_) => {
                let gauge = meter.f64_observable_gauge(name).with_description(help).with_unit("s");
                let told = gauge.with_callback(move |observer| {
                    if let Some(Series::Seconds(value)) = reading.of(name) {
                        observer.observe(value, &[]);
                    }
                });
                told.build();
            }
            Series::Growing(_) => {
                let counter = meter.f64_observable_counter(name).with_description(help).with_unit("s");
                let told = counter.with_callback(move |observer| {
                    if let Some(Series::Growing(value)) = reading.of(name) {
                        observer.observe(value, &[]);
                    }
                });
                told.build();
            }
        }
    }
}

/// One reading of all metrics, from which each is taken once: so the numbers of one export agree with each other.
#[derive(Debug)]
struct Reading {
    metrics: Arc<Metrics>,
    latest: Mutex<Vec<crate::metrics::Family>>,
}

impl Reading {
    fn of(&self, name: &str) -> Option<Series> {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if !latest.iter().any(|family| family.name == name) {
            *latest = self.metrics.families();
        }
        let at = latest.iter().position(|family| family.name == name)?;
        Some(latest.swap_remove(at).series)
    }
}

#[cfg(test)]
mod tests;
