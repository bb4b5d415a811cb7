//! A proxy before PostgreSQL that loses the answer to a statement: the server gets it, and the client a broken connection.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[derive(Default)]
struct Plan {
    statement: Mutex<Option<String>>,
    lost: AtomicUsize,
}

pub(crate) struct Proxy {
    /// The same database through the proxy.
    pub(crate) url: String,
    plan: Arc<Plan>,
}

impl Proxy {
    /// Listens before the server of `url`.
    pub(crate) async fn before(url: &str) -> Self {
        let (head, rest) = url.split_once('@').expect("a user in the URL");
        let (server, database) = rest.split_once('/').expect("a database in the URL");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let (plan, server) = (Arc::<Plan>::default(), server.to_owned());
        let shared = plan.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if let Ok(server) = TcpStream::connect(&server).await {
                    tokio::spawn(carry(client, server, shared.clone()));
                }
            }
        });
        Self { url: format!("{head}@127.0.0.1:{port}/{database}"), plan }
    }

    /// The next time that a client sends this statement alone, it does not hear what came of it.
    pub(crate) fn lose_the_answer_to(&self, statement: &str) {
        *self.plan.statement.lock().expect("whole") = Some(format!("{statement}\0"));
    }

    /// How often that has happened.
    pub(crate) fn lost(&self) -> usize {
        self.plan.lost.load(Ordering::SeqCst)
    }
}

impl Plan {
    fn loses(&self, sent: &[u8]) -> bool {
        let mut statement = self.statement.lock().expect("whole");
        let found = statement.as_ref().is_some_and(|text| sent.windows(text.len()).any(|part| part == text.as_bytes()));
        if found {
            *statement = None;
            self.lost.fetch_add(1, Ordering::SeqCst);
        }
        found
    }
}

async fn carry(mut client: TcpStream, mut server: TcpStream, plan: Arc<Plan>) {
    let (mut up, mut down) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        tokio::select! {
            read = client.read(&mut up) => match read {
                Ok(n) if n > 0 => {
                    let lost = plan.loses(&up[..n]);
                    if server.write_all(&up[..n]).await.is_err() { return }
                    if lost {
                        drop(client);
                        while server.read(&mut down).await.is_ok_and(|n| n > 0) {} // the server keeps its connection
                        return;
                    }
                }
                _ => return,
            },
            read = server.read(&mut down) => match read {
                Ok(n) if n > 0 => if client.write_all(&down[..n]).await.is_err() { return },
                _ => return,
            },
        }
    }
}
