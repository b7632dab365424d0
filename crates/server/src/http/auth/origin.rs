//! Whether a browser sends a request because of a page of ours.
//!
//! A browser sends our cookie with whatever another site makes it send here. So a request that changes something and relies
//! on the cookie must say that it comes from a page of this server, which browsers do and pages of others can't make them do.

use axum::http::header::{HOST, ORIGIN};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Uri};

/// Whether a request asks for something, and changes nothing.
pub(crate) fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Whether a page of this server makes the browser send this. Without a word about it, as from programs, it does not.
pub(crate) fn is_same(parts: &Parts, public_url: Option<&str>) -> bool {
    same(&parts.headers, &parts.uri, public_url)
}

/// Whether a page of another server makes the browser send this.
pub(crate) fn is_other(parts: &Parts, public_url: Option<&str>) -> bool {
    let says_so = parts.headers.contains_key(ORIGIN) || parts.headers.contains_key(FETCH_SITE);
    says_so && !is_same(parts, public_url)
}

const FETCH_SITE: &str = "sec-fetch-site";

fn same(headers: &HeaderMap, uri: &Uri, public_url: Option<&str>) -> bool {
    // The browser's own word, which takes the scheme and the port into account.
    if let Some(site) = headers.get(FETCH_SITE) {
        return site == "same-origin";
    }
    let Some(origin) = headers.get(ORIGIN).and_then(|origin| origin.to_str().ok()) else { return false };
    if public_url.is_some_and(|url| origin.eq_ignore_ascii_case(url.trim_end_matches('/'))) {
        return true;
    }
    let host = uri.authority().map(axum::http::uri::Authority::as_str);
    let host = host.or_else(|| headers.get(HOST).and_then(|host| host.to_str().ok()));
    let of_origin = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    match (of_origin, host) {
        (Some(origin), Some(host)) => origin.eq_ignore_ascii_case(host),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_others_are_told_apart() {
        let check = |pairs: &[(&'static str, &'static str)]| {
            let headers = pairs.iter().map(|&(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
            same(&headers.collect(), &Uri::from_static("/x"), Some("https://sheaf.example.org/"))
        };
        let host = ("host", "10.0.0.1:5000");
        for (expected, headers) in [
            (true, vec![host, ("origin", "http://10.0.0.1:5000")]),
            (true, vec![host, ("origin", "https://sheaf.example.org")]),
            (true, vec![host, ("sec-fetch-site", "same-origin")]),
            (false, vec![host]),
            (false, vec![host, ("origin", "null")]),
            (false, vec![host, ("origin", "http://10.0.0.1")]),
            (false, vec![host, ("origin", "http://10.0.0.1:5001")]),
            (false, vec![host, ("origin", "http://10.0.0.1:5000.evil.org")]),
            (false, vec![host, ("origin", "https://sheaf.example.org.evil.org")]),
            (false, vec![host, ("origin", "http://sheaf.example.org")]),
            (false, vec![host, ("sec-fetch-site", "same-site")]),
            (false, vec![host, ("sec-fetch-site", "cross-site"), ("origin", "http://10.0.0.1:5000")]),
            (false, vec![host, ("sec-fetch-site", "none")]),
            (false, vec![("origin", "http://10.0.0.1:5000")]),
        ] {
            assert_eq!(check(&headers), expected, "{headers:?}");
        }
    }
}
