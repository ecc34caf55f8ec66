//! Sample sheets as PNG files.

use ekphrasis_report::{Picture, ReportError, Row, Sheet, write_atomically};
use ekphrasis_train::{Observer, SampleSheet};
use std::path::Path;

/// Draws sheets into the files that are meant for them.
pub struct Sheets {
    /// Name of the run.
    pub title: String,
}

impl Sheets {
    fn draw(&self, global_step: u64, sheet: &SampleSheet) -> Result<Vec<u8>, ReportError> {
        let mut rows = vec![];
        for row in &sheet.rows {
            let pictures = row.pictures.iter().map(|(side, rgb)| {
                let side = u32::try_from(*side).unwrap_or(u32::MAX);
                Picture::new(side, side, rgb.clone())
            });
            rows.push(Row { pictures: pictures.collect::<Result<_, _>>()?, lines: row.captions.clone() });
        }
        let title = format!("{}, after {global_step} steps", self.title);
        Sheet { title, columns: sheet.columns.clone(), rows }.to_png()
    }
}

impl Observer for Sheets {
    fn note(&mut self, _: &str) {}
    fn phase(&mut self, _: &str, _: u64, _: u64) {}
    fn step(&mut self, _: &str, _: u64, _: &[(String, f64)]) {}
    fn phase_end(&mut self, _: &str, _: f64) {}
    fn scalars(&mut self, _: u64, _: &[(String, f64)]) {}
    fn sheet(&mut self, global_step: u64, sheet: &SampleSheet, path: &Path) -> Result<(), String> {
        let png = self.draw(global_step, sheet).map_err(|e| e.to_string())?;
        write_atomically(path, &png).map_err(|e| e.to_string())
    }
    fn resumed(&mut self, _: u64) {}
    fn flush(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use ekphrasis_train::SampleRow;

    #[test]
    fn a_sheet_becomes_a_file_or_a_message() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("samples/final.png");
        let mut sheets = Sheets { title: "tiny".into() };
        let row = SampleRow {
            pictures: vec![(2, vec![200; 12])],
            captions: vec![("human".into(), "a red circle".into())],
        };
        let columns = vec!["picture".into(), "captions".into()];
        let mut sheet = SampleSheet { columns, rows: vec![row] };
        sheets.sheet(7, &sheet, &path).unwrap();
        assert!(image::image_dimensions(&path).unwrap().0 > 160);
        let before = std::fs::read(&path).unwrap();
        sheet.rows[0].pictures[0].0 = 3;
        assert!(sheets.sheet(8, &sheet, &path).unwrap_err().contains("3 x 3 x 3"));
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }
}
