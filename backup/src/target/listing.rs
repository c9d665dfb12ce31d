//! What a store has: objects and unfinished uploads below a folder, and how to get rid of them.

use super::{Op, Target, Urls};
use crate::error::BackupError;
use crate::xml::{self, ListedObject, ListedUpload};

/// How many requests that tidy up run at a time.
const AT_A_TIME: usize = 8;
/// How often unfinished uploads are looked for until none is left: a create that was under way may come in late.
const ROUNDS_MAX: u32 = 5;

impl Target {
    /// The objects whose keys begin with `below`, keys without the target's prefix.
    pub async fn objects(&self, below: &str) -> Result<Vec<ListedObject>, BackupError> {
        let mut found = Vec::new();
        let mut token = String::new();
        loop {
            let op = Op::ListObjects { token: &token };
            let page: xml::Objects = self.page(op, below).await?;
            let ours = page.objects.into_iter().filter_map(|object| {
                let key = self.below_prefix(&object.key, below)?;
                Some(ListedObject { key, ..object })
            });
            found.extend(ours);
            match page.next_continuation_token.filter(|next| page.is_truncated && *next != token) {
                Some(next) => token = next,
                None => return Ok(found),
            }
        }
    }

    /// The unfinished uploads of keys that begin with `below`.
    pub async fn uploads(&self, below: &str) -> Result<Vec<ListedUpload>, BackupError> {
        let mut found = Vec::new();
        let (mut key, mut upload) = (String::new(), String::new());
        loop {
            let op = Op::ListUploads { key: &key, upload: &upload };
            let page: xml::Uploads = self.page(op, below).await?;
            let ours = page.uploads.into_iter().filter_map(|upload| {
                let key = self.below_prefix(&upload.key, below)?;
                Some(ListedUpload { key, ..upload })
            });
            found.extend(ours);
            let next =
                (page.next_key_marker.unwrap_or_default(), page.next_upload_id_marker.unwrap_or_default());
            if !page.is_truncated || next.0.is_empty() || next == (key.clone(), upload.clone()) {
                return Ok(found);
            }
            (key, upload) = next;
        }
    }

    /// Whether the bucket is there and may be listed.
    pub(crate) async fn check_listable(&self) -> Result<(), BackupError> {
        self.page::<xml::Objects>(Op::ListObjects { token: "" }, "probe-").await.map(drop)
    }

    async fn page<T: serde::de::DeserializeOwned>(&self, op: Op<'_>, below: &str) -> Result<T, BackupError> {
        let answer = self
            .ask(op, below, |request| request)
            .await
            .map_err(|failure| self.error(failure, &op, below))?;
        xml::read(&answer.body).map_err(|what| BackupError::Protocol { doing: op.doing(below), what })
    }

    /// A key of the bucket as one below the target's prefix; none: it is not below `below`.
    ///
    /// Stores exist that list more than was asked for, and what is listed here is deleted.
    fn below_prefix(&self, full: &str, below: &str) -> Option<String> {
        let key = match &self.inner.urls {
            Urls::S3(bucket) => full.strip_prefix(&bucket.full_key(""))?,
            Urls::Store(store) => store.below_prefix(full)?,
        };
        key.starts_with(below).then(|| key.to_owned())
    }

    /// Aborts all unfinished uploads in a migration's folder until the store knows of none. Answers how many there were.
    pub async fn abort_uploads(&self, folder: &str) -> Result<u64, BackupError> {
        let below = format!("{folder}/");
        let mut aborted = 0;
        for _ in 0..ROUNDS_MAX {
            let uploads = match self.uploads(&below).await {
                // A store that cannot list uploads has none that could be found.
                Err(BackupError::Refused { said, .. }) if said.starts_with("501") => return Ok(aborted),
                other => other?,
            };
            if uploads.is_empty() {
                return Ok(aborted);
            }
            aborted += uploads.len() as u64;
            let abort = |upload: ListedUpload| {
                let target = self.clone();
                async move { target.abort_upload(&upload.key, &upload.upload_id).await }
            };
            each(uploads, abort).await?;
        }
        let said = format!("uploads are still there after {ROUNDS_MAX} rounds");
        Err(BackupError::Busy { doing: "aborting uploads".to_owned(), said })
    }

    /// Deletes all objects in a migration's folder. Answers how many there were.
    pub async fn delete_objects(&self, folder: &str) -> Result<u64, BackupError> {
        let objects = self.objects(&format!("{folder}/")).await?;
        let count = objects.len() as u64;
        let delete = |object: ListedObject| {
            let target = self.clone();
            async move { target.delete(&object.key).await }
        };
        each(objects, delete).await?;
        Ok(count)
    }
}

/// Does something to each, a few at a time; the first error ends it. (The closure owns what it uses: a future that borrows
/// through an `AsyncFn` could not be sent to another thread.)
async fn each<T, Fut>(things: Vec<T>, what: impl Fn(T) -> Fut) -> Result<(), BackupError>
where
    Fut: Future<Output = Result<(), BackupError>>,
{
    use futures::{StreamExt, TryStreamExt};
    let work: Vec<Fut> = things.into_iter().map(what).collect();
    futures::stream::iter(work).buffer_unordered(AT_A_TIME).try_collect().await
}
