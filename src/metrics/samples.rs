//! Values that are read at each scrape: what other modules count already, and what holds at this
//! moment.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};

use crate::metrics::table::{Kind, Metric};

/// Reads values at a scrape.
pub type Sampler = Box<dyn Fn(&mut Samples) + Send + Sync>;

/// The values of one scrape.
#[derive(Default)]
pub struct Samples(Vec<Family>);

struct Family {
    metric: &'static Metric,
    series: Vec<(Vec<(&'static str, String)>, f64)>,
}

impl Samples {
    /// Sets the value of a metric that has no labels.
    pub fn set(&mut self, metric: &'static Metric, value: f64) {
        self.set_of(metric, [], value);
    }

    /// Sets the value of one series of a metric.
    pub fn set_of<const N: usize>(
        &mut self,
        metric: &'static Metric,
        values: [&str; N],
        value: f64,
    ) {
        debug_assert_eq!(metric.labels.len(), N, "{}", metric.name);
        let labels = metric.labels.iter().copied().zip(values.map(str::to_owned)).collect();
        match self.0.iter_mut().find(|family| family.metric.name == metric.name) {
            Some(family) => family.series.push((labels, value)),
            None => self.0.push(Family { metric, series: vec![(labels, value)] }),
        }
    }
}

/// Encodes what the samplers read.
pub(super) struct Sampled(pub Vec<Sampler>);

impl Collector for Sampled {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut samples = Samples::default();
        self.0.iter().for_each(|sampler| sampler(&mut samples));
        samples.0.iter().try_for_each(|family| family.encode(&mut encoder))
    }
}

impl Family {
    fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let (name, kind) = match self.metric.kind {
            Kind::Counter => (super::base_name(self.metric), MetricType::Counter),
            Kind::Gauge | Kind::Histogram => (self.metric.name, MetricType::Gauge),
        };
        // The registry adds the full stop of the other metrics.
        let help = format!("{}.", self.metric.help);
        let mut family = encoder.encode_descriptor(name, &help, None, kind)?;
        for (labels, value) in &self.series {
            let one = family.encode_family(labels)?;
            match self.metric.kind {
                Kind::Counter => ConstCounter::new(*value).encode(one)?,
                Kind::Gauge | Kind::Histogram => ConstGauge::new(*value).encode(one)?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Sampled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sampled").finish_non_exhaustive()
    }
}
