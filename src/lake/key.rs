//! Keys of objects, as types: formatted here, parsed here, nowhere else.
//!
//! | key, below the store's URL | object |
//! |---|---|
//! | `<prefix>/events/<partition>/<writer>-<segment>-<part>.parquet` | rows |
//! | `<prefix>/_dead/date=<arrival>/<writer>-<segment>-<part>.jsonl` | records that could not be mapped |
//! | `<prefix>/_commits/<writer>/<segment>.json` | a manifest |
//! | `<prefix>/_commits/<writer>/probe` | what the start-up probe writes, once |
//!
//! Segments have 12 digits, parts 3 or more. The prefix may be empty. A key is derived from the writer and the segment,
//! so doing it again gives the same key, and no two segments ever share one.

use std::fmt;
use std::str::FromStr;
use xxhash_rust::xxh3::xxh3_128;

/// Folder of the rows.
pub const EVENTS: &str = "events";
/// Folder of what could not be mapped.
pub const DEAD: &str = "_dead";
/// Folder of the manifests.
pub const COMMITS: &str = "_commits";

/// Bytes that a writer's name may have.
const LONGEST_WRITER: usize = 96;
/// Bytes that a prefix may have.
const LONGEST_PREFIX: usize = 128;

/// Who writes: a configured name and the random id of a log's directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Writer(String);

impl Writer {
    /// The writer's text, as it stands in keys.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Writer {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = !text.is_empty() && text.len() <= LONGEST_WRITER && !text.starts_with(['.', '_']);
        if fits && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')) {
            Ok(Self(text.to_owned()))
        } else {
            Err(KeyError::Writer(text.to_owned()))
        }
    }
}

/// Where in the store a lake is: a path of plain pieces, or nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix(String);

impl Prefix {
    /// The prefix's text, without a slash at its ends.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The prefix that a text names; for one that is no prefix, a plain one made of its hash. Configurations and
    /// credentials refuse such texts, so this is for a log that was written under older rules.
    pub fn confined(text: &str) -> Self {
        text.parse().unwrap_or_else(|_| Self(format!("prefix-{:032x}", xxh3_128(text.as_bytes()))))
    }

    /// A key below this prefix.
    pub fn join(&self, path: &str) -> String {
        if self.0.is_empty() { path.to_owned() } else { format!("{}/{path}", self.0) }
    }

    /// What a key says below this prefix; `None` where it is not below it.
    pub fn strip<'a>(&self, key: &'a str) -> Option<&'a str> {
        if self.0.is_empty() { Some(key) } else { key.strip_prefix(&self.0)?.strip_prefix('/') }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Prefix {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim_matches('/');
        let fits = |piece: &str| {
            !piece.is_empty()
                && !piece.starts_with(['.', '_'])
                && piece != EVENTS
                && piece.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '='))
        };
        if text.is_empty() || (text.len() <= LONGEST_PREFIX && text.split('/').all(fits)) {
            Ok(Self(text.to_owned()))
        } else {
            Err(KeyError::Prefix(text.to_owned()))
        }
    }
}

/// Why a text is no key, or no part of one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A writer's name that keys cannot hold.
    #[error("writer {0:?} must be 1 to {LONGEST_WRITER} letters, digits, - _ . and begin with no dot or underscore")]
    Writer(String),
    /// A prefix that keys cannot hold, or that looks like a folder of a lake.
    #[error(
        "prefix {0:?} must be at most {LONGEST_PREFIX} letters, digits, - _ . = and /, no piece of it empty, \
         {EVENTS:?} or beginning with a dot or underscore"
    )]
    Prefix(String),
    /// A key that has another form.
    #[error("{0:?} is no key of a manifest")]
    Manifest(String),
}

/// What tells the files of one folder apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileName {
    /// Who wrote it.
    pub writer: Writer,
    /// The segment whose fold made it.
    pub segment: u64,
    /// Which of the fold's files of this prefix it is.
    pub part: u32,
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:012}-{:03}", self.writer, self.segment, self.part)
    }
}

