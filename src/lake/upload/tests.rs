use super::*;
use crate::clock::ManualClock;
use crate::fold::Batch;
use crate::fold::account::Account;
use crate::fold::account::Fate;
use crate::lake::encode::Format;
use crate::lake::encode::Settings;
use crate::lake::objects::Call;
use crate::lake::objects::Fault;
use crate::lake::objects::FaultObjects;
use crate::lake::objects::Memory;
use crate::lake::objects::Outcome;
use crate::lake::partition;
use crate::lake::samples::bare;
use crate::lake::samples::pack;
use crate::wal::disk::Disk;
use crate::wal::disk::MemDisk;
use std::path::Path;

struct Rig {
    disk: MemDisk,
    memory: Memory,
    faults: FaultObjects,
    clock: Arc<ManualClock>,
    metrics: Arc<Metrics>,
    outbox: Arc<Outbox>,
    uploader: Uploader,
}

impl Rig {
    fn new() -> Self {
        Self::on(MemDisk::new(), Memory::default())
    }

    fn on(disk: MemDisk, memory: Memory) -> Self {
        let outbox = Outbox::open(Arc::new(disk.clone()) as Arc<dyn Disk>, Path::new("/outbox")).unwrap();
        let outbox = Arc::new(outbox);
        let faults = FaultObjects::new(Arc::new(memory.clone()));
        let clock = Arc::new(ManualClock::new(1_000_000));
        let metrics = Arc::new(Metrics::default());
        let store = Store::new(Arc::new(faults.clone()), Patience::short(), Arc::clone(&metrics));
        let uploader =
            Uploader::new(Arc::clone(&outbox), store, Arc::clone(&clock) as Arc<dyn Clock>, Arc::clone(&metrics), 4);
        Self { disk, memory, faults, clock, metrics, outbox, uploader }
    }

    /// The next process, on what this one leaves.
    fn restarted(&self) -> Self {
        Self::on(self.disk.killed(), self.memory.clone())
    }

    /// An entry with two days of rows under each prefix, which decides three records for each.
    fn pack(&self, segment: u64, prefixes: &[&str]) {
        const DAY: i64 = 86_400_000_000;
        let settings = Settings {
            format: Format::Proto,
            template: partition::DEFAULT.parse().unwrap(),
            partitions: 10,
            file_bytes: 1 << 20,
        };
        let batch = || {
            let mut account = Account::default();
            for (at, fate) in [Fate::Landed, Fate::Landed, Fate::LeftOut("unknown")].into_iter().enumerate() {
                account.decide(segment * 10 + u64::try_from(at).unwrap(), fate);
            }
            account.received = 3;
            let rows = vec![Box::new(bare("a", "c", 20_000 * DAY)), Box::new(bare("b", "c", 20_001 * DAY))];
            Batch { rows, account, ..Batch::default() }
        };
        let batches = prefixes.iter().map(|prefix| ((*prefix).to_owned(), batch())).collect();
        self.metrics.received(3 * u64::try_from(prefixes.len()).unwrap());
        pack(&self.outbox, &settings, &"w".parse().unwrap(), segment, batches, &[("carry", b"c")]).unwrap();
    }

    fn report(&self) -> Report {
        self.uploader.hold().clone()
    }

    fn fault(&self, key: &str, times: u64, outcome: Outcome) {
        self.faults.add(Fault { call: Some(Call::Create), key: key.to_owned(), skip: 0, times, outcome });
    }

    fn created(&self) -> Vec<String> {
        let creates = self.faults.calls().into_iter().filter(|(call, _)| *call == Call::Create);
        creates.map(|(_, key)| key).collect()
    }

    fn manifests(&self) -> Vec<String> {
        self.memory.all().into_keys().filter(|key| key.ends_with(".json")).collect()
    }
}

fn refused(scope: Scope) -> Outcome {
    Outcome::NotDone(Failure::Refused { scope, why: "403".to_owned() })
}

