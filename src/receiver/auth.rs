//! Credentials: who sends, and what follows from it. Tenant, application, policy and prefix come from here and never
//! from data.
//!
//! - Without keys any credential, and none, is the [`Caller::default`].
//! - Keys are compared by their hashes, all of them, in constant time. They are kept as they are for one thing only:
//!   S3's clients do not send a key, they sign with it.
//! - Keys may be bound to some of the doors. At others they are nobody's.
//! - A file of keys is read again when its time or length changes (looked at once a second at most, when a request
//!   comes). While it cannot be read, holds no key, or has only just changed (it may be half-written), a key that is
//!   not known elsewhere cannot be judged: the sender is asked to come again, for a refused sender throws its data
//!   away.

use super::Rejected;
use super::signature::Secret;
use crate::clock::Clock;
use arc_swap::ArcSwap;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use sha2::Digest as _;
use sha2::Sha256;
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

/// What a credential says of its bearer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Whose data it is.
    pub tenant: String,
    /// The application.
    pub app: Option<String>,
    /// The redaction policy, where it is not the configured one.
    pub policy: Option<String>,
    /// A prefix in the store.
    pub prefix: Option<String>,
}

impl Default for Caller {
    fn default() -> Self {
        Self { tenant: crate::event::NO_TENANT.to_owned(), app: None, policy: None, prefix: None }
    }
}

/// Keys that are bound to one caller.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    /// Where they are.
    pub source: Source,
    /// Whose they are.
    pub caller: Caller,
    /// The doors at which they count, by the rows' `source`; none: all.
    pub doors: Vec<String>,
}

/// Where keys are.
#[derive(Clone, PartialEq, Eq)]
pub enum Source {
    /// The key itself, from the environment.
    Key(String),
    /// A file with a key on each line: several while they are rotated. Empty lines and lines with `#` first are none.
    File(PathBuf),
}

impl fmt::Debug for Source {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(_) => out.write_str("Key(***)"),
            Self::File(path) => write!(out, "File({})", path.display()),
        }
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = out.debug_struct("Keys");
        out.field("source", &self.source).field("caller", &self.caller).field("doors", &self.doors).finish()
    }
}

/// Knows the keys.
#[derive(Debug)]
pub struct Auth {
    fixed: Vec<Known>,
    files: Vec<File>,
    clock: Arc<dyn Clock>,
}

type Hash = [u8; 32];

/// A key, and what follows from it.
#[derive(Debug, Clone)]
struct Known {
    hash: Hash,
    key: Secret,
    owner: Arc<Owner>,
}

/// Whose keys they are, and where they count.
#[derive(Debug)]
struct Owner {
    caller: Arc<Caller>,
    doors: Vec<String>,
}

#[derive(Debug)]
struct File {
    path: PathBuf,
    owner: Arc<Owner>,
    state: ArcSwap<Seen>,
}

/// A file of keys as it was last looked at.
#[derive(Debug)]
struct Seen {
    at: Duration,
    stamp: Option<(SystemTime, u64)>,
    /// When it was last found changed; none for the first look.
    changed: Option<Duration>,
    /// None while it cannot be read.
    known: Option<Vec<Known>>,
}

impl Auth {
    /// How long a look at a file counts.
    const LOOK: Duration = Duration::from_secs(1);
    /// How long a file that has changed may still be being written.
    const SETTLING: Duration = Duration::from_secs(2);

    /// Knows `keys`. Files are read now for the first time; one that cannot be read is tried again later.
    pub fn new(keys: Vec<Keys>, clock: Arc<dyn Clock>) -> Self {
        let mut auth = Self { fixed: Vec::new(), files: Vec::new(), clock };
        for keys in keys {
            let owner = Arc::new(Owner { caller: Arc::new(keys.caller), doors: keys.doors });
            match keys.source {
                Source::Key(key) => auth.fixed.push(Known::new(key.trim(), owner)),
                Source::File(path) => {
                    let none = Seen { at: Duration::ZERO, stamp: None, changed: None, known: None };
                    let file = File { path, owner, state: ArcSwap::from_pointee(none) };
                    file.look(auth.clock.monotonic());
                    auth.files.push(file);
                }
            }
        }
        auth
    }

    /// Whether everybody may send.
    pub fn is_open(&self) -> bool {
        self.fixed.is_empty() && self.files.is_empty()
    }

