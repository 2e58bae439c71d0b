//! The object that is appended again and again under other names.

use std::cell::RefCell;
use std::io::Write;
use std::process::{Command, Stdio};

/// Where the name stands in the template, to be overwritten.
const NAME: &[u8] = b"f00000000";

/// One function as `cc -O0` writes it: 18 bytes of code with its alignment, and
/// 56 of unwind information.
const SOURCE: &str = r#"
    .text
    .globl f00000000
    .type f00000000, @function
f00000000:
    .cfi_startproc
    endbr64
    pushq %rbp
    .cfi_def_cfa_offset 16
    .cfi_offset 6, -16
    movq %rsp, %rbp
    .cfi_def_cfa_register 6
    movl $42, %eax
    movl %eax, %eax
    nop
    popq %rbp
    .cfi_def_cfa 7, 8
    ret
    .cfi_endproc
    .size f00000000, .-f00000000
    .section .note.GNU-stack, "", @progbits
"#;

/// See [`Template::assemble`].
pub struct Template {
    bytes: RefCell<Vec<u8>>,
    name_at: usize,
}

impl Template {
    /// Assembles the object.
    pub fn assemble() -> Template {
        let path = std::env::temp_dir().join(format!("sapwood-bench-{}.o", std::process::id()));
        let mut assembler = Command::new("cc")
            .args(["-x", "assembler", "-c", "-", "-o"])
            .arg(&path)
            .stdin(Stdio::piped())
            .spawn()
            .expect("cc is installed");
        let mut input = assembler.stdin.take().expect("it is piped");
        input.write_all(SOURCE.as_bytes()).expect("cc reads it");
        drop(input);
        assert!(assembler.wait().expect("cc ends").success());
        let bytes = std::fs::read(&path).expect("cc wrote it");
        std::fs::remove_file(&path).expect("it was there");
        let name_at = bytes
            .windows(NAME.len())
            .position(|window| window == NAME)
            .expect("the name is in the string table");
        Template {
            bytes: RefCell::new(bytes),
            name_at,
        }
    }

    /// The object under its `number`th name.
    pub fn with<T>(&self, number: usize, act: impl FnOnce(&str, &[u8]) -> T) -> T {
        let mut name = *b"f00000000";
        let mut rest = number;
        for digit in name[1..].iter_mut().rev() {
            *digit += (rest % 10) as u8;
            rest /= 10;
        }
        let mut bytes = self.bytes.borrow_mut();
        bytes[self.name_at..][..NAME.len()].copy_from_slice(&name);
        act(std::str::from_utf8(&name).expect("digits"), &bytes)
    }
}
