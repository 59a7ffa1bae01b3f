//! As much of S3 as Stackifier's writer needs: what it puts is taken as lines, and nothing is ever there to be read.
//!
//! The writer reads the object, appends what is new and puts the whole; told each time that there is no object, it
//! puts new lines only. The access key id is the key of `auth.keys`; the signature that is made with the secret is not
//! checked, for only hashes of keys are kept.
//!
//! | request | answer |
//! |---|---|
//! | PUT of a key | 200 with an `ETag`, once the lines are durable |
//! | GET, HEAD of a key | 404 `NoSuchKey` |
//! | DELETE of a key | 204 |
//! | GET of a bucket or of all | an empty list |
//! | HEAD, PUT of a bucket | 200 |
//! | uploads in parts | 501 `NotImplemented` |

use super::STACKIFIER;
use super::drain_if_sending;
use super::user_agent;
use crate::dialect::posted;
use crate::receiver::Accept;
use crate::receiver::Caller;
use crate::receiver::Encoding;
use crate::receiver::Rejected;
use crate::receiver::accept::PostedWire;
use crate::receiver::body::Coding;
use crate::receiver::http::length;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::extract::State;
use axum::routing::any;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use bytes::BytesMut;
use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::Response;
use http::StatusCode;
use http::header::AUTHORIZATION;
use http::header::CONTENT_ENCODING;
use http::header::CONTENT_TYPE;
use http::header::ETAG;
use http::request::Parts;
use sha2::Digest as _;
use sha2::Sha256;
use std::fmt::Write as _;
use std::sync::Arc;

pub(super) fn routes() -> Router<Arc<Accept>> {
    let answer =
        || any(|State(accept): State<Arc<Accept>>, request: Request| async move { answer(&accept, request).await });
    Router::new().route("/s3", answer()).route("/s3/", answer()).route("/s3/{*rest}", answer())
}

pub(super) async fn answer(accept: &Accept, request: Request) -> Response<Body> {
    let start = accept.now();
    let (head, mut body) = request.into_parts();
    let handled = handle(accept, &head, &mut body).await;
    let outcome = handled.as_ref().map_or_else(Rejected::outcome, |(outcome, _)| outcome);
    let answer = match handled {
        Ok((_, answer)) => answer,
        Err(rejected) => {
            drain_if_sending(&head, body).await;
            refusal(&rejected, head.uri.path())
        }
    };
    accept.metrics().answered(STACKIFIER, outcome, accept.now().saturating_sub(start));
    answer
}

