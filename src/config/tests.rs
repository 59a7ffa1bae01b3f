use super::*;
use crate::receiver::signature;

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
        "CHATLAKE_ROLL__AGGE: unknown variable, did you mean CHATLAKE_ROLL__AGE?",
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
    assert!(faults.starts_with("chatlake.yaml: ") && faults.contains("chatlake.yaml:2:8"), "{faults}");
    let faults = read("roll:\n  age: 5s\n  age: 6s\n", &[]).unwrap_err().to_string();
    assert!(faults.contains("duplicate mapping key: age") && !faults.contains("Options"), "{faults}");
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
        ("[{secret: s, prefix: ../b}]", "prefix"),
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
        "[{key: a, tenant: one}, {key: a, tenant: two}]",
        "[{key: a, doors: [otlp, litellm]}, {key: ' a', policy: none, doors: [litellm]}]",
        "[{file: f, tenant: one}, {file: f, tenant: two}]",
        "[{keys: a}]",
        "a",
    ] {
        assert!(read(&format!("auth: {{keys: {bad}}}"), &[]).is_err(), "{bad}");
    }
    for good in
        ["[{key: a}, {key: a}]", "[{key: a, tenant: one, doors: [otlp]}, {key: a, tenant: two, doors: [litellm]}]"]
    {
        assert!(read(&format!("auth: {{keys: {good}}}"), &[]).is_ok(), "{good}");
    }
}

#[test]
fn every_key_is_listed_once() {
    for (at, key) in KEYS.iter().enumerate() {
        assert!(KEYS.iter().skip(at + 1).all(|other| other.path != key.path), "{}", key.path);
    }
}

#[test]
fn an_unknown_key_leads_to_the_one_that_was_meant() {
    for (text, hint) in [
        ("roll: 5s", "roll: unknown key, there are: roll.age, roll.size"),
        (
            "receivers: {otlp: {protocols: {grpc: {endpoint: x}}}}",
            "receivers.otlp.protocols.grpc.endpoint: unknown key, did you mean receivers.otlp.grpc.endpoint?",
        ),
        ("store: {max-file: 1MiB}", "store.max-file: unknown key, did you mean store.max_file?"),
        ("store: {bucket: x}", "store.bucket: unknown key, there are: store.url, store.format, "),
        ("exporters: {x: y}", "exporters.x: unknown key, `chatlake check` alone prints all keys"),
    ] {
        let faults = read(text, &[]).unwrap_err().to_string();
        assert!(faults.contains(hint), "{text}: {faults}");
    }
    let faults = read("", &[("CHATLAKE_STORE_URL", "x")]).unwrap_err().to_string();
    assert_eq!(faults, "CHATLAKE_STORE_URL: unknown variable, did you mean CHATLAKE_STORE__URL?\n");
}

#[test]
fn variables_of_a_service_that_is_called_chatlake_are_not_ours() {
    let names = [
        "CHATLAKE_SERVICE_HOST",
        "CHATLAKE_SERVICE_PORT",
        "CHATLAKE_SERVICE_PORT_OTLP_GRPC",
        "CHATLAKE_PORT",
        "CHATLAKE_PORT_4317_TCP",
        "CHATLAKE_PORT_4317_TCP_ADDR",
        "CHATLAKE_ADMIN_SERVICE_HOST",
        "CHATLAKE_ADMIN_PORT_13133_TCP_PROTO",
    ];
    let environment: Vec<_> = names.iter().map(|name| (*name, "tcp://10.0.0.1:4317")).collect();
    assert!(read("", &environment).is_ok());
    assert!(read("", &[("CHATLAKE_ADMIN__PORT", "1")]).is_err());
}

#[test]
fn a_variable_is_yaml_for_lists_and_a_text_for_all_else() {
    let config = read("", &[("CHATLAKE_STORE__PARTITION", "{date}"), ("CHATLAKE_AUTH__KEYS", "[{key: k}]")]).unwrap();
    assert_eq!(config.store.partition, "{date}".parse().unwrap());
    assert_eq!(config.keys.len(), 1);
    assert!(read("", &[("CHATLAKE_AUTH__KEYS", "")]).unwrap().keys.is_empty());
}

#[test]
fn words_that_yaml_once_took_for_truths_are_texts() {
    let faults = read("unknown: no", &[]).unwrap_err().to_string();
    assert_eq!(faults, "unknown: \"no\" is none of drop, keep\n");
    assert!(read("shutdown: {close_open: yes}", &[]).unwrap().shutdown_close_open);
}

