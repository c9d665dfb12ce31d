//! Keys, from the environment or from a file that only this process's user reads. They stay in this room.

use std::collections::BTreeMap;
use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};

use crate::error::BackupError;

/// The token that a migration store asks for, if it asks for one.
pub const STORE_TOKEN: &str = "FLOTILLA_STORE_TOKEN";
/// "true": take keys from the machine's instance profile. Asked for by name, as looking for one that is not there takes long.
pub const INSTANCE_PROFILE: &str = "FLOTILLA_INSTANCE_PROFILE";

/// A credentials file has a few lines.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// Settings by upper-case name: `AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL`, `AWS_REGION`, [`STORE_TOKEN`] and the like.
#[derive(Clone, Default)]
pub struct Credentials {
    settings: BTreeMap<String, String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("names", &self.settings.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

fn wrong(what: impl Into<String>) -> BackupError {
    BackupError::Credentials(what.into())
}

impl Credentials {
    /// From the file, if one is named, else from the environment.
    pub fn load(file: Option<&Path>) -> Result<Self, BackupError> {
        file.map_or_else(|| Ok(Self::from_env()), Self::from_file)
    }

    /// From this process's environment: `AWS_*` and our own.
    pub fn from_env() -> Self {
        let ours = |name: &str| name.starts_with("AWS_") || name == STORE_TOKEN || name == INSTANCE_PROFILE;
        let settings = std::env::vars_os().filter_map(|(name, value)| {
            let (name, value) = (name.into_string().ok()?, value.into_string().ok()?);
            (ours(&name) && !value.is_empty()).then_some((name, value))
        });
        Self { settings: settings.collect() }
    }

    /// From lines of `name = value`, names as in the environment, in either case; `[section]`, `#` and empty lines are
    /// passed over, so a file of the AWS command line with one section does as well.
    pub fn from_file(path: &Path) -> Result<Self, BackupError> {
        let failed = |error: std::io::Error| wrong(format!("cannot read {}: {error}", path.display()));
        let metadata = std::fs::metadata(path).map_err(failed)?;
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            let path = path.display();
            return Err(wrong(format!("{path} has mode {mode:o}, others may read it; run chmod 600 {path}")));
        }
        if !metadata.is_file() || metadata.len() > FILE_BYTES_MAX {
            return Err(wrong(format!("{} is no file of at most {FILE_BYTES_MAX} bytes", path.display())));
        }
        Self::parse(&std::fs::read_to_string(path).map_err(failed)?)
            .map_err(|line| wrong(format!("{}, line {line}: expected name = value", path.display())))
    }

    fn parse(text: &str) -> Result<Self, usize> {
        let mut settings = BTreeMap::new();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with(['#', '[']) {
                continue;
            }
            let (name, value) = line.split_once('=').ok_or(at + 1)?;
            let name = name.trim().trim_start_matches("export ").to_ascii_uppercase();
            let value = value.trim().trim_matches('"');
            settings.insert(if name == "REGION" { "AWS_REGION".to_owned() } else { name }, value.to_owned());
        }
        Ok(Self { settings })
    }

    /// These settings with one more; for tests and tools.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.settings.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The token for a migration store.
    pub fn store_token(&self) -> Option<&str> {
        self.get(STORE_TOKEN)
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.settings.get(name).map(String::as_str)
    }

    fn is_true(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| matches!(value, "1") || value.eq_ignore_ascii_case("true"))
    }

    /// What signs requests to a bucket.
    pub fn signer(&self, bucket: &str) -> Result<AmazonS3, BackupError> {
        self.check()?;
        crate::http::choose_cryptography();
        let mut builder = AmazonS3Builder::new().with_region("us-east-1");
        for (name, value) in &self.settings {
            // Bucket and prefix are the URL's to say; names that the library does not know are of other tools.
            if let Ok(key) = name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>()
                && !matches!(key, AmazonS3ConfigKey::Bucket)
            {
                builder = builder.with_config(key, value);
            }
        }
        // The library's words may hold a setting's value.
        builder.with_bucket_name(bucket).build().map_err(|_| {
            wrong(
                "the AWS_* settings do not make sense together; look at AWS_ENDPOINT_URL, AWS_REGION and AWS_ALLOW_HTTP",
            )
        })
    }

    fn check(&self) -> Result<(), BackupError> {
        let endpoint = self.get("AWS_ENDPOINT_URL_S3").or_else(|| self.get("AWS_ENDPOINT_URL"));
        if let Some(endpoint) = endpoint.or_else(|| self.get("AWS_ENDPOINT")) {
            let url = reqwest::Url::parse(endpoint)
                .map_err(|error| wrong(format!("AWS_ENDPOINT_URL does not parse: {error}")))?;
            if url.scheme() == "http" && !self.is_true("AWS_ALLOW_HTTP") {
                return Err(wrong("AWS_ENDPOINT_URL is plain http; set AWS_ALLOW_HTTP=true to allow that"));
            }
        }
        let elsewhere = [
            "AWS_WEB_IDENTITY_TOKEN_FILE",
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        ];
        if elsewhere.iter().any(|name| self.get(name).is_some()) || self.is_true(INSTANCE_PROFILE) {
            return Ok(());
        }
        match ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"].iter().find(|name| self.get(name).is_none()) {
            Some(name) => Err(wrong(format!(
                "{name} is not set where this process runs; set it there, or name a credentials file"
            ))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole() -> Credentials {
        Credentials::default().with("AWS_ACCESS_KEY_ID", "key").with("AWS_SECRET_ACCESS_KEY", "hush")
    }

    #[test]
    fn what_is_missing_is_named_and_nothing_secret_is_shown() {
        let cases = [
            (Credentials::default(), "AWS_ACCESS_KEY_ID"),
            (Credentials::default().with("AWS_ACCESS_KEY_ID", "hush"), "AWS_SECRET_ACCESS_KEY"),
            (whole().with("AWS_ENDPOINT_URL", "http://127.0.0.1:1"), "AWS_ALLOW_HTTP"),
            (whole().with("AWS_ENDPOINT_URL", "hush"), "AWS_ENDPOINT_URL"),
        ];
        for (credentials, named) in cases {
            let error = credentials.signer("bucket").expect_err(named);
            assert_eq!((error.code(), error.is_retryable()), ("target_credentials", false));
            assert!(error.to_string().contains(named), "{error}");
            assert!(
                !format!("{error} {error:?} {credentials:?}").contains("hush"),
                "{error:?} {credentials:?}"
            );
        }
        whole().signer("bucket").unwrap();
    }

    #[test]
    fn a_file_is_read_unless_others_may() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("credentials");
        std::fs::write(
            &path,
            "# ours\n[default]\naws_access_key_id = key\nAWS_SECRET_ACCESS_KEY=\"hush\"\n\n",
        )
        .unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(Credentials::from_file(&path).unwrap_err().to_string().contains("chmod 600"));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let read = Credentials::from_file(&path).unwrap();
        assert_eq!(
            (read.get("AWS_ACCESS_KEY_ID"), read.get("AWS_SECRET_ACCESS_KEY")),
            (Some("key"), Some("hush"))
        );
        std::fs::write(&path, "aws_access_key_id = key\nhush\n").unwrap();
        let error = Credentials::from_file(&path).unwrap_err().to_string();
        assert!(error.contains("line 2") && !error.contains("hush"), "{error}");
        assert!(Credentials::from_file(&dir.path().join("missing")).is_err());
    }
}
