//! A conversation for people. Each call of a model repeats its history: only what is new since the calls before it is
//! shown, with what the call took.

use crate::cli::plain;
use crate::event::Event;
use crate::event::Message;
use crate::event::ToolExecution;
use crate::event::event_type;
use crate::event::status;
use std::collections::BTreeSet;
use xxhash_rust::xxh3::xxh3_64;

/// Characters of arguments and results that are shown on one line.
const WIDTH: usize = 160;
const INDENT: &str = "  ";

/// How it looks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    /// Without colours.
    pub(super) is_plain: bool,
    /// With rows that say nothing to the user: agents, steps, searches.
    pub(super) all: bool,
}

/// The lines of a transcript. No character of what was said can steer a terminal.
pub(super) fn lines(rows: &[Event], look: Look) -> Vec<String> {
    let runs = rows.iter().flat_map(|row| match row.event_type.as_str() {
        event_type::TOOL_EXECUTION => Default::default(),
        _ => row.tool_executions.as_slice(),
    });
    let told = runs.filter_map(|run| run.span_id.clone()).collect();
    let mut transcript = Transcript { look, out: Vec::new(), threads: Vec::new(), last: None, system: None, told };
    transcript.head(rows);
    rows.iter().for_each(|row| transcript.row(row));
    transcript.out
}

struct Transcript {
    look: Look,
    out: Vec<String>,
    /// What was said in each line of calls: an agent has one of its own.
    threads: Vec<Vec<u64>>,
    /// The thread that was shown last.
    last: Option<usize>,
    system: Option<u64>,
    /// Spans of tools that a call's row tells.
    told: BTreeSet<String>,
}

