//! The policy `strict`: it sees what `floor` misses, and keeps what `floor` takes by mistake.

use super::*;

/// Text and what strict makes of it. `{}` is taken out of both.
const CASES: &[(&str, &str)] = &[
    // What floor misses (or half of it).
    ("pass{}word=supersecretvalue123", "password=[REDACTED:secret_field]"),
    ("PASS{}WORD=supersecretvalue123", "PASSWORD=[REDACTED:secret_field]"),
    ("PASS{}WORD=correcthorsebattery", "PASSWORD=[REDACTED:secret_field]"),
    ("TO{}KEN=supersecretvalue123", "TOKEN=[REDACTED:secret_field]"),
    ("api_{}key=supersecretvalue123", "api_key=[REDACTED:secret_field]"),
    ("API_{}KEY=short77x", "API_KEY=[REDACTED:secret_field]"),
    ("apiKey: 'supersecretvalue123'", "apiKey: '[REDACTED:secret_field]'"),
    ("curl --to{}ken abc123def456 -X POST", "curl --token [REDACTED:secret_field] -X POST"),
    (
        "https://x.example/cb?access_to{}ken=ab12cd34ef56&state=7",
        "https://x.example/cb?access_token=[REDACTED:secret_field]&state=7",
    ),
    ("https://x.example/v1?key{}=4f9a02c7b8d15e63&page=2", "https://x.example/v1?key=[REDACTED:url_parameter]&page=2"),
    ("GET /a?x=1&sig{}=kJ8s2Lq0Zt5vXw9B%3D HTTP/1.1", "GET /a?x=1&sig=[REDACTED:url_parameter] HTTP/1.1"),
    (
        "see https://x.example/?a=1&am{}p;appid=4f9a02c7b8d15e63.",
        "see https://x.example/?a=1&amp;appid=[REDACTED:url_parameter].",
    ),
    ("key{}=4f9a02c7b8d15e63&page=2", "key=[REDACTED:url_parameter]&page=2"),
    ("/login?user=a&pwd{}=hunt&b=1", "/login?user=a&pwd=[REDACTED:url_parameter]&b=1"),
    ("/cb#state=7&code{}=ab12cd34ef56gh78", "/cb#state=7&code=[REDACTED:url_parameter]"),
    ("<db><pass{}word>geheim</password></db>", "<db><password>[REDACTED:secret_element]</password></db>"),
    (
        "<ns:client-secret>\n ab12cd34ef\n</ns:client-secret>",
        "<ns:client-secret>\n [REDACTED:secret_element]\n</ns:client-secret>",
    ),
    (
        "machine api.example login jane password{} hunter2hunter",
        "machine api.example login jane password [REDACTED:netrc_password]",
    ),
    ("DB_PASS{}WORD: 'hunter2hunter2'", "DB_PASSWORD: '[REDACTED:env_secret]'"),
    ("authorization: be{}arer abcdefghijklmnopqrstuvwxyz0123", "authorization: bearer [REDACTED:bearer]"),
    ("Authorization: Be{}arer abcdefghijklmnopqrstuvwxyz", "Authorization: Bearer [REDACTED:bearer]"),
    ("Authorization: Ba{}sic dXNlcjpodW50ZXIy", "Authorization: Basic [REDACTED:basic_auth]"),
    ("postgresql://app:hunter2hunter2@db/prod", "postgresql://app:[REDACTED:db_password]@db/prod"),
    (
        "postgresql+psycopg2://app:hunter2@db.internal/prod",
        "postgresql+psycopg2://app:[REDACTED:db_password]@db.internal/prod",
    ),
    ("postgres://app:p@ss@db/prod", "postgres://app:[REDACTED:db_password]@db/prod"),
    ("postgres://app:p/w#1?@db/prod", "postgres://app:[REDACTED:db_password]@db/prod"),
    ("mongodb+srv://app:pw@c0/prod", "mongodb+srv://app:[REDACTED:db_password]@c0/prod"),
    ("rediss://:pw@cache:6380", "rediss://:[REDACTED:db_password]@cache:6380"),
    ("amqps://u:pw@mq/v", "amqps://u:[REDACTED:db_password]@mq/v"),
    ("https://jane:geheim@git.example/x.git", "https://jane:[REDACTED:db_password]@git.example/x.git"),
    ("glpat-FFFFFFFFFFFFFFFFFFFF", "[REDACTED:gitlab_token]"),
    ("hf_FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF", "[REDACTED:huggingface_token]"),
    ("github_pat_FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF", "[REDACTED:github_pat]"),
    ("ACffffffffffffffffffffffffffffffff", "[REDACTED:twilio_id]"),
    ("https://hooks.sl{}ack.com/services/T000/B000/FAKEFAKEFAKE", "https://hooks.slack.com/[REDACTED:webhook_url]"),
    ("https://dis{}cord.com/api/webhooks/123456/FAKEFAKE", "https://discord.com/api/webhooks/[REDACTED:webhook_url]"),
    ("SG{}.FAKEFAKEFAKEFAKEFAKEFA.FAKEFAKEFAKEFAKEFAKEFAKEFAKEFAKEFAKEFAKEFAK", "[REDACTED:sendgrid_key]"),
    ("123456789{}:AAFAKEFAKEFAKEFAKEFAKEFAKEFAKEFAKEF", "[REDACTED:telegram_token]"),
    ("-----BE{}GIN ENCRYPTED PRIVATE KEY-----\nFAKE\n-----END ENCRYPTED PRIVATE KEY-----.", "[REDACTED:private_key]."),
    (
        "-----BE{}GIN PGP PRIVATE KEY BLOCK-----\nVersion: 1\n\nFAKE=\n-----END PGP PRIVATE KEY BLOCK-----",
        "[REDACTED:private_key]",
    ),
    ("x -----BE{}GIN PRIVATE KEY-----\nMIIEFAKE\nFAKE (cut", "x [REDACTED:private_key](cut"),
    ("wJalr{}XUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "[REDACTED:aws_secret_key]"),
    ("sk-{}FAKEFAKEFAKEFAKEFAKE1234", "[REDACTED:openai_key]"),
    ("sk-{}proj-FAKEFAKEFAKEFAKEFAKE", "[REDACTED:openai_key]"),
    ("Cookie: session=FAKEFAKE; id=7", "Cookie: [REDACTED:cookie]"),
    // Personal data.
    ("+351912345678", "[REDACTED:phone_number]"),
    ("call +49 (30) 901820-17, or +1 415 555 2671.", "call [REDACTED:phone_number], or [REDACTED:phone_number]."),
    ("(415) 555-2671 or 415.555.2671", "[REDACTED:phone_number] or [REDACTED:phone_number]"),
    ("0049 30 9018200", "[REDACTED:phone_number]"),
    ("4242 4242 4242 4242", "[REDACTED:card_number]"),
    ("card 5555-5555-5555-4444, exp 12/27", "card [REDACTED:card_number], exp 12/27"),
    ("3782 822463 10005", "[REDACTED:card_number]"),
    ("4242 4242 4242 4242 12/27", "[REDACTED:card_number] 12/27"),
    ("DE89 3704 0044 0532 0130 00 AND more", "[REDACTED:iban] AND more"),
    ("GB82WEST12345698765432", "[REDACTED:iban]"),
    ("192.0.2.10", "[REDACTED:ip_address]"),
    (
        "http://192.0.2.10:8080/x and 2001:db8::8a2e:370:7334.",
        "http://[REDACTED:ip_address]:8080/x and [REDACTED:ip_address].",
    ),
    ("jane.doe@example.com", "[REDACTED:email]"),
    (r"see C:\Users\jane\x.rs, C:\\Users\\jane", r"see C:\Users\[REDACTED:path] C:\\Users\\[REDACTED:path]"),
    ("/home/jane/app.rs", "[REDACTED:path]"),
];

/// Texts in which there is nothing to find.
const CLEAN: &[&str] = &[
    "commit da39a3ee5e6b4b0d3255bfef95601890afd80709",
    "DA39A3EE5E6B4B0D3255BFEF95601890AFD80709",
    "task-abcdefghijklmnopqrstuvwxyz",
    "risk-assessment-for-the-next-quarter-2026",
    "sk-learn-style-estimators-and-pipelines",
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "550e8400-e29b-41d4-a716-446655440000 and 5b8efff798038103d269b633813fc60c",
    "/srv/app.rs /var/lib/x /usr/local/lib/python3/dist/Packages/a/b",
    "max_tokens: 4096, prompt_tokens=12345678, token: 2048",
    "Password: please enter it. The key: monkey business. token: the smallest unit",
    "api_key = os.environ[\"OPENAI_API_KEY\"]\npassword: str\ntoken=get_token()\npassword=password",
    "token=${TOKEN} --token $TOKEN --key-file x PASSWORD=<redacted> password: ********",
    "{\"required\":[\"password\"],\"properties\":{\"password\":{\"type\":\"string\"},\"token\":{\"type\":\"string\"}}}",
    "{\"logprobs\":[{\"token\":\" weather\",\"logprob\":-0.1},{\"token\":\"Hello\"}],\"password\":null}",
    "version 1.2.3.4, Chrome/120.0.0.0, v1.2.3.4, OID 1.3.6.1.4.1.311, 127.0.0.1:4317, 999.1.1.1",
    "std::string::npos, 12:34:56, aa:bb:cc:dd:ee:ff, dead::beef, ::1",
    "4242 4242 4242 4241, 1234567890123456, 1763712000000000000, 0.4242424242424242, call_4242424242424242",
    "DE89 3704 0044 0532 0130 01, XX89370400440532013000",
    "+02:00, 1+12345678901, 2026-11-21 09:00:00, 415-155-2671, ISBN 978-3-16-148410-0",
    "https://example.com/?key=user-profile-settings-2026&code=PT-2024-000012&sig=none&auth=basic&x=1",
    "https://example.com/a?key=getUserProfileForTenant2&sort_key=created_at_descending&password={password}&pwd=$PWD",
    "?code=404&key=summary-2026-11-21&v=dQw4w9WgXcQ&list=PLFgquLnL59alCl_2TQvOiD5Vgm1hCaGSI&ref=da39a3ee5e6b4b0d",
    "for key=value pairs; key=4f9a02c7 is short, password=, and f(key=4f9a02c7b8d15e63) is code",
    "<password>null</password><token>weather</token><password></password><token>{{ token }}</token>",
    "the machine asks at login for a password again, {\"auth\":\"basic-authentication\",\"auths\":\"oauth2\"}",
    "bearer of bad news-and-more-things-like-that",
    "basic understanding, Basic principles",
    "https://example.com:8080/a@b and see user:name@",
    "the public key is ssh-rsa AAAA, -----BEGIN PUBLIC KEY-----",
];

#[test]
fn strict_sees_what_floor_misses() {
    let redactor = with_policy(Policy::Strict);
    for (input, output) in CASES {
        assert_eq!(redactor.text(&fake(input)), *output);
        let within = format!("\"{}\"\n– ça", fake(input));
        assert!(redactor.text(&within).contains("[REDACTED:"), "{within}");
    }
}

#[test]
fn strict_takes_nothing_by_mistake() {
    let redactor = with_policy(Policy::Strict);
    for text in CLEAN {
        assert_eq!(redactor.text(text), *text);
    }
}

#[test]
fn strict_twice_is_once() {
    let redactor = with_policy(Policy::Strict);
    for (input, output) in CASES {
        assert_eq!(redactor.text(output), *output, "{input}");
    }
}

#[test]
fn what_floor_sees_strict_sees_too() {
    let (floor, strict) = (with_policy(Policy::Floor), with_policy(Policy::Strict));
    for (input, _) in CASES {
        let input = fake(input);
        if floor.text(&input) != input {
            assert_ne!(strict.text(&input), input);
        }
    }
}

#[test]
fn telling_names_of_json_hide_their_values() {
    let redactor = with_policy(Policy::Strict);
    for (json, expected) in [
        (
            r#"{"auths":{"r.example":{"auth":"amFuZTpodW50ZXIy"}}}"#,
            r#"{"auths":{"r.example":{"auth":"[REDACTED:secret_field]"}}}"#,
        ),
        (r#"{"auth":"amFuZTpodW50ZXIy"}"#, r#"{"auth":"[REDACTED:secret_field]"}"#),
        (r#""{\"auth\":\"amFuZTpodW50ZXIy\"}""#, r#""{\"auth\":\"[REDACTED:secret_field]\"}""#),
        (r#"{"password":"hunter2","user":"app"}"#, r#"{"password":"[REDACTED:secret_field]","user":"app"}"#),
        (r#"{"db.password":"x y z"}"#, r#"{"db.password":"[REDACTED:secret_field]"}"#),
        (r#"{"headers":{"X-Api-Key":["ab12cd34ef"]}}"#, r#"{"headers":{"X-Api-Key":["[REDACTED:secret_field]"]}}"#),
        (r#"{"a":"{\"clientSecret\":\"abc\"}"}"#, r#"{"a":"{\"clientSecret\":\"[REDACTED:secret_field]\"}"}"#),
        (r#"{"card":4242424242424242,"at":1763712000000}"#, r#"{"card":"[REDACTED:card_number]","at":1763712000000}"#),
    ] {
        assert_eq!(redactor.text(json), expected);
        assert_eq!(redactor.text(expected), expected);
    }
    let attributes =
        vec![crate::event::Entry { key: "http.request.header.authorization".into(), json: "[\"abc\"]".into() }];
    let partial = record(&redactor, Partial { attributes, ..Default::default() });
    assert_eq!(partial.attributes[0].json, "[\"[REDACTED:secret_field]\"]");
}
