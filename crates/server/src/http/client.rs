//! From which address a client asks, also where a proxy stands before the server.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::ConnectInfo;
use axum::http::{Extensions, HeaderMap};
use ipnet::IpNet;

/// Where proxies say whom they were asked by.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// The address of the client of a request; part of every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClientAddress(pub(crate) IpAddr);

impl ClientAddress {
    /// The client of a connection, or the one that a trusted proxy at its other end names.
    ///
    /// Each proxy adds the address that it was asked from behind those that it was told. So from the end on, the first one that
    /// is no trusted proxy's is the client's; what stands before it a client may have made up. The header `Forwarded` is not
    /// looked at: a proxy that writes the other one hands it on as the client sent it.
    pub(crate) fn new(extensions: &Extensions, headers: &HeaderMap, trusted: &[IpNet]) -> ClientAddress {
        let peer = extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
        let mut client = peer.unwrap_or(Ipv4Addr::UNSPECIFIED.into()).to_canonical();
        for said in forwarded_for(headers) {
            if !trusted.iter().any(|proxies| proxies.contains(&client)) {
                break;
            }
            match said {
                Some(address) => client = address,
                None => break,
            }
        }
        ClientAddress(client)
    }
}

/// Whom proxies name as those who asked them, the nearest first; `None` for what is no address. Anybody may say that.
pub(crate) fn forwarded_for(headers: &HeaderMap) -> impl Iterator<Item = Option<IpAddr>> {
    let lists = headers.get_all(FORWARDED_FOR).iter().rev();
    lists.flat_map(|list| list.to_str().unwrap_or_default().rsplit(',')).map(|said| address(said.trim()))
}

/// An address with or without a port.
fn address(text: &str) -> Option<IpAddr> {
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    let address = text.parse().ok().or_else(with_port)?;
    Some(IpAddr::to_canonical(&address))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn client(peer: &str, headers: &[&str]) -> String {
        let trusted = ["127.0.0.1/32", "10.0.0.0/8", "fd00::/8"].map(|text| text.parse().unwrap());
        let mut extensions = Extensions::new();
        extensions.insert(ConnectInfo(SocketAddr::new(peer.parse().unwrap(), 1234)));
        let lists = headers.iter().map(|list| HeaderValue::from_str(list).unwrap());
        let headers = lists.map(|list| (FORWARDED_FOR.parse().unwrap(), list)).collect();
        ClientAddress::new(&extensions, &headers, &trusted).0.to_string()
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        assert_eq!(client("203.0.113.9", &[]), "203.0.113.9");
        assert_eq!(client("203.0.113.9", &["198.51.100.1"]), "203.0.113.9");
        assert_eq!(client("127.0.0.1", &[]), "127.0.0.1");
        assert_eq!(client("127.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(client("::ffff:127.0.0.1", &["::ffff:198.51.100.1"]), "198.51.100.1");
    }

    #[test]
    fn of_a_chain_the_last_one_who_is_not_trusted_counts() {
        assert_eq!(client("127.0.0.1", &["1.1.1.1, 198.51.100.1, 10.2.3.4"]), "198.51.100.1");
        assert_eq!(client("127.0.0.1", &["1.1.1.1, 198.51.100.1", "10.2.3.4,fd00::7"]), "198.51.100.1");
        // All of them are ours: the request began in our own net.
        assert_eq!(client("127.0.0.1", &["10.0.0.1, 10.2.3.4"]), "10.0.0.1");
        assert_eq!(client("127.0.0.1", &["198.51.100.1:4711"]), "198.51.100.1");
        assert_eq!(client("127.0.0.1", &["[2001:db8::1]:4711"]), "2001:db8::1");
        for nonsense in ["unknown", "", "_hidden", "198.51.100.1,", "1.2.3.4.5"] {
            assert_eq!(client("127.0.0.1", &[nonsense]), "127.0.0.1", "{nonsense}");
        }
    }
}
