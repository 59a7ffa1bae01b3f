//! Whose operation a record tells of: conversation, user, agent, graph and run, from every place that carries them.

use super::draft::Draft;
use super::json::Node;
use super::json::any_json;
use super::json::any_node;
use super::json::any_text;
use super::source::Source;
use super::value;
use std::borrow::Cow;

/// Prefixes under which producers put the user's own metadata key by key, and whether they encode each value as JSON.
const CARRIERS: [(&str, bool); 13] = [
    ("traceloop.association.properties.", false),
    ("langsmith.metadata.", true),
    ("langfuse.observation.metadata.", true),
    ("langfuse.trace.metadata.", true),
    ("ai.telemetry.metadata.", false),
    ("ai.settings.context.", false),
    ("lmnr.association.properties.", false),
    ("lmnr.metadata.", true),
    ("mastra.metadata.", true),
    ("litellm.metadata.", false),
    ("mlflow.traceTag.", true),
    ("trace.metadata.", false),
    ("metadata.", false),
];

/// Attributes that hold a whole object of metadata.
const OBJECTS: [&str; 4] =
    ["metadata", "langfuse.trace.metadata", "langfuse.observation.metadata", "braintrust.metadata"];

/// One entry of metadata.
struct Entry<'a> {
    carrier: &'static str,
    key: Cow<'a, str>,
    value: Node<'a>,
}

/// Metadata of one record, from all carriers, in the order of [`CARRIERS`].
#[derive(Default)]
struct Metadata<'a> {
    entries: Vec<Entry<'a>>,
}

impl<'a> Metadata<'a> {
    fn get(&self, key: &str) -> Option<&Entry<'a>> {
        self.entries.iter().find(|entry| entry.key == key && !entry.value.is_empty())
    }

    /// The text or number of the first of these keys.
    fn text(&self, keys: &[&str]) -> Option<(String, String)> {
        keys.iter().find_map(|key| {
            let entry = self.get(key)?;
            let text = entry.value.scalar_text()?;
            Some((
                text.to_owned(),
                if entry.carrier.ends_with('.') {
                    format!("{}{}", entry.carrier, entry.key)
                } else {
                    format!("{}/{}", entry.carrier, entry.key)
                },
            ))
        })
    }
}

/// Fills conversation, user, agent, graph, run, tags and metadata, where no dialect has.
pub(super) fn read(source: &Source<'_>, draft: &mut Draft) {
    let metadata = metadata(source, draft);
    conversation(source, draft, &metadata);
    user(source, draft, &metadata);
    agent(source, draft, &metadata);
    graph(source, draft, &metadata);
    run(source, draft);
    tags(source, draft);
    model(draft, &metadata);
    environment(source, draft);
}

fn metadata<'a>(source: &Source<'a>, draft: &mut Draft) -> Metadata<'a> {
    let mut metadata = Metadata::default();
    for (place, entry) in source.attributes.list().iter().enumerate() {
        let key = entry.key.as_str();
        if !matches!(key.as_bytes().first(), Some(b't' | b'l' | b'a' | b'm')) {
            continue;
        }
        let Some((carrier, encoded)) =
            CARRIERS.iter().find(|(prefix, _)| key.len() > prefix.len() && key.starts_with(prefix))
        else {
            continue;
        };
        let (Some(name), Some(any)) = (key.get(carrier.len()..), entry.value.as_ref()) else { continue };
        let value = match any_text(any) {
            Some(text) => decoded(text, *encoded),
            None => any_node(any),
        };
        // What was not set is written as an empty text: no metadata, and left where it stands.
        if matches!(value, Node::Null) || value.as_str() == Some("") {
            continue;
        }
        draft.metadata.push((name.to_owned(), if *encoded { value.json() } else { any_json(any) }));
        source.attributes.mark_place(place);
        metadata.entries.push(Entry { carrier, key: Cow::Borrowed(name), value });
    }
    dedupe(&mut draft.metadata);
    for key in OBJECTS {
        let Some(doc) = source.json(key) else { continue };
        if !doc.node.is_object() {
            continue;
        }
        if draft.row.metadata.is_none() && draft.metadata.is_empty() && doc.whole {
            draft.row.metadata = Some(doc.node.json());
            source.attributes.mark(key);
        }
        if let Node::Object(object) = doc.node {
            metadata.entries.extend(object.entries.into_iter().map(|(name, value)| Entry {
                carrier: key,
                key: Cow::Owned(format!("{name}")),
                value,
            }));
        }
    }
    metadata
}

