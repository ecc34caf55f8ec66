//! Encoders of picture files: any ONNX graph from pictures to features.

use crate::{
    Result, TrainError,
    model::{Manifest, inside},
};
use ekphrasis_graph::{DType, Graph};
use ekphrasis_metrics::ClassScores;
use ekphrasis_runtime::{DeviceTensor, Port, Runtime, Session, SessionOptions};
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// Names of outputs that hold class scores, and what those are.
const CLASSES: [(&str, ClassScores); 2] =
    [("logits", ClassScores::Logits), ("probabilities", ClassScores::Probabilities)];
/// Names of outputs that hold features; without one of them, the first output that is not class scores.
const FEATURES: [&str; 2] = ["features", "embedding"];

/// How an encoder wants its pictures, and what it is: `[encoder]` in `model.toml`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EncoderForm {
    /// What is taken from red, green, blue in 0..1; with 0.5 here and in `std`, pictures are in [-1, 1].
    pub mean: [f32; 3],
    /// What they are then divided by.
    pub std: [f32; 3],
    /// Whether it is the Inception network of FID: its distances are then called FID and KID.
    pub inception: bool,
}

impl Default for EncoderForm {
    fn default() -> Self {
        Self { mean: [0.5; 3], std: [0.5; 3], inception: false }
    }
}

/// An encoder, ready to run.
pub struct Encoder {
    /// What stands beside every number: the name of its file or folder.
    pub name: String,
    /// How it wants pictures.
    pub form: EncoderForm,
    file: PathBuf,
    session: Session,
    features: String,
    classes: Option<(String, ClassScores)>,
}

/// What an encoder makes of pictures.
pub struct Encoded {
    /// Features, one row for each picture.
    pub features: Vec<f32>,
    /// Numbers in a row of features.
    pub width: usize,
    /// Class scores, one row for each picture; empty if the encoder has none.
    pub classes: Vec<f32>,
}

impl Encoder {
    /// Where the graph of an encoder lies, and how it wants pictures: an ONNX file, or the folder of a scorer
    /// whose graphs are ONNX files, of which `image` is taken.
    ///
    /// # Errors
    /// When neither is there, or `model.toml` is not what it should be.
    pub fn find(path: &Path) -> Result<(PathBuf, EncoderForm)> {
        if !path.is_dir() {
            return Ok((path.to_owned(), EncoderForm::default()));
        }
        let manifest = Manifest::read(&path.join("model.toml"))?;
        let name = name(path);
        match manifest.graphs.get("image") {
            Some(file) => Ok((inside(&name, path, file)?, manifest.encoder)),
            None => Err(TrainError::model(
                &name,
                "expected a graph `image` as an ONNX file, to encode pictures with\n\
                 hint: `ekphrasis graph export FOLDER --run RUN --out NEW` writes a trained model in Lua as ONNX files",
            )),
        }
    }

    /// Opens the ONNX file of the encoder that is called after `path`.
    ///
    /// # Errors
    /// When the file is no graph from f32[B, 3, H, W] to rows, or `form` cannot be divided by.
    pub fn open(runtime: &Runtime, path: &Path, file: &Path, form: EncoderForm) -> Result<Self> {
        let name = name(path);
        let wrong = |message: String| TrainError::model(&name, format!("{}: {message}", file.display()));
        if form.std.iter().chain(&form.mean).any(|v| !v.is_finite()) || form.std.iter().any(|v| *v <= 0.0) {
            let found = format!("{:?} and {:?}", form.mean, form.std);
            return Err(wrong(format!("mean and std: expected numbers, std above 0, found {found}")));
        }
        let session = runtime.session(&Graph::load(file)?, &SessionOptions::default())?;
        let [input] = session.inputs() else {
            let found: Vec<_> = session.inputs().iter().map(|p| p.name.as_str()).collect();
            return Err(wrong(format!(
                "expected one input, pictures, found {}: {}",
                found.len(),
                found.join(", ")
            )));
        };
        let channels = input.shape.get(1).copied().flatten();
        if input.dtype != DType::F32 || input.shape.len() != 4 || channels.is_some_and(|c| c != 3) {
            let found = input.describe();
            return Err(wrong(format!("input `{}`: expected f32[B, 3, H, W], found {found}", input.name)));
        }
        let outputs = session.outputs();
        let classes = CLASSES.iter().find(|(name, _)| outputs.iter().any(|p| p.name == *name));
        let named = outputs.iter().find(|p| FEATURES.contains(&p.name.as_str()));
        let features = named.or_else(|| outputs.iter().find(|p| classes.is_none_or(|(n, _)| p.name != *n)));
        let features = features.map(|p| p.name.clone());
        let features =
            features.ok_or_else(|| wrong("expected an output with features, found none".into()))?;
        let classes = classes.map(|(name, form)| ((*name).to_owned(), *form));
        Ok(Self { name, form, file: file.to_owned(), session, features, classes })
    }

