//! Arithmetic of points and directions in space.

/// A point or a direction.
pub(crate) type Vector = [f32; 3];

pub(crate) fn add(a: Vector, b: Vector) -> Vector {
    [a[0] + b[0], a[1] + b[1], a[2] + b[2]]
}

pub(crate) fn sub(a: Vector, b: Vector) -> Vector {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

pub(crate) fn scale(a: Vector, factor: f32) -> Vector {
    [a[0] * factor, a[1] * factor, a[2] * factor]
}

pub(crate) fn dot(a: Vector, b: Vector) -> f32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

pub(crate) fn cross(a: Vector, b: Vector) -> Vector {
    [
        a[1] * b[2] - a[2] * b[1],
        a[2] * b[0] - a[0] * b[2],
        a[0] * b[1] - a[1] * b[0],
    ]
}

pub(crate) fn length(a: Vector) -> f32 {
    dot(a, a).sqrt()
}

/// `a` at unit length; `otherwise` if it has no direction.
pub(crate) fn unit_or(a: Vector, otherwise: Vector) -> Vector {
    // Very small faces have squares that underflow, so the largest coordinate goes first.
    let largest = a.iter().fold(0f32, |most, value| most.max(value.abs()));
    if !(largest > 0.0 && largest.is_finite()) {
        return otherwise;
    }
    let a = a.map(|value| value / largest);
    scale(a, 1.0 / length(a))
}

/// Twice the area of a triangle along its normal.
pub(crate) fn face_normal([a, b, c]: [Vector; 3]) -> Vector {
    cross(sub(b, a), sub(c, a))
}
