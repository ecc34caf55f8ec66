//! What a model file says of itself, before it is read as a graph.

use super::{FILE_LIMIT, function};
use crate::{GraphError, Result, proto};
use prost::Message;
use serde::Serialize;
use std::{collections::BTreeMap, fs, path::Path};

/// Where a model file comes from and what is in it. Unlike [`Graph::load`](crate::Graph::load) this
/// also tells of models that cannot be read as graphs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileFacts {
    /// The program that wrote the file, as `pytorch`.
    pub producer: String,
    /// Its version.
    pub producer_version: String,
    /// Version of the file format.
    pub ir_version: i64,
    /// Opset of the default domain, if the file names one.
    pub opset: Option<i64>,
    /// Opsets of other domains.
    pub domains: BTreeMap<String, i64>,
    /// How often each operator stands in the graph of the file; calls of functions count as written.
    pub operators: BTreeMap<String, usize>,
    /// Functions that the file brings along.
    pub functions: usize,
    /// Convolutions and products that an exporter has made of batch normalisation and what stood before it.
    pub folded: Vec<String>,
    /// Tensors that lie in other files.
    pub external: usize,
}

impl FileFacts {
    /// Reads them.
    ///
    /// # Errors
    /// When the file cannot be read or is no ONNX model; the error names it.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let model = decode(path.as_ref())?;
        let full = |domain: &str, op: &str| match domain {
            "" | "ai.onnx" => op.to_owned(),
            domain => format!("{domain}::{op}"),
        };
        let mut operators = BTreeMap::new();
        for node in model.graph.iter().flat_map(|g| &g.node) {
            *operators.entry(full(&node.domain, &node.op_type)).or_insert(0) += 1;
        }
        let outside = proto::tensor_proto::DataLocation::External as i32;
        let tensors = model.graph.iter().flat_map(|g| &g.initializer);
        let others = model.opset_import.iter().filter(|o| !matches!(o.domain.as_str(), "" | "ai.onnx"));
        Ok(Self {
            opset: function::opset(&model.opset_import),
            domains: others.map(|o| (o.domain.clone(), o.version)).collect(),
            operators,
            functions: model.functions.len(),
            folded: model
                .graph
                .iter()
                .flat_map(|g| &g.node)
                .filter(|n| folded(n))
                .map(|n| n.name.clone())
                .collect(),
            external: tensors.filter(|t| t.data_location == outside).count(),
            ir_version: model.ir_version,
            producer: model.producer_name,
            producer_version: model.producer_version,
        })
    }
}

/// Whether batch normalisation is folded into a node, as PyTorch's exporters do: the newer one still
/// notes the class of the module that the node came from, the older one gives the weight a new name.
fn folded(node: &proto::NodeProto) -> bool {
    let takes = matches!(node.op_type.as_str(), "Conv" | "ConvTranspose" | "Gemm");
    let class = node.metadata_props.iter().find(|p| p.key == "pkg.torch.onnx.class_hierarchy");
    let noted = class.is_some_and(|p| p.value.contains("torch.nn.modules.batchnorm."));
    let renamed = node.input.get(1).is_some_and(|w| w.starts_with("onnx::Conv"));
    takes && (noted || (renamed && node.input.len() > 2))
}

/// The message in a file of at most 2 GiB.
pub(super) fn decode(path: &Path) -> Result<proto::ModelProto> {
    let io = |source| GraphError::Io { path: path.into(), source };
    let refuse = |message: String| GraphError::File { path: path.into(), message };
    let meta = fs::metadata(path).map_err(io)?;
    if !meta.is_file() {
        return Err(refuse("expected a file, found something else".into()));
    }
    if meta.len() > FILE_LIMIT {
        return Err(refuse(format!(
            "expected a model of at most {FILE_LIMIT} bytes, found {}\nhint: export its weights as external data",
            meta.len()
        )));
    }
    message(&fs::read(path).map_err(io)?, path)
}

/// The message in these bytes; `path` is for errors.
pub(super) fn message(bytes: &[u8], path: &Path) -> Result<proto::ModelProto> {
    proto::ModelProto::decode(bytes).map_err(|e| GraphError::File {
        path: path.into(),
        message: format!("expected an ONNX model, found other or damaged data ({e})"),
    })
}
