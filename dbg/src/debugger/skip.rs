//! `skip`: functions that `step` does not stop in.

use std::fmt::Write;
use std::path::Path;

use regex_lite::Regex;
use sapwood_dwarf::Function;

use super::{Debugger, Events};
use crate::command::{Skip, SkipRule};
use crate::error::{Error, Result};
use crate::event::Event;

/// The rules, by number.
#[derive(Debug, Default)]
pub(super) struct Skips {
    rules: Vec<Numbered>,
    last: u32,
}

#[derive(Debug)]
struct Numbered {
    number: u32,
    rule: SkipRule,
    enabled: bool,
    /// The function's pattern, compiled.
    regex: Option<Regex>,
}

/// Whether a text matches a pattern with `*` and `?`.
fn globs(pattern: &[u8], text: &[u8]) -> bool {
    // Where to take the last star up again: pattern behind it, text it covers.
    let (mut star, mut at, mut p) = (None, 0, 0);
    while at < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p + 1, at));
                p += 1;
            }
            Some(&c) if c == b'?' || c == text[at] => {
                p += 1;
                at += 1;
            }
            _ => match star {
                Some((behind, covered)) => {
                    star = Some((behind, covered + 1));
                    (p, at) = (behind, covered + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

impl Numbered {
    fn matches(&self, name: &str, file: Option<&Path>) -> bool {
        let rule = &self.rule;
        let by_file = rule.file.as_deref().is_none_or(|wanted| {
            let Some(file) = file else {
                return false;
            };
            let text = file.to_string_lossy();
            match rule.file_is_glob {
                true => {
                    let last = file.file_name().unwrap_or_default().to_string_lossy();
                    globs(wanted.as_bytes(), text.as_bytes())
                        || globs(wanted.as_bytes(), last.as_bytes())
                }
                false => file.ends_with(wanted),
            }
        });
        let by_name = match (&self.regex, rule.function.as_deref()) {
            (Some(regex), _) => regex.is_match(name),
            (None, Some(wanted)) => name == wanted || name.ends_with(&format!("::{wanted}")),
            (None, None) => true,
        };
        self.enabled && by_file && by_name
    }
}

impl Skips {
    /// Whether `step` stays out of a function.
    pub fn covers(&self, function: &Function) -> bool {
        let file = function.file.as_deref();
        self.rules
            .iter()
            .any(|rule| rule.matches(&function.name, file))
    }

    fn add(&mut self, rule: SkipRule) -> Result<u32> {
        let regex = match (&rule.function, rule.function_is_regex) {
            (Some(text), true) => Some(
                Regex::new(text).map_err(|e| Error::new(format!("Invalid regexp: {e}: {text}")))?,
            ),
            _ => None,
        };
        self.last += 1;
        self.rules.push(Numbered {
            number: self.last,
            rule,
            enabled: true,
            regex,
        });
        Ok(self.last)
    }

    fn table(&self) -> String {
        if self.rules.is_empty() {
            return "Not skipping any files or functions.\n".to_owned();
        }
        let mut text = "Num   Enb Glob                 File RE Function\n".to_owned();
        for Numbered {
            number,
            rule,
            enabled,
            ..
        } in &self.rules
        {
            let flag = |is: bool| if is { 'y' } else { 'n' };
            let _ = writeln!(
                text,
                "{number:<5} {:<3} {:>4} {:>20} {:>2} {}",
                flag(*enabled),
                flag(rule.file_is_glob),
                rule.file.as_deref().unwrap_or("<none>"),
                flag(rule.function_is_regex),
                rule.function.as_deref().unwrap_or("<none>")
            );
        }
        text
    }

    /// The rules of those numbers, or all.
    fn chosen(&mut self, numbers: &[u32]) -> Result<Vec<u32>> {
        let all: Vec<u32> = self.rules.iter().map(|rule| rule.number).collect();
        match numbers.iter().find(|number| !all.contains(number)) {
            Some(absent) => Err(Error::new(format!(
                "No skiplist entries found with number {absent}."
            ))),
            None if numbers.is_empty() => Ok(all),
            None => Ok(numbers.to_vec()),
        }
    }
}

impl Debugger {
    /// `skip`, `info skip`.
    pub(super) fn skip(&mut self, what: Skip, events: Events<'_>) -> Result<()> {
        let rule = match what {
            Skip::Add(rule) => rule,
            Skip::Here => {
                let frame = self.current_frame()?;
                let name = frame.function_name();
                let name = name.ok_or_else(|| Error::new("No function to skip."))?;
                SkipRule {
                    function: Some(name.to_owned()),
                    ..SkipRule::default()
                }
            }
            Skip::ThisFile => {
                let file = self.current_frame()?.file;
                let file = file.ok_or_else(|| Error::new("No file to skip."))?;
                SkipRule {
                    file: Some(file.to_string_lossy().into_owned()),
                    ..SkipRule::default()
                }
            }
            Skip::Delete(numbers) => {
                let chosen = self.skips.chosen(&numbers)?;
                self.skips
                    .rules
                    .retain(|rule| !chosen.contains(&rule.number));
                return Ok(());
            }
            Skip::Enable(numbers, on) => {
                let chosen = self.skips.chosen(&numbers)?;
                for rule in &mut self.skips.rules {
                    if chosen.contains(&rule.number) {
                        rule.enabled = on;
                    }
                }
                return Ok(());
            }
            Skip::List => {
                events(Event::Text(self.skips.table()));
                return Ok(());
            }
        };
        let part = |what: &str, is_pattern: bool, text: &Option<String>| {
            let text = text.as_ref()?;
            Some(match is_pattern {
                true => format!("{what}s matching {text}"),
                false => format!("{what} {text}"),
            })
        };
        let parts = [
            part("Function", rule.function_is_regex, &rule.function),
            part("File", rule.file_is_glob, &rule.file),
        ];
        self.skips.add(rule)?;
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        events(Event::Text(format!(
            "{} will be skipped when stepping.\n",
            parts.join(" in ")
        )));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_by_name_and_file() {
        let mut skips = Skips::default();
        let mut rule = |function: Option<(&str, bool)>, file: Option<(&str, bool)>| {
            let rule = SkipRule {
                function: function.map(|f| f.0.to_owned()),
                function_is_regex: function.is_some_and(|f| f.1),
                file: file.map(|f| f.0.to_owned()),
                file_is_glob: file.is_some_and(|f| f.1),
            };
            skips.add(rule).unwrap();
            let added = skips.rules.pop().unwrap();
            move |name: &str, file: &str| added.matches(name, Some(Path::new(file)))
        };
        let by_name = rule(Some(("get", false)), None);
        assert!(
            by_name("get", "/a.c") && by_name("Box::get", "/a.c") && !by_name("forget", "/a.c")
        );
        let by_regex = rule(Some(("^std::", true)), None);
        assert!(by_regex("std::move", "/a") && !by_regex("my::std", "/a"));
        let by_glob = rule(None, Some(("*/include/*", true)));
        assert!(by_glob("f", "/usr/include/x.h") && !by_glob("f", "/src/x.h"));
        let both = rule(Some(("f", false)), Some(("x.h", false)));
        assert!(both("f", "/src/x.h") && !both("f", "/src/y.h") && !both("g", "/src/x.h"));
    }
}
