//! `ekphrasis caption`

use crate::{
    Context,
    error::{CliError, Result},
    opened,
    screen::print,
};
use ekphrasis_data::{Example, ImageStore, Split, decode_picture};
use ekphrasis_train::{Rollout, evaluate};
use std::path::PathBuf;

/// Arguments of `caption`.
#[derive(clap::Args)]
pub struct Args {
    /// Folder of the run
    run: PathBuf,
    /// JPEG or PNG files of any size
    #[arg(required = true)]
    images: Vec<PathBuf>,
}

/// Describes picture files. Those that cannot be read are named, and the others described all the same.
pub fn run(context: &Context, args: Args) -> Result<()> {
    let world = opened::run(context, &args.run)?;
    let (mut pixels, mut examples, mut bad) = (vec![], vec![], vec![]);
    for path in &args.images {
        match decode_picture(path, world.sizes.image) {
            Ok(mut picture) => {
                pixels.append(&mut picture);
                let id = path.display().to_string();
                examples.push(Example { id, captions: vec![], tokens: vec![], scene: None });
            }
            Err(error) => bad.push(error),
        }
    }
    let images = ImageStore::from_bytes(world.sizes.image, pixels);
    let split = Split { name: "pictures".into(), examples, images };
    if !split.is_empty() {
        let mut rollout = Rollout::new(&world, &world.config.evaluation.policy, 1, true)?;
        let captions = evaluate::caption_split(&world, &mut rollout, &split)?;
        for (i, example) in split.examples.iter().enumerate() {
            let caption = world.data.vocabulary.decode(&captions.words(i));
            print(&format!("{}: {caption}\n", example.id))?;
        }
    }
    match bad.len() {
        0 => Ok(()),
        1 => Err(bad.remove(0).into()),
        n => {
            let listed: String = bad.iter().map(|error| format!("\n{error}")).collect();
            Err(CliError::Message(format!(
                "{n} of {} pictures could not be read:{listed}",
                args.images.len()
            )))
        }
    }
}
