//! One request to a running server, over HTTP or, where a proxy stands before it, HTTPS.

use anyhow::Context as _;
use anyhow::bail;
use bytes::Bytes;
use http::Request;
use http::StatusCode;
use http::Uri;
use reqwest::Client;
use reqwest::redirect;
use std::time::Duration;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of an answer.
const LONGEST: usize = 16 << 20;

/// Sends a request to `address` (host and port, or a URL) and gives the answer.
///
/// # Errors
/// When nobody answers, or too much or too late.
pub async fn ask(address: &str, mut request: Request<Bytes>) -> anyhow::Result<(StatusCode, Bytes)> {
    let base = reachable(address)?;
    *request.uri_mut() = format!("{base}{}", request.uri().path()).parse().context("the address")?;
    // A key goes to whom it was meant for, and not where an answer points to.
    let client = Client::builder().timeout(PATIENCE).redirect(redirect::Policy::none());
    // This machine's own servers are not behind a proxy, nor are those that speak plain HTTP.
    let client = if base.starts_with("https://") { client } else { client.no_proxy() };
    let asked = async {
        let mut answer = client.build()?.execute(request.try_into()?).await?;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            body.extend_from_slice(&chunk);
            if body.len() > LONGEST {
                bail!("the answer is longer than {LONGEST} bytes");
            }
        }
        anyhow::Ok((answer.status(), Bytes::from(body)))
    };
    asked.await.with_context(|| format!("{base} does not answer"))
}

/// The URL at which a server that listens there is reached from this machine.
fn reachable(address: &str) -> anyhow::Result<String> {
    let address = address.trim_end_matches('/');
    let (scheme, rest) = address.split_once("://").unwrap_or(("http", address));
    if !matches!(scheme, "http" | "https") {
        bail!("{address}: write HOST:PORT, http://HOST:PORT or https://HOST");
    }
    let rest = match rest.rsplit_once(':') {
        Some(("0.0.0.0", port)) => format!("127.0.0.1:{port}"),
        Some(("[::]", port)) => format!("[::1]:{port}"),
        _ => rest.to_owned(),
    };
    let url = format!("{scheme}://{rest}");
    match url.parse::<Uri>() {
        Ok(uri) if uri.host().is_some_and(|host| !host.is_empty()) => Ok(url),
        _ => bail!("{address}: write HOST:PORT, http://HOST:PORT or https://HOST"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listening_address_becomes_one_to_connect_to() {
        for (listens, reached) in [
            ("127.0.0.1:13133", "http://127.0.0.1:13133"),
            ("0.0.0.0:4318", "http://127.0.0.1:4318"),
            ("[::]:4318", "http://[::1]:4318"),
            ("http://gateway:4318/", "http://gateway:4318"),
            ("https://logs.example.com/chatlake/", "https://logs.example.com/chatlake"),
        ] {
            assert_eq!(reachable(listens).unwrap(), reached);
        }
        for wrong in ["unix:///run/chatlake.sock", "ftp://x:1", "", "a b:1"] {
            assert!(reachable(wrong).unwrap_err().to_string().contains("https://HOST"), "{wrong}");
        }
    }
}
