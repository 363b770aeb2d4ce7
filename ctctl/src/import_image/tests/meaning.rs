// SPDX-License-Identifier: MIT OR Apache-2.0
//! What entries mean: duplicates, order, links, whiteouts, times, formats. What needs root is tested on booted machines.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};

use rustix::fs::XattrFlags;
use tar::EntryType;

use super::archive::{Archive, header};
use super::{MEBIBYTE, Scratch, gzip, names};

fn is_whiteout(scratch: &Scratch, name: &str) -> bool {
    let file = fs::symlink_metadata(scratch.layer().join(name)).unwrap();
    file.file_type().is_char_device() && file.rdev() == 0
}

#[test]
fn the_last_of_a_name_counts() {
    let scratch = Scratch::new("last-of-a-name");
    let archive = Archive::new()
        .file("a", "first")
        .file("a", "second")
        .directory("b/")
        .file("b/c", "")
        .file("b", "now a file")
        .file("d", "")
        .directory("d/")
        .file("d/e", "below")
        .directory("d/");
    scratch.unpack(archive).unwrap();
    assert_eq!(names(&scratch.layer()), ["a", "b", "d", "d/e"]);
    assert_eq!((scratch.read("a"), scratch.read("b")), ("second".to_owned(), "now a file".to_owned()));
}

#[test]
fn directories_may_come_after_what_is_in_them() {
    let scratch = Scratch::new("directories-after");
    let mut late = header(EntryType::Directory, "a/b/", 0);
    late.set_mode(0o1711);
    let mut top = header(EntryType::Directory, "./", 0);
    top.set_mode(0o750);
    let archive =
        Archive::new().file("a/b/c", "deep").append(late, b"").append(top, b"").file("a/b/d", "later");
    scratch.unpack(archive).unwrap();
    let mode = |name: &str| fs::metadata(scratch.layer().join(name)).unwrap();
    assert_eq!(mode("a").permissions().mode() & 0o7777, 0o755);
    assert_eq!(mode("a/b").permissions().mode() & 0o7777, 0o1711);
    assert_eq!(mode("").permissions().mode() & 0o7777, 0o750);
    // Also when something was put into it later.
    assert_eq!((mode("a/b").mtime(), mode("").mtime()), (1_000_000_000, 1_000_000_000));
}

#[test]
fn links_modes_and_times() {
    let scratch = Scratch::new("links-modes-and-times");
    let mut setuid = header(EntryType::Regular, "setuid", 2);
    setuid.set_mode(0o6755);
    let archive = Archive::new()
        .append(setuid, b"su")
        .hard_link("same", "setuid")
        .symlink("dangling", "/nowhere/../x")
        .pax("mtime", b"1500000000.5")
        .file("fraction", "")
        .pax("mtime", b"-1.25")
        .file("before", "")
        .entry(EntryType::Fifo, "fifo", "", b"");
    scratch.unpack(archive).unwrap();
    let file = |name: &str| fs::symlink_metadata(scratch.layer().join(name)).unwrap();
    assert_eq!(file("setuid").permissions().mode() & 0o7777, 0o6755);
    assert_eq!((file("same").ino(), file("same").nlink()), (file("setuid").ino(), 2));
    assert_eq!(fs::read_link(scratch.layer().join("dangling")).unwrap().to_str(), Some("/nowhere/../x"));
    assert_eq!(file("dangling").mtime(), 1_000_000_000);
    assert_eq!((file("fraction").mtime(), file("fraction").mtime_nsec()), (1_500_000_000, 500_000_000));
    assert_eq!((file("before").mtime(), file("before").mtime_nsec()), (-2, 750_000_000));
    assert!(file("fifo").file_type().is_fifo());
}

#[test]
fn whiteouts_hide_what_is_below_and_not_what_is_beside() {
    let scratch = Scratch::new("whiteouts");
    let archive = Archive::new()
        .file("etc/.wh.gone", "")
        .file("kept", "of this layer")
        .file(".wh.kept", "")
        .file(".wh.late", "")
        .file("late", "of this layer")
        // In any layer under it, too, a hard link can have the name of a whiteout.
        .hard_link(".wh.linked", "kept");
    scratch.unpack(archive).unwrap();
    assert_eq!(names(&scratch.layer()), ["etc", "etc/gone", "kept", "late", "linked"]);
    assert!(is_whiteout(&scratch, "etc/gone") && is_whiteout(&scratch, "linked"));
    assert_eq!(
        (scratch.read("kept"), scratch.read("late")),
        ("of this layer".to_owned(), "of this layer".to_owned())
    );
}

#[test]
fn names_may_be_long_and_strange() {
    let scratch = Scratch::new("long-names");
    let long = format!("{}/{}", "d".repeat(200), "f".repeat(200));
    let archive = Archive::new()
        .entry(EntryType::GNULongName, "././@LongLink", "", format!("{long}\0").as_bytes())
        .file("short", "gnu")
        .pax("path", format!("{long}-pax").as_bytes())
        .file("short", "pax")
        .file("new\nline", "")
        .file("escape\u{1b}[2J", "");
    scratch.unpack(archive).unwrap();
    assert_eq!(
        (scratch.read(&long), scratch.read(&format!("{long}-pax"))),
        ("gnu".to_owned(), "pax".to_owned())
    );
    assert!(scratch.layer().join("new\nline").exists());
    // A message has them as one line that a terminal does not obey.
    let story = scratch.unpack(Archive::new().hard_link("a\n\u{1b}[2J", "nowhere")).unwrap_err();
    assert!(story.contains(r"a\n\x1b[2J") && !story.contains('\u{1b}'), "{story}");
}

