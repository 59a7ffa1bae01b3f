use super::*;
use crate::clock::ManualClock;
use crate::receiver::OTLP;
use std::fs::File as Disk;

fn caller(tenant: &str) -> Caller {
    Caller { tenant: tenant.to_owned(), ..Caller::default() }
}

fn with(key: &str) -> HeaderMap {
    HeaderMap::from_iter([(AUTHORIZATION, format!("Bearer {key}").parse().unwrap())])
}

#[test]
fn without_keys_everybody_is_the_same_caller() {
    let auth = Auth::new(Vec::new(), Arc::new(ManualClock::default()));
    assert_eq!(*auth.caller(OTLP, &HeaderMap::new()).unwrap(), Caller::default());
    assert_eq!(*auth.caller(OTLP, &with("whatever")).unwrap(), Caller::default());
}

#[test]
fn a_key_is_bound_to_its_caller() {
    let keys = [("one", "a"), ("two", "b")].map(|(key, tenant)| Keys {
        source: Source::Key(key.to_owned()),
        caller: caller(tenant),
        doors: Vec::new(),
    });
    let auth = Auth::new(keys.to_vec(), Arc::new(ManualClock::default()));
    assert_eq!(auth.caller(OTLP, &with("one")).unwrap().tenant, "a");
    assert_eq!(auth.caller(OTLP, &with("two")).unwrap().tenant, "b");
    let lower = HeaderMap::from_iter([(AUTHORIZATION, "bearer  two".parse().unwrap())]);
    assert_eq!(auth.caller(OTLP, &lower).unwrap().tenant, "b");
    for headers in [with("three"), with(""), HeaderMap::new()] {
        assert_eq!(auth.caller(OTLP, &headers).unwrap_err().outcome(), "unauthenticated");
    }
    let basic = HeaderMap::from_iter([(AUTHORIZATION, "Basic one".parse().unwrap())]);
    assert_eq!(auth.caller(OTLP, &basic).unwrap_err().outcome(), "unauthenticated");
}

#[test]
fn a_file_is_read_again_when_it_changes_and_never_misjudged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    fs::write(&path, "# rotated in May\nold\n\n new \n").unwrap();
    let clock = Arc::new(ManualClock::default());
    let keys = vec![
        Keys { source: Source::File(path.clone()), caller: caller("a"), doors: Vec::new() },
        Keys { source: Source::Key("fixed".to_owned()), caller: caller("b"), doors: Vec::new() },
    ];
    let auth = Auth::new(keys, Arc::clone(&clock) as Arc<dyn Clock>);
    assert_eq!(auth.caller(OTLP, &with("old")).unwrap().tenant, "a");
    assert_eq!(auth.caller(OTLP, &with("new")).unwrap().tenant, "a");
    assert_eq!(auth.caller(OTLP, &with("# rotated in May")).unwrap_err().outcome(), "unauthenticated");

    fs::write(&path, "new\n").unwrap();
    assert_eq!(auth.caller(OTLP, &with("old")).unwrap().tenant, "a", "a look counts for a second");
    clock.advance(Duration::from_secs(1));
    assert_eq!(auth.caller(OTLP, &with("old")).unwrap_err().outcome(), "unavailable", "it may be half-written");
    assert_eq!(auth.caller(OTLP, &with("new")).unwrap().tenant, "a");
    clock.advance(Duration::from_secs(2));
    assert_eq!(auth.caller(OTLP, &with("old")).unwrap_err().outcome(), "unauthenticated");

    // Truncated, to be written anew: nobody is refused for good.
    fs::write(&path, "# rotated in June\n").unwrap();
    clock.advance(Duration::from_secs(5));
    assert_eq!(auth.caller(OTLP, &with("new")).unwrap_err().outcome(), "unavailable");
    clock.advance(Duration::from_secs(5));
    assert_eq!(auth.caller(OTLP, &with("new")).unwrap_err().outcome(), "unavailable");

    fs::remove_file(&path).unwrap();
    clock.advance(Duration::from_secs(1));
    assert_eq!(auth.caller(OTLP, &with("new")).unwrap_err().outcome(), "unavailable");
    assert_eq!(auth.caller(OTLP, &with("unknown")).unwrap_err().outcome(), "unavailable");
    assert_eq!(auth.caller(OTLP, &with("fixed")).unwrap().tenant, "b");

    // The same length as before: its time tells.
    fs::write(&path, "neu\n").unwrap();
    Disk::options().write(true).open(&path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    clock.advance(Duration::from_secs(1));
    assert_eq!(auth.caller(OTLP, &with("neu")).unwrap().tenant, "a");
}

#[test]
fn keys_are_never_printed() {
    let keys = Keys { source: Source::Key("s3cret".to_owned()), caller: caller("a"), doors: Vec::new() };
    let auth = Auth::new(vec![keys.clone()], Arc::new(ManualClock::default()));
    assert!(!format!("{keys:?} {auth:?}").contains("s3cret"));
}

#[test]
fn a_key_may_count_at_some_doors_only() {
    let key = |key: &str, tenant: &str, doors: &[&str]| Keys {
        source: Source::Key(key.to_owned()),
        caller: caller(tenant),
        doors: doors.iter().map(|door| (*door).to_owned()).collect(),
    };
    let keys =
        vec![key("sdk", "a", &["insidellm", "modelstat"]), key("same", "b", &["litellm"]), key("same", "c", &[])];
    let auth = Auth::new(keys, Arc::new(ManualClock::default()));
    assert_eq!(auth.caller("modelstat", &with("sdk")).unwrap().tenant, "a");
    assert_eq!(auth.caller(OTLP, &with("sdk")).unwrap_err().outcome(), "unauthenticated");
    assert_eq!(auth.caller(OTLP, &with("same")).unwrap().tenant, "c");
    assert_eq!(auth.by_signature("insidellm", |key| key.as_bytes().ct_eq(b"sdk")).unwrap().0.tenant, "a");
    assert!(auth.by_signature(OTLP, |key| key.as_bytes().ct_eq(b"sdk")).is_err());
}
