//! What comes after a trace has been emitted.

use super::*;

/// What the first assembly leaves, and what the records after it become.
fn after(first: &[A], late: &[A]) -> Assembled {
    let earlier = assembled(first).facts.remove(0);
    assembled_after(late, &[earlier], "")
}

#[test]
fn a_late_child_stands_in_the_context_of_its_landed_parent() {
    let parent = step(1, 0, 0, 100).conversation("c").user("u").node("plan");
    let child = chat(2, 1, 10, 20).node("inner");
    let landed = after(&[parent], &[child]);
    let row = &landed.rows[0].event;
    assert_eq!((row.conversation_id.as_str(), row.conversation_id_source.as_str()), ("c", "ancestor:session.id"));
    assert_eq!(row.user.as_ref().unwrap().id.as_deref(), Some("u"));
    assert_eq!(row.graph.as_ref().unwrap().node_path.as_deref(), Some("plan/inner"));
}

#[test]
fn a_late_telling_of_a_landed_call_is_a_step() {
    let call = chat(2, 1, 10, 20).by("provider").of_model("openai", "gpt-4o").response("r").says("x");
    let outer = chat(1, 0, 9, 21).by("framework").of_model("openai", "gpt-4o").response("r").says("x").tokens(1, 2);
    let landed = after(&[call], &[outer]);
    let row = &landed.rows[0].event;
    assert_eq!(row.event_type, "graph.step");
    assert_eq!(details(row)["duplicate_of"], format!("{:032x}:{:016x}", 1, 2));
    assert_eq!(row.tokens, None);
}

#[test]
fn late_log_content_is_a_message_of_its_own() {
    let text = log(1, 50, Half::Output).with(|row| row.messages.push(message("assistant", "late")));
    let landed = after(&[chat(1, 0, 0, 100)], &[text]);
    let row = &landed.rows[0].event;
    assert_eq!((row.event_type.as_str(), details(row)["late"].clone()), ("chat.message", json!(true)));
    assert!(row.event_id.starts_with(&format!("{:032x}:{:016x}:chat.message:", 1, 1)), "{}", row.event_id);
}

#[test]
fn a_late_span_with_a_landed_id_has_an_id_of_its_own() {
    let landed = after(&[step(1, 0, 0, 100)], &[step(1, 0, 200, 300)]);
    let id = &landed.rows[0].event.event_id;
    assert_eq!(id.len(), 32 + 1 + 16 + 1 + 8, "{id}");
}

#[test]
fn an_unknown_span_above_landed_rows_becomes_a_step() {
    let unknown = span("", 1, 0, 0, 200);
    assert!(assembled(std::slice::from_ref(&unknown)).rows.is_empty());
    let landed = after(&[chat(2, 1, 10, 20)], &[unknown]);
    assert_eq!(landed.rows[0].event.event_type, "graph.step");
}

#[test]
fn an_outer_call_that_comes_after_the_calls_below_it_is_none() {
    let outer = chat(1, 0, 0, 100).related(Relation::CallIfNoCallBelow).says("x");
    let landed = after(&[chat(2, 1, 10, 20).says("y")], &[outer]);
    assert_eq!(landed.rows[0].event.event_type, "agent.invocation");
}
