//! Operators on CUDA: their kernels are compiled when shapes are known, and launched on the provider's stream.

use super::{
    NAME,
    program::Program,
    source::{self, Sizes},
    sum::{self, Plan},
    view::{Layout, broadcast},
};
use crate::cuda::kernels::{Kernel as Compiled, Kernels, kernels};
use ort::{
    operator::{ComputeContext, Kernel, KernelContext, Operator, OperatorInput, OperatorOutput},
    value::{DynTensorValueType, TensorElementType::Float32},
};
use std::{collections::HashMap, ffi::c_void, ptr};

/// The provider's name.
const PROVIDER: &str = "CUDAExecutionProvider";

/// Runs a program as one kernel.
pub(super) struct Elementwise;

/// Sums over dimensions in a fixed order.
pub(super) struct Sum;

impl Operator for Elementwise {
    type Kernel<'attr> = Programs;

    fn name(&self) -> &str {
        NAME
    }

    fn execution_provider_type(&self) -> Option<&str> {
        Some(PROVIDER)
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        [OperatorInput::variadic(1).homogenous(Float32)]
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::variadic(1).homogenous(Float32)]
    }

    fn create_kernel<'attr>(&self, context: &KernelContext<'attr>) -> ort::Result<Self::Kernel<'attr>> {
        let program = Program::of_kernel(context, context.inputs()?.len())?;
        let known = known_shapes(context)?;
        let programs = Programs { program, fixed: known.is_some(), compiled: HashMap::new() };
        if let (Some(kernels), Some(shapes)) = (kernels(), known)
            && let Some((shape, layouts)) = together(&shapes)
        {
            kernels.prepare(&programs.source(&layouts, size(&shape)).0);
        }
        Ok(programs)
    }
}

/// A program, and its kernel and sizes for each combination of shapes so far.
pub(super) struct Programs {
    program: Program,
    /// Whether the shapes are always the same.
    fixed: bool,
    compiled: HashMap<Vec<Vec<i64>>, (Compiled, Vec<u64>)>,
}

impl Programs {
    /// The source for inputs that lie as `layouts` says in `total` numbers, and its sizes.
    fn source(&self, layouts: &[Layout], total: usize) -> (String, Vec<u64>) {
        let mut sizes = Sizes::new(self.fixed);
        let text = source::elementwise(&self.program, layouts, total, &mut sizes);
        (text, sizes.values)
    }
}

impl Kernel for Programs {
    fn compute(&mut self, context: &ComputeContext) -> ort::Result<()> {
        let (kernels, stream) = device(context)?;
        let (mut shapes, mut addresses) = (vec![], vec![]);
        for i in 0..context.num_inputs()? {
            let (shape, address) = input(context, i)?;
            shapes.push(shape);
            addresses.push(address);
        }
        let misfit = || ort::Error::new(format!("{shapes:?} do not fit"));
        let (shape, layouts) = together(&shapes).ok_or_else(misfit)?;
        for i in 0..self.program.outputs.len() {
            addresses.push(output(context, i, &shape)?);
        }
        let total = size(&shape);
        if total == 0 {
            return Ok(());
        }
        if !self.compiled.contains_key(&shapes) {
            let (text, sizes) = self.source(&layouts, total);
            let kernel = kernels.kernel(&text).map_err(ort::Error::new)?;
            self.compiled.insert(shapes.clone(), (kernel, sizes));
        }
        let Some((kernel, sizes)) = self.compiled.get(&shapes) else { return Ok(()) };
        // SAFETY: the kernel was made for these inputs and outputs, which ONNX Runtime keeps until the stream is done
        // with them.
        unsafe { kernels.launch(*kernel, source::blocks(total), stream, &mut addresses, sizes) }
            .map_err(ort::Error::new)
    }
}

impl Operator for Sum {
    type Kernel<'attr> = Sums;

    fn name(&self) -> &str {
        sum::NAME
    }

    fn execution_provider_type(&self) -> Option<&str> {
        Some(PROVIDER)
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        [OperatorInput::required(Float32)]
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        // The second is room for the parts of sums that several blocks share.
        [OperatorOutput::required(Float32), OperatorOutput::required(Float32)]
    }

    fn create_kernel<'attr>(&self, context: &KernelContext<'attr>) -> ort::Result<Self::Kernel<'attr>> {
        let flag = |name: &str| context.get::<i64>(name).is_some_and(|v| v != 0);
        let axes = context.get::<Vec<i64>>("axes").unwrap_or_default();
        let (keep, mean, known) = (flag("keep"), flag("mean"), known_shapes(context)?);
        let sums = Sums { axes, keep, mean, fixed: known.is_some(), compiled: HashMap::new() };
        if let (Some(kernels), Some([dims])) = (kernels(), known.as_deref()) {
            sums.passes(dims).iter().for_each(|pass| kernels.prepare(&pass.source));
        }
        Ok(sums)
    }
}

