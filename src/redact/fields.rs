//! Every text of a record and of an envelope, with what it is. The one list that says so.
//!
//! Messages are taken apart field by field, without `..`: a new field does not compile until this list knows it.

use super::json::apart;
use crate::event::Agent;
use crate::event::Dead;
use crate::event::Entry;
use crate::event::Envelope;
use crate::event::Error;
use crate::event::Event;
use crate::event::Feedback;
use crate::event::Graph;
use crate::event::Link;
use crate::event::Message;
use crate::event::Model;
use crate::event::Partial;
use crate::event::Timing;
use crate::event::Tokens;
use crate::event::ToolCall;
use crate::event::ToolExecution;
use crate::event::User;
use crate::event::WaMeta;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

/// What a text of a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field<'a> {
    /// Text, which may be JSON in itself.
    Text,
    /// Text that names something: a model, a kind, a state.
    Label,
    /// Such names, parted by `/`.
    Path,
    /// Text of ours, which may end with a quotation.
    Own,
    /// A JSON text, with its name where the record gives it one.
    Json(Option<&'a str>),
    /// The same, of definitions of tools.
    Definitions(Option<&'a str>),
    /// The value of a tag, with its name.
    Tag(&'a str),
    /// A name that the record's source chose.
    Name,
    /// What tells one person, conversation, call or message from others.
    Identity,
    /// A WhatsApp number: an identity that is written in several ways.
    Number,
}

/// What [`partial`] and [`envelope`] do with each text.
pub(super) type Act<'f> = dyn FnMut(Field<'_>, &mut String) + 'f;

/// Visits the texts of an envelope. What is bound from credentials is none of them.
pub(super) fn envelope(envelope: &mut Envelope, act: &mut Act<'_>) {
    let Envelope { tenant: _, app: _, door: _, policy: _, prefix: _, received_at: _, service, env, resource } =
        envelope;
    labels(act, [service, env]);
    json(act, resource);
}

/// Visits the texts of a record.
pub(super) fn partial(partial: &mut Partial, act: &mut Act<'_>) {
    let Partial {
        kind: _,
        row,
        start_ns: _,
        end_ns: _,
        observed_ns: _,
        flags: _,
        relation: _,
        details,
        attributes,
        links,
        part: _,
        dead,
        keep_unknown: _,
        waits_for,
        trace_state,
    } = partial;
    identities(act, [waits_for]);
    if let Some(row) = row {
        event(row, act);
    }
    entries(details, act);
    entries(attributes, act);
    for Link { trace_id, span_id, attributes, is_target: _ } in links {
        trace(act, trace_id);
        trace(act, span_id);
        json(act, attributes);
    }
    if let Some(Dead { reason, text }) = dead {
        act(Field::Own, reason);
        act(Field::Text, text);
    }
    texts(act, [trace_state]);
}

fn event(event: &mut Event, act: &mut Act<'_>) {
    let Event {
        event_id,
        event_type,
        source,
        dialect,
        schema_version: _,
        name,
        timestamp: _,
        ended_at: _,
        received_at: _,
        conversation_id,
        conversation_id_source,
        run_id,
        trace_id,
        span_id,
        parent_span_id,
        status,
        messages,
        input_message_count: _,
        tools,
        model,
        tool_executions,
        timing,
        tokens,
        graph,
        agent,
        user,
        wa_meta,
        feedback,
        error,
        service,
        env,
        tags,
        metadata,
        details,
        attributes,
        resource,
        redaction: _,
        notes,
    } = event;
    // Identities come first: what they become is known when other texts repeat them.
    act(Field::Identity, event_id);
    act(Field::Identity, conversation_id);
    identities(act, [run_id]);
    for id in [trace_id, span_id, parent_span_id].into_iter().flatten() {
        trace(act, id);
    }
    if let Some(User { id, email, username, org, roles }) = user {
        identities(act, [id, email, username]);
        labels(act, [org]);
        all(act, Field::Label, roles);
    }
    if let Some(WaMeta {
        direction,
        template_category,
        delivered: _,
        read: _,
        blocked_reported: _,
        message_id,
        phone_number,
    }) = wa_meta
    {
        identities(act, [message_id]);
        if let Some(number) = phone_number {
            act(Field::Number, number);
        }
        labels(act, [direction, template_category]);
    }
    if let Some(Graph { graph_id, node_path, step_index: _, thread_id, triggers }) = graph {
        identities(act, [thread_id]);
        labels(act, [graph_id]);
        node_path.iter_mut().for_each(|path| act(Field::Path, path));
        all(act, Field::Label, triggers);
    }
    if let Some(Feedback { r#type, value, target }) = feedback {
        identities(act, [target]);
        labels(act, [r#type]);
        json(act, value);
    }
    if let Some(Model { provider, request, response, response_id, operation, parameters, finish_reasons, stream: _ }) =
        model
    {
        identities(act, [response_id]);
        labels(act, [provider, request, response, operation]);
        json(act, parameters);
        all(act, Field::Label, finish_reasons);
    }
    for text in [event_type, source, dialect, name, conversation_id_source] {
        act(Field::Label, text);
    }
    labels(act, [status, service, env]);
    for one in messages {
        message(one, act);
    }
    for execution in tool_executions {
        tool_execution(execution, act);
    }
    tools.iter_mut().for_each(|json| act(Field::Definitions(None), json));
    for one in [metadata, details, attributes, resource] {
        json(act, one);
    }
    if let Some(Timing { total_latency_ms: _, time_to_first_token_ms: _, ttft_source, tool_latencies_ms }) = timing {
        labels(act, [ttft_source]);
        rename(act, tool_latencies_ms);
    }
    if let Some(Tokens {
        prompt_tokens: _,
        completion_tokens: _,
        total_tokens: _,
        cached_tokens: _,
        cache_creation_tokens: _,
        reasoning_tokens: _,
        cost_usd: _,
        cost_source,
    }) = tokens
    {
        labels(act, [cost_source]);
    }
    if let Some(Agent { id, name, description }) = agent {
        labels(act, [id, name]);
        texts(act, [description]);
    }
    if let Some(Error { r#type, message, code, stack }) = error {
        labels(act, [r#type, code]);
        texts(act, [message, stack]);
    }
    for (key, value) in tags.iter_mut() {
        act(Field::Tag(key), value);
    }
    rename(act, tags);
    all(act, Field::Own, notes);
}

fn message(message: &mut Message, act: &mut Act<'_>) {
    let Message { role, content, content_parts, reasoning, name, tool_call_id, tool_calls, finish_reason } = message;
    act(Field::Label, role);
    labels(act, [name, finish_reason]);
    texts(act, [content, reasoning]);
    json(act, content_parts);
    identities(act, [tool_call_id]);
    for ToolCall { id, r#type, name, arguments } in tool_calls {
        identities(act, [id]);
        labels(act, [r#type]);
        act(Field::Label, name);
        json(act, arguments);
    }
}

fn tool_execution(execution: &mut ToolExecution, act: &mut Act<'_>) {
    let ToolExecution { call_id, name, r#type, status, latency_ms: _, arguments, result, error, span_id } = execution;
    identities(act, [call_id]);
    act(Field::Label, name);
    labels(act, [r#type, status]);
    texts(act, [error]);
    json(act, arguments);
    json(act, result);
    if let Some(id) = span_id {
        trace(act, id);
    }
}

fn entries(entries: &mut [Entry], act: &mut Act<'_>) {
    for Entry { key, json } in entries.iter_mut() {
        act(Field::Json(Some(key)), json);
    }
    let mut taken = BTreeSet::new();
    for Entry { key, json: _ } in entries {
        let before = key.clone();
        act(Field::Name, key);
        if *key != before {
            *key = apart(key, |name| taken.contains(name));
        }
        taken.insert(key.clone());
    }
}

/// Trace and span ids are never touched. What stands in their place but is none is an identity.
fn trace(act: &mut Act<'_>, id: &mut String) {
    let is_id = matches!(id.len(), 16 | 32) && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_id && !id.is_empty() {
        act(Field::Identity, id);
    }
}

fn texts<const N: usize>(act: &mut Act<'_>, fields: [&mut Option<String>; N]) {
    for text in fields.into_iter().flatten() {
        act(Field::Text, text);
    }
}

fn labels<const N: usize>(act: &mut Act<'_>, fields: [&mut Option<String>; N]) {
    for text in fields.into_iter().flatten() {
        act(Field::Label, text);
    }
}

fn identities<const N: usize>(act: &mut Act<'_>, fields: [&mut Option<String>; N]) {
    for id in fields.into_iter().flatten() {
        act(Field::Identity, id);
    }
}

fn json(act: &mut Act<'_>, field: &mut Option<String>) {
    if let Some(json) = field {
        act(Field::Json(None), json);
    }
}

fn all(act: &mut Act<'_>, field: Field<'_>, texts: &mut [String]) {
    for text in texts {
        act(field, text);
    }
}

/// Visits the keys of a map, and keeps apart those that become equal.
fn rename<V>(act: &mut Act<'_>, map: &mut BTreeMap<String, V>) {
    let mut renamed = Vec::new();
    for key in map.keys() {
        let mut new = key.clone();
        act(Field::Name, &mut new);
        if new != *key {
            renamed.push((key.clone(), new));
        }
    }
    for (old, new) in renamed {
        if let Some(value) = map.remove(&old) {
            map.insert(apart(&new, |name| map.contains_key(name)), value);
        }
    }
}
