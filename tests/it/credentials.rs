//! Credentials at the OTLP doors of the real program: keys in files, several at once, each bound to a tenant, a
//! policy and a prefix.

use super::support::load;
use super::support::rows;
use super::support::send::Grpc;
use super::support::server::{Server, Setup};
use super::support::{until, wait};
use hmac::{KeyInit as _, Mac as _};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use prost::Message as _;
use std::fs;
use std::time::Duration;
use tempfile::TempDir;

fn post(server: &Server, key: Option<&str>, body: &[u8]) -> u16 {
    let url = format!("{}/v1/traces", server.http());
    let request = reqwest::blocking::Client::new().post(url).header("content-type", "application/x-protobuf");
    let request = if let Some(key) = key { request.bearer_auth(key) } else { request };
    request.body(body.to_vec()).send().expect("an answer").status().as_u16()
}

#[test]
fn tenants_with_the_same_ids_share_nothing_and_keys_rotate_without_loss() {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("keys-of-b");
    fs::write(&file, "# both count while senders change over\nold-key-of-b\nnew-key-of-b\n").expect("a file of keys");
    let keys = format!(
        "[{{key: key-of-a, tenant: a, app: till, prefix: teams/a}}, \
          {{file: '{}', tenant: b, app: load, prefix: teams/b, policy: none}}]",
        file.display()
    );
    let mut server = Setup::quick(folder.path()).with("STORE__FORMAT", "jsonl").with("AUTH__KEYS", &keys).start();
    let (children, root) = load::trace(21 << 40, 1);
    let mut request = load::request([children, vec![root]].concat());
    let secret = "write to ada@example.com";
    for attribute in &mut request.resource_spans[0].scope_spans[0].spans[0].attributes {
        if attribute.key == "gen_ai.input.messages" {
            let text = format!(r#"[{{"role":"user","parts":[{{"type":"text","content":"{secret}"}}]}}]"#);
            attribute.value.as_mut().expect("a value").value = Some(Value::StringValue(text));
        }
    }
    let body = request.encode_to_vec();
    // A service that does not say its name.
    let (children, root) = load::trace(21 << 40, 2);
    let mut nameless = load::request([children, vec![root]].concat());
    nameless.resource_spans[0].resource = None;
    for wrong in [None, Some("key-of-c"), Some("")] {
        assert_eq!(post(&server, wrong, &body), 401, "{wrong:?}");
    }
    let status = wait(Grpc::new(&server.grpc()).traces(request)).expect_err("no key, no entry");
    assert_eq!(status.code(), tonic::Code::Unauthenticated);
    for key in ["key-of-a", "old-key-of-b", "new-key-of-b"] {
        assert_eq!(post(&server, Some(key), &body), 200, "{key}");
    }
    assert_eq!(post(&server, Some("key-of-a"), &nameless.encode_to_vec()), 200);
    let line =
        r#"{"conversation_id": "c", "service": "other", "details": {"app": "forged"}, "event_type": "log.line"}"#;
    let request = reqwest::blocking::Client::new().post(format!("{}/v1/events", server.http())).bearer_auth("key-of-a");
    assert_eq!(request.body(line).send().expect("an answer").status().as_u16(), 200);
    // The old key goes. Meanwhile nobody is refused who is good.
    fs::write(&file, "new-key-of-b\n").expect("a file of keys");
    until("the old key to count no more", Duration::from_secs(120), || {
        assert_eq!(post(&server, Some("new-key-of-b"), &body), 200);
        (post(&server, Some("old-key-of-b"), &body) == 401).then_some(())
    });
    let ledger = server.drain(Duration::from_secs(120));
    assert_eq!(
        ledger.landed, 13,
        "four spans of each tenant, though their ids are the same, and five more: {ledger:?}"
    );
    assert_eq!(ledger.received, ledger.landed + ledger.deduplicated, "{ledger:?}");
    assert!(server.stop().success());

    let said = server.said();
    for key in ["key-of-a", "old-key-of-b", "new-key-of-b"] {
        assert!(!said.contains(key), "a key was printed:\n{said}");
        for file in rows::files_below(&server.data()) {
            let bytes = fs::read(&file).expect("a file");
            assert!(!bytes.windows(key.len()).any(|window| window == key.as_bytes()), "a key is in {}", file.display());
        }
    }
    let of = |tenant: &str| rows::lines_below(&server.data().join("teams").join(tenant).join("events"));
    assert_eq!((rows::parse(&of("a")).len(), rows::parse(&of("b")).len()), (9, 4));
    let (a, b) = (rows::parse(&of("a")), rows::parse(&of("b")));
    let is_named = |row: &&rows::Row| row["service"] == "load" && row["details"]["app"] == "till";
    let is_nameless = |row: &&rows::Row| {
        row["service"] == "till" && row.get("details").is_none_or(|details| details.get("app").is_none())
    };
    assert_eq!(
        (a.iter().filter(is_named).count(), a.iter().filter(is_nameless).count()),
        (4, 4),
        "the key's app: {a:#?}"
    );
    let line = a.iter().find(|row| row["service"] == "other").expect("the line");
    assert_eq!((&line["details"]["app"], &line["attributes"]["app"]), (&"till".into(), &"forged".into()));
    assert!(
        b.iter().all(
            |row| row["service"] == "load" && row.get("details").is_none_or(|details| details.get("app").is_none())
        ),
        "the same: {b:#?}"
    );
    assert!(!of("a").contains("ada@example.com"), "the configured policy");
    assert!(of("b").contains(secret), "the policy of the key");
    assert!(!server.data().join("events").exists(), "nothing landed elsewhere");
}

#[test]
fn a_withdrawn_secret_of_a_webhook_counts_no_more_and_is_found_nowhere() {
    const BODY: &str = r#"{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{"field":"messages","value":
        {"metadata":{"display_phone_number":"1"},"messages":[{"from":"2","id":"wamid.N","type":"text","text":{"body":"Hi"}}]}}]}]}"#;
    let folder = TempDir::new().expect("a folder");
    let (file, keys) = (folder.path().join("secrets"), folder.path().join("keys"));
    fs::write(&file, "old-app-secret\nnew-app-secret\n").expect("a file of secrets");
    fs::write(&keys, "old-door-key\nnew-door-key\n").expect("a file of keys");
    let mut server = Setup::quick(folder.path())
        .with("STORE__FORMAT", "jsonl")
        .with("WEBHOOKS__META", &format!("[{{secret_file: '{}', tenant: wa}}]", file.display()))
        .with("AUTH__KEYS", &format!("[{{file: '{}', doors: [stackifier]}}]", keys.display()))
        .start();
    let client = reqwest::blocking::Client::new();
    let signed = |secret: &str, id: &str| {
        let body = BODY.replace("wamid.N", id);
        let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).expect("a key");
        mac.update(body.as_bytes());
        let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        let request = client.post(format!("{}/webhooks/whatsapp/meta", server.http()));
        let request = request.header("x-hub-signature-256", format!("sha256={hex}"));
        request.body(body).send().expect("an answer").status().as_u16()
    };
    let line = |path: &str, key: &str, text: &str| {
        let body = format!(r#"{{"conversation_id":"c","messages":[{{"role":"user","content":"{text}"}}]}}"#);
        let request = client.post(format!("{}{path}", server.http())).bearer_auth(key);
        request.body(body).send().expect("an answer").status().as_u16()
    };
    for (number, secret, key) in [("1", "old-app-secret", "old-door-key"), ("2", "new-app-secret", "new-door-key")] {
        assert_eq!(
            (signed(secret, &format!("wamid.{number}")), line("/v1/events", key, number)),
            (200, 200),
            "{secret}"
        );
    }
    assert_eq!(line("/webhooks/litellm", "new-door-key", "x"), 401, "it counts at another door");
    // Bytes that were taken once are answered from memory, whoever signs them: others are tried.
    fs::write(&file, "new-app-secret\n").expect("a file of secrets");
    fs::write(&keys, "new-door-key\n").expect("a file of keys");
    let before = server.ledger().received;
    until("the old secret to count no more", Duration::from_secs(120), || {
        std::thread::sleep(Duration::from_secs(1));
        (signed("old-app-secret", "wamid.late") == 403).then_some(())
    });
    until("the old key to count no more", Duration::from_secs(120), || {
        (line("/v1/events", "old-door-key", "late") == 401).then_some(())
    });
    assert!(server.ledger().received - before <= 2, "nothing more once it is withdrawn");
    assert_eq!((signed("new-app-secret", "wamid.3"), line("/v1/events", "new-door-key", "third")), (200, 200));
    server.drain(Duration::from_secs(120));
    assert!(server.stop().success());
    for secret in ["old-app-secret", "new-app-secret", "old-door-key", "new-door-key"] {
        assert!(!server.said().contains(secret), "a secret was printed: {}", server.said());
        for file in rows::files_below(&server.data()) {
            let text = String::from_utf8_lossy(&fs::read(&file).expect("a file")).into_owned();
            assert!(!text.contains(secret), "a secret is in {}", file.display());
        }
    }
}
