//! One request to a running server, over plain HTTP.

use anyhow::Context as _;
use anyhow::bail;
use bytes::Bytes;
use http::Request;
use http::StatusCode;
use http::header::HOST;
use http_body_util::BodyExt as _;
use http_body_util::Full;
use http_body_util::Limited;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of an answer.
const LONGEST: usize = 16 << 20;

/// Sends a request to `address` (host and port, perhaps with `http://`) and gives the answer.
///
/// # Errors
/// When nobody answers, or too much or too late.
pub async fn ask(address: &str, mut request: Request<Bytes>) -> anyhow::Result<(StatusCode, Bytes)> {
    let address = reachable(address)?;
    request.headers_mut().insert(HOST, address.parse().context("the address")?);
    let asked = async {
        let stream = TcpStream::connect(&address).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let answer = async {
            let (head, body) = sender.send_request(request.map(Full::new)).await?.into_parts();
            let body = Limited::new(body, LONGEST).collect().await.map_err(anyhow::Error::from_boxed)?;
            // The connection ends when nobody can send any more.
            drop(sender);
            anyhow::Ok((head.status, body.to_bytes()))
        };
        let (_, answer) = tokio::join!(connection, answer);
        answer
    };
    match timeout(PATIENCE, asked).await {
        Ok(answer) => answer.with_context(|| format!("{address} does not answer")),
        Err(_) => bail!("{address} has not answered within {PATIENCE:?}"),
    }
}

/// Where a server that listens there is reached from this machine.
fn reachable(address: &str) -> anyhow::Result<String> {
    let address = address.strip_prefix("http://").unwrap_or(address).trim_end_matches('/');
    if address.contains("://") {
        bail!("{address}: only plain http:// is spoken here");
    }
    Ok(match address.rsplit_once(':') {
        Some(("0.0.0.0", port)) => format!("127.0.0.1:{port}"),
        Some(("[::]", port)) => format!("[::1]:{port}"),
        _ => address.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listening_address_becomes_one_to_connect_to() {
        for (listens, reached) in [
            ("127.0.0.1:13133", "127.0.0.1:13133"),
            ("0.0.0.0:4318", "127.0.0.1:4318"),
            ("[::]:4318", "[::1]:4318"),
            ("http://gateway:4318/", "gateway:4318"),
        ] {
            assert_eq!(reachable(listens).unwrap(), reached);
        }
        assert!(reachable("https://x:1").is_err());
    }
}
