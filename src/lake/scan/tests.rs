use super::*;
use crate::fold::account::Account;
use crate::lake::manifest::Bounds;
use crate::lake::objects::Memory;
use crate::lake::store::Patience;
use std::sync::Arc;

fn scan() -> (Memory, Scan) {
    let memory = Memory::default();
    (memory.clone(), Scan::new(Store::new(Arc::new(memory), Patience::short(), Arc::default())))
}

fn file(key: &str, conversations: (&str, &str), times: (&str, &str)) -> manifest::File {
    let bounds = |(min, max): (&str, &str)| Bounds { min: min.to_owned(), max: max.to_owned() };
    manifest::File {
        key: key.to_owned(),
        format: "proto".to_owned(),
        bytes: 0,
        sha256: String::new(),
        rows: 0,
        partition: BTreeMap::new(),
        bounds: BTreeMap::from([
            ("conversation_id".to_owned(), bounds(conversations)),
            ("timestamp".to_owned(), bounds(times)),
        ]),
    }
}

fn commit(memory: &Memory, prefix: &str, segment: u64, previous: Option<u64>, files: Vec<manifest::File>) {
    let writer: Writer = "w-1".parse().unwrap();
    let mut manifest = Manifest::new(&writer, segment, previous, &Account::default());
    manifest.files = files;
    let key = ManifestKey { prefix: prefix.parse().unwrap(), writer, segment };
    memory.replace(&key.to_string(), manifest.to_bytes());
}

fn micros(text: &str) -> Option<i64> {
    Some(DateTime::parse_from_rfc3339(text).unwrap().timestamp_micros())
}

#[tokio::test]
async fn only_files_that_may_hold_what_is_wanted_are_read() {
    let (memory, scan) = scan();
    let day = |day: u32| (format!("2026-11-{day:02}T00:00:00Z"), format!("2026-11-{day:02}T23:00:00.5Z"));
    let of = |key, from, to, on: u32| {
        let (first, last) = day(on);
        file(key, (from, to), (&first, &last))
    };
    commit(&memory, "", 1, None, vec![of("events/1", "a", "m", 1), of("events/2", "n", "z", 1)]);
    commit(&memory, "team/x", 2, None, vec![of("events/3", "a", "z", 2)]);
    let keys = async |wanted: Wanted| {
        let files = scan.files(&wanted).await.unwrap();
        files.iter().map(LakeFile::key).collect::<Vec<_>>()
    };
    assert_eq!(keys(Wanted::default()).await, ["events/1", "events/2", "team/x/events/3"]);
    let conversation = |id: &str| Wanted { conversation: Some(id.to_owned()), ..Wanted::default() };
    assert_eq!(keys(conversation("p")).await, ["events/2", "team/x/events/3"]);
    assert_eq!(keys(conversation("zz")).await, [] as [&str; 0]);
    let since = Wanted { since: micros("2026-11-02T00:00:00Z"), ..Wanted::default() };
    assert_eq!(keys(since.clone()).await, ["team/x/events/3"]);
    let until = Wanted { until: micros("2026-11-02T00:00:00Z"), ..Wanted::default() };
    assert_eq!(keys(until.clone()).await, ["events/1", "events/2"]);
    let boundary = micros("2026-11-02T00:00:00Z").unwrap();
    assert!(since.has_time(boundary) && !until.has_time(boundary));
}

#[tokio::test]
async fn what_others_took_the_place_of_is_left() {
    let (memory, scan) = scan();
    let whole = ("2026-11-01T00:00:00Z", "2026-11-01T00:00:00Z");
    commit(&memory, "", 1, None, vec![file("events/1", ("a", "b"), whole), file("events/2", ("a", "b"), whole)]);
    let mut manifest = Manifest::new(&"w-2".parse().unwrap(), 1, None, &Account::default());
    manifest.files = vec![file("events/3", ("a", "b"), whole)];
    manifest.replaces = vec!["events/1".to_owned()];
    memory.replace("_commits/w-2/000000000001.json", manifest.to_bytes());
    let files = scan.files(&Wanted::default()).await.unwrap();
    assert_eq!(files.iter().map(LakeFile::key).collect::<Vec<_>>(), ["events/2", "events/3"]);
}

#[tokio::test]
async fn each_commit_is_news_once_whatever_the_order() {
    let (memory, scan) = scan();
    commit(&memory, "", 1, None, Vec::new());
    let (mut follow, old) = Follow::begin(scan).await.unwrap();
    assert_eq!(old.len(), 1);
    let mut news = async || {
        let news = follow.news().await.unwrap();
        news.into_iter().map(|(key, _)| key.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(news().await, [] as [&str; 0]);
    commit(&memory, "", 4, Some(3), Vec::new());
    assert_eq!(news().await, ["_commits/w-1/000000000004.json"]);
    commit(&memory, "", 3, Some(2), Vec::new());
    assert_eq!(news().await, ["_commits/w-1/000000000003.json"]);
    commit(&memory, "", 2, Some(1), Vec::new());
    commit(&memory, "team", 5, None, Vec::new());
    let both = ["team/_commits/w-1/000000000005.json", "_commits/w-1/000000000002.json"];
    assert_eq!(news().await, both);
    assert_eq!(news().await, [] as [&str; 0]);
}
