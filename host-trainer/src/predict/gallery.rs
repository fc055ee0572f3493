//! Pictures with their faces marked, and a page of them.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use expression_engine::Picture;
use expression_report::{Page, Section, header};
use image::{DynamicImage, GrayImage, ImageFormat, RgbImage};
use maud::{Markup, html};

use super::Prediction;
use crate::error::{Context, Error};

/// Returns the picture as SVG, which holds the picture itself, with a box and a caption for each face. A face that has no label
/// has a dashed box.
///
/// # Errors
/// Returns an error if the picture cannot be read.
pub fn annotated(path: &Path, prediction: &Prediction) -> crate::Result<String> {
    let [width, height] = [prediction.frame_width, prediction.frame_height];
    let line = f64::from(width.max(height)) / 300.0;
    let size = line * 9.0;
    let picture = format!("data:image/png;base64,{}", STANDARD.encode(upright_png(path)?));
    let svg = html! {
        svg xmlns="http://www.w3.org/2000/svg" viewBox=(format!("0 0 {width} {height}")) width=(width) height=(height)
            font-family="sans-serif" font-size=(size) {
            image href=(picture) width=(width) height=(height) {}
            @for face in &prediction.faces {
                @let [left, top, w, h] = face.bounds.unwrap_or([0, 0, width as i32, height as i32]).map(f64::from);
                @let dashes = face.label.is_none().then(|| format!("{} {}", line * 3.0, line * 2.0));
                // Below the box's upper edge where there is no room above.
                @let base = if top > size * 1.3 { top - size * 0.35 } else { top + size * 1.05 };
                rect x=(left) y=(top) width=(w) height=(h) fill="none" stroke="#ffffff" stroke-width=(line)
                    stroke-dasharray=[dashes] {}
                text x=(left.max(0.0) + line) y=(base) fill="#ffffff" stroke="#000000" stroke-width=(line * 1.2)
                    paint-order="stroke" { (face.caption()) }
            }
        }
    };
    Ok(svg.into_string())
}

/// The picture as the classifier saw it, with its EXIF orientation applied.
fn upright_png(path: &Path) -> crate::Result<Vec<u8>> {
    let Picture { width, height, channels, data } = Picture::open(path)?;
    let (width, height) = (width as u32, height as u32);
    let image = match channels {
        1 => GrayImage::from_raw(width, height, data).map(DynamicImage::from),
        _ => RgbImage::from_raw(width, height, data).map(DynamicImage::from),
    };
    let image = image.ok_or_else(|| Error::Failed("its bytes do not fill it".into()));
    let image = image.with_context(|| path.display().to_string())?;
    let mut png = std::io::Cursor::new(Vec::new());
    image.write_to(&mut png, ImageFormat::Png)?;
    Ok(png.into_inner())
}

/// Returns a page of annotated pictures, by their names within its folder, least sure first.
pub fn gallery(bundle: &str, pictures: &[(String, Prediction)], unreadable: usize) -> String {
    let mut order: Vec<&(String, Prediction)> = pictures.iter().collect();
    let confidence = |prediction: &Prediction| {
        prediction.faces.iter().filter_map(|face| face.confidence).fold(f64::INFINITY, f64::min)
    };
    order.sort_by(|(_, left), (_, right)| confidence(left).total_cmp(&confidence(right)));
    let faces: usize = pictures.iter().map(|(_, prediction)| prediction.faces.len()).sum();
    let about = format!("{} pictures, {faces} faces, {unreadable} pictures that could not be read", pictures.len());
    let page = Page {
        title: "Predictions",
        header: header("Facial expression recognition, predictions of a bundle", bundle, about),
        sections: vec![Section::new(
            "pictures",
            "Pictures",
            "The least sure first. A dashed box is a face without a label: unsure, or too small, turned, blurred or cut off. \
             An expression is not an emotion.",
            html! { div.tiles.small { @for (name, prediction) in order { (card(name, prediction)) } } },
        )],
        program: "host-trainer",
        version: env!("CARGO_PKG_VERSION"),
    };
    page.render()
}

fn card(name: &str, prediction: &Prediction) -> Markup {
    let captions: Vec<String> = prediction.faces.iter().map(super::FacePrediction::caption).collect();
    let caption = if captions.is_empty() { "no face".to_owned() } else { captions.join(", ") };
    html! {
        div {
            a href=(name) { img src=(name) alt=(caption) loading="lazy" width="100%"; }
            span { (prediction.file) }
            strong { (caption) }
        }
    }
}
