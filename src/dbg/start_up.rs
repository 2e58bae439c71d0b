//! The files of commands that are read before anything else.
//!
//! `$XDG_CONFIG_HOME/sapwood/init` (or `~/.config/sapwood/init`) is the user's
//! own. `.sapwoodinit` in the current folder is the project's, and a project
//! may have come from anywhere: its commands are executed only when the user
//! has said that the folder is to be trusted, by a line with its path in
//! `sapwood/trusted` beside the first, and when nobody else can write the file.
//! `--batch` reads neither, so that a script means the same everywhere.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use sapwood_link::source::{UserFolder, user_folder};

/// The project's file.
const PROJECT: &str = ".sapwoodinit";

/// What is to be read, and what the user should know.
#[derive(Debug, Default)]
pub struct StartUp {
    /// Files of commands, in order.
    pub files: Vec<PathBuf>,
    /// Why a file that is there is not among them.
    pub warning: Option<String>,
}

/// Finds the files of whoever runs us, where they are now.
pub fn find() -> StartUp {
    let configuration = user_folder(UserFolder::Configuration);
    let here = std::env::current_dir().ok();
    find_in(configuration.as_deref(), here.as_deref())
}

fn find_in(configuration: Option<&Path>, here: Option<&Path>) -> StartUp {
    let mut found = StartUp::default();
    let own = configuration.map(|folder| folder.join("init"));
    found.files.extend(own.filter(|path| path.is_file()));
    let project = here.map(|folder| folder.join(PROJECT));
    let Some(project) = project.filter(|path| path.is_file()) else {
        return found;
    };
    match refusal(&project, configuration) {
        None => found.files.push(project),
        Some(why) => {
            let name = project.display();
            found.warning = Some(format!("{name} is not read: {why}"));
        }
    }
    found
}

/// Why a project's file is not to be believed.
fn refusal(project: &Path, configuration: Option<&Path>) -> Option<String> {
    let folder = project.parent()?;
    let trusted = configuration.map(|folder| folder.join("trusted"));
    let list = trusted
        .as_ref()
        .and_then(|path| fs::read_to_string(path).ok())
        .unwrap_or_default();
    let folder = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    if !list.lines().any(|line| Path::new(line.trim()) == folder) {
        let list = trusted.map_or("sapwood/trusted".into(), |path| path.display().to_string());
        return Some(format!(
            "add the line {} to {list} if you trust it.",
            folder.display()
        ));
    }
    let ours = fs::metadata("/proc/self").ok()?.uid();
    for path in [project, &folder] {
        let about = match fs::metadata(path) {
            Ok(about) => about,
            Err(error) => return Some(error.to_string()),
        };
        let is_ours = about.uid() == ours || about.uid() == 0;
        if !is_ours || about.mode() & 0o022 != 0 {
            return Some(format!("others than you can write {}.", path.display()));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_projects_file_is_read_only_where_it_is_trusted() {
        let base = std::env::temp_dir().join(format!("sapwood-start-up-{}", std::process::id()));
        let (configuration, here) = (base.join("sapwood"), base.join("project"));
        fs::create_dir_all(&configuration).unwrap();
        fs::create_dir_all(&here).unwrap();
        let here = fs::canonicalize(&here).unwrap();
        fs::write(configuration.join("init"), "set listsize 5\n").unwrap();
        fs::write(here.join(PROJECT), "shell rm -rf /\n").unwrap();
        for path in [&here, &here.join(PROJECT)] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }

        let find = || find_in(Some(&configuration), Some(&here));
        assert_eq!(find().files, [configuration.join("init")]);
        assert!(find().warning.unwrap().contains("if you trust it"));

        let line = format!("{}\n", here.display());
        fs::write(configuration.join("trusted"), line).unwrap();
        assert_eq!(find().files.len(), 2);
        assert!(find().warning.is_none());

        let writable = fs::Permissions::from_mode(0o777);
        fs::set_permissions(here.join(PROJECT), writable).unwrap();
        assert_eq!(find().files.len(), 1);
        assert!(find().warning.unwrap().contains("others than you"));
        fs::remove_dir_all(&base).unwrap();
    }
}
