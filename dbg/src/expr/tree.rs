//! What an expression is made of.

/// An expression.
#[derive(Clone, PartialEq, Debug)]
pub enum Expr {
    /// A whole number, and the letters that say its type (`u`, `l`, `ul`...).
    Integer(u128, String),
    /// A floating-point number, and the letter that says its type.
    Float(f64, Option<char>),
    /// A character, with the prefix of its quotes.
    Character(u32, String),
    /// Text, with the prefix of its quotes.
    Text(Vec<u32>, String),
    /// A name, with the `::` it was written with.
    Name(String),
    /// A name that is local to a source file: the file, the name.
    Static(String, String),
    /// `$` and what follows: a register, a variable of ours, the history.
    Dollar(String),
    /// `a.b`.
    Member(Box<Expr>, String),
    /// `a->b`.
    Arrow(Box<Expr>, String),
    /// `a[i]`.
    Index(Box<Expr>, Box<Expr>),
    /// `a[low..high]`, `high` not among them.
    Slice(Box<Expr>, Box<Expr>, Box<Expr>),
    /// `a@count`.
    Repeat(Box<Expr>, Box<Expr>),
    /// `f(a, b)`.
    Call(Box<Expr>, Vec<Expr>),
    /// One operand.
    Unary(Unary, Box<Expr>),
    /// Two operands.
    Binary(Binary, Box<Expr>, Box<Expr>),
    /// `a = b`, or `a += b` with its operator.
    Assign(Option<Binary>, Box<Expr>, Box<Expr>),
    /// `a ? b : c`.
    Conditional(Box<Expr>, Box<Expr>, Box<Expr>),
    /// `(type) a`.
    Cast(TypeExpr, Box<Expr>),
    /// `sizeof a`.
    SizeOf(Box<Expr>),
    /// `sizeof (type)`.
    SizeOfType(TypeExpr),
    /// A type, where one may stand: for `ptype` and `whatis`.
    Type(TypeExpr),
}

/// An operator of one operand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unary {
    /// `-a`.
    Minus,
    /// `+a`.
    Plus,
    /// `!a`.
    Not,
    /// `~a`.
    Complement,
    /// `*a`.
    Dereference,
    /// `&a`.
    Address,
    /// `++a`, or `--a`.
    PreStep(bool),
    /// `a++`, or `a--`.
    PostStep(bool),
}

/// An operator of two operands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Binary {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    ShiftLeft,
    ShiftRight,
    BitAnd,
    BitOr,
    BitXor,
    And,
    Or,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Comma,
}

/// A type as it is written.
#[derive(Clone, PartialEq, Debug)]
pub struct TypeExpr {
    /// What it is built from.
    pub base: Base,
    /// What is built of it, innermost first.
    pub derive: Vec<Derive>,
}

/// The name that a type begins with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Base {
    /// Words of C's own, sorted into the usual name: `unsigned long`.
    Number(&'static str),
    /// `void`.
    Void,
    /// `struct name`, `union name`, `enum name`, `class name`.
    Tagged(&'static str, String),
    /// A typedef, or a class by its name.
    Name(String),
}

/// One step from a type to one built of it.
#[derive(Clone, PartialEq, Debug)]
pub enum Derive {
    /// A pointer to it.
    Pointer,
    /// A reference to it.
    Reference,
    /// An array of so many of it.
    Array(Option<u64>),
    /// A function that returns it.
    Function(Vec<TypeExpr>),
}
