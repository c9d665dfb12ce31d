//! Throughput and latency over the number of clients, as a picture (SVG).

use std::fmt::Write;

use crate::contest::Row;
use crate::op::Op;
use crate::report::Report;
use crate::target::Target;

/// The size of one panel with its labels, and of the plotted part in it.
const PANEL: (f64, f64) = (430.0, 300.0);
const PLOT: (f64, f64) = (330.0, 210.0);
const MARGIN: (f64, f64) = (70.0, 40.0);

/// A figure of a report, and its title.
type Figure = (&'static str, fn(&Report) -> f64);

const FIGURES: [Figure; 2] =
    [("operations/s", |report| report.ops_per_s), ("p99, ms", |report| report.p99_us as f64 / 1e3)];

/// One panel for each operation and figure, one line for each target. Both axes are logarithmic.
pub fn plot(rows: &[Row]) -> String {
    let ops: Vec<Op> = Op::ALL.into_iter().filter(|op| rows.iter().any(|row| row.op == *op)).collect();
    let (width, height) = (PANEL.0 * ops.len() as f64, PANEL.1 * FIGURES.len() as f64 + 30.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    for (column, op) in ops.iter().enumerate() {
        for (line, figure) in FIGURES.iter().enumerate() {
            let at = (PANEL.0 * column as f64, PANEL.1 * line as f64);
            svg.push_str(&panel(rows, *op, *figure, at));
        }
    }
    svg.push_str(&legend(rows, height - 12.0));
    svg.push_str("</svg>\n");
    svg
}

/// One target's line: clients and figure.
type Series = (Target, Vec<(f64, f64)>);

/// Shapes with a connection for each client are another question, and left out.
fn series(rows: &[Row], op: Op, figure: fn(&Report) -> f64) -> Vec<Series> {
    let own = |report: &Report| report.connections == report.clients && report.clients > 1;
    let reports = rows.iter().filter(|row| row.op == op).flat_map(|row| &row.results);
    let reports: Vec<&Report> = reports.filter(|report| !own(report)).collect();
    let of = |target: Target| {
        let points = reports.iter().filter(|report| report.target == target);
        (target, points.map(|report| (report.clients as f64, figure(report))).collect())
    };
    Target::ALL.into_iter().map(of).filter(|(_, points): &Series| !points.is_empty()).collect()
}

fn panel(rows: &[Row], op: Op, (title, figure): Figure, (left, top): (f64, f64)) -> String {
    let all = series(rows, op, figure);
    let points = || all.iter().flat_map(|(_, points)| points.iter().copied());
    let across = Axis::over(points().map(|point| point.0), 2.0, PLOT.0);
    let up = Axis::over(points().map(|point| point.1), 10.0, PLOT.1);
    let mut svg = format!("<g transform=\"translate({:.0},{:.0})\">\n", left + MARGIN.0, top + MARGIN.1);
    let _ = writeln!(svg, "<text y=\"-14\" font-weight=\"bold\">{op}: {title}</text>");
    let clients = points().map(|point| point.0).collect::<Vec<_>>();
    svg.push_str(&grid(&across, &up, &clients));
    for (target, points) in &all {
        let place = |(x, y): &(f64, f64)| (across.at(*x), PLOT.1 - up.at(*y));
        svg.push_str(&curve(*target, &points.iter().map(place).collect::<Vec<_>>()));
    }
    svg.push_str("</g>\n");
    svg
}

/// A logarithmic axis.
struct Axis {
    low: f64,
    high: f64,
    length: f64,
    base: f64,
}

impl Axis {
    /// From the power of `base` below the least of these values to that above the greatest.
    fn over(values: impl Iterator<Item = f64>, base: f64, length: f64) -> Self {
        let positive = values.filter(|value| *value > 0.0);
        let (low, high) =
            positive.fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
        if low > high {
            return Self { low: 0.0, high: 1.0, length, base };
        }
        let low = (low.ln() / base.ln() + 1e-9).floor();
        let high = (high.ln() / base.ln() - 1e-9).ceil().max(low + 1.0);
        Self { low, high, length, base }
    }

    fn at(&self, value: f64) -> f64 {
        let power = value.max(f64::MIN_POSITIVE).ln() / self.base.ln();
        (power - self.low) / (self.high - self.low) * self.length
    }

    fn powers(&self) -> Vec<f64> {
        let count = (self.high - self.low).round() as i32;
        (0..=count).map(|step| self.base.powf(self.low + f64::from(step))).collect()
    }
}

fn grid(across: &Axis, up: &Axis, clients: &[f64]) -> String {
    let mut svg = String::new();
    let (width, height) = PLOT;
    for value in up.powers() {
        let y = height - up.at(value);
        let _ = writeln!(svg, "<line x2=\"{width}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#ddd\"/>");
        let label = if value >= 1.0 { format!("{value:.0}") } else { format!("{value}") };
        let _ = writeln!(svg, "<text x=\"-6\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>", y + 4.0);
    }
    let mut clients = clients.to_vec();
    clients.sort_by(f64::total_cmp);
    clients.dedup();
    for value in clients {
        let x = across.at(value);
        let _ = writeln!(svg, "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y2=\"{height}\" stroke=\"#eee\"/>");
        let _ = writeln!(
            svg,
            "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{value}</text>",
            height + 16.0
        );
    }
    let _ =
        writeln!(svg, "<text x=\"{width}\" y=\"{:.1}\" text-anchor=\"end\">clients</text>", height + 32.0);
    svg
}

fn curve(target: Target, points: &[(f64, f64)]) -> String {
    let colour = colour(target);
    let path: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let mut svg = format!(
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\n",
        path.join(" ")
    );
    for (x, y) in points {
        let _ = writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{colour}\"/>");
    }
    svg
}

fn legend(rows: &[Row], y: f64) -> String {
    let there =
        |target: &Target| rows.iter().flat_map(|row| &row.results).any(|report| report.target == *target);
    let mut svg = String::new();
    for (at, target) in Target::ALL.into_iter().filter(there).enumerate() {
        let x = MARGIN.0 + 120.0 * at as f64;
        let _ =
            writeln!(svg, "<circle cx=\"{x}\" cy=\"{:.1}\" r=\"5\" fill=\"{}\"/>", y - 4.0, colour(target));
        let _ = writeln!(svg, "<text x=\"{}\" y=\"{y:.1}\">{target}</text>", x + 12.0);
    }
    svg
}

/// Told apart by people who do not see all colours, too.
fn colour(target: Target) -> &'static str {
    match target {
        Target::Flotilla => "#0072b2",
        Target::Etcd => "#d55e00",
        Target::Redis => "#999999",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_holds_its_values() {
        let axis = Axis::over([700.0, 90_000.0].into_iter(), 10.0, 200.0);
        assert_eq!(
            axis.powers().iter().map(|power| power.round()).collect::<Vec<_>>(),
            [100.0, 1e3, 1e4, 1e5]
        );
        assert!(axis.at(100.0).abs() < 1e-6 && (axis.at(1e5) - 200.0).abs() < 1e-6);
        let exact = Axis::over([1.0, 256.0].into_iter(), 2.0, 8.0);
        assert!((exact.at(16.0) - 4.0).abs() < 1e-6);
        assert_eq!(Axis::over([].into_iter(), 10.0, 1.0).powers().len(), 2);
    }

    #[test]
    fn a_picture_has_a_line_for_each_target() {
        let of = |clients, target, ops_per_s| Report {
            clients,
            op: Op::Put,
            ..crate::report::tests::report(target, ops_per_s)
        };
        let row = |clients: usize| Row {
            op: Op::Put,
            clients,
            connections: 1,
            results: vec![of(clients, Target::Flotilla, 2000.0), of(clients, Target::Etcd, 1000.0)],
            ratios: Vec::new(),
            runs: Vec::new(),
        };
        let svg = plot(&[row(1), row(16)]);
        assert_eq!(svg.matches("<polyline").count(), 4);
        assert_eq!(svg.matches("<g ").count(), svg.matches("</g>").count());
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }
}
