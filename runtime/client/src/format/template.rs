//! From the text of a template to its parts.

use super::number::Number;
use base::{Error, Result};

/// So deep may blocks and brackets lie in each other.
const DEEPEST: usize = 32;

/// A template, read.
pub(crate) struct Template(pub(super) Vec<Node>);

pub(super) enum Node {
    Text(String),
    Print(Expression),
    Set(String, Expression),
    /// What is done if it is true, and if not.
    If(Expression, Vec<Node>, Vec<Node>),
    /// The same; in the first, `.` is the value.
    With(Expression, Vec<Node>, Vec<Node>),
    /// For each element, with the names of its key and itself; the second when there is none.
    Range {
        names: Vec<String>,
        of: Expression,
        body: Vec<Node>,
        otherwise: Vec<Node>,
    },
}

pub(super) enum Expression {
    /// `.A.B`
    Field(Vec<String>),
    /// `$x.A`
    Variable(String, Vec<String>),
    /// JSON.
    Literal(String),
    Call(&'static str, Vec<Expression>),
    /// `(…).A`
    Member(Box<Expression>, Vec<String>),
}

/// The functions that are known.
pub(super) const FUNCTIONS: [&str; 21] = [
    "and", "eq", "ge", "gt", "index", "join", "json", "le", "len", "lower", "lt", "ne", "not",
    "or", "print", "printf", "println", "split", "title", "truncate", "upper",
];

pub(super) fn wrong(action: &str, why: &str) -> Error {
    Error::bad_input(["template parsing error: {{", action, "}}: ", why].concat())
}

/// Text, or what stands in braces.
enum Piece<'a> {
    Text(String),
    Action(&'a str),
}

fn pieces(text: &str) -> Result<Vec<Piece<'_>>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    let mut trim = false;
    while let Some((before, after)) = rest.split_once("{{") {
        let mut before = if trim { before.trim_start() } else { before };
        let end = end_of(after).ok_or_else(|| wrong(after, "it is not closed"))?;
        let mut inside = &after[..end];
        if let Some(bare) = inside.strip_prefix("- ") {
            before = before.trim_end();
            inside = bare;
        }
        pieces.push(Piece::Text(before.to_string()));
        trim = inside.ends_with(" -");
        inside = inside.strip_suffix(" -").unwrap_or(inside);
        pieces.push(Piece::Action(inside.trim()));
        rest = &after[end + 2..];
    }
    let rest = if trim { rest.trim_start() } else { rest };
    pieces.push(Piece::Text(rest.to_string()));
    Ok(pieces)
}

/// Where the closing braces are: not in a text.
fn end_of(text: &str) -> Option<usize> {
    let mut quote = None;
    let mut letters = text.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        match (letter, quote) {
            ('\\', Some('"')) => drop(letters.next()),
            (letter, Some(open)) if letter == open => quote = None,
            (_, Some(_)) => (),
            ('"' | '`', None) => quote = Some(letter),
            ('}', None) if letters.peek().is_some_and(|(_, next)| *next == '}') => return Some(at),
            _ => (),
        }
    }
    None
}

impl Template {
    pub(crate) fn parse(text: &str) -> Result<Template> {
        let mut pieces = pieces(text)?.into_iter();
        let (nodes, end) = block(&mut pieces, 0)?;
        match end {
            None => Ok(Template(nodes)),
            Some(action) => Err(wrong(action, "there is nothing that it could end")),
        }
    }

    /// The fields' last names, for a table's head.
    pub(crate) fn names(&self) -> Vec<&str> {
        let mut names = Vec::new();
        for node in &self.0 {
            if let Node::Print(expression) = node {
                names.extend(field_of(expression).and_then(|path| path.last()).map(String::as_str));
            }
        }
        names
    }
}

fn field_of(expression: &Expression) -> Option<&Vec<String>> {
    match expression {
        Expression::Field(path) => Some(path),
        Expression::Call(_, operands) => operands.iter().find_map(field_of),
        _ => None,
    }
}

