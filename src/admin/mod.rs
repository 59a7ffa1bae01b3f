//! The pages for operators, on a port of their own: what is counted, whether it lives, whether it is ready, how it is.
//!
//! | path | answer |
//! |---|---|
//! | `/metrics` | Prometheus' text, from one reading of the ledger |
//! | `/healthz` | 200 while the process can answer at all |
//! | `/readyz` | 200, or 503 and why not, a line for each reason |
//! | `/status` | JSON for `chatlake status` |

pub mod telemetry;

use crate::lake::upload::Report;
use crate::metrics::Metrics;
use crate::metrics::Status;
use crate::net;
use crate::net::BindError;
use crate::net::Limits;
use crate::net::Listener;
use crate::net::Service;
use axum::Json;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::IntoResponse as _;
use axum::routing::get;
use http::Response;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Debug;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use tokio_util::sync::CancellationToken;

/// Why the process is not ready, by part. Parts set their reason and clear it; without any it is ready.
#[derive(Debug, Default)]
pub struct Readiness(Mutex<BTreeMap<&'static str, String>>);

impl Readiness {
    /// Says why `part` is not ready.
    pub fn hold(&self, part: &'static str, why: impl Into<String>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(part, why.into());
    }

    /// Says that `part` is ready.
    pub fn clear(&self, part: &'static str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(part);
    }

    /// All reasons, each as `part: why`.
    pub fn reasons(&self) -> Vec<String> {
        let reasons = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        reasons.iter().map(|(part, why)| format!("{part}: {why}")).collect()
    }
}

/// What the pages show.
#[derive(Debug, Clone)]
pub struct Shown {
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Whether it is ready.
    pub readiness: Arc<Readiness>,
    /// What uploads have to say.
    pub report: Arc<Mutex<Report>>,
    /// Brings all of it up to date.
    pub refresh: Refresh,
}

/// Called before a page is made: sets what is only looked up when somebody asks.
#[derive(Clone)]
pub struct Refresh(Arc<dyn Fn() + Send + Sync>);

impl Refresh {
    /// Calls `refresh`.
    pub fn new(refresh: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(refresh))
    }
}

impl Debug for Refresh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Refresh")
    }
}

/// The bound pages.
#[derive(Debug)]
pub struct Bound {
    listener: Listener,
    shown: Shown,
}

/// Binds the pages' address.
///
/// # Errors
/// When it cannot be had.
pub async fn bind(endpoint: &str, shown: Shown) -> Result<Bound, BindError> {
    let listener = net::bind(endpoint, "health and metrics", "admin.endpoint (CHATLAKE_ADMIN__ENDPOINT)").await?;
    Ok(Bound { listener, shown })
}

impl Bound {
    /// Where the pages are.
    pub fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// Serves the pages until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let metrics = Arc::clone(&self.shown.metrics);
        let router = Router::new()
            .route("/metrics", get(metrics_page))
            .route("/healthz", get(|| async { "alive\n" }))
            .route("/readyz", get(ready))
            .route("/status", get(status))
            .fallback(|| async { (StatusCode::NOT_FOUND, "pages: /metrics /healthz /readyz /status\n") })
            .with_state(self.shown);
        // A probe in a cluster must not wait for scrapers that keep their connections.
        let limits = Limits { connections: 256, ..Limits::default() };
        self.listener.serve(Service { router, on_panic, metrics }, limits, stop).await;
    }
}

async fn metrics_page(State(shown): State<Shown>) -> Response<Body> {
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    (shown.refresh.0)();
    ([(CONTENT_TYPE, OPEN_METRICS)], shown.metrics.page()).into_response()
}

async fn ready(State(shown): State<Shown>) -> (StatusCode, String) {
    (shown.refresh.0)();
    let reasons = shown.readiness.reasons();
    if reasons.is_empty() {
        return (StatusCode::OK, "ready\n".to_owned());
    }
    let text = reasons.iter().map(|reason| format!("{reason}\n")).collect();
    (StatusCode::SERVICE_UNAVAILABLE, text)
}

/// What `/status` answers.
#[derive(Debug, Serialize)]
struct Page {
    version: &'static str,
    ready: bool,
    not_ready: Vec<String>,
    /// What the store refuses, and why.
    store: Report,
    #[serde(flatten)]
    status: Status,
}

async fn status(State(shown): State<Shown>) -> Json<Page> {
    (shown.refresh.0)();
    let not_ready = shown.readiness.reasons();
    let version = env!("CARGO_PKG_VERSION");
    let store = shown.report.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Json(Page { version, ready: not_ready.is_empty(), not_ready, store, status: shown.metrics.status() })
}

fn on_panic() -> Response<Body> {
    (StatusCode::SERVICE_UNAVAILABLE, "the page could not be made\n").into_response()
}

#[cfg(test)]
mod tests;