#[test]
fn attributes_of_users_are_kept() {
    let scratch = Scratch::new("attributes");
    rustix::fs::setxattr(scratch.layer(), "user.test", b"", XattrFlags::empty())
        .expect("the file system of temporary files has attributes of users");
    let value = b"\0binary\n=\xff";
    let archive = Archive::new().pax("SCHILY.xattr.user.name", value).file("a", "");
    assert!(scratch.unpack(archive).unwrap().is_empty());
    let mut found = [0_u8; 32];
    let count = rustix::fs::getxattr(scratch.layer().join("a"), "user.name", &mut found[..]).unwrap();
    assert_eq!(&found[..count], value);
}

#[test]
fn sparse_files_have_holes() {
    let scratch = Scratch::new("sparse");
    let mut sparse = header(EntryType::GNUSparse, "sparse", 1024);
    let gnu = sparse.as_gnu_mut().unwrap();
    gnu.set_real_size(512 * 1024 + 512);
    gnu.sparse[0].set_offset(0);
    gnu.sparse[0].set_length(512);
    gnu.sparse[1].set_offset(512 * 1024);
    gnu.sparse[1].set_length(512);
    scratch.unpack(Archive::new().append(sparse, &[b'x'; 1024]).file("next", "after it")).unwrap();
    let bytes = fs::read(scratch.layer().join("sparse")).unwrap();
    assert_eq!(bytes.len(), 512 * 1024 + 512);
    assert!(bytes[..512].iter().chain(&bytes[512 * 1024..]).all(|byte| *byte == b'x'));
    assert!(bytes[512..512 * 1024].iter().all(|byte| *byte == 0));
    assert!(fs::metadata(scratch.layer().join("sparse")).unwrap().blocks() < 512);
    assert_eq!(scratch.read("next"), "after it");
}

#[test]
fn sparse_files_of_pax_have_holes() {
    let piece = |text: &str| text.repeat(512);
    let map = format!("{:\0<512}", "2\n0\n512\n524288\n512\n");
    let archive = Archive::new()
        .pax_of(&[
            ("GNU.sparse.major", "1"),
            ("GNU.sparse.minor", "0"),
            ("GNU.sparse.name", "one"),
            ("GNU.sparse.realsize", "524800"),
        ])
        .file("GNUSparseFile.1/one", &(map + &piece("x") + &piece("y")))
        .pax_of(&[("GNU.sparse.size", "524800"), ("GNU.sparse.map", "0,512,524288,512")])
        .file("two", &(piece("x") + &piece("y")))
        .pax_of(&[
            ("GNU.sparse.size", "524800"),
            ("GNU.sparse.numblocks", "2"),
            ("GNU.sparse.offset", "0"),
            ("GNU.sparse.numbytes", "512"),
            ("GNU.sparse.offset", "524288"),
            ("GNU.sparse.numbytes", "512"),
        ])
        .file("three", &(piece("x") + &piece("y")))
        .file("next", "after it");
    let scratch = Scratch::new("sparse-pax");
    let bytes = archive.finish();
    scratch.unpack_bytes(&bytes, &bytes, 4 * MEBIBYTE).unwrap();
    let want = piece("x") + &"\0".repeat(523_776) + &piece("y");
    for name in ["one", "two", "three"] {
        assert!(scratch.read(name) == want, "{name}");
        assert!(fs::metadata(scratch.layer().join(name)).unwrap().blocks() < 512, "{name}");
    }
    assert_eq!(names(&scratch.layer()), ["next", "one", "three", "two"]);
    for map in ["0,512,256,512", "0,512,600000,512", "0,512,512", "0,4096", "0,18446744073709551615"] {
        let archive = Archive::new().pax_of(&[("GNU.sparse.size", "524800"), ("GNU.sparse.map", map)]);
        scratch.unpack(archive.file("bad", &piece("x"))).unwrap_err();
    }
    scratch
        .unpack(
            Archive::new()
                .pax_of(&[("GNU.sparse.major", "1"), ("GNU.sparse.realsize", "1")])
                .file("bad", &format!("{:\0<512}", "18446744073709551615\n")),
        )
        .unwrap_err();
}

#[test]
fn values_of_pax_may_be_anything() {
    let scratch = Scratch::new("values-of-pax");
    // What looks like a record of its own is a part of the value.
    let archive = Archive::new()
        .pax("SCHILY.xattr.user.a", b"1\n17 path=elsewhere\n12 size=9999\n")
        .file("a", "text")
        .file("b", "");
    scratch.unpack(archive).unwrap();
    assert_eq!(names(&scratch.layer()), ["a", "b"]);
    for bad in [&b"5 a=b\n"[..], b"99 a=b\n", b"x a=b\n", b"6 a=bb", b"4 a\n", b"7 a=b\n"] {
        scratch.unpack(Archive::new().entry(EntryType::XHeader, "pax", "", bad).file("c", "")).unwrap_err();
    }
}

#[test]
fn every_compression_is_known_by_its_first_bytes() {
    let plain = Archive::new().file("a", "text").finish();
    let (first, second) = plain.split_at(700);
    let zstd = |bytes: &[u8]| zstd::encode_all(bytes, 3).unwrap();
    let mut skippable = b"\x50\x2a\x4d\x18\x04\0\0\0skip".to_vec();
    skippable.write_all(&zstd(&plain)).unwrap();
    for (index, packed) in [
        plain.clone(),
        gzip(&plain),
        [gzip(first), gzip(second)].concat(),
        zstd(&plain),
        [zstd(first), zstd(second)].concat(),
        skippable,
    ]
    .into_iter()
    .enumerate()
    {
        let scratch = Scratch::new(&format!("compression-{index}"));
        scratch.unpack_bytes(&packed, &plain, MEBIBYTE).unwrap();
        assert_eq!(scratch.read("a"), "text", "{index}");
    }
}
