//! Learning curves as small multiples: a panel for each quantity, a line for each series.

use indexmap::IndexSet;

use crate::ReportError;
use crate::canvas::{Canvas, GROUND, HAIRLINE, INK, MUTED, palette};
use crate::font::TextStyle;

const TITLE: TextStyle = TextStyle::bold(26.0);
const HEADING: TextStyle = TextStyle::bold(16.0);
const LABEL: TextStyle = TextStyle::regular(13.0);
const LEGEND: TextStyle = TextStyle::regular(15.0);

const MARGIN: f32 = 28.0;
const GAP: f32 = 16.0;
const PADDING: f32 = 14.0;
const PANEL: (f32, f32) = (400.0, 250.0);
const COLUMNS: usize = 3;
/// Series with more points are drawn pale, with a moving average over them.
const SMOOTH_FROM: usize = 100;

/// A page of panels.
#[derive(Debug, Clone, Default)]
pub struct Curves {
    /// Stands above all.
    pub title: String,
    /// From the upper left, row by row.
    pub panels: Vec<Panel>,
}

/// One quantity over the steps.
#[derive(Debug, Clone, Default)]
pub struct Panel {
    /// Name of the quantity.
    pub title: String,
    /// The lines. Equal names have equal colours in all panels.
    pub series: Vec<Series>,
}

/// One line.
#[derive(Debug, Clone, Default)]
pub struct Series {
    /// For the legend.
    pub name: String,
    /// (step, value). Where a value is not finite, the line is interrupted.
    pub points: Vec<(u64, f64)>,
}

impl Curves {
    /// Draws the page as PNG.
    pub fn to_png(&self) -> Result<Vec<u8>, ReportError> {
        let names: IndexSet<&str> =
            self.panels.iter().flat_map(|panel| &panel.series).map(|series| series.name.as_str()).collect();
        let columns = self.panels.len().clamp(1, COLUMNS);
        let rows = self.panels.len().div_ceil(columns);
        let inner = columns as f32 * (PANEL.0 + GAP) - GAP;
        let legend = if names.len() > 1 { legend_rows(&names, inner) } else { Vec::new() };
        let head = MARGIN + TITLE.line_height() + legend.len() as f32 * LEGEND.line_height() + GAP;
        let height = head + rows as f32 * (PANEL.1 + GAP) - GAP + MARGIN;
        let mut canvas = Canvas::new(inner + 2.0 * MARGIN, height, GROUND)?;

        for line in TITLE.wrap(&self.title, inner, 1) {
            canvas.text(MARGIN, MARGIN + TITLE.ascent(), TITLE, INK, &line);
        }
        let mut baseline = MARGIN + TITLE.line_height() + LEGEND.ascent();
        for row in legend {
            for (n, x) in row {
                let name = names.get_index(n).copied().unwrap_or_default();
                canvas.rectangle(MARGIN + x, baseline - 7.0, 18.0, 4.0, palette(n));
                canvas.text(MARGIN + x + 24.0, baseline, LEGEND, INK, name);
            }
            baseline += LEGEND.line_height();
        }
        for (n, panel) in self.panels.iter().enumerate() {
            let x = MARGIN + (n % columns) as f32 * (PANEL.0 + GAP);
            let y = head + (n / columns) as f32 * (PANEL.1 + GAP);
            panel.draw(&mut canvas, x, y, &names);
        }
        canvas.into_png()
    }
}

/// (index of the name, x of its entry) of the entries of each row of a legend.
fn legend_rows(names: &IndexSet<&str>, width: f32) -> Vec<Vec<(usize, f32)>> {
    let mut rows = vec![Vec::new()];
    let mut x = 0.0;
    for (n, name) in names.iter().enumerate() {
        let entry = 24.0 + LEGEND.width(name);
        if x > 0.0 && x + entry > width {
            rows.push(Vec::new());
            x = 0.0;
        }
        if let Some(row) = rows.last_mut() {
            row.push((n, x));
        }
        x += entry + 22.0;
    }
    rows
}

