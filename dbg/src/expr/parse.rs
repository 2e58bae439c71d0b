//! From tokens to a tree, by precedence.

use super::lex::{Lexeme, Token, lex};
use super::tree::{Base, Binary, Derive, Expr, TypeExpr, Unary};
use crate::value::{Error, Number};

/// Says which names are types: without that C cannot be parsed.
pub trait Names {
    /// Whether a name, qualified as it was written, is a type's.
    fn is_type(&self, name: &str) -> bool;
}

impl<F: Fn(&str) -> bool> Names for F {
    fn is_type(&self, name: &str) -> bool {
        self(name)
    }
}

/// Parses an expression; or a type, where the whole text is one.
pub fn parse(text: &str, names: &dyn Names) -> Result<Expr, Error> {
    let mut parser = Parser::new(text, names)?;
    if let Some(ty) = parser.whole_type()? {
        return Ok(Expr::Type(ty));
    }
    let expr = parser.comma()?;
    parser.expect_end()?;
    Ok(expr)
}

/// Parses a type.
pub fn parse_type(text: &str, names: &dyn Names) -> Result<TypeExpr, Error> {
    let mut parser = Parser::new(text, names)?;
    match parser.whole_type()? {
        Some(ty) => Ok(ty),
        None => Err(Error::new(format_args!("No type named {}.", text.trim()))),
    }
}

/// How deep an expression may nest.
const MAX_DEPTH: u32 = 100;

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Lexeme>,
    at: usize,
    names: &'a dyn Names,
    depth: u32,
}

/// The binary operators, and how tightly each binds.
const OPERATORS: [(&str, Binary, u8); 18] = [
    ("||", Binary::Or, 1),
    ("&&", Binary::And, 2),
    ("|", Binary::BitOr, 3),
    ("^", Binary::BitXor, 4),
    ("&", Binary::BitAnd, 5),
    ("==", Binary::Equal, 6),
    ("!=", Binary::NotEqual, 6),
    ("<", Binary::Less, 7),
    (">", Binary::Greater, 7),
    ("<=", Binary::LessEqual, 7),
    (">=", Binary::GreaterEqual, 7),
    ("<<", Binary::ShiftLeft, 8),
    (">>", Binary::ShiftRight, 8),
    // `@` binds tighter than shifts and looser than `+`.
    ("+", Binary::Add, 10),
    ("-", Binary::Subtract, 10),
    ("*", Binary::Multiply, 11),
    ("/", Binary::Divide, 11),
    ("%", Binary::Remainder, 11),
];

const REPEAT_BINDS: u8 = 9;

impl<'a> Parser<'a> {
    /// At the beginning of a text.
    fn new(text: &'a str, names: &'a dyn Names) -> Result<Parser<'a>, Error> {
        Ok(Parser {
            text,
            tokens: lex(text)?,
            at: 0,
            names,
            depth: 0,
        })
    }
}

