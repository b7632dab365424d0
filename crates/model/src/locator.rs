//! Where a source finds its data.

use percent_encoding::percent_decode_str;

/// The file path that a resource locator means: what is behind `file://`, decoded, or the locator itself where it has
/// no scheme. `None` for other schemes, other hosts, and bytes that are no UTF-8 or NUL.
///
/// ```
/// use sheaf_model::file_path;
///
/// assert_eq!(file_path("file:///data/Mast%201").as_deref(), Some("/data/Mast 1"));
/// assert_eq!(file_path("data/Mast 1").as_deref(), Some("data/Mast 1"));
/// assert_eq!(file_path("https://example.org/data"), None);
/// ```
pub fn file_path(locator: &str) -> Option<String> {
    let path = match scheme(locator) {
        None => return (!locator.contains('\0')).then(|| locator.to_owned()),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("file") => rest,
        Some(_) => return None,
    };
    let path = path.strip_prefix("//").map_or(path, |path| path.strip_prefix("localhost").unwrap_or(path));
    let path = percent_decode_str(path).decode_utf8().ok()?;
    if !path.starts_with('/') || path.contains('\0') {
        return None;
    }
    // In front of a drive, the slash is part of the URI and not of the path.
    let drive = path.strip_prefix('/').filter(|rest| {
        let mut bytes = rest.bytes();
        bytes.next().is_some_and(|first| first.is_ascii_alphabetic()) && bytes.next() == Some(b':')
    });
    Some(drive.unwrap_or(&path).to_owned())
}

/// The scheme of a URI and what is behind its colon (RFC 3986, 3.1). A single letter is a drive and no scheme.
fn scheme(locator: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = locator.split_once(':')?;
    let first = scheme.bytes().next()?;
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    (first.is_ascii_alphabetic() && scheme.len() > 1 && scheme.bytes().all(valid)).then_some((scheme, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reference 1.8, "file URI to path".
    #[test]
    fn locators_of_the_reference() {
        for (locator, path) in [
            ("A and B/C.ext", "A and B/C.ext"),
            ("/srv/A and B", "/srv/A and B"),
            ("file:///srv/A and B/C.ext", "/srv/A and B/C.ext"),
            ("file:///srv/A%20and%20B/C.ext", "/srv/A and B/C.ext"),
            ("file:///C:/A and B", "C:/A and B"),
            ("file://localhost/A", "/A"),
            ("FILE:/A", "/A"),
            ("C:/A and B", "C:/A and B"),
        ] {
            assert_eq!(file_path(locator).as_deref(), Some(path), "{locator}");
        }
        for locator in
            ["http://host/A", "mailto:x", "file://host/A", "file://", "file:///%ff", "file:///a%00b", "a\0"]
        {
            assert_eq!(file_path(locator), None, "{locator}");
        }
    }
}
