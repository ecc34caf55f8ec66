//! Reading ONNX models. Nothing that a file says is trusted before it is checked.
//!
//! Limits: a model file holds at most 2 GiB (a protobuf message cannot hold more), functions nest
//! 32 deep and expand to a million nodes, tensors have at most 64 dimensions. Memory follows what
//! the file really holds, never what it claims; external data count once, however often they are
//! referred to.

mod body;
mod branch;
mod facts;
mod function;
mod order;
mod repeat;
mod scope;
mod sequence;
mod tensor;

use crate::{
    Attr, Attrs, DType, Dim, Graph, GraphError, Origin, Result, Shape, ValueId, infer, proto, save, upgrade,
};
pub use facts::FileFacts;
use function::Flat;
use sequence::{Call, Given, Sequences};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::Path,
    sync::Arc,
};
use tensor::{External, literal};

/// What a step of reading says when it fails; the file is added outside.
type Step<T> = Result<T, String>;

/// No dimension that fits into a memory is larger; arithmetic on sizes stays exact below it.
const SIZE_LIMIT: i64 = 1 << 40;

/// Literals that say the scales of a picture hold no more numbers.
const SMALL: usize = 4;

/// The largest protobuf message.
const FILE_LIMIT: u64 = i32::MAX as u64;

impl Graph {
    /// Reads an ONNX model of opset 11 or later and brings it to opset 18.
    ///
    /// External data are read from the folder of the file and nowhere else.
    ///
    /// # Errors
    /// Every error names the file, and the node, port or tensor that it is about.
    pub fn load(path: impl AsRef<Path>) -> Result<Graph> {
        Self::load_sized(path, &BTreeMap::new())
    }

    /// Reads a model whose inputs have other sizes than symbols, by the symbols' names. Unlike
    /// [`with_sizes`](Self::with_sizes) it does so before control flow is resolved, which may depend on them.
    ///
    /// # Errors
    /// As of [`load`](Self::load), and when no input has a symbol of such a name.
    pub fn load_sized(path: impl AsRef<Path>, sizes: &BTreeMap<String, i64>) -> Result<Graph> {
        let path = path.as_ref();
        let model = facts::decode(path)?;
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Self::from_message(model, path, Some(folder), sizes)
    }

    /// Reads an ONNX model from memory; `path` stands in errors, `folder` is where external data
    /// are looked for (none: a model that has some is refused).
    pub fn from_bytes(bytes: &[u8], path: &Path, folder: Option<&Path>) -> Result<Graph> {
        Self::from_message(facts::message(bytes, path)?, path, folder, &BTreeMap::new())
    }

    fn from_message(
        model: proto::ModelProto,
        path: &Path,
        folder: Option<&Path>,
        sizes: &BTreeMap<String, i64>,
    ) -> Result<Graph> {
        read(model, path, folder, sizes).map_err(|message| GraphError::File { path: path.into(), message })
    }
}

