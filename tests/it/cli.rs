//! What the program prints and how it ends: good, wrong and broken use.

use super::support::child::Child;
use super::support::corpus;
use super::support::rows::{self, files_below};
use super::support::send;
use super::support::server::{Setup, program};
use super::support::until;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;
use tempfile::TempDir;

const GOOD: i32 = 0;
const FAULT: i32 = 1;
const MISUSE: i32 = 2;
const STORAGE: i32 = 74;

fn run(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().expect("the program starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the program prints UTF-8");
    (status.code().expect("it was not killed"), text(stdout), text(stderr))
}

fn check(config: &str) -> (i32, String, String) {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("chatlake.yaml");
    fs::write(&file, config).expect("the configuration is written");
    run(program().current_dir(folder.path()).args(["check", "--config"]).arg(&file))
}

#[track_caller]
fn assert_names(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "`{word}` is not in:\n{text}");
    }
}

#[test]
fn check_prints_the_resolved_configuration() {
    let (code, out, err) = check("receivers: {otlp: {grpc: {endpoint: \"127.0.0.1:5317\"}}}\nroll: {age: 2m}\n");
    assert_eq!(code, GOOD, "{err}");
    assert_names(&out, &["127.0.0.1:5317", "127.0.0.1:4318", "127.0.0.1:13133", "2m"]);
}

#[test]
fn what_check_prints_is_a_configuration_again() {
    let (_, out, _) = check("roll: {age: 2m}\n");
    let (code, again, err) = check(&out);
    assert_eq!(code, GOOD, "{err}");
    assert_eq!(out, again);
}

#[test]
fn check_names_all_faults_at_once_with_their_paths() {
    let (code, _, err) =
        check("receivers: {otlp: {grpc: {endpont: \"127.0.0.1:5317\"}}}\nroll: {ege: 2m, size: 12 parsecs}\n");
    assert_eq!(code, FAULT, "{err}");
    assert_names(&err, &["receivers.otlp.grpc.endpont", "roll.ege", "roll.size"]);
}

#[test]
fn an_unknown_key_of_the_environment_is_a_fault_too() {
    let folder = TempDir::new().expect("a folder");
    let mut command = program();
    let (code, _, err) = run(command.current_dir(folder.path()).env("CHATLAKE_ROLL__EGE", "2m").arg("serve"));
    assert_eq!(code, MISUSE, "{err}");
    assert_names(&err, &["CHATLAKE_ROLL__EGE"]);
    assert!(!folder.path().join("data").exists(), "a refused configuration made files");
}

#[test]
fn secrets_are_not_printed() {
    let folder = TempDir::new().expect("a folder");
    let mut command = program();
    command.current_dir(folder.path()).env("AWS_SECRET_ACCESS_KEY", "canary-4711").env("AWS_ACCESS_KEY_ID", "id");
    let (_, out, err) = run(command.args(["check", "--config", "/dev/null"]));
    assert!(!out.contains("canary-4711") && !err.contains("canary-4711"), "{out}{err}");
}

#[test]
fn names_and_settings_do_not_steer_the_terminal() {
    const EVIL: &str = "a\u{1b}]0;owned\u{7}\u{9b}2J\u{202e}b";
    let folder = TempDir::new().expect("a folder");
    let input = folder.path().join(format!("{EVIL}-traces.json"));
    fs::write(&input, "{bad").expect("a file");
    fs::write(folder.path().join(format!("{EVIL}.txt")), "").expect("a file");
    let path = folder.path().to_str().expect("a name").to_owned();
    let rule = serde_json::json!([{"name": "a", "pattern": format!("BAD({EVIL}")}]).to_string();
    let lake = format!("{path}/{EVIL}");
    for (words, setting, code) in [
        (&["check"][..], ("WEBHOOKS__PUBLIC_URL", format!("https://{EVIL}")), 0),
        (&["check"], ("REDACTION__RULES", rule), 1),
        (&["check", "--config", EVIL], ("X", String::new()), 1),
        (&["serve", "--config", EVIL], ("X", String::new()), 2),
        (&["convert", &path, "--to", "-"], ("STORE__FORMAT", "jsonl".to_owned()), 1),
        (&["convert", &lake, "--to", "-"], ("STORE__FORMAT", "jsonl".to_owned()), 1),
        (&["verify", &lake], ("STORE__FORMAT", "jsonl".to_owned()), 2),
        (&["tail", &lake, "--no-follow"], ("STORE__FORMAT", "jsonl".to_owned()), 2),
    ] {
        let mut command = program();
        command.current_dir(folder.path()).args(words);
        if setting.0 != "X" {
            command.env(format!("CHATLAKE_{}", setting.0), &setting.1);
        }
        let (got, out, err) = run(&mut command);
        let said = out + &err;
        assert!(got == code && said.contains("owned"), "{words:?}: {got}: {said}");
        assert!(!said.contains(['\u{1b}', '\u{7}', '\u{9b}', '\u{202e}']), "{words:?}: {said:?}");
    }
}

