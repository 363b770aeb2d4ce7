// SPDX-License-Identifier: MIT OR Apache-2.0
//! Archives made to get out, or to fill the machine.

use tar::EntryType;

use super::archive::{Archive, header};
use super::{MEBIBYTE, Scratch, digest, gzip, names};

#[track_caller]
fn refused(scratch: &Scratch, archive: Archive, reason: &str) {
    let story = scratch.unpack(archive).unwrap_err();
    assert!(story.contains(reason), "{story}");
    assert!(story.contains("of the layer sha256:"), "{story}");
}

#[test]
fn names_that_lead_up() {
    let scratch = Scratch::new("names-that-lead-up");
    for name in ["../outside/file", "a/../../outside/file", "..", "a/..", "/../outside/file"] {
        refused(&scratch, Archive::new().file(name, "evil"), "\"..\" in its name");
        refused(&scratch, Archive::new().file("good", "").hard_link("bad", name), "\"..\" in its name");
    }
    refused(&scratch, Archive::new().pax("path", b"../outside/new").file("x", ""), "\"..\" in its name");
    refused(&scratch, Archive::new().pax("path", b"a\0b").file("x", ""), "a NUL byte in its name");
}

#[test]
fn absolute_names_begin_at_the_top_of_the_layer() {
    let scratch = Scratch::new("absolute");
    let outside = scratch.outside().join("file").display().to_string();
    scratch.unpack(Archive::new().file(&outside, "evil").file("//etc//./passwd", "root")).unwrap();
    assert_eq!(scratch.read("etc/passwd"), "root");
    assert_eq!(scratch.read(outside.trim_start_matches('/')), "evil");
}

#[test]
fn links_in_the_way() {
    let scratch = Scratch::new("links-in-the-way");
    let outside = scratch.outside().display().to_string();
    for target in [outside.as_str(), "../outside", "."] {
        let link = || Archive::new().symlink("link", target);
        refused(&scratch, link().file("link/file", "evil"), "is not a directory");
        refused(&scratch, link().file("link/new", "evil"), "is not a directory");
        refused(&scratch, link().file("link/below/new", "evil"), "is not a directory");
        refused(&scratch, link().directory("link/sub/"), "is not a directory");
        refused(&scratch, link().file("link/.wh.file", ""), "is not a directory");
        refused(&scratch, link().file("link/.wh..wh..opq", ""), "is not a directory");
        refused(&scratch, link().symlink("link/new", "x"), "is not a directory");
        refused(&scratch, link().hard_link("mine", "link/file"), "which is not in this layer");
        // The link has another name.
        refused(&scratch, link().hard_link("other", "link").file("other/file", "evil"), "is not a directory");
    }
}

#[test]
fn links_in_the_place_of_files_and_directories() {
    let scratch = Scratch::new("links-in-the-place");
    let outside = scratch.outside();
    let file = outside.join("file").display().to_string();
    // A file is not written through a link but replaces it; a mode or a time is not set through one.
    scratch.unpack(Archive::new().symlink("a", &file).file("a", "evil")).unwrap();
    assert_eq!(scratch.read("a"), "evil");
    let before = std::fs::metadata(&outside).unwrap();
    let archive = Archive::new().directory("d/").directory("d/sub/").entry(
        EntryType::Symlink,
        "d",
        &outside.display().to_string(),
        b"",
    );
    scratch.unpack(archive).unwrap();
    assert_eq!(std::fs::metadata(&outside).unwrap().modified().unwrap(), before.modified().unwrap());
    scratch.unpack(Archive::new().symlink("e", &outside.display().to_string()).directory("e/")).unwrap();
    assert!(std::fs::symlink_metadata(scratch.layer().join("e")).unwrap().is_dir());
}

