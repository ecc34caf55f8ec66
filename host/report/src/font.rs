//! Text: Noto Sans (SIL Open Font License, carried by the crate `notosans`), measured, wrapped and drawn.

use std::sync::LazyLock;

use ab_glyph::{Font, FontRef, Glyph, PxScaleFont, ScaleFont, point};

static REGULAR: LazyLock<FontRef<'static>> = LazyLock::new(|| parsed(notosans::REGULAR_TTF));
static BOLD: LazyLock<FontRef<'static>> = LazyLock::new(|| parsed(notosans::BOLD_TTF));

fn parsed(bytes: &'static [u8]) -> FontRef<'static> {
    FontRef::try_from_slice(bytes).expect("an embedded font is a font")
}

/// A weight and a size.
#[derive(Clone, Copy)]
pub(crate) struct TextStyle {
    bold: bool,
    /// Size of an em in pixels.
    size: f32,
}

impl TextStyle {
    pub(crate) const fn regular(size: f32) -> TextStyle {
        TextStyle { bold: false, size }
    }

    pub(crate) const fn bold(size: f32) -> TextStyle {
        TextStyle { bold: true, size }
    }

    /// Distance between the baselines of two lines, in pixels.
    pub(crate) fn line_height(self) -> f32 {
        (self.size * 1.3).round()
    }

    /// Distance from the top of a line to its baseline, in pixels.
    pub(crate) fn ascent(self) -> f32 {
        (self.size * 1.0).round()
    }

    /// Width of `text` in pixels.
    pub(crate) fn width(self, text: &str) -> f32 {
        self.layout(text).1
    }

    /// Calls `pixel(x, y, coverage)` for every pixel that `text` touches, from a baseline that starts at
    /// (0, 0).
    pub(crate) fn rasterise(self, text: &str, mut pixel: impl FnMut(i32, i32, f32)) {
        let font = self.font();
        for glyph in self.layout(text).0 {
            if let Some(outline) = font.outline_glyph(glyph) {
                let corner = outline.px_bounds().min;
                outline.draw(|x, y, coverage| {
                    pixel(corner.x as i32 + x as i32, corner.y as i32 + y as i32, coverage.clamp(0.0, 1.0));
                });
            }
        }
    }

    /// `text` in lines of at most `width` pixels, broken at spaces and, where a word is too long, inside it.
    /// What does not fit into `lines` lines is replaced by an ellipsis.
    pub(crate) fn wrap(self, text: &str, width: f32, lines: usize) -> Vec<String> {
        let mut wrapped: Vec<String> = vec![String::new()];
        for word in text.split_whitespace() {
            if wrapped.len() > lines {
                break;
            }
            for piece in self.pieces(word, width) {
                let Some(line) = wrapped.last_mut() else { break };
                let longer = if line.is_empty() { piece.clone() } else { format!("{line} {piece}") };
                if line.is_empty() || self.width(&longer) <= width {
                    *line = longer;
                } else {
                    wrapped.push(piece);
                }
            }
        }
        if wrapped.len() > lines {
            wrapped.truncate(lines);
            if let Some(line) = wrapped.last_mut() {
                while !line.is_empty() && self.width(&format!("{line}…")) > width {
                    line.pop();
                }
                *line = format!("{}…", line.trim_end());
            }
        }
        wrapped
    }

    /// A word cut into pieces that each fit into `width`.
    fn pieces(self, word: &str, width: f32) -> Vec<String> {
        if self.width(word) <= width {
            return vec![word.to_owned()];
        }
        let mut pieces = vec![String::new()];
        for character in word.chars() {
            let Some(piece) = pieces.last_mut() else { break };
            if !piece.is_empty() && self.width(&format!("{piece}{character}")) > width {
                pieces.push(character.to_string());
            } else {
                piece.push(character);
            }
        }
        pieces
    }

    fn font(self) -> PxScaleFont<&'static FontRef<'static>> {
        let font: &'static FontRef<'static> = if self.bold { &BOLD } else { &REGULAR };
        // ab_glyph scales by the height of a line, people by the em.
        let em = font.units_per_em().unwrap_or_else(|| font.height_unscaled());
        font.as_scaled(self.size * font.height_unscaled() / em)
    }

    /// The glyphs of `text` and its width. Control characters are shown as spaces.
    fn layout(self, text: &str) -> (Vec<Glyph>, f32) {
        let font = self.font();
        let mut glyphs: Vec<Glyph> = Vec::new();
        let mut x = 0.0;
        for character in text.chars() {
            let id = font.glyph_id(if character.is_control() { ' ' } else { character });
            if let Some(last) = glyphs.last() {
                x += font.kern(last.id, id);
            }
            glyphs.push(id.with_scale_and_position(font.scale(), point(x, 0.0)));
            x += font.h_advance(id);
        }
        (glyphs, x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STYLE: TextStyle = TextStyle::regular(20.0);

    #[test]
    fn text_has_width_and_ink_above_its_baseline() {
        assert!(STYLE.width("mm") > STYLE.width("ii"));
        assert!(TextStyle::bold(20.0).width("caption") > STYLE.width("caption"));
        let (mut ink, mut below) = (0.0, 0.0);
        STYLE.rasterise("HE", |_, y, coverage| {
            ink += coverage;
            below += if y > 0 { coverage } else { 0.0 };
        });
        assert!(ink > 50.0 && below == 0.0, "{ink} {below}");
    }

    #[test]
    fn wrapped_lines_fit_and_lose_no_word() {
        let text = "a small red circle above a large blue square on a grey ground";
        let lines = STYLE.wrap(text, 160.0, 9);
        assert!(lines.len() > 2 && lines.iter().all(|line| STYLE.width(line) <= 160.0), "{lines:?}");
        assert_eq!(lines.join(" "), text);
        let long = "w".repeat(60);
        let lines = STYLE.wrap(&long, 160.0, 9);
        assert!(lines.len() > 2 && lines.iter().all(|line| STYLE.width(line) <= 160.0), "{lines:?}");
        assert_eq!(lines.concat(), long);
    }

    #[test]
    fn what_does_not_fit_ends_in_an_ellipsis() {
        let lines = STYLE.wrap(&"dog ".repeat(5000), 160.0, 2);
        assert_eq!(lines.len(), 2);
        assert!(lines[1].ends_with('…') && STYLE.width(&lines[1]) <= 160.0, "{lines:?}");
        assert_eq!(STYLE.wrap("", 160.0, 2), [""]);
    }
}
