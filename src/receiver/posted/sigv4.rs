//! Signatures of S3's clients, version 4: who signed a request, and whether its body is the one that was signed.
//!
//! | signed | how |
//! |---|---|
//! | the head | HMAC-SHA256 of method, path, query, the headers that it names and the body's hash |
//! | the body | by its hash in `x-amz-content-sha256`, or chunk by chunk, each signature over the one before it |
//!
//! A body may be left unsigned (`UNSIGNED-PAYLOAD`, as clients do behind TLS); its checksums are looked at all the
//! same. A signature counts for a quarter of an hour.

use hmac::Hmac;
use hmac::KeyInit as _;
use hmac::Mac as _;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::header::HOST;
use http::request::Parts;
use percent_encoding::AsciiSet;
use percent_encoding::NON_ALPHANUMERIC;
use percent_encoding::percent_decode_str;
use sha2::Digest as _;
use sha2::Sha256;
use std::fmt::Write as _;
use subtle::Choice;
use subtle::ConstantTimeEq as _;

/// What the body's hash is said in.
pub(super) const CONTENT: &str = "x-amz-content-sha256";
const DATE: &str = "x-amz-date";
const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// How far the clocks of both sides may be apart.
const SKEW_MICROS: u64 = 15 * 60 * 1_000_000;
/// Hash of nothing.
const NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
/// What stands as it is in a signed name or value.
const VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
const PATH: &AsciiSet = &VALUE.remove(b'/');

/// What is wrong with a signature, in S3's words and in ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// No credential at all.
    Missing,
    /// It cannot be read, or does not cover what it must.
    Malformed,
    /// Signed too long ago, or for later.
    Skewed,
    /// None of the keys makes it.
    Differs,
    /// The body is another than the signed one.
    Body,
}

impl Fault {
    /// Status, S3's code, and a message with the way out.
    pub(super) fn words(self) -> (u16, &'static str, &'static str) {
        match self {
            Self::Missing => (
                403,
                "AccessDenied",
                "no signature of version 4 in the header authorization: set AWS_SECRET_ACCESS_KEY to a key of auth.keys, and AWS_ACCESS_KEY_ID to any name",
            ),
            Self::Malformed => (
                400,
                "AuthorizationHeaderMalformed",
                "the header authorization is no signature of version 4 that covers host, x-amz-date and x-amz-content-sha256",
            ),
            Self::Skewed => (403, "RequestTimeTooSkewed", "x-amz-date is more than 15 minutes from this server's time"),
            Self::Differs => (
                403,
                "SignatureDoesNotMatch",
                "the signature is made with none of the keys of auth.keys: AWS_SECRET_ACCESS_KEY must be one of them",
            ),
            Self::Body => (400, "XAmzContentSHA256Mismatch", "the body is not the one that was signed"),
        }
    }
}

/// A signature, read and not yet believed.
#[derive(Debug)]
pub(super) struct Signature<'h> {
    scope: &'h str,
    at: &'h str,
    given: &'h str,
    text: String,
}

/// Makes the signatures of one day, region and service.
#[derive(Debug)]
pub(super) struct Signer([u8; 32]);

impl<'h> Signature<'h> {
    /// Reads the signature of a request; none where it carries another credential.
    pub(super) fn of(head: &'h Parts) -> Option<Result<Self, Fault>> {
        let given = text(&head.headers, AUTHORIZATION.as_str())?.strip_prefix(ALGORITHM)?;
        Some(Self::read(head, given).ok_or(Fault::Malformed))
    }

    fn read(head: &'h Parts, given: &'h str) -> Option<Self> {
        let part =
            |name: &str| given.split([',', ' ']).find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='));
        let (_, scope) = part("Credential")?.split_once('/')?;
        let (names, given) = (part("SignedHeaders")?, part("Signature")?);
        let at = text(&head.headers, DATE)?;
        let is_covered = |name: &str| names.split(';').any(|signed| signed == name);
        let is_whole = [HOST.as_str(), DATE, CONTENT].into_iter().all(is_covered);
        let mut parts = scope.split('/');
        let date = parts.next().filter(|date| !date.is_empty())?;
        let is_scope = parts.by_ref().count() == 3 && scope.ends_with("/aws4_request");
        if !is_whole || !is_scope || !at.starts_with(date) {
            return None;
        }
        let hashed = hex(&Sha256::digest(canonical(head, names)?.as_bytes()));
        Some(Self { scope, at, given, text: format!("{ALGORITHM}\n{at}\n{scope}\n{hashed}") })
    }

    /// Holds the time of the signature against ours.
    pub(super) fn check_time(&self, now_micros: i64) -> Result<(), Fault> {
        let at = chrono::NaiveDateTime::parse_from_str(self.at, "%Y%m%dT%H%M%SZ").map_err(|_| Fault::Malformed)?;
        match at.and_utc().timestamp_micros().abs_diff(now_micros) {
            ..=SKEW_MICROS => Ok(()),
            _ => Err(Fault::Skewed),
        }
    }