#[test]
fn a_hard_link_to_a_link_does_not_follow_it() {
    let scratch = Scratch::new("hard-link-to-link");
    let file = scratch.outside().join("file").display().to_string();
    scratch.unpack(Archive::new().symlink("a", &file).hard_link("b", "a").file("b", "evil")).unwrap();
    assert_eq!(scratch.read("b"), "evil");
    refused(&scratch, Archive::new().hard_link("c", "etc/shadow"), "which is not in this layer");
    refused(&scratch, Archive::new().directory("d").hard_link("e", "d"), "which is a directory");
    refused(
        &scratch,
        Archive::new().directory("d").file("d/f", "").hard_link("d", "d/f"),
        "which is not in this layer",
    );
}

#[test]
fn whiteouts_that_lead_up() {
    let scratch = Scratch::new("whiteouts-that-lead-up");
    for name in [".wh.", ".wh..", ".wh...", "a/.wh...", "a/.wh.."] {
        refused(&scratch, Archive::new().file(name, ""), "a whiteout of no name");
    }
    for name in [".wh.../outside/file", ".wh.x/file", "a/.wh..wh..opq/x"] {
        refused(&scratch, Archive::new().file(name, ""), "below a whiteout");
    }
    refused(&scratch, Archive::new().file("f", "").file("f/.wh.x", ""), "is not a directory");
    // aufs's own, which nobody wants to have.
    scratch
        .unpack(
            Archive::new().file(".wh..wh.aufs", "").directory(".wh..wh.plnk/").file(".wh..wh.plnk/1.2", ""),
        )
        .unwrap();
    assert_eq!(names(&scratch.layer()), ["f"]);
}

#[test]
fn what_is_no_file_has_nothing_below_it() {
    let scratch = Scratch::new("no-file");
    let fifo = || Archive::new().entry(EntryType::Fifo, "fifo", "", b"");
    refused(&scratch, fifo().file("fifo/x", ""), "is not a directory");
    // In its place a file is made; it is not opened, which would wait for a reader.
    scratch.unpack(fifo().file("fifo", "text")).unwrap();
    assert_eq!(scratch.read("fifo"), "text");
    refused(&scratch, Archive::new().entry(EntryType::new(b'V'), "label", "", b""), "unknown type 'V'");
    refused(&scratch, Archive::new().file(".", "x"), "the layer's own directory as something else");
    refused(&scratch, Archive::new().symlink("/", "/etc"), "the layer's own directory as something else");
    refused(&scratch, Archive::new().entry(EntryType::Symlink, "x", "", b""), "a link without a target");
}

#[test]
fn orders_to_overlayfs_are_left_out() {
    let scratch = Scratch::new("orders-to-overlayfs");
    let archive = Archive::new()
        .pax("SCHILY.xattr.trusted.overlay.redirect", b"/etc")
        .directory("a/")
        .pax("SCHILY.xattr.user.overlay.opaque", b"y")
        .directory("b/")
        .pax("SCHILY.xattr.security.selinux", b"label")
        .file("c", "");
    let left_out: Vec<String> = scratch.unpack(archive).unwrap().into_keys().collect();
    assert_eq!(
        left_out,
        [
            "extended attribute security.selinux",
            "extended attribute trusted.overlay.redirect",
            "extended attribute user.overlay.opaque",
        ]
    );
    let mut list = [0_u8; 64];
    assert_eq!(rustix::fs::llistxattr(scratch.layer().join("b"), &mut list[..]).unwrap(), 0);
}

