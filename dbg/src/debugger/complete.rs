//! [`Debugger::complete`]: what a line that is being typed may go on with.
//!
//! Commands, their second words, functions, source files, and in expressions
//! variables, registers and the members of what stands before a `.` or `->`.
//! Nothing is called and nothing in the program changes.

use std::collections::BTreeSet;

use sapwood_dwarf::{ModuleId, TypeKind};

use super::Debugger;
use crate::expr;
use crate::parse;
use crate::value::{Shape, Type};

/// More candidates than anybody reads.
const MOST: usize = 2000;
/// How many unnamed structs and base classes deep members are looked for.
const MOST_DEPTH: u32 = 16;

/// What a line may go on with.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Completion {
    /// Where in the line what they replace begins, in bytes.
    pub start: usize,
    /// What may stand from there on, sorted.
    pub candidates: Vec<String>,
    /// Names of files may stand there; finding them is the face's business.
    pub files: bool,
}

/// What a command's arguments are.
enum Arguments {
    Commands,
    Files,
    Places,
    Expression,
    Words(Vec<&'static str>),
    Nothing,
}

fn arguments_of(command: &str) -> Arguments {
    match command {
        "help" => Arguments::Commands,
        "file" | "exec-file" | "core-file" | "generate-core-file" | "load" | "source"
        | "replace" | "restore" => Arguments::Files,
        "break" | "tbreak" | "hbreak" | "thbreak" | "until" | "advance" | "jump" | "list"
        | "clear" | "rbreak" | "skip" | "dprintf" => Arguments::Places,
        "print" | "inspect" | "output" | "call" | "x" | "whatis" | "ptype" | "display"
        | "watch" | "rwatch" | "awatch" | "printf" | "condition" | "disassemble" | "if"
        | "while" | "find" => Arguments::Expression,
        "info" => Arguments::Words(parse::info_words().collect()),
        "set" | "show" | "unset" => Arguments::Words(parse::SETTINGS.to_vec()),
        _ => Arguments::Nothing,
    }
}

impl Debugger {
    /// What the line, which ends where the cursor is, may go on with.
    pub fn complete(&mut self, line: &str) -> Completion {
        let start = line.len() - line.trim_start().len();
        let Some((word, rest)) = line[start..].split_once(char::is_whitespace) else {
            let typed = &line[start..];
            let words = parse::completions(typed).into_iter();
            let own = self.scripts.names().filter(|name| name.starts_with(typed));
            let all: BTreeSet<String> = words.chain(own).map(str::to_owned).collect();
            return Completion {
                start,
                candidates: all.into_iter().collect(),
                files: false,
            };
        };
        // A format may follow the word: `p/x`.
        let word = word.split('/').next().unwrap_or(word);
        let Some(command) = parse::full_word(word) else {
            return Completion::default();
        };
        let words = rest.trim_start();
        let mut done = Completion {
            start: line.len() - words.len(),
            ..Completion::default()
        };
        match arguments_of(command) {
            Arguments::Commands => {
                let found = parse::completions(words);
                done.candidates = found.into_iter().map(str::to_owned).collect();
            }
            Arguments::Files => done.files = true,
            Arguments::Places => done.candidates = self.places_like(words),
            Arguments::Words(_) if words.starts_with("var ") => {
                done = self.complete_expression(line);
            }
            Arguments::Words(all) => {
                let fits = |word: &&&str| word.starts_with(words);
                let found = all.iter().filter(fits);
                done.candidates = found.map(|word| (*word).to_owned()).collect();
            }
            Arguments::Expression => done = self.complete_expression(line),
            Arguments::Nothing => {}
        }
        done
    }

    /// Functions, and source files with the colon that a line number follows.
    fn places_like(&self, prefix: &str) -> Vec<String> {
        let mut found = self.functions_like(prefix);
        for (_, module) in self.modules.iter() {
            for file in module.files("") {
                let name = file.file_name().and_then(|name| name.to_str());
                if let Some(name) = name.filter(|name| name.starts_with(prefix))
                    && found.len() < MOST
                {
                    found.insert(format!("{name}:"));
                }
            }
        }
        found.into_iter().collect()
    }

    /// Functions whose name, or the last part of it, begins so.
    fn functions_like(&self, prefix: &str) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for (_, module) in self.modules.iter() {
            for name in module.function_names() {
                let last = name.rsplit("::").next().unwrap_or(&name);
                if found.len() >= MOST {
                    return found;
                }
                if name.starts_with(prefix) {
                    found.insert(name);
                } else if last.starts_with(prefix) {
                    found.insert(last.to_owned());
                }
            }
        }
        found
    }

