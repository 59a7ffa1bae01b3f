//! Personal numbers: cards, bank accounts, telephones, addresses of machines.

use core::net::Ipv4Addr;
use core::net::Ipv6Addr;
use std::ops::Range;

/// What finds personal numbers in a text.
type Scan = fn(&str) -> Vec<Range<usize>>;

/// Name and function of each kind.
pub(super) const SCANS: [(&str, Scan); 4] =
    [("iban", ibans), ("card_number", cards), ("ip_address", addresses), ("phone_number", phones)];

/// Countries with the length of their account numbers (registry of ISO 13616).
const IBANS: [(&[u8; 2], usize); 78] = [
    (b"AD", 24),
    (b"AE", 23),
    (b"AL", 28),
    (b"AT", 20),
    (b"AZ", 28),
    (b"BA", 20),
    (b"BE", 16),
    (b"BG", 22),
    (b"BH", 22),
    (b"BR", 29),
    (b"BY", 28),
    (b"CH", 21),
    (b"CR", 22),
    (b"CY", 28),
    (b"CZ", 24),
    (b"DE", 22),
    (b"DK", 18),
    (b"DO", 28),
    (b"EE", 20),
    (b"EG", 29),
    (b"ES", 24),
    (b"FI", 18),
    (b"FO", 18),
    (b"FR", 27),
    (b"GB", 22),
    (b"GE", 22),
    (b"GI", 23),
    (b"GL", 18),
    (b"GR", 27),
    (b"GT", 28),
    (b"HR", 21),
    (b"HU", 28),
    (b"IE", 22),
    (b"IL", 23),
    (b"IQ", 23),
    (b"IS", 26),
    (b"IT", 27),
    (b"JO", 30),
    (b"KW", 30),
    (b"KZ", 20),
    (b"LB", 28),
    (b"LC", 32),
    (b"LI", 21),
    (b"LT", 20),
    (b"LU", 20),
    (b"LV", 21),
    (b"LY", 25),
    (b"MC", 27),
    (b"MD", 24),
    (b"ME", 22),
    (b"MK", 19),
    (b"MR", 27),
    (b"MT", 31),
    (b"MU", 30),
    (b"NL", 18),
    (b"NO", 15),
    (b"PK", 24),
    (b"PL", 28),
    (b"PS", 29),
    (b"PT", 25),
    (b"QA", 29),
    (b"RO", 24),
    (b"RS", 22),
    (b"SA", 24),
    (b"SC", 31),
    (b"SD", 18),
    (b"SE", 24),
    (b"SI", 19),
    (b"SK", 24),
    (b"SM", 27),
    (b"ST", 25),
    (b"SV", 28),
    (b"TL", 23),
    (b"TN", 24),
    (b"TR", 26),
    (b"UA", 29),
    (b"VA", 22),
    (b"XK", 20),
];

/// International bank account numbers whose length and check digits are right, with or without spaces or hyphens; in
/// small letters only behind the word.
fn ibans(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let mut found: Vec<Range<usize>> = Vec::new();
    for (start, window) in bytes.windows(4).enumerate() {
        let [first, second, third, fourth] = window else { continue };
        let is_capital = first.is_ascii_uppercase() && second.is_ascii_uppercase();
        let is_small = first.is_ascii_lowercase() && second.is_ascii_lowercase() && is_called_iban(bytes, start);
        let is_head = (is_capital || is_small) && third.is_ascii_digit() && fourth.is_ascii_digit();
        if !is_head || is_word_before(bytes, start) || found.last().is_some_and(|last| start < last.end) {
            continue;
        }
        let Some((_, length)) = IBANS.iter().find(|(country, _)| country.eq_ignore_ascii_case(&[*first, *second]))
        else {
            continue;
        };
        let mut digits = Vec::with_capacity(*length);
        let mut end = start;
        for byte in bytes.get(start..).unwrap_or_default() {
            match byte {
                b'A'..=b'Z' | b'0'..=b'9' => digits.push(*byte),
                b'a'..=b'z' if is_small => digits.push(byte.to_ascii_uppercase()),
                b' ' | b'-' if !digits.is_empty() && digits.len() % 4 == 0 => {}
                _ => break,
            }
            end += 1;
            if digits.len() == *length {
                break;
            }
        }
        if digits.len() == *length && !is_word_after(bytes, end) && is_checked(&digits) {
            found.push(start..end);
        }
    }
    found
}

/// Whether the word stands before the number.
fn is_called_iban(bytes: &[u8], start: usize) -> bool {
    const FAR: usize = 12;
    let before = bytes.get(start.saturating_sub(FAR)..start).unwrap_or_default();
    before.windows(4).any(|word| word.eq_ignore_ascii_case(b"iban"))
}

