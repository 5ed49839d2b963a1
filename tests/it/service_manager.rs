//! The service under systemd's protocol for services of the type `notify`, with a watchdog.

use std::{os::unix::net::UnixDatagram, process::Command, time::Duration};

use crate::{
    process::{PROGRAM, Process},
    support::{PATIENCE, simulator},
};

/// The socket of a service manager.
struct Manager {
    socket: UnixDatagram,
    directory: tempfile::TempDir,
}

impl Manager {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(directory.path().join("notify")).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, directory }
    }

    /// The program with the environment that the manager gives it.
    fn command(&self, watchdog: Duration) -> Command {
        let mut command = Command::new(PROGRAM);
        command.env("NOTIFY_SOCKET", self.directory.path().join("notify"));
        command.env("WATCHDOG_USEC", watchdog.as_micros().to_string());
        command
    }

    /// The next message.
    fn told(&self) -> String {
        let mut message = [0; 200];
        let length = self.socket.recv(&mut message).expect("a message in time");
        String::from_utf8_lossy(&message[..length]).trim_end().to_owned()
    }
}

#[tokio::test]
async fn the_service_manager_learns_that_the_service_is_ready_alive_and_stopping() {
    let (oz, manager) = (simulator().await, Manager::new());
    let mut command = manager.command(Duration::from_millis(90));
    let mut process = Process::start_by(&mut command, &oz, manager.directory.path(), &[]);
    assert_eq!(manager.told(), "READY=1");
    for _ in 0..5 {
        assert_eq!(manager.told(), "WATCHDOG=1");
    }
    process.terminate();
    let last = loop {
        match manager.told() {
            told if told == "WATCHDOG=1" => {}
            told => break told,
        }
    };
    assert_eq!(last, "STOPPING=1");
    assert!(process.end().await.success());
}
