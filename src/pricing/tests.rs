use super::*;

/// 2026-11-01, noon.
const NOON: u64 = 1_793_534_400_000_000_000;

fn model(provider: &str, name: &str) -> Model {
    Model { provider: Some(provider.into()), response: Some(name.into()), ..Model::default() }
}

fn tokens(prompt: i64, cached: i64, completion: i64) -> Tokens {
    Tokens {
        prompt_tokens: Some(prompt),
        cached_tokens: Some(cached),
        completion_tokens: Some(completion),
        ..Tokens::default()
    }
}

fn total(model: &Model, tokens: &Tokens) -> Option<f64> {
    Table::embedded().cost(model, tokens, None, NOON).map(|cost| cost.total)
}

/// What the crate itself says, without what we remember.
fn plain(provider: &str, name: &str, usage: &Usage) -> f64 {
    let time = SystemTime::UNIX_EPOCH + Duration::from_nanos(NOON);
    let request = PriceRequest::new(name, usage).with_provider_id(provider).with_timestamp(time);
    Calculator::bundled().calculate(&request).unwrap().total_price
}

#[test]
fn remembered_rates_give_what_the_table_says() {
    let table = Table::embedded();
    let models = [
        ("openai", "openai", "gpt-4o-mini-2024-07-18"),
        ("anthropic", "anthropic", "claude-sonnet-4-5-20250929"),
        ("gcp.gemini", "google", "gemini-2.5-pro"),
        ("aws.bedrock", "aws", "anthropic.claude-sonnet-4-20250514-v1:0"),
        ("x_ai", "x-ai", "grok-3"),
    ];
    for (ours, theirs, name) in models {
        for (prompt, cached, creation, completion, reasoning) in [
            (57, 16, 0, 21, 0),
            (300_000, 0, 1000, 5000, 4000),
            // On both sides of a step, with an answer that has a step of its own.
            (200_000, 10, 0, 50, 0),
            (200_001, 10, 0, 50, 0),
            (1, 0, 0, 0, 0),
            (100, 100, 0, 7, 7),
        ] {
            let tokens = Tokens {
                cache_creation_tokens: Some(creation),
                reasoning_tokens: Some(reasoning),
                ..tokens(prompt, cached, completion)
            };
            let number = |count: i64| f64::from(u32::try_from(count).unwrap());
            let usage = Usage::from([
                (UsageKey::INPUT_TOKENS, number(prompt)),
                (UsageKey::CACHE_READ_TOKENS, number(cached)),
                (UsageKey::CACHE_WRITE_TOKENS, number(creation)),
                (UsageKey::OUTPUT_TOKENS, number(completion)),
                (UsageKey::OUTPUT_REASONING_TOKENS, number(reasoning)),
            ]);
            let got = table.cost(&model(ours, name), &tokens, None, NOON).unwrap();
            let want = plain(theirs, name, &usage);
            assert!((got.total - want).abs() <= 1e-12, "{ours} {name}: {got:?}, not {want}");
        }
    }
}

#[test]
fn what_has_steps_is_remembered_below_the_first() {
    let limit = |provider, name| {
        let ask = Ask { provider: Provider::Named(provider), name, start: Duration::from_nanos(NOON) };
        match ask.rates() {
            Rates::Flat(flat) => Some(flat.up_to),
            Rates::Unknown | Rates::Stepped => None,
        }
    };
    assert_eq!(limit("google", "gemini-2.5-pro"), Some(200_000.0));
    assert_eq!(limit("openai", "gpt-4o-mini"), Some(f64::INFINITY));
}

#[test]
fn a_known_call_costs_what_its_price_list_says() {
    // 41 tokens at 0.15, 16 cached ones at 0.075, 21 of output at 0.60 dollars a million.
    assert_eq!(total(&model("openai", "gpt-4o-mini-2024-07-18"), &tokens(57, 16, 21)), Some(0.000_019_95));
}

#[test]
fn the_request_model_serves_where_the_answering_one_is_unknown() {
    let model = Model { request: Some("gpt-4o-mini".into()), ..model("openai", "my-deployment") };
    assert!(total(&model, &tokens(57, 16, 21)).is_some());
}

#[test]
fn what_is_unknown_has_no_cost() {
    let known = tokens(10, 0, 5);
    assert_eq!(total(&model("openai", "no-such-model"), &known), None);
    assert_eq!(total(&model("ollama", "llama3"), &known), None);
    assert_eq!(total(&model("github", "gpt-4o"), &known), None);
    assert_eq!(total(&Model::default(), &known), None);
    let model = model("openai", "gpt-4o-mini");
    assert_eq!(total(&model, &Tokens::default()), None);
    assert_eq!(total(&model, &Tokens { completion_tokens: None, ..known.clone() }), None);
    assert_eq!(total(&model, &tokens(0, 0, 0)), None);
    // More cached than there were: some count is wrong.
    assert_eq!(total(&model, &tokens(10, 20, 5)), None);
}

#[test]
fn without_a_provider_the_model_tells() {
    let model = Model { response: Some("gpt-4o-mini".into()), ..Model::default() };
    assert!(total(&model, &tokens(10, 0, 5)).is_some());
}

#[test]
fn audio_and_long_lived_cache_have_prices_of_their_own() {
    let table = Table::embedded();
    let cost = |model: &Model, usage| table.cost(model, &tokens(1000, 0, 1000), usage, NOON).unwrap().total;
    let audio = model("openai", "gpt-audio");
    assert!(cost(&audio, Some(r#"{"prompt_audio_tokens":1000}"#)) > cost(&audio, None));
    let mut written = tokens(1000, 0, 0);
    written.cache_creation_tokens = Some(1000);
    let claude = model("anthropic", "claude-sonnet-4-5");
    let of = |usage| table.cost(&claude, &written, usage, NOON).unwrap().total;
    assert!(of(Some(r#"{"cache_creation_1h_tokens":1000}"#)) > of(None));
}

#[test]
fn the_date_belongs_to_the_locked_version() {
    let lock = include_str!("../../Cargo.lock");
    let entry = format!("name = \"genai-prices\"\nversion = \"{VERSION}\"");
    assert!(lock.contains(&entry), "genai-prices was updated: set the day on which it was published");
    assert!(SOURCE.ends_with(DATED));
}
