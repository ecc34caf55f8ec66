//! Writing graphs as ONNX models.

use crate::{Attr, Dim, Graph, GraphError, NodeId, OPSET, Origin, Result, Tensor, Value, ValueId, proto};
use prost::Message;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
};

/// The operator that is the identity forward and a barrier backward; files never hold it.
pub(crate) const STOP_GRADIENT: &str = "ekphrasis::StopGradient";

/// The IR version that files are written in; the first that has all of opset 18's types.
const IR_VERSION: i64 = 9;

/// Above this many bytes of weights they are written beside the model: a protobuf message ends at 2 GiB.
const INLINE_LIMIT: usize = 1_500_000_000;

/// Tensors smaller than this many bytes stay in the model file, whatever the rest does.
const SMALL: usize = 1024;

/// External tensors start at multiples of a page, so that readers can map them.
const ALIGNMENT: u64 = 4096;

/// Operators that skip work for the outputs that have no name, except for the first.
const OPTIONAL_OUTPUTS: [&str; 6] = ["Dropout", "GRU", "LSTM", "LayerNormalization", "MaxPool", "RNN"];

/// Who wrote a file, as it says.
pub(crate) const PRODUCER: &str = "ekphrasis";

impl Graph {
    /// The graph as a whole ONNX model, with its weights: what ONNX Runtime takes.
    ///
    /// Only nodes and tensors that the outputs need are written; input ports all stay.
    ///
    /// # Errors
    /// When an output bears the name of another port or initializer, or when the model would be
    /// larger than a protobuf message may be (2 GiB).
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        self.encode(&Writer::new(self)?.model(false, &mut inline))
    }

    /// Writes the graph to a file, with the shapes of all values that are known.
    ///
    /// The file appears whole or not at all. When the weights exceed 1.5 GB they go to
    /// `<file name>.data` beside it.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        self.save_with_limit(path.as_ref(), INLINE_LIMIT)
    }

    pub(crate) fn save_with_limit(&self, path: &Path, limit: usize) -> Result<()> {
        let writer = Writer::new(self)?;
        let total: usize = writer.initializers().map(|(_, t)| t.bytes().len()).sum();
        if total <= limit {
            let bytes = self.encode(&writer.model(true, &mut inline))?;
            return replace(path, |file| file.write_all(&bytes));
        }
        let file_name = path.file_name().and_then(|n| n.to_str()).ok_or_else(|| GraphError::File {
            path: path.into(),
            message: "expected a path that ends in a file name in UTF-8".into(),
        })?;
        let beside = format!("{file_name}.data");
        let mut end = 0;
        let model = writer.model(true, &mut |t| external(t, &beside, &mut end));
        let bytes = self.encode(&model)?;
        replace(&path.with_file_name(&beside), |file| {
            let mut at = 0;
            for (_, tensor) in writer.initializers().filter(|(_, t)| t.bytes().len() >= SMALL) {
                let start = u64::next_multiple_of(at, ALIGNMENT);
                file.write_all(&vec![0; (start - at) as usize])?;
                file.write_all(tensor.bytes())?;
                at = start + tensor.bytes().len() as u64;
            }
            Ok(())
        })?;
        replace(path, |file| file.write_all(&bytes))
    }

    fn encode(&self, model: &proto::ModelProto) -> Result<Vec<u8>> {
        let size = model.encoded_len();
        if size > i32::MAX as usize {
            return Err(self.error(format!(
                "the model takes {size} bytes, a protobuf message at most {}\nhint: save it to a file, or feed the weights as inputs",
                i32::MAX
            )));
        }
        Ok(model.encode_to_vec())
    }
}

/// Writes a file beside `path` and renames it, so that `path` is never half-written.
fn replace(path: &Path, write: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>) -> Result<()> {
    replace_file(path, write).map_err(|source| GraphError::Io { path: path.into(), source })
}

