//! The policy `strict`: what `floor` sees without its false hits, and much that it misses.
//!
//! Unlike `floor` it keeps what surrounds a secret (quotes, `:` or `=`, the user of a URL), so that the text stays
//! readable. Percent-encoded text is looked at decoded, too; what holds a secret then stays decoded. What has no form of its own (a password) is known by the name that it is assigned to. Not seen: a secret
//! without form or name, one split over several texts or with characters put in between, one within base64.

mod number;
mod parameter;
mod secret;

pub(super) use secret::is_secret;

use super::config::Mode;
use super::floor;
use super::gate::Near;
use super::rule::Class;
use super::rule::Form;
use super::rule::Found;
use super::rule::Matcher;
use super::rule::Rule;
use super::trigger::Trigger;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use memchr::memchr_iter;
use memchr::memmem;
use regex::Regex;
use std::ops::Range;

/// The rule that acts on assignments and on JSON fields with telling names.
pub(super) const SECRET_FIELD: &str = "secret_field";

/// The rule that acts on passwords that are told in a sentence.
const SAID: &str = "password_said";

/// Rules of `floor` that are taken as they are. `env_secret` comes after those that know a secret's kind.
const FROM_FLOOR: [&str; 13] = [
    "anthropic_key",
    "google_api_key",
    "aws_access_key",
    "github_pat",
    "github_oauth",
    "github_app",
    "slack_token",
    "stripe_live_key",
    "stripe_test_key",
    "discord_token",
    "jwt",
    "modelstat_device_secret",
    "env_secret",
];

const LETTERS: &str = "[A-Za-z0-9]";
const TOKEN: &str = "[A-Za-z0-9_-]";
const HEX: &str = "[0-9a-f]";

/// Name, what its tokens begin with, of what they go on, and how many characters at least. No letter or digit stands
/// before them.
const PREFIXED: [(&str, &[&str], &str, usize); 58] = [
    ("github_pat", &["github_pat_"], TOKEN, 22),
    (
        "gitlab_token",
        &["glpat-", "gldt-", "glrt-", "glrtr-", "glcbt-", "glptt-", "glft-", "glimt-", "glagent-", "glsoat-", "gloas-"],
        TOKEN,
        20,
    ),
    ("huggingface_token", &["hf_", "api_org_"], LETTERS, 30),
    ("slack_token", &["xapp-", "xoxe-", "xoxe.xoxb-", "xoxe.xoxp-", "xoxc-", "xoxd-"], TOKEN, 10),
    ("mailgun_key", &["key-"], HEX, 32),
    ("npm_token", &["npm_"], LETTERS, 36),
    ("pypi_token", &["pypi-AgE"], TOKEN, 40),
    ("digitalocean_token", &["dop_v1_", "doo_v1_", "dor_v1_"], HEX, 64),
    ("shopify_token", &["shpat_", "shpca_", "shppa_", "shpss_"], "[0-9A-Fa-f]", 32),
    ("databricks_token", &["dapi"], HEX, 32),
    ("groq_key", &["gsk_"], LETTERS, 20),
    ("xai_key", &["xai-"], LETTERS, 20),
    ("perplexity_key", &["pplx-"], LETTERS, 20),
    ("replicate_token", &["r8_"], LETTERS, 30),
    ("fireworks_key", &["fw_"], LETTERS, 20),
    ("together_key", &["tgp_v1_"], TOKEN, 20),
    ("cerebras_key", &["csk-"], LETTERS, 30),
    ("elevenlabs_key", &["sk_"], HEX, 48),
    ("jina_key", &["jina_"], LETTERS, 32),
    ("firecrawl_key", &["fc-"], HEX, 32),
    ("langsmith_key", &["lsv2_pt_", "lsv2_sk_", "ls__"], "[0-9a-f_]", 32),
    ("langfuse_key", &["sk-lf-", "pk-lf-"], "[0-9a-f-]", 36),
    ("pinecone_key", &["pcsk_"], TOKEN, 30),
    ("tavily_key", &["tvly-"], TOKEN, 20),
    ("linear_key", &["lin_api_", "lin_oauth_"], LETTERS, 32),
    ("notion_token", &["ntn_", "secret_"], LETTERS, 43),
    ("grafana_token", &["glsa_", "glc_"], "[A-Za-z0-9_+/=]", 32),
    ("docker_token", &["dckr_pat_", "dckr_oat_"], TOKEN, 20),
    ("stripe_webhook_secret", &["whsec_"], "[A-Za-z0-9+/=]", 24),
    ("vault_token", &["hvs.", "hvb.", "hvr."], TOKEN, 24),
    ("age_key", &["AGE-SECRET-KEY-1"], "[A-Z0-9]", 58),
    ("google_oauth", &["ya29."], "[A-Za-z0-9_.-]", 20),
    ("google_oauth", &["GOCSPX-"], TOKEN, 20),
    ("modelstat_key", &["msk_"], TOKEN, 20),
    ("sentry_token", &["sntrys_", "sntryu_"], "[A-Za-z0-9_+/=-]", 40),
    ("atlassian_token", &["ATATT3", "ATCTT3"], "[A-Za-z0-9_=-]", 50),
    ("newrelic_key", &["NRAK-"], "[A-Z0-9]", 27),
    ("square_token", &["sq0atp-", "sq0csp-"], TOKEN, 22),
    ("heroku_key", &["HRKU-"], "[A-Za-z0-9_-]", 36),
    ("supabase_key", &["sbp_", "sb_secret_"], TOKEN, 20),
    ("planetscale_token", &["pscale_tkn_", "pscale_pw_"], "[A-Za-z0-9_.=-]", 32),
    ("doppler_token", &["dp.pt.", "dp.st.", "dp.ct."], "[A-Za-z0-9_.]", 40),
    ("airtable_token", &["pat"], "[A-Za-z0-9.]", 79),
    ("figma_token", &["figd_"], TOKEN, 40),
    ("postman_key", &["PMAK-"], "[0-9a-f-]", 59),
    ("fly_token", &["FlyV1 "], "[A-Za-z0-9_,/+=-]", 100),
    ("sourcegraph_token", &["sgp_"], "[0-9a-f_]", 40),
    ("okta_token", &["SSWS "], TOKEN, 40),
    ("nvidia_key", &["nvapi-"], TOKEN, 40),
    ("voyage_key", &["pa-"], "[A-Za-z0-9_]", 43),
    ("hubspot_token", &["pat-na1-", "pat-na2-", "pat-na3-", "pat-eu1-", "pat-ap1-"], "[0-9a-f-]", 36),
    ("buildkite_token", &["bkua_", "bkct_"], HEX, 40),
    ("rubygems_key", &["rubygems_"], HEX, 48),
    ("clojars_token", &["CLOJARS_"], LETTERS, 60),
    ("crates_token", &["cio"], LETTERS, 32),
    ("dropbox_token", &["sl.", "sl.u."], TOKEN, 100),
    ("facebook_token", &["EAA"], LETTERS, 100),
    ("discord_token", &["mfa."], TOKEN, 80),
];

