//! One connection, from its first byte to its last.

use super::Limits;
use super::Service;
use axum::body::Body;
use futures::FutureExt as _;
use http::Request;
use http::Response;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use hyper_util::server::conn::auto::Builder;
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

/// How long a connection that is asked to end may take to say goodbye, when nothing is under way on it.
const GOODBYE: Duration = Duration::from_secs(2);

/// The most that is read at once from an HTTP/1.1 connection, and the longest head there.
const READ_BUFFER: usize = 64 << 10;

/// Unread bytes of one HTTP/2 connection, and of one of its requests.
const CONNECTION_WINDOW: u32 = 2 << 20;
const STREAM_WINDOW: u32 = 1 << 20;

#[derive(Debug)]
pub(super) struct Connections {
    service: Arc<Service>,
    limits: Limits,
    builder: Builder<TokioExecutor>,
}

impl Connections {
    pub(super) fn new(service: Service, limits: Limits) -> Self {
        let mut builder = Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(limits.head).max_buf_size(READ_BUFFER);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits.streams)
            .max_pending_accept_reset_streams(limits.pending_resets)
            .max_local_error_reset_streams(limits.error_resets)
            .max_header_list_size(limits.head_bytes)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .initial_stream_window_size(STREAM_WINDOW)
            .keep_alive_interval(limits.ping);
        Self { service: Arc::new(service), limits, builder }
    }

    /// Serves a connection to its end.
    pub(super) async fn serve(&self, stream: TcpStream, stop: CancellationToken) {
        // Answers are small and waited for.
        let _ = stream.set_nodelay(true);
        let open = Open::new(Arc::clone(&self.service.metrics));
        let activity = Arc::new(Activity::default());
        let service = service_fn(|request: Request<Incoming>| {
            answer(Arc::clone(&self.service), request, Busy::new(Arc::clone(&activity)))
        });
        let mut connection = pin!(self.builder.serve_connection(TokioIo::new(stream), service));

        let mut ending = false;
        let mut seen = activity.started();
        let mut wake = pin!(sleep(self.limits.idle));
        loop {
            tokio::select! {
                // Peers go away as they like: that is no event.
                _ = connection.as_mut() => break,
                () = stop.cancelled(), if !ending => {
                    ending = true;
                    connection.as_mut().graceful_shutdown();
                    wake.set(sleep(if activity.busy() { self.limits.grace } else { GOODBYE }));
                }
                () = wake.as_mut() => {
                    if ending {
                        break;
                    }
                    if !activity.busy() && activity.started() == seen {
                        ending = true;
                        connection.as_mut().graceful_shutdown();
                        wake.set(sleep(GOODBYE));
                    } else {
                        seen = activity.started();
                        wake.set(sleep(self.limits.idle));
                    }
                }
            }
        }
        drop(open);
    }
}

async fn answer(service: Arc<Service>, request: Request<Incoming>, busy: Busy) -> Result<Response<Body>, Infallible> {
    let answer = AssertUnwindSafe(service.router.clone().oneshot(request.map(Body::new))).catch_unwind().await;
    drop(busy);
    match answer {
        Ok(answer) => answer,
        Err(_) => {
            service.metrics.panics.add(1);
            tracing::error!("a handler panicked; its request was answered with an error");
            Ok((service.on_panic)())
        }
    }
}

/// Counts an open connection while it lives.
struct Open(Arc<crate::metrics::Metrics>);

impl Open {
    fn new(metrics: Arc<crate::metrics::Metrics>) -> Self {
        metrics.connections.add(1);
        Self(metrics)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.connections.add(-1);
    }
}

/// Requests of one connection.
#[derive(Debug, Default)]
struct Activity {
    started: AtomicU64,
    ended: AtomicU64,
}

impl Activity {
    fn started(&self) -> u64 {
        self.started.load(Ordering::Relaxed)
    }

    fn busy(&self) -> bool {
        self.ended.load(Ordering::Relaxed) != self.started()
    }
}

struct Busy(Arc<Activity>);

impl Busy {
    fn new(activity: Arc<Activity>) -> Self {
        activity.started.fetch_add(1, Ordering::Relaxed);
        Self(activity)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::Relaxed);
    }
}
