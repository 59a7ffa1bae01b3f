//! The columns of a Parquet file: names, kinds and field ids, in the order in which files hold them.
//!
//! - **An id is for ever.** Table formats know a column by it: never change one, never give it to another column. A
//!   column of the row has its tag in `proto/chatlake/v1/event.proto`; what lies within has hundred times that and more.
//! - A new column takes a new id and may stand anywhere; large texts stand last, so that the small columns of a file
//!   lie close together.
//! - Everything but a map's key may be null: absent is null, never zero and never empty.

/// One column, or one field of a struct.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) id: i32,
    pub(super) name: &'static str,
    pub(super) kind: Kind,
}

/// What a column holds.
#[derive(Debug)]
pub(super) enum Kind {
    /// Text of which a file has few different ones.
    Label,
    /// Text of which a file has many different ones, short.
    Id,
    /// Long text.
    Prose,
    /// One JSON value as text.
    Json,
    Int32,
    Int64,
    Double,
    Bool,
    /// Microseconds since 1970 in UTC.
    Time,
    Struct(&'static [Column]),
    /// The column is the element.
    List(&'static Column),
    /// Text keys; both columns are named as Parquet names them.
    Map(&'static Column, &'static Column),
}

const fn column(id: i32, name: &'static str, kind: Kind) -> Column {
    Column { id, name, kind }
}

const fn element(id: i32, kind: Kind) -> Column {
    column(id, "element", kind)
}

const fn key(id: i32) -> Column {
    column(id, "key", Kind::Label)
}

const fn value(id: i32, kind: Kind) -> Column {
    column(id, "value", kind)
}

/// Columns with a Bloom filter, by which a reader that looks for one of them skips files.
pub(super) const BLOOM: [&[&str]; 3] = [&["conversation_id"], &["trace_id"], &["user", "id"]];

/// The order of the rows of a file. Readers that know it need not sort.
pub(super) const ORDER: [&str; 3] = ["conversation_id", "timestamp", "event_id"];

/// Every column.
pub(super) const COLUMNS: &[Column] = &[
    column(1, "event_id", Kind::Id),
    column(2, "event_type", Kind::Label),
    column(3, "source", Kind::Label),
    column(4, "dialect", Kind::Label),
    column(5, "schema_version", Kind::Int32),
    column(6, "name", Kind::Label),
    column(7, "timestamp", Kind::Time),
    column(8, "ended_at", Kind::Time),
    column(9, "received_at", Kind::Time),
    column(10, "conversation_id", Kind::Id),
    column(11, "conversation_id_source", Kind::Label),
    column(12, "run_id", Kind::Id),
    column(13, "trace_id", Kind::Id),
    column(14, "span_id", Kind::Id),
    column(15, "parent_span_id", Kind::Id),
    column(16, "status", Kind::Label),
    column(18, "input_message_count", Kind::Int32),
    column(20, "model", Kind::Struct(MODEL)),
    column(22, "timing", Kind::Struct(TIMING)),
    column(23, "tokens", Kind::Struct(TOKENS)),
    column(24, "graph", Kind::Struct(GRAPH)),
    column(25, "agent", Kind::Struct(AGENT)),
    column(26, "user", Kind::Struct(USER)),
    column(27, "wa_meta", Kind::Struct(WA_META)),
    column(28, "feedback", Kind::Struct(FEEDBACK)),
    column(29, "error", Kind::Struct(ERROR)),
    column(30, "service", Kind::Label),
    column(31, "env", Kind::Label),
    column(32, "tags", Kind::Map(&key(3201), &value(3202, Kind::Label))),
    column(37, "redaction", Kind::Struct(REDACTION)),
    column(38, "notes", Kind::List(&element(3801, Kind::Label))),
    column(33, "metadata", Kind::Json),
    column(21, "tool_executions", Kind::List(&element(2100, Kind::Struct(TOOL_EXECUTION)))),
    column(19, "tools", Kind::Json),
    column(36, "resource", Kind::Json),
    column(34, "details", Kind::Json),
    column(35, "attributes", Kind::Json),
    column(17, "messages", Kind::List(&element(1700, Kind::Struct(MESSAGE)))),
];

pub(super) const MESSAGE: &[Column] = &[
    column(1701, "role", Kind::Label),
    column(1702, "content", Kind::Prose),
    column(1703, "content_parts", Kind::Json),
    column(1704, "reasoning", Kind::Prose),
    column(1705, "name", Kind::Label),
    column(1706, "tool_call_id", Kind::Id),
    TOOL_CALLS,
    column(1708, "finish_reason", Kind::Label),
];

pub(super) const TOOL_CALL: &[Column] = &[
    column(1711, "id", Kind::Id),
    column(1712, "type", Kind::Label),
    column(1713, "name", Kind::Label),
    column(1714, "arguments", Kind::Prose),
];

pub(super) const MODEL: &[Column] = &[
    column(2001, "provider", Kind::Label),
    column(2002, "request", Kind::Label),
    column(2003, "response", Kind::Label),
    column(2004, "response_id", Kind::Id),
    column(2005, "operation", Kind::Label),
    column(2006, "parameters", Kind::Json),
    FINISH_REASONS,
    column(2008, "stream", Kind::Bool),
];

pub(super) const TOOL_EXECUTION: &[Column] = &[
    column(2101, "call_id", Kind::Id),
    column(2102, "name", Kind::Label),
    column(2103, "type", Kind::Label),
    column(2104, "status", Kind::Label),
    column(2105, "latency_ms", Kind::Double),
    column(2106, "arguments", Kind::Json),
    column(2107, "result", Kind::Json),
    column(2108, "error", Kind::Prose),
    column(2109, "span_id", Kind::Id),
];

pub(super) const TIMING: &[Column] = &[
    column(2201, "total_latency_ms", Kind::Double),
    column(2202, "time_to_first_token_ms", Kind::Double),
    column(2203, "ttft_source", Kind::Label),
    TOOL_LATENCIES,
];

pub(super) const TOKENS: &[Column] = &[
    column(2301, "prompt_tokens", Kind::Int64),
    column(2302, "completion_tokens", Kind::Int64),
    column(2303, "total_tokens", Kind::Int64),
    column(2304, "cached_tokens", Kind::Int64),
    column(2305, "cache_creation_tokens", Kind::Int64),
    column(2306, "reasoning_tokens", Kind::Int64),
    column(2307, "cost_usd", Kind::Double),
    column(2308, "cost_source", Kind::Label),
];

pub(super) const GRAPH: &[Column] = &[
    column(2401, "graph_id", Kind::Label),
    column(2402, "node_path", Kind::Label),
    column(2403, "step_index", Kind::Int64),
    column(2404, "thread_id", Kind::Id),
    TRIGGERS,
];

pub(super) const AGENT: &[Column] =
    &[column(2501, "id", Kind::Label), column(2502, "name", Kind::Label), column(2503, "description", Kind::Label)];

pub(super) const USER: &[Column] = &[
    column(2601, "id", Kind::Id),
    column(2602, "email", Kind::Id),
    column(2603, "username", Kind::Id),
    column(2604, "org", Kind::Label),
    ROLES,
];

pub(super) const WA_META: &[Column] = &[
    column(2701, "direction", Kind::Label),
    column(2702, "template_category", Kind::Label),
    column(2703, "delivered", Kind::Bool),
    column(2704, "read", Kind::Bool),
    column(2705, "blocked_reported", Kind::Bool),
    column(2706, "message_id", Kind::Id),
    column(2707, "phone_number", Kind::Id),
];

pub(super) const FEEDBACK: &[Column] =
    &[column(2801, "type", Kind::Label), column(2802, "value", Kind::Json), column(2803, "target", Kind::Id)];

pub(super) const ERROR: &[Column] = &[
    column(2901, "type", Kind::Label),
    column(2902, "message", Kind::Prose),
    column(2903, "code", Kind::Label),
    column(2904, "stack", Kind::Prose),
];

pub(super) const REDACTION: &[Column] = &[column(3701, "policy", Kind::Label), COUNTS];

// Lists and maps within structs have names of their own: their cells are built apart.
pub(super) const TOOL_CALLS: Column = column(1707, "tool_calls", Kind::List(&element(1710, Kind::Struct(TOOL_CALL))));
pub(super) const FINISH_REASONS: Column = column(2007, "finish_reasons", Kind::List(&element(2010, Kind::Label)));
pub(super) const TOOL_LATENCIES: Column =
    column(2204, "tool_latencies_ms", Kind::Map(&key(2210), &value(2211, Kind::Double)));
pub(super) const TRIGGERS: Column = column(2405, "triggers", Kind::List(&element(2410, Kind::Label)));
pub(super) const ROLES: Column = column(2605, "roles", Kind::List(&element(2610, Kind::Label)));
pub(super) const COUNTS: Column = column(3702, "counts", Kind::Map(&key(3710), &value(3711, Kind::Int64)));
