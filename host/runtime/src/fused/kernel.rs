//! The operator that runs a program on CPU tensors.

use super::{
    NAME,
    arithmetic::{Argument, compute},
    program::{Program, Source},
    view::{Joined, View, broadcast},
};
use ort::{
    operator::{ComputeContext, Kernel, KernelContext, Operator, OperatorInput, OperatorOutput},
    value::TensorElementType::Float32,
};
use std::{cell::RefCell, ops::Range, slice};

/// Numbers that go through the whole program before the next ones: a few such pieces fill the first cache.
const CHUNK: usize = 1024;

/// Numbers that a thread takes at once.
const SHARE: usize = 16 * CHUNK;

/// Numbers in a line of the caches.
#[cfg(target_arch = "x86_64")]
const LINE: usize = 16;

/// The operator.
pub(super) struct Elementwise;

impl Operator for Elementwise {
    type Kernel<'attr> = Runner;

    fn name(&self) -> &str {
        NAME
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        [OperatorInput::variadic(1).homogenous(Float32)]
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::variadic(1).homogenous(Float32)]
    }

    fn create_kernel<'attr>(&self, context: &KernelContext<'attr>) -> ort::Result<Self::Kernel<'attr>> {
        let pieces = context.get::<Vec<i64>>("pieces").unwrap_or_default();
        let pieces: Vec<usize> = pieces.iter().filter_map(|n| usize::try_from(*n).ok()).collect();
        if pieces.iter().sum::<usize>() != context.inputs()?.len() {
            return Err(ort::Error::new("expected a number of pieces for each input of the program"));
        }
        Ok(Runner::new(Program::of_kernel(context, pieces.len())?, pieces))
    }
}

/// Where a result of an instruction goes.
#[derive(Clone, Copy)]
enum Place {
    Scratch(usize),
    Output(usize),
}

/// A program with a place for each result.
pub(super) struct Runner {
    program: Program,
    /// For each input of the program how many of the operator's it is, joined.
    pieces: Vec<usize>,
    places: Vec<Place>,
    /// Pieces of scratch memory that the results share.
    scratch: usize,
}

impl Runner {
    fn new(program: Program, pieces: Vec<usize>) -> Self {
        let n = program.instructions.len();
        let mut last = vec![0; n];
        for (k, instruction) in program.instructions.iter().enumerate() {
            for operand in instruction.operands {
                if let Source::Result(r) = operand {
                    last[r] = k;
                }
            }
        }
        let (mut places, mut free, mut scratch) = (vec![], vec![], 0);
        for (k, instruction) in program.instructions.iter().enumerate() {
            places.push(match program.outputs.iter().position(|o| *o == k) {
                Some(output) => Place::Output(output),
                None => Place::Scratch(free.pop().unwrap_or_else(|| {
                    scratch += 1;
                    scratch - 1
                })),
            });
            // What nobody reads from here on makes room for results after this one.
            let [a, b] = instruction.operands;
            for operand in [Some(a), (a != b).then_some(b)].into_iter().flatten() {
                if let Source::Result(r) = operand
                    && let (true, Place::Scratch(slot)) = (last[r] == k, places[r])
                {
                    free.push(slot);
                }
            }
        }
        Self { program, pieces, places, scratch }
    }
}

/// The memory of an output, of which each thread writes a part of its own.
#[derive(Clone, Copy)]
pub(crate) struct Shared(pub *mut f32);

impl Shared {
    /// A place in it.
    pub fn at(self, place: usize) -> *mut f32 {
        self.0.wrapping_add(place)
    }
}

// SAFETY: threads write disjoint parts, and the memory outlives them.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

/// An input of the program.
struct Operand<'a> {
    shape: Vec<i64>,
    data: Data<'a>,
}

enum Data<'a> {
    Whole(&'a [f32]),
    Joined(Joined<'a>),
}

impl Operand<'_> {
    /// Its view as `shape`, where it has one.
    fn view(&self, shape: &[i64]) -> Option<View<'_>> {
        match &self.data {
            Data::Whole(data) => View::of(&self.shape, shape, data),
            Data::Joined(joined) => (self.shape == shape).then_some(View::Joined(joined)),
        }
    }
}

