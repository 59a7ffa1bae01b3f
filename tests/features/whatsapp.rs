//! Rows of the table's part "WhatsApp".

use super::client::{Doors, META_SECRET, of};
use super::support::rows::Row;
use super::world::{at, golden_json, said, world};
use serde_json::{Value, json};

fn meta(case: &str) -> &'static Row {
    world().row(&format!("meta/{case}."))
}

pub(crate) fn text_image_document() {
    assert_eq!(said(meta("text"))[0].1, "Hello");
    let image = meta("image");
    assert_eq!((at(image, "details.wa_meta.media.id"), said(image)[0].1.as_str()), (&json!("MEDIA1"), "my cat"));
    assert_eq!(at(meta("document"), "details.wa_meta.media.filename"), "invoice.pdf");
}

pub(crate) fn all_kinds() {
    let cases = golden_json("stackifier/whatsapp-meta-cases.json");
    let cases: Vec<&str> =
        cases.as_array().expect("cases").iter().map(|case| case["case"].as_str().expect("a name")).collect();
    assert_eq!(cases.len(), 21);
    let special = [
        ("audio", "media.id"),
        ("video", "media.mime_type"),
        ("location", "location.latitude"),
        ("button", "reply.payload"),
        ("interactive_button_reply", "reply"),
        ("interactive_list_reply", "reply"),
        ("reaction", "reaction.message_id"),
        ("reply_with_context", "context_message_id"),
        ("unsupported", "errors.0.code"),
    ];
    for (case, path) in special {
        let row = meta(case);
        assert_eq!(row["event_type"], "wa.message", "{case}");
        assert!(!at(row, &format!("details.wa_meta.{path}")).is_null(), "{case}: {row:#?}");
    }
    for case in ["empty", "not_whatsapp"] {
        let told = world().told(&format!("meta/{case}."));
        assert_eq!((told.status, told.rows.len()), (200, 0), "{case}");
    }
    assert_eq!(meta("template_status_update")["event_type"], "wa.status");
    let ignored =
        world().metrics.lines().find(|line| line.contains("outcome=\"ignored\"") && line.contains("whatsapp_meta"));
    assert!(ignored.is_some_and(|line| line.ends_with(" 2")), "what is foreign is counted: {ignored:?}");
    for case in cases.iter().filter(|case| !["empty", "not_whatsapp"].contains(case)) {
        assert!(!world().rows(&format!("meta/{case}.")).is_empty(), "{case}");
    }
}

pub(crate) fn delivery_states() {
    let told = |case: &str| at(meta(case), "details.wa_meta.status").as_str().expect("a status").to_owned();
    assert_eq!(
        ["status_sent", "status_delivered", "status_read", "status_failed"].map(told),
        ["sent", "delivered", "read", "failed"]
    );
    assert_eq!(
        (at(meta("status_read"), "wa_meta.read"), at(meta("status_read"), "wa_meta.delivered")),
        (&json!(true), &json!(true))
    );
    let failed = meta("status_failed");
    assert_eq!(
        (at(failed, "error.code"), at(failed, "details.wa_meta.errors.0.code")),
        (&json!("131026"), &json!(131_026))
    );
}

pub(crate) fn several_in_one() {
    let two = world().rows("meta/two_messages_two_users.");
    assert_eq!(two.len(), 2);
    assert_ne!(two[0]["conversation_id"], two[1]["conversation_id"]);
    let mixed = world().rows("meta/message_then_status.");
    let mut directions: Vec<&Value> = mixed.iter().map(|row| at(row, "wa_meta.direction")).collect();
    directions.sort_by_key(ToString::to_string);
    assert_eq!(directions, ["in", "out"]);
}

pub(crate) fn stable_conversations() {
    let ids = ["text", "image", "status_read"].map(|case| meta(case)["conversation_id"].clone());
    assert!(ids.iter().all(|id| id == "wa:+15550001111:+351910000000"), "{ids:?}");
    assert_eq!(world().row("twilio/inbound_text.")["conversation_id"], ids[0]);
}

pub(crate) fn twilio_directions() {
    for (case, direction) in [
        ("inbound_text", "in"),
        ("inbound_media_no_body", "in"),
        ("inbound_location", "in"),
        ("status_sent", "out"),
        ("status_failed", "out"),
    ] {
        let row = world().row(&format!("twilio/{case}."));
        assert_eq!(at(row, "wa_meta.direction"), direction, "{case}");
        assert_eq!(at(row, "wa_meta.phone_number"), "+351910000000", "{case}: the user's");
    }
}

pub(crate) fn categories() {
    assert_eq!(at(meta("status_sent"), "wa_meta.template_category"), "service");
}

pub(crate) fn repeated_delivery() {
    let doors = Doors::open();
    let case = golden_json("stackifier/whatsapp-meta-cases.json")[0]["input"].clone();
    let first = doors.meta(&case.to_string(), META_SECRET);
    assert_eq!((first.0, doors.meta(&case.to_string(), META_SECRET)), (200, first), "answered as the first was");
    // Delivered again beside another message: the fold knows it by id and content.
    let mut both = case.clone();
    let messages = both["entry"][0]["changes"][0]["value"]["messages"].as_array_mut().expect("messages");
    let mut other = messages[0].clone();
    other["id"] = "wamid.OTHER".into();
    messages.push(other);
    assert_eq!(doors.meta(&both.to_string(), META_SECRET).0, 200);
    let (ledger, rows) = doors.landed();
    let mut ids: Vec<&str> = of(&rows, "whatsapp_meta").iter().filter_map(|row| row["event_id"].as_str()).collect();
    ids.sort_unstable();
    assert_eq!((ids, ledger.deduplicated), (vec!["wamid.FAKE1", "wamid.OTHER"], 1));
}
