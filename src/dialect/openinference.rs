//! OpenInference (Arize): structure in the keys, `openinference.span.kind` says what a span is.
//!
//! Source: `openinference-semantic-conventions` 0.1.42 and the packages named in its behaviour below.

mod documents;
mod tool;

use super::Dialect;
use super::answer;
use super::answer::Answer;
use super::draft::Draft;
use super::indexed;
use super::json::Node;
use super::messages;
use super::messages::Definitions;
use super::messages::Told;
use super::probe;
use super::sides;
use super::source::Source;
use super::usage::Counts;
use super::value;
use super::vercel;
use crate::event::Feedback;
use crate::event::Relation;
use crate::event::event_type;
use documents::documents;
use documents::embedding;
use tool::tool;

pub(super) const DIALECT: Dialect = Dialect {
    name: "openinference",
    scopes: &["openinference.instrumentation", "@arizeai/openinference"],
    keys: &["openinference.span.kind"],
    read,
    ..Dialect::NONE
};

/// Whether its keys on a record of this scope are a translation: its processors add them to the spans of libraries that
/// speak a vocabulary of their own, and lose some of what those say on the way.
pub(super) fn is_translation(source: &Source<'_>, of_scope: probe::Set) -> bool {
    let scope = source.scope.name;
    (of_scope != probe::Set::default() || scope == vercel::SCOPE)
        && !DIALECT.scopes.iter().any(|own| scope.starts_with(own))
}

fn read(source: &Source<'_>, draft: &mut Draft) {
    if source.is_log {
        return;
    }
    kind(source, draft);
    if draft.is(event_type::CHAT_COMPLETION) {
        call(source, draft);
    } else if draft.is(event_type::TOOL_EXECUTION) {
        tool(source, draft);
    } else if draft.is(event_type::EMBEDDING) {
        embedding(source, draft);
    } else if draft.is(event_type::RETRIEVAL) || draft.is(event_type::RERANK) {
        documents(source, draft);
    } else if draft.is(event_type::AGENT_INVOCATION) {
        agent(source, draft);
    } else {
        sides(source, draft);
    }
    judgements(source, draft);
    template(source, draft);
}

fn kind(source: &Source<'_>, draft: &mut Draft) {
    let Some(word) = source.text("openinference.span.kind") else { return };
    let kind = match word {
        // LlamaIndex calls each method of a model's class so: a private one prepares a call.
        "LLM" if is_preparation(source) => event_type::GRAPH_STEP,
        "LLM" => event_type::CHAT_COMPLETION,
        "TOOL" => event_type::TOOL_EXECUTION,
        "EMBEDDING" => event_type::EMBEDDING,
        "RETRIEVER" => event_type::RETRIEVAL,
        "RERANKER" => event_type::RERANK,
        "GUARDRAIL" => event_type::GUARDRAIL,
        "EVALUATOR" => event_type::EVALUATION,
        // A graph's node is called an agent because its name holds the word.
        "AGENT" if !is_graph_node(source) => event_type::AGENT_INVOCATION,
        _ => event_type::GRAPH_STEP,
    };
    draft.kind(kind);
    // And what the public one calls to do its work.
    if is_private(source) && matches!(kind, event_type::EMBEDDING | event_type::RETRIEVAL) {
        draft.relation = Relation::PartOfParent;
    }
}

/// Whether a span is named for a class and a method that only the class itself calls.
fn is_private(source: &Source<'_>) -> bool {
    source.name.rsplit_once('.').is_some_and(|(_, method)| method.starts_with('_'))
}

fn is_preparation(source: &Source<'_>) -> bool {
    let told = ["llm.input_messages.", "llm.output_messages.", "llm.token_count."];
    is_private(source)
        && !source.attributes.list().iter().any(|entry| told.iter().any(|prefix| entry.key.starts_with(prefix)))
}

