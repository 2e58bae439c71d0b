//! Files of the guest that gdb reads through us (`vFile`): the program and its
//! libraries, so that gdb needs no sysroot of its own.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};

use super::packet::{LONGEST, number, unhex};
use crate::linux::paths::LastLink;
use crate::linux::thread::Process;

/// What gdb has open.
#[derive(Default)]
pub struct OpenFiles {
    files: BTreeMap<u64, File>,
    next: u64,
}

impl OpenFiles {
    /// The answer to a `vFile:` packet, given what follows that.
    pub fn answer(&mut self, process: &Process, request: &[u8]) -> Vec<u8> {
        let end = request.iter().position(|&byte| byte == b':');
        let (name, rest) = request.split_at(end.unwrap_or(request.len()));
        let fields: Vec<&[u8]> = rest
            .get(1..)
            .unwrap_or_default()
            .split(|&byte| byte == b',')
            .collect();
        let answer = match name {
            b"setfs" => Ok((0, Vec::new())),
            b"open" => self.open(process, &fields).map(|fd| (fd, Vec::new())),
            b"close" => {
                let known = number(fields[0]).and_then(|fd| self.files.remove(&fd));
                known.map(|_| (0, Vec::new())).ok_or_else(bad)
            }
            b"pread" => self.read(&fields),
            b"fstat" => self.stat(&fields),
            b"readlink" => link(process, &fields),
            _ => return Vec::new(),
        };
        match answer {
            Ok((value, data)) if data.is_empty() => format!("F{value:x}").into_bytes(),
            Ok((value, data)) => [format!("F{value:x};").as_bytes(), &data].concat(),
            Err(error) => {
                let number = error.raw_os_error().unwrap_or(libc::EIO);
                format!("F-1,{number:x}").into_bytes()
            }
        }
    }

    fn open(&mut self, process: &Process, fields: &[&[u8]]) -> io::Result<u64> {
        let path = unhex(fields[0]).ok_or_else(bad)?;
        // Flags other than reading have no use here.
        if fields.get(1).and_then(|flags| number(flags)) != Some(0) {
            return Err(io::Error::from_raw_os_error(libc::EACCES));
        }
        let found = process.options.files.find(&path, LastLink::Followed);
        let file = File::open(OsStr::from_bytes(&found.unwrap_or(path)))?;
        self.next += 1;
        self.files.insert(self.next, file);
        Ok(self.next)
    }

    fn file(&self, field: &[u8]) -> io::Result<&File> {
        let file = number(field).and_then(|fd| self.files.get(&fd));
        file.ok_or_else(bad)
    }

    fn read(&self, fields: &[&[u8]]) -> io::Result<(u64, Vec<u8>)> {
        let [fd, count, offset] = fields else {
            return Err(bad());
        };
        let count = number(count).ok_or_else(bad)? as usize;
        // Each byte may become two.
        let mut data = vec![0; count.min(LONGEST / 2 - 32)];
        let got = self
            .file(fd)?
            .read_at(&mut data, number(offset).ok_or_else(bad)?)?;
        data.truncate(got);
        Ok((got as u64, data))
    }

    /// `struct stat` of the protocol: big-endian, 64 bytes.
    fn stat(&self, fields: &[&[u8]]) -> io::Result<(u64, Vec<u8>)> {
        let found = self.file(fields[0])?.metadata()?;
        let mut data = Vec::new();
        for word in [
            found.dev() as u32,
            found.ino() as u32,
            found.mode(),
            found.nlink() as u32,
            found.uid(),
            found.gid(),
            0,
        ] {
            data.extend(word.to_be_bytes());
        }
        for word in [found.size(), found.blksize(), found.blocks()] {
            data.extend(word.to_be_bytes());
        }
        for time in [found.atime(), found.mtime(), found.ctime()] {
            data.extend((time as u32).to_be_bytes());
        }
        Ok((data.len() as u64, data))
    }
}

fn link(process: &Process, fields: &[&[u8]]) -> io::Result<(u64, Vec<u8>)> {
    let path = unhex(fields[0]).ok_or_else(bad)?;
    let found = process.options.files.find(&path, LastLink::Kept);
    let target = std::fs::read_link(OsStr::from_bytes(&found.unwrap_or(path)))?;
    let target = target.as_os_str().as_bytes().to_vec();
    Ok((target.len() as u64, target))
}

fn bad() -> io::Error {
    io::Error::from_raw_os_error(libc::EBADF)
}
