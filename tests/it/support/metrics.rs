//! The program's ledger as its metrics page shows it, and the identity that holds at every moment.

use std::collections::BTreeMap;

/// One reading of the metrics page, in input records. Reasons are summed.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Ledger {
    pub(crate) received: i64,
    pub(crate) recovered: i64,
    pub(crate) landed: i64,
    pub(crate) merged: i64,
    pub(crate) left_out: i64,
    pub(crate) deduplicated: i64,
    pub(crate) rejected: i64,
    pub(crate) quarantined: i64,
    pub(crate) buffered: i64,
}

impl Ledger {
    /// Reads the numbers from a Prometheus text.
    pub(crate) fn read(page: &str) -> Self {
        let sums = sums(page);
        let records = |what: &str| {
            let name = format!("chatlake_records_{what}");
            let value = sums.get(&format!("{name}_total")).or_else(|| sums.get(&name)).copied().unwrap_or_default();
            // Counts of records are far below 2^53.
            value as i64
        };
        Self {
            received: records("received"),
            recovered: records("recovered"),
            landed: records("landed"),
            merged: records("merged"),
            left_out: records("left_out"),
            deduplicated: records("deduplicated"),
            rejected: records("rejected"),
            quarantined: records("quarantined"),
            buffered: records("buffered"),
        }
    }

    /// Holds the reading against the identity: what came in is somewhere.
    pub(crate) fn check(&self) {
        let came = self.received + self.recovered;
        let decided = self.landed + self.merged + self.left_out + self.deduplicated + self.rejected + self.quarantined;
        assert_eq!(came, decided + self.buffered, "the accounting identity is broken: {self:?}");
    }
}

/// Sums of all series of each metric name.
fn sums(page: &str) -> BTreeMap<String, f64> {
    let mut sums = BTreeMap::new();
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let Some((series, value)) = line.rsplit_once(' ') else { continue };
        let name = series.split('{').next().unwrap_or(series);
        if let Ok(value) = value.parse::<f64>() {
            *sums.entry(name.to_owned()).or_default() += value;
        }
    }
    sums
}
