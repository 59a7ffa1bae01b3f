//! The policy `floor`: the 20 rules of the modelstat SDK (0.1.0), in their order.
//!
//! Their known faults are part of them (a commit id is taken for a key, a lower-case `bearer` is not seen): whoever
//! compares both gets equal text. The policy `strict` is the one without these faults.

use super::config::Mode;
use super::gate::Near;
use super::gate::is_blob;
use super::rule::Class;
use super::rule::Form;
use super::rule::Matcher;
use super::rule::Rule;
use super::trigger::Trigger;
use regex::Regex;
use std::borrow::Cow;
use std::ops::Range;

/// Length of an AWS secret key.
pub(super) const BLOB: usize = 40;

/// What finds an e-mail address.
pub(super) const EMAIL: &str = r"[A-Za-z0-9._%+\-]+@[A-Za-z0-9.\-]+\.[A-Za-z]{2,}";

/// Name, literals one of which it needs, pattern. Letters, digits and word boundaries are ASCII.
const SECRETS: [(&str, &[&str], &str, Form); 17] = [
    ("anthropic_key", &["sk-ant-"], r"sk-ant-[A-Za-z0-9_-]{20,}", Form::Mark),
    ("openai_key", &["sk-"], r"sk-(?:proj-)?[A-Za-z0-9_-]{20,}", Form::Mark),
    ("google_api_key", &["aiza"], r"AIza[0-9A-Za-z_-]{35}", Form::Mark),
    ("aws_access_key", &["akia", "asia"], r"(?-u:\b)(?:AKIA|ASIA)[0-9A-Z]{16}(?-u:\b)", Form::Mark),
    ("github_pat", &["ghp_"], r"ghp_[A-Za-z0-9]{36,}", Form::Mark),
    ("github_oauth", &["gho_"], r"gho_[A-Za-z0-9]{36,}", Form::Mark),
    ("github_app", &["ghs_", "ghu_", "ghr_"], r"gh[sur]_[A-Za-z0-9]{36,}", Form::Mark),
    ("slack_token", &["xox"], r"xox[aboprs]-[A-Za-z0-9-]{10,}", Form::Mark),
    ("stripe_live_key", &["k_live_"], r"(?:sk|pk|rk)_live_[A-Za-z0-9]{24,}", Form::Mark),
    ("stripe_test_key", &["k_test_"], r"(?:sk|pk|rk)_test_[A-Za-z0-9]{24,}", Form::Mark),
    ("discord_token", &["."], r"[MN][A-Za-z0-9]{23}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27}", Form::Mark),
    ("jwt", &["eyj"], r"eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}", Form::Mark),
    (
        "private_key",
        &["private key-----"],
        r"-----BEGIN (?:RSA |EC |DSA |OPENSSH )?PRIVATE KEY-----(?s:.*?)-----END (?:RSA |EC |DSA |OPENSSH )?PRIVATE KEY-----",
        Form::Mark,
    ),
    ("modelstat_device_secret", &["ds_live_"], r"ds_live_[A-Za-z0-9_-]{32,}", Form::Mark),
    (
        "env_secret",
        &["token", "key", "secret", "passw", "api"],
        r#"(?-u:\b)([A-Z][A-Z0-9_]*(?:TOKEN|KEY|SECRET|PASSWORD|PASSWD|API)[A-Z0-9_]*)\s*[:=]\s*['"]?(?P<secret>[^\s'"]{12,})['"]?"#,
        Form::Assignment,
    ),
    ("bearer", &["bearer"], r"Bearer\s+(?P<secret>[A-Za-z0-9._~+/-]{20,}=*)", Form::Bearer),
    (
        "db_password",
        &["://"],
        r"(?i-u:(postgres|mysql|mongodb|redis|amqp)(?:\+[a-z]+)?)://[^:\s]+:(?P<secret>[^@\s]+)@",
        Form::Database,
    ),
];

/// Name, literals one of which it needs, pattern.
const PERSONAL: [(&str, &[&str], &str); 2] = [
    ("email", &["@"], EMAIL),
    ("path", &["/users/", "/home/", r"\users\"], r#"(?:/Users/|/home/)[^\s"'`)]+|[A-Za-z]:\\Users\\[^\s"'`)]+"#),
];

/// The 20 rules.
pub(super) fn rules() -> Vec<Rule> {
    let mut rules: Vec<Rule> = SECRETS
        .iter()
        .map(|(name, keywords, pattern, form)| Rule { form: *form, ..built_in(name, Class::Secret, keywords, pattern) })
        .collect();
    for rule in &mut rules {
        rule.trigger = match (rule.name.as_ref(), std::mem::replace(&mut rule.trigger, Trigger::Always)) {
            ("discord_token", _) => Trigger::Discord,
            ("env_secret", Trigger::Keywords(words)) => Trigger::Near(words, Near::Assignment),
            ("anthropic_key" | "openai_key", Trigger::Keywords(words)) => Trigger::Near(words, Near::Follow(20)),
            (_, trigger) => trigger,
        };
    }
    rules.push(Rule {
        name: "aws_secret_key".into(),
        class: Class::Secret,
        trigger: Trigger::Run,
        matcher: Matcher::Scan(blobs),
        form: Form::Mark,
        mode: Mode::Mask,
    });
    rules.extend(PERSONAL.iter().map(|(name, keywords, pattern)| built_in(name, Class::Personal, keywords, pattern)));
    rules
}

/// A rule that finds by a pattern and leaves a mark.
#[expect(clippy::expect_used, reason = "patterns of our own, compiled by every test")]
pub(super) fn built_in(name: &'static str, class: Class, keywords: &[&'static str], pattern: &str) -> Rule {
    Rule {
        name: name.into(),
        class,
        trigger: Trigger::Keywords(keywords.iter().copied().map(Cow::Borrowed).collect()),
        matcher: Matcher::Pattern(Regex::new(pattern).expect("patterns of our own are valid"), |_| true),
        form: Form::Mark,
        mode: Mode::Mask,
    }
}

/// Runs of exactly 40 base64 characters.
pub(super) fn blobs(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = 0;
    for (at, byte) in text.bytes().chain([b' ']).enumerate() {
        if is_blob(byte) {
            continue;
        }
        if at - start == BLOB {
            found.push(start..at);
        }
        start = at + 1;
    }
    found
}
