//! Each case: what is typed, and the command it is.

use super::*;
use crate::command::{Info, Setting};

#[track_caller]
fn check(text: &str, expected: Command) {
    assert_eq!(parse(text), Ok(expected), "{text}");
}

#[track_caller]
fn fails(text: &str, part: &str) {
    let error = parse(text).expect_err(text).to_string();
    assert!(error.contains(part), "{text}: {error}");
}

fn line(file: &str, line: u32) -> Spec {
    Spec::Line {
        file: Some(file.to_owned()),
        line,
    }
}

fn at(at: Spec) -> Command {
    Command::Break {
        at,
        temporary: false,
        hardware: false,
        condition: None,
        thread: None,
    }
}

#[test]
fn breakpoints() {
    check("b main", at(Spec::Function("main".into())));
    check("break snip.c:2", at(line("snip.c", 2)));
    check("b a::b::c", at(Spec::Function("a::b::c".into())));
    check("b *0x1234", at(Spec::Address("0x1234".into())));
    check("b", at(Spec::Here));
    check("b +3", at(Spec::Offset(3)));
    check(
        "tb f.c:g if x > 3",
        Command::Break {
            at: Spec::FunctionIn {
                file: "f.c".into(),
                function: "g".into(),
            },
            temporary: true,
            hardware: false,
            condition: Some("x > 3".into()),
            thread: None,
        },
    );
    check("delete 1 3-4", Command::Delete(vec![1, 3, 4]));
    check(
        "cond 2 x == 1",
        Command::Condition(2, Some("x == 1".into())),
    );
    fails("b f.c:", "malformed");
}

#[test]
fn abbreviations() {
    check("c", Command::Continue(1));
    check("c 4", Command::Continue(4));
    check("step 3", Command::Step(3));
    check("s a::b", Command::StepInto("a::b".into()));
    check("si", Command::StepInstruction(1));
    check("fini", Command::Finish);
    check("i b", Command::Info(Info::Breakpoints));
    check("i sh", Command::Info(Info::SharedLibraries));
    check(
        "info r rip",
        Command::Info(Info::Registers(vec!["rip".into()], false)),
    );
    check("  # words", Command::Nothing);
    fails("frobnicate", "Undefined command");
    fails("un", "Ambiguous");
}

#[test]
fn formats() {
    let format = |count, letter, size| Format {
        count,
        letter,
        size,
    };
    check(
        "x/8xb $sp",
        Command::Examine(format(Some(8), Some('x'), Some(1)), Some("$sp".into())),
    );
    check(
        "p/x 255",
        Command::Print(format(None, Some('x'), None), "255".into()),
    );
    check("p x/y", Command::Print(Format::default(), "x/y".into()));
    fails("p/q 1", "format");
}

#[test]
fn eval_ends_where_c_says() {
    let eval = |name: Option<&str>, text: &str| Command::Eval {
        name: name.map(str::to_owned),
        text: text.to_owned(),
    };
    check("eval { f(3) }", eval(None, " f(3) "));
    check(
        "eval snip.c {\nint i = '}';\nputs(\"}\"); // }\n}",
        eval(Some("snip.c"), "\nint i = '}';\nputs(\"}\"); // }\n"),
    );
    assert_eq!(parse("eval { if (x) {\n"), Err(ParseError::Incomplete(">")));
    fails("eval f(3)", "braces");
    fails("eval { 1 } 2", "Junk");
}

#[test]
fn commands_of_a_breakpoint() {
    assert_eq!(parse("commands 1"), Err(ParseError::Incomplete(">")));
    check(
        "commands 1\nsilent\np x\nend",
        Command::Commands(Some(1), vec!["silent".into(), "p x".into()]),
    );
}

#[test]
fn settings() {
    check("set x = 3", Command::SetVariable("x = 3".into()));
    check("set var x = 3", Command::SetVariable("x = 3".into()));
    check(
        "set env A=b c",
        Command::Set(Setting::Environment("A".into(), Some("b c".into()))),
    );
    fails("set nonsense", "No setting");
}

#[test]
fn arguments_split_as_in_a_shell() {
    assert_eq!(
        split_arguments(r#"a 'b c' "d \" e" f\ g ''"#),
        ["a", "b c", "d \" e", "f g", ""]
    );
}

#[test]
fn every_word_means_something() {
    for (word, others, _) in WORDS {
        for word in std::iter::once(word).chain(*others) {
            match parse(&format!("{word} 1")) {
                Err(ParseError::Wrong(why)) => assert!(!why.contains("Undefined"), "{word}"),
                _ => continue,
            }
        }
    }
}
