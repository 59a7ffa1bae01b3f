//! Which operation a log record may tell, by its time.

/// Nanoseconds by which a log record may come before the start or after the end of the operation that it tells: it
/// is written when the operation has ended.
const EARLY: u64 = 1_000_000_000;
const LATE: u64 = 5_000_000_000;

/// Whether a log record of this time may tell an operation of these times. 0 is a time that is not stated.
pub(in crate::fold) fn may_tell(time: u64, start_ns: u64, end_ns: u64) -> bool {
    time == 0 || start_ns <= time.saturating_add(EARLY) && time <= end_ns.saturating_add(LATE)
}

/// The earliest end of an operation that a log record of this time may tell.
pub(in crate::fold) fn earliest_end(time: u64) -> u64 {
    time.saturating_sub(LATE)
}
