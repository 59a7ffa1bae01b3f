//! Sections that are lists, or have words of their own: who may send, webhooks, redaction; and the texts of single keys.

use super::Compression;
use super::chain;
use super::reader::Reader;
use super::reader::word;
use super::units::endpoint;
use crate::admin::telemetry;
use crate::dialect;
use crate::lake::key::Prefix;
use crate::lake::key::Writer;
use crate::lake::partition::Template;
use crate::lake::partition::TemplateError;
use crate::lake::remote;
use crate::receiver::Caller;
use crate::receiver::auth::Keys;
use crate::receiver::auth::Source;
use crate::receiver::posted;
use crate::receiver::signature;
use crate::redact;
use std::path::PathBuf;

/// An entry of `auth.keys` as it is written.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
struct KeyEntry {
    key: Option<String>,
    file: Option<PathBuf>,
    tenant: Option<String>,
    app: Option<String>,
    policy: Option<String>,
    prefix: Option<String>,
    doors: Vec<String>,
}

/// Who may send. Keys are not printed.
pub(super) fn keys(r: &mut Reader) -> Vec<Keys> {
    const PATH: &str = "auth.keys";
    let entries: Vec<KeyEntry> = r.tree(PATH, |entries: &Vec<KeyEntry>| not_shown(entries.len()));
    let mut keys = Vec::new();
    for entry in entries {
        let source = match (entry.key, entry.file) {
            (Some(key), None) if !key.trim().is_empty() => Source::Key(key),
            (None, Some(file)) => Source::File(file),
            (Some(_), None) => {
                r.fault(format!("{PATH}: a key is empty"));
                continue;
            }
            _ => {
                r.fault(format!("{PATH}: an entry has a key or a file, one of them"));
                continue;
            }
        };
        if !entry.policy.as_deref().is_none_or(|policy| matches!(policy, "floor" | "strict" | "none")) {
            r.fault(format!("{PATH}: policy is none of floor, strict, none"));
        }
        if let Some(Err(error)) = entry.prefix.as_deref().map(str::parse::<Prefix>) {
            r.fault(format!("{PATH}: {error}"));
        }
        for door in entry.doors.iter().filter(|door| !posted::DOORS.contains(&door.as_str())) {
            r.fault(format!("{PATH}: {door:?} is no door: write one of {}", posted::DOORS.join(", ")));
        }
        let tenant = entry.tenant.unwrap_or_else(|| Caller::default().tenant);
        let caller = Caller { tenant, app: entry.app, policy: entry.policy, prefix: entry.prefix };
        let entry = Keys { source, caller, doors: entry.doors };
        if keys.iter().any(|other| is_ambiguous(other, &entry)) {
            r.fault(format!("{PATH}: two entries have the same key, and say of it what differs"));
        }
        keys.push(entry);
    }
    keys
}

/// Whether a key has two bearers at one door.
fn is_ambiguous(one: &Keys, other: &Keys) -> bool {
    let is_same = match (&one.source, &other.source) {
        (Source::Key(one), Source::Key(other)) => one.trim() == other.trim(),
        (Source::File(one), Source::File(other)) => one == other,
        _ => false,
    };
    let share_a_door =
        one.doors.is_empty() || other.doors.is_empty() || one.doors.iter().any(|door| other.doors.contains(door));
    is_same && share_a_door && one.caller != other.caller
}

/// What is printed of a list that holds secrets.
fn not_shown(count: usize) -> String {
    if count == 0 { String::new() } else { format!("{count} of them, not shown for their secrets") }
}

/// What the doors of logging SDKs and webhooks are set to.
pub(super) fn posted(r: &mut Reader) -> posted::Config {
    use dialect::posted::TimeUnit;
    const NONE: &str = "none";
    const UNITS: &[(&str, TimeUnit)] = &[("seconds", TimeUnit::Seconds), ("milliseconds", TimeUnit::Milliseconds)];
    let or_none = |text: &str| if text == NONE { Ok(None) } else { endpoint(text).map(Some) };
    let words = |text: &str| {
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty() && *word != NONE);
        Ok(words.map(str::to_owned).collect::<Vec<_>>())
    };
    let modelstat_endpoint = r.must("receivers.modelstat.endpoint", or_none);
    let reading = dialect::posted::Config {
        huggingplace_times: r.must("receivers.huggingplace.times", |text| word(text, UNITS)),
        text_markers: r.must("receivers.text_markers", words),
    };
    let webhooks = signature::Config {
        public_url: r.get("webhooks.public_url", public_url),
        unsigned: r.must("webhooks.signatures", |text| word(text, &[("required", false), ("none", true)])),
        meta: senders(r, "webhooks.meta"),
        twilio: senders(r, "webhooks.twilio"),
    };
    posted::Config { modelstat_endpoint, reading, webhooks }
}

