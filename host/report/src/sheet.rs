//! Sample sheets: rows of pictures with what was said about them, for people to judge with their eyes.

use indexmap::IndexSet;

use crate::ReportError;
use crate::canvas::{Canvas, GROUND, INK, MUTED, Picture, palette};
use crate::font::TextStyle;

const TITLE: TextStyle = TextStyle::bold(26.0);
const HEADING: TextStyle = TextStyle::bold(15.0);
const LABEL: TextStyle = TextStyle::regular(13.0);
const TEXT: TextStyle = TextStyle::regular(19.0);

const MARGIN: f32 = 28.0;
const PADDING: f32 = 16.0;
const GAP: f32 = 12.0;
/// Pictures are enlarged by whole factors to about this many pixels.
const PICTURE: u32 = 160;
/// Width of the column of texts.
const TEXT_WIDTH: f32 = 460.0;
/// Lines that one text may take.
const TEXT_LINES: usize = 3;
/// From the coloured bar of a text to the text.
const INDENT: f32 = 14.0;

/// A sheet: a title, a heading for each column, and rows.
///
/// The first columns hold the pictures of a row, in order; the last one, where any row has lines, its lines.
#[derive(Debug, Clone, Default)]
pub struct Sheet {
    /// Stands above all.
    pub title: String,
    /// Headings of the columns of pictures, then of the column of lines.
    pub columns: Vec<String>,
    /// From the top.
    pub rows: Vec<Row>,
}

/// Pictures side by side, and labelled lines of text beside them.
#[derive(Debug, Clone, Default)]
pub struct Row {
    /// From the left; sizes may differ.
    pub pictures: Vec<Picture>,
    /// (label, text): "after" and "a red circle". Equal labels have equal colours.
    pub lines: Vec<(String, String)>,
}

impl Sheet {
    /// Draws the sheet as PNG.
    pub fn to_png(&self) -> Result<Vec<u8>, ReportError> {
        let widths = self.column_widths()?;
        let text_at = MARGIN + PADDING + widths.iter().map(|width| width + PADDING * 1.5).sum::<f32>();
        let has_lines = self.rows.iter().any(|row| !row.lines.is_empty());
        let columns_right = if has_lines { text_at + TEXT_WIDTH } else { text_at - PADDING * 1.5 };
        let right = columns_right.max(MARGIN + TITLE.width(&self.title) - PADDING) + PADDING;
        let labels: IndexSet<&str> =
            self.rows.iter().flat_map(|row| &row.lines).map(|(label, _)| label.as_str()).collect();

        let heights: Vec<f32> = self.rows.iter().map(Row::height).collect();
        let head = MARGIN + TITLE.line_height() + GAP + HEADING.line_height() + GAP * 0.75;
        let body: f32 = heights.iter().map(|height| height + GAP).sum();
        let mut canvas = Canvas::new(right + MARGIN, head + body - GAP + MARGIN, GROUND)?;

        canvas.text(MARGIN, MARGIN + TITLE.ascent(), TITLE, INK, &self.title);
        let baseline = MARGIN + TITLE.line_height() + GAP + HEADING.ascent();
        let mut x = MARGIN + PADDING;
        for (column, heading) in self.columns.iter().enumerate() {
            // A heading stays inside its column.
            let room = widths.get(column).copied().unwrap_or(TEXT_WIDTH);
            for line in HEADING.wrap(heading, room, 1) {
                canvas.text(x, baseline, HEADING, MUTED, &line);
            }
            x += room + PADDING * 1.5;
        }

        let mut top = head;
        for (row, height) in self.rows.iter().zip(&heights) {
            canvas.card(MARGIN, top, right - MARGIN, *height);
            let mut x = MARGIN + PADDING;
            for (picture, width) in row.pictures.iter().zip(&widths) {
                let upper = top + (height - shown(picture).1) / 2.0;
                canvas.picture(x.round(), upper.round(), enlargement(picture), picture);
                x += width + PADDING * 1.5;
            }
            let mut y = top + (height - row.text_height()) / 2.0;
            for (label, text) in &row.lines {
                let bottom = y + line_height(text) - GAP;
                let colour = palette(labels.get_index_of(label.as_str()).unwrap_or(0));
                canvas.rectangle(text_at, y + 2.0, 4.0, bottom - y - 2.0, colour);
                canvas.text(text_at + INDENT, y + LABEL.ascent(), LABEL, MUTED, label);
                let mut baseline = y + LABEL.line_height() + TEXT.ascent();
                for line in TEXT.wrap(text, TEXT_WIDTH - INDENT, TEXT_LINES) {
                    canvas.text(text_at + INDENT, baseline, TEXT, INK, &line);
                    baseline += TEXT.line_height();
                }
                y = bottom + GAP;
            }
            top += height + GAP;
        }
        canvas.into_png()
    }

