//! Integration tests, in one binary: bytes in at the door, rows out of the lake.
//!
//! They drive the built program as its users do. What they need besides it (a Python environment with DuckDB, a real
//! S3 server, a real OpenTelemetry Collector) they install themselves, pinned, once, below `~/.cache/chatlake`;
//! see [`support::cache`]. A test whose toolchain is missing says so in a line `SKIPPED` on standard error, and
//! fails where `CI=true`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]
#![allow(clippy::indexing_slicing, clippy::string_slice, reason = "a test may fail")]
#![allow(clippy::disallowed_methods, reason = "tests run against the real clock and read the environment")]

mod bucket;
mod canary;
mod cli;
mod collector;
mod conserve;
mod corpus;
mod crash;
mod credentials;
mod doors;
mod layering;
mod openai;
mod mappers;
mod order;
mod reading;
mod redaction;
mod readme;
mod road;
mod said;
mod seeds;
mod store;
mod support;
mod telemetry;
mod traps;
