//! The bytes of JSON's strings and numbers: what ends them, what they stand for.

/// What a letter behind a backslash stands for; `u` is the caller's to read.
pub(super) fn escaped(letter: u8) -> Option<char> {
    Some(match letter {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        _ => return None,
    })
}

/// The length of a short string before its quote, if nothing in it needs a closer look: keys and labels are such.
pub(super) fn short(rest: &[u8]) -> Option<usize> {
    const WORDS: usize = 4;
    let words = rest.as_chunks().0.iter().take(WORDS);
    let (word, stops) =
        words.map(|word| stops(u64::from_le_bytes(*word))).enumerate().find(|(_, stops)| *stops != 0)?;
    let length = word * 8 + usize::try_from(stops.trailing_zeros() / 8).ok()?;
    (rest.get(length) == Some(&b'"')).then_some(length)
}

/// The highest bit of each byte at which a string ends or is not plain: quotes, backslashes, controls. Exact for the
/// first of them.
pub(super) fn stops(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word & (ONES * 0x80);
    let is = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    is(b'"') | is(b'\\') | below(word, 0x20)
}

/// Whether there are control characters, which JSON wants escaped.
pub(super) fn has_controls(text: &[u8]) -> bool {
    let (blocks, rest) = text.as_chunks::<32>();
    let least = |bytes: &[u8]| bytes.iter().copied().fold(u8::MAX, u8::min);
    blocks.iter().any(|block| least(block) < 0x20) || least(rest) < 0x20
}

/// Whether a text is a number as JSON writes it.
pub(super) fn is_number(text: &str) -> bool {
    let text = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    digits(whole)
        && (whole.len() == 1 || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|part| digits(part.strip_prefix(['+', '-']).unwrap_or(part)))
}
