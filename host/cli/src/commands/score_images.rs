//! `ekphrasis score-images`

use crate::{
    Context,
    error::{CliError, Result},
    opened,
    screen::{self, print},
};
use ekphrasis_data::decode_pictures;
use ekphrasis_metrics::{
    FeatureStatistics, MetricsError, frechet_distance, inception_score, kernel_distance,
    kernel_distance_of_subsets,
};
use ekphrasis_report::{Cell, Table};
use ekphrasis_runtime::{Provider, Runtime};
use ekphrasis_train::{Encoder, EncoderForm};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// With more pictures than this on a side, the kernel distance over all pairs takes too long.
const WHOLE: u64 = 10_000;
/// The largest pictures that an encoder may be given, in pixels on a side.
const MAX_SIZE: usize = 2048;

/// Arguments of `score-images`.
#[derive(clap::Args)]
pub struct Args {
    /// Folder of real pictures
    #[arg(long, value_name = "DIR")]
    real: PathBuf,
    /// Folder of generated pictures
    #[arg(long, value_name = "DIR")]
    generated: PathBuf,
    /// An ONNX file, or the folder or name of a scorer whose graphs are ONNX files
    #[arg(long, value_name = "MODEL")]
    encoder: PathBuf,
    /// Taken from red, green, blue in 0..1 [default: what model.toml says, or 0.5,0.5,0.5]
    #[arg(long, value_name = "R,G,B", value_delimiter = ',')]
    mean: Option<Vec<f32>>,
    /// What they are then divided by [default: what model.toml says, or 0.5,0.5,0.5]
    #[arg(long, value_name = "R,G,B", value_delimiter = ',')]
    std: Option<Vec<f32>>,
    /// Width and height of pictures, where the encoder takes any
    #[arg(long, value_name = "PIXELS")]
    size: Option<usize>,
    /// The encoder is FID's Inception network: call its distances FID and KID
    #[arg(long)]
    inception: bool,
    /// Subsets that the kernel distance is estimated on
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    subsets: u32,
    /// Pictures of each side in a subset; fewer if a folder has fewer
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(2..=100_000))]
    subset_size: u32,
    /// Parts that the Inception Score is averaged over; fewer if there are fewer pictures
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    splits: u32,
    /// Pictures that are encoded at a time, unless the encoder says how many
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=4096))]
    batch: u32,
    /// Other seeds draw other subsets
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Execution providers, the first that works is used
    #[arg(long, value_name = "NAME", value_delimiter = ',', default_value = "cpu")]
    providers: Vec<String>,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// What the encoder makes of a folder.
struct Seen {
    statistics: FeatureStatistics,
    features: Vec<f32>,
    classes: Vec<f32>,
}

/// Compares two folders of pictures.
pub fn run(context: &Context, args: Args) -> Result<()> {
    let (real, generated) = (pictures(context, &args.real)?, pictures(context, &args.generated)?);
    let encoder = open(context, &args)?;
    let size = match (encoder.size()?, args.size) {
        (Some(own), Some(asked)) if own != asked => {
            return Err(CliError::Usage(format!(
                "--size {asked}: the encoder takes pictures of {own} pixels"
            )));
        }
        (own, asked) => own.or(asked).ok_or_else(|| {
            CliError::Usage(format!(
                "encoder `{}` takes pictures of any size\nhint: add --size PIXELS",
                encoder.name
            ))
        })?,
    };
    if !(1..=MAX_SIZE).contains(&size) {
        return Err(CliError::Usage(format!("expected pictures of 1 to {MAX_SIZE} pixels, found {size}")));
    }
    let real = encode(context, &encoder, &real, size, &args, "real")?;
    let generated = encode(context, &encoder, &generated, size, &args, "generated")?;
    let width = real.statistics.width();
    let few = real.statistics.count().min(generated.statistics.count());
    if real.statistics.is_singular() || generated.statistics.is_singular() {
        context.screen.say(&format!(
            "{few} pictures are few for {width} features: the Fréchet distance is then too large, and compares \
             only at equal numbers of pictures; the kernel distance is not biased"
        ));
    }
    let scores = scores(&encoder, &real, &generated, &args).map_err(|e| CliError::Train(e.into()))?;
    if args.json {
        let EncoderForm { mean, std, inception } = &encoder.form;
        let side =
            |folder: &Path, seen: &Seen| json!({ "folder": folder, "pictures": seen.statistics.count() });
        let mut all = json!({
            "encoder": {
                "name": encoder.name, "inception": inception, "size": size, "mean": mean, "std": std,
                "features": width,
            },
            "real": side(&args.real, &real),
            "generated": side(&args.generated, &generated),
        });
        if let Value::Object(all) = &mut all {
            all.extend(scores);
        }
        return print(&screen::json(&all)?);
    }
    print(&screen::table(&table(&encoder, &scores)))
}

/// The JPEG and PNG files in a folder, by name.
fn pictures(context: &Context, folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = vec![];
    let mut others = 0;
    for entry in std::fs::read_dir(folder).map_err(CliError::io("read the folder", folder))? {
        let path = entry.map_err(CliError::io("read the folder", folder))?.path();
        let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
        match path.is_file() && ["png", "jpg", "jpeg"].contains(&extension.as_str()) {
            true => found.push(path),
            false => others += 1,
        }
    }
    found.sort();
    if others > 0 {
        context.screen.say(&format!(
            "{}: {others} entries are not .png, .jpg or .jpeg files and are left out",
            folder.display()
        ));
    }
    if found.len() < 2 {
        let message = format!("expected at least 2 files .png, .jpg or .jpeg, found {}", found.len());
        return Err(CliError::Message(format!("{}: {message}", folder.display())));
    }
    Ok(found)
}