impl Parser<'_> {
    fn peek(&self) -> &Token {
        &self.tokens[self.at].token
    }

    fn peek_at(&self, ahead: usize) -> &Token {
        let last = self.tokens.len() - 1;
        &self.tokens[(self.at + ahead).min(last)].token
    }

    fn is(&self, sign: &str) -> bool {
        matches!(self.peek(), Token::Sign(other) if *other == sign)
    }

    fn take(&mut self, sign: &str) -> bool {
        let is = self.is(sign);
        self.at += usize::from(is);
        is
    }

    fn bump(&mut self) {
        if self.at + 1 < self.tokens.len() {
            self.at += 1;
        }
    }

    fn expect(&mut self, sign: &str) -> Result<(), Error> {
        if self.take(sign) {
            Ok(())
        } else {
            Err(self.unexpected())
        }
    }

    fn unexpected(&self) -> Error {
        let rest = &self.text[self.tokens[self.at].start..];
        Error::new(format_args!("A syntax error in expression, near `{rest}'."))
    }

    fn expect_end(&self) -> Result<(), Error> {
        if *self.peek() == Token::End {
            Ok(())
        } else {
            Err(self.unexpected())
        }
    }

    fn comma(&mut self) -> Result<Expr, Error> {
        let mut left = self.assignment()?;
        while self.take(",") {
            let right = self.assignment()?;
            left = Expr::Binary(Binary::Comma, left.into(), right.into());
        }
        Ok(left)
    }

    fn assignment(&mut self) -> Result<Expr, Error> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Error::new("The expression is nested too deep."));
        }
        let expr = self.assignment_within();
        self.depth -= 1;
        expr
    }

    fn assignment_within(&mut self) -> Result<Expr, Error> {
        let left = self.conditional()?;
        if self.take("=") {
            let right = self.assignment()?;
            return Ok(Expr::Assign(None, left.into(), right.into()));
        }
        for (sign, operator, _) in OPERATORS {
            if let Token::Sign(next) = self.peek()
                && next.strip_suffix('=') == Some(sign)
                && !matches!(*next, "==" | "<=" | ">=" | "!=")
            {
                self.bump();
                let right = self.assignment()?;
                return Ok(Expr::Assign(Some(operator), left.into(), right.into()));
            }
        }
        Ok(left)
    }

    fn conditional(&mut self) -> Result<Expr, Error> {
        let condition = self.binary(0)?;
        if !self.take("?") {
            return Ok(condition);
        }
        let then = self.comma()?;
        self.expect(":")?;
        let otherwise = self.assignment()?;
        Ok(Expr::Conditional(
            condition.into(),
            then.into(),
            otherwise.into(),
        ))
    }

    fn binary(&mut self, least: u8) -> Result<Expr, Error> {
        let mut left = self.unary()?;
        loop {
            if self.is("@") && REPEAT_BINDS >= least {
                self.bump();
                let count = self.binary(REPEAT_BINDS + 1)?;
                left = Expr::Repeat(left.into(), count.into());
                continue;
            }
            let Token::Sign(sign) = *self.peek() else {
                return Ok(left);
            };
            let Some(&(_, operator, binds)) = OPERATORS.iter().find(|(s, ..)| *s == sign) else {
                return Ok(left);
            };
            if binds < least {
                return Ok(left);
            }
            self.bump();
            let right = self.binary(binds + 1)?;
            left = Expr::Binary(operator, left.into(), right.into());
        }
    }

    fn unary(&mut self) -> Result<Expr, Error> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Error::new("The expression is nested too deep."));
        }
        let expr = self.unary_within();
        self.depth -= 1;
        expr
    }

    fn unary_within(&mut self) -> Result<Expr, Error> {
        let operator = match self.peek() {
            Token::Sign("-") => Unary::Minus,
            Token::Sign("+") => Unary::Plus,
            Token::Sign("!") => Unary::Not,
            Token::Sign("~") => Unary::Complement,
            Token::Sign("*") => Unary::Dereference,
            Token::Sign("&") => Unary::Address,
            Token::Sign("++") => Unary::PreStep(true),
            Token::Sign("--") => Unary::PreStep(false),
            Token::Name(name) if name == "sizeof" => return self.size_of(),
            Token::Sign("(") => {
                if let Some(ty) = self.type_in_brackets()? {
                    return Ok(Expr::Cast(ty, self.unary()?.into()));
                }
                return self.postfix();
            }
            _ => return self.postfix(),
        };
        self.bump();
        Ok(Expr::Unary(operator, self.unary()?.into()))
    }

    fn size_of(&mut self) -> Result<Expr, Error> {
        self.bump();
        if self.is("(")
            && let Some(ty) = self.type_in_brackets()?
        {
            return Ok(Expr::SizeOfType(ty));
        }
        Ok(Expr::SizeOf(self.unary()?.into()))
    }

    /// A type in brackets, where one stands there and an operand could follow.
    fn type_in_brackets(&mut self) -> Result<Option<TypeExpr>, Error> {
        let before = self.at;
        self.expect("(")?;
        if let Some(ty) = self.type_name()?
            && self.take(")")
        {
            return Ok(Some(ty));
        }
        self.at = before;
        Ok(None)
    }

    fn postfix(&mut self) -> Result<Expr, Error> {
        let mut expr = self.primary()?;
        loop {
            if self.take("[") {
                let low = self.comma()?;
                if self.take("..") {
                    let high = self.comma()?;
                    expr = Expr::Slice(expr.into(), low.into(), high.into());
                } else {
                    expr = Expr::Index(expr.into(), low.into());
                }
                self.expect("]")?;
            } else if self.take("(") {
                let mut arguments = Vec::new();
                while !self.is(")") {
                    arguments.push(self.assignment()?);
                    if !self.take(",") {
                        break;
                    }
                }
                self.expect(")")?;
                expr = Expr::Call(expr.into(), arguments);
            } else if self.take(".") {
                expr = Expr::Member(expr.into(), self.member()?);
            } else if self.take("->") {
                expr = Expr::Arrow(expr.into(), self.member()?);
            } else if self.take("++") {
                expr = Expr::Unary(Unary::PostStep(true), expr.into());
            } else if self.take("--") {
                expr = Expr::Unary(Unary::PostStep(false), expr.into());
            } else {
                return Ok(expr);
            }
        }
    }

    fn member(&mut self) -> Result<String, Error> {
        match self.peek().clone() {
            Token::Name(name) => {
                self.bump();
                let mut name = name;
                // `object.Base::member`.
                while self.is("::") {
                    self.bump();
                    let Token::Name(next) = self.peek().clone() else {
                        return Err(self.unexpected());
                    };
                    self.bump();
                    name = format!("{name}::{next}");
                }
                Ok(name)
            }
            _ => Err(self.unexpected()),
        }
    }

    fn primary(&mut self) -> Result<Expr, Error> {
        let expr = match self.peek().clone() {
            Token::Integer(value, suffix) => Expr::Integer(value, suffix),
            Token::Float(value, suffix) => Expr::Float(value, suffix),
            Token::Character(unit, prefix) => {
                if matches!(self.peek_at(1), Token::Sign("::")) {
                    let name = char::from_u32(unit).unwrap_or('?').to_string();
                    return self.file_static(name);
                }
                Expr::Character(unit, prefix)
            }
            Token::Text(mut units, prefix) => {
                // Neighbours are one text.
                while let Token::Text(more, _) = self.peek_at(1).clone() {
                    units.extend(more);
                    self.bump();
                }
                Expr::Text(units, prefix)
            }
            Token::Quoted(name) => {
                if matches!(self.peek_at(1), Token::Sign("::")) {
                    return self.file_static(name);
                }
                Expr::Name(name)
            }
            Token::Dollar(name) => Expr::Dollar(name),
            Token::Sign("(") => {
                self.bump();
                let inner = self.comma()?;
                self.expect(")")?;
                return Ok(inner);
            }
            Token::Name(_) | Token::Sign("::") => return Ok(Expr::Name(self.path()?)),
            _ => return Err(self.unexpected()),
        };
        self.bump();
        Ok(expr)
    }

    fn file_static(&mut self, file: String) -> Result<Expr, Error> {
        self.bump();
        self.expect("::")?;
        Ok(Expr::Static(file, self.path()?))
    }

    /// A name with its scopes, and with template arguments where a type or a
    /// scope has them.
    fn path(&mut self) -> Result<String, Error> {
        let mut path = String::new();
        if self.take("::") {
            path.push_str("::");
        }
        loop {
            match self.peek().clone() {
                Token::Name(name) => path.push_str(&name),
                Token::Sign("~") if path.ends_with("::") => {
                    path.push('~');
                    self.bump();
                    continue;
                }
                Token::Sign("{") => {
                    // Rust's `{closure#0}` and `{impl#1}`.
                    let start = self.tokens[self.at].start;
                    let length = self.text[start..]
                        .find('}')
                        .ok_or_else(|| self.unexpected())?;
                    path.push_str(&self.text[start..=start + length]);
                    while self.tokens[self.at].start < start + length {
                        self.bump();
                    }
                }
                _ => return Err(self.unexpected()),
            }
            self.bump();
            if self.is("<")
                && let Some(arguments) = self.template_arguments(&path)
            {
                path.push_str(&arguments);
            }
            if !self.is("::") {
                return Ok(path);
            }
            self.bump();
            path.push_str("::");
        }
    }

    /// The template arguments that follow a name, as they are written, where
    /// name and arguments together are a type's or lead on to a member.
    fn template_arguments(&mut self, name: &str) -> Option<String> {
        let mut depth = 0;
        let mut at = self.at;
        loop {
            match &self.tokens.get(at)?.token {
                Token::Sign("<") => depth += 1,
                Token::Sign(">") => depth -= 1,
                Token::Sign(">>") => depth -= 2,
                Token::End => return None,
                _ => {}
            }
            at += 1;
            if depth <= 0 {
                break;
            }
        }
        let text = &self.text[self.tokens[self.at].start..self.tokens[at - 1].end];
        let leads_on = matches!(self.tokens.get(at)?.token, Token::Sign("::"));
        if !leads_on && !self.names.is_type(&format!("{name}{text}")) {
            return None;
        }
        self.at = at;
        Some(text.to_owned())
    }

    /// The whole text as a type; an expression it is then not.
    fn whole_type(&mut self) -> Result<Option<TypeExpr>, Error> {
        let before = self.at;
        if let Some(ty) = self.type_name()?
            && *self.peek() == Token::End
        {
            return Ok(Some(ty));
        }
        self.at = before;
        Ok(None)
    }

    /// A type: its base and its abstract declarator. `None`, with nothing
    /// taken, where none begins here.
    fn type_name(&mut self) -> Result<Option<TypeExpr>, Error> {
        let before = self.at;
        let Some(base) = self.base()? else {
            self.at = before;
            return Ok(None);
        };
        let mut derive = Vec::new();
        self.declarator(&mut derive)?;
        Ok(Some(TypeExpr { base, derive }))
    }

    fn qualifier(&mut self) -> bool {
        let is = matches!(self.peek(), Token::Name(name)
            if matches!(&name[..], "const" | "volatile" | "restrict" | "_Atomic"));
        if is {
            self.bump();
        }
        is
    }

    fn base(&mut self) -> Result<Option<Base>, Error> {
        while self.qualifier() {}
        let Token::Name(name) = self.peek().clone() else {
            return Ok(None);
        };
        let tag = ["struct", "union", "enum", "class"]
            .into_iter()
            .find(|tag| **tag == name);
        let base = if let Some(tag) = tag {
            self.bump();
            if !matches!(self.peek(), Token::Name(_)) {
                return Err(self.unexpected());
            }
            Some(Base::Tagged(tag, self.path()?))
        } else if name == "void" {
            self.bump();
            Some(Base::Void)
        } else if let Some(number) = self.number_words() {
            Some(Base::Number(number))
        } else {
            let path = self.path()?;
            self.names.is_type(&path).then_some(Base::Name(path))
        };
        while base.is_some() && self.qualifier() {}
        Ok(base)
    }

    /// The words of a number type, in any order, as C allows.
    fn number_words(&mut self) -> Option<&'static str> {
        let before = self.at;
        let mut words: Vec<String> = Vec::new();
        while let Token::Name(word) = self.peek() {
            match &word[..] {
                "const" | "volatile" if !words.is_empty() => {}
                "signed" | "unsigned" | "char" | "short" | "int" | "long" | "float" | "double"
                | "_Bool" | "bool" | "__int128" => words.push(word.clone()),
                _ => break,
            }
            self.bump();
        }
        let has = |word: &str| words.iter().any(|other| other == word);
        let longs = words.iter().filter(|word| *word == "long").count();
        let unsigned = has("unsigned");
        let pick = |signed, other| Some(if unsigned { other } else { signed });
        let name = match () {
            () if words.is_empty() => None,
            () if has("char") && has("signed") => Some("signed char"),
            () if has("char") => pick("char", "unsigned char"),
            () if has("short") => pick("short", "unsigned short"),
            () if has("__int128") => pick("__int128", "unsigned __int128"),
            () if has("double") && longs > 0 => Some("long double"),
            () if has("double") => Some("double"),
            () if has("float") => Some("float"),
            () if has("bool") || has("_Bool") => Some("bool"),
            () if longs >= 2 => pick("long long", "unsigned long long"),
            () if longs == 1 => pick("long", "unsigned long"),
            () => pick("int", "unsigned int"),
        };
        if name.is_none() {
            self.at = before;
        }
        debug_assert!(name.is_none_or(|name| Number::ALL.iter().any(|one| one.name == name)));
        name
    }

    /// An abstract declarator: what is built of the base, innermost first.
    fn declarator(&mut self, derive: &mut Vec<Derive>) -> Result<(), Error> {
        while self.qualifier() {}
        if self.take("*") {
            derive.push(Derive::Pointer);
            return self.declarator(derive);
        }
        if self.take("&") || self.take("&&") {
            derive.push(Derive::Reference);
            return self.declarator(derive);
        }
        // `(*)(int)`: what is in the brackets is built of what stands behind.
        let mut inner = Vec::new();
        if self.is("(") && matches!(self.peek_at(1), Token::Sign("*" | "&" | "(")) {
            self.bump();
            self.declarator(&mut inner)?;
            self.expect(")")?;
        }
        let mut suffixes = Vec::new();
        loop {
            if self.take("[") {
                let count = match self.peek() {
                    Token::Integer(count, _) => {
                        let count = u64::try_from(*count).map_err(|_| self.unexpected())?;
                        self.bump();
                        Some(count)
                    }
                    _ => None,
                };
                self.expect("]")?;
                suffixes.push(Derive::Array(count));
            } else if self.is("(") && (!inner.is_empty() || self.begins_parameters()) {
                self.bump();
                suffixes.push(Derive::Function(self.parameters()?));
            } else {
                break;
            }
        }
        derive.extend(suffixes.into_iter().rev());
        derive.extend(inner);
        Ok(())
    }

    /// Whether the brackets here hold parameters rather than an operand.
    fn begins_parameters(&self) -> bool {
        match self.peek_at(1) {
            Token::Sign(")") => true,
            Token::Name(name) => {
                name == "void"
                    || Number::ALL.iter().any(|n| n.name == name)
                    || self.names.is_type(name)
            }
            _ => false,
        }
    }

    fn parameters(&mut self) -> Result<Vec<TypeExpr>, Error> {
        let mut parameters = Vec::new();
        while !self.is(")") {
            let ty = self.type_name()?.ok_or_else(|| self.unexpected())?;
            parameters.push(ty);
            if !self.take(",") {
                break;
            }
        }
        self.expect(")")?;
        if let [
            TypeExpr {
                base: Base::Void,
                derive,
            },
        ] = &parameters[..]
            && derive.is_empty()
        {
            parameters.clear();
        }
        Ok(parameters)
    }
}
