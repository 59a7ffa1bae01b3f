//! The crate `modelstat` as its users use it.
//!
//! ```text
//! modelstat-client BASE KEY      a few calls to BASE, as excerpts and as full turns
//! modelstat-client default KEY   600 calls to where it sends when told nothing
//! ```
//!
//! Prints one JSON line with what the client says of itself afterwards.

use chrono::DateTime;
use modelstat::{Client, Config, GitContext, LlmCall, TokenUsage, ToolCallInput, ToolCallStatus};
use serde_json::json;
use std::time::Duration;

#[tokio::main]
async fn main() {
    let [base, key] = std::env::args().skip(1).collect::<Vec<_>>().try_into().expect("BASE KEY");
    let config = Config::new(key, "raw_sdk_openai", "checkout-api").with_metadata("environment", "prod");
    let dropped = if base == "default" {
        let client = Client::new(config);
        for number in 0..600 {
            client.record(call("sess-1", 0).text(format!("question {number}"), "answer"));
        }
        ended(client).await
    } else {
        let mut dropped = 0;
        for (raw, session) in [(false, "sess-excerpt"), (true, "sess-raw")] {
            let client = Client::new(config.clone().with_remote(&base, raw));
            let mut with_tool = call(session, 0).text("write to ada@example.com", "é ".repeat(400));
            with_tool.tool_calls.push(tool());
            client.record(with_tool);
            client.record(call(session, 2000).metadata("environment", "test").metadata("feature", "search"));
            dropped += ended(client).await;
        }
        dropped
    };
    println!("{}", json!({"version": "0.1.0", "dropped": dropped}));
}

async fn ended(client: Client) -> u64 {
    client.flush().await;
    let dropped = client.dropped();
    client.shutdown().await;
    dropped
}

fn at(millis: i64) -> DateTime<chrono::Utc> {
    DateTime::from_timestamp_millis(1_795_000_000_000 + millis).expect("a time")
}

fn call(session: &str, millis: i64) -> LlmCall {
    let tokens = TokenUsage { input: 800, output: 120, cache_creation: 1, cache_read: 2, reasoning: 30 };
    let mut call = LlmCall::new("openai", session).model("gpt-4o").tokens(tokens).first_token_at(at(millis + 150));
    call.started_at = at(millis);
    call.duration = Some(Duration::from_millis(1234));
    call.cwd = Some("/srv/app".to_owned());
    call.git = Some(GitContext {
        remote_slug: Some("acme/shop".to_owned()),
        host: Some("github.com".to_owned()),
        branch: Some("main".to_owned()),
        slug_source: Some("git_remote".to_owned()),
    });
    call
}

fn tool() -> ToolCallInput {
    let mut tool = ToolCallInput::new("search", ToolCallStatus::Timeout);
    tool.server = "mcp:web".to_owned();
    tool.args = Some(json!({"units": "metric", "city": "São Paulo"}));
    tool.result_bytes = 42;
    tool.started_at = at(200);
    tool.ended_at = Some(at(285));
    tool
}
