//! A row while dialects fill it. Every group is filled once, by the first dialect that has something for it.

mod told;

pub(super) use told::messages_json;

use super::attributes::Attributes;
use super::json::Node;
use super::messages;
use super::messages::Definitions;
use super::messages::Told;
use super::messages::direct;
use super::notes::Notes;
use super::source::Happening;
use super::source::Source;
use super::usage::Counts;
use super::value;
use crate::event;
use crate::event::Agent;
use crate::event::Entry;
use crate::event::Event;
use crate::event::Graph;
use crate::event::Message;
use crate::event::Model;
use crate::event::Part;
use crate::event::Partial;
use crate::event::Relation;
use crate::event::Timing;
use crate::event::Tokens;
use crate::event::ToolExecution;
use crate::event::User;
use crate::event::event_type;
use crate::event::json;
use opentelemetry_proto::tonic::common::v1::AnyValue;
use told::calls_tools;
use told::events_json;
use told::names_of_told;

/// What is known of one record so far.
#[derive(Default)]
pub(super) struct Draft {
    pub row: Box<Event>,
    pub relation: Relation,
    /// Of a log record that tells a part of its span's call.
    pub part: Option<Part>,
    /// Free data of the user, key by key.
    pub metadata: Vec<(String, String)>,
    /// Tells the request parameters that nobody set, where a producer writes such.
    pub unset: Option<fn(&str, &AnyValue) -> bool>,
    /// Where a library tells one operation by a span and by a log record: what both say, and of no other operation.
    pub shared: Option<String>,
    /// Whether its links point to what it judges.
    pub judges_links: bool,
    kind: Option<&'static str>,
    input: Option<Vec<Message>>,
    output: Option<Vec<Message>>,
    choices: Vec<Message>,
    tools: Definitions,
    details: Vec<Entry>,
    raw_reasons: Vec<String>,
}

impl Draft {
    /// Says what kind of operation it is, if nobody has.
    pub(super) fn kind(&mut self, kind: &'static str) {
        self.kind.get_or_insert(kind);
    }

    /// What kind of operation it is, as far as is known.
    pub(super) fn is(&self, kind: &str) -> bool {
        self.kind == Some(kind)
    }

    pub(super) fn has_kind(&self) -> bool {
        self.kind.is_some()
    }

    /// Whether it is a line of a log, or nothing that any dialect knows.
    pub(super) fn is_line(&self) -> bool {
        self.kind.is_none_or(|kind| kind == event_type::LOG_LINE)
    }

    pub(super) fn model(&mut self) -> &mut Model {
        self.row.model.get_or_insert_default()
    }

    pub(super) fn graph(&mut self) -> &mut Graph {
        self.row.graph.get_or_insert_default()
    }

    pub(super) fn agent(&mut self) -> &mut Agent {
        self.row.agent.get_or_insert_default()
    }

    pub(super) fn user(&mut self) -> &mut User {
        self.row.user.get_or_insert_default()
    }

    fn timing(&mut self) -> &mut Timing {
        self.row.timing.get_or_insert_default()
    }

    fn tokens(&mut self) -> &mut Tokens {
        self.row.tokens.get_or_insert_default()
    }

    pub(super) fn has_input(&self) -> bool {
        self.input.is_some()
    }

    pub(super) fn has_output(&self) -> bool {
        self.output.is_some()
    }

    /// The input so far: a dialect may add what stands in another attribute.
    pub(super) fn input_mut(&mut self) -> Option<&mut Vec<Message>> {
        self.input.as_mut()
    }

    /// The answer so far.
    pub(super) fn output_mut(&mut self) -> Option<&mut Vec<Message>> {
        self.output.as_mut()
    }

    /// All messages so far, input, output and other choices.
    pub(super) fn messages_mut(&mut self) -> impl Iterator<Item = &mut Message> {
        self.input.iter_mut().chain(&mut self.output).flatten().chain(&mut self.choices)
    }

    /// Says that it is no operation of its own, whatever other dialects may see in it.
    pub(super) fn noise(&mut self) {
        self.kind = Some("");
    }

    /// Takes messages as the input. False where it has one or nothing was said.
    pub(super) fn input(&mut self, told: Told, notes: &Notes, key: &str) -> bool {
        if self.input.is_some() {
            return false;
        }
        self.observe(&told, notes, key);
        let mut told = told;
        self.tools(std::mem::take(&mut told.tools));
        if told.is_empty() {
            return false;
        }
        self.input = Some(told.into_history());
        true
    }

