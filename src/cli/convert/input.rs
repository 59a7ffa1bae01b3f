//! What `convert` reads: files of OTLP requests, as they were exported or as the Collector's file exporter writes them.
//!
//! | file | what is in it |
//! |---|---|
//! | protobuf | one `ExportTraceServiceRequest` or `ExportLogsServiceRequest` |
//! | JSON | one such request, or many, one after the other or one a line |
//!
//! Traces and logs are told apart by `-traces.` or `-logs.` in the name, else by content; `-metrics.` in the name is
//! skipped unread. In JSON the top level of each request tells. A directory is read in the order of names, with what
//! is below it. Files of a directory that are no OTLP are skipped; an argument, or a file whose name promises OTLP,
//! that does not parse is a fault. `-` is standard input: one such file, held in memory.
//!
//! `received_at` of all requests of a file is the latest time that any of them states: there is no clock here.

mod content;

use bytes::Bytes;
use content::Promise;
use content::Told;
use content::is_json;
use content::is_ours;
use content::latest;
use content::promise;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use std::collections::VecDeque;
use std::io;
use std::io::Read as _;
use std::path::Path;
use std::path::PathBuf;
use xxhash_rust::xxh3::Xxh3;

/// JSON files up to this size are parsed once and kept; larger ones are parsed again for their requests, so that
/// memory holds one request of them at a time beside the text.
const KEPT: usize = 16 << 20;

/// One request.
#[derive(Debug)]
pub struct Request {
    /// What was sent.
    pub body: Body,
    /// What its reader had to doubt, by the record's place.
    pub notes: Vec<(u32, String)>,
    /// Microseconds since 1970; 0 where the file states no time.
    pub received_at: i64,
}

/// What a request carries.
#[derive(Debug)]
pub enum Body {
    /// Spans.
    Traces(ExportTraceServiceRequest),
    /// Log records.
    Logs(ExportLogsServiceRequest),
}

/// What the inputs give, one after the other.
#[derive(Debug)]
pub enum Item {
    /// A request.
    Request(Request),
    /// Not for us: why.
    Skipped(String),
    /// A fault: what is wrong. What else can be read goes on.
    Fault(String),
}

/// All inputs of a run, read as they are asked for.
#[derive(Debug)]
pub struct Inputs {
    left: VecDeque<Source>,
    ready: VecDeque<Item>,
    large: Option<Large>,
    /// Files that held requests.
    files: u64,
    /// Bytes of files that were looked at.
    read: u64,
}

/// Something that is still to be read.
#[derive(Debug)]
struct Source {
    path: PathBuf,
    /// Whether it is an argument.
    is_named: bool,
    /// What a pipe gave, which can be read only once.
    piped: Option<io::Result<Vec<u8>>>,
}

/// The argument that stands for standard input.
const STANDARD: &str = "-";

/// A large JSON file under way.
#[derive(Debug)]
struct Large {
    path: PathBuf,
    text: Vec<u8>,
    at: usize,
    promise: Promise,
    received_at: i64,
}

impl Inputs {
    /// The inputs that the arguments name. Pipes are read to their end at once.
    pub fn new(arguments: &[PathBuf]) -> Self {
        let left = arguments.iter().map(|path| Source { path: path.clone(), is_named: true, piped: piped(path) });
        Self { left: left.collect(), ready: VecDeque::new(), large: None, files: 0, read: 0 }
    }

    /// Bytes of all files that will be read, as far as they are known now.
    pub fn total_bytes(&self) -> u64 {
        fn of(path: &Path) -> u64 {
            let Ok(meta) = std::fs::metadata(path) else { return 0 };
            if !meta.is_dir() {
                return meta.len();
            }
            let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
            entries.filter(|entry| is_ours(&entry.path())).map(|entry| of(&entry.path())).sum()
        }
        let bytes = |source: &Source| match &source.piped {
            Some(piped) => length(piped.as_deref().unwrap_or_default()),
            None => of(&source.path),
        };
        self.left.iter().map(bytes).sum()
    }

    /// Files so far that held requests.
    pub fn files(&self) -> u64 {
        self.files
    }

    /// Bytes that were read so far.
    pub fn read_bytes(&self) -> u64 {
        let left = self.large.as_ref().map_or(0, |large| large.text.len().saturating_sub(large.at));
        self.read.saturating_sub(u64::try_from(left).unwrap_or(u64::MAX))
    }

    /// What the inputs are: a hash of the names and bytes of all files, in their order. Takes what cannot be read for
    /// empty: reading them will tell.
    pub fn digest(&self, hasher: &mut Xxh3) {
        fn head(path: &Path, length: u64, hasher: &mut Xxh3) {
            let name = path.file_name().unwrap_or_default().as_encoded_bytes();
            hasher.update(&self::length(name).to_le_bytes());
            hasher.update(name);
            hasher.update(&length.to_le_bytes());
        }
        fn of(path: &Path, is_named: bool, hasher: &mut Xxh3) {
            if path.is_dir() {
                sorted(path).unwrap_or_default().iter().for_each(|path| of(path, false, hasher));
            } else if is_named || is_ours(path) {
                head(path, std::fs::metadata(path).map_or(0, |meta| meta.len()), hasher);
                let Ok(mut file) = std::fs::File::open(path) else { return };
                let mut buffer = vec![0; 1 << 20];
                while let Ok(read @ 1..) = file.read(&mut buffer) {
                    hasher.update(buffer.get(..read).unwrap_or_default());
                }
            }
        }
        for source in &self.left {
            match source.piped.as_ref().map(|piped| piped.as_deref().unwrap_or_default()) {
                // A pipe's name is not the run's.
                Some(piped) => {
                    head(Path::new(STANDARD), length(piped), hasher);
                    hasher.update(piped);
                }
                None => of(&source.path, source.is_named, hasher),
            }
        }
    }

