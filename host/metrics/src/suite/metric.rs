//! The metrics by name.

/// A metric of captions against references.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    /// BLEU of an order, 1 to 4.
    Bleu(usize),
    /// METEOR, with the matchers that there is data for.
    Meteor,
    /// ROUGE-L.
    RougeL,
    /// CIDEr-D, which coco-caption calls CIDEr.
    CiderD,
    /// CIDEr as first published, without clipping and length penalty.
    Cider,
}

impl Metric {
    /// All of them, in the order in which coco-caption prints them.
    pub const ALL: [Self; 8] = [
        Self::Bleu(1),
        Self::Bleu(2),
        Self::Bleu(3),
        Self::Bleu(4),
        Self::Meteor,
        Self::RougeL,
        Self::CiderD,
        Self::Cider,
    ];

    /// The metrics that a name on the command line stands for; none if nobody knows it.
    pub fn named(name: &str) -> Option<&'static [Self]> {
        let [.., meteor, rouge_l, cider_d, cider] = &Self::ALL;
        Some(match name {
            "bleu" => &Self::ALL[..4],
            "bleu_1" => &Self::ALL[..1],
            "bleu_2" => &Self::ALL[1..2],
            "bleu_3" => &Self::ALL[2..3],
            "bleu_4" => &Self::ALL[3..4],
            "meteor" => std::slice::from_ref(meteor),
            "rouge_l" => std::slice::from_ref(rouge_l),
            "cider" | "cider_d" => std::slice::from_ref(cider_d),
            "cider_plain" => std::slice::from_ref(cider),
            _ => return None,
        })
    }

    /// The names that [`Metric::named`] knows.
    pub const NAMES: [&'static str; 10] = [
        "bleu",
        "bleu_1",
        "bleu_2",
        "bleu_3",
        "bleu_4",
        "meteor",
        "rouge_l",
        "cider",
        "cider_d",
        "cider_plain",
    ];

    /// Its name in files. METEOR's says nothing of its matchers.
    pub fn key(self) -> &'static str {
        match self {
            Self::Bleu(1) => "bleu_1",
            Self::Bleu(2) => "bleu_2",
            Self::Bleu(3) => "bleu_3",
            Self::Bleu(_) => "bleu_4",
            Self::Meteor => "meteor",
            Self::RougeL => "rouge_l",
            Self::CiderD => "cider_d",
            Self::Cider => "cider_plain",
        }
    }
}