impl FileName {
    /// The writer's files among those of a folder: what follows `<writer>-` in a file's name, read back. A template may
    /// set text before and after it.
    pub fn find(writer: &Writer, key: &str) -> Option<Self> {
        let name = key.rsplit('/').next()?;
        let (_, behind) = name.split_once(&format!("{writer}-"))?;
        let (segment, behind) = behind.split_once('-')?;
        let digits = behind.bytes().take_while(u8::is_ascii_digit).count();
        let part = behind.get(..digits).filter(|part| part.len() >= 3)?;
        if segment.len() < 12 {
            return None;
        }
        Some(Self { writer: writer.clone(), segment: segment.parse().ok()?, part: part.parse().ok()? })
    }
}

/// The key of a manifest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ManifestKey {
    /// The lake that it belongs to.
    pub prefix: Prefix,
    /// Who wrote it.
    pub writer: Writer,
    /// The segment whose decisions it tells.
    pub segment: u64,
}

impl fmt::Display for ManifestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.prefix.join(&format!("{COMMITS}/{}/{:012}.json", self.writer, self.segment)))
    }
}

impl FromStr for ManifestKey {
    type Err = KeyError;

    fn from_str(key: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (folder, name) = key.rsplit_once('/')?;
            let (folder, writer) = folder.rsplit_once('/')?;
            let prefix = match folder.strip_suffix(COMMITS)? {
                "" => "",
                prefix => prefix.strip_suffix('/')?,
            };
            let segment = name.strip_suffix(".json").filter(|digits| digits.len() >= 12)?;
            Some(Self { prefix: prefix.parse().ok()?, writer: writer.parse().ok()?, segment: segment.parse().ok()? })
        };
        parse().ok_or_else(|| KeyError::Manifest(key.to_owned()))
    }
}

/// The key of what the start-up probe writes.
pub fn probe(prefix: &Prefix, writer: &Writer) -> String {
    prefix.join(&format!("{COMMITS}/{writer}/probe"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer() -> Writer {
        "host-1-0a1b2c3d".parse().unwrap()
    }

    #[test]
    fn a_manifests_key_reads_back() {
        for prefix in ["", "a", "team=x/b"] {
            let key = ManifestKey { prefix: prefix.parse().unwrap(), writer: writer(), segment: 42 };
            let text = key.to_string();
            assert!(text.ends_with("_commits/host-1-0a1b2c3d/000000000042.json"));
            assert_eq!(text.parse(), Ok(key.clone()));
            assert_eq!(key.prefix.strip(&text), Some("_commits/host-1-0a1b2c3d/000000000042.json"));
        }
        for odd in ["", "x.json", "_commits/w/1.json", "_commits/w/probe", "a_commits/w/000000000001.json"] {
            assert!(odd.parse::<ManifestKey>().is_err(), "{odd}");
        }
    }

    #[test]
    fn a_files_name_is_found_whatever_the_template_sets_around_it() {
        let name = FileName { writer: writer(), segment: 7, part: 1000 };
        assert_eq!(name.to_string(), "host-1-0a1b2c3d-000000000007-1000");
        for key in [format!("events/date=2026-11-21/{name}.parquet"), format!("a/log-{name}.x.jsonl.gz")] {
            assert_eq!(FileName::find(&writer(), &key), Some(name.clone()));
        }
        assert_eq!(FileName::find(&"other".parse().unwrap(), &format!("{name}.parquet")), None);
        assert_eq!(FileName::find(&writer(), "events/host-1-0a1b2c3d-7-000.parquet"), None);
    }

    #[test]
    fn names_that_could_leave_their_place_are_refused() {
        for odd in ["", ".", "..", "a/b", "a b", "_x", &"w".repeat(97)] {
            assert!(odd.parse::<Writer>().is_err(), "{odd}");
        }
        for odd in ["..", "a/../b", "a//b", "events", "a/_commits", "a b", "%2e", &"p".repeat(129)] {
            assert!(odd.parse::<Prefix>().is_err(), "{odd}");
        }
        assert!(Prefix::confined("../x").as_str().starts_with("prefix-"));
        assert_eq!(Prefix::confined("a/b").as_str(), "a/b");
        assert_eq!("/a/b/".parse::<Prefix>().unwrap().as_str(), "a/b");
        assert_eq!("a".parse::<Prefix>().unwrap().strip("ab/c"), None);
    }
}
