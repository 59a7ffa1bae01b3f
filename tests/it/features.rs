//! What the five systems before this one did, row by row: the tests that hold it here, or why there is none.
//!
//! The rows are those of the reference's feature table; where that is at hand, the list is held against it. Every test
//! named here is looked for in the sources, so that the list cannot speak of one that is gone.

use super::support::rows::files_below;
use super::support::{project, say, shared};
use std::collections::BTreeSet;
use std::fs;

/// How a row is answered.
enum Held {
    /// By these tests.
    By(&'static [&'static str]),
    /// By none.
    Not(&'static str),
}

use Held::{By, Not};

const ROWS: &[(&str, Held)] = &[
    ("Bearer key on every request", By(&["keys_are_asked_for_at_every_door_and_health_is_not"])),
    ("Real InsideLLM client, base URL only", By(&["real_clients_of_insidellm_and_stackifier_lose_nothing"])),
    (
        "One event as object, many as array",
        By(&["recorded_requests_become_their_rows", "one_event_is_an_object_and_many_are_a_list"]),
    ),
    ("Health probe", By(&["keys_are_asked_for_at_every_door_and_health_is_not"])),
    ("Real modelstat client with no configuration", By(&["real_clients_of_modelstat_find_their_own_door"])),
    (
        "modelstat 0.0.1 and 0.1.0 together",
        By(&["recorded_requests_become_their_rows", "modelstat_001_and_rust_are_the_same_rows"]),
    ),
    ("Remote excerpt and raw routes", By(&["recorded_requests_become_their_rows"])),
    (
        "Real HuggingPlace clients (Python, Node)",
        Not("no registry has them: their recorded requests stand in, recorded_requests_become_their_rows"),
    ),
    ("Exact success answer", By(&["answers_are_what_the_clients_want"])),
    ("Error classes by status", By(&["refusals_are_json_with_a_message_and_store_nothing"])),
    ("Stackifier lines over HTTP", By(&["stackifier_lines_are_rows"])),
    (
        "Stackifier's own S3 writer as client",
        By(&["real_clients_of_insidellm_and_stackifier_lose_nothing", "the_s3_writer_puts_lines_and_finds_nothing"]),
    ),
    (
        "OTLP traces over HTTP and gRPC",
        By(&["a_gateways_spans_and_webhook_tell_the_same_calls", "every_door_gives_the_same_rows"]),
    ),
    (
        "LiteLLM JSON webhook",
        By(&["eight_calls_are_eight_rows_two_of_them_failed", "real_litellm_posts_and_exports_its_calls"]),
    ),
    ("WhatsApp from Meta", By(&["webhooks_are_let_in_by_signature_alone", "metas_vector_fits_its_raw_body_only"])),
    (
        "WhatsApp from Twilio/BSP",
        By(&["webhooks_are_let_in_by_signature_alone", "twilios_vectors_fit_and_name_their_sender"]),
    ),
    (
        "Non-blocking clients, fast answer",
        Not("answers wait for the log, never for the store; the time is measured by the bench `ingest`"),
    ),
    ("Retries produce no duplicates", By(&["a_retry_storm_leaves_single_rows"])),
    (
        "Id collision is not loss",
        By(&[
            "a_retry_storm_leaves_single_rows",
            "a_resend_is_dropped_and_another_body_under_its_id_is_kept_and_marked",
        ]),
    ),
    ("Bad record does not sink the batch", By(&["a_bad_record_lands_apart_and_costs_nothing_else"])),
    ("Lenient numbers and unknown keys", By(&["numbers_as_text_are_numbers_and_unknown_keys_stay"])),
    ("Backpressure without loss", By(&["rows_wait_for_a_bucket_that_is_missing"])),
    ("Overflow and loss counters", By(&["the_ledger_balances_after_every_change"])),
    ("Queue statistics", By(&["failures_are_counted_by_operation_and_kind", "pages_of_the_admin_address_answer"])),
    ("Concurrency, thread safety", By(&["kills_under_load_lose_nothing_and_double_nothing"])),
    ("OpenAI-style roles and content", By(&["stackifier_lines_are_rows"])),
    (
        "Tool calls on assistant messages",
        By(&["stackifier_lines_are_rows", "the_flat_form_has_the_arguments_as_a_value"]),
    ),
    ("Arguments as string or object", By(&["stackifier_lines_are_rows", "decorators_and_callbacks_are_read"])),
    ("Message from several choices, finish reason", By(&["cost_of_the_provider_behind_counts"])),
    ("Conversation id, new conversation", By(&["huggingplace_later_fields"])),
    (
        "Run and session lifecycle",
        By(&["functions_and_tools_are_executions", "ids_people_and_parents_are_the_events_own"]),
    ),
    ("Parent chain", By(&["ids_people_and_parents_are_the_events_own"])),
    ("User input, agent response", By(&["what_people_and_agents_said_is_messages"])),
    ("Reasoning, planning", By(&["special_blocks_stand_in_details"])),
    (
        "LLM request and response",
        By(&["recorded_requests_become_their_rows", "an_answer_is_the_whole_call_whatever_the_order"]),
    ),
    ("Streaming chunks", By(&["an_answer_is_the_whole_call_whatever_the_order"])),
    ("Function execution", By(&["functions_and_tools_are_executions"])),
    ("External API calls", By(&["special_blocks_stand_in_details"])),
    ("Errors, validation errors, timeouts", By(&["faults_have_their_status", "special_blocks_stand_in_details"])),
    ("Performance metrics", By(&["special_blocks_stand_in_details"])),
    ("User feedback", By(&["faults_have_their_status", "huggingplace_later_fields"])),
    ("Prompt/response logging", By(&["huggingplace_in_all_spellings"])),
    ("All spellings", By(&["huggingplace_in_all_spellings"])),
    ("Steps", By(&["huggingplace_later_fields"])),
    ("`log_step` alone", By(&["huggingplace_steps_sessions_faults_and_tests"])),
    ("Sessions with defaults", By(&["huggingplace_steps_sessions_faults_and_tests"])),
    (
        "Timed logging, error logging",
        By(&["huggingplace_later_fields", "huggingplace_steps_sessions_faults_and_tests"]),
    ),
    ("User metadata, roles, org", By(&["huggingplace_later_fields", "huggingplace_in_all_spellings"])),
    ("Data context, second model", By(&["huggingplace_later_fields"])),
    ("Environment mode", By(&["huggingplace_later_fields", "a_row_goes_where_the_template_says"])),
    ("Connection test", By(&["huggingplace_steps_sessions_faults_and_tests"])),
    (
        "Free metadata",
        By(&["huggingplace_steps_sessions_faults_and_tests", "modelstat_tags_are_capped_as_the_client_does"]),
    ),
    (
        "Graph node path, step, graph id",
        By(&["stackifier_lines_are_rows", "langgraph_metadata_places_a_span_in_its_graph"]),
    ),
    ("Node latency", By(&["every_golden_case_gives_its_rows"])),
    ("Tool latencies", By(&["stackifier_lines_are_rows", "functions_and_tools_are_executions"])),
    (
        "Tool call status and error",
        By(&["functions_and_tools_are_executions", "a_tool_call_without_its_event_is_a_row"]),
    ),
    ("Privacy-reduced tool records", By(&["modelstat_010_has_usage_tools_git_and_tags"])),
    (
        "Tool latency from end time",
        By(&["modelstat_001_and_rust_are_the_same_rows", "modelstat_010_has_usage_tools_git_and_tags"]),
    ),
    (
        "Time to first token",
        By(&["modelstat_010_has_usage_tools_git_and_tags", "zeros_are_not_counts_and_the_end_is_no_first_token"]),
    ),
    (
        "Total latency",
        By(&["modelstat_010_has_usage_tools_git_and_tags", "an_answer_has_tokens_cost_latency_and_reason"]),
    ),
    (
        "Token counts",
        By(&["modelstat_010_has_usage_tools_git_and_tags", "zeros_are_not_counts_and_the_end_is_no_first_token"]),
    ),
    ("Cost", By(&["cost_of_the_provider_behind_counts"])),
    (
        "Billing mode, account",
        By(&["modelstat_001_and_rust_are_the_same_rows", "modelstat_010_has_usage_tools_git_and_tags"]),
    ),
    ("Event kinds", By(&["modelstat_001_and_rust_are_the_same_rows"])),
    ("Git context, working directory", By(&["modelstat_010_has_usage_tools_git_and_tags"])),
    ("Taxonomy switch", By(&["modelstat_010_has_usage_tools_git_and_tags"])),
    ("Tag layers and caps", By(&["modelstat_tags_are_capped_as_the_client_does"])),
    ("Deterministic ids", By(&["modelstat_ids_are_the_clients"])),
    ("LiteLLM calls", By(&["both_generations_tell_the_same_eight_calls"])),
    ("LangChain, LangGraph, CrewAI, Vertex, OpenRouter calls", By(&["every_golden_case_gives_its_rows"])),
    ("InsideLLM LangChain callback, decorators, tracker", By(&["decorators_and_callbacks_are_read"])),
    (
        "Wrapped OpenAI/Anthropic clients",
        Not("the recording is read by json_of_all_recordings_is_json; the wrapper needs a provider"),
    ),
    ("Text, image, document", By(&["every_message_has_what_its_kind_has"])),
    ("All other types", By(&["every_message_has_what_its_kind_has"])),
    ("Delivery states", By(&["states_of_delivery_are_told_apart"])),
    ("Several messages in one payload", By(&["each_message_and_status_is_a_row_of_its_conversation"])),
    ("Stable conversations", By(&["webhooks_are_let_in_by_signature_alone"])),
    ("Direction and user number for Twilio", By(&["twilio_tells_direction_and_user"])),
    ("Template category, pricing", By(&["states_of_delivery_are_told_apart"])),
    ("Repeated delivery", By(&["a_replay_is_answered_as_the_first_and_stores_nothing"])),
    ("completion / acompletion / streaming / astreaming observed", By(&["both_generations_tell_the_same_eight_calls"])),
    (
        "Correlation id → conversation",
        By(&[
            "the_conversation_is_the_correlation_id_else_litellms_trace",
            "both_generations_tell_the_same_eight_calls",
        ]),
    ),
    (
        "Missing correlation id",
        By(&["eight_calls_are_eight_rows_two_of_them_failed", "calls_learn_of_authentication_requests_and_failures"]),
    ),
    ("Text markers → tool calls", By(&["all_cases_of_the_table_are_read_as_proposed"])),
    (
        "Streamed tool call",
        By(&["the_streamed_call_is_taken_out_of_its_text", "both_generations_tell_the_same_eight_calls"]),
    ),
    (
        "No doubled calls",
        By(&["a_call_that_came_twice_keeps_the_good_name", "both_generations_tell_the_same_eight_calls"]),
    ),
    ("Upstream failures", By(&["eight_calls_are_eight_rows_two_of_them_failed"])),
    (
        "Authentication time and result",
        By(&["calls_learn_of_authentication_requests_and_failures", "a_call_for_a_token_is_an_http_call"]),
    ),
    ("Doubled upstream call visible", By(&["calls_learn_of_authentication_requests_and_failures"])),
    ("Tool-call, connection, parse log lines", By(&["log_lines_give_their_numbers"])),
    ("Chunks and response size", By(&["log_lines_give_their_numbers"])),
    (
        "Log level setting",
        Not("not offered: the application or the Collector filters by severity; rows keep it in details.severity"),
    ),
    ("OpenAI endpoints, models, health of the proxy", Not("the proxy's own: chatlake observes it")),
    ("PydanticAI client", By(&["every_golden_case_gives_its_rows"])),
    ("Prometheus, OpenTelemetry, health checks (named as next steps)", By(&["pages_of_the_admin_address_answer"])),
    (
        "Caller key never exported",
        By(&["a_gateways_spans_and_webhook_tell_the_same_calls", "the_callers_key_is_left_out"]),
    ),
    ("Secret floor", By(&["floor_gives_what_the_sdk_gives"])),
    ("E-mail and home paths", By(&["floor_gives_what_the_sdk_gives"])),
    ("Stronger set", By(&["strict_sees_what_floor_misses", "strict_takes_nothing_by_mistake"])),
    ("Applied everywhere", By(&["no_secret_survives_the_floor_anywhere"])),
    ("Marks and counts", By(&["modelstat_010_has_usage_tools_git_and_tags"])),
    ("Idempotent", By(&["twice_is_once"])),
    ("Policy none", By(&["none_leaves_everything_and_says_so"])),
    ("Excerpt mode ≤320", By(&["excerpts_are_cut_between_characters"])),
    ("Hash-only tool arguments", By(&["arguments_are_told_as_the_python_sdk_tells_them"])),
    ("Raw full turns", By(&["recorded_requests_become_their_rows"])),
    ("Local summarising by a model", Not("out of scope: excerpts and hashes instead")),
    ("No key in configuration dumps", By(&["secrets_are_not_printed", "keys_name_their_bearers_and_are_not_printed"])),
    ("Local JSONL first, no other service", By(&["recorded_requests_become_their_rows"])),
    ("Survives a crash", By(&["kills_under_load_lose_nothing_and_double_nothing"])),
    ("S3 export, key template", By(&["every_query_runs_on_a_real_s3_server", "a_row_goes_where_the_template_says"])),
    ("Never overwrite", By(&["another_object_under_the_key_is_refused_and_left_alone"])),
    ("UTC partitions, escaped ids", By(&["no_value_makes_or_leaves_a_folder"])),
    ("Credentials, region, custom endpoint", By(&["rows_wait_for_the_right_credentials"])),
    ("Parquet", By(&["every_query_runs_on_local_files_and_all_formats_and_readers_agree"])),
    ("Custom writer", Not("out of scope: other exporters than the lake are left to an issue of their own")),
    ("Explicit flush, clean shutdown", By(&["a_server_that_is_asked_to_stop_at_once_stops_well"])),
    (
        "In-memory transport for tests",
        Not("out of scope: other exporters than the lake are left to an issue of their own"),
    ),
    ("Offline logger: json, csv, pretty", By(&["what_is_emitted_is_tailed_listed_and_shown_without_its_controls"])),
    ("Session files, summary, list, export", By(&["what_is_emitted_is_tailed_listed_and_shown_without_its_controls"])),
    ("Rotation", By(&["past_the_cap_rows_flow_over_into_the_widest_key"])),
    ("Environment configuration", By(&["a_variable_beats_the_file"])),
    ("Command-line logging and test", By(&["what_is_emitted_is_tailed_listed_and_shown_without_its_controls"])),
    ("Replay a conversation", By(&["a_conversation_reads_as_text_rows_and_a_request_in_every_format"])),
    (
        "Cost, latency, comparison by model, audit",
        By(&["every_query_runs_on_local_files_and_all_formats_and_readers_agree"]),
    ),
    ("Alerting, cache, load balancing, rate limiting (named as next steps)", Not("out of scope: outside a sidecar")),
];

