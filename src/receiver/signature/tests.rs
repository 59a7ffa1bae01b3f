use super::*;
use crate::clock::ManualClock;
use serde_json::Value;

fn vectors() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/seeds/stackifier/webhook-signature-vectors.json");
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn sender(secret: &str, tenant: &str) -> Sender {
    Sender { secret: Some(Secret::new(secret)), tenant: Some(tenant.to_owned()), ..Sender::default() }
}

fn headers(name: &'static str, value: &str) -> HeaderMap {
    HeaderMap::from_iter([(http::HeaderName::from_static(name), value.parse().unwrap())])
}

fn twilio(public_url: Option<&str>) -> Signatures {
    let config = Config {
        public_url: public_url.map(str::to_owned),
        twilio: vec![sender("12345", "a"), sender("fake-auth-token", "b")],
        ..Config::default()
    };
    Signatures::new(&config, Arc::new(ManualClock::default()))
}

fn form(vector: &Value) -> Vec<(String, String)> {
    let fields = vector["form"].as_object().unwrap();
    fields.iter().rev().map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect()
}

#[test]
fn twilios_vectors_fit_and_name_their_sender() {
    for vector in vectors()["twilio"].as_array().unwrap() {
        let url: Uri = vector["url"].as_str().unwrap().parse().unwrap();
        let origin = format!("https://{}", url.host().unwrap());
        let target: Uri = url.path_and_query().unwrap().as_str().parse().unwrap();
        let given = headers("x-twilio-signature", vector["x_twilio_signature"].as_str().unwrap());
        let form = form(vector);
        let expected = if vector["auth_token"] == "12345" { "a" } else { "b" };
        for public in [origin.clone(), format!("{origin}/"), format!("{origin}{}", url.path())] {
            assert_eq!(twilio(Some(&public)).twilio(&given, &target, &form).unwrap().tenant, expected, "{public}");
        }
        let refused = |signatures: &Signatures, target: &Uri, form: &[(String, String)]| {
            matches!(signatures.twilio(&given, target, form), Err(Rejected::Forbidden(_)))
        };
        assert!(refused(&twilio(Some("https://elsewhere.example")), &target, &form), "another URL");
        assert!(refused(&twilio(Some(&origin)), &"/other".parse().unwrap(), &form), "another path");
        assert!(refused(&twilio(Some(&origin)), &target, form.get(1..).unwrap()), "a field less");
        assert!(
            refused(&Signatures::new(&Config::default(), Arc::new(ManualClock::default())), &target, &form),
            "no secret"
        );
        assert!(twilio(Some(&origin)).twilio(&HeaderMap::new(), &target, &form).is_err(), "no header");
    }
}

#[test]
fn metas_vector_fits_its_raw_body_only() {
    let vectors = vectors();
    let vector = &vectors["meta"][0];
    let config = Config {
        meta: vec![sender("other", "x"), sender(vector["app_secret"].as_str().unwrap(), "m")],
        ..Config::default()
    };
    let signatures = Signatures::new(&config, Arc::new(ManualClock::default()));
    let body = vector["raw_body"].as_str().unwrap();
    let given = headers("x-hub-signature-256", vector["x_hub_signature_256"].as_str().unwrap());
    assert_eq!(signatures.meta(&given, body.as_bytes()).unwrap().tenant, "m");
    let altered = format!("{body} ");
    assert!(matches!(signatures.meta(&given, altered.as_bytes()), Err(Rejected::Forbidden(_))));
    for wrong in ["", "sha256=", "sha256=00", "sha256=zz", "sha1=fba0", "sha256=fba0304b5bc26a376c2ff0b5a332da33f"] {
        let given = headers("x-hub-signature-256", wrong);
        assert!(matches!(signatures.meta(&given, body.as_bytes()), Err(Rejected::Forbidden(_))), "{wrong:?}");
    }
}

#[test]
fn a_withdrawn_secret_counts_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secrets");
    let clock = Arc::new(ManualClock::default());
    let vectors = vectors();
    let vector = &vectors["meta"][0];
    let body = vector["raw_body"].as_str().unwrap().as_bytes();
    let given = headers("x-hub-signature-256", vector["x_hub_signature_256"].as_str().unwrap());
    let config =
        Config { meta: vec![Sender { secret_file: Some(path.clone()), ..Sender::default() }], ..Config::default() };
    let signatures = Signatures::new(&config, Arc::clone(&clock) as Arc<dyn Clock>);
    let ask = || {
        clock.advance(Duration::from_secs(2));
        signatures.meta(&given, body)
    };
    assert!(matches!(ask(), Err(Rejected::Unavailable { .. })), "no file: nobody is refused for good");
    fs::write(&path, "# new\nnew-secret\n\nfake-app-secret\n").unwrap();
    assert_eq!(ask().unwrap().tenant, "default");
    fs::write(&path, "new-secret\n").unwrap();
    assert!(matches!(ask(), Err(Rejected::Unavailable { .. })), "it may be half-written");
    assert!(matches!(ask(), Err(Rejected::Forbidden(_))));
    // Emptied, to be written anew: nobody is refused for good, and the signer is known as soon as it is there.
    for half in ["", "# to come\n"] {
        fs::write(&path, half).unwrap();
        clock.advance(Duration::from_secs(60));
        assert!(matches!(ask(), Err(Rejected::Unavailable { .. })));
        assert!(matches!(ask(), Err(Rejected::Unavailable { .. })));
    }
    fs::write(&path, "fake-app-secret\n").unwrap();
    assert!(ask().is_ok());
}

#[test]
fn secrets_are_not_printed() {
    let signatures = twilio(None);
    assert!(!format!("{signatures:?}").contains("12345"));
    let config = Config { meta: vec![sender("hush", "t")], ..Config::default() };
    assert!(!format!("{config:?}").contains("hush"));
}

#[test]
fn the_verify_token_is_one_of_the_apps() {
    let app = |token: &str| Sender { verify_token: Some(Secret::new(token)), ..Sender::default() };
    let config = Config { meta: vec![app("one"), app("two")], ..Config::default() };
    let signatures = Signatures::new(&config, Arc::new(ManualClock::default()));
    assert!(signatures.is_verify_token("one") && signatures.is_verify_token("two"));
    assert!(!signatures.is_verify_token("tw") && !signatures.is_verify_token(""));
    let empty = Config { meta: vec![app("")], ..Config::default() };
    assert!(!Signatures::new(&empty, Arc::new(ManualClock::default())).is_verify_token(""));
    assert!(!Signatures::new(&Config::default(), Arc::new(ManualClock::default())).is_verify_token(""));
}

#[test]
fn without_a_public_url_the_requests_own_counts() {
    let vectors = vectors();
    let vector = &vectors["twilio"][1];
    let target: Uri = "/webhooks/whatsapp/twilio".parse().unwrap();
    let mut given = headers("x-twilio-signature", vector["x_twilio_signature"].as_str().unwrap());
    given.insert("host", "collector.example.invalid".parse().unwrap());
    assert!(twilio(None).twilio(&given, &target, &form(vector)).is_err(), "it came over http");
    given.insert("x-forwarded-proto", "https".parse().unwrap());
    assert!(twilio(None).twilio(&given, &target, &form(vector)).is_ok());
}