type Answered = (&'static str, Response<Body>);

async fn handle(accept: &Accept, head: &Parts, body: &mut Body) -> Result<Answered, Rejected> {
    let caller = accept.admit(&as_bearer(head))?;
    let path = head.uri.path().strip_prefix("/s3").unwrap_or_default().trim_start_matches('/');
    let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
    let query = head.uri.query().unwrap_or_default();
    let is_part = ["uploads", "uploadId", "partNumber"].iter().any(|word| query.contains(word));
    let empty = |status| {
        let mut answer = Response::new(Body::empty());
        *answer.status_mut() = status;
        ("ok", answer)
    };
    Ok(match head.method {
        Method::PUT if !key.is_empty() && !is_part => ("ok", put(accept, head, key, &caller, body).await?),
        Method::GET if !key.is_empty() => ("no_such_key", no_such_key(head.uri.path())),
        Method::HEAD if !key.is_empty() => ("no_such_key", empty(StatusCode::NOT_FOUND).1),
        Method::DELETE if !key.is_empty() => empty(StatusCode::NO_CONTENT),
        Method::GET if bucket.is_empty() => {
            let inner = "<Owner><ID>chatlake</ID></Owner><Buckets></Buckets>";
            ("ok", xml(StatusCode::OK, &format!("<ListAllMyBucketsResult>{inner}</ListAllMyBucketsResult>")))
        }
        Method::GET => {
            let name = escaped(bucket);
            let inner = format!("<Name>{name}</Name><KeyCount>0</KeyCount><MaxKeys>1000</MaxKeys>");
            let list = format!("<ListBucketResult>{inner}<IsTruncated>false</IsTruncated></ListBucketResult>");
            ("ok", xml(StatusCode::OK, &list))
        }
        Method::HEAD | Method::PUT if !bucket.is_empty() && !is_part => empty(StatusCode::OK),
        _ => {
            drain_if_sending(head, std::mem::take(body)).await;
            (
                "unsupported",
                error(StatusCode::NOT_IMPLEMENTED, "NotImplemented", "objects are put whole", head.uri.path()),
            )
        }
    })
}

async fn put(
    accept: &Accept,
    head: &Parts,
    key: &str,
    caller: &Caller,
    body: &mut Body,
) -> Result<Response<Body>, Rejected> {
    let start = accept.now();
    let (bytes, held) = accept.read(body, 0, |_| length(&head.headers), None).await?;
    let bytes = if is_chunked(&head.headers) { unchunked(&bytes)? } else { bytes };
    check(&head.headers, &bytes)?;
    let tag = hex(Sha256::digest(&bytes).first_chunk::<16>().map_or(&[], |half| half.as_slice()));
    let wire = PostedWire { bytes, coding: Coding::Identity, held, deadline: accept.deadline(start, None) };
    let agent = user_agent(&head.headers);
    let read = |body: &[u8]| posted::object(key, body, agent, &accept.doors().reading);
    accept.take_posted(STACKIFIER, caller, wire, read).await?;
    let mut answer = Response::new(Body::empty());
    if let Ok(tag) = HeaderValue::try_from(format!("\"{tag}\"")) {
        answer.headers_mut().insert(ETAG, tag);
    }
    Ok(answer)
}

/// The access key id of an AWS signature, as the key that it is here.
fn as_bearer(head: &Parts) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let Some(given) = head.headers.get(AUTHORIZATION) else { return headers };
    let text = given.to_str().unwrap_or_default();
    let id = text.split_once("Credential=").map(|(_, rest)| rest.split(['/', ',', ' ']).next().unwrap_or_default());
    let bearer = id.and_then(|id| HeaderValue::try_from(format!("Bearer {id}")).ok());
    headers.insert(AUTHORIZATION, bearer.unwrap_or_else(|| given.clone()));
    headers
}

/// Holds a body against the checksums that came with it.
fn check(headers: &HeaderMap, body: &[u8]) -> Result<(), Rejected> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let crc = text("x-amz-checksum-crc32").and_then(|text| STANDARD.decode(text).ok());
    let is_other_crc = crc.is_some_and(|crc| crc != crc32fast::hash(body).to_be_bytes());
    let sha = text("x-amz-content-sha256").filter(|text| text.len() == 64);
    let is_other_sha = sha.is_some_and(|sha| !sha.eq_ignore_ascii_case(&hex(&Sha256::digest(body))));
    if is_other_crc || is_other_sha {
        return Err(Rejected::Malformed("the body is not what its checksum was made of".to_owned()));
    }
    Ok(())
}

/// Whether the body is sent in S3's own chunks.
fn is_chunked(headers: &HeaderMap) -> bool {
    let has = |value: &HeaderValue, word: &str| value.to_str().is_ok_and(|text| text.contains(word));
    headers.get_all(CONTENT_ENCODING).iter().any(|value| has(value, "aws-chunked"))
        || headers.get("x-amz-content-sha256").is_some_and(|value| has(value, "STREAMING-"))
}

