//! One row for one call, however many spans tell it.

use super::*;

#[test]
fn a_call_that_framework_and_provider_tell_is_one_row() {
    let framework = chat(1, 9, 0, 100).by("framework").asks("Hi").says("Hello").conversation("c");
    let provider = chat(2, 1, 1, 99).by("provider").of_model("openai", "gpt-4o-mini").response("r").says("Hello");
    let provider = provider.tokens(5, 2).with(|row| {
        let timing = row.timing.get_or_insert_default();
        (timing.time_to_first_token_ms, timing.ttft_source) = (Some(20.0), Some("inner".into()));
    });
    let assembled = assembled(&[framework, provider]);
    assert_eq!(assembled.fates, [Fate::Landed, Fate::Merged]);
    let row = &assembled.rows[0].event;
    assert_eq!(texts(row), ["Hi", "Hello"]);
    assert_eq!(row.span_id.as_deref(), Some("0000000000000001"));
    assert_eq!(row.model.as_ref().unwrap().response_id.as_deref(), Some("r"));
    assert_eq!(row.tokens.as_ref().unwrap().total_tokens, Some(7));
    let timing = row.timing.as_ref().unwrap();
    assert_eq!((timing.total_latency_ms, timing.time_to_first_token_ms), (Some(100.0), Some(20.0)));
    assert_eq!(details(row)["merged_spans"][0]["span_id"], "0000000000000002");
}

#[test]
fn the_richer_telling_gives_the_ids() {
    let outer = chat(1, 9, 0, 100).by("framework").says("Hello");
    let inner = chat(2, 1, 1, 99).by("provider").asks("Hi").says("Hello");
    assert_eq!(row(&[outer, inner]).span_id.as_deref(), Some("0000000000000002"));
}

#[test]
fn spans_that_only_look_alike_stay_apart() {
    let pairs = [
        // Two calls at once by one library, with a cached answer's id.
        [chat(1, 9, 0, 100).response("r").says("x"), chat(2, 9, 0, 100).response("r").says("x")],
        // Other responses.
        [chat(1, 9, 0, 100).by("a").response("r").says("x"), chat(2, 1, 0, 100).by("b").response("s").says("x")],
        // One after the other.
        [chat(1, 9, 0, 100).by("a").response("r").says("x"), chat(2, 9, 101, 200).by("b").response("r").says("x")],
        // Other answers.
        [chat(1, 9, 0, 100).by("a").says("x"), chat(2, 1, 0, 100).by("b").says("y")],
        // Other models.
        [
            chat(1, 9, 0, 100).by("a").of_model("openai", "gpt-4o").says("x"),
            chat(2, 1, 0, 100).by("b").of_model("openai", "o3").says("x"),
        ],
    ];
    for pair in pairs {
        assert_eq!(rows(&pair).len(), 2, "{:?}", pair[0].partial);
    }
}

#[test]
fn an_outer_span_of_several_calls_is_not_the_last_one() {
    let outer = chat(1, 9, 0, 100).by("framework").says("Done");
    let first = chat(2, 1, 0, 50).by("provider").calls(&[("c", "f", "{}")]);
    let second = chat(3, 1, 50, 100).by("provider").says("Done");
    assert_eq!(rows(&[outer, first, second]).len(), 3);
}

#[test]
fn tellings_in_two_traces_are_one_row_and_share_the_conversation() {
    let framework =
        chat(1, 0, 0, 100).by("framework").of_model("anthropic", "claude").response("r").asks("Hi").says("x");
    let provider = chat(2, 0, 1, 99).by("provider").of_model("anthropic", "claude").response("r").trace(2);
    let other = step(3, 0, 0, 200).trace(2);
    let found = rows(&[framework.clone().conversation("c"), provider.clone(), other]);
    assert_eq!(kinds(&found), ["chat.completion", "graph.step"]);
    let step = row_of(&found, 3);
    assert_eq!((step.conversation_id.as_str(), step.conversation_id_source.as_str()), ("c", "linked:session.id"));
    // Never by the id alone, and never across tenants.
    let later = chat(2, 0, 300, 400).by("provider").of_model("anthropic", "claude").response("r").trace(2);
    assert_eq!(rows(&[framework.clone(), later]).len(), 2);
    assert_eq!(rows(&[framework, provider.tenant("other")]).len(), 2);
}