/// The kernels of a sum for each shape so far.
pub(super) struct Sums {
    axes: Vec<i64>,
    keep: bool,
    mean: bool,
    /// Whether the shape is always the same.
    fixed: bool,
    compiled: HashMap<Vec<i64>, Vec<(Pass, Compiled)>>,
}

/// A kernel over a tensor, or over the parts of sums that another has made.
struct Pass {
    source: String,
    sizes: Vec<u64>,
    blocks: usize,
    /// Numbers that it writes.
    makes: usize,
}

impl Sums {
    /// One pass for a shape, or two.
    fn passes(&self, dims: &[i64]) -> Vec<Pass> {
        let plan = Plan::new(dims, &self.axes);
        let divisor = self.mean.then_some(plan.terms);
        let pass = |plan: &Plan| {
            let mut sizes = Sizes::new(self.fixed);
            let source = plan.source(divisor, &mut sizes);
            Pass { source, sizes: sizes.values, blocks: plan.blocks(), makes: plan.parts * plan.results }
        };
        let second = (plan.parts > 1).then(|| pass(&plan.second()));
        [pass(&plan)].into_iter().chain(second).collect()
    }
}

impl Kernel for Sums {
    fn compute(&mut self, context: &ComputeContext) -> ort::Result<()> {
        let (kernels, stream) = device(context)?;
        let (dims, from) = input(context, 0)?;
        let shape = sum::shape(&dims, &self.axes, self.keep);
        let result = output(context, 0, &shape)?;
        if size(&shape) == 0 {
            output(context, 1, &[0])?;
            return Ok(());
        }
        if !self.compiled.contains_key(&dims) {
            let load = |pass: Pass| {
                let kernel = kernels.kernel(&pass.source).map_err(ort::Error::new)?;
                Ok((pass, kernel))
            };
            let passes = self.passes(&dims).into_iter().map(load).collect::<ort::Result<_>>()?;
            self.compiled.insert(dims.clone(), passes);
        }
        let passes = self.compiled.get(&dims).map_or(&[][..], Vec::as_slice);
        let parts = if let [(first, _), _] = passes { first.makes } else { 0 };
        let (room, mut from) = (output(context, 1, &[parts as i64])?, from);
        for (i, (pass, kernel)) in passes.iter().enumerate() {
            let target = if i + 1 < passes.len() { room } else { result };
            // SAFETY: the kernels were made for tensors of these sizes, which ONNX Runtime keeps until the stream is
            // done with them.
            unsafe { kernels.launch(*kernel, pass.blocks, stream, &mut [from, target], &pass.sizes) }
                .map_err(ort::Error::new)?;
            from = target;
        }
        Ok(())
    }
}

fn size(shape: &[i64]) -> usize {
    usize::try_from(shape.iter().product::<i64>()).unwrap_or(0)
}

/// The shapes of an operator's inputs, if they are known before it runs.
fn known_shapes(context: &KernelContext) -> ort::Result<Option<Vec<Vec<i64>>>> {
    let shapes = context.inputs()?.into_iter().map(|input| {
        let shape = input.dtype().tensor_shape()?.to_vec();
        shape.iter().all(|d| *d > 0).then_some(shape)
    });
    Ok(shapes.collect())
}

/// What shapes broadcast to, and how each lies in it.
fn together(shapes: &[Vec<i64>]) -> Option<(Vec<i64>, Vec<Layout>)> {
    let lent: Vec<&[i64]> = shapes.iter().map(Vec::as_slice).collect();
    let shape = broadcast(&lent)?;
    let layouts = lent.iter().map(|own| Layout::of(own, &shape)).collect::<Option<_>>()?;
    Some((shape, layouts))
}

/// What launches kernels, and the stream to launch them on.
fn device(context: &ComputeContext) -> ort::Result<(&'static Kernels, *mut c_void)> {
    let kernels = kernels().ok_or_else(|| ort::Error::new("NVRTC or CUDA's driver is not there"))?;
    Ok((kernels, context.stream()?.map_or(ptr::null_mut(), |s| s.as_ptr())))
}

/// Shape and address of an input.
fn input(context: &ComputeContext, i: usize) -> ort::Result<(Vec<i64>, *mut c_void)> {
    let value = context.input(i)?.ok_or_else(|| ort::Error::new(format!("input {i} is missing")))?;
    let value = value.downcast::<DynTensorValueType>()?;
    Ok((value.shape().to_vec(), value.data_ptr().cast_mut()))
}

/// The address of an output of a shape.
fn output(context: &ComputeContext, i: usize, shape: &[i64]) -> ort::Result<*mut c_void> {
    let value = context.output(i, shape.to_vec())?;
    let value = value.ok_or_else(|| ort::Error::new(format!("output {i} is missing")))?;
    Ok(value.downcast::<DynTensorValueType>()?.data_ptr().cast_mut())
}