    /// Finds the caller of a request by the key that it carries.
    ///
    /// # Errors
    /// Unauthenticated where no key fits, unavailable where that cannot be told right now.
    pub fn caller(&self, door: &str, headers: &HeaderMap) -> Result<Arc<Caller>, Rejected> {
        if self.is_open() {
            return Ok(Arc::default());
        }
        let key = bearer(headers).ok_or(Rejected::Unauthenticated(
            "no credential: send the header `authorization: Bearer KEY` with one of the keys of auth.keys",
        ))?;
        let hash = hash(key);
        Ok(self.find(door, |known| hash.ct_eq(&known.hash))?.0)
    }

    /// Finds who signed, and with which key; `fits` tells whether a key made the signature, in constant time.
    ///
    /// # Errors
    /// As [`Auth::caller`].
    pub fn by_signature(&self, door: &str, fits: impl Fn(&str) -> Choice) -> Result<(Arc<Caller>, Secret), Rejected> {
        self.find(door, |known| fits(known.key.reveal()))
    }

    fn find(&self, door: &str, fits: impl Fn(&Known) -> Choice) -> Result<(Arc<Caller>, Secret), Rejected> {
        let now = self.clock.monotonic();
        let files: Vec<Arc<Seen>> = self.files.iter().map(|file| file.seen(now)).collect();
        let known = self.fixed.iter().chain(files.iter().filter_map(|seen| seen.known.as_deref()).flatten());
        // All are compared, and which one fits is selected without a branch. One that counts here goes before others.
        let (mut place, mut elsewhere) = (u32::MAX, Choice::from(0));
        let mut all = Vec::new();
        for (nth, known) in (0_u32..).zip(known) {
            let (fits, counts) = (fits(known), Choice::from(u8::from(known.owner.counts_at(door))));
            place.conditional_assign(&nth, fits & counts);
            elsewhere |= fits & !counts;
            all.push(known);
        }
        if let Some(known) = usize::try_from(place).ok().and_then(|place| all.get(place)) {
            return Ok((Arc::clone(&known.owner.caller), known.key.clone()));
        }
        if bool::from(elsewhere) {
            return Err(Rejected::Unauthenticated(
                "the credential is one of auth.keys, but counts at other doors only",
            ));
        }
        let is_settling =
            |seen: &Seen| seen.changed.is_some_and(|changed| now.saturating_sub(changed) < Self::SETTLING);
        if files.iter().any(|seen| seen.known.is_none() || is_settling(seen)) {
            return Err(Rejected::Unavailable {
                reason: "a file of keys is changing or cannot be read, so the credential cannot be checked now",
                after: Duration::from_secs(5),
            });
        }
        Err(Rejected::Unauthenticated("the credential is none of the keys of auth.keys"))
    }
}

impl Known {
    fn new(key: &str, owner: Arc<Owner>) -> Self {
        Self { hash: hash(key), key: Secret::new(key), owner }
    }
}

impl Owner {
    fn counts_at(&self, door: &str) -> bool {
        self.doors.is_empty() || self.doors.iter().any(|known| known == door)
    }
}

impl File {
    fn seen(&self, now: Duration) -> Arc<Seen> {
        let seen = self.state.load_full();
        if now.saturating_sub(seen.at) < Auth::LOOK {
            return seen;
        }
        self.look(now);
        self.state.load_full()
    }

    fn look(&self, now: Duration) {
        let seen = self.state.load();
        let stamp = self.stamp().ok();
        let is_same = stamp.is_some() && seen.stamp == stamp;
        let known = match (&stamp, &seen.known) {
            (Some(_), Some(known)) if is_same => Some(known.clone()),
            (Some(_), _) => self.read(),
            (None, _) => None,
        };
        if known.is_none() && seen.known.is_some() {
            tracing::error!(path = %self.path.display(), "a file of keys cannot be read or is empty; its senders are asked to retry");
        }
        let is_first = seen.stamp.is_none() && seen.at.is_zero();
        let changed = if is_same || is_first { seen.changed } else { Some(now) };
        self.state.store(Arc::new(Seen { at: now, stamp, changed, known }));
    }

    fn stamp(&self) -> io::Result<(SystemTime, u64)> {
        let about = fs::metadata(&self.path)?;
        Ok((about.modified()?, about.len()))
    }

    fn read(&self) -> Option<Vec<Known>> {
        let text = fs::read_to_string(&self.path).ok()?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let known: Vec<Known> = lines.map(|key| Known::new(key, Arc::clone(&self.owner))).collect();
        (!known.is_empty()).then_some(known)
    }
}

fn hash(key: &str) -> Hash {
    Sha256::digest(key.as_bytes()).into()
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, key) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

#[cfg(test)]
mod tests;