impl Transcript {
    fn head(&mut self, rows: &[Event]) {
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return };
        let tokens: i64 = rows.iter().filter_map(|row| row.tokens.as_ref()?.total_tokens).sum();
        let cost: f64 = rows.iter().filter_map(|row| row.tokens.as_ref()?.cost_usd).sum();
        let calls = rows.iter().filter(|row| is_call(row)).count();
        let errors = rows.iter().filter(|row| failed(row.status.as_deref())).count();
        let id = plain::line(&first.conversation_id);
        self.out.push(self.strong(&format!("conversation {id}")));
        let mut facts = vec![
            format!("{} to {} UTC", plain::time(first.timestamp), plain::time(last.ended_at.unwrap_or(last.timestamp))),
            format!("{calls} calls"),
            format!("{tokens} tokens"),
        ];
        if cost > 0.0 {
            facts.push(format!("${cost:.6}"));
        }
        if errors > 0 {
            facts.push(format!("{errors} errors"));
        }
        facts.extend(first.service.as_deref().map(plain::line));
        self.out.push(facts.join(" · "));
    }

    fn row(&mut self, row: &Event) {
        match row.event_type.as_str() {
            _ if is_call(row) => self.call(row),
            event_type::TOOL_EXECUTION if row.span_id.as_ref().is_some_and(|span| self.told.contains(span)) => {}
            event_type::TOOL_EXECUTION => {
                self.gap();
                row.tool_executions.iter().for_each(|run| self.tool(run));
                if row.tool_executions.is_empty() {
                    self.single(row);
                }
            }
            event_type::AGENT_INVOCATION
            | event_type::GRAPH_STEP
            | event_type::EMBEDDING
            | event_type::RETRIEVAL
            | event_type::RERANK
                if !self.look.all && !failed(row.status.as_deref()) => {}
            _ => self.other(row),
        }
    }

    fn call(&mut self, row: &Event) {
        let (system, said): (Vec<&Message>, Vec<&Message>) =
            row.messages.iter().partition(|message| matches!(message.role.as_str(), "system" | "developer"));
        let keys: Vec<u64> = said.iter().map(|message| key(message)).collect();
        let (thread, known) = self.thread(&keys);
        if self.last.is_some_and(|last| last != thread) {
            let who = row.agent.as_ref().and_then(|agent| agent.name.as_deref()).unwrap_or(&row.name);
            self.gap();
            self.out.push(self.faint(&format!("── {} ──", plain::short(who, WIDTH))));
        }
        self.last = Some(thread);
        let prompt =
            xxh3_64(system.iter().flat_map(|message| key(message).to_le_bytes()).collect::<Vec<_>>().as_slice());
        if !system.is_empty() && self.system.replace(prompt) != Some(prompt) {
            system.iter().for_each(|message| self.message(message, None));
        }
        // The answer stands at the end; what it took stands beside it.
        let answer = said.iter().rposition(|message| message.role == "assistant");
        let answer = answer.filter(|at| *at + 1 == said.len() && *at >= known);
        for (at, message) in said.iter().enumerate().skip(known) {
            self.message(message, (Some(at) == answer).then_some(row));
        }
        if answer.is_none() {
            self.gap();
            self.out.push(format!("{}  {}", self.strong("assistant"), self.faint(&facts(row))));
            self.out.push(format!("{INDENT}{}", self.faint("(no answer was captured)")));
        }
        row.tool_executions.iter().for_each(|run| self.tool(run));
        self.failure(row);
        if let Some(said) = self.threads.get_mut(thread) {
            said.extend(keys.into_iter().skip(known));
        }
    }

    /// The thread that these messages go on with, and how many of them it has: its end is their beginning, for old
    /// messages may have been dropped.
    fn thread(&mut self, keys: &[u64]) -> (usize, usize) {
        let overlap = |said: &Vec<u64>| {
            (0..said.len()).find_map(|from| {
                let tail = said.get(from..)?;
                keys.starts_with(tail).then_some(tail.len())
            })
        };
        let found = self.threads.iter().enumerate().filter_map(|(at, said)| Some((overlap(said)?, at)));
        if let Some((known, at)) = found.max() {
            return (at, known);
        }
        // One that was left and is taken up from an earlier place.
        let shared = |said: &Vec<u64>| said.iter().zip(keys).take_while(|(a, b)| a == b).count();
        let found = self.threads.iter().enumerate().map(|(at, said)| (shared(said), at)).max();
        match found.filter(|(known, _)| *known > 0) {
            Some((known, at)) => {
                if let Some(said) = self.threads.get_mut(at) {
                    said.truncate(known);
                }
                (at, known)
            }
            None => {
                self.threads.push(Vec::new());
                (self.threads.len() - 1, 0)
            }
        }
    }

    fn message(&mut self, message: &Message, call: Option<&Event>) {
        self.gap();
        let mut head = self.strong(&plain::line(&message.role));
        if let Some(name) = &message.name {
            head = format!("{head} {}", plain::short(name, WIDTH));
        }
        if let Some(id) = message.tool_call_id.as_ref().filter(|_| message.role == "tool") {
            head = format!("{head} {}", self.faint(&plain::short(id, WIDTH)));
        }
        if let Some(row) = call {
            head = format!("{head}  {}", self.faint(&facts(row)));
        }
        self.out.push(head);
        if let Some(reasoning) = message.reasoning.as_deref().filter(|text| !text.trim().is_empty()) {
            let block = plain::block(reasoning, INDENT);
            block.lines().map(|line| self.faint(line)).collect::<Vec<_>>().into_iter().for_each(|l| self.out.push(l));
        }
        match (&message.content, &message.content_parts) {
            (Some(text), _) if !text.trim().is_empty() => self.text(text),
            (_, Some(parts)) => self.out.push(format!("{INDENT}{}", plain::short(parts, WIDTH))),
            _ => {}
        }
        for call in &message.tool_calls {
            let arguments = plain::short(call.arguments.as_deref().unwrap_or_default(), WIDTH);
            self.out.push(format!("{INDENT}→ {} {arguments}", plain::line(&call.name)).trim_end().to_owned());
        }
    }

    fn text(&mut self, text: &str) {
        let block = plain::block(text, INDENT);
        self.out.extend(block.lines().map(str::to_owned));
    }

    /// A run of a tool, on a line of its own.
    fn tool(&mut self, run: &ToolExecution) {
        let took = run.latency_ms.map(plain::milliseconds).unwrap_or_default();
        let said = run.error.as_deref().or(run.result.as_deref()).unwrap_or_default();
        let mut line = format!("{INDENT}← {}", plain::line(&run.name));
        for part in [run.status.as_deref().map(plain::line), Some(took), Some(plain::short(said, WIDTH))] {
            if let Some(part) = part.filter(|part| !part.is_empty()) {
                line = format!("{line}  {part}");
            }
        }
        self.out.push(if failed(run.status.as_deref()) { self.alarm(&line) } else { line });
    }

    fn other(&mut self, row: &Event) {
        if row.messages.is_empty() {
            self.gap();
            self.single(row);
        } else {
            // A logged message that a call has told already says nothing new.
            let known: BTreeSet<u64> = self.threads.iter().flatten().copied().collect();
            let new = row.messages.iter().filter(|message| !known.contains(&key(message)));
            new.for_each(|message| self.message(message, None));
        }
        if let Some(feedback) = &row.feedback {
            let value = plain::short(feedback.value.as_deref().unwrap_or_default(), WIDTH);
            let kind = plain::line(feedback.r#type.as_deref().unwrap_or_default());
            self.out.push(format!("{INDENT}{kind} {value}").trim_end().to_owned());
        }
        self.failure(row);
    }

    /// An event that has no messages, on one line.
    fn single(&mut self, row: &Event) {
        let name = plain::short(&row.name, WIDTH);
        let line = format!("{} {}", plain::line(&row.event_type), if name == row.event_type { "" } else { &name });
        self.out.push(format!("{}  {}", self.strong(line.trim_end()), self.faint(&facts(row))));
    }

    fn failure(&mut self, row: &Event) {
        let Some(error) = row.error.as_ref().filter(|_| failed(row.status.as_deref())) else { return };
        let kind = error.r#type.as_deref().or(error.code.as_deref()).unwrap_or("error");
        let line = format!("{kind}: {}", error.message.as_deref().unwrap_or_default());
        self.out.push(self.alarm(&format!("{INDENT}! {}", plain::short(line.trim_end_matches(": "), WIDTH))));
    }

    fn gap(&mut self) {
        if self.out.last().is_some_and(|line| !line.is_empty()) {
            self.out.push(String::new());
        }
    }

    fn strong(&self, text: &str) -> String {
        self.painted("1", text)
    }

    fn faint(&self, text: &str) -> String {
        self.painted("2", text)
    }

    fn alarm(&self, text: &str) -> String {
        self.painted("31", text)
    }

    /// Our own codes around text that holds none.
    fn painted(&self, code: &str, text: &str) -> String {
        if self.look.is_plain || text.is_empty() { text.to_owned() } else { format!("\u{1b}[{code}m{text}\u{1b}[0m") }
    }
}