impl Panel {
    fn draw(&self, canvas: &mut Canvas, x: f32, y: f32, names: &IndexSet<&str>) {
        canvas.card(x, y, PANEL.0, PANEL.1);
        for line in HEADING.wrap(&self.title, PANEL.0 - 2.0 * PADDING, 1) {
            canvas.text(x + PADDING, y + PADDING + HEADING.ascent(), HEADING, INK, &line);
        }
        let finite = || {
            let points = self.series.iter().flat_map(|series| &series.points);
            points.filter(|(_, value)| value.is_finite()).map(|(step, value)| (*step as f64, *value))
        };
        let Some(steps) = Axis::around(finite().map(|point| point.0), 4, 1.0) else {
            canvas.text(x + PADDING, y + PANEL.1 / 2.0, LABEL, MUTED, "no finite values");
            return;
        };
        let Some(values) = Axis::around(finite().map(|point| point.1), 5, 0.0) else { return };

        let label_width = values.labels().map(|(_, label)| LABEL.width(&label)).fold(0.0, f32::max);
        let (left, right) = (x + PADDING + label_width.ceil() + 8.0, x + PANEL.0 - PADDING - 6.0);
        let top = y + PADDING + HEADING.line_height() + 12.0;
        let bottom = y + PANEL.1 - PADDING - LABEL.line_height();
        let at_step = |step: f64| left + (right - left) * steps.place(step);
        let at_value = |value: f64| bottom - (bottom - top) * values.place(value);

        for (value, label) in values.labels() {
            let y = at_value(value).round();
            canvas.rectangle(left, y, right - left, 1.0, HAIRLINE);
            canvas.text(left - 8.0 - LABEL.width(&label), y + 5.0, LABEL, MUTED, &label);
        }
        for (step, label) in steps.labels() {
            let middle = at_step(step);
            canvas.rectangle(middle.round(), bottom, 1.0, 4.0, MUTED);
            // The last label leaves room for nothing more, so it may not pass the edge of the panel.
            let half = LABEL.width(&label) / 2.0;
            let start = (middle - half).min(x + PANEL.0 - 6.0 - 2.0 * half);
            canvas.text(start, bottom + 5.0 + LABEL.ascent(), LABEL, MUTED, &label);
        }
        for series in &self.series {
            let colour = palette(names.get_index_of(series.name.as_str()).unwrap_or(0));
            let place = |run: &[(u64, f64)]| -> Vec<(f32, f32)> {
                run.iter().map(|(step, value)| (at_step(*step as f64), at_value(*value))).collect()
            };
            for run in series.points.split(|(_, value)| !value.is_finite()) {
                match run {
                    [] => {}
                    [(step, value)] => canvas.dot(at_step(*step as f64), at_value(*value), 3.0, colour),
                    run if run.len() > SMOOTH_FROM => {
                        canvas.polyline(&place(run), 1.0, colour, 0.3);
                        canvas.polyline(&place(&smoothed(run)), 2.2, colour, 1.0);
                    }
                    run => canvas.polyline(&place(run), 2.2, colour, 1.0),
                }
            }
        }
    }
}

/// The mean of the points around each point, a twenty-fifth of the series to either side. Towards the ends
/// both sides shrink alike, so that slopes stay, down to a hundredth.
fn smoothed(points: &[(u64, f64)]) -> Vec<(u64, f64)> {
    let reach = points.len() / 25;
    let mean = |at: usize| {
        let last = points.len() - 1;
        let reach = reach.min(at).min(last - at).max(reach / 4);
        let around = &points[at.saturating_sub(reach)..=(at + reach).min(last)];
        around.iter().map(|(_, value)| value / around.len() as f64).sum()
    };
    points.iter().enumerate().map(|(at, (step, _))| (*step, mean(at))).collect()
}

/// A range with ticks at round numbers.
struct Axis {
    low: f64,
    high: f64,
    tick: f64,
}