    /// Takes messages as the output. False where it has one or nothing was said.
    pub(super) fn output(&mut self, told: Told, notes: &Notes, key: &str) -> bool {
        if self.output.is_some() {
            return false;
        }
        self.observe(&told, notes, key);
        if told.is_empty() {
            return false;
        }
        let reasons: Vec<String> = told.said.iter().filter_map(|said| said.reason.clone()).collect();
        if self.is(event_type::AGENT_INVOCATION) || self.is(event_type::GRAPH_STEP) {
            self.output = Some(told.into_history());
        } else {
            let (first, others) = told.into_answers();
            self.output = Some(first);
            self.choices = others;
        }
        self.reasons(reasons);
        true
    }

    fn observe(&self, told: &Told, notes: &Notes, key: &str) {
        if told.withheld {
            notes.add(|| format!("content withheld in {key}"));
        }
    }

    /// Reads an attribute as the input; marks it where all it says is told.
    pub(super) fn input_from(&mut self, attributes: &Attributes<'_>, notes: &Notes, key: &str) {
        if self.input.is_some() {
            return;
        }
        let Some((told, whole)) = said(attributes, notes, key, "user") else { return };
        if self.input(told, notes, key) && whole {
            attributes.mark(key);
        }
    }

    /// Reads an attribute as the output; marks it where all it says is told.
    pub(super) fn output_from(&mut self, attributes: &Attributes<'_>, notes: &Notes, key: &str) {
        if self.output.is_some() {
            return;
        }
        let Some((told, whole)) = said(attributes, notes, key, "assistant") else { return };
        if self.output(told, notes, key) && whole {
            attributes.mark(key);
        }
    }

    /// Reads an attribute as system instructions. Where a system message of the input says the same, that stays alone.
    pub(super) fn system_from(&mut self, attributes: &Attributes<'_>, notes: &Notes, key: &str) {
        // Some write a plain text as JSON, too.
        let quoted = attributes.peek(key).filter(|text| text.starts_with('"')).and_then(super::json::unquoted);
        let told = match (attributes.peek(key).and_then(direct::instructions), quoted) {
            (Some(direct), _) => Some((direct, true)),
            (None, Some(text)) => Some((messages::read_message(&Node::String(text.into()), "system"), true)),
            (None, None) => said(attributes, notes, key, "system"),
        };
        let Some((told, whole)) = told else { return };
        let whole = whole && !told.lossy;
        self.observe(&told, notes, key);
        let system = told.into_history();
        if system.is_empty() {
            return;
        }
        let input = self.input.get_or_insert_default();
        if input.iter().any(|message| message.role == "system") {
            let known = |message: &Message| {
                input.iter().any(|other| other.role == "system" && other.content == message.content)
            };
            let all_known = system.iter().all(known);
            if all_known || system.iter().any(|message| is_retold(message, input)) {
                if whole && all_known {
                    attributes.mark(key);
                }
                return;
            }
        }
        input.splice(0..0, system);
        if whole {
            attributes.mark(key);
        }
    }

    /// Takes tool definitions that were found. Does nothing where there are some.
    pub(super) fn tools(&mut self, tools: Definitions) {
        if self.tools.is_empty() {
            self.tools = tools;
        }
    }

    pub(super) fn has_tools(&self) -> bool {
        !self.tools.is_empty()
    }

    /// Reads an attribute as tool definitions; marks it where all are taken.
    pub(super) fn tools_from(&mut self, attributes: &Attributes<'_>, notes: &Notes, key: &str) {
        if !self.tools.is_empty() {
            return;
        }
        if let Some(tools) = attributes.peek(key).and_then(direct::definitions) {
            attributes.mark(key);
            self.tools = tools;
            return;
        }
        let Some(doc) = attributes.json(key, notes) else { return };
        let mut tools = Definitions::default();
        if tools.read(&doc.node) && doc.whole {
            attributes.mark(key);
        }
        self.tools = tools;
    }

