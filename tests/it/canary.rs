//! Secrets planted in every text that comes in, whatever the dialect and the door, are found nowhere afterwards. With
//! `CHATLAKE_TEST_LONG=1` each kind is planted in each field, else one kind in each.

use super::support::duck::S3;
use super::support::plant::{Plants, send_otlp, send_posted};
use super::support::rows::{self, files_below};
use super::support::server::Setup;
use super::support::{long, say};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

/// What must not be left of any secret, in any letter case.
const CANARY: &str = "canary";

/// One secret of each kind that `floor` knows. `{}` is taken out: so no scanner takes them for leaks.
const FLOOR: [(&str, &str); 21] = [
    ("anthropic_key", "sk{}-ant-api03-CANARYcanaryCANARYcanary"),
    ("openai_key", "sk{}-CANARYcanaryCANARYcanary99"),
    ("google_api_key", "AI{}zaCANARYcanaryCANARYcanaryCANARYcanaryA"),
    ("aws_access_key", "AK{}IACANARYCANARY1234"),
    ("github_pat", "gh{}p_CANARYcanaryCANARYcanaryCANARYcanary"),
    ("github_oauth", "gh{}o_CANARYcanaryCANARYcanaryCANARYcanary"),
    ("github_app", "gh{}s_CANARYcanaryCANARYcanaryCANARYcanary"),
    ("slack_token", "xo{}xb-1234567890-CANARYcanary"),
    ("stripe_live_key", "sk{}_live_CANARYcanaryCANARYcanary"),
    ("stripe_test_key", "pk{}_test_CANARYcanaryCANARYcanary"),
    ("discord_token", "MC{}ANARYcanaryCANARYcanar.CANARY.CANARYcanaryCANARYcanaryCAN"),
    ("jwt", "ey{}JCANARYcanary.CANARYcanary.CANARYcanary"),
    ("private_key", "-----BE{}GIN RSA PRIVATE KEY-----\nCANARYcanary\n-----END RSA PRIVATE KEY-----"),
    ("modelstat_device_secret", "ds{}_live_CANARYcanaryCANARYcanaryCANARYcanary"),
    ("env_secret", "MY_API_TO{}KEN=CANARYcanary"),
    ("env_secret", "DB_PASS{}WORD: 'CANARYcanary'"),
    ("bearer", "Authorization: Be{}arer CANARYcanaryCANARYcanary"),
    ("db_password", "postgres://app:CANARYcanary@db/prod"),
    ("db_password", "mysql+pymysql://app:CANARYcanary@db/prod"),
    ("aws_secret_key", "CANARYcanary/ANARYcanary+ANARYcanary/987"),
    ("aws_secret_key", "(CANARYcanary/ANARYcanary+ANARYcanary/987)"),
];

/// What `strict` knows besides.
const STRICT: [(&str, &str); 14] = [
    ("db_password", "postgresql://app:CANARYcanary@db/prod"),
    ("db_password", "amqps://app:CANARY@canary@mq/v"),
    ("secret_field", "pass{}word=CANARYcanary7"),
    ("bearer", "authorization: be{}arer CANARYcanaryCANARY77"),
    ("gitlab_token", "glp{}at-CANARYcanaryCANARYcanary"),
    ("huggingface_token", "hf{}_CANARYcanaryCANARYcanaryCANARYcanary"),
    ("email", "canary@example.com"),
    ("path", "/home/canary/notes.txt"),
    ("path", r"C:\Users\canary\notes.txt"),
    ("webhook_url", "https://hooks.sl{}ack.com/services/T000/B000/CANARYcanary"),
    ("phone_number", "+351 912 345 678"),
    ("card_number", "4242 4242 4242 4242"),
    ("iban", "DE89 3704 0044 0532 0130 00"),
    ("ip_address", "198.51.100.77"),
];

/// What must not be left of those of them that are numbers.
const NUMBERS: [&str; 4] = ["912 345 678", "4242 4242", "3704 0044", "198.51.100.77"];

/// Fails if a secret can be read in a file below the folder, or in a file's name.
fn search(folder: &Path, needles: &[&str], stage: &str) {
    for file in files_below(folder) {
        let name = percent_decoded(&file.strip_prefix(folder).expect("below it").to_string_lossy());
        // Not ours: the lake's own key of hashes, random bytes.
        let bytes = fs::read(&file).unwrap_or_default();
        assert_without(&name, needles, &format!("{stage}: the name of {name}"));
        assert_without(&String::from_utf8_lossy(&bytes), needles, &format!("{stage}: {name}"));
        if bytes.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
            let plain = zstd::decode_all(bytes.as_slice()).expect("a whole file");
            assert_without(&String::from_utf8_lossy(&plain), needles, &format!("{stage}: {name}"));
        }
    }
}

