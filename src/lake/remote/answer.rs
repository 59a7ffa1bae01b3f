//! What the answers of stores mean: each error of the client is put in one of the classes of [`Failure`], with the way
//! out where that is known.

use crate::lake::objects::Failure;
use crate::lake::objects::Scope;
use object_store::Error;
use object_store::client::HttpError;
use object_store::client::HttpErrorKind;
use std::io;

/// Answers of the whole store rather than of an object.
const OF_THE_STORE: [&str; 19] = [
    "NoSuchBucket",
    "XAdminUserNotFound",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "ExpiredToken",
    "TokenRefreshRequired",
    "InvalidToken",
    "RequestTimeTooSkewed",
    "NotSignedUp",
    "AccountProblem",
    "AllAccessDisabled",
    "AuthorizationHeaderMalformed",
    "PermanentRedirect",
    "InvalidBucketName",
    "NotImplemented",
    "ContainerNotFound",
    "AuthenticationFailed",
    "InvalidAuthenticationInfo",
    "AccountIsDisabled",
];
/// Where clouds keep the credentials of their machines: the client asks there when it was given none.
const METADATA: [&str; 2] = ["169.254.169.254", "metadata.google.internal"];
/// Answers that pass although their status says otherwise.
const PASSING: [&str; 4] = ["RequestTimeout", "SlowDown", "OperationAborted", "ConditionalRequestConflict"];

/// Puts an error of the client in its class. What it says is kept, with the way out where that is known.
pub(super) fn classify(error: &Error, url: &str) -> Failure {
    let said = text(error);
    let code = between(&said, "<Code>", "</Code>").unwrap_or_default();
    let status = between(&said, "non-2xx status code: ", " ").and_then(|status| status.parse::<u16>().ok());
    if let Error::AlreadyExists { .. } | Error::Precondition { .. } = error {
        return Failure::Exists;
    }
    if PASSING.contains(&code) {
        return Failure::NotWritten(said);
    }
    let refused = |scope| Failure::Refused { scope, why: advice(&said, code, url) };
    if OF_THE_STORE.contains(&code) {
        return refused(Scope::Store);
    }
    if let Some(failure) = io_failure(error, &said) {
        return failure;
    }
    match error {
        Error::NotFound { .. } => Failure::NotFound,
        Error::PermissionDenied { .. } => refused(Scope::Object),
        Error::Unauthenticated { .. } => refused(Scope::Store),
        Error::NotSupported { .. } | Error::NotImplemented { .. } | Error::UnknownConfigurationKey { .. } => {
            refused(Scope::Store)
        }
        Error::InvalidPath { .. } => refused(Scope::Object),
        _ => match status {
            Some(408 | 425 | 429) => Failure::NotWritten(said),
            Some(300..=399 | 501) => refused(Scope::Store),
            Some(400..=499) => refused(Scope::Object),
            _ if said.contains("redirect") => refused(Scope::Store),
            _ if is_not_sent(error) => Failure::NotWritten(unreachable(&said, url)),
            _ => Failure::Unknown(advice(&said, code, url)),
        },
    }
}

/// What a local disk says.
fn io_failure(error: &Error, said: &str) -> Option<Failure> {
    let kind = sources(error).find_map(|source| source.downcast_ref::<io::Error>())?.kind();
    match kind {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::NotADirectory => {
            let why = format!("{said}: make the folder writable, or set store.url");
            Some(Failure::Refused { scope: Scope::Store, why })
        }
        io::ErrorKind::InvalidFilename => Some(Failure::Refused { scope: Scope::Object, why: said.to_owned() }),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Some(Failure::NotWritten(said.to_owned())),
        _ => None,
    }
}

/// Whether the request has certainly not reached the store.
fn is_not_sent(error: &Error) -> bool {
    let http = sources(error).find_map(|source| source.downcast_ref::<HttpError>());
    http.is_some_and(|http| http.kind() == HttpErrorKind::Connect)
}