impl Kernel for Runner {
    fn compute(&mut self, context: &ComputeContext) -> ort::Result<()> {
        let values = (0..context.num_inputs()?)
            .map(|i| context.input(i)?.ok_or_else(|| ort::Error::new(format!("input {i} is missing"))))
            .collect::<ort::Result<Vec<_>>>()?;
        let tensors =
            values.iter().map(|v| v.try_extract_tensor::<f32>()).collect::<ort::Result<Vec<_>>>()?;
        let (mut rest, mut operands) = (&tensors[..], vec![]);
        for count in &self.pieces {
            let (own, others) = rest.split_at_checked(*count).unwrap_or((rest, &[]));
            rest = others;
            operands.push(match own {
                [(shape, data)] => Operand { shape: shape.to_vec(), data: Data::Whole(data) },
                pieces => {
                    let (joined, length) = Joined::new(pieces.iter().map(|(_, data)| *data));
                    Operand { shape: vec![length as i64], data: Data::Joined(joined) }
                }
            });
        }
        let shapes: Vec<&[i64]> = operands.iter().map(|o| &o.shape[..]).collect();
        let shape = broadcast(&shapes).ok_or_else(|| ort::Error::new(format!("{shapes:?} do not fit")))?;
        let views = operands.iter().map(|o| o.view(&shape)).collect::<Option<Vec<_>>>();
        let views = views.ok_or_else(|| ort::Error::new(format!("{shapes:?} vary in parts of {shape:?}")))?;
        let total = usize::try_from(shape.iter().product::<i64>()).unwrap_or(0);
        let mut targets = vec![];
        for i in 0..self.program.outputs.len() {
            let mut value = context
                .output(i, shape.clone())?
                .ok_or_else(|| ort::Error::new(format!("output {i} is missing")))?;
            let (_, data) = value.try_extract_tensor_mut::<f32>()?;
            if data.len() != total {
                return Err(ort::Error::new(format!("expected {total} numbers, found {}", data.len())));
            }
            targets.push(Shared(data.as_mut_ptr()));
        }
        let (runner, views, targets) = (&*self, &views[..], &targets[..]);
        let share = |i: usize| i * SHARE..((i + 1) * SHARE).min(total);
        match total.div_ceil(SHARE) {
            0 => Ok(()),
            // SAFETY: nobody else writes the outputs, whose length is `total`.
            1 => unsafe {
                runner.run(views, targets, share(0));
                Ok(())
            },
            // SAFETY: shares are disjoint, and `par_for` returns when all are done.
            n => context.par_for(n, 0, move |i| unsafe { runner.run(views, targets, share(i)) }),
        }
    }
}

thread_local! {
    static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(vec![]) };
}

impl Runner {
    /// Runs the program on a range of the result.
    ///
    /// # Safety
    /// The range lies in all outputs, and nobody else reads or writes it there meanwhile.
    unsafe fn run(&self, views: &[View], targets: &[Shared], range: Range<usize>) {
        SCRATCH.with_borrow_mut(|scratch| {
            let copied = |v: &&View| matches!(v, View::Repeated { .. } | View::Joined(_));
            let copied = views.iter().filter(copied).count();
            scratch.resize((self.scratch + copied) * CHUNK, 0.0);
            let (own, copies) = scratch.split_at_mut(self.scratch * CHUNK);
            let scratch = Shared(own.as_mut_ptr());
            for start in range.clone().step_by(CHUNK) {
                let chunk = start..(start + CHUNK).min(range.end);
                let mut copies = copies.chunks_exact_mut(CHUNK);
                let arguments: Vec<Argument> = views
                    .iter()
                    .map(|view| match view {
                        View::Scalar(value) => Argument::Scalar(*value),
                        View::Whole(data) => Argument::Each(&data[chunk.clone()]),
                        View::Joined(joined) if joined.from(chunk.start).len() >= chunk.len() => {
                            Argument::Each(&joined.from(chunk.start)[..chunk.len()])
                        }
                        View::Repeated { .. } | View::Joined(_) => {
                            let copy = copies.next().unwrap_or_default();
                            let copy = &mut copy[..chunk.len()];
                            view.copy(chunk.start, copy);
                            Argument::Each(copy)
                        }
                    })
                    .collect();
                let steps = self.program.instructions.len();
                for (k, instruction) in self.program.instructions.iter().enumerate() {
                    // A part of the next piece: memory fetches only so much at once.
                    let (size, next) = (chunk.len(), chunk.end);
                    fetch(views, targets, next + size * k / steps..next + size * (k + 1) / steps);
                    let pointer = |place: Place| match place {
                        Place::Scratch(slot) => scratch.0.wrapping_add(slot * CHUNK),
                        Place::Output(i) => targets[i].0.wrapping_add(chunk.start),
                    };
                    let operand = |source: Source| match source {
                        Source::Input(i) => arguments[i],
                        Source::Result(r) => {
                            let place = pointer(self.places[r]);
                            // SAFETY: an earlier instruction wrote that many numbers there, and its place
                            // is given to no other one before the last that reads it.
                            Argument::Each(unsafe { slice::from_raw_parts(place, chunk.len()) })
                        }
                    };
                    let [a, b] = instruction.operands.map(operand);
                    // SAFETY: the place lies in scratch memory or in the caller's range; its results are
                    // read later or were read before, never by this instruction.
                    let result = unsafe { slice::from_raw_parts_mut(pointer(self.places[k]), chunk.len()) };
                    compute(instruction, a, b, result);
                }
            }
        });
    }
}

/// Asks for a range of all numbers that are read or written. The processor does so by itself only within pages of
/// memory, which are as large as a piece: an update by Adam takes twice as long without.
fn fetch(views: &[View], targets: &[Shared], range: Range<usize>) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let read = views.iter().filter_map(|view| match view {
            View::Whole(data) => Some(data.as_ptr()),
            // Where one piece ends and the next begins, this asks for numbers in between, to no harm.
            View::Joined(joined) => Some(joined.from(range.start).as_ptr().wrapping_sub(range.start)),
            _ => None,
        });
        for data in read.chain(targets.iter().map(|target| target.0.cast_const())) {
            for i in range.clone().step_by(LINE) {
                // SAFETY: this reads nothing, and the address may lie anywhere.
                unsafe { _mm_prefetch::<_MM_HINT_T0>(data.wrapping_add(i).cast()) };
            }
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (views, targets, range);
}
