//! The catalogue's faults of time, order and duplicates, by number.

use super::process::Settings;
use super::world::BEGIN;
use super::world::World;
use crate::event::Envelope;
use crate::event::Event;
use crate::event::Partial;
use crate::event::Record;
use crate::redact::Redacted;
use prost::Message as _;
use std::time::Duration;

const HOUR: i64 = 3_600_000_000;
const YEAR: i64 = 365 * 24 * HOUR;

/// C1: the wall clock jumps, also between lives. Keys stay unique, timers do not notice.
#[test]
fn c1_jumps_of_the_wall_clock_change_neither_keys_nor_timers() {
    let mut world = World::running(1, Settings::default());
    for by in [HOUR, -HOUR, 10 * YEAR, -10 * YEAR, -HOUR, 1, -1] {
        let wall = crate::clock::Clock::wall_micros(&*world.process().clock) + by;
        world.process().clock.set_wall_micros(wall);
        world.trace();
        world.run(Duration::from_secs(30));
        world.kill();
        world.wall -= by / 2;
        world.start();
    }
    world.settle();
}

/// C1: a trace is emitted after its linger, whatever the wall clock says meanwhile.
#[test]
fn c1_a_jump_of_ten_years_closes_no_trace() {
    let mut world = World::running(1, Settings::default());
    send(&mut world, 1, &[span(1, 2, Some(1), "a", BEGIN)]);
    world.run(Duration::from_secs(6));
    world.process().clock.set_wall_micros(BEGIN + 10 * YEAR);
    world.run(Duration::from_secs(6));
    assert_eq!(open(&mut world), 1);
    world.run(Duration::from_secs(60));
    assert_eq!(open(&mut world), 0);
    world.settle();
}

fn open(world: &mut World) -> usize {
    world.process().road.as_ref().unwrap().open_records()
}

fn span(trace: u64, id: u64, parent: Option<u64>, name: &str, micros: i64) -> Partial {
    let row = Event {
        event_type: String::from(if parent.is_none() { "agent.invocation" } else { "chat.completion" }),
        name: name.to_owned(),
        trace_id: Some(format!("{trace:032x}")),
        span_id: Some(format!("{id:016x}")),
        parent_span_id: parent.map(|id| format!("{id:016x}")),
        ..Event::default()
    };
    let start_ns = u64::try_from(micros).unwrap() * 1000;
    Partial { row: Some(Box::new(row)), start_ns, end_ns: start_ns + id, ..Partial::default() }
}

/// Sends records as one request, and has them acknowledged.
fn send(world: &mut World, received_at: i64, partials: &[Partial]) {
    let envelope = Envelope { tenant: "t".into(), door: "otlp".into(), received_at, ..Envelope::default() };
    let records =
        (0..).zip(partials).map(|(position, partial)| Record::encode(position, partial, &mut Vec::new())).collect();
    let request = vec![Redacted::of_test(envelope.encode_to_vec().into(), records)];
    let mut pending = world.process().wal.submit(request, None).unwrap();
    world.work();
    pending.try_answer().unwrap().unwrap();
    for partial in partials {
        let name = partial.row.as_ref().unwrap().name.clone();
        world.client.sent.insert(name.clone());
        world.client.acknowledged.insert(name);
    }
}

fn names(world: &World) -> Vec<String> {
    world.bucket.seen(|seen| seen.rows.keys().cloned().collect())
}

/// C2: the same spans in any order and in any pieces give the same rows under the same ids.
#[test]
fn c2_any_order_gives_the_same_rows() {
    let told = |seed: u64| {
        let mut world = World::running(seed, Settings::default());
        let mut spans: Vec<Partial> = (2..9)
            .map(|id| span(1, id, Some(if id % 3 == 0 { id - 1 } else { 1 }), &format!("s{id}"), BEGIN))
            .chain([span(1, 1, None, "s1", BEGIN)])
            .collect();
        let mut random = super::Random(seed);
        for at in (1..spans.len()).rev() {
            spans.swap(at, usize::try_from(random.below(at as u64 + 1)).unwrap());
        }
        while !spans.is_empty() {
            let rest = spans.split_off(spans.len().min(1 + usize::try_from(random.below(4)).unwrap()));
            send(&mut world, BEGIN, &spans);
            spans = rest;
            world.run(Duration::from_millis(random.below(700)));
        }
        world.settle();
        let objects = world.bucket.memory.all();
        let mut rows: Vec<(String, String)> = Vec::new();
        for (_, bytes) in objects.iter().filter(|(key, _)| key.starts_with("events")) {
            let mut rest = bytes.as_ref();
            while !rest.is_empty() {
                let row = Event::decode_length_delimited(&mut rest).unwrap();
                rows.push((row.event_id, row.name));
            }
        }
        rows.sort();
        rows
    };
    let first = told(0);
    assert_eq!(first.len(), 8);
    for seed in 1..15 {
        assert_eq!(told(seed), first, "seed {seed}");
    }
}

