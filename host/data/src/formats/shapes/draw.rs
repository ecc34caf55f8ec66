//! Scenes to pixels.
//!
//! Only additions, multiplications, divisions and square roots, which are exact to the last bit everywhere:
//! the same picture on every platform.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::scene::{Colour, Scene, Shape, Size};

/// Samples a pixel, in each direction.
const SAMPLES: usize = 4;
/// The side of the picture in which lengths below are given, in pixels.
const UNIT: f32 = 32.0;
const GROUND_RGB: [[f32; 3]; 4] =
    [[70.0, 70.0, 75.0], [95.0, 85.0, 75.0], [60.0, 75.0, 85.0], [85.0, 95.0, 80.0]];

fn rgb(colour: Colour) -> [f32; 3] {
    match colour {
        Colour::Red => [220.0, 40.0, 40.0],
        Colour::Green => [40.0, 180.0, 60.0],
        Colour::Blue => [45.0, 80.0, 225.0],
        Colour::Yellow => [240.0, 220.0, 50.0],
        Colour::Purple => [150.0, 50.0, 190.0],
        Colour::Orange => [245.0, 140.0, 30.0],
        Colour::Cyan => [50.0, 210.0, 220.0],
        Colour::White => [250.0, 250.0, 250.0],
    }
}

/// An object with its place, size and tint settled.
struct Placed {
    shape: Shape,
    centre: (f32, f32),
    radius: f32,
    rgb: [f32; 3],
}

/// Draws `scene` as `3 * size * size` bytes: channels, rows, columns. `rng` moves, scales and shades the
/// objects a little.
pub fn draw(scene: &Scene, size: usize, rng: &mut ChaCha8Rng) -> Vec<u8> {
    let scale = size as f32 / UNIT;
    let mut between = |low: f32, high: f32| rng.random_range(low..high);
    let placed: Vec<Placed> = scene
        .objects
        .iter()
        .map(|object| {
            let (row, column) = object.position();
            let third = UNIT / 3.0;
            let x = (f32::from(column) + 0.5) * third + between(-0.6, 0.6);
            let y = (f32::from(row) + 0.5) * third + between(-0.6, 0.6);
            let radius = match object.size {
                Size::Small => 3.1,
                Size::Large => 5.0,
            } * between(0.95, 1.05);
            let shade = between(0.92, 1.0);
            Placed {
                shape: object.shape,
                centre: (x * scale, y * scale),
                radius: radius * scale,
                rgb: rgb(object.colour).map(|channel| channel * shade),
            }
        })
        .collect();
    let ground = GROUND_RGB[usize::from(scene.ground) % GROUND_RGB.len()];
    let plane = size * size;
    let mut pixels: Vec<u8> =
        ground.iter().flat_map(|channel| std::iter::repeat_n(*channel as u8, plane)).collect();
    for y in 0..size {
        for x in 0..size {
            let near: Vec<&Placed> = placed.iter().filter(|object| object.near(x, y)).collect();
            if near.is_empty() {
                continue;
            }
            let colour = sample(&near, ground, x, y);
            for (channel, value) in colour.into_iter().enumerate() {
                pixels[channel * plane + y * size + x] = value;
            }
        }
    }
    pixels
}

/// The mean colour of a pixel.
fn sample(objects: &[&Placed], ground: [f32; 3], x: usize, y: usize) -> [u8; 3] {
    let mut sum = [0.0; 3];
    for index in 0..SAMPLES * SAMPLES {
        let at = |pixel: usize, sub: usize| pixel as f32 + (sub as f32 + 0.5) / SAMPLES as f32;
        let (px, py) = (at(x, index % SAMPLES), at(y, index / SAMPLES));
        // Later objects lie on top.
        let colour = objects.iter().rev().find(|object| object.covers(px, py)).map_or(ground, |o| o.rgb);
        for (total, channel) in sum.iter_mut().zip(colour) {
            *total += channel;
        }
    }
    sum.map(|total| (total / (SAMPLES * SAMPLES) as f32).round() as u8)
}

impl Placed {
    /// Whether the pixel may hold a part of the object; a star reaches 1.12 radii.
    fn near(&self, x: usize, y: usize) -> bool {
        let reach = 1.15 * self.radius + 1.0;
        (x as f32 + 0.5 - self.centre.0).abs() < reach && (y as f32 + 0.5 - self.centre.1).abs() < reach
    }

    fn covers(&self, x: f32, y: f32) -> bool {
        inside(self.shape, (x - self.centre.0) / self.radius, (y - self.centre.1) / self.radius)
    }
}

