// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a runtime says, in files that the account may have written.

use std::fs::OpenOptions;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::exit::printable;

/// How much of a file that the account may have written is read, in bytes.
const MAX_UNTRUSTED: u64 = 64 * 1024;

/// Reads a small file from a directory that is not root's: never a link, never something that blocks.
pub(crate) fn read_untrusted(path: &Path) -> std::io::Result<String> {
    let mut file =
        OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(std::io::Error::other("not a regular file"));
    }
    // The end of a log is what matters.
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(MAX_UNTRUSTED)))?;
    let mut bytes = Vec::new();
    file.take(MAX_UNTRUSTED).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The last message of level error in a log of JSON lines, or the last line of any other; on one line and bounded.
pub(crate) fn last_error(log: &str) -> Option<String> {
    let message = |entry: serde_json::Value| -> Option<String> {
        let level = entry.get("level").and_then(|level| level.as_str()).unwrap_or("error").to_lowercase();
        let text = entry.get("msg").or_else(|| entry.get("message"))?.as_str()?;
        ["error", "fatal", "panic"].contains(&level.as_str()).then(|| text.to_owned())
    };
    // runsc puts all of them on one line.
    let entries = |line| serde_json::Deserializer::from_str(line).into_iter().map_while(Result::ok);
    let said = log.lines().rev().find_map(|line| entries(line).filter_map(message).last());
    let said = said.or_else(|| log.lines().rev().find(|line| !line.trim().is_empty()).map(str::to_owned))?;
    Some(printable(&said, 500))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_error_is_what_is_told() {
        let log = "{\"level\":\"warning\",\"msg\":\"w\"}\n{\"msg\":\"no\\nsuch file\",\"level\":\"error\",\"time\":\"t\"}\n";
        assert_eq!(last_error(log), Some("no such file".into()));
        let runsc = "{\"msg\":\"first\",\"level\":\"error\"}{\"msg\":\"second\",\"level\":\"error\"}{\"msg\":\"w\",\"level\":\"warning\"}";
        assert_eq!(last_error(runsc), Some("second".into()));
        let youki = "{\"timestamp\":\"t\",\"level\":\"ERROR\",\"message\":\"no such file\"}\n{\"level\":\"INFO\",\"message\":\"i\"}\n";
        assert_eq!(last_error(youki), Some("no such file".into()));
        assert_eq!(last_error("plain text\n\n"), Some("plain text".into()));
        assert_eq!(last_error(""), None);
        assert_eq!(last_error(&"x".repeat(5000)).map(|text| text.len()), Some(500));
    }
}
