//! A drawing surface for sheets and plots, and the pictures that go on it.

use image::ImageEncoder;
use tiny_skia::{Color, FillRule, Paint, Path, PathBuilder, Pixmap, Rect, Stroke, Transform};

use crate::ReportError;
use crate::font::TextStyle;

/// No drawing has more pixels than this.
const MAX_PIXELS: u64 = 1 << 26;

/// A colour as 0xRRGGBB.
pub(crate) type Rgb = u32;

/// Colours that people with any colour vision tell apart: Okabe and Ito, "Color Universal Design" (2008),
/// without its yellow and black, which vanish on white or look like text.
const PALETTE: [Rgb; 6] = [0x0072b2, 0xd55e00, 0x009e73, 0xcc79a7, 0xe69f00, 0x56b4e9];

pub(crate) const INK: Rgb = 0x1f2430;
pub(crate) const MUTED: Rgb = 0x6b7280;
pub(crate) const HAIRLINE: Rgb = 0xe2e5ea;
pub(crate) const PAPER: Rgb = 0xffffff;
pub(crate) const GROUND: Rgb = 0xf5f6f8;

/// The colour of the n-th thing to be told apart.
pub(crate) fn palette(n: usize) -> Rgb {
    PALETTE[n % PALETTE.len()]
}

/// An RGB picture: 8 bits a channel, rows from the top, channels together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    width: u32,
    height: u32,
    rgb: Vec<u8>,
}

impl Picture {
    /// A picture of `width * height * 3` bytes; neither side may be 0.
    pub fn new(width: u32, height: u32, rgb: Vec<u8>) -> Result<Picture, ReportError> {
        let expected = 3 * u64::from(width) * u64::from(height);
        if expected == 0 || expected != rgb.len() as u64 {
            let message = format!(
                "expected {width} x {height} x 3 = {expected} bytes and at least one pixel, found {} bytes",
                rgb.len()
            );
            return Err(ReportError::invalid("picture", message));
        }
        Ok(Picture { width, height, rgb })
    }

    /// From channels, rows, columns in [-1, 1], as models paint: the image tensor `[3, height, width]`.
    /// Values outside are clamped; NaN becomes -1.
    pub fn from_signed(width: u32, height: u32, channels: &[f32]) -> Result<Picture, ReportError> {
        let plane = width as usize * height as usize;
        let byte = |value: f32| {
            let value = if value.is_nan() { -1.0 } else { value.clamp(-1.0, 1.0) };
            ((value + 1.0) * 127.5).round() as u8
        };
        let mut rgb = Vec::with_capacity(channels.len());
        for pixel in 0..plane {
            rgb.extend((0..3).filter_map(|channel| channels.get(channel * plane + pixel)).map(|v| byte(*v)));
        }
        if channels.len() != 3 * plane {
            let message = format!("expected 3 x {height} x {width} values, found {}", channels.len());
            return Err(ReportError::invalid("picture", message));
        }
        Picture::new(width, height, rgb)
    }

    /// Width in pixels.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The picture as PNG.
    pub fn to_png(&self) -> Result<Vec<u8>, ReportError> {
        let mut png = Vec::new();
        image::codecs::png::PngEncoder::new(&mut png)
            .write_image(&self.rgb, self.width, self.height, image::ExtendedColorType::Rgb8)
            .map_err(|error| ReportError::invalid("PNG", error.to_string()))?;
        Ok(png)
    }
}

/// An opaque surface in pixels from the upper left corner.
pub(crate) struct Canvas {
    pixmap: Pixmap,
}

impl Canvas {
    pub(crate) fn new(width: f32, height: f32, ground: Rgb) -> Result<Canvas, ReportError> {
        let (width, height) = (width.ceil() as u32, height.ceil() as u32);
        let pixmap = Some((width, height))
            .filter(|_| u64::from(width) * u64::from(height) <= MAX_PIXELS)
            .and_then(|(width, height)| Pixmap::new(width, height));
        let Some(mut pixmap) = pixmap else {
            let message = format!("{width} x {height} pixels is too large\nhint: show fewer rows or panels");
            return Err(ReportError::invalid("drawing", message));
        };
        pixmap.fill(color(ground));
        Ok(Canvas { pixmap })
    }

    pub(crate) fn rectangle(&mut self, x: f32, y: f32, width: f32, height: f32, fill: Rgb) {
        if let Some(rect) = Rect::from_xywh(x, y, width, height) {
            self.pixmap.fill_rect(rect, &paint(fill), Transform::identity(), None);
        }
    }

    /// A sheet of paper with round corners and a hair line around it.
    pub(crate) fn card(&mut self, x: f32, y: f32, width: f32, height: f32) {
        if let Some(outer) = rounded(x, y, width, height, 8.0) {
            self.fill(&outer, HAIRLINE);
        }
        if let Some(inner) = rounded(x + 1.0, y + 1.0, width - 2.0, height - 2.0, 7.0) {
            self.fill(&inner, PAPER);
        }
    }

    pub(crate) fn dot(&mut self, x: f32, y: f32, radius: f32, fill: Rgb) {
        if let Some(circle) = PathBuilder::from_circle(x, y, radius) {
            self.fill(&circle, fill);
        }
    }

