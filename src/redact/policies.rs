//! The redactors of a process: the configuration's, and those of the policies that credentials and rows name.

use super::Redactor;
use super::config::Config;
use super::config::Fault;
use super::config::Policy;
use super::key::Key;
use std::sync::OnceLock;

/// The redactor of the configuration, and one for each other policy. Those are made when they are first asked for, for
/// each takes megabytes and most processes need none.
#[derive(Debug)]
pub struct Policies {
    config: Config,
    key: Key,
    own: Redactor,
    others: [(Policy, OnceLock<Redactor>); 3],
}

impl Policies {
    /// Prepares the configuration's own.
    ///
    /// # Errors
    /// All faults of the configuration at once.
    pub fn new(config: Config, key: Key) -> Result<Self, Vec<Fault>> {
        let own = Redactor::new(&config, key.clone())?;
        let others = [Policy::Floor, Policy::Strict, Policy::None].map(|policy| (policy, OnceLock::new()));
        Ok(Self { config, key, own, others })
    }

    /// The configuration's own.
    pub fn own(&self) -> &Redactor {
        &self.own
    }

    /// By the word of a policy; the configuration's own where that is it, or where there is no such policy.
    #[expect(clippy::expect_used, reason = "what is refused is refused under every policy, and the own one was made")]
    pub fn of(&self, word: &str) -> &Redactor {
        let other = self.others.iter().find(|(policy, _)| policy.as_str() == word && *policy != self.own.policy());
        other.map_or(&self.own, |(policy, redactor)| {
            let config = || Config { policy: *policy, ..self.config.clone() };
            redactor.get_or_init(|| Redactor::new(&config(), self.key.clone()).expect("the rules are in order"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_policy_is_made_when_it_is_asked_for() {
        let policies = Policies::new(Config::default(), Key::new(b"a key")).unwrap();
        let made = || policies.others.iter().filter(|(_, redactor)| redactor.get().is_some()).count();
        assert_eq!((policies.own().policy(), made()), (Policy::Floor, 0));
        for (word, policy, count) in [
            ("floor", Policy::Floor, 0),
            ("unheard-of", Policy::Floor, 0),
            ("strict", Policy::Strict, 1),
            ("none", Policy::None, 2),
        ] {
            assert_eq!((policies.of(word).policy(), made()), (policy, count), "{word}");
        }
        assert_eq!(policies.of("strict").text("card 4111 1111 1111 1111"), "card [REDACTED:card_number]");
        assert_eq!(policies.of("none").text("card 4111 1111 1111 1111"), "card 4111 1111 1111 1111");
    }

    #[test]
    fn rules_that_one_policy_refuses_are_refused_by_all() {
        for policy in [Policy::Floor, Policy::Strict, Policy::None] {
            let rule = super::super::CustomRule {
                name: "card_number".to_owned(),
                pattern: "x+".to_owned(),
                keyword: None,
                mode: super::super::Mode::Mask,
            };
            let config = Config { policy, rules: vec![rule], ..Config::default() };
            assert!(Policies::new(config, Key::new(b"a key")).is_err(), "{policy:?}");
        }
    }
}