fn read(
    mut model: proto::ModelProto,
    path: &Path,
    folder: Option<&Path>,
    sizes: &BTreeMap<String, i64>,
) -> Step<Graph> {
    let Some(mut source) = model.graph.take() else {
        return Err(format!(
            "expected an ONNX model, found a message without a graph (IR version {})",
            model.ir_version
        ));
    };
    let other = model.opset_import.iter().any(|o| !o.domain.is_empty()).then_some(crate::OPSET);
    let opset = function::opset(&model.opset_import)
        .or(other)
        .ok_or("expected an opset of the default domain, found none\nhint: is this a whole ONNX model?")?;
    upgrade::check_opset(opset)?;
    if !source.sparse_initializer.is_empty() {
        return Err("sparse initializers are not supported\nhint: store them dense".into());
    }
    let stem = path.file_stem().and_then(|s| s.to_str()).unwrap_or("graph");
    let name = if source.name.is_empty() { stem } else { &source.name };
    let mut import = Import {
        graph: Graph::new(name),
        values: HashMap::new(),
        sequences: Sequences::default(),
        declared: HashMap::new(),
        external: External::new(folder),
        functions: &model.functions,
        depth: 0,
        place: String::new(),
        calls: 0,
        left: function::NODES,
        copies: FILE_LIMIT,
        weights_are_literals: source.initializer.is_empty() && model.producer_name != save::PRODUCER,
    };
    let initializers = std::mem::take(&mut source.initializer);
    let known: HashSet<&str> = initializers.iter().map(|t| t.name.as_str()).collect();
    let mut unknown: Vec<&String> = sizes.keys().collect();
    for port in source.input.iter().filter(|p| !known.contains(p.name.as_str())) {
        import.input(port, sizes, &mut unknown)?;
    }
    if let Some(name) = unknown.first() {
        return Err(format!("no input has a dimension `{name}`"));
    }
    for tensor in initializers {
        import.initializer(tensor)?;
    }
    for port in source.value_info.iter().chain(&source.output) {
        // Only a help where inference cannot tell; what is not a tensor says nothing.
        if let Ok(kind) = tensor_type(port) {
            import.declared.insert(port.name.clone(), kind);
        }
    }
    let nodes =
        function::flatten(std::mem::take(&mut source.node), &model.functions, opset, &mut import.calls)?;
    let given: HashSet<&str> = import.values.keys().map(String::as_str).collect();
    for flat in order::sort(nodes, &given)? {
        import.node(flat)?;
    }
    for port in &source.output {
        tensor_type(port)?;
        if import.sequences.contains(&port.name) {
            return Err(format!("output `{}` is a sequence, which is not supported", port.name));
        }
        let id = import.values.get(&port.name).copied().ok_or_else(|| {
            format!("output `{}` is made by no node, and is no input or initializer", port.name)
        })?;
        import.graph.output(&port.name, id).map_err(|e| e.to_string())?;
    }
    Ok(import.graph)
}

/// Type and shape of a port; an error names it.
fn tensor_type(port: &proto::ValueInfoProto) -> Step<(DType, Option<Shape>)> {
    use proto::{tensor_shape_proto::dimension::Value as Size, type_proto::Value as Kind};
    let name = &port.name;
    if name.is_empty() {
        return Err("expected a name for each input and output, found an empty one".into());
    }
    let kind = port.r#type.as_ref().and_then(|t| t.value.as_ref());
    let tensor = match kind {
        Some(Kind::TensorType(t)) => t,
        Some(Kind::SequenceType(_)) => return Err(format!("`{name}` is a sequence, which is not supported")),
        Some(Kind::MapType(_)) => return Err(format!("`{name}` is a map, which is not supported")),
        Some(Kind::OptionalType(_)) => {
            return Err(format!("`{name}` is an optional, which is not supported"));
        }
        Some(Kind::SparseTensorType(_)) => {
            return Err(format!("`{name}` is a sparse tensor, which is not supported"));
        }
        None => return Err(format!("expected a tensor type for `{name}`, found none")),
    };
    let dtype = DType::expect_onnx(tensor.elem_type).map_err(|e| format!("`{name}`: {e}"))?;
    if dtype == DType::Text {
        return Err(format!("`{name}`: tensors of text are not supported"));
    }
    let Some(shape) = &tensor.shape else { return Ok((dtype, None)) };
    if shape.dim.len() > infer::MAX_RANK {
        return Err(format!(
            "`{name}`: expected at most {} dimensions, found {}",
            infer::MAX_RANK,
            shape.dim.len()
        ));
    }
    let huge = |d: &&proto::tensor_shape_proto::Dimension| matches!(d.value, Some(Size::DimValue(n)) if n > SIZE_LIMIT);
    if let Some(Size::DimValue(n)) = shape.dim.iter().find(huge).and_then(|d| d.value.clone()) {
        return Err(format!("`{name}`: expected sizes of at most {SIZE_LIMIT}, found {n}"));
    }
    let dims = shape.dim.iter().enumerate().map(|(i, d)| {
        let size = match &d.value {
            Some(Size::DimValue(n)) => Some(Dim::Known(*n)),
            Some(Size::DimParam(text)) if !matches!(text.as_str(), "" | "?") => Some(Dim::parse(text)),
            _ => None,
        };
        // Some exporters write -1 or `?`, some nothing at all, for a size that is not known.
        size.filter(|d| d.known().is_none_or(|n| n >= 0))
            .unwrap_or_else(|| Dim::symbol(&format!("{name}_{i}")))
    });
    Ok((dtype, Some(dims.collect())))
}

