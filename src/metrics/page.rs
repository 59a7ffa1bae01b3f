//! The metrics page: Prometheus' text.

use super::Metrics;
use super::family::Family;
use super::family::Series;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::EncodeMetric;
use prometheus_client::encoding::text;
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use std::fmt;
use std::sync::Arc;

/// Writes the page.
pub(super) fn write(metrics: &Arc<Metrics>) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Page(Arc::clone(metrics))));
    let mut out = String::new();
    // Writing into a String cannot fail.
    let _ = text::encode(&mut out, &registry);
    out
}

#[derive(Debug)]
struct Page(Arc<Metrics>);

impl Collector for Page {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for Family { name, help, series } in self.0.families() {
            match series {
                Series::Gauge(value) => metric(&mut encoder, name, help, &ConstGauge::new(value))?,
                Series::Seconds(value) => metric(&mut encoder, name, help, &ConstGauge::new(value))?,
                Series::Growing(value) => metric(&mut encoder, name, help, &ConstCounter::new(value))?,
                Series::Counts(series) => {
                    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
                    for (labels, value) in series {
                        let counter = ConstCounter::new(value);
                        if labels.is_empty() {
                            counter.encode(family)?;
                            break;
                        }
                        let labels: Vec<(&str, &str)> =
                            labels.iter().map(|(name, value)| (*name, value.as_ref())).collect();
                        counter.encode(family.encode_family(&labels.as_slice())?)?;
                    }
                }
            }
        }
        let help = "From a request's head to its answer.";
        metric(&mut encoder, "chatlake_receiver_answer_seconds", help, &self.0.answer_seconds)
    }
}

fn metric(out: &mut DescriptorEncoder<'_>, name: &str, help: &str, metric: &impl EncodeMetric) -> fmt::Result {
    metric.encode(out.encode_descriptor(name, help, None, metric.metric_type())?)
}
