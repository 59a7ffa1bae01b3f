//! Bodies: read whole within a limit of size, then decompressed within the same limit.
//!
//! Every byte is held in the [`Budget`](super::budget::Budget) before it is allocated. Windows of zstd are capped at
//! 8 MiB (RFC 9659), so that nine bytes cannot ask for half a gigabyte.

use super::Rejected;
use super::budget::Held;
use axum::body::Body;
use bytes::Bytes;
use bytes::BytesMut;
use flate2::bufread::DeflateDecoder;
use flate2::bufread::MultiGzDecoder;
use flate2::bufread::ZlibDecoder;
use http_body_util::BodyExt as _;
use std::io::Read;

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Identity,
    Gzip,
    /// zlib's form, or raw: senders mean either.
    Deflate,
    Zstd,
}

impl Coding {
    /// All of them, as headers list them.
    pub(super) const ACCEPTED: &str = "identity, gzip, deflate, zstd";

    /// Finds a coding by the name that headers give it.
    pub(super) fn named(name: &str) -> Result<Self, Rejected> {
        match name.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Ok(Self::Identity),
            "gzip" | "x-gzip" => Ok(Self::Gzip),
            "deflate" | "zlib" => Ok(Self::Deflate),
            "zstd" => Ok(Self::Zstd),
            _ => {
                Err(Rejected::Unsupported(format!("compression {name:?} is not taken; these are: {}", Self::ACCEPTED)))
            }
        }
    }
}

/// Reads a body to its end: what is framed within `limit`, and the frame. `expected` says, from the first bytes, how
/// long it will be in all, as far as they tell.
pub(super) async fn read(
    body: &mut Body,
    limit: usize,
    frame: usize,
    expected: impl Fn(&[u8]) -> Option<usize>,
    held: &mut Held,
) -> Result<Bytes, Rejected> {
    let most = limit.saturating_add(frame);
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    let mut told = false;
    loop {
        let start = if rest.is_empty() { first.as_ref() } else { rest.as_ref() };
        if !told && let Some(length) = expected(start) {
            told = true;
            if length > most {
                return Err(Rejected::TooLarge { limit });
            }
            held.expect(length)?;
        }
        let frame = match body.frame().await {
            None => break,
            Some(Ok(frame)) => frame,
            Some(Err(_)) => return Err(Rejected::Malformed("the body ended too soon".to_owned())),
        };
        let Ok(chunk) = frame.into_data() else { continue };
        let length = first.len().max(rest.len()) + chunk.len();
        if length > most {
            return Err(Rejected::TooLarge { limit });
        }
        held.reach(length)?;
        if first.is_empty() && rest.is_empty() {
            first = chunk;
        } else {
            if rest.is_empty() {
                rest.reserve(expected(&first).unwrap_or(length).clamp(length, most));
                rest.extend_from_slice(&first);
                first = Bytes::new();
            }
            rest.extend_from_slice(&chunk);
        }
    }
    Ok(if rest.is_empty() { first } else { rest.freeze() })
}

/// Undoes the compression of a body.
pub(super) fn decompress(coding: Coding, wire: Bytes, limit: usize, held: &mut Held) -> Result<Bytes, Rejected> {
    match coding {
        Coding::Identity => Ok(wire),
        Coding::Gzip => inflate("gzip", MultiGzDecoder::new(wire.as_ref()), guess(&wire, None), limit, held),
        Coding::Deflate if is_zlib(&wire) => {
            let zlib = inflate("deflate", ZlibDecoder::new(wire.as_ref()), guess(&wire, None), limit, held);
            match zlib {
                // Raw data may begin as zlib's does.
                Err(Rejected::Malformed(_)) => raw(&wire, limit, held),
                other => other,
            }
        }
        Coding::Deflate => raw(&wire, limit, held),
        Coding::Zstd => {
            const WINDOW_LOG: u32 = 23;
            let fault = |_| Rejected::Malformed("body is no zstd".to_owned());
            let mut decoder = zstd::stream::read::Decoder::with_buffer(wire.as_ref()).map_err(fault)?;
            decoder.window_log_max(WINDOW_LOG).map_err(fault)?;
            let told = zstd::zstd_safe::get_frame_content_size(&wire).ok().flatten();
            let told = told.and_then(|told| usize::try_from(told).ok());
            inflate("zstd", decoder, guess(&wire, told), limit, held)
        }
    }
}

fn raw(wire: &Bytes, limit: usize, held: &mut Held) -> Result<Bytes, Rejected> {
    inflate("deflate", DeflateDecoder::new(wire.as_ref()), guess(wire, None), limit, held)
}

/// Whether data begins as zlib's form does.
fn is_zlib(wire: &[u8]) -> bool {
    matches!(wire, [first, second, ..] if first & 0x0f == 8 && (u16::from(*first) << 8 | u16::from(*second)) % 31 == 0)
}

/// How much room to make at first: what the data tells, if it is believable, else what chats usually become.
fn guess(wire: &[u8], told: Option<usize>) -> usize {
    const USUAL: usize = 6;
    const AT_MOST: usize = 64;
    let told = told.filter(|told| *told <= wire.len().saturating_mul(AT_MOST));
    // One more, so that the end is seen without asking for more room.
    told.map_or(wire.len().saturating_mul(USUAL), |told| told + 1)
}

fn inflate(name: &str, mut reader: impl Read, guess: usize, limit: usize, held: &mut Held) -> Result<Bytes, Rejected> {
    const SMALLEST: usize = 4 << 10;
    let mut out = Vec::new();
    // One byte more than allowed, so that too much shows.
    let most = limit.saturating_add(1);
    let mut room = guess.clamp(SMALLEST, most.max(SMALLEST));
    loop {
        held.grow(room)?;
        out.reserve_exact(room);
        let read = reader.by_ref().take(room as u64).read_to_end(&mut out);
        let read = read.map_err(|_| Rejected::Malformed(format!("body is no {name}, or is cut")))?;
        if out.len() > limit {
            return Err(Rejected::TooLarge { limit });
        }
        if read < room {
            return Ok(out.into());
        }
        room = out.len().min(most - out.len());
    }
}

#[cfg(test)]
mod tests;
