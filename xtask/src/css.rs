//! The dashboard's CSS: every file of `app/style/`, checked, minified and put together.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow};
use lightningcss::stylesheet::{MinifyOptions, ParserOptions, PrinterOptions, StyleSheet};
use lightningcss::targets::{Browsers, Targets};

/// The order of the layers, which makes the order of the files irrelevant.
const LAYERS: &str = "@layer reset,tokens,base,components,utilities;";

/// The oldest browsers that know nesting, oklch and light-dark(), so that nothing is rewritten for older ones.
const BROWSERS: Browsers = Browsers {
    android: None,
    chrome: Some(123 << 16),
    edge: Some(123 << 16),
    firefox: Some(128 << 16),
    ie: None,
    ios_saf: Some(17 << 16 | 5 << 8),
    opera: None,
    safari: Some(17 << 16 | 5 << 8),
    samsung: None,
};

/// All of a folder's CSS as one minified text.
pub(crate) fn bundle(folder: &Path) -> Result<String> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .with_context(|| format!("cannot read {}", folder.display()))?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "css"))
        .collect();
    files.sort();
    let mut bundle = String::from(LAYERS);
    for file in files {
        let text =
            fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        bundle.push_str(&minify(&file.display().to_string(), &text)?);
    }
    Ok(bundle)
}

fn minify(name: &str, text: &str) -> Result<String> {
    let options = ParserOptions {
        filename: name.to_owned(),
        ..ParserOptions::default()
    };
    let mut sheet = StyleSheet::parse(text, options).map_err(|error| anyhow!("{error}"))?;
    let targets = Targets {
        browsers: Some(BROWSERS),
        ..Targets::default()
    };
    sheet
        .minify(MinifyOptions {
            targets,
            ..MinifyOptions::default()
        })
        .map_err(|error| anyhow!("{error}"))?;
    let printed = sheet
        .to_css(PrinterOptions {
            minify: true,
            targets,
            ..PrinterOptions::default()
        })
        .map_err(|error| anyhow!("{error}"))?;
    Ok(printed.code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modern_css_stays_modern_and_gets_small() {
        let css = "@layer base { .a { color: light-dark(oklch(20% 0 0), oklch(90% 0 0)); & .b { margin: 0px } } }";
        let small = minify("a.css", css).unwrap();
        assert!(small.len() < css.len(), "{small}");
        assert!(
            small.contains("light-dark(") && small.contains("oklch("),
            "{small}"
        );
    }

    #[test]
    fn an_error_names_file_and_line() {
        let error = minify("style/a.css", ".a {\n  color: red;\n}}\n")
            .unwrap_err()
            .to_string();
        assert!(error.contains("style/a.css:"), "{error}");
    }
}