fn sources(error: &Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error as &(dyn std::error::Error + 'static)), |error| error.source())
}

/// The error with its innermost cause, on one line. The client says most of the chain itself, but not all of it.
pub(super) fn text(error: &Error) -> String {
    let mut text = error.to_string();
    // "Generic S3 error: " says nothing.
    if let Some((_, said)) = text.strip_prefix("Generic ").and_then(|text| text.split_once(" error: ")) {
        text = said.to_owned();
    }
    for source in sources(error).skip(1) {
        let more = source.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
    }
    let mut words: Vec<&str> = text.split_whitespace().collect();
    // How long it took is another at each attempt, so that one trouble would look like many.
    while let Some(at) = words.windows(2).position(|pair| matches!(pair, ["in", time] if is_time(time))) {
        words.drain(at..at + 2);
    }
    words.join(" ")
}

/// Whether a word is a time as the client writes it, such as `3.2ms` or `540.329µs,`.
fn is_time(word: &str) -> bool {
    let unit = word.trim_end_matches(',').trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    unit.len() < word.len() && matches!(unit, "ns" | "µs" | "ms" | "s")
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    Some(text.split_once(start)?.1.split_once(end)?.0)
}

/// Variables by which a store is found and let in to.
pub fn variables(url: &str) -> &'static str {
    match url.split_once("://").map_or("", |(scheme, _)| scheme) {
        "gs" => "GOOGLE_SERVICE_ACCOUNT (the path of a key file) or GOOGLE_APPLICATION_CREDENTIALS",
        "s3" | "s3a" => "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and AWS_ENDPOINT_URL",
        _ => "AZURE_STORAGE_ACCOUNT_NAME, AZURE_STORAGE_ACCOUNT_KEY and AZURE_STORAGE_ENDPOINT",
    }
}

/// That nobody is there, and what to look at.
fn unreachable(said: &str, url: &str) -> String {
    if METADATA.iter().any(|server| said.contains(server)) {
        return advice(said, "", url);
    }
    let (what, cause) = said.split_once(" - HTTP error: ").unwrap_or((said, ""));
    let cause = cause.rsplit("client error (Connect): ").next().unwrap_or_default();
    let colon = if cause.is_empty() { "" } else { ": " };
    format!("store {url} cannot be reached: {what}{colon}{cause}: check the network and {}", variables(url))
}

/// What the store said, in short, and the way out.
fn advice(said: &str, code: &str, url: &str) -> String {
    let set = format!("no credentials were found: set {}", variables(url));
    let check = format!("check {}", variables(url));
    let way_out = match code {
        "NoSuchBucket" | "ContainerNotFound" | "InvalidBucketName" => {
            "create the bucket, or set store.url to one that exists"
        }
        "AuthenticationFailed" | "AuthorizationFailure" | "InvalidAuthenticationInfo" | "AccountIsDisabled" => &check,
        "XAdminUserNotFound" | "InvalidAccessKeyId" | "NotSignedUp" => {
            "check the credentials: AWS_ACCESS_KEY_ID is not known"
        }
        "SignatureDoesNotMatch" => "check the credentials: AWS_SECRET_ACCESS_KEY is not the one of this key id",
        "ExpiredToken" | "TokenRefreshRequired" | "InvalidToken" => "renew the credentials",
        "RequestTimeTooSkewed" => "set this machine's clock",
        "AuthorizationHeaderMalformed" | "PermanentRedirect" => "check AWS_REGION and AWS_ENDPOINT_URL",
        "AccessDenied" | "AuthorizationPermissionMismatch" => {
            "allow this credential to put and get objects under this prefix"
        }
        "NotImplemented" => "the store must support conditional puts (If-None-Match)",
        _ if METADATA.iter().any(|server| said.contains(server)) => &set,
        _ => "",
    };
    let message = between(said, "<Message>", "</Message>").map(|message| format!("{code}: {message}"));
    let what = message.unwrap_or_else(|| if code.is_empty() { said.to_owned() } else { code.to_owned() });
    let colon = if way_out.is_empty() { "" } else { ": " };
    format!("store {url} says {what}{colon}{way_out}")
}