const FOREVER: u64 = u64::MAX;

#[tokio::test]
async fn files_come_first_the_manifest_last_and_then_the_entry_is_done() {
    let mut rig = Rig::new();
    rig.pack(1, &["", "team"]);
    assert_eq!(rig.uploader.step().await.unwrap(), Next::Idle);
    let created = rig.created();
    let manifest = created.iter().position(|key| key == "_commits/w/000000000001.json").unwrap();
    let files: Vec<_> = created.iter().take(manifest).map(String::as_str).collect();
    assert_eq!(files.len(), 2);
    assert!(files.iter().all(|key| key.starts_with("events/date=")), "{created:?}");
    assert_eq!(created.len(), 6);
    assert_eq!(rig.outbox.backlog().entries, 0);
    let ledger = rig.metrics.ledger();
    assert_eq!((ledger.landed, ledger.left_out["unknown"], ledger.buffered), (4, 2, 0));
    assert!(ledger.balances());
    assert_eq!((rig.metrics.commits.get(), rig.metrics.committed_rows.get()), (2, 4));
    assert_eq!(rig.metrics.last_commit_micros.get(), 1_000_000);
    let last = rig.report().last_file.unwrap();
    assert!(last.starts_with("events/date=2024-10-0") && last.ends_with(".pb"), "{last}");
    assert_eq!(rig.restarted().outbox.backlog().entries, 0);
}

#[tokio::test]
async fn the_store_is_asked_before_there_is_anything_to_store() {
    let mut rig = Rig::new();
    rig.uploader = rig.uploader.probing("w".parse().unwrap());
    rig.fault("", 1, refused(Scope::Store));
    assert!(matches!(rig.uploader.step().await.unwrap(), Next::After(_)));
    assert!(rig.report().trouble.is_some());
    assert_eq!(rig.uploader.step().await.unwrap(), Next::Idle);
    assert_eq!(rig.report().trouble, None);
    let asked = rig.created();
    assert!(asked.iter().all(|key| key == "_commits/w/probe"), "{asked:?}");
    assert_eq!(rig.uploader.step().await.unwrap(), Next::Idle);
    assert_eq!(rig.created(), asked, "once is enough");
}

#[tokio::test]
async fn a_credential_for_some_prefixes_only_stores_what_it_may() {
    let mut rig = Rig::new();
    rig.uploader = rig.uploader.probing("w".parse().unwrap());
    rig.fault("probe", 9, refused(Scope::Object));
    assert!(matches!(rig.uploader.step().await.unwrap(), Next::After(_)));
    assert!(rig.report().trouble.is_some());
    rig.pack(1, &["team"]);
    assert_eq!(rig.uploader.step().await.unwrap(), Next::Idle);
    assert_eq!((rig.report().trouble, rig.manifests()), (None, vec!["team/_commits/w/000000000001.json".to_owned()]));
}

#[tokio::test]
async fn the_oldest_goes_first() {
    let mut rig = Rig::new();
    (1..=20).for_each(|segment| rig.pack(segment, &[""]));
    let mut steps = 1;
    while rig.uploader.step().await.unwrap() == Next::Now {
        steps += 1;
    }
    assert_eq!(steps, 3);
    let segments: Vec<String> = rig
        .created()
        .iter()
        .map(|key| key.split(['-', '/', '.']).rev().find(|part| part.len() == 12).unwrap().to_owned())
        .collect();
    let first_of_late = segments.iter().position(|segment| segment == "000000000009").unwrap();
    let last_of_early = segments.iter().rposition(|segment| segment == "000000000008").unwrap();
    assert!(last_of_early < first_of_late);
    assert_eq!(rig.manifests().len(), 20);
}

