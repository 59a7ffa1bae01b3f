use super::*;
use crate::fold::Batch;
use crate::fold::account::Account;
use crate::fold::account::Fate;
use crate::lake::encode::Format;
use crate::lake::encode::Settings;
use crate::lake::objects::Memory;
use crate::lake::outbox::Outbox;
use crate::lake::samples::bare;
use crate::lake::samples::pack;
use crate::lake::store::Patience;
use crate::lake::store::Store;
use crate::lake::upload::Uploader;
use crate::wal::disk::Disk;
use crate::wal::disk::MemDisk;
use bytes::Bytes;
use std::path::Path;
use std::sync::Arc;

const DAY: i64 = 86_400_000_000;

/// A lake of three segments under two prefixes, as the uploader stores it.
async fn lake() -> (Memory, Scan) {
    let memory = Memory::default();
    let store = Store::new(Arc::new(memory.clone()), Patience::short(), Arc::default());
    let disk: Arc<dyn Disk> = Arc::new(MemDisk::new());
    let outbox = Arc::new(Outbox::open(disk, Path::new("/outbox")).unwrap());
    let template = "date={date}".parse().unwrap();
    let settings = Settings { format: Format::Parquet { level: 1 }, template, partitions: 9, file_bytes: 1 << 20 };
    for segment in 1..=3 {
        let batch = |at: u64, prefix| {
            let mut account = Account::default();
            account.received = 1;
            account.decide(segment * 10 + at, Fate::Landed);
            let row = |day: i64| bare(&format!("e{segment}-{at}-{day}"), "c", day * DAY);
            let rows = (1..=2).map(row).map(Box::new).collect();
            let previous = segment.checked_sub(1).filter(|before| *before > 0);
            (String::from(prefix), Batch { rows, account, previous, ..Batch::default() })
        };
        let batches = BTreeMap::from([batch(0, ""), batch(1, "team")]);
        pack(&outbox, &settings, &"w".parse().unwrap(), segment, batches, &[]).unwrap();
    }
    let clock = Arc::new(crate::clock::ManualClock::default());
    let mut uploader = Uploader::new(outbox, store.clone(), clock, Arc::default(), 4).probing("w".parse().unwrap());
    uploader.drain().await.unwrap();
    (memory, Scan::new(store))
}

async fn faults(scan: &Scan) -> Vec<(String, String)> {
    let verified = verify(scan, Limits::default(), |_, _| {}).await.unwrap();
    let told: u64 = verified.lines.values().map(|line| line.faults).sum();
    assert_eq!(usize::try_from(told).unwrap(), verified.faults.len());
    verified.faults.into_iter().map(|fault| (fault.key, fault.what)).collect()
}

async fn only(scan: &Scan) -> (String, String) {
    let mut faults = faults(scan).await;
    assert_eq!(faults.len(), 1, "{faults:?}");
    faults.swap_remove(0)
}

const FILE: &str = "team/events/date=1970-01-03/w-000000000002-001.parquet";
const MANIFEST: &str = "team/_commits/w/000000000002.json";

#[tokio::test]
async fn a_whole_lake_has_no_faults_and_is_counted() {
    let (memory, scan) = lake().await;
    assert!(memory.all().contains_key(FILE) && memory.all().contains_key(MANIFEST));
    let mut heard = Vec::new();
    let verified = verify(&scan, Limits::default(), |done, whole| heard.push((done, whole))).await.unwrap();
    assert_eq!(verified.faults, []);
    for prefix in ["", "team"] {
        let line = &verified.lines[&(prefix.parse().unwrap(), "w".to_owned())];
        assert_eq!((line.manifests, line.files, line.rows, line.faults), (3, 6, 6, 0));
    }
    let bytes: u64 = verified.lines.values().map(|line| line.bytes).sum();
    assert_eq!(heard.last(), Some(&(bytes, bytes)));
}

