use super::*;
use crate::event::Event;
use crate::lake::samples::bare;
use crate::lake::samples::full;
use crate::lake::samples::some;
use std::collections::BTreeMap;

/// 2026-11-21T09:00:01.25Z
const NOW: i64 = 1_795_251_601_250_000;

fn template(text: &str) -> Template {
    text.parse().unwrap()
}

fn split(template: &Template, cap: usize, rows: Vec<Event>) -> (Vec<Partition>, u64) {
    let mut split = Split::new(template, cap);
    let partitions = split.split(rows.into_iter().map(Box::new).collect());
    (partitions, split.overflown)
}

fn path(text: &str, row: Event) -> String {
    let (partitions, _) = split(&template(text), 100, vec![row]);
    partitions[0].path("U")
}

fn row() -> Event {
    bare("e", "c", NOW)
}

#[test]
fn a_row_goes_where_the_template_says() {
    let row = Event { run_id: some("1767323045678"), conversation_id: "conv-1".to_owned(), ..full() };
    assert_eq!(path("date={date}", row.clone()), "date=2026-11-21/U");
    assert_eq!(path("{date}/{hour}", row.clone()), "2026-11-21/09/U");
    let seed = "app/{env}/date={date}/conv_id={conv_id}/run_id={run_id}/log";
    let expected = "app/production/date=2026-11-21/conv_id=conv-1/run_id=1767323045678/log-U";
    assert_eq!(path(seed, row.clone()), expected);
    assert_eq!(path(&format!("{seed}.jsonl"), row.clone()), expected);
    assert_eq!(path(&format!("{seed}-{{part}}"), row.clone()), expected);
    let all = "s={source}/t={event_type}/v={service}/{env}.{part}.{hour}";
    assert_eq!(path(all, row), "s=otlp/t=chat.completion/v=bot/production.U.09");
}

#[test]
fn a_bad_template_says_what_is_wrong() {
    for (text, says) in [
        ("", "empty"),
        ("date={day}", "unknown placeholder {day}: known are date, hour, env"),
        ("date={date", "unclosed brace"),
        ("date=date}", "unclosed brace"),
        ("/date={date}", "piece \"\""),
        ("a//b", "piece \"\""),
        ("../{date}", "piece \"..\""),
        ("_commits/{date}", "piece \"_commits\""),
        ("a b/{date}", "character ' '"),
        ("a\\b", "character '\\\\'"),
        ("{part}/{date}", "{part} elsewhere"),
        ("{part}{part}", "{part} elsewhere"),
        (&"a".repeat(201), "longer than 200"),
    ] {
        let error = text.parse::<Template>().unwrap_err().to_string();
        assert!(error.contains(says), "{text}: {error}");
    }
}

#[test]
fn no_value_makes_or_leaves_a_folder() {
    for (value, encoded) in [
        ("../../etc", "%2E.%2F..%2Fetc"),
        ("..", "%2E."),
        (".", "%2E"),
        ("a/b/../x=1", "a%2Fb%2F..%2Fx%3D1"),
        ("%2e%2e", "%252e%252e"),
        ("a\\b", "a%5Cb"),
        ("nul\0new\nline", "nul%00new%0Aline"),
        ("year=2026", "year%3D2026"),
        ("\u{2215}\u{ff0f}", "%E2%88%95%EF%BC%8F"),
        ("", MISSING),
        (MISSING, "%5F_HIVE_DEFAULT_PARTITION__"),
        (OVERFLOW, "%5F_overflow__"),
        (" ", "%20"),
    ] {
        let row = Event { env: some(value), ..row() };
        assert_eq!(path("app/{env}", row.clone()), format!("app/{encoded}/U"));
        assert!(object_store::path::Path::parse(path("app/{env}", row)).is_ok());
    }
}

#[test]
fn a_long_value_is_cut_and_told_apart_by_its_hash() {
    let paths: Vec<_> = ["x", "y"]
        .map(|end| path("a={conv_id}", Event { conversation_id: format!("{}{end}", "ü".repeat(1000)), ..row() }))
        .into();
    assert_ne!(paths[0], paths[1]);
    assert!(paths.iter().all(|path| path.len() <= "a=/U".len() + LONGEST_VALUE), "{paths:?}");
    let plain = Event { conversation_id: "c".repeat(LONGEST_VALUE), ..row() };
    assert_eq!(path("a={conv_id}", plain.clone()), format!("a={}/U", plain.conversation_id));
    // Many keys share the space.
    let many = "{date}{hour}{env}{service}{conv_id}{run_id}{event_type}{source}";
    let long = Event { env: some(&"e".repeat(500)), service: some(&"\n".repeat(500)), ..plain };
    assert!(path(many, long).len() < VALUE_BYTES + 3);
}

#[test]
fn a_missing_value_is_what_readers_take_for_null() {
    let (partitions, _) = split(&template("env={env}/{date}"), 100, vec![row()]);
    assert_eq!(partitions[0].path("U"), "env=__HIVE_DEFAULT_PARTITION__/2026-11-21/U");
    let expected = BTreeMap::from([("date".to_owned(), some("2026-11-21")), ("env".to_owned(), None)]);
    assert_eq!(partitions[0].values, expected);
}

