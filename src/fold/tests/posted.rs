//! Posted events: how long they wait for one another, and ids that come again with another body.

use super::*;
use crate::event::Kind;

fn posted(id: &str, kind: &str, waits_for: Option<&str>) -> Partial {
    let row = Event { event_id: id.into(), event_type: kind.into(), name: format!("{kind} {id}"), ..Event::default() };
    Partial {
        kind: Kind::Posted.into(),
        row: Some(Box::new(row)),
        start_ns: SECOND,
        waits_for: waits_for.map(str::to_owned),
        ..Partial::default()
    }
}

fn said(mut partial: Partial, name: &str) -> Partial {
    name.clone_into(&mut partial.row.get_or_insert_default().name);
    partial
}

fn ids(folded: &Folded) -> Vec<&str> {
    folded.batches.values().flat_map(|batch| &batch.rows).map(|row| row.event_id.as_str()).collect()
}

#[test]
fn an_answer_and_its_request_are_emitted_together() {
    let mut story = Story::new();
    let asked = [posted("q", "llm.request", Some("q")), posted("c", "llm.streaming_chunk", Some("q"))];
    assert!(ids(&story.tell(1, &asked)).is_empty());
    assert!(ids(&story.tell(60, &[])).is_empty(), "a chunk is no answer");
    assert!(ids(&story.tell(1, &[posted("r", "llm.response", Some("q"))])).is_empty());
    assert_eq!(ids(&story.tell(7, &[])), ["c", "q", "r"]);
}

#[test]
fn an_answer_whose_request_never_comes_lands_after_idle() {
    let mut story = Story::new();
    assert!(ids(&story.tell(1, &[posted("r", "llm.response", Some("q"))])).is_empty());
    assert_eq!(ids(&story.tell(301, &[])), ["r"]);
}

#[test]
fn an_event_that_waits_for_nothing_lands_with_its_segment() {
    let mut story = Story::new();
    assert_eq!(ids(&story.tell(1, &[posted("u", "user.input", None)])), ["u"]);
}

#[test]
fn a_resend_is_dropped_and_another_body_under_its_id_is_kept_and_marked() {
    let mut story = Story::new();
    let one = posted("e", "usage.assistant_message", None);
    let other = said(one.clone(), "other");
    let first = story.tell(1, &[one.clone(), one.clone(), other.clone()]);
    let rows: Vec<&Box<Event>> = first.batches.values().flat_map(|batch| &batch.rows).collect();
    assert_eq!(rows.len(), 2);
    assert_eq!((rows[0].event_id.as_str(), rows[0].details.as_deref()), ("e", Some(r#"{"tenant":"t"}"#)));
    assert!(rows[1].event_id.starts_with("e:") && rows[1].event_id.len() == 10, "{}", rows[1].event_id);
    assert_eq!(rows[1].details.as_deref(), Some(r#"{"dedupe":"id_conflict","tenant":"t"}"#));
    let again = story.tell(1, &[one, other, said(posted("e", "usage.assistant_message", None), "third")]);
    let rows: Vec<&Box<Event>> = again.batches.values().flat_map(|batch| &batch.rows).collect();
    assert_eq!(rows.len(), 1, "resends are recognised over segments: {rows:?}");
    assert_eq!(rows[0].details.as_deref(), Some(r#"{"dedupe":"id_conflict","tenant":"t"}"#));
}

#[test]
fn a_mark_outlives_the_wait() {
    let mut story = Story::new();
    let asked = posted("q", "llm.request", Some("q"));
    story.tell(1, std::slice::from_ref(&asked));
    story.tell(1, &[said(asked, "other"), posted("r", "llm.response", Some("q"))]);
    let folded = story.tell(10, &[]);
    assert_eq!(ids(&folded).len(), 3);
    assert_eq!(ids(&folded).iter().filter(|id| id.starts_with("q:")).count(), 1);
}
