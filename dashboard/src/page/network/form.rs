//! The resolved form is Rust's pretty debug text. This reads any of it, and gives up rather than guess.

/// A part of the form.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// `"text"`.
    Text(String),
    /// `None`, `true`, `42`.
    Word(String),
    /// `Name { field: value, … }`.
    Fields(String, Vec<(String, Value)>),
    /// `Name(value, …)`, or `[value, …]` with an empty name.
    Items(String, Vec<Value>),
}

/// The deepest nesting that is read.
const DEEPEST: usize = 64;

/// The value at the start of a text; what follows it is left alone.
pub(super) fn parse(text: &str) -> Option<Value> {
    Reader { rest: text }.value(0)
}

impl Value {
    /// A field of a struct.
    pub(super) fn field(&self, name: &str) -> Option<&Value> {
        match self {
            Value::Fields(_, fields) => fields.iter().find(|(field, _)| field == name).map(|(_, value)| value),
            _ => None,
        }
    }

    /// The text of a field, also within `Some`.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.field(name)?.as_text()
    }

    pub(super) fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            other => other.inner().and_then(Value::as_text),
        }
    }

    /// The elements of a field that is a list.
    pub(super) fn list(&self, name: &str) -> &[Value] {
        match self.field(name) {
            Some(Value::Items(_, items)) => items,
            _ => &[],
        }
    }

    /// What is in `Some(…)` or another wrapper of one value.
    pub(super) fn inner(&self) -> Option<&Value> {
        match self {
            Value::Items(name, items) if !name.is_empty() && items.len() == 1 => items.first(),
            _ => None,
        }
    }

    /// The name of a variant.
    pub(super) fn name(&self) -> &str {
        match self {
            Value::Word(name) | Value::Fields(name, _) | Value::Items(name, _) => name,
            Value::Text(_) => "",
        }
    }

    /// A number, also within wrappers.
    pub(super) fn number(&self) -> Option<f64> {
        match self {
            Value::Word(word) => word.replace('_', "").parse().ok().filter(|number: &f64| number.is_finite()),
            other => other.inner()?.number(),
        }
    }

    /// The number of a field.
    pub(super) fn count(&self, name: &str) -> f64 {
        self.field(name).and_then(Value::number).unwrap_or(0.0)
    }

    /// Whether a field is this word.
    pub(super) fn is(&self, name: &str, word: &str) -> bool {
        self.field(name).is_some_and(|value| value.name() == word)
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn skip(&mut self) {
        self.rest = self.rest.trim_start_matches(|c: char| c.is_whitespace() || c == ',');
    }

    fn eat(&mut self, c: char) -> bool {
        self.skip();
        match self.rest.strip_prefix(c) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn word(&mut self) -> &'a str {
        self.skip();
        // Paths and addresses have colons in them: `Name::Other` and `10.0.0.1:5` are words.
        let ends = |(at, c): &(usize, char)| match c {
            ':' => self.rest[at + 1..].starts_with(char::is_whitespace) || self.rest.len() == at + 1,
            c => c.is_whitespace() || ",(){}[]\"".contains(*c),
        };
        let at = self.rest.char_indices().find(ends).map_or(self.rest.len(), |(at, _)| at);
        let (word, rest) = self.rest.split_at(at);
        self.rest = rest;
        word
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        if depth > DEEPEST {
            return None;
        }
        if self.eat('"') {
            return self.text();
        }
        if self.eat('[') {
            return Some(Value::Items(String::new(), self.items(']', depth)?));
        }
        let word = self.word();
        if self.eat('(') {
            return Some(Value::Items(word.to_owned(), self.items(')', depth)?));
        }
        if self.eat('{') {
            return self.fields(word, depth);
        }
        (!word.is_empty()).then(|| Value::Word(word.to_owned()))
    }

    fn items(&mut self, end: char, depth: usize) -> Option<Vec<Value>> {
        let mut items = Vec::new();
        while !self.eat(end) {
            items.push(self.value(depth + 1)?);
        }
        Some(items)
    }

    fn fields(&mut self, name: &str, depth: usize) -> Option<Value> {
        let mut fields = Vec::new();
        while !self.eat('}') {
            let field = self.word();
            if field.is_empty() || !self.eat(':') {
                return None;
            }
            fields.push((field.to_owned(), self.value(depth + 1)?));
        }
        Some(Value::Fields(name.to_owned(), fields))
    }

    /// The rest of a text, after its opening quote.
    fn text(&mut self) -> Option<Value> {
        let mut out = String::new();
        let mut chars = self.rest.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.rest = &self.rest[at + 1..];
                    return Some(Value::Text(out));
                }
                // Names have no escapes that matter: `\u{…}` stays as it is written.
                '\\' => out.push(match chars.next()?.1 {
                    'n' => '\n',
                    't' => '\t',
                    other => other,
                }),
                c => out.push(c),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_text_is_read() {
        #[derive(Debug)]
        #[expect(dead_code, reason = "read through its debug text")]
        struct Thing {
            name: &'static str,
            some: Option<(u8, i64)>,
            none: Option<()>,
            list: Vec<Other>,
            unit: (),
        }
        #[derive(Debug)]
        #[expect(dead_code, reason = "read through its debug text")]
        enum Other {
            Unit,
            Tuple(f64),
            Fields { address: std::net::SocketAddr },
        }
        let list = vec![Other::Unit, Other::Tuple(1.5), Other::Fields { address: "10.0.0.1:5".parse().unwrap() }];
        let thing = Thing { name: "a \"b\"\n{", some: Some((1, -2)), none: None, list, unit: () };
        for text in [format!("{thing:#?}"), format!("{thing:?}")] {
            let value = parse(&text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(value.text("name"), Some("a \"b\"\n{"));
            assert_eq!((value.name(), value.is("none", "None")), ("Thing", true));
            assert_eq!(value.list("list")[1], Value::Items("Tuple".into(), vec![Value::Word("1.5".into())]));
        }
    }

    #[test]
    fn other_texts_are_given_up() {
        for text in ["", "{", "A {", "A { b", "A { b: ", "A { : 1 }", "[", "\"", "\"a\\", "A(", "A { {} }", ")"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
        assert_eq!(parse(&"[".repeat(100_000)), None);
        assert_eq!(parse(&"A { b: ".repeat(100_000)), None);
    }
}
