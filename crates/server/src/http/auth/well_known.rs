//! The token and the password of the seeds, which stand in every tutorial: so they are good for requests from this machine only.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::header::HOST;
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{Extensions, HeaderMap};

use crate::http::client::{ClientAddress, forwarded_for};

/// The secret of the token that `sheaf dev-seed` and `sheaf demo` make, as OpenEEmeter's datastore did.
pub(crate) const SECRET: &str = "tokstr";

/// The user whom they make, likewise.
pub(crate) const USER: &str = "demo";

/// The password of that user. Nobody's password is to be this one, so from elsewhere it is a wrong one.
pub(crate) const PASSWORD: &str = "demo-password";

/// What to say of the token to others.
pub(crate) const REFUSAL: &str = "the token of the seeds is good on the machine of the server only; make another one with `sheaf token create`";

/// Whether a request may show this secret.
pub(crate) fn may_show(secret: &str, parts: &Parts) -> bool {
    secret != SECRET || FromHere::of(parts).0
}

/// Whether a request comes from the machine of the server: from a loopback address, through nothing but proxies that say they
/// were asked from one, and to a name of this machine. The last one keeps out pages of others in a browser here, whose name was
/// made one of this machine's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FromHere(pub(crate) bool);

impl FromHere {
    fn of(parts: &Parts) -> FromHere {
        let host = parts.uri.authority().map(Authority::as_str);
        let host = host.or_else(|| parts.headers.get(HOST).and_then(|host| host.to_str().ok()));
        FromHere(has_come_from_here(&parts.extensions, &parts.headers) && host.is_some_and(is_our_name))
    }
}

impl<S: Sync> FromRequestParts<S> for FromHere {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<FromHere, Self::Rejection> {
        Ok(FromHere::of(parts))
    }
}

/// Whether the peer, the client, and all whom proxies name are this machine, also where no proxy is trusted.
fn has_come_from_here(extensions: &Extensions, headers: &HeaderMap) -> bool {
    /// Where other proxies say that there is one.
    const OTHERS: [&str; 3] = ["forwarded", "via", "x-real-ip"];
    let peer = extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
    let client = extensions.get::<ClientAddress>().map(|ClientAddress(client)| *client);
    let is_here =
        |address: Option<IpAddr>| address.is_some_and(|address| address.to_canonical().is_loopback());
    is_here(peer)
        && is_here(client)
        && forwarded_for(headers).all(is_here)
        && OTHERS.iter().all(|name| !headers.contains_key(*name))
}

/// Whether a host with or without a port is a name of this machine.
fn is_our_name(host: &str) -> bool {
    if let Ok(address) = host.parse::<SocketAddr>() {
        return address.ip().to_canonical().is_loopback();
    }
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    };
    let name = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn may(peer: &str, headers: &[(&str, &str)]) -> bool {
        let trusted = ["127.0.0.0/8".parse().unwrap()];
        let mut request = Request::builder().uri("/api/v1/projects");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        parts.extensions.insert(ConnectInfo(SocketAddr::new(peer.parse().unwrap(), 1234)));
        let client = ClientAddress::new(&parts.extensions, &parts.headers, &trusted);
        parts.extensions.insert(client);
        assert!(may_show("another", &parts));
        may_show(SECRET, &parts)
    }

    #[test]
    fn the_token_of_the_seeds_is_good_on_this_machine_only() {
        let local = ("host", "127.0.0.1:5000");
        for peer in ["127.0.0.1", "127.0.0.9", "::1", "::ffff:127.0.0.1"] {
            assert!(may(peer, &[local]), "{peer}");
        }
        for peer in ["203.0.113.9", "10.0.0.1", "2001:db8::1", "0.0.0.0"] {
            assert!(!may(peer, &[local]), "{peer}");
        }
        // Proxies: whom they name counts, and who names nobody counts for nothing.
        assert!(may("127.0.0.1", &[local, ("x-forwarded-for", "127.0.0.1, ::1")]));
        for header in [
            ("x-forwarded-for", "203.0.113.9"),
            ("x-forwarded-for", "127.0.0.1, 203.0.113.9"),
            ("x-forwarded-for", "203.0.113.9, 127.0.0.1"),
            ("x-forwarded-for", "unknown"),
            ("x-forwarded-for", ""),
            ("forwarded", "for=203.0.113.9"),
            ("via", "1.1 proxy"),
            ("x-real-ip", "203.0.113.9"),
        ] {
            assert!(!may("127.0.0.1", &[local, header]), "{header:?}");
        }
    }

    #[test]
    fn the_server_must_be_asked_by_a_name_of_this_machine() {
        for host in ["localhost", "LOCALHOST:80", "127.0.0.1", "[::1]:5000", "[::1]"] {
            assert!(may("127.0.0.1", &[("host", host)]), "{host}");
        }
        for host in
            ["example.org", "example.org:5000", "127.0.0.1.example.org", "localhost.example.org", "", ":80"]
        {
            assert!(!may("127.0.0.1", &[("host", host)]), "{host}");
        }
        assert!(!may("127.0.0.1", &[]));
    }
}
