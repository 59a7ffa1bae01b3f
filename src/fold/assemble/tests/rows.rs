//! The row itself: ids, times, cost, notes.

use super::*;

#[test]
fn equal_and_other_content_under_one_id_is_told_apart() {
    let found = rows(&[step(1, 0, 5, 10).with(|row| row.name = "later".into()), step(1, 0, 0, 10)]);
    let plain = format!("{:032x}:{:016x}", 1, 1);
    assert_eq!(found[0].event_id, plain, "the earliest keeps the plain id");
    assert_eq!((found[1].event_id.len(), found[1].event_id.starts_with(&plain)), (plain.len() + 9, true));
}

#[test]
fn two_tenants_with_the_same_ids_do_not_meet() {
    let mine = chat(1, 0, 0, 10).conversation("mine").asks("a").says("b");
    let theirs = chat(2, 1, 0, 10).tenant("other");
    let found = rows(&[mine, theirs]);
    assert_eq!(row_of(&found, 2).conversation_id_source, "trace_id");
    assert_eq!(found.len(), 2);
}

#[test]
fn a_row_says_whose_it_is_by_its_credential_and_never_by_its_data() {
    let told = |tenant: &'static str, details: &[(&str, &str)]| {
        let entry = |(key, json): &(&str, &str)| Entry { key: (*key).to_owned(), json: (*json).to_owned() };
        let mut told = chat(1, 0, 0, 10).tenant(tenant);
        told.partial.details.extend(details.iter().map(entry));
        let row = row(&[told]);
        (row.tenant(), row.attributes)
    };
    assert_eq!(told("shop", &[]), (Some("shop".to_owned()), None));
    let forged = Some(r#"{"tenant":"forged"}"#.to_owned());
    assert_eq!(told("shop", &[("tenant", "\"forged\"")]), (Some("shop".to_owned()), forged.clone()));
    for nobody in ["", "default"] {
        assert_eq!(told(nobody, &[("tenant", "\"forged\""), ("x", "1")]), (None, forged.clone()), "{nobody}");
    }
    assert_eq!(told("a \"b\"", &[("x", r#"{"tenant":"inner"}"#)]).0.as_deref(), Some("a \"b\""));
    assert_eq!(told("", &[("x", r#"{"tenant":"inner"}"#)]).0, None);
}

#[test]
fn resends_are_dropped_and_equal_records_of_one_request_are_not() {
    let twice = [step(1, 0, 0, 10), step(1, 0, 0, 10)];
    assert_eq!(assembled(&twice).fates, [Fate::Landed, Fate::Deduplicated]);
    let told = twice[0].told();
    let traces = [Trace { tenant: "", prefix: "", id: 1u128.to_be_bytes(), closed: None, earlier: &[] }];
    let assembled = assemble(vec![told.clone(), told], &traces, &Settings::default());
    assert_eq!(assembled.fates, [Fate::Landed, Fate::Landed]);
    assert_ne!(assembled.rows[0].event.event_id, assembled.rows[1].event.event_id);
}

#[test]
fn a_clock_that_ran_backwards_gives_no_length() {
    let row = row(&[chat(1, 0, 100, 50)]);
    assert_eq!(row.timing.and_then(|timing| timing.total_latency_ms), None);
    assert!(row.notes.contains(&"its end is before its start".to_owned()));
}

#[test]
fn cost_is_the_stated_one_and_the_computed_stands_beside_it() {
    let call = || chat(1, 0, 0, 10).of_model("openai", "gpt-4o-mini-2024-07-18").tokens(1_000_000, 1_000_000);
    let computed = row(&[call()]).tokens.unwrap();
    assert_eq!((computed.cost_usd, computed.cost_source.as_deref()), (Some(0.75), Some(Table::embedded().source())));
    let stated = row(&[call().with(|row| {
        let tokens = row.tokens.get_or_insert_default();
        (tokens.cost_usd, tokens.cost_source) = (Some(2.0), Some("llm.cost.total".into()));
    })]);
    assert_eq!(stated.tokens.as_ref().unwrap().cost_usd, Some(2.0));
    let cost = &details(&stated)["cost"];
    assert_eq!((&cost["stated"]["total"], &cost["computed"]["total"]), (&json!(2.0), &json!(0.75)));
    let unknown = row(&[chat(1, 0, 0, 10).of_model("openai", "no-such-model").tokens(1, 1)]).tokens.unwrap();
    assert_eq!((unknown.cost_usd, unknown.cost_source), (None, None));
    let untold = row(&[chat(1, 0, 0, 10).of_model("openai", "gpt-4o-mini")]).tokens;
    assert_eq!(untold, None, "what was not said is not 0");
}

#[test]
fn a_first_token_after_the_end_is_no_measurement() {
    let row = row(&[chat(1, 0, 0, 10).with(|row| {
        let timing = row.timing.get_or_insert_default();
        (timing.time_to_first_token_ms, timing.ttft_source) = (Some(3957.0), Some("x".into()));
    })]);
    let timing = row.timing.unwrap();
    assert_eq!((timing.time_to_first_token_ms, timing.ttft_source), (None, None));
    assert!(row.notes.iter().any(|note| note.contains("3957")), "{:?}", row.notes);
}

#[test]
fn a_trace_that_was_closed_early_says_why() {
    let told = vec![chat(1, 9, 0, 10).told()];
    let traces = [Trace { tenant: "", prefix: "", id: 1u128.to_be_bytes(), closed: Some("idle"), earlier: &[] }];
    let assembled = assemble(told, &traces, &Settings::default());
    assert_eq!(details(&assembled.rows[0].event)["trace_closed"], "idle");
}

#[test]
fn what_a_chat_example_lacks_stands_in_its_notes() {
    let gaps = |record: A| {
        let notes = row(&[record]).notes;
        notes.into_iter().filter_map(|note| note.strip_prefix("openai: ").map(str::to_owned)).collect::<Vec<_>>()
    };
    assert_eq!(gaps(chat(1, 0, 0, 10).asks("Hi").says("x")), Vec::<String>::new());
    assert_eq!(gaps(chat(1, 0, 0, 10)), ["no messages"]);
    assert_eq!(gaps(chat(1, 0, 0, 10).asks("Hi")), ["no answer"]);
    assert_eq!(gaps(chat(1, 0, 0, 10).asks("Hi").calls(&[("", "f", "{}")])), ["a tool call without id"]);
    let unanswered = chat(1, 0, 0, 10).calls(&[("c", "f", "{}")]).with(|row| {
        row.messages.push(message("tool", "21"));
        row.input_message_count = Some(2);
        row.messages.push(message("assistant", "x"));
    });
    assert_eq!(gaps(unanswered), ["a tool call without its answer", "a tool message without tool_call_id"]);
    assert_eq!(gaps(chat(1, 0, 0, 10).with(|row| row.messages.push(message("critic", "no"))).says("x")).len(), 1);
}
