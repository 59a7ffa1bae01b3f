//! The doors of logging SDKs, webhooks and gateways: their own paths and answers, for their unmodified clients.
//!
//! | path | client | answer |
//! |---|---|---|
//! | POST `/api/v1/ingest` | InsideLLM | 200, counts |
//! | POST `/v1/ingest`, `/v1/ingest/raw` | modelstat | 200, as its daemon answers; these two on a port of their own too |
//! | POST `/v2/chatgpt/store_generated_response` | HuggingPlace | exactly 200 with an object: anything else raises there |
//! | POST `/v1/events` | Stackifier's lines, rows of our own form | 200, counts |
//! | `/s3/...` | Stackifier's S3 writer | see [`s3`] |
//! | POST `/webhooks/litellm` | LiteLLM's JSON webhook | 200, counts |
//! | GET, POST `/webhooks/whatsapp/meta` | Meta | the challenge; 200 |
//! | POST `/webhooks/whatsapp/twilio` | Twilio | 200, nothing to say |
//!
//! - Answers come after the log's sync. `accepted` counts what it made durable; resends are told by the fold later.
//! - An error makes most of these clients throw the batch away: only a body that is none, a wrong credential, too
//!   many bytes and a full disk are refused. A record that cannot be read goes on as a dead one.
//! - Who posts to WhatsApp's webhooks is told by the signature, else by the key as at every door.

mod road;
pub mod s3;
mod sigv4;

use super::Accept;
use super::Caller;
use super::Encoding;
use super::Rejected;
use super::accept::PostedWire;
use super::http::coding;
use super::http::drain;
use super::http::length;
use super::replay::Delivery;
use super::signature;
use crate::dialect::posted;
use crate::dialect::posted::Malformed;
use crate::dialect::posted::Posted;
use ::http::HeaderMap;
use ::http::HeaderValue;
use ::http::Response;
use ::http::StatusCode;
use ::http::Version;
use ::http::header::CONTENT_TYPE;
use ::http::header::EXPECT;
use ::http::header::USER_AGENT;
use ::http::header::X_CONTENT_TYPE_OPTIONS;
use ::http::request::Parts;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::extract::State;
use axum::routing::MethodRouter;
use axum::routing::get;
use axum::routing::post;
use std::sync::Arc;

/// What doors that are no OTLP are set to.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Where modelstat's clients post by default; none: nowhere but at the HTTP door.
    pub modelstat_endpoint: Option<String>,
    /// How bodies are read.
    pub reading: posted::Config,
    /// Who may post to the webhooks.
    pub webhooks: signature::Config,
}

/// Where modelstat's clients post that are not told otherwise.
pub const MODELSTAT: &str = "127.0.0.1:4319";

/// A kind of posted body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    InsideLlm,
    Modelstat,
    ModelstatRaw,
    HuggingPlace,
    Events,
    LiteLlm,
    Meta,
    Twilio,
}

impl Door {
    /// The row's `source`; resends are recognised within it.
    fn name(self) -> &'static str {
        match self {
            Self::InsideLlm => "insidellm",
            Self::Modelstat | Self::ModelstatRaw => "modelstat",
            Self::HuggingPlace => "huggingplace",
            Self::Events => STACKIFIER,
            Self::LiteLlm => "litellm",
            Self::Meta => "whatsapp_meta",
            Self::Twilio => "whatsapp_twilio",
        }
    }

    fn is_signed(self) -> bool {
        matches!(self, Self::Meta | Self::Twilio)
    }

    fn read(self, body: &[u8], user_agent: Option<&str>, config: &posted::Config) -> Result<Posted, Malformed> {
        match self {
            Self::InsideLlm => posted::insidellm(body, user_agent, config),
            Self::Modelstat => posted::modelstat(body, config),
            Self::ModelstatRaw => posted::modelstat::raw(body, config),
            Self::HuggingPlace => posted::huggingplace(body, user_agent, config),
            Self::Events => posted::events(body, user_agent, config),
            Self::LiteLlm => posted::litellm(body, user_agent, config),
            Self::Meta => posted::meta(body, config),
            Self::Twilio => posted::twilio(body, config),
        }
    }

    /// What is answered where the mapper says nothing.
    fn answer(self, said: String) -> (&'static str, String) {
        const TWIML: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response></Response>";
        match self {
            Self::Twilio => ("text/xml", TWIML.to_owned()),
            _ if said.is_empty() => ("application/json", "{\"status\":\"ok\"}".to_owned()),
            _ => ("application/json", said),
        }
    }
}

/// The names of all doors, as they stand in `source`. OTLP's is one, whatever the transport and encoding.
pub const DOORS: [&str; 8] =
    [super::OTLP, "insidellm", "modelstat", "huggingplace", STACKIFIER, "litellm", "whatsapp_meta", "whatsapp_twilio"];

/// The door of Stackifier's lines, however they come.
const STACKIFIER: &str = "stackifier";

/// All paths, to be served beside OTLP's.
pub(super) fn routes() -> Router<Arc<Accept>> {
    let meta = taking(Door::Meta).get(|State(accept): State<Arc<Accept>>, request: Request| async move {
        challenge(&accept, request.uri().query().unwrap_or_default())
    });
    Router::new()
        .route("/api/v1/ingest", taking(Door::InsideLlm))
        .merge(modelstat_routes())
        .route("/v2/chatgpt/store_generated_response", taking(Door::HuggingPlace))
        .route("/v1/events", taking(Door::Events))
        .route("/webhooks/litellm", taking(Door::LiteLlm))
        .route("/webhooks/whatsapp/meta", meta)
        .route("/webhooks/whatsapp/twilio", taking(Door::Twilio))
        .merge(s3::routes())
}