#[test]
fn every_row_of_the_feature_table_is_held_or_says_why_not() {
    let tests = tests();
    let mut gone = Vec::new();
    for (row, held) in ROWS {
        match held {
            By(names) => {
                gone.extend(names.iter().filter(|name| !tests.contains(**name)).map(|name| format!("{row}: {name}")));
                say(&format!("{row} | {} | held", names.join(", ")));
            }
            Not(why) => say(&format!("{row} | - | {why}")),
        }
    }
    assert!(gone.is_empty(), "tests that are gone:\n  {}", gone.join("\n  "));
    let Some(shared) = shared() else { return say("SKIPPED the table itself: the reference is not here") };
    let text = fs::read_to_string(shared.join("reference/seeds.md")).expect("the reference");
    let (_, table) = text.split_once("\n## 11").expect("its feature table");
    let is_head = |row: &str| row.is_empty() || row == "Feature" || row.starts_with("---");
    let cells = table.lines().filter_map(|line| line.strip_prefix('|')?.split('|').next()).map(str::trim);
    let wanted: Vec<&str> = cells.filter(|row| !is_head(row)).collect();
    let told: Vec<&str> = ROWS.iter().map(|(row, _)| *row).collect();
    assert_eq!(told, wanted, "the rows of the reference");
}

/// The names of all tests of the project.
fn tests() -> BTreeSet<String> {
    let files = ["src", "tests/it"].into_iter().flat_map(|folder| files_below(&project().join(folder)));
    let mut names = BTreeSet::new();
    for file in files.filter(|file| file.extension().is_some_and(|end| end == "rs")) {
        let text = fs::read_to_string(&file).expect("a source can be read");
        let mut lines = text.lines().map(str::trim);
        while let Some(line) = lines.next() {
            if line == "#[test]" || line == "#[tokio::test]" {
                let name = lines.find_map(|line| line.split_once("fn ")?.1.split('(').next());
                names.extend(name.map(str::to_owned));
            }
        }
    }
    names
}
