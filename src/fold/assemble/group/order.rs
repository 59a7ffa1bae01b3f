//! The order of records before anything is decided: by what they say, never by when they came.

use crate::event::Half;
use crate::event::Kind;
use crate::event::Part;
use crate::event::record::Head;
use crate::fold::assemble::Told;

/// A record with what it is sorted by.
pub(super) struct Sortable<'a> {
    pub(super) place: usize,
    pub(super) ordinal: u32,
    pub(super) tenant: &'a str,
    pub(super) prefix: &'a str,
    pub(super) head: &'a Head,
    observed_ns: u64,
    role: u8,
}

impl<'a> Sortable<'a> {
    pub(super) fn new(place: usize, ordinal: u32, told: &'a Told) -> Self {
        let partial = &told.record.partial;
        let role = match partial.part.as_ref().map(Part::half) {
            Some(Half::Output) => 2,
            Some(Half::Input | Half::Whole) => {
                let message = partial.row.as_ref().and_then(|row| row.messages.first());
                u8::from(!message.is_some_and(|message| matches!(message.role.as_str(), "system" | "developer")))
            }
            None => 1,
        };
        let (envelope, head) = (&told.envelope, &told.record.head);
        let prefix = envelope.prefix.as_deref().unwrap_or_default();
        Self { place, ordinal, tenant: &envelope.tenant, prefix, head, observed_ns: partial.observed_ns, role }
    }

    pub(super) fn compare(&self, other: &Self) -> std::cmp::Ordering {
        let group = |one: &Self| (one.prefix, one.head.trace, one.head.kind != Kind::Span);
        let start = |one: &Self| if one.head.start_ns == 0 { one.observed_ns } else { one.head.start_ns };
        // A span's place in its request says nothing.
        let place = |one: &Self| {
            if one.head.kind == Kind::Span { (0, 0, 0) } else { (one.observed_ns, one.head.position, one.role) }
        };
        let content = |one: &Self| (one.head.content, one.ordinal);
        let by_group = self.tenant.cmp(other.tenant).then_with(|| group(self).cmp(&group(other)));
        let by_time = by_group.then_with(|| (start(self), place(self)).cmp(&(start(other), place(other))));
        by_time.then_with(|| content(self).cmp(&content(other)))
    }
}