/// ISO 7064, modulo 97.
fn is_checked(digits: &[u8]) -> bool {
    let (head, tail) = digits.split_at(digits.len().min(4));
    let rest = tail.iter().chain(head).fold(0_u32, |rest, byte| match byte {
        b'0'..=b'9' => (rest * 10 + u32::from(byte - b'0')) % 97,
        letter => (rest * 100 + u32::from(letter.saturating_sub(b'A')) + 10) % 97,
    });
    rest == 1
}

/// Numbers of payment cards: an issuer's first digits, the right length, Luhn's check digit, usual groups.
fn cards(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let mut found: Vec<Range<usize>> = Vec::new();
    let mut at = 0;
    while let Some(start) =
        bytes.get(at..).and_then(|rest| rest.iter().position(u8::is_ascii_digit)).map(|skip| at + skip)
    {
        at = start + bytes.get(start..).map_or(0, |rest| rest.iter().take_while(|byte| byte.is_ascii_digit()).count());
        if is_word_before(bytes, start) || start.checked_sub(1).and_then(|before| bytes.get(before)) == Some(&b'.') {
            continue;
        }
        if let Some(end) = card_end(bytes, start) {
            found.push(start..end);
            at = end;
        }
    }
    found
}

/// Where the card number that begins here ends.
fn card_end(bytes: &[u8], start: usize) -> Option<usize> {
    const LONGEST: usize = 19;
    let mut digits: Vec<u8> = Vec::with_capacity(LONGEST);
    let mut groups: Vec<usize> = vec![0];
    let mut separators = Vec::new();
    let mut end = None;
    for (at, byte) in bytes.iter().enumerate().skip(start).take(2 * LONGEST) {
        match byte {
            b'0'..=b'9' if digits.len() < LONGEST => {
                digits.push(byte - b'0');
                *groups.last_mut()? += 1;
            }
            b' ' | b'-' | b'.' if groups.last() != Some(&0) => {
                groups.push(0);
                separators.push(*byte);
            }
            _ => break,
        }
        let is_end = byte.is_ascii_digit() && !is_word_after(bytes, at + 1) && !is_decimal(bytes, at + 1);
        if is_end && is_grouped(&groups, &separators) && is_card(&digits) {
            end = Some(at + 1);
        }
    }
    end
}

fn is_decimal(bytes: &[u8], at: usize) -> bool {
    matches!(bytes.get(at..), Some([b'.', digit, ..]) if digit.is_ascii_digit())
}

fn is_grouped(groups: &[usize], separators: &[u8]) -> bool {
    // Points also part decimals, versions and addresses.
    if separators.contains(&b'.') {
        return separators.iter().all(|byte| *byte == b'.') && matches!(groups, [4, 4, 4, 4] | [4, 6, 5]);
    }
    match groups {
        [_] | [4, 6, 4 | 5] => true,
        [fours @ .., last] => fours.iter().all(|group| *group == 4) && *last <= 4,
        [] => false,
    }
}

fn is_card(digits: &[u8]) -> bool {
    let head = |count: usize| digits.iter().take(count).fold(0_u32, |head, digit| head * 10 + u32::from(*digit));
    let is_issued = matches!(
        (digits.len(), head(1), head(2), head(3), head(4)),
        (13 | 16 | 19, 4, ..)
            | (15, _, 34 | 37, ..)
            | (14, _, 36 | 38 | 39, ..)
            | (14, _, _, 300..=305, _)
            | (16, _, 51..=55 | 65, ..)
            | (16, _, _, 644..=649, _)
            | (16, _, _, _, 2221..=2720 | 6011 | 3528..=3589)
            | (16..=19, _, 62, ..)
    );
    let sum: u32 = digits
        .iter()
        .rev()
        .zip([1, 2].into_iter().cycle())
        .map(|(digit, factor)| u32::from(*digit) * factor)
        .map(|product| product / 10 + product % 10)
        .sum();
    is_issued && sum.is_multiple_of(10) && digits.iter().any(|digit| Some(digit) != digits.first())
}

/// Telephone numbers: international ones with `+` or a separated `00`, North American ones with separators.
fn phones(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let mut found: Vec<Range<usize>> = Vec::new();
    for (start, byte) in bytes.iter().enumerate() {
        if found.last().is_some_and(|last| start < last.end) || is_word_before(bytes, start) {
            continue;
        }
        let end = match byte {
            b'+' => international(bytes, start + 1, false),
            b'0' if bytes.get(start + 1) == Some(&b'0') && !goes_on(bytes, start) => {
                international(bytes, start + 2, true)
            }
            b'(' | b'2'..=b'9' => american(bytes, start),
            _ => None,
        };
        found.extend(end.map(|end| start..end));
    }
    found
}

/// Whether the digits at `start` go on a number before them.
fn goes_on(bytes: &[u8], start: usize) -> bool {
    let before = bytes.get(..start).unwrap_or_default().trim_ascii_end();
    before.last().is_some_and(u8::is_ascii_digit)
}