/// Nodes up to `end` or `else`, which is given.
fn block<'a>(
    pieces: &mut std::vec::IntoIter<Piece<'a>>,
    depth: usize,
) -> Result<(Vec<Node>, Option<&'a str>)> {
    let mut nodes = Vec::new();
    while let Some(piece) = pieces.next() {
        let action = match piece {
            Piece::Text(text) => {
                nodes.push(Node::Text(text));
                continue;
            }
            Piece::Action(action) => action,
        };
        if depth > DEEPEST {
            return Err(wrong(action, "nested too deep"));
        }
        let (word, rest) = action.split_once(char::is_whitespace).unwrap_or((action, ""));
        match word {
            _ if action.starts_with("/*") && action.ends_with("*/") => (),
            "end" | "else" => return Ok((nodes, Some(action))),
            "if" | "with" | "range" => nodes.push(branch(action, word, rest, pieces, depth)?),
            _ => nodes.push(statement(action)?),
        }
    }
    Ok((nodes, None))
}

/// `if`, `with` or `range`, up to its `end`.
fn branch<'a>(
    action: &str,
    word: &str,
    rest: &str,
    pieces: &mut std::vec::IntoIter<Piece<'a>>,
    depth: usize,
) -> Result<Node> {
    let (names, rest) = match rest.split_once(":=") {
        Some((names, rest)) if names.trim_start().starts_with('$') => {
            let names = names.split(',').map(|name| name.trim().to_string()).collect();
            (names, rest)
        }
        _ => (Vec::new(), rest),
    };
    let of = expression(action, rest)?;
    let unclosed = || wrong(action, "its end is missing");
    let (body, end) = block(pieces, depth + 1)?;
    let end = end.ok_or_else(unclosed)?;
    let otherwise = match end.strip_prefix("else").map(str::trim) {
        None => Vec::new(),
        Some("") => {
            let (nodes, end) = block(pieces, depth + 1)?;
            match end {
                Some("end") => nodes,
                _ => return Err(unclosed()),
            }
        }
        // `else if …`: the same block's end is this one's.
        Some(next) => {
            let (word, rest) = next.split_once(char::is_whitespace).unwrap_or((next, ""));
            if word != "if" {
                return Err(wrong(end, "only if can follow"));
            }
            vec![branch(end, word, rest, pieces, depth + 1)?]
        }
    };
    if names.len() > if word == "range" { 2 } else { 1 } {
        return Err(wrong(action, "too many variables"));
    }
    Ok(match word {
        "range" => Node::Range { names, of, body, otherwise },
        "with" => Node::With(of, body, otherwise),
        _ => Node::If(of, body, otherwise),
    })
}

fn statement(action: &str) -> Result<Node> {
    match action.split_once(":=") {
        Some((name, rest)) if name.starts_with('$') => {
            Ok(Node::Set(name.trim().to_string(), expression(action, rest)?))
        }
        _ => expression(action, action).map(Node::Print),
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Open,
    /// With the field that follows it at once.
    Close(String),
    Pipe,
}

fn tokens(action: &str, text: &str) -> Result<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            letter if letter.is_whitespace() => (),
            '(' => tokens.push(Token::Open),
            '|' => tokens.push(Token::Pipe),
            '"' | '`' => {
                let mut inside = String::new();
                loop {
                    match letters.next() {
                        None => return Err(wrong(action, "a text is not closed")),
                        Some(end) if end == letter => break,
                        Some('\\') if letter == '"' => match letters.next() {
                            Some('n') => inside.push('\n'),
                            Some('t') => inside.push('\t'),
                            Some(other) => inside.push(other),
                            None => return Err(wrong(action, "a text is not closed")),
                        },
                        Some(other) => inside.push(other),
                    }
                }
                tokens.push(Token::Text(inside));
            }
            first => {
                let mut word = String::from(first);
                let ends = |next: &char| next.is_whitespace() || "()|\"`".contains(*next);
                while let Some(next) = letters.next_if(|next| !ends(next)) {
                    word.push(next);
                }
                if first == ')' {
                    tokens.push(Token::Close(word.split_off(1)));
                } else {
                    tokens.push(Token::Word(word));
                }
            }
        }
    }
    Ok(tokens)
}

