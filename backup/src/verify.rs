//! Whether a dump at a target is whole: needs no cluster.

use flotilla_cloud_migration::dump::{Manifest, ManifestFile, Sums};
use futures::StreamExt;

use crate::download::Piece;
use crate::error::BackupError;
use crate::target::Target;

/// Files that are looked at a time: answers about many, data of few.
const LOOKS: usize = 16;
const READS: usize = 4;

/// What a verification hears.
pub trait VerifyEvents: Sync {
    /// So many bytes of rows were read and found right.
    fn read(&self, _bytes: u64) {}

    /// A file is right.
    fn right(&self, _file: &ManifestFile) {}

    /// A file is not.
    fn wrong(&self, _file: &ManifestFile, _error: &BackupError) {}
}

/// Nobody listens.
#[derive(Clone, Copy, Debug)]
pub struct Quiet;

impl VerifyEvents for Quiet {}

/// What was found.
#[derive(Debug)]
pub struct Verified {
    /// The manifest.
    pub manifest: Manifest,
    /// The files that are wrong, and why. None: the dump is whole.
    pub wrong: Vec<(String, BackupError)>,
    /// The sums over all rows that were read; none: only lengths and ETags were compared.
    pub sums: Option<Sums>,
}

impl Target {
    /// Compares each file's length and ETag with the manifest; `deep`: reads every byte, and compares digests, counts and the
    /// checksum over all rows. All files are looked at, so that one look names all that are damaged; an error means that looking
    /// itself failed.
    pub async fn verify(&self, deep: bool, events: &dyn VerifyEvents) -> Result<Verified, BackupError> {
        let manifest = self.manifest().await?;
        let (mut wrong, mut sums) = (Vec::new(), Sums::default());
        // Each look owns its file: a future that borrows it here could not change threads.
        let look = |file: ManifestFile| async move {
            let found = self.verify_file(&file, deep, events).await;
            (file, found)
        };
        let looks: Vec<_> = manifest.files.iter().cloned().map(look).collect();
        let mut looks = futures::stream::iter(looks).buffered(if deep { READS } else { LOOKS });
        while let Some((file, found)) = looks.next().await {
            match found {
                Ok(found) => {
                    sums.add(&found);
                    events.right(&file);
                }
                Err(error) if is_verdict(&error) => {
                    events.wrong(&file, &error);
                    wrong.push((file.key.clone(), error));
                }
                Err(error) => return Err(error),
            }
        }
        drop(looks);
        if deep && wrong.is_empty() && sums != manifest.sums {
            let what = "the checksum over all rows is not the manifest's".to_owned();
            wrong.push((
                "MANIFEST.json".to_owned(),
                BackupError::Replaced { key: "MANIFEST.json".to_owned(), what },
            ));
        }
        Ok(Verified { manifest, wrong, sums: deep.then_some(sums) })
    }

    async fn verify_file(
        &self,
        file: &ManifestFile,
        deep: bool,
        events: &dyn VerifyEvents,
    ) -> Result<Sums, BackupError> {
        let replaced = |what: String| Err(BackupError::Replaced { key: file.key.clone(), what });
        if !deep {
            let stat =
                self.head(&file.key).await?.ok_or_else(|| BackupError::NotFound { key: file.key.clone() })?;
            if stat.length != file.length {
                return replaced(format!("it has {} bytes, the manifest says {}", stat.length, file.length));
            }
            if stat.etag.trim_matches('"') != file.etag.trim_matches('"') {
                return replaced(format!("its ETag is {}, the manifest says {}", stat.etag, file.etag));
            }
            return Ok(file.sums);
        }
        // ETags say how an object was sent; a copy in another bucket may have others. What was read is what counts.
        let mut incoming = self.read_file(file);
        while let Some(piece) = incoming.next().await? {
            match piece {
                Piece::Header(_) => {}
                Piece::Rows(block) => {
                    events.read(block.rows.iter().map(|row| (row.key.len() + row.value.len()) as u64).sum());
                }
                Piece::End(summary) => return Ok(summary.sums),
            }
        }
        replaced("it ends before its end".to_owned())
    }
}

/// Whether an error says that a file is wrong, rather than that it could not be looked at.
fn is_verdict(error: &BackupError) -> bool {
    match error {
        BackupError::NotFound { .. } | BackupError::Replaced { .. } | BackupError::Mismatch { .. } => true,
        BackupError::Dump(error) => error.is_damage(),
        _ => false,
    }
}
