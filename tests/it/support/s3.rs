//! An S3 server in this process, over a folder, that checks signatures: for tests that need no other. Requests to it can
//! be made to go wrong.

use super::duck::S3;
use super::{runtime, wait};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What happens to a request that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is not done, and answered with this status and code.
    Says(u16, &'static str),
    /// It is not done, and never answered.
    Stalls,
    /// It is not done: the connection ends in the middle of its body.
    Resets,
    /// It is done, and the connection ends instead of an answer.
    AnswerLost,
    /// It is done as if it had stated no condition.
    Unconditional,
}

#[derive(Debug)]
struct Rule {
    method: Option<Method>,
    part: String,
    times: u64,
    fault: Fault,
}

/// Which requests go wrong, and which came. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults {
    rules: Arc<Mutex<Vec<Rule>>>,
    puts: Arc<Mutex<Vec<String>>>,
    hits: Arc<Mutex<u64>>,
}

fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Faults {
    /// Lets the next requests of a method (any when `None`) whose path contains `part` go wrong.
    pub(crate) fn add(&self, method: Option<Method>, part: &str, times: u64, fault: Fault) {
        hold(&self.rules).push(Rule { method, part: part.to_owned(), times, fault });
    }

    /// Lets everything go well again.
    pub(crate) fn clear(&self) {
        hold(&self.rules).clear();
    }

    /// How many requests went wrong.
    pub(crate) fn hits(&self) -> u64 {
        *hold(&self.hits)
    }

    /// Paths of all puts that were answered well, in order.
    pub(crate) fn puts(&self) -> Vec<String> {
        hold(&self.puts).clone()
    }

    fn next(&self, request: &Request<Incoming>) -> Option<Fault> {
        let mut rules = hold(&self.rules);
        let fits = |rule: &&mut Rule| {
            let is_method = rule.method.as_ref().is_none_or(|method| method == request.method());
            rule.times > 0 && is_method && request.uri().path().contains(&rule.part)
        };
        let rule = rules.iter_mut().find(fits)?;
        rule.times = rule.times.saturating_sub(1);
        *hold(&self.hits) += 1;
        Some(rule.fault)
    }
}

/// Starts a server with one bucket, its files below `folder`. It ends with the tests.
pub(crate) fn serve_bucket(folder: &Path, bucket: &str) -> S3 {
    serve(folder, bucket, Faults::default(), true)
}

/// As [`serve_bucket`], with faults. One that is not `signed` checks no signatures, so that requests can be changed.
pub(crate) fn serve(folder: &Path, bucket: &str, faults: Faults, signed: bool) -> S3 {
    let buckets = folder.join("buckets");
    std::fs::create_dir_all(buckets.join(bucket)).expect("a bucket is a folder");
    let (key_id, secret) = ("test".to_owned(), "testtest".to_owned());
    let mut service = S3ServiceBuilder::new(s3s_fs::FileSystem::new(&buckets).expect("the folder"));
    if signed {
        service.set_auth(SimpleAuth::from_single(key_id.clone(), secret.clone()));
    }
    let inner = Inner { service: service.build(), faults, putting: Arc::default() };
    let listener = wait(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a free port");
    let endpoint = listener.local_addr().expect("its address").to_string();
    runtime().spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let inner = inner.clone();
            tokio::spawn(async move {
                let builder = Builder::new(TokioExecutor::new());
                let service = service_fn(move |request| answer(inner.clone(), request));
                // A client that goes away is its own affair.
                builder.serve_connection(TokioIo::new(socket), service).await.unwrap_or_default();
            });
        }
    });
    S3 { endpoint, key_id, secret }
}

#[derive(Clone)]
struct Inner {
    service: S3Service,
    faults: Faults,
    /// The server alone does not keep two puts of one key apart.
    putting: Arc<tokio::sync::Mutex<()>>,
}

type Failed = Box<dyn std::error::Error + Send + Sync>;

async fn answer(inner: Inner, mut request: Request<Incoming>) -> Result<Response<s3s::Body>, Failed> {
    let fault = inner.faults.next(&request);
    match fault {
        Some(Fault::Says(status, code)) => {
            // As a server does: it reads what is sent before it answers.
            request.into_body().collect().await?;
            let text = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>fault</Message></Error>");
            return Ok(Response::builder().status(status).body(s3s::Body::from(text))?);
        }
        Some(Fault::Stalls) => std::future::pending().await,
        Some(Fault::Resets) => {
            request.body_mut().frame().await;
            return Err(io::Error::from(io::ErrorKind::ConnectionReset).into());
        }
        Some(Fault::Unconditional) => {
            request.headers_mut().remove("if-none-match");
        }
        Some(Fault::AnswerLost) | None => {}
    }
    let put = (request.method() == Method::PUT).then(|| request.uri().path().to_owned());
    let _putting = if put.is_some() { Some(inner.putting.lock().await) } else { None };
    let answer = inner
        .service
        .call(request.map(s3s::Body::from))
        .await
        .map_err(|error| io::Error::other(format!("{error:?}")))?;
    if answer.status().is_success() {
        hold(&inner.faults.puts).extend(put);
    }
    if fault == Some(Fault::AnswerLost) {
        return Err(io::Error::from(io::ErrorKind::ConnectionReset).into());
    }
    Ok(answer)
}