/// Searches a text as it stands and with the escapes of JSON undone.
fn assert_without(text: &str, needles: &[&str], place: &str) {
    let unescaped = unescaped(text);
    for text in [text, &unescaped] {
        let lower = text.to_lowercase();
        for needle in needles {
            if let Some(at) = lower.find(needle) {
                let around: String =
                    String::from_utf8_lossy(&lower.as_bytes()[at.saturating_sub(300)..(at + 60).min(lower.len())])
                        .into_owned();
                panic!("`{needle}` is left in {place}: …{around}…");
            }
        }
    }
}

fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = rest[at..].trim_start_matches('\\');
        let unit =
            rest.strip_prefix('u').and_then(|rest| rest.get(..4)).and_then(|hex| u32::from_str_radix(hex, 16).ok());
        if let Some(char) = unit.and_then(char::from_u32) {
            out.push(char);
            rest = &rest[5..];
        }
    }
    out + rest
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, others)) = rest.split_first() {
        let hex = others.get(..2).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match hex.filter(|_| *first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = &others[2..];
            }
            None => {
                bytes.push(*first);
                rest = others;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Plants each kind in each field, or in the short form one kind in each.
fn nothing_is_left(policy: &str, kinds: &[(&str, &str)], needles: &[&str]) {
    let rotations = if long() { kinds.len() } else { 1 };
    for rotation in 0..rotations {
        nothing_is_left_of(policy, kinds, rotation * kinds.len() / rotations, needles);
    }
}

fn nothing_is_left_of(policy: &str, kinds: &[(&str, &str)], first: usize, needles: &[&str]) {
    let texts = kinds.iter().map(|(_, secret)| secret.replace("{}", "")).collect();
    let plants = Plants { texts, first, joint: " ", needle: CANARY };
    let folder = TempDir::new().expect("a folder");
    let setup = Setup::new(folder.path())
        .with("REDACTION__POLICY", policy)
        .with("STORE__FORMAT", "jsonl")
        .with(
            "STORE__PARTITION",
            "env={env}/service={service}/{event_type}/conv_id={conv_id}/run_id={run_id}/date={date}",
        )
        .with("UNKNOWN", "keep")
        .with("WEBHOOKS__SIGNATURES", "none")
        .with("ASSEMBLY__LINGER", "1h")
        .with("ASSEMBLY__IDLE", "1h")
        .with("SHUTDOWN__CLOSE_OPEN", "true")
        .with("SHUTDOWN__GRACE", "1s");
    let nobody = S3 { endpoint: "127.0.0.1:9".to_owned(), key_id: "id".to_owned(), secret: "a secret".to_owned() };
    let away = setup.clone().with("STORE__URL", "s3://my-bucket/chatlake").in_bucket(&nobody);

    // While the store is away: the log, then the outbox.
    let mut server = away.start_alive();
    send_otlp(&server, &plants);
    send_posted(&server, &plants);
    let ledger = server.ledger();
    assert!(ledger.received > 300, "{ledger:?}");
    search(&server.data(), needles, "log");
    let (data, mut said) = (server.data(), server.said());
    server.stop();
    said.push_str(&server.said());
    assert!(!files_below(&data.join("outbox")).is_empty(), "nothing waits in the outbox");
    search(&data, needles, "outbox");

    // With a store: objects, their names and manifests, what could not be mapped, pages and what was printed.
    let mut server = setup.start();
    let ledger = server.drain(Duration::from_secs(120));
    assert!(ledger.landed > 300 && ledger.quarantined > 0, "{ledger:?}");
    for page in ["/metrics", "/status", "/readyz", "/healthz"] {
        let (_, page) = server.admin(page).expect("an answer");
        assert_without(&page, needles, "an admin page");
    }
    server.stop();
    said.push_str(&server.said());
    assert_without(&said, needles, "what was printed");
    search(&data, needles, "lake");

    let rows = rows::parse(&rows::lines_below(&data.join("events")));
    assert!(
        files_below(&data.join("_dead")).len() + files_below(&data.join("events/_dead")).len() > 0,
        "no dead records"
    );
    let mut counts = BTreeMap::<String, u64>::new();
    for (rule, count) in rows.iter().filter_map(|row| row["redaction"].get("counts")?.as_object()).flatten() {
        *counts.entry(rule.clone()).or_default() += count.as_u64().unwrap_or_default();
    }
    say(&format!("canaries under {policy}, from {first} on: {} rows, {counts:?}", rows.len()));
    for (rule, _) in kinds {
        assert!(counts.contains_key(*rule), "no {rule} was seen: {counts:?}");
    }
}

#[test]
fn no_secret_is_left_under_floor() {
    nothing_is_left("floor", &FLOOR, &[CANARY]);
}

#[test]
fn no_secret_is_left_under_strict() {
    let needles: Vec<&str> = NUMBERS.into_iter().chain([CANARY]).collect();
    nothing_is_left("strict", &[FLOOR.as_slice(), &STRICT].concat(), &needles);
}