/// Opens the encoder; what the command line says comes before what `model.toml` says.
fn open(context: &Context, args: &Args) -> Result<Encoder> {
    let path = match args.encoder.exists() {
        true => args.encoder.clone(),
        false => {
            let name = args.encoder.to_string_lossy();
            let known = opened::layout(None).and_then(|layout| Ok(layout.model(&name)?));
            known.map_err(|_| {
                let message = "expected an ONNX file, or the folder or name of a scorer, found nothing there";
                CliError::Message(format!(
                    "--encoder {name}: {message}\nhint: `ekphrasis plugin list` shows names"
                ))
            })?
        }
    };
    let (file, mut form) = Encoder::find(&path)?;
    for (name, given, to) in [("mean", &args.mean, &mut form.mean), ("std", &args.std, &mut form.std)] {
        if let Some(given) = given {
            *to = given.as_slice().try_into().map_err(|_| {
                CliError::Usage(format!(
                    "--{name}: expected three numbers as 0.5,0.5,0.5, found {}",
                    given.len()
                ))
            })?;
        }
    }
    form.inception |= args.inception;
    let config = ekphrasis_runtime::Config {
        offline: context.offline,
        cache: opened::cache(),
        providers: args.providers.iter().map(|name| Provider::new(name)).collect(),
        ..Default::default()
    };
    let runtime = Runtime::start(&config, &|line| context.screen.say(line))?;
    Ok(Encoder::open(&runtime, &path, &file, form)?)
}

fn encode(
    context: &Context,
    encoder: &Encoder,
    paths: &[PathBuf],
    size: usize,
    args: &Args,
    what: &str,
) -> Result<Seen> {
    let bar = context.screen.bar(paths.len() as u64, what);
    let mut seen: Option<Seen> = None;
    for part in paths.chunks(encoder.batch().unwrap_or(args.batch as usize).max(1)) {
        let encoded = encoder.encode(&decode_pictures(part, size)?, size)?;
        let seen = seen.get_or_insert_with(|| Seen {
            statistics: FeatureStatistics::new(encoded.width),
            features: vec![],
            classes: vec![],
        });
        let name = format!("features of {what} pictures by {}", encoder.name);
        seen.statistics.add(&name, &encoded.features).map_err(|e| CliError::Train(e.into()))?;
        seen.features.extend(encoded.features);
        seen.classes.extend(encoded.classes);
        bar.inc(part.len() as u64);
    }
    bar.finish_and_clear();
    seen.ok_or_else(|| CliError::Message(format!("expected {what} pictures, found none")))
}

/// All that can be said, under names that say whether the encoder is Inception's.
fn scores(
    encoder: &Encoder,
    real: &Seen,
    generated: &Seen,
    args: &Args,
) -> Result<Map<String, Value>, MetricsError> {
    let names = match encoder.form.inception {
        true => ["fid", "kid", "inception_score"],
        false => ["frechet", "kernel", "class_score"],
    };
    let mut all = Map::new();
    all.insert(names[0].into(), json!(frechet_distance(&real.statistics, &generated.statistics)?));
    let (x, y, width) = (&real.features, &generated.features, real.statistics.width());
    let (n, m) = (real.statistics.count(), generated.statistics.count());
    let size = n.min(m).min(u64::from(args.subset_size)) as usize;
    let subsets = args.subsets as usize;
    let of_subsets = kernel_distance_of_subsets(x, y, width, subsets, size, args.seed)?;
    let mut kernel = json!({ "mean": of_subsets.mean, "deviation": of_subsets.deviation, "subsets": subsets, "size": size });
    if n.max(m) <= WHOLE {
        kernel["all_pairs"] = json!(kernel_distance(x, y, width)?);
    }
    all.insert(names[1].into(), kernel);
    if let Some(form) = encoder.classes() {
        let score = |seen: &Seen| -> Result<Value, MetricsError> {
            let count = seen.statistics.count() as usize;
            let splits = count.min(args.splits as usize);
            let classes = seen.classes.len() / count.max(1);
            let (mean, deviation) = inception_score(&seen.classes, classes, form, splits)?;
            Ok(json!({ "mean": mean, "deviation": deviation, "splits": splits }))
        };
        all.insert(names[2].into(), json!({ "real": score(real)?, "generated": score(generated)? }));
    }
    Ok(all)
}

fn table(encoder: &Encoder, scores: &Map<String, Value>) -> Table {
    let mut table = Table::new(["score", "by encoder", "value", "deviation"]);
    let mut row = |name: &str, value: &Value, deviation: Option<&Value>| {
        let number = |v: Option<&Value>| {
            v.and_then(Value::as_f64).map_or(Cell::Empty, |value| Cell::Number { value, decimals: 6 })
        };
        table.row([name.into(), encoder.name.as_str().into(), number(Some(value)), number(deviation)]);
    };
    for (name, value) in scores {
        let shown = match name.as_str() {
            "fid" => "FID",
            "kid" => "KID",
            "frechet" => "Fréchet distance",
            "kernel" => "kernel distance",
            "inception_score" => "Inception Score",
            _ => "class score",
        };
        match value {
            Value::Object(parts) if parts.contains_key("mean") => {
                if let Some(whole) = parts.get("all_pairs") {
                    row(&format!("{shown}, all pairs"), whole, None);
                }
                row(
                    &format!("{shown}, subsets of {}", parts["size"]),
                    &parts["mean"],
                    parts.get("deviation"),
                );
            }
            Value::Object(sides) => {
                for (side, score) in sides {
                    row(&format!("{shown}, {side}"), &score["mean"], score.get("deviation"));
                }
            }
            value => row(shown, value, None),
        }
    }
    table
}
