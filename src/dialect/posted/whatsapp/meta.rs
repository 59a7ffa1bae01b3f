//! Notifications of Meta's Cloud API.

use super::MESSAGE;
use super::STATUS;
use super::between;
use super::delivery;
use super::number;
use crate::dialect::json::Node;
use crate::dialect::posted::Bad;
use crate::dialect::posted::Config;
use crate::dialect::posted::Malformed;
use crate::dialect::posted::Posted;
use crate::dialect::posted::body;
use crate::dialect::posted::body::Item;
use crate::dialect::posted::chat::said;
use crate::dialect::posted::draft::Draft;
use crate::dialect::posted::draft::Fields;
use crate::dialect::posted::draft::object_or_bad;
use crate::event::Error;
use crate::event::Partial;
use crate::event::status;

const DIALECT: &str = "whatsapp_meta";

/// Kinds of message that are a file, with their blocks.
const MEDIA: [&str; 6] = ["image", "document", "audio", "video", "sticker", "voice"];

/// Reads the body of `POST /webhooks/whatsapp/meta`. What is not WhatsApp's is ignored.
///
/// # Errors
/// When the body is no JSON.
pub fn meta(body: &[u8], _config: &Config) -> Result<Posted, Malformed> {
    let text = body::text(body);
    let item = body::document(&text)?;
    let mut posted = Posted::default();
    let entries = item.node.get("entry").map(Node::items).unwrap_or_default();
    let is_ours = item.node.text("object") == Some("whatsapp_business_account");
    for entry in entries.iter().filter(|_| is_ours) {
        for change in entry.get("changes").map(Node::items).unwrap_or_default() {
            Change { item: &item, entry, change }.read(&mut posted);
        }
    }
    if posted.records.is_empty() {
        posted.ignored = 1;
    }
    Ok(posted)
}

/// One change of an account.
struct Change<'c, 'a> {
    item: &'c Item<'a>,
    entry: &'c Node<'a>,
    change: &'c Node<'a>,
}

impl Change<'_, '_> {
    fn read(&self, posted: &mut Posted) {
        let before = posted.records.len();
        let list = |key: &str| self.change.at(&["value", key]).map(Node::items).unwrap_or_default();
        for message in list("messages") {
            posted.take(self.message(message, "in"));
        }
        // What a business wrote in the app itself.
        for message in list("message_echoes") {
            posted.take(self.message(message, "out"));
        }
        for status in list("statuses") {
            posted.take(self.status(status));
        }
        if posted.records.len() == before && self.change.get("value").is_some_and(|value| !value.is_empty()) {
            posted.take(Ok(self.account()));
        }
    }

    fn value(&self, path: &[&str]) -> Option<&str> {
        self.change.get("value")?.at(path)?.scalar_text()
    }

    fn business(&self) -> Option<&str> {
        self.value(&["metadata", "display_phone_number"])
    }

    /// What every record of this change says.
    fn block(&self) -> Fields {
        let mut block = Fields::default();
        block.text("provider", Some("meta"));
        block.text("business_number", self.business().map(number).as_deref());
        block.text("phone_number_id", self.value(&["metadata", "phone_number_id"]));
        block.text("account_id", self.entry.get("id").and_then(Node::scalar_text));
        block
    }

    fn message(&self, node: &Node<'_>, direction: &str) -> Result<Partial, Bad> {
        object_or_bad(node)?;
        let Some(id) = node.text("id") else { return Err(Bad::new("the message has no id", node.json())) };
        let kind = node.text("type").unwrap_or("unknown");
        let user = node.text(if direction == "in" { "from" } else { "to" });
        let mut draft = Draft::new(DIALECT, self.item);
        MESSAGE.clone_into(&mut draft.row.event_type);
        kind.clone_into(&mut draft.row.name);
        id.clone_into(&mut draft.row.event_id);
        draft.starts(node.get("timestamp"));
        between(&mut draft, self.business(), user, direction, Some(id));
        let role = if direction == "in" { "user" } else { "assistant" };
        draft.row.messages = vec![said(role, text_of(node, kind))];

        let mut block = self.block();
        block.text("message_type", Some(kind));
        self.profile(&mut block, user);
        block.text("context_message_id", node.at(&["context", "id"]).and_then(Node::as_str));
        block.node("context", node.get("context"));
        if let Some(media) = MEDIA.contains(&kind).then(|| node.get(kind)).flatten() {
            block.node("media", Some(media));
        }
        if let Some(reply) = node.first(&["button", "interactive"]) {
            block.node("reply", Some(reply));
        }
        for key in ["location", "reaction", "contacts", "order", "system", "referral", "errors", "identity"] {
            block.node(key, node.get(key));
        }
        draft.detail_fields("wa_meta", block);
        draft.detail("payload", node.json());
        Ok(draft.finish())
    }

