//! Order does not matter: shuffled and repeated records give the same rows.

use super::*;
use proptest::prelude::*;

/// A trace in which much happens: two tellings of a call, logs, tools, unknown spans, two spans with one id.
fn story() -> Vec<A> {
    let mut records = vec![
        span("", 1, 0, 0, 1000).conversation("c"),
        step(2, 1, 0, 900).node("plan"),
        chat(3, 2, 0, 100).by("framework").asks("Hi").calls(&[("a", "f", "{\"x\":1}"), ("b", "f", "{\"x\":2}")]),
        chat(4, 3, 1, 99)
            .by("provider")
            .of_model("openai", "gpt-4o-mini")
            .calls(&[("a", "f", "{\"x\":1}"), ("b", "f", "{\"x\":2}")]),
        tool(5, 2, 110, 120, "f").ran("", "1"),
        tool(6, 2, 110, 130, "f").ran("", ""),
        tool(7, 2, 110, 130, "f").ran("", ""),
        chat(8, 2, 200, 300),
        log(8, 201, Half::Input).with(|row| row.messages.push(message("system", "Be nice"))),
        log(8, 201, Half::Input).with(|row| row.messages.push(message("user", "Hi"))),
        log(8, 201, Half::Output).with(|row| row.messages.push(message("assistant", "Hello"))),
        step(9, 2, 400, 500),
        step(9, 2, 400, 501),
        chat(10, 0, 2, 98).by("gateway").trace(2).response("r").user("u"),
    ];
    for record in records.iter_mut().take(4).skip(2) {
        *record = record.clone().response("r");
    }
    for (place, record) in records.iter_mut().enumerate() {
        record.partial.attributes.push(Entry { key: "place".into(), json: place.to_string() });
    }
    records
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_order_changes_the_rows(picks in proptest::collection::vec(any::<prop::sample::Index>(), 40)) {
        let story = story();
        let want = rows(&story);
        // Some come twice, in any order, and each at least once.
        let mut records: Vec<A> = picks.iter().map(|pick| story[pick.index(story.len())].clone()).collect();
        for (record, pick) in story.iter().zip(&picks) {
            records.insert(pick.index(records.len()), record.clone());
        }
        prop_assert_eq!(want, rows(&records));
    }
}