fn is_graph_node(source: &Source<'_>) -> bool {
    source.peek("metadata").is_some_and(|text| text.contains("\"langgraph_node\""))
        && source.json("metadata").is_some_and(|doc| doc.node.text("langgraph_node") == Some(source.name))
}

/// One call of a model.
fn call(source: &Source<'_>, draft: &mut Draft) {
    let given = source.json("llm.invocation_parameters");
    let output = source.json("output.value");
    let mut answer = output.as_ref().map(|doc| Answer::of(&doc.node)).unwrap_or_default();
    // Haystack's answers.
    let replies = output.as_ref().and_then(|doc| doc.node.get("replies")).map_or(0, |replies| replies.items().len());
    tools(source, draft, given.as_ref().map(|doc| &doc.node));
    indexed::input(source, draft, "llm.input_messages.");
    let asked = given.as_ref().map_or(0, |doc| asked_choices(&doc.node));
    if answer.choices.max(asked).max(replies) > 1 {
        // JavaScript's package for OpenAI tells but the first in keys.
        let all = output.as_ref().filter(|_| answer.choices > 1).map(|doc| messages::read(&doc.node, "assistant"));
        indexed::choices(source, draft, "llm.output_messages.", all.unwrap_or_default());
    }
    indexed::output(source, draft, "llm.output_messages.");
    complete(source, draft);
    prompts(source, draft);
    if let Some(doc) = &given {
        prompt(source, &doc.node, draft);
        instructions(&doc.node, draft);
    }
    draft.reasons_from(&source.attributes, "llm.finish_reason");
    models(source, draft, given.as_ref().map(|doc| &doc.node), &mut answer);
    provider(source, draft);
    usage(source, draft, answer.counts);
    answer.fill(draft);
    cost(source, draft);
    if let Some(event) = source.event("First Token Stream Event") {
        draft.first_token_event(source, event);
    }
    stream(source, draft, given.as_ref().map(|doc| &doc.node));
    if let Some(doc) = &given
        && draft.model().parameters.is_none()
        && doc.node.is_object()
    {
        draft.model().parameters = Some(doc.node.json());
        if doc.whole {
            source.attributes.mark("llm.invocation_parameters");
        }
    }
}

/// Bedrock's models of plain text: what was asked stands among the parameters only.
fn prompt(source: &Source<'_>, given: &Node<'_>, draft: &mut Draft) {
    if let Some(text) = given.first(&["inputText", "prompt"]).filter(|text| text.as_str().is_some())
        && !draft.has_input()
    {
        draft.input(messages::read(text, "user"), &source.notes, "llm.invocation_parameters");
    }
}

/// Earlier releases tell the system prompt among the parameters only.
fn instructions(given: &Node<'_>, draft: &mut Draft) {
    let Some(system) = given.first(&["instructions", "system", "system_instruction"]) else { return };
    if let Some(input) = draft.input_mut().filter(|input| input.iter().all(|message| message.role != "system")) {
        input.splice(0..0, messages::read_system(system).into_history());
    }
}

/// How many answers were asked for: several output messages are choices then, else pieces of one answer.
fn asked_choices(given: &Node<'_>) -> usize {
    let asked = given.first(&["n", "candidate_count", "candidateCount"]).and_then(Node::as_count);
    asked.and_then(|count| usize::try_from(count).ok()).unwrap_or(0)
}

