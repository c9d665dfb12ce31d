//! A disk for one node: a file system of its own, in a file.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::command::run;
use super::power;

/// How large a disk is. The file is sparse: only what is written takes room.
const DISK_BYTES: u64 = 1 << 30;
const BALLAST: &str = "ballast";

/// A disk, mounted or not. The sweep unmounts it.
#[derive(Debug)]
pub(crate) struct Disk {
    image: PathBuf,
    mount: PathBuf,
}

impl Disk {
    /// Makes and mounts a new one in this folder.
    pub async fn make(folder: &Path) -> Result<Self> {
        let disk = Self { image: folder.join("disk.img"), mount: folder.join("disk") };
        fs::create_dir_all(&disk.mount).with_context(|| format!("cannot create {}", disk.mount.display()))?;
        let file =
            File::create(&disk.image).with_context(|| format!("cannot create {}", disk.image.display()))?;
        file.set_len(DISK_BYTES)?;
        // Everything that could go on in the background is done at once or left out.
        let lazy = "lazy_itable_init=0,lazy_journal_init=0,nodiscard";
        run(&["mkfs.ext4", "-q", "-F", "-m", "0", "-E", lazy, &text(&disk.image)]).await?;
        disk.mount().await?;
        Ok(disk)
    }

    /// Where its files are.
    pub fn path(&self) -> &Path {
        &self.mount
    }

    /// Takes the power from it: what was not synced is gone. Nobody must have files open on it, or they keep it mounted.
    pub fn cut(&self) -> Result<()> {
        power::cut(&self.mount)
    }

    /// Unmounts it and mounts it again, as a machine that starts.
    pub async fn again(&self) -> Result<()> {
        run(&["umount", &text(&self.mount)]).await?;
        self.mount().await
    }

    async fn mount(&self) -> Result<()> {
        // The journal must not save what nobody asked to be saved.
        run(&["mount", "-o", "loop,commit=300", &text(&self.image), &text(&self.mount)]).await.map(drop)
    }

    /// Makes everything that is on it durable.
    pub async fn sync(&self) -> Result<()> {
        run(&["sync", "-f", &text(&self.mount)]).await.map(drop)
    }

    /// Fills it to the last block; gives the bytes that are left.
    pub async fn fill(&self) -> Result<u64> {
        let ballast = self.mount.join(BALLAST);
        let free = self.free().await?;
        // What is in use meanwhile may make this fail half-way; the rest below takes what is left.
        drop(run(&["fallocate", "-l", &free.to_string(), &text(&ballast)]).await);
        let rest = text(&self.mount.join(format!("{BALLAST}2")));
        drop(
            run(&["dd", "if=/dev/zero", &format!("of={rest}"), "bs=4096", "count=65536", "conv=fsync"]).await,
        );
        self.free().await
    }

    /// Takes away what filled it.
    pub fn empty(&self) {
        for name in [BALLAST.to_owned(), format!("{BALLAST}2")] {
            // One of them may never have come about.
            drop(fs::remove_file(self.mount.join(name)));
        }
    }

    async fn free(&self) -> Result<u64> {
        let said = run(&["stat", "-f", "-c", "%a %S", &text(&self.mount)]).await?;
        let mut numbers = said.split_whitespace().filter_map(|word| word.parse::<u64>().ok());
        let (blocks, size) = numbers.next().zip(numbers.next()).context("stat -f gave no numbers")?;
        Ok(blocks * size)
    }
}

pub(crate) fn text(path: &Path) -> String {
    path.display().to_string()
}
