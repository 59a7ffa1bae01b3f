//! As much of S3 as Stackifier's writer needs: what it puts is taken as lines, and nothing is ever there to be read.
//!
//! The writer reads the object, appends what is new and puts the whole; told each time that there is no object, it
//! puts new lines only.
//!
//! Where there are `auth.keys`, the secret access key is one of them: the request is signed with it and the key itself
//! never sent. The access key id is any name and opens nothing, for it is no secret: it stands in logs and in signed
//! links. A client that cannot sign may send a key as a bearer's.
//!
//! | request | answer |
//! |---|---|
//! | PUT of a key | 200 with an `ETag`, once the lines are durable |
//! | GET, HEAD of a key | 404 `NoSuchKey` |
//! | DELETE of a key | 204 |
//! | GET of a bucket or of all | an empty list |
//! | HEAD, PUT of a bucket | 200 |
//! | uploads in parts | 501 `NotImplemented` |
//! | without a good signature | 403 `AccessDenied`, `SignatureDoesNotMatch`, `RequestTimeTooSkewed` |
//! | a body that is not the signed one | 400 `XAmzContentSHA256Mismatch` |

use super::STACKIFIER;
use super::drain_if_sending;
use super::sigv4::CONTENT;
use super::sigv4::Chunked;
use super::sigv4::Fault;
use super::sigv4::Signature;
use super::sigv4::hex;
use super::user_agent;
use crate::dialect::posted;
use crate::receiver::Accept;
use crate::receiver::Caller;
use crate::receiver::Encoding;
use crate::receiver::Rejected;
use crate::receiver::accept::PostedWire;
use crate::receiver::body::Coding;
use crate::receiver::http::length;
use crate::receiver::signature::Secret;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::extract::State;
use axum::routing::any;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
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
use sha1::Sha1;
use sha2::Digest as _;
use sha2::Sha256;
use std::sync::Arc;

/// The checksum that clients send by default.
const CRC32: &str = "x-amz-checksum-crc32";
const SHA1: &str = "x-amz-checksum-sha1";
const SHA256: &str = "x-amz-checksum-sha256";

pub(super) fn routes() -> Router<Arc<Accept>> {
    let answer =
        || any(|State(accept): State<Arc<Accept>>, request: Request| async move { answer(&accept, request).await });
    Router::new().route("/s3", answer()).route("/s3/", answer()).route("/s3/{*rest}", answer())
}

pub(super) async fn answer(accept: &Accept, request: Request) -> Response<Body> {
    let start = accept.now();
    let (head, mut body) = request.into_parts();
    let handled = handle(accept, &head, &mut body).await;
    let outcome = handled.as_ref().map_or_else(Refused::outcome, |(outcome, _)| outcome);
    let answer = match handled {
        Ok((_, answer)) => answer,
        Err(refused) => {
            drain_if_sending(&head, body).await;
            refused.answer(head.uri.path())
        }
    };
    accept.metrics().answered(STACKIFIER, outcome, accept.now().saturating_sub(start));
    answer
}

type Answered = (&'static str, Response<Body>);

/// Why a request is not taken.
enum Refused {
    ByDoor(Rejected),
    BySignature(Fault),
}

impl From<Rejected> for Refused {
    fn from(rejected: Rejected) -> Self {
        Self::ByDoor(rejected)
    }
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        Self::BySignature(fault)
    }
}

impl Refused {
    /// The word for it in metrics.
    fn outcome(&self) -> &'static str {
        match self {
            Self::ByDoor(rejected) => rejected.outcome(),
            Self::BySignature(Fault::Malformed | Fault::Body) => "malformed",
            Self::BySignature(_) => "unauthenticated",
        }
    }

    fn answer(&self, path: &str) -> Response<Body> {
        match self {
            Self::ByDoor(rejected) => refusal(rejected, path),
            Self::BySignature(fault) => {
                let (status, code, message) = fault.words();
                error(StatusCode::from_u16(status).unwrap_or(StatusCode::FORBIDDEN), code, message, path)
            }
        }
    }
}

