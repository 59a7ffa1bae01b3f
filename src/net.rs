//! Listening: addresses, connections and their limits, and how they end. What is spoken on them is the doors' and the
//! admin pages' own.
//!
//! - HTTP/1.1 and HTTP/2 (with prior knowledge) on every port.
//! - A connection is closed when it has had no request for [`Limits::idle`]; heads that do not come to an end, floods
//!   of resets and peers that answer no ping end sooner.
//! - At the limit of connections no more are accepted until one ends; those that wait stand in the kernel's queue.
//! - A handler that panics costs its request, which is answered by `on_panic`, and nothing else.
//! - On stop, accepting ends at once, requests under way have [`Limits::grace`] to end.
//!
//! Tasks of connections and of HTTP/2 streams are hyper's: they are made by its executor and end with the connection.

mod connection;

use axum::Router;
use axum::body::Body;
use connection::Connections;
use http::Response;
use hyper::rt::Executor as _;
use hyper_util::rt::TokioExecutor;
use std::io;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// Why an address cannot be listened at: it names the address, and the way out.
#[derive(Debug, thiserror::Error)]
#[error("listen for {purpose} at {endpoint}: {advice}")]
pub struct BindError {
    endpoint: String,
    purpose: &'static str,
    advice: String,
    source: io::Error,
}

impl BindError {
    fn new(endpoint: &str, purpose: &'static str, setting: &str, source: io::Error) -> Self {
        let advice = match source.kind() {
            ErrorKind::AddrInUse => {
                format!("another program has this port (a Collector, another chatlake?): stop it, or set {setting}")
            }
            ErrorKind::AddrNotAvailable => format!("this machine has no such address: set {setting}"),
            ErrorKind::PermissionDenied => {
                format!("ports below 1024 need a privilege: set {setting} to a port above, or grant it")
            }
            _ => format!("check {setting}"),
        };
        Self { endpoint: endpoint.to_owned(), purpose, advice, source }
    }
}

/// What one listener bears.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at once.
    pub connections: usize,
    /// How long the head of an HTTP/1.1 request may take, counted from the answer before it.
    pub head: Duration,
    /// After how long without a request a connection is closed; at most twice as long.
    pub idle: Duration,
    /// How long requests under way may take when the listener stops.
    pub grace: Duration,
    /// Requests at once on one HTTP/2 connection.
    pub streams: u32,
    /// Streams that a peer reset before they were looked at; more end the connection.
    pub pending_resets: usize,
    /// Streams that were reset because the peer broke the protocol; more end the connection.
    pub error_resets: usize,
    /// Bytes of the head of a request.
    pub head_bytes: u32,
    /// How often a silent HTTP/2 peer is pinged; it has 20 seconds to answer.
    pub ping: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            head: Duration::from_secs(60),
            idle: Duration::from_secs(120),
            grace: Duration::from_secs(5),
            streams: 256,
            pending_resets: 20,
            error_resets: 128,
            head_bytes: 32 << 10,
            ping: Duration::from_secs(60),
        }
    }
}

/// A bound address.
#[derive(Debug)]
pub struct Listener {
    listener: TcpListener,
    address: SocketAddr,
}

/// Binds `endpoint` (host and port); `purpose` and `setting` are for the error.
///
/// # Errors
/// When the address cannot be had.
pub async fn bind(endpoint: &str, purpose: &'static str, setting: &str) -> Result<Listener, BindError> {
    let fault = |source| BindError::new(endpoint, purpose, setting, source);
    let listener = TcpListener::bind(endpoint).await.map_err(fault)?;
    let address = listener.local_addr().map_err(fault)?;
    Ok(Listener { listener, address })
}

impl Listener {
    /// The address, with the port that was given where the configuration asked for any.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`, then until requests under way have ended or had their time.
    pub async fn serve(self, service: Service, limits: Limits, stop: CancellationToken) {
        let permits = u32::try_from(limits.connections).unwrap_or(u32::MAX).max(1);
        let free = Arc::new(Semaphore::new(permits as usize));
        let connections = Arc::new(Connections::new(service, limits));
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = self.accept(&free) => accepted,
            };
            if let Some((stream, permit)) = accepted {
                let connections = Arc::clone(&connections);
                let stop = stop.clone();
                TokioExecutor::new().execute(async move {
                    connections.serve(stream, stop).await;
                    drop(permit);
                });
            }
        }
        drop(self.listener);
        // Each connection ends by itself within the grace; this waits for all of them.
        let _ended = free.acquire_many(permits).await;
    }

    async fn accept(
        &self,
        free: &Arc<Semaphore>,
    ) -> Option<(tokio::net::TcpStream, tokio::sync::OwnedSemaphorePermit)> {
        /// How long to wait when the process has no file descriptor left.
        const BREATH: Duration = Duration::from_millis(50);
        let permit = Arc::clone(free).acquire_owned().await.ok()?;
        match self.listener.accept().await {
            Ok((stream, _)) => Some((stream, permit)),
            Err(error) => {
                tracing::warn!(address = %self.address, %error, "a connection could not be accepted");
                tokio::time::sleep(BREATH).await;
                None
            }
        }
    }
}

/// What answers requests.
#[derive(Debug, Clone)]
pub struct Service {
    /// The routes.
    pub router: Router,
    /// What a request is answered whose handler panicked.
    pub on_panic: fn() -> Response<Body>,
    /// Where open connections and panics are counted.
    pub metrics: Arc<crate::metrics::Metrics>,
}