#[test]
fn a_time_that_cannot_be_is_filed_under_the_arrival_and_kept() {
    for (timestamp, folder, noted) in [
        (0, "2026-11-21", true),
        (EARLIEST - 1, "2026-11-21", true),
        (EARLIEST, "2015-01-01", false),
        (NOW + DAY, "2026-11-22", false),
        (NOW + DAY + 1, "2026-11-21", true),
        (i64::MIN, "2026-11-21", true),
        (i64::MAX, "2026-11-21", true),
    ] {
        let rows = vec![Event { timestamp, ..row() }];
        let (partitions, _) = split(&template("{date}"), 100, rows);
        assert_eq!(partitions[0].path("U"), format!("{folder}/U"));
        assert_eq!(partitions[0].rows[0].timestamp, timestamp);
        assert_eq!(!partitions[0].rows[0].notes.is_empty(), noted, "{timestamp}");
    }
    let (partitions, _) = split(&template("{env}"), 100, vec![Event { timestamp: 0, ..row() }]);
    assert!(partitions[0].rows[0].notes.is_empty());
}

#[test]
fn rows_keep_their_order_within_a_partition() {
    let rows = (0..10).map(|at| bare(&at.to_string(), "c", NOW + at % 2 * DAY)).collect();
    let (partitions, _) = split(&template("{date}"), 100, rows);
    let ids: Vec<Vec<_>> =
        partitions.iter().map(|partition| partition.rows.iter().map(|row| row.event_id.as_str()).collect()).collect();
    assert_eq!(ids, [["0", "2", "4", "6", "8"], ["1", "3", "5", "7", "9"]]);
}

/// Rows that differ from the one before in one value only.
#[test]
fn neighbours_go_where_each_would_go_alone() {
    let all = template("{date}/{hour}/{env}/{service}/{conv_id}/{run_id}/{event_type}/{source}/log");
    let midnight = NOW - NOW.rem_euclid(DAY);
    let others: [fn(&mut Event); 9] = [
        |row| row.timestamp += HOUR,
        |row| row.timestamp -= 1,
        |row| row.timestamp = 0,
        |row| row.env = some("staging"),
        |row| row.service = some("other"),
        |row| row.conversation_id = "other".to_owned(),
        |row| row.run_id = some("other"),
        |row| row.event_type = "tool".to_owned(),
        |row| row.source = "webhook".to_owned(),
    ];
    for change in others {
        let row = Event { received_at: midnight + HOUR, ..bare("e", "c", midnight) };
        let mut other = row.clone();
        change(&mut other);
        let rows = [&row, &row, &other, &other, &row].map(Event::clone);
        let places = |rows: Vec<Event>| {
            let (partitions, _) = split(&all, 100, rows);
            partitions.iter().map(|partition| (partition.path("U"), partition.rows.len())).collect::<Vec<_>>()
        };
        let [alone, other] = [row, other].map(|row| places(vec![row]).remove(0).0);
        assert_ne!(alone, other);
        assert_eq!(places(rows.into()), [(alone, 3), (other, 2)]);
    }
}

#[test]
fn past_the_cap_rows_flow_over_into_the_widest_key() {
    let rows = (0..1000)
        .map(|at| Event { env: some(if at % 2 == 0 { "a" } else { "b" }), ..bare("e", &format!("c{at:04}"), NOW) });
    let (partitions, overflown) = split(&template("{env}/{conv_id}"), 10, rows.collect());
    let paths: Vec<_> = partitions.iter().map(|partition| partition.path("U")).collect();
    assert_eq!(paths.len(), 12);
    assert_eq!(paths[10..], ["a/__overflow__/U", "b/__overflow__/U"]);
    assert_eq!(overflown, 990);
    assert_eq!(partitions.iter().map(|partition| partition.rows.len()).sum::<usize>(), 1000);
}

#[test]
fn the_cap_holds_over_all_lots() {
    let template = template("{conv_id}");
    let mut split = Split::new(&template, 2);
    let mut paths = |ids: &[&str]| -> Vec<String> {
        let rows = ids.iter().map(|id| Box::new(bare("e", id, NOW))).collect();
        split.split(rows).iter().map(|partition| partition.path("U")).collect()
    };
    assert_eq!(paths(&["a"]), ["a/U"]);
    assert_eq!(paths(&["b", "a", "c"]), ["a/U", "b/U", "__overflow__/U"]);
    assert_eq!(paths(&["d", "b"]), ["b/U", "__overflow__/U"]);
    assert_eq!(split.overflown, 2);
}

#[test]
fn too_many_dates_flow_over_into_the_arrivals() {
    let rows = (0..100).map(|at| Event { received_at: NOW, ..bare("e", "c", NOW - at * DAY) });
    let (partitions, _) = split(&template("{date}"), 10, rows.collect());
    assert!(partitions.len() <= 20);
    assert!(partitions.iter().all(|partition| partition.path("U").starts_with("2026-")));
}

#[test]
fn the_default_template_is_the_one_that_is_shown() {
    assert_eq!(DEFAULT.parse(), Ok(Template::default()));
}
