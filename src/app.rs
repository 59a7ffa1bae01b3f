//! The whole road, running: what opens it, joins it and stops it. The only file that spawns.
//!
//! | part | runs on | ends |
//! |---|---|---|
//! | doors, admin pages, [`say`] | tasks | when told |
//! | the log's writer | a thread | when the log is stopped, behind the doors |
//! | the fold | a thread | when the last segment is folded |
//! | uploads | a thread | when the outbox is empty, or the time is up |
//!
//! Threads have what blocks on the disk. With nothing to do there is no timer and nothing runs.

#![expect(clippy::disallowed_methods, reason = "the only file that spawns")]

mod back;
mod say;
mod settings;

use crate::admin;
use crate::admin::Readiness;
use crate::admin::Shown;
use crate::admin::telemetry;
use crate::admin::telemetry::Otlp;
use crate::admin::telemetry::Telemetry;
use crate::clock::Clock;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::config::chain;
use crate::lake::outbox::Outbox;
use crate::lake::remote::Remote;
use crate::lake::remote::UrlError;
use crate::lake::store::Patience;
use crate::lake::store::Store;
use crate::lake::upload::Uploader;
use crate::metrics::Metrics;
use crate::metrics::Settled;
use crate::net::BindError;
use crate::receiver;
use crate::receiver::Accept;
use crate::receiver::Auth;
use crate::road;
use crate::road::Mended;
use crate::road::Road;
use crate::stop::Cause;
use crate::stop::Stage;
use crate::stop::Stop;
use crate::stop::Token;
use crate::wal;
use crate::wal::Home;
use crate::wal::disk::Disk;
use crate::wal::disk::OsDisk;
use anyhow::Context as _;
use anyhow::anyhow;
use back::Back;
use say::Say;
use settings::doors;
use settings::log;
use settings::rejoin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio_util::sync::CancellationToken;

/// How long parts may take to end when one of them has failed: nobody waits for uploads then.
const FAILED_GRACE: Duration = Duration::from_secs(1);

/// Why the server ended, or did not start.
#[derive(Debug)]
pub enum Ended {
    /// Something that the user can change: an address, a name.
    Fault(anyhow::Error),
    /// The configuration leads nowhere.
    Usage(anyhow::Error),
    /// The local disk. What was acknowledged is safe.
    Storage(anyhow::Error),
}

fn storage<E: Into<anyhow::Error>>(error: E) -> Ended {
    Ended::Storage(error.into())
}

fn fault<E: Into<anyhow::Error>>(error: E) -> Ended {
    Ended::Fault(error.into())
}

/// Runs the server until SIGTERM or SIGINT, and stops it in order.
///
/// # Errors
/// When it does not start, or a part of it fails.
pub async fn serve(config: Config) -> Result<(), Ended> {
    let metrics = Arc::new(Metrics::default());
    let telemetry = telemetry(&config, &metrics)?;
    let ended = run(config, metrics, telemetry.instance()).await;
    // It blocks, and needs the runtime to send what is left. That it panicked is no reason to end otherwise.
    let _ = tokio::task::spawn_blocking(|| telemetry.shutdown()).await;
    ended
}