#[test]
fn files_of_keys_that_cannot_be_read_are_told_by_check() {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("keys");
    let text =
        format!("auth: {{keys: [{{file: '{0}'}}]}}\nwebhooks: {{meta: [{{secret_file: '{0}'}}]}}\n", file.display());
    let (code, _, err) = check(&text);
    assert_eq!(code, FAULT, "{err}");
    assert_names(&err, &["auth.keys: ", "webhooks.meta: ", "cannot be read"]);
    fs::write(&file, "# none yet\n\n").expect("a file");
    let (code, _, err) = check(&text);
    assert!(code == FAULT && err.contains("holds none"), "{code}: {err}");
    fs::write(&file, "a-key-4711\n").expect("a file");
    let (code, out, err) = check(&text);
    assert!(code == GOOD && !(out + &err).contains("4711"), "{code}: {err}");
}

#[test]
fn a_missing_configuration_file_is_named() {
    let (code, _, err) = run(program().args(["serve", "--config", "no-such-file.yaml"]));
    assert_eq!(code, MISUSE, "{err}");
    assert_names(&err, &["no-such-file.yaml"]);
}

#[test]
fn wrong_arguments_end_with_2_and_help() {
    let (code, _, err) = run(program().arg("sreve"));
    assert_eq!(code, MISUSE);
    assert_names(&err, &["serve", "--help"]);
}

#[test]
fn a_port_in_use_is_named_with_the_way_out() {
    let folder = TempDir::new().expect("a folder");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address").to_string();
    let setup = Setup::new(folder.path()).with("RECEIVERS__OTLP__GRPC__ENDPOINT", &address);
    let (code, _, err) = run(setup.command().arg("serve"));
    assert_eq!(code, FAULT, "{err}");
    assert_names(&err, &[&address, "in use", "receivers.otlp.grpc.endpoint"]);
}

#[test]
fn a_data_folder_that_cannot_be_made_is_named() {
    let folder = TempDir::new().expect("a folder");
    fs::write(folder.path().join("data"), "a file in the way").expect("written");
    let (code, _, err) = run(Setup::new(folder.path()).command().arg("serve"));
    assert_eq!(code, STORAGE, "{err}");
    assert_names(&err, &["data", "data.dir"]);
}

#[test]
fn folders_that_cannot_be_made_are_told_by_check_too() {
    let folder = TempDir::new().expect("a folder");
    fs::write(folder.path().join("file"), "a file in the way").expect("written");
    let setup = |key: &str| Setup::new(folder.path()).with(key, "file/below");
    for (variable, key) in [("DATA__DIR", "data.dir"), ("STORE__URL", "store.url")] {
        let (code, _, err) = run(setup(variable).command().arg("check"));
        assert_eq!(code, FAULT, "{err}");
        assert_names(&err, &[key, "file", "is not a folder"]);
        let (code, _, err) = run(setup(variable).command().arg("serve"));
        assert_eq!(code, STORAGE, "{err}");
        assert_names(&err, &[key, "file/below"]);
    }
}

