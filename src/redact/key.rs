//! Keyed hashes: equal values get equal hashes, and nobody without the key can try out values.
//!
//! HMAC-SHA-256, cut to 128 bits where a hash replaces an identity and to 64 in a mark.

use super::config::Fault;
use hmac::Hmac;
use hmac::KeyInit as _;
use hmac::Mac as _;
use serde::Deserialize;
use serde::Serialize;
use serde::Serializer;
use sha2::Sha256;
use std::fmt;

/// What a hash in an identity's place begins with.
const IDENTITY: &str = "hash-";

/// The key of all hashes that this program stores.
#[derive(Clone)]
pub struct Key(Hmac<Sha256>);

impl Key {
    /// The shortest secret that a configuration may give.
    const SHORTEST: usize = 16;

    /// Makes a key of secret bytes of any length.
    #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
    pub fn new(secret: &[u8]) -> Self {
        Self(Hmac::new_from_slice(secret).expect("HMAC takes keys of every length"))
    }

    /// Makes the key that a configuration states.
    ///
    /// # Errors
    /// When the secret is shorter than 16 characters.
    pub fn from_text(text: &KeyText) -> Result<Self, Fault> {
        if text.0.chars().count() < Self::SHORTEST { Err(Fault::HashKey) } else { Ok(Self::new(text.0.as_bytes())) }
    }

    /// What stands in place of an identity: `hash-` and 32 hex digits.
    pub(super) fn identity(&self, text: &str) -> String {
        format!("{IDENTITY}{}", self.hex(text, 16))
    }

    /// 16 hex digits.
    pub(super) fn short(&self, text: &str) -> String {
        self.hex(text, 8)
    }

    fn hex(&self, text: &str, bytes: usize) -> String {
        let mut mac = self.0.clone();
        mac.update(text.as_bytes());
        hex(mac.finalize().into_bytes().iter().take(bytes))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(***)")
    }
}

/// Whether `text` is what [`Key::identity`] gives: it is not hashed again.
pub(super) fn is_identity(text: &str) -> bool {
    text.strip_prefix(IDENTITY).is_some_and(|hash| hash.len() == 32 && hash.bytes().all(is_hex))
}

/// `bytes` as lower-case hex digits.
pub(super) fn hex<'a>(bytes: impl IntoIterator<Item = &'a u8>) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    bytes.into_iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Whether `byte` is a lower-case hex digit.
pub(super) fn is_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

/// A secret in the configuration: never printed.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct KeyText(String);

impl KeyText {
    /// Wraps a secret text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Serialize for KeyText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("***")
    }
}