    fn complete_expression(&mut self, line: &str) -> Completion {
        let is_name = |c: char| c.is_alphanumeric() || c == '_' || c == '$' || c == ':';
        let start = line
            .char_indices()
            .rev()
            .take_while(|(_, c)| is_name(*c))
            .last()
            .map_or(line.len(), |(at, _)| at);
        let (before, prefix) = line.split_at(start);
        let whole = before.strip_suffix("->").or(before.strip_suffix('.'));
        let found = match (whole, prefix.strip_prefix('$')) {
            (Some(whole), _) => self.members_of(operand(whole)),
            (None, Some(_)) => self.registers_known(),
            (None, None) => {
                let mut found = self.variables_known();
                if !prefix.is_empty() {
                    found.extend(self.functions_like(prefix));
                    for (_, module) in self.modules.iter() {
                        found.extend(module.global_names());
                    }
                }
                found
            }
        };
        let fits = |name: &String| name.starts_with(prefix);
        Completion {
            start,
            candidates: found.into_iter().filter(fits).take(MOST).collect(),
            files: false,
        }
    }

    fn registers_known(&mut self) -> BTreeSet<String> {
        let Ok(thread) = self.thread() else {
            return BTreeSet::new();
        };
        let registers = self.live().ok().and_then(|t| t.registers(thread).ok());
        let names = registers.map_or(&[][..], |r| &r.layout().names[..r.layout().shown]);
        let names = names.iter().chain(&["pc", "sp", "fp"]);
        names.map(|name| format!("${name}")).collect()
    }

    /// The variables that the selected frame sees.
    fn variables_known(&mut self) -> BTreeSet<String> {
        let Ok(frame) = self.current_frame() else {
            return BTreeSet::new();
        };
        let visible = || {
            let module = self.modules.get(frame.module?)?;
            module.variables(frame.scope?, frame.address.lookup()).ok()
        };
        let visible = visible().unwrap_or_default();
        visible.into_iter().map(|variable| variable.name).collect()
    }

    /// The names of the members of what an expression (or what it points to) is.
    fn members_of(&mut self, text: &str) -> BTreeSet<String> {
        let ty = self.evaluate(text, &mut |_| {}, |evaluator| {
            let expression = expr::parse(text, &evaluator.reader)?;
            Ok(evaluator.type_of_expr(&expression)?.0)
        });
        let mut names = BTreeSet::new();
        if let Ok(Some(ty)) = ty {
            self.collect_members(&ty, &mut names, 0);
        }
        names
    }

    fn collect_members(&self, ty: &Type, names: &mut BTreeSet<String>, depth: u32) {
        match ty.shape(&self.modules) {
            Ok(Shape::Pointer(to) | Shape::Reference(to, _)) if depth == 0 => {
                self.collect_members(&to, names, 1);
            }
            Ok(Shape::Composite(module, description)) if depth < MOST_DEPTH => {
                let TypeKind::Composite(composite) = &description.kind else {
                    return;
                };
                for member in &composite.members {
                    match &member.name {
                        Some(name) if !member.is_base => drop(names.insert(name.to_string())),
                        _ => self.collect_inner(module, member.type_id, names, depth),
                    }
                }
                names.extend(composite.statics.iter().map(|one| one.name.to_string()));
                names.extend(composite.methods.iter().map(|method| method.name.clone()));
            }
            _ => {}
        }
    }

    fn collect_inner(
        &self,
        module: ModuleId,
        ty: sapwood_dwarf::TypeId,
        names: &mut BTreeSet<String>,
        depth: u32,
    ) {
        self.collect_members(&Type::Described(module, ty), names, depth.max(1) + 1);
    }
}

/// The operand that ends where the text does: `a + list[i]` ends with
/// `list[i]`.
fn operand(text: &str) -> &str {
    let mut depth = 0u32;
    let mut start = text.len();
    for (at, c) in text.char_indices().rev() {
        match c {
            ')' | ']' => depth += 1,
            '(' | '[' if depth == 0 => break,
            '(' | '[' => depth -= 1,
            c if depth > 0 || c.is_alphanumeric() || "_$:.".contains(c) => {}
            '>' if text[..at].ends_with('-') => {}
            '-' if text[at..].starts_with("->") => {}
            _ => break,
        }
        start = at;
    }
    &text[start..]
}

#[cfg(test)]
mod tests {
    use super::operand;

    #[test]
    fn the_operand_before_a_member() {
        for (text, expected) in [
            ("p a", "a"),
            ("p 1 + list[i + 1]", "list[i + 1]"),
            ("p f(x, y)->next", "f(x, y)->next"),
            ("p sum(a", "a"),
            ("p *ns::it", "ns::it"),
            ("p ", ""),
        ] {
            assert_eq!(operand(text), expected, "{text}");
        }
    }
}