/// Some packages leave ids, reasoning and parts other than texts and images out of the keys: the request and the
/// answer, as they went over the wire, may have them.
fn complete(source: &Source<'_>, draft: &mut Draft) {
    let said =
        |key: &str, words: &[&str]| source.peek(key).is_some_and(|text| words.iter().any(|word| text.contains(word)));
    if let Some(input) = draft.input_mut()
        && (indexed::lacks_ids(input) || said("input.value", &["\"input_audio\"", "\"file\"", "\"file_data\""]))
        && let Some(doc) = source.attributes.json("input.value", &source.notes)
    {
        indexed::complete(input, &messages::read(&doc.node, "user").into_history());
    }
    // JavaScript's package for Anthropic tells one result of each message.
    if let Some(input) = draft.input_mut()
        && indexed::lacks_answers(input)
        && let Some(doc) = source.attributes.json("input.value", &source.notes)
    {
        indexed::add_answers(input, messages::read(&doc.node, "user").into_history());
    }
    // JavaScript's package for OpenAI's Agents leaves out what the assistant said before, its thoughts, and pictures.
    let words = ["\"output_text\"", "\"type\":\"reasoning\"", "\"input_image\"", "\"image_url\""];
    if source.peek("input.value").is_some_and(|text| text.starts_with('['))
        && said("input.value", &words)
        && let Some(input) = draft.input_mut()
        && let Some(doc) = source.attributes.json("input.value", &source.notes)
    {
        indexed::take_fuller(input, messages::read(&doc.node, "user").into_history());
    }
    if let Some(output) = draft.output_mut()
        && (indexed::lacks_ids(output)
            || said("output.value", &["\"reasoning_content\"", "\"reasoning\":\"", "\"summary_text\""]))
        && let Some(doc) = source.attributes.json("output.value", &source.notes)
    {
        indexed::complete(output, &messages::read(&doc.node, "assistant").into_answers().0);
    }
}

/// Texts of completions, and as the last resort the plain input and output.
fn prompts(source: &Source<'_>, draft: &mut Draft) {
    for (prefix, path, is_input) in
        [("llm.prompts.", ["prompt", "text"], true), ("llm.choices.", ["completion", "text"], false)]
    {
        let taken = if is_input { draft.has_input() } else { draft.has_output() };
        if taken {
            continue;
        }
        let Some((node, places)) = source.attributes.list_below(prefix, &source.budget, &source.notes) else {
            continue;
        };
        let mut told = Told::default();
        for (place, item) in node.items().iter().enumerate() {
            let Some(text) = item.at(&path) else { continue };
            let more = messages::read_message(text, if is_input { "user" } else { "assistant" });
            told.said.extend(more.said.into_iter().map(|said| messages::Said {
                choice: if is_input { None } else { i64::try_from(place).ok() },
                ..said
            }));
        }
        let took =
            if is_input { draft.input(told, &source.notes, prefix) } else { draft.output(told, &source.notes, prefix) };
        if took {
            for place in places {
                source.attributes.mark_place(place);
            }
        }
    }
    if !draft.has_input() && source.has("llm.prompts") {
        let words = source.attributes.words("llm.prompts");
        let texts = Node::array(words.into_iter().map(Node::String).collect());
        if draft.input(messages::read(&texts, "user"), &source.notes, "llm.prompts") {
            source.attributes.mark("llm.prompts");
        }
    }
    draft.input_from(&source.attributes, &source.notes, "input.value");
    draft.output_from(&source.attributes, &source.notes, "output.value");
}

fn tools(source: &Source<'_>, draft: &mut Draft, given: Option<&Node<'_>>) {
    if draft.has_tools() {
        return;
    }
    let mut tools = Definitions::default();
    if let Some((node, places)) = source.attributes.list_below("llm.tools.", &source.budget, &source.notes) {
        let mut all = true;
        for item in node.items() {
            all &=
                item.at(&["tool", "json_schema"]).is_some_and(|schema| tools.read(schema)) && item.entries().len() == 1;
        }
        if all {
            for place in places {
                source.attributes.mark_place(place);
            }
        }
    }
    if tools.is_empty()
        && let Some(list) = given.and_then(|given| given.get("tools"))
    {
        tools.read(list);
    }
    // Mistral's, Groq's and Bedrock's packages leave them in the request, which may be long.
    if tools.is_empty()
        && source.peek("input.value").is_some_and(|text| text.contains("\"tools\""))
        && let Some(doc) = source.attributes.json("input.value", &source.notes)
        && let Some(list) = doc.node.get("tools")
        // Haystack writes Python's text of each.
        && list.items().iter().all(Node::is_object)
    {
        tools.read(list);
    }
    draft.tools(tools);
}