    fn open(&mut self, source: Source) -> Result<(), String> {
        let cannot = |error: io::Error| format!("{}: {}", name(&source.path), unreadable(&source.path, &error));
        if let Some(piped) = source.piped {
            let bytes = piped.map_err(cannot)?;
            self.read += length(&bytes);
            return self.take(&source.path, bytes, Promise::Nothing, true);
        }
        let path = source.path.display();
        let meta = std::fs::metadata(&source.path).map_err(cannot)?;
        self.read += if meta.is_dir() { 0 } else { meta.len() };
        if meta.is_dir() {
            for path in sorted(&source.path).map_err(cannot)?.into_iter().rev() {
                self.left.push_front(Source { path, is_named: false, piped: None });
            }
            return Ok(());
        }
        let promise = promise(&source.path);
        if promise == Promise::Metrics {
            self.ready.push_back(Item::Skipped(format!("{path}: metrics carry no conversations")));
            return Ok(());
        }
        let must_parse = source.is_named || promise != Promise::Nothing;
        if !must_parse && !is_ours(&source.path) {
            self.ready.push_back(Item::Skipped(format!("{path}: not a .pb, .json or .jsonl file")));
            return Ok(());
        }
        let bytes = std::fs::read(&source.path).map_err(cannot)?;
        self.take(&source.path, bytes, promise, must_parse)
    }

    fn take(&mut self, path: &Path, bytes: Vec<u8>, promise: Promise, must_parse: bool) -> Result<(), String> {
        let read = if let Some(packed) = content::packed(&bytes) {
            Err(format!("compressed with {packed}: unpack it first"))
        } else if is_json(path, &bytes) {
            self.read_json(path, bytes, promise)
        } else {
            self.read_protobuf(&bytes.into(), promise)
        };
        let why = match read {
            Ok(()) => {
                self.files += 1;
                return Ok(());
            }
            Err(why) => format!("{}: {why}", name(path)),
        };
        if must_parse {
            return Err(why);
        }
        self.ready.push_back(Item::Skipped(why));
        Ok(())
    }

    fn read_protobuf(&mut self, bytes: &Bytes, promise: Promise) -> Result<(), String> {
        let (body, notes) = content::protobuf(bytes, promise)?;
        let received_at = microseconds(latest(&body));
        self.ready.push_back(Item::Request(Request { body, notes, received_at }));
        Ok(())
    }

    /// Parts that cannot be read are faults, each in its place; a text without a request is none at all.
    fn read_json(&mut self, path: &Path, text: Vec<u8>, promise: Promise) -> Result<(), String> {
        let (mut at, mut latest_ns, mut fault, mut count) = (0, 0, None, 0_u64);
        let mut items = VecDeque::new();
        let is_small = text.len() <= KEPT;
        loop {
            match content::json(&text, &mut at, promise) {
                Ok(Some((body, notes))) => {
                    latest_ns = latest_ns.max(latest(&body));
                    count += 1;
                    if is_small {
                        items.push_back(Ok((body, notes)));
                    }
                }
                Ok(None) => break,
                Err(why) => {
                    fault.get_or_insert_with(|| why.clone());
                    if is_small {
                        items.push_back(Err(why));
                    }
                }
            }
        }
        if let Some(why) = fault.filter(|_| count == 0) {
            return Err(why);
        }
        let received_at = microseconds(latest_ns);
        if is_small {
            self.ready.extend(items.into_iter().map(|item| self::item(item, path, received_at)));
        } else {
            self.large = Some(Large { path: path.to_owned(), text, at: 0, promise, received_at });
        }
        Ok(())
    }
}

impl Iterator for Inputs {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Some(item);
            }
            if let Some(large) = &mut self.large {
                match content::json(&large.text, &mut large.at, large.promise).transpose() {
                    Some(next) => return Some(item(next, &large.path, large.received_at)),
                    None => self.large = None,
                }
                continue;
            }
            let source = self.left.pop_front()?;
            if let Err(fault) = self.open(source) {
                self.ready.push_back(Item::Fault(fault));
            }
        }
    }
}

fn item(read: Result<Told, String>, path: &Path, received_at: i64) -> Item {
    match read {
        Ok((body, notes)) => Item::Request(Request { body, notes, received_at }),
        Err(why) => Item::Fault(format!("{}: {why}", name(path))),
    }
}

/// What a pipe gives, standard input among them; none for a file or directory, which can be read again.
fn piped(path: &Path) -> Option<io::Result<Vec<u8>>> {
    if path == Path::new(STANDARD) {
        let mut bytes = Vec::new();
        return Some(io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes));
    }
    let meta = std::fs::metadata(path).ok()?;
    (!meta.is_file() && !meta.is_dir()).then(|| std::fs::read(path))
}

/// What an input is called in messages.
fn name(path: &Path) -> std::path::Display<'_> {
    if path == Path::new(STANDARD) { Path::new("standard input").display() } else { path.display() }
}

fn unreadable(path: &Path, error: &io::Error) -> String {
    match path.to_str() {
        Some(url) if url.contains("://") => "convert reads files of this machine: fetch it first".to_owned(),
        _ => format!("cannot be read: {error}"),
    }
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// What is in a directory, in the order of names.
fn sorted(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
    let mut paths: Vec<PathBuf> = entries.iter().map(std::fs::DirEntry::path).collect();
    paths.sort();
    Ok(paths)
}

fn microseconds(ns: u64) -> i64 {
    i64::try_from(ns / 1000).unwrap_or(i64::MAX)
}