#[test]
fn clouds_say_which_variables_they_miss() {
    let folder = TempDir::new().expect("a folder");
    let check = |url: &str, variables: &[(&str, &str)]| {
        let mut command = Setup::new(folder.path()).with("STORE__URL", url).command();
        let (code, _, err) = run(command.arg("check").envs(variables.iter().copied()));
        assert_eq!(code, FAULT, "{err}");
        assert!(!err.contains("AWS_"), "{err}");
        err
    };
    assert_names(&check("az://container/lake", &[]), &["store.url", "AZURE_STORAGE_ACCOUNT_NAME"]);
    let missing = check("gs://bucket/lake", &[("GOOGLE_SERVICE_ACCOUNT", "/no/such/key.json")]);
    assert_names(&missing, &["store.url", "/no/such/key.json", "GOOGLE_SERVICE_ACCOUNT"]);
    // Nobody listens there.
    let azure = [
        ("AZURE_STORAGE_ACCOUNT_NAME", "account"),
        ("AZURE_STORAGE_ACCOUNT_KEY", "aHVzaA=="),
        ("AZURE_STORAGE_ENDPOINT", "http://127.0.0.1:9/account"),
        ("AZURE_ALLOW_HTTP", "true"),
    ];
    let nobody = check("az://container/lake", &azure);
    assert_names(&nobody, &["store.url", "az://container/lake", "127.0.0.1:9"]);
    assert!(!nobody.contains("aHVzaA=="), "{nobody}");
}

#[test]
fn a_second_server_on_one_data_folder_is_refused() {
    let folder = TempDir::new().expect("a folder");
    let mut first = Setup::new(folder.path()).start();
    let (code, _, err) = run(Setup::new(folder.path()).command().arg("serve"));
    assert_eq!(code, STORAGE, "{err}");
    assert_names(&err, &["data", "another"]);
    assert!(first.stop().success());
}

#[test]
fn serve_says_where_it_listens_and_how_to_read() {
    let folder = TempDir::new().expect("a folder");
    let mut server = Setup::new(folder.path()).start();
    until("the first lines", Duration::from_secs(120), || server.said().contains("read_parquet").then_some(()));
    let said = server.said();
    let (grpc, http) = (server.grpc(), server.http());
    assert_names(&said, &[grpc.trim_start_matches("http://"), http.trim_start_matches("http://")]);
    assert_names(&said, &["data/events/**/*.parquet", "union_by_name", "modelstat"]);
    assert!(server.stop().success(), "{}", server.said());
}

#[test]
fn a_server_that_is_asked_to_stop_at_once_stops_well() {
    let folder = TempDir::new().expect("a folder");
    let mut child = Child::start(Setup::new(folder.path()).command().arg("serve"));
    std::thread::sleep(Duration::from_millis(20));
    child.terminate();
    let status = child.wait(Duration::from_secs(60));
    // Before the program has set up its handler the signal itself ends it.
    assert!(status.success() || status.code().is_none(), "{status}: {}", child.said());
}

/// A run with something in it: two files of spans.
fn a_run() -> corpus::Run {
    let mut runs = corpus::golden();
    runs.retain(|run| run.requests.iter().all(|request| !request.json));
    runs.swap_remove(0)
}

#[test]
fn convert_gives_the_same_bytes_again() {
    let folder = TempDir::new().expect("a folder");
    let run_folder = a_run().folder;
    let convert = |to: &str| {
        let to = folder.path().join(to);
        let (code, out, err) = run(program().arg("convert").arg(&run_folder).arg("--to").arg(&to));
        assert_eq!((code, out.as_str()), (GOOD, ""), "{err}");
        contents(&to)
    };
    let (once, twice) = (convert("once"), convert("twice"));
    assert!(once.iter().any(|(name, _)| name.ends_with(".parquet")), "{once:?}");
    assert!(once.iter().any(|(name, _)| name.contains("_commits/")), "{once:?}");
    assert_eq!(once, twice);
    assert_eq!(once, convert("once"), "a repeat into the same folder changes nothing");
}

fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let files = files_below(folder).into_iter();
    let read = |file: std::path::PathBuf| {
        let name = file.strip_prefix(folder).expect("below it").display().to_string();
        (name, fs::read(&file).expect("readable"))
    };
    files.map(read).collect()
}

#[test]
fn convert_writes_lines_to_standard_output_and_words_to_standard_error() {
    let (code, out, err) = run(program().arg("convert").arg(&a_run().folder).args(["--to", "-"]));
    assert_eq!(code, GOOD, "{err}");
    assert!(!rows::parse(&out).is_empty());
    assert_names(&err, &["rows"]);
}

