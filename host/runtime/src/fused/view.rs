//! Tensors that broadcast.

/// How the numbers of a tensor lie in a larger shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// One number for all.
    Scalar,
    /// A number for each.
    Whole,
    /// Each of `len` numbers `inner` times in a row, and all of that again and again.
    Repeated { len: usize, inner: usize },
}

impl Layout {
    /// That of a tensor of the shape `own` in `shape`; `None` where what varies is not in one piece.
    pub fn of(own: &[i64], shape: &[i64]) -> Option<Self> {
        let len: i64 = own.iter().product();
        if len == 1 {
            return Some(Self::Scalar);
        }
        if len == shape.iter().product() {
            return Some(Self::Whole);
        }
        let aligned = &shape[shape.len().checked_sub(own.len())?..];
        let first = own.iter().position(|d| *d != 1)?;
        let last = own.iter().rposition(|d| *d != 1)?;
        let inner: i64 = aligned[last + 1..].iter().product();
        let whole = own[first..=last] == aligned[first..=last];
        whole.then_some(Self::Repeated {
            len: usize::try_from(len).ok()?,
            inner: usize::try_from(inner).ok()?,
        })
    }
}

/// How a tensor gives the numbers of a larger shape.
#[derive(Clone, Copy, Debug)]
pub(super) enum View<'a> {
    /// One number for all.
    Scalar(f32),
    /// A number for each.
    Whole(&'a [f32]),
    /// A number for each, in pieces.
    Joined(&'a Joined<'a>),
    /// Each number `inner` times in a row, and all of that again and again.
    Repeated { data: &'a [f32], inner: usize },
}

/// Vectors behind each other, each with the place where it begins.
#[derive(Debug)]
pub(super) struct Joined<'a>(Vec<(usize, &'a [f32])>);

impl<'a> Joined<'a> {
    /// These vectors as one, and its length.
    pub fn new(pieces: impl Iterator<Item = &'a [f32]>) -> (Self, usize) {
        let mut end = 0;
        let place = |piece: &'a [f32]| {
            end += piece.len();
            (end - piece.len(), piece)
        };
        let pieces = pieces.filter(|piece| !piece.is_empty()).map(place).collect();
        (Self(pieces), end)
    }

    /// What is left at a place of the piece that holds it.
    pub fn from(&self, place: usize) -> &'a [f32] {
        let behind = self.0.partition_point(|(start, _)| *start <= place);
        let piece = behind.checked_sub(1).and_then(|i| self.0.get(i));
        piece.and_then(|(start, data)| data.get(place - start..)).unwrap_or_default()
    }
}

impl<'a> View<'a> {
    /// The view of a tensor of the shape `own` as `shape`; `None` where what varies is not in one piece.
    pub fn of(own: &[i64], shape: &[i64], data: &'a [f32]) -> Option<Self> {
        Some(match Layout::of(own, shape)? {
            Layout::Scalar => Self::Scalar(*data.first()?),
            Layout::Whole => Self::Whole(data),
            Layout::Repeated { inner, .. } => Self::Repeated { data, inner },
        })
    }

    /// Writes the numbers from `start` on.
    pub fn copy(&self, start: usize, to: &mut [f32]) {
        match *self {
            Self::Scalar(value) => to.fill(value),
            Self::Whole(data) => to.copy_from_slice(&data[start..start + to.len()]),
            Self::Joined(joined) => {
                let mut done = 0;
                while done < to.len() {
                    let piece = joined.from(start + done);
                    let n = piece.len().min(to.len() - done);
                    if n == 0 {
                        return;
                    }
                    to[done..done + n].copy_from_slice(&piece[..n]);
                    done += n;
                }
            }
            Self::Repeated { data, inner } => {
                let mut done = 0;
                while done < to.len() {
                    let at = start + done;
                    let rest = to.len() - done;
                    if inner == 1 {
                        let from = at % data.len();
                        let n = rest.min(data.len() - from);
                        to[done..done + n].copy_from_slice(&data[from..from + n]);
                        done += n;
                    } else {
                        let n = rest.min(inner - at % inner);
                        to[done..done + n].fill(data[at / inner % data.len()]);
                        done += n;
                    }
                }
            }
        }
    }
}

/// The shape to which shapes broadcast, by ONNX's rules.
pub(super) fn broadcast(shapes: &[&[i64]]) -> Option<Vec<i64>> {
    let rank = shapes.iter().map(|s| s.len()).max()?;
    let mut result = vec![1; rank];
    for shape in shapes {
        for (all, own) in result[rank - shape.len()..].iter_mut().zip(*shape) {
            match (*all, *own) {
                (_, 1) => {}
                (1, own) => *all = own,
                (all, own) if all == own => {}
                _ => return None,
            }
        }
    }
    Some(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_repeat_as_onnx_broadcasts_them() {
        let data = [1.0, 2.0, 3.0];
        let all = |own: &[i64], shape: &[i64]| {
            let mut to = vec![0.0; shape.iter().product::<i64>() as usize];
            let view = View::of(own, shape, &data).unwrap();
            // In pieces that do not fit the rows.
            let mut start = 0;
            for piece in to.chunks_mut(5) {
                view.copy(start, piece);
                start += piece.len();
            }
            to
        };
        assert_eq!(all(&[3], &[2, 3]), [1.0, 2.0, 3.0, 1.0, 2.0, 3.0]);
        assert_eq!(all(&[3, 1], &[3, 2]), [1.0, 1.0, 2.0, 2.0, 3.0, 3.0]);
        assert_eq!(all(&[1, 3, 1], &[2, 3, 2]), [1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0]);
        assert_eq!(all(&[3, 1], &[1, 3, 1]), data);
        assert!(View::of(&[2, 1, 2], &[2, 3, 2], &[0.0; 4]).is_none());
        let (joined, length) = Joined::new([&data[..1], &[], &data[1..]].into_iter());
        let mut to = vec![0.0; length];
        for (i, piece) in to.chunks_mut(2).enumerate() {
            View::Joined(&joined).copy(2 * i, piece);
        }
        assert_eq!(to, data);
        assert_eq!(broadcast(&[&[2, 1], &[3], &[]]), Some(vec![2, 3]));
        assert_eq!(broadcast(&[&[2], &[3]]), None);
        assert_eq!(broadcast(&[&[1], &[0]]), Some(vec![0]));
    }
}