#[tokio::test]
async fn while_the_store_is_down_everything_waits_and_then_everything_goes() {
    let mut rig = Rig::new();
    (1..=10).for_each(|segment| rig.pack(segment, &[""]));
    rig.fault("", FOREVER, Outcome::NotDone(Failure::Unknown("down".to_owned())));
    let mut waits = Vec::new();
    for _ in 0..10 {
        let Next::After(wait) = rig.uploader.step().await.unwrap() else { panic!("no trouble?") };
        waits.push(wait);
    }
    assert!(waits[9] >= Duration::from_millis(15) && waits[9] <= Duration::from_millis(30), "{waits:?}");
    assert_eq!(rig.report().trouble.as_deref(), Some("down"));
    assert_eq!((rig.outbox.backlog().entries, rig.outbox.backlog().parked), (10, 0));
    assert_eq!(rig.metrics.ledger().buffered, 30);
    rig.faults.clear();
    rig.uploader.drain().await.unwrap();
    assert_eq!(rig.manifests().len(), 10);
    assert_eq!(rig.report().trouble, None);
    assert!(rig.metrics.ledger().balances() && rig.metrics.ledger().buffered == 0);
}

#[tokio::test]
async fn a_store_that_refuses_everything_parks_nothing() {
    let mut rig = Rig::new();
    rig.pack(1, &[""]);
    rig.fault("", 1, refused(Scope::Store));
    assert!(matches!(rig.uploader.step().await.unwrap(), Next::After(_)));
    assert_eq!(rig.report().trouble.as_deref(), Some("403"));
    assert_eq!(rig.outbox.backlog().parked, 0);
    assert_eq!(rig.uploader.step().await.unwrap(), Next::Idle);
    assert_eq!(rig.manifests().len(), 1);
}

#[tokio::test]
async fn a_refused_entry_is_parked_and_tried_again_after_ten_minutes_and_at_start() {
    let mut rig = Rig::new();
    rig.pack(1, &["", "team"]);
    rig.pack(2, &[""]);
    rig.fault("team/", FOREVER, refused(Scope::Object));
    assert_eq!(rig.uploader.step().await.unwrap(), Next::After(PARKED_FOR));
    // The other prefix of the entry, and the other entry, are visible.
    assert_eq!(rig.manifests(), ["_commits/w/000000000001.json", "_commits/w/000000000002.json"]);
    assert_eq!(rig.outbox.parked(), [1]);
    assert_eq!(rig.report().parked[&1]["team"], "403");
    assert_eq!(rig.metrics.parked_entries.get(), 1);
    assert_eq!(rig.metrics.ledger().buffered, 3);

    let tried = rig.created().len();
    rig.clock.advance(PARKED_FOR - Duration::from_secs(1));
    assert_eq!(rig.uploader.step().await.unwrap(), Next::After(Duration::from_secs(1)));
    assert_eq!(rig.created().len(), tried);
    rig.clock.advance(Duration::from_secs(1));
    assert_eq!(rig.uploader.step().await.unwrap(), Next::After(PARKED_FOR));
    // One file, then no more; what had been stored before is not sent again.
    assert_eq!(rig.created().len(), tried + 1);

    let mut next = rig.restarted();
    assert_eq!(next.outbox.records(1).unwrap(), 3);
    assert_eq!(next.uploader.step().await.unwrap(), Next::Idle);
    assert_eq!(next.manifests().len(), 3);
    assert!(next.created().iter().all(|key| key.starts_with("team/")));
    assert_eq!(next.outbox.backlog().entries, 0);
}

#[tokio::test]
async fn when_one_parked_entry_is_taken_the_others_follow_at_once() {
    let mut rig = Rig::new();
    (1..=4).for_each(|segment| rig.pack(segment, &[""]));
    rig.fault("events", FOREVER, refused(Scope::Object));
    rig.uploader.step().await.unwrap();
    assert_eq!(rig.outbox.parked(), [1, 2, 3, 4]);
    rig.faults.clear();
    rig.clock.advance(PARKED_FOR);
    while rig.uploader.step().await.unwrap() == Next::Now {}
    assert_eq!(rig.outbox.backlog().entries, 0);
    assert!(rig.report().parked.is_empty());
}