    /// Widths of the columns of pictures: that of the widest picture or, up to a limit, of the heading.
    fn column_widths(&self) -> Result<Vec<f32>, ReportError> {
        let count = self.rows.iter().map(|row| row.pictures.len()).max().unwrap_or(0);
        for (n, row) in self.rows.iter().enumerate() {
            let needed = row.pictures.len() + usize::from(!row.lines.is_empty());
            if needed > self.columns.len() || (!row.lines.is_empty() && count == self.columns.len()) {
                return Err(ReportError::invalid(
                    format!("sample sheet `{}`, row {}", self.title, n + 1),
                    format!(
                        "expected a heading for each of {count} columns of pictures and one for the lines, found {}",
                        self.columns.len()
                    ),
                ));
            }
        }
        let column = |n: usize| {
            let pictures =
                self.rows.iter().filter_map(|row| row.pictures.get(n)).map(|picture| shown(picture).0);
            let heading = self.columns.get(n).map_or(0.0, |heading| HEADING.width(heading));
            pictures.fold(heading.min(1.5 * PICTURE as f32).ceil(), f32::max)
        };
        Ok((0..count).map(column).collect())
    }
}

impl Row {
    fn height(&self) -> f32 {
        let pictures = self.pictures.iter().map(|picture| shown(picture).1).fold(0.0, f32::max);
        pictures.max(self.text_height()) + 2.0 * PADDING
    }

    fn text_height(&self) -> f32 {
        (self.lines.iter().map(|(_, text)| line_height(text)).sum::<f32>() - GAP).max(0.0)
    }
}

/// Height of a labelled text, with the gap below it.
fn line_height(text: &str) -> f32 {
    let lines = TEXT.wrap(text, TEXT_WIDTH - INDENT, TEXT_LINES).len();
    LABEL.line_height() + lines as f32 * TEXT.line_height() + GAP
}

fn enlargement(picture: &Picture) -> u32 {
    (PICTURE / picture.width().max(picture.height())).max(1)
}

/// Width and height as shown.
fn shown(picture: &Picture) -> (f32, f32) {
    let scale = enlargement(picture);
    ((picture.width() * scale) as f32, (picture.height() * scale) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(width: u32, height: u32, rgb: [u8; 3]) -> Picture {
        Picture::new(width, height, rgb.repeat((width * height) as usize)).unwrap()
    }

    fn sheet(text: &str) -> Sheet {
        let line = |label: &str| (label.to_owned(), text.to_owned());
        Sheet {
            title: "Samples".into(),
            columns: vec!["picture".into(), "painted".into(), "captions".into()],
            rows: vec![Row {
                pictures: vec![picture(32, 32, [200, 0, 0]), picture(32, 32, [0, 0, 200])],
                lines: vec![line("before"), line("after")],
            }],
        }
    }

    fn count(image: &image::RgbImage, rgb: [u8; 3]) -> usize {
        image.pixels().filter(|pixel| pixel.0 == rgb).count()
    }

    #[test]
    fn pictures_are_enlarged_whole_and_texts_have_ink() {
        let draw = |text: &str| image::load_from_memory(&sheet(text).to_png().unwrap()).unwrap().to_rgb8();
        let image = draw("a red circle");
        assert_eq!(count(&image, [200, 0, 0]), 160 * 160);
        assert_eq!(count(&image, [0, 0, 200]), 160 * 160);
        let ink = [0x1f, 0x24, 0x30];
        assert!(count(&image, ink) > count(&draw(""), ink) + 100);
        let taller = draw(&"a red circle above a blue square ".repeat(20));
        assert!(taller.height() > image.height());
        assert!(taller.height() < 2 * image.height(), "a runaway caption is cut");
    }

    #[test]
    fn odd_sheets_are_drawn_or_refused_by_name() {
        assert!(Sheet::default().to_png().is_ok());
        let mut odd = sheet("a dog");
        odd.rows.push(Row { pictures: vec![picture(200, 90, [1, 2, 3])], lines: vec![] });
        odd.rows.push(Row { pictures: vec![], lines: vec![("only".into(), "text".into())] });
        let image = image::load_from_memory(&odd.to_png().unwrap()).unwrap().to_rgb8();
        assert_eq!(count(&image, [1, 2, 3]), 200 * 90);
        odd.columns.pop();
        let error = odd.to_png().unwrap_err().to_string();
        assert!(error.contains("`Samples`, row 1"), "{error}");
    }
}
