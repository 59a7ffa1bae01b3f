//! Logs to stderr, and the telemetry of the process itself.
