//! Token counts: providers differ in what `input` and `output` include; OpenAI's way includes all.

use super::attributes::Attributes;
use super::attributes::Found;
use super::json::Node;
use crate::event::Tokens;

/// Counts as their source told them.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Counts {
    pub input: Option<Found<i64>>,
    pub output: Option<Found<i64>>,
    pub total: Option<Found<i64>>,
    /// Read from a cache.
    pub cached: Option<Found<i64>>,
    /// Written to a cache.
    pub written: Option<Found<i64>>,
    pub reasoning: Option<Found<i64>>,
    pub scheme: Scheme,
}

/// What is known of the emitter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Scheme {
    /// Arithmetic decides.
    #[default]
    Unknown,
    /// Input includes cached tokens, output includes reasoning.
    Inclusive,
    /// Input excludes cached tokens.
    CacheApart,
    /// Input excludes cached tokens, output excludes reasoning.
    AllApart,
}

/// Anthropic's own object, and Bedrock's: what was read from or written to a cache stands beside the input.
fn anthropic(node: &Node<'_>) -> bool {
    let has = |key: &str| node.get(key).is_some();
    has("input_tokens") && (has("cache_read_input_tokens") || has("cache_creation_input_tokens"))
        || has("inputTokens") && (has("cacheReadInputTokens") || has("cacheWriteInputTokens"))
}

/// A count that stands within a larger value.
pub(super) fn within(node: Option<&Node<'_>>) -> Option<Found<i64>> {
    node.and_then(Node::as_count).map(|value| Found { value, place: None })
}

impl Counts {
    pub(super) fn is_empty(&self) -> bool {
        self.input.is_none()
            && self.output.is_none()
            && self.total.is_none()
            && self.cached.is_none()
            && self.reasoning.is_none()
    }

    /// Counts of a provider's own usage object, as OpenAI, Anthropic, Gemini, Bedrock, LangChain or Vercel write it.
    pub(super) fn of(node: &Node<'_>) -> Self {
        let count = |paths: &[&[&str]]| paths.iter().find_map(|path| within(node.at(path)));
        Self {
            input: count(&[
                &["prompt_tokens"],
                &["input_tokens"],
                &["inputTokens"],
                &["promptTokens"],
                &["prompt_token_count"],
                &["promptTokenCount"],
                &["inputTokenCount"],
            ]),
            output: count(&[
                &["completion_tokens"],
                &["output_tokens"],
                &["outputTokens"],
                &["completionTokens"],
                &["candidates_token_count"],
                &["candidatesTokenCount"],
                &["outputTokenCount"],
            ]),
            total: count(&[
                &["total_tokens"],
                &["totalTokens"],
                &["total_token_count"],
                &["totalTokenCount"],
                &["total"],
            ]),
            cached: count(&[
                &["prompt_tokens_details", "cached_tokens"],
                &["input_tokens_details", "cached_tokens"],
                &["input_token_details", "cache_read"],
                &["cache_read_input_tokens"],
                &["inputTokenDetails", "cacheReadTokens"],
                &["cachedInputTokens"],
                &["cacheReadInputTokens"],
                &["cachedPromptTokens"],
                &["cached_content_token_count"],
                &["cachedContentTokenCount"],
                &["cached_tokens"],
                &["prompt_cached_tokens"],
            ]),
            written: count(&[
                &["cache_creation_input_tokens"],
                &["input_token_details", "cache_creation"],
                &["inputTokenDetails", "cacheWriteTokens"],
                &["cacheWriteInputTokens"],
                &["cacheCreationInputTokens"],
                &["prompt_cache_creation_tokens"],
            ]),
            reasoning: count(&[
                &["completion_tokens_details", "reasoning_tokens"],
                &["output_tokens_details", "reasoning_tokens"],
                &["output_token_details", "reasoning"],
                &["outputTokenDetails", "reasoningTokens"],
                &["reasoningTokens"],
                &["reasoning_tokens"],
                &["thoughts_token_count"],
                &["thoughtsTokenCount"],
                &["completion_reasoning_tokens"],
            ]),
            scheme: if anthropic(node) { Scheme::CacheApart } else { Scheme::Unknown },
        }
    }

