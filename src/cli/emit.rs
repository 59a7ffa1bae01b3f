//! `chatlake emit`: one event, or a few, from the command line or from stdin to a running server.

use crate::cli::Status;
use crate::cli::check;
use crate::cli::http;
use crate::cli::plain;
use crate::cli::store;
use ::http::Request;
use ::http::header::AUTHORIZATION;
use ::http::header::CONTENT_TYPE;
use anyhow::Context as _;
use bytes::Bytes;
use std::io::Read as _;
use std::path::PathBuf;

/// What `emit` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The event, as JSON; `-` or nothing: from stdin.
    #[arg(value_name = "JSON")]
    event: Option<String>,
    /// In whose form it is.
    #[arg(long = "as", value_enum, default_value_t = Form::Event)]
    form: Form,
    /// Where the server takes HTTP, HOST:PORT or a URL; without it, what the configuration says.
    #[arg(long, value_name = "ADDRESS")]
    to: Option<String>,
    /// File with the key that the server asks for.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Configuration file; without it, environment variables and defaults.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// The forms of events, by the door that takes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// A row of our own form.
    Event,
    /// An event of InsideLLM.
    Insidellm,
    /// An interaction of HuggingPlace.
    Huggingplace,
    /// A batch of modelstat.
    Modelstat,
    /// A call of LiteLLM's webhook.
    Litellm,
}

impl Form {
    fn path(self) -> &'static str {
        match self {
            Self::Event => "/v1/events",
            Self::Insidellm => "/api/v1/ingest",
            Self::Huggingplace => "/v2/chatgpt/store_generated_response",
            Self::Modelstat => "/v1/ingest",
            Self::Litellm => "/webhooks/litellm",
        }
    }
}

/// Runs `emit`. When it ends well, the event is on the server's disk.
pub fn run(arguments: &Arguments) -> Status {
    let body = match body(arguments) {
        Ok(body) => body,
        Err(error) => {
            eprintln!("{}", plain::line(&format!("{error:#}")));
            return Status::Usage;
        }
    };
    let to = match &arguments.to {
        Some(to) => to.clone(),
        None => match check::read(arguments.config.as_deref()) {
            Ok(config) => config.http_endpoint,
            Err(faults) => {
                eprintln!("{}", plain::block(&faults, ""));
                return Status::Usage;
            }
        },
    };
    match store::wait(send(arguments, &to, body)).flatten() {
        Ok(status) => status,
        Err(error) => {
            let hint = "is `chatlake serve` running, and is this its receivers.otlp.http.endpoint?";
            eprintln!("{}: {hint}", plain::line(&format!("{error:#}")));
            Status::Fault
        }
    }
}

/// The event; what is no JSON is not sent.
fn body(arguments: &Arguments) -> anyhow::Result<String> {
    let body = match arguments.event.as_deref() {
        Some(event) if event != "-" => event.to_owned(),
        _ => {
            let mut body = String::new();
            std::io::stdin().read_to_string(&mut body).context("read stdin")?;
            body
        }
    };
    let mut values = serde_json::Deserializer::from_str(&body).into_iter::<serde::de::IgnoredAny>();
    match values.next() {
        Some(Ok(_)) => {}
        Some(Err(error)) => return Err(error).context("the event is not JSON"),
        None => anyhow::bail!("there is no event: give it as an argument or on stdin"),
    }
    Ok(body)
}

async fn send(arguments: &Arguments, to: &str, body: String) -> anyhow::Result<Status> {
    let mut request = Request::post(arguments.form.path()).header(CONTENT_TYPE, "application/json");
    if let Some(file) = &arguments.key_file {
        let key = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
        request = request.header(AUTHORIZATION, format!("Bearer {}", key.trim()));
    }
    let (status, answer) = http::ask(to, request.body(Bytes::from(body))?).await?;
    let answer = plain::json(String::from_utf8_lossy(&answer).trim());
    if status.is_success() {
        println!("{answer}");
        if rejected(&answer) == 0 {
            return Ok(Status::Good);
        }
        eprintln!("what cannot be read is kept below _dead/, with the reason");
        return Ok(Status::Fault);
    }
    eprintln!("{} answers {status}: {answer}", plain::line(to));
    Ok(Status::Fault)
}

/// How many events the server could not read, where it says so.
fn rejected(answer: &str) -> u64 {
    let answer: serde_json::Value = serde_json::from_str(answer).unwrap_or_default();
    answer.get("rejected").and_then(serde_json::Value::as_u64).unwrap_or_default()
}
