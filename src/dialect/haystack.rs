//! Haystack's own tracing: pipelines, components, agents and their steps, content as JSON with `str()` as fallback.
//!
//! Nothing but a component's class and what it gave tell that it asks a model. Source: `haystack-ai` 3.4.

use super::Dialect;
use super::answer::Answer;
use super::draft::Draft;
use super::json::Node;
use super::messages;
use super::messages::Definitions;
use super::sides;
use super::source::Source;
use super::usage::Counts;
use crate::event::ToolExecution;
use crate::event::event_type;

pub(super) const DIALECT: Dialect = Dialect {
    name: "haystack",
    keys: &["haystack."],
    probe: Some(|source| source.name.starts_with("haystack.")),
    read,
    ..Dialect::NONE
};

fn read(source: &Source<'_>, draft: &mut Draft) {
    if source.is_log {
        return;
    }
    match source.name {
        "haystack.agent.step.llm" => {
            draft.kind(event_type::CHAT_COMPLETION);
            call(source, draft, "haystack.agent.step.llm.input", "haystack.agent.step.llm.output");
        }
        "haystack.agent.step.tool" => tool(source, draft),
        "haystack.agent.step" => {
            draft.kind(event_type::GRAPH_STEP);
            let step = source.attributes.count("haystack.agent.step", &source.notes).map(|found| found.value);
            if draft.graph().step_index.is_none() {
                draft.graph().step_index = step;
            }
        }
        "haystack.agent.run" => agent(source, draft),
        "haystack.pipeline.run" | "haystack.async_pipeline.run" => {
            draft.kind(event_type::GRAPH_STEP);
            sides(source, draft, "haystack.pipeline.input_data", "haystack.pipeline.output_data");
            draft.detail_from(&source.attributes, "haystack.pipeline.metadata", "pipeline_metadata");
        }
        _ if source.has("haystack.component.type") => component(source, draft),
        _ => {}
    }
}

fn component(source: &Source<'_>, draft: &mut Draft) {
    let class = source.peek("haystack.component.type").unwrap_or_default();
    if let Some(name) = source.text("haystack.component.name") {
        draft.graph().node_path.get_or_insert_with(|| name.to_owned());
    }
    draft.detail_from(&source.attributes, "haystack.component.type", "component");
    let (input, output) = ("haystack.component.input", "haystack.component.output");
    // An agent is a component too; its own span tells the rest.
    if class.ends_with("Generator") {
        draft.kind(event_type::CHAT_COMPLETION);
        return call(source, draft, input, output);
    }
    let kind = if class.ends_with("Embedder") {
        event_type::EMBEDDING
    } else if class.ends_with("Retriever") || class.ends_with("WebSearch") {
        event_type::RETRIEVAL
    } else if class.ends_with("Ranker") {
        event_type::RERANK
    } else {
        event_type::GRAPH_STEP
    };
    draft.kind(kind);
    if kind == event_type::EMBEDDING
        && let Some(doc) = source.json(output)
        && let Some(meta) = doc.node.get("meta")
    {
        told_by_meta(meta, source, draft);
    }
    sides(source, draft, input, output);
}

/// One call: `{messages | prompt, tools, generation_kwargs}` in, `{replies, meta}` out.
fn call(source: &Source<'_>, draft: &mut Draft, input: &str, output: &str) {
    if let Some(doc) = source.json(input) {
        if let Some(asked) = doc.node.first(&["messages", "prompt"]) {
            let mut told = doc.node.get("system_prompt").map(messages::read_system).unwrap_or_default();
            told.said.extend(messages::read(asked, "user").said);
            draft.input(told, &source.notes, input);
        }
        tools(doc.node.get("tools"), draft);
        if let Some(given) = doc.node.get("generation_kwargs").filter(|given| !given.is_empty()) {
            draft.model().parameters.get_or_insert(given.json());
        }
    }
    let Some(doc) = source.json(output) else { return };
    let Some(replies) = doc.node.get("replies") else { return };
    const KEYS: [&str; 7] = ["role", "_role", "content", "_content", "meta", "_meta", "text"];
    let is_reply = |reply: &&Node<'_>| !reply.is_object() || reply.first(&KEYS).is_some();
    // A reply keeps what the provider said of it beside it.
    for meta in replies
        .items()
        .iter()
        .find(is_reply)
        .and_then(|reply| reply.first(&["meta", "_meta"]))
        .into_iter()
        .chain(doc.node.get("meta"))
    {
        let meta = meta.items().first().unwrap_or(meta);
        told_by_meta(meta, source, draft);
    }
    let list = replies.items().iter().filter(is_reply).enumerate().map(|(place, reply)| {
        let index = ("index".into(), Node::Number(place.to_string().into()));
        let message = if reply.is_object() {
            reply.clone()
        } else {
            Node::object(vec![("role".into(), Node::String("assistant".into())), ("content".into(), reply.clone())])
        };
        Node::object(vec![index, ("message".into(), message)])
    });
    let choices = Node::object(vec![("choices".into(), Node::array(list.collect()))]);
    draft.output(messages::read(&choices, "assistant"), &source.notes, output);
}