struct Import<'a> {
    graph: Graph,
    /// Values by their names in the file; several names may mean one value.
    values: HashMap<String, ValueId>,
    /// Those that are sequences of tensors.
    sequences: Sequences,
    /// What the file says of values that inference may not know.
    declared: HashMap<String, (DType, Option<Shape>)>,
    external: External<'a>,
    functions: &'a [proto::FunctionProto],
    /// Branches and loops around the node that is being read.
    depth: usize,
    /// What the names of nodes and values begin with in those, as `the_loop/3/`.
    place: String,
    /// Calls of functions so far.
    calls: usize,
    /// Nodes that branches and loops may still expand to.
    left: usize,
    /// Bytes of the file that loops may still copy.
    copies: u64,
    /// Whether the file keeps its weights in `Constant` nodes, as PaddlePaddle's exporter does.
    weights_are_literals: bool,
}

impl Import<'_> {
    fn input(
        &mut self,
        port: &proto::ValueInfoProto,
        sizes: &BTreeMap<String, i64>,
        unknown: &mut Vec<&String>,
    ) -> Step<()> {
        let (dtype, mut shape) = tensor_type(port)?;
        for dim in shape.iter_mut().flatten() {
            let symbols = dim.symbols();
            unknown.retain(|name| !symbols.iter().any(|s| **s == name[..]));
            *dim = dim.substitute(sizes);
        }
        let id = self.graph.input(&port.name, dtype, shape).map_err(|e| e.to_string())?;
        self.values.insert(port.name.clone(), id);
        Ok(())
    }

    fn initializer(&mut self, mut source: proto::TensorProto) -> Step<()> {
        let name = std::mem::take(&mut source.name);
        if name.is_empty() {
            return Err("expected a name for each initializer, found an empty one".into());
        }
        let tensor = self.external.tensor(source).map_err(|e| format!("initializer `{name}`: {e}"))?;
        let id = self.graph.initializer(&name, Arc::new(tensor)).map_err(|e| e.to_string())?;
        self.values.insert(name, id);
        Ok(())
    }

    fn node(&mut self, flat: Flat) -> Step<()> {
        let label = flat.label();
        if let Some(read) = body::control(&flat.node) {
            let names = flat.node.output.clone();
            let given = read(self, flat).and_then(|given| self.give(&names, given));
            return given.map_err(|e| format!("{label}: {e}"));
        }
        let place = format!("{}{}", self.place, flat.place());
        let Flat { mut node, opset, .. } = flat;
        node.name = place;
        let attrs = self.attrs(std::mem::take(&mut node.attribute)).map_err(|e| format!("{label}: {e}"))?;
        let inputs: Vec<Option<ValueId>> = node.input.iter().map(|n| self.values.get(n).copied()).collect();
        let wanted: Vec<bool> = node.output.iter().map(|n| !n.is_empty()).collect();
        let domain = if node.domain == "ai.onnx" { "" } else { &node.domain };
        if domain.is_empty() && self.sequence(&node, &attrs, &inputs).map_err(|e| format!("{label}: {e}"))? {
            return Ok(());
        }
        let mark = self.graph.values.len();
        let ids = match (domain, node.op_type.as_str()) {
            ("", "Constant") => {
                let tensor = literal(&attrs).map_err(|e| format!("{label}: {e}"))?;
                let weight = self.weights_are_literals
                    && self.depth == 0
                    && tensor.dtype().is_float()
                    && tensor.len() > SMALL;
                match node.output.first().filter(|_| weight) {
                    Some(name) => {
                        vec![Some(self.graph.initializer(name, Arc::new(tensor)).map_err(|e| e.to_string())?)]
                    }
                    None => vec![Some(self.graph.constant(tensor))],
                }
            }
            ("", op) => upgrade::add(
                &mut self.graph,
                upgrade::Form { name: node.name, op: op.into(), inputs, attrs, wanted, opset },
            )
            .map_err(|e| e.to_string())?,
            (upgrade::TRAINING, op @ ("Adagrad" | "Adam" | "Momentum")) => upgrade::optimizer(
                &mut self.graph,
                upgrade::Form { name: node.name, op: op.into(), inputs, attrs, wanted, opset },
            )
            .map_err(|e| e.to_string())?,
            (domain, op) => self
                .graph
                .add_node_named(&node.name, &format!("{domain}::{op}"), &inputs, attrs, &wanted)
                .map_err(|e| e.to_string())?,
        };
        for (name, id) in node.output.iter().zip(ids) {
            let Some(id) = id.filter(|_| !name.is_empty()) else { continue };
            self.values.insert(name.clone(), id);
            if !matches!(self.graph.value(id).origin, Origin::Node(_)) {
                continue;
            }
            let new = id.0 as usize >= mark;
            let value = &mut self.graph.values[id.0 as usize];
            if let (None, Some((dtype, shape))) = (&value.shape, self.declared.get(name)) {
                value.shape = shape.clone();
                // Of operators of other domains not even the type is known.
                if new && !domain.is_empty() {
                    value.dtype = *dtype;
                }
            }
            if new {
                self.graph.take_name(id, &format!("{}{name}", self.place)).map_err(|e| e.to_string())?;
            }
        }
        Ok(())
    }

    /// Reads a node about sequences; false if it is another.
    fn sequence(&mut self, node: &proto::NodeProto, attrs: &Attrs, inputs: &[Option<ValueId>]) -> Step<bool> {
        let call = Call { op: &node.op_type, inputs: &node.input, attrs, tensors: inputs };
        let mark = self.graph.values.len();
        self.graph.scope = format!("{}/", node.name);
        let given = self.sequences.add(&mut self.graph, &call);
        self.graph.scope.clear();
        let Some(given) = given? else { return Ok(false) };
        let Some(name) = node.output.first().filter(|name| !name.is_empty()) else { return Ok(true) };
        match given {
            Given::Sequence(elements) => self.sequences.insert(name, elements)?,
            Given::Tensor(id) => {
                self.values.insert(name.clone(), id);
                if id.0 as usize >= mark && matches!(self.graph.value(id).origin, Origin::Node(_)) {
                    self.graph.take_name(id, &format!("{}{name}", self.place)).map_err(|e| e.to_string())?;
                }
            }
        }
        Ok(true)
    }

    fn attrs(&mut self, list: Vec<proto::AttributeProto>) -> Step<Attrs> {
        let mut attrs = Attrs::new();
        for mut a in list {
            let name = std::mem::take(&mut a.name);
            let value = self.attr(a).map_err(|e| format!("attribute `{name}`: {e}"))?;
            if attrs.insert(name.clone(), value).is_some() {
                return Err(format!("two attributes are called `{name}`"));
            }
        }
        Ok(attrs)
    }

    fn attr(&mut self, a: proto::AttributeProto) -> Step<Attr> {
        use proto::attribute_proto::AttributeType as T;
        if !a.ref_attr_name.is_empty() {
            return Err(format!("it stands for `{}` of a function, but is in none", a.ref_attr_name));
        }
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).map_err(|_| "expected text in UTF-8".to_owned());
        let kind =
            T::try_from(a.r#type).map_err(|_| format!("expected a known type, found number {}", a.r#type))?;
        Ok(match kind {
            T::Float => Attr::Float(a.f.unwrap_or_default()),
            T::Int => Attr::Int(a.i.unwrap_or_default()),
            T::String => Attr::Text(text(a.s.unwrap_or_default())?),
            T::Floats => Attr::Floats(a.floats),
            T::Ints => Attr::Ints(a.ints),
            T::Strings => Attr::Texts(a.strings.into_iter().map(text).collect::<Step<_>>()?),
            T::Tensor => Attr::Tensor(self.external.tensor(a.t.ok_or("expected a tensor, found none")?)?),
            T::Graph | T::Graphs => {
                return Err("subgraphs are not supported here\nhint: export the model without them".into());
            }
            T::Undefined => return Err("expected a type, found none".into()),
            other => return Err(format!("attributes of type {} are not supported", other.as_str_name())),
        })
    }
}

#[cfg(test)]
pub(crate) mod tests;
