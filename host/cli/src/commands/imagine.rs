//! `ekphrasis imagine`

use crate::{
    Context,
    error::{CliError, Result, nearest},
    opened,
    screen::print,
};
use ekphrasis_data::{Example, ImageStore, Split, Vocabulary, words};
use ekphrasis_report::{Picture, write_atomically};
use ekphrasis_train::{Role, evaluate};
use std::path::PathBuf;

/// Pixels between pictures.
const GAP: usize = 2;
/// The longest side that a file may have, in pixels.
const MAX_SIDE: usize = 1 << 14;

/// Arguments of `imagine`.
#[derive(clap::Args)]
pub struct Args {
    /// Folder of the run
    run: PathBuf,
    /// What to paint, in words like those of the captions that the run saw
    caption: String,
    /// The PNG file to write; what was there before is replaced
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Paint so many pictures, side by side in one file
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    count: u32,
    /// Other seeds give other pictures of the same words
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Draw each pixel so many times as wide and high
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    scale: u32,
}

/// Paints pictures from words.
pub fn run(context: &Context, args: Args) -> Result<()> {
    let world = opened::run(context, &args.run)?;
    world.model(Role::Generator)?;
    let vocabulary = &world.data.vocabulary;
    let tokens = vocabulary.encode(&args.caption);
    if tokens.is_empty() {
        return Err(CliError::Usage(format!("expected words to paint, found {:?}", args.caption)));
    }
    for word in words(&args.caption).iter().filter(|word| vocabulary.id(word) == Vocabulary::UNK) {
        let known = vocabulary.words().iter().map(String::as_str);
        let hint = nearest(word, known).map_or(String::new(), |near| format!("; did you mean `{near}`?"));
        context.screen.say(&format!("the captions of this run do not know `{word}`{hint}"));
    }
    if tokens.len() >= world.sizes.max_length {
        context.screen.say(&format!("only the first {} words are painted", world.sizes.max_length - 1));
    }
    let side = world.sizes.image;
    let (count, scale) = (args.count as usize, args.scale as usize);
    let columns = (1..).find(|n| n * n >= count).unwrap_or(count);
    let length = |n: usize| (n * (side + GAP) - GAP) * scale;
    if length(columns) > MAX_SIDE {
        let message = format!("the file would be {} pixels wide, more than {MAX_SIDE}", length(columns));
        return Err(CliError::Usage(format!("{message}\nhint: lower --count or --scale")));
    }

    // As many examples as pictures; the noise follows from the name.
    let example =
        Example { id: args.caption.clone(), captions: vec![args.caption], tokens: vec![tokens], scene: None };
    let images = ImageStore::from_bytes(side, vec![]);
    let split = Split { name: format!("imagine/{}", args.seed), examples: vec![example; count], images };
    let mut pictures = vec![];
    for part in evaluate::paint_split(&world, &split)? {
        let pixels = part.to_f32()?;
        pictures.extend(pixels.chunks(3 * side * side).map(|p| evaluate::to_rgb(p, side)));
    }
    let picture = grid(&pictures, side, columns, scale)?;
    write_atomically(&args.out, &picture.to_png()?)?;
    print(&format!("{}\n", args.out.display()))
}

/// Pictures of RGB bytes in rows, on white.
fn grid(pictures: &[Vec<u8>], side: usize, columns: usize, scale: usize) -> Result<Picture> {
    let rows = pictures.len().div_ceil(columns);
    let length = |n: usize| (n * (side + GAP) - GAP) * scale;
    let (width, height) = (length(columns), length(rows));
    let mut rgb = vec![255; 3 * width * height];
    for (y, line) in rgb.chunks_exact_mut(3 * width).enumerate() {
        let (row, inner) = (y / scale / (side + GAP), y / scale % (side + GAP));
        for (x, pixel) in line.chunks_exact_mut(3).enumerate() {
            let (column, across) = (x / scale / (side + GAP), x / scale % (side + GAP));
            let at = 3 * (inner * side + across);
            let source = pictures.get(row * columns + column).and_then(|p| p.get(at..at + 3));
            if let Some(source) = source.filter(|_| inner < side && across < side) {
                pixel.copy_from_slice(source);
            }
        }
    }
    let side_of = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Ok(Picture::new(side_of(width), side_of(height), rgb)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_stand_in_rows() {
        let of = |v: u8| vec![v; 12];
        let image = grid(&[of(10), of(20), of(30)], 2, 2, 3).unwrap().to_png().unwrap();
        let image = image::load_from_memory(&image).unwrap().to_rgb8();
        assert_eq!(image.dimensions(), (18, 18));
        let at = |x, y| image.get_pixel(x, y).0[0];
        assert_eq!([at(0, 0), at(5, 5), at(6, 0), at(12, 0), at(17, 5)], [10, 10, 255, 20, 20]);
        assert_eq!([at(0, 12), at(12, 12), at(0, 11)], [30, 255, 255]);
    }
}