    /// A line through `points`; `strength` is its opacity, from 0 to 1.
    pub(crate) fn polyline(&mut self, points: &[(f32, f32)], width: f32, rgb: Rgb, strength: f32) {
        let mut builder = PathBuilder::new();
        for (n, (x, y)) in points.iter().enumerate() {
            if n == 0 { builder.move_to(*x, *y) } else { builder.line_to(*x, *y) }
        }
        let Some(path) = builder.finish() else { return };
        let mut paint = paint(rgb);
        if let tiny_skia::Shader::SolidColor(solid) = &mut paint.shader {
            solid.apply_opacity(strength);
        }
        let stroke = Stroke {
            width,
            line_cap: tiny_skia::LineCap::Round,
            line_join: tiny_skia::LineJoin::Round,
            ..Stroke::default()
        };
        self.pixmap.stroke_path(&path, &paint, &stroke, Transform::identity(), None);
    }

    /// A picture enlarged `scale` times, its pixels left as squares.
    pub(crate) fn picture(&mut self, x: f32, y: f32, scale: u32, picture: &Picture) {
        let row_bytes = picture.width as usize * 3;
        let (x, y) = (x as u32, y as u32);
        for (row, line) in picture.rgb.chunks_exact(row_bytes).enumerate() {
            for (column, rgb) in line.chunks_exact(3).enumerate() {
                for dy in 0..scale {
                    for dx in 0..scale {
                        let at = (x + column as u32 * scale + dx, y + row as u32 * scale + dy);
                        if let Some(pixel) = self.pixel(at.0 as i32, at.1 as i32) {
                            pixel.copy_from_slice(rgb);
                        }
                    }
                }
            }
        }
    }

    /// `text` with its baseline at `y`.
    pub(crate) fn text(&mut self, x: f32, y: f32, style: TextStyle, rgb: Rgb, text: &str) {
        let (x, y) = (x.round() as i32, y.round() as i32);
        let ink = channels(rgb);
        style.rasterise(text, |dx, dy, coverage| {
            if let Some(pixel) = self.pixel(x + dx, y + dy) {
                for (below, ink) in pixel.iter_mut().zip(ink) {
                    let mixed = f32::from(*below) * (1.0 - coverage) + f32::from(ink) * coverage;
                    *below = mixed.round() as u8;
                }
            }
        });
    }

    pub(crate) fn into_png(self) -> Result<Vec<u8>, ReportError> {
        let rgb = self.pixmap.data().chunks_exact(4).flat_map(|pixel| &pixel[..3]).copied().collect();
        Picture::new(self.pixmap.width(), self.pixmap.height(), rgb)?.to_png()
    }

    fn fill(&mut self, path: &Path, rgb: Rgb) {
        self.pixmap.fill_path(path, &paint(rgb), FillRule::Winding, Transform::identity(), None);
    }

    /// The red, green and blue of a pixel; nothing outside the surface.
    fn pixel(&mut self, x: i32, y: i32) -> Option<&mut [u8]> {
        let (x, y) = (u32::try_from(x).ok()?, u32::try_from(y).ok()?);
        let width = self.pixmap.width();
        let at = (y as usize * width as usize + x as usize) * 4;
        if x < width { self.pixmap.data_mut().get_mut(at..at + 3) } else { None }
    }
}

fn channels(rgb: Rgb) -> [u8; 3] {
    let [_, red, green, blue] = rgb.to_be_bytes();
    [red, green, blue]
}

fn color(rgb: Rgb) -> Color {
    let [red, green, blue] = channels(rgb);
    Color::from_rgba8(red, green, blue, 255)
}

fn paint(rgb: Rgb) -> Paint<'static> {
    let mut paint = Paint::default();
    paint.set_color(color(rgb));
    paint
}

fn rounded(x: f32, y: f32, width: f32, height: f32, radius: f32) -> Option<Path> {
    let (right, bottom) = (x + width, y + height);
    let mut path = PathBuilder::new();
    path.move_to(x + radius, y);
    path.line_to(right - radius, y);
    path.quad_to(right, y, right, y + radius);
    path.line_to(right, bottom - radius);
    path.quad_to(right, bottom, right - radius, bottom);
    path.line_to(x + radius, bottom);
    path.quad_to(x, bottom, x, bottom - radius);
    path.line_to(x, y + radius);
    path.quad_to(x, y, x + radius, y);
    path.close();
    path.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_checked_and_come_back_from_png() {
        assert!(Picture::new(2, 2, vec![0; 11]).is_err());
        assert!(Picture::new(0, 2, vec![]).is_err());
        let bytes: Vec<u8> = (0..18).collect();
        let png = Picture::new(3, 2, bytes.clone()).unwrap().to_png().unwrap();
        let read = image::load_from_memory(&png).unwrap().to_rgb8();
        assert_eq!((read.dimensions(), read.into_raw()), ((3, 2), bytes));
    }

    #[test]
    fn model_values_become_bytes() {
        let picture = Picture::from_signed(2, 1, &[-1.0, 1.0, 0.0, 9.0, f32::NAN, -9.0]).unwrap();
        assert_eq!(picture.rgb, [0, 128, 0, 255, 255, 0]);
        assert!(Picture::from_signed(2, 1, &[0.0; 5]).is_err());
    }

    #[test]
    fn drawing_stays_on_the_surface_and_size_has_a_limit() {
        assert!(Canvas::new(1e6, 1e6, PAPER).is_err());
        let mut canvas = Canvas::new(4.0, 3.0, PAPER).unwrap();
        canvas.picture(2.0, 1.0, 4, &Picture::new(1, 1, vec![9, 8, 7]).unwrap());
        canvas.text(-5.0, 2.0, TextStyle::regular(12.0), 0x090807, "a text wider than four pixels");
        let picture = image::load_from_memory(&canvas.into_png().unwrap()).unwrap().to_rgb8();
        assert_eq!(picture.get_pixel(3, 2).0, [9, 8, 7]);
    }
}