impl Axis {
    /// A range that holds all of `values`, with about `ticks` ticks at least `least` apart. `None` without
    /// values.
    fn around(values: impl Iterator<Item = f64>, ticks: usize, least: f64) -> Option<Axis> {
        let (low, high) = values
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        if low > high {
            return None;
        }
        // Halves first: the difference of two finite numbers may be infinite.
        let middle = low / 2.0 + high / 2.0;
        let least_span = (middle.abs() * 1e-6).max(least).max(f64::MIN_POSITIVE * 1e6);
        let half = (high / 2.0 - low / 2.0).max(if low == high { middle.abs() / 2.0 } else { 0.0 });
        let half = half.max(least_span / 2.0).min(f64::MAX / 4.0);
        let (low, high) = ((middle - half).max(f64::MIN / 2.0), (middle + half).min(f64::MAX / 2.0));
        let rough = (high / 2.0 - low / 2.0) / ticks as f64 * 2.0;
        let power = 10_f64.powf(rough.log10().floor());
        let tick =
            [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().find(|step| step * power >= 0.75 * rough).unwrap_or(10.0);
        Some(Axis { low, high, tick: (tick * power).max(least) })
    }

    /// Where `value` lies between the ends, from 0 to 1.
    fn place(&self, value: f64) -> f32 {
        ((value / 2.0 - self.low / 2.0) / (self.high / 2.0 - self.low / 2.0)).clamp(0.0, 1.0) as f32
    }

    /// The ticks inside the range and their labels.
    fn labels(&self) -> impl Iterator<Item = (f64, String)> {
        let first = (self.low / self.tick - 1e-9).ceil();
        let last = (self.high / self.tick + 1e-9).floor();
        let count = (last - first).clamp(0.0, 20.0) as usize;
        (0..=count).map(move |n| {
            let value = (first + n as f64) * self.tick;
            (value, label(value, self.tick))
        })
    }
}

/// A tick's number, with as many digits as tell it from its neighbours.
fn label(value: f64, tick: f64) -> String {
    let value = if value.abs() < tick / 2.0 { 0.0 } else { value };
    if value == 0.0 {
        return "0".into();
    }
    let (shown, unit, tick) = match tick {
        tick if value.abs() >= 1e9 || tick < 1e-5 => return format!("{value:.2e}"),
        tick if value.abs() >= 1e6 && tick >= 1e4 => (value / 1e6, "M", tick / 1e6),
        tick if value.abs() >= 1e4 && tick >= 1e1 => (value / 1e3, "k", tick / 1e3),
        tick => (value, "", tick),
    };
    let decimals = (0..8).find(|digits| {
        let scaled = tick * 10_f64.powi(*digits);
        (scaled - scaled.round()).abs() < 1e-6 * scaled
    });
    format!("{shown:.*}{unit}", decimals.unwrap_or(8) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(values: &[f64]) -> Vec<String> {
        let axis = Axis::around(values.iter().copied(), 5, 0.0).unwrap();
        axis.labels().map(|(_, label)| label).collect()
    }

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(labels(&[0.0, 1.0]), ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(labels(&[-1.0, 9.0]), ["0", "2", "4", "6", "8"]);
        assert_eq!(labels(&[0.0, 20_000.0]), ["0", "5000", "10k", "15k", "20k"]);
        assert_eq!(labels(&[0.001, 0.0035]), ["0.0010", "0.0015", "0.0020", "0.0025", "0.0030", "0.0035"]);
    }

    #[test]
    fn extreme_ranges_have_ticks_too() {
        for values in [
            vec![0.0],
            vec![5.0, 5.0],
            vec![f64::MAX, f64::MIN],
            vec![1e-320, 2e-320],
            vec![1e300],
            vec![1.0, 1.0 + 1e-15],
        ] {
            let axis = Axis::around(values.iter().copied(), 5, 0.0).unwrap();
            let count = axis.labels().count();
            assert!((1..=21).contains(&count), "{values:?}: {count}");
            assert!(values.iter().all(|value| axis.place(*value).is_finite()), "{values:?}");
        }
        assert!(Axis::around(std::iter::empty(), 5, 0.0).is_none());
    }

    #[test]
    fn a_moving_average_keeps_lines_straight_and_ends_near() {
        let line: Vec<(u64, f64)> = (0..200).map(|step| (step, 3.0 * step as f64)).collect();
        for (given, found) in line.iter().zip(smoothed(&line)) {
            let tolerance = if (2..198).contains(&given.0) { 1e-9 } else { 6.0 };
            assert!(given.0 == found.0 && (given.1 - found.1).abs() < tolerance, "{given:?} {found:?}");
        }
    }

    #[test]
    fn a_line_is_drawn_in_its_colour_and_interrupted_where_it_is_not_finite() {
        let blue = |points: Vec<(u64, f64)>| {
            let series = vec![Series { name: "a".into(), points }];
            let page = Curves { title: "t".into(), panels: vec![Panel { title: "p".into(), series }] };
            let image = image::load_from_memory(&page.to_png().unwrap()).unwrap().to_rgb8();
            image.pixels().filter(|pixel| pixel.0 == [0x00, 0x72, 0xb2]).count()
        };
        let whole = blue((0..50).map(|step| (step, (step % 7) as f64)).collect());
        let half = blue(
            (0..50)
                .map(|step| (step, if (10..35).contains(&step) { f64::NAN } else { (step % 7) as f64 }))
                .collect(),
        );
        assert!(half > 0 && half < whole * 7 / 10, "{half} of {whole}");
        assert_eq!(blue(vec![(3, f64::INFINITY)]), 0);
        assert!(blue(vec![(3, 1.0)]) > 10, "a single point is a dot");
    }
}
