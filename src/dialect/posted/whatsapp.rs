//! WhatsApp, from Meta itself and from Twilio: one record for each message and for each state of delivery.
//!
//! - A conversation is the pair of numbers: `wa:<business>:<user>`, both in `+` form. So it is the same for ever.
//! - `event_id` is the message's id, with `:<status>` behind it for a state.
//! - `read` implies `delivered`. A message's content is the text that the platform gives for it; what else it holds
//!   stands in `details.wa_meta`.

mod meta;
mod twilio;

use super::draft::Draft;
use crate::event::WaMeta;

pub use meta::meta;
pub use twilio::twilio;

const MESSAGE: &str = "wa.message";
const STATUS: &str = "wa.status";

/// A number in `+` form; what is no number stays as it is.
fn number(raw: &str) -> String {
    let bare = raw.strip_prefix("whatsapp:").unwrap_or(raw).trim();
    let digits: String = bare.chars().filter(|c| !matches!(c, ' ' | '-' | '(' | ')' | '+')).collect();
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        format!("+{digits}")
    } else {
        bare.to_owned()
    }
}

/// Says whose conversation it is, and which way it goes.
fn between(draft: &mut Draft, business: Option<&str>, user: Option<&str>, direction: &str, message_id: Option<&str>) {
    let (business, user) = (business.map(number), user.map(number));
    if let (Some(business), Some(user)) = (&business, &user) {
        draft.conversation(Some(&format!("wa:{business}:{user}")), "whatsapp numbers");
    }
    draft.row.wa_meta = Some(WaMeta {
        direction: Some(direction.to_owned()),
        message_id: message_id.map(str::to_owned),
        phone_number: user,
        ..WaMeta::default()
    });
}

/// What a state says of delivery.
fn delivery(draft: &mut Draft, status: &str) {
    let Some(wa_meta) = &mut draft.row.wa_meta else { return };
    let read = matches!(status, "read" | "played");
    wa_meta.read = Some(read);
    wa_meta.delivered = Some(read || status == "delivered");
}