/// One entry for each key: the first carrier's.
fn dedupe(entries: &mut Vec<(String, String)>) {
    let mut place = 0;
    while place < entries.len() {
        let again =
            entries.get(place).is_some_and(|(key, _)| entries.iter().take(place).any(|(known, _)| known == key));
        if again {
            let (key, json) = entries.remove(place);
            let same = entries.iter().any(|(known, value)| *known == key && *value == json);
            if !same {
                entries.push((format!("{key}#{}", entries.len() + 1), json));
            }
        } else {
            place += 1;
        }
    }
}

/// A value of metadata: carriers that encode each value are decoded once; others only where structure shows.
fn decoded(text: &str, encoded: bool) -> Node<'_> {
    let structured = text.starts_with(['{', '[']) || encoded && text.starts_with('"');
    if structured && let Some(parsed) = super::json::parse(text).filter(|parsed| !parsed.flaws.truncated) {
        return parsed.node;
    }
    if encoded
        && let Some(parsed) = super::json::parse(text).filter(|parsed| parsed.flaws == super::json::Flaws::default())
    {
        return parsed.node;
    }
    Node::String(Cow::Borrowed(text))
}

fn conversation(source: &Source<'_>, draft: &mut Draft, metadata: &Metadata<'_>) {
    if !draft.row.conversation_id.is_empty() {
        return;
    }
    let mut found = attribute(source, &["gen_ai.conversation.id", "langfuse.session.id"]);
    // In a browser it is the visitor's session, not a conversation.
    if found.is_none() && source.scope.resource_text("telemetry.sdk.language") != Some("webjs") {
        found = attribute(source, &["session.id"]);
    }
    let found = found
        .or_else(|| {
            metadata.text(&[
                "langfuse_session_id",
                "thread_id",
                "session_id",
                "conversation_id",
                "chat_id",
                "sessionId",
                "threadId",
                "conversationId",
                "chatId",
            ])
        })
        .or_else(|| {
            attribute(
                source,
                &[
                    "gcp.vertex.agent.session_id",
                    "spring.ai.chat.client.conversation.id",
                    "copilot_chat.chat_session_id",
                    "conversation.id",
                    "gen_ai.thread.id",
                    "gen_ai.session.id",
                    "genkit:sessionId",
                    "langgraph.thread_id",
                ],
            )
        })
        .or_else(|| quoted(source, "mlflow.trace.session"))
        .or_else(|| {
            let entry = metadata.get("requester_metadata")?;
            let (id, rule) = super::posted::requester_conversation(&entry.value)?;
            Some((id.to_owned(), format!("metadata.requester_metadata{rule}")))
        })
        .or_else(|| {
            let entry = metadata.get("requester_custom_headers")?;
            let id = entry.value.first_text(&["x-correlation-id", "correlation-id"])?;
            Some((id.to_owned(), "metadata.requester_custom_headers".to_owned()))
        })
        .or_else(|| attribute(source, &["mcp.session.id"]));
    if let Some((id, carrier)) = found {
        draft.row.conversation_id = id;
        draft.row.conversation_id_source = carrier;
    }
}

fn attribute(source: &Source<'_>, keys: &[&str]) -> Option<(String, String)> {
    keys.iter().find_map(|key| source.attributes.id(key).map(|id| (id.into_owned(), (*key).to_owned())))
}

/// A text that its producer wrote as JSON.
fn quoted(source: &Source<'_>, key: &str) -> Option<(String, String)> {
    let text = source.peek(key)?;
    let bare = match decoded(text, true) {
        Node::String(inner) => inner.into_owned(),
        _ => text.to_owned(),
    };
    source.attributes.mark(key);
    Some((bare, key.to_owned()))
}

