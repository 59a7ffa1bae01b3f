use super::super::budget::Budget;
use super::*;
use crate::metrics::Metrics;
use flate2::Compression;
use flate2::write::DeflateEncoder;
use flate2::write::GzEncoder;
use flate2::write::ZlibEncoder;
use std::io::Write as _;
use std::sync::Arc;

const LIMIT: usize = 1 << 20;

fn held() -> Held {
    Budget::new(4 * LIMIT, Arc::new(Metrics::default())).hold()
}

fn undone(coding: Coding, wire: &[u8]) -> Result<Bytes, Rejected> {
    decompress(coding, Bytes::copy_from_slice(wire), LIMIT, &mut held())
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), Compression::default());
    out.write_all(data).unwrap();
    out.finish().unwrap()
}

fn zlib(data: &[u8]) -> Vec<u8> {
    let mut out = ZlibEncoder::new(Vec::new(), Compression::default());
    out.write_all(data).unwrap();
    out.finish().unwrap()
}

fn deflate(data: &[u8]) -> Vec<u8> {
    let mut out = DeflateEncoder::new(Vec::new(), Compression::default());
    out.write_all(data).unwrap();
    out.finish().unwrap()
}

/// Without the size in the frame's head, as streams are written.
fn zstd_stream(data: &[u8]) -> Vec<u8> {
    let mut out = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
    out.write_all(data).unwrap();
    out.finish().unwrap()
}

#[test]
fn every_coding_gives_back_what_was_sent() {
    for length in [0, 1, 5000, LIMIT] {
        let data: Vec<u8> = (0..length).map(|at| u8::try_from(at * at % 251).unwrap()).collect();
        let wires = [
            (Coding::Identity, data.clone()),
            (Coding::Gzip, gzip(&data)),
            (Coding::Deflate, zlib(&data)),
            (Coding::Deflate, deflate(&data)),
            (Coding::Zstd, zstd_stream(&data)),
            (Coding::Zstd, zstd::bulk::compress(&data, 3).unwrap()),
        ];
        for (coding, wire) in wires {
            assert_eq!(undone(coding, &wire).unwrap(), data, "{coding:?}, {length} bytes");
        }
    }
}

#[test]
fn several_members_and_frames_are_one_body() {
    assert_eq!(undone(Coding::Gzip, &[gzip(b"ab"), gzip(b"cd")].concat()).unwrap(), b"abcd".as_slice());
    assert_eq!(undone(Coding::Zstd, &[zstd_stream(b"ab"), zstd_stream(b"cd")].concat()).unwrap(), b"abcd".as_slice());
}

#[test]
fn bombs_end_at_the_limit_and_hold_no_more_than_it() {
    let large = vec![0; LIMIT + 1];
    let bomb = vec![0; 64 * LIMIT];
    let members = gzip(&vec![0; LIMIT / 2 + 1]).repeat(2);
    let wires = [
        (Coding::Gzip, gzip(&large)),
        (Coding::Gzip, gzip(&bomb)),
        (Coding::Gzip, members),
        (Coding::Deflate, zlib(&bomb)),
        (Coding::Deflate, deflate(&bomb)),
        (Coding::Zstd, zstd_stream(&bomb)),
        (Coding::Zstd, zstd::bulk::compress(&bomb, 3).unwrap()),
        (Coding::Zstd, zstd_stream(&vec![0; LIMIT / 2 + 1]).repeat(2)),
    ];
    for (coding, wire) in wires {
        let metrics = Arc::new(Metrics::default());
        let mut held = Budget::new(4 * LIMIT, Arc::clone(&metrics)).hold();
        let refused = decompress(coding, wire.into(), LIMIT, &mut held).unwrap_err();
        assert_eq!(refused, Rejected::TooLarge { limit: LIMIT }, "{coding:?}");
        assert!(metrics.in_flight_bytes.get() <= LIMIT as i64 + 1, "{coding:?} held {metrics:?}");
    }
}

#[test]
fn a_window_of_half_a_gigabyte_is_refused() {
    // Magic number, no flags, and a window descriptor of 2^29 bytes.
    let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 19 << 3, 0x01, 0x00, 0x00];
    assert_eq!(undone(Coding::Zstd, &frame).unwrap_err().outcome(), "malformed");
    // Eight megabytes are what encoders use at most.
    let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 13 << 3, 0x01, 0x00, 0x00];
    assert_eq!(undone(Coding::Zstd, &frame).unwrap(), b"".as_slice());
}

#[test]
fn what_is_cut_or_something_else_is_malformed() {
    for (coding, wire) in [
        (Coding::Gzip, gzip(&[7; 5000])),
        (Coding::Deflate, zlib(&[7; 5000])),
        (Coding::Deflate, deflate(&[7; 5000])),
        (Coding::Zstd, zstd_stream(&[7; 5000])),
    ] {
        assert_eq!(undone(coding, &wire[..wire.len() - 1]).unwrap_err().outcome(), "malformed", "{coding:?}");
        assert_eq!(undone(coding, b"\x00nothing of the kind").unwrap_err().outcome(), "malformed", "{coding:?}");
    }
}

#[test]
fn a_body_that_finds_no_room_is_shed() {
    let mut held = Budget::new(10_000, Arc::new(Metrics::default())).hold();
    let wire = gzip(&vec![0; 100_000]);
    assert_eq!(decompress(Coding::Gzip, wire.into(), LIMIT, &mut held).unwrap_err().outcome(), "unavailable");
}

#[test]
fn codings_are_known_by_name() {
    assert_eq!(Coding::named("GZIP"), Ok(Coding::Gzip));
    assert_eq!(Coding::named(" zstd "), Ok(Coding::Zstd));
    let refused = Coding::named("snappy").unwrap_err();
    assert!(refused.to_string().contains("gzip, deflate, zstd"), "{refused}");
}