/// Requested and answering model share keys here.
fn models(source: &Source<'_>, draft: &mut Draft, given: Option<&Node<'_>>, answer: &mut Answer) {
    let stated = source.peek("llm.model_name");
    let asked = given.and_then(|given| given.first_text(&["model", "model_name", "model_id", "modelId"]));
    // Bedrock's answers name no model: what stands there was asked for.
    let is_bedrock = source.peek("llm.provider").and_then(value::provider).as_deref() == Some("aws.bedrock");
    let has_answer = !is_bedrock && (draft.has_output() || source.has("output.value"));
    let (mut request, response) = answer::names(stated, asked, has_answer);
    // Google's package overwrites the name that was asked for with the answer's, which may say a version more.
    if has_answer
        && source.scope.name == "openinference.instrumentation.google_genai"
        && request.as_deref().is_some_and(|name| asked.is_none() && answer::is_versioned(name))
    {
        request = None;
    }
    let text = |key: &str| source.text(key).map(str::to_owned);
    let request = text("llm.request.model_name").or(request);
    let response = text("llm.response.model_name").or_else(|| answer.model.take()).or(response);
    if stated.is_some_and(|name| request.as_deref() == Some(name) || response.as_deref() == Some(name)) {
        source.attributes.mark("llm.model_name");
    }
    let model = draft.model();
    model.request = model.request.take().or(request);
    model.response = model.response.take().or(response);
}

fn provider(source: &Source<'_>, draft: &mut Draft) {
    if draft.model().provider.is_some() {
        return;
    }
    for key in ["llm.provider", "llm.system"] {
        let Some(raw) = source.peek(key) else { continue };
        if let Some(provider) = value::provider(raw) {
            if provider == raw {
                source.attributes.mark(key);
            }
            draft.model().provider = Some(provider.into_owned());
            return;
        }
    }
}

fn usage(source: &Source<'_>, draft: &mut Draft, told: Counts) {
    draft.usage(&source.attributes, || {
        let first = |keys: &[&str]| source.attributes.first_count(keys, &source.notes);
        let own = Counts {
            input: first(&["llm.token_count.prompt"]),
            output: first(&["llm.token_count.completion"]),
            total: first(&["llm.token_count.total"]),
            cached: first(&["llm.token_count.prompt_details.cache_read", "llm.token_count.prompt_details.cache_input"]),
            written: first(&["llm.token_count.prompt_details.cache_write"]),
            reasoning: first(&["llm.token_count.completion_details.reasoning"]),
            ..Counts::default()
        };
        own.beside(told)
    });
    let audio = [
        ("llm.token_count.prompt_details.audio", "prompt_audio_tokens"),
        ("llm.token_count.completion_details.audio", "completion_audio_tokens"),
    ];
    let entries: Vec<(&str, String)> = audio
        .iter()
        .filter_map(|(key, name)| {
            source.attributes.count(key, &source.notes).map(|found| (*name, found.value.to_string()))
        })
        .collect();
    if !entries.is_empty() {
        draft.detail("usage", crate::event::json::object(entries.iter().map(|(name, json)| (*name, json.as_str()))));
    }
}

fn cost(source: &Source<'_>, draft: &mut Draft) {
    if draft.has_cost() {
        return;
    }
    let key = "llm.cost.total";
    let Some(usd) = source.number(key) else { return };
    if !draft.cost(usd, key) {
        source.attributes.unmark(key);
        return;
    }
    let mut parts: Vec<(&str, String)> = vec![("stated", format!("{usd:?}"))];
    let mut places = Vec::new();
    for (place, name, any) in source.attributes.below("llm.cost.") {
        if name != "total" {
            parts.push((name, super::json::any_json(any)));
            places.push(place);
        }
    }
    if !places.is_empty()
        && draft.detail("cost", crate::event::json::object(parts.iter().map(|(name, json)| (*name, json.as_str()))))
    {
        for place in places {
            source.attributes.mark_place(place);
        }
    }
}

