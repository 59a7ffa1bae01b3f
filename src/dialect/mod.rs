//! OTLP in, [`Partial`]s out: what each span and log record says, whatever vocabulary its producer speaks.
//!
//! A dialect is one file and one line in [`DIALECTS`]. A record can speak several: the first that matches leads and
//! names the row's `dialect`; the others fill whole groups that it left empty. Nothing here fails, waits, logs or
//! reads a clock. What does not land in a column goes to `details`, `attributes` or `notes`.

mod adk;
mod ag2;
mod agent_framework;
mod agno;
mod answer;
mod anthropic;
mod attributes;
mod autogen;
mod braintrust;
mod claude_code;
mod codex;
mod coding;
mod context;
mod copilot;
mod crewai;
mod draft;
mod gemini_cli;
mod gateway;
mod genai;
mod genai_legacy;
mod genkit;
mod haystack;
mod indexed;
mod json;
mod laminar;
mod langchain;
mod langchain4j;
mod langfuse;
mod langsmith;
mod litellm;
mod llamaindex;
mod logfire;
mod lossy;
mod mastra;
mod messages;
mod microsoft_ai;
mod mlflow;
mod notes;
mod openinference;
mod openlit;
mod openllmetry;
pub mod posted;
mod probe;
mod pydantic;
mod qwen_code;
mod semantic_kernel;
mod sides;
mod smolagents;
mod source;
mod spring_ai;
mod status;
mod strands;
mod usage;
mod value;
mod vercel;
mod vllm;

use crate::event;
use crate::event::Entry;
use crate::event::Envelope;
use crate::event::Kind;
use crate::event::Link;
use crate::event::Partial;
use draft::Draft;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span;
use source::Scope;
use source::Source;

/// All dialects; of those that match a record the first leads.
const DIALECTS: [Dialect; 38] = [
    langfuse::DIALECT,
    langsmith::DIALECT,
    litellm::DIALECT,
    adk::DIALECT,
    strands::DIALECT,
    pydantic::DIALECT,
    logfire::DIALECT,
    agent_framework::DIALECT,
    microsoft_ai::DIALECT,
    semantic_kernel::DIALECT,
    autogen::DIALECT,
    mlflow::DIALECT,
    openinference::DIALECT,
    vercel::DIALECT,
    genkit::DIALECT,
    mastra::DIALECT,
    laminar::DIALECT,
    ag2::DIALECT,
    crewai::DIALECT,
    haystack::DIALECT,
    llamaindex::DIALECT,
    spring_ai::DIALECT,
    langchain4j::DIALECT,
    braintrust::DIALECT,
    claude_code::DIALECT,
    codex::DIALECT,
    gemini_cli::DIALECT,
    qwen_code::DIALECT,
    copilot::DIALECT,
    anthropic::DIALECT,
    vllm::DIALECT,
    openlit::DIALECT,
    gateway::STACKSPOT,
    openllmetry::DIALECT,
    agno::DIALECT,
    smolagents::DIALECT,
    genai::DIALECT,
    genai_legacy::DIALECT,
];

/// How the records of one producer are told and read.
struct Dialect {
    /// The row's `dialect`.
    name: &'static str,
    /// It speaks where the scope's name begins so,
    scopes: &'static [&'static str],
    /// or an attribute's key does,
    keys: &'static [&'static str],
    /// or the name of an event of the span, or of the event that a log record tells.
    events: &'static [&'static str],
    /// It speaks where this finds so too; for what the lists cannot say.
    probe: Option<fn(&Source<'_>) -> bool>,
    /// Fills what this dialect says.
    read: fn(&Source<'_>, &mut Draft),
    /// Where it leads: mends what is known once all dialects and the context have been read.
    settle: fn(&Source<'_>, &mut Draft),
}

impl Dialect {
    const NONE: Self =
        Self { name: "", scopes: &[], keys: &[], events: &[], probe: None, read: |_, _| {}, settle: |_, _| {} };
}

/// What the mapping is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Whether records that no dialect knows become rows.
    pub keep_unknown: bool,
    /// Words of providers and models whose tool calls are text: see [`posted::markers`].
    pub text_markers: Vec<String>,
    /// Lines of logs below this severity number of OpenTelemetry's are left out; 0: none.
    pub min_severity: i32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { keep_unknown: false, text_markers: posted::Config::default().text_markers, min_severity: 0 }
    }
}

/// The least severity number of each name, in OpenTelemetry's order.
pub const SEVERITIES: [(&str, i32); 6] =
    [("trace", 1), ("debug", 5), ("info", 9), ("warn", 13), ("error", 17), ("fatal", 21)];

/// How severe a record is: by its number, else by the word of its own logging library; 0 where it does not say.
fn severity(record: &LogRecord) -> i32 {
    if record.severity_number > 0 {
        return record.severity_number;
    }
    let word = record.severity_text.as_str();
    let is = |known: &str| word.get(..known.len()).is_some_and(|start| start.eq_ignore_ascii_case(known));
    let known = SEVERITIES.iter().find(|(known, _)| is(known)).map(|(_, number)| *number);
    known.or_else(|| is("critical").then_some(21)).unwrap_or_default()
}

