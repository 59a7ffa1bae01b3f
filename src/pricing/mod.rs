//! What a model call costs by the dated price table that is embedded with the `genai-prices` crate.
//!
//! Prices are those of the call's own time. Unknown provider, model or usage give no cost, never 0. A model's rates are
//! remembered for a quarter of an hour of the calls' time, because looking a model up costs more than all the rest of
//! a row; where prices depend on the size of the prompt, those below the first step.

#[cfg(test)]
mod tests;

use crate::event::Model;
use crate::event::Tokens;
use genai_prices::Calculator;
use genai_prices::PriceRequest;
use genai_prices::Usage;
use genai_prices::UsageKey;
use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::SystemTime;
use xxhash_rust::xxh3::xxh3_64;

/// The day on which the embedded prices were published. A test holds it to the locked version.
const DATED: &str = "2026-10-30";
/// What `cost_source` says.
const SOURCE: &str = "genai-prices 2026-10-30";
/// The version of `genai-prices` that was published on that day.
#[cfg(test)]
const VERSION: &str = "0.2.1";

/// Rates are remembered for this part of the calls' time: some models are cheaper at night.
const REMEMBERED: Duration = Duration::from_secs(15 * 60);
/// Then all are forgotten.
const MOST_REMEMBERED: usize = 4096;
/// Tokens that rates are measured with: fewer than any step.
const PROBE: f64 = 1000.0;
/// Tokens beyond every step of a price that depends on the size of the prompt.
const HUGE_PROBE: f64 = 1e9;

/// The embedded prices.
#[derive(Debug, Default)]
pub struct Table {
    remembered: Mutex<HashMap<u64, Rates>>,
}

/// US dollars.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cost {
    /// The whole.
    pub total: f64,
    /// Of the prompt.
    pub input: f64,
    /// Of the answer.
    pub output: f64,
}

/// What one model costs at one time.
#[derive(Debug, Clone, Copy)]
enum Rates {
    /// Not in the table.
    Unknown,
    /// It depends on more than the numbers of tokens.
    Stepped,
    Flat(Flat),
}

/// US dollars a token.
#[derive(Debug, Clone, Copy)]
struct Flat {
    request: f64,
    input: f64,
    cached: f64,
    cache_creation: f64,
    output: f64,
    reasoning: f64,
    /// The largest prompt that has these rates.
    up_to: f64,
}

impl Flat {
    fn cost(&self, counts: &Counts) -> Option<Cost> {
        let plain = counts.input - counts.cached - counts.cache_creation;
        let thought = counts.reasoning.min(counts.output);
        if plain < 0.0 {
            return None;
        }
        let input = plain * self.input + counts.cached * self.cached + counts.cache_creation * self.cache_creation;
        let output = (counts.output - thought) * self.output + thought * self.reasoning;
        Some(Cost { total: self.request + input + output, input, output })
    }
}

/// Tokens of a call, as far as prices tell them apart.
#[derive(Debug, Clone, Copy)]
struct Counts {
    input: f64,
    cached: f64,
    cache_creation: f64,
    output: f64,
    reasoning: f64,
}

/// Numbers in `details.usage` that have prices of their own.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct Special {
    prompt_audio_tokens: Option<f64>,
    completion_audio_tokens: Option<f64>,
    cache_creation_5m_tokens: Option<f64>,
    cache_creation_1h_tokens: Option<f64>,
}

impl Table {
    /// The prices that this program was built with. They are read at the first call of [`Table::cost`].
    pub fn embedded() -> Self {
        Self::default()
    }