fn stream(source: &Source<'_>, draft: &mut Draft, given: Option<&Node<'_>>) {
    if draft.model().stream.is_some() {
        return;
    }
    let asked = |node: &Node<'_>| node.get("stream").and_then(Node::as_bool);
    let told = given.and_then(asked).or_else(|| {
        // The whole request may be long: it is read only where it can say so.
        let request = source.peek("input.value").filter(|text| text.contains("\"stream\""))?;
        super::json::parse(request).and_then(|parsed| asked(&parsed.node))
    });
    draft.model().stream = told;
}

/// An agent's own input and output, as messages where they are such.
fn agent(source: &Source<'_>, draft: &mut Draft) {
    indexed::input(source, draft, "llm.input_messages.");
    indexed::output(source, draft, "llm.output_messages.");
    for (key, is_input) in [("input.value", true), ("output.value", false)] {
        let Some(doc) = source.json(key) else { continue };
        let messages = doc.node.as_str().is_some() || messages::tells_messages(&doc.node);
        if !messages {
            draft.detail_from(&source.attributes, key, if is_input { "input" } else { "output" });
        } else if is_input {
            draft.input_from(&source.attributes, &source.notes, key);
        } else {
            draft.output_from(&source.attributes, &source.notes, key);
        }
    }
}

/// Input and output of a step, as they are.
fn sides(source: &Source<'_>, draft: &mut Draft) {
    if !draft.has_kind() {
        return;
    }
    sides::step(source, draft, "input.value", "output.value");
}

/// Annotations and evaluations, on the span itself or on one that links to what they judge.
fn judgements(source: &Source<'_>, draft: &mut Draft) {
    for prefix in [
        "annotations.",
        "trace.annotations.",
        "session.annotations.",
        "evaluations.",
        "trace.evaluations.",
        "session.evaluations.",
    ] {
        let Some((node, places)) = source.attributes.list_below(prefix, &source.budget, &source.notes) else {
            continue;
        };
        let list: Vec<Node<'_>> =
            node.items().iter().map(|item| item.first(&["annotation", "evaluation"]).unwrap_or(item).clone()).collect();
        if let Some(first) = list.first().filter(|_| !draft.has_kind()) {
            let human = first.text("annotator_kind") == Some("HUMAN");
            draft.kind(if human { event_type::FEEDBACK } else { event_type::EVALUATION });
            if human {
                draft.row.feedback = Some(Feedback {
                    r#type: first.text("name").map(str::to_owned),
                    value: first.first(&["score", "label"]).map(Node::json),
                    target: None,
                });
            }
        }
        draft.judges_links |= draft.is(event_type::EVALUATION) || draft.is(event_type::FEEDBACK);
        if draft.detail(
            prefix.trim_end_matches('.').trim_start_matches("trace.").trim_start_matches("session."),
            Node::array(list).json(),
        ) {
            for place in places {
                source.attributes.mark_place(place);
            }
        }
    }
}

fn template(source: &Source<'_>, draft: &mut Draft) {
    let keys = [
        ("llm.prompt_template.template", "template"),
        ("llm.prompt_template.version", "version"),
        ("llm.prompt_template.variables", "variables"),
        ("prompt.vendor", "vendor"),
        ("prompt.url", "url"),
    ];
    let entries: Vec<(&str, String)> =
        keys.iter().filter_map(|(key, name)| source.attributes.raw_json(key).map(|json| (*name, json))).collect();
    if !entries.is_empty() {
        draft.detail("prompt", crate::event::json::object(entries.iter().map(|(name, json)| (*name, json.as_str()))));
    }
}
