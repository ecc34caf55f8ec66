//! Signatures as they stand in the tables: `(axis?: integer, keepdim?: boolean): Tensor`. One text
//! gives the documentation, the stubs, and the names in errors about arguments.

/// One parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter<'a> {
    /// Its name; `...` for any number.
    pub name: &'a str,
    /// Whether it may be left out.
    pub optional: bool,
    /// Its type as LuaLS writes it.
    pub ty: &'a str,
}

/// A signature taken apart.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Signature<'a> {
    /// Parameters in order.
    pub parameters: Vec<Parameter<'a>>,
    /// Types of the results in order.
    pub returns: Vec<&'a str>,
}

impl<'a> Signature<'a> {
    /// Reads a signature; a part that has no type is `any`.
    pub fn parse(text: &'a str) -> Self {
        let text = text.trim();
        let close = closing(text);
        let inside = text.get(1..close).unwrap_or("");
        let returns = text.get(close + 1..).unwrap_or("").trim_start().strip_prefix(':').unwrap_or("");
        let parameters = split(inside)
            .map(|part| {
                let (name, ty) = part.split_once(':').unwrap_or((part, "any"));
                let name = name.trim();
                let optional = name.ends_with('?');
                Parameter { name: name.trim_end_matches('?'), optional, ty: ty.trim() }
            })
            .collect();
        Self { parameters, returns: split(returns).collect() }
    }
}

/// Where the bracket that opens `text` closes.
fn closing(text: &str) -> usize {
    let mut depth = 0;
    for (i, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return i;
        }
    }
    text.len()
}

/// Parts between commas that stand in no bracket.
fn split(text: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0;
    text.split(move |c| {
        match c {
            '(' | '{' | '[' | '<' => depth += 1,
            ')' | '}' | ']' | '>' => depth -= 1,
            _ => {}
        }
        c == ',' && depth == 0
    })
    .map(str::trim)
    .filter(|p| !p.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_and_optionals() {
        let s =
            Signature::parse("(f: fun(g: Graph, p: table): Tensor, axis?: integer|integer[]): Tensor, table");
        assert_eq!(s.parameters.len(), 2);
        assert_eq!(s.parameters[0].ty, "fun(g: Graph, p: table): Tensor");
        assert_eq!(s.parameters[1], Parameter { name: "axis", optional: true, ty: "integer|integer[]" });
        assert_eq!(s.returns, ["Tensor", "table"]);
        assert_eq!(Signature::parse("()"), Signature::default());
    }
}