    fn input(&self) -> &Port {
        &self.session.inputs()[0]
    }

    /// Width and height of the pictures that it takes; none if it takes any.
    ///
    /// # Errors
    /// When it takes pictures that are not square.
    pub fn size(&self) -> Result<Option<usize>> {
        match (self.input().shape[2], self.input().shape[3]) {
            (Some(h), Some(w)) if h != w => {
                let port = self.input();
                let message =
                    format!("input `{}`: expected square pictures, found {}", port.name, port.describe());
                Err(TrainError::model(&self.name, format!("{}: {message}", self.file.display())))
            }
            (h, w) => Ok(h.or(w)),
        }
    }

    /// How many pictures it takes at once, if its graph says so.
    pub fn batch(&self) -> Option<usize> {
        self.input().shape[0]
    }

    /// What the class scores are that it gives, if it gives some.
    pub fn classes(&self) -> Option<ClassScores> {
        self.classes.as_ref().map(|(_, form)| *form)
    }

    /// Encodes square pictures of `size`, three bytes a pixel: channels, rows, columns.
    ///
    /// # Errors
    /// When there are more pictures than the graph takes, or it gives no row for each.
    pub fn encode(&self, pictures: &[u8], size: usize) -> Result<Encoded> {
        let plane = size * size;
        let count = pictures.len() / (3 * plane).max(1);
        let batch = self.batch().unwrap_or(count);
        let EncoderForm { mean, std, .. } = self.form;
        let scaled = |(i, plane): (usize, &[u8])| {
            let (mean, std) = (mean[i % 3], std[i % 3]);
            plane.iter().map(move |b| (f32::from(*b) / 255.0 - mean) / std).collect::<Vec<_>>()
        };
        let mut values: Vec<f32> = pictures.chunks_exact(plane.max(1)).enumerate().flat_map(scaled).collect();
        // What is missing to a whole batch is zeros, and its rows are dropped.
        values.resize(batch * 3 * plane, 0.0);
        let feed = DeviceTensor::from_f32(&[batch, 3, size, size], values)?;
        let outputs = self.session.run(&[(&self.input().name, &feed)])?;
        let rows = |name: &str| -> Result<(Vec<f32>, usize)> {
            let at = self.session.outputs().iter().position(|p| p.name == name);
            let output = at.and_then(|i| outputs.get(i));
            let fits = output.filter(|t| t.dtype() == DType::F32 && t.dims().first() == Some(&batch));
            let Some(output) = fits.filter(|t| t.dims().len() > 1 && !t.is_empty()) else {
                let found = output.map_or("nothing".into(), DeviceTensor::describe);
                let message = format!("output `{name}`: expected f32[{batch}, D], found {found}");
                return Err(TrainError::model(&self.name, format!("{}: {message}", self.file.display())));
            };
            // As [B, D, 1, 1] also means rows.
            let width = output.len() / batch;
            let mut values = output.to_f32()?;
            values.truncate(count * width);
            Ok((values, width))
        };
        let (features, width) = rows(&self.features)?;
        let classes = match &self.classes {
            Some((name, _)) => rows(name)?.0,
            None => vec![],
        };
        Ok(Encoded { features, width, classes })
    }
}

/// The name of a file without its extension, or of a folder.
fn name(path: &Path) -> String {
    let part = if path.is_dir() { path.file_name() } else { path.file_stem() };
    part.map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into_owned())
}
