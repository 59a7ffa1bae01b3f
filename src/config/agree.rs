//! What keys say together: what cannot be, and what can but may not be meant.

use super::Compression;
use super::Config;
use super::Format;
use super::units::show_duration;
use super::units::show_size;
use std::collections::BTreeMap;

/// What cannot be.
pub(super) fn faults(config: &Config) -> Vec<String> {
    let mut faults = Vec::new();
    if config.buffer_cap < config.roll_size.saturating_mul(2).saturating_add(config.max_request) {
        faults.push(format!(
            "buffer.cap: {} is less than two segments and one request ({} each and {}): raise it, or lower roll.size",
            show_size(config.buffer_cap),
            show_size(config.roll_size),
            show_size(config.max_request),
        ));
    }
    let doors = [
        ("receivers.otlp.grpc.endpoint", &config.grpc_endpoint),
        ("receivers.otlp.http.endpoint", &config.http_endpoint),
        ("admin.endpoint", &config.admin_endpoint),
    ];
    for (at, (key, endpoint)) in doors.iter().enumerate() {
        let other = doors.iter().take(at).find(|(_, other)| other == endpoint && !endpoint.ends_with(":0"));
        if let Some((other, _)) = other {
            faults.push(format!("{key}: {endpoint} is the address of {other} too: give it a port of its own"));
        }
    }
    let telemetry = config.telemetry_endpoint.as_deref().unwrap_or_default();
    if telemetry.starts_with("https://") && config.telemetry_protocol == "grpc" {
        faults.push(format!(
            "telemetry.otlp.endpoint: {telemetry} needs TLS, which is spoken with telemetry.otlp.protocol http/protobuf only"
        ));
    }
    faults
}

/// What may not be meant.
pub(super) fn doubts(config: &Config) -> Vec<String> {
    let mut doubts = Vec::new();
    let mut doubt = |holds: bool, words: String| {
        if holds {
            doubts.push(words);
        }
    };
    let (age, idle, linger) = (config.assembly.max_age, config.assembly.idle, config.assembly.linger);
    doubt(
        idle > age,
        format!(
            "assembly.idle: {} is more than assembly.max_age, {}, which closes traces first",
            show_duration(idle),
            show_duration(age)
        ),
    );
    doubt(
        linger > age,
        format!(
            "assembly.linger: {} is more than assembly.max_age, {}, which closes traces first",
            show_duration(linger),
            show_duration(age)
        ),
    );
    doubt(
        config.in_flight < config.max_request,
        format!(
            "receivers.otlp.in_flight: {} is less than one request may have (receivers.otlp.max_request): {} is taken",
            show_size(config.in_flight),
            show_size(config.max_request),
        ),
    );
    let store = &config.store;
    doubt(
        store.format != Format::Jsonl && store.compression != Compression::Zstd,
        "store.compression: is for store.format jsonl; Parquet is compressed with zstd, and proto is not".to_owned(),
    );
    doubt(
        store.format != Format::Jsonl && store.flat_tool_calls,
        "store.tool_calls: is for store.format jsonl; the others have columns for tool calls".to_owned(),
    );
    doubt(
        config.keys.is_empty()
            && [&config.grpc_endpoint, &config.http_endpoint].into_iter().any(|endpoint| is_open(endpoint)),
        "auth.keys: none, and a door listens beyond this machine: whoever reaches it may send".to_owned(),
    );
    if let Some((one, other)) = together(config) {
        doubts.push(format!(
            "auth.keys, webhooks: the tenants {one:?} and {other:?} land under one prefix: details.tenant tells their rows apart, but who may read one may read the other; give each a prefix to part them"
        ));
    }
    doubts
}

/// Two tenants whose rows land in one lake.
fn together(config: &Config) -> Option<(&str, &str)> {
    fn place<'c>(tenant: &'c str, prefix: Option<&'c str>) -> (&'c str, &'c str) {
        (prefix.unwrap_or_default().trim_matches('/'), tenant)
    }
    let keys = config.keys.iter().map(|keys| place(&keys.caller.tenant, keys.caller.prefix.as_deref()));
    let webhooks = &config.posted.webhooks;
    let senders = webhooks.meta.iter().chain(&webhooks.twilio);
    let senders = senders.map(|sender| place(sender.tenant.as_deref().unwrap_or("default"), sender.prefix.as_deref()));
    let mut first = BTreeMap::new();
    keys.chain(senders).find_map(|(prefix, tenant)| {
        let other = *first.entry(prefix).or_insert(tenant);
        (other != tenant).then_some((other, tenant))
    })
}

/// Whether others than this machine reach a door.
fn is_open(endpoint: &str) -> bool {
    let host = endpoint.rsplit_once(':').map_or(endpoint, |(host, _)| host);
    !(host.starts_with("127.") || host == "localhost" || host == "[::1]")
}
