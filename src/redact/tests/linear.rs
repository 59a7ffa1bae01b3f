//! Time grows as the text does, whatever the text.

use super::*;
use std::time::Duration;
use std::time::Instant;

/// Pieces of texts that make matchers of other kinds run for ever: what begins a match and does not end it.
const PIECES: [&str; 26] = [
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
    "?key=",
    "&pwd=a=",
    "Bearer ",
    "/home/",
    "1 2 ",
    "4242-",
    "DE89 ",
    "2001:",
    "a\\\\u0041",
    "\\",
    "\\u0073k-\\/",
    "{\"a\":",
    "\"",
];

/// Runs once, and gives how long that took.
#[expect(clippy::disallowed_methods, reason = "printed for people: no clock of ours is asked")]
fn timed(redactor: &Redactor, text: &str) -> (String, Duration) {
    let start = Instant::now();
    let redacted = redactor.text(text);
    (redacted, start.elapsed())
}

/// Timings fail no test: what does not grow as the text does hangs here, and the worst growth is printed.
#[test]
fn texts_that_begin_matches_and_never_end_them_are_read_through() {
    // Beyond the size below which the regex crate has a quicker way.
    const SMALL: usize = 48 << 10;
    const GROWTH: usize = 6;
    let mut worst = (0.0, "", Policy::None);
    for policy in [Policy::Floor, Policy::Strict] {
        let redactor = with_policy(policy);
        for piece in PIECES {
            let (small, large) = (piece.repeat(SMALL / piece.len()), piece.repeat(SMALL * GROWTH / piece.len()));
            let (_, before) = timed(&redactor, &small);
            let (once, after) = timed(&redactor, &large);
            assert_eq!(redactor.text(&once), once, "{policy:?}, {piece:?}: redacting twice is redacting once");
            let growth = after.as_secs_f64() / before.as_secs_f64().max(0.001);
            if growth > worst.0 {
                worst = (growth, piece, policy);
            }
        }
    }
    println!("{GROWTH} times the text takes {:.1} times as long at worst ({:?}, {:?})", worst.0, worst.1, worst.2);
}