    /// What `cost_source` says of a computed cost.
    pub fn source(&self) -> &'static str {
        SOURCE
    }

    /// What a call costs, if both its prompt and its completion are known. `details_usage` is the JSON object of counts that have no column; `start_ns` the call's
    /// start, 0 where it is not known: then the prices are those of the table's day.
    pub fn cost(&self, model: &Model, tokens: &Tokens, details_usage: Option<&str>, start_ns: u64) -> Option<Cost> {
        let provider = provider(model.provider.as_deref())?;
        let number = |count: Option<i64>| count.and_then(|count| u32::try_from(count).ok()).map(f64::from);
        let counts = Counts {
            input: number(tokens.prompt_tokens)?,
            cached: number(tokens.cached_tokens).unwrap_or(0.0),
            cache_creation: number(tokens.cache_creation_tokens).unwrap_or(0.0),
            output: number(tokens.completion_tokens)?,
            reasoning: number(tokens.reasoning_tokens).unwrap_or(0.0),
        };
        if counts.input + counts.output == 0.0 {
            return None;
        }
        let special = details_usage.and_then(|json| serde_json::from_str::<Special>(json).ok()).unwrap_or_default();
        let names = [model.response.as_deref(), model.request.as_deref()];
        names.into_iter().flatten().find_map(|name| self.of_model(provider, name, &counts, &special, start_ns))
    }

    fn of_model(
        &self,
        provider: Provider<'_>,
        name: &str,
        counts: &Counts,
        special: &Special,
        start_ns: u64,
    ) -> Option<Cost> {
        let start = if start_ns == 0 { day_of_table() } else { Duration::from_nanos(start_ns) };
        let quarter = start.as_secs() / REMEMBERED.as_secs();
        let of_provider = match provider {
            Provider::Named(id) => id,
            Provider::Unknown => "",
        };
        let key = xxh3_64(format!("{of_provider}\0{name}\0{quarter}").as_bytes());
        let ask = Ask { provider, name, start };
        let known = self.remembered.lock().unwrap_or_else(PoisonError::into_inner).get(&key).copied();
        let rates = known.unwrap_or_else(|| {
            let rates = ask.rates();
            let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
            if remembered.len() >= MOST_REMEMBERED {
                remembered.clear();
            }
            remembered.insert(key, rates);
            rates
        });
        let cost = match rates {
            Rates::Unknown => return None,
            Rates::Flat(flat) if special.is_empty() && counts.input <= flat.up_to => flat.cost(counts)?,
            Rates::Flat(_) | Rates::Stepped => ask.cost(&usage(counts, special))?,
        };
        Some(Cost { total: rounded(cost.total), input: rounded(cost.input), output: rounded(cost.output) })
    }
}

impl Special {
    fn is_empty(&self) -> bool {
        let all = [
            self.prompt_audio_tokens,
            self.completion_audio_tokens,
            self.cache_creation_5m_tokens,
            self.cache_creation_1h_tokens,
        ];
        all.iter().all(|count| count.is_none_or(|count| count == 0.0))
    }
}

/// A question to the table.
#[derive(Debug, Clone, Copy)]
struct Ask<'a> {
    provider: Provider<'a>,
    name: &'a str,
    start: Duration,
}

