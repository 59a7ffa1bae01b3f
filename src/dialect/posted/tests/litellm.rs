use super::*;

fn recorded() -> Posted {
    litellm(&golden("stackspot/litellm-1.106.2-generic-api-webhook.json"), None, &config()).unwrap()
}

#[test]
fn eight_calls_are_eight_rows_two_of_them_failed() {
    let posted = recorded();
    let rows = rows(&posted);
    assert!(rows.iter().all(|row| row.event_type == "chat.completion"));
    let failed: Vec<usize> = (0..8).filter(|at| rows[*at].status.as_deref() == Some("error")).collect();
    assert_eq!(failed, [5, 6]);
    let answered = |row: &&Event| row.messages.iter().skip(2).map(|message| message.tool_calls.len()).sum::<usize>();
    assert_eq!(rows.iter().map(answered).collect::<Vec<_>>(), [0, 1, 0, 1, 2, 0, 0, 0]);
    assert!(rows[5].error.as_ref().unwrap().message.as_ref().unwrap().contains("correlation_id"));
    assert!(rows[6].error.as_ref().unwrap().message.as_ref().unwrap().contains("429"));
}

#[test]
fn the_streamed_call_is_taken_out_of_its_text() {
    let posted = recorded();
    let answer = rows(&posted)[3].messages.last().unwrap().clone();
    assert_eq!(answer.content.as_deref(), Some("Vou usar a ferramenta."));
    assert_eq!(answer.tool_calls[0].name, "buscar_tempo");
    let arguments: Value = serde_json::from_str(answer.tool_calls[0].arguments.as_ref().unwrap()).unwrap();
    assert_eq!(arguments, serde_json::json!({"cidade": "São Paulo"}));
    let names: Vec<_> = rows(&posted)[4].messages[2].tool_calls.iter().map(|call| call.name.clone()).collect();
    assert_eq!(names, ["buscar_tempo", "somar"]);
}

#[test]
fn the_conversation_is_the_correlation_id_else_litellms_trace() {
    let posted = recorded();
    let ids: Vec<&str> = rows(&posted).iter().map(|row| row.conversation_id.as_str()).collect();
    assert_eq!((ids[0], ids[4], ids[7]), ("conversa-123", "conversa-123", "conversa-123"));
    assert_eq!(ids[5], "bef14705-9bf2-4914-ad05-6826ff88a98a");
    assert_eq!(rows(&posted)[5].conversation_id_source, "trace");
}

#[test]
fn zeros_are_not_counts_and_the_end_is_no_first_token() {
    let posted = recorded();
    for row in rows(&posted) {
        assert!(row.tokens.as_ref().is_none_or(|tokens| tokens.total_tokens.is_none()));
        assert!(row.notes.iter().any(|note| note.contains("zero")), "{:?}", row.notes);
    }
    let ttft = |at: usize| rows(&posted)[at].timing.as_ref().and_then(|timing| timing.time_to_first_token_ms);
    assert_eq!(ttft(0), None, "not streamed");
    assert!(ttft(2).is_some(), "streamed");
    assert_eq!(rows(&posted)[2].model.as_ref().unwrap().stream, Some(true));
}

#[test]
fn the_callers_key_is_left_out() {
    let posted = recorded();
    for (_, record) in &posted.records {
        assert!(!format!("{record:?}").contains("fake-key"));
    }
}

#[test]
fn cost_of_the_provider_behind_counts() {
    let body = serde_json::json!({"call_type": "completion", "status": "success", "response_cost": 0.0, "messages": "hi",
        "response": {"choices": [{"message": {"role": "assistant", "content": "a"}, "finish_reason": "stop"},
            {"message": {"role": "assistant", "content": "b"}, "finish_reason": "length"}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5, "cost": 0.00042}}});
    let posted = litellm(body.to_string().as_bytes(), None, &config()).unwrap();
    let row = rows(&posted)[0];
    assert_eq!(row.tokens.as_ref().unwrap().cost_usd, Some(0.00042));
    assert_eq!(texts(&row.messages), [("user", Some("hi")), ("assistant", Some("a"))]);
    assert_eq!(details(&posted.records[0].1)["choices"][0]["content"], "b");
    assert_eq!(row.model.as_ref().unwrap().finish_reasons, ["stop", "length"]);
}

#[test]
fn lines_and_single_records_are_taken_too() {
    let list = golden_json("stackspot/litellm-1.106.2-generic-api-webhook.json");
    let lines: Vec<String> = list.as_array().unwrap().iter().map(Value::to_string).collect();
    let posted = litellm(lines.join("\n").as_bytes(), None, &config()).unwrap();
    assert_eq!(posted.accepted(), 8);
    assert_eq!(litellm(lines[0].as_bytes(), None, &config()).unwrap().accepted(), 1);
    let bad = format!("{}\n{{\"hello\": 1}}\nnot json\n", lines[0]);
    let posted = litellm(bad.as_bytes(), None, &config()).unwrap();
    assert_eq!((posted.accepted(), posted.rejected()), (1, 2));
}
