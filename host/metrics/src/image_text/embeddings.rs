//! Embeddings of pictures or captions.

use crate::{MetricsError, vectors};

/// Embeddings, one in a row, of any length but zero: only their directions count.
#[derive(Clone, Debug)]
pub struct Embeddings<'a> {
    what: String,
    values: &'a [f32],
    width: usize,
    norms: Vec<f64>,
}

impl<'a> Embeddings<'a> {
    /// Takes `values[rows, width]`, row-major; `what` is what errors call them, as `captions`.
    ///
    /// # Errors
    /// When the values are no whole number of rows, when one is NaN or infinite, or when a row is all
    /// zeros, as it has no direction. The row is named.
    pub fn new(what: &str, values: &'a [f32], width: usize) -> Result<Self, MetricsError> {
        let mut norms = Vec::with_capacity(vectors::count_rows(what, values, width)?);
        for (i, row) in values.chunks_exact(width).enumerate() {
            let norm = dot(row, row).sqrt();
            if norm == 0.0 {
                let place = format!("{what}, row {i}");
                return Err(MetricsError::vectors(place, "an embedding with a direction", "zeros only"));
            }
            norms.push(norm);
        }
        Ok(Self { what: what.to_owned(), values, width, norms })
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.norms.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.norms.is_empty()
    }

    /// Numbers in a row.
    pub fn width(&self) -> usize {
        self.width
    }

    fn row(&self, i: usize) -> &[f32] {
        &self.values[i * self.width..(i + 1) * self.width]
    }

    /// Cosine of the angle between row `i` of these and row `j` of others, -1 to 1.
    ///
    /// # Panics
    /// When a row or the others' width is out of range; the metrics check both first.
    pub(crate) fn cosine(&self, i: usize, others: &Embeddings, j: usize) -> f64 {
        (dot(self.row(i), others.row(j)) / (self.norms[i] * others.norms[j])).clamp(-1.0, 1.0)
    }

    /// All rows scaled to length 1, row-major.
    pub(crate) fn normalised(&self) -> Vec<f32> {
        let rows = self.values.chunks_exact(self.width).zip(&self.norms);
        rows.flat_map(|(row, norm)| row.iter().map(move |v| (f64::from(*v) / norm) as f32)).collect()
    }

    /// What these must have in common with others to be compared with them.
    pub(crate) fn check_width(&self, others: &Embeddings) -> Result<(), MetricsError> {
        vectors::same_width(&self.what, others.width, self.width)
    }

    /// As many rows as others have, where they come in pairs.
    pub(crate) fn check_pairs(&self, others: &Embeddings) -> Result<(), MetricsError> {
        self.check_width(others)?;
        if self.len() == others.len() {
            return Ok(());
        }
        let expected = format!("{} rows, one for each of {}", others.len(), others.what);
        Err(MetricsError::vectors(&self.what, expected, self.len().to_string()))
    }

    /// That a row is there.
    pub(crate) fn check_row(&self, row: usize, whose: impl FnOnce() -> String) -> Result<(), MetricsError> {
        if row < self.len() {
            return Ok(());
        }
        let expected = format!("a row of {}, below {}", self.what, self.len());
        Err(MetricsError::vectors(whose(), expected, row.to_string()))
    }

    /// For each row of these, the rows of `members` that belong to it, as `owners` says for each member.
    ///
    /// # Errors
    /// When there is not one owner for each member, when an owner is out of range, or has no member.
    pub(crate) fn groups(
        &self,
        members: &Embeddings,
        owners: &[usize],
    ) -> Result<Vec<Vec<usize>>, MetricsError> {
        if owners.len() != members.len() {
            let place = format!("owners of {}", members.what);
            let expected = format!("{}, one for each row", members.len());
            return Err(MetricsError::vectors(place, expected, owners.len().to_string()));
        }
        let mut groups = vec![vec![]; self.len()];
        for (member, owner) in owners.iter().enumerate() {
            self.check_row(*owner, || format!("owner of {}, row {member}", members.what))?;
            groups[*owner].push(member);
        }
        if let Some(lonely) = groups.iter().position(Vec::is_empty) {
            let place = format!("{}, row {lonely}", self.what);
            let expected = format!("at least one row of {} that belongs to it", members.what);
            return Err(MetricsError::vectors(place, expected, "none"));
        }
        Ok(groups)
    }
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
}
