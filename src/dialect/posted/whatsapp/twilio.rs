//! Twilio's callbacks: forms, one for each message and each state.

use super::MESSAGE;
use super::STATUS;
use super::between;
use super::delivery;
use super::number;
use crate::dialect::json::Node;
use crate::dialect::posted::Config;
use crate::dialect::posted::Malformed;
use crate::dialect::posted::Posted;
use crate::dialect::posted::body;
use crate::dialect::posted::body::Item;
use crate::dialect::posted::chat::said;
use crate::dialect::posted::draft::Draft;
use crate::dialect::posted::draft::Fields;
use crate::dialect::posted::draft::list;
use crate::event::Error;
use crate::event::Partial;
use crate::event::status;
use std::borrow::Cow;

/// Files of one message that are read.
const MOST_MEDIA: usize = 10;

/// Reads the body of `POST /webhooks/whatsapp/twilio`. A form without a message's id is ignored.
///
/// # Errors
/// Never: any text is a form. The type is that of its siblings.
pub fn twilio(body: &[u8], _config: &Config) -> Result<Posted, Malformed> {
    let text = body::text(body);
    let form = Form { fields: body::form(&text) };
    let mut posted = Posted::default();
    match form.first(&["MessageSid", "SmsSid", "SmsMessageSid"]) {
        Some(id) => posted.take(Ok(record(&form, id))),
        None => posted.ignored = 1,
    }
    Ok(posted)
}

/// The fields of a form.
struct Form {
    fields: Vec<(String, String)>,
}

impl Form {
    fn get(&self, key: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(name, _)| name == key);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    fn first(&self, keys: &[&str]) -> Option<&str> {
        keys.iter().find_map(|key| self.get(key))
    }

    /// The fields as JSON; one that comes again stands once, with its last value.
    fn node(&self) -> Node<'_> {
        let mut entries: Vec<(Cow<'_, str>, Node<'_>)> = Vec::with_capacity(self.fields.len());
        for (name, value) in &self.fields {
            entries.retain(|(known, _)| known != name);
            entries.push((Cow::Borrowed(name), Node::String(Cow::Borrowed(value))));
        }
        Node::object(entries)
    }

    fn media(&self) -> Vec<String> {
        let one = |place: usize| {
            let mut media = Fields::default();
            media.text("url", Some(self.get(&format!("MediaUrl{place}"))?));
            media.text("mime_type", self.get(&format!("MediaContentType{place}")));
            media.close()
        };
        (0..MOST_MEDIA).map_while(one).collect()
    }
}

fn record(form: &Form, id: &str) -> Partial {
    let node = form.node();
    let mut draft = Draft::new("whatsapp_twilio", &Item { node: Node::Null, flaw: None });
    // A message that came in says `received`, and only there.
    let state = form.get("MessageStatus").or_else(|| form.get("SmsStatus")).filter(|state| *state != "received");
    let mut block = Fields::default();
    block.text("provider", Some("twilio"));
    match state {
        None => message(&mut draft, form, id, &mut block),
        Some(state) => told(&mut draft, form, id, state, &mut block),
    }
    block.text("account_id", form.get("AccountSid"));
    draft.detail_fields("wa_meta", block);
    draft.detail("payload", node.json());
    draft.finish()
}

fn message(draft: &mut Draft, form: &Form, id: &str, block: &mut Fields) {
    let media = form.media();
    let is_place = form.get("Latitude").is_some();
    let kind = form.get("MessageType").filter(|kind| *kind != "text" || (!is_place && media.is_empty()));
    let kind = kind.unwrap_or(if is_place {
        "location"
    } else if media.is_empty() {
        "text"
    } else {
        "media"
    });
    let kind = if form.get("ButtonPayload").is_some() { "button" } else { kind };
    MESSAGE.clone_into(&mut draft.row.event_type);
    kind.clone_into(&mut draft.row.name);
    id.clone_into(&mut draft.row.event_id);
    between(draft, form.get("To"), form.get("From"), "in", Some(id));
    let text = form.get("Body").or_else(|| form.first(&["ButtonText", "Label", "Address"]));
    draft.row.messages = vec![said("user", text.map(str::to_owned))];
    block.text("message_type", Some(kind));
    block.text("business_number", form.get("To").map(number).as_deref());
    block.text("profile_name", form.get("ProfileName"));
    block.text("wa_id", form.get("WaId"));
    block.text("context_message_id", form.get("OriginalRepliedMessageSid"));
    if let Some((first, others)) = media.split_first() {
        block.json("media", first);
        if let Some(others) = list(others) {
            block.json("more_media", &others);
        }
    }
    let group = |keys: [(&str, &str); 4]| {
        let mut fields = Fields::default();
        for (name, key) in keys {
            fields.text(name, form.get(key));
        }
        fields.close()
    };
    let place = [("latitude", "Latitude"), ("longitude", "Longitude"), ("name", "Label"), ("address", "Address")];
    if let Some(place) = group(place) {
        block.json("location", &place);
    }
    let reply =
        [("text", "ButtonText"), ("payload", "ButtonPayload"), ("list_id", "ListId"), ("list_title", "ListTitle")];
    if let Some(reply) = group(reply) {
        block.json("reply", &reply);
    }
}

/// A state of a message that was sent.
fn told(draft: &mut Draft, form: &Form, id: &str, state: &str, block: &mut Fields) {
    STATUS.clone_into(&mut draft.row.event_type);
    state.clone_into(&mut draft.row.name);
    draft.row.event_id = format!("{id}:{state}");
    between(draft, form.get("From"), form.get("To"), "out", Some(id));
    delivery(draft, state);
    draft.row.status = Some(status::OK.to_owned());
    let (code, message) = (form.get("ErrorCode"), form.get("ErrorMessage"));
    if code.is_some() || matches!(state, "failed" | "undelivered") {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        draft.fail(status::ERROR, Error { message: owned(message), code: owned(code), ..Error::default() });
    }
    block.text("status", Some(state));
    block.text("business_number", form.get("From").map(number).as_deref());
}
