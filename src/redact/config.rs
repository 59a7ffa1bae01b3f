//! What the configuration may say of redaction, and why it may be refused.

use super::key::KeyText;
use serde::Deserialize;
use serde::Serialize;

/// What is taken out of records before anything of them is stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The built-in rules: `floor` (default), `strict` or `none`.
    pub policy: Policy,
    /// How much of conversations is kept: `full` (default), `excerpt`, `hash` or `none`.
    pub content: Content,
    /// Rules of your own. They act before the built-in ones, and under every policy.
    pub rules: Vec<CustomRule>,
    /// Names of attributes, tags and JSON keys whose values are masked, whatever they hold. Letter case is ignored.
    pub keys: Vec<String>,
    /// Secret of the keyed hashes, 16 characters or more. The same secret gives the same hashes on every machine.
    /// Without one, a random key is made once and kept in the data directory.
    pub hash_key: Option<KeyText>,
}

/// A set of built-in rules.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// Credentials, e-mail addresses and home directories, exactly as the modelstat SDK masks them.
    #[default]
    Floor,
    /// More kinds of credentials and of personal data, fewer false hits, and hashed identities.
    Strict,
    /// No built-in rules.
    None,
}

impl Policy {
    /// The word that stands in rows.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Strict => "strict",
            Self::None => "none",
        }
    }
}

/// How much is kept of what people, models and tools said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Content {
    /// All of it.
    #[default]
    Full,
    /// The first 320 characters of each text, and `…`.
    Excerpt,
    /// A keyed hash of each text. Arguments of tools have their hashes and sizes in `details.tool_hashes`.
    Hash,
    /// Nothing.
    None,
}

/// A rule of the user's own.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CustomRule {
    /// Stands in the mark, `[REDACTED:name]`, and in `redaction.counts`. 1 to 40 of `a-z`, `0-9` and `_`.
    pub name: String,
    /// Regular expression, without look-around or back-references. Where it has a group named `secret`, only the
    /// group's text is replaced.
    pub pattern: String,
    /// Literal text, in any letter case, without which the pattern cannot match. Texts without it cost almost nothing.
    #[serde(default)]
    pub keyword: Option<String>,
    /// What becomes of a match.
    #[serde(default)]
    pub mode: Mode,
}

/// What becomes of what a rule found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// `[REDACTED:name]` stands in its place.
    #[default]
    Mask,
    /// `[REDACTED:name:0123456789abcdef]` stands in its place, with a keyed hash: equal values stay equal.
    Hash,
    /// The whole text that holds it is emptied. Identities and names of fields are hashed instead.
    Drop,
}

/// Why a configuration of redaction is refused.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The name cannot stand in a mark.
    #[error("redaction.rules: rule `{0}`: its name must be 1 to 40 of a-z, 0-9 and _")]
    Name(String),
    /// Two rules have one name, or a built-in rule has it.
    #[error("redaction.rules: rule `{0}`: another rule has this name")]
    Taken(String),
    /// The pattern is no regular expression, or too large a one.
    #[error("redaction.rules: rule `{name}`: cannot use its pattern")]
    Pattern {
        /// The rule.
        name: String,
        /// What is wrong with it.
        #[source]
        source: Box<regex::Error>,
    },
    /// The pattern matches the empty text.
    #[error("redaction.rules: rule `{0}`: its pattern matches the empty text, so it would act everywhere")]
    Empty(String),
    /// The pattern matches ordinary words.
    #[error("redaction.rules: rule `{0}`: its pattern matches ordinary words, so it would mask everything")]
    Everything(String),
    /// The keyword is empty.
    #[error("redaction.rules: rule `{0}`: its keyword is empty; leave it out")]
    Keyword(String),
    /// A name in `keys` is empty.
    #[error("redaction.keys: a name is empty")]
    Key,
    /// The secret of the hashes is too short to be one.
    #[error("redaction.hash_key: fewer than 16 characters")]
    HashKey,
}
