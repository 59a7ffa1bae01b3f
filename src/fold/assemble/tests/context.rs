//! What is said above reaches what is below.

use super::*;

fn conversation(row: &Event) -> (&str, &str) {
    (&row.conversation_id, &row.conversation_id_source)
}

#[test]
fn the_nearest_ancestor_states_the_conversation() {
    let found = rows(&[
        step(1, 0, 0, 100).conversation("outer").user("u"),
        step(2, 1, 10, 90).conversation("inner"),
        chat(3, 2, 20, 80),
        chat(4, 1, 20, 80).conversation("own"),
    ]);
    assert_eq!(conversation(row_of(&found, 3)), ("inner", "ancestor:session.id"));
    assert_eq!(conversation(row_of(&found, 4)), ("own", "session.id"));
    assert!(found.iter().all(|row| row.user.as_ref().and_then(|user| user.id.as_deref()) == Some("u")));
}

#[test]
fn what_a_trace_states_once_reaches_all_of_it() {
    let found = rows(&[step(1, 0, 0, 100), chat(2, 1, 10, 20).conversation("c").user("u"), chat(3, 1, 30, 40)]);
    assert_eq!(conversation(row_of(&found, 3)), ("c", "trace:session.id"));
    assert_eq!(row_of(&found, 1).user.as_ref().unwrap().id.as_deref(), Some("u"));
}

#[test]
fn of_two_conversations_of_a_trace_neither_is_everyones() {
    let found = rows(&[chat(1, 0, 0, 10).conversation("a"), chat(2, 0, 0, 10).conversation("b"), chat(3, 0, 0, 10)]);
    let id = format!("{:032x}", 1);
    assert_eq!(conversation(row_of(&found, 3)), (id.as_str(), "trace_id"));
}

#[test]
fn an_unknown_span_and_an_unknown_log_hand_their_context_down() {
    let mut line = span("", 1, 0, 5, 0).user("u");
    line.partial.kind = Kind::Log.into();
    let assembled =
        assembled(&[span("", 1, 0, 0, 100).conversation("c"), chat(2, 1, 10, 20), line, span("", 3, 1, 1, 2)]);
    assert_eq!(assembled.fates[3], Fate::LeftOut("unknown"));
    let found: Vec<Event> = assembled.rows.into_iter().map(|row| *row.event).collect();
    assert_eq!(kinds(&found), ["graph.step", "chat.completion"], "what is above a call is kept, what is beside it not");
    assert_eq!(conversation(&found[1]), ("c", "ancestor:session.id"));
    assert_eq!(found[1].user.as_ref().unwrap().id.as_deref(), Some("u"));
}

#[test]
fn nodes_within_nodes_make_a_path() {
    let graph = step(1, 0, 0, 100).with(|row| {
        row.graph = Some(Graph { graph_id: Some("g".into()), thread_id: Some("t".into()), ..Graph::default() });
    });
    let node = step(2, 1, 0, 100).node("research").with(|row| {
        row.graph.get_or_insert_default().step_index = Some(3);
    });
    // What runs inside a node repeats its name, or says the whole path.
    let found = rows(&[
        graph,
        node,
        step(3, 2, 0, 100).node("paris"),
        chat(4, 3, 0, 50).node("paris"),
        chat(5, 3, 50, 99).node("research/paris"),
    ]);
    for call in [4, 5] {
        let graph = row_of(&found, call).graph.clone().unwrap();
        assert_eq!(graph.node_path.as_deref(), Some("research/paris"));
        assert_eq!(
            (graph.graph_id.as_deref(), graph.thread_id.as_deref(), graph.step_index),
            (Some("g"), Some("t"), Some(3))
        );
    }
}

#[test]
fn spans_that_name_each_other_as_parent_do_no_harm() {
    let found = rows(&[chat(1, 2, 0, 10).conversation("c"), chat(2, 1, 0, 10), chat(3, 3, 0, 10)]);
    assert_eq!(found.len(), 3);
    assert_eq!(conversation(row_of(&found, 2)), ("c", "ancestor:session.id"));
    assert!(found.iter().any(|row| !row.notes.is_empty()));
}