    /// What a key signs with.
    pub(super) fn signer(&self, key: &str) -> Signer {
        let mut parts = self.scope.split('/');
        let start = sign(format!("AWS4{key}").as_bytes(), parts.next().unwrap_or_default());
        Signer(parts.fold(start, |key, part| sign(&key, part)))
    }

    /// Whether this key made it.
    pub(super) fn is_of(&self, key: &str) -> Choice {
        hex(&self.signer(key).sign(&self.text)).as_bytes().ct_eq(self.given.as_bytes())
    }

    /// Holds chunks and trailers against their signatures, which follow from the head's.
    pub(super) fn check_chunks(&self, signer: &Signer, body: &Chunked<'_>) -> Result<(), Fault> {
        let mut before = self.given.to_owned();
        let mut follow = |kind: &str, content: String, given: Option<&str>| {
            let text = format!("{ALGORITHM}-{kind}\n{}\n{}\n{before}\n{content}", self.at, self.scope);
            let made = hex(&signer.sign(&text));
            let fits = given.is_some_and(|given| bool::from(made.as_bytes().ct_eq(given.as_bytes())));
            before = made;
            if fits { Ok(()) } else { Err(Fault::Body) }
        };
        for (data, given) in &body.chunks {
            follow("PAYLOAD", format!("{NOTHING}\n{}", hex(&Sha256::digest(data))), *given)?;
        }
        if body.trailers.is_empty() {
            return Ok(());
        }
        let signed = body.trailers.iter().filter(|(name, _)| *name != "x-amz-trailer-signature");
        let lines: String = signed.map(|(name, value)| format!("{name}:{value}\n")).collect();
        follow("TRAILER", hex(&Sha256::digest(lines.as_bytes())), body.trailer("x-amz-trailer-signature"))
    }
}

impl Signer {
    fn sign(&self, text: &str) -> [u8; 32] {
        sign(&self.0, text)
    }
}

/// A body in S3's own chunks: `<hex>[;chunk-signature=…]`, the bytes, and trailers behind the last, which is empty.
#[derive(Debug, Default)]
pub(super) struct Chunked<'b> {
    /// Bytes and signature of each, the empty last one too.
    chunks: Vec<(&'b [u8], Option<&'b str>)>,
    trailers: Vec<(&'b str, &'b str)>,
}

impl<'b> Chunked<'b> {
    /// Takes a body apart; none where it ends too early or is no chunks.
    pub(super) fn read(body: &'b [u8]) -> Option<Self> {
        let mut read = Self::default();
        let mut rest = body;
        loop {
            let (line, after) = line(rest)?;
            let (size, extension) = line.split_once(';').unwrap_or((line, ""));
            let size = usize::from_str_radix(size.trim(), 16).ok()?;
            let (data, after) = after.split_at_checked(size)?;
            read.chunks.push((data, extension.trim().strip_prefix("chunk-signature=")));
            rest = after;
            if size == 0 {
                break;
            }
            rest = rest.strip_prefix(b"\r\n")?;
        }
        while let Some((line, after)) = line(rest) {
            if let Some((name, value)) = line.split_once(':') {
                read.trailers.push((name.trim(), value.trim()));
            }
            rest = after;
        }
        Some(read)
    }

    /// What the chunks hold.
    pub(super) fn content(&self) -> Vec<u8> {
        self.chunks.iter().flat_map(|(data, _)| *data).copied().collect()
    }

    /// A header that came behind the body.
    pub(super) fn trailer(&self, name: &str) -> Option<&'b str> {
        self.trailers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }
}

/// The first line of a text, and what comes after its end.
fn line(text: &[u8]) -> Option<(&str, &[u8])> {
    let end = text.windows(2).position(|pair| pair == b"\r\n")?;
    Some((std::str::from_utf8(text.get(..end)?).ok()?, text.get(end + 2..)?))
}

/// What is signed of a request, in the one form that both sides bring it into.
fn canonical(head: &Parts, names: &str) -> Option<String> {
    let decoded = |text: &str| percent_decode_str(text).collect::<Vec<u8>>();
    let coded = |text: &str| percent_encoding::percent_encode(&decoded(text), VALUE).to_string();
    let path = percent_encoding::percent_encode(&decoded(head.uri.path()), PATH).to_string();
    let query = head.uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let mut query: Vec<(String, String)> = query
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (coded(name), coded(value)))
        .collect();
    query.sort_unstable();
    let query: Vec<String> = query.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut headers = String::new();
    for name in names.split(';') {
        let values: Vec<String> = head
            .headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .map(|value| value.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        let value = match name {
            // HTTP/2 has it in the target.
            "host" if values.is_empty() => head.uri.authority()?.as_str().to_owned(),
            _ => values.join(","),
        };
        headers.push_str(&format!("{name}:{value}\n"));
    }
    let body = text(&head.headers, CONTENT)?;
    let method = head.method.as_str();
    Some(format!("{method}\n{path}\n{}\n{headers}\n{names}\n{body}", query.join("&")))
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

fn sign(key: &[u8], text: &str) -> [u8; 32] {
    // A key may have any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return [0; 32] };
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().into()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
mod tests;
