//! Recorded requests of real instrumentation libraries.
//!
//! A run is a folder with one file a request, named `NNN-SIGNAL.EXT`: SIGNAL is `traces` or `logs` (others are left
//! out), EXT is `pb` for protobuf and `json` for OTLP/JSON.

use super::{project, shared};
use chatlake::receiver::otlp_json;
use prost::Message as _;
use std::fs;
use std::path::{Path, PathBuf};

/// What a request tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    Traces,
    Logs,
}

impl Signal {
    /// The path of this signal on the HTTP door.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Traces => "/v1/traces",
            Self::Logs => "/v1/logs",
        }
    }
}

/// One recorded request, as it was sent.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) signal: Signal,
    /// Whether the body is OTLP/JSON; else it is protobuf.
    pub(crate) json: bool,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// The same in protobuf.
    pub(crate) fn into_protobuf(self) -> Self {
        let body = match self.signal {
            _ if !self.json => self.body,
            Signal::Traces => otlp_json::traces(&self.body).expect("OTLP/JSON").request.encode_to_vec(),
            Signal::Logs => otlp_json::logs(&self.body).expect("OTLP/JSON").request.encode_to_vec(),
        };
        Self { body, json: false, ..self }
    }
}

/// A recorded run.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    /// The folder's name.
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    pub(crate) requests: Vec<Request>,
}

/// The runs that the project carries itself: each folder below `tests/golden/DIALECT` that holds requests.
pub(crate) fn golden() -> Vec<Run> {
    let dialects = folders(&project().join("tests/golden"));
    dialects.iter().flat_map(|dialect| runs(dialect)).collect()
}

/// All recorded runs beside the project, where they are.
pub(crate) fn recorded() -> Option<Vec<Run>> {
    Some(runs(&shared()?.join("corpus")))
}

fn runs(folder: &Path) -> Vec<Run> {
    folders(folder).into_iter().map(run).filter(|run| !run.requests.is_empty()).collect()
}

fn run(folder: PathBuf) -> Run {
    let mut files: Vec<PathBuf> = entries(&folder).into_iter().filter(|path| path.is_file()).collect();
    files.sort_unstable();
    let requests = files.iter().filter_map(|file| request(file)).collect();
    let name = folder.file_name().expect("a name").to_string_lossy().into_owned();
    Run { name, folder, requests }
}

fn request(file: &Path) -> Option<Request> {
    let (stem, extension) = file.file_name()?.to_str()?.rsplit_once('.')?;
    let signal = match stem.split_once('-')? {
        (_, "traces") => Signal::Traces,
        (_, "logs") => Signal::Logs,
        _ => return None,
    };
    let body = fs::read(file).expect("a recorded request can be read");
    Some(Request { signal, json: extension == "json", body })
}

fn folders(folder: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = entries(folder).into_iter().filter(|path| path.is_dir()).collect();
    folders.sort_unstable();
    folders
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let listing = fs::read_dir(folder).map(|entries| entries.map(|entry| entry.expect("an entry").path()).collect());
    listing.unwrap_or_default()
}
