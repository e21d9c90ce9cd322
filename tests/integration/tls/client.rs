//! Our side of a connection.

use std::time::Duration;

use futures::{AsyncReadExt, AsyncWriteExt};
use stackherd::net::{
    block_on,
    connect::Connector,
    endpoint::Endpoint,
    proxy::Proxy,
    tls::{Identity, Trust, client_config},
};

/// Connects, sends a line and reads it turned round; an error with all its causes.
pub fn speak(host: &str, port: u16, trust: &Trust, identity: Option<&Identity>) -> Result<(), String> {
    let tls = client_config(trust, identity, &[]).map_err(|error| error.to_string())?;
    let connector = Connector {
        tls: Some(tls),
        proxy: Proxy::none(),
        connect_timeout: Duration::from_secs(20),
        user_timeout: None,
    };
    let endpoint = Endpoint::new(true, host, port);
    block_on(async move {
        let connection = connector.connect(&endpoint).await.map_err(|error| error.to_string())?;
        let mut io = connection.io;
        io.write_all(b"abc\n").await.map_err(|error| error.to_string())?;
        io.flush().await.map_err(|error| error.to_string())?;
        let mut turned = [0; 4];
        io.read_exact(&mut turned).await.map_err(|error| error.to_string())?;
        if &turned == b"cba\n" { Ok(()) } else { Err(format!("{turned:?} came back")) }
    })
    .expect("an executor")
}