#[test]
fn bombs() {
    let scratch = Scratch::new("bombs");
    let too_large = |result: Result<_, String>| {
        let story = result.map(|_: super::LeftOut| ()).unwrap_err();
        assert!(story.contains("larger than 1048576 bytes (--max-size)"), "{story}");
    };
    let zeros = Archive::new().entry(EntryType::Regular, "zeros", "", &vec![0; 4 << 20]).finish();
    too_large(scratch.unpack_bytes(&gzip(&zeros), &zeros, MEBIBYTE));
    let zstd = zstd::encode_all(zeros.as_slice(), 1).unwrap();
    too_large(scratch.unpack_bytes(&zstd, &zeros, MEBIBYTE));
    // After the end of the archive.
    let tail = [Archive::new().file("a", "").finish(), vec![0; 4 << 20]].concat();
    too_large(scratch.unpack_bytes(&gzip(&tail), &tail, MEBIBYTE));
    // Many small ones.
    let many = (0..300).fold(Archive::new(), |archive, n| archive.file(&format!("f{n}"), ""));
    too_large(scratch.unpack(many));
    // A hole of many terabytes.
    let mut sparse = header(EntryType::GNUSparse, "hole", 512);
    let gnu = sparse.as_gnu_mut().unwrap();
    gnu.set_real_size(1 << 45);
    gnu.sparse[0].set_offset((1 << 45) - 512);
    gnu.sparse[0].set_length(512);
    too_large(scratch.unpack(Archive::new().append(sparse, &[1; 512])));
    assert!(std::fs::metadata(scratch.layer().join("zeros")).unwrap().len() <= MEBIBYTE);
}

#[test]
fn headers_without_end() {
    let scratch = Scratch::new("headers-without-end");
    let long = vec![b'a'; 4 << 20];
    for kind in [EntryType::GNULongName, EntryType::GNULongLink, EntryType::XHeader] {
        let bytes = Archive::new().entry(kind, "long", "", &long).file("x", "").finish();
        let story = scratch.unpack_bytes(&bytes, &bytes, 64 * MEBIBYTE).unwrap_err();
        assert!(story.contains("headers of an entry are larger"), "{story}");
    }
    // A size that the archive does not have, of 8 EiB and in the header of pax.
    let archive = Archive::new().pax("size", b"9223372036854775807").file("x", "short");
    assert!(scratch.unpack(archive).is_err());
}

#[test]
fn ids_that_are_none() {
    let scratch = Scratch::new("ids");
    refused(&scratch, Archive::new().pax("uid", b"4294967295").file("x", ""), "4294967295 is no id");
    refused(&scratch, Archive::new().pax("gid", b"99999999999").file("x", ""), "99999999999 is no id");
}

#[test]
fn damage() {
    let scratch = Scratch::new("damage");
    let plain = Archive::new().file("a", "one").file("b", "two").finish();
    let packed = gzip(&plain);
    let right = (digest(&packed), packed.len() as u64);
    let unpacked = |bytes: &[u8], blob: &(oci_spec::image::Digest, u64), diff_id| {
        scratch.unpack_data(bytes, blob.clone(), diff_id, MEBIBYTE)
    };
    unpacked(&packed, &right, digest(&plain)).unwrap();

    for at in [0, 12, packed.len() / 2, packed.len() - 1] {
        let mut bad = packed.clone();
        bad[at] ^= 0x10;
        let story = unpacked(&bad, &right, digest(&plain)).unwrap_err();
        assert!(story.contains(&format!("does not have the digest {}", right.0)), "{at}: {story}");
    }
    let short = unpacked(&packed[..packed.len() - 5], &right, digest(&plain)).unwrap_err();
    assert!(short.contains("ends 5 bytes too early"), "{short}");
    let long = [packed.clone(), vec![0; 7]].concat();
    let story = unpacked(&long, &right, digest(&plain)).unwrap_err();
    assert!(story.contains("larger than its descriptor says"), "{story}");
    let other = unpacked(&packed, &right, digest(b"other")).unwrap_err();
    assert!(other.contains("does not have the digest"), "{other}");
    // Not an archive at all, but with the digests it should have.
    let text = b"just a text".repeat(100);
    assert!(scratch.unpack_bytes(&text, &text, MEBIBYTE).is_err());
    let unknown = "sha384:".to_owned() + &"0".repeat(96);
    let story = unpacked(&packed, &right, std::str::FromStr::from_str(&unknown).unwrap()).unwrap_err();
    assert!(story.contains("only sha256 and sha512"), "{story}");
}
