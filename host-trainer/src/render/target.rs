//! MakeHuman targets: text files that say how far each vertex of the base mesh moves.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use flate2::read::GzDecoder;

use super::RenderError;
use super::vector::{Vec3, add, scale};

/// Larger files are refused: no target is near this size, and a damaged archive could expand without end.
const MAX_BYTES: u64 = 64 << 20;

/// Displacements of some vertices of a [`Mesh`](super::mesh::Mesh), by vertex.
#[derive(Debug, Default)]
pub struct Target(Vec<(u32, Vec3)>);

impl Target {
    /// Reads a target, plain or gzipped (by the name's ending), and keeps the vertices that `kept` maps to an index.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read, a line does not parse, or a vertex is not in the base mesh.
    pub fn open(path: &Path, kept: &[Option<u32>]) -> Result<Target, RenderError> {
        Target::parse(&read_text(path)?, kept).map_err(|(line, what)| RenderError::damaged(path, line, what))
    }

    /// Parses the text of a target: `vertex dx dy dz` a line, `#` starts a comment. The error has the line, from 1.
    fn parse(text: &str, kept: &[Option<u32>]) -> Result<Target, (usize, &'static str)> {
        let mut moves = Vec::new();
        for (line, content) in (1..).zip(text.lines()) {
            let content = content.trim();
            if content.is_empty() || content.starts_with('#') {
                continue;
            }
            let mut fields = content.split_ascii_whitespace();
            let vertex: usize = fields.next().and_then(|field| field.parse().ok()).ok_or((line, "no vertex index"))?;
            let mut delta = [0.0; 3];
            for value in &mut delta {
                let field = fields.next().and_then(|field| field.parse::<f32>().ok());
                *value = field.filter(|field| field.is_finite()).ok_or((line, "a displacement has three numbers"))?;
            }
            let kept = kept.get(vertex).ok_or((line, "the base mesh has no such vertex"))?;
            if let Some(vertex) = kept
                && delta != [0.0; 3]
            {
                moves.push((*vertex, delta));
            }
        }
        Ok(Target(moves))
    }

    /// Moves `positions` by `weight` times the target.
    pub fn apply(&self, positions: &mut [Vec3], weight: f32) {
        if weight == 0.0 {
            return;
        }
        for &(vertex, delta) in &self.0 {
            let position = &mut positions[vertex as usize];
            *position = add(*position, scale(delta, weight));
        }
    }
}

/// The whole text of a file, unpacked when its name ends in `.gz`.
pub fn read_text(path: &Path) -> Result<String, RenderError> {
    let unreadable = |source| RenderError::Unreadable { path: path.into(), source };
    let file = BufReader::new(File::open(path).map_err(unreadable)?);
    let mut text = String::new();
    let packed = path.extension().is_some_and(|ending| ending == "gz");
    let result = if packed {
        GzDecoder::new(file).take(MAX_BYTES).read_to_string(&mut text)
    } else {
        file.take(MAX_BYTES).read_to_string(&mut text)
    };
    result.map_err(unreadable)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEPT: [Option<u32>; 3] = [None, Some(0), Some(1)];

    #[test]
    fn keeps_the_vertices_of_the_head() {
        let target = Target::parse("# comment\n0 1 1 1\n1 .5 0 -.25\r\n\n2 0 0 0\n", &KEPT).unwrap();
        assert_eq!(target.0, [(0, [0.5, 0.0, -0.25])]);
        let mut positions = [[1.0; 3]; 2];
        target.apply(&mut positions, 2.0);
        assert_eq!(positions, [[2.0, 1.0, 0.5], [1.0; 3]]);
    }

    #[test]
    fn names_the_damaged_line() {
        for damaged in ["1 0 0", "x 0 0 0", "1 0 0 nan", "3 0 0 0", "-1 0 0 0", "1 0 zero 0"] {
            let text = format!("1 0 0 0\n{damaged}\n");
            assert_eq!(Target::parse(&text, &KEPT).unwrap_err().0, 2, "{damaged}");
        }
    }

    #[test]
    fn a_truncated_archive_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cut.target.gz");
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut packed, "1 0 0 0\n".repeat(999).as_bytes()).unwrap();
        let packed = packed.finish().unwrap();
        std::fs::write(&path, &packed[..packed.len() / 2]).unwrap();
        assert!(Target::open(&path, &KEPT).is_err());
    }
}