/// Whether (u, v), in radii from the centre with v growing downwards, lies inside.
fn inside(shape: Shape, u: f32, v: f32) -> bool {
    let square = u * u + v * v;
    let (au, av) = (u.abs(), v.abs());
    match shape {
        Shape::Circle => square < 1.0,
        Shape::Ring => square < 1.0 && square > 0.3,
        Shape::Square => au.max(av) < 0.88,
        Shape::Cross => (au < 0.33 && av < 1.0) || (av < 0.33 && au < 1.0),
        Shape::Triangle => v < 0.8 && au < (v + 1.0) / 1.8,
        Shape::Star => inside_star(u, v),
    }
}

/// Directions of the five points of a star: (sin, -cos) of multiples of 72 degrees.
const POINTS: [(f32, f32); 5] = [
    (0.0, -1.0),
    (0.951_056_5, -0.309_017),
    (0.587_785_25, 0.809_017),
    (-0.587_785_25, 0.809_017),
    (-0.951_056_5, -0.309_017),
];

/// The star's point nearest to (u, v) decides: the edge runs from its tip, 1.12 from the centre, to the
/// notch beside it, 0.46 from the centre and 36 degrees away.
fn inside_star(u: f32, v: f32) -> bool {
    const TIP: f32 = 1.12;
    const NOTCH: (f32, f32) = (0.46 * 0.809_017, 0.46 * 0.587_785_25);
    // Along and across the axis of the nearest point.
    let (along, across) = POINTS
        .iter()
        .map(|(x, y)| (u * x + v * y, (u * y - v * x).abs()))
        .fold((f32::NEG_INFINITY, 0.0), |best, next| if next.0 > best.0 { next } else { best });
    (NOTCH.0 - TIP) * across - NOTCH.1 * (along - TIP) > 0.0
}

#[cfg(test)]
mod tests {
    use super::super::scene::Object;
    use super::*;
    use crate::stream;

    fn one(shape: Shape, size: Size, cell: u8) -> Scene {
        Scene { objects: vec![Object { shape, colour: Colour::Red, size, cell }], ground: 0 }
    }

    /// Share of the plane that a shape covers, in squared radii.
    fn area(shape: Shape) -> f64 {
        let n = 600;
        let at = |i: i32| (i as f32 + 0.5) / n as f32 * 2.4 - 1.2;
        let hits = (0..n * n).filter(|i| inside(shape, at(i % n), at(i / n))).count();
        hits as f64 * 2.4 * 2.4 / f64::from(n * n)
    }

    #[test]
    fn shapes_have_their_areas() {
        let pi = std::f64::consts::PI;
        for (shape, expected) in [
            (Shape::Circle, pi),
            (Shape::Ring, 0.7 * pi),
            (Shape::Square, 1.76 * 1.76),
            (Shape::Cross, 2.0 * 0.66 * 2.0 - 0.66 * 0.66),
            (Shape::Triangle, 1.8),
            // Ten triangles between centre, tip and notch.
            (Shape::Star, 5.0 * 1.12 * 0.46 * (pi / 5.0).sin()),
        ] {
            assert!((area(shape) - expected).abs() < 0.02, "{shape:?}: {} for {expected}", area(shape));
        }
    }

    #[test]
    fn an_object_lies_in_its_cell() {
        for cell in 0..9 {
            for size in [32, 48, 96] {
                let pixels =
                    draw(&one(Shape::Circle, Size::Large, cell), size, &mut stream(3, "t", cell.into()));
                let (mut sum, mut count) = ((0, 0), 0);
                for at in (0..size * size).filter(|at| pixels[*at] > 190) {
                    sum = (sum.0 + at % size, sum.1 + at / size);
                    count += 1;
                }
                assert_eq!(
                    (sum.1 / count * 3 / size, sum.0 / count * 3 / size),
                    (cell as usize / 3, cell as usize % 3)
                );
            }
        }
    }

    #[test]
    fn large_is_larger_and_edges_are_smooth() {
        let draw = |size| draw(&one(Shape::Square, size, 4), 32, &mut stream(3, "t", 0));
        let red = |pixels: &[u8]| pixels[..1024].iter().filter(|value| **value > 190).count();
        let (small, large) = (draw(Size::Small), draw(Size::Large));
        assert!(2 * red(&large) > 3 * red(&small), "{} and {}", red(&large), red(&small));
        assert!(large[..1024].iter().any(|value| (90..180).contains(value)), "a mixed colour at the edge");
    }
}
