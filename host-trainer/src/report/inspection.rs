//! What neurons look for, as a page: their average faces and the label entropy of each layer, the nets side by side.

use super::markup::{Section, count, data_uri, document, escape};
use super::plot::histogram;
use crate::inspect::{BITS, Inspection, LayerFigures, NetFigures};

/// The page: one file, no script, nothing to load. `grids`: PNG files of the neurons' pictures, a net each.
pub fn page(inspection: &Inspection, grids: &[Vec<u8>]) -> String {
    let header = format!(
        "<p class=\"quiet\">Facial expression recognition, inspection of nets</p>\n<h1>What neurons look for</h1>\n\
         <p class=\"quiet\">On {} faces.</p>\n",
        count(inspection.faces as u64)
    );
    document("What neurons look for", &header, &sections(inspection, grids))
}

/// The sections of [`page`], for pages that tell more.
pub(super) fn sections(inspection: &Inspection, grids: &[Vec<u8>]) -> Vec<Section> {
    let Inspection { ranked, asked, averaged, set_entropy, nets, .. } = inspection;
    let fewer = match ranked < asked {
        true => format!(" (over {ranked} faces, not {asked}, because the set is small)"),
        false => String::new(),
    };
    let pictures = nets.iter().zip(grids).map(|(net, grid)| picture(net, grid)).collect::<String>();
    let histograms: String = nets.iter().map(|net| self::histograms(net, inspection.highest())).collect();
    let side_by_side = |figures: String| format!("<div class=\"stages\"><div class=\"plots\">{figures}</div></div>\n");
    vec![
        Section {
            id: "neurons",
            title: "Average faces",
            explanation: format!(
                "Each picture is the average of the {averaged} faces that excite one neuron of the net\u{2019}s last \
                 layer most; those neurons are shown whose faces agree most in their label."
            ),
            body: side_by_side(pictures),
        },
        Section {
            id: "entropy",
            title: "Label entropy by layer",
            explanation: format!(
                "How mixed the labels are of the {ranked} faces that excite a neuron most{fewer}: 0 bits where all have \
                 one label, {set_entropy:.2} bits where the neuron tells none from another. More to the left, more \
                 neurons speak of expression."
            ),
            body: side_by_side(histograms),
        },
    ]
}

fn picture(net: &NetFigures, grid: &[u8]) -> String {
    let (name, last) = (escape(&net.name), net.layers.last().map_or(String::new(), |layer| escape(&layer.name)));
    format!(
        "<figure class=\"card\"><h3>{name}</h3><img width=\"100%\" alt=\"Average faces of neurons of {last} of {name}\" \
         src=\"{}\"><figcaption>{} neurons of {last}.</figcaption></figure>\n",
        data_uri(grid),
        net.shown.len()
    )
}

fn histograms(net: &NetFigures, highest: f64) -> String {
    let plot = |layer: &LayerFigures| {
        let title = format!("{}, {}: mean {:.2} bits", net.name, layer.name, layer.mean);
        histogram(&title, "label entropy (bits)", BITS, &layer.shares(), highest)
    };
    let plots: String = net.layers.iter().map(plot).collect();
    format!("<figure class=\"card\"><h3>{}</h3>{plots}</figure>\n", escape(&net.name))
}