    /// Takes finish reasons as they were written; those already known stay.
    pub(super) fn reasons<S: AsRef<str>>(&mut self, raw: impl IntoIterator<Item = S>) {
        if self.row.model.as_ref().is_some_and(|model| !model.finish_reasons.is_empty()) {
            return;
        }
        for reason in raw {
            let reason = reason.as_ref();
            let Some(word) = value::finish_reason(reason) else { continue };
            if word != reason {
                self.raw_reasons.push(reason.to_owned());
            }
            let word = word.into_owned();
            self.model().finish_reasons.push(word);
        }
    }

    /// Reads an attribute as finish reasons; the words as they were written are kept where they differ.
    pub(super) fn reasons_from(&mut self, attributes: &Attributes<'_>, key: &str) {
        if self.row.model.as_ref().is_some_and(|model| !model.finish_reasons.is_empty()) {
            return;
        }
        // A structured value is no word, and stays where it stands.
        let words: Vec<_> = attributes.words(key).into_iter().filter(|word| !word.starts_with('{')).collect();
        let all_known = !words.is_empty() && words.iter().all(|word| value::finish_reason(word).is_some());
        if all_known && !attributes.is_joined(key) {
            attributes.mark(key);
        }
        self.reasons(words);
    }

    /// Takes the counts, if there are none.
    pub(super) fn usage(&mut self, attributes: &Attributes<'_>, counts: impl FnOnce() -> Counts) {
        let known = self.row.tokens.as_ref().is_some_and(|tokens| {
            tokens.prompt_tokens.is_some() || tokens.completion_tokens.is_some() || tokens.total_tokens.is_some()
        });
        if known {
            return;
        }
        let Some(settled) = counts().settle(attributes) else { return };
        let tokens = self.tokens();
        let (cost_usd, cost_source) = (tokens.cost_usd.take(), tokens.cost_source.take());
        *tokens = Tokens { cost_usd, cost_source, ..settled };
    }

    /// Takes a stated cost in USD. Zero means that the price was not known.
    pub(super) fn cost(&mut self, usd: f64, source: &str) -> bool {
        if !(usd.is_finite() && usd > 0.0) || self.row.tokens.as_ref().is_some_and(|tokens| tokens.cost_usd.is_some()) {
            return false;
        }
        let tokens = self.tokens();
        tokens.cost_usd = Some(usd);
        tokens.cost_source = Some(source.to_owned());
        true
    }

    pub(super) fn has_cost(&self) -> bool {
        self.row.tokens.as_ref().is_some_and(|tokens| tokens.cost_usd.is_some())
    }

    /// Takes a time to the first token. One that is negative or longer than the operation is no measurement.
    pub(super) fn first_token(&mut self, source: &Source<'_>, millis: f64, carrier: &str) -> bool {
        if self.row.timing.as_ref().is_some_and(|timing| timing.time_to_first_token_ms.is_some()) {
            return false;
        }
        let length = value::millis_between(source.start_ns, source.end_ns);
        let fits = millis.is_finite()
            && millis >= 0.0
            && (source.is_log || length.is_some_and(|length| millis <= length + 1.0));
        if !fits {
            source.notes.add(|| format!("time to first token does not fit the span: {carrier}"));
            return false;
        }
        let timing = self.timing();
        timing.time_to_first_token_ms = Some(millis);
        timing.ttft_source = Some(carrier.to_owned());
        true
    }

    /// The time of an event as that of the first token.
    pub(super) fn first_token_event(&mut self, source: &Source<'_>, event: &Happening<'_>) {
        let taken = value::millis_between(source.start_ns, event.time_ns)
            .is_some_and(|millis| self.first_token(source, millis, event.name));
        if taken {
            event.used.set(true);
        }
    }

    /// Takes the one execution that a tool's span tells.
    pub(super) fn tool(&mut self, tool: impl FnOnce() -> ToolExecution) {
        if self.row.tool_executions.is_empty() {
            self.row.tool_executions.push(tool());
        }
    }

    /// Adds to the details, unless the key is taken. `json` is a valid JSON text.
    pub(super) fn detail(&mut self, key: &str, json: String) -> bool {
        if self.details.iter().any(|entry| entry.key == key) {
            return false;
        }
        self.details.push(Entry { key: key.to_owned(), json });
        true
    }

    /// Adds an object to the details, unless it is empty or the key is taken.
    pub(super) fn detail_object<K: AsRef<str>>(&mut self, key: &str, entries: &[(K, String)]) -> bool {
        !entries.is_empty()
            && self.detail(key, json::object(entries.iter().map(|(name, json)| (name.as_ref(), json.as_str()))))
    }

