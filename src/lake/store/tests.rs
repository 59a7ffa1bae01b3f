use super::*;
use crate::lake::objects::Call;
use crate::lake::objects::Fault;
use crate::lake::objects::FaultObjects;
use crate::lake::objects::Memory;
use crate::lake::objects::Outcome;

fn store() -> (Memory, FaultObjects, Store) {
    let memory = Memory::default();
    let faults = FaultObjects::new(Arc::new(memory.clone()));
    let store = Store::new(Arc::new(faults.clone()), Patience::short(), Arc::default());
    (memory, faults, store)
}

fn fault(call: Call, times: u64, outcome: Outcome) -> Fault {
    Fault { call: Some(call), key: String::new(), skip: 0, times, outcome }
}

fn unknown() -> Failure {
    Failure::Unknown("503".to_owned())
}

fn creates(faults: &FaultObjects) -> usize {
    faults.calls().iter().filter(|(call, _)| *call == Call::Create).count()
}

const BYTES: Bytes = Bytes::from_static(b"bytes");

#[tokio::test]
async fn what_passes_is_tried_again() {
    let (memory, faults, store) = store();
    faults.add(fault(Call::Create, 3, Outcome::NotDone(unknown())));
    assert_eq!(store.create("k", BYTES).await, Ok(Created::New));
    assert_eq!(memory.all()["k"], BYTES);
    assert_eq!(creates(&faults), 4);
    faults.add(fault(Call::Create, 99, Outcome::NotDone(unknown())));
    assert_eq!(store.create("l", BYTES).await, Err(unknown()));
    assert_eq!(creates(&faults), 8);
}

#[tokio::test]
async fn a_lost_answer_is_no_other_writer() {
    for outcome in [Outcome::DoneButFailed(unknown()), Outcome::DoneAndSilent] {
        let (memory, faults, store) = store();
        faults.add(fault(Call::Create, 1, outcome));
        assert_eq!(store.create("k", BYTES).await, Ok(Created::Same));
        assert_eq!(memory.all().len(), 1);
    }
}

#[tokio::test]
async fn another_object_under_the_key_is_refused_and_left_alone() {
    let (memory, _, store) = store();
    memory.replace("k", "theirs");
    let failure = store.create("k", BYTES).await.unwrap_err();
    assert!(matches!(&failure, Failure::Refused { scope: Scope::Object, why } if why.contains("another object")));
    assert_eq!(memory.all()["k"], "theirs");
}

#[tokio::test]
async fn exists_without_an_object_is_a_conflict_that_passes() {
    let (_, faults, store) = store();
    faults.add(fault(Call::Create, 2, Outcome::NotDone(Failure::Exists)));
    assert_eq!(store.create("k", BYTES).await, Ok(Created::New));
}

#[tokio::test]
async fn an_object_that_cannot_be_read_back_is_refused_with_the_way_out() {
    let (memory, faults, store) = store();
    memory.replace("k", BYTES);
    let refused = Failure::Refused { scope: Scope::Object, why: "no".to_owned() };
    faults.add(fault(Call::Read, 1, Outcome::NotDone(refused)));
    let failure = store.create("k", BYTES).await.unwrap_err();
    assert!(failure.to_string().contains("allow this credential to get objects"), "{failure}");
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_given_up() {
    let (_, faults, store) = store();
    faults.add(fault(Call::Create, 99, Outcome::Silent));
    let failure = store.create("k", BYTES).await.unwrap_err();
    assert!(failure.is_passing() && failure.to_string().contains("has not answered"), "{failure}");
    assert_eq!(creates(&faults), 4);
}

#[tokio::test]
async fn what_is_refused_is_not_tried_again() {
    let (_, faults, store) = store();
    let refused = Failure::Refused { scope: Scope::Store, why: "no bucket".to_owned() };
    faults.add(fault(Call::Create, 99, Outcome::NotDone(refused.clone())));
    assert_eq!(store.create("k", BYTES).await, Err(refused));
    assert_eq!(creates(&faults), 1);
}

#[tokio::test]
async fn the_probe_tells_what_is_missing() {
    let (prefix, writer) = (Prefix::default(), "w".parse().unwrap());
    let (memory, faults, store) = store();
    store.probe(&prefix, &writer).await.unwrap();
    store.probe(&prefix, &writer).await.unwrap();
    assert_eq!(memory.all().keys().collect::<Vec<_>>(), ["_commits/w/probe"]);
    assert_eq!(store.metrics.store_errors.sum(), 0, "what a store should say is no error");
    memory.remove("_commits/w/probe");
    // A store that takes the second put as well.
    #[derive(Debug)]
    struct Overwrites(Memory);
    #[async_trait::async_trait]
    impl Objects for Overwrites {
        async fn create(&self, key: &str, bytes: Bytes) -> Result<(), Failure> {
            self.0.replace(key, bytes);
            Ok(())
        }
        async fn read(&self, key: &str) -> Result<Bytes, Failure> {
            self.0.read(key).await
        }
        async fn list(&self, folder: &str, after: Option<&str>, limit: usize) -> Result<Vec<Listed>, Failure> {
            self.0.list(folder, after, limit).await
        }
        async fn folders(&self, folder: &str) -> Result<Vec<String>, Failure> {
            self.0.folders(folder).await
        }
    }
    let odd = Store::new(Arc::new(Overwrites(memory)), Patience::short(), Arc::default());
    let failure = odd.probe(&prefix, &writer).await.unwrap_err();
    assert!(failure.to_string().contains("conditional puts"), "{failure}");
    faults.add(fault(Call::Create, 99, Outcome::NotDone(unknown())));
    assert!(store.probe(&prefix, &writer).await.unwrap_err().is_passing());
}

#[test]
fn waits_double_up_to_the_longest_and_are_spread() {
    let patience = Patience::default();
    for failed in 0..40 {
        let whole = Duration::from_millis(200).saturating_mul(1 << failed.min(20)).min(patience.longest);
        let wait = patience.wait(failed, "key");
        assert!(wait >= whole / 2 && wait <= whole, "{failed}: {wait:?}");
    }
    let waits: std::collections::BTreeSet<_> = (0..20).map(|seed| patience.wait(3, &seed.to_string())).collect();
    assert!(waits.len() > 15);
}

#[tokio::test]
async fn failures_are_counted_by_operation_and_kind() {
    let memory = Memory::default();
    let faults = FaultObjects::new(Arc::new(memory));
    let metrics = Arc::new(Metrics::default());
    let store = Store::new(Arc::new(faults.clone()), Patience::short(), Arc::clone(&metrics));
    faults.add(fault(Call::Create, 2, Outcome::NotDone(unknown())));
    store.create("k", BYTES).await.unwrap();
    assert_eq!(metrics.store_errors.sum(), 2);
}