#[tokio::test]
async fn a_foreign_object_parks_its_entry_and_no_other() {
    let mut rig = Rig::new();
    rig.pack(1, &[""]);
    rig.pack(2, &[""]);
    rig.memory.replace("events/date=2024-10-04/w-000000000001-000.pb", "theirs");
    rig.uploader.step().await.unwrap();
    assert_eq!(rig.outbox.parked(), [1]);
    assert!(rig.report().parked[&1][""].contains("another object"));
    assert_eq!(rig.manifests(), ["_commits/w/000000000002.json"]);
    assert_eq!(rig.memory.all()["events/date=2024-10-04/w-000000000001-000.pb"], "theirs");
}

#[tokio::test]
async fn damage_on_the_local_disk_parks_its_entry_and_no_other() {
    let mut rig = Rig::new();
    rig.pack(1, &[""]);
    rig.pack(2, &[""]);
    rig.pack(3, &[""]);
    disk::write(&rig.disk, Path::new("/outbox/000000000001/0001.part"), b"flipped").unwrap();
    for name in ["entry.json", "entry.json.copy"] {
        disk::write(&rig.disk, &Path::new("/outbox/000000000002").join(name), b"{").unwrap();
    }
    rig.uploader.step().await.unwrap();
    assert_eq!(rig.outbox.parked(), [1, 2]);
    assert!(rig.report().parked[&1][""].contains("damaged"));
    assert_eq!(rig.manifests(), ["_commits/w/000000000003.json"]);
}

#[tokio::test]
async fn wherever_the_process_ends_the_next_one_stores_everything_once() {
    let calls = {
        let mut rig = Rig::new();
        rig.pack(1, &["", "team"]);
        rig.uploader.step().await.unwrap();
        rig.faults.calls().len()
    };
    for stop in 0..calls {
        for outcome in [Outcome::Silent, Outcome::DoneAndSilent] {
            let mut rig = Rig::new();
            rig.pack(1, &["", "team"]);
            let skip = u64::try_from(stop).unwrap();
            rig.faults.add(Fault { call: None, key: String::new(), skip, times: FOREVER, outcome });
            // Killed while it waits for an answer.
            assert!(tokio::time::timeout(Duration::from_millis(5), rig.uploader.step()).await.is_err());
            let before = rig.memory.all();
            let mut next = rig.restarted();
            next.uploader.drain().await.unwrap();
            let after = next.memory.all();
            assert_eq!(after.len(), 6);
            assert!(before.iter().all(|(key, bytes)| after.get(key) == Some(bytes)), "an object was replaced");
            for (key, _) in before.iter().filter(|(key, _)| key.ends_with(".json")) {
                let prefix = key.strip_suffix("_commits/w/000000000001.json").unwrap();
                let files = before.keys().filter(|key| key.starts_with(&format!("{prefix}events/")));
                assert_eq!(files.count(), 2, "a manifest was there before its files");
            }
        }
    }
}

#[tokio::test]
async fn an_error_of_the_local_disk_ends_the_step() {
    use crate::wal::disk::FaultDisk;
    use crate::wal::disk::Op;
    let memory = MemDisk::new();
    let faults = FaultDisk::new(Arc::new(memory.clone()));
    let rig = Rig::on(memory, Memory::default());
    rig.pack(1, &[""]);
    let outbox = Arc::new(Outbox::open(Arc::new(faults.clone()), Path::new("/outbox")).unwrap());
    let store = Store::new(Arc::new(rig.memory.clone()), Patience::short(), Arc::default());
    let clock = Arc::new(ManualClock::new(0));
    let mut uploader = Uploader::new(outbox, store, clock, Arc::default(), 1);
    faults.add(disk::Fault {
        op: Some(Op::ReadAt),
        path: ".part".to_owned(),
        skip: 0,
        times: 1,
        outcome: disk::Outcome::NotDone(rustix::io::Errno::IO),
    });
    assert!(uploader.step().await.is_err());
}
