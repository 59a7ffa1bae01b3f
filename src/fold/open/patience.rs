//! When a trace may be emitted.

use super::OpenTrace;

/// When traces are emitted. Nanoseconds of log time.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// After the arrival that finished the trace.
    pub linger: u64,
    /// After the last arrival.
    pub idle: u64,
    /// After the first arrival.
    pub max_age: u64,
}

/// What a seal asks for beside its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Close {
    /// Nothing: the rules of patience hold.
    ByRule,
    /// The process ends: finished traces do not linger; with `open`, the others are closed and marked.
    Shutdown {
        /// Whether open traces are closed too.
        open: bool,
    },
    /// The input ends: everything is emitted, unmarked.
    End,
}

/// Why a trace was emitted before it was finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Closed {
    /// Nothing came for long.
    Idle,
    /// It was open for too long.
    MaxAge,
    /// The log or the index was full.
    Cap,
    /// The process ended.
    Shutdown,
}

impl Closed {
    /// As it stands in `details.trace_closed`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::MaxAge => "max_age",
            Self::Cap => "cap",
            Self::Shutdown => "shutdown",
        }
    }
}

/// Until when it is waited for.
pub(super) fn ends(trace: &OpenTrace, patience: Patience) -> u64 {
    if trace.is_of_loose() {
        // More of it never comes: what it waits for is in another trace.
        return trace.opened.saturating_add(patience.max_age);
    }
    trace.last.saturating_add(patience.idle).min(trace.opened.saturating_add(patience.max_age))
}

/// Whether a trace is due, and why if it is not finished.
pub(super) fn is_due(trace: &OpenTrace, now: u64, patience: Patience, close: Close) -> Option<Option<Closed>> {
    match (trace.finished, close) {
        (_, Close::End) | (Some(_), Close::Shutdown { .. }) => return Some(None),
        (Some(at), Close::ByRule) if at.saturating_add(patience.linger) <= now => return Some(None),
        (None, Close::Shutdown { open: true }) => return Some(Some(Closed::Shutdown)),
        _ => {}
    }
    let is_finished = trace.finished.is_some();
    if trace.opened.saturating_add(patience.max_age) <= now {
        return Some((!is_finished).then_some(Closed::MaxAge));
    }
    if trace.last.saturating_add(patience.idle) <= now {
        return Some((!is_finished).then_some(Closed::Idle));
    }
    None
}
