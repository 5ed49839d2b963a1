//! The text formats of a scrape, and which of them a scraper prefers.
//!
//! Each scrape gets one of the two: a scraper that accepts neither gets the text format of
//! Prometheus, since each monitoring system reads it.

/// The ranges of an `Accept` header that cover OpenMetrics, the most specific one first.
const OPEN_METRICS: [&str; 3] = ["application/openmetrics-text", "application/*", "*/*"];

/// The same for the text format of Prometheus.
const PROMETHEUS: [&str; 3] = ["text/plain", "text/*", "*/*"];

/// The versions of OpenMetrics by which a scraper may ask for ours.
const OPEN_METRICS_VERSIONS: [&str; 2] = ["1.0.0", "0.0.1"];

/// The text formats of a scrape.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// Prometheus text 0.0.4.
    Prometheus,
    /// OpenMetrics 1.0.0, with exemplars.
    OpenMetrics,
}

impl Format {
    /// The format that a scraper prefers by its `Accept` headers (RFC 9110, section 12.5.1). Of two
    /// with the same weight it is OpenMetrics if the headers name it.
    pub fn accepted<'a>(headers: impl IntoIterator<Item = &'a str>) -> Self {
        let parts = headers.into_iter().flat_map(|header| header.split(','));
        let ranges: Vec<_> = parts.map(MediaRange::parse).filter(MediaRange::is_known).collect();
        let (open, text) = (weight(&ranges, OPEN_METRICS), weight(&ranges, PROMETHEUS));
        let is_named = ranges.iter().any(|range| range.name == OPEN_METRICS[0]);
        match open > text || (is_named && open > 0.0 && open >= text) {
            true => Self::OpenMetrics,
            false => Self::Prometheus,
        }
    }

    /// The content type of the format.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// How much a type is wanted: by the most specific range that covers it.
fn weight(ranges: &[MediaRange], names: [&str; 3]) -> f64 {
    let of = |name: &str| {
        let weights = ranges.iter().filter(|range| range.name == name).map(|range| range.weight);
        weights.reduce(f64::max)
    };
    names.into_iter().find_map(of).unwrap_or(0.0)
}

/// One range of an `Accept` header.
struct MediaRange {
    name: String,
    version: Option<String>,
    weight: f64,
}

impl MediaRange {
    fn parse(text: &str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let mut range = Self { name, version: None, weight: 1.0 };
        for (key, value) in parts.filter_map(|part| part.split_once('=')) {
            match key.trim().to_ascii_lowercase().as_str() {
                "q" => range.weight = value.trim().parse().unwrap_or(0.0),
                "version" => range.version = Some(value.trim().trim_matches('"').to_owned()),
                _ => {}
            }
        }
        range
    }

    /// Whether the range is none of a version of OpenMetrics that isn't ours.
    fn is_known(&self) -> bool {
        let version = self.version.as_deref();
        self.name != OPEN_METRICS[0]
            || version.is_none_or(|version| OPEN_METRICS_VERSIONS.contains(&version))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_that_which_the_scraper_prefers() {
        for headers in [
            &["application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"][..],
            // Prometheus 3, protobuf included.
            &["application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
               encoding=delimited;q=0.6,application/openmetrics-text;version=1.0.0;\
               escaping=allow-utf-8;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.1"],
            &["text/plain", "application/openmetrics-text"],
            &["text/plain;q=0.5", "Application/OpenMetrics-Text ; Version=\"1.0.0\" ; Q=0.6"],
            &["application/openmetrics-text;version=0.0.1"],
            &["application/*, */*;q=0.1"],
        ] {
            assert_eq!(
                Format::accepted(headers.iter().copied()),
                Format::OpenMetrics,
                "{headers:?}"
            );
        }
        for headers in [
            &[][..],
            &[""],
            &["*/*"],
            &["text/*"],
            &["text/plain;version=0.0.4"],
            &["application/openmetrics-text;q=0"],
            &["application/openmetrics-text;q=0,*/*"],
            &["application/openmetrics-text;q=many, text/plain;q=0.1"],
            &["text/plain;q=0.9", "application/openmetrics-text;q=0.5"],
            &["application/openmetrics-text-of-another-kind"],
            &["application/openmetrics-text;version=2.0.0, text/plain;q=0.1"],
            &["text/plain;q=0, application/openmetrics-text;q=0"],
            &["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"],
        ] {
            assert_eq!(
                Format::accepted(headers.iter().copied()),
                Format::Prometheus,
                "{headers:?}"
            );
        }
    }
}
