use super::*;
use std::collections::BTreeMap;

/// What each case of a file is read as, by its name.
fn meta_cases() -> BTreeMap<String, Posted> {
    let cases = golden_json("stackifier/whatsapp-meta-cases.json");
    let read = |case: &Value| {
        (case["case"].as_str().unwrap().to_owned(), meta(case["input"].to_string().as_bytes(), &config()).unwrap())
    };
    cases.as_array().unwrap().iter().map(read).collect()
}

fn form(fields: &Value) -> Vec<u8> {
    let pairs = fields.as_object().unwrap().iter().map(|(key, value)| {
        let value = percent_encoding::utf8_percent_encode(value.as_str().unwrap(), percent_encoding::NON_ALPHANUMERIC);
        format!("{key}={value}")
    });
    pairs.collect::<Vec<_>>().join("&").into_bytes()
}

fn twilio_cases() -> BTreeMap<String, Posted> {
    let cases = golden_json("stackifier/whatsapp-twilio-cases.json");
    let read =
        |case: &Value| (case["case"].as_str().unwrap().to_owned(), twilio(&form(&case["input"]), &config()).unwrap());
    cases.as_array().unwrap().iter().map(read).collect()
}

#[test]
fn every_message_has_what_its_kind_has() {
    let cases = meta_cases();
    assert_eq!(cases.len(), 21);
    let content = |case: &str| rows(&cases[case])[0].messages[0].content.clone();
    let block = |case: &str| details(&cases[case].records[0].1)["wa_meta"].clone();
    assert_eq!(content("text").as_deref(), Some("Hello"));
    assert_eq!(content("image").as_deref(), Some("my cat"));
    assert_eq!(block("image")["media"]["id"], "MEDIA1");
    assert_eq!(block("document")["media"]["filename"], "invoice.pdf");
    assert_eq!(block("audio")["media"]["voice"], true);
    assert_eq!(block("video")["media"]["mime_type"], "video/mp4");
    assert_eq!(block("location")["location"]["latitude"], 38.7);
    assert_eq!(content("location").as_deref(), Some("Lisbon"));
    assert_eq!(block("button")["reply"]["payload"], "YES");
    assert_eq!(content("interactive_button_reply").as_deref(), Some("Yes"));
    assert_eq!(content("interactive_list_reply").as_deref(), Some("Row"));
    assert_eq!(block("reaction")["reaction"]["message_id"], "wamid.FAKE0");
    assert_eq!(block("reply_with_context")["context_message_id"], "wamid.FAKE0");
    assert_eq!(block("unsupported")["errors"][0]["code"], 131051);
    assert_eq!(block("text")["profile_name"], "Jane Doe");
    for (case, posted) in &cases {
        for (_, record) in &posted.records {
            let row = row(record);
            assert!(matches!(row.event_type.as_str(), "wa.message" | "wa.status"), "{case}");
            assert!(!row.conversation_id.is_empty() || row.name == "message_template_status_update", "{case}");
        }
    }
}

#[test]
fn states_of_delivery_are_told_apart() {
    let cases = meta_cases();
    let row = |case: &str| rows(&cases[case])[0].clone();
    let told = |case: &str| {
        let wa_meta = row(case).wa_meta.unwrap();
        (
            wa_meta.delivered,
            wa_meta.read,
            details(&cases[case].records[0].1)["wa_meta"]["status"].as_str().unwrap().to_owned(),
        )
    };
    assert_eq!(told("status_sent"), (Some(false), Some(false), "sent".to_owned()));
    assert_eq!(told("status_delivered"), (Some(true), Some(false), "delivered".to_owned()));
    assert_eq!(told("status_read"), (Some(true), Some(true), "read".to_owned()));
    assert_eq!(told("status_failed").2, "failed");
    let failed = row("status_failed");
    assert_eq!((failed.status.as_deref(), failed.error.unwrap().code.as_deref()), (Some("error"), Some("131026")));
    assert_eq!(row("status_sent").wa_meta.unwrap().template_category.as_deref(), Some("service"));
    assert_eq!(row("status_read").event_id, "wamid.FAKE2:read");
}

#[test]
fn each_message_and_status_is_a_row_of_its_conversation() {
    let cases = meta_cases();
    let two = rows(&cases["two_messages_two_users"]);
    assert_eq!(two[0].conversation_id, "wa:+15550001111:+351910000000");
    assert_eq!(two[1].conversation_id, "wa:+15550001111:+351920000000");
    let mixed = rows(&cases["message_then_status"]);
    let directions: Vec<_> = mixed.iter().map(|row| row.wa_meta.as_ref().unwrap().direction.clone().unwrap()).collect();
    assert_eq!(directions, ["in", "out"]);
    assert_eq!(mixed[0].conversation_id, mixed[1].conversation_id);
    assert_eq!(rows(&cases["template_status_update"])[0].event_type, "wa.status");
    for case in ["empty", "not_whatsapp"] {
        assert_eq!((cases[case].records.len(), cases[case].ignored), (0, 1), "{case}");
    }
    assert_eq!(cases["text"].records[0].1.start_ns, 1_767_323_045_000_000_000, "the platform's own time");
}

#[test]
fn twilio_tells_direction_and_user() {
    let cases = twilio_cases();
    let of = |case: &str| {
        let row = rows(&cases[case])[0].clone();
        let wa_meta = row.wa_meta.clone().unwrap();
        (row, wa_meta.direction.unwrap(), wa_meta.phone_number.unwrap())
    };
    for case in ["inbound_text", "inbound_media_no_body", "inbound_button", "inbound_location"] {
        let (row, direction, number) = of(case);
        assert_eq!(
            (row.event_type.as_str(), direction.as_str(), number.as_str()),
            ("wa.message", "in", "+351910000000"),
            "{case}"
        );
        assert_eq!(row.conversation_id, "wa:+15550001111:+351910000000", "{case}");
    }
    for case in ["status_sent", "status_delivered", "status_read", "status_failed"] {
        let (row, direction, number) = of(case);
        assert_eq!(
            (row.event_type.as_str(), direction.as_str(), number.as_str()),
            ("wa.status", "out", "+351910000000"),
            "{case}"
        );
        assert_eq!(row.conversation_id, "wa:+15550001111:+351910000000", "{case}");
    }
    let block = |case: &str| details(&cases[case].records[0].1)["wa_meta"].clone();
    assert_eq!(block("inbound_media_no_body")["media"]["mime_type"], "image/jpeg");
    assert_eq!(block("inbound_location")["location"]["latitude"], "38.7");
    assert_eq!(of("status_failed").0.error.unwrap().code.as_deref(), Some("63016"));
    assert_eq!(cases["empty"].ignored, 1);
}
