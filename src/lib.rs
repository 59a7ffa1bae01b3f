//! chatlake: OpenTelemetry GenAI spans and logs in, OpenAI-chat events out, as Parquet or JSONL in the user's bucket.

// The road, in order.
pub mod receiver;
pub mod dialect;
pub mod event;
pub mod redact;
pub mod wal;
pub mod fold;
pub mod pricing;
pub mod lake;

// What joins it.
pub mod road;
pub mod offline;
pub mod app;

// What carries it.
pub mod admin;
pub mod cli;
pub mod clock;
pub mod config;
pub mod failpoint;
pub mod metrics;
pub mod net;
pub mod stop;
#[cfg(test)]
pub mod rig;