fn expression(action: &str, text: &str) -> Result<Expression> {
    let tokens = tokens(action, text)?;
    let mut rest = tokens.as_slice();
    let found = pipeline(action, &mut rest, 0)?;
    match rest {
        [] => Ok(found),
        _ => Err(wrong(action, "it makes no sense")),
    }
}

/// Commands with pipes between: what one gives is the last operand of the next.
fn pipeline(action: &str, rest: &mut &[Token], depth: usize) -> Result<Expression> {
    if depth > DEEPEST {
        return Err(wrong(action, "nested too deep"));
    }
    let mut piped = None;
    loop {
        let found = command(action, rest, depth, piped.take())?;
        match rest.first() {
            Some(Token::Pipe) => {
                *rest = &rest[1..];
                piped = Some(found);
            }
            _ => return Ok(found),
        }
    }
}

fn command(
    action: &str,
    rest: &mut &[Token],
    depth: usize,
    piped: Option<Expression>,
) -> Result<Expression> {
    let function = match rest.first() {
        Some(Token::Word(word)) => FUNCTIONS.into_iter().find(|name| name == word),
        _ => None,
    };
    let Some(function) = function else {
        return match piped {
            None => operand(action, rest, depth),
            Some(_) => Err(wrong(action, "only a function can follow a pipe")),
        };
    };
    *rest = &rest[1..];
    let mut operands = Vec::new();
    while !matches!(rest.first(), None | Some(Token::Pipe | Token::Close(_))) {
        operands.push(operand(action, rest, depth)?);
    }
    operands.extend(piped);
    Ok(Expression::Call(function, operands))
}

fn operand(action: &str, rest: &mut &[Token], depth: usize) -> Result<Expression> {
    let Some((first, after)) = rest.split_first() else {
        return Err(wrong(action, "something is missing"));
    };
    *rest = after;
    match first {
        Token::Text(text) => Ok(Expression::Literal(super::value::of_text(text))),
        Token::Open => {
            let inside = pipeline(action, rest, depth + 1)?;
            let Some((Token::Close(field), after)) = rest.split_first() else {
                return Err(wrong(action, "a bracket is not closed"));
            };
            *rest = after;
            match field.as_str() {
                "" => Ok(inside),
                field => Ok(Expression::Member(Box::new(inside), path(action, field)?)),
            }
        }
        Token::Word(word) if word == "." => Ok(Expression::Field(Vec::new())),
        Token::Word(word) if word.starts_with('.') => Ok(Expression::Field(path(action, word)?)),
        Token::Word(word) if word.starts_with('$') => {
            let (name, field) = match word.find('.') {
                Some(at) => (&word[..at], path(action, &word[at..])?),
                None => (word.as_str(), Vec::new()),
            };
            Ok(Expression::Variable(name.to_string(), field))
        }
        Token::Word(word) if ["true", "false"].contains(&word.as_str()) => {
            Ok(Expression::Literal(word.clone()))
        }
        Token::Word(word) if word == "nil" => Ok(Expression::Literal("null".to_string())),
        Token::Word(word) if Number::parse(word).is_some() => Ok(Expression::Literal(word.clone())),
        Token::Word(word) => Err(wrong(action, &["function \"", word, "\" not defined"].concat())),
        Token::Close(_) | Token::Pipe => Err(wrong(action, "it makes no sense")),
    }
}

/// `.A.B`
fn path(action: &str, text: &str) -> Result<Vec<String>> {
    let names = text.strip_prefix('.').unwrap_or_default().split('.');
    let names: Vec<String> = names.map(str::to_string).collect();
    match names.iter().any(String::is_empty) {
        true => Err(wrong(action, "it makes no sense")),
        false => Ok(names),
    }
}
