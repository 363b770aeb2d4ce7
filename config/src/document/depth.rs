// SPDX-License-Identifier: MIT OR Apache-2.0
//! How deep a document nests, measured on its tokens, before anything recursive touches it.

use toml_parser::lexer::TokenKind;

/// Deeper tables and lists are refused: all that reads them is recursive.
const MAX_DEPTH: usize = 64;

/// Where a document nests deeper than [`MAX_DEPTH`], by dotted keys, headers, lists or inline tables together. The
/// parser itself limits only the latter two.
pub(super) fn too_deep(text: &str) -> Option<usize> {
    // Nothing nests without one of these: nearly all files end here.
    if text.len() < MAX_DEPTH || text.bytes().filter(|b| matches!(b, b'.' | b'[' | b'{')).count() < MAX_DEPTH
    {
        return None;
    }
    // How deep the header of the section leads, the dots of the key being read, and what is open at each bracket.
    let (mut section, mut dots, mut open) = (0_usize, 0_usize, Vec::new());
    let mut in_header = false;
    let mut line_begins = true;
    for token in toml_parser::Source::new(text).lex() {
        let begins = line_begins && open.is_empty();
        match token.kind() {
            TokenKind::LeftSquareBracket if begins || (in_header && dots == 0) => {
                in_header = true;
                section = 0;
                dots = 0;
            }
            TokenKind::LeftSquareBracket | TokenKind::LeftCurlyBracket => {
                open.push(dots);
                dots = 0;
            }
            TokenKind::RightSquareBracket if in_header => {
                section = section.max(dots + 1);
                dots = 0;
            }
            TokenKind::RightSquareBracket | TokenKind::RightCurlyBracket => {
                open.pop();
                dots = 0;
            }
            TokenKind::Dot => dots += 1,
            TokenKind::Comma => dots = 0,
            TokenKind::Newline => {
                in_header = false;
                dots = 0;
            }
            _ => {}
        }
        line_begins = match token.kind() {
            TokenKind::Newline => true,
            TokenKind::Whitespace => line_begins,
            _ => false,
        };
        let depth = section + dots + open.iter().map(|dots| dots + 1).sum::<usize>();
        if depth >= MAX_DEPTH {
            return Some(token.span().start());
        }
    }
    None
}
