//! Webhooks are let in by signature: who signed is who sends.
//!
//! | from | header | signed |
//! |---|---|---|
//! | Meta | `X-Hub-Signature-256: sha256=<hex>` | HMAC-SHA256 of the raw body |
//! | Twilio | `X-Twilio-Signature: <base64>` | HMAC-SHA1 of the public URL, then each parameter's name and value, sorted |
//!
//! - All secrets are tried, whichever fits, and compared in constant time. Several of one sender: while they are
//!   changed. One that is withdrawn counts no more from the next look at its file, or the next start.
//! - Twilio signs the URL that it was told, which is not the one that comes here through a proxy:
//!   [`Config::public_url`].
//! - Secrets are never printed. A file that cannot be read right now refuses nobody for good.

use super::Caller;
use super::Rejected;
use crate::clock::Clock;
use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::Hmac;
use hmac::KeyInit as _;
use hmac::Mac as _;
use http::HeaderMap;
use http::Uri;
use serde::Deserialize;
use sha1::Sha1;
use sha2::Sha256;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;
use subtle::Choice;
use subtle::ConditionallySelectable as _;
use subtle::ConstantTimeEq as _;

const META: &str = "x-hub-signature-256";
const TWILIO: &str = "x-twilio-signature";

/// Who may post to the webhooks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// Where the doors are seen from outside: `https://host`, with a path where a proxy adds one.
    pub public_url: Option<String>,
    /// Takes webhooks without signature, from whoever has a key of `auth.keys`.
    pub unsigned: bool,
    /// Apps of Meta.
    pub meta: Vec<Sender>,
    /// Accounts of Twilio.
    pub twilio: Vec<Sender>,
}

/// A sender of webhooks, and whose data it brings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sender {
    /// App secret or auth token.
    pub secret: Option<Secret>,
    /// A file with one on each line: several while they are changed.
    pub secret_file: Option<PathBuf>,
    /// What Meta says when the webhook is registered.
    pub verify_token: Option<Secret>,
    /// Whose data it is.
    pub tenant: Option<String>,
    /// The application.
    pub app: Option<String>,
    /// The redaction policy.
    pub policy: Option<String>,
    /// A prefix in the store.
    pub prefix: Option<String>,
}

impl Sender {
    /// Says what is wrong with a sender's settings.
    ///
    /// # Errors
    /// In words for the configuration's author.
    pub fn check(&self) -> Result<(), &'static str> {
        let is_empty = |secret: &Option<Secret>| secret.as_ref().is_some_and(|secret| secret.0.is_empty());
        if is_empty(&self.secret) || is_empty(&self.verify_token) {
            return Err("a secret is empty");
        }
        if self.secret.is_none() && self.secret_file.is_none() {
            return Err("an entry has neither secret nor secret_file");
        }
        match self.policy.as_deref() {
            None | Some("floor" | "strict" | "none") => Ok(()),
            Some(_) => Err("policy is none of floor, strict, none"),
        }
    }

    fn caller(&self) -> Caller {
        let tenant = self.tenant.clone().unwrap_or_else(|| Caller::default().tenant);
        Caller { tenant, app: self.app.clone(), policy: self.policy.clone(), prefix: self.prefix.clone() }
    }
}

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Keeps a text from being printed.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// What must not be printed.
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("***")
    }
}

/// Knows the secrets of webhooks.
#[derive(Debug)]
pub struct Signatures {
    public_url: Option<String>,
    unsigned: bool,
    meta: Vec<Known>,
    twilio: Vec<Known>,
    clock: Arc<dyn Clock>,
}

#[derive(Debug)]
struct Known {
    caller: Arc<Caller>,
    fixed: Option<Secret>,
    verify_token: Option<Secret>,
    file: Option<File>,
}

/// Which algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Sha256,
    Sha1,
}

impl Signatures {
    /// Knows the secrets of a configuration. Files are read now for the first time.
    pub fn new(config: &Config, clock: Arc<dyn Clock>) -> Self {
        let now = clock.monotonic();
        let known = |senders: &[Sender]| senders.iter().map(|sender| Known::new(sender, now)).collect();
        Self {
            public_url: config.public_url.as_deref().map(|url| url.trim_end_matches('/').to_owned()),
            unsigned: config.unsigned,
            meta: known(&config.meta),
            twilio: known(&config.twilio),
            clock,
        }
    }

    /// Whether webhooks are taken without signature.
    pub(super) fn is_off(&self) -> bool {
        self.unsigned
    }

