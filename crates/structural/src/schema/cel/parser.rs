//! The grammar of the language, with optional selection: whether tokens make an expression, and of
//! what parts.

use super::lexer::{Number, Parsed, Token, fault};
use super::tree::{Kind, Node};

/// How deeply an expression may be nested, as in cel-go.
const MAX_DEPTH: usize = 250;
/// What may begin an expression, as messages list it.
pub(super) const BEGINNINGS: &str = "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}";
/// Words that name nothing by themselves.
const RESERVED: [&str; 17] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// An operator between two operands: its name in messages, and how tightly it binds.
type Infix = (&'static str, u8);

/// What was read.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) root: Node,
    /// How deeply parts are nested.
    pub(super) deepest: usize,
    /// Whether two signs follow one another, as in `!!a`.
    pub(super) doubled_sign: bool,
    /// Whether `oldSelf` is spoken of.
    pub(super) names_old: bool,
}

/// Reads a whole expression.
pub(super) fn read(text: &str, tokens: Vec<(usize, Token<'_>)>) -> Parsed<Read> {
    let mut parser = Parser {
        text,
        tokens,
        next: 0,
        depth: 0,
        deepest: 0,
        doubled_sign: false,
        names_old: false,
    };
    let root = parser.expression()?;
    if parser.peek() != Token::End {
        return parser.unexpected("<EOF>");
    }
    Ok(Read {
        root,
        deepest: parser.deepest,
        doubled_sign: parser.doubled_sign,
        names_old: parser.names_old,
    })
}

struct Parser<'s> {
    text: &'s str,
    tokens: Vec<(usize, Token<'s>)>,
    next: usize,
    depth: usize,
    deepest: usize,
    doubled_sign: bool,
    names_old: bool,
}

impl<'s> Parser<'s> {
    /// The token that comes next; the last one is the end, and stays.
    fn peek(&self) -> Token<'s> {
        self.tokens
            .get(self.next)
            .map_or(Token::End, |(_, token)| *token)
    }

    fn at(&self) -> usize {
        self.tokens
            .get(self.next)
            .map_or(self.text.len(), |(at, _)| *at)
    }

    fn unexpected<T>(&self, wanted: &str) -> Parsed<T> {
        let start = self.at();
        let after = self
            .tokens
            .get(self.next + 1)
            .map_or(self.text.len(), |(at, _)| *at);
        let found = self.text.get(start..after).unwrap_or_default().trim_end();
        let found = if found.is_empty() { "<EOF>" } else { found };
        let words = format!("mismatched input '{found}' expecting {wanted}");
        fault(start, words)
    }

    fn eat(&mut self, mark: &str) -> bool {
        let found = matches!(self.peek(), Token::Mark(own) if own == mark);
        self.next += usize::from(found);
        found
    }

    fn expect(&mut self, mark: &str) -> Parsed {
        if self.eat(mark) {
            return Ok(());
        }
        self.unexpected(&format!("'{mark}'"))
    }

    /// `a`, or `a ? b : c`.
    fn expression(&mut self) -> Parsed<Node> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            let words = format!("expression recursion limit exceeded: {MAX_DEPTH}");
            return fault(self.at(), words);
        }
        self.deepest = self.deepest.max(self.depth);
        let mut node = self.operands()?;
        let at = self.at();
        if self.eat("?") {
            let then = self.operands()?;
            self.expect(":")?;
            let other = self.expression()?;
            node = Node::call(at, "_?_:_", vec![node, then, other]);
        }
        self.depth -= 1;
        Ok(node)
    }

    /// Terms with `&&` and `||` between them.
    fn operands(&mut self) -> Parsed<Node> {
        let (mut any, mut any_at) = (Vec::new(), Vec::new());
        let (mut all, mut all_at) = (vec![self.relation()?], Vec::new());
        loop {
            let at = self.at();
            if self.eat("&&") {
                all_at.push(at);
            } else if self.eat("||") {
                any.push(Node::balanced("_&&_", all, &all_at));
                any_at.push(at);
                (all, all_at) = (Vec::new(), Vec::new());
            } else {
                any.push(Node::balanced("_&&_", all, &all_at));
                return Ok(Node::balanced("_||_", any, &any_at));
            }
            all.push(self.relation()?);
        }
    }

    /// Operands with the tighter operators between them.
    fn relation(&mut self) -> Parsed<Node> {
        let mut left = self.unary()?;
        // What waits for its right side, tighter ones above looser ones.
        let mut waiting: Vec<(Node, usize, Infix)> = Vec::new();
        while let Some(infix) = self.infix() {
            let at = self.at();
            self.next += 1;
            left = joined(&mut waiting, left, infix.1);
            waiting.push((left, at, infix));
            left = self.unary()?;
        }
        Ok(joined(&mut waiting, left, 0))
    }

    fn infix(&self) -> Option<Infix> {
        let infix = match self.peek() {
            Token::Mark("<") => ("_<_", 1),
            Token::Mark("<=") => ("_<=_", 1),
            Token::Mark(">") => ("_>_", 1),
            Token::Mark(">=") => ("_>=_", 1),
            Token::Mark("==") => ("_==_", 1),
            Token::Mark("!=") => ("_!=_", 1),
            Token::Name("in") => ("@in", 1),
            Token::Mark("+") => ("_+_", 2),
            Token::Mark("-") => ("_-_", 2),
            Token::Mark("*") => ("_*_", 3),
            Token::Mark("/") => ("_/_", 3),
            Token::Mark("%") => ("_%_", 3),
            _ => return None,
        };
        Some(infix)
    }

    fn unary(&mut self) -> Parsed<Node> {
        let (start, at) = (self.next, self.at());
        let (sign, name) = if self.eat("!") {
            ("!", "!_")
        } else {
            ("-", "-_")
        };
        while self.eat(sign) {}
        let signs = self.next - start;
        self.doubled_sign |= signs > 1;
        let node = self.member()?;
        // An even number of signs says nothing.
        if signs.is_multiple_of(2) {
            return Ok(node);
        }
        Ok(match node.kind {
            Kind::Int | Kind::Double if sign == "-" && signs == 1 => Node::new(at, node.kind),
            _ => Node::call(at, name, vec![node]),
        })
    }

    /// Something with its selections, indexes and calls.
    fn member(&mut self) -> Parsed<Node> {
        let (mut node, mut is_name) = self.primary()?;
        loop {
            let at = self.at();
            if self.eat(".") {
                let optional = self.eat("?");
                let field = self.selector()?;
                let open = self.at();
                let called = !optional && self.eat("(");
                let from = Box::new(node);
                node = if called {
                    let args = self.list(")", Parser::expression)?;
                    let (target, name) = (Some(from), field);
                    Node::new(open, Kind::Call { target, name, args })
                } else {
                    let kind = Kind::Select {
                        from,
                        field,
                        optional,
                    };
                    Node::new(at, kind)
                };
                is_name &= !optional && !called;
            } else if self.eat("[") {
                let optional = self.eat("?");
                let key = Box::new(self.expression()?);
                self.expect("]")?;
                let from = Box::new(node);
                let kind = Kind::Index {
                    from,
                    key,
                    optional,
                };
                node = Node::new(at, kind);
                is_name = false;
            } else if is_name && self.eat("{") {
                self.list("}", |parser| {
                    parser.eat("?");
                    parser.selector()?;
                    parser.expect(":")?;
                    parser.expression()
                })?;
                node = Node::opaque(at);
                is_name = false;
            } else {
                return Ok(node);
            }
        }
    }

    /// A name after a dot; reserved words will do.
    fn selector(&mut self) -> Parsed<String> {
        match self.peek() {
            Token::Name("true" | "false" | "null" | "in") => self.unexpected("IDENTIFIER"),
            Token::Name(name) => {
                self.next += 1;
                Ok(name.to_owned())
            }
            _ => self.unexpected("IDENTIFIER"),
        }
    }

    /// Answers too whether it was a bare name, which a message's fields may follow.
    fn primary(&mut self) -> Parsed<(Node, bool)> {
        let at = self.at();
        let kind = match self.peek() {
            Token::Number(Number::Int) => Kind::Int,
            Token::Number(Number::Uint) => Kind::Uint,
            Token::Number(Number::Double) => Kind::Double,
            Token::Text(length) => Kind::Text(length),
            Token::Bytes(length) => Kind::Bytes(length),
            Token::Name("true" | "false") => Kind::Bool,
            Token::Name("null") => Kind::Null,
            Token::Mark("(") => {
                self.next += 1;
                let node = self.expression()?;
                self.expect(")")?;
                return Ok((node, false));
            }
            Token::Mark("[") => return Ok((self.items(at)?, false)),
            Token::Mark("{") => return Ok((self.entries(at)?, false)),
            Token::Mark(".") | Token::Name(_) => return self.name(),
            Token::Mark("-") => {
                let signed = self.tokens.get(self.next + 1);
                let Some((_, Token::Number(number))) = signed else {
                    return self.unexpected(BEGINNINGS);
                };
                let is_double = *number == Number::Double;
                self.next += 1;
                if is_double { Kind::Double } else { Kind::Int }
            }
            _ => return self.unexpected(BEGINNINGS),
        };
        self.next += 1;
        Ok((Node::new(at, kind), false))
    }

    fn items(&mut self, at: usize) -> Parsed<Node> {
        self.next += 1;
        let mut optional = false;
        let items = self.list("]", |parser| {
            optional |= parser.eat("?");
            parser.expression()
        })?;
        Ok(if optional {
            Node::opaque(at)
        } else {
            Node::new(at, Kind::List(items))
        })
    }

    fn entries(&mut self, at: usize) -> Parsed<Node> {
        self.next += 1;
        let mut optional = false;
        let entries = self.list("}", |parser| {
            optional |= parser.eat("?");
            let key = parser.expression()?;
            parser.expect(":")?;
            Ok((key, parser.expression()?))
        })?;
        Ok(if optional {
            Node::opaque(at)
        } else {
            Node::new(at, Kind::Map(entries))
        })
    }

    fn name(&mut self) -> Parsed<(Node, bool)> {
        self.eat(".");
        let at = self.at();
        let Token::Name(_) = self.peek() else {
            return self.unexpected("IDENTIFIER");
        };
        let name = self.selector()?;
        if RESERVED.contains(&name.as_str()) {
            return fault(at, format!("reserved identifier: {name}"));
        }
        let open = self.at();
        if self.eat("(") {
            let args = self.list(")", Parser::expression)?;
            return Ok((Node::call(open, &name, args), false));
        }
        self.names_old |= name == "oldSelf";
        Ok((Node::new(at, Kind::Name(name)), true))
    }

    /// Items up to the closing mark, which was opened; lists and maps may end with a comma.
    fn list<T>(
        &mut self,
        close: &str,
        mut item: impl FnMut(&mut Self) -> Parsed<T>,
    ) -> Parsed<Vec<T>> {
        let mut items = Vec::new();
        while !self.eat(close) {
            items.push(item(self)?);
            if self.eat(close) {
                break;
            }
            self.expect(",")?;
            if close == ")" && self.peek() == Token::Mark(")") {
                return self.unexpected(BEGINNINGS);
            }
        }
        Ok(items)
    }
}

/// Gives `right` to all that wait for it and bind at least so tightly.
fn joined(waiting: &mut Vec<(Node, usize, Infix)>, right: Node, tightness: u8) -> Node {
    let mut joined = right;
    while waiting
        .last()
        .is_some_and(|(_, _, (_, own))| *own >= tightness)
        && let Some((left, at, (name, _))) = waiting.pop()
    {
        joined = Node::call(at, name, vec![left, joined]);
    }
    joined
}
