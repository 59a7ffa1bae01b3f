//! Clients of the OTLP doors: gRPC and HTTP, protobuf and JSON, plain and compressed.

use super::corpus::{Request, Signal};
use super::otlp_json;
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use prost::Message as _;
use std::io::Write as _;
use std::time::Duration;
use tonic::Status;
use tonic::codec::CompressionEncoding;
use tonic::transport::{Channel, Endpoint};

/// Longer than any answer of a healthy server takes.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A connection to the gRPC door.
#[derive(Debug, Clone)]
pub(crate) struct Grpc {
    channel: Channel,
    compression: Option<CompressionEncoding>,
}

impl Grpc {
    /// A client of `http://host:port`, which connects when it first sends.
    pub(crate) fn new(endpoint: &str) -> Self {
        let _guard = super::runtime().enter();
        let endpoint = Endpoint::from_shared(endpoint.to_owned()).expect("an address").timeout(TIMEOUT);
        Self { channel: endpoint.connect_lazy(), compression: None }
    }

    /// The same with compressed requests.
    pub(crate) fn compressed(self, compression: CompressionEncoding) -> Self {
        Self { compression: Some(compression), ..self }
    }

    /// Sends spans; gives how many were rejected, and the reason.
    pub(crate) async fn traces(&self, request: ExportTraceServiceRequest) -> Result<(i64, String), Status> {
        let mut client = TraceServiceClient::new(self.channel.clone());
        if let Some(compression) = self.compression {
            client = client.send_compressed(compression);
        }
        let answer = client.export(request).await?.into_inner();
        Ok(answer.partial_success.map_or_else(Default::default, |part| (part.rejected_spans, part.error_message)))
    }

    /// Sends log records; gives how many were rejected, and the reason.
    pub(crate) async fn logs(&self, request: ExportLogsServiceRequest) -> Result<(i64, String), Status> {
        let mut client = LogsServiceClient::new(self.channel.clone());
        if let Some(compression) = self.compression {
            client = client.send_compressed(compression);
        }
        let answer = client.export(request).await?.into_inner();
        Ok(answer.partial_success.map_or_else(Default::default, |part| (part.rejected_log_records, part.error_message)))
    }

    /// Sends a recorded protobuf request, which must be taken whole; again where a busy machine makes it late.
    pub(crate) async fn recorded(&self, signal: Signal, body: &[u8]) {
        const TRIES: u32 = 600;
        for left in (0..TRIES).rev() {
            let answer = match signal {
                Signal::Traces => self.traces(ExportTraceServiceRequest::decode(body).expect("recorded spans")).await,
                Signal::Logs => self.logs(ExportLogsServiceRequest::decode(body).expect("recorded log records")).await,
            };
            match answer {
                Err(status) if status.code() == tonic::Code::Unavailable && left > 0 => {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                answer => return assert_eq!(answer.expect("a recorded request is taken"), (0, String::new())),
            }
        }
    }
}

/// How a body is compressed on the HTTP door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Plain,
    Gzip,
    Zstd,
    Deflate,
    /// What some clients send under the name deflate.
    RawDeflate,
}

/// What the HTTP door answered.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) retry_after: Option<String>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Posts a body, as it is, with a content type.
pub(crate) async fn post(
    url: &str,
    content_type: &str,
    encoding: Encoding,
    body: &[u8],
) -> Result<Answer, reqwest::Error> {
    let (name, body) = encode(encoding, body);
    let mut request = client().post(url).header("content-type", content_type).body(body);
    if let Some(name) = name {
        request = request.header("content-encoding", name);
    }
    let answer = request.send().await?;
    let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let status = answer.status().as_u16();
    let (content_type, retry_after) = (header("content-type").unwrap_or_default(), header("retry-after"));
    Ok(Answer { status, content_type, retry_after, body: answer.bytes().await?.to_vec() })
}

/// Posts a recorded request as protobuf, which must be taken.
pub(crate) async fn post_protobuf(base: &str, signal: Signal, encoding: Encoding, body: &[u8]) {
    let url = format!("{base}{}", signal.path());
    let answer = post(&url, "application/x-protobuf", encoding, body).await.expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// Posts a recorded request as JSON, which must be taken. A request that was recorded as JSON is sent as it is.
pub(crate) async fn post_json(base: &str, request: &Request, encoding: Encoding) {
    let body = if request.json { request.body.clone() } else { json(request.signal, &request.body) };
    let url = format!("{base}{}", request.signal.path());
    let answer = post(&url, "application/json", encoding, &body).await.expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// A protobuf request as OTLP/JSON.
pub(crate) fn json(signal: Signal, body: &[u8]) -> Vec<u8> {
    let value = match signal {
        Signal::Traces => otlp_json::traces(&ExportTraceServiceRequest::decode(body).expect("recorded spans")),
        Signal::Logs => otlp_json::logs(&ExportLogsServiceRequest::decode(body).expect("recorded log records")),
    };
    value.to_string().into_bytes()
}

/// A body in an encoding, and the encoding's name.
pub(crate) fn encode(encoding: Encoding, body: &[u8]) -> (Option<&'static str>, Vec<u8>) {
    match encoding {
        Encoding::Plain => (None, body.to_vec()),
        Encoding::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(body).expect("a Vec grows");
            (Some("gzip"), encoder.finish().expect("a Vec grows"))
        }
        Encoding::Zstd => (Some("zstd"), zstd::encode_all(body, 1).expect("a Vec grows")),
        Encoding::Deflate => {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(body).expect("a Vec grows");
            (Some("deflate"), encoder.finish().expect("a Vec grows"))
        }
        Encoding::RawDeflate => {
            let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(body).expect("a Vec grows");
            (Some("deflate"), encoder.finish().expect("a Vec grows"))
        }
    }
}

fn client() -> &'static reqwest::Client {
    static CLIENT: std::sync::OnceLock<reqwest::Client> = std::sync::OnceLock::new();
    CLIENT.get_or_init(|| reqwest::Client::builder().timeout(TIMEOUT).build().expect("a client"))
}
