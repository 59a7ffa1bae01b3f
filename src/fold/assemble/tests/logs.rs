//! Log records find the span whose call they tell.

use super::*;

fn input(of_span: u64, at: u64, role: &str, text: &str) -> A {
    log(of_span, at, Half::Input).with(|row| row.messages.push(message(role, text)))
}

fn output(of_span: u64, at: u64, text: &str) -> A {
    log(of_span, at, Half::Output).with(|row| row.messages.push(message("assistant", text)))
}

/// A record that tells a whole call.
fn whole(of_span: u64, at: u64, response: &str, text: &str) -> A {
    log(of_span, at, Half::Whole).response(response).asks("Hi").says(text).with(|row| {
        row.event_type = event_type::CHAT_COMPLETION.to_owned();
    })
}

#[test]
fn messages_in_log_records_are_those_of_their_span() {
    let records =
        [output(1, 50, "Hello"), chat(1, 0, 0, 100), input(1, 1, "user", "Hi"), input(1, 1, "system", "Be nice")];
    let assembled = assembled(&records);
    let row = &assembled.rows[0].event;
    assert_eq!(texts(row), ["Be nice", "Hi", "Hello"]);
    assert_eq!(row.input_message_count, Some(2));
    assert_eq!(assembled.fates, [Fate::Merged, Fate::Landed, Fate::Merged, Fate::Merged]);
}

#[test]
fn what_span_and_logs_both_say_is_said_once() {
    let span = chat(1, 0, 0, 100).asks("Hi").says("Hello");
    let row = row(&[span, input(1, 1, "user", "Hi"), output(1, 2, "Hello")]);
    assert_eq!(texts(&row), ["Hi", "Hello"]);
    assert!(details(&row)["logs"]["messages"].is_null());
}

#[test]
fn each_half_comes_from_one_carrier() {
    let span = chat(1, 0, 0, 100).asks("Hi");
    let row = row(&[span, input(1, 1, "user", "Hi there"), output(1, 2, "Hello")]);
    assert_eq!(texts(&row), ["Hi", "Hello"]);
    assert_eq!(details(&row)["logs"]["messages"][0]["content"], "Hi there", "nothing is lost");
}

#[test]
fn a_call_whose_span_never_came_is_told_by_its_logs() {
    let row = row(&[input(1, 1, "user", "Hi"), output(1, 2, "Hello")]);
    assert_eq!((row.event_type.as_str(), texts(&row)), ("chat.completion", vec!["Hi", "Hello"]));
    assert_eq!(row.event_id, format!("{:032x}:{:016x}", 1, 1));
}

#[test]
fn several_calls_told_on_the_span_around_them_are_theirs() {
    let around = span(event_type::AGENT_INVOCATION, 1, 0, 0, 300);
    let records = [
        around,
        chat(2, 1, 0, 100).response("r"),
        chat(3, 1, 100, 200).response("s"),
        whole(1, 150, "r", "one"),
        whole(1, 250, "s", "two"),
        whole(1, 260, "t", "three"),
    ];
    let found = rows(&records);
    assert_eq!(kinds(&found), ["agent.invocation", "chat.completion", "chat.completion", "chat.completion"]);
    assert_eq!(texts(row_of(&found, 2)), ["Hi", "one"]);
    assert_eq!(texts(row_of(&found, 3)), ["Hi", "two"]);
    assert_eq!(texts(&found[3]), ["Hi", "three"], "of a call without a span");
}

#[test]
fn tool_calls_of_an_answer_told_in_pieces_are_one_answer() {
    let text = output(1, 1, "Let me see");
    let call = log(1, 2, Half::Output).calls(&[("c", "f", "{}")]).with(|row| row.input_message_count = None);
    let row = row(&[chat(1, 0, 0, 100), text, call]);
    assert_eq!((row.messages.len(), row.messages[0].tool_calls.len()), (1, 1));
}

#[test]
fn chunks_that_are_numbered_as_choices_are_one_answer_without_gaps() {
    let chunk = |place: u32, text: &str, reason: Option<&str>| {
        let mut chunk = output(1, u64::from(place), text);
        chunk.partial.part = Some(Part { half: Half::Output.into(), index: Some(place) });
        chunk.with(|row| row.messages[0].finish_reason = reason.map(str::to_owned))
    };
    let streamed = row(&[chat(1, 0, 0, 100), chunk(0, "I will lo", None), chunk(1, "ok it up.", Some("stop"))]);
    assert_eq!(texts(&streamed), ["I will look it up."]);
    // Each of several choices says why it ended.
    let choices = [chat(1, 0, 0, 100), chunk(0, "one", Some("stop")), chunk(1, "two", Some("stop"))];
    assert_eq!(texts(&row(&choices)), ["one"]);
}

#[test]
fn answers_without_numbers_that_ended_each_are_choices() {
    let answer = |place: u64, text: &str, reason: Option<&str>| {
        let mut answer = output(1, place, text);
        answer.partial.part = Some(Part { half: Half::Output.into(), index: None });
        answer.with(|row| row.messages[0].finish_reason = reason.map(str::to_owned))
    };
    let two = row(&[chat(1, 0, 0, 100), answer(0, "one", Some("stop")), answer(1, "two", Some("length"))]);
    assert_eq!(texts(&two), ["one"]);
    let other = r#""choices":[{"index":1,"message":{"role":"assistant","content":"two","finish_reason":"length"}}]"#;
    assert!(two.details.as_deref().unwrap().contains(other));
    // Pieces of one answer end once.
    let pieces = [chat(1, 0, 0, 100), answer(0, "one", None), answer(1, "two", Some("stop"))];
    assert_eq!(texts(&row(&pieces)), ["one\ntwo"]);
}

#[test]
fn what_is_whole_only_once_pieces_are_joined_is_redacted_then() {
    let chunk = |place: u32, text: &str, reason: Option<&str>| {
        let mut chunk = output(1, u64::from(place), text);
        chunk.partial.part = Some(Part { half: Half::Output.into(), index: Some(place) });
        chunk.with(|row| row.messages[0].finish_reason = reason.map(str::to_owned))
    };
    let rejoin = Rejoin::by(|policy, text| {
        let count = text.matches("secret").count();
        *text = text.replace("secret", policy);
        std::collections::BTreeMap::from([("rule".to_owned(), i64::try_from(count).unwrap())])
    });
    let settings = Settings { rejoin, ..Settings::default() };
    let rows = |records: &[A]| {
        let traces = [Trace { tenant: "", prefix: "", id: 1u128.to_be_bytes(), closed: None, earlier: &[] }];
        assemble(records.iter().map(A::told).collect(), &traces, &settings).rows
    };
    let records = [chat(1, 0, 0, 100), chunk(0, "a sec", None), chunk(1, "ret", Some("stop"))];
    // On the span of the call, on a span that never came, and beside an answer that the span tells itself.
    let spoken = chat(1, 0, 0, 100).says("other");
    for told in [&records[..], &records[1..], &[spoken, records[1].clone(), records[2].clone()]] {
        let rows = rows(told);
        let row = &rows[0].event;
        let text = format!("{:?} {:?}", row.messages, row.details);
        assert!(!text.contains("secret") && text.contains("a floor"), "{text}");
        assert_eq!(row.redaction.as_ref().unwrap().counts["rule"], 1);
    }
}