async fn run(config: Config, metrics: Arc<Metrics>, instance: &str) -> Result<(), Ended> {
    // First, so that a signal during a long start is not the kernel's to answer.
    let stop = Stop::new();
    tokio::spawn(signals(stop.clone()).context("listen for signals").map_err(fault)?);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let readiness = Arc::new(Readiness::default());
    let disk: Arc<dyn Disk> = Arc::new(OsDisk);
    let random = random().map_err(fault)?;
    let home = Home::claim(Arc::clone(&disk), &config.data_dir, &config.writer_name, random).map_err(storage)?;
    let policies = settings::policies(&config)?;
    let remote = Remote::open(&config.store_url(), &Config::environment()).map_err(|error| match error {
        UrlError::Folder { .. } => Ended::Storage(anyhow!(error).context(config.store_key())),
        error => Ended::Usage(anyhow!(error).context(config.store_key())),
    })?;
    let outbox = Outbox::open(Arc::clone(&disk), &config.data_dir.join("outbox")).context("open the outbox");
    let outbox = Arc::new(outbox.map_err(storage)?);
    let mended = Road::mend(config.fold(), &wal::Files::of(&home), &outbox).map_err(storage)?;
    let floor = Road::floor(&outbox).map_err(storage)?;
    let opened = wal::open(&home, floor, &log(&config), Arc::clone(&clock)).map_err(storage)?;
    let writer = home.writer().to_string().parse().context("the writer's name").map_err(storage)?;
    let settings = {
        let (config, writer, rejoin) = (config.clone(), writer, rejoin(&policies));
        move || {
            let road = road::Settings {
                close_open: config.shutdown_close_open,
                encode: config.store.encode(),
                writer: crate::lake::key::Writer::clone(&writer),
            };
            let mut fold = config.fold();
            fold.assemble.rejoin = rejoin.clone();
            (fold, road)
        }
    };
    let (fold, road_settings) = settings();
    let files = opened.wal.files().clone();
    let road = Road::open(fold, road_settings, files.clone(), Arc::clone(&outbox), &opened.found.old);
    let road = road.map_err(storage)?;
    metrics.recovered(recovered(&opened.found, &road, &outbox).map_err(storage)? + mended.set_aside);
    metrics.settled(&Settled { quarantined: mended.set_aside, ..Settled::default() });
    tell_damage(&opened.found, mended);

    let doors = doors(&config);
    let mapper = Arc::new(config.mapping());
    let door_road = receiver::Road::new(mapper, policies).leaving(instance.to_owned());
    let auth = Auth::new(config.keys.clone(), Arc::clone(&clock));
    let log = Arc::new(opened.wal.clone());
    let accept = Accept::new(&doors, door_road, log, auth, Arc::clone(&clock), Arc::clone(&metrics));
    let accept = Arc::new(accept);
    let bound = |error: BindError| fault(error);
    let grpc = receiver::bind_grpc(&doors, Arc::clone(&accept)).await.map_err(bound)?;
    let http = receiver::bind_http(&doors, Arc::clone(&accept)).await.map_err(bound)?;
    let modelstat = receiver::bind_modelstat(&doors, accept).await.unwrap_or_else(|error| {
        tracing::warn!("{}", chain(&error));
        None
    });
    let store = Store::new(Arc::new(remote), Patience::default(), Arc::clone(&metrics));
    let at_once = usize::try_from(config.store.concurrency).unwrap_or(usize::MAX);
    let (url, writer) = (config.store_url(), road.writer().clone());
    let uploader = Uploader::new(Arc::clone(&outbox), store, Arc::clone(&clock), Arc::clone(&metrics), at_once);
    let uploader = uploader.probing(writer);
    let shown = Shown {
        metrics: Arc::clone(&metrics),
        readiness: Arc::clone(&readiness),
        report: uploader.report(),
        refresh: back::refresh(
            opened.wal.clone(),
            Arc::clone(&outbox),
            Arc::clone(&clock),
            Arc::clone(&metrics),
            Arc::clone(&readiness),
        ),
    };
    let pages = admin::bind(&config.admin_endpoint, shown).await.map_err(bound)?;

    let say = Arc::new(Say::new(&config, &url, Arc::clone(&metrics), uploader.report(), Arc::clone(&clock)));
    let back = Arc::new(Back {
        wal: opened.wal.clone(),
        outbox: Arc::clone(&outbox),
        clock,
        metrics: Arc::clone(&metrics),
        readiness,
        say: Arc::clone(&say),
        packed: tokio::sync::Notify::new(),
        folded: CancellationToken::new(),
    });

    let parts = Parts { stop: stop.clone(), failure: Arc::default() };
    let writer = opened.writer.counting_in(metrics);
    let log_token = parts.stop.register(Stage::Log, "log");
    let stopping = opened.wal.clone();
    tokio::spawn(async move {
        log_token.told().await;
        stopping.stop();
    });
    parts.thread(Stage::Log, "writer of the log", move |_| writer.run().map_err(storage))?;
    let folding = (Arc::clone(&back), outbox, Handle::current());
    parts.thread(Stage::Lake, "fold", move |token| {
        let (back, outbox, runtime) = folding;
        // Whatever ends the fold ends the waiting of the uploads.
        let _ended = back.folded.clone().drop_guard();
        let reopen = || {
            let (fold, road) = settings();
            Road::open(fold, road, files.clone(), Arc::clone(&outbox), &[])
        };
        back.fold(road, reopen, opened.sealed, token, &runtime).map_err(storage)
    })?;
    let uploading = (Arc::clone(&back), Handle::current());
    parts.thread(Stage::Lake, "uploads", move |token| {
        let (back, runtime) = uploading;
        let until_late = async {
            tokio::select! {
                uploaded = back.upload(uploader) => uploaded,
                // What is in the outbox is uploaded by the next start.
                () = token.late() => Ok(()),
            }
        };
        runtime.block_on(until_late).context("read the outbox").map_err(storage)
    })?;
    let doors = [
        ("OTLP over gRPC", Some(grpc.address())),
        ("OTLP over HTTP", Some(http.address())),
        ("modelstat", modelstat.as_ref().map(receiver::Bound::address)),
    ];
    say.start(&doors, &pages.address());
    config.doubts().iter().for_each(|doubt| tracing::warn!("{doubt}"));
    parts.task(Stage::Doors, "OTLP over gRPC", |stop| grpc.run(stop));
    parts.task(Stage::Doors, "OTLP over HTTP", |stop| http.run(stop));
    if let Some(modelstat) = modelstat {
        parts.task(Stage::Doors, "modelstat's clients", |stop| modelstat.run(stop));
    }
    parts.task(Stage::Admin, "admin pages", |stop| pages.run(stop));
    let saying = Arc::clone(&say);
    parts.task(Stage::Admin, "status line", |stop| async move { saying.follow(stop).await });

    let cause = stop.asked().await;
    let grace = if cause == Cause::Asked { config.shutdown_grace } else { FAILED_GRACE };
    if cause == Cause::Asked {
        say.stopping(grace);
    }
    let left = stop.run(grace).await;
    let failure = parts.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
    match (failure, cause) {
        (Some(failure), _) => Err(failure),
        (None, Cause::Ended(part)) => Err(fault(anyhow!("{part} ended by itself"))),
        (None, Cause::Asked) => {
            say.stopped(&left);
            Ok(())
        }
    }
}

