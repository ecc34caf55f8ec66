//! On made-up folders, and on real photographs where they are present.

use std::sync::atomic::{AtomicUsize, Ordering};

use image::{DynamicImage, GrayImage, ImageFormat, Luma, Rgb, RgbImage, Rgba, RgbaImage};
use serde_json::json;
use tempfile::TempDir;

use super::*;

/// A folder with `dataset.json`, `images/` and `cache/`.
struct Sample {
    folder: TempDir,
    images: Vec<serde_json::Value>,
}

impl Sample {
    fn new() -> Sample {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("images")).unwrap();
        Sample { folder, images: Vec::new() }
    }

    fn names(&mut self, name: &str) -> PathBuf {
        let caption = json!({"raw": format!("Picture number {}.", self.images.len())});
        self.images.push(json!({"filename": name, "split": "train", "sentences": [caption]}));
        self.folder.path().join("images").join(name)
    }

    fn bytes(&mut self, name: &str, bytes: &[u8]) {
        let path = self.names(name);
        std::fs::write(path, bytes).unwrap();
    }

    fn picture(&mut self, name: &str, picture: impl Into<DynamicImage>, format: ImageFormat) {
        self.bytes(name, &encoded(picture, format));
    }

    fn options(&self) -> Options {
        let path = self.folder.path();
        Options {
            annotations: path.join("dataset.json"),
            images: path.join("images"),
            image_size: 8,
            min_count: 1,
            ..Options::default()
        }
    }

    fn open(&self, options: &Options) -> Result<(Dataset, usize), DataError> {
        std::fs::write(&options.annotations, json!({"images": self.images}).to_string()).unwrap();
        let calls = AtomicUsize::new(0);
        let count = |_, _| {
            let _ = calls.fetch_add(1, Ordering::Relaxed);
        };
        let data = open(options, &self.folder.path().join("cache"), &count)?;
        Ok((data, calls.into_inner()))
    }
}

fn encoded(picture: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// Left red, right blue, in a wide picture whose middle square is half and half.
fn two_colours(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, _| if x < width / 2 { Rgb([250, 5, 5]) } else { Rgb([5, 5, 250]) })
}

fn noise(size: u32) -> RgbImage {
    RgbImage::from_fn(size, size, |x, y| {
        Rgb([((x * 37) ^ (y * 91)) as u8, (x * y) as u8, ((x ^ y) * 13) as u8])
    })
}

/// A PNG whose header claims a size and whose data is missing.
fn claims(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = encoded(two_colours(4, 4), ImageFormat::Png);
    bytes[16..20].copy_from_slice(&width.to_be_bytes());
    bytes[20..24].copy_from_slice(&height.to_be_bytes());
    let crc = !bytes[12..29].iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |c, _| if c & 1 == 1 { c >> 1 ^ 0xEDB8_8320 } else { c >> 1 })
    });
    bytes[29..33].copy_from_slice(&crc.to_be_bytes());
    bytes
}

/// Puts an EXIF segment with an orientation after the start of a JPEG.
fn with_orientation(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let mut exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
    let mut bytes = jpeg[..2].to_vec();
    bytes.extend([0xFF, 0xE1, 0, exif.len() as u8 + 2]);
    bytes.extend(exif);
    bytes.extend(&jpeg[2..]);
    bytes
}

fn pixel(data: &Dataset, index: usize, x: usize, y: usize) -> [u8; 3] {
    let bytes = data.split("train").unwrap().images.bytes(index).unwrap();
    [0, 1, 2].map(|channel| bytes[channel * 64 + y * 8 + x])
}

fn near(found: [u8; 3], expected: [u8; 3]) {
    assert!(
        found.iter().zip(expected).all(|(a, b)| a.abs_diff(b) < 25),
        "expected {expected:?}, found {found:?}"
    );
}

#[test]
fn any_kind_of_picture_becomes_square_rgb() {
    let mut sample = Sample::new();
    sample.picture("wide.png", two_colours(40, 16), ImageFormat::Png);
    sample.picture("tall.jpg", two_colours(32, 90), ImageFormat::Jpeg);
    sample.picture("grey.jpg", GrayImage::from_pixel(9, 9, Luma([100])), ImageFormat::Jpeg);
    sample.picture("glass.png", RgbaImage::from_pixel(9, 9, Rgba([0, 0, 0, 51])), ImageFormat::Png);
    let deep = DynamicImage::ImageRgb8(two_colours(16, 16)).into_rgb16();
    sample.picture("deep.png", deep, ImageFormat::Png);
    let jpeg = encoded(two_colours(32, 32), ImageFormat::Jpeg);
    sample.bytes("turned.jpg", &with_orientation(&jpeg, 6));
    sample.picture("tiny.png", RgbImage::from_pixel(1, 1, Rgb([1, 200, 3])), ImageFormat::Png);
    let (data, _) = sample.open(&sample.options()).unwrap();
    assert_eq!(data.notes, [""; 0]);
    assert_eq!(data.split("train").unwrap().len(), 7);
    for index in [0, 1, 4] {
        near(pixel(&data, index, 1, 4), [250, 5, 5]);
        near(pixel(&data, index, 6, 4), [5, 5, 250]);
    }
    near(pixel(&data, 2, 4, 4), [100, 100, 100]);
    near(pixel(&data, 3, 4, 4), [204, 204, 204]);
    // A quarter turn clockwise: what was left is on top.
    near(pixel(&data, 5, 4, 1), [250, 5, 5]);
    near(pixel(&data, 5, 4, 6), [5, 5, 250]);
    near(pixel(&data, 6, 7, 7), [1, 200, 3]);
}

