//! [`Case`]: the text of a case, taken apart and put together again.
//!
//! What is not changed by blessing is written back byte for byte.

use regex_lite::Regex;

/// A case file.
#[derive(Debug)]
pub struct Case {
    /// The words and directives before the first command.
    preamble: String,
    /// What the directives say.
    pub settings: Settings,
    /// The commands, in order.
    pub steps: Vec<Step>,
    /// The files below: name and text.
    pub files: Vec<(String, String)>,
}

/// What a case's directives say.
#[derive(Debug)]
pub struct Settings {
    /// Programs that must be installed.
    pub needs: Vec<String>,
    /// Files to copy, named from `tests/`.
    pub copy: Vec<String>,
    /// Replacements in each line of output.
    pub replace: Vec<(Regex, String)>,
    /// How long a command may take, in seconds.
    pub timeout_s: u64,
}

/// A command and what it is expected to print.
#[derive(Debug)]
pub struct Step {
    /// What `sh` runs.
    pub command: String,
    /// The expected lines: output, errors, status.
    pub expected: Vec<String>,
}

impl Case {
    /// Reads a case.
    pub fn parse(text: &str) -> Result<Case, String> {
        let mut case = Case {
            preamble: String::new(),
            settings: Settings::default(),
            steps: Vec::new(),
            files: Vec::new(),
        };
        for line in text.lines() {
            if let Some(name) = file_header(line) {
                case.files.push((name.to_owned(), String::new()));
            } else if let Some((_, content)) = case.files.last_mut() {
                content.push_str(line);
                content.push('\n');
            } else if let Some(command) = line.strip_prefix("$ ") {
                case.steps.push(Step {
                    command: command.to_owned(),
                    expected: Vec::new(),
                });
            } else if let Some(step) = case.steps.last_mut() {
                step.expected.push(unescape(line).to_owned());
            } else {
                if let Some(directive) = line.strip_prefix(": ") {
                    case.settings.read(directive)?;
                }
                case.preamble.push_str(line);
                case.preamble.push('\n');
            }
        }
        for step in &mut case.steps {
            trim_blank_end(&mut step.expected);
        }
        // The blank line before the next file separates, too.
        for (_, content) in &mut case.files {
            let kept = content.trim_end_matches('\n').len();
            content.truncate(kept + 1);
        }
        match case.steps.is_empty() {
            true => Err("no line begins with `$ `".to_owned()),
            false => Ok(case),
        }
    }

    /// The case as text.
    pub fn write(&self) -> String {
        let mut text = self.preamble.clone();
        for (index, step) in self.steps.iter().enumerate() {
            text.push_str(&format!("$ {}\n", step.command));
            for line in &step.expected {
                text.push_str(&escape(line));
                text.push('\n');
            }
            // A blank line after what was printed, so that commands stand out.
            let last = index + 1 == self.steps.len();
            if !step.expected.is_empty() && !last {
                text.push('\n');
            }
        }
        for (name, content) in &self.files {
            if !text.ends_with("\n\n") {
                text.push('\n');
            }
            text.push_str(&format!("-- {name} --\n{content}"));
        }
        text
    }
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            needs: Vec::new(),
            copy: Vec::new(),
            replace: Vec::new(),
            timeout_s: 60,
        }
    }
}

impl Settings {
    fn read(&mut self, directive: &str) -> Result<(), String> {
        let (word, rest) = directive.split_once(' ').unwrap_or((directive, ""));
        let words = || rest.split_whitespace().map(str::to_owned);
        match word {
            "needs" => self.needs.extend(words()),
            "copy" => self.copy.extend(words()),
            "hide" if rest == "addresses" => self.replace_with(r"0x[0-9a-f]{5,}", "0xADDR")?,
            "hide" if rest == "processes" => {
                self.replace_with(r"process \d+", "process PID")?;
                self.replace_with(r"Thread 0x[0-9a-f]+ \(LWP \d+\)", "Thread PID")?;
            }
            "replace" => {
                let (pattern, with) = rest
                    .split_once(" => ")
                    .ok_or("`: replace` wants `REGEX => TEXT`")?;
                self.replace_with(pattern, with)?;
            }
            "timeout" => {
                self.timeout_s = rest.parse().map_err(|_| format!("`: timeout {rest}`"))?;
            }
            _ => return Err(format!("no directive is `: {directive}`")),
        }
        Ok(())
    }

    fn replace_with(&mut self, pattern: &str, with: &str) -> Result<(), String> {
        let regex = Regex::new(pattern).map_err(|error| error.to_string())?;
        self.replace.push((regex, with.to_owned()));
        Ok(())
    }

    /// A line of output with the replacements made.
    pub fn normalise(&self, line: &str) -> String {
        let replace = |line: String, (regex, with): &(Regex, String)| {
            regex.replace_all(&line, with.as_str()).into_owned()
        };
        self.replace.iter().fold(line.to_owned(), replace)
    }
}

fn file_header(line: &str) -> Option<&str> {
    let name = line.strip_prefix("-- ")?.strip_suffix(" --")?;
    (!name.is_empty() && !name.contains(' ')).then_some(name)
}

fn needs_escape(line: &str) -> bool {
    line.starts_with("$ ") || line.starts_with('\\') || file_header(line).is_some()
}

fn escape(line: &str) -> String {
    match needs_escape(line) {
        true => format!("\\{line}"),
        false => line.to_owned(),
    }
}

fn unescape(line: &str) -> &str {
    line.strip_prefix('\\')
        .filter(|rest| needs_escape(rest))
        .unwrap_or(line)
}

/// Takes blank lines off the end: they separate, they are not expected.
pub fn trim_blank_end(lines: &mut Vec<String>) {
    while lines.last().is_some_and(|line| line.trim().is_empty()) {
        lines.pop();
    }
}