    /// Counts that are missing here, from a source that tells the same call in the same way.
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            input: self.input.or(other.input),
            output: self.output.or(other.output),
            total: self.total.or(other.total),
            cached: self.cached.or(other.cached),
            written: self.written.or(other.written),
            reasoning: self.reasoning.or(other.reasoning),
            scheme: if self.scheme == Scheme::Unknown { other.scheme } else { self.scheme },
        }
    }

    /// The same where `other` is the provider's own object beside numbers that a package may have summed already: how
    /// the provider counts says something of these only where both state the same input.
    pub(super) fn beside(self, other: Self) -> Self {
        let value = |found: Option<Found<i64>>| found.map(|found| found.value);
        let same = self.input.is_none() || value(self.input) == value(other.input);
        let own = self.scheme;
        let all = self.or(other);
        if same { all } else { Self { scheme: own, ..all } }
    }

    /// The counts in OpenAI's way. A count that was changed on the way stays among the attributes too.
    pub(super) fn settle(self, attributes: &Attributes<'_>) -> Option<Tokens> {
        if self.is_empty() {
            return None;
        }
        let value = |found: Option<Found<i64>>| found.map(|found| found.value);
        let (input, output, total) = (value(self.input), value(self.output), value(self.total));
        let (cached, written, reasoning) = (value(self.cached), value(self.written), value(self.reasoning));
        let cache = sum(&[cached.unwrap_or(0), written.unwrap_or(0)]);
        let apart = apart(self.scheme, input, output, total, cache, reasoning.unwrap_or(0));
        let prompt = if apart.cache { input.zip(cache).and_then(|(input, cache)| sum(&[input, cache])) } else { input };
        let completion =
            if apart.reasoning { output.and_then(|output| sum(&[output, reasoning.unwrap_or(0)])) } else { output };
        for (was, is, found) in [(input, prompt, self.input), (output, completion, self.output)] {
            if let (true, Some(place)) = (was != is, found.and_then(|found| found.place)) {
                attributes.unmark_place(place);
            }
        }
        Some(Tokens {
            prompt_tokens: prompt,
            completion_tokens: completion,
            total_tokens: self.settled_total(attributes, total, prompt, completion),
            cached_tokens: cached,
            cache_creation_tokens: written,
            reasoning_tokens: reasoning,
            ..Tokens::default()
        })
    }

    /// The stated total, unless it leaves out what the counts include; then their sum.
    fn settled_total(
        &self,
        attributes: &Attributes<'_>,
        total: Option<i64>,
        prompt: Option<i64>,
        completion: Option<i64>,
    ) -> Option<i64> {
        let sum = prompt.zip(completion).and_then(|(prompt, completion)| sum(&[prompt, completion]));
        match (total, sum) {
            (Some(total), Some(sum)) if total != sum && self.adjusted(prompt, completion) => {
                if let Some(place) = self.total.and_then(|found| found.place) {
                    attributes.unmark_place(place);
                }
                Some(sum)
            }
            (Some(total), _) => Some(total),
            (None, sum) => sum,
        }
    }

    fn adjusted(&self, prompt: Option<i64>, completion: Option<i64>) -> bool {
        self.input.map(|found| found.value) != prompt || self.output.map(|found| found.value) != completion
    }
}

#[derive(Clone, Copy, Default)]
struct Apart {
    cache: bool,
    reasoning: bool,
}

/// What stands beside input and output and has to be added to them.
fn apart(
    scheme: Scheme,
    input: Option<i64>,
    output: Option<i64>,
    total: Option<i64>,
    cache: Option<i64>,
    reasoning: i64,
) -> Apart {
    let cache = cache.unwrap_or(0);
    match scheme {
        Scheme::Inclusive => return Apart::default(),
        Scheme::CacheApart => return Apart { cache: true, reasoning: false },
        Scheme::AllApart => return Apart { cache: true, reasoning: true },
        Scheme::Unknown => {}
    }
    if let (Some(input), Some(output), Some(total)) = (input, output, total) {
        let is = |more: &[i64]| {
            sum(&[input, output]).and_then(|base| more.iter().try_fold(base, |all, one| all.checked_add(*one)))
                == Some(total)
        };
        // A cache larger than the input cannot be part of it, whatever the sum says.
        if is(&[]) && cache <= input {
            return Apart::default();
        }
        if cache > 0 && is(&[cache]) {
            return Apart { cache: true, reasoning: false };
        }
        if reasoning > 0 && is(&[reasoning]) {
            return Apart { cache: cache > input, reasoning: true };
        }
        if cache > 0 && reasoning > 0 && is(&[cache, reasoning]) {
            return Apart { cache: true, reasoning: true };
        }
    }
    Apart { cache: input.is_some_and(|input| cache > input), reasoning: false }
}

fn sum(counts: &[i64]) -> Option<i64> {
    counts.iter().try_fold(0i64, |all, one| all.checked_add(*one))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(value: i64) -> Option<Found<i64>> {
        Some(Found { value, place: None })
    }

    fn settled(counts: Counts) -> Tokens {
        counts.settle(&Attributes::new(&[])).unwrap()
    }

    #[test]
    fn inclusive_counts_stay_as_they_are() {
        let tokens = settled(Counts {
            input: found(57),
            output: found(21),
            total: found(78),
            cached: found(16),
            ..Counts::default()
        });
        assert_eq!(
            (tokens.prompt_tokens, tokens.completion_tokens, tokens.total_tokens),
            (Some(57), Some(21), Some(78))
        );
    }

    #[test]
    fn a_total_tells_that_cached_tokens_stand_apart() {
        let tokens = settled(Counts {
            input: found(8),
            output: found(3),
            total: found(17),
            cached: found(4),
            reasoning: found(2),
            ..Counts::default()
        });
        assert_eq!(
            (tokens.prompt_tokens, tokens.completion_tokens, tokens.total_tokens),
            (Some(12), Some(5), Some(17))
        );
    }

    #[test]
    fn more_cached_than_input_means_apart() {
        let tokens = settled(Counts {
            input: found(10),
            output: found(3),
            cached: found(40),
            written: found(5),
            ..Counts::default()
        });
        assert_eq!((tokens.prompt_tokens, tokens.total_tokens), (Some(55), Some(58)));
    }

    #[test]
    fn a_known_emitter_beats_a_total_that_forgot_the_cache() {
        let tokens = settled(Counts {
            input: found(41),
            output: found(21),
            total: found(62),
            cached: found(16),
            scheme: Scheme::CacheApart,
            ..Counts::default()
        });
        assert_eq!((tokens.prompt_tokens, tokens.total_tokens), (Some(57), Some(78)));
    }

    #[test]
    fn unknown_is_not_zero_and_sums_do_not_wrap() {
        let tokens = settled(Counts { input: found(i64::MAX), output: found(i64::MAX), ..Counts::default() });
        assert_eq!((tokens.total_tokens, tokens.cached_tokens), (None, None));
        assert_eq!(Counts::default().settle(&Attributes::new(&[])), None);
    }
}