fn international(bytes: &[u8], start: usize, must_be_separated: bool) -> Option<usize> {
    const DIGITS: std::ops::RangeInclusive<usize> = 9..=15;
    let mut digits = 0;
    let mut end = start;
    let mut separators = 0;
    let mut last_was_digit = false;
    for (at, byte) in bytes.iter().enumerate().skip(start).take(32) {
        match byte {
            b'0' if digits == 0 => return None,
            b'0'..=b'9' => {
                digits += 1;
                end = at + 1;
                last_was_digit = true;
            }
            b' ' | b'-' | b'.' | b'/' if last_was_digit => {
                separators += 1;
                last_was_digit = false;
            }
            b'(' | b')' | b' ' if digits > 0 => {}
            _ => break,
        }
    }
    let fits = DIGITS.contains(&digits) && !is_word_after(bytes, end) && (separators > 0 || !must_be_separated);
    fits.then_some(end)
}

/// `(212) 555-0123`, `212-555-0123`, `212.555.0123`.
fn american(bytes: &[u8], start: usize) -> Option<usize> {
    let before = start.checked_sub(1).and_then(|before| bytes.get(before));
    if before.is_some_and(|before| matches!(before, b'-' | b'.' | b'/' | b'+')) {
        return None;
    }
    let rest = bytes.get(start..)?;
    let (area, rest) = match rest {
        [b'(', a, b, c, b')', b' ', rest @ ..] | [b'(', a, b, c, b')', rest @ ..] => ([a, b, c], rest),
        [a, b, c, b'-' | b'.' | b' ', rest @ ..] => ([a, b, c], rest),
        _ => return None,
    };
    let [d, e, f, b'-' | b'.' | b' ', g, h, i, j, rest @ ..] = rest else { return None };
    let all = area.into_iter().chain([d, e, f, g, h, i, j]).all(u8::is_ascii_digit);
    let [first, ..] = area;
    let fits = all && *first >= b'2' && *d >= b'2';
    let end = bytes.len() - rest.len();
    let goes_on = is_word_after(bytes, end) || matches!(rest, [b'-' | b'.', digit, ..] if digit.is_ascii_digit());
    (fits && !goes_on).then_some(end)
}

/// IPv4 and IPv6 addresses, but loopback, unspecified and what reads as a version.
fn addresses(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) =
        bytes.get(at..).and_then(|rest| rest.iter().position(|byte| is_address(*byte))).map(|skip| at + skip)
    {
        let len = bytes.get(start..).map_or(0, |rest| rest.iter().take_while(|byte| is_address(**byte)).count());
        at = start + len;
        let run = text.get(start..at).unwrap_or_default().trim_end_matches(['.', ':']);
        // An IPv4 address may have a port.
        let host = run.split_once(':').map_or(run, |(host, _)| host);
        if !is_word_before(bytes, start) && !is_word_after(bytes, at) {
            if is_v4(host) && !is_version(text.get(..start).unwrap_or_default()) {
                found.push(start..start + host.len());
            } else if is_v6(run) {
                found.push(start..start + run.len());
            }
        }
    }
    found
}

fn is_address(byte: u8) -> bool {
    byte.is_ascii_hexdigit() || matches!(byte, b'.' | b':')
}

fn is_v4(host: &str) -> bool {
    host.len() <= 15
        && host.parse::<Ipv4Addr>().is_ok_and(|address| !address.is_loopback() && !address.is_unspecified())
}

/// Three groups or more, a digit among them: `a::b` is a path in some languages.
fn is_v6(run: &str) -> bool {
    run.len() <= 39
        && run.bytes().filter(|byte| *byte == b':').count() >= 2
        && run.bytes().any(|byte| byte.is_ascii_digit())
        && run.split(':').filter(|group| !group.is_empty()).count() >= 3
        && run.parse::<Ipv6Addr>().is_ok_and(|address| !address.is_loopback())
}

/// `Chrome/120.0.0.0`, `version 1.2.3.4`.
fn is_version(before: &str) -> bool {
    let is_product =
        before.strip_suffix('/').is_some_and(|name| name.ends_with(|char: char| char.is_ascii_alphanumeric()));
    let word = before.trim_end_matches([' ', ':', '=', '-']);
    let from = word.len().saturating_sub(7);
    let tail = word.get(from..).unwrap_or_default();
    is_product || before.ends_with('-') || ["version", "release", "build"].iter().any(|name| ends_with(tail, name))
}

fn ends_with(text: &str, end: &str) -> bool {
    text.len().checked_sub(end.len()).and_then(|at| text.get(at..)).is_some_and(|tail| tail.eq_ignore_ascii_case(end))
}

fn is_word_before(bytes: &[u8], at: usize) -> bool {
    at.checked_sub(1).and_then(|before| bytes.get(before)).is_some_and(|byte| is_word(*byte))
}

fn is_word_after(bytes: &[u8], at: usize) -> bool {
    bytes.get(at).is_some_and(|byte| is_word(*byte))
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}
