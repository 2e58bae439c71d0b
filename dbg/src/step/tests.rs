//! Walks a stepper over a program made of text: each line is an address, the
//! source line of the row that begins there (or a dot), and an instruction.

#![allow(clippy::single_range_in_vec_init)]

use super::*;
use std::collections::BTreeMap;

#[derive(Clone, Copy)]
enum Code {
    Nop,
    Call(u64),
    Ret,
    Jump(u64),
}

/// A machine whose instructions are one byte long (a call too: its length is 1).
struct Machine {
    code: BTreeMap<u64, Code>,
    rows: BTreeMap<u64, u32>,
    functions: Vec<Range<Address>>,
    pc: u64,
    stack: Vec<u64>,
    hook: Option<u64>,
}

const TOP: u64 = 0x1000;

impl Machine {
    fn new(text: &str, functions: &[Range<u64>], pc: u64) -> Machine {
        let (mut code, mut rows) = (BTreeMap::new(), BTreeMap::new());
        for line in text.lines().filter(|l| !l.trim().is_empty()) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let at = words[0].parse().unwrap();
            if let Ok(row) = words[1].parse() {
                rows.insert(at, row);
            }
            let operand = || words[3].parse().unwrap();
            let what = match words[2] {
                "call" => Code::Call(operand()),
                "ret" => Code::Ret,
                "jump" => Code::Jump(operand()),
                _ => Code::Nop,
            };
            code.insert(at, what);
        }
        let functions = functions.iter().map(|r| Address(r.start)..Address(r.end));
        Machine {
            code,
            rows,
            functions: functions.collect(),
            pc,
            stack: Vec::new(),
            hook: None,
        }
    }

    fn execute(&mut self) {
        match self.code[&self.pc] {
            Code::Nop => self.pc += 1,
            Code::Call(to) => {
                self.stack.push(self.pc + 1);
                self.pc = to;
            }
            Code::Ret => self.pc = self.stack.pop().unwrap(),
            Code::Jump(to) => self.pc = to,
        }
    }

    /// Makes a whole step, and gives the address where it ends.
    fn step(&mut self, kind: Kind) -> u64 {
        let (mut stepper, mut next) = Stepper::begin(kind, self).unwrap();
        for _ in 0..1000 {
            match next {
                Move::Done => return self.pc,
                Move::Step => self.execute(),
                Move::RunTo(goals) => loop {
                    self.execute();
                    if goals.iter().any(|g| g.is_reached(self.pc(), self.sp())) {
                        break;
                    }
                },
            }
            next = stepper.next(self);
        }
        panic!("the step never ends");
    }
}

impl Scene for Machine {
    fn pc(&self) -> Address {
        Address(self.pc)
    }
    fn sp(&self) -> Address {
        Address(TOP - 8 * self.stack.len() as u64)
    }
    fn flow(&mut self) -> Flow {
        match self.code[&self.pc] {
            Code::Nop => Flow::Next,
            Code::Call(_) => Flow::Call { length: 1 },
            Code::Ret => Flow::Return,
            Code::Jump(_) => Flow::Jump,
        }
    }
    fn row_at(&mut self, at: Address) -> Option<Row> {
        let pc = std::mem::replace(&mut self.pc, at.0);
        let row = self.row();
        self.pc = pc;
        row
    }
    fn code(&mut self, range: &Range<Address>) -> Option<Vec<u8>> {
        let code = (range.start.0..range.end.0).map(|at| match self.code.get(&at) {
            Some(Code::Ret) => Some(0xc3),
            // Longer instructions than this machine has.
            Some(Code::Call(_) | Code::Jump(_)) | None => None,
            Some(Code::Nop) => Some(0x90),
        });
        code.collect()
    }
    fn jump_hooks(&mut self) -> Vec<Address> {
        Vec::new()
    }
    fn jump_target(&mut self) -> Option<Goal> {
        None
    }
    fn patience(&self) -> usize {
        2
    }
    fn row(&mut self) -> Option<Row> {
        let function = self.function()?;
        let (start, line) = self.rows.range(..=self.pc).next_back()?;
        let start = Address(*start);
        (function[0].contains(&start)).then(|| Row {
            range: start
                ..self
                    .rows
                    .range(self.pc + 1..)
                    .next()
                    .map_or(function[0].end, |(end, _)| Address(*end)),
            file: Arc::from(Path::new("a.c")),
            line: *line,
            is_stmt: true,
            calls: Vec::new(),
        })
    }
    fn function(&mut self) -> Option<Vec<Range<Address>>> {
        let pc = Address(self.pc);
        let found = self.functions.iter().find(|r| r.contains(&pc))?;
        Some(vec![found.clone()])
    }
    fn top_of_stack(&mut self) -> Option<Address> {
        self.stack.last().copied().map(Address)
    }
    fn tail_caller(&mut self) -> Option<Goal> {
        self.caller()
    }
    fn caller(&mut self) -> Option<Goal> {
        self.just_called_from()
    }
    fn body(&mut self, entry: Address) -> Option<Address> {
        self.rows.contains_key(&entry.0).then(|| entry.add(1))
    }
    fn catch_hook(&mut self) -> Option<Address> {
        self.hook.map(Address)
    }
    fn stub(&mut self) -> Option<Vec<Address>> {
        // A stub is a function that only jumps.
        match self.code[&self.pc] {
            Code::Jump(to) if !self.rows.contains_key(&self.pc) => Some(vec![Address(to)]),
            _ => None,
        }
    }
}

