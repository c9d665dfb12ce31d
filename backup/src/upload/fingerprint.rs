//! What a file's ETags must be, and whether the file is still what was dumped: both from reading it once.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use flotilla_cloud_migration::dump::{Digest as Blake3, FileHasher};
use md5::{Digest, Md5};

use super::UploadJob;
use crate::error::BackupError;

const BUFFER_BYTES: usize = 256 << 10;

/// The digests of a file, whole and by parts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fingerprint {
    length: u64,
    blake3: Blake3,
    parts: Vec<[u8; 16]>,
}

impl Fingerprint {
    /// Reads a file, away from the runtime's threads.
    pub async fn read(path: &Path, part_bytes: u64) -> Result<Self, BackupError> {
        let path = path.to_owned();
        let reading = tokio::task::spawn_blocking(move || {
            Self::read_now(&path, part_bytes).map_err(|source| BackupError::Local { path, source })
        });
        reading.await.unwrap_or(Err(BackupError::Cancelled))
    }

    fn read_now(path: &Path, part_bytes: u64) -> std::io::Result<Self> {
        let mut file = File::open(path)?;
        let mut buffer = vec![0; BUFFER_BYTES];
        let (mut whole, mut part) = (FileHasher::default(), Md5::new());
        let (mut length, mut in_part, mut parts) = (0, 0, Vec::new());
        loop {
            let most = usize::try_from(part_bytes - in_part).unwrap_or(BUFFER_BYTES).min(BUFFER_BYTES);
            let read = match file.read(&mut buffer[..most]) {
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if read == 0 {
                break;
            }
            whole.update(&buffer[..read]);
            part.update(&buffer[..read]);
            length += read as u64;
            in_part += read as u64;
            if in_part == part_bytes {
                parts.push(part.finalize_reset().into());
                in_part = 0;
            }
        }
        // An empty file is one empty part.
        if in_part > 0 || parts.is_empty() {
            parts.push(part.finalize().into());
        }
        Ok(Self { length, blake3: whole.digest(), parts })
    }

    /// Whether it is the file that was dumped.
    pub fn check(&self, job: &UploadJob) -> Result<(), BackupError> {
        let wrong = |what| Err(BackupError::LocalDamaged { path: job.path.clone(), what });
        if self.length != job.length {
            return wrong(format!("it has {} bytes, {} were dumped", self.length, job.length));
        }
        if self.blake3 != job.blake3 {
            return wrong("its digest is not that of what was dumped".to_owned());
        }
        Ok(())
    }

    /// How many parts there are.
    pub fn parts(&self) -> u32 {
        u32::try_from(self.parts.len()).unwrap_or(u32::MAX)
    }

    /// The MD5 of a part, from 1.
    pub fn part(&self, number: u32) -> &[u8; 16] {
        &self.parts[number as usize - 1]
    }

    /// Whether a part's ETag is right.
    pub fn is_part(&self, number: u32, etag: &str) -> bool {
        let known = number >= 1 && number as usize <= self.parts.len();
        known && bare(etag) == hex(self.part(number))
    }

    /// Whether the object's ETag is right, sent in parts or, where there is one part, whole.
    pub fn is_object(&self, etag: &str) -> bool {
        let etag = bare(etag);
        etag == self.of_parts() || (self.parts.len() == 1 && etag == hex(&self.parts[0]))
    }

    /// The ETag of an object that was sent in parts: the MD5 of the parts' MD5s, and their number.
    pub fn of_parts(&self) -> String {
        let mut digest = Md5::new();
        self.parts.iter().for_each(|part| digest.update(part));
        let digest: [u8; 16] = digest.finalize().into();
        format!("{}-{}", hex(&digest), self.parts.len())
    }
}

/// An ETag without its quotes; stores differ in sending them.
pub fn bare(etag: &str) -> &str {
    etag.trim_matches('"')
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes in base 64, as Content-MD5 wants them.
pub fn base64(bytes: &[u8; 16]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(24);
    for three in bytes.chunks(3) {
        let number = three.iter().fold(0_u32, |number, byte| number << 8 | u32::from(*byte))
            << (8 * (3 - three.len()));
        for at in 0..4 {
            let digit = DIGITS[(number >> (18 - 6 * at)) as usize & 63];
            out.push(if at <= three.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn known_digests() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, b"").unwrap();
        let empty = Fingerprint::read(&path, 5).await.unwrap();
        assert!(empty.is_object("\"d41d8cd98f00b204e9800998ecf8427e\"") && empty.parts() == 1);
        assert_eq!(base64(empty.part(1)), "1B2M2Y8AsgTpgAmY7PhCfg==");
        // md5 of "hello" and of " wor", "ld" by md5sum(1).
        std::fs::write(&path, b"hello world").unwrap();
        let three = Fingerprint::read(&path, 5).await.unwrap();
        assert_eq!(three.parts(), 3);
        assert!(three.is_part(1, "5d41402abc4b2a76b9719d911017c592"));
        assert!(
            !three.is_part(2, "5d41402abc4b2a76b9719d911017c592")
                && !three.is_part(4, "")
                && !three.is_part(0, "")
        );
        assert!(three.is_object(&format!("\"{}\"", three.of_parts())) && three.of_parts().ends_with("-3"));
        let whole = Fingerprint::read(&path, 11).await.unwrap();
        assert_eq!(whole.parts(), 1);
        assert!(whole.is_object("5eb63bbbe01eeed093cb22bb8f5acdc3"));
        assert_eq!(whole.blake3, Blake3::of(b"hello world"));
    }
}