    /// Moves an attribute into the details as it is.
    pub(super) fn detail_from(&mut self, attributes: &Attributes<'_>, key: &str, name: &str) -> bool {
        if self.details.iter().any(|entry| entry.key == name) {
            return false;
        }
        match attributes.raw_json(key) {
            Some(json) => self.detail(name, json),
            None => false,
        }
    }

    /// What the dialects told as a partial; what stands in no column goes to details and attributes.
    pub(super) fn finish(mut self, source: Source<'_>) -> Partial {
        let mut row = self.row;
        row.event_type = self.kind.unwrap_or_default().to_owned();
        if self.kind.is_some_and(|kind| kind == event_type::GRAPH_STEP) && self.relation != Relation::StepOfCall {
            for (key, side) in [("input", self.input.take()), ("output", self.output.take())] {
                if let Some(side) = side
                    && !self.details.iter().any(|entry| entry.key == key)
                {
                    self.details.push(Entry { key: key.to_owned(), json: messages_json(&side) });
                }
            }
        }
        let told = self.input.is_some() || self.output.is_some();
        let input = self.input.unwrap_or_default();
        if told && self.part.is_none_or(|part| part.half() == event::Half::Whole) {
            row.input_message_count = i32::try_from(input.len()).ok();
        }
        row.messages = input;
        let mut output = self.output.unwrap_or_default();
        let responses = row.model.as_ref().and_then(|model| model.response_id.as_deref());
        if responses.is_some_and(|id| id.starts_with("resp_")) && output.len() == 1 {
            // The Responses API gives one answer, in several items: some tell each as if it were a choice.
            messages::as_one(&mut output, std::mem::take(&mut self.choices));
        }
        calls_tools(&mut row, &mut output, &mut self.choices, &mut self.raw_reasons);
        row.messages.extend(output);
        row.tools = self.tools.json();
        if !self.choices.is_empty() {
            self.details.push(Entry { key: "choices".to_owned(), json: messages_json(&self.choices) });
        }
        if !self.raw_reasons.is_empty() {
            let list = Node::array(self.raw_reasons.iter().map(|raw| Node::String(raw.as_str().into())).collect());
            self.details.push(Entry { key: "finish_reasons_raw".to_owned(), json: list.json() });
        }
        if row.metadata.is_none() && !self.metadata.is_empty() {
            row.metadata = Some(json::object(self.metadata.iter().map(|(key, json)| (key.as_str(), json.as_str()))));
        }
        if let Some(body) = source.body.filter(|_| !source.body_used.get()) {
            self.details.push(Entry { key: "body".to_owned(), json: super::json::any_json(body) });
        }
        if let Some(names) = names_of_told(&source, &row) {
            self.details.push(Entry { key: "event_names".to_owned(), json: names });
        }
        if let Some(events) = events_json(&source) {
            self.details.push(Entry { key: "events".to_owned(), json: events });
        }
        let attributes = source.attributes.left().into_iter().map(|(key, json)| Entry { key, json }).collect();
        row.notes = source.notes.into_list();
        Partial {
            row: Some(row),
            relation: self.relation.into(),
            details: self.details,
            attributes,
            part: self.part,
            waits_for: self.shared,
            ..Partial::default()
        }
    }
}

/// What an attribute tells of messages, and whether that is all that it says.
fn said(attributes: &Attributes<'_>, notes: &Notes, key: &str, role: &'static str) -> Option<(Told, bool)> {
    if let Some(told) = attributes.peek(key).and_then(direct::messages) {
        let whole = !told.lossy;
        return Some((told, whole));
    }
    let doc = attributes.json(key, notes)?;
    let told = messages::read(&doc.node, role);
    let whole = doc.whole && !told.lossy;
    Some((told, whole))
}

/// Whether a system message of the input says what the instructions say, or a part of it.
fn is_retold(instructions: &Message, input: &[Message]) -> bool {
    let squeezed =
        |message: &Message| message.content.iter().flat_map(|text| text.split_whitespace()).collect::<String>();
    let said = squeezed(instructions);
    let told = input.iter().filter(|message| message.role == "system").map(squeezed);
    said.is_empty() || told.into_iter().any(|told| told.is_empty() || told.contains(&said) || said.contains(&told))
}
