//! Which Debian package brings a program that a case needs.

use std::path::Path;

/// Programs and their packages, one a line; `tests/all` reads it too.
const PACKAGES: &str = include_str!("../packages.txt");

/// What is missing of `needs`, in words with the line that installs it.
pub fn missing(needs: &[String]) -> Option<String> {
    let absent: Vec<&str> = needs
        .iter()
        .map(String::as_str)
        .filter(|program| !is_installed(program))
        .collect();
    if absent.is_empty() {
        return None;
    }
    let packages: Vec<&str> = absent.iter().map(|program| package(program)).collect();
    Some(format!(
        "not installed: {}; install with: apt-get install {}",
        absent.join(", "),
        packages.join(" ")
    ))
}

fn package(program: &str) -> &str {
    PACKAGES
        .lines()
        .filter_map(|line| line.split_once(' '))
        .find(|(name, _)| *name == program)
        .map_or(program, |(_, package)| package.trim())
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| Path::new(&folder).join(program).is_file())
}