#[test]
fn a_store_that_cannot_be_meant_is_a_fault() {
    for (url, fault) in [
        ("s3:/bucket/x", "is not known"),
        ("s3//bucket/x", "is not known"),
        ("http://bucket/x", "is not known"),
        ("s3:///x", "names no bucket"),
        ("s3://key:hush@bucket/x", "holds credentials"),
        ("file://lake", "write file:///lake"),
        ("gs://bucket/../x", "no piece of it"),
    ] {
        let faults = read(&format!("store: {{url: '{url}'}}"), &[]).unwrap_err().to_string();
        assert!(faults.starts_with("store.url: ") && faults.contains(fault), "{url}: {faults}");
        assert!(!faults.contains("hush"), "{faults}");
    }
    for url in ["lake", "./a/b", "/s3/x", "file:///a", "s3://b", "gs://b/p", "az://c/p", "abfss://c@account/p"] {
        assert!(read(&format!("store: {{url: '{url}'}}"), &[]).is_ok(), "{url}");
    }
}

#[test]
fn a_level_is_a_word_that_is_one() {
    for good in ["off", "INFO", "debug", "chatlake=debug,object_store=warn", "warn,chatlake::wal=trace"] {
        assert!(read(&format!("log: {{level: '{good}'}}"), &[]).is_ok(), "{good}");
    }
    for bad in ["verbose", "chatlake", "no=such=thing", "info,chatty"] {
        let faults = read(&format!("log: {{level: '{bad}'}}"), &[]).unwrap_err().to_string();
        assert!(faults.starts_with("log.level: "), "{bad}: {faults}");
    }
}

#[test]
fn keys_must_agree() {
    let of = |text: &str| read(text, &[]).unwrap_err().to_string();
    let same = of("receivers: {otlp: {grpc: {endpoint: '127.0.0.1:4318'}}}");
    assert!(
        same.contains("receivers.otlp.http.endpoint: 127.0.0.1:4318 is the address of receivers.otlp.grpc"),
        "{same}"
    );
    assert!(of("telemetry: {otlp: {endpoint: 'https://x:4317'}}").contains("telemetry.otlp.protocol"));
    assert!(read("receivers: {otlp: {grpc: {endpoint: '[::1]:0'}, http: {endpoint: '[::1]:0'}}}", &[]).is_ok());
}

#[test]
fn what_may_not_be_meant_is_told_and_allowed() {
    let of = |text: &str| read(text, &[]).unwrap().doubts().join("\n");
    assert_eq!(of(""), "");
    assert!(of("assembly: {idle: 2h}").contains("assembly.idle: 2h is more than assembly.max_age, 1h"));
    assert!(of("store: {compression: gzip}").contains("store.compression: is for store.format jsonl"));
    assert_eq!(of("store: {compression: gzip, tool_calls: flat, format: jsonl}"), "");
    assert!(of("receivers: {otlp: {in_flight: 1MiB}}").contains("64MiB is taken"));
    assert!(of("receivers: {otlp: {http: {endpoint: '0.0.0.0:4318'}}}").contains("auth.keys"));
    assert_eq!(of("receivers: {otlp: {http: {endpoint: '[::1]:4318'}}}"), "");
    let keys =
        |more: &str| format!("auth: {{keys: [{{key: k, tenant: one, prefix: p}}, {{key: l, tenant: two{more}}}]}}");
    assert_eq!(of(&keys("")), "");
    assert!(of(&keys(", prefix: p")).contains(r#"tenants "one" and "two" land under one prefix"#));
    let webhooks = "{meta: [{secret: s, tenant: two}], twilio: [{secret: s, tenant: two}, {secret: t}]}";
    assert!(of(&format!("{}\nwebhooks: {webhooks}", keys(""))).contains(r#"tenants "two" and "default""#));
}

#[test]
fn a_writers_name_leaves_room_for_what_is_appended() {
    let longest = "a".repeat(48);
    let name = format!("{longest}-convert-{:032x}", u128::MAX);
    assert!(name.parse::<crate::lake::key::Writer>().is_ok());
    assert!(read(&format!("writer: {{name: {longest}}}"), &[]).is_ok());
    for bad in [format!("{longest}a"), "_a".to_owned(), ".a".to_owned(), "a/b".to_owned()] {
        assert!(read(&format!("writer: {{name: {bad}}}"), &[]).is_err(), "{bad}");
    }
}
