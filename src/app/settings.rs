//! What the parts of a server are told, from its configuration.

use super::Ended;
use super::chain;
use super::storage;
use crate::config::Config;
use crate::fold::assemble::Rejoin;
use crate::receiver;
use crate::redact;
use crate::redact::Key;
use crate::redact::Policies;
use crate::wal;
use anyhow::Context as _;
use anyhow::anyhow;
use std::sync::Arc;

/// The redactors, by policy.
pub(super) fn policies(config: &Config) -> Result<Arc<Policies>, Ended> {
    let key = match &config.redaction.hash_key {
        Some(text) => Key::from_text(text).map_err(|fault| Ended::Usage(fault.into()))?,
        None => redact::load_or_create(&config.data_dir).context("read or make redaction.key").map_err(storage)?,
    };
    Policies::new(config.redaction.clone(), key).map(Arc::new).map_err(|faults| {
        let lines: Vec<String> = faults.iter().map(|fault| chain(fault)).collect();
        Ended::Usage(anyhow!(lines.join("; ")))
    })
}

/// Redacts what the fold puts together as its parts were; a policy that is not known by now, as by default.
pub(super) fn rejoin(policies: &Arc<Policies>) -> Rejoin {
    let policies = Arc::clone(policies);
    Rejoin::by(move |policy, text| policies.of(policy).joined(text))
}

/// How the log is kept.
pub(super) fn log(config: &Config) -> wal::Config {
    wal::Config {
        roll_age: config.roll_age,
        roll_size: config.roll_size,
        cap: config.buffer_cap,
        reserve: config.disk_reserve,
        in_flight: config.in_flight,
        ..wal::Config::default()
    }
}

/// Where requests come in.
pub(super) fn doors(config: &Config) -> receiver::Config {
    let bytes = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    receiver::Config {
        grpc_endpoint: config.grpc_endpoint.clone(),
        http_endpoint: config.http_endpoint.clone(),
        max_request: bytes(config.max_request),
        in_flight: bytes(config.in_flight),
        posted: config.posted.clone(),
        ..receiver::Config::default()
    }
}
