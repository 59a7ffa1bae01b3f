//! Why a request is not taken, and the two places that make statuses of it: [`Rejected::grpc`] and
//! [`Rejected::http`].
//!
//! | | gRPC | HTTP | what Collectors do |
//! |---|---|---|---|
//! | malformed | INVALID_ARGUMENT | 400 | drop it |
//! | too large | INVALID_ARGUMENT | 413 | drop it |
//! | unauthenticated | UNAUTHENTICATED | 401 | drop it |
//! | unsupported | UNIMPLEMENTED | 415 | drop it |
//! | no such path or method | UNIMPLEMENTED | 404, 405 | drop it |
//! | unavailable | UNAVAILABLE with RetryInfo | 503 with Retry-After | send it again |
//!
//! There is no other answer: INTERNAL, UNKNOWN, 500 and 408 make Collectors drop what could be sent again, and
//! OUT_OF_RANGE makes them send for ever what never fits.

use super::body::Coding;
use axum::body::Body;
use bytes::Bytes;
use http::HeaderValue;
use http::Response;
use http::StatusCode;
use http::header::ACCEPT_ENCODING;
use http::header::ALLOW;
use http::header::CONTENT_TYPE;
use http::header::RETRY_AFTER;
use http::header::WWW_AUTHENTICATE;
use prost::Message as _;
use std::time::Duration;
use tonic::Code;
use tonic_types::ErrorDetails;
use tonic_types::StatusExt as _;

/// Why a request is not taken. Texts are for the sender: they say what is wrong and, where there is one, the way out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// It can never be taken.
    #[error("{0}")]
    Malformed(String),
    /// It is larger than a request may be, as it came or decompressed.
    #[error("request is larger than {} (receivers.otlp.max_request): send smaller batches", size(*.limit))]
    TooLarge {
        /// What a request may have.
        limit: usize,
    },
    /// It carries no credential, or none that is known.
    #[error("{0}")]
    Unauthenticated(&'static str),
    /// Whoever sends it may not: the signature is not one of those that count.
    #[error("{0}")]
    Forbidden(&'static str),
    /// Its content type or compression is not known here.
    #[error("{0}")]
    Unsupported(String),
    /// Nothing is at its path.
    #[error("{0}")]
    NoSuchPath(String),
    /// The path takes another method.
    #[error("use {0}")]
    NoSuchMethod(&'static str),
    /// It may be taken later; nothing of it was.
    #[error("{reason}; retry in {} s", .after.as_secs())]
    Unavailable {
        /// What is short.
        reason: &'static str,
        /// When to send it again.
        after: Duration,
    },
}

impl Rejected {
    /// For a shortage that lasts as long as the requests under way.
    pub(super) fn busy(reason: &'static str) -> Self {
        Self::Unavailable { reason, after: Duration::from_secs(1) }
    }

    /// The word for it in metrics.
    pub fn outcome(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::TooLarge { .. } => "too_large",
            Self::Unauthenticated(_) => "unauthenticated",
            Self::Forbidden(_) => "forbidden",
            Self::Unsupported(_) => "unsupported",
            Self::NoSuchPath(_) => "no_such_path",
            Self::NoSuchMethod(_) => "no_such_method",
            Self::Unavailable { .. } => "unavailable",
        }
    }

    /// As a gRPC status.
    pub fn grpc(&self) -> tonic::Status {
        let code = match self {
            Self::Malformed(_) | Self::TooLarge { .. } => Code::InvalidArgument,
            Self::Unauthenticated(_) => Code::Unauthenticated,
            Self::Forbidden(_) => Code::PermissionDenied,
            Self::Unsupported(_) | Self::NoSuchPath(_) | Self::NoSuchMethod(_) => Code::Unimplemented,
            Self::Unavailable { .. } => Code::Unavailable,
        };
        tonic::Status::with_error_details(code, self.text(), self.details())
    }

    /// As an HTTP answer whose body is a `google.rpc.Status` in the request's encoding.
    pub fn http(&self, encoding: Encoding) -> Response<Body> {
        let status = match self {
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unauthenticated(_) => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::Unsupported(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::NoSuchPath(_) => StatusCode::NOT_FOUND,
            Self::NoSuchMethod(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
        };
        let rpc = self.grpc();
        let body = match encoding {
            // The status is already encoded in the details of the gRPC one; without details it is not.
            Encoding::Protobuf if rpc.details().is_empty() => {
                let message = rpc.message().to_owned();
                tonic_types::Status { code: rpc.code().into(), message, details: Vec::new() }.encode_to_vec().into()
            }
            Encoding::Protobuf => Bytes::copy_from_slice(rpc.details()),
            Encoding::Json => {
                let message = crate::event::json::string(rpc.message());
                format!(r#"{{"code":{},"message":{message}}}"#, i32::from(rpc.code())).into()
            }
        };
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, encoding.content_type());
        match self {
            // Collectors read whole seconds only.
            Self::Unavailable { after, .. } => {
                headers.insert(RETRY_AFTER, HeaderValue::from(whole_seconds(*after)));
            }
            Self::Unauthenticated(_) => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Self::NoSuchMethod(method) => {
                headers.insert(ALLOW, HeaderValue::from_static(method));
            }
            Self::Unsupported(_) => {
                headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(Coding::ACCEPTED));
            }
            _ => {}
        }
        response
    }

    /// The message, cut to what a log line bears.
    fn text(&self) -> String {
        const LONGEST: usize = 600;
        let mut text = self.to_string();
        if text.len() > LONGEST {
            text.truncate(text.floor_char_boundary(LONGEST));
            text.push('…');
        }
        text
    }

    fn details(&self) -> ErrorDetails {
        match self {
            Self::Unavailable { after, .. } => {
                ErrorDetails::with_retry_info(Some(Duration::from_secs(whole_seconds(*after))))
            }
            _ => ErrorDetails::new(),
        }
    }
}

/// Bytes as configurations write them.
fn size(bytes: usize) -> String {
    match bytes {
        _ if bytes > 0 && bytes.is_multiple_of(1 << 20) => format!("{}MiB", bytes >> 20),
        _ if bytes > 0 && bytes.is_multiple_of(1 << 10) => format!("{}KiB", bytes >> 10),
        _ => format!("{bytes}B"),
    }
}

fn whole_seconds(after: Duration) -> u64 {
    after.as_secs() + u64::from(after.subsec_nanos() > 0)
}

/// In what form OTLP came over HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// `application/x-protobuf`.
    Protobuf,
    /// `application/json`.
    Json,
}

impl Encoding {
    /// The header's value.
    pub fn content_type(self) -> HeaderValue {
        match self {
            Self::Protobuf => HeaderValue::from_static("application/x-protobuf"),
            Self::Json => HeaderValue::from_static("application/json"),
        }
    }
}
