use super::*;

fn read(text: &str, variables: &[(&str, &str)]) -> Result<Config, Faults> {
    let environment = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Config::read(Some(("chatlake.yaml", text)), &environment)
}

#[test]
fn without_anything_the_defaults_hold() {
    let config = Config::read(None, &BTreeMap::new()).unwrap();
    assert_eq!(config.grpc_endpoint, "127.0.0.1:4317");
    assert_eq!(config.roll_age, Duration::from_secs(5));
    assert_eq!(config.store.url, None);
}

#[test]
fn a_variable_beats_the_file() {
    let config = read("roll: {age: 1m}\nstore:\n  format: jsonl\n", &[("CHATLAKE_ROLL__AGE", "2m")]).unwrap();
    assert_eq!(config.roll_age, Duration::from_secs(120));
    assert_eq!(config.store.format, Format::Jsonl);
}

#[test]
fn values_may_hold_variables() {
    let config = read("store: {url: 's3://${env:BUCKET}/${env:TEAM:-chats}'}", &[("BUCKET", "lake")]).unwrap();
    assert_eq!(config.store.url.as_deref(), Some("s3://lake/chats"));
    let faults = read("store: {url: '${env:BUCKET}'}", &[]).unwrap_err();
    assert_eq!(faults.0, ["store.url: the environment variable BUCKET is not set"]);
}

#[test]
fn all_faults_are_told_at_once_with_their_paths() {
    let text = "receivers: {otlp: {grpc: {endpont: x}}}\nroll: {age: 5, size: 1 lot}\nbuffer: {cap: 1MiB}\n";
    let faults = read(text, &[("CHATLAKE_ROLL__AGGE", "1s")]).unwrap_err().to_string();
    for part in [
        "receivers.otlp.grpc.endpont: unknown key, did you mean receivers.otlp.grpc.endpoint?",
        "roll.agge: unknown key (from CHATLAKE_ROLL__AGGE), did you mean roll.age?",
        "roll.age: \"5\" is no duration",
        "roll.size: \"1 lot\" is no size",
        "buffer.cap: 1MiB is less than two segments",
    ] {
        assert!(faults.contains(part), "{part}\n{faults}");
    }
}

#[test]
fn broken_yaml_is_a_fault_with_its_place() {
    let faults = read("roll:\n  age: [1\n", &[]).unwrap_err().to_string();
    assert!(faults.starts_with("chatlake.yaml: "), "{faults}");
    assert!(read("- a\n", &[]).unwrap_err().to_string().contains("no map"));
}

#[test]
fn what_is_printed_reads_back_the_same() {
    let config = read("roll: {age: 90s}\nstore: {url: 's3://b/p', partition: 'a/{date}'}", &[]).unwrap();
    let again = read(&config.to_yaml(), &[]).unwrap();
    assert_eq!(config.shown, again.shown);
}

#[test]
fn webhook_secrets_are_read_and_not_printed() {
    let text =
        "webhooks:\n  public_url: https://x.example\n  meta: [{secret: '${env:APP}', verify_token: t, tenant: a}]\n";
    let config =
        read(text, &[("APP", "hush"), ("CHATLAKE_WEBHOOKS__TWILIO", "[{secret_file: /run/s, prefix: p}]")]).unwrap();
    assert_eq!(config.posted.webhooks.meta[0].secret, Some(signature::Secret::new("hush")));
    assert_eq!(config.posted.webhooks.twilio[0].prefix.as_deref(), Some("p"));
    assert!(!config.to_yaml().contains("hush") && !format!("{config:?}").contains("hush"));
    for (bad, fault) in [
        ("[{verify_token: t}]", "neither secret nor secret_file"),
        ("[{secret: ''}]", "a secret is empty"),
        ("[{secret: s, policy: all}]", "policy is none of"),
        ("[{secrets: s}]", "unknown field"),
    ] {
        let faults = read(&format!("webhooks: {{meta: {bad}}}"), &[]).unwrap_err().to_string();
        assert!(faults.contains("webhooks.meta: ") && faults.contains(fault), "{bad}: {faults}");
    }
    assert!(read("webhooks: {public_url: x.example}", &[]).is_err());
}

#[test]
fn the_door_of_modelstat_can_be_shut() {
    let of = |text: &str| read(text, &[]).unwrap().posted;
    assert_eq!(of("").modelstat_endpoint.as_deref(), Some(posted::MODELSTAT));
    assert_eq!(of("receivers: {modelstat: {endpoint: none}}").modelstat_endpoint, None);
    assert_eq!(of("receivers: {text_markers: 'a, b'}").reading.text_markers, ["a", "b"]);
    assert!(of("receivers: {text_markers: none}").reading.text_markers.is_empty());
}

#[test]
fn keys_name_their_bearers_and_are_not_printed() {
    let text = "auth: {keys: [{key: '${env:K}', tenant: a, app: shop}, {file: /run/keys, policy: strict, prefix: p}]}";
    let config = read(text, &[("K", "hush-key")]).unwrap();
    assert_eq!(config.keys[0].caller.app.as_deref(), Some("shop"));
    assert_eq!(
        (config.keys[1].caller.tenant.as_str(), config.keys[1].caller.prefix.as_deref()),
        ("default", Some("p"))
    );
    assert!(!config.to_yaml().contains("hush-key") && !format!("{config:?}").contains("hush-key"));
    for bad in [
        "[{}]",
        "[{key: ''}]",
        "[{key: a, file: b}]",
        "[{key: a, policy: all}]",
        "[{key: a, prefix: ../b}]",
        "[{keys: a}]",
        "a",
    ] {
        assert!(read(&format!("auth: {{keys: {bad}}}"), &[]).is_err(), "{bad}");
    }
}