/// The door of modelstat alone.
pub(super) fn modelstat_router(accept: Arc<Accept>) -> Router {
    modelstat_routes().route("/health", get(super::http::health)).fallback(lost).with_state(accept)
}

fn modelstat_routes() -> Router<Arc<Accept>> {
    Router::new().route("/v1/ingest", taking(Door::Modelstat)).route("/v1/ingest/raw", taking(Door::ModelstatRaw))
}

async fn lost() -> Response<Body> {
    let hint = "only modelstat's clients post here: /v1/ingest and /v1/ingest/raw; all doors are at the OTLP HTTP port";
    Rejected::NoSuchPath(hint.to_owned()).http(Encoding::Json)
}

fn taking(door: Door) -> MethodRouter<Arc<Accept>> {
    post(move |State(accept): State<Arc<Accept>>, request: Request| async move { take(&accept, door, request).await })
        .fallback(|| async { Rejected::NoSuchMethod("POST").http(Encoding::Json) })
}

async fn take(accept: &Accept, door: Door, request: Request) -> Response<Body> {
    let start = accept.now();
    let (head, mut body) = request.into_parts();
    let taken = handle(accept, door, &head, &mut body).await;
    let outcome = taken.as_ref().map_or_else(Rejected::outcome, |taken| taken.outcome);
    let answer = match taken {
        Ok(taken) => {
            let (content_type, body) = door.answer(taken.answer);
            let mut answer = Response::new(Body::from(body));
            answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
            answer
        }
        Err(rejected) => {
            drain_if_sending(&head, body).await;
            rejected.http(Encoding::Json)
        }
    };
    accept.metrics().answered(door.name(), outcome, accept.now().saturating_sub(start));
    answer
}

/// What was made durable, told.
pub(super) struct Taken {
    /// The body of the answer, empty where the mapper says nothing.
    pub(super) answer: String,
    /// The word for it in metrics.
    pub(super) outcome: &'static str,
}

async fn handle(accept: &Accept, door: Door, head: &Parts, body: &mut Body) -> Result<Taken, Rejected> {
    let start = accept.now();
    let coding = coding(&head.headers)?;
    let signatures = &accept.doors().signatures;
    let is_signed = door.is_signed() && !signatures.is_off();
    let bearer =
        if is_signed { accept.room().map(|()| None) } else { accept.admit(door.name(), &head.headers).map(Some) }?;
    let (bytes, held) = accept.read(body, 0, |_| length(&head.headers), None).await?;
    let caller = match (bearer, door) {
        (Some(caller), _) => caller,
        (None, Door::Twilio) => signatures.twilio(&head.headers, &head.uri, &posted::form(&bytes))?,
        (None, _) => signatures.meta(&head.headers, &bytes)?,
    };
    let delivery = is_signed.then(|| delivery(door, &caller, &bytes));
    if let Some(delivery) = delivery
        && accept.doors().replays.knows(delivery, accept.now())
    {
        return Ok(Taken { answer: String::new(), outcome: "replayed" });
    }
    let deadline = accept.deadline(start, None);
    let wire = PostedWire { bytes, coding, held, deadline };
    let user_agent = user_agent(&head.headers);
    let read = |body: &[u8]| door.read(body, user_agent, &accept.doors().reading);
    let taken = accept.take_posted(door.name(), &caller, wire, read).await?;
    if let Some(delivery) = delivery {
        accept.doors().replays.learn(delivery, accept.now());
    }
    Ok(taken)
}

/// A delivery is known by whose it is and by its bytes.
fn delivery(door: Door, caller: &Caller, body: &[u8]) -> Delivery {
    let prefix = caller.prefix.as_deref().unwrap_or_default();
    Delivery::of(&[door.name().as_bytes(), caller.tenant.as_bytes(), prefix.as_bytes(), body])
}

/// Answers Meta's question whether this is the webhook that was registered.
fn challenge(accept: &Accept, query: &str) -> Response<Body> {
    const LONGEST: usize = 1024;
    let fields = posted::form(query.as_bytes());
    let field = |name: &str| fields.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str());
    let is_asked = field("hub.mode") == "subscribe" && field("hub.challenge").len() <= LONGEST;
    if !is_asked || !accept.doors().signatures.is_verify_token(field("hub.verify_token")) {
        return Rejected::Forbidden("the verify token is none of webhooks.meta").http(Encoding::Json);
    }
    let mut answer = Response::new(Body::from(field("hub.challenge").to_owned()));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    *answer.status_mut() = StatusCode::OK;
    answer
}

fn user_agent(headers: &HeaderMap) -> Option<&str> {
    headers.get(USER_AGENT)?.to_str().ok().filter(|agent| !agent.is_empty())
}

/// A client that is still sending reads no answer before it has ended.
async fn drain_if_sending(head: &Parts, body: Body) {
    if head.version < Version::HTTP_2 && !head.headers.contains_key(EXPECT) {
        drain(body).await;
    }
}

#[cfg(test)]
mod tests;
