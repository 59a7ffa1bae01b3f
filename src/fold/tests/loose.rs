//! Log records without a trace that tell what a span tells: how long they wait for it.

use super::*;
use crate::event::Kind;

fn record(id: u8, shared: Option<&str>) -> Partial {
    let row = Event { event_type: "chat.completion".into(), name: format!("record {id}"), ..Event::default() };
    Partial {
        kind: Kind::Log.into(),
        row: Some(row.into()),
        start_ns: u64::from(id) + 10,
        waits_for: shared.map(str::to_owned),
        ..Partial::default()
    }
}

fn shares(mut partial: Partial, shared: &str) -> Partial {
    partial.waits_for = Some(shared.into());
    partial
}

#[test]
fn a_record_lingers_for_its_span_and_then_lands() {
    let mut story = Story::new();
    assert!(names(&story.tell(1, &[record(2, Some("request r"))])).is_empty());
    assert!(names(&story.tell(6, &[])).is_empty());
    assert_eq!(names(&story.tell(1, &[])), ["record 2"]);
    assert_eq!(names(&story.tell(1, &[record(3, None)])), ["record 3"], "it waits for nothing");
}

#[test]
fn a_record_waits_as_long_as_the_trace_of_its_span_is_open() {
    for record_first in [true, false] {
        let mut story = Story::new();
        let (told, span) = (record(2, Some("request r")), shares(span(1, 2, Some(1)), "request r"));
        let [first, second] = if record_first { [told, span] } else { [span, told] };
        assert!(names(&story.tell(1, &[first])).is_empty());
        assert!(names(&story.tell(3, &[second])).is_empty());
        for step in 0..4 {
            // Longer than a trace may be idle, and a shutdown on the way.
            let more = super::span(1, 3 + step, Some(1));
            assert!(names(&story.tell(200, std::slice::from_ref(&more))).is_empty());
            assert!(names(&story.close(1, &[], Close::Shutdown { open: false })).is_empty());
        }
        story.tell(1, &[super::span(1, 1, None)]);
        let rows = names(&story.tell(7, &[])).into_iter().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(rows.len(), 6, "{rows:?}");
        assert!(!rows.contains(&"record 2".to_owned()));
        assert_eq!(story.fold.open_traces(), 0);
    }
}

#[test]
fn a_record_is_found_by_the_response_of_its_call_too() {
    let mut story = Story::new();
    story.tell(1, &[calls(span(1, 2, Some(1)), "resp"), calls(record(2, None), "resp")]);
    story.tell(10, &[span(1, 1, None)]);
    assert_eq!(names(&story.tell(7, &[])).len(), 2);
}

#[test]
fn a_record_of_another_time_does_not_wait() {
    let mut story = Story::new();
    let mut far = record(2, Some("request r"));
    far.start_ns = 3600 * SECOND;
    story.tell(1, &[shares(span(1, 2, Some(1)), "request r"), far]);
    assert_eq!(names(&story.tell(7, &[])), ["record 2"]);
}

#[test]
fn a_shutdown_folds_records_that_nobody_tells_too() {
    let mut story = Story::new();
    story.tell(1, &[record(2, Some("request r"))]);
    assert_eq!(names(&story.close(1, &[], Close::Shutdown { open: false })), ["record 2"]);
}
