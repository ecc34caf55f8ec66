//! From a picture file to square RGB bytes.

use std::fs::{File, Metadata};
use std::io::{Cursor, Read};
use std::path::Path;
use std::sync::Mutex;

use fast_image_resize::images::Image;
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, RgbImage};

/// Pictures with more pixels than this are decoded one at a time, so that memory does not grow with the
/// number of threads.
const HEAVY_PIXELS: u64 = 8_000_000;
/// Bytes that a decoder may use for each pixel that is allowed: RGBA with 16 bits, and as much again.
const BYTES_PER_PIXEL: u64 = 16;

/// What a picture may cost.
pub(super) struct Limits {
    max_pixels: u64,
    max_file: u64,
    heavy: Mutex<()>,
}

impl Limits {
    pub(super) fn new(megapixels: f64, file_mib: u64) -> Limits {
        let max_file = file_mib.saturating_mul(1 << 20);
        Limits { max_pixels: (megapixels * 1e6) as u64, max_file, heavy: Mutex::new(()) }
    }
}

/// Decodes a JPEG or PNG file, turns it upright, puts it on white, scales its shorter side to `size` and cuts
/// the middle out. Gives `3 * size * size` bytes (channels, rows, columns), or the reason why not.
pub(super) fn prepare(
    path: &Path,
    metadata: &Metadata,
    size: usize,
    limits: &Limits,
) -> Result<Vec<u8>, String> {
    if !metadata.is_file() {
        return Err("not a file".into());
    }
    if metadata.len() > limits.max_file {
        return Err(format!("{} bytes, more than `max_file_mib` allows", metadata.len()));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0));
    let file = File::open(path).map_err(|error| error.to_string())?;
    // The file may have grown since it was measured.
    file.take(limits.max_file).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    from_bytes(&bytes, size, limits)
}

fn from_bytes(bytes: &[u8], size: usize, limits: &Limits) -> Result<Vec<u8>, String> {
    if bytes.is_empty() {
        return Err("empty".into());
    }
    let mut reader =
        ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|error| error.to_string())?;
    match reader.format() {
        Some(ImageFormat::Jpeg) if !jpeg_is_whole(bytes) => {
            return Err("truncated: the JPEG has no end".into());
        }
        Some(ImageFormat::Jpeg | ImageFormat::Png) => {}
        _ => return Err("neither JPEG nor PNG".into()),
    }
    let mut decoder_limits = image::Limits::no_limits();
    decoder_limits.max_alloc = Some(limits.max_pixels.saturating_mul(BYTES_PER_PIXEL));
    reader.limits(decoder_limits);
    let mut decoder = reader.into_decoder().map_err(|error| error.to_string())?;
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if pixels == 0 || pixels > limits.max_pixels {
        return Err(format!("{width}x{height} pixels, not within `max_megapixels`"));
    }
    let _alone = (pixels > HEAVY_PIXELS).then(|| limits.heavy.lock().unwrap_or_else(|p| p.into_inner()));
    // Broken orientation data is no reason to lose the picture.
    let orientation = decoder.orientation().unwrap_or(image::metadata::Orientation::NoTransforms);
    let mut picture = DynamicImage::from_decoder(decoder).map_err(|error| error.to_string())?;
    picture.apply_orientation(orientation);
    square(on_white(picture), size)
}

/// Whether the entropy-coded data of a JPEG runs up to its end-of-image marker.
///
/// The decoder fills what is missing with grey, so a cut file would go unnoticed. Markers are followed from
/// segment to segment (ITU T.81, B.1), for a thumbnail inside a segment has an end marker too.
fn jpeg_is_whole(bytes: &[u8]) -> bool {
    const END: u8 = 0xD9;
    let mut at = 2;
    loop {
        // To the next marker: FF and then neither FF (fill) nor 00 (a data byte FF) nor a restart.
        let is_marker = |pair: &[u8]| matches!(pair, [0xFF, m] if !matches!(m, 0x00 | 0xFF | 0xD0..=0xD7));
        let rest = bytes.get(at..).unwrap_or_default();
        let Some(skip) = rest.windows(2).position(is_marker) else { return false };
        at += skip + 2;
        match (bytes.get(at - 1), bytes.get(at..at + 2)) {
            (Some(&END), _) => return true,
            // The length counts itself. After a scan's header comes data, which the search passes over.
            (Some(_), Some(&[high, low])) => at += usize::from(u16::from_be_bytes([high, low])).max(2),
            _ => return false,
        }
    }
}

/// Drops the alpha channel by painting the picture on white.
fn on_white(picture: DynamicImage) -> RgbImage {
    if !picture.color().has_alpha() {
        return picture.into_rgb8();
    }
    let rgba = picture.into_rgba8();
    let mut rgb = RgbImage::new(rgba.width(), rgba.height());
    for (to, from) in rgb.pixels_mut().zip(rgba.pixels()) {
        let [r, g, b, alpha] = from.0;
        let mix = |channel: u8| {
            let sum = u32::from(channel) * u32::from(alpha) + 255 * (255 - u32::from(alpha));
            ((sum + 127) / 255) as u8
        };
        to.0 = [mix(r), mix(g), mix(b)];
    }
    rgb
}

fn square(picture: RgbImage, size: usize) -> Result<Vec<u8>, String> {
    let (width, height) = picture.dimensions();
    let side = u32::try_from(size).map_err(|error| error.to_string())?;
    let source = Image::from_vec_u8(width, height, picture.into_raw(), PixelType::U8x3)
        .map_err(|error| error.to_string())?;
    let mut target = Image::new(side, side, PixelType::U8x3);
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom))
        .fit_into_destination(Some((0.5, 0.5)));
    Resizer::new().resize(&source, &mut target, &options).map_err(|error| error.to_string())?;
    let interleaved = target.into_vec();
    let channel = |channel: usize| interleaved.iter().skip(channel).step_by(3).copied();
    Ok((0..3).flat_map(channel).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn picture(format: ImageFormat) -> Vec<u8> {
        let noise =
            |x: u32, y: u32| image::Rgb([((x * 37) ^ (y * 91)) as u8, (x * y) as u8, ((x ^ y) * 13) as u8]);
        let mut bytes = Cursor::new(Vec::new());
        RgbImage::from_fn(24, 24, noise).write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2000, ..ProptestConfig::default() })]

        /// Whatever happened to the bytes, there is a picture of the right size or a reason.
        #[test]
        fn damaged_files_never_panic(
            png in any::<bool>(),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        ) {
            let mut bytes = picture(if png { ImageFormat::Png } else { ImageFormat::Jpeg });
            for (at, value) in changes {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            match from_bytes(&bytes, 8, &Limits::new(1.0, 1)) {
                Ok(pixels) => prop_assert_eq!(pixels.len(), 192),
                Err(reason) => prop_assert!(!reason.is_empty()),
            }
        }
    }
}
