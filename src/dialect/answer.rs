//! A provider's own answer, or a framework's around it: what only that says of a call.

use super::draft::Draft;
use super::json::Node;
use super::langchain;
use super::usage::Counts;

/// What an answer says beside its messages.
#[derive(Default)]
pub(super) struct Answer {
    pub counts: Counts,
    pub model: Option<String>,
    pub response_id: Option<String>,
    pub reasons: Vec<String>,
    /// How many answers it gives to choose from; 0 where it does not say.
    pub choices: usize,
}

impl Answer {
    /// Reads an answer of OpenAI (chat or Responses), Anthropic, Gemini, Bedrock or LangChain.
    pub(super) fn of(node: &Node<'_>) -> Self {
        if let Some(chain) = langchain::answer(node) {
            return chain;
        }
        // OpenAI's Agents in JavaScript: the answer alone in a list.
        if let [only] = node.items()
            && only.get("choices").is_some()
        {
            return Self::of(only);
        }
        if !is_providers(node) {
            return Self::default();
        }
        let text = |keys: &[&str]| node.first_text(keys).map(str::to_owned);
        let of_pydantic = node.text("kind") == Some("response") && node.get("parts").is_some();
        let mut reasons: Vec<String> = Vec::new();
        let mut choices = 0;
        for list in [node.get("choices"), node.get("candidates")].into_iter().flatten() {
            let reason = |choice: &Node<'_>| choice.first_text(&["finish_reason", "finishReason"]).map(str::to_owned);
            reasons.extend(list.items().iter().filter_map(reason));
            choices = choices.max(list.items().len());
        }
        if reasons.is_empty() {
            reasons.extend(text(&["stop_reason", "stopReason", "finish_reason", "finishReason"]));
            // The Vercel SDK's own word beside the provider's.
            reasons.extend(node.at(&["finishReason", "unified"]).and_then(Node::as_str).map(str::to_owned));
            reasons.extend(node.at(&["incomplete_details", "reason"]).and_then(Node::as_str).map(str::to_owned));
        }
        Self {
            counts: node.first(&["usage", "usageMetadata", "usage_metadata"]).map(Counts::of).unwrap_or_default(),
            model: text(&["model", "modelVersion", "model_version"])
                .or_else(|| text(&["model_name"]).filter(|_| of_pydantic)),
            response_id: text(&["id", "responseId", "response_id"])
                .or_else(|| text(&["provider_response_id"]).filter(|_| of_pydantic)),
            reasons,
            choices,
        }
    }

    /// Fills what the draft lacks of id, model and finish reasons.
    pub(super) fn fill(self, draft: &mut Draft) {
        let model = draft.model();
        model.response_id = model.response_id.take().or(self.response_id);
        model.response = model.response.take().or(self.model);
        draft.reasons(self.reasons);
    }
}

/// Whether a value is a provider's own answer: its id and model are the call's.
fn is_providers(node: &Node<'_>) -> bool {
    ["choices", "output", "content", "candidates", "usage", "object", "usage_metadata"]
        .iter()
        .any(|key| node.get(key).is_some())
}

/// Which of the names is the requested model's and which the answering one's, where keys are shared and packages
/// differ: a date in a name tells the answering one.
pub(super) fn names(stated: Option<&str>, asked: Option<&str>, has_answer: bool) -> (Option<String>, Option<String>) {
    let owned = |name: &str| Some(name.to_owned());
    match (stated, asked) {
        (Some(stated), Some(asked)) if stated != asked => {
            let (request, response) =
                if is_dated(asked) && !is_dated(stated) { (stated, asked) } else { (asked, stated) };
            (owned(request), if has_answer { owned(response) } else { None })
        }
        (Some(name), _) if is_dated(name) && has_answer => (None, owned(name)),
        (Some(name), _) | (None, Some(name)) => (owned(name), None),
        (None, None) => (None, None),
    }
}

/// Whether a name ends in a date: 2024-07-18 or 20250929.
pub(super) fn is_dated(name: &str) -> bool {
    let mut parts = 0;
    for part in name.split(['-', '@', ':', '.', '_']) {
        let number = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        match (number, part.len()) {
            (true, 8) if part.starts_with("20") => return true,
            (true, 4) if part.starts_with("20") => parts = 1,
            (true, 2) if parts > 0 => parts += 1,
            _ => parts = 0,
        }
        if parts == 3 {
            return true;
        }
    }
    false
}

/// Whether a name ends in a version, as Google's answers state it: gemini-2.0-flash-001, gemini-2.5-pro-preview-06-05.
pub(super) fn is_versioned(name: &str) -> bool {
    let last = name.rsplit('-').next().unwrap_or_default();
    last.len() == 3 && last.bytes().all(|byte| byte.is_ascii_digit())
        || ["-preview-", "-exp-"].iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_tells_the_answering_model() {
        let dated = "gpt-4o-mini-2024-07-18";
        let pair = |stated, asked, has_answer| {
            let (request, response) = names(stated, asked, has_answer);
            (request.unwrap_or_default(), response.unwrap_or_default())
        };
        assert_eq!(pair(Some(dated), Some("gpt-4o-mini"), true), ("gpt-4o-mini".into(), dated.into()));
        assert_eq!(pair(Some("gpt-4o-mini"), Some(dated), true), ("gpt-4o-mini".into(), dated.into()));
        assert_eq!(pair(Some(dated), None, true), (String::new(), dated.into()));
        assert_eq!(pair(Some(dated), None, false), (dated.into(), String::new()));
        assert_eq!(pair(Some("gpt-4o-mini"), Some("gpt-4o-mini"), true), ("gpt-4o-mini".into(), String::new()));
        assert!(is_versioned("gemini-2.0-flash-001") && is_versioned("gemini-2.5-pro-preview-06-05"));
        assert!(!is_versioned("gemini-2.5-flash") && !is_versioned("gpt-4o-mini"));
        assert!(is_dated("claude-sonnet-4-5-20250929") && !is_dated("gpt-4-32k") && !is_dated("gemini-2.0-flash-001"));
    }
}
