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

/// A notification of Meta.
const META: &str = r#"{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{"field":"messages","value":
    {"metadata":{"display_phone_number":"1"},"messages":[{"from":"2","id":"wamid.N","type":"text","text":{"body":"Hi"}}]}}]}]}"#;

/// Meta's signature of a body.
fn signed(secret: &str, body: &str) -> String {
    let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).expect("a key");
    mac.update(body.as_bytes());
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={hex}")
}

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
fn two_tenants_in_one_lake_share_nothing_at_any_door() {
    let folder = TempDir::new().expect("a folder");
    let setup = Setup::quick(folder.path())
        .with("STORE__FORMAT", "jsonl")
        .with("UNKNOWN", "keep")
        .with("AUTH__KEYS", "[{key: key-of-a, tenant: a}, {key: key-of-b, tenant: b}, {key: key-of-none}]")
        .with("WEBHOOKS__META", "[{secret: app-of-a, tenant: a}, {secret: app-of-b, tenant: b}]");
    let mut server = setup.clone().start();
    let golden = super::support::project().join("tests/golden/seeds");
    let recorded = |file: &str| fs::read(golden.join(file)).expect("a recording");
    let (children, root) = load::trace(22 << 40, 1);
    let mut request = load::request([children, vec![root]].concat());
    let posted = [
        ("/api/v1/ingest", recorded("insidellm/03-all-19-types-array.body.json")),
        ("/v1/ingest", recorded("modelstat/python-0.1.0/01-local-daemon-v1-ingest.body.json")),
        (
            "/v2/chatgpt/store_generated_response",
            recorded("huggingplace/python-1.0.1-head/02-log-later-fields.body.json"),
        ),
        (
            "/v1/events",
            br#"{"event_id": "e", "conversation_id": "c", "details": {"tenant": "forged"}, "event_type": "log.line"}"#
                .to_vec(),
        ),
        ("/v1/events", b"{}".to_vec()),
        ("/webhooks/litellm", recorded("stackspot/litellm-1.106.2-generic-api-webhook.json")),
    ];
    let client = reqwest::blocking::Client::new();
    for of in ["a", "b", "none"] {
        let resource = request.resource_spans[0].resource.get_or_insert_default();
        resource.attributes.retain(|attribute| attribute.key != "whose");
        resource.attributes.push(load::text("whose", of));
        assert_eq!(post(&server, Some(&format!("key-of-{of}")), &request.encode_to_vec()), 200);
        for (path, body) in &posted {
            let request = client.post(format!("{}{path}", server.http())).bearer_auth(format!("key-of-{of}"));
            let status = request.body(body.clone()).send().expect("an answer").status().as_u16();
            assert!(status == 200 || *body == b"{}", "{path}: {status}");
        }
        if of != "none" {
            let body = META.replace("wamid.N", "wamid.1");
            let signature = signed(&format!("app-of-{of}"), &body);
            let request = client.post(format!("{}/webhooks/whatsapp/meta", server.http()));
            let request = request.header("x-hub-signature-256", signature).body(body);
            assert_eq!(request.send().expect("an answer").status().as_u16(), 200);
        }
    }
    let ledger = server.drain(Duration::from_secs(120));
    assert_eq!(ledger.deduplicated, 0, "nobody's record is another's resend: {ledger:?}");
    let events = rows::parse(&rows::lines_below(&server.data().join("events")));
    let of = |tenant: Option<&str>| {
        let of = |row: &&rows::Row| row.get("details").and_then(|details| details.get("tenant")?.as_str()) == tenant;
        let mut rows: Vec<rows::Row> = events.iter().filter(of).cloned().collect();
        for row in &mut rows {
            ["received_at", "resource", "timestamp"].iter().for_each(|key| drop(row.remove(*key)));
            if let Some(details) = row.get_mut("details").and_then(|details| details.as_object_mut()) {
                details.remove("tenant");
            }
            row.retain(|_, value| value.as_object().is_none_or(|fields| !fields.is_empty()));
        }
        rows.sort_by_key(|row| (row["event_id"].to_string(), row["event_type"].to_string()));
        rows
    };
    let (a, b, none) = (of(Some("a")), of(Some("b")), of(None));
    assert_eq!(a.len() + b.len() + none.len(), events.len());
    assert!(a.len() > 30 && a.len() == none.len() + 1, "{} and {}", a.len(), none.len());
    assert_eq!(a, b, "each has what it sent, as if it were alone");
    let dead = rows::parse(&rows::lines_below(&server.data().join("_dead")));
    let tenants: Vec<Option<&str>> = dead.iter().map(|row| row.get("tenant").and_then(|it| it.as_str())).collect();
    assert_eq!(tenants, [Some("a"), Some("b"), None], "{dead:?}");
    let forged = events.iter().filter(|row| row["conversation_id"] == "c").map(|row| &row["attributes"]["tenant"]);
    assert_eq!(forged.collect::<Vec<_>>(), ["forged"; 3], "data does not say whose it is");

    // Spans of one trace of two tenants do not meet: whose they are stands in each.
    let traced = events.iter().filter(|row| row.get("service").is_some_and(|it| it == "load")).map(|row| {
        let tenant = row.get("details").and_then(|details| details.get("tenant")?.as_str()).unwrap_or("none");
        (tenant.to_owned(), row["resource"]["whose"].as_str().expect("an attribute").to_owned())
    });
    let traced: Vec<(String, String)> = traced.collect();
    assert!(traced.len() == 12 && traced.iter().all(|(tenant, whose)| tenant == whose), "{traced:?}");

    // Read back: conversations of one id are told apart.
    assert!(server.stop().success());
    let run = |words: &[&str]| {
        let output = setup.command().args(words).output().expect("the program starts");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (_, list, _) = run(&["conversations", "--format", "csv", "--limit", "0"]);
    assert!(list.lines().next().is_some_and(|head| head.ends_with(",service,tenant")), "{list}");
    let of_c = |list: &str| list.lines().filter(|line| line.starts_with("c,")).count();
    assert_eq!(of_c(&list), 3, "{list}");
    let (_, list, _) = run(&["conversations", "--format", "csv", "--limit", "0", "--tenant", "b"]);
    assert!(of_c(&list) == 1 && list.lines().skip(1).all(|line| line.ends_with(",b")), "{list}");
    let (code, _, said) = run(&["conversation", "c"]);
    assert!(code == Some(1) && said.contains("--tenant and one of '', 'a', 'b'"), "{said}");
    for (tenant, expected) in [("a", Some("a")), ("", None)] {
        let (code, shown, said) = run(&["conversation", "c", "--format", "json", "--tenant", tenant]);
        assert_eq!(code, Some(0), "{said}");
        let shown = rows::parse(&shown);
        let told = shown[0].get("details").and_then(|details| details.get("tenant")?.as_str());
        assert_eq!((shown.len(), told), (1, expected));
    }
    let (_, shown, _) = run(&["tail", "--no-follow", "-n", "1000", "--conversation", "c", "--tenant", "b"]);
    assert!(shown.lines().count() == 1 && shown.contains("  b  c"), "{shown}");
    let (_, shown, _) = run(&["tail", "--no-follow", "-n", "1000", "--conversation", "c", "--format", "csv"]);
    let ends: Vec<&str> = shown.lines().filter_map(|line| line.rsplit(',').next()).collect();
    assert!(ends.len() == 4 && ends[0] == "tenant" && ends.contains(&"a") && ends.contains(&"b"), "{shown}");
}

#[test]
fn a_withdrawn_secret_of_a_webhook_counts_no_more_and_is_found_nowhere() {
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
    let notified = |secret: &str, id: &str| {
        let body = META.replace("wamid.N", id);
        let request = client.post(format!("{}/webhooks/whatsapp/meta", server.http()));
        let request = request.header("x-hub-signature-256", signed(secret, &body));
        request.body(body).send().expect("an answer").status().as_u16()
    };
    let line = |path: &str, key: &str, text: &str| {
        let body = format!(r#"{{"conversation_id":"c","messages":[{{"role":"user","content":"{text}"}}]}}"#);
        let request = client.post(format!("{}{path}", server.http())).bearer_auth(key);
        request.body(body).send().expect("an answer").status().as_u16()
    };
    for (number, secret, key) in [("1", "old-app-secret", "old-door-key"), ("2", "new-app-secret", "new-door-key")] {
        assert_eq!(
            (notified(secret, &format!("wamid.{number}")), line("/v1/events", key, number)),
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
        (notified("old-app-secret", "wamid.late") == 403).then_some(())
    });
    until("the old key to count no more", Duration::from_secs(120), || {
        (line("/v1/events", "old-door-key", "late") == 401).then_some(())
    });
    assert!(server.ledger().received - before <= 2, "nothing more once it is withdrawn");
    assert_eq!((notified("new-app-secret", "wamid.3"), line("/v1/events", "new-door-key", "third")), (200, 200));
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