impl Ask<'_> {
    fn cost(&self, usage: &Usage) -> Option<Cost> {
        let time = SystemTime::UNIX_EPOCH + self.start;
        let request = PriceRequest::new(self.name, usage).with_timestamp(time);
        let request = match self.provider {
            Provider::Named(id) => request.with_provider_id(id),
            Provider::Unknown => request,
        };
        let price = Calculator::bundled().calculate(&request).ok()?;
        Some(Cost { total: price.total_price, input: price.input_price, output: price.output_price })
    }

    /// Measures what one token of each kind costs, and up to which size of the prompt.
    fn rates(&self) -> Rates {
        let Some(nothing) = self.cost(&Usage::new()) else { return Rates::Unknown };
        let rate = |keys: &[UsageKey]| {
            let cost = self.cost(&keys.iter().map(|key| (key.clone(), PROBE)).collect())?;
            Some((cost.total - nothing.total) / PROBE)
        };
        let measured = || {
            Some(Flat {
                request: nothing.total,
                input: rate(&[UsageKey::INPUT_TOKENS])?,
                cached: rate(&[UsageKey::INPUT_TOKENS, UsageKey::CACHE_READ_TOKENS])?,
                cache_creation: rate(&[UsageKey::INPUT_TOKENS, UsageKey::CACHE_WRITE_TOKENS])?,
                output: rate(&[UsageKey::OUTPUT_TOKENS])?,
                reasoning: rate(&[UsageKey::OUTPUT_TOKENS, UsageKey::OUTPUT_REASONING_TOKENS])?,
                up_to: f64::INFINITY,
            })
        };
        let Some(flat) = measured() else { return Rates::Stepped };
        let holds = |input: f64, output: f64| {
            let quarter = (input / 4.0).floor();
            let counts = Counts { input, cached: quarter, cache_creation: quarter, output, reasoning: output / 2.0 };
            let told = self.cost(&usage(&counts, &Special::default()));
            told.zip(flat.cost(&counts))
                .is_some_and(|(told, ours)| (told.total - ours.total).abs() <= told.total.abs() * 1e-9)
        };
        if !holds(4.0, 4.0) || !holds(PROBE, PROBE) || !holds(PROBE, HUGE_PROBE) {
            return Rates::Stepped;
        }
        if holds(HUGE_PROBE, PROBE) {
            return Rates::Flat(flat);
        }
        let (mut within, mut beyond) = (PROBE, HUGE_PROBE);
        while beyond - within > 1.0 {
            let between = ((within + beyond) / 2.0).floor();
            if holds(between, PROBE) {
                within = between;
            } else {
                beyond = between;
            }
        }
        Rates::Flat(Flat { up_to: within, ..flat })
    }
}

fn usage(counts: &Counts, special: &Special) -> Usage {
    let parts = [
        (UsageKey::INPUT_TOKENS, Some(counts.input)),
        (UsageKey::CACHE_READ_TOKENS, Some(counts.cached)),
        (UsageKey::CACHE_WRITE_TOKENS, Some(counts.cache_creation)),
        (UsageKey::CACHE_WRITE_5M_TOKENS, special.cache_creation_5m_tokens),
        (UsageKey::CACHE_WRITE_1H_TOKENS, special.cache_creation_1h_tokens),
        (UsageKey::INPUT_AUDIO_TOKENS, special.prompt_audio_tokens),
        (UsageKey::OUTPUT_TOKENS, Some(counts.output)),
        (UsageKey::OUTPUT_REASONING_TOKENS, Some(counts.reasoning.min(counts.output))),
        (UsageKey::OUTPUT_AUDIO_TOKENS, special.completion_audio_tokens),
    ];
    parts.into_iter().filter_map(|(key, count)| Some((key, count.filter(|count| *count > 0.0)?))).collect()
}

/// To a millionth of a millionth, so that the same price always reads the same.
fn rounded(dollars: f64) -> f64 {
    (dollars * 1e12).round() / 1e12
}

/// Noon of the table's day, in UTC.
fn day_of_table() -> Duration {
    let noon = chrono::DateTime::parse_from_rfc3339(&format!("{DATED}T12:00:00Z"));
    noon.ok().and_then(|noon| u64::try_from(noon.timestamp()).ok()).map_or(Duration::ZERO, Duration::from_secs)
}

/// Whose prices are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Provider<'a> {
    /// By its id in the table.
    Named(&'a str),
    /// Not stated: the model's name tells.
    Unknown,
}

/// The table's id of a provider by its name in the conventions. None: it has no prices there.
fn provider(name: Option<&str>) -> Option<Provider<'_>> {
    let Some(name) = name.filter(|name| !name.is_empty()) else { return Some(Provider::Unknown) };
    Some(Provider::Named(match name {
        "aws.bedrock" => "aws",
        "azure.ai.inference" | "azure.ai.openai" => "azure",
        "gcp.gemini" | "gcp.vertex_ai" | "gcp.gen_ai" => "google",
        "mistral_ai" => "mistral",
        "moonshot_ai" => "moonshotai",
        "x_ai" => "x-ai",
        // The table's entry of this name is a subscription's.
        "github" => return None,
        // Names that are the table's own, and names that it does not know.
        other => other,
    }))
}
