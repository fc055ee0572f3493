//! Three-component vectors: the few operations that the renderer needs.

/// A point, a direction or a linear RGB colour.
pub type Vec3 = [f32; 3];

/// `a + b`.
pub fn add(a: Vec3, b: Vec3) -> Vec3 {
    [a[0] + b[0], a[1] + b[1], a[2] + b[2]]
}

/// `a - b`.
pub fn sub(a: Vec3, b: Vec3) -> Vec3 {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

/// `a * k`.
pub fn scale(a: Vec3, k: f32) -> Vec3 {
    [a[0] * k, a[1] * k, a[2] * k]
}

/// Component by component.
pub fn product(a: Vec3, b: Vec3) -> Vec3 {
    [a[0] * b[0], a[1] * b[1], a[2] * b[2]]
}

/// Scalar product.
pub fn dot(a: Vec3, b: Vec3) -> f32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

/// Vector product.
pub fn cross(a: Vec3, b: Vec3) -> Vec3 {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

/// Length.
pub fn length(a: Vec3) -> f32 {
    dot(a, a).sqrt()
}

/// `a` at length one; the zero vector stays as it is.
pub fn unit(a: Vec3) -> Vec3 {
    let length = length(a);
    if length > 0.0 { scale(a, 1.0 / length) } else { a }
}

/// From `a` (`t` = 0) to `b` (`t` = 1).
pub fn mix(a: Vec3, b: Vec3, t: f32) -> Vec3 {
    add(scale(a, 1.0 - t), scale(b, t))
}

/// 0 below `low`, 1 above `high`, smooth between (Hermite); `low` may be above `high`.
pub fn step(low: f32, high: f32, x: f32) -> f32 {
    let t = ((x - low) / (high - low)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// The direction that `yaw` (to the right of the picture) and `pitch` (up), in degrees, turn `+z` to.
pub fn direction(yaw: f32, pitch: f32) -> Vec3 {
    let (yaw, pitch) = (yaw.to_radians(), pitch.to_radians());
    [yaw.sin() * pitch.cos(), pitch.sin(), yaw.cos() * pitch.cos()]
}

/// Three axes of a view along `towards` (a unit vector that points at the viewer): right, up, towards.
pub fn view_axes(towards: Vec3) -> [Vec3; 3] {
    let helper = if towards[1].abs() < 0.95 { [0.0, 1.0, 0.0] } else { [0.0, 0.0, -1.0] };
    let right = unit(cross(helper, towards));
    [right, cross(towards, right), towards]
}
