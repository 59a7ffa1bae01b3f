use super::*;
use crate::clock::Clock;
use crate::clock::ManualClock;
use crate::event::Envelope;
use crate::event::Kind;
use crate::event::Partial;
use crate::event::record::Record;
use crate::metrics::Metrics;
use crate::receiver::Auth;
use crate::receiver::Log;
use crate::receiver::Mapped;
use crate::receiver::Mapper;
use crate::receiver::Road;
use crate::receiver::auth::Keys;
use crate::receiver::auth::Source;
use crate::receiver::signature::Secret;
use crate::receiver::signature::Sender;
use crate::redact;
use crate::redact::Redacted;
use ::http::Method;
use async_trait::async_trait;
use base64::Engine as _;
use http_body_util::BodyExt as _;
use prost::Message as _;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A log in memory, which fails when it is told to.
#[derive(Debug, Default)]
struct Memory {
    requests: Mutex<Vec<Vec<Redacted>>>,
    broken: AtomicBool,
    full: AtomicBool,
}

#[async_trait]
impl Log for Memory {
    fn has_room(&self) -> bool {
        !self.full.load(Ordering::Relaxed)
    }

    async fn append(&self, request: Vec<Redacted>, _: Duration) -> Result<(), Rejected> {
        if self.broken.load(Ordering::Relaxed) {
            return Err(Rejected::busy("the disk is slow"));
        }
        self.requests.lock().unwrap().push(request);
        Ok(())
    }
}

#[derive(Debug)]
struct NoSpans;

impl Mapper for NoSpans {
    fn map(&self, _: crate::receiver::Request) -> Vec<Mapped> {
        Vec::new()
    }
}

struct Rig {
    accept: Accept,
    log: Arc<Memory>,
    metrics: Arc<Metrics>,
}

fn rig(webhooks: signature::Config, keys: &[&str]) -> Rig {
    let (log, metrics) = (Arc::new(Memory::default()), Arc::new(Metrics::default()));
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(1_000_000));
    let posted = Config { webhooks, ..Config::default() };
    let config = crate::receiver::Config { posted, max_request: 1 << 16, ..crate::receiver::Config::default() };
    let key = |key: &&str| {
        let caller = Caller { tenant: format!("of {key}"), app: Some("shop".to_owned()), ..Caller::default() };
        Keys { source: Source::Key((*key).to_owned()), caller, doors: Vec::new() }
    };
    let policies = redact::Policies::new(redact::Config::default(), redact::Key::new(&[0; 32])).unwrap();
    let road = Road::new(Arc::new(NoSpans), Arc::new(policies));
    let auth = Auth::new(keys.iter().map(key).collect(), Arc::clone(&clock));
    let accept = Accept::new(&config, road, Arc::clone(&log) as Arc<dyn Log>, auth, clock, Arc::clone(&metrics));
    Rig { accept, log, metrics }
}

fn open() -> Rig {
    rig(signature::Config::default(), &[])
}

