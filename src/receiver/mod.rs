//! The doors: bytes to requests, requests to redacted records, an answer after the log has synced.
//!
//! - Nothing is answered with success before the log has synced it. What is shed is shed before it is read.
//! - Every status is made by [`Rejected`], in two functions.
//! - Who sends is told by the credential ([`auth`]); tenant, application, policy and prefix are never data.
//! - A request is read whole, in memory that is counted before it is taken ([`Config::in_flight`]).
//! - Every answer comes before its sender stops waiting, as far as it says when that is.

mod accept;
pub mod auth;
mod body;
mod budget;
mod grpc;
mod http;
mod log;
mod mend;
pub mod otlp;
pub mod otlp_json;
pub mod posted;
mod rejected;
mod replay;
mod road;
pub mod signature;

pub use accept::Accept;
pub use auth::Auth;
pub use auth::Caller;
pub use log::Log;
pub use rejected::Encoding;
pub use rejected::Rejected;
pub use road::Mapped;
pub use road::Mapper;
pub use road::OTLP;
pub use road::Prepared;
pub use road::Request;
pub use road::Road;
pub use road::Signal;

use crate::net;
use crate::net::BindError;
use crate::net::Limits;
use crate::net::Listener;
use crate::net::Service;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Bytes of decoded structs that one request may cost, apart from its texts.
const MAX_STRUCTS: usize = 256 << 20;

/// Where the doors are and what they bear.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where OTLP over gRPC is received.
    pub grpc_endpoint: String,
    /// Where OTLP over HTTP is received.
    pub http_endpoint: String,
    /// Bytes of the largest request, as it comes and decompressed.
    pub max_request: usize,
    /// Bytes of requests under way at once.
    pub in_flight: usize,
    /// How long the body of a request may take to come.
    pub body_timeout: Duration,
    /// How long the answer may take once the body is there, where the sender does not say how long it waits.
    pub answer_timeout: Duration,
    /// The longest that a sender is let wait, whatever it says.
    pub longest_wait: Duration,
    /// What each listener bears.
    pub limits: Limits,
    /// The doors that are no OTLP.
    pub posted: posted::Config,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            grpc_endpoint: "127.0.0.1:4317".to_owned(),
            http_endpoint: "127.0.0.1:4318".to_owned(),
            max_request: 64 << 20,
            in_flight: 256 << 20,
            body_timeout: Duration::from_secs(30),
            answer_timeout: Duration::from_secs(8),
            longest_wait: Duration::from_secs(30),
            limits: Limits::default(),
            posted: posted::Config::default(),
        }
    }
}

/// A bound door.
#[derive(Debug)]
pub struct Bound {
    listener: Listener,
    service: Service,
    limits: Limits,
}

impl Bound {
    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// Serves until `stop`, and then what is under way.
    pub async fn run(self, stop: CancellationToken) {
        self.listener.serve(self.service, self.limits, stop).await;
    }
}

/// Binds the door of OTLP over gRPC.
///
/// # Errors
/// When its address cannot be had.
pub async fn bind_grpc(config: &Config, accept: Arc<Accept>) -> Result<Bound, BindError> {
    const SETTING: &str = "receivers.otlp.grpc.endpoint (CHATLAKE_RECEIVERS__OTLP__GRPC__ENDPOINT)";
    let listener = net::bind(&config.grpc_endpoint, "OTLP over gRPC", SETTING).await?;
    let metrics = Arc::clone(accept.metrics());
    let service = Service { router: grpc::router(accept), on_panic: grpc::on_panic, metrics };
    Ok(Bound { listener, service, limits: config.limits.clone() })
}

/// Binds the door of OTLP over HTTP.
///
/// # Errors
/// When its address cannot be had.
pub async fn bind_http(config: &Config, accept: Arc<Accept>) -> Result<Bound, BindError> {
    const SETTING: &str = "receivers.otlp.http.endpoint (CHATLAKE_RECEIVERS__OTLP__HTTP__ENDPOINT)";
    let listener = net::bind(&config.http_endpoint, "OTLP over HTTP", SETTING).await?;
    let metrics = Arc::clone(accept.metrics());
    let service = Service { router: http::router(accept), on_panic: http::on_panic, metrics };
    Ok(Bound { listener, service, limits: config.limits.clone() })
}

/// Binds the door that modelstat's clients look for by default; none where the configuration has none. That it cannot
/// be had is no reason not to serve: the caller warns.
///
/// # Errors
/// When its address cannot be had.
pub async fn bind_modelstat(config: &Config, accept: Arc<Accept>) -> Result<Option<Bound>, BindError> {
    const SETTING: &str = "receivers.modelstat.endpoint (CHATLAKE_RECEIVERS__MODELSTAT__ENDPOINT)";
    let Some(endpoint) = &config.posted.modelstat_endpoint else { return Ok(None) };
    let listener = net::bind(endpoint, "modelstat's clients", SETTING).await?;
    let metrics = Arc::clone(accept.metrics());
    let service = Service { router: posted::modelstat_router(accept), on_panic: http::on_panic, metrics };
    Ok(Some(Bound { listener, service, limits: config.limits.clone() }))
}

#[cfg(test)]
mod tests;
