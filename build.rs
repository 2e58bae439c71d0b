//! How the `sapwood` executable is linked: at a fixed address.
//!
//! It has some 30,000 pointers in its tables (instruction sets, mostly). In a
//! position-independent executable the loader writes each of them at every
//! start, which touches every page that they lie on: half of the time that
//! `sapwood run` needs until the program's `main`. Linked at a fixed address
//! there is nothing to write. Libraries, stack, heap and everything that is
//! linked live still lie at random addresses.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-link-arg-bins=-no-pie");
}
