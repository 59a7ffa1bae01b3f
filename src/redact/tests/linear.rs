//! Time grows as the text does, whatever the text.

use super::*;
use std::time::Duration;
use std::time::Instant;

/// Pieces of texts that make matchers of other kinds run for ever: what begins a match and does not end it.
const PIECES: [&str; 22] = [
    "sk-",
    "eyJa.",
    "eyJaaaaaaaaaa.",
    "-----BEGIN PRIVATE KEY-----",
    "-----END ",
    "a@",
    "a@a.",
    "://",
    "://a:b",
    "KEY=",
    "A_KEY = ",
    "password: ",
    "--token ",
    "Bearer ",
    "/home/",
    "1 2 ",
    "4242-",
    "DE89 ",
    "2001:",
    "a\\\\u0041",
    "{\"a\":",
    "\"",
];

/// The quickest of three runs, for other tests run beside.
fn time(redactor: &Redactor, text: &str) -> Duration {
    let run = || {
        let start = Instant::now();
        std::hint::black_box(redactor.text(text));
        start.elapsed()
    };
    (0..3).map(|_| run()).min().unwrap_or_default()
}

#[test]
fn time_grows_as_the_text_does() {
    // Beyond the size below which the regex crate has a quicker way.
    const SMALL: usize = 48 << 10;
    const GROWTH: usize = 6;
    for policy in [Policy::Floor, Policy::Strict] {
        let redactor = with_policy(policy);
        for piece in PIECES {
            let (small, large) = (piece.repeat(SMALL / piece.len()), piece.repeat(SMALL * GROWTH / piece.len()));
            let (before, after) = (time(&redactor, &small), time(&redactor, &large));
            // Growth by the square would be 36.
            let most = before.max(Duration::from_millis(1)) * 18;
            assert!(
                after < most,
                "{policy:?} takes {before:?} for {SMALL} bytes of {piece:?} and {after:?} for {GROWTH} times that"
            );
        }
    }
}