/// Three good pictures and six bad ones.
fn half_bad() -> Sample {
    let mut sample = Sample::new();
    let (jpeg, png) = (encoded(noise(64), ImageFormat::Jpeg), encoded(noise(64), ImageFormat::Png));
    sample.bytes("good0.jpg", &jpeg);
    sample.bytes("cut.jpg", &jpeg[..jpeg.len() * 2 / 3]);
    sample.bytes("good1.png", &png);
    sample.names("missing.jpg");
    sample.bytes("cut.png", &png[..png.len() * 2 / 3]);
    sample.bytes("huge.png", &claims(60_000, 60_000));
    sample.bytes("empty.jpg", b"");
    sample.bytes("text.jpg", b"this is not a picture");
    sample.bytes("good2.jpg", &with_orientation(&jpeg, 77));
    sample
}

#[test]
fn bad_pictures_are_named_counted_and_skipped() {
    let sample = half_bad();
    let (data, _) = sample.open(&Options { max_bad: 0.7, ..sample.options() }).unwrap();
    let train = data.split("train").unwrap();
    let ids: Vec<_> = train.examples.iter().map(|example| example.id.as_str()).collect();
    assert_eq!(ids, ["good0.jpg", "good1.png", "good2.jpg"]);
    assert_eq!(train.images.len(), 3);
    assert_eq!(train.images.bytes(0).unwrap(), train.images.bytes(2).unwrap());
    assert_ne!(train.images.bytes(0).unwrap(), vec![0; 192]);
    let note = &data.notes[0];
    assert!(note.starts_with("6 of 9 pictures were left out: "), "{note}");
    for part in [
        "cut.jpg: truncated",
        "missing.jpg: missing",
        "huge.png: 60000x60000 pixels",
        "empty.jpg: empty",
        ", ...",
    ] {
        assert!(note.contains(part), "{part} is not in {note}");
    }
    let (again, calls) = sample.open(&Options { max_bad: 0.7, ..sample.options() }).unwrap();
    assert_eq!((calls, &again.notes), (0, &data.notes), "the cache remembers what was bad");
}

#[test]
fn too_many_bad_pictures_are_an_error() {
    let sample = half_bad();
    let error = sample.open(&Options { max_bad: 0.6, ..sample.options() }).unwrap_err().to_string();
    for part in ["6 of 9 pictures in", "`max_bad` = 0.6", "\n  cut.jpg: truncated", "and 1 more", "hint:"] {
        assert!(error.contains(part), "{part} is not in {error}");
    }
}

#[test]
fn every_cut_of_a_jpeg_is_noticed() {
    let mut sample = Sample::new();
    let whole = with_orientation(&encoded(noise(16), ImageFormat::Jpeg), 1);
    for length in 0..whole.len() {
        sample.bytes(&format!("{length}.jpg"), &whole[..length]);
    }
    sample.bytes("whole.jpg", &whole);
    let (data, _) = sample.open(&Options { max_bad: 1.0, ..sample.options() }).unwrap();
    assert_eq!(data.split("train").unwrap().examples.len(), 1);
}

#[test]
fn the_cache_follows_the_pictures() {
    let mut sample = Sample::new();
    sample.picture("a.png", two_colours(16, 16), ImageFormat::Png);
    sample.picture("b.png", two_colours(16, 16), ImageFormat::Png);
    let (first, calls) = sample.open(&sample.options()).unwrap();
    assert_eq!(calls, 2);
    assert_eq!(sample.open(&sample.options()).unwrap().1, 0);
    let larger = Options { image_size: 9, ..sample.options() };
    assert_eq!(sample.open(&larger).unwrap().1, 2);
    // Another size of the file: it is made again.
    let path = sample.folder.path().join("images/b.png");
    std::fs::write(&path, encoded(noise(16), ImageFormat::Png)).unwrap();
    let (second, calls) = sample.open(&sample.options()).unwrap();
    assert_eq!(calls, 2);
    assert_eq!(pixel(&first, 0, 1, 1), pixel(&second, 0, 1, 1));
    assert_ne!(first.fingerprint, second.fingerprint);
    // A damaged cache: said, and made again.
    let cached = PixelFile::path(&sample.folder.path().join("cache"), "karpathy", &second.fingerprint);
    std::fs::write(&cached, b"EKPIX").unwrap();
    let (third, calls) = sample.open(&sample.options()).unwrap();
    assert_eq!(calls, 2);
    assert!(third.notes[0].contains("was made again"), "{:?}", third.notes);
}

