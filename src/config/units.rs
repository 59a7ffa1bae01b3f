//! Values with units: sizes, durations, truths, words of a list.

use std::net::Ipv6Addr;
use std::time::Duration;

/// Reads a size: a number and a unit (`B`, `KiB`, `MiB`, `GiB`, `TiB`, or the decimal `kB`, `MB`, `GB`, `TB`).
///
/// # Errors
/// What is wrong with it, in words.
pub fn size(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 9] = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("TiB", 1 << 40),
        ("kB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("TB", 1_000_000_000_000),
        ("B", 1),
    ];
    let wrong = || format!("{text:?} is no size: write a whole number with a unit, such as 64MiB");
    let (number, factor) = UNITS
        .iter()
        .find_map(|(unit, factor)| text.strip_suffix(unit).map(|number| (number.trim_end(), *factor)))
        .ok_or_else(wrong)?;
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(factor).ok_or_else(|| format!("{text:?} is too large"))
}

/// A size in the largest unit that divides it.
pub fn show_size(bytes: u64) -> String {
    let units = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let fitting = units.iter().find(|(_, shift)| bytes != 0 && bytes.trailing_zeros() >= *shift);
    fitting.map_or_else(|| format!("{bytes}B"), |(unit, shift)| format!("{}{unit}", bytes >> shift))
}

/// Reads a duration: numbers with units (`300ms`, `5s`, `1m30s`, `1h`).
///
/// # Errors
/// What is wrong with it, in words.
pub fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|_| format!("{text:?} is no duration: write a number with a unit, such as 30s, 5m or 300ms"))
}

/// A duration as it can be read again.
pub fn show_duration(duration: Duration) -> String {
    humantime::format_duration(duration).to_string().replace(' ', "")
}

/// Reads a truth.
///
/// # Errors
/// What is wrong with it, in words.
pub fn truth(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err(format!("{text:?} is neither true nor false")),
    }
}

/// Reads a whole number.
///
/// # Errors
/// What is wrong with it, in words.
pub fn count(text: &str) -> Result<u64, String> {
    text.replace('_', "").parse().map_err(|_| format!("{text:?} is no whole number"))
}

/// Reads an address to listen at: host and port.
///
/// # Errors
/// What is wrong with it, in words.
pub fn endpoint(text: &str) -> Result<String, String> {
    let is_host = |host: &str| match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(host) => host.parse::<Ipv6Addr>().is_ok(),
        None => !host.is_empty() && !host.contains([':', '/', '[', ' ']),
    };
    let port = text.rsplit_once(':').filter(|(host, _)| is_host(host)).map(|(_, port)| port.parse::<u16>());
    match port {
        Some(Ok(_)) => Ok(text.to_owned()),
        _ => Err(format!(
            "{text:?} is no address: write host:port, such as 127.0.0.1:4317, [::1]:4317, or 0.0.0.0:4317 for all"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_carry_units() {
        assert_eq!(size("64MiB"), Ok(64 << 20));
        assert_eq!(size("3 GB"), Ok(3_000_000_000));
        assert_eq!(size("512B"), Ok(512));
        for bad in ["64", "MiB", "-1MiB", "1.5MiB", "9999999999TiB", "64 mib"] {
            assert!(size(bad).is_err(), "{bad}");
        }
        assert_eq!(show_size(64 << 20), "64MiB");
        assert_eq!(show_size(1000), "1000B");
    }

    #[test]
    fn durations_carry_units() {
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(show_duration(Duration::from_millis(90_300)), "1m30s300ms");
        assert!(duration("5").is_err());
    }

    #[test]
    fn an_endpoint_has_host_and_port() {
        assert!(endpoint("127.0.0.1:0").is_ok() && endpoint("[::1]:4317").is_ok() && endpoint("localhost:80").is_ok());
        for bad in [
            "4317",
            ":4317",
            "localhost",
            "localhost:http",
            "1.2.3.4:70000",
            "::1:4317",
            "http://a:80",
            "[::g]:1",
            "*:x",
        ] {
            assert!(endpoint(bad).is_err(), "{bad}");
        }
    }
}
