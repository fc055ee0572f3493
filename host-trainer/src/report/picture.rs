//! Pictures within a page.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Returns the address of a PNG file that is part of the page itself.
pub fn data_uri(png: &[u8]) -> String {
    format!("data:image/png;base64,{}", STANDARD.encode(png))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_picture_is_part_of_the_page() {
        assert_eq!(super::data_uri(b"PNG"), "data:image/png;base64,UE5H");
    }
}