fn is_call(row: &Event) -> bool {
    row.event_type == event_type::CHAT_COMPLETION || row.event_type == event_type::LLM_RESPONSE
}

fn failed(status: Option<&str>) -> bool {
    matches!(status, Some(status::ERROR | status::TIMEOUT | status::DENIED))
}

/// What an event took.
fn facts(row: &Event) -> String {
    let mut facts = Vec::new();
    if let Some(model) = &row.model {
        facts.extend(model.response.as_deref().or(model.request.as_deref()).map(plain::line));
    }
    if let Some(timing) = &row.timing {
        facts.extend(timing.total_latency_ms.map(plain::milliseconds));
        facts.extend(timing.time_to_first_token_ms.map(|ms| format!("first token {}", plain::milliseconds(ms))));
    }
    if let Some(tokens) = &row.tokens {
        let (prompt, completion) = (tokens.prompt_tokens, tokens.completion_tokens);
        facts.extend(prompt.zip(completion).map(|(prompt, completion)| format!("{prompt} + {completion} tokens")));
        facts.extend(tokens.cost_usd.map(|cost| format!("${cost:.6}")));
    }
    if let Some(status) = row.status.as_deref().filter(|status| *status != status::OK) {
        facts.push(plain::line(status));
    }
    facts.join(" · ")
}

