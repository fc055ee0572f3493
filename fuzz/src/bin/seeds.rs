//! Writes the seeds of the targets to `seeds/`.

use std::path::Path;

fn main() -> std::io::Result<()> {
    fuzz::seeds::write_to(&Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds"))
}