fn told_by_meta(meta: &Node<'_>, source: &Source<'_>, draft: &mut Draft) {
    let counts = meta.get("usage").map(Counts::of).unwrap_or_default();
    draft.usage(&source.attributes, || counts);
    Answer {
        model: meta.text("model").map(str::to_owned),
        response_id: meta.text("id").map(str::to_owned),
        reasons: meta.first_text(&["finish_reason", "stop_reason"]).map(str::to_owned).into_iter().collect(),
        ..Answer::default()
    }
    .fill(draft);
}

/// `{type: the class, data: {name, description, parameters, ...}}`, or a toolset of such.
fn tools(node: Option<&Node<'_>>, draft: &mut Draft) {
    let Some(node) = node else { return };
    let mut tools = Definitions::default();
    let lists = if node.is_array() { node.items() } else { std::slice::from_ref(node) };
    for tool in lists {
        let data = tool.get("data").unwrap_or(tool);
        let inner = data.get("tools").map(Node::items).unwrap_or_default();
        for tool in if inner.is_empty() { std::slice::from_ref(data) } else { inner } {
            let tool = tool.get("data").unwrap_or(tool);
            let entries = ["name", "description", "parameters"]
                .into_iter()
                .filter_map(|key| Some((key.into(), tool.get(key)?.clone())));
            tools.read(&Node::object(entries.collect()));
        }
    }
    draft.tools(tools);
}

fn tool(source: &Source<'_>, draft: &mut Draft) {
    draft.kind(event_type::TOOL_EXECUTION);
    let attributes = &source.attributes;
    if source.has("haystack.tool.error") {
        draft.row.status.get_or_insert_with(|| crate::event::status::ERROR.to_owned());
    }
    draft.tool(|| {
        let text = |key: &str| attributes.text(key).map(str::to_owned);
        ToolExecution {
            name: text("haystack.tool.name").unwrap_or_else(|| source.name.to_owned()),
            arguments: attributes.raw_json("haystack.agent.step.tool.input"),
            result: attributes.raw_json("haystack.agent.step.tool.output"),
            error: text("haystack.tool.error"),
            status: source.has("haystack.tool.error").then(|| crate::event::status::ERROR.to_owned()),
            ..ToolExecution::default()
        }
    });
    draft.detail_from(attributes, "haystack.tool.description", "description");
}

fn agent(source: &Source<'_>, draft: &mut Draft) {
    draft.kind(event_type::AGENT_INVOCATION);
    draft.detail_from(&source.attributes, "haystack.agent.steps_taken", "steps_taken");
    if let Some(doc) = source.json("haystack.agent.tools") {
        tools(Some(&doc.node), draft);
    }
    let mut known = 0;
    if let Some(doc) = source.json("haystack.agent.input")
        && let Some(list) = doc.node.get("messages")
    {
        let told = messages::read(list, "user");
        known = told.said.iter().filter(|said| said.message.role != "system").count();
        draft.input(told, &source.notes, "haystack.agent.input");
    }
    if let Some(doc) = source.json("haystack.agent.output")
        && let Some(list) = doc.node.get("messages")
    {
        let mut told = messages::read(list, "assistant");
        // It repeats what went in, with the system prompt before it.
        let systems = told.said.iter().take_while(|said| said.message.role == "system").count();
        told.said.drain(..(systems + known).min(told.said.len()));
        draft.output(told, &source.notes, "haystack.agent.output");
    }
}

fn sides(source: &Source<'_>, draft: &mut Draft, input: &str, output: &str) {
    sides::step(source, draft, input, output);
}
