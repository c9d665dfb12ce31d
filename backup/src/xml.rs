//! The little XML that S3 speaks.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Deserialize;
use serde::de::DeserializeOwned;

/// An error, as stores write it.
#[derive(Deserialize, Debug, Default, Clone)]
#[serde(default)]
pub struct StoreError {
    /// A word for programs.
    #[serde(rename = "Code", alias = "code")]
    pub code: String,
    /// For people.
    #[serde(rename = "Message", alias = "message")]
    pub message: String,
}

/// The answer to CreateMultipartUpload.
#[derive(Deserialize, Debug)]
#[serde(rename_all = "PascalCase")]
pub struct Created {
    /// What the store calls the upload.
    pub upload_id: String,
}

/// The answer to CompleteMultipartUpload.
#[derive(Deserialize, Debug)]
pub struct Completed {
    /// The object's ETag.
    #[serde(rename = "ETag")]
    pub etag: String,
}

/// One page of ListParts.
#[derive(Deserialize, Debug)]
#[serde(rename_all = "PascalCase")]
pub struct Parts {
    /// The parts.
    #[serde(rename = "Part", default)]
    pub parts: Vec<ListedPart>,
    /// Whether there are more.
    #[serde(default)]
    pub is_truncated: bool,
    /// After which part the next page begins.
    #[serde(default)]
    pub next_part_number_marker: Option<u32>,
}

/// One part at the store.
#[derive(Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "PascalCase")]
pub struct ListedPart {
    /// Its number, from 1.
    pub part_number: u32,
    /// Its ETag.
    #[serde(rename = "ETag", default)]
    pub etag: String,
    /// Its length.
    #[serde(default)]
    pub size: u64,
}

/// One page of ListObjectsV2.
#[derive(Deserialize, Debug)]
#[serde(rename_all = "PascalCase")]
pub struct Objects {
    /// The objects.
    #[serde(rename = "Contents", default)]
    pub objects: Vec<ListedObject>,
    /// Whether there are more.
    #[serde(default)]
    pub is_truncated: bool,
    /// Where the next page begins.
    #[serde(default)]
    pub next_continuation_token: Option<String>,
}

/// One object at the store.
#[derive(Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "PascalCase")]
pub struct ListedObject {
    /// Its key.
    pub key: String,
    /// Its length.
    #[serde(default)]
    pub size: u64,
    /// Its ETag.
    #[serde(rename = "ETag", default)]
    pub etag: String,
}

/// One page of ListMultipartUploads.
#[derive(Deserialize, Debug)]
#[serde(rename_all = "PascalCase")]
pub struct Uploads {
    /// The uploads.
    #[serde(rename = "Upload", default)]
    pub uploads: Vec<ListedUpload>,
    /// Whether there are more.
    #[serde(default)]
    pub is_truncated: bool,
    /// Where the next page begins: a key, ...
    #[serde(default)]
    pub next_key_marker: Option<String>,
    /// ... and one of its uploads.
    #[serde(default)]
    pub next_upload_id_marker: Option<String>,
}

/// One unfinished upload at the store.
#[derive(Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "PascalCase")]
pub struct ListedUpload {
    /// The object it is to become.
    pub key: String,
    /// What the store calls it.
    pub upload_id: String,
}

/// Reads an answer whose root is of this type.
pub fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    let text = std::str::from_utf8(body).map_err(|_| "it is no text".to_owned())?;
    quick_xml::de::from_str(text).map_err(|error| format!("it is no XML of that kind: {error}"))
}

/// Reads an error of S3, if the root says that it is one.
pub fn read_error(body: &[u8]) -> Option<StoreError> {
    let text = std::str::from_utf8(body).ok()?;
    let root = text.split('<').find(|tag| tag.starts_with(|c: char| c.is_ascii_alphabetic()))?;
    let name = root.split(|c: char| !c.is_ascii_alphanumeric()).next()?;
    if name != "Error" {
        return None;
    }
    Some(quick_xml::de::from_str(text).unwrap_or_default())
}

/// Reads an error of S3, or a migration store's (JSON).
pub fn read_refusal(body: &[u8]) -> StoreError {
    read_error(body).or_else(|| serde_json::from_slice(body).ok()).unwrap_or_default()
}

/// What completes an upload.
pub fn complete(parts: &BTreeMap<u32, String>) -> String {
    let mut out = String::from("<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    for (number, etag) in parts {
        let etag = quick_xml::escape::escape(etag.as_str());
        let _ = write!(out, "<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>");
    }
    out.push_str("</CompleteMultipartUpload>");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read() {
        let parts = br#"<?xml version="1.0"?><ListPartsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Bucket>b</Bucket>
            <IsTruncated>true</IsTruncated><NextPartNumberMarker>2</NextPartNumberMarker>
            <Part><PartNumber>1</PartNumber><ETag>&quot;a&quot;</ETag><Size>5</Size></Part>
            <Part><PartNumber>2</PartNumber><ETag>"b"</ETag><Size>6</Size></Part></ListPartsResult>"#;
        let parts: Parts = read(parts).unwrap();
        assert_eq!(
            (parts.parts.len(), parts.is_truncated, parts.next_part_number_marker),
            (2, true, Some(2))
        );
        assert_eq!(parts.parts[0].etag, "\"a\"");
        let none: Uploads = read(
            b"<ListMultipartUploadsResult><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>",
        )
        .unwrap();
        assert!(none.uploads.is_empty());
        assert!(read::<Created>(b"<InitiateMultipartUploadResult></InitiateMultipartUploadResult>").is_err());
        assert!(read::<Created>(b"\xff").is_err());
    }

    #[test]
    fn errors_are_told_from_answers() {
        let error = read_error(
            b"<?xml version=\"1.0\"?>\n<Error><Code>SlowDown</Code><Message>please</Message></Error>",
        )
        .unwrap();
        assert_eq!((&error.code[..], &error.message[..]), ("SlowDown", "please"));
        assert!(
            read_error(b"<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>")
                .is_none()
        );
        assert!(read_error(b"").is_none());
        assert!(read_error(b"<Error><broken").is_some());
    }
}
