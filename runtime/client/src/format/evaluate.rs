//! The text of a template for one document.

use super::number::Number;
use super::template::{Expression, Node, Template, wrong};
use super::value::{elements, is_true, length, member, members, of_text, print};
use base::{Error, Result};

/// `.`, `$`, and the variables so far.
#[derive(Clone)]
struct Scope {
    dot: String,
    variables: Vec<(String, String)>,
}

impl Template {
    pub(crate) fn apply(&self, document: &str) -> Result<String> {
        let mut scope = Scope {
            dot: document.to_string(),
            variables: vec![("$".to_string(), document.to_string())],
        };
        let mut out = String::new();
        run(&self.0, &mut scope, &mut out)?;
        Ok(out)
    }
}

fn run(nodes: &[Node], scope: &mut Scope, out: &mut String) -> Result<()> {
    for node in nodes {
        match node {
            Node::Text(text) => out.push_str(text),
            Node::Print(expression) => out.push_str(&print(&value_of(expression, scope)?)?),
            Node::Set(name, expression) => {
                let value = value_of(expression, scope)?;
                scope.variables.push((name.clone(), value));
            }
            Node::If(condition, then, otherwise) => {
                let branch = if is_true(&value_of(condition, scope)?) { then } else { otherwise };
                run(branch, &mut scope.clone(), out)?;
            }
            Node::With(of, then, otherwise) => {
                let value = value_of(of, scope)?;
                if is_true(&value) {
                    run(then, &mut Scope { dot: value, ..scope.clone() }, out)?;
                } else {
                    run(otherwise, &mut scope.clone(), out)?;
                }
            }
            Node::Range { names, of, body, otherwise } => {
                let value = value_of(of, scope)?;
                let rows = rows(&value)?;
                if rows.is_empty() {
                    run(otherwise, &mut scope.clone(), out)?;
                }
                for (key, element) in rows {
                    let mut inner = Scope { dot: element.to_string(), ..scope.clone() };
                    let values: &[&str] = match names.len() {
                        1 => &[element],
                        _ => &[&key, element],
                    };
                    let named = names.iter().zip(values);
                    inner
                        .variables
                        .extend(named.map(|(name, value)| (name.clone(), value.to_string())));
                    run(body, &mut inner, out)?;
                }
            }
        }
    }
    Ok(())
}

/// Keys and elements; a list's keys are numbers.
fn rows(value: &str) -> Result<Vec<(String, &str)>> {
    if value.starts_with('{') {
        let named = members(value)?.into_iter();
        return Ok(named.map(|(name, element)| (of_text(&name), element)).collect());
    }
    let elements = elements(value)?.into_iter().enumerate();
    Ok(elements.map(|(number, element)| (number.to_string(), element)).collect())
}

fn fields(value: String, path: &[String], whole: &str) -> Result<String> {
    let mut value = value;
    for name in path {
        let missing = || wrong(&[whole, ".", &path.join(".")].concat(), "no such field");
        value = member(&value, name)?.ok_or_else(missing)?;
    }
    Ok(value)
}

fn value_of(expression: &Expression, scope: &Scope) -> Result<String> {
    match expression {
        Expression::Field(path) => fields(scope.dot.clone(), path, ""),
        Expression::Variable(name, path) => {
            let found = scope.variables.iter().rev().find(|(own, _)| own == name);
            let (_, value) = found.ok_or_else(|| wrong(name, "undefined variable"))?;
            fields(value.clone(), path, name)
        }
        Expression::Literal(json) => Ok(json.clone()),
        Expression::Member(inside, path) => fields(value_of(inside, scope)?, path, "(…)"),
        Expression::Call(function, operands) => {
            // What decides the result is enough.
            if ["and", "or"].contains(function) {
                let mut last = String::from("false");
                for operand in operands {
                    last = value_of(operand, scope)?;
                    if is_true(&last) == (*function == "or") {
                        break;
                    }
                }
                return Ok(last);
            }
            let values: Result<Vec<String>> =
                operands.iter().map(|operand| value_of(operand, scope)).collect();
            let values = values?;
            call(function, &values.iter().map(String::as_str).collect::<Vec<_>>())
        }
    }
}

