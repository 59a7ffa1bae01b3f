//! Who sends: traces in pieces and in any order, again where no answer came, and what was acknowledged.

use super::Random;
use crate::event::Envelope;
use crate::event::Event;
use crate::event::Kind;
use crate::event::Message;
use crate::event::Partial;
use crate::redact::Config;
use crate::redact::Key;
use crate::redact::Redacted;
use crate::redact::Redactor;
use crate::wal::AppendError;
use crate::wal::Pending;
use crate::wal::Wal;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

/// What must never be stored.
pub(crate) const SECRET: &str = "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789";
/// Prefixes that credentials name.
const PREFIXES: [Option<&str>; 3] = [None, None, Some("team/a")];
/// How long something is sent again: the window is an hour.
const RESEND: Duration = Duration::from_secs(2400);

/// One request, as it is sent and sent again.
#[derive(Debug, Clone)]
struct Request {
    content: Vec<Redacted>,
    tokens: Vec<String>,
    /// When it was first handed over.
    first: Option<Duration>,
    /// How often it is still sent although it was acknowledged.
    again: u32,
}

/// Everything that is sent, and what is known of it.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) random: Random,
    redactor: Redactor,
    next: u64,
    /// By the time at which it is to be sent.
    queue: BTreeMap<(Duration, u64), Request>,
    waiting: Vec<(Pending, Request)>,
    /// All that was handed over.
    pub(crate) sent: BTreeSet<String>,
    pub(crate) acknowledged: BTreeSet<String>,
    /// Largest text of a record.
    pub(crate) padding: u64,
    pub(crate) refusals: u64,
    /// Whether requests are sent again at all.
    pub(crate) resends: bool,
}

