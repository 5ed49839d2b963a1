//! Draws how the figures grow with the load: a self-contained SVG with a panel for each figure.

use std::{fmt::Write, fs, path::Path};

use crate::{
    Result,
    report::{Curve, Report},
};

const PANEL_WIDTH: f64 = 260.0;
const PANEL_HEIGHT: f64 = 190.0;
const PANELS_A_ROW: usize = 3;
/// The margin of a panel: for the title above, and for the labels at the axes.
const MARGIN: f64 = 44.0;
/// A colour that shows on the light and on the dark background of Markdown.
const INK: &str = "#57606a";
const LINE: &str = "#0969da";

/// Draws the growth curves of a result.
pub fn draw(report: &Report, picture: &Path) -> Result<()> {
    let rows = report.growth.len().div_ceil(PANELS_A_ROW);
    let (width, height) = (PANEL_WIDTH * PANELS_A_ROW as f64, PANEL_HEIGHT * rows as f64);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"10\" fill=\"{INK}\">\n"
    );
    for (n, (what, curve)) in report.growth.iter().enumerate() {
        let (x, y) = ((n % PANELS_A_ROW) as f64, (n / PANELS_A_ROW) as f64);
        let _ = writeln!(
            svg,
            "<g transform=\"translate({} {})\">{}</g>",
            x * PANEL_WIDTH,
            y * PANEL_HEIGHT,
            panel(what, curve)
        );
    }
    svg.push_str("</svg>\n");
    Ok(fs::write(picture, svg)?)
}

/// One curve over an axis that starts at zero. The loads, each a multiple of the one before, are
/// equally spaced.
fn panel(what: &str, curve: &Curve) -> String {
    let most = curve.points.iter().map(|point| point.value).fold(0.0, f64::max) * 1.2;
    let (width, height) = (PANEL_WIDTH - 2.0 * MARGIN, PANEL_HEIGHT - 2.0 * MARGIN);
    let step = width / (curve.points.len().max(2) - 1) as f64;
    let place = |n: usize, value: f64| {
        (MARGIN + n as f64 * step, PANEL_HEIGHT - MARGIN - height * value / most.max(1e-9))
    };
    let mut drawn = format!("<text x=\"{MARGIN}\" y=\"22\">{what} ({})</text>", curve.unit);
    let base = PANEL_HEIGHT - MARGIN;
    let _ = write!(
        drawn,
        "<path d=\"M{MARGIN} {MARGIN}V{base}H{}\" fill=\"none\" stroke=\"{INK}\"/>",
        PANEL_WIDTH - MARGIN
    );
    let mut line = String::new();
    for (n, point) in curve.points.iter().enumerate() {
        let (x, y) = place(n, point.value);
        let _ = write!(line, "{x:.1},{y:.1} ");
        let _ = write!(
            drawn,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{LINE}\"/>\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{:.1}</text>\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            y - 8.0,
            point.value,
            base + 16.0,
            point.at
        );
    }
    let _ = write!(
        drawn,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{LINE}\" stroke-width=\"1.5\"/>",
        line.trim_end()
    );
    drawn
}