    /// Whether this is what an app of Meta was told to say when it is registered.
    pub(super) fn is_verify_token(&self, token: &str) -> bool {
        let tokens = self.meta.iter().filter_map(|known| known.verify_token.as_ref());
        // All are compared.
        let fits = tokens.fold(Choice::from(0), |fits, known| fits | known.0.as_bytes().ct_eq(token.as_bytes()));
        bool::from(fits)
    }

    /// Finds who signed a notification of Meta's.
    pub(super) fn meta(&self, headers: &HeaderMap, body: &[u8]) -> Result<Arc<Caller>, Rejected> {
        const NONE: &str = "no signature: Meta signs with the header x-hub-signature-256";
        let given = text(headers, META).and_then(|text| unhex(text.strip_prefix("sha256=")?));
        let given = given.ok_or(Rejected::Forbidden(NONE))?;
        self.signer(&self.meta, Scheme::Sha256, &given, &[vec![body]])
    }

    /// Finds who signed a form of Twilio's. `target` is the request's own.
    pub(super) fn twilio(
        &self,
        headers: &HeaderMap,
        target: &Uri,
        form: &[(String, String)],
    ) -> Result<Arc<Caller>, Rejected> {
        const NONE: &str = "no signature: Twilio signs with the header x-twilio-signature";
        let given = text(headers, TWILIO).and_then(|text| STANDARD.decode(text.trim()).ok());
        let given = given.ok_or(Rejected::Forbidden(NONE))?;
        let urls = self.urls(headers, target);
        let parameters = sorted(form);
        let signed: Vec<Vec<&[u8]>> = urls
            .iter()
            .map(|url| std::iter::once(url.as_bytes()).chain(parameters.iter().copied()).collect())
            .collect();
        self.signer(&self.twilio, Scheme::Sha1, &given, &signed)
    }

    /// The URLs that may have been signed: the public one, with and without the port that its scheme implies.
    fn urls(&self, headers: &HeaderMap, target: &Uri) -> Vec<String> {
        let path = target.path_and_query().map_or("/", |path| path.as_str());
        let origin = self.public_url.clone().unwrap_or_else(|| {
            let host = text(headers, "host").or_else(|| target.host()).unwrap_or_default();
            format!("{}://{host}", text(headers, "x-forwarded-proto").unwrap_or("http"))
        });
        // The setting may name the webhook itself.
        let origin = origin.strip_suffix(target.path()).unwrap_or(&origin);
        let mut urls = vec![format!("{origin}{path}")];
        let Some((scheme, rest)) = origin.split_once("://") else { return urls };
        let (host, prefix) = rest.find('/').and_then(|at| rest.split_at_checked(at)).unwrap_or((rest, ""));
        let port = if scheme == "https" { ":443" } else { ":80" };
        match host.strip_suffix(port) {
            Some(bare) => urls.push(format!("{scheme}://{bare}{prefix}{path}")),
            None => urls.push(format!("{scheme}://{host}{port}{prefix}{path}")),
        }
        urls
    }

    /// The sender whose secret gives this signature over one of these texts.
    fn signer(
        &self,
        senders: &[Known],
        scheme: Scheme,
        given: &[u8],
        signed: &[Vec<&[u8]>],
    ) -> Result<Arc<Caller>, Rejected> {
        let now = self.clock.monotonic();
        let mut place = u32::MAX;
        let mut callers = Vec::new();
        // A file that is being written may lack the secret that signed.
        let is_settling =
            |seen: &Seen| seen.changed.is_some_and(|changed| now.saturating_sub(changed) < File::SETTLING);
        let mut is_known_whole = true;
        for known in senders {
            let seen = known.file.as_ref().map(|file| file.seen(now));
            let of_file = seen.as_ref().and_then(|seen| seen.secrets.as_deref());
            is_known_whole &= seen.as_ref().is_none_or(|seen| seen.secrets.is_some() && !is_settling(seen));
            for secret in known.fixed.iter().chain(of_file.unwrap_or_default()) {
                let nth = u32::try_from(callers.len()).unwrap_or(u32::MAX);
                callers.push(&known.caller);
                for parts in signed {
                    let made = scheme.sign(secret.0.as_bytes(), parts);
                    place.conditional_assign(&nth, made.as_slice().ct_eq(given));
                }
            }
        }
        if let Some(caller) = usize::try_from(place).ok().and_then(|place| callers.get(place)) {
            return Ok(Arc::clone(caller));
        }
        if !is_known_whole {
            return Err(Rejected::Unavailable {
                reason: "a file of secrets is changing or cannot be read, so the signature cannot be checked now",
                after: Duration::from_secs(5),
            });
        }
        Err(Rejected::Forbidden(match (scheme, callers.is_empty()) {
            (Scheme::Sha256, true) => "no secret is known to check the signature with: set webhooks.meta",
            (Scheme::Sha1, true) => "no secret is known to check the signature with: set webhooks.twilio",
            (Scheme::Sha256, false) => "the signature fits no secret of webhooks.meta",
            (Scheme::Sha1, false) => {
                "the signature fits no secret of webhooks.twilio, or the URL that was signed is not webhooks.public_url"
            }
        }))
    }
}