impl Client {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            random: Random(seed),
            redactor: Redactor::new(&Config::default(), Key::new(b"a key of the tests")).unwrap(),
            next: 0,
            queue: BTreeMap::new(),
            waiting: Vec::new(),
            sent: BTreeSet::new(),
            acknowledged: BTreeSet::new(),
            padding: 400,
            refusals: 0,
            resends: true,
        }
    }

    /// Plans a trace: a root and calls below it, in requests over the next seconds; the root mostly last, sometimes
    /// never, and sometimes something late.
    pub(crate) fn trace(&mut self, now: Duration, wall: i64) {
        self.next += 1;
        let (trace, random) = (self.next, &mut self.random);
        let prefix = random.one(&PREFIXES);
        let calls = 1 + random.below(5);
        let mut spans: Vec<Partial> =
            (0..calls).map(|call| span(trace, call + 2, Some(1), wall, random, self.padding)).collect();
        let root = span(trace, 1, None, wall, random, self.padding);
        match random.below(8) {
            0 => {}
            1 => spans.insert(0, root),
            _ => spans.push(root),
        }
        if random.chance(4) {
            spans.push(log_line(trace, wall, random));
        }
        let mut at = now;
        let mut rest = spans.into_iter().peekable();
        while rest.peek().is_some() {
            let count = 1 + usize::try_from(self.random.below(3)).unwrap();
            let partials: Vec<Partial> = rest.by_ref().take(count).collect();
            self.plan(at, prefix, wall, partials);
            // Mostly close together; sometimes later than linger, or than idle.
            at += Duration::from_millis(self.random.below(900));
            if self.random.chance(8) {
                at += Duration::from_secs(self.random.below(60));
            }
        }
    }

    /// Plans a record that the fold cannot read, with a good neighbour.
    pub(crate) fn broken(&mut self, now: Duration, wall: i64) {
        self.next += 1;
        let token = format!("n{}x", self.next);
        let envelope = Envelope { tenant: "t".into(), door: "otlp".into(), received_at: wall, ..Envelope::default() };
        let good = log_line(self.next, wall, &mut self.random);
        let name = good.row.as_ref().unwrap().name.clone();
        let redacted = self.redactor.redact(envelope, vec![(0, good)]);
        let bad = Bytes::from(token.clone());
        let records = [redacted.records(), &[bad]].concat();
        let content = vec![Redacted::of_test(redacted.envelope().clone(), records)];
        self.add(now, Request { content, tokens: vec![name, token], first: None, again: 0 });
    }

    fn plan(&mut self, at: Duration, prefix: Option<&str>, wall: i64, partials: Vec<Partial>) {
        let prefix = prefix.map(str::to_owned);
        let tokens = partials.iter().map(|partial| partial.row.as_ref().unwrap().name.clone()).collect();
        let envelope =
            Envelope { tenant: "t".into(), door: "otlp".into(), prefix, received_at: wall, ..Envelope::default() };
        let content = vec![self.redactor.redact(envelope, (0..).zip(partials).collect())];
        let again = if self.resends && self.random.chance(6) { 1 + u32::from(self.random.chance(4)) } else { 0 };
        self.add(at, Request { content, tokens, first: None, again });
    }

    fn add(&mut self, at: Duration, request: Request) {
        self.next += 1;
        self.queue.insert((at, self.next), request);
    }

    /// When the next request is to be sent.
    pub(crate) fn next_at(&self) -> Option<Duration> {
        self.queue.keys().next().map(|(at, _)| *at)
    }

    pub(crate) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Sends what is due.
    pub(crate) fn send(&mut self, wal: &Wal, now: Duration) {
        while let Some(entry) = self.queue.first_entry() {
            if entry.key().0 > now {
                return;
            }
            let mut request = entry.remove();
            if request.first.is_some_and(|first| now > first + RESEND) {
                continue;
            }
            match wal.submit(request.content.clone(), None) {
                Ok(pending) => {
                    request.first.get_or_insert(now);
                    self.sent.extend(request.tokens.iter().cloned());
                    self.waiting.push((pending, request));
                }
                Err(error) => self.refused(&error, request, now),
            }
        }
    }

    fn refused(&mut self, error: &AppendError, request: Request, now: Duration) {
        match error {
            AppendError::Full { retry_after } => {
                assert!(!retry_after.is_zero(), "a refusal without a hint");
                self.refusals += 1;
                self.add(now + *retry_after, request);
            }
            AppendError::Closed | AppendError::Poisoned => self.add(now + Duration::from_secs(1), request),
            AppendError::TooLarge => panic!("a small request was refused for good"),
        }
    }

    /// Takes the answers that have come.
    pub(crate) fn hear(&mut self, now: Duration) {
        for (mut pending, mut request) in std::mem::take(&mut self.waiting) {
            match pending.try_answer() {
                None => self.waiting.push((pending, request)),
                Some(Ok(receipt)) => {
                    assert_eq!(receipt.records, u64::try_from(request.tokens.len()).unwrap());
                    self.acknowledged.extend(request.tokens.iter().cloned());
                    if request.again > 0 {
                        // The answer was lost on its way.
                        request.again -= 1;
                        let later = Duration::from_millis(self.random.below(90_000));
                        self.add(now + later, request);
                    }
                }
                Some(Err(error)) => self.refused(&error, request, now),
            }
        }
    }

    /// The process is dead: who waits has no answer, and mostly tries again.
    pub(crate) fn hang_up(&mut self, now: Duration) {
        self.hear(now);
        for (_, request) in std::mem::take(&mut self.waiting) {
            if self.resends && !self.random.chance(4) {
                let later = Duration::from_millis(self.random.below(10_000));
                self.add(now + later, request);
            }
        }
    }
}

fn span(trace: u64, id: u64, parent: Option<u64>, wall: i64, random: &mut Random, padding: u64) -> Partial {
    let name = format!("n{trace}.{id}");
    let event_type = if parent.is_none() { "agent.invocation" } else { "chat.completion" };
    let secret = if random.chance(8) { SECRET } else { "" };
    let padding = "x".repeat(usize::try_from(random.below(padding + 1)).unwrap());
    let content = format!("says {name} {padding} {secret}");
    let row = Event {
        event_type: event_type.into(),
        messages: vec![Message { role: "user".into(), content: Some(content), ..Message::default() }],
        name,
        trace_id: Some(format!("{trace:032x}")),
        span_id: Some(format!("{id:016x}")),
        parent_span_id: parent.map(|id| format!("{id:016x}")),
        ..Event::default()
    };
    let start_ns = u64::try_from(wall).unwrap() * 1000 + id * 1_000_000_000;
    Partial { row: Some(Box::new(row)), start_ns, end_ns: start_ns + 900_000_000, ..Partial::default() }
}

/// A record that waits for nothing.
fn log_line(trace: u64, wall: i64, random: &mut Random) -> Partial {
    let name = format!("n{trace}.log{}", random.next());
    let row = Event { event_type: "log.line".into(), name, ..Event::default() };
    let start_ns = u64::try_from(wall).unwrap() * 1000;
    Partial { kind: Kind::Log.into(), row: Some(Box::new(row)), start_ns, end_ns: start_ns, ..Partial::default() }
}
