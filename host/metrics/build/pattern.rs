//! From the text of a pattern to pieces of an automaton.
//!
//! The syntax is that of the `regex` crate. `{name}` stands for a definition of the grammar. A letter that stands for
//! itself matches in either case; inside brackets it matches as it is written.

use crate::automaton::{Builder, Fragment};
use crate::grammar::DEFINITIONS;
use regex_syntax::ast::{Ast, GroupKind, LiteralKind, RepetitionKind, RepetitionRange, parse::Parser};
use regex_syntax::hir::{Class, HirKind, translate::TranslatorBuilder};

/// Ranges of UTF-16 code units, both ends included.
pub type Set = Vec<(u16, u16)>;

/// Parses a pattern after its definitions have been put in.
pub fn parse(pattern: &str) -> (String, Ast) {
    let text = expand(pattern);
    let ast = Parser::new().parse(&text).unwrap_or_else(|e| panic!("pattern {pattern}: {e}"));
    (text, ast)
}

fn expand(pattern: &str) -> String {
    let mut text = String::new();
    let mut rest = pattern;
    while let Some(open) = rest.find('{') {
        let name = rest[open + 1..].split('}').next().unwrap_or_default();
        let named = name.starts_with(|c: char| c.is_ascii_lowercase())
            && !rest[..open].ends_with("\\p")
            && !rest[..open].ends_with("\\u");
        let end = open + 1 + name.len();
        if named {
            let definition = DEFINITIONS.iter().copied().flatten().find(|(known, _)| *known == name);
            let (_, definition) =
                definition.unwrap_or_else(|| panic!("pattern {pattern}: no definition of {name}"));
            text += &format!("{}(?:{})", &rest[..open], expand(definition));
            rest = &rest[end + 1..];
        } else {
            text += &rest[..=open];
            rest = &rest[open + 1..];
        }
    }
    text + rest
}

/// Adds what `ast` matches to the automaton.
pub fn compile(builder: &mut Builder, text: &str, ast: &Ast) -> Fragment {
    match ast {
        Ast::Empty(_) => builder.empty(),
        Ast::Literal(literal) if literal.kind == LiteralKind::Verbatim => {
            let set = either_case(literal.c);
            builder.set(set)
        }
        Ast::Literal(literal) => builder.set(vec![unit(literal.c)]),
        Ast::Group(group) => {
            assert!(matches!(group.kind, GroupKind::NonCapturing(_) | GroupKind::CaptureIndex(_)));
            compile(builder, text, &group.ast)
        }
        Ast::Alternation(of) => {
            let parts: Vec<_> = of.asts.iter().map(|part| compile(builder, text, part)).collect();
            builder.alternation(&parts)
        }
        Ast::Concat(of) => {
            let mut whole = builder.empty();
            for part in &of.asts {
                let part = compile(builder, text, part);
                whole = builder.then(whole, part);
            }
            whole
        }
        Ast::Repetition(repetition) => {
            let (least, most) = match repetition.op.kind {
                RepetitionKind::ZeroOrOne => (0, Some(1)),
                RepetitionKind::ZeroOrMore => (0, None),
                RepetitionKind::OneOrMore => (1, None),
                RepetitionKind::Range(RepetitionRange::Exactly(n)) => (n, Some(n)),
                RepetitionKind::Range(RepetitionRange::AtLeast(n)) => (n, None),
                RepetitionKind::Range(RepetitionRange::Bounded(least, most)) => (least, Some(most)),
            };
            let mut whole = builder.empty();
            for i in 0..most.unwrap_or(least.max(1)) {
                let mut part = compile(builder, text, &repetition.ast);
                if most.is_none() && i + 1 == least.max(1) {
                    part = builder.repeated(part);
                }
                if i >= least {
                    part = builder.optional(part);
                }
                whole = builder.then(whole, part);
            }
            whole
        }
        class => {
            let set = class_set(text, class);
            builder.set(set)
        }
    }
}

fn unit(c: char) -> (u16, u16) {
    let unit = u16::try_from(u32::from(c)).expect("patterns stay in the basic plane");
    (unit, unit)
}

/// A letter in either case, with the letters that Java's case conversion takes to it.
fn either_case(c: char) -> Set {
    let more = match c.to_ascii_lowercase() {
        'i' => &['\u{130}', '\u{131}'][..],
        'k' => &['\u{212a}'],
        's' => &['\u{17f}'],
        _ => &[],
    };
    let cases = [c.to_ascii_lowercase(), c.to_ascii_uppercase()];
    let mut set: Set = cases.iter().chain(more).map(|&c| unit(c)).collect();
    set.sort_unstable();
    set.dedup();
    set
}

/// The code units of a bracketed or named class. Halves of surrogate pairs are in it if it is a complement.
fn class_set(text: &str, class: &Ast) -> Set {
    let hir = TranslatorBuilder::new().unicode(true).build().translate(text, class);
    let hir = hir.unwrap_or_else(|e| panic!("class {class}: {e}"));
    let ranges: Vec<(u32, u32)> = match hir.kind() {
        HirKind::Class(Class::Unicode(class)) => {
            class.ranges().iter().map(|r| (r.start().into(), r.end().into())).collect()
        }
        HirKind::Literal(literal) => {
            let c =
                std::str::from_utf8(&literal.0).ok().and_then(|s| s.chars().next()).expect("one character");
            vec![(c.into(), c.into())]
        }
        other => panic!("class {class}: {other:?}"),
    };
    let complement =
        matches!(class, Ast::ClassBracketed(class) if class.negated) || matches!(class, Ast::Dot(_));
    let mut set: Set = ranges
        .iter()
        .filter(|(start, _)| *start <= 0xffff)
        .map(|&(start, end)| (start as u16, end.min(0xffff) as u16))
        .collect();
    if complement {
        set.push((0xd800, 0xdfff));
    }
    set.sort_unstable();
    set
}