const PROGRAM: &str = "
    10 1 nop
    11 . call 30
    12 . nop
    13 2 call 40
    14 3 call 50
    15 . nop
    16 4 jump 10
    30 7 nop
    31 8 nop
    32 . ret
    40 . nop
    41 . ret
    50 . jump 30
    60 9 nop
    61 . jump 30
";

fn program(pc: u64) -> Machine {
    Machine::new(PROGRAM, &[10..20, 30..40, 40..50, 50..60, 60..70], pc)
}

#[test]
fn next_goes_over_calls_and_step_into_those_with_lines() {
    assert_eq!(program(10).step(Kind::Over), 13);
    assert_eq!(program(10).step(Kind::Into), 31);
    assert_eq!(program(13).step(Kind::Into), 14, "no lines behind the call");
    assert_eq!(program(14).step(Kind::Into), 31, "through a stub");
}

#[test]
fn a_return_into_the_middle_of_a_line_finishes_that_line() {
    let mut machine = program(31);
    machine.stack.push(12);
    assert_eq!(machine.step(Kind::Over), 13);
}

#[test]
fn until_leaves_loops() {
    let text = "
        10 1 nop
        11 2 jump 10
        12 3 nop
    ";
    assert_eq!(Machine::new(text, &[10..20], 11).step(Kind::Over), 10);
    let mut machine = Machine::new(text, &[10..20], 11);
    // The second time around the condition lets it out.
    let (mut stepper, mut next) = Stepper::begin(Kind::Until, &mut machine).unwrap();
    machine.execute();
    next = match next {
        Move::Step => stepper.next(&mut machine),
        other => panic!("{other:?}"),
    };
    assert_eq!(next, Move::Step, "backwards is not done");
    machine.pc = 12;
    assert_eq!(stepper.next(&mut machine), Move::Done);
}

#[test]
fn recursion_does_not_end_a_step() {
    // 20 calls itself until the stack is four deep.
    let text = "
        10 1 call 20
        11 2 nop
        20 5 call 20
        21 6 ret
    ";
    let mut machine = Machine::new(text, &[10..20, 20..30], 20);
    machine.stack.push(11);
    let (_, next) = Stepper::begin(Kind::Over, &mut machine).unwrap();
    let Move::RunTo(goals) = next else {
        panic!("{next:?}")
    };
    assert!(!goals[0].is_reached(Address(21), Address(machine.sp().0 - 8)));
    assert!(goals[0].is_reached(Address(21), machine.sp()));
}

#[test]
fn a_tail_call_comes_back_to_the_caller() {
    let mut machine = program(60);
    machine.stack.push(12);
    assert_eq!(machine.step(Kind::Over), 13);
    let mut machine = program(60);
    machine.stack.push(12);
    assert_eq!(machine.step(Kind::Into), 31);
}

#[test]
fn code_without_lines_is_run_out_of() {
    let mut machine = program(40);
    machine.stack.push(14);
    assert_eq!(machine.step(Kind::Into), 14);
}

#[test]
fn an_exception_ends_a_step_where_it_is_caught() {
    // The call at 10 never returns; its exception is caught at 13.
    let text = "
        10 1 call 30
        11 2 nop
        13 3 call 40
        14 . nop
        15 4 nop
        30 7 jump 13
        40 . ret
    ";
    let mut machine = Machine::new(text, &[10..20, 30..40, 40..50], 10);
    machine.hook = Some(40);
    let (mut stepper, next) = Stepper::begin(Kind::Over, &mut machine).unwrap();
    let Move::RunTo(goals) = next else {
        panic!("{next:?}")
    };
    // Unwinding takes the callee's frame off the stack.
    machine.pc = 13;
    machine.execute();
    assert!(
        goals
            .iter()
            .any(|g| g.is_reached(machine.pc(), machine.sp()))
    );
    let Move::RunTo(goals) = stepper.next(&mut machine) else {
        panic!("it goes back to the handler")
    };
    machine.execute();
    assert!(goals[0].is_reached(machine.pc(), machine.sp()));
    assert_eq!(
        stepper.next(&mut machine),
        Move::Step,
        "the handler's line is finished"
    );
}
