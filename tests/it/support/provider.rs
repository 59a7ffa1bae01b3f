//! A model provider that answers every chat in the same words.

use axum::Router;
use axum::routing::post;

/// What it says.
pub(crate) const ANSWER: &str = "It is clear. Leave the umbrella at home.";

/// Starts the provider; gives the base URL for clients.
pub(crate) fn start() -> String {
    let listener = super::wait(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
    let address = listener.local_addr().expect("its address");
    let router = Router::new().route("/v1/chat/completions", post(answer));
    super::runtime().spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}/v1")
}

async fn answer() -> axum::Json<serde_json::Value> {
    axum::Json(serde_json::json!({
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_795_251_600,
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": ANSWER}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 21, "completion_tokens": 9, "total_tokens": 30},
    }))
}
