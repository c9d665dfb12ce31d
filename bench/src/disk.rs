//! How long the disk takes to make a small write durable: what one durable write costs at least.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::error::BenchError;
use crate::tally::histogram;

/// As much as an entry of a log.
const WRITE_BYTES: usize = 512;
/// Enough for a 99th percentile.
const SYNCS_MIN: u64 = 200;

/// How long `fdatasync` took after a small append.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Disk {
    /// How often it was tried.
    pub syncs: u64,
    /// Half of them took no longer.
    pub fsync_p50_us: u64,
    /// 99 of a hundred took no longer.
    pub fsync_p99_us: u64,
    /// The file system's kind, e.g. `ext4`.
    pub file_system: String,
}

/// Appends and syncs in a file of its own in this folder for about so long, and removes the file.
pub fn measure(folder: &Path, length: Duration) -> Result<Disk, BenchError> {
    let path = folder.join(format!(".flotilla-bench-{}", std::process::id()));
    let failed = |source| BenchError::File { path: path.clone(), source };
    let file = OpenOptions::new().create_new(true).append(true).open(&path).map_err(failed)?;
    let measured = syncs(file, length);
    fs::remove_file(&path).map_err(failed)?;
    let times = measured.map_err(failed)?;
    Ok(Disk {
        syncs: times.len(),
        fsync_p50_us: times.value_at_quantile(0.5),
        fsync_p99_us: times.value_at_quantile(0.99),
        file_system: file_system(folder),
    })
}

fn syncs(mut file: File, length: Duration) -> std::io::Result<hdrhistogram::Histogram<u64>> {
    let (begun, mut times, entry) = (Instant::now(), histogram(), [b'.'; WRITE_BYTES]);
    while begun.elapsed() < length || times.len() < SYNCS_MIN {
        let start = Instant::now();
        file.write_all(&entry)?;
        file.sync_data()?;
        times.saturating_record(u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX));
    }
    Ok(times)
}

/// The kind of the mount that holds the folder: the longest mount point that the folder's path begins with.
fn file_system(folder: &Path) -> String {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let mount = |line: &str| {
        let mut fields = line.split_whitespace().skip(1);
        let (point, kind) = (fields.next()?, fields.next()?);
        folder.starts_with(point).then(|| (point.len(), kind.to_owned()))
    };
    mounts.lines().filter_map(mount).max().map_or_else(|| "unknown".to_owned(), |(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syncs_are_timed_and_nothing_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let disk = measure(folder.path(), Duration::from_millis(1)).unwrap();
        assert!(disk.syncs >= SYNCS_MIN && disk.fsync_p50_us <= disk.fsync_p99_us, "{disk:?}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        assert!(measure(Path::new("/no/such/folder"), Duration::ZERO).is_err());
    }
}
