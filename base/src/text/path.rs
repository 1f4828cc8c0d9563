//! A path as text.

/// A path without `.`, `..` and doubled slashes, as Docker cleans it: relative to its root, and never
/// out of it. Links are not looked at.
pub fn clean(path: &str) -> String {
    let mut names: Vec<&str> = Vec::new();
    for name in path.split('/') {
        match name {
            "" | "." => (),
            ".." => drop(names.pop()),
            name => names.push(name),
        }
    }
    names.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_and_stay_inside() {
        let cases =
            [("/", ""), ("/a//b/", "a/b"), ("a/./b/../c", "a/c"), ("../../x", "x"), ("/..", "")];
        for (path, want) in cases {
            assert_eq!(clean(path), want, "{path}");
        }
    }
}
