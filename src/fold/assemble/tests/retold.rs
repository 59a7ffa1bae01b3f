//! Log records that tell what a span tells are told by the span's row, and by no other.

use super::*;

/// A log record that tells a whole operation, with or without a trace.
fn record(event_type: &str, at: u64, trace: bool) -> A {
    let mut this = span(event_type, 0, 0, at, 0).with(|row| {
        row.span_id = None;
        row.trace_id = trace.then(|| row.trace_id.take().expect("a trace"));
    });
    this.partial.kind = Kind::Log.into();
    this.partial.end_ns = 0;
    this
}

fn shares(mut this: A, what: &str) -> A {
    this.partial.waits_for = Some(what.to_owned());
    this
}

fn ran_tool(mut this: A, name: &str, call_id: &str, arguments: &str) -> A {
    this.row().tool_executions = vec![ToolExecution { name: name.to_owned(), ..ToolExecution::default() }];
    this.ran(call_id, arguments)
}

#[test]
fn a_call_told_by_a_record_too_is_one_row_with_what_only_the_record_says() {
    for with_trace in [true, false] {
        let told = shares(chat(1, 9, 0, 100).response("msg_1").says("Hello"), "request req_1");
        let again = shares(record(event_type::CHAT_COMPLETION, 105, with_trace).response("req_1"), "request req_1");
        let again = again.tokens(5, 2).by("events").with(|row| row.tokens.as_mut().unwrap().cost_usd = Some(0.5));
        let row = row(&[again, told]);
        assert_eq!((row.span_id.as_deref(), texts(&row)), (Some("0000000000000001"), vec!["Hello"]));
        let tokens = row.tokens.as_ref().unwrap();
        assert_eq!((tokens.total_tokens, tokens.cost_usd), (Some(7), Some(0.5)));
        let merged = &details(&row)["merged_logs"][0];
        assert_eq!(merged["model"]["response_id"], "req_1");
        assert_eq!(row.timing.as_ref().unwrap().total_latency_ms, Some(100.0), "the span's");
    }
}

#[test]
fn a_run_told_by_a_record_too_is_paired_with_its_call_once() {
    let asks = chat(1, 9, 0, 10).calls(&[("toolu_1", "Bash", "{}")]);
    let run = tool(2, 9, 10, 60, "Bash").ran("toolu_1", "");
    let again = ran_tool(record(event_type::TOOL_EXECUTION, 61, false), "Bash", "toolu_1", "{\"a\":1}");
    let found = rows(&[again, run, asks]);
    assert_eq!(kinds(&found), ["chat.completion", "tool.execution"]);
    assert_eq!(found[0].tool_executions.len(), 1);
    assert_eq!(found[1].tool_executions[0].arguments.as_deref(), Some("{\"a\":1}"));
    assert_eq!(found[0].timing.as_ref().unwrap().tool_latencies_ms["Bash"], 50.0);
}

#[test]
fn a_record_that_says_that_it_failed_knows_better_than_a_span_that_says_nothing() {
    let run = tool(2, 9, 10, 60, "Bash").ran("toolu_1", "").with(|row| row.status = Some("ok".into()));
    let again = ran_tool(record(event_type::TOOL_EXECUTION, 61, false), "Bash", "toolu_1", "");
    let again = again.with(|row| row.status = Some("error".into()));
    let row = row(&[run, again]);
    assert_eq!((row.status.as_deref(), row.tool_executions[0].status.as_deref()), (Some("error"), Some("error")));
}

#[test]
fn ids_that_come_again_go_to_the_span_that_ends_nearest() {
    // Mock servers and caches repeat ids.
    let call = |id, start, end| shares(chat(id, 9, start, end), "request r");
    let log =
        |at| shares(record(event_type::CHAT_COMPLETION, at, false), "request r").tokens(5, i64::try_from(at).unwrap());
    let found = rows(&[call(1, 0, 100), call(2, 200, 300), log(301), log(101)]);
    let counted: Vec<_> =
        found.iter().map(|row| row.tokens.as_ref().and_then(|tokens| tokens.completion_tokens)).collect();
    assert_eq!(counted, [Some(101), Some(301)]);
}

