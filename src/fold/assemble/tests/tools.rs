//! Runs of tools find the calls that asked for them.

use super::*;

#[test]
fn runs_are_paired_by_id_and_latencies_summed_by_name() {
    let found = rows(&[
        chat(1, 9, 0, 10).calls(&[
            ("a", "weather", "{\"city\":\"Paris\"}"),
            ("b", "weather", "{}"),
            ("c", "time", "{}"),
        ]),
        tool(2, 9, 10, 30, "weather").ran("b", ""),
        tool(3, 9, 10, 15, "weather").ran("a", ""),
        tool(4, 9, 15, 16, "time").ran("c", ""),
        chat(5, 9, 40, 50).says("done"),
    ]);
    let call = row_of(&found, 1);
    let latencies = &call.timing.as_ref().unwrap().tool_latencies_ms;
    assert_eq!((latencies["weather"], latencies["time"]), (25.0, 1.0));
    let runs: Vec<_> = call.tool_executions.iter().map(|run| (run.call_id.as_deref(), run.latency_ms)).collect();
    assert_eq!(runs.len(), 3);
    assert!(runs.contains(&(Some("a"), Some(5.0))) && runs.contains(&(Some("b"), Some(20.0))));
    assert!(row_of(&found, 5).tool_executions.is_empty());
    let arguments = row_of(&found, 3).tool_executions[0].arguments.as_deref();
    assert_eq!(arguments, Some("{\"city\":\"Paris\"}"), "the run itself had none");
}

#[test]
fn without_ids_name_arguments_and_order_pair() {
    let asks =
        chat(1, 9, 0, 10).calls(&[("a", "weather", "{\"city\":\"Paris\"}"), ("b", "weather", "{\"city\":\"Tokyo\"}")]);
    let found = rows(&[
        asks,
        tool(2, 9, 11, 12, "weather").ran("", "{\"city\": \"Tokyo\"}"),
        // One argument alone.
        tool(3, 9, 13, 14, "weather").ran("", "\"Paris\""),
        tool(4, 9, 15, 16, "other").ran("", ""),
    ]);
    let run = |span: u64| row_of(&found, span).tool_executions[0].clone();
    assert_eq!(run(2).call_id.as_deref(), Some("b"));
    assert_eq!((run(3).call_id.as_deref(), run(3).arguments.as_deref()), (Some("a"), Some("{\"city\":\"Paris\"}")));
    assert_eq!(run(4).call_id, None);
    assert_eq!(row_of(&found, 1).tool_executions.len(), 2);
}

#[test]
fn a_run_within_a_run_is_counted_once() {
    let found = rows(&[
        chat(1, 9, 0, 10).calls(&[("a", "weather", "{}")]),
        tool(2, 9, 10, 30, "weather").ran("a", ""),
        tool(3, 2, 12, 28, "weather").ran("a", ""),
        tool(4, 3, 13, 20, "weather").ran("", ""),
    ]);
    assert_eq!(row_of(&found, 1).timing.as_ref().unwrap().tool_latencies_ms["weather"], 20.0);
    assert_eq!(row_of(&found, 1).tool_executions.len(), 1);
}

#[test]
fn the_latest_call_before_a_run_asked_for_it() {
    // Mock servers and caches repeat ids.
    let found = rows(&[
        chat(1, 9, 0, 10).calls(&[("a", "weather", "{}")]),
        tool(2, 9, 10, 11, "weather").ran("a", ""),
        chat(3, 9, 20, 30).calls(&[("a", "weather", "{}")]),
        tool(4, 9, 30, 35, "weather").ran("a", ""),
    ]);
    assert_eq!(row_of(&found, 1).timing.as_ref().unwrap().tool_latencies_ms["weather"], 1.0);
    assert_eq!(row_of(&found, 3).timing.as_ref().unwrap().tool_latencies_ms["weather"], 5.0);
}

#[test]
fn a_failed_run_says_so_on_both_rows() {
    let failed = tool(2, 9, 10, 11, "weather").ran("a", "").with(|row| {
        row.status = Some("error".into());
        row.error = Some(crate::event::Error { message: Some("boom".into()), ..Default::default() });
    });
    let found = rows(&[chat(1, 9, 0, 10).calls(&[("a", "weather", "{}")]), failed]);
    for span in [1, 2] {
        let run = &row_of(&found, span).tool_executions[0];
        assert_eq!((run.status.as_deref(), run.error.as_deref()), (Some("error"), Some("boom")));
    }
    assert_eq!(row_of(&found, 1).status.as_deref(), Some("ok"));
}