impl Rig {
    async fn post(&self, door: Door, headers: &[(&'static str, &str)], body: impl Into<Body>) -> (u16, String) {
        let path = match door {
            Door::Twilio => "/webhooks/whatsapp/twilio",
            _ => "/",
        };
        read(take(&self.accept, door, request(Method::POST, path, headers, body)).await).await
    }

    /// What is in the log: envelopes and records.
    fn stored(&self) -> Vec<(Envelope, Partial)> {
        let requests = self.log.requests.lock().unwrap();
        let records = requests.iter().flatten().flat_map(|redacted| {
            let envelope = Envelope::decode(redacted.envelope().as_ref()).unwrap();
            redacted.records().iter().map(move |record| (envelope.clone(), Record::decode(record).unwrap().partial))
        });
        records.collect()
    }

    fn break_log(&self, is_broken: bool) {
        self.log.broken.store(is_broken, Ordering::Relaxed);
    }
}

fn request(method: Method, path: &str, headers: &[(&'static str, &str)], body: impl Into<Body>) -> Request {
    let mut builder = ::http::Request::builder().method(method).uri(path);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(body.into()).unwrap()
}

async fn read(answer: Response<Body>) -> (u16, String) {
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

const TURN: &str = r#"{"user_prompt":"Hi","ai_response":"Hello","org_id":"o"}"#;

#[tokio::test]
async fn answers_are_what_the_clients_want() {
    let rig = open();
    assert_eq!(rig.post(Door::HuggingPlace, &[], TURN).await, (200, r#"{"message":"stored"}"#.to_owned()));
    let batch = r#"{"batch_id":"b","events":[{"kind":"summary","source_event_id":"e"}]}"#;
    let counted = r#"{"accepted":1,"new_sessions":0,"updated_sessions":0,"batch_id":"b"}"#;
    assert_eq!(rig.post(Door::Modelstat, &[], batch).await, (200, counted.to_owned()));
    assert_eq!(rig.post(Door::ModelstatRaw, &[], batch).await, (200, r#"{"accepted":true}"#.to_owned()));
    let lines = "{\"messages\":[]}\n{\"messages\":[]}\nnot json\n";
    let counted = r#"{"status":"ok","accepted":2,"duplicates":0,"rejected":1}"#;
    assert_eq!(rig.post(Door::Events, &[], lines).await, (200, counted.to_owned()));
    let stored = rig.stored();
    assert_eq!(stored.len(), 6);
    let doors: Vec<&str> = stored.iter().map(|(envelope, _)| envelope.door.as_str()).collect();
    assert_eq!(doors, ["huggingplace", "modelstat", "modelstat", "stackifier", "stackifier", "stackifier"]);
    assert_eq!(stored[5].1.kind(), Kind::Dead);
    assert_eq!((stored[0].0.tenant.as_str(), stored[0].0.received_at), ("default", 1_000_000));
}

#[tokio::test]
async fn refusals_are_json_with_a_message_and_store_nothing() {
    let rig = rig(signature::Config::default(), &["good"]);
    let key = ("authorization", "Bearer good");
    let message = |body: &str| serde_json::from_str::<serde_json::Value>(body).unwrap()["message"].is_string();
    for (headers, body, status) in [
        (&[][..], TURN.to_owned(), 401),
        (&[("authorization", "Bearer bad")][..], TURN.to_owned(), 401),
        (&[key][..], "not json".to_owned(), 400),
        (&[key][..], String::new(), 400),
        (&[key][..], format!("\"{}\"", "x".repeat(1 << 17)), 413),
    ] {
        for door in [Door::InsideLlm, Door::HuggingPlace, Door::Modelstat] {
            let (got, answer) = rig.post(door, headers, body.clone()).await;
            assert!(got == status && message(&answer), "{door:?}: {got} {answer}");
        }
    }
    assert!(rig.stored().is_empty());
    assert_eq!(rig.post(Door::HuggingPlace, &[key], TURN).await.0, 200);
    let (envelope, _) = rig.stored().remove(0);
    assert_eq!((envelope.tenant.as_str(), envelope.service.as_deref()), ("of good", Some("shop")));
}

#[tokio::test]
async fn nothing_is_acknowledged_that_is_not_durable() {
    let rig = open();
    rig.break_log(true);
    assert_eq!(rig.post(Door::HuggingPlace, &[], TURN).await.0, 503);
    rig.break_log(false);
    rig.log.full.store(true, Ordering::Relaxed);
    assert_eq!(rig.post(Door::HuggingPlace, &[], TURN).await.0, 503);
}

#[tokio::test]
async fn secrets_in_records_that_cannot_be_read_are_redacted() {
    let rig = open();
    let secret = format!("sk-ant-{}", "a".repeat(24));
    let body = format!("[{{\"note\":\"{secret}\"}}, {{\"event_type\":\"{secret}\"}}]");
    assert_eq!(rig.post(Door::InsideLlm, &[], body).await.0, 200);
    let stored = rig.stored();
    assert_eq!(stored.len(), 2);
    for (_, record) in stored {
        let dead = record.dead.unwrap();
        assert!(!dead.text.contains(&secret) && dead.text.contains("[REDACTED:anthropic_key]"), "{}", dead.text);
    }
}

#[tokio::test]
async fn a_mapping_that_panics_costs_its_body_only() {
    let rig = open();
    let wire = |bytes: &'static [u8]| PostedWire {
        bytes: bytes::Bytes::from_static(bytes),
        coding: crate::receiver::body::Coding::Identity,
        held: rig.accept.hold(),
        deadline: Duration::from_secs(5),
    };
    let caller = Caller::default();
    let taken = rig.accept.take_posted("x", &caller, wire(b"the body"), |_| panic!("a fault in a mapper")).await;
    assert_eq!(taken.map(|taken| taken.outcome).unwrap(), "partial");
    let dead = rig.stored().remove(0).1.dead.unwrap();
    assert_eq!((dead.reason.as_str(), dead.text.as_str()), ("the mapping panicked", "the body"));
    assert_eq!(rig.metrics.panics.get(), 1);
}

fn vectors() -> serde_json::Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/seeds/stackifier/webhook-signature-vectors.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn whatsapp() -> Rig {
    let sender = |secret: &str, tenant: &str| Sender {
        secret: Some(Secret::new(secret)),
        verify_token: Some(Secret::new("asked")),
        tenant: Some(tenant.to_owned()),
        ..Sender::default()
    };
    let webhooks = signature::Config {
        public_url: Some("https://collector.example.invalid".to_owned()),
        meta: vec![sender("fake-app-secret", "m")],
        twilio: vec![sender("fake-auth-token", "t")],
        ..signature::Config::default()
    };
    rig(webhooks, &["good"])
}

const MESSAGE: &str = r#"{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{"field":"messages","value":
    {"metadata":{"display_phone_number":"1"},"messages":[{"from":"2","id":"wamid.1","type":"text","text":{"body":"Hi"}}]}}]}]}"#;

fn signed(body: &str) -> String {
    use hmac::KeyInit as _;
    use hmac::Mac as _;
    let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(b"fake-app-secret").unwrap();
    mac.update(body.as_bytes());
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={hex}")
}

#[tokio::test]
async fn what_is_not_signed_is_refused_and_not_stored() {
    let rig = whatsapp();
    let good = signed(MESSAGE);
    let key = ("authorization", "Bearer good");
    for (headers, body) in [
        (vec![], MESSAGE.to_owned()),
        (vec![key], MESSAGE.to_owned()),
        (vec![("x-hub-signature-256", good.as_str())], format!("{MESSAGE} ")),
        (vec![("x-hub-signature-256", "sha256=00")], MESSAGE.to_owned()),
        (vec![("x-hub-signature-256", "")], MESSAGE.to_owned()),
    ] {
        let (status, answer) = rig.post(Door::Meta, &headers, body).await;
        assert_eq!(status, 403, "{answer}");
        assert!(!answer.contains("fake-app-secret"));
    }
    let fine = &vectors()["twilio"][1];
    let signature = fine["x_twilio_signature"].as_str().unwrap();
    let form = "From=whatsapp%3A%2B351910000000&Body=Hello&MessageSid=SMfake1&To=whatsapp%3A%2B15550001111";
    assert_eq!(
        rig.post(Door::Twilio, &[("x-twilio-signature", signature)], form.replace("Hello", "Hullo")).await.0,
        403
    );
    assert_eq!(rig.post(Door::Twilio, &[], form).await.0, 403);
    assert!(rig.stored().is_empty());
    let (status, answer) = rig.post(Door::Twilio, &[("x-twilio-signature", signature)], form).await;
    assert!(status == 200 && answer.contains("<Response>"), "{answer}");
    assert_eq!(rig.post(Door::Meta, &[("x-hub-signature-256", &good)], MESSAGE).await.0, 200);
    let tenants: Vec<String> = rig.stored().into_iter().map(|(envelope, _)| envelope.tenant).collect();
    assert_eq!(tenants, ["t", "m"]);
}

#[tokio::test]
async fn a_replay_is_answered_as_the_first_and_stores_nothing() {
    let rig = whatsapp();
    let signature = signed(MESSAGE);
    let headers = [("x-hub-signature-256", signature.as_str())];
    rig.break_log(true);
    assert_eq!(rig.post(Door::Meta, &headers, MESSAGE).await.0, 503);
    rig.break_log(false);
    let first = rig.post(Door::Meta, &headers, MESSAGE).await;
    assert_eq!((first.0, rig.stored().len()), (200, 1), "a delivery that failed is taken when it comes again");
    assert_eq!(rig.post(Door::Meta, &headers, MESSAGE).await, first);
    rig.break_log(true);
    assert_eq!(rig.post(Door::Meta, &headers, MESSAGE).await, first, "it needs no log");
    assert_eq!(rig.stored().len(), 1);
}

#[tokio::test]
async fn metas_challenge_is_answered_to_who_knows_the_token() {
    let rig = whatsapp();
    let ask = async |query: &str| read(challenge(&rig.accept, query)).await;
    let good = "hub.mode=subscribe&hub.verify_token=asked&hub.challenge=1158201444";
    assert_eq!(ask(good).await, (200, "1158201444".to_owned()));
    assert_eq!(ask(&good.replace("asked", "guessed")).await.0, 403);
    assert_eq!(ask(&good.replace("subscribe", "other")).await.0, 403);
    assert_eq!(ask("").await.0, 403);
}

#[tokio::test]
async fn without_signatures_the_key_counts() {
    let rig = rig(signature::Config { unsigned: true, ..signature::Config::default() }, &["good"]);
    assert_eq!(rig.post(Door::Meta, &[], MESSAGE).await.0, 401);
    assert_eq!(rig.post(Door::Meta, &[("authorization", "Bearer good")], MESSAGE).await.0, 200);
    let (status, _) = rig.post(Door::Meta, &[("authorization", "Bearer good")], "{}").await;
    assert_eq!((status, rig.stored().len()), (200, 1), "what is not WhatsApp's is answered and not kept");
}

const LINE: &str = "{\"conversation_id\":\"conv-1\",\"messages\":[{\"role\":\"user\",\"content\":\"one\"}]}\n";

#[tokio::test]
async fn the_s3_writer_puts_lines_and_finds_nothing() {
    let rig = rig(signature::Config::default(), &["AKIDGOOD"]);
    let crc = base64::engine::general_purpose::STANDARD.encode(crc32fast::hash(LINE.as_bytes()).to_be_bytes());
    let key = "/s3/my-logs/app/production/date%3D2026-11-21/conv_id%3Dconv-1/run_id%3D1/log.jsonl";
    let send = async |method, path: &str, headers: &[(&'static str, &str)], body: &str| {
        read(s3::answer(&rig.accept, request(method, path, headers, body.to_owned())).await).await
    };
    let known = [("authorization", "Bearer AKIDGOOD"), ("x-amz-checksum-crc32", crc.as_str())];
    let (status, answer) = send(Method::GET, key, &known, "").await;
    assert!(status == 404 && answer.contains("<Code>NoSuchKey</Code>"), "{answer}");
    assert_eq!(send(Method::PUT, key, &known, LINE).await.0, 200);
    let (status, answer) = send(Method::PUT, key, &known, &LINE.replace("one", "two")).await;
    assert!(status == 400 && answer.contains("<Code>InvalidRequest</Code>"), "a wrong checksum: {answer}");
    let (status, answer) = send(Method::PUT, key, &[], LINE).await;
    assert!(status == 403 && answer.contains("AccessDenied"), "{answer}");
    assert_eq!(send(Method::HEAD, "/s3/my-logs", &known, "").await.0, 200);
    assert_eq!(send(Method::POST, "/s3/my-logs/k?uploads", &known, "").await.0, 501);
    let stored = rig.stored();
    assert_eq!(stored.len(), 1);
    let row = stored[0].1.row.as_ref().unwrap();
    assert_eq!((row.env.as_deref(), row.conversation_id.as_str()), (Some("production"), "conv-1"));
}

/// The id of a key is no secret, not even where somebody took a key for it.
#[tokio::test]
async fn a_key_as_the_access_key_id_opens_nothing() {
    let rig = rig(signature::Config::default(), &["AKIDGOOD"]);
    let scope = "Credential=AKIDGOOD/20261121/us-east-1/s3/aws4_request";
    let names = "SignedHeaders=host;x-amz-content-sha256;x-amz-date";
    let zeros = "0".repeat(64);
    for (credential, code, wanted) in [
        (format!("AWS4-HMAC-SHA256 {scope}"), 400, "AuthorizationHeaderMalformed"),
        (format!("AWS4-HMAC-SHA256 {scope}, Signature=x"), 400, "AuthorizationHeaderMalformed"),
        (format!("AWS4-HMAC-SHA256 {scope}, {names}, Signature="), 403, "SignatureDoesNotMatch"),
        (format!("AWS4-HMAC-SHA256 {scope}, {names}, Signature={zeros}"), 403, "SignatureDoesNotMatch"),
        ("AWS AKIDGOOD:c2lnbmF0dXJl".to_owned(), 403, "AccessDenied"),
        ("Bearer AKIDBAD".to_owned(), 403, "InvalidAccessKeyId"),
    ] {
        let headers = [
            ("authorization", credential.as_str()),
            ("host", "127.0.0.1:4318"),
            ("x-amz-date", "20261121T090000Z"),
            ("x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
        ];
        for method in [Method::PUT, Method::GET, Method::DELETE] {
            let answer =
                s3::answer(&rig.accept, request(method, "/s3/my-logs/log.jsonl", &headers, LINE.to_owned())).await;
            let (status, answer) = read(answer).await;
            assert!(status == code && answer.contains(&format!("<Code>{wanted}</Code>")), "{credential}: {answer}");
        }
    }
    let presigned = format!("/s3/my-logs/log.jsonl?X-Amz-Credential=AKIDGOOD%2F20261121&X-Amz-Signature={zeros}");
    let (status, answer) =
        read(s3::answer(&rig.accept, request(Method::PUT, &presigned, &[], LINE.to_owned())).await).await;
    assert!(status == 403 && answer.contains("<Code>AccessDenied</Code>"), "{answer}");
    assert!(rig.stored().is_empty());
}
