//! Pictures as bytes, and as batches of numbers.

use std::sync::Arc;

use ndarray::Array4;

use crate::DataError;
use crate::cache::PixelFile;

/// Square RGB pictures of one size, three bytes a pixel, in memory or in a cache file.
#[derive(Debug, Clone)]
pub struct ImageStore {
    size: usize,
    source: Source,
}

#[derive(Debug, Clone)]
enum Source {
    Memory(Arc<[u8]>),
    /// Picture `i` is row `rows[i]` of the file.
    File {
        file: Arc<PixelFile>,
        rows: Arc<[u32]>,
    },
}

impl ImageStore {
    /// Takes pictures of `size` by `size` that lie one after the other: channels, rows, columns.
    ///
    /// Bytes beyond the last whole picture are not used.
    pub fn from_bytes(size: usize, bytes: Vec<u8>) -> ImageStore {
        ImageStore { size, source: Source::Memory(bytes.into()) }
    }

    pub(crate) fn from_file(size: usize, file: Arc<PixelFile>, rows: Vec<u32>) -> ImageStore {
        ImageStore { size, source: Source::File { file, rows: rows.into() } }
    }

    /// Width and height in pixels.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Number of pictures.
    pub fn len(&self) -> usize {
        match &self.source {
            Source::Memory(bytes) => bytes.len().checked_div(self.picture_bytes()).unwrap_or(0),
            Source::File { rows, .. } => rows.len(),
        }
    }

    /// Whether there is no picture.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn picture_bytes(&self) -> usize {
        3 * self.size * self.size
    }

    /// The bytes of one picture: channels, rows, columns.
    pub fn bytes(&self, index: usize) -> Result<Vec<u8>, DataError> {
        let error = DataError::OutOfRange { what: "picture", found: index, limit: self.len() };
        if index >= self.len() {
            return Err(error);
        }
        let length = self.picture_bytes();
        match &self.source {
            Source::Memory(bytes) => {
                bytes.get(index * length..(index + 1) * length).map(<[u8]>::to_vec).ok_or(error)
            }
            Source::File { file, rows } => {
                let mut picture = vec![0; length];
                file.read(*rows.get(index).ok_or(error)? as usize, &mut picture)?;
                Ok(picture)
            }
        }
    }

    /// Pictures as `[B, 3, H, W]` in [-1, 1]: `byte / 127.5 - 1`.
    pub fn batch(&self, indices: &[usize]) -> Result<Array4<f32>, DataError> {
        self.shifted(indices, (0, 0))
    }

    /// As [`ImageStore::batch`], moved by `offset` pixels (right, down); the edge fills what opens.
    pub fn shifted(&self, indices: &[usize], offset: (i32, i32)) -> Result<Array4<f32>, DataError> {
        let size = self.size;
        let columns = source_positions(size, offset.0);
        let rows = source_positions(size, offset.1);
        let mut values = Vec::with_capacity(indices.len() * self.picture_bytes());
        for index in indices {
            let picture = self.bytes(*index)?;
            if offset == (0, 0) {
                values.extend(picture.iter().map(|byte| to_f32(*byte)));
                continue;
            }
            for plane in picture.chunks_exact(size * size) {
                for row in &rows {
                    let line = &plane[row * size..(row + 1) * size];
                    values.extend(columns.iter().map(|column| to_f32(line[*column])));
                }
            }
        }
        let shape = (indices.len(), 3, size, size);
        Ok(Array4::from_shape_vec(shape, values)
            .unwrap_or_else(|_| unreachable!("every picture has 3*H*W bytes")))
    }
}

fn to_f32(byte: u8) -> f32 {
    f32::from(byte) / 127.5 - 1.0
}

/// For each target position, the position it comes from when everything moves by `offset`.
fn source_positions(size: usize, offset: i32) -> Vec<usize> {
    let last = size.saturating_sub(1) as i64;
    (0..size as i64).map(|at| (at - i64::from(offset)).clamp(0, last) as usize).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> ImageStore {
        ImageStore::from_bytes(2, (0..24).map(|i| i * 10).collect())
    }

    #[test]
    fn bytes_span_minus_one_to_one() {
        let batch = ImageStore::from_bytes(1, vec![0, 255, 51]).batch(&[0, 0]).unwrap();
        assert_eq!(batch.shape(), [2, 3, 1, 1]);
        assert_eq!(batch.as_slice().unwrap()[..3], [-1.0, 1.0, 51.0 / 127.5 - 1.0]);
    }

    #[test]
    fn a_shift_repeats_the_edge() {
        let bytes = |offset| -> Vec<i32> {
            let batch = store().shifted(&[1], offset).unwrap();
            batch.iter().take(4).map(|v| ((v + 1.0) * 127.5).round() as i32).collect()
        };
        assert_eq!(bytes((0, 0)), [120, 130, 140, 150]);
        assert_eq!(bytes((1, 0)), [120, 120, 140, 140], "right");
        assert_eq!(bytes((0, -1)), [140, 150, 140, 150], "up");
        assert_eq!(bytes((9, 9)), [120, 120, 120, 120], "further than the picture is wide");
    }

    #[test]
    fn an_index_out_of_range_is_an_error() {
        assert!(matches!(store().batch(&[2]), Err(DataError::OutOfRange { found: 2, limit: 2, .. })));
    }
}