fn replace_file(path: &Path, write: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>) -> io::Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(".ekphrasis-");
    #[cfg(unix)]
    let builder = {
        use std::os::unix::fs::PermissionsExt;
        // As for any new file: the user's mask decides.
        builder.permissions(std::fs::Permissions::from_mode(0o666))
    };
    let file = builder.tempfile_in(folder)?;
    let mut buffer = BufWriter::new(file.as_file());
    write(&mut buffer)?;
    buffer.flush()?;
    drop(buffer);
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

/// What to do with the bytes of an initializer.
type Place<'a> = dyn FnMut(&Tensor) -> proto::TensorProto + 'a;

fn header(tensor: &Tensor) -> proto::TensorProto {
    proto::TensorProto {
        dims: tensor.dims().iter().map(|d| *d as i64).collect(),
        data_type: tensor.dtype() as i32,
        ..Default::default()
    }
}

fn inline(tensor: &Tensor) -> proto::TensorProto {
    proto::TensorProto { raw_data: Some(tensor.bytes().to_vec()), ..header(tensor) }
}

/// The place of a tensor in the file of weights, of which `end` bytes are taken.
fn external(tensor: &Tensor, file: &str, end: &mut u64) -> proto::TensorProto {
    let length = tensor.bytes().len();
    if length < SMALL {
        return inline(tensor);
    }
    let start = end.next_multiple_of(ALIGNMENT);
    *end = start + length as u64;
    let entry = |key: &str, value: String| proto::StringStringEntryProto { key: key.into(), value };
    proto::TensorProto {
        data_location: proto::tensor_proto::DataLocation::External as i32,
        external_data: vec![
            entry("location", file.into()),
            entry("offset", start.to_string()),
            entry("length", length.to_string()),
        ],
        ..header(tensor)
    }
}

/// A graph with the name that each value is written under.
struct Writer<'a> {
    graph: &'a Graph,
    needed: HashSet<ValueId>,
    names: HashMap<ValueId, String>,
    /// Ports that need a node of their own: source and port name.
    copies: Vec<(ValueId, &'a str)>,
    /// Symbols that the input shapes define; others mean nothing to a reader.
    symbols: BTreeSet<std::sync::Arc<str>>,
}

impl<'a> Writer<'a> {
    fn new(graph: &'a Graph) -> Result<Self> {
        let outputs: Vec<ValueId> = graph.outputs().iter().map(|(_, v)| source(graph, *v)).collect();
        let mut needed = graph.ancestors(&outputs);
        needed.extend(graph.inputs());
        // Where an output may not be left out, it has a name though nobody reads it.
        for (_, node) in graph.nodes() {
            let outputs = || node.outputs.iter().flatten();
            if outputs().any(|o| needed.contains(o)) {
                let kept = if OPTIONAL_OUTPUTS.contains(&node.op.as_str()) { 1 } else { usize::MAX };
                needed.extend(outputs().take(kept));
            }
        }
        let mut this =
            Self { graph, needed, names: HashMap::new(), copies: vec![], symbols: BTreeSet::new() };
        for id in graph.inputs() {
            let shape = graph.value(*id).shape.iter().flatten();
            this.symbols.extend(shape.flat_map(Dim::symbols));
        }
        this.choose_names(&outputs)?;
        Ok(this)
    }