#[test]
fn a_part_of_its_parents_call_and_an_outer_call_are_told_by_the_tree() {
    let gateway = chat(1, 0, 0, 100).says("x");
    let raw = chat(2, 1, 10, 20).related(Relation::PartOfParent).with(|row| {
        row.tools = Some("[]".into());
    });
    assert_eq!(row(&[gateway, raw]).tools.as_deref(), Some("[]"));
    let outer = || chat(1, 0, 0, 100).related(Relation::CallIfNoCallBelow).says("x").tokens(3, 4);
    assert_eq!(row(&[outer()]).event_type, "chat.completion");
    let found = rows(&[outer(), chat(2, 1, 10, 20).says("x")]);
    assert_eq!(kinds(&found), ["agent.invocation", "chat.completion"]);
    assert_eq!(found[0].tokens, None, "usage is summed over calls only");
    assert_eq!(details(&found[0])["usage"]["prompt_tokens"], 3);
}

#[test]
fn a_step_tells_what_its_one_call_does_not() {
    let step = |id| span("graph.step", id, 0, 0, 100).related(Relation::StepOfCall);
    let told = || step(1).asks("Hi").says("from the step");
    let found = rows(&[told(), chat(2, 1, 10, 20).says("own")]);
    assert_eq!(kinds(&found), ["graph.step", "chat.completion"]);
    assert_eq!((texts(&found[0]), texts(&found[1])), (vec![], vec!["Hi", "own"]));
    let silent = || chat(2, 1, 10, 20).says("");
    assert_eq!(texts(&rows(&[told(), silent()])[1]), ["Hi", "from the step"]);
    // Of several calls it cannot be told which one a step tells of.
    let found = rows(&[told(), silent(), chat(3, 1, 30, 40).says("own")]);
    assert_eq!((texts(&found[1]), texts(&found[2])), (vec![""], vec!["own"]));
}

#[test]
fn the_end_of_a_stream_in_a_span_of_its_own_is_the_same_call() {
    let ask = chat(1, 9, 0, 10).asks("Hi").with(|row| row.model.get_or_insert_default().request = Some("m".into()));
    let end = chat(2, 9, 9, 9).asks("Hi").says("x").with(|row| {
        row.model.get_or_insert_default().request = Some("m".into());
    });
    assert_eq!(texts(&row(&[ask, end])), ["Hi", "x"]);
}

#[test]
fn what_only_the_other_telling_says_is_kept() {
    let framework = chat(1, 9, 0, 100).by("framework").asks("Hi").says("x").of_model("openai", "gpt-4o");
    let mut provider = chat(2, 1, 1, 99).by("provider").says("x").of_model("azure.ai.openai", "gpt-4o");
    provider.partial.attributes.push(Entry { key: "own".into(), json: "1".into() });
    let row = row(&[framework, provider]);
    let rest = &details(&row)["merged_spans"][0];
    assert_eq!((&rest["model"]["provider"], &rest["name"]), (&json!("azure.ai.openai"), &json!("chat.completion 2")));
    assert_eq!(row.attributes.as_deref(), Some("{\"own\":1}"));
}

#[test]
fn a_telling_that_ended_before_its_stream_came_is_the_call_that_began_within_it() {
    let handed_on = chat(1, 9, 0, 10).by("instrumentation").asks("Hi");
    let client = chat(2, 1, 8, 400).by("client").response("r").tokens(5, 2);
    let row = row(&[handed_on.clone(), client.clone()]);
    assert_eq!((texts(&row), row.tokens.as_ref().unwrap().prompt_tokens), (vec!["Hi"], Some(5)));
    // Two calls within it, and one that failed, say of themselves.
    let second = chat(3, 1, 9, 300).by("client").response("s").tokens(6, 2);
    assert_eq!(rows(&[handed_on.clone(), client.clone(), second]).len(), 3);
    let failed = handed_on.with(|row| row.status = Some("error".to_owned()));
    assert_eq!(rows(&[failed, client]).len(), 2);
}

#[test]
fn a_frameworks_span_beside_its_clients_may_leave_the_calls_of_tools_out() {
    let framework = |id| chat(id, 9, 0, 100).by("framework").tokens(109, 43);
    let client = |id, call| chat(id, 9, 5, 60).by("client").response(call).calls(&[(call, "f", "{}")]).tokens(109, 43);
    let row = row(&[framework(1), client(2, "c")]);
    assert_eq!(row.messages[0].tool_calls[0].id.as_deref(), Some("c"));
    // Of two at once nobody knows which it is.
    assert_eq!(rows(&[framework(1), client(2, "c"), client(3, "d")]).len(), 3);
    // Other counts, and a client that lasts longer.
    assert_eq!(rows(&[framework(1).tokens(109, 44), client(2, "c")]).len(), 2);
    let longer = chat(2, 9, 5, 200).by("client").calls(&[("c", "f", "{}")]).tokens(109, 43);
    assert_eq!(rows(&[framework(1), longer]).len(), 2);
}