/// Name, literals one of which it needs, pattern.
type Row = (&'static str, &'static [&'static str], &'static str);

const PATTERNS: [Row; 21] = [
    (
        "netrc_password",
        &["machine"],
        r"(?-u:\b)machine\s+\S{1,253}\s+login\s+\S{1,64}\s+password\s+(?P<secret>\S{4,128})",
    ),
    ("sendgrid_key", &["SG."], r"SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{16,64}"),
    ("telegram_token", &[":AA"], r"(?:^|[^A-Za-z0-9])(?P<secret>(?:bot)?[0-9]{8,10}:AA[A-Za-z0-9_-]{32,})"),
    ("azure_secret", &["Q~"], r"(?:^|[^A-Za-z0-9])(?P<secret>[A-Za-z0-9_~.-]{3}[78]Q~[A-Za-z0-9_~.-]{31,34})"),
    ("azure_sas", &["sig="], r"[?&]sig=(?P<secret>[A-Za-z0-9%/+=_-]{20,})"),
    ("azure_key", &["JQQJ99"], r"[A-Za-z0-9]{40,60}JQQJ99[A-Za-z0-9]{10,}"),
    ("mailchimp_key", &["-us"], r"(?-u:\b)[0-9a-f]{32}-us[0-9]{1,2}(?-u:\b)"),
    // As bots have them now: longer than the one that `floor` knows.
    (
        "discord_token",
        &[],
        r"(?:^|[^A-Za-z0-9_-])(?P<secret>[MNO][A-Za-z0-9_-]{23,27}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,40})",
    ),
    // Encrypted: five parts, of which the second may be empty.
    ("jwt", &["eyj"], r"eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]{10,}){3}"),
    ("private_key", &["private-lines:"], r"Private-Lines:[ \t]*[0-9]+\s+(?P<secret>(?:[A-Za-z0-9+/=]{16,}\s*)+)"),
    ("terraform_token", &[".atlasv1."], r"[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_-]{60,}"),
    (
        "webhook_url",
        &["hooks.slack"],
        r"hooks\.slack(?:-gov)?\.com/(?P<secret>(?:services|workflows|triggers)/[A-Za-z0-9/_-]+)",
    ),
    (
        "webhook_url",
        &["/webhooks/"],
        r"discord(?:app)?\.com/api/(?:v[0-9]+/)?webhooks/(?P<secret>[0-9]+/[A-Za-z0-9_-]+)",
    ),
    ("webhook_url", &["office.com/"], r"(?:webhook|outlook)\.office\.com/(?P<secret>webhook[A-Za-z0-9@/_-]+)"),
    ("webhook_url", &["api.telegram.org/"], r"api\.telegram\.org/(?P<secret>(?:file/)?bot[0-9]+:[A-Za-z0-9_-]+)"),
    ("webhook_url", &["chat.googleapis.com/"], r#"chat\.googleapis\.com/(?P<secret>v1/spaces/[^\s"'<>]+)"#),
    ("webhook_url", &["hooks.zapier.com/"], r"hooks\.zapier\.com/(?P<secret>hooks/[A-Za-z0-9/_-]+)"),
    ("webhook_url", &["make.com/"], r"hook\.[a-z0-9.]*make\.com/(?P<secret>[A-Za-z0-9]+)"),
    ("cookie", &["cookie:"], r"(?i-u:(?:set-)?cookie:)[ \t]*(?P<secret>[^\s\[][^\r\n]{7,})"),
    ("path", &[r"\users\"], r#"[A-Za-z]:\\+Users\\+(?P<secret>[^\s"'`)]+)"#),
    ("path", &["/users/", "/home/"], r#"(?:/Users/|/home/)[^\s"'`)]+"#),
];

/// The rules of `strict`, from those that know most to those that know least.
pub(super) fn rules() -> Vec<Rule> {
    let mut floor: Vec<Rule> =
        floor::rules().into_iter().filter(|rule| FROM_FLOOR.contains(&rule.name.as_ref())).collect();
    let mut rules = vec![scan("private_key", Class::Secret, &["private key"], private_keys)];
    rules.extend(PREFIXED.iter().map(|(name, prefixes, class, least)| prefixed(name, prefixes, class, *least)));
    let env: Vec<Rule> = floor.extract_if(.., |rule| rule.name == "env_secret").collect();
    rules.extend(floor);
    rules.push(Rule {
        trigger: Trigger::Hex,
        ..floor::built_in("twilio_id", Class::Secret, &[], r"(?-u:\b)(?:AC|SK|SM|PN)[0-9a-f]{32}(?-u:\b)")
    });
    let openai = checked("openai_key", &[], r"(?:^|[^A-Za-z0-9])(?P<secret>sk-[A-Za-z0-9_-]{20,})", |found| {
        found.secret().bytes().any(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
    });
    rules.push(Rule { trigger: Trigger::Near(vec!["sk-".into()], Near::Follow(20)), ..openai });
    let pattern = |(name, keywords, pattern): &Row, class| {
        let rule = floor::built_in(name, class, keywords, pattern);
        if keywords.is_empty() { Rule { trigger: Trigger::Discord, ..rule } } else { rule }
    };
    let of = |names: fn(&str) -> bool| PATTERNS.iter().filter(move |(name, ..)| names(name));
    // Before `floor`'s, which knows the first three parts of five.
    rules.splice(1..1, of(|name| name == "jwt").map(|row| pattern(row, Class::Secret)));
    rules.extend(of(|name| !matches!(name, "jwt" | "path")).map(|row| pattern(row, Class::Secret)));
    rules.push(checked(SAID, &secret::SAID_KEYWORDS, secret::SAID_PATTERN, secret::is_said));
    rules.extend(env.into_iter().map(|rule| Rule { form: Form::Mark, ..rule }));
    rules.push(checked("bearer", &["bearer"], r"(?i-u:bearer)\s+(?P<secret>[A-Za-z0-9._~+/-]{20,}=*)", |found| {
        let matched = found.text.get(found.place.clone()).unwrap_or_default();
        matched.starts_with("Bearer") || found.secret().bytes().any(|byte| byte.is_ascii_digit())
    }));
    rules.push(checked("basic_auth", &["basic"], r"(?i-u:basic)\s+(?P<secret>[A-Za-z0-9+/]{6,})={0,2}", is_basic_auth));
    rules.push(scan("db_password", Class::Secret, &["://"], url_passwords));
    let words = secret::KEYWORDS.map(Into::into).into();
    rules.push(Rule {
        trigger: Trigger::Near(words, Near::Naming),
        ..scan(SECRET_FIELD, Class::Secret, &[], secret::assignments)
    });
    rules.push(checked("secret_element", &secret::ELEMENT_KEYWORDS, secret::ELEMENT_PATTERN, |found| {
        is_secret(found.first, found.secret())
    }));
    rules.push(scan("url_parameter", Class::Secret, &parameter::KEYWORDS, parameter::values));
    rules.push(Rule { trigger: Trigger::Run, ..scan("aws_secret_key", Class::Secret, &[], keys_in_runs) });
    for (name, find) in number::SCANS {
        rules.push(Rule { trigger: Trigger::Digits, ..scan(name, Class::Personal, &[], find) });
    }
    rules.push(Rule {
        class: Class::Personal,
        // How repositories are named: `git@host:owner/name`.
        ..checked("email", &["@"], floor::EMAIL, |found| !found.secret().starts_with("git@"))
    });
    rules.extend(of(|name| name == "path").map(|row| pattern(row, Class::Personal)));
    rules
}

fn prefixed(name: &'static str, prefixes: &[&'static str], class: &str, least: usize) -> Rule {
    let escaped: Vec<String> = prefixes.iter().map(|prefix| regex::escape(prefix)).collect();
    let pattern = format!("(?:^|[^A-Za-z0-9])(?P<secret>(?:{}){class}{{{least},}})", escaped.join("|"));
    let trigger = Trigger::Near(prefixes.iter().copied().map(Into::into).collect(), Near::Follow(least));
    Rule { trigger, ..floor::built_in(name, Class::Secret, &[], &pattern) }
}

#[expect(clippy::expect_used, reason = "patterns of our own, compiled by every test")]
fn checked(name: &'static str, keywords: &[&'static str], pattern: &str, check: fn(&Found<'_>) -> bool) -> Rule {
    let pattern = Regex::new(pattern).expect("patterns of our own are valid");
    Rule { matcher: Matcher::Pattern(pattern, check), ..scan(name, Class::Secret, keywords, |_| Vec::new()) }
}

fn scan(name: &'static str, class: Class, keywords: &[&'static str], find: fn(&str) -> Vec<Range<usize>>) -> Rule {
    Rule {
        name: name.into(),
        class,
        trigger: Trigger::Keywords(keywords.iter().copied().map(Into::into).collect()),
        matcher: Matcher::Scan(find),
        form: Form::Mark,
        mode: Mode::Mask,
    }
}

/// Blocks from `-----BEGIN … PRIVATE KEY` to their end, `---- BEGIN …` of SSH2 too; of one that is cut, the characters
/// of a key that follow.
fn private_keys(text: &str) -> Vec<Range<usize>> {
    let mut found = blocks(text, "-----BEGIN ", "-----END ", "-----");
    found.extend(blocks(text, "---- BEGIN ", "---- END ", " ----"));
    found.sort_by_key(|block| block.start);
    found.dedup_by(|next, last| next.start < last.end);
    found
}

fn blocks(text: &str, begin: &str, end: &str, close: &str) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    let ends: Vec<usize> = memmem::find_iter(text.as_bytes(), end).collect();
    for start in memmem::find_iter(text.as_bytes(), begin) {
        let rest = text.get(start + begin.len()..).unwrap_or_default();
        let label = rest
            .bytes()
            .take(40)
            .take_while(|byte| byte.is_ascii_uppercase() || *byte == b' ' || byte.is_ascii_digit());
        let label = rest.get(..label.count()).unwrap_or_default();
        // A space may be the close's.
        let label = label.strip_suffix(' ').filter(|_| close.starts_with(' ')).unwrap_or(label);
        let body = start + begin.len() + label.len();
        let is_private = label.contains("PRIVATE KEY") && text.get(body..).is_some_and(|body| body.starts_with(close));
        if !is_private || found.last().is_some_and(|last| start < last.end) {
            continue;
        }
        let end = ends.get(ends.partition_point(|end| *end < body)).and_then(|at| {
            let line = text.as_bytes().get(at + end.len()..)?;
            let line = line.get(..line.len().min(48))?;
            Some(at + end.len() + memmem::find(line, close.as_bytes())? + close.len())
        });
        let cut = || {
            let body = text.get(body..).unwrap_or_default();
            let is_key = |byte: &u8| {
                super::gate::is_blob(*byte) || matches!(byte, b'-' | b'\\' | b' ' | b':' | b',' | b'\r' | b'\n' | b'\t')
            };
            text.len() - body.len() + body.bytes().take_while(is_key).count()
        };
        found.push(start..end.unwrap_or_else(cut));
    }
    found
}

fn is_basic_auth(found: &Found<'_>) -> bool {
    is_pair(found.secret())
}

/// Whether this is base64 of a name and a password.
fn is_pair(text: &str) -> bool {
    let decoded = STANDARD_NO_PAD.decode(text.trim_end_matches('=')).unwrap_or_default();
    std::str::from_utf8(&decoded).is_ok_and(|text| text.contains(':') && !text.contains(char::is_control))
}

/// Schemes in whose URLs a password may hold `/`, `?` and `#`: nobody writes paths with `@` there.
const DATABASES: [&str; 16] = [
    "postgres",
    "postgresql",
    "mysql",
    "mariadb",
    "mongodb",
    "redis",
    "rediss",
    "amqp",
    "amqps",
    "mssql",
    "sqlserver",
    "clickhouse",
    "cockroachdb",
    "snowflake",
    "ldap",
    "ldaps",
];

/// What stands between `scheme://user:` and the last `@` of the authority.
fn url_passwords(text: &str) -> Vec<Range<usize>> {
    let mut starts = memmem::find_iter(text.as_bytes(), "://").peekable();
    let mut found = Vec::new();
    while let Some(colon) = starts.next() {
        let start = colon + 3;
        // The next URL begins where this one must have ended, so that each byte is looked at once.
        let rest = text.get(start..starts.peek().copied().unwrap_or(text.len())).unwrap_or_default();
        let before = text.get(..colon).unwrap_or_default();
        let scheme =
            before.rsplit(|char: char| !char.is_ascii_alphanumeric() && !matches!(char, '+' | '.' | '-')).next();
        let scheme = scheme.and_then(|scheme| scheme.split('+').next()).unwrap_or_default();
        let is_database = DATABASES.iter().any(|database| scheme.eq_ignore_ascii_case(database));
        let others: &[char] = if is_database { &[] } else { &['<', '>', ',', '?', '#'] };
        let end =
            rest.find(|char: char| char.is_whitespace() || matches!(char, '"' | '\'' | '`') || others.contains(&char));
        let url = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        let authority = url.get(..url.find('/').unwrap_or(url.len())).unwrap_or_default();
        let at = authority.rfind('@').or_else(|| if is_database { url.rfind('@') } else { None });
        let user = at.and_then(|at| url.get(..at)).and_then(|info| info.find(':'));
        if let (Some(at), Some(user)) = (at, user)
            && user + 1 < at
        {
            found.push(start + user + 1..start + at);
        }
    }
    found
}

/// Runs of exactly 40 base64 characters that look random: commit ids, paths and names do not.
fn keys_in_runs(text: &str) -> Vec<Range<usize>> {
    const MOST_SLASHES: usize = 4;
    let mut runs = floor::blobs(text);
    // Assigned to something: `=` is no part of it.
    runs.extend(memchr_iter(b'=', text.as_bytes()).filter_map(|sign| {
        let rest =
            text.as_bytes().get(sign + 1..)?.get(..floor::BLOB + 1).or_else(|| text.as_bytes().get(sign + 1..))?;
        let len = rest.iter().take_while(|byte| super::gate::is_blob(**byte) && **byte != b'=').count();
        (len == floor::BLOB).then_some(sign + 1..sign + 1 + len)
    }));
    runs.sort_by_key(|run| run.start);
    runs.retain(|run| {
        let run = text.get(run.clone()).unwrap_or_default().trim_end_matches('=').as_bytes();
        run.iter().any(u8::is_ascii_uppercase)
            && run.iter().any(u8::is_ascii_lowercase)
            && run.iter().any(u8::is_ascii_digit)
            && !run.contains(&b'=')
            && !run.iter().all(u8::is_ascii_hexdigit)
            && run.iter().filter(|byte| **byte == b'/').count() <= MOST_SLASHES
    });
    runs
}
