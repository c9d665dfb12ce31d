//! What lies at a target and belongs to no dump: objects and unfinished uploads of migrations that ended badly.

use std::collections::BTreeSet;

use flotilla_cloud_migration::dump::MANIFEST_NAME;

use crate::error::BackupError;
use crate::target::Target;
use crate::xml::{ListedObject, ListedUpload};

/// What nobody needs.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Orphans {
    /// Objects that no manifest names.
    pub objects: Vec<ListedObject>,
    /// Uploads that were neither completed nor aborted.
    pub uploads: Vec<ListedUpload>,
}

impl Target {
    /// Finds objects in migrations' folders that the manifest does not name (without a manifest: all of them), and all
    /// unfinished uploads. Folders in `active` (as `m7-a1`) are left alone: a migration that is under way has no manifest yet.
    /// What does not lie in a migration's folder is not ours and never listed.
    pub async fn orphans(&self, active: &BTreeSet<String>) -> Result<Orphans, BackupError> {
        let named = self.named().await?;
        let is_ours = |key: &str| folder(key).is_some_and(|folder| !active.contains(folder));
        let mut objects = self.objects("").await?;
        objects.retain(|object| is_ours(&object.key) && !named.contains(&object.key));
        let mut uploads = self.uploads("").await?;
        uploads.retain(|upload| is_ours(&upload.key));
        Ok(Orphans { objects, uploads })
    }

    /// What a whole dump consists of.
    async fn named(&self) -> Result<BTreeSet<String>, BackupError> {
        if !self.has_manifest().await? {
            return Ok(BTreeSet::new());
        }
        // A manifest that cannot be read protects everything: the error ends this.
        let manifest = self.manifest().await?;
        let folders: BTreeSet<_> = manifest.files.iter().filter_map(|file| folder(&file.key)).collect();
        let plans = folders.iter().map(|folder| format!("{folder}/plan.json"));
        let plans: Vec<String> = plans.collect();
        Ok(manifest.files.iter().map(|file| file.key.clone()).chain(plans).collect())
    }

    /// Removes what was found. Answers how much of both there was.
    pub async fn sweep(&self, orphans: &Orphans) -> Result<(), BackupError> {
        for upload in &orphans.uploads {
            self.abort_upload(&upload.key, &upload.upload_id).await?;
        }
        for object in orphans.objects.iter().filter(|object| object.key != MANIFEST_NAME) {
            self.delete(&object.key).await?;
        }
        Ok(())
    }
}

/// The migration's folder that a key lies in: `m<id>-a<attempt>-<cluster>`.
fn folder(key: &str) -> Option<&str> {
    let (folder, _) = key.split_once('/')?;
    let (id, attempt) = folder.strip_prefix('m')?.split_once("-a")?;
    // The start of the cluster's id may follow.
    let attempt = attempt.split_once('-').map_or(attempt, |(attempt, _)| attempt);
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (is_number(id) && is_number(attempt)).then_some(folder)
}

#[cfg(test)]
mod tests {
    use super::folder;

    #[test]
    fn only_migrations_folders_are_ours() {
        assert_eq!(folder("m7-a1/g1/s0.kvd"), Some("m7-a1"));
        for key in ["MANIFEST.json", "m7-a1", "m-a1/x", "m7/x", "music-album/x", "m7-a/x", "x/m7-a1/y"] {
            assert_eq!(folder(key), None, "{key}");
        }
    }
}