#[tokio::test]
async fn what_is_wrong_with_a_file_is_told() {
    let (memory, scan) = lake().await;
    let bytes = memory.all()[FILE].clone();
    memory.remove(FILE);
    assert_eq!(only(&scan).await, (FILE.to_owned(), "is missing".to_owned()));
    memory.replace(FILE, bytes.slice(1..));
    assert!(only(&scan).await.1.contains("bytes, the manifest says"));
    let mut flipped = bytes.to_vec();
    flipped[9] ^= 1;
    memory.replace(FILE, flipped);
    assert!(only(&scan).await.1.contains("SHA-256"));
    memory.replace(FILE, bytes);
    assert_eq!(faults(&scan).await, []);
}

#[tokio::test]
async fn what_no_manifest_lists_is_found_once_it_is_old() {
    let (memory, scan) = lake().await;
    memory.replace("events/date=1970-01-02/foreign.parquet", "x");
    memory.replace("_commits/w/notes.txt", "x");
    let keys: Vec<String> = faults(&scan).await.into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, ["_commits/w/notes.txt", "events/date=1970-01-02/foreign.parquet"]);
    memory.remove("_commits/w/notes.txt");
    let verified = verify(&scan, Limits { settled: -1, ..Limits::default() }, |_, _| {}).await.unwrap();
    assert_eq!((verified.faults.len(), verified.young), (0, 1));
}

#[tokio::test]
async fn a_break_in_the_chain_is_found() {
    let (memory, scan) = lake().await;
    let manifest = memory.all()[MANIFEST].clone();
    memory.remove(MANIFEST);
    let found = faults(&scan).await;
    let (key, what) = &found[0];
    assert_eq!(key, "team/_commits/w/000000000003.json");
    assert!(what.contains("segment 2") && what.contains("missing"), "{what}");
    // Its two files have no manifest now.
    assert_eq!(found.len(), 3, "{found:?}");

    let mut other = Manifest::from_bytes(&manifest).unwrap();
    other.previous = None;
    memory.replace(MANIFEST, other.to_bytes());
    assert!(only(&scan).await.1.contains("names none as the one before it, but segment 1 is"));
}

#[tokio::test]
async fn with_a_time_what_was_before_may_be_gone() {
    let (memory, scan) = lake().await;
    for key in memory.all().into_keys().filter(|key| key.contains("000000000001")) {
        memory.remove(&key);
    }
    assert_eq!(faults(&scan).await.len(), 2);
    let since = |since| Limits { since: Some(since), ..Limits::default() };
    assert_eq!(verify(&scan, since(0), |_, _| {}).await.unwrap().faults, []);
    // The store in memory wrote everything in 1970.
    let verified = verify(&scan, since(1), |_, _| {}).await.unwrap();
    assert!(verified.faults.is_empty() && verified.lines.is_empty(), "{verified:?}");
}

#[tokio::test]
async fn a_manifest_that_lies_is_found() {
    let (memory, scan) = lake().await;
    let good = Manifest::from_bytes(&memory.all()[MANIFEST]).unwrap();
    let tells = async |change: fn(&mut Manifest)| {
        let mut manifest = good.clone();
        change(&mut manifest);
        memory.replace(MANIFEST, manifest.to_bytes());
        only(&scan).await.1
    };
    assert!(tells(|manifest| manifest.segment = 9).await.contains("segment 9"));
    assert!(tells(|manifest| manifest.accounting.received += 1).await.contains("balance"));
    assert!(tells(|manifest| manifest.decided[0].first = 20).await.contains("decides record 20 again"));
    assert!(tells(|manifest| manifest.files[0].rows += 1).await.contains("has 1 rows, the manifest says 2"));
    // A file of other columns, whose manifest says all the same of it.
    let other = Bytes::from_static(b"PAR1 is not all");
    memory.replace(FILE, other.clone());
    let mut manifest = good.clone();
    let at = manifest.files.iter().position(|file| FILE.ends_with(&file.key)).unwrap();
    (manifest.files[at].bytes, manifest.files[at].sha256) = (15, crate::lake::encode::sha256(&other));
    memory.replace(MANIFEST, manifest.to_bytes());
    assert!(only(&scan).await.1.contains("not a Parquet file"));
    memory.replace(MANIFEST, "{}");
    let told = faults(&scan).await;
    assert!(told.iter().any(|(key, what)| key == MANIFEST && what.contains("missing field")), "{told:?}");
}
