//! What a power cut keeps.

use super::*;

fn path(text: &str) -> &Path {
    Path::new(text)
}

/// An image with a synced file `/a` of "old" and unsynced writes "new" over it and "tail" behind it.
fn image() -> (Image, Inode) {
    let mut image = Image::default();
    let file = image.create_file(path("/a")).expect("create");
    image.write(file, 0, b"old").expect("write");
    image.sync_file(file);
    image.sync_dir(ROOT);
    image.write(file, 0, b"new").expect("write");
    image.write(file, 3, b"tail").expect("write");
    (image, file)
}

#[test]
fn a_power_cut_keeps_what_is_synced_and_a_prefix_of_the_rest() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..400 {
        let (mut image, file) = image();
        image.power_cut(&Dice::new(seed));
        seen.insert(image.bytes(file).to_vec());
    }
    for whole in [&b"old"[..], b"new", b"newtail"] {
        assert!(seen.contains(whole), "{whole:?}");
    }
    let torn = |bytes: &Vec<u8>| ![&b"old"[..], b"new", b"newtail"].contains(&&bytes[..]);
    assert!(seen.iter().any(torn), "some writes are torn");
    let reordered = |bytes: &Vec<u8>| bytes.starts_with(b"old") && bytes.len() > 3;
    assert!(!seen.iter().any(reordered), "no write is kept whose predecessor is lost: {seen:?}");
}

#[test]
fn synced_bytes_under_an_unsynced_name_are_lost_with_it() {
    let survivors = (0..100).filter(|seed| {
        let mut image = Image::default();
        let file = image.create_file(path("/new")).expect("create");
        image.write(file, 0, b"bytes").expect("write");
        image.sync_file(file);
        image.power_cut(&Dice::new(*seed));
        image.find_file(path("/new")).is_ok()
    });
    let survivors = survivors.count();
    assert!((1..100).contains(&survivors), "{survivors} of 100");
    let (mut image, _) = image();
    image.rename(path("/a"), path("/b")).expect("rename");
    image.sync_dir(ROOT);
    image.power_cut(&Dice::new(1));
    assert!(image.find_file(path("/b")).is_ok() && image.find(path("/a")).is_err());
}

#[test]
fn a_failed_sync_is_never_made_good_by_a_later_one() {
    let (mut image, file) = image();
    image.forget_file(file);
    image.sync_file(file);
    assert_eq!(image.bytes(file), b"newtail");
    image.power_cut(&Dice::new(1));
    assert_eq!(image.bytes(file), b"old");
}

#[test]
fn removed_directories_and_links_behave() {
    let mut image = Image::default();
    image.create_dir_all(path("/x/y")).expect("create");
    image.create_file(path("/x/y/file")).expect("create");
    image.link(path("/x/y/file"), path("/x/other")).expect("link");
    assert!(image.create_dir(path("/x")).is_err());
    image.remove_dir_all(path("/x/y")).expect("remove");
    assert!(image.find(path("/x/y")).is_err() && image.find_file(path("/x/other")).is_ok());
    assert_eq!(image.all_files().len(), 1);
}