/// A body without the lines that S3's chunks have: `<hex>[;signature]`, the bytes, and trailers behind the last.
fn unchunked(body: &[u8]) -> Result<Bytes, Rejected> {
    let fault = || Rejected::Malformed("the body's chunks cannot be read".to_owned());
    let mut out = BytesMut::with_capacity(body.len());
    let mut rest = body;
    loop {
        let end = rest.windows(2).position(|pair| pair == b"\r\n").ok_or_else(fault)?;
        let (line, after) = rest.split_at_checked(end).ok_or_else(fault)?;
        let size = line.split(|byte| *byte == b';').next().and_then(|size| std::str::from_utf8(size).ok());
        let size = size.and_then(|size| usize::from_str_radix(size, 16).ok()).ok_or_else(fault)?;
        if size == 0 {
            return Ok(out.freeze());
        }
        let data = after.get(2..).and_then(|after| after.split_at_checked(size)).ok_or_else(fault)?;
        out.extend_from_slice(data.0);
        rest = data.1.strip_prefix(b"\r\n").ok_or_else(fault)?;
    }
}

fn refusal(rejected: &Rejected, path: &str) -> Response<Body> {
    let plain = rejected.http(Encoding::Json);
    let (status, code) = match rejected {
        Rejected::Unauthenticated(_) => (StatusCode::FORBIDDEN, "InvalidAccessKeyId"),
        Rejected::Forbidden(_) => (StatusCode::FORBIDDEN, "AccessDenied"),
        Rejected::TooLarge { .. } => (StatusCode::BAD_REQUEST, "EntityTooLarge"),
        Rejected::Unavailable { .. } => (StatusCode::SERVICE_UNAVAILABLE, "SlowDown"),
        _ => (plain.status(), "InvalidRequest"),
    };
    let mut answer = error(status, code, &rejected.to_string(), path);
    for (name, value) in plain.headers().iter().filter(|(name, _)| **name == http::header::RETRY_AFTER) {
        answer.headers_mut().insert(name, value.clone());
    }
    answer
}

fn no_such_key(path: &str) -> Response<Body> {
    error(StatusCode::NOT_FOUND, "NoSuchKey", "The specified key does not exist.", path)
}

fn error(status: StatusCode, code: &str, message: &str, path: &str) -> Response<Body> {
    let (message, path) = (escaped(message), escaped(path));
    xml(status, &format!("<Error><Code>{code}</Code><Message>{message}</Message><Resource>{path}</Resource></Error>"))
}

fn xml(status: StatusCode, inner: &str) -> Response<Body> {
    let mut answer = Response::new(Body::from(format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{inner}")));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    answer
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars().take(1024) {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_put_together() {
        let body = b"4;chunk-signature=ab\r\n{\"a\"\r\n3\r\n:1}\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n";
        assert_eq!(unchunked(body).unwrap().as_ref(), b"{\"a\":1}");
        for broken in [&b""[..], b"5\r\nab", b"zz\r\nab\r\n0\r\n", b"2\r\nabcd", b"ffffffffffffffffff\r\n"] {
            assert!(unchunked(broken).is_err(), "{broken:?}");
        }
    }

    #[test]
    fn a_checksum_that_differs_is_refused() {
        let with = |name: &'static str, value: &str| {
            HeaderMap::from_iter([(http::HeaderName::from_static(name), value.parse().unwrap())])
        };
        let good = STANDARD.encode(crc32fast::hash(b"body").to_be_bytes());
        assert!(check(&with("x-amz-checksum-crc32", &good), b"body").is_ok());
        assert!(check(&with("x-amz-checksum-crc32", &good), b"bodz").is_err());
        let sha = hex(&Sha256::digest(b"body"));
        assert!(check(&with("x-amz-content-sha256", &sha), b"body").is_ok());
        assert!(check(&with("x-amz-content-sha256", &sha), b"bodz").is_err());
        assert!(check(&with("x-amz-content-sha256", "UNSIGNED-PAYLOAD"), b"bodz").is_ok());
    }

    #[test]
    fn keys_in_messages_are_escaped() {
        assert_eq!(escaped("<a&\"\n>"), "&lt;a&amp;&quot; &gt;");
    }
}