/// The parts of a running server, and why the first of them failed.
#[derive(Debug)]
struct Parts {
    stop: Stop,
    failure: Arc<Mutex<Option<Ended>>>,
}

impl Parts {
    /// Runs a part that blocks.
    fn thread(
        &self,
        stage: Stage,
        name: &'static str,
        part: impl FnOnce(&Token) -> Result<(), Ended> + Send + 'static,
    ) -> Result<(), Ended> {
        let token = self.stop.register(stage, name);
        let failure = Arc::clone(&self.failure);
        let run = move || {
            // The token outlives the failure: whoever is woken by its end finds why.
            if let Err(error) = part(&token) {
                failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            }
        };
        let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(run);
        spawned.map(|_| ()).context("start a thread").map_err(fault)
    }

    /// Runs a part that ends when its token is cancelled, which happens when its stage comes.
    fn task<F>(&self, stage: Stage, name: &'static str, part: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let token = self.stop.register(stage, name);
        let cancel = CancellationToken::new();
        let running = part(cancel.clone());
        tokio::spawn(async move {
            let mut running = std::pin::pin!(running);
            tokio::select! {
                () = &mut running => {}
                () = token.told() => {
                    cancel.cancel();
                    running.await;
                }
            }
        });
    }
}

/// Asks for the stop at the first signal; at the second the process ends at once, which is safe at any time.
fn signals(stop: Stop) -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        for is_second in [false, true] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if is_second {
                std::process::exit(130);
            }
            stop.ask(Cause::Asked);
        }
    })
}

/// Switches logging on, and the export of what the process tells of itself.
fn telemetry(config: &Config, metrics: &Arc<Metrics>) -> Result<Telemetry, Ended> {
    let is_http = config.telemetry_protocol == "http/protobuf";
    let otlp = config.telemetry_endpoint.clone().map(|endpoint| Otlp::new(endpoint, is_http));
    let about = telemetry::Config { filter: config.log_level.clone(), json: config.log_json, otlp };
    let instance = format!("{:016x}{:016x}", random().map_err(fault)?, random().map_err(fault)?);
    Telemetry::start(&about, metrics, instance).map_err(|error| Ended::Usage(error.into()))
}

fn random() -> anyhow::Result<u64> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| anyhow!("get random bytes: {error}"))?;
    Ok(u64::from_ne_bytes(bytes))
}

/// Records that are here already: in segments that are still to be folded, in open traces, in the outbox.
fn recovered(found: &wal::Found, road: &Road, outbox: &Outbox) -> anyhow::Result<u64> {
    let open = u64::try_from(road.open_records()).unwrap_or(u64::MAX);
    let mut records = found.records + open;
    for segment in outbox.waiting().into_iter().chain(outbox.parked()) {
        records += outbox.records(segment).with_context(|| format!("read entry {segment} of the outbox"))?;
    }
    Ok(records)
}

fn tell_damage(found: &wal::Found, mended: Mended) {
    if mended.adopted > 0 {
        let records = mended.adopted;
        tracing::warn!(records, "open records were found again in the log without the carry that knew them");
    }
    if mended.set_aside > 0 {
        let records = mended.set_aside;
        tracing::error!(
            records,
            "nobody can tell which of the log's records have landed: its files are kept in data.dir/wal/*.aside"
        );
    }
    if found.torn_bytes > 0 {
        let bytes = found.torn_bytes;
        tracing::warn!(bytes, "a torn tail of the log was cut: what was in it had not been acknowledged");
    }
    if found.damaged_bytes > 0 {
        let bytes = found.damaged_bytes;
        tracing::error!(bytes, "the log is damaged: what cannot be read is in data.dir/quarantine");
    }
}