/// C3: each request comes one to five times, also across kills: one row each, the rest counted as resends.
#[test]
pub(super) fn c3_what_comes_again_lands_once() {
    for seed in 0..6 {
        let mut world = World::running(seed, Settings::default());
        let mut sent = 0;
        for trace in 1..8 {
            let partials = [
                span(trace, 2, Some(1), &format!("a{trace}"), BEGIN),
                span(trace, 1, None, &format!("b{trace}"), BEGIN),
            ];
            for time in 0..1 + trace % 5 {
                send(&mut world, BEGIN, &partials);
                sent += 2;
                world.run(Duration::from_secs(time * 7));
                if (time + seed) % 3 == 0 {
                    world.kill();
                    world.start();
                }
            }
        }
        world.settle();
        assert_eq!(names(&world).len(), 14);
        let counts = world.bucket.seen(|seen| {
            let decided = seen.manifests.values().map(|manifest| &manifest.accounting.decided);
            decided.fold((0, 0), |(landed, again), kinds| (landed + kinds.landed, again + kinds.deduplicated))
        });
        assert_eq!(counts, (14, sent - 14));
    }
}

/// C4: a child days before its parent, and a parent that never comes.
#[test]
fn c4_a_child_long_before_its_parent_and_a_parent_that_never_comes() {
    let mut world = World::running(4, Settings::default());
    send(&mut world, BEGIN, &[span(1, 2, Some(1), "early", BEGIN), span(2, 7, Some(6), "orphan", BEGIN)]);
    world.run(Duration::from_secs(3 * 86_400));
    assert_eq!(names(&world), ["early", "orphan"], "they do not wait for ever");
    send(&mut world, BEGIN, &[span(1, 1, None, "parent", BEGIN + 3 * 24 * HOUR)]);
    world.settle();
    assert_eq!(names(&world), ["early", "orphan", "parent"]);
}

/// C4: late spans land in the partition of their own time, in a commit of their own.
#[test]
fn c4_late_spans_go_to_the_partition_of_their_own_time() {
    let mut world = World::running(44, Settings::default());
    send(&mut world, BEGIN, &[span(1, 1, None, "today", BEGIN)]);
    world.run(Duration::from_secs(20));
    send(&mut world, BEGIN, &[span(1, 5, Some(1), "yesterday", BEGIN - 24 * HOUR)]);
    world.settle();
    let keys: Vec<String> = world.bucket.memory.all().into_keys().filter(|key| key.starts_with("events")).collect();
    assert!(keys.iter().any(|key| key.contains("date=2026-11-20")), "{keys:?}");
    assert!(keys.iter().any(|key| key.contains("date=2026-11-21")), "{keys:?}");
    assert_eq!(world.bucket.seen(|seen| seen.manifests.len()), 2);
}

/// C5: the same ids with different content are different rows, both kept.
#[test]
fn c5_the_same_ids_with_other_content_are_both_kept() {
    let mut world = World::running(5, Settings::default());
    send(&mut world, BEGIN, &[span(1, 2, Some(1), "one", BEGIN), span(1, 2, Some(1), "two", BEGIN + 1)]);
    send(&mut world, BEGIN, &[span(1, 1, None, "root", BEGIN)]);
    world.settle();
    assert_eq!(names(&world), ["one", "root", "two"]);
}

/// C6: rows exactly on the boundary of a day stand on its right side, to the nanosecond.
#[test]
fn c6_rows_on_the_boundary_of_a_day_stand_on_their_side() {
    let mut world = World::running(6, Settings::default());
    let midnight = BEGIN - BEGIN % (24 * HOUR);
    let mut before = span(1, 2, Some(1), "before", midnight);
    before.start_ns -= 1;
    send(&mut world, midnight, &[before, span(1, 3, Some(1), "at", midnight), span(1, 1, None, "root", midnight)]);
    world.settle();
    let manifests = world.bucket.seen(|seen| seen.manifests.values().cloned().collect::<Vec<_>>());
    let rows: Vec<(String, u64)> = manifests
        .iter()
        .flat_map(|manifest| &manifest.files)
        .map(|file| (file.key.split('/').nth(1).unwrap().to_owned(), file.rows))
        .collect();
    assert_eq!(rows, [(String::from("date=2026-11-20"), 1), (String::from("date=2026-11-21"), 2)]);
}

/// Neither memory nor what is written grows with how long a trace stays open.
#[test]
fn a_trace_that_stays_open_over_hundreds_of_segments_costs_little_and_kills_do_not_matter() {
    let told = |segments: u64, is_killed: bool| {
        let mut world = World::running(7, Settings { patience: (3, 100_000, 1_000_000), ..Settings::default() });
        let (mut sent, mut written) = (0, 0);
        for n in 0..segments {
            let long = span(1, n + 2, Some(1), &format!("long{n}"), BEGIN);
            let other = span(1000 + n, 1, None, &format!("other{n} {}", "z".repeat(3000)), BEGIN);
            sent += long.encoded_len() + other.encoded_len();
            send(&mut world, BEGIN, &[long, other]);
            world.run(Duration::from_secs(6));
            if is_killed && n % 37 == 5 {
                written += world.process().disk.written();
                world.kill();
                world.start();
            }
        }
        written += world.process().disk.written();
        assert!(world.used() < (segments * 5) << 10, "{} bytes on the disk", world.used());
        let factor = written as f64 / sent as f64;
        say!("{segments} segments, killed: {is_killed}: {written} bytes were written for {sent}: {factor:.2} times");
        assert!(factor < 7.0);
        send(&mut world, BEGIN, &[span(1, 1, None, "the root", BEGIN)]);
        world.settle();
        (names(&world), factor)
    };
    let ((killed, _), (expected, factor)) = (told(240, true), told(240, false));
    assert_eq!(killed, expected);
    // As much for each segment, however long the trace has been open.
    let (_, longer) = told(600, false);
    assert!(longer < factor * 1.15, "{longer:.2} times over 600 segments, {factor:.2} over 240");
}
