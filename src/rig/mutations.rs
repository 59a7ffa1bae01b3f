//! The tests can fail: each fault of our own is switched on, and the tests that are made for it have to notice.

use super::damage;
use super::disk;
use super::store;
use super::story;
use super::time;
use crate::failpoint;
use crate::failpoint::Mutation;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;

/// How many histories are told before one has to notice.
const HISTORIES: u64 = 6;

type Test = (&'static str, fn());

/// The tests that are asked, quick ones first.
const TESTS: [Test; 8] = [
    ("d4_new_files_survive_a_power_cut", disk::d4_new_files_survive_a_power_cut_or_were_never_acknowledged),
    (
        "d7_an_error_of_the_disk_ends_the_process",
        disk::d7_an_error_of_the_disk_ends_the_process_and_no_sync_is_tried_again,
    ),
    ("s3_a_lost_answer_is_a_success", store::s3_a_lost_answer_is_found_to_be_a_success),
    ("s4_a_foreign_object_parks_one_entry", store::s4_a_foreign_object_parks_one_entry_and_the_others_go_on),
    ("s10_a_reader_at_every_commit", store::s10_a_reader_at_every_commit_sees_whole_batches_and_counts_that_grow),
    ("c3_what_comes_again_lands_once", time::c3_what_comes_again_lands_once),
    ("d3_power_cuts_lose_nothing", disk::d3_power_cuts_lose_nothing),
    ("d8_damage_to_any_file_beside_an_entry", damage::d8_damage_to_any_file_beside_an_entry_costs_nothing),
];

/// What a test says when it fails; `None` when it passes.
fn failure(test: impl FnOnce()) -> Option<String> {
    let panic = catch_unwind(AssertUnwindSafe(test)).err()?;
    failpoint::disarm();
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    let text = text.unwrap_or_default();
    Some(text.lines().next().unwrap_or_default().chars().take(120).collect())
}

/// A history in which a mutation shows, and what is said of it.
fn history(mutation: Mutation) -> Option<(u64, String)> {
    (0..HISTORIES).find_map(|seed| {
        failpoint::mutate(Some(mutation));
        failure(|| {
            story::tell(seed);
        })
        .map(|why| (seed, why))
    })
}

#[test]
fn each_mutation_is_caught() {
    let hook = std::panic::take_hook();
    // Failures are expected here, hundreds of them. Those of other threads are still told.
    let here = std::thread::current().id();
    std::panic::set_hook(Box::new(move |panic| {
        if std::thread::current().id() != here {
            hook(panic);
        }
    }));
    let mut missed = Vec::new();
    for mutation in Mutation::ALL {
        let by_history = history(mutation);
        let mut caught: Vec<String> = by_history.iter().map(|(seed, why)| format!("history {seed} ({why})")).collect();
        for (name, test) in TESTS {
            failpoint::mutate(Some(mutation));
            if let Some(why) = failure(test) {
                caught.push(format!("{name} ({why})"));
                break;
            }
        }
        say!("{mutation:?} is caught by {}", caught.join(", "));
        if caught.is_empty() {
            missed.push(mutation);
        }
    }
    failpoint::mutate(None);
    assert!(missed.is_empty(), "nobody noticed {missed:?}");
}