/// What makes two messages the same: an answer comes back as input without its reasoning and reason to stop.
fn key(message: &Message) -> u64 {
    let mut text = format!("{}\n", message.role);
    let content = message.content.as_deref().or(message.content_parts.as_deref()).unwrap_or_default();
    text.push_str(content.trim());
    for call in &message.tool_calls {
        text.push_str(&format!("\n→ {} {}", call.id.as_deref().unwrap_or_default(), call.name));
    }
    text.push_str(message.tool_call_id.as_deref().unwrap_or_default());
    xxh3_64(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Agent;
    use crate::event::Error;
    use crate::event::Timing;
    use crate::event::ToolCall;

    const PLAIN: Look = Look { is_plain: true, all: false };

    fn message(role: &str, content: &str) -> Message {
        Message { role: role.to_owned(), content: Some(content.to_owned()), ..Message::default() }
    }

    fn call(id: &str, messages: &[(&str, &str)]) -> Event {
        Event {
            event_id: id.to_owned(),
            event_type: event_type::CHAT_COMPLETION.to_owned(),
            conversation_id: "c".to_owned(),
            name: "chat gpt".to_owned(),
            timestamp: 1_795_251_601_000_000,
            status: Some(status::OK.to_owned()),
            messages: messages.iter().map(|(role, content)| message(role, content)).collect(),
            timing: Some(Timing { total_latency_ms: Some(760.0), ..Timing::default() }),
            ..Event::default()
        }
    }

    fn text(rows: &[Event]) -> String {
        lines(rows, PLAIN).into_iter().skip(2).collect::<Vec<_>>().join("\n").trim().to_owned()
    }

    #[test]
    fn each_message_is_shown_once_with_what_its_call_took() {
        let whole = [("system", "Be brief."), ("user", "A?"), ("assistant", "a"), ("user", "B?"), ("assistant", "b")];
        let shown = text(&[call("1", &whole[..3]), call("2", &whole)]);
        let expected =
            "system\n  Be brief.\n\nuser\n  A?\n\nassistant  760 ms\n  a\n\nuser\n  B?\n\nassistant  760 ms\n  b";
        assert_eq!(shown, expected);
        // A window of the last messages goes on with the same thread.
        let sliding = [("system", "Be brief."), ("user", "B?"), ("assistant", "b"), ("user", "C?"), ("assistant", "c")];
        let shown = text(&[call("1", &whole[..3]), call("2", &whole), call("3", &sliding)]);
        assert_eq!(shown, format!("{expected}\n\nuser\n  C?\n\nassistant  760 ms\n  c"));
    }

    #[test]
    fn another_agent_has_a_thread_of_its_own() {
        let agent = Some(Agent { name: Some("planner".to_owned()), ..Agent::default() });
        let rows = [
            call("1", &[("user", "A?"), ("assistant", "a")]),
            Event { agent, ..call("2", &[("user", "Plan."), ("assistant", "p")]) },
            call("3", &[("user", "A?"), ("assistant", "a"), ("user", "B?"), ("assistant", "b")]),
        ];
        let shown = text(&rows);
        assert!(shown.contains("── planner ──\n\nuser\n  Plan."), "{shown}");
        assert_eq!((shown.matches("A?").count(), shown.matches("B?").count()), (1, 1), "{shown}");
    }

    #[test]
    fn tools_and_failures_are_told() {
        let run = ToolExecution {
            name: "get_weather".to_owned(),
            status: Some(status::ERROR.to_owned()),
            latency_ms: Some(120.5),
            error: Some("no such city".to_owned()),
            span_id: Some("s".to_owned()),
            ..ToolExecution::default()
        };
        let mut asked = call("1", &[("user", "Weather?"), ("assistant", "")]);
        asked.messages[1].tool_calls = vec![ToolCall {
            name: "get_weather".to_owned(),
            arguments: Some("{\"city\":\"X\"}".to_owned()),
            ..ToolCall::default()
        }];
        asked.tool_executions = vec![run.clone()];
        let own = Event {
            event_type: event_type::TOOL_EXECUTION.to_owned(),
            span_id: Some("s".to_owned()),
            tool_executions: vec![run],
            ..call("2", &[])
        };
        let broken = Event {
            status: Some(status::ERROR.to_owned()),
            error: Some(Error {
                r#type: Some("RateLimit".to_owned()),
                message: Some("later".to_owned()),
                ..Error::default()
            }),
            ..call("3", &[("user", "Weather?")])
        };
        let shown = text(&[asked, own, broken]);
        assert!(
            shown.contains("→ get_weather {\"city\":\"X\"}\n  ← get_weather  error  120 ms  no such city"),
            "{shown}"
        );
        assert_eq!(shown.matches('←').count(), 1, "{shown}");
        assert!(shown.contains("(no answer was captured)\n  ! RateLimit: later"), "{shown}");
    }

    #[test]
    fn what_was_said_cannot_steer_a_terminal() {
        let evil = "a\u{1b}[2J\u{9b}1m\u{202e}b";
        let mut row = call(evil, &[("user", evil), (evil, evil), ("assistant", evil)]);
        row.conversation_id = evil.to_owned();
        row.service = Some(evil.to_owned());
        row.status = Some(evil.to_owned());
        row.messages[2].reasoning = Some(evil.to_owned());
        row.messages[2].tool_calls =
            vec![ToolCall { name: evil.to_owned(), arguments: Some(evil.to_owned()), ..ToolCall::default() }];
        row.tool_executions =
            vec![ToolExecution { name: evil.to_owned(), result: Some(evil.to_owned()), ..ToolExecution::default() }];
        let note = Event { event_type: evil.to_owned(), name: evil.to_owned(), ..row.clone() };
        let lines = lines(&[row, note], PLAIN);
        assert!(lines.iter().all(|line| !line.contains(['\u{1b}', '\u{9b}', '\u{202e}'])), "{lines:?}");
    }
}
