//! The table of forms.

use super::set::Builder;
use super::sniff::{Kind, Look};
use super::source::Source;
use super::{Wording, coco, karpathy, lines, plain, table};
use crate::error::MetricsError;

/// A form of caption files.
pub struct Form {
    /// What it is called.
    pub name: &'static str,
    /// How it looks, in a line.
    pub example: &'static str,
    /// Whether this is the form of a file that begins like this. The first form that says so reads it.
    pub(super) recognised: fn(&Look) -> bool,
    pub(super) read: fn(&mut Source, Wording) -> Result<Builder, MetricsError>,
}

impl std::fmt::Debug for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Form").field("name", &self.name).finish_non_exhaustive()
    }
}

/// All forms. To add one: a reader beside this file, and a row here.
pub const FORMS: &[Form] = &[
    Form {
        name: "COCO results",
        example: r#"[{"image_id": 139, "caption": "a room"}, ..]"#,
        recognised: |look| match look {
            Look::Array(Kind::List(None)) => true,
            Look::Array(kind) => kind
                .objects()
                .is_some_and(|keys| keys.iter().any(|key| key == "image_id" || key == "caption")),
            _ => false,
        },
        read: coco::results,
    },
    Form {
        name: "Karpathy's JSON",
        example: r#"{"images": [{"filename": "a.jpg", "split": "test", "sentences": [{"raw": "A room."}, ..]}, ..]}"#,
        recognised: |look| {
            let keys = look.value("images").and_then(Kind::objects);
            keys.is_some_and(|keys| keys.iter().any(|key| key == "sentences"))
        },
        read: karpathy::read,
    },
    Form {
        name: "COCO annotations",
        example: r#"{"images": [{"id": 139}, ..], "annotations": [{"image_id": 139, "caption": "A room."}, ..]}"#,
        recognised: |look| {
            let list = |kind: &Kind| kind.objects().is_some() || *kind == Kind::List(None);
            ["annotations", "images"].into_iter().any(|key| look.value(key).is_some_and(list))
        },
        read: coco::annotations,
    },
    Form {
        name: "captions by image",
        example: r#"{"139": "a room"} or {"139": ["A room.", ..]}, in JSON"#,
        recognised: |look| match look {
            Look::Object(entries) => entries.iter().any(|(_, kind)| kind.is_captions()),
            _ => false,
        },
        read: plain::read,
    },
    Form {
        name: "Flickr token file",
        example: "a.jpg#0<TAB>A room . (a line for each caption)",
        recognised: |look| matches!(look, Look::Line(line) if lines::split(line).is_some()),
        read: lines::read,
    },
    Form {
        name: "CSV",
        example: "image,caption (the first line; a line for each caption follows)",
        recognised: |look| matches!(look, Look::Line(line) if table::is_heading(line)),
        read: table::read,
    },
];
