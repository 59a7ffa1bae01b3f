//! The README's code blocks, in order.

use super::project;

/// A fenced block.
#[derive(Debug, Clone)]
pub(crate) struct Block {
    /// What stands behind the fence: `sql`, `sh`, ...
    pub(crate) language: String,
    pub(crate) text: String,
}

/// All blocks of a language.
pub(crate) fn blocks(language: &str) -> Vec<String> {
    let of_language = all().into_iter().filter(|block| block.language == language);
    of_language.map(|block| block.text).collect()
}

/// The one block of a language that holds a text.
pub(crate) fn block(language: &str, holds: &str) -> String {
    let mut found = blocks(language);
    found.retain(|text| text.contains(holds));
    assert_eq!(found.len(), 1, "one {language} block of the README holds {holds}");
    found.swap_remove(0)
}

/// The README.
pub(crate) fn text() -> String {
    std::fs::read_to_string(project().join("README.md")).expect("the README")
}

fn all() -> Vec<Block> {
    let text = text();
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for line in text.lines() {
        match (line.strip_prefix("```"), open.take()) {
            (Some(language), None) => open = Some(Block { language: language.to_owned(), text: String::new() }),
            (Some(_), Some(block)) => blocks.push(block),
            (None, Some(mut block)) => {
                block.text.push_str(line);
                block.text.push('\n');
                open = Some(block);
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a fence of the README is not closed");
    blocks
}
