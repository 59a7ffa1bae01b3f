//! What `convert` does with the rows: prints them, or stores them with their manifests; and what it tells meanwhile.

use crate::cli::store::Progress;
use crate::clock::Clock;
use crate::clock::SystemClock;
use crate::event::Event;
use crate::fold::account::Account;
use crate::fold::account::Fate;
use crate::fold::order;
use crate::lake::jsonl;
use crate::lake::jsonl::ToolCallForm;
use crate::lake::key::DEAD;
use crate::lake::outbox::Object;
use crate::lake::outbox::Outbox;
use crate::lake::pack::Packed;
use crate::lake::proto;
use crate::lake::store::Store;
use crate::lake::upload::Next;
use crate::lake::upload::Report;
use crate::lake::upload::Uploader;
use anyhow::Context as _;
use anyhow::bail;
use indicatif::HumanBytes;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::io::Write as _;
use std::sync::Arc;

/// Steps of the uploader that may meet trouble, one after the other, before it is given up.
const TROUBLED: u32 = 5;

/// What was done, for the last line.
#[derive(Debug, Default)]
pub(super) struct Summary {
    /// Files that held requests.
    pub(super) files: u64,
    /// Bytes that were read.
    pub(super) bytes: u64,
    /// How long reading and folding took.
    pub(super) seconds: f64,
    pub(super) packed: Packed,
    pub(super) account: Account,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { files, bytes, packed, account, .. } = self;
        write!(f, "read {} records in {files} files, {}; ", account.received, HumanBytes(*bytes))?;
        write!(f, "wrote {} rows, {}", packed.rows, HumanBytes(packed.bytes))?;
        #[expect(clippy::cast_precision_loss, reason = "rates for people to read")]
        let (megabytes, rows) = (*bytes as f64 / 1e6, packed.rows as f64);
        let seconds = self.seconds.max(1e-3);
        write!(f, "; {:.1} MB/s, {:.0} rows/s", megabytes / seconds, rows / seconds)?;
        for (fate, count) in &account.decided {
            match fate {
                Fate::Merged => write!(f, "; {count} told in rows of others")?,
                Fate::LeftOut(reason) => write!(f, "; {count} left out ({reason})")?,
                Fate::Deduplicated => write!(f, "; {count} had come before")?,
                Fate::Quarantined => write!(f, "; {count} set aside below _dead")?,
                Fate::Landed => {}
            }
        }
        Ok(())
    }
}

/// Prints all rows as JSON lines, in the order of rows; gives their bytes. The files of an entry hold rows in order, so
/// entries are merged.
pub(super) fn print(outbox: &Outbox, flat_tool_calls: bool) -> anyhow::Result<u64> {
    let form = if flat_tool_calls { ToolCallForm::Flat } else { ToolCallForm::OpenAi };
    let mut entries = Vec::new();
    for segment in outbox.waiting() {
        let files = outbox.index(segment)?.shipments.into_iter().flat_map(|shipment| shipment.files);
        let files = files.filter(|file| !file.key.starts_with(DEAD)).collect();
        let mut rows = Rows { outbox, segment, files, bytes: Vec::new(), at: 0 };
        if let Some(first) = rows.next()? {
            entries.push((first, rows));
        }
    }
    let mut stdout = io::BufWriter::with_capacity(1 << 20, io::stdout().lock());
    let (mut line, mut written) = (Vec::new(), 0);
    while let Some(at) = least(&entries) {
        let Some((event, rows)) = entries.get_mut(at) else { break };
        line.clear();
        jsonl::line(event, form, &mut line);
        match stdout.write_all(&line) {
            Ok(()) => written += u64::try_from(line.len()).unwrap_or(u64::MAX),
            // Whoever read has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(written),
            Err(error) => return Err(error).context("write to stdout"),
        }
        match rows.next()? {
            Some(next) => *event = next,
            None => drop(entries.swap_remove(at)),
        }
    }
    match stdout.flush() {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error).context("write to stdout"),
        _ => Ok(written),
    }
}

fn least(entries: &[(Event, Rows<'_>)]) -> Option<usize> {
    let places = entries.iter().enumerate();
    let least = places.min_by(|(_, (a, _)), (_, (b, _))| order(a).cmp(&order(b)));
    least.map(|(at, _)| at)
}

/// The rows of an entry, a file in memory at a time.
struct Rows<'a> {
    outbox: &'a Outbox,
    segment: u64,
    files: VecDeque<Object>,
    bytes: Vec<u8>,
    at: usize,
}

impl Rows<'_> {
    fn next(&mut self) -> anyhow::Result<Option<Event>> {
        loop {
            let mut rest = self.bytes.get(self.at..).unwrap_or_default();
            if let Some(row) = proto::next(&mut rest) {
                self.at = self.bytes.len() - rest.len();
                return Ok(Some(row?));
            }
            let Some(file) = self.files.pop_front() else { return Ok(None) };
            self.bytes = self.outbox.object(self.segment, &file)?;
            self.at = 0;
        }
    }
}

/// Stores the files, and then the manifests.
pub(super) fn store(outbox: &Arc<Outbox>, store: &Store, concurrency: u64) -> anyhow::Result<()> {
    let at_once = usize::try_from(concurrency).unwrap_or(usize::MAX);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let mut uploader = Uploader::new(Arc::clone(outbox), store.clone(), clock, Arc::default(), at_once);
    let report = uploader.report();
    let whole = outbox.backlog().bytes;
    let progress = Progress::begin("storing", whole);
    let stored = crate::cli::store::wait(async {
        let mut troubled = 0;
        while !outbox.waiting().is_empty() {
            let next = uploader.step().await?;
            progress.reach(whole.saturating_sub(outbox.backlog().bytes));
            let Report { trouble, lasting, .. } = report.lock().map(|report| report.clone()).unwrap_or_default();
            troubled = if trouble.is_some() { troubled + 1 } else { 0 };
            if let Some(why) = trouble.filter(|_| troubled >= TROUBLED || lasting) {
                bail!("{why}; run it again when that is mended: what is stored already is kept");
            }
            if let Next::After(wait) = next {
                tokio::time::sleep(wait).await;
            }
        }
        Ok(())
    })?;
    progress.end();
    stored?;
    let parked = report.lock().map(|report| report.parked.clone()).unwrap_or_default();
    match parked.values().flat_map(|entry| entry.values()).next() {
        None => Ok(()),
        Some(why) => bail!("{why}"),
    }
}