/// Records of one resource and scope.
#[derive(Debug, Clone, PartialEq)]
pub struct Read {
    /// What they share. Tenant, door, policy and arrival are the caller's to fill.
    pub envelope: Envelope,
    /// Each record and its place in the request.
    pub records: Vec<(u32, Partial)>,
}

/// Reads the spans of a request. Places count through all its spans.
#[expect(clippy::needless_pass_by_value, reason = "a request is read once; its texts may move into rows")]
pub fn traces(request: ExportTraceServiceRequest, settings: &Settings) -> Vec<Read> {
    let mut reads = Vec::new();
    let mut place = 0u32;
    for resource_spans in &request.resource_spans {
        let resource = resource_spans.resource.as_ref().map_or(&[][..], |resource| &resource.attributes);
        for scope_spans in &resource_spans.scope_spans {
            let scope = Scope { name: scope_spans.scope.as_ref().map_or("", |scope| &scope.name), resource };
            let dialects = probe::of_scope(scope.name);
            let records = scope_spans
                .spans
                .iter()
                .map(|span| (next(&mut place), span_partial(span, scope, dialects, settings)))
                .collect();
            reads.push(Read { envelope: envelope(scope, scope_spans.scope.as_ref()), records });
        }
    }
    reads
}

/// Reads the log records of a request. Places count through all of them.
#[expect(clippy::needless_pass_by_value, reason = "a request is read once; its texts may move into rows")]
pub fn logs(request: ExportLogsServiceRequest, settings: &Settings) -> Vec<Read> {
    let mut reads = Vec::new();
    let mut place = 0u32;
    for resource_logs in &request.resource_logs {
        let resource = resource_logs.resource.as_ref().map_or(&[][..], |resource| &resource.attributes);
        for scope_logs in &resource_logs.scope_logs {
            let scope = Scope { name: scope_logs.scope.as_ref().map_or("", |scope| &scope.name), resource };
            let dialects = probe::of_scope(scope.name);
            let records = scope_logs
                .log_records
                .iter()
                .map(|record| (next(&mut place), log_partial(record, scope, dialects, settings)))
                .collect();
            reads.push(Read { envelope: envelope(scope, scope_logs.scope.as_ref()), records });
        }
    }
    reads
}

fn next(place: &mut u32) -> u32 {
    let this = *place;
    *place = place.saturating_add(1);
    this
}

/// What a record's dialects say of it.
fn draft(source: &Source<'_>, dialects: probe::Set, settings: &Settings) -> Draft {
    let mut draft = Draft::default();
    let speaking = dialects.with(probe::of_source(source));
    let mut settle = Dialect::NONE.settle;
    let list = || DIALECTS.iter().enumerate().filter(|(place, _)| speaking.has(*place)).map(|(_, dialect)| dialect);
    if let Some(first) = list().next() {
        first.name.clone_into(&mut draft.row.dialect);
        settle = first.settle;
    }
    let translates =
        draft.row.dialect == openinference::DIALECT.name && openinference::is_translation(source, dialects);
    let is_late = |dialect: &&Dialect| translates && dialect.name == openinference::DIALECT.name;
    for dialect in list().filter(|dialect| !is_late(dialect)).chain(list().filter(is_late)) {
        (dialect.read)(source, &mut draft);
    }
    context::read(source, &mut draft);
    status::read(source, &mut draft);
    settle(source, &mut draft);
    gateway::calls_in_text(source, &mut draft, &settings.text_markers);
    lossy::note(source, &mut draft);
    draft
}