impl Scheme {
    fn sign(self, secret: &[u8], parts: &[&[u8]]) -> Vec<u8> {
        // Secrets of any length are keys.
        match self {
            Self::Sha256 => Hmac::<Sha256>::new_from_slice(secret).map(|mut mac| {
                parts.iter().for_each(|part| mac.update(part));
                mac.finalize().into_bytes().to_vec()
            }),
            Self::Sha1 => Hmac::<Sha1>::new_from_slice(secret).map(|mut mac| {
                parts.iter().for_each(|part| mac.update(part));
                mac.finalize().into_bytes().to_vec()
            }),
        }
        .unwrap_or_default()
    }
}

/// Names and values as Twilio strings them: by name, of one name by value, equal ones once.
fn sorted(form: &[(String, String)]) -> Vec<&[u8]> {
    let mut by_name: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, value) in form {
        by_name.entry(name).or_default().insert(value);
    }
    let pairs = by_name.iter().flat_map(|(name, values)| values.iter().map(move |value| [*name, *value]));
    pairs.flatten().map(str::as_bytes).collect()
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.chars().map(|digit| u8::try_from(digit.to_digit(16)?).ok()).collect::<Option<_>>()?;
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some(high << 4 | low),
        _ => None,
    };
    digits.chunks(2).map(pair).collect()
}

impl Known {
    fn new(sender: &Sender, now: Duration) -> Self {
        let file = sender.secret_file.clone().map(|path| {
            let file = File { path, state: ArcSwap::default() };
            file.look(now);
            file
        });
        Self {
            caller: Arc::new(sender.caller()),
            // Everybody knows the empty one.
            fixed: sender.secret.clone().filter(|secret| !secret.0.is_empty()),
            verify_token: sender.verify_token.clone().filter(|token| !token.0.is_empty()),
            file,
        }
    }
}

/// A file of secrets.
#[derive(Debug)]
struct File {
    path: PathBuf,
    state: ArcSwap<Seen>,
}

/// A file as it was last looked at.
#[derive(Debug, Default)]
struct Seen {
    at: Duration,
    stamp: Option<(SystemTime, u64)>,
    /// When it was last found changed; none for the first look.
    changed: Option<Duration>,
    /// None while it cannot be read or holds none.
    secrets: Option<Vec<Secret>>,
}

impl File {
    /// How long a look counts.
    const LOOK: Duration = Duration::from_secs(1);
    /// How long a file that has changed may still be being written.
    const SETTLING: Duration = Duration::from_secs(2);

    fn seen(&self, now: Duration) -> Arc<Seen> {
        let seen = self.state.load_full();
        if now.saturating_sub(seen.at) < Self::LOOK {
            return seen;
        }
        self.look(now);
        self.state.load_full()
    }

    fn look(&self, now: Duration) {
        let before = self.state.load();
        let stamp = self.stamp().ok();
        let is_same = stamp.is_some() && before.stamp == stamp;
        let secrets = match stamp {
            Some(_) if before.secrets.is_some() && is_same => before.secrets.clone(),
            Some(_) => self.read(),
            None => None,
        };
        if secrets.is_none() && (before.secrets.is_some() || before.at.is_zero()) {
            tracing::error!(path = %self.path.display(), "a file of webhook secrets cannot be read or is empty; its senders are asked to retry");
        }
        let is_first = before.stamp.is_none() && before.at.is_zero();
        let changed = if is_same || is_first { before.changed } else { Some(now) };
        self.state.store(Arc::new(Seen { at: now, stamp, changed, secrets }));
    }

    fn stamp(&self) -> io::Result<(SystemTime, u64)> {
        let about = fs::metadata(&self.path)?;
        Ok((about.modified()?, about.len()))
    }

    fn read(&self) -> Option<Vec<Secret>> {
        let text = fs::read_to_string(&self.path).ok()?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let secrets: Vec<Secret> = lines.map(Secret::new).collect();
        (!secrets.is_empty()).then_some(secrets)
    }
}

#[cfg(test)]
mod tests;
