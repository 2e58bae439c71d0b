//! [`user_folder`]: where a user keeps what is ours.

use std::path::PathBuf;

/// A kind of folder, as the XDG base directory specification has them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UserFolder {
    /// What can be made again: `$XDG_CACHE_HOME`, or `~/.cache`.
    Cache,
    /// What the user wrote: `$XDG_CONFIG_HOME`, or `~/.config`.
    Configuration,
    /// What is remembered from one run to the next: `$XDG_STATE_HOME`, or
    /// `~/.local/state`.
    State,
}

/// The folder `sapwood` in it, which may not be there yet; none for a user without
/// a home. A relative path in the variable counts for nothing, as the
/// specification says.
pub fn user_folder(kind: UserFolder) -> Option<PathBuf> {
    let (variable, in_home) = match kind {
        UserFolder::Cache => ("XDG_CACHE_HOME", ".cache"),
        UserFolder::Configuration => ("XDG_CONFIG_HOME", ".config"),
        UserFolder::State => ("XDG_STATE_HOME", ".local/state"),
    };
    let named = std::env::var_os(variable).map(PathBuf::from);
    let folder = named
        .filter(|path| path.is_absolute())
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(in_home)))?;
    Some(folder.join("sapwood"))
}