#[test]
fn convert_skips_what_is_no_otlp_in_a_folder_and_says_so() {
    let folder = TempDir::new().expect("a folder");
    let recorded = a_run();
    for (number, request) in recorded.requests.iter().enumerate() {
        let signal = request.signal.path().trim_start_matches("/v1/");
        fs::write(folder.path().join(format!("{number:03}-{signal}.pb")), &request.body).expect("written");
    }
    let lines = |folder: &Path| {
        let (code, out, err) = run(program().arg("convert").arg(folder).args(["--to", "-"]));
        (code, rows::comparable(&out), err)
    };
    let (code, before, err) = lines(folder.path());
    assert_eq!(code, GOOD, "{err}");
    fs::write(folder.path().join("900-metrics.pb"), [8, 1]).expect("written");
    fs::write(folder.path().join("meta.json"), "{\"about\": \"the run\"}").expect("written");
    let (code, after, err) = lines(folder.path());
    assert_eq!(code, GOOD, "{err}");
    assert_names(&err, &["900-metrics.pb", "meta.json"]);
    assert_eq!(before, after);

    fs::write(folder.path().join("901-traces.pb"), "this is no protobuf").expect("written");
    let (code, whole, err) = lines(folder.path());
    assert_eq!(code, FAULT, "a file that is named as spans must parse: {err}");
    assert_names(&err, &["901-traces.pb"]);
    assert_eq!(before, whole, "a bad file costs its neighbours nothing");
}

#[test]
fn convert_reads_pipes() {
    let folder = TempDir::new().expect("a folder");
    let recorded = a_run();
    let request = recorded.requests.iter().find(|request| request.signal == corpus::Signal::Traces).expect("spans");
    let files = ["a-traces.pb", "a.jsonl"].map(|name| folder.path().join(name));
    fs::write(&files[0], &request.body).expect("written");
    fs::write(&files[1], send::json(request.signal, &request.body)).expect("written");
    let lines = |input: &str, from: &Path| {
        let from = fs::File::open(from).expect("readable");
        let mut command = program();
        let (code, out, err) = run(command.args(["convert", input, "--to", "-"]).stdin(from));
        assert_eq!(code, GOOD, "{err}");
        rows::comparable(&out)
    };
    let (_, out, _) = run(program().arg("convert").arg(&files[0]).args(["--to", "-"]));
    for file in &files {
        assert_eq!(lines("-", file), rows::comparable(&out), "{}", file.display());
    }
    // A pipe can be read only once.
    let mut cat = Command::new("cat").arg(&files[1]).stdout(std::process::Stdio::piped()).spawn().expect("cat starts");
    let pipe = cat.stdout.take().expect("its output");
    let mut command = program();
    let (code, piped, err) = run(command.args(["convert", "/dev/stdin", "--to", "-"]).stdin(pipe));
    assert!(cat.wait().expect("it ends").success());
    assert_eq!((code, rows::comparable(&piped)), (GOOD, rows::comparable(&out)), "{err}");
}

#[test]
fn convert_says_when_there_was_nothing_to_read() {
    let folder = TempDir::new().expect("a folder");
    let (code, out, err) = run(program().arg("convert").arg(folder.path()).args(["--to", "-"]));
    assert_eq!((code, out.as_str()), (GOOD, ""), "{err}");
    assert_names(&err, &["nothing", ".pb", ".jsonl"]);
}

#[test]
fn convert_of_a_file_that_is_not_there_is_a_fault() {
    let (code, _, err) = run(program().args(["convert", "no-such-run", "--to", "-"]));
    assert_eq!(code, FAULT, "{err}");
    assert_names(&err, &["no-such-run"]);
}

#[test]
fn pages_of_the_admin_address_answer() {
    let folder = TempDir::new().expect("a folder");
    let server = Setup::new(folder.path()).start();
    let (status, _) = server.admin("/healthz").expect("an answer");
    assert_eq!(status, 200);
    let (status, page) = server.admin("/metrics").expect("an answer");
    assert_eq!(status, 200);
    assert_names(&page, &["chatlake_records_received_total", "chatlake_records_buffered"]);
}