    fn choose_names(&mut self, outputs: &[ValueId]) -> Result<()> {
        let graph = self.graph;
        // Ports and parameters keep their names, whatever happens to the rest.
        let fixed = |v: &Value| matches!(v.origin, Origin::Input | Origin::Initializer(_));
        let mut taken: HashSet<&str> = HashSet::new();
        for (id, value) in graph.values().filter(|(id, v)| fixed(v) && self.needed.contains(id)) {
            taken.insert(&value.name);
            self.names.insert(id, value.name.clone());
        }
        // A port whose name is the value's own comes first, so that the others copy from it.
        let mut ports: Vec<(&'a str, ValueId)> =
            graph.outputs().iter().map(|(n, _)| n.as_str()).zip(outputs.iter().copied()).collect();
        ports.sort_by_key(|(port, id)| *port != graph.value(*id).name);
        for (port, id) in ports {
            if self.names.get(&id).is_some_and(|n| n == port) {
                continue;
            }
            if !taken.insert(port) {
                return Err(graph.error(format!(
                    "output `{port}` bears the name of an input or initializer\nhint: give one of them another name"
                )));
            }
            match self.names.contains_key(&id) {
                true => self.copies.push((id, port)),
                false => _ = self.names.insert(id, port.into()),
            }
        }
        // In the order of the ports again.
        let place = |port: &str| graph.outputs().iter().position(|(n, _)| n == port);
        self.copies.sort_by_key(|(_, port)| place(port));
        let mut taken: HashSet<String> = taken.into_iter().map(String::from).collect();
        for (id, value) in graph.values() {
            if !self.needed.contains(&id) || self.names.contains_key(&id) {
                continue;
            }
            let mut name = value.name.clone();
            let mut i = 1;
            while name.is_empty() || taken.contains(&name) {
                name = format!("{}_{i}", value.name);
                i += 1;
            }
            taken.insert(name.clone());
            self.names.insert(id, name);
        }
        Ok(())
    }

    fn initializers(&self) -> impl Iterator<Item = (ValueId, &'a Tensor)> {
        self.graph.values().filter(|(id, _)| self.needed.contains(id)).filter_map(|(id, v)| match &v.origin {
            Origin::Initializer(t) => Some((id, &**t)),
            _ => None,
        })
    }

    fn nodes(&self) -> impl Iterator<Item = (NodeId, &'a crate::Node)> {
        self.graph.nodes().filter(|(_, n)| {
            n.op != STOP_GRADIENT && n.outputs.iter().flatten().any(|o| self.needed.contains(o))
        })
    }

    fn name(&self, id: ValueId) -> String {
        self.names.get(&source(self.graph, id)).cloned().unwrap_or_default()
    }

    fn model(&self, shapes: bool, place: &mut Place) -> proto::ModelProto {
        let graph = self.graph;
        let mut initializer = vec![];
        for (id, tensor) in self.initializers() {
            initializer.push(proto::TensorProto { name: self.name(id), ..place(tensor) });
        }
        let constants = graph.values().filter(|(id, _)| self.needed.contains(id)).filter_map(|(id, v)| {
            let Origin::Constant(tensor) = &v.origin else { return None };
            let value = attribute("value", &Attr::Tensor((**tensor).clone()));
            Some(node(&v.name, "Constant", vec![], vec![self.name(id)], vec![value]))
        });
        let computed = self.nodes().map(|(_, n)| {
            let ports = |ids: &[Option<ValueId>]| {
                ids.iter().map(|i| i.map_or(String::new(), |i| self.name(i))).collect()
            };
            let attributes = n.attrs.iter().map(|(name, attr)| attribute(name, attr)).collect();
            // An output that nobody needs has no name of its own.
            node(&n.name, &n.op, ports(&n.inputs), ports(&n.outputs), attributes)
        });
        let copies = self.copies.iter().map(|(id, port)| {
            node(&format!("{port}/Identity"), "Identity", vec![self.name(*id)], vec![(*port).into()], vec![])
        });
        // Readers cannot infer the shapes of operators that are not ONNX's.
        let value_info = self
            .nodes()
            .filter(|(_, n)| shapes || n.op.contains("::"))
            .flat_map(|(_, n)| n.outputs.iter().flatten())
            .filter(|id| self.needed.contains(id) && graph.value(**id).shape.is_some())
            .map(|id| (self.name(*id), *id))
            .filter(|(name, _)| graph.output_named(name).is_none())
            .map(|(name, id)| self.port(&name, id))
            .collect();
        let mut domains = BTreeMap::from([(String::new(), OPSET)]);
        for (_, n) in self.nodes() {
            domains.entry(split_op(&n.op).0.into()).or_insert(1);
        }
        proto::ModelProto {
            ir_version: IR_VERSION,
            producer_name: PRODUCER.into(),
            producer_version: env!("CARGO_PKG_VERSION").into(),
            opset_import: domains
                .into_iter()
                .map(|(domain, version)| proto::OperatorSetIdProto { domain, version })
                .collect(),
            graph: Some(proto::GraphProto {
                name: if graph.name.is_empty() { "graph".into() } else { graph.name.clone() },
                node: constants.chain(computed).chain(copies).collect(),
                initializer,
                input: graph.inputs().iter().map(|id| self.port(&graph.value(*id).name, *id)).collect(),
                output: graph.outputs().iter().map(|(name, id)| self.port(name, *id)).collect(),
                value_info,
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    fn port(&self, name: &str, id: ValueId) -> proto::ValueInfoProto {
        use proto::{tensor_shape_proto as shape_proto, type_proto};
        let value = self.graph.value(id);
        let dimension = |d: &Dim| shape_proto::Dimension {
            value: match d {
                Dim::Known(n) => Some(shape_proto::dimension::Value::DimValue(*n)),
                // ONNX Runtime shares memory between shapes of equal text: only write what is
                // sure to be equal, that is, what follows from the inputs.
                _ if d.symbols().iter().all(|s| self.symbols.contains(s)) => {
                    Some(shape_proto::dimension::Value::DimParam(d.to_string()))
                }
                _ => None,
            },
            ..Default::default()
        };
        let shape = value.shape.as_ref();
        let tensor = type_proto::Tensor {
            elem_type: value.dtype as i32,
            shape: shape.map(|s| proto::TensorShapeProto { dim: s.iter().map(dimension).collect() }),
        };
        let kind =
            proto::TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..Default::default() };
        proto::ValueInfoProto { name: name.into(), r#type: Some(kind), ..Default::default() }
    }
}

/// The value itself, behind any gradient barriers.
fn source(graph: &Graph, mut id: ValueId) -> ValueId {
    while let Origin::Node(n) = graph.value(id).origin
        && graph.node(n).op == STOP_GRADIENT
        && let Some(Some(input)) = graph.node(n).inputs.first()
    {
        id = *input;
    }
    id
}

/// Domain and name of an operator; the default domain is the empty text.
pub(crate) fn split_op(op: &str) -> (&str, &str) {
    op.rsplit_once("::").unwrap_or(("", op))
}

fn node(
    name: &str,
    op: &str,
    input: Vec<String>,
    mut output: Vec<String>,
    attribute: Vec<proto::AttributeProto>,
) -> proto::NodeProto {
    let (domain, op_type) = split_op(op);
    while output.len() > 1 && output.last().is_some_and(String::is_empty) {
        output.pop();
    }
    let (name, op_type, domain) = (name.into(), op_type.into(), domain.into());
    proto::NodeProto { name, op_type, domain, input, output, attribute, ..Default::default() }
}

fn attribute(name: &str, attr: &Attr) -> proto::AttributeProto {
    use proto::attribute_proto::AttributeType as T;
    let mut out = proto::AttributeProto { name: name.into(), ..Default::default() };
    let kind = match attr {
        Attr::Int(v) => (out.i = Some(*v), T::Int).1,
        Attr::Float(v) => (out.f = Some(*v), T::Float).1,
        Attr::Text(v) => (out.s = Some(v.clone().into_bytes()), T::String).1,
        Attr::Ints(v) => (out.ints = v.clone(), T::Ints).1,
        Attr::Floats(v) => (out.floats = v.clone(), T::Floats).1,
        Attr::Texts(v) => (out.strings = v.iter().map(|s| s.clone().into_bytes()).collect(), T::Strings).1,
        Attr::Tensor(v) => (out.t = Some(inline(v)), T::Tensor).1,
    };
    out.r#type = kind as i32;
    out
}

#[cfg(test)]
mod tests;
