//! The README, held to its word: every query, command line and example of it is run.

use super::collector::Collector;
use super::support::corpus::{self, Run};
use super::support::duck::{Reader, S3};
use super::support::server::{Setup, program};
use super::support::{free_address, go, project, provider, python, readme, rows, s3, skip, until, wait};
use super::support::{load, send};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// Runs a query of the README, or all of it that a line break and a semicolon separate.
fn run(reader: &mut Reader, sql: &str) -> Vec<Vec<Value>> {
    reader.sql(sql.trim().trim_end_matches(';'))
}

/// Whether a statement gives rows to look at.
fn asks(sql: &str) -> bool {
    ["SELECT", "WITH", "FROM"].iter().any(|word| sql.trim_start().starts_with(word))
}

/// Runs every query of the README on the lake below `data` and the JSON lines below `lake`.
fn run_all(reader: &mut Reader, adapt: impl Fn(&str) -> Option<String>) {
    let blocks = readme::blocks("sql");
    assert!(blocks.len() >= 12, "the README's queries were not found");
    for block in blocks {
        let Some(sql) = adapt(&block) else { continue };
        let rows = run(reader, &sql);
        assert!(!asks(&sql) || !rows.is_empty(), "no row of:\n{sql}");
    }
}

/// Converts every golden run into a lake.
fn convert(runs: &[Run], to: &str, format: &str, folder: &Path) {
    let mut command = program();
    command.current_dir(folder).arg("convert").args(runs.iter().map(|run| &run.folder));
    let output = command.args(["--to", to, "--format", format]).output().expect("the program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn every_query_runs_on_local_files_and_all_formats_and_readers_agree() {
    let test = "every_query_runs_on_local_files_and_all_formats_and_readers_agree";
    let folder = TempDir::new().expect("a folder");
    let mut reader = match Reader::new(folder.path(), None) {
        Ok(reader) => reader,
        Err(why) => return skip(test, &why),
    };
    let runs = corpus::golden();
    convert(&runs, "data", "parquet", folder.path());
    convert(&runs, "lake", "jsonl", folder.path());
    convert(&runs, "messages", "proto", folder.path());
    run_all(&mut reader, |sql| (!sql.contains("SECRET")).then(|| sql.to_owned()));

    let accepted = python::run("openai_format.py", &[&folder.path().join("train.jsonl").display().to_string()]);
    assert!(accepted.trim().parse::<u32>().expect("a number") >= 10, "only {accepted} examples in the training set");

    // DuckDB against pyarrow, and Parquet against JSON lines and protobuf: the same rows, and the same in them.
    let ids: Vec<String> = column(&mut reader, "SELECT event_id FROM events ORDER BY 1");
    assert!(ids.len() > 300, "{} rows", ids.len());
    assert_eq!(ids, reader.arrow_ids("data/events"), "DuckDB and pyarrow");
    let lines = rows::parse(&rows::lines_below(&folder.path().join("lake/events")));
    let mut of_lines: Vec<String> =
        lines.iter().map(|row| row["event_id"].as_str().expect("an id").to_owned()).collect();
    of_lines.sort_unstable();
    assert_eq!(ids, of_lines, "Parquet and JSON lines");
    let events = rows::events_below(&folder.path().join("messages/events"));
    let mut of_events: Vec<String> = events.iter().map(|event| event.event_id.clone()).collect();
    of_events.sort_unstable();
    assert_eq!(ids, of_events, "Parquet and protobuf");
    let tokens = reader.number("SELECT sum(tokens.total_tokens)::BIGINT FROM events");
    let of_lines: i64 = lines.iter().filter_map(|row| row.get("tokens")?.get("total_tokens")?.as_i64()).sum();
    let of_events: i64 = events.iter().filter_map(|event| event.tokens.as_ref()?.total_tokens).sum();
    assert_eq!((tokens, tokens), (of_lines, of_events), "tokens in Parquet, JSON lines and protobuf");
    let differing = reader.number(
        "WITH lines AS (FROM read_json('lake/events/**/*.jsonl.zst', union_by_name = true, sample_size = -1))
         SELECT count(*) FROM events JOIN lines USING (event_id)
         WHERE (events.conversation_id, events.status, events.\"timestamp\"::TIMESTAMPTZ, len(events.messages))
           IS DISTINCT FROM
           (lines.conversation_id, lines.status, lines.\"timestamp\"::TIMESTAMPTZ, len(lines.messages))",
    );
    assert_eq!(differing, 0, "rows that differ between Parquet and JSON lines");
}

fn column(reader: &mut Reader, sql: &str) -> Vec<String> {
    reader.sql(sql).iter().map(|row| row[0].as_str().expect("a text").to_owned()).collect()
}

/// The README's queries on rows that a server put into a bucket.
fn on_a_bucket(s3: &S3, folder: &Path) {
    let mut reader = Reader::new(folder, Some(s3)).expect("a reader");
    let mut setup = Setup::new(folder).with("STORE__URL", "s3://my-bucket/chatlake");
    setup.set("ASSEMBLY__LINGER", "1h");
    setup.set("SHUTDOWN__CLOSE_OPEN", "true");
    setup.set("SHUTDOWN__GRACE", "60s");
    let mut server = setup.in_bucket(s3).start();
    let runs = corpus::golden();
    for request in runs.iter().flat_map(|run| &run.requests) {
        wait(send::post_json(&server.http(), request, send::Encoding::Gzip));
    }
    let taken = server.ledger();
    assert_eq!(taken.rejected, 0, "{taken:?}");
    assert!(server.stop_within(Duration::from_secs(90)).success(), "{}", server.said());

    run_all(&mut reader, |sql| {
        if sql.contains("'lake/") {
            return None;
        }
        let place = format!("REGION 'us-east-1', ENDPOINT '{}', URL_STYLE 'path', USE_SSL false", s3.endpoint);
        let sql = sql.replace("REGION 'eu-central-1'", &place);
        let sql = sql.replace("your key id", &s3.key_id).replace("your secret", &s3.secret);
        Some(sql.replace("'data/", "'s3://my-bucket/chatlake/"))
    });
    let ids = column(&mut reader, "SELECT event_id FROM events ORDER BY 1");
    assert_eq!(ids, reader.arrow_ids("my-bucket/chatlake/events"), "DuckDB and pyarrow");

    convert(&runs, "data", "parquet", folder);
    let mut local = Reader::new(folder, None).expect("a reader");
    let of_convert = column(&mut local, "SELECT event_id FROM read_parquet('data/events/**/*.parquet') ORDER BY 1");
    assert_eq!(ids, of_convert, "rows of a server with a bucket, and of convert");
}

#[test]
fn every_query_runs_on_an_s3_server_of_this_process() {
    let test = "every_query_runs_on_an_s3_server_of_this_process";
    if let Err(why) = python::interpreter() {
        return skip(test, &why);
    }
    let folder = TempDir::new().expect("a folder");
    let s3 = s3::serve_bucket(folder.path(), "my-bucket");
    on_a_bucket(&s3, folder.path());
}

#[test]
fn every_query_runs_on_a_real_s3_server() {
    let test = "every_query_runs_on_a_real_s3_server";
    let folder = TempDir::new().expect("a folder");
    let (server, python) = (go::versitygw(), python::interpreter());
    let (server, _) = match (server, python) {
        (Ok(server), Ok(python)) => (server, python),
        (Err(why), _) | (_, Err(why)) => return skip(test, &why),
    };
    let (_child, s3) = go::serve_bucket(&server, folder.path(), "my-bucket");
    on_a_bucket(&s3, folder.path());
}

#[test]
fn the_first_example_gives_the_row_that_the_first_query_shows() {
    let test = "the_first_example_gives_the_row_that_the_first_query_shows";
    let client = match python::environment("client.txt").and_then(|client| python::interpreter().map(|_| client)) {
        Ok(client) => client,
        Err(why) => return skip(test, &why),
    };
    let folder = TempDir::new().expect("a folder");
    let server = Setup::new(folder.path()).start();
    let example = readme::block("python", "OpenAIInstrumentor");
    let script = folder.path().join("example.py");
    fs::write(&script, example.replace("http://127.0.0.1:4318", &server.http())).expect("written");
    let mut command = Command::new(client);
    command.arg(&script).env("OPENAI_BASE_URL", provider::start()).env("OPENAI_API_KEY", "test-key");
    let output = command.output().expect("python starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), provider::ANSWER);

    server.drain(Duration::from_secs(30));
    let mut reader = Reader::new(folder.path(), None).expect("a reader");
    let rows = run(&mut reader, &readme::blocks("sql")[0]);
    assert_eq!(rows.len(), 1, "{rows:?}");
    let told: Vec<&Value> = rows[0][1..].iter().collect();
    assert_eq!(told, ["thread-42", "gpt-4o-mini", "30", provider::ANSWER].map(as_value).iter().collect::<Vec<_>>());
    assert!(server.said().contains("landed"), "{}", server.said());
}

fn as_value(text: &str) -> Value {
    text.parse::<i64>().map_or_else(|_| Value::from(text), Value::from)
}

#[test]
fn pyarrow_reads_the_lake_as_the_readme_says() {
    let test = "pyarrow_reads_the_lake_as_the_readme_says";
    let python = match python::interpreter() {
        Ok(python) => python,
        Err(why) => return skip(test, &why),
    };
    let folder = TempDir::new().expect("a folder");
    convert(&corpus::golden()[..2], "data", "parquet", folder.path());
    let example = readme::block("python", "pyarrow");
    let output =
        Command::new(python).args(["-c", &example]).current_dir(folder.path()).output().expect("python starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.contains(" rows"), "{said}{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_convert_lines_work() {
    let folder = TempDir::new().expect("a folder");
    let recorded = folder.path().join("recorded");
    fs::create_dir(&recorded).expect("a folder");
    let mut runs = corpus::golden();
    runs.retain(|run| run.requests.iter().all(|request| !request.json && request.signal == corpus::Signal::Traces));
    for (number, request) in runs[0].requests.iter().enumerate() {
        fs::write(recorded.join(format!("{number:03}-traces.pb")), &request.body).expect("written");
        let line = send::json(request.signal, &request.body);
        let mut file = fs::read(folder.path().join("traces.jsonl")).unwrap_or_default();
        file.extend([line.as_slice(), b"\n"].concat());
        fs::write(folder.path().join("traces.jsonl"), file).expect("written");
    }
    let lines = readme::block("sh", "chatlake convert");
    let mut printed = Vec::new();
    for line in lines.lines() {
        let words = line.split_whitespace().skip(1);
        let output = program().current_dir(folder.path()).args(words).output().expect("the program starts");
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        printed.push(String::from_utf8(output.stdout).expect("UTF-8"));
    }
    let landed = rows::comparable(&rows::lines_below(&folder.path().join("lake/events")));
    assert_eq!(landed, rows::comparable(&printed[1]), "the same run as protobuf and as JSON lines");
    assert!(!landed.is_empty());
}

/// A command line of the README: its variables, and the words behind them.
fn parse(line: &str) -> (BTreeMap<String, String>, Vec<String>) {
    let words: Vec<&str> = line.split_whitespace().collect();
    let first = words.iter().position(|word| !word.contains('=')).expect("a program");
    let variable = |word: &&str| word.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    let variables = words[..first].iter().filter_map(variable).collect();
    (variables, words[first..].iter().map(|word| (*word).to_owned()).collect())
}

#[test]
fn the_two_lines_run_a_collector_and_the_program_side_by_side() {
    let test = "the_two_lines_run_a_collector_and_the_program_side_by_side";
    let otelcol = match go::collector() {
        Ok(otelcol) => otelcol,
        Err(why) => return skip(test, &why),
    };
    let folder = TempDir::new().expect("a folder");
    let (ours, words) = parse(readme::block("sh", "5317 CHATLAKE_RECEIVERS").trim());
    assert_eq!(words.join(" "), "cargo run --release -- serve");
    let (theirs, words) = parse(readme::block("sh", "QUEUE_DIR").trim());
    assert_eq!(words.join(" "), "otelcol --config collector-config.yaml");

    // The lines as they stand, but for the ports, which may be taken here: each is another one, the same wherever
    // the lines name it.
    let moved: BTreeMap<String, String> =
        ["127.0.0.1:5317", "127.0.0.1:5318"].map(|address| (address.to_owned(), free_address())).into();
    let moved = |value: &String| moved.get(value).unwrap_or(value).clone();
    let mut setup = Setup::quick(folder.path()).with("STORE__FORMAT", "jsonl");
    for (name, value) in &ours {
        setup.set(name.strip_prefix("CHATLAKE_").expect("a variable of ours"), &moved(value));
    }
    let server = setup.start();
    let theirs = theirs.iter().map(|(name, value)| (name.clone(), moved(value))).collect();
    let collector = Collector::start_with(otelcol, folder.path(), theirs);
    assert!(folder.path().join("queue").is_dir(), "the queue is in a local folder");

    let (children, root) = load::trace(12 << 40, 1);
    let request = load::request([children, vec![root]].concat());
    wait(send::Grpc::new(&collector.door("OTLP_GRPC_LISTEN")).traces(request)).expect("taken");
    until("the rows", Duration::from_secs(120), || (server.ledger().landed == 4).then_some(()));
}

#[test]
fn the_two_commands_are_these() {
    let alone: Vec<String> = readme::blocks("sh").into_iter().filter(|block| block.starts_with("cargo")).collect();
    assert_eq!(alone, ["cargo run --release -- serve\n", "cargo test\n"]);
}

#[test]
fn the_configuration_example_is_accepted() {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("chatlake.yaml");
    fs::write(&file, readme::block("yaml", "store:")).expect("written");
    // There is no such bucket here, and `check` looks.
    let mut command = program();
    command.args(["check", "--config"]).arg(&file).env("CHATLAKE_STORE__URL", folder.path());
    let output = command.output().expect("the program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// `CHATLAKE_TEST_REWRITE=1` writes the table anew.
#[test]
fn the_configuration_table_is_complete() {
    let line = |key: &chatlake::config::Key| {
        let default = if key.default.is_empty() { String::new() } else { format!("`{}`", key.default) };
        format!("| `{}` | {default} | {} |\n", key.path, key.about)
    };
    let want: String = chatlake::config::KEYS.iter().map(line).collect();
    let text = readme::text();
    let head = "| key | default | meaning |\n|---|---|---|\n";
    let (before, table) = text.split_once(head).expect("the README has a table of keys");
    let (table, after) = table.split_once("\n\n").expect("text after the table");
    let rewritten = format!("{before}{head}{want}\n{after}");
    if std::env::var("CHATLAKE_TEST_REWRITE").is_ok_and(|value| value == "1") {
        fs::write(project().join("README.md"), rewritten).expect("written");
    } else {
        assert_eq!(format!("{table}\n"), want, "the README's table of keys");
    }
}

#[test]
fn what_the_readme_links_to_is_there() {
    let text = readme::text();
    let headings: Vec<String> = text.lines().filter(|line| line.starts_with('#')).map(anchor).collect();
    for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        match link.strip_prefix('#') {
            Some(heading) => assert!(headings.iter().any(|known| known == heading), "no heading for #{heading}"),
            None => assert!(project().join(link).exists(), "no file {link}"),
        }
    }
    for file in ["collector-config.yaml", "proto/chatlake/v1/event.proto"] {
        assert!(text.contains(file) && project().join(file).exists(), "{file}");
    }
}

fn anchor(heading: &str) -> String {
    let words = heading.trim_start_matches(['#', ' ']).to_lowercase();
    words.chars().filter(|c| c.is_alphanumeric() || *c == ' ').map(|c| if c == ' ' { '-' } else { c }).collect()
}
