//! Rows of numbers as encoders give them, checked.

use crate::MetricsError;

/// The number of rows in row-major values, all finite.
///
/// # Errors
/// When the values are no whole number of rows, or one is NaN or infinite; `what` and the row are named.
pub(crate) fn count_rows(what: &str, values: &[f32], width: usize) -> Result<usize, MetricsError> {
    if width == 0 || !values.len().is_multiple_of(width) {
        let expected = format!("rows of {width} numbers, at least 1");
        return Err(MetricsError::vectors(what, expected, format!("{} numbers", values.len())));
    }
    if let Some(at) = values.iter().position(|v| !v.is_finite()) {
        let place = format!("{what}, row {}", at / width);
        let found = format!("{} in column {}", values[at], at % width);
        return Err(MetricsError::vectors(place, "finite numbers", found));
    }
    Ok(values.len() / width)
}

/// Two sets that are compared must have rows of one width.
pub(crate) fn same_width(what: &str, expected: usize, found: usize) -> Result<(), MetricsError> {
    if expected == found {
        return Ok(());
    }
    let expected = format!("rows of {expected} numbers, as those that they are compared with");
    Err(MetricsError::vectors(what, expected, format!("rows of {found}")))
}
