//! Histograms.

use maud::{Markup, html};

use super::{Axis, Frame, Tick};

/// Returns a histogram: shares of values in bins of equal width from 0 to `most`, in a frame that reaches up to
/// `highest`, so that several histograms can be compared. `across` names the values and their unit, `upwards` what is
/// counted.
pub fn histogram(title: &str, [across, upwards]: [&str; 2], most: f64, shares: &[f64], highest: f64) -> Markup {
    let frame = Frame { height: 264.0, top: 34.0, bottom: 220.0, ..Frame::SMALL };
    let y = Axis::around(0.0, highest.max(f64::MIN_POSITIVE));
    let x = Axis::around(0.0, most);
    // The frame ends where the bins do, not at the last tick.
    let end = x.place(most);
    let ticks = x.ticks().into_iter().map(|tick| Tick { place: tick.place / end, ..tick });
    let ticks: Vec<Tick> = ticks.filter(|tick| tick.place <= 1.0).collect();
    let bins = shares.len().max(1) as f64;
    let content = html! {
        text x=(frame.left) y="18" { (title) }
        (frame.grid(&y.ticks()))
        (frame.marks(&ticks))
        @for (bin, share) in shares.iter().enumerate().filter(|(_, share)| **share > 0.0) {
            @let [left, right] = [bin, bin + 1].map(|edge| edge as f64 / bins);
            (Frame::rectangle(
                "bin",
                [frame.x(left), frame.x(right) - 1.0],
                [frame.y(y.place(*share)), frame.bottom],
                &format!("{:.2} to {:.2}: {:.1} %", most * left, most * right, 100.0 * share),
            ))
        }
        (frame.axes())
        (frame.names(across, upwards))
    };
    frame.svg(title, content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_has_a_bar_for_each_bin_that_is_not_empty() {
        let svg = |shares: &[f64], highest| histogram("bits", ["bits", "share"], 3.0, shares, highest).into_string();
        assert_eq!(svg(&[0.5, 0.0, 0.5], 0.5).matches("<rect").count(), 2);
        for shares in [&[][..], &[0.0]] {
            let svg = svg(shares, 0.0);
            assert!(!svg.contains("NaN") && !svg.contains("inf") && !svg.contains("<rect"), "{svg}");
        }
    }
}
