//! chatlake: OpenTelemetry GenAI spans and logs in, OpenAI-chat events out, as Parquet or JSONL in the user's bucket.

// The road, in order.
pub mod dialect;
pub mod event;
pub mod fold;
pub mod lake;
pub mod pricing;
pub mod receiver;
pub mod redact;
pub mod wal;

// What carries it.
pub mod admin;
pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod metrics;
pub mod net;
pub mod road;
pub mod stop;