fn user(source: &Source<'_>, draft: &mut Draft, metadata: &Metadata<'_>) {
    let known = draft.row.user.as_ref().is_some_and(|user| user.id.is_some());
    if !known {
        let id = attribute(source, &["user.id", "enduser.id", "langfuse.user.id"])
            .or_else(|| metadata.text(&["user_id", "langfuse_user_id", "userId"]))
            .or_else(|| attribute(source, &["llm.user", "gen_ai.user", "gen_ai.request.user", "litellm.end_user.id"]))
            .or_else(|| metadata.text(&["user_api_key_end_user_id"]))
            .or_else(|| attribute(source, &["gen_ai.user.id", "user.account_id", "user.account_uuid"]));
        match id {
            // What opencode writes where it knows none.
            Some((id, key)) if id == "unknown" => source.attributes.unmark(&key),
            Some((id, _)) => draft.user().id = Some(id),
            None => {}
        }
    }
    if let Some(email) = source.text("user.email") {
        draft.user().email.get_or_insert_with(|| email.to_owned());
    }
    if let Some((_, name)) = source.attributes.first_text(&["user.name", "user.username"]) {
        draft.user().username.get_or_insert_with(|| name.to_owned());
    }
    if let Some((org, _)) = attribute(source, &["organization.id", "user.organization"]) {
        draft.user().org.get_or_insert(org);
    }
    if source.has("user.roles") {
        let roles = source.attributes.words("user.roles");
        source.attributes.mark("user.roles");
        draft.user().roles.extend(roles.into_iter().map(Cow::into_owned));
    }
}

fn agent(source: &Source<'_>, draft: &mut Draft, metadata: &Metadata<'_>) {
    let known = draft.row.agent.as_ref().is_some_and(|agent| agent.name.is_some());
    if !known {
        let name = attribute(source, if is_copied(source, draft) { &[][..] } else { &["gen_ai.agent.name"][..] })
            .or_else(|| attribute(source, &["agent.name", "agent_name"]))
            .or_else(|| metadata.text(&["lc_agent_name"]));
        if let Some((name, _)) = name {
            draft.agent().name = Some(name);
        }
    }
    if let Some((id, _)) = attribute(source, &["gen_ai.agent.id", "agent_id"]) {
        draft.agent().id.get_or_insert(id);
    }
    if let Some(description) = source.text("gen_ai.agent.description") {
        draft.agent().description.get_or_insert_with(|| description.to_owned());
    }
}

/// The Collector's normaliser names an agent after any decorated function: what is another kind's name is no agent's.
fn is_copied(source: &Source<'_>, draft: &Draft) -> bool {
    let name = source.peek("gen_ai.agent.name");
    let entity = source.peek("traceloop.entity.name");
    let other = source.peek("traceloop.span.kind").is_some_and(|kind| kind != "agent");
    let tool = draft.row.tool_executions.first().map(|tool| tool.name.as_str());
    name.is_some() && (entity == name && other || tool == name)
}

fn graph(source: &Source<'_>, draft: &mut Draft, metadata: &Metadata<'_>) {
    let known = draft.row.graph.take().unwrap_or_default();
    let mut graph = known;
    if graph.graph_id.is_none() {
        graph.graph_id =
            attribute(source, &["gen_ai.workflow.name", "traceloop.workflow.name", "workflow.name", "workflow.id"])
                .or_else(|| langgraph_root(source, metadata))
                .map(|(id, _)| id);
    }
    if graph.node_path.is_none() {
        graph.node_path = metadata
            .get("langgraph_checkpoint_ns")
            .or_else(|| metadata.get("checkpoint_ns"))
            .and_then(|entry| entry.value.as_str())
            .and_then(path_of_namespace)
            .filter(|_| metadata.get("langgraph_node").is_some())
            .or_else(|| metadata.text(&["langgraph_node"]).map(|(node, _)| node))
            .or_else(|| langgraph_node(source))
            .or_else(|| {
                attribute(source, &["graph.node.name", "graph.node.id", "gen_ai.task.name", "flow.node.name"])
                    .map(|(node, _)| node)
            });
    }
    if graph.step_index.is_none() {
        let told = metadata.get("langgraph_step").and_then(|entry| entry.value.as_count());
        graph.step_index = told.or_else(|| Some(source.attributes.count("langgraph.step", &source.notes)?.value));
    }
    if graph.thread_id.is_none() {
        let told = metadata.text(&["thread_id"]).or_else(|| attribute(source, &["langgraph.thread_id"]));
        graph.thread_id = told.map(|(thread, _)| thread);
    }
    if graph.triggers.is_empty()
        && let Some(entry) = metadata.get("langgraph_triggers")
    {
        graph.triggers = match &entry.value {
            Node::Array(list) => list.items.iter().filter(|item| !item.is_empty()).map(Node::plain).collect(),
            other => vec![other.plain()],
        };
    }
    if graph != crate::event::Graph::default() {
        draft.row.graph = Some(graph);
    }
}