/// Who sends; with a signature, also what its body is held against.
struct Sender<'h> {
    caller: Arc<Caller>,
    signed: Option<(Signature<'h>, Secret)>,
}

/// Finds who sends.
fn sender<'h>(accept: &Accept, head: &'h Parts) -> Result<Sender<'h>, Refused> {
    let auth = accept.auth();
    if auth.is_open() {
        return Ok(Sender { caller: Arc::default(), signed: None });
    }
    let signature = match Signature::of(head) {
        Some(signature) => signature?,
        None if is_bearer(&head.headers) => {
            return Ok(Sender { caller: auth.caller(STACKIFIER, &head.headers)?, signed: None });
        }
        None => return Err(Fault::Missing.into()),
    };
    let found = auth.by_signature(STACKIFIER, |key| signature.is_of(key));
    let (caller, key) = found.map_err(|rejected| match rejected {
        Rejected::Unauthenticated(_) => Refused::BySignature(Fault::Differs),
        other => other.into(),
    })?;
    signature.check_time(accept.wall_micros())?;
    Ok(Sender { caller, signed: Some((signature, key)) })
}

fn is_bearer(headers: &HeaderMap) -> bool {
    let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|text| text.split_once(' '));
    given.is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
}

async fn handle(accept: &Accept, head: &Parts, body: &mut Body) -> Result<Answered, Refused> {
    let sender = sender(accept, head)?;
    accept.room()?;
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
        Method::PUT if !key.is_empty() && !is_part => ("ok", put(accept, head, key, &sender, body).await?),
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
    sender: &Sender<'_>,
    body: &mut Body,
) -> Result<Response<Body>, Refused> {
    let start = accept.now();
    let (bytes, held) = accept.read(body, 0, |_| length(&head.headers), None).await?;
    let bytes = content(&head.headers, bytes, sender)?;
    let tag = hex(Sha256::digest(&bytes).first_chunk::<16>().map_or(&[], |half| half.as_slice()));
    let wire = PostedWire { bytes, coding: Coding::Identity, held, deadline: accept.deadline(start, None) };
    let agent = user_agent(&head.headers);
    let read = |body: &[u8]| posted::object(key, body, agent, &accept.doors().reading);
    accept.take_posted(STACKIFIER, &sender.caller, wire, read).await?;
    let mut answer = Response::new(Body::empty());
    if let Ok(tag) = HeaderValue::try_from(format!("\"{tag}\"")) {
        answer.headers_mut().insert(ETAG, tag);
    }
    Ok(answer)
}

/// What a body holds, once it is known to be what was signed and what its checksums were made of.
fn content(headers: &HeaderMap, body: Bytes, sender: &Sender<'_>) -> Result<Bytes, Refused> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let hash = text(CONTENT).unwrap_or_default();
    if !is_chunked(headers) {
        if hash.len() == 64 && !hash.eq_ignore_ascii_case(&hex(&Sha256::digest(&body))) {
            return Err(Fault::Body.into());
        }
        check(&body, text)?;
        return Ok(body);
    }
    let fault = || Rejected::Malformed("the body's chunks cannot be read".to_owned());
    let chunked = Chunked::read(&body).ok_or_else(fault)?;
    if let (Some((signature, key)), true) = (&sender.signed, hash.starts_with("STREAMING-AWS4-")) {
        signature.check_chunks(&signature.signer(key.reveal()), &chunked)?;
    }
    let content = chunked.content();
    check(&content, |name| chunked.trailer(name).or_else(|| text(name)))?;
    if text("x-amz-decoded-content-length").is_some_and(|length| length.parse() != Ok(content.len())) {
        return Err(fault().into());
    }
    Ok(content.into())
}