fn call(function: &str, values: &[&str]) -> Result<String> {
    let count =
        || Error::bad_input(["template: ", function, ": wrong number of arguments"].concat());
    let printed =
        |values: &[&str]| values.iter().map(|value| print(value)).collect::<Result<Vec<_>>>();
    let truth = |truth: bool| Ok(truth.to_string());
    match (function, values) {
        ("json", [value]) => Ok(of_text(value)),
        ("len", [value]) => Ok(length(value)?.to_string()),
        ("upper", [value]) => Ok(of_text(&print(value)?.to_ascii_uppercase())),
        ("lower", [value]) => Ok(of_text(&print(value)?.to_ascii_lowercase())),
        ("title", [value]) => Ok(of_text(&title(&print(value)?))),
        ("not", [value]) => truth(!is_true(value)),
        ("join", [list, between]) => {
            Ok(of_text(&printed(&elements(list)?)?.join(&print(between)?)))
        }
        ("split", [text, at]) => {
            let (text, at) = (print(text)?, print(at)?);
            let parts: Vec<String> = text.split(at.as_str()).map(str::to_string).collect();
            Ok(base::json::to_string(&parts))
        }
        ("truncate", [text, number]) => {
            let number = number.parse().map_err(|_| count())?;
            Ok(of_text(&print(text)?.chars().take(number).collect::<String>()))
        }
        ("index", [value, keys @ ..]) => {
            let mut value = value.to_string();
            for key in keys {
                value = index(&value, key)?;
            }
            Ok(value)
        }
        ("print", values) => Ok(of_text(&printed(values)?.concat())),
        ("println", values) => Ok(of_text(&[&printed(values)?.join(" "), "\n"].concat())),
        ("printf", [form, values @ ..]) => Ok(of_text(&formatted(&print(form)?, values)?)),
        ("eq", [first, others @ ..]) if !others.is_empty() => {
            truth(others.iter().any(|other| order(first, other).is_some_and(|is| is.is_eq())))
        }
        ("ne", [one, other]) => truth(order(one, other).is_none_or(|is| is.is_ne())),
        ("lt", [one, other]) => truth(order(one, other).is_some_and(|is| is.is_lt())),
        ("le", [one, other]) => truth(order(one, other).is_some_and(|is| is.is_le())),
        ("gt", [one, other]) => truth(order(one, other).is_some_and(|is| is.is_gt())),
        ("ge", [one, other]) => truth(order(one, other).is_some_and(|is| is.is_ge())),
        _ => Err(count()),
    }
}

/// Numbers by size, everything else as text.
fn order(one: &str, other: &str) -> Option<std::cmp::Ordering> {
    match (Number::parse(one), Number::parse(other)) {
        (Some(one), Some(other)) => Some(one.cmp(&other)),
        _ => Some(print(one).ok()?.cmp(&print(other).ok()?)),
    }
}

/// An element or a member. A member that is not there is nothing, as Go has it for maps.
fn index(value: &str, key: &str) -> Result<String> {
    if value.starts_with('{') {
        return Ok(member(value, &print(key)?)?.unwrap_or_else(|| of_text("")));
    }
    let number: Option<usize> = key.parse().ok();
    let elements = elements(value)?;
    let found = number.and_then(|number| elements.get(number));
    let missing = || Error::bad_input(["template: index ", key, ": out of range"].concat());
    found.map(|element| element.to_string()).ok_or_else(missing)
}

fn title(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}

/// `%s`, `%v`, `%d`, `%t` print, `%q` prints in quotes.
fn formatted(form: &str, values: &[&str]) -> Result<String> {
    let mut out = String::new();
    let mut values = values.iter();
    let mut letters = form.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            out.push(letter);
            continue;
        }
        match letters.next() {
            Some('%') => out.push('%'),
            Some(kind @ ('s' | 'v' | 'd' | 't' | 'q')) => {
                let missing = || Error::bad_input("template: printf: a value is missing");
                let value = print(values.next().ok_or_else(missing)?)?;
                match kind {
                    'q' => out.push_str(&of_text(&value)),
                    _ => out.push_str(&value),
                }
            }
            other => {
                let other = other.map_or(String::new(), |letter| letter.to_string());
                let text = ["template: printf: %", &other, " is not known"].concat();
                return Err(Error::bad_input(text));
            }
        }
    }
    Ok(out)
}