/// LangGraph's node where its metadata stands in attributes of its own. Its start is no place in the graph.
fn langgraph_node(source: &Source<'_>) -> Option<String> {
    let key = ["langgraph.node", "langgraph.node.name"].into_iter().find(|key| source.peek(key).is_some())?;
    let node = source.peek(key).filter(|node| !matches!(*node, "__start__" | "__end__"))?;
    source.attributes.mark(key);
    let path = source.peek("langgraph.checkpoint_ns").and_then(path_of_namespace);
    Some(path.filter(|path| path.rsplit('/').next() == Some(node)).unwrap_or_else(|| node.to_owned()))
}

/// The graph's own span says that it is LangGraph's and names no node.
fn langgraph_root(source: &Source<'_>, metadata: &Metadata<'_>) -> Option<(String, String)> {
    let langgraph = metadata.get("ls_integration").is_some_and(|entry| entry.value.as_str() == Some("langgraph"));
    let inside = metadata.get("langgraph_node").is_some();
    (langgraph && !inside && !source.is_log && !source.name.is_empty())
        .then(|| (source.name.to_owned(), "name".to_owned()))
}

/// `outer:uuid|inner:uuid` as `outer/inner`.
fn path_of_namespace(namespace: &str) -> Option<String> {
    let mut path = String::new();
    for node in namespace.split('|') {
        let name = node.split(':').next().filter(|name| !name.is_empty())?;
        if !path.is_empty() {
            path.push('/');
        }
        path.push_str(name);
    }
    (!path.is_empty()).then_some(path)
}

fn run(source: &Source<'_>, draft: &mut Draft) {
    if draft.row.run_id.is_none() {
        draft.row.run_id = attribute(
            source,
            &[
                "gcp.vertex.agent.invocation_id",
                "gen_ai.agent.call.id",
                "langsmith.trace.id",
                "agno.run.id",
                "crewai.execution_uuid",
                "prompt.id",
                "gen_ai.thread.run.id",
            ],
        )
        .or_else(|| quoted(source, "mlflow.traceRequestId"))
        .map(|(id, _)| id);
    }
}

fn tags(source: &Source<'_>, draft: &mut Draft) {
    for key in ["tag.tags", "langfuse.trace.tags", "langsmith.span.tags", "mastra.tags"] {
        if !source.has(key) {
            continue;
        }
        let words = source.attributes.words(key);
        if let Some(step) =
            words.iter().find_map(|word| word.strip_prefix("graph:step:").or_else(|| word.strip_prefix("seq:step:")))
            && let Some(step) = value::count(step)
        {
            draft.graph().step_index.get_or_insert(step);
        }
        for word in words {
            draft.row.tags.entry(word.into_owned()).or_default();
        }
        if !source.attributes.is_joined(key) {
            source.attributes.mark(key);
        }
    }
}

/// LangChain says in its metadata which model it asks of whom.
fn model(draft: &mut Draft, metadata: &Metadata<'_>) {
    let of_model = draft.is(crate::event::event_type::CHAT_COMPLETION) || draft.is(crate::event::event_type::EMBEDDING);
    if metadata.entries.is_empty() || !of_model {
        return;
    }
    let model = draft.model();
    if model.provider.is_none() {
        model.provider =
            metadata.text(&["ls_provider"]).and_then(|(raw, _)| value::provider(&raw).map(Cow::into_owned));
    }
    if model.request.is_none() {
        model.request = metadata.text(&["ls_model_name"]).map(|(name, _)| name);
    }
}

fn environment(source: &Source<'_>, draft: &mut Draft) {
    if let Some((_, env)) =
        source.attributes.first_text(&["deployment.environment.name", "deployment.environment", "langfuse.environment"])
    {
        draft.row.env.get_or_insert_with(|| env.to_owned());
    }
}
