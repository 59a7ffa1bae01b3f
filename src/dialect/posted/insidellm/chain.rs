//! Which request an answer or a chunk belongs to, as far as a body tells.

use crate::dialect::json::Node;
use std::collections::HashMap;
use std::collections::HashSet;

/// The events of a body by id.
#[derive(Default)]
pub(super) struct Chain<'a> {
    links: HashMap<&'a str, Link<'a>>,
    /// Where the walk from an event ends: the id of a request, or the first that is not here. None: at neither.
    ends: HashMap<&'a str, Option<&'a str>>,
    /// Requests that failed: an error names them as its parent, and nothing here answers them.
    failed: HashSet<&'a str>,
}

#[derive(Clone, Copy)]
struct Link<'a> {
    kind: &'a str,
    parent: Option<&'a str>,
}

impl Link<'_> {
    /// What stands before an earlier answer or the start of a run is another call's.
    fn is_border(self) -> bool {
        matches!(self.kind, "llm.response" | "run.start")
    }
}

impl<'a> Chain<'a> {
    pub(super) fn of<'n: 'a>(events: impl Iterator<Item = &'a Node<'n>>) -> Self {
        let mut chain = Self::default();
        for event in events {
            let (kind, parent) = (event.text("event_type").unwrap_or_default(), event.text("parent_event_id"));
            if let Some(id) = event.text("event_id") {
                chain.links.insert(id, Link { kind, parent });
            }
            if matches!(kind, "error" | "timeout_error") {
                chain.failed.extend(parent);
            }
        }
        let links: Vec<_> = chain.links.iter().map(|(id, link)| (*id, *link)).collect();
        for (id, link) in links {
            chain.walk(id);
            if link.kind == "llm.response" {
                let answered = link.parent.and_then(|parent| chain.end_at(parent));
                chain.failed.retain(|request| Some(*request) != answered);
            }
        }
        chain
    }

    /// The id under which an event waits for another.
    pub(super) fn waits_for<'s>(&'s self, event: &'s Node<'_>) -> Option<&'s str> {
        let id = event.text("event_id")?;
        let awaited = match event.text("event_type")? {
            "llm.request" => Some(id),
            "llm.response" | "llm.streaming_chunk" => self.end_at(event.text("parent_event_id")?),
            _ => None,
        };
        awaited.filter(|awaited| !self.failed.contains(awaited))
    }

    /// Where the walk ends that begins at this parent.
    fn end_at<'s>(&self, parent: &'s str) -> Option<&'s str>
    where
        'a: 's,
    {
        match (self.links.get(parent), self.ends.get(parent)) {
            (Some(link), _) if link.is_border() => None,
            (Some(_), Some(end)) => *end,
            // It is not here: it may be the request.
            _ => Some(parent),
        }
    }

    /// Finds where the walk from `start` ends, and with it that of all that it passes.
    fn walk(&mut self, start: &'a str) {
        let mut passed = HashSet::new();
        let mut at = start;
        let end = loop {
            let Some(link) = self.links.get(at) else { break Some(at) };
            if link.kind == "llm.request" {
                break Some(at);
            }
            if link.is_border() && at != start {
                break None;
            }
            if let Some(end) = self.ends.get(at) {
                break *end;
            }
            // A circle ends nowhere.
            match link.parent {
                Some(parent) if passed.insert(at) => at = parent,
                _ => break None,
            }
        };
        self.ends.extend(passed.into_iter().map(|id| (id, end)));
        self.ends.insert(start, end);
    }
}