#[test]
fn what_only_looks_alike_is_not_joined() {
    let told = || shares(chat(1, 9, 0, 100).of_model("a", "m").tokens(5, 2), "request r");
    let log = |at, with_trace| record(event_type::CHAT_COMPLETION, at, with_trace).of_model("a", "m").tokens(5, 2);
    let apart = [
        // Another request, long after, before, another model, without a trace and an id, another tenant, another trace.
        shares(log(101, true), "request s"),
        shares(log(20_000, true), "request r"),
        shares(record(event_type::CHAT_COMPLETION, 101, true).of_model("a", "other"), "request r"),
        log(101, false),
        shares(log(101, false), "request r").tenant("other"),
        shares(log(101, true), "request r").trace(2),
        // Of another library: the same counts say nothing.
        log(101, true).with(|row| row.dialect = "another".into()),
    ];
    for other in apart {
        assert_eq!(rows(&[told(), other.clone()]).len(), 2, "{:?}", other.partial);
    }
}

#[test]
fn without_an_id_one_library_agrees_with_itself() {
    let calls = [chat(1, 9, 0, 100).tokens(5, 2), record(event_type::CHAT_COMPLETION, 101, true).tokens(5, 2)];
    assert_eq!(rows(&calls).len(), 1);
    let run = |id, start, end, arguments| ran_tool(tool(id, 9, start, end, "f"), "f", "", arguments);
    let log = |at, arguments| ran_tool(record(event_type::TOOL_EXECUTION, at, true), "f", "", arguments);
    let found = rows(&[
        run(1, 0, 10, "{\"a\": 1}"),
        run(2, 0, 20, "{\"a\": 2}"),
        log(21, "{\"a\":2}"),
        log(22, "{\"a\":1}"),
        log(23, "{\"a\":3}"),
    ]);
    assert_eq!(kinds(&found), ["tool.execution"; 3], "the third one has no span");
    assert_eq!(details(row_of(&found, 1))["merged_logs"][0]["timestamp"], json::time(ms(22)).unwrap());
    // Two runs that it may be, with nothing that tells them apart.
    assert_eq!(rows(&[run(1, 0, 10, ""), run(2, 0, 10, ""), log(11, "")]).len(), 3);
}

#[test]
fn two_libraries_that_tell_a_half_of_a_run_each_tell_one_run() {
    let asks = chat(1, 9, 0, 10).calls(&[("c", "f", "{\"a\":1}")]);
    let ran = |id, start, end, result: &str| {
        tool(id, 9, start, end, "f").ran("", "{\"a\":1}").by("instrumentation").with(|row| {
            row.tool_executions[0].result = Some(result.into());
        })
    };
    let found = rows(&[asks.clone(), ran(2, 10, 24, "7"), tool(3, 2, 23, 24, "f").ran("c", "").by("library")]);
    assert_eq!(kinds(&found), ["chat.completion", "tool.execution"]);
    for row in &found {
        let run = &row.tool_executions[0];
        let said = (run.call_id.as_deref(), run.result.as_deref(), run.latency_ms);
        assert_eq!(said, (Some("c"), Some("7"), Some(14.0)));
    }
    // Neither two runs within one span, nor two libraries' runs of other arguments, are halves of one.
    let two = [tool(3, 2, 11, 12, "f").ran("c", "").by("library"), tool(4, 2, 13, 14, "f").ran("d", "").by("library")];
    assert_eq!(rows(&[vec![ran(2, 10, 24, "7")], two.to_vec()].concat()).len(), 3);
    let other = tool(3, 2, 23, 24, "f").ran("c", "{\"a\":2}").by("library");
    assert_eq!(rows(&[ran(2, 10, 24, "7"), other]).len(), 2);
}

#[test]
fn a_record_of_a_call_that_has_landed_is_a_step_and_the_other_way_round() {
    let told = || shares(chat(1, 0, 0, 100).says("Hello"), "request r");
    let again = || shares(record(event_type::CHAT_COMPLETION, 101, true), "request r");
    for (first, second) in [(told(), again()), (again(), told())] {
        let landed = assembled(&[first]);
        let late = assembled_after(&[second], &landed.facts[..1], "");
        let row = &late.rows[0].event;
        assert_eq!(row.event_type, "graph.step");
        assert_eq!(details(row)["duplicate_of"], landed.rows[0].event.event_id);
    }
}