    /// The name that the user gave himself.
    fn profile(&self, block: &mut Fields, user: Option<&str>) {
        let contacts = self.change.at(&["value", "contacts"]).map(Node::items).unwrap_or_default();
        let contact = contacts.iter().find(|contact| user.is_some() && contact.text("wa_id") == user);
        block.text("profile_name", contact.and_then(|contact| contact.at(&["profile", "name"])).and_then(Node::as_str));
        block.text("wa_id", contact.and_then(|contact| contact.text("wa_id")));
    }

    fn status(&self, node: &Node<'_>) -> Result<Partial, Bad> {
        object_or_bad(node)?;
        let (Some(id), Some(state)) = (node.text("id"), node.text("status")) else {
            return Err(Bad::new("the status has no id or says none", node.json()));
        };
        let mut draft = Draft::new(DIALECT, self.item);
        STATUS.clone_into(&mut draft.row.event_type);
        state.clone_into(&mut draft.row.name);
        draft.row.event_id = format!("{id}:{state}");
        draft.starts(node.get("timestamp"));
        between(&mut draft, self.business(), node.text("recipient_id"), "out", Some(id));
        delivery(&mut draft, state);
        let category = node.at(&["pricing", "category"]).or_else(|| node.at(&["conversation", "origin", "type"]));
        if let (Some(wa_meta), Some(category)) = (&mut draft.row.wa_meta, category.and_then(Node::as_str)) {
            wa_meta.template_category = Some(category.to_owned());
        }
        draft.row.status = Some(status::OK.to_owned());
        if state == "failed" {
            draft.fail(status::ERROR, error(node.get("errors").and_then(|errors| errors.items().first())));
        }
        let mut block = self.block();
        block.text("status", Some(state));
        for key in ["conversation", "pricing", "errors", "biz_opaque_callback_data"] {
            block.node(key, node.get(key));
        }
        draft.detail_fields("wa_meta", block);
        draft.detail("payload", node.json());
        Ok(draft.finish())
    }

    /// Something about the account, such as that a template was approved.
    fn account(&self) -> Partial {
        let field = self.change.text("field").unwrap_or("account");
        let value = self.change.get("value");
        let event = value.and_then(|value| value.text("event"));
        let mut draft = Draft::new(DIALECT, self.item);
        STATUS.clone_into(&mut draft.row.event_type);
        field.clone_into(&mut draft.row.name);
        draft.starts(value.and_then(|value| value.get("timestamp")).or_else(|| self.entry.get("time")));
        if let Some(account) = self.entry.get("id").and_then(Node::scalar_text) {
            draft.conversation(Some(&format!("wa:account:{account}")), "whatsapp account");
        }
        let errors = value.and_then(|value| value.get("errors"));
        if let Some(first) = errors.and_then(|errors| errors.items().first()) {
            draft.fail(status::ERROR, error(Some(first)));
        }
        let mut block = self.block();
        block.text("field", Some(field));
        block.text("status", event);
        block.node("errors", errors);
        draft.detail_fields("wa_meta", block);
        draft.detail("payload", self.change.json());
        draft.finish()
    }
}

fn error(node: Option<&Node<'_>>) -> Error {
    let text = |key: &str| node.and_then(|node| node.get(key)).map(Node::plain);
    let details = node.and_then(|node| node.at(&["error_data", "details"])).map(Node::plain);
    Error {
        r#type: None,
        message: text("message").or_else(|| text("title")).or(details),
        code: text("code"),
        stack: None,
    }
}

/// The text that stands for a message, where the platform gives one.
fn text_of(node: &Node<'_>, kind: &str) -> Option<String> {
    let at = |path: &[&str]| node.at(path).and_then(Node::as_str).filter(|text| !text.is_empty()).map(str::to_owned);
    match kind {
        "text" => at(&["text", "body"]),
        "button" => at(&["button", "text"]),
        "interactive" => ["button_reply", "list_reply"]
            .iter()
            .find_map(|reply| at(&["interactive", reply, "title"]))
            .or_else(|| at(&["interactive", "nfm_reply", "body"])),
        "reaction" => at(&["reaction", "emoji"]),
        "location" => at(&["location", "name"]).or_else(|| at(&["location", "address"])),
        "order" => at(&["order", "text"]),
        "system" => at(&["system", "body"]),
        other => at(&[other, "caption"]),
    }
}