#[test]
fn settings_and_folders_are_checked() {
    let sample = Sample::new();
    let error = |options: Options| open(&options, sample.folder.path(), &|_, _| ()).unwrap_err().to_string();
    assert_eq!(error(Options::default()), "data.annotations: is missing; it names a path");
    assert!(
        error(Options { max_bad: f64::NAN, ..sample.options() })
            .starts_with("data.max_bad: expected a share")
    );
    assert!(
        error(Options { image_size: 0, ..sample.options() }).starts_with("data.image_size: expected 1 to")
    );
    assert!(error(sample.options()).contains("hint: check the path"));
    let text =
        json!({"images": [{"filename": "a", "split": "val", "sentences": [{"raw": "a"}]}]}).to_string();
    std::fs::write(sample.options().annotations, text).unwrap();
    let gone = error(Options { images: sample.folder.path().join("none"), ..sample.options() });
    assert!(gone.contains("read the folder"), "{gone}");
    let empty = error(Options { max_bad: 1.0, ..sample.options() });
    assert!(empty.starts_with("split `train`: ") && empty.contains("has no picture"), "{empty}");
}

#[test]
fn a_picture_alone_is_decoded_as_in_a_data_set() {
    let mut sample = Sample::new();
    sample.picture("noise.png", noise(37), ImageFormat::Png);
    let (data, _) = sample.open(&sample.options()).unwrap();
    let path = sample.options().images.join("noise.png");
    assert_eq!(decode_picture(&path, 8).unwrap(), data.split("train").unwrap().images.bytes(0).unwrap());
    let error = decode_picture(&sample.options().annotations, 8).unwrap_err().to_string();
    assert!(error.ends_with("dataset.json: picture: neither JPEG nor PNG"), "{error}");
    let error = decode_picture(&path.with_file_name("none.png"), 8).unwrap_err().to_string();
    assert!(error.contains("none.png") && error.contains("hint: check the path"), "{error}");
}

#[test]
fn large_claims_cost_no_memory_and_small_limits_hold() {
    let mut sample = Sample::new();
    sample.picture("a.png", noise(64), ImageFormat::Png);
    sample.picture("b.png", noise(20), ImageFormat::Png);
    let options = Options { max_megapixels: 0.001, max_bad: 0.5, ..sample.options() };
    let (data, _) = sample.open(&options).unwrap();
    assert!(data.notes[0].contains("a.png: 64x64 pixels"), "{:?}", data.notes);
    let options = Options { max_file_mib: 0, max_bad: 1.0, ..sample.options() };
    assert!(sample.open(&options).unwrap_err().to_string().contains("has no picture"));
}

#[test]
fn real_photographs() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/flickr_sample");
    if !shared.exists() {
        eprintln!("skipped: no ../shared/data/flickr_sample beside the workspace");
        return;
    }
    let cache = tempfile::tempdir().unwrap();
    let options = Options {
        annotations: shared.join("dataset.json"),
        images: shared.join("images"),
        ..Options::default()
    };
    let start = std::time::Instant::now();
    let data = open(&options, cache.path(), &|_, _| ()).unwrap();
    let prepared = start.elapsed();
    let sizes = ["train", "val", "test"].map(|name| data.split(name).unwrap().len());
    assert_eq!(sizes, [572, 67, 49]);
    assert!(data.notes.is_empty(), "{:?}", data.notes);
    let train = data.split("train").unwrap();
    assert_eq!(train.references(0).len(), 5);
    assert_eq!(train.examples[0].captions[0], "A man lays on a bench while his dog sits by him .");
    assert_eq!(data.vocabulary.decode(&train.references(0)[0]).split(' ').count(), 12);
    assert_eq!(data.vocabulary.words()[4], "a");
    let mean = train.images.batch(&(0..572).collect::<Vec<_>>()).unwrap().mean().unwrap();
    assert!((-0.3..0.1).contains(&mean), "mean {mean}");
    let start = std::time::Instant::now();
    open(&options, cache.path(), &|_, _| panic!("nothing is left to prepare")).unwrap();
    eprintln!("prepared in {prepared:?}, found again in {:?}", start.elapsed());
}