fn span_partial(span: &Span, scope: Scope<'_>, dialects: probe::Set, settings: &Settings) -> Partial {
    let source = Source::of_span(span, scope);
    let mut draft = draft(&source, dialects, settings);
    if span.dropped_attributes_count > 0 {
        source.notes.add(|| format!("{} attributes were dropped before they came here", span.dropped_attributes_count));
    }
    if span.dropped_events_count > 0 {
        source.notes.add(|| format!("{} events were dropped before they came here", span.dropped_events_count));
    }
    if span.dropped_links_count > 0 {
        source.notes.add(|| format!("{} links were dropped before they came here", span.dropped_links_count));
    }
    draft.row.name.clone_from(&span.name);
    draft.row.trace_id = value::hex(&span.trace_id);
    draft.row.span_id = value::hex(&span.span_id);
    draft.row.parent_span_id = value::hex(&span.parent_span_id);
    if let Some(tool) = draft.row.tool_executions.first_mut() {
        tool.span_id = draft.row.span_id.clone();
        tool.status = tool.status.take().or_else(|| draft.row.status.clone());
        let message = draft.row.error.as_ref().and_then(|error| error.message.clone().or_else(|| error.r#type.clone()));
        tool.error = tool.error.take().or(message);
    }
    let judges = draft.judges_links;
    if !judges && !span.links.is_empty() {
        draft.detail("links", links_json(&span.links));
    }
    let mut partial = draft.finish(source);
    partial.kind = Kind::Span.into();
    partial.start_ns = span.start_time_unix_nano;
    partial.end_ns = span.end_time_unix_nano;
    partial.flags = (span.flags != 0).then_some(span.flags);
    partial.links = span.links.iter().filter_map(|link| link_of(link, judges)).collect();
    partial.trace_state = (!span.trace_state.is_empty()).then(|| span.trace_state.clone());
    partial.keep_unknown = settings.keep_unknown;
    partial
}

fn log_partial(record: &LogRecord, scope: Scope<'_>, dialects: probe::Set, settings: &Settings) -> Partial {
    let source = Source::of_log(record, scope);
    let mut draft = draft(&source, dialects, settings);
    source.name.clone_into(&mut draft.row.name);
    draft.row.trace_id = value::hex(&record.trace_id);
    draft.row.span_id = value::hex(&record.span_id);
    let is_quiet = (1..settings.min_severity).contains(&severity(record)) && draft.is_line();
    let known = draft.has_kind() && !is_quiet;
    let keep_unknown = settings.keep_unknown && !is_quiet;
    if record.dropped_attributes_count > 0 {
        source
            .notes
            .add(|| format!("{} attributes were dropped before they came here", record.dropped_attributes_count));
    }
    let severity = (!record.severity_text.is_empty()).then_some(record.severity_text.as_str());
    if let Some(severity) = severity.filter(|_| known || keep_unknown) {
        draft.detail("severity", event::json::string(severity));
    }
    if !record.event_name.is_empty() && record.event_name != source.name && (known || keep_unknown) {
        draft.detail("event_name", event::json::string(&record.event_name));
    }
    let mut partial = if known || keep_unknown {
        draft.finish(source)
    } else {
        // Nothing but whose it is: that may be said only here.
        draft.row.metadata = None;
        draft.row.error = None;
        draft.row.status = None;
        draft.row.tags.clear();
        Partial { row: Some(draft.row), ..Partial::default() }
    };
    partial.kind = Kind::Log.into();
    partial.start_ns = record.time_unix_nano;
    partial.observed_ns = record.observed_time_unix_nano;
    partial.flags = (record.flags != 0).then_some(record.flags);
    partial.keep_unknown = keep_unknown;
    partial
}

fn link_of(link: &span::Link, is_target: bool) -> Option<Link> {
    Some(Link {
        trace_id: value::hex(&link.trace_id)?,
        span_id: value::hex(&link.span_id)?,
        attributes: (!link.attributes.is_empty()).then(|| json::entries_node(&link.attributes).json()),
        is_target,
    })
}

fn links_json(links: &[span::Link]) -> String {
    let list: Vec<String> = links
        .iter()
        .map(|link| {
            let ids = [("trace_id", value::hex(&link.trace_id)), ("span_id", value::hex(&link.span_id))];
            let mut entries: Vec<(&str, String)> =
                ids.into_iter().filter_map(|(key, id)| id.map(|id| (key, event::json::string(&id)))).collect();
            if !link.attributes.is_empty() {
                entries.push(("attributes", json::entries_node(&link.attributes).json()));
            }
            event::json::object(entries.iter().map(|(key, json)| (*key, json.as_str())))
        })
        .collect();
    format!("[{}]", list.join(","))
}

fn envelope(scope: Scope<'_>, told: Option<&InstrumentationScope>) -> Envelope {
    let text = |key: &str| scope.resource_text(key).filter(|text| !text.is_empty()).map(str::to_owned);
    Envelope {
        service: text("service.name"),
        env: text("deployment.environment.name").or_else(|| text("deployment.environment")),
        resource: resource_json(scope.resource, told),
        ..Envelope::default()
    }
}

/// Resource attributes, and the scope under a key of its own.
fn resource_json(resource: &[KeyValue], scope: Option<&InstrumentationScope>) -> Option<String> {
    let mut entries: Vec<Entry> = Vec::with_capacity(resource.len() + 1);
    for attribute in resource {
        let json = attribute.value.as_ref().map_or_else(|| "null".to_owned(), json::any_json);
        let mut key = attribute.key.clone();
        if key == "scope" || entries.iter().any(|entry| entry.key == key) {
            key = format!("{key}#{}", entries.len() + 1);
        }
        entries.push(Entry { key, json });
    }
    if let Some(scope) = scope {
        let mut parts: Vec<(&str, String)> = Vec::new();
        for (key, text) in [("name", &scope.name), ("version", &scope.version)] {
            if !text.is_empty() {
                parts.push((key, event::json::string(text)));
            }
        }
        if !scope.attributes.is_empty() {
            parts.push(("attributes", json::entries_node(&scope.attributes).json()));
        }
        if !parts.is_empty() {
            let json = event::json::object(parts.iter().map(|(key, json)| (*key, json.as_str())));
            entries.push(Entry { key: "scope".to_owned(), json });
        }
    }
    if entries.is_empty() {
        return None;
    }
    Some(event::json::object(entries.iter().map(|entry| (entry.key.as_str(), entry.json.as_str()))))
}

#[cfg(test)]
mod tests;