fn public_url(text: &str) -> Result<String, String> {
    match text.starts_with("https://") || text.starts_with("http://") {
        true => Ok(text.to_owned()),
        false => Err(format!("{text:?} is no URL: write https://host")),
    }
}

/// Senders of webhooks. Their secrets are not printed.
fn senders(r: &mut Reader, path: &'static str) -> Vec<signature::Sender> {
    let senders = r.tree(path, |senders: &Vec<signature::Sender>| not_shown(senders.len()));
    for sender in &senders {
        if let Err(fault) = sender.check() {
            r.fault(format!("{path}: {fault}"));
        }
        if let Some(Err(error)) = sender.prefix.as_deref().map(str::parse::<Prefix>) {
            r.fault(format!("{path}: {error}"));
        }
    }
    senders
}

pub(super) fn redaction(r: &mut Reader) -> redact::Config {
    use redact::Content;
    use redact::Policy;
    const POLICIES: &[(&str, Policy)] = &[("floor", Policy::Floor), ("strict", Policy::Strict), ("none", Policy::None)];
    const CONTENTS: &[(&str, Content)] =
        &[("full", Content::Full), ("excerpt", Content::Excerpt), ("hash", Content::Hash), ("none", Content::None)];
    fn shown<T: serde::Serialize>(list: &Vec<T>) -> String {
        if list.is_empty() { String::new() } else { serde_json::to_string(list).unwrap_or_default() }
    }
    let config = redact::Config {
        policy: r.must("redaction.policy", |text| word(text, POLICIES)),
        content: r.get("redaction.content", |text| word(text, CONTENTS)).unwrap_or_default(),
        rules: r.tree("redaction.rules", shown),
        keys: r.tree("redaction.keys", shown),
        hash_key: r.get("redaction.hash_key", |text| Ok(redact::KeyText::new(text))),
    };
    r.mask("redaction.hash_key");
    // Whatever the key will be, rules are refused alike.
    let key = config.hash_key.as_ref().map_or_else(|| Ok(redact::Key::new(&[0; 32])), redact::Key::from_text);
    match key.map_err(|fault| vec![fault]).and_then(|key| redact::Redactor::new(&config, key)) {
        Ok(_) => {}
        Err(faults) => faults.iter().for_each(|fault| r.fault(chain(fault))),
    }
    config
}

pub(super) fn template(text: &str) -> Result<Template, String> {
    text.parse().map_err(|error: TemplateError| error.to_string())
}

pub(super) fn compression(text: &str) -> Result<Compression, String> {
    word(text, &[("none", Compression::None), ("gzip", Compression::Gzip), ("zstd", Compression::Zstd)])
}

/// A name that can stand in an object's key, with what `serve` and `convert` append to it.
pub(super) fn writer_name(text: &str) -> Result<String, String> {
    const LONGEST: usize = 48;
    match text.len() <= LONGEST && text.parse::<Writer>().is_ok() {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "{text:?} cannot stand in an object's name: use at most {LONGEST} letters, digits, - _ and ., and begin with \
             a letter or digit"
        )),
    }
}

/// Where a lake is: a folder or a URL. That it can be reached is not asked here.
pub(super) fn store_url(text: &str) -> Result<String, String> {
    remote::is_well_formed(text).map_err(|error| chain(&error))?;
    Ok(text.to_owned())
}

/// A level, or a list of filters. A single word is a level: as a filter it would be the name of a module.
pub(super) fn log_level(text: &str) -> Result<String, String> {
    let fault = || {
        format!(
            "{text:?} is neither a level (off, error, warn, info, debug, trace) nor filters as in chatlake=debug,warn"
        )
    };
    let is_level = |word: &str| word.eq_ignore_ascii_case("off") || word.parse::<tracing::Level>().is_ok();
    let words: Vec<&str> = text.split(',').map(str::trim).collect();
    if words.iter().any(|word| !word.contains(['=', '[']) && !is_level(word)) || telemetry::filter(text).is_err() {
        return Err(fault());
    }
    Ok(text.to_owned())
}
