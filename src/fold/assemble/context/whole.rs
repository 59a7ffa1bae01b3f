//! What a trace states somewhere: it reaches the rows that inherit nothing.

use super::ANCESTOR;
use super::LINKED;
use super::TRACE;
use crate::event::User;
use crate::fold::assemble::group::Group;
use crate::fold::assemble::group::State;
use crate::fold::assemble::group::TraceNo;
use std::collections::BTreeMap;

/// What a trace states somewhere: a conversation and a user, if it is the same everywhere.
#[derive(Debug, Clone, Default)]
pub(super) struct Whole {
    conversations: BTreeMap<String, String>,
    users: Vec<User>,
    /// Those of traces that tell a call of this one, in case this one states none.
    linked_conversations: BTreeMap<String, String>,
    linked_users: Vec<User>,
}

impl Whole {
    /// The only conversation that is stated, and by what.
    pub(super) fn conversation(&self) -> Option<(String, String)> {
        let only = |stated: &BTreeMap<String, String>, way: &str| {
            let (id, source) = stated.first_key_value().filter(|_| stated.len() == 1)?;
            Some((id.clone(), format!("{way}{}", stated_source(source))))
        };
        if self.conversations.is_empty() {
            only(&self.linked_conversations, LINKED)
        } else {
            only(&self.conversations, TRACE)
        }
    }

    /// The only user that is stated.
    pub(super) fn user(&self) -> Option<&User> {
        let users = if self.users.is_empty() { &self.linked_users } else { &self.users };
        users.first().filter(|_| users.len() == 1)
    }
}

/// What each trace of the group states.
pub(super) fn stated_by_traces(group: &Group) -> BTreeMap<TraceNo, Whole> {
    let mut all: BTreeMap<TraceNo, Whole> = BTreeMap::new();
    for trace in group.trace_numbers() {
        let mut whole = Whole::default();
        for id in group.nodes_of(trace) {
            let row = &group.nodes[id].row;
            state(&mut whole, &row.conversation_id, &row.conversation_id_source, row.user.as_ref());
        }
        for stone in group.trace(trace).iter().flat_map(|trace| &trace.earlier) {
            for context in &stone.contexts {
                state(&mut whole, &context.conversation_id, &context.conversation_id_source, context.user.as_ref());
            }
        }
        all.insert(trace, whole);
    }
    link(group, &mut all);
    all
}

/// The attribute that a conversation's id was stated by, without the way that it took.
pub(in crate::fold::assemble) fn stated_source(source: &str) -> &str {
    [ANCESTOR, TRACE, LINKED].iter().find_map(|way| source.strip_prefix(way)).unwrap_or(source)
}

fn state(whole: &mut Whole, conversation: &str, source: &str, user: Option<&User>) {
    if !conversation.is_empty() && !whole.conversations.contains_key(conversation) {
        whole.conversations.insert(conversation.to_owned(), source.to_owned());
    }
    if let Some(user) = user {
        if let Some(known) = whole.users.iter_mut().find(|known| is_same_user(known, user)) {
            fill_user(known, user);
        } else {
            whole.users.push(user.clone());
        }
    }
}

/// Lets traces that tell the same call share what they state.
fn link(group: &Group, all: &mut BTreeMap<TraceNo, Whole>) {
    let mut links: BTreeMap<TraceNo, Vec<TraceNo>> = BTreeMap::new();
    for id in group.nodes.ids() {
        if let State::Merged(into) = group.nodes[id].state
            && let (Some(a), Some(b)) = (group.nodes[id].trace, group.nodes[group.teller(into)].trace)
            && a != b
        {
            links.entry(a).or_default().push(b);
            links.entry(b).or_default().push(a);
        }
    }
    for start in links.keys() {
        let mut reached = vec![*start];
        let mut next = 0;
        while let Some(at) = reached.get(next).copied() {
            for other in links.get(&at).into_iter().flatten() {
                if !reached.contains(other) {
                    reached.push(*other);
                }
            }
            next += 1;
        }
        let mut linked = Whole::default();
        for other in reached.iter().filter_map(|trace| all.get(trace)) {
            for (conversation, source) in &other.conversations {
                state(&mut linked, conversation, source, None);
            }
            for user in &other.users {
                state(&mut linked, "", "", Some(user));
            }
        }
        if let Some(whole) = all.get_mut(start) {
            (whole.linked_conversations, whole.linked_users) = (linked.conversations, linked.users);
        }
    }
}

/// Whether two records may speak of one person.
pub(super) fn is_same_user(a: &User, b: &User) -> bool {
    let agree = |a: &Option<String>, b: &Option<String>| a.is_none() || b.is_none() || a == b;
    agree(&a.id, &b.id) && agree(&a.email, &b.email) && agree(&a.username, &b.username)
}

/// Fills what one telling of a person lacks from another.
pub(super) fn fill_user(user: &mut User, other: &User) {
    let fill = |slot: &mut Option<String>, other: &Option<String>| {
        if slot.is_none() {
            slot.clone_from(other);
        }
    };
    fill(&mut user.id, &other.id);
    fill(&mut user.email, &other.email);
    fill(&mut user.username, &other.username);
    fill(&mut user.org, &other.org);
    if user.roles.is_empty() {
        user.roles.clone_from(&other.roles);
    }
}
