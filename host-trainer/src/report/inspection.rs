//! What neurons look for, as a page: their average faces and the label entropy of each layer, the nets side by side.

use expression_report::plot::histogram;
use expression_report::{Section, count, header};
use maud::{Markup, html};

use super::picture::data_uri;
use crate::inspect::{BITS, Inspection, NetFigures};

/// Returns the page. `grids` are PNG files of the neurons' pictures, one per net.
pub fn page(inspection: &Inspection, grids: &[Vec<u8>]) -> String {
    let title = "What neurons look for";
    let about = format!("On {} faces.", count(inspection.faces as u64));
    let header = header("Facial expression recognition, inspection of nets", title, about);
    super::document(title, header, sections(inspection, grids))
}

fn sections(inspection: &Inspection, grids: &[Vec<u8>]) -> Vec<Section> {
    let Inspection { ranked, asked, averaged, set_entropy, nets, .. } = inspection;
    let fewer = if ranked < asked {
        format!(" (over {ranked} faces, not {asked}, because the set is small)")
    } else {
        String::new()
    };
    let side_by_side = |figures: Markup| html! { div.stages { div.plots { (figures) } } };
    vec![
        Section::new(
            "neurons",
            "Average faces",
            format!(
                "Each picture is the average of the {averaged} faces that excite one neuron of the net\u{2019}s last \
                 layer most. Shown are the neurons whose faces agree most in their label."
            ),
            side_by_side(html! { @for (net, grid) in nets.iter().zip(grids) { (picture(net, grid)) } }),
        ),
        Section::new(
            "entropy",
            "Label entropy by layer",
            format!(
                "How mixed the labels of the {ranked} faces are that excite a neuron most{fewer}: 0 bits if all have one \
                 label, {set_entropy:.2} bits if the neuron tells no label from another. The further to the left, the \
                 more neurons respond to expression."
            ),
            side_by_side(html! { @for net in nets { (histograms(net, inspection.highest())) } }),
        ),
    ]
}

fn picture(net: &NetFigures, grid: &[u8]) -> Markup {
    let last = net.layers.last().map_or("", |layer| layer.name.as_str());
    html! {
        figure.card {
            h3 { (net.name) }
            img width="100%" alt={ "Average faces of neurons of " (last) " of " (net.name) } src=(data_uri(grid));
            figcaption { (net.shown.len()) " neurons of " (last) "." }
        }
    }
}

fn histograms(net: &NetFigures, highest: f64) -> Markup {
    html! {
        figure.card {
            h3 { (net.name) }
            @for layer in &net.layers {
                @let title = format!("{}, {}: mean {:.2} bits", net.name, layer.name, layer.mean);
                (histogram(&title, ["label entropy (bits)", "share of neurons"], BITS, &layer.shares(), highest))
            }
        }
    }
}
