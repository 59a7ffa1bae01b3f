//! What the parts of a server are told, from its configuration.

use super::Ended;
use super::chain;
use super::storage;
use crate::config::Config;
use crate::fold::assemble::Rejoin;
use crate::receiver;
use crate::redact;
use crate::redact::Key;
use crate::redact::Policy;
use crate::redact::Redactor;
use crate::wal;
use anyhow::Context as _;
use anyhow::anyhow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// By policy.
pub(super) type Redactors = BTreeMap<String, Arc<Redactor>>;

/// The redactor of the configuration, and one for each policy that a credential may name.
pub(super) fn redactors(config: &Config) -> Result<(Arc<Redactor>, Redactors), Ended> {
    let key = match &config.redaction.hash_key {
        Some(text) => Key::from_text(text).map_err(|fault| Ended::Usage(fault.into()))?,
        None => redact::load_or_create(&config.data_dir).context("read or make redaction.key").map_err(storage)?,
    };
    let of = |policy| {
        let config = redact::Config { policy, ..config.redaction.clone() };
        Redactor::new(&config, key.clone()).map(Arc::new).map_err(|faults| {
            let lines: Vec<String> = faults.iter().map(|fault| chain(fault)).collect();
            Ended::Usage(anyhow!(lines.join("; ")))
        })
    };
    let mut policies = BTreeMap::new();
    for policy in [Policy::Floor, Policy::Strict, Policy::None] {
        policies.insert(policy.as_str().to_owned(), of(policy)?);
    }
    Ok((of(config.redaction.policy)?, policies))
}

/// Redacts what the fold puts together as its parts were; a policy that is not known by now, as by default.
pub(super) fn rejoin(redactor: &Arc<Redactor>, policies: &Redactors) -> Rejoin {
    let (redactor, policies) = (Arc::clone(redactor), policies.clone());
    Rejoin::by(move |policy, text| policies.get(policy).unwrap_or(&redactor).joined(text))
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
