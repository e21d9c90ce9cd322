//! URLs and addresses: from flags, from a kubeconfig, from the environment, from an issuer.

use super::script;
use crate::net::{endpoint::Endpoint, proxy::Proxy};

/// Two lines: a URL or an address, and what `NO_PROXY` says. What is taken can be connected to, and
/// reads as itself; a password in the name of a proxy shows nowhere.
pub fn urls(data: &[u8]) {
    let (text, rest) = script::first_line(data);
    let (except, _) = script::first_line(rest);
    let by_url = Endpoint::from_url(text).ok();
    let by_address = Endpoint::from_host_port(true, text, 443).ok();
    for endpoint in by_url.iter().chain(&by_address) {
        check(endpoint);
        for proxy in [text, "http://proxy.example:3128"] {
            check_proxy(proxy, except, endpoint);
        }
    }
}

fn check(endpoint: &Endpoint) {
    assert!(!endpoint.host.is_empty() && endpoint.port != 0);
    assert!(!endpoint.host.contains(['@', '/', '[', ']']), "{endpoint:?}");
    let again = Endpoint::from_url(&endpoint.to_string()).expect("a URL");
    assert_eq!(again, *endpoint);
    let authority = Endpoint::from_host_port(endpoint.secure, &endpoint.host_port(), 1).expect("an address");
    assert_eq!((&authority.host, authority.port), (&endpoint.host, endpoint.port));
    // It becomes a header.
    http::HeaderValue::from_str(endpoint.authority()).expect("an authority");
}

fn check_proxy(text: &str, except: &str, endpoint: &Endpoint) {
    let variable = |name: &str| match name {
        "https_proxy" => Some(text.to_owned()),
        "no_proxy" => Some(except.to_owned()),
        _ => None,
    };
    let proxy = Proxy::read(variable).for_plain_too();
    let shown = format!("{proxy:?}");
    let server = match proxy.on_the_way_to(endpoint) {
        Ok(Some(server)) => server,
        Ok(None) => return,
        Err(error) => {
            // No word of it but its scheme.
            let (scheme, _) = text.split_once("://").unwrap_or_default();
            assert!(error.to_string().len() < 300 + 2 * scheme.len(), "{error}");
            return;
        }
    };
    check(&server.endpoint);
    assert!(!endpoint.host.eq_ignore_ascii_case("localhost"));
    if let Some(authorization) = &server.authorization() {
        http::HeaderValue::from_str(authorization).expect("a header");
        assert!(!shown.contains(authorization), "{shown}");
    }
}