/// Holds a body against the checksums that came with it.
fn check<'t>(body: &[u8], given: impl Fn(&str) -> Option<&'t str>) -> Result<(), Rejected> {
    let differs = |name, made: &dyn Fn() -> Vec<u8>| {
        given(name).and_then(|text| STANDARD.decode(text).ok()).is_some_and(|given| given != made())
    };
    if differs(CRC32, &|| crc32fast::hash(body).to_be_bytes().to_vec())
        || differs(SHA1, &|| Sha1::digest(body).to_vec())
        || differs(SHA256, &|| Sha256::digest(body).to_vec())
    {
        return Err(Rejected::Malformed("the body is not what its checksum was made of".to_owned()));
    }
    Ok(())
}

/// Whether the body is sent in S3's own chunks.
fn is_chunked(headers: &HeaderMap) -> bool {
    let has = |value: &HeaderValue, word: &str| value.to_str().is_ok_and(|text| text.contains(word));
    headers.get_all(CONTENT_ENCODING).iter().any(|value| has(value, "aws-chunked"))
        || headers.get(CONTENT).is_some_and(|value| has(value, "STREAMING-"))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(headers: &[(&'static str, &str)], body: &'static [u8]) -> Result<Bytes, &'static str> {
        let with = |(name, value): &(&'static str, &str)| (http::HeaderName::from_static(name), value.parse().unwrap());
        let sender = Sender { caller: Arc::default(), signed: None };
        let read = content(&headers.iter().map(with).collect(), Bytes::from_static(body), &sender);
        read.map_err(|refused| refused.outcome())
    }

    #[test]
    fn a_body_that_is_not_what_its_checksum_says_is_refused() {
        let crc = STANDARD.encode(crc32fast::hash(b"body").to_be_bytes());
        assert!(read(&[(CRC32, &crc)], b"body").is_ok());
        assert_eq!(read(&[(CRC32, &crc)], b"bodz"), Err("malformed"));
        for (name, sum) in [(SHA1, Sha1::digest(b"body").to_vec()), (SHA256, Sha256::digest(b"body").to_vec())] {
            let sum = STANDARD.encode(sum);
            assert!(read(&[(name, &sum)], b"body").is_ok());
            assert_eq!(read(&[(name, &sum)], b"bodz"), Err("malformed"), "{name}");
        }
        let sha = hex(&Sha256::digest(b"body"));
        assert!(read(&[(CONTENT, &sha)], b"body").is_ok());
        assert_eq!(read(&[(CONTENT, &sha)], b"bodz"), Err("malformed"));
        assert!(read(&[(CONTENT, "UNSIGNED-PAYLOAD")], b"bodz").is_ok());
    }

    #[test]
    fn chunks_are_held_against_what_comes_behind_them() {
        const LENGTH: &str = "x-amz-decoded-content-length";
        let unsigned = (CONTENT, "STREAMING-UNSIGNED-PAYLOAD-TRAILER");
        assert_eq!(crc32fast::hash(b"body").to_be_bytes(), [0xdb, 0xa8, 0x0b, 0xb2]);
        let good = b"4\r\nbody\r\n0\r\nx-amz-checksum-crc32:26gLsg==\r\n\r\n";
        assert_eq!(read(&[unsigned, (LENGTH, "4")], good).unwrap(), &b"body"[..]);
        assert_eq!(read(&[unsigned, (LENGTH, "5")], good), Err("malformed"));
        assert_eq!(read(&[unsigned], b"4\r\nbodz\r\n0\r\nx-amz-checksum-crc32:26gLsg==\r\n\r\n"), Err("malformed"));
        assert_eq!(read(&[unsigned], b"4\r\nbo"), Err("malformed"));
    }

    #[test]
    fn keys_in_messages_are_escaped() {
        assert_eq!(escaped("<a&\"\n>"), "&lt;a&amp;&quot; &gt;");
    }
}
